"""What a step costs is counted: right shapes, right sums, and nothing large is done."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from cases_training import tiny
from torch import Tensor

from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space
from genwright.training import cost as counting
from genwright.training.cost import Cost, OperationCounter, cost

PICTURE = Space((16, 16), (Real(3, bounded=True),))
FLOPS = ("product", "flops", torch.float32)


@pytest.fixture(autouse=True)
def _rates(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is always the same."""
    rates = {"calls": 1e-6, "flops": 1e-10, "bytes": 1e-9}
    monkeypatch.setattr(counting, "_rate", lambda kind, unit, dtype: rates[unit])


def priced(family: Family, size: int, options: TrainOptions | None = None) -> Cost:
    few = Batch(torch.rand(counting.FEW, 3, 16, 16))
    return cost(family, few, size, options or TrainOptions(precision="fp32"))


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
    cost(
        family,
        Batch(torch.zeros(4, 3), {"label": torch.zeros(4, 1, dtype=torch.long)}),
        16,
        TrainOptions(),
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


def test_what_the_weights_get_is_the_same_as_before() -> None:
    family = vae()
    priced(family, 8)
    assert all(p.grad is None and p.requires_grad for p in family.parameters())


# -- what is left out ------------------------------------------------------------------------------

X, W = torch.rand(3, 8, 12, 12), torch.rand(8, 8, 3, 3)
LARGE = torch.rand(40, 300)


@pytest.mark.parametrize(
    "work",
    [
        lambda: LARGE @ LARGE.T,
        lambda: F.linear(LARGE, LARGE, LARGE[:, 0]),
        lambda: torch.bmm(X[:, :, 0], X[:, :, 0].transpose(1, 2)),
        lambda: F.conv2d(X, W, W[:, 0, 0, 0], stride=2, padding=1, dilation=2),
        lambda: F.conv1d(X[:, :, 0], W[:, :, 0], padding=1),
        lambda: F.conv3d(X[None, :3, :4], torch.rand(2, 3, 2, 3, 3)),
        lambda: F.conv_transpose2d(X, W, stride=2),
        lambda: F.scaled_dot_product_attention(X, X, X, is_causal=True),
        lambda: F.group_norm(X, 2),
        lambda: F.pad(X, (1, 2, 3, 0)),
        lambda: torch.cat([LARGE, LARGE[:5]]),
        lambda: torch.cat([LARGE, LARGE[:, :5]], dim=-1),
        lambda: torch.softmax(LARGE, 1),
        lambda: LARGE.T * 2,
        lambda: LARGE[:, :1] + LARGE,
        lambda: (LARGE > 0.5).float(),
        lambda: LARGE.sum(1),
        lambda: LARGE.T.mean((0, 1), keepdim=True),
        lambda: LARGE.cumsum(1),
        lambda: LARGE.flip(0),
        lambda: torch.stack([LARGE, LARGE], dim=-1),
        lambda: LARGE.new_zeros(200, 100),
        lambda: LARGE.clone().mul_(2),
        lambda: F.layer_norm(LARGE, (300,)),
        lambda: F.embedding(torch.arange(40).view(5, 8), LARGE),
        lambda: F.interpolate(X[:, :, 0], scale_factor=2),
        lambda: F.interpolate(X, size=(20, 15)),
        lambda: F.interpolate(X[None, :3, :4], scale_factor=2),
        lambda: F.adaptive_avg_pool2d(X, (3, 4)),
        lambda: LARGE.bfloat16(),
        lambda: LARGE.T.contiguous(),
        lambda: (LARGE * 10).long(),
    ],
)
def test_what_is_left_out_has_the_shape_and_the_order_of_what_is_done(work: Any) -> None:
    true = work()
    with OperationCounter():
        found = work()
    assert (found.shape, found.dtype, found.stride()) == (true.shape, true.dtype, true.stride())


def test_gradients_have_the_shapes_of_what_they_are_of() -> None:
    def leaves() -> tuple[Tensor, ...]:
        return tuple(t.clone().requires_grad_() for t in (X, W))

    def loss(x: Tensor, w: Tensor) -> Tensor:
        h = F.leaky_relu(F.group_norm(F.conv2d(x, w, padding=1), 2, w[:, 0, 0, 0], w[:, 0, 0, 1]))
        h = F.adaptive_avg_pool2d(
            F.interpolate(F.layer_norm(F.softplus(h), (12, 12)), scale_factor=2), 12
        )
        h = F.scaled_dot_product_attention(h, h, h)[:, 2:]
        return F.log_softmax(F.pad(h, (1, 1)).flatten(1), 1).sum()

    some = leaves()
    with OperationCounter():
        loss(*some).backward()
    assert all(t.grad is not None and t.grad.shape == t.shape for t in some)


@pytest.mark.parametrize(
    ("op", "args"),
    [
        (torch.ops.aten.mm.default, (LARGE, LARGE.T)),
        (torch.ops.aten.addmm.default, (LARGE[0, :40], LARGE, LARGE.T)),
        (torch.ops.aten.bmm.default, (X[:, :, 0], X[:, :, 0].transpose(1, 2))),
        (torch.ops.aten.convolution.default, (X, W, None, [1, 1], [0, 0], [1, 1], False, [0, 0], 1)),
        (torch.ops.aten.mul.Tensor, (LARGE, LARGE)),
    ],
)
def test_what_costs_most_is_left_out(op: Any, args: tuple[Any, ...]) -> None:
    found = counting._left_out(counting._about(op), args, {})
    assert found.shape == op(*args).shape


def test_weights_are_neither_drawn_nor_of_another_shape() -> None:
    with counting.Unfilled():
        small, large = torch.nn.Linear(4, 4), torch.nn.Linear(200, 100)
    assert bool((small.weight == 0).all())
    assert large.weight.shape == (100, 200)
    assert bool((torch.nn.Linear(4, 4).weight != 0).any())


def test_symbols_are_never_left_out() -> None:
    ids = torch.arange(20_000).view(100, 200)
    with OperationCounter():
        assert torch.equal(ids + 1, torch.arange(1, 20_001).view(100, 200))


def test_products_are_counted_and_not_done() -> None:
    a, b = torch.full((64, 300), torch.nan), torch.ones(300, 200)
    with OperationCounter() as counter:
        found = a @ b
        del found
    assert counter.work[FLOPS] == 2 * 64 * 300 * 200
    assert counter.peak == 4 * 64 * 200
    assert counter.held == 0


def test_as_large_as_no_memory_holds() -> None:
    huge = torch.empty(1, 1).expand(1 << 20, 1 << 20)  # 4 TB, were it there
    with OperationCounter() as counter:
        counter._count(counting._about(torch.ops.aten.mul.Tensor), (huge, huge), {}, LARGE)
    assert counter.work["move", "bytes", torch.float32] > 8e12


def test_the_rates_are_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    counting.measure_again()
    for kind in ("product", "convolution", "attention"):
        for unit in ("flops", "bytes"):
            assert 0 < counting._rate(kind, unit, torch.float32) < 1e-6  # type: ignore[arg-type]
    assert 0 < counting._plain_call() <= counting._call() < 1e-2
