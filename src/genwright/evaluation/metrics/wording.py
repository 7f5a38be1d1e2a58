"""Texts beside the right ones: edits, shared n-grams, common words in order.

Where a part of a text was given, what was to be made is compared alone. Words are those of `split_words`, so that
scripts without spaces have some too.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence

import numpy as np

from genwright.data.codec import Array
from genwright.data.text.tokenizer import points, repair
from genwright.evaluation.evidence import Evidence, Pairs
from genwright.evaluation.metric import OfPairs
from genwright.evaluation.metrics.answers import pairs_in
from genwright.evaluation.metrics.texts import split_words
from genwright.evaluation.views.ngrams import Windows

__all__ = [
    "CharacterErrorRate",
    "CharacterFScore",
    "RougeL",
    "WordErrorRate",
    "common_length",
    "edit_distance",
]

TEXTS = 500
"""Pairs that are compared, at most: the first."""
BLOCK = 64
"""Pairs of texts that are worked on at a time, of about the same length."""
ORDER, BETA = 6, 2


def _texts(pairs: Pairs) -> tuple[list[str], list[str]]:
    """What was made and what is right, without what was given."""
    made, true = (list(one.view("text")[:TEXTS]) for one in (pairs.made, pairs.true))
    if pairs.whole:
        return made, true
    unknown = pairs.unknown[:TEXTS, 0]
    made, true = (
        [one.field.decode(one.x[i : i + 1, :, gap])[0] for i, gap in enumerate(unknown)]
        for one in (pairs.made, pairs.true)
    )
    return made, true


def _codes(texts: Sequence[str]) -> list[Array]:
    return [points(repair(text)).astype(np.int64) for text in texts]


def _words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [split_words(text) for text in texts]


def _numbered(*sets: Sequence[Sequence[str]]) -> list[list[Array]]:
    """Words as numbers, equal ones alike in all sets."""
    known: dict[str, int] = {}
    return [
        [np.array([known.setdefault(w, len(known)) for w in words], dtype=np.int64) for words in some]
        for some in sets
    ]


# -- edits -----------------------------------------------------------------------------------------


def edit_distance(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Insertions, deletions and substitutions that turn each row of `a` into that of `b` `(n,)` (Levenshtein 1966).

    All of a block at a time, row by row of their tables: with c_j the cheapest way to place j without an
    insertion, the cheapest at all is min over i <= j of c_i + (j - i), a running minimum.
    """
    return _by_blocks(a, b, _edits)


