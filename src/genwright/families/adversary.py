"""Adversarial losses: one pair of functions, of the critic and of the generator, for each, and the gradient
penalties that keep the critic smooth. An `Adversary` is one of them as a family holds it.

With r = D(real) and f = D(fake), each written as what is minimised:

    loss           critic                           generator        penalty  source
    vanilla        softplus(-r) + softplus(f)       -softplus(f)     none     Goodfellow 2014, eq. 1
    nonsaturating  softplus(-r) + softplus(f)       softplus(-f)     R1 + R2  the same, section 3
    lsgan          ((r - 1)^2 + f^2) / 2            (f - 1)^2 / 2    none     Mao 2017, eq. 9
    hinge          relu(1 - r) + relu(1 + f)        -f               none     Lim & Ye 2017, Miyato 2018
    wgan           f - r                            -f               none (*) Arjovsky 2017, algorithm 1
    wgan-gp        f - r                            -f               gp       Gulrajani 2017, eq. 3
    relativistic   softplus(f - r)                  softplus(r - f)  R1 + R2  Huang 2024, eq. 2

(arXiv: 1406.2661, 1611.04076, 1705.02894, 1802.05957, 1701.07875, 1704.00028, 2501.05441.)
(*) The weights of a `wgan` critic are clipped instead.

    R1   gamma/2 E |grad D(real)|^2                    Mescheder et al. 2018, arXiv:1801.04406, eq. 9
    R2   gamma/2 E |grad D(fake)|^2                    the same, eq. 10
    gp   gamma E (|grad D(x)| - 1)^2                   x evenly drawn between a real and a fake
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from genwright.batch import Cond, by_example
from genwright.families.base import Clock, Diagnostic, Phase
from genwright.nets.auto import Auto
from genwright.nets.resnet import ResNetNets
from genwright.nets.roles import Grid, Net, Nets
from genwright.space import Space

__all__ = [
    "LOSSES",
    "SATURATED",
    "Adversarial",
    "Adversary",
    "Criticism",
    "Loss",
    "Penalty",
    "PenaltyOption",
    "critic_nets",
    "interpolate",
    "judged_by",
    "off_one",
    "slope",
]

Loss = Literal["relativistic", "nonsaturating", "vanilla", "lsgan", "hinge", "wgan", "wgan-gp"]
Penalty = Literal["none", "r1", "r1r2", "gp"]
PenaltyOption = Literal["auto", Penalty]
Pair = Callable[[Tensor, Tensor], Tensor]
Judge = Callable[[Tensor, int], Tensor]
"""Embedded examples, and how many copies of the batch they are, to scores."""


@dataclass(frozen=True)
class Adversarial:
    """One loss. All functions take the scores of real and of fake examples, `(B,)` each.

    critic, generator  the loss of each, `(B,)`
    trust              positive where the critic takes a real example for real: augmentation goes by its sign
    penalty            what the paper adds to the critic
    critic_steps       the paper's critic steps for one of the generator
    compares           the generator's loss looks at real examples too
    clips              the critic's weights are clipped
    doubts             the critic's loss is 0 where it is sure of all examples
    """

    critic: Pair
    generator: Pair
    trust: Pair
    penalty: Penalty = "none"
    critic_steps: int = 1
    compares: bool = False
    clips: bool = False
    doubts: bool = True


SATURATED = Diagnostic(
    value_name="doubt",
    cause="discriminator saturated",
    words="the critic tells real from generated examples without any doubt (its loss is {value:.1g})",
    remedy="a penalty (--set family.penalty=r1r2) or a larger family.gamma",
    below=1e-3,
    steps=12,
)
"""`doubt` is the critic's loss, where it `doubts`: one that is sure of all has no slope to teach by."""


