"""What every feature extractor promises: features of an example follow from the example alone, and are kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import torch

from genwright.data.field import Array
from genwright.errors import GenwrightError
from genwright.evaluation.extractors.base import DIM, FeatureExtractor, Raw
from genwright.registry import resolve
from genwright.space import Real, Space
from genwright.testing.contract import Contract, demand, registered
from genwright.testing.spaces import SPACES, data

__all__ = ["EXTRACTOR", "FittedExtractor", "check_extractor"]

NEAR = 1e-6
"""How far features may be off, in parts of their standard deviation: a batch is added up in another order."""


class FittedExtractor:
    """An extractor that was fitted on toy data of a space, whose classes are the labels.

    raw  what a field decodes stored examples to, for an extractor that reads that
    Raises `GenwrightError` where the space is not for it, or where its weights are not installed.
    """

    def __init__(
        self, kind: type[FeatureExtractor], space: Space, raw: Raw | None = None, n: int = 60
    ) -> None:
        self.kind, self.space, self.raw = kind, space, raw
        x, label = data(space, 2 * n)
        self.x, self.unseen = x[:n].numpy(), x[n:].numpy()
        self.labels = [f"class {int(one)}" for one in label[:n, 0]]
        self.extractor = self.fitted(seed=1)

    def fitted(self, seed: int) -> FeatureExtractor:
        return self.kind.fit(self.x, self.space, self.labels, seed, self.raw)

    @cached_property
    def features(self) -> Array:
        return self.extractor(self.unseen)

    def near(self, found: Array, wanted: Array, sentence: str) -> None:
        scale = float(self.features.std()) or 1.0
        off = float(np.abs(found - wanted).max()) if found.shape == wanted.shape else float("inf")
        demand(off <= NEAR * scale, f"{sentence}: off by {off / scale:.3g} standard deviations")


EXTRACTOR: Contract[FittedExtractor] = Contract("feature extractor")


@EXTRACTOR.law
def features_are_rows_of_numbers(case: FittedExtractor) -> None:
    """A row of finite numbers for each example, which differ between examples."""
    found = case.features
    right = found.shape == (len(case.unseen), case.extractor.dim) and found.dtype == np.float64
    demand(right, f"{len(case.unseen)} examples gave {found.dtype} {found.shape}")
    demand(
        1 <= case.extractor.dim <= DIM, f"{case.extractor.dim} features, and at most {DIM} are wanted"
    )
    demand(bool(np.isfinite(found).all()), "some features are not finite")
    demand(bool(found.std(0).any()), "all examples have the same features")


@EXTRACTOR.law
def an_example_decides_its_features(case: FittedExtractor) -> None:
    """The features of an example depend neither on the others nor on their number and order."""
    order = np.random.default_rng(0).permutation(len(case.unseen))
    case.near(case.extractor(case.unseen[order]), case.features[order], "in another order")
    alone = np.concatenate([case.extractor(one[None]) for one in case.unseen[:8]])
    case.near(alone, case.features[:8], "one by one")


@EXTRACTOR.law
def the_seed_decides(case: FittedExtractor) -> None:
    """Fitted again with the same seed it is the same to the last bit, and torch's own generator is left alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        before = torch.get_rng_state()
        again = case.fitted(seed=1)
        demand(torch.equal(torch.get_rng_state(), before), "it draws from torch's own generator")
    demand(again.name == case.extractor.name, f"{case.extractor.name} became {again.name}")
    demand(again(case.unseen).tobytes() == case.features.tobytes(), "its features are others")


@EXTRACTOR.law
def its_name_tells_it(case: FittedExtractor) -> None:
    """It is called by its kind and a digest of its weights, so that other weights have another name."""
    demand(case.extractor.name.startswith(f"{case.kind.kind}-"), f"it is called {case.extractor.name}")
    other = case.kind.fit(case.unseen, case.space, case.labels, 1, case.raw)
    demand(other.name != case.extractor.name, "fitted on other examples it has the same name")


@EXTRACTOR.law
def weights_are_all(case: FittedExtractor) -> None:
    """Restored from its weights it gives the same bytes."""
    weights = {name: tensor.clone() for name, tensor in case.extractor.weights().items()}
    again = case.kind.restore(case.space, weights, case.raw)
    demand(again.name == case.extractor.name, f"{case.extractor.name} became {again.name}")
    demand(again(case.unseen).tobytes() == case.features.tobytes(), "its features are others")


@EXTRACTOR.law
def other_examples_are_refused(case: FittedExtractor) -> None:
    """Examples of another space, too few of them, or labels that do not go with them are refused in a sentence."""
    wrong = Space((*case.space.grid[:2], 2), (Real(5),)).shape
    attempts: list[Callable[[], object]] = [
        lambda: case.extractor(np.zeros((4, *wrong), np.float32)),
        lambda: case.kind.fit(case.x[:1], case.space, case.labels[:1], 1, case.raw),
        lambda: case.kind.fit(case.x, case.space, case.labels[:-1], 1, case.raw),
    ]
    for attempt in attempts:
        try:
            attempt()
        except GenwrightError:
            continue
        raise AssertionError("examples were taken that do not go with it")


def check_extractor(
    extractor: str | type[FeatureExtractor],
    *,
    spaces: Mapping[str, Space] = SPACES,
    raw: Callable[[Space], Callable[[Array], Sequence[Any]]] | None = None,
) -> None:
    """Hold a feature extractor to the contract of `FeatureExtractor`, on each of the spaces that suit it.

    extractor  its registered name, or its class
    raw        what stored examples of a space are decoded to, for one that reads that
    Raises `AssertionError` with the law that is broken; `GenwrightError` where no space suits it, for
    example since its weights are not installed (code `missing-extra`).
    """
    with registered("extractors", extractor) as name:
        kind: type[FeatureExtractor] = resolve("extractors", name)
        refused: GenwrightError | None = None
        held = 0
        for space in spaces.values():
            try:
                case = FittedExtractor(kind, space, raw(space) if raw else None)
            except GenwrightError as error:
                if refused is None or error.code == "missing-extra":
                    refused = error
                continue
            held += 1
            EXTRACTOR.check(case, f"{name} on {space}", kind.contract_exceptions)
        if not held and refused is not None:
            raise refused
