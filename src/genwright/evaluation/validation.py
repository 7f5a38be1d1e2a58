"""Which checks each metric passes on truths that are known: who may speak in a verdict.

The results are written by the test suite and kept with the code. A metric that is not among them, such as one
from another package, has shown nothing yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files

__all__ = ["in_words", "results", "validated"]


@cache
def results() -> Mapping[str, Mapping[str, str]]:
    """For each metric its checks, and why it fails them: "" where it passes."""
    found: dict[str, dict[str, str]] = json.loads(
        files("genwright.evaluation").joinpath("validation.json").read_text(encoding="utf-8")
    )
    return found


def validated(metric: str) -> bool:
    """Whether a metric was checked, and passes."""
    return bool(results().get(metric)) and not any(results()[metric].values())


def in_words(metric: str) -> str:
    """What its checks have shown."""
    checks = results().get(metric, {})
    if not checks:
        return "it was not checked on cases whose answer is known"
    failed = [f"{check.replace('_', ' ')}: {why}" for check, why in checks.items() if why]
    return "; ".join(failed) or f"passes {len(checks)} checks on cases whose answer is known"
