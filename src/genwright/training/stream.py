"""From a split on disk to what a family sees: loader, device, augmentation, bridge, task."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from genwright.batch import Batch
from genwright.bridges.base import Bridge
from genwright.data.dataset import Split
from genwright.data.loader import Loader, in_order
from genwright.tasks.base import Task

__all__ = ["BatchStream"]


class BatchStream:
    """Training and held-out batches for one family."""

    def __init__(self, loader: Loader, heldout: Split | None, bridge: Bridge, task: Task) -> None:
        self.loader, self.bridge, self.task = loader, bridge, task
        self.held = heldout
        self.codec = loader.split.codec

    def next(self, size: int, device: torch.device, seed: int) -> Batch:
        """The next training batch. `seed` decides its augmentation."""
        rng = torch.Generator(device).manual_seed(seed)
        batch = self.loader.next(size).to(device)
        batch.x = self.codec.augment(batch.x, rng)
        return self._view(batch, rng)

    def heldout(self, size: int, most: int, device: torch.device) -> Iterator[Batch]:
        """Held-out batches, always the same; at most `most` examples."""
        if self.held is None:
            return
        rng = torch.Generator(device).manual_seed(0)
        for batch in in_order(self.held, size, most):
            yield self._view(batch.to(device), rng)

    def _view(self, batch: Batch, rng: torch.Generator) -> Batch:
        # A mask goes with the places it was made for, and as numbers pads have to be learnt too.
        source, target = self.bridge.source, self.bridge.target
        kept = target.grid == source.grid and (target.kind == source.kind or target.kind != "real")
        mask = batch.mask if kept else None
        return self.task.view(Batch(self.bridge.forward(batch.x), batch.cond, mask), rng)
