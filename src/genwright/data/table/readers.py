"""The files of a table: what form they have, their rows chunk by chunk, and writing them back.

    .csv .tsv          every value a text, as it stands; the delimiter and the encoding are found
    .jsonl             an object a line; Python's values (`json_lines.py`)
    .parquet           the types of the file, held by pandas as Arrow's
    .xlsx .ods         as the CSV that they would be saved as (`sheets.py`)
    .sqlite, a URL     likewise (`sql.py`)

Texts may be packed: `.gz`, `.bz2`, `.xz` or `.zst` behind any of their suffixes.

Whatever spoils a file is a `DataError` that names it; a spoilt row among good ones is a `Rejected`.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from itertools import chain, islice, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.data.arrow import ARROW, batches, length
from genwright.data.cells import csv_rows
from genwright.data.codec import Rejected, beginning
from genwright.data.columns.numbers import parse_number
from genwright.data.encodings import encodings
from genwright.data.packed import BROKEN, bare, is_array, is_packed, open_text, open_unpacked
from genwright.data.table.apart import PLACES, NumberedLine, lines_apart
from genwright.data.table.frames import (
    TableFormat,
    arrow_type,
    as_plain,
    as_type,
    assemble,
    library,
    plain_type,
    raw,
)
from genwright.data.table.json_lines import columns_in, flat, rebuilt
from genwright.data.table.sheets import SHEETS, as_csv, sheet_named
from genwright.data.table.sql import records
from genwright.errors import DataError

if TYPE_CHECKING:
    from _csv import Reader

    import pandas as pd
    import pyarrow as pa

__all__ = [
    "TableWriter",
    "head",
    "inspect",
    "reader_of",
    "row_count",
    "rows",
    "unmodelled",
    "write",
]

ROWS = 20_000
"""Rows of a chunk."""
DELIMITERS = ",;\t|"
BLANKS = ("  ", " ")
"""Delimiters of which any number may stand: two blanks or more, or one or more."""
FEW_BAD, BAD_SHARE = 3, 0.01
"""Bad rows are passed over up to the larger of these, and while more rows are good."""
WIDE = ("utf-16", "utf-32")
"""Encodings in which a byte alone is no character."""
_BLOCK = 1 << 20


def inspect(
    file: Path,
    delimiter: str | None = None,
    header: int | None = None,
    sheet: str | None = None,
    encoding: str | None = None,
) -> TableFormat:
    """The form of a file; `delimiter`, the line of the `header` (0: there is none), the `sheet` and the `encoding`
    where a person says so. Raises `DataError`."""
    with _reading(file):
        about = file.stat()
        if about.st_size == 0:
            raise DataError(
                f"{file.name} is empty (0 bytes); a table has a header and rows", code="empty-file"
            )
        return _inspected(file, delimiter, header, sheet, encoding, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _inspected(
    file: Path,
    delimiter: str | None,
    header: int | None,
    sheet: str | None,
    stated: str | None,
    size: int,
    changed: int,
) -> TableFormat:
    """Of a file as it is now: it is read to its end to be sure of its encoding, and asked for several times."""
    with _reading(file):
        suffix = _suffix(file)
        if suffix == ARROW:
            return _inspect_arrow(file)
        if suffix == ".parquet":
            return _inspect_parquet(file)
        if suffix in SHEETS:
            return _inspect_sheet(file, sheet, header)
        encoding = _encoding(file, stated)
        other = f"{file.name} is not UTF-8 and was read as {encoding}; set codec.encoding if letters look wrong"
        notes = () if stated or encoding.startswith("utf") else (other,)
        if suffix == ".jsonl":
            form = _inspect_jsonl(file, encoding)
            listed = (f"{file.name} is a list: what is made of it is written as JSON lines",)
            return replace(form, notes=(*notes, *(listed if is_array(file) else ()), *form.notes))
        with open_text(file, encoding) as stream:
            lines = list(islice(stream, 200))
        form = _inspect_lines(file, lines, delimiter or ("\t" if suffix == ".tsv" else None), header)
        return replace(form, suffix=suffix, encoding=encoding, notes=(*notes, *form.notes))


def _inspect_sheet(file: Path, sheet: str | None, header: int | None) -> TableFormat:
    sheet, others = sheet_named(file, sheet)
    form = _inspect_lines(file, list(islice(as_csv(file, sheet), 200)), ",", header)
    notes = [f"{file.name} is a workbook: what is made of it is written as CSV"]
    if others:
        notes.append(
            f"{file.name}: the sheet {sheet!r} is read, and not {', '.join(map(repr, others))}; set codec.sheet for "
            f"another"
        )
    return replace(form, sheet=sheet, notes=(*notes, *form.notes))


def row_count(file: Path, sheet: str | None = None) -> int:
    """About how many rows there are: by the size of a file and its beginning, of a packed one by its lines."""
    with _reading(file):
        if _suffix(file) == ARROW:
            return length(file)
        if _suffix(file) in SHEETS:
            return sum(1 for _ in as_csv(file, sheet_named(file, sheet)[0]))
        if _suffix(file) == ".parquet":
            with _parquet_file(file) as opened:
                return int(opened.metadata.num_rows)
        with open_unpacked(file) as stream:
            if is_packed(file) or is_array(file):
                return sum(block.count(b"\n") for block in iter(lambda: stream.read(_BLOCK), b""))
            head = stream.read(_BLOCK)
        size = len(head) if len(head) < _BLOCK else file.stat().st_size
        return round(size / max(1, len(head)) * head.count(b"\n"))


def rows(
    file: Path, form: TableFormat, notes: list[str], every: int = 1
) -> Iterator[tuple[pd.DataFrame, list[Rejected]]]:
    """The rows of a file, `ROWS` at a time, with what could not be read. Adds to `notes`.

    every  of how many rows one is enough: they are from all over the file, where it can be read so
    """
    read = {".parquet": _parquet, ".jsonl": _jsonl}.get(form.suffix, _delimited)
    read = _queried if form.query else read
    count, bad_rows, some = 0, 0, list[Rejected]()
    with _reading(file):
        sample = _sample(file, form, every) if every > 1 else None
        if every > 1 and sample is None:
            notes.append(beginning(file.name))
        if sample is not None:
            yield sample
            return
        for frame, bad, lines in read(file, form, notes):
            count, bad_rows = count + len(frame), bad_rows + lines
            some += bad[: 3 - len(some)]
            # Early only where it is beyond doubt: bad rows may stand close together.
            if bad_rows > 1000 and bad_rows > BAD_SHARE * (count + bad_rows):
                break
            frame.index = library("pandas").RangeIndex(count - len(frame), count)  # the rows of the file
            yield frame, bad
    if bad_rows > max(FEW_BAD, BAD_SHARE * (count + bad_rows)) or bad_rows > count:
        shown = "; ".join(f"{bad.name.removeprefix(file.name).strip()} {bad.reason}" for bad in some)
        raise DataError(
            f"{file.name}: {bad_rows:,} of {count + bad_rows:,} rows cannot be read ({shown}): "
            f"{_cause(form)}",
            code="too-many-bad-rows",
        )
    if not count:
        raise DataError(
            f"{file.name} has a header but no rows" if form.columns else f"{file.name} has no rows",
            code="no-rows",
        )


def head(file: Path, form: TableFormat, n: int) -> list[dict[str, Any]]:
    """Values by column of the whole rows among the first `n`, without reading on. Raises `DataError`."""
    if form.sheet or form.suffix not in (".csv", ".tsv"):
        frame, _ = next(rows(file, form, []))
        columns = {str(name): raw(frame[name].head(n)) for name in frame.columns}
        return [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    with _reading(file), open_text(file, form.encoding) as stream:
        reader = reader_of(islice(stream, form.skip, None), form.delimiter, form.spaces)
        first = islice((record for record in reader if record), int(form.header), n + int(form.header))
        try:
            whole = [record for record in first if len(record) == len(form.columns)]
        except csv.Error:  # said where the file is read for good
            return []
    return [dict(zip(form.columns, record, strict=True)) for record in whole]


def _sample(file: Path, form: TableFormat, every: int) -> tuple[pd.DataFrame, list[Rejected]] | None:
    """Rows from all over a file, and lines that are none; nothing where it cannot be read so."""
    if form.query or form.sheet or _suffix(file) == ARROW:
        return None
    if form.suffix == ".parquet":
        return _groups(file, form, every)
    above = form.skip + form.header if form.suffix != ".jsonl" else 0
    lines = [
        line
        for line in lines_apart(file, form.encoding, above, row_count(file) // every)
        if line[1].strip()
    ]
    good, bad = list[tuple[int, Sequence[Any]]](), list[Rejected]()
    if form.suffix == ".jsonl":
        for (number, _), found in zip(lines, _objects(file, lines), strict=True):
            if isinstance(found, Rejected):
                bad.append(found)
            else:
                row = flat(found)
                good.append((number, [row.get(name) for name in form.columns]))
    else:
        reader = csv.reader(
            (text for _, text in lines), delimiter=form.delimiter, skipinitialspace=form.spaces
        )
        for (number, _), record in zip(lines, reader, strict=False):
            if len(record) == len(form.columns):
                good.append((number, record))
            elif record:
                bad.append(Rejected(f"{file.name} line {number}", _ragged(record, len(form.columns), 1)))
        if reader.line_num > len(good) + len(bad):
            return None  # lines that are not rows: where one begins is not known
    if not good:
        return None
    numbers, records = zip(*good, strict=True)
    frame = assemble(dict(zip(form.columns, zip(*records, strict=True), strict=True)), form)
    frame.index = library("pandas").Index([number - above - 1 for number in numbers])
    return frame, bad


def _groups(file: Path, form: TableFormat, every: int) -> tuple[pd.DataFrame, list[Rejected]] | None:
    """The first rows of groups that are far apart."""
    pandas, frames, first = library("pandas"), list[Any](), 0
    with _parquet_file(file) as opened:
        n, many = opened.num_row_groups, opened.metadata.num_rows // every
        taken = {*range(0, n, -(-n // PLACES))}
        if len(taken) < 2:
            return None
        for group in range(n):
            if group in taken:
                batch = next(opened.iter_batches(-(-many // len(taken)), [group], list(form.columns)))
                frames.append(_framed(library("pyarrow").Table.from_batches([batch])))
                frames[-1].index += first
            first += opened.metadata.row_group(group).num_rows
    return pandas.concat(frames), []


def _cause(form: TableFormat) -> str:
    if form.suffix == ".jsonl":
        return 'a .jsonl file has one JSON object a line, such as {"a": 1, "b": "x"}'
    return (
        f"probably a text with {form.delimiter!r} or a line break in it lacks its quotes, or a quote is "
        f"never closed; mend these lines, or set codec.delimiter if it is another"
    )


def _suffix(file: Path) -> str:
    return Path(bare(file)).suffix


@contextmanager
def _reading(file: Path) -> Iterator[None]:
    """Say which file it was."""
    try:
        yield
    except BROKEN as error:
        raise DataError(
            f"{file.name} cannot be read, it may be damaged or cut off: {error}", code="damaged-file"
        ) from None
    except UnicodeError as error:
        raise DataError(
            f"{file.name} is not the text it says it is ({error}); save it as UTF-8",
            code="wrong-encoding",
        ) from None


# -- text ----------------------------------------------------------------------------------------


def _encoding(file: Path, stated: str | None) -> str:
    """UTF-16 if a mark says so; UTF-8 if it is, as what is made is; else what is stated, or the first of what it may be
    that all of the file is. Raises `DataError` for a file that is not what is stated."""
    with open_unpacked(file) as stream:
        if stream.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return "utf-16"
    name = codecs.lookup(stated).name if stated else ""
    tried = [name] if name.startswith(WIDE) else ["utf-8-sig", name] if name else encodings(file)
    found = next((one for one in tried if _decodes(file, one)), None)
    if found is None:
        raise DataError(
            f"{file.name} is not {stated}, as codec.encoding says: leave it out, and the encoding is found",
            code="not-as-stated",
        )
    return found


def _decodes(file: Path, encoding: str) -> bool:
    """Whether all of a file is text of an encoding. Raises `DataError` where it is none at all."""
    decoder, wide = codecs.getincrementaldecoder(encoding)(), encoding.startswith(WIDE)
    with open_unpacked(file) as stream:
        while block := stream.read(_BLOCK):
            if b"\0" in block and not wide:
                raise DataError(
                    f"{file.name} is binary: it holds NUL bytes; export it as text in UTF-8, or give it "
                    f"the suffix of what it is",
                    code="binary-file",
                )
            try:
                decoder.decode(block)
            except UnicodeDecodeError:
                return False
        try:
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _inspect_lines(
    file: Path, lines: Sequence[str], delimiter: str | None, header: int | None
) -> TableFormat:
    """By the first lines of a text."""
    notes: tuple[str, ...] = ()
    if not any(line.strip() for line in lines):
        raise DataError(f"{file.name} is empty; a table has a header and rows", code="empty-file")
    declared = _DECLARED.fullmatch(lines[0].strip())
    fixed = delimiter or (declared and declared[1].replace("\\t", "\t"))
    skip = max(header - 1, 0) if header is not None else 1 if declared else 0
    used = fixed or max(DELIMITERS, key=lambda d: _agreement(lines[skip:], d))
    if not fixed and (blanks := _blanks(lines[skip:], used)):
        used = blanks
        notes += (
            f"{file.name}: its values are separated by {'two or more ' * (used == '  ')}blanks; if that is wrong, set "
            f"codec.delimiter",
        )
    if header is None and (titles := _titles(lines[skip:], used)):
        skip += titles
        notes += (
            f"{file.name}: line {skip + 1} is taken for the first of the table, and what stands above it is left out; "
            f"if another names the columns, set codec.header to its number",
        )
    elif header is None and declared:
        notes += (f"{file.name}: the first line says what separates the values, and is left out",)
    first, *others = [record for record in _records(lines[skip:], used) if record] or [[""]]
    rest = [record for record in others if len(record) == len(first)]
    _check_delimiter(file, first, used)
    named = header != 0 if header is not None else not _is_row(first, rest)
    spaces = _spaces(first if named else [], rest if named else [first, *rest])
    if not named:
        if header is None:
            shown = ", ".join(first[:3])
            notes += (
                f"{file.name} seems to have no header, since its first line ({shown}, ...) is like the others: the "
                f"columns are called column_1 and so on; if that line names them, set codec.header to {skip + 1}",
            )
        first = [f"column_{i}" for i in range(1, len(first) + 1)]
    names = [(name.lstrip(" ") if spaces else name) or f"Unnamed: {i}" for i, name in enumerate(first)]
    return TableFormat(".csv", _unique(file, names), used, spaces, skip=skip, header=named, notes=notes)


_DECLARED = re.compile(r'"?sep=(\\t|[^\w"])"?[,;]*', re.I)
"""A first line for Excel."""


def _check_delimiter(file: Path, first: Sequence[str], used: str) -> None:
    if len(first) == 1 and (others := [d for d in DELIMITERS if d != used and d in first[0]]):
        raise DataError(
            f"{file.name} has a single column {first[0]!r}: its values seem to be separated by "
            f"{others[0]!r} and not by {used!r}; set codec.delimiter to {others[0]!r}",
            code="wrong-delimiter",
        )


def _blanks(lines: Sequence[str], used: str) -> str:
    """Which blanks separate the values, where nothing else does: in nearly all lines as many, the first among them;
    and single blanks only where that makes numbers, since a text has them too."""
    if _agreement(lines, used)[1]:
        return ""
    for delimiter in BLANKS:
        records = [record for record in _records(lines, delimiter) if record]
        share, width = _agreement(lines, delimiter)
        if share < 0.95 or len(records) < 3 or len(records[0]) != width:
            continue
        columns = zip(*(record for record in records[1:] if len(record) == width), strict=True)
        if delimiter == "  " or any({*map(_kind, column)} == {"number"} for column in columns):
            return delimiter
    return ""


def reader_of(lines: Iterable[str], delimiter: str, spaces: bool = False) -> Reader:
    """Values of lines. Raises `csv.Error`, here and later."""
    if delimiter in BLANKS:
        lines = (
            re.sub(" {2,}", _GAP, line.strip()) if delimiter == "  " else line.strip() for line in lines
        )
        return csv.reader(lines, delimiter=_GAP if delimiter == "  " else " ", skipinitialspace=True)
    return csv.reader(lines, delimiter=delimiter, skipinitialspace=spaces)


_GAP = "\x1f"
"""The unit separator of ASCII."""


def _records(lines: Sequence[str], delimiter: str) -> list[list[str]]:
    try:
        return list(reader_of(lines, delimiter))
    except csv.Error:
        return [[""]]


def _agreement(lines: Sequence[str], delimiter: str) -> tuple[float, int]:
    """How well a delimiter cuts all lines into as many values; (0, 0) where it cuts none."""
    widths = Counter(len(record) for record in _records(lines, delimiter) if record)
    width, count = widths.most_common(1)[0] if widths else (1, 0)
    same = count / max(widths.total(), 1)
    return (round(same, 2), width) if width > 1 and same >= 0.5 else (0.0, 0)


def _titles(lines: Sequence[str], delimiter: str) -> int:
    """Lines above the table: a few that hold one value, or less than half as many as nearly all others."""
    records = [
        (record, i) for i, line in enumerate(lines[:20]) for record in _records([line], delimiter)
    ]
    widths = Counter(len(record) for record in _records(lines, delimiter) if record)
    width, count = widths.most_common(1)[0]

    def is_title(record: list[str]) -> bool:
        filled = sum(value.strip() != "" for value in record)
        return not record or len(record) < width / 2 or (filled < 2 and record[0].strip() != "")

    if width < 2 or count < 0.8 * widths.total() or not records or not is_title(records[0][0]):
        return 0
    return next((i for record, i in records if not is_title(record) and len(record) == width), 0)


def _is_row(first: Sequence[str], rest: Sequence[Sequence[str]]) -> bool:
    """Whether the first line is a row like the rest, and names nothing: in each column of numbers or dates it holds
    one too, and these are no years nor a count, which name columns as well; or each of its texts comes again."""
    alike = []
    for name, *values in zip(first, *rest, strict=True) if rest else ():
        kinds = {_kind(value) for value in values} - {""}
        if kinds and kinds <= {"number", "date"}:
            if _kind(name) not in kinds:
                return False
            alike.append(name)
        elif name.strip() and name not in values and 2 * len(set(values)) < len(values):
            return False
    if not alike:
        columns = list(zip(*rest, strict=True))
        again = [name in values for name, values in zip(first, columns, strict=True)] if rest else []
        return len(rest) >= 10 and len(again) > 1 and all(again)
    numbers = [parse_number(name) for name in alike]
    whole = [int(number) for number in numbers if number is not None and number % 1 == 0]
    counted = len(whole) == len(alike) and {b - a for a, b in pairwise(whole)} == {1}
    return not counted and not all(
        1900 <= number <= 2100 for number in [*whole, *[0] * (len(alike) - len(whole))]
    )


def _kind(value: str) -> str:
    if not value.strip():
        return ""
    if parse_number(value) is not None:
        return "number"
    return "date" if re.fullmatch(r"\s*\d{1,4}[-/.:]\d{1,2}([-/.: T].*)?", value) else "text"


def _spaces(names: Sequence[str], rows: Sequence[Sequence[str]]) -> bool:
    """Whether blanks that follow a delimiter belong to it: those of a column all have them, or none has."""
    columns = [[value for value in column if value] for column in zip(*rows, strict=True)]
    led = [{value.startswith(" ") for value in column} for column in columns]
    if any(len(some) > 1 for some in led):
        return False
    header = len(names) > 1 and all(name.startswith(" ") for name in names[1:])
    return {True} in led[1:] or header


def _unique(file: Path, names: Sequence[str]) -> tuple[str, ...]:
    double = sorted({name for name in names if names.count(name) > 1})
    if double:
        raise DataError(
            f"{file.name} has several columns named {', '.join(map(repr, double))}; rename all but one",
            code="twin-columns",
        )
    return tuple(names)


Rows = Iterator[tuple["pd.DataFrame", list[Rejected], int]]
"""Some rows, what could not be read on the way, and how many lines that were."""


def _delimited(file: Path, form: TableFormat, notes: list[str]) -> Rows:
    width, good, bad, lost = len(form.columns), list[list[str]](), list[Rejected](), 0
    with as_csv(file, form.sheet) if form.sheet else open_text(file, form.encoding) as stream:
        above = len(list(islice(stream, form.skip)))
        reader = reader_of(stream, form.delimiter, form.spaces)
        end = 0  # of the record before
        try:
            if form.header:
                next(record for record in reader if record)
            end = reader.line_num
            for record in reader:
                if len(record) == width:
                    good.append(record)
                elif record:
                    bad.append(
                        Rejected(
                            f"{file.name} line {above + end + 1}",
                            _ragged(record, width, reader.line_num - end),
                        )
                    )
                    lost += reader.line_num - end
                end = reader.line_num
                if len(good) == ROWS:
                    yield (
                        assemble(dict(zip(form.columns, zip(*good, strict=True), strict=True)), form),
                        bad,
                        lost,
                    )
                    good, bad, lost = [], [], 0
        except csv.Error:
            raise DataError(
                f"{file.name} line {above + end + 1}: a value is longer than {csv.field_size_limit():,} "
                f"characters; probably a quote that opens there is never closed",
                code="value-too-long",
            ) from None
    columns = zip(*good, strict=True) if good else [()] * width
    yield assemble(dict(zip(form.columns, columns, strict=True)), form), bad, lost


def _queried(file: Path, form: TableFormat, notes: list[str]) -> Rows:
    for some in records(file, form, ROWS):
        columns = dict(zip(form.columns, zip(*some, strict=True), strict=True))
        yield assemble(columns, form), [], 0


def _ragged(record: Sequence[str], width: int, lines: int) -> str:
    over = f" and spans {lines} lines, as if a quote were never closed" if lines > 1 else ""
    return f"has {len(record)} values where the header has {width}{over}"


# -- JSON ----------------------------------------------------------------------------------------


def _objects(file: Path, lines: Iterable[NumberedLine]) -> Iterator[dict[str, Any] | Rejected]:
    for line, text in lines:
        if not text.strip():
            continue
        try:
            found = json.loads(text, parse_constant=lambda name: None if name == "NaN" else float(name))
        except (ValueError, RecursionError):
            yield Rejected(f"{file.name} line {line}", "is no JSON")
            continue
        if not isinstance(found, dict):
            yield Rejected(f"{file.name} line {line}", "is no JSON object")
            continue
        yield found


def _inspect_jsonl(file: Path, encoding: str) -> TableFormat:
    """The columns: all that the first rows hold. Raises `DataError` where none of them is an object."""
    with open_text(file, encoding) as stream:
        first = list(islice(_objects(file, enumerate(stream, 1)), ROWS))
    found = columns_in(one for one in first if isinstance(one, dict))
    if not found.names and not found.records:
        reasons = [f" ({one.name} {one.reason})" for one in first if isinstance(one, Rejected)]
        form = TableFormat(".jsonl", ())
        raise DataError(
            f"{file.name} holds no row{next(iter(reasons), '')}: {_cause(form)}", code="no-rows"
        )
    notes = tuple(
        f"column {name!r} holds lists of objects or of lists and is left out" for name in found.records
    )
    lists, within = (tuple(n for n in some if n in found.names) for some in (found.lists, found.within))
    return TableFormat(
        ".jsonl",
        tuple(found.names),
        encoding=encoding,
        within=within,
        lists=lists,
        records=tuple(found.records),
        notes=notes,
    )


def _jsonl(file: Path, form: TableFormat, notes: list[str]) -> Rows:
    late = set[str]()
    with open_text(file, form.encoding) as stream:
        objects = _objects(file, enumerate(stream, 1))
        while some := list(islice(objects, ROWS)):
            good = [flat(found) for found in some if isinstance(found, dict)]
            bad = [found for found in some if isinstance(found, Rejected)]
            late.update(*good)
            columns = {name: [found.get(name) for found in good] for name in form.columns}
            yield assemble(columns, form), bad, len(bad)
    if late := late.difference(form.columns):
        notes.append(
            f"{file.name}: {', '.join(map(repr, sorted(late)))} came only after {ROWS:,} rows and is "
            f"left out"
        )


# -- Parquet -------------------------------------------------------------------------------------


@contextmanager
def _parquet_file(file: Path) -> Iterator[Any]:
    arrow = library("pyarrow")
    try:
        with file.open("rb") as stream, library("pyarrow.parquet").ParquetFile(stream) as opened:
            yield opened
    except arrow.ArrowException as error:
        raise DataError(
            f"{file.name} is no Parquet file that can be read: {error}", code="damaged-file"
        ) from None


def _inspect_parquet(file: Path) -> TableFormat:
    return _typed_form(file, _schema(file))


def _inspect_arrow(file: Path) -> TableFormat:
    form = _typed_form(file, _schema(file))
    note = f"{file.name} is a table of Arrow: what is made of it is written as Parquet"
    return replace(form, notes=(note, *form.notes))


def _schema(file: Path) -> pa.Schema:
    about = file.stat()
    return _schema_of(file, about.st_size, about.st_mtime_ns)


@lru_cache(maxsize=64)
def _schema_of(file: Path, size: int, changed: int) -> pa.Schema:
    """Of a file as it is now: asked for several times, and of an Arrow file its first rows are read for it."""
    if _suffix(file) == ARROW:
        first = next(batches(file, 1), None)
        if first is None:
            raise DataError(f"{file.name} has no rows", code="no-rows")
        return first.schema
    with _parquet_file(file) as opened:
        return opened.schema_arrow


def unmodelled(file: Path) -> dict[str, str]:
    """Columns of types such as lists of objects, which no column of a table can hold, each with its type."""
    if _suffix(file) == ".jsonl":
        return dict.fromkeys(inspect(file).records, "list of objects")
    if _suffix(file) not in (".parquet", ARROW):
        return {}
    with _reading(file):
        types = {field.name: str(field.type) for field in _schema(file)}
    return {name: kind for name, kind in types.items() if plain_type(arrow_type(kind)) is None}


def _typed_form(file: Path, schema: pa.Schema) -> TableFormat:
    # pandas keeps an index that has no name in such a column; it is no part of the table.
    fields = [field for field in schema if not re.fullmatch(r"__index_level_\d+__", field.name)]
    kept = [field for field in fields if plain_type(arrow_type(str(field.type))) is not None]
    notes = tuple(
        f"column {field.name!r} is of type {field.type} and is left out"
        for field in fields
        if field not in kept
    )
    names = _unique(file, [field.name for field in kept])
    return TableFormat(".parquet", names, types=tuple(str(field.type) for field in kept), notes=notes)


@contextmanager
def _tables(file: Path, columns: list[str]) -> Iterator[Iterator[pa.Table]]:
    """Some rows at a time."""
    if _suffix(file) == ARROW:
        yield (table.select(columns) for table in batches(file, ROWS))
        return
    arrow = library("pyarrow")
    with _parquet_file(file) as opened:
        found = opened.iter_batches(batch_size=ROWS, columns=columns)
        yield (arrow.Table.from_batches([batch]) for batch in found)


def _parquet(file: Path, form: TableFormat, notes: list[str]) -> Rows:
    with _tables(file, list(form.columns)) as tables:
        for table in tables:
            yield _framed(table), [], 0


def _framed(table: pa.Table) -> pd.DataFrame:
    """Some rows in the types that are worked on."""
    columns = [as_plain(column) for column in table.columns]
    table = library("pyarrow").Table.from_arrays(columns, names=table.column_names)
    frame: pd.DataFrame = table.to_pandas(
        types_mapper=library("pandas").ArrowDtype, ignore_metadata=True
    )
    return frame


# -- out -----------------------------------------------------------------------------------------


def write(frame: pd.DataFrame, form: TableFormat, folder: Path) -> Path:
    """`samples.csv`, or what the form says; `pandas` reads it back as it reads the input.

    A text that a spreadsheet would take for a formula (=1+1) is written as it is: a table that is
    read back must not change.
    """
    writer = TableWriter(form, folder)
    try:
        writer.add(frame)
    finally:
        writer.close()
    return writer.file


class TableWriter:
    """Rows behind each other. A text is whole after each `add`, a Parquet file after `close`."""

    def __init__(self, form: TableFormat, folder: Path, name: str = "samples") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.form, self.file = form, folder / f"{name}{form.suffix}"
        self._parquet: Any = None
        self._stream: Any = None
        if form.suffix != ".parquet":
            self._stream = self.file.open("w", encoding="utf-8", newline="")
        self._begun = False

    def add(self, frame: pd.DataFrame) -> None:
        columns = {str(name): raw(frame[name]) for name in frame.columns}
        if self.form.suffix == ".parquet":
            self._add_parquet(frame)
        elif self.form.suffix == ".jsonl":
            for row in zip(*columns.values(), strict=True):
                clean = {
                    k: None if v is None or v != v else v for k, v in zip(columns, row, strict=True)
                }
                line = rebuilt(clean, self.form.within, self.form.lists)
                self._stream.write(json.dumps(line, ensure_ascii=False) + "\n")
        else:
            names = [tuple(columns)] if self.form.header and not self._begun else []
            self._add_lines(chain(names, zip(*columns.values(), strict=True)))
        self._begun = True
        if self._stream is not None:
            self._stream.flush()

    def _add_lines(self, records: Iterable[Sequence[str]]) -> None:
        delimiter = self.form.delimiter
        if delimiter == "  ":
            self._stream.writelines(f"{delimiter.join(record)}\n" for record in records)
        else:
            self._stream.write(csv_rows(records, delimiter))

    def _add_parquet(self, frame: pd.DataFrame) -> None:
        arrow = library("pyarrow")
        types = dict(zip(self.form.columns, self.form.types, strict=True)) if self.form.types else {}
        arrays = {}
        for name in frame.columns:
            array = arrow.array(frame[name])
            kind = arrow_type(types[name]) if name in types else array.type
            arrays[name] = as_type(array, kind)
        table = arrow.table(arrays)
        if self._parquet is None:
            self._parquet = library("pyarrow.parquet").ParquetWriter(self.file, table.schema)
        self._parquet.write_table(table)

    def close(self) -> None:
        for opened in (self._stream, self._parquet):
            if opened is not None:
                opened.close()
