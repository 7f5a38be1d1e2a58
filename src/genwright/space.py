"""What one example is, said without naming a modality.

A **space** is a grid of positions and the spans that stand at each of them:

    a row of a table     ()          Real(1), Symbol(5), Real(1), ...
    a text               (256,)      Symbol(8000)
    a picture            (64, 64)    Real(3, bounded=True)
    a level              (14, 28)    Symbol(12)
    a time series        (24,)       Real(6)
    a film               (16, 64, 64) Real(3, bounded=True)

An example is **stored** as one tensor `(B, stored, *grid)`: a real channel as its value, a symbol
as its index in one channel; the dtype is `long` when every span is a symbol and float otherwise.
A network sees the **embedded** form `(B, width, *grid)`, where a symbol is one-hot, and answers in
the same layout: a mean for each real channel, a logit for each symbol. Four verbs connect the two;
families use nothing else, so that no family knows what the data shows.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.errors import Incompatible

__all__ = ["CondSpec", "Kind", "Real", "Space", "Span", "Symbol", "cond_specs"]

Kind = Literal["real", "symbol", "mixed"]


@dataclass(frozen=True)
class Real:
    """`n` real channels.

    `bounded` promises that every value lies in [-1, 1] (the brightness of a pixel); otherwise the
    codec has brought the values to about zero mean and unit variance (a column of a table).
    """

    n: int = 1
    bounded: bool = False

    @property
    def stored(self) -> int:
        return self.n

    @property
    def width(self) -> int:
        return self.n


@dataclass(frozen=True)
class Symbol:
    """One of `k` symbols. `pad` is the index that only fills up an example shorter than the grid; `ordered` says
    that neighbours are alike, as the bins of a number; `vectors` that the last symbols are the words whose vectors are
    known (`word_vectors.py`)."""

    k: int
    pad: int | None = None
    ordered: bool = False
    vectors: bool = False

    @property
    def stored(self) -> int:
        return 1

    @property
    def width(self) -> int:
        return self.k


Span = Real | Symbol


@dataclass(frozen=True)
class Slot:
    """A span and where it lies: its channels in the stored and in the embedded form."""

    span: Span
    stored: slice
    width: slice


@dataclass(frozen=True)
class Space:
    """`grid` positions, and at each of them the same `spans`. Raises `Incompatible` if impossible."""

    grid: tuple[int, ...]
    spans: tuple[Span, ...]

    def __post_init__(self) -> None:
        if not self.spans or any(size < 1 for size in self.grid) or len(self.grid) > 3:
            raise Incompatible(
                f"a space needs at least one span and up to three grid sizes of 1 or more, got {self}",
                code="impossible-space",
            )
        if any((s.k if isinstance(s, Symbol) else s.n) < 1 for s in self.spans):
            raise Incompatible(
                f"every span needs at least one symbol or channel, got {self.spans}",
                code="impossible-space",
            )

    # -- sizes ---------------------------------------------------------------------------------

    @cached_property
    def kind(self) -> Kind:
        symbols = sum(isinstance(span, Symbol) for span in self.spans)
        return "symbol" if symbols == len(self.spans) else "mixed" if symbols else "real"

    @property
    def stored(self) -> int:
        """Channels kept for an example."""
        return sum(span.stored for span in self.spans)

    @property
    def width(self) -> int:
        """Channels that a network sees and answers with."""
        return sum(span.width for span in self.spans)

    @property
    def positions(self) -> int:
        return math.prod(self.grid)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one stored example."""
        return (self.stored, *self.grid)

    @property
    def dtype(self) -> torch.dtype:
        return torch.long if self.kind == "symbol" else torch.float32

    def slots(self) -> Iterator[Slot]:
        """The spans with their channels. The only place that counts offsets."""
        stored = width = 0
        for span in self.spans:
            yield Slot(span, slice(stored, stored + span.stored), slice(width, width + span.width))
            stored, width = stored + span.stored, width + span.width

    @property
    def real_channels(self) -> int:
        return sum(span.n for span in self.spans if isinstance(span, Real))

    def real_mask(self, *, bounded: bool = False, embedded: bool = False) -> Tensor:
        """Which channels are reals, or bounded reals alone: of the stored form, or of the embedded one."""
        return torch.tensor(
            [
                isinstance(span, Real) and (span.bounded or not bounded)
                for span in self.spans
                for _ in range(span.width if embedded else span.stored)
            ]
        )

    @property
    def bounded(self) -> bool:
        """Whether every number of an example is a real in [-1, 1]."""
        return bool(self.real_mask(bounded=True).all())

    # -- the verbs -----------------------------------------------------------------------------

    def embed(self, x: Tensor) -> Tensor:
        """Stored `(B, stored, *grid)` to what a network sees `(B, width, *grid)`, float."""
        if self.kind == "real":
            return x.float()
        parts = []
        for slot in self.slots():
            part = x[:, slot.stored]
            if isinstance(slot.span, Symbol):
                part = F.one_hot(part.squeeze(1).long(), slot.span.k).movedim(-1, 1)
            parts.append(part.float())
        return torch.cat(parts, dim=1)

    def nll(
        self,
        out: Tensor,
        x: Tensor,
        mask: Tensor | None = None,
        log_scale: Tensor | None = None,
    ) -> Tensor:
        """Negative log-likelihood of stored `x` under a network's answer, in nats, `(B,)`.

        A real channel is Gaussian around `out` with standard deviation `exp(log_scale)`
        (`(real_channels,)`, 1 where None); a symbol is categorical with logits `out`.
        `mask` `(B, *grid)` counts only the positions where it is true.
        """
        total = torch.zeros(x.shape[0], *self.grid, device=out.device, dtype=torch.float32)
        first = 0
        truths = torch.split(x, [span.stored for span in self.spans], dim=1)
        for span, part, truth in zip(self.spans, self._parted(out), truths, strict=True):
            answer = part.float()
            if isinstance(span, Symbol):
                total = total + F.cross_entropy(answer, truth.squeeze(1).long(), reduction="none")
                continue
            scale = self._log_scale(log_scale, first, span.n, out)
            first += span.n
            z = (truth.float() - answer) * torch.exp(-scale)
            total = total + (0.5 * z * z + scale + 0.5 * math.log(2 * math.pi)).sum(1)
        if mask is not None:
            total = total * mask.to(total.dtype)
        return total.reshape(x.shape[0], -1).sum(1)

    def relax(self, out: Tensor, tau: float = 1.0) -> Tensor:
        """A differentiable fake in the embedded form.

        Reals as they are; a symbol by straight-through Gumbel-softmax (Jang et al. 2017,
        arXiv:1611.01144): one-hot going forward, so that a critic cannot tell it by its softness,
        and the soft gradient going back.
        """
        parts = []
        for span, answer in zip(self.spans, self._parted(out), strict=True):
            part = answer.float()
            if isinstance(span, Symbol):
                # -log(-log u) overflows where u rounds to 0 or 1; an exponential draw does not.
                gumbel = -torch.empty_like(part).exponential_().clamp_min(1e-20).log()
                soft = ((part + gumbel) / tau).softmax(1)
                hard = F.one_hot(soft.argmax(1), span.k).movedim(-1, 1).to(soft.dtype)
                part = hard + soft - soft.detach()
            parts.append(part)
        return torch.cat(parts, dim=1)

    def squash(self, out: Tensor) -> Tensor:
        """tanh on the bounded reals, so that a generator cannot leave their range."""
        parts = [
            part.tanh() if isinstance(span, Real) and span.bounded else part
            for span, part in zip(self.spans, self._parted(out), strict=True)
        ]
        return torch.cat(parts, dim=1)

    def draw(
        self,
        out: Tensor,
        temperature: float = 0.0,
        rng: torch.Generator | None = None,
        log_scale: Tensor | None = None,
    ) -> Tensor:
        """A network's answer to stored examples `(B, stored, *grid)`.

        At temperature 0 the mean and the likeliest symbol; above it a draw, symbols from
        `softmax(out / temperature)`. Noise is added to a real channel only where `log_scale`
        tells how much.
        """
        parts = []
        first = 0
        for slot in self.slots():
            part = out[:, slot.width].float()
            if isinstance(slot.span, Symbol):
                if temperature > 0:
                    noise = torch.empty_like(part).exponential_(generator=rng).clamp_min(1e-20)
                    part = part / temperature - noise.log()
                part = part.argmax(1, keepdim=True).to(self.dtype)
            else:
                if temperature > 0 and log_scale is not None:
                    scale = self._log_scale(log_scale, first, slot.span.n, out)
                    noise = torch.empty_like(part).normal_(generator=rng)
                    part = part + temperature * noise * torch.exp(scale)
                first += slot.span.n
                part = part.clamp(-1, 1) if slot.span.bounded else part
            parts.append(part)
        return torch.cat(parts, dim=1)

    def valid(self, x: Tensor) -> Tensor | None:
        """Which positions of stored `x` carry content `(B, *grid)`; None where all do.

        The first pad ends an example and still belongs to it: it says where to stop.
        """
        pads = [s for s in self.slots() if isinstance(s.span, Symbol) and s.span.pad is not None]
        if not pads or len(self.grid) != 1:
            return None
        span = pads[0].span
        assert isinstance(span, Symbol)
        assert span.pad is not None
        ended = torch.eq(x[:, pads[0].stored].squeeze(1), span.pad).long()
        return torch.eq(ended.cumsum(1) - ended, 0)

    # -- what is not known ---------------------------------------------------------------------

    def holed(self) -> Space:
        """The space of its examples with parts unknown: one more symbol for a symbol (k is "unknown"), and
        beside each real channel one that is 1 where it is known."""
        spans: list[Span] = []
        for span in self.spans:
            if isinstance(span, Symbol):
                spans.append(Symbol(span.k + 1, span.pad))
            else:
                spans += [span, Real(span.n, bounded=True)]
        return Space(self.grid, tuple(spans))

    def punch(self, x: Tensor, known: Tensor, guess: Tensor | None = None) -> Tensor:
        """Stored `x` as a stored example of `holed()`; `known` `(B, stored, *grid)` is true where it is.

        An unknown real is 0, or what `guess` has in its place, beside a 0, since 0 alone is a value.
        """
        parts = []
        for slot in self.slots():
            part, there = x[:, slot.stored], known[:, slot.stored]
            if isinstance(slot.span, Symbol):
                parts.append(torch.where(there, part, torch.full_like(part, slot.span.k)))
            else:
                other = torch.zeros_like(part) if guess is None else guess[:, slot.stored]
                parts += [torch.where(there, part, other), there.to(part.dtype)]
        return torch.cat(parts, dim=1).to(self.dtype)

    def check(self, x: Tensor, what: str = "the batch") -> None:
        """Raise `Incompatible` unless `x` is a batch of stored examples of this space."""
        if tuple(x.shape[1:]) != self.shape or x.is_floating_point() != (self.kind != "symbol"):
            raise Incompatible(
                f"{what} has shape {tuple(x.shape)} and dtype {x.dtype}; this space wants "
                f"(B, {', '.join(map(str, self.shape))}) and {self.dtype}",
                code="wrong-shape",
            )

    def _parted(self, out: Tensor) -> tuple[Tensor, ...]:
        """A network's answer span by span, all at once: the gradient of a slice is as large as the whole."""
        return torch.split(out, [span.width for span in self.spans], dim=1)

    def _log_scale(self, log_scale: Tensor | None, first: int, n: int, out: Tensor) -> Tensor:
        if log_scale is None:
            return out.new_zeros((), dtype=torch.float32)
        return log_scale[first : first + n].float().view(1, n, *[1] * len(self.grid))

    # -- on disk -------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON."""
        spans = [
            {"real": s.n, "bounded": s.bounded}
            if isinstance(s, Real)
            # Said only where it is so: data and runs of older versions are known by the rest.
            else {
                "symbol": s.k,
                "pad": s.pad,
                **{name: True for name in ("ordered", "vectors") if getattr(s, name)},
            }
            for s in self.spans
        ]
        return {"grid": list(self.grid), "spans": spans}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> Space:
        spans: list[Span] = [
            Real(s["real"], s["bounded"])
            if "real" in s
            else Symbol(s["symbol"], s["pad"], s.get("ordered", False), s.get("vectors", False))
            for s in state["spans"]
        ]
        return cls(tuple(state["grid"]), tuple(spans))

    def __str__(self) -> str:
        grid = " x ".join(map(str, self.grid)) or "one row"
        if len(self.grid) == 1 and any(isinstance(s, Symbol) and s.pad is not None for s in self.spans):
            grid = f"up to {grid}"
        kinds = [s.k if isinstance(s, Symbol) else 0 for s in self.spans]
        widths = [1 if isinstance(s, Symbol) else s.n for s in self.spans]
        if self.grid and sum(widths) == 1:
            return f"{grid} {_named(2, kinds[0])}"
        many = len({*filter(None, kinds)}) > 2
        totals = Counter[int]()
        for n, k in zip(widths, kinds, strict=True):
            totals[MIXED if many and k else k] += n
        said = [f"{n:,} {_named(n, k)}" for k, n in totals.items()]
        return f"{grid} of {', '.join(said)}"


