"""From a recipe to the parts of a training: data opened, choices settled, model put together."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genwright import budget, planning
from genwright.bridges.base import Bridge, Identity
from genwright.bridges.latent import LatentStage
from genwright.data.codec import ReadOptions
from genwright.data.dataset import Dataset, Split, make_codec, prepare
from genwright.data.field import Array
from genwright.data.loader import SMALL, Loader, evenly, strata
from genwright.data.source import find
from genwright.errors import DataError, Incompatible, RecipeError, RunError, suggest
from genwright.families.translator import Translator
from genwright.model import Model, make_task, pipeline_of
from genwright.nets.roles import Size
from genwright.pipeline import Pipeline
from genwright.planning import Verdict
from genwright.recipe import Plugin, Recipe
from genwright.registry import options, resolve
from genwright.space import Space
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.cost import FEW, Cost, StepWork, free_memory, step_work
from genwright.training.operations import Unfilled
from genwright.training.stream import BatchStream
from genwright.training.threads import Threads, share_of_a_core
from genwright.training.timing import seconds_per_step
from genwright.training.trainer import local_batch

__all__ = [
    "Experiment",
    "Fitted",
    "Untrained",
    "chosen_within",
    "default_family",
    "load",
    "open_data",
    "own_share",
    "verdict_on",
    "within_time",
]

FIT_SAMPLE, FIT_NUMBERS = 20_000, 1 << 25
"""Training examples that a bridge is fitted on, at most, and numbers in all of them together."""
ALIKE = 16
"""Parts of an example, of many that are alike, that are counted for all of them; and twice as many."""
USUAL: Size = "s"
"""Size of the nets where steps are counted, whatever they take."""


Fitted = dict[tuple[str, str, Space], Bridge]
"""Bridges that were fitted on one data set, by name, options and the space of what they change."""


@dataclass
class Experiment:
    """Everything that a training needs; nothing in the recipe is left open."""

    recipe: Recipe
    dataset: Dataset
    verdict: Verdict
    model: Model
    why: str = ""
    """What a length that was not named comes to, and how to make it longer."""

    @classmethod
    def of(cls, recipe: Recipe) -> Experiment:
        """A new training. Raises `DataError`, `RecipeError` or `Incompatible` with the way out, for what would stop
        sampling too."""
        why = ""
        if recipe.train.counted is None:
            timed = recipe.train.minutes is not None
            recipe, seconds = within_time(*open_data(recipe, sampled=True))
            if not timed:
                took = max(1, round(seconds * (recipe.train.steps or 0) / 60))
                why = f"about {took} min here; longer with --minutes 60, or later by --resume"
        job = cls.on(*open_data(recipe))
        job.why = why
        if job.model.generates:
            job.model.rehearse()
        return job

    @classmethod
    def on(cls, recipe: Recipe, dataset: Dataset, fitted: Fitted | None = None) -> Experiment:
        """A new training on data that is open.

        fitted  bridges that were fitted on this data before; is told of others
        """
        if recipe.size == "auto":
            recipe = replace(recipe, size=USUAL)
        verdict, model = _settled(recipe, dataset, {} if fitted is None else fitted)
        job = cls(model.recipe, dataset, verdict, model)
        job._check()
        return job

    @classmethod
    def resumed(cls, run: Run, recipe: Recipe) -> Experiment:
        """A training to go on with, on the data it was begun with."""
        recipe, dataset = open_data(recipe)
        if dataset.key != run.codec["data"]:
            raise RunError(
                f"the data at {recipe.data.path} has changed since {run.path} was begun: "
                f"put it back as it was, or begin a new run",
                code="data-changed",
            )
        pipeline = pipeline_of(run, recipe, dataset.codec)
        bridge = pipeline.bridge
        verdict = planning.accepted(
            recipe.family.name, run.codec["bridge"]["name"], bridge.source, bridge.target
        )
        return cls(recipe, dataset, verdict, Model(recipe, pipeline, dataset))

    def begin(self, path: Path) -> Run:
        """The run folder of a new training, which the first process makes for all."""
        if distributed.is_main():
            Run.create(
                path,
                recipe=self.recipe.toml(),
                plan=self.in_words(),
                codec=self.known(),
                bridge=self.model.bridge.tensors(),
            )
        distributed.wait()
        return Run.open(path)

    def known(self) -> dict[str, Any]:
        """What sampling needs besides the recipe and the weights, as JSON."""
        bridge, dataset = self.recipe.bridge, self.dataset
        about = {"name": bridge.name, "options": bridge.options, "state": self.model.bridge.state()}
        return {
            "codec": dataset.codec_name,
            "options": self.recipe.codec.options,
            "data": dataset.key,
            "content": dataset.content,
            "counts": dataset.stats.counts,
            **self.model.pipeline.state(),
            "bridge": about,
        }

    def _check(self) -> None:
        """Raise now what would stop the training at its start, before anything is written."""
        distributed.device(self.recipe.train.device)
        family = self.model.family
        size = local_batch(self.recipe.train, family)
        if size < family.least_batch:
            raise RecipeError(
                f"a step on one device sees {size} examples, and {family.name} needs {family.least_batch} "
                f"or more together: choose a larger train.batch_size, or a smaller train.accumulate",
                code="batch-too-small",
            )
        if (strata := self._strata()) is not None and size < len(strata):
            raise RecipeError(
                f"a step on one device sees {size} examples, too few for one of each of the {len(strata)} "
                f"domains: choose a larger train.batch_size, or a smaller train.accumulate",
                code="batch-too-small",
            )
        self.stream()

    def least_local(self) -> int:
        """Examples that have to be in a batch of one device together."""
        return max(self.model.family.least_batch, len(self._strata() or ()))

    def stream(self, *, by_size: bool = True) -> BatchStream:
        """Batches for this process; of examples of about one size where those differ, unless any are to do."""
        train, val = self.dataset.splits["train"], self.dataset.splits["val"]
        if len(train) == 0:
            dial = self.dataset.codec.dial
            raise DataError(
                f"the training split holds no whole example; try --set {dial}",
                code="nothing-to-train-on",
            )
        loader = Loader(
            len(train),
            self.recipe.seed,
            rank=distributed.rank(),
            world=distributed.world(),
            strata=self._strata(),
            sizes=self.sizes if by_size else None,
        )
        return BatchStream(self.model.pipeline, loader, train, val)

    def _strata(self) -> list[Array] | None:
        """The training examples of each domain, by number, where the task is without pairs."""
        if self.model.task.paired:
            return None
        (name,) = self.model.task.given
        return strata(np.asarray(self.dataset.splits["train"].arrays[name])[:, 0])

    @cached_property
    def sizes(self) -> Array | None:
        """Places that are worked on in each training example, where what only fills one up is left out; None where
        they are alike."""
        spec, train = self.model.pipeline.spec, self.dataset.splits["train"]
        names = [name for name, cond in spec.conds.items() if cond.whole]
        if not names or len(train) > SMALL:
            return None
        total = np.zeros(len(train), np.int64)
        for name in [*names, spec.make]:
            field, step = self.model.pipeline.fields[name], 1 << 14
            for i in range(0, len(train), step):
                x = field.expand(train.gather(np.arange(i, min(i + step, len(train))), [name])[name])
                valid = field.space.valid(x)
                total[i : i + step] += field.space.positions if valid is None else valid.sum(1).numpy()
        return total

    def work(self) -> StepWork:
        """Of a step, counted; the model is used up by it."""
        few, stream = max(FEW, self.least_local()), self.stream(by_size=False)
        return step_work(self.model.family, stream.next(few, torch.device("cpu"), 0), self.recipe.train)

    def tried_out(self, size: int, device: torch.device) -> Cost:
        """What a step on `size` examples takes on a device; the model is used up by it."""
        family = self.model.family.to(device)
        batch = self.stream(by_size=False).next(size, device, 0)
        return Cost(seconds_per_step(family, batch, self.recipe.train), 0)

    def in_words(self) -> str:
        """What was decided: the text of plan.txt."""
        recipe, counts = self.recipe, self.dataset.stats.counts
        train = recipe.train
        length = f"{train.minutes:g} min" if train.minutes else f"{train.steps:,} steps"
        batch = train.batch_size or self.model.family.batch_size
        lines = [
            f"data     {recipe.data.path}: {counts['train']:,} to train on, "
            f"{counts['val']:,} to choose by, {counts['test']:,} to judge by",
            f"example  {self.model.pipeline.made.space}",
            f"given    {', '.join(self.model.task.given) or 'nothing'}",
            f"family   {self.verdict}",
            f"net      {recipe.net.name}, size {recipe.size}",
            f"train    {length} of {batch:,} examples, seed {recipe.seed}{self.why and f' ({self.why})'}",
            *(f"warning  {warning}" for warning in self.dataset.stats.warnings),
        ]
        return "\n".join(lines) + "\n"


class Untrained:
    """A training that is not begun: what a step of it would cost on any number of examples, which is counted once.
    Raises `Incompatible`.

    fitted  bridges that were fitted on this data before; is told of others
    plain  the experiment, whose weights are not drawn, and of many parts that are alike it has some
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, fitted: Fitted | None = None) -> None:
        self._recipe, self._dataset = recipe, dataset
        self._fitted: Fitted = {} if fitted is None else fitted
        self._thin = _thinned(recipe, dataset) or _shallow(recipe, dataset)
        few = self._thin[0] if self._thin else (recipe, dataset)
        self.plain = self._on(*few)

    def _on(self, recipe: Recipe, dataset: Dataset) -> Experiment:
        with Unfilled():
            return Experiment.on(recipe, dataset, self._fitted)

    def cost(self, batch: int | None = None) -> Cost:
        """Of a step on so many examples (None: those of the recipe, or of the family), counted on a CPU and tried
        out elsewhere."""
        train, family = self._recipe.train, self.plain.model.family
        device = distributed.device(train.device)
        sized = replace(train, batch_size=batch or train.batch_size)
        size = local_batch(sized, family) * train.accumulate
        if device.type == "cpu":
            return self._work.cost(size, train)
        return self._on(self._recipe, self._dataset).tried_out(size, device)

    @cached_property
    def _work(self) -> StepWork:
        work = self.plain.work()
        if self._thin is None:
            return work
        _, twice, times = self._thin
        return self._on(*twice).work().beyond(work, times)


