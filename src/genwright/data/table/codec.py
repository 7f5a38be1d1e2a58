"""Tables: CSV, TSV, Parquet, JSON lines, workbooks and databases to rows of spans, and back.

An example is one row. Reading gives frames of pandas; `readers.py` knows the files, `field.py` what a row
becomes, `data/columns` the columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, time, timedelta
from decimal import Decimal
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genwright.data.arrow import ARROW, about
from genwright.data.codec import (
    AS_READ,
    Appender,
    Codec,
    OneFile,
    Preview,
    ReadOptions,
    Rejected,
    Rows,
    Source,
    Values,
    write_once,
)
from genwright.data.columns.field import ColumnField
from genwright.data.columns.infer import KINDS
from genwright.data.containers import Examples, ObjectForm, as_table, plain
from genwright.data.encodings import check_encoding
from genwright.data.field import Field
from genwright.data.packed import with_packed
from genwright.data.table.field import RowField
from genwright.data.table.frames import TableFormat, assemble, is_list, library, raw
from genwright.data.table.json_lines import listed
from genwright.data.table.readers import BLANKS, TableWriter, inspect, row_count, rows, unmodelled
from genwright.data.table.rewriting import Rewriter
from genwright.data.table.sheets import SHEETS
from genwright.data.table.sql import DATABASES, Address, count_rows, form_of, is_database, records
from genwright.errors import DataError, RecipeError, suggest
from genwright.options import Count, Natural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableCodec"]

ENOUGH = 200_000
"""Values that are enough to look at."""
SINGLE = (str, int, float, bool, Decimal, date, time, timedelta, type(None))
"""What a cell holds."""


class TableCodec(Codec):
    """Rows of a table.

    max_categories    texts of a column that get a symbol each; the rarer ones share one
    delimiter         between the values of a CSV ("tab" for a tab, " " for blanks, "  " for two or more); None:
                      find it
    header            the line of a CSV that names its columns, from 1; 0: none does; None: find it
    sheet             of a workbook; None: the first with rows
    encoding          of a CSV or of JSON lines; None: UTF-8, or else what it looks like
    table             of a database; None: its only one
    query             of a database, instead of a table: what SELECT gives
    types             by column: continuous, integer, composite, tags, categorical, boolean, datetime, identifier
                      or constant, where what the values look like is wrong
    drop              columns to leave out of the rows: such a one is neither learnt nor made, but can still be given,
                      or say what rows belong together (data.group)
    fit_rows          rows kept in memory to learn from; a larger training split is sampled
    """

    reads = (*with_packed(".csv", ".tsv", ".jsonl"), ".parquet", ARROW, *SHEETS, *DATABASES)
    main = "row"
    field_types = (RowField, ColumnField)
    default_family = "autoregressive"
    plural = "rows"
    later = frozenset({"header", "sheet", "encoding", "table", "query", "drop"})
    forms = ("csv", "parquet")
    rewrites = True

    def __init__(
        self,
        *,
        max_categories: Count = 100,
        delimiter: str | None = None,
        header: Natural | None = None,
        sheet: str | None = None,
        encoding: str | None = None,
        table: str | None = None,
        query: str | None = None,
        types: dict[str, str] | None = None,
        drop: list[str] | None = None,
        fit_rows: Count = 100_000,
    ) -> None:
        delimiter = "\t" if delimiter == "tab" else delimiter
        if (
            delimiter is not None
            and delimiter not in BLANKS
            and (len(delimiter) != 1 or delimiter in '"\r\n')
        ):
            raise RecipeError(
                f"codec.delimiter is one character or 'tab', got {delimiter!r}", code="bad-delimiter"
            )
        check_encoding(encoding)
        for name, kind in (types or {}).items():
            if kind not in KINDS:
                raise RecipeError(
                    f"codec.types.{name} cannot be {kind!r}; {suggest(kind, KINDS)}",
                    code="unknown-column-type",
                )
        self.max_categories, self.delimiter, self.fit_rows = max_categories, delimiter, fit_rows
        self.header, self.types, self.drop = header, dict(types or {}), tuple(drop or ())
        self._sheet, self._encoding, self._table, self._query = sheet, encoding, table, query

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """By their suffixes; those of databases are also of other things, and tables may hold pictures or sounds."""
        read = [file for file in super().own(files) if file.suffix != ARROW or not about(file).files]
        return [file for file in read if file.suffix.lower() not in DATABASES or is_database(file)]

    @classmethod
    def because(cls, files: Sequence[Path]) -> str:
        file = next(iter(files), None)
        if file is None or file.suffix.lower() in DATABASES or isinstance(file, Address):
            return super().because(files)
        names = inspect(file).columns
        return (
            f"{len(names):,} columns, in which each row stands for itself: no kind of data that lies in tables "
            f"was recognised in them"
        )

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        first = _first(source)
        row = RowField(
            self._form(first, options.made),
            max_categories=self.max_categories,
            types=self.types,
            fit_rows=self.fit_rows,
            grouped=options.group is not None,
        )
        return {
            self.main: row,
            **{name: ColumnField(name) for name in self._inspect(first).columns if name != self.main},
        }

    def _inspect(self, file: Path) -> TableFormat:
        if is_database(file):
            return form_of(file, self._table, self._query)
        return inspect(file, self.delimiter, self.header, self._sheet, self._encoding)

    def _form(self, file: Path, made: bool = False) -> TableFormat:
        """Of what is modelled of a file. Raises `DataError` for a column that cannot be, unless it is left out.

        made  whether the file was made, so that what was left out before may not be there
        """
        form, none = self._inspect(file), {} if is_database(file) else unmodelled(file)
        for name, kind in none.items():
            if name not in self.drop:
                raise DataError(
                    f"{file.name}: column {name!r} is of type {kind}, which cannot be modelled; turn it into numbers, "
                    f"text or dates, or leave it out (--set codec.drop={name})",
                    code="unknown-column-type",
                )
        gone = {*none} if not made else {name for name in self.drop if name not in form.columns}
        return form.without([name for name in self.drop if name not in gone])

    def labels(self, source: Source) -> list[str]:
        """The names of all columns but those that are left out: each can be given."""
        return [name for name in self._inspect(_first(source)).columns if name not in self.drop]

    def count(self, source: Source) -> int:
        return sum(
            count_rows(file, self._inspect(file)) if is_database(file) else row_count(file, self._sheet)
            for file in source.files
        )

    def companions(self, source: Source, options: ReadOptions = AS_READ) -> list[Path]:
        """What SQLite has not yet written into a database itself."""
        files = [file for file in source.files if file.suffix.lower() in DATABASES and file.is_file()]
        return [wal for file in files if (wal := file.with_name(f"{file.name}-wal")).is_file()]

    def stamp(self, source: Source, *, exact: bool) -> bytes:
        """Of a database that is no file: all that a query gives, or how many rows that are."""
        if not isinstance(source.root, Address):
            return b""
        form, found = self._inspect(source.root), blake2b(str(source.root).encode(), digest_size=16)
        for some in records(source.root, form, ENOUGH) if exact else [count_rows(source.root, form)]:
            found.update(repr(some).encode())
        return found.digest()

    def enough(self, source: Source) -> int:
        return ENOUGH // max(1, len(self._inspect(_first(source)).columns))

    def units(self, source: Source, total: int) -> int:
        return total

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Whole rows, with pandas frames as values. The columns of a text file are all text."""
        library("pandas")
        first = _first(source)
        forms = [self._inspect(file) for file in source.files]
        form = self._form(first, options.made)
        for file, other in zip(source.files, forms, strict=True):
            _same(first, forms[0], file, other)
        others = [name for name in fields if name != self.main]
        notes = list(dict.fromkeys(note for other in forms for note in other.notes))
        seen = len(notes)
        for file, other in zip(source.files, forms, strict=True):
            for frame, rejected in rows(file, other, notes, options.every):
                found = self._rows(frame, form.columns, rejected, others, options)
                found.notes = list(notes)
                seen = len(notes)
                yield found
        if len(notes) > seen:  # what a file tells only at its end
            nothing = assemble(dict.fromkeys(forms[0].columns, ()), forms[0])
            found = self._rows(nothing, form.columns, [], others, options)
            found.notes = list(notes)
            yield found

    def _rows(
        self,
        frame: pd.DataFrame,
        kept: Sequence[str],
        rejected: list[Rejected],
        others: Sequence[str],
        options: ReadOptions,
    ) -> Rows:
        columns = {name: raw(frame[name]) for name in dict.fromkeys((*kept, *others))}
        keys = [
            blake2b(repr(row).encode(), digest_size=16).hexdigest()
            for row in zip(*columns.values(), strict=True)
        ]
        groups = None if options.group is None else [str(value) for value in raw(frame[options.group])]
        values: dict[str, Values] = {self.main: frame[list(kept)]}
        return Rows(
            values | {name: columns[name] for name in others}, keys, groups=groups, rejected=rejected
        )

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def takes(cls, examples: Examples) -> float:
        """Rows of single values, or lists of them, under a name each."""
        if examples.table is not None:
            return 0.5
        values = [plain(value) for row in examples.head for value in row.values()]
        return 0.5 if "" not in examples.names and all(map(_is_cell, values)) else 0.0

    @classmethod
    def keep(cls, examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
        """As Parquet, which keeps their types."""
        table = examples.table
        if table is None:
            columns: dict[str, list[Any]] = {}
            for i, row in enumerate(examples.rows()):
                for name, value in row.items():
                    columns.setdefault(name, [None] * i).append(plain(value))
                for values in columns.values():  # of what this row lacks
                    values += [None] * (i + 1 - len(values))
            table = as_table(columns)
        file = folder / "rows.parquet"
        library("pyarrow.parquet").write_table(table, file)
        return file, {field.name: {"list": True} for field in table.schema if is_list(field.type)}

    def returned(
        self, values: Mapping[str, Values], forms: Mapping[str, ObjectForm]
    ) -> dict[str, Sequence[Any]]:
        """The columns of rows beside the others."""
        row = values.get(self.main, ())
        if not hasattr(row, "columns"):
            return super().returned(values, forms)
        others = {name: list(some) for name, some in values.items() if name != self.main}
        found = {str(name): raw(row[name]) for name in row.columns}
        return others | {k: list(map(listed, v)) if k in forms else v for k, v in found.items()}

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`samples.csv`, `.tsv`, `.jsonl` or `.parquet`, as the input was."""
        return write_once(_Appended(self._row(fields), folder), values)

    def one_file(self, fields: Mapping[str, Field], suffix: str) -> OneFile | None:
        if suffix == self._row(fields).form.suffix:
            return OneFile(None, (suffix,))
        form = suffix.removeprefix(".")
        return OneFile(form, (suffix,)) if form in self.forms else None

    def appender(
        self, fields: Mapping[str, Field], folder: Path, form: str | None = None, name: str = ""
    ) -> Appender:
        """As CSV in any case, as Parquet with the numbers as numbers."""
        return _Appended(self._row(fields), folder, form, name)

    def rewriter(self, file: Path, folder: Path, name: str) -> Appender:
        """Text as it stands, with values in the place of gaps; of other files the same table."""
        return Rewriter(file, self._inspect(file), folder, name)

    def _row(self, fields: Mapping[str, Field]) -> RowField:
        row = fields[self.main]
        assert isinstance(row, RowField)
        return row

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The head of the table."""
        head = values[self.main].iloc[:12]
        cells = zip(*(raw(head[name]) for name in head.columns), strict=True)
        body = (tuple("" if v is None or v != v else str(v) for v in row) for row in cells)
        return Preview("rows", rows=(tuple(map(str, head.columns)), *body))


def _is_cell(value: Any) -> bool:
    several = value if isinstance(value, list) else [value]
    return all(isinstance(one, SINGLE) for one in several)


class _Appended:
    """Rows in the order of the input's columns, behind each other in one file."""

    def __init__(self, row: RowField, folder: Path, form: str | None = None, name: str = "") -> None:
        self.row = row
        self.form = row.form if form is None else row.form.written_as(f".{form}", row.number_types)
        self.writer = TableWriter(self.form, folder, name or "samples")

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        frame = values[TableCodec.main]
        found: dict[str, Any] = {str(name): frame[name] for name in frame.columns}
        found |= {k: list(some) for k, some in values.items() if k not in (TableCodec.main, *found)}
        ordered = {name: found[name] for name in self.form.columns if name in found}
        self.writer.add(assemble(ordered | found, self.form))
        return [self.writer.file]

    def close(self) -> None:
        self.writer.close()


def _first(source: Source) -> Path:
    if not source.files:
        raise DataError(
            f"{source.root} holds no table; wanted {TableCodec.suffixes()}", code="no-usable-files"
        )
    return source.files[0]


def _same(first: Path, form: TableFormat, file: Path, other: TableFormat) -> None:
    """Raise `DataError` unless two files of one source hold one table."""
    typed = {".parquet", ".jsonl"}
    if other.suffix != form.suffix and {other.suffix, form.suffix} & typed:
        raise DataError(
            f"{file.name} is not of one form with {first.name}; give files of one form",
            code="files-of-several-forms",
        )
    if set(other.columns) != set(form.columns):
        missing = [repr(name) for name in form.columns if name not in other.columns]
        added = [repr(name) for name in other.columns if name not in form.columns]
        differs = " and ".join(
            f"{verb} {', '.join(names)}"
            for verb, names in (("lacks", missing), ("adds", added))
            if names
        )
        raise DataError(
            f"{file.name} does not have the columns of {first.name} (it {differs}); all files of one "
            f"table have the same columns: move it elsewhere or mend it",
            code="columns-differ",
        )
