"""The body of a request: JSON, checked before it is taken apart."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any, NoReturn

from genwright.errors import suggest
from genwright.serving.refusal import HttpRefusal

__all__ = ["Body"]

STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"')


class Body:
    """An object of JSON with the names that a route knows. Raises `HttpRefusal` for anything else."""

    def __init__(self, data: bytes, depth: int, known: Collection[str]) -> None:
        self.values = _parsed(data, depth)
        for name in self.values:
            if name not in known:
                raise HttpRefusal(
                    f"this route takes no {name[:64]!r}; {suggest(name[:64], known)}",
                    code="unknown-field",
                )

    def get(self, name: str, default: Any = None) -> Any:
        value = self.values.get(name)
        return default if value is None else value

    def whole(self, name: str, default: int, least: int, most: int) -> int:
        """A whole number within bounds: neither a text nor true nor 3.0."""
        value = self.get(name, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise HttpRefusal(f"{name} is a whole number, got {str(value)[:64]!r}", code="wrong-type")
        if not least <= value <= most:
            raise HttpRefusal(
                f"{name} is {least} to {most:,}, got {str(value)[:64]}", code="out-of-range"
            )
        return value

    def text(self, name: str, default: str, most: int) -> str:
        value = self.get(name, default)
        if not isinstance(value, str):
            raise HttpRefusal(f"{name} is a text, got {str(value)[:64]!r}", code="wrong-type")
        if len(value) > most:
            raise HttpRefusal(
                f"{name} has {len(value):,} characters, and {most:,} are taken at most",
                code="text-too-long",
            )
        return value

    def switch(self, name: str) -> bool:
        value = self.get(name, False)
        if not isinstance(value, bool):
            raise HttpRefusal(f"{name} is true or false, got {str(value)[:64]!r}", code="wrong-type")
        return value

    def choice(self, name: str, known: Collection[str]) -> str:
        """One of some words, the first unless one is given."""
        value = self.get(name, next(iter(known)))
        if value not in [*known]:
            raise HttpRefusal(
                f"{name} is one of {', '.join(known)}, got {str(value)[:64]!r}", code="unknown-choice"
            )
        return str(value)


def _parsed(data: bytes, depth: int) -> dict[str, Any]:
    _check_depth(data, depth)
    try:
        found = json.loads(
            data.decode("utf-8"),
            parse_constant=_refuse_constant,
            object_pairs_hook=_once,
            parse_int=_whole,
        )
    except (ValueError, RecursionError) as error:
        raise HttpRefusal(f"the body is no JSON: {str(error)[:120]}", code="no-json") from None
    if not isinstance(found, dict):
        raise HttpRefusal('the body is an object of JSON, such as {"n": 4}', code="no-json")
    return found


def _check_depth(data: bytes, depth: int) -> None:
    """Before it is parsed, since a parser that follows goes as deep."""
    deep = 0
    for mark in re.findall(rb"[\[{}\]]", STRINGS.sub(b"", data)):
        deep += 1 if mark in b"[{" else -1
        if deep > depth:
            raise HttpRefusal(f"the body is deeper than {depth} levels", code="too-deep")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _whole(text: str) -> int:
    if len(text) > 24:
        raise ValueError("a number has too many digits")
    return int(text)


def _once(pairs: list[tuple[str, Any]]) -> Mapping[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name stands twice in an object")
    return found
