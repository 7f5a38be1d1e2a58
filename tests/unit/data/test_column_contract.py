"""Every column comes back as it was or says that it does not, and makes nothing that its pattern forbids.

Columns are generated: a way to write values (a *kind*), or two of one kind in their shares, with several ways to
write a missing value and a sentinel. The tables that installed packages bring come after.
"""

from __future__ import annotations

import json
import os
import random
import re
import sysconfig
import uuid
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.api import train
from genwright.data.codec import ReadOptions, Source
from genwright.data.columns.formats import is_missing
from genwright.data.columns.infer import fit_column, restore_column
from genwright.data.columns.types import Column
from genwright.data.dataset import wanted_fields
from genwright.data.source import find
from genwright.data.table.codec import TableCodec
from genwright.errors import DataError
from genwright.space import Real


@dataclass(frozen=True)
class Kind:
    """One way to write values. `mixes`: those of one word stand in one column together."""

    name: str
    draw: Callable[[random.Random], Any]
    valid: Callable[[Any], bool]
    mixes: str = ""


def moment(r: random.Random) -> datetime:
    return datetime(1995, 1, 1) + timedelta(seconds=r.randrange(10**9))


def by_pattern(pattern: str, mixes: str = "", write: Callable[[str], Any] = str) -> Kind:
    def valid(value: Any) -> bool:
        try:
            return write(datetime.strptime(str(value), pattern).strftime(pattern)) == value
        except ValueError:
            return False

    return Kind(pattern, lambda r: write(moment(r).strftime(pattern)), valid, mixes)


def by_regex(name: str, regex: str, draw: Callable[[random.Random], str], mixes: str = "") -> Kind:
    return Kind(name, draw, lambda value: re.fullmatch(regex, value) is not None, mixes)


def number(template: str, places: int, regex: str, scale: float = 3000, mixes: str = "") -> Kind:
    """Positive numbers in a template, written with a comma between thousands where `,` is in it."""
    return by_regex(
        template, regex, lambda r: template.format(round(r.uniform(0, scale), places)), mixes
    )


def bracketed(r: random.Random) -> str:
    x = r.uniform(-900, 900)
    return f"({-x:.2f})" if x < 0 else f"{x:.2f}"


def signed(r: random.Random) -> str:
    x = r.randrange(-400, 400)
    return f"{x:+d}" if x else "0"


def european(r: random.Random) -> str:
    return f"{r.uniform(0, 9000):,.2f}".translate(str.maketrans(",.", ".,")) + " €"


def lasting(r: random.Random, hour: str, minute: str, gap: str = "") -> str:
    """Hours and minutes, of each as many as there are."""
    hours, minutes = r.randrange(24), r.randrange(60)
    parts = [f"{count}{name}" for count, name in ((hours, hour), (minutes, minute)) if count]
    return gap.join(parts) or f"0{minute}"


def iso(r: random.Random) -> str:
    day, clock = r.choice([0, r.randrange(5)]), lasting(r, "H", "M")
    return f"P{f'{day}D' * bool(day)}T{clock}"


def months(r: random.Random) -> str:
    year, month = divmod(r.randrange(1, 72), 12)
    return f"P{f'{year}Y' * bool(year)}{f'{month}M' * bool(month)}"


def week(r: random.Random) -> str:
    year, number, _ = moment(r).isocalendar()
    return f"{year}-W{number:02d}"


def is_week(value: str) -> bool:
    return re.fullmatch(r"\d{4}-W\d\d", value) is not None and 1 <= int(value[6:]) <= 53


TAGS = ["east", "north", "south", "west"]


def tagged(r: random.Random) -> str:
    return "|".join(sorted(r.sample(TAGS, r.randrange(1, 4))))


def is_tagged(value: str) -> bool:
    """Some of the tags, each once, in their order."""
    tags = value.split("|")
    return {*tags} <= {*TAGS} and tags == sorted({*tags})


