"""Addresses of data that is no file, such as `postgresql://ada@host/shop`.

A password in one is remembered as long as the program runs and written nowhere: what goes into a recipe, a message or a
page is the address without it.
"""

from __future__ import annotations

import os
import re

from genwright.errors import RecipeError

__all__ = ["PASSWORD", "conceal", "is_url", "password_of"]

PASSWORD = "GENWRIGHT_SQL_PASSWORD"
"""The variable that holds a password that is not in the address."""
_passwords: dict[str, str] = {}
_URL = re.compile(r"[A-Za-z][\w+.-]*://")
_LOGIN = re.compile(r"([A-Za-z][\w+.-]*://[^:/@]*):(.*)@")
_SECRET = re.compile(r"[?&;]\w*(pass|pwd|secret|token)\w*=", re.I)


def is_url(path: str) -> bool:
    return _URL.match(path) is not None


def conceal(path: str) -> str:
    """The same without its password. Raises `RecipeError` for one that stands where it cannot be told apart."""
    if not is_url(path):
        return path
    if _SECRET.search(path):
        raise RecipeError(
            f"an address cannot have a password behind the '?', since it would be written down: put it before the "
            f"'@', or into the variable {PASSWORD}",
            code="secret-in-address",
        )
    found = _LOGIN.match(path)
    if found is None:
        return path
    if "@" in found[2]:  # it cannot be told where a password ends that has all the signs which end one
        raise RecipeError(
            "an address with a password has a single '@', before the host: write others as %40",
            code="secret-in-address",
        )
    bare = f"{found[1]}@{path[found.end() :]}"
    _passwords[bare] = found[2]
    return bare


def password_of(address: str) -> str | None:
    """What `conceal` took out of an address, or else what the variable says."""
    return _passwords.get(address) or os.environ.get(PASSWORD)
