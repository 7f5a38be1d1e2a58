"""Molecules that a run makes in the protocol of MOSES, beside real ones, an n-gram model and two that cheat.

    pip download --no-deps molsets
    python benchmarks/molecules.py data molsets-0.3.1-py3-none-any.whl DIR [--rows 100000] [--properties logp]
    genwright train DIR/train.smi --minutes 10 --out runs/moses
    python benchmarks/molecules.py score DIR runs/moses [--n 10000] [--seed 0]
    genwright train DIR/train.csv --given logp --minutes 10 --out runs/logp
    python benchmarks/molecules.py control DIR runs/logp [--n 1000] [--seed 0]

The data is MOSES' (MIT): 1,584,663 molecules of training, of which some are taken here, and 176,074 of the test split.
The shares are those of MOSES (Polykovskiy et al. 2020, arXiv:1811.12823): valid of all, unique of the valid, new of the
unique. FCD (Preuer et al. 2018, arXiv:1803.09518) is the Fréchet distance in ChemNet's features, against `--reference`
molecules of the test split.

    train         other molecules of MOSES' training split: what is reached by real ones
    add a carbon  molecules of training with one C in front (Renz et al. 2019): new, and nothing learnt
    all carbon    chains of carbon
    n-gram        the next symbol by the five before it
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import zipfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

import genwright
from _report import say
from genwright.data.field import Array
from genwright.data.molecule.chemistry import PROPERTIES, canonical, descriptor
from genwright.data.molecule.notation import symbols
from genwright.evaluation.extractors.molecules import ChemNetExtractor
from genwright.evaluation.metrics.distances import frechet

ORDER = 5
PIECE = 256


class NGram:
    """The next symbol by those before it, and by fewer of them where these were never met."""

    def __init__(self, molecules: Sequence[str]) -> None:
        self.counts: dict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
        for smiles in molecules:
            row = [*symbols(smiles, "smiles"), ""]
            for i, symbol in enumerate(row):
                for known in range(min(i, ORDER) + 1):
                    self.counts[tuple(row[i - known : i])][symbol] += 1

    def sample(self, n: int, rng: np.random.Generator) -> Iterator[str]:
        for _ in range(n):
            row: list[str] = []
            while len(row) < 100:
                before = next(
                    k
                    for k in range(min(len(row), ORDER), -1, -1)
                    if (*row[len(row) - k :],) in self.counts
                )
                found, counts = zip(*self.counts[(*row[len(row) - before :],)].items(), strict=True)
                symbol = str(rng.choice(found, p=np.array(counts) / sum(counts)))
                if not symbol:
                    break
                row.append(symbol)
            yield "".join(row)


def data(args: argparse.Namespace) -> None:
    """`train.smi` and `train.csv` with the properties, `test.smi` and `other.smi`, in an order by the seed."""
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(args.wheel) as wheel:
        train, test = (
            [
                row["SMILES"]
                for row in csv.DictReader(
                    io.StringIO(
                        gzip.decompress(wheel.read(f"moses/dataset/data/{name}.csv.gz")).decode()
                    )
                )
            ]
            for name in ("train", "test")
        )
    order = rng.permutation(len(train))
    chosen = [train[i] for i in order[: args.rows]]
    (args.out / "train.smi").write_text("\n".join(chosen) + "\n")
    (args.out / "other.smi").write_text("\n".join(train[i] for i in order[-20_000:]) + "\n")
    (args.out / "test.smi").write_text("\n".join(test[i] for i in rng.permutation(len(test))) + "\n")
    with (args.out / "train.csv").open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["smiles", *args.properties])
        rows.writerows(
            [one, *(round(descriptor(one, name), 4) for name in args.properties)] for one in chosen
        )
    say(train=len(chosen), test=len(test))


def score(args: argparse.Namespace) -> None:
    rng = np.random.default_rng(args.seed)
    train, other, test = (
        (args.data / f"{name}.smi").read_text().split() for name in ("train", "other", "test")
    )
    known = {canonical(one) for one in train}
    reference = features(test[: args.reference])
    options: dict[str, Any] = {
        name: float(value) for name, value in (one.split("=", 1) for one in args.set)
    }
    drawn = rng.permutation(len(train))[: args.n]
    sets: dict[str, Sequence[str]] = {"train": other[: args.n]}
    if not args.alone:
        sets["add a carbon"] = ["C" + train[i] for i in drawn]
        sets["all carbon"] = ["C" * int(length) for length in rng.integers(1, 60, args.n)]
        sets["n-gram"] = list(NGram(train).sample(args.n, rng))
    for run in args.runs:
        sets[run.name] = genwright.sample(run, args.n, seed=args.seed, **options).examples
    for name, made in sets.items():
        valid = [found for one in made if (found := canonical(one)) is not None]
        unique = set(valid)
        say(
            which=name,
            n=len(made),
            valid=round(len(valid) / len(made), 4),
            unique=round(len(unique) / max(1, len(valid)), 4),
            new=round(len(unique - known) / max(1, len(unique)), 4),
            fcd=round(frechet(reference, features(valid)), 4),
            seed=args.seed,
        )


def features(smiles: Sequence[str]) -> Array:
    """ChemNet's 512 numbers of each molecule, as FCD takes them."""
    backbone = ChemNetExtractor.reader(
        ChemNetExtractor.file().read_bytes(), lambda places: [smiles[place] for place in places]
    ).eval()
    with torch.inference_mode():
        return torch.cat(
            [backbone(some).double() for some in torch.split(torch.arange(len(smiles)), PIECE)]
        ).numpy()


