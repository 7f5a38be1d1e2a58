"""Archives read in place: what is in them is what the folder would be, and what is never followed or unpacked."""

from __future__ import annotations

import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from test_shards import png, wav

from genwright.bridges.base import Identity
from genwright.data import member, packed
from genwright.data.codec import ReadOptions, Rows
from genwright.data.dataset import make_codec, wanted_fields
from genwright.data.member import Member
from genwright.data.source import find
from genwright.errors import DataError
from genwright.experiment import open_data
from genwright.pipeline import Pipeline
from genwright.recipe import make_recipe
from genwright.tasks.generate import Generate

FORMS = ("zip", "tar", "tar.gz", "tgz", "tar.bz2", "tar.xz")
Files = Mapping[str, bytes]


def packed_as(path: Path, files: Files) -> Path:
    """An archive of these files, in the form that its name says."""
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
            for name, data in files.items():
                zipped.writestr(name, data)
        return path
    how = {".tgz": "gz"}.get(path.suffix, path.suffix.removeprefix(".").removesuffix("tar"))
    with tarfile.open(path, f"w:{how}") as tar:
        for name, data in files.items():
            about = tarfile.TarInfo(name)
            about.size = len(data)
            tar.addfile(about, io.BytesIO(data))
    return path


def as_folder(path: Path, files: Files) -> Path:
    for name, data in files.items():
        file = path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)
    return path


def everything(path: Path) -> tuple[Rows, list[str]]:
    """All rows with all fields, and the names of those."""
    source = find(path)
    codec = make_codec(source.codec, {})
    names = codec.labels(source) if source.codec != "table" else []
    options = ReadOptions(tuple(names))
    fields = wanted_fields(codec, source, options)
    whole = Rows({one: [] for one in fields}, [])
    for rows in codec.read(source, fields, options):
        for one, values in rows.values.items():
            whole.values[one] = [
                *whole.values[one],
                *(values.to_numpy().tolist() if hasattr(values, "iloc") else values),
            ]
        whole.keys += rows.keys
        whole.rejected += rows.rejected
    return whole, names


def pictures() -> dict[str, bytes]:
    """Class folders and captions."""
    found = {f"{'cat' if i % 2 else 'dog'}/{i}.png": png(i) for i in range(8)}
    return found | {name.replace(".png", ".txt"): b"of " + name.encode() for name in found}


def sounds() -> dict[str, bytes]:
    names = "".join(f"{'up' if i % 2 else 'down'}/{i}.wav,{i}\n" for i in range(6))
    found = {f"{'up' if i % 2 else 'down'}/{i}.wav": wav(i) for i in range(6)}
    return found | {"metadata.csv": b"file_name,pitch\n" + names.encode()}


def texts() -> dict[str, bytes]:
    return {
        f"{'poem' if i % 2 else 'prose'}/{i}.txt": f"text number {i} ".encode() * 20 for i in range(10)
    }


def table() -> dict[str, bytes]:
    return {"rows.csv": b"a,b\n" + b"".join(b"%d,x%d\n" % (i, i % 3) for i in range(30))}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("made", [pictures, sounds, texts, table])
def test_an_archive_is_the_folder_that_was_packed(tmp_path, form, made: Callable[[], Files]):
    """With a folder around all of it, which says nothing, and what a Mac adds."""
    folder, names = everything(as_folder(tmp_path / "some", made()))
    around = {f"some/{name}": data for name, data in made().items()}
    path = packed_as(
        tmp_path / f"packed.{form}", around | {"__MACOSX/some/._x": b"x", "README.md": b"of it"}
    )
    rows, found = everything(path)
    assert found == names
    assert sorted(rows.keys) == sorted(folder.keys)
    assert not rows.rejected
    for name, values in folder.values.items():
        assert sorted(map(repr, rows.values[name])) == sorted(map(repr, values))
    assert sorted(one.name for one in tmp_path.iterdir()) == [f"packed.{form}", "some"]


