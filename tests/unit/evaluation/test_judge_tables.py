"""Metrics of tables: real rows before noisy ones before columns drawn each by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import f1_score, r2_score

from genwright.data.codec import Array
from genwright.data.table.codec import TableCodec
from genwright.data.table.field import RowField
from genwright.data.table.frames import TableFormat
from genwright.errors import DataError
from genwright.evaluation.baselines import BASELINES
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Metric, Statistic
from genwright.evaluation.metrics import usefulness
from genwright.evaluation.metrics.rules import Constraints, Validity
from genwright.evaluation.metrics.tables import ColumnPairs, ColumnShapes
from genwright.evaluation.metrics.usefulness import TrainSyntheticTestReal
from genwright.evaluation.views.table import modelled, values_of

TOWNS = np.array(["Ulm", "Bonn", "Kiel", "Trier"])
LANDS = np.array(["BW", "NRW", "SH", "RLP"])


def people(n: int, seed: int) -> pd.DataFrame:
    """Rows of text, as a CSV gives them: an id, a constant, rules, gaps, and a label that can be foretold."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    town = np.clip(np.rint(x + 1.5 + 0.4 * rng.normal(size=n)), 0, 3).astype(int)
    children = rng.poisson(np.exp(0.5 * x))
    rent, food = np.round(500 + 80 * x + 30 * rng.normal(size=n), 1), np.round(rng.gamma(4, 50, n), 1)
    start = 17_000 + rng.integers(0, 900, n)
    end = start + rng.integers(0, 60, n)
    label = x + (food > 200) + 0.4 * rng.normal(size=n) > 0.5
    income = [f"{v:.2f}" for v in np.exp(8 + 0.5 * x + 0.2 * rng.normal(size=n))]
    columns: dict[str, Sequence[str]] = {
        "id": [str(1_000_000 * seed + i + 1) for i in range(n)],
        "planet": ["Earth"] * n,
        "income": ["" if gap else v for v, gap in zip(income, rng.random(n) < 0.1, strict=True)],
        "children": [str(v) for v in children],
        "town": TOWNS[town].tolist(),
        "land": LANDS[town].tolist(),
        "rent": [f"{v:.1f}" for v in rent],
        "food": [f"{v:.1f}" for v in food],
        "costs": [f"{v:.1f}" for v in rent + food],
        "start": [str(date(1970, 1, 1) + timedelta(days=int(d))) for d in start],
        "end": [str(date(1970, 1, 1) + timedelta(days=int(d))) for d in end],
        "class": np.where(label, "good", "bad").tolist(),
    }
    return pd.DataFrame({name: pd.Series(list(values), dtype=str) for name, values in columns.items()})


def fitted(frame: pd.DataFrame, **options: Any) -> RowField:
    row = RowField(TableFormat(".csv", tuple(frame.columns)), **options)
    row.fit(frame)
    row.settle()
    return row


def sample(frame: pd.DataFrame, field: RowField, labels: Sequence[str] = ()) -> Sample:
    n = len(frame)
    row = np.zeros((n, 1))
    given = {name: list(frame[name]) for name in labels}
    views = frozenset({"features", "flat", *field.views})
    keys = tuple(map(str, range(n)))
    return Sample(row, row, row, frame, TableCodec(), field, given, keys, views=views)


def question(
    fake: pd.DataFrame,
    train: pd.DataFrame | None = None,
    test: pd.DataFrame | None = None,
    labels: Sequence[str] = ("class",),
    **options: Any,
) -> Evidence:
    train, test = TRAIN if train is None else train, HELD if test is None else test
    field = fitted(train, **options) if options or train is not TRAIN else FIELD
    sets = (sample(frame, field, labels) for frame in (train, test, fake))
    return Evidence(field.space, "none", *sets)


def by_columns(frame: pd.DataFrame, seed: int = 5) -> pd.DataFrame:
    """Every column shuffled by itself."""
    rng = np.random.default_rng(seed)
    return pd.DataFrame({name: frame[name].to_numpy()[rng.permutation(len(frame))] for name in frame})


