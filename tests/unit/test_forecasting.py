"""A series forecast from the first file to the last: the task, the answers as one with an interval, and the season
before in the model's place."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import genwright
from genwright.errors import RecipeError
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import MetricResult
from genwright.evaluation.runner import claims
from genwright.space import Real, Space
from genwright.tasks.complete import Complete

WEEKS = 30


def visits(file: Path) -> Path:
    """Visits by day, the same each week."""
    days = np.datetime64("2024-01-01") + np.arange(7 * WEEKS)
    with file.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["day", "visits"])
        lines.writerows([day, 100 + 10 * (i % 7)] for i, day in enumerate(days))
    return file


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forecast")
    settings = [
        *("codec.horizon=7", "codec.length=21", "task.name=complete", "task.last=7", "net.name=mlp"),
        *("family.name=diffusion", "data.path=" + str(visits(folder / "visits.csv"))),
    ]
    genwright.train(
        str(folder / "visits.csv"),
        settings=settings,
        size="xs",
        steps=2,
        label=["calendar"],
        out=folder / "run",
    )
    return folder / "run"


def read(file: Path) -> list[dict[str, str]]:
    with file.open() as stream:
        return list(csv.DictReader(stream))


def test_a_forecast_is_a_table_with_an_interval(run: Path, tmp_path: Path) -> None:
    samples = genwright.apply(run, str(run.parent / "visits.csv"), seed=1, steps=2)
    (file,) = samples.save(tmp_path, mark=False)
    rows = read(file)
    assert list(rows[0]) == ["day", "visits", "visits_low", "visits_high"]
    first = np.datetime64("2024-01-01") + 7 * WEEKS
    assert [row["day"] for row in rows] == [str(first + i) for i in range(7)]
    for row in rows:
        assert int(row["visits_low"]) <= int(row["visits"]) <= int(row["visits_high"])


def test_the_season_before_answers_in_the_place_of_the_model(run: Path, tmp_path: Path) -> None:
    samples = genwright.apply(run, str(run.parent / "visits.csv"), baseline="seasonal_naive")
    rows = read(samples.save(tmp_path, mark=False)[0])
    assert [int(row["visits"]) for row in rows] == [100 + 10 * (i % 7) for i in range(7)]
    with pytest.raises(RecipeError) as raised:
        genwright.apply(run, str(run.parent / "visits.csv"), baseline="tea leaves")
    assert raised.value.code == "no-such-baseline"


def test_where_it_was_nearer_when_judged_that_is_said(run: Path) -> None:
    report = run / "judge" / "report.json"
    report.parent.mkdir(exist_ok=True)
    report.write_text('{"claims": [{"instead": "seasonal_naive"}]}')
    try:
        samples = genwright.apply(run, str(run.parent / "visits.csv"), draws=1, steps=2)
    finally:
        report.unlink()
    assert any("--set baseline=seasonal_naive" in note for note in samples.notes)


def test_the_verdict_names_what_did_better_and_how_to_have_it() -> None:
    def found(lead: float) -> list[Any]:
        result = MetricResult(
            "mase", "accuracy", "lower", "", True, Measurement(1.0, 0.9, 1.1, 500), Measurement(0, 0, 0, 500),
            baselines={"seasonal_naive": Measurement(1 + lead, 0.9, 1.1, 500)},
            lead=Measurement(lead, lead - 0.01, lead + 0.01, 500),
        )  # fmt: skip
        return [result]

    worse, better = (claims(found(lead), ["seasonal_naive"])[0] for lead in (-0.3, 0.3))
    assert (worse.outcome, worse.instead) == ("not supported", "seasonal_naive")
    assert "--set baseline=seasonal_naive" in worse.because
    assert (better.outcome, better.instead) == ("supported", "")
    assert claims(found(-0.3))[0].instead == ""


def test_the_last_places_are_hidden_and_the_calendar_is_known() -> None:
    task = Complete(make="x", given=["calendar"], last=3, align=["calendar"])
    space = Space((8,), (Real(2),))
    spec = task.spec({"x": space, "calendar": Space((8,), (Real(4, bounded=True),))})
    assert spec.conds["calendar"].align
    assert spec.conds["calendar"].drop == 0
    example = {"x": torch.randn(2, 2, 8), "calendar": torch.zeros(2, 4, 8)}
    known = task.ask(example, torch.Generator())["x"][1]
    assert torch.equal(known, (torch.arange(8) < 5).expand(2, 2, 8))
    with pytest.raises(RecipeError):
        Complete(make="x", last=8).spec({"x": space})


def wandering(file: Path, seed: int = 0) -> Path:
    """A random walk by day, which nothing forecasts better than its last value."""
    days = np.datetime64("2024-01-01") + np.arange(200)
    walk = 50 + np.random.default_rng(seed).normal(size=200).cumsum()
    with file.open("w", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(["day", "price"])
        lines.writerows([day, f"{value:.2f}"] for day, value in zip(days, walk, strict=True))
    return file


def test_a_model_that_knows_nothing_more_says_what_the_season_before_says(tmp_path: Path) -> None:
    file = wandering(tmp_path / "prices.csv")
    model = genwright.train(
        str(file),
        settings=[
            "codec.horizon=5",
            "codec.length=15",
            "task.name=complete",
            "task.last=5",
            "net.name=mlp",
        ],
        family="diffusion",
        size="xs",
        steps=2,
        out=tmp_path / "run",
    )
    assert model.run.calibration["field"]["price"]["weight"] < 0.5
    made = genwright.apply(tmp_path / "run", str(file), seed=1, steps=2)
    (values,) = made.values[made.make]
    last = float(file.read_text().split()[-1].split(",")[1])
    assert np.abs(values.channels["price"] - last).max() < 0.6
    one = genwright.apply(tmp_path / "run", str(file), draws=1, seed=1, steps=2)
    assert np.abs(one.values[one.make][0].channels["price"] - last).max() > 0.6
    again = genwright.train(resume=tmp_path / "run", settings=["train.steps=3"])
    assert again.run.calibration["step"] == again.step
