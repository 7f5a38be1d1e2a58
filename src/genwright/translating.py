"""From files that a person names to stored examples that a model can translate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.codec import Array, ReadOptions
from genwright.data.source import find
from genwright.errors import DataError, RecipeError
from genwright.model import Model, Samples

__all__ = ["sources_from", "translated"]


def sources_from(model: Model, paths: Sequence[Path]) -> tuple[Array, list[str]]:
    """The stored examples of files or folders, in their order, and what could not be read and why.

    Raises `DataError` where nothing can be used.
    """
    codec, kind = model.codec, model.kind
    found: list[Array] = []
    notes: list[str] = []
    for path in paths:
        if path.is_file() and not {suffix.lower() for suffix in path.suffixes} & {*codec.reads}:
            raise DataError(f"{path} is no {kind} data: this model translates {', '.join(codec.reads)}")
        for chunk in codec.read(find(path, kind), ReadOptions(val=0.0, test=0.0)):
            notes += [f"{bad.name}: {bad.reason}" for bad in chunk.bad]
            if len(chunk):
                found.append(codec.expand(codec.encode(chunk.examples)))
    if not found:
        why = f" ({notes[0]})" if notes else ""
        raise DataError(f"nothing to translate in {', '.join(map(str, paths))}{why}")
    return np.concatenate(found), notes


def translated(
    model: Model,
    data: str | Path | Sequence[str | Path] | None,
    to: str | None,
    *,
    n: int,
    seed: int,
    **sampler_options: Any,
) -> Samples:
    """Files, folders or `n` held-out examples, brought to a domain."""
    domains = " or ".join(map(str, model.domains))
    if to is None:
        raise RecipeError(f"name the domain to translate to: {domains}")
    if data is None:
        return model.sample(n, dict.fromkeys(model.given, to), seed=seed, **sampler_options)
    paths = [data] if isinstance(data, str | Path) else data
    x, notes = sources_from(model, [Path(path) for path in paths])
    made = model.translate(x, to, seed=seed, **sampler_options)
    made.notes = notes
    return made
