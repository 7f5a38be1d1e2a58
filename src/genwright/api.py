"""The verbs as functions: the whole pipeline on one screen.

look      what is in here, what is wrong with it, which families fit
plan      how each family would take this data
train     data in, a run folder and a model out
load      a model from a run folder
sample    new examples of a run, of which some may be dropped and made again
translate what a person has, brought to another domain
apply     what a run makes of files
edit      examples changed in the latent space of a run
judge     is it good, is it varied, did it copy
augment   a training set enlarged or balanced with the examples of a run, and whether that helps
compare   families on one data set: equal budgets, one judge, one table
probe     what a linear model reads off the codes of a run
serve     a web page and an HTTP API for runs
"""

from __future__ import annotations

import os
import shlex
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from genwright.address import conceal
from genwright.calibrating import calibrate
from genwright.data.memory import keep_object
from genwright.errors import RecipeError, RunError
from genwright.experiment import Experiment, open_data
from genwright.experiment import load as load_run
from genwright.families.base import Family
from genwright.families.capabilities import generative
from genwright.model import Model, Samples
from genwright.options import Count, Natural, Positive
from genwright.planning import Verdict
from genwright.recipe import Recipe, for_so_long, make_recipe
from genwright.registry import check, resolve
from genwright.report import run_page
from genwright.report.run_page import Command
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.trainer import Progress, Trainer
from genwright.weighing import Advice, Weighing

if TYPE_CHECKING:  # what judges loads scipy and scikit-learn, which takes as long as torch
    from genwright.analysis.linear_probe import Probe
    from genwright.augmenting.enlarged import Enlarged
    from genwright.comparing.leaderboard import Leaderboard
    from genwright.data.dataset import Dataset
    from genwright.evaluation.in_training import InTrainingEvaluation
    from genwright.evaluation.inputs import EvaluationInput
    from genwright.evaluation.results import EvaluationReport

__all__ = [
    "Look",
    "apply",
    "augment",
    "commands",
    "compare",
    "edit",
    "empty_folder",
    "free_folder",
    "judge",
    "load",
    "look",
    "make_recipe",
    "plan",
    "probe",
    "sample",
    "serve",
    "train",
    "translate",
]


@dataclass
class Look:
    """What `look` found.

    unit    what several examples are called
    because why the data is taken for what `codec` reads
    total   about how many there are, where a sample was looked at; else as many as counted
    advice  what would be worth making; None where nothing fits, or not here
    """

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
    unit: str = "examples"
    total: int = 0
    advice: Advice | None = None
    because: str = ""

    def json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Watch:
    """Who wants to know of a training, and may end it.

    report   is told of the progress after each step
    stop     says whether to end after this step
    begun    is told of the run and the plan before the first step
    """

    report: Callable[[Progress], None] | None = None
    stop: Callable[[], bool] | None = None
    begun: Callable[[Run, Verdict], None] | None = None


# -- the verbs -------------------------------------------------------------------------------------


def look(
    data: Any,
    *,
    rate: int | None = None,
    settings: Iterable[str] = (),
    found: Callable[[Look], None] | None = None,
    report: Callable[[Verdict], None] | None = None,
    **choices: Any,
) -> Look:
    """Counts, sizes, types, splits, what is wrong, which families fit, how long they would take and which of
    them would be worth training. Of much data a sample is read, and nothing is trained.

    data      a file, a folder, an archive, the address of a database, `hf:NAME`, a built-in name, a recipe, or an
              object as `train` takes it
    rate      samples a second of waveforms from memory
    settings  `a.b=c` overrides of the recipe
    found     is told what there is as soon as that is known, before any family is
    report    is told of each family, the recommended one first
    choices   label, size, seed, ... as in `train`
    Raises `DataError` where the data cannot be used at all.
    """
    settings = list(settings)
    asked = _recipe(data, rate, settings, choices)
    recipe, dataset = open_data(asked, sampled=True)
    seen = _seen(dataset)
    if found is not None:
        found(seen)
    weighing = Weighing(recipe, dataset)
    for verdict in weighing.each():
        seen.families.append(verdict)
        if report is not None:
            report(verdict)
    if asked.data.memory is not None:
        data, choices["label"] = asked.data.path, asked.data.label
        settings = [f"codec.name={asked.codec.name}", *settings]
    seen.advice = weighing.advice(_typed(data, settings, choices))
    return seen