KINDS = [
    Kind("tags", tagged, is_tagged),
    Kind("list", lambda r: json.dumps(tagged(r).split("|")), lambda v: is_tagged("|".join(json.loads(v)))),
    *map(by_pattern, ["%Y-%m", "%b %Y", "%H:%M:%S", "%H:%M", "%I:%M %p", "%d%b%Y", "%d/%m/%Y"]),
    *map(by_pattern, ["%b %d %Y", "%A, %d %B %Y", "%a %b %d %H:%M:%S %Y", "%I:%M%p", "%Y %b"]),
    *map(by_pattern, ["%d/%b/%Y:%H:%M:%S +0000", "%m/%d/%Y, %I:%M:%S %p", "%b %d %Y %H:%M"]),
    *(by_pattern(p, "moment") for p in ["%Y-%m-%d", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M"]),
    *(by_pattern(f"%d.%m.%Y %H:%M:%S{zone}", "zone") for zone in ["+01:00", "+02:00"]),
    by_pattern("%Y%m%d"),
    by_pattern("%Y%m%d", write=int),
    by_pattern("%Y%m", write=int),
    Kind("week", week, is_week),
    by_regex("quarter", r"\d{4}Q[1-4]", lambda r: f"{r.randrange(1950, 2024)}Q{r.randrange(1, 5)}"),
    by_regex("hhmm", r"(?:[01]\d|2[0-3])[0-5]\d", lambda r: f"{r.randrange(24):02d}{r.randrange(60):02d}"),
    by_regex("duration", r"\d+:[0-5]\d:[0-5]\d", lambda r: f"{r.randrange(60)}:{moment(r):%M:%S}"),
    by_regex("ISO duration", r"P(?!$)([1-9]D)?(T(?!$)(1?[1-9]H|[12]0H|2[1-3]H)?([1-5]?\dM)?)?", iso),
    by_regex("months", r"P([1-9]Y)?((?<=P)0M|([1-9]|1[01])M)?", months),
    by_regex("spoken", r"(\d+h( |$))?([1-5]?\dmin)?", lambda r: lasting(r, "h", "min", " ")),
    by_regex("minutes", r"\d+ min", lambda r: f"{r.randrange(300)} min"),
    number("${:,.2f}", 2, r"\$\d{1,3}(,\d{3})*\.\d\d", mixes="price"),
    number("{:.2f} EUR", 2, r"\d+\.\d\d EUR", mixes="price"),
    number("{:,.0f}", 0, r"\d{1,3}(,\d{3})*", 90_000),
    number("{:.1f} %", 1, r"\d+\.\d %", 100),
    number("{:.1f} kg", 1, r"\d+\.\d kg", 300),
    number("{:.3e}", 9, r"\d\.\d{3}e[+-]\d\d"),
    number("{:.2f}", 2, r"\d+\.\d\d", mixes="decimals"),
    number("{:.1f}", 1, r"\d+\.\d", mixes="decimals"),
    by_regex("brackets", r"\(\d+\.\d\d\)|\d+\.\d\d", bracketed),
    by_regex("signed", r"[+-][1-9]\d*|0", signed),
    by_regex("european", r"\d{1,3}(\.\d{3})*,\d\d €", european),
    Kind("float", lambda r: r.gauss(0, 9), lambda value: isinstance(value, float)),
    Kind("integer", lambda r: r.randrange(10**6), lambda value: type(value) is int),
    by_regex("pressure", r"\d{2,3}/\d{2}", lambda r: f"{r.randrange(80, 190)}/{r.randrange(40, 99)}"),
    by_regex("place", r"-?\d+\.\d{4}, -?\d+\.\d{4}", lambda r: f"{r.uniform(40, 60):.4f}, {r.uniform(-9, 9):.4f}"),
    by_regex("box", r"\d+ x \d+ x \d+ cm", lambda r: " x ".join(str(r.randrange(5, 120)) for _ in range(3)) + " cm"),
    by_regex("zip", r"\d{5}", lambda r: f"{r.randrange(10**5):05d}"),
    by_regex("phone", r"\+49\d{9}", lambda r: f"+49{r.randrange(10**8, 10**9)}"),
    by_regex("code", r"[AB]-\d{6}", lambda r: f"{r.choice('AB')}-{r.randrange(10**6):06d}"),
    by_regex("uuid", r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", lambda r: str(uuid.UUID(int=r.getrandbits(128)))),
    by_regex("version", r"1\.1|1\.10|1\.2", lambda r: r.choice(["1.1", "1.10", "1.2"])),
    by_regex("label", "red| red|green", lambda r: r.choice(["red", " red", "green"])),
    by_regex("truth", "yes|no", lambda r: r.choice(["yes", "no"])),
]  # fmt: skip


@st.composite
def columns(draw: st.DrawFn) -> tuple[list[Any], list[Kind], set[Any]]:
    """Values, the kinds that wrote them, and what else stands among them."""
    kind = draw(st.sampled_from(KINDS))
    others = [other for other in KINDS if kind.mixes and other.mixes == kind.mixes and other != kind]
    kinds = [kind, *draw(st.lists(st.sampled_from(others), max_size=1))] if others else [kind]
    r = random.Random(draw(st.integers(0, 10**6)))
    values = [r.choice(kinds).draw(r) for _ in range(draw(st.integers(80, 160)))]
    extra: list[Any] = []
    if isinstance(values[0], str):
        extra = draw(st.lists(st.sampled_from(["", "NA", "None", "?", " "]), unique=True, max_size=3))
        if kind.mixes == "moment":
            extra += draw(st.lists(st.sampled_from(["9999-12-31", "0001-01-01", "open"]), unique=True))
    elif draw(st.booleans()):
        extra = [None]
    values += [value for value in extra for _ in range(r.randrange(5, 12))]
    r.shuffle(values)
    return values, kinds, set(extra)


def made(column: Column, x: Any, n: int = 200) -> list[Any]:
    """What a model that knows little of a column makes: symbols as they come, numbers beside the scores."""
    rng = np.random.default_rng(0)
    some = rng.permuted(x[rng.integers(len(x), size=n)], axis=0)
    free = [span == Real(1) for span in column.spans]
    some[:, free] = some[:, free] * 0.9 + rng.normal(size=(n, sum(free))) * 0.2
    return column.decode(some, rng)


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(columns())
def test_a_column_comes_back_or_says_that_it_does_not(case):
    values, kinds, extra = case
    column = fit_column("x", values)
    state = json.dumps(column.state(), allow_nan=False)
    x = restore_column(json.loads(state)).encode(values)
    assert x.tobytes() == column.encode(values).tobytes()
    decoded = column.decode(x, np.random.default_rng(0))
    assert [is_missing(v) and v for v in decoded] == [is_missing(v) and v for v in values]
    if column.kind != "identifier" and not column.warnings():
        assert decoded == values
    if column.kind == "identifier":
        assert not {v for v in decoded if not is_missing(v)} & set(values)
    for value in (*decoded, *made(column, x)):
        assert value in extra or any(kind.valid(value) for kind in kinds), f"{value!r} of {column}"


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_a_kind_is_read_without_a_warning(kind):
    r = random.Random(1)
    values = [kind.draw(r) for _ in range(200)]
    column = fit_column("x", values)
    if column.kind == "identifier":
        assert "looks like an identifier" in column.warnings()[0]
    else:
        assert column.decode(column.encode(values), np.random.default_rng(0)) == values
        assert not [w for w in column.warnings() if "could be day/month" not in w]


# -- the tables of installed packages ----------------------------------------------------------------

PACKAGES = Path(sysconfig.get_paths()["purelib"])
TABLES = [
    path
    for folder, _, files in os.walk(PACKAGES)  # one walk for all suffixes: every process collects this
    for file in files
    if file.endswith((".csv", ".csv.gz", ".tsv")) and (path := Path(folder, file)).stat().st_size < 10**6
]


def shape(value: str) -> str:
    """Digits and letters alike, as many as there may be."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"[0-9]+", "9", value))


def codes(value: str) -> str:
    return re.sub(r"\w+", "a", value)


def fitted(file: Path) -> tuple[Any, list[Any]]:
    codec, source, options = TableCodec(), Source(file, (file,), "table", file.name), ReadOptions()
    row = codec.fields(source)["row"]
    chunks = list(codec.read(source, wanted_fields(codec, source, options), options))
    for chunk in chunks:
        row.fit(chunk.values["row"])
    row.settle()
    return row, chunks


REFUSED = {
    r"umath-validation-set-(exp|log)\.csv": "too-many-bad-rows",  # remarks between the rows
    r".*-testset-[12]\.csv": "nothing-to-make",  # a number and a hash of it
    # RDKit's own tests: fingerprints and remarks without a header, and SMILES with a name each
    r"(clustered|FragmentDescriptors)\.(tsv|csv)": "too-many-bad-rows",
    r"fp\.tsv": "twin-columns",
    r"sample_mmps_maxratio\.csv": "no-rows",
    r"wehi_(mols|pains)\.csv": "nothing-to-make",
}
"""Files that are no tables to learn from, and why."""


def refusal(file: Path) -> str | None:
    return next((code for name, code in REFUSED.items() if re.fullmatch(name, file.name)), None)


@pytest.mark.parametrize(
    "file", sorted(TABLES), ids=lambda file: "-".join(file.relative_to(PACKAGES).parts[-2:])
)
def test_a_table_of_a_package_comes_back(file):
    if why := refusal(file):
        with pytest.raises(DataError) as error:
            fitted(file)
        assert error.value.code == why
        return
    row, chunks = fitted(file)
    frame = pd.concat([chunk.values["row"] for chunk in chunks], ignore_index=True)
    assert len(frame.columns) == len(row.columns)
    for name, column in row.columns.items():
        values = frame[name].tolist()
        x = column.encode(values)
        decoded, fresh = column.decode(x, np.random.default_rng(0)), made(column, x)
        assert Counter(filter(is_missing, decoded)) == Counter(filter(is_missing, values))
        if column.kind == "identifier":
            assert not {v for v in decoded if not is_missing(v)} & set(values)
            if decoded[0].startswith(f"{name}-"):  # of no shape of their own, which is said
                assert f"'{name}-000001'" in column.warnings()[0]
                continue
        else:  # one of the rarer texts is drawn for another
            changed = {d for d, v in zip(decoded, values, strict=True) if d != v}
            assert changed <= set(values)
            assert not changed or column.warnings()
        # Letters and digits of a fresh code stand in another order.
        like = codes if column.kind == "identifier" else shape
        allowed = set(map(like, values))
        # A number drawn between others may have a sign that none of these has.
        odd = [v for v in fresh if not {like(v), like(v).lstrip("-")} & allowed]
        assert not odd, f"{name}: {odd[:5]} is none of {sorted(allowed)[:5]}"


# -- what trained models make ------------------------------------------------------------------------

FAMILIES = ["autoregressive", "vae", "diffusion"]


def thousand(file: Path, family: str, folder: Path) -> tuple[Any, pd.DataFrame, pd.DataFrame]:
    """The field of the rows of a file, these, and 1,000 of a model that was trained on them for a moment, as texts."""
    quick = ("train.checks=1", "train.samples=2", "data.val=0", "data.test=0")
    model = train(
        file, family=family, label="", size="xs", steps=150, settings=quick, out=folder / "run"
    )
    (written, *_) = model.sample(1000, seed=1).write(folder / "made", mark=False)
    row = model.pipeline.made
    chunks = TableCodec().read(Source(file, (file,), "table", file.name), {"row": row}, ReadOptions())
    real = pd.concat([chunk.values["row"] for chunk in chunks], ignore_index=True)
    form = row.form
    made = pd.read_csv(
        written, sep=form.delimiter, dtype=str, keep_default_na=False, header=0 if form.header else None
    )
    made.columns = real.columns
    return row, real, made


def check_missing(name: str, real: pd.Series, made: pd.Series) -> None:
    """In their spelling, and about as often."""
    assert {*filter(is_missing, made)} <= {*filter(is_missing, real)}, name
    off = np.mean([*map(is_missing, made)]) - np.mean([*map(is_missing, real)])
    assert abs(off) < 0.15, f"{name}: {off:+.2f} are missing"


@pytest.mark.journey
@pytest.mark.parametrize("family", FAMILIES)
def test_a_trained_model_makes_no_value_that_the_pattern_forbids(family, tmp_path):
    r = random.Random(4)
    by_name = {kind.name: [kind] for kind in KINDS if isinstance(kind.draw(r), str)}
    by_name |= {word: [k for k in KINDS if k.mixes == word] for word in {k.mixes for k in KINDS} - {""}}
    rows = {name: [r.choice(kinds).draw(r) for _ in range(400)] for name, kinds in by_name.items()}
    extra = ["", "NA"]
    for name in ("moment", "price", "truth", "ISO duration", "zip"):
        rows[name] = [r.choice(extra) if k % 7 == 0 else value for k, value in enumerate(rows[name])]
    pd.DataFrame(rows).to_csv(tmp_path / "odd.csv", index=False, sep=";")
    _, real, made = thousand(tmp_path / "odd.csv", family, tmp_path)
    for name, kinds in by_name.items():
        bad = [v for v in made[name] if v not in extra and not any(kind.valid(v) for kind in kinds)]
        assert not bad, f"{name}: {bad[:5]}"
        check_missing(name, real[name], made[name])


@pytest.mark.journey
@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("file", sorted(TABLES), ids=lambda file: file.name)
def test_a_model_of_a_table_of_a_package_makes_what_it_holds(file, family, tmp_path):
    if refusal(file) or find(file).codec != "table" or len(fitted(file)[1][0].values["row"]) < 40:
        return  # of molecules, for one
    row, real, made = thousand(file, family, tmp_path)
    for name in real.columns:
        check_missing(name, real[name], made[name])
        kinds = [
            pd.to_numeric(some[name], errors="coerce").notna().mean() > 0.5 for some in (real, made)
        ]
        assert kinds[0] == kinds[1], f"{name} is of another type"
        # Letters and digits of a fresh code stand in another order.
        like = codes if row.columns[name].kind == "identifier" else shape
        allowed = set(map(like, real[name]))
        odd = [v for v in made[name] if {like(v), like(v).lstrip("-")}.isdisjoint(allowed)]
        assert not odd, f"{name}: {odd[:5]} is none of {sorted(allowed)[:5]}"


def test_the_tables_of_packages_are_found():
    assert {"iris.csv", "wine_data.csv"} <= {file.name for file in TABLES}


def test_a_day_of_a_calendar_is_a_day():
    """Rounding never leaves the month that a number is of."""
    values = [f"{date(2023, 1, 1) + timedelta(days=k):%Y%m%d}" for k in range(0, 700, 3)]
    column = fit_column("day", values)
    for value in column.decode(
        np.linspace(-3, 3, 1000, dtype=np.float32)[:, None], np.random.default_rng(0)
    ):
        assert f"{datetime.strptime(value, '%Y%m%d'):%Y%m%d}" == value
