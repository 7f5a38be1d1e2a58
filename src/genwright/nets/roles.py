"""Networks by role: the interface between families and architectures.

Four roles say what goes in and what comes out, `(B, C, *grid)` throughout; a vector has the grid `()`:

    map      grid in, the same grid out               a denoiser, a velocity
    encode   grid in, a vector or coarser grid out    the posterior of a VAE, a critic, an energy
    decode   a vector or coarser grid in, grid out    the decoder of a VAE, a generator
    causal   a sequence in, the same out              position i sees the positions up to i; with a cache

Every network is called as `net(x, cond)`. An architecture offers the roles it can; `Auto` picks
one for each role and grid. Sizes come from one option, xs | s | m | l.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol

import torch
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.errors import Unsupported
from genwright.options import Count, Share

__all__ = [
    "Cache",
    "Causal",
    "CondShape",
    "Grid",
    "ImageEncoder",
    "Net",
    "Nets",
    "Role",
    "Size",
    "coarser",
]

Grid = tuple[int, ...]
Role = Literal["map", "encode", "decode", "causal"]
Size = Literal["xs", "s", "m", "l"]
ImageEncoder = Literal["learned", "imagenet"]


def coarser(grid: Grid, factor: int) -> Grid:
    """The grid with every axis `factor` times shorter, rounded up. A row stays a row."""
    return tuple(-(-n // factor) for n in grid)


@dataclass(frozen=True)
class CondShape:
    """Shapes of a network's conditions: the width of `Cond.vector` (0: none), whether there are tokens (of
    the same width), and how many channels of `Cond.grid` come with x. `line`: places that the tokens stand at, one
    behind the other, where those of x do so too (0: it is not by their places that they belong together)."""

    vector: int = 0
    tokens: bool = False
    grid: int = 0
    line: int = 0


def unheard(net: nn.Module) -> AbstractContextManager[Any]:
    """Within it, no mode of torch hears of each operation. One that listens for draws (`families/lanes.py`) has nothing
    to hear from a network in use, which draws nothing, and to be told of all that it computes would take a fifth of
    the time of a small one."""
    return nullcontext() if net.training else torch._C.DisableTorchFunction()


class Net(nn.Module, ABC):
    """A network: `forward(x, cond)`."""

    def __call__(self, x: Tensor, cond: Cond) -> Tensor:
        with unheard(self):
            out: Tensor = super().__call__(x, cond)
        return out

    def begin(self, cond: Cond, answer: Tensor) -> None:
        """Start near what an aligned condition says of the right `answer` `(B, n_out, *grid)`. Optional."""


class Cache(Protocol):
    """What a causal network keeps of the positions it has seen."""

    @property
    def length(self) -> int: ...

    def select(self, rows: Tensor) -> None:
        """Keep these examples `(B,)`, in this order."""


class Causal(nn.Module, ABC):
    """A network over a sequence `(B, L, width)`, with an optional cache of what came before."""

    width: int
    continues_in_bfloat16: ClassVar[bool] = False
    """Whether it goes on from a cache in bfloat16 as well, inputs, weights and all."""

    def cache(self, batch: int, length: int, like: Tensor) -> Cache:
        """An empty cache for `length` positions, on the device and in the dtype of `like`."""
        raise NotImplementedError

    def __call__(self, h: Tensor, cond: Cond, cache: Cache | None = None) -> Tensor:
        with unheard(self):
            out: Tensor = super().__call__(h, cond, cache)
        return out


class Nets(ABC):
    """An architecture at a size: builds networks by role."""

    reads: ClassVar[Mapping[Role, frozenset[str]]] = {}
    """Which of "tokens" and "grid" each offered role can read; every role reads the vector."""
    sizes: ClassVar[Mapping[Size, tuple[int, int]]] = {}
    """Width and depth for each size."""

    def __init__(
        self,
        size: Size = "s",
        *,
        width: Count | None = None,
        depth: Count | None = None,
        dropout: Share = 0.0,
        image_encoder: ImageEncoder = "learned",
    ) -> None:
        """width: channels of the first level (None: by size).  depth: blocks (None: by size).
        dropout: share of activations silenced in training.  image_encoder: what reads a picture that is given:
        convolutions learnt with the rest, or EfficientNet-Lite0 as ImageNet taught it, frozen (imagenet, which needs
        the extra `features`)."""
        default = self.sizes.get(size, (0, 0))
        self.size: Size = size
        self.width = width or default[0]
        self.depth = depth or default[1]
        self.dropout = dropout
        self.image_encoder: ImageEncoder = image_encoder

    @property
    def dim(self) -> int:
        """The width of the condition vector that goes with networks of this size."""
        return {"xs": 32, "s": 128, "m": 256, "l": 512}[self.size]

    def slots(self, role: Role, grid: Grid, *, symbols: bool = False) -> frozenset[str]:
        """What the network of this role reads beside the vector; `symbols` as in `map`. Raises
        `Unsupported`."""
        if role not in self.reads:
            raise self._no(role)
        return self.reads[role]

    def in_size(self, architecture: type[Nets], **options: Any) -> Nets:
        """Another architecture at the size of this one."""
        return architecture(
            self.size,
            width=self.width or None,
            depth=self.depth or None,
            dropout=self.dropout,
            **options,
        )

    def map(
        self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape, *, symbols: bool = False
    ) -> Net:
        """`(B, n_in, *grid)` to `(B, n_out, *grid)`.

        symbols  a hint: what is mapped are embedded symbols, which stand on the grid or are hidden
        """
        raise self._no("map")

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
        """`(B, n_in, *from_grid)` to `(B, n_out, *to_grid)`: a vector, or a grid that is `coarser` by a power
        of two.

        score  a hint: the answers are only ever compared with each other, so that a constant would go untrained
        """
        raise self._no("encode")

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        """`(B, n_in, *from_grid)`, a vector or a coarser grid, to `(B, n_out, *to_grid)`."""
        raise self._no("decode")

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        """Over `length` places: `channels` at each position of `grid`, in row-major order."""
        raise self._no("causal")

    def _grid(self, grid: Grid) -> None:
        """Refuse a row where the architecture needs neighbours."""
        if not grid:
            raise Unsupported(
                f"the net {self.name!r} needs a grid, and a row has none: use net.name=mlp",
                code="net-needs-grid",
            )

    def _vector(self, grid: Grid) -> None:
        """Refuse a coarser grid where the architecture knows no way between it and the grid of an example."""
        if grid:
            raise Unsupported(
                f"the net {self.name!r} encodes to a vector and decodes from one, and this family needs a "
                f"coarser grid: leave net.name at 'auto' or choose another",
                code="role-not-offered",
            )

    @property
    def name(self) -> str:
        return type(self).__name__.removesuffix("Nets").lower()

    def _no(self, role: Role) -> Unsupported:
        offered = ", ".join(self.reads)
        return Unsupported(
            f"the net {self.name!r} offers {offered}, and this family needs {role!r}: "
            f"leave net.name at 'auto' or choose another",
            code="role-not-offered",
        )
