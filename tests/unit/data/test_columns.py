"""One column there and back, for every kind; and what a column says and refuses."""

import json
import re
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.data.columns.check_digits import CHECK_DIGITS
from genwright.data.columns.field import ColumnField
from genwright.data.columns.infer import Column, fit_column, restore_column
from genwright.data.columns.month_names import MONTH_NAMES
from genwright.data.columns.scaling import NormalScores
from genwright.errors import DataError, RecipeError, RunError
from genwright.space import Real, Symbol


def rng():
    return np.random.default_rng(0)


def back(column: Column, values):
    """Encoded and decoded, by way of a column restored from JSON; and the channels are as declared."""
    again = restore_column(json.loads(json.dumps(column.state())))
    x, y = column.encode(values), again.encode(values)
    assert x.dtype == np.float32
    assert x.shape == (len(values), sum(span.stored for span in column.spans))
    assert x.tobytes() == y.tobytes()
    channels = iter(x.T)
    for span in column.spans:
        channel = next(channels)
        if isinstance(span, Symbol):
            assert set(channel.tolist()) <= set(range(span.k))
    decoded = column.decode(x, rng())
    assert decoded == again.decode(y, rng())
    return decoded


# -- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        [str(v) for v in range(100, 160)] * 2,
        [f"{v}.0" for v in range(100, 160)] * 2,  # a whole number that pandas once made a float
        [f"{v / 4:.2f}" for v in range(-60, 60)],
        [repr(v / 4) for v in range(-60, 60)],  # 1.0, 1.25, 1.5: decimals as they come
        [f"{v / 4:g}" for v in range(-60, 60)],  # 1, 1.25, 1.5
        [f"{v},5" for v in range(60)],  # a decimal comma
        ["1e-05", "2.5e-07", *(f"{v}.5" for v in range(60))],
        [repr(v / 7) for v in range(1, 60)] + ["0.1", "2.0"],
        [v * 3 for v in range(-30, 30)] * 2,
        [v / 8 for v in range(-30, 30)] * 2,
        [float(v * v) for v in range(60)] * 2,
        list(np.arange(5, 65) ** 2) * 2,
    ],
    ids=lambda values: str(values[0]) + type(values[0]).__name__,
)
def test_numbers_come_back_as_they_were_written(values):
    column = fit_column("x", values)
    assert column.kind in ("integer", "continuous")
    assert Real(1) in column.spans
    decoded = back(column, values)
    assert decoded == values
    assert {type(v) for v in decoded} <= {str, int, float}


def test_kind_follows_the_values_and_not_their_spelling():
    assert fit_column("x", [f"{v}.0" for v in range(50)]).kind == "integer"
    assert fit_column("x", [v + 0.5 for v in range(50)]).kind == "continuous"


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(
        st.one_of(
            st.none(),
            st.integers(-(10**6), 10**6).map(float),
            st.floats(-1e300, 1e300, allow_subnormal=False),
        ),
        min_size=1,
        max_size=60,
    )
)
def test_any_numbers_come_back(values):
    """Up to a thousand distinct numbers are all knots: what comes back is the very number."""
    column = fit_column("x", values)
    for was, is_ in zip(values, back(column, values), strict=True):
        assert (is_ is None) == (was is None)
        assert was is None or is_ == pytest.approx(was, rel=1e-12)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.integers(0, 6), st.lists(st.integers(-(10**6), 10**6), min_size=1, max_size=60))
def test_any_decimals_come_back_to_the_letter(places, integers):
    values = [f"{k / 10**places:.{places}f}" for k in integers]
    assert back(fit_column("x", values, kind="continuous"), values) == values


def test_scores_are_standard_and_tame_a_heavy_tail():
    numbers = np.exp(np.random.default_rng(1).normal(size=5000) * 4)
    values = [f"{v:.4f}" for v in numbers]
    column = fit_column("x", values)
    z = column.encode(values)[:, 0]
    assert abs(z.mean()) < 1e-3
    assert abs(z.std() - 1) < 1e-3
    assert np.abs(z).max() < 5
    order = np.argsort(numbers)
    assert (np.diff(z[order]) >= 0).all()
    # 5,000 distinct numbers share 1,000 knots: between two of them the way is straight both ways.
    decoded = np.array([float(v) for v in column.decode(z[:, None], rng())])
    assert np.allclose(decoded, numbers, rtol=1e-2, atol=1e-4)
    assert len(column.state()["scores"]["numbers"]) <= 1000
    assert np.allclose(decoded[order[-5:]], numbers[order[-5:]], rtol=1e-6)  # the tail has its knots


def test_nothing_leaves_the_training_range():
    column = fit_column("x", list(range(100)), kind="integer")
    extreme = np.array([[-50.0], [50.0], [np.nan], [np.inf]])
    assert column.decode(extreme, rng())[:2] == [0, 99]
    assert all(0 <= v <= 99 for v in column.decode(extreme, rng()))
    assert back(column, [-5, 1000, 7]) == [0, 99, 7]


def test_scores_survive_the_largest_numbers():
    numbers = np.array([-1.7e308, -1.0, 0.0, 1.0, 1.7e308])
    scores = NormalScores.fit(numbers, np.ones(5, dtype=np.int64))
    z = scores.score(numbers)
    assert np.isfinite(z).all()
    assert scores.number(z.astype(np.float32)).tolist() == numbers.tolist()


def test_a_score_is_the_middle_of_its_ties():
    scores = NormalScores.fit(np.array([1.0, 2.0, 3.0]), np.array([1, 5, 1]))
    assert scores.score(2.0) == pytest.approx(0)


def test_there_is_no_minus_zero():
    column = fit_column("x", [str(k) for k in range(-60, 60, 2)], kind="integer")
    z = (column.encode(["-2"]) * 0.2 + column.encode(["0"]) * 0.8).astype(np.float32)
    assert column.decode(z, rng()) == ["0"]


def test_zero_inflation_is_a_symbol_beside_the_number():
    values = ["0"] * 900 + [str(v) for v in range(1000, 1100)]
    column = fit_column("gain", values)
    assert column.spans == (Symbol(2), Real(1))
    x = column.encode(values)
    assert (x[:900] == [1, 0]).all()
    assert (x[900:, 0] == 0).all()
    assert abs(x[900:, 1].std() - 1) < 0.01
    assert back(column, values) == values
    assert column.facts()["top"] == [["0", 0.9]]
    assert column.facts()["median"] == "0"


def test_few_integers_are_symbols_and_stay_integers():
    values = [v % 16 + 1 for v in range(400)] + [18]  # the last is no point mass, and yet a symbol
    column = fit_column("education", values)
    assert column.kind == "integer"
    assert column.spans == (Symbol(17),)
    assert back(column, values) == values
    assert column.encode([1])[0, 0] == 0
    assert back(column, [99, -4]) == [18, 1]  # unseen: the nearest


def test_few_rows_are_not_few_values():
    assert fit_column("x", [5, 3, 8, 1]).spans == (Real(1),)


@pytest.mark.parametrize("gap", ["", "NA", "?", None, float("nan")])
def test_missing_is_generated_in_its_own_spelling(gap):
    numbers = [gap if v % 4 == 0 else str(v) if isinstance(gap, str) else v for v in range(200)]
    column = fit_column("x", numbers)
    assert column.spans == (Symbol(2), Real(1))
    wanted = [v if v == v else None for v in numbers]
    assert back(column, numbers) == wanted
    assert column.facts()["missing"] == 0.25


