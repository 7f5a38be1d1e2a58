"""What a family can do beside learning, each a class: a family's bases say what it offers.

    Generative        makes examples                             sample
    Infilling         keeps what is known of an example          infill
    DensityEstimator  says how probable an example is            log_prob
    Encoder           says an example in a vector                encode
    LatentVariable    makes an example of a latent code          decode, sample_prior
    Autoencoder       says an example in a smaller one, and back to_latent, from_latent

One that translates between domains without pairs is a `Translator`. What a family offers for some spaces or
conditions alone is None in its objects over the others: `likelihood`, `code`.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible, Unsupported, suggest
from genwright.families.base import Family
from genwright.families.lanes import LaneRequest, in_lanes
from genwright.families.workers import side_by_side
from genwright.grammar import Grammar
from genwright.options import Count, Natural
from genwright.registry import check, coerce, options
from genwright.space import Space

__all__ = [
    "Autoencoder",
    "DensityEstimator",
    "Encoder",
    "Generative",
    "Infilling",
    "LatentVariable",
    "LikelihoodKind",
    "chunk_seed",
    "generative",
]

LikelihoodKind = Literal["bound", "exact"]
T = TypeVar("T")


class Generative(Family):
    """One that makes examples."""

    quick: bool = False
    """Whether one pass of a network makes an example: then many are drawn at each check."""
    half_precision: bool = False
    """Whether samples may be made in bfloat16 where that is faster, as the training was."""
    grammar: Grammar | None = None
    """What the symbols of an example have to keep to, where they can only be read back then. One that makes them
    one after the other draws among those that may follow."""

    @property
    def chunk(self) -> int:
        """Examples that are made at once unless another number is asked for: on a CPU so few that several chunks
        can be made side by side."""
        if self.device.type != "cpu":
            return 256
        return _power_of_two(2**14 / (self.space.stored * self.space.positions), 8, 256)

    @property
    def lanes(self) -> int:
        """Rows in which a few examples are made, though fewer be wanted: so many that they cost little more than
        one."""
        return max(1, min(8, self.chunk // 32))

    def sample(
        self,
        n: int,
        cond: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        chunk: int | None = None,
        **sampler_options: Any,
    ) -> Tensor:
        """`n` examples in stored form `(n, stored, *grid)`; the same seed gives the same bytes, on however many
        cores.

        cond   conditions in stored form, `n` rows each; a missing one is left open
        chunk  examples made at once: a matter of memory, and part of what the seed fixes
        sampler_options  the keywords of this family's sampler (see `sampler_options()`); unknown ones are
        refused
        """
        return torch.cat(list(self.stream(n, cond, seed=seed, chunk=chunk, **sampler_options)))

    def stream(
        self,
        n: int,
        cond: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        chunk: int | None = None,
        partial: tuple[Tensor, Tensor] | None = None,
        **sampler_options: Any,
    ) -> Iterator[Tensor]:
        """The same chunk by chunk, as they are made: a larger `n` begins with the same whole chunks.

        partial  of one that infills: examples and which of their numbers are known
        """
        cond, chunk = dict(cond or {}), self.chunk if chunk is None else chunk
        check({"n": n, "seed": seed, "chunk": chunk}, _SAMPLE, where="sample")
        make = self._maker(n, cond, sampler_options)

        def one(start: int) -> Tensor:
            stop = min(start + chunk, n)
            rng = torch.Generator(self.device).manual_seed(chunk_seed(seed, start))
            some = {name: value[start:stop].to(self.device) for name, value in cond.items()}
            known = None
            if partial is not None:
                x, there = (t[start:stop].to(self.device) for t in partial)
                known = (x, there)
            (made,) = in_lanes(
                make, [LaneRequest(stop - start, rng, some, known)], min(self.lanes, chunk)
            )
            return made

        return self._made(one, range(0, n, chunk))

    def together(
        self, wanted: Sequence[tuple[int, Mapping[str, Tensor], int]], **sampler_options: Any
    ) -> list[Tensor]:
        """What `sample` gives for each of several small requests, made at once: `n`, conditions and seed of each,
        `lanes` examples in all at most.

        Raises `Unsupported` where the sampler cannot make several requests at once.
        """
        parts = []
        for n, cond, seed in wanted:
            make = self._maker(n, cond, sampler_options)
            rng = torch.Generator(self.device).manual_seed(chunk_seed(seed, 0))
            parts.append(
                LaneRequest(n, rng, {name: value.to(self.device) for name, value in cond.items()})
            )
        (made,) = self._made(lambda _: in_lanes(make, parts, self.lanes), range(1))
        return made

    def _maker(
        self, n: int, cond: Mapping[str, Tensor], sampler_options: Mapping[str, Any]
    ) -> Callable[..., Tensor]:
        """The sampler with its options. Raises for what it cannot be asked."""
        self._check(n, cond)
        checked = coerce(self._sample, sampler_options, where="sample")
        self._guidable(checked.get("guidance_scale", 1.0), cond)
        return functools.partial(self._sample, **checked)

    def _made(self, one: Callable[[int], T], starts: range) -> Iterator[T]:
        was_training = self.training
        self.eval()
        try:
            yield from side_by_side(one, starts, self.device)
        finally:
            self.train(was_training)

    def _check(self, n: int, cond: Mapping[str, Tensor]) -> None:
        """Raise for conditions that the model does not know, does not have, or that are not `n`."""
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

    @abstractmethod
    def _sample(self, n: int, given: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        """`n` examples; the sampler's options are keyword-only arguments of the override."""

    @classmethod
    def sampler_options(cls) -> list[str]:
        """Names that `sample` takes beside n, cond, seed and chunk."""
        return list(options(cls._sample))


