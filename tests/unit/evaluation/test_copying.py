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
    Authenticity,
    DataCopying,
    ExactCopies,
    NearCopies,
    NearestShare,
    _threshold,
    lookalikes,
    mann_whitney,
)
from genwright.evaluation.neighbours import nearest
from genwright.evaluation.runner import findings, lines
from genwright.registry import build
from judged import evidence

METRICS = [ExactCopies, NearCopies, NearestShare, DataCopying, Authenticity]
NAMES = [metric.name for metric in METRICS]
SEEDS = range(20)


def draw(rng: np.random.Generator, n: int, d: int = 8) -> Array:
    """Rows of a Gaussian with axes of unequal lengths."""
    return rng.normal(size=(n, d)) * np.exp(-np.arange(d) / 6)


def case(seed: int, copied: float = 0.0, noise: float = 0.0, n: int = 1000, d: int = 8) -> Evidence:
    """Independent train, held and fake, with a share of fake copied from train, and `noise` on the copies."""
    rng = np.random.default_rng(seed)
    train, held, fake = draw(rng, n, d), draw(rng, n, d), draw(rng, n, d)
    copies = int(copied * n)
    fake[:copies] = train[rng.permutation(n)[:copies]] + noise * rng.normal(size=(copies, d))
    return evidence(held, fake, train)


# -- the verdict ---------------------------------------------------------------------------------


def called_copied(fake: Callable[[Array, np.random.Generator], Array], seeds: int = 12) -> int:
    """In how many draws a made set of 300 is called copied; its maker saw 1,200."""
    asked = [build("metrics", name, {}, where="metric") for name in (*NAMES, "membership")]
    called = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        train, held, reference = (draw(rng, n) for n in (1200, 300, 300))
        question = evidence(held, fake(train, rng), train)
        others = {"model": question.fake, "floor": evidence(held, reference, train).fake}
        (found,) = findings(lines(question, others, asked, seed))
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
    distances, places = nearest(queries, base, k)
    assert (places == every.argsort(axis=1)[:, :k]).all()
    np.testing.assert_allclose(distances, np.sort(every, axis=1)[:, :k], rtol=1e-6)


def test_no_row_is_its_own_neighbour_and_equal_rows_are_at_exactly_zero() -> None:
    rows = np.random.default_rng(1).normal(size=(1300, 5)) * 1e-3 + 1e3
    distances, places = nearest(rows, rows, same=True)
    assert (places[:, 0] != np.arange(1300)).all()
    assert (distances > 0).all()
    twice = np.concatenate([rows, rows])
    assert (nearest(twice, twice, same=True)[0] == 0).all()


def test_too_few_rows_for_a_neighbour_are_refused() -> None:
    rows = np.zeros((3, 2))
    with pytest.raises(DataError, match="4 different"):
        nearest(rows, rows, 3, same=True)


def test_mann_whitney_counts_ties_half() -> None:
    assert mann_whitney(np.array([1.0, 2.0]), np.array([1.0, 0.0]))[0] == (0.5 + 1 + 1 + 1) / 4
    assert mann_whitney(np.ones(5), np.ones(7)) == (0.5, 0.0)
    # From scipy.stats.mannwhitneyu(..., use_continuity=False, method="asymptotic", alternative="greater")
    share, z = mann_whitney(np.array([3.0, 4, 4, 5, 6]), np.array([1.0, 2, 3, 4]))
    assert share == pytest.approx(0.875)
    assert z == pytest.approx(1.8766297265)


# -- copies are found ----------------------------------------------------------------------------

ALARMS: dict[type[Metric], Callable[[Measurement], bool]] = {
    ExactCopies: lambda found: found.value > 0,
    NearCopies: lambda found: found.value > 0,
    NearestShare: lambda found: found.low > 0.5,
    DataCopying: lambda found: found.high < 0,
    Authenticity: lambda found: found.high < 0,
}


@pytest.mark.parametrize("metric", METRICS)
def test_a_copycat_is_found_by_every_metric(metric: type[Metric]) -> None:
    assert ALARMS[metric](metric().read(case(0, copied=1.0, n=500)))


@pytest.mark.parametrize("metric", METRICS)
def test_honest_examples_raise_at_most_one_alarm_in_twenty(metric: type[Metric]) -> None:
    alarms = sum(ALARMS[metric](metric().read(case(seed, n=500))) for seed in SEEDS)
    assert alarms <= 1


