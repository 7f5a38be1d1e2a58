"""Adult census: train a classifier on synthetic rows, test it on real ones.

    python benchmarks/adult.py TRAIN.csv SCORER.py [--minutes 1 5] [--seed 0]

TRAIN.csv holds 80 % of the rows (scikit-learn's train_test_split, seed 0, stratified by income); SCORER.py
is called as `SCORER.py score SYNTHETIC.csv` and prints one line of JSON with `macro_f1` of a
HistGradientBoostingClassifier (seed 0) that was trained on as many synthetic rows and tested on the other
20 %.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import genwright
from _report import say

RECIPE = Path(__file__).parent.parent / "recipes" / "adult.toml"


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("train", type=Path)
    options.add_argument("scorer", type=Path)
    options.add_argument("--minutes", type=float, nargs="+", default=[1.0, 5.0])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--family")
    args = options.parse_args()
    rows = sum(1 for _ in args.train.open()) - 1
    with tempfile.TemporaryDirectory() as folder:
        for minutes in args.minutes:
            began = time.perf_counter()
            model = genwright.train(
                RECIPE,
                family=args.family,
                minutes=minutes,
                seed=args.seed,
                out=Path(folder) / f"{minutes}",
                settings=[f"data.path={args.train}"],
            )
            trained = time.perf_counter() - began
            (table, *_) = model.sample(rows, seed=args.seed).write(Path(folder) / f"rows-{minutes}")
            made = time.perf_counter() - began - trained
            scored = subprocess.run(
                [sys.executable, str(args.scorer), "score", str(table)],
                capture_output=True,
                text=True,
                check=True,
            ).stdout
            say(
                benchmark="adult",
                minutes=minutes,
                seed=args.seed,
                steps=model.run.step,
                best=model.run.best,
                seconds_train=round(trained, 1),
                seconds_sample=round(made, 1),
                **json.loads(scored),
            )


if __name__ == "__main__":
    main()
