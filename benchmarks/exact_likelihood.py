"""How far from the truth is a density? Three laws on the plane whose entropy is known.

    python benchmarks/exact_likelihood.py [--family flow] [--law moons ring checkerboard] [--steps 3000]
                                          [--batch 512] [--size s] [--seed 0] [--set transform=affine ...]

    moons         scikit-learn's two half circles with noise 0.05, in raw coordinates   0.289 nat
    ring          eight Gaussians of spread 0.2 on a circle of radius 2                  1.698 nat
    checkerboard  the eight dark unit squares of [-2, 2] x [-2, 2]                       2.079 nat (log 8)

No model can have fewer nats than the law itself. Both are asked about the same 10,000 held-out points, so
that the luck of the draw cancels in `gap`, the difference (the Kullback-Leibler divergence from the law, with
its standard error). The family is trained on 20,000 points as the trainer does it: warm-up, decay, clipped
gradients and averaged weights, all by default. It gets the points as they are.
"""

from __future__ import annotations

import argparse
import math
import time
from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from _report import say
from genwright.batch import Batch
from genwright.families.base import Family
from genwright.families.capabilities import DensityEstimator
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.registry import build, names, resolve
from genwright.space import Real, Space
from genwright.training.ema import EMA
from genwright.training.optim import PhaseOptimizer, rate

SPACE = Space((), (Real(2),))
TRAIN, HELD = 20_000, 10_000


class Law(ABC):
    """A density on the plane that can be drawn from and asked."""

    box = 4.0
    """Nearly all of it lies in [-box, box]^2."""

    @abstractmethod
    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        """Points `(n, 2)`."""

    @abstractmethod
    def log_prob(self, x: Tensor) -> Tensor:
        """In nats `(n,)`, double."""

    def entropy(self, cells: int = 400) -> float:
        """In nats, by the midpoint rule over the box."""
        line = (torch.arange(cells, dtype=torch.double) + 0.5) / cells * 2 * self.box - self.box
        total = 0.0
        for x in line:
            log_p = self.log_prob(torch.stack([x.expand(cells), line], dim=1))
            p = log_p.exp()
            total -= float(torch.where(p > 0, p * log_p, 0.0).sum())
        return total * (2 * self.box / cells) ** 2


class Mixture(Law):
    """Gaussians of one spread around equally likely centres `(k, 2)`."""

    def __init__(self, centres: Tensor, spread: float) -> None:
        self.centres, self.spread = centres.double(), spread

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        centre = self.centres[torch.randint(0, len(self.centres), (n,), generator=rng)]
        return (centre + self.spread * torch.randn(n, 2, generator=rng, dtype=torch.double)).float()

    def log_prob(self, x: Tensor) -> Tensor:
        found = []
        for part in x.double().split(2000):
            square = torch.cdist(part, self.centres).square() / self.spread**2
            found.append(torch.logsumexp(-0.5 * square, dim=1))
        scale = math.log(2 * math.pi * self.spread**2) + math.log(len(self.centres))
        return torch.cat(found) - scale


class Moons(Mixture):
    """The half circles of `sklearn.datasets.make_moons`, as 500 centres each: they lie 0.006 apart, an eighth
    of the noise, so that their sum is as smooth as the integral."""

    box = 2.5

    def __init__(self) -> None:
        angle = (torch.arange(500, dtype=torch.double) + 0.5) / 500 * math.pi
        outer = torch.stack([angle.cos(), angle.sin()], dim=1)
        inner = torch.stack([1 - angle.cos(), 0.5 - angle.sin()], dim=1)
        super().__init__(torch.cat([outer, inner]), 0.05)

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        from sklearn.datasets import make_moons

        seed = int(torch.randint(0, 2**31, (1,), generator=rng))
        return torch.from_numpy(make_moons(n, noise=0.05, random_state=seed)[0]).float()


class Ring(Mixture):
    def __init__(self) -> None:
        angle = torch.arange(8, dtype=torch.double) / 8 * 2 * math.pi
        super().__init__(2 * torch.stack([angle.cos(), angle.sin()], dim=1), 0.2)


