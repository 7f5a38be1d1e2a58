"""What is known of this process and its machine without torch: which one it is of those that torchrun has
started, by its environment, before any of them has met the others; and how much memory is free."""

from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

__all__ = ["free_memory", "is_main", "local_rank", "world_size"]


def world_size() -> int:
    """How many there are; 1 without torchrun."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def local_rank() -> int:
    """The number of this one on its machine, from 0."""
    return int(os.environ.get("LOCAL_RANK", "0"))


def is_main() -> bool:
    """Whether this one writes files and speaks: the first of several, or the only one."""
    return world_size() == 1 or int(os.environ.get("RANK", "0")) == 0


def free_memory() -> float:
    """Bytes of memory that are free on this machine; infinite where that cannot be known."""
    with suppress(OSError):
        if found := re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii")):
            return 1024.0 * int(found[1])
    with suppress(AttributeError, OSError, ValueError):  # of what there is at all, about half
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    return float("inf")
