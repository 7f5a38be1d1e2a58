"""Whole photos of any size restored by a model that has learnt tiles of other photos, beside what needs no learning.

    python benchmarks/photos.py super-resolution EXAMPLES DATA --factor 2 --steps 2000
    python benchmarks/photos.py denoise deblur colour inpaint EXAMPLES DATA

EXAMPLES is the folder `examples` of the Debian package `opencv-doc` (BSD), DATA the folder `skimage/data` in the wheel
of `scikit-image` (BSD, `pip download --no-deps scikit-image`). Every fifth photo by the hash of its name is held out
whole; of the others tiles are learnt. What a person would have given of a held-out photo is written as a PNG, applied
as `genwright apply` does, and compared with the photo itself: PSNR, the mean over photos. --draws gives the mean of
several answers besides. scikit-image and OpenCV (`opencv-python-headless`) are needed here alone, for the fills and
filters that stand beside a model.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import genwright
from _report import say
from genwright.model import Model
from genwright.space import Real, Space
from genwright.tasks.complete import Fill, continued
from genwright.tasks.restore import blurred, coarse, grey, noisy

Array = np.ndarray
NAMES = {
    *(
        "plant",
        "aloeL",
        "apple",
        "baboon",
        "blox",
        "board",
        "building",
        "butterfly",
        "cards",
        "ela_original",
        "fruits",
    ),
    *(
        "graf1",
        "home",
        "HappyFish",
        "left",
        "leuvenA",
        "messi5",
        "orange",
        "rubberwhale1",
        "smarties",
        "squirrel_cls",
    ),
    *(
        "starry_night",
        "stuff",
        "scenetext01",
        "scenetext02",
        "scenetext03",
        "scenetext04",
        "scenetext05",
    ),
    *(
        "scenetext06",
        "000",
        "001",
        "002",
        "astronaut",
        "chelsea",
        "coffee",
        "rocket",
        "hubble_deep_field",
        "ihc",
    ),
    "motorcycle_left",
}
"""Photos in colour, and one painting, without a second view of one scene."""


def photos(folders: list[Path]) -> dict[str, Path]:
    """The files, by name."""
    found = {}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.stem in NAMES and path.suffix in (".jpg", ".png") and path.stem not in found:
                with Image.open(path) as image:
                    if image.mode.startswith("RGB"):
                        found[path.stem] = path
    return found


def held_out(name: str) -> bool:
    return int(hashlib.sha1(name.encode()).hexdigest(), 16) % 5 == 0


def prepared(folders: list[Path], folder: Path, largest: int) -> tuple[Path, dict[str, Array]]:
    """A folder of photos to learn from, and the held-out ones `(h, w, 3)`."""
    train, held = folder / "photos", dict[str, Array]()
    train.mkdir()
    for name, path in photos(folders).items():
        with Image.open(path) as image:
            array = np.asarray(image.convert("RGB"))
        if held_out(name):
            top, left = ((max(side - largest, 0)) // 2 for side in array.shape[:2])
            cut = array[top : top + largest, left : left + largest]
            held[name] = cut[: cut.shape[0] // 8 * 8, : cut.shape[1] // 8 * 8]
        else:
            Image.fromarray(array).save(train / f"{name}.png")
    return train, held


# -- what is given ---------------------------------------------------------------------------------


def stored(array: Array) -> torch.Tensor:
    return torch.from_numpy(array.astype(np.float32).transpose(2, 0, 1))[None] / 127.5 - 1


def pixels(x: torch.Tensor) -> Array:
    """As a file holds it."""
    values = ((x[0].numpy().transpose(1, 2, 0) + 1) * 127.5).round().clip(0, 255).astype(np.uint8)
    return values[..., 0] if values.shape[2] == 1 else values


def damaged(how: str, photo: Array, factor: int, seed: int) -> Array:
    x, space = stored(photo), Space(photo.shape[:2], (Real(3, bounded=True),))
    rng = torch.Generator().manual_seed(seed)
    if how == "super-resolution":
        return pixels(coarse(space, x, factor))
    if how == "denoise":
        return pixels(noisy(space, x, 0.25, rng))
    if how == "deblur":
        return pixels(blurred(x, 1.5))
    if how == "colour":
        return pixels(grey(x))
    return np.dstack([photo, holes(photo.shape[:2], seed)])


def holes(size: tuple[int, int], seed: int, side: int = 24) -> Array:
    """An alpha channel with a box of `side` in every 64 pixels each way, 0 where something is to be made."""
    alpha, rng = np.full(size, 255, np.uint8), np.random.default_rng(seed)
    for top in range(0, size[0] - 63, 64):
        for left in range(0, size[1] - 63, 64):
            y, x = (rng.integers(4, 64 - side - 4) for _ in range(2))
            alpha[top + y : top + y + side, left + x : left + x + side] = 0
    return alpha


# -- what needs no learning ------------------------------------------------------------------------


def trivial(how: str, train: Path) -> dict[str, Callable[[Array, tuple[int, int]], Array]]:
    """Answers by name, from what is given and the size of the answer."""
    from skimage import restoration

    def scaled(resample: Image.Resampling) -> Callable[[Array, tuple[int, int]], Array]:
        return lambda x, size: np.asarray(Image.fromarray(x).resize(size[::-1], resample))

    def plain(x: Array, size: tuple[int, int]) -> Array:
        return np.stack([x] * 3, axis=2) if x.ndim == 2 else x

    def of_unit(answer: Callable[[Array], Array]) -> Callable[[Array, tuple[int, int]], Array]:
        return lambda x, size: (answer(x / 255.0) * 255).round().clip(0, 255).astype(np.uint8)

    if how == "super-resolution":
        names = ("NEAREST", "BICUBIC", "LANCZOS")
        return {name.lower(): scaled(Image.Resampling[name]) for name in names}
    if how == "denoise":
        return {
            "as given": plain,
            "total variation": of_unit(
                lambda x: restoration.denoise_tv_chambolle(x, weight=0.1, channel_axis=2)
            ),
            "non-local means": of_unit(
                lambda x: restoration.denoise_nl_means(
                    x, h=0.1, sigma=0.125, fast_mode=True, patch_size=5, patch_distance=6, channel_axis=2
                )
            ),
        }
    if how == "deblur":
        place = np.arange(-5, 6)
        kernel = np.exp(-0.5 * (place / 1.5) ** 2)
        kernel = np.outer(kernel, kernel) / kernel.sum() ** 2
        return {
            "as given": plain,
            "richardson-lucy": of_unit(
                lambda x: np.dstack(
                    [restoration.richardson_lucy(x[..., c], kernel, num_iter=10) for c in range(3)]
                )
            ),
        }
    if how == "colour":
        return {"grey": plain, "mean colour": _mean_colour(train)}
    return {
        "mean": _mean_fill,
        "nearest": _nearest_fill,
        "biharmonic": _biharmonic,
        "telea": _opencv("INPAINT_TELEA"),
        "navier-stokes": _opencv("INPAINT_NS"),
        "smooth": lambda x, size: _given_fill(x, "smooth"),
        "slope": lambda x, size: _given_fill(x, "slope"),
    }


def _mean_colour(train: Path) -> Callable[[Array, tuple[int, int]], Array]:
    """The brightness with the mean difference of each colour from it."""
    total = np.zeros(3)
    for path in sorted(train.glob("*.png")):
        x = np.asarray(Image.open(path)).astype(np.float64)
        total += (x - (x @ [0.299, 0.587, 0.114])[..., None]).mean((0, 1))
    shift = total / len(list(train.glob("*.png")))
    return lambda x, size: (x[..., None] + shift).round().clip(0, 255).astype(np.uint8)


def _mean_fill(x: Array, size: tuple[int, int]) -> Array:
    known = x[..., 3] > 0
    return np.where(known[..., None], x[..., :3], x[known][:, :3].mean(0).round()).astype(np.uint8)


def _nearest_fill(x: Array, size: tuple[int, int]) -> Array:
    from scipy.ndimage import distance_transform_edt

    where = distance_transform_edt(x[..., 3] == 0, return_distances=False, return_indices=True)
    return np.ascontiguousarray(x[where[0], where[1], :3])


def _biharmonic(x: Array, size: tuple[int, int]) -> Array:
    """The biharmonic equation solved with what stands around a hole."""
    from skimage.restoration import inpaint_biharmonic

    found = inpaint_biharmonic(
        x[..., :3] / 255.0, x[..., 3] == 0, split_into_regions=True, channel_axis=2
    )
    return np.where(x[..., 3:] > 0, x[..., :3], (found * 255).round().clip(0, 255)).astype(np.uint8)


def _opencv(how: str, radius: int = 3) -> Callable[[Array, tuple[int, int]], Array]:
    """OpenCV's fills from the edge of a hole inwards: Telea 2004, or by the equations of a fluid (Bertalmio et al.
    2001); the radius is that of its own documentation."""

    def filled(x: Array, size: tuple[int, int]) -> Array:
        import cv2

        found = cv2.inpaint(
            np.ascontiguousarray(x[..., :3]),
            (x[..., 3] == 0).astype(np.uint8),
            radius,
            getattr(cv2, how),
        )
        return np.where(x[..., 3:] > 0, x[..., :3], found).astype(np.uint8)

    return filled


def _given_fill(x: Array, fill: Fill) -> Array:
    """What a model is given."""
    known = torch.from_numpy(x[..., 3] > 0).expand(1, 3, -1, -1)
    return pixels(continued(stored(x[..., :3]), known, fill).clamp(-1, 1))


# -- figures ---------------------------------------------------------------------------------------


def psnr(made: Array, truth: Array, where: Array | None = None) -> float:
    error = (made.astype(np.float64) - truth) ** 2
    return 10 * math.log10(255**2 / max(float((error if where is None else error[where]).mean()), 1e-9))


def measured(
    model: Model, how: str, held: dict[str, Array], folder: Path, args: argparse.Namespace
) -> dict[str, Any]:
    given = folder / "given"
    given.mkdir()
    names = sorted(held)
    sources = {name: damaged(how, held[name], args.factor, i) for i, name in enumerate(names)}
    for name, source in sources.items():
        Image.fromarray(source).save(given / f"{name}.png")
    began = time.process_time()
    asked = {"steps": args.sampler_steps, "temperature": args.temperature}
    options = {name: value for name, value in asked.items() if value is not None}
    paths = [given / f"{name}.png" for name in names]
    draws = [model.apply(paths, seed=args.seed + i, **options) for i in range(args.draws)]
    seconds = time.process_time() - began
    made = {name: np.stack([np.asarray(d.examples[i]) for d in draws]) for i, name in enumerate(names)}
    found: dict[str, Any] = {
        "seconds": round(seconds / args.draws / len(names), 1),
        "photos": len(names),
    }
    where = {n: sources[n][..., 3] == 0 if how == "inpaint" else None for n in names}

    def mean(answer: Callable[[str], Array]) -> float:
        return round(float(np.mean([psnr(answer(n), held[n], where[n]) for n in names])), 2)

    found["psnr"] = {
        "model": mean(lambda n: made[n][0]),
        f"mean of {args.draws}": mean(lambda n: made[n].mean(0)),
        **{
            name: mean(lambda n: answer(sources[n], held[n].shape[:2]))  # noqa: B023
            for name, answer in trivial(how, folder / "photos").items()
        },
    }
    if how == "inpaint":
        known = [np.array_equal(made[n][0][~where[n]], held[n][~where[n]]) for n in names]
        found["known pixels equal"] = all(known)
    if how == "colour":
        answers = {"model": lambda n: made[n][0], "truth": lambda n: held[n]}
        trivially = trivial(how, folder / "photos").items()
        answers |= {
            name: (lambda n, a=answer: a(sources[n], held[n].shape[:2])) for name, answer in trivially
        }
        found["colours"] = {
            name: colours([a(n) for n in names], [held[n] for n in names]) for name, a in answers.items()
        }
    if how in ("inpaint", "colour"):
        answers = {"model": [made[n][0] for n in names]} | {
            name: [answer(sources[n], held[n].shape[:2]) for n in names]
            for name, answer in trivial(how, folder / "photos").items()
        }
        real = [held[n] for n in names]
        found["fd"] = distances(answers, real, folder, args)
    if how == "inpaint":
        around = [centres(where[n]) for n in names]
        found["fd around the holes"] = distances(answers, real, folder, args, around)
        second = draws[-1].examples
        gaps = [
            (np.asarray(second[i]).astype(float) - made[n][0])[where[n]] for i, n in enumerate(names)
        ]
        found["apart"] = round(float(np.sqrt(np.mean(np.concatenate(gaps) ** 2))), 1)
    if args.keep is not None:
        args.keep.mkdir(parents=True, exist_ok=True)
        for name in names:
            Image.fromarray(made[name][0]).save(args.keep / f"{how}-{name}.png")
            Image.fromarray(sources[name]).save(args.keep / f"{how}-{name}-given.png")
            Image.fromarray(held[name]).save(args.keep / f"{how}-{name}-true.png")
    return found


def centres(hole: Array, side: int = 32) -> list[tuple[int, int]]:
    """The corners of tiles of `side` with a hole in the middle of each."""
    from scipy.ndimage import find_objects, label

    boxes = find_objects(label(hole)[0])
    return [tuple((axis.start + axis.stop - side) // 2 for axis in box) for box in boxes]


def distances(
    answers: dict[str, list[Array]],
    real: list[Array],
    folder: Path,
    args: argparse.Namespace,
    corners: list[list[tuple[int, int]]] | None = None,
    side: int = 32,
) -> dict[str, float]:
    """The Fréchet distance of tiles of each answer from those of the photos, in the features of `args.features`: of a
    contrastive network that has learnt tiles of the others, or of one that a package brings.

    corners  of the tiles in each photo (None: side by side)
    """

    def kept(name: str, pictures: list[Array], at: list[list[tuple[int, int]]] | None = None) -> Path:
        every = [
            [
                (i, j)
                for i in range(0, x.shape[0] - side + 1, side)
                for j in range(0, x.shape[1] - side + 1, side)
            ]
            for x in pictures
        ]
        found = [
            x[i : i + side, j : j + side]
            for x, places in zip(pictures, at or every, strict=True)
            for i, j in places
        ]
        np.savez(folder / f"{name}.npz", images=np.stack(found))
        return folder / f"{name}.npz"

    train = [np.asarray(Image.open(path)) for path in sorted((folder / "photos").glob("*.png"))]
    learnt, truth, found = kept("learnt", train), kept("truth", real, corners), {}
    for name, pictures in answers.items():
        report = genwright.judge(
            fake=kept("made", pictures, corners),
            real=learnt,
            holdout=truth,
            n=1000,
            seed=args.seed,
            features=args.features,
            wanted=["fd"],
        )
        found[name] = round(next(r.model.value for r in report.results if r.model is not None), 3)
    return found


def colours(made: list[Array], real: list[Array]) -> dict[str, float]:
    """How colourful they are in Lab, and how far the histogram of a and b is from the real one (total variation)."""
    from skimage.color import rgb2lab

    def of(pictures: list[Array]) -> tuple[float, Array]:
        ab = np.concatenate([rgb2lab(x)[..., 1:].reshape(-1, 2) for x in pictures])
        counts, *_ = np.histogram2d(*ab.T, bins=20, range=[[-100, 100]] * 2)
        return float(np.hypot(*ab.T).mean()), counts / counts.sum()

    (chroma, one), (_, other) = of(made), of(real)
    return {"chroma": round(chroma, 2), "histogram": round(float(np.abs(one - other).sum() / 2), 3)}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("how", choices=["super-resolution", "denoise", "deblur", "colour", "inpaint"])
    options.add_argument("folders", type=Path, nargs="+")
    options.add_argument("--family", default="diffusion")
    options.add_argument("--factor", type=int, default=2)
    options.add_argument("--tile", type=int, default=64)
    options.add_argument(
        "--largest", type=int, default=512, help="side of what is taken of a held-out photo"
    )
    options.add_argument("--size", default="s")
    options.add_argument("--steps", type=int, default=1000)
    options.add_argument("--batch", type=int, default=32)
    options.add_argument("--sampler-steps", type=int)
    options.add_argument("--temperature", type=float)
    options.add_argument("--draws", type=int, default=1)
    options.add_argument("--patterns", type=int, default=1, help="of holes in each photo")
    options.add_argument(
        "--features", default="contrastive", help="that FD is taken in, as of genwright judge"
    )
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--keep", type=Path)
    options.add_argument(
        "--run", type=Path, help="where the run lies; it is trained where there is none"
    )
    options.add_argument("--set", nargs="*", default=[])
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        train, held = prepared(args.folders, folder, args.largest)
        if args.how == "inpaint":  # other holes in each copy
            held = {f"{name}-{i}": photo for name, photo in held.items() for i in range(args.patterns)}
        settings = [f"task.how={args.how}", f"codec.size={args.tile}", "codec.crop=tiles", "data.test=0"]
        settings += ["codec.augment=['flip']", f"train.batch_size={args.batch}", *args.set]
        if args.how == "super-resolution":
            settings.append(f"task.factor={args.factor}")
        began = time.process_time()
        run = args.run or folder / "run"
        model = (
            genwright.load(run)
            if run.exists()
            else genwright.train(
                train,
                family=args.family,
                label="",
                task="restore",
                size=args.size,
                steps=args.steps,
                seed=args.seed,
                settings=settings,
                out=run,
            )
        )
        trained = time.process_time() - began
        found = measured(model, args.how, held, folder, args)
        say(benchmark="photos", how=args.how, cpu_minutes=round(trained / 60, 1), **found)


if __name__ == "__main__":
    main()
