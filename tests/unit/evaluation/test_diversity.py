from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest, spearmanr

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metrics import diversity
from genwright.evaluation.metrics.diversity import (
    ClassScore,
    ModesMissed,
    Vendi,
    fit_classes,
    missed,
    vendi,
)
from genwright.testing.examples import evidence, sample_of

CENTRES = 8 * np.random.default_rng(99).normal(size=(10, 6))


def modes(seed: int, n: int = 1000, but: int | None = None) -> tuple[Array, Array]:
    """Rows and which of ten well parted normals each is of; one is left out if said."""
    rng = np.random.default_rng(seed)
    kinds = rng.choice([i for i in range(10) if i != but], n)
    return CENTRES[kinds] + rng.normal(size=(n, 6)), kinds


def labelled(fake: Array) -> Evidence:
    train, kinds = modes(7)
    found = evidence(modes(8)[0], fake, train)
    return replace(found, train=sample_of(train, kinds.tolist()))


# -- Vendi --------------------------------------------------------------------------------------


def test_vendi_of_equal_and_of_orthogonal_examples() -> None:
    assert vendi(np.tile([[1.0, 2, 3]], (20, 1))) == pytest.approx(1, abs=1e-6)
    assert vendi(5 * np.eye(20)) == pytest.approx(20, abs=1e-6)
    assert vendi(np.repeat(np.eye(4), 6, axis=0)) == pytest.approx(4, abs=1e-6)
    assert vendi(np.zeros((9, 3))) == pytest.approx(1, abs=1e-6)
    assert vendi(np.array([[2.0, 0], [0, 0]])) == pytest.approx(2, abs=1e-6)


@pytest.mark.parametrize("shape", [(60, 5), (20, 50)])
def test_vendi_agrees_with_its_definition(shape: tuple[int, int]) -> None:
    x = np.random.default_rng(0).normal(size=shape)
    kernel = np.array([[a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a in x] for b in x])
    values = np.linalg.eigvalsh(kernel / len(x)).clip(1e-300)
    assert vendi(x) == pytest.approx(np.exp(-(values * np.log(values)).sum()), rel=1e-9)


def test_vendi_ratio() -> None:
    real = modes(0)[0]
    assert Vendi().read(evidence(real, real)).value == pytest.approx(1)
    found = Vendi().read(evidence(real, modes(1)[0]))
    assert found.value == pytest.approx(1, abs=0.05)
    assert Vendi().read(evidence(real, modes(1, 400)[0])).value == pytest.approx(1, abs=0.05)
    assert found == Vendi().read(evidence(real, modes(1)[0]))
    mixed = evidence(real[::-1], np.random.default_rng(0).permutation(modes(1)[0]))
    assert Vendi().read(mixed).value == pytest.approx(found.value, abs=1e-9)
    # Examples that are drawn towards one of them.
    fake = modes(1)[0]
    ladder = [
        Vendi().measure(evidence(real, (1 - s) * fake + s * fake[0]), np.random.default_rng(0))
        for s in (0, 0.2, 0.4, 0.6, 0.8, 1)
    ]
    assert spearmanr(range(6), ladder).statistic <= -0.9
    assert ladder[-1] < 0.5


# -- class score --------------------------------------------------------------------------------


def test_class_score_of_real_blurred_and_missing() -> None:
    metric = ClassScore()
    real = labelled(modes(9)[0])
    assert metric.read(labelled(modes(8)[0])).value == pytest.approx(1, abs=1e-9)
    measurement = metric.read(real)
    assert measurement.value == pytest.approx(1, abs=0.03)
    assert measurement == metric.read(real)
    less = metric.read(labelled(modes(9, but=3)[0]))
    assert less.value == pytest.approx(0.9, abs=0.03)
    assert less.high < measurement.low
    one = np.tile(CENTRES[:1], (500, 1))
    assert metric.read(labelled(one)).value == pytest.approx(0.1, abs=0.02)
    halfway = np.random.default_rng(0).normal(0, 2, size=(1000, 6))
    assert metric.read(labelled(halfway)).value < 0.9


def test_class_score_agrees_with_its_definition() -> None:
    found = labelled(modes(9)[0] + 3 * np.random.default_rng(0).normal(size=(1000, 6)))
    metric = ClassScore()
    scores = []
    for one in (found.fake, found.test):
        p = fit_classes(found.train.features, np.array(found.train.given["label"])).predict_proba(
            one.features
        )
        divergence = [sum(q * np.log(q / m) for q, m in zip(row, p.mean(0), strict=True)) for row in p]
        scores.append(np.exp(np.mean(divergence)))
    assert metric.read(found).value == pytest.approx(scores[0] / scores[1], rel=1e-9)


