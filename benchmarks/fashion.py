"""Fashion-MNIST, every maker for the same time: ours beside pythae's VAE and denoising-diffusion-pytorch.

    python benchmarks/fashion.py FOLDER OUT --peers VENV [--minutes 10] [-n 5000] [--size xs]
        [--makers gan vae ...]

FOLDER  the four IDX files of Fashion-MNIST. Models learn from the 60,000 and are judged beside the 10,000
OUT     where runs and pictures go; a maker whose pictures lie there is not trained again
VENV    an environment with what `peers_images.py` needs (left out: ours alone)

Makers take their turns, ours and theirs alternating, on all cores each. Our nets are of size xs: a step of
size s takes one core 1.6 s, which leaves some hundred steps. `latent-diffusion` and `vq-gpt` give
half of their time to the first stage. All are judged by the same judge: Fréchet distance, KID, precision and
recall in the features of a contrastive network that has learnt from the 60,000, n of each.
"""

from __future__ import annotations

import argparse
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import genwright
from _fashion import judged, kept, prepared
from _report import say
from genwright.model import Model

OURS = {
    "gan": (),
    "vae": (),
    "diffusion": (),
    "flow": (),
    "latent-diffusion": ("vae", "diffusion", "latent", "family.prior=normal"),
    "vq-gpt": ("vqvae", "autoregressive", "vq"),
}
"""Stages and the bridge between them, and settings of the first one."""
THEIRS = ("pythae-vae", "ddpm")


def ours(maker: str, train: Path, out: Path, minutes: float, n: int, seed: int, size: str) -> int:
    """Pictures by one of our families; the steps it took."""

    def trained(family: str, share: float, folder: str, settings: Sequence[str] = ()) -> Model:
        run = out / f"{maker}-{folder}"
        budget = share * minutes
        return genwright.train(
            train, family=family, size=size, minutes=budget, seed=seed, out=run, settings=settings
        )

    if OURS[maker]:
        first, second, bridge, *settings = OURS[maker]
        began = trained(first, 0.5, first, settings)
        onto = [f"bridge.name={bridge}", f"bridge.run={began.run.path}"]
        model = trained(second, 0.5, second, onto)
    else:
        model = trained(maker, 1.0, "run")
    kept(model.sample(n, seed=seed), out / f"{maker}.npz")
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
    parser.add_argument("--size", default="xs", help="of our nets")
    parser.add_argument("--makers", nargs="+", choices=[*OURS, *THEIRS])
    args = parser.parse_args()
    train, held = prepared(args.folder, args.out)
    makers = args.makers or ["gan", "pythae-vae", "vae", "diffusion", "ddpm", *list(OURS)[3:]]
    for maker in makers:
        made, steps, began = args.out / f"{maker}.npz", None, time.monotonic()
        if maker in THEIRS and not args.peers:
            continue
        if not made.exists():
            words = (train, args.out, args.minutes, args.n, args.seed)
            steps = (
                ours(maker, *words, args.size)
                if maker in OURS
                else theirs(maker, args.peers / "bin" / "python", *words)
            )
        seconds = time.monotonic() - began
        say(
            benchmark="fashion",
            maker=maker,
            minutes=args.minutes,
            size=args.size if maker in OURS else None,
            n=args.n,
            seed=args.seed,
            steps=steps,
            seconds=round(seconds, 1),
            **judged(made, train, held, args.n, args.seed),
        )


if __name__ == "__main__":
    main()
