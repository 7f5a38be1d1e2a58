"""Translation by tables of words and phrases: what a model of pairs has to be better than.

table    each word by the one that it is found with most often, by the score of Dice
ibm1     each word by its likeliest translation under IBM model 1 (Brown et al. 1993, section 4.2)
phrases  the longest known run of words by its commonest translation: pairs of runs that agree with the words
         aligned by model 1 in both directions (Koehn et al. 2003, section 4.1), from left to right
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np

Array = np.ndarray
LONGEST = 4
ROUNDS = 6


def words(text: str) -> list[str]:
    return re.findall(r"\w+|[^\w\s]", text)


def joined(some: Sequence[str]) -> str:
    return re.sub(r" ([,.;:?!])", r"\1", " ".join(some))


class Corpus:
    """The words of pairs as numbers, and all pairs of words that stand in one pair of texts."""

    def __init__(self, pairs: Sequence[tuple[str, str]]) -> None:
        self.sides = [[words(pair[i]) for pair in pairs] for i in (0, 1)]
        self.known = [sorted({w for text in side for w in text}) for side in self.sides]
        number = [{w: i for i, w in enumerate(known)} for known in self.known]
        ids = [
            [np.array([number[i][w] for w in text], dtype=np.int64) for text in side]
            for i, side in enumerate(self.sides)
        ]
        self.ids = ids
        links = [(np.repeat(a, len(b)), np.tile(b, len(a))) for a, b in zip(ids[0], ids[1], strict=True)]
        self.wide = len(self.known[1])
        keys = np.concatenate([a * self.wide + b for a, b in links])
        self.links, self.where = np.unique(keys, return_inverse=True)
        # Which word of its pair each link explains, on either side.
        self.owner = [
            np.concatenate(
                [
                    first
                    + (np.tile(np.arange(len(b)), len(a)) if i else np.repeat(np.arange(len(a)), len(b)))
                    for first, a, b in zip(self._firsts(1 if i else 0), ids[0], ids[1], strict=True)
                ]
            )
            for i in (0, 1)
        ]

    def _firsts(self, side: int) -> Array:
        return np.cumsum([0, *map(len, self.ids[side][:-1])])

    def model_1(self, given: int) -> Array:
        """For each kind of link the probability of the other word given that of one side, by EM."""
        t = np.ones(len(self.links))
        condition = self.links // self.wide if given == 0 else self.links % self.wide
        explained = self.owner[1 - given]
        for _ in range(ROUNDS):
            p = t[self.where]
            p /= np.bincount(explained, p)[explained]
            count = np.bincount(self.where, p, len(self.links))
            t = count / np.bincount(condition, count)[condition]
        return t

    def dice(self) -> Array:
        both = np.bincount(self.where, minlength=len(self.links))
        a, b = self.links // self.wide, self.links % self.wide
        alone = [np.bincount(np.concatenate(side)) for side in self.ids]
        return both / (alone[0][a] + alone[1][b])

    def best(self, score: Array) -> dict[str, str]:
        """For each word of the first side the one of the second with the best score."""
        order = np.lexsort((-score, self.links // self.wide))
        source = self.links[order] // self.wide
        first = order[np.unique(source, return_index=True)[1]]
        return {
            self.known[0][self.links[i] // self.wide]: self.known[1][self.links[i] % self.wide]
            for i in first
        }

    def phrases(self) -> dict[tuple[str, ...], str]:
        """The commonest translation of each run of words that came twice."""
        forth, back = self.model_1(0)[self.where], self.model_1(1)[self.where]
        found: dict[tuple[str, ...], Counter[tuple[str, ...]]] = defaultdict(Counter)
        begin = 0
        for text, other in zip(self.sides[0], self.sides[1], strict=True):
            size = len(text) * len(other)
            a, b = (s[begin : begin + size].reshape(len(text), len(other)) for s in (forth, back))
            begin += size
            # Words are aligned that take each other for the likeliest.
            aligned = (a.argmax(0)[None] == np.arange(len(text))[:, None]) & (
                b.argmax(1)[:, None] == np.arange(len(other))
            )
            _extract(text, other, aligned, found)
        return {
            source: " ".join(counts.most_common(1)[0][0])
            for source, counts in found.items()
            if len(source) == 1 or counts.most_common(1)[0][1] > 1
        }


def _extract(
    text: list[str],
    other: list[str],
    aligned: Array,
    found: dict[tuple[str, ...], Counter[tuple[str, ...]]],
) -> None:
    for i in range(len(text)):
        for j in range(i + 1, min(i + LONGEST, len(text)) + 1):
            there = np.flatnonzero(aligned[i:j].any(0))
            if not len(there):
                continue
            low, high = int(there[0]), int(there[-1]) + 1
            inside = np.flatnonzero(aligned[:, low:high].any(1))
            if inside[0] >= i and inside[-1] < j and high - low <= 2 * LONGEST:
                found[tuple(text[i:j])][tuple(other[low:high])] += 1


def by_words(text: str, table: dict[str, str]) -> str:
    return joined([table.get(word, word) for word in words(text)])


def by_phrases(text: str, phrases: dict[tuple[str, ...], str], table: dict[str, str]) -> str:
    rest, made = words(text), list[str]()
    while rest:
        size = next((n for n in range(LONGEST, 0, -1) if tuple(rest[:n]) in phrases), 0)
        made.append(phrases[tuple(rest[:size])] if size else table.get(rest[0], rest[0]))
        rest = rest[max(1, size) :]
    return joined(made)


def translations(pairs: Sequence[tuple[str, str]], asked: Sequence[str]) -> dict[str, list[str]]:
    """What each of the baselines makes of texts."""
    corpus = Corpus(pairs)
    table, model_1 = corpus.best(corpus.dice()), corpus.best(corpus.model_1(0))
    phrases = corpus.phrases()
    return {
        "copy": list(asked),
        "word table": [by_words(text, table) for text in asked],
        "ibm 1": [by_words(text, model_1) for text in asked],
        "phrases": [by_phrases(text, phrases, model_1) for text in asked],
    }