def noisy(frame: pd.DataFrame, share: float, seed: int = 6) -> pd.DataFrame:
    """A share of all cells from other rows."""
    rng = np.random.default_rng(seed)
    other = by_columns(frame, seed)
    return frame.where(rng.random(frame.shape) >= share, other)


def number(metric: Metric, asked: Evidence) -> float:
    """Without the interval where that takes long."""
    if isinstance(metric, Statistic):
        return metric.measure(asked, np.random.default_rng(0))
    return metric.read(asked).value


def value(metric: Metric, fake: pd.DataFrame, **more: Any) -> float:
    return number(metric, question(fake, **more))


@pytest.fixture(autouse=True)
def _few_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usefulness, "TREES", 25)


TRAIN, HELD, SPARE = people(1200, 1), people(1000, 2), people(1000, 3)
FIELD = fitted(TRAIN)
ALL: list[Callable[[], Metric]] = [
    ColumnShapes,
    ColumnPairs,
    TrainSyntheticTestReal,
    Validity,
    Constraints,
]
JOINT: list[Callable[[], Metric]] = [ColumnPairs, TrainSyntheticTestReal, Constraints]


def altered(frame: pd.DataFrame, column: str, rows: int, to: str) -> pd.DataFrame:
    frame = frame.copy()
    frame.loc[frame.index[:rows], column] = to
    return frame


# -- all of them ---------------------------------------------------------------------------------


@pytest.mark.parametrize("metric", JOINT)
def test_real_before_noisy_before_columns_by_themselves(metric: Callable[[], Metric]) -> None:
    ladder = [value(metric(), noisy(SPARE, share)) for share in (0, 0.1, 0.3)]
    ladder.append(value(metric(), by_columns(SPARE)))
    assert ladder == sorted(ladder, reverse=True)
    assert ladder[0] - ladder[1] > 0.005
    assert ladder[0] - ladder[3] > 0.1


@pytest.mark.parametrize("metric", ALL)
def test_the_same_for_the_same_seed(metric: Callable[[], Metric]) -> None:
    asked = question(noisy(SPARE, 0.1).iloc[:400])
    assert metric().read(asked, 3) == metric().read(asked, 3)


@pytest.mark.parametrize("metric", [ColumnShapes, ColumnPairs, Validity, Constraints])
def test_the_order_of_rows_says_nothing(metric: Callable[[], Metric]) -> None:
    fake = noisy(SPARE, 0.2)
    turned = fake.iloc[np.random.default_rng(0).permutation(len(fake))]
    assert value(metric(), turned) == pytest.approx(value(metric(), fake), abs=1e-12)


def test_the_order_of_generated_rows_hardly_matters_to_what_is_learnt() -> None:
    fake = noisy(SPARE, 0.1)
    turned = fake.iloc[::-1]
    found = [value(TrainSyntheticTestReal(), f) for f in (fake, turned)]
    assert found[0] == pytest.approx(found[1], abs=0.05)


@pytest.mark.parametrize("metric", ALL)
def test_a_column_that_is_lacking_is_named(metric: Callable[[], Metric]) -> None:
    with pytest.raises(DataError, match="lack the column 'rent'"):
        value(metric(), SPARE.drop(columns="rent"))


@pytest.mark.parametrize("metric", ALL)
def test_an_interval_holds_its_number(metric: Callable[[], Metric]) -> None:
    measurement = metric().read(question(noisy(SPARE, 0.1)))
    assert measurement.low <= measurement.value <= measurement.high
    assert measurement.high - measurement.low < 0.2
    assert measurement.n == 1000


def test_a_table_with_nothing_to_compare_is_refused() -> None:
    bare = TRAIN[["id", "planet", "rent"]]
    asked = question(SPARE[bare.columns], bare, HELD[bare.columns], labels=())
    for metric in (ColumnPairs(), TrainSyntheticTestReal()):
        with pytest.raises(DataError, match="two columns or more"):
            metric.read(asked)
    with pytest.raises(DataError, match="no rule"):
        Constraints().read(asked)
    assert ColumnShapes().read(asked).value > 0.9


