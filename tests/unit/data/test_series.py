"""Series: roles of columns, steps, windows split by time, gaps, forecasts, .ts files, and files that went wrong."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from genwright.data.codec import ReadOptions, Rows
from genwright.data.dataset import make_codec
from genwright.data.series.calendar import CalendarField
from genwright.data.series.calibration import Calibration
from genwright.data.series.clock import TimeFormat, TimeStep, fit_clock
from genwright.data.series.field import SeriesField
from genwright.data.series.forecast import repeated
from genwright.data.series.form import SeriesForm
from genwright.data.series.overlaps import blocks_of
from genwright.data.series.series import Series
from genwright.data.series.windows import Cuts
from genwright.data.source import find
from genwright.errors import DataError, RecipeError
from genwright.evaluation.metrics.forecasts import inside
from genwright.registry import resolve

SPLIT = ReadOptions(val=0.2, test=0.2)
WHOLE = ReadOptions(val=0.0, test=0.0)


def table(file: Path, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> Path:
    with file.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([head, *rows])
    return file


def hours(n: int, start: str = "2024-01-01T00") -> list[str]:
    return [str(np.datetime64(start) + i).replace("T", " ") + ":00" for i in range(n)]


def temperatures(file: Path, n: int = 200) -> Path:
    values = [round(10 + 5 * np.sin(i / 24 * 2 * np.pi) + 0.01 * i, 2) for i in range(n)]
    return table(file, ["time", "temp"], list(zip(hours(n), values, strict=True)))


def read(path: Path, options: ReadOptions = WHOLE, **chosen: Any) -> tuple[list[Rows], SeriesField]:
    codec, source = make_codec("series", chosen), find(path, "series")
    field = codec.fields(source, options)["series"]
    assert isinstance(field, SeriesField)
    return list(codec.read(source, {"series": field}, options)), field


def windows(chunks: list[Rows]) -> list[Series]:
    return [one for rows in chunks for one in rows.values["series"]]


def settled(chunks: list[Rows], field: SeriesField) -> SeriesField:
    field.fit(windows(chunks))
    field.settle()
    return field


# -- which file is what ----------------------------------------------------------------------------


def test_a_series_smiles_and_a_table_are_told_apart_and_it_is_said_why(tmp_path: Path) -> None:
    pytest.importorskip("rdkit")
    rng = np.random.default_rng(0)
    smiles = [("".join(rng.choice(list("CNO"), 6)) + "c1ccccc1", i % 7) for i in range(60)]
    people = [(f"person{i}", int(rng.integers(90)), "ab"[i % 2]) for i in range(60)]
    made = {
        "series": temperatures(tmp_path / "a.csv", 60),
        "molecule": table(tmp_path / "b.csv", ["what", "n"], smiles),
        "table": table(tmp_path / "c.csv", ["name", "age", "sex"], people),
    }
    words = {"series": "'time' holds times", "molecule": "'what' holds SMILES", "table": "3 columns"}
    for kind, file in made.items():
        assert find(file).codec == kind
        assert words[kind] in resolve("codecs", kind).because([file]), kind


def test_a_table_with_dates_that_do_not_go_up_in_steps_is_a_table(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    days = np.datetime64("1960-01-01") + rng.integers(0, 20_000, 80)
    file = table(tmp_path / "a.csv", ["born", "height"], [(d, 150 + i) for i, d in enumerate(days)])
    assert find(file).codec == "table"
    events = np.datetime64("2024-01-01T00:00") + rng.integers(1, 5000, 80).cumsum()
    file = table(tmp_path / "b.csv", ["at", "amount"], [(d, i * 7) for i, d in enumerate(events)])
    assert find(file).codec == "table"


# -- times and steps -------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 200_000), min_size=12, max_size=30, unique=True))
@settings(max_examples=10, deadline=None)
def test_times_are_written_as_they_were_read(places: list[int]) -> None:
    texts = [str(np.datetime64("1990-01-01T00") + i).replace("T", " ") + ":00" for i in sorted(places)]
    clock = fit_clock(texts)
    assert clock is not None
    assert clock.dated
    assert clock.write(clock.read(texts)) == texts
    assert TimeFormat.of(json.loads(json.dumps(clock.json()))) == clock


def test_an_hour_that_comes_twice_is_two_where_offsets_say_so() -> None:
    texts = [
        f"2024-10-27 0{h}:00:00+0{z}:00" for h, z in [(0, 2), (1, 2), (2, 2), (2, 1), (3, 1), (4, 1)]
    ]
    clock = fit_clock(texts)
    assert clock is not None
    assert np.diff(clock.read(texts)).tolist() == [3600.0] * 5


@pytest.mark.parametrize(
    ("first", "step", "n", "named", "period"),
    [
        ("2024-01-01T00", np.timedelta64(1, "h"), 30, "1 hour", 24),
        ("2024-01-01", np.timedelta64(1, "D"), 30, "1 day", 7),
        ("2024-01", np.timedelta64(1, "M"), 30, "1 month", 12),
        ("2020-01", np.timedelta64(3, "M"), 12, "1 quarter", 4),
        ("2024-01-01T00:00", np.timedelta64(15, "m"), 30, "15 minutes", 96),
    ],
)
def test_a_step_is_named_and_goes_on(
    first: str, step: np.timedelta64, n: int, named: str, period: int
) -> None:
    times = (np.datetime64(first) + step * np.arange(n)).astype("datetime64[s]").astype(float)
    apart, counts = np.unique(np.diff(times), return_counts=True)
    found = TimeStep.of(dict(zip(apart.tolist(), counts.tolist(), strict=True)), dated=True)
    assert str(found) == named
    assert found.period == period
    assert np.array_equal(found.after(times[0], np.arange(n)), times)
    assert np.array_equal(np.rint(found.between(times)), np.ones(n - 1))


# -- windows and the split -------------------------------------------------------------------------


@given(
    st.integers(40, 150),
    st.integers(2, 9),
    st.integers(1, 5),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
)
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_never_cross_the_split(
    tmp_path: Path, n: int, length: int, stride: int, val: float, test: float
) -> None:
    file = temperatures(tmp_path / "a.csv", n)
    chunks, _ = read(file, ReadOptions(val=val, test=test), length=length, stride=stride)
    held: dict[str, set[float]] = {"train": set(), "val": set(), "test": set()}
    for rows in chunks:
        assert rows.parts is not None
        for part, one in zip(rows.parts, rows.values["series"], strict=True):
            held[part].update(one.times.tolist())
            assert len(one) == length
    assert not held["train"] & held["val"]
    assert not held["val"] & held["test"]
    assert max(held["train"]) < min(held["val"] | held["test"] | {np.inf})


def test_where_a_horizon_is_forecast_no_two_parts_share_what_is_to_be_forecast(tmp_path: Path) -> None:
    chunks, field = read(temperatures(tmp_path / "a.csv"), SPLIT, length=30, horizon=6)
    asked: dict[str, set[float]] = {"train": set(), "val": set(), "test": set()}
    for rows in chunks:
        for part, one in zip(rows.parts or [], rows.values["series"], strict=True):
            asked[part].update(one.times[field.form.context :].tolist())
            if part == "train":
                assert one.times[-1] <= min(asked["val"] | asked["test"] | {np.inf})
    assert not asked["train"] & (asked["val"] | asked["test"])
    assert not asked["val"] & asked["test"]
    assert all(asked.values())


def test_series_in_one_table_are_told_apart_and_split_at_one_time(tmp_path: Path) -> None:
    rows = [
        (hour, town, round(i * scale + 0.5, 1), "up" if i % 3 else "down", len(town))
        for i, hour in enumerate(hours(60))
        for town, scale in (("Ulm", 1.0), ("Kiel", 2.0))  # by time, not by town
    ]
    file = table(tmp_path / "a.csv", ["time", "town", "level", "trend", "size"], rows)
    chunks, field = read(file, SPLIT, length=10)
    assert (field.form.group, field.form.numbers, field.form.states) == ("town", ("level",), ("trend",))
    assert make_codec("series", {}).labels(find(file, "series")) == ["calendar", "size"]
    ends = {
        part: max(
            one.times[-1]
            for rows in chunks
            for p, one in zip(rows.parts or [], rows.values["series"], strict=True)
            if p == part and one.name == town
        )
        for town in ("Ulm", "Kiel")
        for part in ("train", "val")
    }
    assert ends["train"] < ends["val"]
    assert {one.name for one in windows(chunks)} == {"Ulm", "Kiel"}
    assert all(np.ptp(np.diff(one.channels["level"]).round(6)) == 0 for one in windows(chunks))


def test_cuts_take_shares_of_the_time() -> None:
    cuts = Cuts.of(0.0, 100.0, 0.1, 0.2)
    assert [cuts.part(a, b) for a, b in [(0, 70), (60, 75), (71, 80), (75, 85), (81, 100)]] == [
        *("train", None, "val", None, "test"),
    ]


# -- gaps, states, lengths -------------------------------------------------------------------------


def test_missing_times_and_cells_are_unknown_or_drawn_as_a_line(tmp_path: Path) -> None:
    rows = [(hour, 2.0 * i, "" if i % 4 == 1 else i) for i, hour in enumerate(hours(48)) if i % 40 != 30]
    file = table(tmp_path / "a.csv", ["time", "a", "b"], rows)
    chunks, field = read(file, length=12)
    assert field.form.gaps == "unknown"
    one = windows(chunks)[25]
    assert np.isnan(one.channels["a"]).sum() == 1  # the hour that has no row
    assert len(windows(chunks)) == 48 - 12 + 1
    settled(chunks, field)
    x = field.encode([one])
    back = field.decode(x)[0]
    assert np.array_equal(np.isnan(back.channels["b"]), np.isnan(one.channels["b"]))
    line, _ = read(file, length=12, gaps="interpolate")
    assert np.allclose(windows(line)[25].channels["a"], 2.0 * np.arange(25, 37))
    short, _ = read(file, length=12, gaps="ignore")
    assert len(windows(short)) == 47 - 12 + 1


def test_what_is_read_whole_is_counted_by_series_and_not_by_windows(tmp_path: Path) -> None:
    codec, source = make_codec("series", {}), find(temperatures(tmp_path / "t.csv"), "series")
    form = codec.fields(source)["series"]
    whole = list(codec.read(source, {"series": form}, ReadOptions(val=0, test=0, whole=True)))
    assert codec.wholes(source) == sum(map(len, whole)) == 1
    assert codec.count(source) > 1


def test_columns_that_are_dropped_are_no_part_of_a_series(tmp_path: Path) -> None:
    rows = [[hour, i % 7, i % 5, "ab"[i % 2]] for i, hour in enumerate(hours(200))]
    file = table(tmp_path / "t.csv", ["time", "x", "y", "on"], rows)
    chunks, field = read(file, drop=["y", "on"])
    assert (field.form.numbers, field.form.states) == (("x",), ())
    assert set(windows(chunks)[0].channels) == {"x"}
    for names, words in (
        (["time"], "'time' says when"),
        (["z"], "no column 'z'"),
        (["x", "y", "on"], "leaves no column"),
    ):
        with pytest.raises(RecipeError, match=words):
            read(file, drop=names)
    made = table(tmp_path / "made.csv", ["time", "x"], [row[:2] for row in rows])
    assert read(made, ReadOptions(made=True, val=0, test=0), drop=["y", "on"])[1].form.numbers == ("x",)


def test_uneven_steps_are_taken_one_after_the_other_and_it_is_said(tmp_path: Path) -> None:
    times = np.datetime64("2024-01-01T00:00") + np.random.default_rng(0).integers(1, 99, 60).cumsum()
    file = table(tmp_path / "a.csv", ["time", "a"], [(t, i) for i, t in enumerate(times)])
    chunks, field = read(file, length=10)
    assert not field.form.even
    assert len(windows(chunks)) == 51
    assert any("steps are uneven" in note for rows in chunks for note in rows.notes)


def test_series_of_several_lengths_are_filled_up_and_cut_off_again(tmp_path: Path) -> None:
    lines = [
        ",".join(str(round(0.1 * i + k, 1)) for i in range(5 + k % 3)) + ":ab"[0:1] for k in range(24)
    ]
    lines = [f"{line}{'ab'[k % 2]}" for k, line in enumerate(lines)]
    head = "@problemName x\n@timeStamps false\n@univariate true\n@classLabel true a b\n@data\n"
    (tmp_path / "a.ts").write_text("# a comment\n" + head + "\n".join(lines) + "\n")
    chunks, field = read(tmp_path / "a.ts")
    settled(chunks, field)
    assert field.form.whole
    assert field.space.grid == (7,)
    found = field.decode(field.encode(windows(chunks)))
    assert [len(one) for one in found] == [5 + k % 3 for k in range(24)]
    valid = field.space.valid(field.tensor(windows(chunks)))
    assert valid is not None
    assert valid.sum(1).tolist() == [
        min(7, 6 + k % 3) for k in range(24)
    ]  # with the first step behind the end
    assert make_codec("series", {}).labels(find(tmp_path / "a.ts", "series")) == ["label"]


@given(
    st.lists(
        st.lists(st.floats(-1000, 1000).map(lambda v: round(v, 2)), min_size=6, max_size=6),
        min_size=25,
        max_size=30,
    )
)
@example([[0.0] * 6] * 24 + [[0.0] * 5 + [1.0]])
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(tmp_path: Path, values: list[list[float]]) -> None:
    rows = [
        (str(k), hour, value)
        for k, one in enumerate(values)
        for hour, value in zip(hours(6), one, strict=True)
    ]
    file = table(tmp_path / "a.csv", ["series", "time", "a"], rows)
    codec = make_codec("series", {"length": 6})
    chunks, field = read(file, length=6)
    settled(chunks, field)
    made = field.decode(field.encode(windows(chunks)))
    files = codec.write({"series": made}, {"series": field}, tmp_path / "out")
    back = windows(list(codec.read(find(files[1], "series"), {"series": field}, WHOLE)))
    assert len(back) == len(made)
    for one, two in zip(made, back, strict=True):
        # A column of few values is one of states, which are texts.
        assert np.allclose(*(np.asarray(window.channels["a"], float) for window in (one, two)))


# -- forecasts -------------------------------------------------------------------------------------


def forecaster(tmp_path: Path, **chosen: Any) -> tuple[SeriesField, list[Series]]:
    chunks, field = read(temperatures(tmp_path / "a.csv"), length=72, horizon=24, **chosen)
    return settled(chunks, field), windows(chunks)


@pytest.mark.parametrize("scaling", ["series", "window"])
def test_both_scalings_come_back_and_0_says_the_season_before(tmp_path: Path, scaling: str) -> None:
    field, some = forecaster(tmp_path, scaling=scaling)
    x = field.encode(some)
    assert bool(field.channels[0].scale.context) == (scaling == "window")  # type: ignore[union-attr]
    for one, two in zip(field.decode(x), some, strict=True):
        assert np.allclose(one.channels["temp"], two.channels["temp"], atol=0.011)
    x[:, field.measured, 48:] = 0
    assert field.period == 24
    assert np.allclose(field.numbers(x)[:, 48:], field.numbers(x)[:, 24:48], atol=1e-3)
    known = np.zeros(x.shape, bool)
    known[..., :48] = True
    answers = field.rules()["seasonal_naive"](field.encode(some), known, 19)
    assert np.allclose(field.numbers(answers[9])[:, 48:], field.numbers(x)[:, 24:48], atol=1e-3)
    assert (np.diff(field.numbers(answers)[:, :, 48:], axis=0) >= -1e-9).all()


def test_a_forecast_begins_behind_the_end_and_has_an_interval(tmp_path: Path) -> None:
    field, some = forecaster(tmp_path)
    whole = some[0]
    partial = field.partial([whole])
    assert partial.known[0, 0].sum() == 48
    draws = [field.kept(field.decode(field.encode([some[i]])), [whole])[0] for i in range(19)]
    pooled = field.pooled([[one] for one in draws])
    assert pooled is not None
    assert list(pooled[0].channels) == ["temp", "temp_low", "temp_high"]
    assert pooled[0].times[0] == whole.times[-1] + 3600
    stacked = np.sort(np.stack([one.channels["temp"] for one in draws]), axis=0)
    assert np.allclose(pooled[0].channels["temp_low"], stacked[1])
    assert np.allclose(pooled[0].channels["temp_high"], stacked[17])


def test_cells_that_are_empty_are_filled_and_the_others_stay(tmp_path: Path) -> None:
    chunks, field = read(temperatures(tmp_path / "a.csv"), length=24)
    settled(chunks, field)
    whole = windows(chunks)[0]
    long = Series({"temp": np.arange(60.0)}, np.arange(60.0) * 3600)
    long.channels["temp"][40:44] = np.nan
    partial = field.partial([long])
    assert int((~partial.known).sum()) == 4
    (filled,) = field.kept([whole], [long])
    assert not np.isnan(filled.channels["temp"]).any()
    assert np.array_equal(
        np.delete(filled.channels["temp"], range(40, 44)), np.delete(np.arange(60.0), range(40, 44))
    )
    long.channels["temp"][2] = np.nan
    with pytest.raises(DataError) as raised:
        field.partial([long])
    assert raised.value.code == "gaps-too-far-apart"


@given(st.integers(1, 8), st.integers(1, 8), st.integers(2, 30))
@settings(max_examples=40, deadline=None)
def test_what_is_repeated_is_known(period: int, context: int, size: int) -> None:
    context = min(context, size)
    x = np.arange(float(size))[None, None]
    known = np.arange(size)[None, None] < context
    made = repeated(x, known, period)[0, 0]
    assert np.array_equal(made[:context], x[0, 0, :context])
    assert set(made) <= set(range(context))
    if period <= context < size:
        assert made[context] == context - period


def test_the_calendar_is_read_off_the_times_and_gives_them_back(tmp_path: Path) -> None:
    file = temperatures(tmp_path / "a.csv", 24 * 15)
    codec, source = make_codec("series", {"length": 24}), find(file, "series")
    calendar = codec.fields(source)["calendar"]
    assert isinstance(calendar, CalendarField)
    rows = list(codec.read(source, {"calendar": calendar}, WHOLE))
    values = [one for some in rows for one in some.values["calendar"]]
    calendar.fit(values)
    calendar.settle()
    assert calendar.cycles == ("day", "week", "year")
    for one, two in zip(calendar.decode(calendar.encode(values)), values, strict=True):
        assert np.array_equal(one.times, two.times)


# -- what went wrong -------------------------------------------------------------------------------

HEAD = "@problemName x\n@timeStamps false\n@classLabel true a b\n@data\n"
BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "empty-file"),
    "blank.csv": (b"\n\n\n", "empty-file"),
    "head.csv": (b"time,a\n", "no-time-column"),
    "cut.csv.gz": (b"\x1f\x8b\x08\x00\x00\x00", "damaged-file"),
    "binary.csv": (b"time,a\n\x00\x01\x02\n" * 9, "binary-file"),
    "short.parquet": (b"PAR1\x00\x00", "damaged-file"),
    "no-data.ts": (b"@problemName x\n1,2,3:a\n", "damaged-file"),
    "no-rows.ts": (HEAD.encode(), "no-rows"),
    "stamped.ts": (b"@timeStamps true\n@data\n(0,1),(1,2):a\n", "stamped-values"),
    "latin.ts": ("@problemName ä\n@data\n1,2\n".encode("latin-1"), "wrong-encoding"),
    "zero.ts": (b"@data\n1,\x002\n", "binary-file"),
    "label-only.ts": (HEAD.encode() + b"a\n", "damaged-file"),
    "names.csv": (b'"=cmd|/c",a\n1,2\n3,4\n5,6\n', "no-time-column"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named(tmp_path: Path, name: str) -> None:
    content, code = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as raised:
        read(tmp_path / name)
    assert raised.value.code == code
    assert name in str(raised.value)


def test_a_bad_line_of_a_ts_file_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    lines = ["1,2,3:a", "1,x,3:b", "1,2,3:4,5,6:a", "inf,1,2:a", "7,8,9:b", "1:a"]
    (tmp_path / "a.ts").write_text(HEAD + "\n".join(lines) + "\n")
    chunks, _ = read(tmp_path / "a.ts", length=3)
    reasons = [one.reason for rows in chunks for one in rows.rejected]
    assert [
        word
        for word in ("no number", "dimensions", "infinite", "one step")
        if not any(word in r for r in reasons)
    ] == []
    assert len(windows(chunks)) == 2


def rows_of(n: int = 40) -> list[tuple[str, int]]:
    return list(zip(hours(n), range(n), strict=True))


BAD = {
    "no time": (["a", "b"], [(i, i) for i in range(30)], {}, "no-time-column"),
    "a wrong column": (["time", "a"], rows_of(), {"time": "when"}, "no-such-column"),
    "times that are none": (["time", "a"], [("x", 1), ("y", 2)] * 9, {"time": "time"}, "no-time-column"),
    "times that come twice": (["time", "a"], [*rows_of(), *rows_of()], {}, "times-come-twice"),
    "times in no order": (["time", "a"], rows_of()[::-1], {}, "times-not-in-order"),
    "points": (
        ["time", "x", "a"],
        [(h, f"p{i}", i) for h, i in rows_of()],
        {"group": "x"},
        "series-of-one-point",
    ),
    "nothing measured": (["time"], [(hour,) for hour in hours(30)], {}, "nothing-measured"),
    "a horizon longer than the data": (["time", "a"], rows_of(), {"horizon": 50}, "series-too-short"),
    "windows longer than the data": (["time", "a"], rows_of(), {"length": 50}, "series-too-short"),
}


@pytest.mark.parametrize("what", BAD)
def test_what_is_no_series_is_one_sentence(tmp_path: Path, what: str) -> None:
    head, rows, chosen, code = BAD[what]
    file = table(tmp_path / "a.csv", head, rows)
    with pytest.raises(DataError) as raised:
        read(file, **chosen)
    assert raised.value.code == code
    assert "\n" not in str(raised.value)


def test_a_horizon_needs_something_to_look_back_on() -> None:
    with pytest.raises(RecipeError) as raised:
        make_codec("series", {"length": 10, "horizon": 10})
    assert raised.value.code == "horizon-too-long"


def test_a_few_hours_that_come_twice_are_left_out_with_a_word_of_clocks(tmp_path: Path) -> None:
    rows = rows_of(300)
    rows.insert(101, rows[100])
    chunks, _ = read(table(tmp_path / "a.csv", ["time", "a"], rows), length=12)
    (bad,) = [one for rows in chunks for one in rows.rejected]
    assert "clocks are set back" in bad.reason
    assert len(windows(chunks)) == 300 - 12 + 1


@pytest.mark.parametrize(
    ("steps", "empty", "code"), [(20, 0, "series-too-short"), (200, 30, "horizon-too-long")]
)
def test_what_cannot_be_forecast_is_said(tmp_path: Path, steps: int, empty: int, code: str) -> None:
    field, _ = forecaster(tmp_path)
    values = np.arange(float(steps))
    values[steps - empty :] = np.nan
    with pytest.raises(DataError) as raised:
        field.partial([Series({"temp": values}, np.arange(float(steps)) * 3600)])
    assert raised.value.code == code


def test_a_state_that_training_has_not_seen_is_refused() -> None:
    field = SeriesField(SeriesForm(2, states=("s",)))
    field.fit([Series({"s": np.array(["on", "off"])}, np.arange(2.0))])
    field.settle()
    other = Series({"s": np.array(["on", "of"])}, np.arange(2.0))
    assert field.known([other]) == [False]
    with pytest.raises(DataError) as raised:
        field.encode([other])
    assert raised.value.code == "no-such-value"


def test_a_calibrated_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(size=(400, 5))  # what could be known of it
    true = own + rng.normal(size=own.shape)
    draws = 0.5 * own + 0.2 * rng.normal(size=(19, *own.shape))  # half of it, and far too sure
    known, later, nothing = slice(0, 200), slice(200, 400), np.zeros_like(draws)
    everywhere = np.ones((200, 5), bool)
    found = Calibration.of(draws[:, known], nothing[:, known], true[known], everywhere, apart=200)
    before, after = (
        inside(x[:, later], true[later]).mean() for x in (draws, found.applied(draws, nothing))
    )
    assert before < 0.4
    assert 0.75 < after < 0.85
    assert found.weight == 1.0
    assert Calibration.restored(json.loads(json.dumps(found.json()))) == found


def test_a_calibration_trusts_a_model_as_far_as_it_was_right() -> None:
    rng = np.random.default_rng(0)
    own, noise = rng.normal(size=(2, 300, 4))
    everywhere = np.ones((300, 4), bool)
    answers, before = (
        own + 0.1 * rng.normal(size=(2, 19, 300, 4)) - np.array([0, 1])[:, None, None, None] * own
    )
    assert (
        Calibration.of(answers, before, noise, everywhere, apart=300).weight == 0.0
    )  # it knows nothing
    assert Calibration.of(answers, before, own, everywhere, apart=300).weight == 1.0
    assert Calibration.of(2 * answers, before, own, everywhere, apart=300).weight == 0.5
    nowhere = np.zeros((300, 4), bool)
    assert Calibration.of(answers, before, own, nowhere, apart=300) == Calibration()


def test_of_a_model_that_knows_nothing_the_season_before_answers_alone() -> None:
    draws, season = np.random.default_rng(0).normal(size=(2, 19, 50, 4))
    answers = Calibration(0.0, 1.0).applied(draws, season)
    assert np.allclose(np.sort(answers, axis=0), np.sort(season, axis=0))
    assert (
        np.argsort(answers, axis=0) == np.argsort(draws, axis=0)
    ).all()  # in the order of the model's
    assert np.allclose(Calibration(1.0, 1.0).applied(draws, season), draws)


@pytest.mark.parametrize("scaling", ["series", "window"])
def test_stored_and_written_answers_are_calibrated_alike(tmp_path: Path, scaling: str) -> None:
    field, some = forecaster(tmp_path, scaling=scaling)
    field.recall({"temp": {"weight": 0.3, "scale": 2.0}})
    x, whole = field.partial([some[0]]).x.numpy(), some[0]
    draws = np.repeat(x[None], 19, axis=0)
    draws[:, :, field.measured, 48:] = 2 * np.random.default_rng(0).normal(size=(19, 1, 1, 24))
    stored = field.pooled([field.kept(field.decode(one), [whole]) for one in field.calibrated(draws)])
    written = field.pooled([field.kept(field.decode(one), [whole]) for one in draws], [whole])
    assert stored is not None
    assert written is not None
    plain = field.pooled([field.kept(field.decode(one), [whole]) for one in draws])
    assert plain is not None
    for name in ("temp", "temp_low", "temp_high"):
        found = written[0].channels[name]
        assert np.allclose(stored[0].channels[name], found, atol=0.02)
        assert not np.allclose(plain[0].channels[name], found, atol=0.02)


# -- differences -----------------------------------------------------------------------------------


def prices(file: Path, n: int = 300) -> Path:
    """Two prices that wander over decades together, one of them written twice, and how many were sold."""
    rng = np.random.default_rng(0)
    close = 10 * np.exp((0.03 + 0.05 * rng.normal(size=n)).cumsum() * 0.5)
    opening = close * np.exp(0.002 * rng.normal(size=n))
    sold = rng.integers(0, 900, n)
    columns = zip(hours(n), opening, close, close, sold, strict=True)
    rows = [(hour, f"{a:.6f}", f"{b:.6f}", f"{c:.6f}", d) for hour, a, b, c, d in columns]
    return table(file, ["time", "open", "close", "adjusted", "sold"], rows)


def test_differences_come_back_and_are_white(tmp_path: Path) -> None:
    chunks, field = read(prices(tmp_path / "a.csv"), length=12, scaling="differences")
    some = windows(chunks)
    settled(chunks, field)
    assert not field.warnings()
    plain = settled(*read(tmp_path / "a.csv", length=12))
    assert "codec.scaling=differences" in plain.warnings()[0]
    restored = SeriesField()
    restored.restore(json.loads(json.dumps(field.state())))
    x = restored.encode(some)
    for one, two in zip(restored.decode(x), some, strict=True):
        for name, values in two.channels.items():
            assert np.allclose(one.channels[name], values, rtol=1e-5), name
    changes = x[:, :, 1:].transpose(0, 2, 1).reshape(-1, 4)
    assert np.allclose(np.cov(changes.T)[1:, 1:], np.eye(3), atol=1e-3)
    assert np.abs(changes[:, 0]).max() == 0  # what is written twice is one thing
    assert restored._differences is not None
    assert restored._differences.wanders.tolist() == [True, True, True, False]


def test_channels_that_are_equal_stay_equal_whatever_is_made(tmp_path: Path) -> None:
    chunks, field = read(prices(tmp_path / "a.csv"), length=12, scaling="differences")
    settled(chunks, field)
    x = np.random.default_rng(1).normal(size=(5, field.space.stored, 12)).astype(np.float32)
    for one in field.decode(x):
        assert np.array_equal(one.channels["close"], one.channels["adjusted"])
        assert (one.channels["close"] > 0).all()


def test_differences_of_what_cannot_be_subtracted_are_refused(tmp_path: Path) -> None:
    gappy = table(
        tmp_path / "b.csv", ["time", "a"], [(h, "" if i % 3 else i) for i, h in enumerate(hours(60))]
    )
    chunks, field = read(gappy, length=6, scaling="differences", gaps="unknown")
    with pytest.raises(DataError) as raised:
        settled(chunks, field)
    assert raised.value.code == "differences-of-gaps"
    with pytest.raises(RecipeError) as refused:
        make_codec("series", {"scaling": "differences", "horizon": 3})
    assert refused.value.code == "unknown-scaling"
    chunks, field = read(prices(tmp_path / "a.csv"), length=12, scaling="differences")
    with pytest.raises(DataError) as asked:
        settled(chunks, field).partial(windows(chunks)[:1])
    assert asked.value.code == "gaps-in-differences"


# -- overlaps --------------------------------------------------------------------------------------


def test_windows_are_in_blocks_by_what_they_share() -> None:
    rng = np.random.default_rng(0)
    walks = [rng.normal(size=(200, 2)).cumsum(0) + 50 * i for i in range(2)]
    cut = [(i, at, walk[at : at + 10]) for i, walk in enumerate(walks) for at in range(0, 190, 2)]
    order = rng.permutation(len(cut))
    rounded = np.stack([cut[i][2] for i in order]).astype(np.float32).astype(np.float64)
    found = blocks_of(rounded)
    assert found is not None
    assert found.share == pytest.approx(0.2, abs=0.02)  # two new steps of ten
    number = np.empty(len(cut), dtype=np.int64)
    number[order] = found.number
    for i in range(2):  # in the order of time, one behind the other
        own = number[[j for j, (walk, _, _) in enumerate(cut) if walk == i]]
        assert len(np.flatnonzero(np.diff(own))) == len(set(own.tolist())) - 1
    assert not set(number[:95].tolist()) & set(number[95:].tolist())
    assert np.bincount(number).max() <= len(cut) / 20 + 1
    again = blocks_of(np.stack([one for _, _, one in cut]))
    assert again is not None
    assert sorted(np.bincount(again.number)) == sorted(np.bincount(number))
    assert set(map(tuple, zip(again.number, number, strict=True))) == {
        (i, i) for i in set(number.tolist())
    }


def test_windows_that_share_nothing_are_in_no_blocks() -> None:
    apart = np.random.default_rng(0).normal(size=(300, 10)).cumsum(0).reshape(30, 10, 10)
    assert blocks_of(apart) is None
    assert blocks_of(apart[:1]) is None
    assert blocks_of(apart[:, :1]) is None
    # Of a channel that hardly moves a step or two are alike by chance, half a window is not.
    assert blocks_of(np.random.default_rng(0).integers(0, 9, (200, 24, 1)).astype(float)) is None
    still = blocks_of(np.full((40, 8, 2), np.nan))
    assert still is None or len(still.number) == 40
