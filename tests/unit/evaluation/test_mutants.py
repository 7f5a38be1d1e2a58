"""Bugs that judges of generative models have really had, made again: our checks see each of them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy.linalg import sqrtm

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.metrics import copying, distances
from genwright.evaluation.metrics.copying import NearestShare
from genwright.evaluation.metrics.distances import Frechet, Kid
from genwright.evaluation.metrics.manifold import Precision, Recall
from genwright.testing.examples import evidence
from genwright.testing.metrics import Subject, run_checks

Patch = pytest.MonkeyPatch


def test_precision_and_recall_swapped(monkeypatch: Patch) -> None:
    """pytorch-fid's neighbours in many a repository: real and generated change places."""
    assert run_checks(Subject(Precision()), ["new_mode"]) == {"new_mode": ""}
    assert run_checks(Subject(Recall()), ["missing_mode"]) == {"missing_mode": ""}
    of_precision, of_recall = Precision.score, Recall.score
    monkeypatch.setattr(Precision, "score", lambda self, found: of_recall(self, found))
    monkeypatch.setattr(Recall, "score", lambda self, found: of_precision(self, found))
    assert run_checks(Subject(Precision()), ["new_mode"])["new_mode"]
    assert run_checks(Subject(Recall()), ["missing_mode"])["missing_mode"]


def test_covariance_over_the_wrong_axis(monkeypatch: Patch) -> None:
    question = Subject(Frechet()).question
    test, fake = (sample.features[:300] for sample in (question.test, question.fake))
    trivial = np.random.default_rng(0).permuted(fake, axis=0)
    assert distances.frechet(trivial, test) > 5 * distances.frechet(fake, test)
    monkeypatch.setattr(distances, "_covariance", lambda a: np.cov(a, rowvar=True))
    # The means alone are left to see anything: independent columns look as real as real ones.
    assert distances.frechet(trivial, test) < 1.5 * distances.frechet(fake, test)


def test_a_wrong_square_root_of_a_matrix(monkeypatch: Patch) -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(90, 7)) @ rng.normal(size=(7, 7)), rng.normal(0.5, 2, size=(70, 7))
    c, d = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    expected = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(c + d - 2 * np.real(sqrtm(c @ d)))
    assert distances.frechet(a, b) == pytest.approx(expected, rel=1e-9)
    monkeypatch.setattr(distances, "_root", lambda c: np.sqrt(np.abs(c)))  # of each number
    assert distances.frechet(a, b) != pytest.approx(expected, rel=0.1)


def test_a_root_in_float32_with_fewer_examples_than_features(monkeypatch: Patch) -> None:
    """Where the product has eigenvalues below 0 there is no number; and it is not asked for."""
    rng = np.random.default_rng(0)
    few = evidence(rng.normal(size=(20, 64)), rng.normal(size=(20, 64)))
    with pytest.raises(DataError) as refused:
        Frechet().read(few)
    assert refused.value.code == "too-few-examples"

    def naive(a: Array, b: Array) -> float:
        c, d = (np.cov(x, rowvar=False).astype(np.float32) for x in (a, b))
        with np.errstate(invalid="ignore"):
            return float(np.trace(c + d) - 2 * np.sqrt(np.linalg.eigvals(c @ d).real).sum())

    monkeypatch.setattr(Frechet, "least", lambda self, evidence: 10)
    monkeypatch.setattr(distances, "frechet", naive)
    with pytest.raises(DataError, match="fd came out as nan"):
        Frechet().read(few)


def test_ties_counted_for_the_training_examples(monkeypatch: Patch) -> None:
    """Distances to the closest record among symbols: where both sides are equally near, it is no copy."""
    rng = np.random.default_rng(0)

    def draw(n: int) -> Array:
        return rng.integers(0, 3, size=(n, 3)).astype(np.float64)

    test, fake, train = draw(400), draw(400), draw(400)
    honest = NearestShare().read(evidence(test, fake, train))
    assert honest.low < 0.5 < honest.high
    exact: Callable[..., tuple[Array, Array]] = copying.nearest_neighbours

    def strict(queries: Array, base: Array, k: int = 1) -> tuple[Array, Array]:
        found, places = exact(queries, base, k)
        is_train = base.shape == train.shape and set(map(bytes, base)) == set(map(bytes, train))
        return found - 1e-9 * (is_train and len(calls) % 2 == 0 and not calls.append(1)), places

    calls: list[int] = []
    monkeypatch.setattr(copying, "nearest_neighbours", strict)
    assert NearestShare().read(evidence(test, fake, train)).value > 0.9


def test_a_biased_kid_sold_as_unbiased(monkeypatch: Patch) -> None:
    def mean(n: int = 40) -> tuple[float, float]:
        rng = np.random.default_rng(0)
        values = np.array([distances.kid(*rng.normal(size=(2, n, 4))) for _ in range(60)])
        return float(values.mean()), float(values.std(ddof=1) / np.sqrt(60))

    value, error = mean()
    assert abs(value) < 3 * error
    monkeypatch.setattr(distances.np, "fill_diagonal", lambda own, value: None)
    value, error = mean()
    assert value > 5 * error


def test_features_that_are_all_the_same_are_not_perfect() -> None:
    """A network that was not loaded gives every picture the same features, and a distance of 0."""
    dark = evidence(np.ones((300, 4)), np.ones((300, 4)))
    assert distances.frechet(dark.test.features, dark.fake.features) == 0
    for metric in (Frechet(), Kid(), Precision()):
        with pytest.raises(DataError) as refused:
            metric.read(dark)
        assert refused.value.code == "no-variety"
