"""A sidecar: a table beside files that says what is known of each, by the conventions that people have.

`labels.csv`, `metadata.csv`, `.jsonl`, `.parquet`   a column `file_name` (or `file`, `filename`, `image`, `audio`)
                                                     names each file, a column `target_file_name` a further one, the
                                                     field `target` (Hugging Face's ImageFolder and AudioFolder)
`metadata.csv`, lines `id|text|normalised text`      of `wavs/id.wav`, or of `id.wav`: the fields `text` and
                                                     `normalized_text` (LJSpeech)
a `.jsonl` or `.json` of any name, an object a line   values that are paths of files: fields of their names
                                                      (ControlNet's Fill50K)

`file_names` and `X_file_names`, which hold lists, are read where they are lists of one.
Every other column is a text or a label. A sidecar may stand in any folder, and names files by their paths from there.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from genwright.data.codec import Rejected
from genwright.data.packed import open_text
from genwright.errors import DataError, GenwrightError, missing_extra

__all__ = [
    "ENOUGH",
    "FILE_COLUMNS",
    "FURTHER",
    "PROBE",
    "SIDECARS",
    "TEXT_COLUMNS",
    "SidecarRow",
    "Sidecars",
    "json_table",
    "looks_like_text",
]

SIDECARS = ("labels.csv", "metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_COLUMNS = ("file", "filename", "file_name", "image", "audio")
FURTHER = "_file_name"
"""Behind the name of a field: a column of further files."""
JSON = (".jsonl", ".json")
SEVERAL = 20
"""Such files in a folder: more are of a file each, and none is looked into."""
LONG = 2**16
"""Characters of a line that is looked at to tell whether it names files."""
LISTS = "file_names"
"""What columns of lists of files are called, or end with behind the name of a field."""
LJSPEECH = ("file_name", "text", "normalized_text")
"""The columns of a table that does not name them; the first is of files without their folder and suffix."""
TEXT_COLUMNS = frozenset(
    {"caption", "text", "normalized_text", "prompt", "completion", "description", "transcription"}
)
PROBE = 1000
"""Rows that are looked at to tell a text from a label."""
ENOUGH = 20
"""Values of which it can be said that they hardly repeat."""
_WORDS = re.compile(r"[^\W\d_]\S*\s+\S*[^\W\d_]")


SENTENCE = 40
"""Characters of a text, in a column whose name does not say that it holds texts."""


def looks_like_text(values: Sequence[Any], *, least: int = ENOUGH, long: int = 0) -> bool:
    """Whether values are texts and no categories: they hardly repeat, and most have words with a blank between.

    least  fewer say nothing
    long   characters that most of them have
    """
    there = [value for value in values if value is not None and value != ""]
    if len(there) < least or not all(isinstance(value, str) for value in there):
        return False
    wordy = sum(len(value) >= long and _WORDS.search(value) is not None for value in there)
    return len(set(there)) >= 0.9 * len(there) and 2 * wordy > len(there)


Records = Iterator[tuple[str, dict[str, Any] | str]]
"""By the name of its line: the values of a row, or what is wrong with it."""


@dataclass(frozen=True)
class Table:
    """The rows of a file, and the names of their columns (none of a .jsonl, where each line has its own).

    rows    reads them anew each time
    chosen  the folders of its files are a person's choice, and may say something of them
    """

    head: Sequence[str]
    rows: Callable[[], Records]
    chosen: bool = True


@dataclass(frozen=True)
class SidecarRow:
    """Plain values, and the names of further files, by field."""

    values: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Sidecar:
    """A table beside files that its column `file` names.

    place    its folder below the root, with a slash behind it, or ""
    main     the field of these files
    further  fields of further files, and the column that names them
    columns  the fields of all other columns
    texts    those of them that are texts
    mains    names of files in the first rows
    """

    path: Path
    place: str
    table: Table
    file: str
    main: str
    further: Mapping[str, str]
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    mains: tuple[str, ...]

    @classmethod
    def find(cls, root: Path, place: str, names: Collection[str], main: str) -> Sidecar | None:
        """The sidecar in a folder below the root, if there is one. Raises `DataError` if it names no files.

        names  of the files below the folder.  main: the field of those that it names in a plain column
        """
        folder = root / place
        path = next((folder / name for name in SIDECARS if (folder / name).is_file()), None)
        path = path or json_table(folder.iterdir(), names)
        if path is None:
            return None
        table = _alone(_opened(path, names))
        head = table.head
        some = [record for _, record in islice(table.rows(), PROBE) if isinstance(record, dict)]
        if path.suffix in JSON:
            head = list(dict.fromkeys(name for record in some for name in record))
        further = {
            name.removesuffix(FURTHER): name
            for name in head
            if name.endswith(FURTHER) and name != FURTHER
        }
        file = next((name for name in FILE_COLUMNS if name in head), None)
        if file is None and further:  # input_file_name, target_file_name: the first is the main one
            main = next(iter(further))
            file = further.pop(main)
        if file is None:
            raise DataError(
                f"{path} names no files: wanted a column {' or '.join(FILE_COLUMNS)}, found "
                f"{', '.join(head) or 'none'}; rename the column, or the file",
                code="no-file-column",
            )
        # A column without a name is the row number that pandas writes.
        columns = [name for name in head if name and name not in (file, main, *further.values())]
        named = [name for name in head if name]
        if len(set(named)) < len(named) or not further.keys().isdisjoint((main, *columns)):
            raise DataError(
                f"{path} has two columns of the same name: rename one of them", code="same-name-twice"
            )
        values = {name: [record.get(name) for record in some] for name in columns}
        columns = [
            name for name in columns if not any(isinstance(v, list | dict | bytes) for v in values[name])
        ]
        texts = [name for name in columns if name in TEXT_COLUMNS or looks_like_text(values[name])]
        mains = tuple(place + _named(record.get(file)) for record in some)
        return cls(path, place, table, file, main, further, tuple(columns), tuple(texts), mains)

    def read(self) -> tuple[dict[str, SidecarRow], list[Rejected]]:
        """What is said of each file by its name, and the lines that cannot be used. Raises `DataError` for a
        file that lies elsewhere."""
        rows: dict[str, SidecarRow] = {}
        bad = []
        for where, record in self.table.rows():
            line = self.place + where
            if isinstance(record, str):
                bad.append(Rejected(line, record))
                continue
            name = self._inside(record.get(self.file), line)
            if not name:
                bad.append(Rejected(line, "it names no file"))
            elif name in rows:
                bad.append(Rejected(line, f"it names {name!r} a second time"))
            else:
                files = {f: self._inside(record.get(c), line) for f, c in self.further.items()}
                rows[name] = SidecarRow({column: record.get(column) for column in self.columns}, files)
        return rows, bad

    def _inside(self, given: Any, line: str) -> str:
        """The name of a file below the root, "" for none. What is written in a table may come from anyone,
        so that nothing outside the folder is opened."""
        name = _named(given)
        if name.startswith("/") or PureWindowsPath(name).drive or ".." in name.split("/"):
            raise DataError(
                f"{line} names {str(given).strip()!r}, which lies outside {self.path.parent}: put the file into "
                f"the folder, and name it by its path from there",
                code="file-outside-folder",
            )
        return name and self.place + name


class Sidecars:
    """All sidecars below a root. Each rules the files below its own folder that none nearer to them does.

    main, further, columns, texts  as those of one, of all together
    """

    def __init__(self, root: Path, names: Sequence[str], main: str) -> None:
        """names: of all files below the root. Raises `DataError` for sidecars that contradict each other."""
        below: dict[str, set[str]] = {}
        for name in names:
            for place in _places(name):
                below.setdefault(place, set()).add(name.removeprefix(place))
        order = sorted(below, key=lambda place: (place.count("/"), place))
        found = (Sidecar.find(root, place, below[place], main) for place in order)
        self.each = {sidecar.place: sidecar for sidecar in found if sidecar}
        some = list(self.each.values())
        self.main = some[0].main if some else main
        self.further = list(dict.fromkeys(name for one in some for name in one.further))
        self.columns = list(dict.fromkeys(name for one in some for name in one.columns))
        self.texts = [name for name in self.columns if any(name in one.texts for one in some)]
        other = next((one for one in some if one.main != self.main), None)
        clash = next((name for name in self.further if name in self.columns), None)
        if other or clash:
            odd = f"{self.main!r} and {other.main!r}" if other else f"{clash!r} for files and for values"
            raise DataError(
                f"the tables {', '.join(map(self._title, some[:3]))} below {root} do not agree on the names of their "
                f"columns ({odd}): name them alike, or give one of the folders alone",
                code="sidecars-differ",
            )

    def __bool__(self) -> bool:
        return bool(self.each)

    @staticmethod
    def _title(sidecar: Sidecar) -> str:
        return sidecar.place + sidecar.path.name

    def ruler(self, name: str) -> str | None:
        """The name of the sidecar that rules a file."""
        place = next((place for place in _places(name) if place in self.each), None)
        return None if place is None else self._title(self.each[place])

    @property
    def folders(self) -> set[str]:
        """The first folders of files that the first rows name."""
        mains = (name for one in self.each.values() for name in one.mains)
        return {name.split("/")[0] for name in mains if "/" in name}

    @property
    def chosen(self) -> bool:
        """Whether the folders of files are a person's choice."""
        return not self.further and all(one.table.chosen for one in self.each.values())

    def read(self) -> tuple[dict[str, SidecarRow], list[Rejected]]:
        """What is said of each file by its name below the root, and the lines that cannot be used."""
        rows, bad = dict[str, SidecarRow](), list[Rejected]()
        for sidecar in self.each.values():
            own, lines = sidecar.read()
            rows |= {name: row for name, row in own.items() if self.ruler(name) == self._title(sidecar)}
            bad += lines
        return rows, bad


