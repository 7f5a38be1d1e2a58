"""An evaluation report on a terminal: the verdict, the figures, and what was not measured."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from genwright.evaluation.results import EvaluationReport, MetricResult
from genwright.report.evaluation_page import missing
from genwright.report.figures import formatted, grouped, skill_of
from genwright.report.printable import printable

__all__ = ["Summary"]

CLAIMS, METRICS, SENTENCES = 8, 26, 6
"""Of each so many at most: one screen, and the rest on the page."""
NAME = 12
"""Columns that a name may shrink to; figures never do."""
MARKS = {"supported": "+", "not supported": "-", "inconclusive": "?"}
STYLES = {"supported": "green", "not supported": "red", "inconclusive": "yellow"}
HEADS = ("metric", "model [95 % interval]", "floor", "copycat", "best baseline", "skill")
NARROWER = ((0, 1, 2, 3, 4, 5), (0, 1, 2, 4, 5), (0, 1, 2, 5), (0, 1, 2), (0, 1))
"""Columns that stay, where not all find room."""

Item = TypeVar("Item")


class Summary:
    """A report for `rich` to print, at any width: sentences wrap, names are shortened, columns are left out
    before a figure is."""

    def __init__(self, report: EvaluationReport) -> None:
        self.report = report

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        report = self.report
        yield Text(printable(report.title), style="bold")
        yield ""
        yield from self._claims()
        results = [one for group in grouped(report.results).values() for one in group]
        if results:
            yield ""
            yield self._figures(results, options.max_width)
            if len(results) > METRICS:
                yield f"  ... and {len(results) - METRICS} more metrics in the report"
            if not all(one.validated for one in results):
                yield "* unvalidated: the metric fails on cases whose answer is known, or was not checked"
        if sentences := missing(report):
            yield ""
            yield "not measured"
            yield from _grid([("", Text(printable(one))) for one in sentences[:SENTENCES]], indent=1)
            if len(sentences) > SENTENCES:
                yield f"  ... and {len(sentences) - SENTENCES} more in the report"

    def _claims(self) -> Iterator[Table | str]:
        claims = self.report.claims
        if not claims:
            yield "nothing could be concluded: what was not measured stands below, with why"
        yield from _grid(
            [
                (
                    Text(f"{MARKS[one.outcome]} {one.outcome}", style=STYLES[one.outcome]),
                    Text(printable(f"{one.question} {one.because}")),
                )
                for one in claims[:CLAIMS]
            ]
        )
        if len(claims) > CLAIMS:
            yield f"  ... and {len(claims) - CLAIMS} more findings in the report"

    def _figures(self, results: Sequence[MetricResult], width: int) -> Table:
        rows = [HEADS, *map(_cells, results[:METRICS])]
        needed = [max(cell_len(row[i]) for row in rows) for i in range(len(HEADS))]
        least = [min(n, NAME) if i in (0, 4) else n for i, n in enumerate(needed)]
        fit = [some for some in NARROWER if sum(least[i] + 1 for i in some) <= width + 1]
        kept = fit[0] if fit else NARROWER[-1]
        room = width + 1 - sum(least[i] + 1 for i in kept)
        table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="")
        for i in kept:
            more = min(needed[i] - least[i], max(0, room))
            room -= more
            table.add_column(
                HEADS[i],
                width=least[i] + more if fit else None,
                no_wrap=bool(fit),
                overflow="ellipsis" if i in (0, 4) else "fold",
            )
        for row in rows[1:]:
            table.add_row(*(Text(row[i]) for i in kept))
        return table


def _grid(rows: Sequence[tuple[str | Text, Text]], indent: int = 0) -> Iterator[Table]:
    """Two columns, the second of which wraps."""
    if rows:
        table = Table.grid(padding=(0, 2 - indent, 0, 0))
        table.add_column(no_wrap=True)
        table.add_column(overflow="fold")
        for row in rows:
            table.add_row(*row)
        yield table


def _cells(result: MetricResult) -> tuple[str, ...]:
    model = "not measured"
    if result.model is not None:
        value, low, high = formatted(result.model)
        model = f"{value} [{low}, {high}]"
    best = (
        f"{formatted(result.baselines[result.best])[0]} {printable(result.best)}" if result.best else "-"
    )
    return (
        ("" if result.validated else "*") + printable(result.metric),
        model,
        formatted(result.real_baseline)[0] if result.real_baseline else "-",
        formatted(result.train_copy)[0] if result.train_copy else "-",
        best,
        skill_of(result.skill) or "-",
    )
