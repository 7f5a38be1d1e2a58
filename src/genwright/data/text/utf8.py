"""Which bytes complete characters: well-formed UTF-8 as a finite automaton (The Unicode Standard, table 3-7)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from genwright.grammar import REFUSED

__all__ = ["BYTES", "START", "after"]

START = 0
"""The state in which no character is open. Behind it 1 to 3 with so many bytes left, and four whose next byte is
of a narrower range: neither a longer spelling than needed, nor a surrogate, nor beyond the last code point."""
_ONE, _TWO, _THREE, _E0, _ED, _F0, _F4 = range(1, 8)


def _table() -> NDArray[np.int64]:
    table = np.full((8, 256), REFUSED)
    for state, first, last, after in (
        *((START, 0x00, 0x7F, START), (START, 0xC2, 0xDF, _ONE), (START, 0xE1, 0xEC, _TWO)),
        *((START, 0xEE, 0xEF, _TWO), (START, 0xF1, 0xF3, _THREE), (START, 0xE0, 0xE0, _E0)),
        *((START, 0xED, 0xED, _ED), (START, 0xF0, 0xF0, _F0), (START, 0xF4, 0xF4, _F4)),
        *((_ONE, 0x80, 0xBF, START), (_TWO, 0x80, 0xBF, _ONE), (_THREE, 0x80, 0xBF, _TWO)),
        *((_E0, 0xA0, 0xBF, _ONE), (_ED, 0x80, 0x9F, _ONE)),
        *((_F0, 0x90, 0xBF, _TWO), (_F4, 0x80, 0x8F, _TWO)),
    ):
        table[state, first : last + 1] = after
    return table


BYTES = _table()
"""The state after each byte in each state `(8, 256)`, REFUSED where it may not come."""


def after(pieces: Sequence[bytes]) -> NDArray[np.int64]:
    """The state after each piece in each state `(8, len(pieces))`."""
    states = np.repeat(np.arange(len(BYTES))[:, None], len(pieces), axis=1)
    for place in range(max(map(len, pieces), default=0)):
        some = np.array([i for i, piece in enumerate(pieces) if len(piece) > place])
        byte = np.array([pieces[i][place] for i in some])
        before = states[:, some]
        states[:, some] = np.where(before == REFUSED, REFUSED, BYTES[before, byte])
    return states
