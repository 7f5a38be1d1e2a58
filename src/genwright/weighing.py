"""What each family would cost on this data and machine, and which of them would be worth making."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import cache, partial

import torch

from genwright import planning
from genwright.budget import MEMORY, MINUTES, Choice
from genwright.data.dataset import Dataset
from genwright.errors import Incompatible, Unsupported
from genwright.experiment import (
    USUAL,
    Experiment,
    Fitted,
    Untrained,
    chosen_within,
    default_family,
    own_share,
    verdict_on,
    within_time,
)
from genwright.nets.roles import Size
from genwright.planning import Verdict, choose_task
from genwright.recipe import Plugin, Recipe
from genwright.registry import names, resolve
from genwright.training.cost import free_memory
from genwright.training.threads import Threads

__all__ = ["Advice", "Weighing"]

SLOW = 1.0
"""Seconds of a step that are too many where the steps are counted."""
FEW = 1_000
"""Examples that a model may well learn by heart."""
FEWEST = 100
"""Steps that are too few where their number follows from the time."""


@dataclass
class Advice:
    """What would be worth making.

    family, task, size  to train
    steps, seconds      how long until it is good, roughly, and what that takes here
    command             to type
    caution             what to expect of it all the same
    """

    family: str
    task: str
    size: str
    steps: int
    seconds: float
    command: str
    caution: str = ""


class Weighing:
    """The families on this data, or the one that the recipe names.

    recipe, dataset  as `open_data` gives them
    sizes  whether the size of the nets follows from the time as in training, which takes longer to find out; else
           nets are of the usual size where none is named
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, *, sizes: bool = False) -> None:
        self.recipe, self.dataset, self._sizes = recipe, dataset, sizes
        self.verdicts = list[Verdict]()
        self._share = 1.0  # of the time that goes by in which this program computes
        named = recipe.family.name
        self._first = default_family(recipe, dataset) if named == "auto" else named
        self._known, self._fitted = dict[Size, Untrained](), Fitted()

    def each(self) -> Iterator[Verdict]:
        """For each family whether it takes this data and what a step costs here; the recommended one first, and those
        that do not last."""
        for verdict in self._each():
            self.verdicts.append(verdict)
            yield verdict

    def _each(self) -> Iterator[Verdict]:
        recipe, dataset, first = self.recipe, self.dataset, self._first
        named = recipe.family.name != "auto"
        space = dataset.fields[recipe.task.options["make"]].without(recipe.task.options["given"]).space
        every = [first] if named else sorted(names("families"), key=lambda name: name != first)
        found = [verdict_on(recipe, dataset, name, space) for name in every]
        refused, takes = (
            [verdict for verdict in found if verdict.outcome == "refused"],
            dict[str, bool](),
        )
        with Threads(torch.device("cpu"), chooses=True):
            self._share = own_share() if recipe.train.counted is None else 1.0
            for verdict in found:
                if verdict.outcome == "refused":
                    continue
                try:
                    yield self._priced(verdict)
                # The space would do, but the family says no to something else.
                except (Incompatible, Unsupported) as error:
                    refused.append(Verdict(verdict.family, "refused", reason=str(error)))
                takes[verdict.family] = verdict.family not in [one.family for one in refused]

        def leads_out(way: str) -> bool:
            family = way.partition("--family ")[2]
            if family and family not in takes:
                takes[family] = named and self._takes(family)
            return not family or takes[family]

        for verdict in refused:
            yield replace(verdict, ways=list(filter(leads_out, verdict.ways)))

    @property
    def _minutes(self) -> float:
        return self.recipe.train.minutes or MINUTES

    def _untrained(self, family: str, size: Size) -> Untrained:
        """A training with this family and nets of this size. Raises `Incompatible` or `Unsupported`."""
        if family == self._first and size in self._known:
            return self._known[size]
        one = replace(self.recipe, size=size)
        if family != self.recipe.family.name:
            one = replace(one, family=Plugin(family))
        made = Untrained(one, self.dataset, self._fitted)
        if family == self._first:  # which is looked at again for the advice
            self._known[size] = made
        return made

    def _takes(self, family: str) -> bool:
        try:
            self._untrained(family, USUAL)
        except (Incompatible, Unsupported):
            return False
        return True

    def _priced(self, verdict: Verdict) -> Verdict:
        """The verdict with what a step costs, and with ways out where that is too much."""
        untrained = cache(partial(self._untrained, verdict.family))
        choice = self._choice(untrained)
        cost, free = choice.cost, free_memory()
        why, ways = "", verdict.ways
        if cost.bytes > MEMORY * free:
            why = (
                f"a step wants {cost.bytes / 1e9:.1f} of the {free / 1e9:.1f} GB of memory that are free"
            )
        elif self.recipe.train.counted is not None and cost.seconds > SLOW:
            why = f"a step takes {cost.seconds:.1f} s"
        elif self.recipe.train.counted is None and FEWEST * cost.seconds > 60 * self._minutes:
            why = f"a step takes {cost.seconds:.1f} s, so that {self._minutes:g} min are for few of them"
        if why:
            ways = _smaller(verdict, untrained(choice.size).plain)
        return replace(
            verdict,
            size=choice.size,
            batch_size=choice.batch,
            context=choice.context,
            steps=choice.steps,
            seconds_per_step=cost.seconds,
            bytes_per_step=cost.bytes,
            too_large=why,
            ways=ways,
        )

    def _choice(self, untrained: Callable[[Size], Untrained]) -> Choice:
        """What would be trained with: where the length is open, on as many examples as fit in the time."""
        recipe = self.recipe
        size: Size = USUAL if recipe.size == "auto" else recipe.size
        if recipe.train.counted is not None:
            batch = recipe.train.batch_size or untrained(size).plain.model.family.batch_size
            return Choice(size, batch, 1.0, untrained(size).cost(), recipe.train.counted)
        asked = recipe if self._sizes else replace(recipe, size=size)
        return chosen_within(asked, self.dataset, untrained, self._share)

    def advice(self, command: list[str]) -> Advice | None:
        """The recommended family as it is, or small, or else the fastest, of those that were weighed; None where
        nothing fits in memory.

        command  the words that train on this data, to which those of the choice are added
        """
        recipe, makes = self.recipe, self._possible()
        if not makes:
            return None
        if recipe.train.counted:
            first, size = self._quick_enough(makes)
            steps, each = recipe.train.counted, first.seconds_per_step or 0.0
            more = [] if size == recipe.size else ["--size", size]
        else:  # what is open follows from the time
            first, more = makes[0], []
            settled, each = within_time(
                replace(recipe, family=Plugin(first.family)),
                self.dataset,
                lambda size: self._untrained(first.family, size),
                self._share,
            )
            size = settled.size
            steps = settled.train.counted or max(1, round(60 * self._minutes / each))
        if "--family" not in command:
            more = ["--family", first.family, *more]
        task = choose_task(first.family, recipe.task.name)
        there, unit = self.dataset.stats.counts["train"], self.dataset.unit
        caution = (
            f"{there:,} {unit} to train on are few, and a model may learn them by heart: judge says whether it did"
            if there < FEW and not self.dataset.stats.total
            else ""
        )
        line = shlex.join([*command, *more])
        return Advice(first.family, task, size, steps, each * steps, line, caution)

    def _quick_enough(self, makes: list[Verdict]) -> tuple[Verdict, str]:
        """The first of families that make examples, and the size of its nets: as it is, or small, or else the
        fastest."""
        recipe, first = self.recipe, makes[0]
        quick = [v for v in makes if not v.too_large]
        if first.too_large and recipe.size != "xs":
            small = Weighing(replace(recipe, size="xs", family=Plugin(first.family)), self.dataset)
            smaller = [*small.each()] and small._possible()
            if smaller and not (quick and smaller[0].too_large):
                return smaller[0], "xs"
        return first if first in quick else min(
            quick or makes, key=lambda v: v.seconds_per_step or 0
        ), recipe.size

    def _possible(self) -> list[Verdict]:
        """Those that make examples, in memory that is there."""
        most = MEMORY * free_memory()
        return [
            v
            for v in self.verdicts
            if v.outcome != "refused"
            and planning.makes_examples(v.family)
            and (v.bytes_per_step or 0) < most
        ]


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
