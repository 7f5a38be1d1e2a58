"""What was made, as an answer holds it: JSON, HTML for the page, or the files of the command line in a ZIP.

The files are written by the codec as `genwright sample` writes them, so that the bytes are the same.
"""

from __future__ import annotations

import io
import math
import mimetypes
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genwright.data.codec import Preview
from genwright.data.preview import as_html
from genwright.data.provenance import marked
from genwright.data.table.field import UNMADE
from genwright.model import Samples
from genwright.writing import SampleWriter

__all__ = ["archive", "as_examples", "file_bytes", "made_cells", "media_type", "previews", "texts_of"]

EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of all files in an archive, so that equal files make equal archives."""


def as_examples(samples: Samples) -> list[dict[str, Any]]:
    """Each example as JSON values: a text, a row, or a file; with what was given for it."""
    made = samples.values[samples.make]
    if "text" in samples.fields[samples.make].views:
        found: list[dict[str, Any]] = [{"text": str(text)} for text in made]
    elif samples.fields[samples.make].suffix:
        media = media_type(samples.fields[samples.make].suffix)
        found = [{"media_type": media, "data": b64encode(one).decode()} for one in file_bytes(samples)]
    elif "row" in samples.fields[samples.make].views:
        columns = {str(name): made[name].tolist() for name in made.columns}
        found = [
            {"row": dict(zip(columns, map(_plain, row), strict=True))}
            for row in zip(*columns.values(), strict=True)
        ]
    else:
        found = [{"text": shown.text} for shown in _each_preview(samples)]
    given = {name: _given(samples, name) for name in samples.values if name != samples.make}
    for i, one in enumerate(found):
        one["given"] = {name: some[i] for name, some in given.items() if name in samples.fields}
    return found


def _given(samples: Samples, name: str) -> list[Any]:
    """What was given for each example, as JSON values; a picture or a sound as its file, unmarked: it is real."""
    field, some = samples.fields.get(name), samples.values[name]
    if field is None or not field.suffix or "text" in field.views:
        return [_plain(value) for value in some]
    media = media_type(field.suffix)
    files = map(field.file_bytes, some)
    return [{"media_type": media, "data": b64encode(file).decode()} for file in files]


def file_bytes(samples: Samples) -> list[bytes]:
    """The file of each example, as the command line writes it."""
    made, provenance = samples.fields[samples.make], samples.provenance
    files = [made.file_bytes(value) for value in samples.values[samples.make]]
    return files if provenance is None else [marked(file, made.suffix, provenance) for file in files]


def media_type(suffix: str) -> str:
    """Of a file, as browsers call it."""
    kind, _ = mimetypes.guess_type(f"x{suffix}")
    return (kind or "application/octet-stream").replace("/x-", "/")


def texts_of(samples: Samples) -> list[str]:
    """Texts that were made. They are none of another kind."""
    return [str(text) for text in samples.values[samples.make]]


def made_cells(samples: Samples) -> list[dict[str, Any]]:
    """Rows that are being made: the cells that are there, by column."""
    columns = samples.values[samples.make]
    cells = {str(name): columns[name].tolist() for name in columns.columns}
    return [
        {name: _plain(value) for name, value in zip(cells, row, strict=True) if value != UNMADE}
        for row in zip(*cells.values(), strict=True)
    ]


def archive(samples: Samples) -> bytes:
    """All files of `genwright sample`, in a ZIP; equal samples make equal bytes."""
    out = io.BytesIO()
    with _written(samples) as folder, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as zipped:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), EPOCH)
                entry.compress_type = zipfile.ZIP_DEFLATED
                zipped.writestr(entry, file.read_bytes())
    return out.getvalue()


@contextmanager
def _written(samples: Samples) -> Iterator[Path]:
    with TemporaryDirectory(prefix="genwright-") as name:
        folder = Path(name)
        with SampleWriter(folder, len(samples)) as files:
            files.add(samples)
        yield folder


# -- to look at ------------------------------------------------------------------------------------


def previews(samples: Samples, caption: str) -> list[str]:
    """An element for each example, or one for all rows of a table; every text of the user is escaped."""
    if "row" in samples.fields[samples.make].views:
        return [as_html(_all_rows(samples), caption)]
    return [as_html(shown, f"{caption} {i}") for i, shown in enumerate(_each_preview(samples), 1)]


def _each_preview(samples: Samples) -> Iterator[Preview]:
    for i in range(len(samples)):
        yield _some(samples, range(i, i + 1)).preview()


def _all_rows(samples: Samples) -> Preview:
    """Every row, not only the head that a preview shows."""
    rows: list[tuple[str, ...]] = []
    names: tuple[str, ...] = ()
    start = 0
    while start < len(samples):
        shown = _some(samples, range(start, min(start + 12, len(samples)))).preview()
        names, more = shown.rows[0], shown.rows[1:]
        rows += more
        start += max(1, len(more))
    return Preview("rows", rows=(names, *rows))


def _some(samples: Samples, index: Sequence[int]) -> Samples:
    fields = samples.fields
    values = {
        name: fields[name].take(some, index) if name in fields else [some[i] for i in index]
        for name, some in samples.values.items()
    }
    sources = samples.sources
    if sources is not None:
        sources = fields[samples.make].take(sources, index)
    return replace(samples, values=values, sources=sources, names=[])


def _plain(value: Any) -> Any:
    """As JSON has it."""
    value = value.item() if hasattr(value, "item") else value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
