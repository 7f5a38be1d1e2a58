"""How many threads to compute with where other programs want the cores too.

Threads wait for each other after every operation, and where one of them is kept from running all do: beside
one busy program on two cores two threads made 3 steps of a small U-Net while one thread made 150. With the
machine to themselves two were 1.4 times as fast as one. How many there are changes the last digits of what is
computed, so that only a training that is bound by time, whose steps nobody can count beforehand, chooses.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from genwright.training.hooks import Hook

if TYPE_CHECKING:
    from genwright.training.trainer import Trainer

__all__ = ["Threads", "fitting", "one_thread", "share_of_a_core"]

WINDOW, TRIES = 0.03, 3
"""Seconds that a number of threads is tried for, several turns of a scheduler; and how often, since by chance
all may run in one of them."""
LONG = 0.2
"""Seconds to see how much of a core is left to one thread."""
LOST = 0.5
"""Of the speed of one thread: slower ones keep each other waiting."""
NUMBERS = 100_000
"""In what is added up: enough for torch to use all threads."""
FREE, MOST = 10.0, 160.0
"""Seconds to the next look: while all threads fit; and at most, doubled each time while they do not."""


class Threads(Hook):
    """Within it torch has as many threads as fit, and before and after it as many as it had.

    chooses  whether to change their number as the machine is busy or not, or only to say once that fewer
             would be faster
    most     how many there are at most (None: torch's own number)
    words    what was found, for a person; empty where nothing is to be said
    """

    def __init__(self, device: torch.device, *, chooses: bool, most: int | None = None) -> None:
        self.chooses, self.words = chooses, ""
        self._computes, self._named = device.type == "cpu", most

    def __enter__(self) -> Threads:
        self._before = torch.get_num_threads()
        self.most = (self._named or self._before) if self._computes else 1
        self._wait, self._next = FREE, 0.0
        if self._computes:
            torch.set_num_threads(self.most)
        self.look()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._computes:
            torch.set_num_threads(self._before)

    def after_step(self, trainer: Trainer, terms: dict[str, Tensor]) -> None:
        self.look()
        trainer.progress.busy = self.words

    def look(self) -> None:
        """Whether the cores are free, if it is time to ask again."""
        if self.most == 1 or time.monotonic() < self._next:
            return
        found = fitting(self.most)
        torch.set_num_threads(found if self.chooses else self.most)
        self.words = self._said(found) if found < self.most else ""
        self._wait = FREE if found == self.most else min(2 * self._wait, MOST)
        self._next = time.monotonic() + (self._wait if self.chooses else float("inf"))

    def _said(self, found: int) -> str:
        busy = f"other programs want the cores, so that {self.most} threads wait for each other"
        if self.chooses:
            return f"{busy}: goes on with {found}"
        return f"{busy}: OMP_NUM_THREADS={found} in the environment would be faster"


def fitting(most: int) -> int:
    """As many threads as do not keep each other waiting: `most`, half of them, a quarter and so on."""
    alone = _speed(1)
    while most > 1 and any(_speed(most) < LOST * alone for _ in range(TRIES)):
        most //= 2
    return most


@contextmanager
def one_thread() -> Iterator[None]:
    """For what is too small to be shared, so that no thread waits for another."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def share_of_a_core() -> float:
    """Of the time that goes by, how much one thread computes: less than all of it beside other programs."""
    began, worked, x = time.perf_counter(), time.thread_time(), torch.zeros(NUMBERS)
    with one_thread():
        while (passed := time.perf_counter() - began) < LONG:
            x += 1
    return min(1.0, (time.thread_time() - worked) / passed)


def _speed(threads: int) -> float:
    """Operations in a second."""
    torch.set_num_threads(threads)
    x, done, began, passed = torch.zeros(NUMBERS), 0, time.perf_counter(), 0.0
    while passed < WINDOW:
        x += 1
        done, passed = done + 1, time.perf_counter() - began
    return done / passed
