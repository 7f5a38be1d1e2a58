"""Tables: CSV, TSV, Parquet and JSON lines to rows of spans, and back.

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

from genwright.data.codec import AS_READ, Codec, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.columns.infer import KINDS
from genwright.data.containers import Examples, ObjectForm, as_table, plain
from genwright.data.field import Field
from genwright.data.table.field import RowField
from genwright.data.table.frames import TableFormat, assemble, library, raw
from genwright.data.table.readers import inspect, row_count, rows, write
from genwright.errors import DataError, RecipeError, suggest
from genwright.options import Count, Natural

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableCodec"]

ENOUGH = 500_000
"""Values that are enough to look at."""
SINGLE = (str, int, float, bool, Decimal, date, time, timedelta, type(None))
"""What a cell holds."""


class TableCodec(Codec):
    """Rows of a table.

    max_categories    texts of a column that get a symbol each; the rarer ones share one
    delimiter         between the values of a CSV ("tab" for a tab); None: find it
    header            the line of a CSV that names its columns, from 1; 0: none does; None: find it
    types             by column: continuous, integer, categorical, boolean, datetime, identifier or
                      constant, where what the values look like is wrong
    fit_rows          rows kept in memory to learn from; a larger training split is sampled
    """

    reads = (".csv", ".tsv", ".parquet", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")
    main = "row"
    field_types = (RowField, ColumnField)
    default_family = "autoregressive"
    plural = "rows"
    later = frozenset({"header"})

    def __init__(
        self,
        *,
        max_categories: Count = 100,
        delimiter: str | None = None,
        header: Natural | None = None,
        types: dict[str, str] | None = None,
        fit_rows: Count = 100_000,
    ) -> None:
        delimiter = "\t" if delimiter == "tab" else delimiter
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise RecipeError(
                f"codec.delimiter is one character or 'tab', got {delimiter!r}", code="bad-delimiter"
            )
        for name, kind in (types or {}).items():
            if kind not in KINDS:
                raise RecipeError(
                    f"codec.types.{name} cannot be {kind!r}; {suggest(kind, KINDS)}",
                    code="unknown-column-type",
                )
        self.max_categories, self.delimiter, self.fit_rows = max_categories, delimiter, fit_rows
        self.header, self.types = header, dict(types or {})

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        form = self._inspect(_first(source))
        row = RowField(
            form, max_categories=self.max_categories, types=self.types, fit_rows=self.fit_rows
        )
        return {
            self.main: row,
            **{name: ColumnField(name) for name in form.columns if name != self.main},
        }

    def _inspect(self, file: Path) -> TableFormat:
        return inspect(file, self.delimiter, self.header)

    def labels(self, source: Source) -> list[str]:
        """The names of all columns: each can be given."""
        return list(self._inspect(_first(source)).columns)

    def count(self, source: Source) -> int:
        return sum(row_count(file) for file in source.files)

    def enough(self, source: Source) -> int:
        return ENOUGH // max(1, len(self._inspect(_first(source)).columns))

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Whole rows, with pandas frames as values. The columns of a text file are all text."""
        library("pandas")
        first = _first(source)
        forms = [self._inspect(file) for file in source.files]
        form = forms[0]
        for file, other in zip(source.files, forms, strict=True):
            _same(first, form, file, other)
        others = [name for name in fields if name != self.main]
        notes = list(dict.fromkeys(note for other in forms for note in other.notes))
        seen = len(notes)
        for file, other in zip(source.files, forms, strict=True):
            for frame, rejected in rows(file, other, notes):
                found = self._rows(frame[list(form.columns)], rejected, others, options)
                found.notes = list(notes)
                seen = len(notes)
                yield found
        if len(notes) > seen:  # what a file tells only at its end
            nothing = assemble(dict.fromkeys(form.columns, ()), form)
            found = self._rows(nothing, [], others, options)
            found.notes = list(notes)
            yield found

    def _rows(
        self, frame: pd.DataFrame, rejected: list[Rejected], others: Sequence[str], options: ReadOptions
    ) -> Rows:
        columns = {name: raw(frame[name]) for name in frame.columns}
        keys = [
            blake2b(repr(row).encode(), digest_size=16).hexdigest()
            for row in zip(*columns.values(), strict=True)
        ]
        groups = None if options.group is None else [str(value) for value in columns[options.group]]
        values: dict[str, Values] = {self.main: frame}
        return Rows(
            values | {name: columns[name] for name in others}, keys, groups=groups, rejected=rejected
        )

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def takes(cls, examples: Examples) -> float:
        """Rows of single values under a name each."""
        if examples.table is not None:
            return 0.5
        values = [plain(value) for row in examples.head for value in row.values()]
        return (
            0.5 if "" not in examples.names and all(isinstance(one, SINGLE) for one in values) else 0.0
        )

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
        return file, {}

    def returned(
        self, values: Mapping[str, Values], forms: Mapping[str, ObjectForm]
    ) -> dict[str, Sequence[Any]]:
        """The columns of rows beside the others."""
        row = values.get(self.main, ())
        if not hasattr(row, "columns"):
            return super().returned(values, forms)
        others = {name: list(some) for name, some in values.items() if name != self.main}
        return others | {str(name): raw(row[name]) for name in row.columns}

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
        row = fields[self.main]
        assert isinstance(row, RowField)
        form, frame = row.form, values[self.main]
        found = {str(name): raw(frame[name]) for name in frame.columns}
        found |= {name: list(some) for name, some in values.items() if name not in (self.main, *found)}
        ordered = {name: found[name] for name in form.columns if name in found}
        return [write(assemble(ordered | found, form), form, folder)]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The head of the table."""
        head = values[self.main].iloc[:12]
        cells = zip(*(raw(head[name]) for name in head.columns), strict=True)
        body = (tuple("" if v is None or v != v else str(v) for v in row) for row in cells)
        return Preview("rows", rows=(tuple(map(str, head.columns)), *body))


def _first(source: Source) -> Path:
    if not source.files:
        raise DataError(
            f"{source.root} holds no table; wanted {', '.join(TableCodec.reads)}", code="no-usable-files"
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
