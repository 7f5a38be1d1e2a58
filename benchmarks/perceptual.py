"""What a perceptual loss gives: PSNR and the distance in features of photos upscaled twice, with and without.

    pip install 'genwright[features]' scikit-image
    python benchmarks/perceptual.py --families vae diffusion --steps 600

Patches of 32 x 32 from photos that scikit-image ships; those of two photos are held out from all. `imagenet` is the
distance in the features that the loss is taken in, `random` in those of untrained convolutions, `pixels` the share of
the truth's differences between neighbours that what is made has: 1 is as sharp.
"""

from __future__ import annotations

import argparse
import math
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from skimage import data
from torch import Tensor

import genwright
from genwright.families.perceptual_loss import PerceptualLoss

TRAIN = ("astronaut", "chelsea", "rocket", "hubble_deep_field", "retina")
HELD = ("coffee", "stereo_motorcycle")
SIDE, EACH = 32, 400


def patches(names: tuple[str, ...], seed: int) -> np.ndarray:
    rng, found = np.random.default_rng(seed), []
    for name in names:
        photo = getattr(data, name)()
        photo = photo[0] if isinstance(photo, tuple) else photo
        for _ in range(EACH):
            y, x = (int(rng.integers(0, size - SIDE)) for size in photo.shape[:2])
            found.append(photo[y : y + SIDE, x : x + SIDE, :3])
    return np.stack(found).astype(np.uint8)


def sharpness(x: Tensor) -> float:
    return float((x[..., 1:] - x[..., :-1]).abs().mean() + (x[..., 1:, :] - x[..., :-1, :]).abs().mean())


def measured(made: Tensor, truth: Tensor, looks: dict[str, PerceptualLoss]) -> str:
    psnr = 10 * math.log10(4 / float((made - truth).square().mean()))
    far = {
        name: float(
            torch.cat([look(a, b) for a, b in zip(made.split(64), truth.split(64), strict=True)]).mean()
        )
        for name, look in looks.items()
    }
    words = "  ".join(f"{name} {value:.4f}" for name, value in far.items())
    return f"PSNR {psnr:.2f}  {words}  pixels {sharpness(made) / sharpness(truth):.2f}"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=["vae", "diffusion"])
    parser.add_argument("--weights", nargs="+", type=float, default=[0.0, 0.03, 0.1])
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--size", default="xs")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--features", default="auto")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    train, held = patches(TRAIN, args.seed), patches(HELD, args.seed + 1)[::4]
    for family in args.families:
        for weight in args.weights:
            with tempfile.TemporaryDirectory() as folder, torch.enable_grad():
                model = genwright.train(
                    train,
                    family=family,
                    task="restore",
                    size=args.size,
                    steps=args.steps,
                    seed=args.seed,
                    out=Path(folder) / "run",
                    settings=[
                        f"train.batch_size={args.batch}",
                        f"family.perceptual={weight}",
                        f"family.perceptual_features={args.features}",
                        f"codec.size={SIDE}",
                        *("train.checks=1", "train.cover=0", "train.samples=0"),
                    ],
                )
                truth = model.pipeline.made.tensor(list(held))
                looks = {
                    kind: PerceptualLoss(model.pipeline.made.space, 1.0, kind)
                    for kind in ("imagenet", "random")
                }
                low = F.avg_pool2d(truth, 2)
                asked = model.pipeline.request(
                    len(truth), {}, torch.Generator().manual_seed(0), {model.pipeline.spec.make: low}
                )
                with torch.no_grad():
                    if weight == args.weights[0]:
                        bicubic = F.interpolate(low, scale_factor=2, mode="bicubic").clamp(-1, 1)
                        print(f"bicubic            {measured(bicubic, truth, looks)}", flush=True)
                    made = model.stored(len(truth), asked, args.seed, {}).float()
                    print(f"{family:10} {weight:6g}  {measured(made, truth, looks)}", flush=True)


if __name__ == "__main__":
    main()