# -- what marginals hide -------------------------------------------------------------------------


def told_apart(real: pd.DataFrame, fake: pd.DataFrame) -> float:
    """The accuracy of a classifier that tells real rows from generated ones."""
    both = pd.concat([real, fake], ignore_index=True).drop(columns=["id", "planet", "start", "end"])
    codes = {
        n: pd.factorize(both[n])[0] if n in ("town", "land", "class") else pd.to_numeric(both[n])
        for n in both
    }
    x, y = pd.DataFrame(codes).to_numpy(dtype=np.float64), np.arange(len(both)) >= len(real)
    index = np.random.default_rng(0).permutation(len(y))
    half = len(y) // 2
    model = HistGradientBoostingClassifier(max_iter=40, random_state=0).fit(
        x[index[:half]], y[index[:half]]
    )
    return float(model.score(x[index[half:]], y[index[half:]]))


def test_marginals_pass_by_columns_and_are_exposed_by_pairs() -> None:
    stored = BASELINES["marginals"](FIELD.encode(TRAIN), FIELD.space, 1000, np.random.default_rng(0))
    made = FIELD.decode(stored, {})
    floor = value(ColumnShapes(), SPARE)
    assert floor > 0.96
    assert abs(value(ColumnShapes(), made) - floor) < 0.01
    assert value(ColumnPairs(), made) < value(ColumnPairs(), SPARE) - 0.06
    assert abs(value(TrainSyntheticTestReal(), made)) < 0.25
    assert value(Constraints(), made) < 0.3
    assert told_apart(HELD, made) > 0.9
    assert 0.4 < told_apart(HELD, SPARE) < 0.6


def test_a_sampler_with_worse_columns_and_real_dependences_is_better() -> None:
    """As TVAE against independent marginals on Adult: a score of columns alone ranks them wrongly."""
    rough = SPARE[(SPARE["town"] != "Trier") | (np.arange(1000) % 3 == 0)].copy()
    rng = np.random.default_rng(0)
    for name in ("rent", "food"):
        rough[name] = [f"{float(v) + 20 * rng.normal():.1f}" for v in rough[name]]
    trivial = by_columns(SPARE)
    assert value(ColumnShapes(), rough) < value(ColumnShapes(), trivial) - 0.01
    assert value(ColumnPairs(), rough) > value(ColumnPairs(), trivial)
    assert value(TrainSyntheticTestReal(), rough) > value(TrainSyntheticTestReal(), trivial) + 0.4


# -- columns and pairs ---------------------------------------------------------------------------


def two(numbers: Sequence[Any], words: Sequence[Any]) -> pd.DataFrame:
    return pd.DataFrame(
        {"a": pd.Series(list(numbers), dtype=object), "b": pd.Series(list(words), dtype=object)}
    )


def test_shapes_by_hand() -> None:
    real = two([float(i) + 0.5 for i in range(100)], ["x"] * 60 + ["y"] * 40)
    fake = two(
        [float(i) + 20.5 for i in range(100)], ["x"] * 50 + ["y"] * 20 + [None] * 20 + ["new"] * 10
    )
    asked = question(fake, real, real, labels=())
    assert ColumnShapes().measure(asked, np.random.default_rng(0)) == pytest.approx((0.8 + 0.7) / 2)
    assert ColumnShapes().measure(asked.about(asked.test), np.random.default_rng(0)) == 1


def test_what_is_missing_among_numbers_is_a_value() -> None:
    numbers = [float(i) + 0.5 for i in range(100)]
    words = ["x", "y"] * 50
    full = two(numbers, words)
    gaps = two([None if i % 4 == 0 else v for i, v in enumerate(numbers)], words)
    shape = ColumnShapes().measure(question(gaps, full, full, labels=()), np.random.default_rng(0))
    assert shape == pytest.approx(1 - 0.25 / 2)
    together = ColumnPairs().measure(question(gaps, full, full, labels=()), np.random.default_rng(0))
    assert together == pytest.approx(1 - 0.25)


