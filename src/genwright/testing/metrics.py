"""What a metric must show on truths that are known, before a verdict may rest on it.

Some checks are for every metric; others only for those that claim to see such a fault (`Metric.sees`).
`check_metric` runs them on any metric; `python -m genwright.testing.validate` keeps what they show of the
registered ones in `evaluation/validation.json`, from which the report knows whom to believe.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cached_property
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Metric, OfPairs, Statistic, difference_error
from genwright.evaluation.results import MetricResult
from genwright.registry import build
from genwright.testing.pairs import EVERY as OF_ANY_PAIRS
from genwright.testing.pairs import PAIRED, PAIRED_SLOW, PairSubject
from genwright.testing.worlds import WORLDS, World

__all__ = ["QUICK", "SLOW", "Subject", "check_metric", "checks_for", "run_checks", "subject_of"]

SEEDS = range(4, 14)
"""Of draws of real examples: the real baseline."""
TRIALS = 200
OF_NUMBERS = ("features", "flat")
"""Views that are plain numbers."""


def check_metric(metric: type[Metric] | Metric, *, slow: bool = True) -> dict[str, str]:
    """Every check that a metric has to pass, and why it fails it: "" where it passes.

    slow   also whether its 95 % intervals hold the truth, which takes 200 measurements
    Raises `DataError` where there is no world with the view that it reads.
    """
    made = metric() if isinstance(metric, type) else metric
    return run_checks(_subject(made), checks_for(made, slow=slow))


def subject_of(name: str) -> Subject | PairSubject:
    """The registered metric in its world."""
    made: Metric = build("metrics", name, {}, where="metric")
    return _subject(made)


def _subject(made: Metric) -> Subject | PairSubject:
    return PairSubject(made) if isinstance(made, OfPairs) else Subject(made)


def world_of(made: Metric) -> World:
    """Known truths with the view that a metric reads; enough examples for it."""
    name = "rows" if made.reads in OF_NUMBERS else made.reads
    if name not in WORLDS:
        raise DataError(
            f"{made.name} reads the view {made.reads!r}, and there is no world that offers it; known: "
            f"features, flat, {', '.join(one for one in WORLDS if one not in ('rows', 'many texts'))}",
            code="no-view",
        )
    world = WORLDS[name]
    few = made.least(world.question()) > world.n
    return WORLDS["many texts"] if few and made.reads == "text" else world


class Subject:
    """A metric in its world."""

    def __init__(self, made: Metric) -> None:
        self.metric, self.world = made, world_of(made)
        self.question = self.world.question()

    def value(self, evidence: Evidence, seed: int = 0) -> float:
        """Without the interval, where that can be left out."""
        if isinstance(self.metric, Statistic):
            return self.metric.measure(evidence, np.random.default_rng(seed))
        return self.metric.read(evidence, seed).value

    def of(self, raw: Any) -> float:
        """The value of raw examples of the world."""
        return self.value(self.question.about(self.world.sample(raw)))

    @cached_property
    def real_baseline(self) -> Array:
        """Of further real examples."""
        return np.array([self.value(self.question.about(self.world.real(seed))) for seed in SEEDS])

    def far(self, value: float) -> float:
        """How much worse than real."""
        gap = value - float(self.real_baseline.mean())
        return (
            abs(gap) if self.metric.better == "near" else gap if self.metric.better == "lower" else -gap
        )

    @property
    def noise(self) -> float:
        """One standard deviation of what is real, in `far`."""
        return max(float(self.real_baseline.std(ddof=1)), 1e-9)

    @property
    def scale(self) -> float:
        """From real to useless: half noise, or each number by itself, or one thing only."""
        raw = self.world.draw(self.world.n, 4)
        bad = (self.world.noisy(raw, 1.0, 0), self.world.trivial(raw, 0), self.world.copying(1.0, 0))
        return max(self.noise, *(abs(self.of(some) - float(self.real_baseline.mean())) for some in bad))

    def seen(self, raw: Any, what: str) -> str:
        """Whether it is three standard deviations worse than real."""
        found = self.far(self.of(raw)) / self.noise
        return "" if found >= 3 else f"{what} are {found:.1f} standard deviations from real, wanted 3"


Check = Callable[[Subject], str]
"""Why a metric fails; "" if it does not."""


# -- for every metric ------------------------------------------------------------------------------


def itself(s: Subject) -> str:
    """Ideal on real examples: the held-out ones themselves, or fresh ones."""
    if s.metric.ideal is None:
        return ""
    # Against itself an example has a neighbour too many, a classifier knows its exam, and all is copied.
    fresh = s.metric.better == "near" or s.metric.group in ("novelty", "usefulness")
    fake = s.question.fake if fresh else s.question.test
    measurement, scale = s.metric.read(s.question.about(fake)), s.scale
    value = measurement.value
    if fresh and measurement.low <= s.metric.ideal <= measurement.high:
        return ""
    off = abs(value - s.metric.ideal)
    return (
        "" if off <= 3 * s.noise + 0.01 * scale else f"{value:.3g} on itself, wanted {s.metric.ideal:g}"
    )


def real_baseline(s: Subject) -> str:
    """Its interval holds what other real examples have."""
    measurements = [s.metric.read(s.question.about(s.world.real(seed)), seed) for seed in range(20, 40)]
    middle = float(np.mean([r.value for r in measurements]))
    tiny = 1e-9 * max(1.0, abs(middle))
    inside = sum(r.low - tiny <= middle <= r.high + tiny for r in measurements)
    return "" if inside >= 16 else f"{inside} of 20 intervals of real examples hold their mean"


def row_order(s: Subject) -> str:
    rng = np.random.default_rng(0)
    turned = replace(
        s.question,
        **{
            name: getattr(s.question, name).take(rng.permutation(len(getattr(s.question, name))))
            for name in ("train", "test", "fake")
        },
    )
    before, after = s.value(s.question), s.value(turned)
    return "" if abs(after - before) <= 1e-9 * max(1.0, abs(before)) else f"{after - before:.1e} off"


def seed(s: Subject) -> str:
    one, two = (s.metric.read(s.question, 5) for _ in range(2))
    return "" if one == two else f"{one} and then {two}"


def degenerate(s: Subject) -> str:
    """A sentence, or a number: never a warning, a crash or no number."""
    test = s.world.draw(s.world.n, 2)
    same = s.world.take(test, np.zeros(s.world.n, dtype=int))
    few = s.question.about(s.question.fake.take(np.arange(2)))
    none = s.question.about(s.question.fake.take(np.arange(0)))
    broken = s.question.fake
    broken = replace(broken, features=np.full_like(broken.features, np.nan))
    cases = {
        "equal examples": s.question.about(s.world.sample(same)),
        "two examples": few,
        "no example": none,
        "values that are no numbers": s.question.about(broken),
    }
    for what, evidence in cases.items():
        try:
            measurement = s.metric.read(evidence)
        except DataError as error:
            if what == "two examples" and not any(c.isdigit() for c in str(error)):
                return f"does not say how many it needs: {error}"
            continue
        if (
            not np.isfinite([measurement.value, measurement.low, measurement.high]).all()
            or "no number" in what
        ):
            return f"{measurement} of {what}"
    return _blind(s)


def _blind(s: Subject) -> str:
    """Where the features show nothing, nothing may look real."""
    if s.metric.group != "fidelity" or s.metric.reads not in OF_NUMBERS:
        return ""

    def dark(one: Sample) -> Sample:
        return replace(one, features=0 * one.features, flat=0 * one.flat)

    q = s.question
    try:
        measurement = s.metric.read(
            replace(q, train=dark(q.train), test=dark(q.test), fake=dark(q.fake))
        )
    except DataError:
        return ""
    return f"{measurement.value:.3g} where all features are the same"


def outlier(s: Subject) -> str:
    """One example ten times as far out as the others moves it by less than 5 % of the scale."""
    if s.metric.reads not in OF_NUMBERS:
        return ""  # there is no far out among letters, categories and pixels
    x, labels = s.world.draw(2000, 4)  # as many as the judge takes if not told otherwise
    asked = replace(s.question, test=s.world.sample(s.world.draw(2000, 2)))
    before = s.value(asked.about(s.world.sample((x, labels))))
    x = x.copy()
    x[0] = 10 * np.sign(x[0]) * x.std(0)
    moved = abs(s.value(asked.about(s.world.sample((x, labels)))) - before) / s.scale
    return "" if moved < 0.05 else f"one outlier moves it by {moved:.0%} of the scale"


def interval(s: Subject) -> str:
    """95 % intervals hold the truth in 90 to 99 % of 200 draws of noisy examples, with fresh test examples
    each time (four standard errors of slack)."""
    found, n = [], s.world.n
    for trial in range(TRIALS):
        test, raw = s.world.draw(n, 1000 + 2 * trial), s.world.draw(n, 1001 + 2 * trial)
        evidence = replace(s.question, test=s.world.sample(test))
        fake = s.world.noisy(raw, 0.15, trial)
        found.append(s.metric.read(evidence.about(s.world.sample(fake)), trial))
    truth = float(np.mean([one.value for one in found]))
    tiny = 1e-9 * max(1.0, abs(truth))
    holds = float(np.mean([one.low - tiny <= truth <= one.high + tiny for one in found]))
    return "" if holds >= 0.9 else f"{holds:.0%} of {TRIALS} intervals hold the truth, wanted 90 to 99"


# -- for those that claim it -----------------------------------------------------------------------


def order(s: Subject) -> str:
    """Real before noisy before trivial."""
    for i in range(3):
        raw = s.world.draw(s.world.n, 4 + i)
        steps = [raw, s.world.noisy(raw, 0.4, i), s.world.trivial(raw, i)]
        real, noisy, trivial = (s.far(s.of(some)) for some in steps)
        if not real < noisy < trivial:
            return f"real {real:.3g}, noisy {noisy:.3g}, trivial {trivial:.3g} from the floor"
    return ""


def ladder(s: Subject) -> str:
    """More noise is farther away."""
    levels = np.linspace(0, 1, 7)
    raw = s.world.draw(s.world.n, 4)
    from scipy.stats import spearmanr

    found = spearmanr(levels, [s.far(s.of(s.world.noisy(raw, level, 0))) for level in levels]).statistic
    return "" if found >= 0.9 else f"Spearman {found:.2f} with the noise, wanted 0.9"


def missing_mode(s: Subject) -> str:
    return s.seen(s.world.draw(s.world.n, 4, but=True), "examples without one of ten modes")


def new_mode(s: Subject) -> str:
    return s.seen(s.world.draw(s.world.n, 4, new=True), "examples with a made-up mode")


def independence(s: Subject) -> str:
    """Numbers drawn each by itself: three times the floor, too."""
    value, real = s.of(s.world.trivial(s.world.draw(s.world.n, 4), 0)), float(s.real_baseline.mean())
    ideal = s.metric.ideal if s.metric.ideal is not None else real
    if abs(value - ideal) <= 3 * abs(real - ideal):
        return f"{value:.3g} of independent numbers, {real:.3g} of real ones"
    return s.seen(s.world.trivial(s.world.draw(s.world.n, 4), 0), "independent numbers")


def ignored(s: Subject) -> str:
    """Good examples with the conditions of others."""
    raw = s.world.ignoring(s.world.draw(s.world.n, 4), 0)
    return "" if raw is None else s.seen(raw, "examples with the conditions of others")


def collapse(s: Subject) -> str:
    return s.seen(s.world.collapsed(s.world.draw(s.world.n, 4)), "three examples over and over")


def all_copied(s: Subject) -> str:
    return s.seen(s.world.copying(1.0, 4), "copies")


def tenth_copied(s: Subject) -> str:
    return s.seen(s.world.copying(0.1, 4), "a tenth of copies")


def hundredth_copied(s: Subject) -> str:
    return s.seen(s.world.copying(0.01, 4), "a hundredth of copies")


def not_copied(s: Subject) -> str:
    """A metric of copying finds none where examples are merely too alike, or too ordinary."""
    if s.metric.group != "novelty":
        return ""
    real_baseline = s.metric.read(s.question)
    result = MetricResult(
        s.metric.name, "novelty", s.metric.better, "", True, None, real_baseline, fault=s.metric.fault
    )
    for i in range(6):
        for what, raw in s.world.tame(s.world.draw(s.world.n, 4 + i)).items():
            try:
                found = s.metric.read(s.question.about(s.world.sample(raw)))
            except DataError:
                continue
            if result.faulty(found) > 3 * difference_error(found, real_baseline):
                return (
                    f"{what}, none of them a copy, measure {found.value:.3g}; real ones "
                    f"{real_baseline.value:.3g}"
                )
    return ""


EVERY: tuple[Check, ...] = (itself, real_baseline, row_order, seed, degenerate, outlier, not_copied)
CLAIMED: tuple[Check, ...] = (
    *(order, ladder, missing_mode, new_mode, independence, ignored, collapse),
    *(all_copied, tenth_copied, hundredth_copied),
)
SLOW = {"interval": interval}
QUICK: dict[str, Check] = {one.__name__: one for one in (*EVERY, *CLAIMED)}


def checks_for(metric: Metric, *, slow: bool = True) -> list[str]:
    """The checks for a metric; one that claims nothing is not excused from any."""
    pairs = isinstance(metric, OfPairs)
    known: Iterable[str] = PAIRED if pairs else QUICK
    every = set(OF_ANY_PAIRS) if pairs else {one.__name__ for one in EVERY}
    claims = set(known if metric.sees is None else metric.sees)
    quick = [name for name in known if name in every or name in claims]
    return [*quick, *SLOW] if slow else quick


def run_checks(subject: Subject | PairSubject, checks: Iterable[str]) -> dict[str, str]:
    """Why the metric fails each check; "" where it does not. What it raises or warns of is a failure too."""
    return {name: _run(subject, name) for name in checks}


def _run(subject: Subject | PairSubject, name: str) -> str:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            if isinstance(subject, PairSubject):
                return (PAIRED | PAIRED_SLOW)[name](subject)
            return (QUICK | SLOW)[name](subject)
        except Exception as error:
            return f"{type(error).__name__}: {error}"
