"""What a task is: which part of an example is to be made, and which is given.

A task changes no family. It says what the family's space and conditions are, shows each training
batch from its point of view, and finishes what was sampled (pastes known parts back, drops what is
invalid).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.space import Space

__all__ = ["Task"]


class Task(ABC):
    """One point of view on an example."""

    paired: ClassVar[bool] = True
    """False where x and what is given are drawn independently of each other."""

    @abstractmethod
    def spec(self, space: Space, given: Mapping[str, Space]) -> tuple[Space, dict[str, Space]]:
        """The space to make and the conditions, from those of the data."""

    @abstractmethod
    def view(self, batch: Batch, rng: torch.Generator) -> Batch:
        """A batch of data as the family is to see it."""

    def finish(self, x: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """Samples as the codec is to get them."""
        return x
