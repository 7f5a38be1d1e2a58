"""Texts: do they repeat, do they copy, are they made of the words and letters of real ones.

The view `text` is a list of texts: documents, or windows of a stream. Nothing here may be won by length:

    two sets as wholes    are cut to equal numbers of characters, the smaller total of the two
    one score a text      each generated text is cut at the median length of the real ones
    a share               of n-grams or words does not grow with their number; nothing is cut

Random letters are new, varied and never repeat. So these numbers are best where real texts are, not at
an end of their scale.
"""

from __future__ import annotations

import math
import re
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from itertools import chain, pairwise
from typing import Literal, TypeVar

import numpy as np
from scipy.special import rel_entr
from scipy.stats import wasserstein_distance

from genwright.data.codec import Array
from genwright.data.text.tokenizer import repair
from genwright.errors import DataError
from genwright.evaluation.cache import Memo
from genwright.evaluation.evidence import Evidence
from genwright.evaluation.metric import Comparison, MeanScore, Measurement, Rate, Statistic, Z, wilson
from genwright.evaluation.views.ngrams import Windows, is_in, likely
from genwright.options import Count

__all__ = [
    "CharacterNgramDistance",
    "DistinctWords",
    "Lengths",
    "LongestCopy",
    "NovelNgrams",
    "Repetition",
    "Spelling",
    "TextShare",
    "split_words",
]

T = TypeVar("T")

LEAST = 10
"""Texts with something to count in them."""
LIMIT = 1 << 22
"""Characters of the training texts that are searched, about 300 MB at work; of more, a part that the
content of the texts decides. A copy of what was left out is not seen."""
UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
WORD = re.compile(rf"[{UNSPACED}]|[^\W{UNSPACED}]+|[^\w\s]")


# -- texts as rows of symbols ------------------------------------------------------------------


@lru_cache(maxsize=1 << 15)  # half-sampling asks for the same texts again and again
def split_words(text: str) -> tuple[str, ...]:
    """Runs of letters and digits as they are written, and each other visible character by itself. Where a
    script puts no spaces between words (Han, kana, Thai), each character is one."""
    return tuple(WORD.findall(text))


def _ngrams(text: str, n: int) -> list[tuple[str, ...]]:
    tokens = split_words(text)
    return list(zip(*(tokens[i:] for i in range(n)), strict=False))


def _some(texts: Sequence[str], size: int) -> list[str]:
    """`size` characters of the texts, in an order that their content alone decides; the last one is cut."""
    return [text[:most] for text, most in _cut(texts, size)]


def _cut(texts: Sequence[str], size: int) -> list[tuple[str, int]]:
    """The same as whole texts, and how many characters of each."""
    if sum(map(len, texts)) <= size:
        return [(text, len(text)) for text in texts]
    kept, left = [], size
    for text in sorted(texts, key=_rank):
        if left <= 0:
            break
        kept.append((text, min(left, len(text))))
        left -= len(text)
    return kept


@lru_cache(maxsize=1 << 15)
def _rank(text: str) -> bytes:
    """What decides its place."""
    return blake2b(repair(text).encode(), digest_size=8).digest()


def _total(test: Sequence[str], fake: Sequence[str]) -> int:
    """Characters that both have."""
    return min(sum(map(len, test)), sum(map(len, fake)))


def _level(test: Sequence[str], fake: Sequence[str]) -> tuple[list[str], list[str]]:
    """Real and generated texts, with equally many characters."""
    size = _total(test, fake)
    return _some(test, size), _some(fake, size)


def _trimmed(evidence: Evidence) -> list[str]:
    """Generated texts, none longer than the median of the real ones."""
    size = int(np.median([len(text) for text in evidence.test.view("text")]))
    return [text[:size] for text in evidence.fake.view("text")]


_searched = Memo(2)
"""What was last searched for pieces of texts: every contender is held against the same training texts."""


def _trained(name: str, evidence: Evidence) -> list[str]:
    texts = _of_train("texts", evidence, lambda: _some(evidence.train.view("text"), LIMIT))
    if not any(texts):
        raise DataError(f"{name} compares with the training texts, and they are empty", code="no-text")
    return texts


def _trained_windows(name: str, evidence: Evidence) -> Windows:
    """Of characters of the training texts."""
    return _of_train("windows", evidence, lambda: Windows.of(_trained(name, evidence)))


def _of_train(what: str, evidence: Evidence, make: Callable[[], T]) -> T:
    digest = evidence.train.digest
    return _searched.keep((what, digest, LIMIT), make) if digest else make()


# -- novelty -----------------------------------------------------------------------------------


