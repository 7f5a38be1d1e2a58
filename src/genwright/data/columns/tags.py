"""Several tags in one text: Drama|Romance, "fever, cough", ["a", "b"].

Each tag is a boolean of its own, so that sets never seen can come and each tag keeps to what goes with it. What stands
before, between and behind the tags is the same in all rows, and so is their order.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.compound import Compound, other_texts
from genwright.data.columns.fit import SURE, ColumnStats
from genwright.data.columns.formats import is_missing, spaced
from genwright.data.columns.numbers import few_texts
from genwright.data.columns.types import Boolean, Column, Encoded, distinct_values, indices
from genwright.errors import DataError, suggest
from genwright.space import Span, Symbol

__all__ = ["Tags", "tag_in", "tags", "tags_named"]

SEPARATORS = ("|", ";", ",", "/", "\n")
MOST = 64
"""Tags that are booleans of their own, at most; the rarer ones share one."""
COVERED = 0.95
"""The share of all tags that these are."""
AGAIN = 4
"""How often a tag comes, on average, at least."""
SEVERAL = 0.1
"""The share of rows with several tags, at least."""
MOVED = 0.5
"""The share of tags that stand now first and now not: those of an address, of a path do not."""
TRIED = 50
"""Values that a way to write tags is tried on."""

Counts = Mapping[str, int]
Cell = tuple[str, ...]


@dataclass(frozen=True)
class _Way:
    """What stands before, between and behind tags."""

    before: str
    between: str
    after: str

    def split(self, text: Any) -> Cell | None:
        """The tags of a text, none twice; None of one that is written in another way."""
        if not isinstance(text, str) or not (text.startswith(self.before) and text.endswith(self.after)):
            return None
        inner = text[len(self.before) : len(text) - len(self.after)]
        found = inner.split(self.between if self.before else self.between.strip(" "))
        cell = tuple(found if self.before else map(str.strip, found))
        return cell if all(cell) and len(set(cell)) == len(cell) else None

    def joined(self, cell: Sequence[str]) -> str:
        return self.before + self.between.join(cell) + self.after


@dataclass(kw_only=True)
class Tags(Compound):
    """Texts of tags: a span for each, and one for all that are rarer.

    tags   in the order in which they are written
    way    what stands before, between and behind them
    rest   the rarer tags with their counts, to draw one from
    empty  what stands for no tag at all
    """

    kind: ClassVar[str] = "tags"
    tags: list[str]
    way: list[str]
    rest: list[list[Any]] = field(default_factory=list)
    empty: str = ""

    def part_columns(self) -> Sequence[Column]:
        """Of each tag whether it is there."""
        return [Boolean(name=_part_name(self.name, tag), values=[False, True]) for tag in self.tags]

    def part_values(self, values: Sequence[Any], i: int) -> list[Any]:
        """Of each raw value whether the i-th tag is in it; None where the value is missing."""
        return [tag_in(value, self.tags[i]) for value in values]

    @property
    def part_spans(self) -> tuple[Span, ...]:
        return (Symbol(2),) * (len(self.tags) + bool(self.rest))

    def split(self, value: Any) -> Cell | None:
        """The tags of a text; None of one that is written in another way."""
        return () if value == self.empty and self.empty else _Way(*self.way).split(value)

    def encode(self, values: Sequence[Any]) -> Encoded:
        distinct, place = distinct_values(values)
        known = {tag: i for i, tag in enumerate(self.tags)}
        x = np.zeros((len(distinct), self.stored), np.float32)
        first = self._first
        for row, value in zip(x, distinct, strict=True):
            cell = None if value in self.others or is_missing(value) else self.split(value)
            if cell is None:
                row[:1] = self._other(value)
                continue
            for tag in cell:
                if tag in known:
                    row[first + known[tag]] = 1
                elif self.strict:
                    raise self._no_tag(tag)
                elif self.rest:
                    row[-1] = 1
        return x[place]

    def _no_tag(self, tag: str) -> DataError:
        return DataError(
            f"there is no {tag!r} among the tags of {self.name!r}; {suggest(tag, self.tags)}",
            code="no-such-value",
        )

    @property
    def example(self) -> str:
        return _Way(*self.way).joined(self.tags[:2])

    def exactly(self, value: Any) -> Encoded:
        return replace(self, strict=True).encode([value])[0]

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        others = self.others
        there = np.stack([indices(channel, 2) for channel in x[:, self._first :].T]).astype(bool)
        drawn = self._drawn(len(x), rng)
        made = list[Any]()
        for row, symbol, rare in zip(there.T, self._symbols(x), drawn, strict=True):
            cell = [tag for tag, own in zip([*self.tags, rare], row.tolist(), strict=False) if own]
            made.append(others[symbol - 1] if symbol else self.joined(cell))
        return made

    def _drawn(self, n: int, rng: np.random.Generator) -> list[str]:
        """One of the rarer tags for each of n rows."""
        if not self.rest:
            return [""] * n
        names, counts = zip(*self.rest, strict=True)
        shares = np.array(counts) / sum(counts)
        return [names[i] for i in rng.choice(len(names), n, p=shares).tolist()]

    def joined(self, cell: Sequence[str]) -> Any:
        """The text of these tags; of none what stands for that, or else the first of them."""
        if cell:
            return _Way(*self.way).joined(cell)
        none = [self.empty] if self.empty else self.missing_tokens
        return none[0] if none else _Way(*self.way).joined(self.tags[:1])


def tags(stats: ColumnStats) -> Tags | None:
    """A column of texts that hold several tags each; None where these are none, or more than `MOST` and rare."""
    for way in _ways(list(stats.counts)):
        cells = {value: cell for value in stats.counts if (cell := way.split(value)) is not None}
        none = {"[]", "{}", "()"} & {*stats.counts} if way.before else set[str]()
        others = [value for value in stats.counts if value not in cells and value not in none]
        if not few_texts(others, len(cells), stats.counts):
            continue
        counts = Counter[str]()
        for value, cell in cells.items():
            counts.update(dict.fromkeys(cell, stats.counts[value]))
        kept = [tag for tag, _ in counts.most_common(MOST)]
        if _are_tags(cells, stats.counts, counts, kept):
            return _fitted(stats, way, cells, counts, kept, next(iter(none), ""), others)
    return None


def _ways(values: Sequence[Any]) -> list[_Way]:
    """In which ways the tags of these texts may be written."""
    some = [value for value in spaced(list(values), TRIED) if isinstance(value, str)]
    closed = [text for text in some if re.fullmatch(r"\[.*\]|\{.*\}|\(.*\)", text, re.DOTALL)]
    if closed and 2 * len(closed) > len(some):
        return _closed_ways(closed)
    found = []
    for separator in SEPARATORS:
        between = Counter(re.findall(rf" *{re.escape(separator)} *", " \0 ".join(some)))
        if between and 4 * sum(separator in text for text in some) > len(some):
            found.append(_Way("", between.most_common(1)[0][0], ""))
    return found


def _closed_ways(texts: Sequence[str]) -> list[_Way]:
    """Those of lists, as JSON or Python write them."""
    quotes = Counter(text[1:2] for text in texts if text[1:2] in ("'", '"'))
    quote = quotes.most_common(1)[0][0] if quotes else ""
    between = Counter(re.findall(rf"{quote}, *{quote}", " \0 ".join(text[1:-1] for text in texts)))
    brackets = Counter((text[0], text[-1]) for text in texts).most_common(1)[0][0]
    if not between:
        return []
    return [_Way(brackets[0] + quote, between.most_common(1)[0][0], quote + brackets[1])]


def _are_tags(
    cells: Mapping[Any, Cell], rows: Mapping[Any, int], counts: Counts, kept: Sequence[str]
) -> bool:
    """Whether texts that can be split are sets of tags that come again: no addresses, no paths, no sentences."""
    total = sum(counts.values())
    present = sum(rows[value] for value in cells)
    several = sum(rows[value] for value, cell in cells.items() if len(cell) > 1)
    if present < SURE or several < SEVERAL * present or len({len(cell) for cell in cells.values()}) < 2:
        return False
    if not len(kept) >= 3 or len(cells) <= len(kept) or total < AGAIN * len(kept):
        return False
    if sum(counts[tag] for tag in kept) < COVERED * total:
        return False
    first = {cell[0] for cell in cells.values()}
    later = {tag for cell in cells.values() for tag in cell[1:]}
    return sum(counts[tag] for tag in first & later) >= MOVED * total


def _fitted(
    stats: ColumnStats,
    way: _Way,
    cells: Mapping[Any, Cell],
    counts: Counter[str],
    kept: Sequence[str],
    empty: str,
    others: Sequence[Any],
) -> Tags:
    order = _in_order(kept, cells.values())
    place = {tag: i for i, tag in enumerate(order)}
    changed = [
        value
        for value, cell in cells.items()
        if value != way.joined(sorted(cell, key=lambda tag: place.get(tag, len(place))))
    ]
    rare = [(tag, n) for tag, n in counts.most_common() if tag not in place]
    notes = _notes(stats, changed, others)
    if rare:
        share = sum(n for _, n in rare) / counts.total()
        notes.append(
            f"column {stats.name!r} has {len(counts):,} different tags: the {len(kept)} commonest are kept apart, the "
            f"rest ({share:.1%} of all) become one, which is written as a draw from them"
        )
    top = [[tag, round(counts[tag] / stats.total, 4)] for tag in kept[:5]]
    return Tags(
        name=stats.name,
        about=stats.about(tags=len(counts), top=top),
        notes=notes,
        missing_tokens=list(stats.missing),
        tags=order,
        way=[way.before, way.between, way.after],
        rest=[list(one) for one in rare],
        empty=empty,
        text_values=list(others),
    )


def _in_order(kept: Sequence[str], cells: Iterable[Cell]) -> list[str]:
    """The tags in an order that their texts keep to, where they keep to one; else near to it."""
    before = Counter[tuple[str, str]]()
    for cell in cells:
        before.update(combinations(cell, 2))
    left, order = sorted(kept), list[str]()
    while left:
        # Of those that are left, the one that most seldom stands behind another of them.
        behind = {
            tag: sum(1 for other in left if before[other, tag] > before[tag, other]) for tag in left
        }
        order.append(min(left, key=behind.__getitem__))
        left.remove(order[-1])
    return order


def _notes(stats: ColumnStats, changed: Sequence[Any], others: Sequence[Any]) -> list[str]:
    notes = []
    if changed:
        rows = sum(stats.counts[value] for value in changed)
        notes.append(
            f"column {stats.name!r} holds tags, and {rows:,} of its rows write them in another order or way than most "
            f"({stats.shown(changed[0])}): they come back in one order"
        )
    return notes + other_texts(stats, others, "tags")


# -- its tags, where they are looked at one by one ---------------------------------------------------


def _part_name(name: str, tag: str) -> str:
    return f"{name}: {tag}"


def tags_named(name: str) -> list[tuple[str, str]]:
    """The columns, and the tags of them, of which this may be the name."""
    places = [match.start() for match in re.finditer(": ", name)]
    return [(name[:place], name[place + 2 :]) for place in reversed(places)]


_END = r"[|;,/\n\[\](){}'\"]"


def tag_in(value: Any, tag: str) -> bool | None:
    """Whether a tag is in a text; None where the text is missing."""
    if is_missing(value):
        return None
    return re.search(rf"(?:^|{_END})\s*{re.escape(tag)}\s*(?:$|{_END})", str(value)) is not None
