"""A training that watches itself: it names what goes wrong, goes back to the last healthy state and goes on
more gently, three times at most.

In every step, at hand for nothing: the loss and the norm of the gradient of each phase, and what the family
itself calls its vital signs. Every few steps, by layer: gradients that do not get through, weights that do
not move or that grow at a bound. At the checks: the held-out loss beside the training loss, and how much of
the data the samples cover. Thresholds come from the steps before, so that they fit any family and scale, and
what is seen must last: one odd batch is none.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from genwright.families.base import Vital
from genwright.training.anatomy import Anatomy, Figures, Pulse
from genwright.training.usual import Usual

__all__ = ["MOST", "Alarm", "Guard", "Ill"]

MOST = 3
"""Times to go back before giving up."""
LASTING = 5
"""Steps in a row before a leap or an explosion counts."""
EXPLODED = 100.0
"""Times the median norm of the gradient."""
LEASH = 3.0
"""Times that norm, which a step of rivals over a grid is clipped to."""
DEAD, DYING = 1e-9, 20
"""The norm of a gradient that moves nothing, and steps in a row of it."""
WARM = 20
"""Steps over which the rate grows again."""

EVERY = 8
"""Steps between two looks at layers and weights."""
MOVING = 0.01
"""The share of the full rate below which weights may stand still."""
RUSH, HASTE = 20.0, 5.0
"""Times the usual way of weights between two looks: ill by itself, and where the loss says so too."""
WILD, WILDNESS = 40.0, 2
"""The first of rivals, whose steps leap where a gradient is unlike those before; and looks in a row."""
WAYS = 8, 4
"""Looks that the usual way is taken from, at most and at least."""
FADED, FADING = 1e-4, 13
"""The gradient of a part's first layer beside that of its last, and looks in a row: a hundred steps."""

LOW, BARE = 0.5, 0.25
"""Of what real examples cover: low, and low half-way too."""
LOST = 0.6
"""Of what was covered before."""
RISING, RISE = 3, 0.05
"""Checks in a row of a rising held-out loss, and the rise as a share of the fall before."""
PATIENCE = 300
"""Steps in which something must be learnt."""


@dataclass(frozen=True)
class Alarm:
    """What is wrong, in a word and in a sentence; what to try beside a lower rate; whether going back may
    help."""

    cause: str
    words: str
    helps: str = "data without outliers"
    heals: bool = True

    def advice(self, lr: float) -> str:
        """What to do where going back has not helped; `lr` is a rate to begin anew at."""
        anew = f"begin anew at a lower rate (--set train.lr={lr:g})"
        return f"try {self.helps}, or {anew}" if self.helps else anew


class Ill(Exception):
    """Training cannot go on from here; the trainer mends it."""

    def __init__(self, alarm: Alarm, step: int) -> None:
        super().__init__(alarm.words)
        self.alarm, self.step = alarm, step


