"""Are conditions heeded place by place? Families by themselves, without files, codecs or tasks.

    python benchmarks/conditions.py dates [--seconds 40] [--seed 0] [--threads 1]
    python benchmarks/conditions.py super-resolution FILE [--families vae diffusion gan] [--seconds 120]
        [--size xs] [--n 500] [--seed 0] [--threads 1]

dates             dates in words or digits to ISO dates by `autoregressive`, n days that it was not trained
                  on, each in five ways: `exact` is the share that is right in all ten symbols. A bag of
                  letters cannot tell 1 February 2003 from 2 January 2003
super-resolution  n pictures of half the size to whole ones: peak signal-to-noise ratio in decibels of one
                  draw, and of the mean of four, beside bicubic interpolation. FILE is an npz with `images`
                  (N, 28, 28) of bytes, in any order

Each line also has the same figure with the conditions shuffled (`shuffled`): what a model makes that does not
heed its condition is no worse by that.
"""

from __future__ import annotations

import argparse
import time
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from _report import say
from genwright.batch import Batch
from genwright.families.base import Family
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.registry import build
from genwright.space import CondSpec, Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

BATCH = 64


def trained(family: Family, x: Tensor, cond: dict[str, Tensor], seconds: float) -> int:
    """Train for so long by the work of each thread, which a busy machine does not change; the rate falls to 0
    in a straight line. How many steps it was."""
    torch.manual_seed(0)
    family.prepare(Batch(x[:512], {name: value[:512] for name, value in cond.items()}))
    family.train()
    optimizers = {phase.name: PhaseOptimizer(family, phase, TrainOptions()) for phase in family.phases}
    begin, step, whole = time.process_time(), 0, seconds * torch.get_num_threads()
    while (progress := (time.process_time() - begin) / whole) < 1:
        family.clock.step, family.clock.progress = step, progress
        for phase in (one for one in family.phases for _ in range(one.repeats)):
            index = torch.randint(0, len(x), (BATCH,))
            batch = Batch(x[index], {name: value[index] for name, value in cond.items()})
            family.zero_grad()
            torch.stack(list(family.loss(batch, phase.name).values())).sum().backward()
            optimizers[phase.name].step(1 - progress)
        step += 1
    return step


# -- dates -----------------------------------------------------------------------------------------

LETTERS = "".join(sorted(set("abcdefghijklmnopqrstuvwxyz0123456789 ,./-")))
LONGEST, ISO = 22, 10


def written(day: date, way: int) -> str:
    """A date in one of five ways."""
    month = day.strftime("%B").lower()
    return (
        f"{day.day} {month} {day.year}",
        f"{month} {day.day}, {day.year}",
        f"{day.day:02d}.{day.month:02d}.{day.year}",
        f"{month[:3]} {day.day} {day.year % 100:02d}",
        f"{day.year}/{day.month}/{day.day}",
    )[way]


def ids(texts: list[str], length: int) -> Tensor:
    """Stored texts `(N, 1, length)`; 0 is the pad."""
    rows = [[LETTERS.index(letter) + 1 for letter in text] for text in texts]
    return torch.tensor([row + [0] * (length - len(row)) for row in rows])[:, None]


def dates(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    # From 1950 on, so that two digits of a year stand for one year.
    days = [date(1950, 1, 1) + timedelta(days=int(n)) for n in rng.permutation(100 * 365)]
    pairs = [(written(day, way), day.isoformat()) for day in days for way in range(5)]
    test, train = pairs[: 5 * args.n], pairs[5 * args.n :]
    symbols = Symbol(len(LETTERS) + 1, pad=0)
    source = CondSpec(Space((LONGEST,), (symbols,)), drop=0.0)
    family = build(
        "families",
        "autoregressive",
        {},
        Space((ISO,), (symbols,)),
        {"source": source},
        Auto(args.size),
        where="family",
    )
    given = ids([text for text, _ in train], LONGEST)
    steps = trained(family, ids([iso for _, iso in train], ISO), {"source": given}, args.seconds)
    asked, truth = ids([text for text, _ in test], LONGEST), ids([iso for _, iso in test], ISO)

    def exact(source: Tensor) -> float:
        made = family.sample(len(source), {"source": source}, temperature=0.0)
        return round(float((made == truth).flatten(1).all(1).float().mean()), 4)

    say(
        benchmark="dates",
        family="autoregressive",
        steps=steps,
        seconds=args.seconds,
        n=len(test),
        exact=exact(asked),
        shuffled=exact(asked.roll(1, 0)),
    )


# -- super-resolution ------------------------------------------------------------------------------


def psnr(made: Tensor, truth: Tensor) -> float:
    """In decibels, the mean over pictures of [-1, 1]."""
    error = (made.clamp(-1, 1) - truth).square().flatten(1).mean(1)
    return round(float((10 * torch.log10(4 / error.clamp_min(1e-8))).mean()), 2)


def super_resolution(args: argparse.Namespace) -> None:
    images = np.load(args.file)["images"]
    order = np.random.default_rng(args.seed).permutation(len(images))  # a file may be sorted
    x = torch.from_numpy(images[order]).float()[:, None] / 127.5 - 1
    low = F.interpolate(x, scale_factor=0.5, mode="area")
    test, truth, given = slice(0, args.n), x[: args.n], low[: args.n]
    bicubic = F.interpolate(low[test], scale_factor=2, mode="bicubic", align_corners=False)
    say(benchmark="super-resolution", family="bicubic", n=args.n, psnr=psnr(bicubic, truth))
    pixel = Real(1, bounded=True)
    cond = CondSpec(Space(tuple(low.shape[2:]), (pixel,)), drop=0.0, align=True)
    for name in args.families:
        torch.manual_seed(args.seed)
        space = Space(tuple(x.shape[2:]), (pixel,))
        nets = Auto(args.size)
        family = build("families", name, {}, space, {"low": cond}, nets, where="family")
        steps = trained(family, x[args.n :], {"low": low[args.n :]}, args.seconds)
        draws = [family.sample(args.n, {"low": given}, seed=seed) for seed in range(4)]
        say(
            benchmark="super-resolution",
            family=name,
            steps=steps,
            seconds=args.seconds,
            n=args.n,
            psnr=psnr(draws[0], truth),
            mean_of_four=psnr(torch.stack(draws).mean(0), truth),
            shuffled=psnr(draws[0].roll(1, 0), truth),
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["dates", "super-resolution"])
    parser.add_argument("file", nargs="?", type=Path)
    parser.add_argument("--families", nargs="+", default=["vae", "diffusion", "gan"])
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--size", default="xs", choices=["xs", "s", "m", "l"])
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if args.what == "dates":
        args.seconds = args.seconds or 40.0
        dates(args)
    elif args.file is None:
        parser.error("super-resolution needs a FILE")
    else:
        args.seconds = args.seconds or 120.0
        super_resolution(args)


if __name__ == "__main__":
    main()
