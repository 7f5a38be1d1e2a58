"""Where prepared data is kept between runs and for how long, and the digests of files that were read before."""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from filelock import FileLock, Timeout

__all__ = ["KEPT_DAYS", "MEMORY", "cache_home", "file_digests", "forget_unused", "kept_file", "used"]

KEPT_DAYS = 30
"""For so long what nobody uses is kept: copies of a person's data are not to lie about for ever, and another version
of the program makes new ones."""

MEMORY = "memory"
"""The folder of data that was given from memory, and what stands before its name in a recipe."""

FRESH = 2 * 10**9
"""Nanoseconds: a file changed so lately may change again within the resolution of its clock."""
TABLE = "CREATE TABLE IF NOT EXISTS digest (path TEXT PRIMARY KEY, size INT, changed INT, sha256 BLOB)"
Known = dict[str, tuple[int, int, bytes]]
"""By path: size, time of change in nanoseconds, SHA-256."""


def cache_home() -> Path:
    """`$GENWRIGHT_CACHE`, or `genwright` in the user's cache folder. Safe to delete at any time."""
    if folder := os.environ.get("GENWRIGHT_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "genwright"


def kept_file(path: str) -> Path:
    """Where data from memory lies that a recipe names `memory:DIGEST/NAME`."""
    return cache_home() / MEMORY / path.removeprefix(f"{MEMORY}:")


def used(folder: Path) -> None:
    """Note that a folder of the cache was used now."""
    with suppress(OSError):
        os.utime(folder)


def forget_unused() -> None:
    """Delete prepared data and feature extractors that nobody has used for `KEPT_DAYS`, and nobody is making now."""
    home, limit = cache_home(), time.time() - KEPT_DAYS * 24 * 3600
    for folder in (*home.glob("data/*"), *home.glob("extractors/*/*")):
        with suppress(OSError, Timeout):
            if folder.is_dir() and folder.stat().st_mtime < limit:
                with FileLock(folder.with_suffix(".lock"), timeout=0):
                    shutil.rmtree(folder)


def file_digests(files: Sequence[Path]) -> list[bytes]:
    """The SHA-256 of each file's content, remembered by path, size and time of change.

    A file that cannot be read has the system's error number instead.
    """
    known, fresh = _recall(), Known()
    found = [_digest(file, known, fresh) for file in files]
    if fresh:
        _remember(fresh)
    return found


def _digest(file: Path, known: Known, fresh: Known) -> bytes:
    try:
        about = file.stat()
        path = os.fsencode(file.resolve()).hex()  # a name may be no text
        size, changed, sha256 = known.get(path, (-1, -1, b""))
        if (size, changed) == (about.st_size, about.st_mtime_ns):
            return sha256
        with file.open("rb") as stream:
            sha256 = hashlib.file_digest(stream, "sha256").digest()
    except OSError as error:
        return f"unreadable {error.errno}".encode()
    if time.time_ns() - about.st_mtime_ns > FRESH:
        fresh[path] = about.st_size, about.st_mtime_ns, sha256
    return sha256


def _database() -> sqlite3.Connection:
    home = cache_home()
    home.mkdir(parents=True, exist_ok=True)
    return sqlite3.connect(home / "digests.sqlite", timeout=10)


def _recall() -> Known:
    """What is remembered; nothing where the table is not there or damaged, since it only saves time."""
    with suppress(OSError, sqlite3.Error), closing(_database()) as database:
        rows = database.execute("SELECT path, size, changed, sha256 FROM digest")
        return {path: (size, changed, bytes(sha256)) for path, size, changed, sha256 in rows}
    return {}


def _remember(fresh: Known) -> None:
    with suppress(OSError, sqlite3.Error), closing(_database()) as database, database:
        database.execute(TABLE)
        rows = [(path, *about) for path, about in fresh.items()]
        database.executemany("INSERT OR REPLACE INTO digest VALUES (?, ?, ?, ?)", rows)
