"""What every task promises: training and use are the same request, and what is known stays.

A task knows tensors alone, so it is held to its laws over worlds of random examples: fields of every kind of
space that can be made, beside labels, numbers, a text, and pictures on the same and on a coarser grid.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Any, get_args

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import GenwrightError
from genwright.registry import build
from genwright.space import Real, Space, Symbol
from genwright.tasks.base import Example, Given, Infills, Task, TaskSpec
from genwright.testing.contract import Contract, demand, registered, same, stored_in
from genwright.testing.spaces import SPACES

__all__ = ["TASK", "TaskCase", "TaskWorld", "check_task", "random_examples", "task_worlds"]

MakeTask = Callable[..., Task]
"""With `make` and `given` as keywords."""
N = 12
MADE = {**SPACES, "padded-text": Space((10,), (Symbol(9, pad=0),)), "class": Space((), (Symbol(7),))}


@dataclass(frozen=True)
class TaskWorld:
    """Fields by name, what is made of them, what is given, and which known parts the family keeps itself."""

    fields: dict[str, Space]
    make: str
    given: tuple[str, ...]
    infills: Infills

    def __str__(self) -> str:
        given = ", ".join(self.given) or "nothing"
        return f"{self.fields[self.make]} from {given}, where a family keeps {self.infills} known part"


def task_worlds() -> Iterator[TaskWorld]:
    """Each space to make, with nothing, one thing or everything given."""
    for space, infills in product(MADE.values(), get_args(Infills)):
        beside = {
            "label": Space((), (Symbol(3),)),
            "weight": Space((), (Real(1),)),
            "caption": Space((7,), (Symbol(11, pad=0),)),
        }
        if space.grid:
            beside |= {
                "source": space,
                "small": Space(tuple(-(-s // 2) for s in space.grid), space.spans),
            }
        for given in ((), *((name,) for name in beside), tuple(beside)):
            yield TaskWorld({"thing": space, **beside}, "thing", given, infills)


def random_examples(fields: Mapping[str, Space], n: int, seed: int = 0) -> dict[str, Tensor]:
    """Random stored examples `(n, stored, *grid)` by field: numbers of full precision, every symbol."""
    rng = torch.Generator().manual_seed(seed)
    found = {}
    for name, space in fields.items():
        parts = []
        for slot in space.slots():
            shape = (n, slot.span.stored, *space.grid)
            if isinstance(slot.span, Symbol):
                parts.append(torch.randint(0, slot.span.k, shape, generator=rng).to(space.dtype))
            else:
                noise = torch.randn(shape, generator=rng)
                parts.append(noise.tanh() if slot.span.bounded else noise)
        found[name] = torch.cat(parts, dim=1)
    return found


@dataclass
class TaskCase:
    """A task that took a world, and random examples of its fields. Raises `GenwrightError` where it refuses."""

    make: MakeTask
    world: TaskWorld
    task: Task = field(init=False)
    spec: TaskSpec = field(init=False)
    example: Example = field(init=False)

    def __post_init__(self) -> None:
        self.task, self.spec = self.fresh()
        self.example = random_examples(self.world.fields, N)

    def fresh(self, *, turned: bool = False) -> tuple[Task, TaskSpec]:
        """Another task of the same kind; with its fields in another order."""
        task = self.make(make=self.world.make, given=self.world.given)
        fields = dict(reversed(self.world.fields.items())) if turned else self.world.fields
        return task, task.spec(fields, infills=self.world.infills)

    def rng(self, seed: int = 1) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def asked(self) -> Given:
        return self.task.ask(self.example, self.rng())

    def partly(self) -> dict[str, tuple[Tensor, Tensor]]:
        """For each ask that may have gaps, other examples and which of their numbers are known."""
        found = {}
        for name, ask in self.spec.asks.items():
            if ask.partial:
                x = random_examples({name: ask.space}, N, seed=2)[name]
                found[name] = (x, torch.rand(x.shape, generator=self.rng(3)) < 0.5)
        return found


TASK: Contract[TaskCase] = Contract("task")


@TASK.law
def spec_is_sound(case: TaskCase) -> None:
    """It makes the field that it was told to, and asks for fields that there are."""
    spec, world = case.spec, case.world
    demand(spec.make == world.make, f"{world.make!r} was to be made, and it makes {spec.make!r}")
    demand(spec.space == world.fields[spec.make], f"{spec.make!r} is made in another space")
    for name, ask in spec.asks.items():
        demand(ask.field in world.fields, f"the ask {name!r} is of no field: {ask.field!r}")
    asked = {ask.field for ask in spec.asks.values()} - {spec.make}
    demand(asked == set(world.given), f"{world.given} were given, and it asks for {sorted(asked)}")
    for name in spec.bridged:
        demand(name in spec.conds, f"{name!r} goes through the bridge and is no condition")
        demand(
            spec.conds[name].space == spec.space, f"{name!r} goes through the bridge of another space"
        )


@TASK.law
def view_is_what_is_asked(case: TaskCase) -> None:
    """What a family is shown in training is the request that a person would have made."""
    rng = case.rng()
    given = case.task.ask(case.example, rng)
    wanted = Batch(case.example[case.spec.make], case.task.request(N, given, rng).cond)
    found = case.task.view(case.example, case.rng())
    demand(torch.equal(found.x, wanted.x), "x is not the field that is made")
    demand(
        found.cond.keys() == wanted.cond.keys(), f"it is told {set(found.cond)}, not {set(wanted.cond)}"
    )
    for name, one in wanted.cond.items():
        demand(torch.equal(found.cond[name], one), f"the condition {name!r} of the view is another")


@TASK.law
def what_is_asked_is_of_its_space(case: TaskCase) -> None:
    """What a person would have given are stored examples of the asks' spaces; with gaps only where they may be."""
    for name, one in case.asked().items():
        demand(name in case.spec.asks, f"{name!r} would be given, and there is no such ask")
        ask = case.spec.asks[name]
        demand(isinstance(one, tuple) == ask.partial, f"{name!r} is partial, or its ask is: not both")
        x, known = one if isinstance(one, tuple) else (one, torch.ones_like(one, dtype=torch.bool))
        demand(len(x) == N, f"{N} examples gave {len(x)} of {name!r}")
        stored_in(ask.space, x, f"what is given as {name!r}")
        right = known.dtype == torch.bool and known.shape == x.shape
        demand(right, f"what is known of {name!r} is {known.dtype} {tuple(known.shape)}")


