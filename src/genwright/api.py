"""The verbs as functions: the whole pipeline on one screen.

look      what is in here, what is wrong with it, which families fit
plan      how each family would take this data
train     data in, a run folder and a model out
load      a model from a run folder
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from genwright import planning
from genwright.bridges import Bridge
from genwright.data.codec import Reading, Source
from genwright.data.dataset import Dataset, make_codec, prepare
from genwright.data.loader import Loader, in_order
from genwright.data.source import find
from genwright.errors import Incompatible, RecipeError, RunError
from genwright.families.base import Family
from genwright.model import Model
from genwright.page import write_page
from genwright.planning import Verdict
from genwright.recipe import Plugin, Recipe
from genwright.registry import names, options, resolve
from genwright.training import distributed
from genwright.training.feed import Feed
from genwright.training.run import Run
from genwright.training.timing import seconds_per_step
from genwright.training.trainer import Progress, Trainer

__all__ = ["Look", "load", "look", "make_recipe", "plan", "train"]

FIT_SAMPLE = 20_000
"""Training examples that a bridge is fitted on, at most."""


@dataclass
class Look:
    """What `look` found."""

    name: str
    codec: str
    space: str
    counts: dict[str, int]
    facts: dict[str, Any]
    labels: dict[str, dict[str, int]]
    available_labels: list[str]
    duplicates: int
    bad: list[dict[str, str]]
    bad_count: int
    warnings: list[str]
    families: list[Verdict] = field(default_factory=list)

    def json(self) -> dict[str, Any]:
        return asdict(self)


# -- the verbs -------------------------------------------------------------------------------------


def look(data: str | Path, *, settings: Iterable[str] = (), **choices: Any) -> Look:
    """Counts, sizes, types, splits, what is wrong, which families fit and how long they would take.

    data      a file, a folder, a built-in name or a recipe
    settings  `a.b=c` overrides of the recipe
    choices   label, size, seed, ... as in `train`
    Raises `DataError` where the data cannot be used at all.
    """
    recipe = make_recipe(data, settings=settings, **choices)
    source, dataset = _open(recipe)
    survey = dataset.survey
    readable = {
        name: {
            str(column.decode(_index(int(symbol)), _rng())[0]): count
            for symbol, count in survey.labels.get(name, {}).items()
        }
        for name, column in dataset.given.items()
    }
    return Look(
        name=source.name,
        codec=dataset.codec_name,
        space=str(dataset.codec.space),
        counts=dict(survey.counts),
        facts=dataset.codec.facts(),
        labels=readable,
        available_labels=dataset.codec.labels(source),
        duplicates=survey.duplicates,
        bad=[asdict(bad) for bad in survey.bad],
        bad_count=survey.bad_count,
        warnings=survey.warnings,
        families=_timed_verdicts(recipe, dataset),
    )


def plan(data: str | Path, *, settings: Iterable[str] = (), **choices: Any) -> list[Verdict]:
    """How each family (or the one named) would take this data: native, bridged or refused, with the
    numbers, the ways out and the time a step takes here. Nothing is trained."""
    recipe = make_recipe(data, settings=settings, **choices)
    _, dataset = _open(recipe)
    return _timed_verdicts(recipe, dataset)


def train(
    data: str | Path | None = None,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    settings: Iterable[str] = (),
    report: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    begun: Callable[[Run, Verdict], None] | None = None,
    **choices: Any,
) -> Model:
    """Train a model; the run folder is `model.run.path`.

    data     a file, a folder, a built-in name or a recipe
    out      the run folder (None: `runs/<data>-<family>`); an existing one is never overwritten
    resume   a run folder to go on with, instead of `data`
    choices  family, label, size, steps, minutes, seed
    report   is told of the progress after each step; `stop` may end the training; `begun` is told of
             the run and the plan
    """
    with distributed.group():
        if resume is not None:
            return _resume(Path(resume), settings, choices, report, stop, begun)
        if data is None:
            raise RecipeError(
                "name the data to train on (a file, a folder, digits), or a run to --resume"
            )
        recipe = make_recipe(data, settings=settings, **choices)
        source, dataset = _open(recipe)
        recipe, verdict, bridge = _settle(recipe, dataset)
        path = (
            Path(out) if out is not None else _free(Path("runs") / f"{source.name}-{recipe.family.name}")
        )
        model = _assemble(recipe, dataset, bridge)
        known = dataset.state() | {
            "options": recipe.codec.options,
            "bridge": {
                "name": verdict.bridge,
                "options": recipe.bridge.options,
                "state": bridge.state(),
            },
        }
        if distributed.is_main():
            Run.create(path, recipe=recipe.toml(), plan=_in_words(recipe, dataset, verdict), codec=known)
        distributed.wait()
        run = Run.open(path)
        return _fit(model, dataset, run, recipe, report, stop, begun, verdict)


def load(run: str | Path, *, which: str | int | None = None, device: str = "cpu") -> Model:
    """The model of a run folder: its best weights if a held-out loss chose some, else the last."""
    opened = Run.open(Path(run))
    if not opened.step:
        raise RunError(f"{run} holds no weights yet: go on with genwright train --resume {run}")
    model = Model.load(opened, which, device)
    model.run = opened
    return model


# -- recipes ---------------------------------------------------------------------------------------


def make_recipe(
    data: str | Path,
    *,
    family: str | None = None,
    label: str | Sequence[str] | None = None,
    size: str | None = None,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int | None = None,
    settings: Iterable[str] = (),
) -> Recipe:
    """The recipe for data or from a file, with the choices and then the settings applied."""
    path = Path(data)
    recipe = Recipe.read(path) if path.suffix == ".toml" else Recipe()
    values = recipe.toml()
    if path.suffix != ".toml":
        values["data"]["path"] = str(data)
    if family is not None:
        same = values["family"]["name"] == family
        values["family"] = values["family"] if same else {"name": family}
    if label is not None:
        values["data"]["label"] = label if isinstance(label, str) else list(label)
    if size is not None:
        values["size"] = size
    if seed is not None:
        values["seed"] = seed
    if steps is not None and minutes is not None:
        raise RecipeError("give --steps or --minutes, not both")
    if steps is not None:
        values["train"] |= {"steps": steps}
        values["train"].pop("minutes", None)
    if minutes is not None:
        values["train"] |= {"minutes": minutes}
    return Recipe.of(values).override(settings)


def _settle(recipe: Recipe, dataset: Dataset) -> tuple[Recipe, Verdict, Bridge]:
    """The recipe with nothing left open, the verdict on its family, and the fitted bridge."""
    codec = dataset.codec
    family = codec.default_family if recipe.family.name == "auto" else recipe.family.name
    verdict, bridge = planning.choose_bridge(
        family, codec.space, bridge=recipe.bridge.name, options=recipe.bridge.options, dial=codec.dial
    )
    bridge.fit(codec.space, _sample_of(dataset))
    net = recipe.net.name
    settled = replace(
        recipe,
        codec=_written_out("codecs", dataset.codec_name, recipe.codec.options),
        task=_written_out("tasks", recipe.task.name, recipe.task.options),
        bridge=Plugin(verdict.bridge, recipe.bridge.options),
        family=_written_out("families", family, recipe.family.options),
        net=Plugin(net, recipe.net.options),
    )
    return settled, verdict, bridge


def _written_out(kind: str, name: str, given: dict[str, Any]) -> Plugin:
    """A plug-in with the defaults of all its options written out."""
    defaults = {key: p.default for key, p in options(resolve(kind, name)).items()}
    return Plugin(name, defaults | given)


# -- data ------------------------------------------------------------------------------------------


def _open(recipe: Recipe) -> tuple[Source, Dataset]:
    """The source and the prepared data of a recipe."""
    source = find(recipe.data.path, recipe.codec.name)
    codec = make_codec(source.codec, recipe.codec.options)
    label = recipe.data.label
    if label is None:
        found = codec.labels(source) if codec.conditions_by_default else []
        wanted: list[str] = ["label"] if "label" in found else []
    else:
        wanted = [name for name in ([label] if isinstance(label, str) else label) if name]
    reading = Reading(tuple(wanted), recipe.data.group, recipe.data.val, recipe.data.test)
    return source, prepare(source, recipe.codec.options, reading)


def _sample_of(dataset: Dataset) -> torch.Tensor:
    """Stored training examples for a bridge to learn from."""
    batches = in_order(dataset.splits["train"], 1024, FIT_SAMPLE)
    return torch.cat([batch.x for batch in batches])


def _assemble(recipe: Recipe, dataset: Dataset, bridge: Bridge) -> Model:
    return Model(
        recipe,
        dataset.codec,
        dataset.given,
        {name: dataset.survey.labels.get(name, {}) for name in dataset.given},
        bridge,
    )


def _index(symbol: int) -> Any:
    import numpy as np

    return np.array([[symbol]], dtype=np.float32)


def _rng() -> Any:
    import numpy as np

    return np.random.default_rng(0)


# -- training --------------------------------------------------------------------------------------


def _feed(dataset: Dataset, bridge: Bridge, model: Model, seed: int) -> Feed:
    loader = Loader(dataset.splits["train"], seed, rank=distributed.rank(), world=distributed.world())
    if len(dataset.splits["train"]) == 0:
        raise Incompatible("the training split holds no whole example: lower codec.length")
    return Feed(loader, dataset.splits["val"], bridge, model.task)


def _fit(
    model: Model,
    dataset: Dataset,
    run: Run,
    recipe: Recipe,
    report: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    begun: Callable[[Run, Verdict], None] | None,
    verdict: Verdict,
) -> Model:
    """Train to the end or to a stop; the model that comes back holds the kept weights."""
    if begun is not None and distributed.is_main():
        begun(run, verdict)

    def draw(family: Family, step: int) -> None:
        samples = model.using(family).sample(recipe.train.samples, seed=recipe.seed)
        samples.write(run.samples_dir(step))

    feed = _feed(dataset, model.bridge, model, recipe.seed)
    trainer = Trainer(
        model.family, feed, run, recipe.train, recipe.seed, draw=draw, report=report, stop=stop
    )
    began = time.monotonic()
    finished = trainer.fit()
    if not distributed.is_main():
        return model
    trained = load(run.path)
    trained.finished = finished
    facts = {
        "data": f"{recipe.data.path}: {dataset.survey.counts['train']:,} training examples, "
        f"{dataset.survey.counts['val']:,} held out to choose by, {dataset.survey.counts['test']:,} to judge by",
        "example": str(dataset.codec.space),
        "family": recipe.family.name,
        "parameters": f"{sum(p.numel() for p in trained.family.parameters()):,}",
        "steps": f"{trainer.progress.step:,}",
        "time": f"{time.monotonic() - began:.0f} s",
        "seed": recipe.seed,
        "device": str(trainer.device),
    }
    if trainer.progress.best is not None:
        facts["held-out loss"] = f"{trainer.progress.best:.4f} (step {run.best or trained.run.best})"
    count = 100 if dataset.codec.space.grid and dataset.codec.space.kind == "real" else 12
    write_page(trained.run, trained.sample(count, seed=recipe.seed).preview(), facts)
    return trained


def _resume(
    path: Path,
    settings: Iterable[str],
    choices: dict[str, Any],
    report: Callable[[Progress], None] | None,
    stop: Callable[[], bool] | None,
    begun: Callable[[Run, Verdict], None] | None,
) -> Model:
    run = Run.open(path)
    fixed = [
        name for name, value in choices.items() if value is not None and name not in ("steps", "minutes")
    ]
    settings = list(settings)
    if fixed or any(not s.startswith("train.") for s in settings):
        raise RecipeError(
            f"a run goes on as it began: with --resume only --steps, --minutes and --set train.* can change, "
            f"got {', '.join(fixed or settings)}"
        )
    longer = [f"train.{name}={value}" for name, value in choices.items() if value is not None]
    recipe = Recipe.of(run.recipe).override([*longer, *settings])
    _, dataset = _open(recipe)
    known = run.codec
    if dataset.key != known["data"]:
        raise RunError(
            f"the data at {recipe.data.path} has changed since {path} was begun: put it back as it was, "
            f"or begin a new run"
        )
    bridge = planning.make_bridge(known["bridge"]["name"], known["bridge"]["options"])
    bridge.restore(known["bridge"]["state"])
    verdict = planning.weigh(
        recipe.family.name,
        dataset.codec.space,
        bridge=known["bridge"]["name"],
        options=known["bridge"]["options"],
    )
    return _fit(_assemble(recipe, dataset, bridge), dataset, run, recipe, report, stop, begun, verdict)


def _free(path: Path) -> Path:
    """The path, or the next free one with a number behind it."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}-{number}")
    return free


