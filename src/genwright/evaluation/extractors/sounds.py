"""A feature extractor for sounds that was trained elsewhere:

silero        Silero's detector of speech, whose weights a package brings
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.data.audio.clips import TOP, Clip
from genwright.data.audio.files import resampled
from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.extractors.base import Backbone, Raw
from genwright.evaluation.extractors.pretrained import PretrainedExtractor, packaged
from genwright.space import Real, Space
from genwright.storage.tensors import unpack

__all__ = ["SileroExtractor"]

RATE, FRAME, BEFORE, BEHIND = 16_000, 512, 64, 64
"""Samples a second, of a frame, and beside it: those of the frame before, and its own last ones mirrored."""

Waves = Callable[[Array], Tensor]
"""Stored examples `(n, stored, *grid)` to samples `(n, T)` at `RATE`."""


class SileroExtractor(PretrainedExtractor):
    """Silero VAD (Silero Team 2021, github.com/snakers4/silero-vad), trained to find speech in recordings of
    many languages: a clip is brought to 16,000 samples a second and heard in frames of 32 ms. Of the state of
    its LSTM behind each frame, and of the probability of speech, the mean and the spread over the frames
    count: 258 hidden numbers. What its convolutions give has no bound and is often 0 throughout, so that
    distances in it are decided by a few sounds.
    """

    kind = "silero"
    looks_at = "sounds of one channel"
    reads_raw = True
    piece = 8

    @classmethod
    def suits(cls, space: Space) -> bool:
        return len(space.grid) == 1 and space.spans == (Real(1, bounded=True),)

    @classmethod
    def file(cls) -> Path:
        return packaged(cls.kind, "silero_vad", "data/silero_vad_16k.safetensors", "speech")

    @classmethod
    def network(cls, data: bytes, raw: Raw | None) -> Backbone:
        if raw is None:
            raise DataError(
                f"the {cls.kind} feature extractor hears clips of a known rate: give it `raw`, which decodes "
                f"examples to them",
                code="raw-missing",
            )
        backbone = _Silero(lambda x: _waves(cls.kind, raw(x)))
        try:
            backbone.load_state_dict(unpack(data))
        except (ValueError, RuntimeError) as error:
            raise DataError(
                f"{cls.file()} does not hold the layers of Silero VAD: {error}", code="wrong-weights"
            ) from error
        return backbone


def _waves(kind: str, found: Sequence[Any]) -> Tensor:
    if not all(isinstance(clip, Clip) for clip in found):
        raise DataError(
            f"the {kind} feature extractor hears sounds, and these examples are none: {found[0]!r:.60}",
            code="not-a-sound",
        )
    samples = np.stack([clip.samples for clip in found]).astype(np.float32) / np.float32(TOP)
    return torch.from_numpy(resampled(samples, found[0].rate, RATE))


class _Silero(Backbone):
    """A short-time Fourier transform as a convolution, four convolutions, and an LSTM from frame to frame."""

    def __init__(self, waves: Waves) -> None:
        super().__init__()
        self.waves = waves
        self.stft_conv = nn.Conv1d(1, 258, 256, stride=128, bias=False)
        self.conv1 = nn.Conv1d(129, 128, 3, padding=1)
        self.conv2 = nn.Conv1d(128, 64, 3, stride=2, padding=1)
        self.conv3 = nn.Conv1d(64, 64, 3, stride=2, padding=1)
        self.conv4 = nn.Conv1d(64, 128, 3, padding=1)
        self.lstm_cell = nn.LSTMCell(128, 128)
        self.final_conv = nn.Conv1d(128, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        seen = torch.cat(self.frames(self.waves(x.numpy())), dim=2)  # (B, frames, 129)
        return torch.cat([seen.mean(1), seen.std(1, correction=0)], dim=1)

    def frames(self, wave: Tensor) -> tuple[Tensor, Tensor]:
        """Samples `(B, T)` to the states of the LSTM `(B, frames, 128)` and the probability of speech
        `(B, frames, 1)`."""
        n, length = wave.shape
        frames = -(-length // FRAME)
        wave = F.pad(wave, (BEFORE, frames * FRAME - length))
        h = wave.unfold(1, BEFORE + FRAME, FRAME).reshape(n * frames, 1, -1)
        h = self.stft_conv(F.pad(h, (0, BEHIND), mode="reflect"))
        h = (h[:, :129].square() + h[:, 129:].square()).sqrt()
        for convolution in (self.conv1, self.conv2, self.conv3, self.conv4):
            h = F.relu(convolution(h))
        state, states = (wave.new_zeros(n, 128), wave.new_zeros(n, 128)), []
        for frame in h.view(n, frames, 128).unbind(1):
            state = self.lstm_cell(frame, state)
            states.append(state[0])
        heard = torch.stack(states, dim=1)
        return heard, self.final_conv(F.relu(heard).mT).sigmoid().mT