@pytest.mark.parametrize(
    "present", [["a", "b"], [str(k * k) for k in range(50)], [f"n {'x' * k}" for k in range(50)]]
)
def test_ways_to_write_a_missing_value_are_kept_apart(present):
    column = fit_column("x", [*present, "NA", "NA", "", "NA", ""])
    assert back(column, ["", "NA", "n/a"]) == ["", "NA", "NA"]
    assert column.spans[0] == Symbol(4 if len(present) == 2 else 3)


def test_nan_and_nothing_become_one_and_that_is_said():
    values = [float("nan"), None, *(k / 7 for k in range(50))]
    column = fit_column("x", values)
    assert back(column, values)[:2] == [None, None]
    assert "is NaN in 1 of its rows and empty in others" in column.warnings()[0]
    assert fit_column("x", values[1:]).warnings() == []
    assert fit_column("x", [values[0], *values[2:]]).warnings() == []


def test_missing_that_training_never_saw_is_no_crash():
    assert back(fit_column("x", ["a", "a", "b"] * 9), [""]) == ["a"]
    assert back(fit_column("x", [k * k for k in range(101)]), [None]) == [2500]
    assert back(fit_column("x", [1, 2, 2] * 9), [None, "x"]) == [2, 2]


def test_infinite_is_a_value_of_its_own_and_said():
    values = [float(v) for v in range(50)] + [float("inf"), float("-inf"), 3.0]
    column = fit_column("x", values)
    assert column.spans == (Symbol(3), Real(1))
    assert back(column, values) == values
    assert "2 infinite values" in column.warnings()[0]
    json.dumps(column.state(), allow_nan=False)
    text = fit_column("x", [str(v * v) for v in range(50)] + ["inf"])
    assert back(text, ["inf", "9"]) == ["inf", "9"]


def test_a_few_texts_among_numbers_are_symbols():
    values = [str(v) for v in range(500)] + ["unknown"] * 3
    column = fit_column("age", values)
    assert column.kind == "integer"
    assert back(column, values) == values
    assert "'unknown'" in column.warnings()[0]
    assert "3 rows" in column.warnings()[0]


@pytest.mark.parametrize("values", [["02139", "10001", "90210"] * 5, ["9007199254740993", "1", "2"] * 5])
def test_codes_that_a_number_would_spoil_are_categories(values):
    column = fit_column("zip", values)
    assert column.kind == "categorical"
    assert back(column, values) == values


# -- dates ---------------------------------------------------------------------------------------

MOMENTS = [datetime(2019, 12, 30, 22, 5, 7) + timedelta(days=k, seconds=977 * k) for k in range(70)]


FORMS = ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%Y-%m-%dT%H:%M:%S+02:00"]
FORMS += ["%Y-%m-%d %H:%M", "%d.%m.%Y", "%m/%d/%Y", "%d/%m/%Y %H:%M", "%d-%b-%Y", "%b %d, %Y"]
FORMS += ["%m/%d/%y", "%d.%m.%Y %I:%M %p", "%d.%m.%Y %H:%M:%SZ"]


@pytest.mark.parametrize("form", FORMS)
def test_dates_keep_their_form(form):
    values = [moment.strftime(form) for moment in MOMENTS]
    column = fit_column("when", values)
    assert column.kind == "datetime"
    assert column.spans == (Real(1),)
    assert back(column, values) == values
    assert column.warnings() == []
    between = (column.encode(values[:1]) + column.encode(values[1:2])) / 2
    datetime.strptime(column.decode(between, rng())[0], form)


def test_dates_keep_the_digits_of_a_second_and_bare_days():
    fine = [f"2024-01-05T10:00:{k:02d}.{k * 7:03d}" for k in range(60)]
    assert back(fit_column("t", fine), fine) == fine
    bare = [f"{m.day}.{m.month}.{m.year} {m.hour}:{m.minute:02d}" for m in MOMENTS]
    column = fit_column("t", bare)
    assert column.kind == "datetime"
    assert back(column, bare) == bare


def test_dates_with_types_and_gaps():
    for values in (
        [m.date() for m in MOMENTS],
        [m.replace(microsecond=250) for m in MOMENTS],
        [m.replace(tzinfo=UTC) for m in MOMENTS],
    ):
        some = [None, *values]
        column = fit_column("t", some)
        assert column.kind == "datetime"
        assert back(column, some) == some
        json.dumps(column.facts())
    east = [m.replace(tzinfo=timezone(timedelta(hours=2))) for m in MOMENTS]
    assert back(fit_column("t", east), east) == east  # the same moment, told in UTC
    assert type(back(fit_column("t", [m.date() for m in MOMENTS]), [date(2020, 1, 1)])[0]) is date


def test_an_ambiguous_date_is_said():
    values = [f"{1 + k % 12:02d}/{1 + k % 11:02d}/2024" for k in range(60)]
    column = fit_column("when", values)
    assert back(column, values) == values
    assert "month/day" in column.warnings()[0]


def test_an_unreadable_date_later_on_is_no_crash():
    values = [m.strftime("%Y-%m-%d") for m in MOMENTS]
    assert len(back(fit_column("t", values), ["0000-00-00", "soon", ""])) == 3


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ([f"{m:%Y-%m}" for m in MOMENTS], r"20(19|20)-(0[1-9]|1[0-2])"),
        ([f"{m.year}-Q{(m.month + 2) // 3}" for m in MOMENTS], r"20(19|20)-Q[1-4]"),
        (["{}-W{:02d}".format(*m.isocalendar()[:2]) for m in MOMENTS], r"20(19|20)-W[0-5]\d"),
        ([f"{m:%H:%M:%S}" for m in MOMENTS], r"[0-2]\d(:[0-5]\d){2}"),
        ([f"{m.minute + 30}:{m:%S}:{m:%M}" for m in MOMENTS], r"\d+(:[0-5]\d){2}"),
        ([str(timedelta(seconds=4999 * k)) for k in range(70)], r"(1 day, |\d days, )?\d+(:[0-5]\d){2}"),
        ([f"{m:%H%M}" for m in MOMENTS], r"[0-2]\d[0-5]\d"),
        ([f"{m:%Y%m%d}" for m in MOMENTS], r"20\d\d[01]\d[0-3]\d"),
        ([int(f"{m:%Y%m%d}") for m in MOMENTS], r"20\d\d[01]\d[0-3]\d"),
        ([int(f"{m + timedelta(days=20 * k):%Y%m}") for k, m in enumerate(MOMENTS)], r"20\d\d[01]\d"),
        ([f"{m.hour % 12 or 12}:{m:%M} {'ap'[m.hour > 11]}m" for m in MOMENTS], r"\d+:[0-5]\d [ap]m"),
        ([m.time() for m in MOMENTS], r"[0-2]\d(:[0-5]\d)+"),
        ([m - MOMENTS[0] for m in MOMENTS], r"(\d+ days?, )?\d+(:[0-5]\d){2}"),
    ],
    ids=lambda some: str(some[0]) if isinstance(some, list) else "",
)
def test_periods_times_and_durations_stay_such(values, made):
    column = fit_column("t", values)
    assert column.kind == "datetime"
    assert back(column, values) == values
    free = np.array([[*[0] * (len(column.spans) - 1), z] for z in np.linspace(-3, 3, 200)], np.float32)
    if len(column.spans) == 1 and isinstance(column.spans[0], Symbol):
        free = np.arange(column.spans[0].k, dtype=np.float32)[:, None]
    for value in column.decode(free, rng()):
        assert type(value) is type(values[0])
        assert re.fullmatch(made, str(value))
    json.dumps(column.facts())


