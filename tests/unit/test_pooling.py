"""Several draws as one answer: the mean of what a column knows as a number, of all else the most frequent value."""

from __future__ import annotations

import csv
import json
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import genwright
from commands import TINY, call, done, pictures, refused
from genwright.applying import Application
from genwright.data.columns.infer import fit_column
from genwright.data.columns.pooling import pooled_cells
from genwright.data.table.field import RowField
from genwright.model import Model

HEAD = ["x", "n", "day", "took", "kind"]


def _rows() -> list[list[str]]:
    rng, rows = np.random.default_rng(0), []
    for _ in range(200):
        day = date(2020, 1, 1) + timedelta(int(rng.integers(900)))
        took = f"{rng.integers(9)}:{rng.integers(60):02d}:{rng.integers(60):02d}"
        rows.append(
            [f"{rng.normal():.2f}", str(rng.integers(90)), f"{day}", took, "abc"[rng.integers(3)]]
        )
    return rows


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`fill` completes rows, `named` those of a given `kind`, `hole` pictures, `answer` makes texts; gaps.csv lacks
    cells."""
    folder = tmp_path_factory.mktemp("pooling")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows = _rows()
        _write(Path("rows.csv"), rows)
        for i, row in enumerate(rows[:50]):
            for gap in {i % 6, i % 5} - {5}:
                row[gap] = ""
        _write(Path("gaps.csv"), rows[:50])
        task = ("--task", "complete", "--family", "masked")
        for label, out in (("", "fill"), ("kind", "named")):
            done("train", "rows.csv", *task, "--label", label, "--out", out, *TINY)
        pictures(folder / "faces", 24)
        task = ("--task", "restore", "--set", "task.how=inpaint", "--family", "vae", "--label", "")
        done("train", "faces", *task, "--out", "hole", *TINY)
        turns = [{"prompt": f"say {i}", "completion": f"{i} it is"} for i in range(60)]
        Path("turns.jsonl").write_text("".join(json.dumps(turn) + "\n" for turn in turns))
        task = ("--task", "pair", "--make", "completion", "--given", "prompt")
        done("train", "turns.jsonl", *task, "--family", "autoregressive", "--out", "answer", *TINY)
        yield folder


@pytest.fixture
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


def _write(file: Path, rows: list[list[str]]) -> None:
    file.write_text("".join(",".join(row) + "\n" for row in [HEAD, *rows]))


def _read(file: Path) -> list[list[str]]:
    with file.open(newline="") as stream:
        return [*csv.reader(stream)][1:]


def _day(text: str) -> float:
    return date.fromisoformat(text).toordinal()


def _seconds(text: str) -> float:
    hours, minutes, seconds = map(int, text.split(":"))
    return 3600 * hours + 60 * minutes + seconds


MEANT: dict[str, tuple[Callable[[str], float], float]] = {
    "x": (float, 0.01),
    "n": (int, 1.0),
    "day": (_day, 1.0),
    "took": (_seconds, 1.0),
}
"""Of each column of numbers what a cell means, and its step."""


# -- files -----------------------------------------------------------------------------------------


def test_of_nine_tables_one_is_the_mean_and_the_most_frequent(
    there: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("genwright.applying.ROWS", 20)  # several parts, each with seeds of its own
    for way, out in (((), "nine"), (("--pool",), "one")):
        assert call("apply", "fill", "gaps.csv", "--draws", "9", *way, "--out", out).code == 0
    assert sorted(p.name for p in Path("one").iterdir()) == ["gaps.csv", "synthetic.json"]
    before, one = _read(Path("gaps.csv")), _read(Path("one/gaps.csv"))
    nine = [_read(Path(f"nine/gaps-{i}.csv")) for i in range(1, 10)]
    changed = set[str]()
    for row, made in enumerate(one):
        for column, name in enumerate(HEAD):
            cell, drawn = made[column], [table[row][column] for table in nine]
            if before[row][column]:
                assert cell == before[row][column]
            elif name in MEANT:
                meant, step = MEANT[name]
                assert abs(meant(cell) - np.mean([*map(meant, drawn)])) <= step / 2 + 1e-9, (name, drawn)
            else:
                assert cell == max(drawn, key=Counter(drawn).__getitem__), "of several the first"
            if cell != drawn[0]:
                changed.add(name)
    assert changed == {*HEAD}, "it is no single draw"
    (entry,) = json.loads(Path("one/synthetic.json").read_text()).values()
    assert entry["pooled"] == 9
    assert "pooled" not in Path("nine/synthetic.json").read_text()


def test_in_python_and_without_a_number_of_draws(there: Path) -> None:
    model = genwright.load("fill")
    asked: Any = {"draws": 29, "pool": True}
    said, made = (model.apply([Path("gaps.csv")], **how) for how in (asked, {"pool": True}))
    assert said.values["row"].equals(made.values["row"])
    assert len(made) == 50
    assert made.provenance is not None
    assert made.provenance.pooled == 29
    again = genwright.apply("fill", "gaps.csv", draws=29, pool=True)
    assert again.values["row"].equals(made.values["row"])


def test_a_column_that_a_table_lacks_and_a_label_that_is_given(there: Path) -> None:
    Path("narrow.csv").write_text("n,kind,other\n5,a,\n007,,!\n")
    said = call("apply", "named", "narrow.csv", "--draws", "3", "--pool", "--out", "wide")
    assert said.code == 0, said
    head, *rows = Path("wide/narrow.csv").read_text().splitlines()
    assert head == "n,kind,other,x,day,took"
    assert rows[0].startswith("5,a,,")
    assert rows[1].startswith("007,")
    cells = rows[1].split(",")
    assert cells[1] in "abc"
    assert cells[2] == "!"
    assert all(cells[1:])


def test_what_cannot_be_pooled_is_refused_before_anything_is_made(there: Path) -> None:
    words = ["'completion'", "leave --pool out"]
    refused("apply", "answer", "turns.jsonl", "--pool", "--out", "no", words=words)
    refused("apply", "fill", "gaps.csv", "--pool", "--draws", "1", "--out", "no", words=["--draws 1"])
    way = ("--pool", "--require", "n >= 0", "--out", "no")
    refused("apply", "fill", "gaps.csv", *way, words=["--require", "--pool out"])
    assert not Path("no").exists()


def test_progress_counts_the_draws(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[float]()

    @contextmanager
    def making(_: int) -> Iterator[Callable[[float], None]]:
        yield told.append

    monkeypatch.setattr("genwright.cli.main.making", making)
    assert call("apply", "fill", "gaps.csv", "--draws", "5", "--pool", "--out", "told").code == 0
    assert told == pytest.approx([10, 20, 30, 40, 50, 50])


@pytest.mark.parametrize(("run", "file"), [("fill", "gaps.csv"), ("hole", "wide.png")])
def test_nothing_is_made_of_a_part_of_the_draws(there: Path, run: str, file: str) -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[1:19, 3:7] = 255
    for name in ("wide.png", "over.png"):
        Image.fromarray(mask).save(name)
    told = [0.0]
    over = Path("over.png") if run == "hole" else None
    work = Application(genwright.load(run), draws=9, mask=over, pool=True, report=told.append)
    half = 0.5 * (50 if run == "fill" else 1)
    work.stop = lambda: told[-1] > half
    assert list(work.of([Path(file)])) == []
    assert half < told[-1] < 1.5 * half


def test_parts_of_a_table_have_seeds_of_their_own(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("genwright.applying.ROWS", 10)
    Path("same.csv").write_text("x,n,day,took,kind\n" + ",1,,,\n" * 20)
    row = genwright.apply("fill", "same.csv", draws=3, pool=True).values["row"]
    assert row["x"].tolist()[:10] != row["x"].tolist()[10:]


@pytest.mark.parametrize("side", [8, 20])
def test_of_a_picture_each_pixel_is_the_mean(there: Path, side: int) -> None:
    """Of the size of training, and of another one, which is made window by window."""
    pixels = np.random.default_rng(1).integers(0, 256, (side, side), dtype=np.uint8)
    mask = np.zeros((side, side), np.uint8)
    mask[2:5, 3:7] = 255
    for array, name in ((pixels, f"p{side}.png"), (mask, f"m{side}.png")):
        Image.fromarray(array).save(name)
    asked = ("apply", "hole", f"p{side}.png", "--mask", f"m{side}.png", "--draws", "5")
    asked = (*asked, "--set", "temperature=50")
    done(*asked, "--out", f"five-{side}")
    done(*asked, "--pool", "--out", f"one-{side}")
    assert [p.name for p in Path(f"one-{side}").iterdir()] == [f"p{side}.png"]
    five = [_pixels(Path(f"five-{side}/p{side}-{i}.png")).astype(float) for i in range(1, 6)]
    one = _pixels(Path(f"one-{side}/p{side}.png"))
    assert (np.std(five, axis=0)[mask > 0] > 1).all(), "the draws differ"
    assert np.array_equal(one, np.rint(np.mean(five, axis=0)))
    assert np.array_equal(one[mask == 0], pixels[mask == 0])
    with Image.open(f"one-{side}/p{side}.png") as picture:
        assert json.loads(picture.info["Comment"])["pooled"] == 5


def _pixels(file: Path) -> np.ndarray[Any, Any]:
    with Image.open(file) as picture:
        return np.asarray(picture)


def test_a_gap_that_every_draw_leaves_is_told(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("two.csv").write_text(
        "x,n,day,took,kind\n0.1,3,2020-01-01,1:00:00,\n0.1,4,2020-01-01,1:00:00,\n"
    )
    plain, turns = Model.drawn_values, iter(range(3))

    def leaves(model: Model, n: int, asked: Any, *more: Any) -> Any:
        values, places = plain(model, n, asked, *more)
        values["row"]["kind"] = ["b" if next(turns) == 1 else "", ""]
        asked.notes.append("2 rows keep a gap")
        return values, places

    monkeypatch.setattr(Model, "drawn_values", leaves)
    made = genwright.apply("fill", "two.csv", draws=3, pool=True)
    assert made.values["row"]["kind"].tolist() == ["b", ""]
    assert [note for note in made.notes if "gap" in note] == [
        "1 rows keep a gap: every draw says that what belongs there is missing"
    ]


# -- columns ---------------------------------------------------------------------------------------


def _pooled(values: list[Any], *draws: Any) -> Any:
    """One cell of a column that has learnt these values."""
    (value,) = pooled_cells(fit_column("c", values), [[draw] for draw in draws])
    return value


PRICES = [f"${i + 1000:,}.{i % 10}0" for i in range(400)]


@pytest.mark.parametrize(
    ("values", "draws", "answer"),
    [
        ([*range(300)], [1, 2, 2], 2),
        ([i / 8 for i in range(300)], [0.125, 0.25, 0.25], 0.208),
        (PRICES, ["$1,000.00", "$1,001.10"], "$1,000.55"),
        ([1e308 * i / 300 for i in range(300)], [1e308 / 300 * 299] * 9, 1e308 / 300 * 299),
        ([0.1 * i for i in range(300)], [0.1 * 73] * 29, 0.1 * 73),
        # Of few numbers it is one of these.
        ([0.5, 1.5, 4.0] * 50, [0.5, 0.5, 4.0], 1.5),
        # A month is written by its first day, and the nearest is not the one that the mean lies in.
        (
            [f"{y}-{m:02d}" for y in range(1950, 2020) for m in range(1, 13)],
            ["2000-01", "2000-06"],
            "2000-04",
        ),
        (
            [f"{y}Q{q}" for y in range(1900, 2020) for q in range(1, 5)],
            ["2000Q1", "2000Q1", "2000Q2"],
            "2000Q1",
        ),
        # What stands for something else is no number.
        ([*range(60), *[999] * 60], [10, 20, 999], 15),
        ([*range(60), *[999] * 60], [10, 999, 999], 999),
        ([f"{i}" for i in range(60)] + ["unknown"] * 20, ["10", "unknown", "21"], "16"),
        ([f"{i}" for i in range(60)] + ["unknown"] * 20, ["unknown", "unknown", "21"], "unknown"),
        # Missing is no answer while there is one.
        ([f"{i}" for i in range(60)] + [""] * 20, ["", "", "7"], "7"),
        ([f"{i}" for i in range(60)] + [""] * 20, ["", ""], ""),
        (["red", "blue", ""] * 20, ["", "blue", "red", ""], "blue"),
        (["red", "blue"] * 20, ["blue", "red", "red"], "red"),
        ([True, False] * 20, [True, False, False], False),
    ],
)
def test_one_answer_is_one_that_the_column_could_have_written(
    values: list[Any], draws: list[Any], answer: Any
) -> None:
    found = _pooled(values, *draws)
    assert type(found) is type(answer)
    assert found == answer


def test_of_several_formats_the_mean_is_of_the_commonest() -> None:
    values = [f"{i}.5 EUR" for i in range(200)] + [f"${i}.5" for i in range(200)]
    assert _pooled(values, "10.5 EUR", "20.5 EUR", "$90.5") == "15.5 EUR"
    assert _pooled(values, "10.5 EUR", "$20.5", "$30.5") == "$25.5"


def test_an_unknown_column_has_its_most_frequent_value() -> None:
    assert pooled_cells(None, [["1", "x"], ["3", "y"], ["3", "y"]]) == ["3", "y"]


def test_of_the_draws_of_rows_only_the_gaps_are_held() -> None:
    field = RowField()
    made = list[weakref.ref[Any]]()

    def draws() -> Iterator[pd.DataFrame]:
        for i in range(5):
            frame = pd.DataFrame({"a": ["known", "x" if i else "y"]})
            made.append(weakref.ref(frame))
            yield frame
            del frame

    given = pd.DataFrame({"a": ["known", ""]})
    assert field.pooled(draws(), given)["a"].tolist() == ["known", "x"]
    assert sum(one() is not None for one in made) <= 1
