"""Counters of a server, as Prometheus reads them."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Mapping

__all__ = ["Counters"]

PREFIX = "genwright_"
HELP = {
    "requests_total": ("counter", "Answers, by route and status."),
    "request_seconds_total": ("counter", "Seconds from a request to the end of its answer, by route."),
    "accepted_total": ("counter", "Pieces of work that were accepted."),
    "batches_total": ("counter", "Times that a sampler was called."),
    "batched_requests_total": ("counter", "Requests that these calls were for."),
    "examples_total": ("counter", "Examples that were made, by run."),
    "abandoned_total": ("counter", "Requests whose asker went away."),
    "waiting": ("gauge", "Pieces of work that wait."),
    "busy": ("gauge", "Pieces of work that wait or are made."),
}
Labels = tuple[tuple[str, str], ...]


class Counters:
    """Numbers by name and labels; any thread may add to them. Labels are of few values: never what was asked."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[tuple[str, Labels], float] = defaultdict(float)
        self.gauges: dict[str, Callable[[], float]] = {}

    def add(self, name: str, amount: float = 1, labels: Mapping[str, str] | None = None) -> None:
        with self._lock:
            self._values[name, tuple(sorted((labels or {}).items()))] += amount

    def value(self, name: str, **labels: str) -> float:
        with self._lock:
            return self._values.get((name, tuple(sorted(labels.items()))), 0.0)

    def taken(self) -> list[tuple[str, dict[str, str], float]]:
        """What was added since it was last taken, for the counters of another process."""
        with self._lock:
            values, self._values = self._values, defaultdict(float)
        return [(name, dict(labels), amount) for (name, labels), amount in values.items()]

    def text(self) -> str:
        """Prometheus text format 0.0.4."""
        with self._lock:
            values = dict(self._values)
        values |= {(name, ()): gauge() for name, gauge in self.gauges.items()}
        lines = []
        for name, (kind, words) in HELP.items():
            lines += [f"# HELP {PREFIX}{name} {words}", f"# TYPE {PREFIX}{name} {kind}"]
            for (other, labels), value in sorted(values.items()):
                if other == name:
                    inner = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels)
                    lines.append(f"{PREFIX}{name}{f'{{{inner}}}' if inner else ''} {value:g}")
        return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
