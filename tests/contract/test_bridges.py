"""What every bridge promises: its target's form, the way back, and its state as JSON."""

from __future__ import annotations

import json

import pytest
import torch
from cases import SPACES, data

from genwright.bridges.base import Quantize
from genwright.planning import make_bridge
from genwright.registry import names, options, resolve
from genwright.space import Real, Space, Symbol


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize(
    "name", [n for n in names("bridges") if "run" not in options(resolve("bridges", n))]
)
def test_there_and_back(name: str, space: Space) -> None:
    x, _ = data(space, 3000)
    bridge = make_bridge(name, {})
    bridge.fit(space, x)
    y = bridge.forward(x)
    bridge.target.check(y)
    wide = bridge.plan(space)
    assert (wide.grid, wide.kind) == (bridge.target.grid, bridge.target.kind)
    again = bridge.inverse(y, torch.Generator().manual_seed(0))
    space.check(again)
    for slot in space.slots():
        away = (again[:, slot.stored] - x[:, slot.stored]).abs().float()
        if isinstance(slot.span, Symbol):
            assert away.max() == 0
        else:  # the outermost bins are wide, the others are not
            assert away.quantile(0.98) < 0.05
            assert away.max() < 0.5
    torch.testing.assert_close(again.float().mean(0), x.float().mean(0), rtol=0, atol=0.02)

    other = make_bridge(name, {})
    other.restore(json.loads(json.dumps(bridge.state())))
    assert other.target == bridge.target
    torch.manual_seed(0)
    first = bridge.forward(x)
    torch.manual_seed(0)
    assert torch.equal(other.forward(x), first)
    back = [b.inverse(y, torch.Generator().manual_seed(1)) for b in (bridge, other)]
    assert torch.equal(*back)


def test_quantize_keeps_few_values_exactly() -> None:
    space = Space((4, 4), (Real(1, bounded=True),))
    x = torch.randint(0, 17, (100, 1, 4, 4)).float() / 8 - 1
    bridge = Quantize()
    bridge.fit(space, x)
    assert bridge.target.spans == (Symbol(17),)
    assert torch.equal(bridge.inverse(bridge.forward(x)), x)


def test_quantize_keeps_the_law_and_the_atoms() -> None:
    space = Space((), (Real(1),))
    rng = torch.Generator().manual_seed(0)
    x = torch.randn(20_000, 1, generator=rng)
    x[:6000] = 0.25  # an atom that holds 30 %
    bridge = Quantize(bins=64)
    bridge.fit(space, x)
    again = bridge.inverse(bridge.forward(x), rng)
    assert abs((again == 0.25).float().mean().item() - 0.3) < 0.02
    for q in (0.01, 0.1, 0.5, 0.9, 0.99):
        assert abs(torch.quantile(again, q) - torch.quantile(x, q)) < 0.05
    # What training never saw goes to the nearest bin.
    assert bridge.forward(torch.tensor([[99.0], [-99.0]])).flatten().tolist() == [
        len(bridge.tables[0]) - 1,
        0,
    ]
