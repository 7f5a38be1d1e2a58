"""What a person sees of a verb: sentences, tables of facts, and a training on its way.

A live bar where there is a terminal, plain lines elsewhere. Nothing here computes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from genwright.analysis.linear_probe import Probe
    from genwright.api import Look
    from genwright.evaluation.ranking import Order, Ranking
    from genwright.planning import Verdict
    from genwright.recipe import TrainOptions
    from genwright.storage.run import Run
    from genwright.training.trainer import Progress

__all__ = ["duration", "say", "show_look", "show_probe", "show_ranking", "show_verdicts", "watched"]


def say(text: str, *, error: bool = False) -> None:
    typer.echo(text, err=error)


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


# -- look and plan ---------------------------------------------------------------------------------


def show_look(found: Look, train: TrainOptions) -> None:
    counts = found.counts
    say(f"{found.name}: {sum(counts.values()):,} examples of kind {found.codec}, each {found.space}")
    say(
        f"split: {counts['train']:,} to train on, {counts['val']:,} to choose by, "
        f"{counts['test']:,} to judge by"
    )
    for name, value in found.facts.items():
        if name == "columns" and isinstance(value, dict):
            for column, about in value.items():
                say(f"  {column:<20} {_facts(about)}")
        else:
            say(f"  {name:<20} {_facts(value) if isinstance(value, dict) else value}")
    for name, classes in found.labels.items():
        say(f"  given {name}: " + ", ".join(f"{value} ({count:,})" for value, count in classes.items()))
    if found.available_labels:
        say(f"labels that can be given: {', '.join(found.available_labels)}")
    if found.duplicates:
        say(f"duplicates: {found.duplicates:,} of the examples are copies of another")
    for bad in found.bad[:20]:
        say(f"bad: {bad['name']}: {bad['reason']}")
    if found.bad_count > 20:
        say(f"bad: {found.bad_count - 20:,} more")
    for warning in found.warnings:
        say(f"warning: {warning}")
    show_verdicts(found.families, train)


def _facts(about: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in about.items())


def show_verdicts(verdicts: list[Verdict], train: TrainOptions) -> None:
    for verdict in verdicts:
        line = str(verdict)
        if verdict.seconds_per_step is not None:
            if train.minutes:
                steps = 60 * train.minutes / verdict.seconds_per_step
                line += f": about {steps:,.0f} steps in {train.minutes:g} minutes here"
            else:
                seconds = duration(verdict.seconds_per_step * train.steps)
                line += f": about {seconds} for {train.steps:,} steps here"
        say(line)
        for way in verdict.ways:
            say(f"  try {way}")


# -- judge -----------------------------------------------------------------------------------------


def show_ranking(found: Ranking, names: list[str]) -> None:
    """Ranks by metric and overall; equal ranks where the difference is within the noise."""
    say("")
    for number, name in enumerate(names, 1):
        say(f"[{number}] {name}")
    say(f"{'metric':<20} {'  '.join(f'[{i}]' for i in range(1, len(names) + 1))}  outcome")
    short = {name: f"[{number}]" for number, name in enumerate(names, 1)}
    orders: list[tuple[str, Order]] = [(one.metric, one) for one in found.rounds]
    for metric, one in [*orders, ("overall", found)]:
        ranks = "  ".join(f"{one.ranks[name]:>3}" for name in names)
        outcome = one.outcome
        for name in sorted(names, key=len, reverse=True):
            outcome = outcome.replace(name, short[name])
        say(f"{metric:<20} {ranks}  {outcome}")
    say("One training of each was compared: another seed of the same settings may rank otherwise.")


def show_probe(found: Probe) -> None:
    """Each contender with its interval, and how far the codes are ahead of it."""
    say(
        f"{found.measure} of {found.label!r} on {found.n:,} unseen examples, linear model of {found.train:,}"
    )
    for name, one in found.scores.items():
        ahead = ""
        if one.ahead is not None:
            value, low, high = one.ahead
            ahead = f"  codes ahead by {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        dims = f"{found.dims[name]:,} numbers" if name in found.dims else ""
        say(f"  {name:<10} {one.value:.3f} [{one.low:.3f}, {one.high:.3f}]  {dims:<14}{ahead}".rstrip())
    say(found.verdict)


# -- train -----------------------------------------------------------------------------------------


@contextmanager
def watched() -> Iterator[tuple[Callable[[Run, Verdict], None], Callable[[Progress], None]]]:
    """What to call when a training begins and after each step: a live bar on a terminal, a plain line
    now and then elsewhere."""
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

    def begun(run: Run, verdict: Verdict) -> None:
        _announce(run, verdict)
        bar.start()
        bar.add_task("train", total=1.0, step=run.step, line="")

    def report(p: Progress) -> None:
        bar.update(bar.task_ids[0], completed=p.share, step=p.step, line=_line(p))

    try:
        yield begun, report
    finally:
        bar.stop()


def _announce(run: Run, verdict: Verdict) -> None:
    """The plan of a run that begins, with its warnings; where one goes on, from where."""
    if run.step:
        say(f"{verdict}\ngoing on in {run.path} from step {run.step:,}")
    else:
        say(f"{run.plan}training into {run.path}")


def _plain_lines(every: float = 5.0) -> Callable[[Progress], None]:
    last = time.monotonic()

    def report(p: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= every or p.share >= 1:
            last = time.monotonic()
            say(f"step {p.step:,} ({p.share:.0%}) {_line(p)}")

    return report


def _line(p: Progress) -> str:
    terms = " ".join(f"{name} {value:.3f}" for name, value in p.terms.items())
    val = f" val {p.val:.3f}" if p.val is not None else ""
    said = p.notice or p.busy
    notice = f"  ({said})" if said else ""
    return f"{terms}{val}{notice}  {p.examples_per_second:,.0f}/s  {duration(p.seconds_left)} left"


def _console() -> Console:
    from rich.console import Console

    return Console(highlight=False)
