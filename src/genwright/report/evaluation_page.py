"""A judgement as a page, as JSON and on one screen of a terminal.

The page is one file that asks nothing of a network and runs no script. Equal judgements give equal bytes.
"""

from __future__ import annotations

import json
import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.preview import as_html
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import Claim, EvaluationReport, Gallery, MetricResult
from genwright.report.charts import STYLE, figures, grouped, skill_of, table
from genwright.storage import durable

__all__ = ["SCHEMA", "html", "summary", "to_json", "write"]

SCHEMA = 1
"""Of the JSON; a reader refuses what it does not know."""


def write(judgement: EvaluationReport, folder: Path) -> list[Path]:
    """`report.html` and `report.json` in `folder`, each wholly or not at all."""
    twin = json.dumps(to_json(judgement), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False)
    contents = {"report.html": html(judgement), "report.json": twin + "\n"}
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


def to_json(judgement: EvaluationReport) -> dict[str, Any]:
    """The judgement as JSON values, nothing rounded; what is not finite is null.

    schema        1
    title         text
    findings      list of {outcome, question, because}; outcome is "supported", "not supported" or
                  "inconclusive"
    metrics       list of {metric, group, better, how, validated, battery, model, refused, floor, copycat,
                  baselines, best_baseline, skill}
                      model, floor, copycat   reading or null; where model is null, refused says why
                      baselines               reading by name
                      best_baseline           name or null
                      skill                   number or null
                  a reading is {value, low, high, n}: low and high bound the 95 % interval, n examples
    galleries     list of {title, note, examples: list of {caption, kind}}; what they show is on the page
    facts         object: the data card
    not_measured  list of text
    """
    return {
        "schema": SCHEMA,
        "title": judgement.title,
        "findings": [
            {"outcome": f.outcome, "question": f.question, "because": f.because}
            for f in judgement.claims
        ],
        "metrics": [_line_json(result) for result in judgement.results],
        "galleries": [
            {
                "title": gallery.title,
                "note": gallery.note,
                "examples": [{"caption": c, "kind": shown.kind} for c, shown in gallery.rows],
            }
            for gallery in judgement.galleries
        ],
        "facts": _plain(judgement.facts),
        "not_measured": list(judgement.not_measured),
    }


def _line_json(result: MetricResult) -> dict[str, Any]:
    return {
        "metric": result.metric,
        "group": result.group,
        "better": result.better,
        "how": result.how,
        "validated": result.validated,
        "battery": result.validation,
        "model": _reading_json(result.model),
        "refused": result.refused,
        "floor": _reading_json(result.real_baseline),
        "copycat": _reading_json(result.train_copy),
        "baselines": {name: _reading_json(r) for name, r in result.baselines.items()},
        "best_baseline": result.best,
        "skill": _plain(result.skill),
    }


def _reading_json(reading: Measurement | None) -> dict[str, Any] | None:
    if reading is None:
        return None
    bounds = {"value": reading.value, "low": reading.low, "high": reading.high}
    return {name: _plain(value) for name, value in bounds.items()} | {"n": int(reading.n)}


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


# -- what both pages order -------------------------------------------------------------------------

_MARKS = {"supported": "✓", "not supported": "✗", "inconclusive": "?"}
_TERMINAL_MARKS = {"supported": "+", "not supported": "-", "inconclusive": "?"}


def _missing(judgement: EvaluationReport) -> list[str]:
    """What was not measured, with the metrics that refused; each once."""
    refused = [
        result.refused
        if result.metric in result.refused
        else f"{result.metric}: {result.refused or 'no reason given'}"
        for result in judgement.results
        if result.model is None
    ]
    return list(dict.fromkeys([*refused, *judgement.not_measured]))


# -- the page --------------------------------------------------------------------------------------


def html(judgement: EvaluationReport) -> str:
    """The whole page. `dir="auto"` keeps a text that runs the other way within its own element."""
    title = escape(judgement.title)
    parts = {
        "verdict": ("Verdict", _verdict(judgement.claims)),
        "figures": ("Figures", table(judgement.results)),
        "examples": ("Examples", "".join(map(_gallery, judgement.galleries))),
        "card": ("Data card", _card(judgement.facts)),
        "missing": ("Not measured", _list(_missing(judgement))),
    }
    parts = {name: part for name, part in parts.items() if part[1]}
    links = "".join(f'<a href="#{name}">{head}</a>' for name, (head, _) in parts.items())
    body = "".join(
        f'<section id="{name}" aria-labelledby="{name}-head"><h2 id="{name}-head">{head}</h2>{inner}'
        f"</section>"
        for name, (head, inner) in parts.items()
    )
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style></head><body>"
        f'<header><h1 dir="auto">{title}</h1><nav aria-label="Parts">{links}</nav></header>'
        f"<main>{body}</main></body></html>\n"
    )


