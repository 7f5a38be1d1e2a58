"""The page: one HTML file, one script, one style sheet, all from this server."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from genwright import __version__
from genwright.data.preview import templates
from genwright.serving.limits import Limits
from genwright.serving.served import Catalogue

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Asset", "asset", "environment", "page"]

ASSETS = {
    "page.js": "text/javascript",
    "page.css": "text/css",
    "icon.svg": "image/svg+xml",
}
"""All files that there are: a name is looked up here and never joined to a path."""


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


def page(catalogue: Catalogue, limits: Limits) -> str:
    template = environment().get_template("page.html.j2")
    return template.render(version=__version__, runs=list(catalogue.runs), limits=limits)


@cache
def environment() -> Environment:
    """The templates of this room; what they are given is escaped."""
    return templates(Path(__file__).with_name("templates"))
