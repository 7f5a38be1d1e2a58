"""A run that is served: what a page and a program have to know of it, and the check of what is asked of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.text.turns import ANSWERS, in_turns, turn_of
from genwright.errors import GenwrightError, RunError, suggest
from genwright.families.capabilities import LatentVariable, generative
from genwright.model import Model
from genwright.serving.limits import Limits
from genwright.serving.options import SamplerOption, described
from genwright.serving.refusal import HttpRefusal
from genwright.tasks.base import Ask

__all__ = ["Catalogue", "ServedRun"]

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
HIDDEN = ("prefix", "cache")
"""Options of samplers that are for programs in this process."""
MENU = 200
"""Values that a menu lists at most."""


@dataclass(frozen=True)
class Control:
    """One thing that may be given, as a form shows it.

    kind     menu, text, turns, number, columns, prompt, infill or file
    values   of a menu
    columns  of a row, those that may be known
    required whether nothing is made without it
    """

    name: str
    kind: str
    values: tuple[Any, ...] = ()
    columns: tuple[str, ...] = ()
    required: bool = False

    def json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "kind": self.kind,
            "values": list(self.values),
            "columns": list(self.columns),
            "required": self.required,
        }


class ServedRun:
    """One run under its name in addresses."""

    def __init__(self, name: str, model: Model) -> None:
        self.name, self.model = name, model
        self.family = generative(model.family)
        self.pipeline = model.pipeline
        self.made: Field = self.pipeline.made

    # -- what it is ----------------------------------------------------------------------------

    @cached_property
    def options(self) -> dict[str, SamplerOption]:
        """The sampler's options that may be chosen."""
        return {o.name: o for o in described(self.family) if o.name not in HIDDEN}

    @cached_property
    def controls(self) -> dict[str, Control]:
        """What may be given in words and numbers, by name."""
        found = {name: self._control(name, ask) for name, ask in self.pipeline.spec.asks.items()}
        own = "prompt" in found  # what is given to it goes by that name already
        if "prefix" in self.model.sampler_options() and self.bridged == "" and not own:
            found["prompt"] = Control("prompt", "prompt")
        return {name: one for name, one in found.items() if one is not None}

    @property
    def dialogue(self) -> str | None:
        """What the turns of a dialogue are given as, of a run that makes the next one."""
        return next((name for name, one in self.controls.items() if one.kind == "turns"), None)

    @property
    def bridged(self) -> str:
        """The bridge between what is made and files, if it changes anything."""
        bridge = self.pipeline.bridge
        return "" if bridge.target == bridge.source else bridge.name

    def _control(self, name: str, ask: Ask) -> Control | None:
        field, required = self.pipeline.fields[ask.field], ask.missing == "refuse"
        if isinstance(field, ColumnField):
            counts = list(self.pipeline.frequency.get(ask.field, {}))[:MENU]
            if not counts or not field.symbols:
                return Control(name, "number", required=required)
            values = field.decode(np.array([[int(symbol)] for symbol in counts], np.float32))
            return Control(name, "menu", tuple(map(_plain, values)), required=required)
        if ask.partial and field.parts:
            columns = [part for part in self.made.parts if part not in self.pipeline.scalars]
            return Control(name, "columns", columns=tuple(columns))
        if field.in_turns and not ask.partial:
            return Control(name, "turns", required=required)
        if "text" in field.views:
            return Control(name, "infill" if ask.partial else "text", required=required)
        return Control(name, "file", required=required)

    @cached_property
    def applies(self) -> tuple[str, str] | None:
        """What a file may be given for, and the suffixes that are read."""
        try:
            name, field = self.model.applied()
        except GenwrightError:
            return None
        own = self.pipeline.fields[field].suffix
        return name, " ".join(
            dict.fromkeys([*self.pipeline.codec.suffixes().split(), *([own] if own else [])])
        )

    @property
    def has_latents(self) -> bool:
        return isinstance(self.family, LatentVariable) and self.model.task.paired

    def card(self) -> dict[str, Any]:
        """What a person should know before they use it."""
        run, verdict = self.model.run, self._verdict()
        return {
            "id": self.name,
            "family": self.model.recipe.family.name,
            "data": self.pipeline.kind,
            "makes": self.pipeline.spec.make,
            "space": str(self.made.space),
            "views": sorted(self.made.views),
            "step": self.model.step,
            "parameters": sum(p.numel() for p in self.family.parameters()),
            "examples": _examples(run.plan),
            "verdict": verdict.get("findings"),
            "limits": verdict.get("not_measured", []),
            "judged_step": verdict.get("facts", {}).get("step"),
            "fields": [control.json() for control in self.controls.values()],
            "options": [option.json() for option in self.options.values()],
            "applies": None
            if self.applies is None
            else {"name": self.applies[0], "reads": self.applies[1]},
            "latents": self.has_latents,
            "lanes": self.family.lanes,
        }

    def _verdict(self) -> dict[str, Any]:
        path = self.model.run.path / "judge" / "report.json"
        found = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        return found if isinstance(found, dict) else {}

    # -- what may be asked ---------------------------------------------------------------------

    def checked_options(self, given: Any, limits: Limits) -> dict[str, Any]:
        """Sampler options of a request. Raises `HttpRefusal`."""
        if not isinstance(given, Mapping):
            raise HttpRefusal(
                f"options are an object of names and values, got {_shown(given)}", code="wrong-type"
            )
        found = {}
        for name, value in given.items():
            if name not in self.options:
                raise HttpRefusal(
                    f"{self.name} has no sampler option {name!r}; {suggest(name, self.options)}",
                    code="unknown-option",
                )
            if value is not None:
                found[name] = self.options[name].checked(value, limits)
        return found

    def checked_given(self, given: Any, n: int, limits: Limits) -> dict[str, Any]:
        """What is given in a request, in words and numbers: no value is ever taken for a path. Raises `HttpRefusal`."""
        if not isinstance(given, Mapping):
            raise HttpRefusal(
                f"what is given is an object of names and values, got {_shown(given)}", code="wrong-type"
            )
        found: dict[str, Any] = {}
        for name, value in given.items():
            control = self.controls.get(name)
            if control is None:
                known = [one for one in self.controls if self.controls[one].kind != "file"]
                raise HttpRefusal(
                    f"{self.name} is given no {name!r}; {suggest(name, known)}", code="no-such-condition"
                )
            if control.kind == "file":
                raise HttpRefusal(
                    f"{name!r} is a file, which /v1/apply takes: /v1/sample takes words and numbers",
                    code="file-by-apply",
                )
            if control.kind == "columns":
                found[name] = _columns(name, value, limits)
            elif control.kind == "turns" and _are_turns(value):
                found[name] = _turns(name, value, limits)
            elif isinstance(value, list):
                if len(value) != n:
                    raise HttpRefusal(
                        f"{n} examples need one value or {n} of {name!r}, got {len(value)}",
                        code="wrong-number-given",
                    )
                found[name] = [_scalar(name, one, limits) for one in value]
            else:
                found[name] = _scalar(name, value, limits)
        return found


