"""Keys and values in blocks: read from several, they give what one whole sequence gives."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.batch import Cond
from genwright.nets import transformer
from genwright.nets.auto import Auto
from genwright.nets.roles import CondShape


@pytest.mark.parametrize("block", [4, 64])
@pytest.mark.parametrize("cuts", [range(13), (0, 7, 8, 9, 12), (0, 4, 12)], ids=str)
def test_blocks_change_nothing(
    cuts: tuple[int, ...], block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A beginning that ends in the middle of a block, at its edge, or reaches over several; and examples that change
    their places on the way."""
    monkeypatch.setattr(transformer, "BLOCK", block)
    torch.manual_seed(0)
    net = Auto("xs").causal(12, CondShape(0)).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    h, cond = torch.randn(3, 12, net.width), Cond(torch.zeros(3, 0))
    swapped = torch.tensor([2, 0, 0])
    with torch.no_grad():
        whole, cache = net(h, cond), net.cache(3, 12, h)
        for begin, end in itertools.pairwise(cuts):
            torch.testing.assert_close(net(h[:, begin:end], cond, cache), whole[:, begin:end])
            cache.select(swapped)
            h, whole = h[swapped], whole[swapped]
    assert isinstance(cache, transformer.KVCache)
    assert [len(blocks) for blocks in cache.keys] == [12 // min(block, 12)] * len(cache.keys)
