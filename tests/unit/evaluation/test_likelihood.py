"""What unseen examples cost: counting against laws that are known, and the words that follow."""

from __future__ import annotations

import math

import numpy as np
import pytest

from genwright.errors import DataError
from genwright.evaluation.metrics.likelihood import (
    HeldoutLikelihood,
    counted,
    dequantised,
    likelihood_claim,
    likelihood_result,
)
from genwright.space import Real, Space, Symbol

LN2 = math.log(2)


def test_counting_reaches_the_entropy_of_independent_numbers() -> None:
    rng = np.random.default_rng(0)
    space = Space((), (Symbol(3), Real(2)))

    def draw(n: int) -> np.ndarray:
        return np.column_stack([rng.choice(3, n, p=[0.7, 0.2, 0.1]), rng.normal(5, [0.5, 2.0], (n, 2))])

    (nats,) = counted(draw(20_000), draw(20_000), space).values()
    entropy = -sum(p * math.log(p) for p in (0.7, 0.2, 0.1))
    entropy += 2 * 0.5 * math.log(2 * math.pi * math.e) + math.log(0.5 * 2.0)
    assert nats.mean() == pytest.approx(entropy, abs=0.02)


def test_counting_of_levels_is_a_probability() -> None:
    rng = np.random.default_rng(0)
    levels = rng.choice([0, 255], (5000, 1, 2, 2), p=[0.25, 0.75])
    x = (levels / 127.5 - 1).astype(np.float32)
    space = Space((2, 2), (Real(1, bounded=True),))
    (nats,) = counted(x[:4000], x[4000:], space, levels=True).values()
    entropy = -(0.25 * math.log(0.25) + 0.75 * math.log(0.75))
    # The other 254 levels were counted once each by smoothing.
    assert nats.mean() / 4 == pytest.approx(entropy + math.log(1 + 256 / 4000), abs=0.02)


def test_a_masked_symbol_of_a_text_costs_nothing() -> None:
    rng = np.random.default_rng(0)
    x, space = rng.integers(4, size=(300, 1, 10)), Space((10,), (Symbol(4),))
    mask = np.ones((100, 10), dtype=bool)
    mask[:, :4] = False
    whole, part = (counted(x[:200], x[200:], space, mask=m) for m in (None, mask))
    assert set(whole) == {"ngram", "marginals"}
    assert part["marginals"].mean() == pytest.approx(0.6 * whole["marginals"].mean(), rel=0.01)
    assert part["marginals"].mean() / 6 == pytest.approx(math.log(4), abs=0.01)


def test_levels_are_spread_over_their_share_of_the_range() -> None:
    x = (np.repeat(np.arange(256), 200) / 127.5 - 1).reshape(-1, 1, 2, 2)
    spread = dequantised(x, np.random.default_rng(0))
    assert -1 <= spread.min() < spread.max() <= 1
    # Each keeps its level, and all of the range is taken alike.
    level = np.floor((spread.astype(np.float64) + 1) * 128)
    assert (level != np.rint((x + 1) * 127.5)).mean() < 1e-4  # float32 may round up to the next
    assert np.histogram(spread, 64, (-1, 1))[0] == pytest.approx(len(x) * 4 / 64, rel=0.05)


def of(model: float, *, spread: float = 0.5, oracle: float | None = None) -> HeldoutLikelihood:
    rng = np.random.default_rng(0)
    cost = model + spread * rng.normal(size=400)
    per = np.full(400, 2.0)
    return HeldoutLikelihood(cost, {"marginals": np.full(400, 5.0)}, per, "bits_per_dim", False, oracle)


def test_a_line_is_in_bits_of_what_it_is_divided_by() -> None:
    found = likelihood_result(of(3.0, oracle=2.0))
    assert found.model is not None
    assert found.real_baseline is not None
    assert found.model.value == pytest.approx(3.0 / 2 / LN2, abs=0.05)
    assert found.model.error == pytest.approx(0.5 / 20 / 2 / LN2, rel=0.1)
    assert found.real_baseline.value == pytest.approx(1 / LN2)
    assert found.baselines["marginals"].value == pytest.approx(2.5 / LN2)
    assert found.baselines["marginals"].error == 0
    assert "an upper bound" in found.how
    assert found.better == "lower"


def test_bits_of_a_byte_are_bits_of_all_bytes() -> None:
    """A long text counts for more than a short one."""
    found = likelihood_result(
        HeldoutLikelihood(np.array([8.0, 1.0]) * LN2, {}, np.array([8.0, 2.0]), "bits_per_byte", True)
    )
    assert found.model is not None
    assert found.model.value == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("model", "spread", "outcome"),
    [(3.0, 0.5, "supported"), (7.0, 0.5, "not supported"), (5.0, 0.5, "inconclusive")],
)
def test_the_verdict_says_whether_counting_does_as_well(
    model: float, spread: float, outcome: str
) -> None:
    said = likelihood_claim(likelihood_result(of(model, spread=spread, oracle=2.0)))
    assert said is not None
    assert said.outcome == outcome
    assert "of marginals; the distribution itself has 1.443" in said.because


def test_what_is_impossible_to_a_model_is_said() -> None:
    cost = np.array([1.0, np.inf, np.nan])
    with pytest.raises(DataError, match="calls 2 held-out examples impossible"):
        likelihood_result(HeldoutLikelihood(cost, {}, np.ones(3), "nats", True))
