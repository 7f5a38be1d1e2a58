"""More examples help, have no effect or hurt, as they are made to."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from genwright.augmenting.downstream import LabelledRows
from genwright.augmenting.trial import REPEATS, Effect, trial

CENTRES = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])


class NearestMean:
    """A class is where the mean of its examples is nearest."""

    def fit(self, rows: LabelledRows) -> Any:
        return np.stack([rows.x[rows.y == k].mean(0) for k in range(3)])

    def probabilities(self, model: Any, rows: LabelledRows) -> np.ndarray:
        far = ((rows.x[:, None] - model) ** 2).sum(-1)
        return np.exp(-far) / np.exp(-far).sum(1, keepdims=True)


def rows(n: int, seed: int, *, mixed: float = 0.0) -> LabelledRows:
    rng = np.random.default_rng(seed)
    y = np.arange(n) % 3
    x = CENTRES[y] + rng.normal(size=(n, 2))
    wrong = rng.random(n) < mixed
    return LabelledRows(x, np.where(wrong, (y + 1) % 3, y))


@pytest.fixture(scope="module")
def effects() -> dict[str, Effect]:
    added = {
        "true": rows(600, 3),
        "wrong": rows(600, 4, mixed=0.9),
        "a few": rows(3, 5),
    }
    found = trial(NearestMean(), rows(9, 0), rows(600, 1), added, range(5))  # type: ignore[arg-type]
    return {one.name: one for one in found}


def test_true_examples_help_and_wrong_ones_hurt(effects: dict[str, Effect]) -> None:
    assert effects["true"].outcome == "helps"
    assert effects["wrong"].outcome == "hurts"
    assert effects["true"].is_ahead_of(effects["wrong"])
    assert not effects["wrong"].is_ahead_of(effects["true"])


def test_the_same_again_has_no_effect() -> None:
    many = rows(900, 0)
    (found,) = trial(NearestMean(), many, rows(600, 1), {"same": many}, range(5))  # type: ignore[arg-type]
    assert found.outcome == "has no effect"
    assert "has no effect" in found.sentence()


def test_all_are_held_against_the_same(effects: dict[str, Effect]) -> None:
    assert len({one.without for one in effects.values()}) == 1
    for one in effects.values():
        assert one.with_ - one.without == pytest.approx(one.gain)
        assert len(one.gains) == 5 * REPEATS


def test_more_seeds_are_drawn_while_the_verdict_is_open() -> None:
    few, more = rows(30, 0), rows(90, 3)
    given = (NearestMean(), few, rows(90, 1), {"more": more})
    (open_,) = trial(*given, range(2))  # type: ignore[arg-type]
    assert not open_.clear
    (found,) = trial(*given, range(2), range(2, 200))  # type: ignore[arg-type]
    assert found.clear
    assert 2 * REPEATS < len(found.gains) < 200 * REPEATS
    assert found.gains[: 2 * REPEATS] == open_.gains
    (again,) = trial(*given, range(2), range(2, 3))  # type: ignore[arg-type]
    assert len(again.gains) == 3 * REPEATS


def test_what_is_clear() -> None:
    def effect(low: float, high: float) -> Effect:
        return Effect("a", 0.5, 0.5, (low + high) / 2, low, high, ())

    assert effect(0.011, 0.05).clear
    assert effect(-0.05, -0.011).clear
    assert effect(-0.009, 0.009).clear
    assert not effect(-0.02, 0.005).clear
    assert not effect(0.002, 0.03).clear


def test_what_is_sure_but_little_is_no_effect() -> None:
    sure = Effect("a", 0.5, 0.505, 0.005, 0.004, 0.006, (0.005, 0.005))
    assert sure.outcome == "has no effect"
    assert Effect("a", 0.5, 0.52, 0.02, 0.01, 0.03, ()).outcome == "helps"
    assert Effect("a", 0.5, 0.52, 0.02, -0.01, 0.05, ()).outcome == "has no effect"
    assert Effect("a", 0.5, 0.48, -0.02, -0.03, -0.01, ()).outcome == "hurts"
