"""Feature extractors for pictures that were trained elsewhere:

efficientnet  EfficientNet-Lite0, whose ImageNet weights a package brings
inception     the Inception of FID, from a file that the user has
"""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from warnings import catch_warnings

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.errors import DataError
from genwright.evaluation.extractors.base import Backbone, Raw
from genwright.evaluation.extractors.pretrained import PretrainedExtractor
from genwright.nets import efficientnet
from genwright.space import Space

__all__ = ["INCEPTION", "EfficientNetExtractor", "InceptionExtractor"]

INCEPTION = "GENWRIGHT_INCEPTION"
"""The environment variable with the path of Inception's weights."""


class _PictureLens(PretrainedExtractor):
    looks_at = "pictures in grey or colour"
    piece = 16

    @classmethod
    def suits(cls, space: Space) -> bool:
        return efficientnet.is_picture(space)


class EfficientNetExtractor(_PictureLens):
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv:1905.11946), trained on ImageNet: pictures of 1 or 3
    channels, resized to 224 x 224, averaged over the last feature map: 1,280 hidden numbers."""

    kind = "efficientnet"

    @classmethod
    def file(cls) -> Path:
        return efficientnet.file(f"the {cls.kind} feature extractor")

    @classmethod
    def network(cls, data: bytes, raw: Raw | None) -> Backbone:
        return _EfficientNet(efficientnet.efficientnet(data))


class _EfficientNet(Backbone):
    def __init__(self, net: Any) -> None:
        super().__init__()
        self.net = net

    def forward(self, x: Tensor) -> Tensor:
        x = x.expand(-1, 3, -1, -1)
        x = F.interpolate(x, (224, 224), mode="bicubic", antialias=True)
        out: Tensor = self.net.extract_features(efficientnet.in_its_range(x)).mean((2, 3))
        return out


# -- pictures: Inception ---------------------------------------------------------------------------


class InceptionExtractor(_PictureLens):
    """Inception v3 (Szegedy et al. 2015, arXiv:1512.00567) with the weights that FID is taken with (Heusel
    et al. 2017, arXiv:1706.08500): the 2,048 numbers of its last pooling.

    The weights are a file that the user has, `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid; the
    environment variable `GENWRIGHT_INCEPTION` holds its path. Pictures are prepared as pytorch-fid does:
    resized to 299 x 299, bilinear and without antialiasing, with pixels from -1 to 1.
    """

    kind = "inception"

    @classmethod
    def file(cls) -> Path:
        path = os.environ.get(INCEPTION, "")
        if not Path(path).is_file():
            raise cls._wrong(
                f"{INCEPTION} {f'names {path}, which is no file' if path else 'is not set'}",
                code="no-weights",
            )
        return Path(path)

    @classmethod
    def network(cls, data: bytes, raw: Raw | None) -> Backbone:
        with torch.device("meta"):
            backbone = _Inception()
        # The last layer is not run, but its 1,008 classes tell FID's file from torchvision's, with 1,000.
        wanted = {"fc.weight": [1008, 2048], "fc.bias": [1008], **_shapes(backbone.state_dict())}
        try:
            with catch_warnings(action="ignore"):  # TorchScript: it is refused
                given = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            found = _shapes(given)
        except Exception as error:  # whatever a file of something else makes of the reader
            raise cls._wrong(f"torch reads no tensors by name from {cls.file()}") from error
        if odd := [name for name in wanted | found if found.get(name) != wanted.get(name)]:
            has, needs = (shapes.get(odd[0], "missing") for shapes in (found, wanted))
            raise cls._wrong(f"{odd[0]} is {has} in {cls.file()}, and {needs} in that network")
        for name in backbone.state_dict():
            given[name] = given[name].float()
        backbone.load_state_dict(given, strict=False, assign=True)  # it has the last layer too
        return backbone

    @classmethod
    def _wrong(cls, what: str, code: str = "wrong-weights") -> DataError:
        return DataError(
            f"the inception feature extractor needs the weights of FID's Inception, and {what}: set "
            f"{INCEPTION} to the path of pytorch-fid's pt_inception-2015-12-05-6726825d.pth",
            code=code,
        )


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, list[int]]:
    counter = "num_batches_tracked"
    return {name: list(t.shape) for name, t in tensors.items() if not name.endswith(counter)}


_Kernel = int | tuple[int, int]
_Step = tuple[str, int, _Kernel | None]
"""Name, channels out and kernel of a convolution; None: two side by side, name + "a" 1 x 3, "b" 3 x 1."""


class _Convolution(nn.Module):
    def __init__(self, width: int, out: int, kernel: _Kernel, stride: int = 1, pad: bool = True) -> None:
        super().__init__()
        high, wide = (kernel, kernel) if isinstance(kernel, int) else kernel
        padding = (high // 2, wide // 2) if pad else (0, 0)
        self.conv = nn.Conv2d(width, out, (high, wide), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(out, eps=1e-3)
        self.bn.num_batches_tracked = None  # which nothing reads, and older files lack

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)))


class _Mixed(nn.Module):
    """Branches of convolutions, and a pooling as the last, with their channels one after the other.

    pooled    channels of the convolution behind the pooling; 0: there is none, the last convolution of each
              branch has stride 2 and no padding, and so has the pooling, which takes the largest
    largest   with `pooled`: take the largest of 3 x 3, not their mean
    """

    def __init__(
        self, width: int, *branches: Sequence[_Step], pooled: int = 0, largest: bool = False
    ) -> None:
        super().__init__()
        self.pooled, self.largest = pooled, largest
        self.branches: list[list[tuple[str, ...]]] = []
        for branch in branches:
            steps, channels = [], width
            for name, out, kernel in branch:
                forked = {f"{name}a": (1, 3), f"{name}b": (3, 1)} if kernel is None else {name: kernel}
                halves = not pooled and name == branch[-1][0]
                for each, size in forked.items():
                    made = _Convolution(channels, out, size, 1 + halves, pad=not halves)
                    self.add_module(each, made)
                channels = out * len(forked)
                steps.append(tuple(forked))
            self.branches.append(steps)
        if pooled:
            self.branch_pool = _Convolution(width, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        found = []
        for branch in self.branches:
            h = x
            for names in branch:
                h = torch.cat([self.get_submodule(name)(h) for name in names], dim=1)
            found.append(h)
        if not self.pooled:
            return torch.cat([*found, F.max_pool2d(x, 3, stride=2)], dim=1)
        if self.largest:
            x = F.max_pool2d(x, 3, stride=1, padding=1)
        else:  # as in TensorFlow, where what lies outside does not count
            x = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
        return torch.cat([*found, self.branch_pool(x)], dim=1)


_DOUBLE: tuple[tuple[int, _Kernel], ...] = (64, 1), (96, 3), (96, 3)


def _chain(name: str, *steps: tuple[int, _Kernel | None]) -> list[_Step]:
    return [(f"{name}_{i}", out, kernel) for i, (out, kernel) in enumerate(steps, 1)]


def _mixed_5(width: int, pooled: int) -> _Mixed:
    five, double = _chain("branch5x5", (48, 1), (64, 5)), _chain("branch3x3dbl", *_DOUBLE)
    return _Mixed(width, [("branch1x1", 64, 1)], five, double, pooled=pooled)


def _mixed_6(c: int) -> _Mixed:
    seven = _chain("branch7x7", (c, 1), (c, (1, 7)), (192, (7, 1)))
    double = _chain("branch7x7dbl", (c, 1), (c, (7, 1)), (c, (1, 7)), (c, (7, 1)), (192, (1, 7)))
    return _Mixed(768, [("branch1x1", 192, 1)], seven, double, pooled=192)


def _mixed_7(width: int, largest: bool) -> _Mixed:
    three = _chain("branch3x3", (384, 1), (384, None))
    double = _chain("branch3x3dbl", (448, 1), (384, 3), (384, None))
    return _Mixed(width, [("branch1x1", 320, 1)], three, double, pooled=192, largest=largest)


class _Inception(Backbone):
    """Names as in torchvision's `Inception3`. What FID's differs in is the pooling: means leave out what lies
    outside, and the last block takes the largest."""

    SIDE = 299

    def __init__(self) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = _Convolution(3, 32, 3, stride=2, pad=False)
        self.Conv2d_2a_3x3 = _Convolution(32, 32, 3, pad=False)
        self.Conv2d_2b_3x3 = _Convolution(32, 64, 3)
        self.Conv2d_3b_1x1 = _Convolution(64, 80, 1)
        self.Conv2d_4a_3x3 = _Convolution(80, 192, 3, pad=False)
        self.Mixed_5b, self.Mixed_5c = _mixed_5(192, 32), _mixed_5(256, 64)
        self.Mixed_5d = _mixed_5(288, 64)
        self.Mixed_6a = _Mixed(288, [("branch3x3", 384, 3)], _chain("branch3x3dbl", *_DOUBLE))
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(_mixed_6, (128, 160, 160, 192))
        seven = _chain("branch7x7x3", (192, 1), (192, (1, 7)), (192, (7, 1)), (192, 3))
        self.Mixed_7a = _Mixed(768, _chain("branch3x3", (192, 1), (320, 3)), seven)
        self.Mixed_7b, self.Mixed_7c = _mixed_7(1280, largest=False), _mixed_7(2048, largest=True)

    def forward(self, x: Tensor) -> Tensor:
        x = x.clamp(-1, 1).expand(-1, 3, -1, -1)
        x = F.interpolate(x, (self.SIDE, self.SIDE), mode="bilinear", align_corners=False)
        for name, part in self.named_children():
            if name in ("Conv2d_3b_1x1", "Mixed_5b"):
                x = F.max_pool2d(x, 3, stride=2)
            x = part(x)
        return x.mean((2, 3))