def test_a_folder_in_an_archive_can_be_named(tmp_path):
    path = packed_as(
        tmp_path / "a.zip", {f"{part}/{i}.png": png(i) for part in ("x", "y") for i in range(4)}
    )
    assert len(find(path / "y").files) == 4
    with pytest.raises(DataError, match=r"no file or folder at .*a\.zip/z; there is x, y in it"):
        find(path / "z")
    with pytest.raises(DataError, match=r"no file or folder at .*b\.zip; did you mean .*a\.zip"):
        find(tmp_path / "b.zip")


def test_a_member_reads_like_a_file(tmp_path):
    data = np.random.default_rng(0).bytes(3000) + bytes(3000)
    for form in FORMS:
        path = packed_as(tmp_path / f"a.{form}", {"in/b.bin": data, "in/c.txt": b"one\r\ntwo\n"})
        one = Member(path) / "in" / "b.bin"
        assert (one.is_file(), one.is_dir(), one.stat().st_size) == (True, False, 6000)
        assert one.stat().st_mtime_ns == path.stat().st_mtime_ns
        with one.open("rb") as stream:
            stream.seek(-2500, io.SEEK_END)
            assert stream.read(100) == data[3500:3600]
            stream.seek(10)
            assert stream.read() == data[10:]
        assert [other.name for other in one.parent.iterdir()] == ["b.bin", "c.txt"]
        with (one.parent / "c.txt").open(newline="") as text:
            assert text.readlines() == ["one\r\n", "two\n"]
        assert not (one.parent / "d").exists()
        with pytest.raises(FileNotFoundError):
            (one.parent / "d").open("rb")


def test_large_members_of_a_zip_are_streams(tmp_path, monkeypatch):
    monkeypatch.setattr(member, "WHOLE", 10)
    path = packed_as(tmp_path / "a.zip", pictures())
    rows, _ = everything(path)
    assert len(rows) == 8


def test_the_archive_names_the_data(tmp_path):
    path = packed_as(tmp_path / "a.zip", pictures())
    first = open_data(make_recipe(path))[1]
    assert list(first.fields) == ["image", "label"]
    assert open_data(make_recipe(path))[1].key == first.key
    packed_as(path, pictures() | {"cat/1.png": png(77)})
    assert open_data(make_recipe(path))[1].key != first.key


def test_a_model_reads_archives(tmp_path):
    """As what it is applied to."""
    path = packed_as(tmp_path / "a.zip", pictures())
    dataset = open_data(make_recipe(path))[1]
    task = Generate(make="image", given=["label"])
    pipeline = Pipeline("image", dataset.codec, dataset.fields, task, Identity(), dataset.stats.labels)
    (rows,) = pipeline.read([path], ["image"])
    assert len(rows) == 8
    with pytest.raises(DataError, match="none of the 1 files"):
        list(pipeline.read([packed_as(tmp_path / "b.zip", table())], ["image"]))


# -- what is not read ------------------------------------------------------------------------------


