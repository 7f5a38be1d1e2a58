"""Trivial generators: each keeps what it promises to keep, and loses the rest."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from itertools import product

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation import baselines
from genwright.evaluation.baselines import BASELINES, NGram, baselines_for, ngram_nats
from genwright.space import Real, Space, Symbol

ROW = Space((), (Real(2), Symbol(4)))
GATED = Space((), (Symbol(3), Real(1), Real(1)))
PICTURE = Space((4, 4), (Real(3, bounded=True),))
LEVEL = Space((3, 5), (Symbol(6),))
TEXT = Space((12,), (Symbol(5, pad=4),))


def examples(space: Space, m: int = 200, seed: int = 0) -> Array:
    rng = np.random.default_rng(seed)
    x = np.empty((m, *space.shape), dtype=np.int64 if space.kind == "symbol" else np.float32)
    for slot in space.slots():
        shape = x[:, slot.stored].shape
        symbol = isinstance(slot.span, Symbol)
        x[:, slot.stored] = (
            rng.integers(slot.span.width, size=shape) if symbol else rng.normal(size=shape)
        )
    return x.clip(-1, 1) if space == PICTURE else x


def made(name: str, x: Array, space: Space, n: int, seed: int = 1) -> Array:
    return BASELINES[name](x, space, n, np.random.default_rng(seed))


def correlated(m: int, seed: int = 0) -> Array:
    """Two normal numbers of correlation 0.8 and a symbol that says the sign of the first."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=m)
    b = 0.8 * a + 0.6 * rng.normal(size=m)
    return np.stack([a, b, 2.0 * (a > 0)], axis=1).astype(np.float32)


# -- every one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in BASELINES if name != "ngram"])
@pytest.mark.parametrize("space", [ROW, PICTURE, LEVEL, TEXT], ids=str)
@pytest.mark.parametrize("m", [1, 3, 200])
def test_stored_examples_of_the_space(name: str, space: Space, m: int) -> None:
    x = examples(space, m)
    before = x.copy()
    y = made(name, x, space, 70)
    assert y.shape == (70, *space.shape)
    assert y.dtype == x.dtype
    assert np.array_equal(x, before), "the training examples were changed"
    for slot in space.slots():
        if isinstance(slot.span, Symbol):
            assert np.isin(y[:, slot.stored], np.arange(slot.span.k)).all()
        else:
            assert y[:, slot.stored].min() >= x[:, slot.stored].min()
            assert y[:, slot.stored].max() <= x[:, slot.stored].max()