NAMED = [date(2019, 1, 5) + timedelta(days=11 * k) for k in range(90)]


@pytest.mark.parametrize(
    ("language", "form"),
    [
        ("de", "{0.day}. {full} {0.year}"),
        ("de", "{0.day:02d}. {short} {0.year}"),
        ("fr", "{0.day} {full} {0.year}"),
        ("fr", "{0.day} {capital} {0.year}"),
        ("fr", "{0.day} {short} {0.year}"),
        ("es", "{0.day} de {full} de {0.year}"),
        ("it", "{capital} {0.year}"),
        ("pt", "{0.day:02d}-{short}-{0.year}"),
        ("nl", "{0.day} {full} {0.year}"),
        ("pl", "{0.day} {full} {0.year}"),
        ("", "{short}. {0.day}, {0.year}"),
        ("", "{0.day:02d} {short}"),
        ("", "{full} {0.day}"),
        ("", "{0.year}年{0.month}月{0.day}日"),
        ("", "{0.year}년 {0.month:02d}월 {0.day:02d}일"),
        ("", "{0.month}月{0.day}日"),
    ],
)
def test_dates_are_read_in_the_language_of_their_months(language, form):
    months = MONTH_NAMES[language]
    values = [
        form.format(
            day,
            full=months.full[day.month - 1],
            capital=months.full[day.month - 1].capitalize(),
            short=months.short[day.month - 1],
        )
        for day in NAMED
    ]
    column = fit_column("when", values)
    assert column.kind == "datetime"
    assert back(column, values) == values
    assert column.warnings() == []
    some = [column.encode([value])[0, -1] for value in values]
    order = [
        (day.year if "0.year" in form else 0, day.month, day.day * ("0.day" in form)) for day in NAMED
    ]
    ranks = {key: i for i, key in enumerate(sorted(set(order)))}
    assert np.corrcoef([ranks[key] for key in order], some)[0, 1] > 0.9


def test_a_day_of_any_year_may_be_the_29th_of_february():
    values = [f"{day:%d %b}" for day in NAMED] + ["29 Feb"] * 3
    column = fit_column("birthday", values)
    assert column.kind == "datetime"
    assert back(column, values) == values


@pytest.mark.parametrize("zone", [" CET", " Uhr", "h", " CEST", "EST"])
def test_what_stands_behind_a_time_stays_there(zone):
    values = [f"{m:%d.%m.%Y %H:%M}{zone}" for m in MOMENTS]
    column = fit_column("when", values)
    assert column.kind == "datetime"
    assert back(column, values) == values


@pytest.mark.parametrize(
    "values",
    [
        [f"{k * 7.7:,.2f}{'-' * (k % 2)}" for k in range(1, 400, 3)],  # as SAP writes a debit
        [f"{k / 7:.1f}{'KM'[k % 2]}" for k in range(90)],
        [f"{k / 7:.2f} Tsd. €" for k in range(90)],
        [f"{'<' * (k < 30)}{k / 7:.2f}" for k in range(90)],  # below what can be measured
        [f"{['≥ ', ''][k % 2]}{k / 7:.2f} mg/l" for k in range(90)],
    ],
    ids=lambda values: values[1],
)
def test_numbers_with_marks_of_their_trade_are_numbers(values):
    column = fit_column("x", values * 2)
    assert column.kind == "continuous"
    assert back(column, values) == values
    assert column.warnings() == []


def test_numbers_of_several_units_are_shown_without_them():
    sizes = [f"{k * 1.5:.1f} {['KB', 'MB', 'GB'][k % 3]}" for k in range(1, 100)]
    about = fit_column("size", sizes).about
    assert (about["min"], about["max"]) == ("1.5", "148.5")
    assert sorted(about["units"].split(" and ")) == ["GB", "KB", "MB"]
    assert "units" not in fit_column("size", [f"{k * 1.5:.1f} MB" for k in range(1, 100)]).about


@pytest.mark.parametrize(
    "values",
    [
        [f"{k}{'abkm'[k % 4]}" for k in range(1, 90)] * 3,  # numbers of houses
        [
            f"{k % 30} {['Low', 'High', 'New', 'Old', 'Long', 'Short', 'Mill'][k % 7]} Street"
            for k in range(90)
        ],
    ],
    ids=lambda values: values[1],
)
def test_names_that_begin_with_a_number_are_none(values):
    assert fit_column("x", values).kind in ("categorical", "identifier")


def test_clock_times_with_a_point_are_no_decimals():
    values = [f"{m:%H.%M}" for m in MOMENTS]
    column = fit_column("opens", values)
    assert column.kind == "datetime"
    assert back(column, values) == values
    assert fit_column("x", [f"{k / 7 + 10:.2f}" for k in range(90)]).kind == "continuous"


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (["1,23,456", "12,34,567", "12,345", "1,00,00,000", "345"], "integer"),
        (["₹ 1,23,456.50", "₹ 12,34,567.25", "₹ 12,345.00", "₹ 345.10"], "continuous"),
        (["-1,23,456", "12,34,567", "12,345", "0"], "integer"),
    ],
)
def test_digits_are_grouped_as_india_does(values, kind):
    start = 1 if values[0].startswith("₹") else 0
    more = [re.sub("45", f"{k:02d}", value) for value in values for k in range(10, 40)]
    column = fit_column("pay", values + more)
    assert column.kind == kind
    assert back(column, values + more) == values + more
    made = column.decode(np.linspace(-2, 2, 200, dtype=np.float32)[:, None], rng())
    shape = r"[₹ -]*([0-9]{1,2}(,[0-9]{2})*,[0-9]{3}|[0-9]{1,3})(\.[0-9]{2})?"
    assert all(re.fullmatch(shape, value) for value in made)
    assert start == 0 or all(value.startswith("₹ ") for value in made)


@pytest.mark.parametrize(
    ("values", "made"),
    [
        ([f"PT{k % 5}H{k * 7 % 60}M" for k in range(99)], r"PT\d+H\d+M"),
        ([f"PT{k * 37 % 5000}M" for k in range(99)], r"PT\d+M"),
        ([f"PT{k * 37 % 60}.{k * 13 % 1000:03d}S" for k in range(99)], r"PT\d+\.\d{3}S"),
        ([f"P{k * k}D" for k in range(99)], r"P\d+D"),
        ([f"P{k * k}W" for k in range(99)], r"P\d+W"),
        ([f"-PT{k}H" for k in range(1, 99)], r"-PT\d+H"),
        ([f"P{k % 9}DT{k % 24:02d}H{k * 7 % 60:02d}M" for k in range(99)], r"P\d+DT\d\dH\d\dM"),
        ([f"{k % 7 + 1}h{k * 7 % 59 + 1}m" for k in range(99)], r"(\d+h)?([1-9]\d*m)?"),
        ([f"{k % 7} h {k * 7 % 60} min" for k in range(99)], r"\d+ h \d+ min"),
    ],
    ids=lambda some: some[1] if isinstance(some, list) else "",
)
def test_durations_with_units_are_numbers_in_their_format(values, made):
    column = fit_column("lasts", values)
    assert column.kind == "datetime"
    assert back(column, values) == values
    ends = np.linspace(-3, 3, 200, dtype=np.float32)[:, None]
    free = column.decode(np.tile(ends, len(column.spans)) * [0, 1][-len(column.spans) :], rng())
    assert all(re.fullmatch(made, value) for value in free)
    assert len({*free}) > len({*values}) / 3
    assert column.spelled(values[7]) == values[7]


