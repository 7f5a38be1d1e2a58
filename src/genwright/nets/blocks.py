"""Small parts for any rank: convolutions over 1 to 3 axes, FiLM, attention, resizing."""

from __future__ import annotations

import math
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.roles import CondShape, Grid, coarser

__all__ = [
    "Attention",
    "FiLM",
    "GridCondition",
    "Straight",
    "TimeEmbedding",
    "conv",
    "groups",
    "halvings",
    "modulate",
    "pyramid",
    "resample",
    "resize",
    "with_grid",
]

_CONV = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
KERNEL = 5
"""Places a side that the straight way from an aligned condition to an answer sees."""
EPS = 1e-5
"""What a norm adds to a variance."""
NUMBERS, MOST, RIDGE = 2**22, 2048, 1e-4
"""That are looked at in all examples to fit it, about; numbers that one place may see for that; what is added to the
variances, as a share of them."""


def conv(
    rank: int, n_in: int, n_out: int, kernel: int = 3, stride: int | Grid = 1, bias: bool = True
) -> nn.Module:
    """A convolution over `rank` axes that keeps the grid (rounded up where it strides)."""
    step = (stride,) * rank if isinstance(stride, int) else stride
    size, pad = (kernel,) * rank, (kernel // 2,) * rank
    return _CONV[rank - 1](n_in, n_out, size, step, pad, bias=bias)  # type: ignore[arg-type]


def groups(channels: int) -> int:
    """Groups for a GroupNorm: 8 where that divides the channels and leaves several in each."""
    return math.gcd(8, max(1, channels // 4))


def pyramid(grid: Grid, smallest: int = 4, most: int = 4) -> list[Grid]:
    """Grids from fine to coarse. An axis is halved, rounded up, while it is above `smallest`."""
    levels = [grid]
    while len(levels) <= most and max(levels[-1], default=0) > smallest:
        levels.append(tuple(-(-n // 2) if n > smallest else n for n in levels[-1]))
    return levels


def halvings(fine: Grid, coarse: Grid) -> list[Grid]:
    """Grids from the fine one to the coarse one, each half of the one before; for a vector `()` a pyramid."""
    if not coarse:
        return pyramid(fine)
    found = [fine]
    while found[-1] != coarse:
        assert max(found[-1]) > 1, f"{coarse} is not {fine} coarser by a power of two"
        found.append(coarser(found[-1], 2))
    return found


def stride(fine: Grid, coarse: Grid) -> Grid:
    """The stride of each axis between two levels of a pyramid."""
    return tuple(1 if a == b else 2 for a, b in zip(fine, coarse, strict=True))


def resize(x: Tensor, grid: Grid) -> Tensor:
    """Nearest-neighbour to another grid."""
    return x if x.shape[2:] == grid else F.interpolate(x, size=grid, mode="nearest")


def resample(x: Tensor, grid: Grid) -> Tensor:
    """Numbers on another grid: each axis averaged where it becomes shorter (area), else linear."""
    coarse = tuple(min(a, b) for a, b in zip(x.shape[2:], grid, strict=True))
    if x.shape[2:] != coarse:
        x = F.interpolate(x, size=coarse, mode="area")
    if coarse != grid:
        x = F.interpolate(x, size=grid, mode=_LINEAR[len(grid) - 1], align_corners=False)
    return x


_LINEAR = ("linear", "bilinear", "trilinear")


def _places(x: Tensor, most: int) -> Tensor:
    """`(B, C, *grid)` at `most` places of the grid, the same in all examples `(B, C, P)`."""
    flat = x.flatten(2)
    order = torch.randperm(flat.shape[2], generator=torch.Generator().manual_seed(0))
    return flat[:, :, order[:most].to(x.device)]


def _neighbours(x: Tensor, most: int) -> Tensor:
    """What a kernel of `KERNEL` places a side sees there `(B, C * KERNEL ** rank, P)`, in the order of its weights."""
    rank, reach = x.ndim - 2, KERNEL // 2
    wide = F.pad(x, (reach, reach) * rank)
    every = (slice(None), slice(None))
    parts = []
    for shift in product(*[range(KERNEL)] * rank):
        there = (slice(s, s + size) for s, size in zip(shift, x.shape[2:], strict=True))
        parts.append(_places(wide[(*every, *there)], most))
    return torch.stack(parts, dim=2).flatten(1, 2)


def with_grid(x: Tensor, cond: Cond) -> Tensor:
    """The input joined with the condition that is aligned with it."""
    return x if cond.grid is None else torch.cat([x, cond.grid.to(x.dtype)], dim=1)


def norm(x: Tensor) -> Tensor:
    """Zero mean and unit variance over the last axis, without parameters. Unlike a root-mean-square norm
    it is one kernel on every device, which matters more here than the mean it takes away."""
    return F.layer_norm(x, (x.shape[-1],), eps=EPS)


class FiLM(nn.Module):
    """Feature-wise linear modulation by the condition vector (Perez et al. 2018, arXiv:1709.07871):
    `x * (1 + scale) + shift`, the identity at the start. With `dim` 0 it stays the identity."""

    def __init__(self, dim: int, channels: int) -> None:
        super().__init__()
        self.linear = nn.Linear(dim, 2 * channels) if dim else None
        if self.linear is not None:
            nn.init.zeros_(self.linear.weight)
            nn.init.zeros_(self.linear.bias)

    def modulation(self, cond: Cond) -> tuple[Tensor, Tensor] | None:
        """Scale and shift of each channel `(B, C)`, the same at all positions; None for the identity."""
        if self.linear is None:
            return None
        scale, shift = self.linear(F.silu(cond.vector)).chunk(2, dim=1)
        return scale, shift

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        """`(B, C, *grid)`."""
        modulation = self.modulation(cond)
        return x if modulation is None else modulate(x, modulation)


def modulate(x: Tensor, modulation: tuple[Tensor, Tensor]) -> Tensor:
    """`(B, C, *grid)` by what `FiLM.modulation` gave."""
    scale, shift = modulation
    shape = (x.shape[0], x.shape[1], *[1] * (x.ndim - 2))
    return x * (1 + scale.view(shape)) + shift.view(shape)


class GridCondition(nn.Module):
    """Adds the aligned condition to the channels of each level of a decoder, resampled to its grid; adds
    nothing where there is none."""

    def __init__(self, rank: int, sizes: list[int], cond_shape: CondShape) -> None:
        """sizes: the channels of each level."""
        super().__init__()
        given = cond_shape.grid
        self.levels = nn.ModuleList(
            conv(rank, given, size) if rank else nn.Linear(given, size) for size in sizes if given
        )

    def forward(self, x: Tensor, cond: Cond, level: int) -> Tensor:
        """`(B, C, *grid)`."""
        if cond.grid is None or not self.levels:
            return x
        out: Tensor = x + self.levels[level](resample(cond.grid.to(x.dtype), x.shape[2:]))
        return out


class Straight(nn.Module):
    """Adds a linear map of the aligned condition to a network's answer, 0 at the start; nothing where there is none.
    So a network answers with what is to change (Kim et al. 2016, arXiv:1511.04587, section 3.1), and a level that
    its norms take away is there."""

    def __init__(self, rank: int, n_out: int, cond_shape: CondShape) -> None:
        super().__init__()
        self.map = conv(rank, cond_shape.grid, n_out, kernel=KERNEL) if cond_shape.grid else None
        for weight in self.parameters():
            nn.init.zeros_(weight)

    @torch.no_grad()
    def begin(self, cond: Cond, answer: Tensor) -> bool:
        """Start as the linear map that comes nearest to the right answers, by ridge regression, which the steps of an
        optimiser take long to come to; whether there is one."""
        if self.map is None or cond.grid is None:
            return False
        width = cond.grid.shape[1] * KERNEL ** (cond.grid.ndim - 2)
        if width > MOST:
            return False
        most = max(1, NUMBERS // (width * len(answer)))
        seen, wanted = _neighbours(cond.grid.double(), most), _places(answer.double(), most)
        rows = torch.cat([seen, torch.ones_like(seen[:, :1])], dim=1)
        rows, wanted = (t.transpose(1, 2).flatten(0, 1) for t in (rows, wanted))
        square = rows.T @ rows / len(rows)
        ridge = RIDGE * square.diagonal().mean() * torch.eye(len(square), device=square.device)
        found = torch.linalg.solve(square + ridge.double(), rows.T @ wanted / len(rows))
        for parameter, part in zip(self.map.parameters(), (found[:-1].T, found[-1]), strict=True):
            parameter.copy_(part.reshape(parameter.shape))
        return True

    def forward(self, answer: Tensor, cond: Cond) -> Tensor:
        """`(B, n_out, *grid)`."""
        if self.map is None or cond.grid is None:
            return answer
        out: Tensor = answer + self.map(cond.grid.to(answer.dtype))
        return out

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        for name, weight in self.named_parameters():  # networks of older runs have none
            state.setdefault(prefix + name, torch.zeros_like(weight))
        super()._load_from_state_dict(state, prefix, *rest)


class Gate(nn.Module):
    """`tanh(W_f x + V_f c) . sigmoid(W_g x + V_g c)` over the last axis, `(B, ..., n_in)` to
    `(B, ..., n_out)`; c is the condition vector, the same at every place (van den Oord et al. 2016,
    arXiv:1606.05328, eq. 4)."""

    def __init__(self, n_in: int, n_out: int, cond_shape: CondShape) -> None:
        super().__init__()
        # Two matrices, one product: Muon makes each of them orthogonal by itself.
        self.value, self.gate = (nn.Linear(n_in, n_out, bias=False) for _ in range(2))
        self.bias = nn.Parameter(torch.zeros(2 * n_out))
        self.film = nn.Linear(cond_shape.vector, 2 * n_out, bias=False) if cond_shape.vector else None

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        z = F.linear(x, torch.cat([self.value.weight, self.gate.weight]), self.bias)
        if self.film is not None:
            shift = self.film(F.silu(cond.vector))
            z = z + shift.view(len(shift), *[1] * (z.ndim - 2), -1)
        value, gate = z.chunk(2, dim=-1)
        return value.tanh() * gate.sigmoid()


class Attention(nn.Module):
    """Residual attention over all positions of a grid, and to the condition's tokens if any."""

    def __init__(self, channels: int, tokens: int = 0, head: int = 32) -> None:
        super().__init__()
        self.heads = max(1, channels // head)
        self.norm = nn.GroupNorm(groups(channels), channels)
        self.qkv = nn.Linear(channels, 3 * channels)
        self.to_tokens = nn.Linear(tokens, 2 * channels) if tokens else None
        self.out = nn.Linear(channels, channels)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        h = self.norm(x).flatten(2).transpose(1, 2)  # (B, P, C)
        q, k, v = self.qkv(h).chunk(3, dim=-1)
        mask = None
        if self.to_tokens is not None and cond.tokens is not None:
            k2, v2 = self.to_tokens(cond.tokens).chunk(2, dim=-1)
            if cond.tokens_mask is not None:
                seen = cond.tokens_mask.new_ones(k.shape[0], k.shape[1])
                mask = torch.cat([seen, cond.tokens_mask], dim=1)[:, None, None]
            k, v = torch.cat([k, k2], dim=1), torch.cat([v, v2], dim=1)

        def split(t: Tensor) -> Tensor:
            return t.view(t.shape[0], t.shape[1], self.heads, -1).transpose(1, 2)

        h = F.scaled_dot_product_attention(split(q), split(k), split(v), attn_mask=mask)
        h = self.out(h.transpose(1, 2).flatten(2))
        return x + h.transpose(1, 2).reshape(x.shape)


class TimeEmbedding(nn.Module):
    """A number in about [-2, 2] `(B,)` to a vector `(B, dim)`: sinusoids, then a small MLP."""

    def __init__(
        self, dim: int, frequencies: int = 32, *, octaves: tuple[float, float] = (-2, 6)
    ) -> None:
        super().__init__()
        # 1/4 to 64 turns over the unit interval: coarse enough to be monotone, fine enough to
        # separate neighbouring times of a fine sampler.
        turns = torch.logspace(*octaves, frequencies, base=2.0)
        self.register_buffer("turns", turns, persistent=False)
        self.mlp = nn.Sequential(nn.Linear(2 * frequencies, dim), nn.SiLU(), nn.Linear(dim, dim))

    turns: Tensor

    def forward(self, t: Tensor) -> Tensor:
        phase = 2 * math.pi * t[:, None] * self.turns
        out: Tensor = self.mlp(torch.cat([phase.sin(), phase.cos()], dim=1))
        return out
