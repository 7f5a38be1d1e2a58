"""The command line: each verb calls the function of the same name and says what it did.

Errors that a person can mend are one sentence on standard error; `--debug` shows where they came from.
Nothing here imports torch before a verb needs it, so that `--help` answers at once.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from genwright import __version__
from genwright.errors import GenwrightError, RecipeError

if TYPE_CHECKING:
    from rich.console import Console

    from genwright.api import Look
    from genwright.planning import Verdict
    from genwright.training.trainer import Progress

app = typer.Typer(
    name="genwright",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Your own data in, a generative model you can trust out.",
)

Settings = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="NAME=VALUE", help="Any option of the recipe, e.g. family.beta=4"),
]
Data = Annotated[
    str, typer.Argument(metavar="PATH|NAME|RECIPE.toml", help="A file, a folder, digits, a recipe")
]
FamilyName = Annotated[str | None, typer.Option(help="vae, gan, autoregressive, diffusion")]
Label = Annotated[
    list[str] | None,
    typer.Option(help='Label or column to condition on; repeatable, "" for none'),
]
Size = Annotated[str | None, typer.Option(help="xs, s, m or l: how large the networks are")]
AsJson = Annotated[bool, typer.Option("--json", help="For machines")]

_DEBUG = False


# -- verbs -----------------------------------------------------------------------------------------


@app.callback()
def _root(
    version: Annotated[bool, typer.Option("--version", help="Say the version and stop")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from")] = False,
) -> None:
    global _DEBUG
    _DEBUG = _DEBUG or debug


@app.command()
def look(
    data: Data,
    label: Label = None,
    size: Size = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """What is in the data, what is wrong with it, which families fit, how long they would take."""
    from genwright import api

    found = api.look(data, label=_labels(label), size=size, settings=settings or [])
    if as_json:
        _say(json.dumps(found.json(), ensure_ascii=False, indent=2))
    else:
        _show_look(found, api.make_recipe(data, settings=settings or []).train.steps)


@app.command()
def plan(
    data: Data,
    family: FamilyName = None,
    label: Label = None,
    size: Size = None,
    settings: Settings = None,
    as_json: AsJson = False,
) -> None:
    """How each family would take this data: native, bridged or refused, and why. Trains nothing."""
    from dataclasses import asdict

    from genwright import api

    found = api.plan(data, family=family, label=_labels(label), size=size, settings=settings or [])
    if as_json:
        _say(json.dumps([asdict(verdict) for verdict in found], ensure_ascii=False, indent=2))
    else:
        _show_verdicts(found, api.make_recipe(data, settings=settings or []).train.steps)
    if family is not None and found[0].outcome == "refused":
        raise typer.Exit(1)


@app.command()
def train(
    data: Annotated[str | None, typer.Argument(metavar="PATH|NAME|RECIPE.toml")] = None,
    family: FamilyName = None,
    label: Label = None,
    size: Size = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps", min=1)] = None,
    minutes: Annotated[float | None, typer.Option(help="Train for so long instead")] = None,
    seed: Annotated[int | None, typer.Option(help="The same seed gives the same bytes")] = None,
    settings: Settings = None,
    resume: Annotated[Path | None, typer.Option(metavar="RUN", help="Go on with a run")] = None,
    out: Annotated[Path | None, typer.Option(help="The run folder; default runs/DATA-FAMILY")] = None,
) -> None:
    """Train a model on the data and leave a run folder."""
    from genwright import api

    if resume is not None and (data is not None or out is not None):
        raise RecipeError(f"--resume {resume} goes on with that run: leave the data and --out away")
    with _stoppable() as (stop, stopped), _watched() as (begun, report):
        model = api.train(
            data,
            family=family,
            label=_labels(label),
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
    if not _is_main():
        return
    run = model.run.path
    if not model.finished:
        _say(f"Stopped at step {model.run.step:,}; everything is saved. Go on with:")
        _say(f"  genwright train --resume {run}")
        raise typer.Exit(128 + (stopped() or signal.SIGINT))
    _say(f"Trained: {run} (step {model.run.step:,}). See {run / 'index.html'}, or make more:")
    _say(f"  genwright sample {run} -n 64")


@app.command()
def sample(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    n: Annotated[int, typer.Option("-n", "--number", help="How many", min=1)] = 16,
    given: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A condition, e.g. label=3; repeatable"),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    temperature: Annotated[float | None, typer.Option(help="Below 1 is safer, above 1 bolder")] = None,
    guidance: Annotated[float | None, typer.Option(help="Above 1 exaggerates the condition")] = None,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Another knob of the sampler")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/samples/seed-SEED")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, mps")] = "cpu",
) -> None:
    """Make new examples as files a person can open."""
    from genwright import api

    model = api.load(run, device=device)
    knobs = {key: _literal(value) for key, value in map(_pair, settings or [])}
    knobs |= {"temperature": temperature} if temperature is not None else {}
    knobs |= {"guidance_scale": guidance} if guidance is not None else {}
    made = model.sample(n, dict(map(_pair, given or [])), seed=seed, **knobs)
    folder = out if out is not None else run / "samples" / f"seed-{seed}"
    files = made.write(folder)
    _say(f"Made {n:,} in {folder}; see {files[0]}")


@app.command("list")
def list_(as_json: AsJson = False) -> None:
    """Families, codecs, tasks, nets, bridges, built-in data, and the runs in ./runs."""
    from genwright.data.source import BUILTIN
    from genwright.registry import KINDS, names, resolve

    found: dict[str, dict[str, str]] = {
        kind: {name: _sentence(resolve(kind, name)) for name in names(kind)} for kind in KINDS
    }
    found["data"] = dict(BUILTIN)
    found["runs"] = {str(path.parent): "" for path in sorted(Path("runs").glob("*/MANIFEST.json"))}
    if as_json:
        _say(json.dumps(found, ensure_ascii=False, indent=2))
        return
    for kind, entries in found.items():
        _say(f"{kind}:")
        for name, sentence in entries.items():
            _say(f"  {name:<16} {sentence}".rstrip())


# -- what a person sees ----------------------------------------------------------------------------


def _show_look(found: Look, steps: int) -> None:
    counts = found.counts
    _say(f"{found.name}: {sum(counts.values()):,} examples of kind {found.codec}, each {found.space}")
    _say(
        f"split: {counts['train']:,} to train on, {counts['val']:,} to choose by, "
        f"{counts['test']:,} to judge by"
    )
    for name, value in found.facts.items():
        if name == "columns" and isinstance(value, dict):
            for column, about in value.items():
                _say(f"  {column:<20} " + ", ".join(f"{k} {v}" for k, v in about.items()))
        else:
            _say(f"  {name:<20} {value}")
    for name, classes in found.labels.items():
        _say(f"  given {name}: " + ", ".join(f"{value} ({count:,})" for value, count in classes.items()))
    if found.available_labels:
        _say(f"labels that can be given: {', '.join(found.available_labels)}")
    if found.duplicates:
        _say(f"duplicates: {found.duplicates:,} examples stand there more than once")
    for bad in found.bad[:20]:
        _say(f"bad: {bad['name']}: {bad['reason']}")
    if found.bad_count > 20:
        _say(f"bad: {found.bad_count - 20:,} more")
    for warning in found.warnings:
        _say(f"warning: {warning}")
    _show_verdicts(found.families, steps)


def _show_verdicts(verdicts: list[Verdict], steps: int) -> None:
    for verdict in verdicts:
        line = str(verdict)
        if verdict.seconds_per_step is not None:
            line += f": about {_duration(verdict.seconds_per_step * steps)} for {steps:,} steps here"
        _say(line)
        for way in verdict.ways:
            _say(f"  try {way}")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _sentence(thing: type[Any]) -> str:
    """The first sentence of a docstring, on one line."""
    first = (thing.__doc__ or "").strip().split("\n\n")[0].replace("\n", " ")
    return " ".join(first.split()).split(". ")[0]


@contextmanager
def _watched() -> Iterator[tuple[Callable[..., None], Callable[[Progress], None]]]:
    """A live bar on a terminal, a plain line now and then elsewhere."""
    console = _console()
    if not console.is_terminal:
        yield _announce, _plain_lines()
        return
    from rich import progress

    bar = progress.Progress(
        progress.TextColumn("step {task.fields[step]:>6,}"),
        progress.BarColumn(bar_width=24),
        progress.TaskProgressColumn(),
        progress.TextColumn("{task.fields[line]}"),
        console=console,
        transient=False,
    )
    task = bar.add_task("train", total=1.0, step=0, line="")

    def report(p: Progress) -> None:
        bar.update(task, completed=p.share, step=p.step, line=_line(p))

    with bar:
        yield _announce, report


def _announce(run: Any, verdict: Verdict) -> None:
    _say(f"{verdict}\ntraining into {run.path}")


def _plain_lines(every: float = 5.0) -> Callable[[Progress], None]:
    last = time.monotonic()

    def report(p: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= every or p.share >= 1:
            last = time.monotonic()
            _say(f"step {p.step:,} ({p.share:.0%}) {_line(p)}")

    return report


def _line(p: Progress) -> str:
    terms = " ".join(f"{name} {value:.3f}" for name, value in p.terms.items())
    val = f" val {p.val:.3f}" if p.val is not None else ""
    return f"{terms}{val}  {p.examples_per_second:,.0f}/s  {_duration(p.seconds_left)} left"


@contextmanager
def _stoppable() -> Iterator[tuple[Callable[[], bool], Callable[[], int | None]]]:
    """The first Ctrl-C or SIGTERM ends the training after its step; a second one ends it at once."""
    got: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if got:
            sys.stderr.write("stopped at once; the last save stands\n")
            os._exit(128 + number)
        got.append(number)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: bool(got), lambda: got[0] if got else None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)


def _say(text: str) -> None:
    typer.echo(text)


# -- reading what was typed ------------------------------------------------------------------------


def _labels(label: list[str] | None) -> list[str] | str | None:
    return None if label is None else [name for name in label if name] or ""


def _pair(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise RecipeError(f"wanted NAME=VALUE, got {text!r}")
    return name.strip().removeprefix("sample."), value


def _literal(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _is_main() -> bool:
    return int(os.environ.get("RANK", "0")) == 0


def _out_of_memory(error: BaseException) -> bool:
    words = str(error)
    return isinstance(error, MemoryError) or "out of memory" in words or "can't allocate memory" in words


def main() -> None:
    """Run the command line; every error that a person can mend ends as one sentence."""
    debug = "--debug" in sys.argv
    if "--version" in sys.argv[1:2]:
        _say(f"genwright {__version__}")
        return
    try:
        app(args=[arg for arg in sys.argv[1:] if arg != "--debug"])
    except GenwrightError as error:
        if debug:
            raise
        _fail(str(error), 1)
    except (RuntimeError, MemoryError) as error:
        if debug or not _out_of_memory(error):
            raise
        _fail(
            "memory ran out: use smaller steps (--set train.batch_size=16), split them "
            "(--set train.accumulate=4), or a smaller model (--size xs)",
            1,
        )
    except BrokenPipeError:
        os._exit(0)  # whoever read our output has left
    except KeyboardInterrupt:
        _fail("stopped", 130)


def _fail(sentence: str, code: int) -> None:
    typer.echo(f"genwright: {sentence}", err=True)
    sys.exit(code)
