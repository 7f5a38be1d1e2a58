"""What a short command can do without: the search for objects that refer to each other and to nothing else.

The objects that imports leave stay, and each search goes through them: a tenth of `look`, and as much again when
Python ends.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["ends_at_once", "uncollected"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Nothing is searched for within: for what takes seconds, and whose results are freed by counting."""
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def ends_at_once() -> None:
    """When Python ends, what is there is left to the system, and not searched through."""
    atexit.register(gc.freeze)
