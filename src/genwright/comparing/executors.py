"""Where trainings run: in this process, in several of this machine, or on the machines of a Ray cluster.

A task and its answer are JSON (`genwright.worker`), and what a training has come to lies in its run folder, which is
the truth; an executor only says where. So all give the same runs, byte for byte on equal machines.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from importlib import import_module
from queue import SimpleQueue
from typing import Any

from genwright.errors import RecipeError
from genwright.process import world_size

__all__ = ["Executor", "InProcess", "Processes", "executor_for"]

WORKER = "genwright.worker"
"""Above this room, and found by its name: it trains, and comparing only asks."""
TRIES = 2
"""Of a training whose process ended under it."""
IDLE = 30.0
"""Times the work that it may take, in seconds that go by: a process that hangs is ended after these."""

Task = Mapping[str, Any]
Answer = dict[str, Any]


class Executor(ABC):
    """Does tasks."""

    @abstractmethod
    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answer]]:
        """Each task with its answer, in the order in which they are done. What others do has begun before the first is
        asked for."""

    def close(self) -> None:
        """End what was started."""
        return


class InProcess(Executor):
    """One after the other, here."""

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answer]]:
        perform = import_module(WORKER).perform
        for task in tasks:
            yield task, perform(task)


class Processes(Executor):
    """As many at a time as there are worker processes, each of which stays for several tasks."""

    def __init__(self, workers: int) -> None:
        self.closed = False
        self.threads = ThreadPoolExecutor(workers, thread_name_prefix="asks-a-worker")
        self.free: SimpleQueue[_Process] = SimpleQueue()
        self.every = [_Process() for _ in range(workers)]
        for process in self.every:
            self.free.put(process)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answer]]:
        asked = {self.threads.submit(self._ask, task): task for task in tasks}
        return ((asked[answer], answer.result()) for answer in as_completed(asked))

    def _ask(self, task: Task) -> Answer:
        process = self.free.get()
        try:
            for _ in range(TRIES):
                answer = None if self.closed else process.ask(task)
                if answer is not None:
                    return answer
            words = f"its process ended {TRIES} times under it ({process.ended})"
            return {"error": {"code": "worker-lost", "words": words}, "work": 0.0}
        finally:
            self.free.put(process)

    def close(self) -> None:
        self.closed = True
        for process in self.every:
            process.kill()
        self.threads.shutdown(cancel_futures=True)
        for process in self.every:
            process.end()


def executor_for(workers: int = 1, ray: str | None = None) -> Executor:
    """Where to train, as it was asked for. Raises `RecipeError` for what cannot be."""
    if workers < 1:
        raise RecipeError(f"--workers must be 1 or more, got {workers}", code="out-of-range")
    if world_size() > 1:
        raise RecipeError(
            "compare starts processes of its own, and torchrun has started several of it: leave torchrun out, or "
            "train a single family with it (genwright train)",
            code="under-torchrun",
        )
    if ray is None:
        return InProcess() if workers == 1 else Processes(workers)
    if workers > 1:
        raise RecipeError(
            "--ray trains on as many cores as the cluster has: leave --workers out",
            code="contradicting-options",
        )
    from genwright.comparing.cluster import Cluster

    return Cluster(ray)


class _Process:
    """A worker process, started when it is first asked and again when it has ended.

    ended  how the last one ended
    """

    def __init__(self) -> None:
        self.process: subprocess.Popen[str] | None = None
        self.ended = ""

    def ask(self, task: Task) -> Answer | None:
        """The answer to a task; None where the process ended under it."""
        if self.process is not None and self.process.poll() is not None:
            self.end()
        self.process = self.process or _started()
        process = self.process
        assert process.stdin is not None
        assert process.stdout is not None
        clock = threading.Timer(IDLE * task["limit"], process.kill)
        clock.start()
        try:
            process.stdin.write(json.dumps(task) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except OSError:
            line = ""
        finally:
            clock.cancel()
        if line:
            answer: Answer = json.loads(line)
            return answer
        code = self.end()
        self.ended = f"signal {-code}, too little memory perhaps" if code < 0 else f"exit status {code}"
        return None

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()

    def end(self) -> int:
        """Wait for it to end, which it is about to; its exit status."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        for pipe in (process.stdin, process.stdout):
            with suppress(OSError):  # of what it was not told
                if pipe is not None:
                    pipe.close()
        return process.wait()


def _started() -> subprocess.Popen[str]:
    # One thread for each process: several processes use the cores better than several threads of one.
    environment = os.environ | {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    return subprocess.Popen(
        [sys.executable, "-m", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
