"""What each family would cost on this data and machine, and which of them would be worth making."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from genwright import planning
from genwright.budget import MEMORY, MINUTES
from genwright.data.dataset import Dataset
from genwright.errors import Incompatible
from genwright.experiment import Experiment, Untrained, default_family, within_time
from genwright.planning import Verdict, choose_task
from genwright.recipe import Plugin, Recipe
from genwright.registry import names, resolve
from genwright.training.cost import free_memory
from genwright.training.threads import Threads

__all__ = ["Advice", "advise", "timed_verdicts"]

SLOW = 1.0
"""Seconds of a step that are too many."""


@dataclass
class Advice:
    """What would be worth making.

    family, task, size  to train
    steps, seconds      how long until it is good, roughly, and what that takes here
    command             to type
    """

    family: str
    task: str
    size: str
    steps: int
    seconds: float
    command: str


def timed_verdicts(recipe: Recipe, dataset: Dataset) -> Iterator[Verdict]:
    """For each family, or for the one that the recipe names, whether it takes this data and what a step costs
    here; the recommended one first, and those that do not last.

    recipe, dataset  as `open_data` gives them
    """
    named = recipe.family.name
    space = dataset.fields[recipe.task.options["make"]].without(recipe.task.options["given"]).space
    bridge, dial = recipe.bridge, dataset.codec.dial
    first = default_family(recipe, dataset) if named == "auto" else named
    every = names("families") if named == "auto" else [named]
    found = [
        planning.weigh(name, space, bridge=bridge.name, options=bridge.options, dial=dial)
        for name in sorted(every, key=lambda name: name != first)
    ]
    refused, takes = [verdict for verdict in found if verdict.outcome == "refused"], dict[str, bool]()
    with Threads(torch.device("cpu"), chooses=True):
        for verdict in found:
            if verdict.outcome == "refused":
                continue
            try:
                yield _priced(verdict, _untrained(recipe, dataset, verdict.family))
            except Incompatible as error:  # the space would do, but the family says no to something else
                refused.append(Verdict(verdict.family, "refused", reason=str(error)))
            takes[verdict.family] = verdict.family not in [one.family for one in refused]

    def leads_out(way: str) -> bool:
        family = way.partition("--family ")[2]
        if family and family not in takes:
            takes[family] = named != "auto" and _takes(recipe, dataset, family)
        return not family or takes[family]

    for verdict in refused:
        yield replace(verdict, ways=list(filter(leads_out, verdict.ways)))


def _untrained(recipe: Recipe, dataset: Dataset, family: str) -> Untrained:
    """A training with this family. Raises `Incompatible`."""
    one = recipe if family == recipe.family.name else replace(recipe, family=Plugin(family))
    return Untrained(one, dataset)


def _takes(recipe: Recipe, dataset: Dataset, family: str) -> bool:
    try:
        _untrained(recipe, dataset, family)
    except Incompatible:
        return False
    return True


def _priced(verdict: Verdict, untrained: Untrained) -> Verdict:
    """The verdict with what a step costs, and with ways out where that is too much."""
    cost, free = untrained.cost(), free_memory()
    why, ways = "", verdict.ways
    if cost.bytes > MEMORY * free:
        why = f"a step wants {cost.bytes / 1e9:.1f} of the {free / 1e9:.1f} GB of memory that are free"
    elif cost.seconds > SLOW:
        why = f"a step takes {cost.seconds:.1f} s"
    if why:
        ways = _smaller(verdict, untrained.plain)
    return replace(
        verdict, seconds_per_step=cost.seconds, bytes_per_step=cost.bytes, too_large=why, ways=ways
    )


def _smaller(verdict: Verdict, experiment: Experiment) -> list[str]:
    """Options that make a step smaller, as a person would type them."""
    recipe, space = experiment.recipe, experiment.model.pipeline.made.space
    ways = ["--size xs"] if recipe.size != "xs" else []
    dial = experiment.dataset.codec.dial
    if space.grid and float(dial.partition("=")[2] or "inf") < max(space.grid):
        ways.append(f"--set {dial}")
    if verdict.bridge == "quantize":
        ways.append("--set bridge.name=quantize --set bridge.bins=16")
    if len(space.grid) > 1 and space.kind == "real" and not experiment.model.task.given:
        kind = resolve("families", verdict.family)
        stage = "latent" if verdict.bridge == "none" and "real" in kind.accepts else "vq"
        if verdict.family not in ("vae", "vqvae"):
            ways.append(f"--set bridge.name={stage} --set bridge.run=RUN (of a vae or vqvae)")
    return ways


def advise(
    recipe: Recipe, dataset: Dataset, verdicts: Sequence[Verdict], command: list[str]
) -> Advice | None:
    """The recommended family as it is, or small, or else the fastest; None where nothing fits in memory.

    verdicts  as `timed_verdicts` gives them
    command   the words that train on this data, to which those of the choice are added
    """
    makes = _possible(verdicts)
    if not makes:
        return None
    if recipe.train.counted:
        first, size = _quick_enough(recipe, dataset, makes)
        steps, each = recipe.train.counted, first.seconds_per_step or 0.0
        more = [] if size == recipe.size else ["--size", size]
    else:  # what is open follows from the time
        first, more = makes[0], []
        settled, each = within_time(replace(recipe, family=Plugin(first.family)), dataset)
        size, minutes = settled.size, settled.train.minutes
        steps = settled.train.counted or max(1, round(60 * (minutes or MINUTES) / each))
    if "--family" not in command:
        more = ["--family", first.family, *more]
    task = choose_task(first.family, recipe.task.name)
    return Advice(first.family, task, size, steps, each * steps, shlex.join([*command, *more]))


def _quick_enough(recipe: Recipe, dataset: Dataset, makes: Sequence[Verdict]) -> tuple[Verdict, str]:
    """The first of families that make examples, and the size of its nets: as it is, or small, or else the
    fastest."""
    first, quick = makes[0], [v for v in makes if not v.too_large]
    if first.too_large and recipe.size != "xs":
        small = replace(recipe, size="xs", family=Plugin(first.family))
        smaller = _possible([*timed_verdicts(small, dataset)])
        if smaller and not (quick and smaller[0].too_large):
            return smaller[0], "xs"
    return first if first in quick else min(
        quick or makes, key=lambda v: v.seconds_per_step or 0
    ), recipe.size


def _possible(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Those that make examples, in memory that is there."""
    most = MEMORY * free_memory()
    return [
        v
        for v in verdicts
        if v.outcome != "refused"
        and planning.makes_examples(v.family)
        and (v.bytes_per_step or 0) < most
    ]
