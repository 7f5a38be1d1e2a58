"""Muon: momentum whose matrix is made orthogonal before it is used (Jordan et al. 2024,
https://kellerjordan.github.io/posts/muon/).

The same update as `torch.optim.Muon`, which a test holds it to; but matrices of one shape are stacked
and made orthogonal together: a network has few shapes and many layers, and small products one by one
leave a processor waiting (`benchmarks/kernels.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor, nn

from genwright.training.precision import multiplies_bfloat16

__all__ = ["Muon", "orthogonal"]

_A, _B, _C = 3.4445, -4.7750, 2.0315
"""Coefficients of the quintic iteration that brings every singular value near 1 in five rounds."""


def orthogonal(x: Tensor, rounds: int = 5) -> Tensor:
    """The nearest semi-orthogonal matrices to a stack `(n, rows, columns)` with no more rows than
    columns, roughly: singular values end between about 0.7 and 1.2. bfloat16 is all it needs, where that is fast."""
    y = x.bfloat16() if multiplies_bfloat16(x.device) else x.float()
    y = y / y.norm(dim=(1, 2), keepdim=True).clamp_min(1e-7)
    for _ in range(rounds):
        gram = torch.bmm(y, y.mT)
        y = torch.baddbmm(y, torch.baddbmm(gram, gram, gram, beta=_B, alpha=_C), y, beta=_A)
    return y.to(x.dtype)


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
            stacks: dict[tuple[int, int], list[nn.Parameter]] = {}
            for parameter in group["params"]:
                if parameter.grad is not None:
                    rows, columns = parameter.shape
                    stacks.setdefault((min(rows, columns), max(rows, columns)), []).append(parameter)
            for parameters in stacks.values():
                self._step(parameters, group["lr"], group["momentum"], group["weight_decay"])

    def _step(self, parameters: list[nn.Parameter], lr: float, momentum: float, decay: float) -> None:
        """One stack; tall matrices lie in it on their side."""
        averages = [self._average(p) for p in parameters]
        gradients = [p.grad for p in parameters if p.grad is not None]
        torch._foreach_lerp_(averages, gradients, 1 - momentum)
        nesterov = torch._foreach_lerp(gradients, averages, momentum)
        tall = [p.shape[0] > p.shape[1] for p in parameters]
        flat = [g.mT if high else g for g, high in zip(nesterov, tall, strict=True)]
        updates = orthogonal(torch.stack(flat)).unbind()
        if decay:
            torch._foreach_mul_([p.data for p in parameters], 1 - lr * decay)
        for p, update, high in zip(parameters, updates, tall, strict=True):
            # A tall matrix takes the longer step that its larger output asks for.
            longer = (p.shape[0] / p.shape[1]) ** 0.5 if high else 1.0
            p.add_(update.mT if high else update, alpha=-lr * longer)

    def _average(self, parameter: nn.Parameter) -> Tensor:
        state = self.state[parameter]
        if not state:
            state["momentum"] = torch.zeros_like(parameter)
        average: Tensor = state["momentum"]
        return average
