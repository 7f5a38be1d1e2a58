"""Examples in `.tar` archives, read in place: what is right value by value, and what is never followed."""

from __future__ import annotations

import io
import json
import tarfile
import wave
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genwright
from commands import call
from genwright.api import make_recipe
from genwright.data.audio.codec import AudioCodec
from genwright.data.audio.field import ClipField
from genwright.data.codec import Codec, ReadOptions, Rows
from genwright.data.columns.field import ColumnField
from genwright.data.dataset import wanted_fields
from genwright.data.image.codec import ImageCodec
from genwright.data.image.field import ImageField
from genwright.data.image.ops import pixels
from genwright.data.member import Entry, Member, contents
from genwright.data.source import find
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.experiment import open_data

N = 30


def png(value: int, side: int = 6) -> bytes:
    data = io.BytesIO()
    Image.fromarray(shade(value, side)).save(data, "PNG")
    return data.getvalue()


def shade(value: int, side: int = 6) -> np.ndarray:
    picture = np.full((side, side, 3), value, np.uint8)
    picture[0, 0] = (255 - value, value, 3)
    return picture


def wav(i: int) -> bytes:
    data = io.BytesIO()
    with wave.open(data, "wb") as file:
        file.setparams((1, 2, 1000, 0, "NONE", ""))
        file.writeframes(tone(i).tobytes())
    return data.getvalue()


def tone(i: int, samples: int = 64) -> np.ndarray:
    return (np.sin(np.arange(samples) * (0.1 + 0.05 * i)) * 20_000).astype("<i2")


