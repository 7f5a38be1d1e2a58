"""Statistics of a step: the loss, and the norms of gradients and weights by parameter and layer."""

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
SUMMED = 256
"""Entries of a parameter in its checksum, at most."""


@dataclass
class StepStats:
    """Statistics of a phase in a step.

    loss               the sum of its terms
    grad_norm          of the whole gradient
    diagnostic_values  what the family left in `diagnostic_values`, by name
    grad_norms         of each parameter, 0 where there is no gradient
    weight_norms       of each parameter, taken when called
    checksums          sums of some entries of each parameter, taken when called: a norm, of float32, may
                       stay the same by chance while they move
    lr_factor          the share of the full learning rate that the step is taken with
    progress           the share of the training that is over
    """

    phase: str
    step: int
    loss: float
    grad_norm: float
    diagnostic_values: Mapping[str, float]
    grad_norms: Figures
    weight_norms: Callable[[], Figures]
    checksums: Callable[[], Figures]
    lr_factor: float = 1.0
    progress: float = 0.0


class ParameterGroups:
    """The parameters that a phase trains, by layer and by part.

    layers  names of the modules with parameters of their own, in order; `starts` is the place of each one's
            first parameter
    parts   the places of the parameters of each child of the family, such as an encoder, that holds a good
            share of all, by its name
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
        """The norm of the whole gradient on its device; and on the host, which all reach together, since a
        device waits for each: that norm, the loss, the diagnostics and the norms by parameter."""
        there = [i for i, p in enumerate(self.parameters) if p.grad is not None]
        grads = [p.grad for p in self.parameters if p.grad is not None]
        norms = torch.stack(torch._foreach_norm(grads)).float() if grads else torch.zeros(1)
        norm = torch.linalg.vector_norm(norms)
        loss = torch.stack(list(terms.values())).sum().float()
        values = [value.detach().float() for value in diagnostic_values.values()]
        host = torch.cat([torch.stack([norm, loss, *values]), norms]).tolist()
        found = np.zeros(len(self.parameters))
        found[there] = host[2 + len(values) :][: len(there)]
        return norm, host[0], host[1], dict(zip(diagnostic_values, host[2:], strict=False)), found

    @torch.no_grad()
    def weight_norms(self) -> Figures:
        """The norm of each parameter."""
        return np.array(torch.stack(torch._foreach_norm([*self.parameters])).tolist())

    @torch.no_grad()
    def checksums(self) -> Figures:
        """The sum of some entries of each parameter, in float64."""
        some = [_some(p) for p in self.parameters]
        host = torch.cat(some).float().cpu().double().numpy()
        return np.array([part.sum() for part in np.split(host, np.cumsum([len(s) for s in some[:-1]]))])


def _some(p: nn.Parameter) -> Tensor:
    """At most `SUMMED` numbers, far from each other where the parameter lies in memory."""
    n = p.numel()
    return p.detach().as_strided((min(SUMMED, n),), (max(1, n // SUMMED),))


def _owner(name: str) -> str:
    """`critic.blocks.0.parametrizations.weight.original` belongs to `critic.blocks.0`."""
    return (
        name.partition(".parametrizations.")[0]
        if ".parametrizations." in name
        else (name.rpartition(".")[0] or name)
    )