def test_pairs_by_hand() -> None:
    """One number tells the word; each by itself it is the same."""
    numbers = [float(i) + 0.5 for i in range(1800)]  # enough for four shares, of 450 rows
    real = two(numbers, ["low"] * 900 + ["high"] * 900)
    fake = two(numbers, ["high"] * 900 + ["low"] * 900)
    half = two(numbers, ["low", "high"] * 900)
    for made, wanted in ((real, 1.0), (half, 0.5), (fake, 0.0)):
        asked = question(made, real, real, labels=())
        assert ColumnPairs().measure(asked, np.random.default_rng(0)) == pytest.approx(wanted)
        assert ColumnShapes().measure(asked, np.random.default_rng(0)) == pytest.approx(1)


def test_a_value_of_many_rows_is_a_cell_of_its_own() -> None:
    """Nineteen zeros of twenty: all deciles are zero, and still zero is not what is not."""
    for least in (1.0, -5.0):
        numbers = [0.0] * 190 + [least + i / 100 for i in range(10)]
        real = two(numbers, ["no"] * 190 + ["yes"] * 10)
        fake = two(numbers, ["no"] * 180 + ["yes"] * 10 + ["no"] * 10)
        asked = question(fake, real, real, labels=())
        assert ColumnPairs().measure(asked, np.random.default_rng(0)) == pytest.approx(0.9)


def test_unknown_categories_are_no_rare_ones() -> None:
    words = [f"w{i % 20}" for i in range(400)]
    numbers = [float(i % 7) + 0.5 * (i % 2) for i in range(400)]
    real, fake = two(numbers, words), two(numbers, [f"{w}x" for w in words])
    for metric in (ColumnPairs(), ColumnShapes()):
        got = metric.measure(question(fake, real, real, labels=()), np.random.default_rng(0))
        assert got == pytest.approx(0 if metric.name == "pairs" else 0.5)


def test_unknown_categories_are_not_missing() -> None:
    numbers = [float(i) + 0.5 for i in range(100)]
    real, fake = two(numbers, ["x", None] * 50), two(numbers, ["x", "new"] * 50)
    got = ColumnShapes().measure(question(fake, real, real, labels=()), np.random.default_rng(0))
    assert got == pytest.approx(0.75)


def test_some_of_many_pairs() -> None:
    all_pairs, some = value(ColumnPairs(), SPARE), value(ColumnPairs(pairs=10), SPARE)
    assert all_pairs != some
    assert all_pairs == pytest.approx(some, abs=0.1)


# -- usefulness ----------------------------------------------------------------------------------


def test_what_is_learnt_from_real_rows_is_worth_one_and_from_shuffled_labels_nothing() -> None:
    metric = TrainSyntheticTestReal()
    assert value(metric, SPARE) == pytest.approx(1, abs=0.12)
    mixed = SPARE.assign(**{"class": by_columns(SPARE)["class"]})
    assert value(metric, mixed) == pytest.approx(0, abs=0.2)
    wrong = SPARE.assign(**{"class": SPARE["class"].map({"good": "bad", "bad": "good"})})
    assert value(metric, wrong) < -0.5
    assert value(metric, SPARE.assign(**{"class": "good"})) < 0.1


def test_it_learns_from_generated_rows_and_is_tried_on_test_ones() -> None:
    """Wrong labels on the held-out rows are no fault of the generated ones."""
    swapped = {"good": "bad", "bad": "good"}
    test = HELD.assign(**{"class": HELD["class"].map(swapped)})
    with pytest.raises(DataError, match="'class'"):
        value(TrainSyntheticTestReal(), SPARE, test=test)


def test_a_number_is_foretold_too() -> None:
    metric = TrainSyntheticTestReal(target="income")
    assert value(metric, SPARE) == pytest.approx(1, abs=0.12)
    assert value(metric, by_columns(SPARE)) < 0.2


