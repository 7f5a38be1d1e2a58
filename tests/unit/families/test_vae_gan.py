"""The parts of a VAE against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch.distributions import Normal, kl_divergence

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

SPACE = Space((), (Real(3), Symbol(4)))


def batch(n: int = 32) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.cat([torch.randn(n, 3), torch.randint(0, 4, (n, 1))], 1))


def test_kl_is_torchs_and_beta_warmup_and_free_bits_weigh_it() -> None:
    torch.manual_seed(0)
    vae = VAE(SPACE, {}, Auto("xs"), latent=4, beta=3.0, kl_warmup=0.5)
    mean, log_var = vae._features(batch()).chunk(2, dim=1)
    kl = vae._terms(batch())[1].kl
    truth = kl_divergence(Normal(mean, (0.5 * log_var).exp()), Normal(0.0, 1.0))
    torch.testing.assert_close(kl, truth, rtol=1e-4, atol=1e-5)
    plain = truth.mean(0).sum()
    for progress, weight in ((0.0, 0.0), (0.25, 1.5), (0.5, 3.0), (1.0, 3.0)):
        vae.clock.progress = progress
        torch.testing.assert_close(vae.loss(batch(), "fit")["kl"], weight * plain, rtol=1e-4, atol=1e-5)
    vae.free_bits = 100.0
    assert vae.loss(batch(), "fit")["kl"].item() == pytest.approx(3.0 * 4 * 100.0)


def test_heldout_is_the_whole_bound_whatever_the_weights_in_training() -> None:
    torch.manual_seed(0)
    vae = VAE(SPACE, {}, Auto("xs"), beta=50.0).eval()
    torch.manual_seed(5)
    total, count = vae.heldout(batch())
    torch.manual_seed(5)
    rec, drawn, _ = vae._terms(batch())
    assert count == 32
    torch.testing.assert_close(total, rec.sum() + drawn.kl.sum())


@pytest.mark.journey
def test_the_decoder_learns_the_spread_of_the_data() -> None:
    torch.manual_seed(0)
    space = Space((), (Real(2),))
    vae = VAE(space, {}, Auto("xs"), latent=1, kl_warmup=0.0)
    x = torch.randn(512, 2) * torch.tensor([1.0, 0.1])
    optimizer = torch.optim.Adam(vae.parameters(), lr=1e-2)
    for _ in range(300):
        optimizer.zero_grad()
        sum(vae.loss(Batch(x), "fit").values()).backward()  # type: ignore[union-attr]
        optimizer.step()
    made = vae.sample(2000, seed=0, chunk=2000)
    torch.testing.assert_close(made.std(0), x.std(0), rtol=0.25, atol=0)


def test_what_a_family_has_not_it_says() -> None:
    vae = VAE(SPACE, {}, Auto("xs"))
    assert vae.encode(batch()).shape == (32, 32)
    with pytest.raises(
        RecipeError, match=r"unknown option sample\.tempurature; did you mean 'temperature'"
    ):
        vae.sample(1, tempurature=1.0)
    with pytest.raises(Incompatible, match="without the condition 'label'"):
        vae.sample(1, {"label": torch.zeros(1, 1).long()})


def test_a_narrow_law_is_as_narrow_to_a_decoder_after_a_few_hundred_steps() -> None:
    """At its own rate: the spread must not crawl behind the network."""
    torch.manual_seed(0)
    vae = VAE(Space((), (Real(2),)), {}, Auto("xs"), latent=1, kl_warmup=0.0)
    optimizer = PhaseOptimizer(vae, vae.phases[0], TrainOptions())
    for _ in range(400):
        vae.zero_grad()
        line = torch.randn(128, 1).expand(-1, 2) + 0.02 * torch.randn(128, 2)
        sum(vae.loss(Batch(line), "fit").values()).backward()  # type: ignore[union-attr]
        optimizer.step(1.0)
    assert (vae.learned_scale.log().exp() < 0.08).all()
