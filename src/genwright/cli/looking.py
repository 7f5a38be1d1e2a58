"""What a person sees of `look` and `plan`: the data, the families one by one, and what would be worth making."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from genwright.budget import MINUTES
from genwright.cli.console import busy, columns, duration, say, show
from genwright.registry import names

if TYPE_CHECKING:
    from genwright.api import Look
    from genwright.planning import Verdict
    from genwright.recipe import TrainOptions
    from genwright.weighing import Advice

__all__ = ["show_advice", "show_found", "weighing"]

SHOWN = 40
"""Columns of a table, classes of a label and bad files that are named; of more, how many."""
SOME_HUNDREDS = 300
"""Steps below which hardly anything is learnt."""
WIDTHS = (14, 19, 4, 5, 7, 12, 7)
"""Of the columns of families, whose rows come one by one: 80 with what is between them."""
NUMBERS = range(3, 7)
"""Those of the columns that are numbers."""


# -- the data --------------------------------------------------------------------------------------


def show_found(found: Look) -> None:
    """What there is, its columns and labels, and what is wrong with it."""
    counts, n = found.counts, sum(found.counts.values())
    if found.total > n:
        say(f"{found.name}: about {found.total:,} {found.unit}, each {found.space}")
        say(f"a sample of {n:,} of about {found.total:,} {found.unit} was looked at; training reads all")
    else:
        say(f"{found.name}: {n:,} {found.unit}, each {found.space}")
    if found.because:
        say(f"read as {found.codec} data: {found.because}")
    say(
        f"split: {counts['train']:,} to train on, {counts['val']:,} to choose by, "
        f"{counts['test']:,} to judge by"
    )
    said = ("columns", "single", found.unit)  # how many there are stands above
    facts = {name: value for name, value in found.facts.items() if name not in said and value}
    rows = [[f"  {_spaced(name)}", _words(value)] for name, value in facts.items()]
    for name, classes in found.labels.items():
        rows.append([f"  given {name}", _counted(classes)])
    if rows:
        show(columns(rows))
    if table := found.facts.get("columns"):
        _show_columns(table)
    if found.available_labels:
        say(f"labels that can be given: {_some(found.available_labels)}")
    if found.duplicates:
        say(f"duplicates: {found.duplicates:,} of the {found.unit} are copies of another")
    for bad in found.bad[:SHOWN]:
        say(f"bad: {bad['name']}: {bad['reason']}")
    if found.bad_count > SHOWN:
        say(f"bad: {found.bad_count - SHOWN:,} more")
    for warning in found.warnings:
        say(f"warning: {warning}")


def _show_columns(table: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [["  column", "kind", "missing", "different", "values"]]
    for name, about in list(table.items())[:SHOWN]:
        known = {"kind", "missing", "distinct", "min", "median", "max", "top", "rest"}
        least, middle, most = (about.get(key) for key in ("min", "median", "max"))
        values = [] if least is None else [f"{least} to {most}, half below {middle}"]
        values += [f"{value} {_share(share)}" for value, share in about.get("top", [])]
        if rest := about.get("rest"):
            values.append(f"{rest['distinct']:,} others {_share(rest['share'])}")
        values += [f"{_spaced(key)} {_words(value)}" for key, value in about.items() if key not in known]
        missing = _share(about["missing"]) if about.get("missing") else ""
        different = f"{about.get('distinct', 0):,}"
        rows.append([f"  {name}", str(about.get("kind", "")), missing, different, ", ".join(values)])
    show(columns(rows, right=(2, 3), head=True))
    if len(table) > SHOWN:
        say(f"  and {len(table) - SHOWN:,} columns more")


def _spaced(name: str) -> str:
    return name.replace("_", " ")


def _words(value: Any) -> str:
    """A fact as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        if all(isinstance(one, int) for one in value.values()):
            return _counted(value)
        return ", ".join(f"{_spaced(key)} {_words(one)}" for key, one in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        sides = len(value) == 2 and all(isinstance(one, int) for one in value)
        return " x ".join(map(str, reversed(value))) if sides else _some(value)
    return str(value)


def _counted(counts: Mapping[Any, int]) -> str:
    return _some([f"{name} ({count:,})" for name, count in counts.items()])


def _some(items: Sequence[Any]) -> str:
    more = f" and {len(items) - SHOWN:,} more" if len(items) > SHOWN else ""
    return ", ".join(map(str, items[:SHOWN])) + more


def _share(share: float) -> str:
    """Per cent, in two digits."""
    return f"{100 * share:.2g}%" if share < 0.995 else "100%"


# -- families --------------------------------------------------------------------------------------


@contextmanager
def weighing(train: TrainOptions, family: str | None = None) -> Iterator[Callable[[Verdict], None]]:
    """What to call with each verdict: it becomes a row, the first one below a head. Behind them all stands what each
    bridge does, once."""
    total, seen = 1 if family else len(names("families")), 0
    bridges: dict[str, str] = {}
    with busy("reading the data") as doing:

        def report(verdict: Verdict) -> None:
            nonlocal seen
            if not seen:
                minutes = train.minutes or MINUTES
                length = f"{train.counted:,} steps" if train.counted else f"{minutes:g} min"
                head = ["family", "how it fits", "size", "batch", "a step", length, "memory"]
                show(columns([head], right=NUMBERS, head=True, widths=WIDTHS))
            seen += 1
            doing(f"weighing families: {seen} of {total}")
            notes = [verdict.reason] if verdict.reason else []
            if verdict.outcome == "bridged":
                *notes, bridges[verdict.bridge] = verdict.reason.split("; ")
            _show_verdict(verdict, notes, train)
            for way in verdict.ways:
                if total == 1 or not way.startswith("--family"):  # the others stand in the table
                    say(f"  try {way}")

        yield report
    for bridge, change in bridges.items():
        say(f"bridged by {bridge}: {change}")


def _show_verdict(verdict: Verdict, notes: Sequence[str], train: TrainOptions) -> None:
    if verdict.outcome == "refused":
        show(columns([[verdict.family, f"refused: {verdict.reason}"]], widths=WIDTHS))
    else:
        fits = "native" if verdict.outcome == "native" else f"by {verdict.bridge}"
        row = [verdict.family, fits, *_costs(verdict, train)]
        show(columns([row], right=NUMBERS, widths=WIDTHS))
        for note in notes:
            say(f"  {note}")
        if verdict.context < 1:
            say(f"  reads {verdict.context:.0%} of the usual context at a time, for more steps")
        if verdict.too_large:
            say(f"  too large here: {verdict.too_large}")


def _costs(verdict: Verdict, train: TrainOptions) -> list[str]:
    """What would be trained with; what a step, the whole training and memory come to."""
    step, size = verdict.seconds_per_step, verdict.bytes_per_step
    if not step:
        return [""] * 5
    whole = duration(step * train.counted) if train.counted else f"{verdict.steps or 0:,} steps"
    each = f"{1e3 * step:.2g} ms" if step < 0.1 else f"{step:.2g} s" if step < 100 else f"{step:,.0f} s"
    memory = "" if not size else f"{size / 1e6:,.0f} MB" if size < 1e9 else f"{size / 1e9:.1f} GB"
    return [verdict.size, f"{verdict.batch_size:,}", each, whole, memory]


def show_advice(advice: Advice | None) -> None:
    """What would be worth making, how long until it is good, and what to type."""
    if advice is None:
        say("nothing can be made of this here as it is: the ways out stand beside each family")
        return
    time, steps = f"about {duration(advice.seconds)}", f"{advice.steps:,} steps"
    good = f"which should be good after {time} ({steps})"
    if advice.steps < SOME_HUNDREDS:
        good = f"of which {time} make {steps}, too few to be good: --minutes 60 is for more"
    say(f"worth making: {advice.family} at size {advice.size}, task {advice.task}, {good}; type")
    say(f"  {advice.command}")
    if advice.caution:
        say(advice.caution)
