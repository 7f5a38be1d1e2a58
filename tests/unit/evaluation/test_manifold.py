from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation import cache, neighbours
from genwright.evaluation.metric import Metric
from genwright.evaluation.metrics.manifold import (
    ClippedCoverage,
    ClippedDensity,
    Coverage,
    Density,
    Manifold,
    Precision,
    Recall,
    expected_cover,
)
from genwright.evaluation.neighbours import balls, reach, reach_of
from genwright.testing.examples import evidence

K = 5
METRICS: list[Manifold] = [
    Precision(),
    Recall(),
    Density(),
    Coverage(),
    ClippedDensity(),
    ClippedCoverage(),
]
each = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
RNG = np.random.default_rng(0)


def normal(seed: int, n: int = 400, d: int = 6) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d))


def modes(seed: int, n: int = 1000, of: int = 10, but: int | None = None) -> Array:
    """`n` draws of `of` well parted normals, one of them left out if said."""
    rng = np.random.default_rng(seed)
    centres = 8 * np.random.default_rng(99).normal(size=(12, 6))
    kinds = [i for i in range(of) if i != but]
    return centres[rng.choice(kinds, n)] + rng.normal(size=(n, 6))


def measure(metric: Manifold, real: Array, fake: Array) -> float:
    return metric.measure(evidence(real, fake), RNG)


# -- against the definitions --------------------------------------------------------------------


def radius(x: Array) -> Array:
    return np.array([sorted(np.linalg.norm(x - one, axis=1))[K] for one in x])


def precision(real: Array, fake: Array) -> float:
    r = radius(real)
    return float(np.mean([any(np.linalg.norm(real - y, axis=1) <= r) for y in fake]))


def density(real: Array, fake: Array) -> float:
    r = radius(real)
    return float(sum((np.linalg.norm(real - y, axis=1) <= r).sum() for y in fake) / K / len(fake))


def coverage(real: Array, fake: Array) -> float:
    return float(
        np.mean(
            [min(np.linalg.norm(fake - x, axis=1)) <= r for x, r in zip(real, radius(real), strict=True)]
        )
    )


def clipped_density(real: Array, fake: Array) -> float:
    r = np.minimum(radius(real), np.median(radius(real)))
    made = np.mean([min((np.linalg.norm(real - y, axis=1) <= r).sum() / K, 1) for y in fake])
    own = np.mean([min(((np.linalg.norm(real - x, axis=1) <= r).sum() - 1) / K, 1) for x in real])
    return min(1.0, float(made / own))


