"""Make one field from others: a caption from a picture, a picture from a caption, a translation, a summary."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from genwright.errors import RecipeError
from genwright.options import Share
from genwright.space import CondSpec, Space
from genwright.tasks.base import Ask, Example, Given, Infills, Request, Task, TaskSpec

__all__ = ["Pair"]


class Pair(Task):
    """x is one field, what is given are others of the same example."""

    def __init__(
        self,
        *,
        make: str = "",
        given: Sequence[str] = (),
        align: Sequence[str] | None = None,
        whole: Sequence[str] | None = None,
        copied: Sequence[str] | None = None,
        drop: Share = 0.1,
    ) -> None:
        """align: given fields that lie on the grid of what is made, place by place, such as a picture and the
        picture it is made from (none: those that the data says so of).  whole: given fields of which each place is
        read by itself, such as a text to translate (none: those that end).  copied: given fields whose symbols are
        those of what is made and often come in it again (none: those that the data says so of).  drop: share of
        training examples that go without what is given, so that it may be left out and guided by; aligned ones
        never do."""
        super().__init__(make=make, given=given)
        self.align, self.drop = tuple(align or ()), drop
        self.whole, self.copied = tuple(whole or ()), tuple(copied or ())

    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        given = self.others(fields)
        if not given:
            raise RecipeError(
                f"a pair is something made and something given, and nothing is given beside {self.make!r}: "
                f"--given {next((name for name in fields if name != self.make), 'NAME')}",
                code="nothing-given",
            )
        space = fields[self.make]
        for name in self.align:
            if name in given and len(given[name].grid) != len(space.grid):
                raise RecipeError(
                    f"task.align={name}: {given[name]} does not lie on {space} place by place",
                    code="cannot-align",
                )
        conds = {
            name: CondSpec(
                one,
                drop=0.0 if name in self.align else self.drop,
                align=name in self.align,
                whole=name in self.whole,
                copied=name in self.copied,
            )
            for name, one in given.items()
        }
        asks = {name: Ask(name, one, missing="draw") for name, one in given.items()}
        return TaskSpec(self.make, space, conds, asks)

    def ask(self, example: Example, rng: torch.Generator) -> Given:
        return {name: example[name] for name in self.given}

    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        return Request({name: one for name, one in given.items() if isinstance(one, torch.Tensor)})
