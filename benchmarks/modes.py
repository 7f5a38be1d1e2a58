"""Are all modes found? Rings and grids of Gaussians, by the protocol of PacGAN (Lin et al. 2018,
arXiv:1712.04086, section 4.1), for any family.

    python benchmarks/modes.py [--law ring] [--family gan] [--loss wgan-gp] [--pack 2] [--control]

ring: 8 modes on a circle of radius 1, spread 0.01.  grid: 25 modes on {-4, -2, 0, 2, 4}^2, spread 0.05.
100,000 points to train on, each column at zero mean and unit spread; 2,500 samples of the averaged weights.
A sample is of high quality within 3 spreads of its nearest mode, a mode is found if it is nearest to one
such sample, and KL is that of the shares of the modes among these samples to even shares, in nats. `spread`,
which PacGAN does not have, is that of such samples within their modes, over the law's: samples that all lie
in the middle are of high quality too. 2,500 real points are measured beside them. `--control` is the GAN of
2014: it must miss modes, or the test cannot fail.

PacGAN's table 1, mean of 10 runs: ring, GAN 6.3 modes, PacGAN2 7.9; grid, GAN 17.3, PacGAN4 24.8 modes,
93.6 % and KL 0.04. Its nets are others, and were trained for 400 epochs.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _report import say
from genwright.batch import Batch
from genwright.bridges.base import Bridge
from genwright.errors import RunError
from genwright.families.base import Family
from genwright.planning import choose_bridge
from genwright.recipe import TrainOptions
from genwright.registry import build
from genwright.space import Real, Space
from genwright.storage.run import Run
from genwright.training.stream import BatchStream
from genwright.training.trainer import Trainer

SPACE = Space((), (Real(2),))
N = 2500
CONTROL = {"loss": "vanilla", "penalty": "none", "bits": 0}


class Law:
    """Evenly mixed Gaussians in the plane."""

    def __init__(self, name: str) -> None:
        if name == "ring":
            angle = 2 * np.pi * np.arange(8) / 8
            self.modes, self.spread = np.stack([np.cos(angle), np.sin(angle)], axis=1), 0.01
        else:
            axis = np.arange(-4.0, 5.0, 2.0)
            self.modes, self.spread = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2), 0.05

    def draw(self, n: int, rng: np.random.Generator) -> np.ndarray:
        which = rng.integers(0, len(self.modes), n)
        return self.modes[which] + self.spread * rng.standard_normal((n, 2))

    def measure(self, x: np.ndarray) -> dict[str, float]:
        distance = np.linalg.norm(x[:, None] - self.modes, axis=2)
        good, nearest = distance.min(axis=1) <= 3 * self.spread, distance.argmin(axis=1)
        found = np.bincount(nearest[good], minlength=len(self.modes))
        own = [x[good & (nearest == i)] for i in np.flatnonzero(found)]
        width = np.sqrt(sum(one.var(axis=0).mean() * len(one) for one in own) / max(found.sum(), 1))
        share = found[found > 0] / max(found.sum(), 1)
        kl = float((share * np.log(share * len(self.modes))).sum())
        return {
            "modes": int((found > 0).sum()),
            "high_quality": round(float(good.mean()), 4),
            "kl": round(kl, 4) if found.any() else float("inf"),
            "spread": round(float(width) / self.spread, 3),
        }


class Points(BatchStream):
    """Batches of points that are in memory."""

    def __init__(self, x: Tensor, bridge: Bridge) -> None:
        self.x, self.bridge, self.held = x, bridge, None
        self.loader: Any = SimpleNamespace(place=0, split=x)

    def next(self, size: int, device: torch.device, seed: int) -> Batch:
        rng = torch.Generator().manual_seed(seed)
        index = torch.randint(0, len(self.x), (size,), generator=rng)
        return Batch(self.bridge.forward(self.x[index])).to(device)


def train(
    points: Points,
    args: argparse.Namespace,
    options: dict[str, Any],
    seed: int,
    kind: type[Trainer] = Trainer,
) -> tuple[Family, list[str]]:
    """The averaged family, and what the guard said: it looks as often as at a user's training."""
    torch.manual_seed(seed)
    nets = build("nets", args.net, {}, args.size, where="net")
    family = build("families", args.family, options, points.bridge.target, {}, nets, where="family")
    many = args.steps or 1000
    wanted = TrainOptions(
        steps=many,
        minutes=None if args.steps else args.minutes,
        batch_size=args.batch,
        lr=args.lr,
        log_every=many,
    )
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", recipe={}, plan="", codec={})
        trainer = kind(family, points, run, wanted, seed)
        with suppress(RunError):  # gave up, which is said; the last healthy weights are measured
            trainer.fit()
        said = [f"{one['step']}: {one['words']}: {one['did']}" for one in run.alarms()]
        return trainer.ema.family, said


def options_of(args: argparse.Namespace) -> dict[str, Any]:
    given = dict(CONTROL) if args.control else {}
    given |= {name: value for name in ("loss", "pack") if (value := getattr(args, name)) is not None}
    for setting in args.set:
        name, _, value = setting.partition("=")
        given[name] = value
    return given


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--law", choices=("ring", "grid"), default="grid")
    parser.add_argument("--family", default="gan")
    parser.add_argument("--loss")
    parser.add_argument("--pack", type=int)
    parser.add_argument("--control", action="store_true")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="options of the family"
    )
    parser.add_argument("--bridge", default="auto")
    parser.add_argument("--bins", type=int, default=256, help="of a bridge to symbols, for each column")
    parser.add_argument("--net", default="auto")
    parser.add_argument("--size", default="s")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--steps", type=int, default=12_000)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--lr", type=float)
    args = parser.parse_args()
    law, options = Law(args.law), options_of(args)
    rows = []
    for seed in range(args.first, args.first + args.seeds):
        rng = np.random.default_rng(seed)
        data = law.draw(100_000, rng)
        mean, std = data.mean(axis=0), data.std(axis=0)
        x = torch.from_numpy((data - mean) / std).float()
        verdict, bridge = choose_bridge(args.family, SPACE, bridge=args.bridge)
        if verdict.bridge == "quantize":
            bridge = choose_bridge(args.family, SPACE, bridge="quantize", options={"bins": args.bins})[1]
        bridge.fit(SPACE, x[:20_000])
        began = time.perf_counter()
        family, alarms = train(Points(x, bridge), args, options, seed)
        seconds = time.perf_counter() - began
        made = bridge.inverse(family.sample(N, seed=seed), torch.Generator().manual_seed(seed))
        rows.append(law.measure(made.double().numpy() * std + mean))
        say(
            benchmark="modes",
            law=args.law,
            family=args.family,
            options=options,
            bridge=verdict.bridge,
            seed=seed,
            **rows[-1],
            real=law.measure(law.draw(N, rng)),
            alarms=alarms,
            seconds=round(seconds, 1),
        )
    say(
        benchmark="modes",
        law=args.law,
        family=args.family,
        options=options,
        seeds=len(rows),
        **{f"mean_{name}": round(float(np.mean([row[name] for row in rows])), 4) for name in rows[0]},
        all_modes=sum(row["modes"] == len(law.modes) for row in rows),
        fewest_modes=min(row["modes"] for row in rows),
        least_high_quality=min(row["high_quality"] for row in rows),
        largest_kl=max(row["kl"] for row in rows),
    )


if __name__ == "__main__":
    main()
