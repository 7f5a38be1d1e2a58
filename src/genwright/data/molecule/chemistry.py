"""What is asked of RDKit: is this a molecule, how is it written, what is it made of. All of it by SMILES, as text.

Loaded when a molecule is first looked at: `pip install 'genwright[molecules]'`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from genwright.errors import missing_extra

__all__ = [
    "LONGEST",
    "PROPERTIES",
    "canonical",
    "descriptor",
    "drawing",
    "fingerprint",
    "randomised",
    "scaffold",
    "sdf",
]

BITS, RADIUS = 1024, 2
"""Of a Morgan fingerprint: those of MOSES (Polykovskiy et al. 2020)."""
DRAWN = 180
"""Pixels a side of a structure."""


LONGEST = 5000
"""Characters of a SMILES that is read, and atoms: to write one again takes time by their square."""


@cache
def _rdkit() -> Any:
    try:
        chem = import_module("rdkit.Chem")
    except ImportError:
        raise missing_extra("reading molecules", "rdkit", "molecules") from None
    # It writes of each bad SMILES to standard error.
    import_module("rdkit.RDLogger").DisableLog("rdApp.*")
    return chem


@cache
def _part(name: str) -> Any:
    """A module of RDKit, which is not typed."""
    _rdkit()
    return import_module(f"rdkit.Chem.{name}")


@lru_cache(maxsize=1 << 12)
def _parsed(smiles: str) -> Any:
    """The molecule of RDKit, or None. One takes some 30 kB."""
    if not smiles or smiles != smiles.strip() or "\0" in smiles or len(smiles) > LONGEST:
        return None
    return _rdkit().MolFromSmiles(smiles)


@lru_cache(maxsize=1 << 16)
def canonical(smiles: str) -> str | None:
    """The SMILES by which RDKit always writes the molecule (Weininger et al. 1989); None where it is none."""
    molecule = _parsed(smiles)
    if molecule is None or not molecule.GetNumAtoms():
        return None
    return str(_rdkit().MolToSmiles(molecule))


def randomised(smiles: str, seed: int) -> str:
    """Another SMILES of the same molecule, from another atom on (Arús-Pous et al. 2019); itself where it is none."""
    molecule = _parsed(smiles)
    if molecule is None:
        return smiles
    return str(_rdkit().MolToRandomSmilesVect(molecule, 1, randomSeed=seed % (1 << 31))[0])


@lru_cache(maxsize=1 << 15)
def scaffold(smiles: str) -> str:
    """The rings and what joins them (Bemis and Murcko 1996), canonical; empty of a molecule without rings."""
    molecule = _parsed(smiles)
    if molecule is None:
        return ""
    return str(_part("Scaffolds.MurckoScaffold").MurckoScaffoldSmiles(mol=molecule))


@lru_cache(maxsize=1 << 15)
def fingerprint(smiles: str) -> tuple[int, ...]:
    """The bits that are set in a Morgan fingerprint of 1,024 bits and radius 2."""
    molecule = _parsed(smiles)
    return () if molecule is None else tuple(_fingerprints().GetFingerprint(molecule).GetOnBits())


@cache
def _fingerprints() -> Any:
    return _part("rdFingerprintGenerator").GetMorganGenerator(radius=RADIUS, fpSize=BITS)


PROPERTIES = ("weight", "logp", "qed", "tpsa", "atoms", "rings")
"""What follows from a structure: the properties whose distributions MOSES compares, but for its SA score."""


@lru_cache(maxsize=1 << 18)
def descriptor(smiles: str, name: str) -> float:
    """One of `PROPERTIES`; NaN of what is no molecule."""
    molecule = _parsed(smiles)
    if molecule is None:
        return math.nan
    if name == "atoms":
        return float(molecule.GetNumHeavyAtoms())
    if name == "qed":
        return float(_part("QED").qed(molecule))
    of = {"weight": "MolWt", "logp": "MolLogP", "tpsa": "TPSA", "rings": "RingCount"}[name]
    return float(getattr(_part("Descriptors"), of)(molecule))


def drawing(smiles: Sequence[str], columns: int | None = None) -> bytes:
    """A PNG of structures in a grid; what is no molecule leaves its place empty, with the text below it."""
    chem = _rdkit()
    molecules = [_parsed(one) or chem.MolFromSmiles("") for one in smiles]
    legends = [one if len(one) <= 30 else one[:27] + "..." for one in smiles]
    across = columns or max(1, min(8, round(len(smiles) ** 0.5)))
    found = _part("Draw").MolsToGridImage(
        molecules, molsPerRow=across, subImgSize=(DRAWN, DRAWN), legends=legends, returnPNG=True
    )
    return bytes(getattr(found, "data", found))


def sdf(file: Path) -> Iterator[tuple[str, dict[str, str]] | str]:
    """The molecules of an SDF, one after the other, as canonical SMILES with their properties; or why one is none."""
    chem = _rdkit()
    with file.open("rb") as stream:
        for molecule in chem.ForwardSDMolSupplier(stream):
            if molecule is None or not molecule.GetNumAtoms():
                yield "RDKit cannot read this entry"
                continue
            if molecule.GetNumAtoms() > LONGEST:
                yield f"it has {molecule.GetNumAtoms():,} atoms, and a molecule of at most {LONGEST:,} is read"
                continue
            yield (
                str(chem.MolToSmiles(molecule)),
                dict(molecule.GetPropsAsDict(autoConvertStrings=False)),
            )
