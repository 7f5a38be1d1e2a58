"""Masked diffusion: symbols are hidden at random and predicted from those that are left.

With a part of k of an example's D symbols hidden, k drawn evenly from 1 to D,

    -log p(x) <= E_k E_hidden[ D / k  sum_(i hidden) -log p(x_i | what is not hidden) ]              (1)

This is the loss of masked discrete diffusion (MDLM, Sahoo et al. 2024, arXiv:2406.07524, eq. 10, weight
1/t with t = k/D; what is seen is kept and the mask is never answered, section 3.2.3 "SUBS"), in the form
that counts symbols rather than tosses a coin for each (order-agnostic models, Hoogeboom et al. 2022,
arXiv:2110.02037, eq. 3). With a fixed rate it is the objective of BERT (Devlin et al. 2019,
arXiv:1810.04805, section 3.1).

Sampling begins with all hidden and predicts some symbols at each step: those of a random order, which is the
reverse of the diffusion, or the surest first (MaskGIT, Chang et al. 2022, arXiv:2202.04200, section 3.2).
Symbols predicted in one step do not see each other, so that more steps are better, up to one symbol in each.
What is known is never hidden: gaps are filled by the same sampler.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.families.capabilities import DensityEstimator, Encoder, Infilling
from genwright.families.drafts import Draft, reached
from genwright.families.guidance import guide, guided_conds
from genwright.families.ordinal import OrdinalTable
from genwright.families.sequence import SymbolFamily
from genwright.families.token_sampling import TokenSampler, inverse_cdf_sample
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets
from genwright.options import Count, NonNegative, Portion
from genwright.space import CondSpec, Space

__all__ = ["Masked"]

DRAWS = 64
"""Sets of hidden symbols for one likelihood; where there are no more than that, each is taken."""


class Masked(SymbolFamily, DensityEstimator, Infilling, Encoder):
    """A network that sees in all directions, over symbols of which some are hidden."""

    infills = "any"
    likelihood = "bound"
    loss_units = ("nats a symbol", "nats a symbol")

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        rate: Portion | None = None,
    ) -> None:
        """rate: share of the symbols that is hidden in training (None: drawn anew for each example, which
        a model that makes examples needs; 0.15 is BERT's, for features: then of the chosen symbols one in
        ten stays and one in ten is a random one)."""
        super().__init__(space, cond, nets)
        self.rate = rate
        # A row has no grid: its columns are the positions.
        self.grid = space.grid or (self.channels,)
        self.conditioner = Conditioner(self.cond, space.grid, nets, "map", symbols=True)
        width = nets.dim
        # Each span's symbols, and behind them all a mask for each span.
        self.table = OrdinalTable(sum(self.sizes) + self.channels, width, space.spans, std=0.5)
        self.net = nets.map(self.grid, width, width, self.conditioner.shape, symbols=True)
        self._add_head(width)

    # -- the network ---------------------------------------------------------------------------

    def _read(self, ids: Tensor, hidden: Tensor, cond: Cond) -> Tensor:
        """What the network makes of `ids` `(B, D)` where they are not `hidden` `(B, D)`, at each place
        `(B, D, width)`."""
        shape = (len(ids), -1, self.channels)
        masks = sum(self.sizes) + torch.arange(self.channels, device=ids.device)
        rows = torch.where(hidden.view(shape), masks, ids.view(shape) + self.first)
        h = F.embedding(rows, self.table())
        h = h.sum(2) if self.space.grid else h.squeeze(1)  # (B, positions of the net, width)
        h = self.net(h.transpose(1, 2).reshape(len(ids), -1, *self.grid), cond)
        h = h.flatten(2).transpose(1, 2)
        return h.repeat_interleave(self.channels, dim=1) if self.space.grid else h

    def _nats(
        self, ids: Tensor, asked: Tensor, cond: Cond, seen: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Negative log-likelihood of each symbol that is asked for, 0 for the others `(B, D)`.

        seen  what the network sees and what is hidden of it (None: all that is not asked for)
        """
        h = self._read(*(seen or (ids, asked)), cond)
        row, place, counts = self._by_span(asked)
        found, truth = torch.split(h[row, place], counts), torch.split(ids[row, place], counts)
        each = [
            F.cross_entropy(F.linear(some, head).float(), symbols, reduction="none")
            for some, head, symbols in zip(found, self._heads(), truth, strict=True)
        ]
        return h.new_zeros(ids.shape, dtype=torch.float32).index_put((row, place), torch.cat(each))

    def _by_span(self, asked: Tensor) -> tuple[Tensor, Tensor, list[int]]:
        """The row and the place of all that is asked for, those of the first span first, and how many each has."""
        by_span = asked.view(len(asked), -1, self.channels).permute(2, 0, 1)  # (C, B, P)
        span, row, position = torch.nonzero(by_span, as_tuple=True)
        return row, position * self.channels + span, by_span.sum((1, 2)).tolist()

    # -- training ------------------------------------------------------------------------------

    def _some(self, n: int) -> Tensor:
        """Which symbols of `n` examples to hide `(n, D)`. The counts are spread evenly over the batch
        (as times are by Kingma et al. 2021, arXiv:2107.00630, appendix I.1): the loss is steadier."""
        d = self.length
        if self.rate is None:
            # One shift for all, around the circle: each example's count is as likely as any.
            u = torch.arange(n, device=self.device) / n + torch.rand(1, device=self.device)
            u = u - u.floor()
            count = (u * d).long().clamp_max(d - 1) + 1
        else:
            count = torch.full((n,), max(1, round(self.rate * d)), device=self.device)
        return _ranks(torch.rand(n, d, device=self.device)) < count[:, None]

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        """Bound (1) for each symbol that counts."""
        ids = self._flat(batch.x)
        asked = self._some(len(ids))
        cond = self.conditioner(batch.cond, len(ids), batch.x)
        seen = None if self.rate is None else self._spoilt(ids, asked)
        nats, mask = self._nats(ids, asked, cond, seen), self._places(self.loss_mask(batch))
        if mask is None:
            return {"nll": (nats.sum(1) / asked.sum(1)).mean()}
        bound = (nats * mask).sum(1) / asked.sum(1) * self.length
        return {"nll": bound.sum() / mask.sum().clamp_min(1)}

    def _places(self, mask: Tensor | None) -> Tensor | None:
        """A mask of positions `(B, *grid)` as one of symbols `(B, D)`."""
        return None if mask is None else mask.flatten(1).repeat_interleave(self.channels, dim=1)

    def _spoilt(self, ids: Tensor, asked: Tensor) -> tuple[Tensor, Tensor]:
        """What BERT sees where a symbol is asked for: eight times in ten a mask, once a random symbol,
        once the symbol itself."""
        u = torch.rand(ids.shape, device=ids.device)
        sizes = torch.tensor(self.sizes, device=ids.device).repeat(self.space.positions)
        other = (torch.rand(ids.shape, device=ids.device) * sizes).long()
        return torch.where(asked & (u >= 0.9), other, ids), asked & (u < 0.8)

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Nats of the bound, and how many symbols they are for: what only fills up a text is predicted too,
        for it has to be made, but does not count."""
        ids = self._flat(batch.x)
        hidden = self._some(len(ids))
        nats = self._nats(ids, hidden, self.conditioner(batch.cond, len(ids), batch.x))
        mask, valid = self._places(self.loss_mask(batch)), self.space.valid(batch.x)
        nats = nats if mask is None else nats * mask
        counted = valid if mask is None else self._places(batch.mask)
        count = torch.as_tensor(ids.numel() if counted is None else counted.sum(), device=ids.device)
        return (nats.sum(1) / hidden.sum(1)).sum() * self.length, count.float()

    def log_prob(self, batch: Batch) -> Tensor:
        """The bound (1), exact where an example has 6 symbols or fewer, else by 64 draws."""
        ids, d = self._flat(batch.x), self.length
        cond = self.conditioner(batch.cond, len(ids), batch.x)
        mask = self._places(self.loss_mask(batch))
        counted = torch.ones_like(ids) if mask is None else mask.long()
        total = torch.zeros(len(ids), device=self.device)
        if 2**d - 1 <= DRAWS:
            for code in range(1, 2**d):
                hidden = torch.tensor([bool(code >> i & 1) for i in range(d)], device=self.device)
                k = int(hidden.sum())
                nats = (self._nats(ids, hidden.expand_as(ids), cond) * counted).sum(1)
                total = total - nats / (k * math.comb(d, k))
            return total
        for j in range(DRAWS):
            u = (j + torch.rand(len(ids), device=self.device)) / DRAWS
            count = (u * d).long().clamp_max(d - 1) + 1
            hidden = _ranks(torch.rand(ids.shape, device=self.device)) < count[:, None]
            nats = (self._nats(ids, hidden, cond) * counted).sum(1)
            total = total - nats * d / count / DRAWS
        return total

    def encode(self, batch: Batch) -> Tensor:
        """The mean over the places of what the network makes of the whole example `(B, width)`."""
        ids = self._flat(batch.x)
        hidden = torch.zeros_like(ids, dtype=torch.bool)
        h = self._read(ids, hidden, self.conditioner(batch.cond, len(ids), batch.x)).float()
        valid = self._places(self.space.valid(batch.x))
        if valid is None:
            return h.mean(1)
        weight = valid.float()
        return (h * weight[..., None]).sum(1) / weight.sum(1, keepdim=True)

    # -- sampling ------------------------------------------------------------------------------

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        partial: tuple[Tensor, Tensor] | None = None,
        *,
        steps: Count = 64,
        order: Literal["random", "confidence"] = "random",
        order_temperature: NonNegative = 4.5,
        temperature: NonNegative = 1.0,
        top_k: Count | None = None,
        top_p: Portion | None = None,
        min_p: Portion | None = None,
        guidance_scale: float = 1.0,
    ) -> Tensor:
        """steps: passes of the network, at most one for each symbol.  order: in which symbols are drawn,
        a random one or the surest first.  order_temperature: how far chance mixes with sureness, less and
        less to the end.  temperature: of the softmax; 0 always takes the likeliest.  top_k: only the k
        likeliest.  top_p: only the likeliest that together hold this probability.  min_p: only those at
        least so many times as likely as the likeliest.  guidance_scale: above 1 exaggerates the
        condition."""
        sampler = TokenSampler(temperature, top_k, top_p, min_p)
        ids = torch.zeros(n, self.length, dtype=torch.long, device=self.device)
        known = torch.zeros_like(ids, dtype=torch.bool)
        if partial is not None:
            ids, known = (self._flat(t) for t in partial)
        cond, uncond = guided_conds(self.conditioner, given, n, self.head, guidance_scale)
        inner = self._inner(ids, known)

        def uniform() -> Tensor:
            return torch.rand(ids.shape, generator=rng, device=self.device)

        hidden = ~known
        gaps = hidden.sum(1)  # (n,)
        most = int(gaps.max()) if n else 0
        turn = uniform()
        for step in range(1, min(steps, most) + 1):
            share = step / min(steps, most)
            if order == "confidence":  # few at first (MaskGIT's cosine)
                share = 1 - math.cos(math.pi / 2 * share)
            # Whole after the last step; at least one more symbol after each.
            goal = (gaps * share + 1e-6).long().clamp_min(step).minimum(gaps)
            new = (goal - gaps + hidden.sum(1))[:, None]
            asked = hidden
            if order == "random":
                asked = hidden & (_ranks(turn.masked_fill(~hidden, 2.0)) < new)
            h = self._read(ids, hidden, cond)
            h0 = None if uncond is None else self._read(ids, hidden, uncond)
            drawn, sure = self._draw(h, h0, guidance_scale, sampler, asked, inner, uniform())
            if order == "confidence":
                gumbel = -(-uniform().clamp(1e-20, 1 - 1e-7).log()).log()
                surest = -(sure + order_temperature * (1 - share) * gumbel)
                asked = hidden & (_ranks(surest.masked_fill(~hidden, torch.inf)) < new)
            ids = torch.where(asked, drawn, ids)
            hidden = hidden & ~asked
            shown, left = (functools.partial(self._stored, t, self.space.grid) for t in (ids, hidden))
            reached(Draft(step, min(steps, most), shown, hidden=left))
        x = self._stored(ids, self.space.grid)
        valid = self.space.valid(x)
        if valid is not None and self.pad is not None:  # what ends stays ended
            keep = valid | self._stored(known, self.space.grid).squeeze(1)
            x = torch.where(keep[:, None], x, torch.full_like(x, self.pad))
        return x

    def _draw(
        self,
        h: Tensor,
        uncond: Tensor | None,
        guidance_scale: float,
        sampler: TokenSampler,
        asked: Tensor,
        inner: Tensor,
        u: Tensor,
    ) -> tuple[Tensor, Tensor]:
        """A symbol for each place that is asked for, and how likely it was (its logarithm) `(n, D)`."""
        drawn, sure = torch.zeros_like(asked, dtype=torch.long), torch.zeros_like(u)
        for c, head in enumerate(self._heads()):
            row, place = torch.nonzero(asked[:, c :: self.channels], as_tuple=True)
            place = place * self.channels + c
            logits = F.linear(h[row, place], head).float()
            if uncond is not None:
                logits = guide(logits, F.linear(uncond[row, place], head).float(), guidance_scale)
            if self.pad is not None:
                logits[inner[row, place], self.pad] = -torch.inf
            found = inverse_cdf_sample(sampler.probs(logits), u[row, place])
            drawn[row, place] = found
            sure[row, place] = logits.log_softmax(1).gather(1, found[:, None]).squeeze(1)
        return drawn, sure

    def _inner(self, ids: Tensor, known: Tensor) -> Tensor:
        """The places that stand before something known, where a text cannot have ended `(n, D)`."""
        if self.pad is None:
            return torch.zeros_like(known)
        content = (known & (ids != self.pad)).long()
        return content.flip(1).cumsum(1).flip(1) > 0


def _ranks(x: Tensor) -> Tensor:
    """The place of each number in its row, from the least on."""
    return x.argsort(dim=1, stable=True).argsort(dim=1)
