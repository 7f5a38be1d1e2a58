"""What a person sees of a verb: sentences, tables of facts, and a training on its way.

A live bar and lines of its width where there is a terminal, plain whole lines elsewhere. Nothing here
computes, and `rich` is loaded when something is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

    from genwright.analysis.linear_probe import Probe
    from genwright.api import Look
    from genwright.evaluation.ranking import Order, Ranking
    from genwright.evaluation.results import EvaluationReport
    from genwright.planning import Verdict
    from genwright.recipe import TrainOptions
    from genwright.storage.run import Run
    from genwright.training.trainer import Progress

__all__ = [
    "duration",
    "say",
    "show",
    "show_look",
    "show_probe",
    "show_ranking",
    "show_report",
    "show_verdicts",
    "watched",
]

PIPE = 10_000
"""Columns of a line where there is no terminal: it ends where it ends."""


def say(text: str, *, error: bool = False) -> None:
    """A sentence as it is, for people and programs."""
    typer.echo(text, err=error)


def show(*what: RenderableType) -> None:
    """Texts and tables, each on lines of its own: as wide as the terminal; elsewhere each line whole, without
    colours, for a program to read."""
    console = _console()
    if console.is_terminal:
        console.print(*what, sep="\n")
        return
    with (whole := _console(width=PIPE)).capture() as captured:
        whole.print(*what, sep="\n")
    say("\n".join(line.rstrip() for line in captured.get().splitlines()))


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _grid(rows: Iterable[Sequence[object]], *, right: Collection[int] = ()) -> Table:
    """Columns without lines; the last one wraps under itself, those of `right` stand to the right."""
    from rich.table import Table
    from rich.text import Text

    from genwright.report.summary import printable

    table, found = Table.grid(padding=(0, 2, 0, 0)), [[*map(str, row)] for row in rows]
    for i in range(len(found[0]) if found else 0):
        last = i == len(found[0]) - 1
        table.add_column(no_wrap=not last, overflow="fold", justify="right" if i in right else "left")
    for row in found:
        # What indents a cell says what belongs to what.
        table.add_row(*(Text(" " * (len(cell) - len(cell.lstrip())) + printable(cell)) for cell in row))
    return table


# -- look and plan ---------------------------------------------------------------------------------


def show_look(found: Look, train: TrainOptions) -> None:
    """What there is, its columns and labels, what is wrong with it, and what could be made of it."""
    counts = found.counts
    say(f"{found.name}: {sum(counts.values()):,} examples of kind {found.codec}, each {found.space}")
    say(
        f"split: {counts['train']:,} to train on, {counts['val']:,} to choose by, "
        f"{counts['test']:,} to judge by"
    )
    facts: list[tuple[object, object]] = []
    for name, value in found.facts.items():
        if name == "columns" and isinstance(value, dict):
            facts += [(f"  {column}", _facts(about)) for column, about in value.items()]
        else:
            facts.append((f"  {name}", _facts(value) if isinstance(value, dict) else value))
    for name, classes in found.labels.items():
        shown = ", ".join(f"{value} ({count:,})" for value, count in classes.items())
        facts.append((f"  given {name}", shown))
    if facts:
        show(_grid(facts))
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
    """Each family that fits or does not, with the time it takes here and ways out."""
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


def show_report(report: EvaluationReport) -> None:
    """The verdict, the figures, and what was not measured."""
    from genwright.report.summary import Summary

    show(Summary(report))


def show_ranking(found: Ranking, names: list[str]) -> None:
    """Ranks by metric and overall; equal ranks where the difference is within the noise."""
    say("")
    for number, name in enumerate(names, 1):
        say(f"[{number}] {name}")
    short = {name: f"[{number}]" for number, name in enumerate(names, 1)}
    rows: list[list[object]] = [["metric", *short.values(), "outcome"]]
    orders: list[tuple[str, Order]] = [(one.metric, one) for one in found.rounds]
    for metric, one in [*orders, ("overall", found)]:
        outcome = one.outcome
        for name in sorted(names, key=len, reverse=True):
            outcome = outcome.replace(name, short[name])
        rows.append([metric, *(one.ranks[name] for name in names), outcome])
    show(_grid(rows, right=range(1, len(names) + 1)))
    say("One training of each was compared: another seed of the same settings may rank otherwise.")


def show_probe(found: Probe) -> None:
    """Each contender with its interval, and how far the codes are ahead of it."""
    say(
        f"{found.measure} of {found.label!r} on {found.n:,} unseen examples, linear model of {found.train:,}"
    )
    rows = []
    for name, one in found.scores.items():
        ahead = ""
        if one.ahead is not None:
            value, low, high = one.ahead
            ahead = f"codes ahead by {value:+.3f} [{low:+.3f}, {high:+.3f}]"
        dims = f"{found.dims[name]:,} numbers" if name in found.dims else ""
        rows.append([f"  {name}", f"{one.value:.3f} [{one.low:.3f}, {one.high:.3f}]", dims, ahead])
    show(_grid(rows))
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


def _console(width: int | None = None) -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=width)
