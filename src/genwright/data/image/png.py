"""A PNG written some rows at a time: Pillow would hold a picture again, in colour with four bytes a pixel.

PNG (Portable Network Graphics) Specification, second edition (W3C, 2003): the layout in chunks in section 5, the
filters in section 9, and how to choose among them in section 12.8.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from genwright.data.field import Array

__all__ = ["write_png"]

SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR = {1: 0, 2: 4, 3: 2, 4: 6}
"""The colour type of so many channels."""
BLOCK = 2**18
"""About so many bytes are filtered at a time."""


def write_png(array: Array, path: Path) -> None:
    """A picture `(h, w, c)` of 1 to 4 channels, uint8 or uint16."""
    height, width, channels = array.shape
    pixel = channels * array.itemsize
    head = struct.pack(">IIBBBBB", width, height, 8 * array.itemsize, COLOUR[channels], 0, 0, 0)
    with path.open("wb") as out:
        out.write(SIGNATURE + _chunk(b"IHDR", head))
        packer = zlib.compressobj(memLevel=9, strategy=zlib.Z_FILTERED)
        for lines in _filtered(array, pixel):
            if packed := packer.compress(lines):
                out.write(_chunk(b"IDAT", packed))
        out.write(_chunk(b"IDAT", packer.flush()) + _chunk(b"IEND", b""))


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _filtered(array: Array, pixel: int) -> Iterator[bytes]:
    """The bytes of some rows, each behind the type of its filter: of all but the first, which filters nothing, the one
    whose differences are least in sum, as signed bytes."""
    line = array.shape[1] * pixel
    step = max(1, BLOCK // line)
    before = np.zeros((1, line), np.uint8)
    for start in range(0, len(array), step):
        rows = array[start : start + step]
        raw = np.ascontiguousarray(rows.astype(rows.dtype.newbyteorder(">"))).view(np.uint8)
        raw = raw.reshape(len(rows), line)
        up = np.concatenate([before, raw[:-1]])
        left, corner = (np.pad(one, ((0, 0), (pixel, 0)))[:, :line] for one in (raw, up))
        mean = ((left.astype(np.uint16) + up) // 2).astype(np.uint8)
        kinds = np.stack([raw - one for one in (left, up, mean, _paeth(left, up, corner))])
        best = np.abs(kinds.view(np.int8).astype(np.int16)).sum(2).argmin(0)
        chosen = kinds[best, np.arange(len(rows))]
        yield np.column_stack([1 + best.astype(np.uint8), chosen]).tobytes()
        before = raw[-1:]


def _paeth(left: Array, up: Array, corner: Array) -> Array:
    """Of three neighbours the one that is nearest to `left + up - corner`; left before up before corner."""
    a, b, c = (one.astype(np.int16) for one in (left, up, corner))
    to_left, to_up, to_corner = abs(b - c), abs(a - c), abs(a + b - 2 * c)
    nearer = np.where(to_up <= to_corner, up, corner)
    return np.where((to_left <= to_up) & (to_left <= to_corner), left, nearer)
