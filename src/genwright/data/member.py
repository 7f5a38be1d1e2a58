"""Archives, read in place: a `Member` is a path that leads into one, such as `photos.zip/cat/1.png`.

It can be asked whatever a path is asked when it is read, so that nothing else has to know of archives. Nothing is
extracted: no file gets a name that an archive chose. Members of `.zip` and `.tar` are read where they stand; a tar
that is packed as a whole (`.tar.gz`) has no places in it, so that it is unpacked as one file into the cache, which is
deleted when the program ends. The files in a table of Arrow are members of it.
"""

from __future__ import annotations

import atexit
import errno
import io
import lzma
import os
import stat
import struct
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, TYPE_CHECKING, Any, NamedTuple, cast

from genwright.data.arrow import ARROW, HeldFile, held_bytes, held_files
from genwright.data.cache import cache_home
from genwright.data.codec import Rejected
from genwright.data.packed import BROKEN, open_unpacked
from genwright.errors import DataError, GenwrightError

if TYPE_CHECKING:
    SystemPath = Path
else:
    SystemPath = type(Path())

__all__ = ["ARCHIVES", "SHARDS", "Contents", "Entry", "Member", "contents", "is_archive"]

PACKED_TARS = {
    **{".tar.gz": ".gz", ".tgz": ".gz", ".tar.bz2": ".bz2", ".tbz2": ".bz2"},
    **{".tar.xz": ".xz", ".txz": ".xz", ".tar.zst": ".zst"},
}
SHARDS = (".tar", *PACKED_TARS, ARROW)
"""Of files that may hold examples of several fields each."""
ARCHIVES = (*SHARDS, ".zip")
REST = 2**20
"""Bytes behind the end of an archive that are looked at."""
LARGE, GAIN = 2**28, 100
"""Bytes that an archive unpacks to, and how many for one of its own: what is above both may be a bomb."""
WHOLE = 2**26
"""Bytes of a packed member that is unpacked as a whole, so that any place in it is at hand."""
ZIP_HEAD = 30
"""Bytes before the name of a member of a zip, the last four of which say how long that and what follows is."""
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
AWAY = "its name leads out of the archive"
NOT_PLAIN = "it is no plain file but a link, a device or a file with holes, which are not followed"


def is_archive(file: Path) -> bool:
    """Whether a file is called as archives are."""
    return file.name.lower().endswith(ARCHIVES)


class Member(SystemPath):
    """A file or a folder in an archive, which is a folder itself. It is only read."""

    __slots__ = ()

    @property
    def archive(self) -> Path:
        """The file on the disk. Raises `ValueError` where the path leads into none."""
        # A folder holds many files, so that its answer is remembered.
        found = _archive_above(str(self if is_archive(self) else self.parent))
        if found is None:
            raise ValueError(f"{self} leads into no archive")
        return Path(found)

    @property
    def leads_into_archive(self) -> bool:
        """Whether it does, and there is one."""
        found = _archive_above(str(self))
        return found is not None and Path(found).is_file()

    @property
    def inner(self) -> str:
        """The path in the archive; "." for the archive itself."""
        return self.relative_to(self.archive).as_posix()

    @property
    def members(self) -> list[Member]:
        """All files in the archive below this folder, in its order."""
        start = "" if self.inner == "." else f"{self.inner}/"
        inside = contents(self.archive)
        pairs = zip(inside.files, inside.members, strict=True)
        return [member for name, member in pairs if name.startswith(start)]

    def exists(self, **_: Any) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, **_: Any) -> bool:
        return self.inner in contents(self.archive).files

    def is_dir(self, **_: Any) -> bool:
        return self.inner in contents(self.archive).folders

    def iterdir(self) -> Iterator[Member]:  # type: ignore[override]
        for name in contents(self.archive).folders[self.inner]:
            yield self / name

    def stat(self, **_: Any) -> os.stat_result:
        """The archive's, with the size and the kind of this."""
        about = self.archive.stat()
        inside = contents(self.archive)
        kind, size = (stat.S_IFDIR, 0) if self.is_dir() else (stat.S_IFREG, self._entry(inside).size)
        exact = {name: getattr(about, name) for name in ("st_atime_ns", "st_mtime_ns", "st_ctime_ns")}
        return os.stat_result((kind | 0o444, *about[1:6], size, *about[7:10]), exact)

    def _entry(self, inside: Contents) -> Entry:
        try:
            return inside.files[self.inner]
        except KeyError:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self)) from None

    def open(  # type: ignore[override]
        self,
        mode: str = "r",
        buffering: int = -1,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
    ) -> IO[Any]:
        """To be read. Raises `OSError`."""
        assert mode in ("r", "rb", "rt"), "an archive is never written to"
        try:
            inside = contents(self.archive)
            entry = self._entry(inside)
        except GenwrightError as error:
            raise OSError(f"{self.archive} has changed since it was looked through: {error}") from None
        if isinstance(entry.packed, zipfile.ZipInfo):
            stream = _unzipped(self.archive, entry.packed)
        elif entry.packed is not None:
            stream = io.BytesIO(held_bytes(self.archive, entry.packed.row, entry.packed.column))
        else:
            stream = io.BufferedReader(_Part(inside.plain, entry.offset, entry.size))
        return stream if mode == "rb" else io.TextIOWrapper(stream, encoding, errors, newline)