class TextShare(Rate):
    """A share of what texts are made of. Neighbours in a text are alike, so that n-grams count for fewer
    than they are: Wilson's interval with the number that would stray as far if each were on its own
    (Korn & Graubard 1998), by the spread of the ratio between texts (Cochran 1977, section 6.3)."""

    reads = "text"
    piece: str
    """What a text needs to be counted."""

    @abstractmethod
    def counts(self, evidence: Evidence) -> tuple[Array, Array]:
        """For each generated text, how many and of how many, `(texts,)` each."""

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        hits, sizes = self._counts(evidence)
        return int(hits.sum()), int(sizes.sum())

    def _counts(self, evidence: Evidence) -> tuple[Array, Array]:
        hits, sizes = self.counts(evidence)
        _enough(self.name, self.piece, int(np.count_nonzero(sizes)))
        return hits[sizes > 0], sizes[sizes > 0]

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        hits, sizes = self._counts(evidence)
        texts, total = len(sizes), int(sizes.sum())
        share = float(hits.sum() / total)
        variance = float(((hits - share * sizes) ** 2).sum()) * texts / (texts - 1) / total**2
        effective = texts if variance == 0 else min(total, max(1, round(share * (1 - share) / variance)))
        return Measurement(share, *wilson(round(share * effective), effective), texts)


def _enough(name: str, piece: str, n: int) -> None:
    if n < LEAST:
        raise DataError(
            f"{name} needs {LEAST} generated texts with {piece}, there are {n}", code="too-few-examples"
        )


class NovelNgrams(TextShare):
    """The share of the generated n-grams that the training texts do not hold.

    Carlini et al. (2021, arXiv:2012.07805) and McCoy et al. (2023, arXiv:2111.09509) look for copies in
    this way. Real texts that were held out say how much is new without any copying.

    unit  characters, or words
    n     of them; None: 8 characters, 4 words
    """

    name = "novel_ngrams"
    group = "novelty"
    better = "near"
    fault = "below"
    sees = ("all_copied",)
    how = "Far below the floor the texts are copied; far above it they are made of what no one writes."

    def __init__(
        self, *, unit: Literal["characters", "words"] = "characters", n: Count | None = None
    ) -> None:
        self.unit, self.n = unit, n or (8 if unit == "characters" else 4)
        self.piece = f"at least {self.n} {unit}"

    def counts(self, evidence: Evidence) -> tuple[Array, Array]:
        texts = evidence.fake.view("text")
        if self.unit == "characters":
            train, fake = _trained_windows(self.name, evidence), Windows.of(texts)
        else:
            train, fake = _of_words(_trained(self.name, evidence), texts)
        hashes, owner = fake.hashes(self.n)
        new = ~is_in(hashes, train.hashes(self.n)[0])
        return np.bincount(owner[new], minlength=len(texts)), np.bincount(owner, minlength=len(texts))


def _of_words(*sets: Sequence[str]) -> list[Windows]:
    """Windows of words."""
    number: dict[str, int] = {}
    rows = [
        [
            np.array([number.setdefault(w, len(number)) for w in split_words(text)], np.uint64)
            for text in texts
        ]
        for texts in sets
    ]
    return [Windows(row) for row in rows]


class LongestCopy(MeanScore):
    """The longest piece of a generated text that stands in a training text, in characters.

    By doubling and then bisection of the length, for all texts at once, with a rolling hash: the longest common
    substring of Karp & Rabin (1987). Generated texts are cut at the median length of real ones first. The interval
    counts equal texts once: the same text over and over is known no better than one.
    """

    name = "longest_copy"
    group = "novelty"
    better = "near"
    fault = "above"
    reads = "text"
    sees = ("all_copied",)
    how = "Characters in a row, on average; the floor says how many real texts share with the training texts."

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        texts = [text for text in _trimmed(evidence) if text]
        _enough(self.name, "characters", len(texts))
        return _longest(Windows.of(texts), _trained_windows(self.name, evidence), texts)

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        measurement, texts = super()._read(evidence, rng), [text for text in _trimmed(evidence) if text]
        wider = (measurement.high - measurement.value) * math.sqrt(len(texts) / len(set(texts)))
        return replace(measurement, low=measurement.value - wider, high=measurement.value + wider)