def test_codes_that_look_like_durations_stay_such():
    assert fit_column("c", ["P1A", "P2B", "PT", "P"] * 9).kind == "categorical"
    assert fit_column("c", [f"{k} min" for k in range(99)]).kind == "integer"


def test_whole_numbers_that_are_no_dates_stay_numbers():
    for values in ([k * 7919 % 10**6 for k in range(200)], [str(k) for k in range(1000, 1400, 3)]):
        assert fit_column("n", values).kind == "integer"
    assert fit_column("n", ["0"] * 90 + [f"{k}" for k in range(1001, 1060, 2)]).kind == "integer"


def test_one_bad_date_is_missing_and_said_with_its_row():
    values = [str(date(2022, 1, 1) + timedelta(days=k)) for k in range(160)]
    values[3] = "2022-02-31"
    column = fit_column("day", values, places=range(1, 161))
    assert column.kind == "datetime"
    assert back(column, values)[3] == ""
    assert back(column, values)[4:] == values[4:]
    assert "1 row holds what cannot be one ('2022-02-31' in row 4)" in column.warnings()[0]
    assert column.facts()["missing"] == round(1 / 160, 4)


def test_texts_among_dates_are_symbols():
    values = [str(m.date()) for m in MOMENTS] + ["ongoing"] * 30 + ["0000-00-00"] * 5
    column = fit_column("until", values)
    assert column.kind == "datetime"
    assert back(column, values) == values
    assert "35 rows hold text" in column.warnings()[0]


def test_two_precisions_are_kept_in_their_shares():
    values = [f"{m:%Y-%m-%d %H:%M:%S}" if k % 3 else str(m.date()) for k, m in enumerate(MOMENTS)]
    column = fit_column("when", values)
    assert column.spans == (Symbol(2), Real(1))
    assert back(column, values) == values
    x = column.encode(values)
    assert (x[:, 0] == 1).sum() == sum(len(value) == 10 for value in values)
    x[:, 0] = 1 - x[:, 0]  # the same moments, the other way
    assert [len(v) == 10 for v in column.decode(x, rng())] == [len(v) != 10 for v in values]


def test_two_offsets_are_kept_apart():
    values = [f"{m:%Y-%m-%dT%H:%M:%S}{'+02:00' if 1 < m.month < 11 else '+01:00'}" for m in MOMENTS]
    column = fit_column("when", values)
    assert column.spans == (Symbol(2), Real(1))
    assert back(column, values) == values


@pytest.mark.parametrize("code", ["0001-01-01", "9999-12-31"])
@pytest.mark.parametrize("times", [2, 30])
def test_a_date_that_stands_for_another_thing_is_a_symbol(code, times):
    values = [str(m.date()) for m in MOMENTS] + [code] * times
    column = fit_column("closed", values)
    assert column.spans == (Symbol(2), Real(1))
    assert back(column, values) == values
    free = np.stack([np.zeros(200), np.linspace(-5, 5, 200)], 1).astype(np.float32)
    assert {value[:3] for value in column.decode(free, rng())} <= {"201", "202"}


@pytest.mark.parametrize(
    ("code", "numbers"),
    [("-1", range(200)), ("999", range(20, 90)), ("-999.0", [k / 2 for k in range(-40, 40)])],
)
def test_a_number_that_stands_for_another_thing_is_a_symbol(code, numbers):
    values = [str(k) for k in numbers] * 3 + [code] * 3
    column = fit_column("n", values)
    assert column.spans == (Symbol(2), Real(1))
    assert column.encode([code])[0].tolist() == [1, 0]
    assert back(column, values) == values


# -- decorated numbers ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    "template",
    [
        *(
            "${:,.2f}",
            "{:,.0f}",
            "{:.2f}%",
            "{:.2f} %",
            "{:.2f} EUR",
            "{:.1f} kg",
            "€ {:.2f}",
            " {:.2f}",
        ),
        *("{:.3e}", "{:.1E}", "-{:.2f}", "({:.2f})", "-${:,.2f}", "$-{:,.2f}", "−{:.1f}", "{:.1f} km/h"),
    ],
)
def test_decorated_numbers_are_numbers(template):
    numbers = [1.5 + 37.77 * k for k in range(60)]
    signed = re.search("[-−(]", template)
    values = [template.format(k) for k in numbers] + [
        re.sub("[-−()]", "", template).format(k) for k in numbers
    ] * bool(signed)
    column = fit_column("price", values)
    assert column.kind in ("continuous", "integer")
    assert back(column, values) == values
    assert column.warnings() == []
    between = [
        (column.encode(values[a : a + 1]) + column.encode(values[a + 1 : a + 2])) / 2 for a in range(50)
    ]
    made = column.decode(np.concatenate(between), rng())
    plain = re.sub("[0-9]+", "9", values[0]) if "," not in template else template
    assert "," in template or {re.sub("[0-9]+", "9", value) for value in made} == {plain}
    assert len(set(made) - set(values)) > 20


@pytest.mark.parametrize(
    ("values", "formats"),
    [
        ([f"{k * 1234.5:,.2f}".translate(str.maketrans(",.", ".,")) + " EUR" for k in range(60)], 1),
        ([f"{k * 12345:,}".replace(",", "'") for k in range(60)], 1),
        ([f"{k * 1234.5:,.2f}".replace(",", "\u202f").replace(".", ",") for k in range(60)], 1),
        ([f"{k:+d}" if k else "0" for k in range(-40, 60)], 1),
        ([f"({k}.50)" if k % 3 else f"{k}.50" for k in range(1, 60)], 1),
        ([f"${k}.50" if k % 3 else f"{k}.50 EUR" for k in range(60)], 2),
        ([f"{k / 7:.{1 + k % 2}f}" for k in range(1, 90)], 2),
        ([k if k % 2 else k / 7 for k in range(1, 90)], 2),
        (["0"] * 50 + [f"{k * 1.1:.2f}" for k in range(60)], 1),
    ],
)
def test_numbers_in_the_formats_of_their_column(values, formats):
    column = fit_column("price", values)
    assert column.kind in ("continuous", "integer")
    assert len(column.format.formats) == formats
    assert back(column, values) == values
    assert column.warnings() == []


@pytest.mark.parametrize(
    "values",
    [
        ["1.1", "1.10", "1.2", "2.0"] * 9,  # versions
        ["1st", "2nd", "3rd", "4th"] * 9,
        [f"{k % 40}{'ab'[k % 2]}" for k in range(200)],  # house numbers
        ["10 mg", "20 mg"] * 20,
    ],
)
def test_labels_that_hold_numbers_are_categories(values):
    column = fit_column("label", values)
    assert column.kind == "categorical"
    assert back(column, values) == values


