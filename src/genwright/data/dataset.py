"""Encode once, read many times: the memory-mapped cache of a source.

The examples are walked twice, chunk by chunk, so that memory does not grow with the data: once to fit
the codec on the training split, once to encode all splits to flat files. The folder is named by a hash
of the files' content, the codec with its options, and the split; what is found there is never stale.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock

from genwright.data.cache import cache_home
from genwright.data.codec import Array, Chunk, Codec, ReadOptions, Rejected, Source, SplitName
from genwright.data.columns.infer import Column, fit_column, restore_column
from genwright.data.columns.reservoir import ReservoirCounter
from genwright.data.stats import DatasetStats
from genwright.errors import DataError
from genwright.registry import build
from genwright.space import Symbol

__all__ = ["Dataset", "DatasetStats", "Split", "make_codec", "prepare"]

FORMAT = 1
PARTS: tuple[SplitName, ...] = ("train", "val", "test")
FEW = 20
"""Below so many training examples nothing is held out."""


def _windows(length: int, window: int, stride: int) -> int:
    """How many whole windows a stream holds, one every `stride`."""
    return max(0, (length - window) // stride + 1)


@dataclass
class Split:
    """One part of the data on disk."""

    codec: Codec
    given: dict[str, Column]
    folder: Path
    part: SplitName
    shape: tuple[int, ...]
    dtype: str

    def __post_init__(self) -> None:
        self._x = self._map(self.folder / f"{self.part}.x", self.dtype, self.shape)
        self._given = {
            name: self._map(
                self.folder / f"{self.part}.given.{i}",
                "float32",
                (self.shape[0], sum(span.stored for span in column.spans)),
            )
            for i, (name, column) in enumerate(self.given.items())
        }
        # A stream is read through windows: everywhere in training, side by side when held out, where
        # each starts with the last token of the one before.
        self.window = self.codec.space.grid[0] if self.codec.layout == "stream" else 0
        self.stride = 1 if self.part == "train" else max(1, self.window - 1)

    @staticmethod
    def _map(path: Path, dtype: str, shape: tuple[int, ...]) -> Array:
        if 0 in shape:
            return np.zeros(shape, dtype)
        return np.memmap(path, dtype, "r", shape=shape)

    def __len__(self) -> int:
        """Examples, or windows of a stream."""
        if self.window:
            return _windows(self.shape[0], self.window, self.stride)
        return self.shape[0]

    def conditions(self, name: str) -> Array:
        """One condition of all examples `(n, stored)`."""
        return self._given[name]

    def gather(self, index: Array) -> tuple[Array, dict[str, Array]]:
        """Examples `(n, stored, *grid)` and their conditions, by number, in the given order."""
        if self.window:
            places = index[:, None] * self.stride + np.arange(self.window)
            return self.codec.expand(self._x[places][:, None]), {}
        # Forward through the file, as a disk likes it, then back into the order asked for.
        order = np.argsort(index, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        x = self.codec.expand(self._x[index[order]][back])
        return x, {name: np.asarray(a[index[order]][back]) for name, a in self._given.items()}


@dataclass
class Dataset:
    """A fitted codec, the conditions, and the splits."""

    codec_name: str
    codec: Codec
    given: dict[str, Column]
    reading: ReadOptions
    survey: DatasetStats
    key: str
    content: str
    """As the key, whatever is given beside an example: what two trainings on the same examples share."""
    splits: dict[SplitName, Split]

    def state(self) -> dict[str, Any]:
        """All that sampling needs to know of the data, as JSON: no example is in it."""
        return {
            "codec": self.codec_name,
            "state": self.codec.state(),
            "given": {name: column.state() for name, column in self.given.items()},
            "frequency": {name: self.survey.labels.get(name, {}) for name in self.given},
            "counts": self.survey.counts,
            "data": self.key,
            "content": self.content,
        }


def make_codec(name: str, options: Mapping[str, Any]) -> Codec:
    codec: Codec = build("codecs", name, options, where="codec")
    return codec


def prepare(source: Source, options: Mapping[str, Any], reading: ReadOptions) -> Dataset:
    """The data set of a source, from the cache or made now.

    Raises `DataError` when fewer than two examples can be used.
    """
    codec = make_codec(source.codec, options)
    files = _files(source)
    key = _key(source, options, reading, files)
    folder = cache_home() / "data" / key
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One builds, whoever else wants the same data waits: another training, or this one's other devices.
    with FileLock(folder.with_suffix(".lock")):
        if not _whole(folder):
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _build(source, codec, reading, partial)
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    content = _key(source, options, replace(reading, given=()), files)
    return _load(source, make_codec(source.codec, options), reading, folder, key, content)


def _key(source: Source, options: Mapping[str, Any], reading: ReadOptions, files: bytes) -> str:
    what = json.dumps([FORMAT, source.codec, dict(options), asdict(reading)], sort_keys=True)
    return hashlib.sha256(what.encode() + files).hexdigest()[:32]


def _files(source: Source) -> bytes:
    """Of each file its name and the hash of its content."""
    found = b""
    beside = (
        [source.root / name for name in ("labels.csv", "metadata.csv")] if source.root.is_dir() else []
    )
    for file in (*source.files, *(f for f in beside if f.is_file())):
        place = file.relative_to(source.root) if source.root.is_dir() else Path(file.name)
        found += os.fsencode(place)  # which may be no text
        try:
            with file.open("rb") as stream:
                found += hashlib.file_digest(stream, "sha256").digest()
        except OSError as error:
            found += f"unreadable {error.errno}".encode()
    return found


def _whole(folder: Path) -> bool:
    """Whether the cache holds what its description says."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in meta["files"].items())
    except (OSError, ValueError, KeyError):
        return False


