"""The command line: each verb calls the function of the same name and says what it did.

Errors that a person can mend are one sentence on standard error; `--debug` shows where they came from.
Nothing here imports torch before a verb needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import functools
import io
import json
import os
import re
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import closing, nullcontext
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from genwright import __version__
from genwright.cli.augment import augment
from genwright.cli.compare import compare, show_runs
from genwright.cli.console import (
    busy,
    columns,
    making,
    say,
    show,
    show_probe,
    show_ranking,
    show_report,
    watched,
)
from genwright.cli.edit import edit
from genwright.cli.errors import SMALLER, UsageError, code_of, sentence, usage
from genwright.cli.parse import (
    AsJson,
    BestOf,
    Data,
    Drop,
    FamilyName,
    Given,
    Label,
    Make,
    Mark,
    Require,
    Settings,
    Size,
    TaskName,
    between,
    check_sampler_options,
    comma_separated,
    conditions,
    labels,
    sampler_option,
)
from genwright.cli.sample import destination, for_applied, write
from genwright.cli.serve import serve
from genwright.cli.short import ends_at_once, uncollected
from genwright.cli.signals import stoppable, stoppable_making
from genwright.errors import RecipeError, memory
from genwright.process import is_main

app = typer.Typer(
    name="genwright",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Your own data in, a generative model you can trust out.",
)

# -- verbs -----------------------------------------------------------------------------------------


def _version(wanted: bool) -> None:
    if wanted:
        say(f"genwright {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", help="Say the version and stop", callback=_version, is_eager=True),
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from")] = False,
) -> None:
    """`--debug` may stand anywhere, so `main` looks for it."""


@app.command()
@uncollected()
def look(
    data: Data,
    label: Label = None,
    task: TaskName = None,
    make: Make = None,
    given: Given = None,
    size: Size = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """What is in the data, what is wrong with it, which families fit, how long they would take."""
    from genwright import api
    from genwright.cli.looking import show_advice, show_found, weighing

    settings = settings or []
    train = api.make_recipe(data, settings=settings).train
    with memory(SMALLER), nullcontext(None) if as_json else weighing(train) as report:
        found = api.look(
            data,
            label=labels(label),
            task=task,
            make=make,
            given=given,
            size=size,
            settings=settings,
            found=None if as_json else show_found,
            report=report,
        )
    if as_json:
        say(json.dumps(found.json(), ensure_ascii=False, indent=2))
    else:
        show_advice(found.advice)


@app.command()
@uncollected()
def plan(
    data: Data,
    family: FamilyName = None,
    label: Label = None,
    task: TaskName = None,
    make: Make = None,
    given: Given = None,
    size: Size = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps")] = None,
    minutes: Annotated[float | None, typer.Option(help="What so long a training would be")] = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """How each family would take this data, and what it would be trained with in the time there is. Trains nothing."""
    from dataclasses import asdict

    from genwright import api
    from genwright.cli.looking import weighing

    settings = settings or []
    train = api.make_recipe(data, steps=steps, minutes=minutes, settings=settings).train
    with memory(SMALLER), nullcontext(None) if as_json else weighing(train, family) as report:
        found = api.plan(
            data,
            family=family,
            label=labels(label),
            task=task,
            make=make,
            given=given,
            size=size,
            steps=steps,
            minutes=minutes,
            settings=settings,
            report=report,
        )
    if as_json:
        say(json.dumps([asdict(verdict) for verdict in found], ensure_ascii=False, indent=2))
    if family is not None and found[0].outcome == "refused":
        raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(metavar="PATH|NAME|RECIPE.toml")] = None,
    family: FamilyName = None,
    label: Label = None,
    task: TaskName = None,
    make: Make = None,
    given: Given = None,
    size: Size = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps")] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes")] = None,
    settings: Settings = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; default runs/DATA-FAMILY")] = None,
) -> None:
    """Train a model on the data and leave a run folder."""
    from genwright import api

    if resume is not None and (data is not None or out is not None):
        raise RecipeError(
            f"--resume {resume} goes on with that run: leave the data and --out away",
            code="contradicting-options",
        )
    with stoppable() as stop, watched() as (announce, report), memory(SMALLER):
        began: list[int] = []

        def begun(run: Any, verdict: Any) -> None:
            announce(run, verdict)
            began.append(run.step)
            stop.training = True

        model = api.train(
            data,
            family=family,
            label=labels(label),
            task=task,
            make=make,
            given=given,
            size=size,
            steps=steps,
            minutes=minutes,
            seed=seed,
            settings=settings or [],
            resume=resume,
            out=out,
            report=report,
            stop=stop,
            begun=begun,
        )
    if not is_main():
        return
    run = model.run.path
    name = shlex.quote(str(run))
    if not model.finished:
        say(f"Stopped at step {model.run.step:,}; everything is saved. Go on with:")
        say(f"  genwright train --resume {name}")
        sys.exit(128 + (stop.got or signal.SIGINT))  # and it was told of already
    if began == [model.run.step]:
        say(f"{run} has come to its end already: --steps or --minutes beyond that go on with it")
        return
    say(f"Trained: {run} (step {model.run.step:,}). See {run / 'index.html'}, or")
    show(columns([[f"  {one.line}", one.purpose] for one in api.commands(model)]))


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    n: Annotated[int, typer.Option("-n", "--number", help="How many")] = 16,
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A condition, e.g. label=3; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    temperature: Annotated[float | None, typer.Option(help="Below 1 is safer, above 1 bolder")] = None,
    guidance: Annotated[float | None, typer.Option(help="Above 1 exaggerates the condition")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="NAME=VALUE", help="Another option of the sampler"),
    ] = None,
    drop: Drop = None,
    best_of: BestOf = 1,
    rank: Annotated[
        str | None,
        typer.Option(metavar="auto", help="Order them, the best first: by likelihood, nearness or auto"),
    ] = None,
    require: Require = None,
    then: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A run that makes something of each of them")
    ] = None,
    then_settings: Annotated[
        list[str] | None,
        typer.Option("--then-set", metavar="NAME=VALUE", help="An option of that run's sampler"),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder, or a file of rows or texts; default RUN/samples/seed-SEED"),
    ] = None,
    form: Annotated[
        str | None, typer.Option("--format", help="Of a table: csv or parquet; default as the data")
    ] = None,
    mark: Mark = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """Make new examples as files a person can open."""
    with uncollected():  # what is loaded stays
        from genwright import api

    named = (
        ("-n", n, 1),
        ("--seed", seed, 0),
        ("--temperature", temperature, 0),
        ("--best-of", best_of, 1),
    )
    for name, value, least in named:
        if value is not None and not least <= value < 2**63:
            raise RecipeError(f"{name} must be {least} or more, got {value}", code="out-of-range")
    sampler_options = dict(map(sampler_option, settings or []))
    sampler_options |= {"temperature": temperature} if temperature is not None else {}
    sampler_options |= {"guidance_scale": guidance} if guidance is not None else {}
    to = destination(out, run / "samples" / f"seed-{seed}", form)
    with memory("make fewer at once (--set chunk=16)"):
        model = api.load(run, device=device)
        # which it takes itself, or refuses
        check_sampler_options(model, sampler_options, "prompt", "infill")
        last = model if then is None else api.load(then, device=device)
        then_options = dict(map(sampler_option, then_settings or []))
        if then_options and then is None:
            raise RecipeError("--then-set is for --then RUN: name one", code="contradicting-options")
        check_sampler_options(last, then_options)
        to = to.of(last, beside=then is not None)
        wanted = conditions(given or [], model.pipeline.spec.asks)
        finish = None
        if (
            drop or best_of > 1 or rank or require or then is not None
        ):  # else nothing that judges is loaded
            from genwright.finishing.finish import Finish

            with busy("looking at the training data"):  # the judge's features may have to be fitted
                finish = Finish(
                    model,
                    comma_separated(drop),
                    best_of,
                    rank=rank,
                    require=require or (),
                    n=n,
                    then=last if then else None,
                    then_options=then_options,
                    seed=seed,
                )
        parts = (
            model.stream(n, wanted, seed=seed, **sampler_options)
            if finish is None
            else finish.stream(wanted, **sampler_options)
        )
        write(parts, n, to, mark=mark, finish=finish)


@app.command()
def apply(
    run: Annotated[
        Path, typer.Argument(help="A run folder of --task restore, complete, pair, or of two domains")
    ],
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Files or folders; - for a text from standard input"),
    ],
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="What else is given, e.g. label=3; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of the sampler")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder; default RUN/samples/applied, and standard output for a text from -"),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            help="So many of each file, which are numbered; of a forecast what its interval is made of"
        ),
    ] = None,
    pool: Annotated[
        bool,
        typer.Option(
            "--pool",
            help="One of all draws (29, or --draws): the mean of a number or pixel, the most frequent category",
        ),
    ] = False,
    drop: Drop = None,
    best_of: BestOf = 1,
    require: Require = None,
    mask: Annotated[
        Path | None,
        typer.Option(help="A picture, or a folder of them, white where something is to be made"),
    ] = None,
    megapixels: Annotated[
        int,
        typer.Option(
            "--max-megapixels",
            help="Of one picture: a larger one is taken for an attack; at most 1000, and 3 MB of memory for each",
        ),
    ] = 50,
    mark: Mark = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """What the model makes of files that you have: upscaled, filled in, restyled, captioned; one file for each."""
    from genwright import api
    from genwright.applying import Application
    from genwright.writing import ApplyWriter, texts

    piped = files == [Path("-")]
    if not piped and Path("-") in files:
        raise RecipeError(
            "- stands for a text from standard input: name it by itself, without files",
            code="contradicting-options",
        )
    between("--best-of", best_of, 2**31)
    between("--max-megapixels", megapixels, 1000)
    options = dict(map(sampler_option, settings or []))
    with memory("name fewer files at once, or make fewer at once (--set chunk=16)"):
        model = api.load(run, device=device)
        wanted = conditions(given or [], model.pipeline.spec.asks)
        work = Application(
            model, wanted, seed, draws, mask, pool, most=megapixels * 10**6, options=options
        )
        finish = None
        if drop or best_of != 1 or require:
            from genwright.finishing.finish import Finish

            n = 1 if piped else max(1, work.total(files) * work.many)
            with busy("looking at the training data"):
                finish = Finish(
                    model, comma_separated(drop), best_of, require=require or (), n=n, seed=seed
                )
            work.maker = finish.maker
        stream = sys.stdin.buffer if sys.stdin is not None else io.BytesIO()  # it may be closed
        parts = work.of_text(stream) if piped else work.of(files)
        if piped and out is None and "text" in model.pipeline.made.views:
            for line, aside in texts(parts):
                say(line, error=aside)
            return
        rows = model.pipeline.codec.rewrites and work.many == 1 and not piped
        folder, name = for_applied(out, run / "samples" / "applied", files, rows=rows)
        with (
            stoppable_making() as end,
            closing(ApplyWriter(folder, mark=mark, name=name)) as made,
            making(1 if piped else work.total(files)) as work.report,
        ):
            work.taken, work.stop = made.taken, lambda: end.got is not None
            for one in parts:
                made.add(one)
                del one  # before the next one is made, since each may be large
    for note in [*work.notes, *made.notes]:
        say(note, error=True)
    left = f"; left out {made.left:,}, named above" if made.left else ""
    see = f"; see {made.first}" if made.first is not None else ""
    say(f"Made {made.made:,} in {folder}{see}{left}")
    if finish is not None:
        say(finish.counts.sentence())
    if end.got is not None:
        raise typer.Exit(128 + end.got)
    if made.left:
        raise typer.Exit(3)


@app.command()
def translate(
    run: Annotated[Path, typer.Argument(help="A run folder of cyclegan, stargan or style")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="Files or folders; none takes held-out examples"),
    ] = None,
    to: Annotated[str | None, typer.Option(metavar="DOMAIN", help="The domain to bring them to")] = None,
    n: Annotated[int, typer.Option("-n", "--number", help="How many held-out examples")] = 16,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="An option of the sampler")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/samples/to-DOMAIN")] = None,
    mark: Mark = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """Bring examples to another domain; one picture shows each above what was made of it."""
    from genwright import api

    folder = api.empty_folder(out) if out is not None else None
    with memory("make fewer at once (--set chunk=16)"):
        made = api.translate(
            run,
            files or None,
            to,
            n=n,
            seed=seed,
            device=device,
            **dict(map(sampler_option, settings or [])),
        )
    if folder is None:
        name = re.sub(r"[^\w.-]+", "-", str(to)).strip(".") or "domain"
        folder = api.free_folder(run / "samples" / f"to-{name}")
    written = made.write(folder, mark=mark)
    for note in made.notes:
        say(note, error=True)
    say(f"Made {len(made):,} in {folder}; see {written[0]}")


@app.command()
def judge(
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN]...", help="Run folders; several are compared")
    ] = None,
    fake: Annotated[
        Path | None, typer.Option(help="Instead of a run: generated examples of any tool")
    ] = None,
    real: Annotated[Path | None, typer.Option(help="With --fake: the data they were made after")] = None,
    holdout: Annotated[
        Path | None, typer.Option(help="With --fake: real data that their maker did not see")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="With a run: real data instead of its own held-out part")
    ] = None,
    label: Annotated[str | None, typer.Option(help="With --fake: the label or target column")] = None,
    group: Annotated[
        str | None, typer.Option(help="With --fake: a column whose equal values stay on one side")
    ] = None,
    n: Annotated[
        int | None,
        typer.Option(
            "-n",
            "--number",
            help="The most examples of each; default 2000, or fewer that are made in time",
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    features: Annotated[
        str,
        typer.Option(
            help="What makes features: auto, or a name of those under extractors in `genwright list`"
        ),
    ] = "auto",
    lens: Annotated[str, typer.Option(hidden=True)] = "",
    metric: Annotated[
        list[str] | None, typer.Option(help="Only this metric of `genwright list`; repeatable")
    ] = None,
    oracle: Annotated[
        float | None,
        typer.Option(help="Nats of an example under the law of the data, where it is known"),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/judge or judged/FAKE")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Is it good, is it varied, did it copy: a verdict on runs, or on samples of any origin."""
    from genwright import api
    from genwright.report import evaluation_page, run_page

    asked: list[Path | None] = [*(runs or [])] or [None]
    if len(asked) > 1 and out is not None:
        raise RecipeError(
            "several runs get a report each, in RUN/judge: leave out --out", code="contradicting-options"
        )
    if lens:
        say(f"--lens is called --features now: --features {lens}", error=True)
    found = []
    for run in asked:
        with memory("compare fewer examples (-n 500)"):
            report = api.judge(
                run,
                fake=fake,
                real=real,
                holdout=holdout,
                against=against,
                label=label,
                group=group,
                n=n,
                seed=seed,
                features=lens or features,
                wanted=metric or [],
                oracle=oracle,
                device=device,
            )
        folder = out or (run / "judge" if run else Path("judged") / Path(str(fake)).stem)
        files = evaluation_page.write(report, folder)
        found.append(report)
        if run:
            run_page.refresh(run)
        if not as_json:
            show_report(report)
            say(f"See {files[0]}")
    if as_json:
        say(json.dumps([evaluation_page.to_json(j) for j in found], ensure_ascii=False, indent=2))
    elif len(found) > 1:
        from genwright.evaluation.ranking import rank

        show_ranking(rank(found), [j.title for j in found])