@pytest.mark.parametrize(
    ("metric", "reference"),
    [
        (Precision(), precision),
        (Recall(), lambda real, fake: precision(fake, real)),
        (Density(), density),
        (Coverage(), coverage),
        (ClippedDensity(), clipped_density),
    ],
    ids=lambda m: getattr(m, "name", ""),
)
def test_agrees_with_the_definition(
    metric: Manifold, reference: Callable[[Array, Array], float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(neighbours, "BLOCK", 64)
    real, fake = normal(0, 150), 0.3 + 1.2 * normal(1, 110)
    found = measure(metric, real, fake)
    assert found == pytest.approx(reference(real, fake), abs=1e-12)
    assert 0.05 < found < 0.99  # and it had something to tell


def test_distances_are_exact_far_from_the_origin() -> None:
    x = 1e6 + normal(0, 200)
    exact = np.sort(cdist(x, x), axis=1)[:, K]
    assert np.sqrt(reach(x, K)) == pytest.approx(exact, rel=1e-8)
    near, far = balls(normal(0), normal(1), K), balls(1e6 + normal(0), 1e6 + normal(1), K)
    assert all(
        np.array_equal(getattr(near, f), getattr(far, f)) for f in ("around", "contained", "reached")
    )


def test_expected_cover_is_what_draws_give() -> None:
    counts = np.array([0, 1, 100, 250, 500])
    found = np.zeros(5)
    for seed in range(12):
        x, y = normal(seed, 400, 2), normal(100 + seed, 500, 2)
        inside = cdist(x, y) <= radius(x)[:, None]
        found += [np.minimum(inside[:, :m].sum(1) / K, 1).mean() / 12 for m in counts]
    assert expected_cover(400, K, counts) == pytest.approx(found, abs=0.015)


def test_an_example_on_a_ball_is_inside() -> None:
    # On the whole numbers the second neighbour lies at distance 1 or 2, and copies exactly there.
    real = np.arange(40.0)[:, None] @ np.array([[0.3, 0.4, 1.7]])
    found = balls(real, real.copy(), 2)
    assert found.contained.tolist() == [3] * 40
    assert found.around.sum() == 120
    twice = np.repeat(normal(0, 30), 8, axis=0)  # every radius is zero
    assert balls(twice, twice.copy(), K).contained.tolist() == [8] * 240


# -- the battery --------------------------------------------------------------------------------


@each
def test_best_on_itself(metric: Manifold) -> None:
    x = normal(0)
    if metric.name == "density":
        assert measure(metric, x, x) == pytest.approx(1 + 1 / K)  # an example lies in its own ball too
    else:
        assert measure(metric, x, x) == 1


@each
def test_real_against_real(metric: Manifold) -> None:
    values = [measure(metric, normal(2 * s), normal(2 * s + 1)) for s in range(8)]
    low, high = {
        "precision": (0.9, 0.98),
        "recall": (0.9, 0.98),
        "density": (0.9, 1.1),
        "coverage": (0.955, 0.98),  # 1 - 2^-5 = 0.969
        "clipped_density": (0.9, 1),
        "clipped_coverage": (0.93, 1),
    }[metric.name]
    assert low < np.mean(values) <= high


@each
def test_falls_with_noise(metric: Manifold) -> None:
    x, y, noise = normal(0), normal(1), normal(2)
    ladder = [measure(metric, x, y + s * noise) for s in (0, 0.5, 1, 1.5, 2.5, 4)]
    if metric.name == "recall":  # wide generated balls reach everything: known, and said in `how`
        assert ladder[-1] < 1.01
    else:
        assert spearmanr(range(6), ladder).statistic <= -0.9
        assert ladder[0] > ladder[1] > ladder[-1]


@pytest.mark.parametrize("metric", [Recall(), Coverage(), ClippedCoverage()], ids=lambda m: m.name)
def test_a_dropped_mode_is_seen(metric: Manifold) -> None:
    full = [measure(metric, modes(s), modes(50 + s)) for s in range(6)]
    less = [measure(metric, modes(s), modes(50 + s, but=3)) for s in range(6)]
    assert np.mean(full) - np.mean(less) >= 3 * np.std(full, ddof=1)
    assert np.mean(full) - np.mean(less) > 0.05


@pytest.mark.parametrize("metric", [Precision(), Density(), ClippedDensity()], ids=lambda m: m.name)
def test_an_invented_mode_is_seen(metric: Manifold) -> None:
    full = [measure(metric, modes(s), modes(50 + s)) for s in range(6)]
    more = [measure(metric, modes(s), modes(50 + s, of=12)) for s in range(6)]
    assert np.mean(full) - np.mean(more) >= 3 * np.std(full, ddof=1)


def test_precision_and_recall_are_not_confused() -> None:
    real, collapsed = normal(0, 500), 0.05 * normal(1, 500)
    assert measure(Precision(), real, collapsed) > 0.99
    assert measure(Recall(), real, collapsed) < 0.05
    assert measure(Coverage(), real, collapsed) < 0.3
    wide = 4 * normal(2, 500)
    assert measure(Precision(), real, wide) < 0.3
    assert measure(Recall(), real, wide) > 0.5


@pytest.mark.parametrize("metric", [ClippedDensity(), ClippedCoverage()], ids=lambda m: m.name)
@pytest.mark.parametrize("share", [0.1, 0.3, 0.6, 0.9])
def test_a_share_of_noise_is_taken_off(metric: Manifold, share: float) -> None:
    real, fake = normal(0, 1000), normal(1, 1000)
    bad = int(share * 1000)
    fake[:bad] = 50 + 10 * normal(2, bad)
    assert measure(metric, real, fake) == pytest.approx(1 - share, abs=0.05)


@pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)
@pytest.mark.parametrize("where", ["real", "fake"])
def test_one_wild_example_changes_little(metric: Manifold, where: str) -> None:
    real, fake = normal(0), normal(1)
    before = measure(metric, real, fake)
    (real if where == "real" else fake)[0] = 1e6
    assert measure(metric, real, fake) == pytest.approx(before, rel=0.05)


def test_clipping_keeps_real_outliers_from_claiming_room() -> None:
    real, fake = normal(0), 6 + normal(1)
    real[:20] = 12 * normal(2, 20)  # their balls reach over everything
    assert measure(Density(), real, fake) > 0.3
    assert measure(ClippedDensity(), real, fake) < 0.05


@each
def test_order_of_rows_does_not_matter(metric: Manifold) -> None:
    x, y = normal(0), normal(1) + 0.5
    assert measure(metric, x[::-1], RNG.permutation(y)) == pytest.approx(measure(metric, x, y), abs=1e-9)


@each
def test_same_seed_same_reading_around_the_value(metric: Manifold) -> None:
    found = evidence(normal(0, 200), normal(1, 200) + 0.5)
    measurement = metric.read(found, 3)
    assert measurement == metric.read(found, 3)
    assert measurement.low < measurement.value < measurement.high < measurement.low + 0.5


def test_distances_are_taken_once_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = []
    compare = neighbours._balls

    def counted(real: Array, fake: Array, k: int) -> neighbours.Balls:
        taken.append(1)
        return compare(real, fake, k)

    monkeypatch.setattr(neighbours, "_balls", counted)
    found = evidence(normal(10, 100), normal(11, 100))
    for metric in METRICS:
        metric.read(found)
    assert len(taken) == 25  # the whole and its halves
    Precision(k=4).read(found)
    assert len(taken) == 50


@each
def test_degenerate_sets(metric: Manifold) -> None:
    with pytest.raises(DataError) as refused:
        metric.read(evidence(np.ones((50, 3)), normal(0, 50, 3)))
    assert refused.value.code == "no-variety"
    with pytest.raises(DataError) as refused:
        metric.read(evidence(normal(0, 23), normal(1, 50)))
    assert refused.value.code == "too-few-examples"
    with pytest.raises(DataError) as refused:
        metric.read(evidence(normal(0, 50), np.full((50, 6), np.nan)))
    assert refused.value.code == "not-finite"
    # A generator that says one thing is measured: it is what these numbers are for.
    alike = metric.read(evidence(normal(0, 50), np.zeros((50, 6))))
    assert alike.value <= 0.5 if metric.group == "diversity" else alike.value > 0.3


@pytest.mark.parametrize("metric", [ClippedDensity(), ClippedCoverage()], ids=lambda one: one.name)
def test_what_stands_at_its_cap_is_not_sure_for_that(metric: Metric) -> None:
    rng = np.random.default_rng(0)
    test, fake = rng.normal(size=(300, 2)), 0.7 * rng.normal(size=(300, 2))
    test, fake = (test, fake) if metric.name == "clipped_density" else (test, test + 0.01)
    measurement = metric.read(evidence(test, fake))
    assert measurement.value == 1
    assert measurement.low < 0.99
    assert measurement.high - measurement.value == pytest.approx(measurement.value - measurement.low)


def test_the_reach_of_halves_is_read_off_one_search() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6))
    parts = [np.sort(rng.permutation(400)[:200]) for _ in range(4)]
    # Of 40 examples in one corner none but two are in this part: their neighbours are farther than 40 away.
    x[:60] = 9 + 0.01 * x[:60]
    parts.append(np.r_[0, 1, 60:258])
    cache.answers.clear()
    plain = [reach(x[part], K) for part in parts]
    cache.answers.clear()
    reach_of(x, parts, K)
    assert len(cache.answers) == 1 + 4
    for part, wanted in zip(parts, plain, strict=True):
        np.testing.assert_allclose(reach(x[part], K), wanted, rtol=1e-9)
