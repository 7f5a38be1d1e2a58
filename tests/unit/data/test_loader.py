"""Shuffled batches whose place is one number."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from commands import classes, table, text
from genwright.batch import Batch
from genwright.bridges.base import Identity
from genwright.data.codec import ReadOptions
from genwright.data.dataset import Dataset, Split, make_codec, prepare
from genwright.data.loader import Loader, evenly, permute, shuffled
from genwright.data.source import find
from genwright.pipeline import Pipeline
from genwright.tasks.generate import Generate
from genwright.training.stream import BatchStream

CPU = torch.device("cpu")


def opened(path: Path, options: ReadOptions, **codec_options: Any) -> tuple[Dataset, Pipeline]:
    """The data at a path, and the pipeline of a task that makes its main field from the others."""
    source = find(path)
    codec = make_codec(source.codec, codec_options)
    dataset = prepare(source, codec, codec_options, options)
    task, bridge = Generate(make=dataset.main, given=options.given), Identity()
    pipeline = Pipeline(source.codec, codec, dataset.fields, task, bridge, dataset.stats.labels)
    bridge.fit(pipeline.made.space, pipeline.stored(dataset.splits["train"], np.arange(1)))
    return dataset, pipeline


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> tuple[Split, Pipeline]:
    """Rows whose second number tells which they are."""
    file = table(
        tmp_path_factory.mktemp("rows") / "rows.csv", ((i % 3, i + 0.5) for i in range(97)), head="x,y"
    )
    dataset, pipeline = opened(file, ReadOptions(val=0.0, test=0.0))
    assert len(dataset.splits["train"]) == 97
    return dataset.splits["train"], pipeline


def numbers(rows: tuple[Split, Pipeline], batch: Batch) -> list[int]:
    """Which examples these are."""
    split, pipeline = rows
    whole = pipeline.stored(split, np.arange(len(split)))
    return [int((whole == one).flatten(1).all(1).nonzero().item()) for one in batch.x]


def stream(rows: tuple[Split, Pipeline], **how: Any) -> BatchStream:
    split, pipeline = rows
    return BatchStream(pipeline, Loader(len(split), **how), split, split)


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


def test_every_epoch_has_every_example_once_in_another_order(rows: tuple[Split, Pipeline]) -> None:
    batches = stream(rows, seed=4)
    seen = [n for _ in range(97) for n in numbers(rows, batches.next(2, CPU, 0))]
    first, second = seen[:97], seen[97:]
    assert sorted(first) == sorted(second) == list(range(97))
    assert first != second
    assert first != list(range(97))
    assert numbers(rows, stream(rows, seed=5).next(97, CPU, 0)) != first


@pytest.mark.parametrize("place", [0, 1, 96, 97, 100, 10_000])
def test_a_place_is_the_whole_state(place: int) -> None:
    loader = Loader(97, seed=4)
    loader.place = place
    ahead = [loader.next(5) for _ in range(3)]
    again = Loader(97, seed=4)
    again.place = place + 5
    assert np.array_equal(again.next(5), ahead[1])
    assert again.place == place + 10
    # The same examples come whatever the batches are cut to.
    small = Loader(97, seed=4)
    small.place = place
    assert np.array_equal(np.concatenate([small.next(1) for _ in range(15)]), np.concatenate(ahead))


@pytest.mark.parametrize("world", [2, 3, 4])
def test_devices_share_what_one_would_have_had(world: int) -> None:
    one = Loader(97, seed=4)
    many = [Loader(97, seed=4, rank=rank, world=world) for rank in range(world)]
    for _ in range(10):
        parts = [loader.next(4) for loader in many]
        assert np.array_equal(np.concatenate(parts), one.next(4 * world))
        assert {loader.place for loader in many} == {one.place}


def test_held_out_batches_are_every_example_once(rows: tuple[Split, Pipeline]) -> None:
    def held(size: int, most: int) -> list[int]:
        batches = stream(rows, seed=4).heldout(size, most, CPU)
        return [n for batch in batches for n in numbers(rows, batch)]

    assert held(10, 1000) == evenly(97).tolist() == list(range(97))
    some = held(4, 10)
    assert some == evenly(97, 10).tolist()
    assert len(some) == 10
    assert (some[0], some[-1]) == (0, 96)
    assert all(8 <= b - a <= 12 for a, b in pairwise(some))


def test_conditions_go_with_their_examples(tmp_path: Path) -> None:
    dataset, pipeline = opened(classes(tmp_path / "faces"), ReadOptions(("label",), val=0, test=0))
    split = dataset.splits["train"]
    example = pipeline.example(split, np.arange(30), CPU)
    label_of = {
        one.numpy().tobytes(): int(symbol)
        for one, symbol in zip(example["image"], example["label"][:, 0], strict=True)
    }
    assert sorted(label_of.values()) == [0] * 15 + [1] * 15
    batches = stream((split, pipeline), seed=0)
    for _ in range(8):
        batch = batches.next(8, CPU, 0)
        assert batch.cond["label"].dtype == torch.long
        for one, symbol in zip(batch.x.numpy(), batch.cond["label"][:, 0].tolist(), strict=True):
            assert label_of[one.tobytes()] == symbol


def test_windows_of_a_stream(tmp_path: Path) -> None:
    dataset, pipeline = opened(text(tmp_path / "fox.txt"), ReadOptions(), length=16)
    train, val = dataset.splits["train"], dataset.splits["val"]
    batches = BatchStream(pipeline, Loader(len(train), seed=0), train, val)
    batch = batches.next(9, CPU, 0)
    assert batch.x.shape == (9, 1, 17)
    assert batch.mask is None or bool(batch.mask.all())
    whole = "the quick brown fox jumps over the lazy dog. " * 40
    for window in pipeline.made.decode(batch.x.numpy()):
        assert len(window) == 17
        assert window in whole
    # Held-out windows lie side by side, and each token but the very first is scored once.
    held = next(batches.heldout(1000, 1000, CPU))
    assert held.mask is not None
    scored = held.x[:, 0][held.mask]
    assert len(scored) == 16 * len(held.x)
    assert torch.equal(held.x[1:, 0, 0], held.x[:-1, 0, -1])
    joined = torch.cat([held.x[0, 0, :1], scored])
    assert pipeline.made.decode(joined[None, None].numpy())[0] in whole


def test_an_epoch_in_a_table_is_the_same_epoch() -> None:
    places = np.array([5, 0, 998, 31])
    for n, seed in ((999, 0), (999, 1), (1000, 0)):
        assert shuffled(places, n, seed).tolist() == permute(places, n, seed).tolist()


def test_examples_of_a_batch_are_of_about_one_size() -> None:
    sizes = np.random.default_rng(0).integers(1, 100, 1000)
    loader, plain = Loader(1000, 3, sizes=sizes), Loader(1000, 3)
    batches = [loader.next(10) for _ in range(75)]
    assert np.mean([sizes[b].max() - sizes[b].mean() for b in batches]) < 3
    assert np.mean([sizes[b].max() - sizes[b].mean() for b in (plain.next(10) for _ in range(75))]) > 30
    # They are the same examples, each pool of them as before, and come in no order of size.
    plain.place = 0
    for pool in range(3):
        same = np.concatenate(batches[25 * pool : 25 * (pool + 1)])
        assert sorted(same) == sorted(np.concatenate([plain.next(10) for _ in range(25)]))
    means = [sizes[b].mean() for b in batches[:25]]
    assert means != sorted(means)


def test_sorted_batches_go_on_anywhere_and_are_shared() -> None:
    sizes = np.random.default_rng(0).integers(1, 100, 300)
    whole = Loader(300, 1, sizes=sizes)
    batches = [whole.next(8) for _ in range(60)]
    later = Loader(300, 1, sizes=sizes)
    later.place = 8 * 37
    assert np.array_equal(later.next(8), batches[37])
    parts = [Loader(300, 1, rank=rank, world=2, sizes=sizes) for rank in (0, 1)]
    for batch in batches[:30]:
        assert np.array_equal(np.concatenate([part.next(4) for part in parts]), batch)
