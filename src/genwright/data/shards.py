"""Shards: `.tar` archives in which files of one basename are one example (WebDataset), read in place.

Up to the first dot of a file's name, with its folders, is the example; what stands behind it is the field:

0001.jpg        the main field: a picture or a sound, by its suffix
0001.mask.png   a further one, `mask`; without a plain one, the first of these is the main field
0001.txt        the text `caption`, and so is 0001.caption; 0001.prompt.txt is the text `prompt`
0001.cls        the integer `label`; 0001.kind.cls is `kind`
0001.json       an object, whose values are labels and texts
"""

from __future__ import annotations

import json
import tarfile
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cached_property
from io import BytesIO
from itertools import islice
from pathlib import Path
from typing import Any

from genwright.data.codec import Rejected
from genwright.data.containers import Examples, called, plain
from genwright.data.labels import CAPTION, CAPTIONS, FileRow, Folders, Layout, lacking
from genwright.data.member import SHARDS, Contents, Member, contents
from genwright.data.packed import suffix
from genwright.data.sidecar import PROBE, TEXT_COLUMNS, looks_like_text
from genwright.errors import DataError

__all__ = ["Shards", "holds", "is_shard", "laid_out", "unusable", "write_shard"]

LABEL, LABELS, OBJECT = "label", ".cls", ".json"
SCALAR = (str, int, float)
LARGEST = 2**20
"""Bytes of a text, a label or an object: what is larger is none."""


def laid_out(
    root: Path, files: Sequence[Path], kinds: Collection[str], main: str, given: Sequence[str] = ()
) -> Layout:
    """The layout of some files: shards, or whatever lies in folders. Raises `DataError` for both at once.

    kinds  suffixes of what the codec reads.  main, given: as `Folders` has them
    """
    shards = [file for file in files if suffix(file) in SHARDS]
    if not shards:
        return Folders(root, files, main, given)
    if len(shards) < len(files):
        raise DataError(
            f"{root} holds {len(shards)} tar archives beside {len(files) - len(shards)} loose files: name a folder of "
            f"one kind",
            code="mixed-kinds",
        )
    return Shards(root, shards, kinds, main)


def holds(archive: Path, kinds: Collection[str]) -> bool:
    """Whether files of a kind are in an archive. Raises `DataError` for one that is damaged."""
    return any(member.suffix.lower() in kinds for member in contents(archive).members)


def is_shard(archive: Path) -> bool:
    """Whether an archive is a shard: some example in it has several files that are no captions. Any other is a folder
    that was packed. Raises `DataError` for one that is damaged."""
    if suffix(archive) not in SHARDS:
        return False
    keys = Counter(
        _key(member) for member in contents(archive).members if member.suffix.lower() not in CAPTIONS
    )
    return any(count > 1 for count in keys.values())


def _key(member: Member) -> tuple[Path, str]:
    """What names an example: its archive, and the name up to the first dot."""
    folder, slash, name = member.inner.rpartition("/")
    return member.archive, folder + slash + name.partition(".")[0]


