"""All metrics on all contenders, and what follows from it.

The model is one contender among several: further real examples (the real baseline), a copy of training
examples, and the trivial generators. Each is measured by the same code with as many examples.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
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

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation import validation
from genwright.evaluation.cache import Memo
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, OfPairs, difference_error
from genwright.evaluation.metrics.likelihood import likelihood_claim
from genwright.evaluation.results import Claim, MetricResult
from genwright.registry import build, names

__all__ = ["claims", "contenders", "holm", "metrics", "protocol", "results"]

VERSION = 4
"""Of how metrics are read; a change that moves figures counts it up."""

ALPHA = 0.05
WORTH = 0.013
"""A difference below this share is not spoken of, however sure (Bischoff et al. 2024)."""
KEPT = 8192
"""Measurements kept: of a few dozen reports."""
AT_A_TIME = 8
"""Metrics that are read at a time, at most: each needs memory."""

measurements = Memo(KEPT)


def metrics(evidence: Evidence, wanted: Sequence[str] = ()) -> list[Metric]:
    """The registered metrics that read what these examples offer, or those `wanted`."""
    made: list[Metric] = [
        build("metrics", name, {}, where="metric") for name in wanted or names("metrics")
    ]
    if wanted:
        return made
    return [
        metric
        for metric in made
        if metric.by_default
        and metric.reads in evidence.views
        and (evidence.conditional or "condition" not in metric.needs)
        and (evidence.answered or "pairs" not in metric.needs)
        and metric.fits(evidence)
    ]


def protocol(evidence: Evidence, asked: Sequence[Metric], seed: int) -> str:
    """How figures were measured, in short: figures of one protocol may stand in one table.

    It holds the version, the metrics, the feature extractor with its weights, the real examples and the
    seed, but nothing of what is evaluated.
    """
    real = (*evidence.test.keys, *evidence.train.keys)
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
        found["real_baseline"] = evidence.reference
    for name, make in makers.items():
        found[name] = make(np.random.default_rng([seed, *name.encode()]))
    return found


def results(
    evidence: Evidence, others: Mapping[str, Sample], asked: Sequence[Metric], seed: int
) -> list[MetricResult]:
    """One result for each metric. As many are read at a time as there are threads to work with, each in one
    thread: on a few thousand examples, the threads of one product wait for each other more than they work,
    and much more where something else runs beside them."""
    workers = min(torch.get_num_threads(), AT_A_TIME)
    with warnings.catch_warnings(), threadpool_limits(1):
        # The filters of warnings are one for all threads, which put back each other's.
        warnings.simplefilter("ignore", ConvergenceWarning)
        with ThreadPoolExecutor(workers, initializer=partial(threadpool_limits, 1)) as pool:
            return list(pool.map(partial(_measured, evidence=evidence, others=others, seed=seed), asked))


def _measured(
    metric: Metric, evidence: Evidence, others: Mapping[str, Sample], seed: int
) -> MetricResult:
    """A metric's measurement of every contender."""
    result = partial(
        MetricResult,
        metric=metric.name,
        group=metric.group,
        better=metric.better,
        how=metric.how,
        validated=validation.validated(metric.name),
        validation=validation.in_words(metric.name),
        fault=metric.fault,
        exchangeable=metric.exchangeable,
        equal=metric.equal,
    )
    if lacking := _lacking(metric, evidence):
        return result(model=None, refused=lacking)
    if isinstance(metric, OfPairs):
        return _answered(metric, evidence, seed, result)
    found: dict[str, Measurement] = {}
    refused = ""
    for name, sample in others.items():
        try:
            found[name] = _read(metric, evidence.about(sample), seed)
        except (
            Exception
        ) as error:  # one metric that breaks, perhaps of another package, ends no judgement
            refused = refused or (_in_words(metric, error) if name == "model" else "")
    model, real_baseline, train_copy = (
        found.pop(name, None) for name in ("model", "real_baseline", "copycat")
    )
    made = result(
        model=model, real_baseline=real_baseline, train_copy=train_copy, baselines=found, refused=refused
    )
    return replace(made, skill=_skill(made))


def _answered(
    metric: OfPairs, evidence: Evidence, seed: int, result: Callable[..., MetricResult]
) -> MetricResult:
    """A metric of answers: of the model's and of the trivial ones, beside the best there can be, which is the
    right answer itself."""
    rows: dict[str, Array] = {}
    found: dict[str, Measurement] = {}
    for name, asked in evidence.answers().items():
        try:
            rows[name] = metric.checked_rows(asked, seed)
            found[name] = metric.measured(rows[name])
        except Exception as error:  # as above: what cannot be measured has no row
            if name == "model":
                return result(model=None, refused=_in_words(metric, error))
    model = found.pop("model")
    assert metric.ideal is not None
    best = Measurement(metric.ideal, metric.ideal, metric.ideal, model.n)
    made = result(model=model, real_baseline=best, baselines=found)
    lead = None if made.best is None else metric.lead(rows["model"], rows[made.best])
    heeded = metric.lead(rows["model"], rows["shuffled"]) if "shuffled" in rows else None
    return replace(made, skill=_skill(made), lead=lead, heeded=heeded)


