"""Transformers over the positions of a grid, bidirectional or causal.

One block serves both: RMS norms before each part, rotary positions (Su et al. 2021,
arXiv:2104.09864), normalised queries and keys (Henry et al. 2020, arXiv:2010.04245), squared ReLU
(So et al. 2021, arXiv:2109.08668), no biases, and output projections that start at zero.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.blocks import FiLM, modulate, norm, with_grid
from genwright.nets.roles import Cache, Causal, CondShape, Grid, Net, Nets

__all__ = ["KVCache", "TransformerNets"]

T = TypeVar("T")


def attend(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None, causal: bool = False) -> Tensor:
    """Scaled dot-product attention `(B, H, L, D)`, in the dtype of the queries. On a CPU it is computed in fp32:
    its bfloat16 kernel takes four times as long forward and six times backward (`benchmarks/kernels.py`)."""
    if q.device.type != "cpu":
        return F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=causal)
    with torch.autocast("cpu", enabled=False):
        y = F.scaled_dot_product_attention(
            q.float(), k.float(), v.float(), attn_mask=mask, is_causal=causal
        )
    return y.to(q.dtype)


SHORT = 64
"""Positions up to which attention of one query on a CPU is fastest element by element, positions first; the kernel for
many queries sets out anew for each head of each example (`benchmarks/kernels.py`)."""
SHARED = 4
"""Queries that share a key and a value in a longer sequence (grouped-query attention, Ainslie et al. 2023,
arXiv:2305.13245), at most. What is kept of each position is read again at each later one, and takes so much less."""


@dataclass
class KVCache:
    """Keys and values of the positions seen so far, of all layers, written in place. One query reads keys that lie
    along the positions, `(B, H, D, L)`, in half the time, and of few positions both element by element, with those
    first. And what is the same at every position: kept from the first on."""

    keys: list[Tensor]
    values: list[Tensor]
    length: int = 0
    _kept: dict[tuple[int, str], Any] = field(default_factory=dict)

    @classmethod
    def empty(
        cls, layers: int, shape: tuple[int, int, int, int], like: Tensor, dtype: torch.dtype
    ) -> KVCache:
        """For `shape` (B, H, positions, D)."""
        b, h, positions, d = shape
        short = positions <= SHORT and like.device.type == "cpu"

        def one(along: bool) -> Tensor:
            if short:
                return like.new_empty((positions, b, h, d), dtype=dtype).permute(1, 2, 0, 3)
            if along:
                return like.new_empty((b, h, d, positions), dtype=dtype).transpose(2, 3)
            return like.new_empty((b, h, positions, d), dtype=dtype)

        return cls([one(True) for _ in range(layers)], [one(False) for _ in range(layers)])

    def once(self, layer: int, what: str, make: Callable[[], T]) -> T:
        """What `make` gives, made the first time that a layer asks for it."""
        if (layer, what) not in self._kept:
            self._kept[layer, what] = make()
        found: T = self._kept[layer, what]
        return found

    def select(self, rows: Tensor) -> None:
        """Keep these examples, in this order; what is the same at every position they have in common."""
        for seen in (*self.keys, *self.values):
            seen[:, :, : self.length] = seen[rows, :, : self.length]

    def extend(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Write new keys and values `(B, H, L, D)` behind the old ones; give back all."""
        end = self.length + k.shape[2]
        keys, values = self.keys[layer], self.values[layer]
        keys[:, :, self.length : end] = k
        values[:, :, self.length : end] = v
        return keys[:, :, :end], values[:, :, :end]

    def attend(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """What the scaled queries `(B, Q, D)` of one new position see, itself and what came before: `(B, Q * D)`. Its
        keys and values `(B, H, D)` are each for Q / H of them."""
        keys, values = self.keys[layer], self.values[layer]
        keys.select(2, self.length).copy_(k)
        values.select(2, self.length).copy_(v)
        end, (b, h, d) = self.length + 1, k.shape
        if keys.stride(2) > keys.stride(0):
            last, seen = (
                one.narrow(2, 0, end).permute(2, 0, 1, 3)[:, :, :, None] for one in (keys, values)
            )
            shares = (last * q.view(b, h, -1, d)).sum(-1).softmax(0)
            return (seen * shares[..., None]).sum(0).view(b, -1)
        along, flat = self.once(
            layer, "flat", lambda: (keys.transpose(2, 3).flatten(0, 1), values.flatten(0, 1))
        )
        shares = torch.bmm(q.reshape(b * h, -1, d), along.narrow(2, 0, end)).softmax(2)
        return torch.bmm(shares, flat.narrow(1, 0, end)).view(b, -1)


class Rotary(nn.Module):
    """Turns pairs of channels by an angle that grows with the position."""

    def __init__(self, head: int, length: int, base: float = 10_000.0) -> None:
        super().__init__()
        rate = base ** (-torch.arange(0, head, 2).float() / head)
        angle = torch.outer(torch.arange(length).float(), rate)  # (L, D/2)
        # For the pair (a, b): a cos - b sin, b cos + a sin, with the halves side by side.
        self.register_buffer("cos", angle.cos().repeat(1, 2), persistent=False)
        self.register_buffer("sin", torch.cat([-angle.sin(), angle.sin()], dim=1), persistent=False)

    cos: Tensor
    sin: Tensor

    def forward(self, x: Tensor, first: int) -> Tensor:
        """`(B, H, L, D)`, whose first position is number `first`."""
        cos = self.cos[first : first + x.shape[2]].to(x.dtype)
        sin = self.sin[first : first + x.shape[2]].to(x.dtype)
        return x * cos + x.roll(x.shape[-1] // 2, dims=-1) * sin

    def scaled(self, queries: int, keys: int) -> tuple[Tensor, Tensor]:
        """Cosines and sines `(L, queries + keys, D)`, by which queries are also brought to the size that attention
        wants."""
        size = torch.ones(queries + keys, 1, device=self.cos.device)
        size[:queries] = self.cos.shape[1] ** -0.5
        return self.cos.float()[:, None] * size, self.sin.float()[:, None] * size


class TransformerBlock(nn.Module):
    """Self-attention, attention to given tokens if any, and a squared-ReLU MLP, each residual."""

    def __init__(
        self,
        width: int,
        heads: int,
        cond_shape: CondShape,
        dropout: float,
        causal: bool,
        shared: int = 1,
    ) -> None:
        """shared: heads of queries for each head of keys and values."""
        super().__init__()
        self.heads, self.causal, self.line = heads, causal, cond_shape.line > 0
        self.kv_heads = heads // shared
        # Three matrices, one product: Muon makes each of them orthogonal by itself.
        self.q, self.k, self.v = (nn.Linear(width, width // n, bias=False) for n in (1, shared, shared))
        self.proj = nn.Linear(width, width, bias=False)
        self.wide = nn.Linear(width, 4 * width, bias=False)
        self.back = nn.Linear(4 * width, width, bias=False)
        self.film = FiLM(cond_shape.vector, width)
        self.drop = nn.Dropout(dropout)
        self.cross = (
            nn.ModuleDict(
                {
                    "q": nn.Linear(width, width, bias=False),
                    "kv": nn.Linear(cond_shape.vector, 2 * width, bias=False),
                    "proj": nn.Linear(width, width, bias=False),
                }
            )
            if cond_shape.tokens
            else None
        )
        nn.init.zeros_(self.proj.weight)
        nn.init.zeros_(self.back.weight)
        if self.cross is not None:
            nn.init.zeros_(self.cross["proj"].weight)  # type: ignore[arg-type]

    def _split(self, x: Tensor) -> Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)  # (B, H, L, D)

    def forward(
        self, h: Tensor, cond: Cond, rotary: Rotary, cache: KVCache | None, layer: int
    ) -> Tensor:
        first = 0 if cache is None else cache.length

        def once(what: str, make: Callable[[], T]) -> T:
            return make() if cache is None else cache.once(layer, what, make)

        x = norm(h)
        if (modulation := once("film", lambda: self.film.modulation(cond))) is not None:
            x = modulate(x.transpose(1, 2), modulation).transpose(1, 2)
        qkv = F.linear(x, once("qkv", self._stacked))
        both = self.heads + self.kv_heads
        qkv = qkv.view(x.shape[0], x.shape[1], both + self.kv_heads, -1).transpose(1, 2)
        qk, v = qkv[:, :both], qkv[:, both:]
        q, k = torch.split(rotary(norm(qk), first), [self.heads, self.kv_heads], dim=1)
        if cache is not None:
            k, v = cache.extend(layer, k, v)
        mask = None
        if self.causal and first and q.shape[2] > 1:
            mask = torch.ones(q.shape[2], k.shape[2], dtype=torch.bool, device=q.device).tril(first)
        # A single new position may see everything before it: no mask at all.
        causal = self.causal and not first and q.shape[2] > 1
        if not self.causal and cond.valid is not None:
            mask = cond.valid.flatten(1)[:, None, None]
        if self.kv_heads < self.heads:
            k, v = (one.repeat_interleave(self.heads // self.kv_heads, 1) for one in (k, v))
        y = attend(q, k, v, mask, causal)
        h = h + self.drop(self.proj(y.transpose(1, 2).flatten(2)))
        if self.cross is not None and cond.tokens is not None:
            h = self._crossed(h, cond, rotary, cache, layer)
        out: Tensor = h + self.drop(self.back(F.relu(self.wide(norm(h))).square()))
        return out

    def next(
        self,
        h: Tensor,
        cond: Cond,
        rotary: Rotary,
        turn: tuple[Tensor, Tensor],
        cache: KVCache,
        layer: int,
    ) -> Tensor:
        """The same of one new position `(B, width)` without dropout, on a CPU, where the time of small operations is
        what counts: fewer of them, in place, and attention in fp32 (`attend`).

        turn: cosines and sines of the position, see `Rotary.scaled`"""
        film, to_qkv, proj, wide, back = cache.once(layer, "next", lambda: self._ready(cond))
        x = norm(h)
        if film is not None:
            x = torch.addcmul(film[1], x, film[0])
        both = self.heads + self.kv_heads
        qkv = torch.mm(x, to_qkv).float().view(len(h), both + self.kv_heads, -1)
        qk, v = torch.split(qkv, [both, self.kv_heads], dim=1)
        qk = norm(qk)
        qk = torch.addcmul(qk * turn[0], qk.roll(qk.shape[-1] // 2, dims=-1), turn[1])
        q, k = torch.split(qk, [self.heads, self.kv_heads], dim=1)
        h = torch.addmm(h, cache.attend(layer, q, k, v).to(h.dtype), proj)
        if self.cross is not None and cond.tokens is not None:
            h = self._crossed(h[:, None], cond, rotary, cache, layer)[:, 0]
        many = torch.mm(norm(h), wide).relu_()
        return torch.addmm(h, many.mul_(many), back)

    def _ready(self, cond: Cond) -> tuple[tuple[Tensor, Tensor] | None, Tensor, Tensor, Tensor, Tensor]:
        """What `next` multiplies by: the modulation, and matrices the way round that their products are fastest."""
        film = self.film.modulation(cond)
        weights = (self._stacked(), self.proj.weight, self.wide.weight, self.back.weight)
        qkv, proj, wide, back = (weight.t().contiguous() for weight in weights)
        return None if film is None else (1 + film[0], film[1]), qkv, proj, wide, back

    def _stacked(self) -> Tensor:
        """The weights of queries, keys and values, `(3 width, width)` where none are shared."""
        return torch.cat([self.q.weight, self.k.weight, self.v.weight])

    def _load_from_state_dict(self, state: dict[str, Tensor], prefix: str, *rest: Any) -> None:
        found = state.get(f"{prefix}k.weight")
        if self.kv_heads < self.heads and found is not None and found.shape == self.q.weight.shape:
            # Runs from before any were shared. The parameters stay themselves: an optimizer may know them.
            self.kv_heads = self.heads
            for one in (self.k, self.v):
                one.weight.data = torch.empty_like(self.q.weight)
                one.out_features = self.q.out_features
        super()._load_from_state_dict(state, prefix, *rest)

    def _crossed(
        self, h: Tensor, cond: Cond, rotary: Rotary, cache: KVCache | None, layer: int
    ) -> Tensor:
        """With attention to the given tokens `(B, L, width)`."""
        assert self.cross is not None
        assert cond.tokens is not None
        first, tokens = 0 if cache is None else cache.length, cond.tokens
        q = norm(self._split(self.cross["q"](norm(h))))
        # What stands at about the same place often belongs together.
        q = rotary(q, first) if self.line else q
        if cache is None:
            k, v = self._tokens(tokens, rotary)
        else:
            k, v = cache.once(layer, "tokens", lambda: self._tokens(tokens, rotary))
        seen = None if cond.tokens_mask is None else cond.tokens_mask[:, None, None]
        y = attend(q, k, v, seen)
        out: Tensor = h + self.drop(self.cross["proj"](y.transpose(1, 2).flatten(2)))
        return out

    def _tokens(self, tokens: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        """Keys and values of the given tokens."""
        assert self.cross is not None
        k, v = (self._split(t) for t in self.cross["kv"](tokens).chunk(2, dim=-1))
        return rotary(norm(k), 0) if self.line else norm(k), v


def _stack(nets: Nets, length: int, cond_shape: CondShape, causal: bool) -> tuple[nn.ModuleList, Rotary]:
    width = nets.width
    heads = max(1, width // 32 if width <= 256 else width // 64)
    long = causal and length > SHORT
    shared = max(n for n in range(1, SHARED + 1) if heads % n == 0) if long else 1
    blocks = nn.ModuleList(
        TransformerBlock(width, heads, cond_shape, nets.dropout, causal, shared)
        for _ in range(nets.depth)
    )
    return blocks, Rotary(width // heads, max(length, cond_shape.line))


class CausalTransformer(Causal):
    """`(B, L, width)` to the same; position i sees the positions up to i."""

    continues_in_bfloat16 = True

    def __init__(self, length: int, nets: Nets, cond_shape: CondShape) -> None:
        super().__init__()
        self.width = nets.width
        self.blocks, self.rotary = _stack(nets, length, cond_shape, causal=True)

    def cache(self, batch: int, length: int, like: Tensor) -> KVCache:
        block = self.blocks[0]
        assert isinstance(block, TransformerBlock)
        shape = (batch, block.kv_heads, length, self.width // block.heads)
        dtype = torch.float32 if like.device.type == "cpu" else like.dtype  # as `attend` reads them
        return KVCache.empty(len(self.blocks), shape, like, dtype)

    def forward(self, h: Tensor, cond: Cond, cache: Cache | None = None) -> Tensor:
        assert cache is None or isinstance(cache, KVCache)
        if cache is not None and h.shape[1] == 1 and h.device.type == "cpu" and not self.training:
            return self._next(h[:, 0], cond, cache)[:, None]
        h = norm(h)
        for layer, block in enumerate(self.blocks):
            h = block(h, cond, self.rotary, cache, layer)
        if cache is not None:
            cache.length += h.shape[1]
        return norm(h)

    def _next(self, h: Tensor, cond: Cond, cache: KVCache) -> Tensor:
        """One new position `(B, width)`."""
        h, first = norm(h), self.blocks[0]
        assert isinstance(first, TransformerBlock)
        cos, sin = cache.once(0, "turn", lambda: self.rotary.scaled(first.heads, first.kv_heads))
        turn = (cos[cache.length], sin[cache.length])
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, TransformerBlock)
            h = block.next(h, cond, self.rotary, turn, cache, layer)
        cache.length += 1
        return norm(h)


class GridTransformer(Net):
    """A grid to a grid, to a vector (`pool`), or from a vector (`unpool`); all positions at once. Of a grid of one
    axis the first positions may come alone."""

    def __init__(
        self,
        grid: Grid,
        n_in: int,
        n_out: int,
        nets: Nets,
        cond_shape: CondShape,
        *,
        pool: bool = False,
        unpool: bool = False,
        score: bool = False,
    ) -> None:
        super().__init__()
        self.grid, self.pool, self.unpool = grid, pool, unpool
        length, width = math.prod(grid), nets.width
        self.first = nn.Linear(n_in if unpool else n_in + cond_shape.grid, width)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        self.blocks, self.rotary = _stack(nets, length, cond_shape, causal=False)
        self.last = nn.Linear(width, n_out, bias=not score)
        self.from_grid = nn.Linear(cond_shape.grid, width) if unpool and cond_shape.grid else None

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        if self.unpool:
            h = self.first(x)[:, None] + self.place
            if self.from_grid is not None and cond.grid is not None:
                h = h + self.from_grid(cond.grid.flatten(2).transpose(1, 2))
        else:
            h = self.first(with_grid(x, cond).flatten(2).transpose(1, 2))
            h = h + self.place[: h.shape[1]]
        h = norm(h)
        for layer, block in enumerate(self.blocks):
            h = block(h, cond, self.rotary, None, layer)
        h = norm(h)
        if self.pool:
            out: Tensor = self.last(h.mean(1))
            return out
        grid = self.grid if self.unpool else x.shape[2:]
        return self.last(h).transpose(1, 2).reshape(x.shape[0], -1, *grid)


class TransformerNets(Nets):
    """Transformers for every role, on grids of one to three axes; the causal role on any sequence."""

    reads = {  # noqa: RUF012 - a constant of the class
        "map": frozenset({"grid", "tokens"}),
        "encode": frozenset({"grid", "tokens"}),
        "decode": frozenset({"grid", "tokens"}),
        "causal": frozenset({"grid", "tokens"}),
    }
    sizes = {"xs": (32, 2), "s": (128, 4), "m": (384, 6), "l": (768, 12)}  # noqa: RUF012

    def map(
        self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape, *, symbols: bool = False
    ) -> Net:
        self._grid(grid)
        return GridTransformer(grid, n_in, n_out, self, cond_shape)

    def encode(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> Net:
        self._grid(from_grid)
        self._vector(to_grid)
        return GridTransformer(from_grid, n_in, n_out, self, cond_shape, pool=True, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        self._grid(to_grid)
        self._vector(from_grid)
        return GridTransformer(to_grid, n_in, n_out, self, cond_shape, unpool=True)

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        return CausalTransformer(length, self, cond_shape)
