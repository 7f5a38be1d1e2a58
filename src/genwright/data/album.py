"""An album: the pictures of a source, with what is known about each.

Pictures come from files of their own, or many from one `.npz`; labels come from three places:

    class folders   the first folder below the root is the label `label`
    a sidecar       `labels.csv` or `metadata.csv` in the root: a column `file`, `filename`, `file_name`
                    or `image` names each picture, every other column is a label (and wins over folders)
    an `.npz`       every other one-dimensional array as long as the pictures is a label of its name

A file called `sheet.png` is never an example: it is the contact sheet that lies beside generated
pictures. An `.npz` is read in place, in order and a few pictures at a time; nothing is unpickled.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np

from genwright.data.codec import Array, Bad, Source
from genwright.data.pictures import (
    MOST_PIXELS,
    Picture,
    header_size,
    is_unit,
    open_picture,
    plain,
    to_unsigned,
)
from genwright.errors import DataError

__all__ = ["CHUNK", "CHUNK_BYTES", "SHEET", "SIDECARS", "Album", "Archive", "Row", "Sidecar"]

SHEET = "sheet.png"
SIDECARS = ("labels.csv", "metadata.csv")
FILE_COLUMNS = ("file", "filename", "file_name", "image")
ARRAYS = ("images", "x", "data", "arr_0")
CHUNK = 256
"""Pictures in memory at a time, as long as they take no more than"""
CHUNK_BYTES = 64 * 2**20

Row = tuple[Picture, Mapping[str, Any]]
"""A picture and its labels."""


class Album:
    """The pictures under a source and their labels. `deep`: floats of an `.npz` become 16 bits, not 8."""

    def __init__(self, source: Source, deep: bool = False) -> None:
        self.deep = deep
        self.root = source.root if source.root.is_dir() else source.root.parent
        self.files = [path for path in source.files if path.name != SHEET]
        self.pictures = [path for path in self.files if path.suffix.lower() != ".npz"]
        here = source.root.is_dir() and bool(self.pictures)
        self.sidecar = Sidecar.find(source.root) if here else None

    def labels(self) -> list[str]:
        """The names of all labels, from folders, the sidecar's head and the heads of arrays."""
        found = list(self.sidecar.columns) if self.sidecar else []
        if any("/" in self.name(path) for path in self.pictures):
            found.append("label")
        for path in self.files:
            if path not in self._loose:
                try:
                    with Archive(path, self.deep) as archive:
                        found += archive.labels
                except _UNREADABLE:
                    continue  # `rows` will say so
        return list(dict.fromkeys(found))

    def rows(self, wanted: Sequence[str]) -> Iterator[Row | Bad]:
        """Every picture in the order of the source, with at least the labels `wanted`, or why not."""
        unnamed = self.sidecar.rows() if self.sidecar and wanted is not None else {}
        if self.sidecar:
            yield from self.sidecar.bad
            known = {self.name(path) for path in self.pictures}
            yield from (
                Bad(name, f"named in {self.sidecar.path.name}, but there is no such picture")
                for name in unnamed
                if name not in known and Path(name).name != SHEET
            )
        for path in self.files:
            if path in self._loose:
                yield self._picture(path, unnamed, wanted)
            else:
                yield from self._archive(path, wanted)

    def name(self, path: Path) -> str:
        """How a person and the sidecar call a file: its path below the root."""
        return path.relative_to(self.root).as_posix() if path.is_relative_to(self.root) else path.name
