"""Prior and posterior of a VAE's latent code.

One level with a Gaussian prior and a Gaussian posterior is the plain VAE. Beyond that, each by itself:

    levels     a ladder of codes; each is drawn given those above, and its posterior starts from that prior
               (Sonderby et al. 2016, arXiv:1602.02282; residual as in Vahdat & Kautz 2020, arXiv:2007.03898,
               section 3.2)
    flow       the top posterior is a Gaussian sent through invertible steps that are conditioned on the
               example (Rezende & Mohamed 2015, arXiv:1505.05770, eq. 13-15; Kingma et al. 2016,
               arXiv:1606.04934)
    mixture    the top prior is a mixture of the posteriors of learned pseudo-inputs (Tomczak & Welling 2018,
               arXiv:1705.07120, eq. 9), in equal shares, or in such as the conditions have
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.families.transforms import Affine, Chain, Coupling, Mix, Transform
from genwright.nets.roles import CondShape, Grid, Nets
from genwright.space import Real, Space, Symbol

__all__ = ["Draw", "Latents", "Mixture", "hardened", "softened"]


@dataclass
class Gaussian:
    """Means and log-variances, `(B, C, *grid)` each."""

    mean: Tensor
    log_var: Tensor

    @classmethod
    def of(cls, out: Tensor, beside: Gaussian | None = None) -> Gaussian:
        """From a network's answer; with `beside`, what it adds to another."""
        mean, log_var = out.float().chunk(2, dim=1)
        if beside is not None:
            mean, log_var = mean + beside.mean, log_var + beside.log_var
        return cls(mean, log_var.clamp(-12, 6))

    def at(self, noise: Tensor | float) -> Tensor:
        return self.mean + (0.5 * self.log_var).exp() * noise

    def log_prob(self, z: Tensor) -> Tensor:
        """`(B,)`."""
        off = (z - self.mean).square() * (-self.log_var).exp()
        return -0.5 * (off + self.log_var + math.log(2 * math.pi)).flatten(1).sum(1)

    def kl(self, prior: Gaussian) -> Tensor:
        """KL(self || prior) by channel `(B, C)`."""
        more = self.log_var - prior.log_var
        off = (self.mean - prior.mean).square() * (-prior.log_var).exp()
        each = 0.5 * (off + more.exp() - 1 - more)
        return each.reshape(*each.shape[:2], -1).sum(2)


@dataclass
class Mixture:
    """Gaussians `(M, C, *grid)`, and the logarithms of their shares, `(1, M)` or, by example, `(B, M)`."""

    parts: Gaussian
    shares: Tensor

    def log_prob(self, z: Tensor) -> Tensor:
        """`(B,)`."""
        mean, log_var = self.parts.mean.flatten(1), self.parts.log_var.flatten(1)
        # Squares of differences: of narrow parts the difference of squares leaves nothing but rounding.
        off = ((z.flatten(1)[:, None] - mean).square() * (-log_var).exp()).sum(2)
        each = -0.5 * (off + (log_var + math.log(2 * math.pi)).sum(1))
        return (each + self.shares).logsumexp(1)

    def drawn(self, n: int, rng: torch.Generator) -> Gaussian:
        """The part of each of `n` examples, by the shares."""
        shares = self.shares.exp().expand(n, -1)
        which = torch.multinomial(shares, 1, generator=rng).squeeze(1)
        return Gaussian(self.parts.mean[which], self.parts.log_var[which])


@dataclass
class Draw:
    """A code drawn from the posterior.

    z          `(B, C, *grid)`
    log_ratio  log p(z) - log q(z|x) `(B,)`
    kl         its expectation, negative, in parts `(B, parts)`: exact by channel where there is a formula
    """

    z: Tensor
    log_ratio: Tensor
    kl: Tensor


