"""One line of JSON for each figure, with what is needed to read it again."""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

import torch


def say(**figures: Any) -> None:
    """Print figures with the command, the machine and its load."""
    about = {
        "command": " ".join(["python", *sys.argv]),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    print(json.dumps({**figures, **about}), flush=True)


def interleaved(repeats: int, **work: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each, taken in turn, so that a drift of the machine hits all alike."""
    times: dict[str, list[float]] = {name: [] for name in work}
    for one in work.values():
        one()  # warm up
    for _ in range(repeats):
        for name, one in work.items():
            began = time.perf_counter()
            one()
            times[name].append(time.perf_counter() - began)
    return {name: statistics.median(values) for name, values in times.items()}
