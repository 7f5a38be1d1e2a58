"""Formats of numbers: 39, 039.0, 3,14, 1e-05, $1,336.36, 12 345,67 EUR, 61.9 kg, 12.34 %, (90.70), +3."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cached_property
from itertools import product
from typing import Any, Literal

import numpy as np

from genwright.data.columns.formats import Format, FormatFit, MixedFormat, cover, is_same

__all__ = ["NumberFormat", "fit_numbers", "parse_number"]

FULL = 16
"""So many digits tell a float from any other; Python then writes the fewest that do."""
FEW = 20
"""Distinct numbers that are still plain symbols: with a unit they are labels, such as 10 mg and 20 mg."""
TEXTS = 10
"""Distinct texts among the numbers, at most."""

_NUMBER = re.compile(r"[+-]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[+-]?[0-9]+)?|inf(?:inity)?)", re.I)
_CURRENCY = (
    r"(?:[A-Z]{1,3})?[$€£¥₹₩₽₺₫₴₪฿]|USD|EUR|GBP|CHF|JPY|CNY|INR|CAD|AUD|SEK|NOK|DKK|PLN|CZK|BRL|ZAR"
)
_UNIT = r"[%‰]|°[CFK]?|[^\W\d_]{1,9}[²³]?(?:/[^\W\d_]{1,9}[²³]?)?"
_SPACES = " \u00a0\u202f"
_DECORATED = re.compile(
    rf"(?P<blank>\s*)(?P<open>\()?(?P<sign>[+\-−]?)(?P<prefix>(?:(?:{_CURRENCY}|[<>]=?|[≤≥≈~])[{_SPACES}]?)?)(?P<inner>[+\-−]?)"
    rf"(?P<body>[0-9](?:[0-9.,'’{_SPACES}]*[0-9])?\.?|\.[0-9]+)(?P<exponent>(?:e[+-]?[0-9]+)?)"
    rf"(?P<suffix>(?:[{_SPACES}]?(?:(?:{_UNIT})\.?|{_CURRENCY})){{0,2}})(?P<after>-?)(?(open)\))",
    re.I,
)
_ORDINAL = re.compile("st|nd|rd|th", re.I)
_MULTIPLE = re.compile("[kKMmBGT]|[Bbm]n|Mio|Mrd")
"""A thousand, a million and so on, right behind a number."""
_GROUPS = "[0-9]{1,3}(?:%s[0-9]{3})+"
_LAKHS = "[0-9]{1,2}(?:,[0-9]{2})*,[0-9]{3}"
"""As India groups digits: 12,34,567."""
_LEADING_ZERO = re.compile(r"[^0-9.,]*0[0-9]")


def parse_number(value: Any, comma: bool = False) -> float | None:
    """The number that `value` means, be it infinite, or None. With `comma`, 3,14 means one."""
    if isinstance(value, str):
        text = value.strip()
        if comma:
            text = text.replace(",", ".")
        return float(text) if _NUMBER.fullmatch(text) else None
    if isinstance(value, bool | int | float | Decimal | np.number | np.bool_):
        try:
            return float(value)
        except OverflowError:
            return math.inf
    return None


@dataclass(frozen=True)
class NumberFormat(Format):
    """The format of a column of numbers: how they are laid out, and what decorates them.

    raw       what a raw value is: a text, or a number of Python's
    places    decimals that carry information: 0 for whole numbers, also for those written 39.0
    least     decimals that are always written, zeros or not
    digits    where some have an exponent, or all the digits of a float: how many count, in place of
              `places`
    comma     3,14 instead of 3.14
    exponent  of numbers that all have one, such as 1.50E+03: "E+00"
    group     between groups of three digits
    prefix, suffix  a currency, a unit, a per cent sign, with their blanks
    plus      whether a plus stands before positive numbers
    brackets  whether a number in brackets is negative
    inner     whether a sign stands behind the prefix: $-5
    minus     the sign of negative numbers: - or −
    lakhs     whether groups above the thousand are of two digits: 12,34,567
    after     whether a minus stands at the end: 12.50-
    """

    raw: Literal["text", "int", "float"]
    places: int
    least: int
    digits: int | None = None
    comma: bool = False
    exponent: str = ""
    group: str = ""
    prefix: str = ""
    suffix: str = ""
    plus: bool = False
    brackets: bool = False
    inner: bool = False
    minus: str = "-"
    lakhs: bool = False
    after: bool = False

    @classmethod
    def of(
        cls, values: Collection[Any], comma: bool = False, meant: Mapping[Any, float] | None = None
    ) -> NumberFormat:
        """From raw values that are all numbers; `meant`: which, where they are read already."""
        return cls("float", 0, 0, comma=comma).laid_out(values, meant)

    def laid_out(
        self, values: Collection[Any], meant: Mapping[Any, float] | None = None
    ) -> NumberFormat:
        """The same decoration, with the decimals and digits of these raw values, which it can read."""
        if all(isinstance(v, str) for v in values):
            raw: Literal["text", "int", "float"] = "text"
        elif all(isinstance(v, int) for v in values):
            raw = "int"
        else:
            raw = "float"
        numbers = meant or {v: self.read(v) for v in values}
        finite = [v for v, number in numbers.items() if math.isfinite(number)]
        texts = [(self._bare(v) if isinstance(v, str) else str(v)).lower() for v in finite]
        parts = [(text.partition("e")[0].lstrip("+-"), "e" in text) for text in texts]
        decimals = [len(mantissa.partition(".")[2]) for mantissa, _ in parts]
        plain = [n for n, (_, exponent) in zip(decimals, parts, strict=True) if not exponent]
        digits = max((len(mantissa.replace(".", "").lstrip("0")) for mantissa, _ in parts), default=0)
        whole = all(numbers[v].is_integer() for v in finite)
        by_digits = len(plain) < len(parts) or (digits >= FULL and not whole)
        places = 0 if whole else max(1, *decimals)
        # Without a point, 1e5 would come back as an integer's 100000.
        least = min(plain, default=1)
        return replace(
            self, raw=raw, places=places, least=least, digits=max(digits, 1) if by_digits else None
        )

    @property
    def whole(self) -> bool:
        return self.places == 0 and not self.exponent

    @property
    def plain(self) -> bool:
        """Whether it writes as every program reads: without decoration."""
        return self == replace(
            NumberFormat(self.raw, self.places, self.least, self.digits), exponent=self.exponent
        )

    def read(self, value: Any) -> float:
        """The number; NaN where it is none, or infinite."""
        found = parse_number(value) if self.is_bare or not isinstance(value, str) else None
        if found is None and isinstance(value, str):
            found = parse_number(self._bare(value))
        return found if found is not None and math.isfinite(found) else math.nan

    def _bare(self, text: str) -> str:
        """The text without decoration, as Python writes a number; what is no number stays none."""
        text = text.strip()
        if self.brackets and text.startswith("(") and text.endswith(")"):
            text = f"-{text[1:-1]}"
        if self.after and text.endswith("-"):
            text = f"-{text[:-1]}"
        sign = "-" if text[:1] in ("-", "−") else ""
        text = (
            text.lstrip("+-−") if len(text) > 1 and text[0] in "+-−" and text[1] not in "+-−" else text
        )
        if self.prefix:
            text = text.removeprefix(self.prefix.strip()).lstrip()
            if self.inner and text[:1] in ("+", "-", "−"):
                sign, text = ("-" if text[0] != "+" else "", text[1:])
        if self.suffix:
            text = text.removesuffix(self.suffix.strip()).rstrip()
        if self.group and self.group in text:
            whole, mark, rest = text.partition("," if self.comma else ".")
            if re.fullmatch(_LAKHS if self.lakhs else _GROUPS % re.escape(self.group), whole):
                text = whole.replace(self.group, "") + mark + rest
        return sign + (text.replace(",", ".") if self.comma else text)

    def write(self, numbers: Iterable[float]) -> list[Any]:
        if self.whole and self.digits is None and not self.least:
            texts = [str(round(float(n))) for n in numbers]
        else:
            texts = [self._text(float(n)) for n in numbers]
        if self.raw == "text":
            return texts if self.is_bare else [self._decorated(text) for text in texts]
        return [int(t) for t in texts] if self.raw == "int" else [float(t) for t in texts]

    @cached_property
    def is_bare(self) -> bool:
        """Whether nothing decorates its numbers."""
        return self == NumberFormat(self.raw, self.places, self.least, self.digits)

    def _text(self, value: float) -> str:
        """As Python would, less the decoration."""
        if self.exponent:
            return self._scientific(value)
        if self.digits is not None and not self.whole:
            text = repr(value) if self.digits >= FULL else f"{value:.{self.digits}g}"
            if "e" in text:
                return text
        else:
            text = f"{value:.{self.places}f}"
        whole, _, decimals = text.partition(".")
        decimals = decimals.rstrip("0").ljust(self.least, "0")
        text = f"{whole}.{decimals}" if decimals else whole
        return text.lstrip("-") if float(text) == 0 else text  # no "-0"

    def _scientific(self, value: float) -> str:
        mantissa, _, power = f"{value:.{self.places}e}".partition("e")
        mark, zeros = self.exponent[0], self.exponent[1:]
        sign = "-" if power.startswith("-") else "+" if "+" in zeros else ""
        return f"{mantissa}{mark}{sign}{power[1:].lstrip('0').rjust(zeros.count('0'), '0')}"

    def _decorated(self, text: str) -> str:
        negative, text = text.startswith("-"), text.lstrip("-")
        if self.group:
            whole, mark, decimals = text.partition(".")
            text = (_in_lakhs(whole) if self.lakhs else f"{int(whole):,}").replace(",", "\0")
            text += mark + decimals
        text = text.replace(".", ",") if self.comma else text
        text = text.replace("\0", self.group)
        positive = self.plus and not negative and any(digit in text for digit in "123456789")
        sign = self.minus if negative else "+" if positive else ""
        if negative and (self.brackets or self.after):
            text = f"{self.prefix}{text}{self.suffix}"
            return f"({text})" if self.brackets else f"{text}-"
        start = f"{self.prefix}{sign}" if self.inner else f"{sign}{self.prefix}"
        return f"{start}{text}{self.suffix}"


def _in_lakhs(digits: str) -> str:
    """1234567 as 12,34,567."""
    pairs = re.sub(r"(?<=[0-9])(?=(?:[0-9]{2})+\Z)", ",", digits[:-3])
    return f"{pairs},{digits[-3:]}" if pairs else digits


# -- fitting -------------------------------------------------------------------------------------


def fit_numbers(counts: Mapping[Any, int], most: int = 100) -> FormatFit | None:
    """The format of these raw values that are not missing, and the few texts among them; None where they are no
    numbers, or names that only look like them.

    most  distinct values of a column that may be labels
    """
    if any(isinstance(value, bool) or not isinstance(value, str | int | float) for value in counts):
        return None
    return _plain(counts, most) or _decorated(counts)


def _plain(counts: Mapping[Any, int], most: int) -> FormatFit | None:
    comma = decimal_comma(counts)
    found = {value: parse_number(value, comma) for value in counts}
    texts = [value for value, meant in found.items() if meant is None]
    infinite = [
        value for value, meant in found.items() if meant is not None and not math.isfinite(meant)
    ]
    numbers = {v: counts[v] for v, meant in found.items() if meant is not None and math.isfinite(meant)}
    if not numbers or not few_texts(texts, len(numbers), counts) or _are_codes(numbers):
        return None
    meant = {value: found[value] or 0.0 for value in numbers}
    plain = NumberFormat.of(numbers, comma, meant)
    largest = max(map(abs, meant.values()))
    if plain.raw != "float" and plain.whole and plain.digits is None and largest >= 2**53:
        return None  # float64 cannot tell it from its neighbour
    literals = (*texts, *infinite)
    written = plain.write(meant.values())
    others = [v for v, as_read in zip(numbers, written, strict=True) if not is_same(as_read, v)]
    if not others:
        return FormatFit(plain, literals)
    if len({found[v] for v in numbers}) < len(numbers) <= most and 2 * len(numbers) <= sum(
        numbers.values()
    ):
        return None  # 1.1 and 1.10 are two versions, and no numbers
    parts, left = cover(numbers, lambda some: [*_layouts(some, comma), *_decorations(some)])
    return _fitted(parts or [plain], literals, left, numbers)


def _decorated(counts: Mapping[Any, int]) -> FormatFit | None:
    """Numbers with a currency or a unit."""
    parts = {value: _DECORATED.fullmatch(value) for value in counts if isinstance(value, str)}
    numbers = {value: counts[value] for value, found in parts.items() if found}
    texts = [value for value in counts if value not in numbers]
    if len(numbers) <= FEW or not few_texts(texts, len(numbers), counts) or _are_codes(numbers):
        return None
    around = Counter((found["prefix"], found["suffix"]) for found in parts.values() if found)
    decimals = any("." in found["body"] for found in parts.values() if found)
    for _, suffix in around:
        multiple = decimals and _MULTIPLE.fullmatch(suffix)
        loose = suffix[:1].isalpha() and not re.fullmatch(_CURRENCY, suffix) and not multiple
        if _ORDINAL.fullmatch(suffix.strip()) or (loose and len(around) > 1):
            return None  # 21st, 12a and 12b are names
    covered, left = cover(numbers, _decorations)
    if not covered or sum(left.values()) > 0.1 * sum(numbers.values()):
        return None
    return _fitted(covered, tuple(texts), left, numbers)


def _fitted(
    parts: list[Format], literals: tuple[Any, ...], left: Mapping[Any, int], numbers: Mapping[Any, int]
) -> FormatFit:
    """What no part writes is rewritten where that is rare, and a literal where it is common or unreadable."""
    format = parts[0] if len(parts) == 1 else MixedFormat(tuple(parts))
    common = max(3, 0.03 * sum(numbers.values()))
    own = [v for v, count in left.items() if count >= common or not math.isfinite(format.read(v))]
    return FormatFit(format, (*literals, *own), rewritten=tuple(v for v in left if v not in set(own)))


def few_texts(texts: Collection[Any], numbers: int, counts: Mapping[Any, int]) -> bool:
    """Whether these, among so many distinct numbers, are few enough to be symbols of their own."""
    rows = sum(counts[text] for text in texts)
    return len(texts) <= TEXTS and (
        rows <= 0.05 * sum(counts.values()) or numbers > max(FEW, 5 * len(texts))
    )


def _are_codes(numbers: Mapping[Any, int]) -> bool:
    """Whether a number would lose what these say: 02139, or +49 463306283."""
    texts = [value.strip() for value in numbers if isinstance(value, str)]
    if len(texts) < len(numbers):
        return False
    zero = [text for text in texts if _LEADING_ZERO.match(text)]
    one_width = len({len(text) for text in texts}) == 1
    if zero and (one_width or len(zero) > 0.01 * len(texts)):
        return True
    return all(re.fullmatch(r"\+[0-9]{7,}", text) for text in texts)


def decimal_comma(values: Iterable[Any]) -> bool:
    """Whether 3,14 means a number here. Groups of three digits alone would rather be thousands."""
    values = list(values)
    if not any(isinstance(value, str) and "," in value for value in values):
        return False
    tails = [re.fullmatch(r"\s*[+-]?[0-9]+(?:,([0-9]+))?\s*", v) for v in values if isinstance(v, str)]
    decimals = {len(found[1]) for found in tails if found and found[1]}
    return bool(tails) and all(tails) and bool(decimals) and decimals != {3}


def _layouts(values: Collection[Any], comma: bool) -> Iterator[NumberFormat]:
    """Formats without decoration: of all values, of each type, of each number of decimals."""
    yield from _common(NumberFormat.of(values, comma), values)
    groups = defaultdict[Any, list[Any]](list)
    for value in values:
        groups[type(value)].append(value)
        if isinstance(value, str):
            groups[len(re.split("[.,]", value.strip())[-1]) if re.search("[.,]", value) else 0].append(
                value
            )
    for some in groups.values():
        yield from _common(NumberFormat.of(some, comma), some)
    yield from _with_exponents(NumberFormat("text", 0, 0, comma=comma), values)


def _common(one: NumberFormat, values: Collection[Any]) -> Iterator[NumberFormat]:
    """The format, if it writes nearly all of the values: 1.5 and 1.25 beside a 0 have none in common with 1.50."""
    if sum(one.exact(value) for value in values) >= 0.98 * len(values):
        yield one


def _with_exponents(like: NumberFormat, values: Collection[Any]) -> Iterator[NumberFormat]:
    """Where each has an exponent, by the decimals and the mark: 1.50e+03, 1E5."""
    texts = [value for value in values if isinstance(value, str)]
    found = [m for v in texts if (m := re.search(r"(?:\.([0-9]*))?(e)([+-]?)([0-9]+)", v, re.I))]
    for (places, mark), _ in Counter((len(m[1] or ""), m[2]) for m in found).most_common(3):
        plus = "+" if any(m[3] == "+" for m in found) else ""
        yield replace(like, places=places, exponent=f"{mark}{plus}{'0' * min(len(m[4]) for m in found)}")


def _decorations(values: Collection[Any]) -> Iterator[NumberFormat]:
    """Formats of the decorated numbers among the values, the commonest first."""
    found = [m for v in values if isinstance(v, str) and (m := _DECORATED.fullmatch(v))]
    around = Counter((m["blank"] + m["prefix"], m["suffix"]) for m in found)
    for (prefix, suffix), _ in around.most_common(4):
        some = [m for m in found if (m["blank"] + m["prefix"], m["suffix"]) == (prefix, suffix)]
        texts = [m[0] for m in some]
        group, comma = _marks([m["body"] for m in some])
        lakhs = group == "," and any(map(_only_in_lakhs, (m["body"] for m in some)))
        signs = {m["sign"] + m["inner"] for m in some}
        choices = product(
            dict.fromkeys([group, ""]),
            {"+" in signs, False},
            {any(m["open"] for m in some), False},
            {any(m["inner"] for m in some), False},
            dict.fromkeys(["−" if "−" in signs else "-", "-"]),
            {any(m["after"] for m in some), False},
        )
        for group, plus, brackets, inner, minus, after in choices:
            like = NumberFormat(
                "text",
                0,
                0,
                comma=comma,
                group=group,
                prefix=prefix,
                suffix=suffix,
                plus=plus,
                brackets=brackets,
                inner=inner,
                minus=minus,
                lakhs=lakhs,
                after=after,
            )
            readable = [text for text in texts if math.isfinite(like.read(text))]
            if readable:
                yield from _common(like.laid_out(readable), readable)
                for places in Counter(like.laid_out([text]).least for text in readable):
                    yield like.laid_out([t for t in readable if like.laid_out([t]).least == places])


def _only_in_lakhs(body: str) -> bool:
    """Whether digits are grouped as India does it and nobody else: 1,23,456 and not 23,456."""
    whole = body.partition(".")[0]
    return bool(re.fullmatch(_LAKHS, whole)) and not re.fullmatch(_GROUPS % ",", whole)


def _marks(bodies: Collection[str]) -> tuple[str, bool]:
    """What stands between groups of three digits, and whether a comma stands before the decimals."""
    both = next((body for body in bodies if "," in body and "." in body), None)
    if both:
        comma = both.rfind(",") > both.rfind(".")
        return ("." if comma else ","), comma
    other = next((mark for mark in f"'’{_SPACES}" if any(mark in body for body in bodies)), "")
    if any("," in body for body in bodies):
        grouped = any(
            all(re.fullmatch(one, body) for body in bodies if "," in body)
            for one in (_GROUPS % ",", _LAKHS)
        )
        return (",", False) if grouped and not other else (other, True)
    if any(body.count(".") > 1 for body in bodies):
        return ".", True
    return other, False
