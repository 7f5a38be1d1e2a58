"""Pictures: their fineness, their brightness, and which of them to look at.

The view `pixels` is `(n, C, H, W)` in [-1, 1]. What a network sees in a picture is for the features; here are
the plain things that it overlooks.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np
from sklearn.metrics import pairwise_distances_chunked

from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, Statistic
from genwright.evaluation.neighbours import reach

__all__ = ["PixelHistogram", "Sharpness", "Spectrum", "ranked", "realism"]

LEVELS = 256
NOISE = (2 / (LEVELS - 1)) ** 2 / 12
"""Variance that rounding to 256 levels in [-1, 1] adds to a pixel."""
BLOCK = 1 << 24
"""Values that are worked on at a time."""
MEMORY = 64
"""MiB of distances at a time."""


class Pictures(Statistic):
    """A statistic of one row of numbers for each picture."""

    group = "fidelity"
    reads = "pixels"
    side = 1
    """The smallest height and width."""

    @abstractmethod
    def look(self, x: Array) -> Array:
        """Pictures `(n, C, H, W)` float64 to rows `(n, f)`."""

    @abstractmethod
    def compare(self, test: Array, fake: Array) -> float:
        """The number, from the rows of both."""

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (self._rows(sample) for sample in (evidence.test, evidence.fake))
        return test, fake, lambda test, fake, rng: self.compare(test, fake)

    def _rows(self, sample: Sample) -> Array:
        x = sample.view("pixels")
        if x.ndim != 4 or min(x.shape[2:]) < self.side:
            raise DataError(
                f"{self.name} is for pictures of at least {self.side} x {self.side} pixels, and these "
                f"have the shape {tuple(x.shape[1:])}",
                code="picture-too-small",
            )
        step = max(1, BLOCK // max(1, x[0].size))
        return np.concatenate(
            [self.look(x[i : i + step].astype(np.float64)) for i in range(0, len(x), step)]
        )


class Spectrum(Pictures):
    """How much of each fineness: the difference of the power spectra, averaged over all directions
    (azimuthal integration, Durall et al. 2020, arXiv:2003.01826), in decades (powers of ten), as an
    absolute value and the mean over spatial frequencies without the zeroth.

    What rounding to 256 levels adds is added to all powers: below it a picture holds nothing.
    """

    name = "spectrum"
    better = "lower"
    ideal = 0.0
    side = 4
    sees = ("ladder",)
    how = (
        "In powers of ten: 0.3 is twice or half the power; blur lacks the fine, an upsampler adds to it."
    )

    def look(self, x: Array) -> Array:
        """The mean power in rings one cycle a picture wide, `(n, rings)`; the corners are the last."""
        height, width = x.shape[2:]
        power = (np.abs(np.fft.fft2(x, norm="ortho")) ** 2).mean(1)
        radius = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
        ring = np.rint(radius * min(height, width)).astype(np.int64).ravel()
        member = np.eye(ring.max() + 1)[ring]
        return (power.reshape(len(x), -1) @ member / member.sum(0))[:, 1:]

    def compare(self, test: Array, fake: Array) -> float:
        return float(np.abs(_decades(test) - _decades(fake)).mean())


def _decades(power: Array) -> Array:
    return np.log10(power.mean(0) + NOISE)


class PixelHistogram(Pictures):
    """Wasserstein-1 distance of the values of pixels, by channel, their mean; in levels out of 255."""

    name = "pixels"
    better = "lower"
    ideal = 0.0
    sees = ("ladder",)
    how = "Levels of 255 by which pixels are too dark or too bright on average, wherever they stand."

    def look(self, x: Array) -> Array:
        """How many pixels at each level, as shares, `(n, C 256)`."""
        n, channels = x.shape[:2]
        level = (
            np.rint((x.clip(-1, 1) + 1) / 2 * (LEVELS - 1)).astype(np.int64).reshape(n * channels, -1)
        )
        place = level + LEVELS * np.arange(n * channels)[:, None]
        counts = np.bincount(place.ravel(), minlength=n * channels * LEVELS)
        return counts.reshape(n, channels * LEVELS) / level.shape[1]

    def compare(self, test: Array, fake: Array) -> float:
        gap = (test.mean(0) - fake.mean(0)).reshape(-1, LEVELS)
        return float(np.abs(gap.cumsum(1)).sum(1).mean())


class Sharpness(Pictures):
    """The variance of the Laplacian of a picture (Pech-Pacheco et al. 2000), its median over generated
    ones by that over real ones."""

    name = "sharpness"
    better = "near"
    ideal = 1.0
    side = 3
    sees = ("ladder",)
    how = "1: as sharp as real pictures; below, blurred; above, noisy."

    def look(self, x: Array) -> Array:
        """`(n, 1)`, of the mean of the channels."""
        grey = x.mean(1)
        middle = grey[:, 1:-1, 1:-1]
        beside = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
        return (beside - 4 * middle).var(axis=(1, 2))[:, None]

    def compare(self, test: Array, fake: Array) -> float:
        real = float(np.median(test))
        if real == 0:
            raise DataError(
                f"{self.name}: at least half of the real pictures are flat, with no edge in them",
                code="no-variety",
            )
        return float(np.median(fake)) / real


# -- which to look at --------------------------------------------------------------------------


def realism(evidence: Evidence, k: int = 3) -> Array:
    """Of each generated example `(n,)`: the largest ratio, over real ones, of the distance of the real one
    to its `k`-th neighbour to its distance to the generated one; infinite where the two are one.

    Kynkäänniemi et al. (2019, arXiv:1904.06991), equation 3. Above 1 it lies where real ones do. As there,
    real ones with a radius above the median are left out: the ball of an outlier holds anything.
    """
    test, fake = evidence.test.features, evidence.fake.features
    if len(test) <= k:
        raise DataError(
            f"realism needs more than {k} real examples, there are {len(test)}", code="too-few-examples"
        )
    radius = np.sqrt(reach(test, k))
    dense = radius <= np.median(radius)
    blocks = pairwise_distances_chunked(
        fake, test[dense], reduce_func=lambda d, _: _ratio(radius[dense], d), working_memory=MEMORY
    )
    return np.concatenate(list(blocks))


def _ratio(radius: Array, distance: Array) -> Array:
    same = distance == 0
    return np.where(same, np.inf, radius / np.where(same, 1.0, distance)).max(1)


def ranked(evidence: Evidence, k: int = 3) -> Array:
    """The generated examples by realism, the best first, `(n,)` indices."""
    return np.argsort(-realism(evidence, k), kind="stable")
