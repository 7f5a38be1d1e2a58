"""A table by its default and by TabularARGN in equal time, judged alike, on the same rows.

    python benchmarks/tables.py TABLE.csv --label COLUMN [--python VENV/bin/python] [--minutes 1] [--seed 0]

80 % of the rows (stratified by the label, seed 0) are learnt, as many made. `c2st` is 2 - 2 AUC of scikit-learn's
histogram boosting that tells made rows from those learnt (3 folds; 1 is perfect), `macro_f1` that of the same
classifier trained on made rows and tested on the other 20 %, beside real ones. The Python of --python has
`pip install mostlyai-engine` (Apache 2.0) and pandas; without it the default alone is measured.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, roc_auc_score
from sklearn.model_selection import StratifiedKFold, train_test_split

from _report import say
from sampling import LEARN

ARGN = f"""{LEARN}
engine.generate(workspace_dir=folder, sample_size=n)
pd.concat(map(pd.read_parquet, (folder / "SyntheticData").glob("*.parquet"))).to_csv(sys.argv[5], index=False)
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("table", type=Path)
    options.add_argument("--label", required=True)
    options.add_argument("--python", type=Path)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    rows = pd.read_csv(args.table, skipinitialspace=True)
    train, test = train_test_split(rows, test_size=0.2, random_state=0, stratify=rows[args.label])
    real = usefulness(train, train, test, args.label)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.csv"
        train.to_csv(path, index=False)
        for name, make in {"default": ours, "argn": argn}.items():
            if name == "argn" and args.python is None:
                continue
            began = time.perf_counter()
            made = make(path, len(train), args, Path(folder) / name)[train.columns]
            say(
                benchmark="tables",
                table=args.table.stem,
                by=name,
                seconds=round(time.perf_counter() - began, 1),
                c2st=round(told_apart(train, made), 4),
                macro_f1=round(usefulness(made, train, test, args.label), 4),
                macro_f1_real=round(real, 4),
            )


def ours(path: Path, n: int, args: argparse.Namespace, folder: Path) -> pd.DataFrame:
    run = folder / "run"
    program, seed = [sys.executable, "-m", "genwright"], ["--seed", str(args.seed)]
    length = ["--minutes", f"{args.minutes:g}"]
    subprocess.run([*program, "train", str(path), "--out", str(run), *length, *seed], check=True)
    out = ["--out", str(folder / "made")]
    subprocess.run([*program, "sample", str(run), "-n", str(n), *out, *seed], check=True)
    return pd.read_csv(folder / "made" / "samples.csv", skipinitialspace=True)


def argn(path: Path, n: int, args: argparse.Namespace, folder: Path) -> pd.DataFrame:
    out = folder.with_suffix(".csv")
    given = [str(path), str(n), f"{args.minutes:g}", str(folder), str(out)]
    subprocess.run([str(args.python), "-c", ARGN, *given], check=True, capture_output=True)
    return pd.read_csv(out, skipinitialspace=True)


def coded(*tables: pd.DataFrame) -> tuple[list[pd.DataFrame], list[str]]:
    """The same columns as numbers in all tables, and which of them are categories."""
    joined = pd.concat(tables, keys=range(len(tables)))
    texts = [c for c in joined if not pd.api.types.is_numeric_dtype(tables[0][c])]
    for c in joined:
        if c in texts:
            joined[c] = pd.factorize(joined[c].astype(str).str.strip())[0]
        else:
            joined[c] = pd.to_numeric(joined[c], errors="coerce")
    few = [c for c in texts if joined[c].max() < 255]
    return [joined.loc[i] for i in range(len(tables))], few


def told_apart(real: pd.DataFrame, made: pd.DataFrame) -> float:
    both, categories = coded(real, made)
    x, y = pd.concat(both), np.repeat([0, 1], [len(real), len(made)])
    found = []
    for fit, held in StratifiedKFold(3, shuffle=True, random_state=0).split(x, y):
        model = HistGradientBoostingClassifier(random_state=0, categorical_features=categories)
        model.fit(x.iloc[fit], y[fit])
        found.append(roc_auc_score(y[held], model.predict_proba(x.iloc[held])[:, 1]))
    return 2 - 2 * float(np.mean(found))


def usefulness(learnt: pd.DataFrame, real: pd.DataFrame, test: pd.DataFrame, label: str) -> float:
    """Of rows to learn from; `real` says what the columns are."""
    (_, x, held), categories = coded(*(t.drop(columns=label) for t in (real, learnt, test)))
    truth = test[label].astype(str)
    model = HistGradientBoostingClassifier(random_state=0, categorical_features=categories)
    model.fit(x, learnt[label].astype(str))
    return float(f1_score(truth, model.predict(held), average="macro"))


if __name__ == "__main__":
    main()