def _seen(dataset: Dataset) -> Look:
    """What there is, without the families."""
    stats, main = dataset.stats, dataset.fields[dataset.main]
    labels: dict[str, dict[str, int]] = {}
    for name, counts in stats.labels.items():
        symbols = np.array([[int(symbol)] for symbol in counts], dtype=np.float32)
        values = dataset.fields[name].decode(symbols) if counts else []
        labels[name] = dict(zip(map(str, values), counts.values(), strict=True))
    made = main.without(dataset.options.given)
    return Look(
        name=dataset.source.name,
        codec=dataset.codec_name,
        space=str(made.space),
        counts=dict(stats.counts),
        facts=made.facts(),
        labels=labels,
        available_labels=dataset.codec.labels(dataset.source),
        duplicates=stats.duplicates,
        bad=[asdict(bad) for bad in stats.bad],
        bad_count=stats.bad_count,
        warnings=stats.warnings,
        unit=dataset.unit,
        total=stats.total or sum(stats.counts.values()),
        because=dataset.codec.because(dataset.source.files),
    )


def _typed(data: str | Path, settings: Sequence[str], choices: Mapping[str, Any]) -> list[str]:
    """The words that train on the same data with the same choices."""
    words = ["genwright", "train", conceal(str(data))]
    for name, value in choices.items():
        many = value if isinstance(value, list | tuple) else [] if value is None else [value]
        words += [word for one in many for word in (f"--{name}", str(one))]
    for setting in settings:
        name, equals, value = setting.partition("=")
        words += ["--set", name + equals + conceal(value)]
    return words


def plan(
    data: Any,
    *,
    rate: int | None = None,
    settings: Iterable[str] = (),
    report: Callable[[Verdict], None] | None = None,
    **choices: Any,
) -> list[Verdict]:
    """How each family (or the one named) would take this data: native, bridged or refused, with the
    numbers, the ways out, what it would be trained with in the time there is, and an estimate of what a step takes
    here. Nothing is trained.

    report   is told of each family, the recommended one first
    choices  as in `train`: `minutes` of them is the time
    """
    verdicts = []
    opened = open_data(_recipe(data, rate, settings, choices), sampled=True)
    for verdict in Weighing(*opened, sizes=True).each():
        verdicts.append(verdict)
        if report is not None:
            report(verdict)
    return verdicts


def train(
    data: Any = None,
    *,
    rate: int | None = None,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    settings: Iterable[str] = (),
    report: Callable[[Progress], None] | None = None,
    stop: Callable[[], bool] | None = None,
    begun: Callable[[Run, Verdict], None] | None = None,
    **choices: Any,
) -> Model:
    """Train a model; the run folder is `model.run.path`.

    data     a file, a folder, a built-in name or a recipe (its file, or a `Recipe`); or an object: a table of
             pandas, polars or Arrow, an array or a tensor (pictures `(n, h, w)`, `(n, h, w, c)` or `(n, c, h, w)`,
             rows `(n, d)`, waveforms `(n, t)` with a `rate`), a dict of columns, or a list or a map-style Dataset of
             pictures, texts, waveforms, (value, label) or dicts
    rate     samples a second of waveforms from memory
    out      the run folder (None: `runs/<data>-<family>`); an existing one is never overwritten
    resume   a run folder to go on with; `data` again, if it is no longer where it was
    choices  family, label, size, steps, minutes, seed; with an object `label` may be the values of it, or several
             labels by name
    report, stop, begun  see `Watch`
    """
    watch = Watch(report, stop, begun)
    with distributed.group():
        if resume is not None:
            run = Run.open(Path(resume))
            settings = [*_again(data, rate, choices), *settings]
            job = Experiment.resumed(run, _go_on(run, settings, choices))
            return _fit(job, run, watch, _checkup(job))
        if data is None:
            raise RecipeError(
                "name the data to train on (a file, a folder, digits), or --resume a run",
                code="no-data-named",
            )
        job = Experiment.of(_recipe(data, rate, settings, choices))
        checkup = _checkup(job)
        name = f"{job.dataset.source.name}-{job.recipe.family.name}"
        path = Path(out) if out is not None else free_folder(Path("runs") / name)
        return _fit(job, job.begin(path), watch, checkup)


