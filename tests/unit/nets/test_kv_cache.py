"""Keys and values that are kept: read from them, a sequence is what it is in one piece."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.batch import Cond
from genwright.nets import transformer
from genwright.nets.auto import Auto
from genwright.nets.roles import Causal, CondShape


def varied(length: int) -> Causal:
    """Of four heads, and nothing in it is 0."""
    torch.manual_seed(0)
    net = Auto("s", depth=2).causal(length, CondShape(0)).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.1)
    return net


@pytest.mark.parametrize("short", [4, 64], ids=["shared", "one each"])
@pytest.mark.parametrize("cuts", [range(13), (0, 7, 8, 9, 12), (0, 4, 12)], ids=str)
def test_cache_changes_nothing(
    cuts: tuple[int, ...], short: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Positions one by one and several at once; keys that queries share and keys of one each; and examples that change
    their places on the way."""
    monkeypatch.setattr(transformer, "SHORT", short)
    net = varied(12)
    h, cond = torch.randn(3, 12, net.width), Cond(torch.zeros(3, 0))
    swapped = torch.tensor([2, 0, 0])
    with torch.no_grad():
        whole, cache = net(h, cond), net.cache(3, 12, h)
        for begin, end in itertools.pairwise(cuts):
            torch.testing.assert_close(net(h[:, begin:end], cond, cache), whole[:, begin:end])
            cache.select(swapped)
            h, whole = h[swapped], whole[swapped]
    assert isinstance(cache, transformer.KVCache)
    assert {keys.shape[1] for keys in cache.keys} == {1 if short < 12 else 4}


def test_weights_of_one_key_for_each_query_are_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As runs of before have them, also where the sequence is long."""
    h, cond = torch.randn(2, 12, 128), Cond(torch.zeros(2, 0))
    net = varied(12)
    monkeypatch.setattr(transformer, "SHORT", 4)
    shared = varied(12)
    assert sum(p.numel() for p in shared.parameters()) < sum(p.numel() for p in net.parameters())
    known = [id(p) for p in shared.parameters()]
    shared.load_state_dict(net.state_dict())
    assert [id(p) for p in shared.parameters()] == known, "an optimizer would go on with others"
    torch.testing.assert_close(shared(h, cond), net(h, cond))
    with torch.no_grad():
        cache = shared.cache(2, 12, h)
        last = [shared(h[:, i : i + 1], cond, cache) for i in range(12)]
    torch.testing.assert_close(torch.cat(last, 1), net(h, cond))


@pytest.mark.parametrize("short", [4, 64], ids=["shared", "one each"])
def test_loading_keeps_the_parameters(short: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "SHORT", short)
    net = varied(12)
    known = [id(p) for p in net.parameters()]
    net.load_state_dict({name: value.clone() for name, value in net.state_dict().items()})
    assert [id(p) for p in net.parameters()] == known
