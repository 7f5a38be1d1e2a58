"""Readings as HTML: how a number is written, where it lies among its company, and the table of them all."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from html import escape

from genwright.evaluation.metric import Group, Measurement
from genwright.evaluation.results import MetricResult

__all__ = ["STYLE", "figures", "grouped", "skill_of", "table"]

WIDTH, HEIGHT, PAD = 240, 52, 8
DIGITS = 5
"""Significant digits at most, whatever an interval promises."""
BIG = 6
"""Places before or behind the point beyond which a number takes a power of ten."""
FAR = 20
"""A scale is compressed where the largest mark is so many times the median one."""


# -- numbers ---------------------------------------------------------------------------------------


def figures(measurement: Measurement) -> tuple[str, str, str]:
    """Value, low and high in ASCII, with the digits that the interval's width leaves."""
    three = (measurement.value, measurement.low, measurement.high)
    size = max((abs(v) for v in three if math.isfinite(v)), default=0.0)
    spell = spelling(size, measurement.high / 2 - measurement.low / 2)
    value, low, high = map(spell, three)
    return value, low, high


def spelling(size: float, half: float) -> Callable[[float], str]:
    """How to write numbers up to `size` that are known to within `half`.

    To the second significant digit of `half`: a further one says nothing. Where `half` is no width, to
    the fourth of `size`. Very large and very small numbers take a power of ten.
    """
    first = _order(size)
    last = _order(half) - 1 if math.isfinite(half) and half > 0 else min(first - 3, 0)
    if first < BIG and last > 0:
        return _fixed(last)
    last = max(last, first - DIGITS + 1)
    return _scientific(first - last) if first >= BIG or last < -BIG else _fixed(min(last, 0))


def skill_of(skill: float | None) -> str:
    """Two places; no more is known."""
    return "" if skill is None else spelling(abs(skill), 0.5)(skill)


def _order(value: float) -> int:
    """The power of ten of the first digit."""
    return math.floor(math.log10(abs(value))) if value and math.isfinite(value) else 0


def _fixed(last: int) -> Callable[[float], str]:
    """Down to the digit of 10^`last`, thousands grouped."""
    # Adding zero takes the sign off a -0.0 that rounding leaves.
    return lambda v: f"{round(v, -last) + 0.0:,.{max(0, -last)}f}" if math.isfinite(v) else _odd(v)


def _scientific(places: int) -> Callable[[float], str]:
    """With `places` behind the point, as 1.20e-07; three at most, for a narrow column."""
    places = min(max(places, 0), 3)
    return lambda v: ("0" if not v else f"{v:.{places}e}") if math.isfinite(v) else _odd(v)


def _odd(value: float) -> str:
    return "?" if math.isnan(value) else "inf" if value > 0 else "-inf"


def typeset(number: str) -> str:
    """A number in ASCII as a printer sets it: a true minus, narrow spaces, a power of ten."""
    number = re.sub(r"(?<=\d),(?=\d)", "\u202f", number)
    number = re.sub(r"e([+-])0*(\d+)", _power, number)
    return number.replace("-", "−").replace("inf", "∞")


