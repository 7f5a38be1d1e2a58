"""What a comparison has done, in one file that is replaced as a whole: killed at any moment, it goes on from there.

What is measured in seconds is written down when it is measured and never measured again, so that the table of a
comparison that was cut and went on is made of the same numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from genwright.errors import RunError
from genwright.storage import durable

__all__ = ["Ledger"]

NAME, LOCK = "ledger.json", ".lock"
SCHEMA = 1


class Ledger:
    """Entries by name, JSON values each."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.path = folder, folder / NAME
        self._entries: dict[str, Any] = {}

    @classmethod
    def begin(cls, folder: Path, about: Mapping[str, Any]) -> Ledger:
        """Of a new comparison; `about` is what was asked for. Raises `RunError` where there is something already."""
        if folder.exists() and (not folder.is_dir() or any(p.name != LOCK for p in folder.iterdir())):
            is_one = (folder / NAME).exists()
            way = "go on with the comparison in it by --resume, or " if is_one else ""
            raise RunError(
                f"{folder} exists and is not empty: {way}choose another folder with --out",
                code="folder-occupied",
            )
        ledger = cls(folder)
        try:
            durable.io.mkdir(folder)
        except OSError as error:
            raise durable.explain(error, folder) from error
        ledger.write("about", dict(about) | {"schema": SCHEMA})
        return ledger

    @classmethod
    def resume(cls, folder: Path, about: Mapping[str, Any]) -> Ledger:
        """Of a comparison that goes on. Raises `RunError` where there is none, or where something else was asked."""
        ledger = cls(folder)
        try:
            found = json.loads(ledger.path.read_text(encoding="utf-8"))
            known = dict(found["about"])
        except FileNotFoundError:
            raise RunError(
                f"{folder} holds no comparison to go on with: leave --resume out, or name its folder with --out",
                code="no-comparison",
            ) from None
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            raise RunError(
                f"{ledger.path} cannot be read ({error}): begin a new comparison with another --out",
                code="damaged-comparison",
            ) from error
        if known.pop("schema", None) != SCHEMA:
            raise RunError(
                f"{ledger.path} was written by another version: begin a new comparison with another --out",
                code="damaged-comparison",
            )
        wanted = json.loads(json.dumps(about))
        changed = [name for name in {**known, **wanted} if known.get(name) != wanted.get(name)]
        if "data" in changed:
            raise RunError(
                f"the data has changed since the comparison in {folder} was begun: put it back as it was, or "
                f"begin a new one with another --out",
                code="data-changed",
            )
        if changed:
            raise RunError(
                f"the comparison in {folder} goes on as it began, and {', '.join(changed)} differs: ask for the "
                f"same, or begin a new one with another --out",
                code="resume-changes",
            )
        ledger._entries = found
        return ledger

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one process. Raises `RunError` where another has it."""
        lock = FileLock(self.folder / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            raise RunError(
                f"{self.folder} is in use: another process compares there; wait for it, or choose another folder "
                f"with --out",
                code="run-locked",
            ) from None
        try:
            yield
        finally:
            lock.release()

    def read(self, name: str) -> Any:
        """An entry; None where there is none."""
        return self._entries.get(name)

    def write(self, name: str, entry: Any) -> None:
        """Keep an entry, on the disk too."""
        self._entries[name] = entry
        text = json.dumps(self._entries, indent=1, ensure_ascii=False)
        data = text.encode(errors="backslashreplace") + b"\n"
        try:
            durable.write(self.path, data)
        except OSError as error:
            raise durable.explain(error, self.folder, len(data)) from error

    @property
    def seconds(self) -> float:
        """Of work, in all entries that say some."""
        return sum(
            entry["work"]
            for entry in self._entries.values()
            if isinstance(entry, dict) and isinstance(entry.get("work"), int | float)
        )
