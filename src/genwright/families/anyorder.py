"""Any-order autoregressive model: one symbol after the other in any order, each given those that came before it.

    log p(x) = sum_s log p(x_o(s) | x_o(1) .. x_o(s-1))                                             (1)

for an order o of the places. A place is told where it stands and what stands around it as far as that has come
before (sigma-GPT, Pannatier et al. 2024, arXiv:2404.09562; XLNet, Yang et al. 2019, arXiv:1906.08237, section 2.2). In
training some gaps are drawn for each example: what is known comes first, that behind the first gap before that in
front of it, and then the gaps from left to right ("SPM" of Bavarian et al. 2022, arXiv:2207.14255). All of it is
learnt, so that with nothing known it is the model of the whole from left to right, and whatever is known is kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.families.capabilities import DensityEstimator, Infilling
from genwright.families.drafts import Draft, reached
from genwright.families.guidance import guide, guided_conds
from genwright.families.ordinal import OrdinalTable
from genwright.families.sequence import SymbolFamily
from genwright.families.token_sampling import TokenSampler, inverse_cdf_sample
from genwright.grammar import Grammar
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Cache, Causal, Nets
from genwright.nets.transformer import TransformerNets
from genwright.options import Count, NonNegative, Portion, Share
from genwright.space import CondSpec, Space

__all__ = ["AnyOrder"]

FAR = 64
"""Places to the next one that is known, at most, that are told apart."""
MOST_GAPS = 3
SCATTERED = 0.1, 0.5
"""Of the examples of which something is known, those that lack places anywhere instead of runs of them: of one axis a
text, where gaps are runs, and of several."""


class AnyOrder(SymbolFamily, DensityEstimator, Infilling):
    """A causal Transformer over the symbols of an example in an order that puts what is known first."""

    infills = "any"
    likelihood = "exact"
    loss_units = ("nats a symbol", "nats a symbol")

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        ngram: Annotated[int, Ge(2)] = 4,
        whole: Share = 0.25,
    ) -> None:
        """ngram: a place of a grid reads the `ngram - 1` symbols on either side of it directly, where they are
        known.  whole: share of the examples that are learnt from left to right with nothing known before."""
        super().__init__(space, cond, nets)
        self.whole = whole
        order_free = nets if isinstance(nets, TransformerNets) else nets.in_size(TransformerNets)
        self.conditioner = Conditioner(
            self.cond, space.grid, order_free, "causal", slots=frozenset({"tokens"})
        )
        # Steps are no places, so that attention to a given text has no distances to know.
        self.conditioner.shape = replace(self.conditioner.shape, line=0)
        self.net = order_free.causal(self.length, self.conditioner.shape, grid=space.grid)
        # The columns of a row stand in no order.
        width, reach = self.net.width, range(1, min(ngram, self.length) if space.grid else 1)
        self.around = [*(-one for one in reach), *reach]
        rows = sum(self.sizes)
        # What stands so far from the place, and what came just before it in the order.
        self.embeds = nn.ModuleList(
            OrdinalTable(rows, width, space.spans, std=0.5 if abs(away) == 1 else 0.3)
            for away in [*self.around, -1]
        )
        # What is known first behind the place, however far: what a gap has to lead to.
        self.beyond = nn.ModuleList(OrdinalTable(rows, width, space.spans, std=0.3) for _ in reach)
        self._add_head(width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        # Where the place is, where the last one was, and on a grid how far it is to the next that is known.
        self.here = nn.Parameter(0.02 * torch.randn(self.length, width))
        self.last = nn.Parameter(0.02 * torch.randn(self.length, width))
        far = 1 + min(FAR, self.length)
        self.ahead = nn.Parameter(0.02 * torch.randn(far, width)) if space.grid else None
        vector = self.conditioner.shape.vector
        self.from_vector = nn.Linear(vector, width) if vector else None

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, weight in self.beyond.named_parameters(prefix="beyond"):  # older runs have none
            state.setdefault(prefix + name, torch.zeros_like(weight))
        super()._load_from_state_dict(state, prefix, *rest)

    # -- the sequence --------------------------------------------------------------------------

    def _tables(self) -> list[Tensor]:
        """Rows for the symbols that a place reads directly, and last those for what came before it."""
        *around, previous = self.embeds
        return [table() for table in (*around, *self.beyond, previous)]

    def _read(self, now: Tensor, distance: Tensor) -> list[Tensor]:
        """The places that each place `(B, S)` reads directly: around it, and from the next that is known behind it."""
        return [
            *(now + away for away in self.around),
            *(now + distance + i for i in range(len(self.beyond))),
        ]

    def _inputs(
        self,
        rows: Tensor,
        rank: Tensor,
        places: Tensor,
        begin: int,
        cond: Cond,
        embeds: list[Tensor],
    ) -> Tensor:
        """What the network reads at the steps from `begin` on `(B, S, width)`.

        rows    of the tables, of each place `(B, D)`; those of places that come later are not looked at
        rank    at which step each place comes `(B, D)`
        places  that the steps from the one before `begin` on are for `(B, 1 + S)`, the first -1 where there is none
        """
        now, before = places[:, 1:], places[:, :-1]
        step = begin + torch.arange(now.shape[1], device=rows.device)
        h = F.embedding(now, self.here)
        *tables, previous = embeds
        distance = self._distance(rank, now, step)
        for where, table in zip(self._read(now, distance), tables, strict=True):
            inside = (where >= 0) & (where < self.length)
            where = where.clamp(0, self.length - 1)
            seen = inside & (rank.gather(1, where) < step)
            h = h + F.embedding(rows.gather(1, where), table) * seen[..., None]
        came = (before >= 0)[..., None]
        before = before.clamp_min(0)
        h = h + (F.embedding(rows.gather(1, before), previous) + F.embedding(before, self.last)) * came
        if begin == 0:
            start = self.start.expand(len(rows), -1)
            if self.from_vector is not None:
                start = start + self.from_vector(cond.vector)
            h = h + F.pad(start[:, None], (0, 0, 0, h.shape[1] - 1))
        return h if self.ahead is None else h + F.embedding(distance, self.ahead)

    def _distance(self, rank: Tensor, now: Tensor, step: Tensor) -> Tensor:
        """From the place of each step `(B, S)` to the next place behind it that came before; 0: there is none."""
        found = torch.zeros_like(now)
        if self.ahead is None:
            return found
        for away in range(min(FAR, self.length), 0, -1):
            where = now + away
            seen = (rank.gather(1, where.clamp_max(self.length - 1)) < step) & (where < self.length)
            found = torch.where(seen, away, found)
        return found

    def _hidden(self, ids: Tensor, order: Tensor, cond: Cond) -> Tensor:
        """What the network makes of whole examples `(B, D)` at each place `(B, D, width)`."""
        rank = order.argsort(1)
        places = F.pad(order, (1, 0), value=-1)
        hidden = self.net(self._inputs(ids + self._rows(), rank, places, 0, cond, self._tables()), cond)
        return hidden.gather(1, rank[..., None].expand_as(hidden))

    def _rows(self) -> Tensor:
        """What is added to each symbol of an example to find its row of the tables `(D,)`."""
        return self.first.repeat(self.length // self.channels)

    def _nats(self, batch: Batch, known: Tensor) -> Tensor:
        """Negative log-likelihood of each symbol by (1) `(B, D)`, with what is `known` `(B, D)` first."""
        ids = self._flat(batch.x)
        cond = self.conditioner(batch.cond, len(ids), batch.x)
        hidden = self._hidden(ids, known_first(known), cond).view(
            len(ids), -1, self.channels, self.net.width
        )
        truth = ids.view(len(ids), -1, self.channels)
        nats = [
            F.cross_entropy(F.linear(h, head).float().transpose(1, 2), symbols, reduction="none")
            for h, head, symbols in zip(hidden.unbind(2), self._heads(), truth.unbind(2), strict=True)
        ]
        return torch.stack(nats, dim=2).flatten(1)

    # -- training ------------------------------------------------------------------------------

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        known = self._drawn(len(batch))
        nats, counted = self._nats(batch, known), self._counted(batch, self.loss_mask(batch))
        return {"nll": (nats * counted).sum() / counted.sum().clamp_min(1)}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats from left to right, and how many symbols they are for."""
        counted = self._counted(batch, batch.mask)
        valid = self.space.valid(batch.x)
        symbols = counted if valid is None else self._counted(batch, valid)
        return -self.log_prob(batch).sum(), symbols.sum().float()

    def log_prob(self, batch: Batch) -> Tensor:
        nats = self._nats(
            batch, torch.zeros(len(batch), self.length, dtype=torch.bool, device=self.device)
        )
        return -(nats * self._counted(batch, self.loss_mask(batch))).sum(1)

    def log_prob_of_gaps(self, batch: Batch, known: Tensor) -> Tensor:
        """Log-likelihood in nats of what is not `known` `(B, stored, *grid)` of examples, given what is `(B,)`."""
        seen = self._flat(known)
        return -(self._nats(batch, seen) * ~seen).sum(1)

    def _counted(self, batch: Batch, mask: Tensor | None) -> Tensor:
        """Positions `(B, *grid)` as symbols `(B, D)`."""
        if mask is None:
            return torch.ones(len(batch), self.length, dtype=torch.bool, device=self.device)
        return mask.flatten(1).repeat_interleave(self.channels, dim=1)

    def _drawn(self, n: int) -> Tensor:
        """Which symbols of `n` examples are known `(n, D)`: of some none, of the others all but up to three runs, or
        all but places anywhere, as many as chance has it; of a row all but such cells."""
        share, kind = torch.rand(2, n, 1, device=self.device)
        cells = torch.rand(n, self.length, device=self.device) >= share
        if not self.space.grid:
            return cells & (kind >= self.whole)
        positions = self.length // self.channels
        gaps = torch.zeros(n, positions, dtype=torch.bool, device=self.device)
        place = torch.arange(positions, device=self.device)
        many = torch.randint(1, MOST_GAPS + 1, (n, 1), device=self.device)
        for number in range(MOST_GAPS):
            size = (share * positions / many).ceil()
            begin = (torch.rand(n, 1, device=self.device) * (positions - size + 1)).floor()
            gaps |= (place >= begin) & (place < begin + size) & (number < many)
        known = torch.where(
            kind < 0.5 + self.whole / 2, ~gaps.repeat_interleave(self.channels, 1), cells
        )
        return known & (kind >= self.whole)

    # -- sampling ------------------------------------------------------------------------------

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
        cache: bool = True,
    ) -> Tensor:
        """temperature: of the softmax; 0 always takes the likeliest.  top_k: only the k likeliest.  top_p: only
        the likeliest that together hold this probability.  min_p: only those at least so many times as likely as
        the likeliest.  guidance_scale: above 1 exaggerates the condition.  cache: keep what was seen (False: plain
        path)."""
        sampler = TokenSampler(temperature, top_k, top_p, min_p)
        ids = torch.zeros(n, self.length, dtype=torch.long, device=self.device)
        known = torch.zeros_like(ids, dtype=torch.bool)
        if partial is not None:
            ids, known = (self._flat(t) for t in partial)
        order = known_first(known)
        conds = guided_conds(self.conditioner, given, n, self.start, guidance_scale)
        readers = [_Reader(self, order, cond, cached=cache) for cond in conds if cond is not None]
        allowed, ended = _Allowed(self, ids, known), torch.zeros_like(ids[:, 0], dtype=torch.bool)
        u = torch.rand(n, self.length, generator=rng, device=self.device)
        first = int(known.sum(1).min()) if n else self.length
        for step in range(first, self.length):
            place = order[:, step]
            hidden = [reader.read(ids, step) for reader in readers]
            logits = self._logits(hidden, guidance_scale, place)
            new = torch.zeros_like(place)
            for row, some in logits:
                some = allowed(some, row, place[row], ids)
                new[row] = inverse_cdf_sample(sampler.probs(some), u[row, step])
            there = known.gather(1, place[:, None]).squeeze(1)
            if self.pad is not None:
                new = torch.where(ended, torch.full_like(new, self.pad), new)
                ended = ended | (~there & (new == self.pad))
            new = torch.where(there, ids.gather(1, place[:, None]).squeeze(1), new)
            ids = ids.scatter(1, place[:, None], new[:, None])
            reached(self._draft(ids, known, order, step + 1))
        return self._stored(ids, self.space.grid)

    def _draft(self, ids: Tensor, known: Tensor, order: Tensor, made: int) -> Draft:
        """Of `ids` `(n, D)` what is known, and the first `made` in their order `(n, D)`."""

        def hidden() -> Tensor:
            left = torch.zeros_like(known).scatter(1, order[:, made:], True) & ~known
            return self._stored(left, self.space.grid)

        shown = functools.partial(self._stored, ids, self.space.grid)
        return Draft(made, self.length, shown, hidden=hidden)

    def _logits(
        self, hidden: list[Tensor], scale: float, place: Tensor
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """Those of the symbols at the place `(n,)` of each example: the examples of a span and their logits."""
        span = place % self.channels
        for c, head in enumerate(self._heads()):
            row = torch.nonzero(span == c).squeeze(1)
            if len(row):
                logits, *uncond = (F.linear(h[row], head).float() for h in hidden)
                yield row, guide(logits, uncond[0], scale) if uncond else logits


def known_first(known: Tensor) -> Tensor:
    """The place of each step `(B, D)`: what is `known` `(B, D)` behind the first gap, what is known before it, and then
    the gaps, each from left to right."""
    length = known.shape[1]
    place = torch.arange(length, device=known.device)
    first = (~known).long().argmax(1, keepdim=True)
    behind = known & (place > first)
    turn = torch.where(known, torch.where(behind, 0, 1), 2)
    return (turn * length + place).argsort(1)


class _Reader:
    """Reads a growing example and answers with what the network makes of the next step."""

    def __init__(self, family: AnyOrder, order: Tensor, cond: Cond, *, cached: bool) -> None:
        self.family, self.cond, self.cached = family, cond, cached
        self.net: Causal = family.net
        self.tables = family._tables()
        self.rank, self.places = order.argsort(1), F.pad(order, (1, 0), value=-1)
        self.cache: Cache | None = None

    def read(self, ids: Tensor, step: int) -> Tensor:
        """At `step`, from the symbols `(n, D)` of the steps before it `(n, width)`."""
        family = self.family
        if self.cached and self.cache is None:
            self.cache = self.net.cache(len(ids), family.length, family.head)
        begin = 0 if self.cache is None else self.cache.length
        places = self.places[:, begin : step + 2]
        h = family._inputs(ids + family._rows(), self.rank, places, begin, self.cond, self.tables)
        return self.net(h, self.cond, self.cache)[:, -1]


class _Allowed:
    """Which symbols may come: a text ends once and not before something known, and its bytes complete characters."""

    def __init__(self, family: AnyOrder, ids: Tensor, known: Tensor) -> None:
        self.pad = family.pad
        self.grammar = None if family.grammar is None else family.grammar.to(ids.device)
        content = (known & (ids != self.pad)).long() if self.pad is not None else torch.zeros_like(ids)
        self.inner = content.flip(1).cumsum(1).flip(1) > 0  # something known stands there or behind
        # Places behind each that are to be made before the next one that is known.
        place = torch.arange(ids.shape[1], device=ids.device)
        following = torch.where(known, place, ids.shape[1]).flip(1).cummin(1).values.flip(1)
        self.room = (following - place - 1).clamp_min(0)
        self.at = torch.full_like(place[:1], -2).repeat(len(ids))
        self.state = torch.zeros_like(self.at)

    def __call__(self, logits: Tensor, row: Tensor, place: Tensor, ids: Tensor) -> Tensor:
        """Logits `(m, k)` of what may come at a `place` `(m,)` of the examples `row` `(m,)`; `ids` `(n, D)`."""
        if self.grammar is not None:
            self._follow(row, place, ids[row], self.grammar)
            may = self.grammar.allowed(self.state[row], self.room[row, place][:, None])
            logits = logits.masked_fill(~may, -torch.inf)
        if self.pad is not None:
            logits[self.inner[row, place], self.pad] = -torch.inf
        return logits

    def _follow(self, row: Tensor, place: Tensor, ids: Tensor, grammar: Grammar) -> None:
        """The state before `place`: by one symbol from the last one, or by reading all that is in front of it."""
        last = ids.gather(1, (place - 1).clamp_min(0)[:, None]).squeeze(1)
        on = self.at[row] == place - 1
        state = torch.where(on, grammar.after(self.state[row], last), 0)
        if not bool(on.all()):
            read = torch.zeros_like(state)
            for column in range(int(place.max())):
                after = grammar.after(read, ids[:, column])
                read = torch.where(column < place, after, read)
            state = torch.where(on, state, read)
        self.state[row], self.at[row] = state, place