def test_what_is_written_otherwise_than_the_rest_is_said():
    values = [f"{k * k / 8:.3f}" for k in range(300)] + ["7.5"]
    column = fit_column("x", values)
    assert back(column, ["7.5"]) == ["7.500"]
    assert (
        "1 row holds another format than the rest ('7.5') and will come back in that ('7.500')"
        in column.warnings()[0]
    )


# -- categories ----------------------------------------------------------------------------------


def test_categories_keep_their_exact_text():
    values = [" a", "a", "a ", "A", "été", "x,y", '"q"'] * 4
    column = fit_column("c", values)
    assert column.kind == "categorical"
    assert column.spans == (Symbol(7),)
    assert back(column, values) == values


@pytest.mark.parametrize("pair", [("yes", "no"), ("True", "False"), ("Y", "N"), (True, False)])
def test_booleans_keep_their_spelling(pair):
    values = [pair[k % 3 == 0] for k in range(60)]
    column = fit_column("b", values)
    assert column.kind == "boolean"
    assert column.spans == (Symbol(2),)
    decoded = back(column, values)
    assert decoded == values
    assert type(decoded[0]) is type(pair[0])


def test_zero_and_one_are_integers_unless_typed():
    assert fit_column("b", ["0", "1"] * 10).kind == "integer"
    assert fit_column("b", ["0", "1"] * 10, kind="boolean").kind == "boolean"


def test_a_cap_draws_the_rest_by_frequency():
    values = ["common"] * 300 + ["second"] * 200 + ["rare"] * 30 + ["rarer"] * 10
    column = fit_column("c", values, max_categories=2)
    assert column.spans == (Symbol(3),)
    assert column.facts()["rest"] == {"name": "(other)", "distinct": 2, "share": 0.0741, "drawn": 2}
    assert "2 commonest" in column.warnings()[0]
    assert back(column, ["common", "second"]) == ["common", "second"]
    drawn = back(column, ["never seen"] * 2000)
    assert set(drawn) == {"rare", "rarer"}
    assert 0.7 < drawn.count("rare") / 2000 < 0.8


def test_of_a_huge_rest_the_commonest_are_drawn_and_its_name_is_never_written():
    towns = [f"town {k % 7000}" for k in range(14_000)] + [f"town {k}" for k in range(3000)]
    column = fit_column("city", towns + ["(other)", "big"] * 50, max_categories=10)
    assert column.spans == (Symbol(11),)
    assert "a draw from the 5,000 commonest of them" in column.warnings()[0]
    assert len(json.dumps(column.state())) < 150_000
    drawn = back(column, ["big", "(other)", *["town 6999"] * 3000])
    assert drawn[:2] == ["big", "(other)"]
    assert {*drawn[2:]} <= {*towns}
    assert len({*drawn[2:]}) > 1500
    assert column.encode(["(other)"]) != column.encode(["town 6999"])


def test_unseen_category_without_a_rest():
    assert back(fit_column("c", ["a", "b", "b"] * 9), ["z"]) == ["b"]
    assert back(fit_column("c", ["a", "b", "b", "NA"] * 9), ["z"]) == ["NA"]


def test_values_of_several_types_are_categories():
    values = [1, "a", 2.5, True, None, "1"] * 9
    assert back(fit_column("c", values), values) == values


def test_counts_of_all_rows_beat_a_sample():
    column = fit_column("c", ["a", "b"], counts={"a": 50, "b": 30, "c": 20}, rows=100)
    assert column.spans == (Symbol(3),)
    assert back(column, ["c"]) == ["c"]
    assert column.facts()["top"][0] == ["a", 0.5]


# -- nothing to model ----------------------------------------------------------------------------


def test_constants():
    column = fit_column("c", ["x y"] * 9)
    assert (column.kind, column.spans) == ("constant", ())
    assert back(column, ["x y", "other"]) == ["x y", "x y"]
    assert "'x y' in every row" in column.warnings()[0]
    empty = fit_column("e", ["", "NA", "NA"])
    assert empty.kind == "constant"
    assert back(empty, ["", ""]) == ["NA", "NA"]
    assert "is empty in every row" in empty.warnings()[0]


def test_one_value_and_missing_is_no_constant():
    for values in (["x", ""] * 9, ["5", ""] * 9, [5, None] * 9):
        column = fit_column("c", values)
        assert column.spans == (Symbol(2),)
        assert back(column, values) == values


@pytest.mark.parametrize(
    ("name", "values", "first"),
    [
        ("row", [str(k) for k in range(1, 101)], "101"),
        ("row", list(range(500, 600)), 600),
        ("row", [str(2 * k) for k in range(50)], "99"),  # a split has taken every other row
        ("customer_id", [str((k * 7919) % 100_003) for k in range(100)], None),
        ("customerId", [(k * 7919) % 100_003 for k in range(100)], None),
        ("code", [f"AB-{k:05d}" for k in range(1, 80)], "AB-00080"),
        ("file", [f"img{k}.png" for k in range(1, 80)], "img80.png"),
        ("name", [f"{'x' * (k % 9)} Smith {'y' * (k // 9)}" for k in range(60)], None),
        (
            "note",
            [" ".join(["to be or not"] * (1 + k % 5)) + f"! {'so' * (k // 5)}?" for k in range(60)],
            "note-000001",
        ),
        ("mail", [f"mail-{k:06d}" if k % 2 else f"x{k}@y" for k in range(60)], "mail-000060"),
        (
            "uuid",
            [f"{k * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128:032x}" for k in range(1, 60)],
            None,
        ),
    ],
)
def test_identifiers_are_never_copied(name, values, first):
    column = fit_column(name, values)
    assert (column.kind, column.spans) == ("identifier", ())
    assert "looks like an identifier" in column.warnings()[0]
    fresh = column.decode(np.zeros((300, 0)), rng())
    assert len(set(fresh)) == 300
    assert not set(fresh) & set(values)
    assert first is None or fresh[0] == first
    assert {type(v) for v in fresh} == {type(values[0])}
    assert back(column, values) == column.decode(column.encode(values), rng())
    state = json.dumps(column.state())
    assert not any(f'"{v}"' in state for v in values)


def test_an_identifier_of_a_sample_leaves_room_for_what_was_not_seen():
    column = fit_column("row", [str(k) for k in range(0, 1000, 10)], rows=1000)
    assert column.facts()["sample"] == 100
    assert int(column.decode(np.zeros((1, 0)), rng())[0]) >= 1000