_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Should an escape ever fail, the browser still runs and fetches nothing."""


def _verdict(findings: Iterable[Claim]) -> str:
    items = "".join(
        f'<li class="{f.outcome.replace(" ", "-")}"><span class="mark" aria-hidden="true">'
        f'{_MARKS[f.outcome]}</span><div><p><b dir="auto">{escape(f.question)}</b> '
        f'<span class="outcome">{f.outcome}</span></p><p dir="auto">{escape(f.because)}</p></div></li>'
        for f in findings
    )
    return f'<ul class="verdict">{items}</ul>' if items else "<p>Nothing could be concluded.</p>"


def _gallery(gallery: Gallery) -> str:
    rows = "".join(
        f'<figure>{as_html(shown, caption)}<figcaption dir="auto">{escape(caption)}</figcaption></figure>'
        for caption, shown in gallery.rows
    )
    return (
        f'<div class="gallery"><h3 dir="auto">{escape(gallery.title)}</h3>'
        f'<p dir="auto">{escape(gallery.note)}</p>{rows}</div>'
    )


def _card(facts: Mapping[str, Any]) -> str:
    rows = "".join(
        f'<tr><th scope="row" dir="auto">{escape(str(name))}</th>'
        f'<td dir="auto">{escape(_fact(value))}</td></tr>'
        for name, value in facts.items()
    )
    return f'<table class="card"><tbody>{rows}</tbody></table>' if rows else ""


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


def _list(sentences: Iterable[str]) -> str:
    items = "".join(f'<li dir="auto">{escape(sentence)}</li>' for sentence in sentences)
    return f"<ul>{items}</ul>" if items else ""


# -- the terminal ----------------------------------------------------------------------------------

COLUMNS, ROWS = 100, 40
"""Of one screen."""


def summary(judgement: EvaluationReport) -> str:
    """One screen: what was found, the figures, and what was not measured."""
    found = _most([_finding(finding) for finding in judgement.claims], 6, "findings")
    head = [*_wrapped("", judgement.title, 1), "", *found]
    missing = _most(
        [_wrapped("  ", sentence, 1) for sentence in _missing(judgement)], 6, "in the report"
    )
    tail = ["", "not measured", *missing] if missing else []
    figures = _figures(judgement, ROWS - len(head) - len(tail) - 1)
    lines = [*head, "", *figures, *tail] if figures else [*head, *tail]
    return "\n".join(result.replace(_HELD, "").rstrip() for result in lines)


def _finding(finding: Claim) -> list[str]:
    lead = f"{_TERMINAL_MARKS[finding.outcome]} {finding.outcome:<13}  "
    return _wrapped(lead, f"{finding.question} {finding.because}", 2)


def _figures(judgement: EvaluationReport, room: int) -> list[str]:
    """The table in `room` lines: its head, a row a metric, and what the star means."""
    lines = [result for group in grouped(judgement.results).values() for result in group]
    if not lines:
        return []
    starred = any(not result.validated for result in lines)
    rows = [
        [" metric", "model [95 % interval]", "floor", "copycat", "best baseline", "skill"],
        *map(_cells, lines),
    ]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    over = sum(widths) + len(widths) - 1 - COLUMNS
    for place, least in ((4, 14), (0, 12)):  # names give way, figures do not
        less = min(max(over, 0), max(0, widths[place] - least))
        widths[place], over = widths[place] - less, over - less
    table = [
        " ".join(_fitted(cell, width) for cell, width in zip(row, widths, strict=True)) for row in rows
    ]
    kept = _most([[row] for row in table[1:]], room - 1 - starred, "metrics")
    star = ["* unvalidated: the metric fails on cases whose answer is known"] if starred else []
    return [table[0], *kept, *star]


def _cells(result: MetricResult) -> list[str]:
    model = "not measured"
    if result.model is not None:
        value, low, high = figures(result.model)
        model = f"{value} [{low}, {high}]"
    return [
        (" " if result.validated else "*") + _clean(result.metric),
        model,
        figures(result.real_baseline)[0] if result.real_baseline else "-",
        figures(result.train_copy)[0] if result.train_copy else "-",
        f"{figures(result.baselines[result.best])[0]} {_clean(result.best)}" if result.best else "-",
        skill_of(result.skill) or "-",
    ]


def _fitted(cell: str, width: int) -> str:
    return cell.ljust(width) if len(cell) <= width else cell[: width - 2] + ".."


def _most(blocks: Sequence[list[str]], most: int, what: str) -> list[str]:
    """The lines of at most so many blocks, the last of which says how many more there are."""
    if len(blocks) > most:
        blocks = [*blocks[: most - 1], [f"  ... and {len(blocks) - most + 1} more {what}"]]
    return [result for block in blocks for result in block]


def _wrapped(lead: str, text: str, most: int) -> list[str]:
    """At most so many lines, the first after `lead` and the others beneath it."""
    room = COLUMNS - len(" ...")
    lines = textwrap.wrap(_clean(text), room, initial_indent=lead, subsequent_indent=" " * len(lead))
    return lines if len(lines) <= most else [*lines[: most - 1], lines[most - 1] + " ..."]


_HELD = "\0"


def _clean(text: str) -> str:
    """What a terminal can be given: no control or direction characters, for a file name may hold them.
    A character two columns wide is followed by a place-holder, so that lengths are columns."""
    printable = "".join(c for c in " ".join(text.split()) if c.isprintable())
    return "".join(c + _HELD if unicodedata.east_asian_width(c) in "WF" else c for c in printable)
