"""From a path to files of one modality."""

from __future__ import annotations

import gzip
import os
import socket
from pathlib import Path

import numpy as np
import pytest

import genwright
from commands import pictures, table, text
from genwright.data.source import BUILTIN, find
from genwright.errors import DataError, RecipeError


def touch(*names: str) -> None:
    for name in names:
        path = Path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")


@pytest.mark.parametrize(
    ("name", "codec"),
    [
        ("a.png", "image"),
        ("a.JPG", "image"),
        ("a.npz", "image"),
        ("a.csv", "table"),
        ("a.csv.gz", "table"),
        ("a.b.tsv", "table"),
        ("a.parquet", "table"),
        ("a.txt", "text"),
        ("a.md", "text"),
        ("a.txt.gz", "text"),
        ("a.md.gz", "text"),
    ],
)
def test_the_suffix_says_what_a_file_is(name: str, codec: str) -> None:
    touch(name)
    source = find(name)
    assert (source.codec, source.files, source.name) == (codec, (Path(name),), "a")


@pytest.mark.parametrize(
    ("line", "codec"),
    [
        ('{"text": "hello", "label": 3}', "text"),
        ('{"text": 3}', "table"),
        ('{"a": 1}', "table"),
        ('["text"]', "table"),
        ("no json", "table"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_the_first_line_says_what_json_lines_are(line: str, codec: str, packed: bool) -> None:
    file = Path("a.jsonl.gz" if packed else "a.jsonl")
    file.write_bytes(gzip.compress(line.encode()) if packed else line.encode())
    assert find(file).codec == codec
    assert find(file, "table").codec == "table"


def test_a_folder_is_walked_in_a_fixed_order_without_what_is_hidden() -> None:
    touch("d/b/2.png", "d/a/1.png", "d/0.png", "d/.hidden.png", "d/.git/x.png", "d/__MACOSX/y.png")
    os.symlink(Path("d/a").absolute(), "d/link")
    source = find("d")
    assert [str(f.relative_to("d")) for f in source.files] == ["0.png", "a/1.png", "b/2.png"]
    assert (source.codec, source.name, source.root) == ("image", "d", Path("d"))


def test_what_lies_beside_data_is_no_data() -> None:
    pictures(Path("d"), 2)
    touch("d/labels.csv", "d/README.md", "d/LICENSE.txt", "d/sheet.png", "d/notes.xyz")
    source = find("d")
    assert source.codec == "image"
    assert [f.name for f in source.files] == ["000.png", "001.png"]


def test_a_mix_is_refused_unless_a_codec_is_chosen() -> None:
    pictures(Path("d"), 3)
    table(Path("d/rows.csv"))
    text(Path("d/fox.txt"))
    text(Path("d/hen.txt"))
    with pytest.raises(DataError, match=r"mix of 3 image and 2 text and 1 table.*codec\.name=image"):
        find("d")
    assert [f.suffix for f in find("d", "image").files] == [".png"] * 3
    assert [f.name for f in find("d", "table").files] == ["rows.csv"]
    with pytest.raises(RecipeError, match=r"'tabel'.*'table'"):
        find("d", "tabel")


def test_what_nine_in_ten_files_are_is_what_a_folder_holds() -> None:
    pictures(Path("d"), 18)
    text(Path("d/of me.txt"))
    text(Path("d/to do.txt"))
    source = find("d")
    assert (source.codec, len(source.files)) == ("image", 18)
    assert [file.name for file in source.aside] == ["of me.txt", "to do.txt"]
    text(Path("d/third.txt"))
    with pytest.raises(DataError, match=r"mix of 18 image and 3 text"):
        find("d")


def test_what_shows_all_samples_is_no_example_beside_them() -> None:
    touch("made/samples.txt", "sounds/sounds.html", "alone/samples.txt")
    Path("made/samples.jsonl").write_text('{"text": "hello"}\n')
    assert [file.name for file in find("made").files] == ["samples.jsonl"]
    assert [file.name for file in find("made", "text").files] == ["samples.jsonl"]
    assert [file.name for file in find("alone").files] == ["samples.txt"]


def test_a_table_of_labels_is_one_of_the_files_below_it() -> None:
    pictures(Path("d/a"), 2)
    touch("d/labels.csv")
    assert find("d").codec == "image"
    pictures(Path("d"), 1)
    touch("d/a/labels.csv")
    assert find("d").codec == "image", "it may stand in any folder"
    touch("d/b/labels.csv")
    with pytest.raises(DataError, match=r"mix of 3 image and 3 table"):
        find("d")


def test_data_that_nothing_reads_is_no_secret() -> None:
    pictures(Path("photos"), 2)
    assert find("photos").notes == ()
    touch("photos/a.tiff", "photos/b.tif", "photos/c.mp4", "photos/Thumbs.db", "scans/a.tiff")
    said = find("photos").notes
    assert said[0] == "a.tiff is not read (2 such files): save it as .png"
    assert said[1].startswith("c.mp4 is not read: save its frames")
    assert said[0] in genwright.look("photos").warnings
    with pytest.raises(
        DataError, match=r"none of the 1 files in scans.*a.tiff is not read: save it as .png"
    ):
        find("scans")


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "no data was named.*data.path"),
        ("nowhere", r"no file or folder at nowhere.*built in \(digits\)"),
        ("digit", "did you mean digits"),
        ("Photos", "did you mean photos"),
        ("photos/000.pgn", "did you mean photos/000.png"),
        ("phots/a/b.png", "did you mean photos"),
        ("none", "none of the 1 files.*image reads .png.*table reads .csv.*text reads .txt"),
        ("empty", "folder empty is empty"),
        ("a.xyz", "a.xyz is of no kind.*image reads"),
        ("a.pt", "a.pt is of no kind.*hand its arrays to genwright.train"),
        ("a.pdf", "a.pdf is of no kind.*as .txt"),
        ("a.json", "a.json is of no kind.*one a line into a .jsonl"),
        ("socket", "neither a file nor a folder"),
        ("run", "is a run.*--resume run"),
    ],
)
def test_what_cannot_be_used_is_told_with_a_way_out(path: str, words: str) -> None:
    pictures(Path("photos"), 1)
    touch("none/x.xyz", "a.xyz", "a.pt", "a.pdf", "a.json", "run/MANIFEST.json")
    Path("empty").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        with pytest.raises(DataError, match=words):
            find(path)


def test_a_codec_that_finds_nothing_says_what_it_reads() -> None:
    pictures(Path("d"), 3)
    with pytest.raises(DataError, match=r"none of the 3 files.*\.csv.*codec\.name"):
        find("d", "table")


def test_a_folder_that_cannot_be_read_is_not_called_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures(Path("d"), 1)

    def scandir(path: object) -> object:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(os, "scandir", scandir)
    with pytest.raises(DataError, match="folder d cannot be read: Permission denied"):
        find("d")


def test_built_in_digits_are_real_and_made_once() -> None:
    assert "digits" in BUILTIN
    source = find("digits")
    (file,) = source.files
    before = file.stat().st_mtime_ns
    with np.load(file) as found:
        assert found["images"].shape == (1797, 8, 8)
        assert found["images"].dtype == np.uint8
        assert found["images"].max() == 255
        assert np.bincount(found["label"]).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert (source.codec, source.name) == ("image", "digits")
    assert find("digits").files[0].stat().st_mtime_ns == before


def test_a_folder_called_as_what_is_built_in_comes_first() -> None:
    pictures(Path("digits"), 2)
    assert len(find("digits").files) == 2
