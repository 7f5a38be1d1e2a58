"""How a measurement is written, and where it lies among its company."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from genwright.evaluation.metric import Group, Measurement
from genwright.evaluation.results import MetricResult

__all__ = [
    "ASKS",
    "HEIGHT",
    "WIDTH",
    "Mark",
    "Strip",
    "formatted",
    "grouped",
    "skill_of",
    "strip",
    "typeset",
]

WIDTH, HEIGHT, PAD = 240, 52, 8
"""Of a strip, in units of its drawing."""
DIGITS = 5
"""Significant digits at most, whatever an interval promises."""
BIG = 6
"""Places before or behind the point beyond which a number takes a power of ten."""
FAR = 20
"""A scale is compressed where the largest mark is so many times the median one."""


# -- numbers ---------------------------------------------------------------------------------------


def formatted(measurement: Measurement) -> tuple[str, str, str]:
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


@dataclass(frozen=True)
class Mark:
    """One contender on a strip, with its horizontal place `x`, and those of its interval if it is shown."""

    name: str
    value: str
    x: float
    low: float | None = None
    high: float | None = None

    @property
    def width(self) -> float:
        """Of the interval."""
        return max(0.0, (self.high or 0.0) - (self.low or 0.0))


@dataclass(frozen=True)
class Strip:
    """Model and company of one metric on one axis of `WIDTH`, as a template draws them.

    first, last  what stands at the ends of the axis ("" where all is at one place)
    zero         where zero lies, if between the ends
    compressed   whether the axis is one of `asinh`
    company      the real baseline (a band through both rows), the copy of training examples, and baselines
    """

    metric: str
    better: str
    first: str = ""
    last: str = ""
    zero: float | None = None
    compressed: bool = False
    model: Mark | None = None
    real_baseline: Mark | None = None
    train_copy: Mark | None = None
    baselines: tuple[Mark, ...] = field(default_factory=tuple)


def strip(result: MetricResult) -> Strip | None:
    """Where the measurements of one metric lie; None where there is nothing to place."""
    found = [result.model, result.real_baseline, result.train_copy, *result.baselines.values()]
    values = [one.value for one in found if one is not None and math.isfinite(one.value)]
    if not values:
        return None
    sure = [one for one in (result.model, result.real_baseline) if one is not None]
    ends = [*values, *(v for one in sure for v in (one.low, one.high) if math.isfinite(v))]
    low, high = min(ends), max(ends)
    scale, compressed = _scale(values, sure)
    left, right = scale(low), scale(high)

    def place(value: float) -> float:
        share = (scale(value) - left) / (right - left) if right > left else 0.5
        share = (
            min(max(share, 0.0), 1.0) if math.isfinite(share) else 0.5
        )  # of numbers beyond all bounds
        return round(PAD + share * (WIDTH - 2 * PAD), 1)

    def mark(name: str, one: Measurement | None, *, wide: bool = False) -> Mark | None:
        if one is None or not math.isfinite(one.value):
            return None
        wide = wide and math.isfinite(one.low) and math.isfinite(one.high)
        bounds = (place(one.low), place(one.high)) if wide else (None, None)
        return Mark(name, typeset(formatted(one)[0]), place(one.value), *bounds)

    first, last = (
        typeset(spelling(abs(v), abs(v) / 5 if compressed else high / 2 - low / 2)(v))
        for v in (low, high)
    )
    return Strip(
        result.metric,
        {"lower": "← better", "higher": "better →", "near": "best at the floor"}[result.better],
        *((first, last) if high > low else ("", "")),
        zero=place(0.0) if low < 0 < high else None,
        compressed=compressed,
        model=mark("model", result.model, wide=True),
        real_baseline=mark("floor", result.real_baseline, wide=True),
        train_copy=mark("copycat", result.train_copy),
        baselines=tuple(
            made for name, one in result.baselines.items() if (made := mark(name, one)) is not None
        ),
    )


def _scale(marks: Iterable[float], sure: Iterable[Measurement]) -> tuple[Callable[[float], float], bool]:
    """A rising function of a value, and whether it is compressed.

    One wild baseline would press all others into a point. asinh(v / s) is straight up to s and a
    logarithm beyond; s is the narrower half-interval of model and real baseline, below which nothing is seen
    anyway.
    """
    sizes = sorted(abs(value) for value in marks)
    largest, median = sizes[-1] or 1.0, sizes[(len(sizes) - 1) // 2]
    if largest <= FAR * median or len(sizes) < 3:
        return (lambda value: value / largest), False
    halves = [one.high / 2 - one.low / 2 for one in sure]
    known = [half / largest for half in halves if math.isfinite(half) and half > 0]
    straight = max(min(known, default=next((size for size in sizes if size), largest) / largest), 1e-6)
    return (lambda value: math.asinh(value / largest / straight)), True


# -- by question -----------------------------------------------------------------------------------

ASKS: dict[Group, str] = {
    "accuracy": "is each answer near the right one?",
    "fidelity": "does each example look real?",
    "diversity": "is the variety of real examples there?",
    "condition": "is what is given heeded?",
    "novelty": "is it new, or copied?",
    "likelihood": "does the model expect real examples?",
    "usefulness": "does it do the work of real data?",
    "validity": "does it keep the rules of the data?",
}


def grouped(results: Sequence[MetricResult]) -> dict[Group, list[MetricResult]]:
    """In the order of the groups; those without a result are left out."""
    groups = {group: [one for one in results if one.group == group] for group in ASKS}
    return {group: found for group, found in groups.items() if found}
