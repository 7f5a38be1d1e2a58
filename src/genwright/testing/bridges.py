"""What every bridge promises: its target's form, the way back, and its state as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genwright.bridges.base import Bridge
from genwright.errors import Incompatible
from genwright.planning import make_bridge
from genwright.space import Space, Symbol
from genwright.testing.contract import Contract, demand, registered, stored_in
from genwright.testing.spaces import SPACES, data

__all__ = ["BRIDGE", "FittedBridge", "check_bridge"]


class FittedBridge:
    """A bridge that was fitted on `n` toy examples of a space, and what makes another one like it.

    Raises `Incompatible` where it does not lead from there.
    """

    def __init__(self, make: Callable[[], Bridge], space: Space, n: int = 3000) -> None:
        self.make, self.space = make, space
        self.x, _ = data(space, n)
        self.bridge = make()
        self.planned = self.bridge.plan(space)
        self.bridge.fit(space, self.x)
        self.y = self.forward(self.bridge)

    def forward(self, bridge: Bridge) -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            return bridge.forward(self.x)

    def inverse(self, bridge: Bridge) -> Tensor:
        return bridge.inverse(self.y, torch.Generator().manual_seed(1))


BRIDGE: Contract[FittedBridge] = Contract("bridge")


@BRIDGE.law
def it_leads_where_it_planned(case: FittedBridge) -> None:
    """Its target is the planned one, or smaller, and what it makes are stored examples of it."""
    planned, target = case.planned, case.bridge.target
    demand(case.bridge.source == case.space, "its source is not the space that it was fitted on")
    demand((planned.grid, planned.kind) == (target.grid, target.kind), f"{planned} became {target}")
    demand(target.width <= planned.width, f"{planned} was the largest, and it came to {target}")
    stored_in(target, case.y, "what it makes")


@BRIDGE.law
def there_and_back(case: FittedBridge) -> None:
    """Symbols come back exactly, numbers nearly, and their means stay."""
    again = case.inverse(case.bridge)
    stored_in(case.space, again, "what comes back")
    for slot in case.space.slots():
        away = (again[:, slot.stored] - case.x[:, slot.stored]).abs().float()
        if isinstance(slot.span, Symbol):
            demand(not away.any(), f"{float((away > 0).float().mean()):.1%} of the symbols are others")
            continue
        most = float(
            away.quantile(0.98)
        )  # the outermost numbers are few, and may be far from each other
        demand(most < 0.05 and float(away.max()) < 0.5, f"numbers are off by {most:.3g}")
    off = (again.float().mean(0) - case.x.float().mean(0)).abs().max()
    demand(float(off) < 0.02, f"a mean moved by {float(off):.3g}")


@BRIDGE.law
def it_is_restored_from_json(case: FittedBridge) -> None:
    """Restored from its state as JSON, it does the same there and back to the last bit."""
    other = case.make()
    other.restore(json.loads(json.dumps(case.bridge.state(), allow_nan=False)), case.bridge.tensors())
    demand(other.source == case.space, "its source is another")
    demand(other.target == case.bridge.target, "its target is another")
    demand(torch.equal(case.forward(other), case.y), "it leads elsewhere")
    demand(torch.equal(case.inverse(other), case.inverse(case.bridge)), "it leads back elsewhere")


@BRIDGE.law
def it_draws_from_its_generator(case: FittedBridge) -> None:
    """What is drawn on the way back comes from the generator that it is given."""
    one = case.inverse(case.bridge)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        demand(torch.equal(case.inverse(case.bridge), one), "it draws from another generator")


def check_bridge(
    bridge: str | type[Bridge],
    *,
    options: Mapping[str, Any] | None = None,
    spaces: Mapping[str, Space] = SPACES,
) -> None:
    """Hold a bridge to the contract of `Bridge`, from each of the spaces that it leads from.

    bridge   its registered name, or its class
    options  of the bridge
    Raises `AssertionError` with the law that is broken.
    """
    with registered("bridges", bridge) as name:
        held = 0
        for space in spaces.values():
            try:
                case = FittedBridge(lambda: make_bridge(name, dict(options or {})), space)
            except Incompatible:
                continue
            held += 1
            BRIDGE.check(case, f"{name} from {space}", case.bridge.contract_exceptions)
        demand(held > 0, f"the bridge {name} leads from none of {', '.join(spaces)}")