def load(
    run: str | Path,
    *,
    data: Any = None,
    label: Any = None,
    rate: int | None = None,
    which: str | int | None = None,
    device: str = "auto",
) -> Model:
    """The model of a run folder: its best weights if a held-out loss chose some, else the last.

    data, label, rate  what it was trained on, again, if that is no longer where it was
    """
    opened = Run.open(Path(run))
    if not opened.step:
        raise RunError(
            f"{run} holds no weights yet: go on with genwright train --resume {run}", code="no-weights"
        )
    return load_run(opened, which, device, None if data is None else _place(data, label, rate))


def sample(
    run: str | Path,
    n: int = 16,
    given: Mapping[str, Any] | None = None,
    *,
    drop: Sequence[str] = (),
    best_of: int = 1,
    rank: str | None = None,
    require: str | Path | Sequence[str] = (),
    then: str | Path | None = None,
    then_options: Mapping[str, Any] | None = None,
    seed: int = 0,
    device: str = "auto",
    **sampler_options: Any,
) -> Samples:
    """New examples of a run, as `Model.sample` makes them. What is dropped is made again, 10 times at most; how much
    it was stands in `provenance.finish`, and in the `synthetic.json` beside what is written.

    drop     `invalid`: what cannot be read again, and rows with an impossible value or a broken rule; `copies`: what is
             suspiciously near to one training example
    best_of  so many are made for each, of which the best is kept: by likelihood where the family has one, else by
             nearness to real examples
    rank     order them, the best first, by `likelihood`, by `nearness` to real examples, or by what there is (`auto`)
    require  constraints on rows, such as `age >= 18` or `start <= end`, or a TOML file of them: what breaks one is
             repaired by infilling its cells, or else dropped
    then     a run that makes something of each that is kept: one that makes pictures larger, say
    then_options  of its sampler
    Raises `RunError` where the training data are needed and not there, or none passed, `Unsupported` where nothing
    can rank, `Incompatible` where `then` makes something of another kind or shape.
    """
    from genwright.finishing.finish import Finish

    check({"n": n, "seed": seed}, {"n": Count, "seed": Natural}, where="sample")
    second = None if then is None else load(then, device=device)
    finish = Finish(
        load(run, device=device),
        drop,
        best_of,
        rank=rank,
        require=require,
        n=n,
        then=second,
        then_options=then_options,
        seed=seed,
    )
    return finish.sample(given, **sampler_options)


def translate(
    run: str | Path,
    data: Any = None,
    to: str | None = None,
    *,
    n: int = 16,
    seed: int = 0,
    rate: int | None = None,
    device: str = "auto",
    **sampler_options: Any,
) -> Samples:
    """Examples brought to another domain by a model of cyclegan, stargan or style.

    data   files or folders, or an object as `train` takes it (None: `n` held-out examples of the run's own data,
           of other domains)
    to     the domain (None: any, as often as they came in training)
    sampler_options  of the family
    Raises `Unsupported` where the run does not translate, `DataError` for what cannot be read.
    """
    check({"n": n, "seed": seed}, {"n": Count, "seed": Natural}, where="translate")
    model = load(run, device=device)
    domains = " or ".join(map(str, model.domains))
    if to is None:
        raise RecipeError(f"name the domain to translate to: {domains}", code="no-domain")
    given = dict.fromkeys(model.task.given, to)
    if data is None:
        return model.sample(n, given, seed=seed, **sampler_options)
    return _applied(model, data, rate, given, seed=seed, **sampler_options)