def _power(found: re.Match[str]) -> str:
    sign = "⁻" if found[1] == "-" else ""
    return "\u202f×\u202f10" + sign + found[2].translate(str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹"))


# -- the strip -------------------------------------------------------------------------------------


def strip(result: MetricResult) -> str:
    """Model and company of one metric on one axis; "" where there is nothing to place.

    Above, the model with its interval; below, copycat and baselines; the floor is a band through both.
    A dotted axis is compressed.
    """
    company = {"copycat": result.train_copy, **result.baselines}
    measurements = [r for r in (result.model, result.real_baseline, *company.values()) if r is not None]
    marks = [r.value for r in measurements if math.isfinite(r.value)]
    if not marks:
        return ""
    wide = [v for r in (result.model, result.real_baseline) if r is not None for v in (r.low, r.high)]
    limits = [*marks, *(v for v in wide if math.isfinite(v))]
    low, high = min(limits), max(limits)
    scale, compressed = _scale(marks, [r for r in (result.model, result.real_baseline) if r is not None])
    left, right = scale(low), scale(high)

    def place(value: float) -> str:
        share = (scale(value) - left) / (right - left) if right > left else 0.5
        return f"{PAD + share * (WIDTH - 2 * PAD):.1f}"

    drawn = [_axis(result, low, high, place, compressed)]
    if result.real_baseline is not None and math.isfinite(result.real_baseline.value):
        drawn.append(_floor(result.real_baseline, place))
    for name, measurement in company.items():
        if measurement is not None and math.isfinite(measurement.value):
            shape = _DIAMOND if name == "copycat" else _CIRCLE
            drawn.append(_mark(shape, name, measurement, place))
    if result.model is not None and math.isfinite(result.model.value):
        drawn.append(_model(result.model, place))
    return (
        f'<svg class="strip" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_said(result)}">'
        f"{''.join(drawn)}</svg>"
    )


def _scale(marks: Iterable[float], sure: Iterable[Measurement]) -> tuple[Callable[[float], float], bool]:
    """A rising function of a value, and whether it is compressed.

    One wild baseline would press all others into a point. asinh(v / s) is straight up to s and a
    logarithm beyond; s is the narrower half-interval of model and floor, below which nothing is seen
    anyway.
    """
    sizes = sorted(abs(value) for value in marks)
    largest, median = sizes[-1] or 1.0, sizes[(len(sizes) - 1) // 2]
    if largest <= FAR * median or len(sizes) < 3:
        return (lambda value: value / largest), False
    halves = [measurement.high / 2 - measurement.low / 2 for measurement in sure]
    known = [half / largest for half in halves if math.isfinite(half) and half > 0]
    straight = max(min(known, default=next(size for size in sizes if size) / largest), 1e-6)
    return (lambda value: math.asinh(value / largest / straight)), True


def _axis(
    result: MetricResult, low: float, high: float, place: Callable[[float], str], compressed: bool
) -> str:
    """The line with its ends written out, zero where it lies between, and which way is better."""
    better = {"lower": "← better", "higher": "better →", "near": "best at the floor"}[result.better]
    dots = ' stroke-dasharray="1 3"' if compressed else ""
    ends = [f'<text class="mid" x="{WIDTH / 2:g}" y="49">{better}</text>']
    if high > low:
        first, last = (
            typeset(spelling(abs(v), abs(v) / 5 if compressed else high / 2 - low / 2)(v))
            for v in (low, high)
        )
        ends += [
            f'<text x="{PAD - 6}" y="49">{first}</text>',
            f'<text class="end" x="{WIDTH - PAD + 6}" y="49">{last}</text>',
        ]
    zero = f'<path class="axis" d="M{place(0)},35v6"/>' if low < 0 < high else ""
    return f'<path class="axis"{dots} d="M{PAD},38H{WIDTH - PAD}"/>{zero}{"".join(ends)}'


def _floor(real_baseline: Measurement, place: Callable[[float], str]) -> str:
    band = ""
    if math.isfinite(real_baseline.low) and math.isfinite(real_baseline.high):
        left, right = place(real_baseline.low), place(real_baseline.high)
        width = f"{max(0.0, float(right) - float(left)):.1f}"
        band = f'<rect class="band" x="{left}" y="3" width="{width}" height="35"/>'
    return f'{band}<path class="floor" d="M{place(real_baseline.value)},3v35"/>'


def _model(model: Measurement, place: Callable[[float], str]) -> str:
    bar = ""
    if math.isfinite(model.low) and math.isfinite(model.high):
        bar = f'<path class="bar" d="M{place(model.low)},12H{place(model.high)}"/>'
    return f'{bar}<circle class="model" cx="{place(model.value)}" cy="12" r="3.8"/>'


_CIRCLE = '<circle class="base" cx="{x}" cy="27" r="4">{title}</circle>'
_DIAMOND = '<path class="copy" d="M{x},22l5,5l-5,5l-5,-5z">{title}</path>'


def _mark(shape: str, name: str, measurement: Measurement, place: Callable[[float], str]) -> str:
    title = f"<title>{escape(name)} {typeset(figures(measurement)[0])}</title>"
    return shape.replace("{x}", place(measurement.value)).replace("{title}", title)


def _said(result: MetricResult) -> str:
    """The picture in words, for who does not see it."""
    named = {
        "model": result.model,
        "floor": result.real_baseline,
        "copycat": result.train_copy,
        **result.baselines,
    }
    said = [f"{name} {typeset(figures(r)[0])}" for name, r in named.items() if r is not None]
    return escape(f"{result.metric}: {', '.join(said)}")


_ICON = '<svg class="icon" viewBox="0 0 26 14" aria-hidden="true">{}</svg>'
_LEGEND = "".join(
    f"<span>{_ICON.format(shape)} {word}</span>"
    for shape, word in (
        (
            '<path class="bar" d="M1,7H25"/><circle class="model" cx="13" cy="7" r="3.8"/>',
            "model, 95 % interval",
        ),
        (
            '<rect class="band" x="6" y="0" width="14" height="14"/><path class="floor" d="M13,0v14"/>',
            "floor: real against real",
        ),
        ('<path class="copy" d="M13,2l5,5l-5,5l-5,-5z"/>', "copycat: training examples, copied"),
        ('<circle class="base" cx="13" cy="7" r="4"/>', "baseline: a trivial generator"),
        (
            '<path class="axis" stroke-dasharray="1 3" d="M1,7H25"/>',
            "dotted axis: compressed, like a logarithm",
        ),
    )
)


# -- the table -----------------------------------------------------------------------------------

_ASKS: dict[Group, str] = {
    "fidelity": "does each example look real?",
    "diversity": "is the variety of real examples there?",
    "novelty": "is it new, or copied?",
    "likelihood": "does the model expect real examples?",
    "usefulness": "does it do the work of real data?",
    "validity": "does it keep the rules of the data?",
}


def grouped(results: Sequence[MetricResult]) -> dict[Group, list[MetricResult]]:
    """In the order of the groups; those with no line are left out."""
    groups = {group: [result for result in results if result.group == group] for group in _ASKS}
    return {group: found for group, found in groups.items() if found}


_HEADS = ("Metric", "Model", "Where it lies", "Floor", "Copycat", "Baselines", "Skill", "Battery")
_LAST = "How to read it"


def table(results: Sequence[MetricResult]) -> str:
    """The lines, group by group, with legend and caption."""
    groups = grouped(results)
    if not groups:
        return "<p>No metric was asked.</p>"
    heads = "".join(f'<th scope="col">{head}</th>' for head in (*_HEADS, _LAST))
    bodies = "".join(
        f'<tbody><tr class="group"><th scope="rowgroup" colspan="{len(_HEADS) + 1}">'
        f"<b>{group}</b> {_ASKS[group]}</th></tr>{''.join(map(_row, found))}</tbody>"
        for group, found in groups.items()
    )
    return (
        f'<p class="legend">{_LEGEND}</p><table class="figures"><caption>{_CAPTION}</caption>'
        f"<thead><tr>{heads}</tr></thead>{bodies}</table>"
    )


_CAPTION = (
    "Each figure with its 95 % interval and n examples; an interval may leave out its figure where a known "
    "bias is taken off. Skill: 1 is as good as further real examples, 0 no better than the best baseline; "
    "not defined where the two cannot be told apart. "
    "Battery: whether the metric passes on cases whose answer is known."
)
_BETTER = {"lower": "lower is better", "higher": "higher is better", "near": "best near the floor"}


def _none(why: str) -> str:
    return f'<span class="none" dir="auto">{escape(why)}</span>'


def _row(result: MetricResult) -> str:
    model = _reading(result.model) or _none(f"not measured: {result.refused or 'no reason given'}")
    baselines = "".join(
        f'<div><span class="name" dir="auto">{escape(name)}</span> {_reading(one, result.model)}</div>'
        for name, one in result.baselines.items()
    )
    skill = typeset(skill_of(result.skill))
    shown = "✓ passes" if result.validated else '<b class="fails">✗ unvalidated</b>'
    battery = f'<span title="{escape(result.validation)}">{shown}</span>'
    if not result.validated and result.validation:
        battery += f'<p class="name">{escape(result.validation)}</p>'
    cells = (
        model,
        strip(result),
        _reading(result.real_baseline, result.model),
        _reading(result.train_copy, result.model),
        baselines,
        f'<span class="num">{skill}</span>' if skill else _none("not defined"),
        battery,
        f'<span dir="auto">{escape(result.how)}</span>',
    )
    named = zip((*_HEADS[1:], _LAST), cells, strict=True)
    return (
        f'<tr><th class="metric" scope="row"><b dir="auto">{escape(result.metric)}</b>'
        f"<small>{_BETTER[result.better]}</small></th>"
        + "".join(
            f'<td class="{head.split()[0].lower()}" data-label="{head}">{cell or _none("not measured")}</td>'
            for head, cell in named
        )
        + "</tr>"
    )


def _reading(measurement: Measurement | None, beside: Measurement | None = None) -> str:
    """The value above its interval; how many examples, unless as many as `beside`."""
    if measurement is None:
        return ""
    value, low, high = map(typeset, figures(measurement))
    count = f"n\u202f=\u202f{typeset(f'{measurement.n:,}')}"
    n = "" if beside is not None and beside.n == measurement.n else f' <span class="num">{count}</span>'
    return (
        f'<span class="num value">{value}</span> '
        f'<small><span class="num">[{low},</span> <span class="num">{high}]</span>{n}</small>'
    )


# -- the page's looks ------------------------------------------------------------------------------

STYLE = """
:root { color-scheme: light dark; --paper: #fcfcfa; --ink: #1d2127; --quiet: #565d68; --line: #d8dbe0;
--tint: #f1f2f3; --good: #1c6b43; --bad: #a3322a; --open: #775800; --model: #1f5eab; --copy: #7a4aa5; }
@media (prefers-color-scheme: dark) { :root { --paper: #15181c; --ink: #e4e7eb; --quiet: #a2a9b4;
--line: #363c45; --tint: #1e2228; --good: #6cc795; --bad: #f08d80; --open: #dcb65e; --model: #7fb5f5;
--copy: #c5a4e8; } }
* { box-sizing: border-box; }
body { font: 16px/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; margin: 0 auto;
max-width: 90rem; padding: 1.5rem 1.25rem 4rem; color: var(--ink); background: var(--paper);
overflow-wrap: anywhere; -webkit-text-size-adjust: 100%; }
h1 { font-size: 1.5rem; line-height: 1.25; margin: 0 0 .4rem; }
h2 { font-size: 1.15rem; margin: 2.4rem 0 .8rem; } h3 { font-size: 1rem; margin: 1.6rem 0 .2rem; }
p, ul { margin: .3rem 0; max-width: 75ch; } small { font-size: .8125rem; color: var(--quiet); }
nav { display: flex; flex-wrap: wrap; gap: .2rem 1.2rem; } nav a { color: var(--model); }
.verdict { list-style: none; padding: 0; margin: 0; max-width: none; display: grid; gap: .7rem;
grid-template-columns: repeat(auto-fill, minmax(min(21rem, 100%), 1fr)); }
.verdict li { display: flex; gap: .8rem; padding: .8rem 1rem; border: 1px solid var(--line);
border-left: .3rem solid var(--tone); border-radius: .3rem; }
.verdict p { margin: 0 0 .2rem; } .supported { --tone: var(--good); } .not-supported { --tone: var(--bad); }
.inconclusive { --tone: var(--open); } .outcome { color: var(--tone); font-weight: 600;
white-space: nowrap; } .mark { flex: none; width: 1.7rem; height: 1.7rem; border-radius: 50%;
border: 2px solid var(--tone); color: var(--tone); font-weight: 700; line-height: 1.45rem;
text-align: center; }
.legend { display: flex; flex-wrap: wrap; gap: .2rem 1.4rem; font-size: .8125rem; max-width: none; }
.legend span { white-space: nowrap; } .icon { width: 26px; height: 14px; vertical-align: -2px; }
table { border-collapse: collapse; font-size: .875rem; line-height: 1.4; }
th, td { text-align: start; vertical-align: top; padding: .5rem .45rem;
border-bottom: 1px solid var(--line); }
caption { caption-side: bottom; text-align: start; padding: .6rem 0; font-size: .8125rem;
color: var(--quiet); } th { font-weight: 600; }
.figures { width: 100%; } .figures thead th { font-size: .8125rem; color: var(--quiet); }
.figures .group th { background: var(--tint); font-weight: 400; color: var(--quiet); }
.group b { color: var(--ink); text-transform: capitalize; margin-right: .5rem; }
.figures small { display: block; font-weight: 400; } .model .value { font-size: 1.125rem; font-weight: 600; }
.num { font-variant-numeric: tabular-nums; white-space: nowrap; } .none { color: var(--quiet); }
.where { width: 14rem; } .how { min-width: 10rem; color: var(--quiet); } .metric { min-width: 8.5rem; }
.figures .baselines { min-width: 13rem; } .figures .baselines small { display: inline; }
.name { color: var(--quiet); }
.fails { color: var(--bad); } .figures thead th, .skill, .validation { overflow-wrap: normal; }
.strip { display: block; width: 13.5rem; overflow: visible; }
.strip text { font-size: 9.5px; fill: var(--quiet); font-variant-numeric: tabular-nums; }
.strip .mid { text-anchor: middle; } .strip .end { text-anchor: end; }
.axis { stroke: var(--quiet); stroke-width: 1; } .band { fill: var(--good); opacity: .22; }
.floor { stroke: var(--good); stroke-width: 1.5; } .bar { stroke: var(--model); stroke-width: 2.5; }
circle.model { fill: var(--model); } .copy { fill: var(--copy); } .base { fill: var(--paper);
stroke: var(--ink); stroke-width: 1.3; }
figure { display: inline-block; vertical-align: top; margin: .6rem 1rem .6rem 0; max-width: 100%; }
figcaption { font-size: .875rem; color: var(--quiet); padding-top: .2rem; max-width: 60ch; }
img { display: block; max-width: 100%; min-width: 6rem; image-rendering: pixelated;
border: 1px solid var(--line); }
pre { white-space: pre-wrap; margin: 0; padding: .7rem .9rem; max-width: 80ch; background: var(--tint);
font: .875rem/1.5 ui-monospace, Menlo, Consolas, monospace; }
.scroll { overflow-x: auto; } .scroll td, .scroll th { white-space: nowrap; padding: .25rem .6rem; }
.card th { font-weight: 400; color: var(--quiet); min-width: 7rem; padding-left: 0; }
@media (max-width: 82rem) { .figures, .figures tbody, .figures caption { display: block; }
.figures thead { position: absolute; clip-path: inset(50%); height: 1px; overflow: hidden; }
.figures tr { display: grid; grid-template-columns: repeat(auto-fit, minmax(7rem, 1fr)); gap: .4rem 1rem;
padding: .8rem 0; border-bottom: 1px solid var(--line); } .figures .group { padding: 0; margin-top: 1rem; }
.figures th, .figures td { border: 0; padding: 0; } .figures .group th { padding: .4rem .6rem; }
.figures [scope], .figures .how { grid-column: 1 / -1; } .figures .where { grid-column: span 2; width: auto; }
.figures .baselines { grid-column: span 2; min-width: 0; }
.figures td::before { content: attr(data-label); display: block; font-size: .8125rem; color: var(--quiet); }
.figures .where::before { display: none; } .strip { width: 24rem; max-width: 100%; } }
@media print { .verdict li, .figures tr, figure { break-inside: avoid; } nav { display: none; } }
"""
