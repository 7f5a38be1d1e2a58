"""A training that watches itself: it names what goes wrong, goes back to the last healthy state and goes on
more gently, three times at most.

In every step, at hand for nothing: the loss and the norm of the gradient of each phase, and the family's own
diagnostics. Every few steps, by layer: gradients that do not get through, weights that do not move or that
leap. At the checks: the held-out loss beside the training loss, how much of the data the samples cover, and
whether conditions are heeded.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from genwright.families.base import Diagnostic
from genwright.training.monitor.checks import (
    SURE,
    TOO_FAR_BESIDE,
    Check,
    CoverageCheck,
    HeedingCheck,
    HeldoutCheck,
    Issue,
    UpdateCheck,
    lasts,
    loss_checks,
    too_high,
)
from genwright.training.monitor.robust import RobustStats
from genwright.training.monitor.stats import ParameterGroups, StepStats

__all__ = ["MAX_ROLLBACKS", "Monitor"]

MAX_ROLLBACKS = 3
"""Times to go back before giving up."""
CLIP_RATIO = 3.0
"""Times the median norm of the gradient, which a step of adversarial networks over a grid is clipped to."""
WARMUP = 20
"""Steps over which the rate grows again."""


class Monitor:
    """Looks at each phase of each step, and at each check.

    adversarial       networks play against each other: a leap of the loss by itself is no alarm
    clips_adaptively  whether gradients are clipped to `CLIP_RATIO` times their median norm
    rollbacks         how often training went back
    """

    def __init__(
        self,
        groups: Mapping[str, ParameterGroups] | None = None,
        diagnostics: Sequence[Diagnostic] = (),
        *,
        adversarial: bool = False,
        clips_adaptively: bool = False,
    ) -> None:
        groups = dict(groups or {})
        self.clips_adaptively = clips_adaptively
        self.rollbacks, self.since = 0, WARMUP
        self._diagnostics = {Check.of(one): one.value_name for one in diagnostics}
        self._updates, self._checks = UpdateCheck(groups, adversarial), loss_checks(groups, adversarial)
        self._heldout, self._coverage, self._heeding = HeldoutCheck(), CoverageCheck(), HeedingCheck()
        self._stats: dict[str, RobustStats] = {}
        self._streaks: dict[str, int] = {}
        self._warning_streaks: dict[str, int] = {}  # of issues that are warnings alone
        self._words: dict[str, str] = {}  # of diagnostics that are out of bounds just now
        self._reported: list[str] = []

    # -- in every step -------------------------------------------------------------------------

    def look(self, stats: StepStats, bad: str = "") -> Issue | None:
        """What is wrong with a phase in this step; None if nothing is.

        bad   what is not finite, if something is not
        """
        if not (math.isfinite(stats.loss) and math.isfinite(stats.grad_norm)):
            return self._blamed(Issue("not finite", f"{bad or 'the gradient'} was not finite"), stats)
        before = self._stats.setdefault(stats.phase, RobustStats())
        known = stats.diagnostic_values
        own = [check for check, name in self._diagnostics.items() if name in known]
        found = [self._run(check, stats, before) for check in own]
        if self._updates.due(stats):
            found += self._updates.look(stats, self._streaks, self._warning_streaks)
        found += [self._run(check, stats, before) for check in self._checks]
        if self.is_stable:  # what is odd does not become the measure
            before.add({"loss": stats.loss, "norm": stats.grad_norm, **known})
        issues = [issue for issue in found if issue is not None]
        grave = next((issue for issue in issues if issue.recoverable), None)
        return grave or next(filter(self._is_news, issues), None)

    def _run(self, check: Check, stats: StepStats, before: RobustStats) -> Issue | None:
        streaks = self._streaks if check.recoverable else self._warning_streaks
        words = check.words(stats, before)
        self._words[check.name] = words or self._words.get(check.name, "")
        if not lasts(streaks, f"{stats.phase}/{check.name}", bool(words), check.steps):
            return None
        issue = check.issue(words)
        return self._blamed(issue, stats) if check.recoverable else issue

    def _blamed(self, issue: Issue, stats: StepStats) -> Issue:
        """By a more exact name: a rate that is too high, or a diagnostic that is out of bounds just now."""
        ratio = self._updates.update_ratio(stats)
        if ratio > TOO_FAR_BESIDE:
            return too_high(f"{issue.words}, after steps {ratio:.0f} times as large as before")
        if self._updates.spike and self._is_odd("update spike"):
            return too_high(f"{issue.words}, and {self._updates.spike}")
        for one in self._diagnostics:
            if issue.cause == "spike" and self._words.get(one.name) and self._is_odd(one.name):
                return Issue(one.cause, self._words[one.name], one.remedy)
        return issue

    def _is_odd(self, name: str) -> bool:
        """Of any phase: what is wrong with a critic shows in the generator's loss."""
        return any(self._streaks.get(f"{phase}/{name}") for phase in self._stats)

    # -- at checks -----------------------------------------------------------------------------

    def check(self, step: int, progress: float, val: float | None) -> list[Issue]:
        """What the held-out loss says beside the training loss."""
        first = next(iter(self._stats.values()), None)
        if first is None or not first.median or val is None:
            return []
        return [
            issue for issue in self._heldout.look(step, progress, val, first) if self._is_news(issue)
        ]

    def check_coverage(self, progress: float, covered: float, blind: bool) -> Issue | None:
        """What `covered`, the share of real examples near some sample as part of that share among real
        examples themselves, says; `blind` as in `CoverageCheck`."""
        issue = self._coverage.look(progress, covered, blind)
        return issue if issue is not None and self._is_news(issue) else None

    def check_heeding(
        self,
        step: int,
        progress: float,
        unseen: Mapping[str, float],
        seen: Callable[[], Mapping[str, float]],
    ) -> list[Issue]:
        """What the t statistics of the gain by each condition say: on held-out examples, and where that is none, on
        training examples, since what was learnt by heart is not ignored."""
        check = self._heeding
        wrong = check.look(step, progress, unseen)
        there = seen() if wrong else {}
        found = [name for name in wrong if abs(there.get(name, 0.0)) < SURE]
        check.ignored += found
        issues = [check.issue(name) for name in found]
        for name in check.heeded(unseen):
            check.ignored.remove(name)
            issues.append(
                Issue("heeded", f"the model heeds its condition {name!r} by now", "", recoverable=False)
            )
        return issues

    # -- what follows --------------------------------------------------------------------------

    def adaptive_clip_norm(self, phase: str) -> float:
        """The largest norm of a gradient to step by, infinite where clipping does not adapt.

        Adam divides by what gradients have been, so that one that is suddenly a thousand times as large
        makes a step ten times as large, to which a rival answers likewise. Clipped to the median, rivals
        over a grid stand six times the default rate (Seetharaman et al. 2020, arXiv:2007.14469, clip to a
        percentile). Over a row the large ones find narrow modes: without them a generator misses more.
        """
        before = self._stats.get(phase)
        if not (self.clips_adaptively and before and before.median):
            return math.inf
        return CLIP_RATIO * before.median["norm"]

    @property
    def is_stable(self) -> bool:
        """Whether nothing is out of bounds: only then is a state worth going back to."""
        return not any(self._streaks.values())

    @property
    def lr_scale(self) -> float:
        """What the rate is multiplied by: half after each rollback, from a small part of it upwards."""
        return 0.5**self.rollbacks * min(1.0, (self.since + 1) / WARMUP)

    def passed(self) -> None:
        """A step went well."""
        self.since += 1

    def rollback(self, healthy: Mapping[str, Any]) -> None:
        """Training goes back: what is known is what was known then, but not that it was well."""
        rollbacks, reported = self.rollbacks + 1, self._reported
        self.restore(healthy)
        self.rollbacks, self.since, self._reported = rollbacks, 0, reported

    def _is_news(self, issue: Issue) -> bool:
        """A warning is given once."""
        news = issue.recoverable or issue.cause not in self._reported
        if news and not issue.recoverable:
            self._reported.append(issue.cause)
        return news

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """As JSON; the keys are those that runs of format 1 have."""
        return {
            "setbacks": self.rollbacks,
            "since": self.since,
            "usual": {phase: before.state() for phase, before in self._stats.items()},
            "lasting": dict(self._streaks),
            "slow": dict(self._warning_streaks),
            "looks": dict(self._updates.looks),
            "checks": [list(one) for one in self._heldout.records],
            "reached": self._coverage.best,
            "covered": self._coverage.last,
            "heeding": {name: [*found] for name, found in self._heeding.scores.items()},
            "ignored": list(self._heeding.ignored),
            "told": list(self._reported),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave, of this version or of one that knew less."""
        self.rollbacks, self.since = state["setbacks"], state["since"]
        self._stats = {phase: RobustStats.of(one) for phase, one in state.get("usual", {}).items()}
        self._streaks = dict(state["lasting"]) if "usual" in state else {}
        self._warning_streaks = dict(state.get("slow", {}))
        self._updates.looks = dict(state.get("looks", {}))
        self._heldout.records = [list(one) for one in state.get("checks", [])]
        self._coverage.best = state.get("reached", 0.0)
        self._coverage.last = state.get("covered", self._coverage.best)
        self._heeding.scores = {name: [*found] for name, found in state.get("heeding", {}).items()}
        self._heeding.ignored = list(state.get("ignored", []))
        self._reported = list(state.get("told", []))
