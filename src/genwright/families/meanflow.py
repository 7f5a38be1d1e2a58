"""From noise to data in one to four steps: a network that answers with the mean velocity over a span of time.

    u(x_t, t, h) = 1/h times the integral of v(x_s, s) over s from t - h to t
    x_{t-h}      = x_t - h u(x_t, t, h)

which fulfils `u = v - h du/dt` along the flow (MeanFlow, Geng et al. 2025, arXiv:2505.13447, eq. 6). It is
trained as improved MeanFlow has it (Geng et al. 2025, arXiv:2512.02012): `u + h du/dt`, in which the change
carries no gradient, is a velocity, and regresses on e - x as in flow matching; the change is taken along the
network's own velocity u(x, t, 0).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

__all__ = ["JUMPS", "change"]

JUMPS = 0.5
"""Share of a batch that is trained on spans; the rest learns the velocity, which is a span of 0."""

MeanVelocity = Callable[[Tensor, Tensor, Tensor], Tensor]


@torch.no_grad()
def change(mean: MeanVelocity, x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """du/dt of `mean(x, t, h)` along the flow with the end of the span held fixed, of the shape of `x`."""
    # Forward differentiation knows neither autocast convolutions nor the fast kernels of attention.
    with torch.autocast(x.device.type, enabled=False), sdpa_kernel(SDPBackend.MATH):
        one = torch.ones_like(t)
        velocity = mean(x, t, torch.zeros_like(h))
        with warnings.catch_warnings():
            # torch loads scripted formulas for it, and warns of its own scripts.
            warnings.filterwarnings("ignore", "`torch.jit", DeprecationWarning)
            found: Tensor = jvp(mean, (x, t, h), (velocity, one, one))[1]
    return found
