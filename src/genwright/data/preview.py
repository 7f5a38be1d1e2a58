"""A preview as HTML, for any page that shows examples; and the templates that pages are made of."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unicodedata import category

from genwright.data.codec import Preview, Sounded

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["as_html", "as_json", "from_json", "in_lines", "sound_as_html", "templates", "visible"]


@cache
def templates(*folders: Path) -> Environment:
    """The templates in some folders and those of previews. What a template is given is escaped, and a name
    that it is not given is an error."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    made = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).with_name("templates")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters["base64"] = _text
    made.filters["visible"] = visible
    return made


def as_html(shown: Preview, caption: str) -> str:
    """An element that asks nothing of a network; every text of the user is escaped."""
    return _macro("preview", shown, caption)


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


def sound_as_html(png: bytes, source: str, caption: str) -> str:
    """An element with the wave of a sound, and below it what plays it from `source`."""
    return _macro("sound", png, source, caption)


def visible(text: object) -> str:
    """A text in which what has no shape of its own is escaped: bytes that made no character, control characters,
    halves of pairs."""
    return "".join(
        c.encode("unicode_escape").decode()
        if c == "\ufffd" or (c not in "\n\r\t" and category(c) in ("Cc", "Cs", "Co", "Cn"))
        else c
        for c in str(text)
    )


def _macro(name: str, *given: Any) -> str:
    return str(getattr(templates().get_template("preview.html.j2").module, name)(*given))


# -- kept ------------------------------------------------------------------------------------------


def as_json(shown: Preview) -> dict[str, Any]:
    """A preview as JSON values; `from_json` gives it back."""
    sounds = [[_text(one.wav), _text(one.png)] for one in shown.sounds]
    return {
        "kind": shown.kind,
        "png": _text(shown.png),
        "rows": shown.rows,
        "text": shown.text,
        "sounds": sounds,
    }


def from_json(known: Mapping[str, Any]) -> Preview:
    """The preview that `as_json` gave."""
    return Preview(
        known["kind"],
        b64decode(known["png"]),
        tuple(map(tuple, known["rows"])),
        known["text"],
        tuple(Sounded(b64decode(wav), b64decode(png)) for wav, png in known["sounds"]),
    )


def _text(data: bytes) -> str:
    return b64encode(data).decode()
