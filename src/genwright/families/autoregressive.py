"""Autoregressive model: one symbol after the other, each given those before.

    log p(x) = sum_i log p(x_i | x_1 .. x_{i-1})

Any space of symbols is laid out as one sequence (`sequence.py`), a place a symbol; or a place is a position, whose
spans are independent of each other given the positions before:

    log p(x) = sum_p sum_c log p(x_pc | x_1 .. x_{p-1})

Sampling keeps what a network needs of the places before; a part of an example can be given where it comes first.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.errors import Incompatible
from genwright.families.beam_search import Search, beam_search
from genwright.families.capabilities import DensityEstimator, Infilling
from genwright.families.copying import Pointer
from genwright.families.drafts import Draft, reached
from genwright.families.guidance import guide, guided_conds
from genwright.families.ordinal import OrdinalTable
from genwright.families.sequence import SymbolFamily
from genwright.families.token_sampling import TokenSampler, inverse_cdf_sample
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Cache, Causal, Nets
from genwright.options import Count, NonNegative, Portion
from genwright.space import CondSpec, Space, Symbol

__all__ = ["Autoregressive"]

LARGE = 2**14
"""Examples times channels up to which a product on a CPU gains nothing by bfloat16 (`benchmarks/kernels.py`)."""
Spans = Literal["auto", "ordered", "independent"]


class Autoregressive(SymbolFamily, DensityEstimator, Infilling):
    """A causal network over the symbols of an example."""

    infills = "prefix"
    likelihood = "exact"
    loss_units = ("nats a symbol", "nats a symbol")

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        ngram: Annotated[int, Ge(2)] = 4,
        spans: Spans = "auto",
    ) -> None:
        """ngram: a place reads the `ngram - 1` places before it directly, each by a table of its
        own, so that attention need not learn to look them up.  spans: several at a position are drawn one after the
        other, each given those before it (`ordered`), or all at once (`independent` of each other); auto: ordered,
        unless a sequence has too many symbols for that."""
        super().__init__(space, cond, nets)
        too_many = self.places_of(space) < self.length
        independent = self.channels > 1 and (spans == "independent" or (spans == "auto" and too_many))
        self.at_once = self.channels if independent else 1
        self.within = "independent" if independent else "joint"
        self.places = self.length // self.at_once
        self.conditioner = Conditioner(self.cond, space.grid, nets, "causal")
        self.net = nets.causal(
            self.places,
            self.conditioner.shape,
            grid=space.grid,
            channels=self.channels // self.at_once,
        )
        width = self.net.width
        # The nearest symbol first.
        self.embeds = nn.ModuleList(
            OrdinalTable(sum(self.sizes), width, space.spans, std=0.3 if back else 0.5)
            for back in range(min(ngram, self.places) - 1)
        )
        self._add_head(width)
        self.pointer = self._pointer(width, nets.dim) if self.conditioner.copies else None
        self.start = nn.Parameter(0.02 * torch.randn(width))
        cond_shape = self.conditioner.shape
        self.from_vector = nn.Linear(cond_shape.vector, width) if cond_shape.vector else None
        self.from_grid = nn.Linear(cond_shape.grid, width) if cond_shape.grid else None
        # Which span, and on a grid of several axes which place, is to be said next.
        self.which = (
            nn.Parameter(0.02 * torch.randn(self.channels, width))
            if self.channels > self.at_once
            else None
        )
        axes = space.grid if len(space.grid) > 1 else ()
        self.axes = nn.ParameterList(nn.Parameter(0.02 * torch.randn(size, width)) for size in axes)

    @classmethod
    def places_of(cls, space: Space) -> int:
        """A position of a sequence can be one place where its symbols would be too many."""
        symbols, most = super().places_of(space), cls.max_positions
        return (
            space.positions if most is not None and symbols > most and len(space.grid) == 1 else symbols
        )

    def _pointer(self, width: int, dim: int) -> Pointer:
        """What copies symbols of a condition. Raises `Incompatible` where they are not those of x."""
        for name, spec in self.cond.items():
            if spec.copied and spec.space.spans != self.space.spans:
                raise Incompatible(
                    f"the condition {name!r} is spelled with other symbols than what is made, so that none can be "
                    f"copied: leave it out of task.copied, or let both share a vocabulary",
                    code="cannot-copy",
                )
        return Pointer(width, dim, self.sizes[0])

    # -- the sequence --------------------------------------------------------------------------

    def _place(self) -> Tensor | None:
        """`(L, width)`: what marks each place of the sequence besides its number; None if nothing."""
        place = None
        for axis, table in enumerate(self.axes):
            shape = [1] * len(self.axes)
            shape[axis] = -1
            part = table.view(*shape, table.shape[1])
            place = part if place is None else place + part
        if place is not None:
            place = place.flatten(0, -2).repeat_interleave(self.channels // self.at_once, dim=0)
        if self.which is not None:
            which = self.which.repeat(self.length // self.channels, 1)
            place = which if place is None else place + which
        return place

    def _marks(self, cond: Cond) -> _Marks:
        start = self.start
        if self.from_vector is not None:
            start = start + self.from_vector(cond.vector)[:, None]
        given = None
        if self.from_grid is not None and cond.grid is not None:
            given = self.from_grid(cond.grid.flatten(2).transpose(1, 2))
            given = given.repeat_interleave(self.channels // self.at_once, dim=1)
        return _Marks([table() for table in self.embeds], start, self._place(), given)

    def _rows(self, total: int) -> Tensor:
        """What is added to each symbol of a sequence to find its row of the tables `(total,)`."""
        return self.first.repeat(total // self.channels)

    def _inputs(self, rows: Tensor, marks: _Marks, begin: int, end: int) -> Tensor:
        """What the network reads at places `begin` to `end` `(B, end - begin, width)`: what stands at those
        just before each, as rows of the tables `(B, >= (end - 1) * at_once)`, and what marks the place."""
        h = None
        for back, table in enumerate(marks.tables, 1):
            first, last = (max(at - back, 0) * self.at_once for at in (begin, end))
            read = self._looked_up(rows[:, first:last], table)
            if missing := end - begin - read.shape[1]:
                read = F.pad(read, (0, 0, missing, 0))
            h = read if h is None else h + read
        if begin == 0:
            start = F.pad(marks.start.expand(len(rows), 1, -1), (0, 0, 0, end - 1))
            h = start if h is None else h + start
        assert h is not None, "a place but the first has one before it"
        if marks.place is not None:
            h = h + marks.place[begin:end]
        return h if marks.given is None else h + marks.given[:, begin:end]

    def _looked_up(self, rows: Tensor, table: Tensor) -> Tensor:
        """`(B, places, width)`: the rows of the symbols of a place together, as large as one."""
        if self.at_once == 1:
            return F.embedding(rows, table)
        n, places = len(rows), rows.shape[1] // self.at_once
        found = F.embedding_bag(rows.reshape(n * places, self.at_once), table, mode="sum")
        return found.view(n, places, table.shape[1]) / self.at_once**0.5

    # -- training ------------------------------------------------------------------------------

    @property
    def prepared_on(self) -> int | None:
        return None if self.pointer is None else 1 << 16

    def prepare(self, batch: Batch) -> None:
        """What symbols of a condition become in x, where they may be copied."""
        if self.pointer is not None:
            ended = self.space.valid(batch.x)
            x = batch.x.flatten(1)
            target = x if ended is None else x.masked_fill(~ended.flatten(1), -1)
            if self.pad is not None:
                target = target.masked_fill(target == self.pad, -1)
            self.pointer.learn(self.conditioner.symbols(batch.cond), target)

    def _nats(self, batch: Batch) -> Tensor:
        """Negative log-likelihood at each position up to the last that counts, summed over spans `(B, P)`."""
        mask = None if batch.mask is None else batch.mask.flatten(1)
        if mask is not None:
            places = torch.arange(1, mask.shape[1] + 1, device=mask.device)
            mask = mask[:, : max(1, int((mask * places).max()))]
        truth = batch.x.reshape(len(batch), self.channels, -1)
        truth = truth if mask is None else truth[..., : mask.shape[1]]
        ids = truth.transpose(1, 2).flatten(1)
        cond = self.conditioner(batch.cond, len(batch), batch.x)
        total = ids.shape[1]
        rows = ids + self._rows(total)
        inputs = self._inputs(rows[:, : -self.at_once], self._marks(cond), 0, total // self.at_once)
        hidden = self.net(inputs, cond)
        hidden = hidden.view(len(batch), -1, self.channels // self.at_once, hidden.shape[-1])
        hidden = hidden.expand(-1, -1, self.channels, -1)
        nats = torch.zeros(truth.shape[0], truth.shape[2], device=truth.device)
        ended = self._ended(truth)
        parts = zip(hidden.unbind(2), self._heads(), truth.unbind(1), self.space.spans, strict=True)
        for h, head, symbols, span in parts:
            logits = F.linear(h, head).float()
            each = F.cross_entropy(logits.transpose(1, 2), symbols, reduction="none")
            if self.pointer is not None:
                each = -self.pointer.log_prob(h, -each, symbols, cond)
            if ended is not None and getattr(span, "pad", None) is None:
                each = each.masked_fill(ended, 0.0)
            nats = nats + each
        return nats if mask is None else nats * mask

    def _ended(self, truth: Tensor) -> Tensor | None:
        """At which positions of symbols `(B, C, P)` an example has ended `(B, P)`, so that spans drawn at once with
        what says so are no part of it; None where there are none."""
        for symbols, span in zip(truth.unbind(1), self.space.spans, strict=True):
            if self.at_once > 1 and isinstance(span, Symbol) and span.pad is not None:
                return torch.eq(symbols, span.pad)
        return None

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats, and how many symbols they are for."""
        nats = self._nats(batch)
        count = nats.numel() if batch.mask is None else batch.mask.sum()
        return nats.sum(), torch.as_tensor(count * self.channels, device=nats.device).float()

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        nats, count = self.heldout(batch)
        return {"nll": nats / count.clamp_min(1)}

    def log_prob(self, batch: Batch) -> Tensor:
        return -self._nats(batch).sum(1)

    # -- sampling ------------------------------------------------------------------------------

    @property
    def chunk(self) -> int:
        """The longer the sequence, and the wider what is kept of it, the fewer, since attention reads all of it again
        at each place. Large products are worth having, so that on a CPU it is 32 at least, and so are few of them:
        threads side by side wait for Python's lock after each (`docs/LOG.md`)."""
        if self.device.type != "cpu":
            return super().chunk
        kept = self.places * self.net.width
        return max(32, min(2048, 1 << (2**23 // kept).bit_length() >> 1))

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        partial: tuple[Tensor, Tensor] | None = None,
        *,
        temperature: NonNegative = 1.0,
        top_k: Count | None = None,
        top_p: Portion | None = None,
        min_p: Portion | None = None,
        guidance_scale: float = 1.0,
        length: Count | None = None,
        prefix: list[int] | None = None,
        beams: Annotated[int, Ge(1), Le(64)] | None = None,
        length_penalty: NonNegative = 0.6,
        cache: bool = True,
    ) -> Tensor:
        """temperature: of the softmax; 0 always takes the likeliest.  top_k: only the k likeliest.
        top_p: only the likeliest that together hold this probability.  min_p: only those at least
        so many times as likely as the likeliest.  guidance_scale: above 1 exaggerates the condition.
        length: symbols to make; a text may go on beyond the training window.  prefix: symbols to
        begin with.  beams: search for the likeliest with so many followed side by side; nothing is
        drawn.  length_penalty: how much longer ones are then preferred, 0 not at all.  cache: keep what
        was seen (False: plain path)."""
        sampler = TokenSampler(temperature, top_k, top_p, min_p)
        if beams:
            self._check_search(sampler)
        total = self.length if length is None else length * self.channels
        if total > self.length and (len(self.space.grid) != 1 or self.conditioner.shape.grid):
            raise Incompatible(
                f"only a text can go on beyond its {self.length} places, asked for {total}",
                code="too-long",
            )
        ids = self._beginning(n, total, partial, prefix)
        grid = self.space.grid if length is None else (length,)
        if beams:
            search = Search(beams, length_penalty)
            found = self._searched(ids, given, total, search, guidance_scale, cached=cache)
            return self._stored(found, grid)
        conds = guided_conds(self.conditioner, given, n, self.start, guidance_scale)
        reader = _Guided(self, conds, guidance_scale, cached=cache)
        pad, grammar = self.pad, None if self.grammar is None else self.grammar.to(self.device)
        done = torch.zeros(n, dtype=torch.bool, device=self.device)
        if partial is not None and pad is not None:
            done = (ids == pad).any(1)
        state = None if grammar is None else grammar.read(ids)
        # A row of numbers for each example: how many are made beside it changes none.
        u = torch.rand(n, total, generator=rng, device=self.device)
        shift, at = self._rows(total), ids.shape[1]
        rows = torch.full((n, total), pad or 0, device=self.device)
        rows[:, :at] = ids + shift[:at]
        grid = self.space.grid if length is None else (length,)
        while at < total and not bool(done.all()):
            logits = reader.read(rows, at)
            if grammar is not None and state is not None:
                logits = torch.where(grammar.allowed(state, total - at - 1), logits, -torch.inf)
            parts = torch.split(logits, self.sizes, dim=1) if self.at_once > 1 else (logits,)
            drawn = [
                inverse_cdf_sample(sampler.probs(part), u[:, at + i]) for i, part in enumerate(parts)
            ]
            new = torch.stack(drawn, dim=1)
            if grammar is not None and state is not None:
                state = grammar.after(state, new[:, 0])
            if pad is not None:
                new = torch.where(done[:, None], torch.full_like(new, pad), new)
                done = done | (new[:, 0] == pad)
            rows[:, at : at + self.at_once] = new + shift[at : at + self.at_once]
            at += self.at_once
            reached(self._draft(rows, at, grid))
        return self._stored(rows - shift, grid)

    def _draft(self, rows: Tensor, at: int, grid: tuple[int, ...]) -> Draft:
        """The first `at` symbols, which are final, of rows of the tables `(n, total)`."""

        def left() -> Tensor:
            return (torch.arange(rows.shape[1], device=rows.device) >= at).expand_as(rows)

        def shown() -> Tensor:
            ids = rows - self._rows(rows.shape[1])
            return self._stored(ids.masked_fill(left(), 0), grid)

        def hidden() -> Tensor:
            return self._stored(left(), grid)

        return Draft(at, rows.shape[1], shown, at // self.channels, hidden)

    def _check_search(self, sampler: TokenSampler) -> None:
        """Raise `Incompatible` where nothing can be searched for."""
        if sampler.cuts or sampler.temperature not in (0.0, 1.0):
            raise Incompatible(
                "a beam search takes the likeliest and draws nothing: leave temperature, top_k, top_p and min_p away, "
                "or beams",
                code="contradicting-options",
            )
        if self.at_once > 1:
            raise Incompatible(
                "a beam search follows symbols drawn one after the other, and this model draws those of a position at "
                "once: leave beams away",
                code="contradicting-options",
            )

    def _searched(
        self,
        ids: Tensor,
        given: dict[str, Tensor],
        total: int,
        search: Search,
        scale: float,
        *,
        cached: bool,
    ) -> Tensor:
        """The likeliest sequences that begin with `ids` `(n, total)`, as many at a time as are sampled."""
        size, shift, parts = max(1, self.chunk // search.beams), self._rows(total), list[Tensor]()
        grammar = None if self.grammar is None else self.grammar.to(self.device)
        for i in range(0, len(ids), size):
            some = {name: one[i : i + size] for name, one in given.items()}
            begun = ids[i : i + size]
            conds = guided_conds(self.conditioner, some, len(begun), self.start, scale)
            reader = _Guided(self, conds, scale, cached=cached, times=search.beams)

            def read(made: Tensor, at: int, reader: _Guided = reader) -> Tensor:
                return reader.read(made + shift, at)

            parts.append(
                beam_search(read, reader.select, begun, total, search, pad=self.pad, grammar=grammar)
            )
        return torch.cat(parts)

    def _continuing(self) -> Causal:
        """The network as it goes on from a cache: in bfloat16 some three times as fast on a CPU that has it, where its
        products are large. By a whole chunk, so that how many are made changes none."""
        large = self.net.continues_in_bfloat16 and self.chunk * self.net.width > LARGE
        if self.half_precision and self.device.type == "cpu" and large:
            return copy.deepcopy(self.net).bfloat16()
        return self.net

    def _beginning(
        self,
        n: int,
        total: int,
        partial: tuple[Tensor, Tensor] | None,
        prefix: list[int] | None,
    ) -> Tensor:
        """The symbols that are given `(n, places)`. Raises `Incompatible`."""
        if not prefix:
            none = torch.empty(n, 0, dtype=torch.long, device=self.device)
            return none if partial is None else self._first_known(*partial)
        if partial is not None:
            raise Incompatible(
                "a prefix and known parts cannot both be given: leave one away",
                code="contradicting-options",
            )
        if len(prefix) >= total:
            raise Incompatible(
                f"a prompt of {len(prefix)} symbols leaves no room in a sample of {total}: shorten "
                f"it, or ask for a longer one (length={2 * len(prefix)})",
                code="prompt-too-long",
            )
        ids = torch.tensor(prefix, device=self.device).expand(n, -1)
        if int(ids.max()) >= self.sizes[0] or int(ids.min()) < 0 or self.channels > 1:
            raise Incompatible(
                f"a prefix needs one-span symbols from 0 to {self.sizes[0] - 1}",
                code="unknown-symbol",
            )
        return ids

    def _first_known(self, x: Tensor, known: Tensor) -> Tensor:
        """The known symbols, if they are the first ones `(n, places)`. Raises `Incompatible`."""
        flat = self._flat(known)
        count = int(flat[0].sum())
        first = torch.arange(self.length, device=flat.device) < count
        if count % self.at_once or not torch.equal(flat, first.expand_as(flat)):
            raise Incompatible(
                "autoregressive goes on from what comes first and can keep nothing that stands behind a "
                "gap: give the beginning alone, or train --family masked, which fills gaps anywhere",
                code="gap-before-known",
            )
        return self._flat(x)[:, :count]


@dataclass(frozen=True)
class _Marks:
    """What a place is told by.

    tables rows for the symbols before it, the nearest first
    start  how a sequence begins `(width,)` or `(B, 1, width)`
    place  where the place is `(L, width)`, if that is told
    given  what is given there `(B, L, width)`, if anything is
    """

    tables: list[Tensor]
    start: Tensor
    place: Tensor | None
    given: Tensor | None


class _Guided:
    """Reads a growing sequence with and without the condition, for guidance.

    conds  what is read beside it, and what without (None: that is not asked for)
    times  how many sequences there are for each example
    """

    def __init__(
        self,
        family: Autoregressive,
        conds: tuple[Cond, Cond | None],
        scale: float,
        *,
        cached: bool,
        times: int = 1,
    ) -> None:
        net = family._continuing() if cached else family.net
        some = [c.map(lambda t: t.repeat_interleave(times, 0)) for c in conds if c is not None]
        self.readers = [_Reader(family, net, cond, cached=cached) for cond in some]
        self.scale = scale

    def read(self, rows: Tensor, count: int) -> Tensor:
        """Logits of the symbol after the first `count`, or of all that are drawn at once with it."""
        cond, *uncond = [reader.read(rows, count) for reader in self.readers]
        return guide(cond, uncond[0], self.scale) if uncond else cond

    def select(self, rows: Tensor) -> None:
        """Go on from these sequences `(B,)`, each of the same example as the one in whose place it comes."""
        for reader in self.readers:
            if reader.cache is not None:
                reader.cache.select(rows)


class _Reader:
    """Reads a growing sequence and answers with the logits of what comes next.

    A sequence longer than the window is read from half a window back, as if it began there; training
    has shown windows that begin anywhere. The cached and the plain path do the same.
    """

    def __init__(self, family: Autoregressive, net: Causal, cond: Cond, *, cached: bool) -> None:
        self.family, self.net, self.cached = family, net, cached
        self.dtype = next(net.parameters()).dtype
        self.marks, self.exact = family._marks(cond), cond
        self.cond = cond.map(lambda t: t.to(self.dtype) if t.is_floating_point() else t)
        heads = [head.to(self.dtype) for head in family._heads()]
        self.heads = [torch.cat(heads)] if family.at_once > 1 else heads
        self.begin = 0
        self.cache: Cache | None = None

    def read(self, rows: Tensor, count: int) -> Tensor:
        """rows  of the tables, of which the first `count` are known `(n, >= count)`"""
        family, at_once = self.family, self.family.at_once
        if count - self.begin >= family.length:
            self.begin = count - family.length // 2
            self.begin -= self.begin % family.channels
            self.cache = None
        rows = rows[:, self.begin : count]
        if self.cached and self.cache is None:
            self.cache = self.net.cache(len(rows), family.places, self.heads[0])
        seen = self.cache.length if self.cache is not None else 0
        h = family._inputs(rows, self.marks, seen, rows.shape[1] // at_once + 1).to(self.dtype)
        hidden = self.net(h, self.cond, self.cache)[:, -1]
        logits = F.linear(hidden, self.heads[count % len(self.heads)]).float()
        if family.pointer is None:
            return logits
        return family.pointer.logits(hidden.to(self.exact.vector.dtype), logits, self.exact)
