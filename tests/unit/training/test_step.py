"""One step of a phase, by itself: what is trained, what is clipped, and what it takes."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from cases_training import tiny
from torch import Tensor

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.recipe import TrainOptions
from genwright.training import timing
from genwright.training.ema import EMA
from genwright.training.monitor.checks import Issue, TrainingDiverged
from genwright.training.monitor.stats import StepStats
from genwright.training.precision import autocast
from genwright.training.step import TrainStep
from genwright.training.timing import seconds_per_step


def batch(n: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.cat(
        [torch.randn(n, 2, generator=rng), torch.randint(0, 3, (n, 1), generator=rng).float()], dim=1
    )
    return Batch(x, {"label": torch.randint(0, 2, (n, 1), generator=rng)})


def steps_of(family: Family, **options: Any) -> dict[str, TrainStep]:
    settings = TrainOptions(**options)
    return {p.name: TrainStep(family, p, settings, autocast(family, "fp32")) for p in family.phases}


def weights(family: Family) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in family.named_parameters()}


def passes(stats: StepStats, bad: str) -> float:
    return math.inf


def test_a_step_moves_its_own_phase_and_leaves_no_gradient_behind() -> None:
    family = tiny(GAN)
    for name, step in steps_of(family).items():
        before = weights(family)
        terms = step(itertools.repeat(batch(8)), 1.0, passes)
        moved = {key for key, p in weights(family).items() if not torch.equal(p, before[key])}
        assert moved
        assert all(key.startswith(step.phase.trains) for key in moved), name
        assert terms.keys() == family.loss(batch(8), name).keys()
        assert all(p.grad is None and p.requires_grad for p in family.parameters())


def test_a_step_that_is_refused_moves_nothing() -> None:
    family = tiny(VAE)
    (step,) = steps_of(family).values()
    before = weights(family)

    def refuses(stats: StepStats, bad: str) -> float:
        assert bad == "the batch of examples"
        raise TrainingDiverged(Issue("not finite", bad), 1)

    poisoned = batch(8)
    poisoned.x[0, 0] = torch.nan
    with pytest.raises(TrainingDiverged):
        step(itertools.repeat(poisoned), 1.0, refuses)
    assert all(torch.equal(p, before[name]) for name, p in weights(family).items())


def sizes(clip: float, allowed: float) -> tuple[float, float]:
    """The norm of a gradient as it is measured, and as it reaches the optimiser."""
    torch.manual_seed(0)
    (step,) = steps_of(tiny(VAE), clip=clip).values()
    found: list[float] = []

    def inspect(stats: StepStats, bad: str) -> float:
        assert not bad
        found.append(stats.grad_norm)
        return allowed

    def measure(factor: float) -> None:
        grads = [p.grad for p in step.optimizer.parameters.values() if p.grad is not None]
        found.append(float(torch.nn.utils.get_total_norm(grads)))

    step.optimizer.step = measure  # type: ignore[method-assign]  # in its place
    step(itertools.repeat(batch(8)), 1.0, inspect)
    return found[0], found[1]


def test_a_gradient_is_clipped_to_the_less_of_the_option_and_what_the_inspection_says() -> None:
    size, clipped = sizes(1e9, math.inf)
    assert size == pytest.approx(clipped, rel=1e-5)
    assert size > 1
    for limits in ((1e9, 1e-3), (1e-3, math.inf), (1e-3, 1.0)):
        assert sizes(*limits) == pytest.approx((size, 1e-3), rel=1e-3)


def test_the_time_of_a_step_is_that_of_all_that_the_trainer_does(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All parts of an accumulated batch, all rounds of all phases, and the weight average."""
    sizes: list[tuple[str, int]] = []
    averaged: list[int] = []
    plain, update = GAN.loss, EMA.update

    def loss(self: GAN, batch: Batch, phase: str) -> dict[str, Tensor]:
        sizes.append((phase, len(batch)))
        return plain(self, batch, phase)

    def follow(self: EMA, step: int) -> None:
        averaged.append(step)
        update(self, step)

    monkeypatch.setattr(GAN, "loss", loss)
    monkeypatch.setattr(timing.EMA, "update", follow)
    family = tiny(GAN)
    assert seconds_per_step(family, batch(24), TrainOptions(accumulate=3), repeats=1) > 0
    once = [(phase.name, 8) for phase in family.phases for _ in range(3 * phase.repeats)]
    assert sizes == 2 * once
    assert averaged == [1, 2]
