"""The verb `compare`, and the leaderboard of runs that are there; see `main.py`, which takes them in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from genwright.cli.console import columns, say, show
from genwright.cli.errors import SMALLER
from genwright.cli.parse import (
    AsJson,
    Data,
    Given,
    Label,
    Make,
    Settings,
    Size,
    TaskName,
    comma_separated,
    labels,
)
from genwright.errors import memory

if TYPE_CHECKING:
    from genwright.comparing.leaderboard import Leaderboard

__all__ = ["compare", "show_leaderboard", "show_runs"]


def compare(
    data: Data,
    minutes: Annotated[
        float, typer.Option(help="Of work of one core, for everything together", min=0.0)
    ] = 20.0,
    families: Annotated[
        str | None, typer.Option(metavar="A,B,...", help="Only these; default every one that fits")
    ] = None,
    workers: Annotated[int, typer.Option(help="Processes that train at a time")] = 1,
    seeds: Annotated[int, typer.Option(help="Trainings of each: intervals over trainings")] = 1,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out")] = False,
    ray: Annotated[
        str | None,
        typer.Option(metavar="auto|ADDRESS", help="Train on a Ray cluster; local starts one here"),
    ] = None,
    label: Label = None,
    task: TaskName = None,
    make: Make = None,
    given: Given = None,
    size: Size = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same trainings")] = None,
    n: Annotated[int, typer.Option("-n", "--number", help="The most examples to judge by")] = 2000,
    settings: Settings = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            "--vary", metavar="NAME=A,B", help="Each family with each of these: train.lr=.001,.01"
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default compared/DATA")] = None,
    as_json: AsJson = False,
) -> None:
    """Every family that fits, equal budgets, one judge, one honest table; the best model is kept."""
    from genwright import api

    with memory(SMALLER), _kept():
        found = api.compare(
            data,
            minutes=minutes,
            families=comma_separated(families) if families is not None else None,
            workers=workers,
            seeds=seeds,
            resume=resume,
            ray=ray,
            label=labels(label),
            task=task,
            make=make,
            given=given,
            size=size,
            seed=seed,
            n=n,
            settings=settings or [],
            vary=vary or [],
            out=out,
            since=0.0,
            say=lambda words: say(words, error=True) if as_json else say(words),
        )
    if as_json:
        say(json.dumps(found.json(), ensure_ascii=False, indent=2))
        return
    show_leaderboard(found)
    folder = found.folder
    if found.best is not None and found.best.run is not None and folder is not None:
        say(f"The best: {folder / found.best.run}")
    say(f"See {folder / 'index.html'}" if folder is not None else "")


@contextmanager
def _kept() -> Iterator[None]:
    """Say, where it is stopped, how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        say(
            "All that was done is kept: the same command with --out FOLDER --resume goes on.", error=True
        )
        raise


def show_leaderboard(found: Leaderboard) -> None:
    """The table in short: one metric for each question; the page has all of them."""
    from genwright.report.figures import formatted
    from genwright.report.leaderboard_page import headline, measurement, place, verdict

    rows = found.json()
    chosen = headline(found.results, rows)
    head: list[object] = ["rank", "model", *chosen, "train s", "s/1,000", "MB", "outcome"]
    lines: list[list[object]] = [head]
    for row in rows:
        cells: list[object] = [place(row), row["name"]]
        for name in chosen:
            one = row["metrics"].get(name)
            cells.append("" if one is None else _with_interval(formatted(measurement(one))))
        for name in ("seconds_to_train", "seconds_per_1000", "megabytes"):
            value = row.get(name)
            cells.append("" if value is None else f"{value:.3g}")
        cells.append(row["outcome"] + (f": {row['cause']}" if row["cause"] else ""))
        lines.append(cells)
    say("")
    show(columns(lines, right=range(2, len(head) - 1), head=True))
    say(verdict(rows))


def _with_interval(three: tuple[str, str, str]) -> str:
    value, low, high = three
    return f"{value} [{low}, {high}]"


def show_runs(folder: Path, as_json: bool) -> None:
    """A leaderboard of the runs in a folder, for each data set that there are runs of."""
    from genwright.comparing.runs import leaderboards

    found = leaderboards(folder)
    if as_json:
        rows = [row | {"data": data} for data, table in found.items() for row in table.json()]
        say(json.dumps(rows, ensure_ascii=False, indent=2))
        return
    for data, table in found.items():
        say(f"{data}:")
        show_leaderboard(table)
