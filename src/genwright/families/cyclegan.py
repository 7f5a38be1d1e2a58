"""CycleGAN: two domains, learnt from each other without pairs (Zhu et al. 2017, arXiv:1703.10593).

Two generators, one to each domain, and two critics that tell their examples from real ones. What is brought
to the other domain and back must be what it was (section 3.2), so that a generator keeps all of an example
that the other domain can hold; and what is of the domain already stays as it is (section 5.2):

    generators  sum over both domains of  adversarial(G(a)) + cycle * |F(G(a)) - a| + identity * |G(b) - b|
    critics     the loss of `adversary`, by default least squares

The distance is that of `translator.reconstruction_loss`: absolute for numbers, cross entropy for symbols,
which reach critic and way back as straight-through Gumbel-softmax draws. With `pool` a critic is now and then
shown a fake of former steps in place of a new one (Shrivastava et al. 2017, arXiv:1612.07828, section 2.3).
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from genwright.batch import Batch, Cond
from genwright.errors import Incompatible
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
from genwright.options import Count, Natural, NonNegative, Positive
from genwright.space import CondSpec, Space

__all__ = ["CycleGAN"]


class CycleGAN(Rival):
    """Two generators and two critics, one of each for each of two domains."""

    accepts = frozenset({"real", "symbol", "mixed"})
    batch_size = 32
    phases: tuple[Phase, ...] = (
        Phase("critic", ("critics",), lr=5e-4, betas=(0.5, 0.99)),
        Phase("generator", ("generators",), lr=5e-4, betas=(0.5, 0.99)),
    )
    diagnostics = (SATURATED,)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        cycle: NonNegative = 10.0,
        identity: NonNegative = 5.0,
        loss: Loss = "lsgan",
        penalty: PenaltyOption = "auto",
        gamma: NonNegative | None = None,
        critic_steps: Count | None = None,
        weight_clip: Positive = 0.01,
        pool: Natural = 0,
        tau: Positive = 0.7,
    ) -> None:
        """cycle: weight of the way there and back.  identity: weight of leaving alone what is of the domain
        already.  loss: how real and fake are compared.  penalty: on the critics' gradient; auto is R1 for
        lsgan, else what the loss's paper has.  gamma: its weight (None: 10 for gp, else by the numbers in an
        example, up to 1).  critic_steps: for one of the generators (None: the loss's own).  weight_clip:
        largest weight of a `wgan` critic.  pool: former fakes that are kept for each critic (the paper has
        50, with batches of one).  tau: temperature of the soft gradient through symbols."""
        super().__init__(space, cond, nets)
        if self.domains != 2:
            raise Incompatible(
                f"cyclegan translates between 2 domains, and these are {self.domains}: --family stargan "
                f"takes any number, or leave all but two out",
                code="wrong-domains",
            )
        self.cycle, self.identity = cycle, identity
        if (loss, penalty) == ("lsgan", "auto"):
            penalty = "r1"
        self.adversary = Adversary(
            space, loss=loss, penalty=penalty, gamma=gamma, steps=critic_steps, clip=weight_clip, tau=tau
        )
        self.phases = self.adversary.phases(*self.phases)
        grid, width = space.grid, space.width
        self.generators = nn.ModuleList(nets.map(grid, width, width, CondShape()) for _ in range(2))
        judges = critic_nets(nets, grid)
        self.critics = nn.ModuleList(
            judges.encode(grid, (), width, 1, CondShape(), score=True) for _ in range(2)
        )
        self.pool = pool
        if pool:
            self.register_buffer("kept", torch.zeros(2, pool, width, *grid))
            self.register_buffer("filled", torch.zeros(2, dtype=torch.long))
            # A pool is a sample of former fakes, and those of one device are as good a sample as any.
            self.shared = {"kept": "first", "filled": "first"}

    kept: Tensor
    filled: Tensor

    # -- training ------------------------------------------------------------------------------

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        self.refuse_mask(batch)
        self.adversary.clip(self.critics)
        parts = self._by_domain(batch)
        return self._critic(parts) if phase == "critic" else self._generator(parts)

    def _critic(self, parts: list[Tensor]) -> dict[str, Tensor]:
        terms: dict[str, Tensor] = {}
        critics = []
        for to in range(2):
            with torch.no_grad():
                fake = self.fake(self._bring(self.space.embed(parts[1 - to]), to))
                fake = self._pooled(fake, to) if self.pool and self.training else fake
            real = self.space.embed(parts[to])
            found = self.adversary.criticise(partial(self._judge, to), real, fake, self.clock)
            for name, term in found.terms.items():
                terms[name] = terms.get(name, 0.0) + term
            critics.append(found)
        self.diagnostic_values |= self.adversary.doubt(*critics)
        return terms

    def _generator(self, parts: list[Tensor]) -> dict[str, Tensor]:
        zero = torch.zeros((), device=parts[0].device)
        adversarial, cycle, identity = zero, zero, zero
        for to in range(2):
            source, own = parts[1 - to], parts[to]
            fake = self.fake(self._bring(self.space.embed(source), to))
            real = self.space.embed(own)
            adversarial = adversarial + self.adversary.generator(
                self._judge(to, fake), partial(self._judge, to, real)
            )
            if self.cycle:
                cycle = cycle + reconstruction_loss(self.space, self._bring(fake, 1 - to), source)
            if self.identity:
                identity = identity + reconstruction_loss(self.space, self._bring(real, to), own)
        terms = {"generator": adversarial, "cycle": self.cycle * cycle}
        return terms | ({"identity": self.identity * identity} if self.identity else {})

    def _judge(self, to: int, x: Tensor, copies: int = 1) -> Tensor:
        """Scores of embedded examples by the critic of one domain."""
        critic: Any = self.critics[to]
        return judged_by(critic, x, Cond.none(x)).squeeze(1)

    def _bring(self, x: Tensor, to: int) -> Tensor:
        """The answer of one generator for embedded examples."""
        out: Tensor = self.generators[to](x, Cond.none(x))
        return out

    @torch.no_grad()
    def _pooled(self, fake: Tensor, to: int) -> Tensor:
        """Each fake, or with one chance in two a former one whose place it then takes."""
        shown = fake.clone()
        for i, one in enumerate(fake):
            filled = int(self.filled[to])
            if filled < self.pool:
                self.kept[to, filled], self.filled[to] = one, filled + 1
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(self.pool, ()))
                shown[i], self.kept[to, place] = self.kept[to, place].clone(), one
        return shown

    # -- sampling ------------------------------------------------------------------------------

    def answer(self, source: Tensor, domain: Tensor) -> Tensor:
        out = torch.empty_like(source)
        for to in range(2):
            rows = domain == to
            if bool(rows.any()):
                out[rows] = self._bring(source[rows], to).to(out.dtype)
        return out
