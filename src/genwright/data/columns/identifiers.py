"""Identifiers: columns that only name their rows.

There is nothing to model in them and something to hide. None is kept; fresh ones of the same shape
are made, which are none of those that were there, unless there are few others of that shape.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import pairwise
from math import gcd, prod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from genwright.data.columns.check_digits import CHECK_DIGITS, check_digits_of
from genwright.data.columns.formats import is_missing
from genwright.data.columns.types import Column, Encoded, indices
from genwright.errors import DataError
from genwright.space import Span, Symbol

__all__ = ["Identifier", "Shape"]

ENOUGH = 10**6
"""So many possible tokens for each that was there: one drawn by chance is surely fresh."""
SOME = 1000
"""So many: one in a thousand is none, and that says nothing of it."""
SHAPES, MEMBERS = 12, 5
"""Shapes of one column, at most, and values of a shape, at least."""
FEW = 20
"""Different parts of identifiers that say nothing of one of them."""
CODE = 3
"""Letters of a code, at most: more are a word, and a word may be a name."""
MANY = 500
"""Of these, at most."""
COVERED = 0.9
"""The share of texts that have to be of some shape."""
WHOLE = 18
"""Digits of a number that is drawn as one."""
WORDS = 8
"""Of a text whose words are made up, at most: of more it is no name."""
NAME = 200
"""Characters of a text that is a name, at most."""
LONG = 12
"""Letters of a word that is made up, at most."""
GAPS = 200
"""Ranges of free numbers that are remembered."""
_RUN = re.compile(r"[0-9]+|[^\W\d_]+|(?:(?![^\W_]).)+", re.S)
_LAST = re.compile(r"(?<![0-9])([0-9]+)([^0-9]*)\Z")
DIGITS = 4000
"""Of a whole number that Python reads, about."""
_IPV4 = re.compile(r"\.".join([r"(25[0-5]|2[0-4]\d|1?\d?\d)"] * 4))
_CONSONANTS = "bcdfghjklmnprstvwz"

Place = str | list[str] | list[int]


@dataclass(frozen=True)
class Shape:
    """How identifiers look.

    before, after    for each place what may stand there: one of the characters of a text, one of several texts, or
                     a number from a first to a last, filled with zeros
    start, width     between them a number that counts up, filled with zeros; a width of 0: none
    free             ranges of numbers that none of them has, first and last; empty: all from `start` on
    weight           how many had this shape
    """

    before: list[Place] = field(default_factory=list)
    after: list[Place] = field(default_factory=list)
    start: int = 1
    width: int = 0
    free: list[list[int]] = field(default_factory=list)
    weight: int = 1

    def fresh(self, n: int, rng: np.random.Generator, first: int = 0) -> list[str]:
        """`n` of them, behind the `first` ones."""
        before, after = _strings(self.before, n, rng), _strings(self.after, n, rng)
        counter = [
            f"{number:0{self.width}d}" if self.width else "" for number in self._numbers(first, n)
        ]
        return [b + c + a for b, c, a in zip(before, counter, after, strict=True)]

    def _numbers(self, first: int, n: int) -> list[int]:
        """Through all that are free before one comes again; through several ranges in leaps of a golden section."""
        if not self.free:
            return list(range(self.start + first, self.start + first + n))
        sizes = [last - first + 1 for first, last in self.free]
        room, leap = sum(sizes), 1
        if len(sizes) > 1:
            leap = next(k for k in range(int(0.618 * room) or 1, 2 * room) if gcd(k, room) == 1)
        ends = np.cumsum(sizes)
        places = [i * leap % room for i in range(first, first + n)]
        ranges = np.searchsorted(ends, places, side="right").tolist()
        return [
            self.free[r][1] - (int(ends[r]) - 1 - place) for r, place in zip(ranges, places, strict=True)
        ]


@dataclass(kw_only=True)
class Identifier(Column):
    """Names of rows, as shapes. whole: the raw values are integers. check: which of `CHECK_DIGITS` they have, that
    are no part of the shapes."""

    kind: ClassVar[str] = "identifier"
    shapes: list[Shape] = field(default_factory=list)
    whole: bool = False
    check: str = ""

    @classmethod
    def fit(
        cls,
        name: str,
        values: Collection[Any],
        *,
        rows: int,
        sampled: bool,
        largest: int | None,
        missing_tokens: list[Any],
    ) -> Identifier | None:
        """From distinct texts or integers; `sampled`: there are more of them than these. None where the fresh
        ones would outgrow the `largest` that the file can hold.

        What ends in a number counts on after the largest, or through what is free among them; a long token is
        drawn place by place; of words, such as those of an address, some are made up; all else is named after its
        column.
        """
        whole = all(isinstance(value, int) for value in values)
        if check := check_digits_of(values) or "":
            one = CHECK_DIGITS[check]
            values = [one.strip(str(value)) for value in values if one.holds(value)]
            largest = None if largest is None else largest // 10
        groups = _groups([str(value) for value in values], whole)
        shapes: list[Shape]
        tokens = _tokens(values, rows)
        if hosts := _hosts(values):
            shapes = [hosts]
        elif len(groups) > 1 and len(tokens) == 1:
            shapes = tokens
        elif (
            groups and not tokens and _many_words(values) and (worded := _worded(values, sampled, rows))
        ):
            shapes = worded
        elif groups:
            found = [_numbered(group, whole, sampled, rows, largest) for group in groups]
            shapes = [shape for shape in found if shape]
            if len(shapes) < len(groups):
                return None
        else:
            shapes = tokens or _worded(values, sampled, rows) or [_named(name, values)]
        return cls(name=name, missing_tokens=missing_tokens, shapes=shapes, whole=whole, check=check)

    @property
    def spans(self) -> tuple[Span, ...]:
        return (Symbol(1 + len(self.missing_tokens)),) if self.missing_tokens else ()

    def encode(self, values: Sequence[Any]) -> Encoded:
        if not self.missing_tokens:
            return np.zeros((len(values), 0), dtype=np.float32)
        codes = [1 + self._token(value) if is_missing(value) else 0 for value in values]
        return np.array(codes, dtype=np.float32).reshape(-1, 1)

    def exactly(self, value: Any) -> Encoded:
        """Only that it is missing can be asked for."""
        if not is_missing(value):
            raise DataError(
                f"{value!r} cannot be given: {self.name!r} is an identifier, of which fresh ones are made; another "
                f"type in codec.types models it",
                code="not-modelled",
            )
        return super().exactly(value)

    def decode(self, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        return self.decode_behind(0, x, rng)

    def decode_behind(self, first: int, x: NDArray[Any], rng: np.random.Generator) -> list[Any]:
        n = len(x)
        which = np.zeros(n, dtype=np.int64)
        if len(self.shapes) > 1:
            weights = np.array([shape.weight for shape in self.shapes], dtype=np.float64)
            which = rng.choice(len(self.shapes), size=n, p=weights / weights.sum())
        fresh: list[Any] = [None] * n
        for i, shape in enumerate(self.shapes):
            rows = np.flatnonzero(which == i).tolist()
            for row, text in zip(rows, shape.fresh(len(rows), rng, first), strict=True):
                code = CHECK_DIGITS[self.check].complete(text) if self.check else text
                fresh[row] = int(code) if self.whole else code
        if not self.missing_tokens:
            return fresh
        index = indices(x[:, 0], 1 + len(self.missing_tokens))
        return [
            self.missing_tokens[i - 1] if i else f for i, f in zip(index.tolist(), fresh, strict=True)
        ]


def _strings(places: Sequence[Place], n: int, rng: np.random.Generator) -> list[str]:
    """`n` texts with one choice for each place."""
    columns = [_drawn(place, n, rng) for place in places]
    return ["".join(parts) for parts in zip(*columns, strict=True)] if columns else [""] * n


def _drawn(place: Place, n: int, rng: np.random.Generator) -> list[str]:
    first, last = place[0], place[-1]
    if isinstance(first, int) and isinstance(last, int):
        return [
            str(number).zfill(len(str(last)))
            for number in rng.integers(first, last + 1, size=n).tolist()
        ]
    return [str(place[i]) for i in rng.integers(len(place), size=n).tolist()]


Parts = tuple[str, str, str]
"""What stands before a number, its digits, and what stands behind it."""


def _around(text: str) -> Parts | None:
    """The last number of a text, and what stands around it; None where there is none."""
    found = _LAST.search(text)
    if found is None:
        return None
    first = max(found.start(), found.end(1) - DIGITS)
    return text[:first], text[first : found.end(1)], found[2]


def _groups(texts: Collection[str], whole: bool) -> list[list[Parts]]:
    """Names that end in a number, such as 17, AB-0017 or 0017.jpg, by what stands around it; nothing where some do
    not, or are of too many shapes."""
    if whole:
        return [[("", text, "") for text in texts]]
    groups = defaultdict[Any, list[Parts]](list)
    for text in texts:
        if found := _around(text):
            groups[_classes(found[0]), _classes(found[2])].append(found)
    if len(groups) == 1 and sum(map(len, groups.values())) == len(texts):
        return list(groups.values())
    common = [group for group in groups.values() if len(group) >= MEMBERS]
    enough = sum(map(len, common)) >= 0.9 * len(texts)
    return common if enough and len(common) <= SHAPES else []


def _numbered(
    group: Sequence[Parts], whole: bool, sampled: bool, rows: int, largest: int | None
) -> Shape | None:
    """The shape of names around a number; None where there is no room for others."""
    heads, digits, tails = zip(*group, strict=True)
    numbers = sorted({int(text) for text in digits})
    low, high = numbers[0], numbers[-1]
    fixed = len({len(text) for text in digits}) == 1 and not whole
    width = len(digits[0]) if fixed else 1
    # The largest number of all is probably not in a sample.
    start = high + 1 + ((high - low) // 100 if sampled else 0)
    counts = high - low < 2 * rows and len(numbers) == len(digits)
    padded = any(text.startswith("0") and len(text) > 1 for text in digits)
    limit = 10**width - 1 if fixed and (padded or not counts) else largest
    free: list[list[int]] = []
    if limit is not None:
        if limit - start >= 2 * rows + 1000:
            free = [[start, limit]]
        else:
            free = _gaps(numbers)
            if sum(last - first + 1 for first, last in free) < rows:
                # So few are possible that a known one says nothing: 192.168.0.17, or a code of two digits.
                return (
                    Shape(_runs(["".join(parts) for parts in group]), weight=len(group))
                    if fixed
                    else None
                )
    return Shape(_runs(heads), _runs(tails), start, width, free, len(group))


def _gaps(numbers: Sequence[int]) -> list[list[int]]:
    """Parts of the largest gaps between ascending numbers. Where each begins and ends is drawn, so that nobody can
    reckon back to these; the seed is the numbers themselves, which only their owner has."""
    rng = np.random.default_rng(list(sha256(repr(list(numbers)).encode()).digest()))
    gaps = sorted((b - a, a) for a, b in pairwise(numbers) if b - a > 3)[-GAPS:]
    found = []
    for gap, a in gaps:
        before, behind = (
            rng.integers(1, gap // 2, size=2, endpoint=False).tolist() if gap > 5 else (1, 1)
        )
        found.append([a + before, a + gap - behind])
    return sorted(found)


def _tokens(values: Collection[Any], rows: int) -> list[Shape]:
    """The shapes of codes such as a UUID, 0x3f80 or #a0c4ff, by their length: of most so many are possible that a drawn
    one is fresh, and the others are not drawn."""
    lengths = defaultdict[int, list[str]](list)
    for text in map(str, values):
        lengths[len(text)].append(text)
    texts = [text for some in lengths.values() for text in some]
    words = sum(not re.search("[0-9]", text) for text in texts) > len(texts) / 10
    # What all begin with may be anything.
    ends = enumerate(zip(min(texts), max(texts), strict=False))
    start = next((i for i, (a, b) in ends if a != b), 0)
    if not all(re.fullmatch(r"[\w:-]+", text[start:]) for text in texts) or (words and len(lengths) > 1):
        return []
    found = [Shape([*_places(some)], weight=len(some)) for some in lengths.values()]
    for room in (ENOUGH, SOME):
        large = [shape for shape in found if prod(map(len, shape.before)) > room * rows]
        if 2 * sum(shape.weight for shape in large) > len(texts):
            return large
    letters = {letter for text in texts for letter in text[start:] if letter.isalpha()}
    # Of so few hexadecimal ones that a known one says nothing.
    return found if len(found) == 1 and not words and letters <= {*"abcdefABCDEF"} else []


def _worded(values: Collection[Any], sampled: bool, rows: int) -> list[Shape]:
    """The shapes of texts of a few words and numbers, by what stands between these: of an address of e-mail, of a file.
    A number counts on; where there is none, at least one word is made up."""
    if max((len(str(value)) for value in values), default=0) > NAME:
        return []
    groups = defaultdict[Any, list[str]](list)
    for text in map(str, values):
        kinds = (
            ("9" if run[0].isdecimal() else "a" if run[0].isalpha() else run)
            for run in _RUN.findall(text)
        )
        groups[tuple(kinds)].append(text)
    common = [(kinds, group) for kinds, group in groups.items() if len(group) >= MEMBERS]
    if any(kinds.count("a") > WORDS for kinds, _ in common) or len(common) > SHAPES:
        return []
    if sum(len(group) for _, group in common) < COVERED * len(values):
        return []
    shapes = []
    for kinds, group in common:
        if "9" in kinds:
            around = [found for text in group if (found := _around(text))]
            if len(around) < len(group):
                return []
            shape = _numbered(around, False, sampled, rows, None)
        else:
            places = _runs(group, made_up=True)
            shape = Shape(places, weight=len(group)) if prod(map(len, places)) > SOME * rows else None
        if shape is None:
            return []
        shapes.append(shape)
    return shapes


def _hosts(values: Collection[Any]) -> Shape | None:
    """IP addresses (version 4): of each byte the values that are few, else any."""
    found = [_IPV4.fullmatch(str(value)) for value in values]
    if not all(found):
        return None
    places: list[Place] = []
    for part in zip(*(one.groups() for one in found if one), strict=True):
        different = sorted(set(part))
        places += [different if len(different) <= FEW else list(map(str, range(1, 255))), "."]
    return Shape(places[:-1], weight=len(found))


def _many_words(values: Collection[Any]) -> bool:
    """Whether they hold so many different words that these may be names."""
    found = set[str]()
    for text in map(str, values):
        found.update(filter(_is_word, _RUN.findall(text[:NAME])))
        if len(found) > FEW:
            return True
    return False


def _is_word(run: str) -> bool:
    """Whether a run of characters may be a name."""
    return run.isalpha() and len(run) > CODE


def _syllables(words: Sequence[str]) -> list[Place]:
    """Places for words that nobody has, about as long as these and with capitals where these have them."""
    short, long = min(map(len, words)), max(map(len, words))
    pairs = [consonant + vowel for consonant in _CONSONANTS for vowel in "aeiou"]
    first = pairs
    if all(word.isupper() for word in words):
        first = pairs = [pair.upper() for pair in pairs]
    elif all(word[0].isupper() for word in words):
        first = [pair.capitalize() for pair in pairs]
    needed, most = max(1, short // 2), max(1, min(long, LONG) // 2)
    return [first, *[pairs] * (needed - 1), *[["", *pairs]] * (most - needed)]


def _named(name: str, values: Collection[Any]) -> Shape:
    """name-000001 and so on, beyond those that are called so."""
    taken = [re.fullmatch(re.escape(name) + "-([0-9]+)", str(value)) for value in values]
    start = 1 + max((int(found[1]) for found in taken if found), default=0)
    return Shape(list(f"{name}-"), [], start, 6)


def _places(texts: Iterable[str]) -> list[str]:
    """The characters that stand at each place of texts of one length."""
    return ["".join(sorted(set(letters))) for letters in zip(*texts, strict=True)]


def _runs(texts: Sequence[str], made_up: bool = False) -> list[Place]:
    """What stands in each run of digits, of letters and of other characters, of texts of one shape. Where few
    different ones do, these; else of digits all numbers between, of letters any at each place, and words that nobody
    has instead of words.

    made_up  the words of at least one run are such words
    """
    runs = [*zip(*map(_RUN.findall, texts), strict=True)]
    kinds = [sorted(set(run)) for run in runs]
    words = [len(different) if different[0].isalpha() else 0 for different in kinds]
    hidden = words.index(max(words)) if made_up and max(words, default=0) else -1
    places: list[Place] = []
    for i, (run, different) in enumerate(zip(runs, kinds, strict=True)):
        digits, even = run[0].isdecimal(), len(set(map(len, different))) == 1
        names = any(map(_is_word, different))
        few = FEW if names else max(FEW, len(run) / 2)
        if i == hidden:
            places += _syllables(different)
        elif len(different) == 1:
            places += different[0]
        elif len(different) <= few or (digits and (not even or len(run[0]) < 4)):
            places.append(different[:MANY])
        elif digits and len(run[0]) <= WHOLE:
            places.append([int(different[0]), int(different[-1])])
        else:
            places += _syllables(different) if names or not even else _places(run)
    return places


def _classes(text: str) -> str:
    return re.sub("[a-z]", "a", re.sub("[A-Z]", "A", re.sub("[0-9]", "9", text)))
