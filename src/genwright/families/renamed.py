"""Weights of older runs under the names of today."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["RENAMED", "upgrade"]

RENAMED: dict[str, str] = {"stepped": "is_discrete"}
"""Parts of names of weights and buffers, as they were and as they are."""


def upgrade(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those of an older run under the names of today; new names pass as they are."""
    return {
        ".".join(RENAMED.get(part, part) for part in name.split(".")): tensor
        for name, tensor in tensors.items()
    }
