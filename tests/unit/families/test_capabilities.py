"""What a family can do, its bases say, and none can say so without doing it."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Unsupported
from genwright.families.base import Family
from genwright.families.capabilities import (
    Autoencoder,
    DensityEstimator,
    Encoder,
    Generative,
    Infilling,
    LatentVariable,
    generative,
)
from genwright.nets.auto import Auto
from genwright.planning import infills
from genwright.registry import names, resolve
from genwright.space import Real, Space

METHODS = {
    Generative: {"_sample"},
    Infilling: {"_sample"},
    DensityEstimator: {"log_prob"},
    Encoder: {"encode"},
    LatentVariable: {"_sample", "decode"},
    Autoencoder: {"encode", "to_latent", "from_latent"},
}


class Mean(Family):
    """Learns a mean, and can do nothing with it."""

    accepts = frozenset({"real"})

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        return {"square": batch.x.square().mean()}


@pytest.mark.parametrize("capability", METHODS, ids=lambda kind: kind.__name__)
def test_none_can_be_declared_without_its_methods(capability: type[Family]) -> None:
    empty = type("Empty", (Mean, capability), {})
    assert empty.__abstractmethods__ == METHODS[capability]
    with pytest.raises(TypeError, match=min(METHODS[capability])):
        empty(Space((), (Real(2),)), {}, Auto("xs"))


@pytest.mark.parametrize("family", names("families"))
def test_every_family_can_do_something_and_what_it_says(family: str) -> None:
    kind = resolve("families", family)
    offered = [capability for capability in METHODS if issubclass(kind, capability)]
    assert offered
    for name in ("sample", "infill", "log_prob", "encode", "decode", "to_latent"):
        assert hasattr(kind, name) == any(hasattr(capability, name) for capability in offered)


def test_what_makes_no_examples_says_so() -> None:
    family = Mean(Space((), (Real(2),)), {}, Auto("xs"))
    total, n = family.heldout(Batch(torch.ones(3, 2)))  # by default the loss of each example
    assert float(total / n) == 1
    with pytest.raises(Unsupported, match="mean learns codes and makes no examples") as error:
        generative(family)
    assert error.value.code == "makes-no-examples"


def test_which_known_parts_a_family_keeps() -> None:
    kept = {family: infills(family) for family in names("families") if infills(family) != "no"}
    assert kept == {"autoregressive": "prefix", "anyorder": "any", "masked": "any"}
