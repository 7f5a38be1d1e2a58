"""Tables and queries of a database, which is only read: SQLite by Python itself, all others by SQLAlchemy.

A value becomes the text that a CSV of the table would have, and NULL an empty one.
"""

from __future__ import annotations

import re
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

from genwright.address import conceal, is_url, password_of
from genwright.data.member import Member
from genwright.data.table.frames import TableFormat
from genwright.errors import DataError, GenwrightError, RecipeError, missing_extra, suggest

if TYPE_CHECKING:
    SystemPath = Path
else:
    SystemPath = type(Path())

__all__ = ["DATABASES", "Address", "count_rows", "form_of", "is_database", "placed", "records"]

DATABASES = (".sqlite", ".sqlite3", ".db", ".db3")
MAGIC = b"SQLite format 3\0"
PACKAGES = {
    **{"psycopg2": "psycopg2-binary", "psycopg": "psycopg[binary]", "MySQLdb": "mysqlclient"},
    **{"pymysql": "PyMySQL", "mariadb": "mariadb", "snowflake": "snowflake-sqlalchemy"},
}
"""What installs the modules of drivers that are not called as their packages."""
_SQLITE = re.compile(r"sqlite:///(.+)")
_QUIET = re.compile(r"--[^\n]*|/\*.*?\*/|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"", re.S)
"""Comments and quoted texts of SQL, in which no word counts."""


class Address(SystemPath):
    """A database that is no file, in the place of one; `str` of it is its address without a password."""

    url: str

    def __new__(cls, url: str) -> Address:
        found = super().__new__(cls, url)
        found.url = url
        return found

    def __init__(self, url: str) -> None:
        if sys.version_info >= (3, 12):
            super().__init__(url)

    def __str__(self) -> str:
        return self.url


def placed(path: str) -> Path | None:
    """Where the database at an address is: in a file, or elsewhere; None for what is no address."""
    if not is_url(path):
        return None
    if found := _SQLITE.fullmatch(path):
        return Path(found[1])
    return Address(conceal(path))


def is_database(file: Path) -> bool:
    """Whether it is an address, or a file of SQLite: others have its suffixes too, and a member of an archive cannot be
    asked in place."""
    if isinstance(file, Address):
        return True
    if isinstance(file, Member) or not file.is_file():
        return False
    with file.open("rb") as stream:
        return stream.read(len(MAGIC)) == MAGIC


def form_of(file: Path, table: str | None, query: str | None) -> TableFormat:
    """The columns of a table, or of what a query gives. Raises `DataError` where there is none such."""
    if table is not None and query is not None:
        raise RecipeError("give codec.table or codec.query, not both", code="contradicting-options")
    with _opened(file) as database:
        if query is None:
            query = f"SELECT * FROM {database.quoted(_table(file, table, database.tables()))}"
        else:
            query = _checked(query)
        columns, _ = _asked(file, database, query)
    if double := sorted({name for name in columns if columns.count(name) > 1}):
        raise DataError(
            f"the query of {file} gives several columns named {', '.join(map(repr, double))}: name them apart with AS",
            code="twin-columns",
        )
    return TableFormat(".csv", tuple(columns), query=query)


def records(file: Path, form: TableFormat, many: int) -> Iterator[Sequence[tuple[str, ...]]]:
    """The rows as texts, so many at a time."""
    with _opened(file) as database:
        _, fetch = _asked(file, database, form.query)
        while rows := fetch(many):
            yield [tuple(map(_text, row)) for row in rows]


def count_rows(file: Path, form: TableFormat) -> int:
    with _opened(file) as database:
        _, fetch = _asked(file, database, f"SELECT COUNT(*) FROM ({form.query}) AS counted")
        return int(fetch(1)[0][0])


def _text(value: Any) -> str:
    if isinstance(value, bytes | memoryview):
        raise DataError(
            "a column holds binary values, which no table can have: leave it out by codec.query",
            code="binary-values",
        )
    return "" if value is None else str(value)


def _table(file: Path, wanted: str | None, names: Sequence[str]) -> str:
    if not names:
        raise DataError(f"{file} holds no table", code="no-such-table")
    if wanted is None and len(names) > 1:
        raise DataError(
            f"{file} holds {len(names)} tables ({', '.join(names[:20])}): choose one with --set "
            f"codec.table={names[0]}, or ask with codec.query",
            code="several-tables",
        )
    if wanted is not None and wanted not in names:
        raise DataError(
            f"{file} has no table {wanted!r}; {suggest(wanted, names)}", code="no-such-table"
        )
    return wanted or names[0]


def _checked(query: str) -> str:
    """A query that only reads, without what ends it. Raises `RecipeError` for another."""
    bare = _QUIET.sub(" ", query).strip().rstrip(";").strip()
    if not re.match(r"(select|with)\b", bare, re.I) or ";" in bare:
        raise RecipeError(
            "codec.query is one SELECT, or WITH ... SELECT: a database is only read here",
            code="no-select",
        )
    return query.strip().rstrip(";")


class _Database(NamedTuple):
    """An open one: the names of its tables, a name in its quotes, and what asks it: columns, and their rows."""

    tables: Callable[[], list[str]]
    quoted: Callable[[str], str]
    ask: Callable[[str], tuple[list[str], Callable[[int], Sequence[Any]]]]


def _asked(
    file: Path, database: _Database, query: str
) -> tuple[list[str], Callable[[int], Sequence[Any]]]:
    try:
        return database.ask(query)
    except Exception as error:  # each driver has its own
        raise DataError(f"{file} refused the query: {_said(error)}", code="query-failed") from None


def _said(error: Exception) -> str:
    """What the driver said, in its first line: the others repeat the query."""
    return (str(getattr(error, "orig", None) or error).strip() or type(error).__name__).splitlines()[0]


@contextmanager
def _opened(file: Path) -> Iterator[_Database]:
    if isinstance(file, Address):
        with _by_library(file) as database:
            yield database
        return
    try:
        connection = sqlite3.connect(f"{file.resolve().as_uri()}?mode=ro", uri=True)
        with closing(connection):
            connection.execute("SELECT name FROM sqlite_master LIMIT 1").fetchall()
            yield _Database(
                lambda: _sqlite_tables(connection), _in_quotes, lambda q: _sqlite(connection, q)
            )
    except sqlite3.Error as error:
        raise DataError(
            f"{file.name} cannot be read, it may be damaged or no SQLite file: {error}",
            code="damaged-file",
        ) from None


def _sqlite(
    connection: sqlite3.Connection, query: str
) -> tuple[list[str], Callable[[int], Sequence[Any]]]:
    cursor = connection.execute(query)
    return [column[0] for column in cursor.description], cursor.fetchmany


def _sqlite_tables(connection: sqlite3.Connection) -> list[str]:
    listed = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
    return [name for (name,) in connection.execute(listed)]


def _in_quotes(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@contextmanager
def _by_library(address: Address) -> Iterator[_Database]:
    try:
        import sqlalchemy
    except ImportError:
        raise missing_extra("reading databases", "sqlalchemy", "sql") from None
    try:
        url = sqlalchemy.make_url(address.url)
        password = password_of(address.url)
        engine = sqlalchemy.create_engine(url.set(password=unquote(password)) if password else url)
    except ModuleNotFoundError as error:
        module = str(error.name).partition(".")[0]
        raise GenwrightError(
            f"{address} needs the driver {module!r}, which is not installed: pip install "
            f"'{PACKAGES.get(module, module)}', or name another as in {url.get_backend_name()}+DRIVER://",
            code="missing-driver",
        ) from None
    except sqlalchemy.exc.ArgumentError as error:  # also of a dialect that is not there
        raise DataError(
            f"{address} is no address of a database ({_said(error)}): wanted sqlite:///FILE, "
            f"postgresql://USER@HOST/NAME or another of SQLAlchemy",
            code="no-such-database",
        ) from None
    try:
        connection = engine.connect()
    except Exception as error:
        raise DataError(f"{address} cannot be reached: {_said(error)}", code="no-connection") from None
    try:
        streamed = connection.execution_options(stream_results=True)

        def ask(query: str) -> tuple[list[str], Callable[[int], Sequence[Any]]]:
            result = streamed.exec_driver_sql(query)
            return list(result.keys()), result.fetchmany

        look = sqlalchemy.inspect(connection)
        yield _Database(
            lambda: [*look.get_table_names(), *look.get_view_names()],
            engine.dialect.identifier_preparer.quote_identifier,
            ask,
        )
    finally:
        connection.rollback()  # whatever a query did
        connection.close()
        engine.dispose()
