"""A uniform sample of a stream: how it is cut into chunks does not matter, and nothing else is held."""

from collections import Counter

import numpy as np
import pytest

from genwright.data.columns.reservoir import Reservoir, ReservoirCounter


def sampled(n: int, most: int, sizes: list[int], seed: int = 0) -> list[int]:
    """The numbers below `n` that stay, given in chunks of these sizes, over and over."""
    reservoir, rows, start, turn = Reservoir(most, seed), [], 0, 0
    while start < n:
        size = min(sizes[turn % len(sizes)], n - start)
        rows += range(start, start + size)
        if (kept := reservoir.add(size)) is not None:
            rows = [rows[i] for i in kept]
        assert len(rows) <= 2 * most
        start, turn = start + size, turn + 1
    assert reservoir.seen == n
    kept = reservoir.trim()
    return rows if kept is None else [rows[i] for i in kept]


@pytest.mark.parametrize("sizes", [[1], [3, 50, 7], [1000], [0, 11]])
def test_the_cut_into_chunks_does_not_matter(sizes: list[int]) -> None:
    whole = sampled(1000, 20, [1000])
    assert sampled(1000, 20, sizes) == whole
    assert len(whole) == 20
    assert whole == sorted(set(whole))


def test_a_short_stream_is_kept_whole() -> None:
    assert sampled(20, 20, [6]) == list(range(20))
    assert sampled(0, 20, [6]) == []
    assert Reservoir(5).trim() is None


def test_a_second_trim_changes_nothing() -> None:
    reservoir = Reservoir(10)
    assert reservoir.add(15) is None
    assert len(reservoir.trim()) == 10
    assert reservoir.trim() is None


def test_each_row_is_as_likely_as_any_other() -> None:
    """Over 600 seeds each of 50 rows is drawn 120 times of 600 on average, with a deviation of 9.8."""
    counts = Counter(row for seed in range(600) for row in sampled(50, 10, [7, 1], seed))
    drawn = np.array([counts[row] for row in range(50)])
    assert drawn.sum() == 6000
    assert np.abs(drawn - 120).max() < 4 * 9.8


def test_a_counter_counts_what_is_few_and_samples_the_rest() -> None:
    counter = ReservoirCounter(most=50, different=10)
    for _ in range(30):
        counter.add(list("abcabcabca"))
    assert (counter.seen, counter.counts) == (300, Counter(a=120, b=90, c=90))
    assert len(counter.sample()) == 50
    counter.add(range(20))
    assert counter.counts is None
    counter = ReservoirCounter(most=100, different=10)
    for start in range(0, 10_000, 100):
        counter.add(range(start, start + 100))
    found = counter.sample()
    assert len(found) == len(set(found)) == 100
    assert found == sorted(found)  # in their order
    assert abs(np.mean(found) - 5000) < 4 * 2887 / 10  # and from everywhere
