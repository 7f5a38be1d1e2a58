"""Tables: CSV, TSV, Parquet and JSON lines to rows of spans, and back.

An example is one row. Reading gives frames of pandas; `data/table_files.py` knows the files,
`data/columns.py` the columns. The space has no grid: the spans of all columns stand side by side,
and where some are real, the symbols are stored as floats beside them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.data.codec import Array, Chunk, Codec, Gaps, Preview, ReadOptions, Rejected, Source
from genwright.data.columns.infer import KINDS, Column, fit_column, restore_column
from genwright.data.table.frames import TableFormat, assemble, library, raw
from genwright.data.table.readers import inspect, rows, write
from genwright.errors import DataError, RecipeError, suggest
from genwright.options import Count
from genwright.space import Space

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["TableCodec"]

DISTINCT = 50_000
"""Beyond so many distinct values a column is no longer counted over all rows."""


class TableCodec(Codec):
    """Rows of a table.

    max_categories    texts of a column that get a symbol each; the rarer ones share one
    delimiter         between the values of a CSV ("tab" for a tab); None: find it
    types             by column: continuous, integer, categorical, boolean, datetime, identifier or
                      constant, where what the values look like is wrong
    fit_rows          rows kept in memory to learn from; a larger training split is sampled
    """

    reads = (".csv", ".tsv", ".parquet", ".jsonl", ".csv.gz", ".tsv.gz", ".jsonl.gz")
    default_family = "autoregressive"

    def __init__(
        self,
        *,
        max_categories: Count = 100,
        delimiter: str | None = None,
        types: dict[str, str] | None = None,
        fit_rows: Count = 100_000,
    ) -> None:
        delimiter = "\t" if delimiter == "tab" else delimiter
        if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\r\n'):
            raise RecipeError(f"codec.delimiter is one character or 'tab', got {delimiter!r}")
        for name, kind in (types or {}).items():
            if kind not in KINDS:
                raise RecipeError(f"codec.types.{name} cannot be {kind!r}; {suggest(kind, KINDS)}")
        self.max_categories, self.delimiter, self.fit_rows = max_categories, delimiter, fit_rows
        self.types = dict(types or {})
        self._read: TableFormat | None = None  # what `read` met last
        self._form: TableFormat | None = None  # what `fit` learnt, and is written back
        self._columns: list[Column] = []
        self._met: list[str] = []  # what was odd about the files that `read` met last
        self._notes: list[str] = []  # and about those of `fit`
        self._rows = 0

    # -- in ------------------------------------------------------------------------------------

    def labels(self, source: Source) -> list[str]:
        """The names of all columns: each can be given."""
        return list(inspect(_first(source), self.delimiter).columns)

    def read(self, source: Source, reading: ReadOptions) -> Iterator[Chunk]:
        """Rows, with pandas frames as examples. The columns of a text file are all text."""
        library("pandas")
        first = _first(source)
        forms = [inspect(file, self.delimiter) for file in source.files]
        self._read = form = forms[0]
        for file, other in zip(source.files, forms, strict=True):
            _same(first, form, file, other)
        for name in (*reading.given, *([reading.group] if reading.group is not None else [])):
            if name not in form.columns:
                raise DataError(f"{source.name} has no column {name!r}; {suggest(name, form.columns)}")
        self._met = list(dict.fromkeys(note for other in forms for note in other.notes))
        for file, other in zip(source.files, forms, strict=True):
            for frame, bad in rows(file, other, self._met):
                yield _chunk(frame[list(form.columns)], bad, reading)

    def take(self, examples: pd.DataFrame, index: Sequence[int]) -> pd.DataFrame:
        return examples.iloc[list(index)]

    def fit(self, chunks: Iterable[Chunk]) -> None:
        """One pass: counts of the values of all rows, and a sample of the rows for the rest."""
        counts: dict[str, Counter[Any] | None] = {}
        sample = _Sample(self.fit_rows)
        given: tuple[str, ...] = ()
        for chunk in chunks:
            given = tuple(chunk.given)
            sample.add(chunk.examples)
            for name in chunk.examples.columns:
                tally = counts.setdefault(name, Counter())
                if tally is not None:
                    tally.update(raw(chunk.examples[name]))
                    if len(tally) > DISTINCT:
                        counts[name] = None
        if not sample.seen:
            raise DataError("the training split has no rows; give more rows or lower val and test")
        names = tuple(counts)
        seen = self._read
        if seen is None or set(seen.columns) != {*names, *given}:
            seen = TableFormat(".csv", names + given)  # not from a file
        for name in self.types:
            if name not in seen.columns:
                raise RecipeError(
                    f"codec.types: there is no column {name!r}; {suggest(name, seen.columns)}"
                )
        frame = sample.frame()
        self._columns = [
            fit_column(
                name,
                raw(frame[name]),
                kind=self.types.get(name),
                max_categories=self.max_categories,
                counts=counts[name],
                rows=sample.seen,
            )
            for name in names
        ]
        self._form, self._rows, self._notes = replace(seen, notes=()), sample.seen, list(self._met)
        if not any(column.spans for column in self._columns):
            kinds = (
                ", ".join(f"{c.name!r} is {c.kind}" for c in self._columns) or "all columns are given"
            )
            way = "add a column that varies, or set its type in codec.types"
            if len(self._columns) == 1 and seen.delimiter and not given:
                way += ", or codec.delimiter if this is several columns"
            raise DataError(f"the table of {sample.seen:,} rows has no column to model ({kinds}); {way}")

    @property
    def space(self) -> Space:
        return Space((), tuple(span for column in self._columns for span in column.spans))

    def encode(self, examples: pd.DataFrame) -> Array:
        """`(n, stored)`: int32 where all is symbols, else float32 with the symbols as floats."""
        for column in self._columns:
            if column.name not in examples.columns:
                near = suggest(column.name, map(str, examples.columns))
                raise DataError(
                    f"the table has no column {column.name!r}, which the codec was fitted on; {near}"
                )
        parts = [column.encode(raw(examples[column.name])) for column in self._columns if column.spans]
        return np.concatenate(parts, axis=1).astype(
            np.int32 if self.space.kind == "symbol" else np.float32
        )

    def gaps(self, template: Any) -> Gaps:
        """Values of some columns, by name; the other columns are to be made."""
        if not isinstance(template, Mapping) or not template:
            some = next((column.name for column in self._columns if column.spans), "")
            raise DataError(
                f"infill wants the columns that are known, as JSON, for example "
                f"infill='{{\"{some}\": ...}}', got {template!r}"
            )
        columns = {column.name: column for column in self._columns}
        for name, value in template.items():
            if not isinstance(value, str | int | float | None):
                raise DataError(f"infill wants one value for {name!r}, got {value!r}")
            if name not in columns:
                given = name in self._fitted.columns
                way_out = f"give it with --given {name}=..." if given else suggest(name, columns)
                raise DataError(f"infill cannot hold {name!r}: {way_out}")
            if not columns[name].spans:
                raise DataError(
                    f"infill cannot hold {name!r}: a {columns[name].kind} is written back and not modelled"
                )
        x = np.zeros((1, self.space.stored), np.float32)
        known = np.zeros((1, self.space.stored), bool)
        first = 0
        for name, column in columns.items():
            if name in template:
                x[0, first : first + column.stored] = column.exactly(template[name])
                known[0, first : first + column.stored] = True
            first += column.stored
        return Gaps(self.expand(x), known)

    # -- out -----------------------------------------------------------------------------------

    def decode(self, x: Array, given: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
        """A frame of the input's columns, order and types; the same for the same `x`."""
        rng = np.random.default_rng(0)
        values, first = {}, 0
        for column in self._columns:
            values[column.name] = column.decode(x[:, first : first + column.stored], rng)
            first += column.stored
        empty = [None] * len(x)
        columns = {name: values.get(name, given.get(name, empty)) for name in self._fitted.columns}
        return assemble(columns, self._fitted)

    def write(
        self, examples: pd.DataFrame, given: Mapping[str, Sequence[Any]], folder: Path
    ) -> list[Path]:
        """`samples.csv`, `.tsv`, `.jsonl` or `.parquet`, as the input was."""
        form = self._fitted
        columns = {str(name): raw(examples[name]) for name in examples.columns}
        columns |= {name: list(given[name]) for name in given if name not in columns}
        ordered = {name: columns[name] for name in form.columns if name in columns}
        return [write(assemble(ordered | columns, form), form, folder)]

    def preview(self, examples: pd.DataFrame) -> Preview:
        """The head of the table."""
        head = examples.iloc[:12]
        cells = zip(*(raw(head[name]) for name in head.columns), strict=True)
        body = (tuple("" if v is None or v != v else str(v) for v in row) for row in cells)
        return Preview("rows", rows=(tuple(map(str, head.columns)), *body))

    # -- what it knows -------------------------------------------------------------------------

    @property
    def _fitted(self) -> TableFormat:
        assert self._form is not None, "fit or restore comes first"
        return self._form

    def facts(self) -> dict[str, Any]:
        """By column what it is and holds; `rows` are those of the training split."""
        columns = {column.name: column.facts() for column in self._columns}
        return {"rows": self._rows, "form": self._fitted.suffix, "columns": columns}

    def warnings(self) -> list[str]:
        return self._notes + [note for column in self._columns for note in column.warnings()]

    def state(self) -> dict[str, Any]:
        return {
            "form": asdict(self._fitted),
            "columns": [column.state() for column in self._columns],
            "notes": self._notes,
            "rows": self._rows,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self._form = TableFormat.restore(state["form"])
        self._columns = [restore_column(column) for column in state["columns"]]
        self._notes, self._rows = list(state["notes"]), state["rows"]


def _first(source: Source) -> Path:
    if not source.files:
        raise DataError(f"{source.root} holds no table; wanted {', '.join(TableCodec.reads)}")
    return source.files[0]


def _same(first: Path, form: TableFormat, file: Path, other: TableFormat) -> None:
    """Raise `DataError` unless two files of one source hold one table."""
    typed = {".parquet", ".jsonl"}
    if other.suffix != form.suffix and {other.suffix, form.suffix} & typed:
        raise DataError(f"{file.name} is not of one form with {first.name}; give files of one form")
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
            f"table have the same columns: move it elsewhere or mend it"
        )


