"""Weights of older runs load under the names of today."""

from __future__ import annotations

import torch

from genwright.families.autoregressive import Autoregressive
from genwright.families.energy import Energy
from genwright.families.flow import Flow
from genwright.families.gan import GAN
from genwright.families.renamed import RENAMED, upgrade
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Symbol

GREY = Space((4, 4), (Real(1, bounded=True),))
LABEL = {"label": Space((), (Symbol(3),))}


def test_parts_are_renamed_exactly_and_only_once() -> None:
    one, two = torch.zeros(1), torch.ones(1)
    new = upgrade({"tell.net.teller": one, "levels.stepped": two})
    assert new == {"conditioner.net.teller": one, "levels.is_discrete": two}
    assert upgrade(new) == new


def test_a_condition_keeps_the_name_that_a_person_gave_it() -> None:
    names = ("tell.project.spread.weight", "tell.null.tell", "replay.given_untold")
    new = upgrade(dict.fromkeys(names, torch.zeros(1)))
    assert list(new) == ["conditioner.project.spread.weight", "conditioner.null.tell", names[2]]


def test_every_new_name_is_one_of_a_family() -> None:
    """So that a later renaming does not forget this table."""
    symbols = Space((4,), (Symbol(3),))
    families = [
        VAE(GREY, LABEL, Auto("xs")),
        GAN(GREY, LABEL, Auto("xs")),
        Flow(GREY, LABEL, Auto("xs")),
        Autoregressive(symbols, LABEL, Auto("xs")),
        Energy(GREY, LABEL, Auto("xs"), objective="contrastive"),
    ]
    found = {part for family in families for name in family.state_dict() for part in name.split(".")}
    assert set(RENAMED.values()) <= found
    assert not set(RENAMED) & found
