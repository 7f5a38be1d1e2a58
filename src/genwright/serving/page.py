"""The page: one HTML file, to which this server has the script and the style sheet (`assets.py`)."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from genwright import __version__
from genwright.data.preview import templates
from genwright.serving.limits import Limits
from genwright.serving.served import Catalogue

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["environment", "page"]


def page(catalogue: Catalogue, limits: Limits) -> str:
    template = environment().get_template("page.html.j2")
    return template.render(version=__version__, runs=list(catalogue.runs), limits=limits)


@cache
def environment() -> Environment:
    """The templates of this room; what they are given is escaped."""
    return templates(Path(__file__).with_name("templates"))
