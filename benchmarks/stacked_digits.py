"""A thousand modes: three digits of 8 x 8 stacked as the channels of one picture.

    python benchmarks/stacked_digits.py [--minutes 10] [--seeds 1] [--control]

The protocol of stacked MNIST (Metz et al. 2017, arXiv:1611.02163, section 3.3.1; PacGAN, Lin et al. 2018,
arXiv:1712.04086, section 4.2) on the digits that scikit-learn ships. A stack is three digits drawn anew from
the 1,297 of the training part; 26,000 samples of the averaged weights. A classifier of single digits, trained
on the same part and tried on the other 500, names each channel, and so one of 1,000 modes; a mode is found if
one sample falls in it, and KL is that of the shares of the modes to those of the data, in nats. 26,000 stacks
of the other 500 digits are measured beside them. `--control` is the GAN of 2014 on plain convolutions at
DCGAN's rate of 2e-4 (Radford et al. 2016, arXiv:1511.06434), without the guard, which ends such a training
since its critic soon has no doubt: it must miss modes, or the test cannot fail. With DCGAN's own nets
(`--net dcgan`) it finds them all, so small are these digits.

On stacked MNIST, PacGAN's table 2: DCGAN 99 modes, KL 3.40; PacDCGAN2 1000, 0.06. A sample of 26,000 from the
law itself has a KL of about 999 / 52,000 = 0.019.
"""

from __future__ import annotations

import argparse
import time
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC
from torch import Tensor

from _report import say
from genwright.batch import Batch
from genwright.planning import choose_bridge
from genwright.space import Real, Space
from genwright.training.trainer import Trainer
from guard_cost import Unwatched
from modes import Points, train

SPACE = Space((8, 8), (Real(3, bounded=True),))
N = 26_000
CONTROL = {"loss": "vanilla", "penalty": "none"}
CONTROL_LR = 2e-4


class Stacks(Points):
    """Batches of stacks, each drawn anew."""

    def next(self, size: int, device: torch.device, seed: int) -> Batch:
        return Batch(stacks(self.x, size, torch.Generator().manual_seed(seed))).to(device)


def stacks(digits: Tensor, n: int, rng: torch.Generator) -> Tensor:
    """`(n, 3, 8, 8)` in [-1, 1] of single ones `(m, 8, 8)`."""
    return digits[torch.randint(0, len(digits), (n, 3), generator=rng)]


class Modes:
    """Names the modes of stacks."""

    def __init__(self, x: np.ndarray, labels: np.ndarray) -> None:
        self.classifier = SVC(C=10, gamma=0.02).fit(x.reshape(len(x), -1), labels)
        self.shares = np.bincount(labels, minlength=10) / len(labels)

    def accuracy(self, x: np.ndarray, labels: np.ndarray) -> float:
        return float(self.classifier.score(x.reshape(len(x), -1), labels))

    def measure(self, x: Tensor) -> dict[str, float]:
        named = self.classifier.predict(x.reshape(-1, 64).numpy()).reshape(-1, 3)
        found = np.bincount(named @ np.array([100, 10, 1]), minlength=1000)
        share, law = found / len(x), np.kron(self.shares, np.kron(self.shares, self.shares))
        some = share > 0
        kl = float((share[some] * np.log(share[some] / law[some])).sum())
        return {"modes": int(some.sum()), "kl": round(kl, 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--family", default="gan")
    parser.add_argument("--control", action="store_true")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="options of the family"
    )
    parser.add_argument("--net", help="default auto; conv for the control")
    parser.add_argument("--size", default="s")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="the first of the seeds")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--steps", type=int, help="instead of minutes")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float)
    args = parser.parse_args()
    args.net = args.net or ("conv" if args.control else "auto")
    args.lr = args.lr or (CONTROL_LR if args.control else None)
    kind = Unwatched if args.control else Trainer
    options: dict[str, Any] = dict(CONTROL) if args.control else {}
    options |= dict(setting.split("=", 1) for setting in args.set)
    images, labels = load_digits(return_X_y=True)
    images = images.reshape(-1, 8, 8) / 8 - 1
    learn, test, labels, test_labels = train_test_split(
        images, labels, test_size=500, stratify=labels, random_state=0
    )
    modes = Modes(learn, labels)
    digits, held = torch.from_numpy(learn).float(), torch.from_numpy(test).float()
    real = modes.measure(stacks(held, N, torch.Generator().manual_seed(0)))
    for seed in range(args.first, args.first + args.seeds):
        bridge = choose_bridge(args.family, SPACE)[1]
        bridge.fit(SPACE, stacks(digits, 4096, torch.Generator().manual_seed(seed)))
        began = time.perf_counter()
        family, alarms = train(Stacks(digits, bridge), args, options, seed, kind)
        seconds = time.perf_counter() - began
        made = bridge.inverse(family.sample(N, seed=seed), torch.Generator().manual_seed(seed))
        say(
            benchmark="stacked_digits",
            family=args.family,
            options=options,
            net=args.net,
            lr=args.lr,
            seed=seed,
            **modes.measure(made),
            real=real,
            classifier=round(modes.accuracy(test, test_labels), 4),
            steps=family.clock.step,
            alarms=alarms,
            seconds=round(seconds, 1),
        )


if __name__ == "__main__":
    main()