class Latents(nn.Module):
    """Prior and posterior of a code of `channels` numbers at each position of `grid`, over `levels` levels of
    which each has half the channels of the one below.

    `features` is how many channels the encoder must answer with.
    """

    def __init__(self, channels: int, grid: Grid, levels: int, flow: int, nets: Nets) -> None:
        super().__init__()
        self.grid = grid
        self.sizes = [max(1, channels >> level) for level in range(levels)]
        top = self.sizes[-1]
        context = 2 * top if flow else 0
        wide = 4 * channels
        self.features = 2 * top + context if levels == 1 else wide
        nothing = CondShape()
        self.rise = nn.ModuleList(nets.map(grid, wide, wide, nothing) for _ in self.sizes[1:-1])
        self.top = nets.map(grid, wide, 2 * top + context, nothing) if levels > 1 else None
        above = [sum(self.sizes[level + 1 :]) for level in range(levels - 1)]
        self.priors = nn.ModuleList(
            nets.map(grid, seen, 2 * size, nothing)
            for seen, size in zip(above, self.sizes[:-1], strict=True)
        )
        self.posteriors = nn.ModuleList(
            nets.map(grid, seen + wide, 2 * size, nothing)
            for seen, size in zip(above, self.sizes[:-1], strict=True)
        )
        self.flow: Transform | None = None
        if flow:
            cond_shape, turn = CondShape(grid=context), torch.arange(top).flip(0)
            steps: list[Transform] = []
            for i in range(flow):
                steps += [Mix(turn, learn=False)] if i else []
                steps += [Coupling(top, grid, Affine(), nets, cond_shape, odd=bool(i % 2))]
            self.flow = Chain(*steps)

    @property
    def channels(self) -> int:
        return sum(self.sizes)

    def parts(self, mixture: bool) -> Tensor:
        """Dimensions that each part of a KL stands for."""
        positions = math.prod(self.grid)
        whole = mixture or self.flow is not None
        top = [self.sizes[-1] * positions] if whole else [positions] * self.sizes[-1]
        return torch.tensor(top + [positions] * sum(self.sizes[:-1]), dtype=torch.float32)

    def begin(self, features: Tensor) -> None:
        """The flow starts as the identity."""
        if self.flow is not None:
            base, context = self._base(self._climb(features)[-1])
            self.flow.prepare(base.mean, context)

    # -- upwards -------------------------------------------------------------------------------

    def _climb(self, features: Tensor) -> list[Tensor]:
        """What each level knows of the example, from the bottom to the top."""
        found = [features]
        for net in self.rise:
            found.append(net(found[-1], Cond.none(features)))
        if self.top is not None:
            found.append(self.top(found[-1], Cond.none(features)))
        return found

    def _base(self, out: Tensor) -> tuple[Gaussian, Cond]:
        """The Gaussian at the top, and the condition of the flow."""
        size = 2 * self.sizes[-1]
        return Gaussian.of(out[:, :size]), replace(Cond.none(out), grid=out[:, size:].float())

    def components(self, features: Tensor) -> Gaussian:
        """Of the mixture prior, from the features of the pseudo-inputs `(M, ...)`."""
        return self._base(self._climb(features)[-1])[0]

    # -- downwards -----------------------------------------------------------------------------

    def draw(self, features: Tensor, mixture: Mixture | None, *, mean: bool = False) -> Draw:
        """From the posterior; its means alone where `mean` is set."""
        known = self._climb(features)
        base, context = self._base(known[-1])
        noise: Tensor | float = 0.0 if mean else torch.randn_like(base.mean)
        z = base.at(noise)
        log_q = base.log_prob(z)
        if self.flow is not None:
            with torch.autocast(z.device.type, enabled=False):
                z, log_det = self.flow(z, context)
            log_q = log_q - log_det
        log_p = _standard(z).log_prob(z) if mixture is None else mixture.log_prob(z)
        exact = mixture is None and self.flow is None
        kl = [base.kl(_standard(z)) if exact else (log_q - log_p)[:, None]]
        ratio, zs = log_p - log_q, [z]
        for level in reversed(range(len(self.sizes) - 1)):
            above = torch.cat(zs, dim=1)
            prior = Gaussian.of(self.priors[level](above, Cond.none(above)))
            both = torch.cat([above, known[level]], dim=1)
            posterior = Gaussian.of(self.posteriors[level](both, Cond.none(above)), prior)
            z = posterior.at(0.0 if mean else torch.randn_like(posterior.mean))
            kl.append(posterior.kl(prior))
            ratio = ratio + prior.log_prob(z) - posterior.log_prob(z)
            zs = [z, *zs]
        return Draw(torch.cat(zs, dim=1), ratio, torch.cat(kl, dim=1))

    def sample(
        self, n: int, mixture: Mixture | None, rng: torch.Generator, temperature: float
    ) -> Tensor:
        """From the prior `(n, C, *grid)`."""
        device = rng.device

        def noise(size: int) -> Tensor:
            return temperature * torch.randn(n, size, *self.grid, generator=rng, device=device)

        if mixture is None:
            z = noise(self.sizes[-1])
        else:
            z = mixture.drawn(n, rng).at(noise(self.sizes[-1]))
        for level in reversed(range(len(self.sizes) - 1)):
            prior = Gaussian.of(self.priors[level](z, Cond.none(z)))
            z = torch.cat([prior.at(noise(self.sizes[level])), z], dim=1)
        return z


def _standard(like: Tensor) -> Gaussian:
    return Gaussian(torch.zeros_like(like), torch.zeros_like(like))


# -- pseudo-inputs ----------------------------------------------------------------------------------


def softened(space: Space, raw: Tensor) -> Tensor:
    """Any numbers `(M, width, *grid)` as an embedded example: within bounds, and symbols by their shares."""
    parts = []
    for slot in space.slots():
        part = raw[:, slot.width]
        if isinstance(slot.span, Symbol):
            part = part.softmax(1)
        elif slot.span.bounded:
            part = part.tanh()
        parts.append(part)
    return torch.cat(parts, dim=1)


def hardened(space: Space, x: Tensor) -> Tensor:
    """The numbers that `softened` turns nearly into stored examples."""
    parts = []
    for slot in space.slots():
        part = x[:, slot.stored]
        if isinstance(slot.span, Symbol):
            sure = F.one_hot(part.squeeze(1).long(), slot.span.k).movedim(-1, 1).float()
            part = (0.9 * sure + 0.1 / slot.span.k).log()
        elif isinstance(slot.span, Real) and slot.span.bounded:
            part = (0.95 * part).atanh()
        parts.append(part.float())
    return torch.cat(parts, dim=1)
