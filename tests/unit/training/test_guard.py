"""What goes wrong is named, and training goes on from the last healthy state."""

from __future__ import annotations

import json
from contextlib import suppress
from html import escape
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright import api
from genwright.batch import Batch
from genwright.families.vae import VAE
from genwright.training.guard import DYING, LASTING, WINDOW, Guard
from genwright.training.run import Run
from genwright.training.trainer import Progress


def healthy(steps: int, seed: int = 0) -> list[tuple[float, float]]:
    """Losses that fall, noisily, with their gradients."""
    rng = np.random.default_rng(seed)
    t = np.arange(steps)
    loss = 2 + 3 * np.exp(-t / 200) + 0.3 * rng.standard_normal(steps)
    return list(zip(loss.tolist(), (1 + 0.3 * rng.gamma(2, 1, steps)).tolist(), strict=True))


def after(*then: tuple[float, float]) -> list[str | None]:
    """What is said of each of these after a healthy while."""
    guard = Guard()
    for loss, norm in healthy(WINDOW):
        assert guard.look("fit", loss, norm) is None
    found = [guard.look("fit", loss, norm) for loss, norm in then]
    return [alarm and alarm.cause for alarm in found]


def test_a_healthy_training_raises_no_alarm() -> None:
    for seed in range(20):
        guard = Guard()
        assert not [one for one in healthy(3000, seed) if guard.look("fit", *one)]


@pytest.mark.parametrize(
    ("fault", "cause", "steps"),
    [
        ((50.0, 30.0), "spike", LASTING),
        ((3.0, 1e4), "exploding gradient", LASTING),
        ((3.0, 0.0), "vanishing gradient", DYING),
        ((float("nan"), 1.0), "not finite", 1),
        ((3.0, float("inf")), "not finite", 1),
    ],
)
def test_each_fault_is_named_when_it_lasts(fault: tuple[float, float], cause: str, steps: int) -> None:
    assert after(*[fault] * steps) == [None] * (steps - 1) + [cause]


def test_one_odd_batch_is_none() -> None:
    assert after((50.0, 30.0), (3.0, 1.5), (50.0, 30.0), (3.0, 1.5)) == [None] * 4
    # A loss that leaps without its gradient, as where a weight of it changes, is not ill.
    assert after(*[(50.0, 1.5)] * 10) == [None] * 10


def test_phases_are_looked_at_by_themselves() -> None:
    guard = Guard()
    for loss, norm in healthy(WINDOW):
        assert guard.look("critic", loss, norm) is None
        assert guard.look("generator", 100 * loss, 100 * norm) is None


def test_the_rate_is_halved_and_grows_again() -> None:
    guard = Guard()
    assert guard.gentleness == 1
    guard.set_back("why")
    rates = []
    for _ in range(30):
        rates.append(guard.gentleness)
        guard.passed()
    assert rates == sorted(rates)
    assert rates[0] < 0.05
    assert rates[-1] == 0.5


def test_a_guard_goes_on_from_its_state() -> None:
    one, other = Guard(), Guard()
    steps = healthy(WINDOW + 10)
    for loss, norm in steps[:WINDOW]:
        one.look("fit", loss, norm)
    one.look("fit", 50.0, 30.0)
    other.restore(json.loads(json.dumps(one.state())))
    for _ in range(LASTING):
        assert one.look("fit", 50.0, 30.0) == other.look("fit", 50.0, 30.0)
    assert one.state() == other.state()


# -- in a training ---------------------------------------------------------------------------------


@pytest.fixture
def data(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 2)) @ np.array([[1, 0.8], [0, 0.3]])
    (tmp_path / "rows.csv").write_text("x,y\n" + "\n".join(f"{a:.3f},{b:.3f}" for a, b in x) + "\n")
    return tmp_path / "rows.csv"


def train(data: Path, out: Path, **more: object) -> Run:
    options = ["train.batch_size=16", "train.checks=3", "train.samples=2", "train.log_every=1"]
    api.train(data, family="vae", size="xs", steps=120, out=out, settings=options, seed=1, **more)
    return Run.open(out)


def alarms(run: Run) -> list[dict[str, object]]:
    return [record for record in run.metrics() if "guard" in record]


def poison(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    """A fault that a gentler training does not have."""
    plain = VAE.loss

    def sick(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        if self.clock.step >= 70 and not self.clock.setbacks:
            if what == "batch":
                batch = Batch(batch.x * torch.nan, batch.cond)
            else:  # as a rate far too high would leave them
                with torch.no_grad():
                    for p in self.parameters():
                        p += 0.5 * torch.randn_like(p)
        return plain(self, batch, phase)

    monkeypatch.setattr(VAE, "loss", sick)


@pytest.mark.parametrize(("what", "cause"), [("batch", "not finite"), ("weights", "spike")])
def test_a_fault_is_named_and_left_behind(
    what: str, cause: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean = train(data, tmp_path / "clean")
    assert alarms(clean) == []
    poison(monkeypatch, what)
    run = train(data, tmp_path / "run")
    (found,) = alarms(run)
    assert found["guard"] == cause
    assert 70 <= int(str(found["step"])) < 90
    assert found["back_to"] == 40
    assert run.step == 120
    last = [[r["val_loss"] for r in one.metrics() if "val_loss" in r][-1] for one in (clean, run)]
    assert last[1] < last[0] + 0.3
    assert "no alarm" in (tmp_path / "clean" / "index.html").read_text()
    assert escape(str(found["words"])) in (tmp_path / "run" / "index.html").read_text()


def test_going_back_survives_a_resume(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    poison(monkeypatch, "batch")
    whole = train(data, tmp_path / "whole")

    class Killed(Exception):
        pass

    def kill(progress: Progress) -> None:
        if progress.step == 60 and progress.notice:  # on its second way
            raise Killed

    with suppress(Killed):
        train(data, tmp_path / "cut", report=kill)
    assert Run.open(tmp_path / "cut").step == 40
    api.train(resume=tmp_path / "cut")
    cut = Run.open(tmp_path / "cut")
    assert cut.step == whole.step == 120
    one, other = whole.weights(), cut.weights()
    assert all(torch.equal(one[name], other[name]) for name in one)
