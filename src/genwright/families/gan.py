"""Generative adversarial network, in the form that is known to converge (R3GAN, Huang et al. 2024,
arXiv:2501.05441): a relativistic pairing loss (Jolicoeur-Martineau 2019, arXiv:1807.00734) with zero-
centred gradient penalties on real (R1, Mescheder et al. 2018, arXiv:1801.04406) and fake (R2) data.

    critic     softplus(D(fake) - D(real)) + gamma/2 * (|grad D(real)|^2 + |grad D(fake)|^2)
    generator  softplus(D(real) - D(fake))

Symbols reach the critic one-hot; fakes of them are straight-through Gumbel-softmax draws.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from genwright.batch import Batch
from genwright.bounds import Count, NonNegative, Positive
from genwright.families.base import Family, Phase
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets
from genwright.space import Space

__all__ = ["GAN"]


class GAN(Family):
    """Generator and critic, trained in turn."""

    accepts = frozenset({"real", "symbol", "mixed"})
    has_heldout = False
    batch_size = 64
    phases = (
        Phase("critic", ("critic", "tell_critic"), lr=5e-4, betas=(0.0, 0.99)),
        Phase("generator", ("generator", "tell_generator"), lr=5e-4, betas=(0.0, 0.99)),
    )

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, Space],
        nets: Nets,
        *,
        latent: Count = 64,
        loss: Literal["relativistic", "nonsaturating"] = "relativistic",
        gamma: NonNegative = 1.0,
        tau: Positive = 0.7,
    ) -> None:
        """latent: dimensions of the noise.  loss: how real and fake are compared.  gamma: weight of
        the gradient penalties; it falls to a tenth over training.  tau: temperature of the soft
        gradient through symbols."""
        super().__init__(space, cond, nets)
        self.latent, self.kind, self.gamma, self.tau = latent, loss, gamma, tau
        self.tell_generator = Conditioner(cond, space.grid, nets, "decode")
        self.tell_critic = Conditioner(cond, space.grid, nets, "score")
        self.generator = nets.decode(space.grid, latent, space.width, self.tell_generator.told)
        self.critic = nets.score(space.grid, space.width, self.tell_critic.told)

    def _fake(self, batch: Batch, gone: dict[str, Tensor]) -> Tensor:
        z = torch.randn(len(batch), self.latent, device=batch.x.device)
        out = self.generator(z, self.tell_generator(batch.cond, len(batch), z, gone))
        return self.space.relax(out, self.tau)

    def _judge(self, x: Tensor, batch: Batch, gone: dict[str, Tensor]) -> Tensor:
        # The penalty differentiates twice, which only the plain kernel of attention can do.
        with sdpa_kernel(SDPBackend.MATH):
            return self.critic(x, self.tell_critic(batch.cond, len(batch), x, gone)).float()

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        # Maker and judge go without the same conditions, or the judge would ask of an untold fake
        # what it could not know.
        gone = self.tell_critic.dropped(len(batch), batch.x)
        real = self.space.embed(batch.x)
        if phase == "generator":
            fake = self._judge(self._fake(batch, gone), batch, gone)
            if self.kind == "nonsaturating":
                return {"generator": F.softplus(-fake).mean()}
            return {"generator": F.softplus(self._judge(real, batch, gone) - fake).mean()}
        with torch.no_grad():
            made = self._fake(batch, gone)
        real, made = real.requires_grad_(), made.requires_grad_()
        on_real, on_fake = self._judge(real, batch, gone), self._judge(made, batch, gone)
        gap = (
            F.softplus(on_fake - on_real)
            if self.kind == "relativistic"
            else F.softplus(-on_real) + F.softplus(on_fake)
        )
        gamma = self.gamma * 0.1**self.clock.progress
        penalty = self._slope(on_real, real) + self._slope(on_fake, made)
        return {"critic": gap.mean(), "penalty": 0.5 * gamma * penalty}

    def _slope(self, score: Tensor, x: Tensor) -> Tensor:
        """Mean squared norm of the critic's gradient at its input."""
        (grad,) = torch.autograd.grad(score.sum(), x, create_graph=True)
        return grad.float().square().flatten(1).sum(1).mean()

    def _sample(
        self,
        n: int,
        cond: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """temperature: spread of the noise, and of the draw of symbols."""
        z = temperature * torch.randn(n, self.latent, generator=rng, device=self.device)
        out = self.generator(z, self.tell_generator(cond, n, z))
        return self.space.draw(self.space.squash(out), temperature, rng)
