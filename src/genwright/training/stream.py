"""Training and held-out batches of one data set, as the family is to see them."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from genwright.batch import Batch
from genwright.data.dataset import Split
from genwright.data.loader import Loader
from genwright.pipeline import Pipeline

__all__ = ["BatchStream"]


class BatchStream:
    """The examples that a loader names, by way of a pipeline.

    train, heldout  splits; None where nothing is held out
    """

    def __init__(
        self, pipeline: Pipeline, loader: Loader, train: Split, heldout: Split | None = None
    ) -> None:
        self.pipeline, self.loader = pipeline, loader
        self.train, self.held = train, heldout

    def next(self, size: int, device: torch.device, seed: int) -> Batch:
        """The next training batch. `seed` decides its augmentation and what the task draws."""
        rng = torch.Generator(device).manual_seed(seed)
        return self.pipeline.batch(self.train, self.loader.next(size), device, rng, augment=True)

    def heldout(self, size: int, most: int, device: torch.device) -> Iterator[Batch]:
        """Held-out batches, always the same; at most `most` examples."""
        if self.held is None:
            return
        rng = torch.Generator(device).manual_seed(0)
        yield from self.pipeline.batches(self.held, size, most, device, rng)
