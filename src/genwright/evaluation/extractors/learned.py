"""Features: what a judge sees of an example, instead of its plain numbers.

A feature extractor turns stored examples `(n, stored, *grid)` into `(n, dim)` float64: a **backbone** gives
hidden numbers, and a **projection** brings them to unit spread, centres them and turns them onto at most 64
principal axes (not whitened). Both are fitted on the training split of the user's own data, whatever it
shows:

    pca          the embedded numbers themselves
    contrastive  a small encoder that knows two views of one example from all others: SimCLR
                 (Chen et al. 2020, arXiv:2002.05709); for rows SCARF (Bahri et al. 2022, arXiv:2106.15147)
    classifier   the same encoder, trained to tell the labels
    efficientnet, inception, minilm, chemnet, silero   trained elsewhere: see `pretrained.py`

Features at different names are different rulers: a name holds a hash of all weights.
"""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from filelock import FileLock
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from genwright.data.cache import cache_home, used
from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.extractors.base import DIM, FORMAT, Backbone, FeatureExtractor, Raw
from genwright.evaluation.extractors.pretrained import advised
from genwright.families.contrastive import ContrastiveEncoder, Views, contrast, projection
from genwright.nets.auto import Auto
from genwright.registry import resolve
from genwright.space import Space, Symbol
from genwright.storage.tensors import pack, unpack

__all__ = [
    "ClassifierExtractor",
    "ContrastiveExtractor",
    "PcaExtractor",
    "extractor_for",
]

WIDE = 4096
"""Numbers that a PCA is made of at most, where a coarser grid can bring them down."""
HIDDEN = 128
"""Numbers that an encoder gives; the projection turns them onto fewer."""
FEW = 500
"""Examples under which a contrastive feature extractor is said to be weak."""
WIDTH, STEPS, BATCH, RATE = 16, 240, 128, 5e-3
"""Of an encoder on a grid, and of its training, at most."""
WORK = 1e12
"""Floating point operations of a training at most: some 20 seconds of a core."""
VARYING = 2_000
"""Operations that take as long as to vary one number of an example."""
SMALLEST = 32
"""Examples of a step, of which fewer have too few others to be told from."""


# -- the numbers themselves ------------------------------------------------------------------------


class PcaExtractor(FeatureExtractor):
    """The principal components (Pearson 1901) of the embedded numbers.

    A channel of reals has one scale over the whole grid, so that a corner that never changes does not
    count most; the one-hot numbers of a symbol share a scale that lets all of them weigh as one number.
    """

    kind = "pca"

    @classmethod
    def backbone(cls, space: Space, raw: Raw | None = None) -> Backbone:
        return _Numbers(space)

    def caution(self, n: int) -> str:
        if not self.space.grid:
            return ""
        others = " or ".join(["--features contrastive", *advised(self.space)])
        return (
            f"the {self.name} feature extractor compares examples place by place, so it sees neither shapes "
            f"nor words, and one moved by a place is another to it: figures in its features are weak; take "
            f"{others}"
        )


