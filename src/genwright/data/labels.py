"""What belongs to a file beside its content, whatever it holds: by the conventions that people have.

class folders   the first folder below the root is the label `label`
a sidecar       a table that names files and says what is known of each (`sidecar.py`); it wins over folders and
                captions
captions        `a.txt` or `a.caption` beside `a.png` (kohya's sd-scripts): the field `caption`
twin folders    `source/0001.png` and `target/0001.png` (ControlNet): fields of these names, paired by stem
"""

from __future__ import annotations

import csv
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from genwright.data.cells import as_text
from genwright.data.codec import AS_READ, Codec, ReadOptions, Rejected, Source, Values
from genwright.data.field import Field
from genwright.data.member import SHARDS
from genwright.data.packed import suffix
from genwright.data.sidecar import (
    FILE_COLUMNS,
    FURTHER,
    JSON,
    SIDECARS,
    SidecarRow,
    Sidecars,
    json_table,
)
from genwright.data.text.field import TextField
from genwright.errors import DataError

__all__ = [
    "CAPTION",
    "CAPTIONS",
    "FileCodec",
    "FileRow",
    "Folders",
    "Layout",
    "file_fields",
    "files_of",
    "goes_with",
    "lacking",
    "write_beside",
]

CAPTION, CAPTIONS = "caption", (".txt", ".caption")
TWINS = (
    *(("source", "target"), ("input", "target"), ("input", "output")),
    *(("lr", "hr"), ("image", "mask"), ("images", "masks")),
)
"""Folders that are two sides of pairs without being asked for, the main one first."""
NOT_CAPTIONS = ("readme", "license", "licence", "copying")


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


class Layout(ABC):
    """Which files belong together, and what stands beside them.

    files    all of one kind, in their order
    main     the field of the main ones
    further  fields that are files too
    texts    fields that are texts
    """

    files: Sequence[Path]
    main: str
    further: Sequence[str]
    texts: Sequence[str]

    @property
    @abstractmethod
    def loose(self) -> bool:
        """Whether some main file has no label where others have."""

    @abstractmethod
    def name(self, path: Any) -> str:
        """How a person calls a file."""

    @abstractmethod
    def names(self) -> list[str]:
        """Of all fields beside the main one."""

    @property
    @abstractmethod
    def mains(self) -> Sequence[Path]:
        """The files that are examples of their own."""

    def companions(self, wanted: Sequence[str]) -> list[Path]:
        """Files beside the others that say something of them."""
        return []

    @abstractmethod
    def read(self, wanted: Sequence[str]) -> list[Rejected]:
        """What cannot be used whatever the files hold. Comes before `of`.

        Raises `DataError` where it cannot be said what belongs together.
        """

    @abstractmethod
    def of(self, path: Any, wanted: Sequence[str]) -> FileRow | Rejected | None:
        """What belongs to one of the files, or that it lacks something `wanted`; None: it is no example of its own."""


