"""The densities of a VAE's prior, against those of `torch.distributions` at double precision."""

import torch
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from genwright.families.latents import Gaussian, Mixture


def test_a_mixture_of_narrow_parts_keeps_its_density_where_products_are_coarse():
    """Autocast rounds products to three digits: written as a difference of such, a density of parts with
    deviations of 1/400 is off by thousands of nats, and a training finds that out."""
    rng = torch.Generator().manual_seed(0)
    parts = Gaussian(3 * torch.randn(10, 8, generator=rng), torch.full((10, 8), -12.0))
    shares = torch.randn(5, 10, generator=rng).log_softmax(1)
    z = parts.mean[:5] + 0.003 * torch.randn(5, 8, generator=rng)
    with torch.autocast("cpu", torch.bfloat16):
        found = Mixture(parts, shares).log_prob(z)
    mean, std = parts.mean.double(), (0.5 * parts.log_var).exp().double()
    true = MixtureSameFamily(Categorical(logits=shares.double()), Independent(Normal(mean, std), 1))
    torch.testing.assert_close(found.double(), true.log_prob(z.double()), rtol=1e-4, atol=1e-3)
