"""Which checks each metric passes on truths that are known: who may speak in a verdict.

The results are written by `python -m genwright.testing.validate` and kept with the code: those of the
built-in metrics beside this file, those of a metric from another package beside its own module. A metric
without any has shown nothing yet.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from genwright.registry import names, resolve

__all__ = ["FILE", "check_results", "file_of", "in_words", "validated"]

FILE = Path(__file__).with_name("validation.json")


def file_of(metric: type[Any]) -> Path:
    """Where the results of a metric are kept."""
    if metric.__module__.partition(".")[0] == __name__.partition(".")[0]:
        return FILE
    return Path(inspect.getfile(metric)).with_name(FILE.name)


@cache
def check_results() -> Mapping[str, Mapping[str, str]]:
    """For each metric its checks, and why it fails them: "" where it passes."""
    found = kept_in(FILE)
    for name in names("metrics"):
        if name not in found:
            found |= {name: kept_in(file_of(resolve("metrics", name))).get(name, {})}
    return found


def kept_in(file: Path) -> dict[str, dict[str, str]]:
    """The results in a file, by metric; none where there is no such file."""
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}


def validated(metric: str) -> bool:
    """Whether a metric was checked, and passes."""
    return bool(check_results().get(metric)) and not any(check_results()[metric].values())


def in_words(metric: str) -> str:
    """What its checks have shown."""
    checks = check_results().get(metric, {})
    if not checks:
        return "it was not checked on cases whose answer is known"
    failed = [f"{check.replace('_', ' ')}: {why}" for check, why in checks.items() if why]
    return "; ".join(failed) or f"passes {len(checks)} checks on cases whose answer is known"
