"""Does the judge say what is so, end to end? Real examples, with known faults, through `genwright.judge`.

    python benchmarks/judge_protocol.py adult.csv --label income [--seeds 20] [-n 1000]
    python benchmarks/judge_protocol.py mnist.npz --kind digits --features pca -n 500
    python benchmarks/judge_protocol.py shakespeare.txt.gz --kind text --features pca -n 500

order         real examples, slightly noised ones and heavily noised ones: ranked in this order overall
same          two sets of one maker (slightly noised): "inconclusive" overall
honest        slightly noised examples that the maker did not train on: not called copied
memorised     the same with 10 % exact copies of training examples: called copied
nearly        the same with 10 % copies, each of them slightly changed

kind      noised, slightly and heavily                         a slightly changed copy
table     5 or 25 % of the cells from other rows               numbers moved by a hundredth of their spread
digits    pixels moved by 8 or 64 of 255 (standard deviation)  pixels moved by 8
text      5 or 25 % of the words from other texts              one word from another text

A text's examples are what blank lines part, of 20 to 300 characters. Each seed draws all examples anew: a
training set, an exam, and what is judged, none in two of them. With `--only copies` no order is asked for,
and no metric that has no say in whether it is copied.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import genwright
from _report import say
from genwright.data.codec import Array
from genwright.evaluation.ranking import rank
from genwright.evaluation.results import EvaluationReport
from genwright.registry import names, resolve

NEW = "Is it new rather than copied?"
NOVELTY = [name for name in names("metrics") if resolve("metrics", name).group == "novelty"]
SHORTEST, LONGEST = 20, 300


class Kind(ABC):
    """Examples of one kind, and what is done to them. `Some` of them have a length."""

    suffix: str
    light, heavy = 0.05, 0.25

    def __init__(self, path: Path) -> None:
        self.path = path

    @abstractmethod
    def read(self) -> Any: ...

    @abstractmethod
    def write(self, some: Any, path: Path) -> None: ...

    @abstractmethod
    def take(self, some: Any, index: Array) -> Any: ...

    @abstractmethod
    def join(self, a: Any, b: Any) -> Any: ...

    @abstractmethod
    def noised(self, some: Any, level: float, rng: np.random.Generator) -> Any: ...

    @abstractmethod
    def moved(self, some: Any, rng: np.random.Generator) -> Any:
        """Slightly changed."""


class Table(Kind):
    suffix = "csv"

    def read(self) -> pd.DataFrame:
        return pd.read_csv(self.path, skipinitialspace=True)

    def write(self, some: pd.DataFrame, path: Path) -> None:
        some.to_csv(path, index=False)

    def take(self, some: pd.DataFrame, index: Array) -> pd.DataFrame:
        return some.iloc[index].reset_index(drop=True)

    def join(self, a: pd.DataFrame, b: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([a, b], ignore_index=True)

    def noised(self, some: pd.DataFrame, level: float, rng: np.random.Generator) -> pd.DataFrame:
        other = pd.DataFrame({name: rng.permutation(some[name].to_numpy()) for name in some})
        keep = rng.random(some.shape) >= level
        return some.reset_index(drop=True).where(keep, other)

    def moved(self, some: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
        made = some.copy()
        for name in made.select_dtypes("number"):
            step = np.rint(0.01 * some[name].std() * rng.normal(size=len(some))).astype(some[name].dtype)
            atom = some[name].mode()[0]  # a capital gain of 0 is none at all, and not nearly 7
            made[name] = made[name] + np.where(some[name] == atom, 0, step)
        return made


class Digits(Kind):
    suffix = "npz"
    light, heavy = 8.0, 64.0

    def read(self) -> Array:
        return np.asarray(np.load(self.path)["images"])

    def write(self, some: Array, path: Path) -> None:
        np.savez(path, images=some)

    def take(self, some: Array, index: Array) -> Array:
        return some[index]

    def join(self, a: Array, b: Array) -> Array:
        return np.concatenate([a, b])

    def noised(self, some: Array, level: float, rng: np.random.Generator) -> Array:
        moved = some + level * rng.normal(size=some.shape)
        return np.asarray(moved.round().clip(0, 255).astype(np.uint8))

    def moved(self, some: Array, rng: np.random.Generator) -> Array:
        return self.noised(some, self.light, rng)


class Texts(Kind):
    suffix = "jsonl"

    def read(self) -> list[str]:
        whole = (gzip.open if self.path.suffix == ".gz" else open)(self.path, "rt", encoding="utf-8")
        with whole as file:
            parts = [part.strip() for part in file.read().split("\n\n")]
        return [part for part in dict.fromkeys(parts) if SHORTEST <= len(part) <= LONGEST]

    def write(self, some: list[str], path: Path) -> None:
        path.write_text("".join(json.dumps({"text": one}) + "\n" for one in some), encoding="utf-8")

    def take(self, some: list[str], index: Array) -> list[str]:
        return [some[i] for i in index]

    def join(self, a: list[str], b: list[str]) -> list[str]:
        return a + b

    def noised(self, some: list[str], level: float, rng: np.random.Generator) -> list[str]:
        known = [word for one in some for word in one.split()]

        def drawn(word: str) -> str:
            return known[int(rng.integers(len(known)))] if rng.random() < level else word

        return [" ".join(drawn(word) for word in one.split(" ")) for one in some]

    def moved(self, some: list[str], rng: np.random.Generator) -> list[str]:
        known = [word for one in some for word in one.split()]
        made = []
        for one in some:
            line = one.split(" ")
            line[int(rng.integers(len(line)))] = known[int(rng.integers(len(known)))]
            made.append(" ".join(line))
        return made


KINDS: dict[str, type[Kind]] = {"table": Table, "digits": Digits, "text": Texts}


class Exam:
    """One draw of everything."""

    def __init__(
        self, kind: Kind, all_: Any, asked: argparse.Namespace, seed: int, folder: Path
    ) -> None:
        self.rng, self.n, self.seed, self.asked = np.random.default_rng(seed), asked.n, seed, asked
        self.kind, self.all, self.folder = kind, all_, folder
        self.order: Array = self.rng.permutation(len(all_))
        self.at = 0
        self.train = self.draw(8 * self.n)
        self.write("train", self.train)
        self.write("held", self.draw(self.n))

    def draw(self, n: int) -> Any:
        """Examples that were not drawn before."""
        index = self.order[self.at : self.at + n]
        assert len(index) == n, "too few examples: lower -n"
        self.at += n
        return self.kind.take(self.all, index)

    def path(self, name: str) -> Path:
        return self.folder / f"{name}.{self.kind.suffix}"

    def write(self, name: str, some: Any) -> Path:
        self.kind.write(some, self.path(name))
        return self.path(name)

    def judge(self, name: str, fake: Any) -> EvaluationReport:
        return genwright.judge(
            fake=self.write(name, fake),
            real=self.path("train"),
            holdout=self.path("held"),
            label=self.asked.label,
            features=self.asked.features,
            wanted=NOVELTY if self.asked.only else (),
            n=self.n,
            seed=self.seed,
        )

    def with_copies(self, fake: Any, near: bool) -> Any:
        tenth = self.n // 10
        copies = self.kind.take(self.train, self.rng.permutation(8 * self.n)[:tenth])
        copies = self.kind.moved(copies, self.rng) if near else copies
        return self.kind.join(self.kind.take(fake, np.arange(tenth, self.n)), copies)


def because(judgement: EvaluationReport) -> str:
    return next((f.because for f in judgement.claims if f.question == NEW), "")


def outcome(judgement: EvaluationReport, question: str) -> str:
    return next((f.outcome for f in judgement.claims if f.question == question), "not asked")


def run(exam: Exam) -> tuple[dict[str, bool], dict[str, str]]:
    """What came out right, and why what did not."""
    rng, kind = exam.rng, exam.kind
    real, one, two = (exam.draw(exam.n) for _ in range(3))
    light, again = (kind.noised(some, kind.light, rng) for some in (one, two))
    heavy = kind.noised(one, kind.heavy, rng)
    copies = {
        "memorised": exam.with_copies(light, False),
        "nearly": exam.with_copies(light, True),
    }
    judged = {name: exam.judge(name, fake) for name, fake in {"light": light, **copies}.items()}
    found = {"honest": outcome(judged["light"], NEW) != "not supported"}
    found |= {name: outcome(judged[name], NEW) == "not supported" for name in copies}
    why = {"light": "" if found["honest"] else because(judged["light"])}
    why |= {name: "" if found[name] else because(judged[name]) for name in copies}
    if exam.asked.only != "copies":
        for name, fake in (("real", real), ("heavy", heavy), ("again", again)):
            judged[name] = exam.judge(name, fake)
        ranked = rank([judged[name] for name in ("real", "light", "heavy")])
        same = rank([judged["light"], judged["again"]])
        found["order"] = list(ranked.ranks.values()) == [1, 2, 3]
        found["same"] = same.outcome == "inconclusive"
        if not found["order"]:
            why["order"] = ranked.outcome
        if not found["same"]:
            why["same"] = "; ".join(r.metric for r in same.rounds if r.outcome != "inconclusive")
    return found, {name: words for name, words in why.items() if words}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("data", type=Path)
    options.add_argument("--kind", choices=KINDS, default="table")
    options.add_argument("--label")
    options.add_argument("--features", default="auto")
    options.add_argument("--only", choices=("copies", ""), default="")
    options.add_argument("--seeds", type=int, default=20)
    options.add_argument("--first", type=int, default=0)
    options.add_argument("-n", type=int, default=1000)
    args = options.parse_args()
    kind = KINDS[args.kind](args.data)
    examples, found = kind.read(), []
    for seed in range(args.first, args.first + args.seeds):
        began, spent = time.monotonic(), time.process_time()
        with tempfile.TemporaryDirectory() as folder:
            right, why = run(Exam(kind, examples, args, seed, Path(folder)))
        found.append(right)
        say(
            benchmark="judge_protocol",
            kind=args.kind,
            seed=seed,
            seconds=round(time.monotonic() - began, 1),
            cpu=round(time.process_time() - spent, 1),
            **right,
            why=why,
        )
    total = {name: sum(one[name] for one in found) for name in found[0]}
    say(benchmark="judge_protocol right of all", kind=args.kind, n=args.n, seeds=args.seeds, **total)


if __name__ == "__main__":
    main()
