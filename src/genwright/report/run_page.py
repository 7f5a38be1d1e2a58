"""A run on one page: what it made, on the way too, how it went, what the judge found, and how to go on.

One file, nothing from elsewhere. It is made of what lies in the run folder, so that it can be written anew when
there is more to say:

    page/000500.json   what is shown of the samples of a step
    page/run.json      the same of the kept weights; facts; commands to go on with
    metrics.jsonl      for the curves, and what the guard saw
    judge/report.json  the verdict
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.data.codec import Preview
from genwright.data.preview import as_json, from_json, templates
from genwright.report.curves import HEIGHT, WIDTH, charts
from genwright.report.evaluation_page import MARKS
from genwright.storage import durable
from genwright.storage.run import Run

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Command", "finish", "keep_samples", "refresh", "write_page"]

FRAMES, FRAMES_BYTES = 12, 6 * 2**20
"""Steps whose samples a page shows at most, and what they may come to."""


@dataclass(frozen=True)
class Command:
    """Something to do with a run, as it is typed."""

    purpose: str
    line: str


def keep_samples(run: Run, step: int, shown: Preview) -> None:
    """What a page will show of the samples of a step."""
    _write(run, f"{step:06d}", as_json(shown))


def finish(
    run: Run,
    shown: Preview | None,
    facts: Mapping[str, Any],
    commands: Sequence[Command],
    phases: int = 1,
    units: Sequence[str] = ("", ""),
) -> Path:
    """Keep what there is to say of a run that has come to an end, and write its page.

    shown   samples of the kept weights; None for a family that makes none
    phases  of a step of the family
    units   of its loss in training, and of the held-out one
    """
    known = {
        "samples": None if shown is None else as_json(shown),
        "facts": {name: str(value) for name, value in facts.items()},
        "commands": [asdict(command) for command in commands],
        "phases": phases,
        "units": list(units),
    }
    _write(run, "run", known)
    return write_page(run)


def refresh(path: Path) -> None:
    """Write the page of a run folder anew, if it has one."""
    if (path / "page" / "run.json").exists():
        write_page(Run.open(path))


def write_page(run: Run) -> Path:
    """`index.html` in the run folder, from what lies in it."""
    known, metrics = _read(run.path / "page" / "run.json"), run.metrics()
    judged = run.path / "judge" / "report.json"
    page = (
        _environment()
        .get_template("run.html.j2")
        .render(
            title=run.path.resolve().name,
            shown=known["samples"] and from_json(known["samples"]),
            frames=_frames(run),
            charts=charts(metrics, known.get("units", ("", "")), known["phases"], run.best),
            alarms=[record for record in metrics if "guard" in record],
            facts=known["facts"],
            commands=known["commands"],
            plan=[_named(line) for line in run.plan.rstrip("\n").split("\n")],
            verdict=_read(judged) if judged.exists() else None,
            step=run.step,
        )
    )
    path = run.path / "index.html"
    durable.write(path, page.encode(errors="backslashreplace"))
    return path


@cache
def _environment() -> Environment:
    made = templates(Path(__file__).with_name("templates"))
    made.globals.update(chart_width=WIDTH, chart_height=HEIGHT, marks=MARKS)
    made.filters["sha256"] = lambda text: b64encode(sha256(text.encode()).digest()).decode()
    return made


def _frames(run: Run) -> list[tuple[int, Preview]]:
    """Steps with what is shown of their samples, evenly chosen where they are too many or too large."""
    there = {int(folder.name): folder for folder in (run.path / "samples").glob("[0-9]*")}
    steps = [step for step in sorted(there) if (run.path / "page" / f"{step:06d}.json").exists()]
    files = {step: run.path / "page" / f"{step:06d}.json" for step in steps}
    largest = max((file.stat().st_size for file in files.values()), default=1)
    most = min(FRAMES, FRAMES_BYTES // largest)
    if len(steps) > most:
        steps = [steps[i * (len(steps) - 1) // max(1, most - 1)] for i in range(most)]
    return [(step, from_json(_read(files[step]))) for step in steps]


def _named(line: str) -> tuple[str, str]:
    """A line of the plan: what it is about, and the rest."""
    name, _, rest = line.partition(" ")
    return name, rest.strip()


def _write(run: Run, name: str, what: Any) -> None:
    folder = run.path / "page"
    data = json.dumps(what).encode()
    try:
        durable.io.mkdir(folder)
        durable.write(folder / f"{name}.json", data)
    except OSError as error:
        raise durable.explain(error, run.path, len(data)) from error


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
