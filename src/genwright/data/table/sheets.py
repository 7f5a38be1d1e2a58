"""The sheets of a workbook, `.xlsx`, `.xls`, `.xlsb` and `.ods`: read as the CSV that they would be saved as.

A whole number has no decimals there, a day no time of day, and what is empty no text, so that all that is found out
about a CSV holds for a sheet. Formulas have the value that they had when the workbook was saved.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any

from genwright.data.cells import csv_rows
from genwright.errors import DataError, missing_extra, suggest

__all__ = ["SHEETS", "as_csv", "sheet_named"]

SHEETS = (".xlsx", ".xlsm", ".xlsb", ".xls", ".ods")
LARGEST = 10**15
"""Whole numbers up to it are written without an exponent, as a sheet shows them."""


def sheet_named(file: Path, wanted: str | None) -> tuple[str, tuple[str, ...]]:
    """The sheet that is wanted, or the first one with two rows or more, and the others that have as many. Raises
    `DataError` where there is none."""
    with _workbook(file) as book:
        names = list(book.sheet_names)
        if wanted is not None:
            if wanted not in names:
                raise DataError(
                    f"{file.name} has no sheet {wanted!r}; {suggest(wanted, names)}",
                    code="no-such-sheet",
                )
            return wanted, ()
        found = [name for name in names if len(_filled(book, name)) > 1]
    if not found:
        raise DataError(
            f"{file.name} has no sheet with rows: a table has a header and rows", code="empty-file"
        )
    return found[0], tuple(found[1:])


def as_csv(file: Path, sheet: str) -> io.StringIO:
    """The rows of a sheet, separated by commas."""
    about = file.stat()
    return io.StringIO(_as_csv(file, sheet, about.st_size, about.st_mtime_ns), newline="")


@lru_cache(maxsize=2)
def _as_csv(file: Path, sheet: str, size: int, changed: int) -> str:
    """Remembered, since a table is read three times and more."""
    with _workbook(file) as book:
        rows = _filled(book, sheet)
    columns = [_texts(column) for column in zip(*rows, strict=True)]
    return csv_rows(zip(*columns, strict=True))


def _filled(book: Any, sheet: str) -> list[list[Any]]:
    """The rows that are not empty."""
    rows: list[list[Any]] = book.get_sheet_by_name(sheet).to_python(skip_empty_area=True)
    return [row for row in rows if any(value != "" for value in row)]


def _texts(column: Sequence[Any]) -> list[str]:
    """The values of a column as texts: of moments, all have a time of day or none has."""
    timed = any(isinstance(value, datetime) and value.time() != datetime.min.time() for value in column)
    return [_text(value, timed) for value in column]


def _text(value: Any, timed: bool) -> str:
    if isinstance(value, date):
        day = value if isinstance(value, datetime) else datetime.combine(value, datetime.min.time())
        return day.isoformat(" ") if timed else day.date().isoformat()
    if isinstance(value, timedelta):
        minutes, seconds = divmod(round(abs(value.total_seconds())), 60)
        sign = "-" if value < timedelta() else ""
        return f"{sign}{minutes // 60:02}:{minutes % 60:02}:{seconds:02}"
    if isinstance(value, float) and value.is_integer() and abs(value) < LARGEST:
        return str(int(value))
    return str(value)


@contextmanager
def _workbook(file: Path) -> Any:
    try:
        import python_calamine as calamine
    except ImportError:
        raise missing_extra("reading workbooks", "python-calamine", "sheets") from None
    with file.open("rb") as stream:
        try:
            book = calamine.CalamineWorkbook.from_filelike(stream)
        except calamine.PasswordError:
            raise _encrypted(file) from None
        except (calamine.CalamineError, calamine.XmlError, calamine.ZipError) as error:
            stream.seek(0)
            if "EncryptedPackage".encode("utf-16-le") in stream.read():  # Office's container of one
                raise _encrypted(file) from None
            raise DataError(
                f"{file.name} cannot be read as a workbook, it may be damaged or be none: {error}",
                code="damaged-file",
            ) from None
        yield book


def _encrypted(file: Path) -> DataError:
    return DataError(
        f"{file.name} is encrypted: save it without a password, or the sheet as CSV",
        code="encrypted-workbook",
    )