def _places(name: str) -> Iterator[str]:
    """The folders above a file, the nearest first, each with a slash behind it; the root is ""."""
    while name:
        name, slash, _ = name.rpartition("/")
        yield name + slash


def _named(given: Any) -> str:
    """The name of a file as a path below a folder, "" for none."""
    if given is None or given != given or not str(given).strip():
        return ""
    return PurePosixPath(str(given).strip().replace("\\", "/")).as_posix()


def _opened(path: Path, names: Collection[str]) -> Table:
    """The table in a file beside others of these names."""
    if path.suffix in JSON:
        return _by_value(Table([], partial(_json_lines, path)), names)
    if path.suffix == ".parquet":
        return _parquet(path)
    if spoken := _ljspeech(path, names):
        return spoken
    with _table(path) as lines:
        head = [name.strip() for name in next(lines, [])]
    return Table(head, partial(_csv_lines, path, head))


def _alone(table: Table) -> Table:
    """With one file where a column has a list of one. Raises `DataError`, while it is read, for more."""

    def file(line: str, name: str, value: Any) -> Any:
        if not isinstance(value, list) or not _is_list(name):
            return value
        if len(value) > 1:
            raise DataError(
                f"{line} has {len(value)} files in {name!r}, and a field is one file: give each a column of its own, "
                f"such as first{FURTHER} and second{FURTHER}",
                code="list-of-files",
            )
        return next(iter(value), None)

    def named(column: str) -> str:
        return column[:-1] if _is_list(column) else column

    def rows() -> Records:
        for line, record in table.rows():
            if isinstance(record, dict):
                record = {named(name): file(line, name, value) for name, value in record.items()}
            yield line, record

    return replace(table, head=[*map(named, table.head)], rows=rows)


