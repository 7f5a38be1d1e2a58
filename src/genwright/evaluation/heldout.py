"""From a run to what unseen examples cost under its model, beside what they cost under counting."""

from __future__ import annotations

import math

import numpy as np
import torch

from genwright.data.dataset import Split
from genwright.data.field import Array, Field
from genwright.data.loader import evenly
from genwright.evaluation.metrics.likelihood import LEVELS, HeldoutLikelihood, counted, dequantised
from genwright.families.capabilities import DensityEstimator
from genwright.model import Model
from genwright.space import Space, Symbol

__all__ = ["heldout_log_likelihood"]

MOST_TRAIN = 20_000
"""Training examples that are counted in."""


def heldout_log_likelihood(
    model: Model, n: int, seed: int, oracle: float | None = None
) -> HeldoutLikelihood | None:
    """What at most `n` examples held out of a run's data cost; None where the family has no likelihood, or
    the bridge takes it away (a density of one-hot numbers says nothing).

    oracle   nats of an example under the law of the data, where that is known
    """
    family = model.family
    if not isinstance(family, DensityEstimator) or not family.likelihood:
        return None
    if not model.bridge.keeps_likelihood:
        return None
    n = min(n, family.likelihood_examples or n)
    dataset, pipeline = model.dataset, model.pipeline
    field, asked = pipeline.made, family.space
    test = dataset.splits["test"]
    levels = field.levels == LEVELS and asked.kind == "real"
    width = _log_width(field.space, asked, levels)
    nats = _nats(model, family, test, n, seed, levels) - width
    train, held = _stored(model, dataset.splits["train"], MOST_TRAIN), _stored(model, test, n)
    mask = _mask(model, test, held)
    per, unit = _units(field, asked, held, mask)
    own = field.per(held, independent=family.within == "independent")
    if own is not None:
        per, unit = own.counts, own.name
    space = field.space
    if asked.kind == "symbol" and space != asked:  # what the model is asked for, and counting too
        space = asked
        train, held = (pipeline.bridge.forward(torch.from_numpy(x)).numpy() for x in (train, held))
    return HeldoutLikelihood(
        model=nats,
        baselines=counted(train, held, space, levels=levels, mask=mask),
        per=per,
        unit=unit,
        exact=family.likelihood == "exact" and width == 0,
        oracle=oracle,
        how=own.how if own is not None else "",
    )


@torch.no_grad()
def _nats(model: Model, family: DensityEstimator, test: Split, n: int, seed: int, levels: bool) -> Array:
    """Of each held-out example `(n,)`, as the family sees it."""
    pipeline, found = model.pipeline, []
    rng, draws = np.random.default_rng(seed), torch.Generator(family.device).manual_seed(seed)
    numbers = evenly(len(test), n)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for start in range(0, len(numbers), 256):
            some = numbers[start : start + 256]
            example = pipeline.example(test, some, torch.device("cpu"))
            if levels:
                x = example[pipeline.spec.make]
                example[pipeline.spec.make] = torch.from_numpy(dequantised(x.numpy(), rng))
            example = {name: x.to(family.device) for name, x in example.items()}
            seen = pipeline.seen(example, draws, pipeline.counted(test, len(some), family.device))
            found.append(-family.log_prob(seen).double())
    return np.asarray(torch.cat(found).cpu().numpy())


def _log_width(space: Space, asked: Space, levels: bool) -> float:
    """What makes a density of numbers in [-1, 1] the probability of what they stand for: the logarithm of the
    volume that an example has among them."""
    total = 0.0
    for slot in space.slots():
        if levels:
            total += slot.span.stored * math.log(2 / LEVELS)
        elif isinstance(slot.span, Symbol) and asked.kind == "real":
            total += math.log(2 / slot.span.k)
    return space.positions * total


def _units(field: Field, asked: Space, held: Array, mask: Array | None) -> tuple[Array, str]:
    """What a reader divides by, `(n,)`, and its name."""
    if "text" in field.views:
        return _bytes(field, held, mask), "bits_per_byte"
    bins = {span.k for span in asked.spans if isinstance(span, Symbol)}
    if field.levels == LEVELS and bins <= {LEVELS}:
        return np.full(len(held), float(math.prod(field.space.shape))), "bits_per_dim"
    return np.ones(len(held)), "nats"


def _bytes(field: Field, held: Array, mask: Array | None) -> Array:
    """Of the text that each row stands for; a window's first symbol is the business of the one before."""
    first = 0 if mask is None or bool(mask[:, 0].all()) else 1
    texts = field.decode(held[..., first:])
    return np.array([max(1, len(text.encode(errors="replace"))) for text in texts], dtype=np.float64)


def _stored(model: Model, split: Split, most: int) -> Array:
    return model.pipeline.stored(split, evenly(len(split), most)).numpy()


def _mask(model: Model, split: Split, held: Array) -> Array | None:
    """Which positions of held-out examples count `(n, *grid)`."""
    mask = model.pipeline.counted(split, len(held), torch.device("cpu"))
    if mask is None:
        mask = model.pipeline.made.space.valid(torch.from_numpy(held))
    return None if mask is None else mask.numpy()
