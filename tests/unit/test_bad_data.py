"""Data that cannot be used, or not all of it: what is said, and that training goes on where it can."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import ROWS, TINY, call, classes, done, pictures, refused, table, text

Make = Callable[[Path], object]


def cut(path: Path) -> None:
    """Half of a file."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def written(content: str | bytes) -> Make:
    data = content.encode() if isinstance(content, str) else content
    return lambda path: path.write_bytes(data)


def folder(**files: str | bytes) -> Make:
    """A folder of files; `_` in a name stands for the dot."""

    def make(path: Path) -> None:
        path.mkdir()
        for name, content in files.items():
            written(content)(path / name.replace("_", "."))

    return make


def rows(*values: object, head: str = "x,y,z", **how: str) -> Make:
    return lambda path: table(path, values or ROWS, head=head, **how)


def mixed(path: Path) -> None:
    pictures(path, 4)
    table(path / "rows.csv")


def bomb(path: Path) -> None:
    """A small file that would take a hundred million pixels."""
    path.mkdir()
    Image.new("1", (10_000, 10_000)).save(path / "bomb.png")


def damaged(path: Path) -> None:
    for file in sorted(pictures(path, 3).iterdir()):
        cut(file)


def loose(path: Path) -> None:
    """One picture in a class folder, the others beside it."""
    pictures(path, 5)
    pictures(path / "a", 1, first=9)


def icons(path: Path) -> None:
    """A class for each picture."""
    for i in range(60):
        pictures(path / f"class{i}", 1, first=i)