def test_what_is_odd_in_a_zip_is_named(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for i in range(24):
            zipped.writestr(f"{i}.png", png(i))
        link = zipfile.ZipInfo("link.png")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        zipped.writestr(link, "/etc/passwd")
        zipped.writestr("../up.png", png(1))
        zipped.writestr("/top.png", png(1))
        zipped.writestr("locked.png", png(1))
    _encrypt(path, b"locked.png")
    stats = open_data(make_recipe(path))[1].stats
    assert sum(stats.counts.values()) == 24
    assert {bad.name: bad.reason for bad in stats.bad} == {
        "link.png": member.NOT_PLAIN,
        "../up.png": member.AWAY,
        "/top.png": member.AWAY,
        "locked.png": "it is encrypted",
    }


def _encrypt(path: Path, name: bytes) -> None:
    """Set the flag that says so in the list at the end."""
    data = bytearray(path.read_bytes())
    flags = data.rindex(name) - 46 + 8
    data[flags] |= 1
    path.write_bytes(data)


def test_an_encrypted_zip(tmp_path):
    path = packed_as(tmp_path / "a.zip", {"a.png": png(1)})
    _encrypt(path, b"a.png")
    with pytest.raises(DataError, match="is encrypted: unpack it with its password") as error:
        find(path)
    assert error.value.code == "encrypted-archive"


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_bomb_is_not_unpacked(tmp_path, monkeypatch, form):
    monkeypatch.setattr(member, "LARGE", 2**20)
    path = packed_as(tmp_path / f"a.{form}", {"a.csv": b"a,b\n" + bytes(2**22)})
    with pytest.raises(DataError, match="could be a decompression bomb") as error:
        find(path)
    assert error.value.code == "decompression-bomb"


def test_members_that_lie_over_each_other(tmp_path):
    path = packed_as(tmp_path / "a.zip", {"a.png": png(1), "b.png": png(2)})
    data = bytearray(path.read_bytes())
    place = data.rindex(b"b.png") - 46 + 42
    data[place : place + 4] = bytes(4)
    path.write_bytes(data)
    with pytest.raises(DataError, match="lie over each other") as error:
        find(path)
    assert error.value.code == "damaged-archive"


@pytest.mark.parametrize("form", FORMS)
def test_a_damaged_archive(tmp_path, form):
    path = packed_as(tmp_path / f"a.{form}", pictures())
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(DataError, match=r"cannot be read as a (zip|tar) archive") as error:
        find(path)
    assert error.value.code == "damaged-archive"


def test_a_damaged_member_is_rejected(tmp_path):
    path = packed_as(tmp_path / "a.zip", {f"{i}.png": png(i, 20) for i in range(4)})
    data = bytearray(path.read_bytes())
    data[data.index(b"2.png") + 40] ^= 255
    path.write_bytes(data)
    rows, _ = everything(path)
    assert len(rows) == 3
    assert [bad.name for bad in rows.rejected] == ["2.png"]


def test_kinds_that_are_mixed(tmp_path):
    path = packed_as(tmp_path / "a.zip", {"1.png": png(1), "2.wav": wav(1)})
    with pytest.raises(DataError, match=r"a\.zip holds a mix of 1 \w+ and 1 \w+ files") as error:
        find(path)
    assert error.value.code == "mixed-kinds"


# -- texts that are packed one by one --------------------------------------------------------------


@pytest.mark.parametrize("how", packed.PACKED)
@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_packed_tables(tmp_path, how, form):
    lines = [b"a,b", *(b"%d,x" % i for i in range(40))]
    if form == "jsonl":
        lines = [b'{"a": %d, "b": "x"}' % i for i in range(40)]
    plain = as_folder(tmp_path, {f"t.{form}": b"\n".join(lines) + b"\n"}) / f"t.{form}"
    file = pack(plain, how)
    assert everything(file)[0].keys == everything(plain)[0].keys
    source = find(file)
    assert 10 < make_codec("table", {}).count(source) < 400
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(DataError, match="may be damaged or cut off"):
        everything(file)


@pytest.mark.parametrize("how", packed.PACKED)
def test_packed_texts(tmp_path, how):
    plain = as_folder(tmp_path, {"t.txt": "größer\n".encode() * 200}) / "t.txt"
    assert everything(pack(plain, how))[0].values == everything(plain)[0].values


def pack(plain: Path, how: str) -> Path:
    if how == ".zst":
        zstd = pytest.importorskip("backports.zstd")
        data = zstd.compress(plain.read_bytes())
    else:
        opener = {".gz": "gzip", ".bz2": "bz2", ".xz": "lzma"}[how]
        data = __import__(opener).compress(plain.read_bytes())
    file = plain.with_name(plain.name + how)
    file.write_bytes(data)
    return file


def test_zstandard_without_its_library(tmp_path, monkeypatch):
    def missing(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(packed, "import_module", missing)
    (tmp_path / "a.csv.zst").write_bytes(b"x")
    with pytest.raises(Exception, match=r"pip install 'genwright\[zstd\]'"):
        make_codec("table", {}).labels(find(tmp_path / "a.csv.zst", "table"))
