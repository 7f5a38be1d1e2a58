"""Data from memory: an object becomes a file that a codec reads in place, and samples such an object again.

The file lies in the cache, named by its content, as `memory:DIGEST/NAME` says, so that all that is done with data of
any other origin is done with it too. The form of the object stays with the run. Nothing is pickled.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from genwright.data.cache import MEMORY, cache_home, kept_file
from genwright.data.codec import Codec, Values
from genwright.data.containers import (
    KNOWN,
    LABEL,
    Examples,
    ObjectForm,
    as_table,
    assembled,
    called,
    check_lengths,
    column_form,
    column_of,
    column_values,
    open_container,
)
from genwright.errors import DataError
from genwright.registry import names, resolve

__all__ = ["HandedBack", "Kept", "keep_object"]


@dataclass(frozen=True)
class Kept:
    """Data from memory that lies in the cache now.

    path   as a recipe names it
    file   where it is
    codec  which one reads it
    label  names of the labels that were chosen or given beside (None: neither)
    form   how it was given, as JSON: of its container, its fields and the labels beside it
    """

    path: str
    codec: str
    label: list[str] | None
    form: ObjectForm

    @property
    def file(self) -> Path:
        return kept_file(self.path)


def keep_object(data: Any, label: Any = None, rate: int | None = None) -> Kept:
    """Write an object to the cache, as the codec that is surest of it reads it.

    data   a table, an array, a dict, a list or a data set; or a tuple of that and labels
    label  the name of a field or several, the values of a label, or several labels by name
    rate   samples a second of waveforms
    Raises `DataError` for what is no data, or no examples of one kind.
    """
    if isinstance(data, tuple) and len(data) == 2 and label is None:
        data, label = data
    examples, form = open_container(data, rate)
    if not examples.n:
        raise DataError(
            f"the {called(data)} is empty: training needs at least 2 examples", code="no-examples"
        )
    chosen, beside = _labels(label, examples)
    examples = _with(examples, {name: column_values(values) for name, values in beside.items()})
    name = _surest(examples)
    codec: type[Codec] = resolve("codecs", name)
    examples = _named(examples, codec.main)
    path, fields = _stored(codec, examples)
    whole = {
        "container": form,
        "fields": fields,
        "order": examples.names,
        "beside": {label: column_form(values) for label, values in beside.items()},
        "alone": not isinstance(label, Mapping),
    }
    return Kept(path, name, chosen, whole)


def _stored(codec: type[Codec], examples: Examples) -> tuple[str, dict[str, ObjectForm]]:
    """How a recipe names the file, and the form of each field."""
    home = cache_home() / MEMORY
    home.mkdir(parents=True, exist_ok=True)
    folder = Path(mkdtemp(prefix=".", dir=home))
    try:
        file, fields = codec.keep(examples, folder)
        with file.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
        path = f"{MEMORY}:{digest}/{file.name}"
        if not kept_file(path).exists():
            kept_file(path).parent.mkdir(exist_ok=True)
            file.replace(kept_file(path))
    finally:
        shutil.rmtree(folder)
    return path, fields


def _surest(examples: Examples) -> str:
    sure = {name: resolve("codecs", name).takes(examples) for name in names("codecs")}
    found = max(sure, key=sure.__getitem__)
    if not sure[found]:
        held = ", ".join(f"{name or 'each'} {called(value)}" for name, value in examples.head[0].items())
        raise DataError(
            f"the examples are of no kind that is taken ({held}): give {KNOWN}", code="unknown-data"
        )
    return found


# -- labels ----------------------------------------------------------------------------------------


def _labels(label: Any, examples: Examples) -> tuple[list[str] | None, dict[str, Any]]:
    """The names of the labels, and those whose values are given beside the data."""
    if label is None or isinstance(label, str):
        return None if label is None else [label], {}
    texts = isinstance(label, list | tuple) and all(isinstance(one, str) for one in label)
    if texts and (
        {*label} <= {*examples.names} or ("" not in examples.names and len(label) != examples.n)
    ):
        return list(label), {}
    beside = (
        {str(name): values for name, values in label.items()}
        if isinstance(label, Mapping)
        else {LABEL: label}
    )
    check_lengths(
        {"the data": examples.n} | {name: len(column_values(values)) for name, values in beside.items()}
    )
    if double := next((name for name in beside if name in examples.names), None):
        raise DataError(
            f"the data has a field {double!r} already: give the labels another name, label={{NAME: values}}",
            code="same-name-twice",
        )
    return list(beside), beside


def _with(examples: Examples, beside: Mapping[str, Sequence[Any]]) -> Examples:
    """With further fields."""
    if not beside:
        return examples

    def rows() -> Iterator[dict[str, Any]]:
        for row, *values in zip(examples.rows(), *beside.values(), strict=True):
            yield row | dict(zip(beside, values, strict=True))

    table = examples.table
    for name, column in zip(beside, as_table(beside).columns if table is not None else (), strict=False):
        table = table.append_column(name, column)
    return replace(examples, rows=rows, table=table)


def _named(examples: Examples, main: str) -> Examples:
    """With a name for the main field."""
    if "" not in examples.names:
        return examples
    if main in examples.names:
        raise DataError(
            f"{main!r} is what the examples themselves are called: give the label another name, label={{NAME: values}}",
            code="same-name-twice",
        )

    def rows() -> Iterator[dict[str, Any]]:
        for row in examples.rows():
            yield {name or main: value for name, value in row.items()}

    return replace(examples, rows=rows)


# -- given back ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class HandedBack:
    """Raw values of a codec in the form that its data was given in."""

    form: ObjectForm
    codec: Codec

    def columns(self, values: Mapping[str, Values]) -> dict[str, Sequence[Any]]:
        """By field, or by column of a table, in the order in which they were given."""
        found = self.codec.returned(values, self.form["fields"])
        first = [name for name in self.form["order"] if name in found]
        return {name: found[name] for name in dict.fromkeys([*first, *found])}

    def one(self, name: str, values: Values) -> Any:
        """A field as a column of the container; a row as the container itself."""
        columns = self.columns({name: values})
        if name not in columns:
            return assembled(self._own(columns), self.form["container"])
        container = self.form["container"]
        form = self.form["beside"].get(name) or container.get("columns", {}).get(name)
        if form is None and name in self.form["fields"]:
            form = container.get("column")
        return column_of(columns[name], form)

    def all(self, values: Mapping[str, Values]) -> Any:
        """Everything in the container; a tuple of that and the labels where these were given beside."""
        columns, beside = self.columns(values), self.form["beside"]
        whole = assembled(self._own(columns), self.form["container"])
        labels = {
            name: column_of(some, beside[name]) for name, some in columns.items() if name in beside
        }
        if not labels:
            return whole
        return whole, next(iter(labels.values())) if self.form["alone"] else labels

    def _own(self, columns: Mapping[str, Sequence[Any]]) -> dict[str, Sequence[Any]]:
        return {name: some for name, some in columns.items() if name not in self.form["beside"]}
