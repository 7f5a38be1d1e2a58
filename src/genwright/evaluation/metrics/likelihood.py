"""How well a model predicts unseen examples: the one figure that no sample can flatter.

A family that has a likelihood gives each held-out example a number of nats; so do generators that only
count. A model that is no better than those has learnt nothing that counting does not tell.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.baselines import ORDER, is_text, ngram_nats_by_order
from genwright.evaluation.metric import Measurement, Z
from genwright.evaluation.results import Claim, MetricResult
from genwright.space import Real, Space

__all__ = [
    "LEVELS",
    "HeldoutLikelihood",
    "counted",
    "dequantised",
    "likelihood_claim",
    "likelihood_result",
]

LEVELS = 256
"""Of a pixel."""
SMOOTH = 1.0
"""Added to every count (Laplace)."""


@dataclass(frozen=True)
class HeldoutLikelihood:
    """What held-out examples cost, in nats `(n,)`.

    model      under the model; an upper bound of it unless `exact`
    baselines  under generators that count, by name
    per        what each example is divided by `(n,)`: its bytes, its pixels, or 1
    unit       "bits_per_byte", "bits_per_dim" or "nats", or nats by what a field counts in
    how        what such a unit says
    oracle     mean nats of an example under the distribution that the data are drawn from, where it is known
    """

    model: Array
    baselines: Mapping[str, Array]
    per: Array
    unit: str
    exact: bool
    oracle: float | None = None
    note: str = ""
    how: str = ""


def likelihood_result(found: HeldoutLikelihood) -> MetricResult:
    """As one result among those of the metrics. Raises `DataError` where the likelihood is not finite."""
    if not np.isfinite(found.model).all():
        raise DataError(
            f"{found.unit}: the model calls {np.count_nonzero(~np.isfinite(found.model))} held-out examples "
            f"impossible, or cannot say",
            code="not-finite",
        )
    scale = 1 / math.log(2) if found.unit.startswith("bits") else 1.0
    real_baseline = None
    if found.oracle is not None:
        value = scale * found.oracle / float(found.per.mean())
        real_baseline = Measurement(value, value, value, len(found.per))
    bound = "" if found.exact else "; an upper bound: the model may be better"
    made = MetricResult(
        metric=found.unit,
        group="likelihood",
        better="lower",
        how=f"{found.how or _HOW[found.unit]}; lower is better{bound}{found.note}",
        validated=True,
        model=_ratio(scale * found.model, found.per),
        real_baseline=real_baseline,
        baselines={name: _ratio(scale * nats, found.per) for name, nats in found.baselines.items()},
    )
    return made


_HOW = {
    "bits_per_byte": "what a byte of unseen text costs when the model writes it down",
    "bits_per_dim": "what a number of an unseen picture costs when the model writes it down",
    "nats": "surprise at an unseen example, in nats",
}


def _ratio(cost: Array, per: Array) -> Measurement:
    """Sum over sum, with the standard error of a ratio (Cochran 1977, section 6.3)."""
    n, total = len(cost), float(per.sum())
    value = float(cost.sum()) / total
    error = math.sqrt(n / max(n - 1, 1) * float(((cost - value * per) ** 2).sum())) / total
    return Measurement(value, value - Z * error, value + Z * error, n)


def likelihood_claim(found: MetricResult) -> Claim | None:
    """Whether the model predicts better than counting does."""
    if found.model is None or found.best is None:
        return None
    best, question = found.baselines[found.best], "Does it predict unseen examples?"
    unit = found.metric.replace("_", " ")
    because = f"{found.model.value:.3f} {unit} against {best.value:.3f} of {found.best}"
    if found.real_baseline is not None:
        because += f"; the distribution itself has {found.real_baseline.value:.3f}"
    if found.model.high < best.low:
        return Claim("supported", question, because)
    return Claim("not supported" if found.model.low > best.high else "inconclusive", question, because)


# -- what counting gives -----------------------------------------------------------------------------


def dequantised(x: Array, rng: np.random.Generator) -> Array:
    """Pictures `(n, C, H, W)` in [-1, 1] with each of their 256 levels spread evenly over its share of the
    range. The density of those bounds the likelihood of the levels from below (Theis et al. 2016,
    arXiv:1511.01844, eq. 3), whatever the model; of levels alone a density may be as high as one likes."""
    level = np.rint((np.clip(x, -1, 1) + 1) / 2 * (LEVELS - 1))
    return np.asarray(((level + rng.random(x.shape)) / LEVELS * 2 - 1), dtype=np.float32)


def counted(
    train: Array, test: Array, space: Space, *, levels: bool = False, mask: Array | None = None
) -> dict[str, Array]:
    """Nats `(n,)` of held-out examples `(n, stored, *grid)` under generators that count in the training
    examples: each number by itself; for texts also n-grams.

    levels   whether the numbers are levels of pixels, which have a probability; else they have a density,
             here a normal one
    mask     which symbols of a text count `(n, length)`; None: all
    """
    if is_text(space):
        counts = 1.0 if mask is None else mask
        orders = {"ngram": ORDER, "marginals": 1}
        found = ngram_nats_by_order(train, test, space, [*orders.values()])
        return {name: (nats * counts).sum(1) for name, nats in zip(orders, found, strict=True)}
    total = np.zeros(len(test))
    for slot in space.slots():
        known, asked = (x[:, slot.stored].reshape(len(x), -1).astype(np.float64) for x in (train, test))
        if isinstance(slot.span, Real) and not levels:
            total += _normal(known, asked)
            continue
        k = LEVELS if isinstance(slot.span, Real) else slot.span.k
        if isinstance(slot.span, Real):
            known, asked = (np.rint((x.clip(-1, 1) + 1) / 2 * (LEVELS - 1)) for x in (known, asked))
        total += _categories(known.astype(np.int64), asked.astype(np.int64), k)
    return {"marginals": total}


def _categories(known: Array, asked: Array, k: int) -> Array:
    """Nats `(n,)`, each place `(., places)` by its own counts."""
    total = np.zeros(len(asked))
    for place in range(known.shape[1]):
        counts = np.bincount(known[:, place], minlength=k) + SMOOTH
        total -= np.log(counts / counts.sum())[asked[:, place]]
    return total


def _normal(known: Array, asked: Array) -> Array:
    """Nats `(n,)`, each place normal; its spread is at least a thousandth of the largest one."""
    spread = known.std(0)
    spread = np.maximum(spread, 1e-3 * max(float(spread.max()), 1e-12))
    z = (asked - known.mean(0)) / spread
    return np.asarray((0.5 * z * z + np.log(spread) + 0.5 * math.log(2 * math.pi)).sum(1))
