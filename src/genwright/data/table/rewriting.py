"""A table written again with its gaps filled: a text to the byte as it stands, but for the cells that are filled.

The lines of each record are kept beside its values. In a record with gaps the places of its cells are found, by the
rules of `csv`, and what stands there is exchanged; all other records, and lines that are none, go out as they came in.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from genwright.data.cells import csv_rows
from genwright.data.codec import Values
from genwright.data.columns.formats import is_missing
from genwright.data.packed import open_text, open_unpacked
from genwright.data.table.frames import TableFormat, assemble, raw
from genwright.data.table.json_lines import flat, rebuilt
from genwright.data.table.readers import BLANKS, TableWriter, reader_of
from genwright.errors import DataError

__all__ = ["Rewriter"]


class Rewriter:
    """Rows of a file behind each other, in the order of the file; those with gaps come filled, with further columns
    behind its own.

    form    of the file
    folder  where the file is written, as `name` and its suffix
    """

    def __init__(self, file: Path, form: TableFormat, folder: Path, name: str) -> None:
        self.form = form
        plain = not form.sheet and not form.query and form.suffix != ".parquet"
        self._table = None if plain else TableWriter(form, folder, name)
        self.file = self._table.file if self._table else folder / f"{name}{form.suffix}"
        self._further: list[str] = []
        if self._table is None:
            folder.mkdir(parents=True, exist_ok=True)
            with open_unpacked(file) as stream:
                marked = stream.read(3) == b"\xef\xbb\xbf"
            encoding = "utf-8" if form.encoding == "utf-8-sig" and not marked else form.encoding
            self._source = open_text(file, form.encoding)
            self._out = self.file.open("w", encoding=encoding, newline="")
            self._records = self._jsonl() if form.suffix == ".jsonl" else self._delimited()
            self._begun = False

    # -- what stands there ---------------------------------------------------------------------

    def _jsonl(self) -> Iterator[tuple[str, Any]]:
        """Each line, and its object; None where it is none."""
        for line in self._source:
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            yield line, found if isinstance(found, dict) else None

    def _delimited(self) -> Iterator[tuple[str, Any]]:
        """The lines of each record, and its values; None where it is none."""
        taken: list[str] = []

        def lines() -> Iterator[str]:
            for line in self._source:
                taken.append(line)
                yield line

        reader = reader_of(lines(), self.form.delimiter, self.form.spaces)
        header = self.form.header
        for record in reader:
            text = "".join(taken)
            taken.clear()
            if header and record:
                header = False
                yield text, None
                continue
            yield text, record if len(record) == len(self.form.columns) and not header else None

    # -- out -----------------------------------------------------------------------------------

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        """Some rows. Raises `DataError` for a value that the encoding of the file does not have."""
        (frame,) = values.values()
        columns = {str(name): raw(frame[name]) for name in frame.columns}
        if self._table is not None:
            kinds = {name: columns.get(name, [None] * len(frame)) for name in self.form.columns}
            self._table.add(assemble(kinds, self.form))
            return [self.file]
        try:
            self._begin([name for name in columns if name not in self.form.columns])
            for row in zip(*columns.values(), strict=True):
                self._write(dict(zip(columns, row, strict=True)))
        except UnicodeEncodeError as error:
            raise DataError(
                f"{self.file.name} is in {self.form.encoding}, which does not have {error.object[error.start]!r}: "
                f"save it as UTF-8",
                code="wrong-encoding",
            ) from None
        self._out.flush()
        return [self.file]

    def _begin(self, further: list[str]) -> None:
        """What stands above the rows."""
        if self._begun:
            return
        self._begun, self._further = True, further
        if self.form.suffix == ".jsonl":
            return
        self._out.writelines(islice(self._source, self.form.skip))
        if self.form.header:
            for text, _ in self._records:  # the header, and blank lines above it
                self._out.write(self._behind(text, further) if text.strip() else text)
                if text.strip():
                    break

    def _write(self, row: Mapping[str, Any]) -> None:
        """The next record, and the lines above it that are none."""
        for text, found in self._records:
            if found is None:
                self._out.write(text)
                continue
            if isinstance(found, dict):
                there = flat(found)
                gaps = {name: v for name, v in row.items() if is_missing(there.get(name))}
                tail = text[len(text.rstrip("\r\n")) :]
                filled = {name: v for name, v in gaps.items() if not is_missing(v)}
                line = json.dumps(self._completed(found, filled), ensure_ascii=False) + tail
                self._out.write(line if filled else text)
                return
            own = enumerate(self.form.columns)
            new = {
                i: str(row[name]) for i, name in own if is_missing(found[i]) and row[name] != found[i]
            }
            text = self._exchanged(text, found, new)
            self._out.write(self._behind(text, [str(row[name]) for name in self._further]))
            return

    def _completed(self, found: Mapping[str, Any], filled: Mapping[str, Any]) -> dict[str, Any]:
        """An object with what was missing in it."""
        return _merged(found, rebuilt(filled, self.form.within, self.form.lists))

    def _exchanged(self, text: str, found: Sequence[str], new: Mapping[int, str]) -> str:
        """The text of a record with other values at some places."""
        if not new:
            return text
        places = list(cell_places(text, self.form.delimiter, spaces=self.form.spaces))
        if len(places) != len(found):  # quotes that stand in odd places: the same values, written anew
            record = [new.get(i, value) for i, value in enumerate(found)]
            return self._joined(record) + text[len(text.rstrip("\r\n")) :]
        for i in sorted(new, reverse=True):
            first, last = places[i]
            text = text[:first] + self._joined([new[i]]) + text[last:]
        return text

    def _behind(self, text: str, values: Sequence[str]) -> str:
        """A record with further values at its end."""
        if not values:
            return text
        own = text.rstrip("\r\n")
        return own + self.form.delimiter + self._joined(values) + text[len(own) :]

    def _joined(self, values: Sequence[str]) -> str:
        delimiter = self.form.delimiter
        if delimiter == "  ":
            return delimiter.join(values)
        return csv_rows([values], delimiter).removesuffix("\n")

    def close(self) -> None:
        """What is left of the file is lines that are no rows, unless it was stopped on its way."""
        if self._table is not None:
            self._table.close()
            return
        rest = list(islice(self._records, 1)) if self._begun else []
        while rest and rest[0][1] is None:
            self._out.write(rest[0][0])
            rest = list(islice(self._records, 1))
        self._out.close()
        self._source.close()


def _merged(found: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """An object with those of another, within its objects too."""
    made = dict(found)
    for key, value in more.items():
        inner = made.get(key)
        made[key] = (
            _merged(inner, value) if isinstance(inner, dict) and isinstance(value, dict) else value
        )
    return made


def cell_places(text: str, delimiter: str, *, spaces: bool = False) -> Iterator[tuple[int, int]]:
    """Where each value of a record of `csv` stands, quotes included."""
    end = len(text.rstrip("\r\n"))
    if delimiter in BLANKS:
        value = r"\S+(?: \S+)*" if delimiter == "  " else r"\S+"
        yield from (found.span() for found in re.finditer(value, text[:end]))
        return
    first, quoted, at = 0, False, 0
    while at < end:
        sign = text[at]
        if quoted:
            if sign == '"' and text[at + 1 : at + 2] == '"':
                at += 1
            elif sign == '"':
                quoted = False
        elif sign == '"' and not text[first:at].strip(" " if spaces else ""):
            quoted = True
        elif sign == delimiter:
            yield _led(text, first, at, spaces), at
            first = at + 1
        at += 1
    yield _led(text, first, end, spaces), end


def _led(text: str, first: int, last: int, spaces: bool) -> int:
    """Where a value begins behind blanks that are none of it."""
    if not spaces:
        return first
    own = text[first:last]
    return first + len(own) - len(own.lstrip(" "))
