"""Fitting on the training split, the split itself, the cache and its key, and flat memory."""

from __future__ import annotations

import json
import math
import os
import threading
import tracemalloc
import wave
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import ROWS, classes, pictures, table, text
from genwright.bridges.base import Identity
from genwright.data import dataset as dataset_module
from genwright.data.codec import ReadOptions, Rows, Source
from genwright.data.columns.reservoir import ReservoirCounter
from genwright.data.dataset import PARTS, Dataset, code, make_codec, prepare, wanted_fields
from genwright.data.source import find
from genwright.data.table.codec import TableCodec
from genwright.data.table.field import RowField
from genwright.errors import DataError
from genwright.pipeline import Pipeline
from genwright.registry import resolve
from genwright.tasks.generate import Generate


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def opened(source: Source, codec_options: dict[str, Any], options: ReadOptions) -> Dataset:
    """The data set of a source, read by a codec of its own."""
    return prepare(source, make_codec(source.codec, codec_options), codec_options, options)


def rows_of(source: Source, options: ReadOptions) -> dict[str, list[tuple[str, ...]]]:
    """The rows of each split, as they stand in the file."""
    found: dict[str, list[tuple[str, ...]]] = {part: [] for part in PARTS}
    codec = TableCodec()
    for rows in codec.read(source, wanted_fields(codec, source, options), options):
        numbers = dataset_module._parts(rows, options)
        frame = rows.values["row"].itertuples(index=False, name=None)
        for row, number in zip(frame, numbers.tolist(), strict=True):
            found[PARTS[number]].append(row)
    return found


def sounds(folder: Path) -> Path:
    """Hums in the class folders a and b."""
    for i in range(24):
        file = folder / "ab"[i % 2] / f"{i:02d}.wav"
        file.parent.mkdir(parents=True, exist_ok=True)
        hum = np.sin(np.arange(800) * (0.05 + 0.01 * i))
        with wave.open(str(file), "wb") as out:
            out.setparams((1, 2, 8000, 0, "NONE", ""))
            out.writeframes((hum * 20_000).astype("<i2").tobytes())
    return folder


# -- the split -------------------------------------------------------------------------------------


def test_the_split_follows_the_shares_and_loses_nothing() -> None:
    source = find(table(Path("a.csv"), ((i + 0.5, i % 7) for i in range(4000)), head="x,y"))
    options = ReadOptions(val=0.2, test=0.1)
    dataset = opened(source, {}, options)
    counts = dataset.stats.counts
    assert sum(counts.values()) == 4000
    for part, share in (("val", 0.2), ("test", 0.1)):
        assert abs(counts[part] - 4000 * share) < 4 * math.sqrt(4000 * share * (1 - share))
    assert counts == {part: len(split) for part, split in dataset.splits.items()}
    found = rows_of(source, options)
    assert counts == {part: len(rows) for part, rows in found.items()}
    assert sorted(float(row[0]) for rows in found.values() for row in rows) == [
        i + 0.5 for i in range(4000)
    ]


def test_the_split_depends_on_content_alone() -> None:
    rows = [(f"c{i % 9}", i % 13, i % 3) for i in range(300)]
    first = rows_of(find(table(Path("a.csv"), rows)), ReadOptions())
    other = rows_of(find(table(Path("b.csv"), rows[::-1])), ReadOptions())
    assert {part: Counter(rows) for part, rows in first.items()} == {
        part: Counter(rows) for part, rows in other.items()
    }


def test_identical_examples_never_cross_the_split() -> None:
    rows = [(i % 40, f"c{i % 40}", i % 4) for i in range(2000)]
    found = rows_of(find(table(Path("a.csv"), rows)), ReadOptions())
    parts = {part: set(rows) for part, rows in found.items()}
    assert all(parts.values())
    assert sum(map(len, parts.values())) == len(set().union(*parts.values())) == 40


def test_identical_pictures_never_cross_the_split_whatever_they_are_called() -> None:
    for copy in "abc":
        pictures(Path(f"d/{copy}"), 40)
    dataset = opened(find("d"), {}, ReadOptions())
    seen: dict[bytes, set[str]] = {}
    for part, split in dataset.splits.items():
        for one in split.gather(np.arange(len(split)))["image"]:
            seen.setdefault(one.tobytes(), set()).add(part)
    assert len(seen) == 40
    assert all(len(parts) == 1 for parts in seen.values())
    assert set().union(*seen.values()) == set(PARTS)
    assert dataset.stats.duplicates == 80


def test_groups_stay_together() -> None:
    rows = [(i + 0.5, f"g{i % 50}", i % 3) for i in range(1000)]
    source = find(table(Path("a.csv"), rows))

    def groups(options: ReadOptions) -> list[set[str]]:
        return [{row[1] for row in rows} for rows in rows_of(source, options).values()]

    assert all(groups(ReadOptions(group="y")))
    assert sum(map(len, groups(ReadOptions(group="y")))) == 50
    assert sum(map(len, groups(ReadOptions()))) > 100  # as they would fall by themselves
    opened(source, {}, ReadOptions(group="y"))


