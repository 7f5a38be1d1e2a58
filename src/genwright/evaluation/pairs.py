"""What a model answers to what was held out, beside the right answers and trivial ones.

The requests are those that a person would have made for held-out examples: the task says what they would have
given (`Pipeline.cases`). No task and no field is named here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.data.dataset import Split
from genwright.data.field import Array, Field
from genwright.data.table.field import RowField
from genwright.errors import DataError
from genwright.evaluation.baselines import (
    compared,
    constant,
    mismatch,
    nearest,
    others,
    regridded,
    ruled,
)
from genwright.evaluation.evidence import Pairs
from genwright.evaluation.reference import ReferenceData
from genwright.families.capabilities import DensityEstimator
from genwright.model import Model
from genwright.pipeline import Asked, Pipeline

__all__ = ["BLOCK", "DRAWS", "pairs_of"]

BESIDE = 500
"""Pairs, where the model makes whole examples to be judged beside them."""
DRAWS = 9
"""Answers to one question: of ten numbers that are alike, one of them true, the true one is neither the least nor
the greatest in 80 % (see `Coverage80`)."""
DRAWN = 250
"""Questions that are asked so often, at most."""
CELLS = 8_000_000
"""Numbers of all these answers, at most, where that leaves `FEW` questions."""
FEW = 50
BLOCK = 51
"""True answers among which the right one is looked for."""
BLOCKS = 2
LONG = 256
"""Numbers of an answer, from which on one block has to do."""


def pairs_of(model: Model, data: ReferenceData, n: int, seed: int) -> Pairs | None:
    """What a model makes of what a person would have given for at most `n` held-out examples, beside these; None
    where they would have given labels at most."""
    pipeline, split = model.pipeline, data.dataset.splits["test"]
    n = min(n, BESIDE) if model.makes_from_labels else n
    numbers = np.random.default_rng([seed, 1]).permutation(len(split))[:n]
    asked, _ = pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
    if all(name in pipeline.scalars for name in asked.given):
        return None
    truth = _stored(data, split, numbers)
    made = _answers(model, data, len(numbers), asked, seed)
    pairs = Pairs(
        asked.values,
        data.decoded(made, {}),
        data.decoded(truth, {}),
        known=_known(pipeline, data.field, asked, truth),
        supervised=model.task.paired,
        asks={name: pipeline.asker(name) for name in asked.given},
    )
    if not pairs.supervised:
        return pairs
    pairs = replace(
        pairs,
        draws=_draws(model, data, made, asked, seed),
        log_probs=_log_probs(model, truth, asked, seed),
    )
    return replace(pairs, baselines=_trivial(model, data, asked, pairs, seed))


def _stored(data: ReferenceData, split: Split, numbers: Array) -> Array:
    """Whole examples of a split, with the parts of them that are given too."""
    found: Array = data.field.expand(split.gather(numbers, [data.make])[data.make]).numpy()
    return found


def _answers(model: Model, data: ReferenceData, n: int, asked: Asked, seed: int) -> Array:
    """Stored answers `(n, stored, *grid)`, as files hold them: numbers on the levels of the field. Symbols stay as
    they were made, since a text that is read again may fall into other pieces."""
    own, whole = model.pipeline.made.space, data.field.space
    if whole.kind == "symbol" and own == whole:
        return model.stored(n, asked, seed, {}).cpu().numpy()
    values = model.make(n, asked, seed, {}).values[model.pipeline.spec.make]
    return data.field.tensor(values).numpy()


def _known(pipeline: Pipeline, field: Field, asked: Asked, truth: Array) -> Array | None:
    """Which numbers of the whole examples were given; None where no part of them was."""
    part = asked.given.get(pipeline.spec.make)
    if not isinstance(part, tuple):
        return None
    seen, made = part[1].cpu().numpy(), pipeline.made
    if made.space == field.space:
        return seen
    assert isinstance(field, RowField), "parts of a row alone are given beside it"
    assert isinstance(made, RowField)
    known, first, own = np.ones(truth.shape, dtype=bool), 0, 0
    for name, column in field.columns.items():
        if name in made.columns:
            known[:, first : first + column.stored] = seen[:, own : own + column.stored]
            own += column.stored
        first += column.stored
    return known


def _draws(model: Model, data: ReferenceData, made: Array, asked: Asked, seed: int) -> Array | None:
    """Several answers to each of the first questions, where an answer holds numbers."""
    if data.field.space.kind == "symbol":
        return None
    m = min(len(made), DRAWN, max(FEW, CELLS // (DRAWS * made[0].size)))
    some = _first(model.pipeline, asked, m)
    more = [_answers(model, data, m, some, seed + i) for i in range(1, DRAWS)]
    draws, own = np.stack([made[:m], *more]), model.pipeline.made
    return own.calibrated(draws) if own.space == data.field.space else draws


def _first(pipeline: Pipeline, asked: Asked, m: int) -> Asked:
    """The first m of what was asked."""
    given: dict[str, Tensor | tuple[Tensor, Tensor]] = {
        name: (one[0][:m], one[1][:m]) if isinstance(one, tuple) else one[:m]
        for name, one in asked.given.items()
    }
    values = {name: pipeline.asker(name).take(one, range(m)) for name, one in asked.values.items()}
    return Asked(values, given, asked.request.rows(slice(0, m)), asked.length)


@torch.no_grad()
def _log_probs(model: Model, truth: Array, asked: Asked, seed: int) -> Array | None:
    """How likely the model finds each of a block of true answers under the condition of each, where it can say so
    exactly and in a pass or two: a bound takes many draws for each of some thousands."""
    family, pipeline = model.family, model.pipeline
    part = asked.given.get(pipeline.spec.make)
    if not isinstance(family, DensityEstimator) or family.likelihood != "exact":
        return None
    if not model.bridge.keeps_likelihood or family.likelihood_examples or isinstance(part, tuple):
        return None
    if pipeline.made.space.shape != truth.shape[1:]:
        return None
    size = min(BLOCK, len(truth))
    blocks = min(1 if truth[0].size > LONG else BLOCKS, len(truth) // size)
    x = torch.from_numpy(truth[: blocks * size])
    cond = {name: one[: blocks * size].to(family.device) for name, one in asked.request.cond.items()}
    kept = pipeline.bridge.target.grid == pipeline.bridge.source.grid
    mask = pipeline.made.space.valid(x) if kept else None
    found = np.empty((blocks, size, size))
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        seen = pipeline.bridge.forward(x.to(family.device))
        for i in range(blocks * size):
            block = slice(i // size * size, i // size * size + size)
            own_cond = {name: one[i : i + 1].expand(size, *one.shape[1:]) for name, one in cond.items()}
            there = None if mask is None else mask[block].to(family.device)
            batch = Batch(seen[block], own_cond, there)
            found[i // size, i % size] = family.log_prob(batch).double().cpu().numpy()
    return found if np.isfinite(found).all() else None


# -- trivial answers -------------------------------------------------------------------------------


def _trivial(
    model: Model, data: ReferenceData, asked: Asked, pairs: Pairs, seed: int
) -> dict[str, Pairs]:
    """What trivial answerers say to the same, by name; one that cannot answer is left out."""
    rng = np.random.default_rng([seed, *b"answers"])
    train, near = _nearest(model.pipeline, data, asked, pairs, rng)
    one = constant(train, data.field.space)
    answers = {
        "source": _on_grid(model.pipeline, data, asked),
        "constant": np.repeat(one, len(pairs.true), axis=0),
        "nearest": train[near[:, 0]],
    }
    found = {
        name: _answered(data, pairs, x, train[near.T] if name == "nearest" else x[None])
        for name, x in answers.items()
        if x is not None
    }
    if "source" not in found and (copied := _copied(model.pipeline, data, asked, pairs)) is not None:
        found["source"] = copied
    found |= {
        name: _answered(data, pairs, draws[len(draws) // 2], draws)
        for name, draws in ruled(data.field, pairs.true.x, pairs.known, DRAWS).items()
    }
    return found | {"shuffled": _shuffled(data, pairs, rng)}


def _answered(data: ReferenceData, pairs: Pairs, x: Array, draws: Array) -> Pairs:
    """Stored answers `(n, stored, *grid)` and several of them `(k, n, ...)`, with what was given in its place."""
    known, true = pairs.known, pairs.true.x
    if known is not None:
        x, draws = np.where(known, true, x), np.where(known, true, draws)
    m = None if pairs.draws is None else pairs.draws.shape[1]
    same, where = np.unique(x, axis=0, return_inverse=True)
    made = data.decoded(same.astype(true.dtype), {}).take(where.reshape(-1))
    return replace(pairs, made=made, draws=None if m is None else draws[:, :m], log_probs=None)


def _shuffled(data: ReferenceData, pairs: Pairs, rng: np.random.Generator) -> Pairs:
    """The model's answers to other questions."""
    other, draws = others(len(pairs.true), rng), None
    if pairs.draws is not None:
        m = pairs.draws.shape[1]
        draws = pairs.draws[:, others(m, rng)]
        draws = draws if pairs.known is None else np.where(pairs.known[:m], pairs.true.x[:m], draws)
    if pairs.known is None:
        return replace(pairs, made=pairs.made.take(other), draws=draws, log_probs=None)
    x = pairs.made.x[other]
    return replace(_answered(data, pairs, x, x[None]), draws=draws)


