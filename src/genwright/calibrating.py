"""After a training: how far the answers of the model are to be trusted, by the questions that chose its weights."""

from __future__ import annotations

import numpy as np
import torch

from genwright.model import Model

__all__ = ["calibrate"]

QUESTIONS = 200
"""Held-out examples that are asked about, at most."""


def calibrate(model: Model) -> None:
    """Where several answers to a question are given as one (`Field.draws`), learn by the validation split how far they
    are to be trusted, and keep that in the run of the model. Nothing where the split is empty."""
    made, split, run = model.pipeline.made, model.dataset.splits["val"], model.run
    if made.draws == 1 or not len(split) or model.pipeline.spec.make not in model.pipeline.spec.asks:
        return
    if run.calibration:  # nothing was trained since
        return
    seed = model.recipe.seed
    numbers = np.sort(np.random.default_rng(seed).permutation(len(split))[:QUESTIONS])
    asked, truth = model.pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
    draws = [model.stored(len(numbers), asked, seed + i, {}).cpu().numpy() for i in range(made.draws)]
    learnt = made.calibrate(np.stack(draws), truth.cpu().numpy(), len(split))
    if learnt:
        with run.lock():
            run.calibrate({"step": model.step, "field": dict(learnt)})