MIXED = -1


def _named(n: int, k: int) -> str:
    """What `n` symbols out of `k` are called (of several kinds where it is `MIXED`), or numbers where it is 0."""
    one = "symbol" if k else "number"
    return (one if n == 1 else f"{one}s") + (f" out of {k:,}" if k > 0 else "")


@dataclass(frozen=True)
class CondSpec:
    """One condition of a family.

    space  what it is made of
    drop   probability that an example is shown without it in training: 0 for what a request always has
    align  its places lie on those of x: it is resampled to the grid of x and joins there. What is not
           aligned may have any grid, also that of x by chance
    whole  each of its places is read by itself, and what only fills it up is not; a grid of many places is else
           shrunk first
    copied symbols of x are often taken from it: those of both are the same
    """

    space: Space
    drop: float = 0.1
    align: bool = False
    whole: bool = False
    copied: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.drop < 1:
            raise Incompatible(
                f"a condition is dropped with a probability of at least 0 and below 1, got {self.drop}",
                code="drop-out-of-range",
            )

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {**self.space.state(), "drop": self.drop, "align": self.align}

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> CondSpec:
        """Also from the state of a space alone, as older runs have it."""
        return cls(Space.restore(state), state.get("drop", cls.drop), state.get("align", cls.align))


def cond_specs(cond: Mapping[str, CondSpec | Space]) -> dict[str, CondSpec]:
    """Conditions sorted by name, so that the order in which they are given means nothing."""
    return {name: CondSpec(one) if isinstance(one, Space) else one for name, one in sorted(cond.items())}
