"""Fashion-MNIST, every maker for the same time: ours beside pythae's VAE and denoising-diffusion-pytorch.

    python benchmarks/fashion.py FOLDER OUT --peers VENV [--minutes 10] [-n 5000] [--makers gan vae ...]

FOLDER  the four IDX files of Fashion-MNIST (Xiao et al. 2017, arXiv:1708.07747; Debian package
        dataset-fashion-mnist). Models learn from the 60,000 and are judged beside the 10,000
OUT     where runs and pictures go; a maker whose pictures lie there is not trained again
VENV    an environment with what `peers_images.py` needs (left out: ours alone)

Makers take their turns, ours and theirs alternating, on all cores each. `latent-diffusion` and `vq-gpt` give
half of their time to the first stage. All are judged by the same judge: Fréchet distance, KID, precision and
recall in the features of a contrastive network that has learnt from the 60,000, n of each.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import time
from pathlib import Path

import numpy as np

import genwright
from _report import say

OURS = {
    "gan": (),
    "vae": (),
    "diffusion": (),
    "flow": (),
    "latent-diffusion": ("vae", "diffusion", "latent"),
    "vq-gpt": ("vqvae", "autoregressive", "vq"),
}
THEIRS = ("pythae-vae", "ddpm")
SHOWN = ("fd", "fd_inf", "kid", "precision", "recall", "density", "coverage")


def images(folder: Path, name: str) -> np.ndarray:
    """`(n, 28, 28)` uint8 from an IDX file."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28)


def ours(maker: str, train: Path, out: Path, minutes: float, n: int, seed: int) -> int:
    """Pictures by one of our families; the steps it took."""
    stages = OURS[maker]
    if stages:
        first, second, bridge = stages
        began = genwright.train(
            train, family=first, minutes=minutes / 2, seed=seed, out=out / f"{maker}-{first}"
        )
        model = genwright.train(
            train,
            family=second,
            minutes=minutes / 2,
            seed=seed,
            out=out / f"{maker}-{second}",
            settings=[f"bridge.name={bridge}", f"bridge.run={began.run.path}"],
        )
    else:
        model = genwright.train(
            train, family=maker, minutes=minutes, seed=seed, out=out / f"{maker}-run"
        )
    made = np.stack([np.asarray(one).reshape(28, 28) for one in model.sample(n, seed=seed).examples])
    np.savez(out / f"{maker}.npz", images=made.astype(np.uint8))
    return model.run.step


def theirs(maker: str, python: Path, train: Path, out: Path, minutes: float, n: int, seed: int) -> int:
    """Pictures by another tool; the steps it took."""
    script = Path(__file__).with_name("peers_images.py")
    words = [maker, train, out / f"{maker}.npz", "--minutes", minutes, "-n", n, "--seed", seed]
    done = subprocess.run(
        [python, "-W", "ignore", script, *map(str, words)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return int(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--peers", type=Path)
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("-n", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--makers", nargs="+", choices=[*OURS, *THEIRS])
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    train, held = args.out / "train.npz", args.out / "held.npz"
    np.savez(train, images=images(args.folder, "train"))
    np.savez(held, images=images(args.folder, "t10k"))
    makers = args.makers or ["gan", "pythae-vae", "vae", "diffusion", "ddpm", *list(OURS)[3:]]
    for maker in makers:
        made, steps, began = args.out / f"{maker}.npz", None, time.monotonic()
        if maker in THEIRS and not args.peers:
            continue
        if not made.exists():
            words = (train, args.out, args.minutes, args.n, args.seed)
            steps = (
                ours(maker, *words)
                if maker in OURS
                else theirs(maker, args.peers / "bin" / "python", *words)
            )
        seconds = time.monotonic() - began
        judged = genwright.judge(
            fake=made,
            real=train,
            holdout=held,
            n=args.n,
            seed=args.seed,
            lens="contrastive",
            wanted=SHOWN,
        )
        lines = {line.metric: line for line in judged.lines}
        say(
            benchmark="fashion",
            maker=maker,
            minutes=args.minutes,
            n=args.n,
            seed=args.seed,
            steps=steps,
            seconds=round(seconds, 1),
            **{
                name: [round(v, 5) for v in (r.value, r.low, r.high)]
                for name, line in lines.items()
                if (r := line.model) is not None
            },
            floors={
                name: round(line.floor.value, 5)
                for name, line in lines.items()
                if line.floor is not None
            },
        )


if __name__ == "__main__":
    main()
