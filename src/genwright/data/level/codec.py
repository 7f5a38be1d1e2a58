"""Levels: folders of files, with or without labels, cut into windows of one size.

How one file is read is `files.py`'s, what its tiles are `legend.py`'s, where labels are found `labels.py`'s.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from statistics import median_low
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from genwright.data.codec import AS_READ, Place, Preview, ReadOptions, Rejected, Rows, Source, Values
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.image.ops import sheet
from genwright.data.labels import FileCodec, FileRow, Folders, file_fields, goes_with, write_beside
from genwright.data.level.draw import as_picture
from genwright.data.level.field import LevelField, LevelForm
from genwright.data.level.files import (
    FORMATS,
    SOKOBAN,
    Level,
    format_of,
    is_map,
    read_levels,
    tilesets_of,
)
from genwright.data.level.legend import LEGEND, Legend, find_legend
from genwright.data.packed import suffix
from genwright.data.sidecar import SIDECARS
from genwright.data.text.field import TextField
from genwright.data.text.tokenizer import Unit
from genwright.errors import RecipeError

__all__ = ["LevelCodec"]

CHUNK = 1024
SHEET = "levels.png"
SHOWN = 64
PROBED, PROBED_BYTES = 12, 2**16
"""Files that are looked into to know levels from texts and tables, and how far."""
DIFFERENT = 64
"""Tiles of a game at most, as far as they are known without being asked for."""
TOGETHER = 0.15
"""By how much tiles that lie one above the other are more often alike than any two."""
LARGEST = 2**14
"""Tiles of a window where none is asked for."""
MOST = 20_000
"""Windows at most, where it is not said how far apart they begin."""


class LevelCodec(FileCodec):
    """Files of levels to windows of tiles of one size, and back; labels beside them.

    A level that is larger than a window gives several, which stay on one side of the split: from the left one every
    `stride` columns, and from the bottom one above the other. A single level is split by position, train, val, test,
    without windows that lie across. A picture of each tile may be named in `legend.json`.

    height  tiles. None: the median of the levels
    width   tiles. None: the median of the levels, and at most twice the height where they have several widths
    stride  columns from the beginning of a window to that of the next. None: as few as give no more than 20,000
    fill    the tile that stands where a row has ended. None: rows have to be even; of .xsb and .sok a blank
    game    whose rules say what can be played: platform, runner, sokoban. auto: that of which the tiles and their
            tags in legend.json speak
    text_unit  of texts beside them, as `codec.unit` of a text: auto, char, bpe or words
    """

    reads: ClassVar[tuple[str, ...]] = tuple(FORMATS)
    main: ClassVar[str] = "level"
    field_types = (LevelField, ColumnField, TextField)
    later = frozenset({"text_unit"})
    default_family: ClassVar[str] = "autoregressive"
    dial = "codec.width=16"
    plural = "levels"
    sheet = SHEET

    def __init__(
        self,
        *,
        height: Annotated[int, Ge(1)] | None = None,
        width: Annotated[int, Ge(1)] | None = None,
        stride: Annotated[int, Ge(1)] | None = None,
        fill: str | None = None,
        game: Literal["auto", "platform", "runner", "sokoban"] = "auto",
        text_unit: Unit = "auto",
    ) -> None:
        self._text = partial(TextField, layout="documents", tokenizer=text_unit)
        self._height, self._width, self._stride = height, width, stride
        self._fill, self._game = fill, game

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """Surer than of texts and tables where the files hold grids of few tiles that hang together."""
        own = cls.own(files)
        others = {*files} - {*own} - goes_with(files, own)
        if not own or any(file.name not in (SHEET, LEGEND) for file in others):
            return 0.0
        probed = own[:: -(-len(own) // PROBED)]
        return 0.8 if all(_is_level(file, len(own)) for file in probed) else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        beside = {*SIDECARS, LEGEND, SHEET}
        found = [file for file in files if suffix(file) in cls.reads and file.name not in beside]
        return [file for file in found if suffix(file) != ".json" or is_map(file)]

    @classmethod
    def accompanies(cls, file: Path, own: Sequence[Path]) -> bool:
        return file.name == LEGEND or super().accompanies(file, own)

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        layout = self._layout(source, options)
        found: dict[str, Field] = {layout.main: LevelField(self._choose(source))}
        for name in layout.names():
            found[name] = self._text() if name in layout.texts else ColumnField(name)
        return found

    def companions(self, source: Source, options: ReadOptions = AS_READ) -> list[Path]:
        beside = [file.parent / LEGEND for file in source.files]
        legends = [file for file in dict.fromkeys(beside) if file.is_file()]
        return [*super().companions(source, options), *legends]

    def _layout(self, source: Source, options: ReadOptions = AS_READ) -> Folders:
        return Folders(source.root, source.files, self.main, options.given, captions=(".caption",))

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 1,024 `Level`s."""
        layout = self._layout(source, options)
        form = next((one.form for one in fields.values() if isinstance(one, LevelField)), None)
        form = form or self._choose(source)
        others = [name for name in fields if name != layout.main]
        wanted = [*others, *([options.group] if options.group else [])]
        whole = len(layout.files) == 1 and sum(1 for _ in _levels(layout.files[0], form.fill)) == 1

        def empty() -> Rows:
            return Rows({name: [] for name in fields}, [], groups=None if whole else [])

        rows = empty()
        rows.rejected += layout.read(wanted)
        for path in layout.files[:: options.every]:
            row = layout.of(path, wanted)
            if isinstance(row, Rejected):
                rows.rejected.append(row)
            for found in _windows(row, form) if isinstance(row, FileRow) else ():
                if isinstance(found, Rejected):
                    rows.rejected.append(found)
                    continue
                level, place, stem, group = found
                part = place.part(options) if whole else None
                if whole and part is None and not place.whole:
                    continue
                assert isinstance(row, FileRow)
                if len(rows) == CHUNK:
                    yield rows
                    rows = empty()
                for name in fields:
                    rows.values[name].append(level if name == layout.main else row.values[name])
                rows.keys.append(level.digest)
                rows.names.append(stem)
                if part is not None:
                    rows.parts = [*(rows.parts or []), part]
                if rows.groups is not None:
                    rows.groups.append(str(row.values[options.group]) if options.group else group)
        if len(rows) or rows.rejected:
            yield rows

    def _choose(self, source: Source) -> LevelForm:
        """From the sizes of the levels. Windows are cut before the split is made, so that all files count; nothing of
        what they hold does."""
        sizes = [
            level.grid
            for file in source.files
            for level in _levels(file, self._fill)
            if isinstance(level, Level)
        ]
        heights, widths = [h for h, _ in sizes] or [1], [w for _, w in sizes] or [1]
        height = self._height or median_low(heights)
        width = self._width or median_low(widths)
        if not self._width and len({*widths}) > 1:
            width = min(width, 2 * height)
        if height * width > LARGEST and not (self._width and self._height):
            raise RecipeError(
                f"a window of {height} x {width} tiles is large, and at most {LARGEST:,} tiles are taken unless you "
                f"ask for more: set codec.height and codec.width",
                code="window-too-large",
            )
        room = sum(max(0, w - width) * (h // height) for h, w in sizes)
        stride = self._stride or max(1, -(-room // MOST))
        forms = [format_of(file) for file in source.files]
        return LevelForm(
            height,
            width,
            stride,
            self._fill,
            forms[0],
            self._game,
            find_legend(source.files) or Legend(),
            tilesets_of(source.files[0]),
            suffix(source.files[0]) if forms[0] == "text" else "",
        )

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`levels.png`, a file for each level in the form of those that were read, `legend.json` where there was one,
        and a table if anything is beside them. The folder is a source with the same fields again."""
        if not any(map(len, values.values())):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        files = write_beside(values, fields, folder, LevelField, self.main)
        levels = self._levels(values, fields)
        if not levels:
            return files
        legend = levels[0].form.legend
        if legend.tags or legend.colours:
            files.append(folder / LEGEND)
            files[-1].write_text(json.dumps(legend.json(), ensure_ascii=False, indent=1) + "\n")
        contact = folder / SHEET
        contact.write_bytes(self.preview(values, fields, columns=columns).png)
        return [contact, *files]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """A picture of the levels, and below it the tiles of the first one."""
        names = file_fields(values, fields, LevelField, self.main)
        levels = self._levels(values, fields)
        if not levels:
            return Preview("text")
        field, shown = levels[0], list(islice(values[names[0]], SHOWN))
        pictures = [as_picture(level, field.colours, field.form.legend.images) for level in shown]
        text = shown[0].text() if shown else ""
        return Preview("png", png=sheet(pictures, columns=columns), text=text)

    def _levels(self, values: Mapping[str, Values], fields: Mapping[str, Field]) -> list[LevelField]:
        names = file_fields(values, fields, LevelField, self.main)
        return [field for name in names if isinstance(field := fields.get(name), LevelField)]


def _levels(file: Path, fill: str | None) -> Iterator[Level | str]:
    """The levels of a file; none of one that cannot be read, which is told of where it is read for good."""
    try:
        yield from read_levels(file, fill)
    except (OSError, ValueError):
        return


def _windows(row: FileRow, form: LevelForm) -> Iterator[tuple[Level, Place, str, str] | Rejected]:
    """The windows of a file, each with its place, a name, and what keeps those of one level together; or why there
    is none."""
    try:
        found = list(read_levels(row.path, form.fill))
    except ValueError as error:
        yield Rejected(row.name, str(error))
        return
    except OSError as error:
        yield Rejected(row.name, f"cannot be opened: {error.strerror or error}")
        return
    for number, level in enumerate(found):
        name = row.name if len(found) == 1 else f"{row.name}, level {number + 1}"
        stem = row.stem if len(found) == 1 else f"{row.stem}-{number}"
        if isinstance(level, str):
            yield Rejected(name, level)
            continue
        height, width = level.grid
        if height < form.height or width < form.width:
            yield Rejected(
                name,
                f"it has {height} x {width} tiles, and a window {form.height} x {form.width}: lower codec.height or "
                f"codec.width",
            )
            continue
        lefts = range(0, width - form.width + 1, form.stride)
        for bottom in range(height, form.height - 1, -form.height):
            for left in lefts:
                tiles = level.tiles[bottom - form.height : bottom, left : left + form.width]
                one = len(lefts) == 1 and height < 2 * form.height
                place = Place(left / width, (left + form.width) / width)
                yield (
                    Level(np.ascontiguousarray(tiles)),
                    place,
                    stem if one else f"{stem}-{left}-{height - bottom}",
                    level.digest,
                )


# -- is it a level? --------------------------------------------------------------------------------


def _is_level(file: Path, files: int) -> bool:
    """Whether what a file holds is a grid of few tiles that hang together, as texts and tables do not."""
    form = format_of(file)
    if form == "tiled":
        return any(True for _ in _levels(file, None))
    explained = any((folder / LEGEND).is_file() for folder in (file.parent, file.parent.parent))
    if form == "csv" and files < 2 and not explained:
        return False
    try:
        if file.stat().st_size > PROBED_BYTES * 16:
            return False
        found = list(islice(read_levels(file), 3))
    except (OSError, ValueError):
        return False
    levels = [level for level in found if isinstance(level, Level)]
    if len(levels) < len(found) or not levels:
        return False
    if explained or suffix(file) in SOKOBAN:
        return True
    if form == "csv" and not all(map(_whole_numbers, levels)):
        return False
    return all(_hangs_together(level.tiles) for level in levels)


def _whole_numbers(level: Level) -> bool:
    return all(tile.removeprefix("-").isdigit() for tile in np.unique(level.tiles).tolist())


def _hangs_together(tiles: Any) -> bool:
    """Whether a tile is more often like the ones above it and at its left than tiles drawn one by one would be: lines
    of a text that happen to be equally long, a line that comes again and again, and rows of a table with few values are
    not."""
    height, width = tiles.shape
    _, counts = np.unique(tiles, return_counts=True)
    if height < 3 or width < 3 or len(counts) > DIFFERENT or len(np.unique(tiles, axis=0)) < 3:
        return False
    shares = counts / counts.sum()
    by_chance = float((shares**2).sum())
    beside = tiles[1:] == tiles[:-1], tiles[:, 1:] == tiles[:, :-1]
    return all(float(same.mean()) - by_chance > TOGETHER * (1 - by_chance) for same in beside)
