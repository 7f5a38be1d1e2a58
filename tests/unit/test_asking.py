"""What a person asks for: refused where training has not seen it, warned of where it hardly has."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genwright
from commands import TINY, call, done, refused, table
from genwright.cli.parse import conditions
from genwright.data.columns.field import ColumnField
from genwright.data.columns.infer import fit_column
from genwright.data.table.codec import TableCodec
from genwright.data.table.field import RowField
from genwright.data.table.frames import TableFormat
from genwright.data.text.field import TextField
from genwright.errors import DataError, RecipeError
from genwright.model import Model

DAYS = [date(2024, 1, 1) + timedelta(days=k) for k in range(300)]


def label(values: list[Any]) -> ColumnField:
    field = ColumnField("c")
    field.fit(values)
    field.settle()
    return field


# -- values that training has not seen -------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "wrong", "words"),
    [
        (["cat", "dog"] * 20, "cot", "there is no 'cot' among the values of 'c'; did you mean 'cat'?"),
        ([str(k % 7) for k in range(60)], "9", "'9' is outside of what 'c' was learnt from: 0 to 6"),
        ([1, 2, 3, 5, 8] * 9, 6, "there is no 6 among the values of 'c'; the nearest are 5 and 8"),
        ([f"{k / 7:.3f}" for k in range(500)], "99", "'99' is outside .*: 0.000 to 71.286"),
        ([f"{k / 7:.3f}" for k in range(500)], "-inf", "'-inf' is not a value .* one of 0.000 to 71.286"),
        ([f"{k / 7:.3f}" for k in range(500)], "", "'' is not a value of 'c'; wanted one of 0.000"),
        ([str(3 * k) for k in range(2000)], "-1", "'-1' is outside of .*: 0 to 5997"),
        ([str(3 * k) for k in range(2000)], "3.5", "no '3.5' among .*; the nearest are 3 and 4"),
        ([f"{day:%d.%m.%Y}" for day in DAYS], "1.1.2025", "outside of .*: 01.01.2024 to 26.10.2024"),
        ([f"{day:%d.%m.%Y}" for day in DAYS], "soon", "one of 01.01.2024 to 26.10.2024"),
        ([f"{day:%m/%d/%Y}" for day in DAYS[::30]] * 9, "01/01/2025", "outside of .*: 01/01/2024 to 09/27/2024"),
        ([f"{day:%m/%d/%Y}" for day in DAYS[::30]] * 9, "01/03/2024", "the nearest are 01/01/2024 and 01/31/2024"),
        (DAYS, date(2023, 12, 31), "outside of .*: 2024-01-01 to 2024-10-26"),
        ([f"${13 * k:,}.50" for k in range(200)], "$9,999", r"outside of .*: \$0.50 to \$2,587.50"),
        (["yes", "no"] * 20, "maybe", "no 'maybe' among the values of 'c'; known: no, yes"),
        ([True, False] * 20, "yes", "no 'yes' among the values of 'c'; known: False, True"),
        (["a", "b"] * 20, {"a": 1}, "is a number or a text, not {'a': 1}"),
    ],
    ids=lambda value: str(value) if not isinstance(value, list) else str(value[0]),
)  # fmt: skip
def test_a_condition_that_training_has_not_seen_is_refused(
    values: list[Any], wrong: Any, words: str
) -> None:
    field = label(values)
    with pytest.raises(DataError, match=words):
        field.given([field.parse(values[0]), field.parse(wrong)])
    _, spelled = field.given(values[:2])
    assert spelled == values[:2]


def test_what_is_held_out_may_lie_outside() -> None:
    field = label([f"{k / 7:.3f}" for k in range(500)])
    assert field.known(["99"]) == [True]
    assert field.encode(["99"]) == field.encode(["71.286"])


def test_a_given_value_is_written_as_it_was_given() -> None:
    """Though channels of single precision are too coarse for it."""
    values = [str(k) for k in np.random.default_rng(0).integers(0, 10**9, 5000).tolist()]
    _, spelled = label(values).given(values)
    assert spelled == values


def test_known_cells_that_training_has_not_seen_are_refused() -> None:
    codes = [f"N-{k:06d}" for k in np.random.default_rng(0).permutation(10**6)[:400].tolist()]
    codes[3] = ""
    column = fit_column("code", codes)
    assert column.kind == "identifier"
    with pytest.raises(DataError, match="'N-000001' cannot be given: 'code' is an identifier"):
        column.exactly("N-000001")
    assert column.exactly("").tolist() == [1]
    names = [f"{'ab'[k % 2]}{k}" for k in range(9)] * 20
    with pytest.raises(DataError, match=r"no 'b7' .*; rarer ones share a symbol: codec.max_categories"):
        fit_column("c", names, max_categories=3).exactly("b7")


# -- names -----------------------------------------------------------------------------------------


def test_names_with_signs_and_blanks(capsys: pytest.CaptureFixture[str]) -> None:
    known = ["a", "a=b", "my col", "x "]
    assert conditions(["my col=1", "x =2", "a==3"], known) == {"my col": "1", "x ": "2", "a": "=3"}
    assert conditions([" my col =1", "other=2"], known) == {"my col": "1", "other": "2"}
    assert capsys.readouterr().err == ""
    assert conditions(["a=b=3"], known) == {"a=b": "3"}
    said = capsys.readouterr().err
    assert "the value '3' of 'a=b'; for 'a' type --given '\"a\"=b=3'" in said
    assert conditions(["'a=b'=3", '"a"=b=3'], known) == {"a=b": "3", "a": "b=3"}
    assert conditions(["a=b=3"], ["a"]) == {"a": "b=3"}


@pytest.mark.parametrize("texts", [["a=1", "a=2"], ["a=1", '"a"=1'], ["a=b", " a =b"]])
def test_a_name_given_twice_is_refused(texts: list[str]) -> None:
    with pytest.raises(RecipeError, match="--given names 'a' twice") as error:
        conditions(texts, ["a"])
    assert error.value.code == "given-twice"


# -- what training has hardly seen -----------------------------------------------------------------


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A model of one column that is given the others, and one that keeps any cells."""
    folder = tmp_path_factory.mktemp("asking")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = [
            (k / 8, ("cat", "dog")[k % 2], ("Ulm", "Kiel")[k % 2], k % 3)
            if k % 150
            else (0, "otter", "Ulm", 1)
            for k in range(450)
        ]
        table(folder / "pets.csv", rows, head="x,kind,my town,a=b")
        held = ("--set", "data.val=0", "--set", "data.test=0")
        labels = ("--label", "kind", "--label", "my town", "--label", "a=b")
        done("train", "pets.csv", "--family", "vae", *labels, "--out", "given", *TINY, *held)
        done("train", "pets.csv", "--family", "masked", "--label", "", "--out", "row", *TINY, *held)
        yield folder


