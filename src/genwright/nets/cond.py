"""Encoders of named conditions.

One rule decides where a condition enters. One that is aligned with x is resampled to its grid and joins as
channels. Any other becomes tokens, if it has a grid and the role reads tokens; else a part of the vector. A
condition on a grid is read by a network of its own, so that tokens know their places and what stands beside
them. In training each condition that may be left out is dropped now and then, so that the network also learns
to go without: that is what makes guidance possible for every family (Ho & Salimans 2022, arXiv:2207.12598).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.errors import Incompatible
from genwright.nets.auto import Auto
from genwright.nets.blocks import norm, resample
from genwright.nets.efficientnet import is_picture
from genwright.nets.known_rows import KnownRows
from genwright.nets.perceptual import ImageNetMap
from genwright.nets.roles import CondShape, Grid, Nets, Role, coarser
from genwright.space import CondSpec, Real, Space, Symbol, cond_specs

__all__ = ["Conditioner", "TokenEncoder"]

TOKENS = 64
"""That a condition becomes, at most, unless each of its places counts: a finer grid is shrunk first."""
ONE_HOT = 64
"""Kinds of symbol up to which one enters an encoder one-hot; of more, as so many learned numbers."""
PLACE = 8
"""Learned numbers that tell a token's place. They are as large as what stands there from the start: the
places of a Transformer begin near zero, and for long its tokens are a bag."""


QUIET, QUIET_SCALE = 1e-4, 4.6
"""Power below which a frequency is not heard; the logarithm is divided so that it begins at -1."""


class Conditioner(nn.Module):
    """The conditions of one network, by name.

    cond   what each condition is made of, how often it is dropped, and whether it is aligned with x
    grid   the grid of x
    nets   who builds that network; the encoders of conditions are of the same size
    role   of that network
    extra  a vector is wanted even where no condition needs it (a time is added to it)
    slots  which of "tokens" and "grid" may be used (None: those that the role reads)
    symbols  the hint that the network is asked for with

    Raises `Incompatible` for a condition that cannot be aligned.
    """

    def __init__(
        self,
        cond: Mapping[str, CondSpec | Space],
        grid: Grid,
        nets: Nets,
        role: Role,
        *,
        extra: bool = False,
        slots: frozenset[str] | None = None,
        symbols: bool = False,
    ) -> None:
        super().__init__()
        self.cond, self.dim = cond_specs(cond), nets.dim
        reads = nets.slots(role, grid, symbols=symbols)
        self.where = {
            name: _slot(name, spec, grid, reads if slots is None else reads & slots)
            for name, spec in self.cond.items()
        }
        self.project = nn.ModuleDict()
        self.null = nn.ParameterDict()
        encoders = Auto(nets.size, dropout=nets.dropout, image_encoder=nets.image_encoder)
        channels = 0
        for name, spec in self.cond.items():
            encoder = _encoder(spec, self.where[name], grid, encoders)
            self.project[name] = encoder
            if isinstance(encoder, AlignedEncoder):
                # One more channel says whether it is given at all.
                channels += encoder.width + 1
            elif spec.drop:
                # Tokens that are all alike are worth one, however many they are.
                several = (
                    [encoder.places] if isinstance(encoder, TokenEncoder) and not spec.whole else []
                )
                self.null[name] = nn.Parameter(0.02 * torch.randn(*several, self.dim))
        images = [getattr(encoder, "image", None) for encoder in self.project.values()]
        if nets.image_encoder == "imagenet" and not any(images):
            raise Incompatible(
                "net.image_encoder=imagenet reads a picture that is given, and here is none that is not read pixel by "
                "pixel beside what is made: leave it away",
                code="no-picture-given",
            )
        tokens = "tokens" in self.where.values()
        vector = extra or tokens or "vector" in self.where.values()
        # A causal network comes to a place from before it: what the condition holds behind the place is
        # brought there by a network that sees the whole grid.
        self.context = (
            encoders.map(grid, channels, self.dim, CondShape())
            if role == "causal" and channels
            else None
        )
        self.copies = any(self._copied(name) for name in self.cond)
        self.shape = CondShape(
            vector=self.dim if vector else 0,
            tokens=tokens,
            grid=channels + (self.dim if self.context is not None else 0),
            line=self._line(grid),
        )

    def forward(
        self,
        given: Mapping[str, Tensor],
        n: int,
        like: Tensor,
        drop_mask: Mapping[str, Tensor] | None = None,
    ) -> Cond:
        """The encoded conditions of `n` examples; a name missing from `given` counts as dropped.

        drop_mask  which examples go without each condition `(n,)`, by name (None: as `draw_drop_mask` has it
                   in training)
        """
        drop_mask = self.draw_drop_mask(n, like) if drop_mask is None else drop_mask
        vector = like.new_zeros(n, self.shape.vector, dtype=torch.float32)
        tokens, masks, grids, symbols = [], [], [], []
        for name, spec in self.cond.items():
            out, space = drop_mask[name], spec.space
            if name not in given:
                out = torch.ones_like(out)
                stored = torch.zeros(n, *space.shape, dtype=space.dtype, device=like.device)
            else:
                stored = given[name]
            encoder = self.project[name]
            if isinstance(encoder, AlignedEncoder):
                x = encoder(stored)
                keep = (~out).view(n, 1, *[1] * (x.ndim - 2)).to(x.dtype)
                grids += [x * keep, keep.expand(n, 1, *x.shape[2:])]
            elif isinstance(encoder, TokenEncoder):
                h, seen = encoder(stored)
                h = torch.where(out[:, None, None], self._null(name, h), h)
                seen = seen | out[:, None]
                tokens.append(h)
                kept = seen & ~out[:, None] & self._copied(name)
                what = stored.flatten(1)[:, : h.shape[1]] if self._copied(name) else seen
                symbols.append(what.long().masked_fill(~kept, -1))
                masks.append(seen)
                vector = vector + encoder.pool(h, seen)
            else:
                h = encoder(stored) if space.grid else encoder(space.embed(stored))
                vector = vector + torch.where(out[:, None], self._null(name, h), h)
        whole = torch.cat(grids, dim=1) if grids else None
        if self.context is not None and whole is not None:
            whole = torch.cat([whole, self.context(whole, _NOTHING)], dim=1)
        return Cond(
            vector,
            torch.cat(tokens, dim=1) if tokens else None,
            torch.cat(masks, dim=1) if masks else None,
            whole,
            symbols=torch.cat(symbols, dim=1) if self.copies else None,
        )

    def symbols(self, given: Mapping[str, Tensor]) -> Tensor:
        """Those that may be copied of what is given `(n, T)`, as they are stored, -1 where there is none."""
        found = []
        for name in filter(self._copied, self.cond):
            valid = self.cond[name].space.valid(given[name])
            stored = given[name].flatten(1).long()
            found.append(stored if valid is None else stored.masked_fill(~valid.flatten(1), -1))
        return torch.cat(found, dim=1)

    def _line(self, grid: Grid) -> int:
        """Places of the only tokens, where both they and x stand one behind the other."""
        (name, *others) = [name for name, slot in self.where.items() if slot == "tokens"] or [""]
        alike = name and not others and self.cond[name].whole and len(grid) == 1
        return self.cond[name].space.positions if alike and len(self.cond[name].space.grid) == 1 else 0

    def _copied(self, name: str) -> bool:
        """Whether tokens of this condition stand for symbols of x."""
        encoder, spec = self.project[name], self.cond[name]
        whole = isinstance(encoder, TokenEncoder) and encoder.factor == 1
        return whole and spec.copied and spec.space.stored == 1

    def _null(self, name: str, like: Tensor) -> Tensor:
        """What stands for a condition that is left out; nothing is learnt of one that never is."""
        return self.null[name].to(like.dtype) if name in self.null else torch.zeros_like(like)

    def draw_drop_mask(self, n: int, like: Tensor) -> dict[str, Tensor]:
        """Draws which of `n` examples go without each condition, by name `(n,)`: in training some go
        without any that may be left out, and where these are several some go without one. Networks that
        judge and make the same examples must share the draw."""
        drops = {name: spec.drop if self.training else 0.0 for name, spec in self.cond.items()}
        several = sum(drop > 0 for drop in drops.values()) > 1
        none = torch.zeros(n, dtype=torch.bool, device=like.device)
        if not any(drops.values()):
            return dict.fromkeys(drops, none)
        every, found = torch.rand(n, device=like.device), {}
        for name, drop in drops.items():
            out = every < drop
            if drop and several:
                out = out | (torch.rand(n, device=like.device) < drop)
            found[name] = out
        return found


_NOTHING = Cond(torch.zeros(1, 0))
"""No condition."""


def _slot(name: str, spec: CondSpec, grid: Grid, reads: frozenset[str]) -> str:
    """Where a condition enters: "grid", "tokens" or "vector"."""
    if spec.align and grid and len(spec.space.grid) != len(grid):
        raise Incompatible(
            f"the condition {name!r} is said to be aligned with what is made, and it has "
            f"{len(spec.space.grid)} axes where that has {len(grid)}: give it as one that is not aligned",
            code="cannot-align",
        )
    if spec.align and grid and "grid" in reads:
        return "grid"
    return "tokens" if spec.space.grid and "tokens" in reads else "vector"


def _encoder(spec: CondSpec, slot: str, grid: Grid, nets: Auto) -> nn.Module:
    space = spec.space
    if slot == "grid":
        return AlignedEncoder(space, grid)
    if slot == "tokens":
        return TokenEncoder(space, nets, whole=spec.whole)
    return VectorEncoder(space, nets) if space.grid else nn.Linear(space.width, nets.dim)


# -- encoders of one condition ----------------------------------------------------------------------


class SpanEmbedding(nn.Module):
    """Stored examples `(B, stored, *grid)` as channels `(B, width, *grid)`: reals as they are, symbols
    one-hot, or of more than `ONE_HOT` kinds from a table."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        symbols = [span for span in space.spans if isinstance(span, Symbol)]
        sizes = [span.k for span in symbols]
        self.tables = nn.ModuleList(_Table(span) for span in symbols if span.k > ONE_HOT)
        self.width = space.real_channels + sum(min(k, ONE_HOT) for k in sizes)

    def forward(self, x: Tensor) -> Tensor:
        parts, tables = [], iter(self.tables)
        for slot in self.space.slots():
            part = x[:, slot.stored]
            if isinstance(slot.span, Symbol):
                index, k = part.squeeze(1).long(), slot.span.k
                part = (next(tables)(index) if k > ONE_HOT else F.one_hot(index, k)).movedim(-1, 1)
            parts.append(part.float())
        return torch.cat(parts, dim=1)


