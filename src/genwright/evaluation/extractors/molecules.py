"""A feature extractor for molecules that was trained elsewhere:

    chemnet       ChemNet, whose weights a package brings

A molecule is a text, its SMILES (Weininger 1988).
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.errors import DataError
from genwright.evaluation.extractors.base import Backbone
from genwright.evaluation.extractors.pretrained import packaged
from genwright.evaluation.extractors.texts import TextExtractor, Texts

__all__ = ["ChemNetExtractor"]

_KNOWN = "C N O H F Cl P B Br S I Si # ( ) + - 1 2 3 4 5 6 7 8 = [ ] @ c n o s X ."
SYMBOLS = tuple(_KNOWN.split(" "))
"""What ChemNet knows of SMILES, in its order; X is all else, the dot the end."""
NUMBER = {symbol: number for number, symbol in enumerate(SYMBOLS)}
LENGTH = 350
"""Places of a molecule, the last of them for the end at the latest."""


class ChemNetExtractor(TextExtractor):
    """ChemNet (Mayr et al. 2018, doi:10.1039/C8SC00148K), trained to predict the activity of molecules in
    assays, from their SMILES: the 512 numbers that FCD is taken in (Preuer et al. 2018, arXiv:1803.09518).

    SMILES are read as they are written: one molecule can be written in many ways, and the paper takes
    the canonical one of RDKit. What ChemNet does not know, as `/` or `%`, is one symbol to it; the first of
    several molecules, up to the dot, stands for all, as does the beginning of a SMILES of more than 349
    symbols; of an empty text it sees the end alone.
    """

    kind = "chemnet"
    looks_at = "molecules as SMILES"
    piece = 64

    @classmethod
    def file(cls) -> Path:
        return packaged(cls.kind, "fcd_torch", "ChemNet_v0.13_pretrained.pt", "molecules")

    @classmethod
    def reader(cls, data: bytes, texts: Texts) -> Backbone:
        backbone = _ChemNet(texts)
        try:
            layers = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
            backbone.take([weights for _, (weights, *_) in layers])
        except Exception as error:  # whatever a file of something else makes of the reader
            raise DataError(
                f"{cls.file()} does not hold the layers of ChemNet: {error}", code="wrong-weights"
            ) from error
        return backbone

    @classmethod
    def train(cls, backbone: Backbone, x: Tensor, labels: Sequence[Any] | None) -> None:
        """Nothing learns; but what holds blanks is no SMILES, and its features would mean nothing."""
        assert isinstance(backbone, _ChemNet)
        texts = [text.strip() for text in backbone.texts(x.numpy())]
        odd = [text for text in texts if re.search(r"\s", text)]
        if 2 * len(odd) > len(texts):
            raise DataError(
                f"the {cls.kind} feature extractor reads the SMILES of one molecule in each example, and "
                f"most of these hold blanks: {odd[0]!r:.60}; give a .jsonl file with one SMILES a line, or "
                f"take other --features",
                code="not-a-molecule",
            )


class _ChemNet(Backbone):
    """Two convolutions of stride 2 and two LSTMs, each of which reads backwards what comes before it."""

    def __init__(self, texts: Texts) -> None:
        super().__init__()
        self.texts = texts
        first, second = nn.LSTM(32, 128, batch_first=True), nn.LSTM(128, 512, batch_first=True)
        self.lstms = nn.ModuleList([first, second])
        self.convolutions = nn.ModuleList(
            nn.Conv1d(width, 32, 4, stride=2, bias=False) for width in (len(SYMBOLS), 32)
        )

    def take(self, layers: Sequence[dict[str, Tensor]]) -> None:
        for part, weights in zip([*self.convolutions, *self.lstms], layers, strict=True):
            part.load_state_dict(weights)

    def forward(self, x: Tensor) -> Tensor:
        h = torch.stack([one_hot(text) for text in self.texts(x.numpy())]).mT / len(SYMBOLS)
        for convolution in self.convolutions:  # (B, 35, 350) to (B, 32, 175) to (B, 32, 88)
            reference = 4 - (h.shape[2] % 2 or 2)  # as Keras fills up: the odd one behind
            h = F.selu(convolution(F.pad(h, (reference // 2, reference - reference // 2))))
        h = h.mT
        for lstm in self.lstms:
            h, _ = lstm(h.flip(1))
        return h[:, -1]


def one_hot(smiles: str) -> Tensor:
    """`(350, 35)`: the symbols, then the end, then nothing."""
    first = smiles.strip().partition(".")[0]
    symbols = re.findall(r".[ril]?", first, re.DOTALL)[: LENGTH - 1]
    places = torch.tensor([NUMBER.get(symbol, NUMBER["X"]) for symbol in symbols] + [NUMBER["."]])
    return F.pad(F.one_hot(places, len(SYMBOLS)), (0, 0, 0, LENGTH - len(places))).float()
