"""What is known of files beside their content, whatever they hold:

class folders   the first folder below the root is the label `label`
a sidecar       `labels.csv` or `metadata.csv` in the root: a column `file`, `filename`, `file_name`,
                `image` or `audio` names each file, every other column is a label (and wins over folders)
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from genwright.data.codec import ReadOptions, Rejected
from genwright.errors import DataError, suggest

__all__ = ["SIDECARS", "Labels", "asked", "is_sidecar", "lacking", "write_labels"]

SIDECARS = ("labels.csv", "metadata.csv")
FILE_COLUMNS = ("file", "filename", "file_name", "image", "audio")


class Labels:
    """The labels of `files` under what a person named, `root`."""

    def __init__(self, root: Path, files: Sequence[Path]) -> None:
        self.root = root if root.is_dir() else root.parent
        self.files = files
        self.sidecar = Sidecar.find(root) if files and root.is_dir() else None
        self._rows: dict[str, dict[str, str]] = {}

    def name(self, path: Path) -> str:
        """How a person and the sidecar call a file: by its path below the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def names(self) -> list[str]:
        """Of all labels, from the head of the sidecar and the folders."""
        found = list(self.sidecar.columns) if self.sidecar else []
        if any("/" in self.name(path) for path in self.files):
            found.append("label")
        return list(dict.fromkeys(found))

    @property
    def loose(self) -> bool:
        """Whether some file lies beside the class folders and has no label from elsewhere."""
        labelled = self.sidecar is not None and "label" in self.sidecar.columns
        return not labelled and any("/" not in self.name(path) for path in self.files)

    def read(self) -> list[Rejected]:
        """Read the sidecar; what in it cannot be used. Comes before `of`."""
        if self.sidecar is None:
            return []
        self._rows, bad = self.sidecar.read()
        present = {self.name(path) for path in self.files}
        reason = f"{self.sidecar.path.name} names it, but there is no such file"
        return bad + [Rejected(name, reason) for name in self._rows if name not in present]

    def of(self, path: Path, wanted: Sequence[str]) -> dict[str, Any] | Rejected:
        """The labels of a file, or that it has none of one `wanted`."""
        name = self.name(path)
        labels: dict[str, Any] = {"label": name.split("/")[0]} if "/" in name else {}
        if self.sidecar:
            if name not in self._rows:
                return Rejected(name, f"{self.sidecar.path.name} has no row for it")
            labels |= self._rows[name]
        missing = lacking(labels, wanted)
        return labels if missing is None else Rejected(name, f"it has no {missing!r}")


def is_sidecar(file: Path, files: Sequence[Path]) -> bool:
    """Whether it is a table of labels of these files: they lie in its folder or below it."""
    return file.name in SIDECARS and all(other.is_relative_to(file.parent) for other in files)


def asked(reading: ReadOptions, names: Callable[[], Sequence[str]], what: str) -> list[str]:
    """The labels that a reading wants of `what`, where `names` are there. Raises `DataError` for one that is
    not."""
    wanted = [*reading.given, *([reading.group] if reading.group else [])]
    known = names() if wanted else []
    for name in wanted:
        if name not in known:
            way_out = suggest(name, known) if known else "make class folders, or add a labels.csv"
            raise DataError(f"{what} have no label {name!r}; {way_out}")
    return wanted


def write_labels(files: Sequence[Path], given: Mapping[str, Sequence[Any]], folder: Path) -> Path:
    """A sidecar for the files in a folder, so that it is a labelled source again."""
    table = folder / SIDECARS[0]
    with table.open("w", encoding="utf-8", newline="") as stream:
        lines = csv.writer(stream)
        lines.writerow([FILE_COLUMNS[0], *given])
        lines.writerows(zip((path.name for path in files), *given.values(), strict=True))
    return table


def lacking(labels: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    """The first label wanted that has no value: absent, empty or NaN."""
    for name in wanted:
        value = labels.get(name)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            return name
    return None


@dataclass(frozen=True)
class Sidecar:
    """A CSV file of labels, `columns`, beside files that its column `file` names."""

    path: Path
    head: tuple[str, ...]
    file: str

    @property
    def columns(self) -> tuple[str, ...]:
        """The labels. A column without a name is the row number that pandas writes."""
        return tuple(name for name in self.head if name and name != self.file)

    @classmethod
    def find(cls, folder: Path) -> Sidecar | None:
        """The sidecar in a folder, if there is one. Raises `DataError` if it names no files."""
        for path in (folder / name for name in SIDECARS):
            if path.is_file():
                with _table(path) as lines:
                    head = tuple(name.strip() for name in next(lines, []))
                file = next((name for name in FILE_COLUMNS if name in head), None)
                if file is None:
                    raise DataError(
                        f"{path} names no files: wanted a column {' or '.join(FILE_COLUMNS)}, found "
                        f"{', '.join(head) or 'none'}; rename the column, or the file"
                    )
                names = [name for name in head if name]
                if len(set(names)) < len(names):
                    raise DataError(f"{path} has two columns of the same name: rename one of them")
                return cls(path, head, file)
        return None

    def read(self) -> tuple[dict[str, dict[str, str]], list[Rejected]]:
        """The labels of each file by its name, and the lines that cannot be used."""
        rows: dict[str, dict[str, str]] = {}
        bad = []
        with _table(self.path) as lines:
            next(lines, None)
            for fields in lines:
                line = f"{self.path.name}, line {lines.line_num}"
                if not fields:
                    continue
                row = dict(zip(self.head, fields, strict=False))
                given = row.get(self.file, "").strip().replace("\\", "/")
                name = PurePosixPath(given).as_posix()
                if len(fields) != len(self.head):
                    bad.append(Rejected(line, f"it has {len(fields)} fields, the head {len(self.head)}"))
                elif not given:
                    bad.append(Rejected(line, "it names no file"))
                elif name in rows:
                    bad.append(Rejected(line, f"it names {name!r} a second time"))
                else:
                    rows[name] = {column: row[column] for column in self.columns}
        return rows, bad


@contextmanager
def _table(path: Path) -> Iterator[Any]:
    """A `csv.reader` over a file, its errors in our words."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            yield csv.reader(stream)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read as a CSV file in UTF-8: {error}") from None