def test_a_condition_is_part_of_the_content() -> None:
    """The same picture under two labels: two examples, and both on one side."""
    pictures(Path("d/a"), 60)
    pictures(Path("d/b"), 60)
    dataset = opened(find("d"), {}, ReadOptions(("label",)))
    seen: dict[bytes, list[tuple[str, int]]] = {}
    for part, split in dataset.splits.items():
        found = split.gather(np.arange(len(split)))
        for one, symbol in zip(found["image"], found["label"][:, 0], strict=True):
            seen.setdefault(one.tobytes(), []).append((part, int(symbol)))
    assert len(seen) == 60
    for entries in seen.values():
        assert len({part for part, _ in entries}) == 1
        assert sorted(symbol for _, symbol in entries) == [0, 1]


def test_few_examples_are_all_learnt_from() -> None:
    dataset = opened(find(pictures(Path("d"), 19)), {}, ReadOptions())
    assert dataset.stats.counts == {"train": 19, "val": 0, "test": 0}
    assert "19 different examples" in dataset.stats.warnings[0]
    copies = [ROWS[i % 3] for i in range(500)]
    dataset = opened(find(table(Path("a.csv"), copies)), {}, ReadOptions())
    assert dataset.stats.counts == {"train": 500, "val": 0, "test": 0}
    assert "3 different examples" in dataset.stats.warnings[0]
    assert sum(opened(find(pictures(Path("d"), 20)), {}, ReadOptions()).stats.counts.values()) == 20


def test_one_example_is_refused_and_so_is_none() -> None:
    for count, words in ((1, "1 usable example "), (0, "no usable examples ")):
        folder = pictures(Path(f"d{count}"), count)
        (folder / "bad.png").write_text("hello")
        with pytest.raises(DataError, match=rf"{words}.*bad\.png.*at least 2"):
            opened(find(folder), {}, ReadOptions())


def test_fields_are_fitted_on_the_training_split_alone() -> None:
    rows = [(f"c{i}", i % 5, i % 3) for i in range(60) for _ in range(3)]
    source = find(table(Path("a.csv"), rows))
    dataset = opened(source, {"types": {"x": "categorical"}}, ReadOptions())
    state = next(c for c in dataset.fields["row"].state()["columns"] if c["name"] == "x")
    seen = {row[0] for row in rows_of(source, ReadOptions())["train"]}
    assert set(state["values"]) == seen
    assert len(seen) < 60


# -- the counts ------------------------------------------------------------------------------------


def test_what_was_met_is_counted() -> None:
    folder = classes(Path("d"))
    (folder / "a/bad.png").write_text("hello")
    (folder / "b/copy.png").write_bytes((folder / "b/020.png").read_bytes())
    dataset = opened(find(folder), {}, ReadOptions(("label",)))
    stats = dataset.stats
    assert sum(stats.counts.values()) == 31
    assert stats.duplicates == 1
    assert [(bad.name, stats.bad_count) for bad in stats.bad] == [("a/bad.png", 1)]
    train = dataset.splits["train"]
    symbols = Counter(train.gather(np.arange(len(train)))["label"][:, 0].astype(int).tolist())
    assert stats.labels == {"label": {str(symbol): symbols[symbol] for symbol in (0, 1)}}
    assert any("could not be used" in warning and "a/bad.png" in warning for warning in stats.warnings)


def test_an_imbalance_is_told() -> None:
    pictures(Path("d/a"), 60)
    pictures(Path("d/b"), 3, first=90)
    warnings = opened(find("d"), {}, ReadOptions(("label",), val=0, test=0)).stats.warnings
    assert any("'label'" in w and "rarest has 3" in w and "commonest 60" in w for w in warnings)


def test_bad_files_are_named_up_to_a_hundred_and_counted_beyond() -> None:
    folder = pictures(Path("d"), 30)
    for i in range(130):
        (folder / f"bad{i:03d}.png").write_text("hello")
    stats = opened(find(folder), {}, ReadOptions()).stats
    assert (len(stats.bad), stats.bad_count) == (100, 130)
    stats.spoilt(stats.bad[:3])
    assert (len(stats.bad), stats.bad_count) == (100, 133)


def test_a_label_that_is_only_held_out_is_left_out_and_named() -> None:
    rows = [(i + 0.5, f"rare{i}" if i % 10 == 0 else "common", i) for i in range(400)]
    dataset = opened(find(table(Path("a.csv"), rows)), {}, ReadOptions(("y",)))
    gone = [bad for bad in dataset.stats.bad if "held-out" in bad.reason]
    assert gone
    assert all(bad.name.startswith("y = rare") for bad in gone)
    assert sum(dataset.stats.counts.values()) == 400 - len(gone)


