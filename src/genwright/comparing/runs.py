"""A leaderboard of runs that are there, by the figures that the judge has left in them."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import Any

from genwright.comparing.leaderboard import TRAINED, Contender, Leaderboard, leaderboard
from genwright.errors import GenwrightError, RunError
from genwright.evaluation.results import EvaluationReport
from genwright.report import evaluation_page
from genwright.storage.manifest import MANIFEST
from genwright.storage.run import Run

__all__ = ["leaderboards"]

MEASURE = ("data", "lens", "held-out examples", "seed")
"""Facts of a report that are equal where two were judged by one measure."""


def leaderboards(folder: Path) -> dict[str, Leaderboard]:
    """A table for each set of runs that were judged by one measure, by the data they are of; runs that were not
    judged, and those that cannot be read, stand in one of their own. Raises `RunError` where there is no run."""
    places = sorted(path.parent for path in folder.rglob(MANIFEST)) if folder.is_dir() else []
    if not places:
        raise RunError(
            f"{folder} holds no runs: name a folder with run folders in it, such as runs", code="no-runs"
        )
    judged: dict[tuple[str, ...], list[tuple[Contender, EvaluationReport]]] = defaultdict(list)
    others: list[Contender] = []
    for path in places:
        name = path.relative_to(folder).as_posix() if path != folder else path.name
        row, report = _read(path, name)
        if report is None:
            others.append(row)
        else:
            measure = (str(row.about["data"]), *(str(report.facts.get(what)) for what in MEASURE))
            judged[measure].append((row, replace(report, title=name)))
    tables: dict[str, Leaderboard] = {}
    for measure, found in sorted(judged.items()):
        data = measure[0]
        name = (
            data
            if data not in tables
            else f"{data} (judged by another measure: {', '.join(measure[2:])})"
        )
        tables[name] = leaderboard(found, (), found[0][1])
    return tables | ({"not judged": leaderboard((), others, None)} if others else {})


def _read(path: Path, name: str) -> tuple[Contender, EvaluationReport | None]:
    """The row of a run, with the report in it if there is one of its last step."""
    try:
        run = Run.open(path)
        family = str(run.recipe["family"]["name"])
        row = Contender(name, family, TRAINED, run=str(path), about=_about(run))
        report = path / "judge" / "report.json"
        if not report.exists():
            return replace(row, outcome="not judged", cause=f"genwright judge {path} does it"), None
        found = evaluation_page.read(report)
        if found.facts.get("step") not in (run.step, run.best):
            cause = f"it was judged at step {found.facts.get('step')}, and is at {run.step} by now"
            return replace(row, outcome="not judged", cause=f"{cause}: genwright judge {path}"), None
        return row, found
    except GenwrightError as error:
        return Contender(name, "?", "cannot be read", str(error), run=str(path)), None


def _about(run: Run) -> dict[str, Any]:
    """What is known of a run beside its figures."""
    model = run.path / "model"
    worked = run.training_state()[1].get("worked") if run.step else None
    return {
        "data": str(run.recipe["data"]["path"]),
        "size": run.recipe["size"],
        "steps": run.step,
        "seconds_to_train": worked,
        "megabytes": sum(file.stat().st_size for file in model.glob("*.safetensors")) / 1e6,
        "guard": "; ".join(dict.fromkeys(str(one["words"]) for one in run.alarms())) or "nothing",
    }