def apply(
    run: str | Path,
    data: Any,
    given: Mapping[str, Any] | None = None,
    *,
    drop: Sequence[str] = (),
    best_of: int = 1,
    require: str | Path | Sequence[str] = (),
    seed: int = 0,
    rate: int | None = None,
    device: str = "auto",
    **sampler_options: Any,
) -> Samples:
    """What a run makes of files, or of examples in memory: upscaled, filled in, restyled, captioned, translated.

    data   files or folders, or an object as `train` takes it
    given  what else can be given, by name
    drop, best_of, require  as of `sample`
    Further options are those of `Model.apply` (`draws`, `pool`, `mask`) and of the sampler.
    Raises `Unsupported` where the run makes nothing of files, `DataError` for what cannot be read.
    """
    check({"seed": seed}, {"seed": Natural}, where="apply")
    how: dict[str, Any] = dict(sampler_options)
    model = load(run, device=device)
    if drop or best_of > 1 or require:
        from genwright.finishing.finish import Finish

        how["maker"] = lambda n: Finish(model, drop, best_of, require=require, n=n, seed=seed).maker
    return _applied(model, data, rate, given, seed=seed, **how)


def edit(run: str | Path, *, device: str = "auto", **how: Any) -> Samples:
    """Edit examples in the latent space of a run; `how` as `edit_examples` takes it: `between` two examples,
    more of an `attribute`, or along principal `directions`."""
    from genwright.analysis.latent_edit import edit_examples

    return edit_examples(load(run, device=device), **how)


def judge(
    run: str | Path | None = None,
    *,
    fake: Any = None,
    real: Any = None,
    holdout: Any = None,
    against: Any = None,
    label: str | None = None,
    rate: int | None = None,
    group: str | None = None,
    n: int | None = None,
    seed: int = 0,
    features: str = "auto",
    wanted: Sequence[str] = (),
    oracle: float | None = None,
    device: str = "auto",
) -> EvaluationReport:
    """A verdict on a run, or on samples of any origin.

    run      a run folder, judged by what was held out of its data, or by `against`
    fake     instead of a run: files with generated examples, of any tool, or an object as `train` takes it
    real     with `fake`: the data they were made after, likewise
    holdout  with `fake`: real data that their maker did not see
    label    with `fake`: a column or a label that tells classes apart
    rate     samples a second of waveforms from memory
    group    with `fake`: a column whose equal values (a person's visits) are never on both sides of a split
    n        the most examples of each to compare; the same number of each is used (None: 2,000, or fewer where a run
             takes long to make them, which the report says)
    features what turns examples into features: auto, or a name out of `genwright list`
    wanted   names of metrics (empty: all that apply)
    oracle   nats of an example under the law of the data, where that is known: the likelihood's floor
    Raises `DataError` where nothing can be compared, `RecipeError` for an unknown name.
    """
    from genwright.evaluation import inputs
    from genwright.evaluation.heldout import heldout_log_likelihood

    check({"n": n, "seed": seed}, {"n": Count | None, "seed": Natural}, where="judge")
    if features != "auto":
        resolve("extractors", features)
    for name in wanted:
        resolve("metrics", name)
    _check_judged(run, fake, real, holdout, against)
    likelihood = None
    if run is not None:
        model = load(run, device=device)
        generative(model.family)
        case = inputs.of_run(model, n, seed, against=_file(against, rate)[0], extractor=features)
        if against is None and not wanted:
            likelihood = heldout_log_likelihood(model, n or len(case.evidence.fake), seed, oracle)
    else:
        files = {"fake": fake, "real": real, "holdout": holdout}
        case = _case_of_files(
            files, rate, n or inputs.USUAL, seed, label=label, group=group, extractor=features
        )
    named = run if run is not None else fake
    title = str(named) if isinstance(named, str | Path) else "fake"
    return inputs.judged(case, title, seed, wanted, likelihood)


