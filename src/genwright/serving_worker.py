"""The process that holds the models of `genwright serve`: it loads runs, and answers what the front hands to it.

    python -m genwright.serving_worker

It is begun by `serving/model_process.py`, which says what it is told and what it says. It listens on one socket, which
the front alone can reach, and ends with its standard input.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import sys
import threading
import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import uvicorn

from genwright import api
from genwright.errors import GenwrightError, memory
from genwright.serving.app import ModelRoutes
from genwright.serving.counters import Counters
from genwright.serving.limits import Limits

__all__ = ["answer_front"]

BETWEEN = 0.25
"""Seconds between two reports of what was counted."""
SWITCH = 0.001
"""Seconds after which a thread that samples lets the one that answers go on; Python's own 5 ms make that one wait."""
Report = Callable[[dict[str, Any]], None]


def answer_front() -> None:
    """Load what is asked for, and answer until the front is gone."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    report = _reports()
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_input, daemon=True).start()
    limits, counters = Limits.of(asked["limits"]), Counters()
    try:
        with memory("serve fewer runs at once"):
            runs = [Path(run) for run in asked["runs"]]
            models = [(run, api.load(run, device=asked["device"])) for run in runs]
        behind = ModelRoutes(models, limits, counters)
    except GenwrightError as error:
        report({"error": {"code": error.code, "words": str(error)}})
        return
    sys.setswitchinterval(SWITCH)
    with socket.socket(socket.AF_UNIX) as listening, behind.engine:
        listening.bind(asked["socket"])
        listening.listen(limits.waiting)
        pages = {
            path: {"content": b64encode(page.content).decode(), "media_type": page.media_type}
            for path, page in behind.pages.items()
        }
        report({"ready": asked["socket"], "pages": pages})
        threading.Thread(target=_count, args=(behind, counters, report), daemon=True).start()
        config = uvicorn.Config(
            behind.app(),
            http="h11",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
        )
        _Behind(config).run(sockets=[listening])


class _Behind(uvicorn.Server):
    """A server that leaves it to the front when to end."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        return


def _end_with_input() -> NoReturn:
    """When the front has ended nobody waits for what is being made, and there is nothing to keep."""
    while sys.stdin.read(2**16):
        pass
    os._exit(0)


def _reports() -> Report:
    """Takes standard output for reports, and gives what libraries print there to standard error."""
    own = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    lock = threading.Lock()

    def report(said: dict[str, Any]) -> None:
        with lock:
            own.write(json.dumps(said) + "\n")
            own.flush()

    return report


def _count(behind: ModelRoutes, counters: Counters, report: Report) -> None:
    """Say what was counted, as long as somebody listens."""
    waiting = 0
    while True:
        time.sleep(BETWEEN)
        counted = counters.taken()
        if counted or behind.engine.waiting != waiting:
            waiting = behind.engine.waiting
            try:
                report({"counted": counted, "waiting": waiting})
            except OSError:
                return


if __name__ == "__main__":
    answer_front()
