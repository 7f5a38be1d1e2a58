"""What belongs to a file beside its content, whatever it holds: by the conventions that people have.

class folders   the first folder below the root is the label `label`
a sidecar       `labels.csv`, `metadata.csv`, `.jsonl` or `.parquet` in the root (Hugging Face's ImageFolder and
                AudioFolder): a column `file_name` (or `file`, `filename`, `image`, `audio`) names each file, a
                column `target_file_name` a further one, the field `target`; every other column is a text or a
                label, and wins over folders
captions        `a.txt` or `a.caption` beside `a.png` (kohya's sd-scripts): the field `caption`
twin folders    `source/0001.png` and `target/0001.png` (ControlNet): fields of these names, paired by stem
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import islice
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from genwright.data.codec import Rejected, Values
from genwright.data.field import Field
from genwright.data.text.field import TextField
from genwright.errors import DataError, GenwrightError, missing_extra

__all__ = [
    "SIDECARS",
    "FileRow",
    "Layout",
    "file_fields",
    "goes_with",
    "lacking",
    "looks_like_text",
    "write_beside",
]

SIDECARS = ("labels.csv", "metadata.csv", "metadata.jsonl", "metadata.parquet")
FILE_COLUMNS = ("file", "filename", "file_name", "image", "audio")
FURTHER = "_file_name"
"""Behind the name of a field: a column of further files."""
TEXT_COLUMNS = frozenset({"caption", "text", "prompt", "completion", "description", "transcription"})
CAPTION, CAPTIONS = "caption", (".txt", ".caption")
TWINS = (
    *(("source", "target"), ("input", "target"), ("input", "output")),
    *(("lr", "hr"), ("image", "mask"), ("images", "masks")),
)
"""Folders that are two sides of pairs without being asked for, the main one first."""
NOT_CAPTIONS = ("readme", "license", "licence", "copying")
PROBE = 1000
"""Rows that are looked at to tell a text from a label."""
ENOUGH = 20
"""Values of which it can be said that they hardly repeat."""
_WORDS = re.compile(r"[^\W\d_]\S*\s+\S*[^\W\d_]")


@dataclass(frozen=True)
class FileRow:
    """One example: its main file, how a person calls that, further files by field, and plain values."""

    path: Path
    name: str
    files: Mapping[str, Path] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    @property
    def stem(self) -> str:
        """Its path below the root, without the suffix."""
        return PurePosixPath(self.name).with_suffix("").as_posix()


class Layout:
    """Which of the `files` under what a person named, `root`, belong together, and what stands beside them.

    main     the field of the main files
    further  fields that are files too
    texts    fields that are texts
    columns  all other fields: labels
    """

    def __init__(self, root: Path, files: Sequence[Path], main: str, given: Sequence[str] = ()) -> None:
        """main: the name of the main field where the layout has none of its own.  given: fields that are asked
        for: two folders or more among them are twins."""
        self.root = root if root.is_dir() else root.parent
        self.files = files
        folder = bool(files) and root.is_dir()
        self.sidecar = Sidecar.find(root, main) if folder else None
        self.twins = self._twins(given) if folder and self.sidecar is None else ()
        self._folder = folder
        self._rows: dict[str, SidecarRow] = {}
        self._apart: frozenset[str] = frozenset()
        self.main, self.further, self.texts = main, list(self.twins[1:]), list[str]()
        if self.twins:
            self.main = self.twins[0]
        if self.sidecar:
            self.main, self.further = self.sidecar.main, list(self.sidecar.further)
            self.texts = list(self.sidecar.texts)
        if self._captioned:
            self.texts.append(CAPTION)
        self.columns = [name for name in self.names() if name not in (*self.further, *self.texts)]

    def name(self, path: Path) -> str:
        """How a person and the sidecar call a file: by its path below the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def names(self) -> list[str]:
        """Of all fields beside the main one."""
        found = [*self.further, *(self.sidecar.columns if self.sidecar else ())]
        if self._captioned:
            found.append(CAPTION)
        if self._foldered:
            found.append("label")
        return [name for name in dict.fromkeys(found) if name != self.main]

    @property
    def _foldered(self) -> bool:
        """Whether the first folder says something. Where there are further files, those may lie in one folder
        and the main ones in another, which is no label."""
        if self.twins:
            return False
        if self.sidecar and self.sidecar.further:
            return len({name.split("/")[0] for name in self.sidecar.mains if "/" in name}) > 1
        return any("/" in self.name(path) for path in self.files)

    @property
    def loose(self) -> bool:
        """Whether some file lies beside the class folders and has no label from elsewhere."""
        labelled = self.sidecar is not None and "label" in self.sidecar.columns
        return not labelled and any("/" not in self.name(path) for path in self.files)

    def companions(self, wanted: Sequence[str]) -> list[Path]:
        """Files beside the others that say something of them: the sidecar, and the captions if they are wanted."""
        found = [self.sidecar.path] if self.sidecar else []
        return [*found, *self._captions.values()] if self._captioned and CAPTION in wanted else found

    # -- twin folders --------------------------------------------------------------------------

    def _twins(self, given: Sequence[str]) -> tuple[str, ...]:
        """The folders of the root that are sides of pairs, the main one first."""
        folders = list(dict.fromkeys(n.split("/")[0] for n in map(self.name, self.files) if "/" in n))
        asked = [folder for folder in folders if folder in given]
        loose = any("/" not in self.name(path) for path in self.files)
        for pair in TWINS:
            found = [folder for name in pair for folder in folders if folder.lower() == name]
            if len(found) != 2 or not ({*asked} == {*found} or (len(folders) == 2 and not loose)):
                continue
            # Two classes may be called input and output too, but then their files are not called alike.
            if asked or set.intersection(*({*self._stems(folder)} for folder in found)):
                return tuple(found)
        return tuple(asked) if len(asked) > 1 else ()

    def _stems(self, folder: str) -> dict[str, list[Path]]:
        """The files of a folder of the root, by their path below it without the suffix."""
        found: dict[str, list[Path]] = {}
        for path in self.files:
            first, _, rest = self.name(path).partition("/")
            if rest and first == folder:
                found.setdefault(PurePosixPath(rest).with_suffix("").as_posix(), []).append(path)
        return found

    @cached_property
    def _sides(self) -> dict[str, dict[str, Path]]:
        """Of each twin its files by stem. Raises `DataError` for two of one stem."""
        return {folder: self._alone(self._stems(folder)) for folder in self.twins}

    def _alone(self, stems: Mapping[Any, Sequence[Path]]) -> dict[Any, Path]:
        for paths in stems.values():
            if len(paths) > 1:
                both = " and ".join(self.name(path) for path in paths[:2])
                raise DataError(
                    f"{both} have one stem, so that it cannot be said which of them is meant by what goes with "
                    f"it: rename or remove one",
                    code="two-files-one-stem",
                )
        return {stem: paths[0] for stem, paths in stems.items()}

    # -- captions ------------------------------------------------------------------------------

    @cached_property
    def _texts(self) -> dict[tuple[Path, str], Path]:
        """Texts in the folders of the files, by folder and stem."""
        found: dict[tuple[Path, str], Path] = {}
        for folder in dict.fromkeys(path.parent for path in self.files):
            for path in sorted(
                folder.iterdir(), key=lambda path: (path.suffix == CAPTIONS[0], path.name)
            ):
                if path.suffix.lower() in CAPTIONS and not path.name.startswith("."):
                    found[folder, path.stem] = path  # of a.caption and a.txt the latter
        return found

    @cached_property
    def _captions(self) -> dict[Path, Path]:
        """The caption of each file that has one."""
        pairs = ((path, self._texts.get((path.parent, path.stem))) for path in self.files)
        return {path: text for path, text in pairs if text is not None} if self._folder else {}

    @property
    def _captioned(self) -> bool:
        written = self.sidecar is not None and CAPTION in (*self.sidecar.columns, *self.sidecar.further)
        return not written and bool(self._captions)

    def _lonely_captions(self) -> list[Rejected]:
        """Captions of nothing. Raises `DataError` for a caption of two files."""
        stems: dict[tuple[Path, str], list[Path]] = {}
        for path in self._captions:
            stems.setdefault((path.parent, path.stem), []).append(path)
        self._alone(stems)
        lonely = (text for key, text in self._texts.items() if key not in stems)
        return [
            Rejected(self.name(text), f"there is no {self.main} of this name", orphan=True)
            for text in lonely
            if not text.name.lower().startswith(NOT_CAPTIONS)
        ]

    # -- rows ----------------------------------------------------------------------------------

    @cached_property
    def mains(self) -> list[Path]:
        """The files that are examples of their own. Reads the sidecar."""
        if self.twins:
            return [path for path in self.files if self.name(path).split("/")[0] == self.main]
        if self.sidecar and self.sidecar.further and not self._rows:
            self.read(())
        return [path for path in self.files if self.name(path) not in self._apart]

    def read(self, wanted: Sequence[str]) -> list[Rejected]:
        """Read the sidecar; what in it cannot be used, and what has no other side. Comes before `of`.

        Raises `DataError` where it cannot be said what belongs together.
        """
        bad = self._lonely_captions() if self._captioned and CAPTION in wanted else []
        if self.twins:
            main = self._sides[self.main]
            return bad + [
                Rejected(self.name(path), f"there is no file of this name in {self.main}", orphan=True)
                for other in self.further
                if other in wanted
                for stem, path in self._sides[other].items()
                if stem not in main
            ]
        if self.sidecar is None:
            return bad
        self._rows, lines = self.sidecar.read()
        further = {name for row in self._rows.values() for name in row.files.values() if name}
        self._apart = frozenset(further - self._rows.keys())
        present = {self.name(path) for path in self.files}
        reason = f"{self.sidecar.path.name} names it, but there is no such file"
        paired = self._paired(wanted)
        gone = [Rejected(name, reason, orphan=paired) for name in self._rows if name not in present]
        return bad + lines + gone

    def _paired(self, wanted: Sequence[str]) -> bool:
        return not {*wanted}.isdisjoint((*self.further, *self.texts))

    def of(self, path: Path, wanted: Sequence[str]) -> FileRow | Rejected | None:
        """What belongs to a file, or that it lacks something `wanted`; None: it is no example of its own."""
        name = self.name(path)
        if self.twins:
            return self._side(path, name, wanted)
        values: dict[str, Any] = {"label": name.split("/")[0]} if "/" in name else {}
        files: dict[str, Path] = {}
        if self.sidecar:
            if name in self._apart:
                return None
            if name not in self._rows:
                reason = f"{self.sidecar.path.name} has no row for it"
                return Rejected(name, reason, orphan=self._paired(wanted))
            row = self._rows[name]
            values |= row.values
            for other in self.further:
                if other not in wanted:
                    continue
                files[other] = self.root / row.files[other]
                if not row.files[other] or not files[other].is_file():
                    reason = f"its {other} {row.files[other]}".rstrip() + " is not there"
                    return Rejected(name, reason, orphan=True)
        return self._complete(FileRow(path, name, files, values), wanted)

    def _side(self, path: Path, name: str, wanted: Sequence[str]) -> FileRow | Rejected | None:
        folder, _, rest = name.partition("/")
        if folder != self.main or not rest:
            return None
        stem = PurePosixPath(rest).with_suffix("").as_posix()
        files: dict[str, Path] = {}
        for other in self.further:
            if other in wanted:
                if stem not in self._sides[other]:
                    return Rejected(name, f"there is no file of this name in {other}", orphan=True)
                files[other] = self._sides[other][stem]
        return self._complete(FileRow(path, name, files), wanted)

    def _complete(self, row: FileRow, wanted: Sequence[str]) -> FileRow | Rejected:
        """With its caption; or what it lacks."""
        values = dict(row.values)
        if CAPTION in wanted and self._captioned and row.path in self._captions:
            caption = self._captions[row.path]
            try:
                values[CAPTION] = caption.read_text(encoding="utf-8-sig").strip()
            except (OSError, UnicodeError):
                return Rejected(self.name(caption), "cannot be read as a text in UTF-8", orphan=True)
        for name in self.texts:
            if not isinstance(values.get(name, ""), str):
                values[name] = None if values[name] is None else str(values[name])
        missing = lacking(values, [name for name in wanted if name not in self.further])
        if missing is not None:
            return Rejected(row.name, f"it has no {missing!r}", orphan=missing in self.texts)
        return FileRow(row.path, row.name, row.files, values)


