from __future__ import annotations

import itertools

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import spearmanr

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.metric import Metric
from genwright.evaluation.metrics import distances
from genwright.evaluation.metrics.distances import (
    Frechet,
    FrechetInfinity,
    Kid,
    SlicedWasserstein,
    expected_frechet,
    expected_frechet_of,
    frechet,
    kid,
)
from genwright.testing.examples import evidence

METRICS: list[Metric] = [Frechet(), FrechetInfinity(), Kid(), SlicedWasserstein()]
each = pytest.mark.parametrize("metric", METRICS, ids=lambda m: m.name)


def normal(seed: int, n: int = 300, d: int = 6, shift: float = 0, scale: float = 1) -> Array:
    return shift + scale * np.random.default_rng(seed).normal(size=(n, d))


def cubic(x: Array, y: Array) -> float:
    """Binkowski et al. (2018), pair by pair: the mean over different rows, twice, less the mean across."""

    def k(a: Array, b: Array) -> float:
        return float((a @ b / len(a) + 1) ** 3)

    within = [np.mean([k(a, b) for a, b in itertools.permutations(z, 2)]) for z in (x, y)]
    return float(sum(within) - 2 * np.mean([k(a, b) for a in x for b in y]))


# -- against the definitions --------------------------------------------------------------------


def test_frechet_agrees_with_the_root_of_the_product() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(90, 7)) @ rng.normal(size=(7, 7)), rng.normal(0.5, 2, size=(70, 7))
    c, e = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    difference_error = np.trace(c + e - 2 * np.real(sqrtm(c @ e)))
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + difference_error
    assert frechet(a, b) == pytest.approx(expected, rel=1e-9)
    assert frechet(a, b) == pytest.approx(frechet(b, a), rel=1e-9)


def test_frechet_of_axis_parallel_gaussians_is_known_in_closed_form() -> None:
    # Whitened draws have exactly the moments that are asked for.
    x = normal(0, 500, 4)
    x -= x.mean(0)
    x = x @ np.linalg.inv(np.linalg.cholesky(np.cov(x, rowvar=False)).T)
    sd, mean = np.array([1.0, 2, 3, 4]), np.array([1.0, 0, 0, 2])
    assert frechet(x, x * sd + mean) == pytest.approx(5 + 0 + 1 + 4 + 9, rel=1e-9)


def test_frechet_of_singular_covariances_is_a_number() -> None:
    a, b = normal(0, 8, 20), np.zeros((8, 20))
    assert frechet(a, a) < 1e-6 * np.trace(np.cov(a, rowvar=False))
    assert frechet(b, b) == 0
    assert frechet(a, b) == pytest.approx((a.mean(0) ** 2).sum() + a.var(0, ddof=1).sum())


@pytest.mark.parametrize("values", [np.ones(6), np.array([5.0, 2, 1, 0.5, 0.1, 0.01])])
def test_floor_is_what_real_against_real_comes_to(values: Array) -> None:
    pairs = [np.random.default_rng(s).normal(size=(2, 300, 6)) * np.sqrt(values) for s in range(400)]
    found = np.mean([frechet(a, b[:200]) for a, b in pairs])
    assert expected_frechet(values, 300, 200) == pytest.approx(found, rel=0.06)
    assert expected_frechet_of(np.concatenate([a for a, _ in pairs]), 300, 200) == pytest.approx(
        found, rel=0.06
    )


def test_floor_of_equal_eigenvalues_and_of_none() -> None:
    assert expected_frechet(np.ones(10), 100, 100) == pytest.approx(10 * 15 / 2 / 100)
    assert expected_frechet(np.zeros(3), 10, 10) == 0


def test_kid_agrees_with_its_definition() -> None:
    x, y = normal(0, 40, 5, shift=1), normal(1, 30, 5, shift=1.5, scale=2)
    assert kid(x, y) == pytest.approx(cubic(x, y), rel=1e-5)
    # As the features of a network after a ReLU: far from the origin, and the sets close.
    x, y = abs(normal(2, 60, 64)) * 3, abs(normal(3, 60, 64)) * 3.02
    assert kid(x, y) == pytest.approx(cubic(x, y), rel=1e-5, abs=1e-6)


def test_kid_in_blocks_is_kid_at_once() -> None:
    x, y = normal(0, 1100, 3), normal(1, 700, 3, shift=0.2)
    k, kx, ky = (((a @ b.T) / 3 + 1) ** 3 for a, b in ((x, y), (x, x), (y, y)))
    within = sum((z.sum() - np.trace(z)) / (len(z) * (len(z) - 1)) for z in (kx, ky))
    assert kid(x, y) == pytest.approx(within - 2 * k.mean(), rel=1e-5)


def test_kid_is_unbiased_on_real_against_real() -> None:
    values = np.array([kid(normal(2 * s, 60), normal(2 * s + 1, 60)) for s in range(200)])
    error = values.std(ddof=1) / np.sqrt(len(values))
    assert abs(values.mean()) < 3 * error
    assert (values < 0).mean() > 0.3


def test_sliced_wasserstein_of_a_shift() -> None:
    # Along a line at an angle a shift of s shows as s |cos a|, whose mean over a sphere in 4 dimensions is
    # 4 / (3 pi); the shift is of length 6.
    x = normal(0, 500, 4)
    found = SlicedWasserstein(directions=4000).measure(evidence(x, x + 3.0), np.random.default_rng(0))
    assert found == pytest.approx(6 * 4 / (3 * np.pi), rel=0.03)
    pair = evidence(normal(0, 1000, 4), normal(1, 500, 4))
    assert 0 < SlicedWasserstein().measure(pair, np.random.default_rng(0)) < 0.15


