"""Two-way changes of the spans, for a family that cannot take a space as it is.

A bridge is fitted once on training examples, turns stored examples of one space into those of another,
and turns generated ones back. With those in this file the grid stays; `spectrogram.py` has one of waveforms, and those
in `latent.py` lead to the codes of another run.

    quantize     every real becomes a symbol         for autoregressive models
    onehot       every symbol becomes reals          for models of reals alone
    dequantize   every symbol becomes one real       where the symbols are ordered
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from torch import Tensor

from genwright.space import Real, Slot, Space, Span, Symbol

__all__ = ["Bridge", "Dequantize", "Identity", "OneHot", "Quantize"]


class Bridge(ABC):
    """From stored examples of `source` to stored examples of `target`, and back."""

    learns: ClassVar[bool] = False
    """Whether `fit` looks at the examples; otherwise the space alone decides."""
    keeps_likelihood: ClassVar[bool] = True
    """Whether the likelihood of what the bridge makes says something of the examples."""
    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_bridge` that it does not keep."""
    source: Space
    target: Space

    @property
    def name(self) -> str:
        return type(self).__name__.lower()

    def fit(self, source: Space, x: Tensor) -> None:
        """Learn from training examples `(B, stored, *grid)`."""
        self.source = source
        self.target = self.plan(source)

    @abstractmethod
    def plan(self, source: Space) -> Space:
        """The largest target that `fit` could come to, without any data."""

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """`source` to `target`."""

    @abstractmethod
    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        """`target` to `source`; what the bridge had blurred is drawn with `rng`."""

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {"source": self.source.state(), "target": self.target.state()}

    def tensors(self) -> dict[str, Tensor]:
        """What is too large for JSON."""
        return {}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        self.source = Space.restore(state["source"])
        self.target = Space.restore(state["target"])

    def _change(
        self, space: Space, to: Space, x: Tensor, change: Callable[[int, Slot, Tensor], Tensor | None]
    ) -> Tensor:
        """Change the spans one by one; a span for which `change` gives None stays as it is."""
        parts = []
        for i, slot in enumerate(space.slots()):
            part = x[:, slot.stored]
            changed = change(i, slot, part)
            parts.append((part if changed is None else changed).to(to.dtype))
        return torch.cat(parts, dim=1)


class Identity(Bridge):
    """No bridge."""

    def plan(self, source: Space) -> Space:
        return source

    def forward(self, x: Tensor) -> Tensor:
        return x

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return y


class Quantize(Bridge):
    """Each real channel becomes one symbol.

    A channel with no more than `bins` distinct values keeps them, exactly. Otherwise a bounded one is
    cut into equal bins and an unbounded one into bins of equal weight. A bin is left again by drawing
    from the training values in it (its quantiles, linear in between), so that an atom within a bin
    stays an atom.
    """

    learns = True
    fine = 8  # quantiles kept in each bin

    def __init__(self, *, bins: Annotated[int, Ge(2)] = 256) -> None:
        """bins: the most symbols of one channel."""
        self.bins = bins
        self.tables: list[Tensor] = []
        """For each real channel the sorted quantiles `(k, fine + 1)` of its k bins."""

    def plan(self, source: Space) -> Space:
        return Space(source.grid, _split(source, [self.bins] * source.real_channels))

    def fit(self, source: Space, x: Tensor) -> None:
        self.source = source
        self.tables = [
            self._table(x[:, c].flatten().double().cpu(), span.bounded)
            for slot in source.slots()
            if isinstance(span := slot.span, Real)
            for c in range(slot.stored.start, slot.stored.stop)
        ]
        self.target = Space(source.grid, _split(source, [len(table) for table in self.tables]))

    def _table(self, values: Tensor, bounded: bool) -> Tensor:
        distinct = torch.unique(values)
        if len(distinct) <= self.bins:
            return distinct[:, None].expand(-1, self.fine + 1).clone()
        shares = torch.linspace(0, 1, self.fine + 1, dtype=torch.double)
        if bounded:
            edges = torch.linspace(-1, 1, self.bins + 1, dtype=torch.double)
            return edges[:-1, None] + shares * (edges[1:] - edges[:-1])[:, None]
        ordered = values.sort().values
        rank = torch.linspace(0, 1, self.bins * self.fine + 1, dtype=torch.double)
        knots = ordered[(rank * (len(ordered) - 1)).round().long()]
        table = torch.stack(
            [knots[i : i + self.bins * self.fine : self.fine] for i in range(self.fine)], 1
        )
        last = torch.cat([table[1:, :1], knots[-1:, None]])
        table = torch.cat([table, last], dim=1)
        # An atom heavier than a bin fills several of them: keep one.
        keep = torch.cat([torch.tensor([True]), (table[1:] != table[:-1]).any(1)])
        return table[keep]

    def forward(self, x: Tensor) -> Tensor:
        tables = iter(self.tables)

        def change(_: int, slot: Slot, part: Tensor) -> Tensor | None:
            if isinstance(slot.span, Symbol):
                return None
            return torch.stack(
                [_bin(part[:, c].double(), next(tables).to(part.device)) for c in range(slot.span.n)], 1
            )

        return self._change(self.source, self.target, x, change)

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        parts, at, tables = [], 0, iter(self.tables)
        # By example, so that how many others there are changes none.
        shape = (len(y), self.source.real_channels, *y.shape[2:])
        u = iter(torch.rand(shape, generator=rng, device=y.device, dtype=torch.double).unbind(1))
        for span in self.source.spans:
            if isinstance(span, Symbol):
                parts.append(y[:, at : at + 1].to(self.source.dtype))
                at += 1
                continue
            for _ in range(span.n):
                table = next(tables).to(y.device)
                place = next(u) * self.fine
                low = place.long().clamp_max(self.fine - 1)
                a, b = table[y[:, at], low], table[y[:, at], low + 1]
                parts.append((a + (place - low) * (b - a)).to(self.source.dtype)[:, None])
                at += 1
        return torch.cat(parts, dim=1)

    def state(self) -> dict[str, Any]:
        return super().state() | {"tables": [table.tolist() for table in self.tables]}

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        super().restore(state, tensors)
        self.tables = [torch.tensor(table, dtype=torch.double) for table in state["tables"]]


