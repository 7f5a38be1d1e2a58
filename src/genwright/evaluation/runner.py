"""All metrics on all contenders, and what follows from it.

The model is one contender among several: further real examples (the floor), a copy of training examples,
and the trivial generators. Each is judged by the same code with as many examples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from hashlib import blake2b
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning
from threadpoolctl import threadpool_limits

from genwright.errors import DataError
from genwright.evaluation import validation
from genwright.evaluation.cache import Memo
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, apart
from genwright.evaluation.metrics.likelihood import finding
from genwright.evaluation.results import Claim, MetricResult
from genwright.registry import build, names

__all__ = ["contenders", "findings", "holm", "lines", "metrics", "protocol"]

VERSION = 1
"""Of how metrics are read; a change that moves figures counts it up."""

ALPHA = 0.05
WORTH = 0.013
"""A difference below this share is not spoken of, however sure (Bischoff et al. 2024)."""
KEPT = 8192
"""Readings kept: of a few dozen judgements."""
AT_A_TIME = 8
"""Metrics that are read at a time, at most: each needs memory."""

readings = Memo(KEPT)


def metrics(evidence: Evidence, wanted: Sequence[str] = ()) -> list[Metric]:
    """The registered metrics that this kind of evidence can be asked, or those `wanted`."""
    made: list[Metric] = [
        build("metrics", name, {}, where="metric") for name in wanted or names("metrics")
    ]
    if wanted:
        return made
    return [m for m in made if m.kinds is None or evidence.kind in m.kinds]


def protocol(evidence: Evidence, asked: Sequence[Metric], seed: int) -> str:
    """How figures were measured, in short: figures of one protocol may stand in one table.

    It holds the version, the metrics, the lens with its weights, the real examples and the seed, but nothing
    of what is judged.
    """
    real = (*evidence.held.keys, *evidence.train.keys)
    about = " ".join([*(m.name for m in asked), evidence.extractor, *real, str(seed)])
    return f"judge-{VERSION}-{blake2b(about.encode(), digest_size=4).hexdigest()}"


def contenders(
    evidence: Evidence,
    makers: Mapping[str, Callable[[np.random.Generator], Sample]],
    seed: int,
) -> dict[str, Sample]:
    """The model and its company, by name. A maker that cannot is left out."""
    found = {"model": evidence.fake}
    if evidence.reference is not None:
        found["floor"] = evidence.reference
    for name, make in makers.items():
        found[name] = make(np.random.default_rng([seed, *name.encode()]))
    return found


def lines(
    evidence: Evidence, others: Mapping[str, Sample], asked: Sequence[Metric], seed: int
) -> list[MetricResult]:
    """One line for each metric. As many are read at a time as there are threads to work with, each in one
    thread: on a few thousand examples, the threads of one product wait for each other more than they work,
    and much more where something else runs beside them."""
    workers = min(torch.get_num_threads(), AT_A_TIME)
    with warnings.catch_warnings(), threadpool_limits(1):
        # The filters of warnings are one for all threads, which put back each other's.
        warnings.simplefilter("ignore", ConvergenceWarning)
        with ThreadPoolExecutor(workers, initializer=partial(threadpool_limits, 1)) as pool:
            return list(pool.map(partial(_line, evidence=evidence, others=others, seed=seed), asked))


def _line(metric: Metric, evidence: Evidence, others: Mapping[str, Sample], seed: int) -> MetricResult:
    """A metric's reading of every contender."""
    line = partial(
        MetricResult,
        metric=metric.name,
        group=metric.group,
        better=metric.better,
        how=metric.how,
        validated=validation.validated(metric.name),
        validation=validation.in_words(metric.name),
        fault=metric.fault,
    )
    if lacking := _lacking(metric, evidence):
        return line(model=None, refused=lacking)
    found: dict[str, Measurement] = {}
    refused = ""
    for name, sample in others.items():
        try:
            found[name] = _read(metric, evidence.about(sample), seed)
        except DataError as error:
            refused = refused or (str(error) if name == "model" else "")
        except (
            Exception
        ) as error:  # one metric that breaks, perhaps of another package, ends no judgement
            broken = (
                f"{metric.name} broke, which should not have happened: {type(error).__name__}: {error}"
            )
            refused = refused or (broken if name == "model" else "")
    model, floor, train_copy = (found.pop(name, None) for name in ("model", "floor", "copycat"))
    made = line(model=model, floor=floor, train_copy=train_copy, baselines=found, refused=refused)
    return replace(made, skill=_skill(made))


def _read(metric: Metric, evidence: Evidence, seed: int) -> Measurement:
    """Several models of one data set have the same company, which is read but once."""
    sets = (evidence.train, evidence.held, evidence.reference, evidence.fake)
    digests = [sample.digest for sample in sets if sample is not None]
    if not all(digests):
        return metric.read(evidence, seed)
    options = repr(sorted(vars(metric).items()))
    key = (
        type(metric),
        options,
        seed,
        evidence.kind,
        evidence.extractor,
        evidence.reference is None,
        *digests,
    )
    return readings.keep(key, lambda: metric.read(evidence, seed))


