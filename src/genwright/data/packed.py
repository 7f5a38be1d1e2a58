"""Files that are packed one by one, such as `.csv.gz` and `.txt.zst`, read as they are unpacked.

A list of objects in a `.json` is taken for the JSON lines that it could be."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from genwright.data.json_array import HEAD, ArrayLines, begins_array
from genwright.errors import missing_extra

__all__ = [
    "BROKEN",
    "GAIN",
    "PACKED",
    "bare",
    "is_array",
    "is_packed",
    "open_text",
    "open_unpacked",
    "suffix",
    "tail",
    "with_packed",
]

PACKED = (".gz", ".bz2", ".xz", ".zst")
GAIN = 4
"""How many bytes one byte of a packed text is, about."""
BROKEN = (OSError, EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile)
"""What reading a damaged file raises."""


def with_packed(*suffixes: str) -> tuple[str, ...]:
    """Suffixes, alone and with what says that the file is packed behind them."""
    return (*suffixes, *(suffix + packed for suffix in suffixes for packed in PACKED))


_JSON = with_packed(".json")


def is_packed(file: Path) -> bool:
    return file.suffix.lower() in PACKED


def is_array(file: Path) -> bool:
    """Whether a file is a list of objects in JSON, packed or not."""
    if not file.name.lower().endswith(_JSON):
        return False
    try:
        about = file.stat()
        return _begins_array(file, about.st_size, about.st_mtime_ns)
    except BROKEN:
        return False


@lru_cache(maxsize=1 << 12)
def _begins_array(file: Path, size: int, changed: int) -> bool:
    """Of a file as it is now: it is asked for often."""
    with _unpacked(file) as stream:
        return begins_array(stream.read(HEAD))


def bare(file: Path) -> str:
    """The name in lower case, without what says that the file is packed."""
    name = (file.with_suffix("") if is_packed(file) else file).name.lower()
    return f"{name}l" if is_array(file) else name


def tail(file: Path) -> str:
    """What a name ends with, in lower case; `.csv.gz` counts as one."""
    found = [s.lower() for s in file.suffixes[-2:]]
    return "".join(found) if found and found[-1] in PACKED else found[-1] if found else ""


def suffix(file: Path) -> str:
    """The same, and `.jsonl` of a list of objects."""
    found = tail(file)
    return found.replace(".json", ".jsonl") if is_array(file) else found


def open_unpacked(file: Path, how: str | None = None) -> IO[bytes]:
    """The bytes of a file, unpacked where it is packed, and the lines of a list of objects. Raises one of `BROKEN`,
    then or while it is read.

    how  one of `PACKED`, where the name of the file does not end with it
    """
    stream = _unpacked(file, how)
    return io.BufferedReader(ArrayLines(stream)) if how is None and is_array(file) else stream


def open_text(
    file: Path, encoding: str, *, errors: str = "strict", newline: str | None = ""
) -> io.TextIOWrapper:
    """The same, decoded, with the ends of lines as they are unless `newline` says otherwise."""
    return io.TextIOWrapper(open_unpacked(file), encoding=encoding, errors=errors, newline=newline)


def _unpacked(file: Path, how: str | None = None) -> IO[bytes]:
    stream: Any = file.open("rb")
    how = how or file.suffix.lower()
    if how not in PACKED:
        return stream
    try:
        plain = OPENERS[how](stream)
    except BaseException:
        stream.close()
        raise
    return io.BufferedReader(_Unpacked(plain, stream))


def _open_zstd(stream: IO[bytes]) -> Any:
    """By Python 3.14 itself, and before by the library that gives older ones the same."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return import_module(name).open(stream)
        except ModuleNotFoundError:
            continue
    raise missing_extra("reading .zst files", "backports.zstd", "zstd")


OPENERS: dict[str, Callable[[IO[bytes]], Any]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstd,
}


class _Unpacked(io.RawIOBase):
    """What is unpacked from a stream, which is closed with it."""

    def __init__(self, plain: Any, packed: IO[bytes]) -> None:
        self._plain, self._packed = plain, packed

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            return int(self._plain.readinto(buffer))
        except BROKEN:
            raise
        except Exception as error:  # of a library for Zstandard
            raise OSError(str(error)) from None

    def close(self) -> None:
        if not self.closed:
            self._plain.close()
            self._packed.close()
        super().close()
