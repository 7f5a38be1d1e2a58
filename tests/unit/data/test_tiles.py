"""Pictures cut into tiles: each as fine as it is, all of one picture on one side of the split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genwright
from genwright.data.codec import ReadOptions
from genwright.data.image.codec import ImageCodec
from genwright.data.image.ops import pixels
from genwright.data.image.tiles import places
from genwright.data.source import find
from genwright.errors import RecipeError
from genwright.experiment import open_data
from genwright.recipe import make_recipe


def photos(folder: Path, *sizes: tuple[int, int]) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i, size in enumerate(sizes):
        Image.fromarray(rng.integers(0, 256, (*size, 3), np.uint8)).save(folder / f"{i}.png")
    return folder


def test_tiles_lie_side_by_side_and_are_whole() -> None:
    assert places((5, 9), (2, 4)) == [(0, 0), (0, 4), (2, 0), (2, 4)]
    assert places((2, 4), (2, 4)) == [(0, 0)]
    assert places((2, 3), (2, 4)) == []


def test_a_picture_becomes_its_tiles_unscaled_and_one_that_is_too_small_is_named(tmp_path: Path) -> None:
    folder = photos(tmp_path / "data", (17, 25), (7, 30))
    codec, source = ImageCodec(size=8, crop="tiles"), find(folder)
    fields = codec.fields(source)
    (rows,) = codec.read(source, fields)
    whole = np.asarray(Image.open(folder / "0.png"))
    assert len(rows) == codec.count(source) == 6
    assert rows.groups is not None
    assert len({*rows.groups}) == 1
    found = iter(pixels(one) for one in rows.values["image"])
    for top in (0, 8):
        for left in (0, 8, 16):
            np.testing.assert_array_equal(next(found), whole[top : top + 8, left : left + 8])
    (rejected,) = rows.rejected
    assert rejected.reason == "it is 30 x 7, smaller than a tile of 8 x 8"
    (uncut,) = codec.read(source, fields, ReadOptions(whole=True))  # what a model is applied to
    assert [pixels(one).shape[:2] for one in uncut.values["image"]] == [(17, 25), (7, 30)]
    assert codec.wholes(source) == 2


def test_no_picture_is_on_both_sides_of_the_split(tmp_path: Path) -> None:
    folder = photos(tmp_path / "data", *[(16, 24)] * 12)
    settings = ["codec.size=8", "codec.crop=tiles", "data.val=0.3", "data.test=0.3"]
    _, dataset = open_data(make_recipe(folder, settings=settings))
    assert all(dataset.stats.counts[part] % 6 == 0 for part in ("train", "val", "test"))
    assert all(dataset.stats.counts.values())


def test_tiles_want_a_size() -> None:
    with pytest.raises(RecipeError, match=r"codec.crop=tiles cuts .* codec.size=64"):
        ImageCodec(crop="tiles")


def test_what_has_learnt_tiles_is_applied_to_whole_pictures(tmp_path: Path) -> None:
    folder = photos(tmp_path / "data", *[(16, 24)] * 12)
    model = genwright.train(
        folder,
        family="vae",
        task="restore",
        size="xs",
        steps=2,
        settings=["codec.size=8", "codec.crop=tiles", "train.checks=1", "train.samples=2"],
        out=tmp_path / "run",
    )
    photos(tmp_path / "mine", (13, 30))
    made = model.apply([tmp_path / "mine"])
    assert np.asarray(made.examples[0]).shape == (26, 60, 3)
