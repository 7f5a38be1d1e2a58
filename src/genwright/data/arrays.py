"""Arrays in an `.npz`, written one example at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from genwright.data.codec import Array

__all__ = ["write_arrays"]


def write_arrays(
    file: Path, n: int, long: Mapping[str, Iterator[Array]], short: Mapping[str, Sequence[Any]]
) -> None:
    """The same values give the same bytes, at any time.

    long   arrays by name, of which `n` parts of one shape and dtype come one after the other
    short  arrays by name, as lists
    """
    with zipfile.ZipFile(file, "w") as archive:
        for name, parts in long.items():
            first = next(parts)
            with _member(archive, name) as stream:
                _head(stream, (n, *first.shape), first.dtype)
                stream.write(np.ascontiguousarray(first).tobytes())
                for part in parts:
                    stream.write(np.ascontiguousarray(part, first.dtype).tobytes())
        for name, values in short.items():
            array = np.array(values)
            with _member(archive, name) as stream:
                _head(stream, array.shape, array.dtype)
                stream.write(array.tobytes())


def _member(archive: zipfile.ZipFile, name: str) -> IO[bytes]:
    return archive.open(zipfile.ZipInfo(f"{name}.npy"), "w", force_zip64=True)


def _head(stream: IO[bytes], shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    head = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, head)
