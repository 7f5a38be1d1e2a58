"""A PNG that is written some rows at a time: what others read in it, and what it holds of a large picture."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright.data.image import field, png
from genwright.data.image.field import ImageField
from genwright.data.image.ops import to_image
from genwright.data.image.png import write_png


def smooth(channels: int, dtype: type[np.generic] = np.uint8) -> np.ndarray:
    """A picture `(61, 83, channels)` whose colours change slowly, with some noise."""
    y, x = np.mgrid[0:61, 0:83]
    waves = [np.sin(x / (7 + i)) + np.cos(y / (5 + i)) for i in range(channels)]
    top = np.iinfo(dtype).max
    noise = np.random.default_rng(0).uniform(0, 0.02, (61, 83, channels))
    return ((np.stack(waves, 2) / 4 + 0.5) * top * 0.9 + noise * top).astype(dtype)


@pytest.mark.parametrize("block", [1, 1000, 2**20])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_pillow_reads_the_same_pixels(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, channels: int, block: int
) -> None:
    monkeypatch.setattr(png, "BLOCK", block)
    noise = np.random.default_rng(1).integers(0, 256, (30, 17, channels), dtype=np.uint8)
    for array in (smooth(channels), noise, noise[::2, ::3]):
        write_png(array, tmp_path / "a.png")
        with Image.open(tmp_path / "a.png") as picture:
            assert picture.mode == ("L", "LA", "RGB", "RGBA")[channels - 1]
            assert (np.asarray(picture).reshape(array.shape) == array).all()


def test_sixteen_bits(tmp_path: Path) -> None:
    array = smooth(1, np.uint16)
    write_png(array, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as picture:
        assert (np.asarray(picture) == array[..., 0]).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_it_is_about_as_small_as_pillows(tmp_path: Path, channels: int) -> None:
    array = np.tile(smooth(channels), (4, 4, 1))
    write_png(array, tmp_path / "own.png")
    to_image(array).save(tmp_path / "pillow.png")
    own, pillow = ((tmp_path / f"{name}.png").stat().st_size for name in ("own", "pillow"))
    assert own < 1.1 * pillow
    assert own < 0.8 * array.size


def test_a_large_picture_is_written_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    array, written = smooth(3), []
    monkeypatch.setattr(field, "write_png", lambda value, path: written.append((value, path)))
    ImageField().save(array, tmp_path / "small.png")
    assert not written
    monkeypatch.setattr(field, "LARGE", array.size)
    ImageField().save(array, tmp_path / "large.png")
    assert [path.name for _, path in written] == ["large.png"]
    assert written[0][0] is array


def peak(of: Iterator[object]) -> int:
    """Bytes that are held at most while each of these is taken."""
    tracemalloc.start()
    for _ in of:
        pass
    found = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return found


def test_parts_become_one_array_without_a_second_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(png, "BLOCK", 2**14)
    made: list[np.ndarray] = []

    def steps() -> Iterator[None]:
        parts = (np.full((16, 1000, 3), i, np.uint8) for i in range(80))
        made.append(ImageField().whole(parts, 80 * 16))
        yield
        write_png(made[0], tmp_path / "a.png")
        yield

    held = peak(steps())
    (whole,) = made
    assert whole.shape == (1280, 1000, 3)
    assert (whole[::16, 0, 0] == np.arange(80)).all()
    assert held < 1.5 * whole.nbytes
    assert len(ImageField().whole(iter([whole[:16], whole[:16]]), 100)) == 32, "which ended before"
