"""What a training costs here: some of its steps are taken, with all that belongs to them.

The processor's own seconds are counted, so that a price is nearly the same beside other programs. It is measured once:
what follows from it is kept in the user's cache, and a second comparison of the same is of the same steps.
"""

from __future__ import annotations

import json
import os
import platform
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path
from typing import Any

from genwright import planning
from genwright.comparing.bracket import Price
from genwright.comparing.candidates import Candidate
from genwright.comparing.executors import InProcess
from genwright.comparing.judge import Judge
from genwright.data.cache import cache_home
from genwright.data.dataset import Dataset
from genwright.errors import GenwrightError
from genwright.experiment import Untrained, default_family, load, verdict_on, within_time
from genwright.families.translator import Translator
from genwright.recipe import Plugin, Recipe
from genwright.registry import resolve
from genwright.storage import durable
from genwright.storage.manifest import versions
from genwright.storage.run import Run

__all__ = ["misfit", "price", "remember", "remembered", "settled", "with_context"]

TRIED = 1.0
"""Seconds of steps that a price is measured by."""
FEWEST, MOST = 4, 100
"""Steps of that."""
DRAWN = 32
"""Examples that are made to see what making them costs."""
SHARED = 8
"""About so many families share the time."""
LIMIT = 600.0
"""Seconds of work after which measuring a price is given up."""
CHECKS, SHOWN = 5, 0
"""Of a training in a comparison: how often it looks at its held-out loss and saves, and what it draws meanwhile."""


def misfit(recipe: Recipe, dataset: Dataset, family: str) -> str:
    """Why a family cannot be compared on this data, in a sentence; "" where it can."""
    kind = resolve("families", family)
    if not planning.makes_examples(family):
        return f"{family} learns codes and makes no examples"
    if issubclass(kind, Translator) != (recipe.task.name == "unpaired"):
        return f"{family} is for another task: it brings examples of one domain to another (--task unpaired)"
    made = dataset.fields[recipe.task.options["make"]].without(recipe.task.options["given"])
    found = verdict_on(recipe, dataset, family, made.space)
    if found.outcome != "refused":
        return ""
    return found.reason + (f"; try {'; or '.join(found.ways)}" if found.ways else "")


def settled(recipe: Recipe, dataset: Dataset, candidate: Candidate, seconds: float) -> Recipe:
    """The recipe of a training of so many seconds, with the size of the nets and the examples of a step that fit."""
    own = recipe.family if candidate.family == recipe.family.name else Plugin(candidate.family)
    recipe = replace(recipe, family=own).override(candidate.settings)
    train = replace(recipe.train, minutes=seconds / 60, steps=None)
    found, _ = within_time(replace(recipe, train=train), dataset)
    train = replace(
        found.train,
        minutes=None,
        steps=MOST,
        threads=found.train.threads or 1,
        checks=CHECKS,
        samples=SHOWN,
        log_every=max(1, found.train.log_every),
    )
    return replace(found, train=train)


def with_context(recipe: Recipe, dataset: Dataset, seconds: float) -> Recipe:
    """The recipe; where its data is a stream, with the context written out that suits so many seconds."""
    if not dataset.fields[dataset.main].stream:
        return recipe
    family = Plugin(default_family(recipe, dataset))
    train = replace(recipe.train, minutes=seconds / 60 / SHARED)
    found, _ = within_time(replace(recipe, family=family, train=train), dataset)
    codec = dict(recipe.codec.options)
    if (context := dataset.codec.context) and codec.get(context) is None:
        (whole,) = dataset.fields[dataset.main].space.grid
        length = found.codec.options[context]
        codec[context] = whole - 1 if length is None else length
    return replace(recipe, codec=Plugin(recipe.codec.name, codec))


def price(recipe: Recipe, judge: Judge, judging: float) -> Price:
    """What a candidate costs. Raises `GenwrightError` where it cannot be trained.

    judging  seconds that the judge takes for samples that are there
    """
    steps = _few(recipe, judge.dataset)
    tried = replace(recipe, train=replace(recipe.train, steps=steps, checks=2))
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        task = {"run": str(run), "recipe": tried.toml(), "until": steps, "limit": LIMIT}
        ((_, answer),) = InProcess().run([task])
        if error := answer.get("error"):
            raise GenwrightError(error["words"], code=error["code"])
        model = load(Run.open(run), device=recipe.train.device)
        n = min(DRAWN, judge.n)
        began = time.process_time()
        model.sample(n, seed=0)
        draw = (time.process_time() - began) / n
    *between, longest = sorted(answer["each"])  # the longest with a check before it
    step = sum(between) / len(between)
    begin = max(0.0, answer["work"] - answer["worked"]) + (CHECKS - 1) * max(0.0, longest - step)
    splits = judge.dataset.splits
    many, few = (draw * min(judge.n, len(splits[name])) for name in ("test", "val"))
    return Price(step, begin, many + judging, few + judging / 2)


def _few(recipe: Recipe, dataset: Dataset) -> int:
    """Steps that take about as long as a price is measured by."""
    cost = Untrained(recipe, dataset).cost()
    return min(MOST, max(FEWEST, round(TRIED / max(cost.seconds, 1e-6))))


def remembered(about: Mapping[str, Any]) -> Any:
    """What `remember` has kept for the same; None where there is nothing."""
    with suppress(OSError, ValueError, RecursionError):
        return json.loads(_file(about).read_text(encoding="utf-8"))
    return None


def remember(about: Mapping[str, Any], plan: Mapping[str, Any]) -> None:
    """Keep what follows from prices, for a second comparison of the same on this machine: it is of the same steps."""
    file = _file(about)
    with suppress(OSError):  # a person has been spared nothing, and loses nothing
        durable.io.mkdir(file.parent)
        durable.write(file, json.dumps(plan).encode())


def _file(about: Mapping[str, Any]) -> Path:
    here = [dict(about), versions(), platform.processor(), platform.node(), os.cpu_count()]
    name = blake2b(json.dumps(here, sort_keys=True).encode(), digest_size=12).hexdigest()
    return cache_home() / "compared" / f"{name}.json"
