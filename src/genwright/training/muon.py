"""Muon: momentum whose matrix is made orthogonal before it is used (Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon/).

The same update as `torch.optim.Muon`, which a test holds it to; but matrices of one shape are stacked and
made orthogonal together, since a network has few shapes and many layers, and small products one by one
leave a processor waiting (`benchmarks/muon.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["Muon", "orthogonal"]

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of the quintic iteration that brings every singular value near 1 in five rounds."""


def orthogonal(x: Tensor, rounds: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices to a stack `(n, rows, columns)`, roughly: singular values
    end between about 0.7 and 1.2. In bfloat16, which is all the iteration needs."""
    wide = x.bfloat16()
    tall = x.shape[1] > x.shape[2]
    if tall:
        wide = wide.mT
    wide = wide / wide.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(rounds):
        gram = wide @ wide.mT
        wide = _A * wide + (_B * gram + _C * gram @ gram) @ wide
    return (wide.mT if tall else wide).to(x.dtype)


class Muon(torch.optim.Optimizer):
    """For the hidden matrices of a network; everything else belongs to AdamW."""

    def __init__(
        self,
        parameters: Iterable[nn.Parameter],
        lr: float = 0.02,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    by_shape.setdefault(parameter.shape, []).append(parameter)
            for shape, parameters in by_shape.items():
                update = orthogonal(torch.stack([self._nesterov(p, group["momentum"]) for p in parameters]))
                # Tall matrices get the longer step that their larger output asks for.
                lr = group["lr"] * max(1.0, shape[0] / shape[1]) ** 0.5
                torch._foreach_mul_(parameters, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(parameters, list(update.unbind()), alpha=-lr)

    def _nesterov(self, parameter: nn.Parameter, momentum: float) -> Tensor:
        assert parameter.grad is not None
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"]
        average.lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(average, momentum)