def compare(
    data: Any,
    *,
    minutes: float = 20.0,
    families: Sequence[str] | None = None,
    workers: int = 1,
    seeds: int = 1,
    n: int = 2000,
    out: str | Path | None = None,
    resume: bool = False,
    ray: str | None = None,
    rate: int | None = None,
    settings: Iterable[str] = (),
    say: Callable[[str], None] = lambda words: None,
    since: float | None = None,
    vary: Sequence[str] = (),
    **choices: Any,
) -> Leaderboard:
    """Families on one data set: equal budgets, one judge, one table; all lies in a folder, the best run with it.

    data      a file, a folder, ... or an object, as `train` takes it
    minutes   of work of one core (or of one device), for everything together
    families  which (None: every one that fits)
    workers   processes that train at a time: the table is the same, and sooner there
    seeds     trainings of each family that comes to the end
    n         the most examples to judge by
    out       the folder (None: `compared/<data>`); `resume` goes on with what lies there
    ray       the address of a Ray cluster to train on, or "auto" for the one of this machine
    say       is told in a sentence what has been done
    since     the processor's time from which on work is counted: 0 for that of the whole process (None: now)
    vary      settings with their values, such as `train.lr=0.001,0.003`: each family takes part with each
    choices   label, size, seed, ... as in `train`
    Raises `RecipeError` where the time is too short for any family, `Incompatible` where none fits.
    """
    from genwright.comparing.comparison import Comparison
    from genwright.comparing.executors import executor_for
    from genwright.comparing.ledger import Ledger

    check({"minutes": minutes, "seeds": seeds, "n": n}, _OF_COMPARE, where="compare")
    asked = _recipe(data, rate, settings, choices)
    comparison = Comparison(asked, minutes, families, seeds, n, say, since, vary)
    folder = Path("compared") / comparison.dataset.source.name if out is None else Path(out)
    if out is None and not resume:
        folder = free_folder(folder)
    executor = executor_for(workers, ray)
    try:
        ledger = (Ledger.resume if resume else Ledger.begin)(folder, comparison.about)
        say(f"comparing in {folder}")
        return comparison.run(ledger, executor)
    finally:
        executor.close()


_OF_COMPARE = {"minutes": Positive, "seeds": Count, "n": Count}


def augment(
    data: Any,
    run: str | Path,
    *,
    factor: float | None = None,
    balance: str | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    rate: int | None = None,
    mark: bool = True,
    device: str = "auto",
) -> Enlarged:
    """The training examples of a run with synthetic ones of each class behind them, in the data's own form, and
    whether a model of the label is better for it: five seeds, paired, beside plain augmentation and SMOTE.

    data     what the run was trained on
    factor   how many times as large it will be (None: 2)
    balance  instead: a label whose classes will be equally large
    out      the folder (None: `augmented/<data>`)
    Raises `RunError` for other data than the run's, `Unsupported` where the run cannot be asked for a class.
    """
    from genwright.augmenting.enlarged import Enlargement

    check({"seed": seed}, {"seed": Natural}, where="augment")
    if factor is not None and balance is not None:
        raise RecipeError("give --factor or --balance, not both", code="contradicting-options")
    model = load(run, data=data, rate=rate, device=device)
    generative(model.family)
    _check_same_data(model, run)
    name = Path("augmented") / model.dataset.source.name
    folder = free_folder(name) if out is None else empty_folder(Path(out))
    work = Enlargement(model, balance, seed)
    found = work.make(work.wanted(factor, balance is not None))
    work.write(found, folder, mark=mark)
    return replace(found, folder=folder)


def _check_same_data(model: Model, run: str | Path) -> None:
    """Raise `RunError` for other data than a run was trained on."""
    if model.dataset.key != model.run.codec["data"]:
        raise RunError(
            f"{run} was trained on other data than lies at {model.dataset.source.root}, or it has changed since: "
            f"name the data that it was trained on, or train anew",
            code="data-changed",
        )


