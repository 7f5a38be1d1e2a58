"""Features in which two pictures are alike when they look alike: maps `(B, C, *grid)` from fine to coarse.

    random    convolutions with random weights that are never trained: enough for texture and layout (He et
              al. 2016, arXiv:1606.04801), for any grid of one to three axes
    imagenet  EfficientNet-Lite0, from the pip-installable weights: pictures in grey or colour

All weights are buffers, so that a run holds those it was trained with and no optimiser finds them.
"""

from __future__ import annotations

import math
from collections import deque
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.nets.blocks import pyramid
from genwright.nets.efficientnet import FrozenEfficientNet
from genwright.space import Space

__all__ = ["ImageNetFeatures", "ImageNetMap", "RandomFeatures", "perceptual"]

SIDE = 128
"""Pixels of the shorter side that a picture has when it is read."""

_CONV = (F.conv1d, F.conv2d, F.conv3d)


class RandomFeatures(nn.Module):
    """Two layers at each level of a pyramid; the second is kept. The weights are the same for every seed."""

    widths = (32, 48, 64, 64)

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.rank = len(space.grid)
        self.grids = pyramid(space.grid, smallest=4, most=len(self.widths) - 1)
        rng, before = torch.Generator().manual_seed(0), space.width
        for i, width in enumerate(self.widths[: len(self.grids)]):
            for j in range(2):
                weight = torch.empty(width, before, *[3] * self.rank)
                scale = math.sqrt(2 / weight[0].numel())
                self.register_buffer(f"weight{i}{j}", scale * weight.normal_(generator=rng))
                # Shifted by about as much as it varies, so that levels of brightness are told apart.
                self.register_buffer(f"bias{i}{j}", 0.3 * torch.randn(width, generator=rng))
                before = width

    def forward(self, x: Tensor) -> list[Tensor]:
        """Embedded examples `(B, width, *grid)` to the maps of all levels."""
        found = []
        for i, grid in enumerate(self.grids):
            if i:
                x = F.interpolate(x, grid, mode="area")
            for j in range(2):
                # What lies outside is like the edge: zeros would be a feature of their own.
                x = F.pad(x, (1, 1) * self.rank, mode="replicate")
                weight, bias = self.get_buffer(f"weight{i}{j}"), self.get_buffer(f"bias{i}{j}")
                x = F.relu(_CONV[self.rank - 1](x, weight, bias))
            found.append(x)
        return found


class ImageNetFeatures(FrozenEfficientNet):
    """The last map of each resolution of EfficientNet-Lite0, from a half to a sixteenth of the side."""

    blocks = (0, 2, 4, 10)

    def __init__(self, space: Space) -> None:
        """Raises `Incompatible` for what is no picture, `GenwrightError` where the package is missing."""
        otherwise = "--set family.features=random looks at any grid"
        super().__init__(space, "family.features=imagenet", otherwise, self.blocks[-1] + 1)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures `(B, 1 or 3, H, W)` to the maps of four resolutions."""
        return [phi for i, phi in enumerate(self.maps(x)) if i in self.blocks]


class ImageNetMap(FrozenEfficientNet):
    """The last map of EfficientNet-Lite0, of 1,280 channels, a thirty-second of the side. A picture is brought to a
    shorter side of `SIDE` pixels at least and a longer one of twice that at most."""

    channels, factor = 1280, 32

    def __init__(self, space: Space) -> None:
        """Raises `Incompatible` for what is no picture, `GenwrightError` where the package is missing."""
        otherwise = "--set net.image_encoder=learned reads any grid"
        super().__init__(space, "net.image_encoder=imagenet", otherwise, None)
        scale = min(max(1.0, SIDE / min(space.grid)), 2 * SIDE / max(space.grid))
        self.grid = tuple(max(1, round(n * scale)) for n in space.grid)

    def _also(self, net: Any) -> None:
        self.head, self.head_norm = net._conv_head, net._bn1

    def forward(self, x: Tensor) -> Tensor:
        """Pictures `(B, 1 or 3, H, W)` to `(B, 1280, h, w)`."""
        if x.shape[2:] != self.grid:
            x = F.interpolate(x, self.grid, mode="bicubic", antialias=True)
        x = x.contiguous(memory_format=torch.channels_last)  # twice as fast on a CPU
        (last,) = deque(self.maps(x), maxlen=1)
        out: Tensor = self.act(self.head_norm(self.head(last)))
        return out


def perceptual(kind: Literal["random", "imagenet"], space: Space) -> nn.Module:
    """The features of a kind for embedded examples of a space; they are never trained."""
    return RandomFeatures(space) if kind == "random" else ImageNetFeatures(space)