def test_class_score_fits_once_and_for_the_train_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    def counted(features: Array, labels: Array) -> Any:
        fitted.append(labels)
        return fit_classes(features, labels)

    monkeypatch.setattr(diversity, "fit_classes", counted)
    found = labelled(modes(9)[0])
    ClassScore().read(found)
    ClassScore().read(found.about(found.test))
    assert len(fitted) == 1
    other = replace(found.train, given={"label": found.train.given["label"][::-1]})
    ClassScore().read(replace(found, train=other))
    assert len(fitted) == 2


def test_class_score_without_labels_is_refused() -> None:
    with pytest.raises(DataError, match="no 'label'; known: none"):
        ClassScore().read(evidence(modes(0)[0], modes(1)[0]))
    found = labelled(modes(9)[0])
    with pytest.raises(DataError) as refused:
        ClassScore(label="kind").read(found)
    assert refused.value.code == "no-labels"
    many = replace(found, train=sample_of(modes(7)[0], range(1000)))
    with pytest.raises(DataError, match="1000 values, wanted 2 to 100"):
        ClassScore().read(many)


# -- modes missed -------------------------------------------------------------------------------


def against(test: Array, fake: Array) -> Evidence:
    return evidence(test, fake, modes(7)[0])


def test_a_missed_mode_is_found_and_named() -> None:
    test, kinds = modes(0)
    measurement = ModesMissed().read(against(test, modes(1, but=3)[0]))
    assert measurement.value == pytest.approx((kinds == 3).mean(), abs=0.01)
    index = missed(against(test, modes(1, but=3)[0]), np.random.default_rng(0))
    assert set(kinds[index]) == {3}
    assert (np.diff(index) > 0).all()


def test_nothing_is_missed_by_real_ones() -> None:
    test = modes(0)[0]
    assert ModesMissed().read(against(test, test)).value == 0
    found = [ModesMissed().read(against(modes(s)[0], modes(90 + s)[0])).value > 0 for s in range(20)]
    assert sum(found) <= 3


def test_fewer_generated_examples_are_not_missed_modes() -> None:
    test = modes(0)[0]
    assert ModesMissed().read(against(test, modes(1, 300)[0])).value == 0
    assert ModesMissed().read(against(test, modes(1, 300, but=3)[0])).value > 0.05


def test_rises_as_modes_go() -> None:
    test, (fake, kinds) = modes(0)[0], modes(1, 12_000)
    left = [fake[kinds >= gone][:1000] for gone in (0, 1, 3, 5, 7, 9)]
    ladder = [ModesMissed().read(against(test, one)).value for one in left]
    assert spearmanr(range(6), ladder).statistic >= 0.9
    assert ladder[-1] == pytest.approx(0.9, abs=0.03)


def test_missed_is_the_exact_test_with_holm() -> None:
    # Ten cells that nobody can mistake, with as many held and generated examples as are said.
    test, fake = [30] * 10, [30, 16, 14, 12, 10, 8, 30, 30, 60, 40]
    rows = [np.concatenate([np.tile(CENTRES[i], (c, 1)) for i, c in enumerate(x)]) for x in (test, fake)]
    rows = [x + 1e-3 * np.random.default_rng(0).normal(size=x.shape) for x in rows]
    found = missed(evidence(*rows, train=modes(7)[0]), np.random.default_rng(0))
    share = sum(fake) / (sum(fake) + 300)
    p = [binomtest(g, h + g, share, alternative="less").pvalue for h, g in zip(test, fake, strict=True)]
    expected = []
    for rank, cell in enumerate(np.argsort(p)):
        if p[cell] > 0.05 / (10 - rank):
            break
        expected += [cell]
    assert sorted({i // 30 for i in found}) == sorted(expected)
    assert 1 <= len(expected) < sum(q < 0.05 for q in p)  # Holm has something to take back


def test_modes_missed_is_the_same_for_a_seed_and_any_order() -> None:
    test, fake = modes(0)[0], modes(1, but=3)[0]
    first = ModesMissed().read(against(test, fake), 5)
    assert first == ModesMissed().read(against(test, fake), 5)
    assert first == ModesMissed().read(
        against(test[::-1], np.random.default_rng(0).permutation(fake)), 5
    )


def test_too_few_different_training_examples() -> None:
    with pytest.raises(DataError, match="20 different training examples to tell modes by, there are 1"):
        ModesMissed().read(evidence(modes(0)[0], modes(1)[0], np.ones((100, 6))))


def test_a_mode_missed_by_a_hair_may_not_be_missed() -> None:
    def clusters(*sizes: int) -> Array:
        return np.repeat(10.0 * np.eye(20), sizes, axis=0)

    test, found = clusters(*[50] * 20), {}
    for left in (22, 0):
        fake = clusters(left, *[52] * 19)
        found[left] = ModesMissed().read(evidence(test, fake))
        assert found[left].value == 0.05
    assert found[22].low < 0 < found[0].low
    assert found[22].error > 2 * found[0].error
