"""CycleGAN: two domains that share what can be kept, and the pool of former fakes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families.cyclegan import CycleGAN
from genwright.families.translator import reconstruction_loss
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

ROW = Space((), (Real(2),))
TWO = {"source": ROW, "domain": Space((), (Symbol(2),))}


def batch(n: int, seed: int) -> Batch:
    """A ring around 0, and the same ring around (3, 0): without pairs, but with one plain way between."""
    rng = torch.Generator().manual_seed(seed)
    domain = torch.arange(n)[:, None] % 2
    angle = 6.28 * torch.rand(n, 1, generator=rng)
    ring = torch.cat([angle.cos(), 0.3 * angle.sin()], dim=1)
    return Batch(ring + domain * torch.tensor([3.0, 0.0]), {"domain": domain})


def trained(steps: int, **options: object) -> CycleGAN:
    torch.manual_seed(0)
    family = CycleGAN(ROW, TWO, Auto("xs"), **options)  # type: ignore[arg-type]
    optimisers = {p.name: PhaseOptimizer(family, p, TrainOptions(lr=2e-3)) for p in family.phases}
    for step in range(steps):
        family.clock.progress = step / steps
        for phase in family.phases:
            family.zero_grad()
            torch.stack(list(family.loss(batch(64, step), phase.name).values())).sum().backward()
            optimisers[phase.name].step(1.0)
    return family


def brought(family: CycleGAN, x: Tensor, to: int) -> Tensor:
    domain = torch.full((len(x), 1), to)
    return family.sample(len(x), {"source": x, "domain": domain})


@pytest.mark.journey
def test_law_there_and_back_is_where_one_was_and_there_is_the_other_domain() -> None:
    family = trained(300)
    x = batch(400, 99)
    near, far = x.x[0::2], x.x[1::2]
    there = brought(family, near, 1)
    assert (there.mean(0) - far.mean(0)).abs().max() < 0.25
    assert (there.std(0) - far.std(0)).abs().max() < 0.25
    back = brought(family, there, 0)
    assert (back - near).norm(dim=1).mean() < 0.3 * near.std(0).norm()


def test_distance_is_absolute_for_numbers_and_cross_entropy_for_symbols() -> None:
    x = torch.tensor([[0.5, 2.0], [-1.0, 0.0]])
    space = Space((), (Real(1), Symbol(3)))
    out = torch.tensor([[1.0, 0.0, 0.0, 0.0], [-1.0, 9.0, 0.0, 0.0]])
    crossed = torch.tensor([1 / 3, 1 / (1 + 2 * torch.exp(torch.tensor(-9.0)))]).log().neg().mean()
    assert reconstruction_loss(space, out, x).item() == pytest.approx(
        (0.25 + crossed.item()) / 2, rel=1e-5
    )
    bounded = Space((2,), (Real(1, bounded=True),))
    assert (
        reconstruction_loss(bounded, torch.zeros(1, 1, 2), torch.tensor([[[0.5, -1.0]]])).item() == 0.75
    )


def test_a_pool_shows_former_fakes_and_is_part_of_the_state() -> None:
    family = trained(3, pool=8)
    assert family.filled.tolist() == [8, 8]
    assert family.state_dict()["kept"].abs().sum() > 0
    kept = family.kept[1].clone()
    fake = torch.full((64, 2), 7.0)
    torch.manual_seed(0)
    shown = family._pooled(fake, 1)
    old = (shown != 7.0).any(1)
    assert int(old.sum()) == 8  # each comes out once, and new ones take their places
    known = torch.cat([kept, fake])
    assert (shown[:, None] == known).all(2).any(1).all()
    assert not torch.equal(family.kept[1], kept)


@pytest.mark.parametrize("loss", ["relativistic", "nonsaturating", "hinge", "wgan", "wgan-gp"])
def test_every_loss_trains_both_sides(loss: str) -> None:
    family = trained(2, loss=loss)
    if loss == "wgan":
        family.loss(batch(16, 0), "generator")
        assert max(p.abs().max() for p in family.critics.parameters()) <= 0.01
    assert family.phases[0].repeats == (5 if loss.startswith("wgan") else 1)
    assert all(torch.isfinite(p).all() for p in family.parameters())


def test_what_it_cannot_be_asked() -> None:
    three = TWO | {"domain": Space((), (Symbol(3),))}
    with pytest.raises(Incompatible, match=r"2 domains, and these are 3: --family stargan"):
        CycleGAN(ROW, three, Auto("xs"))
    with pytest.raises(Incompatible, match="given a source and a domain, not label"):
        CycleGAN(ROW, {"label": Space((), (Symbol(2),))}, Auto("xs"))
    family = CycleGAN(ROW, TWO, Auto("xs"))
    with pytest.raises(RecipeError, match="lacks one of the 2 domains"):
        family.loss(Batch(torch.zeros(4, 2), {"domain": torch.zeros(4, 1).long()}), "critic")
    with pytest.raises(Unsupported, match="no held-out loss"):
        family.heldout(batch(4, 0))
