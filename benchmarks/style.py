"""Photos in the style of a painting: how near to it do they come, and how much of what they show is left?

    python benchmarks/style.py --photos FOLDER [FOLDER ...] --painting FILE [--side 64] [--steps 400]
        [--seed 0] [--features random] [--n 8] [--optimise 100] [--set family.style_weight=20 ...]

Photos: `skimage/data` of scikit-image, and `examples/data` of the Debian package opencv-doc, which has a
painting too (`starry_night.jpg`). Photos under 200 pixels, in grey, with transparency, or named in `LEAVE`
(no photos) are left out. One photo in four is held out whole; crops of the others are what is trained on.

Printed for the network and for the optimisation of the picture itself, on crops of held-out photos, in the
features that were trained with and, where they are installed, in the ImageNet features too:

    style    share by which the style distance falls (the squared distance of Gram matrices, relative, on
             average over levels, to the mean of those of the painting's crops)
    content  squared distance of features to those of the photo, as a share of what lies between two photos
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image

import genwright
from _report import say
from genwright.errors import GenwrightError
from genwright.families.style import gram
from genwright.nets.perceptual import perceptual
from genwright.space import Space

Array = np.ndarray
LEAVE = {
    *("starry_night", "LinuxLogo", "WindowsLogo", "opencv-logo", "ela_modified", "pca_test1", "notes"),
    *("text_defocus", "text_motion", "imageTextN", "imageTextR", "chessboard_RGB", "color", "phantom"),
    *("pic1", "pic2", "pic3", "pic4", "pic5", "pic6", "ml", "cards", "graf3", "aloeR", "right"),
    *("leuvenB", "rubberwhale2", "motorcycle_right", "Blender_Suzanne1", "Blender_Suzanne2", "stuff"),
}


def photos(folders: list[Path]) -> list[Image.Image]:
    found = []
    for path in sorted(path for folder in folders for path in folder.glob("*.[jp][pn]g")):
        with Image.open(path) as image:
            if image.mode == "RGB" and min(image.size) >= 200 and path.stem not in LEAVE:
                found.append(image.copy())
    return found


def crops(image: Image.Image, n: int, side: int, rng: np.random.Generator) -> list[Array]:
    """Squares of a picture whose shorter side is brought to twice theirs."""
    scale = 2 * side / min(image.size)
    small = image.resize([max(side, round(scale * length)) for length in image.size])
    pixels, cut = np.asarray(small), []
    for _ in range(n):
        top, left = (int(rng.integers(size - side + 1)) for size in pixels.shape[:2])
        cut.append(pixels[top : top + side, left : left + side])
    return cut


def tensor(pictures: list[Array]) -> torch.Tensor:
    """To `(n, 3, side, side)` of -1 to 1."""
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float() / 127.5 - 1


class Ruler:
    """Distances in one sort of features."""

    def __init__(self, kind: str, space: Space, painting: torch.Tensor) -> None:
        self.features = perceptual(kind, space).eval()  # type: ignore[arg-type]
        self.wanted = [gram(phi).mean(0) for phi in self.look(painting)]

    @torch.no_grad()
    def look(self, x: torch.Tensor) -> list[torch.Tensor]:
        return self.features(x)

    def style(self, x: torch.Tensor) -> float:
        off = [
            ((gram(phi) - g).square().sum((1, 2)) / g.square().sum()).mean()
            for phi, g in zip(self.look(x), self.wanted, strict=True)
        ]
        return float(torch.stack(off).mean())

    def content(self, y: torch.Tensor, x: torch.Tensor) -> float:
        """Of y to x, as a share of what another photo's is."""
        level = max(0, len(self.wanted) - 2)
        at_y, at_x = self.look(y)[level], self.look(x)[level]
        return float((at_y - at_x).square().mean() / (at_x.roll(1, 0) - at_x).square().mean())


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--photos", type=Path, nargs="+", required=True)
    options.add_argument("--painting", type=Path, required=True)
    options.add_argument("--side", type=int, default=64)
    options.add_argument("--steps", type=int, default=400)
    options.add_argument("--batch", type=int, default=8, help="half of it are photos")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--features", default="random")
    options.add_argument("--size", default="xs")
    options.add_argument("--n", type=int, default=8, help="held-out crops")
    options.add_argument("--optimise", type=int, default=100, help="steps; 0 leaves it out")
    options.add_argument("--set", action="append", default=[], dest="settings")
    options.add_argument("--keep", type=Path, help="folder for the run and its pictures")
    args = options.parse_args()

    rng = np.random.default_rng(args.seed)
    every = photos(args.photos)
    held = set(rng.permutation(len(every))[: len(every) // 4].tolist())
    seen = [crop for i, p in enumerate(every) if i not in held for crop in crops(p, 16, args.side, rng)]
    unseen = [crop for i, p in enumerate(every) if i in held for crop in crops(p, 1, args.side, rng)]
    with Image.open(args.painting) as image:
        painted = crops(image.convert("RGB"), 24, args.side, rng)
    x = tensor(unseen[: args.n])
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "style.npz"
        domain = np.repeat(["photo", "painting"], [len(seen), len(painted)])
        np.savez(data, images=np.stack([*seen, *painted]), domain=domain)
        began = time.monotonic()
        model = genwright.train(
            data,
            family="style",
            label="domain",
            size=args.size,
            seed=args.seed,
            steps=args.steps,
            out=args.keep or Path(folder) / "run",
            settings=[
                *("data.val=0", "data.test=0", "train.checks=1", f"train.batch_size={args.batch}"),
                *(f"family.features={args.features}", *args.settings),
            ],
        )
        seconds = time.monotonic() - began
    rulers = {}
    for kind in ("random", "imagenet"):
        try:
            rulers[kind] = Ruler(kind, model.codec.space, tensor(painted))
        except GenwrightError:
            continue  # not installed
    ways = {"network": {}} | (
        {"optimise": {"method": "optimise", "steps": args.optimise}} if args.optimise else {}
    )
    figures = {}
    for name, sampler_options in ways.items():
        began = time.monotonic()
        made = model.translate(x.numpy(), "painting", **sampler_options)
        y = tensor(made.examples)
        figures[name] = {"seconds": round(time.monotonic() - began, 1)}
        for kind, ruler in rulers.items():
            figures[name][kind] = {
                "style": round(1 - ruler.style(y) / ruler.style(x), 4),
                "content": round(ruler.content(y, x), 4),
            }
        if args.keep:
            made.write(args.keep / "held-out" / name)
    say(
        benchmark="style",
        features=args.features,
        settings=args.settings,
        side=args.side,
        size=args.size,
        photos=len(every),
        held_out_photos=len(held),
        n=len(x),
        seed=args.seed,
        steps=model.run.step,
        seconds=round(seconds),
        **figures,
    )


if __name__ == "__main__":
    main()