@dataclass
class _Walk:
    """The training examples of a source, chunk by chunk, as often as they are asked for."""

    source: Source
    codec: Codec
    reading: ReadOptions

    def parts(self) -> Iterator[tuple[Chunk, Array]]:
        """Every chunk, with the number of each example's part."""
        for chunk in self.codec.read(self.source, self.reading):
            yield chunk, _parts(chunk, self.reading)

    def __iter__(self) -> Iterator[Chunk]:
        for chunk, part in self.parts():
            if (index := np.flatnonzero(part == 0)).size:
                yield _take(self.codec, chunk, index)


def _build(source: Source, codec: Codec, reading: ReadOptions, folder: Path) -> None:
    """Fit and encode into `folder`."""
    warnings = []
    if (few := _few(source, codec, reading)) is not None and (reading.val or reading.test):
        reading = replace(reading, val=0.0, test=0.0)
        warnings.append(
            f"only {few} different examples: none is held out, so over-fitting cannot be seen"
        )
    walk = _Walk(source, codec, reading)
    if not any(True for _ in walk):
        together = "equal examples" if reading.group is None else f"equal values of {reading.group!r}"
        raise DataError(
            f"{source.root} leaves nothing to train on: all was held out, since {together} stay "
            f"together; give more data, or lower data.val and data.test"
        )
    codec.fit(walk)
    given = {name: _fit_given(name, walk) for name in reading.given}
    survey, shapes, dtype = _encode(walk, given, folder)
    warnings += codec.warnings()
    warnings += [note for column in given.values() for note in column.warnings()]
    if reading.val and not survey.counts["val"]:
        warnings.append("no example fell to those to choose by: give more data, or raise data.val")
    survey.warnings = warnings
    survey.warn()
    meta = {
        "files": {file.name: file.stat().st_size for file in folder.iterdir()},
        "state": codec.state(),
        "given": {name: column.state() for name, column in given.items()},
        "survey": survey.state(),
        "shapes": shapes,
        "dtype": dtype,
    }
    (folder / "meta.json").write_text(json.dumps(meta), encoding="ascii")


def _few(source: Source, codec: Codec, reading: ReadOptions) -> int | None:
    """How many different examples there are, if they are few. Raises `DataError` if they are fewer
    than two in all."""
    total, different, bad = 0, set[str](), list[Rejected]()
    for chunk in codec.read(source, reading):
        total += len(chunk)
        different.update(chunk.keys)
        bad += chunk.bad[: 1 - len(bad)]
        if len(different) >= FEW or chunk.parts is not None:
            return None
    if total < 2:
        why = f" ({bad[0].name}: {bad[0].reason})" if bad else ""
        least = "training needs at least 2"
        if reading.given:
            least += f', each with {", ".join(reading.given)} (--label "" takes those without)'
        raise DataError(
            f"{source.root} holds {total or 'no'} usable example{'' if total == 1 else 's'}{why}; {least}"
        )
    return len(different)


def _parts(chunk: Chunk, reading: ReadOptions) -> Array:
    """0, 1 or 2 for each example: as the source says, or by a hash of its group or content."""
    if chunk.parts is not None:
        return np.array([PARTS.index(part) for part in chunk.parts], dtype=np.int8)
    share = np.array([_unit(text) for text in (chunk.groups or chunk.keys)])
    held = np.where(share < reading.val, 1, 2)
    return np.where(share < reading.val + reading.test, held, 0).astype(np.int8)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    content = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) / 2**64