def goes_with(files: Sequence[Path], own: Sequence[Path]) -> set[Path]:
    """Those of some files that only say what `own` are: a sidecar in a folder above them all, and texts beside them
    if one is the caption of one."""
    stems = {(file.parent, file.stem) for file in own}
    mine = set(own)
    texts = [file for file in files if file.suffix.lower() in CAPTIONS and file not in mine]
    captions = not stems.isdisjoint((text.parent, text.stem) for text in texts)
    folders = {text.parent for text in texts} & {folder for folder, _ in stems}
    found = {text for text in texts if captions and text.parent in folders}
    sidecars = (file for file in files if file.name in SIDECARS)
    return found | {file for file in sidecars if all(one.is_relative_to(file.parent) for one in own)}


def lacking(labels: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    """The first label wanted that has no value: absent, empty or NaN."""
    for name in wanted:
        value = labels.get(name)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            return name
    return None


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


# -- out -------------------------------------------------------------------------------------------


def file_fields(
    values: Mapping[str, Values], fields: Mapping[str, Field], kind: type[Field], main: str
) -> list[str]:
    """The fields of values that are files of a kind, the main one first."""
    found = [name for name in values if name == main or isinstance(fields.get(name), kind)]
    order = [main, *fields]
    return sorted(found, key=lambda name: order.index(name))


def write_beside(
    values: Mapping[str, Values],
    fields: Mapping[str, Field],
    folder: Path,
    kind: type[Field],
    main: str,
) -> list[Path]:
    """Values as files of a kind, and as a table what stands beside them, so that the folder is a source with the
    same fields again. Texts without any such file become files themselves."""
    texts = [name for name in values if isinstance(fields.get(name), TextField)]
    files = file_fields(values, fields, kind, main)
    written: list[Path] = []
    table: dict[str, Sequence[Any]] = {}
    for name in files or texts[:1]:
        field = fields.get(name) or kind()
        digits = max(5, len(str(len(values[name]) - 1)))
        tail = "" if not written else "." + re.sub(r"[^\w-]+", "-", name)
        paths = [folder / f"{i:0{digits}d}{tail}{field.suffix}" for i in range(len(values[name]))]
        for path, value in zip(paths, values[name], strict=True):
            field.save(value, path)
        written += paths
        table[FURTHER[1:] if name == main or not files else name + FURTHER] = [p.name for p in paths]
    beside = {name: some for name, some in values.items() if name not in (files or texts[:1])}
    if files and not ({*texts} & beside.keys() or {*files} - {main}):
        if beside:  # labels alone
            column = {FILE_COLUMNS[0]: [path.name for path in written]}
            written.append(_write_table(column | beside, folder / SIDECARS[0]))
    elif files or beside:
        written.append(_write_table(table | beside, folder / SIDECARS[1]))
    return written


def _write_table(columns: Mapping[str, Sequence[Any]], table: Path) -> Path:
    with table.open("w", encoding="utf-8", errors="replace", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow(columns)
        lines.writerows(zip(*columns.values(), strict=True))
    return table


# -- the sidecar -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class SidecarRow:
    """Plain values, and the names of further files, by field."""

    values: Mapping[str, Any]
    files: Mapping[str, str]


@dataclass(frozen=True)
class Sidecar:
    """A table beside files that its column `file` names.

    main     the field of these files
    further  fields of further files, and the column that names them
    columns  the fields of all other columns
    texts    those of them that are texts
    mains    names of files in the first rows
    """

    path: Path
    file: str
    main: str
    further: Mapping[str, str]
    columns: tuple[str, ...]
    texts: tuple[str, ...]
    mains: tuple[str, ...]

    @classmethod
    def find(cls, folder: Path, main: str) -> Sidecar | None:
        """The sidecar in a folder, if there is one. Raises `DataError` if it names no files."""
        path = next((folder / name for name in SIDECARS if (folder / name).is_file()), None)
        if path is None:
            return None
        head, records = _opened(path)
        some = [record for _, record in islice(records, PROBE) if isinstance(record, dict)]
        if path.suffix == ".jsonl":
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
        names = [name for name in head if name]
        if len(set(names)) < len(names) or not further.keys().isdisjoint((main, *columns)):
            raise DataError(
                f"{path} has two columns of the same name: rename one of them", code="same-name-twice"
            )
        values = {name: [record.get(name) for record in some] for name in columns}
        columns = [
            name for name in columns if not any(isinstance(v, list | dict | bytes) for v in values[name])
        ]
        texts = [name for name in columns if name in TEXT_COLUMNS or looks_like_text(values[name])]
        mains = tuple(_named(record.get(file)) for record in some)
        return cls(path, file, main, further, tuple(columns), tuple(texts), mains)

    def read(self) -> tuple[dict[str, SidecarRow], list[Rejected]]:
        """What is said of each file by its name, and the lines that cannot be used. Raises `DataError` for a
        file that lies elsewhere."""
        rows: dict[str, SidecarRow] = {}
        bad = []
        for line, record in _opened(self.path)[1]:
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
        """The name of a file below the folder, "" for none. What is written in a table may come from anyone,
        so that nothing outside the folder is opened."""
        name = _named(given)
        if name.startswith("/") or PureWindowsPath(name).drive or ".." in name.split("/"):
            raise DataError(
                f"{line} names {str(given).strip()!r}, which lies outside {self.path.parent}: put the file into "
                f"the folder, and name it by its path from there",
                code="file-outside-folder",
            )
        return name


def _named(given: Any) -> str:
    """The name of a file as a path below a folder, "" for none."""
    if given is None or given != given or not str(given).strip():
        return ""
    return PurePosixPath(str(given).strip().replace("\\", "/")).as_posix()


Records = Iterator[tuple[str, dict[str, Any] | str]]
"""By the name of its line: the values of a row, or what is wrong with it."""


def _opened(path: Path) -> tuple[list[str], Records]:
    """The head of a table (none of a .jsonl, where each line has its own) and its rows."""
    if path.suffix == ".jsonl":
        return [], _json_lines(path)
    if path.suffix == ".parquet":
        return _parquet(path)
    with _table(path) as lines:
        head = [name.strip() for name in next(lines, [])]
    return head, _csv_lines(path, head)


def _csv_lines(path: Path, head: Sequence[str]) -> Records:
    with _table(path) as lines:
        next(lines, None)
        for fields in lines:
            if len(fields) == len(head):
                yield f"{path.name}, line {lines.line_num}", dict(zip(head, fields, strict=True))
            elif fields:
                reason = f"it has {len(fields)} fields, the head {len(head)}"
                yield f"{path.name}, line {lines.line_num}", reason


def _json_lines(path: Path) -> Records:
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                yield f"{path.name}, line {number}", _object(line)
    except (OSError, UnicodeDecodeError) as error:
        raise _unreadable(path, "JSON lines", error) from None


def _object(line: str) -> dict[str, Any] | str:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        return f"it is not JSON: {error}"
    return record if isinstance(record, dict) else 'it is not an object like {"file_name": "..."}'


def _parquet(path: Path) -> tuple[list[str], Records]:
    try:
        import pyarrow.parquet as parquet
    except ImportError:
        raise missing_extra("reading metadata.parquet", "pyarrow", "table") from None
    try:
        with parquet.ParquetFile(path) as file:
            head = list(file.schema_arrow.names)
    except (OSError, ValueError) as error:  # pyarrow's own are of these
        raise _unreadable(path, "a Parquet file", error) from None

    def rows() -> Records:
        number = 0
        with parquet.ParquetFile(path) as file:
            for batch in file.iter_batches():
                for record in batch.to_pylist():
                    number += 1
                    yield f"{path.name}, row {number}", record

    return head, rows()


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """A `csv.reader` over a file, its errors in our words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield csv.reader(stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise _unreadable(path, "a CSV file", error) from None


def _unreadable(path: Path, what: str, error: Exception) -> GenwrightError:
    return DataError(f"{path} cannot be read as {what} in UTF-8: {error}", code="unreadable-sidecar")
