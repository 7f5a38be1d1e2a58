"""Drafts: what a sampler has so far, for whoever watches it.

A sampler that goes step by step says after each how far it is. Nobody listens unless somebody watches in the same
thread; who watches may end the sampling by an exception.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from torch import Tensor

__all__ = ["Draft", "Watcher", "drafts_through", "reached", "watching"]


@dataclass(frozen=True)
class Draft:
    """Examples that are not finished.

    step, steps  how far the sampler is
    examples     gives them in stored form `(n, stored, *grid)`, as good as they can be seen by now
    places       positions at the beginning of each that are final (None: none is before the end)
    hidden       gives which numbers of the examples are not made yet, in their form (None: all are as good as they
                 can be seen)
    """

    step: int
    steps: int
    examples: Callable[[], Tensor]
    places: int | None = None
    hidden: Callable[[], Tensor] | None = None


Watcher = Callable[[Draft], None]
_WATCHER: ContextVar[Watcher | None] = ContextVar("watcher", default=None)


@contextmanager
def watching(watcher: Watcher) -> Iterator[None]:
    """Within it, the samplers of this thread show their drafts to `watcher`."""
    token = _WATCHER.set(watcher)
    try:
        yield
    finally:
        _WATCHER.reset(token)


def reached(draft: Draft) -> None:
    """Called by a sampler after each of its steps."""
    watcher = _WATCHER.get()
    if watcher is not None:
        watcher(draft)


@contextmanager
def drafts_through(change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Within it, drafts are shown after `change`: those of a prior as the examples that its codes stand for."""
    watcher = _WATCHER.get()
    if watcher is None:
        yield
        return

    def changed(draft: Draft) -> None:
        watcher(Draft(draft.step, draft.steps, lambda: change(draft.examples())))

    with watching(changed):
        yield
