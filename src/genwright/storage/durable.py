"""Writing one file so that it survives a kill, a full disk and a power cut.

A file is written under a temporary name, in pieces, and flushed to the disk; it is opened again
and must read back as what was meant; then it takes its final name, and the folder is flushed too.
So a name either stands for what it stood for before, or for the whole new file.

Every operation that changes the disk goes through `io`, one small method each. A test replaces it
and can kill the process, fill the disk or cut the power at any single operation.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from genwright.errors import RunError

__all__ = [
    "PIECE",
    "TEMPORARY",
    "Digest",
    "System",
    "append",
    "cut",
    "digest",
    "digest_of",
    "explain",
    "flush",
    "io",
    "readable",
    "reason",
    "write",
]

TEMPORARY = ".tmp"
PIECE = 1 << 20

_FULL = {errno.ENOSPC, errno.EDQUOT}
_FORBIDDEN = {errno.EACCES, errno.EPERM, errno.EROFS}


class System:
    """The operations that change the disk, and the question how much room is left."""

    def open_temp(self, path: Path) -> int:
        """Open a new file for writing. What a killed process left under that name goes first, and
        `O_EXCL` makes sure that a link which somebody planted there is never followed."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        try:
            return os.open(path, flags, 0o666)
        except FileExistsError:
            os.unlink(path)
            return os.open(path, flags, 0o666)

    def open_append(self, path: Path) -> int:
        """Open an existing file to add to it or to cut it; a link to another file is refused."""
        flags = os.O_WRONLY | os.O_APPEND | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
        return os.open(path, flags)

    def write(self, fd: int, piece: memoryview) -> int:
        """Write at most this piece; like the system's own call it may write less and says how much."""
        return os.write(fd, piece)

    def truncate(self, fd: int, size: int) -> None:
        os.ftruncate(fd, size)

    def fsync(self, fd: int) -> None:
        os.fsync(fd)

    def close(self, fd: int) -> None:
        os.close(fd)

    def replace(self, source: Path, target: Path) -> None:
        os.replace(source, target)

    def fsync_dir(self, folder: Path) -> None:
        """Bring the names in a folder to the disk, where the system can (Windows cannot)."""
        if os.name == "nt":
            return
        fd = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(fd)
        except OSError as error:  # some network and shared disks know no fsync of a folder
            if error.errno not in (errno.EINVAL, errno.ENOTSUP):
                raise
        finally:
            os.close(fd)

    def mkdir(self, path: Path) -> None:
        path.mkdir(parents=True, exist_ok=True)

    def unlink(self, path: Path) -> None:
        path.unlink(missing_ok=True)

    def free(self, path: Path) -> int:
        return shutil.disk_usage(path).free


io = System()


@dataclass(frozen=True)
class Digest:
    """What a file must be: its size in bytes, and their hash."""

    sha256: str
    size: int


def digest(path: Path, first: int | None = None) -> Digest:
    """The digest of a file, or of its `first` bytes (of fewer where the file has fewer)."""
    if not path.is_file():  # opening a pipe would wait for ever
        raise FileNotFoundError(errno.ENOENT, "no such file", str(path))
    hashed, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        for piece in _pieces(file, first):
            hashed.update(piece)
            size += len(piece)
    return Digest(hashed.hexdigest(), size)


def digest_of(data: bytes) -> Digest:
    return Digest(hashlib.sha256(data).hexdigest(), len(data))


def write(path: Path, *parts: bytes | memoryview) -> Digest:
    """Write the parts, one after the other, as the file `path`: wholly or not at all.

    Raises `OSError` where the system refuses, and `RunError` where the file does not read back as it
    was written. In both cases the former file stays and no temporary one is left.
    """
    temporary = path.with_name(path.name + TEMPORARY)
    hashed, size = hashlib.sha256(), 0
    try:
        fd = io.open_temp(temporary)
        try:
            for part in parts:
                _write_all(fd, part)
                hashed.update(part)
                size += len(part)
            io.fsync(fd)
        finally:
            io.close(fd)
        meant = Digest(hashed.hexdigest(), size)
        # The bytes may come from memory and not from the disk; this sees what was lost on the way
        # there (a short write, a file another process changed), not a disk that rots.
        if digest(temporary) != meant:
            raise RunError(
                f"{path} did not read back as it was written; check the disk, then try again",
                code="not-read-back",
            )
        io.replace(temporary, path)
    except BaseException:
        with suppress(OSError):
            io.unlink(temporary)
        raise
    io.fsync_dir(path.parent)
    return meant


def append(path: Path, line: bytes) -> None:
    """Add a line to an existing file in one write, or leave the file as it was."""
    fd = io.open_append(path)
    try:
        before = os.fstat(fd).st_size
        try:
            _write_all(fd, line)
        except BaseException:
            with suppress(OSError):
                io.truncate(fd, before)
            raise
    finally:
        io.close(fd)


def cut(path: Path, size: int) -> None:
    """Keep the first `size` bytes of a file, on the disk too."""
    fd = io.open_append(path)
    try:
        io.truncate(fd, size)
        io.fsync(fd)
    finally:
        io.close(fd)


def flush(path: Path) -> None:
    """Bring to the disk what `append` has added."""
    fd = io.open_append(path)
    try:
        io.fsync(fd)
    finally:
        io.close(fd)


def explain(error: OSError, path: Path, needed: int = 0) -> RunError:
    """The sentence for a system's refusal to write in the folder `path`."""
    if error.errno in _FULL:
        # Asked after the partial files are gone: this is what a second attempt would find.
        free = readable(io.free(path)) if path.is_dir() else "too little"
        return RunError(
            f"the disk of {path} is full: {readable(needed)} needed, {free} free; "
            f"make room there, or choose another disk with --out",
            code="disk-full",
        )
    mend = "make it writable" if error.errno in _FORBIDDEN else "mend that"
    return RunError(
        f"cannot write in {path} ({reason(error)}); {mend}, or choose another folder with --out",
        code="not-writable",
    )


def reason(error: OSError) -> str:
    """What the system said, without number and file name."""
    return (error.strerror or str(error)).lower()


def readable(size: float) -> str:
    """A number of bytes as a person reads it: `1.2 GB`."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


def _write_all(fd: int, data: bytes | memoryview) -> None:
    """Write all of it. The system may take less than it is given; a piece at most is given at once."""
    view = memoryview(data)
    while len(view):
        written = io.write(fd, view[:PIECE])
        if written <= 0:
            raise OSError(errno.EIO, "the system wrote nothing")
        view = view[written:]


def _pieces(file: BinaryIO, limit: int | None) -> Iterator[bytes]:
    left = limit
    while piece := file.read(PIECE if left is None else min(PIECE, left)):
        left = None if left is None else left - len(piece)
        yield piece
