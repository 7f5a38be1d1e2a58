"""A picture and its label made together, one field after the other: how often the label agrees with the picture.

    python benchmarks/together.py [--steps 1500] [--label-steps 600] [-n 500]

On scikit-learn's 1,797 digits of 8 x 8. `label first` draws a label as often as it came in training and makes a
picture of it; `picture first` makes a picture of nothing, and another run its label (`--then`). A picture is recognised
by its three nearest training examples; `real` is how often these agree with the labels of held-out digits, and `apart`
how often with labels that are drawn by themselves.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

import genwright
from _report import say
from genwright.model import Model


def judge_of(model: Model) -> tuple[KNeighborsClassifier, float]:
    """Who recognises a digit, and how often rightly."""

    def part(name: str) -> tuple[np.ndarray, list[str]]:
        split = model.dataset.splits[name]
        found = split.gather(np.arange(len(split)))
        labels = model.dataset.fields["label"].decode(found["label"].astype(np.int64))
        return found["image"].reshape(len(split), -1).astype(float), [str(one) for one in labels]

    judge = KNeighborsClassifier(3).fit(*part("train"))
    return judge, float(judge.score(*part("test")))


def seen(judge: KNeighborsClassifier, pictures: list[np.ndarray]) -> list[str]:
    return list(judge.predict(np.stack(pictures).reshape(len(pictures), -1).astype(float)))


def agreed(a: list[str], b: list[str]) -> float:
    return round(float(np.mean([one == other for one, other in zip(a, b, strict=True)])), 3)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--size", default="xs")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--label-steps", type=int, default=600)
    options.add_argument("-n", type=int, default=500)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, began = Path(name), time.process_time()

        def trained(out: str, steps: int, **choices: object) -> Model:
            choices = {"size": args.size, "seed": args.seed} | choices
            return genwright.train("digits", steps=steps, out=folder / out, **choices)

        given = trained("given", args.steps, family="diffusion", label="label")
        judge, real = judge_of(given)
        samples = given.sample(args.n, seed=args.seed)
        labels = [str(one) for one in samples.values["label"]]
        found = {"label first": agreed(seen(judge, samples.examples), labels)}
        found["apart"] = agreed(seen(judge, samples.examples), labels[1:] + labels[:1])
        alone = trained("alone", args.steps, family="diffusion", label="")
        teller = trained("teller", args.label_steps, make="label", given="image")
        then = genwright.sample(alone.run.path, args.n, then=teller.run.path, seed=args.seed)
        pictures = alone.sample(args.n, seed=args.seed).examples
        found["picture first"] = agreed(seen(judge, pictures), [str(one) for one in then.examples])
        say(
            benchmark="together",
            cpu_minutes=round((time.process_time() - began) / 60, 1),
            n=args.n,
            real=round(real, 3),
            **found,
        )


if __name__ == "__main__":
    main()
