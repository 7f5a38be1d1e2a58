"""What a person sees of a verb: sentences, tables of facts, and a training on its way.

A live bar and lines of its width where there is a terminal, plain whole lines elsewhere. Nothing here
computes, and `rich` is loaded when something is shown.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from rich.console import Console, JustifyMethod, RenderableType
    from rich.table import Table

    from genwright.analysis.linear_probe import Probe
    from genwright.evaluation.ranking import Order, Ranking
    from genwright.evaluation.results import EvaluationReport
    from genwright.planning import Verdict
    from genwright.storage.run import Run
    from genwright.training.trainer import Progress

__all__ = [
    "busy",
    "columns",
    "duration",
    "making",
    "say",
    "show",
    "show_probe",
    "show_ranking",
    "show_report",
    "watched",
]

PIPE = 10_000
"""Columns of a line where there is no terminal: it ends where it ends."""


def say(text: str, *, error: bool = False) -> None:
    """A sentence as it is, for people and programs."""
    typer.echo(text, err=error)


def show(*what: RenderableType) -> None:
    """Texts and tables, each on lines of its own: as wide as the terminal, or where a table does not fit in whole
    lines, which the terminal breaks; elsewhere each line whole, without colours, for a program to read."""
    console = _console()
    for one in what:
        least = console.measure(one, options=console.options.update(width=PIPE)).minimum
        if console.is_terminal and least <= console.width:
            console.print(one)
            continue
        with (whole := _console(width=PIPE)).capture() as captured:
            whole.print(one)
        lines = "\n".join(line.rstrip() for line in captured.get().splitlines())
        if console.is_terminal:
            console.out(lines, highlight=False)
        else:
            say(lines)


def duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


@contextmanager
def busy(words: str) -> Iterator[Callable[[str], None]]:
    """A line below all others that says what is being done, and what to call with other words for it; nothing
    where there is no terminal."""
    console = _console()
    if not console.is_terminal:
        yield lambda words: None
        return
    with console.status(words) as status:
        yield status.update


def columns(
    rows: Iterable[Sequence[object]],
    *,
    right: Collection[int] = (),
    head: bool = False,
    widths: Sequence[int] = (),
) -> Table:
    """Columns without lines; the last one wraps under itself, those of `right` stand to the right.

    head    whether the first row names the columns
    widths  of the columns, at least
    """
    from rich.cells import cell_len
    from rich.table import Table
    from rich.text import Text

    from genwright.report.printable import printable

    table, found = Table.grid(padding=(0, 2, 0, 0)), [[*map(str, row)] for row in rows]
    for i in range(len(found[0]) if found else 0):
        last = i == len(found[0]) - 1
        side: JustifyMethod = "right" if i in right else "left"
        least = widths[i] if i < len(widths) else 0
        if not last:  # whole, or else `show` would not know that the table does not fit
            least = max(least, *(cell_len(printable(row[i])) for row in found))
        table.add_column(no_wrap=not last, overflow="fold", justify=side, min_width=least)
    for number, row in enumerate(found):
        # What indents a cell says what belongs to what.
        cells = (Text(" " * (len(cell) - len(cell.lstrip())) + printable(cell)) for cell in row)
        table.add_row(*cells, style="bold" if head and number == 0 else None)
    return table


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
    show(columns(rows, right=range(1, len(names) + 1)))
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
    show(columns(rows))
    say(found.verdict)


# -- sample, apply -------------------------------------------------------------------------------


@contextmanager
def making(n: int) -> Iterator[Callable[[float], None]]:
    """What to call with how many of `n` samples are made, the last of them perhaps in part: a live bar on a
    terminal, a plain line now and then elsewhere."""
    console = _console()
    if not console.is_terminal:
        yield _making_lines(n)
        return
    from rich import progress

    bar = progress.Progress(
        progress.TextColumn("made {task.completed:>9,.0f}"),
        progress.BarColumn(bar_width=24),
        progress.TaskProgressColumn(),
        progress.TimeRemainingColumn(),
        console=console,
        transient=True,
    )
    task = bar.add_task("sample", total=n)
    with bar:
        yield lambda made: bar.update(task, completed=made)


def _making_lines(n: int, every: float = 5.0) -> Callable[[float], None]:
    began = last = time.monotonic()

    def report(made: float) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= every and 0 < made < n:
            last, rate = now, made / (now - began)
            left, speed = duration((n - made) / rate), f"{rate:,.0f}" if rate >= 1 else f"{rate:.2g}"
            say(f"made {int(made):,} of {n:,} ({made / n:.0%})  {speed}/s  {left} left")

    return report


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
    last, known = time.monotonic(), ""

    def report(p: Progress) -> None:
        nonlocal last, known
        if (said := _said(p)) and said != known:
            say(said)
        known = said
        if time.monotonic() - last >= every or p.share >= 1:
            last = time.monotonic()
            say(f"step {p.step:,} ({p.share:.0%}) {_figures(p)}")

    return report


def _line(p: Progress) -> str:
    said = _said(p)
    return _figures(p) + (f"  ({said})" if said else "")


def _said(p: Progress) -> str:
    return p.notice or p.busy


def _figures(p: Progress) -> str:
    terms = " ".join(f"{name} {value:.3f}" for name, value in p.terms.items())
    val = f" val {p.val:.3f}" if p.val is not None else ""
    return f"{terms}{val}  {p.examples_per_second:,.0f} examples/s  {duration(p.seconds_left)} left"


def _console(width: int | None = None) -> Console:
    from rich.console import Console

    return Console(highlight=False, markup=False, emoji=False, width=width)
