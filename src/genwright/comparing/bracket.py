"""Who is trained for how long: a bracket of successive halving (Jamieson and Talwalkar 2016, arXiv:1502.07943).

Every candidate that is trained to the end gets the same seconds of work. Where that would be few, all begin and the
better half goes on, once or more: at the end of rung i of R each has had (2^(i+1) - 1) / (2^R - 1) of a whole
training, so that every rung costs about the same. A training is cut there and goes on from there, under one schedule
of its rate: one that comes to its end is what it would have been without a bracket.

Seconds become steps here, once, by the price of a step. So the trainings do not depend on how fast they come to
run, on how many run at a time, or on whether they were interrupted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from genwright.errors import RecipeError

__all__ = ["AIM", "Bracket", "Price", "RefusedFamily", "plan_bracket"]

AIM = 0.93
"""Of the time, what is planned with: a step may cost a little more than it did when it was measured, and what was
killed does some steps again."""
ENOUGH = 60.0
"""Seconds of a training from which all candidates are trained to the end."""
LEAST_STEPS = 20
"""Of a training up to the end of its first rung."""


@dataclass(frozen=True)
class Price:
    """What a candidate costs here, in seconds of work.

    step      of training
    begin     each time that its training begins or goes on: data, model, page
    judging   to make as many examples as are judged, and to judge them
    choosing  the same of those that it is chosen by, at the end of a rung
    """

    step: float
    begin: float
    judging: float
    choosing: float


@dataclass(frozen=True)
class RefusedFamily:
    """A family that is not trained, and why."""

    family: str
    cause: str


@dataclass(frozen=True)
class Bracket:
    """What will be trained.

    steps    of each candidate to the end, by name
    rungs    for each rung, how much of a training is over at its end
    places   how many candidates are in each rung
    seeds    trainings of each candidate that comes to the last rung
    seconds  of work that the steps of a whole training take
    refused  those that do not fit into the time
    """

    steps: dict[str, int]
    rungs: list[float]
    places: list[int]
    seeds: int
    seconds: float
    refused: list[RefusedFamily]

    def until(self, name: str, rung: int) -> int:
        """The step at which a candidate's training is cut at the end of a rung."""
        return max(1, round(self.rungs[rung] * self.steps[name]))


def plan_bracket(
    prices: dict[str, Price], available: float, seeds: int = 1, *, chooses: bool = True
) -> Bracket:
    """The bracket for the seconds that are available.

    prices   of the candidates, by name
    seeds    trainings of each that comes to the last rung
    chooses  whether there is anything to choose by at the end of a rung
    Raises `RecipeError` where not even one candidate fits, with the time that would be enough.
    """
    left, refused = dict(prices), list[RefusedFamily]()
    while left:
        rungs, places = _rungs(left, available, seeds, chooses)
        seconds = (available - _beside(left, places, seeds)) / _trainings(rungs, places, seeds)
        slow = max(left, key=lambda name: left[name].step)
        if seconds * rungs[0] >= LEAST_STEPS * left[slow].step:
            steps = {name: int(seconds / price.step) for name, price in left.items()}
            return Bracket(steps, rungs, places, seeds, seconds, refused)
        dear = slow if seconds > 0 else max(left, key=lambda name: _overhead(left[name], seeds))
        more = (_enough(left, seeds, dear) - available) / AIM / 60
        cause = (
            f"too slow for the time there is: {LEAST_STEPS} steps take "
            f"{LEAST_STEPS * left[dear].step:.1f} s and judging {left[dear].judging:.1f} s; "
            f"{math.ceil(max(more, 0.1) * 10) / 10:g} minutes more would be enough"
        )
        refused.append(RefusedFamily(dear, cause))
        del left[dear]
    if not prices:
        raise RecipeError("there is no candidate to compare", code="nothing-to-compare")
    needed = min(_enough({name: price}, seeds, name) for name, price in prices.items()) - available
    raise RecipeError(
        f"the time is too short for any family: about {math.ceil(max(needed, 0) / AIM / 6) / 10:g} minutes more "
        f"would be enough for one; raise --minutes, or make examples smaller",
        code="budget-too-short",
    )


def _rungs(
    prices: dict[str, Price], available: float, seeds: int, chooses: bool
) -> tuple[list[float], list[int]]:
    """As few rungs as give each training enough; no more than leave two candidates for the last one."""
    most = max(1, len(prices).bit_length() - 1) if chooses else 1
    for number in range(1, most + 1):
        whole = 2**number - 1
        rungs = [(2 ** (i + 1) - 1) / whole for i in range(number)]
        # A half is rounded to an even number, which two workers share.
        places = [round(len(prices) / 2**i) for i in range(number)]
        each = (available - _beside(prices, places, seeds)) / _trainings(rungs, places, seeds)
        if each >= ENOUGH:
            break
    return rungs, places


def _trainings(rungs: Sequence[float], places: Sequence[int], seeds: int) -> float:
    """How many whole trainings a bracket comes to."""
    before = [0.0, *rungs[:-1]]
    first = sum(n * (end - begin) for n, begin, end in zip(places, before, rungs, strict=True))
    return first + (seeds - 1) * places[-1]


def _beside(prices: dict[str, Price], places: Sequence[int], seeds: int) -> float:
    """Seconds beside the steps, where those that cost most come furthest."""
    every = list(prices.values())

    def of(costs: list[float], n: int) -> float:
        return sum(sorted(costs)[len(costs) - n :])

    rungs = sum(of([one.begin + one.choosing for one in every], n) for n in places[:-1])
    last = of([_overhead(one, seeds) - one.judging for one in every], places[-1])
    return rungs + sum(one.judging for one in every) + last


def _overhead(price: Price, seeds: int) -> float:
    """Beside the steps, of a candidate that is trained to the end at once."""
    return seeds * (price.begin + price.judging)


def _enough(prices: dict[str, Price], seeds: int, name: str) -> float:
    """Seconds with which a candidate can be trained beside the others, in a single rung."""
    everything = _beside(prices, [len(prices)], seeds)
    return everything + len(prices) * seeds * LEAST_STEPS * prices[name].step
