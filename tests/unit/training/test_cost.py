"""What a step costs is counted on a few examples, and of many alike parts on some."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases_training import tiny
from torch import Tensor

from genwright.batch import Batch
from genwright.families.autoregressive import Autoregressive
from genwright.families.base import Family
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training import cost as counting
from genwright.training import rates
from genwright.training.cost import Cost, StepWork, step_work
from genwright.training.operations import OperationCounter

PICTURE = Space((16, 16), (Real(3, bounded=True),))
FLOPS = ("product", "flops", torch.float32)


@pytest.fixture(autouse=True)
def _rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is always the same."""
    each = {"calls": 1e-6, "flops": 1e-10, "bytes": 1e-9}
    monkeypatch.setattr(rates, "_rate", lambda kind, unit, dtype: each[unit])


def priced(family: Family, size: int, options: TrainOptions | None = None) -> Cost:
    few = Batch(torch.rand(counting.FEW, 3, 16, 16))
    options = options or TrainOptions(precision="fp32")
    return step_work(family, few, options).cost(size, options)


def vae(size: Any = "xs") -> VAE:
    return VAE(PICTURE, {}, Auto(size), prior="normal")


def test_a_larger_batch_a_larger_net_and_a_larger_picture_cost_more() -> None:
    small, many, large = priced(vae(), 8), priced(vae(), 64), priced(vae("s"), 8)
    assert 2 * small.seconds < many.seconds < 8 * small.seconds
    assert small.bytes < many.bytes < 8 * small.bytes
    assert large.seconds > 2 * small.seconds
    assert large.bytes > small.bytes


def test_a_few_examples_tell_the_work_and_the_memory_of_many() -> None:
    def counted(n: int) -> OperationCounter:
        return counting._counted(vae(), Batch(torch.rand(n, 3, 16, 16)), TrainOptions(precision="fp32"))

    few, many = counted(11), counted(11 * 8)
    for key in (FLOPS, ("plain", "bytes", torch.float32), ("convolution", "bytes", torch.float32)):
        told = few.work[key] + 7 * few.growing[key]
        assert told == pytest.approx(many.work[key], rel=0.02)
        assert 0 < few.growing[key] <= few.work[key]
    assert 8 * few.peak == pytest.approx(many.peak, rel=0.1)


def test_parts_that_are_accumulated_take_less_memory_and_no_less_time() -> None:
    options = TrainOptions(precision="fp32", batch_size=64)
    whole, parts = priced(vae(), 64, options), priced(vae(), 64, replace(options, accumulate=8))
    assert parts.seconds >= whole.seconds
    assert parts.bytes < whole.bytes


def test_every_phase_and_round_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    phases: list[str] = []
    plain = GAN.loss

    def loss(self: GAN, batch: Batch, phase: str) -> dict[str, Tensor]:
        phases.append(phase)
        return plain(self, batch, phase)

    monkeypatch.setattr(GAN, "loss", loss)
    family = tiny(GAN)
    step_work(
        family, Batch(torch.zeros(4, 3), {"label": torch.zeros(4, 1, dtype=torch.long)}), TrainOptions()
    )
    assert phases == [phase.name for phase in family.phases for _ in range(phase.repeats)]


def test_a_family_that_cannot_go_on_with_what_was_left_out_computes_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain = VAE.loss

    def loss(self: VAE, batch: Batch, phase: str) -> dict[str, Tensor]:
        seen = F.linear(torch.ones(100, 100), torch.ones(100, 100))
        if not bool((seen == 100).all()):
            raise ValueError("not what was multiplied")
        return plain(self, batch, phase)

    whole = priced(vae(), 8)
    monkeypatch.setattr(VAE, "loss", loss)
    assert priced(vae(), 8).seconds > whole.seconds


def test_a_family_that_cannot_begin_with_what_was_left_out_does_all_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun = []

    def prepare(self: VAE, batch: Batch) -> None:
        begun.append(bool((F.linear(torch.ones(100, 100), torch.ones(100, 100)) == 100).all()))
        if not begun[-1]:
            raise RuntimeError("singular")

    monkeypatch.setattr(VAE, "prepare", prepare)
    assert priced(vae(), 8).seconds > 0
    assert begun == [False, True]


def test_what_the_weights_get_is_the_same_as_before() -> None:
    family = vae()
    priced(family, 8)
    assert all(p.grad is None and p.requires_grad for p in family.parameters())


# -- many alike ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [VAE, Autoregressive])
def test_some_of_many_alike_parts_tell_the_work_of_all(kind: type[Family]) -> None:
    options = TrainOptions(precision="fp32")

    def counted(parts: int) -> StepWork:
        span = Symbol(40, ordered=True) if kind is Autoregressive else Real(1)
        space = Space((), (span,) * parts)
        x = (
            torch.randint(0, 40, (counting.FEW, parts))
            if kind is Autoregressive
            else torch.rand(11, parts)
        )
        return step_work(kind(space, {}, Auto("xs")), Batch(x), options)

    told, all_of_it = counted(64).beyond(counted(32), 8), counted(256)
    assert told.weights == pytest.approx(all_of_it.weights, rel=0.01)
    for size in (8, 128):
        few, many = told.cost(size, options), all_of_it.cost(size, options)
        assert few.seconds == pytest.approx(many.seconds, rel=0.1)
        assert few.bytes == pytest.approx(many.bytes, rel=0.3)
