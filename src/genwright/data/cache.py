"""Where prepared data is kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["cache_home"]


def cache_home() -> Path:
    """`$GENWRIGHT_CACHE`, or `genwright` in the user's cache folder. Safe to delete at any time."""
    if folder := os.environ.get("GENWRIGHT_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "genwright"
