"""A level in a file: a grid of tiles, read from text, CSV or a map of Tiled, and written again.

text    a character a tile, a line a row (.txt, .lvl; .xsb and .sok of Sokoban); empty lines between several
csv     a cell a tile (.csv)
tiled   a map of Tiled in JSON or XML (.json, .tmj, .tmx): its number a tile, 0 for none; of several layers what
        lies on top
"""

from __future__ import annotations

import csv
import io
import json
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import Any, Literal
from xml.etree import ElementTree

import numpy as np

from genwright.data.cells import csv_rows
from genwright.data.codec import Array
from genwright.data.packed import suffix

__all__ = [
    "FORMATS",
    "SOKOBAN",
    "Level",
    "LevelFormat",
    "format_of",
    "is_map",
    "read_levels",
    "tilesets_of",
    "to_bytes",
]

LevelFormat = Literal["text", "csv", "tiled"]
FORMATS: dict[str, LevelFormat] = {
    **dict.fromkeys((".txt", ".lvl", ".xsb", ".sok"), "text"),
    ".csv": "csv",
    **dict.fromkeys((".json", ".tmj", ".tmx"), "tiled"),
}
SOKOBAN = (".xsb", ".sok")
"""Whose rows end where nothing stands any more."""
LARGEST_BYTES, LARGEST_SIDE = 2**26, 2**14
HEAD = 4096
"""Bytes within which a map of Tiled, whose keys are sorted, names its layers."""
UNCOMPRESSED = 2**26
"""Bytes of a layer at most: a packed one may declare little and hold much."""


