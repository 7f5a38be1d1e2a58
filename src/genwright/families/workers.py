"""Several pieces of work at a time, each in one thread: what comes out depends on neither cores nor load.

Two threads within one operation wait for each other after each, and the sum of a product has other last digits
than in one. A piece that one thread computes from beginning to end waits for nobody. Threads and not processes:
torch lets go of Python's lock in its operations, and the weights are there already (`benchmarks/sampling.py`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import TypeVar

import torch

__all__ = ["side_by_side", "single_threaded"]

A = TypeVar("A")
B = TypeVar("B")


def side_by_side(make: Callable[[A], B], pieces: Iterable[A], device: torch.device) -> Iterator[B]:
    """`make` of each piece, in their order and without gradients; on a CPU as many at a time as torch has
    threads, elsewhere one after the other. No more are begun than are waited for."""

    @torch.no_grad()
    def one(piece: A) -> B:
        return make(piece)

    if device.type != "cpu":
        yield from map(one, pieces)
        return
    with single_threaded() as workers:
        if workers == 1:
            yield from map(one, pieces)
            return
        rest, pool = iter(pieces), ThreadPoolExecutor(workers)
        try:
            begun: deque[Future[B]] = deque(pool.submit(one, p) for p in islice(rest, workers + 1))
            while begun:
                yield begun.popleft().result()
                begun.extend(pool.submit(one, p) for p in islice(rest, 1))
        finally:
            pool.shutdown(cancel_futures=True)


@contextmanager
def single_threaded() -> Iterator[int]:
    """Within it an operation has one thread, in threads that begin there too; gives how many it had."""
    most = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield most
    finally:
        torch.set_num_threads(most)
