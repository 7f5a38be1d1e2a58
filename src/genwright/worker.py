"""One training as it is asked for in JSON, with an answer in JSON; and a process that does one after the other.

    python -m genwright.worker

reads a task a line from its standard input and writes an answer a line to its standard output. Whatever goes wrong
with a training is an answer too. A process whose asker is gone ends: the run goes on from its last save.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from itertools import pairwise
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from genwright import api
from genwright.errors import GenwrightError, RunError
from genwright.recipe import Recipe
from genwright.storage.durable import digest
from genwright.storage.manifest import MANIFEST
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.timing import work_seconds
from genwright.training.trainer import Progress

__all__ = ["answer_tasks", "perform"]

TIMED = 200
"""Steps whose seconds are told one by one."""
PATIENCE = 60.0
"""Seconds to wait for a run that another process holds: it may be about to end."""


class _Overtime(Exception):
    """More work than a training may take."""


def perform(task: Mapping[str, Any], stopped: Callable[[], bool] = lambda: False) -> dict[str, Any]:
    """Train, or go on, until a step; what it came to.

    task     run      its folder
             recipe   of a run that is not there yet, as `Recipe.toml` gives it
             until    the step at which it is cut
             limit    seconds of work after which it is given up
    stopped  says whether to leave off after this step
    The answer: step, worked (seconds of training in all), each (those of the last steps of this task, one by one),
    work (of all of this task), bytes, alarms (what the guard saw), manifest (its digest); or error, with code and
    words.
    """
    device = distributed.device(task["recipe"]["train"].get("device", "auto"))
    began, threads = work_seconds(device), torch.get_num_threads()
    torch.set_num_threads(task["recipe"]["train"]["threads"])
    try:
        with _limited(task["limit"]):
            answer = _trained(task, stopped)
    except _Overtime:
        answer = _error("overtime", f"was given up after {task['limit']:.0f} s of work")
    except GenwrightError as error:
        answer = _error(error.code, str(error))
    except MemoryError:
        answer = _error("no-memory", "there is too little memory for it")
    except Exception as error:  # of a family, perhaps of another package: it ends no comparison
        answer = _error("internal", f"{type(error).__name__}: {error}")
    finally:
        torch.set_num_threads(threads)
    return answer | {"work": work_seconds(device) - began}


def _error(code: str, words: str) -> dict[str, Any]:
    return {"error": {"code": code, "words": " ".join(words.split())}}


def _trained(task: Mapping[str, Any], stopped: Callable[[], bool]) -> dict[str, Any]:
    path, until = Path(task["run"]), int(task["until"])
    last = Run.open(path).step if (path / MANIFEST).exists() else 0
    after: deque[float] = deque(maxlen=TIMED + 1)

    def report(now: Progress) -> None:
        nonlocal last
        last = now.step
        after.append(now.worked)

    def cut() -> bool:
        return last >= until or stopped()

    there = (path / MANIFEST).exists()
    if last < until:
        begin: dict[str, Any] = {"resume": path} if there else {"out": path}
        what = None if there else Recipe.of(task["recipe"])
        _patiently(lambda: api.train(what, report=report, stop=cut, **begin))
    run = Run.open(path)
    _, meta = run.training_state()
    return {
        "step": run.step,
        "worked": meta.get("worked", 0.0),
        "each": [b - a for a, b in pairwise(after)],
        "bytes": sum(file.stat().st_size for file in (path / "model").glob("*.safetensors")),
        "alarms": [str(one["words"]) for one in run.alarms()],
        "manifest": digest(path / MANIFEST).sha256,
    }


def _patiently(train: Callable[[], Any]) -> None:
    """Train; where another process holds the run, wait for it a while."""
    began = time.monotonic()
    while True:
        try:
            train()
            return
        except RunError as error:
            if error.code != "run-locked" or time.monotonic() - began > PATIENCE:
                raise
            time.sleep(0.5)


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Within it `_Overtime` is raised after so many seconds that the processor has worked, where the system can do
    that. Of the main thread only, which alone may be interrupted."""
    if not hasattr(signal, "ITIMER_PROF"):
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise _Overtime

    try:
        before = signal.signal(signal.SIGPROF, over)
    except ValueError:  # in another thread
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def answer_tasks() -> None:
    """Answer the tasks of standard input until it ends."""
    parent, answers = os.getppid(), sys.stdout

    def orphaned() -> bool:
        return os.getppid() != parent

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the asker says when to end
    idle = time.process_time()  # what it took to begin
    for line in sys.stdin:
        with redirect_stdout(sys.stderr):
            answer = perform(json.loads(line), orphaned)
        answer["work"] += idle
        idle = 0.0
        if orphaned():
            return
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    answer_tasks()
