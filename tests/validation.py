"""What a metric must show on truths that we know, before a verdict may rest on it.

Some checks are for every metric; others only for those that claim to see such a fault (`SEES`). What came
of them stands in `judging/validation.json`, from which the judge knows whom to believe. To write it anew:

    python tests/validation.py
"""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

import genwright.evaluation
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, Statistic, apart
from genwright.evaluation.metrics import usefulness
from genwright.evaluation.results import MetricResult
from genwright.registry import build, names
from worlds import WORLDS, World

__all__ = ["QUICK", "SEES", "SLOW", "Subject", "asked_of", "check", "metric"]

FILE = Path(genwright.evaluation.__file__).with_name("validation.json")
SEEDS = range(4, 14)
"""Of draws of real examples: the floor."""
TRIALS = 200

_DISTANCES = "fd fd_inf kid mmd sw pairs "
_TESTS = "c2st 1nn "
_BELIEVABLE = "precision density clipped_density "
_VARIED = "recall coverage clipped_coverage vendi class_score modes_missed "
SEES = {
    "order": _DISTANCES + _TESTS + _BELIEVABLE + "tstr constraints known_words lengths ngram_js mauve",
    "ladder": _DISTANCES
    + _TESTS
    + _BELIEVABLE
    + "columns tstr validity constraints known_words lengths ngram_js mauve spectrum pixels sharpness",
    "independence": _DISTANCES + _TESTS + _BELIEVABLE + "tstr constraints",
    "missing_mode": _DISTANCES + _VARIED + "columns ngram_js mauve",
    "new_mode": _DISTANCES + _TESTS + _BELIEVABLE + "columns ngram_js mauve",
    "collapse": _VARIED + "repetition distinct",
    # A few copies among many are for the two that look at each example by itself.
    "all_copied": "exact_copies near_copies nearest_share c_t authenticity membership singling_out "
    "attribute_inference novel_ngrams longest_copy",
    "tenth_copied": "exact_copies near_copies",
    "hundredth_copied": "exact_copies near_copies",
}
"""Which metrics say that they see a fault. Precision does not ask whether all kinds are there, recall not
whether what is there is believable, columns not how they go together; and one mode of ten that is missing is
within the noise of a test that asks one example at a time."""


def metric(name: str) -> Metric:
    made: Metric = build("metrics", name, {}, where="metric")
    return made


def world_of(made: Metric) -> World:
    if made.kinds is None:
        return WORLDS["rows"]
    (kind,) = made.kinds
    return WORLDS["many texts" if made.least(WORLDS[kind].question()) > WORLDS[kind].n else kind]


class Subject:
    """A metric in its world."""

    def __init__(self, made: Metric) -> None:
        self.metric, self.world = made, world_of(made)
        self.question = self.world.question()
        self.scores: dict[tuple[str, int], float] = {}

    def value(self, evidence: Evidence, seed: int = 0) -> float:
        """Without the interval, where that can be left out."""
        if isinstance(self.metric, Statistic):
            return self.metric.measure(evidence, np.random.default_rng(seed))
        return self.metric.read(evidence, seed).value

    def of(self, raw: Any) -> float:
        return self.value(self.question.about(self.world.sample(raw)))

    @property
    def floor(self) -> np.ndarray:
        """Of further real examples."""
        if not hasattr(self, "_floor"):
            self._floor = np.array([self.of(self.world.draw(self.world.n, seed)) for seed in SEEDS])
        return self._floor

    def far(self, value: float) -> float:
        """How much worse than real."""
        gap = value - float(self.floor.mean())
        return (
            abs(gap) if self.metric.better == "near" else gap if self.metric.better == "lower" else -gap
        )

    @property
    def noise(self) -> float:
        """One standard deviation of what is real, in `far`."""
        return max(float(self.floor.std(ddof=1)), 1e-9)

    @property
    def scale(self) -> float:
        """From real to useless: half noise, or each number by itself, or one thing only."""
        raw = self.world.draw(self.world.n, 4)
        bad = (self.world.noisy(raw, 1.0, 0), self.world.trivial(raw, 0), self.world.copying(1.0, 0))
        return max(self.noise, *(abs(self.of(some) - float(self.floor.mean())) for some in bad))

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
    fake = s.question.fake if fresh and s.metric.name != "1nn" else s.question.held
    reading, scale = s.metric.read(s.question.about(fake)), s.scale
    value = reading.value
    if fresh and reading.low <= s.metric.ideal <= reading.high:
        return ""
    if s.metric.name == "1nn":  # each has its copy for a neighbour: as far below as it can be
        return "" if value == 0 else f"{value:.3g} on itself, wanted 0"
    off = abs(value - s.metric.ideal)
    return (
        "" if off <= 3 * s.noise + 0.01 * scale else f"{value:.3g} on itself, wanted {s.metric.ideal:g}"
    )


