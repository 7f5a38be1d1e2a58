"""Laws of a VAE's prior, posterior and bound, for each of its options and some of them together."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.errors import RecipeError
from genwright.families import vae as module
from genwright.families.latents import hardened, softened
from genwright.families.learned_scale import GAIN
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

ROW = Space((), (Real(2), Symbol(3)))
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "draws": {"draws": 5},
    "vamp": {"prior": "vamp", "components": 6},
    "flow": {"posterior": "flow", "flow_steps": 3},
    "levels": {"levels": 3, "latent": 4},
    "levels, vamp, draws": {"levels": 2, "prior": "vamp", "components": 6, "draws": 3},
    "levels, flow": {"levels": 2, "posterior": "flow", "latent": 4},
}
each = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


def made(space: Space, options: dict[str, Any], seed: int = 0) -> VAE:
    """With networks that answer something from the start."""
    torch.manual_seed(seed)
    vae = VAE(space, {}, Auto("xs"), **{"latent": 2, **options}).eval()
    for name, p in vae.named_parameters():
        if "back" in name or "second" in name or "gain" in name:
            nn.init.normal_(p, std=0.1)
    return vae


def some(n: int = 8) -> Batch:
    rng = torch.Generator().manual_seed(1)
    real, symbol = torch.randn(n, 2, generator=rng), torch.randint(0, 3, (n, 1), generator=rng)
    return Batch(torch.cat([real, symbol], 1))


@each
@torch.no_grad()
def test_densities_of_prior_and_posterior_are_right(options: dict[str, Any]) -> None:
    """The prior adds up to 1 as the posterior sees it, E_q[p / q] = 1; and the KL is -E_q log(p / q)."""
    vae = made(ROW, options)
    features = vae._features(some(4))
    features = 0.3 * features  # near enough to the prior for few draws
    mixture = vae._mixture({}, 1, features)
    drawn = vae.latents.draw(features.repeat(12000, 1), mixture)
    ratio, kl = drawn.log_ratio.view(12000, 4), drawn.kl.sum(1).view(12000, 4)
    weight = ratio.exp()
    error = weight.std(0) / 12000**0.5
    assert (error < 0.05).all(), "the test is too coarse to see anything"
    assert ((weight.mean(0) - 1).abs() < 5 * error).all()
    spread = (ratio + kl).std(0) / 12000**0.5
    assert ((kl.mean(0) + ratio.mean(0)).abs() < 5 * spread + 1e-4).all()


@each
def test_the_bound_adds_up_to_less_than_one(options: dict[str, Any]) -> None:
    space = Space((), (Symbol(3), Symbol(2)))
    points = torch.cartesian_prod(torch.arange(3), torch.arange(2))
    torch.manual_seed(0)
    vae = VAE(space, {}, Auto("xs"), **{"latent": 2, **options})
    x = points[torch.randint(0, 4, (256,))]
    vae.prepare(Batch(x))
    optimizer = PhaseOptimizer(vae, vae.phases[0], TrainOptions(lr=3e-3))
    vae.clock.progress = 1.0
    seen = set()
    for _ in range(60):
        vae.zero_grad()
        torch.stack(list(vae.loss(Batch(x), "fit").values())).sum().backward()
        waiting = [(n, p.grad) for n, p in vae.named_parameters() if n not in seen]
        seen |= {n for n, gradient in waiting if gradient is not None and bool(gradient.any())}
        optimizer.step(1.0)
    assert seen == {name for name, _ in vae.named_parameters()}
    with torch.no_grad():
        p = vae.eval().log_prob(Batch(points)).double().exp()
        assert 0.6 < float(p.sum()) < 1.02
        assert float(p[:4].sum()) > 0.8 * float(p.sum())
        drawn = vae.sample(2000, seed=0, chunk=2000)
    share = torch.stack([(drawn == point).all(1).float().mean() for point in points])
    torch.testing.assert_close(share.double(), p / p.sum(), atol=0.08, rtol=0)
    assert torch.equal(vae.sample(50, seed=3), vae.sample(50, seed=3))


@torch.no_grad()
def test_the_bound_rises_with_the_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    vae = made(ROW, {})
    for p in vae.decoder.parameters():
        p.data *= 1.5
    found = []
    for draws in (1, 5, 50):
        torch.manual_seed(0)
        monkeypatch.setattr(module, "DRAWS", draws)
        found.append(torch.stack([vae.log_prob(some(64)) for _ in range(30)]).mean().item())
        vae.draws = draws
        held = torch.stack([vae.heldout(some(64))[0] / 64 for _ in range(30)]).mean().item()
        assert held == pytest.approx(-found[-1], abs=0.25)
    assert found[0] + 0.01 < found[1]
    assert found[1] + 0.001 < found[2]


class Bent(nn.Module):
    """A decoder whose posterior is a banana: x = 2 (z_2 - z_1^2)."""

    def forward(self, z: Tensor, cond: Cond) -> Tensor:
        return 2 * (z[:, 1:2] - z[:, :1].square())


@pytest.mark.journey
def test_a_flow_follows_a_posterior_that_is_bent() -> None:
    space, found = Space((), (Real(1),)), {}
    x = 2 * (torch.randn(512, 1) - torch.randn(512, 1).square())
    for posterior in ("normal", "flow"):
        torch.manual_seed(0)
        vae = VAE(space, {}, Auto("xs"), latent=2, posterior=posterior, flow_steps=4, kl_warmup=0.0)
        vae.decoder = Bent()  # type: ignore[assignment]
        vae.learned_scale.slow.data.fill_(-1.5 / GAIN)
        vae.learned_scale.requires_grad_(False)
        vae.prepare(Batch(x))
        optimizer = torch.optim.Adam([p for p in vae.parameters() if p.requires_grad], lr=3e-3)
        for _ in range(200):
            optimizer.zero_grad()
            torch.stack(list(vae.loss(Batch(x), "fit").values())).sum().backward()
            optimizer.step()
        with torch.no_grad():
            total = torch.stack([vae.eval().heldout(Batch(x))[0] for _ in range(20)]).mean()
        found[posterior] = float(total / len(x))
    assert found["flow"] < found["normal"] - 0.1


def test_a_flow_starts_as_the_identity() -> None:
    vae = made(ROW, {"posterior": "flow"})
    vae.prepare(some(32))
    with torch.no_grad():
        features = vae._features(some())
        z = vae.latents.draw(features, None, mean=True).z
        torch.testing.assert_close(z, features[:, :2].flip(1), atol=1e-5, rtol=0)


@torch.no_grad()
def test_pseudo_inputs_start_as_examples() -> None:
    space = Space((4,), (Real(1, bounded=True), Symbol(3), Real(1)))
    x = torch.cat([torch.rand(5, 1, 4) * 2 - 1, torch.randint(0, 3, (5, 1, 4)), torch.randn(5, 1, 4)], 1)
    torch.testing.assert_close(softened(space, hardened(space, x)), space.embed(x), atol=0.11, rtol=0)
    vae = VAE(space, {}, Auto("xs"), latent=2, prior="vamp", components=5).eval()
    vae.prepare(Batch(x))
    mixture = vae._mixture({}, 1, x)
    assert mixture is not None
    z = vae.latents.sample(4000, mixture, torch.Generator().manual_seed(0), 1.0)
    torch.testing.assert_close(z.mean(0), mixture.parts.mean.mean(0), atol=0.1, rtol=0)
    spread = mixture.parts.log_var.exp().mean(0) + mixture.parts.mean.var(0, correction=0)
    torch.testing.assert_close(z.var(0), spread, rtol=0.1, atol=0)


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"levels": 2}, {"prior": "vamp", "components": 3}])
def test_a_code_on_a_grid(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    space = Space((8, 6), (Real(1, bounded=True),))
    vae = VAE(space, {}, Auto("xs"), latent=4, factor=2, **options).eval()
    x = torch.rand(3, 1, 8, 6) * 2 - 1
    vae.prepare(Batch(x))
    assert vae.code is not None
    assert vae.code.grid == (4, 3)
    code = vae.to_latent(Batch(x))
    vae.code.check(code)
    assert torch.equal(code, vae.to_latent(Batch(x)))
    space.check(vae.from_latent(code, torch.Generator().manual_seed(0)))
    assert vae.encode(Batch(x)).shape == (3, vae.latents.channels * 12)
    space.check(vae.decode(vae.encode(Batch(x)), {}))
    assert vae.latent_dim == vae.latents.channels * 12
    assert vae.gaussian_prior == (not options)
    assert torch.isfinite(vae.log_prob(Batch(x))).all()
    space.check(vae.sample(2))


def test_an_estimate_below_zero_teaches_too() -> None:
    """Where the KL is estimated from one draw it is below 0 in half of the steps at first."""
    vae = made(ROW, {"prior": "vamp", "components": 6})
    vae.prepare(some())
    vae.clock.progress, diagnostic_values = 1.0, set()
    for _ in range(20):
        vae.zero_grad()
        term = vae.loss(some(), "fit")["kl"]
        torch.autograd.backward(term)
        diagnostic_values.add(bool(term > 0))
        assert vae.pseudo is not None
        assert vae.pseudo.grad is not None
        assert vae.pseudo.grad.any()
    assert diagnostic_values == {True, False}


@torch.no_grad()
@pytest.mark.parametrize("options", [{}, {"prior": "vamp", "components": 6}, {"levels": 3}])
def test_codes_are_drawn_from_their_prior(options: dict[str, Any]) -> None:
    """What is decoded of drawn codes has the law of samples, which those of normal numbers have not."""
    vae = made(ROW, {"latent": 4, **options})
    vae.prepare(some())
    for name, p in vae.named_parameters():  # a prior far from normal
        if name == "pseudo" or name.startswith("latents.priors"):
            nn.init.normal_(p, std=3.0)
    drawn = vae.sample_prior(5000, {}, torch.Generator().manual_seed(0))
    assert drawn.shape == (5000, vae.latent_dim)
    mixture = vae._mixture({}, 1, drawn)
    z = vae.latents.sample(5000, mixture, torch.Generator().manual_seed(1), 1.0).flatten(1)
    for moment in (Tensor.mean, Tensor.std):
        torch.testing.assert_close(moment(drawn, 0), moment(z, 0), atol=0.08, rtol=0.08)
    normal = torch.allclose(drawn.std(0), torch.ones(vae.latent_dim), atol=0.05)
    assert vae.gaussian_prior == normal
    ROW.check(vae.decode(drawn, {}))


def test_the_prior_is_that_of_the_data_unless_said() -> None:
    """A mixture on a grid of numbers, of fewer parts where examples are large."""
    small, large = (Space((side, side), (Real(3, bounded=True),)) for side in (8, 64))
    for space, parts in ((small, 100), (large, 2**18 // (3 * 64 * 64))):
        vae = VAE(space, {}, Auto("xs"), latent=2)
        assert vae.pseudo is not None
        assert len(vae.pseudo) == parts
    for other in (ROW, Space((8,), (Symbol(5),)), Space((8,), (Real(2), Symbol(3)))):
        assert VAE(other, {}, Auto("xs")).pseudo is None
    plain: list[dict[str, Any]] = [{"posterior": "flow"}, {"factor": 2}, {"prior": "normal"}]
    for options in plain:
        assert VAE(small, {}, Auto("xs"), **options).pseudo is None


def test_what_is_told_is_missing_from_the_code() -> None:
    assert VAE(ROW, {"label": Space((), (Symbol(2),))}, Auto("xs")).code is None
    assert VAE(ROW, {}, Auto("xs")).code == Space((), (Real(32),))


def test_what_cannot_be_together_is_said() -> None:
    with pytest.raises(RecipeError, match=r"family\.free_bits=0\.5 .* family.draws=4"):
        VAE(ROW, {}, Auto("xs"), draws=4, free_bits=0.5)
    with pytest.raises(RecipeError, match=r"family.prior=vamp .* family.posterior=flow"):
        VAE(ROW, {}, Auto("xs"), prior="vamp", posterior="flow")
