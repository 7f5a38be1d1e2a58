"""A feature extractor: stored examples `(n, stored, *grid)` to features `(n, dim)` float64.

A **backbone** gives hidden numbers, and a **projection** brings them to unit spread, centres them and turns
them onto at most 64 principal axes (not whitened).
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor, nn

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.families.workers import single_threaded
from genwright.space import Space
from genwright.storage.tensors import pack

__all__ = ["DIM", "FORMAT", "MOST", "Backbone", "FeatureExtractor", "Raw", "chosen"]

FORMAT = 3
"""Of a stored feature extractor; to be raised with any change of what is computed here."""
DIM = 64
"""Features at most."""
MOST = 10_000
"""Training examples that a feature extractor is fitted on at most."""
PROJECTED = 4_000
"""Of which the projection is fitted on so many at most: it turns a few hundred numbers onto their axes."""

Raw = Callable[[Array], Sequence[Any]]
"""Stored examples `(n, stored, *grid)` to what a codec makes of them, texts for one."""


class FeatureExtractor(ABC):
    """Stored examples `(n, stored, *grid)` to features `(n, dim)` float64.

    An example's features depend on nothing but the example: not on the others, nor on their number.
    """

    kind: ClassVar[str]
    reads_raw: ClassVar[bool] = False
    """Whether it looks at what a codec makes of the stored numbers, and so needs `raw`."""
    piece: ClassVar[int] = 256
    """Examples that are looked at at once: always so many, since another size of a batch is
    another kernel, which rounds otherwise."""
    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_extractor` that it does not keep."""

    def __init__(self, space: Space, backbone: Backbone, mean: Tensor, axes: Tensor) -> None:
        """mean `(h,)` and axes `(h, dim)`: the projection, with the scale in the axes."""
        self.space, self.dim = space, axes.shape[1]
        self._backbone = backbone.eval()
        self._mean, self._axes = mean, axes
        about = json.dumps([FORMAT, self.kind, space.state()])
        digest = hashlib.sha256(about.encode())
        for part in pack(self.weights(), {}):
            digest.update(part)
        self.name = f"{self.kind}-{digest.hexdigest()[:6]}"

    def __call__(self, x: Array) -> Array:
        stored = torch.as_tensor(np.ascontiguousarray(x))
        self.space.check(stored, "what a feature extractor is to look at")

        def seen(x: Tensor) -> Tensor:
            hidden: Tensor = self._backbone(x).double()
            return (hidden - self._mean) @ self._axes

        found: Array = _in_pieces(seen, stored, self.piece).numpy()
        return found

    @classmethod
    @abstractmethod
    def backbone(cls, space: Space, raw: Raw | None = None) -> Backbone:
        """Not trained yet. Raises `DataError` where the space is not for it.

        raw     for a feature extractor that does not look at the stored numbers
        """

    @classmethod
    def origin(cls, space: Space) -> str:
        """A digest of weights that come from elsewhere; empty: there are none. Raises as `backbone` does."""
        return ""

    def caution(self, n: int) -> str:
        """What to say of figures in these features, with the feature extractor fitted on `n` examples;
        empty: nothing."""
        return ""

    @classmethod  # noqa: B027 - a backbone need not learn
    def train(cls, backbone: Backbone, x: Tensor, labels: Sequence[Any] | None) -> None:
        """Fit the backbone to the training examples, if it learns; draws come from torch's own generator."""

    @classmethod
    def fit(
        cls,
        x: Array,
        space: Space,
        labels: Sequence[Any] | None = None,
        seed: int = 0,
        raw: Raw | None = None,
    ) -> Self:
        """The feature extractor for training examples. The same bytes and seed make the same feature
        extractor, on any number of cores: in one thread, since sums have other last digits in two."""
        if len(x) < 2:
            raise DataError(
                f"a {cls.kind} feature extractor is fitted on at least 2 training examples, got {len(x)}",
                code="too-few-examples",
            )
        x, labels = chosen(x, labels, seed)
        stored = torch.as_tensor(x)
        space.check(stored, "what a feature extractor is fitted on")
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(seed)  # and no other device's
            backbone = cls.backbone(space, raw)
            with single_threaded():
                cls.train(backbone, stored, labels)
        every = -(-len(stored) // PROJECTED)
        hidden = _in_pieces(backbone.eval(), stored[::every], cls.piece)
        return cls(space, backbone, *_projection(hidden, backbone.groups(), seed))

    def weights(self) -> dict[str, Tensor]:
        """All there is to know beside the kind and the space."""
        return {"tail.mean": self._mean, "tail.axes": self._axes, **self._backbone.state_dict()}

    @classmethod
    def restore(cls, space: Space, weights: Mapping[str, Tensor], raw: Raw | None = None) -> Self:
        """Take back what `weights` gave."""
        inside = {name: tensor for name, tensor in weights.items() if not name.startswith("tail.")}
        with torch.random.fork_rng(devices=[]):
            backbone = cls.backbone(space, raw)
        backbone.load_state_dict(inside)
        return cls(space, backbone, weights["tail.mean"], weights["tail.axes"])


class Backbone(nn.Module, ABC):
    """Stored examples `(B, stored, *grid)` to hidden numbers `(B, h)`."""

    origin: str = ""
    """A digest of the weights it came with, where it was trained elsewhere."""

    def groups(self) -> tuple[Tensor, int] | None:
        """Which hidden numbers share a scale `(h,)`, and the numbers that the variance of a group adds
        up to; None: each is for itself."""
        return None


def chosen(x: Array, labels: Sequence[Any] | None, seed: int) -> tuple[Array, Sequence[Any] | None]:
    """At most `MOST` examples with their labels, in their order."""
    if labels is not None and len(labels) != len(x):
        raise DataError(
            f"{len(x)} examples and {len(labels)} labels do not go together: give one for each",
            code="unequal-pairs",
        )
    index = np.sort(np.random.default_rng(seed).permutation(len(x))[:MOST])
    return np.ascontiguousarray(x[index]), None if labels is None else [labels[i] for i in index]


@torch.no_grad()
def _in_pieces(seen: Callable[[Tensor], Tensor], x: Tensor, piece: int) -> Tensor:
    """What is seen of examples, `(n, d)` float64, from pieces of one size: the last is filled up with
    copies of its first."""
    found = []
    for some in torch.split(x, piece):
        filled = torch.cat([some, some[:1].expand(piece - len(some), *some.shape[1:])])
        found.append(seen(filled)[: len(some)].double())
    return torch.cat(found)


def _projection(h: Tensor, groups: tuple[Tensor, int] | None, seed: int) -> tuple[Tensor, Tensor]:
    """The mean `(h,)` and the principal axes `(h, dim)`, largest first, of hidden numbers `(n, h)`
    brought to unit spread. Axes along which nothing varies are left out."""
    from sklearn.decomposition import PCA

    if not bool(torch.isfinite(h).all()):
        raise DataError(
            "some training examples hold values that are not finite, so no feature extractor fits them",
            code="not-finite",
        )
    mean, variance = h.mean(0), h.var(0, unbiased=False)
    if groups is not None:
        which, numbers = groups
        variance = torch.zeros_like(variance).index_add(0, which, variance)[which] / numbers
    scale = torch.where(variance > 1e-12, variance, 1.0).sqrt()
    with np.errstate(invalid="ignore"):  # the share of no variance at all
        pca = PCA(min(DIM, *h.shape), random_state=seed).fit(((h - mean) / scale).numpy())
    spread = pca.explained_variance_
    kept = max(1, int((spread > 1e-9 * spread[0]).sum())) if spread[0] > 0 else 1
    return mean, torch.from_numpy(pca.components_[:kept].T / scale.numpy()[:, None])
