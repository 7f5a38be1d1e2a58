"""Examples worth a look: numbers convince a person less than what lies behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from genwright.data.codec import Array, Codec, Preview
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.table.field import RowField
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Pairs, Sample
from genwright.evaluation.metrics.copying import lookalikes
from genwright.evaluation.metrics.diversity import missed
from genwright.evaluation.metrics.images import ranked
from genwright.evaluation.results import Gallery

__all__ = ["galleries"]

SHOWN = 12
WORDS = 300
"""Characters of a text that are shown."""


def galleries(evidence: Evidence, seed: int) -> tuple[Gallery, ...]:
    """What was answered, the most copied-looking, the least and the most real, and what was missed; those that can be
    had."""
    made = []
    every = (_answers(evidence), _copied(evidence), _worst_and_best(evidence), _missed(evidence, seed))
    for gallery in every:
        try:
            made += list(gallery)
        except DataError:  # too few examples for it, which its metric says already
            continue
    return tuple(made)


class GalleryColumn(NamedTuple):
    """Something of each of a few pairs: what was given, what was made of it, or the right answer."""

    name: str
    values: Any
    field: Field


def _answers(evidence: Evidence) -> Iterator[Gallery]:
    """What was given, beside it what was made of it and what is right, in one order."""
    pairs = evidence.pairs
    if pairs is None or not len(pairs.made):
        return
    asked = pairs.unknown.reshape(len(pairs.made), -1).any(axis=1)  # of a whole row nothing is
    index = np.flatnonzero(asked)[:SHOWN].tolist()
    parts = _given(pairs, index)
    parts.append(
        GalleryColumn("made of it", pairs.made.field.take(pairs.made.raw, index), pairs.made.field)
    )
    if pairs.supervised:
        parts.append(
            GalleryColumn("right answer", pairs.true.field.take(pairs.true.raw, index), pairs.true.field)
        )
    yield Gallery(
        "What was made of what",
        "Held-out examples in a random choice: what was given, what the model made of it, and what really belonged "
        "to it.",
        tuple(_previews(parts, pairs.made.codec, len(index))),
    )


def _given(pairs: Pairs, index: Sequence[int]) -> list[GalleryColumn]:
    """What was given, by name; of an example of which a part was, that part."""
    found = []
    for name, field in pairs.asks.items():
        if pairs.known is None or field.kind != pairs.true.field.kind:
            found.append(GalleryColumn(f"given: {name}", [pairs.given[name][i] for i in index], field))
    if pairs.known is not None:
        field, x, known = pairs.true.field, pairs.true.x[index], pairs.known[index]
        if isinstance(field, RowField):
            found.append(GalleryColumn("given", _with_gaps(field, field.decode(x), known), field))
        elif field.space.kind == "real":
            found.append(
                GalleryColumn("given", field.decode(np.where(known, x, 0).astype(x.dtype)), field)
            )
    return found


def _with_gaps(field: RowField, frame: Any, known: Array) -> Any:
    """Rows in which what was not given is a question mark."""
    frame, first = frame.astype(object), 0
    for name, column in field.columns.items():
        there = known[:, first : first + column.stored].all(axis=1)
        frame[name] = frame[name].where(there, "?")
        first += column.stored
    return frame


def _previews(parts: Sequence[GalleryColumn], codec: Codec, n: int) -> Iterator[tuple[str, Preview]]:
    """Words and rows in one table, side by side; anything else one below the other in the same order."""
    if any(isinstance(part.field, RowField) for part in parts):
        yield (
            "one row below the other",
            _interleaved([p for p in parts if isinstance(p.field, RowField)], n),
        )
        parts = [part for part in parts if not isinstance(part.field, RowField)]
    words = [part for part in parts if isinstance(part.field, TextField | ColumnField)]
    for part in parts:
        if part not in words:
            values, fields = {codec.main: part.values}, {codec.main: part.field}
            yield part.name, codec.preview(values, fields, columns=n)
    if words:
        texts = zip(*(map(_short, part.values) for part in words), strict=True)
        numbered = ((str(i), *row) for i, row in enumerate(texts, 1))
        names = ("", *(part.name for part in words))
        yield "in the same order", Preview("rows", rows=(names, *numbered))


def _interleaved(parts: Sequence[GalleryColumn], n: int) -> Preview:
    columns = list(parts[0].values.columns)
    rows = [
        (part.name, *(_short(part.values[c].iloc[i]) if c in part.values else "" for c in columns))
        for i in range(n)
        for part in parts
    ]
    return Preview("rows", rows=(("", *map(str, columns)), *rows))


def _short(value: Any) -> str:
    text = "" if value is None or value != value else " ".join(str(value).split())
    return text if len(text) <= WORDS else text[:WORDS] + " ..."


def _copied(evidence: Evidence) -> Iterator[Gallery]:
    found = lookalikes(evidence, SHOWN)
    yield Gallery(
        "What looks most like a copy",
        "The generated examples that are nearest to one training example, compared with how near its "
        "neighbours are, not a random choice. If held-out examples are as near, then it is likeness; if not, "
        "copying.",
        (
            ("generated", _preview(evidence.fake, [one.index for one in found])),
            ("nearest training example", _preview(evidence.train, [one.train for one in found])),
            ("nearest held-out example", _preview(evidence.test, [one.test for one in found])),
        ),
    )


def _worst_and_best(evidence: Evidence) -> Iterator[Gallery]:
    order = ranked(evidence)
    yield Gallery(
        "The least and the most real",
        "By the realism score of Kynkäänniemi et al. (2019), over all generated examples.",
        (
            ("least real", _preview(evidence.fake, order[::-1][:SHOWN])),
            ("most real", _preview(evidence.fake, order[:SHOWN])),
        ),
    )


def _missed(evidence: Evidence, seed: int) -> Iterator[Gallery]:
    rng = np.random.default_rng([seed, *b"modes_missed"])
    index = missed(evidence, rng)
    if len(index):
        yield Gallery(
            "What was missed",
            f"Of the {len(index):,} real examples in regions where too few were generated.",
            (("real, and rarely made", _preview(evidence.test, index[:SHOWN])),),
        )


def _preview(sample: Sample, index: Sequence[int] | np.ndarray) -> Preview:
    return sample.preview([int(i) for i in index])
