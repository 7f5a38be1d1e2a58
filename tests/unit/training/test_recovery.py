"""A training that went back is as exact as one that did not: over a cut, and over two processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from cases_training import two_processes

from genwright import api
from genwright.batch import Batch
from genwright.families.gan import GAN
from genwright.storage.run import Run
from genwright.training.monitor.monitor import WARMUP
from genwright.training.trainer import Progress

SETTINGS = ["train.batch_size=8", "train.checks=3", "train.samples=2", "train.log_every=1"]
"""Of 60 steps: a save at 20 and at 40."""

FAULTS = """
from genwright.families.gan import GAN
from genwright.batch import Batch

plain = GAN.loss
def sick(self, batch, phase):
    alone = distributed.rank() == 1 and phase == "critic"
    if alone and self.clock.rollbacks == 1 and self.clock.step == 50:
        batch = Batch(batch.x * float("nan"), batch.cond)  # reaches the other by its gradient
    terms = plain(self, batch, phase)
    if alone and self.clock.rollbacks == 0 and self.clock.step >= 30:
        self.diagnostic_values["doubt"] *= 0  # the other cannot know of it
    return terms
GAN.loss = sick
api.train(sys.argv[1], family="gan", size="xs", steps=60, out=sys.argv[2], settings=sys.argv[3:])
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    x = np.random.default_rng(0).normal(size=(80, 2)) @ np.array([[1, 0.8], [0, 0.3]])
    (tmp_path / "rows.csv").write_text("x,y\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in x) + "\n")
    return tmp_path / "rows.csv"


def rollbacks(run: Path) -> list[tuple[str, int, str]]:
    """Cause, step, and what was done."""
    found = [one for one in Run.open(run).metrics() if "guard" in one]
    return [(str(one["guard"]), int(one["step"]), str(one["did"]).partition(",")[0]) for one in found]


def test_cut_while_it_recovers_it_goes_on_the_same(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rate is half, of a part that grows, and the penalty double: all of that is to come back."""
    plain = GAN.loss
    weighs: dict[int, float] = {}

    def sick(self: GAN, batch: Batch, phase: str) -> dict[str, torch.Tensor]:
        plain_weight = self.adversary.gamma * 0.1**self.clock.progress
        weighs[self.clock.step] = self.adversary.penalty_weight(self.clock) / plain_weight
        if self.clock.step == 30 and not self.clock.rollbacks:
            batch = Batch(batch.x * torch.nan, batch.cond)
        return plain(self, batch, phase)

    monkeypatch.setattr(GAN, "loss", sick)
    api.train(data, family="gan", size="xs", steps=60, out=tmp_path / "whole", settings=SETTINGS)
    assert rollbacks(tmp_path / "whole") == [("not finite", 31, "back to step 20")]

    seen: list[int] = []

    def report(progress: Progress) -> None:
        seen.append(progress.step)

    def recovers() -> bool:
        return len(seen) > 30 and seen[-1] == 28

    out = tmp_path / "cut"
    api.train(
        data, family="gan", size="xs", steps=60, out=out, settings=SETTINGS, report=report, stop=recovers
    )
    assert Run.open(out).step == 28
    known = Run.open(out).training_state()[1]["guard"]
    assert (known["setbacks"], known["since"]) == (1, 8)
    assert known["since"] < WARMUP
    weighs.clear()
    api.train(resume=out)
    assert set(weighs) == set(range(28, 60))
    assert list(weighs.values()) == pytest.approx([2.0] * 32)
    for pattern in ("model/*", "state/*.safetensors", "metrics.jsonl"):
        whole = {file.name: file.read_bytes() for file in (tmp_path / "whole").glob(pattern)}
        cut = {file.name: file.read_bytes() for file in out.glob(pattern)}
        assert whole.keys() == cut.keys()
        assert [name for name in whole if whole[name] != cut[name]] == []


@pytest.mark.journey
def test_what_one_process_finds_sends_both_back(data: Path, tmp_path: Path) -> None:
    """First what that one alone can see, over a check that must wait for it; then what is no number."""
    one, other = two_processes(FAULTS, data, tmp_path / "run", *SETTINGS)
    assert one[2:] == other[2:], "the processes have gone different ways"
    assert one[2] == "2"
    steps = [int(step) for step in one[4:]]
    assert steps == [*range(1, 42), *range(21, 51), *range(41, 61)]
    assert rollbacks(tmp_path / "run") == [
        ("elsewhere", 42, "back to step 20"),
        ("not finite", 51, "back to step 40"),
    ]
    assert Run.open(tmp_path / "run").step == 60