class Folders(Layout):
    """Files under what a person named, `root`: what belongs together says where they lie, or a table."""

    files: Sequence[Path]

    def __init__(
        self,
        root: Path,
        files: Sequence[Path],
        main: str,
        given: Sequence[str] = (),
        captions: Sequence[str] = CAPTIONS,
    ) -> None:
        """main: the name of the main field where the layout has none of its own.  given: fields that are asked
        for: two folders or more among them are twins.  captions: suffixes of texts that say what is in a file."""
        self._suffixes = captions
        self.root = root if root.is_dir() else root.parent
        self.files = files
        folder = bool(files) and root.is_dir()
        self.sidecars = Sidecars(root, [*map(self.name, files)] if folder else [], main)
        self.twins = self._twins(given) if folder and not self.sidecars else ()
        self._folder = folder
        self._rows: dict[str, SidecarRow] = {}
        self._apart: frozenset[str] = frozenset()
        self.main: str = main
        self.further: list[str] = list(self.twins[1:])
        self.texts: list[str] = []
        if self.twins:
            self.main = self.twins[0]
        if self.sidecars:
            self.main, self.further = self.sidecars.main, self.sidecars.further
            self.texts = list(self.sidecars.texts)
        if self._captioned:
            self.texts.append(CAPTION)

    def name(self, path: Path) -> str:
        """How a person and the sidecar call a file: by its path below the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name

    def names(self) -> list[str]:
        """Of all fields beside the main one."""
        found = [*self.further, *self.sidecars.columns]
        if self._captioned:
            found.append(CAPTION)
        if self._foldered:
            found.append("label")
        return [name for name in dict.fromkeys(found) if name != self.main]

    @property
    def _foldered(self) -> bool:
        """Whether the first folder says something. Where there are further files, or a convention has a folder of
        its own, all main files may lie in one, which is no label."""
        if self.twins:
            return False
        if self.sidecars and not self.sidecars.chosen:
            return len(self.sidecars.folders) > 1
        return any("/" in self.name(path) for path in self.files)

    @property
    def loose(self) -> bool:
        """Whether some file lies beside the class folders and has no label from elsewhere."""
        return "label" not in self.sidecars.columns and any(
            "/" not in self.name(path) for path in self.files
        )

    def companions(self, wanted: Sequence[str]) -> list[Path]:
        """Files beside the others that say something of them: the sidecars, and the captions if they are wanted."""
        found = [sidecar.path for sidecar in self.sidecars.each.values()]
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
                folder.iterdir(), key=lambda path: (path.suffix == self._suffixes[0], path.name)
            ):
                if path.suffix.lower() in self._suffixes and not path.name.startswith("."):
                    found[folder, path.stem] = path  # of a.caption and a.txt the latter
        return found

    @cached_property
    def _captions(self) -> dict[Path, Path]:
        """The caption of each file that has one."""
        pairs = ((path, self._texts.get((path.parent, path.stem))) for path in self.files)
        return {path: text for path, text in pairs if text is not None} if self._folder else {}

    @property
    def _captioned(self) -> bool:
        written = CAPTION in (*self.sidecars.columns, *self.sidecars.further)
        return not written and bool(self._captions)

    def _lonely_captions(self) -> list[Rejected]:
        """Captions of nothing. Raises `DataError` for a caption of two files."""
        stems: dict[tuple[Path, str], list[Path]] = {}
        for path in filter(self._captions.__contains__, self.files):
            stems.setdefault((path.parent, path.stem), []).append(path)
        self._alone(stems)
        lonely = (text for key, text in self._texts.items() if key not in stems)
        return [
            Rejected(self.name(text), f"there is no {self.main} of this name", orphan=True)
            for text in lonely
            if not text.name.lower().startswith(NOT_CAPTIONS)
        ]

    # -- rows ----------------------------------------------------------------------------------

    @property
    def mains(self) -> list[Path]:
        """The files that are examples of their own. Reads the sidecars."""
        if self.twins:
            return [path for path in self.files if self.name(path).split("/")[0] == self.main]
        if self.sidecars.further and not self._rows:
            self.read(())
        return [path for path in self.files if self.name(path) not in self._apart]

    def read(self, wanted: Sequence[str]) -> list[Rejected]:
        """Read the sidecars; what in them cannot be used, and what has no other side. Comes before `of`.

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
        self._rows, lines = self.sidecars.read()
        further = {name for row in self._rows.values() for name in row.files.values() if name}
        self._apart = frozenset(further - self._rows.keys())
        present = {self.name(path) for path in self.files}
        paired = self._paired(wanted)
        gone = [
            Rejected(
                name, f"{self.sidecars.ruler(name)} names it, but there is no such file", orphan=paired
            )
            for name in self._rows
            if name not in present
        ]
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
        if name in self._apart:
            return None
        row = self._rows.get(name, SidecarRow({}, {}))
        if name not in self._rows and (ruler := self.sidecars.ruler(name)):
            return Rejected(name, f"{ruler} has no row for it", orphan=self._paired(wanted))
        values |= row.values
        for other in self.further:
            if other not in wanted:
                continue
            named = row.files.get(other, "")
            file = self.root / named
            if not named or not file.is_file():
                reason = f"its {other} {named}".rstrip() + " is not there"
                return Rejected(name, reason, orphan=True)
            files[other] = file
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
        caption = self._captions.get(row.path) if CAPTION in wanted and self._captioned else None
        if caption is not None:
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


