"""The process that holds the models, as the front has it: begun, listened to, begun again, and ended.

It is told what to serve by a line of JSON on its standard input, whose end is its own. By lines of JSON on its standard
output it says when it is ready, or why it cannot be, and what it has counted. Requests reach it on a socket in a folder
that nobody else may enter, as HTTP (`forwarding.py`): nothing is pickled.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
from base64 import b64decode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genwright.errors import GenwrightError
from genwright.serving.assets import Asset
from genwright.serving.counters import Counters
from genwright.serving.limits import Limits

__all__ = ["ModelProcess"]

log = logging.getLogger("genwright.serving")
COMMAND = [sys.executable, "-m", "genwright.serving_worker"]
"""Above this room, and found by its name: it loads runs."""
PAUSES = (0.5, 2.0, 10.0, 60.0)
"""Seconds until one that ended is begun again, the first time, the second, and so on."""
ENDING = 15.0
"""Seconds that it has to end in when it is told to."""


class ModelProcess:
    """A context within which there is one, ready when it is entered. Raises `GenwrightError` for what it cannot load.

    draining  set where the server is to end
    socket    where it listens; None while there is none that is ready
    pages     what it has to show, by path
    waiting   pieces of work that it has not begun, as far as it has said
    """

    def __init__(self, runs: Sequence[Path], device: str, limits: Limits, counters: Counters) -> None:
        self.asked = {
            "runs": [str(run) for run in runs],
            "device": device,
            "limits": limits.json(),
        }
        self.counters = counters
        self.draining = False
        self.socket: str | None = None
        self.pages: dict[str, Asset] = {}
        self.waiting = 0
        self._process: subprocess.Popen[str]
        self._folder = TemporaryDirectory(prefix="genwright-")
        self._begun = 0
        self._ended = threading.Event()
        self._lock = threading.Lock()
        """None is begun while the end is being decided."""
        self._watcher = threading.Thread(target=self._watch, name="model-process", daemon=True)

    @property
    def ready(self) -> bool:
        return self.socket is not None

    def __enter__(self) -> ModelProcess:
        self._begin()
        try:
            self._hear(self._line())
            if not self.ready:
                raise GenwrightError(
                    f"the process that loads the runs ended ({_how(_close(self._process))}) before it was ready: "
                    "its last words stand above",
                    code="no-model-process",
                )
        except BaseException:
            self.__exit__()
            raise
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End it by the end of its input; by force if that does not help."""
        with self._lock:
            self._ended.set()
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()
        try:
            self._process.wait(ENDING)
        except subprocess.TimeoutExpired:
            self._process.kill()
        if self._watcher.is_alive():  # which hears that it has ended
            self._watcher.join()
        _close(self._process)
        self._folder.cleanup()

    def _begin(self) -> None:
        """Start one; it says by itself when it is ready."""
        self._begun += 1
        place = os.path.join(self._folder.name, f"{self._begun}.sock")
        # A session of its own, since Ctrl-C is for the front, which lets it finish first, and since Linux gives each
        # session a share of the processor: with one for both the front would wait for the sampler after all.
        self._process = subprocess.Popen(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,
        )
        assert self._process.stdin is not None
        with suppress(OSError):  # it ended at once, which its silence says
            self._process.stdin.write(json.dumps(self.asked | {"socket": place}) + "\n")
            self._process.stdin.flush()

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _hear(self, line: str) -> None:
        """One thing that it says; nothing where it has ended. Raises `GenwrightError` for what it cannot load."""
        said: Mapping[str, Any] = json.loads(line) if line else {}
        if "error" in said:
            raise GenwrightError(said["error"]["words"], code=said["error"]["code"])
        for name, labels, amount in said.get("counted", ()):
            self.counters.add(name, amount, labels)
        self.waiting = said.get("waiting", self.waiting)
        if "ready" in said:
            self.pages = {
                path: Asset(b64decode(page["content"]), page["media_type"])
                for path, page in said["pages"].items()
            }
            self.socket = said["ready"]

    def _watch(self) -> None:
        """Listen to it; where it ends unasked, begin it again."""
        ends = 0
        while True:
            try:
                while line := self._line():
                    self._hear(line)
                    ends = 0 if self.ready else ends
            except GenwrightError as error:
                log.error("the runs cannot be loaded again: %s", error)
            self.socket, self.waiting = None, 0
            code = _close(self._process)
            if self._ended.is_set():
                return
            pause = PAUSES[min(ends, len(PAUSES) - 1)]
            log.error("the process of the models ended (%s)", _how(code))
            self._ended.wait(0 if self.draining else pause)
            with self._lock:
                if self.draining or self._ended.is_set():
                    return
                self._begin()
            ends += 1


def _close(process: subprocess.Popen[str]) -> int:
    """Wait for one that has ended, and let go of its pipes; its exit status."""
    for pipe in (process.stdin, process.stdout):
        with suppress(OSError):  # of what it was not told
            if pipe is not None:
                pipe.close()
    return process.wait()


def _how(code: int) -> str:
    return f"signal {-code}, too little memory perhaps" if code < 0 else f"exit status {code}"