def _case_of_files(
    given: Mapping[str, Any], rate: int | None, n: int, seed: int, **how: Any
) -> EvaluationInput:
    """Samples, the data that they were made after, and a holdout, of any kind each, as what is judged."""
    from genwright.evaluation import inputs

    found = {name: _file(data, rate) for name, data in given.items()}
    fake, real = (found[name][0] for name in ("fake", "real"))
    assert fake is not None
    assert real is not None
    return inputs.of_files(fake, real, found["holdout"][0], n, seed, codec=found["real"][1], **how)


def _check_judged(run: Any, fake: Any, real: Any, holdout: Any, against: Any) -> None:
    """Raise `RecipeError` for what cannot be judged together."""
    if (run is None) == (fake is None):
        raise RecipeError("name a run to judge, or --fake with --real: one of both", code="run-or-files")
    if run is not None and (real is not None or holdout is not None):
        raise RecipeError(
            "--real and --holdout belong to --fake; a run takes --against", code="contradicting-options"
        )
    if fake is not None and (real is None or against is not None):
        raise RecipeError(
            "--fake needs --real: the data it was made after (--against is for runs)",
            code="no-real-data",
        )


def probe(
    run: str | Path, *, label: str | None = None, n: int = 10_000, seed: int = 0, device: str = "auto"
) -> Probe:
    """A linear probe of the codes of a run: see `fit_probe`."""
    from genwright.analysis.linear_probe import fit_probe

    return fit_probe(load(run, device=device), label, n, seed)


def serve(
    runs: Sequence[str | Path] | str | Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8000,
    token_file: str | Path | None = None,
    device: str = "auto",
    ready: Callable[[str], None] | None = None,
) -> None:
    """A web page and an HTTP API for runs, until the process is asked to end.

    host        this machine alone, unless another is named, which needs a token
    port        0 for any that is free
    token_file  that its owner alone may read: nothing is answered without the token that it holds
    ready       is told of the address
    Raises `GenwrightError` for a port in use, a token that others may read, and an open host without one.
    """
    from genwright.serving.server import run_server

    paths = [Path(runs)] if isinstance(runs, str | Path) else [Path(run) for run in runs]
    token = None if token_file is None else Path(token_file)
    run_server(paths, host, port, token, device=device, ready=ready)


# -- data of any kind ------------------------------------------------------------------------------


def _recipe(data: Any, rate: int | None, settings: Iterable[str], choices: dict[str, Any]) -> Recipe:
    """The recipe for data of any kind; what comes from memory is kept first."""
    if isinstance(data, Recipe):
        return _chosen(data, choices).override(settings)
    label = choices.get("label")
    if isinstance(data, str | Path):
        _check_of_files(label, rate)
        return make_recipe(data, settings=settings, **choices)
    kept = keep_object(data, label, rate)
    settings = [f"codec.name={kept.codec}", *settings]
    recipe = make_recipe(kept.path, settings=settings, **choices | {"label": kept.label})
    return replace(recipe, data=replace(recipe.data, memory=kept.form))


def _chosen(recipe: Recipe, choices: Mapping[str, Any]) -> Recipe:
    """The recipe. Raises `RecipeError` where something else is chosen beside it."""
    if more := [name for name, value in choices.items() if value is not None]:
        raise RecipeError(
            f"a recipe says all there is to say, and {', '.join(more)} came with it: change the recipe",
            code="contradicting-options",
        )
    return recipe


def _check_of_files(label: Any, rate: int | None) -> None:
    """Raise `RecipeError` for what only data from memory can have."""
    names = [label] if isinstance(label, str) else label
    if rate is not None or (names is not None and not all(isinstance(name, str) for name in names)):
        what = "a rate" if rate is not None else "the values of a label"
        raise RecipeError(
            f"{what} can be given with examples from memory, and files say their own: name a field or a column",
            code="not-of-files",
        )


def _place(data: Any, label: Any = None, rate: int | None = None) -> str:
    """Where data lies, as a recipe names it."""
    if isinstance(data, str | Path):
        _check_of_files(None, rate)
        return str(data)
    return keep_object(data, label, rate).path


