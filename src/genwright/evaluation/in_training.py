"""The judge within a training: a few figures at some of its checks, by which the best weights are chosen.

Against the examples to choose by, not those to judge by: what was chosen by an exam is not to be examined
by it again.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from genwright.data.dataset import Dataset
from genwright.errors import DataError
from genwright.evaluation import runner
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Measurement
from genwright.evaluation.reference import MOST_TRAIN, reference_data
from genwright.model import Samples
from genwright.recipe import Recipe
from genwright.storage import durable

__all__ = ["InTrainingEvaluation"]

METRICS = ("kid", "precision", "coverage", "exact_copies")
"""Cheap, and between them good, varied and new; the first is what is chosen by."""
LEAST = 50


class InTrainingEvaluation:
    """Readings of samples, the same for every step: one lens, one set of real examples."""

    def __init__(self, recipe: Recipe, dataset: Dataset) -> None:
        """Raises `DataError` where too few examples are held out to choose by."""
        self.seed = recipe.seed
        self.bench = reference_data(recipe, dataset, recipe.seed, "auto")
        splits, rng = self.bench.dataset.splits, np.random.default_rng([recipe.seed, 5])
        self.n = min(recipe.train.judge_examples, len(splits["val"]))
        if self.n < LEAST:
            raise DataError(
                f"train.judge needs {LEAST} examples to choose by, there are {self.n}: raise data.val or "
                f"train.judge_examples, or leave it out",
                code="too-few-examples",
            )
        self.train = self.bench.real(splits["train"], MOST_TRAIN, rng)
        self.held = self.bench.real(splits["val"], self.n, rng)

    def __call__(self, samples: Samples, path: Path) -> dict[str, Measurement]:
        """Readings by metric, also written to `path` as JSON; a metric that cannot be had is left out."""
        fake, _ = self.bench.write_and_reload(samples, self.n, np.random.default_rng([self.seed, 6]))
        bench = self.bench
        evidence = Evidence(bench.field.space, bench.extractor.name, self.train, self.held, fake)
        found = {}
        for metric in runner.metrics(evidence, METRICS):
            try:
                found[metric.name] = metric.read(evidence, self.seed)
            except DataError:
                continue
        durable.io.mkdir(path.parent)
        about = {"lens": evidence.extractor, "n": self.n, "seed": self.seed}
        readings = {name: asdict(reading) for name, reading in found.items()}
        durable.write(path, json.dumps(about | {"metrics": readings}, indent=1).encode() + b"\n")
        return found