@lru_cache(maxsize=4096)
def _archive_above(path: str) -> str | None:
    """The archive that a path is or leads into: called as one, and no folder."""
    here = Path(path)
    found = (one for one in (here, *here.parents) if is_archive(one) and not one.is_dir())
    return next(map(str, found), None)


# -- what is in it ---------------------------------------------------------------------------------


class Entry(NamedTuple):
    """Where a member stands: `size` bytes from `offset`, what a zip says of it, or a cell of a table."""

    offset: int
    size: int
    packed: zipfile.ZipInfo | HeldFile | None = None


@dataclass(frozen=True)
class Contents:
    """The files in an archive by name, in their order, and what is never read.

    plain  the file that members stand in: the archive, or what it unpacks to
    """

    archive: Path
    plain: Path
    files: Mapping[str, Entry]
    rejected: tuple[Rejected, ...]

    @cached_property
    def members(self) -> tuple[Member, ...]:
        return tuple(Member(self.archive, name) for name in self.files)

    @cached_property
    def folders(self) -> Mapping[str, Collection[str]]:
        """The names in each folder."""
        found: dict[str, dict[str, None]] = {".": {}}
        for name in self.files:
            path = PurePosixPath(name)
            for one in (path, *path.parents[:-1]):
                found.setdefault(one.parent.as_posix(), {})[one.name] = None
        return found


def contents(archive: Path) -> Contents:
    """What is in an archive. Raises `DataError` for one that is damaged, cut short, encrypted or none."""
    archive = Path(archive)
    kind = "zip" if archive.suffix.lower() == ".zip" else "tar"
    try:
        about = archive.stat()
        return _contents(archive, about.st_size, about.st_mtime_ns)
    except (*BROKEN, tarfile.TarError, ValueError, OverflowError, RecursionError) as error:
        raise DataError(
            f"{archive} cannot be read as a {kind} archive ({error}): it is damaged, cut short or packed; get it anew, "
            f"or leave it out",
            code="damaged-archive",
        ) from None


@lru_cache(maxsize=256)
def _contents(archive: Path, size: int, changed: int) -> Contents:
    """Remembered as long as the file is as it was."""
    plain, files, rejected = archive, dict[str, Entry](), list[Rejected]()
    if archive.suffix.lower() == ".zip":
        listed = _of_zip(archive, size)
    elif archive.suffix.lower() == ARROW:
        listed = _of_table(archive)
    else:
        plain = archive if archive.suffix.lower() == ".tar" else _unpacked(archive, size)
        listed = _of_tar(plain)
    for name, found in listed:
        if any(part.startswith((".", "__MACOSX")) for part in _shown(name)):
            continue
        fault = AWAY if _leads_away(name) else found
        if isinstance(fault, str):
            rejected.append(Rejected(name, fault))
        else:
            files[name] = fault
    return Contents(archive, plain, files, tuple(rejected))


def _of_tar(plain: Path) -> Iterator[tuple[str, Entry | str]]:
    """The members of a tar: where each stands, or why it is not read."""
    with tarfile.open(plain, "r:") as tar:
        while (about := tar.next()) is not None:
            tar.members = []  # type: ignore[attr-defined]  # which would hold all of them
            name = PurePosixPath(about.name).as_posix()
            if about.size < 0:
                raise ValueError(f"{name} has less than no bytes")
            if not about.isdir():
                plain_file = about.isreg() and not about.issparse()
                yield name, Entry(about.offset_data, about.size) if plain_file else NOT_PLAIN
    with plain.open("rb") as stream:  # tarfile takes a head that is damaged or missing for the end
        stream.seek(tar.offset)
        rest = stream.read(REST)
    if len(rest) < tarfile.BLOCKSIZE or rest.strip(b"\0"):
        raise ValueError(f"it has no proper end at byte {tar.offset:,}")


def _of_zip(archive: Path, size: int) -> Iterator[tuple[str, Entry | str]]:
    """The members of a zip: what it says of each, or why it is not read."""
    with zipfile.ZipFile(archive) as opened:
        listed = opened.infolist()
    _check_size(archive, sum(info.file_size for info in listed), size)
    end = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise ValueError("its members lie over each other")
        end = info.header_offset + ZIP_HEAD + info.compress_size
    files = [info for info in listed if not info.is_dir()]
    if files and all(info.flag_bits & 1 for info in files):
        raise DataError(
            f"{archive} is encrypted: unpack it with its password, and name the folder",
            code="encrypted-archive",
        )
    for info in files:
        yield PurePosixPath(info.filename).as_posix(), _zipped(info)


