"""Who is near whom, exactly: the searches that copying, membership and balls share.

A search that several metrics need, or several contenders, is made once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.cache import keep, once

__all__ = ["Balls", "balls", "balls_around", "distinct", "nearest_neighbours", "reach", "reach_of"]

BLOCK = 256
"""Rows of a matrix of distances, or of differences, that are in memory at a time."""
SPARE = 3
"""Candidates beyond those asked for: rounding may have put a wrong one first."""
ROUNDING = 1e-12
"""Of a squared distance, relative to the squared lengths that it is a difference of."""


# -- the nearest -----------------------------------------------------------------------------------


def nearest_neighbours(queries: Array, base: Array, k: int = 1) -> tuple[Array, Array]:
    """Euclidean distances `(n, k)` to the `k` nearest rows of `base`, ascending, and their places `(n, k)`.

    A row that equals another is at exactly 0; distances are rounded to float32, so that equal ones compare
    equal in whatever order their terms were added. Raises `DataError` where there are fewer than `k` to be
    near to.
    """
    squares, places = once(_search, queries, base, k)
    return np.sqrt(squares).astype(np.float32).astype(np.float64), places


def reach(points: Array, k: int) -> Array:
    """Squared distance `(n,)` from each of `(n, d)` to its k-th nearest other, up to rounding."""
    return once(_reach, points, k)


def reach_of(points: Array, parts: Sequence[Array], k: int) -> None:
    """Work out, from one search, what `reach` will be asked about parts of `(n, d)`, each half of it."""
    once(_reach_of, points, np.stack(parts), k)


def _reach_of(points: Array, parts: Array, k: int) -> None:
    """Of the 4 k + 20 nearest of all, fewer than k are in a half for one example in millions; a part with
    such a one is left to be searched by itself."""
    near = min(len(points) - 1, 4 * k + 20)
    squares, places = _around(points, near)
    for part in parts:
        inside = np.zeros(len(points), dtype=bool)
        inside[part] = True
        rank = np.cumsum(inside[places[part]], axis=1)
        if (rank[:, -1] >= k).all():
            found = np.take_along_axis(squares[part], (rank >= k).argmax(axis=1)[:, None], 1)[:, 0]
            keep(found, _reach, points[part], k)


def distinct(rows: Array) -> Array:
    """The places of the first of each group of equal rows."""
    first: dict[bytes, int] = {}
    for i, row in enumerate(rows + 0.0):  # -0.0 is 0.0
        first.setdefault(row.tobytes(), i)
    return np.array(list(first.values()), dtype=np.int64)


def _search(queries: Array, base: Array, k: int) -> tuple[Array, Array]:
    """Squared distances `(n, k)` ascending, and places: a few more candidates than needed, then the
    differences themselves, since |a|^2 - 2 a.b + |b|^2 of two equal rows is not quite 0. Of equally near
    ones, those that come first."""
    from sklearn.neighbors import NearestNeighbors

    if len(base) < k:
        raise DataError(
            f"nearest neighbours: {k} different training or real examples are needed, there are "
            f"{len(base)}; give more data",
            code="too-few-examples",
        )
    near, asked = _centred(base, queries)
    index = NearestNeighbors(n_neighbors=min(len(base), k + SPARE), algorithm="brute")
    found = index.fit(near).kneighbors(asked, return_distance=False)
    found = np.sort(found, axis=1)
    exact = np.empty(found.shape)
    for start in range(0, len(queries), BLOCK):
        block = slice(start, start + BLOCK)
        for i, places in enumerate(found[block].T):
            gap = np.subtract(queries[block], base[places], dtype=np.float64)
            exact[block, i] = np.einsum("nd,nd->n", gap, gap)
    order = exact.argsort(axis=1, kind="stable")[:, :k]
    return np.take_along_axis(exact, order, 1), np.take_along_axis(found, order, 1)


def _reach(points: Array, k: int) -> Array:
    return _around(points, k)[0][:, -1]


def _around(points: Array, k: int) -> tuple[Array, Array]:
    """Squared distances `(n, k)` to the nearest others, ascending and up to rounding, and their places."""
    from sklearn.neighbors import NearestNeighbors

    (points,) = _centred(points)
    distances, places = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(points).kneighbors()
    return distances**2, places


def _centred(base: Array, *others: Array) -> list[Array]:
    """Nearer the origin, distances lose fewer digits."""
    middle = np.median(base, axis=0)
    return [np.subtract(rows, middle, dtype=np.float64) for rows in (base, *others)]


# -- balls -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Balls:
    """Which of `n` real and `m` generated examples lie in whose ball, the ball of an example reaching to its
    k-th neighbour.

    around      `(m,)` real balls that a generated example lies in
    clipped     `(m,)` the same, no ball being larger than the median one
    contained   `(n,)` generated examples in a real ball
    reached     `(n,)` generated balls that a real example lies in
    """

    k: int
    around: Array
    clipped: Array
    contained: Array
    reached: Array


def balls(real: Array, fake: Array, k: int) -> Balls:
    """Compare `(n, d)` with `(m, d)`; memory is linear in n and m. An example *on* a ball, such as a copy of
    the k-th neighbour, is inside."""
    return once(_balls, real, fake, k)


def balls_around(real: Array, k: int) -> Array:
    """Clipped balls of others that each of `real` `(n, d)` lies in, `(n,)`."""
    return once(_among, real, k)


def _balls(real: Array, fake: Array, k: int) -> Balls:
    reach_real, reach_fake = reach(real, k), reach(fake, k)
    real, fake = _centred(real, fake)
    own = reach_fake + _slack(fake, reach_fake)
    near, short = (radii + _slack(real, radii) for radii in (reach_real, _clipped(reach_real)))
    n, m = len(real), len(fake)
    around, clipped = np.zeros(m, int), np.zeros(m, int)
    contained, reached = np.zeros(n, int), np.zeros(n, int)
    for rows, squares in _squares(real, fake):
        inside = squares <= near[rows, None]
        around += np.count_nonzero(inside, axis=0)
        contained[rows] = np.count_nonzero(inside, axis=1)
        clipped += np.count_nonzero(squares <= short[rows, None], axis=0)
        reached[rows] = np.count_nonzero(squares <= own, axis=1)
    return Balls(k, around, clipped, contained, reached)


def _among(real: Array, k: int) -> Array:
    short = _clipped(reach(real, k))
    (real,) = _centred(real)
    short = short + _slack(real, short)
    count = np.full(len(real), -1)  # not in one's own
    for rows, squares in _squares(real, real):
        count += np.count_nonzero(squares <= short[rows, None], axis=0)
    return count


def _clipped(radii: Array) -> Array:
    """None larger than the median one."""
    return np.minimum(radii, np.median(radii))


def _slack(points: Array, radii: Array) -> Array:
    """What rounding may add to a squared distance near `radii` (squared) from `points`; an example *on* a
    ball, such as a copy of the k-th neighbour, is inside."""
    return ROUNDING * (np.einsum("nd,nd->n", points, points) + radii)


def _squares(a: Array, b: Array) -> Iterator[tuple[slice, Array]]:
    """Squared distances `(rows, m)`, block by block of the rows of `a`."""
    lengths, twice = np.einsum("nd,nd->n", b, b), -2 * b.T
    for i in range(0, len(a), BLOCK):
        block = a[i : i + BLOCK]
        squares = block @ twice
        squares += lengths
        squares += np.einsum("nd,nd->n", block, block)[:, None]
        yield slice(i, i + BLOCK), squares