@pytest.mark.parametrize("name", list(BASELINES))
def test_the_same_for_the_same_seed(name: str) -> None:
    x = examples(TEXT)
    first, again, other = (made(name, x, TEXT, 50, seed) for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("name", list(BASELINES))
def test_without_training_examples_it_is_refused(name: str) -> None:
    if name != "copycat":
        with pytest.raises(DataError) as refused:
            made(name, examples(TEXT)[:0], TEXT, 5)
        assert refused.value.code == "no-examples"


def test_every_one_says_what_it_does() -> None:
    for maker in BASELINES.values():
        assert maker.__doc__ is not None
        assert "." in maker.__doc__


def test_which_are_for_which_space() -> None:
    assert baselines_for(TEXT) == ["marginals", "ngram"]
    for space in (ROW, PICTURE, LEVEL, Space((9,), (Symbol(3), Real(1)))):
        assert baselines_for(space) == ["marginals", "mix", "copula"]


# -- one by one ----------------------------------------------------------------------------------


def test_marginals_keep_each_number_and_lose_how_they_go_together() -> None:
    x = correlated(4000)
    y = made("marginals", x, ROW, 4000)
    assert (
        np.abs(
            np.quantile(x[:, :2], [0.1, 0.5, 0.9], 0) - np.quantile(y[:, :2], [0.1, 0.5, 0.9], 0)
        ).max()
        < 0.1
    )
    assert abs((x[:, 2] > 0).mean() - (y[:, 2] > 0).mean()) < 0.03
    assert np.isin(y, x).all()
    assert np.abs(np.corrcoef(y.T) - np.eye(3)).max() < 0.06


@pytest.mark.parametrize("name", ["marginals", "mix", "copula"])
def test_a_number_behind_a_symbol_stays_with_it(name: str) -> None:
    """A table keeps 0 as the number of a row that has none; it is not one of the numbers."""
    rng = np.random.default_rng(0)
    x = np.stack(
        [rng.choice(3, 3000, p=[0.2, 0.5, 0.3]), 5 + rng.normal(size=3000), rng.normal(size=3000)],
        axis=1,
    ).astype(np.float32)
    x[x[:, 0] != 0, 1] = 0
    y = made(name, x, GATED, 3000)
    number = y[:, 0] == 0
    assert abs(number.mean() - 0.2) < 0.05
    assert (y[~number, 1] == 0).all()
    assert abs(y[number, 1].mean() - 5) < 0.2
    assert y[number, 1].min() > 1


def test_a_mix_lies_between_near_neighbours_and_repeats_none() -> None:
    angle = np.random.default_rng(0).uniform(0, 2 * np.pi, 2000)
    x = np.stack([np.cos(angle), np.sin(angle), (angle > np.pi) * 3.0], axis=1).astype(np.float32)
    y = made("mix", x, ROW, 1000)
    radius = np.hypot(y[:, 0], y[:, 1])
    assert (radius > 0.999).all(), "not along the circle"
    assert not {row.tobytes() for row in x} & {row.tobytes() for row in y}
    difference_error = np.abs(y[:, 1]) > 0.1
    assert ((y[:, 2] == 3) == (y[:, 1] < 0))[difference_error].all()
    assert len(np.unique(y, axis=0)) == 1000


def test_a_mix_takes_neighbours_by_their_symbols_too() -> None:
    rng = np.random.default_rng(0)
    kind = rng.integers(2, size=(400, 1, 1, 1))
    x = (kind * 3 + rng.integers(3, size=(400, 1, 3, 5))).astype(np.int64)
    y = made("mix", x, LEVEL, 300)
    assert ((y < 3).all((1, 2, 3)) | (y >= 3).all((1, 2, 3))).all()


def test_a_mix_of_a_number_and_none_is_one_of_them() -> None:
    x = np.array([[0, 5, 1], [2, 0, 1]], dtype=np.float32)
    y = made("mix", x, GATED, 200)
    assert {tuple(row) for row in y.tolist()} == {(0, 5, 1), (2, 0, 1)}


def test_a_mix_takes_the_neighbours_share() -> None:
    """With one pair of examples a symbol is the neighbour's as often as a number is on its way there."""
    x = np.array([[0, 0, 0], [1, 1, 1]], dtype=np.float32)
    y = made("mix", x, ROW, 4000)
    assert np.array_equal(y[:, 0], y[:, 1])
    assert abs(y[:, 0].mean() - 0.5) < 0.03
    near_one = y[:, 0] > 0.9
    assert y[near_one, 2].mean() > 0.9


def test_a_copula_keeps_each_number_and_the_covariance_of_scores() -> None:
    x = correlated(4000)
    y = made("copula", x, ROW, 4000)
    assert np.isin(y, x).all()
    assert abs(np.corrcoef(y[:, 0], y[:, 1])[0, 1] - np.corrcoef(x[:, 0], x[:, 1])[0, 1]) < 0.03
    assert abs((y[:, 2] > 0).mean() - (x[:, 2] > 0).mean()) < 0.03
    assert abs(np.corrcoef(y[:, 0], y[:, 2])[0, 1]) > 0.4
    # What a covariance cannot say is lost: here y = x^2, of which the scores are uncorrelated.
    bent = np.stack([x[:, 0], x[:, 0] ** 2, x[:, 2]], axis=1)
    lost = made("copula", bent, ROW, 4000)
    assert np.abs(lost[:, 1] - lost[:, 0] ** 2).mean() > 0.5


def test_a_copula_of_many_places_stays_small(monkeypatch: pytest.MonkeyPatch) -> None:
    space = Space((50_000,), (Real(1),))
    x = np.random.default_rng(0).normal(size=(60, *space.shape)).astype(np.float32)
    monkeypatch.setattr(baselines, "CELLS", 300_000)
    tracemalloc.start()
    y = made("copula", x, space, 60)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < y.nbytes + x.nbytes + 40_000_000  # one float64 covariance would take 20 GB


def test_a_copycat_repeats_none_before_all_have_come() -> None:
    x = np.arange(100.0)[:, None].astype(np.float32)
    space = Space((), (Real(1),))
    assert len(np.unique(made("copycat", x, space, 100))) == 100
    assert len(np.unique(made("copycat", x, space, 30))) == 30
    assert not np.array_equal(made("copycat", x, space, 100), x), "in the order of the training set"
    assert set(Counter(made("copycat", x, space, 250).ravel().tolist()).values()) == {2, 3}


# -- n-grams -------------------------------------------------------------------------------------


def witten_bell(
    train: list[tuple[int, ...]], k: int, order: int, before: tuple[int, ...], w: int
) -> float:
    """p(w | before), by counting, straight from the formula."""
    p = 1 / k
    for length in range(order):
        context = (*(k,) * order, *before)[order + len(before) - length :]
        seen = Counter(
            text[i]
            for text in train
            for i in range(len(text))
            if (*(k,) * order, *text)[order + i - length : order + i] == context
        )
        if not seen:
            break
        total, distinct = sum(seen.values()), len(seen)
        p = (seen[w] + distinct * p) / (total + distinct)
    return p


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ngrams_are_witten_bells(order: int) -> None:
    rng = np.random.default_rng(0)
    train, test = rng.choice(4, (6, 7), p=[0.5, 0.3, 0.2, 0]), rng.integers(4, size=(5, 7))
    texts = [tuple(row) for row in train.tolist()]
    wanted = [
        [-np.log2(witten_bell(texts, 4, order, tuple(row[:i]), row[i])) for i in range(7)]
        for row in test.tolist()
    ]
    assert NGram(train, 4, order).bits(test) == pytest.approx(np.array(wanted), rel=1e-12)


@pytest.mark.parametrize("k", [4, 2**20])
def test_lower_orders_are_those_of_fewer_symbols_whatever_their_number(k: int) -> None:
    """Contexts that no 64 bits hold are sorted otherwise."""
    rng = np.random.default_rng(0)
    train, test = rng.integers(4, size=(9, 7)), rng.integers(4, size=(5, 7))
    model = NGram(train, k, 3)
    for order in (1, 2, 3):
        assert np.array_equal(model.bits(test, order), NGram(train, k, order).bits(test))
    found, wanted = model.levels[2], NGram(train, 4, 3).levels[2]
    assert np.array_equal(found.totals, wanted.totals)
    assert np.array_equal(found.counts, wanted.counts)


def test_ngrams_sum_to_one_and_are_drawn_as_they_are_likely() -> None:
    train = np.random.default_rng(0).choice(3, (20, 4), p=[0.6, 0.3, 0.1])
    model = NGram(train, 3)
    every = np.array(list(product(range(3), repeat=4)))
    p = 2.0 ** -model.bits(every).sum(1)
    assert p.sum() == pytest.approx(1, abs=1e-12)
    drawn = model.draw(40_000, 4, np.random.default_rng(1))
    share = np.bincount(drawn @ 3 ** np.arange(3, -1, -1), minlength=81) / 40_000
    assert np.abs(share - p).max() < 5 * np.sqrt(p.max() / 40_000)
    assert 0.5 * np.abs(share - p).sum() < 0.02


def test_ngrams_reach_the_entropy_of_a_chain() -> None:
    rng = np.random.default_rng(0)
    step = np.array([[0.9, 0.1, 0, 0], [0, 0.5, 0.5, 0], [0, 0, 0.2, 0.8], [1, 0, 0, 0]])
    x = np.zeros((600, 1, 100), dtype=np.int64)
    for t in range(1, 100):
        x[:, 0, t] = (rng.random((600, 1)) > step[x[:, 0, t - 1]].cumsum(1)[:, :-1]).sum(1)
    space = Space((100,), (Symbol(4),))
    stay = np.array([10.0, 2, 1.25, 1])
    entropy = -(stay / stay.sum()) @ np.where(
        step > 0, step * np.log2(step, where=step > 0, out=0 * step), 0
    ).sum(1)
    bits = ngram_nats(x[:500], x[500:], space).mean() / np.log(2)
    assert entropy < bits + 0.02 < entropy + 0.06
    assert ngram_nats(x[:500], x[500:], space, order=1).mean() / np.log(2) > bits + 0.5
    drawn = made("ngram", x[:500], space, 300)
    impossible = step[drawn[:, 0, :-1], drawn[:, 0, 1:]] == 0
    assert impossible.mean() < 0.005
    assert ngram_nats(x[:500], drawn, space).mean() / np.log(2) == pytest.approx(bits, abs=0.03)


def test_padding_behind_the_end_does_not_count() -> None:
    rng = np.random.default_rng(0)
    x = rng.integers(4, size=(200, 1, 12))
    x[:, 0, 6:] = 4
    nats = ngram_nats(x[:100], x[100:], TEXT)
    wanted = NGram(x[:100, 0], 5).bits(x[100:, 0])[:, :7] * np.log(2)
    assert nats[:, :7] == pytest.approx(wanted)
    assert (nats[:, 7:] == 0).all()
    assert (ngram_nats(x[:100], x[100:], Space((12,), (Symbol(5),)))[:, 7:] > 0).all()


def test_ngrams_of_anything_else_are_refused() -> None:
    with pytest.raises(DataError) as refused:
        made("ngram", examples(LEVEL), LEVEL, 5)
    assert refused.value.code == "not-a-text"