@pytest.mark.parametrize(
    ("values", "pattern"),
    [
        ([f"{k * 7919 % 100_000:05d}" for k in range(200)], r"\d{5}"),
        ([f"+49{30 + k % 9}{k * 7919 % 10**7:07d}" for k in range(200)], r"\+493[0-8]\d{7}"),
        (
            [f"{['DE', 'FR'][k % 2]}-{2020 + k % 4}-{k:04d}" for k in range(1, 200)],
            r"(DE|FR)-202[0-3]-\d{4}",
        ),
        (
            [f"10.{k % 256}.{k * 7 % 256}.{k * 11 % 256}" for k in range(900)],
            r"10(\.(1?\d?\d|2[0-4]\d|25[0-5])){3}",
        ),
        ([f"A/5 {k * 79}" if k % 3 else f"{k * 79}" for k in range(1, 200)], r"(A/5 )?\d+"),
    ],
    ids=["zip", "phone", "invoice", "address", "ticket"],
)
def test_fresh_identifiers_keep_pattern_width_and_range(values, pattern):
    column = fit_column("code", values)
    assert column.kind in ("identifier", "categorical")
    fresh = column.decode(np.zeros((500, column.stored), np.float32), rng())
    assert all(re.fullmatch(pattern, value) for value in fresh)
    if column.kind == "identifier" and not values[0].startswith(
        "10."
    ):  # of so few addresses one may come again
        assert not set(fresh) & set(values)
    assert back(column, values) == column.decode(column.encode(values), rng())


def coded(check: str, bodies) -> list[str]:
    return [CHECK_DIGITS[check].complete(body) for body in bodies]


@pytest.mark.parametrize(
    ("check", "body", "code"),
    [
        ("luhn", "7992739871", "79927398713"),  # ISO/IEC 7812-1
        ("gtin", "400638133393", "4006381333931"),
        ("gtin", "7351353", "73513537"),
        ("gtin", "978-3-16-148410-", "978-3-16-148410-0"),
        ("isbn10", "030640615", "0306406152"),
        ("isbn10", "080442957", "080442957X"),
        ("iban", "GBWEST12345698765432", "GB82WEST12345698765432"),
        ("iban", "DE 3704 0044 0532 0130 00", "DE89 3704 0044 0532 0130 00"),
    ],
)
def test_check_digits_are_those_of_the_standards(check, body, code):
    one = CHECK_DIGITS[check]
    assert one.complete(body) == code
    assert one.strip(code) == body
    assert one.holds(code)
    wrong = code.replace(code[-3], "1" if code[-3] != "1" else "2")
    assert not one.holds(wrong)
    assert not one.holds(body)


@pytest.mark.parametrize(
    ("check", "bodies"),
    [
        ("luhn", [f"4{k * 0x9E3779B97F4A7C15 % 10**14:014d}" for k in range(1, 90)]),
        ("gtin", [f"978-3-{k * 7919 % 10**4:04d}-{k * 31 % 10**4:04d}-" for k in range(1, 90)]),
        ("isbn10", [f"{k * 0x9E3779B97F % 10**9:09d}" for k in range(1, 90)]),
        ("iban", [f"DE{k * 0x9E3779B97F4A7C15 % 10**18:018d}" for k in range(1, 90)]),
    ],
)
def test_fresh_codes_have_the_right_check_digits(check, bodies):
    codes = coded(check, bodies)
    for values in (codes, [*codes[1:], codes[0][:-2] + "00"]):  # one of them mistyped
        column = fit_column("code", values)
        assert column.kind == "identifier"
        fresh = column.decode(np.zeros((300, 0)), rng())
        assert len(set(fresh)) == 300
        assert not set(fresh) & set(values)
        assert all(CHECK_DIGITS[check].holds(code) for code in fresh)
        assert {re.sub("[0-9X]", "9", code) for code in fresh} == {re.sub("[0-9X]", "9", codes[0])}
        assert back(column, values) == column.decode(column.encode(values), rng())


def test_codes_with_check_digits_in_a_table_of_numbers_stay_whole():
    cards = [int(code) for code in coded("luhn", (f"4{k * 7919 % 10**14:014d}" for k in range(1, 90)))]
    fresh = fit_column("card", cards).decode(np.zeros((9, 0)), rng())
    assert all(isinstance(code, int) and CHECK_DIGITS["luhn"].holds(code) for code in fresh)
    goods = coded("gtin", [f"40063813{k * 7 % 50:04d}" for k in range(900)])
    column = fit_column("barcode", goods)
    assert column.kind == "categorical"  # those that come again are drawn as they came
    assert back(column, goods) == goods
    assert fit_column("n", [k * 7919 for k in range(90)]).kind == "integer"


@pytest.mark.parametrize("places", [4, 6, 40])
@pytest.mark.parametrize("start", ["", "#", "0x", "sha256:", "https://example.org/"])
def test_fresh_codes_of_letters_and_digits_keep_their_places(start, places):
    values = [f"{start}{k * 0x9E3779B1**5 % 16**places:0{places}x}" for k in range(1, 400)]
    fresh = fit_column("colour", values).decode(np.zeros((300, 0)), rng())
    assert all(re.fullmatch(f"{re.escape(start)}[0-9a-f]{{{places}}}", code) for code in fresh)


def test_identifiers_stay_inside_the_type_of_the_file():
    roomy = fit_column("id", list(range(28, 128)), largest=32_767)
    assert roomy.kind == "identifier"
    assert max(roomy.decode(np.zeros((40_000, 0)), rng())) <= 32_767
    column = fit_column("id", list(range(28, 128)), largest=127)
    assert column.kind == "integer"
    assert "no room for fresh ones" in column.warnings()[0]
    with pytest.raises(DataError, match="cannot be identifier") as error:
        fit_column("id", list(range(28, 128)), largest=127, kind="identifier")
    assert error.value.code == "wrong-column-type"


@pytest.mark.parametrize("name", ["customer", "customer_id"])
@pytest.mark.parametrize("start", [10**17, 1000])
def test_identifiers_that_repeat_are_keys_with_a_frequency(name, start):
    values = [start + k * k % 811 * 7919 for k in range(4000)]
    column = fit_column(name, values)
    if start > 2**53 or name.endswith("id"):
        assert column.kind == "categorical"
        drawn = column.decode(np.full((3000, 1), column.spans[0].k - 1, np.float32), rng())
        assert set(drawn) <= set(values)
        assert {type(value) for value in drawn} == {int}
        assert len(set(drawn)) > 200


def test_nobody_reckons_back_from_free_numbers_to_known_ones():
    known = sorted(np.random.default_rng(0).permutation(99_999)[:300].tolist())
    codes = [f"{k:05d}" for k in known]
    (shape,) = fit_column("code", codes, kind="identifier").shapes
    assert [shape] == fit_column("code", codes, kind="identifier").shapes
    assert len(shape.free) > 100
    assert all(not {*range(first, last + 1)} & {*known} for first, last in shape.free)
    # Of the middle half of a gap, or all of it, the ends would say where it begins.
    for length in (0, 0.5):
        begin = {a - 1 - int(length * (b - a + 1)) + off for a, b in shape.free for off in (-1, 0, 1)}
        assert len(begin & {*known}) < 0.2 * len(shape.free)


def test_an_identifier_with_gaps_has_gaps():
    values = [f"{'ab' * k}" for k in range(1, 60)] + [""] * 20
    column = fit_column("name", values)
    assert (column.kind, column.spans) == ("identifier", (Symbol(2),))
    assert [v == "" for v in back(column, values)] == [v == "" for v in values]


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("price", [str((k * 7919) % 100_003) for k in range(100)]),  # unique, but no order, no name
        ("size", [str(k * k) for k in range(100)]),  # in order, but far between
        ("measure", [f"{k}.5" for k in range(100)]),
        ("id", [str(k % 50) for k in range(100)]),  # a name alone is not enough
    ],
)
def test_other_unique_columns_are_modelled(name, values):
    assert fit_column(name, values).kind in ("integer", "continuous")