@dataclass(frozen=True)
class Level:
    """Tiles `(H, W)` by name: a character, the text of a cell, or the number of a tile in Tiled."""

    tiles: Array = field(repr=False)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Level) and np.array_equal(self.tiles, other.tiles)

    def __hash__(self) -> int:
        return hash(self.digest)

    @property
    def grid(self) -> tuple[int, int]:
        height, width = self.tiles.shape
        return height, width

    @property
    def digest(self) -> str:
        """Of the content: equal levels, equal digest."""
        rows = "\n".join("\t".join(row) for row in self.tiles.tolist())
        return blake2b(rows.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()

    def text(self) -> str:
        """A line a row; tiles of several characters stand apart."""
        rows = self.tiles.tolist()
        gap = "" if all(len(tile) == 1 for row in rows for tile in row) else " "
        wide = max((len(tile) for row in rows for tile in row), default=1) if gap else 0
        return "\n".join(gap.join(tile.rjust(wide) for tile in row) for row in rows)

    @classmethod
    def of(cls, rows: Sequence[Sequence[str]], fill: str | None = None) -> Level:
        """From rows of names. Raises `ValueError` for rows of several lengths, unless `fill` is what stands where one
        has ended."""
        width = max(map(len, rows), default=0)
        if not width:
            raise ValueError("there is no tile in it")
        if width > LARGEST_SIDE or len(rows) > LARGEST_SIDE:
            raise ValueError(
                f"it is {len(rows):,} x {width:,} tiles, and {LARGEST_SIDE:,} a side are read"
            )
        if fill is not None:
            rows = [[*row, *[fill] * (width - len(row))] for row in rows]
        odd = next((i for i, row in enumerate(rows) if len(row) != len(rows[0])), None)
        if odd is not None:
            raise ValueError(
                f"its rows are uneven: row 1 has {len(rows[0])} tiles and row {odd + 1} has {len(rows[odd])}; "
                f"codec.fill names the tile that stands where a row has ended"
            )
        return cls(np.array([list(row) for row in rows], dtype=np.str_))


def format_of(file: Path) -> LevelFormat:
    return FORMATS[suffix(file)]


def is_map(file: Path) -> bool:
    """Whether a file of JSON begins as a map of Tiled does, by its layers."""
    try:
        with file.open("rb") as stream:
            return b'"layers"' in stream.read(HEAD)
    except OSError:
        return False


def read_levels(file: Path, fill: str | None = None) -> Iterator[Level | str]:
    """The levels in a file, one after the other, each or why it is none. Raises `ValueError` that says why there is
    none at all, and `OSError`.

    fill  the tile that stands where a row has ended
    """
    size = file.stat().st_size
    if not size:
        raise ValueError("the file is empty")
    if size > LARGEST_BYTES:
        raise ValueError(f"it has {size:,} bytes, and levels of up to {LARGEST_BYTES:,} are read")
    data = file.read_bytes()
    form = format_of(file)
    if form == "tiled":
        yield Level(_xml(data) if suffix(file) == ".tmx" else _json(data))
        return
    rows = _lines(data) if form == "text" else _cells(data)
    if fill is None and suffix(file) in SOKOBAN:
        fill = " "
    for block in _blocks(rows):
        try:
            yield Level.of(block, fill)
        except ValueError as error:
            yield str(error)


# -- text and CSV ----------------------------------------------------------------------------------


def _decoded(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("it is no text in UTF-8") from None
    if "\0" in text:
        raise ValueError("it holds zero bytes, as no text does")
    return text


def _lines(data: bytes) -> list[str]:
    """Without comments: in collections of Sokoban a line that begins with a semicolon is a title."""
    lines = _decoded(data).splitlines()
    return [line for line in lines if not (line.startswith(";") and len(line.split()) > 1)]


def _cells(data: bytes) -> list[list[str]]:
    try:
        return [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(_decoded(data)))]
    except csv.Error as error:
        raise ValueError(f"it is no CSV: {error}") from None


def _blocks(rows: Sequence[Sequence[str]]) -> Iterator[list[Sequence[str]]]:
    """Runs of rows between those without a tile."""
    block: list[Sequence[str]] = []
    found = False
    for row in [*rows, ""]:
        if len(row):
            block.append(row)
        elif block:
            found = True
            yield block
            block = []
    if not found:
        raise ValueError("there is no tile in it")


# -- Tiled -----------------------------------------------------------------------------------------


def _json(data: bytes) -> Array:
    """JSON map format of Tiled (doc.mapeditor.org/en/stable/reference/json-map-format)."""
    try:
        whole = json.loads(data)
    except (ValueError, RecursionError):
        raise ValueError("damaged: it is no JSON") from None
    if not isinstance(whole, dict) or not isinstance(whole.get("layers"), list):
        raise ValueError("it is no map of Tiled: it has no layers")
    found = [
        _layer(one, one.get("data"), one.get("encoding", "csv"), one.get("compression", ""))
        for one in _flat(whole["layers"])
    ]
    return _on_top(found)


def _flat(layers: Sequence[Any]) -> Iterator[Mapping[str, Any]]:
    """The layers of tiles that are shown, also those in groups."""
    for layer in layers:
        if not isinstance(layer, dict) or not layer.get("visible", True):
            continue
        if layer.get("type") == "group":
            yield from _flat(layer.get("layers", []))
        elif layer.get("type") == "tilelayer":
            yield layer


def _xml(data: bytes) -> Array:
    """TMX map format of Tiled (doc.mapeditor.org/en/stable/reference/tmx-map-format)."""
    if b"<!DOCTYPE" in data or b"<!ENTITY" in data:  # the start of a bomb of entities, and of no map
        raise ValueError("it declares a document type, as no map of Tiled does")
    try:
        root = ElementTree.fromstring(data)
    except ElementTree.ParseError as error:
        raise ValueError(f"damaged: it is no XML ({error})") from None
    if root.tag != "map":
        raise ValueError("it is no map of Tiled")
    found = []
    for layer in root.iter("layer"):
        if layer.get("visible", "1") == "0" or (held := layer.find("data")) is None:
            continue
        if held.get("encoding") is None:
            raw: Any = [int(tile.get("gid", "0")) for tile in held.iter("tile")]
        else:
            raw = held.text or ""
        found.append(_layer(layer.attrib, raw, held.get("encoding", "csv"), held.get("compression", "")))
    return _on_top(found)


def _layer(about: Mapping[str, Any], raw: Any, encoding: str, packed: str) -> Array:
    """The numbers of a layer `(H, W)`; 0 where there is no tile."""
    try:
        height, width = int(about["height"]), int(about["width"])
    except (KeyError, TypeError, ValueError):
        raise ValueError("damaged: a layer does not say its size; endless maps are not read") from None
    if not (0 < height <= LARGEST_SIDE and 0 < width <= LARGEST_SIDE):
        raise ValueError(f"a layer declares {height:,} x {width:,} tiles")
    try:
        if encoding == "base64":
            flat = np.frombuffer(_unpacked(b64decode(raw.strip(), validate=True), packed), "<u4").astype(
                np.int64
            )
        elif isinstance(raw, str):
            flat = np.array([int(cell) for cell in raw.replace("\n", "").split(",") if cell.strip()])
        else:
            flat = np.array([int(cell) for cell in raw])
    except (TypeError, ValueError) as error:
        raise ValueError(f"damaged: the tiles of a layer cannot be read ({error})") from None
    if flat.size != height * width:
        raise ValueError(
            f"damaged or cut short: a layer of {height} x {width} holds {flat.size:,} tiles"
        )
    return flat.reshape(height, width)


def _unpacked(data: bytes, packed: str) -> bytes:
    import zlib

    if not packed:
        return data
    if packed not in ("zlib", "gzip"):
        raise ValueError(f"it is packed by {packed}: save it with zlib or as CSV")
    reader = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        out = reader.decompress(data, UNCOMPRESSED)
    except zlib.error as error:
        raise ValueError(str(error)) from None
    if reader.unconsumed_tail:
        raise ValueError(f"it comes to more than {UNCOMPRESSED:,} bytes")
    return out


def _on_top(layers: Sequence[Array]) -> Array:
    """Of each place the last layer that has a tile there, as text."""
    if not layers:
        raise ValueError("it has no layer of tiles that is shown")
    whole = layers[0].copy()
    for layer in layers[1:]:
        if layer.shape != whole.shape:
            raise ValueError("its layers have several sizes")
        whole = np.where(layer, layer, whole)
    return whole.astype(np.str_)


# -- writing ---------------------------------------------------------------------------------------


def to_bytes(level: Level, form: LevelFormat, tilesets: Sequence[Any] = ()) -> bytes:
    """A level as a file of a form; of a map of Tiled as JSON, with the tile sets that it names."""
    rows = level.tiles.tolist()
    if form == "text":
        return ("\n".join("".join(row) for row in rows) + "\n").encode()
    if form == "csv":
        return csv_rows(rows).encode()
    height, width = level.grid
    layer = {
        "data": [int(tile) for row in rows for tile in row],
        "height": height,
        "id": 1,
        "name": "tiles",
        "opacity": 1,
        "type": "tilelayer",
        "visible": True,
        "width": width,
        "x": 0,
        "y": 0,
    }
    whole = {
        "type": "map",
        "version": "1.10",
        "orientation": "orthogonal",
        "renderorder": "right-down",
        "infinite": False,
        "width": width,
        "height": height,
        "tilewidth": 16,
        "tileheight": 16,
        "nextlayerid": 2,
        "nextobjectid": 1,
        "layers": [layer],
        "tilesets": list(tilesets),
    }
    return json.dumps(whole).encode()


def tilesets_of(file: Path) -> tuple[Any, ...]:
    """The tile sets that a map of Tiled names, as JSON; none of another file, or of one that cannot be read."""
    try:
        if suffix(file) == ".tmx":
            root = ElementTree.fromstring(file.read_bytes())
            return tuple(
                {**one.attrib, "firstgid": int(one.get("firstgid", "1"))} for one in root.iter("tileset")
            )
        if format_of(file) == "tiled":
            found = json.loads(file.read_bytes()).get("tilesets", [])
            return tuple(one for one in found if isinstance(one, dict))
    except (OSError, ValueError, AttributeError, RecursionError, ElementTree.ParseError):
        pass  # the file is read for good elsewhere, which says what is wrong with it
    return ()
