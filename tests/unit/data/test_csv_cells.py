"""What a spreadsheet would take for a formula: values of the training data stay, texts that are made do not."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from genwright.data.cells import FORMULA, as_text, csv_rows
from genwright.data.columns.field import ColumnField
from genwright.data.image.field import ImageField
from genwright.data.labels import write_beside
from genwright.data.molecule.codec import MoleculeCodec
from genwright.data.table import readers
from genwright.data.table.frames import TableFormat
from genwright.data.text.field import TextField

EVIL = [f"{sign}HYPERLINK(0)" for sign in FORMULA]


def cells(file: Path) -> list[list[str]]:
    with file.open(newline="") as stream:
        return list(csv.reader(stream))[1:]


def test_captions_are_text_and_labels_are_as_they_were(tmp_path):
    picture = np.zeros((2, 2, 1), np.uint8)
    values = {"image": [picture] * len(EVIL), "caption": EVIL, "label": EVIL}
    fields = {"image": ImageField(), "caption": TextField(), "label": ColumnField("label")}
    *_, table = write_beside(values, fields, tmp_path, ImageField, "image")
    found = cells(table)
    assert [row[1:] for row in found] == [[f"'{text}", text] for text in EVIL]


def test_molecules_that_are_none_are_text(tmp_path):
    pytest.importorskip("rdkit", reason="rdkit is not installed")
    codec = MoleculeCodec()
    written = codec.write({"molecule": ["=CC", "CC", "-C", "@"]}, {}, tmp_path)
    assert [row[0] for row in cells(written[-1])] == ["'=CC", "CC", "'-C", "'@"]


def test_the_cells_of_a_table_stay_what_training_held(tmp_path):
    form = TableFormat(".csv", ("x",), delimiter=",", header=True)
    held = EVIL[:5]
    file = readers.write(pd.DataFrame({"x": held}, dtype=object), form, tmp_path)
    assert [row[0] for row in cells(file)] == held


def test_numbers_stay_numbers():
    for value in ("-1", "+3.5e2", "-inf", -4, 2.5, None, "", "a=b", " =1"):
        assert as_text(value) is value


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_line_breaks_of_any_kind_stand_in_quotes(tmp_path: Path, delimiter: str) -> None:
    rows = [["a\rb", "c\nd", "e\r\nf"], ["", '"', f"{delimiter}\r"], ["plain", "plain", "\r\n"]]
    assert (
        list(csv.reader(csv_rows(rows, delimiter).splitlines(keepends=True), delimiter=delimiter))
        == rows
    )
    assert csv_rows(rows[:1], delimiter).endswith("\n")
    assert not csv_rows([["x", "y"]], delimiter).endswith("\r\n")
    form = TableFormat(".csv", ("k", "l", "m"), delimiter=delimiter)
    writer = readers.TableWriter(form, tmp_path)
    writer.add(pd.DataFrame(rows, columns=["k", "l", "m"]))
    writer.close()
    with writer.file.open(newline="") as stream:
        assert list(csv.reader(stream, delimiter=delimiter))[1:] == rows