REFUSED: dict[str, tuple[str, Make, list[str]]] = {
    "missing": ("photos", lambda path: None, ["photos", "no file or folder", "digits"]),
    "near": (
        "phtos",
        lambda path: pictures(path.with_name("photos"), 2),
        ["phtos", "did you mean photos"],
    ),
    "builtin": ("digts", lambda path: None, ["digts", "did you mean digits"]),
    "below": ("photos/a/b", lambda path: None, ["photos/a/b", "no file or folder"]),
    "empty folder": ("data", Path.mkdir, ["data", "empty"]),
    "hidden files": ("data", folder(**{".x_png": b"1"}), ["data", "empty"]),
    "none usable": ("data", folder(a_xyz="1", b_qqq="2"), ["2 files", "image reads", "table reads"]),
    "of other kinds": ("data", folder(a_xyz="1", b_pdf="2"), ["2 files", "b.pdf", "as .txt"]),
    "no known kind": ("data.xyz", written("1"), ["data.xyz", "image reads"]),
    "mix": ("data", mixed, ["mix", "4 image", "1 table", "codec.name=image"]),
    "one picture": ("data", lambda path: pictures(path, 1), ["1 usable example", "at least 2"]),
    "all damaged": ("data", damaged, ["no usable", "000.png", "cut short"]),
    "text named png": (
        "data",
        folder(a_png="hello", b_png="x"),
        ["no usable", "a.png", "not a picture"],
    ),
    "bomb": ("data", bomb, ["bomb.png", "50 megapixels", "bomb"]),
    "a class each": ("data", icons, ["'label'", "different", '--label ""']),
    "empty table": ("data.csv", written(""), ["data.csv", "empty", "header"]),
    "blank table": ("data.csv", written("\n\n \n"), ["data.csv", "empty"]),
    "no rows": ("data.csv", written("x,y\n"), ["data.csv", "no rows"]),
    "one row": ("data.csv", rows((1, "a", 2)), ["1 usable example", "at least 2"]),
    "binary table": ("data.csv", written(bytes(range(256))), ["data.csv", "binary"]),
    "parquet by name": ("data.parquet", written("hello"), ["data.parquet", "no Parquet"]),
    "ragged": (
        "data.csv",
        rows(*(row if i % 2 else (*row, 1) for i, row in enumerate(ROWS))),
        ["data.csv", "40 of 80", "line 2", "4 values", "header has 3"],
    ),
    "wrong delimiter": ("data.tsv", rows(), ["'x,y,z'", "','", "codec.delimiter"]),
    "odd delimiter": ("data.csv", rows(sep="^"), ["x^y^z", "codec.delimiter"]),
    "double name": ("data.csv", rows(head="x,x,z"), ["data.csv", "'x'", "rename"]),
    "only constants": ("data.csv", rows(*[(1, "a", "b")] * 80), ["'x' is constant", "'z' is constant"]),
    "only NaN": ("data.csv", rows(*[("NaN", "", "NaN")] * 80), ["'x' is constant"]),
    "only an identifier": (
        "data.csv",
        rows(*((i,) for i in range(80)), head="n"),
        ["'n' is identifier"],
    ),
    "empty text": ("data.txt", written(""), ["data.txt", "empty"]),
    "blank text": ("data.txt", written(" \n \n"), ["data.txt", "empty"]),
    "binary text": ("data.txt", written(b"abc\0def" * 99), ["data.txt", "binary"]),
    "short text": ("data.txt", written("hello"), ["window", "codec.length"]),
    "empty texts": ("data", folder(a_txt="", b_txt=" "), ["every text", "empty"]),
    "not TOML": ("r.toml", written("this is = = no"), ["r.toml", "TOML", "line 1"]),
    "TOML in UTF-16": ("r.toml", lambda p: p.write_text("seed=1", "utf-16"), ["r.toml", "UTF-8"]),
    "no recipe": ("r.toml", lambda path: None, ["r.toml", "no recipe"]),
    "folder as recipe": ("r.toml", Path.mkdir, ["r.toml", "cannot be read", "directory"]),
    "recipe type": (
        "r.toml",
        written('[train]\nsteps="many"'),
        ["r.toml", "train.steps", "whole number"],
    ),
    "recipe section": ("r.toml", written("[trian]\nsteps=3"), ["r.toml", "'trian'", "'train'"]),
    "recipe option": ("r.toml", written("[train]\nstpes=3"), ["r.toml", "train.stpes", "'steps'"]),
    "recipe value": ("r.toml", written("train=3"), ["r.toml", "train", "section"]),
    "recipe family": ("r.toml", written("family=3"), ["r.toml", "family", "section"]),
    "recipe without data": ("r.toml", written("seed=1"), ["no data", "data.path"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_used_is_refused_in_a_sentence(case: str) -> None:
    name, make, words = REFUSED[case]
    make(Path(name))
    refused("look", name, "--size", "xs", words=words)
    refused("train", name, "--family", "vae", *TINY, words=words)
    assert not Path("runs").exists()


CONDITIONS = {
    "unknown": ("data.csv", rows(), "w", ["'w'", "x, y, z"]),
    "other case": ("data.csv", rows(), "Y", ["'Y'", "did you mean 'y'"]),
    "an identifier": (
        "data.csv",
        rows(*((f"id{i}x", *row) for i, row in enumerate(ROWS)), head="n,x,y,z"),
        "n",
        ["'n'", "different texts"],
    ),
    "of 10,000 kinds": (
        "data.csv",
        rows(*((f"c{i // 2}", 1.5 * i) for i in range(20_000)), head="c,x"),
        "c",
        ["'c'", "different texts", "1,000"],
    ),
    "none of pictures": ("data", lambda path: pictures(path, 30), "label", ["'label'", "class folders"]),
    "of a stream": ("data.txt", text, "label", ["'label'"]),
}


@pytest.mark.parametrize("case", CONDITIONS)
def test_a_condition_that_cannot_be_one(case: str) -> None:
    name, make, label, words = CONDITIONS[case]
    make(Path(name))
    refused("train", name, "--label", label, "--family", "vae", *TINY, words=words)
    assert not Path("runs").exists()


def test_all_columns_given_leaves_nothing_to_make() -> None:
    table(Path("data.csv"))
    given = [word for name in "xyz" for word in ("--label", name)]
    refused("train", "data.csv", *given, *TINY, words=["no column to model", "given"])


# -- what can still be used ------------------------------------------------------------------------


def spoilt(path: Path) -> None:
    pictures(path, 40)
    cut(path / "000.png")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)).save(
        path / "j.jpg"
    )
    cut(path / "j.jpg")
    written("hello")(path / "text.png")
    written("")(path / "zero.png")
    Image.new("1", (10_000, 10_000)).save(path / "bomb.png")
    Image.new("L", (1, 1)).save(path / "dot.png")
    Image.new("1", (20_000, 20_000)).save(path / "huge.png")
    Image.new("L", (20_000, 30), 7).save(path / "wide.png")


def test_spoilt_pictures_are_named_and_the_others_learnt_from() -> None:
    spoilt(Path("data"))
    found = json.loads(done("look", "data", "--size", "xs", "--json").out)
    bad = {entry["name"]: entry["reason"] for entry in found["bad"]}
    assert bad.keys() == {"000.png", "j.jpg", "text.png", "zero.png", "bomb.png", "dot.png", "huge.png"}
    assert found["bad_count"] == 7
    assert sum(found["counts"].values()) == 40  # 39 of the small ones, and the wide one
    said = done("look", "data", "--size", "xs").out
    assert all(f"bad: {name}" in said for name in bad)
    assert "7 could not be used" in done("train", "data", "--family", "vae", *TINY).out
    done("sample", "runs/data-vae", "-n", "2")


def test_dots_alone_are_pictures() -> None:
    pictures(Path("data"), 30, side=1)
    done("train", "data", "--family", "vae", *TINY)
    done("sample", "runs/data-vae", "-n", "2")


@pytest.mark.parametrize(
    ("make", "head"),
    [
        (rows(encoding="utf-8-sig"), "x,y,z"),
        (rows(head="größe,y,z", encoding="latin-1"), "größe,y,z"),
        (rows(sep=";"), "x;y;z"),
        (rows(*((x, y, "") for x, y, _ in ROWS)), "x,y,z"),
        (rows(*((x if i % 5 else "NaN", y, z) for i, (x, y, z) in enumerate(ROWS))), "x,y,z"),
        (rows(*((x if i % 9 else "inf", y, z) for i, (x, y, z) in enumerate(ROWS))), "x,y,z"),
        (rows(*((f"c{i // 2}", y, z) for i, (_, y, z) in enumerate(ROWS))), "x,y,z"),
        (rows(*(row if i != 7 else (*row, 1) for i, row in enumerate(ROWS))), "x,y,z"),
        (rows(*ROWS[:5]), "x,y,z"),
    ],
    ids=[
        "BOM",
        "Latin-1",
        "semicolons",
        "empty column",
        "NaN",
        "infinite",
        "many",
        "one ragged",
        "five",
    ],
)
def test_tables_that_are_odd_are_learnt_from(make: Make, head: str) -> None:
    make(Path("data.csv"))
    done("train", "data.csv", "--family", "vae", *TINY)
    done("sample", "runs/data-vae", "-n", "4", "--out", "out")
    lines = Path("out/samples.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == head
    assert len(lines) == 5
    assert not any("nan" in line.split(",")[0] for line in lines[1:])


def test_a_column_of_100_000_categories_is_cut_to_the_commonest() -> None:
    table(Path("data.csv"), ((f"c{i // 2}", i % 3) for i in range(200_000)), head="c,y")
    found = json.loads(done("look", "data.csv", "--size", "xs", "--json").out)
    assert any("'c'" in warning and "commonest" in warning for warning in found["warnings"])


@pytest.mark.parametrize(
    ("label", "words"),
    [("y", ["'y'", "'b'", "every example"]), ("n", ["'n'", "counts the examples"])],
)
def test_a_condition_that_says_nothing_is_warned_of(label: str, words: list[str]) -> None:
    table(Path("data.csv"), ((x, "b", i) for i, (x, *_) in enumerate(ROWS)), head="x,y,n")
    said = done("train", "data.csv", "--label", label, "--family", "vae", *TINY).out
    assert all(word in said for word in ["warning", *words])
    done("sample", "runs/data-vae", "-n", "3")


def test_nothing_held_out_is_warned_of() -> None:
    pictures(Path("five"), 5)
    assert "only 5 different examples" in done("train", "five", "--family", "vae", *TINY).out
    table(Path("one.csv"), [(x, "a", z) for x, _, z in ROWS])
    said = done("train", "one.csv", "--set", "data.group=y", "--family", "vae", *TINY)
    assert "no example fell to those to choose by" in said.out  # the hash of "a" is one to train on


def test_a_group_that_holds_all_leaves_nothing_to_train_on() -> None:
    for value in map(str, range(100)):  # the first that its hash holds out
        table(Path("data.csv"), [(x, value, z) for x, _, z in ROWS])
        said = call("train", "data.csv", "--set", "data.group=y", "--family", "vae", *TINY)
        if said.code:
            break
    assert "nothing to train on" in said.err
    assert "'y'" in said.err


def test_a_name_that_is_no_text() -> None:
    pictures(Path("data"), 30)
    os.rename(b"data/003.png", b"data/caf\xe9.png")
    Path(os.fsdecode(b"data/bad\xe9.png")).write_bytes(b"hello")
    assert "bad: bad" in done("look", "data", "--size", "xs").out
    done("train", "data", "--family", "vae", *TINY)
    done("train", "--resume", "runs/data-vae", "--steps", "4")


def test_a_label_can_hold_any_letter() -> None:
    classes(Path("data"))
    Path("data/a").rename("data/猫 & =")
    done("train", "data", "--family", "vae", *TINY)
    done("sample", "runs/data-vae", "-n", "2", "--given", "label=猫 & =", "--out", "out")
    assert Path("out/labels.csv").read_text(encoding="utf-8").splitlines()[1].endswith("猫 & =")


def test_pictures_beside_a_class_folder_are_not_dropped(tmp_path: Path) -> None:
    loose(tmp_path / "data")
    said = done("look", tmp_path / "data").out
    assert "6 pictures" in said
    assert "labels that can be given: label" in said
    refused("train", tmp_path / "data", "--label", "label", words=["'label'", '--label ""'])
