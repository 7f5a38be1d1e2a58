"""Operations are counted, what is large is left out, and its shape is right all the same."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.training import operations
from genwright.training.operations import OperationCounter, Unfilled

FLOPS = ("product", "flops", torch.float32)

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
        lambda: LARGE.index_add(0, torch.arange(5), LARGE[:5]),
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
    found = operations._left_out(operations._about(op), args, {})
    assert found.shape == op(*args).shape


def test_weights_are_neither_drawn_nor_of_another_shape() -> None:
    with Unfilled():
        small, large = torch.nn.Linear(4, 4), torch.nn.Linear(200, 100)
    assert bool((small.weight == 0).all())
    assert large.weight.shape == (100, 200)
    with Unfilled():
        assert bool((0.5 * torch.randn(300, 200) == 0).all())
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
        counter._count(operations._about(torch.ops.aten.mul.Tensor), (huge, huge), {}, LARGE)
    assert counter.work["move", "bytes", torch.float32] > 8e12
