"""Robust statistics of the last steps of a phase: medians and median absolute deviations."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from statistics import median
from typing import Any

__all__ = ["WINDOW", "RobustStats"]

WINDOW = 64
"""Steps that they are taken over."""
TIMES = 6 * 1.4826
"""Median absolute deviations above the median: six standard deviations of a normal."""
EVERY = 8
"""Steps after which they are taken anew."""


class RobustStats:
    """Medians of named figures over a window of steps; empty before half a window.

    median  of each by name
    high    six robust standard deviations above it
    first   the median and the median absolute deviation of each when they were first known
    """

    def __init__(self) -> None:
        self.median: dict[str, float] = {}
        self.high: dict[str, float] = {}
        self.first: dict[str, list[float]] = {}
        self._rows: dict[str, deque[float]] = {}
        self._since = 0

    def add(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            self._rows.setdefault(name, deque(maxlen=WINDOW)).append(value)
        self._since += 1
        if self._since < (EVERY if self.median else WINDOW // 2):
            return
        self._since = 0
        for name, row in self._rows.items():
            middle = median(row)
            deviation = median(abs(one - middle) for one in row)
            self.median[name] = middle
            self.high[name] = middle + TIMES * max(deviation, 0.01 * abs(middle))
            self.first.setdefault(name, [middle, deviation])

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "median": dict(self.median),
            "high": dict(self.high),
            "first": dict(self.first),
            "rows": {name: list(row) for name, row in self._rows.items()},
            "since": self._since,
        }

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> RobustStats:
        """Take back what `state` gave."""
        robust = cls()
        robust.median, robust.high = dict(state["median"]), dict(state["high"])
        robust.first, robust._since = dict(state["first"]), state["since"]
        robust._rows = {name: deque(row, maxlen=WINDOW) for name, row in state["rows"].items()}
        return robust
