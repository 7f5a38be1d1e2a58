"""Ways and directions among codes, on codes whose answer is known; and what families make of codes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from genwright.analysis.latent_ops import (
    attribute_vector,
    interpolate_codes,
    principal_directions,
    slerp,
)
from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.diffusion import Diffusion
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.registry import build
from genwright.space import Real, Space
from genwright.training.optim import PhaseOptimizer

ROW, PICTURE = Space((), (Real(4),)), Space((8, 8), (Real(1, bounded=True),))
spaces = pytest.mark.parametrize("space", [ROW, PICTURE], ids=["row", "picture"])


def test_slerp_keeps_the_length_and_turns_evenly() -> None:
    torch.manual_seed(0)
    a, b = (5 * torch.nn.functional.normalize(torch.randn(32), dim=0) for _ in range(2))
    way = slerp(a, b, torch.linspace(0, 1, 9))
    torch.testing.assert_close(way.norm(dim=1), torch.full((9,), 5.0))
    turns = torch.nn.functional.cosine_similarity(way[1:], way[:-1])
    torch.testing.assert_close(turns, turns[:1].expand(8))
    assert torch.lerp(a, b, 0.5).norm() < 4  # as a straight line does not


def test_lengths_between_are_between() -> None:
    way = slerp(torch.tensor([1.0, 0, 0]), torch.tensor([0, 3.0, 0]), torch.linspace(0, 1, 5))
    torch.testing.assert_close(way.norm(dim=1), torch.tensor([1, 1.5, 2, 2.5, 3]))


@pytest.mark.parametrize("b", [[2.0, 0.0], [-1.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
def test_where_there_is_no_circle_it_is_a_line(b: list[float]) -> None:
    a, end = torch.tensor([1.0, 0.0]), torch.tensor(b)
    way, t = interpolate_codes(a, end, 5)
    torch.testing.assert_close(way, torch.lerp(a, end, t[:, None]))


def test_the_ends_of_a_way_are_exact() -> None:
    a, b = torch.randn(7), torch.randn(7)
    way, _ = interpolate_codes(a, b, 4)
    assert torch.equal(way[0], a)
    assert torch.equal(way[-1], b)


def test_codes_of_another_law_go_straight() -> None:
    a, b = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    way, t = interpolate_codes(a, b, 5, normal=False)
    torch.testing.assert_close(way, torch.lerp(a, b, t[:, None]))
    assert interpolate_codes(a, b, 3)[0][1].norm() == pytest.approx(1)


def test_the_attribute_vector_is_the_difference_of_means() -> None:
    torch.manual_seed(0)
    codes, has = torch.randn(2000, 3), torch.arange(2000) % 4 == 0
    codes[has, 1] += 2
    torch.testing.assert_close(attribute_vector(codes, has), torch.tensor([0.0, 2, 0]), rtol=0, atol=0.2)


def test_principal_directions_of_a_linear_decoder_are_its_singular_vectors() -> None:
    torch.manual_seed(0)
    u, v = (torch.linalg.qr(torch.randn(n, 3)).Q for n in (20, 6))
    codes = torch.randn(5000, 6)
    made = codes @ v @ torch.diag(torch.tensor([5.0, 2.0, 1.0])) @ u.T
    found = principal_directions(codes, made, 5)
    assert found.shape == (3, 6)  # there are no more
    overlap = (torch.nn.functional.normalize(found, dim=1) @ v).abs()
    torch.testing.assert_close(overlap, torch.eye(3), rtol=0, atol=0.07)
    torch.testing.assert_close(found.norm(dim=1), torch.ones(3), rtol=0, atol=0.07)


def test_there_are_no_more_directions_than_codes_have_places() -> None:
    torch.manual_seed(0)
    codes = torch.randn(500, 2)
    made = torch.cat([codes, codes**2, codes.prod(1, keepdim=True)], dim=1)
    assert principal_directions(codes, made, 5).shape == (2, 2)


def test_what_never_changes_has_no_directions() -> None:
    assert principal_directions(torch.randn(50, 4), torch.ones(50, 6), 3).shape == (0, 4)


# -- families --------------------------------------------------------------------------------------


def make(name: str, space: Space) -> Family:
    torch.manual_seed(0)
    made: Family = build("families", name, {}, space, {}, Auto("xs"), where="family")
    return made


@spaces
@pytest.mark.parametrize("name", ["vae", "gan", "flow", "diffusion"])
def test_codes_make_examples_each_its_own(name: str, space: Space) -> None:
    made = make(name, space).eval()
    codes = torch.randn(6, made.latent_dim)
    with torch.no_grad():
        x = made.decode(codes, {})
        space.check(x)
        torch.testing.assert_close(made.decode(codes[2:3], {}), x[2:3], rtol=1e-4, atol=1e-5)


@spaces
def test_a_flow_comes_back_exactly(space: Space) -> None:
    made = make("flow", space)
    x = torch.rand(64, *space.shape) * 1.8 - 0.9
    made.prepare(Batch(x))
    for p in made.parameters():
        p.data += 0.02 * torch.randn_like(p)
    made.eval()
    with torch.no_grad():
        again = made.decode(made.encode(Batch(x)), {})
    torch.testing.assert_close(again, x, rtol=0, atol=1e-4)


@pytest.mark.parametrize("schedule", ["flow", "edm", "ddpm"])
def test_a_diffusion_comes_back_along_its_ode(schedule: str) -> None:
    torch.manual_seed(0)
    made = Diffusion(ROW, {}, Auto("xs"), schedule=schedule)  # type: ignore[arg-type]
    x = torch.rand(64, 4)
    made.prepare(Batch(x))
    optimizer = PhaseOptimizer(made, made.phases[0], TrainOptions())
    for _ in range(40):
        made.zero_grad()
        made.loss(Batch(torch.rand(128, 4)), "fit")["denoise"].backward()
        optimizer.step(1.0)
    made.eval()
    with torch.no_grad():
        code = made.encode(Batch(x))
        again = made.decode(code, {})
    assert code.shape == (64, made.latent_dim)
    torch.testing.assert_close(again, x, rtol=0, atol=0.02)


def test_a_trained_vae_comes_back_within_its_error() -> None:
    torch.manual_seed(0)
    x = torch.randn(1000, 2) @ torch.tensor([[1.0, 0.8, 0.3, 0.0], [0.0, 0.6, 0.5, 1.0]])
    vae = VAE(ROW, {}, Auto("xs"), latent=2, kl_warmup=0.0)
    optimizer = PhaseOptimizer(vae, vae.phases[0], TrainOptions(lr=4e-3))
    for _ in range(150):
        vae.zero_grad()
        terms = vae.loss(Batch(x[torch.randint(0, 1000, (128,))]), "fit")
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step(1.0)
    vae.eval()
    with torch.no_grad():
        error = (vae.decode(vae.encode(Batch(x)), {}) - x).square().mean()
    assert error < 1.2 * (2 * vae.learned_scale.log()).exp().mean()
    assert error < 0.3 * x.var()


def test_codes_of_a_gan_are_its_noise() -> None:
    made = make("gan", ROW).eval()
    assert isinstance(made, GAN)
    seen: list[Tensor] = []

    def look(_: Any, args: tuple[Tensor, ...]) -> None:
        seen.append(args[0])

    made.generator.register_forward_pre_hook(look)
    codes = torch.randn(400, made.latent_dim)
    with torch.no_grad():
        made.decode(codes, {})
        made.sample(400, seed=0, chunk=400)
    mine, drawn = seen
    assert mine.shape == drawn.shape
    for z in seen:
        assert z[:, -made.bits :].unique().tolist() == [-1, 1]
        assert abs(z[:, -made.bits :].mean()) < 0.1
    assert torch.equal(mine[:, : -made.bits], codes[:, : -made.bits])
