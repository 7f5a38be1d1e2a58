"""The loss in features: what it says of two examples, and that families learn by it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from genwright.batch import Batch
from genwright.errors import RecipeError
from genwright.families.base import Family
from genwright.families.perceptual_loss import PerceptualLoss
from genwright.nets.auto import Auto
from genwright.registry import build
from genwright.space import Real, Space, Symbol

GREY = Space((12, 12), (Real(1, bounded=True),))


def pictures(n: int) -> torch.Tensor:
    """Stripes at all angles."""
    rng = torch.Generator().manual_seed(0)
    angle = 3.1 * torch.rand(n, 1, 1, 1, generator=rng)
    place = torch.arange(12.0)
    x, y = place.view(1, 1, 1, -1), place.view(1, 1, -1, 1)
    return (1.6 * (x * angle.cos() + y * angle.sin())).sin()


def test_the_more_is_blurred_the_further_off_it_is() -> None:
    x, loss = pictures(32), PerceptualLoss(GREY, 1.0, "random")
    far, blurred = [float(loss(x, x).mean())], x
    for _ in range(3):
        blurred = F.avg_pool2d(F.pad(blurred, (1, 1, 1, 1), mode="reflect"), 3, stride=1)
        far.append(float(loss(blurred, x).mean()))
    assert far[0] < 1e-6
    assert far == sorted(far)
    assert far[1] > 0.05
    half = PerceptualLoss(GREY, 0.5, "random")
    assert torch.allclose(half(blurred, x), 0.5 * loss(blurred, x))


def test_what_is_masked_is_taken_from_the_truth() -> None:
    x, loss = pictures(4), PerceptualLoss(GREY, 1.0, "random")
    mask = torch.ones(4, 12, 12, dtype=torch.bool)
    mask[:, :6] = False
    made = x.clone()
    made[:, :, :6] = 0
    assert loss(made, x, mask).abs().max() < 1e-6
    assert loss(made, x).min() > 0.01


def made(name: str, **options: object) -> Family:
    torch.manual_seed(0)
    family: Family = build("families", name, options, GREY, {}, Auto("xs"), where="family")
    return family.train()


@pytest.mark.parametrize(
    "name", ["vqvae", *(pytest.param(one, marks=pytest.mark.journey) for one in ("vae", "diffusion"))]
)
def test_its_gradient_reaches_the_network_and_it_is_learnt_by(name: str) -> None:
    family, batch = made(name, perceptual=0.5, perceptual_features="random"), Batch(pictures(64))
    family.prepare(batch)
    family.zero_grad()
    term = family.loss(batch, family.phases[0].name)["perceptual"]
    term.backward()  # type: ignore[no-untyped-call]
    net = family.net if name == "diffusion" else family.decoder
    moved = [p for p in net.parameters() if p.grad is not None and bool(p.grad.abs().sum() > 0)]  # type: ignore[union-attr]
    assert moved
    optimizer = torch.optim.Adam(family.parameters(), 3e-3)
    first = float(term.detach())
    for _ in range(30):
        optimizer.zero_grad()
        torch.stack(list(family.loss(batch, family.phases[0].name).values())).sum().backward()
        optimizer.step()
    assert float(family.loss(batch, family.phases[0].name)["perceptual"].detach()) < 0.9 * first
    weights = family.state_dict()
    made(name).load_state_dict(weights)  # what it looks with is not kept, so that sampling does without


def test_held_out_losses_are_as_without_it() -> None:
    batch = Batch(pictures(16))
    found = []
    for weight in (0.0, 1.0):
        family = made("diffusion", perceptual=weight, perceptual_features="random").eval()
        torch.manual_seed(0)
        with torch.no_grad():
            found.append(float(family.heldout(batch)[0]))
    assert found[0] == found[1]


@pytest.mark.parametrize("space", [Space((), (Real(3),)), Space((6, 6), (Symbol(3),))])
def test_it_is_for_numbers_on_a_grid(space: Space) -> None:
    with pytest.raises(RecipeError, match="is for numbers on a grid") as error:
        build("families", "vae", {"perceptual": 1.0}, space, {}, Auto("xs"), where="family")
    assert error.value.code == "features-do-not-fit"


def test_a_jump_has_no_estimate_to_look_at() -> None:
    with pytest.raises(RecipeError, match=r"which family\.objective=meanflow has not"):
        made("diffusion", perceptual=1.0, objective="meanflow")
