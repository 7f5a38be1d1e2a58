"""The loop: what is trained when, what stops it, and two processes that stay one."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from cases_training import tiny, two_processes
from torch import Tensor

from genwright import api
from genwright.batch import Batch
from genwright.errors import RecipeError, RunError
from genwright.families.base import Family
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.recipe import TrainOptions
from genwright.storage.run import Run
from genwright.training import distributed
from genwright.training.ema import exponent
from genwright.training.hooks import DrawSamples
from genwright.training.optim import PhaseOptimizer, rate
from genwright.training.trainer import Trainer, local_batch

SCRIPT = """
api.train(sys.argv[1], family=sys.argv[2], size="xs", steps=6, out=sys.argv[3],
          settings=["train.batch_size=8", "train.checks=2", "train.samples=2", *sys.argv[4:]])
# A thread of the group that outlives it aborts the process at its end, now and then.
names = [open(f"/proc/self/task/{t}/comm").read() for t in os.listdir("/proc/self/task")]
assert not [name for name in names if "gloo" in name], names
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    images = np.random.default_rng(0).integers(0, 255, (40, 6, 6)).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", images=images, label=np.arange(40) % 2)
    return tmp_path / "tiny.npz"


def quick(data: Path, out: Path, **more: object) -> None:
    options = ["train.batch_size=8", "train.checks=2", "train.samples=2"]
    api.train(data, family="vae", size="xs", steps=6, out=out, settings=options, **more)


@pytest.mark.parametrize(
    ("family", "settings"),
    [
        ("gan", []),
        pytest.param("gan", ["net.name=dcgan"], marks=pytest.mark.journey),
        pytest.param("vqvae", [], marks=pytest.mark.journey),
        pytest.param("cyclegan", ["data.label=label", "family.pool=4"], marks=pytest.mark.journey),
    ],
    ids=["gan", "gan-dcgan", "vqvae", "cyclegan"],
)
def test_two_processes_stay_one(family: str, settings: list[str], data: Path, tmp_path: Path) -> None:
    # GAN: two phases and gradients of gradients, which no wrapper survives; with DCGAN's nets statistics of
    # its own, which a VQ-VAE has too.
    # CycleGAN: examples of its own, which each process has made.
    one, other = two_processes(SCRIPT, data, family, tmp_path / "run", *settings)
    assert one[2:] == other[2:], "the processes' weights have drifted apart"
    assert Run.open(tmp_path / "run").step == 6
    assert api.load(tmp_path / "run").sample(2).examples is not None


