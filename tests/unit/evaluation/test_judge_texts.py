"""The measures of texts: closed forms, and the battery that every metric has to pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from genwright.data.codec import Array
from genwright.data.text.codec import TextCodec
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Metric, Statistic
from genwright.evaluation.metrics import mauve
from genwright.evaluation.metrics import texts as module
from genwright.evaluation.metrics.mauve import Mauve
from genwright.evaluation.metrics.texts import (
    CharacterNgramDistance,
    DistinctWords,
    Lengths,
    LongestCopy,
    NovelNgrams,
    Repetition,
    Spelling,
    TextShare,
    split_words,
)
from genwright.space import Space, Symbol

ROOT = Path(__file__).parents[3]
LETTERS = "abcdefghijklmnopqrstuvwxyz "
METRICS: list[Callable[[], Metric]] = [
    NovelNgrams,
    lambda: NovelNgrams(unit="words"),
    LongestCopy,
    Repetition,
    DistinctWords,
    Spelling,
    Lengths,
    CharacterNgramDistance,
]
IDS = ["novel", "novel words", "copy", "repetition", "distinct", "known", "lengths", "js"]
every = pytest.mark.parametrize("make", METRICS, ids=IDS)


def as_sample(raw: list[str]) -> Sample:
    """Texts with the counts of their letters as features."""
    counts = np.array([[text.count(letter) for letter in LETTERS] for text in raw], np.float64)
    counts = counts.reshape(len(raw), len(LETTERS))
    return Sample(
        x=np.zeros((len(raw), 1, 1), np.int64),
        flat=counts.astype(np.float32),
        features=counts,
        raw=raw,
        codec=TextCodec(),
        field=TextField(),
        keys=tuple(raw),
        views=frozenset({"features", "flat", *TextField.views}),
    )


def asked(test: list[str], fake: list[str], train: list[str] | None = None) -> Evidence:
    return Evidence(
        space=Space((1,), (Symbol(2),)),
        extractor="letters",
        train=as_sample(test if train is None else train),
        test=as_sample(test),
        fake=as_sample(fake),
    )


@cache
def language() -> tuple[list[str], Array]:
    """Words, and for each the odds of the next `(v, v)`: a Markov chain with few ways to go on."""
    rng = np.random.default_rng(7)
    vocabulary = sorted({"".join(rng.choice(list(LETTERS[:-1]), rng.integers(2, 9))) for _ in range(60)})
    odds = rng.dirichlet(np.full(len(vocabulary), 0.05), size=len(vocabulary))
    return vocabulary, odds.cumsum(1)


def documents(n: int, seed: int, least: int = 30, most: int = 60) -> list[str]:
    vocabulary, odds = language()
    rng = np.random.default_rng(seed)
    result = []
    for _ in range(n):
        at, text = int(rng.integers(len(vocabulary))), []
        for u in rng.random(rng.integers(least, most)):
            at = min(int(np.searchsorted(odds[at], u)), len(vocabulary) - 1)
            text.append(vocabulary[at])
        result.append(" ".join(text))
    return result


def typos(raw: list[str], share: float, seed: int = 0) -> list[str]:
    """That share of the characters is another."""
    rng = np.random.default_rng(seed)
    return [
        "".join(
            rng.choice(list(LETTERS)) if u < share else c
            for c, u in zip(t, rng.random(len(t)), strict=True)
        )
        for t in raw
    ]


def shuffled(raw: list[str], seed: int = 0) -> list[str]:
    """The words of all texts, dealt out anew."""
    rng = np.random.default_rng(seed)
    return [" ".join(rng.permutation(text.split()).tolist()) for text in raw]


@cache
def real() -> Evidence:
    """Fresh texts of the same language: the floor."""
    return asked(documents(100, 2), documents(100, 3), documents(250, 1))


def value(metric: Metric, fake: list[str], evidence: Evidence | None = None) -> float:
    asking = (evidence or real()).about(as_sample(fake))
    if isinstance(metric, Statistic):  # without the halves of an interval
        return metric.measure(asking, np.random.default_rng(0))
    return metric.read(asking).value


def from_floor(metric: Metric, fake: list[str]) -> float:
    """How far from where real texts are."""
    best = 0.0 if metric.better == "lower" else value(metric, real().test.raw)
    return abs(value(metric, fake) - best)


# -- the battery -------------------------------------------------------------------------------


@every
def test_the_test_out_texts_themselves_are_at_the_ideal(make: Callable[[], Metric]) -> None:
    metric = make()
    if metric.ideal is not None:
        assert value(metric, real().test.raw) == pytest.approx(metric.ideal, abs=1e-12)


@every
def test_random_letters_are_further_from_the_floor_than_real_texts(make: Callable[[], Metric]) -> None:
    metric = make()
    noise = typos(real().test.raw, 1.0)
    if metric.name != "lengths":  # of the very same lengths
        assert from_floor(metric, noise) > 3 * from_floor(metric, real().fake.raw)
        assert metric.better in ("near", "lower")


@pytest.mark.parametrize(
    ("metric", "sign"),
    [
        (NovelNgrams(), 1),
        (NovelNgrams(unit="words"), 1),
        (LongestCopy(), -1),
        (DistinctWords(), 1),
        (Spelling(), -1),
        (CharacterNgramDistance(), 1),
    ],
    ids=lambda m: getattr(m, "name", None),
)
def test_more_typos_go_further(metric: Metric, sign: int) -> None:
    shares = [0.0, 0.02, 0.05, 0.1, 0.2]
    ladder = [value(metric, typos(real().fake.raw, share)) for share in shares]
    assert sign * spearmanr(shares, ladder).statistic >= 0.9
    assert abs(ladder[-1] - ladder[0]) > 3 * from_floor(metric, real().fake.raw)


def test_more_repeating_goes_further() -> None:
    shares = [0.0, 0.1, 0.3, 0.6, 0.9]
    rng = np.random.default_rng(0)
    ladder = []
    for share in shares:
        stuck = [
            text if u >= share else " ".join(text.split()[:5] * (len(text.split()) // 5))
            for text, u in zip(real().fake.raw, rng.random(100), strict=True)
        ]
        ladder.append(value(Repetition(), stuck))
    assert spearmanr(shares, ladder).statistic >= 0.9
    assert ladder[-1] > 0.5 > 3 * ladder[0]


@pytest.mark.parametrize("metric", [NovelNgrams(), NovelNgrams(unit="words"), LongestCopy()])
def test_shuffled_words_are_far_from_the_floor(metric: Metric) -> None:
    assert from_floor(metric, shuffled(real().fake.raw)) > 3 * from_floor(metric, real().fake.raw)
    assert from_floor(metric, shuffled(real().fake.raw)) > 0.2


def test_copies_are_seen() -> None:
    copies = real().train.raw[:100]
    assert value(NovelNgrams(), copies) == value(NovelNgrams(unit="words"), copies) == 0
    assert value(NovelNgrams(), real().fake.raw) > 0.01
    assert value(LongestCopy(), copies) > 3 * value(LongestCopy(), real().fake.raw)
    some = copies[:15] + real().fake.raw[15:]
    floor = LongestCopy().read(real())
    assert LongestCopy().read(real().about(as_sample(some))).low > floor.high


def test_one_text_again_and_again_is_not_varied() -> None:
    assert value(DistinctWords(), real().fake.raw[:1] * 100) < 0.3
    assert value(DistinctWords(), real().fake.raw) == pytest.approx(1, abs=0.05)


@every
def test_the_order_of_the_texts_decides_nothing(
    make: Callable[[], Metric], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LIMIT", 30_000)  # so that only a part of the training texts is searched
    metric, rng = make(), np.random.default_rng(0)
    evidence = replace(real(), fake=real().fake.take(np.arange(70)))  # of fewer characters than `held`
    other = replace(
        evidence,
        **{
            part: (sample := getattr(evidence, part)).take(rng.permutation(len(sample)))
            for part in ("train", "test", "fake")
        },
    )
    assert metric.read(other).value == pytest.approx(metric.read(evidence).value, abs=1e-9)


@every
def test_one_seed_gives_one_reading_that_holds_its_value(make: Callable[[], Metric]) -> None:
    first, second = make().read(real(), seed=4), make().read(real(), seed=4)
    assert first == second
    assert first.low <= first.value <= first.high
    assert first.low < first.high
    assert first.n == 100


@every
def test_texts_that_are_all_empty_are_refused_in_a_sentence(make: Callable[[], Metric]) -> None:
    with pytest.raises(DataError, match=r"needs|empty|no generated text|no real text"):
        make().read(real().about(as_sample([""] * 20)))
    with pytest.raises(DataError, match="needs 10 examples of each, there are 3"):
        make().read(real().about(as_sample(["a word or two"] * 3)))


@every
def test_an_empty_text_among_others_and_one_with_half_a_character_pass(
    make: Callable[[], Metric],
) -> None:
    assert np.isfinite(value(make(), ["", "\ud800 half", *real().fake.raw[:20]]))


@pytest.mark.parametrize("make", [NovelNgrams, LongestCopy, Spelling])
def test_empty_training_texts_are_refused(make: Callable[[], Metric]) -> None:
    with pytest.raises(DataError, match="training texts, and they are empty"):
        make().read(asked(documents(20, 1), documents(20, 2), [""] * 5))


@every
def test_chinese_and_emoji(make: Callable[[], Metric]) -> None:
    rng = np.random.default_rng(0)
    signs = list("天地玄黄宇宙洪荒日月盈昃辰宿列张👍🏽🌍😀，。")
    train, test, fake = (["".join(rng.choice(signs, 40)) for _ in range(30)] for _ in range(3))
    measurement = make().read(asked(test, fake, train))
    assert np.isfinite([measurement.value, measurement.low, measurement.high]).all()
    assert split_words("天地👍ok, naïve") == ("天", "地", "👍", "ok", ",", "naïve")


@every
def test_a_real_text(make: Callable[[], Metric]) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    windows = [text[i : i + 100] for i in range(0, len(text) - 100, 100)]
    evidence = asked(windows[0::3], windows[1::3], windows[2::3])
    metric = make()
    noise = ["".join(np.random.default_rng(i).choice(list(LETTERS), 100)) for i in range(20)]
    best = value(metric, evidence.test.raw, evidence) if metric.better == "near" else 0
    near, far = metric.read(evidence).value, value(metric, noise, evidence)
    if metric.name == "repetition":  # 100 letters of a page repeat hardly any four words, and noise none
        assert max(near, far, best) < 0.05
    else:
        assert abs(far - best) > abs(near - best)


# -- closed forms ------------------------------------------------------------------------------


@pytest.mark.parametrize("letters", ["ab", "天地玄👍"])
def test_the_longest_copy_is_the_longest_common_substring(letters: str) -> None:
    rng = np.random.default_rng(0)
    train, fake = (
        ["".join(rng.choice(list(letters), rng.integers(0, 60))) for _ in range(25)] for _ in range(2)
    )
    fake[3] = train[5][3:40] + "xyz"
    test = ["a" * 100] * 25  # cuts nothing
    scores = LongestCopy().scores(asked(test, fake, train), rng)
    pieces = {t[i:j] for t in train for i in range(len(t)) for j in range(i + 1, len(t) + 1)}
    brute = [
        max(
            (j - i for i in range(len(t)) for j in range(i + 1, len(t) + 1) if t[i:j] in pieces),
            default=0,
        )
        for t in fake
        if t
    ]
    np.testing.assert_array_equal(scores, brute)
    assert max(brute) >= 20


@pytest.mark.parametrize("n", [1, 3, 8])
def test_the_share_of_novel_ngrams_is_that_of_a_set(n: int) -> None:
    rng = np.random.default_rng(1)
    train, fake = (
        ["".join(rng.choice(list("ab天"), rng.integers(0, 50))) for _ in range(30)] for _ in range(2)
    )
    known = {t[i : i + n] for t in train for i in range(len(t) - n + 1)}
    grams = [t[i : i + n] for t in fake for i in range(len(t) - n + 1)]
    evidence = asked(fake, fake, train)
    assert NovelNgrams(n=n).count(evidence, rng) == (sum(g not in known for g in grams), len(grams))


def test_no_ngram_reaches_from_one_text_into_the_next() -> None:
    metric = NovelNgrams(n=2)
    assert value(metric, ["cd"] * 10, asked(["abcd"] * 10, [], ["abc", "def"])) == 1
    assert value(metric, ["ab"] * 10, asked(["abcd"] * 10, [], ["abc", "def"])) == 0


def test_novel_words_in_fours() -> None:
    train = ["one two three four five"]
    fake = ["one two three four", "two three four five six", "five four three two"] * 4
    measurement = NovelNgrams(unit="words").read(asked(fake, fake, train))
    assert (measurement.value, measurement.n) == (0.5, 12)
    with pytest.raises(DataError, match="needs 10 generated texts with at least 4 words, there are 0"):
        NovelNgrams(unit="words").read(asked(fake, ["three words only"] * 12, train))


def test_repeated_fours() -> None:
    raw = ["a b c d a b c d", "a b c d e f g h", "a a a a a a"]  # 1 of 5, 0 of 5, 2 of 3
    scores = Repetition().scores(asked(raw * 4, raw * 4), np.random.default_rng(0))
    np.testing.assert_allclose(scores, [0.2, 0, 2 / 3] * 4)


def test_distinct_pairs_are_compared_at_equal_length() -> None:
    test, fake = ["a b c"] * 10, ["a b a b"] * 10  # 2 of 20; 2 of 21 in the 50 characters of `held`
    assert value(DistinctWords(), fake, asked(test, [])) == pytest.approx((2 / 21) / (2 / 20), abs=0.01)
    thrice = documents(400, 9)
    assert value(DistinctWords(), thrice) == pytest.approx(1, abs=0.05)
    every_pair = [pair for t in thrice for pair in zip(split_words(t), split_words(t)[1:], strict=False)]
    own = [
        pair for t in real().test.raw for pair in zip(split_words(t), split_words(t)[1:], strict=False)
    ]
    naive = (len(set(every_pair)) / len(every_pair)) / (len(set(own)) / len(own))
    assert naive < 0.6  # what length alone would have done


def test_long_texts_are_not_blamed_for_their_length() -> None:
    test, fake = ["a b c d e f"] * 10, ["a b c d e f a b c d e f"] * 10
    assert value(Repetition(), fake, asked(test, [])) == 0
    assert value(LongestCopy(), fake, asked(test, [], fake)) == len(test[0])


def test_known_words() -> None:
    fake = ["one two, three", "one zwei"] * 5
    assert value(Spelling(), fake, asked(fake, [], ["one, two three four"])) == pytest.approx(5 / 6)


def test_lengths_are_of_texts_and_of_words_where_all_are_windows() -> None:
    test = documents(20, 1)
    assert value(Lengths(), [text + "1234567" for text in test], asked(test, [])) == pytest.approx(7)
    windows = ["aa bb cc", "dd ee ff"] * 5
    assert value(Lengths(), ["aaaa bbb"] * 10, asked(windows, [])) == pytest.approx(1.5)


def test_the_divergence_of_disjoint_and_of_half_equal_trigrams() -> None:
    metric = CharacterNgramDistance()
    assert value(metric, ["bbb"] * 10, asked(["aaa"] * 10, [])) == pytest.approx(1)
    # p = (1, 0), q = (1/2, 1/2): H(3/4, 1/4) - H(1/2, 1/2) / 2.
    half = ["aaa"] * 10 + ["bbb"] * 10
    wanted = -(0.75 * np.log2(0.75) + 0.25 * np.log2(0.25)) - 0.5
    assert value(metric, half, asked(["aaa"] * 20, [])) == pytest.approx(wanted)
    with pytest.raises(DataError, match="texts of 3 characters or more"):
        value(metric, ["ab"] * 10, asked(["aaa"] * 10, []))


class _Drawn(TextShare):
    """Texts with a share of their own each, around 0.3."""

    name, piece, better, group, how = "drawn", "words", "near", "novelty", ""

    def counts(self, evidence: Evidence) -> tuple[Array, Array]:
        rng = np.random.default_rng(len(evidence.fake.raw[0]))
        sizes = rng.integers(20, 60, 100)
        return rng.binomial(sizes, rng.beta(1.5, 3.5, 100)), sizes


def test_the_interval_of_a_share_holds_the_truth_though_neighbours_are_alike() -> None:
    trials = 150
    test = ["x"] * 10
    measurements = [_Drawn().read(asked(test, ["x" * (i + 1)] * 10)) for i in range(trials)]
    covered = sum(r.low <= 0.3 <= r.high for r in measurements) / trials
    assert 0.9 <= covered <= 0.99


def test_a_share_of_nought_still_has_an_interval() -> None:
    measurement = NovelNgrams().read(real().about(as_sample(real().train.raw[:100])))
    assert measurement.value == measurement.low == 0
    assert 0.03 < measurement.high < 0.05  # Wilson, of 100 texts rather than of their 10,000 n-grams


def test_of_many_training_texts_only_so_much_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    copies = real().train.raw[:100]
    whole = value(NovelNgrams(), copies)
    monkeypatch.setattr(module, "LIMIT", 20_000)
    assert len("".join(module._trained("x", real()))) == 20_000
    assert value(NovelNgrams(), copies) > whole


# -- MAUVE -------------------------------------------------------------------------------------


def test_the_area_is_that_of_the_authors_code() -> None:
    """Numbers of mauve-text 0.4.0."""
    n = np.arange(1, 9)
    p, q = n / n.sum(), n[::-1] ** 2 / (n**2).sum()
    assert mauve._area(p, q, 5) == pytest.approx(0.23775029327114933, rel=1e-10)
    assert mauve._area(p, q, 1) == pytest.approx(0.8862788870885362, rel=1e-10)
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0.25, 0.25, 0.5])
    assert mauve._area(p, q, 5) == pytest.approx(0.03599972470506224, rel=1e-10)
    assert mauve._area(p, p, 5) == pytest.approx(1)


def clouds(shift: float, n: int = 1000, seed: int = 0) -> Evidence:
    """Points `(n, 6)` as features of empty texts; the generated ones moved."""
    rng = np.random.default_rng(seed)
    test, fake = rng.normal(size=(n, 6)), rng.normal(size=(n, 6))
    empty = as_sample([""] * n)
    evidence = asked([""], [""])
    return replace(
        evidence, test=replace(empty, features=test), fake=replace(empty, features=fake + shift)
    )


def test_mauve_falls_with_distance_and_is_one_on_itself() -> None:
    shifts = [0.0, 0.3, 0.6, 1.0, 2.0]
    ladder = [Mauve(cells=30).read(clouds(shift)).value for shift in shifts]
    assert spearmanr(shifts, ladder).statistic <= -0.9
    assert ladder[0] > 0.95
    assert ladder[-1] < 0.1
    same = replace(clouds(0), fake=clouds(0).test)
    assert Mauve(cells=30).read(same).value == pytest.approx(1)


def test_mauve_is_the_same_in_any_order_and_with_one_seed() -> None:
    evidence, rng = clouds(0.5), np.random.default_rng(0)
    turned = replace(evidence, test=evidence.test.take(rng.permutation(1000)))
    first = Mauve(cells=30).read(evidence, seed=1)
    assert Mauve(cells=30).read(evidence, seed=1) == first
    assert Mauve(cells=30).read(turned, seed=1).value == pytest.approx(first.value, abs=1e-9)
    assert Mauve(cells=30).read(evidence, seed=2).value != first.value
    assert first.low < first.value < first.high
    assert Mauve(cells=30).measure(evidence, np.random.default_rng([1, *b"mauve"])) == first.value


def test_mauve_needs_a_thousand_and_features_that_differ() -> None:
    with pytest.raises(DataError, match="mauve needs 1000 examples of each, there are 999"):
        Mauve().read(clouds(0, 999))
    flat = replace(clouds(0).test, features=np.ones((1000, 6)))
    with pytest.raises(DataError, match="all features are the same"):
        Mauve().read(replace(clouds(0), test=flat, fake=flat))


def test_mauve_of_few_different_features_does_not_warn() -> None:
    rng = np.random.default_rng(0)
    few = [replace(clouds(0).test, features=np.eye(6)[rng.integers(0, 6, 1000)]) for _ in range(2)]
    assert Mauve().read(replace(clouds(0), test=few[0], fake=few[1])).value > 0.95


def test_every_metric_is_for_texts() -> None:
    for make in [*METRICS, Mauve]:
        assert make().reads == "text"


def test_the_interval_of_distinct_pairs_is_the_jackknife() -> None:
    test = [f"a b {word} {word}x a b" for word in "cdefghijklmnop"]
    fake = [f"{test[2]} many more words in this one", *test[3:]]
    measurement = DistinctWords().read(asked(test, fake))
    test, fake = module._level(test, fake)
    relative = 0.0
    for some in (test, fake):
        without = [_share([*some[:i], *some[i + 1 :]]) for i in range(len(some))]
        relative += (len(some) - 1) * float(np.var(without)) / _share(some) ** 2
    assert measurement.value == pytest.approx(_share(fake) / _share(test))
    assert measurement.error == pytest.approx(measurement.value * relative**0.5, rel=1e-4)


def _share(some: list[str]) -> float:
    pairs = [pair for text in some for pair in pairwise(split_words(text))]
    return len(set(pairs)) / len(pairs)


def test_distinct_pairs_of_one_long_text_have_no_interval() -> None:
    fake = ["w w"] * 9 + [" ".join(map(str, range(99)))]
    with pytest.raises(DataError, match=r"10 texts .* there are 2"):
        DistinctWords().read(asked(documents(10, 1), fake))
