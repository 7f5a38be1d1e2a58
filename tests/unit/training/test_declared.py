"""What the trainer does otherwise for some families is declared by them."""

from __future__ import annotations

import pytest
import torch

from genwright.families.base import Family
from genwright.nets.auto import Auto
from genwright.registry import build, names, resolve
from genwright.space import Real, Space, Symbol
from genwright.training.precision import autocast

ROW, GRID = Space((), (Real(2),)), Space((4, 4), (Real(1),))
SYMBOLS = Space((), (Symbol(3), Symbol(2)))


def made(name: str, space: Space, **options: str) -> Family:
    family: Family = build("families", name, options, space, {}, Auto("xs"), where="family")
    return family


def test_networks_that_play_against_each_other_say_so() -> None:
    kinds = {name for name in names("families") if resolve("families", name).adversarial}
    assert kinds == {"gan", "cyclegan", "stargan"}
    assert made("energy", ROW, objective="contrastive").adversarial
    assert not made("energy", ROW).adversarial


@pytest.mark.parametrize(
    ("name", "space", "on"),
    [
        ("vae", ROW, False),
        ("vae", GRID, True),
        ("autoregressive", SYMBOLS, True),
        ("masked", SYMBOLS, True),
        ("vqvae", ROW, True),
    ],
)
def test_bfloat16_is_for_large_products(
    name: str, space: Space, on: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: True)
    family = made(name, space)
    with autocast(family, "auto"):
        assert torch.is_autocast_enabled("cpu") == on
    with autocast(family, "fp32"):
        assert not torch.is_autocast_enabled("cpu")
