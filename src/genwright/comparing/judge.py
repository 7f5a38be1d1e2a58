"""What all trainings of a comparison are measured by: one judge, on the same held-out examples, by the same features.

A training that is to go on or not is looked at with the examples to choose by, one that is over with those to judge
by. The company of the models (further real examples, a copy of training examples, trivial generators) is measured
once for all.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from genwright.data.dataset import Dataset
from genwright.errors import DataError
from genwright.evaluation import inputs
from genwright.evaluation.heldout import heldout_log_likelihood
from genwright.evaluation.in_training import LEAST, InTrainingEvaluation
from genwright.evaluation.results import EvaluationReport
from genwright.experiment import load
from genwright.model import Model, Samples
from genwright.recipe import Recipe
from genwright.report import evaluation_page, run_page
from genwright.storage.run import Run

__all__ = ["Judge", "Judged"]

CHOSEN_BY = "kid"


@dataclass(frozen=True)
class Judged:
    """A model's report, and the seconds of work that 1,000 examples of it take."""

    report: EvaluationReport
    seconds_per_1000: float


class Judge:
    """The judge of one comparison.

    n  the most examples of each
    """

    def __init__(self, recipe: Recipe, dataset: Dataset, n: int) -> None:
        self.recipe, self.dataset, self.n, self.seed = recipe, dataset, n, recipe.seed
        self._chooser: InTrainingEvaluation | None = None

    @property
    def chooses(self) -> bool:
        """Whether enough examples are there to choose by."""
        return len(self.dataset.splits["val"]) >= LEAST

    def company(self) -> EvaluationReport:
        """The company alone, with a copy of training examples in the place of a model's."""
        case = inputs.of_train_copy(self.recipe, self.dataset, self.n, self.seed)
        return inputs.judged(case, "copycat", self.seed)

    def choose(self, run: Path) -> float:
        """How far a run's samples are from the examples to choose by: less is better."""
        if self._chooser is None:
            self._chooser = InTrainingEvaluation(self.recipe, self.dataset)
        model = self._model(run)
        samples = model.sample(self._chooser.n, seed=self.seed)
        found = self._chooser(samples, run / "judge" / f"{model.step:06d}.json")
        if CHOSEN_BY not in found:
            raise DataError(f"{CHOSEN_BY} of its samples is no number", code="not-finite")
        return found[CHOSEN_BY].value

    def __call__(self, run: Path) -> Judged:
        """The verdict on a run, which is also written into it."""
        model = self._model(run)
        took: list[tuple[float, int]] = []

        def timed(n: int) -> Samples:
            began = time.process_time()
            made = model.sample(n, seed=self.seed)
            took.append((time.process_time() - began, n))
            return made

        case = inputs.of_run(model, self.n, self.seed, sample=timed)
        if not took:  # it was asked for answers, with what is given in each case
            timed(min(self.n, 64))
        likelihood = heldout_log_likelihood(model, self.n, self.seed)
        report = inputs.judged(case, run.name, self.seed, (), likelihood)
        evaluation_page.write(report, run / "judge")
        run_page.refresh(run)
        seconds, n = took[0]
        return Judged(report, 1000 * seconds / n)

    def _model(self, run: Path) -> Model:
        return load(Run.open(run), device=self.recipe.train.device)
