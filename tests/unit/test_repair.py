"""Rows that break a stated constraint are repaired where the family can keep the rest, and dropped elsewhere."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import genwright
from commands import TINY, call, done, refused, table
from genwright.data.columns.infer import fit_column
from genwright.data.table.comparison import ColumnComparison
from genwright.errors import RecipeError
from genwright.finishing.finish import Finish


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("repair")
    rng = np.random.default_rng(0)
    rows = [
        (int(age), f"2024-01-{day:02d}", f"2024-02-{more:02d}", "abc"[kind], round(float(x), 3))
        for age, day, more, kind, x in zip(
            rng.integers(10, 60, 300),
            rng.integers(1, 29, 300),
            rng.integers(1, 29, 300),
            rng.integers(0, 3, 300),
            rng.normal(size=300),
            strict=True,
        )
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table(folder / "rows.csv", rows, head="age,start,end,kind,x")
        for family in ("masked", "autoregressive", "vae"):
            done("train", "rows.csv", "--family", family, "--label", "", "--out", family, *TINY)
        yield folder


@pytest.fixture
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


def frame(run: str, **how: object) -> tuple[pd.DataFrame, dict[str, object]]:
    samples = genwright.sample(run, 40, seed=1, **how)  # type: ignore[arg-type]
    assert samples.provenance is not None
    return samples.examples, dict(samples.provenance.finish or {})


def test_what_breaks_a_constraint_is_repaired_and_the_rest_kept(there: Path) -> None:
    plain, _ = frame("masked")
    made, counts = frame("masked", require=["age >= 30", "x < 0.5"])
    ages, x = made["age"].astype(int), made["x"].astype(float)
    assert (ages >= 30).all()
    assert (x < 0.5).all()
    broken = (plain["age"].astype(int) < 30) | (plain["x"].astype(float) >= 0.5)
    assert counts["repaired"] == broken.sum() > 5
    assert counts["dropped"]["broken"]["count"] == 0  # type: ignore[index]
    assert counts["drawn"] == 40
    for name in ("start", "end", "kind"):  # what is not spoken of is as it was, to the letter
        assert (made[name].astype(str) == plain[name].astype(str)).all()
    whole = ~broken
    assert made[whole].astype(str).equals(plain[whole].astype(str))
    again, _ = frame("masked", require=["age >= 30", "x < 0.5"])
    assert made.equals(again)


def test_what_no_training_example_keeps_is_said(there: Path) -> None:
    def notes(rule: str) -> list[str]:
        return Finish(genwright.load(there / "masked"), require=rule).notes

    assert "none of" in notes("age >= 70")[0]
    assert "'age >= 70'" in notes("age >= 70")[0]
    assert notes("age >= 59") == []


def test_two_columns_are_compared_and_a_beginning_is_kept(there: Path) -> None:
    made, counts = frame("autoregressive", require="start >= 2024-01-15")
    assert (made["start"].astype(str) >= "2024-01-15").all()
    plain, _ = frame("autoregressive")
    assert (made["age"].astype(str) == plain["age"].astype(str)).all()
    assert counts["repaired"]
    made, _ = frame("masked", require=["end >= start", "kind != b"])
    assert not (made["kind"] == "b").any()


def test_a_family_that_cannot_keep_a_part_makes_whole_rows_again(there: Path) -> None:
    samples = genwright.sample("vae", 20, seed=1, require=["age >= 30"])
    assert (samples.examples["age"].astype(int) >= 30).all()
    assert samples.provenance is not None
    counts = samples.provenance.finish
    assert counts is not None
    assert "repaired" not in counts
    assert counts["dropped"]["broken"]["count"] > 0
    assert any("vae cannot keep a part" in note for note in samples.notes)


def test_constraints_stand_in_a_file_and_are_counted_in_one_beside_the_rows(there: Path) -> None:
    Path("rules.toml").write_text('require = ["age >= 20", "kind == \'a\'"]\n')
    said = done("sample", "masked", "-n", "12", "--require", "rules.toml", "--out", "ruled")
    made = pd.read_csv("ruled/samples.csv")
    assert (made["age"] >= 20).all()
    assert set(made["kind"]) == {"a"}
    counts = json.loads(Path("ruled/synthetic.json").read_text())["."]["finish"]
    assert counts["repaired"] > 0
    assert f"repaired {counts['repaired']}" in said.out


def test_gaps_of_a_file_are_filled_within_the_constraints(there: Path) -> None:
    """What is there stays, though it breaks the constraint: such a row is left as it was."""
    pd.DataFrame(
        {
            "age": [None, None, 12],
            "start": "2024-01-03",
            "end": "2024-02-04",
            "kind": "a",
            "x": [0.1, None, None],
        }
    ).to_csv("gaps.csv", index=False)
    said = call("apply", "masked", "gaps.csv", "--require", "age >= 50", "--out", "filled")
    made = pd.read_csv("filled/gaps.csv")
    assert (made["age"][:2] >= 50).all()
    assert made["age"][2] == 12
    assert np.isnan(made["x"][2])
    assert "1 rows stay as they are" in said.err
    assert "repaired" in said.out


def test_order_and_scores(there: Path) -> None:
    done(
        "sample", "autoregressive", "-n", "12", "--out", "ordered", "--rank", "auto", "--drop", "invalid"
    )
    finish = json.loads(Path("ordered/synthetic.json").read_text())["."]["finish"]
    assert finish["ranked_by"] == "likelihood"
    assert len(finish["scores"]) == 12
    assert finish["scores"] == sorted(finish["scores"], reverse=True)
    model = genwright.load("autoregressive")
    step = Finish(model, rank="likelihood", n=12).steps[-1]
    rows = pd.read_csv("ordered/samples.csv", dtype=str)
    scores = step({"row": rows}, model.asked(12, {}, 0, {})).scores
    assert np.allclose(scores, finish["scores"], rtol=1e-4)
    samples = genwright.sample("masked", 8, rank="nearness")
    assert samples.provenance is not None
    assert samples.provenance.finish is not None
    assert samples.provenance.finish["ranked_by"] == "nearness to real examples"


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("age", "is no comparison"),
        ("age >=", "is no comparison"),
        ("aage >= 3", "did you mean 'age'"),
        ("age >= old", "'old' is neither a value"),
        ("kind >= a", "has no order"),
        ("none.toml", "no TOML file that can be read"),
    ],
)
def test_what_is_no_constraint_is_said(there: Path, rule: str, words: str) -> None:
    refused("sample", "masked", "--require", rule, "--out", "no", words=[words])
    assert not Path("no").exists()


def test_names_with_signs_and_values_in_quotes() -> None:
    columns = {name: fit_column(name, [1, 2, 3, 4, 5, 6] * 9) for name in ("a<b", "c")}
    rows = pd.DataFrame({"a<b": [1, 6, None], "c": [2, 3, 1]})
    assert ColumnComparison("a<b < c", columns, [*columns]).broken(rows).any(1).tolist() == [
        False,
        True,
        False,
    ]
    kinds = {"kind": fit_column("kind", ["c", "d", "kind"] * 9)}
    rows = pd.DataFrame({"kind": ["kind", "c", None]})
    assert ColumnComparison("kind != 'kind'", kinds, ["kind"]).broken(rows).any(1).tolist() == [
        True,
        False,
        False,
    ]
    with pytest.raises(RecipeError, match="speaks of no column that is made"):
        ColumnComparison("sort == 1", kinds, ["kind", "sort"])
