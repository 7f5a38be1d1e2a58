"""IDX, the files of MNIST and of what follows it: Fashion-MNIST, KMNIST, EMNIST.

A file is one array: two zero bytes, the type, the number of axes, the length of each in four bytes, and the values, all
big-endian. Its name says what it holds, with a hyphen or a dot, packed or not: `train-images-idx3-ubyte.gz` are
pictures, and `train-labels-idx1-ubyte.gz` beside them their labels. Where each file was unpacked to a folder of its own
name, the labels are looked for in theirs.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from genwright.data.codec import Array
from genwright.data.image.archive import WANTED, Archive, Head, Reader, bomb
from genwright.data.packed import BROKEN, is_packed, open_unpacked, with_packed

__all__ = ["ENDING", "Idx", "explains", "holds_pictures", "labels_of", "lonely_labels", "opened_idx"]

ENDING = ".idx3-ubyte"
LABEL = "label"
TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
NAME = re.compile(r".+[-.]idx(\d)-(ubyte|byte|short|int|float|double)")
MAPPING = "-mapping.txt"
"""What the labels of EMNIST stand for."""


# -- names -------------------------------------------------------------------------------------


def holds_pictures(file: Path) -> bool:
    """Whether a file is called as those of pictures are."""
    return _axes(_plain(file)) in (3, 4)


def labels_of(pictures: Path) -> Path | None:
    """The file of their labels, if there is one."""
    name = _plain(pictures)
    folders = [pictures.parent]
    if pictures.parent.name == name:
        folders.append(pictures.parent.parent / _name_of_labels(name))
    files = (folder / one for folder in folders for one in with_packed(_name_of_labels(name)))
    return next((file for file in files if file.is_file()), None)


def lonely_labels(pictures: Sequence[Path]) -> dict[Path, str]:
    """Labels in the folders of pictures that are of none, and how the pictures would be called."""
    found: dict[Path, str] = {}
    for folder in dict.fromkeys(file.parent for file in pictures):
        names = {file: _plain(file) for file in sorted(folder.iterdir())}
        known = {_name_of_labels(name) for name in names.values() if _axes(name) in (3, 4)}
        for file, name in names.items():
            if _axes(name) == 1 and name not in known and not name.startswith("."):
                found[file] = name.replace("labels", "images").replace("idx1", "idx3")
    return found


def explains(file: Path, own: Sequence[Path]) -> bool:
    """Whether a file says what pictures are: their labels, or what those stand for."""
    name = _plain(file)
    if _axes(name) == 1:
        mine = filter(holds_pictures, own)
        return any(one.parent == file.parent or labels_of(one) == file for one in mine)
    start = name.removesuffix(MAPPING) + "-"
    return name.endswith(MAPPING) and any(
        one.parent == file.parent and one.name.startswith(start) and holds_pictures(one) for one in own
    )


def _plain(file: Path) -> str:
    """The name, without what says that the file is packed."""
    return file.stem if is_packed(file) else file.name


def _axes(name: str) -> int:
    """How many axes a file has by its plain name; 0 where it is called otherwise."""
    found = NAME.fullmatch(name)
    return int(found[1]) if found else 0


def _name_of_labels(name: str) -> str:
    return re.sub(r"idx[34]", "idx1", name.replace("images", "labels"))


# -- values ------------------------------------------------------------------------------------


class Idx(Archive):
    """Pictures in one file, and their labels in another. Raises `ValueError` if the first holds none we can read."""

    format = "idx"
    pictures = "image"

    def __init__(self, file: Path) -> None:
        self.file, self.beside = file, labels_of(file)
        with _reader(file, "it") as pictures:
            head = pictures.head
        if not head.layout:
            raise ValueError(f"no pictures in it: wanted values {WANTED}; found {head}")
        self.count = head.shape[0]
        self.labels = [] if self.beside is None else [LABEL]

    @contextmanager
    def reader(self, name: str) -> Iterator[Reader]:
        if name == self.pictures or self.beside is None:
            with _reader(self.file, "it") as pictures:
                yield pictures
            return
        called = f"its file of labels {self.beside.name}"
        with _reader(self.beside, called) as labels:
            if labels.head.shape != (self.count,):
                raise ValueError(
                    f"{called} holds {labels.head}, and there are {self.count:,} pictures: get both anew, or take "
                    f'the pictures without labels (--label "")'
                )
            yield labels


@contextmanager
def opened_idx(file: Path) -> Iterator[Idx]:
    yield Idx(file)


class _Reader(Reader):
    """Of a file of its own, of which it says what is wrong."""

    def take(self, k: int) -> Array:
        with _named(self.called):
            return super().take(k)

    def finish(self) -> None:
        with _named(self.called):
            super().finish()


@contextmanager
def _reader(file: Path, called: str) -> Iterator[Reader]:
    with _named(called):
        stream = open_unpacked(file)
    with stream:
        with _named(called):
            head = _head(stream, file, called)
        yield _Reader(head, stream, called)


def _head(stream: IO[bytes], file: Path, called: str) -> Head:
    """The head of a file, with every promise checked that can be without its values."""
    magic = stream.read(4)
    if len(magic) < 4 or magic[:2] != b"\0\0" or magic[2] not in TYPES:
        begins = f"it begins with {magic.hex(' ')}" if magic else "it is empty"
        raise ValueError(f"{called} is no IDX file: wanted 00 00 and a type from 08 to 0e, and {begins}")
    lengths = stream.read(4 * magic[3])
    if len(lengths) < 4 * magic[3]:
        raise ValueError(f"{called} is cut short")
    shape = struct.unpack(f">{magic[3]}I", lengths)
    head, size = Head(shape, np.dtype(TYPES[magic[2]]), 4 + len(lengths)), file.stat().st_size
    if not is_packed(file) and head.size != size:
        raise ValueError(f"{called} declares {head} but takes {size} bytes")
    if is_packed(file) and (fault := bomb(head.size, size)):
        raise ValueError(f"{called} {fault}: if it is none, unpack it yourself")
    return head


@contextmanager
def _named(called: str) -> Iterator[None]:
    """Raise `ValueError` in place of what a damaged file raises."""
    try:
        yield
    except BROKEN as error:
        if isinstance(error, OSError) and error.filename is not None:
            raise ValueError(f"{called} cannot be opened: {error.strerror}") from None
        raise ValueError(f"{called} is damaged or cut short: {error}") from None