def test_what_a_condition_warns_of_is_told() -> None:
    rows = [(x, "b", z) for x, _, z in ROWS]
    warnings = opened(find(table(Path("a.csv"), rows)), {}, ReadOptions(("y",))).stats.warnings
    assert any("'y'" in warning and "every example" in warning for warning in warnings)


def test_a_stream_counts_its_windows() -> None:
    dataset = opened(find(text(Path("fox.txt"))), {"length": 16}, ReadOptions(val=0.1, test=0.1))
    counts = dataset.stats.counts
    assert counts["val"] == len(dataset.splits["val"]) == (180 - 17) // 16 + 1
    assert counts["train"] == (1440 - 17) // 16 + 1
    assert len(dataset.splits["train"]) == 1440 - 16  # windows overlap in training


# -- the cache -------------------------------------------------------------------------------------


def states(dataset: Dataset) -> dict[str, Any]:
    """All that the fields of a data set have learnt."""
    return {name: field.state() for name, field in dataset.fields.items()}


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A name for each time that data was encoded."""
    seen: list[str] = []
    plain = dataset_module._build

    def build(source: Source, *rest: Any) -> None:
        seen.append(source.name)
        plain(source, *rest)

    monkeypatch.setattr(dataset_module, "_build", build)
    return seen


def test_the_second_time_nothing_is_encoded(built: list[str]) -> None:
    folder = classes(Path("d"))
    first = opened(find(folder), {"size": 8}, ReadOptions(("label",)))
    again = opened(find(folder), {"size": 8}, ReadOptions(("label",)))
    assert built == ["d"]
    assert again.key == first.key
    assert again.stats == first.stats
    assert states(again) == states(first)
    for part in PARTS:
        index = np.arange(len(first.splits[part]))
        found, other = first.splits[part].gather(index), again.splits[part].gather(index)
        assert found.keys() == other.keys() == {"image", "label"}
        assert all(np.array_equal(found[name], other[name]) for name in found)


def test_the_key_is_of_content_options_and_split(built: list[str]) -> None:
    keys = set()

    def add(codec_options: dict[str, Any], options: ReadOptions) -> None:
        keys.add(opened(find("d"), codec_options, options).key)

    folder = classes(Path("d"))
    add({}, ReadOptions())
    add({"size": 4}, ReadOptions())
    add({}, ReadOptions(("label",)))
    add({}, ReadOptions(group="label"))
    add({}, ReadOptions(val=0.2))
    add({}, ReadOptions(test=0.2))
    (folder / "a/000.png").write_bytes((folder / "b/020.png").read_bytes())
    add({}, ReadOptions())
    (folder / "a/000.png").rename(folder / "a/0000.png")
    add({}, ReadOptions())
    (folder / "a/0000.png").unlink()
    add({}, ReadOptions())
    named = [f"{path.relative_to(folder)},x" for path in sorted(folder.rglob("*.png"))]
    (folder / "labels.csv").write_text("\n".join(["file,kind", *named]))
    add({}, ReadOptions())
    assert len(keys) == len(built) == 10


def test_the_place_is_no_part_of_the_key(built: list[str]) -> None:
    first = opened(find(classes(Path("d"))), {}, ReadOptions()).key
    Path("elsewhere").mkdir()
    Path("d").rename("elsewhere/d")
    os.utime("elsewhere/d/a/000.png", (1, 1))
    assert opened(find("elsewhere/d"), {}, ReadOptions()).key == first
    assert built == ["d"]


SOURCES: dict[str, tuple[Callable[[], Path], tuple[str, ...]]] = {
    "image": (lambda: classes(Path("faces")), ("label",)),
    "table": (lambda: table(Path("rows.csv")), ("y", "z")),
    "text": (lambda: text(Path("fox.txt")), ()),
    "audio": (lambda: sounds(Path("hums")), ("label",)),
}
"""By codec: a source of it, and what is read beside the main field."""


@pytest.mark.parametrize("name", SOURCES)
def test_a_source_is_read_twice_and_then_never_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once to fit all fields, however many there are, and once to encode them."""
    make, given = SOURCES[name]
    source, codec = find(make()), resolve("codecs", name)
    walks: list[int] = []  # rows that were read in each
    plain = codec.read

    def read(*args: Any) -> Iterator[Rows]:
        walks.append(0)
        for rows in plain(*args):
            walks[-1] += len(rows)
            yield rows

    monkeypatch.setattr(codec, "read", read)
    dataset = opened(source, {}, ReadOptions(given))
    assert list(dataset.fields) == [codec.main, *given]
    assert len(walks) == 2
    assert walks[0] == walks[1] > 0
    opened(source, {}, ReadOptions(given))
    assert len(walks) == 2