@app.command()
def probe(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    label: Annotated[
        str | None, typer.Option(help="What to read off the codes; default the run's own label")
    ] = None,
    n: Annotated[int, typer.Option("-n", "--number", help="The most training examples")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same figures")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    as_json: AsJson = False,
) -> None:
    """What a linear model reads off a run's codes, beside plain numbers and an untrained encoder."""
    from dataclasses import asdict

    from genwright import api

    with memory("fit on fewer examples (-n 1000)"):
        found = api.probe(run, label=label, n=n, seed=seed, device=device)
    if as_json:
        say(json.dumps(asdict(found) | {"verdict": found.verdict}, ensure_ascii=False, indent=2))
    else:
        show_probe(found)


@app.command("list")
def list_(
    runs: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="A leaderboard of the runs in a folder, by what the judge found"
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Families, codecs, tasks, nets, bridges, extractors, metrics, built-in data, and the runs in ./runs."""
    if runs is not None:
        show_runs(runs, as_json)
        return
    from genwright.data.source import BUILTIN
    from genwright.registry import KINDS, names, resolve

    found: dict[str, dict[str, str]] = {
        kind: {name: _summary(resolve(kind, name)) for name in names(kind)} for kind in KINDS
    }
    found["data"] = dict(BUILTIN)
    found["runs"] = {str(path.parent): "" for path in sorted(Path("runs").glob("*/MANIFEST.json"))}
    if as_json:
        say(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for kind, entries in found.items():
        say(f"{kind}:")
        for name, words in entries.items():
            say(f"  {name:<16} {words}".rstrip())


def _summary(thing: type[Any]) -> str:
    """The first sentence of a docstring, on one line."""
    first = (thing.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return " ".join(first.split()).split(". ")[0]


app.command()(edit)
app.command()(compare)
app.command()(augment)
app.command()(serve)


# -- errors ----------------------------------------------------------------------------------------


def main() -> None:
    """Run the command line; every error ends as one sentence, with `--debug` as a traceback and the
    error's code, with `--json` as an object on standard output too."""
    ends_at_once()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a file may have a name that is no text
            stream.reconfigure(errors="backslashreplace")
    debug = "--debug" in sys.argv
    args = [arg for arg in sys.argv[1:] if arg != "--debug"] or ["--help"]
    try:
        code = _command()(args=args, prog_name="genwright", standalone_mode=False)
        sys.stdout.flush()
    except UsageError as error:
        _fail(usage(error), 2, "usage")
    except BrokenPipeError:
        os._exit(0)  # whoever read our output has left
    except (KeyboardInterrupt, typer.Abort):
        _fail("stopped", 130)
    except Exception as error:
        error_code = code_of(error)
        if debug:
            error.add_note(f"code: {error_code}")
            raise
        _fail(sentence(error), 1, error_code)
    if code == 130:  # what typer makes of Ctrl-C
        _fail("stopped", code)
    if code:
        sys.exit(code)


@functools.cache
def _command() -> Callable[..., Any]:
    """All commands with their options, read from their signatures once in a process."""
    return typer.main.get_command(app)


def _fail(words: str, status: int, code: str = "stopped") -> NoReturn:
    """End with a sentence on standard error; where the answer was to be JSON, so is the error."""
    words = " ".join(words.split())  # a library may say it in lines
    if "--json" in sys.argv:
        say(json.dumps({"error": code, "message": words}, ensure_ascii=False))
    say(f"genwright: {words}", error=True)
    sys.exit(status)
