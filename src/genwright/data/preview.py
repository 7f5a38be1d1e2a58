"""A preview as HTML, for any page that shows examples."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from html import escape

from genwright.data.codec import Preview

__all__ = ["as_html", "in_lines", "sound_as_html"]


def as_html(shown: Preview, caption: str) -> str:
    """An element that asks nothing of a network; every text of the user is escaped, and `dir="auto"` keeps
    one that runs the other way within its own element."""
    if shown.kind == "png":
        data = b64encode(shown.png).decode()
        sheet = f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
        return sheet + _lines(shown.text)
    if shown.kind == "sounds":
        sounds = (
            sound_as_html(png, f"data:audio/wav;base64,{b64encode(wav).decode()}", f"{caption}, {i}")
            for i, (wav, png) in enumerate(shown.sounds, 1)
        )
        return "".join(sounds) + _lines(shown.text)
    if shown.kind == "text":
        return f'<pre dir="auto">{escape(shown.text)}</pre>'
    if not shown.rows:
        return "<p>no rows</p>"
    head, *body = shown.rows
    heads = "".join(f'<th scope="col" dir="auto">{escape(cell)}</th>' for cell in head)
    lines = "".join(
        "<tr>" + "".join(f'<td dir="auto">{escape(cell)}</td>' for cell in row) + "</tr>" for row in body
    )
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(caption)}"><table>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def in_lines(texts: Mapping[str, Sequence[str]], most: int = 300) -> str:
    """Texts by field, those of an example in a line with its number; the name of a field only where there are
    several."""
    lines = []
    for number, row in enumerate(zip(*texts.values(), strict=True), 1):
        parts = [" ".join(str(text).split()) for text in row]
        parts = [part if len(part) <= most else part[:most] + " ..." for part in parts]
        if len(texts) > 1:
            parts = [f"{name}: {part}" for name, part in zip(texts, parts, strict=True)]
        lines.append(f"{number}. {' | '.join(parts)}")
    return "\n".join(lines)


def _lines(text: str) -> str:
    """What is written beside examples, below them."""
    return f'<pre dir="auto">{escape(text)}</pre>' if text else ""


def sound_as_html(png: bytes, source: str, caption: str) -> str:
    """An element with the wave of a sound, and below it what plays it from `source`."""
    data, label = b64encode(png).decode(), escape(caption)
    return (
        f'<div style="display:inline-block;margin:.3rem"><img alt="wave of {label}" width="240" height="64" '
        f'src="data:image/png;base64,{data}"><br><audio controls preload="none" style="width:240px" '
        f'aria-label="{label}" src="{escape(source)}"></audio></div>'
    )