@TASK.law
def conditions_are_of_their_spaces(case: TaskCase) -> None:
    """What a family is told, in training and on request, are stored examples of the declared spaces."""
    asked = case.asked()
    conds = {
        "in training": case.task.view(case.example, case.rng()).cond,
        "on request": case.task.request(N, asked, case.rng()).cond,
        "with gaps": case.task.request(N, {**asked, **case.partly()}, case.rng()).cond,
        "with nothing given": case.task.request(N, {}, case.rng()).cond,
    }
    for when, cond in conds.items():
        for name, one in cond.items():
            demand(name in case.spec.conds, f"{name!r} is told {when}, and is not declared")
            demand(len(one) == N, f"{when} {name!r} has {len(one)} rows of {N}")
            stored_in(case.spec.conds[name].space, one, f"{when} the condition {name!r}")
    missing = case.spec.conds.keys() - conds["on request"].keys()
    demand(not missing, f"all is given, and {sorted(missing)} is not told")


@TASK.law
def what_is_never_dropped_is_always_there(case: TaskCase) -> None:
    """A condition that training never goes without is in every request that holds what cannot be left open."""
    needed = {name: one for name, one in case.asked().items() if case.spec.asks[name].missing != "open"}
    cond = case.task.request(N, needed, case.rng()).cond
    missing = [name for name, one in case.spec.conds.items() if one.drop == 0 and name not in cond]
    demand(not missing, f"{missing} is left out of a request")


