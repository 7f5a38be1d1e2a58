"""A preview as HTML, for any page that shows examples."""

from __future__ import annotations

from base64 import b64encode
from html import escape

from genwright.data.codec import Preview

__all__ = ["as_html", "sound_as_html"]


def as_html(shown: Preview, caption: str) -> str:
    """An element that asks nothing of a network; every text of the user is escaped, and `dir="auto"` keeps
    one that runs the other way within its own element."""
    if shown.kind == "png":
        data = b64encode(shown.png).decode()
        return f'<img alt="{escape(caption)}" src="data:image/png;base64,{data}">'
    if shown.kind == "sounds":
        return "".join(
            sound_as_html(png, f"data:audio/wav;base64,{b64encode(wav).decode()}", f"{caption}, {i}")
            for i, (wav, png) in enumerate(shown.sounds, 1)
        )
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


def sound_as_html(png: bytes, source: str, caption: str) -> str:
    """An element with the wave of a sound, and below it what plays it from `source`."""
    data, label = b64encode(png).decode(), escape(caption)
    return (
        f'<div style="display:inline-block;margin:.3rem"><img alt="wave of {label}" width="240" height="64" '
        f'src="data:image/png;base64,{data}"><br><audio controls preload="none" style="width:240px" '
        f'aria-label="{label}" src="{escape(source)}"></audio></div>'
    )
