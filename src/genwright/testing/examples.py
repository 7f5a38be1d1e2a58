"""Evidence made of plain arrays, whose features are the numbers themselves."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Any

import numpy as np

from genwright.data.codec import Array
from genwright.data.image.codec import ImageCodec
from genwright.data.image.field import ImageField
from genwright.evaluation.evidence import Evidence, Sample
from genwright.space import Real, Space

__all__ = ["evidence", "sample_of"]


def sample_of(rows: Array, labels: Sequence[Any] | None = None) -> Sample:
    """Rows `(n, d)` as a sample whose features are the numbers themselves."""
    rows = np.asarray(rows, dtype=np.float64)
    return Sample(
        x=rows.astype(np.float32),
        flat=rows.astype(np.float32),
        features=rows,
        raw=list(rows),
        codec=ImageCodec(),
        field=ImageField(),  # whose `take` is that of a list
        given={} if labels is None else {"label": list(labels)},
        keys=tuple(blake2b(row.tobytes(), digest_size=16).hexdigest() for row in rows),
    )


def evidence(
    test: Array, fake: Array, train: Array | None = None, reference: Array | None = None
) -> Evidence:
    """Evidence of real rows `test (n, d)` and generated rows `fake (m, d)`."""
    test = np.asarray(test)
    return Evidence(
        space=Space((), (Real(test.shape[1]),)),
        extractor="identity",
        train=sample_of(test if train is None else train),
        test=sample_of(test),
        fake=sample_of(fake),
        reference=None if reference is None else sample_of(reference),
    )
