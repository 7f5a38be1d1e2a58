"""What a training logged, as charts: lines over the steps, axes with their units, and where the guard stepped in."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from genwright.report.figures import typeset

__all__ = ["HEIGHT", "WIDTH", "Chart", "Curve", "IssueMark", "Tick", "charts"]

WIDTH, HEIGHT = 460, 210
LEFT, RIGHT, TOP, BOTTOM = 52, 10, 20, 34
"""Room around the frame of a chart, in units of its drawing."""
POINTS = 200
"""Of one line; more are averaged."""
SHOWN = 0.98
"""Share of a line's points that decides how high a chart is: the first steps of many lie far above all others."""
NUMBERED = 12
"""Numbers of alarms that are written on one chart, at most."""

Points = list[tuple[int, float]]


@dataclass(frozen=True)
class Curve:
    """A quantity over the steps, as points of an SVG line; `left` are those of ways that training came back from.

    last  its last value, as text
    """

    name: str
    points: str
    left: tuple[str, ...]
    last: str


@dataclass(frozen=True)
class Tick:
    """A place on an axis, and what is written there."""

    at: float
    text: str


@dataclass(frozen=True)
class IssueMark:
    """An alarm on a chart: where, its number in the table, and what is said of it."""

    x: float
    number: int
    words: str


@dataclass(frozen=True)
class Chart:
    """Lines on one pair of axes.

    kept  where the weights that were kept stand on the held-out line
    """

    title: str
    unit: str
    lines: tuple[Curve, ...]
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    marks: tuple[IssueMark, ...] = field(default_factory=tuple)
    kept: tuple[float, float] | None = None


def charts(
    records: Sequence[Mapping[str, Any]],
    units: Sequence[str] = ("", ""),
    phases: int = 1,
    best: int | None = None,
) -> list[Chart]:
    """The loss in training and beside it the held-out one, then its terms, and what samples measured.

    units   of the loss in training and of the held-out one, as the family says
    phases  of a step: the held-out loss is that of the first
    best    the step whose weights were kept, if some were chosen
    """
    found = _series(records)
    end = max((step for points in found.values() for step, _ in points), default=0)
    issues = [record for record in records if "guard" in record]
    marks = tuple(
        IssueMark(
            _across(min(issue["step"], end), end),
            number if number <= NUMBERED else 0,
            f"step {issue['step']:,}: {issue['words']}",
        )
        for number, issue in enumerate(issues, 1)
    )
    unit, unit_held = units
    held = found.pop("val_loss", [])
    terms = {name: found.pop(name) for name in list(found) if name.startswith("loss/")}
    together = bool(held) and phases == 1 and unit == unit_held
    made = []
    if together:
        lines = {"in training": _total(terms.values()), "held out": held}
        made.append(_chart("Loss", unit, lines, end, marks, best))
    elif held:
        made.append(_chart("Held-out loss", unit_held, {"held out": held}, end, marks, best))
    if len(terms) > 1 or not together:
        for name, points in terms.items():
            title = f"Term of the loss: {name.removeprefix('loss/')}"
            made.append(_chart(title, unit, {"in training": points}, end, marks))
    for name, points in found.items():
        title, of = NAMES.get(name, (f"{name.removeprefix('judge/')} of samples", "by the judge"))
        made.append(_chart(title, of, {name.removeprefix("judge/"): points}, end, marks))
    return made


NAMES = {"coverage": ("Coverage", "of what real examples cover themselves; 1 is all of it")}


def _series(records: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    """What is drawn, by name, in the order of the log."""
    found: dict[str, Points] = {}
    for record in records:
        for name, value in record.items():
            shown = name.startswith(("loss/", "judge/")) or name in ("val_loss", "coverage")
            if shown and math.isfinite(value):
                found.setdefault(name, []).append((record["step"], value))
    return found


def _total(terms: Iterable[Points]) -> Points:
    """The sum of terms that were logged together: step by step, also where training came back to one."""
    return [(some[0][0], sum(value for _, value in some)) for some in zip(*terms, strict=False)]


# -- drawing ---------------------------------------------------------------------------------------


def _chart(
    title: str,
    unit: str,
    named: Mapping[str, Points],
    end: int,
    marks: tuple[IssueMark, ...],
    best: int | None = None,
) -> Chart:
    """best: a step to show on the last line."""
    low, high = _bounds([[value for _, value in points] for points in named.values() if points])
    up = _ticks(low, high, whole=True)
    low, high = up[0], up[-1]

    def drawn(points: Points) -> str:
        return " ".join(f"{_across(x, end):.1f},{_up(y, low, high):.1f}" for x, y in _thinned(points))

    lines, kept = [], Points()
    for name, points in named.items():
        kept, left = _ways(points)
        last = typeset(f"{kept[-1][1]:.4g}") if kept else ""
        lines.append(Curve(name, drawn(kept), tuple(map(drawn, left)), last))
    across = [step for step in _ticks(0, end) if step == int(step)]
    digits = max(0, -math.floor(math.log10(up[1] - up[0]) + 1e-9))
    return Chart(
        title,
        unit,
        tuple(lines),
        tuple(Tick(_across(step, end), typeset(f"{step:,.0f}")) for step in across),
        tuple(Tick(_up(value, low, high), typeset(f"{value + 0.0:,.{digits}f}")) for value in up),
        marks,
        next(((_across(x, end), _up(y, low, high)) for x, y in kept if x == best), None),
    )


def _bounds(lines: Sequence[Sequence[float]]) -> tuple[float, float]:
    """The ends of the vertical axis: all of most points of each line."""
    if not lines:
        return 0.0, 1.0
    low = min(map(min, lines))
    high = max(sorted(values)[int((len(values) - 1) * SHOWN)] for values in lines)
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _ticks(low: float, high: float, *, whole: bool = False) -> list[float]:
    """Round numbers between `low` and `high`, or with `whole` around them, a step of 1, 2 or 5 times a power of
    ten apart."""
    rough = (high - low) / 4 or 1.0
    ten = 10.0 ** math.floor(math.log10(rough))
    step = next(ten * of for of in (1, 2, 5, 10) if ten * of >= rough * 0.999)
    least, most = low / step, high / step
    first = math.floor(least + 1e-9) if whole else math.ceil(least - 1e-9)
    last = math.ceil(most - 1e-9) if whole else math.floor(most + 1e-9)
    return [i * step for i in range(first, last + 1)]


def _across(step: float, end: float) -> float:
    return round(LEFT + step / (end or 1) * (WIDTH - LEFT - RIGHT), 1)


def _up(value: float, low: float, high: float) -> float:
    share = (min(value, high) - low) / (high - low or 1.0)
    return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)


def _ways(points: Points) -> tuple[Points, list[Points]]:
    """The way that led to the end, and those that training came back from: after a rollback the steps begin
    anew further down."""
    kept: Points = []
    left: list[Points] = []
    for point in points:
        if kept and point[0] <= kept[-1][0]:
            back = next(i for i, (step, _) in enumerate(kept) if step >= point[0])
            left.append(kept[max(0, back - 1) :])
            kept = kept[:back]
        kept.append(point)
    return kept, left


def _thinned(points: Points) -> Points:
    """At most `POINTS`, each the mean of its neighbours; both ends stay."""
    if len(points) <= POINTS:
        return points
    edges = [i * len(points) // POINTS for i in range(POINTS + 1)]
    parts = [points[a:b] for a, b in pairwise(edges)]
    middle = [(part[len(part) // 2][0], sum(y for _, y in part) / len(part)) for part in parts]
    return [points[0], *middle[1:-1], points[-1]]
