"""Attacks succeed as far as real records were given away, and no farther."""

from __future__ import annotations

import inspect
from dataclasses import asdict, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from genwright.data.codec import Array
from genwright.data.columns.identifiers import Identifier
from genwright.data.table.codec import TableCodec
from genwright.data.table.field import RowField
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metrics import membership, privacy
from genwright.evaluation.metrics.membership import Membership, MembershipInference
from genwright.evaluation.metrics.privacy import (
    Attack,
    AttributeInference,
    SinglingOut,
)
from genwright.testing.examples import evidence

TABLE_ATTACKS = [AttributeInference, SinglingOut]


def people(rng: np.random.Generator, n: int) -> pd.DataFrame:
    """A table as it is read from a CSV: texts."""
    z = rng.normal(size=n)
    return pd.DataFrame(
        {
            "age": (40 + 12 * z).round().astype(int).astype(str),
            "income": [f"{v:.2f}" for v in np.exp(9 + 0.4 * z + 0.5 * rng.normal(size=n))],
            "city": rng.choice(list("abcdefgh"), n),
            "height": [f"{v:.1f}" for v in rng.normal(170, 9, n)],
            "job": rng.choice(["x", "y", "z"], n),
        }
    )


def table(train: pd.DataFrame, test: pd.DataFrame, fake: pd.DataFrame) -> Evidence:
    codec, field = TableCodec(), RowField()

    def framed(sample: Sample, frame: pd.DataFrame) -> Sample:
        views = sample.views | field.views
        return replace(sample, raw=frame, codec=codec, field=field, views=views)

    bare = evidence(*(np.zeros((len(frame), 1)) for frame in (test, fake, train)))
    return replace(
        bare,
        train=framed(bare.train, train),
        test=framed(bare.test, test),
        fake=framed(bare.fake, fake),
    )


def leaky(seed: int, share: float, n: int = 400) -> Evidence:
    """Independent tables, and a share of the generated rows are training rows."""
    rng = np.random.default_rng(seed)
    train, test, fake = people(rng, n), people(rng, n), people(rng, n)
    copied = round(share * n)
    fake = pd.concat([train.iloc[rng.permutation(n)[:copied]], fake.iloc[copied:]], ignore_index=True)
    return table(train, test, fake)


def rows(seed: int, share: float, n: int = 500, d: int = 6) -> Evidence:
    rng = np.random.default_rng(seed)
    train, test, fake = (rng.normal(size=(n, d)) for _ in range(3))
    fake[: round(share * n)] = train[: round(share * n)]
    return evidence(test, fake, train)


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


# -- attacks on tables ---------------------------------------------------------------------------


@pytest.mark.parametrize("metric", TABLE_ATTACKS)
def test_the_risk_grows_linearly_in_the_share_of_real_rows(metric: type[Any]) -> None:
    shares = [0.0, 0.25, 0.5, 0.75, 1.0]
    risks = [metric(attempts=300).attack(leaky(1, share), rng()).risk for share in shares]
    slope = np.polyfit(shares, risks, 1)[0]
    assert np.corrcoef(shares, risks)[0, 1] ** 2 >= 0.95
    assert 0.8 < slope < 1.2


@pytest.mark.parametrize("metric", TABLE_ATTACKS)
def test_the_training_table_itself_may_give_away_all(metric: type[Any]) -> None:
    found = metric(attempts=300).attack(leaky(2, 1.0), rng())
    assert found.high == 1
    assert found.low > 0.9
    assert found.main > 0.95
    assert not found.weak


@pytest.mark.parametrize("metric", TABLE_ATTACKS)
def test_independent_records_give_an_interval_that_holds_nothing(metric: type[Any]) -> None:
    found = [metric(attempts=150).read(leaky(seed, 0.0, 250), seed) for seed in range(20)]
    assert sum(not one.low <= 0 <= one.high for one in found) <= 1


def test_what_the_population_gives_away_is_no_risk() -> None:
    """Two columns that say the same are guessed for everybody, so the control takes it off."""
    rng = np.random.default_rng(3)

    def frame(n: int) -> pd.DataFrame:
        code = rng.choice(list("abcd"), n)
        return pd.DataFrame({"code": code, "name": [f"city {c}" for c in code], "x": rng.random(n)})

    asked = table(frame(300), frame(300), frame(300))
    found = AttributeInference(attempts=200).attacks(asked, rng)["name"]
    assert found.main == found.control == 1
    assert found.baseline < 0.5
    assert found.risk == 0
    assert found.low <= 0 <= found.high


