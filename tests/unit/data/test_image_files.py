"""Pictures and labels under a source: class folders, a sidecar, arrays."""

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genwright.data.codec import Rejected, Source
from genwright.data.image.files import ImageFiles
from genwright.errors import DataError


def pictures(n: int, height: int = 4, width: int = 5) -> np.ndarray:
    return np.random.default_rng(n).integers(0, 256, (n, height, width), np.uint8)


def source(root: Path) -> Source:
    suffixes = (".png", ".jpg", ".npz")
    files = [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in suffixes)
    return Source(root, tuple(files), "image", root.stem)


def folder(root: Path, **files: str) -> Path:
    """Pictures by path (`a__0` for `a/0.png`), each of one grey value."""
    for name, value in files.items():
        path = root / (name.replace("__", "/") + ".png")
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (3, 2), int(value)).save(path)
    return root


def rows(root: Path, *wanted: str, deep: bool = False) -> tuple[list, list[Rejected]]:
    """The grey value or pixels of each usable picture with its labels; and the bad."""
    found = list(ImageFiles(source(root), deep).rows(wanted))
    good = [(row[0].pixels, dict(row[1])) for row in found if not isinstance(row, Rejected)]
    return good, [row for row in found if isinstance(row, Rejected)]


def reasons(bad: list[Rejected]) -> dict[str, str]:
    return {one.name: one.reason for one in bad}


# -- folders and the sidecar -------------------------------------------------------------------


def test_class_folders_are_the_label(tmp_path):
    folder(tmp_path, cat__0="1", cat__deep__1="2", dog__0="3", loose="4")
    assert ImageFiles(source(tmp_path)).labels() == ["label"]
    good, bad = rows(tmp_path, "label")
    assert [(int(p[0, 0, 0]), labels["label"]) for p, labels in good] == [
        (1, "cat"),
        (2, "cat"),
        (3, "dog"),
    ]
    assert reasons(bad) == {"loose.png": "it has no 'label'"}
    assert len(rows(tmp_path)[0]) == 4
    assert ImageFiles(source(folder(tmp_path / "flat", a="1"))).labels() == []


@pytest.mark.parametrize("name", ["labels.csv", "metadata.csv"])
@pytest.mark.parametrize("column", ["file", "filename", "file_name", "image"])
def test_a_sidecar_labels_pictures(tmp_path, name, column):
    folder(tmp_path, a="1", sub__b="2")
    (tmp_path / name).write_text(
        f'\ufeff{column},kind,note\r\nsub\\b.png,x,"two\nlines, é"\r\n./a.png,y,n\r\n'
    )
    assert ImageFiles(source(tmp_path)).labels() == ["kind", "note", "label"]
    good, bad = rows(tmp_path, "kind", "note")
    assert not bad
    assert [labels for _, labels in good] == [
        {"kind": "y", "note": "n"},
        {"kind": "x", "note": "two\nlines, é", "label": "sub"},
    ]


def test_a_sidecar_wins_over_folders_and_a_row_number_is_no_label(tmp_path):
    folder(tmp_path, sub__b="2")
    (tmp_path / "labels.csv").write_text(",file,label\n0,sub/b.png,told\n")
    assert ImageFiles(source(tmp_path)).labels() == ["label"]
    assert rows(tmp_path, "label")[0][0][1] == {"label": "told"}


def test_rows_and_pictures_that_do_not_meet_are_bad(tmp_path):
    folder(tmp_path, a="1", b="2", c="3", d="4")
    (tmp_path / "labels.csv").write_text(
        "file,kind\na.png,x\nb.png,\ngone.png,x\na.png,y\n,x\n\nd.png\n"
    )
    good, bad = rows(tmp_path, "kind")
    assert [labels for _, labels in good] == [{"kind": "x"}]
    assert reasons(bad) == {
        "gone.png": "labels.csv names it, but there is no such file",
        "labels.csv, line 5": "it names 'a.png' a second time",
        "labels.csv, line 6": "it names no file",
        "labels.csv, line 8": "it has 1 fields, the head 2",
        "b.png": "it has no 'kind'",
        "c.png": "labels.csv has no row for it",
        "d.png": "labels.csv has no row for it",
    }


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"name,kind\na.png,x\n", "names no files: wanted a column file or filename"),
        (b"", "names no files"),
        (b"file,kind,kind\na.png,x,y\n", "two columns of the same name"),
        ("file,kind\na.png,é\n".encode("utf-16"), "cannot be read as a CSV file in UTF-8"),
        (b"file,kind\na.png,\xe9\n", "cannot be read as a CSV file in UTF-8"),
        (b"file,kind\na.png," + b"x" * 200_000 + b"\n", "cannot be read as a CSV file"),
    ],
)
def test_a_sidecar_that_says_nothing_useful_is_an_error(tmp_path, content, message):
    folder(tmp_path, a="1")
    (tmp_path / "labels.csv").write_bytes(content)
    with pytest.raises(DataError, match=message):
        rows(tmp_path)


