"""Workbooks: what is in a sheet, as the CSV that it would be saved as."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pytest

from genwright.data.codec import Rows
from genwright.data.dataset import make_codec
from genwright.data.source import find
from genwright.errors import DataError
from genwright.experiment import open_data
from genwright.recipe import make_recipe

pytest.importorskip("python_calamine")
pytest.importorskip("pandas")
workbooks = pytest.importorskip("openpyxl")

HEAD = ["id", "price", "day", "at", "ok", "zip", "length", "big"]


def row(i: int) -> list[Any]:
    moment = datetime(2024, 1, 1, i % 24, 5)
    numbers = [i, 1.5 + i, date(2024, 1, 1 + i % 28), moment, i % 2 == 0]
    return [*numbers, f"0213{i % 10}", timedelta(hours=25, seconds=i), 2**40 + i]


def workbook(path: Path, sheets: dict[str, list[list[Any]]]) -> Path:
    book = workbooks.Workbook()
    book.remove(book.active)
    for name, rows in sheets.items():
        sheet = book.create_sheet(name)
        for some in rows:
            sheet.append(some)
    book.save(path)
    return path


def read(path: Path, **options: Any) -> tuple[list[list[str]], list[str], list[str]]:
    """Values, columns and notes."""
    source = find(path, "table")
    codec = make_codec(source.codec, options)
    found: list[Rows] = list(codec.read(source, codec.fields(source)))
    frames = [rows.values["row"] for rows in found]
    return (
        [line for frame in frames for line in frame.values.tolist()],
        list(frames[0].columns),
        found[-1].notes,
    )


def test_a_sheet_of_times_that_go_up_is_the_series_that_its_csv_is(tmp_path):
    days = [(date(2024, 1, 1) + timedelta(days=i), i % 7 + 0.5) for i in range(60)]
    sheets = {"Notes": [["nothing"]], "Sales": [["day", "sold"], *map(list, days)]}
    book = workbook(tmp_path / "a.xlsx", sheets)
    (tmp_path / "a.csv").write_text("day,sold\n" + "".join(f"{day},{sold}\n" for day, sold in days))
    assert find(tmp_path / "a.csv").codec == "series"
    found = []
    for file, options in ((tmp_path / "a.csv", {}), (book, {"sheet": "Sales"})):
        source, codec = find(file, "series"), make_codec("series", options)
        (rows,) = codec.read(source, codec.fields(source))
        found.append([dict(series.channels) for series in rows.values["series"]])
    assert [list(one["sold"]) for one in found[0]] == [list(one["sold"]) for one in found[1]]
    alone = workbook(tmp_path / "b.xlsx", {"Sales": sheets["Sales"]})
    assert find(alone).codec == "series"


def test_values_keep_their_kinds(tmp_path):
    rows = [HEAD, *map(row, range(30)), ["last", None, None, None, None, None, time(8, 15), None]]
    values, columns, notes = read(
        workbook(tmp_path / "a.xlsx", {"Empty": [], "Orders": rows, "More": rows})
    )
    assert columns == HEAD
    assert values[3] == [
        "3",
        "4.5",
        "2024-01-04",
        "2024-01-01 03:05:00",
        "False",
        "02133",
        "25:00:03",
        "1099511627779",
    ]
    assert values[0][3] == "2024-01-01 00:05:00"
    assert values[-1] == ["last", "", "", "", "", "", "08:15:00", ""]
    assert len(values) == 31
    assert any("written as CSV" in note for note in notes)
    assert any("'Orders' is read, and not 'More'" in note for note in notes)


def test_midnight_among_moments_keeps_its_time(tmp_path):
    rows = [["at"], [datetime(2024, 1, 1)], [datetime(2024, 1, 1, 8)], [date(2024, 1, 2)]]
    values, *_ = read(workbook(tmp_path / "a.xlsx", {"a": rows}))
    assert values == [["2024-01-01 00:00:00"], ["2024-01-01 08:00:00"], ["2024-01-02 00:00:00"]]


def test_a_sheet_by_name_and_a_title_above(tmp_path):
    path = workbook(
        tmp_path / "a.xlsx", {"a": [["x"], [1], [2]], "b": [["Report"], [], HEAD, *map(row, range(20))]}
    )
    values, columns, notes = read(path, sheet="b")
    assert (columns, len(values)) == (HEAD, 20)
    assert any("line 2 is taken for the first of the table" in note for note in notes)
    with pytest.raises(DataError, match="has no sheet 'c'; known: a, b") as error:
        read(path, sheet="c")
    assert error.value.code == "no-such-sheet"


def test_columns_have_their_kinds(tmp_path):
    path = workbook(tmp_path / "a.xlsx", {"a": [HEAD, *map(row, range(60))]})
    dataset = open_data(make_recipe(path))[1]
    field = dataset.fields["row"]
    kinds = {name: field.columns[name].kind for name in ("price", "day", "at", "ok", "zip")}
    assert kinds == {
        "price": "continuous",
        "day": "datetime",
        "at": "datetime",
        "ok": "boolean",
        "zip": "categorical",
    }
    assert sum(dataset.stats.counts.values()) == 60
    assert field.form.suffix == ".csv"


def test_calc_writes_them_too(tmp_path):
    """As LibreOffice has it."""
    odf = pytest.importorskip("odf.opendocument")
    from odf.table import Table, TableCell, TableRow
    from odf.text import P

    book = odf.OpenDocumentSpreadsheet()
    sheet = Table(name="Daten")
    for cells in [["n", "town"], *([i, f"town {i}"] for i in range(5))]:
        line = TableRow()
        for value in cells:
            number = isinstance(value, int)
            cell = TableCell(valuetype="float", value=value) if number else TableCell(valuetype="string")
            cell.addElement(P(text=str(value)))
            line.addElement(cell)
        sheet.addElement(line)
    book.spreadsheet.addElement(sheet)
    book.save(str(tmp_path / "a.ods"))
    values, columns, _ = read(tmp_path / "a.ods")
    assert columns == ["n", "town"]
    assert values[4] == ["4", "town 4"]


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        (b"", r"is empty \(0 bytes\)", "empty-file"),
        (b"a,b\n1,2\n", "cannot be read as a workbook", "damaged-file"),
        (
            b"\xd0\xcf\x11\xe0" + "EncryptedPackage".encode("utf-16-le"),
            "is encrypted: save it",
            "encrypted-workbook",
        ),
    ],
)
def test_what_is_no_workbook(tmp_path, content, words, code):
    path = tmp_path / "a.xlsx"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as error:
        read(path)
    assert error.value.code == code


def test_a_workbook_without_rows(tmp_path):
    with pytest.raises(DataError, match="has no sheet with rows") as error:
        read(workbook(tmp_path / "a.xlsx", {"a": [], "b": [["x"]]}))
    assert error.value.code == "empty-file"