class _Table(nn.Embedding):
    """A vector of `ONE_HOT` numbers for each of many symbols."""

    def __init__(self, span: Symbol) -> None:
        known = KnownRows([span], span.k, ONE_HOT, 1.0)
        super().__init__(known.own, ONE_HOT)
        self.known = known

    def forward(self, index: Tensor) -> Tensor:
        return F.embedding(index, self.known(self.weight))


class AlignedEncoder(nn.Module):
    """A condition on the grid of x `(B, width, *grid)`: reals averaged or interpolated, symbols the
    nearest."""

    def __init__(self, space: Space, grid: Grid) -> None:
        super().__init__()
        self.space, self.grid = space, grid
        self.spans = SpanEmbedding(space)
        self.width = self.spans.width

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.spans(x if self.space.grid == self.grid else self._resampled(x))
        return out

    def _resampled(self, x: Tensor) -> Tensor:
        parts = []
        for slot in self.space.slots():
            part = x[:, slot.stored].float()
            parts.append(
                resample(part, self.grid)
                if isinstance(slot.span, Real)
                else F.interpolate(part, self.grid, mode="nearest-exact")
            )
        return torch.cat(parts, dim=1)


class VectorEncoder(nn.Module):
    """A condition on a grid as a vector `(B, dim)`."""

    def __init__(self, space: Space, nets: Nets) -> None:
        super().__init__()
        self.image = _image_encoder(space, nets)
        if self.image is None:
            self.spans = SpanEmbedding(space)
            self.net = nets.encode(space.grid, (), self.spans.width, nets.dim, CondShape())

    def forward(self, x: Tensor) -> Tensor:
        if self.image is not None:
            return self.image(x).mean((2, 3))
        return self.net(self.spans(x), _NOTHING)


