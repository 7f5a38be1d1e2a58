"""The options of a sampler as a form shows them and as a request is checked against them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import Parameter
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt

from genwright.families.capabilities import Generative
from genwright.options import Count
from genwright.registry import check, options
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal

__all__ = ["SamplerOption", "described"]

SLIDER = 8.0
"""Where a slider ends for a number that has no bound."""


@dataclass(frozen=True)
class SamplerOption:
    """One option.

    kind         number (not whole), whole, choice or switch
    default      None: the sampler's own choice
    least, most  what a slider goes from and to
    """

    name: str
    kind: str
    default: Any
    words: str
    hint: Any
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    def json(self) -> dict[str, Any]:
        names = ("name", "kind", "default", "words", "least", "most")
        return {name: getattr(self, name) for name in names} | {"choices": list(self.choices)}

    def checked(self, value: Any, limits: Limits) -> Any:
        """The value of a request; a text is no number here. Raises `HttpRefusal`, `RecipeError`."""
        numeric = self.kind in ("number", "whole")
        if isinstance(value, list | dict) or (numeric and isinstance(value, str)):
            raise HttpRefusal(
                f"{self.name} cannot be {str(value)[:64]!r}: wanted a {self.kind} value",
                code="wrong-type",
            )
        most = limits.options.get(self.name, limits.option)
        if self.kind == "whole" and isinstance(value, int | float) and value > most:
            raise HttpRefusal(f"{self.name} is {most:,} at most, got {value:g}", code="out-of-range")
        if self.kind == "number" and isinstance(value, int | float) and abs(value) > limits.number:
            raise HttpRefusal(
                f"{self.name} is {limits.number:g} at most, got {value:g}", code="out-of-range"
            )
        return check({self.name: value}, {self.name: self.hint}, where="")[self.name]


def described(family: Generative) -> Iterator[SamplerOption]:
    """The options of a family's sampler, in order, with the sentences of its docstring."""
    words = _sentences(family._sample.__doc__ or "")
    for name, parameter in options(family._sample).items():
        yield _described(name, parameter, words.get(name, ""))
    yield SamplerOption("chunk", "whole", None, "examples made at once.", Count, 1.0)


def _described(name: str, parameter: Parameter, words: str) -> SamplerOption:
    hint, default = parameter.annotation, parameter.default
    plain, bounds, choices = _taken_apart(hint)
    if choices:
        return SamplerOption(name, "choice", default, words, hint, choices=choices)
    if plain is bool:
        return SamplerOption(name, "switch", default, words, hint)
    least = next((b.ge if isinstance(b, Ge) else b.gt for b in bounds if isinstance(b, Ge | Gt)), None)
    most = next((b.le if isinstance(b, Le) else b.lt for b in bounds if isinstance(b, Le | Lt)), None)
    if plain is int:
        return SamplerOption(name, "whole", default, words, hint, _number(least), _number(most))
    if most is None:  # a slider has to end somewhere
        most = max(2.0, 2.0 * float(default or 1.0)) if least is not None else SLIDER
    return SamplerOption(name, "number", default, words, hint, _number(least) or 0.0, _number(most))


def _number(bound: Any) -> float | None:
    return None if bound is None else float(bound)


def _taken_apart(hint: Any) -> tuple[Any, tuple[Any, ...], tuple[str, ...]]:
    """The type without None, its bounds, and its choices."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _taken_apart(next(part for part in parts if part is not type(None)))
    if origin is Annotated:
        return parts[0], parts[1:], ()
    if origin is Literal:
        return str, (), tuple(map(str, parts))
    return hint, (), ()


def _sentences(doc: str) -> dict[str, str]:
    """`name: sentence.` by name, as docstrings of samplers hold them."""
    parts = re.split(r"(?:^|(?<=\.)\s+)([a-z_]+): ", " ".join(doc.split()))
    return dict(zip(parts[1::2], (part.strip() for part in parts[2::2]), strict=True))
