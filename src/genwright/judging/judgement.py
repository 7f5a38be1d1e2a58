"""What the judge says: plain values, the same on the page, on the terminal and in JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from genwright.data.codec import Preview
from genwright.judging.metric import Group, Reading

__all__ = ["Finding", "Gallery", "Judgement", "Line"]


@dataclass(frozen=True)
class Line:
    """One metric with its company.

    model      of the generated examples; None where it could not be measured, then `refused` says why
    floor      of further real examples: as good as it gets with so many
    copycat    of a copy of training examples
    baselines  of trivial generators, by name
    skill      (best baseline - model) / (best baseline - floor): 1 is as good as real, 0 as bad as trivial;
               None where the baselines are no worse than the floor
    """

    metric: str
    group: Group
    better: Literal["lower", "higher", "near"]
    how: str
    validated: bool
    model: Reading | None
    floor: Reading | None = None
    copycat: Reading | None = None
    baselines: Mapping[str, Reading] = field(default_factory=dict)
    skill: float | None = None
    refused: str = ""


@dataclass(frozen=True)
class Finding:
    """One sentence of the verdict."""

    outcome: Literal["supported", "not supported", "inconclusive"]
    question: str
    """Such as "Does it look real?"."""
    because: str


@dataclass(frozen=True)
class Gallery:
    """Examples to look at, each row of them with a caption."""

    title: str
    note: str
    rows: tuple[tuple[str, Preview], ...]


@dataclass(frozen=True)
class Judgement:
    """The whole report. `facts` is the data card: what was compared, sizes, seed, lens, versions, command."""

    title: str
    findings: tuple[Finding, ...]
    facts: Mapping[str, Any]
    lines: tuple[Line, ...]
    galleries: tuple[Gallery, ...] = ()
    not_measured: tuple[str, ...] = ()