def test_scores_are_those_of_scikit_learn() -> None:
    """A weight of 2 is a row that is there twice."""
    rng = np.random.default_rng(0)
    truth, guess = rng.integers(4, size=200), rng.integers(5, size=200)
    near = truth + rng.normal(size=200)
    weights = rng.integers(1, 4, size=(3, 200)).astype(float)
    f1 = [f1_score(truth, guess, labels=[0, 1, 2, 3], average="macro", sample_weight=w) for w in weights]
    r2 = [r2_score(truth, near, sample_weight=w) for w in weights]
    assert usefulness._macro_f1(truth, guess, weights) == pytest.approx(np.array(f1))
    assert usefulness._r2(truth.astype(float), near, weights) == pytest.approx(np.array(r2))
    only = (truth == 1).astype(float)[None]
    assert np.isfinite(usefulness._macro_f1(truth, truth, only)).all(), (
        "classes that no row of a resample has"
    )


def test_zeros_and_ones_are_classes() -> None:
    def coded(frame: pd.DataFrame) -> pd.DataFrame:
        return frame.assign(**{"class": frame["class"].map({"good": "1", "bad": "0"})})

    fake = coded(noisy(SPARE, 0.1))
    numbers = TrainSyntheticTestReal().read(question(fake, coded(TRAIN), coded(HELD))).value
    assert numbers == pytest.approx(value(TrainSyntheticTestReal(), noisy(SPARE, 0.1)), abs=1e-9)


def test_without_a_label_the_best_foretold_of_the_last_classes() -> None:
    """The land is settled by the town, so it beats the class."""
    asked = question(SPARE, labels=())
    broken = SPARE.assign(land=by_columns(SPARE)["land"], town=by_columns(SPARE)["town"])
    assert TrainSyntheticTestReal().read(asked.about(question(broken).fake)).value < 0.7
    assert TrainSyntheticTestReal(target="class").read(asked.about(question(broken).fake)).value > 0.8


def test_a_target_that_cannot_be_had_is_refused() -> None:
    loose = question(*(frame.drop(columns="end") for frame in (SPARE, TRAIN, HELD)))
    for target, said in (
        ("clas", "did you mean 'class'"),
        ("id", "no column 'id'"),
        ("start", "set another"),
    ):
        with pytest.raises(DataError, match=said):
            TrainSyntheticTestReal(target=target).read(loose)
    with pytest.raises(DataError, match="needs 100 examples"):
        value(TrainSyntheticTestReal(), SPARE.iloc[:50])


# -- validity ------------------------------------------------------------------------------------


def test_real_rows_are_valid() -> None:
    assert Validity().count(question(TRAIN), np.random.default_rng(0)) == (1200, 1200)
    assert value(Validity(), SPARE) > 0.97


@pytest.mark.parametrize(
    ("column", "to"),
    [
        ("town", "Atlantis"),
        ("town", ""),
        ("class", "GOOD"),
        ("planet", "Mars"),
        ("children", "1.5"),
        ("children", "-1"),
        ("rent", "9999.0"),
        ("rent", ""),
        ("rent", "much"),
        ("food", "inf"),
        ("start", "2018-02-30"),
        ("start", "1999-01-01"),
        ("end", ""),
        ("id", ""),
    ],
)
def test_an_impossible_value_costs_its_row(column: str, to: str) -> None:
    made = question(altered(TRAIN.iloc[:1000], column, 70, to))
    assert Validity().count(made, np.random.default_rng(0)) == (930, 1000)


@pytest.mark.parametrize(
    ("column", "to"), [("income", ""), ("income", "NA"), ("id", "77"), ("children", "2.0")]
)
def test_what_is_only_odd_is_possible(column: str, to: str) -> None:
    made = question(altered(TRAIN.iloc[:1000], column, 70, to))
    assert Validity().count(made, np.random.default_rng(0)) == (1000, 1000)


