"""From a run to what unseen examples cost under its model, beside what they cost under counting."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.data.codec import Array, Codec
from genwright.data.dataset import Dataset, Split
from genwright.data.loader import in_order
from genwright.evaluation.metrics.likelihood import LEVELS, HeldoutLikelihood, counted, dequantised
from genwright.experiment import open_data
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
    if model.family.likelihood == "none" or not model.bridge.keeps_likelihood:
        return None
    n = min(n, model.family.likelihood_examples or n)
    dataset = open_data(model.recipe)[2]
    asked = model.family.space
    levels = dataset.codec_name == "image" and asked.kind == "real"
    width = _log_width(dataset.codec.space, asked, levels)
    nats = _nats(model, dataset.splits["test"], n, seed, levels) - width
    train, held = _stored(dataset.splits["train"], MOST_TRAIN), _stored(dataset.splits["test"], n)
    mask = _mask(dataset.splits["test"], n)
    per, unit = _units(dataset, asked, held, mask)
    space = dataset.codec.space
    if asked.kind == "symbol" and space != asked:  # what the model is asked for, and counting too
        space = asked
        train, held = (model.bridge.forward(torch.from_numpy(x)).numpy() for x in (train, held))
    return HeldoutLikelihood(
        model=nats,
        baselines=counted(train, held, space, levels=levels, mask=mask),
        per=per,
        unit=unit,
        exact=model.family.likelihood == "exact" and width == 0,
        oracle=oracle,
    )


@torch.no_grad()
def _nats(model: Model, test: Split, n: int, seed: int, levels: bool) -> Array:
    """Of each held-out example `(n,)`, as the family sees it."""
    family, found = model.family, []
    rng, draws = np.random.default_rng(seed), torch.Generator(family.device).manual_seed(seed)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        for batch in in_order(test, 256, n):
            if levels:
                batch.x = torch.from_numpy(dequantised(batch.x.numpy(), rng))
            batch = batch.to(family.device)
            seen = Batch(model.bridge.forward(batch.x), batch.cond, batch.mask)
            found.append(-family.log_prob(model.task.view(seen, draws)).double())
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


def _units(dataset: Dataset, asked: Space, held: Array, mask: Array | None) -> tuple[Array, str]:
    """What a reader divides by, `(n,)`, and its name."""
    codec, numbers = dataset.codec, math.prod(dataset.codec.space.shape)
    if dataset.codec_name == "text":
        return _bytes(codec, held, mask), "bits_per_byte"
    bins = {span.k for span in asked.spans if isinstance(span, Symbol)}
    if dataset.codec_name == "image" and bins <= {LEVELS}:
        return np.full(len(held), float(numbers)), "bits_per_dim"
    return np.ones(len(held)), "nats"


def _bytes(codec: Codec, held: Array, mask: Array | None) -> Array:
    """Of the text that each row stands for; a window's first symbol is the business of the one before."""
    first = 0 if mask is None or bool(mask[:, 0].all()) else 1
    texts = codec.decode(held[..., first:], {})
    return np.array([max(1, len(text.encode(errors="replace"))) for text in texts], dtype=np.float64)


def _stored(split: Split, most: int) -> Array:
    return np.concatenate([batch.x.numpy() for batch in in_order(split, 1024, most)])


def _mask(split: Split, most: int) -> Array | None:
    masks: list[Tensor] = [batch.mask for batch in in_order(split, 1024, most) if batch.mask is not None]
    return torch.cat(masks).numpy() if masks else None