class Checkerboard(Law):
    box = 2.0

    def draw(self, n: int, rng: torch.Generator) -> Tensor:
        column = torch.randint(0, 4, (n,), generator=rng)
        row = 2 * torch.randint(0, 2, (n,), generator=rng) + column % 2
        return torch.stack([column, row], dim=1) - 2 + torch.rand(n, 2, generator=rng)

    def log_prob(self, x: Tensor) -> Tensor:
        place = x.double().floor()
        dark = (place.sum(1) % 2 == 0) & (place >= -2).all(1) & (place < 2).all(1)
        return torch.where(dark, -math.log(8), -torch.inf).double()


LAWS: dict[str, type[Law]] = {"moons": Moons, "ring": Ring, "checkerboard": Checkerboard}


def train(family: Family, x: Tensor, options: TrainOptions, batch: int) -> nn.Module:
    """The trainer's loop, without its folder. Gives back the averaged family."""
    rng = torch.Generator().manual_seed(0)
    family.prepare(Batch(x[:2048]))
    optimizers = {phase.name: PhaseOptimizer(family, phase, options) for phase in family.phases}
    average = EMA(family, options.ema)
    for step in range(options.steps):
        family.clock.step, family.clock.progress = step, step / options.steps
        for phase in family.phases:
            some = x[torch.randint(0, len(x), (batch,), generator=rng)]
            torch.stack(list(family.loss(Batch(some), phase.name).values())).sum().backward()
            nn.utils.clip_grad_norm_(family.parameters(), options.clip)
            optimizers[phase.name].step(rate(family.clock.progress, options))
        average.update(step + 1)
    return average.family


def main() -> None:
    able = [
        name for name in names("families") if issubclass(resolve("families", name), DensityEstimator)
    ]
    able = [name for name in able if "real" in resolve("families", name).accepts]
    arguments = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    arguments.add_argument("--family", default="flow", choices=able)
    arguments.add_argument("--law", nargs="+", default=list(LAWS), choices=list(LAWS))
    arguments.add_argument("--steps", type=int, default=3000)
    arguments.add_argument("--batch", type=int, default=512)
    arguments.add_argument("--lr", type=float, default=None)
    arguments.add_argument("--size", default="s", choices=["xs", "s", "m", "l"])
    arguments.add_argument("--seed", type=int, default=0)
    arguments.add_argument("--set", nargs="*", default=[], metavar="OPTION=VALUE", help="of the family")
    args = arguments.parse_args()
    for name in args.law:
        law = LAWS[name]()
        rng = torch.Generator().manual_seed(args.seed)
        x, held = law.draw(TRAIN, rng), law.draw(HELD, rng)
        torch.manual_seed(args.seed)
        given = dict(pair.split("=", 1) for pair in args.set)
        family: DensityEstimator = build(
            "families", args.family, given, SPACE, {}, Auto(args.size), where="family"
        )
        began, cpu = time.perf_counter(), time.process_time()
        made = train(family, x, TrainOptions(steps=args.steps, lr=args.lr), args.batch)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
        assert isinstance(made, DensityEstimator)
        with torch.no_grad():
            found = torch.cat([made.eval().log_prob(Batch(part)) for part in held.split(1000)]).double()
        gap = law.log_prob(held) - found
        say(
            benchmark="exact_likelihood",
            law=name,
            family=args.family,
            likelihood=made.likelihood,
            nats=round(float(-found.mean()), 4),
            law_on_the_same_points=round(float(-law.log_prob(held).mean()), 4),
            entropy=round(law.entropy(), 4),
            gap=round(float(gap.mean()), 4),
            gap_error=round(float(gap.std()) / math.sqrt(HELD), 4),
            train=TRAIN,
            held_out=HELD,
            steps=args.steps,
            seconds=round(seconds, 1),
            cpu_seconds=round(cpu, 1),
            parameters=sum(p.numel() for p in family.parameters()),
            seed=args.seed,
        )


if __name__ == "__main__":
    main()
