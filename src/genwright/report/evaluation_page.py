"""An evaluation report as a page and as JSON.

The page is one file that asks nothing of a network and runs no script. Equal reports give equal bytes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.data.preview import templates
from genwright.errors import RunError
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import Claim, EvaluationReport, MetricResult
from genwright.report.figures import ASKS, HEIGHT, WIDTH, formatted, grouped, skill_of, strip, typeset
from genwright.storage import durable

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["SCHEMA", "html", "missing", "read", "to_json", "write"]

SCHEMA = 1
"""Of the JSON; a reader refuses what it does not know."""


def write(report: EvaluationReport, folder: Path) -> list[Path]:
    """`report.html` and `report.json` in `folder`, each wholly or not at all."""
    twin = json.dumps(to_json(report), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    contents = {"report.html": html(report), "report.json": twin + "\n"}
    # A file name may hold what UTF-8 cannot; as \\udcff it is legal JSON too.
    data = {folder / name: text.encode(errors="backslashreplace") for name, text in contents.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, text in data.items():
            durable.write(path, text)
    except OSError as error:
        raise durable.explain(error, folder, sum(map(len, data.values()))) from error
    return list(data)


# -- JSON ------------------------------------------------------------------------------------------


def to_json(report: EvaluationReport) -> dict[str, Any]:
    """The report as JSON values, nothing rounded; what is not finite is null.

    schema        1
    title         text
    findings      list of {outcome, question, because}; outcome is "supported", "not supported" or
                  "inconclusive"
    metrics       list of {metric, group, better, fault, how, validated, battery, model, refused, floor, copycat,
                  baselines, best_baseline, skill, lead}
                      model, floor, copycat   reading or null; where model is null, refused says why
                      baselines               reading by name
                      best_baseline           name or null
                      skill                   number or null
                      lead                    reading or null: by how much the model is nearer to the floor than
                                              the best baseline, example by example
                  a reading is {value, low, high, n}: low and high bound the 95 % interval, n examples
    galleries     list of {title, note, examples: list of {caption, kind}}; what they show is on the page
    facts         object: the data card
    not_measured  list of text
    """
    return {
        "schema": SCHEMA,
        "title": report.title,
        "findings": [
            {"outcome": f.outcome, "question": f.question, "because": f.because} for f in report.claims
        ],
        "metrics": [_result_json(result) for result in report.results],
        "galleries": [
            {
                "title": gallery.title,
                "note": gallery.note,
                "examples": [{"caption": c, "kind": shown.kind} for c, shown in gallery.rows],
            }
            for gallery in report.galleries
        ],
        "facts": _plain(report.facts),
        "not_measured": list(report.not_measured),
    }


def _result_json(result: MetricResult) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "group": result.group,
        "better": result.better,
        "fault": result.fault,
        "equal": result.equal,
        "how": result.how,
        "validated": result.validated,
        "battery": result.validation,
        "model": _measurement_json(result.model),
        "refused": result.refused,
        "floor": _measurement_json(result.real_baseline),
        "copycat": _measurement_json(result.train_copy),
        "baselines": {name: _measurement_json(r) for name, r in result.baselines.items()},
        "best_baseline": result.best,
        "skill": _plain(result.skill),
        "lead": _measurement_json(result.lead),
    }


def _measurement_json(one: Measurement | None) -> dict[str, Any] | None:
    if one is None:
        return None
    bounds = {"value": one.value, "low": one.low, "high": one.high}
    return {name: _plain(value) for name, value in bounds.items()} | {"n": int(one.n)}


def _plain(value: Any) -> Any:
    """As JSON has it; a path or another object becomes its text."""
    if isinstance(value, np.generic | np.ndarray):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def read(path: Path) -> EvaluationReport:
    """The report in a `report.json`, without its galleries. Raises `RunError` for a file that holds none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        if found["schema"] != SCHEMA:
            raise ValueError(f"its schema is {found['schema']}, and {SCHEMA} is known")
        return _from_json(found)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise RunError(
            f"{path} holds no report ({error}): judge that run again", code="damaged-report"
        ) from error