def _is_list(column: str) -> bool:
    return column == LISTS or column.endswith(f"_{LISTS}")


def _csv_lines(path: Path, head: Sequence[str], first: int = 1, **form: Any) -> Records:
    """first  the number of lines before the rows.  form: how fields are told apart, as `csv.reader` has it"""
    with _table(path, **form) as lines:
        for fields in islice(lines, first, None):
            if len(fields) == len(head):
                yield f"{path.name}, line {lines.line_num}", dict(zip(head, fields, strict=True))
            elif fields:
                model = "head" if first else "first line"
                reason = f"it has {len(fields)} fields, the {model} {len(head)}"
                yield f"{path.name}, line {lines.line_num}", reason


def _ljspeech(path: Path, names: Collection[str]) -> Table | None:
    """A table without a head whose first fields are the stems of files; quotes in it are letters."""
    form = {"delimiter": "|", "quoting": csv.QUOTE_NONE}
    with _table(path, **form) as lines:
        some: list[list[str]] = [next(lines, [])]
        if len(some[0]) not in (2, 3):
            return None
        some += islice(lines, ENOUGH)
    stems = {PurePosixPath(name).with_suffix("").as_posix(): name for name in sorted(names)}

    def clip(stem: str) -> str | None:
        return stems.get(f"wavs/{stem}") or stems.get(stem)

    if not any(map(clip, (fields[0] for fields in some if fields))):
        return None
    head = list(LJSPEECH[: len(some[0])])

    def rows() -> Records:
        for line, record in _csv_lines(path, head, 0, **form):
            if isinstance(record, dict):
                stem = record[head[0]].strip()
                record[head[0]] = stem and (clip(stem) or f"wavs/{stem}.wav")
            yield line, record

    return Table(head, rows, chosen=False)


