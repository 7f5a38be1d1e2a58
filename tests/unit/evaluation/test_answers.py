"""Metrics of answers beside the same figures by packages that others keep, and by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation import runner
from genwright.evaluation.baselines import constant, mismatch, nearest, others, regridded
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metrics import wording
from genwright.evaluation.metrics.answers import FeatureDistance, RetrievalRank
from genwright.evaluation.metrics.condition import Heeded
from genwright.evaluation.metrics.forecasts import Crps, IntervalCoverage, crps, inside
from genwright.evaluation.metrics.signals import PeakSignalToNoise, StructuralSimilarity, psnr, ssim_map
from genwright.evaluation.metrics.texts import split_words
from genwright.evaluation.metrics.wording import CharacterFScore, common_length, edit_distance
from genwright.evaluation.views.ngrams import Windows
from genwright.space import Real, Space, Symbol
from genwright.testing.examples import evidence, sample_of

MADE = [
    "the cat sat on the mat",
    "Ein kleines Haus, am See",
    "",
    "kurz",
    "a b",
    "\u732b\u5728 \u6811\u4e0b",
]
TRUE = [
    "the cat is on a mat",
    "Das kleine Haus am See.",
    "not empty",
    "",
    "abc def",
    "\u732b\u5728\u684c\u4e0b",
]


def of_pairs(true: Array, made: Array, **more: object) -> Evidence:
    """Rows, or arrays on a grid, as pairs."""
    flat_true, flat_made = (x.reshape(len(x), -1) for x in (true, made))
    asked = evidence(flat_true, flat_made)
    a, b = (replace(s, x=x) for s, x in ((asked.fake, made), (asked.test, true)))
    space = Space(true.shape[2:], (Real(true.shape[1], bounded=True),))
    train = replace(asked.train, x=true)
    return replace(asked, space=space, train=train, test=b, fake=a, pairs=Pairs({}, a, b, **more))  # type: ignore[arg-type]


# -- pictures and volumes --------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "channels"), [((20, 17), 3), ((14, 15, 16), 2), ((33, 12), 1)])
def test_psnr_and_ssim_are_those_of_scikit_image(shape: tuple[int, ...], channels: int) -> None:
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    rng = np.random.default_rng(0)
    true = rng.uniform(-1, 1, (12, channels, *shape))
    made = np.clip(true + 0.3 * rng.normal(size=true.shape), -1, 1)
    pairs = list(zip(true, made, strict=True))
    asked = of_pairs(true, made)
    theirs = [
        structural_similarity(
            *pair,
            channel_axis=0,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            data_range=2,
        )
        for pair in pairs
    ]
    assert StructuralSimilarity().read(asked).value == pytest.approx(np.mean(theirs), abs=1e-6)
    decibels = [peak_signal_noise_ratio(*pair, data_range=2) for pair in pairs]
    assert PeakSignalToNoise().read(asked).value == pytest.approx(np.mean(decibels), abs=1e-5)


def test_of_a_picture_with_a_hole_the_hole_alone_counts() -> None:
    rng = np.random.default_rng(0)
    true = rng.uniform(-1, 1, (12, 1, 16, 16))
    known = np.ones(true.shape, dtype=bool)
    known[1:, :, 6:9, 6:9] = False  # of the first nothing is asked
    made = np.where(known, true, 0.0)
    asked = of_pairs(true, made, known=known)
    gap = (true - made)[1:, :, 6:9, 6:9].reshape(11, -1)
    assert PeakSignalToNoise().read(asked).value == pytest.approx(
        psnr((gap**2).mean(1)).mean(), abs=1e-5
    )
    wanted = ssim_map(made, true)[1:, :, 6:9, 6:9].mean()
    assert StructuralSimilarity().read(asked).value == pytest.approx(wanted, abs=1e-6)
    with pytest.raises(DataError) as refused:
        PeakSignalToNoise().read(of_pairs(true, made, known=np.ones_like(known)))
    assert refused.value.code == "nothing-asked"


def test_the_right_picture_has_the_decibels_of_rounding() -> None:
    true = np.random.default_rng(0).uniform(-1, 1, (12, 1, 8, 8))
    found = PeakSignalToNoise().read(of_pairs(true, true))
    assert found.value == pytest.approx(58.92, abs=0.01)
    assert StructuralSimilarity().read(of_pairs(true, true)).value == pytest.approx(1)


# -- texts -----------------------------------------------------------------------------------------


def chrf(made: list[str], true: list[str]) -> float:
    a, b = (Windows.of(["".join(text.split()) for text in some]) for some in (made, true))
    rows = np.concatenate([wording._shared(a, b, n, len(made)) for n in range(1, 7)], axis=1)
    return float(CharacterFScore().score(rows.sum(0)))


def test_chrf_is_that_of_sacrebleu() -> None:
    import sacrebleu

    assert chrf(MADE, TRUE) == pytest.approx(sacrebleu.corpus_chrf(MADE, [TRUE]).score)
    for a, b in zip(MADE, TRUE, strict=True):
        assert chrf([a], [b]) == pytest.approx(sacrebleu.sentence_chrf(a, [b]).score)


def test_error_rates_are_those_of_torchmetrics() -> None:
    from torchmetrics.functional.text import char_error_rate, word_error_rate

    made, true = map(wording._codes, (MADE, TRUE))
    rate = edit_distance(made, true).sum() / sum(map(len, true))
    assert rate == pytest.approx(float(char_error_rate(MADE, TRUE)))
    made, true = wording._numbered(*map(wording._words, (MADE, TRUE)))
    rate = edit_distance(made, true).sum() / sum(map(len, true))
    spaced = [[" ".join(split_words(text)) for text in some] for some in (MADE, TRUE)]
    assert rate == pytest.approx(float(word_error_rate(*spaced)))


def test_edits_and_common_words_of_many_rows_are_those_of_each() -> None:
    rng = np.random.default_rng(0)
    a, b = ([rng.integers(0, 4, rng.integers(0, 9)) for _ in range(150)] for _ in range(2))

    def table(x: Array, y: Array, edits: bool) -> int:
        d = np.zeros((len(x) + 1, len(y) + 1), int)
        if edits:
            d[:, 0], d[0] = np.arange(len(x) + 1), np.arange(len(y) + 1)
        for i, u in enumerate(x):
            for j, v in enumerate(y):
                if edits:
                    d[i + 1, j + 1] = min(d[i, j + 1] + 1, d[i + 1, j] + 1, d[i, j] + (u != v))
                else:
                    d[i + 1, j + 1] = max(d[i, j + 1], d[i + 1, j], d[i, j] + (u == v))
        return int(d[-1, -1])

    for ours, edits in ((edit_distance, True), (common_length, False)):
        assert ours(a, b).tolist() == [table(x, y, edits) for x, y in zip(a, b, strict=True)]


def test_rouge_is_the_f_measure_of_common_words_in_order() -> None:
    made, true = wording._numbered(*map(wording._plain_words, (MADE[:2], TRUE[:2])))
    # the cat _ on _ mat of 6 and 6 words; haus am see of 5 and 5, and not kleines for kleine
    assert (2 * common_length(made, true) / [12, 10]).tolist() == pytest.approx([4 / 6, 3 / 5])


# -- several answers -------------------------------------------------------------------------------


def test_crps_is_that_of_a_normal_and_unbiased_of_few_answers() -> None:
    """Gneiting and Raftery 2007: sigma (z (2 Phi(z) - 1) + 2 phi(z) - 1 / sqrt(pi))."""
    from scipy.stats import norm

    rng = np.random.default_rng(0)
    for y in (0.0, 1.3):
        exact = y * (2 * norm.cdf(y) - 1) + 2 * norm.pdf(y) - 1 / np.sqrt(np.pi)
        for k in (2, 9):
            found = crps(rng.normal(size=(k, 100_000)), np.full(100_000, y))
            assert found.mean() == pytest.approx(exact, abs=4 * found.std() / np.sqrt(100_000))
    assert crps(np.array([[1.0]]), np.array([3.0])) == 2  # of one answer its distance


def test_what_is_drawn_as_the_right_ones_are_has_eighty_per_cent_with_ties_or_without() -> None:
    rng = np.random.default_rng(0)
    draws, true = rng.normal(size=(9, 50_000)), rng.normal(size=50_000)
    for some in (lambda x: x, np.round, np.sign):
        assert inside(some(draws), some(true)).mean() == pytest.approx(0.8, abs=0.006)
    assert inside(0.3 * draws, true).mean() < 0.5


def test_numbers_that_are_not_there_do_not_count() -> None:
    """A number behind a closed gate: a symbol beside it says that there is none."""
    rng = np.random.default_rng(0)
    shut = np.arange(40) % 4 == 0
    x = np.column_stack([shut, np.where(shut, 0, rng.normal(size=40))]).astype(np.float32)
    asked = replace(evidence(x, x), space=Space((), (Symbol(2), Real(1))))
    draws = np.stack([x + np.array([0, i]) for i in range(9)])
    asked = replace(asked, pairs=Pairs({}, asked.fake, asked.test, draws=draws))
    assert Crps().rows(asked, rng)[:, 1].tolist() == (~shut).tolist()
    assert IntervalCoverage().rows(asked, rng).sum(0)[1] == 30


# -- retrieval -------------------------------------------------------------------------------------


def test_the_right_answer_is_ranked_among_others_and_equal_ones_are_none() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(60, 3, 1))
    assert RetrievalRank().read(of_pairs(true, true)).value == 0
    chance = RetrievalRank(among=60).read(of_pairs(true, true[rng.permutation(60)]))
    assert chance.low < 0.5 < chance.high
    same = np.repeat(true[:2], 30, axis=0)
    assert RetrievalRank().read(of_pairs(same, same)).value == 0


def test_the_likelihood_ranks_where_there_is_one_and_what_is_likely_anyhow_can_be_taken_off() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(40, 3, 1))
    fit, frequent = 3 * np.eye(40), 10 * rng.normal(size=40)
    asked = of_pairs(true, true, log_probs=(fit + frequent)[None])
    assert RetrievalRank().read(asked).value > 0.3
    assert RetrievalRank(debiased=True).read(asked).value < 0.01


# -- trivial answers and the verdict ---------------------------------------------------------------


def test_a_constant_answer_is_mean_and_mode_and_the_most_ordinary_text() -> None:
    x = np.array([[0, 1.0], [0, 3.0], [1, 0.0]], np.float32)
    assert constant(x, Space((), (Symbol(2), Real(1)))).tolist() == [
        [0, 2.0]
    ]  # the gate keeps the 0 out
    text = Space((4,), (Symbol(5, pad=0),))
    rows = np.array([[1, 2, 3, 0], [1, 2, 3, 4], [4, 4, 4, 4]])[:, None]
    assert constant(rows, text)[0, 0].tolist() == [1, 2, 3, 4]


def test_a_source_is_brought_to_the_grid_of_the_answer() -> None:
    small, large = Space((4, 4), (Real(1, bounded=True),)), Space((8, 8), (Real(3, bounded=True),))
    x = np.random.default_rng(0).uniform(-1, 1, (2, 1, 4, 4)).astype(np.float32)
    found = regridded(x, small, large)
    assert found is not None
    wanted = torch.nn.functional.interpolate(torch.from_numpy(x), size=(8, 8), mode="bicubic").clamp(
        -1, 1
    )
    np.testing.assert_allclose(found, wanted.expand(-1, 3, -1, -1).numpy())
    assert regridded(x, small, Space((8,), (Real(1),))) is None
    assert regridded(x, small, Space((8, 8), (Symbol(3),))) is None


def test_the_nearest_given_is_found_by_what_is_known_alone() -> None:
    rng = np.random.default_rng(0)
    space = Space((), (Symbol(4), Real(2)))
    train = np.column_stack([rng.integers(4, size=50), rng.normal(size=(50, 2))]).astype(np.float32)
    known = np.array([[True, True, False], [False, True, False]] * 25)
    asked = train.copy()
    asked[:, 2] = 9
    far = mismatch(asked, train, space, known)
    gaps = (asked[:, None, 1] - train[None, :, 1]) ** 2
    gaps += known[:, :1] & (asked[:, None, 0] != train[None, :, 0])
    np.testing.assert_allclose(far, gaps, atol=1e-4)
    assert nearest([far], 3)[:, 0].tolist() == list(range(50))
    order = others(50, rng)
    assert sorted(order) == list(range(50))
    assert (order != np.arange(50)).all()


def with_baseline(level: float, other: float) -> Evidence:
    rng = np.random.default_rng(0)
    true = rng.normal(size=(80, 4)) * rng.exponential(3, (80, 1))
    hard = rng.exponential(1, (80, 1)) * rng.normal(size=(80, 4))  # some questions are harder for all
    asked = evidence(true, true + level * hard)
    pairs = Pairs({}, asked.fake, asked.test)
    beside = replace(pairs, made=sample_of(true + other * hard))
    return replace(asked, pairs=replace(pairs, baselines={"nearest": beside}))


@pytest.mark.parametrize(
    ("level", "other", "outcome"),
    [(1.0, 1.1, "supported"), (1.1, 1.0, "not supported"), (1.0, 1.0, "inconclusive")],
)
def test_the_verdict_compares_answers_question_by_question(
    level: float, other: float, outcome: str
) -> None:
    """A tenth is far within the interval of either, and beyond doubt of the two together."""
    asked = with_baseline(level, other)
    found = runner.results(asked, {}, [FeatureDistance()], 0)
    (result,) = found
    assert result.model is not None
    assert result.model.error > 0.05 * result.model.value
    (claim,) = runner.claims(found)
    assert (claim.outcome, claim.question) == (
        outcome,
        "Is it nearer to the right answers than trivial ones are?",
    )


def test_metrics_of_answers_are_asked_where_there_are_right_ones_and_where_they_fit() -> None:
    true = np.random.default_rng(0).uniform(-1, 1, (30, 1, 12, 12))
    asked = of_pairs(true, true)
    names = {m.name for m in runner.metrics(asked)}
    assert {"psnr", "ssim", "feature_distance", "retrieval_rank", "heeded"} <= names
    assert not {"crps", "exact_match", "cell_rmse"} & names
    assert asked.pairs is not None
    without = replace(asked, pairs=replace(asked.pairs, supervised=False))
    assert not {"psnr", "feature_distance"} & {m.name for m in runner.metrics(without)}
    (refused,) = runner.results(without, {}, [PeakSignalToNoise()], 0)
    assert "no right answers" in refused.refused
    (refused,) = runner.results(with_baseline(1, 1), {}, [PeakSignalToNoise()], 0)
    assert "does not fit" in refused.refused


def test_parts_that_were_given_do_not_make_an_answer_heed_them() -> None:
    true = np.random.default_rng(0).normal(size=(30, 1, 4))
    asked = of_pairs(true, true, known=np.ones(true.shape, dtype=bool))
    assert not asked.conditional
    with pytest.raises(DataError) as refused:
        Heeded().read(asked)
    assert refused.value.code == "no-labels"
