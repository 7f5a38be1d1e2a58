"""Whether more training examples help: a model is trained without and with them and tested on real ones, paired.

Each draw takes the training examples anew (a bootstrap within each class), the added ones and the test examples; both
models of a pair see the same draw. The interval is Student's over the differences of all draws, and so holds for these
examples: draws of other data would differ more (Nadeau and Bengio 2003, doi:10.1023/A:1024068626366).

Where a few seeds leave it open on which side of what is worth it a gain lies, more are drawn: the verdict of few is
then that of many.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.stats import t as student
from sklearn.metrics import f1_score

from genwright.augmenting.downstream import LabelledRows, Predictor
from genwright.data.codec import Array

__all__ = ["REAL", "Effect", "Outcome", "trial"]

REAL = "real alone"
WORTH = 0.01
"""Of macro-F1: less is no effect, however sure."""
REPEATS = 6
"""Draws of a seed."""

Outcome = Literal["helps", "has no effect", "hurts"]


@dataclass(frozen=True)
class Effect:
    """What adding examples does to macro-F1 on real test examples.

    without, with_  the mean scores
    gain            the mean difference, with its 95 % interval from `low` to `high`
    gains           of each draw
    """

    name: str
    without: float
    with_: float
    gain: float
    low: float
    high: float
    gains: tuple[float, ...]

    @property
    def outcome(self) -> Outcome:
        if self.low > 0 and self.gain >= WORTH:
            return "helps"
        if self.high < 0 and self.gain <= -WORTH:
            return "hurts"
        return "has no effect"

    @property
    def clear(self) -> bool:
        """Whether the whole interval lies beyond what is worth it, or the whole of it below."""
        return self.low > WORTH or self.high < -WORTH or -WORTH < self.low <= self.high < WORTH

    def is_ahead_of(self, other: Effect) -> bool:
        """Whether it gains more, draw by draw, beyond the noise."""
        mean, low, _ = _interval(np.array(self.gains) - np.array(other.gains))
        return low > 0 and mean >= WORTH

    def sentence(self) -> str:
        return (
            f"adding {self.name} {self.outcome}: macro-F1 {self.without:.3f} without, {self.with_:.3f} with; "
            f"{self.gain:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"
        )


def trial(
    predictor: Predictor,
    train: LabelledRows,
    test: LabelledRows,
    added: Mapping[str, LabelledRows],
    seeds: Sequence[int],
    further: Sequence[int] = (),
) -> list[Effect]:
    """The effect of each kind of further examples.

    further  seeds that are drawn one by one as long as the effect of the first kind is not clear
    """
    scores: dict[str, list[float]] = {name: [] for name in (REAL, *added)}
    first = next(iter(added))
    for number, seed in enumerate((*seeds, *further)):
        if number >= len(seeds) and _effect(first, scores[REAL], scores[first]).clear:
            break
        for repeat in range(REPEATS):
            rng = np.random.default_rng([seed, repeat])
            base, exam = (
                train.take(_within_classes(train.y, rng)),
                test.take(_within_classes(test.y, rng)),
            )
            scores[REAL].append(_score(predictor, base, exam))
            for name, more in added.items():
                drawn = more.take(_within_classes(more.y, np.random.default_rng([seed, repeat, 1])))
                scores[name].append(_score(predictor, base.joined(drawn), exam))
    return [_effect(name, scores[REAL], scores[name]) for name in added]


def _within_classes(y: Array, rng: np.random.Generator) -> Array:
    """A bootstrap in which every class is as large as it was."""
    places = [np.flatnonzero(y == value) for value in np.unique(y)]
    return np.concatenate([rng.choice(some, len(some)) for some in places])


def _score(predictor: Predictor, rows: LabelledRows, exam: LabelledRows) -> float:
    guess = predictor.probabilities(predictor.fit(rows), exam).argmax(1)
    return float(f1_score(exam.y, guess, average="macro", labels=np.unique(exam.y), zero_division=0.0))


def _effect(name: str, without: Sequence[float], with_: Sequence[float]) -> Effect:
    gains = np.array(with_) - np.array(without)
    mean, low, high = _interval(gains)
    means = float(np.mean(without)), float(np.mean(with_))
    return Effect(name, *means, mean, low, high, tuple(gains.tolist()))


def _interval(differences: Array) -> tuple[float, float, float]:
    """The mean of paired differences with Student's 95 % interval."""
    n, mean = len(differences), float(differences.mean())
    half = float(differences.std(ddof=1)) / math.sqrt(n) * float(student.ppf(0.975, n - 1))
    return mean, mean - half, mean + half