def common_length(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """The length of the longest common subsequence of each row of `a` and of `b` `(n,)`."""
    return _by_blocks(a, b, _common)


def _by_blocks(
    a: Sequence[Array], b: Sequence[Array], work: Callable[[Array, Array, Array, Array], Array]
) -> Array:
    """`work` of rows and columns, each padded to the longest of the block, with their lengths."""
    found = np.zeros(len(a), dtype=np.int64)
    order = np.argsort([len(x) + len(y) for x, y in zip(a, b, strict=True)], kind="stable")
    for start in range(0, len(order), BLOCK):
        some = order[start : start + BLOCK]
        rows, sizes = _padded([a[i] for i in some], -1)
        columns, widths = _padded([b[i] for i in some], -2)
        found[some] = work(rows, sizes, columns, widths)
    return found


def _padded(rows: Sequence[Array], filler: int) -> tuple[Array, Array]:
    sizes = np.array([len(row) for row in rows])
    out = np.full((len(rows), max(1, int(sizes.max()))), filler, dtype=np.int64)
    for i, row in enumerate(rows):
        out[i, : len(row)] = row
    return out, sizes


def _edits(rows: Array, sizes: Array, columns: Array, widths: Array) -> Array:
    n, width = columns.shape
    place = np.arange(width + 1)
    cost = np.tile(place, (n, 1))
    found = np.where(sizes == 0, widths, 0)
    for i in range(rows.shape[1]):
        other = np.empty_like(cost)
        other[:, 0] = i + 1
        wrong = columns != rows[:, i, None]
        other[:, 1:] = np.minimum(cost[:, 1:] + 1, cost[:, :-1] + wrong)
        cost = np.minimum.accumulate(other - place, axis=1) + place
        ends = sizes == i + 1
        found[ends] = cost[ends, widths[ends]]
    return found


def _common(rows: Array, sizes: Array, columns: Array, widths: Array) -> Array:
    n, width = columns.shape
    length = np.zeros((n, width + 1), dtype=np.int64)
    found = np.zeros(n, dtype=np.int64)
    for i in range(rows.shape[1]):
        other = np.zeros_like(length)
        same = columns == rows[:, i, None]
        other[:, 1:] = np.maximum(length[:, 1:], length[:, :-1] + same)
        length = np.maximum.accumulate(other, axis=1)
        ends = sizes == i + 1
        found[ends] = length[ends, widths[ends]]
    return found


class _ErrorRate(OfPairs):
    """Edits that turn the answers into the right ones: all edits by all symbols of the right answers."""

    better = "lower"
    ideal = 0.0
    reads = "text"

    @abstractmethod
    def _symbols(self, made: Sequence[str], true: Sequence[str]) -> tuple[list[Array], list[Array]]:
        """The numbers of what is edited, text by text."""

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        made, true = self._symbols(*_texts(pairs_in(evidence)))
        sizes = [len(row) for row in true]
        return np.column_stack([edit_distance(made, true), sizes]).astype(np.float64)


class CharacterErrorRate(_ErrorRate):
    """Edits of characters that turn the answers into the right ones, by the characters of these: all edits by all
    characters. It passes 1 where answers are longer than the right ones and have nothing of them."""

    name = "cer"
    how = "Wrong, missing and needless characters, by the characters of the right answer: 0 is none."

    def _symbols(self, made: Sequence[str], true: Sequence[str]) -> tuple[list[Array], list[Array]]:
        return _codes(made), _codes(true)


class WordErrorRate(_ErrorRate):
    """Edits of words that turn the answers into the right ones, by the words of these."""

    name = "wer"
    how = "Wrong, missing and needless words, by the words of the right answer: 0 is none."

    def _symbols(self, made: Sequence[str], true: Sequence[str]) -> tuple[list[Array], list[Array]]:
        answers, right = _numbered(_words(made), _words(true))
        return answers, right


# -- n-grams and order -----------------------------------------------------------------------------


class CharacterFScore(OfPairs):
    """chrF (Popovic 2015): n-grams of 1 to 6 characters, without spaces, that an answer shares with the right one,
    their precision and recall averaged over n, and of the two the F-score that weighs recall twice; of all
    answers together, out of 100."""

    name = "chrf"
    better = "higher"
    ideal = 100.0
    reads = "text"
    how = "Shared pieces of 1 to 6 characters, out of 100: the usual figure of translations (chrF2)."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        """n-grams of the answer, of the right one and of both `(n, 3 ORDER)`."""
        made, true = (["".join(text.split()) for text in some] for some in _texts(pairs_in(evidence)))
        ours, theirs = Windows.of(made), Windows.of(true)
        return np.concatenate([_shared(ours, theirs, n, len(made)) for n in range(1, ORDER + 1)], axis=1)

    def score(self, sums: Array) -> Array:
        answer, right, both = (sums[..., i::3] for i in range(3))
        there = (answer > 0) & (right > 0)
        orders = np.maximum(there.sum(-1), 1)
        precision = (both / np.maximum(answer, 1) * there).sum(-1) / orders
        recall = (both / np.maximum(right, 1) * there).sum(-1) / orders
        below = np.maximum(BETA**2 * precision + recall, 1e-300)
        return np.asarray(100 * (1 + BETA**2) * precision * recall / below)


def _shared(ours: Windows, theirs: Windows, n: int, texts: int) -> Array:
    """Of each text how many n-grams the answer has, the right one, and both `(texts, 3)`. An answer to a text that
    is too short to have any has none, as in sacrebleu."""
    found = [_counted(some, n) for some in (ours, theirs)]
    (keys, owners, counts), (other, other_owners, other_counts) = found
    _, i, j = np.intersect1d(keys, other, assume_unique=True, return_indices=True)
    both = np.bincount(owners[i], np.minimum(counts[i], other_counts[j]), texts)
    made, right = (np.bincount(o, c, texts) for o, c in ((owners, counts), (other_owners, other_counts)))
    return np.stack([np.where(right > 0, made, 0), right, both], axis=1)


def _counted(windows: Windows, n: int) -> tuple[Array, Array, Array]:
    """The different windows of each text: a key of both, the text, and how often it comes."""
    hashes, owner = windows.hashes(n)
    keys = hashes ^ ((owner.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15))
    keys, first, counts = np.unique(keys, return_index=True, return_counts=True)
    return keys, owner[first], counts


class RougeL(OfPairs):
    """ROUGE-L (Lin 2004, section 3): the F-measure of the words of an answer that stand in the right one in the
    same order, without case and punctuation; its mean over answers."""

    name = "rouge_l"
    better = "higher"
    ideal = 1.0
    reads = "text"
    how = "Words in common and in order, as an F-measure: the usual figure of summaries; 1 is the same words."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        made, true = _numbered(*(_plain_words(some) for some in _texts(pairs_in(evidence))))
        common = common_length(made, true)
        sizes = np.array([len(a) + len(b) for a, b in zip(made, true, strict=True)])
        same = np.where(sizes > 0, 2 * common / np.maximum(sizes, 1), 1.0)
        return np.column_stack([same, np.ones(len(same))])


def _plain_words(texts: Sequence[str]) -> list[tuple[str, ...]]:
    return [tuple(w for w in split_words(text.lower()) if w[0].isalnum()) for text in texts]
