"""What every bridge promises: its target's form, the way back, and its state as JSON."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import pytest
import torch
from cases import SPACES

from genwright.bridges.base import Bridge, Dequantize, Quantize
from genwright.bridges.spectrogram import Spectrogram
from genwright.planning import make_bridge
from genwright.registry import names, options, resolve
from genwright.space import Real, Space, Symbol
from genwright.testing import check_bridge
from genwright.testing.bridges import BRIDGE, FittedBridge


@pytest.mark.parametrize("law", BRIDGE.laws)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize(
    "name", [n for n in names("bridges") if not {"run", "hop"} & {*options(resolve("bridges", n))}]
)
def test_a_bridge_keeps_the_law(name: str, space: Space, law: str) -> None:
    BRIDGE.hold(law, fitted(name, space), name)


@pytest.mark.parametrize("law", sorted({*BRIDGE.laws} - Spectrogram.contract_exceptions))
def test_the_bridge_of_waveforms_keeps_the_law(law: str) -> None:
    """What comes back by its sound alone is tested in `unit/test_spectrogram.py`."""
    case = FittedBridge(partial(Spectrogram, iterations=2), Space((300,), (Real(2, bounded=True),)), 32)
    BRIDGE.hold(law, case, "spectrogram")


@cache
def fitted(name: str, space: Space) -> FittedBridge:
    return FittedBridge(lambda: make_bridge(name, {}), space)


def faulty(law: str) -> type[Bridge]:
    """A bridge with one fault."""

    def restore(self: Quantize, state: Any, tensors: Any = None) -> None:
        Quantize.restore(self, state, tensors)
        self.tables = [table + 1 for table in self.tables]

    faults: dict[str, dict[str, Any]] = {
        "it-leads-where-it-planned": {"plan": lambda self, source: Space((), (Symbol(2),))},
        "there-and-back": {"inverse": lambda self, y, rng=None: Quantize.inverse(self, y, rng) + 0.3},
        "it-is-restored-from-json": {"restore": restore},
        "it-draws-from-its-generator": {"inverse": lambda self, y, rng=None: Quantize.inverse(self, y)},
    }
    return type("Faulty", (Quantize,), faults[law])


@pytest.mark.parametrize("law", BRIDGE.laws)
def test_a_faulty_bridge_breaks_the_law(law: str) -> None:
    case = FittedBridge(faulty(law), SPACES["latent"])
    with pytest.raises(AssertionError, match=f"bridge faulty breaks the law '{law}'"):
        BRIDGE.hold(law, case, "faulty")


def test_a_bridge_of_ones_own_is_checked() -> None:
    check_bridge("onehot", spaces={"row": SPACES["row"]})
    check_bridge(Dequantize)


def test_quantize_keeps_few_values_exactly() -> None:
    space = Space((4, 4), (Real(1, bounded=True),))
    x = torch.randint(0, 17, (100, 1, 4, 4)).float() / 8 - 1
    bridge = Quantize()
    bridge.fit(space, x)
    assert bridge.target.spans == (Symbol(17, ordered=True),)
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
