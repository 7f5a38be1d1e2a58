"""Which of the processes that torchrun has started this is, by its environment: known before any of them has
met the others, and without torch."""

from __future__ import annotations

import os

__all__ = ["is_main", "local_rank", "world_size"]


def world_size() -> int:
    """How many there are; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The number of this one on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this one writes files and speaks: the first of several, or the only one."""
    return world_size() == 1 or int(os.environ.get("RANK", "0")) == 0