def _lacking(metric: Metric, evidence: Evidence) -> str:
    """Why a metric cannot be asked at all, in a sentence; "" if it can."""
    if "labels" in metric.needs and not (evidence.held.given and evidence.fake.given):
        return f"{metric.name} needs labels on the real and on the generated examples"
    if "spare" in metric.needs and evidence.reference is None:
        return f"{metric.name} needs further real examples, and too few are held out"
    return ""


def _skill(line: MetricResult) -> float | None:
    """(best baseline - model) / (best baseline - floor), or None where that says nothing."""
    if line.model is None or line.floor is None or line.best is None:
        return None
    best = line.baselines[line.best]
    if line.far(best) <= 2 * max(best.error, line.floor.error):
        return None
    return 1.0 - line.far(line.model) / line.far(best)


# -- what follows ----------------------------------------------------------------------------------


def findings(found: Sequence[MetricResult]) -> list[Claim]:
    """The verdict, claim by claim."""
    sound = [line for line in found if line.validated and line.model is not None]
    groups = {group: [line for line in sound if line.group == group] for group in _CLAIMS}
    made = [
        _claim(question, groups[group], _CLAIMS[group][1])
        for group, (question, _) in _CLAIMS.items()
        if any(line.floor is not None for line in groups[group])
    ]
    foretold = [finding(line) for line in sound if line.group == "likelihood"]
    return [one for one in (_beats_trivial(sound), *foretold) if one is not None] + made


_CLAIMS: dict[str, tuple[str, str]] = {
    "fidelity": ("Can it not be told from real examples?", "told from real ones"),
    "diversity": ("Is it as varied as the real examples?", "of another variety than real ones"),
    "novelty": (
        "Is it new rather than copied?",
        "closer to the training examples than new real ones are",
    ),
    "usefulness": ("Can it stand in for the real data?", "of less use than real ones"),
    "validity": ("Does it keep the rules of the data?", "against rules that real ones keep"),
}


def _claim(question: str, of: Sequence[MetricResult], fault: str) -> Claim:
    """Whether every metric of a group finds the model where real examples are."""
    tested = [(line, _p(line)) for line in of if line.floor is not None]
    failed = [line.metric for line, p in holm(tested, ALPHA) if _matters(line)]
    if failed:
        return Claim(
            "not supported", question, f"the examples are {fault}, by {_listed(failed)} (Holm, 5 %)"
        )
    smallest = min(line.model.n for line, _ in tested if line.model is not None)
    if smallest < 200:
        return Claim(
            "inconclusive",
            question,
            f"no difference was found by {_listed([line.metric for line, _ in tested])}, but {smallest} "
            f"examples of each are too few to rule one out",
        )
    return Claim(
        "supported",
        question,
        f"no difference beyond the noise of {smallest:,} examples of each, by "
        f"{_listed([line.metric for line, _ in tested])}",
    )


def _beats_trivial(found: Sequence[MetricResult]) -> Claim | None:
    """Whether the model is better than the best trivial generator where those differ from real."""
    scored = [line for line in found if line.skill is not None and line.group != "novelty"]
    if not scored:
        return None
    worse: list[str] = []
    better: list[str] = []
    for line in scored:
        assert line.model is not None
        assert line.best is not None
        best = line.baselines[line.best]
        gap = line.far(best) - line.far(line.model)
        noise = 1.96 * np.hypot(best.error, line.model.error)
        (better if gap > noise else worse if gap < -noise else []).append(line.metric)
    question = "Is it better than trivial generators?"
    share = f"{len(better)} of {len(scored)} metrics that tell those from real ones"
    if len(better) > 0.5 * len(scored) and len(worse) <= 0.25 * len(scored):
        return Claim("supported", question, f"better by {share}")
    if len(worse) > 0.5 * len(scored):
        return Claim(
            "not supported", question, f"worse by {len(worse)} of {len(scored)}: {_listed(worse)}"
        )
    return Claim("inconclusive", question, f"better by {share}, worse by {len(worse)}")


def _p(line: MetricResult) -> float:
    """Chance of such a gap to the floor between equally good makers: a normal test of the two readings,
    one-sided where only one side is a fault."""
    assert line.model is not None
    assert line.floor is not None
    noise = apart(line.model, line.floor)
    gap = line.faulty(line.model)
    if noise == 0:
        return 1.0 if gap <= 0 else 0.0
    both = line.better == "near" and line.fault == "either"
    return (2 if both else 1) * NormalDist().cdf(-gap / noise)


Tested = TypeVar("Tested")


def holm(tested: Sequence[tuple[Tested, float]], level: float) -> list[tuple[Tested, float]]:
    """Those with their p that stay significant at `level` when so many were looked at (Holm 1979)."""
    ordered = sorted(tested, key=lambda pair: pair[1])
    kept = []
    for i, (one, p) in enumerate(ordered):
        if p > level / (len(ordered) - i):
            break
        kept.append((one, p))
    return kept


def _matters(line: MetricResult) -> bool:
    """Whether the gap to the floor is worth a word."""
    assert line.model is not None
    assert line.floor is not None
    return line.faulty(line.model) > WORTH * max(abs(line.floor.value), 1e-12)


def _listed(words: Sequence[Any]) -> str:
    return ", ".join(map(str, words))
