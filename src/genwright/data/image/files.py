"""An album: the pictures of a source, with what is known about each.

Pictures come from files of their own, or many from one `.npz`, `.npy`, IDX file or `.tar`. Labels, captions and further
pictures come from class folders, a sidecar, captions and twin folders, as `labels.py` reads them, and of an
`.npz` every other one-dimensional array as long as the pictures is a label of its name; of IDX files and `.npy` the
labels beside them are `label`.

A file called `sheet.png` is never an example: it is the contact sheet that lies beside generated
pictures. A `.tar` is read in place, as `shards.py` has it, and so are the others, as `archive.py`, `npy.py` and
`idx.py` have it; nothing is unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from genwright.data.codec import Rejected, Source
from genwright.data.image import idx, npy
from genwright.data.image.archive import Archive, opened_npz
from genwright.data.image.ops import Picture, drop_redundant_channels, header_size, open_picture
from genwright.data.labels import FileRow, lacking
from genwright.data.member import SHARDS
from genwright.data.packed import suffix, tail
from genwright.data.shards import laid_out
from genwright.errors import GenwrightError

__all__ = ["PICTURES", "SHEET", "ImageFiles", "Row", "holds_many"]

SHEET = "sheet.png"
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp")


class Row(NamedTuple):
    """A picture, what stands beside it by field, and the name it is known by, without a suffix."""

    picture: Picture
    values: Mapping[str, Any]
    name: str


class ImageFiles:
    """The pictures of a source. `deep`: floats of an array become 16 bits instead of 8. `given`: fields that are
    asked for. `whole`: large ones are read in all their detail, and may have `most` pixels."""

    def __init__(
        self,
        source: Source,
        deep: bool = False,
        given: Sequence[str] = (),
        main: str = "image",
        *,
        whole: bool = False,
        most: int | None = None,
    ) -> None:
        self.deep, self.whole, self.most = deep, whole, most
        files = [path for path in source.files if path.name != SHEET]
        self.arrays = [path for path in files if holds_many(path)]
        packed = any(suffix(path) in SHARDS for path in files)  # beside which nothing else may lie
        loose = files if packed else [path for path in files if not holds_many(path)]
        self.layout = laid_out(source.root, loose, PICTURES, main, given)
        self.name = self.layout.name
        self._folder = source.root.is_dir()

    @property
    def main(self) -> str:
        """The field of the pictures themselves."""
        return self.layout.main

    def labels(self) -> list[str]:
        """The names of all fields beside the pictures, found in folders and in the heads of tables and arrays."""
        found = [*self.layout.names(), *(name for names in self._labels for name in names)]
        return [name for name in dict.fromkeys(found) if name != self.main]

    @cached_property
    def _labels(self) -> list[list[str]]:
        """The names of the labels in each archive."""
        found = []
        for path in self.arrays:
            with suppress(Exception), _opened(path) as archive:  # `rows` tells what is wrong
                found.append(archive.labels)
        return found

    @property
    def loose(self) -> bool:
        """Whether some picture has no label where others have: it lies beside the class folders, or in an archive
        without."""
        return self.layout.loose or any("label" not in names for names in self._labels)

    def companions(self, wanted: Sequence[str]) -> list[Path]:
        """Files beside the others that say something of them."""
        labels = (_labels_of(path) for path in self.arrays)
        return [*self.layout.companions(wanted), *(path for path in labels if path is not None)]

    def count(self, tile: tuple[int, int] | None = None) -> int:
        """How many pictures there are, or tiles of this size, by names and heads alone."""
        if tile is not None and not self.arrays:
            sizes = (header_size(path) for path in self.layout.mains)
            return sum((h // tile[0]) * (w // tile[1]) for h, w in filter(None, sizes))
        found = 0
        for path in self.arrays:
            with suppress(Exception), _opened(path) as archive:  # as above
                found += archive.count
        return found + len(self.layout.mains)

    def rows(self, wanted: Sequence[str], every: int = 1) -> Iterator[Row | Rejected]:
        """Every picture, or each so many-th, with what stands beside it, in the order of the source, or why it
        cannot be used.

        A picture without a value for one of the fields `wanted` cannot.
        """
        yield from self.layout.read(wanted)
        yield from self._lonely_labels()
        taken = {*self.layout.mains[::every]}
        for path in self.layout.files:
            if every > 1 and path not in taken:
                continue
            if (row := self.layout.of(path, wanted)) is not None:
                yield row if isinstance(row, Rejected) else self._from_file(row)
        for path in self.arrays:
            yield from self._from_archive(path, wanted, every)

    def _from_file(self, row: FileRow) -> Row | Rejected:
        pictures: dict[str, Any] = {}
        for field, path in {self.main: row.path, **row.files}.items():
            picture = open_picture(path, self.name(path), whole=self.whole, most=self.most)
            if isinstance(picture, Rejected):
                return picture
            if picture.height == picture.width == 1 and not self._all_dots:
                return Rejected(self.name(path), "a single pixel, among larger pictures")
            pictures[field] = picture
        return Row(pictures.pop(self.main), {**row.values, **pictures}, row.stem)

    @cached_property
    def _all_dots(self) -> bool:
        """Whether no picture has more than one pixel; the first larger one ends the search."""
        sizes = (header_size(path) for path in self.layout.files)
        return not self.arrays and all(size in ((1, 1), None) for size in sizes)

    def _lonely_labels(self) -> Iterator[Rejected]:
        if self._folder:
            for path, pictures in idx.lonely_labels([*filter(idx.holds_pictures, self.arrays)]).items():
                yield Rejected(self.name(path), f"there is no {pictures} beside it")

    def _from_archive(self, path: Path, wanted: Sequence[str], every: int) -> Iterator[Row | Rejected]:
        name, number = self.name(path), 0
        stem = name[: len(name) - len(tail(path))]
        try:
            with _opened(path) as archive:
                for pictures, wrong, columns in archive.chunks(wanted, self.deep):
                    for i, array in enumerate(pictures):
                        labels = {label: values[i] for label, values in columns.items()}
                        missing = lacking(labels, wanted)
                        number += 1
                        if (number - 1) % every:
                            continue
                        if wrong[i]:
                            yield Rejected(f"{name}[{number - 1}]", wrong[i])
                        elif missing is not None:
                            yield Rejected(f"{name}[{number - 1}]", f"it has no {missing!r}")
                        else:
                            height, width = array.shape[:2]
                            picture = Picture(
                                drop_redundant_channels(array), height, width, archive.format
                            )
                            yield Row(picture, labels, f"{stem}-{number - 1}")
        except ValueError as error:
            yield Rejected(name, str(error))
        except GenwrightError:  # of a library that is not installed
            raise
        except Exception as error:  # an archive of damaged bytes may raise anything
            yield Rejected(name, f"damaged, or no .npz archive: {error or type(error).__name__}")


def holds_many(path: Path) -> bool:
    """Whether a file is called as those that hold many pictures in one array."""
    return path.suffix.lower() in (".npz", npy.ENDING) or idx.holds_pictures(path)


def _labels_of(path: Path) -> Path | None:
    """The file beside one of many pictures that holds their labels, if there is one."""
    if idx.holds_pictures(path):
        return idx.labels_of(path)
    return npy.labels_of_array(path) if path.suffix.lower() == npy.ENDING else None


def explains_arrays(file: Path, own: Sequence[Path]) -> bool:
    """Whether a file says what pictures in arrays are."""
    return idx.explains(file, own) or npy.explains_array(file, own)


def _opened(path: Path) -> AbstractContextManager[Archive]:
    if idx.holds_pictures(path):
        return idx.opened_idx(path)
    return npy.opened_npy(path) if path.suffix.lower() == npy.ENDING else opened_npz(path)