@pytest.mark.parametrize("harm", ["cut", "gone", "no json", "no meta"])
def test_a_harmed_cache_is_made_anew(cache: Path, built: list[str], harm: str) -> None:
    source = find(classes(Path("d")))
    folder = cache / "data" / f"{opened(source, {}, ReadOptions()).key}-{code()}"
    if harm == "cut":
        (folder / "train.0").write_bytes(b"short")
    elif harm == "gone":
        (folder / "val.0").unlink()
    elif harm == "no json":
        (folder / "meta.json").write_text("{")
    else:
        (folder / "meta.json").unlink()
    assert len(opened(source, {}, ReadOptions()).splits["train"]) > 20
    assert built == ["d", "d"]


def test_a_build_that_fails_leaves_nothing(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = find(table(Path("a.csv")))

    def encode(self: RowField, values: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(RowField, "encode", encode)
    with pytest.raises(OSError, match="No space left"):
        opened(source, {}, ReadOptions())
    assert [path for path in (cache / "data").iterdir() if path.is_dir()] == []
    monkeypatch.undo()


def test_two_at_once_build_once(built: list[str]) -> None:
    source = find(table(Path("a.csv"), ROWS * 50))
    found: list[Dataset] = []
    threads = [
        threading.Thread(target=lambda: found.append(opened(source, {}, ReadOptions())))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert built == ["a"]
    assert len({dataset.key for dataset in found}) == 1
    assert len(found) == 3


def test_what_sampling_needs_holds_no_example() -> None:
    table(Path("a.csv"), ((f"secret-{i:04d}-of-theirs", i % 3, i % 5) for i in range(400)))
    dataset = opened(find("a.csv"), {}, ReadOptions(("y",)))
    task, bridge = Generate(make="row", given=["y"]), Identity()
    state = Pipeline("table", dataset.codec, dataset.fields, task, bridge, dataset.stats.labels).state()
    assert "of-theirs" in json.dumps(state)  # the shape of the names stays
    assert not any(f"secret-{i:04d}-" in json.dumps(state) for i in range(400))


def test_order_of_asking_is_kept() -> None:
    split = opened(find(table(Path("a.csv"))), {}, ReadOptions(("y",))).splits["train"]
    index = np.array([5, 0, 5, 31, 2])
    found = split.gather(index)
    assert found.keys() == {"row", "y"}
    for place, number in enumerate(index):
        one = split.gather(np.array([number]))
        assert all(np.array_equal(found[name][place], one[name][0]) for name in found)


# -- memory ----------------------------------------------------------------------------------------


def lines(count: int) -> Iterator[tuple[object, ...]]:
    draw = np.random.default_rng(0)
    for i in range(count):
        yield round(float(draw.normal()), 4), f"c{draw.integers(20)}", int(draw.integers(1000)), i % 2


def peak(count: int) -> float:
    """Megabytes that preparing so many rows takes at its fullest."""
    source = find(table(Path(f"{count}.csv"), lines(count), head="x,y,z,w"))
    tracemalloc.start()
    dataset = opened(source, {"fit_rows": 2000}, ReadOptions(("w",)))
    found = tracemalloc.get_traced_memory()[1] / 2**20
    tracemalloc.stop()
    assert sum(dataset.stats.counts.values()) == count
    return found


@pytest.mark.journey
def test_memory_stays_flat_as_rows_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genwright.data.table.readers.ROWS", 1000)
    monkeypatch.setattr("genwright.data.table.field.DISTINCT", 1000)
    monkeypatch.setattr(
        "genwright.data.columns.field.ReservoirCounter",
        lambda: ReservoirCounter(most=2000, different=1000),
    )
    peak(500)  # what is imported on the way does not count
    small, large = peak(3000), peak(30_000)
    assert large < small + 2, (small, large)  # the rows alone would take 4 MB of text, 10 as objects


def test_chunks_are_the_same_each_time() -> None:
    """Fields are fitted in one walk and encode in another, which must meet the same examples."""
    source = find(table(Path("a.csv"), ROWS * 3))

    def keys(chunks: Iterable[Rows]) -> list[str]:
        return [key for rows in chunks for key in rows.keys]

    codec = TableCodec()
    fields = codec.fields(source)
    found = keys(codec.read(source, fields))
    assert len(found) == 3 * len(ROWS)
    assert keys(codec.read(source, fields)) == found


def test_what_another_version_made_of_data_is_made_anew(
    cache: Path, built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    source = find(classes(Path("d")))
    opened(source, {}, ReadOptions())
    opened(source, {}, ReadOptions())
    assert len(built) == 1
    monkeypatch.setattr("genwright.data.dataset.code", lambda: "another")
    opened(source, {}, ReadOptions())
    assert len(built) == 2
