"""Whether conditions are heeded: the paired test, what the monitor makes of it, and a training that ignores one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from commands import done, table
from genwright.batch import Batch
from genwright.nets.cond import Conditioner
from genwright.storage.run import Run
from genwright.training.monitor.checks import LOOKS
from genwright.training.monitor.heeding import LARGE, MANY, Heeding, _pairs, t_statistic
from genwright.training.monitor.monitor import Monitor

N = 256


class Said(torch.nn.Module):
    """Stands for a family: an example costs its distance to `worth` times its condition, and some noise."""

    def __init__(self, worth: float, noise: float = 1.0) -> None:
        super().__init__()
        self.worth, self.noise = worth, noise

    def condition_gain(self, batch: Batch, others: dict[str, Tensor], *, seed: int) -> Tensor:
        rng = torch.Generator().manual_seed(seed)
        (other,) = others.values()
        (own,) = batch.cond.values()
        gain = (batch.x - self.worth * other).square() - (batch.x - self.worth * own).square()
        return (gain + self.noise * torch.randn(gain.shape, generator=rng)).mean()


def world(kinds: int = 2, n: int = N) -> Batch:
    rng = torch.Generator().manual_seed(0)
    cond = torch.randint(0, kinds, (n, 1), generator=rng).float()
    return Batch(cond + 0.3 * torch.randn(n, 1, generator=rng), {"given": cond})


def test_a_condition_that_is_worth_something_is_told_from_one_that_is_not() -> None:
    heeding = Heeding(world())
    assert heeding(Said(1.0), 0)["given"] > 10
    assert heeding(Said(0.0, noise=0.0), 0) == {"given": 0.0}
    ignored = [heeding(Said(0.0), turn)["given"] for turn in range(40)]
    assert abs(float(np.mean(ignored))) < 0.5
    assert 0.7 < float(np.std(ignored)) < 1.4


def test_pairs_have_different_conditions_where_there_are_enough() -> None:
    cond = world(kinds=2).cond["given"]
    for turn in range(3):
        pairs = _pairs(cond, turn)
        assert torch.equal(pairs.flatten().sort().values, torch.arange(N))
        assert (cond[pairs[:, 0]] != cond[pairs[:, 1]]).float().mean() > 0.8
    assert not torch.equal(_pairs(cond, 0), _pairs(cond, 1))


def test_of_too_few_that_differ_nothing_is_said() -> None:
    batch = world()
    batch.cond["given"][:] = 0
    batch.cond["given"][:20] = 1
    assert Heeding(batch)(Said(1.0), 0) == {}


def test_the_statistic() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert t_statistic(x) == pytest.approx(2.5 / (float(x.std()) / 2))
    assert t_statistic(torch.ones(9)) == LARGE
    assert t_statistic(torch.tensor([1.0, float("nan")])) == 0.0


def looks(monitor: Monitor, *scores: float, at: float = 0.6, seen: float = 0.0) -> list[str]:
    return [
        issue.words
        for score in scores
        for issue in monitor.check_heeding(1000, at, {"label": score}, lambda: {"label": seen})
    ]


def test_it_is_told_after_some_looks_once_and_taken_back() -> None:
    monitor = Monitor()
    assert looks(monitor, *[0.3] * LOOKS, at=0.4) == []
    (words,) = looks(monitor, 0.1, -0.5, 0.2)
    assert "ignores its condition 'label'" in words
    other = Monitor()
    other.restore(monitor.state())
    for one in (monitor, other):
        assert looks(one, 0.2, 0.4) == []
        (words,) = looks(one, 6.0, 8.0, 9.0, 9.0)
        assert words == "the model heeds its condition 'label' by now"


def test_what_is_heeded_or_learnt_by_heart_or_too_new_is_no_alarm() -> None:
    assert looks(Monitor(), *[3.0] * 9) == []
    assert looks(Monitor(), *[0.0] * 9, seen=9.0) == []
    monitor = Monitor()
    for _ in range(9):
        assert monitor.check_heeding(200, 0.9, {"label": 0.0}, dict) == []


def test_it_takes_a_small_share_of_the_time() -> None:
    heeding = Heeding(world())
    steps = heeding.every(128)
    assert 2 * MANY / (3 * 128 * steps) <= 0.01


def test_a_training_that_ignores_a_condition_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = rng.integers(0, 2, 400)
    rows = [(round(float(3 * k + rng.normal()), 3), "ab"[k]) for k in kinds]
    table(tmp_path / "rows.csv", rows, head="x,kind")
    forward = Conditioner.forward
    monkeypatch.setattr(Conditioner, "forward", lambda self, given, *rest: forward(self, {}, *rest))
    train: Any = ("--family", "autoregressive", "--label", "kind", "--steps", "460", "--size", "xs")
    done("train", "rows.csv", *train, "--set", "net.depth=1", "--set", "train.checks=20", "--out", "run")
    records = Run.open("run").metrics()
    assert [record["guard"] for record in records if "guard" in record].count("ignored condition") == 1
    scores = [record["heeds/kind"] for record in records if "heeds/kind" in record]
    assert scores == [0.0] * 3
    page = Path("run/index.html").read_text()
    assert "ignores its condition" in page
