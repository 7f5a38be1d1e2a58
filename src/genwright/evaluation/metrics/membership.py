"""Who was in the training data: an attack on membership with the generated examples alone.

The same is tried on held-out examples, which the maker did not see. An attack that fails proves nothing but
its own weakness.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from genwright.data.codec import Array
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Measurement, Metric, wilson
from genwright.evaluation.neighbours import nearest_neighbours

__all__ = ["Membership", "MembershipInference", "auc"]

ALLOWED = 0.01
"""False positives that an attack on membership may raise."""
MEMBERS = 5_000
"""Training examples that are looked for, at most: a share is known from so many, and its interval says how well."""


@dataclass(frozen=True)
class Membership:
    """What telling training from held-out examples achieved.

    tpr         share of the training examples that are found; low, high: its 95 % interval
    fpr         share of others that are taken for them; low, high: what it may be in truth, since the
                threshold is known from so few held-out examples. The interval of tpr allows for it
    auc         P(a training example scores above a held-out one); it hides the few that are exposed
    """

    tpr: float
    low: float
    high: float
    fpr: float
    fpr_low: float
    fpr_high: float
    auc: float
    members: int
    others: int
    threat: str


class MembershipInference(Metric):
    """Who was in the training data, told from the released sample alone.

    The true positive rate at 1 % false positives (Carlini et al. 2022, arXiv:2112.03570). The score is
    minus the distance to the nearest generated example; `ratio` divides it by the distance to the nearest
    of further real examples (half of the held-out ones), as DOMIAS does with densities (van Breugel et al.
    2023, arXiv:2302.12580), so that nobody is taken for a member for being ordinary.

    score   distance or ratio
    """

    name = "membership"
    reads = "flat"
    group = "novelty"
    better = "lower"
    ideal = ALLOWED
    sees = ("all_copied",)
    exchangeable = True
    how = (
        "Share of training examples an attacker finds while being wrong about 1 % of others: 0.01 is "
        "guessing. Of more than 5,000 training examples so many are looked for. A low value shows that this "
        "attack failed, not that none succeeds."
    )

    def __init__(self, *, score: Literal["distance", "ratio"] = "distance") -> None:
        self.score = score

    def least(self, evidence: Evidence) -> int:
        return 100 if self.score == "distance" else 200

    def attack(self, evidence: Evidence, rng: np.random.Generator) -> Membership:
        members, others, threat = self._scores(evidence, rng)
        fpr_low, fpr_high = wilson(round(ALLOWED * len(others)), len(others))
        least, tpr, most = (_tpr(members, others, share) for share in (fpr_low, ALLOWED, fpr_high))
        low, high = wilson(round(tpr * len(members)), len(members))
        return Membership(
            tpr=tpr,
            low=max(0.0, tpr - math.hypot(tpr - low, tpr - least)),
            high=min(1.0, tpr + math.hypot(high - tpr, most - tpr)),
            fpr=ALLOWED,
            fpr_low=fpr_low,
            fpr_high=fpr_high,
            auc=auc(members, others),
            members=len(members),
            others=len(others),
            threat=threat,
        )

    def _scores(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, str]:
        """Of members and of others, the higher the surer; and how they came about."""
        fake, train, test = evidence.fake.flat, evidence.train.flat, evidence.test.flat
        if len(train) > MEMBERS:
            train = train[np.sort(rng.permutation(len(train))[:MEMBERS])]
        near = "distance to the nearest generated example"
        if self.score == "distance":
            return (
                -nearest_neighbours(train, fake)[0][:, 0],
                -nearest_neighbours(test, fake)[0][:, 0],
                near,
            )
        order = rng.permutation(len(test))
        reference, test = test[order[: len(test) // 2]], test[order[len(test) // 2 :]]
        members, others = (_ratio(rows, fake, reference) for rows in (train, test))
        return members, others, f"{near}, against that to the nearest of {len(reference)} real ones"

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        found = self.attack(evidence, rng)
        return Measurement(found.tpr, found.low, found.high, min(found.members, found.others))


def _ratio(rows: Array, fake: Array, reference: Array) -> Array:
    """Distance to the reference over the sum of both distances: 1 on a generated example; 0.5 on both."""
    made, real = nearest_neighbours(rows, fake)[0][:, 0], nearest_neighbours(rows, reference)[0][:, 0]
    return np.divide(real, made + real, out=np.full(len(rows), 0.5), where=made + real > 0)


def _tpr(members: Array, others: Array, fpr: float) -> float:
    """The share of members that score above what a share `fpr` of all others does.

    The r-th highest of n held-out scores is passed by r / (n + 1) of all others on average.
    Where several others stand at the threshold, as many of them pass as there is room for, and as large a
    part of the members there: a tie is not a failure of the attack.
    """
    room = max(0.0, fpr * (len(others) + 1) - 1)
    threshold = np.sort(others)[::-1][int(room)]
    above, tied = int((others > threshold).sum()), int((others == threshold).sum())
    part = min(1.0, (room - above) / tied)
    return float((members > threshold).mean() + part * (members == threshold).mean())


def auc(a: Array, b: Array) -> float:
    """P(a > b), ties half: the area under the ROC curve, which is U / (m n) of Mann & Whitney (1947)."""
    _, inverse, counts = np.unique(np.concatenate([a, b]), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    m, n = len(a), len(b)
    return float(ranks[:m].sum() - m * (m + 1) / 2) / (m * n)