@pytest.mark.parametrize("metric", [ExactCopies, NearCopies, DataCopying])
def test_one_copy_in_ten_is_missed_at_most_once_in_twenty(metric: type[Metric]) -> None:
    misses = sum(not ALARMS[metric](metric().read(case(seed, copied=0.1))) for seed in SEEDS)
    assert misses <= 1


@pytest.mark.parametrize("metric", [NearestShare, Authenticity])
def test_one_copy_in_ten_moves_the_weaker_metrics_the_right_way(metric: type[Metric]) -> None:
    moved = [
        metric().read(case(seed, copied=0.1, n=500)).value - metric().read(case(seed, n=500)).value
        for seed in range(10)
    ]
    sign = 1 if metric is NearestShare else -1
    assert sign * np.mean(moved) > 2 * np.std(moved) / np.sqrt(10)


@pytest.mark.parametrize("metric", [ExactCopies, NearCopies])
def test_one_copy_in_a_hundred_is_counted_exactly(metric: type[Metric]) -> None:
    assert metric().read(case(3, copied=0.01)).value == 0.01


@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_one_copy_in_ten_thousand_is_found_and_shown_first(noise: float) -> None:
    rng = np.random.default_rng(5)
    train, held, fake = draw(rng, 1500, 16), draw(rng, 1500, 16), draw(rng, 10_000, 16)
    fake[7777] = train[1234] + noise * rng.normal(size=16)
    asked = evidence(held, fake, train)
    assert NearCopies().count(asked, rng) == (1, 10_000)
    assert ExactCopies().count(asked, rng) == (int(noise == 0), 10_000)
    first = lookalikes(asked, 3)[0]
    assert (first.index, first.train) == (7777, 1234)
    assert first.distance == pytest.approx(np.linalg.norm(fake[7777] - train[1234]), rel=1e-6)
    assert first.held_distance == pytest.approx(
        np.linalg.norm(held - fake[7777], axis=1).min(), rel=1e-6
    )
    assert first.held == np.linalg.norm(held - fake[7777], axis=1).argmin()


def test_noised_copies_are_near_but_not_exact() -> None:
    asked = case(2, copied=0.1, noise=0.002)
    assert ExactCopies().read(asked).value == 0
    assert NearCopies().read(asked).value == pytest.approx(0.1, abs=0.01)


@pytest.mark.parametrize("n", [50, 1000])
def test_held_out_examples_are_near_copies_in_at_most_a_thousandth(n: int) -> None:
    for seed in range(5):
        asked = case(seed, n=n)
        assert NearCopies().read(asked.about(asked.held)).value <= 0.001


def test_few_held_out_examples_raise_no_alarm_and_still_find_copies() -> None:
    alarms = 0
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        train, held, fake = draw(rng, 500, 16), draw(rng, 60, 16), draw(rng, 1000, 16)
        alarms += NearCopies().read(evidence(held, fake, train)).value > 0
        fake[:50] = train[:50] + 1e-3 * rng.normal(size=(50, 16))
        assert NearCopies().read(evidence(held, fake, train)).value >= 0.03
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
    found = NearCopies().read(evidence(asked.held.features, fake, train))
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


def test_a_copycat_is_found_though_held_out_examples_repeat_training_ones() -> None:
    asked = case(6, copied=1.0)
    held = asked.held.features.copy()
    held[:500] = asked.train.features[:500]
    asked = evidence(held, asked.fake.features, asked.train.features)
    found = NearestShare().read(asked)
    assert found.value == pytest.approx(0.75)
    assert found.low > 0.5
    assert ExactCopies().read(asked).value == 1
    assert ExactCopies().read(asked.about(asked.held)).value == 0.5
    assert DataCopying().read(asked).high < 0
    assert Authenticity().read(asked).high < 0
    # Equal ones are no news here, so near ones are asked about, and there is none.
    assert NearCopies().read(asked).value == 0
    noised = case(6, copied=0.1, noise=1e-3)
    assert NearCopies().read(evidence(held, noised.fake.features, asked.train.features)).value >= 0.09
    held[:] = asked.train.features[: len(held)]
    with pytest.raises(DataError, match="all but 0 of the held-out examples equal training"):
        NearCopies().read(evidence(held, asked.fake.features, asked.train.features))


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
    train, held = draw(rng, 300), draw(rng, 300)
    fake = np.repeat(draw(rng, 10), 100, axis=0)
    found = NearestShare().read(evidence(held, fake, train))
    assert found.low <= 0.5 <= found.high
    assert found.high - found.low > 0.3