@pytest.mark.parametrize("what", ["loss", "gradient"])
def test_nothing_that_is_not_finite_reaches_the_weights(
    what: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = VAE.loss

    def sick(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        terms = plain(self, batch, phase)
        if self.clock.step == 4:
            bad = terms["kl"] * torch.nan
            if what == "gradient":  # finite itself, but not its slope: sqrt at 0
                bad = (terms["kl"] * 0).sqrt()
            terms["kl"] = bad
        return terms

    monkeypatch.setattr(VAE, "loss", sick)
    with pytest.raises(
        RunError, match=r"not finite at step 5, after going back 3 times.*step 3.*train\.lr="
    ):
        quick(data, tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.step == 3
    assert all(torch.isfinite(t.float()).all() for t in run.weights().values())


def test_a_rate_that_is_far_too_high_is_answered_with_one_that_learns(
    data: Path, tmp_path: Path
) -> None:
    settings = ["train.lr=1e30", "train.batch_size=8"]
    with pytest.raises(RunError, match=rf"--set train\.lr={VAE.phases[0].lr:g}\)"):
        api.train(data, family="vae", size="xs", steps=40, out=tmp_path / "run", settings=settings)


@pytest.mark.parametrize(
    ("kind", "grid", "clipped"), [(GAN, True, True), (GAN, False, False), (VAE, True, False)]
)
def test_a_sudden_gradient_of_rivals_over_a_grid_is_clipped_to_the_usual(
    kind: type[Family],
    grid: bool,
    clipped: bool,
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """At step 40 the loss counts 500 times; the clip that a recipe sets is out of the way."""
    if not grid:
        data = tmp_path / "rows.csv"
        np.savetxt(
            data, np.random.default_rng(0).normal(size=(40, 2)), "%.9f", ",", header="a,b", comments=""
        )
    plain, step = kind.loss, PhaseOptimizer.step
    norms: list[float] = []

    def loud(self: Family, batch: Batch, phase: str) -> dict[str, Tensor]:
        times = 500 if self.clock.step == 40 else 1
        return {name: times * term for name, term in plain(self, batch, phase).items()}

    def measured(self: PhaseOptimizer, factor: float) -> None:
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in _with_grad(self)])))
        step(self, factor)

    monkeypatch.setattr(kind, "loss", loud)
    monkeypatch.setattr(PhaseOptimizer, "step", measured)
    options = ["train.batch_size=16", "train.checks=0", "train.samples=0", "train.clip=1e9"]
    api.train(
        data, family=kind.__name__.lower(), size="xs", steps=41, out=tmp_path / "run", settings=options
    )
    critic = norms[:: len(norms) // 41]  # the first phase of each step
    robust = float(np.median(critic[:40]))
    assert critic[40] < 4.5 * robust if clipped else critic[40] > 50 * robust


def _with_grad(optimizer: PhaseOptimizer) -> list[Tensor]:
    return [p for p in optimizer.parameters.values() if p.grad is not None]


def test_phases_train_their_own_part_only() -> None:
    family = tiny(GAN)
    phases = {p.name: set(PhaseOptimizer(family, p, TrainOptions()).parameters) for p in family.phases}
    assert phases["critic"].isdisjoint(phases["generator"])
    assert phases["critic"] | phases["generator"] == {name for name, _ in family.named_parameters()}


def test_a_rate_that_is_given_keeps_the_ratio_of_the_phases() -> None:
    family = tiny(GAN)
    options = TrainOptions(lr=1e-4)
    critic, generator = (PhaseOptimizer(family, phase, options).rates for phase in family.phases)
    assert set(critic) == {1e-4}
    assert generator == pytest.approx(
        [1e-4 * family.phases[1].lr / family.phases[0].lr] * len(generator)
    )
    assert set(generator) != set(critic)


def test_a_batch_must_split_evenly(data: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="multiple of 3"):
        api.train(
            data,
            size="xs",
            steps=1,
            out=tmp_path / "x",
            settings=["train.batch_size=8", "train.accumulate=3"],
        )


def test_the_familys_own_batch_must_split_evenly_too() -> None:
    with pytest.raises(RecipeError, match="choose a multiple of 3") as error:
        local_batch(TrainOptions(accumulate=3), tiny(VAE))
    assert error.value.code == "uneven-batch"
    assert local_batch(TrainOptions(accumulate=4), tiny(VAE)) == VAE.batch_size // 4


def test_the_rate_warms_up_and_falls() -> None:
    options = TrainOptions(warmup=0.1, decay="linear")
    assert rate(0.0, options) < 0.01
    assert rate(0.05, options) == pytest.approx(0.5)
    assert rate(0.1, options) == pytest.approx(1.0)
    assert rate(0.55, options) == pytest.approx(0.5)
    assert rate(1.0, options) == 0.0
    assert rate(0.55, TrainOptions(warmup=0.1, decay="cosine")) == pytest.approx(0.5)
    assert rate(1.0, TrainOptions(decay="none")) == 1.0


@pytest.mark.parametrize(("width", "gamma"), [(0.05, 16.97), (0.10, 6.94)])
def test_ema_exponents_are_the_papers(width: float, gamma: float) -> None:
    """Karras et al. 2024, section 3.1."""
    assert exponent(width) == pytest.approx(gamma, abs=0.01)


def test_training_leaves_the_callers_random_numbers_alone(data: Path, tmp_path: Path) -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    quick(data, tmp_path / "run")
    assert torch.equal(torch.rand(3), expected)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(
        RecipeError, match=r"there is no device 'abacus' here: take .*cpu, or auto"
    ) as error:
        distributed.device("abacus")
    assert error.value.code == "unknown-device"


def test_slow_checks_leave_most_of_the_time_to_training(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = list[int]()

    def check(self: DrawSamples, trainer: Trainer) -> None:
        checks.append(trainer.step)
        time.sleep(0.2)

    monkeypatch.setattr(DrawSamples, "check", check)
    settings = ["train.batch_size=8", "train.samples=2", "train.cover=0"]
    api.train(data, family="vae", size="xs", minutes=1.5 / 60, out=tmp_path / "run", settings=settings)
    assert 2 <= len(checks) <= 4  # of 20 that are due


def test_samples_of_a_timed_training_take_no_more_than_a_tenth_of_it(
    data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = list[int]()

    class Slow:
        def sample(self, n: int, *, seed: int) -> list[int]:
            drawn.append(n)
            now[0] += 0.5 * n
            return [seed] * n

    now = [0.0]
    monkeypatch.setattr(api.time, "monotonic", lambda: now[0])
    timed, counted = (
        api._Drawing(api.make_recipe(data, **much)) for much in ({"minutes": 1}, {"steps": 9})
    )
    for drawing in (timed, timed, counted, counted):
        drawing.of(Slow(), 64)  # type: ignore[arg-type]
    assert drawn == [4, 12, 64, 64]


def heldout_steps(run: Path) -> list[int]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [line["step"] for line in lines if "val_loss" in line]


def test_little_data_is_looked_at_before_it_is_learnt_by_heart(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    lines = [f"{a:.3f},{b:.3f}" for a, b in rng.normal(size=(80, 2))]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b", *lines]) + "\n")
    model = api.train(
        tmp_path / "rows.csv",
        family="autoregressive",
        size="xs",
        steps=120,
        out=tmp_path / "run",
        settings=["train.batch_size=32", "train.checks=2", "data.val=0.2"],
    )
    steps = heldout_steps(tmp_path / "run")
    assert steps[-2:] == [60, 120]
    rows = model.dataset.stats.counts["train"]
    passes = [-(-rows * 2**i // 32) for i in range(6)]
    assert steps[:-2] == [step for step in passes if step < 60]
    assert model.run.best in steps[:-1]


def test_much_data_is_looked_at_when_checks_are_due(data: Path, tmp_path: Path) -> None:
    settings = ["train.batch_size=8", "train.checks=5"]
    api.train(data, family="vae", size="xs", steps=10, out=tmp_path / "run", settings=settings)
    assert heldout_steps(tmp_path / "run") == [2, 4, 6, 8, 10]