# -- the battery --------------------------------------------------------------------------------


@each
def test_best_on_itself_and_rising_with_noise(metric: Metric) -> None:
    x, other, noise = normal(0), normal(1), normal(2)
    rng = np.random.default_rng(0)
    same = metric.read(evidence(x, x)).value
    fresh = metric.read(evidence(x, other)).value
    ladder = [metric.read(evidence(x, other + s * noise)).value for s in (0, 0.3, 0.6, 1, 1.5, 2.5)]
    assert spearmanr(range(6), ladder).statistic >= 0.9
    assert same < ladder[1]
    assert abs(same) <= max(abs(fresh), 0.05 * ladder[-1])
    assert ladder[-1] > metric.read(evidence(x, other[rng.permutation(300)] * 1.05)).value


@each
def test_order_of_rows_does_not_matter(metric: Metric) -> None:
    x, y = normal(0), normal(1, shift=0.3)
    mixed = evidence(x[::-1], np.random.default_rng(0).permutation(y))
    # The splits go by place, so what is extrapolated from them moves within its noise.
    near = 0.1 if metric.name == "fd_inf" else 1e-9
    assert metric.read(mixed).value == pytest.approx(metric.read(evidence(x, y)).value, abs=near)


@each
def test_same_seed_same_reading(metric: Metric) -> None:
    found = evidence(normal(0), normal(1, shift=0.3))
    assert metric.read(found, 3) == metric.read(found, 3)
    assert metric.read(found, 3) != metric.read(found, 4)


def test_frechet_refuses_too_few() -> None:
    with pytest.raises(DataError) as refused:
        Frechet().read(evidence(normal(0, 39, 20), normal(1, 50, 20)))
    assert refused.value.code == "too-few-examples"
    with pytest.raises(DataError) as refused:
        FrechetInfinity().read(evidence(normal(0, 79, 20), normal(1, 80, 20)))
    assert refused.value.code == "too-few-examples"
    assert Frechet().read(evidence(normal(0, 40, 20), normal(1, 40, 20))).value > 0


# -- intervals ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("shift", "n"), [(0.0, 200), (0.1, 200), (0.5, 200)])
def test_interval_of_fd_inf_covers_the_true_distance(shift: float, n: int) -> None:
    true, hits, values = 4 * shift**2, 0, []
    for trial in range(60):
        found = FrechetInfinity().read(
            evidence(normal(2 * trial, n, 4), normal(2 * trial + 1, n, 4, shift)), trial
        )
        hits += found.low <= true <= found.high
        values.append(found.value)
    assert hits >= 0.87 * 60
    assert abs(np.mean(values) - true) < 3 * np.std(values) / np.sqrt(60)
    if shift == 0:  # and it is not bought by width
        assert found.high - found.low < 10 * np.std(values)


def test_fd_keeps_its_bias_and_fd_inf_does_not() -> None:
    raw, clean = [], []
    for s in range(10):
        pair = evidence(normal(100 + s, 400), normal(200 + s, 400))
        raw += [Frechet().read(pair)]
        clean += [FrechetInfinity().read(pair).value]
        assert raw[-1].value == pytest.approx(frechet(pair.test.features, pair.fake.features))
    assert np.mean([r.value for r in raw]) == pytest.approx(
        expected_frechet(np.ones(6), 400, 400), rel=0.2
    )
    assert all((r.low + r.high) / 2 == pytest.approx(r.value) for r in raw)
    assert abs(np.mean(clean)) < 0.2 * expected_frechet(np.ones(6), 400, 400)


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_generic_interval_covers_kid(shift: float) -> None:
    rng = np.random.default_rng(0)
    # E k = 1 + 3 E p + 3 E p^2 + E p^3 for p = x . y / d, of normal draws about u and v.
    d, s = 6, 30_000
    x, y = rng.normal(size=(2, s, d)) + shift
    a, b = rng.normal(size=(2, s, d))
    k = [((u * v).sum(1) / d + 1) ** 3 for u, v in ((x, y), (a, b), (x, b))]
    true = (np.mean(k[0]) + np.mean(k[1]) - 2 * np.mean(k[2])) if shift else 0.0
    hits = 0
    for trial in range(50):
        pair = evidence(normal(2 * trial, 150), normal(2 * trial + 1, 150, shift=shift))
        found = Kid().read(pair, trial)
        hits += found.low <= true <= found.high
    assert hits >= 0.8 * 50


# -- parts of two sets -------------------------------------------------------------------------


def test_all_parts_at_once_give_what_each_gives_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distances, "BLOCK", 64)
    metric = Kid()
    test, fake, rng = normal(0, 150), normal(1, 130) + 0.3, np.random.default_rng(0)
    parts = [*metric._parts(150, 130, rng), (np.arange(150), np.arange(130))]
    together = metric._of_parts(test, fake, metric.compare, parts, 0)
    alone = [metric.compare(test[i], fake[j], rng) for i, j in parts]
    assert together == pytest.approx(alone, rel=1e-5, abs=1e-9)
    assert together.std() > 0
