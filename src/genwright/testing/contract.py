"""A contract: laws, each with a name and a sentence, that a subject is held to one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from typing import Any, Generic, TypeVar

import numpy as np
import torch

from genwright import registry
from genwright.space import Real, Space

__all__ = ["Contract", "demand", "registered", "same", "stored_in"]

S = TypeVar("S")
Law = Callable[[S], None]


def demand(holds: bool, sentence: str) -> None:
    """Raise `AssertionError` unless it holds, whether Python runs asserts or not."""
    if not holds:
        raise AssertionError(sentence)


class Contract(Generic[S]):
    """Laws over subjects of one kind, in the order they were written down.

    A law is a function of a subject that raises `AssertionError`; its name with dashes is the law's, the first
    line of its docstring its sentence.
    """

    def __init__(self, what: str) -> None:
        self.what = what
        self.laws: dict[str, Law[S]] = {}

    def law(self, law: Law[S]) -> Law[S]:
        """Decorator: add a law."""
        self.laws[law.__name__.replace("_", "-")] = law
        return law

    def names(self, exceptions: Collection[str] = ()) -> list[str]:
        """Of the laws that count. Raises `AssertionError` for an exception to a law that there is not."""
        for name in sorted(exceptions):
            demand(name in self.laws, f"there is no law {name!r} of a {self.what} to except from")
        return [name for name in self.laws if name not in exceptions]

    def hold(self, name: str, subject: S, called: str) -> None:
        """Hold a subject, which is called so, to one law."""
        law = self.laws[name]
        try:
            law(subject)
        except Exception as error:
            sentence = (law.__doc__ or "").strip().partition("\n")[0]
            fault = (
                str(error) if isinstance(error, AssertionError) else f"{type(error).__name__}: {error}"
            )
            raise AssertionError(
                f"the {self.what} {called} breaks the law {name!r} ({sentence}) {fault}"
            ) from error

    def check(self, subject: S, called: str, exceptions: Collection[str] = ()) -> None:
        """Hold a subject to all laws but these."""
        for name in self.names(exceptions):
            self.hold(name, subject, called)


@contextmanager
def registered(kind: str, plugin: str | type[Any]) -> Iterator[str]:
    """The registered name of a plug-in; a class that has none gets one for as long as this lasts."""
    if isinstance(plugin, str):
        registry.resolve(kind, plugin)
        yield plugin
        return
    table, place = registry._table(kind), f"{plugin.__module__}:{plugin.__qualname__}"
    for name, other in table.items():
        if other == place:
            yield name
            return
    name = plugin.__name__.lower()
    while name in table:
        name += "-"
    table[name] = place
    try:
        yield name
    finally:
        del table[name]


def same(a: Any, b: Any) -> bool:
    """Whether two raw values, or collections of them, are equal to the last bit; no number equals itself."""
    if type(a) is not type(b):
        return False
    if hasattr(a, "iloc"):  # a frame of pandas
        columns = list(a.columns)
        return columns == list(b.columns) and all(same(list(a[c]), list(b[c])) for c in columns)
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Mapping):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if is_dataclass(a):
        return all(same(getattr(a, f.name), getattr(b, f.name)) for f in fields(a))
    return a is b or bool(a == b) or (a != a and b != b)


def stored_in(space: Space, x: torch.Tensor, what: str) -> None:
    """Raise `AssertionError` unless `x` `(n, stored, *grid)` are stored examples of a space: shape, dtype, finite
    numbers, symbols that there are, bounded numbers within [-1, 1]."""
    if tuple(x.shape[1:]) != space.shape or x.dtype != space.dtype:
        raise AssertionError(
            f"{what} has shape {tuple(x.shape)} and dtype {x.dtype}, and {space} wants (n, *{space.shape}) and "
            f"{space.dtype}"
        )
    demand(bool(torch.isfinite(x.float()).all()), f"{what} holds numbers that are not finite")
    for slot in space.slots():
        part = x[:, slot.stored]
        if isinstance(slot.span, Real):
            inside = not slot.span.bounded or not part.numel() or float(part.abs().max()) <= 1 + 1e-6
            demand(inside, f"{what} leaves [-1, 1], and {space} says that it is bounded")
        elif part.numel():
            whole = bool((part == part.round()).all())
            inside = whole and int(part.min()) >= 0 and int(part.max()) < slot.span.k
            demand(inside, f"{what} holds a symbol that is none of the {slot.span.k}")
