"""IDX files, as those of MNIST: pictures, the labels beside them, and what is wrong with either."""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import struct
import tarfile
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from genwright.bridges.base import Identity
from genwright.data.codec import ReadOptions, Rejected
from genwright.data.dataset import prepare
from genwright.data.image.codec import ImageCodec
from genwright.data.image.files import ImageFiles, Row
from genwright.data.source import find
from genwright.errors import DataError, GenwrightError
from genwright.experiment import open_data
from genwright.pipeline import Pipeline
from genwright.recipe import make_recipe
from genwright.tasks.generate import Generate

TYPES = {"u1": 0x08, "i1": 0x09, "i2": 0x0B, "i4": 0x0C, "f4": 0x0D, "f8": 0x0E}
PACKERS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def idx(values: np.ndarray, shape: tuple[int, ...] | None = None) -> bytes:
    """An IDX file of an array. shape: what its head declares, where that is another."""
    shape = values.shape if shape is None else shape
    kind = TYPES[values.dtype.str[1:]]
    head = struct.pack(f">BBBB{len(shape)}I", 0, 0, kind, len(shape), *shape)
    return head + values.astype(values.dtype.newbyteorder(">")).tobytes()


def digits(n: int = 12, height: int = 4, width: int = 5) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width), np.uint8)


def classes(n: int = 12) -> np.ndarray:
    return (np.arange(n) % 3).astype(np.uint8)