@TASK.law
def what_is_known_stays(case: TaskCase) -> None:
    """Finished samples hold what is known, exactly; all else of them is as it was made."""
    made = random_examples({"x": case.spec.space}, N, seed=4)["x"]
    asked = case.asked()
    plain = case.task.request(
        N, {name: one for name, one in asked.items() if isinstance(one, Tensor)}, case.rng()
    )
    if not any(isinstance(one, tuple) for one in asked.values()):
        demand(
            torch.equal(case.task.finish(made, plain), made),
            "nothing is known, and samples were changed",
        )
    for name, (x, known) in case.partly().items():
        if case.spec.asks[name].field != case.spec.make or x.shape != made.shape:
            continue
        request = case.task.request(N, {**asked, name: (x, known)}, case.rng())
        done = case.task.finish(made.clone(), request)
        stored_in(case.spec.space, done, "what is finished")
        demand(torch.equal(done[known], x[known]), f"what was known of {name!r} is another")
        demand(torch.equal(done[~known], made[~known]), f"what was not known of {name!r} is another")


@TASK.law
def the_generator_decides(case: TaskCase) -> None:
    """The same generator gives the same, whatever torch's own one has drawn; no example is changed."""
    before = {name: x.clone() for name, x in case.example.items()}

    def all_of(seed: int) -> list[Any]:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            given = case.asked()
            request = case.task.request(N, given, case.rng(5))
            view = case.task.view(case.example, case.rng())
            return [dict(given), request.cond, request.known, request.keep, view.x, view.cond]

    demand(same(all_of(1), all_of(2)), "it draws from another generator than the one that it is given")
    demand(same(before, dict(case.example)), "it writes into the examples that it is shown")


@TASK.law
def order_does_not_matter(case: TaskCase) -> None:
    """The order of the fields, and of what is given, changes neither the conditions nor their order."""
    other, spec = case.fresh(turned=True)
    demand(
        list(spec.conds) == list(case.spec.conds), f"{list(case.spec.conds)} became {list(spec.conds)}"
    )
    demand(spec == case.spec, "with its fields in another order it is another task")
    asked = case.asked()
    turned = {name: asked[name] for name in reversed(list(asked))}
    one, two = case.task.request(N, asked, case.rng()).cond, other.request(N, turned, case.rng()).cond
    demand(one.keys() == two.keys(), f"{set(one)} became {set(two)}")
    demand(
        all(torch.equal(one[name], two[name]) for name in one),
        "given in another order it is told another",
    )


@TASK.law
def unknown_fields_are_refused(case: TaskCase) -> None:
    """A field that the data has not, or that is both made and given, is refused with a sentence."""
    fields, (make, given) = case.world.fields, (case.world.make, case.world.given)
    for wrong in (
        {"make": "nothing like it", "given": given},
        {"make": make, "given": (*given, "nothing like it")},
        {"make": make, "given": (*given, make)},
    ):
        try:
            case.make(**wrong).spec(fields, infills=case.world.infills)
        except GenwrightError:
            continue
        raise AssertionError(f"it takes {wrong}")


def check_task(task: str | type[Task], *, options: Mapping[str, Any] | None = None) -> None:
    """Hold a task to the contract of `Task`, in each world that it takes.

    task     its registered name, or its class
    options  of the task, beside `make` and `given`
    Raises `AssertionError` with the law that is broken.
    """
    with registered("tasks", task) as name:

        def make(**fields: Any) -> Task:
            made: Task = build("tasks", name, {**(options or {}), **fields}, where="task")
            return made

        held = 0
        for world in task_worlds():
            try:
                case = TaskCase(make, world)
            except GenwrightError:
                continue
            held += 1
            TASK.check(case, f"{name} of {world}", case.task.contract_exceptions)
        demand(held > 0, f"the task {name} takes none of the worlds that it was shown")
