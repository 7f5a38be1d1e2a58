"""Copies are found, honest examples are not taken for them, and repeats in real data are no excuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Measurement, Metric
from genwright.evaluation.metrics.copying import (
    ExactCopies,
    NearCopies,
    NearestShare,
    _threshold,
    lookalikes,
)
from genwright.evaluation.metrics.membership import auc
from genwright.evaluation.neighbours import nearest_neighbours
from genwright.evaluation.runner import claims, results
from genwright.registry import build
from genwright.testing.examples import evidence

METRICS = [ExactCopies, NearCopies, NearestShare]
NAMES = [metric.name for metric in METRICS]
SEEDS = range(20)


def draw(rng: np.random.Generator, n: int, d: int = 8) -> Array:
    """Rows of a Gaussian with axes of unequal lengths."""
    return rng.normal(size=(n, d)) * np.exp(-np.arange(d) / 6)


def case(seed: int, copied: float = 0.0, noise: float = 0.0, n: int = 1000, d: int = 8) -> Evidence:
    """Independent train, held and fake, with a share of fake copied from train, and `noise` on the copies."""
    rng = np.random.default_rng(seed)
    train, test, fake = draw(rng, n, d), draw(rng, n, d), draw(rng, n, d)
    copies = int(copied * n)
    fake[:copies] = train[rng.permutation(n)[:copies]] + noise * rng.normal(size=(copies, d))
    return evidence(test, fake, train)


# -- the verdict ---------------------------------------------------------------------------------


def called_copied(fake: Callable[[Array, np.random.Generator], Array], seeds: int = 12) -> int:
    """In how many draws a made set of 300 is called copied; its maker saw 1,200."""
    asked = [build("metrics", name, {}, where="metric") for name in (*NAMES, "membership")]
    called = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        train, test, reference = (draw(rng, n) for n in (1200, 300, 300))
        question = evidence(test, fake(train, rng), train)
        others = {"model": question.fake, "real_baseline": evidence(test, reference, train).fake}
        (found,) = claims(results(question, others, asked, seed))
        called += found.outcome == "not supported"
    return called


@pytest.mark.parametrize(
    "bad",
    [
        lambda train, rng: draw(rng, 300) + 4,
        lambda train, rng: 0.1 * draw(rng, 300) + 50,
        lambda train, rng: np.repeat(draw(rng, 1), 300, axis=0),
        lambda train, rng: draw(rng, 3)[np.arange(300) % 3],
        lambda train, rng: draw(rng, 1) + 0.05 * draw(rng, 300),
        lambda train, rng: 0.5 * draw(rng, 300),
        lambda train, rng: 3 * rng.normal(size=(300, 8)),
    ],
    ids=["far off", "very far off", "one point", "three points", "one blob", "too ordinary", "noise"],
)
def test_a_bad_set_is_not_called_copied(bad: Callable[[Array, np.random.Generator], Array]) -> None:
    assert called_copied(bad) <= 1


def test_a_tenth_of_copies_is_called_copied() -> None:
    def copying(train: Array, rng: np.random.Generator) -> Array:
        return np.concatenate([train[:30], draw(rng, 270)])

    assert called_copied(copying) == 12


# -- neighbours ----------------------------------------------------------------------------------


@pytest.mark.parametrize("k", [1, 3])
def test_the_blocked_search_finds_what_all_pairs_do(k: int) -> None:
    rng = np.random.default_rng(0)
    queries, base = rng.normal(size=(1100, 4)) + 100, rng.normal(size=(1200, 4)) + 100
    every = np.linalg.norm(queries[:, None] - base[None], axis=2)
    distances, places = nearest_neighbours(queries, base, k)
    assert (places == every.argsort(axis=1)[:, :k]).all()
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-6)


def test_equal_rows_are_at_exactly_zero_and_others_are_not() -> None:
    rows = np.random.default_rng(1).normal(size=(1300, 5)) * 1e-3 + 1e3
    distances, places = nearest_neighbours(rows, rows, 2)
    assert (places[:, 0] == np.arange(1300)).all()
    assert (distances[:, 0] == 0).all()
    assert (distances[:, 1] > 0).all()


def test_too_few_rows_for_a_neighbour_are_refused() -> None:
    rows = np.zeros((3, 2))
    with pytest.raises(DataError) as refused:
        nearest_neighbours(rows, rows, 4)
    assert refused.value.code == "too-few-examples"


def test_the_area_under_the_curve_counts_ties_half() -> None:
    assert auc(np.array([1.0, 2.0]), np.array([1.0, 0.0])) == (0.5 + 1 + 1 + 1) / 4
    assert auc(np.ones(5), np.ones(7)) == 0.5


# -- copies are found ----------------------------------------------------------------------------

ALARMS: dict[type[Metric], Callable[[Measurement], bool]] = {
    ExactCopies: lambda found: found.value > 0,
    NearCopies: lambda found: found.value > 0,
    NearestShare: lambda found: found.low > 0.5,
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_copycat_is_found_by_every_metric(metric: type[Metric]) -> None:
    assert ALARMS[metric](metric().read(case(0, copied=1.0, n=500)))


@pytest.mark.parametrize("metric", METRICS)
def test_honest_examples_raise_at_most_one_alarm_in_twenty(metric: type[Metric]) -> None:
    alarms = sum(ALARMS[metric](metric().read(case(seed, n=500))) for seed in SEEDS)
    assert alarms <= 1


@pytest.mark.parametrize("metric", [ExactCopies, NearCopies])
def test_one_copy_in_ten_is_missed_at_most_once_in_twenty(metric: type[Metric]) -> None:
    misses = sum(not ALARMS[metric](metric().read(case(seed, copied=0.1))) for seed in SEEDS)
    assert misses <= 1


def test_one_copy_in_ten_moves_the_weaker_metric_the_right_way() -> None:
    moved = [
        NearestShare().read(case(seed, copied=0.1, n=500)).value
        - NearestShare().read(case(seed, n=500)).value
        for seed in range(10)
    ]
    assert np.mean(moved) > 2 * np.std(moved) / np.sqrt(10)


@pytest.mark.parametrize("metric", [ExactCopies, NearCopies])
def test_one_copy_in_a_hundred_is_counted_exactly(metric: type[Metric]) -> None:
    assert metric().read(case(3, copied=0.01)).value == 0.01


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_one_copy_in_ten_thousand_is_found_and_shown_first(noise: float) -> None:
    rng = np.random.default_rng(5)
    train, test, fake = draw(rng, 1500, 16), draw(rng, 1500, 16), draw(rng, 10_000, 16)
    fake[7777] = train[1234] + noise * rng.normal(size=16)
    asked = evidence(test, fake, train)
    assert NearCopies().count(asked, rng) == (1, 10_000)
    assert ExactCopies().count(asked, rng) == (int(noise == 0), 10_000)
    first = lookalikes(asked, 3)[0]
    assert (first.index, first.train) == (7777, 1234)
    assert first.distance == pytest.approx(np.linalg.norm(fake[7777] - train[1234]), rel=1e-6)
    assert first.test_distance == pytest.approx(
        np.linalg.norm(test - fake[7777], axis=1).min(), rel=1e-6
    )
    assert first.test == np.linalg.norm(test - fake[7777], axis=1).argmin()


def test_noised_copies_are_near_but_not_exact() -> None:
    asked = case(2, copied=0.1, noise=0.002)
    assert ExactCopies().read(asked).value == 0
    assert NearCopies().read(asked).value == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("n", [50, 1000])
def test_test_out_examples_are_near_copies_in_at_most_a_thousandth(n: int) -> None:
    for seed in range(5):
        asked = case(seed, n=n)
        assert NearCopies().read(asked.about(asked.test)).value <= 0.001


def test_few_test_out_examples_raise_no_alarm_and_still_find_copies() -> None:
    alarms = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        train, test, fake = draw(rng, 500, 16), draw(rng, 60, 16), draw(rng, 1000, 16)
        alarms += NearCopies().read(evidence(test, fake, train)).value > 0
        fake[:50] = train[:50] + 1e-3 * rng.normal(size=(50, 16))
        assert NearCopies().read(evidence(test, fake, train)).value >= 0.03
    assert alarms <= 1


def test_symbols_whose_distances_repeat_raise_no_alarm() -> None:
    def rows(rng: np.random.Generator) -> Array:
        return np.eye(6)[rng.integers(6, size=(600, 12))].reshape(600, -1)

    alarms = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        alarms += NearCopies().read(evidence(rows(rng), rows(rng), rows(rng))).value > 0
    assert alarms <= 1


def test_a_training_example_that_repeats_does_not_hide_its_copies() -> None:
    asked = case(4)
    train = np.concatenate([asked.train.features, np.repeat(asked.train.features[:1], 20, axis=0)])
    fake = asked.fake.features.copy()
    fake[:30] = train[0] + 1e-4
    found = NearCopies().read(evidence(asked.test.features, fake, train))
    assert found.value == pytest.approx(0.03)


def test_the_threshold_keeps_its_promise_where_it_must_extrapolate() -> None:
    """Ratios whose law is known: P(r < t) = t^10. One of 1000 honest examples may fall below, at 5 %."""
    chances = [
        _threshold(np.random.default_rng(seed).random(200) ** 0.1, 1000, 64) ** 10 for seed in range(200)
    ]
    assert np.mean(np.array(chances) > 0.05 / 1000) < 0.06
    assert np.median(chances) > 1e-8


def test_the_threshold_trusts_no_steeper_tail_than_the_data_can_have() -> None:
    steep = 0.8 + 1e-6 * np.random.default_rng(0).random(200)
    assert _threshold(steep, 1000, 4) < 0.2
    assert _threshold(np.full(200, 0.8), 1000, 4) < 0.3
    tied = np.array([0.6] * 20 + [0.8] * 180)
    assert _threshold(tied, 1000, 1000) < 0.1


# -- repeats and ties ----------------------------------------------------------------------------


def test_a_copycat_is_found_though_test_out_examples_repeat_training_ones() -> None:
    asked = case(6, copied=1.0)
    test = asked.test.features.copy()
    test[:500] = asked.train.features[:500]
    asked = evidence(test, asked.fake.features, asked.train.features)
    found = NearestShare().read(asked)
    assert found.value == pytest.approx(0.75)
    assert found.low > 0.5
    assert ExactCopies().read(asked).value == 1
    assert ExactCopies().read(asked.about(asked.test)).value == 0.5
    # Equal ones are no news here, so near ones are asked about, and there is none.
    assert NearCopies().read(asked).value == 0
    noised = case(6, copied=0.1, noise=1e-3)
    assert NearCopies().read(evidence(test, noised.fake.features, asked.train.features)).value >= 0.09
    test[:] = asked.train.features[: len(test)]
    with pytest.raises(DataError, match="all but 0 of the held-out examples equal training"):
        NearCopies().read(evidence(test, asked.fake.features, asked.train.features))


def test_all_ties_are_one_half() -> None:
    asked = case(7)
    asked = evidence(asked.train.features, asked.fake.features, asked.train.features)
    assert NearestShare().read(asked).value == 0.5


def test_the_larger_set_has_no_advantage() -> None:
    shares = []
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        asked = evidence(draw(rng, 200), draw(rng, 400), draw(rng, 1600))
        shares.append(NearestShare().read(asked).value)
    assert np.mean(shares) == pytest.approx(0.5, abs=0.03)


def test_examples_that_share_a_neighbour_widen_the_interval() -> None:
    rng = np.random.default_rng(8)
    train, test = draw(rng, 300), draw(rng, 300)
    fake = np.repeat(draw(rng, 10), 100, axis=0)
    found = NearestShare().read(evidence(test, fake, train))
    assert found.low <= 0.5 <= found.high
    assert found.high - found.low > 0.3


# -- what every metric must do -------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_rows_does_not_matter(metric: type[Metric]) -> None:
    asked = case(11, copied=0.05, n=300)
    asked = replace(asked, test=asked.test.take(np.arange(250)))
    rng = np.random.default_rng(0)
    mixed = replace(
        asked,
        **{
            name: getattr(asked, name).take(rng.permutation(len(getattr(asked, name))))
            for name in ("train", "test", "fake")
        },
    )
    assert metric().read(asked).value == pytest.approx(metric().read(mixed).value, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_one_seed_gives_one_reading_and_it_lies_in_its_interval(metric: type[Metric]) -> None:
    asked = case(12, copied=0.02, n=300)
    found = metric().read(asked, seed=3)
    assert found == metric().read(asked, seed=3)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("metric", [NearCopies, NearestShare])
def test_numbers_may_be_read_in_place_of_features(metric: Callable[..., Metric]) -> None:
    asked = case(13, copied=1.0, n=200)
    blind = replace(
        asked,
        **{
            name: replace(getattr(asked, name), features=np.random.default_rng(i).normal(size=(200, 2)))
            for i, name in enumerate(("train", "test", "fake"))
        },
    )
    assert not ALARMS[type(metric())](metric().read(blind))
    assert ALARMS[type(metric())](metric(form="flat").read(blind))


@pytest.mark.parametrize("metric", METRICS)
def test_constant_data_are_read_or_refused(metric: type[Metric]) -> None:
    same = np.ones((200, 3))
    try:
        found = metric().read(evidence(same, same, same))
    except DataError as refusal:
        assert metric is NearCopies
        assert "5 different" in str(refusal)  # noqa: PT017
    else:
        assert found.value == {ExactCopies: 1.0, NearestShare: 0.5}.get(metric, 0.0)


def test_too_few_examples_and_missing_digests_are_refused() -> None:
    few = case(14, n=40)
    with pytest.raises(DataError) as refused:
        NearCopies().read(few)
    assert refused.value.code == "too-few-examples"
    with pytest.raises(DataError, match="digests"):
        ExactCopies().read(replace(few, train=replace(few.train, keys=())))