def _cross_entropy(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(-real) + F.softplus(fake)


def _gap(real: Tensor, fake: Tensor) -> Tensor:
    """For critics whose scores have no zero of their own."""
    return real - fake


LOSSES: dict[str, Adversarial] = {
    "relativistic": Adversarial(
        critic=lambda real, fake: F.softplus(fake - real),
        generator=lambda real, fake: F.softplus(real - fake),
        trust=_gap,
        penalty="r1r2",
        compares=True,
    ),
    "nonsaturating": Adversarial(
        critic=_cross_entropy,
        generator=lambda _, fake: F.softplus(-fake),
        trust=lambda real, _: real,
        penalty="r1r2",
    ),
    "vanilla": Adversarial(
        critic=_cross_entropy,
        generator=lambda _, fake: -F.softplus(fake),
        trust=lambda real, _: real,
    ),
    "lsgan": Adversarial(
        critic=lambda real, fake: 0.5 * ((real - 1).square() + fake.square()),
        generator=lambda _, fake: 0.5 * (fake - 1).square(),
        trust=lambda real, _: real - 0.5,
    ),
    "hinge": Adversarial(
        critic=lambda real, fake: F.relu(1 - real) + F.relu(1 + fake),
        generator=lambda _, fake: -fake,
        trust=lambda real, _: real,
    ),
    "wgan": Adversarial(
        critic=lambda real, fake: fake - real,
        generator=lambda _, fake: -fake,
        trust=_gap,
        critic_steps=5,
        clips=True,
        doubts=False,
    ),
    "wgan-gp": Adversarial(
        critic=lambda real, fake: fake - real,
        generator=lambda _, fake: -fake,
        trust=_gap,
        penalty="gp",
        critic_steps=5,
        doubts=False,
    ),
}


def slope(scores: Tensor, x: Tensor, pack: int = 1) -> Tensor:
    """Squared norm of the critic's gradient at its input `(B / pack,)`; differentiable again.

    Each score belongs to `pack` neighbours of `x` `(B, ...)`.
    """
    (grad,) = torch.autograd.grad(scores.sum(), x, create_graph=True)
    return grad.float().square().flatten(1).sum(1).view(-1, pack).sum(1)


def off_one(squared: Tensor) -> Tensor:
    """How far a norm is from 1, squared; from the squared norm."""
    # The root has no slope at 0, where an untrained critic may stand.
    return ((squared + 1e-12).sqrt() - 1).square()


def interpolate(real: Tensor, fake: Tensor) -> Tensor:
    """A point evenly drawn on the line from each real example to a fake one."""
    part = torch.rand(len(real), device=real.device)
    return real + by_example(part, real) * (fake - real)


# -- what a family holds ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Criticism:
    """The terms of a critic's loss, by name, and its scores of real and of fake examples."""

    terms: dict[str, Tensor]
    on_real: Tensor
    on_fake: Tensor


class Adversary:
    """An adversarial loss, with what the options of a family set of it: the penalty (auto: the paper's) and
    its weight `gamma` (None: by its kind and the space), the critic's `steps` for one of the generator
    (None: the paper's), the largest weight of a critic that is clipped, and the temperature `tau` of the
    gradient through symbols."""

    def __init__(
        self,
        space: Space,
        *,
        loss: Loss,
        penalty: PenaltyOption,
        gamma: float | None,
        steps: int | None,
        clip: float,
        tau: float,
    ) -> None:
        self.space, self.largest, self.tau = space, clip, tau
        self.loss = LOSSES[loss]
        self.penalty: Penalty = self.loss.penalty if penalty == "auto" else penalty
        self.gamma = _usual_gamma(self.penalty, space) if gamma is None else gamma
        self.steps = steps or self.loss.critic_steps

    def phases(self, critic: Phase, *others: Phase) -> tuple[Phase, ...]:
        """The same, the critic's as often within a step as its loss wants."""
        return (replace(critic, repeats=self.steps), *others)

    @torch.no_grad()
    def clip(self, critic: nn.Module) -> None:
        """Bring the weights of a `wgan` critic within bounds, at the start of each loss: the generator's
        comes after the last step of the critic."""
        if self.loss.clips:
            for p in critic.parameters():
                p.clamp_(-self.largest, self.largest)

    def relax(self, out: Tensor) -> Tensor:
        """A generator's answer as examples in the embedded form, differentiable."""
        return self.space.relax(out, self.tau)

    def penalty_weight(self, clock: Clock) -> float:
        """Twice as much after each rollback; that of R1 and R2 falls to a tenth over training."""
        fading = 1.0 if self.penalty == "gp" else 0.1**clock.progress
        return 2.0**clock.rollbacks * self.gamma * fading

    def criticise(
        self, judge: Judge, real: Tensor, fake: Tensor, clock: Clock, *, pack: int = 1
    ) -> Criticism:
        """The critic's loss on embedded examples `(B, width, *grid)`, and its penalty.

        pack  neighbours that a score belongs to
        """
        both = torch.cat([real, fake]).requires_grad_(self.penalty in ("r1", "r1r2"))
        on_real, on_fake = judge(both, 2).chunk(2)
        terms = {"critic": self.loss.critic(on_real, on_fake).mean()}
        weight = self.penalty_weight(clock)
        if self.penalty == "gp":
            x = interpolate(real, fake).requires_grad_()
            terms["penalty"] = weight * off_one(slope(judge(x, 1), x, pack)).mean()
        elif self.penalty != "none":
            scores = on_real if self.penalty == "r1" else torch.cat([on_real, on_fake])
            terms["penalty"] = 0.5 * weight * slope(scores, both, pack).sum() / len(on_real)
        return Criticism(terms, on_real, on_fake)

    def doubt(self, *critics: Criticism) -> dict[str, Tensor]:
        """What `SATURATED` looks at, of the surest of the critics."""
        if not self.loss.doubts:
            return {}
        return {"doubt": torch.stack([one.terms["critic"].detach() for one in critics]).min()}

    def generator(self, on_fake: Tensor, on_real: Callable[[], Tensor]) -> Tensor:
        """The generator's loss, a scalar, from the critic's scores; those of real examples are asked for
        where the loss compares."""
        real = on_real() if self.loss.compares else on_fake.detach()
        return self.loss.generator(real, on_fake).mean()


def _usual_gamma(penalty: Penalty, space: Space) -> float:
    """A squared gradient adds up over the numbers of an example."""
    return 10.0 if penalty == "gp" else min(1.0, space.width * space.positions / 20)


def judged_by(critic: Net, x: Tensor, cond: Cond) -> Tensor:
    """A critic's answers for embedded examples, in fp32."""
    # A penalty differentiates twice, which only the plain kernel of attention can do.
    with sdpa_kernel(SDPBackend.MATH):
        return critic(x, cond).float()


def critic_nets(nets: Nets, grid: Grid) -> Nets:
    """Where the choice is left to us, a row's nets have no normalisation: over a few numbers it hides from
    a critic how far they lie from each other."""
    if grid or not isinstance(nets, Auto):
        return nets
    return nets.in_size(ResNetNets)