# -- a kind asked for ----------------------------------------------------------------------------


def test_a_kind_can_be_asked_for():
    values = [str(k) for k in range(1, 101)]
    assert fit_column("row", values, kind="integer").kind == "integer"
    assert fit_column("row", values, kind="continuous").kind == "continuous"
    assert fit_column("row", values, kind="categorical").spans == (Symbol(100),)
    assert fit_column("row", ["a", "b"], kind="identifier").kind == "identifier"
    assert fit_column("row", ["a", "b", "b"], kind="constant").decode(np.zeros((1, 0)), rng()) == ["b"]


@pytest.mark.parametrize(
    ("kind", "values", "sentence"),
    [
        (
            "integer",
            ["1", "2.5", "3"],
            "column 'x' cannot be integer: 1 of 3 rows are not whole numbers",
        ),
        ("continuous", [f"a{k}" for k in range(30)], "30 of 30 rows are not numbers, for example 'a0'"),
        ("datetime", ["2024-01-01", "soon"], "are not dates of one common format"),
        ("boolean", ["a", "b", "c"], "1 of 3 rows are not of two values, for example 'c'"),
        ("identifier", [1.5, 2.5], "are not texts or integers"),
        ("categorical", [date(2024, 1, 5)], "are not texts or numbers, for example '2024-01-05'"),
    ],
)
def test_a_kind_that_does_not_fit_is_refused(kind, values, sentence):
    with pytest.raises(DataError, match=sentence) as error:
        fit_column("x", values, kind=kind)
    assert error.value.code == "wrong-column-type"


def test_an_unknown_kind_is_refused():
    with pytest.raises(RecipeError, match="did you mean 'categorical'") as error:
        fit_column("x", ["a"], kind="category")
    assert error.value.code == "unknown-column-type"
    with pytest.raises(RunError, match="no column of kind 'complex'") as error:
        restore_column({"kind": "complex"})
    assert error.value.code == "unknown-column-type"


# -- conditions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("values", [["10", "9", "2", "9"], [10, 9, 2, 9]])
def test_a_condition_of_integers_is_one_symbol_in_order(values):
    column = fit_column("digit", values, as_condition=True)
    assert column.spans == (Symbol(3),)
    assert column.encode([2, "9", " 10 "])[:, 0].tolist() == [0, 1, 2]
    assert back(column, values) == values
    with pytest.raises(DataError, match=r"no '7' among the values of 'digit'; the nearest are 2 and 9"):
        column.encode(["7"])
    with pytest.raises(DataError) as error:
        column.encode([""])
    assert error.value.code == "no-such-value"


def test_a_condition_of_many_integers_is_still_one_symbol():
    values = [k % 300 for k in range(900)]
    column = fit_column("class", values, as_condition=True)
    assert column.spans == (Symbol(300),)
    with pytest.raises(DataError) as error:
        column.encode(["x"])
    assert len(str(error.value)) < 300


def test_a_condition_of_texts():
    values = ["dog", "cat", "", "cat"]
    column = fit_column("animal", values, as_condition=True)
    assert column.spans == (Symbol(3),)
    assert column.encode(["cat", "dog", None, "CAT"])[:, 0].tolist() == [0, 1, 2, 0]
    assert back(column, values) == values
    with pytest.raises(DataError, match="did you mean 'cat'"):
        column.encode(["cta"])


def test_a_condition_of_truths():
    column = fit_column("smiles", [True, False, True], as_condition=True)
    assert column.spans == (Symbol(2),)
    assert column.encode([True, "true", "False"])[:, 0].tolist() == [1, 1, 0]
    assert fit_column("smiles", [True, True], as_condition=True).spans == (Symbol(1),)


def test_a_condition_of_floats_is_a_real():
    values = [f"{k / 2}" for k in range(41)] + ["0.0"] * 40
    column = fit_column("size", values, as_condition=True)
    assert column.spans == (Real(1),)
    assert back(column, ["20.0", 99, 0]) == ["20.0", "20.0", "0.0"]
    with pytest.raises(
        DataError, match=r"'big' is not a value of 'size'; wanted one of 0\.0 to 20\.0"
    ) as error:
        column.encode(["big"])
    assert error.value.code == "no-such-value"
    with pytest.raises(
        DataError, match=r"99 is outside .* 'size' was learnt from: 0\.0 to 20\.0"
    ) as error:
        column.exactly(99)
    assert error.value.code == "out-of-range"
    assert fit_column("size", [0.5, 1.5, None], as_condition=True).spans == (Symbol(2), Real(1))


def test_a_condition_of_dates_and_of_nothing():
    column = fit_column("when", [m.date() for m in MOMENTS], as_condition=True)
    assert column.spans == (Real(1),)
    assert fit_column("gap", ["", ""], as_condition=True).spans == (Symbol(1),)


def test_a_condition_of_too_many_texts_is_refused():
    with pytest.raises(DataError, match=r"'name' has 2,000 different texts .* at most 1,000") as error:
        fit_column("name", [f"n{k}x" for k in range(2000)], as_condition=True)
    assert error.value.code == "too-many-categories"


def test_facts_are_json_for_every_kind():
    for values in ([1.5, None, 2.5], ["a", "b"], [True, False], ["x"], [m.date() for m in MOMENTS]):
        facts = fit_column("x", values).facts()
        assert {"kind", "missing", "distinct"} <= facts.keys()
        json.dumps(facts)


# -- states of older versions ----------------------------------------------------------------------

HOURS = """{"kind": "continuous", "name": "hours", "about": {}, "notes": [],
 "style": {"raw": "text", "places": 1, "least": 0, "digits": null, "comma": false},
 "atoms": [0.0], "strays": ["many"], "missing": true, "spelling": "NA",
 "scores": {"numbers": [0.5, 1.5, 2.5], "scores": [-1.0, 0.0, 1.0]}, "usual": 0, "strict": false}"""
DAY = """{"kind": "datetime", "name": "day", "about": {}, "notes": [],
 "style": {"raw": "text", "form": "%d.%m.%Y", "step": 86400.0, "zone": "", "digits": 0, "padded": true},
 "atoms": [], "strays": [], "missing": true, "spelling": "",
 "scores": {"numbers": [1704412800.0, 1704499200.0], "scores": [-1.0, 1.0]}, "usual": 0, "strict": false}"""
WHO = """{"kind": "categorical", "name": "who", "about": {}, "notes": [], "values": ["a", "b"],
 "rest": null, "pool": [], "missing": false, "spelling": null, "usual": 1, "strict": false}"""
IDS = """{"kind": "identifier", "name": "id", "about": {}, "notes": [], "before": ["A", "-"], "after": [],
 "start": 30, "width": 4, "whole": false, "missing": true, "spelling": "NA"}"""


@pytest.mark.parametrize(
    ("state", "values", "decoded"),
    [
        (HOURS, ["0", "many", "NA", "2.5", "x"], ["0", "many", "NA", "2.5", "NA"]),
        (DAY, ["05.01.2024", "", "06.01.2024"], ["05.01.2024", "", "06.01.2024"]),
        (WHO, ["a", "b", "?"], ["a", "b", "b"]),
        (IDS, ["A-0007", "NA"], ["A-0030", "NA"]),
    ],
    ids=["hours", "day", "who", "id"],
)
def test_a_state_with_the_old_keys_is_restored(state, values, decoded):
    """As 0.1 wrote it: style, form, atoms, strays, usual, spelling."""
    column = restore_column(json.loads(state))
    assert column.decode(column.encode(values), rng()) == decoded
    assert restore_column(json.loads(json.dumps(column.state()))) == column


