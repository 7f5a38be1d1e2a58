"""A row of a table as a field: the spans of all its columns side by side."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.data.columns.fit import FEW
from genwright.data.columns.formats import is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.infer import Column, fit_column, restore_column
from genwright.data.columns.numbers import NumberFormat
from genwright.data.columns.pooling import pooled_cells
from genwright.data.columns.reservoir import Reservoir
from genwright.data.columns.types import Categorical, Numeric
from genwright.data.field import Array, Field, Partial, Values
from genwright.data.sidecar import SENTENCE, looks_like_text
from genwright.data.table.comparison import ColumnComparison
from genwright.data.table.frames import TableFormat, assemble, largest, library, raw
from genwright.errors import DataError, RecipeError, suggest
from genwright.space import Space, Span, Symbol

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["RowField"]

UNMADE = "…"
"""In a cell that is not made yet."""
DISTINCT = 50_000
"""Beyond so many distinct values a column is no longer counted over all rows."""


class RowField(Field):
    """Rows as frames of pandas, to the channels of all columns and back.

    form            how the files hold their table
    max_categories, types, fit_rows  options of `TableCodec`
    grouped         whether somebody has said which rows belong together
    """

    kind = "row"
    views = frozenset({"row"})

    def __init__(
        self,
        form: TableFormat = TableFormat(".csv", ()),  # noqa: B008 - frozen
        *,
        max_categories: int = 100,
        types: Mapping[str, str] | None = None,
        fit_rows: int = 100_000,
        grouped: bool = True,
    ) -> None:
        self.form, self._grouped = form, grouped
        self.max_categories, self.types = max_categories, dict(types or {})
        for name in self.types:
            if name not in form.columns:
                raise RecipeError(
                    f"codec.types: there is no column {name!r}; {suggest(name, form.columns)}",
                    code="no-such-column",
                )
        self._counts: dict[str, Counter[Any] | None] = {}
        self._fit_rows = fit_rows
        self._reservoir, self._frames = Reservoir(fit_rows), list[Values]()
        self._columns: list[Column] = []
        self._places: list[int] = []  # of the channels of these columns among those that are cached
        self._width = 0  # of the cached channels
        self._left_out: frozenset[str] = frozenset()
        self._rows = 0

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        """Counts of the values of all rows, and a sample of the rows for the rest."""
        frame = _frame(values)
        self._frames.append(frame)
        self._keep(self._reservoir.add(len(frame)))
        for name in frame.columns:
            tally = self._counts.setdefault(name, Counter())
            if tally is not None:
                tally.update(raw(frame[name]))
                if len(tally) > DISTINCT:
                    self._counts[name] = None

    def settle(self) -> None:
        rows, counts = self._reservoir.seen, self._counts
        if not rows:
            raise DataError(
                "the training split has no rows; give more rows or lower val and test",
                code="no-examples",
            )
        self._keep(self._reservoir.trim())
        frame = _frame(
            library("pandas").concat(self._frames)
        )  # its index says which rows of the file these are
        self._reservoir, self._frames, self._counts = Reservoir(self._fit_rows), [], {}
        types = dict(zip(self.form.columns, self.form.types, strict=False))
        places = [int(place) + 1 for place in frame.index]
        columns = [
            fit_column(
                name,
                raw(frame[name]),
                kind=self.types.get(name),
                max_categories=self.max_categories,
                counts=counts[name],
                rows=rows,
                places=places,
                largest=largest(types[name]) if name in types else None,
            )
            for name in counts
        ]
        self._rows = rows
        if not self._grouped:
            _note_shared(columns, rows)
        self._hold(columns, frame)
        self._check_writable()

    def _check_writable(self) -> None:
        """Raise `DataError` for a column that may be made as what its file cannot hold: better now than after
        training."""
        for column in self._columns if self.form.types else ():
            ends = np.array([-9.0, 9.0], np.float32)
            width = max((span.k for span in column.spans if isinstance(span, Symbol)), default=1)
            symbols = np.repeat(np.arange(width, dtype=np.float32), 2)
            kinds = [isinstance(span, Symbol) for span in column.spans]
            x = np.where(kinds, symbols[:, None], np.tile(ends, width)[:, None])
            try:
                assemble({column.name: column.decode(x, np.random.default_rng(0))}, self.form)
            except DataError as error:
                raise DataError(f"column {column.name!r}: {error}", code=error.code) from None

    def _keep(self, places: Array | None) -> None:
        """Of the rows that are held, those of the sample alone."""
        if places is not None:
            self._frames = [self.take(library("pandas").concat(self._frames), places.tolist())]

    def _hold(self, columns: Sequence[Column], seen: pd.DataFrame | None = None) -> None:
        self._columns = list(columns)
        self._width = sum(column.stored for column in columns)
        self._places = list(range(self._width))
        if not any(column.spans for column in columns):
            raise DataError(self._nothing(seen), code="nothing-to-make")

    def _nothing(self, seen: pd.DataFrame | None = None) -> str:
        kinds = ", ".join(f"{c.name!r} is {c.kind}" for c in self._columns) or "all columns are given"
        way = "add a column that varies, or set its type in codec.types"
        texts = [] if seen is None else [name for name in seen if _holds_texts(seen[name])]
        if texts:
            way = f"to make texts, read it as such (--set codec.name=text --set codec.field={texts[-1]})"
        elif len(self._columns) == 1 and self.form.delimiter and not self._left_out:
            way += ", or codec.delimiter if this is several columns"
        return f"the table of {self._rows:,} rows has no column to model ({kinds}); {way}"

    @property
    def columns(self) -> dict[str, Column]:
        """By name, those that are made."""
        return {column.name: column for column in self._columns}

    @property
    def space(self) -> Space:
        return Space((), tuple(span for column in self._columns for span in column.spans))

    @property
    def cell_of(self) -> Sequence[int]:
        return [i for i, column in enumerate(self._columns) for _ in range(column.stored)]

    # -- its parts -----------------------------------------------------------------------------

    @property
    def parts(self) -> Collection[str]:
        return self.form.columns

    def without(self, names: Collection[str]) -> Field:
        """Less the columns that are given. Raises `DataError` where nothing is left to make."""
        left_out = frozenset(names) & set(self.form.columns)
        if not left_out:
            return self
        other = RowField(self.form, max_categories=self.max_categories, types=self.types)
        other._rows, other._width, other._left_out = self._rows, self._width, self._left_out | left_out
        first = 0
        for column in self._columns:
            if column.name not in left_out:
                other._columns.append(column)
                other._places += self._places[first : first + column.stored]
            first += column.stored
        if not any(column.spans for column in other._columns):
            raise DataError(other._nothing(), code="nothing-to-make")
        return other

    def alike(self) -> list[list[str]]:
        kinds: dict[tuple[Span, ...], list[str]] = {}
        for column in self._columns:
            if column.spans:
                kinds.setdefault(column.spans, []).append(column.name)
        return [*kinds.values()]

    def read_from(self, cached: Field) -> None:
        """Find the channels of its columns among those of all columns. Raises `DataError` where they are not."""
        assert isinstance(cached, RowField), "a row is cached by a row"
        places, first = dict[str, list[int]](), 0
        for column in cached._columns:
            places[column.name] = cached._places[first : first + column.stored]
            first += column.stored
        for column in self._columns:
            if len(places.get(column.name, ())) != column.stored:
                raise DataError(
                    f"the column {column.name!r} is not encoded as it was: put the data back as it was",
                    code="data-changed",
                )
        self._places = [place for column in self._columns for place in places[column.name]]
        self._width = cached._width

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, channels)`, 0 where a column was left out: int32 where all is symbols, else float32 with the
        symbols as floats."""
        frame = _frame(values)
        for column in self._columns:
            if column.name not in frame.columns:
                near = suggest(column.name, map(str, frame.columns))
                raise DataError(
                    f"the table has no column {column.name!r}, which the codec was fitted on; {near}",
                    code="no-such-column",
                )
        parts = [column.encode(raw(frame[column.name])) for column in self._columns if column.spans]
        out = np.zeros((len(frame), self._width), np.float32)
        out[:, self._places] = np.concatenate(parts, axis=1)
        return out.astype(np.int32) if self.space.kind == "symbol" else out

    def expand(self, compact: Array) -> Tensor:
        return super().expand(compact[:, self._places])

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> pd.DataFrame:
        """A frame of the input's columns, order and types; the same for the same `x`."""
        return self.decode_behind(0, x, parts)

    def decode_behind(
        self, behind: int, x: Array, parts: Mapping[str, Values] | None = None
    ) -> pd.DataFrame:
        rng = np.random.default_rng(behind)
        values: dict[str, Values] = {}
        first = 0
        for column in self._columns:
            cells = x[:, first : first + column.stored]
            values[column.name] = column.decode_behind(behind, cells, rng)
            first += column.stored
        known = {**(parts or {}), **values}
        empty = [None] * len(x)
        return assemble({name: known.get(name, empty) for name in self.form.columns}, self.form)

    def in_progress(self, values: Values, x: Array, hidden: Array) -> pd.DataFrame:
        """With `UNMADE` in each cell of which a number is hidden."""
        frame, first = _frame(values), 0
        cells = {str(name): raw(frame[name]) for name in frame.columns}
        for column in self._columns:
            left: list[bool] = np.any(hidden[:, first : first + column.stored], axis=1).tolist()
            first += column.stored
            found = cells[column.name]
            cells[column.name] = [
                UNMADE if gap else value for value, gap in zip(found, left, strict=True)
            ]
        return _loose(cells)

    @property
    def number_types(self) -> dict[str, str]:
        """The Arrow type of each column that holds plain numbers, by name."""
        found = {}
        for column in self._columns:
            form = column.format if isinstance(column, Numeric) and not column.text_values else None
            if isinstance(form, NumberFormat) and form.plain:
                found[column.name] = "int64" if form.whole else "double"
        return found

    def partial(self, values: Values) -> Partial:
        """Rows of which some columns are known, by name; the others are to be made."""
        found = [self._gaps(value) for value in values]
        x, known = (torch.cat([pair[i] for pair in found]) for i in (0, 1))
        return Partial(x, known)

    def _gaps(self, template: Any) -> tuple[Tensor, Tensor]:
        if not isinstance(template, Mapping) or not template:
            some = next((column.name for column in self._columns if column.spans), "")
            raise DataError(
                f"infill wants the columns that are known, as JSON, for example "
                f"infill='{{\"{some}\": ...}}', got {template!r}",
                code="no-gaps-given",
            )
        columns = self.columns
        for name, value in template.items():
            if not isinstance(value, str | int | float | None):
                raise DataError(
                    f"infill wants one value for {name!r}, got {value!r}", code="no-gaps-given"
                )
            if name not in columns:
                given = name in self.form.columns
                way_out = f"give it with --given {name}=..." if given else suggest(name, columns)
                raise DataError(f"infill cannot hold {name!r}: {way_out}", code="no-such-column")
            if not columns[name].spans:
                raise DataError(
                    f"infill cannot hold {name!r}: a {columns[name].kind} is written back and not modelled",
                    code="not-modelled",
                )
        x = np.zeros((1, self.space.stored), np.float32)
        known = np.zeros((1, self.space.stored), bool)
        first = 0
        for name, column in columns.items():
            if name in template:
                x[0, first : first + column.stored] = column.exactly(template[name])
                known[0, first : first + column.stored] = True
            first += column.stored
        return super().expand(x), torch.from_numpy(known)

    def gapped(self, values: Values) -> tuple[Partial, list[str]]:
        """Rows of a file: what is missing, and a category that training has not seen, is unknown; a number outside
        of what it has seen counts as the nearest."""
        if not hasattr(values, "columns"):
            return super().gapped(values)
        frame, notes, first = _frame(values), list[str](), 0
        x = np.zeros((len(frame), self.space.stored), np.float32)
        known = np.zeros((len(frame), self.space.stored), bool)
        for column in self._columns:
            place = slice(first, first := first + column.stored)
            if column.name not in frame.columns or not column.spans:
                continue
            cells = raw(frame[column.name])
            found = {value: _in_file(column, value) for value in dict.fromkeys(cells)}
            for i, value in enumerate(cells):
                if (numbers := found[value][0]) is not None:
                    x[i, place], known[i, place] = numbers, True
            notes += _new(column.name, cells, found)
        return Partial(super().expand(x), torch.from_numpy(known)), notes

    def unfilled(self, x: Tensor) -> Tensor:
        missing, first = torch.zeros_like(x, dtype=torch.bool), 0
        for column in self._columns:
            place = slice(first, first := first + column.stored)
            if column.spans and column.missing:
                cells = column.decode(x[:, place].cpu().numpy(), np.random.default_rng(0))
                absent = [is_missing(value) for value in cells]
                missing[:, place] = torch.tensor(absent, device=x.device)[:, None]
        return missing

    def constraint(self, words: str) -> ColumnComparison:
        return ColumnComparison(words, self.columns, self.form.columns)

    def mended(self, values: Values, made: Values, places: Array) -> pd.DataFrame:
        old, new, first = _frame(values), _frame(made), 0
        columns = {str(name): raw(old[name]) for name in old.columns}
        for name, column in self.columns.items():
            changed: list[bool] = np.any(places[:, first : first + column.stored], axis=1).tolist()
            first += column.stored
            if any(changed):
                fresh = raw(new[name])
                columns[name] = [
                    f if c else o for o, f, c in zip(columns[name], fresh, changed, strict=True)
                ]
        return assemble(columns, self.form)

    def kept(self, made: Values, given: Values) -> pd.DataFrame:
        """A known number may be finer than its channel is. Of rows of a file all that is there, and behind it the
        columns that it lacks."""
        if hasattr(given, "columns"):
            return self._filled(made, given)
        spelled = cache(lambda name, value: self.columns[name].spelled(value))
        columns = {name: raw(made[name]) for name in made.columns}
        for i, template in enumerate(given):
            for name, value in template.items():
                columns[name][i] = spelled(name, value)
        return assemble(columns, self.form)

    def _filled(self, made: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
        columns = {str(name): raw(rows[name]) for name in rows.columns}
        for name in map(str, made.columns):
            fresh = raw(made[name])
            cells = columns.get(name, [None] * len(fresh))
            there = name in columns
            columns[name] = [
                f if is_missing(c) and not (there and is_missing(f)) else c
                for c, f in zip(cells, fresh, strict=True)
            ]
        return _loose(columns)

    def pooled(self, draws: Iterable[Values], given: Values = ()) -> pd.DataFrame:
        """In each cell that was missing the mean of the numbers of all draws, or the most frequent of other values
        (`columns/pooling.py`). Of the draws these cells alone are held."""
        cells = (
            {str(name): raw(given[name]) for name in given.columns} if hasattr(given, "columns") else {}
        )
        gaps = {name: [i for i, v in enumerate(some) if is_missing(v)] for name, some in cells.items()}
        answers: dict[str, list[list[Any]]] = {}
        for made in draws:
            for name in map(str, made.columns):
                if gaps.setdefault(name, [*range(len(made))]):
                    values = raw(made[name])
                    answers.setdefault(name, []).append([values[i] for i in gaps[name]])
        for name, some in answers.items():
            fresh = pooled_cells(self.columns.get(name), some)
            column = cells.setdefault(name, [None] * len(gaps[name]))
            for i, value in zip(gaps[name], fresh, strict=True):
                column[i] = value
        return _loose(cells)

    def matching(self, compact: Array, value: Any) -> tuple[list[str], NDArray[np.bool_]]:
        words, same, first = [], np.ones(len(compact), bool), 0
        for column in self._columns:
            if (
                column.name in value
                and column.spans
                and all(isinstance(s, Symbol) for s in column.spans)
            ):
                given = value[column.name]
                words.append(f"{column.name}={column.spelled(given)}")
                same &= np.asarray(compact[:, self._places[first]]) == column.exactly(given)[0]
            first += column.stored
        return words, same

    # -- raw values ----------------------------------------------------------------------------

    def take(self, values: Values, index: Sequence[int]) -> Values:
        if not hasattr(values, "iloc"):  # rows with gaps, as a person wrote them
            return super().take(values, index)
        return _frame(values).iloc[list(index)]

    def join(self, chunks: Sequence[Values]) -> Values:
        if not all(hasattr(values, "iloc") for values in chunks):
            return super().join(chunks)
        joined: Values = library("pandas").concat(list(chunks), ignore_index=True)
        return joined

    def known(self, values: Values) -> list[bool]:
        return [True] * len(values)

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """By column what it is and holds; `rows` are those of the training split."""
        columns = {column.name: column.facts() for column in self._columns}
        return {"rows": self._rows, "form": self.form.suffix, "columns": columns}

    def warnings(self) -> list[str]:
        return [note for column in self._columns for note in column.warnings()]

    def state(self) -> dict[str, Any]:
        return {
            "form": asdict(replace(self.form, notes=())),
            "columns": [column.state() for column in self._columns],
            "rows": self._rows,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form = TableFormat.restore(state["form"])
        self._rows = state["rows"]
        self._hold([restore_column(column) for column in state["columns"]])


_SHARED = re.compile(
    r"(?i:(^|.*[\W_])(id|key|uuid|patient|customer|client|user|person|member|account|subject|employee|student|"
    r"household|device|session)s?([\W_].*|$))|.*[a-z](Id|ID)"
)
"""Names of columns of which several rows may hold the same, and belong together for it."""


def _holds_texts(column: pd.Series) -> bool:
    return looks_like_text(raw(column.head(DISTINCT)), long=SENTENCE)


def _note_shared(columns: Sequence[Column], rows: int) -> None:
    """Say of the first column of such a name that its rows may belong together."""
    for column in columns:
        distinct = column.about.get("distinct", 0)
        several = FEW < distinct < rows / 1.5
        if several and isinstance(column, Categorical) and _SHARED.fullmatch(column.name):
            column.notes.append(
                f"several rows hold the same {column.name!r}: if those belong together, as the visits of a patient do, "
                f"--set data.group={column.name} keeps them on one side of the split"
            )
            return


def _in_file(column: Column, value: Any) -> tuple[Array | None, str]:
    """The numbers of a cell `(stored,)`, None where it is unknown; and what is odd about it."""
    if is_missing(value):
        return None, ""
    if isinstance(column, Identifier):
        return column.encode([value])[0], ""
    try:
        return column.exactly(value), ""
    except DataError:
        if isinstance(column, Numeric) and np.isfinite(column.format.read(value)):
            return column.encode([value])[0], "counts as the nearest that it has seen"
        return None, "counts as unknown"


def _new(name: str, cells: Sequence[Any], found: Mapping[Any, tuple[Array | None, str]]) -> list[str]:
    """What is odd about cells of a column, a sentence for each kind of it."""
    notes = []
    for what in dict.fromkeys(words for _, words in found.values() if words):
        values = [value for value, (_, words) in found.items() if words == what]
        shown = ", ".join(repr(value) for value in values[:3]) + (", ..." if len(values) > 3 else "")
        rows = sum(found[cell][1] == what for cell in cells)
        notes.append(
            f"training has not seen {shown} in the column {name!r}: it {what} ({rows:,} rows), and stays as it is"
        )
    return notes


def _frame(values: Any) -> pd.DataFrame:
    frame: pd.DataFrame = values
    return frame


def _loose(columns: Mapping[str, Sequence[Any]]) -> pd.DataFrame:
    """Raw values as a frame that leaves each as it is."""
    pandas = library("pandas")
    return pandas.DataFrame({name: pandas.Series(v, dtype=object) for name, v in columns.items()})
