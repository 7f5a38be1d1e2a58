"""Several numbers in one text."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genwright.data.columns.composite import Composite
from genwright.data.columns.field import ColumnField
from genwright.data.columns.infer import fit_column, restore_column
from genwright.data.columns.pooling import pooled_cells
from genwright.data.columns.types import Column
from genwright.data.table.field import RowField
from genwright.data.table.frames import TableFormat
from genwright.errors import DataError
from genwright.space import Real, Symbol

R = random.Random(0)
PRESSURES = [f"{s}/{s // 2 + R.randrange(20)}" for s in (R.randrange(90, 190) for _ in range(300))]
PLACES = [f"({R.uniform(-60, 60):.3f}, {R.uniform(-170, 170):.2f})" for _ in range(200)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def several(values: list[str | None], **options: Any) -> Composite:
    column = fit_column("bp", values, **options)
    assert isinstance(column, Composite)
    return column


@pytest.mark.parametrize(
    ("values", "between", "kinds"),
    [
        (PRESSURES, ["", "/", ""], ["integer", "integer"]),
        (PLACES, ["(", ", ", ")"], ["continuous", "continuous"]),
        ([f"{R.randrange(9, 99)} x {R.randrange(5, 150)} cm" for _ in range(200)], ["", " x ", " cm"], ["integer"] * 2),
        ([f"{R.randrange(-9, 30)}..{R.randrange(31, 120)}.5k" for _ in range(200)], None, []),
        ([f"{R.randrange(105, 180)}/{R.randrange(55, 95)}" for _ in range(200)], ["", "/", ""], ["integer"] * 2),
        ([f"{R.randrange(20, 90)}-{R.randrange(91, 150)}k" for _ in range(200)], ["", "-", "k"], ["integer"] * 2),
        ([f"{R.randrange(100, 5000)}x{R.randrange(100, 5000)}" for _ in range(200)], ["", "x", ""], ["integer"] * 2),
    ],
)  # fmt: skip
def test_texts_of_several_numbers_come_back(
    values: list[str], between: list[str] | None, kinds: list[str]
) -> None:
    column: Column = fit_column("x", values)
    assert column.decode(column.encode(values), rng()) == values or between is None
    if between is not None:
        assert isinstance(column, Composite)
        assert column.between == between
        assert [part.kind for part in column.parts] == kinds
        assert not column.warnings()


def test_a_point_on_a_map_is_two_numbers() -> None:
    values = [f"POINT ({R.uniform(6, 15):.5f} {R.uniform(47, 55):.5f})" for _ in range(200)]
    column = several(values)
    assert column.between == ["POINT (", " ", ")"]
    assert column.decode(column.encode(values), rng()) == values


def test_a_minus_before_nothing_is_said() -> None:
    values = [*PLACES, "(-0.000, 1.25)"]
    column = several(values)
    assert column.decode(column.encode(values), rng()) == [*PLACES, "(0.000, 1.25)"]
    assert any("-0.000" in note for note in column.warnings())


@pytest.mark.parametrize(
    "values",
    [
        [f"{R.randrange(100, 999)}-{R.randrange(10, 99)}-{R.randrange(1000, 9999)}" for _ in range(200)],
        [f"{R.randrange(100, 999)}-{R.randrange(10, 99)}-{R.randrange(1000, 1020)}" for _ in range(200)],
        [f"{R.randrange(1, 99):02d}/{R.randrange(100, 250)}" for _ in range(200)],
        [f"10.{R.randrange(250)}.{R.randrange(250)}.{R.randrange(1, 250)}" for _ in range(300)],
        [f"{R.randrange(2020, 2026)}/{i}" for i in range(300)],
        [f"+{R.randrange(1, 99)} {R.randrange(100, 999)} {R.randrange(10**6, 10**8)}" for _ in range(200)],
        [f"{R.randrange(9)}/{'7' * R.randrange(5000, 6000)}" for _ in range(100)],
        [f"AB-{R.randrange(1, 99)}-{R.randrange(100, 9999)}" for _ in range(300)],
    ],
)  # fmt: skip
def test_codes_that_hold_numbers_stay_codes(values: list[str]) -> None:
    assert fit_column("x", values).kind in ("identifier", "categorical")
    with pytest.raises(DataError, match="several numbers with the same between them"):
        fit_column("x", values, kind="composite")


def test_few_texts_and_ids_stay_what_they_were() -> None:
    assert fit_column("screen", ["1920x1080", "800x600", "2560x1440"] * 50).kind == "categorical"
    assert fit_column("visit_id", PRESSURES).kind != "composite"
    assert (
        fit_column("screen", ["1920x1080", "800x600", "2560x1440"] * 50, kind="composite").kind
        == "composite"
    )


def test_missing_and_other_texts_are_symbols() -> None:
    values = [*PRESSURES, "refused", "", "NA", "", "refused"]
    column = several(values)
    assert column.spans[0] == Symbol(1 + 3)
    assert column.spans.count(Real(1)) == 2
    assert column.decode(column.encode(values), rng()) == values
    assert restore_column(column.state()) == column
    assert "2 of its rows hold another text ('refused'" in column.warnings()[0]
    # What a file brings that training has not seen is missing.
    assert column.decode(column.encode(["??", "120-80", None]), rng()) == [""] * 3
    # Without missing values it is something that training knows.
    assert several(PRESSURES).decode(several(PRESSURES).encode(["??"]), rng())[0].count("/") == 1


def test_what_a_model_makes_keeps_the_pattern_and_the_ranges() -> None:
    column = several([*PRESSURES, ""])
    x = rng().normal(0, 5, (500, column.stored)).astype(np.float32)
    for text in column.decode(x, rng()):
        if text:
            high, low = map(int, text.split("/"))
            assert 90 <= high < 190
            assert 45 <= low < 114


def test_what_is_asked_for_is_checked_number_by_number() -> None:
    column = several(PRESSURES)
    assert column.spelled("120/71") == "120/71"
    assert column.decode(column.exactly("120/71")[None], rng()) == ["120/71"]
    with pytest.raises(
        DataError, match=r"'260' is outside of what 'bp\[1\]' was learnt from: 9\d to 18\d"
    ):
        column.exactly("260/71")
    for odd in ("120", "120-80", "high", "120/80/60", ""):
        with pytest.raises(DataError, match=r"is not a value of 'bp'; wanted one such as '\d+/\d+'"):
            column.exactly(odd)


def test_as_a_condition_it_is_given_as_the_column_writes_it() -> None:
    field = ColumnField("bp")
    field.fit(PRESSURES)
    field.settle()
    assert isinstance(field.column, Composite)
    assert field.space.spans == (Real(1), Real(1))
    x, spelled = field.given(["120/71"])
    assert x.shape == (1, 2)
    assert spelled == ["120/71"]
    assert field.usable(["120/71", "999/71", "high", None]) == [True, False, False, False]
    with pytest.raises(DataError, match="'high' is not a value"):
        field.encode(["high"])


def test_several_answers_become_one_number_by_number() -> None:
    column = several([*PRESSURES, "refused", ""])
    draws = [["120/60", "refused", ""], ["130/70", "refused", "100/50"], ["125/68", "110/60", ""]]
    assert pooled_cells(column, draws) == ["125/66", "refused", "100/50"]


def test_a_row_holds_them_beside_other_columns() -> None:
    frame = pd.DataFrame({"bp": [*PRESSURES[:-1], ""], "age": [str(i % 60 + 20) for i in range(300)]})
    field = RowField(TableFormat(".csv", ("bp", "age")))
    field.fit(frame)
    field.settle()
    assert field.columns["bp"].kind == "composite"
    x = field.expand(field.encode(frame)).numpy()
    pd.testing.assert_frame_equal(field.decode(x), frame, check_dtype=False)
    partial, _ = field.gapped(pd.DataFrame({"bp": ["", "120/71"], "age": ["30", ""]}))
    size = field.columns["bp"].stored
    assert partial.known[:, :size].tolist() == [[False] * size, [True] * size]
    assert partial.known[:, size:].tolist() == [[True], [False]]
