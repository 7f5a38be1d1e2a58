"""A molecule as a field: the symbols of its SMILES."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.data.field import Array, Field, Partial, Values
from genwright.data.molecule.chemistry import canonical, randomised
from genwright.data.molecule.notation import END, AtomTokenizer, Notation, symbols
from genwright.errors import DataError, Unsupported
from genwright.space import Space, Symbol

__all__ = ["MoleculeField"]

FEW = 10_000
"""Molecules below which each is shown in another writing every time."""
LONGEST = 256
"""Symbols of a molecule at most: longer ones are cut, and that is said."""
GAP = "_"
"""Stands for a symbol to be made; no SMILES holds it."""


class MoleculeField(Field):
    """SMILES to numbers of their symbols `(1, L)`, and back. Values are canonical SMILES.

    notation   how a molecule is written as symbols
    randomise  whether a molecule is written from another atom on each time that it is shown (None: where there are
               fewer than 10,000)
    """

    kind = "molecule"
    judged_raw = True
    views = frozenset({"molecule"})
    suffix = ".smi"

    def __init__(self, notation: Notation = "smiles", randomise: bool | None = None) -> None:
        self.notation, self.randomise = notation, randomise
        self._counts, self._lengths = Counter[str](), Counter[int]()
        self._tokenizer: AtomTokenizer | None = None
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def tokenizer(self) -> AtomTokenizer:
        assert self._tokenizer is not None, "settle or restore comes first"
        return self._tokenizer

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for smiles in values:
            found = symbols(smiles, self.notation)
            self._counts.update(found)
            self._lengths[len(found)] += 1

    def settle(self) -> None:
        counts, lengths = self._counts, self._lengths
        self._counts, self._lengths = Counter(), Counter()
        if not lengths:
            raise DataError(
                "there is no molecule to learn from: add molecules, or mend those found unusable",
                code="no-examples",
            )
        molecules, longest = lengths.total(), min(max(lengths), LONGEST)
        varied = molecules < FEW if self.randomise is None else self.randomise
        known = sorted(counts)
        if varied and self.notation == "smiles":
            # From another atom on a ring may close by another number, and a bond turn to the other side.
            turned = {"/", "\\"} if {"/", "\\"} & {*known} else set()
            known = sorted({*known, *"123456789()", *turned})
            longest = min(LONGEST, longest + longest // 8 + 2)
        self._tokenizer = AtomTokenizer(known, self.notation)
        long = sum(count for length, count in lengths.items() if length > longest)
        self._facts = {
            "molecules": molecules,
            "notation": self.notation,
            "symbols": len(self._tokenizer),
            "length": longest,
            "randomised": varied,
        }
        self._warnings = []
        if long:
            self._warnings.append(
                f"{long:,} of {molecules:,} molecules have more than {longest} symbols and are cut there, so that they "
                f"are no molecules any more: leave them out"
            )
        rare = [one for one in known if 0 < counts[one] < 5]
        if rare:
            self._warnings.append(
                f"{len(rare)} of {len(known)} symbols come under 5 times, too rarely to learn: "
                f"{' '.join(rare[:10])}"
            )

    @property
    def space(self) -> Space:
        return Space((int(self._facts["length"]),), (Symbol(len(self.tokenizer), pad=END),))

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, 1, L)` uint16. Raises `DataError` for what is no molecule, and for a symbol never seen."""
        out = np.full((len(values), 1, self.space.grid[0]), END, np.uint16)
        for row, smiles in zip(out[:, 0], values, strict=True):
            if canonical(smiles) is None:
                raise DataError(f"{smiles!r} is no molecule that RDKit can read", code="not-a-molecule")
            ids = self.tokenizer.encode(smiles)[: len(row)]
            row[: len(ids)] = ids
        return out

    def tensor_of_made(self, values: Values) -> Tensor:
        """What is known of each, valid or not: a symbol that training has not seen is left out."""
        out = np.full((len(values), 1, self.space.grid[0]), END, np.uint16)
        for row, smiles in zip(out[:, 0], values, strict=True):
            ids = self.tokenizer.known_of(smiles)[: len(row)]
            row[: len(ids)] = ids
        return self.expand(out)

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[str]:
        """SMILES as they were drawn, valid or not; a valid one in its canonical form."""
        found = [self.tokenizer.decode(np.asarray(row, np.int64)) for row in np.asarray(x)[:, 0]]
        return [canonical(smiles) or smiles for smiles in found]

    def known(self, values: Values) -> list[bool]:
        return [self.tokenizer.unknown(smiles) is None for smiles in values]

    def augment(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Each molecule from another atom on, where that fits."""
        if not self._facts["randomised"] or self.notation != "smiles":
            return x
        seeds = torch.randint(1 << 31, (len(x),), generator=rng).tolist()
        made = x.clone()
        for row, seed in zip(made[:, 0], seeds, strict=True):
            smiles = randomised(self.tokenizer.decode(row.numpy(force=True)), seed)
            if self.tokenizer.unknown(smiles) is None:
                ids = self.tokenizer.encode(smiles)
                if len(ids) <= len(row):
                    row.fill_(END)
                    row[: len(ids)] = row.new_tensor(ids)
        return made

    # -- gaps ----------------------------------------------------------------------------------

    def partial(self, values: Values) -> Partial:
        """SMILES in which each `_` is a symbol to be made: a fragment that is kept, and what is to grow on it."""
        if self.notation != "smiles":
            raise Unsupported(
                "a fragment can be kept in SMILES alone, and this model writes SELFIES: train with "
                "codec.notation=smiles",
                code="no-gaps",
            )
        (length,) = self.space.grid
        x = torch.full((len(values), 1, length), END)
        known = torch.ones(x.shape, dtype=torch.bool)
        for i, template in enumerate(values):
            found = [one for one in symbols(str(template), "smiles") if one]
            if GAP not in found or len(found) > length:
                raise DataError(
                    f"infill wants a SMILES of at most {length} symbols with a {GAP} for each to be made, for example "
                    f"c1ccccc1____, got {template!r}",
                    code="no-gaps-given",
                )
            ids = [END if one == GAP else self.tokenizer.encode(one)[0] for one in found]
            x[i, 0, : len(ids)] = torch.tensor(ids)
            known[i, 0, : len(ids)] = torch.tensor([one != GAP for one in found])
        return Partial(x, known)

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> str:
        smiles = str(given).strip()
        return smiles if GAP in smiles else canonical(smiles) or smiles

    def prompt(self, value: Any) -> list[int]:
        return self.tokenizer.encode(str(value))

    def save(self, value: Any, path: Path) -> None:
        path.write_text(f"{value}\n", encoding="utf-8")

    def load(self, path: Path) -> str:
        try:
            return self.parse(path.read_text(encoding="utf-8-sig").split()[0])
        except (OSError, UnicodeError, IndexError):
            raise DataError(f"{path} holds no SMILES", code="not-a-molecule") from None

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {
            "notation": self.notation,
            "symbols": list(self.tokenizer.known),
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.notation = state["notation"]
        self._tokenizer = AtomTokenizer(state["symbols"], self.notation)
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
