"""How likely an example is under an ODE that turns it to noise.

    log p(x_0) = log p(x_1) + integral of div v(x_t, t) dt        (Chen et al. 2018, arXiv:1806.07366, eq. 8;
                                                                  Song et al. 2021, arXiv:2011.13456, eq. 39)

Examples of few numbers have their divergence summed exactly, number by number; for others it is estimated
with a few fixed probes (Hutchinson's trace; Grathwohl et al. 2019, arXiv:1810.01367), which leaves the
logarithm right on average. Each step is one of the classical fourth-order method of Runge and Kutta.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import torch
from torch import Tensor

__all__ = ["FEW", "PROBES", "carried", "log_change"]

FEW = 8
"""Numbers of an example up to which the divergence is exact."""
PROBES = 2
"""For examples of more."""

Velocity = Callable[[Tensor, Tensor], Tensor]


def log_change(velocity: Velocity, x: Tensor, times: Tensor) -> tuple[Tensor, Tensor]:
    """Where the ODE takes `x` `(B, ...)` along the times, and the integral of the divergence `(B,)`.

    The same `x` gives the same numbers: the probes are seeded.
    """
    probes = None
    if x[0].numel() > FEW:
        rng = torch.Generator(x.device).manual_seed(0)
        signs = torch.randint(0, 2, (PROBES, *x.shape), generator=rng, device=x.device)
        probes = 2 * signs.to(x.dtype) - 1
    return _walk(lambda x, t: _with_divergence(velocity, x, t, probes), x, times)


def carried(velocity: Velocity, x: Tensor, times: Tensor) -> Tensor:
    """Where the ODE takes `x` along the times, either way."""
    still = x.new_zeros(len(x))
    return _walk(lambda x, t: (velocity(x, t), still), x, times)[0]


def _walk(
    slope: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, times: Tensor
) -> tuple[Tensor, Tensor]:
    """`x` along the times, and what is added up on the way `(B,)`, by the slopes of both."""
    total = x.new_zeros(len(x), dtype=torch.double)
    for t, s in pairwise(times):
        h, middle = s - t, (t + s) / 2
        v1, d1 = slope(x, t)
        v2, d2 = slope(x + h / 2 * v1, middle)
        v3, d3 = slope(x + h / 2 * v2, middle)
        v4, d4 = slope(x + h * v3, s)
        x = x + h / 6 * (v1 + 2 * v2 + 2 * v3 + v4)
        total += (h / 6 * (d1 + 2 * d2 + 2 * d3 + d4)).double()
    return x, total


def _with_divergence(
    velocity: Velocity, x: Tensor, t: Tensor, probes: Tensor | None
) -> tuple[Tensor, Tensor]:
    """`v(x, t)` and its divergence `(B,)`."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        v = velocity(x, t)
        if probes is None:
            flat = v.flatten(1)
            # Examples do not see each other, so that the sum over them has each one's own gradient.
            parts = [
                torch.autograd.grad(flat[:, i].sum(), x, retain_graph=True)[0].flatten(1)[:, i]
                for i in range(flat.shape[1])
            ]
        else:
            parts = [
                (torch.autograd.grad(v, x, probe, retain_graph=True)[0] * probe).flatten(1).sum(1)
                / len(probes)
                for probe in probes
            ]
    return v.detach(), torch.stack(parts).sum(0)
