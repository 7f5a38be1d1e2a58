"""A task: which field of an example is made, and which are given; in training and on request alike.

A task says what a person *would have given* for an example (`ask`). What a family is shown in training, the
requests that checks and the judge make, and what a person asks for all follow from it, so that they cannot
drift apart. It knows tensors, no field, no family and no file.

Three spaces, not one: what a person gives (`Ask`: a picture of 14 x 14), what a family is told (`CondSpec`: the
same, or the known parts of the example itself), and what lies in the cache (the field's).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Literal

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import RecipeError, suggest
from genwright.space import CondSpec, Space

__all__ = ["Ask", "Example", "Given", "Infills", "Request", "Task", "TaskSpec"]

Example = Mapping[str, Tensor]
"""Stored tensors `(B, stored, *grid)` by field."""
Infills = Literal["no", "prefix", "any"]
"""Which known parts of an example a family keeps itself: none, a beginning, or any."""
Given = Mapping[str, Tensor | tuple[Tensor, Tensor]]
"""Stored tensors by ask; `(x, known)` where the ask is partial."""


@dataclass(frozen=True)
class Ask:
    """One thing that a request may hold.

    field    who encodes it
    space    and in which space, which may be another than the field's own (a low-resolution picture)
    partial  it may have gaps
    missing  what happens without it: it is drawn as often as it came in training (`draw`), left open (`open`),
             or asked for (`refuse`)
    """

    field: str
    space: Space
    partial: bool = False
    missing: Literal["draw", "open", "refuse"] = "refuse"


@dataclass(frozen=True)
class TaskSpec:
    """What a task makes of the fields.

    make     the field that is made, and its space before any bridge
    conds    what the family is told, by name
    asks     what a person may give, by name: neither the same names nor the same spaces
    bridged  conditions that go through the bridge of x, since they are compared with it
    native   known parts of x are kept by the family itself
    local    parts of x depend on near parts of what is given alone, so that large inputs may be tiled
    """

    make: str
    space: Space
    conds: Mapping[str, CondSpec]
    asks: Mapping[str, Ask]
    bridged: frozenset[str] = frozenset()
    native: bool = False
    local: bool = False


@dataclass
class Request:
    """What is given for `n` examples, as a family takes it.

    cond   stored conditions by name
    known  `(x, known)` in the space of x, for a family that keeps known parts itself
    keep   what `finish` needs, by name, at full precision
    """

    cond: dict[str, Tensor]
    known: tuple[Tensor, Tensor] | None = None
    keep: dict[str, Tensor] = field(default_factory=dict)

    def rows(self, some: slice | Tensor) -> Request:
        """What is given for some of the examples."""
        known = None if self.known is None else (self.known[0][some], self.known[1][some])
        cond, keep = ({k: v[some] for k, v in part.items()} for part in (self.cond, self.keep))
        return Request(cond, known, keep)


class Task(ABC):
    """Who is made, who is given. Subclasses declare options as keyword-only constructor arguments."""

    paired: ClassVar[bool] = True
    """False where x and what is given are drawn independently of each other."""
    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_task` that it does not keep."""
    cell_of: Sequence[int] = ()
    """Of a row: the cell that each of its numbers belongs to, as the field that is made has it (none: its own)."""

    def __init__(self, *, make: str = "", given: Sequence[str] = ()) -> None:
        """make: the field to make (none: the main one of the data).  given: the fields that are given (none:
        the labels)."""
        self.make, self.given = make, tuple(given)

    @abstractmethod
    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        """What is made and what is given, from the spaces of the fields.

        infills  which known parts of an example the family keeps itself
        Raises `Incompatible` where the fields are not for this task.
        """

    @abstractmethod
    def ask(self, example: Example, rng: torch.Generator) -> Given:
        """What a person would have given for these examples."""

    @abstractmethod
    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        """What is given, as a family takes it; a name missing from `given` is left open."""

    def view(self, example: Example, rng: torch.Generator) -> Batch:
        """A batch of examples as the family is to see them."""
        x = example[self.make]
        return Batch(x, self.request(len(x), self.ask(example, rng), rng).cond)

    def finish(self, made: Tensor, request: Request) -> Tensor:
        """Samples as the field is to get them: known parts are pasted in, exact."""
        if request.known is None:
            return made
        x, known = (t.to(made.device) for t in request.known)
        return torch.where(known, x.to(made.dtype), made)

    def others(self, fields: Mapping[str, Space]) -> dict[str, Space]:
        """The given fields. Raises `RecipeError` for one that is not there or that is made itself."""
        for name in (self.make, *self.given):
            if name not in fields:
                raise RecipeError(
                    f"the data has no field {name!r}; {suggest(name, fields)}", code="no-such-field"
                )
        if self.make in self.given:
            raise RecipeError(
                f"{self.make!r} cannot be both made and given: leave it out of --given, or make another field "
                f"(--make NAME)",
                code="made-and-given",
            )
        return {name: fields[name] for name in self.given}
