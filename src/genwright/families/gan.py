"""Generative adversarial networks: a generator, and a critic that tells its examples from real ones.

By default in the form that is known to converge (R3GAN, Huang et al. 2024, arXiv:2501.05441): a relativistic
pairing loss (Jolicoeur-Martineau 2019, arXiv:1807.00734) with zero-centred gradient penalties on real (R1,
Mescheder et al. 2018, arXiv:1801.04406) and fake (R2) data.

    critic     softplus(D(fake) - D(real)) + gamma/2 * (|grad D(real)|^2 + |grad D(fake)|^2)
    generator  softplus(D(real) - D(fake))

`adversary` has this and the other losses. Symbols reach the critic one-hot; fakes of them are
straight-through Gumbel-softmax draws.

Against collapse the critic may see several examples at once (PacGAN, Lin et al. 2018, arXiv:1712.04086);
against few examples there is `diffaugment`. Some of the noise may be binary: what a generator makes of
Gaussian noise is connected, so that it fills the gaps of data which lie in pieces (Khayatkhoei et al. 2018,
arXiv:1806.00880).
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrizations

from genwright.batch import Batch, Cond
from genwright.errors import RecipeError
from genwright.families.adversary import (
    SATURATED,
    Adversary,
    Loss,
    Penalty,
    PenaltyOption,
    critic_nets,
    judged_by,
)
from genwright.families.base import Phase
from genwright.families.capabilities import LatentVariable
from genwright.families.diffaugment import Augment
from genwright.nets.cond import Conditioner
from genwright.nets.roles import CondShape, Grid, Net, Nets
from genwright.options import Count, Natural, NonNegative, Portion, Positive
from genwright.space import CondSpec, Space

__all__ = ["GAN", "Projection"]

FEW = 10_000
"""Pictures that a critic learns by heart."""


class GAN(LatentVariable):
    """Generator and critic, trained in turn."""

    accepts = frozenset({"real", "symbol", "mixed"})
    adversarial = True
    quick = True
    batch_size = 64
    phases: tuple[Phase, ...] = (
        Phase("critic", ("critic", "critic_conditioner"), lr=5e-3, betas=(0.0, 0.99), fan_in=288),
        Phase(
            "generator",
            ("generator", "generator_conditioner"),
            lr=5e-3,
            betas=(0.0, 0.99),
            fan_in=288,
        ),
    )
    diagnostics = (SATURATED,)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        latent: Count | None = None,
        bits: Natural | None = None,
        loss: Loss = "relativistic",
        penalty: PenaltyOption = "auto",
        gamma: NonNegative | None = None,
        critic_steps: Count | None = None,
        weight_clip: Positive = 0.01,
        spectral_norm: bool = False,
        pack: Count = 1,
        condition: Literal["channel", "projection"] = "channel",
        augment: Literal["none", "auto", "always"] = "none",
        augment_target: Portion = 0.6,
        augment_ramp: Count = 100_000,
        tau: Positive = 0.7,
    ) -> None:
        """latent: dimensions of the noise (None: 64, in a small space fewer).  bits: binary dimensions
        beside them (None: 8 for a row, 0 on a grid).  loss: how real and fake are compared.  penalty:
        on the critic's gradient; auto is what the loss's paper has.  gamma: its weight (None: 10 for
        gp, else by the numbers in an example, up to 1); that of r1 and r1r2 falls to a tenth over
        training.  critic_steps: for one of the generator (None: the loss's own).  weight_clip: largest
        weight of a `wgan` critic.  spectral_norm: keep the largest singular value of the critic's
        layers at 1.  pack: examples that the critic sees at once.  condition: how it reads the
        condition, within its layers or by a projection.  augment: change real and fake examples before
        the critic sees them; auto as far as it overfits, which is the default for fewer than 10,000
        pictures.  augment_target: mean sign of the critic's
        trust in real examples above which it does.  augment_ramp: examples after which all can be
        changed.  tau: temperature of the soft gradient through symbols."""
        super().__init__(space, cond, nets)
        self.latent = latent or min(64, 4 * space.width * space.positions)
        self.pack = self.least_batch = pack
        self.bits = (0 if space.grid else 8) if bits is None else bits
        self.latent_dim = self.latent + self.bits
        self.adversary = Adversary(
            space, loss=loss, penalty=penalty, gamma=gamma, steps=critic_steps, clip=weight_clip, tau=tau
        )
        self.phases = self.adversary.phases(*_paced(self.phases, space.grid, self.adversary.penalty))
        nets = critic_nets(nets, space.grid)
        self.generator_conditioner = Conditioner(self.cond, space.grid, nets, "decode")
        projects = condition == "projection"
        # Tokens cannot be packed, nor projected on: what would be some goes to the vector.
        slots = frozenset({"grid"}) if projects or pack > 1 else None
        self.critic_conditioner = Conditioner(self.cond, space.grid, nets, "encode", slots=slots)
        self.generator = nets.decode(
            (), space.grid, self.latent + self.bits, space.width, self.generator_conditioner.shape
        )
        cond_shape = self.critic_conditioner.shape
        cond_shape = CondShape(pack * cond_shape.vector, cond_shape.tokens, pack * cond_shape.grid)
        width = pack * space.width
        self.critic = (
            Projection(nets, space.grid, width, cond_shape)
            if projects
            else nets.encode(space.grid, (), width, 1, cond_shape, score=True)
        )
        self.crowd = any(isinstance(part, _BatchNorm) for part in self.critic.modules())
        self.spectral_norm = spectral_norm
        if spectral_norm:
            _normalise(self.critic)
        self.augment = (
            Augment(
                space,
                adapts=augment == "auto",
                target=augment_target,
                ramp=augment_ramp,
                moves=not cond_shape.grid,
            )
            if augment != "none"
            else None
        )
        if self.augment is not None:  # each process has seen how far its own examples are trusted
            self.shared = {"augment.p": "mean"}

    @classmethod
    def defaults_for(cls, space: Space, examples: int) -> Mapping[str, Any]:
        pictures = len(space.grid) >= 2 and space.kind == "real" and space.bounded
        return {"augment": "auto"} if pictures and examples < FEW else {}

    # -- training ------------------------------------------------------------------------------

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        self.adversary.clip(self.critic)
        self.refuse_mask(batch)
        batch = self._whole(batch)
        # The power iteration of the spectral norm keeps its vectors in fp32.
        plain = torch.autocast(batch.x.device.type, enabled=False)
        with plain if self.spectral_norm else nullcontext():
            return self._critic(batch) if phase == "critic" else self._generator(batch)

    def _critic(self, batch: Batch) -> dict[str, Tensor]:
        drop_mask, real = self._drop_mask(batch), self.space.embed(batch.x)
        with torch.no_grad():
            fake = self._fake(batch, drop_mask)
        cond = self._critic_cond(batch, drop_mask)
        found = self.adversary.criticise(
            lambda x, copies: self._judge_all(x, cond, copies), real, fake, self.clock, pack=self.pack
        )
        self.diagnostic_values |= self.adversary.doubt(found)
        if self.augment is not None and self.training:
            self.augment.follow(self.adversary.loss.trust(found.on_real, found.on_fake).detach())
        return found.terms

    def _generator(self, batch: Batch) -> dict[str, Tensor]:
        drop_mask = self._drop_mask(batch)
        cond = self._critic_cond(batch, drop_mask)
        on_fake = self._judge(self._fake(batch, drop_mask), cond)
        term = self.adversary.generator(on_fake, lambda: self._judge(self.space.embed(batch.x), cond))
        return {"generator": term}

    def _whole(self, batch: Batch) -> Batch:
        """As many examples as make whole packs."""
        n = len(batch) - len(batch) % self.pack
        if n == 0:
            raise RecipeError(
                f"family.pack={self.pack} needs batches of {self.pack} examples or more, got {len(batch)}: "
                f"choose a larger train.batch_size",
                code="batch-too-small",
            )
        if n == len(batch):
            return batch
        return Batch(batch.x[:n], {name: value[:n] for name, value in batch.cond.items()})

    def _drop_mask(self, batch: Batch) -> dict[str, Tensor]:
        # Maker and judge go without the same conditions, or the judge would ask of an unconditional fake
        # what it could not know.
        return self.critic_conditioner.draw_drop_mask(len(batch), batch.x)

    def _fake(self, batch: Batch, drop_mask: dict[str, Tensor]) -> Tensor:
        # No tanh: where most of a picture is black, a generator runs into it and no gradient comes back.
        n, device = len(batch), batch.x.device
        z = torch.randn(n, self.latent, device=device)
        z = torch.cat([z, _signs(torch.rand(n, self.bits, device=device))], dim=1)
        out = self.generator(z, self.generator_conditioner(batch.cond, n, z, drop_mask))
        return self.adversary.relax(out)

    def _critic_cond(self, batch: Batch, drop_mask: dict[str, Tensor]) -> Cond:
        """The critic's condition of each pack."""
        cond = self.critic_conditioner(batch.cond, len(batch), batch.x, drop_mask)
        grid = None if cond.grid is None else self._packed(cond.grid)
        return replace(cond, vector=self._packed(cond.vector), grid=grid)

    def _packed(self, x: Tensor) -> Tensor:
        """`(B, C, ...)` to `(B / pack, pack * C, ...)`."""
        return x.reshape(len(x) // self.pack, self.pack * x.shape[1], *x.shape[2:])

    def _judge(self, x: Tensor, cond: Cond) -> Tensor:
        """Scores of embedded examples, one for each pack."""
        if self.augment is not None:
            x = self.augment(x)
        return judged_by(self.critic, self._packed(x), cond).squeeze(1)

    def _judge_all(self, x: Tensor, cond: Cond, copies: int) -> Tensor:
        """Scores of one batch after the other, `copies` of them, under the same conditions."""
        if self.crowd:  # what is normalised over a batch could read off it which ones are real
            return torch.cat([self._judge(part, cond) for part in x.chunk(copies)])
        return self._judge(x, cond.map(lambda t: torch.cat([t, t])) if copies == 2 else cond)

    def condition_gain(self, batch: Batch, others: Mapping[str, Tensor], *, seed: int) -> Tensor:
        """By how much surer the critic is of what is made under a condition when it reads that one: 0 where the
        generator ignores it, and where the critic does."""
        torch.manual_seed(seed)
        batch = self._whole(batch)
        n, drop_mask = len(batch), self._drop_mask(batch)
        fake = self._fake(batch, drop_mask)
        wrong = Batch(batch.x, {**batch.cond, **{name: one[:n] for name, one in others.items()}})
        own, other = (self._judge(fake, self._critic_cond(b, drop_mask)) for b in (batch, wrong))
        return (own - other).mean()

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        """A code is the noise, and a number for each binary dimension, of which the sign counts."""
        bits = _signs((codes[:, self.latent :] > 0).to(codes.dtype))
        z = torch.cat([codes[:, : self.latent], bits], dim=1)
        out = self.generator(z, self.generator_conditioner(cond, len(z), z))
        return self.space.draw(out)

    # -- sampling ------------------------------------------------------------------------------

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
        truncation: Positive | None = None,
    ) -> Tensor:
        """temperature: scale of the noise, and of the draw of symbols.  truncation: draw again the noise
        that is further than this from 0 (Brock et al. 2019, arXiv:1809.11096, section 3.1): more typical
        examples, and fewer kinds of them."""
        z = torch.empty(n, self.latent, device=self.device)
        if truncation is None:
            z.normal_(generator=rng)
        else:
            nn.init.trunc_normal_(z, a=-truncation, b=truncation, generator=rng)
        bits = _signs(torch.rand(n, self.bits, generator=rng, device=self.device))
        z = torch.cat([temperature * z, bits], dim=1)
        out = self.generator(z, self.generator_conditioner(given, n, z))
        return self.space.draw(out, temperature, rng)


class Projection(Net):
    """A projection discriminator: the condition enters by an inner product (Miyato & Koyama 2018,
    arXiv:1802.05637, eq. 3):

    D(x, y) = w . h(x) + (V y) . h(x)
    """

    def __init__(self, nets: Nets, grid: Grid, n_in: int, cond_shape: CondShape) -> None:
        super().__init__()
        self.features = nets.encode(grid, (), n_in, nets.dim, CondShape(grid=cond_shape.grid))
        self.plain = nn.Linear(nets.dim, 1, bias=False)
        self.embed = nn.Linear(cond_shape.vector, nets.dim, bias=False) if cond_shape.vector else None

    def forward(self, x: Tensor, cond: Cond) -> Tensor:
        no_vector = Cond(cond.vector[:, :0], grid=cond.grid)
        h = F.leaky_relu(self.features(x, no_vector), 0.2)
        out: Tensor = self.plain(h)
        return out if self.embed is None else out + (self.embed(cond.vector) * h).sum(1, keepdim=True)


def _paced(phases: tuple[Phase, ...], grid: Grid, penalty: Penalty) -> tuple[Phase, ...]:
    if grid:
        return phases
    # A generator that is as fast as its critic swings about narrow modes, and learns to be narrower than
    # they are: what the critic sees is swings and width together. Slower, it settles (two time-scales:
    # Heusel et al. 2017, arXiv:1706.08500). A fast critic without a penalty leaves it no gradient.
    rates = (2e-3, 6e-4) if penalty in ("r1", "r1r2") else (1e-3, 1e-3)
    return tuple(replace(phase, lr=lr) for phase, lr in zip(phases, rates, strict=True))


def _normalise(net: nn.Module) -> None:
    """Divide each weight matrix by its largest singular value (Miyato et al. 2018, arXiv:1802.05957)."""
    for module in list(net.modules()):
        if isinstance(module, (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)):
            if not module.weight.any():  # a matrix of zeros has nothing to divide by
                nn.init.orthogonal_(module.weight)
            parametrizations.spectral_norm(module)


def _signs(uniform: Tensor) -> Tensor:
    """Numbers of [0, 1) to -1 and 1."""
    return 2 * (uniform < 0.5).to(uniform.dtype) - 1
