from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from genwright.data.codec import Array
from genwright.data.series.field import SeriesField
from genwright.data.series.form import SeriesForm
from genwright.data.series.series import Series
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metrics.series import Discriminative
from genwright.evaluation.metrics.twosample import ClassifierTwoSample
from genwright.testing.examples import evidence, sample_of

metric = ClassifierTwoSample()


def normal(seed: int, n: int = 400, d: int = 4) -> Array:
    return np.random.default_rng(seed).normal(size=(n, d))


def test_half_on_real_against_real() -> None:
    measurements = [metric.read(evidence(normal(2 * s), normal(2 * s + 1)), s) for s in range(6)]
    assert sum(r.low <= 0.5 <= r.high for r in measurements) >= 5
    assert np.mean([r.value for r in measurements]) == pytest.approx(0.5, abs=0.03)


def test_rises_with_noise_and_with_distance() -> None:
    x, y = normal(0), normal(1)
    ladder = [metric.read(evidence(x, y + s)).value for s in (0, 0.4, 0.8, 1.2, 1.8, 3)]
    assert spearmanr(range(6), ladder).statistic >= 0.9
    assert ladder[-1] > 0.97
    noisy = [metric.read(evidence(x, y + s * normal(2))).value for s in (0, 1, 4)]
    assert noisy[0] < noisy[1] < noisy[2]


def test_shuffled_columns_are_seen() -> None:
    # Every column as it should be, and nothing between them.
    u = np.random.default_rng(0).normal(size=(2, 600, 1))
    x, y = (one * [1, 1, -1] + 0.1 * normal(i, 600, 3) for i, one in enumerate(u))
    mixed = np.column_stack([np.random.default_rng(i).permutation(y[:, i]) for i in range(3)])
    assert metric.read(evidence(x, mixed)).value > 0.9


def test_order_of_rows_does_not_matter() -> None:
    x, y = normal(0), normal(1) + 0.5
    mixed = evidence(x[::-1], np.random.default_rng(0).permutation(y))
    assert metric.read(mixed).value == pytest.approx(metric.read(evidence(x, y)).value, abs=1e-9)


def test_same_seed_same_reading() -> None:
    found = evidence(normal(0), normal(1, 300) + 0.3)
    assert metric.read(found, 3) == metric.read(found, 3)


def test_degenerate_sets() -> None:
    with pytest.raises(DataError) as refused:
        metric.read(evidence(normal(0, 5), normal(1, 50)))
    assert refused.value.code == "too-few-examples"
    with pytest.raises(DataError) as refused:
        metric.read(evidence(normal(0, 50), np.full((50, 4), np.inf)))
    assert refused.value.code == "not-finite"
    one = np.ones((200, 4))
    with pytest.raises(DataError) as refused:
        metric.read(evidence(one, one))
    assert refused.value.code == "no-variety"
    assert metric.read(evidence(normal(0, 200), one)).value > 0.9


def test_sets_of_different_size_are_weighed_alike() -> None:
    # Else "real" would be right four times in five.
    measurement = metric.read(evidence(normal(0, 800), normal(1, 200)))
    assert measurement.low <= 0.5 <= measurement.high


def test_a_copy_is_neither_known_nor_mistaken() -> None:
    x = normal(0)
    assert metric.read(evidence(x, x)).value == pytest.approx(0.5, abs=1e-9)


def test_what_only_trees_and_what_only_a_plane_sees() -> None:
    # A ring against a ball has no plane between; a faint shift of many columns is for the plane.
    ball, ring = normal(0, 600, 2), normal(1, 600, 2)
    ring *= 2.5 / np.linalg.norm(ring, axis=1, keepdims=True)
    assert metric.read(evidence(ball, ring)).value > 0.85
    wide = evidence(normal(0, 600, 60), normal(1, 600, 60) + 0.25)
    assert metric.read(wide).value > 0.75


def test_few_are_looked_at_if_so_wished() -> None:
    found = evidence(normal(0, 500), normal(1, 500))
    assert ClassifierTwoSample(most=100).read(found).n < 80 < metric.read(found).n


# -- windows of one series --------------------------------------------------------------------------

LENGTH = 12


def cut(walk: Array) -> list[Series]:
    """Every window of a walk `(T, 2)`."""
    times = np.arange(LENGTH, dtype=np.float64)
    some = [walk[i : i + LENGTH] for i in range(len(walk) - LENGTH + 1)]
    return [Series({"a": one[:, 0], "b": one[:, 1]}, times) for one in some]


def of_series(test: list[Series], fake: list[Series], stride: int = 1) -> Evidence:
    """`stride` above the length of a window: as if none could overlap."""
    field = SeriesField(SeriesForm(LENGTH, stride, numbers=("a", "b")))
    field.fit(test)
    field.settle()
    samples = []
    for some in (test, fake):
        x = field.encode(some)
        samples.append(replace(sample_of(x.reshape(len(x), -1)), x=x, raw=some, field=field))
        samples[-1] = replace(samples[-1], views=samples[-1].views | {"series"})
    return Evidence(field.space, "identity", samples[0], samples[0], samples[1])


@pytest.mark.parametrize("asked", [Discriminative(), ClassifierTwoSample()])
def test_overlapping_windows_are_not_known_by_their_neighbours(asked: ClassifierTwoSample) -> None:
    # A walk is somewhere else in each of its parts. Every second part, and the others: both are as real.
    windows = cut(0.1 * normal(3, 1400, 2).cumsum(0))
    part, within = np.divmod(np.arange(len(windows)), 40)
    inside = within < 40 - LENGTH
    even, odd = ([windows[i] for i in np.flatnonzero(inside & (part % 2 == k))] for k in (0, 1))
    apart = asked.read(of_series(even, odd), 0)
    assert apart.low <= 0.5 <= apart.high
    assert asked.read(of_series(even, odd, LENGTH), 0).low > max(0.5, apart.value)
    assert apart.n < 0.2 * asked.read(of_series(even, odd, LENGTH), 0).n


@pytest.mark.parametrize("asked", [Discriminative(), ClassifierTwoSample()])
def test_what_is_wrong_with_windows_is_seen_all_the_same(asked: ClassifierTwoSample) -> None:
    walk = 0.1 * normal(3, 900, 2).cumsum(0)
    windows = cut(walk)
    rng = np.random.default_rng(0)
    noisy = [
        Series({k: v + 0.5 * rng.normal(size=LENGTH) for k, v in one.channels.items()}, one.times)
        for one in windows
    ]
    assert asked.read(of_series(windows, noisy), 0).low > 0.6
    # All in one place, so that no part but one has any of them.
    assert asked.read(of_series(windows, noisy[:1] * len(windows)), 0).value > 0.95