def saved(folder: Path, **files: np.ndarray | bytes) -> Path:
    """A folder of files, such as `train_images=...` for the pictures called `train-images-idx3-ubyte.gz`."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        axes = 3 if name.endswith("images") else 1
        data = content if isinstance(content, bytes) else gzip.compress(idx(content))
        (folder / f"{name.replace('_', '-')}-idx{axes}-ubyte.gz").write_bytes(data)
    return folder


def rows(root: Path, *wanted: str) -> tuple[list[Row], dict[str, str]]:
    """What can be read under a path, and why the rest cannot."""
    found = list(ImageFiles(find(root)).rows(wanted))
    bad = [one for one in found if isinstance(one, Rejected)]
    return [one for one in found if isinstance(one, Row)], {one.name: one.reason for one in bad}


def pixels(some: list[Row]) -> np.ndarray:
    return np.stack([one.picture.pixels[..., 0] for one in some])


# -- what is read ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", PACKERS)
@pytest.mark.parametrize("between", "-.")
def test_pictures_have_the_labels_that_lie_beside_them(tmp_path, between, how):
    file = tmp_path / f"train-images{between}idx3-ubyte{how}"
    file.write_bytes(PACKERS[how](idx(digits())))
    (tmp_path / f"train-labels{between}idx1-ubyte{how}").write_bytes(PACKERS[how](idx(classes())))
    for root in (file, tmp_path):
        source = find(root)
        assert (source.codec, source.files) == ("image", (file,))
        assert ImageCodec().default_labels(source) == ["label"]
        assert ImageCodec().count(source) == 12
        good, bad = rows(root, "label")
        assert not bad
        assert np.array_equal(pixels(good), digits())
        assert [one.values["label"] for one in good] == classes().tolist()
    stem = f"train-images{'-idx3-ubyte' if between == '-' else ''}"
    assert [one.name for one in good] == [f"{stem}-{i}" for i in range(12)]
    assert {(one.picture.height, one.picture.width, one.picture.format) for one in good} == {
        (4, 5, "idx")
    }


def test_zstandard_is_read_or_what_it_needs_is_said(tmp_path):
    try:
        from compression import zstd
    except ModuleNotFoundError:
        zstd = pytest.importorskip("backports.zstd")
    file = tmp_path / f"{IMAGES}.zst"
    file.write_bytes(zstd.compress(idx(digits())))
    assert np.array_equal(pixels(rows(file)[0]), digits())


def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.data.packed.import_module", _missing)
    (tmp_path / f"{IMAGES}.zst").write_bytes(b"(\xb5/\xfd")
    with pytest.raises(GenwrightError, match=r"genwright\[zstd\]") as caught:
        rows(tmp_path)
    assert caught.value.code == "missing-extra"


def _missing(name: str) -> None:
    raise ModuleNotFoundError(name)


@pytest.mark.parametrize("kind", ["f4", "f8"])
def test_floats_and_colours(tmp_path, kind):
    colours = np.random.default_rng(0).integers(0, 256, (5, 4, 6, 3), np.uint8)
    scaled = (colours / 255).astype(kind)
    (tmp_path / "a-images-idx4-double").write_bytes(idx(scaled))
    (tmp_path / "b-images-idx4-ubyte").write_bytes(idx(np.moveaxis(colours, -1, 1)))
    good, bad = rows(tmp_path)
    assert not bad
    assert np.array_equal(np.stack([one.picture.pixels for one in good]), np.concatenate([colours] * 2))


@pytest.mark.parametrize("kind", TYPES)
def test_labels_may_be_of_any_type(tmp_path, kind):
    saved(tmp_path, train_images=digits(), train_labels=classes().astype(kind))
    good, _ = rows(tmp_path, "label")
    assert [one.values["label"] for one in good] == classes().tolist()


def test_labels_may_be_packed_otherwise_or_lie_in_a_folder_of_their_name(tmp_path):
    """The second is what becomes of MNIST where each file is unpacked to a folder."""
    saved(tmp_path / "a", train_images=digits())
    (tmp_path / "a" / LABELS).write_bytes(idx(classes()))
    for name, values in ((IMAGES, digits()), (LABELS, classes())):
        (tmp_path / "b" / name).mkdir(parents=True)
        (tmp_path / "b" / name / name).write_bytes(idx(values))
    for root in (tmp_path / "a", tmp_path / "b", tmp_path / "b" / IMAGES):
        recipe, dataset = open_data(make_recipe(root))
        assert recipe.data.label == ["label"]
        assert sum(dataset.stats.counts.values()) == 12
        assert not dataset.stats.bad


def test_what_the_labels_of_emnist_stand_for_is_no_text_to_learn(tmp_path):
    saved(tmp_path, emnist_letters_train_images=digits(), emnist_letters_train_labels=classes())
    (tmp_path / "emnist-letters-mapping.txt").write_text("1 65 97\n2 66 98\n")
    source = find(tmp_path)
    assert (source.codec, len(source.files), source.aside) == ("image", 1, ())


def test_both_parts_are_one_source(tmp_path):
    saved(tmp_path, train_images=digits(12), train_labels=classes(12))
    saved(tmp_path, t10k_images=digits(6), t10k_labels=classes(6))
    good, bad = rows(tmp_path, "label")
    assert (len(good), bad) == (18, {})
    assert [one.values["label"] for one in good] == [*classes(6).tolist(), *classes(12).tolist()]
    assert ImageCodec.because(find(tmp_path).files).startswith(".idx3-ubyte.gz is what it reads")


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
def test_in_an_archive_as_in_a_folder(tmp_path, form):
    folder = saved(tmp_path / "mnist", train_images=digits(), train_labels=classes())
    archive = tmp_path / f"a.{form}"
    if form == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            for file in folder.iterdir():
                zipped.write(file, f"mnist/{file.name}")
    else:
        with tarfile.open(archive, f"w:{form[4:]}") as tar:
            tar.add(folder, "mnist")
    good, bad = rows(archive, "label")
    assert not bad
    assert np.array_equal(pixels(good), digits())
    assert [one.values["label"] for one in good] == classes().tolist()


def test_a_sample_is_from_all_over_the_files(tmp_path, monkeypatch):
    """Not the beginning of the first one, however few files there are."""
    monkeypatch.setattr(ImageCodec, "enough", lambda self, source: 20)
    each = {part: np.full((50, 4, 4), value, np.uint8) for part, value in (("a", 1), ("b", 2), ("c", 3))}
    for part, values in each.items():
        values[:, 0, 0] = np.arange(50)
        saved(tmp_path, **{f"{part}_images": values, f"{part}_labels": values[:, 1, 1]})
    dataset = prepare(find(tmp_path), ImageCodec(), {}, ReadOptions(("label",)), sampled=True)
    assert dataset.stats.total == 150
    assert dataset.stats.labels["label"].keys() == {"0", "1", "2"}


def test_the_labels_name_the_data(tmp_path):
    saved(tmp_path, train_images=digits(), train_labels=classes())
    for root in (tmp_path, tmp_path / f"{IMAGES}.gz"):
        saved(tmp_path, train_labels=classes())
        first = open_data(make_recipe(root))[1].key
        assert open_data(make_recipe(root))[1].key == first
        saved(tmp_path, train_labels=classes()[::-1])
        assert open_data(make_recipe(root))[1].key != first


def test_a_model_reads_them_too(tmp_path):
    """As what it is applied to, or judged against."""
    saved(tmp_path, train_images=digits(), train_labels=classes())
    dataset = open_data(make_recipe(tmp_path))[1]
    task = Generate(make="image", given=["label"])
    pipeline = Pipeline("image", dataset.codec, dataset.fields, task, Identity(), dataset.stats.labels)
    (some,) = pipeline.read([tmp_path / f"{IMAGES}.gz"], ["image"])
    assert len(some) == 12
    with pytest.raises(DataError, match=r"this model reads .*\.idx3-ubyte") as caught:
        list(pipeline.read([tmp_path / f"{LABELS}.gz"], ["image"]))
    assert caught.value.code == "wrong-kind-of-file"


def test_a_large_file_is_read_a_few_pictures_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.data.image.archive.CHUNK_BYTES", 2**19)
    images = digits(300, 128, 128)
    saved(tmp_path, train_images=images, train_labels=(np.arange(300) % 256).astype(np.uint8))
    files = ImageFiles(find(tmp_path))
    tracemalloc.start()
    for i, row in enumerate(files.rows(["label"])):
        assert isinstance(row, Row)
        assert row.values["label"] == i % 256
        assert np.array_equal(row.picture.pixels[..., 0], images[i])
    assert i == 299
    assert tracemalloc.get_traced_memory()[1] < 3 * 2**20  # of 4.7 in the file
    tracemalloc.stop()


# -- without labels --------------------------------------------------------------------------------


def test_where_some_have_no_labels_none_are_taken_unless_asked_for(tmp_path):
    saved(tmp_path, train_images=digits(12), t10k_images=digits(6), t10k_labels=classes(6))
    source = find(tmp_path)
    assert ImageCodec().labels(source) == ["label"]
    assert ImageCodec().default_labels(source) == []
    assert len(rows(tmp_path)[0]) == 18
    good, bad = rows(tmp_path, "label")
    assert len(good) == 6
    assert bad == {f"{IMAGES}.gz[{i}]": "it has no 'label'" for i in range(12)}


def test_labels_without_pictures_are_named(tmp_path):
    saved(tmp_path, train_images=digits(), t10k_labels=classes())
    assert ImageCodec().labels(find(tmp_path)) == []
    good, bad = rows(tmp_path)
    assert len(good) == 12
    assert bad == {"t10k-labels-idx1-ubyte.gz": "there is no t10k-images-idx3-ubyte beside it"}
    assert rows(tmp_path / f"{IMAGES}.gz")[1] == {}  # of a single file nobody asked what lies beside it


def test_labels_of_another_length_are_named_and_none_is_taken_for_anothers(tmp_path):
    saved(tmp_path, train_images=digits(12), train_labels=classes(11))
    saved(tmp_path, t10k_images=digits(6), t10k_labels=classes(6))
    assert ImageCodec().default_labels(find(tmp_path)) == ["label"]
    good, bad = rows(tmp_path, "label")
    assert [one.values["label"] for one in good] == classes(6).tolist()
    assert list(bad) == [f"{IMAGES}.gz"]
    assert f"{LABELS}.gz holds uint8 (11,), and there are 12 pictures" in bad[f"{IMAGES}.gz"]
    assert len(rows(tmp_path)[0]) == 18  # whoever wants no labels has the pictures
    with pytest.raises(DataError, match=r"holds uint8 \(11,\), and there are 12 pictures.*--label \"\""):
        open_data(make_recipe(tmp_path / f"{IMAGES}.gz"))


@pytest.mark.parametrize("name", [f"{LABELS}.gz", "a-labels-idx2-int", "b.idx2-ubyte.gz", "idx3-ubyte"])
def test_what_is_no_pictures_is_no_source(tmp_path, name):
    (tmp_path / name).write_bytes(idx(classes()))
    assert ImageCodec.own([tmp_path / name]) == []
    assert ImageCodec.sniff([tmp_path / name]) == 0
    with pytest.raises(DataError, match=r"image reads .*\.idx3-ubyte") as caught:
        find(tmp_path / name)
    assert caught.value.code == "no-usable-files"


# -- what is wrong ---------------------------------------------------------------------------------


def the_others_are_read(folder: Path, name: str, data: bytes) -> str:
    """What is said of a file beside a good one, of which all is read in little room."""
    (folder / name).write_bytes(data)
    saved(folder, train_images=digits())
    tracemalloc.start()
    good, bad = rows(folder)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert list(bad) == [name]
    assert np.array_equal(pixels(good)[-12:], digits())
    return bad[name]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "it is no IDX file: wanted 00 00 and a type from 08 to 0e, and it is empty"),
        (b"\x89PNG\r\n", "it is no IDX file: .* begins with 89 50 4e 47"),
        (b"\0\0\x0a\3" + bytes(12), "it is no IDX file"),
        (b"\0\0\x08\3\0\0", "it is cut short"),
        (idx(digits().astype("i4")), r"no pictures in it: wanted .*; found int32 \(12, 4, 5\)"),
        (idx(classes()), r"no pictures in it: wanted .*; found uint8 \(12,\)"),
        (idx(digits(), (0, 60_000, 60_000))[:16], "no pictures in it: .* at most 50 megapixels"),
    ],
)
@pytest.mark.parametrize("how", ["", ".gz"])
def test_a_bad_head_is_one_sentence(tmp_path, data, message, how):
    said = the_others_are_read(tmp_path, f"bad-images-idx3-ubyte{how}", PACKERS[how](data))
    assert re.search(message, said), said


@pytest.mark.parametrize(
    ("data", "packed"),
    [
        (idx(digits())[:-1], "it is cut short"),
        (idx(digits()) + b"\0", "it holds more than the uint8 (12, 4, 5) that it declares"),
        (idx(digits(), (10**6, 7, 7)), "it is cut short"),
        (
            idx(digits(), (10**6, 500, 500)),
            "it unpacks to 238418 MB from 0 kB and could be a decompression bomb",
        ),
        (idx(digits(), (2**32 - 1,) * 3), "could be a decompression bomb"),
    ],
)
def test_a_head_that_promises_what_is_not_there_is_refused(tmp_path, data, packed):
    """Before anything is read, where the size of the file tells."""
    plain = the_others_are_read(tmp_path, "bad-images-idx3-ubyte", data)
    assert re.fullmatch(r"it declares uint8 \(\d+, \d+, \d+\) but takes \d+ bytes", plain)
    (tmp_path / "bad-images-idx3-ubyte").unlink()
    assert packed in the_others_are_read(tmp_path, "bad-images-idx3-ubyte.gz", gzip.compress(data))


def test_damage_in_what_is_packed_is_found(tmp_path):
    whole = gzip.compress(idx(digits(40, 20, 20)), 0)
    for at, data in (("cut", whole[:-9]), ("sum", whole[:-30] + bytes([whole[-30] ^ 1]) + whole[-29:])):
        saved(tmp_path / at, train_images=data)
        good, bad = rows(tmp_path / at)
        assert list(bad) == [f"{IMAGES}.gz"]
        assert (
            "it is damaged or cut short" in bad[f"{IMAGES}.gz"]
            or "it is cut short" in bad[f"{IMAGES}.gz"]
        )
    labels = gzip.compress(idx(classes()))
    saved(tmp_path / "labels", train_images=digits(), train_labels=labels[:-12])
    good, bad = rows(tmp_path / "labels", "label")
    assert not good
    assert f"its file of labels {LABELS}.gz is damaged or cut short" in bad[f"{IMAGES}.gz"]
    assert len(rows(tmp_path / "labels")[0]) == 12


def test_a_picture_that_cannot_be_used_is_named(tmp_path):
    values = np.full((4, 2, 2), 0.5, "f4")
    values[1, 0, 0], values[2, 0, 0] = np.nan, 255
    saved(tmp_path, train_images=values, train_labels=np.array([1, 2, 3, np.nan], "f4"))
    good, bad = rows(tmp_path, "label")
    assert [one.name for one in good] == [f"{IMAGES}-0"]
    assert list(bad) == [f"{IMAGES}.gz[{i}]" for i in (1, 2, 3)]
    assert "not all finite" in bad[f"{IMAGES}.gz[1]"]
    assert bad[f"{IMAGES}.gz[3]"] == "it has no 'label'"
