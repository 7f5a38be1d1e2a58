"""Samples to files as they are made: what is written stays, whole, whenever it ends."""

from __future__ import annotations

from collections.abc import Iterator
from glob import escape as glob_escape
from pathlib import Path
from types import TracebackType

from genwright.data.codec import Appender, Rejected
from genwright.data.provenance import mark_files
from genwright.model import Samples

__all__ = ["PART", "ApplyWriter", "SampleWriter", "texts"]

PART = 1024
"""Examples in a folder, where each is a file of its own and there are more."""


class SampleWriter:
    """Writes samples that come some at a time into a folder; a context, at whose end all that came is written.

    Rows and texts are appended to their file. Examples that are files of their own go to folders of 1,024 within
    it if there are more, each with a sheet that shows them.

    n     examples that will come
    mark  say in each file, or in a JSON beside it, that it is synthetic, and by which run and seed
    form  one of the codec's `forms` (None: as the input was)
    name  of the one file that rows and texts go to, without its suffix (empty: the codec's own)
    """

    def __init__(
        self, folder: Path, n: int, *, mark: bool = True, form: str | None = None, name: str = ""
    ) -> None:
        self.folder, self.mark, self.form, self.name = folder, mark, form, name
        self.written = 0
        self.files: list[Path] = []
        """Of the first part, the one that shows them all first."""
        self._parts = n > PART
        self._held: list[Samples] = []
        self._appender: Appender | None = None

    def add(self, samples: Samples) -> None:
        if self._appender is None and not self._held and samples.sources is None:
            self._appender = samples.codec.appender(samples.fields, self.folder, self.form, self.name)
        if self._appender is None:
            self._held.append(samples)
            if sum(map(len, self._held)) >= PART:
                self._write_held()
            return
        files = self._appender.add(samples.values)
        if not self.written and self.mark and samples.provenance is not None:
            mark_files(files, samples.provenance, self.folder)
        self.files, self.written = files, self.written + len(samples)

    def _write_held(self) -> None:
        samples, self._held = Samples.joined(self._held), []
        folder = self.folder / f"from-{self.written:07d}" if self._parts else self.folder
        files = samples.write(folder, mark=self.mark)
        self.files, self.written = self.files or files, self.written + len(samples)

    def __enter__(self) -> SampleWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        if self._held:
            self._write_held()
        if self._appender is not None:
            self._appender.close()


class ApplyWriter:
    """Writes what is made of files under their names as it comes, and counts what was left out. Nothing is
    overwritten. Rows go to one file for each that they are of.

    name  of the only such file, without its suffix (empty: that of the file that they are of)
    """

    def __init__(self, folder: Path, *, mark: bool = True, name: str = "") -> None:
        self.folder, self.mark, self.name = folder, mark, name
        self.made = self.left = 0
        self.first: Path | None = None
        self.notes: list[str] = []
        self._name = ""
        self._rows: Appender | None = None

    def taken(self, name: str) -> bool:
        """Whether there is a file of that name already."""
        place = self.folder / (self.name or name)
        return any(place.parent.glob(f"{glob_escape(place.name)}.*"))

    def add(self, one: Samples | Rejected) -> None:
        if isinstance(one, Rejected):
            self.left += 1
            self.notes.append(f"left out: {one.name}: {one.reason}")
            return
        self.notes += [note for note in one.notes if note not in self.notes]
        files = one.save(self.folder, mark=self.mark) if one.file is None else self._behind(one)
        self.first = self.first or files[0]
        self.made += len(one)

    def _behind(self, rows: Samples) -> list[Path]:
        assert rows.file is not None
        if self._rows is None or rows.names[0] != self._name:
            self.close()
            self._name = rows.names[0]
            place = self.folder / (self.name or self._name)
            self._rows = rows.codec.rewriter(rows.file, place.parent, place.name)
            assert self._rows is not None
            files = self._rows.add({rows.make: rows.values[rows.make]})
            if self.mark and rows.provenance is not None:
                mark_files(files, rows.provenance, self.folder)
            return files
        return self._rows.add({rows.make: rows.values[rows.make]})

    def close(self) -> None:
        if self._rows is not None:
            self._rows.close()
        self._rows = None


def texts(parts: Iterator[Samples | Rejected]) -> Iterator[tuple[str, bool]]:
    """Texts that are made, as they come, and what is to be said of them, once: each with whether it is such a note."""
    said = set[str]()
    for one in parts:
        for note in [f"left out: {one.name}: {one.reason}"] if isinstance(one, Rejected) else one.notes:
            if note not in said:
                yield note, True
            said.add(note)
        if not isinstance(one, Rejected):
            yield from ((text, False) for text in one.values[one.make])
