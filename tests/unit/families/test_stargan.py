"""StarGAN: one generator among three domains."""

from __future__ import annotations

import pytest
import torch

from genwright.batch import Batch
from genwright.families.stargan import StarGAN
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

ROW = Space((), (Real(2),))
THREE = {"source": ROW, "domain": Space((), (Symbol(3),))}
MIDDLES = torch.tensor([[0.0, 0.0], [3.0, 0.0], [0.0, 3.0]])


def batch(n: int, seed: int) -> Batch:
    """The same flat ring around three middles."""
    rng = torch.Generator().manual_seed(seed)
    domain = torch.arange(n)[:, None] % 3
    angle = 6.28 * torch.rand(n, 1, generator=rng)
    ring = torch.cat([angle.cos(), 0.3 * angle.sin()], dim=1)
    return Batch(ring + MIDDLES[domain.flatten()], {"domain": domain})


def trained(steps: int, **options: object) -> StarGAN:
    torch.manual_seed(0)
    family = StarGAN(ROW, THREE, Auto("xs"), **options)  # type: ignore[arg-type]
    optimisers = {p.name: PhaseOptimizer(family, p, TrainOptions(lr=5e-3)) for p in family.phases}
    for step in range(steps):
        family.clock.progress = step / steps
        for phase in family.phases:
            family.zero_grad()
            torch.stack(list(family.loss(batch(96, step), phase.name).values())).sum().backward()
            optimisers[phase.name].step(1.0)
    return family


@pytest.mark.journey
def test_law_every_domain_can_be_asked_of_every_other_and_the_way_back_is_found() -> None:
    family = trained(600)
    x = batch(600, 99)
    for source in range(3):
        start = x.x[source::3]
        for target in range(3):
            if target == source:
                continue
            there = family.sample(200, {"source": start, "domain": torch.full((200, 1), target)})
            assert (there.mean(0) - MIDDLES[target]).abs().max() < 0.5
            back = family.sample(200, {"source": there, "domain": torch.full((200, 1), source)})
            assert (back - start).norm(dim=1).mean() < 0.8 * start.std(0).norm()


@pytest.mark.parametrize("loss", ["lsgan", "wgan", "wgan-gp"])
def test_every_sort_of_loss_trains_both_sides(loss: str) -> None:
    family = trained(2, loss=loss)
    assert family.phases[0].repeats == (5 if loss.startswith("wgan") else 1)
    terms = family.loss(batch(12, 0), "generator")
    assert set(terms) == {"generator", "as_asked", "cycle"}
    if loss == "wgan":
        assert max(p.abs().max() for p in family.critic.parameters()) <= 0.01
    assert all(torch.isfinite(p).all() for p in family.parameters())