def test_a_text_among_numbers_is_possible_where_it_was_met() -> None:
    numbers: list[Any] = [i / 10 for i in range(1000)]
    real, words = [*numbers[:970], *["unknown"] * 30], ["x", "y"] * 500
    asked = question(
        two([*real[:990], *["other"] * 10], words), two(real, words), two(real, words), labels=()
    )
    assert Validity().count(asked, np.random.default_rng(0)) == (990, 1000)


def test_a_range_is_widened_by_one_percent() -> None:
    real = two([i / 10 for i in range(1001)], ["x", "y"] * 500 + ["x"])
    for most, kept in ((100.9, 1001), (101.1, 1000), (-0.9, 1001), (-1.1, 1000)):
        fake = real.copy()
        fake.loc[5, "a"] = most
        asked = question(fake, real, real, labels=())
        assert Validity().count(asked, np.random.default_rng(0))[0] == kept


# -- rules ---------------------------------------------------------------------------------------


def test_real_rows_keep_the_rules() -> None:
    for frame in (TRAIN, HELD, SPARE):
        assert value(Constraints(), frame) == 1


def broken(change: Mapping[str, Any]) -> int:
    """Rows of a thousand that break a rule where the first 50 have these values."""
    frame = SPARE.copy()
    for name, to in change.items():
        frame.loc[frame.index[:50], name] = to
    kept, n = Constraints().count(question(frame), np.random.default_rng(0))
    return n - kept


def test_a_dependence_is_a_rule() -> None:
    ulm = int((SPARE["town"].iloc[:50] != "Ulm").sum())
    assert 0 < broken({"town": "Ulm"}) == ulm
    assert broken({"town": "Ulm", "land": "BW"}) == 0
    assert broken({"town": "Ulm", "land": "SH"}) == 50
    assert broken({"town": "Rome", "land": "Lazio"}) == 0, "of which no rule speaks"


def test_an_order_is_a_rule() -> None:
    assert broken({"start": "2018-02-02", "end": "2018-02-01"}) == 50
    assert broken({"start": "2018-02-01", "end": "2018-02-01"}) == 0
    assert broken({"start": "2018-02-02", "end": ""}) == 0
    assert broken({"start": ""}) == 0


def test_a_sum_is_a_rule() -> None:
    assert broken({"rent": "500.0", "food": "100.0", "costs": "600.0"}) == 0
    assert broken({"rent": "500.0", "food": "100.0", "costs": "600.1"}) == 50
    assert broken({"rent": "500.0", "food": "100.0", "costs": ""}) == 0


def test_shares_of_a_hundred_are_a_rule() -> None:
    rng = np.random.default_rng(0)
    parts = np.diff(np.sort(rng.integers(0, 101, (600, 3)), axis=1), prepend=0, append=100)
    real = pd.DataFrame(parts, columns=list("abcd")).astype(str)
    fake = real.copy()
    fake.loc[:99, "b"] = [str(int(v) + 1) for v in fake.loc[:99, "b"]]
    asked = question(fake, real, real, labels=())
    assert Constraints().count(asked, np.random.default_rng(0)) == (500, 600)