def floor(s: Subject) -> str:
    """Its interval holds what other real examples have."""
    readings = [
        s.metric.read(s.question.about(s.world.sample(s.world.draw(s.world.n, seed))), seed)
        for seed in range(20, 40)
    ]
    middle = float(np.mean([r.value for r in readings]))
    tiny = 1e-9 * max(1.0, abs(middle))
    inside = sum(r.low - tiny <= middle <= r.high + tiny for r in readings)
    return "" if inside >= 16 else f"{inside} of 20 intervals of real examples hold their mean"


def row_order(s: Subject) -> str:
    rng = np.random.default_rng(0)
    turned = replace(
        s.question,
        **{
            name: getattr(s.question, name).take(rng.permutation(len(getattr(s.question, name))))
            for name in ("train", "held", "fake")
        },
    )
    before, after = s.value(s.question), s.value(turned)
    return "" if abs(after - before) <= 1e-9 * max(1.0, abs(before)) else f"{after - before:.1e} off"


def seed(s: Subject) -> str:
    one, two = (s.metric.read(s.question, 5) for _ in range(2))
    return "" if one == two else f"{one} and then {two}"


def degenerate(s: Subject) -> str:
    """A sentence, or a number: never a warning, a crash or no number."""
    held = s.world.draw(s.world.n, 2)
    same = s.world.take(held, np.zeros(s.world.n, dtype=int))
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
            reading = s.metric.read(evidence)
        except DataError as error:
            if what == "two examples" and not any(c.isdigit() for c in str(error)):
                return f"does not say how many it needs: {error}"
            continue
        if not np.isfinite([reading.value, reading.low, reading.high]).all() or "no number" in what:
            return f"{reading} of {what}"
    return _blind(s)


def _blind(s: Subject) -> str:
    """Through a lens that sees nothing nothing may look real."""
    if s.metric.group != "fidelity" or s.metric.kinds is not None:
        return ""

    def dark(one: Sample) -> Sample:
        return replace(one, features=0 * one.features, numbers=0 * one.numbers)

    q = s.question
    try:
        reading = s.metric.read(replace(q, train=dark(q.train), held=dark(q.held), fake=dark(q.fake)))
    except DataError:
        return ""
    return f"{reading.value:.3g} where all features are the same"


def outlier(s: Subject) -> str:
    """One example ten times as far out as the others moves it by less than 5 % of the scale."""
    if s.metric.kinds is not None:
        return ""  # there is no far out among letters, categories and pixels
    x, labels = s.world.draw(2000, 4)  # as many as the judge takes if not told otherwise
    asked = replace(s.question, held=s.world.sample(s.world.draw(2000, 2)))
    before = s.value(asked.about(s.world.sample((x, labels))))
    x = x.copy()
    x[0] = 10 * np.sign(x[0]) * x.std(0)
    moved = abs(s.value(asked.about(s.world.sample((x, labels)))) - before) / s.scale
    return "" if moved < 0.05 else f"one outlier moves it by {moved:.0%} of the scale"


def interval(s: Subject) -> str:
    """95 % intervals hold the truth in 90 to 99 % of 200 draws (four standard errors of slack)."""
    readings = _trials(s.metric.name)
    truth = float(np.mean([r.value for r in readings]))
    tiny = 1e-9 * max(1.0, abs(truth))
    holds = float(np.mean([r.low - tiny <= truth <= r.high + tiny for r in readings]))
    if holds < 0.9:
        return f"{holds:.0%} of {TRIALS} intervals hold the truth, wanted 90 to 99"
    return ""


