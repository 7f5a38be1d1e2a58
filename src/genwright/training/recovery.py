"""What is done about what the monitor sees: it is reported, and where that may help, training goes back to
the last healthy state and goes on more gently."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genwright.errors import RunError
from genwright.training import distributed
from genwright.training.monitor.checks import Issue, TrainingDiverged
from genwright.training.monitor.monitor import MAX_ROLLBACKS
from genwright.training.monitor.stats import StepStats

if TYPE_CHECKING:
    from genwright.training.trainer import Trainer

__all__ = ["Recovery"]


class Recovery:
    """Reports issues, and rolls training back where that may help.

    gave_up  whether it has gone back too often
    """

    def __init__(self, trainer: Trainer) -> None:
        self.trainer, self.gave_up = trainer, False

    def inspect(self, stats: StepStats, bad: str) -> float:
        """The largest norm of a gradient to step by. Raises `TrainingDiverged` in all processes where the
        monitor of one finds that the step must not be taken."""
        trainer = self.trainer
        issue = trainer.monitor.look(stats, bad)
        if issue is not None and not issue.recoverable:
            self.report(issue, "told", trainer.step + 1)
            issue = None
        if distributed.agree(issue is not None, trainer.device):
            elsewhere = Issue("elsewhere", "another process found fault with its part")
            raise TrainingDiverged(issue or elsewhere, trainer.step + 1)
        return trainer.monitor.adaptive_clip_norm(stats.phase)

    def go_back(self, error: TrainingDiverged) -> None:
        """To the last healthy state, to go on more gently and with other examples.

        Raises `RunError` where that has helped too often: what is on disk is that state, and the best one.
        """
        trainer, issue = self.trainer, error.issue
        trainer.family.zero_grad(set_to_none=True)
        trainer.step, known = trainer.saving.checkpoint.go_back()
        if trainer.monitor.rollbacks >= MAX_ROLLBACKS:
            self.gave_up = True
            self.report(issue, f"given up, after going back {MAX_ROLLBACKS} times", error.step)
            raise RunError(self._last_words(issue, error.step), code="training-diverged")
        trainer.monitor.rollback(known)
        self.report(issue, f"back to step {trainer.step}, at half the rate", error.step)

    def report(self, issue: Issue, did: str, step: int) -> None:
        """Of an issue and what was done about it: who watches, and the run."""
        done = "" if did == "told" else f": {did}"
        self.trainer.progress.notice = f"{issue.words} at step {step}{done}"
        self.trainer.log(step=step, guard=issue.cause, words=issue.words, did=did)

    def _last_words(self, issue: Issue, step: int) -> str:
        run, options = self.trainer.run, self.trainer.options
        kept, default = run.best or run.step, self.trainer.family.phases[0].lr
        slower = min((options.lr or default) / 2 ** (MAX_ROLLBACKS + 2), default)
        weights = (
            f"the best weights (step {kept}) are kept in {run.path}"
            if kept
            else f"{run.path} has no weights"
        )
        found = f"{issue.words} at step {step}, after going back {MAX_ROLLBACKS} times"
        return f"{found}; {weights}: {issue.advice(slower)}"
