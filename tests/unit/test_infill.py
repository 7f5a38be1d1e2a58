"""Gaps from a person's words to examples: what a field makes of them, and what comes back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from commands import TINY, done, refused, table, text
from genwright.data.audio.field import ClipField
from genwright.data.columns.infer import fit_column
from genwright.data.dataset import make_codec
from genwright.data.source import find
from genwright.data.table.field import RowField
from genwright.data.text.field import TextField
from genwright.errors import DataError, Unsupported


def prose(*documents: str, length: int = 12, layout: str = "documents") -> TextField:
    field = TextField(length=length, layout=layout)  # type: ignore[arg-type]
    field.fit(list(documents))
    field.settle()
    return field


def test_a_text_with_gaps() -> None:
    field = prose(*["to be or not_"] * 9, length=14)
    x, known, length = field.partial(["be __ not\\_"])
    assert length is None
    assert field.decode(x.numpy()) == ["be "], "a gap holds the sign of the end until it is filled"
    assert known[0, 0].tolist() == [1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1], "a document ends with it"
    filled = torch.where(known, x, field.prompt("o")[0])
    assert field.decode(filled.numpy()) == ["be oo not_"]
    several = field.partial(["be __ not\\_", "_o be"])
    assert torch.equal(several.x[:1], x)
    assert torch.equal(several.known[:1], known)
    assert not several.known[1, 0, 0]
    stream = prose("to be or not " * 9, layout="stream")
    _, known, length = stream.partial(["_be_"])
    assert length == 4
    assert known[0, 0].tolist() == [0, 1, 1, 0] + [0] * 9, "a stream may go on behind it"


def test_the_sign_of_a_gap_is_no_character_that_training_has_not_seen() -> None:
    field = prose(*["to be or not"] * 9)
    assert field.cautions(["to __ or"], partial=True) == []
    (said,) = field.cautions(["to __ zr \\_"], partial=True)
    assert said.endswith(": '_' 'z'")
    (said,) = field.cautions(["to __"])
    assert said.endswith(": '_'")


@pytest.mark.parametrize("wrong", ["be or not", "", "a line \\_", 7, {"text": "a_"}])
def test_a_text_without_gaps_is_refused(wrong: object) -> None:
    with pytest.raises(DataError, match=r"a _ for each character to be made, for example To be ___ not"):
        prose(*["to be or not"] * 9).partial([wrong])


def test_a_text_too_long_is_refused() -> None:
    with pytest.raises(DataError, match=r"infill has 12 symbols and an example of this model 11"):
        prose(*["to be or n"] * 9, length=12).partial(["_" * 12])


@pytest.fixture
def row(tmp_path: Path) -> RowField:
    lines = [(i % 7 + 0.5, "abc"[i % 3], "" if i % 5 == 0 else i % 4, "k") for i in range(80)]
    codec = make_codec("table", {})
    source = find(str(table(tmp_path / "rows.csv", lines, head="x,y,z,one")), "auto")
    field = codec.fields(source)["row"]
    for chunk in codec.read(source, {"row": field}):
        field.fit(chunk.values["row"])
    field.settle()
    assert isinstance(field, RowField)
    return field


def test_columns_that_are_known(row: RowField) -> None:
    for column, value, written in (("y", "b", "b"), ("x", 2.5, "2.5"), ("x", "2.5", "2.5")):
        x, known, length = row.partial([{column: value}])
        assert length is None
        row.space.check(x)
        assert x.shape == known.shape
        assert 0 < known.sum() < known.numel()
        assert str(row.decode(x.numpy())[column][0]) == written
    assert row.decode(row.partial([{"z": None}]).x.numpy())["z"][0] == ""  # where some are missing
    x, known, _ = row.partial([{"y": "b"}, {"x": 2.5}])
    assert not (known[0] & known[1]).any()
    assert row.decode(x.numpy())["y"][0] == "b"


def test_a_column_that_is_given_is_no_gap(row: RowField) -> None:
    with pytest.raises(DataError, match=r"infill cannot hold 'y': give it with --given y="):
        row.without(("y",)).partial([{"y": "b"}])
    x, known, _ = row.without(("x",)).partial([{"y": "b"}])
    assert x.shape[1] == row.without(("x",)).space.stored
    assert str(row.without(("x",)).decode(x.numpy())["y"][0]) == "b"
    assert known.any()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ("b", "columns that are known, as JSON"),
        ({}, "columns that are known, as JSON"),
        ({"w": 1}, "cannot hold 'w'"),
        ({"one": "k"}, "a constant is written back"),
        ({"y": "d"}, "no 'd' among the values of 'y'; known: a, b, c"),
        ({"y": None}, "no None among the values of 'y'"),
        ({"y": ["a"]}, "one value for 'y'"),
    ],
)
def test_columns_that_cannot_be_are_refused(row: RowField, wrong: object, words: str) -> None:
    with pytest.raises(DataError, match=words):
        row.partial([wrong])


def test_numbers_outside_of_what_was_learnt_are_refused() -> None:
    column = fit_column("age", [str(i % 60 + 18.25 + i / 1000) for i in range(500)])
    (back,) = column.decode(column.exactly("30")[None], np.random.default_rng(0))
    assert float(back) == pytest.approx(30, abs=0.1)
    for wrong, words in (
        ("500", "'500' is outside of what 'age' was learnt from"),
        ("old", "'old' is not"),
    ):
        with pytest.raises(DataError, match=words):
            column.exactly(wrong)


def test_a_field_without_gaps_says_so() -> None:
    with pytest.raises(Unsupported, match="a picture, a text or a row of a table") as error:
        ClipField().partial(["a_"])
    assert error.value.code == "no-gaps"


def test_from_the_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text(tmp_path / "fox.txt")
    small = ("--set", "codec.length=16", *TINY)
    done("train", "fox.txt", "--family", "masked", "--out", "fox", *small)
    done("sample", "fox", "-n", "3", "--set", "infill=the ___ fox", "--out", "made")
    lines = Path("made/samples.txt").read_text(encoding="utf-8").splitlines()
    assert [len(line) for line in lines[1::3]] == [11, 11, 11]
    assert all(line.startswith("the ") and line.endswith(" fox") for line in lines[1::3])
    refused("sample", "fox", "--set", "infill=the fox", words=["a _ for each character"])
    refused("sample", "fox", "--set", "prompt=the", words=["masked", "prompt"])
    done("train", "fox.txt", "--out", "left", *small)
    done("sample", "left", "-n", "2", "--set", "infill=the qu___", "--out", "on")
    assert "the qu" in Path("on/samples.txt").read_text(encoding="utf-8")
    refused("sample", "left", "--set", "infill=t_e", words=["what comes first", "--family masked"])
    table(tmp_path / "rows.csv")
    done("train", "rows.csv", "--family", "masked", "--label", "", "--out", "row", *TINY)
    done("sample", "row", "-n", "4", "--set", 'infill={"y": "b", "x": 0.5}', "--out", "some")
    head, *body = Path("some/samples.csv").read_text().splitlines()
    assert head == "x,y,z"
    assert all(line.startswith("0.5,b,") for line in body)
    done("train", "rows.csv", "--family", "vae", "--label", "", "--out", "vae", *TINY)
    refused("sample", "vae", "--set", 'infill={"y": "b"}', words=["vae makes whole examples", "masked"])