def test_the_worst_column_is_reported() -> None:
    """Rows are copied but for one column, which is drawn anew."""
    rng = np.random.default_rng(4)

    def frame() -> pd.DataFrame:
        return pd.DataFrame({name: rng.normal(size=200).round(4).astype(str) for name in "abcde"})

    train, test = frame(), frame()
    fake = train.assign(c=frame()["c"])
    metric = AttributeInference(attempts=150)
    found = metric.attacks(table(train, test, fake), np.random.default_rng(0))
    assert set(found) == set("abcde")
    assert found["c"].risk < 0.2
    worst = metric.attack(table(train, test, fake), np.random.default_rng(0))
    assert worst.risk == max(one.risk for one in found.values()) > 0.4


def test_the_nearest_record_is_found_without_the_secret() -> None:
    """The nearest record in all columns would differ: the secret is far from its own."""
    train = pd.DataFrame({"a": ["0", "10", "5"] * 20, "b": ["0", "0", "10"] * 20})
    fake = pd.DataFrame({"a": ["1", "9"] * 30, "b": ["10", "0"] * 30})
    tables = privacy._coded(table(train, train, fake))
    places = privacy._nearest_but_one(np.array([[0.0, 0.0]]), tables)
    assert tables.fake[places[0, 1], 1] == 1.0  # nearest in a alone: 1, whose b is 10
    assert tables.fake[places[0, 0], 1] == 0.0  # nearest in b alone: 0


def test_one_column_counts_no_more_than_another_however_far_off_it_is() -> None:
    train = pd.DataFrame(
        {"a": ["0", "1"] * 30, "b": ["0", "1"] * 30, "c": ["x", "y"] * 30, "d": ["0"] * 60}
    )
    fake = pd.DataFrame({"a": ["", "1"], "b": ["0", "1"], "c": ["x", "y"], "d": ["1e9", "0"]})
    tables = privacy._coded(table(train, train, fake.iloc[[0, 1] * 10]))
    place = privacy._nearest_but_one(np.array([[0.0, 0.0, 0.0, 0.0]]), tables)[0, 3]
    assert (
        tables.fake[place, 1] == 0.0
    )  # off in a alone, though that is missing; the other in a, b and c


def test_the_baseline_draws_from_all_generated_records() -> None:
    rng = np.random.default_rng(13)

    def frame() -> pd.DataFrame:
        return pd.DataFrame({"x": rng.random(300), "y": rng.choice(["a", "b"], 300, p=[0.1, 0.9])})

    found = AttributeInference().attacks(table(frame(), frame(), frame()), rng)["y"]
    assert found.baseline == pytest.approx(0.82, abs=0.08)


def test_columns_are_read_as_what_they_are() -> None:
    frame = pd.DataFrame(
        {
            "number": ["1", "2.5", "", "NA", "3"],
            "comma": ["1,5", "2,5", "3,5", "", "4,5"],
            "day": ["2024-01-01", "2024-01-02", "2024-01-03", "2024-01-04", "2024-01-05"],
            "text": ["1", "b", "", "b", "c"],
        }
    )
    tables = privacy._coded(table(frame, frame, frame))
    assert tables.numeric == (True, True, True, False)
    missing = privacy.MISSING
    assert sorted(tables.train[:, 0]) == [missing, missing, 0.0, 0.75, 1.0]
    assert sorted(tables.train[:, 2]) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert len(set(tables.train[:, 3])) == 4


def test_identifiers_give_nobody_away_since_the_judge_itself_counts_them_up() -> None:
    rng = np.random.default_rng(11)
    parts = [people(rng, 200) for _ in range(3)]
    for number, part in enumerate(
        parts
    ):  # as stored rows are decoded: held-out and generated ones alike
        part.insert(0, "id", [f"P{(1000 if number else 0) + i}" for i in range(200)])
    asked = table(*parts)
    field = RowField()
    field.fit(parts[0])
    field.settle()
    assert isinstance(field.columns["id"], Identifier)
    known = replace(
        asked, **{name: replace(getattr(asked, name), field=field) for name in ("train", "test", "fake")}
    )
    assert "id" not in privacy._coded(known).names
    for attack in (SinglingOut(attempts=100), AttributeInference()):
        assert max(abs(one.control - one.main) for one in attack.attacks(known, rng).values()) < 0.25


