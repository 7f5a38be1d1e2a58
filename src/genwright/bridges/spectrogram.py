"""Waveforms as log-mel spectrograms, and back by Griffin and Lim's algorithm.

How loud each band of frequencies is at each time is what speech and music are told by, and a network finds it sooner
on a grid of bands and times than in the order of single samples. Phases are left out, and on the way back some are
found that go with the loudness (Griffin and Lim 1984, with the momentum of Perraudin et al. 2013, "A fast Griffin-Lim
algorithm"): a clip comes back by its sound and not sample by sample.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Le
from torch import Tensor

from genwright.bridges.base import Bridge
from genwright.errors import Incompatible
from genwright.space import Real, Space

__all__ = ["Spectrogram"]

LEAST = 256
"""Samples that a waveform has."""
FRAMES, SHORTEST, WIDEST = 64, 16, 256
"""About as many as a waveform becomes, and samples from one to the next, at least and at most."""
OVERLAP = 4
"""Frames that a sample lies in."""
BREAK = 0.125
"""Of the highest frequency: below it bands lie evenly, above it evenly by octaves. On the mel scale that is 700 Hz
(O'Shaughnessy 1987), of sounds of 11,200 samples a second; a bridge does not know how many there are."""
QUIET = 1e-3
"""Of the loudest band in training: what is quieter by much is not told apart."""
SPREAD = 1e-2
"""Of a band, at least: one that says nothing is not blown up to unit spread."""
MOMENTUM = 0.99
CHUNK = 256
"""Examples at once."""


class Spectrogram(Bridge):
    """Waveforms `(B, C, T)` to logarithms of the magnitude in each band `(B, C, bands, frames)`, each band at zero
    mean and unit spread over the training examples."""

    learns = True
    keeps_likelihood = False
    contract_exceptions: ClassVar[frozenset[str]] = frozenset({"there-and-back"})

    def __init__(
        self,
        *,
        bands: Annotated[int, Ge(4), Le(512)] = 64,
        hop: Annotated[int, Ge(4), Le(4096)] | None = None,
        iterations: Annotated[int, Ge(1), Le(1000)] = 32,
    ) -> None:
        """bands: of frequencies, at most `hop`.  hop: samples from one frame to the next (None: about 64 frames, of
        16 to 256).  iterations: of Griffin and Lim's algorithm."""
        self.bands, self.iterations, self._hop = bands, iterations, hop

    def plan(self, source: Space) -> Space:
        if source.kind != "real" or len(source.grid) != 1 or source.positions < LEAST:
            raise Incompatible(
                f"a spectrogram is of waveforms, one axis of {LEAST} numbers or more, and each example here is "
                f"{source}: leave bridge.name=spectrogram out",
                code="no-waveform",
            )
        length, hop = source.positions, self._hop_over(source.positions)
        if OVERLAP * hop > length:
            raise Incompatible(
                f"frames of {OVERLAP} x {hop} samples are longer than an example of {length}: "
                f"lower bridge.hop to {length // OVERLAP} or less",
                code="frames-too-long",
            )
        return Space((min(self.bands, hop), -(-length // hop)), (Real(source.stored),))

    def _hop_over(self, length: int) -> int:
        """Samples from one frame to the next, where a waveform has so many."""
        return self._hop or min(WIDEST, max(SHORTEST, 2 ** round(math.log2(length / FRAMES))))

    def fit(self, source: Space, x: Tensor) -> None:
        super().fit(source, x)
        self.hop = self._hop_over(source.positions)
        self._prepare()
        bands = self.target.grid[0]
        # Gone through twice: kept, the magnitudes would be as large as the examples.
        loud = [mel.amax() for mel in self._mel(x)]
        self.floor = QUIET * max(float(torch.stack(loud).max()), torch.finfo(torch.float32).tiny / QUIET)
        total, squares, count = torch.zeros(bands).double(), torch.zeros(bands).double(), 0
        for mel in self._mel(x):
            logs = (mel + self.floor).log().transpose(0, 1).flatten(1).double().cpu()
            total, squares = total + logs.sum(1), squares + logs.square().sum(1)
            count += logs.shape[1]
        self.mean = (total / count).float()
        variance = (squares / count - (total / count).square()).clamp_min(0)
        self.std = variance.sqrt().clamp_min(SPREAD).float()

    def _prepare(self) -> None:
        """What is the same for all examples: the window, and which frequencies a band holds `(bands, bins)`."""
        self.window = torch.hann_window(OVERLAP * self.hop)
        bins = OVERLAP * self.hop // 2 + 1
        self.held = mel_bands(self.target.grid[0], bins)
        self.spread_out = torch.linalg.pinv(self.held.double()).float()

    # -- there ---------------------------------------------------------------------------------

    def _spectrum(self, x: Tensor) -> Tensor:
        """Waveforms `(N, T)` to complex `(N, bins, frames)`."""
        size, window = OVERLAP * self.hop, self.window.to(x.device)
        return torch.stft(x, size, self.hop, window=window, return_complex=True)

    def _mel(self, x: Tensor) -> Iterator[Tensor]:
        """Magnitudes of the bands `(n C, bands, frames)` of some examples after the other."""
        for some in torch.split(x.float(), CHUNK):
            spectrum = self._spectrum(some.flatten(0, 1))[..., : self.target.grid[1]]
            yield self.held.to(x.device) @ spectrum.abs()

    def forward(self, x: Tensor) -> Tensor:
        logs = torch.cat([(mel + self.floor).log() for mel in self._mel(x)])
        mean, std = (t.to(x.device)[:, None] for t in (self.mean, self.std))
        return ((logs - mean) / std).view(*x.shape[:2], *self.target.grid)

    # -- and back ------------------------------------------------------------------------------

    def inverse(self, y: Tensor, rng: torch.Generator | None = None) -> Tensor:
        if rng is None:
            rng = torch.Generator(y.device).manual_seed(0)
        mean, std = (t.to(y.device)[:, None] for t in (self.mean, self.std))
        # What no training example has anything of must not become infinite.
        loudest = math.log(2 * self.floor / QUIET)
        mel = (y.float() * std + mean).clamp_max(loudest).exp() - self.floor
        magnitude = (self.spread_out.to(y.device) @ mel.flatten(0, 1).clamp_min(0)).clamp_min(0)
        if self.source.positions % self.hop == 0:  # the frame around the end was left out
            magnitude = torch.cat([magnitude, magnitude[..., -1:]], dim=-1)
        turn = torch.rand(magnitude.shape, generator=rng, device=y.device)
        parts = zip(torch.split(magnitude, CHUNK), torch.split(turn, CHUNK), strict=True)
        x = torch.cat([self._waveform(some, 2 * math.pi * u) for some, u in parts])
        x = x.view(*y.shape[:2], self.source.positions)
        return x.clamp(-1, 1) if self.source.bounded else x

    def _waveform(self, magnitude: Tensor, angle: Tensor) -> Tensor:
        """Waveforms `(N, T)` whose spectrum has about this magnitude `(N, bins, frames)`, from phases to begin with."""
        size, window, length = (
            OVERLAP * self.hop,
            self.window.to(magnitude.device),
            self.source.positions,
        )
        spectrum, before = torch.polar(magnitude, angle), torch.zeros_like(magnitude)
        for _ in range(self.iterations):
            x = torch.istft(spectrum, size, self.hop, window=window, length=length)
            found = self._spectrum(x)
            spectrum = torch.polar(magnitude, (found + MOMENTUM * (found - before)).angle())
            before = found
        return torch.istft(spectrum, size, self.hop, window=window, length=length)

    # -- kept ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        known = {
            "hop": self.hop,
            "floor": self.floor,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }
        return super().state() | known

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor] | None = None) -> None:
        super().restore(state, tensors)
        self.hop, self.floor = state["hop"], state["floor"]
        self._prepare()
        self.mean, self.std = torch.tensor(state["mean"]), torch.tensor(state["std"])


def mel_bands(bands: int, bins: int) -> Tensor:
    """How much of each frequency a band holds `(bands, bins)`: triangles that begin and end at the middle of their
    neighbours, a bin apart at least."""
    mel = torch.linspace(0, math.log1p(1 / BREAK), bands + 2, dtype=torch.double)
    edges = (mel.exp() - 1) * BREAK * (bins - 1)
    least = torch.arange(bands + 2, dtype=torch.double)
    edges = (edges - least).cummax(0).values + least  # no two nearer to each other than a bin
    edges = torch.minimum(edges, bins - 1 - least.flip(0))
    left, middle, right = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    at = torch.arange(bins, dtype=torch.double)
    rising, falling = (at - left) / (middle - left), (right - at) / (right - middle)
    return torch.minimum(rising, falling).clamp_min(0).float()