class ImageNetEncoder(nn.Module):
    """A picture by what ImageNet taught, `(B, C, H, W)` to `(B, width, h, w)`: of the few pictures of one's own, no
    network would learn as much. Roots of what its channels say, of one length at each place: a few that are rarely
    heard, and then loudly, would else speak for all."""

    def __init__(self, space: Space, nets: Nets) -> None:
        super().__init__()
        self.look = ImageNetMap(space)
        self.grid = coarser(self.look.grid, self.look.factor)
        self.drop = nn.Dropout(nets.dropout)
        self.out = nn.Linear(self.look.channels, nets.dim)

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            seen = norm(self.look(x.float()).float().clamp_min(0).sqrt().movedim(1, 3))
        out: Tensor = self.out(self.drop(seen))
        return out.movedim(3, 1)


def _image_encoder(space: Space, nets: Nets) -> ImageNetEncoder | None:
    """Where one is asked for and it is a picture."""
    wanted = nets.image_encoder == "imagenet" and is_picture(space)
    return ImageNetEncoder(space, nets) if wanted else None


class Frames(nn.Module):
    """What moves in each part of a long row of numbers: the logarithms of its power by frequency (the short-time
    Fourier transform, Allen and Rabiner 1977), `(B, C, length)` to `(B, width, places)`. Convolutions that begin at
    single numbers take long to come to it, since the mean of what moves is nothing."""

    window: Tensor

    def __init__(self, channels: int, hop: int, width: int) -> None:
        """hop: numbers from the beginning of one part to that of the next; a part is four times as long."""
        super().__init__()
        self.hop = hop
        self.register_buffer("window", torch.hann_window(4 * hop), persistent=False)
        self.out = nn.Linear(channels * (2 * hop + 1), width)

    def forward(self, x: Tensor, places: int) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            ends = 3 * self.hop // 2, places * self.hop - x.shape[2] + 3 * self.hop - 3 * self.hop // 2
            parts = F.pad(x.float(), ends).unfold(2, 4 * self.hop, self.hop)  # (B, C, places, 4 hop)
            power = torch.fft.rfft(parts * self.window).abs().square()
            seen = (power + QUIET).log() / QUIET_SCALE + 1
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2)).transpose(1, 2)
        return out

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, weight in self.named_parameters():  # encoders of older runs have none
            state.setdefault(prefix + name, torch.zeros_like(weight))
        super()._load_from_state_dict(state, prefix, *rest)


