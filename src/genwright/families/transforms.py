"""Invertible transforms with a known volume: the parts a normalizing flow is made of.

    log p(x) = log p(z) + log |det dz/dx|,    z = f(x)

Each transform turns `x` into `y` and says the logarithm of the volume it stretches, and each has its
inverse beside it. A condition changes the numbers, never the form: a network may be as wild
as it likes, since it is only ever read forward. All volumes are worked out in float32, whatever the
networks run in.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond, by_channel
from genwright.nets.roles import CondShape, Grid, Nets

__all__ = [
    "ActNorm",
    "Affine",
    "AutoregressiveTransform",
    "Chain",
    "Coupling",
    "Elementwise",
    "Mix",
    "Spline",
    "Transform",
    "Unbound",
]


class Transform(nn.Module, ABC):
    """From `(B, C, *grid)` to the same shape, and back."""

    @abstractmethod
    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        """y, and log |det dy/dx| of each example `(B,)`."""

    @abstractmethod
    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        """The x that `forward` turns into `y`."""

    def prepare(self, x: Tensor, cond: Cond) -> Tensor:
        """Set scales by a first batch, and hand on what the next transform sees of it."""
        return self(x, cond)[0]


class Chain(Transform):
    """One after the other."""

    def __init__(self, *parts: Transform) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        total = x.new_zeros(len(x))
        for part in self.parts:
            x, log_det = part(x, cond)
            total = total + log_det
        return x, total

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        for part in reversed(self.parts):
            y = part.inverse(y, cond)  # type: ignore[operator]
        return y

    def prepare(self, x: Tensor, cond: Cond) -> Tensor:
        for part in self.parts:
            x = part.prepare(x, cond)  # type: ignore[operator]
        return x


# -- one number at a time ---------------------------------------------------------------------------


class Elementwise(ABC):
    """A rising function of one number, shaped by `params` raw ones; raw zeros give the identity."""

    params: int

    @abstractmethod
    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """y and log dy/dx, both of the shape of `x`, from `raw` `(*x.shape, params)`."""

    @abstractmethod
    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        """The x that `forward` turns into `y`."""


class Affine(Elementwise):
    """`x * exp(s) + t` (RealNVP, Dinh et al. 2017, arXiv:1605.08803, eq. 4), with s in [-2, 2], so that one
    step cannot stretch what the others cannot undo."""

    params = 2

    def _parts(self, raw: Tensor) -> tuple[Tensor, Tensor]:
        return 2 * torch.tanh(raw[..., 0] / 2), raw[..., 1]

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self._parts(raw)
        return x * s.exp() + t, s

    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        s, t = self._parts(raw)
        return (y - t) * (-s).exp()


class Spline(Elementwise):
    """Monotone rational-quadratic pieces on [-bound, bound] and the identity outside (Durkan et al. 2019,
    arXiv:1906.04032, section 3.1): an outlier passes as it is."""

    def __init__(self, bins: int, bound: float = 5.0) -> None:
        self.bins, self.bound = bins, bound
        self.params = 3 * bins - 1
        self.least = min(1e-3, 0.1 / bins)
        """Of a bin's width and height, as a share of the whole; and of a slope 1e-3."""

    def _edges(self, raw: Tensor) -> Tensor:
        """`bins + 1` rising numbers from -bound to bound."""
        share = self.least + (1 - self.least * self.bins) * raw.softmax(-1)
        inner = self.bound * (2 * share[..., :-1].cumsum(-1) - 1)
        return F.pad(F.pad(inner, (1, 0), value=-self.bound), (0, 1), value=self.bound)

    def _piece(self, at: Tensor, raw: Tensor, axis: int) -> tuple[Tensor, ...]:
        """Of the piece that holds `at` on the given axis (0: x, 1: y): its left end in x and y, width,
        height, and the slopes at both ends."""
        wide, high, steep = torch.split(raw, [self.bins, self.bins, self.bins - 1], dim=-1)
        slopes = 1e-3 + F.softplus(steep + _UNIT_SLOPE)
        slopes = F.pad(slopes, (1, 1), value=1.0)  # meets the tails smoothly
        knots = torch.stack([self._edges(wide), self._edges(high), slopes], dim=-2)
        k = (at[..., None] >= knots[..., axis, 1:-1]).sum(-1)[..., None, None].expand(*at.shape, 3, 1)
        x0, y0, d0 = knots.gather(-1, k).squeeze(-1).unbind(-1)
        x1, y1, d1 = knots.gather(-1, k + 1).squeeze(-1).unbind(-1)
        return x0, y0, x1 - x0, y1 - y0, d0, d1

    def forward(self, x: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        inside = x.abs() < self.bound
        at = x.clamp(-self.bound, self.bound)
        x0, y0, width, height, d0, d1 = self._piece(at, raw, 0)
        s, t = height / width, (at - x0) / width
        both = t * (1 - t)
        below = s + (d0 + d1 - 2 * s) * both
        y = y0 + height * (s * t * t + d0 * both) / below  # eq. 4
        slope = s * s * (d1 * t * t + 2 * s * both + d0 * (1 - t) ** 2) / below**2  # eq. 5
        return torch.where(inside, y, x), torch.where(inside, slope.log(), 0.0)

    def inverse(self, y: Tensor, raw: Tensor) -> Tensor:
        inside = y.abs() < self.bound
        at = y.clamp(-self.bound, self.bound)
        x0, y0, width, height, d0, d1 = self._piece(at, raw, 1)
        s, up = height / width, at - y0
        bend = up * (d0 + d1 - 2 * s)
        a, b, c = height * (s - d0) + bend, height * d0 - bend, -s * up  # eq. 6-8
        # The root in the form that does not cancel.
        t = 2 * c / (-b - (b * b - 4 * a * c).clamp_min(0).sqrt())
        return torch.where(inside, x0 + t.clamp(0, 1) * width, y)


_UNIT_SLOPE = math.log(math.expm1(1 - 1e-3))
"""The raw number that gives slope 1."""


# -- all numbers at once ----------------------------------------------------------------------------


class Unbound(Transform):
    """The channels that lie in (-1, 1) to the whole line: log((1 + x) / (1 - x)), the logit of the place
    within the range. So a density has no mass outside it, and no sample leaves it."""

    def __init__(self, bounded: Tensor) -> None:
        super().__init__()
        self.register_buffer("bounded", bounded, persistent=False)

    bounded: Tensor

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        bounded = by_channel(self.bounded, x)
        inner = torch.where(bounded, x, 0.0).clamp(-_INSIDE, _INSIDE)
        up, down = torch.log1p(inner), torch.log1p(-inner)
        y = torch.where(bounded, up - down, x)
        return y, _total(torch.where(bounded, math.log(2) - up - down, 0.0))

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        return torch.where(by_channel(self.bounded, y), torch.tanh(y / 2), y)


_INSIDE = 1 - 1e-6
"""The ends of the range have no logit; the density beyond this is taken to be that at it."""


class ActNorm(Transform):
    """Shift and scale by channel, set by the first batch to zero mean and unit variance, then learned (Glow,
    Kingma & Dhariwal 2018, arXiv:1807.03039, section 3.1)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(channels))
        self.log_scale = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        scale = by_channel(self.log_scale, x).exp()
        log_det = self.log_scale.sum() * math.prod(x.shape[2:])
        return (x - by_channel(self.shift, x)) * scale, log_det.expand(len(x))

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        return y * (-by_channel(self.log_scale, y)).exp() + by_channel(self.shift, y)

    def prepare(self, x: Tensor, cond: Cond) -> Tensor:
        flat = x.movedim(1, 0).flatten(1)
        # A constant channel has no variance to scale by.
        std = flat.std(1, correction=0).clamp_min(1e-3)
        self.shift.data.copy_(flat.mean(1))
        self.log_scale.data.copy_(-std.log())
        return self(x, cond)[0]


class Mix(Transform):
    """A learned linear mix of the channels that keeps the volume: a permutation, then L times U with unit
    diagonals (Glow, section 3.2, eq. 10; its diagonal is ActNorm's business here). On a grid it is a
    convolution of size 1."""

    def __init__(self, order: Tensor, *, learn: bool = True) -> None:
        """order: a permutation of the channels.  learn: L and U too, else they stay the identity."""
        super().__init__()
        self.register_buffer("order", order)
        # L below the diagonal and U above it, as LAPACK keeps them.
        self.lu = nn.Parameter(torch.zeros(len(order), len(order))) if learn else None

    order: Tensor

    @staticmethod
    def _triangles(lu: Tensor) -> tuple[Tensor, Tensor]:
        eye = torch.eye(len(lu), device=lu.device, dtype=lu.dtype)
        return lu.tril(-1) + eye, lu.triu(1) + eye

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        y = x[:, self.order]
        if self.lu is not None:
            lower, upper = self._triangles(self.lu)
            with torch.autocast(x.device.type, enabled=False):
                y = (lower @ (upper @ y.reshape(len(x), x.shape[1], -1))).view(x.shape)
        return y, x.new_zeros(len(x))

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        if self.lu is None:
            return y[:, self.order.argsort()]
        lower, upper = self._triangles(self.lu)
        flat = y.reshape(len(y), y.shape[1], -1)
        flat = torch.linalg.solve_triangular(lower, flat, upper=False, unitriangular=True)
        flat = torch.linalg.solve_triangular(upper, flat, upper=True, unitriangular=True)
        return flat[:, self.order.argsort()].view(y.shape)


class Coupling(Transform):
    """One half stays and says how the other half is changed (NICE, Dinh et al. 2015, arXiv:1410.8516;
    RealNVP, section 3.2): the first channels stay; where there is one channel, every other position of a
    checkerboard. A single number has no other half, and is changed by its condition alone."""

    def __init__(
        self,
        channels: int,
        grid: Grid,
        kind: Elementwise,
        nets: Nets,
        cond_shape: CondShape,
        *,
        odd: bool,
    ) -> None:
        """odd: which squares of the checkerboard stay."""
        super().__init__()
        self.kind, self.stay = kind, channels // 2
        self.net = nets.map(grid, max(1, self.stay), (channels - self.stay) * kind.params, cond_shape)
        stays = torch.zeros(grid, dtype=torch.bool)
        if math.prod(grid) > 1:
            stays = _checkerboard(grid) == odd
        self.register_buffer("stays", stays, persistent=False)
        self.gain = nn.Parameter(torch.ones(kind.params))

    stays: Tensor

    def _raw(self, first: Tensor, cond: Cond) -> Tensor:
        """The shapes of the functions `(B, C, *grid, params)` from what stays."""
        out = self.net(first, cond).float()
        raw = out.view(len(out), -1, self.kind.params, *out.shape[2:]).movedim(2, -1)
        return raw * self.gain

    def prepare(self, x: Tensor, cond: Cond) -> Tensor:
        """Begin as the identity: silence a network that does not answer with zeros from the start. A flow
        of random functions learns more slowly, and some of its samples stay far off for long."""
        first = x[:, : self.stay] if self.stay else torch.where(self.stays, x, 1.0)
        if bool(self._raw(first, cond).any()):
            self.gain.data.zero_()
        return x

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        if self.stay:
            first, second = x[:, : self.stay], x[:, self.stay :]
            y, log_slope = self.kind.forward(second, self._raw(first, cond))
            return torch.cat([first, y], dim=1), _total(log_slope)
        y, log_slope = self.kind.forward(x, self._raw(torch.where(self.stays, x, 1.0), cond))
        return torch.where(self.stays, x, y), _total(torch.where(self.stays, 0.0, log_slope))

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        if self.stay:
            first, second = y[:, : self.stay], y[:, self.stay :]
            x = self.kind.inverse(second, self._raw(first, cond))
            return torch.cat([first, x], dim=1)
        x = self.kind.inverse(y, self._raw(torch.where(self.stays, y, 1.0), cond))
        return torch.where(self.stays, y, x)


class AutoregressiveTransform(Transform):
    """Each place is changed as those before it say (masked autoregressive flow, Papamakarios et al. 2017,
    arXiv:1705.07057, eq. 4), by a causal network instead of masks, so that forward is one pass over a
    sequence and the inverse one step for each place, with a cache.

    The places of a row are its numbers; those of a grid its positions, whose channels are changed together.
    """

    def __init__(
        self,
        channels: int,
        grid: Grid,
        kind: Elementwise,
        nets: Nets,
        cond_shape: CondShape,
        *,
        backward: bool,
    ) -> None:
        """backward: from the last place to the first."""
        super().__init__()
        self.kind, self.backward_order = kind, backward
        self.length, self.each = (math.prod(grid), channels) if grid else (channels, 1)
        self.net = nets.causal(self.length, cond_shape)
        width = self.net.width
        self.read = nn.Linear(self.each, width)
        self.start = nn.Parameter(0.02 * torch.randn(width))
        self.place = nn.Parameter(0.02 * torch.randn(self.length, width))
        self.from_vector = nn.Linear(cond_shape.vector, width) if cond_shape.vector else None
        self.from_grid = nn.Linear(cond_shape.grid, width) if cond_shape.grid else None
        self.write = nn.Linear(width, self.each * kind.params)
        nn.init.zeros_(self.write.weight)
        nn.init.zeros_(self.write.bias)

    def _sequence(self, x: Tensor) -> Tensor:
        """`(B, C, *grid)` to `(B, length, each)`, in the order of the places."""
        flat = x.reshape(len(x), self.each, self.length).transpose(1, 2)
        return flat.flip(1) if self.backward_order else flat

    def _grid(self, flat: Tensor, like: Tensor) -> Tensor:
        """The way back of `_sequence`."""
        flat = flat.flip(1) if self.backward_order else flat
        return flat.transpose(1, 2).reshape(like.shape)

    def _context(self, cond: Cond, like: Tensor) -> tuple[Tensor, Tensor]:
        """What the first place reads `(B, 1, width)`, and what marks every place `(B or 1, L, width)`."""
        start = self.start.expand(len(like), 1, -1)
        if self.from_vector is not None:
            start = start + self.from_vector(cond.vector)[:, None]
        place = self.place[None]
        if self.from_grid is not None and cond.grid is not None:
            given = self.from_grid(cond.grid.flatten(2).transpose(1, 2))
            place = place + (given.flip(1) if self.backward_order else given)
        return start, place

    def _raw(self, h: Tensor) -> Tensor:
        return self.write(h).float().view(*h.shape[:2], self.each, self.kind.params)

    def forward(self, x: Tensor, cond: Cond) -> tuple[Tensor, Tensor]:
        flat = self._sequence(x)
        start, place = self._context(cond, x)
        h = torch.cat([start, self.read(flat[:, :-1])], dim=1) + place
        y, log_slope = self.kind.forward(flat, self._raw(self.net(h, cond)))
        return self._grid(y, x), _total(log_slope)

    def inverse(self, y: Tensor, cond: Cond) -> Tensor:
        flat = self._sequence(y)
        h, place = self._context(cond, y)
        cache = self.net.cache(len(y), self.length, h)
        found: list[Tensor] = []
        for i in range(self.length):
            raw = self._raw(self.net(h + place[:, i : i + 1], cond, cache))
            found.append(self.kind.inverse(flat[:, i : i + 1], raw))
            h = self.read(found[-1])
        return self._grid(torch.cat(found, dim=1), y)


def _checkerboard(grid: Grid) -> Tensor:
    """True where the sum of the places is odd."""
    axes = torch.meshgrid(*(torch.arange(size) for size in grid), indexing="ij")
    return torch.stack(axes).sum(0) % 2 == 1


def _total(x: Tensor) -> Tensor:
    """Of each example `(B,)`."""
    return x.flatten(1).sum(1)