def test_labels_that_left_the_frame_are_columns_too() -> None:
    asked = leaky(5, 0.0, 100)
    income = asked.train.raw["income"].tolist()
    train = replace(asked.train, raw=asked.train.raw.drop(columns="income"), given={"income": income})
    tables = privacy._coded(replace(asked, train=train))
    assert set(tables.names) == {"age", "income", "city", "height", "job"}


def test_predicates_fit_exactly_one_generated_record_and_never_what_is_missing() -> None:
    tables = privacy._coded(leaky(6, 0.5, 200))
    predicates = privacy._univariate(tables, 100, rng()) + privacy._multivariate(tables, 100, 3, rng())
    assert len(predicates) > 100
    for predicate in predicates:
        fitting = np.ones(len(tables.fake), dtype=bool)
        for clause in predicate:
            values = tables.fake[:, clause.column]
            compare = {"==": np.equal, "<=": np.less_equal, ">=": np.greater_equal}[clause.sign]
            fitting &= compare(values, clause.value)
        assert fitting.sum() == 1
    below = (privacy._Clause(0, "<=", 0.5),)
    assert privacy._fits(below, np.array([[privacy.MISSING], [0.2], [0.9]])) == 1


def test_singling_out_has_no_advantage_from_a_larger_training_set() -> None:
    rng = np.random.default_rng(7)
    asked = table(people(rng, 1500), people(rng, 200), people(rng, 300))
    for found in SinglingOut(attempts=200).attacks(asked, rng).values():
        assert found.low <= 0 <= found.high


def test_a_record_that_is_there_twice_is_not_singled_out() -> None:
    asked = leaky(11, 1.0, 200)
    twice = pd.concat([asked.train.raw, asked.train.raw], ignore_index=True)
    test = people(np.random.default_rng(12), 400)
    assert SinglingOut(attempts=100).attack(table(twice, test, asked.fake.raw), rng()).main == 0


def test_an_attack_that_is_no_better_than_a_guess_is_called_weak() -> None:
    assert Attack.of((10, 5, 10), 100, "x").weak
    assert not Attack.of((11, 5, 10), 100, "x").weak
    asked = leaky(8, 0.0, 100)
    useless = pd.DataFrame({name: ["q"] * 100 for name in asked.train.raw.columns})
    assert AttributeInference().attack(table(asked.train.raw, asked.test.raw, useless), rng()).weak


def test_risk_is_that_of_giomi_and_its_interval_propagates_both_sides() -> None:
    found = Attack.of((60, 20, 10), 100, "x")
    assert found.risk == pytest.approx((0.6 - 0.2) / (1 - 0.2))
    # 1 - risk is a ratio of two failure rates: simulate it.
    draws = np.random.default_rng(0).binomial(100, [[0.6], [0.2]], size=(2, 200_000)) / 100
    low, high = np.quantile((draws[0] - draws[1]) / (1 - draws[1]), [0.025, 0.975])
    assert found.low == pytest.approx(low, abs=0.03)
    assert found.high == pytest.approx(high, abs=0.03)
    wider = Attack.of((60, 20, 10), 100, "x", looks=10)
    assert wider.low < found.low < found.high < wider.high


def test_a_control_that_always_succeeds_leaves_a_finite_risk() -> None:
    found = Attack.of((50, 50, 5), 50, "x")
    assert found.risk == 0
    assert found.low <= 0 <= found.high <= 1


@pytest.mark.parametrize("metric", TABLE_ATTACKS)
def test_the_order_of_rows_does_not_matter_and_one_seed_gives_one_reading(metric: type[Any]) -> None:
    asked = leaky(9, 0.3, 150)
    order = np.random.default_rng(1).permutation(150)
    mixed = replace(
        asked, train=asked.train.take(order), test=asked.test.take(order), fake=asked.fake.take(order)
    )
    first = metric(attempts=80).read(asked, seed=4)
    assert first == metric(attempts=80).read(asked, seed=4) == metric(attempts=80).read(mixed, seed=4)


def test_tables_that_cannot_be_attacked_are_refused() -> None:
    same = pd.DataFrame({"a": ["1"] * 60, "b": ["x"] * 60})
    with pytest.raises(DataError, match="no column"):
        AttributeInference().read(table(same, same, same))
    with pytest.raises(DataError, match="fewer than 20"):
        SinglingOut().read(table(same, same, same))
    with pytest.raises(DataError, match="at least 2 columns"):
        AttributeInference().read(table(same, same, same[["a"]]))