class TokenEncoder(nn.Module):
    """A condition on a grid as tokens `(B, places, dim)`, each of which knows its place and the others: a
    Transformer over the grid, shrunk by convolutions to `TOKENS` places or fewer. Their mean joins the vector
    (as in Imagen, Saharia et al. 2022, arXiv:2205.11487, appendix D.1), which is learnt from much sooner.

    whole  each place is a token, and what fills an example up is not looked at
    """

    def __init__(self, space: Space, nets: Nets, *, whole: bool = False) -> None:
        super().__init__()
        self.space, self.whole, self.factor = space, whole, 1
        while not whole and math.prod(coarser(space.grid, self.factor)) > TOKENS:
            self.factor *= 2
        grid, width = coarser(space.grid, self.factor), nets.dim
        self.image = _image_encoder(space, nets)
        if self.image is not None:
            grid = self.image.grid
        self.places = math.prod(grid)
        self.spans = SpanEmbedding(space)
        self.shrink = (
            nets.encode(space.grid, grid, self.spans.width, width, CondShape())
            if self.factor > 1 and self.image is None
            else None
        )
        long = self.shrink is not None and len(space.grid) == 1 and space.real_channels
        self.frames = Frames(space.real_channels, self.factor, width) if long else None
        before = self.spans.width if self.shrink is None and self.image is None else width
        self.place = nn.Parameter(0.5 * torch.randn(PLACE, *grid))
        self.net = nets.map(grid, before + PLACE, width, CondShape(), symbols=True)
        self.pooled = nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The tokens, and which of them carry content `(B, places)`."""
        valid, cond = self.valid(x), _NOTHING
        place: Tensor = self.place
        if self.whole and len(self.space.grid) == 1:
            # Behind the end of the longest example there is nothing.
            most = int(valid.sum(1).max())
            x, valid, place = x[..., :most], valid[:, :most], place[:, :most]
            cond = replace(_NOTHING, valid=valid)
        h = self.spans(x) if self.image is None else self.image(x)
        if self.shrink is not None:
            h = self.shrink(h, _NOTHING)
        if self.frames is not None:
            h = h + self.frames(x[:, self.space.real_mask().to(x.device)], self.places)
        h = torch.cat([h, place.expand(len(h), *place.shape)], dim=1)
        return self.net(h, cond).flatten(2).transpose(1, 2), valid

    def pool(self, tokens: Tensor, valid: Tensor) -> Tensor:
        """What they say together `(B, dim)`."""
        share = valid.to(tokens.dtype) / valid.sum(1, keepdim=True).clamp_min(1)
        out: Tensor = self.pooled((tokens * share[..., None]).sum(1))
        return out

    def valid(self, x: Tensor) -> Tensor:
        """Which tokens carry content `(B, places)`."""
        valid = self.space.valid(x)
        if valid is None:
            return torch.ones(len(x), self.places, dtype=torch.bool, device=x.device)
        valid = F.pad(valid, (0, self.places * self.factor - valid.shape[1]))
        return valid.view(len(x), self.places, self.factor).any(2)
