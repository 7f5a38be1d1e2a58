"""A table in memory: raw values in a frame of pandas, in the types of the file they came from.

Text files give frames of text. JSON gives Python's values. Parquet gives Arrow's types, in which a
whole number that is missing makes no floats of the others.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from genwright.data.columns.formats import is_missing
from genwright.data.table.json_lines import listed, written
from genwright.errors import DataError, RecipeError, missing_extra, suggest

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

__all__ = [
    "TableFormat",
    "arrow_array",
    "arrow_type",
    "as_plain",
    "as_type",
    "assemble",
    "is_list",
    "largest",
    "library",
    "plain_type",
    "raw",
]


@dataclass(frozen=True)
class TableFormat:
    """How a file holds its table.

    suffix       of what is written back, never packed
    columns      their names, in order
    delimiter    of a text
    spaces       whether blanks that follow a delimiter belong to it
    encoding     of a text
    skip         lines of a text above the header, or above the rows
    header       whether a text has a line of names
    types        of the columns of a Parquet file, as Arrow spells them
    sheet        of a workbook
    query        of a database: what is asked
    within       columns of JSON that stand within an object
    lists        columns of JSON whose values are lists, which are worked on as their texts
    records      names of JSON that hold lists of objects or of lists, which are no columns of a table
    notes        what is odd about the file, a sentence each
    """

    suffix: str
    columns: tuple[str, ...]
    delimiter: str = ","
    spaces: bool = False
    encoding: str = "utf-8"
    skip: int = 0
    header: bool = True
    types: tuple[str, ...] = ()
    sheet: str = ""
    query: str = ""
    within: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    records: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> TableFormat:
        """From `dataclasses.asdict` by way of JSON."""
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in state.items()}
        return cls(**fields)

    def without(self, names: Collection[str]) -> TableFormat:
        """The table without these columns. Raises `RecipeError` where it has none of a name, or no others."""
        for name in names:
            if name not in self.columns:
                raise RecipeError(
                    f"codec.drop: there is no column {name!r}; {suggest(name, self.columns)}",
                    code="no-such-column",
                )
        kept = [i for i, name in enumerate(self.columns) if name not in names]
        if not kept:
            raise RecipeError(
                "codec.drop leaves no column to model: drop fewer", code="nothing-to-learn"
            )
        types = tuple(self.types[i] for i in kept) if self.types else ()
        return replace(self, columns=tuple(self.columns[i] for i in kept), types=types)

    def written_as(self, suffix: str, types: Mapping[str, str]) -> TableFormat:
        """The same columns in a file of another format.

        types  of columns whose texts are numbers, as Arrow spells them; the others are texts
        """
        if suffix == self.suffix:
            return self
        if suffix == ".parquet":
            found = tuple(types.get(name, "string") for name in self.columns)
            return TableFormat(suffix, self.columns, types=found)
        return TableFormat(suffix, self.columns)


def library(name: str) -> Any:
    """pandas or pyarrow, which only tables need."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise missing_extra("reading tables", name.partition(".")[0], "table") from None


def raw(series: pd.Series) -> list[Any]:
    """The raw values of a column: Python's, and None for what is missing in a typed file."""
    if isinstance(series.dtype, library("pandas").ArrowDtype):
        values: list[Any] = library("pyarrow").array(series).to_pylist()
        return values
    return list(series.tolist())


def assemble(columns: Mapping[str, Sequence[Any] | pd.Series], form: TableFormat) -> pd.DataFrame:
    """Raw values as a frame of the types that reading the file gave. Columns of such a frame come as they are."""
    pandas = library("pandas")
    types = dict(zip(form.columns, form.types, strict=True)) if form.types else {}
    frame = {}
    for name, values in columns.items():
        if isinstance(values, pandas.Series):
            if values.dtype == "str" and name not in types and form.suffix != ".jsonl":
                frame[name] = values.fillna("").reset_index(drop=True)
                continue
            values = raw(values)
        if form.suffix == ".jsonl":
            frame[name] = pandas.Series(list(values), dtype=object)
        elif name in types:
            frame[name] = _typed(list(values), types[name])
        else:  # a condition may have been typed in as a number
            texts = [v if isinstance(v, str) else "" if is_missing(v) else str(v) for v in values]
            frame[name] = pandas.Series(texts, dtype=str)
    return pandas.DataFrame(frame)


