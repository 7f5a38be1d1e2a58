"""What an attacker learns about the people in the training data from the generated examples alone.

Every attack is also made on held-out examples, which the maker did not see: what works there as well is
knowledge of the population, not of a person. An attack that fails proves nothing but its own weakness.
"""

from __future__ import annotations

import functools
import math
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Literal

import numpy as np

from genwright.data.codec import Array
from genwright.data.columns.dates import fit_dates
from genwright.data.columns.formats import is_missing
from genwright.data.columns.identifiers import Identifier
from genwright.data.columns.numbers import parse_number
from genwright.data.table.field import RowField
from genwright.data.table.frames import raw
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Measurement, Metric, wilson
from genwright.evaluation.views.table import each
from genwright.options import Count

__all__ = ["Attack", "AttributeInference", "SinglingOut"]

TOLERANCE = 0.05
"""In standard deviations of its column: how near the guess of a number must be to be right."""
MISSING = -9.0
"""What is missing among numbers that are scaled to [0, 1]."""
FEWEST = 20
"""Predicates that an attack is judged by, at least."""
ATTEMPTS = 20
"""Predicates tried for one that is wanted."""


# -- attacks on tables ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Attack:
    """One attack on a table, after Giomi et al. (2023, arXiv:2211.10459; statice/anonymeter).

    main       share of successes on training records
    control    on held-out records: what the population gives away
    baseline   on training records, without the generated ones: what a guess achieves
    risk       (main - control) / (1 - control), with its interval from low to high
    n          attempts, of each
    threat     what was attacked, and how
    weak       no better than guessing: nothing follows from a low risk
    """

    main: float
    control: float
    baseline: float
    risk: float
    low: float
    high: float
    n: int
    threat: str
    weak: bool

    @classmethod
    def of(cls, hits: tuple[int, int, int], n: int, threat: str, looks: int = 1) -> Attack:
        """From the successes of main, control and baseline in `n` attempts.

        The intervals of Wilson for main and control are propagated each side for itself (as Newcombe does
        for a difference). `looks` attacks, of which the worst is shown, share the 5 % (Bonferroni).
        """
        z = NormalDist().inv_cdf(1 - 0.025 / looks)
        main, control, baseline = (hit / n for hit in hits)
        (main_low, main_high), (control_low, control_high) = (wilson(hit, n, z) for hit in hits[:2])
        room = max(1 - control, 1 / n)
        slope = (1 - main) / room  # of the risk in the control, times `room`
        risk = (main - control) / room
        low = risk - math.hypot(main - main_low, slope * (control_high - control)) / room
        high = risk + math.hypot(main_high - main, slope * (control - control_low)) / room
        return cls(
            main, control, baseline, risk, max(-1.0, low), min(1.0, high), n, threat, main <= baseline
        )


class _TableAttack(Metric):
    """Several attacks of one kind; the worst of them is the reading."""

    group = "novelty"
    better = "lower"
    ideal = 0.0
    reads = "row"

    def least(self, evidence: Evidence) -> int:
        return 50

    @abstractmethod
    def attacks(self, evidence: Evidence, rng: np.random.Generator) -> dict[str, Attack]:
        """All of them, by what was attacked."""

    def attack(self, evidence: Evidence, rng: np.random.Generator) -> Attack:
        """The worst; a weak one only where all are."""
        return max(self.attacks(evidence, rng).values(), key=lambda one: (not one.weak, one.risk))

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        worst = self.attack(evidence, rng)
        return Measurement(worst.risk, worst.low, worst.high, worst.n)


class AttributeInference(_TableAttack):
    """An attacker who knows all columns of a record but one guesses that one.

    The guess is the value of the generated record that is nearest in the other columns (Gower's distance);
    a number is right within 0.05 standard deviations. Each column that varies is the secret in turn, and
    the worst is reported.

    attempts    records attacked, of each set
    """

    name = "attribute_inference"
    sees = ("all_copied",)
    how = (
        "How much better a column is guessed for training than for unseen records, worst column: 0 where "
        "the generated records tell nothing of single people beyond what they tell of all."
    )

    def __init__(self, *, attempts: Count = 500) -> None:
        self.attempts = attempts

    def attacks(self, evidence: Evidence, rng: np.random.Generator) -> dict[str, Attack]:
        tables = _coded(evidence)
        n = min(self.attempts, len(tables.train), len(tables.test))
        targets = [rows[rng.permutation(len(rows))[:n]] for rows in (tables.train, tables.test)]
        places = [_nearest_but_one(rows, tables) for rows in targets]
        drawn = rng.integers(len(tables.fake), size=n)
        secrets = [c for c in range(len(tables.names)) if np.ptp(tables.train[:, c]) > 0]
        if not secrets:
            raise DataError(f"{self.name}: no column of the training records varies", code="no-variety")
        found = {}
        for c in secrets:
            guesses = [tables.fake[place[:, c], c] for place in places] + [tables.fake[drawn, c]]
            truths = [rows[:, c] for rows in (*targets, targets[0])]
            main, control, baseline = (
                int((np.abs(guess - truth) <= tables.slack[c]).sum())
                for guess, truth in zip(guesses, truths, strict=True)
            )
            threat = f"{tables.names[c]!r} guessed from the other {len(tables.names) - 1} columns"
            found[tables.names[c]] = Attack.of((main, control, baseline), n, threat, len(secrets))
        return found


