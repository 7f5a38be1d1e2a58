"""A run on one page: what it made, how it went, and the facts. One file, nothing from elsewhere."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path
from typing import Any

from genwright.data.codec import Preview
from genwright.data.preview import as_html
from genwright.storage import durable
from genwright.storage.run import Run

__all__ = ["write_page"]

_STYLE = """
:root { color-scheme: light dark; --line: #8886;
--a: #2f6fde; --b: #d9662b; --c: #2e9e6b; --d: #9a55c9; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.1rem; margin-top: 2rem; }
img { max-width: 100%; image-rendering: pixelated; border: 1px solid var(--line); }
table { border-collapse: collapse; font-size: .9rem; } td, th { border: 1px solid var(--line);
padding: .2rem .5rem; text-align: left; } .scroll { overflow-x: auto; }
pre { white-space: pre-wrap; border: 1px solid var(--line); padding: .8rem; }
figure { margin: 1rem 0; display: inline-block; width: 29rem; max-width: 100%; } svg { width: 100%; }
figcaption { font-size: .85rem; opacity: .8; }
"""
_COLOURS = ("--a", "--b", "--c", "--d")


def write_page(run: Run, preview: Preview | None, facts: dict[str, Any]) -> Path:
    """`index.html` in the run folder.

    preview   of samples; None for a family that makes none
    """
    made = "<p>It learns codes and makes no examples: genwright probe says what they are worth.</p>"
    if preview is not None:
        made = as_html(preview, "samples")
    title = escape(run.path.name)
    rows = "".join(
        f"<tr><th>{escape(str(k))}</th><td>{escape(str(v))}</td></tr>" for k, v in facts.items()
    )
    metrics = run.metrics()
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{title}</title>'
        f"<style>{_STYLE}</style><h1>{title}</h1>"
        f"<h2>Samples</h2>{made}<h2>Training</h2>{_curves(metrics)}"
        f"<h2>What the guard saw</h2>{_alarms(metrics)}"
        f"<h2>Facts</h2><table>{rows}</table><h2>Plan</h2><pre>{escape(run.plan)}</pre></html>\n"
    )
    path = run.path / "index.html"
    durable.write(path, page.encode(errors="backslashreplace"))
    return path


def _alarms(metrics: list[dict[str, Any]]) -> str:
    """What went wrong in training, and what was done about it."""
    rows = "".join(
        f"<tr><td>{record['step']:,}</td><td>{escape(record['guard'])}</td>"
        f"<td>{escape(record['words'])}</td><td>{escape(record.get('did', ''))}</td></tr>"
        for record in metrics
        if "guard" in record
    )
    head = "<tr><th>step</th><th>cause</th><th>what</th><th>what it did</th></tr>"
    return f"<table>{head}{rows}</table>" if rows else "<p>no alarm</p>"


def _curves(metrics: list[dict[str, Any]]) -> str:
    """A small chart for each loss term, and one for the held-out loss."""
    series: dict[str, list[tuple[float, float]]] = {}
    for record in metrics:
        for name, value in record.items():
            if (
                name.startswith(("loss/", "judge/")) or name in ("val_loss", "coverage")
            ) and math.isfinite(value):
                series.setdefault(name, []).append((record["step"], value))
    return "".join(_chart(name, points, i) for i, (name, points) in enumerate(series.items()))


def _chart(name: str, points: list[tuple[float, float]], number: int) -> str:
    """An SVG line; the vertical range leaves out the first wild steps."""
    points = points[:: max(1, len(points) // 400)]
    width, height, pad = 460, 180, 44
    steps = [x for x, _ in points]
    values = sorted(y for _, y in points)
    low, high = values[0], values[min(len(values) - 1, int(len(values) * 0.98))]
    spread = high - low or 1.0
    last = max(steps) or 1

    def place(x: float, y: float) -> str:
        across = pad + x / last * (width - pad - 8)
        return f"{across:.1f},{height - 22 - (min(y, high) - low) / spread * (height - 34):.1f}"

    line = " ".join(place(x, y) for x, y in points)
    colour = f"var({_COLOURS[number % len(_COLOURS)]})"
    return (
        f'<figure><svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(name)}">'
        f'<path d="M{pad},8V{height - 22}H{width - 8}" fill="none" stroke="currentColor" opacity=".5"/>'
        f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="1.6"/>'
        f'<g font-size="11" fill="currentColor"><text x="2" y="14">{high:.3g}</text>'
        f'<text x="2" y="{height - 22}">{low:.3g}</text>'
        f'<text x="{width - 8}" y="{height - 6}" text-anchor="end">{last:,.0f} steps</text></g></svg>'
        f"<figcaption>{escape(name)}: {points[-1][1]:.4g} at the end</figcaption></figure>"
    )
