"""Does this family fit this data, as it is or by a bridge; and if not, why, and what to do.

Decided from what families declare and spaces are, before any training. The table in `docs/matrix.md` is
made from the same function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from genwright.errors import Incompatible, RecipeError
from genwright.families.capabilities import Generative, Infilling
from genwright.families.translator import Translator
from genwright.registry import build, names, resolve

if TYPE_CHECKING:
    from genwright.bridges.base import Bridge
    from genwright.families.base import Family
    from genwright.space import Space
    from genwright.tasks.base import Task

__all__ = [
    "Verdict",
    "accepted",
    "choose_bridge",
    "choose_task",
    "infills",
    "make_bridge",
    "makes_examples",
    "verdicts",
    "weigh",
]


@dataclass(frozen=True)
class Verdict:
    """Whether a family takes a space, and how.

    size, batch_size, context, steps  of the training that was weighed, where one was: of the nets, examples of a step,
        the share of a stream's context that is read, and how many steps the time is enough for
    seconds_per_step, bytes_per_step  an estimate of what a step takes here, where it was asked for
    too_large  why that is too much for this machine; empty where it is not. `ways` are those out of it
    """

    family: str
    outcome: Literal["native", "bridged", "refused"]
    bridge: str = "none"
    reason: str = ""
    ways: list[str] = field(default_factory=list)
    size: str = ""
    batch_size: int | None = None
    context: float = 1.0
    steps: int | None = None
    seconds_per_step: float | None = None
    bytes_per_step: int | None = None
    too_large: str = ""

    def __str__(self) -> str:
        how = self.outcome if self.outcome != "bridged" else f"bridged by {self.bridge}"
        return f"{self.family}: {how}" + (f" ({self.reason})" if self.reason else "")


def make_bridge(name: str, options: dict[str, Any]) -> Bridge:
    bridge: Bridge = build("bridges", name, options, where="bridge")
    return bridge


def weigh(
    family: str,
    space: Space,
    *,
    bridge: str = "auto",
    options: dict[str, Any] | None = None,
    dial: str = "",
    preferred: Sequence[str] = (),
) -> Verdict:
    """The verdict on one family.

    bridge   "auto" tries the preferred ones, none, and those of the family in turn; a name tries that one alone
    options  of the bridge
    dial     how a person makes an example of this data smaller, for the way out
    preferred  bridges that this data is learnt better through
    """
    kind: type[Family] = resolve("families", family)
    tried = (*preferred, "none", *kind.bridges) if bridge == "auto" else (bridge,)
    verdict, refusals = None, []
    for name in tried:
        try:
            target = make_bridge(name, (options or {}) if name != "none" else {}).plan(space)
        except Incompatible as error:
            refusals.append(str(error))
            continue
        problem = _problem(kind, family, target, name)
        if problem is None:
            verdict = accepted(family, name, space, target)
            break
        # A bridge that leads to what the family takes says more than one that does not.
        refusals.insert(len(refusals) if target.kind in kind.accepts else 0, problem)
    if verdict is not None:
        return verdict
    ways = _ways(family, space, dial)
    if bridge != "auto" and weigh(family, space, preferred=preferred).outcome != "refused":
        ways.insert(0, "--set bridge.name=auto")
    return Verdict(family, "refused", reason=refusals[-1], ways=ways)


def accepted(family: str, bridge: str, space: Space, target: Space) -> Verdict:
    """The verdict on a family that takes the target of a bridge."""
    outcome: Literal["native", "bridged"] = "native" if bridge == "none" else "bridged"
    reason = "" if bridge == "none" else f"from {space} to {target}"
    if not issubclass(resolve("families", family), Generative):
        reason = "; ".join(filter(None, ["learns codes, makes no examples", reason]))
    return Verdict(family, outcome, bridge, reason)


def _problem(kind: type[Family], family: str, space: Space, bridge: str) -> str | None:
    """What keeps a family from a space, in words; None if nothing does."""
    after = f" after the bridge {bridge}" if bridge != "none" else ""
    if space.kind not in kind.accepts:
        wanted = " or ".join(sorted(kind.accepts))
        return f"{family} takes {wanted} values, and each example is {space}{after}"
    if len(space.grid) < kind.least_axes:
        return f"{family} looks at how neighbours go together, and a row has none: {space}{after}"
    if _too_long(kind, space):
        return (
            f"{family} takes at most {kind.max_positions:,} symbols in one example, "
            f"and this has {kind.places_of(space):,}: {space}{after}"
        )
    widest = max(span.width for span in space.spans)
    if kind.max_width is not None and widest > kind.max_width:
        return (
            f"{family} takes at most {kind.max_width:,} kinds of symbol or channels at one position, and "
            f"this has {widest:,}{after}"
        )
    return None


def _too_long(kind: type[Family], space: Space) -> bool:
    return kind.max_positions is not None and kind.places_of(space) > kind.max_positions


def _ways(family: str, space: Space, dial: str) -> list[str]:
    """Ways out of a refusal, as options to type."""
    ways = [f"--set {dial}"] if dial and _too_long(resolve("families", family), space) else []
    return ways + [
        f"--family {other}"
        for other in names("families")
        if other != family and _like(other, family) and _takes(other, space)
    ]


def _like(other: str, family: str) -> bool:
    """Whether both learn from pairs, or both without."""
    return _translates(other) == _translates(family)


def _translates(family: str) -> bool:
    return issubclass(resolve("families", family), Translator)


def makes_examples(family: str) -> bool:
    return issubclass(resolve("families", family), Generative)


def _takes(family: str, space: Space) -> bool:
    """And makes examples of it."""
    kind: type[Family] = resolve("families", family)
    return makes_examples(family) and _problem(kind, family, space, "none") is None


def choose_task(family: str, task: str) -> str:
    """The name of the task; "auto" is the one for the family. Raises `Incompatible` where they do not fit."""
    unpaired = _translates(family)
    if task == "auto":
        return "unpaired" if unpaired else "generate"
    kind: type[Task] = resolve("tasks", task)
    if kind.paired == (not unpaired):
        return task
    if unpaired:
        raise Incompatible(
            f"{family} learns from examples of several domains without pairs, and the task {task!r} shows it "
            f"pairs: leave task.name at auto, or choose another family",
            code="task-mismatch",
        )
    others = " or ".join(filter(_translates, names("families")))
    raise Incompatible(
        f"the task {task!r} shows examples of several domains without pairs, and {family} learns from pairs "
        f"of an example and what is given: leave task.name at auto, or --family {others}",
        code="task-mismatch",
    )


def infills(family: str) -> Literal["no", "prefix", "any"]:
    """Which known parts of an example a family keeps itself."""
    kind: type[Family] = resolve("families", family)
    return kind.infills if issubclass(kind, Infilling) else "no"


def verdicts(space: Space, dial: str = "") -> list[Verdict]:
    """One verdict for each registered family."""
    return [weigh(family, space, dial=dial) for family in names("families")]


def choose_bridge(
    family: str,
    space: Space,
    *,
    bridge: str = "auto",
    options: dict[str, Any] | None = None,
    dial: str = "",
    preferred: Sequence[str] = (),
) -> tuple[Verdict, Bridge]:
    """The verdict and an unfitted bridge. Raises `Incompatible` with the ways out."""
    if bridge == "auto" and options:
        raise RecipeError(
            f"options of a bridge ({', '.join(options)}) need its name: --set bridge.name=quantize",
            code="missing-option",
        )
    verdict = weigh(family, space, bridge=bridge, options=options, dial=dial, preferred=preferred)
    if verdict.outcome == "refused":
        ways = "; or ".join(verdict.ways) or "other data"
        raise Incompatible(f"{verdict.reason}. Try {ways}", code="family-refused")
    return verdict, make_bridge(verdict.bridge, (options or {}) if verdict.bridge != "none" else {})