# -- as a field that is given --------------------------------------------------------------------

SCALARS = {
    "category": (["red", "green", "blue"] * 40, "green", (Symbol(3),)),
    "number": ([f"{i / 7:.3f}" for i in range(120)], "5.000", (Real(1),)),
    "day": (
        [str(date(2020, 1, 1) + timedelta(days=i * 7)) for i in range(120)],
        "2020-02-03",
        (Real(1),),
    ),
}


def given_field(values):
    field = ColumnField("what")
    field.fit(values[:50])
    field.fit(values[50:])
    field.settle()
    return field


@pytest.mark.parametrize("kind", SCALARS)
def test_what_is_given_is_a_field_of_one_column_there_and_back(kind):
    values, one, spans = SCALARS[kind]
    field = given_field(values)
    assert field.space.grid == ()
    assert field.space.spans == spans
    assert field.symbols == (kind == "category")
    x = field.tensor(values)
    field.space.check(x)
    assert field.decode(x.numpy()) == values
    assert field.decode(field.tensor([one]).numpy()) == [one]
    again = ColumnField()
    again.restore(json.loads(json.dumps(field.state())))
    assert again.name == "what"
    assert again.space == field.space
    assert again.encode(values).tobytes() == field.encode(values).tobytes()
    assert again.decode(x.numpy()) == field.decode(x.numpy())
    assert (again.facts(), again.warnings()) == (field.facts(), field.warnings())
    assert again.state() == field.state()


def test_a_category_that_training_has_not_seen_is_known_to_be_unknown():
    field = given_field(SCALARS["category"][0])
    assert field.known(["red", "pink", "blue", "pink"]) == [True, False, True, False]
    with pytest.raises(DataError, match="'pink'"):
        field.encode(["pink"])
    assert all(given_field(SCALARS["number"][0]).known(["3.5", "4"]))


def test_a_field_may_be_fitted_again():
    values, others = SCALARS["category"][0], ["up", "down"] * 30
    field = given_field(values)
    field.fit(others)
    field.settle()
    assert field.state() == given_field(others).state()


def test_codes_of_several_lengths_keep_their_pattern():
    r = np.random.default_rng(0)
    codes = [f"{int(k):#x}" for k in r.integers(0, 2 ** r.choice([24, 32, 40], 500))]
    column = fit_column("code", codes)
    fresh = column.decode(np.zeros((1000, 0)), rng())
    assert all(re.fullmatch("0x[0-9a-f]{5,10}", value) for value in fresh)
    assert len({*fresh} & {*codes}) < 3
    column = fit_column("name", [f"{'ab' * k}-{'cd' * k}" for k in range(1, 45)])
    fresh = column.decode(np.zeros((500, 0)), rng())
    assert all(re.fullmatch("[a-z]{2,12}-[a-z]{2,12}", value) for value in fresh)


FIRST = [
    f"{a}{b}"
    for a in ("An", "Be", "Ca", "Do", "E", "Fa")
    for b in ("na", "rta", "rl", "ra", "mil", "bian")
]
LAST = [f"{a}{b}er" for a in ("Fisch", "Web", "Koch", "Baum", "Lind", "Meyn") for b in "abcdefgh"]


@pytest.mark.parametrize(
    ("write", "pattern"),
    [
        (lambda k, a, b: f"{a.lower()}.{b.lower()}{k * 7}@a{'bc'[k % 2]}.com", r"[a-z]+\.[a-z]+\d+@a[bc]\.com"),
        (lambda k, a, b: f"{b.lower()}_{a.lower()}{'x' * (k % 3)}@mail.org", r"[a-z]+_[a-z]+@mail\.org"),
        (lambda k, a, b: f"{a} {'ABCD'[k % 4]}. {b}{a.lower()}", r"[A-Z][a-z]+ [ABCD]\. [A-Z][a-z]+"),
        (lambda k, a, b: f"https://www.{b.lower()}.com/{a}/{k * 13}.html", r"https://www\.[a-z]+\.com/[A-Z][a-z]+/\d+\.html"),
        (lambda k, a, b: ":".join(f"{k * n * 79 % 256:02x}" for n in range(1, 7)), r"[0-9a-f]{2}(:[0-9a-f]{2}){5}"),
        (lambda k, a, b: f"{a.upper()}{'' if k % 7 else k}{b.upper()}", r"[A-Z]+\d*[A-Z]+"),
    ],
)  # fmt: skip
def test_names_of_words_keep_their_pattern_and_not_their_words(write, pattern):
    values = [write(k, FIRST[k % len(FIRST)], LAST[k * 7 % len(LAST)]) for k in range(400)]
    column = fit_column("who", [*dict.fromkeys(values)], kind="identifier")
    fresh = column.decode(np.zeros((2000, 0)), rng())
    assert all(re.fullmatch(pattern, value) for value in fresh), fresh[:3]
    assert not {*fresh} & {*values}
    assert len({*fresh}) == 2000
    told = json.dumps(column.state()).lower()
    assert not any(name.lower() in told for name in LAST)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([f"a{k % 60}@b.org" for k in range(400)], "e-mail addresses"),
        ([f"10.0.{k % 3}.{k % 61}" for k in range(400)], "IP addresses"),
        ([f"2001:db8::{k % 61:x}" for k in range(400)], "IP addresses"),
        ([f"+49 170 {1000003 + k % 61 * 7919}" for k in range(400)], "telephone numbers"),
        ([f"(555) 123-{1000 + k % 61}" for k in range(400)], "telephone numbers"),
        ([f"DE89 3704 0044 0532 0130 {10 + k % 61}" for k in range(400)], "account numbers"),
        ([f"123-45-{1000 + k % 61}" for k in range(400)], "numbers of persons"),
        ([f"4111 1111 1111 {1000 + k % 61}" for k in range(400)], "numbers of cards"),
        ([f"version 1.{k % 61}" for k in range(400)], None),
        ([f"{k % 5}.{k % 61}.0" for k in range(400)], None),
        (["a@b.org", *[f"item {k % 60}" for k in range(400)]], None),
    ],
)
def test_what_looks_like_a_person_is_made_up_or_said(values, words):
    column = fit_column("who", values)
    if words is None:
        assert not [note for note in column.warnings() if "looks like" in note]
        return
    assert column.kind == "identifier"
    assert f"looks like an identifier (it holds {words}): it is not modelled" in column.warnings()[0]
    if words != "IP addresses":  # of so few, a known one says nothing
        assert not {*column.decode(column.encode(values), rng())} & {*values}
    # Asked for, or a handful, they are kept and that is said.
    for kept in (fit_column("who", values, kind="categorical"), fit_column("who", [*values[:9]] * 20)):
        assert kept.kind == "categorical"
        (said,) = [note for note in kept.warnings() if "looks like" in note]
        assert f"holds what looks like {words}, and rows that are made hold them as they stand" in said
        assert "codec.types.who=identifier makes fresh ones, codec.drop=who leaves" in said
