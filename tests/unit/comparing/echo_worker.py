"""A worker that trains nothing: what a pool of processes is tested with."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def perform(task: Mapping[str, Any]) -> dict[str, Any]:
    if task.get("dies_once") and not (marker := Path(task["dies_once"])).exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    if task.get("dies"):
        os.kill(os.getpid(), signal.SIGKILL)
    if task.get("hangs"):
        time.sleep(600)
    time.sleep(task.get("sleeps", 0.0))
    return {"said": task["name"], "work": 0.0, "process": os.getpid()}


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps(perform(json.loads(line))), flush=True)  # noqa: T201
