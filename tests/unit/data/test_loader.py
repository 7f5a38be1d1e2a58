"""Shuffled batches whose place is one number."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from commands import classes, table, text
from genwright.data.codec import ReadOptions
from genwright.data.dataset import Split, prepare
from genwright.data.loader import Loader, in_order, permute, shuffled
from genwright.data.source import find


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Split:
    """Rows whose second number tells which they are."""
    file = table(
        tmp_path_factory.mktemp("rows") / "rows.csv", ((i % 3, i + 0.5) for i in range(97)), head="x,y"
    )
    found = prepare(find(file), {}, ReadOptions(val=0.0, test=0.0)).splits["train"]
    assert len(found) == 97
    return found


def numbers(split: Split, x: torch.Tensor) -> list[int]:
    """Which examples these are."""
    whole = torch.from_numpy(split.gather(np.arange(len(split)))[0])
    return [int((whole == one).flatten(1).all(1).nonzero().item()) for one in x]


SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 97, 100, 255, 257, 1000, 4096, 4097, 65_537]


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("seed", [0, 1, 12_345])
def test_a_permutation_takes_every_place_once(n: int, seed: int) -> None:
    assert np.array_equal(np.sort(permute(np.arange(n), n, seed)), np.arange(n))


def test_a_permutation_is_made_place_by_place() -> None:
    whole = permute(np.arange(1000), 1000, 3)
    places = np.array([999, 0, 17, 17])
    assert np.array_equal(permute(places, 1000, 3), whole[places])


def test_permutations_shuffle() -> None:
    """By the mean square rank correlation of many: 1 / (n - 1) where places and values do not know of
    each other, and of any two of them likewise."""
    n, seeds = 257, 300
    orders = np.stack([permute(np.arange(n), n, seed) for seed in range(seeds)]).astype(float)
    ranks = (orders - orders.mean(1, keepdims=True)) / orders.std(1, keepdims=True)
    place = np.arange(n) - (n - 1) / 2
    with_place = ranks @ (place / place.std()) / n
    with_next = (ranks[1:] * ranks[:-1]).mean(1)
    neighbours = (ranks[:, 1:] * ranks[:, :-1]).mean(1)
    for correlation in (with_place, with_next, neighbours):
        assert np.square(correlation).mean() * (n - 1) == pytest.approx(1, abs=0.35)
    # And every value comes first about as often as any other.
    first = np.bincount([int(permute(np.zeros(1, int), 10, seed)[0]) for seed in range(5000)])
    assert ((first - 500) ** 2 / 500).sum() < 30  # chi square, 9 degrees: one in 2,000 is above


def test_every_epoch_has_every_example_once_in_another_order(rows: Split) -> None:
    loader = Loader(rows, seed=4)
    seen = [n for _ in range(97) for n in numbers(rows, loader.next(2).x)]
    first, second = seen[:97], seen[97:]
    assert sorted(first) == sorted(second) == list(range(97))
    assert first != second
    assert first != list(range(97))
    assert numbers(rows, Loader(rows, seed=5).next(97).x) != first


@pytest.mark.parametrize("place", [0, 1, 96, 97, 100, 10_000])
def test_a_place_is_the_whole_state(rows: Split, place: int) -> None:
    loader = Loader(rows, seed=4)
    loader.place = place
    ahead = [loader.next(5) for _ in range(3)]
    again = Loader(rows, seed=4)
    again.place = place + 5
    assert torch.equal(again.next(5).x, ahead[1].x)
    assert again.place == place + 10
    # The same examples come whatever the batches are cut to.
    small = Loader(rows, seed=4)
    small.place = place
    assert torch.equal(torch.cat([small.next(1).x for _ in range(15)]), torch.cat([b.x for b in ahead]))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_devices_share_what_one_would_have_had(rows: Split, world: int) -> None:
    one = Loader(rows, seed=4)
    many = [Loader(rows, seed=4, rank=rank, world=world) for rank in range(world)]
    for _ in range(10):
        parts = [loader.next(4).x for loader in many]
        assert torch.equal(torch.cat(parts), one.next(4 * world).x)
        assert {loader.place for loader in many} == {one.place}


def test_in_order_is_every_example_once(rows: Split) -> None:
    found = torch.cat([batch.x for batch in in_order(rows, 10)])
    assert numbers(rows, found) == list(range(97))
    some = [n for batch in in_order(rows, 4, most=10) for n in numbers(rows, batch.x)]
    assert len(some) == 10
    assert (some[0], some[-1]) == (0, 96)
    assert all(8 <= b - a <= 12 for a, b in pairwise(some))


def test_conditions_go_with_their_examples(tmp_path: Path) -> None:
    dataset = prepare(find(classes(tmp_path / "faces")), {}, ReadOptions(("label",), val=0, test=0))
    split = dataset.splits["train"]
    x, given = split.gather(np.arange(30))
    told = {one.tobytes(): int(symbol) for one, symbol in zip(x, given["label"][:, 0], strict=True)}
    assert sorted(told.values()) == [0] * 15 + [1] * 15
    loader = Loader(split, seed=0)
    for _ in range(8):
        batch = loader.next(8)
        assert batch.cond["label"].dtype == torch.long
        for one, symbol in zip(batch.x.numpy(), batch.cond["label"][:, 0].tolist(), strict=True):
            assert told[one.tobytes()] == symbol


def test_windows_of_a_stream(tmp_path: Path) -> None:
    dataset = prepare(find(text(tmp_path / "fox.txt")), {"length": 16}, ReadOptions())
    train, val = dataset.splits["train"], dataset.splits["val"]
    batch = Loader(train, seed=0).next(9)
    assert batch.x.shape == (9, 1, 17)
    assert batch.mask is None or bool(batch.mask.all())
    whole = "the quick brown fox jumps over the lazy dog. " * 40
    for window in dataset.codec.decode(batch.x.numpy(), {}):
        assert len(window) == 17
        assert window in whole
    # Held-out windows lie side by side, and each token but the very first is scored once.
    held = next(iter(in_order(val, 1000)))
    assert held.mask is not None
    scored = held.x[:, 0][held.mask]
    assert len(scored) == 16 * len(held.x)
    assert torch.equal(held.x[1:, 0, 0], held.x[:-1, 0, -1])
    stream = torch.cat([held.x[0, 0, :1], scored])
    assert dataset.codec.decode(stream[None, None].numpy(), {})[0] in whole


def test_an_epoch_in_a_table_is_the_same_epoch() -> None:
    places = np.array([5, 0, 998, 31])
    for n, seed in ((999, 0), (999, 1), (1000, 0)):
        assert shuffled(places, n, seed).tolist() == permute(places, n, seed).tolist()
