"""Trivial generators, that every model is held against, and trivial answerers, for a model that is given something.

Each makes `n` stored examples from the stored training examples `(m, stored, *grid)`, in their dtype: reals
as numbers, symbols by their index. What is no better than these has learnt little.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from scipy.special import ndtr, ndtri

from genwright.data.codec import Array
from genwright.data.field import Field
from genwright.errors import DataError
from genwright.evaluation.views.flat import flat_of
from genwright.space import Space, Symbol

__all__ = [
    "BASELINES",
    "Maker",
    "NGram",
    "baselines_for",
    "compared",
    "constant",
    "copula",
    "is_text",
    "marginals",
    "mismatch",
    "mix",
    "nearest",
    "ngram",
    "ngram_nats",
    "ngram_nats_by_order",
    "others",
    "regridded",
    "ruled",
    "shut",
    "train_copy",
]

NEIGHBOURS = 5
"""Of which `mix` takes one (Chawla et al. 2002)."""
ORDER = 5
"""Symbols of an n-gram, the one predicted among them."""
ROWS = 5_000
"""Training examples that `copula` and the neighbours of `mix` are from, at most."""
WORK = 20_000_000_000
"""And so many multiplications."""
CELLS = 4_000_000
"""Numbers in one block."""
TOKENS = 4_000_000
"""Symbols that n-grams are counted in."""


# -- for any space -------------------------------------------------------------------------------


def marginals(x: Array, space: Space, n: int, rng: np.random.Generator) -> Array:
    """Every number by itself, drawn from the training values at its place."""
    rows, gates = _flat(x), _gates(x, space)
    values = _opened(rows, gates, rng)
    made = np.empty((n, rows.shape[1]), dtype=x.dtype)
    for block in _blocks(rows.shape[1], CELLS // max(1, n)):
        picks = rng.integers(len(rows), size=(n, block.stop - block.start))
        made[:, block] = np.take_along_axis(values[:, block], picks, axis=0)
    return _shut(made, gates).reshape(n, *x.shape[1:])


def mix(x: Array, space: Space, n: int, rng: np.random.Generator) -> Array:
    """Somewhere between a training example and one of its five nearest (SMOTE, Chawla et al. 2002,
    arXiv:1106.1813); a symbol is taken from either."""
    rows, gates, symbols = _flat(x), _gates(x, space), _symbols(space)
    first = _spread(len(rows), n, rng)
    pool = _some(len(rows), n, rows.shape[1], rng)
    second = _neighbour(rows, first, pool, symbols, rng)
    made = np.empty((n, rows.shape[1]), dtype=x.dtype)
    for block in _blocks(n, CELLS // rows.shape[1]):
        a, b = rows[first[block]], rows[second[block]]
        for symbol, real in gates:  # a number and no number meet at the number
            a[:, real] = np.where(a[:, symbol] == 0, a[:, real], b[:, real])
            b[:, real] = np.where(b[:, symbol] == 0, b[:, real], a[:, real])
        u = rng.random((len(a), 1))
        either = np.where(rng.random(a.shape) < u, b, a)
        made[block] = np.where(symbols, either, (1 - u) * a + u * b)
    return _shut(made, gates).reshape(n, *x.shape[1:])


def copula(x: Array, space: Space, n: int, rng: np.random.Generator) -> Array:
    """A Gaussian copula: the training values at each place, with the covariance of their normal scores.

    With scores Z `(m, places)` and G `(n, m)` standard normal, the rows of G Z / sqrt(m) are normal with
    covariance Z'Z / m, which is never formed; so memory does not grow with the places. Symbols are in the
    order of their frequency, and equal values in a random one.
    """
    gates = _gates(x, space)
    rows = _flat(x)[_some(len(x), n, space.stored * space.positions, rng)]
    values, symbols, m = _opened(rows, gates, rng), _symbols(space), len(rows)
    normal = rng.standard_normal((n, m), dtype=np.float32)
    made = np.empty((n, rows.shape[1]), dtype=x.dtype)
    for block in _blocks(rows.shape[1], CELLS // (n + m)):
        rank = values[:, block].astype(np.float64)
        for place in np.flatnonzero(symbols[block]):
            rank[:, place] = _by_frequency(rank[:, place])
        order = np.lexsort((rng.random(rank.shape), rank), axis=0)
        scores = np.empty(rank.shape, dtype=np.float32)
        np.put_along_axis(scores, order, ndtri((np.arange(m)[:, None] + 0.5) / m), axis=0)
        quantiles = ndtr((normal @ scores) / np.sqrt(m))
        picks = np.take_along_axis(order, (quantiles * m).astype(np.int64).clip(0, m - 1), axis=0)
        made[:, block] = np.take_along_axis(values[:, block], picks, axis=0)
    return _shut(made, gates).reshape(n, *x.shape[1:])


def train_copy(x: Array, space: Space, n: int, rng: np.random.Generator) -> Array:
    """Training examples as they are, none twice before each has come once."""
    return x[_spread(len(x), n, rng)]


# -- for texts -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Level:
    """What follows the contexts of one length.

    A context is a node of a tree: its parent is the context without its oldest symbol.

    keys       of the nodes, ascending: parent times symbols, plus the oldest symbol
    pairs      node times symbols, plus the next symbol: distinct, ascending; `counts` of each
    followers  the next symbols, by node; those of a node begin at `starts`
    trust      Witten and Bell's N / (N + T) of N followers, T of them distinct
    """

    keys: Array
    pairs: Array
    counts: Array
    followers: Array
    starts: Array
    totals: Array
    trust: Array

    @classmethod
    def of(cls, keys: Array, node: Array, following: Array, base: int) -> _Level:
        pairs, counts = np.unique(node * base + following, return_counts=True)
        totals = np.bincount(node, minlength=len(keys))
        distinct = np.bincount(pairs // base, minlength=len(keys))
        starts = np.cumsum(totals) - totals
        followers = np.repeat(pairs % base, counts)
        return cls(keys, pairs, counts, followers, starts, totals, totals / (totals + distinct))

    def child(self, parent: Array, symbol: Array, base: int) -> Array:
        """The node below `parent`; -1 where there is none, or no parent."""
        at, found = _look(self.keys, parent * base + symbol)
        return np.where(found & (parent >= 0), at, -1)

    def share(self, node: Array, symbol: Array, base: int) -> Array:
        """How often `symbol` follows `node`, of all that do."""
        at, found = _look(self.pairs, node * base + symbol)
        share: Array = np.where(found, self.counts[at], 0) / self.totals[node]
        return share


class NGram:
    """n-grams with interpolated Witten-Bell smoothing (Witten and Bell 1991): with N followers of a context,
    T of them distinct, p(w) = (count(w) + T p'(w)) / (N + T), where p' is that of the context without its
    oldest symbol, and in the end uniform. It sums to 1.

    `x` is `(m, length)`, of symbols below `k`. What stands before the first symbol is one of its own.
    """

    def __init__(self, x: Array, k: int, order: int = ORDER) -> None:
        self.k, self.base, self.order = k, k + 1, order
        context = self._before(x)
        # In the order of the symbols before, the nearest first, those of a node are neighbours on every level.
        *before, following = _in_order([*map(context, range(order - 1)), x.ravel()], self.base)
        node, keys = np.zeros(x.size, dtype=np.int64), np.zeros(1, dtype=np.int64)
        self.levels = [_Level.of(keys, node, following, self.base)]
        first = np.arange(x.size) == 0
        for oldest in before:
            first[1:] |= oldest[1:] != oldest[:-1]
            keys = node[first] * self.base + oldest[first]
            node = np.cumsum(first) - 1
            self.levels.append(_Level.of(keys, node, following, self.base))

    def _before(self, x: Array) -> Callable[[int], Array]:
        """The symbol that stands `back` + 1 before each of `x`, in one row."""
        padded = np.full((len(x), x.shape[1] + self.order), self.k, dtype=np.int64)
        padded[:, self.order :] = x
        return lambda back: padded[:, self.order - 1 - back : -1 - back].ravel()

    def bits(self, x: Array, order: int | None = None) -> Array:
        """-log2 p of each symbol after those before it, `(m, length)`; of a lower order, as if no longer n-grams
        had been counted."""
        symbol, context = x.ravel().astype(np.int64), self._before(x)
        p = np.full(len(symbol), 1 / self.k)
        node = np.zeros(len(symbol), dtype=np.int64)
        for back, level in enumerate(self.levels[:order]):
            if back:
                node = level.child(node, context(back - 1), self.base)
            trust = np.where(node >= 0, level.trust[node], 0.0)
            p = trust * level.share(node.clip(0), symbol, self.base) + (1 - trust) * p
        return -np.log2(p).reshape(x.shape)

    def draw(self, n: int, length: int, rng: np.random.Generator) -> Array:
        """`(n, length)`, all at once and symbol by symbol.

        Interpolation is a mixture: the longest context that a coin of its trust falls for speaks.
        """
        made = np.full((n, self.order + length), self.k, dtype=np.int64)
        for at in range(self.order, self.order + length):
            symbol = rng.integers(self.k, size=n)
            node = np.zeros(n, dtype=np.int64)
            for back, level in enumerate(self.levels):
                if back:
                    node = level.child(node, made[:, at - back], self.base)
                speaks = (rng.random(n) < level.trust[node]) & (node >= 0)
                pick = (rng.random(n) * level.totals[node]).astype(np.int64)
                symbol = np.where(speaks, level.followers[level.starts[node] + pick], symbol)
            made[:, at] = symbol
        return made[:, self.order :]


def ngram(x: Array, space: Space, n: int, rng: np.random.Generator) -> Array:
    """Texts of which every symbol is drawn after the four before it, from 5-grams of the training texts."""
    rows, span = _texts(x, space)
    model = NGram(_fewer(rows, rng), span.k)
    return model.draw(n, rows.shape[1], rng).astype(x.dtype).reshape(n, *x.shape[1:])


def ngram_nats(train: Array, test: Array, space: Space, order: int = ORDER) -> Array:
    """What each symbol of held-out texts costs under n-grams of training texts, in nats `(n, length)`.

    Padding behind an end costs nothing.
    """
    return ngram_nats_by_order(train, test, space, [order])[0]


def ngram_nats_by_order(train: Array, test: Array, space: Space, orders: Sequence[int]) -> list[Array]:
    """The same for several orders, which are counted but once."""
    rows, span = _texts(train, space)
    model = NGram(_fewer(rows, np.random.default_rng(0)), span.k, max(orders))
    asked = _texts(test, space)[0]
    found = [np.log(2) * model.bits(asked, order) for order in orders]
    if span.pad is not None:
        ended = np.cumsum(_flat(test) == span.pad, axis=1)
        for nats in found:
            nats[~((ended == 0) | ((ended == 1) & (_flat(test) == span.pad)))] = 0
    return found


def _in_order(columns: Sequence[Array], base: int) -> Sequence[Array]:
    """The same rows of columns `(m,)` of symbols below `base`, in the order of the first column, then the second, and
    so on."""
    if base ** len(columns) >= 2**63:
        order = np.lexsort(columns[::-1])
        return [column[order].astype(np.int64) for column in columns]
    packed = np.zeros(len(columns[0]), dtype=np.int64)
    for column in columns:
        packed = packed * base + column
    packed.sort()
    found = list[Array]()
    for _ in columns:
        packed, column = np.divmod(packed, base)
        found.insert(0, column)
    return found


def _texts(x: Array, space: Space) -> tuple[Array, Symbol]:
    """The symbols `(m, length)`, and their span."""
    if not is_text(space):
        raise DataError(
            f"n-grams are for texts, one row of symbols, and these are {space}", code="not-a-text"
        )
    span = space.spans[0]
    assert isinstance(span, Symbol)
    return _flat(x).astype(np.int64), span


def is_text(space: Space) -> bool:
    """Whether it is one row of symbols."""
    return len(space.grid) == 1 and len(space.spans) == 1 and space.kind == "symbol"


def _fewer(rows: Array, rng: np.random.Generator) -> Array:
    """As many random texts as hold `TOKENS` symbols."""
    most = max(1, TOKENS // rows.shape[1])
    return rows if len(rows) <= most else rows[rng.permutation(len(rows))[:most]]


def _look(keys: Array, wanted: Array) -> tuple[Array, Array]:
    """Where `wanted` stand in ascending `keys`, and whether they do."""
    at = np.searchsorted(keys, wanted).clip(0, len(keys) - 1)
    return at, keys[at] == wanted


# -- answers to what is given --------------------------------------------------------------------


def constant(x: Array, space: Space) -> Array:
    """One answer to everything `(1, stored, *grid)`: the mean of the numbers and the most frequent symbol at each
    place; of texts, whose places say little, the one whose symbols and pairs of symbols are nearest to the
    mean."""
    if is_text(space):
        counts = flat_of(x, space)
        return x[[int(((counts - counts.mean(0)) ** 2).sum(1).argmin())]]
    rows, gates, symbols = _flat(x), _gates(x, space), _symbols(space)
    made = np.empty((1, rows.shape[1]), dtype=x.dtype)
    made[0, ~symbols] = rows[:, ~symbols].mean(0, dtype=np.float64)
    for place in np.flatnonzero(symbols):
        made[0, place] = np.bincount(rows[:, place].astype(np.int64)).argmax()
    for symbol, real in gates:
        made[0, real] = rows[rows[:, symbol] == 0, real].mean(dtype=np.float64)
    return _shut(made, gates).reshape(1, *x.shape[1:])


def regridded(given: Array, source: Space, space: Space) -> Array | None:
    """What was given as the answer: numbers `(n, stored, *grid)` on the grid of `space`, by bicubic interpolation
    of pictures and linear one of all else, a single channel in the place of each; None where it is of another
    kind."""
    if source.kind != "real" or space.kind != "real" or len(source.grid) != len(space.grid):
        return None
    if not space.grid or source.stored not in (1, space.stored):
        return None
    x = torch.from_numpy(np.ascontiguousarray(given)).float()
    if source.grid != space.grid:
        how = ("linear", "bicubic", "trilinear")[len(space.grid) - 1]
        x = F.interpolate(x, size=space.grid, mode=how, align_corners=False)
    x = x.clamp(-1, 1) if space.bounded else x
    return x.expand(-1, space.stored, *space.grid).numpy().copy()


def mismatch(given: Array, train: Array, space: Space, known: Array | None = None) -> Array:
    """How far each of what is given `(n, stored, *grid)` is from each training one `(m, ...)`, `(n, m)`: squared
    differences of numbers, and how many symbols differ; of texts by their symbols and pairs of symbols.

    known  `(n, stored, *grid)`, the numbers that are given; None: all
    """
    if known is None:
        a, b = (flat_of(x, space).astype(np.float32) for x in (given, train))
        seen = None
        far = np.zeros((len(a), len(b)), np.float32)
    else:
        rows, theirs, seen, symbols = _flat(given), _flat(train), _flat(known), _symbols(space)
        far = np.zeros((len(rows), len(theirs)), np.float32)
        for place in np.flatnonzero(symbols):
            far += seen[:, place, None] & (rows[:, place, None] != theirs[:, place])
        a, b, seen = (x[:, ~symbols].astype(np.float32) for x in (rows, theirs, seen))
    if a.shape[1]:
        centre = b.mean(0)
        a, b = a - centre, b - centre
        weight = np.ones((1, b.shape[1]), np.float32) if seen is None else seen
        own = (weight * a**2).sum(1)[:, None]
        far += (own - 2 * (weight * a) @ b.T + weight @ (b**2).T).clip(0)
    return far


def nearest(far: Sequence[Array], k: int) -> Array:
    """The numbers of the k training examples `(n, k)` whose given is nearest, the nearest first; several givens
    `(n, m)` weigh alike."""
    total = sum(one / max(float(one.mean()), 1e-12) for one in far)
    return np.asarray(np.argsort(total, axis=1, kind="stable")[:, :k])


def ruled(field: Field, x: Array, known: Array | None, k: int) -> dict[str, Array]:
    """What the rules of a field answer to examples `(n, stored, *grid)` of which a part is known: k answers
    `(k, n, stored, *grid)` each, by name; none where whole examples are asked for. A series has one: the season
    before."""
    if known is None:
        return {}
    return {name: rule(x, known, k) for name, rule in field.rules().items()}


def shut(x: Array, train: Array, space: Space) -> Array:
    """Which numbers of `x` `(n, stored, *grid)` are none, since a symbol beside them says so."""
    found = np.zeros(x.shape, dtype=bool)
    for symbol, real in _gates(train, space):
        found[:, real] = x[:, symbol] != 0
    return found


def compared(m: int, n: int, places: int, rng: np.random.Generator) -> Array:
    """Which of m training examples are searched for the nearest to n others, of so many places each."""
    return _some(m, n, places, rng)


def others(n: int, rng: np.random.Generator) -> Array:
    """For each of n another one `(n,)`, none twice."""
    order = rng.permutation(n)
    other = np.empty(n, dtype=np.int64)
    other[order] = np.roll(order, 1)
    return other


# -- what they share -----------------------------------------------------------------------------


def _flat(x: Array) -> Array:
    if not len(x):
        raise DataError(
            "a baseline needs training examples, there are none; give some", code="no-examples"
        )
    return x.reshape(len(x), -1)


def _blocks(total: int, size: int) -> Iterator[slice]:
    size = max(1, size)
    return (slice(first, min(first + size, total)) for first in range(0, total, size))


def _spread(m: int, n: int, rng: np.random.Generator) -> Array:
    """`n` of `m` in random order, none twice before each has come once."""
    return np.concatenate([rng.permutation(m) for _ in range(1 + n // m)])[:n]


def _some(m: int, n: int, places: int, rng: np.random.Generator) -> Array:
    """The examples that are compared with `n` others: all, or as many as the work allows."""
    most = min(ROWS, max(10 * NEIGHBOURS, WORK // max(1, n * places)))
    return np.arange(m) if m <= most else np.sort(rng.permutation(m)[:most])


def _symbols(space: Space) -> Array:
    """Which of all stored numbers are symbols, `(stored * positions,)`."""
    kinds = np.zeros(space.stored, dtype=bool)
    for slot in space.slots():
        kinds[slot.stored] = isinstance(slot.span, Symbol)
    return np.repeat(kinds, space.positions)


def _gates(x: Array, space: Space) -> list[tuple[int, int]]:
    """Pairs of a symbol and a real beside it that is 0 wherever the symbol is not.

    So a table stores a column in which some values are no numbers; taken by itself, such a real would
    bring its zeros among the numbers.
    """
    if space.grid:
        return []
    slots = list(space.slots())
    pairs = [
        (a.stored.start, b.stored.start)
        for a, b in pairwise(slots)
        if isinstance(a.span, Symbol) and not isinstance(b.span, Symbol) and b.span.n == 1
    ]
    closed = [x[:, symbol] != 0 for symbol, _ in pairs]
    return [
        pair
        for pair, shut in zip(pairs, closed, strict=True)
        if shut.any() and not shut.all() and not x[shut, pair[1]].any()
    ]


def _opened(rows: Array, gates: list[tuple[int, int]], rng: np.random.Generator) -> Array:
    """The rows with a number behind every gate, drawn from those of the open ones."""
    rows = rows.copy() if gates else rows
    for symbol, real in gates:
        shut = rows[:, symbol] != 0
        rows[shut, real] = rng.choice(rows[~shut, real], size=int(shut.sum()))
    return rows


def _shut(rows: Array, gates: list[tuple[int, int]]) -> Array:
    for symbol, real in gates:
        rows[rows[:, symbol] != 0, real] = 0
    return rows


def _by_frequency(symbols: Array) -> Array:
    """For each symbol how many are more frequent."""
    _, place, counts = np.unique(symbols, return_inverse=True, return_counts=True)
    rank = np.empty(len(counts))
    rank[np.argsort(-counts, kind="stable")] = np.arange(len(counts))
    return rank[place]


def _neighbour(rows: Array, of: Array, pool: Array, symbols: Array, rng: np.random.Generator) -> Array:
    """One of the nearest in the pool for each of the rows `of`, by squared differences of reals and the
    number of symbols that differ; itself where it is alone."""
    near = np.array(of)
    k = min(NEIGHBOURS, len(pool) - 1)
    if k < 1:
        return near
    reals, texts = rows[pool][:, ~symbols].astype(np.float64), rows[pool][:, symbols]
    centre = reals.mean(0) if reals.shape[1] else np.zeros(0)
    reals -= centre
    squares = (reals**2).sum(1)
    for block in _blocks(len(of), CELLS // len(pool)):
        query = rows[of[block]]
        distance = squares - 2 * (query[:, ~symbols] - centre) @ reals.T
        for i, column in enumerate(query[:, symbols].T):
            distance += column[:, None] != texts[:, i]
        distance[of[block][:, None] == pool] = np.inf
        nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
        near[block] = pool[nearest[np.arange(len(query)), rng.integers(k, size=len(query))]]
    return near


Maker = Callable[[Array, Space, int, np.random.Generator], Array]
"""Training examples, their space and a number to that many examples."""

BASELINES: dict[str, Maker] = {
    "marginals": marginals,
    "mix": mix,
    "copula": copula,
    "ngram": ngram,
    "copycat": train_copy,
}


def baselines_for(space: Space) -> list[str]:
    """The names of those a model of this space is held against. A blend of two texts is none, and a
    copycat stands beside them, since what it copies is as good as real."""
    return ["marginals", "ngram"] if is_text(space) else ["marginals", "mix", "copula"]
