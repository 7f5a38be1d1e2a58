"""What people hold examples in: opened as examples, and put together again from columns of values.

    pandas, polars, arrow   a table of that library
    array                   an array of NumPy or a tensor of torch, an example along its first axis
    columns                 a dict of columns of one length
    items                   a list, or what is indexed like one (a map-style `Dataset` of torch), of values, of
                            (value, label), or of dicts
    hub                     a `Dataset` of the library datasets (Hugging Face)

An object of a library is there only once that was imported: so none is imported here to ask.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import import_module
from itertools import islice
from typing import Any

import numpy as np
import torch

from genwright.data.table.frames import arrow_array, arrow_type
from genwright.errors import DataError, GenwrightError
from genwright.registry import names, resolve

__all__ = [
    "Examples",
    "ObjectForm",
    "as_array",
    "as_table",
    "as_tensor",
    "assembled",
    "called",
    "check_lengths",
    "column_form",
    "column_of",
    "column_values",
    "forms",
    "mixed",
    "numpy_dtype",
    "open_container",
    "plain",
]

ObjectForm = dict[str, Any]
"""How something was given, as JSON: enough to give the like of it back."""
PROBE = 200
"""Examples that tell what they are."""
KNOWN = (
    "a path; a table of pandas, polars or Arrow; an array or a tensor; a dict of columns; or a list or a map-style "
    "Dataset of pictures, texts, waveforms, (value, label) or dicts"
)
VECTOR = "column_{}"
"""The names of the columns of an array, from 1."""
LABEL = "label"


@dataclass(frozen=True)
class Examples:
    """Examples in memory, of each its values by field. A main field without a name is called "".

    n      how many
    rows   gives them from the first one on, as often as it is called
    even   whether the main field is one array
    rate   samples a second of waveforms that do not say their own
    table  the same as a table of Arrow, where they are one already
    """

    n: int
    rows: Callable[[], Iterator[dict[str, Any]]]
    even: bool = False
    rate: int | None = None
    table: Any = field(default=None, repr=False)

    @cached_property
    def head(self) -> list[dict[str, Any]]:
        """The first of them."""
        return list(islice(self.rows(), PROBE))

    @cached_property
    def names(self) -> list[str]:
        """Of all fields."""
        if self.table is not None:
            return list(self.table.column_names)
        return list(dict.fromkeys(name for row in self.head for name in row))

    def first(self, name: str) -> Any:
        """The first value of a field that is there; None where none is."""
        return next((row[name] for row in self.head if row.get(name) is not None), None)


def open_container(data: Any, rate: int | None = None) -> tuple[Examples, ObjectForm]:
    """An object as examples, and its form. Raises `DataError` for one that is no container of any."""
    for kind, name in (("pandas", "DataFrame"), ("polars", "DataFrame"), ("pyarrow", "Table")):
        if _is(data, kind, name):
            return _frame(data, kind)
    if isinstance(data, np.ndarray | torch.Tensor):
        return _array(data, rate)
    if isinstance(data, Mapping) and not any(_is(one, "datasets", "Dataset") for one in data.values()):
        return _columns(data, rate)
    sets = ("torch.utils.data", "Dataset"), ("datasets", "Dataset"), ("datasets", "IterableDataset")
    if isinstance(data, list | tuple | Iterator) or any(_is(data, *one) for one in sets):
        if not hasattr(data, "__len__") or not hasattr(data, "__getitem__"):
            raise DataError(
                f"a {called(data)} gives its examples once, and they are read several times: give a list of them, or "
                f"a map-style Dataset with a length",
                code="not-a-sequence",
            )
        return _items(data, rate)
    if any(_is(data, kind, "Series") for kind in ("pandas", "polars")):
        return _texts(data)
    raise DataError(f"data of the type {called(data)} is not taken: give {KNOWN}", code="unknown-data")


def _is(data: Any, module: str, name: str) -> bool:
    """Whether it is of a class of a library that may not be there."""
    return isinstance(data, getattr(sys.modules.get(module), name, ()))


def called(data: Any) -> str:
    """The name of its type."""
    return f"{type(data).__module__}.{type(data).__qualname__}".removeprefix("builtins.")


def container_library(name: str) -> Any:
    """The module of a container. Raises `GenwrightError` where it is not installed."""
    try:
        return import_module(name)
    except ModuleNotFoundError:
        raise GenwrightError(
            f"examples in a container of {name} need this library, which is not installed: pip install {name}",
            code="missing-extra",
        ) from None


# -- columns ---------------------------------------------------------------------------------------


def column_form(values: Any) -> ObjectForm:
    """Of a column: an array, a tensor, one of a table, or a list."""
    if isinstance(values, torch.Tensor):
        return {"of": "torch", "dtype": str(values.dtype).removeprefix("torch.")}
    if isinstance(values, np.ndarray):
        return {"of": "numpy", "dtype": values.dtype.name if values.dtype.kind != "U" else "str"}
    if _is(values, "pandas", "Series"):
        dtype = values.dtype
        kinds = dtype.categories.tolist() if hasattr(dtype, "categories") else None
        if kinds is None or not all(isinstance(one, str | int | float) for one in kinds):
            as_text = kinds or str(dtype).startswith("interval")
            return {"of": "pandas", "dtype": "object" if as_text else str(dtype)}
        return {"of": "pandas", "categories": kinds, "ordered": bool(dtype.ordered)}
    if _is(values, "polars", "Series") and values.dtype.base_type().__name__ == "Enum":
        return {"of": "polars", "enum": values.dtype.categories.to_list()}
    for kind, name in (("polars", "Series"), ("pyarrow", "ChunkedArray"), ("pyarrow", "Array")):
        if _is(values, kind, name):
            values = values.to_arrow() if kind == "polars" else values
            return {"of": kind, "dtype": str(values.type)}
    return {"of": "list"}


def column_of(values: Sequence[Any], form: ObjectForm | None) -> Any:
    """Values as a column of a form."""
    form = form or {"of": "list"}
    match form["of"]:
        case "torch":
            return as_tensor(np.array(list(values), numpy_dtype(form)), form)
        case "numpy":
            return np.array(list(values), form["dtype"])
        case "pandas":
            pandas = container_library("pandas")
            dtype = form.get("dtype") or pandas.CategoricalDtype(form["categories"], form["ordered"])
            return pandas.Series(list(values), dtype=dtype)
        case "pyarrow":
            return arrow_array(values, arrow_type(form["dtype"]))
        case "polars":
            polars = container_library("polars")
            if "enum" in form:
                return polars.Series(list(values), dtype=polars.Enum(form["enum"]))
            return polars.from_arrow(arrow_array(values, arrow_type(form["dtype"])))
    return list(values)


def column_values(values: Any) -> Any:
    """The values of a column, one by one."""
    if isinstance(values, np.ndarray | torch.Tensor):
        return as_array(values)
    if isinstance(values, list | tuple):
        return values
    for method in ("to_list", "to_pylist", "tolist"):
        if hasattr(values, method):
            return getattr(values, method)()
    raise DataError(
        f"a {called(values)} is no column of values: give a list or an array", code="unknown-data"
    )


def as_array(value: Any) -> Any:
    """An array or a tensor as NumPy has it, which does not know bfloat16."""
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        value = value.float() if value.dtype == torch.bfloat16 else value
    return np.asarray(value)


def as_tensor(array: Any, form: ObjectForm) -> torch.Tensor:
    """An array as a tensor of the dtype of a form."""
    return torch.from_numpy(np.ascontiguousarray(array)).to(getattr(torch, form["dtype"]))


def numpy_dtype(form: ObjectForm) -> np.dtype[Any]:
    """That of a form, or the next that NumPy knows."""
    return np.dtype("float32" if form["dtype"] == "bfloat16" else form["dtype"])


def as_table(columns: Mapping[str, Any]) -> Any:
    """Columns as a table of Arrow. Raises `DataError` for one that is of several types, or of none of a table."""
    pa, found = container_library("pyarrow"), {}
    for name, values in columns.items():
        try:
            found[name] = pa.array(values, from_pandas=True)
        except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
            raise DataError(
                f"the column {name!r} cannot be one of a table ({error}): give all of its values one type, "
                f"numbers, texts, booleans or dates",
                code="mixed-types",
            ) from None
    return pa.table(found)


# -- tables and arrays -----------------------------------------------------------------------------


def _frame(data: Any, kind: str) -> tuple[Examples, ObjectForm]:
    own = list(data.column_names if kind == "pyarrow" else data.columns)
    titles = [str(name) for name in own]
    if double := next((name for name in titles if titles.count(name) > 1), None):
        raise DataError(
            f"the table has two columns {double!r}: rename one of them", code="same-name-twice"
        )
    if kind == "pandas":
        columns = {name: data.iloc[:, i] for i, name in enumerate(titles)}
        table = as_table({name: _for_arrow(some) for name, some in columns.items()})
    else:
        columns = {name: data[name] for name in titles}
        table = data if kind == "pyarrow" else data.to_arrow()
    form = {"container": kind, "columns": {name: column_form(some) for name, some in columns.items()}}
    if titles != own:
        form["names"] = {
            name: one for name, one in zip(titles, own, strict=True) if isinstance(one, int)
        }
    return _of_table(table), form


def _for_arrow(column: Any) -> Any:
    """A column of pandas of which Arrow, or a file of it, has no like: periods and intervals as texts, and zeros that
    are not kept in full."""
    kind = str(column.dtype)
    if kind.startswith("Sparse"):
        return column.sparse.to_dense()
    texts = kind.startswith(("period", "interval")) or (
        kind == "category" and str(column.dtype.categories.dtype).startswith(("period", "interval"))
    )
    return column.astype(object).map(str, na_action="ignore") if texts else column


def _of_table(table: Any) -> Examples:
    def rows() -> Iterator[dict[str, Any]]:
        for batch in table.to_batches(max_chunksize=PROBE):
            yield from batch.to_pylist()

    return Examples(table.num_rows, rows, table=table)


def _array(data: Any, rate: int | None) -> tuple[Examples, ObjectForm]:
    if not len(data.shape):
        raise DataError(
            "an array without axes is a single number, and data has an example along its first axis: give an array of "
            "several",
            code="unknown-data",
        )
    values = column_values(data)
    kind = values.dtype.kind
    if kind in "UO" and len(data.shape) == 1:
        return _texts(data)
    if kind not in "biufMm":
        raise DataError(
            f"an array of {data.dtype} holds objects, or what is no number: give an array of numbers, or a list",
            code="object-array",
        )
    form: ObjectForm = {"container": "array", "column": column_form(data)}
    if len(data.shape) > 2 or rate is not None:
        return Examples(len(data), lambda: ({"": one} for one in values), even=True, rate=rate), form
    flat = values.reshape(len(data), -1)
    columns = {VECTOR.format(i + 1): flat[:, i] for i in range(flat.shape[1])}
    return _of_table(as_table(columns)), form | {"rows": len(data.shape)}


def _texts(data: Any) -> tuple[Examples, ObjectForm]:
    """An array of objects or a column, which may hold texts."""
    values = column_values(data)
    if wrong := next((one for one in values if not isinstance(one, str)), None):
        raise DataError(
            f"a {called(data)} of objects may hold texts, and this holds a {called(wrong)}: give an array of numbers, "
            f"a list of pictures, or a frame",
            code="object-array",
        )
    form = {"container": "array", "column": column_form(data)}
    return Examples(len(data), lambda: ({"": str(one)} for one in values)), form


# -- columns and items -----------------------------------------------------------------------------


def _columns(data: Mapping[str, Any], rate: int | None) -> tuple[Examples, ObjectForm]:
    for name, values in data.items():
        if isinstance(values, str | bytes) or not hasattr(values, "__len__"):
            raise DataError(
                f"{name!r} is a single {called(values)}: a dict holds a column of values under each name",
                code="unknown-data",
            )
    check_lengths({str(name): len(values) for name, values in data.items()})
    columns = {str(name): column_values(values) for name, values in data.items()}

    def rows() -> Iterator[dict[str, Any]]:
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True))

    form = {"container": "columns", "columns": {str(k): column_form(v) for k, v in data.items()}}
    return Examples(len(next(iter(columns.values()), ())), rows, rate=rate), form


def forms(
    examples: Examples, form_of: Callable[[Any, int | None], ObjectForm | None]
) -> dict[str, ObjectForm]:
    """Of the fields that are objects of a kind, by the first of each."""
    found = {name: form_of(examples.first(name), examples.rate) for name in examples.names}
    return {name: form for name, form in found.items() if form is not None}


def check_lengths(lengths: Mapping[str, int]) -> None:
    """Raises `DataError` unless all are equal."""
    if len(set(lengths.values())) > 1:
        counts = ", ".join(f"{n:,} of {name!r}" for name, n in islice(lengths.items(), 5))
        raise DataError(
            f"there are not as many values of one as of another ({counts}): every example has one of each",
            code="lengths-differ",
        )


def _items(data: Any, rate: int | None) -> tuple[Examples, ObjectForm]:
    """A list or a data set, by what its first item is: a value, a value and its label, or a dict."""
    form: ObjectForm = {"container": "items", "item": "dict"}
    if _is(data, "datasets", "Dataset"):
        data, form = _hub(data), {"container": "hub", "features": data.features.to_dict()}
    first = data[0] if len(data) else None
    kind = "value"
    if not any(resolve("codecs", name).form_of(first, rate) for name in names("codecs")):
        kind = "dict" if isinstance(first, Mapping) else "pair" if isinstance(first, tuple) else "value"
    form |= {"item": kind}
    value = first[0] if kind == "pair" and first else first
    if isinstance(value, np.ndarray | torch.Tensor) and len(value.shape) == 1 and rate is None:
        form["vector"] = {"length": len(value), **column_form(value)}
    return Examples(len(data), _Items(data, form), rate=rate), form


@dataclass(frozen=True)
class _Items:
    """The items of a list or a data set, one after the other, by field."""

    data: Any
    form: ObjectForm

    def __call__(self) -> Iterator[dict[str, Any]]:
        for i in range(len(self.data)):
            found = self._fields(self.data[i], i)
            yield self._vector(found, i) if "vector" in self.form else found

    def _fields(self, item: Any, i: int) -> dict[str, Any]:
        kind = self.form.get("item", "dict")
        if kind == "value":
            return {"": item}
        if kind == "dict" and isinstance(item, Mapping):
            return {str(name): self._named(name, value) for name, value in item.items()}
        if kind == "pair" and isinstance(item, tuple) and len(item) in (1, 2):
            return dict(zip(("", LABEL), item, strict=False))
        if kind == "pair" and isinstance(item, tuple):
            raise DataError(
                f"item {i} holds {len(item)} values, and only (value, label) is known without names: give dicts",
                code="unnamed-values",
            )
        raise mixed(i, item, "a dict" if kind == "dict" else "a tuple")

    def _named(self, name: str, value: Any) -> Any:
        """The name of a class in the place of its number."""
        known = self.form.get("features", {}).get(name)
        if not isinstance(known, dict) or known.get("_type") != "ClassLabel" or value is None:
            return value
        return known["names"][value] if value >= 0 else None

    def _vector(self, found: dict[str, Any], i: int) -> dict[str, Any]:
        """A field for each number of a vector."""
        vector, length = found.pop(""), self.form["vector"]["length"]
        if getattr(vector, "shape", None) != (length,):
            raise DataError(
                f"item {i} is no array of {length} numbers as item 0 is: rows are of one length; for sounds say how "
                f"many samples they have a second (rate=...)",
                code="mixed-types",
            )
        return {VECTOR.format(j + 1): value for j, value in enumerate(vector.tolist())} | found


def mixed(i: int, item: Any, wanted: str) -> DataError:
    """That an item is not of the kind of the others."""
    return DataError(
        f"item {i} is a {called(item)}, and {wanted} is wanted as those before it are: give items of one kind",
        code="mixed-types",
    )


def plain(value: Any) -> Any:
    """A single value as Python has it; None for one that is missing."""
    if isinstance(value, np.generic | np.ndarray | torch.Tensor) and not len(value.shape):
        value = value.item()
    return None if value is None or (isinstance(value, float) and value != value) else value


def _hub(data: Any) -> Any:
    """A data set of Hugging Face whose sounds are left as files."""
    for name, feature in data.features.items():
        if _is(feature, "datasets", "Audio"):
            data = data.cast_column(name, type(feature)(decode=False))
    return data


# -- put together again ----------------------------------------------------------------------------


def assembled(columns: Mapping[str, Sequence[Any]], form: ObjectForm) -> Any:
    """Columns of values in the container that they were given in."""
    kind = form["container"]
    if kind == "array":
        return _arrayed(list(columns.values()), form)
    if kind == "items":
        return _itemized(columns, form)
    if kind == "hub":
        return _to_hub(columns, form["features"])
    found = {name: column_of(values, form["columns"].get(name)) for name, values in columns.items()}
    if kind == "pandas":
        return container_library("pandas").DataFrame(found).rename(columns=form.get("names", {}))
    if kind == "polars":
        return container_library("polars").DataFrame(found)
    return container_library("pyarrow").table(found) if kind == "pyarrow" else found


def _to_hub(columns: Mapping[str, Sequence[Any]], kinds: Mapping[str, Any]) -> Any:
    """A data set of Hugging Face. Sounds go in as files, which asks for no decoder."""
    hub = container_library("datasets")
    features = hub.Features.from_dict({name: one for name, one in kinds.items() if name in columns})
    sounds = {name: one for name, one in features.items() if _is(one, "datasets", "Audio")}
    file = {"bytes": hub.Value("binary"), "path": hub.Value("string")}
    known = {name: list(columns[name]) for name in features}
    found = hub.Dataset.from_dict(
        known, features=hub.Features({**features, **dict.fromkeys(sounds, file)})
    )
    for name, feature in sounds.items():
        found = found.cast_column(name, feature)
    return found


def _arrayed(columns: Sequence[Sequence[Any]], form: ObjectForm) -> Any:
    if form.get("rows") != 2:
        return column_of(columns[0], form["column"])
    parts = [column_of(values, form["column"]) for values in columns]
    return torch.stack(parts, 1) if isinstance(parts[0], torch.Tensor) else np.stack(parts, 1)


def _itemized(columns: Mapping[str, Sequence[Any]], form: ObjectForm) -> list[Any]:
    if "vector" in form:
        own = [name for name in columns if name != LABEL]
        array = _arrayed([columns[name] for name in own], {"column": form["vector"], "rows": 2})
        columns = {"": list(array)} | {k: v for k, v in columns.items() if k not in own}
    rows = list(zip(*columns.values(), strict=True))
    if form["item"] == "dict":
        return [dict(zip(columns, row, strict=True)) for row in rows]
    return rows if form["item"] == "pair" else [row[0] for row in rows]
