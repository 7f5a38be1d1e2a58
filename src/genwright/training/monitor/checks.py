"""The checks of a training: by which figures it is known that something goes wrong.

Thresholds are multiples of what the steps before had, so that they fit any family and scale; and what is
seen must last for some steps in a row: one odd batch is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median
from typing import Any

import numpy as np

from genwright.families.base import Diagnostic
from genwright.training.monitor.robust import RobustStats
from genwright.training.monitor.stats import Figures, ParameterGroups, StepStats

__all__ = [
    "Check",
    "CoverageCheck",
    "HeedingCheck",
    "HeldoutCheck",
    "Issue",
    "TrainingDiverged",
    "UpdateCheck",
    "lasts",
    "loss_checks",
    "too_high",
]

SPIKE_STEPS = 5
"""Steps in a row before a spike or an explosion counts."""
EXPLODED = 100.0
"""Times the median norm of the gradient."""
ZERO, ZERO_STEPS = 1e-9, 20
"""The norm of a gradient that moves nothing, and steps in a row of it."""

LOOK_EVERY = 8
"""Steps between two looks at the parameters."""
MIN_LR = 0.01
"""The share of the full learning rate below which weights may stand still."""
TOO_FAR, TOO_FAR_BESIDE = 20.0, 5.0
"""Update ratios that are too large: by itself, and where the loss says so too."""
TOO_FAR_ADVERSARIAL, ADVERSARIAL_LOOKS = 40.0, 2
"""The first of adversarial networks, whose steps leap where a gradient is unlike those before; and looks in
a row."""
UPDATES, MIN_UPDATES = 8, 4
"""Looks whose updates the median is taken over, at most and at least."""
FADED, FADED_LOOKS = 1e-4, 13
"""The gradient of a part's first layer beside that of its last, and looks in a row: a hundred steps."""

LOW, VERY_LOW = 0.5, 0.25
"""Coverage that is low at the end, and half-way."""
EARLY = 300
"""Steps before which kinds of examples that were never made say nothing."""
LOST = 0.6
"""Of the coverage before."""
RISES, MIN_RISE = 3, 0.05
"""Checks in a row of a rising held-out loss, and the rise as a share of the fall before."""
PATIENCE = 300
"""Steps in which something must be learnt."""
LOOKS, SURE = 3, 1.96
"""Looks at what a condition is worth that are taken together, and the standard errors that tell it from nothing."""


@dataclass(frozen=True)
class Issue:
    """What is wrong with a training: the cause in a word, a sentence, what to try beside a lower learning
    rate, and whether going back to a healthy state may help."""

    cause: str
    words: str
    remedy: str = "data without outliers"
    recoverable: bool = True

    def advice(self, lr: float) -> str:
        """What to do where going back has not helped; `lr` is a rate to begin anew at."""
        anew = f"begin anew at a lower rate (--set train.lr={lr:g})"
        return f"try {self.remedy}, or {anew}" if self.remedy else anew


class TrainingDiverged(Exception):
    """Training cannot go on from here: the trainer goes back to its last healthy state."""

    def __init__(self, issue: Issue, step: int) -> None:
        super().__init__(issue.words)
        self.issue, self.step = issue, step


# -- in every step ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """What is wrong with a phase where a figure of it is out of bounds for some steps in a row.

    name    of the streak
    words   a sentence for a step that is out of bounds, empty for another; `ending` is put behind it
    """

    name: str
    cause: str
    words: Callable[[StepStats, RobustStats], str]
    steps: int = SPIKE_STEPS
    ending: str = ", for {steps} steps"
    remedy: str = Issue.remedy
    recoverable: bool = True

    @classmethod
    def of(cls, one: Diagnostic) -> Check:
        """Of a family's own diagnostic."""

        def words(stats: StepStats, before: RobustStats) -> str:
            value = stats.diagnostic_values.get(one.value_name, math.nan)
            middle = before.median.get(one.value_name, math.nan)
            times = middle if one.relative else 1.0
            out = value < one.below * times or value > one.above * times
            watched = stats.progress >= one.after and not middle < one.min_median
            return one.words.format(value=value, median=middle) if out and watched else ""

        return cls(
            one.cause, one.cause, words, one.steps, remedy=one.remedy, recoverable=one.recoverable
        )

    def issue(self, words: str) -> Issue:
        ending = self.ending.format(steps=self.steps)
        return Issue(self.cause, f"{words}{ending}", self.remedy, self.recoverable)


