"""Make whole examples, from nothing or from labels and attributes."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from genwright.space import CondSpec, Space
from genwright.tasks.base import Ask, Example, Given, Infills, Request, Task, TaskSpec

__all__ = ["Generate"]


class Generate(Task):
    """x is the whole example; what is given are its labels. Where the family keeps known parts of an example,
    a beginning (`prompt`) or an example with gaps (`infill`) may be given too."""

    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        given = self.others(fields)
        space = fields[self.make]
        asks = {name: Ask(name, one, missing="draw") for name, one in given.items()}
        if infills != "no":
            asks[self.make] = Ask(self.make, space, partial=True, missing="open")
        conds = {name: CondSpec(one) for name, one in given.items()}
        return TaskSpec(self.make, space, conds, asks, native=infills != "no")

    def ask(self, example: Example, rng: torch.Generator) -> Given:
        return {name: example[name] for name in self.given}

    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        cond = {name: one for name, one in given.items() if isinstance(one, torch.Tensor)}
        known = given.get(self.make)
        return Request(cond, known if isinstance(known, tuple) else None)
