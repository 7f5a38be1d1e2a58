"""What a family is: an objective over a space, with the networks it asks for.

A family knows spaces, roles and phases. It does not know what the data shows, how it was read, which
optimiser runs or how many devices there are. To write one: take what it can do as its bases (see
`capabilities`), declare `accepts` and `phases`, build the networks in `__init__` by role, and give `loss` and
what the bases ask for.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.errors import Unsupported
from genwright.nets.roles import Nets
from genwright.space import CondSpec, Kind, Space, cond_specs

__all__ = ["Clock", "Diagnostic", "Family", "Phase", "summed"]


@dataclass(frozen=True)
class Phase:
    """What is trained now, how often within a step, and with which optimiser defaults.

    `trains` names the submodules ("" is the whole family). A recipe may override the rest.

    fan_in  numbers that a weight may read for each that it makes at the whole of `lr`; where it reads more,
            its rate is lower in proportion, so that one rate does for nets of all widths (muP, Yang et al.
            2022, arXiv:2203.03466, table 3)
    """

    name: str
    trains: tuple[str, ...] = ("",)
    repeats: int = 1
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_lr: float = 0.02  # its momentum is the first of `betas`
    weight_decay: float = 0.0
    fan_in: float = math.inf


@dataclass(frozen=True)
class Diagnostic:
    """A scalar by which a training that goes wrong in the family's own way is known: `loss` leaves it in
    `Family.diagnostic_values`.

    value_name    its name there
    cause         what is wrong where it is out of bounds, in a word or two
    words         the same in a sentence; {value} and {median} stand for the scalar and its median before
    remedy        what to try
    below, above  the bounds
    relative      they are multiples of the median over the steps before
    min_median    nothing is said while that median is below
    steps         in a row that it has to be out of bounds
    after         share of training before which nothing is said
    recoverable   going back to a healthy state may help; else it is told and no more
    """

    value_name: str
    cause: str
    words: str
    remedy: str
    below: float = -math.inf
    above: float = math.inf
    relative: bool = False
    min_median: float = 0.0
    steps: int = 5
    after: float = 0.0
    recoverable: bool = True


@dataclass
class Clock:
    """How far training has come: the trainer sets it before each step, schedules read it.

    rollbacks  how often training went back to a healthy state: what can be gentler then may be
    """

    step: int = 0
    progress: float = 0.0
    rollbacks: int = 0


def summed(losses: Tensor) -> tuple[Tensor, Tensor]:
    """What `heldout` gives for the loss of each example `(B,)`."""
    return losses.sum(), torch.tensor(float(len(losses)), device=losses.device)


class Family(nn.Module, ABC):
    """A family over one space. What it can do, its bases say.

    space  what to make
    cond   what may be given, by name: of a space alone, dropped now and then and not aligned
    nets   who builds the networks
    """

    accepts: ClassVar[frozenset[Kind]]
    """Kinds of space taken as they are; others need a bridge."""
    bridges: ClassVar[tuple[str, ...]] = ("quantize", "onehot")
    """Tried in this order where the data cannot be taken as it is."""
    max_width: ClassVar[int | None] = 1024
    """Channels at one position that a dense network still takes (None: no limit)."""
    max_positions: ClassVar[int | None] = None
    """Places of one example that are still affordable (None: no limit)."""
    least_axes: ClassVar[int] = 0
    """Axes that the grid of an example has at least."""
    teaches: ClassVar[float] = 1.0
    """How much an example teaches in a step, of what one does whose every number is learnt at once."""
    batch_size: ClassVar[int] = 128
    """Examples in a step, unless the recipe says otherwise."""
    stacked: ClassVar[str] = ""
    """The option that says of how many parts, all alike, its network is a stack; empty: of none."""
    least_batch: int = 1
    """Examples that have to be in a batch together, at least."""
    phases: tuple[Phase, ...] = (Phase("fit"),)
    adversarial: bool = False
    """Whether networks are trained against each other: their losses leap by nature, and one of held-out
    examples would say nothing, so that there is none."""
    large_products: ClassVar[bool] = False
    """Whether its networks multiply large matrices over rows without a grid, too: bfloat16 helps then."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """By what a training that goes wrong in this family's own way is known."""
    shared: Mapping[str, Literal["mean", "first"]] = MappingProxyType({})
    """Buffers that every device keeps a part of, and how they become one after each step: their mean over
    the devices, or what the first one has."""
    loss_units: ClassVar[tuple[str, str]] = ("", "")
    """What its loss is measured in, for a person: in training, and held out. Where both are the same they are
    drawn on one chart; empty: its own."""
    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_family` that it does not keep."""

    def __init__(self, space: Space, cond: Mapping[str, CondSpec | Space], nets: Nets) -> None:
        super().__init__()
        self.space = space
        self.cond = cond_specs(cond)
        self.nets = nets
        self.clock = Clock()
        self.diagnostic_values: dict[str, Tensor] = {}
        """Scalars that the last `loss` left for `diagnostics`; one that is not there is not looked at."""

    @classmethod
    def defaults_for(cls, space: Space, examples: int) -> Mapping[str, Any]:
        """Options whose default hangs on what there is to learn from.

        space, examples  to train on, in the form that the family takes
        """
        return {}

    @classmethod
    def places_of(cls, space: Space) -> int:
        """How many places an example is worked through by: as many as it stores numbers."""
        return space.stored * space.positions

    # -- training ------------------------------------------------------------------------------

    @property
    def prepared_on(self) -> int | None:
        """How many examples `prepare` looks at (None: a few batches)."""
        return None

    def prepare(self, batch: Batch) -> None:
        """Look at one batch before the first step, to set scales from the data. Optional."""

    def exchange(self, gather: Callable[[Tensor], list[Tensor]]) -> None:
        """Where several processes train together: bring what each has found since the last step, beside
        gradients, to all of them. `gather` gives every process's tensor, in the same order. Optional."""

    @abstractmethod
    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        """Named terms of the loss, each a scalar; the trainer sums them."""

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Loss on held-out examples: its sum and what to divide by, so that batches add up.

        By default the training loss per example; a family with a likelihood says it in nats.
        """
        if self.adversarial:
            raise Unsupported(
                f"{self.name} has no held-out loss: judge its samples instead", code="no-heldout"
            )
        total = torch.stack(list(self.loss(batch, self.phases[0].name).values())).sum()
        n = torch.tensor(float(len(batch)), device=total.device)
        return total * n, n

    def condition_gain(self, batch: Batch, others: Mapping[str, Tensor], *, seed: int) -> Tensor:
        """By how much examples cost less under their own conditions than under `others`, with the same noise: a
        scalar that is 0 on average where those are ignored. By default of the held-out loss."""
        costs = []
        for cond in (others, {}):
            torch.manual_seed(seed)
            total, count = self.heldout(Batch(batch.x, {**batch.cond, **cond}, batch.mask))
            costs.append(total.detach().float() / count)
        return costs[0] - costs[1]

    def loss_mask(self, batch: Batch) -> Tensor | None:
        """Which positions of an example are learnt `(B, *grid)`, None where all are: those of `batch.mask`,
        and the pads behind an example's end, which a sampler has to make."""
        if batch.mask is None:
            return None
        valid = self.space.valid(batch.x)
        mask = batch.mask if valid is None else batch.mask | ~valid
        return None if bool(mask.all()) else mask

    def refuse_mask(self, batch: Batch) -> None:
        """Raise `Unsupported` for a batch of which not all is to be learnt."""
        if self.loss_mask(batch) is not None:
            raise Unsupported(
                f"{self.name} learns whole examples and cannot leave out a part of one, as this task asks: "
                f"train --family vae, diffusion, autoregressive or masked",
                code="mask-not-supported",
            )

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device