def loss_checks(groups: Mapping[str, ParameterGroups], adversarial: bool) -> list[Check]:
    """Of the loss and the norm of its gradient; the loss of adversarial networks leaps by nature."""

    def spike(stats: StepStats, before: RobustStats) -> str:
        high = before.high
        if not high or stats.loss <= high["loss"] or stats.grad_norm <= high["norm"]:
            return ""
        then = before.median["loss"]
        return f"the loss of {stats.phase!r} leapt to {stats.loss:.3g} from about {then:.3g}"

    def exploding(stats: StepStats, before: RobustStats) -> str:
        now, then, place = stats.grad_norm, before.median.get("norm", 0.0), ""
        if not now > EXPLODED * then > 0:
            return ""
        if stats.phase in groups:
            layers = groups[stats.phase].by_layer(stats.grad_norms)
            place = f", most of it in {groups[stats.phase].layers[int(layers.argmax())]!r}"
        return f"the gradient of {stats.phase!r} grew to {now:.3g} from about {then:.3g}{place}"

    def vanishing(stats: StepStats, before: RobustStats) -> str:
        gone = before.median and stats.grad_norm < ZERO
        return f"the gradient of {stats.phase!r} was {stats.grad_norm:.1g}" if gone else ""

    nothing = " for {steps} steps, so that nothing is learnt"
    return [
        *([] if adversarial else [Check("spike", "spike", spike)]),
        Check("exploding", "exploding gradient", exploding),
        Check("vanishing", "vanishing gradient", vanishing, ZERO_STEPS, nothing),
    ]


def lasts(streaks: dict[str, int], name: str, wrong: bool, steps: int) -> bool:
    """Count a step in which something is wrong, or not; whether it is as many in a row as `steps`."""
    streaks[name] = streaks.get(name, 0) + 1 if wrong else 0
    return streaks[name] >= steps


# -- every few steps -------------------------------------------------------------------------------


class UpdateCheck:
    """Parameters beside the last look at them: parts that do not move, updates that are too large, and
    gradients that fade on their way to the first layer.

    looks   the last look at each phase, as JSON
    spike   the last spike of the updates, in words
    """

    def __init__(self, groups: Mapping[str, ParameterGroups], adversarial: bool) -> None:
        self.groups = groups
        self.limit, self.steps = (
            (TOO_FAR_ADVERSARIAL, ADVERSARIAL_LOOKS) if adversarial else (TOO_FAR, 1)
        )
        self.looks: dict[str, dict[str, Any]] = {}
        self.spike = ""

    def due(self, stats: StepStats) -> bool:
        last = self.looks.get(stats.phase)
        return stats.phase in self.groups and (last is None or stats.step >= last["step"] + LOOK_EVERY)

    def update_ratio(self, stats: StepStats) -> float:
        """The update ratio: the distance that the weights have gone since the last look, as a multiple of
        the median between two looks; 0 while that is not known."""
        last = self.looks.get(stats.phase)
        if last is None or len(last["ways"]) < MIN_UPDATES:
            return 0.0
        middle = median(last["ways"])
        return _distance(stats.weight_norms(), last["weights"]) / middle if middle else 0.0

    def look(self, stats: StepStats, streaks: dict[str, int], warnings: dict[str, int]) -> list[Issue]:
        """What is wrong; `streaks` of what going back may help, `warnings` of the rest."""
        last, found = self.looks.get(stats.phase), list[Issue]()
        norms, checksums = stats.weight_norms(), stats.checksums()
        distances: list[float] = []
        if last is not None:
            distances = [*last["ways"], _distance(norms, last["weights"])][-UPDATES:]
            ratio = self.update_ratio(stats)
            if ratio > self.limit:
                self.spike = f"the weights of {stats.phase!r} go {ratio:.0f} times as far as before"
            if lasts(streaks, f"{stats.phase}/update spike", ratio > self.limit, self.steps):
                found.append(too_high(self.spike))
            if stats.lr_factor >= MIN_LR:
                found += self._frozen(stats, last, norms, checksums)
        found += self._faded(stats, warnings)
        self.looks[stats.phase] = {
            "step": stats.step,
            "ways": distances,
            "weights": norms.tolist(),
            "marks": checksums.tolist(),
            "grads": stats.grad_norms.tolist(),
        }
        return found

    def _frozen(
        self, stats: StepStats, last: Mapping[str, Any], norms: Figures, checksums: Figures
    ) -> list[Issue]:
        found = []
        for name, part in self.groups[stats.phase].parts.items():
            words = ""
            if not stats.grad_norms[part].any() and not any(last["grads"][part]):
                words = f"no gradient reached {name!r} for {LOOK_EVERY} steps, so that it learns nothing"
            elif (
                norms[part].tolist() == last["weights"][part]
                and checksums[part].tolist() == last.get("marks", [])[part]  # older runs have none
            ):
                words = f"the weights of {name!r} did not move for {LOOK_EVERY} steps"
            if words:
                found.append(Issue("frozen", words, "a higher rate, or another loss"))
        return found

    def _faded(self, stats: StepStats, warnings: dict[str, int]) -> list[Issue]:
        groups, found = self.groups[stats.phase], []
        norms = dict(zip(groups.layers, groups.by_layer(stats.grad_norms), strict=True))
        for name, (first, last) in groups.deep.items():
            faded = bool(norms[first] < FADED * norms[last])
            if lasts(warnings, f"{stats.phase}/{name}/faded", faded, FADED_LOOKS):
                words = f"the gradient of {first!r} stayed below {FADED:g} of that of {last!r}"
                remedy = "a shallower net (--set net.depth=)"
                found.append(Issue("vanishing gradient", words, remedy, recoverable=False))
        return found


