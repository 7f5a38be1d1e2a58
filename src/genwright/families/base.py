"""What a family is: an objective and a sampler over a space, with the networks it asks for.

A family knows spaces, roles and phases. It does not know what the data shows, how it was read, which
optimiser runs or how many devices there are. To write one: declare `accepts` and `phases`, build the
networks in `__init__` by role, and give `loss` and `_sample`.
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
from genwright.errors import Incompatible, Unsupported, suggest
from genwright.nets.roles import Nets
from genwright.options import Count, Natural
from genwright.registry import check, coerce, options
from genwright.space import CondSpec, Kind, Space, cond_specs

__all__ = ["Clock", "Diagnostic", "Family", "LikelihoodKind", "Phase", "summed"]

LikelihoodKind = Literal["none", "bound", "exact"]


@dataclass(frozen=True)
class Phase:
    """What is trained now, how often within a step, and with which optimiser defaults.

    `trains` names the submodules ("" is the whole family). A recipe may override the rest.
    """

    name: str
    trains: tuple[str, ...] = ("",)
    repeats: int = 1
    lr: float = 1e-3
    betas: tuple[float, float] = (0.9, 0.99)
    optimizer: Literal["adamw", "muon"] = "adamw"
    muon_lr: float = 0.02  # its momentum is the first of `betas`
    weight_decay: float = 0.0


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
    """A generative family over one space.

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
    """Stored numbers of one example that are still affordable (None: no limit)."""
    least_axes: ClassVar[int] = 0
    """Axes that the grid of an example has at least."""
    unpaired: ClassVar[bool] = False
    """Whether it learns from domains without pairs; see the task of that name."""
    domain_options: ClassVar[frozenset[str]] = frozenset()
    """Options that are the number of a domain; a person may name it instead."""
    infills: ClassVar[Literal["no", "prefix", "any"]] = "no"
    """Which known parts of an example it keeps itself, see `infill`: none, a beginning, or any."""
    generates: ClassVar[bool] = True
    """Whether it makes examples; a family that does not offers `encode`."""
    likelihood: LikelihoodKind = "none"
    """What `log_prob` gives: nothing, a lower bound, or the log-likelihood itself. A family that has one for
    some spaces alone says so in its class, and "none" in its objects over the others."""
    likelihood_examples: int | None = None
    """Held-out examples that are enough to judge by, where one takes many passes (None: as many as there
    are)."""
    has_heldout: bool = True
    """Whether a held-out loss means something for this family."""
    quick: bool = False
    """Whether one pass of a network makes an example: then many are drawn at each check."""
    latent_dim: int = 0
    """Numbers in a code that `decode` reads; 0 where there is no `decode`."""
    gaussian_prior: bool = True
    """Whether the prior of codes is the standard normal, so that they all lie at about one distance from
    0."""
    batch_size: ClassVar[int] = 128
    """Examples in a step, unless the recipe says otherwise."""
    least_batch: int = 1
    """Examples that have to be in a batch together, at least."""
    phases: tuple[Phase, ...] = (Phase("fit"),)
    adversarial: bool = False
    """Whether networks are trained against each other, so that their losses leap by nature."""
    large_products: ClassVar[bool] = False
    """Whether its networks multiply large matrices over rows without a grid, too: bfloat16 helps then."""
    diagnostics: tuple[Diagnostic, ...] = ()
    """By what a training that goes wrong in this family's own way is known."""
    shared: Mapping[str, Literal["mean", "first"]] = MappingProxyType({})
    """Buffers that every device keeps a part of, and how they become one after each step: their mean over
    the devices, or what the first one has."""
    code: Space | None = None
    """What `to_latent` writes, where an example alone decides its code."""
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

    # -- training ------------------------------------------------------------------------------

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
        if not self.has_heldout:
            raise Unsupported(
                f"{self.name} has no held-out loss: judge its samples instead", code="no-heldout"
            )
        total = torch.stack(list(self.loss(batch, self.phases[0].name).values())).sum()
        n = torch.tensor(float(len(batch)), device=total.device)
        return total * n, n

    # -- sampling ------------------------------------------------------------------------------

    @torch.no_grad()
    def sample(
        self,
        n: int,
        cond: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        chunk: int = 256,
        **sampler_options: Any,
    ) -> Tensor:
        """`n` examples in stored form `(n, stored, *grid)`; the same seed gives the same bytes.

        cond   conditions in stored form, `n` rows each; a missing one is left open
        chunk  examples made at once: a matter of memory, and part of what the seed fixes
        sampler_options  the keywords of this family's sampler (see `sampler_options()`); unknown ones are
        refused
        """
        return self._by_chunks(self._sample, n, (), dict(cond or {}), seed, chunk, sampler_options)

    @torch.no_grad()
    def infill(
        self,
        x: Tensor,
        known: Tensor,
        cond: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        chunk: int = 256,
        **sampler_options: Any,
    ) -> Tensor:
        """Examples that are stored `x` `(n, stored, *grid)` where `known`, of the same shape, is true;
        all else is made to go with it. The rest as in `sample`. Raises `Unsupported` unless the family
        can, `Incompatible` for what it cannot keep."""
        self.space.check(x, "what is given")
        if known.shape != x.shape or known.dtype != torch.bool:
            raise Incompatible(
                f"which numbers are known is a mask of true and false, shaped as the examples "
                f"{tuple(x.shape)}, got {tuple(known.shape)} of {known.dtype}",
                code="wrong-mask",
            )
        x = torch.where(known, x, torch.zeros_like(x))  # whatever stands in a gap
        for slot in self.space.slots():
            k = getattr(slot.span, "k", None)
            part = x[:, slot.stored]
            if k is not None and part.numel() and not 0 <= part.min() <= part.max() < k:
                raise Incompatible(
                    f"a known symbol is none of the {k}, numbered from 0 to {k - 1}",
                    code="unknown-symbol",
                )
        return self._by_chunks(
            self._infill, len(x), (x, known), dict(cond or {}), seed, chunk, sampler_options
        )

    def _by_chunks(
        self,
        make: Callable[..., Tensor],
        n: int,
        given: tuple[Tensor, ...],
        cond: dict[str, Tensor],
        seed: int,
        chunk: int,
        sampler_options: dict[str, Any],
    ) -> Tensor:
        """All that is asked for is checked here; `make` is `_sample` or `_infill`."""
        self.check_generates()
        for name, value in cond.items():
            if name not in self.cond:
                raise Incompatible(
                    f"this model was trained without the condition {name!r}; {suggest(name, self.cond)}",
                    code="unknown-condition",
                )
            self.cond[name].space.check(value, f"the condition {name!r}")
            if value.shape[0] != n:
                raise Incompatible(
                    f"{n} samples need {n} values of {name!r}, got {value.shape[0]}", code="wrong-count"
                )
        self.check_given(cond)
        check({"n": n, "seed": seed, "chunk": chunk}, _SAMPLE, where="sample")
        checked = coerce(self._sample, sampler_options, where="sample")
        self._guidable(checked.get("guidance_scale", 1.0), cond)
        was_training = self.training
        self.eval()
        try:
            parts = []
            for start in range(0, n, chunk):
                stop = min(start + chunk, n)
                rng = torch.Generator(self.device).manual_seed(_mix(seed, start))
                some = {name: value[start:stop].to(self.device) for name, value in cond.items()}
                whole = tuple(t[start:stop].to(self.device) for t in given)
                parts.append(make(*(whole or (stop - start,)), some, rng, **checked))
        finally:
            self.train(was_training)
        return torch.cat(parts)

    def _guidable(self, scale: float, cond: Mapping[str, Tensor]) -> None:
        """Refuse to exaggerate what is not there."""
        free = [name for name, spec in self.cond.items() if spec.drop]
        if scale == 1.0 or any(name in cond for name in free):
            return
        there = (
            f"none of {', '.join(map(repr, free))} is given: give one (--given NAME=VALUE)"
            if free
            else "this model was trained without any that may be left out: leave it out, or train one with "
            "--label"
        )
        raise Incompatible(
            f"guidance_scale={scale:g} weighs a condition, and {there}", code="no-guidance"
        )

    def check_given(self, given: Mapping[str, Tensor]) -> None:
        """Raise `Unsupported` where a condition is missing that was never left out in training."""
        for name, spec in self.cond.items():
            if name not in given and not spec.drop:
                raise Unsupported(
                    f"{self.name} was never trained without {name!r}: give it (--given {name}=VALUE)",
                    code="condition-missing",
                )

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

    def _sample(self, n: int, given: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        """`n` examples; the sampler's options are keyword-only arguments of the override, which every family
        has that `generates`."""
        raise NotImplementedError

    @classmethod
    def check_generates(cls) -> None:
        """Raise `Unsupported` for a family that makes no examples."""
        if not cls.generates:
            name = cls.__name__.lower()
            raise Unsupported(
                f"{name} learns codes and makes no examples: genwright probe RUN says what its codes are "
                f"worth; for examples train another family (--family vae)",
                code="makes-no-examples",
            )

    def _infill(
        self,
        x: Tensor,
        known: Tensor,
        given: dict[str, Tensor],
        rng: torch.Generator,
        **sampler_options: Any,
    ) -> Tensor:
        """A capability: fill the gaps of `x`, with the options of `_sample`."""
        raise Unsupported(
            f"{self.name} makes whole examples and cannot keep a part of one: train --family masked, which "
            f"can, or autoregressive, which goes on from a beginning",
            code="no-infill",
        )

    @classmethod
    def sampler_options(cls) -> list[str]:
        """Names that `sample` takes beside n, cond, seed and chunk."""
        return list(options(cls._sample))

    # -- capabilities --------------------------------------------------------------------------

    def log_prob(self, batch: Batch) -> Tensor:
        """Log-likelihood of each example in nats `(B,)`, or a lower bound of it: see `likelihood`."""
        raise Unsupported(f"{self.name} offers no likelihood", code="no-likelihood")

    def encode(self, batch: Batch) -> Tensor:
        """A latent code for each example `(B, dim)`."""
        raise Unsupported(f"{self.name} offers no latent code", code="no-encode")

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """The likeliest stored example of each code `(B, latent_dim)`: the way back of `encode`."""
        raise Unsupported(f"{self.name} makes no examples of latent codes", code="no-decode")

    def sample_prior(self, n: int, cond: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        """Samples of the prior, codes for `decode` `(n, latent_dim)`."""
        return torch.randn(n, self.latent_dim, generator=rng, device=rng.device)

    def to_latent(self, batch: Batch) -> Tensor:
        """Stored examples of `code`, always the same ones for the same examples."""
        raise Unsupported(
            f"{self.name} offers no codes that another model could be trained on", code="no-codes"
        )

    def from_latent(self, code: Tensor, rng: torch.Generator) -> Tensor:
        """Stored examples of the space from those of `code`; what the code leaves open is drawn."""
        raise Unsupported(
            f"{self.name} offers no codes that another model could be trained on", code="no-codes"
        )

    # ------------------------------------------------------------------------------------------

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    @property
    def device(self) -> torch.device:
        return next(self.parameters()).device


_SAMPLE = {"n": Count, "seed": Natural, "chunk": Count}


def _mix(seed: int, n: int) -> int:
    """A seed for the n-th part of something seeded (the constant is splitmix64's)."""
    return (seed * 0x9E3779B97F4A7C15 + n) & 0x7FFF_FFFF_FFFF_FFFF