# -- planning --------------------------------------------------------------------------------------


def _timed_verdicts(recipe: Recipe, dataset: Dataset) -> list[Verdict]:
    """A verdict for each family, or for the one the recipe names, with the time of a step here."""
    wanted = names("families") if recipe.family.name == "auto" else [recipe.family.name]
    found = []
    for name in wanted:
        options = recipe.family.options if name == recipe.family.name else {}
        one = replace(recipe, family=Plugin(name, options))
        try:
            settled, verdict, bridge = _settle(one, dataset)
            model = _assemble(settled, dataset, bridge)
        except Incompatible as error:
            if recipe.family.name == "auto":
                verdict = planning.weigh(name, dataset.codec.space, dial=dataset.codec.dial)
                found.append(
                    verdict if verdict.outcome == "refused" else replace(verdict, reason=str(error))
                )
                continue
            found.append(
                planning.weigh(
                    name,
                    dataset.codec.space,
                    bridge=recipe.bridge.name,
                    options=recipe.bridge.options,
                    dial=dataset.codec.dial,
                )
            )
            continue
        feed = _feed(dataset, bridge, model, recipe.seed)
        size = recipe.train.batch_size or model.family.batch_size
        batch = feed.next(size, model.family.device, 0)
        found.append(
            replace(verdict, seconds_per_step=seconds_per_step(model.family, batch, recipe.train))
        )
    return found


def _in_words(recipe: Recipe, dataset: Dataset, verdict: Verdict) -> str:
    """plan.txt"""
    counts = dataset.survey.counts
    lines = [
        f"data     {recipe.data.path}: {counts['train']:,} to train on, {counts['val']:,} to choose by, "
        f"{counts['test']:,} to judge by",
        f"example  {dataset.codec.space}",
        f"given    {', '.join(dataset.given) or 'nothing'}",
        f"family   {verdict}",
        f"net      {recipe.net.name}, size {recipe.size}",
        "train    "
        + (
            f"{recipe.train.minutes} minutes"
            if recipe.train.minutes
            else f"{recipe.train.steps:,} steps"
        )
        + f", seed {recipe.seed}",
        *(f"warning  {warning}" for warning in dataset.survey.warnings),
    ]
    return "\n".join(lines) + "\n"
