"""A run on one page: what it made, how it went, and the facts. One file, nothing from elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genwright.data.codec import Preview
from genwright.data.preview import templates
from genwright.storage import durable
from genwright.storage.run import Run

__all__ = ["write_page"]

WIDTH, HEIGHT, PAD = 460, 180, 44
POINTS = 400
"""Of one curve."""


def write_page(run: Run, preview: Preview | None, facts: dict[str, Any]) -> Path:
    """`index.html` in the run folder.

    preview   of samples; None for a family that makes none
    """
    metrics = run.metrics()
    page = (
        templates(Path(__file__).with_name("templates"))
        .get_template("run.html.j2")
        .render(
            title=run.path.name,
            shown=preview,
            curves=_curves(metrics),
            alarms=[record for record in metrics if "guard" in record],
            facts=facts,
            plan=str(run.plan),
            width=WIDTH,
            height=HEIGHT,
            pad=PAD,
        )
    )
    path = run.path / "index.html"
    durable.write(path, page.encode(errors="backslashreplace"))
    return path


@dataclass(frozen=True)
class Curve:
    """A logged number over the steps, as the points of an SVG line; low and high are the ends of its range,
    which leaves out the first wild steps."""

    name: str
    points: str
    low: str
    high: str
    last: str
    end: str


def _curves(metrics: list[dict[str, Any]]) -> list[Curve]:
    """One for each loss term, for what samples measured, and for the held-out loss."""
    series: dict[str, list[tuple[float, float]]] = {}
    for record in metrics:
        for name, value in record.items():
            shown = name.startswith(("loss/", "judge/")) or name in ("val_loss", "coverage")
            if shown and math.isfinite(value):
                series.setdefault(name, []).append((record["step"], value))
    return [_curve(name, points) for name, points in series.items()]


def _curve(name: str, points: list[tuple[float, float]]) -> Curve:
    points = points[:: max(1, len(points) // POINTS)]
    values = sorted(y for _, y in points)
    low, high = values[0], values[min(len(values) - 1, int(len(values) * 0.98))]
    last = max(x for x, _ in points) or 1

    def place(x: float, y: float) -> str:
        across = PAD + x / last * (WIDTH - PAD - 8)
        up = (min(y, high) - low) / (high - low or 1.0) * (HEIGHT - 34)
        return f"{across:.1f},{HEIGHT - 22 - up:.1f}"

    line = " ".join(place(x, y) for x, y in points)
    return Curve(name, line, f"{low:.3g}", f"{high:.3g}", f"{last:,.0f}", f"{points[-1][1]:.4g}")
