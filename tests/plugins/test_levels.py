"""A package of another's own: a module and an entry point are all that it takes to train on levels of a game."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genwright
from genwright import registry
from genwright.data.codec import Rows
from genwright.data.source import find
from genwright.errors import DataError
from genwright.evaluation.extractors import learned
from genwright.registry import names, resolve
from genwright.space import Space, Symbol
from genwright.testing import check_codec, check_field
from genwright.testing.codecs import CODEC, CodecCase
from genwright.testing.contract import registered
from genwright.testing.fields import FIELD, FittedField

FOLDER = Path(__file__).parent / "levels"


@pytest.fixture(autouse=True)
def _installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The package is on the path, and its metadata says what it offers."""
    point = EntryPoint("levels", "levels:LevelCodec", "genwright.codecs")
    monkeypatch.setattr(registry, "entry_points", lambda group: [point] if group == point.group else [])
    monkeypatch.syspath_prepend(str(FOLDER))
    registry._table.cache_clear()
    yield
    registry._table.cache_clear()
    sys.modules.pop("levels", None)


def levels(folder: Path, n: int) -> Path:
    """Ground below, sky above, a platform at the same height in every column that has one."""
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True)
    for i in range(n):
        rows = [[".", "#"][y == 5] * 8 for y in range(6)]
        at = int(rng.integers(0, 6))
        rows[2] = "." * at + "==" + "." * (6 - at)
        rows[4] = "".join(rng.choice([".", "o"], 8, p=[0.7, 0.3]))
        (folder / f"{i:05d}.txt").write_text("\n".join(rows) + "\n")
    return folder


def test_it_is_small_and_the_package_knows_nothing_of_it() -> None:
    code = (FOLDER / "levels.py").read_text().splitlines()
    assert len([line for line in code if line.strip()]) <= 60
    assert "levels" not in registry.KINDS["codecs"]
    assert names("codecs")[-1] == "levels"


def test_it_keeps_the_contract() -> None:
    check_codec("levels", levels, many=100)
    check_codec(resolve("codecs", "levels"), levels, many=100)