class SinglingOut(_TableAttack):
    """An attacker describes one person: a predicate that fits exactly one record of the real data.

    Predicates are read off the generated records, and fit exactly one of them. One column: a value that
    only one of them has, or the extreme of a number. Several columns: of one generated record, for a
    number on which side of the median it lies and at least how far, otherwise its value. They are tried
    on equally many training and held-out records; the baseline has the same columns and random values.

    attempts    predicates of each kind
    columns     of a predicate on several
    """

    name = "singling_out"
    sees = ("all_copied",)
    how = (
        "How much more often a description read off the generated records fits exactly one training record "
        "than exactly one unseen record: 0 where it does so by chance alone."
    )

    def __init__(self, *, attempts: Count = 500, columns: Count = 4) -> None:
        self.attempts, self.columns = attempts, columns

    def attacks(self, evidence: Evidence, rng: np.random.Generator) -> dict[str, Attack]:
        tables = _coded(evidence)
        size = min(len(tables.train), len(tables.test))
        train, test = (rows[rng.permutation(len(rows))[:size]] for rows in (tables.train, tables.test))
        width = min(self.columns, len(tables.names))
        found = {
            "one column": _univariate(tables, self.attempts, rng),
            f"{width} columns": _multivariate(tables, self.attempts, width, rng),
        }
        found = {name: guesses for name, guesses in found.items() if len(guesses) >= FEWEST}
        if not found:
            raise DataError(
                f"{self.name}: fewer than {FEWEST} descriptions fit exactly one generated record; its "
                f"records repeat themselves, or it has too few columns",
                code="no-predicates",
            )
        attacks = {}
        for name, guesses in found.items():
            random = [_random(guess, tables, rng) for guess in guesses]
            tried = ((guesses, train), (guesses, test), (random, train))
            main, control, baseline = (
                sum(_fits(guess, rows) == 1 for guess in tried_guesses) for tried_guesses, rows in tried
            )
            threat = f"a training record singled out by {name}"
            attacks[name] = Attack.of((main, control, baseline), len(guesses), threat, len(found))
        return attacks


# -- predicates ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Clause:
    """`column` is equal to, at most, or at least `value`."""

    column: int
    sign: Literal["==", "<=", ">="]
    value: float


_Predicate = tuple[_Clause, ...]


def _fits(predicate: _Predicate, rows: Array) -> int:
    """How many rows it is true of."""
    true = np.ones(len(rows), dtype=bool)
    for clause in predicate:
        values = rows[:, clause.column]
        if clause.sign == "==":
            true &= values == clause.value
        elif clause.sign == ">=":
            true &= values >= clause.value
        else:
            true &= (values <= clause.value) & (values != MISSING)
    return int(true.sum())


def _univariate(tables: _Tables, most: int, rng: np.random.Generator) -> list[_Predicate]:
    clauses: list[_Clause] = []
    for column, numeric in enumerate(tables.numeric):
        values, counts = np.unique(tables.fake[:, column], return_counts=True)
        clauses += [_Clause(column, "==", float(value)) for value in values[counts == 1]]
        present = values[values != MISSING]
        if numeric and len(present):
            clauses.append(_Clause(column, "<=", float(present[0])))
            clauses.append(_Clause(column, ">=", float(present[-1])))
    single: list[_Predicate] = [(clauses[i],) for i in rng.permutation(len(clauses))[: most * 2]]
    return [one for one in single if _fits(one, tables.fake) == 1][:most]


def _multivariate(tables: _Tables, most: int, width: int, rng: np.random.Generator) -> list[_Predicate]:
    middle = [
        float(np.median(column[column != MISSING])) if (column != MISSING).any() else 0.0
        for column in tables.fake.T
    ]
    found: dict[_Predicate, None] = {}
    for _ in range(most * ATTEMPTS):
        row = tables.fake[rng.integers(len(tables.fake))]
        predicate = tuple(
            _Clause(c, _sign(tables.numeric[c], row[c], middle[c]), float(row[c]))
            for c in sorted(rng.choice(len(row), size=width, replace=False).tolist())
        )
        if predicate not in found and _fits(predicate, tables.fake) == 1:
            found[predicate] = None
        if len(found) == most:
            break
    return list(found)


def _sign(numeric: bool, value: float, middle: float) -> Literal["==", "<=", ">="]:
    if not numeric or value == MISSING:
        return "=="
    return ">=" if value > middle else "<="