def test_what_chance_and_ranges_bring_about_is_no_rule() -> None:
    """Disjoint ranges, pairs of rows of which few could differ, codes of which few come again."""
    rng = np.random.default_rng(0)
    n, i = 400, np.arange(400)
    few = np.where(i < 80, i // 2, i)  # 80 rows in pairs
    words = rng.choice(list("abc"), n)
    real = pd.DataFrame(
        {
            "small": rng.normal(size=n).round(3).astype(str),
            "large": (100 + rng.normal(size=n)).round(3).astype(str),
            "rare": np.where(i < 2, "yes", "no"),
            "pair": rng.permutation(n)[i // 2].astype(str),
            "few": rng.permutation(n)[few].astype(str),
            "word": np.where(i < 80, words[few], words),
        }
    )
    with pytest.raises(DataError, match="no rule"):
        value(Constraints(), real, train=real, test=real, labels=())


def test_one_exception_is_no_rule() -> None:
    train = TRAIN.copy()
    train.loc[0, "land"] = next(land for land in LANDS if land != train.loc[0, "land"])
    ulm = SPARE.assign(town="Ulm", land="SH")
    kept = [
        Constraints().count(question(ulm, train=t), np.random.default_rng(0))[0] for t in (TRAIN, train)
    ]
    assert kept == [0, 1000]


def test_few_training_rows_give_no_rules() -> None:
    with pytest.raises(DataError, match="200 training rows"):
        value(Constraints(), SPARE, train=TRAIN.iloc[:150])


def test_types_that_a_person_set_are_kept() -> None:
    """Codes that look like numbers are categories where the field was told so."""
    numbers = [str(10 * (i % 30)) for i in range(600)]
    real = two(numbers, ["x", "y", "y"] * 200)
    fake = two([*numbers[:590], *["15"] * 10], ["x", "y", "y"] * 200)
    told = question(fake, real, real, labels=(), types={"a": "categorical"})
    assert Validity().count(told, np.random.default_rng(0)) == (590, 600)
    assert Validity().count(question(fake, real, real, labels=()), np.random.default_rng(0)) == (
        600,
        600,
    )


def test_a_label_outside_the_frame_is_read_too() -> None:
    asked = question(noisy(SPARE, 0.1))
    bare = TRAIN.drop(columns="class")
    field = fitted(bare)

    def without(one: Sample) -> Sample:
        return replace(one, raw=one.raw.drop(columns="class"), field=field)

    apart = replace(
        asked, train=without(asked.train), test=without(asked.test), fake=without(asked.fake)
    )
    for metric in (ColumnShapes(), ColumnPairs(), TrainSyntheticTestReal(), Validity(), Constraints()):
        assert number(metric, apart) == pytest.approx(number(metric, asked), abs=1e-9)


def far(a: Array, b: Array) -> float:
    both = np.concatenate([a, b])
    return max(abs(float((a <= v).mean() - (b <= v).mean())) for v in both)


def test_kolmogorov_is_the_largest_gap() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 50, 300) + 0.5, rng.integers(5, 60, 200) + 0.5
    words = ["x", "y"]
    real, fake = two(a.tolist(), words * 150), two(b.tolist(), words * 100)
    shape = ColumnShapes().measure(question(fake, real, real, labels=()), np.random.default_rng(0))
    assert shape == pytest.approx(1 - far(a, b) / 2)


def test_several_numbers_in_a_text_are_looked_at_one_by_one() -> None:
    """A pressure that does not rise with age any more, and one of which the second number is off."""

    def patients(n: int, seed: int, lower: int = 0) -> pd.DataFrame:
        rng = np.random.default_rng(seed)
        age = rng.integers(20, 90, n)
        high = 90 + age // 2 + rng.integers(0, 25, n)
        low = high // 2 + rng.integers(10, 30, n) - lower
        bp = [f"{h}/{x}" for h, x in zip(high, low, strict=True)]
        bp[:3] = ["", "refused", ""]
        return pd.DataFrame({"age": age.astype(str), "bp": bp})

    train, held = patients(400, 1), patients(400, 2)
    real, apart, off = patients(400, 3), by_columns(patients(400, 3)), patients(400, 3, lower=25)
    asked = question(real, train, held, labels=())
    assert [c.name for c in modelled(asked).values()] == ["age", "bp[1]", "bp[2]"]
    assert values_of(asked.fake, "bp[2]")[:3] == ["", "refused", ""]
    assert all(value.isdigit() for value in values_of(asked.fake, "bp[2]")[3:])
    shapes, pairs = (
        [number(metric, question(fake, train, held, labels=())) for fake in (real, apart, off)]
        for metric in (ColumnShapes(), ColumnPairs())
    )
    assert shapes[0] - shapes[2] > 0.1
    assert abs(shapes[0] - shapes[1]) < 0.02
    assert pairs[0] - pairs[1] > 0.05