def test_honest_authenticity_is_far_from_both_half_and_all() -> None:
    """What is subtracted matters: without it an honest maker would read as some 70 points."""
    honest = [Authenticity().read(case(seed, n=500, d=16)).value for seed in range(10)]
    assert abs(np.mean(honest)) < 3
    assert Authenticity().read(case(0, copied=1.0, d=16)).value < -40


def test_authenticity_asks_how_far_apart_training_examples_are_themselves() -> None:
    assert Authenticity().read(case(1, copied=1.0, noise=0.01, n=300)).value < -40
    asked = case(1, copied=1.0, n=300)
    twice = np.repeat(asked.train.features, 2, axis=0)
    assert Authenticity().read(evidence(asked.held.features, twice, twice)).value == -100


def test_an_underfitted_maker_lies_farther_than_real_examples() -> None:
    asked = case(9)
    assert (
        DataCopying()
        .read(evidence(asked.held.features, asked.fake.features * 2, asked.train.features))
        .low
        > 2
    )


def test_c_t_is_a_standard_normal_for_honest_makers() -> None:
    values = [DataCopying().read(case(seed, n=300, d=3)).value for seed in range(40)]
    assert abs(np.mean(values)) < 3 / np.sqrt(40)
    assert 0.7 < np.std(values) < 1.3


def test_copies_in_one_cell_are_not_outweighed_by_underfitting_in_others() -> None:
    """Meehan et al.'s reason for cells: over all of space the two cancel."""
    rng = np.random.default_rng(10)
    centres = np.array([[0.0, 0, 0], [50, 0, 0]])

    def rows(n: int) -> Array:
        return np.concatenate([centres[i] + rng.normal(size=(n // 2, 3)) for i in (0, 1)])

    train, held, fake = rows(600), rows(600), rows(600)
    fake[:300] = train[:300] + 0.01
    fake[300:] = centres[1] + 0.4 * rng.normal(size=(300, 3))
    apart = DataCopying(cells=2).read(evidence(held, fake, train))
    assert apart.high < -10


# -- what every metric must do -------------------------------------------------------------------


@pytest.mark.parametrize("metric", METRICS)
def test_the_order_of_rows_does_not_matter(metric: type[Metric]) -> None:
    asked = case(11, copied=0.05, n=300)
    asked = replace(asked, held=asked.held.take(np.arange(250)))
    rng = np.random.default_rng(0)
    mixed = replace(
        asked,
        **{
            name: getattr(asked, name).take(rng.permutation(len(getattr(asked, name))))
            for name in ("train", "held", "fake")
        },
    )
    assert metric().read(asked).value == pytest.approx(metric().read(mixed).value, abs=1e-9)


@pytest.mark.parametrize("metric", METRICS)
def test_one_seed_gives_one_reading_and_it_lies_in_its_interval(metric: type[Metric]) -> None:
    asked = case(12, copied=0.02, n=300)
    found = metric().read(asked, seed=3)
    assert found == metric().read(asked, seed=3)
    assert found.low <= found.value <= found.high


@pytest.mark.parametrize("metric", [NearCopies, NearestShare, DataCopying, Authenticity])
def test_numbers_may_be_read_in_place_of_features(metric: Callable[..., Metric]) -> None:
    asked = case(13, copied=1.0, n=200)
    blind = replace(
        asked,
        **{
            name: replace(getattr(asked, name), features=np.random.default_rng(i).normal(size=(200, 2)))
            for i, name in enumerate(("train", "held", "fake"))
        },
    )
    assert not ALARMS[type(metric())](metric().read(blind))
    assert ALARMS[type(metric())](metric(form="numbers").read(blind))


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
    for metric, least in ((NearCopies(), 50), (DataCopying(), 100)):
        with pytest.raises(DataError, match=f"needs {least}"):
            metric.read(few)
    with pytest.raises(DataError, match="digests"):
        ExactCopies().read(replace(few, train=replace(few.train, keys=())))


def test_makers_that_miss_every_cell_are_refused() -> None:
    rng = np.random.default_rng(15)
    train = np.concatenate([rng.normal(size=(100, 2)), rng.normal(size=(100, 2)) + 100])
    with pytest.raises(DataError, match="no cell"):
        DataCopying(cells=2).read(evidence(train[:100], train[100:] + 1, train))
