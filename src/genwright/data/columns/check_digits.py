"""Check digits: those of a code that follow from the others, by which a mistyped one is found.

Of a card, a barcode or an account; a code that is made up needs the right ones to pass for one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from genwright.data.columns.formats import spaced

__all__ = ["CHECK_DIGITS", "CheckDigits", "check_digits_of"]

SURE = 20
"""Different codes from which it is no chance that all of them have the right one."""
NEARLY = 0.98
"""The share of the codes that have it: one may be mistyped."""


@dataclass(frozen=True)
class CheckDigits:
    """One way to reckon them.

    shape     of a code
    strip     a code to what is left without them
    complete  and back
    """

    shape: re.Pattern[str]
    strip: Callable[[str], str]
    complete: Callable[[str], str]

    def holds(self, value: Any) -> bool:
        """Whether it is a code with the right ones."""
        text = str(value)
        return bool(self.shape.fullmatch(text)) and self.complete(self.strip(text)) == text


def _last(digits: str, reckon: Callable[[list[int]], str]) -> CheckDigits:
    """The last digit, from those before it, the last first; groups may stand apart."""
    shape = re.compile(rf"[0-9](?:[ -]?[0-9]){{{digits}}}[ -]?[0-9X]")

    def complete(body: str) -> str:
        return body + reckon([int(one) for one in reversed(body) if one.isdecimal()])

    return CheckDigits(shape, lambda text: text[:-1], complete)


def _luhn(digits: list[int]) -> str:
    """ISO/IEC 7812-1: cards, IMEI."""
    return str(-sum(sum(divmod(2 * d, 10)) if i % 2 == 0 else d for i, d in enumerate(digits)) % 10)


def _gtin(digits: list[int]) -> str:
    """GS1: EAN, UPC, ISBN of 13 digits."""
    return str(-sum(3 * d if i % 2 == 0 else d for i, d in enumerate(digits)) % 10)


def _isbn10(digits: list[int]) -> str:
    """ISO 2108, before 2007."""
    return "0123456789X"[-sum((i + 2) * d for i, d in enumerate(digits)) % 11]


def _account(body: str) -> str:
    """ISO 13616: the two behind the country, by ISO/IEC 7064 (MOD 97-10)."""
    country, rest = body[:2], body[2:]
    digits = "".join(str(int(one, 36)) for one in f"{rest}{country}00" if one != " ")
    return f"{country}{98 - int(digits) % 97:02d}{rest}"


CHECK_DIGITS = {
    "iban": CheckDigits(
        re.compile(r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,4})?"),
        lambda text: text[:2] + text[4:],
        _account,
    ),
    "isbn10": _last("8", _isbn10),
    "gtin": _last("6,12", _gtin),
    "luhn": _last("7,17", _luhn),
}


def check_digits_of(values: Collection[Any]) -> str | None:
    """Which of `CHECK_DIGITS` nearly all of these different values have; None where they have none, or are few."""

    def nearly_all(some: Collection[Any], one: CheckDigits) -> bool:
        return sum(map(one.holds, some)) >= NEARLY * len(some)

    if len(values) < SURE or not all(isinstance(v, str | int) for v in values):
        return None
    some = spaced(list(values), SURE)
    found = (
        name
        for name, one in CHECK_DIGITS.items()
        if sum(map(one.holds, some)) >= len(some) - 1 and nearly_all(values, one)
    )
    return next(found, None)