def _again(data: Any, rate: int | None, choices: dict[str, Any]) -> list[str]:
    """Where the data of a run lies now, as a setting."""
    label = None if isinstance(data, str | Path | None) else choices.pop("label", None)
    return [] if data is None else [f"data.path={_place(data, label, rate)}"]


def _file(data: Any, rate: int | None) -> tuple[Path | None, str]:
    """Files with data of any kind, and the codec that reads them where that is known."""
    if data is None or isinstance(data, str | Path):
        return None if data is None else Path(data), "auto"
    kept = keep_object(data, None, rate)
    return kept.file, kept.codec


def _applied(
    model: Model, data: Any, rate: int | None, given: Mapping[str, Any] | None, **options: Any
) -> Samples:
    """What a model makes of files or of examples in memory, handed back as these were given."""
    named = [data] if isinstance(data, str | Path) else data
    paths = [Path(one) for one in named] if _are_paths(named) else []
    if paths and any(isinstance(one, Path) or os.path.exists(one) for one in named):
        return model.apply(paths, given, **options)
    kept = None if paths and isinstance(data, str) else keep_object(data, None, rate)
    if paths and (kept is None or kept.codec != model.pipeline.kind):  # there are no such files
        return model.apply(paths, given, **options)
    assert kept is not None
    samples = model.apply([kept.file], given, **options)
    if samples.make in kept.form["order"]:
        samples.memory = kept.form
    return samples


def _are_paths(named: Any) -> bool:
    """Whether these may be paths of files."""
    return isinstance(named, list | tuple) and all(isinstance(one, str | Path) for one in named)


# -- recipes ---------------------------------------------------------------------------------------


def _go_on(run: Run, settings: Iterable[str], choices: dict[str, Any]) -> Recipe:
    """The recipe of a run that goes on, longer perhaps. Raises `RecipeError` for any other change."""
    changed = {name: value for name, value in choices.items() if value is not None}
    steps, minutes = changed.pop("steps", None), changed.pop("minutes", None)
    settings = list(settings)
    # Data may have moved; that it is the same is proved by its key.
    free = ("train.", "data.path=")
    fixed = [f"--{name}" for name in changed] + [s for s in settings if not s.startswith(free)]
    if fixed:
        raise RecipeError(
            f"a run goes on as it began: with --resume only --steps, --minutes, --set train.* and "
            f"--set data.path= can change, got {', '.join(fixed)}",
            code="resume-changes",
        )
    return Recipe.of(for_so_long(run.recipe, steps, minutes)).override(settings)


