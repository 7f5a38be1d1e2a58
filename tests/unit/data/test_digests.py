"""The cache: digests of files that were read before, which save time and are never needed; and how long data stays."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

import pytest
from filelock import FileLock

from genwright.data import cache
from genwright.data.cache import (
    FRESH,
    KEPT_DAYS,
    cache_home,
    file_digests,
    forget_unused,
    used,
)
from genwright.data.codec import ReadOptions
from genwright.data.dataset import make_codec, prepare
from genwright.data.source import find

LONG_AGO = 1_600_000_000 * 10**9
"""Nanoseconds."""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def written(name: str, content: bytes, changed: int = LONG_AGO) -> Path:
    """A file that was last changed at that time."""
    file = Path(name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    os.utime(file, ns=(changed, changed))
    return file


def sha256(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()


def test_a_digest_is_that_of_the_content_in_the_order_asked_for() -> None:
    files = [written(name, name.encode()) for name in ("c", "a", "b/c")]
    for _ in range(2):  # read, and remembered
        assert file_digests(files) == [sha256(b"c"), sha256(b"a"), sha256(b"b/c")]
        assert file_digests(files[::-1]) == [sha256(b"b/c"), sha256(b"a"), sha256(b"c")]
    assert file_digests([]) == []


def test_a_digest_is_remembered_by_path_size_and_time_of_change() -> None:
    """What is remembered is seen by changing a file in a way that all three of them hide."""
    file = written("a", b"old")
    before = file_digests([file])
    written("a", b"new")
    assert file_digests([file]) == before == [sha256(b"old")]
    assert file_digests([file.resolve()]) == before  # whatever the path is written like
    written("a", b"new", LONG_AGO + 1)
    assert file_digests([file]) == [sha256(b"new")]
    written("a", b"longer", LONG_AGO + 1)
    assert file_digests([file]) == [sha256(b"longer")]
    written("a", b"longer", LONG_AGO)
    file.rename("b")
    written("a", b"old", LONG_AGO)
    assert file_digests([Path("a"), Path("b")]) == [sha256(b"old"), sha256(b"longer")]


def test_files_of_one_name_in_other_folders_are_others() -> None:
    """As class folders have them that were unpacked at one time: equal in name, size and time of change."""
    for folder in ("a", "b"):  # the second is asked for when the first is remembered
        file = written(f"{folder}/000.png", folder.encode())
        assert file_digests([file]) == [sha256(folder.encode())]
    assert file_digests([Path("a/000.png"), Path("b/000.png")]) == [sha256(b"a"), sha256(b"b")]


@pytest.mark.parametrize(("age", "remembered"), [(FRESH - 10**8, False), (FRESH + 10**8, True)])
def test_a_file_that_has_just_changed_is_read_again(
    age: int, remembered: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A clock of files may tick every two seconds: a second change within the tick leaves no other trace."""
    monkeypatch.setattr(cache.time, "time_ns", lambda: LONG_AGO + age)
    file = written("a", b"old")
    assert file_digests([file]) == [sha256(b"old")]
    written("a", b"new")
    assert file_digests([file]) == [sha256(b"old" if remembered else b"new")]


def test_a_file_of_the_future_is_read_again() -> None:
    later = time.time_ns() + 10**12
    file = written("a", b"old", later)
    assert file_digests([file]) == [sha256(b"old")]
    written("a", b"new", later)
    assert file_digests([file]) == [sha256(b"new")]


def test_what_cannot_be_read_has_the_number_of_the_error() -> None:
    Path("folder").mkdir()
    missing, folder, fine = file_digests([Path("missing"), Path("folder"), written("a", b"x")])
    assert fine == sha256(b"x")
    assert (missing, folder) == (b"unreadable 2", b"unreadable 21")
    assert file_digests([written("missing", b"here now")]) == [sha256(b"here now")]


def test_a_name_need_not_be_text() -> None:
    name = os.fsdecode(b"\xff\xfe.png")
    try:
        file = written(name, b"x")
    except OSError:
        pytest.skip("no such names on this file system")
    assert file_digests([file]) == file_digests([file]) == [sha256(b"x")]


def no_database(path: Path) -> None:
    path.write_bytes(b"what a pity " * 1000)


def cut_short(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:5000])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def other_columns(path: Path) -> None:
    path.unlink()
    database = sqlite3.connect(path)
    database.execute("CREATE TABLE digest (file TEXT)")
    database.close()


@pytest.mark.parametrize("harm", [no_database, cut_short, empty, a_folder, other_columns])
def test_a_damaged_table_is_no_error(home: Path, harm) -> None:
    files = [written(f"{i}", bytes([i])) for i in range(200)]
    right = [sha256(bytes([i])) for i in range(200)]
    assert file_digests(files) == right
    harm(home / "digests.sqlite")
    for _ in range(2):
        assert file_digests(files) == right


def test_a_cache_that_cannot_be_written_is_no_error(tmp_path: Path, home: Path) -> None:
    home.write_text("a file where the folder should be")
    assert file_digests([written("a", b"x")]) == [sha256(b"x")]


def test_where_the_cache_is(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cache_home().name == "cache"
    monkeypatch.delenv("GENWRIGHT_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_home() == Path("/somewhere/genwright")
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert cache_home() == Path.home() / ".cache" / "genwright"


# -- for how long ----------------------------------------------------------------------------------


def aged(folder: Path, days: float) -> Path:
    """Last used so many days ago."""
    when = time.time() - days * 24 * 3600
    os.utime(folder, (when, when))
    return folder


def kept(kind: str, name: str, days: float) -> Path:
    folder = cache_home() / kind / name
    folder.mkdir(parents=True)
    (folder / "x.npy").write_bytes(b"rows of a person")
    return aged(folder, days)


def test_what_nobody_has_used_for_long_is_forgotten() -> None:
    old = [kept("data", "a", KEPT_DAYS + 1), kept("data", "b.partial", KEPT_DAYS + 1)]
    old.append(kept("extractors/a", "pca-1", KEPT_DAYS + 1))
    young = [kept("data", "c", KEPT_DAYS - 1), kept("extractors/c", "pca-1", KEPT_DAYS - 1)]
    given = kept("memory", "d", KEPT_DAYS + 1)  # of which there is no other copy
    busy = kept("data", "e", KEPT_DAYS + 1)
    with FileLock(busy.with_suffix(".lock")):
        forget_unused()
    assert not any(folder.exists() for folder in old)
    assert all((folder / "x.npy").exists() for folder in (*young, given, busy))
    used(aged(young[0], KEPT_DAYS + 1))
    aged(young[1], KEPT_DAYS + 1)
    forget_unused()
    assert [folder.exists() for folder in young] == [True, False]


def test_data_that_is_opened_stays_and_other_data_goes_when_new_is_prepared(tmp_path: Path) -> None:
    def opened(name: str, rows: int) -> Path | None:
        """What is new in the cache."""
        (tmp_path / name).write_text("x\n" + "\n".join(str(i % 7) for i in range(rows)) + "\n")
        source = find(str(tmp_path / name))
        before = set((cache_home() / "data").glob("*"))
        prepare(source, make_codec(source.codec, {}), {}, ReadOptions())
        return next((f for f in set((cache_home() / "data").glob("*")) - before if f.is_dir()), None)

    first, second = opened("first.csv", 30), opened("second.csv", 31)
    assert first
    assert second
    aged(first, KEPT_DAYS + 1)
    aged(second, KEPT_DAYS + 1)
    assert opened("first.csv", 30) is None  # it was there, and is used
    opened("third.csv", 32)
    assert first.exists()
    assert not second.exists()
