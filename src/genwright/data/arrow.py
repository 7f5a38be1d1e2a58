"""Tables of Arrow as the library `datasets` saves them, `.arrow`: mapped into memory, and never loaded as a whole.

What a column is beside its type stands in the head of such a file: a picture or a sound, which a cell holds as a file
(`bytes`, or the `path` of one), or the names of classes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from genwright.errors import DataError, missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "ARROW",
    "HeldFile",
    "about",
    "batches",
    "held_bytes",
    "held_files",
    "length",
    "objects",
    "trust",
]

ARROW = ".arrow"
FILES = ("Image", "Audio")
SUFFIXES = {
    **{b"\x89PNG": ".png", b"\xff\xd8\xff": ".jpg", b"GIF8": ".gif", b"BM": ".bmp"},
    **{b"fLaC": ".flac", b"OggS": ".ogg", b"ID3": ".mp3", b"\xff\xfb": ".mp3"},
}
"""What files begin with; the rest follows from RIFF's second word."""
_folders: set[Path] = set()


def trust(folder: Path) -> None:
    """Files in this folder may be read where a table names them. A table may come from anyone."""
    _folders.add(folder.resolve())


class Columns(NamedTuple):
    """The names of all columns in order, those of files, and the classes of those that are numbers of classes."""

    names: tuple[str, ...]
    files: tuple[str, ...]
    classes: dict[str, list[str]]


def about(file: Path) -> Columns:
    """What the columns of a file are. Raises `DataError`."""
    schema = _table(file).schema
    said = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    features = said.get("info", {}).get("features", {})
    kinds = {name: one for name, one in features.items() if isinstance(one, dict)}
    files = tuple(name for name in schema.names if kinds.get(name, {}).get("_type") in FILES)
    classes = {name: one["names"] for name, one in kinds.items() if one.get("_type") == "ClassLabel"}
    return Columns(tuple(schema.names), files, classes)


def length(file: Path) -> int:
    return int(_table(file).num_rows)


def batches(file: Path, rows: int) -> Iterator[pa.Table]:
    """So many rows at a time, with the names of classes instead of their numbers."""
    import pyarrow

    table, classes = _table(file), about(file).classes
    for start in range(0, table.num_rows, rows):
        some = table.slice(start, rows)
        for name, words in classes.items():
            named = [_class(words, number) for number in some[name].to_pylist()]
            some = some.set_column(some.column_names.index(name), name, pyarrow.array(named, "string"))
        yield some


def objects(file: Path, rows: int = 1000) -> Iterator[dict[str, Any]]:
    """Each row by column, without the files."""
    files = about(file).files
    for some in batches(file, rows):
        yield from some.drop_columns([name for name in files if name in some.column_names]).to_pylist()


class HeldFile(NamedTuple):
    """A file in a table, or all else of a row where it is of no column; how many bytes, and its suffix."""

    row: int
    column: str
    size: int
    suffix: str


def held_files(file: Path) -> Iterator[HeldFile]:
    """All files in a table, and behind those of a row an object of what else is in it."""
    columns = about(file)
    if not columns.files:
        return
    for row in range(length(file)):
        for name in columns.files:
            data, path = _held(file, row, name)
            if data is not None:
                yield HeldFile(row, name, len(data), Path(path or "").suffix.lower() or _suffix(data))
            elif path is not None:
                there = _trusted(path)
                yield HeldFile(
                    row, name, there.stat().st_size if there else 0, Path(path).suffix.lower()
                )
        if len(columns.files) < len(columns.names):
            yield HeldFile(row, "", 0, ".json")


def held_bytes(file: Path, row: int, column: str) -> bytes:
    """The bytes of a cell that is a file, or the object of a row. Raises `OSError`."""
    if not column:
        return json.dumps(_object(file, row), default=str).encode()
    data, path = _held(file, row, column)
    if data is not None:
        return bytes(data)
    there = _trusted(path or "")
    if there is None:
        raise OSError(f"its row names {path}, which is not in the folder of the data")
    return there.read_bytes()


def _object(file: Path, row: int) -> dict[str, Any]:
    columns = about(file)
    (found,) = _table(file).slice(row, 1).drop_columns(list(columns.files)).to_pylist()
    for name, words in columns.classes.items():
        found[name] = _class(words, found[name])
    return dict(found)


def _class(words: Sequence[str], number: int | None) -> str | None:
    return words[number] if number is not None and number >= 0 else None


def _held(file: Path, row: int, column: str) -> tuple[memoryview | None, str | None]:
    value = _table(file)[column][row]
    if not value.is_valid:
        return None, None
    data, path = value["bytes"], value["path"]
    return memoryview(data.as_buffer()) if data.is_valid else None, path.as_py()


def _trusted(path: str) -> Path | None:
    there = Path(path).resolve()
    inside = any(there.is_relative_to(folder) for folder in _folders)
    return there if inside and there.is_file() else None


def _suffix(data: memoryview) -> str:
    head = bytes(data[:12])
    if head.startswith(b"RIFF"):
        return ".wav" if head.endswith(b"WAVE") else ".webp"
    return next((suffix for magic, suffix in SUFFIXES.items() if head.startswith(magic)), "")


def _table(file: Path) -> pa.Table:
    stamp = file.stat()
    return _mapped(file, stamp.st_size, stamp.st_mtime_ns)


@lru_cache(maxsize=64)
def _mapped(file: Path, size: int, changed: int) -> pa.Table:
    with _library(file) as pyarrow:
        source = pyarrow.memory_map(str(file))
        try:
            return pyarrow.ipc.open_stream(source).read_all()
        except pyarrow.ArrowInvalid:  # the other form of Arrow, which has its list of blocks at the end
            return pyarrow.ipc.open_file(source).read_all()


@contextmanager
def _library(file: Path) -> Iterator[Any]:
    try:
        import pyarrow
        import pyarrow.ipc
    except ImportError:
        raise missing_extra("reading .arrow files", "pyarrow", "table") from None
    try:
        yield pyarrow
    except pyarrow.ArrowException as error:
        raise DataError(
            f"{file.name} cannot be read as a table of Arrow, it may be damaged or cut off: {error}",
            code="damaged-file",
        ) from None