def control(args: argparse.Namespace) -> None:
    """Values of a property are asked for as the data has them; does what is made have them?"""
    model = genwright.load(args.run)
    asked = list(model.task.given)
    rng = np.random.default_rng(args.seed)
    with (args.data / "train.csv").open() as stream:
        rows = [row for i, row in enumerate(csv.DictReader(stream)) if i < 20_000]
    wanted = [rows[i] for i in rng.integers(len(rows), size=args.n)]
    made = genwright.sample(
        args.run,
        args.n,
        given={name: [float(row[name]) for row in wanted] for name in asked},
        seed=args.seed,
    ).examples
    valid = np.array([canonical(one) is not None for one in made])
    for name in asked:
        values = np.array([descriptor(one, name) for one in made])[valid]
        target = np.array([float(row[name]) for row in wanted])[valid]
        say(
            property=name,
            n=args.n,
            valid=round(float(valid.mean()), 4),
            correlation=round(float(np.corrcoef(values, target)[0, 1]), 4),
            off=round(float(np.abs(values - target).mean()), 4),
            usual=round(float(np.abs(target - np.median(target)).mean()), 4),
            seed=args.seed,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parts = parser.add_subparsers(required=True)
    part = parts.add_parser("data")
    part.add_argument("wheel", type=Path)
    part.add_argument("out", type=Path)
    part.add_argument("--rows", type=int, default=100_000)
    part.add_argument("--properties", nargs="*", default=["logp"], choices=PROPERTIES)
    part.set_defaults(do=data)
    part = parts.add_parser("score")
    part.add_argument("data", type=Path)
    part.add_argument("runs", type=Path, nargs="*")
    part.add_argument("--n", type=int, default=10_000)
    part.add_argument("--reference", type=int, default=50_000)
    part.add_argument("--set", nargs="*", default=[], help="sampler options, NAME=VALUE")
    part.add_argument("--alone", action="store_true", help="without the baselines")
    part.add_argument("--seed", type=int, default=0)
    part.set_defaults(do=score)
    part = parts.add_parser("control")
    part.add_argument("data", type=Path)
    part.add_argument("run", type=Path)
    part.add_argument("--n", type=int, default=1000)
    part.add_argument("--seed", type=int, default=0)
    part.set_defaults(do=control)
    args = parser.parse_args()
    args.do(args)


if __name__ == "__main__":
    main()
