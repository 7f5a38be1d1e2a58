"""The parts of a VAE and a GAN against their formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families.gan import GAN
from genwright.families.vae import VAE
from genwright.nets.roles import Auto
from genwright.nets.transformer import TransformerNets
from genwright.space import Real, Space, Symbol

SPACE = Space((), (Real(3), Symbol(4)))


def batch(n: int = 32) -> Batch:
    torch.manual_seed(1)
    return Batch(torch.cat([torch.randn(n, 3), torch.randint(0, 4, (n, 1))], 1))


def test_kl_is_torchs_and_beta_warmup_and_free_bits_weigh_it() -> None:
    torch.manual_seed(0)
    vae = VAE(SPACE, {}, Auto("xs"), latent=4, beta=3.0, kl_warmup=0.5)
    mean, log_var = vae._posterior(batch())
    _, kl = vae._terms(batch())
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
    rec, kl = vae._terms(batch())
    assert count == 32
    torch.testing.assert_close(total, rec.sum() + kl.sum())


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
    assert vae.log_scale is not None
    made = vae.sample(2000, seed=0, chunk=2000)
    torch.testing.assert_close(made.std(0), x.std(0), rtol=0.25, atol=0)


def test_gradient_penalty_of_a_linear_critic() -> None:
    torch.manual_seed(0)
    gan = GAN(Space((), (Real(3),)), {}, Auto("xs"), gamma=2.0)
    weight = torch.tensor([1.0, 2.0, -2.0])

    class Linear(nn.Module):
        def forward(self, x: torch.Tensor, cond: object) -> torch.Tensor:
            return x @ weight

    gan.critic = Linear()  # type: ignore[assignment]
    penalty = gan.loss(Batch(torch.randn(16, 3)), "critic")["penalty"]
    # gamma / 2 * (|w|^2 on real + |w|^2 on fake), at the start of training.
    assert penalty.item() == pytest.approx(0.5 * 2.0 * (9.0 + 9.0))
    gan.clock.progress = 1.0
    assert gan.loss(Batch(torch.randn(16, 3)), "critic")["penalty"].item() == pytest.approx(1.8)


@pytest.mark.parametrize("loss", ["relativistic", "nonsaturating"])
def test_a_gan_finds_the_mean_of_a_cloud(loss: str) -> None:
    torch.manual_seed(0)
    space = Space((), (Real(2),))
    gan = GAN(space, {}, Auto("xs"), loss=loss)  # type: ignore[arg-type]
    data = 0.3 * torch.randn(1000, 2) + torch.tensor([2.0, -1.0])
    parts = {
        p.name: [q for m in p.trains for q in gan.get_submodule(m).parameters()] for p in gan.phases
    }
    engines = {name: torch.optim.Adam(ps, lr=2e-3, betas=(0.0, 0.99)) for name, ps in parts.items()}
    for _ in range(150):
        for phase in gan.phases:
            gan.zero_grad()
            sum(gan.loss(Batch(data[torch.randint(0, 1000, (64,))]), phase.name).values()).backward()  # type: ignore[union-attr]
            engines[phase.name].step()
    torch.testing.assert_close(gan.sample(500).mean(0), data.mean(0), rtol=0, atol=0.3)


def test_what_a_family_has_not_it_says() -> None:
    gan, vae = GAN(SPACE, {}, Auto("xs")), VAE(SPACE, {}, Auto("xs"))
    for ask in (gan.encode, gan.log_prob, gan.heldout, vae.log_prob):
        with pytest.raises(Unsupported):
            ask(batch())
    assert vae.encode(batch()).shape == (32, 32)
    with pytest.raises(
        RecipeError, match=r"unknown option sample\.tempurature; did you mean 'temperature'"
    ):
        vae.sample(1, tempurature=1.0)
    with pytest.raises(Incompatible, match="without the condition 'label'"):
        vae.sample(1, {"label": torch.zeros(1, 1).long()})


def test_a_gan_learns_through_attention() -> None:
    """Its penalty is differentiated twice, also by a net of Transformers."""
    gan = GAN(Space((4,), (Real(2),)), {}, TransformerNets("xs"))
    loss = gan.loss(Batch(torch.randn(8, 2, 4)), "critic")
    loss["penalty"].backward()
    grads = [p.grad for name, p in gan.critic.named_parameters() if ".q." in name]
    assert len(grads) == 2
    assert all(grad is not None and grad.isfinite().all() for grad in grads)
