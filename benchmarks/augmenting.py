"""Whether the verdict of `genwright augment` is one that further seeds agree with.

    python benchmarks/augmenting.py [--steps 400] [--further 20] [--only digits ...] [--adult adult.csv]

Five sets of small classes: digits with about 10 and with about 30 a class, wine and breast-cancer of scikit-learn,
balanced, and 1,000 rows of Adult, balanced, where a file is named. On each a small VAE is trained, and its examples
are added. The verdict that `genwright augment` would give (five seeds from 0 on, up to 20 where they leave it open) is
held against that of `--further` others (100 and up), on the same examples: `agrees` is how often it is the same.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import genwright
from _report import say
from genwright.augmenting import enlarged
from genwright.augmenting.trial import REPEATS, trial


def sets(folder: Path, adult: str | None) -> dict[str, dict[str, Any]]:
    from sklearn.datasets import load_breast_cancer, load_wine

    found: dict[str, dict[str, Any]] = {
        "digits-10": {"data": "digits", "share": 0.85},
        "digits-30": {"data": "digits", "share": 0.7},
    }
    for name, load in (("wine", load_wine), ("cancer", load_breast_cancer)):
        frame = load(as_frame=True).frame
        rare = frame["target"] == frame["target"].min()
        frame = frame[~rare | (np.arange(len(frame)) % 4 == 0)]
        frame.to_csv(folder / f"{name}.csv", index=False)
        found[name] = {
            "data": str(folder / f"{name}.csv"),
            "label": "target",
            "share": 0.4,
            "balance": True,
        }
    if adult is not None:
        lines = Path(adult).read_text().splitlines()[:1001]
        (folder / "adult.csv").write_text("\n".join(lines) + "\n")
        path = str(folder / "adult.csv")
        found["adult"] = {"data": path, "label": "income", "share": 0.4, "balance": True}
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--further", type=int, default=20)
    parser.add_argument("--only", nargs="*")
    parser.add_argument("--adult")
    args = parser.parse_args()
    agrees = 0
    with tempfile.TemporaryDirectory() as scratch:
        chosen = sets(Path(scratch), args.adult)
        chosen = {name: chosen[name] for name in args.only or chosen}
        for name, how in chosen.items():
            settings = [
                "train.checks=1",
                "train.samples=0",
                f"data.test={how['share']}",
                "data.val=0.05",
            ]
            model = genwright.train(how["data"], family="vae", size="xs", steps=args.steps,
                label=how.get("label"), out=Path(scratch) / f"run-{name}", settings=settings)  # fmt: skip
            work = enlarged.Enlargement(model, how.get("label"), 0)
            tried: list[Any] = []

            def both(*given: Any, tried: list[Any] = tried) -> Any:
                *asked, seeds, further = given
                tried.append(trial(*asked, seeds, further))
                (synthetic, *_) = asked[-1].items()
                others = range(100, 100 + args.further)
                tried.append(trial(*asked[:-1], dict([synthetic]), others))
                return tried[0]

            enlarged.trial = both
            try:
                work.make(work.wanted(None, how.get("balance", False)))
            finally:
                enlarged.trial = trial
            few, many = tried
            same = few[0].outcome == many[0].outcome
            agrees += same
            say(
                what=name,
                train=len(model.dataset.splits["train"]),
                agrees=same,
                seeds=len(few[0].gains) // REPEATS,
                five=few[0].sentence(),
                further=many[0].sentence(),
                beside=[one.sentence() for one in few[1:]],
            )
    say(what="agrees", of=len(chosen), agrees=agrees)


if __name__ == "__main__":
    main()