def _random(predicate: _Predicate, tables: _Tables, rng: np.random.Generator) -> _Predicate:
    """One of the same columns and signs that knows no more than the range of each column."""
    clauses = []
    for clause in predicate:
        values = tables.fake[:, clause.column]
        if tables.numeric[clause.column]:
            present = values[values != MISSING]
            value = float(rng.uniform(present.min(), present.max())) if len(present) else MISSING
        else:
            value = float(rng.choice(np.unique(values)))
        clauses.append(_Clause(clause.column, clause.sign, value))
    return tuple(clauses)


# -- tables as numbers ---------------------------------------------------------------------------


@dataclass(frozen=True)
class _Tables:
    """The three tables in columns of float64, rows sorted by content, so that their order says nothing.

    A number or a moment is scaled so that the training records span [0, 1]; anything else is a code.

    names     of the columns
    numeric   whether a column holds numbers
    slack     by which a guess may be off
    """

    names: tuple[str, ...]
    numeric: tuple[bool, ...]
    slack: tuple[float, ...]
    train: Array
    test: Array
    fake: Array


def _coded(evidence: Evidence) -> _Tables:
    """The columns that all three tables have."""
    tables = [_columns(sample) for sample in (evidence.train, evidence.test, evidence.fake)]
    names = tuple(name for name in tables[0] if all(name in table for table in tables))
    if len(names) < 2:
        raise DataError(
            f"attacks on tables need at least 2 columns that the real and the generated records share, "
            f"there are {len(names)}",
            code="too-few-columns",
        )
    coded = [_code([table[name] for table in tables]) for name in names]
    numeric = tuple(is_number for _, is_number in coded)
    train, test, fake = (
        np.stack(columns, axis=1) for columns in zip(*(c for c, _ in coded), strict=True)
    )
    slack = tuple(
        TOLERANCE * float(column[column != MISSING].std()) if is_number else 0.0
        for column, is_number in zip(train.T, numeric, strict=True)
    )
    # Read column by column, thousands of times.
    train, test, fake = (np.asfortranarray(rows[np.lexsort(rows.T)]) for rows in (train, test, fake))
    return _Tables(names, numeric, slack, train, test, fake)


def _columns(sample: Sample) -> dict[str, list[Any]]:
    """Raw values by column, those of the labels too. Not of identifiers: of stored examples they are fresh ones, and
    count up from the same number whoever made the rest."""
    known = sample.field.columns if isinstance(sample.field, RowField) else {}
    names = [name for name in sample.view("row").columns if not isinstance(known.get(name), Identifier)]
    frame = {str(name): raw(sample.view("row")[name]) for name in names}
    return {**frame, **{name: list(v) for name, v in sample.given.items() if name not in frame}}


def _code(parts: Sequence[Sequence[Any]]) -> tuple[list[Array], bool]:
    """One column of the three tables, the training records first, as floats; and whether it is numeric."""
    distinct = dict.fromkeys(value for part in parts for value in part)
    present = [value for value in distinct if not is_missing(value)]
    known = _numbers(present)
    if known is None:
        texts = dict.fromkeys(distinct, "") | {value: str(value).strip() for value in present}
        codes = {text: i for i, text in enumerate(sorted(set(texts.values())))}
        return [each(part, lambda value: codes[texts[value]]) for part in parts], False
    columns = [each(part, lambda value: known.get(value, np.nan)) for part in parts]
    finite = columns[0][np.isfinite(columns[0])]
    low, span = (float(finite.min()), float(np.ptp(finite))) if len(finite) else (0.0, 0.0)
    scaled = [(column - low) / (span or 1.0) for column in columns]
    return [np.where(np.isfinite(column), column, MISSING) for column in scaled], True


def _numbers(present: Sequence[Any]) -> dict[Any, float] | None:
    """The number or moment that each distinct value means, if all of them mean one."""
    for comma in (False, True):
        known = {v: found for v in present if (found := parse_number(v, comma)) is not None}
        if known and len(known) == len(present):
            return known
    dates = fit_dates(dict.fromkeys(present, 1)) if present else None
    return {value: dates.format.read(value) for value in present} if dates else None


def _nearest_but_one(targets: Array, tables: _Tables) -> Array:
    """`(n, columns)`: the generated record nearest to each target in all columns but the one."""
    places = np.empty(targets.shape, dtype=np.int64)
    step = max(1, 2**18 // len(tables.fake))
    for start in range(0, len(targets), step):
        block = targets[start : start + step]
        gap = [_apart(block, tables, c) for c in range(len(tables.names))]
        whole: Array = functools.reduce(np.add, gap)
        for c, one in enumerate(gap):
            places[start : start + step, c] = (whole - one).argmin(axis=1)
    return places


def _apart(block: Array, tables: _Tables, column: int) -> Array:
    """Gower's (1971) distance in one column, from 0 to 1, of each target and each generated record."""
    gaps = np.abs(block[:, column, None] - tables.fake[None, :, column])
    return np.minimum(gaps, 1.0) if tables.numeric[column] else (gaps > 0).astype(np.float64)
