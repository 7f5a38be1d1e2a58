"""Who takes part: a family as it is, or a family with one of several settings.

Settings are tried side by side as families are, so that with little time a bracket of successive halving leaves off
those that cannot win.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from genwright.errors import RecipeError

__all__ = ["Candidate", "candidates"]

VARIED = ("family.", "net.", "train.", "size")
"""Options that may differ from candidate to candidate: what is learnt from and judged by stays the same for all."""
FIXED = (
    "train.steps",
    "train.minutes",
    "train.device",
    "train.threads",
    "train.checks",
    "train.samples",
)
"""Of these, what a comparison decides."""
MOST = 64
"""Candidates at most."""


@dataclass(frozen=True)
class Candidate:
    """A family with settings such as `train.lr=0.001`.

    name  by which it goes in the table, and its folder
    """

    name: str
    family: str
    settings: tuple[str, ...] = ()


def candidates(families: Sequence[str], varied: Sequence[str]) -> list[Candidate]:
    """Each family with each combination of the values of settings such as `train.lr=0.001,0.003`.

    Raises `RecipeError` for what is no such setting, or where there would be too many.
    """
    choices = [_choices(one) for one in varied]
    found = [
        Candidate(_name(family, dict(chosen)), family, tuple(f"{k}={v}" for k, v in chosen))
        for family in families
        for chosen in product(*choices)
    ]
    if len(found) > MOST:
        raise RecipeError(
            f"{len(found)} candidates are too many to compare, and {MOST} are taken at most: vary fewer settings, or "
            f"name fewer --families",
            code="too-many-candidates",
        )
    return found


def _choices(setting: str) -> list[tuple[str, str]]:
    key, _, text = setting.partition("=")
    key, values = key.strip(), [value.strip() for value in text.split(",") if value.strip()]
    if len({*values}) < 2:
        raise RecipeError(
            f"--vary takes NAME=VALUE,VALUE with two values or more, got {setting!r}", code="not-a-pair"
        )
    if not key.startswith(VARIED) or key in FIXED:
        raise RecipeError(
            f"{key!r} is the same for all that are compared: --vary takes options of family, net and train, and size",
            code="cannot-vary",
        )
    return [(key, value) for value in dict.fromkeys(values)]


def _name(family: str, chosen: Mapping[str, str]) -> str:
    words = [family, *(f"{key.rpartition('.')[2]}-{value}" for key, value in chosen.items())]
    return re.sub(r"[^\w.-]+", "-", "-".join(words))
