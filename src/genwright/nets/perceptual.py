"""Features in which two pictures are alike when they look alike: maps `(B, C, *grid)` from fine to coarse.

    random    convolutions with random weights that are never trained: enough for texture and layout (He et
              al. 2016, arXiv:1606.04801), for any grid of one to three axes
    imagenet  EfficientNet-Lite0, from the pip-installable weights: pictures in grey or colour

All weights are buffers, so that a run holds those it was trained with and no optimiser finds them.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.errors import Incompatible
from genwright.nets import efficientnet
from genwright.nets.blocks import pyramid
from genwright.space import Real, Space

__all__ = ["ImageNetFeatures", "RandomFeatures", "perceptual"]

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


class ImageNetFeatures(nn.Module):
    """The last map of each resolution of EfficientNet-Lite0, from a half to a sixteenth of the side."""

    blocks = (0, 2, 4, 10)

    def __init__(self, space: Space) -> None:
        """Raises `Incompatible` for what is no picture, `GenwrightError` where the package is missing."""
        super().__init__()
        if len(space.grid) != 2 or space.spans not in ((Real(1, True),), (Real(3, True),)):
            raise Incompatible(
                f"family.features=imagenet looks at pictures in grey or colour, not at {space}: "
                f"--set family.features=random looks at any grid",
                code="features-do-not-fit",
            )
        net = efficientnet.efficientnet(efficientnet.file("family.features=imagenet").read_bytes())
        self.stem, self.norm, self.act = net._conv_stem, net._bn0, net._swish
        self.layers = nn.ModuleList(net._blocks[: self.blocks[-1] + 1])
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.data)

    def train(self, mode: bool = True) -> ImageNetFeatures:
        """Its norms stay as they were trained."""
        return super().train(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        """Pictures `(B, 1 or 3, H, W)` to the maps of four resolutions."""
        x = efficientnet.in_its_range(x.expand(-1, 3, -1, -1))
        x = self.act(self.norm(self.stem(x)))
        found = []
        for i, layer in enumerate(self.layers):
            x = layer(x)
            if i in self.blocks:
                found.append(x)
        return found


def perceptual(kind: Literal["random", "imagenet"], space: Space) -> nn.Module:
    """The features of a kind for embedded examples of a space; they are never trained."""
    return RandomFeatures(space) if kind == "random" else ImageNetFeatures(space)
