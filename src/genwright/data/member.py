"""A file, or a member of an archive that is read in place: one function opens both, and nothing is extracted."""

from __future__ import annotations

import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, NamedTuple

from genwright.data.codec import Rejected
from genwright.errors import DataError

__all__ = ["TAR", "Contents", "File", "Member", "contents", "open_file", "size_of"]

TAR = ".tar"
REST = 2**20
"""Bytes behind the end of an archive that are looked at."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file inside of a `.tar`: `size` bytes from `offset`."""

    archive: Path
    name: str
    offset: int
    size: int

    @property
    def suffix(self) -> str:
        return PurePosixPath(self.name).suffix


File = Path | Member


class Contents(NamedTuple):
    """The files in an archive in their order, and what stands in it and is never read."""

    members: tuple[Member, ...]
    rejected: tuple[Rejected, ...]


@contextmanager
def open_file(file: File) -> Iterator[IO[bytes]]:
    """The bytes of a file or of a member. Raises `OSError`."""
    if isinstance(file, Path):
        with file.open("rb") as stream:
            yield stream
        return
    about = tarfile.TarInfo(file.name)
    about.offset_data, about.size = file.offset, file.size
    try:
        with tarfile.open(file.archive, "r:") as tar:
            inside = tar.extractfile(about)
            assert inside is not None, "of a plain file it never is"
            yield inside
    except tarfile.TarError as error:
        raise OSError(f"{file.archive} has changed since it was looked through: {error}") from None


def size_of(file: File) -> int:
    """In bytes."""
    return file.stat().st_size if isinstance(file, Path) else file.size


def contents(archive: Path) -> Contents:
    """What is in a `.tar`. Raises `DataError` for one that is damaged, cut short or none."""
    try:
        about = archive.stat()
        return _contents(archive, about.st_size, about.st_mtime_ns)
    except (OSError, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{archive} cannot be read as a tar archive ({error}): it is damaged, cut short or packed; get it anew, "
            f"or leave it out",
            code="damaged-archive",
        ) from None


@lru_cache(maxsize=256)
def _contents(archive: Path, size: int, changed: int) -> Contents:
    """Remembered as long as the file is as it was."""
    members, rejected = list[Member](), list[Rejected]()
    with tarfile.open(archive, "r:") as tar:
        while (about := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # which would hold all of them
            name = PurePosixPath(about.name).as_posix()
            if about.size < 0:
                raise ValueError(f"{name} has less than no bytes")
            if about.isdir() or any(part.startswith((".", "__MACOSX")) for part in _shown(name)):
                continue
            if fault := _fault(about, name):
                rejected.append(Rejected(name, fault))
            else:
                members.append(Member(archive, name, about.offset_data, about.size))
    with archive.open("rb") as stream:  # tarfile takes a head that is damaged or missing for the end
        stream.seek(tar.offset)
        rest = stream.read(REST)
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise ValueError(f"it has no proper end at byte {tar.offset:,}")
    return Contents(tuple(members), tuple(rejected))


def _shown(name: str) -> list[str]:
    """The parts of a name that may say that a file is hidden."""
    return [part for part in name.split("/") if part != ".."]


def _fault(about: tarfile.TarInfo, name: str) -> str:
    """Why a member is never read, or ""."""
    if (
        name.startswith("/")
        or PureWindowsPath(name).drive
        or {"..", ""} & {*name.replace("\\", "/").split("/")}
    ):
        return "its name leads out of the archive"
    if not about.isreg() or about.issparse():
        return "it is no plain file but a link, a device or a file with holes, which are not followed"
    return ""
