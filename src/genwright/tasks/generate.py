"""Make whole examples, from nothing or from labels and attributes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from genwright.batch import Batch
from genwright.space import Space
from genwright.tasks.base import Task

__all__ = ["Generate"]


class Generate(Task):
    """x is the whole example; what is given are its labels."""

    def spec(self, space: Space, given: Mapping[str, Space]) -> tuple[Space, dict[str, Space]]:
        return space, dict(given)

    def view(self, batch: Batch, rng: torch.Generator) -> Batch:
        return batch
