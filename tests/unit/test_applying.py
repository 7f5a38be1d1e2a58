"""A model applied to files: of any size, to the byte where they are kept, and the rest goes on where one is bad."""

from __future__ import annotations

import io
import json
import re
import signal
import sys
import weakref
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genwright
from commands import TINY, call, done, pictures, refused, table
from genwright.cli import console
from genwright.data.codec import Rejected
from genwright.data.image.field import ImageField
from genwright.errors import RecipeError
from genwright.model import Samples
from genwright.pipeline import Asked
from genwright.tiled import Tiled
from genwright.writing import ApplyWriter


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`fill` completes rows, `named` those of a given `y`, `sharp` makes pictures twice as fine, `hole` fills in
    pictures, `answer` makes texts of texts, and `draw` pictures."""
    folder = tmp_path_factory.mktemp("applying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [(i % 7 + 0.5, "abc"[i % 3], "" if i % 3 == 0 else i % 4) for i in range(90)]
        table(folder / "rows.csv", rows)
        pictures(folder / "faces", 24)
        for label, out in (("", "fill"), ("y", "named")):
            task = ("--task", "complete", "--family", "vae", "--label", label)
            done("train", "rows.csv", *task, "--out", out, *TINY)
        turns = [{"prompt": f"say {i}", "completion": f"{i} it is"} for i in range(60)]
        Path("turns.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns))
        task = ("--task", "pair", "--make", "completion", "--given", "prompt")
        done("train", "turns.jsonl", *task, "--family", "autoregressive", "--out", "answer", *TINY)
        for file in pictures(folder / "shades", 24).glob("*.png"):
            file.with_suffix(".txt").write_text(f"shade {file.stem}")
        task = ("--task", "pair", "--given", "caption", "--family", "vae")
        done("train", "shades", *task, "--out", "draw", *TINY)
        for how, out in (("super-resolution", "sharp"), ("inpaint", "hole")):
            task = ("--task", "restore", "--set", f"task.how={how}")
            done("train", "faces", *task, "--family", "vae", "--label", "", "--out", out, *TINY)
        yield folder


@pytest.fixture
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


GAPS = b'\xef\xbb\xbfx,y,z\r\n0.5,"a",\r\n,b,2\r\n1.5, ,1\r\n2.5,"new",NA\r\n\r\n3.5,c,3'


def test_gaps_of_a_table_are_filled_and_the_rest_is_the_same_to_the_byte(there: Path) -> None:
    Path("gaps.csv").write_bytes(GAPS)
    said = call("apply", "fill", "gaps.csv", "--out", "filled")
    assert said.code == 0, said
    assert "has not seen 'new' in the column 'y': it counts as unknown" in said.err
    made = Path("filled/gaps.csv").read_bytes()
    lines, before = made.split(b"\r\n"), GAPS.split(b"\r\n")
    assert (lines[0], lines[5], lines[6]) == (before[0], before[5], before[6])
    assert lines[1].startswith(b'0.5,"a",')
    assert lines[1][-1:] in b"0123"
    assert lines[2].endswith(b",b,2")
    assert float(lines[2].split(b",")[0]) > 0
    assert lines[4].startswith(b'2.5,"new",')
    assert lines[4][-1:] in b"0123"
    again = genwright.apply("fill", "gaps.csv").examples
    assert again["x"].tolist()[1] == lines[2].split(b",")[0].decode()


def test_several_imputations_are_numbered_and_differ(there: Path) -> None:
    Path("many.csv").write_text("x,y,z\n" + ",,\n" * 20)
    done("apply", "fill", "many.csv", "--draws", "2", "--out", "several")
    one, two = (Path(f"several/many-{i}.csv").read_text() for i in (1, 2))
    assert one != two
    assert ",," not in one + two


def test_a_column_that_a_table_lacks_is_made_behind_the_others(there: Path) -> None:
    Path("narrow.csv").write_text("x,z\n0.5,1\n1.5,2\n")
    said = call("apply", "fill", "narrow.csv", "--out", "wider")
    assert "narrow.csv has no column 'y': it is made" in said.err
    head, *rows = Path("wider/narrow.csv").read_text().splitlines()
    assert head == "x,z,y"
    assert [row[:-1] for row in rows] == ["0.5,1,", "1.5,2,"]
    assert {row[-1] for row in rows} <= {*"abc"}


def test_bad_files_are_named_and_the_rest_goes_on(there: Path) -> None:
    pictures(Path("mine/deep"), 2)
    Path("mine/deep/bad.png").write_bytes(b"no picture")
    Path("note.txt").write_text("words")
    said = call("apply", "sharp", "mine", "note.txt", "no.png", "--out", "tree")
    assert said.code == 3
    assert all(word in said.err for word in ("deep/bad.png", "note.txt is no image data", "no.png"))
    assert "Made 2 in tree" in said.out
    assert "left out 3" in said.out
    assert sorted(p.name for p in Path("tree/deep").iterdir()) == ["000.png", "001.png"]
    before = Path("tree/deep/000.png").read_bytes()
    refused("apply", "sharp", "mine", "--seed", "9", "--out", "tree", words=["deep/"])
    assert Path("tree/deep/000.png").read_bytes() == before, "nothing is overwritten"
    refused("apply", "sharp", "note.txt", "--out", "none", words=["note.txt", "no image data"])


@pytest.mark.parametrize("size", [(3, 2), (4, 4), (61, 33)])
def test_pictures_of_any_size(there: Path, size: tuple[int, int]) -> None:
    Image.fromarray(np.full(size[::-1], 90, np.uint8)).save("any.png")
    done("apply", "sharp", "any.png", "--out", f"any-{size[0]}")
    with Image.open(f"any-{size[0]}/any.png") as made:
        assert made.size == (2 * size[0], 2 * size[1])


def test_a_mask_says_where_something_is_made(there: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30), dtype=np.uint8)
    mask = np.zeros((20, 30), np.uint8)
    mask[5:9, 4:12] = 255
    Image.fromarray(pixels).save("whole.png")
    Image.fromarray(mask).save("mask.png")
    done("apply", "hole", "whole.png", "--mask", "mask.png", "--out", "masked")
    with Image.open("masked/whole.png") as picture:
        made = np.asarray(picture)
    assert (made[mask == 0] == pixels[mask == 0]).all()
    assert (made[mask > 0] != pixels[mask > 0]).any()
    Image.fromarray(mask[:10]).save("small.png")
    refused(
        "apply", "hole", "whole.png", "--mask", "small.png", "--out", "m2", words=["30 x 10", "30 x 20"]
    )


def test_what_is_made_cannot_be_given(there: Path) -> None:
    with pytest.raises(RecipeError) as error:
        genwright.apply("sharp", "faces", {"image": "faces/000.png"})
    assert error.value.code == "given-twice"


# -- rows ------------------------------------------------------------------------------------------


def test_a_line_of_json_keeps_its_order_and_its_other_keys(there: Path) -> None:
    lines = ['{"z": 1, "more": "kept", "y": null, "x": 0.5}', "no json", '{"x":1.5,"y":"a","z":2}']
    Path("lines.jsonl").write_text("\n".join(lines))
    said = call("apply", "fill", "lines.jsonl", "--out", "lines")
    assert said.code == 3, said
    assert "line 2" in said.err
    first, *others = Path("lines/lines.jsonl").read_text().split("\n")
    assert others == lines[1:]
    made = json.loads(first)
    assert list(made) == ["z", "more", "y", "x"]
    assert made.pop("y") in {*"abc"}
    assert made == {"z": 1, "more": "kept", "x": 0.5}


def test_a_table_goes_to_the_file_that_is_named(there: Path) -> None:
    Path("gaps.csv").write_text("x,y,z\n0.5,,1\n")
    assert "filled.csv" in done("apply", "fill", "gaps.csv", "--out", "there/filled.csv").out
    assert Path("there/filled.csv").read_text().startswith("x,y,z\n0.5,")
    refused("apply", "fill", "gaps.csv", "--out", "there/filled.csv", words=["exists"])
    Path("more.csv").write_text("x,y,z\n0.5,,1\n")
    for files, out in (
        (["gaps.csv", "more.csv"], "both.csv"),
        (["gaps.csv"], "filled.parquet"),
        (["gaps.csv", "--draws", "2"], "two.csv"),
    ):
        refused("apply", "fill", *files, "--out", out, words=[out, "names a file", "name a folder"])
        assert not Path(out).exists()
    refused(
        "apply", "sharp", "faces/000.png", "--out", "large.png", words=["names a file", "such as large"]
    )


def test_a_gap_within_an_object_of_json_is_filled_there() -> None:
    rows = [
        {"user": {"age": 20 + k % 9, "of": ["Bern", "Oslo"][k % 2]}, "by": ["a", "b"][: 1 + k % 2]}
        for k in range(60)
    ]
    Path("people.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done("train", "people.jsonl", "--family", "masked", "--out", "nested", *TINY)
    lines = [
        '{"user": {"of": null, "age": 21, "id": 7}, "by": ["a"]}',
        '{"user": {"age": 22, "of": "Oslo"}, "by": null}',
    ]
    Path("gaps.jsonl").write_text("\n".join(lines))
    done("apply", "nested", "gaps.jsonl", "--out", "filled")
    first, second = map(json.loads, Path("filled/gaps.jsonl").read_text().splitlines())
    assert first["user"].pop("of") in {"Bern", "Oslo"}
    assert first == {"user": {"age": 21, "id": 7}, "by": ["a"]}
    assert second.pop("by") in [["a"], ["a", "b"]]
    assert second == {"user": {"age": 22, "of": "Oslo"}}


def test_columns_that_blanks_part_stay_where_they_are(there: Path) -> None:
    lines = ["x    y  z", "0.5   a    1", "1.5      ?   3", "2.5   c       NA"]
    Path("wide.csv").write_text("\n".join(lines) + "\n")
    said = call("apply", "fill", "wide.csv", "--out", "wide")
    assert said.code == 0, said
    assert "separated by two or more blanks" in said.err
    made = Path("wide/wide.csv").read_text().splitlines()
    assert made[:2] == lines[:2]
    assert re.fullmatch("1.5      [abc]   3", made[2])
    assert re.fullmatch("2.5   c       [0-3]", made[3])


def test_a_column_that_is_given_is_read_from_the_file(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    plain = genwright.model.Model.drawn_values

    def drawn(model: genwright.model.Model, n: int, what: Asked, *more: Any) -> Any:
        asked.append(list(what.values["y"]))
        return plain(model, n, what, *more)

    monkeypatch.setattr(genwright.model.Model, "drawn_values", drawn)
    Path("given.csv").write_text("x,y,z\n,a,1\n,c,2\n,new,3\n")
    said = call("apply", "named", "given.csv", "--out", "given")
    assert said.code == 0, said
    assert "'y' is given in this run: in 1 rows it is missing or new, and was drawn" in said.err
    assert asked[0][:2] == ["a", "c"]
    assert asked[0][2] in {*"abc"}
    rows = [line.split(",") for line in Path("given/given.csv").read_text().splitlines()]
    assert [row[1:] for row in rows] == [["y", "z"], ["a", "1"], ["c", "2"], ["new", "3"]]
    assert all(float(row[0]) for row in rows[1:])
    done("apply", "named", "given.csv", "--given", "y=b", "--out", "given-b")
    assert asked[1] == ["b"] * 3


# -- what is named ---------------------------------------------------------------------------------


def test_an_archive_is_the_folder_in_it(there: Path) -> None:
    for name in "ab":
        pictures(Path("packed", name), 2)
    Path("packed/b/bad.png").write_bytes(b"no picture")
    with zipfile.ZipFile("packed.zip", "w") as archive:
        for file in sorted(Path("packed").rglob("*.png")):
            archive.write(file, file.relative_to("packed"))
    for source in ("packed", "packed.zip"):
        said = call("apply", "sharp", source, "--out", f"made-of-{source}")
        assert said.code == 3
        assert "bad.png" in said.err
    folder, archived = (
        {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*.png")}
        for root in (Path("made-of-packed"), Path("made-of-packed.zip"))
    )
    assert sorted(archived) == [f"{name}/00{i}.png" for name in "ab" for i in (0, 1)]
    assert archived == folder


def test_files_of_another_kind_are_passed_over_and_counted(there: Path) -> None:
    pictures(Path("mixed"), 1)
    for i in range(7):
        Path(f"mixed/note-{i}.txt").write_text("words")
    said = call("apply", "sharp", "mixed", "--out", "mixed-made")
    assert said.code == 0, said
    names = ", ".join(f"note-{i}.txt" for i in range(5))
    assert said.err == f"passed over 7 files that are no image data in mixed: {names}, ...\n"
    assert "Made 1 in" in said.out
    Path("mixed-rows").mkdir()
    table(Path("mixed-rows/one.csv"), [(0.5, "a", "")])
    Path("mixed-rows/one.png").write_bytes(b"")
    said = call("apply", "fill", "mixed-rows", "--out", "mixed-rows-made")
    assert said.err == "passed over 1 file that is no table data in mixed-rows: one.png\n"
    assert genwright.apply("fill", "mixed-rows").notes == [said.err.strip()]


def test_the_answer_cannot_be_given(there: Path) -> None:
    said = "'completion' is what this model makes, so that it cannot be given"
    how = ("apply", "answer", "turns.jsonl", "--given", "completion=x", "--out", "never")
    refused(*how, words=[said])
    assert not Path("never").exists()
    with pytest.raises(RecipeError) as error:
        genwright.apply("answer", "turns.jsonl", {"completion": "x"})
    assert error.value.code == "answer-given"


# -- on the way ------------------------------------------------------------------------------------


def test_what_is_made_when_it_is_stopped_stays(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = ApplyWriter.add

    def add(self: ApplyWriter, one: Samples | Rejected) -> None:
        plain(self, one)
        if self.made == 6:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(ApplyWriter, "add", add)
    before = signal.getsignal(signal.SIGINT)
    how = ("apply", "sharp", "faces", "--set", "chunk=3", "--out")
    said = call(*how, "stopped")
    assert said.code == 130, said
    assert "Made 6 in stopped" in said.out
    assert signal.getsignal(signal.SIGINT) is before
    made = {file.name: file.read_bytes() for file in Path("stopped").iterdir()}
    assert sorted(made) == [f"{i:03d}.png" for i in range(6)]
    monkeypatch.undo()
    monkeypatch.chdir(there)
    done(*how, "not-stopped")
    assert all(Path("not-stopped", name).read_bytes() == content for name, content in made.items())


def test_a_picture_that_is_stopped_within_is_not_written(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(Path("long"), 1, side=40)
    plain, calls = Tiled._strip, []

    def windows(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 3:
            signal.raise_signal(signal.SIGINT)
        return plain(*args)

    monkeypatch.setattr(Tiled, "_strip", windows)
    said = call("apply", "sharp", "long", "--out", "long-made")
    assert (said.code, len(calls)) == (130, 3)
    assert "Made 0 in long-made\n" in said.out
    assert not list(Path("long-made").glob("*"))


def test_a_picture_is_put_together_in_one_array_and_let_go(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures(Path("broad"), 2, side=40)
    plain, made = ImageField.whole, list[weakref.ref[Any]]()

    def whole(field: ImageField, parts: Any, size: int) -> Any:
        assert all(before() is None for before in made), "the last one is written and not kept"
        assert isinstance(parts, Iterator), "and no list of parts"
        out = plain(field, parts, size)
        made.append(weakref.ref(out))
        return out

    monkeypatch.setattr(ImageField, "whole", whole)
    done("apply", "sharp", "broad", "--draws", "2", "--out", "broad-made")
    assert len(made) == 4
    for name in ("000-1", "000-2", "001-1", "001-2"):
        with Image.open(f"broad-made/{name}.png") as picture:
            assert picture.size == (80, 80)


@pytest.mark.parametrize(
    ("run", "data", "draws", "total"),
    [("sharp", "faces", 1, 24), ("sharp", "large", 2, 2), ("fill", "rows.csv", 2, 90)],
)
def test_progress_goes_up_to_all_that_is_there(
    there: Path, monkeypatch: pytest.MonkeyPatch, run: str, data: str, draws: int, total: int
) -> None:
    pictures(Path("large"), 2, side=20)
    monkeypatch.setattr("genwright.applying.ROWS", 30)
    told, expected = list[float](), list[int]()

    @contextmanager
    def making(n: int) -> Iterator[Callable[[float], None]]:
        expected.append(n)
        yield told.append

    monkeypatch.setattr("genwright.cli.main.making", making)
    done("apply", run, data, "--draws", draws, "--set", "chunk=10", "--out", f"told-{Path(data).stem}")
    assert expected == pytest.approx([total], rel=0.02), "of rows it is about so many"
    assert told == sorted(told)
    assert told[-1] == total
    assert len(set(told)) >= 3


def test_a_line_of_progress_knows_parts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter((0.0, 4.0, 10.0, 20.0))
    monkeypatch.setattr("genwright.cli.console.time.monotonic", lambda: next(clock))
    report = console._making_lines(2)
    for made in (0.25, 0.5, 2):
        report(made)
    assert capsys.readouterr().out == "made 0 of 2 (25%)  0.05/s  30 s left\n"


# -- standard input --------------------------------------------------------------------------------


def _pipe(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_text_from_standard_input(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, b"\xef\xbb\xbfsay 7\n")
    said = call("apply", "answer", "-", "--seed", "3")
    assert (said.code, said.err) == (0, ""), said
    Path("seven.txt").write_text("say 7")
    done("apply", "answer", "seven.txt", "--seed", "3", "--out", "seven")
    assert said.out == Path("seven/seven.txt").read_text() + "\n"
    assert not Path("answer/samples/applied").exists()
    _pipe(monkeypatch, b"say 7")
    done("apply", "answer", "-", "--seed", "3", "--out", "piped")
    assert Path("piped/stdin.txt").read_text() == Path("seven/seven.txt").read_text()
    _pipe(monkeypatch, "say \N{SNOWMAN}".encode())
    said = call("apply", "answer", "-")
    assert "training has not seen" in said.err
    assert "training has not seen" not in said.out


def test_what_is_no_text_goes_to_a_file(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, b"shade 003")
    said = done("apply", "draw", "-")
    file = Path("draw/samples/applied/stdin.png")
    assert said.out == f"Made 1 in {file.parent}; see {file}\n"
    with Image.open(file) as picture:
        assert picture.size == (8, 8)


def test_standard_input_that_is_no_text(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _pipe(monkeypatch, b" \n")
    refused("apply", "answer", "-", words=["standard input holds no text", "echo TEXT |"])
    monkeypatch.setattr(sys, "stdin", None)
    refused("apply", "answer", "-", words=["standard input holds no text"])
    _pipe(monkeypatch, b"\xff\xfe\xff")
    refused("apply", "answer", "-", words=["no text in UTF-8"])
    for run, kind in (("sharp", "image"), ("fill", "table")):
        refused("apply", run, "-", words=["is no text", f"name {kind} files instead of -"])
    refused("apply", "answer", "-", "turns.jsonl", words=["by itself"])