def too_high(words: str) -> Issue:
    """The learning rate is to blame."""
    return Issue("rate too high", words, remedy="")


def _distance(now: Figures, before: Sequence[float]) -> float:
    """How far weights have gone, by the norm of each."""
    return float(np.linalg.norm(now - before))


# -- at checks -------------------------------------------------------------------------------------


class HeldoutCheck:
    """The held-out loss beside the training loss. The best weights are kept anyway.

    records  step, held-out loss and training loss at each check
    """

    def __init__(self) -> None:
        self.records: list[list[float]] = []

    def look(self, step: int, progress: float, val: float, before: RobustStats) -> list[Issue]:
        train = before.median["loss"]
        self.records.append([step, val, train])
        found = []
        best = min(self.records, key=lambda one: one[1])
        last = [one[1] for one in self.records[-RISES - 1 :]]
        rises = len(last) > RISES and all(a < b for a, b in pairwise(last))
        fall = self.records[0][1] - best[1]
        if rises and val - best[1] > MIN_RISE * fall and train < best[2]:
            words = (
                f"the held-out loss rose from {best[1]:.4g} at step {best[0]:.0f} to {val:.4g} while the "
                f"training loss fell: the training examples are being learnt by heart"
            )
            remedy = "more data, a smaller net or fewer steps"
            found.append(Issue("over-fitting", words, remedy, recoverable=False))
        start, deviation = before.first["loss"]
        if progress >= 0.5 and step >= PATIENCE and train > start - 0.5 * deviation:
            words = f"the loss is {train:.4g}, as in the first steps ({start:.4g}): nothing is learnt"
            found.append(Issue("stalled", words, "another rate (--set train.lr=)", recoverable=False))
        return found


class CoverageCheck:
    """How much of the data the samples cover, beside the most and the last that they did."""

    def __init__(self) -> None:
        self.best = self.last = 0.0

    def look(self, progress: float, covered: float, blind: bool) -> Issue | None:
        """blind: the family has no held-out loss, in which kinds of examples that are missing would show."""
        best, last = self.best, self.last
        self.best, self.last = max(best, covered), covered
        cause, words = (
            "coverage collapse",
            f"the samples cover {covered:.0%} of what real examples cover",
        )
        fell = best >= LOW > covered
        if fell and covered < LOST * last:  # which is at most the best
            return Issue(cause, f"{words}, after {last:.0%} before", "more data")
        if fell and covered < LOST * best:
            # Lost little by little: where it would go back to is no better.
            words = f"{words}, less from check to check, after {best:.0%} at best"
            return Issue(cause, words, "more data or fewer steps", recoverable=False)
        low = LOW if progress >= 1 else VERY_LOW
        if blind and best < LOW and covered < low and progress >= 0.5:
            words = f"{words}, and never covered more: kinds of examples are missing, or it is too early"
            return Issue(cause, words, "a longer training or other options", recoverable=False)
        return None


class HeedingCheck:
    """What each condition is worth to the model, by a paired test (see `heeding`).

    scores   the last t statistics of each condition, by name
    ignored  the conditions of which it was told
    """

    def __init__(self) -> None:
        self.scores: dict[str, list[float]] = {}
        self.ignored: list[str] = []

    def look(self, step: int, progress: float, found: Mapping[str, float]) -> list[str]:
        """The conditions that seem to be ignored: half-way, over several looks together, none is worth anything."""
        for name, score in found.items():
            self.scores[name] = [*self.scores.get(name, []), score][-LOOKS:]
        if progress < 0.5 or step < PATIENCE:
            return []
        return [
            name
            for name in found
            if len(self.scores[name]) == LOOKS
            and abs(self.together(name)) < SURE
            and name not in self.ignored
        ]

    def together(self, name: str) -> float:
        """The looks as one (Stouffer's sum)."""
        return sum(self.scores[name]) / math.sqrt(len(self.scores[name]))

    def heeded(self, found: Mapping[str, float]) -> list[str]:
        """The conditions that are heeded after it was told that they are not."""
        return [name for name in found if name in self.ignored and self.together(name) > 2 * SURE]

    def issue(self, name: str) -> Issue:
        words = (
            f"the model ignores its condition {name!r}: examples cost it as much under those of others as under "
            f"their own"
        )
        remedy = (
            f"a longer training, a larger net, or leave {name!r} out if it says nothing of what is made"
        )
        return Issue("ignored condition", words, remedy, recoverable=False)
