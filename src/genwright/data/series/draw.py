"""Series as a picture of curves."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from PIL import Image, ImageDraw

from genwright.data.field import Array
from genwright.data.series.forecast import HIGH, LOW
from genwright.data.series.series import Series

__all__ = ["as_curves"]

WIDE, TALL, GAP = 300, 140, 8
COLOURS = ((31, 119, 180), (214, 39, 40), (44, 160, 44), (148, 103, 189), (255, 127, 14), (23, 190, 207))


def as_curves(series: Sequence[Series], columns: int | None = None) -> bytes:
    """A PNG with a frame for each series and a curve for each channel of numbers, on one scale in all frames."""
    columns = columns or min(4, len(series))
    rows = -(-len(series) // columns)
    size = columns * (WIDE + GAP) + GAP, rows * (TALL + GAP) + GAP
    image = Image.new("RGB", size, (255, 255, 255))
    canvas = ImageDraw.Draw(image)
    names = [name for name, values in series[0].channels.items() if values.dtype.kind == "f"]
    ranges = {name: _range([one.channels[name] for one in series]) for name in names}
    for i, one in enumerate(series):
        row, column = divmod(i, columns)
        left, top = GAP + column * (WIDE + GAP), GAP + row * (TALL + GAP)
        canvas.rectangle((left, top, left + WIDE, top + TALL), outline=(210, 210, 210))
        for number, name in enumerate(names):
            dashed = name.endswith((LOW, HIGH))
            colour = COLOURS[number % len(COLOURS)] if not dashed else (170, 170, 170)
            for points in _curves(one.channels[name], ranges[name], left, top):
                canvas.line(points, fill=colour, width=2 - dashed)
    out = BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def _range(every: Sequence[Array]) -> tuple[float, float]:
    values = np.concatenate(every)
    there = values[np.isfinite(values)]
    return (float(there.min()), float(there.max())) if there.size else (0.0, 1.0)


def _curves(
    values: Array, ends: tuple[float, float], left: int, top: int
) -> list[list[tuple[float, float]]]:
    """The points of each run of values without a gap."""
    low, high = ends
    x = left + 4 + np.arange(len(values)) * (WIDE - 8) / max(1, len(values) - 1)
    y = top + TALL - 4 - (values - low) / (high - low or 1.0) * (TALL - 8)
    found: list[list[tuple[float, float]]] = [[]]
    for a, b in zip(x.tolist(), y.tolist(), strict=True):
        if b == b:
            found[-1].append((a, b))
        elif found[-1]:
            found.append([])
    return [points if len(points) > 1 else points * 2 for points in found if points]
