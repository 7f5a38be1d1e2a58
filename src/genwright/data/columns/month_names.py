"""Names of months in several languages, written out and short, as the Unicode CLDR has them."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ENGLISH", "MONTH_NAMES", "MonthNames"]

ENGLISH = ""
"""The language of a format that names none."""


class MonthNames(NamedTuple):
    """The twelve of a year, from January on."""

    full: list[str]
    short: list[str]

    def number(self, name: str) -> int:
        """Which month it is, from 1. Raises `ValueError`."""
        low = name.casefold()
        known = self.full if low in map(str.casefold, self.full) else self.short
        return [one.casefold() for one in known].index(low) + 1


def _names(full: str, short: str) -> MonthNames:
    return MonthNames(full.split(), short.split())


MONTH_NAMES = {
    ENGLISH: _names(
        "January February March April May June July August September October November December",
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec",
    ),
    "de": _names(
        "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
        "Jan Feb Mär Apr Mai Jun Jul Aug Sep Okt Nov Dez",
    ),
    "fr": _names(
        "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
        "janv. févr. mars avr. mai juin juil. août sept. oct. nov. déc.",
    ),
    "es": _names(
        "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
        "ene feb mar abr may jun jul ago sept oct nov dic",
    ),
    "it": _names(
        "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
        "gen feb mar apr mag giu lug ago set ott nov dic",
    ),
    "pt": _names(
        "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
        "jan fev mar abr mai jun jul ago set out nov dez",
    ),
    "nl": _names(
        "januari februari maart april mei juni juli augustus september oktober november december",
        "jan feb mrt apr mei jun jul aug sep okt nov dec",
    ),
    "pl": _names(
        "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
        "sty lut mar kwi maj cze lip sie wrz paź lis gru",
    ),
}
"""By language. Of Polish the genitives, in which a day of a month is written."""
