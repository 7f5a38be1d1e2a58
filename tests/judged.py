"""Evidence made of plain arrays, for tests of the judge."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.image.codec import ImageCodec
from genwright.evaluation.evidence import Evidence, Sample
from genwright.space import Real, Space


def sample(numbers: Array, labels: Sequence[Any] | None = None) -> Sample:
    """Rows `(n, d)` as a sample whose features are the numbers themselves."""
    numbers = np.asarray(numbers, dtype=np.float64)
    return Sample(
        x=numbers.astype(np.float32),
        numbers=numbers.astype(np.float32),
        features=numbers,
        raw=list(numbers),
        codec=ImageCodec(),  # whose `take` is that of a list
        given={} if labels is None else {"label": list(labels)},
        keys=tuple(blake2b(row.tobytes(), digest_size=16).hexdigest() for row in numbers),
    )


def evidence(
    held: Array, fake: Array, train: Array | None = None, reference: Array | None = None
) -> Evidence:
    """Evidence of real rows `held` and generated rows `fake`."""
    held = np.asarray(held)
    return Evidence(
        kind="table",
        space=Space((), (Real(held.shape[1]),)),
        extractor="identity",
        train=sample(held if train is None else train),
        held=sample(held),
        fake=sample(fake),
        reference=None if reference is None else sample(reference),
    )