def _take(codec: Codec, chunk: Chunk, index: Array) -> Chunk:
    which = index.tolist()
    return Chunk(
        codec.take(chunk.examples, which),
        [chunk.keys[i] for i in which],
        {name: [values[i] for i in which] for name, values in chunk.given.items()},
        parts=None if chunk.parts is None else [chunk.parts[i] for i in which],
    )


def _fit_given(name: str, walk: _Walk) -> Column:
    """The condition's own little codec, fitted on the training split."""
    tally = ReservoirCounter()
    for chunk in walk:
        tally.add(chunk.given[name])
    return fit_column(name, tally.sample(), as_condition=True, counts=tally.counts, rows=tally.seen)


def _encode(
    walk: _Walk, given: Mapping[str, Column], folder: Path
) -> tuple[DatasetStats, dict[str, list[int]], str]:
    """All splits to flat files; what was met on the way, the shape of each split, and the dtype."""
    survey, dtype = DatasetStats(), ""
    shapes: dict[str, list[int]] = {part: [0, *walk.codec.space.shape] for part in PARTS}
    stream = walk.codec.layout == "stream"
    if stream:
        shapes = {part: [0] for part in PARTS}
    labels = {name: Counter[str]() for name in given}
    with ExitStack() as files:
        out = {
            (part, kind): files.enter_context((folder / f"{part}.{kind}").open("wb"))
            for part in PARTS
            for kind in ("x", *(f"given.{i}" for i in range(len(given))))
        }
        keys = files.enter_context((folder / "keys").open("wb"))
        for chunk, number in walk.parts():
            survey.spoilt(chunk.bad)
            short = [int(key, 16) & (2**64 - 1) for key in chunk.keys]
            keys.write(np.array(short, dtype=np.uint64).tobytes())
            for n, part in enumerate(PARTS):
                index = np.flatnonzero(number == n)
                if n:
                    index = _known(given, chunk, index, survey)
                if not index.size:
                    continue
                some = _take(walk.codec, chunk, index)
                x = walk.codec.encode(some.examples)
                out[part, "x"].write(np.ascontiguousarray(x).tobytes())
                shapes[part][0] += len(x)
                dtype = str(x.dtype)
                survey.counts[part] += len(some)
                for i, (name, column) in enumerate(given.items()):
                    values = column.encode(some.given[name])
                    out[part, f"given.{i}"].write(values.astype(np.float32).tobytes())
                    if part == "train" and all(isinstance(span, Symbol) for span in column.spans):
                        labels[name].update(str(int(v)) for v in values[:, 0])
    if stream:
        window = walk.codec.space.grid[0]
        survey.counts = {part: _windows(shapes[part][0], window, max(1, window - 1)) for part in PARTS}
    every = np.fromfile(folder / "keys", dtype=np.uint64)
    survey.duplicates = len(every) - len(np.unique(every))
    (folder / "keys").unlink()
    survey.labels = {
        name: dict(sorted(count.items(), key=lambda kv: int(kv[0]))) for name, count in labels.items()
    }
    return survey, shapes, dtype


def _known(given: Mapping[str, Column], chunk: Chunk, index: Array, survey: DatasetStats) -> Array:
    """Held-out examples whose conditions training has seen; the others could not be asked for."""
    unknown: dict[str, set[Any]] = {name: set() for name in given}
    for name, column in given.items():
        for value in {chunk.given[name][i] for i in index.tolist()}:
            try:
                column.encode([value])
            except DataError:
                unknown[name].add(value)
    keep = np.array(
        [not any(chunk.given[name][i] in unknown[name] for name in given) for i in index.tolist()],
        dtype=bool,
    )
    for name, values in unknown.items():
        reason = "stands only among the held-out examples; left out"
        survey.spoilt([Rejected(f"{name} = {value}", reason) for value in sorted(map(str, values))])
    return index[keep] if index.size else index


def _load(
    source: Source, codec: Codec, reading: ReadOptions, folder: Path, key: str, content: str
) -> Dataset:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    codec.restore(meta["state"])
    given = {name: restore_column(state) for name, state in meta["given"].items()}
    splits = {
        part: Split(codec, given, folder, part, tuple(meta["shapes"][part]), meta["dtype"])
        for part in PARTS
    }
    return Dataset(
        source.codec, codec, given, reading, DatasetStats.restore(meta["survey"]), key, content, splits
    )
