from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families import vae as module
from genwright.families.vae import VAE
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Symbol


@pytest.mark.journey
def test_the_likelihood_is_the_integral_over_the_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """With any posterior, and draws enough; with few it is lower."""
    torch.manual_seed(0)
    vae = VAE(Space((), (Real(2), Symbol(3))), {}, Auto("xs"), latent=1).eval()
    for p in vae.decoder.parameters():
        p.data *= 1.5  # so that the code says something
    x = torch.cat([torch.randn(6, 2), torch.randint(0, 3, (6, 1))], 1)

    def features(batch: Batch, drop_mask: object = None) -> Tensor:
        return torch.tensor([[0.7, -0.5]]).expand(len(batch), -1)

    monkeypatch.setattr(vae, "_features", features)
    grid = torch.linspace(-6, 6, 1201)[:, None]
    with torch.no_grad():
        cond = vae.decoder_conditioner({}, len(grid), grid)
        out = vae.decoder(grid, cond)
        prior = -0.5 * grid[:, 0].square() - 0.5 * math.log(2 * math.pi) + math.log(12 / 1200)
        wanted = torch.stack(
            [
                (
                    prior - vae.space.nll(out, one.expand(len(grid), -1), None, vae.learned_scale.log())
                ).logsumexp(0)
                for one in x
            ]
        )
        few = torch.stack([vae.log_prob(Batch(x)) for _ in range(40)]).mean(0)
        monkeypatch.setattr(module, "DRAWS", 8192)
        many = vae.log_prob(Batch(x))
        monkeypatch.setattr(module, "DRAWS", 1)
        one = torch.stack([vae.log_prob(Batch(x)) for _ in range(400)]).mean(0)
    torch.testing.assert_close(many, wanted, atol=0.03, rtol=0)
    assert (one < few - 0.01).all()
    assert (few < wanted + 0.02).all()
