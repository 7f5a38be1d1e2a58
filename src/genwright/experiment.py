"""From a recipe to the parts of a training: data opened, choices settled, model put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch

from genwright import planning
from genwright.bridges.base import Bridge
from genwright.bridges.latent import LatentStage
from genwright.data.codec import Array, ReadOptions, Source
from genwright.data.dataset import Dataset, make_codec, prepare
from genwright.data.loader import Loader, in_order, strata
from genwright.data.source import find
from genwright.data.sources import Sources
from genwright.errors import DataError, Incompatible, RecipeError, RunError, suggest
from genwright.model import Model
from genwright.planning import Verdict
from genwright.recipe import Plugin, Recipe
from genwright.registry import names, options, resolve
from genwright.space import Symbol
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.stream import BatchStream
from genwright.training.timing import seconds_per_step
from genwright.training.trainer import local_batch

__all__ = ["Experiment", "open_data", "timed_verdicts", "with_sources"]

FIT_SAMPLE = 20_000
"""Training examples that a bridge is fitted on, at most."""


@dataclass
class Experiment:
    """Everything that a training needs; nothing in the recipe is left open."""

    recipe: Recipe
    source: Source
    dataset: Dataset
    verdict: Verdict
    model: Model

    @classmethod
    def of(cls, recipe: Recipe) -> Experiment:
        """A new training. Raises `DataError`, `RecipeError` or `Incompatible` with the way out."""
        recipe, source, dataset = open_data(recipe)
        return cls.on(recipe, source, dataset)

    @classmethod
    def on(cls, recipe: Recipe, source: Source, dataset: Dataset) -> Experiment:
        """A new training on data that is open."""
        verdict, model = _settled(recipe, dataset)
        job = cls(model.recipe, source, dataset, verdict, model)
        job._check()
        return job

    @classmethod
    def resumed(cls, run: Run, recipe: Recipe) -> Experiment:
        """A training to go on with, on the data it was begun with."""
        recipe, source, dataset = open_data(recipe)
        known = run.codec
        if dataset.key != known["data"]:
            raise RunError(
                f"the data at {recipe.data.path} has changed since {run.path} was begun: "
                f"put it back as it was, or begin a new run"
            )
        bridge = planning.make_bridge(known["bridge"]["name"], known["bridge"]["options"])
        bridge.restore(known["bridge"]["state"], run.bridge_tensors)
        verdict = planning.accepted(
            recipe.family.name, known["bridge"]["name"], dataset.codec.space, bridge.target
        )
        return cls(recipe, source, dataset, verdict, _model(recipe, dataset, bridge))

    def known(self) -> dict[str, Any]:
        """What sampling needs besides the recipe and the weights, as JSON."""
        bridge = self.recipe.bridge
        about = {"name": bridge.name, "options": bridge.options, "state": self.model.bridge.state()}
        return self.dataset.state() | {"options": self.recipe.codec.options, "bridge": about}

    def _check(self) -> None:
        """Raise now what would stop the training at its start, before anything is written."""
        distributed.device(self.recipe.train.device)
        family = self.model.family
        size = local_batch(self.recipe.train, family)
        if size < family.least_batch:
            raise RecipeError(
                f"a step on one device sees {size} examples, and {family.name} needs {family.least_batch} "
                f"or more together: choose a larger train.batch_size, or a smaller train.accumulate"
            )
        if (strata := self._strata()) is not None and size < len(strata):
            raise RecipeError(
                f"a step on one device sees {size} examples, too few for one of each of the {len(strata)} "
                f"domains: choose a larger train.batch_size, or a smaller train.accumulate"
            )
        self.feed()

    def feed(self) -> BatchStream:
        """Batches for this process."""
        train, val = self.dataset.splits["train"], self.dataset.splits["val"]
        if len(train) == 0:
            dial = self.dataset.codec.dial
            raise DataError(f"the training split holds no whole example; try --set {dial}")
        loader = Loader(
            train,
            self.recipe.seed,
            rank=distributed.rank(),
            world=distributed.world(),
            strata=self._strata(),
        )
        return BatchStream(loader, val, self.model.bridge, self.model.task)

    def _strata(self) -> list[Array] | None:
        """The training examples of each domain, by number, where the task is without pairs."""
        return None if self.model.task.paired else strata(self.dataset.splits["train"])

    def seconds_per_step(self) -> float:
        """Measured on one batch; the model is used up by it."""
        family = self.model.family.to(distributed.device(self.recipe.train.device))
        size = self.recipe.train.batch_size or family.batch_size
        return seconds_per_step(family, self.feed().next(size, family.device, 0), self.recipe.train)

    def in_words(self) -> str:
        """What was decided: the text of plan.txt."""
        recipe, counts = self.recipe, self.dataset.survey.counts
        minutes, steps = recipe.train.minutes, recipe.train.steps
        length = f"{minutes:g} minutes" if minutes else f"{steps:,} steps"
        lines = [
            f"data     {recipe.data.path}: {counts['train']:,} to train on, "
            f"{counts['val']:,} to choose by, {counts['test']:,} to judge by",
            f"example  {self.dataset.codec.space}",
            f"given    {', '.join(self.dataset.given) or 'nothing'}",
            f"family   {self.verdict}",
            f"net      {recipe.net.name}, size {recipe.size}",
            f"train    {length}, seed {recipe.seed}",
            *(f"warning  {warning}" for warning in self.dataset.survey.warnings),
        ]
        return "\n".join(lines) + "\n"


def open_data(recipe: Recipe) -> tuple[Recipe, Source, Dataset]:
    """The data of a recipe, and the recipe with codec and conditions written out."""
    source = find(recipe.data.path, recipe.codec.name)
    codec = make_codec(source.codec, recipe.codec.options)
    label = recipe.data.label
    if label is None:
        label = codec.default_labels(source)
    wanted = [name for name in ([label] if isinstance(label, str) else label) if name]
    recipe = replace(
        recipe,
        codec=_written_out("codecs", source.codec, recipe.codec.options),
        data=replace(recipe.data, label=wanted),
    )
    reading = ReadOptions(tuple(wanted), recipe.data.group, recipe.data.val, recipe.data.test)
    return recipe, source, prepare(source, recipe.codec.options, reading)


def timed_verdicts(recipe: Recipe) -> tuple[Source, Dataset, list[Verdict]]:
    """The data, and a verdict for each family or for the one the recipe names, with the time that a
    step of it takes here."""
    recipe, source, dataset = open_data(recipe)
    named = recipe.family.name
    found = []
    for name in names("families") if named == "auto" else [named]:
        one = recipe if name == named else replace(recipe, family=Plugin(name))
        bridge, codec = recipe.bridge, dataset.codec
        verdict = planning.weigh(
            name, codec.space, bridge=bridge.name, options=bridge.options, dial=codec.dial
        )
        if verdict.outcome != "refused":
            try:
                seconds = Experiment.on(one, source, dataset).seconds_per_step()
                verdict = replace(verdict, seconds_per_step=seconds)
            except Incompatible as error:  # the space would do, but the family says no to something else
                verdict = Verdict(name, "refused", reason=str(error))
        found.append(verdict)
    return source, dataset, found


def _settled(recipe: Recipe, dataset: Dataset) -> tuple[Verdict, Model]:
    """The verdict on the recipe's family, and the model with its fitted bridge."""
    codec = dataset.codec
    family = codec.default_family if recipe.family.name == "auto" else recipe.family.name
    task = planning.choose_task(family, recipe.task.name)
    verdict, bridge = planning.choose_bridge(
        family, codec.space, bridge=recipe.bridge.name, options=recipe.bridge.options, dial=codec.dial
    )
    if isinstance(bridge, LatentStage):
        bridge.check(recipe.data.path, dataset.content, codec.space)
    batches = in_order(dataset.splits["train"], 1024, FIT_SAMPLE if bridge.learns else 1)
    bridge.fit(codec.space, torch.cat([batch.x for batch in batches]))
    settled = replace(
        recipe,
        task=_written_out("tasks", task, recipe.task.options),
        bridge=_written_out("bridges", verdict.bridge, recipe.bridge.options),
        family=_written_out("families", family, _numbered(family, recipe.family.options, dataset)),
        net=_written_out("nets", recipe.net.name, recipe.net.options),
    )
    return verdict, _model(settled, dataset, bridge)