class Shards(Layout):
    """The examples in some `.tar` archives."""

    def __init__(self, root: Path, archives: Sequence[Path], kinds: Collection[str], main: str) -> None:
        self._root, self._kinds, self._main, self._plain = root, kinds, main, len(archives) == 1
        self._inside: dict[Path, Contents] = {archive: contents(archive) for archive in archives}
        self._examples: dict[tuple[Path, str], dict[str, Member]] = {}
        fields: dict[str, dict[str, None]] = {"file": {}, "text": {}, "label": {}, "object": {}}
        for member in (member for one in self._inside.values() for member in one.members):
            kind, field = self._field(member)
            if kind:
                self._put(member, field)
                fields[kind][field] = None
        found = list(fields["file"])
        self.main: str = main if main in found or not found else found[0]
        self.further: list[str] = [name for name in found if name != self.main]
        self._written = list(dict.fromkeys([*fields["text"], *fields["label"]]))
        self.texts: list[str] = [*fields["text"], *self._said[1]]
        self.files: list[Member] = [
            member
            for example in self._examples.values()
            for member in example.values()
            if self._field(member)[0] == "file"
        ]

    def _field(self, member: Member) -> tuple[str, str]:
        """What a member is ("": nothing that is read) and the field that it holds."""
        _, _, tail = member.name.partition(".")
        field, _, last = tail.rpartition(".")
        last = f".{last.lower()}"
        if last in self._kinds:
            return "file", field or self._main
        if last in CAPTIONS:
            return "text", field or CAPTION
        if last == LABELS:
            return "label", field or LABEL
        return ("object", field + OBJECT) if last == OBJECT else ("", "")

    def _put(self, member: Member, field: str) -> None:
        example = self._examples.setdefault(_key(member), {})
        if field in example:
            raise DataError(
                f"{self.name(example[field])} and {self.name(member)} are both the {field} of one example: leave one "
                f"out, or name them apart",
                code="two-files-one-stem",
            )
        example[field] = member

    # -- fields --------------------------------------------------------------------------------

    def name(self, path: Member) -> str:
        return self._place(path.archive) + path.inner

    def _place(self, archive: Path) -> str:
        """What stands before the names of an archive, where there are several."""
        return "" if self._plain else f"{archive.relative_to(self._root).with_suffix('').as_posix()}/"

    @cached_property
    def _said(self) -> tuple[list[str], list[str]]:
        """The fields of objects: all, and those that are texts."""
        some: dict[str, list[Any]] = {}
        for example in islice(self._examples.values(), PROBE):
            try:
                for name, value in self._object(example).items():
                    some.setdefault(name, []).append(value)
            except ValueError:  # it is read again, and told of
                continue
        taken = {self.main, *self.further, *self._written}
        names = [
            name
            for name, values in some.items()
            if name not in taken and all(value is None or isinstance(value, SCALAR) for value in values)
        ]
        return names, [name for name in names if name in TEXT_COLUMNS or looks_like_text(some[name])]

    def names(self) -> list[str]:
        return [*self.further, *self._written, *self._said[0]]

    @property
    def loose(self) -> bool:
        return LABEL in self._written and any(
            LABEL not in self._examples[_key(one)] for one in self.mains
        )

    @property
    def mains(self) -> list[Member]:
        return [member for member in self.files if self._field(member)[1] == self.main]

    # -- rows ----------------------------------------------------------------------------------

    def read(self, wanted: Sequence[str]) -> list[Rejected]:
        bad = [
            Rejected(self._place(archive) + one.name, one.reason)
            for archive, inside in self._inside.items()
            for one in inside.rejected
        ]
        for example in self._examples.values():
            side = next((name for name in wanted if name in example), None)
            if self.main not in example and side is not None:
                reason = f"there is no {self.main} of this name"
                bad.append(Rejected(self.name(example[side]), reason, orphan=True))
        return bad

    def of(self, path: Member, wanted: Sequence[str]) -> FileRow | Rejected | None:
        if self._field(path)[1] != self.main:
            return None
        archive, key = _key(path)
        example = self._examples[archive, key]
        sides = [name for name in wanted if name in self.further]
        gone = next((name for name in sides if name not in example), None)
        if gone is not None:
            return Rejected(self.name(path), f"there is no {gone} of this name", orphan=True)
        beside = [name for name in wanted if name not in sides]
        try:
            values = self._values(example, beside)
        except ValueError as error:
            return Rejected(self.name(path), str(error))
        missing = lacking(values, beside)
        if missing is not None:
            return Rejected(self.name(path), f"it has no {missing!r}", orphan=missing in self.texts)
        files: dict[str, Path] = {name: example[name] for name in sides}
        return FileRow(path, self._place(archive) + key + path.suffix, files, values)

    def _values(self, example: dict[str, Member], wanted: Sequence[str]) -> dict[str, Any]:
        """Texts, labels and what objects say. Raises `ValueError` for one that cannot be read."""
        said = self._object(example) if {*wanted} & {*self._said[0]} else {}
        values: dict[str, Any] = {}
        for name in wanted:
            member = example.get(name)
            if name in self._said[0]:
                value = said.get(name)
                value = value if isinstance(value, SCALAR) else None
                values[name] = str(value) if name in self.texts and value is not None else value
            elif member is not None:
                text = _text(member).strip()
                values[name] = text if name in self.texts else _integer(name, text)
        return values

    def _object(self, example: dict[str, Member]) -> dict[str, Any]:
        """What the objects of an example say. Raises `ValueError`."""
        found: dict[str, Any] = {}
        for name, member in example.items():
            if name.endswith(OBJECT):
                try:
                    said = json.loads(_text(member))
                except (ValueError, RecursionError) as error:
                    raise ValueError(f"its {member.suffix} is not JSON: {error}") from None
                if not isinstance(said, dict):
                    raise ValueError(f'its {member.suffix} is not an object like {{"label": 3}}')
                found |= said
        return found


def _text(member: Member) -> str:
    """Raises `ValueError` for what is no text."""
    if member.stat().st_size > LARGEST:
        raise ValueError(
            f"its {member.suffix} has {member.stat().st_size:,} bytes, and {LARGEST:,} are read at most"
        )
    try:
        return member.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeError):
        raise ValueError(f"its {member.suffix} cannot be read as a text in UTF-8") from None


def _integer(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"its {name} is {text[:20]!r}, and no integer") from None


# -- written ---------------------------------------------------------------------------------------


def write_shard(
    file: Path,
    examples: Examples,
    files: Collection[str],
    encode: Callable[[Any, int], tuple[str, bytes]],
) -> None:
    """Examples in memory as a shard: what is a file of its own, and of each all else in one object.

    files   fields that are files of their own
    encode  the suffix and the bytes of one, from its value and the number of the example
    """
    if wrong := next((name for name in files if "/" in name or name.startswith(".")), None):
        raise DataError(
            f"a field of files cannot be called {wrong!r}: name it by letters", code="bad-field-name"
        )
    with tarfile.open(file, "w") as archive:
        for i, row in enumerate(examples.rows()):
            said = {name: plain(value) for name, value in row.items() if name not in files}
            for name in files:
                if row.get(name) is not None:
                    tail, data = encode(row[name], i)
                    _add(archive, f"{i:06d}.{name}{tail}", data)
            if said:
                _add(archive, f"{i:06d}{OBJECT}", _as_json(said, i))


def _as_json(said: Mapping[str, Any], i: int) -> bytes:
    wrong = next(
        (name for name, one in said.items() if not isinstance(one, (*SCALAR, type(None)))), None
    )
    if wrong is not None:
        raise unusable(i, f"{wrong!r} is a {called(said[wrong])}: give a text or a number")
    return json.dumps(said).encode()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    about = tarfile.TarInfo(name)
    about.size = len(data)
    archive.addfile(about, BytesIO(data))
    archive.members = []  # type: ignore[attr-defined]  # which would hold all of them


def unusable(i: int, reason: str) -> DataError:
    """What is wrong with an example in memory."""
    return DataError(f"example {i} cannot be used: {reason}", code="unusable-example")
