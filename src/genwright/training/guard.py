"""A training that watches itself: it names what goes wrong, goes back to the last healthy state and goes on
more gently, three times at most.

What is watched is at hand in every step, the loss and the norm of the gradient of each phase: a value that is
not finite, a loss that leaps together with its gradient, a gradient that explodes or dies. Thresholds are
medians and median absolute deviations of the steps before, so that they fit any family and any scale.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

__all__ = ["MOST", "Alarm", "Guard", "Ill"]

MOST = 3
"""Times to go back before giving up."""
WINDOW = 64
"""Steps that thresholds are taken from."""
TIMES = 6 * 1.4826
"""Median absolute deviations above the median: six standard deviations of a normal."""
LASTING = 3
"""Steps in a row before a leap or an explosion counts: one odd batch is none."""
EXPLODED = 100.0
"""Times the median norm of the gradient."""
DEAD, DYING = 1e-9, 20
"""The norm of a gradient that moves nothing, and steps in a row of it."""
WARM = 20
"""Steps over which the rate grows again."""


@dataclass(frozen=True)
class Alarm:
    """What is wrong, in a word and in a sentence."""

    cause: str
    words: str


class Ill(Exception):
    """The step cannot be finished; the trainer mends it."""

    def __init__(self, alarm: Alarm) -> None:
        super().__init__(alarm.words)
        self.alarm = alarm


class Guard:
    """Looks at each phase of each step.

    setbacks  how often training went back
    alarms    what for, in words
    """

    def __init__(self) -> None:
        self.setbacks, self.since = 0, WARM
        self.alarms: list[str] = []
        self._seen: dict[str, deque[tuple[float, float]]] = {}
        self._lasting: dict[str, int] = {}

    def look(self, phase: str, loss: float, norm: float, bad: str = "") -> Alarm | None:
        """What is wrong with the loss and the norm of the gradient of a phase; None if nothing is.

        bad   the term of the loss that is not finite, if one is not
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            what = f"the loss term {bad!r}" if bad else "the gradient"
            return Alarm("not finite", f"{what} was not finite")
        seen = self._seen.setdefault(phase, deque(maxlen=WINDOW))
        if len(seen) < WINDOW // 2:
            seen.append((loss, norm))
            return None
        usual_loss, usual_norm = (median(values) for values in zip(*seen, strict=True))
        leaps = _beyond([one for one, _ in seen], usual_loss, loss)
        swells = _beyond([one for _, one in seen], usual_norm, norm)
        checks = {
            "spike": (leaps and swells, LASTING),
            "exploding gradient": (norm > EXPLODED * usual_norm > 0, LASTING),
            "vanishing gradient": (norm < DEAD, DYING),
        }
        for cause, (wrong, steps) in checks.items():
            key = f"{phase}/{cause}"
            self._lasting[key] = self._lasting.get(key, 0) + 1 if wrong else 0
            if self._lasting[key] >= steps:
                return Alarm(cause, _words(cause, phase, loss, usual_loss, norm, usual_norm, steps))
        if not (leaps and swells):  # what is odd does not become the measure
            seen.append((loss, norm))
        return None

    @property
    def gentleness(self) -> float:
        """What the rate is multiplied by: half after each setback, from a small part of it upwards."""
        return 0.5**self.setbacks * min(1.0, (self.since + 1) / WARM)

    def passed(self) -> None:
        """A step went well."""
        self.since += 1

    def set_back(self, words: str) -> None:
        """Training goes back: what was seen since is forgotten."""
        self.setbacks, self.since = self.setbacks + 1, 0
        self.alarms.append(words)
        self._seen.clear()
        self._lasting.clear()

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "setbacks": self.setbacks,
            "since": self.since,
            "alarms": self.alarms,
            "seen": {phase: [list(pair) for pair in seen] for phase, seen in self._seen.items()},
            "lasting": self._lasting,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.setbacks, self.since = state["setbacks"], state["since"]
        self.alarms, self._lasting = list(state["alarms"]), dict(state["lasting"])
        self._seen = {
            phase: deque(((loss, norm) for loss, norm in pairs), maxlen=WINDOW)
            for phase, pairs in state["seen"].items()
        }


def _beyond(values: list[float], usual: float, value: float) -> bool:
    spread = median(abs(one - usual) for one in values)
    return value > usual + TIMES * max(spread, 0.01 * abs(usual))


def _words(
    cause: str, phase: str, loss: float, usual: float, norm: float, usual_norm: float, steps: int
) -> str:
    if cause == "spike":
        return f"the loss of {phase!r} leapt to {loss:.3g} from about {usual:.3g}, for {steps} steps"
    if cause == "exploding gradient":
        return f"the gradient of {phase!r} grew to {norm:.3g} from about {usual_norm:.3g}, for {steps} steps"
    return f"the gradient of {phase!r} was 0 for {steps} steps, so that nothing is learnt"