class FileCodec(Codec):
    """A codec of files that are examples, beside which stands what is known of them."""

    @abstractmethod
    def _layout(self, source: Source, options: ReadOptions = AS_READ) -> Layout:
        """Which of them belong together."""

    def labels(self, source: Source) -> list[str]:
        return self._layout(source).names()

    def default_labels(self, source: Source) -> list[str]:
        """The class folders, if no file lies beside them."""
        layout = self._layout(source)
        return ["label"] if "label" in layout.names() and not layout.loose else []

    def companions(self, source: Source, options: ReadOptions = AS_READ) -> list[Path]:
        return self._layout(source, options).companions(options.given)


def goes_with(files: Sequence[Path], own: Sequence[Path]) -> set[Path]:
    """Those of some files that only say what `own` are: a sidecar in a folder above one of them, texts beside them
    if one is the caption of one, and what img2dataset writes beside each shard."""
    stems = {(file.parent, file.stem) for file in own}
    mine = set(own)
    texts = [file for file in files if file.suffix.lower() in CAPTIONS and file not in mine]
    captions = not stems.isdisjoint((text.parent, text.stem) for text in texts)
    folders = {text.parent for text in texts} & {folder for folder, _ in stems}
    found = {text for text in texts if captions and text.parent in folders}
    above = {folder for one in {*(file.parent for file in own)} for folder in (one, *one.parents)}
    sidecars = {file for file in files if file.name in SIDECARS and file.parent in above}
    lines: dict[Path, list[Path]] = {}
    for file in files:
        if file.suffix in JSON and file.parent in above - {sidecar.parent for sidecar in sidecars}:
            lines.setdefault(file.parent, []).append(file)
    for folder, some in lines.items():
        names = {one.relative_to(folder).as_posix() for one in own if one.is_relative_to(folder)}
        if (table := json_table(some, names)) is not None:
            sidecars.add(table)
    shards = {(file.parent, file.stem) for file in own if suffix(file) in SHARDS}
    notes = (file for file in files if (file.parent, file.stem.removesuffix("_stats")) in shards)
    return found | sidecars | {*notes} - mine


def lacking(labels: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
    """The first label wanted that has no value: absent, empty or NaN."""
    for name in wanted:
        value = labels.get(name)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            return name
    return None


# -- out -------------------------------------------------------------------------------------------


def file_fields(
    values: Mapping[str, Values], fields: Mapping[str, Field], kind: type[Field], main: str
) -> list[str]:
    """The fields of values that are files of a kind, the main one first."""
    found = [name for name in values if name == main or isinstance(fields.get(name), kind)]
    order = [main, *fields]
    return sorted(found, key=lambda name: order.index(name))


def files_of(
    files: Sequence[Path],
    values: Mapping[str, Values],
    fields: Mapping[str, Field],
    main: str,
    wanted: Sequence[str],
) -> set[Path]:
    """Those of the files of `write_beside` that hold `wanted` fields: pictures, sounds, and no texts."""
    found = set[Path]()
    for name in wanted:
        if isinstance(fields[name], TextField):
            continue
        first, *others = file_fields(values, fields, type(fields[name]), main)
        tails = {_tail(other): other for other in others}
        numbered = (file for file in files if re.match(r"\d{5}", file.name))
        found |= {file for file in numbered if tails.get(Path(file.stem).suffix, first) == name}
    return found


def _tail(name: str) -> str:
    """What stands behind the number in the name of a file of a field that is not the main one."""
    return "." + re.sub(r"[^\w-]+", "-", name)


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
        tail = _tail(name) if written else ""
        paths = [folder / f"{i:0{digits}d}{tail}{field.suffix}" for i in range(len(values[name]))]
        for path, value in zip(paths, values[name], strict=True):
            field.save(value, path)
        written += paths
        table[FURTHER[1:] if name == main or not files else name + FURTHER] = [p.name for p in paths]
    beside = {
        name: list(map(as_text, some)) if name in texts else some
        for name, some in values.items()
        if name not in (files or texts[:1])
    }
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