def _chunk(frame: pd.DataFrame, bad: list[Rejected], reading: ReadOptions) -> Chunk:
    """A frame as a chunk: what is given leaves the example, and still counts for the key of its row."""
    values = {name: raw(frame[name]) for name in frame.columns}
    keys = [
        blake2b(repr(row).encode(), digest_size=16).hexdigest()
        for row in zip(*values.values(), strict=True)
    ]
    groups = None if reading.group is None else [str(value) for value in values[reading.group]]
    given = {name: values[name] for name in reading.given}
    return Chunk(frame.drop(columns=list(given)), keys, given, groups, bad=bad)


class _Sample:
    """At most `most` of the rows added, each as likely as any other, in their order.

    Every row draws a number, and the smallest numbers stay; so it does not matter how the rows are
    cut into chunks.
    """

    def __init__(self, most: int) -> None:
        self.most, self.seen = most, 0
        self._rng = np.random.default_rng(0)
        self._frames: list[pd.DataFrame] = []
        self._drawn = np.zeros(0)

    def add(self, frame: pd.DataFrame) -> None:
        self.seen += len(frame)
        self._frames.append(frame)
        self._drawn = np.concatenate([self._drawn, self._rng.random(len(frame))])
        if len(self._drawn) > 2 * self.most:
            self._cut()

    def _cut(self) -> None:
        frame = library("pandas").concat(self._frames, ignore_index=True)
        kept = np.sort(np.argpartition(self._drawn, self.most)[: self.most])
        self._frames, self._drawn = [frame.iloc[kept]], self._drawn[kept]

    def frame(self) -> pd.DataFrame:
        if len(self._drawn) > self.most:
            self._cut()
        frame: pd.DataFrame = library("pandas").concat(self._frames, ignore_index=True)
        return frame
