"""A list of objects in a `.json` is read as the JSON lines that it could be."""

from __future__ import annotations

import gzip
import json
import random
from pathlib import Path

import pytest
from PIL import Image

import genwright
from genwright.data import json_array
from genwright.data.packed import is_array, open_unpacked, suffix
from genwright.errors import DataError

ROWS = [
    {
        "age": 20 + i % 50,
        "who": {"name": f"Zoë \u2028 {i % 3}", "ok": i % 2 == 0},
        "x": i / 7,
        "of": ["a"] * (i % 2),
    }
    for i in range(300)
]


@pytest.mark.parametrize("form", [{}, {"indent": 2}, {"ensure_ascii": False, "indent": 1}])
@pytest.mark.parametrize("block", [1, 7, 1 << 18])
def test_each_object_is_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: dict[str, int], block: int
) -> None:
    monkeypatch.setattr(json_array, "_BLOCK", block)
    file, text = tmp_path / "a.json", json.dumps(ROWS[:20], **form)
    for mark in ("", "\ufeff"):
        file.write_text(mark + text, encoding="utf-8", newline="\r\n")
        with open_unpacked(file) as stream:
            lines = list(stream)
        assert [json.loads(line) for line in lines] == ROWS[:20]
    packed = tmp_path / "a.json.gz"
    packed.write_bytes(gzip.compress(text.encode()))
    with open_unpacked(packed) as stream:
        assert [json.loads(line) for line in stream] == ROWS[:20]
    assert (suffix(file), suffix(packed)) == (".jsonl", ".jsonl.gz")


@pytest.mark.parametrize("text", ['{"a": 1}', "[1, 2]", "[]", "", "no JSON", '{"a": 1}\n{"a": 2}\n'])
def test_what_is_no_list_of_objects_stays_what_it_is(tmp_path: Path, text: str) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    assert not is_array(file)
    assert suffix(file) == ".json"
    with open_unpacked(file) as stream:
        assert stream.read() == text.encode()
    with pytest.raises(DataError, match=r"a list of objects, \[\{\.\.\.\}, \{\.\.\.\}\]"):
        genwright.look(file)


def test_from_a_list_to_rows_and_gaps_that_are_filled(tmp_path: Path) -> None:
    file = tmp_path / "people.json"
    file.write_text(json.dumps(ROWS, indent=2), encoding="utf-8")
    settings = ["train.samples=0", "train.checks=1"]
    model = genwright.train(
        file, family="anyorder", size="xs", steps=2, out=tmp_path / "run", settings=settings
    )
    labels = genwright.look(file).available_labels
    assert labels == ["age", "who.name", "who.ok", "x", "of"]
    model.sample(3).write(tmp_path / "made")
    made = [
        json.loads(line)
        for line in (tmp_path / "made" / "samples.jsonl").read_text("utf-8").strip().split("\n")
    ]
    assert [one.keys() for one in made] == 3 * [ROWS[0].keys()]
    gaps = tmp_path / "gaps.json"
    gaps.write_text(json.dumps([{**ROWS[0], "age": None}, ROWS[1]], indent=2), encoding="utf-8")
    genwright.apply(tmp_path / "run", gaps).write(tmp_path / "filled")
    first, second = map(
        json.loads, (tmp_path / "filled" / "samples.jsonl").read_text("utf-8").strip().split("\n")
    )
    assert first["age"] is not None
    assert ({**first, "age": 0}, second) == ({**ROWS[0], "age": 0}, ROWS[1])


@pytest.mark.parametrize(
    ("text", "which"), [('[{"a": 1}, {"a": ', 2), ('[{"a": 1} {"a": 2}, nonsense]', 3)]
)
def test_a_list_that_is_cut_off_or_none_is_named(tmp_path: Path, text: str, which: int) -> None:
    file = tmp_path / "a.json"
    file.write_text(text)
    with pytest.raises(
        DataError, match=rf"a\.json cannot be read.* object {which} of its list is no JSON"
    ):
        genwright.look(file)


def test_a_list_beside_pictures_says_what_they_are(tmp_path: Path) -> None:
    rng, rows = random.Random(0), list[dict[str, str]]()
    for i in range(20):
        Image.new("L", (8, 8), rng.randrange(256)).save(tmp_path / f"{i}.png")
        rows.append({"file_name": f"{i}.png", "kind": "ab"[i % 2]})
    (tmp_path / "labels.json").write_text(json.dumps(rows, indent=1))
    assert genwright.look(tmp_path).available_labels == ["kind"]