@pytest.fixture
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


def test_a_rare_condition_is_warned_of(there: Path) -> None:
    rare = "kind=otter was seen in 3 of 450 examples: expect poor ones"
    assert genwright.load("given").sample(2, {"kind": "otter"}).notes == [rare]
    said = call(
        "sample", "given", "--given", "kind=otter", "--given", "a=b=1", "--out", there / "otters"
    )
    assert (said.code, said.err) == (0, f"{rare}\n")
    done("sample", "given", "--given", "kind=cat", "--given", "my town=Ulm", "--out", there / "cats")


def test_conditions_that_never_came_together_are_warned_of(there: Path) -> None:
    model: Model = genwright.load("given")
    rare = ["kind=cat and my town=Kiel were seen together in 0 of 450 examples: expect poor ones"]
    given: dict[str, Any] = {"kind": "cat", "my town": ["Ulm", "Kiel"]}
    assert model.sample(2, given).notes == rare
    assert model.sample(2, given | {"my town": "Ulm"}).notes == []
    (there / "pets.csv").rename(there / "elsewhere.csv")
    assert genwright.load("given").sample(2, given).notes == [], "without its data none can be counted"
    (there / "elsewhere.csv").rename(there / "pets.csv")


def test_known_cells_that_never_came_together_are_warned_of(there: Path) -> None:
    model: Model = genwright.load("row")
    together = "kind=cat and my town=Kiel were seen together in 0 of 450 examples: expect poor ones"
    assert model.sample(2, infill={"kind": "cat", "my town": "Kiel", "x": 3}).notes == [together]
    alone = "kind=otter was seen in 3 of 450 examples: expect poor ones"
    assert model.sample(2, infill={"kind": "otter"}).notes == [alone]
    assert model.sample(2, infill={"kind": "cat", "my town": "Ulm"}).notes == []
    with pytest.raises(DataError, match="no 'cow' among the values of 'kind'"):
        model.sample(2, infill={"kind": "cow"})
    with pytest.raises(DataError, match="'57' is outside of what 'x' was learnt from"):
        model.sample(2, infill={"x": "57"})