def _in_words(metric: Metric, error: Exception) -> str:
    """Why there is no figure, in a sentence."""
    if isinstance(error, DataError):
        return str(error)
    return f"{metric.name} broke, which should not have happened: {type(error).__name__}: {error}"


def _read(metric: Metric, evidence: Evidence, seed: int) -> Measurement:
    """Several models of one data set have the same company, which is measured but once."""
    sets = [evidence.train, evidence.test, evidence.reference, evidence.fake]
    if evidence.pairs is not None:
        sets += [evidence.pairs.made, evidence.pairs.true]
    digests = [sample.digest for sample in sets if sample is not None]
    if not all(digests):
        return metric.read(evidence, seed)
    options = repr(sorted(vars(metric).items()))
    key = (
        type(metric),
        options,
        seed,
        evidence.extractor,
        evidence.reference is None,
        *digests,
    )
    return measurements.keep(key, lambda: metric.read(evidence, seed))


def _lacking(metric: Metric, evidence: Evidence) -> str:
    """Why a metric cannot be asked at all, in a sentence; "" if it can."""
    if "labels" in metric.needs and not (evidence.test.given and evidence.fake.given):
        return f"{metric.name} needs labels on the real and on the generated examples"
    if "condition" in metric.needs and not evidence.conditional:
        return f"{metric.name} asks whether what is given is heeded, and nothing is given"
    if "pairs" in metric.needs and not evidence.answered:
        return f"{metric.name} compares each answer with the right one, and there are no right answers"
    if metric.reads in evidence.views and not metric.fits(evidence):
        return f"{metric.name} does not fit answers of {evidence.space}"
    if metric.reads not in evidence.views:
        return (
            f"{metric.name} reads the view {metric.reads!r}, and these examples offer "
            f"{', '.join(sorted(evidence.views))}"
        )
    if "reference" in metric.needs and evidence.reference is None:
        return f"{metric.name} needs further real examples, and too few are held out"
    return ""


def _skill(result: MetricResult) -> float | None:
    """(best baseline - model) / (best baseline - real baseline), or None where that says nothing."""
    if result.model is None or result.real_baseline is None or result.best is None:
        return None
    best = result.baselines[result.best]
    if result.far(best) <= 2 * max(best.error, result.real_baseline.error):
        return None
    return 1.0 - result.far(result.model) / result.far(best)


# -- what follows ----------------------------------------------------------------------------------


def claims(found: Sequence[MetricResult], rules: Collection[str] = ()) -> list[Claim]:
    """The verdict, claim by claim.

    rules  names of the baselines that can answer in the place of the model
    """
    sound = [result for result in found if result.validated and result.model is not None]
    groups = {group: [result for result in sound if result.group == group] for group in _CLAIMS}
    made = [
        _claim(question, groups[group], _CLAIMS[group][1])
        for group, (question, _) in _CLAIMS.items()
        if any(result.real_baseline is not None for result in groups[group])
    ]
    predicted = [likelihood_claim(result) for result in sound if result.group == "likelihood"]
    heeds = [_heeds(result) for result in sound if result.group == "condition"]
    heeds = heeds or [_heeds_in_answers(sound)]
    trivial = (_beats_answers(sound, rules), _beats_trivial(sound))
    return [one for one in (*trivial, *predicted, *heeds) if one is not None] + made


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
    """Whether every metric of a group finds the model where real examples are; of copying, where those are that cannot
    have copied."""
    of = [replace(one, real_baseline=one.of_no_copier) for one in of]
    tested = [(result, _p(result)) for result in of if result.real_baseline is not None]
    failed = [result.metric for result, p in holm(tested, ALPHA) if _matters(result)]
    if failed:
        return Claim(
            "not supported", question, f"the examples are {fault}, by {_listed(failed)} (Holm, 5 %)"
        )
    smallest = min(result.model.n for result, _ in tested if result.model is not None)
    if smallest < 200:
        return Claim(
            "inconclusive",
            question,
            f"no difference was found by {_listed([result.metric for result, _ in tested])}, but {smallest} "
            f"examples of each are too few to rule one out",
        )
    return Claim(
        "supported",
        question,
        f"no difference beyond the noise of {smallest:,} examples of each, by "
        f"{_listed([result.metric for result, _ in tested])}",
    )


HEEDED = 0.5
"""Of what real examples reach with their own conditions: below it what is given is hardly heeded."""