def tar(path: Path, files: Mapping[str, bytes | str], **odd: dict[str, Any]) -> Path:
    """An archive of these files; `odd` are further members by name, as attributes of their heads."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
        for name, head in odd.items():
            about = tarfile.TarInfo(name)
            for key, value in head.items():
                setattr(about, key, value)
            archive.addfile(about)
    return path


def pairs(n: int = N, first: int = 0) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for i in range(first, first + n):
        found |= {
            f"a/{i:04}.input.png": png(i),
            f"a/{i:04}.target.jpg.png": png(255 - i),
            f"a/{i:04}.txt": f"number {i}\n",
            f"a/{i:04}.cls": f"{i % 3}\n",
            f"a/{i:04}.json": json.dumps(
                {"town": "ab"[i % 2], "n": i, "title": f"of the {i}", "box": [1]}
            ),
        }
    return found


def captioned(n: int = N, first: int = 0) -> dict[str, bytes | str]:
    found: dict[str, bytes | str] = {}
    for i in range(first, first + n):
        found |= {f"{i:04}.png": png(i), f"{i:04}.txt": f"number {i}", f"{i:04}.cls": str(i % 3)}
    return found


def number(picture: Any) -> int:
    return int(pixels(picture)[-1, -1, 0])


def read(codec: Codec, path: Path, *given: str) -> Rows:
    source, options = find(path), ReadOptions(given)
    fields = wanted_fields(codec, source, options)
    whole = Rows({one: [] for one in fields}, [])
    for rows in codec.read(source, fields, options):
        for one, values in rows.values.items():
            whole.values[one] += values
        whole.keys += rows.keys
        whole.names += rows.names
        whole.rejected += rows.rejected
    return whole


def place_of(member: Member) -> Entry:
    return contents(member.archive).files[member.inner]


def reasons(rows: Rows) -> dict[str, tuple[str, bool]]:
    return {bad.name: (bad.reason, bad.orphan) for bad in rows.rejected}


# -- what is read ----------------------------------------------------------------------------------


def test_files_of_one_basename_are_one_example(tmp_path):
    path = tar(tmp_path / "some.tar", pairs())
    source = find(path)
    assert (source.codec, source.files) == ("image", (path,))
    fields = ImageCodec().fields(source)
    assert {name: type(field) for name, field in fields.items()} == {
        "input": ImageField,
        "target.jpg": ImageField,
        "caption": TextField,
        "label": ColumnField,
        "town": ColumnField,
        "n": ColumnField,
        "title": TextField,
    }
    assert fields["input"].frame == fields["target.jpg"].frame == "image"
    rows = read(ImageCodec(), path, "target.jpg", "caption", "label", "town", "n", "title")
    assert not rows.rejected
    assert rows.names == [f"a/{i:04}" for i in range(N)], (
        "the folder is kept, and all from the first dot left out"
    )
    for i, (given, made, *beside) in enumerate(zip(*rows.values.values(), strict=True)):
        assert np.array_equal(given.pixels, shade(i))
        assert np.array_equal(made.pixels, shade(255 - i))
        assert beside == [f"number {i}", i % 3, "ab"[i % 2], i, f"of the {i}"]


def test_a_plain_suffix_is_the_main_field(tmp_path):
    files = {**captioned(), **{f"{i:04}.mask.png": png(255 - i) for i in range(N)}}
    path = tar(tmp_path / "some.tar", files)
    assert list(ImageCodec().fields(find(path))) == ["image", "mask", "caption", "label"]
    assert ImageCodec().default_labels(find(path)) == ["label"]
    rows = read(ImageCodec(), path, "mask")
    assert [(number(a), number(b)) for a, b in zip(*rows.values.values(), strict=True)] == [
        (i, 255 - i) for i in range(N)
    ]
    del files["0007.cls"]
    assert ImageCodec().default_labels(find(tar(path, files))) == []


def test_a_folder_of_shards(tmp_path):
    tar(tmp_path / "train/000000.tar", captioned(first=0))
    tar(
        tmp_path / "train/000001.tar", {f"./{name}": data for name, data in captioned(first=100).items()}
    )
    tar(tmp_path / "000002.tar", captioned(2))
    (tmp_path / "train/000000.parquet").write_bytes(b"of img2dataset")
    (tmp_path / "train/000000_stats.json").write_text("{}")
    source = find(tmp_path)
    assert [path.name for path in source.files] == ["000002.tar", "000000.tar", "000001.tar"]
    rows = read(ImageCodec(), tmp_path, "caption", "label")
    assert rows.names == [
        *("000002/0000", "000002/0001"),
        *(f"train/000000/{i:04}" for i in range(N)),
        *(f"train/000001/{i:04}" for i in range(100, 100 + N)),
    ]
    for picture, caption, label in zip(*rows.values.values(), strict=True):
        assert (caption, label) == (f"number {number(picture)}", number(picture) % 3)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_in_every_form(tmp_path, form):
    folder = "/".join(["deep" * 10] * 4) + ("/" + "é" * 120 if form != tarfile.USTAR_FORMAT else "")
    with tarfile.open(tmp_path / "a.tar", "w", format=form) as archive:
        for i in range(3):
            about = tarfile.TarInfo(f"{folder}/{i}.png")
            about.size = len(png(i))
            archive.addfile(about, io.BytesIO(png(i)))
    rows = read(ImageCodec(), tmp_path / "a.tar")
    assert list(map(number, rows.values["image"])) == [0, 1, 2]
    assert rows.names[2] == "2", "a folder that all lie in says nothing"


def test_sounds_and_what_is_said_in_them(tmp_path):
    files: dict[str, bytes | str] = {}
    for i in range(N):
        files |= {f"{i}.wav": wav(i), f"{i}.clean.wav": wav(i + 1), f"{i}.txt": f"tone {i}"}
    path = tar(tmp_path / "some.TAR", files)
    source = find(path)
    assert source.codec == "audio"
    fields = AudioCodec().fields(source)
    assert {name: type(field) for name, field in fields.items()} == {
        "audio": ClipField,
        "clean": ClipField,
        "caption": TextField,
    }
    rows = read(AudioCodec(), path, "clean", "caption")
    assert rows.names == [str(i) for i in range(N)]
    for i, (sound, clean, caption) in enumerate(zip(*rows.values.values(), strict=True)):
        assert np.array_equal(sound.samples, tone(i))
        assert np.array_equal(clean.samples, tone(i + 1))
        assert caption == f"tone {i}"


def test_sounds_by_the_library(tmp_path):
    soundfile = pytest.importorskip("soundfile")
    files: dict[str, bytes | str] = {}
    for i in range(3):
        data = io.BytesIO()
        soundfile.write(data, tone(i), 1000, format="FLAC", subtype="PCM_16")
        files[f"{i}.flac"] = data.getvalue()
    rows = read(AudioCodec(), tar(tmp_path / "some.tar", files))
    for i, sound in enumerate(rows.values["audio"]):
        assert np.array_equal(sound.samples, tone(i))


def test_a_member_is_read_by_its_place(tmp_path):
    path = tar(tmp_path / "some.tar", {"a.txt": "first", "b.txt": b"\0" * 700 + b"end", "c.txt": ""})
    for member, content in zip(
        contents(path).members, [b"first", b"\0" * 700 + b"end", b""], strict=True
    ):
        entry = place_of(member)
        assert member.stat().st_size == entry.size == len(content)
        with path.open("rb") as whole:
            whole.seek(entry.offset)
            assert whole.read(entry.size) == content
        with member.open("rb") as stream:
            assert stream.read() == content
            assert stream.seek(0, io.SEEK_END) == len(content)
            stream.seek(0)
            assert stream.read(3) == content[:3]


# -- what is not -----------------------------------------------------------------------------------


def test_halves_of_examples_are_named(tmp_path):
    files = captioned()
    del files["0003.txt"], files["0004.png"], files["0005.cls"]
    files |= {
        "0006.cls": "seven",
        "0007.txt": b"\xff\xfe",
        "0008.png": b"no picture",
        "0009.txt": "x" * (2**20 + 1),
    }
    rows = read(ImageCodec(), tar(tmp_path / "some.tar", files), "caption", "label")
    assert len(rows) == N - 7
    assert reasons(rows) == {
        "0003.png": ("it has no 'caption'", True),
        "0004.txt": ("there is no image of this name", True),
        "0005.png": ("it has no 'label'", False),
        "0006.png": ("its label is 'seven', and no integer", False),
        "0007.png": ("its .txt cannot be read as a text in UTF-8", False),
        "0008.png": ("not a picture: wanted PNG, JPEG, WEBP, GIF, BMP", False),
        "0009.png": ("its .txt has 1,048,577 bytes, and 1,048,576 are read at most", False),
    }
    assert len(read(ImageCodec(), tmp_path / "some.tar")) == N - 2, "what is not wanted costs nothing"


def test_a_further_picture_that_is_missing(tmp_path):
    files = pairs()
    del files["a/0004.target.jpg.png"], files["a/0005.input.png"]
    files |= {"a/0006.json": '["of"]', "a/0007.json": "{"}
    path = tar(tmp_path / "some.tar", files)
    rows = read(ImageCodec(), path, "target.jpg", "town")
    assert {name: reason.partition(":")[0] for name, (reason, _) in reasons(rows).items()} == {
        "a/0004.input.png": "there is no target.jpg of this name",
        "a/0005.target.jpg.png": "there is no input of this name",
        "a/0006.input.png": 'its .json is not an object like {"label"',
        "a/0007.input.png": "its .json is not JSON",
    }


def test_what_is_no_plain_file_is_never_followed(tmp_path):
    (tmp_path / "secret.png").write_bytes(png(200))
    odd: dict[str, dict[str, Any]] = {
        "link.png": {"type": tarfile.SYMTYPE, "linkname": "../secret.png"},
        "hard.png": {"type": tarfile.LNKTYPE, "linkname": "0001.png"},
        "device.png": {"type": tarfile.CHRTYPE},
        "pipe.png": {"type": tarfile.FIFOTYPE},
        "folder.png": {"type": tarfile.DIRTYPE},
        "../up.png": {},
        "/top.png": {},
        "a/../../b.png": {},
        "C:\\c.png": {},
        "a\\..\\d.png": {},
        "__MACOSX/e.png": {},
        "._0001.png": {},
    }
    path = tar(tmp_path / "some.tar", captioned(), **odd)
    rows = read(ImageCodec(), path)
    assert sorted(map(number, rows.values["image"])) == list(range(N))
    kept = "it is no plain file but a link, a device or a file with holes, which are not followed"
    away = "its name leads out of the archive"
    assert {name: reason for name, (reason, _) in reasons(rows).items()} == {
        **dict.fromkeys(["link.png", "hard.png", "device.png", "pipe.png"], kept),
        **dict.fromkeys(["../up.png", "/top.png", "a/../../b.png", "C:\\c.png", "a\\..\\d.png"], away),
    }
    assert sorted(file.name for file in tmp_path.iterdir()) == ["secret.png", "some.tar"], (
        "nothing is written"
    )


def damaged(path: Path, how: str) -> None:
    data = path.read_bytes()
    last = place_of(contents(path).members[-1])
    end = last.offset + -(-last.size // 512) * 512
    changed = {
        "in a file": data[: last.offset + last.size // 2],
        "in a head": data[: last.offset - 100],
        "before a head": data[: last.offset - 512],
        "behind all": data[:end],
        "a head": data[: last.offset - 400] + b"\xff" * 40 + data[last.offset - 360 :],
        "no archive": b"plain text, and nothing else" * 100,
        "packed": b"\x1f\x8b" + data[2:],
        "empty": b"",
        "joined": data + data,
        "negative": data[: last.offset - 512 + 124] + b"\xff" * 12 + data[last.offset - 512 + 136 :],
        "endless": data[: last.offset - 512 + 124] + b"77777777777\0" + data[last.offset - 512 + 136 :],
    }
    path.write_bytes(changed[how])


@pytest.mark.parametrize(
    "how",
    [
        *(
            "in a file",
            "in a head",
            "before a head",
            "behind all",
            "a head",
            "no archive",
            "packed",
            "empty",
        ),
        *("joined", "negative", "endless"),
    ],
)
@pytest.mark.parametrize("alone", [True, False])
def test_a_damaged_archive_is_refused(tmp_path, how, alone):
    path = tar(tmp_path / "d/some.tar", captioned(3))
    if not alone:
        tar(tmp_path / "d/more.tar", captioned(3, 50))
    damaged(path, how)
    with pytest.raises(
        DataError, match=r"some\.tar cannot be read as a tar archive \(.+\): it is damaged"
    ) as error:
        find(path if alone else tmp_path / "d")
    assert error.value.code == "damaged-archive"


def test_a_head_with_a_sum_that_fits_and_a_size_that_does_not(tmp_path):
    """Which is read again and again by those who trust it."""
    path = tar(tmp_path / "some.tar", captioned(3))
    data, member = bytearray(path.read_bytes()), contents(path).members[-1]
    last = place_of(member)
    head = slice(last.offset - 512, last.offset)
    about = tarfile.TarInfo(member.inner)
    about.size = -1024
    data[head] = about.tobuf(tarfile.GNU_FORMAT)
    path.write_bytes(data)
    with pytest.raises(DataError, match=r"has less than no bytes") as error:
        find(path)
    assert error.value.code == "damaged-archive"


def test_an_archive_that_changes_while_it_is_read(tmp_path):
    path = tar(tmp_path / "some.tar", {"a.txt": "x" * 1000})
    (member,) = contents(path).members
    path.write_bytes(path.read_bytes()[:600])
    with pytest.raises(OSError, match="has changed"), member.open("rb") as stream:
        stream.read()
    gone = Member(tmp_path / "gone.tar", "a.txt")
    with pytest.raises(OSError, match=r"gone\.tar"), gone.open("rb"):
        pass


@pytest.mark.parametrize(
    "extra", [{"0001.jpg": png(3)}, {"0001.image.png": png(3)}, {"0001.caption": "x"}]
)
def test_two_files_of_one_field(tmp_path, extra):
    path = tar(tmp_path / "some.tar", captioned(3) | extra)
    with pytest.raises(
        DataError, match=r"0001\.\w+ and 0001\.\S+ are both the \w+ of one example"
    ) as error:
        ImageCodec().fields(find(path))
    assert error.value.code == "two-files-one-stem"


@pytest.mark.parametrize("name", ["loose.png", "some.npz"])
def test_archives_beside_loose_files(tmp_path, name):
    tar(tmp_path / "some.tar", captioned(3))
    if name.endswith("png"):
        (tmp_path / name).write_bytes(png(3))
    else:
        np.savez(tmp_path / name, images=np.zeros((3, 6, 6), np.uint8))
    with pytest.raises(DataError, match="holds 1 tar archives beside 1 loose files") as error:
        ImageCodec().fields(find(tmp_path))
    assert error.value.code == "mixed-kinds"


def test_an_archive_of_something_else(tmp_path):
    path = tar(tmp_path / "a/some.tar", {"notes.odd": "of nothing"})
    with pytest.raises(DataError, match=r"none of the 1 files in .+ can be used"):
        find(path)
    (tmp_path / "a/one.txt").write_text("a text")
    (tmp_path / "a/two.txt").write_text("another")
    assert find(tmp_path / "a").codec == "text", "it lies beside texts as any file may"


# -- from the cache, trained and asked -------------------------------------------------------------


def test_the_archive_names_the_data(tmp_path):
    path = tar(tmp_path / "some.tar", captioned())
    how: dict[str, Any] = {"given": ["label", "caption"]}
    first = open_data(make_recipe(path, **how))[1]
    assert open_data(make_recipe(path, **how))[1].key == first.key
    assert sum(first.stats.counts.values()) == N
    tar(path, captioned() | {"0003.txt": "another"})
    second = open_data(make_recipe(path, **how))[1]
    assert second.key != first.key
    texts = {text for split in second.splits.values() for text in _decoded(second, split, "caption")}
    assert "another" in texts
    assert "number 3" not in texts


def _decoded(dataset: Any, split: Any, name: str) -> list[Any]:
    field = dataset.fields[name]
    found: list[Any] = field.decode(field.expand(split.gather(np.arange(len(split)))[name]).numpy())
    return found


def test_the_files_are_opened_no_more_than_twice(tmp_path, monkeypatch):
    path = tar(tmp_path / "some.tar", captioned())
    opened, plainly = list[str](), Member.open

    def counted(file: Member, *how: Any, **more: Any) -> Any:
        opened.append(file.name)
        return plainly(file, *how, **more)

    monkeypatch.setattr(Member, "open", counted)
    open_data(make_recipe(path))
    pictures = [name for name in opened if name.endswith(".png")]
    assert sorted(pictures) == sorted([f"{i:04}.png" for i in range(N)] * 2)
    opened.clear()
    open_data(make_recipe(path))
    assert opened == []


def test_a_model_of_shards(tmp_path):
    tar(tmp_path / "in/0.tar", pairs(N // 2))
    tar(tmp_path / "in/1.tar", pairs(N // 2, N // 2))
    model = genwright.train(
        tmp_path / "in",
        out=tmp_path / "run",
        family="diffusion",
        make="target.jpg",
        given=["input"],
        size="xs",
        steps=3,
        settings=["train.checks=1", "train.samples=2", "train.batch_size=4"],
    )
    made = model.apply([tmp_path / "in/1.tar"])
    assert made.names[:2] == ["a/0015", "a/0016"]
    assert len(made.save(tmp_path / "out")) == N // 2
    said = call("look", str(tmp_path / "in"))
    assert said.code == 0
    assert "caption" in said.out
