"""Does the judge say what is so, end to end? Real rows, with known faults, through `genwright.judge`.

    python benchmarks/judge_protocol.py adult.csv --label income [--seeds 20] [-n 1000]

order         real rows, slightly noised ones (5 % of the cells from another row) and heavily noised ones
              (25 %): ranked in this order overall
same          two sets of one maker (5 % noised): "inconclusive" overall
honest        slightly noised rows that the maker did not train on: not called copied
memorised     the same with 10 % exact copies of training rows: called copied
nearly        the same with 10 % copies, of which every number is moved by a hundredth of its spread

Each seed draws all rows anew: a training set, an exam, and what is judged, none in two of them.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

import genwright
from _report import say
from genwright.data.codec import Array
from genwright.judging.contest import contest
from genwright.judging.judgement import Judgement

NEW = "Is it new rather than copied?"


def noised(rows: pd.DataFrame, share: float, rng: np.random.Generator) -> pd.DataFrame:
    """A share of the cells from other rows."""
    other = pd.DataFrame({name: rng.permutation(rows[name].to_numpy()) for name in rows})
    keep = rng.random(rows.shape) >= share
    return rows.reset_index(drop=True).where(keep, other)


def moved(rows: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    made = rows.copy()
    for name in made.select_dtypes("number"):
        step = np.rint(0.01 * rows[name].std() * rng.normal(size=len(rows))).astype(rows[name].dtype)
        atom = rows[name].mode()[0]  # a capital gain of 0 is none at all, and not nearly 7
        made[name] = made[name] + np.where(rows[name] == atom, 0, step)
    return made


class Exam:
    """One draw of everything."""

    def __init__(self, rows: pd.DataFrame, label: str, n: int, seed: int, folder: Path) -> None:
        self.rng, self.n, self.seed, self.label = np.random.default_rng(seed), n, seed, label
        self.rows, self.folder = rows, folder
        self.order: Array = self.rng.permutation(len(rows))
        self.at = 0
        self.train = self.draw(8 * n)
        self.write("train", self.train)
        self.write("held", self.draw(n))

    def draw(self, n: int) -> pd.DataFrame:
        """Rows that were not drawn before."""
        index = self.order[self.at : self.at + n]
        assert len(index) == n, "too few rows: lower -n"
        self.at += n
        return self.rows.iloc[index].reset_index(drop=True)

    def write(self, name: str, rows: pd.DataFrame) -> Path:
        path = self.folder / f"{name}.csv"
        rows.to_csv(path, index=False)
        return path

    def judge(self, name: str, fake: pd.DataFrame) -> Judgement:
        return genwright.judge(
            fake=self.write(name, fake),
            real=self.folder / "train.csv",
            holdout=self.folder / "held.csv",
            label=self.label,
            n=self.n,
            seed=self.seed,
        )

    def with_copies(self, fake: pd.DataFrame, near: bool) -> pd.DataFrame:
        copies = self.train.iloc[self.rng.permutation(len(self.train))[: self.n // 10]]
        copies = moved(copies, self.rng) if near else copies
        return pd.concat([fake.iloc[len(copies) :], copies], ignore_index=True)


def outcome(judgement: Judgement, question: str) -> str:
    return next((f.outcome for f in judgement.findings if f.question == question), "not asked")


def run(exam: Exam) -> dict[str, bool]:
    rng = exam.rng
    real, one, two = (exam.draw(exam.n) for _ in range(3))
    light, again = noised(one, 0.05, rng), noised(two, 0.05, rng)
    judged = {
        "real": exam.judge("real", real),
        "light": exam.judge("light", light),
        "heavy": exam.judge("heavy", noised(one, 0.25, rng)),
        "again": exam.judge("again", again),
        "memorised": exam.judge("memorised", exam.with_copies(light, False)),
        "nearly": exam.judge("nearly", exam.with_copies(light, True)),
    }
    ranked = contest([judged[name] for name in ("real", "light", "heavy")])
    ranks = list(ranked.ranks.values())
    same = contest([judged["light"], judged["again"]])
    return {
        "order": ranks == [1, 2, 3],
        "same": same.outcome == "inconclusive",
        "honest": outcome(judged["light"], NEW) != "not supported",
        "memorised": outcome(judged["memorised"], NEW) == "not supported",
        "nearly": outcome(judged["nearly"], NEW) == "not supported",
    }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("table", type=Path)
    options.add_argument("--label", required=True)
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("-n", type=int, default=1000)
    args = options.parse_args()
    rows = pd.read_csv(args.table, skipinitialspace=True)
    found = []
    for seed in range(args.first, args.first + args.seeds):
        began = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            found.append(run(Exam(rows, args.label, args.n, seed, Path(folder))))
        say(
            benchmark="judge_protocol",
            seed=seed,
            seconds=round(time.monotonic() - began, 1),
            **found[-1],
        )
    right = {name: sum(one[name] for one in found) for name in found[0]}
    say(benchmark="judge_protocol right of all", n=args.n, seeds=args.seeds, **right)


if __name__ == "__main__":
    main()