def test_the_contact_sheet_is_no_example(tmp_path):
    folder(tmp_path, a="1", sheet="2")
    assert [int(p[0, 0, 0]) for p, _ in rows(tmp_path)[0]] == [1]


def test_a_single_pixel_is_a_picture_only_among_its_like(tmp_path):
    for i in range(3):
        Image.new("L", (1, 1), i).save(tmp_path / f"{i}.png")
    (tmp_path / "x.png").write_text("no picture")
    good, bad = rows(tmp_path)
    assert len(good) == 3
    assert list(reasons(bad)) == ["x.png"]
    Image.new("L", (1, 2)).save(tmp_path / "z.png")
    good, bad = rows(tmp_path)
    assert len(good) == 1
    assert reasons(bad)["0.png"] == "a single pixel, among larger pictures"


# -- arrays ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["images", "x", "data", "arr_0"])
@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_give_pictures_and_labels(tmp_path, name, save):
    images = pictures(600)
    labels = {
        "digit": np.arange(600) % 10,
        "word": np.array([f"w{i}" for i in range(600)]),
        "raw": np.array([f"é{i}".encode() for i in range(600)]),
        "weight": np.linspace(0, 1, 600),
        "on": np.arange(600) % 2 == 0,
        "elsewhere": np.arange(599),
        "table": np.zeros((600, 2)),
    }
    save(tmp_path / "a.npz", **{name: images}, **labels)
    assert ImageFiles(source(tmp_path / "a.npz")).labels() == ["digit", "word", "raw", "weight", "on"]
    good, bad = rows(tmp_path / "a.npz", "digit", "word", "raw", "weight", "on")
    assert not bad
    assert np.array_equal(np.stack([p for p, _ in good]), images[..., None])
    assert good[599][1] == {"digit": 9, "word": "w599", "raw": "é599", "weight": 1.0, "on": False}
    assert type(good[0][1]["digit"]) is int
    assert good[0][1].keys() == {"digit", "word", "raw", "weight", "on"}


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_channels_may_come_first_or_last(tmp_path, channels):
    images = np.random.default_rng(0).integers(0, 256, (5, 6, 7, channels), np.uint8)
    np.savez(tmp_path / "last.npz", x=images)
    np.savez(tmp_path / "first.npz", x=np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
    for name in ("last.npz", "first.npz"):
        assert np.array_equal(np.stack([p for p, _ in rows(tmp_path / name)[0]]), images), name


def test_sixteen_bits_and_floats(tmp_path):
    every = np.arange(65536, dtype=np.uint16).reshape(4, 128, 128)
    for kind in ("<u2", ">u2"):
        np.savez(tmp_path / "deep.npz", images=every.astype(kind))
        found = np.stack([p[..., 0] for p, _ in rows(tmp_path / "deep.npz")[0]])
        assert found.dtype == np.uint16
        assert np.array_equal(found, every)
    for kind in (np.float16, np.float32, np.float64):
        np.savez(tmp_path / "float.npz", images=(pictures(3) / 255).astype(kind))
        found = np.stack([p[..., 0] for p, _ in rows(tmp_path / "float.npz")[0]])
        assert found.dtype == np.uint8
        assert np.array_equal(found, pictures(3))
    np.savez(tmp_path / "float.npz", images=every / 65535)
    found = np.stack([p[..., 0] for p, _ in rows(tmp_path / "float.npz", deep=True)[0]])
    assert np.array_equal(found, every)


def test_pictures_of_an_array_that_cannot_be_used_are_named(tmp_path):
    images = np.full((4, 2, 2), 0.5)
    images[1, 0, 0], images[2, 0, 0] = np.nan, 255
    np.savez(tmp_path / "a.npz", images=images, age=[1.0, 2.0, 3.0, np.nan])
    good, bad = rows(tmp_path / "a.npz", "age")
    assert [labels for _, labels in good] == [{"age": 1.0}]
    assert list(reasons(bad)) == ["a.npz[1]", "a.npz[2]", "a.npz[3]"]
    assert "not all finite" in bad[0].reason
    assert "outside 0 to 1" in bad[1].reason
    assert bad[2].reason == "it has no 'age'"


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"pixels": pictures(2)}, "no pictures in it: wanted an array images or x"),
        ({"images": pictures(2).astype(np.int64)}, r"found 'images' int64 \(2, 4, 5\)"),
        ({"images": np.zeros((2, 3, 4, 5), np.uint8)[:, :2]}, "no pictures in it"),
        ({"images": np.array([None, {}])}, "Python objects, which are never loaded"),
        ({"images": np.asfortranarray(pictures(2))}, "Fortran order: save numpy.ascontiguousarray"),
        ({"images": np.zeros((0, 60_000, 60_000), np.uint8)}, "at most 50 megapixels"),
    ],
)
def test_an_archive_without_pictures_is_bad(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    good, bad = rows(tmp_path / "a.npz")
    assert not good
    assert [one.name for one in bad] == ["a.npz"]
    with pytest.raises(ValueError, match=message):
        raise ValueError(bad[0].reason)


def test_a_damaged_archive_is_bad_and_the_others_are_read(tmp_path):
    np.savez_compressed(tmp_path / "b.npz", images=pictures(2))
    whole = (tmp_path / "b.npz").read_bytes()
    np.savez_compressed(tmp_path / "a.npz", images=pictures(300, 20, 20))
    data = bytearray((tmp_path / "a.npz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "a.npz").write_bytes(data)
    (tmp_path / "c.npz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "d.npz").write_text("words")
    good, bad = rows(tmp_path)
    assert [labels for _, labels in good][-2:] == [{}, {}]
    assert list(reasons(bad)) == ["a.npz", "c.npz", "d.npz"]
    assert all("damaged, or no .npz archive" in one.reason for one in bad)
    assert ImageFiles(source(tmp_path)).labels() == []


def forged(path: Path, shape: tuple[int, ...], size: int) -> None:
    """An archive whose array declares `shape` and unpacks to `size` zeros."""
    head = io.BytesIO()
    np.lib.format.write_array_header_1_0(head, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file,
        file.open("images.npy", "w") as member,
    ):
        member.write(head.getvalue())
        for _ in range(size >> 20):
            member.write(bytes(2**20))


def test_archive_bombs_are_refused_without_unpacking(tmp_path):
    forged(tmp_path / "lie.npz", (10**6, 1000, 1000), 2**20)
    forged(tmp_path / "ratio.npz", (300, 1024, 1024), 300 << 20)
    tracemalloc.start()
    good, bad = rows(tmp_path)
    assert tracemalloc.get_traced_memory()[1] < 8 * 2**20
    tracemalloc.stop()
    assert not good
    assert "declares uint8 (1000000, 1000, 1000) but takes" in reasons(bad)["lie.npz"]
    assert "unpacks to 300 MB" in reasons(bad)["ratio.npz"]


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_a_large_archive_is_read_a_few_pictures_at_a_time(tmp_path, monkeypatch, save):
    monkeypatch.setattr("genwright.data.image.archive.CHUNK_BYTES", 2**20)
    images = pictures(500, 256, 256)
    save(tmp_path / "a.npz", images=images, digit=np.arange(500))
    tracemalloc.start()
    for i, row in enumerate(ImageFiles(source(tmp_path / "a.npz")).rows(["digit"])):
        assert not isinstance(row, Rejected)
        assert row[1]["digit"] == i
        assert np.array_equal(row[0].pixels[..., 0], images[i])
    assert i == 499
    assert tracemalloc.get_traced_memory()[1] < 6 * 2**20  # of 31
    tracemalloc.stop()
