"""The token of a server: a file that its owner alone may read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from genwright.errors import GenwrightError

__all__ = ["read_token"]

LEAST = 16
"""Characters of a token."""


def read_token(path: Path) -> str:
    """The token in a file. Raises `GenwrightError` where others could read it, or guess it."""
    try:
        with path.open("rb") as file:
            about = os.fstat(file.fileno())
            data = file.read(4096)
    except OSError as error:
        raise GenwrightError(
            f"the token file {path} cannot be read: {(error.strerror or 'unknown').lower()}",
            code="token-unreadable",
        ) from None
    if os.name == "posix" and (about.st_mode & 0o077 or not stat.S_ISREG(about.st_mode)):
        raise GenwrightError(
            f"the token file {path} may be read by others (mode {stat.S_IMODE(about.st_mode):04o}): "
            f"chmod 600 {path}, and change the token",
            code="token-not-private",
        )
    try:
        token = data.decode("ascii").strip()
    except UnicodeDecodeError:
        token = ""
    if len(token) < LEAST or not token.isprintable() or " " in token:
        raise GenwrightError(
            f"the token in {path} must be one line of {LEAST} characters or more, without blanks: "
            f"openssl rand -hex 32 > {path}",
            code="token-too-weak",
        )
    return token