@cache
def _trials(name: str) -> tuple[Measurement, ...]:
    """Of draws of noisy examples, with fresh held-out ones each time."""
    s = Subject(metric(name))
    n = s.world.n
    found = []
    for trial in range(TRIALS):
        held, raw = s.world.draw(n, 1000 + 2 * trial), s.world.draw(n, 1001 + 2 * trial)
        evidence = replace(s.question, held=s.world.sample(held))
        fake = s.world.noisy(raw, 0.15, trial)
        found.append(s.metric.read(evidence.about(s.world.sample(fake)), trial))
    return tuple(found)


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
    found = spearmanr(levels, [s.far(s.of(s.world.noisy(raw, level, 0))) for level in levels]).statistic
    return "" if found >= 0.9 else f"Spearman {found:.2f} with the noise, wanted 0.9"


def missing_mode(s: Subject) -> str:
    return s.seen(s.world.draw(s.world.n, 4, but=True), "examples without one of ten modes")


def new_mode(s: Subject) -> str:
    return s.seen(s.world.draw(s.world.n, 4, new=True), "examples with a made-up mode")


def independence(s: Subject) -> str:
    """Numbers drawn each by itself: three times the floor, too."""
    value, real = s.of(s.world.trivial(s.world.draw(s.world.n, 4), 0)), float(s.floor.mean())
    ideal = s.metric.ideal if s.metric.ideal is not None else real
    if abs(value - ideal) <= 3 * abs(real - ideal):
        return f"{value:.3g} of independent numbers, {real:.3g} of real ones"
    return s.seen(s.world.trivial(s.world.draw(s.world.n, 4), 0), "independent numbers")


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
    floor = s.metric.read(s.question)
    line = MetricResult(
        s.metric.name, "novelty", s.metric.better, "", True, None, floor, fault=s.metric.fault
    )
    for i in range(6):
        for what, raw in s.world.tame(s.world.draw(s.world.n, 4 + i)).items():
            try:
                found = s.metric.read(s.question.about(s.world.sample(raw)))
            except DataError:
                continue
            if line.faulty(found) > 3 * apart(found, floor):
                return (
                    f"{what}, none of them a copy, read {found.value:.3g}; real ones {floor.value:.3g}"
                )
    return ""


EVERY: tuple[Check, ...] = (itself, floor, row_order, seed, degenerate, outlier, not_copied)
CLAIMED: tuple[Check, ...] = (
    *(order, ladder, missing_mode, new_mode, independence, collapse),
    *(all_copied, tenth_copied, hundredth_copied),
)
SLOW = {"interval": interval}
QUICK: dict[str, Check] = {one.__name__: one for one in (*EVERY, *CLAIMED)}


def asked_of(name: str) -> list[str]:
    """The quick checks for a metric; one that claims nothing is not excused from any."""
    claims = {fault for fault, who in SEES.items() if name in who.split()} or SEES.keys()
    return [check for check, one in QUICK.items() if one in EVERY or check in claims]


def check(subject: Subject, name: str) -> str:
    """Why the metric fails; "" if it does not. What it raises or warns of is a failure too."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            return (QUICK | SLOW)[name](subject)
        except Exception as error:
            return f"{type(error).__name__}: {error}"


def main() -> None:
    usefulness.TREES = 25  # as the tests do: it is the code that is checked
    asked = sys.argv[1:] or names("metrics")
    found: dict[str, dict[str, str]] = json.loads(FILE.read_text()) if FILE.exists() else {}
    for name in asked:
        subject = Subject(metric(name))
        found[name] = {one: check(subject, one) for one in (*asked_of(name), *SLOW)}
        bad = {one: why for one, why in found[name].items() if why}
        sys.stdout.write(f"{name}: {len(found[name]) - len(bad)} of {len(found[name])} {bad or ''}\n")
        sys.stdout.flush()
    kept = {
        name: dict(sorted(found[name].items())) for name in sorted(found) if name in names("metrics")
    }
    FILE.write_text(json.dumps(kept, indent=1) + "\n")


if __name__ == "__main__":
    main()
