"""How a molecule is written as a row of symbols, and read again.

    smiles    atoms, bonds, rings and branches of a SMILES, a symbol each (Schwaller et al. 2018)
    selfies   SELFIES (Krenn et al. 2020), of which every row of symbols is a molecule; an option, since what a model
              of SMILES gets wrong is what it is least sure of, and to force it to be valid spoils the rest (Skinnider
              2024)

The tokenizer is that of the training split. Symbol 0 ends a molecule and fills it up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from importlib import import_module
from typing import Any, Literal

import numpy as np

from genwright.data.codec import Array
from genwright.errors import DataError, missing_extra, suggest

__all__ = ["AtomTokenizer", "Notation", "symbols"]

Notation = Literal["smiles", "selfies"]
END = 0
_SMILES = re.compile(r"\[[^\]]*\]|Br|Cl|%\d\d|.", re.DOTALL)
_SELFIES = re.compile(r"\[[^\]]*\]|\.")


def symbols(smiles: str, notation: Notation) -> list[str]:
    """Those of a SMILES. Raises `DataError` where SELFIES cannot say it."""
    if notation == "smiles":
        return _SMILES.findall(smiles)
    selfies = _selfies()
    try:
        return _SELFIES.findall(selfies.encoder(smiles))
    except selfies.EncoderError:
        raise DataError(f"SELFIES cannot write {smiles!r}", code="not-in-selfies") from None


class AtomTokenizer:
    """Symbols and their numbers from 1 on."""

    def __init__(self, known: Iterable[str], notation: Notation) -> None:
        self.known, self.notation = tuple(known), notation
        self._number = {symbol: i for i, symbol in enumerate(self.known, 1)}

    def __len__(self) -> int:
        """With the end."""
        return len(self.known) + 1

    def unknown(self, smiles: str) -> str | None:
        """The first symbol that is not in it."""
        return next((one for one in symbols(smiles, self.notation) if one not in self._number), None)

    def encode(self, smiles: str) -> list[int]:
        """Numbers, without the end. Raises `DataError` for a symbol that is not in it."""
        found = symbols(smiles, self.notation)
        try:
            return [self._number[one] for one in found]
        except KeyError as error:
            (symbol,) = error.args
            raise DataError(
                f"{smiles!r} holds {symbol!r}, which training has not seen; {suggest(symbol, self.known)}",
                code="unknown-atom",
            ) from None

    def known_of(self, smiles: str) -> list[int]:
        """Numbers of the symbols that are in it; of what cannot be taken apart, none."""
        try:
            found = symbols(smiles, self.notation)
        except DataError:
            return []
        return [self._number[one] for one in found if one in self._number]

    def decode(self, ids: Array) -> str:
        """The SMILES of numbers `(L,)`, up to the first end."""
        ends = np.flatnonzero(ids == END)
        row: Sequence[int] = ids[: ends[0]].tolist() if len(ends) else ids.tolist()
        text = "".join(self.known[i - 1] for i in row)
        return text if self.notation == "smiles" else str(_selfies().decoder(text))


def _selfies() -> Any:
    try:
        return import_module("selfies")
    except ImportError:
        raise missing_extra("codec.notation=selfies", "selfies", "molecules") from None