class OneHot(Bridge):
    """Each symbol becomes `k` reals, 1 for the one that stands and -1 for the others."""

    keeps_likelihood = False

    def plan(self, source: Space) -> Space:
        return Space(
            source.grid,
            tuple(Real(s.k, bounded=True) if isinstance(s, Symbol) else s for s in source.spans),
        )

    def forward(self, x: Tensor) -> Tensor:
        parts = []
        for slot, embedded in zip(self.source.slots(), _pieces(self.source, x), strict=True):
            parts.append(2 * embedded - 1 if isinstance(slot.span, Symbol) else embedded)
        return torch.cat(parts, dim=1)

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        return self.source.draw(y)


class Dequantize(Bridge):
    """Each symbol of `k` ordered ones becomes one real in [-1, 1], uniform within its k-th part
    (Theis et al. 2016, arXiv:1511.01844, section 3.1)."""

    def plan(self, source: Space) -> Space:
        return Space(
            source.grid, tuple(Real(1, True) if isinstance(s, Symbol) else s for s in source.spans)
        )

    def forward(self, x: Tensor) -> Tensor:
        def change(_: int, slot: Slot, part: Tensor) -> Tensor | None:
            if isinstance(slot.span, Real):
                return None
            u = torch.rand(part.shape, device=part.device)
            return 2 * (part + u) / slot.span.k - 1

        return self._change(self.source, self.target, x, change)

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        def change(i: int, slot: Slot, part: Tensor) -> Tensor | None:
            span = self.source.spans[i]
            if isinstance(span, Real):
                return None
            return ((part + 1) / 2 * span.k).floor().clamp(0, span.k - 1)

        return self._change(self.target, self.source, y, change)


def _split(source: Space, sizes: list[int]) -> tuple[Span, ...]:
    """The spans with every real channel replaced by a symbol of the next size."""
    left = iter(sizes)
    spans: list[Span] = []
    for span in source.spans:
        if isinstance(span, Symbol):
            spans.append(span)
        else:
            spans += [Symbol(next(left), ordered=True) for _ in range(span.n)]
    return tuple(spans)


def _pieces(space: Space, x: Tensor) -> list[Tensor]:
    embedded = space.embed(x)
    return [embedded[:, slot.width] for slot in space.slots()]


def _bin(values: Tensor, table: Tensor) -> Tensor:
    """Which bin each value falls in; a value between two atoms goes to the nearer one."""
    begins, ends = table[:, 0].clone(), table[:, -1]
    # A bin that follows an atom begins just behind it, so that the atom's values are its own.
    behind = (begins[:-1] == ends[:-1]) & (begins[1:] == ends[:-1])
    begins[1:][behind] = torch.nextafter(begins[1:][behind], begins.new_tensor(torch.inf))
    i = (torch.searchsorted(begins, values.contiguous(), right=True) - 1).clamp(0, len(table) - 1)
    after = (i + 1).clamp_max(len(table) - 1)
    nearer = (values > ends[i]) & (begins[after] - values < values - ends[i])
    return torch.where(nearer, after, i)
