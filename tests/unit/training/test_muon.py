"""Stacked Muon takes the same steps as torch's, which goes matrix by matrix."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genwright.training.muon import Muon, orthogonal


def test_stacked_steps_equal_torchs() -> None:
    torch.manual_seed(0)
    shapes = [(24, 24), (24, 24), (48, 24), (24, 48), (48, 24)]
    ours = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    theirs = [nn.Parameter(p.detach().clone()) for p in ours]
    one = Muon(ours, lr=0.02, momentum=0.95, weight_decay=0.1)
    two = torch.optim.Muon(theirs, lr=0.02, momentum=0.95, weight_decay=0.1)
    for _ in range(5):
        for a, b in zip(ours, theirs, strict=True):
            a.grad = torch.randn_like(a)
            b.grad = a.grad.clone()
        one.step()
        two.step()
    for a, b in zip(ours, theirs, strict=True):
        # bfloat16 sums in another order: a step of 0.02 agrees to a few per cent of itself.
        torch.testing.assert_close(a, b, rtol=0, atol=2e-3)


def test_orthogonal_brings_singular_values_near_one() -> None:
    torch.manual_seed(0)
    x = torch.randn(3, 16, 64)
    before, after = torch.linalg.svdvals(x), torch.linalg.svdvals(orthogonal(x))
    assert before.max() / before.min() > 2
    assert after.min() > 0.6
    assert after.max() < 1.3


def test_products_are_in_bfloat16_only_where_a_device_multiplies_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A processor without the instructions takes some thirty times as long for them."""
    torch.manual_seed(0)
    x = torch.randn(2, 16, 64)
    monkeypatch.setattr("genwright.training.muon.multiplies_bfloat16", lambda device: True)
    coarse = orthogonal(x)
    monkeypatch.setattr("genwright.training.muon.multiplies_bfloat16", lambda device: False)
    fine = orthogonal(x)
    assert fine.dtype == coarse.dtype == torch.float32
    assert fine.bfloat16().float().ne(fine).any()
    assert coarse.bfloat16().float().eq(coarse).all()
    torch.testing.assert_close(fine, coarse, rtol=0, atol=0.02)
