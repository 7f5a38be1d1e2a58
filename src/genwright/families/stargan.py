"""StarGAN: any number of domains and one generator, without pairs (Choi et al. 2018, arXiv:1711.09020).

The generator is conditioned on the domain to bring an example to; the critic tells real from fake and names
the domain of what it sees (eq. 5 and 6), and the way back to the own domain must find the example again (eq.
4):

    critic     adversarial + classify * -log C(own | x)
    generator  adversarial + classify * -log C(target | G(x, target)) + cycle * |G(G(x, target), own) - x|

A batch's targets are its domains in another order, so that fakes have the domains of real ones. By default
the adversarial loss is relativistic with R1 and R2 (see `adversary`), which takes one critic step for one
of the generator; the paper's is `wgan-gp`, with five. The distance is that of
`translator.reconstruction_loss`; symbols are straight-through Gumbel-softmax draws.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.families.adversary import (
    SATURATED,
    Adversary,
    Loss,
    PenaltyOption,
    critic_nets,
    judged_by,
)
from genwright.families.base import Phase
from genwright.families.translator import Rival, reconstruction_loss
from genwright.nets.roles import CondShape, Nets
from genwright.options import Count, NonNegative, Positive
from genwright.space import CondSpec, Space

__all__ = ["StarGAN"]


class StarGAN(Rival):
    """One generator that is conditioned on the domain, and a critic that classifies it."""

    accepts = frozenset({"real", "symbol", "mixed"})
    batch_size = 32
    phases: tuple[Phase, ...] = (
        Phase("critic", ("critic",), lr=5e-4, betas=(0.5, 0.99)),
        Phase("generator", ("generator", "conditioner"), lr=5e-4, betas=(0.5, 0.99)),
    )
    diagnostics = (SATURATED,)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        cycle: NonNegative = 10.0,
        classify: NonNegative = 1.0,
        loss: Loss = "relativistic",
        penalty: PenaltyOption = "auto",
        gamma: NonNegative | None = None,
        critic_steps: Count | None = None,
        weight_clip: Positive = 0.01,
        tau: Positive = 0.7,
    ) -> None:
        """cycle: weight of the way there and back.  classify: weight of naming the domain.  loss: how real
        and fake are compared.  penalty: on the critic's gradient; auto is what the loss's paper has.  gamma:
        its weight (None: 10 for gp, else by the numbers in an example, up to 1).  critic_steps: for one of
        the generator (None: the loss's own).  weight_clip: largest weight of a `wgan` critic.  tau:
        temperature of the soft gradient through symbols."""
        super().__init__(space, cond, nets)
        self.cycle, self.classify = cycle, classify
        self.adversary = Adversary(
            space, loss=loss, penalty=penalty, gamma=gamma, steps=critic_steps, clip=weight_clip, tau=tau
        )
        self.phases = self.adversary.phases(*self.phases)
        grid, width = space.grid, space.width
        self.conditioner = nn.Embedding(self.domains, nets.dim)
        self.generator = nets.map(grid, width, width, CondShape(vector=nets.dim))
        # One number for how real, and one for each domain.
        self.critic = critic_nets(nets, grid).encode(grid, (), width, 1 + self.domains, CondShape())

    # -- training ------------------------------------------------------------------------------

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        self.refuse_mask(batch)
        self.adversary.clip(self.critic)
        own = batch.cond["domain"].flatten()
        target = own[torch.randperm(len(own), device=own.device)]
        return (
            self._critic(batch, own, target)
            if phase == "critic"
            else self._generator(batch, own, target)
        )

    def _critic(self, batch: Batch, own: Tensor, target: Tensor) -> dict[str, Tensor]:
        real, named = self.space.embed(batch.x), []
        with torch.no_grad():
            fake = self.fake(self.answer(real, target))

        def judge(x: Tensor, copies: int) -> Tensor:
            score, domain = self._look(x)
            named.append(domain)
            return score

        found = self.adversary.criticise(judge, real, fake, self.clock)
        self.diagnostic_values |= self.adversary.doubt(found)
        on_real = named[0][: len(real)]
        return found.terms | {"domain": self.classify * F.cross_entropy(on_real, own)}

    def _generator(self, batch: Batch, own: Tensor, target: Tensor) -> dict[str, Tensor]:
        real = self.space.embed(batch.x)
        fake = self.fake(self.answer(real, target))
        on_fake, domain = self._look(fake)
        return {
            "generator": self.adversary.generator(on_fake, lambda: self._look(real)[0]),
            "as_asked": self.classify * F.cross_entropy(domain, target),
            "cycle": self.cycle * reconstruction_loss(self.space, self.answer(fake, own), batch.x),
        }

    def _look(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Scores `(B,)` and the logits of the domains `(B, domains)` of embedded examples."""
        out = judged_by(self.critic, x, Cond.none(x))
        return out[:, 0], out[:, 1:]

    # -- sampling ------------------------------------------------------------------------------

    def answer(self, source: Tensor, domain: Tensor) -> Tensor:
        return self.generator(source, Cond(self.conditioner(domain)))