Thin = tuple[tuple[Recipe, Dataset], tuple[Recipe, Dataset], float]
"""A training with some of those parts that are alike, the same with twice as many of them, and how many times as many
as in the first there are."""


def _thinned(recipe: Recipe, dataset: Dataset) -> Thin | None:
    """With some of the parts of an example, where many are alike."""
    name = recipe.task.options["make"]
    field = dataset.fields[name]
    made = field.without(recipe.task.options["given"])
    many = [names for names in made.alike() if len(names) >= 4 * ALIKE]
    if not many:
        return None
    every = max(map(len, many)) // ALIKE
    kept = [len(names) // every for names in many]

    def with_only(share: int) -> tuple[Recipe, Dataset]:
        left_out = [n for names, few in zip(many, kept, strict=True) for n in names[share * few :]]
        return recipe, replace(dataset, fields={**dataset.fields, name: field.without(left_out)})

    return with_only(1), with_only(2), sum(map(len, many)) / sum(kept)


def _shallow(recipe: Recipe, dataset: Dataset) -> Thin | None:
    """With some of the steps of a network, where it is a stack of many that are alike."""
    family = recipe.family.name
    kind = resolve("families", default_family(recipe, dataset) if family == "auto" else family)
    if not kind.stacked:
        return None
    steps = recipe.family.options.get(kind.stacked, options(kind)[kind.stacked].default)
    if not isinstance(steps, int) or steps < 4:
        return None

    def with_only(few: int) -> tuple[Recipe, Dataset]:
        plugin = replace(recipe.family, options=recipe.family.options | {kind.stacked: few})
        return replace(recipe, family=plugin), dataset

    return with_only(1), with_only(2), steps


def chosen_within(
    recipe: Recipe, dataset: Dataset, untrained: Callable[[Size], Untrained], share: float = 1.0
) -> budget.Choice:
    """What to train with in the time there is.

    untrained  the training with nets of a size
    share      of the time that goes by in which this program computes
    """
    train, context = recipe.train, dataset.codec.context
    device = distributed.device(train.device)

    def price(size: Size, batch: int) -> Cost:
        found = untrained(size).cost(batch)
        return replace(found, seconds=distributed.first_says(found.seconds / share, device))

    size = None if recipe.size == "auto" else recipe.size
    first = untrained(size or "xs").plain
    made = dataset.fields[recipe.task.options["make"]].without(recipe.task.options["given"]).space
    numbers = made.stored * made.positions
    return budget.choose(
        60 * (train.minutes or budget.MINUTES),
        price,
        most=first.model.family.batch_size,
        least=train.accumulate * distributed.world() * first.least_local(),
        size=size,
        batch=train.batch_size,
        shortens=dataset.fields[dataset.main].stream and recipe.codec.options[context] is None,
        in_each=numbers,
        teaches=first.model.family.teaches,
        numbers=numbers * (dataset.stats.total or dataset.stats.counts["train"]),
        free=free_memory(),
    )


def own_share() -> float:
    """Of the time that goes by in which this program computes: seconds of a thread by itself are its own, and beside
    other programs more go by."""
    return share_of_a_core() if torch.get_num_threads() == 1 else 1.0


def within_time(
    recipe: Recipe,
    dataset: Dataset,
    untrained: Callable[[Size], Untrained] | None = None,
    share: float | None = None,
) -> tuple[Recipe, float]:
    """The recipe with what time decides written out: the size of the nets, the examples of a step, the context
    of a stream, and the number of steps and threads where no minutes are named either; and the seconds of a step.

    recipe, dataset  as `open_data` gives them, of a sample at least
    untrained        the training with nets of a size, where some are known
    share            of the time that goes by in which this program computes (None: found out, and threads as fit)
    """
    train, context = recipe.train, dataset.codec.context
    there = dataset.stats.total or dataset.stats.counts["train"]
    fitted = Fitted()
    known = untrained or cache(lambda size: Untrained(replace(recipe, size=size), dataset, fitted))
    with nullcontext() if share else Threads(distributed.device(train.device), chooses=True):
        choice = chosen_within(recipe, dataset, known, share or own_share())
        threads = torch.get_num_threads()
    if train.minutes is None:
        steps = budget.enough(choice.steps, choice.batch, there)
        train = replace(train, steps=steps, threads=train.threads or threads)
    if choice.context < 1:
        (whole,) = dataset.fields[dataset.main].space.grid
        length = round(choice.context * (whole - 1))
        codec = Plugin(recipe.codec.name, recipe.codec.options | {context: length})
        recipe = replace(recipe, codec=codec)
    train = replace(train, batch_size=choice.batch)
    return replace(recipe, size=choice.size, train=train), choice.cost.seconds


def open_data(recipe: Recipe, *, sampled: bool = False) -> tuple[Recipe, Dataset]:
    """The data of a recipe, and the recipe with codec, labels and what is made and given written out.

    sampled  a sample will do where there is much
    """
    source = find(recipe.data.path, recipe.codec.name)
    codec = make_codec(source.codec, recipe.codec.options)
    first = next(iter(codec.fields(source)))
    task = recipe.task.options
    label, asked = recipe.data.label, task.get("given")
    if asked is None and recipe.task.name == "auto" and not task.get("make"):
        asked = codec.default_given(source)
    if label is None:
        label = [] if asked else codec.default_labels(source)
    labels = [name for name in ([label] if isinstance(label, str) else label) if name]
    make = task.get("make") or first
    given = list(dict.fromkeys([*(asked or []), *labels]))
    if recipe.task.name == "auto" and (make != first or set(given) - set(labels)):
        recipe = replace(recipe, task=replace(recipe.task, name="pair"))
    recipe = replace(
        recipe,
        codec=_written_out("codecs", source.codec, recipe.codec.options),
        data=replace(recipe.data, label=labels),
        task=replace(recipe.task, options=task | {"make": make, "given": given}),
    )
    beside = [name for name in dict.fromkeys([*given, make]) if name != first]
    options = ReadOptions(tuple(beside), recipe.data.group, recipe.data.val, recipe.data.test)
    return recipe, prepare(source, codec, recipe.codec.options, options, sampled=sampled)


def load(
    run: Run, which: str | int | None = None, device: str = "auto", path: str | None = None
) -> Model:
    """The model of a run, which opens its data when that is wanted.

    path  where that lies now (None: where it lay)
    """

    def opened(recipe: Recipe) -> Dataset:
        place = recipe.data.path if path is None else path
        return open_data(replace(recipe, data=replace(recipe.data, path=place)))[1]

    return Model.load(run, which, device, opened)


def verdict_on(recipe: Recipe, dataset: Dataset, family: str, space: Space) -> Verdict:
    """Whether a family takes what is made, whose space this is, by the bridge of the recipe."""
    bridge = recipe.bridge
    return planning.weigh(
        family,
        space,
        bridge=bridge.name,
        options=bridge.options,
        dial=dataset.codec.dial,
        preferred=_preferred(recipe, dataset, family),
    )


def _preferred(recipe: Recipe, dataset: Dataset, family: str) -> tuple[str, ...]:
    """Bridges that what is made is learnt better through by a family; none where the task is not for this data, which
    is refused when it comes to training."""
    if not dataset.fields[recipe.task.options["make"]].bridges:
        return ()
    try:
        return _draft(recipe, family, dataset).preferred
    except Incompatible:
        return ()


def _draft(recipe: Recipe, family: str, dataset: Dataset) -> Pipeline:
    """The pipeline before a bridge is chosen."""
    name = planning.choose_task(family, recipe.task.name)
    task = make_task(name, recipe.task.options | _declared(recipe, name, dataset))
    infills = planning.infills(family)
    frequency = {name: dataset.stats.labels.get(name, {}) for name in task.given}
    return Pipeline(
        dataset.codec_name, dataset.codec, dataset.fields, task, Identity(), frequency, infills=infills
    )


def _declared(recipe: Recipe, task: str, dataset: Dataset) -> dict[str, Any]:
    """Options of a task that are decided here where nobody does, so that older runs, which say nothing of them, stay as
    they are. The fields decide which given ones lie on the grid of what is made (those of its frame), of which each
    place counts (those that end), and which are spelled like it."""
    fields, made = dataset.fields, dataset.fields[recipe.task.options["make"]]
    given = recipe.task.options["given"]
    spans = {name: fields[name].space.spans for name in given}
    found = {
        "align": [name for name in given if made.frame and fields[name].frame == made.frame],
        "whole": [n for n in given if any(getattr(s, "pad", None) is not None for s in spans[n])],
        "copied": [
            name for name in given if made.vocabulary and fields[name].vocabulary == made.vocabulary
        ],
        "fill": "smooth",
    }
    for name in recipe.task.options.get("copied") or ():
        if name not in found["copied"]:
            raise RecipeError(
                f"task.copied={name}: it is not spelled with the symbols of {recipe.task.options['make']!r}, so that "
                f"none can be copied; set codec.shared=true, or leave it out",
                code="cannot-copy",
            )
    known = options(resolve("tasks", task)).keys()
    return {k: v for k, v in found.items() if k in known and recipe.task.options.get(k) is None}


def default_family(recipe: Recipe, dataset: Dataset) -> str:
    """That of the codec for its main field; for another one, a family that takes it as it is."""
    made = recipe.task.options["make"]
    if made == dataset.main:
        return dataset.codec.default_family
    space = dataset.fields[made].space
    return "diffusion" if space.grid and space.kind == "real" else "autoregressive"


def _settled(recipe: Recipe, dataset: Dataset, fitted: Fitted) -> tuple[Verdict, Model]:
    """The verdict on the recipe's family, and the model with its fitted bridge, one of those that were `fitted` before
    if it is among them."""
    codec = dataset.codec
    family = recipe.family.name
    if family == "auto":
        family = default_family(recipe, dataset)
    draft = _draft(recipe, family, dataset)
    space = draft.made.space
    verdict, bridge = planning.choose_bridge(
        family,
        space,
        bridge=recipe.bridge.name,
        options=recipe.bridge.options,
        dial=codec.dial,
        preferred=draft.preferred,
    )
    if isinstance(bridge, LatentStage):
        bridge.check(recipe.data.path, dataset.content, space)
    train = dataset.splits["train"]
    key = (verdict.bridge, json.dumps(recipe.bridge.options, sort_keys=True), space)
    if key not in fitted:
        fitted[key] = _fit(bridge, draft, train)
    bridge = fitted[key]
    _check_places(bridge, draft)
    draft.bridge = bridge
    task = planning.choose_task(family, recipe.task.name)
    suited = resolve("families", family).defaults_for(bridge.target, len(train))
    settled = replace(
        recipe,
        task=_written_out("tasks", task, recipe.task.options | _declared(recipe, task, dataset)),
        bridge=_written_out("bridges", verdict.bridge, recipe.bridge.options),
        family=_written_out(
            "families", family, {**suited, **_numbered(family, recipe.family.options, draft)}
        ),
        net=_written_out("nets", recipe.net.name, recipe.net.options),
    )
    return verdict, Model(settled, draft, dataset)


def _fit(bridge: Bridge, draft: Pipeline, train: Split) -> Bridge:
    """The bridge, fitted on training examples."""
    space = draft.made.space
    most = min(FIT_SAMPLE, max(1, FIT_NUMBERS // (space.stored * space.positions)))
    numbers = evenly(len(train), most if bridge.learns else 1)
    parts = [draft.stored(train, numbers[i : i + 1024]) for i in range(0, len(numbers), 1024)]
    bridge.fit(space, torch.cat(parts))
    return bridge


def _numbered(family: str, given: dict[str, Any], pipeline: Pipeline) -> dict[str, Any]:
    """A family's options, with the number of a domain in the place of its name. Raises `RecipeError` for a
    name that no domain has."""
    kind = resolve("families", family)
    asked = kind.domain_options & given.keys() if issubclass(kind, Translator) else ()
    column, *others = pipeline.scalars.values() or [None]
    if not asked or column is None or others or not column.symbols:
        return given  # the task says what is wrong
    (span,) = column.space.spans
    known = [str(name) for name in column.decode(np.arange(span.width)[:, None])]
    found = dict(given)
    for option in asked:
        value = str(given[option])
        if value in known:
            found[option] = known.index(value)
        elif isinstance(given[option], str) and not value.isdecimal():
            raise RecipeError(
                f"family.{option}={value} is no domain; {suggest(value, known)}", code="no-such-domain"
            )
    return found


def _check_places(bridge: Bridge, draft: Pipeline) -> None:
    """Raise `Incompatible` where a condition lies place by place beside what a bridge brings to other axes."""
    beside = [name for name, spec in draft.spec.conds.items() if spec.align]
    if beside and len(bridge.target.grid) not in (0, len(bridge.source.grid)):
        raise Incompatible(
            f"{beside[0]!r} lies beside what is made, place by place, and the bridge {bridge.name} leads to other "
            f"places: leave bridge.name={bridge.name} out",
            code="bridge-changes-shape",
        )


def _written_out(kind: str, name: str, given: dict[str, Any]) -> Plugin:
    """A plug-in with the defaults of all its options written out."""
    defaults = {key: p.default for key, p in options(resolve(kind, name)).items()}
    return Plugin(name, defaults | given)
