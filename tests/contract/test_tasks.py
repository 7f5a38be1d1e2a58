"""Every registered task keeps the contract of `genwright.testing`, and each law can be broken."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
import torch

from genwright.errors import GenwrightError
from genwright.registry import names
from genwright.space import CondSpec
from genwright.tasks.base import Ask, Request
from genwright.tasks.complete import Complete
from genwright.tasks.generate import Generate
from genwright.testing import check_task
from genwright.testing.tasks import TASK, TaskCase, task_worlds

OPTIONS: dict[str, list[dict[str, Any]]] = {
    "complete": [{}, {"holes": "cells"}, {"holes": "box"}, {"holes": "suffix"}],
    "restore": [{"how": how} for how in ("super-resolution", "inpaint", "denoise", "deblur", "colour")],
    "pair": [{}, {"align": ["source"]}, {"align": ["small"], "drop": 0.5}],
}
KINDS = [(name, options) for name in names("tasks") for options in OPTIONS.get(name, [{}])]


@pytest.mark.parametrize(
    ("name", "options"), KINDS, ids=[f"{name}-{'-'.join(map(str, o.values()))}" for name, o in KINDS]
)
def test_a_task_keeps_the_contract(name: str, options: dict[str, Any]) -> None:
    check_task(name, options=options)


def faulty(law: str) -> type[Any]:
    """A task with one fault."""
    base: Any = (
        Complete if law in ("what-is-known-stays", "what-is-never-dropped-is-always-there") else Generate
    )

    def spec(self: Any, fields: Any, *, infills: Any = "no") -> Any:
        found = base.spec(self, fields, infills=infills)
        if law == "spec-is-sound":
            found.asks["more"] = Ask("nowhere", found.space)
        if law == "order-does-not-matter":
            found.conds.update({name: CondSpec(space) for name, space in fields.items()})
        if law == "what-is-asked-is-of-its-space":
            found.asks.clear()
        return found

    def view(self: Any, example: Any, rng: Any) -> Any:
        batch = base.view(self, example, rng)
        return type(batch)(batch.x, {name: one.flip(0) for name, one in batch.cond.items()})

    def request(self: Any, n: int, given: Any, rng: Any) -> Request:
        if law == "what-is-never-dropped-is-always-there":
            return base.request(self, n, given, rng) if self.make in given else Request({})
        if law == "the-generator-decides":
            given = {name: torch.randn_like(one.float()).to(one.dtype) for name, one in given.items()}
        return Request({name: one[:1] for name, one in given.items()})

    faults: dict[str, dict[str, Any]] = {
        "view-is-what-is-asked": {"view": view},
        "conditions-are-of-their-spaces": {"request": request},
        "what-is-never-dropped-is-always-there": {"request": request},
        "what-is-known-stays": {"finish": lambda self, made, request: made},
        "the-generator-decides": {"request": request},
        "unknown-fields-are-refused": {
            "others": lambda self, fields: {name: fields[name] for name in self.given if name in fields}
        },
    }
    return type("Faulty", (base,), faults.get(law, {"spec": spec}))


@pytest.mark.parametrize("law", TASK.laws)
def test_a_faulty_task_breaks_the_law(law: str) -> None:
    said = []
    for world in task_worlds():
        with suppress(GenwrightError):
            case = TaskCase(faulty(law), world)
            try:
                TASK.hold(law, case, "faulty")
            except AssertionError as error:
                said.append(str(error))
    assert said
    assert all(sentence.startswith(f"the task faulty breaks the law '{law}'") for sentence in said)
