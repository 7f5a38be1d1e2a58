"""A model applied to files: of any size, to the byte where they are kept, and the rest goes on where one is bad."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import genwright
from commands import TINY, call, done, pictures, refused, table
from genwright.errors import RecipeError


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`fill` completes rows, `sharp` makes pictures twice as fine, `hole` fills in pictures."""
    folder = tmp_path_factory.mktemp("applying")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [(i % 7 + 0.5, "abc"[i % 3], "" if i % 3 == 0 else i % 4) for i in range(90)]
        table(folder / "rows.csv", rows)
        pictures(folder / "faces", 24)
        done(
            "train",
            "rows.csv",
            "--task",
            "complete",
            "--family",
            "vae",
            "--label",
            "",
            "--out",
            "fill",
            *TINY,
        )
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