def generative(family: Family) -> Generative:
    """The same family. Raises `Unsupported` unless it makes examples."""
    if not isinstance(family, Generative):
        raise Unsupported(
            f"{family.name} learns codes and makes no examples: genwright probe RUN says what its codes are "
            f"worth; for examples train another family (--family vae)",
            code="makes-no-examples",
        )
    return family


class Infilling(Generative):
    """One that makes the rest of an example of which a part is known."""

    infills: ClassVar[Literal["prefix", "any"]]
    """Which known parts it keeps: a beginning, or any."""

    def infill(
        self,
        x: Tensor,
        known: Tensor,
        cond: Mapping[str, Tensor] | None = None,
        *,
        seed: int = 0,
        chunk: int | None = None,
        **sampler_options: Any,
    ) -> Tensor:
        """Examples that are stored `x` `(n, stored, *grid)` where `known`, of the same shape, is true;
        all else is made to go with it. The rest as in `sample`. Raises `Incompatible` for what it cannot
        keep."""
        partial = self.partial(x, known)
        options: dict[str, Any] = {"seed": seed, "chunk": chunk, **sampler_options}
        return torch.cat(list(self.stream(len(x), cond, partial=partial, **options)))

    def partial(self, x: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Examples of which a part is known, for `stream`. Raises `Incompatible` for what are none."""
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
        return x, known

    @abstractmethod
    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        partial: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """As of any `Generative`; partial: stored examples, and which numbers of them are known."""


class DensityEstimator(Family):
    """One that says how probable an example is."""

    likelihood: LikelihoodKind | None
    """What `log_prob` gives: the log-likelihood itself, or a lower bound."""
    within: Literal["joint", "independent"] = "joint"
    """Whether what stands at one position is told of each other, or each is independent of the rest there."""
    likelihood_examples: int | None = None
    """Held-out examples that are enough to judge by, where one takes many passes (None: as many as there
    are)."""

    @abstractmethod
    def log_prob(self, batch: Batch) -> Tensor:
        """Log-likelihood of each example in nats `(B,)`, or a lower bound of it."""


class Encoder(Family):
    """One that says an example in a vector."""

    @abstractmethod
    def encode(self, batch: Batch) -> Tensor:
        """A code for each example `(B, dim)`."""


class LatentVariable(Generative):
    """One that makes an example of a latent code, which has a prior."""

    latent_dim: int
    """Numbers in a code."""
    gaussian_prior: bool = True
    """Whether the prior of codes is the standard normal, so that they all lie at about one distance from
    0."""

    @abstractmethod
    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """The likeliest stored example of each code `(B, latent_dim)`; of an `Encoder` the way back of
        `encode`."""

    def sample_prior(self, n: int, cond: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        """Samples of the prior, codes for `decode` `(n, latent_dim)`."""
        return torch.randn(n, self.latent_dim, generator=rng, device=rng.device)


class Autoencoder(Encoder):
    """One whose codes are examples of a smaller space, which another model can be trained on."""

    code: Space | None = None
    """What `to_latent` writes; None where an example alone does not decide its code."""

    @abstractmethod
    def to_latent(self, batch: Batch) -> Tensor:
        """Stored examples of `code`, always the same ones for the same examples."""

    @abstractmethod
    def from_latent(self, code: Tensor, rng: torch.Generator) -> Tensor:
        """Stored examples of the space from those of `code`; what the code leaves open is drawn."""


_SAMPLE = {"n": Count, "seed": Natural, "chunk": Count}


def chunk_seed(seed: int, n: int) -> int:
    """A seed for the n-th part of something seeded (the constant is splitmix64's)."""
    return (seed * 0x9E3779B97F4A7C15 + n) & 0x7FFF_FFFF_FFFF_FFFF


def _power_of_two(x: float, least: int, most: int) -> int:
    """The largest one that is not above `x`, within bounds that are some themselves."""
    return min(most, max(least, 2 ** math.floor(math.log2(x))))