# -- membership ----------------------------------------------------------------------------------


@pytest.mark.parametrize("score", ["distance", "ratio"])
def test_guessing_is_one_in_a_hundred_and_the_interval_says_so(score: Any) -> None:
    metric = MembershipInference(score=score)
    found = [metric.read(rows(seed, 0.0, 400), seed) for seed in range(20)]
    assert sum(not one.low <= 0.01 <= one.high for one in found) <= 1
    assert np.mean([one.value for one in found]) == pytest.approx(0.01, abs=0.005)


@pytest.mark.parametrize("score", ["distance", "ratio"])
@pytest.mark.parametrize("share", [0.1, 1.0])
def test_members_that_were_copied_are_found(score: Any, share: float) -> None:
    found = MembershipInference(score=score).attack(rows(1, share), rng())
    assert found.tpr == pytest.approx(share, abs=0.02)
    assert found.low <= share <= found.high
    assert found.auc == pytest.approx(0.5 + share / 2, abs=0.06)


def test_the_tail_shows_what_the_area_hides() -> None:
    """Few are wholly exposed: the area stays near a half."""
    found = MembershipInference().attack(rows(2, 0.05), rng())
    assert found.low > 0.01
    assert found.auc < 0.56


def test_test_out_repeats_of_training_rows_do_not_make_the_copycat_look_harmless() -> None:
    asked = rows(3, 1.0)
    test = asked.test.features.copy()
    test[:25] = asked.train.features[:25]
    found = MembershipInference().attack(
        evidence(test, asked.fake.features, asked.train.features), rng()
    )
    assert found.tpr == pytest.approx(0.01 / 0.05, abs=0.05)
    assert found.auc > 0.95


def test_the_threshold_is_set_by_test_out_examples_alone() -> None:
    others = np.arange(999.0)  # the 9th highest of 999 is passed by 1 % of all others on average
    assert membership._tpr(np.array([989.5, 988.5, 988.0, 0.0]), others, 0.01) == pytest.approx(0.25)
    assert membership._tpr(np.zeros(10), np.zeros(999), 0.01) == pytest.approx(9 / 999)


def test_a_reading_of_membership_is_never_the_area_alone() -> None:
    asked = rows(4, 0.2)
    found = MembershipInference().attack(asked, rng())
    measurement = MembershipInference().read(asked)
    assert (measurement.value, measurement.low, measurement.high) == (found.tpr, found.low, found.high)
    assert isinstance(found, Membership)
    assert found.fpr_low < found.fpr < found.fpr_high


def test_the_ratio_does_not_take_ordinary_people_for_members() -> None:
    """Members of a dense and a thin region, all copied with the same relative noise."""
    rng = np.random.default_rng(5)

    def population(n: int) -> Array:
        scale = np.where(rng.random(n) < 0.5, 0.05, 5.0)[:, None]
        return rng.normal(size=(n, 4)) * scale

    train, test = population(600), population(600)
    noise = 0.1 * np.linalg.norm(train, axis=1, keepdims=True) * rng.normal(size=train.shape)
    asked = evidence(test, train + noise, train)
    plain, ratio = (MembershipInference(score=s).attack(asked, rng) for s in ("distance", "ratio"))
    assert ratio.tpr > plain.tpr


def test_of_many_members_some_are_looked_for_and_the_interval_is_of_so_many(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = rows(4, 0.2)
    every = MembershipInference().attack(asked, rng())
    monkeypatch.setattr(membership, "MEMBERS", 150)
    some = MembershipInference().attack(asked, rng())
    assert (every.members, some.members) == (len(asked.train), 150)
    assert some.low <= every.tpr <= some.high
    assert some.high - some.low > every.high - every.low


def test_too_few_for_one_in_a_hundred_are_refused() -> None:
    with pytest.raises(DataError, match="needs 100"):
        MembershipInference().read(rows(6, 0.0, 90))


# -- words ---------------------------------------------------------------------------------------


def test_no_output_promises_what_no_attack_can_show() -> None:
    asked = leaky(10, 0.1, 100)
    said = [metric.how for metric in (MembershipInference, *TABLE_ATTACKS)]
    said += [str(asdict(metric().attack(asked, rng()))) for metric in TABLE_ATTACKS]
    said.append(MembershipInference().attack(rows(7, 0.1, 200), rng()).threat)
    for word in ("anonymous", "private"):
        assert not any(word in text.lower() for text in said)
        assert word not in inspect.getsource(privacy).lower()
