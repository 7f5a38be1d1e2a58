"""The measures of pictures on digits and on pictures whose answer is known."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial.distance import cdist
from scipy.stats import spearmanr
from sklearn.datasets import load_digits

from genwright.data.codec import Array
from genwright.data.image.field import ImageField
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Metric, Statistic
from genwright.evaluation.metrics import images as module
from genwright.evaluation.metrics.images import PixelHistogram, Sharpness, Spectrum, ranked, realism
from genwright.testing.examples import evidence, sample_of

METRICS = [Spectrum, PixelHistogram, Sharpness]
every = pytest.mark.parametrize("metric", [make() for make in METRICS], ids=lambda metric: metric.name)


def asked(test: Array, fake: Array, train: Array | None = None) -> Evidence:
    """Pictures `(n, C, H, W)`; features are the pixels."""
    sets = [test if train is None else train, test, fake]
    flat = [x.reshape(len(x), -1) for x in sets]
    made = evidence(flat[1], flat[2], flat[0])
    views = frozenset({"features", "flat", *ImageField.views})
    parts = {
        name: replace(sample_of(rows), x=x.astype(np.float32), views=views)
        for name, rows, x in zip(("train", "test", "fake"), flat, sets, strict=True)
    }
    return replace(made, **parts)


@cache
def digits() -> tuple[Array, Array, Array]:
    """Train, held and spare, `(599, 1, 8, 8)` each."""
    x = load_digits().images[:, None] / 8 - 1
    train, test, reference = np.split(x[np.random.default_rng(0).permutation(1797)], 3)
    return train, test, reference


def value(metric: Metric, fake: Array, test: Array | None = None) -> float:
    return metric.read(asked(digits()[1] if test is None else test, fake)).value


def off(metric: Metric, fake: Array) -> float:
    assert metric.ideal is not None
    return abs(value(metric, fake) - metric.ideal)


def blurred(x: Array, sigma: float) -> Array:
    return gaussian_filter(x, (0, 0, sigma, sigma))


def noisy(x: Array, sigma: float) -> Array:
    return x + np.random.default_rng(1).normal(0, sigma, x.shape)


# -- the battery -------------------------------------------------------------------------------


@every
def test_pictures_themselves_are_at_the_ideal_and_others_of_the_kind_near_it(metric: Metric) -> None:
    _, test, reference = digits()
    assert value(metric, test) == pytest.approx(metric.ideal, abs=1e-12)
    assert off(metric, reference) < {"spectrum": 0.1, "pixels": 3, "sharpness": 0.1}[metric.name]


@every
def test_more_noise_goes_further(metric: Metric) -> None:
    sigmas = [0.0, 0.2, 0.3, 0.5, 0.8]
    ladder = [off(metric, noisy(digits()[2], sigma)) for sigma in sigmas]
    assert spearmanr(sigmas, ladder).statistic >= 0.9
    assert ladder[-1] > 3 * ladder[0]


@pytest.mark.parametrize("metric", [Spectrum(), Sharpness()])
def test_more_blur_goes_further(metric: Metric) -> None:
    sigmas = [0.0, 0.4, 0.6, 0.9, 1.4]
    ladder = [off(metric, blurred(digits()[2], sigma)) for sigma in sigmas]
    assert spearmanr(sigmas, ladder).statistic >= 0.9
    assert ladder[1] > 3 * ladder[0]
    assert (
        value(Sharpness(), blurred(digits()[2], 0.6))
        < 0.5
        < 2
        < value(Sharpness(), noisy(digits()[2], 0.8))
    )


def test_shuffled_pixels_are_seen_by_all_but_the_histogram() -> None:
    reference = digits()[2]
    rows = np.random.default_rng(0).permuted(reference.reshape(len(reference), -1), axis=1)
    mixed = rows.reshape(reference.shape)
    for metric in (Spectrum(), Sharpness()):
        assert off(metric, mixed) > 3 * off(metric, reference)
    assert value(PixelHistogram(), mixed) == pytest.approx(value(PixelHistogram(), reference))


def test_a_checkerboard_of_an_upsampler_is_seen() -> None:
    reference = digits()[2]
    board = 0.5 * (-1.0) ** np.add.outer(np.arange(8), np.arange(8))
    assert off(Spectrum(), reference + board) > 3 * off(Spectrum(), reference)


@every
def test_order_blocks_and_seed(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    _, test, reference = digits()
    asking = asked(test, reference)
    measurement = metric.read(asking, seed=3)
    assert metric.read(asking, seed=3) == measurement
    assert measurement.low < measurement.value < measurement.high
    turned = asked(test[::-1], np.random.default_rng(0).permutation(reference))
    assert metric.read(turned).value == pytest.approx(measurement.value, abs=1e-9)
    monkeypatch.setattr(module, "BLOCK", 64 * 100)
    assert metric.read(asking).value == pytest.approx(measurement.value, abs=1e-9)


@every
def test_rows_made_once_give_the_reading_that_rows_of_each_half_give(metric: Metric) -> None:
    asking = asked(digits()[1][:101], digits()[2][:120])
    once = metric._read(asking, np.random.default_rng(5))
    anew = Statistic._read(metric, asking, np.random.default_rng(5))  # type: ignore[arg-type]
    assert (once.value, once.n) == (anew.value, anew.n)
    assert [once.low, once.high] == pytest.approx([anew.low, anew.high])


@every
def test_what_is_no_picture_or_too_few_is_refused(metric: Metric) -> None:
    with pytest.raises(DataError) as refused:
        metric.read(evidence(np.zeros((20, 5)), np.zeros((20, 5))))
    assert refused.value.code == "no-view"
    if metric.name != "pixels":
        with pytest.raises(DataError, match=r"is for pictures of at least .* shape \(1, 2, 2\)"):
            value(metric, np.zeros((20, 1, 2, 2)), np.zeros((20, 1, 2, 2)))
    with pytest.raises(DataError, match="needs 10 examples of each, there are 4"):
        value(metric, digits()[2][:4])
    assert metric.reads == "pixels"


@every
def test_colour_and_oblong_pictures(metric: Metric) -> None:
    test, fake = (np.random.default_rng(i).uniform(-1, 1, (30, 3, 12, 7)) for i in range(2))
    assert value(metric, fake, test) == pytest.approx(
        value(metric, fake.swapaxes(2, 3), test.swapaxes(2, 3)), abs=1e-6
    )


# -- closed forms ------------------------------------------------------------------------------


def test_a_wave_has_its_power_in_one_ring() -> None:
    wave = np.broadcast_to(np.cos(2 * np.pi * 4 * np.arange(16) / 16), (2, 1, 16, 16))
    rows = Spectrum().look(wave + 0.3)  # the mean is of no frequency
    assert rows.shape == (2, 11)  # the corner is at 16 sqrt(1/2)
    np.testing.assert_array_equal(rows[0] > 1e-9, np.arange(1, 12) == 4)
    np.testing.assert_allclose(rows, Spectrum().look(wave.swapaxes(2, 3)), atol=1e-12)


def test_white_noise_has_its_variance_at_every_frequency() -> None:
    noise = np.random.default_rng(0).normal(0, 0.2, (2000, 3, 8, 8))
    np.testing.assert_allclose(Spectrum().look(noise).mean(0), 0.04, rtol=0.05)


def test_twice_the_contrast_is_four_times_the_power() -> None:
    test = np.random.default_rng(0).uniform(-0.4, 0.4, (50, 1, 16, 16))
    assert value(Spectrum(), 2 * test, test) == pytest.approx(np.log10(4), abs=1e-3)
    assert value(Sharpness(), 2 * test, test) == pytest.approx(4, rel=1e-6)


def test_what_rounding_would_swallow_is_no_difference() -> None:
    flat = np.zeros((20, 1, 8, 8))
    assert value(Spectrum(), flat, flat) == 0
    assert value(Spectrum(), noisy(flat, 1e-4), flat) < 0.01


def test_brighter_by_ten_levels_is_ten_and_channels_are_not_pooled() -> None:
    rng = np.random.default_rng(0)
    test = rng.integers(0, 200, (40, 3, 6, 6)) / 127.5 - 1
    assert value(PixelHistogram(), test + 10 / 127.5, test) == pytest.approx(10)
    red = np.full((20, 3, 4, 4), -1.0)
    red[:, 0] = 1
    assert value(PixelHistogram(), red[:, ::-1], red) == pytest.approx(2 * 255 / 3)


def test_a_slope_has_no_laplacian_and_a_point_has_that_of_the_textbook() -> None:
    slope = np.add.outer(np.arange(5.0), 2 * np.arange(5.0))[None, None]
    point = np.zeros((1, 1, 5, 5))
    point[..., 2, 2] = 1
    assert Sharpness().look(slope)[0, 0] == 0
    assert Sharpness().look(point)[0, 0] == pytest.approx((4**2 + 4) / 9)  # -4 amid four 1, mean 0


def test_sharpness_of_flat_pictures_is_refused() -> None:
    with pytest.raises(DataError, match="at least half of the real pictures are flat"):
        value(Sharpness(), digits()[2], np.zeros((20, 1, 8, 8)))


# -- which to look at --------------------------------------------------------------------------


def test_realism_is_that_of_the_paper_by_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MEMORY", 0.05)  # several blocks
    rng = np.random.default_rng(0)
    test, fake = rng.normal(size=(81, 4)), rng.normal(size=(120, 4))
    radius = np.sort(cdist(test, test), axis=1)[:, 3]
    keep = radius <= np.median(radius)
    wanted = (radius[keep] / cdist(fake, test[keep])).max(1)
    np.testing.assert_allclose(realism(evidence(test, fake)), wanted, rtol=1e-6)


def test_the_worst_is_the_odd_one_and_the_best_the_copy() -> None:
    _, test, reference = digits()
    fake = reference[:50].copy()
    fake[7] = np.random.default_rng(0).uniform(-1, 1, (1, 8, 8))
    flat = test.reshape(len(test), -1)
    radius = np.sort(cdist(flat, flat), axis=1)[:, 3]
    fake[9] = test[np.argsort(radius)[100]]
    order = ranked(asked(test, fake))
    assert (order[0], order[-1]) == (9, 7)
    assert sorted(order) == list(range(50))
    scores = realism(asked(test, fake))
    assert scores[9] > 1e3
    assert (np.diff(scores[order]) <= 0).all()


def test_a_hermit_vouches_for_nothing() -> None:
    rng = np.random.default_rng(0)
    test = np.concatenate([rng.normal(size=(50, 2)), [[100.0, 0.0]]])
    assert realism(evidence(test, np.array([[60.0, 0.0]] * 2)))[0] < 0.1


def test_realism_of_too_few_is_refused() -> None:
    with pytest.raises(DataError, match="more than 3 real examples, there are 3"):
        realism(evidence(np.zeros((3, 2)), np.zeros((5, 2))))