def _longest(fake: Windows, train: Windows, texts: Sequence[str]) -> Array:
    """How many characters of each text, in a row, occur in training, `(texts,)`."""
    found, most = np.zeros(len(texts), np.int64), max(map(len, texts))
    grows, starts, low, n = np.ones(len(texts), bool), np.arange(len(train.left)), 0, 8
    # A window occurs only where its first half does: of the training texts ever fewer places are left.
    while grows.any():
        if n > most:
            found[grows] = _bisected(fake, train, grows, starts, low, most)
            break
        longer, left = _occurring(fake, train, grows, starts, n)
        if (ends := grows & ~longer).any():
            found[ends] = _bisected(fake, train, ends, starts, low, n - 1)
        grows, starts, low, n = longer, left, n, 2 * n
    return found


def _bisected(fake: Windows, train: Windows, which: Array, starts: Array, low: int, high: int) -> Array:
    """The same of some texts `(texts,)`, which is between two bounds."""
    least, most = np.full(len(which), low), np.full(len(which), high)
    while (unsure := which & (least < most)).any():
        middle = (least + most + 1) // 2
        for n in np.unique(middle[unsure]).tolist():
            mine = unsure & (middle == n)
            longer, _ = _occurring(fake, train, mine, starts, n)
            least[longer], most[mine & ~longer] = n, n - 1
    return least[which]


def _occurring(
    fake: Windows, train: Windows, which: Array, starts: Array, n: int
) -> tuple[Array, Array]:
    """Which of some texts `(texts,)` have a window of `n` that begins at one of the places of the training texts;
    and those of the places where such a one may begin."""
    hashes, owner = fake.hashes(n)
    hashes, owner = hashes[which[owner]], owner[which[owner]]
    theirs, starts = train.hashes_from(starts, n)
    near = likely(hashes, theirs)
    found = np.zeros(len(which), bool)
    found[owner[is_in(hashes, theirs[near])]] = True
    return found, starts[near]


# -- diversity ---------------------------------------------------------------------------------


class Repetition(MeanScore):
    """The share of the word n-grams of a text that it has used before: rep-n of Welleck et al. (2020,
    arXiv:1908.04319), the mean over texts. They are cut at the median length of real ones first.

    n  words
    """

    name = "repetition"
    group = "diversity"
    better = "near"
    reads = "text"
    sees = ("collapse",)
    how = "Well above the floor the texts run in circles; below it they repeat less than people do."

    def __init__(self, *, n: Count = 4) -> None:
        self.n = n

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        grams = [found for text in _trimmed(evidence) if (found := _ngrams(text, self.n))]
        _enough(self.name, f"at least {self.n} words", len(grams))
        return np.array([1 - len(set(found)) / len(found) for found in grams])


class OfTexts(Statistic):
    """A statistic of two sets of texts."""

    reads = "text"

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (
            np.array(sample.view("text"), dtype=object) for sample in (evidence.test, evidence.fake)
        )
        return test, fake, lambda test, fake, rng: self.compare(test.tolist(), fake.tolist())

    @abstractmethod
    def compare(self, test: Sequence[str], fake: Sequence[str]) -> float:
        """The number of two sets of texts."""


class DistinctWords(OfTexts):
    """Different pairs of neighbouring words among all of them, distinct-2 of Li et al. (2016,
    arXiv:1510.03055), over that of as many characters of real texts: it falls as texts grow, in both alike.

    The interval is the jackknife's over texts (Efron & Stein 1981). Halves will not do: what stands in many
    texts is in nearly every half, so that they stray less than the whole does (the intervals held the truth
    in 75 % of 200 trials).
    """

    name = "distinct"
    group = "diversity"
    better = "near"
    ideal = 1.0
    sees = ("collapse",)
    how = "1: as varied as as much real text. Far below, the texts say the same; above, they are noise."

    def compare(self, test: Sequence[str], fake: Sequence[str]) -> float:
        real, made = _level(test, fake)
        return _distinct(self._pairs(made, "generated"))[0] / _distinct(self._pairs(real, "real"))[0]

    def _read(self, evidence: Evidence, rng: np.random.Generator) -> Measurement:
        texts = zip(
            _level(evidence.test.view("text"), evidence.fake.view("text")),
            ("real", "generated"),
            strict=True,
        )
        sets = [self._pairs(some, what) for some, what in texts]
        if (n := min(map(len, sets))) < LEAST:
            raise DataError(
                f"{self.name} needs {LEAST} texts of two words or more on both sides, of equally many "
                f"characters in all; there are {n}",
                code="too-few-examples",
            )
        (real, real_error), (made, made_error) = map(_distinct, sets)
        off = Z * made / real * math.hypot(real_error / real, made_error / made)
        return Measurement(made / real, made / real - off, made / real + off, n)

    def _pairs(self, texts: Sequence[str], what: str) -> list[list[tuple[str, str]]]:
        """The pairs of each text that has any."""
        found = [pairs for text in texts if (pairs := list(pairwise(split_words(text))))]
        if not found:
            raise DataError(f"{self.name}: no {what} text has two words", code="no-text")
        return found