class Guard:
    """Looks at each phase of each step, and at each check.

    swings    losses leap by nature, since networks play against each other: a leap by itself is no alarm
    leashed   gradients are clipped to `LEASH` times what is usual
    setbacks  how often training went back
    """

    def __init__(
        self,
        anatomies: Mapping[str, Anatomy] | None = None,
        vitals: Sequence[Vital] = (),
        *,
        swings: bool = False,
        leashed: bool = False,
    ) -> None:
        self.anatomies, self.vitals = dict(anatomies or {}), tuple(vitals)
        self.swings, self.leashed = swings, leashed
        self.setbacks, self.since = 0, WARM
        self._usual: dict[str, Usual] = {}
        self._lasting: dict[str, int] = {}
        self._slow: dict[str, int] = {}  # of what is only told: nothing waits for it
        self._looks: dict[str, dict[str, Any]] = {}
        self._checks: list[list[float]] = []
        self._reached = self._covered = 0.0
        self._told: list[str] = []
        self._said: dict[str, str] = {}  # of vital signs that are bad just now, and of a rush

    # -- in every step -------------------------------------------------------------------------

    def look(self, pulse: Pulse, bad: str = "") -> Alarm | None:
        """What is wrong with a phase in this step; None if nothing is.

        bad   what is not finite, if something is not
        """
        if not (math.isfinite(pulse.loss) and math.isfinite(pulse.norm)):
            alarm = Alarm("not finite", f"{bad or 'the gradient'} was not finite")
            return self._blamed(alarm, pulse)
        usual = self._usual.setdefault(pulse.phase, Usual())
        found = [self._vital(vital, pulse, usual) for vital in self.vitals if vital.sign in pulse.signs]
        look = self._looks.get(pulse.phase)
        if pulse.phase in self.anatomies and (look is None or pulse.step >= look["step"] + EVERY):
            found += self._inside(pulse, look)
        found.append(self._usually(pulse, usual))
        alarms = [alarm for alarm in found if alarm is not None]
        grave = next((alarm for alarm in alarms if alarm.heals), None)
        return grave or next(filter(self._is_news, alarms), None)

    def _vital(self, vital: Vital, pulse: Pulse, usual: Usual) -> Alarm | None:
        value, middle = pulse.signs[vital.sign], usual.median.get(vital.sign, math.nan)
        times = middle if vital.of_usual else 1.0
        wrong = value < vital.below * times or value > vital.above * times
        wrong = wrong and pulse.share >= vital.after and not middle < vital.least
        counts = self._lasting if vital.heals else self._slow
        lasts = _lasts(counts, f"{pulse.phase}/{vital.cause}", wrong, vital.lasting)
        if wrong:
            self._said[vital.cause] = vital.words.format(value=value, usual=middle)
        if not lasts:
            return None
        words = f"{self._said[vital.cause]}, for {vital.lasting} steps"
        alarm = Alarm(vital.cause, words, vital.helps, vital.heals)
        return self._blamed(alarm, pulse) if vital.heals else alarm

    def _usually(self, pulse: Pulse, usual: Usual) -> Alarm | None:
        """The loss and the norm of the gradient beside those of the steps before."""
        loss, norm, phase = pulse.loss, pulse.norm, pulse.phase
        odd = any(self._lasting.values())
        alarm = None
        if usual.median:
            before, size = usual.median["loss"], usual.median["norm"]
            leaps = loss > usual.high["loss"] and norm > usual.high["norm"] and not self.swings
            if _lasts(self._lasting, f"{phase}/spike", leaps, LASTING):
                words = f"the loss of {phase!r} leapt to {loss:.3g} from about {before:.3g}"
                alarm = Alarm("spike", f"{words}, for {LASTING} steps")
            elif _lasts(self._lasting, f"{phase}/exploding", norm > EXPLODED * size > 0, LASTING):
                words = f"the gradient of {phase!r} grew to {norm:.3g} from about {size:.3g}"
                alarm = Alarm("exploding gradient", f"{words}{self._where(pulse)}, for {LASTING} steps")
            elif _lasts(self._lasting, f"{phase}/vanishing", norm < DEAD, DYING):
                words = f"the gradient of {phase!r} was {norm:.1g} for {DYING} steps"
                alarm = Alarm("vanishing gradient", f"{words}, so that nothing is learnt")
            odd |= leaps
        if not odd:  # what is odd does not become the measure
            usual.add({"loss": loss, "norm": norm, **pulse.signs})
        return alarm and self._blamed(alarm, pulse)

    def _blamed(self, alarm: Alarm, pulse: Pulse) -> Alarm:
        """By a more exact name: a rate that is too high, or a vital sign that is bad just now."""

        def bad(sign: str) -> bool:  # of any phase: a critic's shows in the generator's loss
            watched = any(self._lasting.get(f"{phase}/{sign}") for phase in self._usual)
            return watched and sign in self._said

        look = self._looks.get(pulse.phase)
        times = _haste(pulse.weights(), look) if look else 0.0
        if times > HASTE:
            return _too_high(f"{alarm.words}, after steps {times:.0f} times as large as before")
        if bad("rush"):
            return _too_high(f"{alarm.words}, and {self._said['rush']}")
        for vital in self.vitals:
            if alarm.cause == "spike" and bad(vital.cause):
                return Alarm(vital.cause, self._said[vital.cause], vital.helps)
        return alarm

    # -- every few steps -----------------------------------------------------------------------

    def _inside(self, pulse: Pulse, last: Mapping[str, Any] | None) -> list[Alarm | None]:
        """Parts and layers, beside the last look at them."""
        anatomy, weights, marks = self.anatomies[pulse.phase], pulse.weights(), pulse.marks()
        found = list[Alarm | None]()
        ways: list[float] = []
        if last is not None:
            ways = [*last["ways"], _way(weights, last["weights"])][-WAYS[0] :]
            times = _haste(weights, last)
            most, looks = (WILD, WILDNESS) if self.swings else (RUSH, 1)
            if times > most:
                self._said["rush"] = (
                    f"the weights of {pulse.phase!r} go {times:.0f} times as far as before"
                )
            if _lasts(self._lasting, f"{pulse.phase}/rush", times > most, looks):
                found.append(_too_high(self._said["rush"]))
        if last is not None and pulse.rate >= MOVING:
            for name, part in anatomy.parts.items():
                if not pulse.grads[part].any() and not any(last["grads"][part]):
                    words = f"no gradient reached {name!r} for {EVERY} steps, so that it learns nothing"
                    found.append(_frozen(words))
                elif (
                    weights[part].tolist() == last["weights"][part]
                    and marks[part].tolist() == last.get("marks", [])[part]  # older runs have none
                ):
                    found.append(_frozen(f"the weights of {name!r} did not move for {EVERY} steps"))
        layers = dict(zip(anatomy.layers, anatomy.by_layer(pulse.grads), strict=True))
        for name, (first, deepest) in anatomy.deep.items():
            faded = bool(layers[first] < FADED * layers[deepest])
            if _lasts(self._slow, f"{pulse.phase}/{name}/faded", faded, FADING):
                words = f"the gradient of {first!r} stayed below {FADED:g} of that of {deepest!r}"
                helps = "a shallower net (--set net.depth=)"
                found.append(Alarm("vanishing gradient", words, helps, heals=False))
        look = {"weights": weights.tolist(), "marks": marks.tolist(), "grads": pulse.grads.tolist()}
        self._looks[pulse.phase] = {"step": pulse.step, "ways": ways, **look}
        return found

    def _where(self, pulse: Pulse) -> str:
        """The layer that most of a gradient is in."""
        if pulse.phase not in self.anatomies:
            return ""
        anatomy = self.anatomies[pulse.phase]
        return f", most of it in {anatomy.layers[int(anatomy.by_layer(pulse.grads).argmax())]!r}"

    # -- at checks -----------------------------------------------------------------------------

    def check(self, step: int, share: float, val: float | None) -> list[Alarm]:
        """What the held-out loss says beside the training loss. Told, not mended: the best weights are
        kept anyway."""
        first = next(iter(self._usual.values()), None)
        if first is None or not first.median or val is None:
            return []
        train = first.median["loss"]
        self._checks.append([step, val, train])
        found = []
        best = min(self._checks, key=lambda one: one[1])
        tail = [one[1] for one in self._checks[-RISING - 1 :]]
        rises = len(tail) > RISING and all(a < b for a, b in pairwise(tail))
        fall = self._checks[0][1] - best[1]
        if rises and val - best[1] > RISE * fall and train < best[2]:
            words = (
                f"the held-out loss rose from {best[1]:.4g} at step {best[0]:.0f} to {val:.4g} while the "
                f"training loss fell: the training examples are being learnt by heart"
            )
            helps = "more data, a smaller net or fewer steps"
            found.append(Alarm("over-fitting", words, helps, heals=False))
        start, spread = first.first["loss"]
        if share >= LOW and step >= PATIENCE and train > start - 0.5 * spread:
            words = f"the loss is {train:.4g}, as in the first steps ({start:.4g}): nothing is learnt"
            found.append(Alarm("stalled", words, "another rate (--set train.lr=)", heals=False))
        return [alarm for alarm in found if self._is_news(alarm)]

    def is_low(self, covered: float) -> bool:
        """Whether to measure again."""
        return covered < LOW

    def cover(self, share: float, covered: float, blind: bool) -> Alarm | None:
        """What `covered`, the share of real examples near some sample as part of that share among real
        examples themselves, says at a check.

        blind   the family has no held-out loss, in which kinds of examples that are missing would be seen
        """
        before, last = self._reached, self._covered
        self._reached, self._covered = max(before, covered), covered
        words = f"the samples cover {covered:.0%} of what real examples cover"
        fell, alarm = before >= LOW > covered, None
        if fell and covered < LOST * last:  # which is at most `before`
            alarm = Alarm("coverage collapse", f"{words}, after {last:.0%} before", "more data")
        elif fell and covered < LOST * before:
            # Lost little by little: where it would go back to is no better.
            words = f"{words}, less from check to check, after {before:.0%} at best"
            alarm = Alarm("coverage collapse", words, "more data or fewer steps", False)
        elif blind and before < LOW and covered < (LOW if share >= 1 else BARE) and share >= 0.5:
            words = f"{words}, and never covered more: kinds of examples are missing, or it is too early"
            alarm = Alarm("coverage collapse", words, "a longer training or other options", False)
        return alarm if alarm is not None and self._is_news(alarm) else None

    # -- what follows --------------------------------------------------------------------------

    def leash(self, phase: str) -> float:
        """The largest norm of a gradient to step by, without bound where there is no leash.

        Adam divides by what gradients have been, so that one that is suddenly a thousand times as large
        makes a step ten times as large, to which a rival answers likewise. Clipped to the usual, rivals over
        a grid stand six times the default rate (Seetharaman et al. 2020, arXiv:2007.14469, clip to a
        percentile). Over a row the large ones find narrow modes: without them a generator misses more.
        """
        usual = self._usual.get(phase)
        return LEASH * usual.median["norm"] if self.leashed and usual and usual.median else math.inf

    @property
    def calm(self) -> bool:
        """Whether nothing odd is being watched: only then is a state worth going back to."""
        return not any(self._lasting.values())

    @property
    def gentleness(self) -> float:
        """What the rate is multiplied by: half after each setback, from a small part of it upwards."""
        return 0.5**self.setbacks * min(1.0, (self.since + 1) / WARM)

    def passed(self) -> None:
        """A step went well."""
        self.since += 1

    def set_back(self, healthy: Mapping[str, Any]) -> None:
        """Training goes back: what is known is what was known then, but not that it was well."""
        setbacks, told = self.setbacks + 1, self._told
        self.restore(healthy)
        self.setbacks, self.since, self._told = setbacks, 0, told

    def _is_news(self, alarm: Alarm) -> bool:
        """What is only told is told once."""
        if alarm.heals:
            return True
        news = alarm.cause not in self._told
        if news:
            self._told.append(alarm.cause)
        return news

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "setbacks": self.setbacks,
            "since": self.since,
            "usual": {phase: usual.state() for phase, usual in self._usual.items()},
            "lasting": dict(self._lasting),
            "slow": dict(self._slow),
            "looks": dict(self._looks),
            "checks": [list(one) for one in self._checks],
            "reached": self._reached,
            "covered": self._covered,
            "told": list(self._told),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave, of this version or of one that knew less."""
        self.setbacks, self.since = state["setbacks"], state["since"]
        self._usual = {phase: Usual.of(one) for phase, one in state.get("usual", {}).items()}
        self._lasting = dict(state["lasting"]) if "usual" in state else {}
        self._slow = dict(state.get("slow", {}))
        self._looks = dict(state.get("looks", {}))
        self._checks = [list(one) for one in state.get("checks", [])]
        self._reached, self._told = state.get("reached", 0.0), list(state.get("told", []))
        self._covered = state.get("covered", self._reached)


def _lasts(counts: dict[str, int], key: str, wrong: bool, steps: int) -> bool:
    counts[key] = counts.get(key, 0) + 1 if wrong else 0
    return counts[key] >= steps


def _way(now: Figures, before: Sequence[float]) -> float:
    """How far weights have gone, by the norm of each."""
    return float(np.linalg.norm(now - before))


def _haste(now: Figures, look: Mapping[str, Any]) -> float:
    """The way since a look as a multiple of the usual one between two; 0 while that is not known."""
    usual = median(look["ways"]) if len(look["ways"]) >= WAYS[1] else 0.0
    return _way(now, look["weights"]) / usual if usual else 0.0


def _frozen(words: str) -> Alarm:
    return Alarm("frozen", words, "a higher rate, or another loss")


def _too_high(words: str) -> Alarm:
    return Alarm("rate too high", words, helps="")