def test_levels_are_told_from_texts(tmp_path: Path) -> None:
    assert find(levels(tmp_path / "some", 4)).codec == "levels"
    assert find(tmp_path / "some", "text").codec == "text"
    (tmp_path / "some" / "letter.txt").write_text("Dear all,\nhow are you?\n")
    assert find(tmp_path / "some").codec == "text"
    (tmp_path / "some" / "rows.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match=r"mix of 4 levels and 1 text and 1 table.*codec\.name=levels"):
        find(tmp_path / "some")


def test_from_files_to_files_and_a_verdict(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 6)
    source = levels(tmp_path / "mario", 240)
    brief = ("train.checks=1", "train.samples=2")
    model = genwright.train(source, size="xs", steps=60, out=tmp_path / "run", seed=1, settings=brief)
    assert model.recipe.family.name == "masked"
    again = genwright.load(tmp_path / "run")
    made = again.sample(30, seed=2)
    files = made.write(tmp_path / "made")
    assert files[0].name == "levels.txt"
    assert find(tmp_path / "made").codec == "levels"
    assert len(find(tmp_path / "made").files) == 30
    ground = np.mean([level.split("\n")[5].count("#") / 8 for level in made.examples])
    sky = np.mean([level.split("\n")[0].count(".") / 8 for level in made.examples])
    assert ground > 0.8
    assert sky > 0.8
    assert model.sample(30, seed=2).examples == made.examples
    report = genwright.judge(tmp_path / "run", n=20)
    assert report.claims
    assert {"kid", "exact_copies"} <= {line.metric for line in report.results}


# -- every law can be broken -----------------------------------------------------------------------


def faulty_field(law: str) -> type[Any]:
    """The field of levels, with one fault."""
    field: Any = resolve("codecs", "levels").field_types[0]
    others = Space((6, 8), (Symbol(2),))

    def fit(self: Any, values: Any) -> None:
        field.fit(self, values)
        self.last = len(values)

    faults: dict[str, dict[str, Any]] = {
        "examples-are-of-its-space": {"space": property(lambda self: others)},
        "round-trip": {"decode": lambda self, x, parts=None: field.decode(self, x[:, :, ::-1])},
        "state-is-json": {"state": lambda self: {"alphabet": self.alphabet[::-1], "size": self.size}},
        "chunks-do-not-matter": {
            "fit": fit,
            "state": lambda self: field.state(self) | {"last": self.last},
        },
        "values-by-themselves": {
            "encode": lambda self, values: field.encode(self, values) // len(values),
        },
        "take-and-join": {"take": lambda self, values, index: [values[i] for i in index[::-1]]},
        "what-it-learnt-is-known": {"known": lambda self, values: [False] * len(values)},
        "without-a-part": {
            "parts": ("ground",),
            "without": lambda self, names: faulty_field("examples-are-of-its-space")(),
        },
        "variation-keeps-the-space": {
            "augment": lambda self, x, rng: torch.rand(x.shape).round().long()
        },
        "facts-are-json": {"facts": lambda self: {"rare": float("nan")}},
    }
    return type("Faulty", (field,), faults[law])


def test_the_field_of_levels_keeps_the_contract(tmp_path: Path) -> None:
    values = [file.read_text().strip() for file in sorted(levels(tmp_path / "some", 20).iterdir())]
    check_field(resolve("codecs", "levels").field_types[0], values)


@pytest.mark.parametrize("law", FIELD.laws)
def test_a_faulty_field_breaks_the_law(tmp_path: Path, law: str) -> None:
    values = [file.read_text().strip() for file in sorted(levels(tmp_path / "some", 20).iterdir())]
    with pytest.raises(AssertionError, match=f"field Faulty breaks the law '{law}'"):
        FIELD.hold(law, FittedField(faulty_field(law), values), "Faulty")


def faulty_codec(law: str) -> type[Any]:
    """The codec of levels, with one fault."""
    codec: Any = resolve("codecs", "levels")
    wrong = faulty_field("round-trip")

    def read(self: Any, source: Any, fields: Any, options: Any = None) -> Iterator[Rows]:
        chunks = list(codec.read(self, source, fields))  # which is the fault where memory is measured
        if law == "rows-agree":
            chunks[0].keys.append("one more")
        if law == "reading-is-pure":
            self.turn = -getattr(self, "turn", 1)
            chunks = chunks[:: self.turn]
        if law == "keys-are-of-content":
            chunks[0].keys = [str(source.root)]
        if law == "damage-stays-where-it-is" and any(rows.rejected for rows in chunks):
            chunks = chunks[3:]
        yield from chunks

    def write(self: Any, values: Any, *rest: Any, **columns: Any) -> list[Path]:
        return codec.write(self, {"level": values["level"][1:]}, *rest, **columns)

    faults: dict[str, dict[str, Any]] = {
        "its-files-are-found": {"sniff": classmethod(lambda cls, files: 0.1 * bool(files))},
        "fields-are-declared": {"field_types": ()},
        "fields-keep-their-contract": {"fields": lambda self, source, options=None: {"level": wrong()}},
        "its-fields-are-restored": {"restored": lambda self, state: codec.field_types[0]()},
        "what-is-written-is-a-source": {"write": write},
        "examples-can-be-looked-at": {"preview": lambda self, *values, **columns: None},
    }
    made = type("Faulty", (codec,), faults.get(law, {"read": read}) | {"__module__": "levels"})
    sys.modules["levels"].Faulty = made
    return made


@pytest.mark.parametrize("law", [law for law in CODEC.laws if law != "what-is-beside-comes-back"])
def test_a_faulty_codec_breaks_the_law(tmp_path: Path, law: str) -> None:
    with registered("codecs", faulty_codec(law)) as name:
        case = CodecCase(name, levels, tmp_path, many=100)
        with pytest.raises(AssertionError, match=f"codec faulty breaks the law '{law}'"):
            CODEC.hold(law, case, name)


def test_an_exception_is_declared_and_is_one_to_a_law_that_there_is() -> None:
    made = faulty_codec("examples-can-be-looked-at")
    made.sniff = classmethod(lambda cls, files: 0.95 * bool(files))  # beside the one that is installed
    with pytest.raises(AssertionError, match="'examples-can-be-looked-at'"):
        check_codec(made, levels, many=100)
    made.contract_exceptions = frozenset({"examples-can-be-looked-at"})
    check_codec(made, levels, many=100)
    made.contract_exceptions = frozenset({"examples-can-be-look-at"})
    with pytest.raises(AssertionError, match="there is no law 'examples-can-be-look-at' of a codec"):
        check_codec(made, levels, many=100)
    assert names("codecs")[-1] == "levels"
