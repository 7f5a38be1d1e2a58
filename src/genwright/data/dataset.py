"""Encode once, read many times: the memory-mapped cache of a source, an array for each field.

The rows are walked twice, chunk by chunk, so that memory does not grow with the data: once to fit all fields
on the training split, once to encode all splits to flat files. The folder is named by a hash of the files'
content, the codec with its options, the fields and the split; what is found there is never stale.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from filelock import FileLock

from genwright.data.cache import cache_home, file_digests, forget_unused, used
from genwright.data.codec import Codec, ReadOptions, Rejected, Rows, Source, SplitName
from genwright.data.columns.field import ColumnField
from genwright.data.field import Array, Field, Values
from genwright.data.member import Member
from genwright.data.stats import DatasetStats
from genwright.errors import DataError, closest_name, suggest
from genwright.registry import build, resolve
from genwright.registry import options as plugin_options

__all__ = ["Dataset", "DatasetStats", "Split", "make_codec", "prepare"]

FORMAT = 1
"""Of what names a data set."""
PARTS: tuple[SplitName, ...] = ("train", "val", "test")
FEW = 20
"""Below so many training examples nothing is held out."""
MOST_ORPHANS = 0.1
"""Of all pairs: more that lack a side are no oversight."""


@dataclass
class Split:
    """One part of the data on disk: the cached arrays by field, `(n, ...)` each."""

    part: SplitName
    arrays: dict[str, Array]
    window: int = 0
    """Symbols of an example where the main field is a stream: it is read through windows, everywhere in
    training, side by side when held out, where each starts with the last symbol of the one before."""

    @property
    def stride(self) -> int:
        return 1 if self.part == "train" else max(1, self.window - 1)

    def __len__(self) -> int:
        """Examples, or windows of a stream."""
        n = len(next(iter(self.arrays.values())))
        return windows(n, self.window, self.stride) if self.window else n

    def gather(self, index: Array, names: Sequence[str] | None = None) -> dict[str, Array]:
        """The compact form of examples by number, in the given order, by field."""
        wanted = self.arrays if names is None else {name: self.arrays[name] for name in names}
        if self.window:
            places = index[:, None] * self.stride + np.arange(self.window)
            return {name: array[places][:, None] for name, array in wanted.items()}
        # Forward through the file, as a disk likes it, then back into the order asked for.
        order = np.argsort(index, kind="stable")
        back = np.empty_like(order)
        back[order] = np.arange(len(order))
        return {name: np.asarray(array[index[order]][back]) for name, array in wanted.items()}


def windows(length: int, window: int, stride: int) -> int:
    """How many whole windows a stream holds, one every `stride`."""
    return max(0, (length - window) // stride + 1)


@dataclass
class Dataset:
    """Fitted fields and the splits.

    key      names the data: files, codec, fields and split
    content  as the key, whatever is given beside the main field: what two trainings on the same examples share
    """

    source: Source
    codec: Codec
    fields: dict[str, Field]
    options: ReadOptions
    stats: DatasetStats
    key: str
    content: str
    splits: dict[SplitName, Split]

    @property
    def main(self) -> str:
        """The field that is made unless another is asked for."""
        return next(iter(self.fields))

    @property
    def codec_name(self) -> str:
        return self.source.codec

    @property
    def unit(self) -> str:
        """What its examples are called, several of them."""
        return "windows" if self.fields[self.main].stream else self.codec.plural

    def heldout(self) -> Split:
        """What is judged by; where nothing was held out, what was trained on."""
        parts: tuple[SplitName, ...] = ("test", "val", "train")
        return next(
            (self.splits[part] for part in parts if len(self.splits[part])), self.splits["train"]
        )


def make_codec(name: str, options: Mapping[str, Any]) -> Codec:
    codec: Codec = build("codecs", name, options, where="codec")
    return codec


def prepare(
    source: Source,
    codec: Codec,
    codec_options: Mapping[str, Any],
    options: ReadOptions,
    *,
    sampled: bool = False,
) -> Dataset:
    """The data set of a source, from the cache or made now.

    sampled  a sample will do where there is much: `stats.total` says so
    Raises `DataError` when fewer than two examples can be used, or where a field is not there.
    """
    total = codec.count(source) if sampled else 0
    most = codec.enough(source) if sampled else 0
    total = total if total > most else 0
    if total:
        most = -(-most // 2)  # it is read from far apart, and what has to be learnt of it is no less
        options = replace(options, every=-(-codec.units(source, total) // most))
    # Of what is only sampled the content is not read, so that its files go by size and time of change.
    files = _files(source, codec, options, _stamps if total else file_digests)
    files += codec.stamp(source, exact=not total)
    key = _key(source, codec_options, options, files)
    folder = cache_home() / "data" / f"{key}-{code()}{'-sample' if total else ''}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One builds, whoever else wants the same data waits: another training, or this one's other devices.
    with FileLock(folder.with_suffix(".lock")):
        if not _whole(folder):
            partial = folder.with_suffix(".partial")
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            try:
                _build(source, codec, options, partial, Few(most, total) if total else None)
                shutil.rmtree(folder, ignore_errors=True)
                partial.rename(folder)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
            forget_unused()
        used(folder)
    content = _key(source, codec_options, replace(options, given=()), files)
    return _load(source, codec, options, folder, key, content)


@functools.cache
def code() -> str:
    """A digest of the program text of this folder: what another version has made of data is made anew."""
    found = hashlib.blake2b(digest_size=4)
    for file in sorted(Path(__file__).parent.rglob("*.py")):
        found.update(file.read_bytes())
    return found.hexdigest()


def wanted_fields(codec: Codec, source: Source, options: ReadOptions) -> dict[str, Field]:
    """The main field and those named, not fitted yet. Raises `DataError` for one that is not there."""
    there = codec.fields(source, options)
    main = next(iter(there))
    found = {main: there[main]}
    for name in (*options.given, *([options.group] if options.group is not None else [])):
        if name not in there:
            others = [other for other in there if other != main]
            way_out = suggest(name, others) if others else "make class folders, or add a labels.csv"
            if closest_name(name, [main]) and closest_name(name, there) == main:
                way_out = f"did you mean {main!r}?"  # which may be given too, or made
            raise DataError(
                f"{source.root} has no label or field {name!r}; {way_out}", code="no-such-field"
            )
        if name in options.given:
            found[name] = there[name]
    return found


def _key(source: Source, codec_options: Mapping[str, Any], options: ReadOptions, files: bytes) -> str:
    named = resolve("codecs", source.codec)
    defaults = {name: p.default for name, p in plugin_options(named).items() if name in named.later}
    kept = {k: v for k, v in codec_options.items() if k not in defaults or v != defaults[k]}
    # What older versions did not have does not name the data where it changes nothing.
    later = {"every": 1, "whole": False, "most": None, "made": False}
    read = {k: v for k, v in asdict(options).items() if k not in later or v != later[k]}
    what = json.dumps([FORMAT, source.codec, kept, read], sort_keys=True)
    return hashlib.sha256(what.encode() + files).hexdigest()[:32]


def _files(
    source: Source,
    codec: Codec,
    options: ReadOptions,
    digests: Callable[[Sequence[Path]], list[bytes]] = file_digests,
) -> bytes:
    """Of each file, and of what stands beside them, its name and the hash of its content."""
    root = source.root
    beside = [root / name for name in ("labels.csv", "metadata.csv")] if root.is_dir() else []
    there = [*(f for f in beside if f.is_file()), *codec.companions(source, options)]
    files = list(dict.fromkeys([*source.files, *there]))
    if isinstance(root, Member):  # what is in an archive is named by it
        files, place = [root.archive], Path(root.inner)
    found = b""
    for file, digest in zip(files, digests(files), strict=True):
        if not isinstance(root, Member):
            # What says something of a file may lie beside the root.
            place = Path(os.path.relpath(file, root) if root.is_dir() else file.name)
        found += os.fsencode(place) + digest  # a name may be no text
    return found


def _stamps(files: Sequence[Path]) -> list[bytes]:
    """Size and time of change of each file."""
    stats = [file.stat() if file.exists() else None for file in files]
    return [f"{s.st_size} {s.st_mtime_ns}".encode() if s else b"unreadable" for s in stats]


def _whole(folder: Path) -> bool:
    """Whether the cache holds what its description says."""
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
        return all((folder / name).stat().st_size == size for name, size in meta["files"].items())
    except (OSError, ValueError, KeyError):
        return False


# -- made now --------------------------------------------------------------------------------------


class Few(NamedTuple):
    """How many examples are read, of how many."""

    most: int
    total: int


def _warned(fields: Mapping[str, Field], options: ReadOptions) -> list[str]:
    """What looks wrong with the fields, each sentence once; with their names, where several have something wrong."""
    said: dict[str, dict[str, None]] = {}
    for name, field in fields.items():
        with suppress(DataError):  # which says that all of it is given
            for sentence in field.without(options.given).warnings():
                said.setdefault(sentence, {})[name] = None
    if len({name for names in said.values() for name in names}) < 2:
        return list(said)
    return [f"{' and '.join(names)}: {sentence}" for sentence, names in said.items()]


def _build(source: Source, codec: Codec, options: ReadOptions, folder: Path, few: Few | None) -> None:
    """Fit and encode into `folder`."""
    fields = wanted_fields(codec, source, options)
    warnings = []
    read = _reader(source, codec, fields, options, few)
    rows = read()
    first, different = _first(source, rows, options)
    if different is not None and (options.val or options.test):
        options = replace(options, val=0.0, test=0.0)
        warnings.append(
            f"only {different} different examples: none is held out, so over-fitting cannot be seen"
        )
    notes: dict[str, None] = {}
    trained, total, orphans = 0, 0, list[Rejected]()
    for some in chain(first, rows):
        notes |= dict.fromkeys(some.notes)
        total, orphans = total + len(some), orphans + [one for one in some.rejected if one.orphan]
        index = np.flatnonzero(_parts(some, options) == 0)
        if index.size:
            trained += len(index)
            train = some.take(fields, index.tolist())
            for name, values in train.values.items():
                fields[name].fit(values)
    if len(orphans) > MOST_ORPHANS * (total + len(orphans)):
        named = "; ".join(f"{one.name}: {one.reason}" for one in orphans[:3])
        raise DataError(
            f"{len(orphans):,} of {total + len(orphans):,} pairs in {source.root} lack a side ({named}): "
            f"add what is missing, or leave those files out",
            code="pairs-incomplete",
        )
    if not trained:
        together = "equal examples" if options.group is None else f"equal values of {options.group!r}"
        raise DataError(
            f"{source.root} leaves nothing to train on: all was held out, since {together} stay "
            f"together; give more data, or lower data.val and data.test",
            code="nothing-to-train-on",
        )
    for field in fields.values():
        field.settle()
    stats, arrays = _encode(read(), fields, options, folder)
    if few:
        # Of a stream examples are windows, and what was read are pieces of it.
        main = next(iter(fields.values()))
        stats.total = round(sum(stats.counts.values()) * few.total / total) if main.stream else few.total
    stats.spoilt(list(source.rejected))
    warnings += [*source.notes, *notes]
    warnings += _warned(fields, options)
    if options.val and not stats.counts["val"] and not few:
        warnings.append("no example fell to those to choose by: give more data, or raise data.val")
    stats.warnings = warnings
    stats.warn()
    meta = {
        "files": {file.name: file.stat().st_size for file in folder.iterdir()},
        "fields": {name: field.state() for name, field in fields.items()},
        "stats": stats.state(),
        "arrays": arrays,
    }
    (folder / "meta.json").write_text(json.dumps(meta), encoding="ascii")


def _reader(
    source: Source, codec: Codec, fields: Mapping[str, Field], options: ReadOptions, few: Few | None
) -> Callable[[], Iterator[Rows]]:
    """What gives the rows from their beginning, as often as it is called."""
    if few is None:
        return functools.partial(codec.read, source, fields, options)
    kept = list(_begin(codec.read(source, fields, options), fields, few.most))
    return lambda: iter(kept)


def _begin(rows: Iterator[Rows], fields: Mapping[str, Field], most: int) -> Iterator[Rows]:
    """The rows up to so many examples."""
    for some in rows:
        if len(some) > most:
            few = some.take(fields, range(most))
            some = replace(few, rejected=some.rejected, notes=some.notes)
        yield some
        most -= len(some)
        if most <= 0:
            return


def _first(source: Source, rows: Iterator[Rows], options: ReadOptions) -> tuple[list[Rows], int | None]:
    """The first chunks, and how many different examples there are if they are few. Raises `DataError` if they
    are fewer than two in all."""
    read, total, different, bad = list[Rows](), 0, set[str](), list[Rejected]()
    for some in rows:
        read.append(some)
        total += len(some)
        different.update(some.keys)
        bad += some.rejected[: 1 - len(bad)]
        if len(different) >= FEW or some.parts is not None:
            return read, None
    if total < 2:
        why = f" ({bad[0].name}: {bad[0].reason})" if bad else ""
        least = "training needs at least 2"
        if options.given:
            least += f', each with {", ".join(options.given)} (--label "" takes those without)'
        raise DataError(
            f"{source.root} holds {total or 'no'} usable example{'' if total == 1 else 's'}{why}; {least}",
            code="too-few-examples",
        )
    return read, len(different)


def _parts(rows: Rows, options: ReadOptions) -> Array:
    """0, 1 or 2 for each example: as the source says, or by a hash of its group or content."""
    if rows.parts is not None:
        return np.array([PARTS.index(part) for part in rows.parts], dtype=np.int8)
    share = np.array([_unit(text) for text in (rows.groups or rows.keys)])
    held = np.where(share < options.val, 1, 2)
    return np.where(share < options.val + options.test, held, 0).astype(np.int8)


def _unit(text: str) -> float:
    """A number in [0, 1) that depends on the text alone."""
    content = text.encode(errors="surrogatepass")
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest()) / 2**64


def _encode(
    every: Iterator[Rows], fields: Mapping[str, Field], options: ReadOptions, folder: Path
) -> tuple[DatasetStats, dict[str, dict[str, Any]]]:
    """All splits to flat files; what was met on the way, and of each file its dtype and shape."""
    stats, arrays = DatasetStats(), dict[str, dict[str, Any]]()
    columns = {name: field for name, field in fields.items() if isinstance(field, ColumnField)}
    labels = {name: Counter[str]() for name in columns}
    with ExitStack() as files:
        out = {
            (part, name): files.enter_context((folder / f"{part}.{i}").open("wb"))
            for part in PARTS
            for i, name in enumerate(fields)
        }
        keys = files.enter_context((folder / "keys").open("wb"))
        for rows in every:
            stats.spoilt(rows.rejected)
            short = [int(key, 16) & (2**64 - 1) for key in rows.keys]
            keys.write(np.array(short, dtype=np.uint64).tobytes())
            number = _parts(rows, options)
            train, *held = (np.flatnonzero(number == n) for n in range(len(PARTS)))
            found = [train, *(_known(fields, rows, index, stats) for index in held)]
            some = rows.take(fields, np.concatenate(found).tolist())
            counts = [len(index) for index in found]
            for part, count in zip(PARTS, counts, strict=True):
                stats.counts[part] += count
            for name, values in some.values.items():
                for part, compact in zip(PARTS, _in_parts(fields[name], values, counts), strict=True):
                    if not len(compact):
                        continue
                    out[part, name].write(np.ascontiguousarray(compact).tobytes())
                    about = arrays.setdefault(f"{part}.{name}", {"dtype": str(compact.dtype), "n": 0})
                    about["n"] += len(compact)
                    about["shape"] = list(compact.shape[1:])
                    if part == "train" and name in columns and columns[name].symbols:
                        labels[name].update(str(int(v)) for v in compact[:, 0])
    name, main = next(iter(fields.items()))
    if main.stream:
        (window,) = main.space.grid
        size = {part: arrays.get(f"{part}.{name}", {"n": 0})["n"] for part in PARTS}
        stats.counts = {part: windows(size[part], window, max(1, window - 1)) for part in PARTS}
    digests = np.fromfile(folder / "keys", dtype=np.uint64)
    stats.duplicates = len(digests) - len(np.unique(digests))
    (folder / "keys").unlink()
    stats.labels = {
        name: dict(sorted(count.items(), key=lambda kv: int(kv[0]))) for name, count in labels.items()
    }
    return stats, arrays


def _in_parts(field: Field, values: Values, counts: Sequence[int]) -> list[Array]:
    """The values encoded all at once, since a thousand columns take as long for a few rows as for many, and parted into
    so many of each split; of a stream the examples run together."""
    ends = np.cumsum(counts)
    if field.stream:
        parts = (
            range(end - count, end) for end, count in zip(ends.tolist(), counts, strict=True) if count
        )
        encoded = iter([field.encode(field.take(values, part)) for part in parts])
        return [next(encoded) if count else np.empty(0) for count in counts]
    return np.split(field.encode(values), ends[:-1]) if ends[-1] else [np.empty(0) for _ in counts]


def _known(fields: Mapping[str, Field], rows: Rows, index: Array, stats: DatasetStats) -> Array:
    """Held-out examples whose conditions training has seen; the others could not be asked for."""
    keep = np.ones(len(index), dtype=bool)
    for name, field in fields.items():
        values = field.take(rows.values[name], index.tolist())
        known = np.array(field.known(values), dtype=bool)
        reason = "stands only among the held-out examples; left out"
        unknown = (
            {str(value) for value, one in zip(values, known, strict=True) if not one}
            if not known.all()
            else set()
        )
        stats.spoilt([Rejected(f"{name} = {value}", reason) for value in sorted(unknown)])
        keep &= known
    return index[keep] if index.size else index


# -- from the cache --------------------------------------------------------------------------------


def _load(
    source: Source, codec: Codec, options: ReadOptions, folder: Path, key: str, content: str
) -> Dataset:
    meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    fields = wanted_fields(codec, source, options)
    for name, field in fields.items():
        field.restore(meta["fields"][name])
    main = next(iter(fields.values()))
    window = main.space.grid[0] if main.stream else 0
    splits = {
        part: Split(
            part,
            {
                name: _map(folder / f"{part}.{i}", meta["arrays"], part, name)
                for i, name in enumerate(fields)
            },
            window,
        )
        for part in PARTS
    }
    return Dataset(
        source, codec, fields, options, DatasetStats.restore(meta["stats"]), key, content, splits
    )


def _map(path: Path, arrays: Mapping[str, Any], part: str, name: str) -> Array:
    about = arrays.get(f"{part}.{name}")
    if about is None:  # no example fell to this part: the shape is that of another one
        about = next(a for other, a in arrays.items() if other.partition(".")[2] == name) | {"n": 0}
    shape = (about["n"], *about["shape"])
    return (
        np.memmap(path, about["dtype"], "r", shape=shape)
        if about["n"]
        else np.zeros(shape, about["dtype"])
    )
