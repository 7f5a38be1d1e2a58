"""Databases: tables and queries, only read, and no password anywhere."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import genwright
from commands import call
from genwright import address
from genwright.address import PASSWORD, conceal, password_of
from genwright.data.codec import Rows
from genwright.data.dataset import make_codec
from genwright.data.source import find
from genwright.data.table.sql import Address
from genwright.errors import DataError, GenwrightError, RecipeError
from genwright.experiment import open_data
from genwright.recipe import Recipe, make_recipe

pytest.importorskip("pandas")


def shop(path: Path, n: int = 60) -> Path:
    with closing(sqlite3.connect(path)) as database, database:
        database.execute('CREATE TABLE orders (id INTEGER, price REAL, "the day" TEXT, note TEXT)')
        database.execute("CREATE TABLE towns (name TEXT, picture BLOB)")
        rows = ((i, i / 4, f"2024-01-{1 + i % 28:02}", None if i % 5 else "ab"[i % 2]) for i in range(n))
        database.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)
        database.execute("INSERT INTO towns VALUES ('x', x'00ff')")
        database.execute("CREATE VIEW cheap AS SELECT * FROM orders WHERE price < 5")
    return path


def read(source: Any, **options: Any) -> tuple[list[list[str]], list[str]]:
    codec = make_codec(source.codec, options)
    found: list[Rows] = list(codec.read(source, codec.fields(source)))
    frames = [rows.values["row"] for rows in found]
    return [line for frame in frames for line in frame.values.tolist()], list(frames[0].columns)


@pytest.mark.parametrize("how", ["file", "url"])
def test_a_table_and_a_query(tmp_path, how):
    path = shop(tmp_path / "shop.db")
    source = find(path if how == "file" else f"sqlite:///{path}")
    assert (source.codec, source.name) == ("table", "shop")
    values, columns = read(source, table="orders")
    assert columns == ["id", "price", "the day", "note"]
    assert values[:2] == [["0", "0.0", "2024-01-01", "a"], ["1", "0.25", "2024-01-02", ""]]
    assert make_codec("table", {"table": "orders"}).count(source) == len(values) == 60
    assert len(read(source, table="cheap")[0]) == 20
    asked = (
        'WITH some AS (SELECT id, note AS "a;b" FROM orders) SELECT * FROM some WHERE id > 3; -- done;'
    )
    values, columns = read(source, query=asked)
    assert (columns, len(values)) == (["id", "a;b"], 56)


@pytest.mark.parametrize(
    ("options", "error", "words", "code"),
    [
        ({}, DataError, "holds 3 tables .*choose one with --set codec.table=", "several-tables"),
        ({"table": "order"}, DataError, "has no table 'order'; did you mean 'orders'", "no-such-table"),
        ({"table": "towns"}, DataError, "binary values", "binary-values"),
        (
            {"query": "SELECT x FROM orders"},
            DataError,
            "refused the query: no such column",
            "query-failed",
        ),
        ({"query": "DELETE FROM orders"}, RecipeError, "only read here", "no-select"),
        ({"query": "/* select */ DROP TABLE orders"}, RecipeError, "only read here", "no-select"),
        ({"query": "SELECT 1; DROP TABLE orders"}, RecipeError, "only read here", "no-select"),
        (
            {"query": "WITH a AS (SELECT 1) DELETE FROM orders"},
            DataError,
            "refused the query",
            "query-failed",
        ),
        (
            {"query": "SELECT id, id FROM orders"},
            DataError,
            "several columns named 'id'",
            "twin-columns",
        ),
        ({"query": "SELECT * FROM orders WHERE id < 0"}, DataError, "no rows", "no-rows"),
        ({"query": "SELECT 1", "table": "orders"}, RecipeError, "not both", "contradicting-options"),
    ],
)
def test_what_cannot_be_asked(tmp_path, options, error, words, code):
    path = shop(tmp_path / "shop.db")
    with pytest.raises(error, match=words) as raised:
        read(find(path), **options)
    assert raised.value.code == code
    assert len(read(find(path), table="orders")[0]) == 60, "nothing has changed"


def test_files_that_are_none(tmp_path):
    (tmp_path / "thumbs.db").write_bytes(b"of another thing")
    with pytest.raises(DataError, match="of no kind that is read here"):
        find(tmp_path / "thumbs.db")
    path = shop(tmp_path / "shop.db")
    path.write_bytes(path.read_bytes()[:100] + b"\1" * 5000)
    with pytest.raises(DataError, match="may be damaged") as error:
        read(find(path))
    assert error.value.code == "damaged-file"


def test_what_is_written_last_names_the_data(tmp_path):
    """Also where SQLite keeps it in a file of its own."""
    path, keys = shop(tmp_path / "shop.db"), list[str]()
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=wal")
        for i in (98, 99):
            with database:
                database.execute("INSERT INTO orders VALUES (?, 1, '2024-01-01', 'b')", (i,))
            dataset = open_data(make_recipe(path, settings=["codec.table=orders"]))[1]
            keys.append(dataset.key)
    assert keys[0] != keys[1]
    assert sum(dataset.stats.counts.values()) == 62


def test_trained_and_sampled(tmp_path):
    path = shop(tmp_path / "shop.sqlite")
    model = genwright.train(
        f"sqlite:///{path}",
        out=tmp_path / "run",
        size="xs",
        steps=3,
        settings=["codec.table=orders", "train.checks=1", "train.samples=2", "train.batch_size=8"],
    )
    (file, *_) = model.sample(4, seed=0).write(tmp_path / "made")
    assert file.name == "samples.csv"
    assert file.read_text().splitlines()[0] == "id,price,the day,note"


# -- by SQLAlchemy ---------------------------------------------------------------------------------


def test_another_database(tmp_path):
    """SQLite through the library that reads all others."""
    pytest.importorskip("sqlalchemy")
    path = shop(tmp_path / "shop.db")
    source = find(f"sqlite+pysqlite:///{path}")
    assert isinstance(source.root, Address)
    assert str(source.root) == f"sqlite+pysqlite:///{path}"
    assert read(source, table="orders") == read(find(path), table="orders")
    settings = ["codec.query=SELECT id, note FROM orders"]
    first = open_data(make_recipe(str(source.root), settings=settings))[1]
    assert open_data(make_recipe(str(source.root), settings=settings))[1].key == first.key
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("UPDATE orders SET note = 'c' WHERE id = 7")
    assert open_data(make_recipe(str(source.root), settings=settings))[1].key != first.key
    with pytest.raises(DataError, match="has no table 'order'; did you mean"):
        read(source, table="order")
    with pytest.raises(DataError, match=r"refused the query: no such column: x$"):
        read(source, query="SELECT x FROM orders")
    read(source, query="WITH a AS (SELECT 1 AS b) SELECT * FROM a")


@pytest.mark.parametrize(
    ("url", "words", "code"),
    [
        ("oracle+nodriver://ada@localhost/x", "is no address of a database", "no-such-database"),
        (
            "mysql+pymysql://ada@localhost/x",
            "needs the driver 'pymysql'.*pip install 'PyMySQL'",
            "missing-driver",
        ),
        (
            "postgresql://ada@localhost/x",
            r"pip install 'psycopg(2-binary|\[binary\])'",
            "missing-driver",
        ),
    ],
)
def test_addresses_that_lead_nowhere(url, words, code):
    pytest.importorskip("sqlalchemy")
    with pytest.raises(GenwrightError, match=words) as error:
        read(find(url))
    assert error.value.code == code


# -- passwords -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("postgresql://ada:s3cret@host/shop", "postgresql://ada@host/shop"),
        ("postgresql://ada:s3:c/r?t@host/shop", "postgresql://ada@host/shop"),
        ("mysql+pymysql://ada:s3cret@host:3306/shop?a=b", "mysql+pymysql://ada@host:3306/shop?a=b"),
        ("postgresql://ada@host/shop", "postgresql://ada@host/shop"),
        ("sqlite:///shop.db", "sqlite:///shop.db"),
        ("C:/some@where.csv", "C:/some@where.csv"),
    ],
)
def test_what_is_left_of_an_address(monkeypatch, url, bare):
    assert conceal(url) == bare
    assert Recipe.of({"data": {"path": url}}).data.path == bare
    monkeypatch.setattr(address, "_passwords", {})
    assert conceal(url) == bare
    login, _, _ = url.partition("@")
    assert password_of(bare) == (login.split(":", 2)[2] if url != bare else None)


@pytest.mark.parametrize(
    "url", ["postgresql://ada:s3@cr@host/shop", "mysql://ada:s3cret@host/shop?a=b@c"]
)
def test_where_a_password_ends_is_never_guessed(url):
    with pytest.raises(RecipeError, match="single '@'") as error:
        make_recipe(url)
    assert "s3" not in str(error.value)


def test_a_password_is_used_and_written_nowhere(tmp_path, monkeypatch):
    sqlalchemy = pytest.importorskip("sqlalchemy")
    path, seen = shop(tmp_path / "shop.db"), list[str | None]()
    plainly = sqlalchemy.create_engine

    def engine(url: Any) -> Any:
        seen.append(url.password)
        return plainly(f"sqlite+pysqlite:///{path}")

    monkeypatch.setattr(sqlalchemy, "create_engine", engine)
    url = "postgresql://ada:s3cret%21@host/shop"
    run = tmp_path / "run"
    options = ("--set", "codec.table=orders", "--set", "train.checks=1", "--set", "train.samples=2")
    said = [
        call("look", url, *options[:2]),
        call("train", url, "--out", str(run), "--size", "xs", "--steps", "2", *options),
        call("train", url, "--set", "codec.table=other"),
    ]
    assert [one.code for one in said] == [0, 0, 1]
    assert {*seen} == {"s3cret!"}
    assert not any("s3cret" in one.out + one.err for one in said)
    assert "postgresql://ada@host/shop" in said[0].out
    written = [file for file in [*tmp_path.rglob("*")] if file.is_file()]
    assert not any(b"s3cret" in file.read_bytes() for file in written)
    assert json.loads((run / "recipe.json").read_text())["data"]["path"] == "postgresql://ada@host/shop"


def test_a_password_in_a_variable(monkeypatch):
    monkeypatch.setenv(PASSWORD, "other")
    assert password_of("postgresql://eve@host/shop") == "other"
    with pytest.raises(RecipeError, match="behind the '\\?'") as error:
        make_recipe("postgresql://host/shop?user=a&password=b")
    assert error.value.code == "secret-in-address"
