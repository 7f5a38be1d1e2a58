"""The parts and layers that a phase trains, and what is measured of them in a step.

A part is a child of the family that holds a good share of what the phase trains, such as an encoder; a layer
is a module with parameters of its own. All figures of a step come to the host together: a device waits once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

__all__ = ["ParameterGroups", "StepStats"]

Figures = NDArray[np.float64]

SHARE = 0.1
"""Of a phase's parameters that a part has at least."""
MARKED = 256
"""Entries of a parameter that are looked at to see whether it moves, at most."""


@dataclass
class StepStats:
    """The figures of a phase in a step.

    loss     the sum of its terms
    norm     of the whole gradient
    signs    what the family left in `diagnostic_values`, by name
    grads    the norm of each parameter's gradient, 0 where there is none
    weights  the norm of each parameter, taken when called
    marks    a sum of some entries of each parameter, taken when called: a norm, of float32, may stay the
             same by chance while they move
    rate     the share of the full rate that the step is taken with
    share    of the training that is over
    """

    phase: str
    step: int
    loss: float
    norm: float
    diagnostic_values: Mapping[str, float]
    grads: Figures
    weights: Callable[[], Figures]
    marks: Callable[[], Figures]
    rate: float = 1.0
    share: float = 0.0


class ParameterGroups:
    """Layers and parts of named parameters.

    layers  names, in order; `starts` is the place of each one's first parameter
    parts   the places of a part's parameters, by its name
    deep    the first and the last layer of a part that have a matrix, where it has several
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter]) -> None:
        self.parameters: list[nn.Parameter] = list(parameters.values())
        owners = [_owner(name) for name in parameters]
        self.layers = [name for name, _ in groupby(owners)]
        self.starts = [i for i, name in enumerate(owners) if i == 0 or name != owners[i - 1]]
        self.parts: dict[str, slice] = {}
        self.deep: dict[str, tuple[str, str]] = {}
        sizes, at = [p.numel() for p in self.parameters], 0
        for name, group in groupby(name.partition(".")[0] for name in parameters):
            part = slice(at, at + len(list(group)))
            at = part.stop
            if sum(sizes[part]) < SHARE * sum(sizes):
                continue
            self.parts[name] = part
            matrices = [owners[i] for i in range(part.start, part.stop) if self.parameters[i].ndim > 1]
            if len(set(matrices)) > 2:
                self.deep[name] = matrices[0], matrices[-1]

    def by_layer(self, figures: Figures) -> Figures:
        """The norm of each layer from those of its parameters."""
        return np.asarray(np.sqrt(np.add.reduceat(np.square(figures), self.starts)))

    def measure(
        self, terms: Mapping[str, Tensor], diagnostic_values: Mapping[str, Tensor]
    ) -> tuple[Tensor, float, float, dict[str, float], Figures]:
        """The norm of the gradient where it is, and on the host: itself, the sum of the terms, the signs
        and the norms by parameter."""
        there = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(grads)).float() if grads else torch.zeros(1)
        norm = torch.linalg.vector_norm(norms)
        total = torch.stack(list(terms.values())).sum().float()
        rest = torch.stack(
            [norm, total, *(value_name.detach().float() for value_name in diagnostic_values.values())]
        )
        size, loss, *values = rest.tolist() if not grads else torch.cat([rest, norms]).tolist()
        found = np.zeros(len(self.parameters))
        found[there] = values[len(diagnostic_values) :]
        return norm, size, loss, dict(zip(diagnostic_values, values, strict=False)), found

    @torch.no_grad()
    def weigh(self) -> Figures:
        """The norm of each parameter."""
        return np.array(torch.stack(torch._foreach_norm([*self.parameters])).tolist())

    @torch.no_grad()
    def mark(self) -> Figures:
        """The sum of some entries of each parameter, in float64."""
        some = [_some(p) for p in self.parameters]
        host = torch.cat(some).float().cpu().double().numpy()
        return np.array([part.sum() for part in np.split(host, np.cumsum([len(s) for s in some[:-1]]))])


def _some(p: nn.Parameter) -> Tensor:
    """At most `MARKED` numbers, far from each other where the parameter lies in memory."""
    n = p.numel()
    return p.detach().as_strided((min(MARKED, n),), (max(1, n // MARKED),))


def _owner(name: str) -> str:
    """`critic.blocks.0.parametrizations.weight.original` belongs to `critic.blocks.0`."""
    return (
        name.partition(".parametrizations.")[0]
        if ".parametrizations." in name
        else (name.rpartition(".")[0] or name)
    )
