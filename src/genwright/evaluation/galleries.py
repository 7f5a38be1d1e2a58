"""Examples worth a look: numbers convince a person less than what lies behind them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from genwright.data.codec import Preview
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metrics.copying import lookalikes
from genwright.evaluation.metrics.diversity import missed
from genwright.evaluation.metrics.images import ranked
from genwright.evaluation.results import Gallery

__all__ = ["galleries"]

SHOWN = 12


def galleries(evidence: Evidence, seed: int) -> tuple[Gallery, ...]:
    """The most copied-looking, the least and the most real, and what was missed; those that can be had."""
    made = []
    for gallery in (_copied(evidence), _worst_and_best(evidence), _missed(evidence, seed)):
        try:
            made += list(gallery)
        except DataError:  # too few examples for it, which its metric says already
            continue
    return tuple(made)


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