def _on_grid(pipeline: Pipeline, data: ReferenceData, asked: Asked) -> Array | None:
    """Numbers that were given, on the grid of the answer; None where there are none that could be one."""
    for name, ask in pipeline.spec.asks.items():
        given = asked.given.get(name)
        if isinstance(given, Tensor):
            x = regridded(given.cpu().numpy(), ask.space, data.field.space)
            if x is not None:
                return x
    return None


def _copied(pipeline: Pipeline, data: ReferenceData, asked: Asked, pairs: Pairs) -> Pairs | None:
    """What was given as the answer, word for word: a text in the place of a text. What the field of the answer
    cannot spell stands as it was given; None where nothing of its kind was given, or what is none of its values."""
    for name, ask in pipeline.spec.asks.items():
        same = pipeline.fields[ask.field].kind == data.field.kind and data.field.space.kind == "symbol"
        if same and data.field.space.grid and isinstance(asked.given.get(name), Tensor):
            values = asked.values[name]
            try:
                stored = data.field.tensor(values).numpy()
            except DataError:  # of a kind, and not of its kind: drums are no bass
                return None
            made = data.sample(stored, values, {})
            return replace(pairs, made=made, draws=None, log_probs=None)
    return None


def _nearest(
    pipeline: Pipeline, data: ReferenceData, asked: Asked, pairs: Pairs, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Stored answers of training examples, and which of them have the nearest given `(n, DRAWS)`."""
    split, n = data.dataset.splits["train"], len(pairs.true)
    size = sum(ask.space.stored * ask.space.positions for ask in pipeline.spec.asks.values())
    numbers = compared(len(split), n, size, rng)
    theirs, _ = pipeline.cases(split, numbers, torch.Generator().manual_seed(0))
    far = []
    for name, ask in pipeline.spec.asks.items():
        given, other = asked.given.get(name), theirs.given.get(name)
        if isinstance(given, tuple) and isinstance(other, tuple):  # theirs are whole behind the gaps
            known = given[1].cpu().numpy()
            far.append(mismatch(given[0].cpu().numpy(), other[0].cpu().numpy(), ask.space, known))
        elif isinstance(given, Tensor) and isinstance(other, Tensor):
            far.append(mismatch(given.cpu().numpy(), other.cpu().numpy(), ask.space))
    return _stored(data, split, numbers), nearest(far, DRAWS)
