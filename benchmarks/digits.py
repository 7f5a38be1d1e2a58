"""Digits by label within a minute: does a classifier of real digits see in a sample what was asked for?

    python benchmarks/digits.py [--family diffusion] [--minutes 1.0] [--seed 0] [--n 1000]

The classifier (an SVM on scikit-learn's digits, 8 x 8) is trained on 80 % of the real ones and must reach
97 % on the rest. Then: the share of samples in which it sees the label asked for, and how evenly the ten
classes come when none is asked for.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.svm import SVC

import genwright
from _report import say


def pixels(samples: genwright.model.Samples) -> np.ndarray:
    """As the classifier knows them: 64 numbers from 0 to 1."""
    return np.stack([np.asarray(picture, dtype=float).reshape(64) for picture in samples.examples]) / 255


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--family", default="diffusion")
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--n", type=int, default=1000)
    args = options.parse_args()
    digits = load_digits()
    x, held, y, truth = train_test_split(
        digits.images.reshape(-1, 64) / 16, digits.target, test_size=0.2, random_state=0
    )
    classifier = SVC(gamma=0.1, C=10).fit(x, y)
    with tempfile.TemporaryDirectory() as folder:
        model = genwright.train(
            "digits",
            label="label",
            family=args.family,
            minutes=args.minutes,
            seed=args.seed,
            out=Path(folder) / "run",
        )
        label = [i % 10 for i in range(args.n)]
        asked = classifier.predict(pixels(model.sample(args.n, {"label": label}, seed=args.seed)))
        free = classifier.predict(pixels(model.sample(args.n, seed=args.seed + 1)))
        say(
            benchmark="digits",
            family=args.family,
            seed=args.seed,
            n=args.n,
            minutes=args.minutes,
            steps=model.run.step,
            classifier_on_real=round(float(classifier.score(held, truth)), 4),
            asked_label_seen=round(float((asked == np.array(label)).mean()), 4),
            classes_when_none_is_asked=np.bincount(free, minlength=10).tolist(),
        )


if __name__ == "__main__":
    main()
