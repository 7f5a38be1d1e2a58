"""A leaderboard as a page and as JSON: one table, and samples of all side by side.

The page is one file that asks nothing of a network and runs no script. Equal tables give equal bytes.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.data.codec import Preview
from genwright.data.preview import from_json, templates
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import MetricResult
from genwright.report.evaluation_page import BETTER
from genwright.report.figures import ASKS, formatted, grouped, spelling, typeset
from genwright.storage import durable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["headline", "measurement", "place", "verdict", "write"]

QUANTITIES = {
    "seconds_to_train": "Seconds to train",
    "seconds_per_1000": "Seconds for 1,000 samples",
    "megabytes": "Megabytes",
}
"""What is known of a model beside what the judge says, with its head."""


def write(
    rows: Sequence[Mapping[str, Any]],
    results: Mapping[str, MetricResult],
    facts: Mapping[str, str],
    folder: Path,
) -> list[Path]:
    """`index.html` and `leaderboard.json` in `folder`, each wholly or not at all.

    rows     as `Contender.json` gives them
    results  of any of the models, by metric: which way is better, and what is asked
    """
    twin = json.dumps(rows, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
    contents = {"leaderboard.json": twin, "index.html": _html(rows, results, facts, folder)}
    data = {folder / name: text.encode(errors="backslashreplace") for name, text in contents.items()}
    try:
        for path, text in data.items():
            durable.write(path, text)
    except OSError as error:
        raise durable.explain(error, folder, sum(map(len, data.values()))) from error
    return list(data)


def _html(
    rows: Sequence[Mapping[str, Any]],
    results: Mapping[str, MetricResult],
    facts: Mapping[str, str],
    folder: Path,
) -> str:
    """The whole page."""
    best = next((row for row in rows if row["best"]), None)
    return (
        _environment()
        .get_template("leaderboard.html.j2")
        .render(
            title=f"Comparison: {folder.resolve().name}",
            rows=rows,
            best=best,
            verdict=verdict(rows),
            command=best and f"genwright sample {shlex.quote(str(folder / best['run']))} -n 64",
            groups={
                group: [one.metric for one in of]
                for group, of in grouped(list(results.values())).items()
            },
            results=results,
            asks=ASKS,
            samples=list(_samples(rows, folder)),
            facts=facts,
        )
    )


@cache
def _environment() -> Environment:
    made = templates(Path(__file__).with_name("templates"))
    made.globals.update(better=BETTER, quantities=QUANTITIES, place=place)
    made.filters.update(
        formatted=lambda one: [typeset(part) for part in formatted(measurement(one))],
        count=lambda n: typeset(f"{n:,}"),
        quantity=lambda value: typeset(spelling(abs(value), abs(value) / 50)(value)),
    )
    return made


def _samples(
    rows: Sequence[Mapping[str, Any]], folder: Path
) -> Iterator[tuple[Mapping[str, Any], Preview]]:
    """Of each model that has some, what its own page shows."""
    for row in rows:
        path = folder / str(row["run"]) / "page" / "run.json"
        if row["run"] is None or not path.exists():
            continue
        shown = json.loads(path.read_text(encoding="utf-8"))["samples"]
        if shown:
            yield row, from_json(shown)


def measurement(one: Mapping[str, Any]) -> Measurement:
    """The measurement of a row's JSON."""
    value, low, high = (
        math.nan if one[name] is None else one[name] for name in ("value", "low", "high")
    )
    return Measurement(value, low, high, one["n"])


def place(row: Mapping[str, Any]) -> str:
    """A rank as it is read."""
    if row["rank"] is None:
        return ""
    return f"{row['rank']} tied" if row["tied"] else str(row["rank"])


def verdict(rows: Sequence[Mapping[str, Any]]) -> str:
    """Who is best, in a sentence."""
    best = next((row for row in rows if row["best"]), None)
    if best is None:
        return "No model came to its end and was found to be no copy: there is no order, and none is the best."
    if not best["tied"]:
        others = any(row["rank"] is not None and row is not best for row in rows)
        return f"{best['name']} is the best" + (
            ": no other is as good, beyond the noise."
            if others
            else " and the only one that was ranked."
        )
    tied = ", ".join(best["tied"])
    return (
        f"{best['name']} is tied with {tied}: the differences are within the noise. It is kept as the best, being "
        f"nearer to real examples by more of the metrics."
    )


def headline(results: Mapping[str, MetricResult], rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """For each question the one metric that most rows have, and that is sound: for a narrow table."""
    chosen = []
    for of in grouped(list(results.values())).values():
        sound = [one for one in of if one.validated] or list(of)
        chosen.append(
            max(sound, key=lambda one: sum(one.metric in row["metrics"] for row in rows)).metric
        )
    return chosen
