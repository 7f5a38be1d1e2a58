"""Several tags in one text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import genwright
from genwright.data.columns.infer import fit_column, restore_column
from genwright.data.columns.pooling import pooled_cells
from genwright.data.columns.tags import MOST, Tags, tag_in, tags_named
from genwright.data.columns.types import Categorical, Column
from genwright.data.table.field import RowField
from genwright.errors import DataError
from genwright.evaluation.views.table import one_by_one

R = random.Random(0)
GENRES = ["Action", "Comedy", "Crime", "Drama", "Film-Noir", "Horror", "Musical", "Romance", "War"]


def some(names: list[str], sizes: tuple[int, ...], *, in_order: bool = True) -> list[str]:
    found = R.sample(names, R.choice(sizes))
    return sorted(found, key=names.index) if in_order else found


SETS = [some(GENRES, (1, 1, 2, 3)) for _ in range(400)]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def fitted(values: Sequence[str | None], **options: Any) -> Tags:
    column = fit_column("genres", values, **options)
    assert isinstance(column, Tags)
    return column


@pytest.mark.parametrize("between", ["|", ";", ", ", ",", " / ", "\n"])
def test_tags_come_back_each_a_boolean_of_its_own(between: str) -> None:
    values = [between.join(one) for one in SETS]
    column = fitted(values)
    assert column.decode(column.encode(values), rng()) == values
    assert column.tags == GENRES
    assert [span.stored for span in column.spans] == [1] * len(GENRES)
    assert not column.warnings()
    assert column.about["tags"] == len(GENRES)


@pytest.mark.parametrize("write", [json.dumps, repr, lambda one: json.dumps(one, separators=(",", ":"))])
def test_lists_as_json_or_python_write_them_are_tags(write: Callable[[list[str]], str]) -> None:
    values = [write([] if R.random() < 0.1 else one) for one in SETS]
    column = fitted(values)
    assert column.decode(column.encode(values), rng()) == values
    assert column.tags == GENRES
    assert column.joined([]) == "[]"


def test_what_is_missing_or_another_text_is_a_symbol() -> None:
    values = ["|".join(one) for one in SETS] + ["", "NA", "(no genres listed)"] * 9
    column = fitted(values)
    assert column.decode(column.encode(values), rng()) == values
    assert column.missing_tokens == ["", "NA"]


def test_texts_in_another_order_come_back_in_one_and_it_is_said() -> None:
    values = [", ".join(some(GENRES, (1, 2, 3), in_order=False)) for _ in range(400)]
    column = fitted(values)
    again = column.decode(column.encode(values), rng())
    assert [{*a.split(", ")} for a in again] == [{*v.split(", ")} for v in values]
    assert len({a for a in again if {*a.split(", ")} == {"Crime", "War"}}) <= 1
    assert any("come back in one order" in note for note in column.warnings())


def test_rare_tags_share_one_and_are_drawn() -> None:
    rare = [f"rare{i}" for i in range(20)]
    names = [f"tag{i:02d}" for i in range(MOST)]
    values = [";".join(some(names, (1, 2, 3, 4))) for _ in range(2000)]
    values += [f"tag00;{one}" for one in rare]
    column = fitted(values)
    assert len(column.tags) == MOST
    made = column.decode(column.encode(values), rng())
    assert made[:2000] == values[:2000]
    assert all(one.startswith("tag00;rare") for one in made[2000:])
    assert any("84 different tags" in note for note in column.warnings())


def test_a_row_without_any_tag_has_the_first_or_is_missing() -> None:
    values = ["|".join(one) for one in SETS]
    column = fitted(values)
    nothing = np.zeros((1, column.stored), np.float32)
    assert column.decode(nothing, rng()) == ["Action"]
    assert fitted([*values, ""]).decode(np.zeros((1, column.stored + 1)), rng()) == [""]


@pytest.mark.parametrize(
    "values",
    [
        [
            f"{R.choice(['Bern', 'Rome', 'Oslo', 'Kyiv'])}, {R.choice(['CH', 'IT', 'NO'])}"
            for _ in range(300)
        ],
        [R.choice(["Sales", "IT", "HR"]) + R.choice(["", "/EMEA", "/US", "/APAC"]) for _ in range(300)],
        [R.choice(["A/B/C", "A/B", "A", "A/D", "E", "E/F"]) for _ in range(300)],
        [", ".join(f"w{R.randrange(4000)}" for _ in range(R.randrange(1, 5))) for _ in range(300)],
        [",".join(R.choices("LR", k=R.randrange(1, 6))) for _ in range(300)],
        [f"{R.choice(['Ann', 'Bo', 'Cy'])} {R.choice(['Lee', 'Ray'])}" for _ in range(300)],
        [R.choice(["yes", "no", "yes, often", "no, never"]) for _ in range(300)],
    ],
)
def test_addresses_paths_sentences_and_moves_are_no_tags(values: list[str]) -> None:
    column: Column = fit_column("x", values)
    assert not isinstance(column, Tags)


def test_tags_can_be_asked_for_and_categories_too() -> None:
    values = ["|".join(one) for one in SETS]
    assert isinstance(fit_column("x", values, kind="categorical"), Categorical)
    assert isinstance(fit_column("x", values, kind="tags"), Tags)
    with pytest.raises(DataError, match="cannot be tags"):
        fit_column("x", ["a", "b"] * 30, kind="tags")


def test_what_a_person_gives_is_known_or_refused() -> None:
    column = fitted(["|".join(one) for one in SETS])
    assert column.spelled("War|Action") == "Action|War"
    with pytest.raises(DataError, match=r"no 'Dram' among the tags.*Drama"):
        column.exactly("Action|Dram")
    with pytest.raises(DataError, match=r"wanted one such as 'Action\|Comedy'"):
        column.exactly(3)


def test_a_state_is_json_and_comes_back() -> None:
    values = [*("|".join(one) for one in SETS), ""]
    column = fitted(values)
    again = restore_column(json.loads(json.dumps(column.state())))
    assert again == column
    assert again.decode(column.encode(values), rng()) == values


def test_several_answers_are_one_by_the_majority_of_each_tag() -> None:
    column = fitted([*("|".join(one) for one in SETS), ""])
    draws = [["Action|War", ""], ["Action|Drama", "War"], ["Action|War", ""]]
    assert pooled_cells(column, draws) == ["Action|War", "War"]
    assert pooled_cells(column, [["Action"], ["War"], ["Crime"]]) == ["Action"]


def test_a_tag_is_looked_for_as_a_whole() -> None:
    assert tag_in("Film-Noir|War", "War") is True
    assert tag_in("Film-Noir|War", "Noir") is False
    assert tag_in('["a", "bc"]', "bc") is True
    assert tag_in("", "War") is None
    assert tags_named("Q1: how?: by mail") == [("Q1: how?", "by mail"), ("Q1", "how?: by mail")]


def test_rows_of_tags_are_trained_on_and_judged_tag_by_tag(tmp_path: Path) -> None:
    rows = pd.DataFrame(
        {"year": [1950 + i % 60 for i in range(400)], "genres": ["|".join(one) for one in SETS]}
    )
    model = genwright.train(rows, family="autoregressive", size="xs", steps=3, out=tmp_path / "run")
    made = model.sample(50, seed=0).data()
    assert {tag for value in made["genres"] for tag in value.split("|")} <= {*GENRES}
    report = genwright.judge(tmp_path / "run", wanted=["columns"], n=60)
    (found,) = [one for one in report.results if one.metric == "columns"]
    assert found.model is not None
    assert found.real_baseline is not None
    field = model.dataset.fields["row"]
    assert isinstance(field, RowField)
    parts = one_by_one(field.columns["genres"])
    assert [part.name for part in parts] == [f"genres: {one}" for one in GENRES]
