"""The engine: a bounded queue of work and the threads that sample, off the event loop.

Each thread takes the oldest piece of work, and with it those that ask the same of the same run for a few examples
each: they are made at once (`families/lanes.py`), each by its own seed. Every operation has one thread, as on the
command line, so that the bytes are the same. A piece whose asker has gone is dropped from the queue, or ended at the
next step of its sampler.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager

import torch

from genwright.families.drafts import Draft, watching
from genwright.serving.counters import Counters
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal, check_room

__all__ = ["Abandoned", "Engine", "Work"]

log = logging.getLogger("genwright.serving")


class Abandoned(BaseException):
    """Nobody waits for what is being made: ends a sampler. Not an error, so that nothing on the way handles it."""


class Work:
    """What the engine does for one request. A subclass makes it: `perform`, or `perform_together` for several.

    key      those of one key can be made at once; None: by itself
    size     rows that it takes of the lanes
    lanes    rows there are
    """

    key: Hashable = None
    size: int = 1
    lanes: int = 1

    def __init__(self, seconds: float) -> None:
        self.arrived = time.monotonic()
        self.deadline = self.arrived + seconds
        self.cancelled = False

    def perform(self) -> None:
        """Make it, and say so to whoever waits."""
        raise NotImplementedError

    def perform_together(self, others: Sequence[Work]) -> None:
        """The same with others of the same key."""
        raise NotImplementedError

    def watch(self, draft: Draft, rows: slice) -> None:
        """A sampler has come so far; `rows` of it are this one's."""

    def fail(self, error: BaseException) -> None:
        """Say what went wrong to whoever waits."""
        raise NotImplementedError

    @property
    def over(self) -> bool:
        """Whether nobody waits for it any more, or it has taken too long."""
        return self.cancelled or time.monotonic() > self.deadline


class Engine:
    """Runs work in `threads` threads; a context within which torch computes each operation in one thread."""

    def __init__(self, limits: Limits, counters: Counters, threads: int | None = None) -> None:
        self.limits, self.counters = limits, counters
        self.threads = threads or torch.get_num_threads()
        self.batching = True
        self.draining = False
        self._queue: deque[Work] = deque()
        self._active = 0
        self._filling: set[Hashable] = set()
        """Keys of batches that wait for more: what has one of them is theirs."""
        self._changed = threading.Condition()
        self._ended = False
        self._workers: list[threading.Thread] = []
        self._before = torch.get_num_threads()

    def __enter__(self) -> Engine:
        self._before = torch.get_num_threads()
        torch.set_num_threads(1)
        for i in range(self.threads):
            worker = threading.Thread(target=self._serve, name=f"sampler-{i}", daemon=True)
            worker.start()
            self._workers.append(worker)
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ended = True
            for work in [*self._queue]:
                work.cancelled = True
            self._changed.notify_all()
        for worker in self._workers:
            worker.join(timeout=10)
        torch.set_num_threads(self._before)

    # -- the door ------------------------------------------------------------------------------

    def check_room(self) -> None:
        """Raise `HttpRefusal` where a request would not be accepted now."""
        check_room(self.draining, self.waiting, self.limits.waiting)

    def submit(self, work: Work) -> None:
        """Put work behind what waits. Raises `HttpRefusal` where the queue is full."""
        with self._changed:
            self.check_room()
            self._queue.append(work)
            self._changed.notify_all()
        self.counters.add("accepted_total")

    def cancel(self, work: Work) -> None:
        """Nobody waits for it any more: its place is free at once, or after the step that is being made."""
        work.cancelled = True
        with self._changed:
            if work in self._queue:
                self._queue.remove(work)
                self._changed.notify_all()

    ready = True
    """It has its models from the start."""

    @property
    def waiting(self) -> int:
        return len(self._queue)

    @property
    def busy(self) -> int:
        """Pieces of work that wait or are made."""
        return len(self._queue) + self._active

    # -- the threads ---------------------------------------------------------------------------

    def _serve(self) -> None:
        torch.set_num_threads(1)
        while (batch := self._next()) is not None:
            try:
                self._perform([work for work in batch if not work.over] or batch[:1])
                for work in batch:
                    if work.over and not work.cancelled:
                        work.fail(_late())
            except Abandoned:
                for work in batch:
                    if not work.cancelled:
                        work.fail(_late())
            except BaseException as error:
                self._failed(batch, error)
            finally:
                with self._changed:
                    self._active -= len(batch)
                    self._changed.notify_all()

    def _failed(self, batch: Sequence[Work], error: BaseException) -> None:
        """Tell those that wait. Of several made at once one may be to blame: each is tried by itself."""
        if len(batch) > 1:
            for work in batch:
                try:
                    self._perform([work])
                except Abandoned:
                    work.fail(_late())
                except BaseException as own:
                    self._failed([work], own)
            return
        if not isinstance(error, Exception) or not hasattr(error, "code"):
            log.error("sampling failed", exc_info=error)
        batch[0].fail(error)

    def _perform(self, batch: Sequence[Work]) -> None:
        first, *others = batch
        if first.over:
            raise Abandoned
        self.counters.add("batches_total")
        self.counters.add("batched_requests_total", len(batch))
        with _watched(batch):
            if others:
                first.perform_together(others)
            else:
                first.perform()

    def _next(self) -> list[Work] | None:
        """The oldest work, with others of its key as far as there are lanes. None: it is over."""
        with self._changed:
            while (first := self._free()) is None:
                if self._ended:
                    return None
                self._changed.wait()
            self._queue.remove(first)
            self._active += 1
            batch = [first]
            if first.key is not None and self.batching:
                self._filling.add(first.key)
                self._fill(batch)
                self._filling.remove(first.key)
                self._changed.notify_all()
            return batch

    def _free(self) -> Work | None:
        """The oldest work that no batch waits for."""
        return next((work for work in self._queue if work.key not in self._filling), None)

    def _fill(self, batch: list[Work]) -> None:
        first = batch[0]
        until = first.arrived + self.limits.window
        while True:
            room = first.lanes - sum(work.size for work in batch)
            for work in [*self._queue]:
                if work.key == first.key and work.size <= room:
                    self._queue.remove(work)
                    self._active += 1
                    batch.append(work)
                    room -= work.size
            left = until - time.monotonic()
            if room <= 0 or left <= 0 or self._ended:
                return
            self._changed.wait(left)


@contextmanager
def _watched(batch: Sequence[Work]) -> Iterator[None]:
    """Within it each of the batch is shown drafts, and the sampler is ended where nobody waits."""
    starts = [0]
    for work in batch:
        starts.append(starts[-1] + work.size)

    def watcher(draft: Draft) -> None:
        if all(work.over for work in batch):
            raise Abandoned
        for work, start, stop in zip(batch, starts, starts[1:], strict=False):
            if not work.over:
                work.watch(draft, slice(start, stop))

    with watching(watcher):
        yield


def _late() -> HttpRefusal:
    return HttpRefusal(
        "it took too long, and was ended: ask for fewer examples or steps", code="timeout", status=504
    )
