"""Whether what is given is heeded: labels, numbers and pairs, the interval, and the words that follow."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation import runner
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metrics.condition import Heeded, _of_classes, _of_numbers, _total
from genwright.testing.examples import evidence, sample_of

CENTRES = 4 * np.random.default_rng(1).normal(size=(5, 4))


def labelled(n: int, seed: int, wrong: float = 0.0, noise: float = 1.0) -> tuple[Array, list[str]]:
    """Rows about one of five centres, and its number; a share of them is made for another label."""
    rng = np.random.default_rng(seed)
    told = rng.integers(5, size=n)
    made = np.where(rng.random(n) < wrong, rng.integers(5, size=n), told)
    return CENTRES[made] + noise * rng.normal(size=(n, 4)), [f"kind {i}" for i in told]


def of_labels(seed: int = 0, wrong: float = 0.0, n: int = 500, noise: float = 1.0) -> Evidence:
    train, test, reference = (sample_of(*labelled(n, 10 * seed + i, noise=noise)) for i in (1, 2, 3))
    bare = evidence(test.features, test.features)
    fake = sample_of(*labelled(n, 10 * seed + 4, wrong, noise))
    return replace(bare, train=train, test=test, reference=reference, fake=fake)


def of_pairs(seed: int, strength: float, n: int = 400) -> Evidence:
    """True examples, and what was made of their conditions; `strength` 0 ignores them."""
    rng = np.random.default_rng(seed)
    true = rng.normal(size=(n, 6))
    made = strength * true + np.sqrt(1 - strength**2) * rng.normal(size=(n, 6))
    asked = evidence(true, made, reference=rng.normal(size=(n, 6)))
    pairs = Pairs({"caption": [f"row {i}" for i in range(n)]}, asked.fake, sample_of(true))
    return replace(asked, pairs=pairs)


# -- the number ------------------------------------------------------------------------------------


def test_it_is_one_less_the_share_of_wrong_labels_and_none_where_they_are_ignored() -> None:
    assert Heeded().read(of_labels(wrong=0.0)).value > 0.95
    half = Heeded().read(of_labels(wrong=0.5))
    assert half.low < 0.5 < half.high
    ignored = Heeded().read(of_labels(wrong=1.0))
    assert ignored.low < 0 < ignored.high < 0.1


def test_it_is_the_kappa_of_cohen_for_classes() -> None:
    from sklearn.metrics import cohen_kappa_score

    rng = np.random.default_rng(0)
    told = rng.choice(list("aabc"), 2000)
    said = np.where(rng.random(2000) < 0.3, rng.choice(list("abc"), 2000), told)
    found = _of_classes(said, told)
    kappa = 1 - found.own.mean() / found.others.mean()
    assert kappa == pytest.approx(cohen_kappa_score(told, said), abs=1e-3)


def test_distances_to_all_others_are_those_of_all_pairs() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=50), rng.normal(size=50).round(1)
    every = np.abs(a[:, None] - b)
    np.testing.assert_allclose(_total(a, b), every.sum(1))
    found = _of_numbers(a, b)
    off = every - np.diag(np.diag(every))
    np.testing.assert_allclose(found.others, off.sum(1) / 49)
    np.testing.assert_allclose(found.back, off.sum(0) / 49)
    one = of_pairs(0, 0.5, n=30)
    assert one.pairs is not None
    gaps = np.linalg.norm(one.pairs.made.features[:, None] - one.pairs.true.features, axis=2)
    shuffled = (gaps.sum() - np.trace(gaps)) / (30 * 29)
    assert Heeded().read(one).value == pytest.approx(1 - np.trace(gaps) / 30 / shuffled)


def test_a_label_of_many_numbers_is_read_as_a_number() -> None:
    rng = np.random.default_rng(0)

    def rows(heed: bool) -> tuple[Array, list[str]]:
        told = rng.uniform(-3, 3, 600)
        shown = told if heed else rng.permutation(told)
        return np.column_stack([shown + 0.1 * rng.normal(size=600), rng.normal(size=600)]), [
            f"{v:.3f}" for v in told
        ]

    train = sample_of(*rows(True))
    asked = replace(evidence(train.features, train.features), train=train)
    heeded, ignored = (Heeded().read(asked.about(sample_of(*rows(heed)))) for heed in (True, False))
    assert heeded.low > 0.85
    assert ignored.low < 0 < ignored.high


def test_several_labels_count_alike() -> None:
    asked = of_labels()
    other = np.random.default_rng(0).choice(["x", "y"], len(asked.fake)).tolist()

    def both(one: Evidence) -> Evidence:
        sets = {"train": one.train, "fake": one.fake}
        return replace(
            one, **{k: replace(v, given={**v.given, "second": other}) for k, v in sets.items()}
        )

    first, second = (Heeded(label=name).read(both(asked)).value for name in ("label", "second"))
    assert Heeded().read(both(asked)).value == pytest.approx((first + second) / 2)
    assert abs(second) < 0.15  # it has nothing to do with the examples


def test_pairs_are_heeded_the_more_the_nearer_they_are_to_their_own() -> None:
    values = [Heeded().read(of_pairs(0, strength)).value for strength in (0.0, 0.3, 0.6, 0.9, 1.0)]
    assert values == sorted(values)
    assert abs(values[0]) < 0.03
    assert values[-1] == 1


@pytest.mark.parametrize("strength", [0.0, 0.7])
def test_intervals_of_pairs_hold_the_truth(strength: float) -> None:
    found = [Heeded().read(of_pairs(seed, strength, n=100)) for seed in range(200)]
    truth = 0.0 if strength == 0 else np.mean([one.value for one in found])
    assert np.mean([one.low <= truth <= one.high for one in found]) >= 0.9


def test_where_all_are_right_the_interval_still_leaves_room() -> None:
    sure = Heeded().read(of_labels(n=60, noise=0.01))
    assert sure.value == 1
    assert sure.low < 0.97


# -- what it is asked of ---------------------------------------------------------------------------


def test_the_reference_answers_with_its_own_conditions_and_other_sets_have_none() -> None:
    asked = of_pairs(0, 0.5)
    assert asked.reference is not None
    assert Heeded().read(asked.about(asked.reference)).value == 1
    with pytest.raises(DataError) as refused:
        Heeded().read(asked.about(sample_of(np.zeros((50, 6)))))
    assert refused.value.code == "no-labels"


def test_it_is_in_the_panel_only_where_something_was_given() -> None:
    plain = evidence(np.zeros((30, 2)), np.zeros((30, 2)))
    names = [[m.name for m in runner.metrics(one)] for one in (plain, of_labels(), of_pairs(0, 0.5))]
    assert ["heeded" in some for some in names] == [False, True, True]
    (refused,) = runner.results(plain, {"model": plain.fake}, [Heeded()], 0)
    assert "nothing is given" in refused.refused


@pytest.mark.parametrize(
    ("train", "fake", "code"),
    [
        (["same"] * 40, ["same"] * 40, "no-classes"),
        ([f"id {i}" for i in range(40)], ["id 1"] * 40, "no-classes"),
        (["a", "b"] * 20, ["c"] * 40, None),
        ([str(i) for i in range(40)], ["one"] * 40, "not-a-number"),
    ],
)
def test_labels_that_cannot_be_learnt_are_refused(
    train: list[str], fake: list[str], code: str | None
) -> None:
    rows = np.random.default_rng(0).normal(size=(40, 3))
    asked = replace(evidence(rows, rows), train=sample_of(rows, train), fake=sample_of(rows, fake))
    if code is None:  # a label that no training example has is never met
        assert Heeded().read(asked).value == 0
        return
    with pytest.raises(DataError) as refused:
        Heeded().read(asked)
    assert refused.value.code == code


def test_pairs_of_unequal_number_and_one_condition_for_all_are_refused() -> None:
    asked = of_pairs(0, 0.5)
    assert asked.pairs is not None
    short = replace(asked.pairs, true=asked.pairs.true.take(np.arange(30)))
    with pytest.raises(DataError) as refused:
        Heeded().read(replace(asked, pairs=short))
    assert refused.value.code == "unequal-pairs"
    same = replace(asked.pairs, made=sample_of(np.ones((400, 6))), true=sample_of(np.ones((400, 6))))
    with pytest.raises(DataError) as refused:
        Heeded().read(replace(asked, pairs=same))
    assert refused.value.code == "no-variety"


# -- the words -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wrong", "outcome", "words"),
    [
        (0.0, "supported", "heeds what is given: heeded 0."),
        (0.5, "inconclusive", "perhaps heeds what is given: heeded 0."),
        (0.8, "not supported", "hardly heeds what is given: heeded 0."),
        (1.0, "not supported", "ignores what is given: heeded 0."),
    ],
)
def test_the_verdict_says_whether_it_is_heeded(wrong: float, outcome: str, words: str) -> None:
    asked = of_labels(wrong=wrong)
    (claim,) = runner.claims(runner.results(asked, runner.contenders(asked, {}, 0), [Heeded()], 0))
    assert (claim.outcome, claim.question) == (outcome, "Is what is given heeded?")
    assert claim.because.startswith(words)
    assert "real examples with their own conditions reach 0.9" in claim.because


def test_labels_that_real_examples_do_not_show_prove_nothing() -> None:
    asked = of_labels(noise=1e4)
    (claim,) = runner.claims(runner.results(asked, runner.contenders(asked, {}, 0), [Heeded()], 0))
    assert claim.outcome == "inconclusive"
    assert "real examples do not show what was given either" in claim.because
