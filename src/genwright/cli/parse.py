"""What was typed on the command line, read."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Annotated, Any

import typer

from genwright.errors import RecipeError

__all__ = ["Mark", "labels", "pair", "sampler_option"]

Mark = Annotated[
    bool,
    typer.Option(
        " /--no-mark", help="Do not say in the files that they are synthetic, by which run and seed"
    ),
]


def labels(label: list[str] | None) -> list[str] | str | None:
    """The labels to condition on; None where nothing was said, "" for none."""
    return None if label is None else [name for name in label if name] or ""


def pair(text: str) -> tuple[str, str]:
    """A name and its value. Raises `RecipeError`."""
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"wanted NAME=VALUE, got {text!r}", code="not-a-pair")
    return name.strip(), value


def sampler_option(text: str) -> tuple[str, Any]:
    """An option of the sampler; its value is JSON where it can be. A prompt is always text, and so is what
    stands around gaps unless it names columns."""
    name, value = pair(text)
    name = name.removeprefix("sample.")
    if name == "prompt" or (name == "infill" and not value.lstrip().startswith("{")):
        return name, value
    with suppress(ValueError):
        return name, json.loads(value)
    return name, value
