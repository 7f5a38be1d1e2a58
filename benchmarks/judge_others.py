"""The judge on rows that other tools made of the real Adult census: CTGAN, TVAE and a Gaussian copula.

    python benchmarks/judge_others.py TRAIN.csv HELD.csv OUT [--venv DIR] [--epochs 30] [-n 2000]

TRAIN.csv is what the tools see, HELD.csv what they do not. Their packages are installed into a venv of their
own (DIR, made if it is not there), since their licence (BUSL) lets a benchmark run them but not this package
depend on them. Beside them: independent marginals, each column of TRAIN.csv drawn by itself. Rows that are in
OUT already are not made again. SDMetrics' own quality score is given for comparison. The exit status is 1 if
the judge puts the marginals before TVAE.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
import venv
from pathlib import Path

import numpy as np
import pandas as pd

import genwright
from _report import say
from genwright.evaluation.ranking import rank
from genwright.evaluation.results import EvaluationReport

PACKAGES = ("ctgan", "copulas", "sdmetrics")
LABEL = "income"
SHOWN = (
    "tstr",
    "pairs",
    "columns",
    "c2st",
    "fd_inf",
    "clipped_coverage",
    "exact_copies",
    "nearest_share",
)

MAKE = """
import sys, pandas as pd, numpy as np, torch
kind, source, target, rows, epochs = sys.argv[1:4] + [int(n) for n in sys.argv[4:]]
torch.manual_seed(0), np.random.seed(0), torch.set_num_threads(1)
frame = pd.read_csv(source, skipinitialspace=True)
texts = [c for c in frame if not pd.api.types.is_numeric_dtype(frame[c])]
if kind == "copula":
    from copulas.multivariate import GaussianMultivariate
    from copulas.univariate import BetaUnivariate
    codes = {c: frame[c].value_counts(normalize=True) for c in texts}
    ends = {c: np.concatenate([[0], counts.cumsum().to_numpy()]) for c, counts in codes.items()}
    dense, rng = frame.copy(), np.random.default_rng(0)
    for c in texts:
        place = frame[c].map({v: i for i, v in enumerate(codes[c].index)}).to_numpy()
        dense[c] = ends[c][place] + rng.random(len(frame)) * np.diff(ends[c])[place]
    model = GaussianMultivariate(distribution=BetaUnivariate)
    model.fit(dense)
    made = model.sample(rows)
    for c in texts:
        place = np.searchsorted(ends[c], made[c].clip(0, 1 - 1e-9), side="right") - 1
        made[c] = codes[c].index.to_numpy()[place.clip(0, len(codes[c]) - 1)]
    for c in frame.columns.difference(texts):
        made[c] = made[c].clip(frame[c].min(), frame[c].max()).round().astype(frame[c].dtype)
else:
    import ctgan
    model = {"tvae": ctgan.TVAE, "ctgan": ctgan.CTGAN}[kind](epochs=epochs)
    model.fit(frame, texts)
    made = model.sample(rows)
made.to_csv(target, index=False)
"""

QUALITY = """
import sys, pandas as pd
from sdmetrics.reports.single_table import QualityReport
real, made = (pd.read_csv(path, skipinitialspace=True) for path in sys.argv[1:3])
numeric = {c: pd.api.types.is_numeric_dtype(real[c]) for c in real}
about = {"columns": {c: {"sdtype": "numerical" if n else "categorical"} for c, n in numeric.items()}}
report = QualityReport()
report.generate(real, made, about, verbose=False)
print(report.get_score())
"""


def tools(folder: Path) -> Path:
    """The interpreter of the tools' own venv."""
    python = folder / "bin" / "python"
    if not python.exists():
        venv.create(folder, with_pip=True)
        limits = Path(__file__).parent.parent / "constraints" / "py311-cpu.txt"
        subprocess.run([python, "-m", "pip", "install", "-q", "-c", limits, *PACKAGES], check=True)
    return python


def marginals(train: Path, target: Path, rows: int) -> None:
    frame, rng = pd.read_csv(train, skipinitialspace=True), np.random.default_rng(0)
    pd.DataFrame({c: rng.choice(frame[c].to_numpy(), rows) for c in frame}).to_csv(target, index=False)


def figures(judgement: EvaluationReport) -> dict[str, object]:
    results = {one.metric: one for one in judgement.results}
    found: dict[str, object] = {f.question: f.outcome for f in judgement.claims}
    for name in SHOWN:
        if (one := results.get(name)) is not None and one.model is not None:
            r = one.model
            found[name] = [round(v, 4) for v in (r.value, r.low, r.high)]
            found[f"{name}_floor"] = round(one.real_baseline.value, 4) if one.real_baseline else None
    return found


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("train", type=Path)
    options.add_argument("held", type=Path)
    options.add_argument("out", type=Path)
    options.add_argument("--venv", type=Path, default=Path("others-venv"))
    options.add_argument("--epochs", type=int, default=30)
    options.add_argument("--tools", nargs="*", default=["ctgan", "copula"], help="beside TVAE")
    options.add_argument("-n", type=int, default=2000)
    args = options.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    python, rows = tools(args.venv), len(pd.read_csv(args.train))
    found = []
    for kind in ("tvae", *args.tools, "marginals"):
        target, began = args.out / f"{kind}.csv", time.monotonic()
        if target.exists():
            pass
        elif kind == "marginals":
            marginals(args.train, target, rows)
        else:
            words = (kind, args.train, target, rows, args.epochs)
            subprocess.run([python, "-W", "ignore", "-c", MAKE, *map(str, words)], check=True)
        made = time.monotonic() - began
        scored = subprocess.run(
            [python, "-W", "ignore", "-c", QUALITY, args.train, target], capture_output=True, text=True
        )
        quality = round(float(scored.stdout.split()[-1]), 4) if scored.returncode == 0 else None
        began = time.monotonic()
        found.append(
            genwright.judge(fake=target, real=args.train, holdout=args.held, label=LABEL, n=args.n)
        )
        judged = time.monotonic() - began
        say(
            benchmark="judge_others",
            tool=kind,
            epochs=args.epochs,
            seconds_making=round(made, 1),
            seconds_judging=round(judged, 1),
            sdmetrics_quality=quality,
            **figures(found[-1]),
        )
    ranked = rank(found)
    wins = {one.metric: one.outcome for one in ranked.rounds if one.metric in SHOWN}
    say(benchmark="judge_others order", outcome=ranked.outcome, rounds=wins)
    tvae, *_, plain = (judgement.title for judgement in found)
    sys.exit(1 if ranked.ranks[plain] < ranked.ranks[tvae] else 0)


if __name__ == "__main__":
    main()