def empty_folder(folder: Path) -> Path:
    """A folder to write to, in which nothing could be overwritten. Raises `RunError` for another."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RunError(
            f"{folder} exists and is no empty folder: choose another with --out", code="folder-not-empty"
        )
    return folder


def free_folder(folder: Path) -> Path:
    """The folder, or the next one that is not there yet, with a number behind it."""
    free, number = folder, 1
    while free.exists():
        number += 1
        free = folder.with_name(f"{folder.name}-{number}")
    return free


# -- training --------------------------------------------------------------------------------------


def _checkup(job: Experiment) -> InTrainingEvaluation | None:
    """Who judges within the training, if the recipe wishes it; the first process does so for all."""
    if not job.recipe.train.judge:
        return None
    from genwright.evaluation.in_training import InTrainingEvaluation

    generative(job.model.family)
    return InTrainingEvaluation(job.recipe, job.dataset) if distributed.is_main() else None


def _fit(job: Experiment, run: Run, watch: Watch, checkup: InTrainingEvaluation | None) -> Model:
    """Train to the end or to a stop; the model that comes back holds the kept weights."""
    recipe, model = job.recipe, job.model
    model.run = run
    if watch.begun is not None and distributed.is_main():
        watch.begun(run, job.verdict)

    drawing = _Drawing(recipe)

    def draw(family: Family, step: int) -> None:
        samples = drawing.of(model.using(family, step), recipe.train.samples)
        samples.write(run.samples_dir(step))
        run_page.keep_samples(run, step, samples.preview())

    def judged(family: Family, step: int) -> dict[str, float]:
        assert checkup is not None
        samples = model.using(family, step).sample(checkup.n, seed=recipe.seed)
        readings = checkup(samples, run.path / "judge" / f"{step:06d}.json")
        return {name: reading.value for name, reading in readings.items()}

    trainer = Trainer(
        model.family,
        job.stream(),
        run,
        recipe.train,
        recipe.seed,
        draw=draw if model.generates else None,
        judge=judged if recipe.train.judge else None,
        report=watch.report,
        stop=watch.stop,
    )
    began = time.monotonic()
    try:
        finished = trainer.fit()
    except RunError:
        if trainer.gave_up and run.step and distributed.is_main():
            trained = _trained(job, run)
            _page(job, trained, trainer, time.monotonic() - began, drawing)
        raise
    model.run, model.finished = run, finished
    if not distributed.is_main():
        return model
    trained = _trained(job, run)
    trained.finished = finished
    if trained.generates:
        calibrate(trained)
    _page(job, trained, trainer, time.monotonic() - began, drawing)
    return trained


class _Drawing:
    """Draws what a training shows: of one that time bounds, no more samples than a tenth of it is enough for."""

    FIRST, SHARE = 4, 0.1

    def __init__(self, recipe: Recipe) -> None:
        self._seed, self._minutes = recipe.seed, recipe.train.minutes
        self._each: float | None = None
        """Seconds that a sample has taken; None before there is one."""

    def of(self, model: Model, wanted: int) -> Samples:
        n, began = self._affordable(wanted), time.monotonic()
        samples = model.sample(n, seed=self._seed)
        self._each = (time.monotonic() - began) / n
        return samples

    def _affordable(self, wanted: int) -> int:
        if self._minutes is None:
            return wanted
        most = self.FIRST if self._each is None else 60 * self._minutes * self.SHARE / self._each
        return max(1, min(wanted, int(most)))


def _trained(job: Experiment, run: Run) -> Model:
    """The model with the weights that were kept, on the data and the pipeline that it was trained with."""
    return Model.load(
        Run.open(run.path),
        device=job.recipe.train.device,
        dataset=lambda _: job.dataset,
        pipeline=job.model.pipeline,
    )


def _page(job: Experiment, model: Model, trainer: Trainer, seconds: float, drawing: _Drawing) -> None:
    """The run on one page; what its plan says already is no fact."""
    facts = {
        "parameters": f"{sum(p.numel() for p in model.family.parameters()):,}",
        "steps": f"{model.run.step:,}",
        "time": f"{seconds:.0f} s",
        "device": str(trainer.device),
    }
    if model.run.best:
        what = "kid of samples" if trainer.by_judge else "held-out loss"
        facts[what] = f"{trainer.best:.4g}, least at step {model.run.best:,}; kept"
    many = 100 if len(job.model.pipeline.made.space.grid) > 1 else 12
    made = drawing.of(model, many).preview() if model.generates else None
    phases, units = len(model.family.phases), model.family.loss_units
    run_page.finish(model.run, made, facts, commands(model), phases, units)


def commands(model: Model) -> list[Command]:
    """What can be done with a trained model, the most likely first."""
    run = shlex.quote(str(model.run.path))
    found = []
    if not model.task.paired:
        to = shlex.quote(str(model.domains[0]))
        found.append(Command("translate more", f"genwright translate {run} --to {to}"))
    elif model.generates:
        found.append(Command("make more", f"genwright sample {run} -n 64"))
    else:
        found.append(Command("ask what its codes are worth", f"genwright probe {run}"))
    if model.task.paired and not model.makes_from_labels:
        found.append(Command("make something of files that you have", f"genwright apply {run} FILES"))
    if model.generates:
        found.append(Command("judge: is it good, is it varied, did it copy", f"genwright judge {run}"))
    train, more = model.recipe.train, ""
    if model.finished:
        more = f" --minutes {2 * train.minutes:g}" if train.minutes else f" --steps {2 * model.run.step}"
    purpose = "train for as long again" if more else "go on with the training"
    return [*found, Command(purpose, f"genwright train --resume {run}{more}")]
