"""Ctrl-C and the signal to terminate: while a training prepares and while it runs, and while samples are made."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from genwright.process import is_main

__all__ = ["EndOfMaking", "Stop", "stoppable", "stoppable_making"]


class Stop:
    """What Ctrl-C and SIGTERM do: end the command while it prepares; later end the training after its
    step; and a second one ends it at once."""

    def __init__(self) -> None:
        self.training = not is_main()  # the first process alone is told of the beginning
        self.got: int | None = None

    def __call__(self) -> bool:
        return self.got is not None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if not self.training:
            os.write(2, b"genwright: stopped before the training began\n")
            sys.exit(128 + number)
        if self.got is not None:
            os.write(2, b"genwright: stopped at once; the last save stands\n")
            os._exit(128 + number)
        self.got = number
        os.write(2, b"stopping after this step, to save; once more stops at once\n")


class EndOfMaking:
    """What the signals do while samples are made: no more are begun, what is made is written; a second one ends
    the command at once."""

    def __init__(self) -> None:
        self.got: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self.got is not None:
            os._exit(128 + number)
        self.got = number
        os.write(2, b"stopping after what is being made; once more stops at once\n")


@contextmanager
def stoppable() -> Iterator[Stop]:
    stop = Stop()
    with _handled(stop.handle):
        yield stop


@contextmanager
def stoppable_making() -> Iterator[EndOfMaking]:
    end = EndOfMaking()
    with _handled(end.handle):
        yield end


@contextmanager
def _handled(handle: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