class _Numbers(Backbone):
    """The embedded form `(B, width * cells)`, averaged over the cells of a coarser grid where it has
    more than `WIDE` numbers."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space
        coarse = list(space.grid)
        while math.prod(coarse) * space.width > WIDE and max(coarse, default=1) > 1:
            coarse = [-(-size // 2) for size in coarse]
        self.cells = math.prod(coarse)
        cell = torch.zeros((), dtype=torch.long)
        for size, few in zip(space.grid, coarse, strict=True):
            cell = cell[..., None] * few + torch.arange(size) * few // size
        self.cell = cell.flatten()  # (positions,)
        self.share = 1.0 / torch.bincount(self.cell).double()[self.cell]

    def forward(self, x: Tensor) -> Tensor:
        x, parts = x.reshape(len(x), self.space.stored, -1), []
        for slot in self.space.slots():
            part, size = x[:, slot.stored], slot.width.stop - slot.width.start
            sums = torch.zeros(len(x), size * self.cells, dtype=torch.float64)
            if isinstance(slot.span, Symbol):
                sums.scatter_add_(
                    1, part[:, 0].long() * self.cells + self.cell, self.share.expand_as(part[:, 0])
                )
            else:
                sums.view(len(x), size, -1).index_add_(2, self.cell, part.double() * self.share)
            parts.append(sums)
        return torch.cat(parts, dim=1)

    def groups(self) -> tuple[Tensor, int]:
        which: list[int] = []
        for slot in self.space.slots():
            for channel in range(slot.width.start, slot.width.stop):
                shared = slot.width.start if isinstance(slot.span, Symbol) else channel
                which += [shared] * self.cells
        return torch.tensor(which), self.cells


# -- trained encoders ------------------------------------------------------------------------------


class _Encoder(ContrastiveEncoder, Backbone):
    """The encoder of the contrastive family at size xs, small enough to be trained for one judgement."""

    def __init__(self, space: Space) -> None:
        super().__init__(space, Auto("xs", width=WIDTH if space.grid else None), HIDDEN)


class ContrastiveExtractor(FeatureExtractor):
    """Features in which two views of one example are close and those of others are far: SimCLR
    (Chen et al. 2020), taken before the projection head."""

    kind = "contrastive"

    @classmethod
    def backbone(cls, space: Space, raw: Raw | None = None) -> Backbone:
        return _Encoder(space)

    @classmethod
    def train(cls, backbone: Backbone, x: Tensor, labels: Sequence[Any] | None) -> None:
        assert isinstance(backbone, _Encoder)
        head, views = projection(HIDDEN, DIM), Views(backbone.space)

        def loss(index: Tensor) -> Tensor:
            return contrast(backbone, head, views, x[index])

        _descend(nn.ModuleList([backbone, head]), loss, len(x), x[0].numel())

    def caution(self, n: int) -> str:
        if n >= FEW:
            return ""
        others = " or ".join(advised(self.space) or ["--features pca"])
        return (
            f"the {self.name} feature extractor learnt from {n} examples, under {FEW}: figures in its "
            f"features are weak; give more examples, or take {others}, which learns less from them"
        )


class ClassifierExtractor(FeatureExtractor):
    """The last hidden layer of a classifier of the labels, trained on varied examples."""

    kind = "classifier"

    @classmethod
    def backbone(cls, space: Space, raw: Raw | None = None) -> Backbone:
        return _Encoder(space)

    @classmethod
    def train(cls, backbone: Backbone, x: Tensor, labels: Sequence[Any] | None) -> None:
        assert isinstance(backbone, _Encoder)
        if labels is None:
            raise DataError(
                "a classifier feature extractor needs labels, and these examples have none: take other "
                "--features",
                code="no-labels",
            )
        names, number = np.unique([str(label) for label in labels], return_inverse=True)
        if not 2 <= len(names) <= len(x) // 2:
            raise DataError(
                f"a classifier feature extractor needs 2 labels or more with two examples each on average, "
                f"and here {len(x)} examples have {len(names)}: take other --features",
                code="no-classes",
            )
        truth, views = torch.as_tensor(number), Views(backbone.space)
        head = nn.Sequential(nn.ReLU(), nn.Linear(HIDDEN, len(names)))

        def loss(index: Tensor) -> Tensor:
            return F.cross_entropy(head(backbone(views(x[index]))), truth[index])

        _descend(nn.ModuleList([backbone, head]), loss, len(x), x[0].numel())


def _descend(nets: nn.Module, loss: Callable[[Tensor], Tensor], n: int, numbers: int) -> None:
    """Some steps of AdamW on batches of `n` examples, each as often; the rate falls to zero.

    numbers  in an example
    """
    steps, size = _length(_operations(nets, loss) + VARYING * numbers, n)
    optimiser = torch.optim.AdamW(nets.parameters(), lr=RATE, weight_decay=1e-2, fused=True)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, max_lr=RATE, total_steps=steps)
    for _, index in zip(range(steps), _batches(n, size), strict=False):
        optimiser.zero_grad()
        loss(index).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _length(operations: float, n: int) -> tuple[int, int]:
    """Steps, and examples of each, where an example takes so many operations. What costs much has smaller steps and
    then fewer; a clock would end them elsewhere each time."""
    examples = WORK / operations
    size = min(BATCH, max(SMALLEST, int(examples / STEPS)))
    return max(1, min(STEPS, round(examples / size))), min(size, n)


def _operations(nets: nn.Module, loss: Callable[[Tensor], Tensor]) -> float:
    """Floating point operations that the gradient takes for an example."""
    with torch.random.fork_rng(devices=[]), FlopCounterMode(display=False) as counter:
        loss(torch.arange(2)).backward()  # type: ignore[no-untyped-call]
    nets.zero_grad()
    return counter.get_total_flops() / 2


def _batches(n: int, size: int) -> Iterator[Tensor]:
    """Numbers of examples, for ever; all of them before any comes again, none twice in a batch."""
    while True:
        yield from torch.randperm(n)[: n // size * size].view(-1, size)


# -- kept between runs -----------------------------------------------------------------------------


def extractor_for(
    train_x: Array,
    space: Space,
    labels: Sequence[Any] | None = None,
    kind: str = "auto",
    seed: int = 0,
    key: str = "data",
    raw: Raw | None = None,
) -> FeatureExtractor:
    """The feature extractor of a kind for a training split `(n, stored, *grid)`, from the cache or fitted
    now.

    kind    a registered one; "auto": contrastive on a grid, pca for a row
    key     of the data, which names a folder; what was fitted on other examples is never taken for it
    raw     what the codec decodes stored examples to, for a feature extractor that reads that
    Raises `RecipeError` for a kind that is not known, `DataError` for data that does not suit it.
    """
    if kind == "auto":
        kind = "contrastive" if space.grid else "pca"
    extractor: type[FeatureExtractor] = resolve("extractors", kind)
    labels = labels if extractor is ClassifierExtractor else None
    raw = raw if extractor.reads_raw else None
    folder = cache_home() / "extractors" / key / _digest(extractor, train_x, space, labels, seed, raw)
    folder.parent.mkdir(parents=True, exist_ok=True)
    # One fits, whoever else wants the same feature extractor waits.
    with FileLock(folder.with_suffix(".lock")):
        if (weights := _load(folder)) is None:
            fitted = extractor.fit(train_x, space, labels, seed, raw)
            _store(folder, fitted)
            return fitted
        used(folder)
    return extractor.restore(space, weights, raw)


def _digest(
    extractor: type[FeatureExtractor],
    x: Array,
    space: Space,
    labels: Sequence[Any] | None,
    seed: int,
    raw: Raw | None,
) -> str:
    """Of all that a feature extractor is fitted from."""
    about = [FORMAT, extractor.kind, extractor.origin(space), seed, space.state(), x.shape, str(x.dtype)]
    digest = hashlib.sha256(json.dumps([*about, [repr(label) for label in labels or ()]]).encode())
    digest.update(np.ascontiguousarray(x).data)
    if raw is not None:  # equal numbers are other texts in another alphabet
        for some in range(0, len(x), extractor.piece):
            digest.update(ascii(list(raw(x[some : some + extractor.piece]))).encode())
    return f"{extractor.kind}-{digest.hexdigest()[:24]}"


def _store(folder: Path, extractor: FeatureExtractor) -> None:
    """Write a feature extractor under a temporary name and rename it, so that a folder is always a whole
    one."""
    partial = folder.with_suffix(".partial")
    for old in (partial, folder):
        shutil.rmtree(old, ignore_errors=True)
    partial.mkdir()
    data = b"".join(pack(extractor.weights(), {}))
    about = {"name": extractor.name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    try:
        (partial / "lens.safetensors").write_bytes(data)
        (partial / "lens.json").write_text(json.dumps(about), encoding="ascii")
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _load(folder: Path) -> dict[str, Tensor] | None:
    """The weights, if they are there and what they were when they were written."""
    try:
        about = json.loads((folder / "lens.json").read_text(encoding="ascii"))
        data = (folder / "lens.safetensors").read_bytes()
        if (len(data), hashlib.sha256(data).hexdigest()) == (about["size"], about["sha256"]):
            return unpack(data)
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None