class Catalogue:
    """The runs that are served, by name: looked up, never joined to a path."""

    def __init__(self, runs: Iterable[ServedRun]) -> None:
        self.runs: dict[str, ServedRun] = {}
        for run in runs:
            if run.name in self.runs:
                paths = [one.model.run.path for one in (self.runs[run.name], run)]
                raise RunError(
                    f"{paths[0]} and {paths[1]} would both be called {run.name!r}: rename one of the folders",
                    code="runs-of-one-name",
                )
            self.runs[run.name] = run

    @classmethod
    def of(cls, models: Sequence[tuple[Path, Model]]) -> Catalogue:
        return cls(ServedRun(name_of(path), model) for path, model in models)

    def __getitem__(self, name: Any) -> ServedRun:
        """Raises `HttpRefusal` for a name that is not served."""
        if isinstance(name, str) and name in self.runs:
            return self.runs[name]
        raise HttpRefusal(
            f"no run {_shown(name)} is served; {suggest(str(name)[:64], self.runs)}",
            code="run-not-served",
            status=404,
        )

    def only(self, name: Any) -> ServedRun:
        """The one that is named; without a name the only one there is."""
        if name is None and len(self.runs) == 1:
            return next(iter(self.runs.values()))
        return self[name]


def name_of(path: Path) -> str:
    """The name of a run folder in addresses."""
    name = re.sub(r"[^a-z0-9._-]+", "-", path.resolve().name.lower()).strip("-._")[:64]
    return name if NAME.fullmatch(name) else "run"


def _columns(name: str, value: Any, limits: Limits) -> dict[str, Any]:
    if not isinstance(value, Mapping) or not value:
        raise HttpRefusal(
            f"{name!r} is an object of columns and their values, got {_shown(value)}", code="wrong-type"
        )
    return {column: _scalar(column, one, limits) for column, one in value.items()}


def _are_turns(value: Any) -> bool:
    """Whether it is one dialogue in turns, and not a text for each example."""
    return isinstance(value, list) and any(isinstance(one, Mapping) for one in value)


def _turns(name: str, value: list[Any], limits: Limits) -> str:
    """A dialogue so far. Raises `HttpRefusal` for what is none, or has no turn that is to be answered."""
    turns = [turn_of(one) for one in value]
    said = [turn for turn in turns if turn is not None]
    if len(said) < len(turns) or not all("\n" not in role and role for role, _ in said):
        raise HttpRefusal(
            f'{name} is a list of turns such as {{"role": "user", "content": "Hello"}}',
            code="wrong-type",
        )
    if said[-1][0] == ANSWERS:
        raise HttpRefusal(
            f"the last turn is the {ANSWERS}'s own, and there is nothing to answer: end with another's",
            code="nothing-to-answer",
        )
    return str(_scalar(name, in_turns(said), limits))


def _scalar(name: str, value: Any, limits: Limits) -> Any:
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        raise HttpRefusal(f"{name!r} is a text or a number, got {_shown(value)}", code="wrong-type")
    if isinstance(value, str) and len(value) > limits.characters:
        raise HttpRefusal(
            f"{name!r} has {len(value):,} characters, and {limits.characters:,} are taken at most",
            code="text-too-long",
        )
    if not isinstance(value, str) and abs(value) > 2**63:
        raise HttpRefusal(f"{name!r} is too large a number", code="out-of-range")
    return value


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."


def _plain(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


def _examples(plan: str) -> str:
    """What the plan says of the data, on one line."""
    return next(
        (line.partition(" ")[2].strip() for line in plan.splitlines() if line.startswith("data")), ""
    )
