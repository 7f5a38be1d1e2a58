"""Molecules: whether they are ones, new ones, of many kinds, and of properties like real ones.

The protocol of MOSES (Polykovskiy et al. 2020, arXiv:1811.12823), section 3: shares of all that were made for
`valid_molecules`, and of the valid ones for the rest. A molecule is its SMILES, canonical where it is valid.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence

import numpy as np

from genwright.data.codec import Array
from genwright.data.molecule.chemistry import (
    BITS,
    PROPERTIES,
    canonical,
    descriptor,
    fingerprint,
    scaffold,
)
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, MeanScore, Rate, Statistic
from genwright.evaluation.metrics.condition import as_numbers

__all__ = [
    "InternalDiversity",
    "MolecularProperties",
    "NearestMolecule",
    "NewMolecules",
    "PropertyControl",
    "Scaffolds",
    "UniqueMolecules",
    "ValidMolecules",
]

LEAST = 10
COMPARED = 1000
"""Molecules whose fingerprints are held against each other."""


def _valid(sample: Sample, least: int = LEAST) -> list[str]:
    """The molecules of a sample that are ones. Raises `DataError` for fewer than `least`."""
    found = [smiles for smiles in sample.view("molecule") if canonical(smiles) is not None]
    if len(found) < least:
        raise DataError(
            f"only {len(found)} of {len(sample)} are molecules, and {least} are needed to compare them",
            code="too-few-examples",
        )
    return found


class ValidMolecules(Rate):
    """The share of molecules that RDKit reads: valences are kept and rings are closed."""

    name = "valid_molecules"
    group = "validity"
    better = "higher"
    ideal = 1.0
    reads = "molecule"
    sees = ("ladder",)
    how = "Share of what was made that is a molecule at all."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        made = evidence.fake.view("molecule")
        return sum(canonical(smiles) is not None for smiles in made), len(made)


class UniqueMolecules(Rate):
    """The share of valid molecules that are different ones."""

    name = "unique_molecules"
    group = "diversity"
    better = "near"
    fault = "below"
    reads = "molecule"
    sees = ("collapse",)
    how = "Share of valid molecules that are not made twice; falls with their number."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        made = _valid(evidence.fake)
        return len(set(made)), len(made)


class NewMolecules(Rate):
    """The share of different valid molecules that are not among those of training."""

    name = "new_molecules"
    group = "novelty"
    better = "near"
    fault = "below"
    reads = "molecule"
    sees = ("all_copied", "tenth_copied")
    how = "Share of molecules that training does not hold; real held-out ones say what is usual."

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[int, int]:
        known, made = set(evidence.train.view("molecule")), set(_valid(evidence.fake))
        return len(made - known), len(made)


class _Fingerprints(Statistic):
    """A statistic of Morgan fingerprints of some of the molecules."""

    reads = "molecule"

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (_bits(sorted(_valid(one))[:COMPARED]) for one in (evidence.test, evidence.fake))
        return test, fake, lambda test, fake, rng: self.compare(test, fake)

    @abstractmethod
    def compare(self, test: Array, fake: Array) -> float:
        """The number, from the fingerprints of both."""


def _bits(smiles: Sequence[str]) -> Array:
    found = np.zeros((len(smiles), BITS), np.float32)
    for row, one in zip(found, smiles, strict=True):
        row[list(fingerprint(one))] = 1.0
    return found


def _tanimoto(a: Array, b: Array) -> Array:
    """Of fingerprints `(n, bits)` and `(m, bits)`: `(n, m)`."""
    both = a @ b.T
    return np.asarray(both / np.maximum(a.sum(1)[:, None] + b.sum(1)[None] - both, 1.0))


class InternalDiversity(_Fingerprints):
    """One less the mean Tanimoto similarity of two molecules (Benhenda 2017; IntDiv with p = 1), beside that of real
    ones: the difference."""

    name = "internal_diversity"
    group = "diversity"
    better = "near"
    ideal = 0.0
    fault = "below"
    sees = ("collapse",)
    how = "0: as diverse as real molecules; below, more alike among themselves."

    def compare(self, test: Array, fake: Array) -> float:
        return _diversity(fake) - _diversity(test)


def _diversity(bits: Array) -> float:
    n = len(bits)
    alike = _tanimoto(bits, bits)
    return float(1 - (alike.sum() - np.trace(alike)) / max(1, n * (n - 1)))


class NearestMolecule(_Fingerprints):
    """The mean Tanimoto similarity of a molecule to the nearest held-out one (SNN)."""

    name = "nearest_molecule"
    group = "fidelity"
    better = "near"
    fault = "below"
    sees = ("independence",)
    how = "How like the nearest real molecule a generated one is; real ones say what is usual."

    def compare(self, test: Array, fake: Array) -> float:
        return float(_tanimoto(fake, test).max(1).mean())


class Scaffolds(Statistic):
    """The cosine of how often each scaffold comes in generated and in held-out molecules (Scaf): rings and what joins
    them (Bemis and Murcko 1996)."""

    name = "scaffolds"
    group = "fidelity"
    better = "near"
    fault = "below"
    reads = "molecule"
    sees = ("collapse",)
    how = "1: the same scaffolds as often; beside what other real molecules reach."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (
            [scaffold(one) for one in _valid(sample)] for sample in (evidence.test, evidence.fake)
        )
        number = {one: i for i, one in enumerate(sorted({*test, *fake}))}

        def compare(test: Array, fake: Array, rng: np.random.Generator) -> float:
            a, b = (np.bincount(one, minlength=len(number)).astype(float) for one in (test, fake))
            return float(a @ b / max(float(np.sqrt(a @ a)) * float(np.sqrt(b @ b)), 1e-12))

        return np.array([number[one] for one in test]), np.array([number[one] for one in fake]), compare


class MolecularProperties(Statistic):
    """Wasserstein-1 distance of weight, logP, QED, polar surface, number of atoms and of rings, each in standard
    deviations of the held-out ones: their mean."""

    name = "molecular_properties"
    group = "fidelity"
    better = "lower"
    ideal = 0.0
    reads = "molecule"
    sees = ("collapse",)
    how = "Standard deviations by which properties are off on average."

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (
            np.array([[descriptor(one, name) for name in PROPERTIES] for one in _valid(sample)])
            for sample in (evidence.test, evidence.fake)
        )
        scale = np.maximum(test.std(0), 1e-9)

        def compare(test: Array, fake: Array, rng: np.random.Generator) -> float:
            return float((_wasserstein(test, fake) / scale).mean())

        return test, fake, compare


def _wasserstein(a: Array, b: Array) -> Array:
    """Of each column of `(n, d)` and `(m, d)`."""
    at = (np.arange(200) + 0.5) / 200
    return np.asarray(np.abs(np.quantile(a, at, axis=0) - np.quantile(b, at, axis=0)).mean(0))


class PropertyControl(MeanScore):
    """Pearson's correlation of the properties that were asked for with those that valid molecules have, as the mean of
    products of standard scores. Of labels that bear the name of a property which RDKit computes: weight, logp, qed,
    tpsa, atoms, rings.
    """

    name = "property_control"
    group = "condition"
    better = "higher"
    ideal = 1.0
    reads = "molecule"
    needs = frozenset({"condition"})
    sees = ("ignored",)
    how = "1: what was asked for is met up to a factor; 0: it is ignored."

    def fits(self, evidence: Evidence) -> bool:
        return bool(_asked(evidence.fake))

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        asked = _asked(evidence.fake)
        if not asked:
            raise DataError(
                f"{self.name}: no label is a property that follows from the structure (weight, logp, qed, tpsa, atoms, "
                f"rings)",
                code="no-properties",
            )
        made = evidence.fake.view("molecule")
        valid = [i for i, smiles in enumerate(made) if canonical(smiles) is not None]
        if len(valid) < LEAST:
            raise DataError(f"{self.name}: only {len(valid)} are molecules", code="too-few-examples")
        found = []
        for name, wanted in asked.items():
            had = np.array([descriptor(made[i], name.lower()) for i in valid])
            found.append(_standard(wanted[valid]) * _standard(had))
        return np.asarray(np.mean(found, axis=0))


def _standard(x: Array) -> Array:
    return np.asarray((x - x.mean()) / max(float(x.std()), 1e-9))


def _asked(sample: Sample) -> Mapping[str, Array]:
    """Labels that are properties, as numbers `(n,)`."""
    found: dict[str, Array] = {}
    for name, values in sample.conditions.items():
        if name.lower() in PROPERTIES and (numbers := as_numbers(values)) is not None:
            found[name] = numbers
    return found