def _json_lines(path: Path) -> Records:
    try:
        with open_text(path, "utf-8-sig", newline=None) as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                yield f"{path.name}, line {number}", _object(line)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, "JSON lines", error) from None


def json_table(files: Iterable[Path], names: Collection[str]) -> Path | None:
    """The one of some files in a folder that is a table of JSON lines and names files below the folder.

    Where several do, each may be of a file of its own, and none is a table.
    """
    some = [file for file in files if file.suffix in JSON]
    found = [file for file in some if len(some) <= SEVERAL and _names_files(file, names)]
    return found[0] if len(found) == 1 else None


def _names_files(path: Path, names: Collection[str]) -> bool:
    """Whether one of the first lines is an object with the path of a file."""
    with suppress(OSError, UnicodeDecodeError), open_text(path, "utf-8-sig", newline=None) as lines:
        records = (_object(lines.readline(LONG)) for _ in range(ENOUGH))
        return any(
            _is_file(value, names) for one in records if isinstance(one, dict) for value in one.values()
        )
    return False


def _is_file(value: Any, names: Collection[str]) -> bool:
    return isinstance(value, str) and _named(value) in names


def _by_value(table: Table, names: Collection[str]) -> Table:
    """With columns whose values are paths of files called as columns of files are."""
    some = [record for _, record in islice(table.rows(), ENOUGH) if isinstance(record, dict)]
    keys = dict.fromkeys(name for record in some for name in record)
    files = {
        name: name + FURTHER
        for name in keys
        if name not in FILE_COLUMNS
        and not name.endswith(FURTHER)
        and 2 * sum(_is_file(record.get(name), names) for record in some) > len(some)
    }

    def rows() -> Records:
        for line, record in table.rows():
            if isinstance(record, dict):
                record = {files.get(name, name): value for name, value in record.items()}
            yield line, record

    return replace(table, rows=rows) if files else table


def _object(line: str) -> dict[str, Any] | str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    return record if isinstance(record, dict) else 'it is not an object like {"file_name": "..."}'


def _parquet(path: Path) -> Table:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise missing_extra("reading metadata.parquet", "pyarrow", "table") from None
    try:
        with path.open("rb") as stream, parquet.ParquetFile(stream) as file:
            head = list(file.schema_arrow.names)
    except (OSError, ValueError) as error:  # pyarrow's own are of these
        raise _unreadable(path, "a Parquet file", error) from None

    def rows() -> Records:
        number = 0
        with path.open("rb") as stream, parquet.ParquetFile(stream) as file:
            for batch in file.iter_batches():
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path.name}, row {number}", record

    return Table(head, rows)


@contextmanager
def _table(path: Path, **form: Any) -> Iterator[Any]:
    """A `csv.reader` over a file, its errors in our words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield csv.reader(stream, **form)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, "a CSV file", error) from None


def _unreadable(path: Path, what: str, error: Exception) -> GenwrightError:
    return DataError(f"{path} cannot be read as {what} in UTF-8: {error}", code="unreadable-sidecar")