def test_known_cells_are_kept_to_the_letter(there: Path) -> None:
    """Though a channel of single precision is too coarse for them."""
    numbers = np.random.default_rng(0).integers(0, 10**9, 3000)
    table(there / "ids.csv", [(k, "ab"[k % 2]) for k in numbers.tolist()], head="sum,y")
    done("train", "ids.csv", "--family", "masked", "--label", "", "--out", "ids", *TINY)
    known = [{"sum": str(k)} for k in numbers[:50].tolist()]
    made = genwright.load("ids").sample(50, {"row": known}).examples
    assert [*made["sum"]] == [one["sum"] for one in known]


def test_what_is_given_twice_is_refused(there: Path) -> None:
    refused("sample", "given", "--given", "kind=cat", "--given", "kind=dog", words=["'kind' twice"])
    twice = 'infill={"kind": "cat", "kind": "dog"}'
    refused("sample", "row", "--set", twice, words=["'kind' is given twice"])
    with pytest.raises(RecipeError, match="'row' is given twice"):
        genwright.load("row").sample(2, {"row": {"kind": "cat"}}, infill={"kind": "dog"})


def test_a_text_too_long_to_be_given_whole_is_warned_of() -> None:
    field = TextField(length=12, layout="documents")
    field.fit(["to be or not"] * 9)
    field.settle()
    assert field.cautions(["to be or"]) == []
    assert field.cautions(["to be or not to be"]) == [
        "is longer than 12 ids, of which the start is kept"
    ]


def test_only_cells_of_categories_are_counted() -> None:
    import pandas as pd

    frame = pd.DataFrame({"x": [f"{k}.5" for k in range(60)], "y": ["a", "b", "b"] * 20}, dtype=str)
    field = RowField(TableFormat(".csv", ("x", "y")))
    field.fit(frame)
    field.settle()
    words, same = field.matching(field.encode(frame), {"x": "3.5", "y": "a"})
    assert (words, same.sum()) == (["y=a"], 20)
    words, same = field.without(["x"]).matching(field.encode(frame), {"y": "b"})
    assert (words, same.sum()) == (["y=b"], 40)


# -- before a training -----------------------------------------------------------------------------


def test_a_number_that_training_never_left_out_is_drawn(there: Path) -> None:
    """It is no category that comes with a frequency, and not to be left open."""
    wanted = ("--task", "pair", "--label", "x", "--set", "task.drop=0")
    done("train", "pets.csv", "--family", "vae", *wanted, "--out", "drawn", *TINY)
    model: Model = genwright.load("drawn")
    made = model.sample(40, seed=1)
    assert len({*made.given["x"]}) > 20
    assert {*made.given["x"]} <= {str(k / 8) for k in range(450)}


def test_a_number_that_nobody_gives_is_drawn_as_it_came(there: Path) -> None:
    done("train", "pets.csv", "--family", "vae", "--label", "x", "--out", "numbers", *TINY)
    model: Model = genwright.load("numbers")
    made = model.sample(400, seed=1)
    drawn = np.array([float(v) for v in made.given["x"]])
    assert 0 <= drawn.min() < 2
    assert 54 < drawn.max() <= 449 / 8
    assert abs(np.median(drawn) - 28) < 4
    assert (
        model.sample(400, seed=1).given["x"] == made.given["x"] != model.sample(400, seed=2).given["x"]
    )
    assert set(model.sample(3, {"x": 2.5}, seed=1).given["x"]) == {"2.500"}


def test_what_the_way_back_refuses_is_refused_before_a_training(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write(*args: Any, **how: Any) -> list[Path]:
        raise DataError("this cannot be written", code="no-file")

    monkeypatch.setattr(TableCodec, "write", write)
    train = ("train", "pets.csv", "--family", "vae", "--label", "kind", "--out", "none", *TINY)
    refused(*train, words=["this cannot be written"])
    assert not (there / "none").exists()


def test_an_impossible_date_is_a_missing_condition() -> None:
    values = [str(day) for day in DAYS]
    values[3] = "2024-02-31"
    field = label(values)
    assert field.known(values) == [True] * len(values)
    assert field.decode(field.encode(values[2:5])) == [values[2], "", values[4]]
    with pytest.raises(
        DataError, match="'2024-02-31' is not a value of 'c'; wanted one of 2024-01-01 to"
    ):
        field.given(["2024-02-31"])