def _distinct(texts: Sequence[Sequence[tuple[str, str]]]) -> tuple[float, float]:
    """Different pairs over all of them, and the standard error by leaving out one text after another."""
    within = Counter(chain.from_iterable(map(set, texts)))
    alone = np.array([sum(within[pair] == 1 for pair in set(pairs)) for pairs in texts])
    sizes, n = np.array([len(pairs) for pairs in texts]), len(texts)
    share = len(within) / sizes.sum()
    if n == 1:
        return share, 0.0
    without = (len(within) - alone) / (sizes.sum() - sizes)
    return float(share), math.sqrt((n - 1) * float(without.var()))


# -- validity and fidelity ---------------------------------------------------------------------


class Spelling(TextShare):
    """The share of the generated words that occur in the training texts."""

    name = "known_words"
    group = "validity"
    better = "near"
    piece = "words"
    sees = ("order", "ladder")
    how = "Far below the floor words are misspelt or made up; at 1 nothing is said in a new word."

    def counts(self, evidence: Evidence) -> tuple[Array, Array]:
        known = set(chain.from_iterable(map(split_words, _trained(self.name, evidence))))
        found = [split_words(text) for text in evidence.fake.view("text")]
        hits = np.array([sum(word in known for word in row) for row in found])
        return hits, np.array([len(row) for row in found])


class Lengths(OfTexts):
    """Wasserstein-1 distance of the lengths of texts, in characters. Where all real ones have one length,
    as the windows of a stream, it is of the lengths of words."""

    name = "lengths"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    sees = ("order", "ladder")
    how = "Characters by which texts are too long or too short on average, or words where texts are windows."

    def compare(self, test: Sequence[str], fake: Sequence[str]) -> float:
        sets = test, fake
        lengths = [[len(text) for text in texts] for texts in sets]
        if len(set(lengths[0])) == 1:
            lengths = [[len(word) for text in texts for word in split_words(text)] for texts in sets]
        for what, some in zip(("real", "generated"), lengths, strict=True):
            if not any(some):
                raise DataError(
                    f"{self.name}: the {what} texts are empty, or without words", code="no-text"
                )
        return float(wasserstein_distance(*lengths))


class CharacterNgramDistance(OfTexts):
    """Jensen-Shannon divergence of the character n-grams (Lin 1991), in bits: 0 for equal shares, 1 where
    none is in both. Two sets of real texts are not at 0, the less so the fewer characters they have.

    n  characters
    """

    name = "ngram_js"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    sees = ("order", "ladder", "missing_mode", "new_mode")
    how = "Bits, 0 to 1: how well one n-gram tells generated from real; spelling and style, not sense."

    def __init__(self, *, n: Count = 3) -> None:
        self.n = n

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake, _ = super().rows(evidence, rng)
        known = _numbered({*test, *fake}, self.n)  # halves hold the same texts again and again
        return test, fake, lambda test, fake, rng: self._divergence(test.tolist(), fake.tolist(), known)

    def compare(self, test: Sequence[str], fake: Sequence[str]) -> float:
        return self._divergence(test, fake, _numbered({*test, *fake}, self.n))

    def _divergence(self, test: Sequence[str], fake: Sequence[str], known: Mapping[str, Array]) -> float:
        size = _total(test, fake)
        sets = [
            [known[text][: max(0, most - self.n + 1)] for text, most in _cut(texts, size)]
            for texts in (test, fake)
        ]
        real, made = (np.concatenate([np.zeros(0, np.int64), *some]) for some in sets)
        if not (len(real) and len(made)):
            raise DataError(
                f"{self.name} needs texts of {self.n} characters or more on both sides",
                code="text-too-short",
            )
        kinds = 1 + max(int(real.max()), int(made.max()))
        p, q = (np.bincount(some, minlength=kinds) / len(some) for some in (real, made))
        m = (p + q) / 2
        return float(rel_entr(p, m).sum() + rel_entr(q, m).sum()) / (2 * math.log(2))


def _numbered(texts: Collection[str], n: int) -> dict[str, Array]:
    """The windows of `n` characters of each text, equal ones under one number."""
    each = sorted(texts)
    hashes, owner = Windows.of(each).hashes(n)
    numbers = np.unique(hashes, return_inverse=True)[1]
    ends = np.cumsum(np.bincount(owner, minlength=len(each)))
    return dict(zip(each, np.split(numbers, ends[:-1]), strict=True))