def _of_table(file: Path) -> Iterator[tuple[str, Entry | str]]:
    """The files in a table of Arrow, called as those of a shard are."""
    for one in held_files(file):
        field = "." + one.column.replace("/", "-") if one.column else ""
        yield f"{one.row:08d}{field}{one.suffix}", Entry(0, one.size, one)


def _zipped(info: zipfile.ZipInfo) -> Entry | str:
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.flag_bits & 1:
        return "it is encrypted"
    if kind not in (0, stat.S_IFREG):
        return NOT_PLAIN
    if info.compress_type not in METHODS:
        return f"it is packed in a way that is not read here (method {info.compress_type})"
    return Entry(info.header_offset, info.file_size, info)


def _shown(name: str) -> list[str]:
    """The parts of a name that may say that a file is hidden."""
    return [part for part in name.split("/") if part != ".."]


def _leads_away(name: str) -> bool:
    parts = {*name.replace("\\", "/").split("/")}
    return name.startswith("/") or bool(PureWindowsPath(name).drive) or bool({"..", ""} & parts)


def _check_size(archive: Path, unpacked: int, size: int) -> None:
    """Raise `DataError` for what may be made to fill a disk."""
    if unpacked > LARGE and unpacked > GAIN * size:
        raise DataError(
            f"{archive} unpacks from {size >> 10:,} kB to {unpacked >> 20:,} MB or more, and could be a decompression "
            f"bomb: if it is none, unpack it yourself and name the folder",
            code="decompression-bomb",
        )


# -- bytes -----------------------------------------------------------------------------------------


def _unpacked(archive: Path, size: int) -> Path:
    """The tar that is packed in a file, until the program ends. Raises `DataError` where it does not fit."""
    ending = next(packed for tail, packed in PACKED_TARS.items() if archive.name.lower().endswith(tail))
    folder = cache_home() / "unpacked"
    folder.mkdir(parents=True, exist_ok=True)
    number, name = tempfile.mkstemp(".tar", dir=folder)
    plain, written = Path(name), 0
    atexit.register(plain.unlink, missing_ok=True)
    try:
        with os.fdopen(number, "wb") as out, open_unpacked(archive, ending) as stream:
            while block := stream.read(REST):
                written += len(block)
                _check_size(archive, written, size)
                out.write(block)
    except OSError as error:
        plain.unlink()
        if error.errno != errno.ENOSPC:
            raise
        raise DataError(
            f"{archive} does not fit into {folder} when it is unpacked: make room there, or name another folder in "
            f"GENWRIGHT_CACHE",
            code="disk-full",
        ) from None
    return plain


class _Part(io.RawIOBase):
    """`size` bytes of a file, from `offset`."""

    def __init__(self, file: Path, offset: int, size: int) -> None:
        self._file = file.open("rb", buffering=0)
        self._named, self._offset, self._size, self._at = file, offset, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, place: int, whence: int = io.SEEK_SET) -> int:
        self._at = max(0, place + (0, self._at, self._size)[whence])
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = min(len(buffer), max(0, self._size - self._at))
        self._file.seek(self._offset + self._at)
        found = self._file.readinto(memoryview(buffer)[:wanted]) or 0
        if wanted and not found:
            raise OSError(f"{self._named} has changed since it was looked through")
        self._at += found
        return found

    def close(self) -> None:
        self._file.close()
        super().close()


def _unzipped(archive: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    """The bytes of a member of a zip; of a large one that is packed as a stream."""
    if info.file_size > WHOLE:
        return _zip_stream(archive, info)
    return io.BytesIO(_whole(archive, archive.stat().st_mtime_ns, info))


@lru_cache(maxsize=2)
def _whole(archive: Path, changed: int, info: zipfile.ZipInfo) -> bytes:
    """Of the last ones, which may be read piece by piece. Raises `OSError`."""
    try:
        with _zip_stream(archive, info) as stream:
            return stream.read()
    except (zlib.error, lzma.LZMAError, zipfile.BadZipFile, EOFError) as error:
        raise OSError(f"{info.filename} in {archive}: {error}") from None


def _zip_stream(archive: Path, info: zipfile.ZipInfo) -> IO[bytes]:
    """`zipfile` would read the list of all members anew for each."""
    stream = archive.open("rb")
    try:
        stream.seek(info.header_offset)
        head = stream.read(ZIP_HEAD)
        if len(head) < ZIP_HEAD or not head.startswith(b"PK\3\4"):
            raise OSError(f"{archive} has changed since it was looked through")
        stream.seek(sum(struct.unpack("<HH", head[26:])), io.SEEK_CUR)
        return cast(IO[bytes], zipfile.ZipExtFile(stream, "r", info, None, True))
    except BaseException:
        stream.close()
        raise