def _heeds(result: MetricResult) -> Claim | None:
    """Whether what was given shows in what was made, by a metric that is 0 where it does not."""
    if result.model is None or result.real_baseline is None:
        return None
    question, model, real = "Is what is given heeded?", result.model, result.real_baseline
    numbers = (
        f"{result.metric} {model.value:.2f} [{model.low:.2f}, {model.high:.2f}], where 0 is chance and real "
        f"examples with their own conditions reach {real.value:.2f}"
    )
    if real.low <= 0:
        return Claim(
            "inconclusive", question, f"real examples do not show what was given either: {numbers}"
        )
    if model.low > HEEDED * real.value:
        return Claim("supported", question, f"heeds what is given: {numbers}")
    if model.high >= HEEDED * real.value:
        return Claim("inconclusive", question, f"perhaps heeds what is given: {numbers}")
    how = "ignores" if model.low <= 0 else "hardly heeds"
    return Claim("not supported", question, f"{how} what is given: {numbers}")


def _heeds_in_answers(found: Sequence[MetricResult]) -> Claim | None:
    """The same where a part of the answer itself is given: whether answers are nearer to what is right than those
    to other questions are."""
    scored = [r for r in found if r.heeded is not None and r.better != "near"]
    if not scored:
        return None
    question, closer = "Is what is given heeded?", [r for r in scored if r.heeded and r.heeded.low > 0]
    share = f"{len(closer)} of {len(scored)} metrics of answers"
    if 2 * len(closer) > len(scored):
        words = (
            f"its answers are nearer to the right ones than its answers to other questions, by {share}"
        )
        return Claim("supported", question, f"heeds what is given: {words}")
    words = f"its answers to other questions are as near to the right ones, by {_listed([r.metric for r in scored])}"
    return Claim(
        "inconclusive" if closer else "not supported",
        question,
        f"{'hardly heeds' if closer else 'ignores'} what is given: {words}",
    )


def _beats_trivial(found: Sequence[MetricResult]) -> Claim | None:
    """Whether the model is better than the best trivial generator where those differ from real."""
    scored = [
        result
        for result in found
        if result.skill is not None and result.group not in ("novelty", "condition", "accuracy")
    ]
    return _beats(scored, "Is it better than trivial generators?", "that tell those from real ones")


def _beats_answers(found: Sequence[MetricResult], rules: Collection[str] = ()) -> Claim | None:
    """Whether the model is nearer to the right answers than the best trivial answerer, which may well be right.

    rules  those that can answer in the place of the model
    """
    scored = [result for result in found if result.lead is not None and result.better != "near"]
    claim = _beats(scored, "Is it nearer to the right answers than trivial ones are?", "of answers")
    if claim is None or claim.outcome == "supported":
        return claim
    ahead = [r.best for r in scored if r.best is not None and r.lead is not None and r.lead.value < 0]
    best = max(sorted({*ahead}), key=ahead.count, default="")
    if not best or best not in rules:
        return claim
    words = f"{claim.because}; {best} is nearer: genwright apply RUN FILE --set baseline={best} answers as it does"
    return replace(claim, because=words, instead=best)


def _beats(scored: Sequence[MetricResult], question: str, which: str) -> Claim | None:
    """Whether the model is better than the best baseline, by most of the metrics."""
    if not scored:
        return None
    worse: list[str] = []
    better: list[str] = []
    for result in scored:
        gap, noise = _gap_to_best(result)
        (better if gap > noise else worse if gap < -noise else []).append(result.metric)
    share = f"{len(better)} of {len(scored)} metrics {which}"
    if len(better) > 0.5 * len(scored) and len(worse) <= 0.25 * len(scored):
        return Claim("supported", question, f"better by {share}")
    if len(worse) > 0.5 * len(scored):
        return Claim(
            "not supported", question, f"worse by {len(worse)} of {len(scored)}: {_listed(worse)}"
        )
    return Claim("inconclusive", question, f"better by {share}, worse by {len(worse)}")


def _gap_to_best(result: MetricResult) -> tuple[float, float]:
    """By how much the model is better than the best baseline, and half of the 95 % interval of that."""
    if result.lead is not None:
        return result.lead.value, 1.96 * result.lead.error
    assert result.model is not None
    assert result.best is not None
    best = result.baselines[result.best]
    return result.far(best) - result.far(result.model), 1.96 * float(
        np.hypot(best.error, result.model.error)
    )


def _p(result: MetricResult) -> float:
    """Chance of such a gap to the real baseline between equally good models: a normal test of the two
    measurements, one-sided where only one side is a fault."""
    assert result.model is not None
    assert result.real_baseline is not None
    noise = difference_error(result.model, result.real_baseline)
    gap = result.faulty(result.model)
    if noise == 0:
        return 1.0 if gap <= 0 else 0.0
    both = result.better == "near" and result.fault == "either"
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


def _matters(result: MetricResult) -> bool:
    """Whether the gap to the real baseline is worth a word."""
    assert result.model is not None
    assert result.real_baseline is not None
    return result.faulty(result.model) > WORTH * max(abs(result.real_baseline.value), 1e-12)


def _listed(words: Sequence[Any]) -> str:
    return ", ".join(map(str, words))
