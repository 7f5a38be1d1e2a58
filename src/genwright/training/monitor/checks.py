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

from genwright.families.base import Diagnostic
from genwright.training.monitor.robust import RobustStats
from genwright.training.monitor.stats import Figures, ParameterGroups, StepStats

__all__ = ["MOST", "Issue", "Monitor", "TrainingDiverged"]

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
class Issue:
    """What is wrong, in a word and in a sentence; what to try beside a lower rate; whether going back may
    help."""

    cause: str
    words: str
    helps: str = "data without outliers"
    recoverable: bool = True

    def advice(self, lr: float) -> str:
        """What to do where going back has not helped; `lr` is a rate to begin anew at."""
        anew = f"begin anew at a lower rate (--set train.lr={lr:g})"
        return f"try {self.helps}, or {anew}" if self.helps else anew


class TrainingDiverged(Exception):
    """Training cannot go on from here; the trainer mends it."""

    def __init__(self, issue: Issue, step: int) -> None:
        super().__init__(issue.words)
        self.issue, self.step = issue, step


class Monitor:
    """Looks at each phase of each step, and at each check.

    swings    losses leap by nature, since networks play against each other: a leap by itself is no alarm
    leashed   gradients are clipped to `LEASH` times what is usual
    setbacks  how often training went back
    """

    def __init__(
        self,
        groups: Mapping[str, ParameterGroups] | None = None,
        diagnostics: Sequence[Diagnostic] = (),
        *,
        swings: bool = False,
        clips_adaptively: bool = False,
    ) -> None:
        self.groups, self.diagnostics = dict(groups or {}), tuple(diagnostics)
        self.swings, self.clips_adaptively = swings, clips_adaptively
        self.rollbacks, self.since = 0, WARM
        self._usual: dict[str, RobustStats] = {}
        self._lasting: dict[str, int] = {}
        self._slow: dict[str, int] = {}  # of what is only told: nothing waits for it
        self._looks: dict[str, dict[str, Any]] = {}
        self._checks: list[list[float]] = []
        self._reached = self._covered = 0.0
        self._told: list[str] = []
        self._said: dict[str, str] = {}  # of vital signs that are bad just now, and of a rush

    # -- in every step -------------------------------------------------------------------------

    def look(self, stats: StepStats, bad: str = "") -> Issue | None:
        """What is wrong with a phase in this step; None if nothing is.

        bad   what is not finite, if something is not
        """
        if not (math.isfinite(stats.loss) and math.isfinite(stats.norm)):
            issue = Issue("not finite", f"{bad or 'the gradient'} was not finite")
            return self._blamed(issue, stats)
        robust = self._usual.setdefault(stats.phase, RobustStats())
        found = [
            self._vital(vital, stats, robust)
            for vital in self.diagnostics
            if vital.value_name in stats.diagnostic_values
        ]
        look = self._looks.get(stats.phase)
        if stats.phase in self.groups and (look is None or stats.step >= look["step"] + EVERY):
            found += self._inside(stats, look)
        found.append(self._usually(stats, robust))
        issues = [issue for issue in found if issue is not None]
        grave = next((issue for issue in issues if issue.recoverable), None)
        return grave or next(filter(self._is_news, issues), None)

    def _vital(self, vital: Diagnostic, stats: StepStats, robust: RobustStats) -> Issue | None:
        value, middle = (
            stats.diagnostic_values[vital.value_name],
            robust.median.get(vital.value_name, math.nan),
        )
        times = middle if vital.of_usual else 1.0
        wrong = value < vital.below * times or value > vital.above * times
        wrong = wrong and stats.share >= vital.after and not middle < vital.least
        counts = self._lasting if vital.recoverable else self._slow
        lasts = _lasts(counts, f"{stats.phase}/{vital.cause}", wrong, vital.lasting)
        if wrong:
            self._said[vital.cause] = vital.words.format(value=value, usual=middle)
        if not lasts:
            return None
        words = f"{self._said[vital.cause]}, for {vital.lasting} steps"
        issue = Issue(vital.cause, words, vital.helps, vital.recoverable)
        return self._blamed(issue, stats) if vital.recoverable else issue

    def _usually(self, stats: StepStats, robust: RobustStats) -> Issue | None:
        """The loss and the norm of the gradient beside those of the steps before."""
        loss, norm, phase = stats.loss, stats.norm, stats.phase
        odd = any(self._lasting.values())
        issue = None
        if robust.median:
            before, size = robust.median["loss"], robust.median["norm"]
            leaps = loss > robust.high["loss"] and norm > robust.high["norm"] and not self.swings
            if _lasts(self._lasting, f"{phase}/spike", leaps, LASTING):
                words = f"the loss of {phase!r} leapt to {loss:.3g} from about {before:.3g}"
                issue = Issue("spike", f"{words}, for {LASTING} steps")
            elif _lasts(self._lasting, f"{phase}/exploding", norm > EXPLODED * size > 0, LASTING):
                words = f"the gradient of {phase!r} grew to {norm:.3g} from about {size:.3g}"
                issue = Issue("exploding gradient", f"{words}{self._where(stats)}, for {LASTING} steps")
            elif _lasts(self._lasting, f"{phase}/vanishing", norm < DEAD, DYING):
                words = f"the gradient of {phase!r} was {norm:.1g} for {DYING} steps"
                issue = Issue("vanishing gradient", f"{words}, so that nothing is learnt")
            odd |= leaps
        if not odd:  # what is odd does not become the measure
            robust.add({"loss": loss, "norm": norm, **stats.diagnostic_values})
        return issue and self._blamed(issue, stats)

    def _blamed(self, issue: Issue, stats: StepStats) -> Issue:
        """By a more exact name: a rate that is too high, or a vital sign that is bad just now."""

        def bad(value_name: str) -> bool:  # of any phase: a critic's shows in the generator's loss
            watched = any(self._lasting.get(f"{phase}/{value_name}") for phase in self._usual)
            return watched and value_name in self._said

        look = self._looks.get(stats.phase)
        times = _haste(stats.weights(), look) if look else 0.0
        if times > HASTE:
            return _too_high(f"{issue.words}, after steps {times:.0f} times as large as before")
        if bad("rush"):
            return _too_high(f"{issue.words}, and {self._said['rush']}")
        for vital in self.diagnostics:
            if issue.cause == "spike" and bad(vital.cause):
                return Issue(vital.cause, self._said[vital.cause], vital.helps)
        return issue

    # -- every few steps -----------------------------------------------------------------------

    def _inside(self, stats: StepStats, last: Mapping[str, Any] | None) -> list[Issue | None]:
        """Parts and layers, beside the last look at them."""
        groups, weights, marks = self.groups[stats.phase], stats.weights(), stats.marks()
        found = list[Issue | None]()
        ways: list[float] = []
        if last is not None:
            ways = [*last["ways"], _way(weights, last["weights"])][-WAYS[0] :]
            times = _haste(weights, last)
            most, looks = (WILD, WILDNESS) if self.swings else (RUSH, 1)
            if times > most:
                self._said["rush"] = (
                    f"the weights of {stats.phase!r} go {times:.0f} times as far as before"
                )
            if _lasts(self._lasting, f"{stats.phase}/rush", times > most, looks):
                found.append(_too_high(self._said["rush"]))
        if last is not None and stats.rate >= MOVING:
            for name, part in groups.parts.items():
                if not stats.grads[part].any() and not any(last["grads"][part]):
                    words = f"no gradient reached {name!r} for {EVERY} steps, so that it learns nothing"
                    found.append(_frozen(words))
                elif (
                    weights[part].tolist() == last["weights"][part]
                    and marks[part].tolist() == last.get("marks", [])[part]  # older runs have none
                ):
                    found.append(_frozen(f"the weights of {name!r} did not move for {EVERY} steps"))
        layers = dict(zip(groups.layers, groups.by_layer(stats.grads), strict=True))
        for name, (first, deepest) in groups.deep.items():
            faded = bool(layers[first] < FADED * layers[deepest])
            if _lasts(self._slow, f"{stats.phase}/{name}/faded", faded, FADING):
                words = f"the gradient of {first!r} stayed below {FADED:g} of that of {deepest!r}"
                helps = "a shallower net (--set net.depth=)"
                found.append(Issue("vanishing gradient", words, helps, recoverable=False))
        look = {"weights": weights.tolist(), "marks": marks.tolist(), "grads": stats.grads.tolist()}
        self._looks[stats.phase] = {"step": stats.step, "ways": ways, **look}
        return found

    def _where(self, stats: StepStats) -> str:
        """The layer that most of a gradient is in."""
        if stats.phase not in self.groups:
            return ""
        groups = self.groups[stats.phase]
        return f", most of it in {groups.layers[int(groups.by_layer(stats.grads).argmax())]!r}"

    # -- at checks -----------------------------------------------------------------------------

    def check(self, step: int, share: float, val: float | None) -> list[Issue]:
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
            found.append(Issue("over-fitting", words, helps, recoverable=False))
        start, spread = first.first["loss"]
        if share >= LOW and step >= PATIENCE and train > start - 0.5 * spread:
            words = f"the loss is {train:.4g}, as in the first steps ({start:.4g}): nothing is learnt"
            found.append(Issue("stalled", words, "another rate (--set train.lr=)", recoverable=False))
        return [issue for issue in found if self._is_news(issue)]

    def is_low(self, covered: float) -> bool:
        """Whether to measure again."""
        return covered < LOW

    def cover(self, share: float, covered: float, blind: bool) -> Issue | None:
        """What `covered`, the share of real examples near some sample as part of that share among real
        examples themselves, says at a check.

        blind   the family has no held-out loss, in which kinds of examples that are missing would be seen
        """
        before, last = self._reached, self._covered
        self._reached, self._covered = max(before, covered), covered
        words = f"the samples cover {covered:.0%} of what real examples cover"
        fell, issue = before >= LOW > covered, None
        if fell and covered < LOST * last:  # which is at most `before`
            issue = Issue("coverage collapse", f"{words}, after {last:.0%} before", "more data")
        elif fell and covered < LOST * before:
            # Lost little by little: where it would go back to is no better.
            words = f"{words}, less from check to check, after {before:.0%} at best"
            issue = Issue("coverage collapse", words, "more data or fewer steps", False)
        elif blind and before < LOW and covered < (LOW if share >= 1 else BARE) and share >= 0.5:
            words = f"{words}, and never covered more: kinds of examples are missing, or it is too early"
            issue = Issue("coverage collapse", words, "a longer training or other options", False)
        return issue if issue is not None and self._is_news(issue) else None

    # -- what follows --------------------------------------------------------------------------

    def adaptive_clip_norm(self, phase: str) -> float:
        """The largest norm of a gradient to step by, without bound where there is no leash.

        Adam divides by what gradients have been, so that one that is suddenly a thousand times as large
        makes a step ten times as large, to which a rival answers likewise. Clipped to the usual, rivals over
        a grid stand six times the default rate (Seetharaman et al. 2020, arXiv:2007.14469, clip to a
        percentile). Over a row the large ones find narrow modes: without them a generator misses more.
        """
        robust = self._usual.get(phase)
        return (
            LEASH * robust.median["norm"]
            if self.clips_adaptively and robust and robust.median
            else math.inf
        )

    @property
    def is_stable(self) -> bool:
        """Whether nothing odd is being watched: only then is a state worth going back to."""
        return not any(self._lasting.values())

    @property
    def lr_scale(self) -> float:
        """What the rate is multiplied by: half after each setback, from a small part of it upwards."""
        return 0.5**self.rollbacks * min(1.0, (self.since + 1) / WARM)

    def passed(self) -> None:
        """A step went well."""
        self.since += 1

    def rollback(self, healthy: Mapping[str, Any]) -> None:
        """Training goes back: what is known is what was known then, but not that it was well."""
        rollbacks, told = self.rollbacks + 1, self._told
        self.restore(healthy)
        self.rollbacks, self.since, self._told = rollbacks, 0, told

    def _is_news(self, issue: Issue) -> bool:
        """What is only told is told once."""
        if issue.recoverable:
            return True
        news = issue.cause not in self._told
        if news:
            self._told.append(issue.cause)
        return news

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "setbacks": self.rollbacks,
            "since": self.since,
            "usual": {phase: robust.state() for phase, robust in self._usual.items()},
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
        self.rollbacks, self.since = state["setbacks"], state["since"]
        self._usual = {phase: RobustStats.of(one) for phase, one in state.get("usual", {}).items()}
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
    robust = median(look["ways"]) if len(look["ways"]) >= WAYS[1] else 0.0
    return _way(now, look["weights"]) / robust if robust else 0.0


def _frozen(words: str) -> Issue:
    return Issue("frozen", words, "a higher rate, or another loss")


def _too_high(words: str) -> Issue:
    return Issue("rate too high", words, helps="")