def _from_json(found: Mapping[str, Any]) -> EvaluationReport:
    """The report that `to_json` gave, without its galleries."""
    claims = (Claim(f["outcome"], f["question"], f["because"]) for f in found["findings"])
    return EvaluationReport(
        title=found["title"],
        claims=tuple(claims),
        facts=found["facts"],
        results=tuple(_result(one) for one in found["metrics"]),
        not_measured=tuple(found["not_measured"]),
    )


def _result(one: Mapping[str, Any]) -> MetricResult:
    return MetricResult(
        metric=one["metric"],
        group=one["group"],
        better=one["better"],
        how=one["how"],
        validated=one["validated"],
        model=_measurement(one["model"]),
        real_baseline=_measurement(one["floor"]),
        train_copy=_measurement(one["copycat"]),
        baselines={name: made for name, b in one["baselines"].items() if (made := _measurement(b))},
        skill=one["skill"],
        refused=one["refused"],
        validation=one["battery"],
        fault=one.get("fault", "either"),
        equal=one.get("equal"),
        lead=_measurement(one["lead"]),
    )


def _measurement(one: Mapping[str, Any] | None) -> Measurement | None:
    if one is None:
        return None
    # What is not finite was written as null.
    value, low, high = (
        math.nan if one[name] is None else one[name] for name in ("value", "low", "high")
    )
    return Measurement(value, low, high, one["n"])


# -- the page --------------------------------------------------------------------------------------

MARKS = {"supported": "✓", "not supported": "✗", "inconclusive": "?"}
BETTER = {"lower": "lower is better", "higher": "higher is better", "near": "best near the floor"}
HEADS = ("Metric", "Model", "Where it lies", "Floor", "Copycat", "Baselines", "Skill", "Validation")


def html(report: EvaluationReport) -> str:
    """The whole page. `dir="auto"` keeps a text that runs the other way within its own element."""
    return (
        _environment()
        .get_template("evaluation.html.j2")
        .render(
            title=report.title,
            report=report,
            groups=grouped(report.results),
            asks=ASKS,
            heads=(*HEADS, "How to read it"),
            marks=MARKS,
            facts={str(name): _fact(value) for name, value in report.facts.items()},
            missing=missing(report),
        )
    )


@cache
def _environment() -> Environment:
    """The templates, with what they need to write a measurement."""
    made = templates(Path(__file__).with_name("templates"))
    made.globals.update(strip_width=WIDTH, strip_height=HEIGHT, better=BETTER)
    made.filters.update(
        formatted=lambda one: [typeset(part) for part in formatted(one)],
        count=lambda n: typeset(f"{n:,}"),
        skill=lambda skill: typeset(skill_of(skill)),
        strip=strip,
        said=_said,
    )
    return made


def missing(report: EvaluationReport) -> list[str]:
    """What was not measured, with the metrics that refused; each once."""
    refused = [
        one.refused if one.metric in one.refused else f"{one.metric}: {one.refused or 'no reason given'}"
        for one in report.results
        if one.model is None
    ]
    return list(dict.fromkeys([*refused, *report.not_measured]))


def _said(result: MetricResult) -> str:
    """The strip in words, for who does not see it."""
    company = {"floor": result.real_baseline, "copycat": result.train_copy, **result.baselines}
    named = {"model": result.model, **company}
    said = [f"{name} {typeset(formatted(one)[0])}" for name, one in named.items() if one is not None]
    return f"{result.metric}: {', '.join(said)}"


def _fact(value: Any) -> str:
    """In words, and digit by digit as it is: hashes, seeds and commands are there to be copied."""
    value = _plain(value)
    if isinstance(value, dict):
        return ", ".join(f"{name} {_fact(inner)}" for name, inner in value.items())
    if isinstance(value, list):
        return ", ".join(map(_fact, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)
