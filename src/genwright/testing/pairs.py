"""What a metric of answers must show: questions whose right answers are known, and answers that are spoilt.

The checks go by the names of those for other metrics (`genwright.testing.metrics`) and say the same of answers:
the right one before a slightly damaged one before a heavily damaged one before the answer to another question.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, lru_cache
from itertools import pairwise
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metric import Measurement, OfPairs
from genwright.space import Real, Space, Symbol
from genwright.testing.worlds import (
    CENTRES,
    NumberWorld,
    PictureWorld,
    SeriesWorld,
    TableWorld,
    TextWorld,
    World,
)

__all__ = ["PAIRED", "PAIRED_SLOW", "PairSubject"]

DRAWS = 9
SLIGHTLY, HEAVILY = 0.1, 0.3
"""Shares of the noise that leaves nothing."""
TRIALS = 200


class PairedNumbers(NumberWorld):
    n = 300

    def space(self) -> Space:
        return Space((), (Real(6),))


class PairedTexts(TextWorld):
    """Texts of a few words, which may well be right to the letter."""

    WORDS = (3, 6)

    def space(self) -> Space:
        return Space((64,), (Symbol(27, pad=0),))


class PairedSeries(SeriesWorld):
    """Series whose last quarter is asked for."""

    def known(self, true: Array) -> Array:
        return np.broadcast_to(np.arange(self.STEPS) < 3 * self.STEPS // 4, true.shape)


WORLDS: tuple[World, ...] = (
    PairedNumbers(),
    PictureWorld(),
    PairedTexts(),
    TableWorld(),
    PairedSeries(),
)


class Questions:
    """A world asked in pairs: the truth is drawn, and so are answers of any quality."""

    def __init__(self, world: World) -> None:
        self.world = world

    @cache  # noqa: B019 - there are few worlds
    def train(self) -> Any:
        return self.world.sample(self.world.draw(2 * self.world.n, 1))

    @lru_cache(maxsize=64)  # noqa: B019 - there are few worlds, and each check asks for much the same
    def evidence(self, seed: int, level: float | None = None) -> Evidence:
        """Answers with so much damage; None: the right ones themselves."""
        raw = self.world.draw(self.world.n, seed)
        true = self.world.sample(raw)
        made = true if level is None else self.world.sample(self.world.noisy(raw, level, seed))
        known = self.world.known(true.x) if isinstance(self.world, PairedSeries) else None
        pairs = Pairs({}, made, true, known=known, draws=self._draws(raw, true.x, level, seed))
        return Evidence(self.world.space(), "known", self.train(), true, made, pairs=pairs)

    def _draws(self, raw: Any, true: Array, level: float | None, seed: int) -> Array | None:
        """Several answers, of numbers: as the right one is drawn, but for an error that they share."""
        if not isinstance(self.world, NumberWorld | PairedSeries):
            return None
        if level is None:
            return true[None]
        rng = np.random.default_rng([seed, 1])
        if isinstance(self.world, PairedSeries):
            off = true + 2 * level * rng.normal(size=true.shape)
            return np.asarray(off + 0.1 * rng.normal(size=(DRAWS, *true.shape)))
        off = 6 * level * rng.normal(size=true.shape)
        return np.asarray(CENTRES[raw[1].astype(int)] + off + rng.normal(size=(DRAWS, *true.shape)))

    @staticmethod
    def answered_by(asked: Evidence, index: Array) -> Evidence:
        """Each question answered as the one at `index`."""
        pairs = asked.pairs
        assert pairs is not None
        draws = None if pairs.draws is None else pairs.draws[:, index]
        return _with(asked, replace(pairs, made=pairs.made.take(index), draws=draws))


@cache
def questions_of(world: World) -> Questions:
    """One for all metrics: what they are asked is drawn once."""
    return Questions(world)


def _with(asked: Evidence, pairs: Pairs) -> Evidence:
    return replace(asked, test=pairs.true, fake=pairs.made, pairs=pairs)


class PairSubject:
    """A metric of answers in the first world that it fits."""

    def __init__(self, made: OfPairs) -> None:
        self.metric = made
        fit = [questions_of(world) for world in WORLDS if made.reads in _views(world)]
        found = [one for one in fit if made.fits(one.evidence(2, SLIGHTLY))]
        if not found:
            raise DataError(
                f"{made.name} fits none of the worlds whose answers are known", code="no-view"
            )
        self.questions = found[0]

    def read(self, asked: Evidence, seed: int = 0) -> Measurement:
        return self.metric.read(asked, seed)

    def far(self, asked: Evidence) -> float:
        """How far from the best there can be."""
        assert self.metric.ideal is not None
        return abs(self.read(asked).value - self.metric.ideal)

    def shuffled(self, seed: int) -> Evidence:
        asked = self.questions.evidence(seed, 0.0)
        return self.questions.answered_by(asked, np.roll(np.arange(len(asked.fake)), 1))

    def worse(self, asked: Evidence, what: str) -> str:
        """Whether it is three standard errors farther than slightly damaged answers."""
        good, bad = self.read(self.questions.evidence(2, SLIGHTLY)), self.read(asked)
        noise = max(float(np.hypot(good.error, bad.error)), 1e-9)
        assert self.metric.ideal is not None
        gap = abs(bad.value - self.metric.ideal) - abs(good.value - self.metric.ideal)
        return "" if gap >= 3 * noise else f"{what} are {gap / noise:.1f} standard errors off, wanted 3"


def _views(world: World) -> frozenset[str]:
    return world.sample(world.draw(10, 0)).views


def _itself(s: PairSubject) -> str:
    """Ideal where the answers are the right ones."""
    value, ideal = s.read(s.questions.evidence(2)).value, s.metric.ideal
    assert ideal is not None
    return "" if abs(value - ideal) <= 1e-9 * max(1.0, abs(ideal)) else f"{value:.6g}, wanted {ideal:g}"


def _real_baseline(s: PairSubject) -> str:
    """Its interval holds what answers as good to other questions have."""
    found = [s.read(s.questions.evidence(seed, SLIGHTLY), seed) for seed in range(20, 40)]
    middle = float(np.mean([one.value for one in found]))
    inside = sum(one.low <= middle <= one.high for one in found)
    return "" if inside >= 16 else f"{inside} of 20 intervals hold the mean of all"


def _row_order(s: PairSubject) -> str:
    asked = s.questions.evidence(2, SLIGHTLY)
    assert asked.pairs is not None
    turned = _with(asked, asked.pairs.take(np.random.default_rng(0).permutation(len(asked.fake))))
    before, after = s.read(asked).value, s.read(turned).value
    return "" if abs(after - before) <= 1e-9 * max(1.0, abs(before)) else f"{after - before:.1e} off"


def _seed(s: PairSubject) -> str:
    one, two = (s.read(s.questions.evidence(2, SLIGHTLY), 5) for _ in range(2))
    return "" if one == two else f"{one} and then {two}"


def _degenerate(s: PairSubject) -> str:
    """A sentence, or a number: never a warning, a crash or no number."""
    asked = s.questions.evidence(2, SLIGHTLY)
    assert asked.pairs is not None
    broken = replace(asked.pairs.made, features=np.full_like(asked.pairs.made.features, np.nan))
    cases = {
        "equal examples": asked.pairs.take(np.zeros(len(asked.fake), dtype=np.int64)),
        "two examples": asked.pairs.take(np.arange(2)),
        "no example": asked.pairs.take(np.arange(0)),
        "fewer answers": replace(asked.pairs, made=asked.pairs.made.take(np.arange(20))),
        "values that are no numbers": replace(asked.pairs, made=broken),
    }
    for what, pairs in cases.items():
        try:
            found = s.read(_with(asked, pairs))
        except DataError:
            continue
        if not np.isfinite([found.value, found.low, found.high]).all() or what != "equal examples":
            return f"{found} of {what}"
    return ""


def _outlier(s: PairSubject) -> str:
    """One answer that is another's moves it by less than 5 % of the way to all of them being others'."""
    asked = s.questions.evidence(2, SLIGHTLY)
    index = np.arange(len(asked.fake))
    index[0] = index[-1]
    before, after = (s.far(one) for one in (asked, s.questions.answered_by(asked, index)))
    moved = abs(after - before) / abs(s.far(s.shuffled(2)) - before)
    return "" if moved < 0.05 else f"one wrong answer moves it by {moved:.0%} of the scale"


def _order(s: PairSubject) -> str:
    """The right answer before a slightly and a heavily damaged one before that to another question."""
    for i in (2, 3, 4):
        levels = [s.far(s.questions.evidence(i, level)) for level in (0.0, SLIGHTLY, HEAVILY)]
        steps = [*levels, s.far(s.shuffled(i))]
        if not all(a < b for a, b in pairwise(steps)):
            return (
                f"right, slightly and heavily damaged, shuffled: {', '.join(f'{v:.3g}' for v in steps)}"
            )
    return ""


def _ladder(s: PairSubject) -> str:
    """More damage is farther away."""
    from scipy.stats import spearmanr

    levels = np.linspace(0, 1, 7)
    found = spearmanr(levels, [s.far(s.questions.evidence(2, level)) for level in levels]).statistic
    return "" if found >= 0.9 else f"Spearman {found:.2f} with the damage, wanted 0.9"


def _ignored(s: PairSubject) -> str:
    """Good answers to other questions."""
    return s.worse(s.shuffled(2), "answers to other questions")


def _collapse(s: PairSubject) -> str:
    """One answer to all questions."""
    asked = s.questions.evidence(2, 0.0)
    same = s.questions.answered_by(asked, np.zeros(len(asked.fake), dtype=np.int64))
    return s.worse(same, "equal answers to all questions")


def _interval(s: PairSubject) -> str:
    """95 % intervals hold the truth in 90 % or more of 200 draws of damaged answers to fresh questions."""
    found = [s.read(s.questions.evidence(1000 + i, SLIGHTLY), i) for i in range(TRIALS)]
    truth = float(np.mean([one.value for one in found]))
    holds = float(np.mean([one.low <= truth <= one.high for one in found]))
    return "" if holds >= 0.9 else f"{holds:.0%} of {TRIALS} intervals hold the truth, wanted 90 to 99"


PairCheck = Callable[[PairSubject], str]
EVERY = ("itself", "real_baseline", "row_order", "seed", "degenerate", "outlier")
"""Those that every metric of answers has to pass; the others are for those that claim it."""
PAIRED: dict[str, PairCheck] = {
    one.__name__[1:]: one
    for one in (
        *(_itself, _real_baseline, _row_order, _seed, _degenerate, _outlier),
        *(_order, _ladder, _ignored, _collapse),
    )
}
PAIRED_SLOW: dict[str, PairCheck] = {"interval": _interval}
