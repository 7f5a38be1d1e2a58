"""What was typed on the command line, read."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genwright.cli.console import say
from genwright.errors import RecipeError, suggest

if TYPE_CHECKING:
    from genwright.model import Model

__all__ = [
    "AsJson",
    "BestOf",
    "Data",
    "Drop",
    "FamilyName",
    "Given",
    "Label",
    "Make",
    "Mark",
    "Require",
    "Settings",
    "Size",
    "TaskName",
    "between",
    "check_sampler_options",
    "comma_separated",
    "conditions",
    "labels",
    "pair",
    "sampler_option",
]

BestOf = Annotated[int, typer.Option(help="Make so many of each and keep the best")]
Drop = Annotated[
    str | None,
    typer.Option(metavar="invalid,copies", help="Drop these, and make others in their place"),
]
Require = Annotated[
    list[str] | None,
    typer.Option(
        metavar="RULE|FILE.toml",
        help="Of rows: 'age >= 18', 'start <= end'; what breaks it is repaired or dropped; repeatable",
    ),
]

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any option of the recipe, e.g. family.beta=4"),
]
Data = Annotated[
    str,
    typer.Argument(
        metavar="PATH|NAME|URL|RECIPE.toml",
        help="A file, a folder, an archive, a database, hf:NAME, digits, a recipe",
    ),
]
FamilyName = Annotated[str | None, typer.Option(help="vae, gan, diffusion, ...: see genwright list")]
Label = Annotated[
    list[str] | None,
    typer.Option(help='Label or column to condition on; repeatable, "" for none'),
]
TaskName = Annotated[
    str | None, typer.Option("--task", help="generate, complete, restore, pair: see genwright list")
]
Make = Annotated[
    str | None,
    typer.Option(metavar="FIELD", help="The field to make, e.g. caption; default the main one"),
]
Given = Annotated[
    list[str] | None,
    typer.Option(metavar="FIELD", help="A field to make it from, e.g. image; repeatable"),
]
Size = Annotated[str | None, typer.Option(help="xs, s, m or l: how large the networks are")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines")]
Mark = Annotated[
    bool,
    typer.Option(
        " /--no-mark", help="Do not say in the files that they are synthetic, by which run and seed"
    ),
]


def labels(label: list[str] | None) -> list[str] | str | None:
    """The labels to condition on; None where nothing was said, "" for none."""
    return None if label is None else [name for name in label if name] or ""


def between(option: str, value: int, most: int) -> None:
    """Raise `RecipeError` for a number of an option that is below 1 or above `most`."""
    if not 1 <= value <= most:
        raise RecipeError(f"{option} must be between 1 and {most:,}, got {value}", code="out-of-range")


def comma_separated(text: str | None) -> list[str]:
    """Names with commas between them."""
    return [name.strip() for name in (text or "").split(",") if name.strip()]


def pair(text: str) -> tuple[str, str]:
    """A name and its value. Raises `RecipeError`."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"wanted NAME=VALUE, got {text!r}", code="not-a-pair")
    return name.strip(), value


def conditions(texts: Iterable[str], known: Collection[str]) -> dict[str, str]:
    """The values of `--given NAME=VALUE`, by name. A name may hold `=` and blanks: the longest of the `known` ones
    is meant, or the one in quotes, and that is said where another could be. Raises `RecipeError` for a name that
    is given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, value = _condition(text, known)
        if name in found:
            raise RecipeError(
                f"--given names {name!r} twice, as {found[name]!r} and as {value!r}: give it once",
                code="given-twice",
            )
        found[name] = value
    return found


def _condition(text: str, known: Collection[str]) -> tuple[str, str]:
    readings = [(name, text[len(name) + 1 :]) for name in known if text.startswith(f"{name}=")]
    if readings:
        (name, value), *others = sorted(readings, key=lambda one: -len(one[0]))
        if others:
            other, rest = others[0]
            say(
                f"--given {text} is read as the value {value!r} of {name!r}; for {other!r} type "
                f"--given '\"{other}\"={rest}'",
                error=True,
            )
        return name, value
    for quote in "\"'":
        name, closed, value = text.removeprefix(quote).partition(f"{quote}=")
        if text.startswith(quote) and closed:
            return name, value
    return pair(text)


def sampler_option(text: str) -> tuple[str, Any]:
    """An option of the sampler; its value is JSON where it can be. A prompt is always text, and so is what
    stands around gaps unless it names columns."""
    name, value = pair(text)
    name = name.removeprefix("sample.")
    if name == "prompt" or (name == "infill" and not value.lstrip().startswith("{")):
        return name, value
    with suppress(ValueError):
        return name, json.loads(value, object_pairs_hook=_once)
    return name, value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON. Raises `RecipeError` for a name that it has twice."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise RecipeError(f"{twice!r} is given twice: give it once", code="given-twice")
    return found


def check_sampler_options(model: Model, options: Collection[str], *others: str) -> None:
    """Raise `RecipeError` for a name that is no option of a model's sampler, nor one of the others."""
    known = [*model.sampler_options(), "chunk"]
    for name in options:
        if name not in (*known, *others):
            raise RecipeError(
                f"{model.family.name} has no sampler option {name!r}; {suggest(name, known)}",
                code="unknown-option",
            )
