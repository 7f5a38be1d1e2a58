"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

    -log p(x) <= E_q(z|x)[-log p(x|z)] + KL(q(z|x) || N(0, 1))

with a weight on the second term (beta-VAE, Higgins et al. 2017), a warm-up of that weight, free bits
(Kingma et al. 2016, arXiv:1606.04934) and a learned decoder variance (sigma-VAE, Rybkin et al. 2021,
arXiv:2006.13202), without which the balance of the two terms hangs on the scale of the data.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.bounds import Count, NonNegative
from genwright.families.base import Family, Phase, Vital
from genwright.families.guidance import guided
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets
from genwright.space import Space

__all__ = ["VAE"]

DRAWS = 64
"""Of the posterior, for one likelihood."""
ACTIVE = 0.01
"""Nats that a dimension of the code tells, at least, if it is used."""


class VAE(Family):
    """Encoder, Gaussian latent, decoder."""

    accepts = frozenset({"real", "symbol", "mixed"})
    likelihood = "bound"
    quick = True
    phases = (Phase("fit", lr=1e-3),)
    vitals = (
        Vital(
            sign="kl",
            cause="KL collapse",
            words="the code tells {value:.2g} nats of an example, and told about {usual:.3g} before",
            helps="a smaller family.beta, or family.free_bits=0.1",
            below=0.01,
            of_usual=True,
            least=0.1,
            lasting=3,
        ),
        Vital(
            sign="active",
            cause="KL collapse",
            words="no dimension of the code depends on the example any more: the code is not used",
            helps="a smaller family.beta, or family.free_bits=0.1",
            below=0.5,
            lasting=50,
            after=0.3,
            heals=False,
        ),
    )

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, Space],
        nets: Nets,
        *,
        latent: Count = 32,
        beta: NonNegative = 1.0,
        kl_warmup: Annotated[float, Ge(0), Le(1)] = 0.2,
        free_bits: NonNegative = 0.0,
        decoder_variance: bool = True,
    ) -> None:
        """latent: dimensions of the code.  beta: weight of the KL term.  kl_warmup: share of
        training over which that weight grows from 0.  free_bits: nats of each latent dimension
        that cost nothing.  decoder_variance: learn the spread of real channels (else it is 1)."""
        super().__init__(space, cond, nets)
        self.latent, self.beta, self.kl_warmup, self.free_bits = latent, beta, kl_warmup, free_bits
        self.code_dim = latent
        self.tell_encoder = Conditioner(cond, space.grid, nets, "encode")
        self.tell_decoder = Conditioner(cond, space.grid, nets, "decode")
        self.encoder = nets.encode(space.grid, space.width, 2 * latent, self.tell_encoder.told)
        self.decoder = nets.decode(space.grid, latent, space.width, self.tell_decoder.told)
        learns = decoder_variance and space.real_channels > 0
        self.log_scale = nn.Parameter(torch.zeros(space.real_channels)) if learns else None

    def _posterior(
        self, batch: Batch, gone: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of q(z|x), `(B, latent)` each."""
        told = self.tell_encoder(batch.cond, len(batch), batch.x, gone)
        mean, log_var = self.encoder(self.space.embed(batch.x), told).float().chunk(2, dim=1)
        return mean, log_var.clamp(-12, 6)

    def _terms(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Reconstruction `(B,)` and KL by dimension `(B, latent)`, in nats."""
        gone = self.tell_decoder.dropped(len(batch), batch.x)
        mean, log_var = self._posterior(batch, gone)
        z = mean + (0.5 * log_var).exp() * torch.randn_like(mean)
        out = self.decoder(z, self.tell_decoder(batch.cond, len(batch), batch.x, gone))
        rec = self.space.nll(out, batch.x, batch.mask, self._scale())
        return rec, 0.5 * (mean.square() + log_var.exp() - 1 - log_var)

    def _scale(self) -> Tensor | None:
        # Below e^-5 a channel is known to one part in 150 of its spread; the density would go on
        # growing without the picture getting any better.
        return None if self.log_scale is None else self.log_scale.clamp_min(-5.0)

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        rec, kl = self._terms(batch)
        warm = min(1.0, self.clock.progress / self.kl_warmup) if self.kl_warmup else 1.0
        kl = kl.mean(0)
        told = kl.detach()
        self.signs |= {"kl": told.sum(), "active": (told > ACTIVE).sum()}
        paid = kl.clamp_min(self.free_bits).sum()
        return {"reconstruction": rec.mean(), "kl": self.beta * warm * paid}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The negative evidence lower bound in nats, whatever the weights in training."""
        rec, kl = self._terms(batch)
        return (rec + kl.sum(1)).sum(), torch.tensor(float(len(batch)), device=rec.device)

    def log_prob(self, batch: Batch) -> Tensor:
        """log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x) for K draws of the posterior: a lower bound, the tighter
        the more draws (IWAE, Burda et al. 2016, arXiv:1509.00519, eq. 8)."""
        mean, log_var = self._posterior(batch)
        told = self.tell_decoder(batch.cond, len(batch), batch.x)
        weights = []
        for _ in range(DRAWS):
            noise = torch.randn_like(mean)
            z = mean + (0.5 * log_var).exp() * noise
            out = self.decoder(z, told)
            # log p(z) - log q(z|x); the constants cancel.
            ratio = 0.5 * (noise.square() + log_var - z.square()).sum(1)
            weights.append(ratio - self.space.nll(out, batch.x, batch.mask, self._scale()))
        return torch.stack(weights).logsumexp(0) - math.log(DRAWS)

    def encode(self, batch: Batch) -> Tensor:
        return self._posterior(batch)[0]

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        return self.space.draw(self.decoder(codes, self.tell_decoder(cond, len(codes), codes)))

    def _sample(
        self,
        n: int,
        cond: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
        guidance_scale: float = 1.0,
        noise: bool | None = None,
    ) -> Tensor:
        """temperature: spread of the latent and of the draws.  guidance_scale: above 1 exaggerates
        the condition.  noise: add the decoder's spread to real channels (None: where they are
        unbounded; in a picture that spread is misfit rather than content)."""
        z = temperature * torch.randn(n, self.latent, generator=rng, device=self.device)
        told = self.tell_decoder(cond, n, z)
        untold = self.tell_decoder({}, n, z) if cond else None
        out = guided(lambda c: self.decoder(z, c), told, untold, guidance_scale)
        bounded = all(getattr(span, "bounded", False) for span in self.space.spans)
        wanted = not bounded if noise is None else noise
        return self.space.draw(out, temperature, rng, self._scale() if wanted else None)
