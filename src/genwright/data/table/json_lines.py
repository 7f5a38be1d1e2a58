"""Objects of JSON as the rows of a table, and back.

    {"user": {"age": 31}, "tags": ["a", "b"]}    user.age: 31, tags: '["a", "b"]'

A value that stands within an object has the names on the way to it, with points between; a list of plain values is
the text that JSON has for it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from genwright.data.columns.formats import is_missing

__all__ = ["ObjectColumns", "columns_in", "flat", "listed", "rebuilt", "written"]

POINT = "."


@dataclass
class ObjectColumns:
    """What objects hold, each in the order in which it comes first.

    names    of all columns
    within   of those that stand within an object
    lists    of those whose values are lists
    records  of those that hold lists of objects or of lists, which are no columns of a table
    """

    names: dict[str, None] = field(default_factory=dict)
    within: dict[str, None] = field(default_factory=dict)
    lists: dict[str, None] = field(default_factory=dict)
    records: dict[str, None] = field(default_factory=dict)


def columns_in(objects: Iterable[Mapping[str, Any]]) -> ObjectColumns:
    found, empty = ObjectColumns(), dict[str, None]()
    for one in objects:
        for path, value in _leaves(one):
            name = POINT.join(path)
            if _is_records(value):
                found.records[name] = None
                continue
            if value is None:
                empty[name] = None
            found.names[name] = None
            if len(path) > 1:
                found.within[name] = None
            if isinstance(value, list):
                found.lists[name] = None
    # An object that is missing in some rows is no column of its own.
    wholes = {name for name in empty if any(other.startswith(name + POINT) for other in found.within)}
    for name in [*wholes, *found.records]:
        found.names.pop(name, None)
    return found


def flat(one: Mapping[str, Any]) -> dict[str, Any]:
    """An object as a row: plain values and the texts of lists by column."""
    leaves = [(POINT.join(path), value) for path, value in _leaves(one)]
    return {name: written(value) for name, value in leaves if not _is_records(value)}


def _leaves(one: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key, value in one.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (*path, key))
        else:
            yield (*path, key), None if isinstance(value, Mapping) else value


def _is_records(value: Any) -> bool:
    return isinstance(value, list) and any(isinstance(one, list | dict) for one in value)


def written(value: Any) -> Any:
    """The text of a list; any other value as it is."""
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list) else value


def listed(value: Any) -> Any:
    """The list of a text; any other value as it is, and None for what is missing."""
    if is_missing(value):
        return None
    try:
        found = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        return value
    return found if isinstance(found, list) else value


def rebuilt(row: Mapping[str, Any], within: Collection[str], lists: Collection[str]) -> dict[str, Any]:
    """The object of a row."""
    made: dict[str, Any] = {}
    for name, value in row.items():
        *path, last = name.split(POINT) if name in within else [name]
        place = made
        for key in path:
            inner = place.setdefault(key, {})
            place = inner if isinstance(inner, dict) else place
        place[last] = listed(value) if name in lists else value
    return made