def _numbered(family: str, given: dict[str, Any], dataset: Dataset) -> dict[str, Any]:
    """A family's options, with the number of a domain in the place of its name. Raises `RecipeError` for a
    name that no domain has."""
    asked = resolve("families", family).domain_options & given.keys()
    column, *others = dataset.given.values() or [None]
    if not asked or column is None or others or not isinstance(span := column.spans[0], Symbol):
        return given  # the task says what is wrong
    stored = np.arange(span.k, dtype=np.float32)[:, None]
    known = [str(name) for name in column.decode(stored, np.random.default_rng(0))]
    found = dict(given)
    for option in asked:
        value = str(given[option])
        if value in known:
            found[option] = known.index(value)
        elif isinstance(given[option], str) and not value.isdecimal():
            raise RecipeError(f"family.{option}={value} is no domain; {suggest(value, known)}")
    return found


def _model(recipe: Recipe, dataset: Dataset, bridge: Bridge) -> Model:
    frequency = {name: dataset.survey.labels.get(name, {}) for name in dataset.given}
    model = Model(recipe, dataset.codec, dataset.given, frequency, bridge)
    model.sources = partial(Sources.of, dataset)
    return model


def with_sources(model: Model) -> Model:
    """A loaded model that finds examples to translate: its data is opened when they are wanted."""
    model.sources = lambda: Sources.of(open_data(model.recipe)[2])
    return model


def _written_out(kind: str, name: str, given: dict[str, Any]) -> Plugin:
    """A plug-in with the defaults of all its options written out."""
    defaults = {key: p.default for key, p in options(resolve(kind, name)).items()}
    return Plugin(name, defaults | given)
