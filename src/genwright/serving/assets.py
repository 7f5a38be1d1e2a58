"""The files of the page: looked up by name, and never joined to a path."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files

__all__ = ["Asset", "asset"]

ASSETS = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
"""All that there are."""


@dataclass(frozen=True)
class Asset:
    content: bytes
    media_type: str


@cache
def asset(name: str) -> Asset | None:
    if name not in ASSETS:
        return None
    own = next(one for one in ASSETS if one == name)
    return Asset(files("genwright.serving").joinpath("static", own).read_bytes(), ASSETS[own])
