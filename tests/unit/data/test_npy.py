"""Arrays of NumPy in files of their own: pictures, the labels beside them, and what is wrong with either."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

import genwright
from genwright.data.codec import Rejected
from genwright.data.image.files import ImageFiles, Row
from genwright.data.source import find
from genwright.errors import DataError

PIXELS = np.random.default_rng(0).integers(0, 256, (30, 6, 5), np.uint8)
CLASSES = np.array(["cat", "dog", "owl"])[np.arange(30) % 3]


def rows(root: Path, *wanted: str) -> tuple[list[Row], list[str]]:
    found = list(ImageFiles(find(root)).rows(wanted))
    bad = [one.reason for one in found if isinstance(one, Rejected)]
    return [one for one in found if isinstance(one, Row)], bad


def saved(folder: Path, **arrays: np.ndarray) -> Path:
    folder.mkdir(exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return folder


@pytest.mark.parametrize("as_file", [False, True])
@pytest.mark.parametrize(
    ("pictures", "labels"),
    [
        ("X_train", "y_train"),
        ("x", "y"),
        ("train_images", "train_labels"),
        ("faces", "faces_labels"),
        ("faces", "labels"),
    ],
)
def test_labels_are_found_beside_pictures(
    tmp_path: Path, pictures: str, labels: str, as_file: bool
) -> None:
    folder = saved(tmp_path / "data", **{pictures: PIXELS, labels: CLASSES})
    found, bad = rows(folder / f"{pictures}.npy" if as_file else folder, "label")
    assert not bad
    assert [row.values["label"] for row in found] == CLASSES.tolist()
    np.testing.assert_array_equal(np.stack([row.picture.pixels[..., 0] for row in found]), PIXELS)


def test_a_training_learns_them_and_knows_when_labels_change(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", x=PIXELS.astype(np.float32) / 255, y=CLASSES)
    settings = ["train.samples=0", "data.val=0"]
    model = genwright.train(
        folder, family="vae", size="xs", steps=1, out=tmp_path / "run", settings=settings
    )
    assert set(model.sample(12, seed=0).given["label"]) <= {"cat", "dog", "owl"}
    before = genwright.look(folder)
    assert before.available_labels == ["label"]
    np.save(folder / "y.npy", CLASSES[::-1])
    again = genwright.train(
        folder, family="vae", size="xs", steps=1, out=tmp_path / "two", settings=settings
    )
    now, then = (np.asarray(one.dataset.splits["train"].arrays["label"]) for one in (again, model))
    assert now.shape == then.shape
    assert not np.array_equal(now, then)


def test_arrays_are_read_in_a_zip_too(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", x=PIXELS, y=CLASSES)
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as file:
        for path in sorted(folder.iterdir()):
            file.write(path, path.name)
    assert genwright.look(tmp_path / "data.zip").available_labels == ["label"]


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((50, 4)), r"wanted values of shape .*; found float64 \(50, 4\): rows of numbers are a table"),
        (np.zeros(9), r"no pictures in it: .* found float64 \(9,\)"),
        (np.zeros((9, 3, 3), np.int64), r"found int64 \(9, 3, 3\)"),
        (np.asfortranarray(PIXELS), "is in Fortran order: save numpy.ascontiguousarray of it"),
        (np.array([1, "a"], object), "holds Python objects, which are never loaded"),
    ],
)  # fmt: skip
def test_another_array_says_why_it_holds_no_pictures(
    tmp_path: Path, array: np.ndarray, words: str
) -> None:
    np.save(tmp_path / "a.npy", array, allow_pickle=True)  # written here alone, to be refused
    with pytest.raises(DataError, match=words):
        genwright.look(tmp_path / "a.npy")


def test_a_damaged_array_and_labels_of_another_number_are_named(tmp_path: Path) -> None:
    folder = saved(tmp_path / "data", x=PIXELS, y=CLASSES[:7])
    with pytest.raises(
        DataError, match=r"y\.npy holds <?U?.*\(7,\), and there are 30 pictures: give each one"
    ):
        genwright.train(folder, label="label", out=tmp_path / "run")
    assert len(rows(folder)[0]) == 30
    (folder / "x.npy").write_bytes((folder / "x.npy").read_bytes()[:-9])
    with pytest.raises(DataError, match=r"declares uint8 .* but takes"):
        genwright.look(folder / "x.npy")
    (folder / "x.npy").write_bytes(b"xx")
    with pytest.raises(DataError, match="magic string"):
        genwright.look(folder / "x.npy")