def _typed(values: list[Any], kind: str) -> pd.Series:
    pandas = library("pandas")
    array = _plain_array(values, arrow_type(kind))
    return pandas.Series(array, dtype=pandas.ArrowDtype(array.type))


def arrow_array(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Raw values as an array of an Arrow type. Raises `DataError` for one that this cannot hold."""
    if is_list(kind):
        return library("pyarrow").array([listed(value) for value in values], type=kind)
    return as_type(_plain_array(list(values), kind), kind)


def _plain_array(values: list[Any], kind: pa.DataType) -> pa.Array:
    """Of the type in which a column is worked on."""
    arrow = library("pyarrow")
    plain = plain_type(kind)
    try:
        return arrow.array(values, type=plain)
    except (arrow.ArrowException, TypeError, ValueError):
        texts = [None if is_missing(v) else str(v) for v in values]
        try:
            return arrow.array(texts).cast(plain)
        except arrow.ArrowException as error:
            raise DataError(
                f"a value cannot be written as {kind}, the type of the file ({error}): widen the type in the file, "
                f"or set another type of the column in codec.types",
                code="type-too-narrow",
            ) from None


def arrow_type(text: str) -> Any:
    """The Arrow type of this spelling; None for one that is not for tables."""
    arrow = library("pyarrow")
    if found := re.fullmatch(r"timestamp\[(\w+), tz=(.+)\]", text):
        return arrow.timestamp(found[1], tz=found[2])
    if found := re.fullmatch(r"(large_)?list<\w+: (.+?)(?: not null)?>", text):
        inner = arrow_type(found[2])
        make = arrow.large_list if found[1] else arrow.list_
        return None if inner is None else make(inner)
    if found := re.fullmatch(r"decimal(128|256)\((\d+), (-?\d+)\)", text):
        make = arrow.decimal128 if found[1] == "128" else arrow.decimal256
        return make(int(found[2]), int(found[3]))
    if found := re.fullmatch(r"dictionary<values=([^,]+), indices=(\w+), ordered=([01])>", text):
        return arrow.dictionary(arrow.type_for_alias(found[2]), arrow_type(found[1]), found[3] == "1")
    try:
        return arrow.type_for_alias(text)
    except ValueError:
        return None


def plain_type(kind: pa.DataType | None) -> pa.DataType | None:
    """The type in which a column is worked on; None where it is none for tables."""
    arrow = library("pyarrow")
    is_ = arrow.types
    if kind is None:
        return None
    if is_.is_dictionary(kind):
        return plain_type(kind.value_type)
    if is_.is_decimal(kind):
        return arrow.float64()
    if is_list(kind):
        inner = plain_type(kind.value_type)
        return None if inner is None or is_list(kind.value_type) or _is_moment(inner) else arrow.string()
    tests = [is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_null, is_.is_boolean]
    tests += [
        is_.is_integer,
        is_.is_floating,
        is_.is_date,
        is_.is_timestamp,
        is_.is_time,
        is_.is_duration,
    ]
    return kind if any(test(kind) for test in tests) else None


def is_list(kind: pa.DataType) -> bool:
    """Whether values are lists, which are worked on as texts of JSON."""
    is_ = library("pyarrow").types
    return bool(is_.is_list(kind) or is_.is_large_list(kind))


def _is_moment(kind: pa.DataType) -> bool:
    """Whether values are days, times or spans of time, which JSON does not have."""
    is_ = library("pyarrow").types
    return any(test(kind) for test in (is_.is_date, is_.is_timestamp, is_.is_time, is_.is_duration))


def as_type(array: pa.Array, kind: pa.DataType) -> pa.Array:
    """Values as they are worked on in the type of the file."""
    arrow = library("pyarrow")
    if is_list(kind):
        return arrow_array(array.to_pylist(), kind)
    if arrow.types.is_dictionary(kind):
        array = array.dictionary_encode()
    return array.cast(kind)


def as_plain(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Values of the type of the file in that in which they are worked on."""
    if is_list(column.type):
        return library("pyarrow").chunked_array([[written(value) for value in column.to_pylist()]])
    return column.cast(plain_type(column.type))


def largest(kind: str) -> int | None:
    """The largest whole number of an Arrow type, as it is spelled; None where it holds no whole numbers alone."""
    plain = plain_type(arrow_type(kind))
    if plain is None or not library("pyarrow").types.is_integer(plain):
        return None
    signed = library("pyarrow").types.is_signed_integer(plain)
    return 2 ** (plain.bit_width - signed) - 1
