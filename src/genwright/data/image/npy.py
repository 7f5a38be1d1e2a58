"""One array of NumPy in a file of its own, `.npy`: pictures, and in another file beside it their labels.

Labels are a row of values, as many as there are pictures, in `labels.npy` or in a file called as the pictures are: for
`x_train.npy` and `X_train.npy` it is `y_train.npy`, for `train_images.npy` `train_labels.npy`, for any `a.npy` also
`a_labels.npy`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from genwright.data.image.archive import WANTED, Archive, Head, Reader, npy_head

__all__ = ["ENDING", "Npy", "explains_array", "is_array_of_pictures", "labels_of_array", "opened_npy"]

ENDING = ".npy"
LABEL = "label"
_NAMED = (
    (r"(^|[_.-])[xX](?=[_.-]|$)", r"\1y"),
    (r"images?", "labels"),
    (r"$", "_labels"),
    (r"$", "-labels"),
)
"""How the name of labels follows from that of pictures."""


def is_array_of_pictures(file: Path) -> bool:
    """Whether a file is an array with the axes of pictures."""
    with suppress(OSError, ValueError):
        return file.suffix.lower() == ENDING and bool(_head(file).layout)
    return False


def labels_of_array(pictures: Path) -> Path | None:
    """The file of their labels, if there is one."""
    stem = pictures.stem
    names = [re.sub(old, new, stem, count=1) for old, new in _NAMED if re.search(old, stem)]
    files = (pictures.with_name(f"{name}{ENDING}") for name in dict.fromkeys([*names, "labels"]))
    return next((file for file in files if file != pictures and _is_row(file)), None)


def explains_array(file: Path, own: Sequence[Path]) -> bool:
    """Whether a file holds the labels of some of these pictures."""
    arrays = [one for one in own if one.suffix.lower() == ENDING]
    return file.suffix.lower() == ENDING and any(labels_of_array(one) == file for one in arrays)


def _is_row(file: Path) -> bool:
    with suppress(OSError, ValueError):
        head = _head(file)
        return len(head.shape) == 1 and head.dtype.kind in "biufUS"
    return False


def _head(file: Path) -> Head:
    with file.open("rb") as stream:
        return npy_head(stream, file.stat().st_size)


class Npy(Archive):
    """Pictures in one file, and their labels in another. Raises `ValueError` if the first holds none we can read."""

    format = "npy"
    pictures = "images"

    def __init__(self, file: Path) -> None:
        self.file, self.beside, head = file, labels_of_array(file), _head(file)
        if not head.layout:
            rows = ": rows of numbers are a table, as .csv or .parquet" if len(head.shape) == 2 else ""
            raise ValueError(f"no pictures in it: wanted values {WANTED}; found {head}{rows}")
        self.count = head.shape[0]
        self.labels = [] if self.beside is None else [LABEL]

    @contextmanager
    def reader(self, name: str) -> Iterator[Reader]:
        file = self.file if name == self.pictures or self.beside is None else self.beside
        head = _head(file)
        if file != self.file and head.shape != (self.count,):
            raise ValueError(
                f"its file of labels {file.name} holds {head}, and there are {self.count:,} pictures: give each one, "
                f'or take the pictures without labels (--label "")'
            )
        with file.open("rb") as stream:
            stream.seek(head.start)
            yield Reader(head, stream, "it" if file == self.file else f"its file of labels {file.name}")


@contextmanager
def opened_npy(file: Path) -> Iterator[Npy]:
    yield Npy(file)
