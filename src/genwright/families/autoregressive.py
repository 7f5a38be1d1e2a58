"""Autoregressive model: one symbol after the other, each given those before.

    log p(x) = sum_i log p(x_i | x_1 .. x_{i-1})

Any space of symbols is laid out as one sequence (`symbols.py`). Sampling keeps what a network needs of
the places before; a part of an example can be given where it comes first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.errors import Incompatible
from genwright.families.capabilities import DensityEstimator, Infilling
from genwright.families.guidance import guide, guided_conds
from genwright.families.sequence import SymbolFamily
from genwright.families.token_sampling import TokenSampler, inverse_cdf_sample
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Cache, Nets
from genwright.options import Count, NonNegative, Portion
from genwright.space import CondSpec, Space

__all__ = ["Autoregressive"]


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
    ) -> None:
        """ngram: a place reads the `ngram - 1` symbols before it directly, each by a table of its
        own, so that attention need not learn to look them up."""
        super().__init__(space, cond, nets)
        self.conditioner = Conditioner(self.cond, space.grid, nets, "causal")
        self.net = nets.causal(
            self.length, self.conditioner.shape, grid=space.grid, channels=self.channels
        )
        width = self.net.width
        # The nearest symbol first.
        self.embeds = nn.ModuleList(
            nn.Embedding(sum(self.sizes), width) for _ in range(min(ngram, self.length) - 1)
        )
        self.head = nn.Parameter(torch.zeros(sum(self.sizes), width))
        self.start = nn.Parameter(0.02 * torch.randn(width))
        cond_shape = self.conditioner.shape
        self.from_vector = nn.Linear(cond_shape.vector, width) if cond_shape.vector else None
        self.from_grid = nn.Linear(cond_shape.grid, width) if cond_shape.grid else None
        # Which span, and on a grid of several axes which place, is to be said next.
        self.which = (
            nn.Parameter(0.02 * torch.randn(self.channels, width)) if self.channels > 1 else None
        )
        axes = space.grid if len(space.grid) > 1 else ()
        self.axes = nn.ParameterList(nn.Parameter(0.02 * torch.randn(size, width)) for size in axes)
        for back, table in enumerate(self.embeds):
            nn.init.normal_(table.weight, std=0.3 if back else 0.5)  # type: ignore[arg-type]

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
            place = place.flatten(0, -2).repeat_interleave(self.channels, dim=0)
        if self.which is not None:
            which = self.which.repeat(self.length // self.channels, 1)
            place = which if place is None else place + which
        return place

    def _inputs(self, ids: Tensor, cond: Cond, begin: int, end: int) -> Tensor:
        """What the network reads at places `begin` to `end` `(B, end - begin, width)`: the symbols
        just before each, and what marks the place. `ids` `(B, >= end - 1)`."""
        shift = self.first.repeat(self.length // self.channels)
        seen = ids[:, : end - 1] + shift[: end - 1]
        h = ids.new_zeros(len(ids), end - begin, self.net.width, dtype=self.start.dtype)
        for back, table in enumerate(self.embeds, 1):
            read = table(seen[:, max(begin - back, 0) : max(end - back, 0)])
            h = h + F.pad(read, (0, 0, h.shape[1] - read.shape[1], 0))
        if begin == 0:
            start = self.start
            if self.from_vector is not None:
                start = start + self.from_vector(cond.vector)[:, None]
            h = h + F.pad(start.expand(len(ids), 1, -1), (0, 0, 0, h.shape[1] - 1))
        place = self._place()
        if place is not None:
            h = h + place[begin:end]
        if self.from_grid is not None and cond.grid is not None:
            given = self.from_grid(cond.grid.flatten(2).transpose(1, 2))
            h = h + given.repeat_interleave(self.channels, dim=1)[:, begin:end]
        return h

    # -- training ------------------------------------------------------------------------------

    def _nats(self, batch: Batch) -> Tensor:
        """Negative log-likelihood at each position, summed over spans `(B, P)`."""
        ids = self._flat(batch.x)
        cond = self.conditioner(batch.cond, len(batch), batch.x)
        hidden = self.net(self._inputs(ids, cond, 0, self.length), cond)
        hidden = hidden.view(len(batch), -1, self.channels, hidden.shape[-1])
        truth = batch.x.reshape(len(batch), self.channels, -1)
        nats = torch.zeros(truth.shape[0], truth.shape[2], device=truth.device)
        for channel in range(self.channels):
            logits = self._logits(hidden[:, :, channel], channel)
            nats = nats + F.cross_entropy(logits.transpose(1, 2), truth[:, channel], reduction="none")
        return nats if batch.mask is None else nats * batch.mask.flatten(1)

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
        cache: bool = True,
    ) -> Tensor:
        """temperature: of the softmax; 0 always takes the likeliest.  top_k: only the k likeliest.
        top_p: only the likeliest that together hold this probability.  min_p: only those at least
        so many times as likely as the likeliest.  guidance_scale: above 1 exaggerates the condition.
        length: symbols to make; a text may go on beyond the training window.  prefix: symbols to
        begin with.  cache: keep what was seen (False: plain path)."""
        sampler = TokenSampler(temperature, top_k, top_p, min_p)
        total = self.length if length is None else length * self.channels
        if total > self.length and (len(self.space.grid) != 1 or self.conditioner.shape.grid):
            raise Incompatible(
                f"only a text can go on beyond its {self.length} places, asked for {total}",
                code="too-long",
            )
        ids = torch.empty(n, 0, dtype=torch.long, device=self.device)
        if partial is not None:
            ids = self._beginning(*partial)
        if prefix:
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
        full, free = guided_conds(self.conditioner, given, n, self.start, guidance_scale)
        cond = _Reader(self, full, n, cache)
        uncond = None if free is None else _Reader(self, free, n, cache)
        pad = self.pad
        done = torch.zeros(n, dtype=torch.bool, device=self.device)
        if partial is not None and pad is not None:
            done = (ids == pad).any(1)
        while ids.shape[1] < total:
            logits = cond.read(ids)
            if uncond is not None:
                logits = guide(logits, uncond.read(ids), guidance_scale)
            u = torch.rand(n, generator=rng, device=self.device)
            new = inverse_cdf_sample(sampler.probs(logits), u)
            if pad is not None:
                new = torch.where(done, torch.full_like(new, pad), new)
                done = done | (new == pad)
            ids = torch.cat([ids, new[:, None]], dim=1)
            if pad is not None and bool(done.all()):
                ids = F.pad(ids, (0, total - ids.shape[1]), value=pad)
        return self._stored(ids, self.space.grid if length is None else (length,))

    def _beginning(self, x: Tensor, known: Tensor) -> Tensor:
        """The known symbols, if they are the first ones `(n, places)`. Raises `Incompatible`."""
        flat = self._flat(known)
        count = int(flat[0].sum())
        first = torch.arange(self.length, device=flat.device) < count
        if not torch.equal(flat, first.expand_as(flat)):
            raise Incompatible(
                "autoregressive goes on from what comes first and can keep nothing that stands behind a "
                "gap: give the beginning alone, or train --family masked, which fills gaps anywhere",
                code="gap-before-known",
            )
        return self._flat(x)[:, :count]


class _Reader:
    """Reads a growing sequence and answers with the logits of the symbol that comes next.

    A sequence longer than the window is read from half a window back, as if it began there; training
    has shown windows that begin anywhere. The cached and the plain path do the same.
    """

    def __init__(self, family: Autoregressive, cond: Cond, n: int, cached: bool) -> None:
        self.family, self.cond, self.n = family, cond, n
        self.cached = cached
        self.begin = 0
        self.cache: Cache | None = None

    def read(self, ids: Tensor) -> Tensor:
        family = self.family
        if ids.shape[1] - self.begin >= family.length:
            self.begin = ids.shape[1] - family.length // 2
            self.cache = None
        ids = ids[:, self.begin :]
        if self.cached and self.cache is None:
            self.cache = family.net.cache(self.n, family.length, family.start)
        seen = self.cache.length if self.cache is not None else 0
        h = family._inputs(ids, self.cond, seen, ids.shape[1] + 1)
        hidden = family.net(h, self.cond, self.cache)[:, -1]
        return family._logits(hidden, ids.shape[1] % family.channels)
