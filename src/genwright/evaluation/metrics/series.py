"""Series: whether they can be told from real ones, are worth as much to learn from, and move as real ones do; and
forecasts beside the season before.

The protocol of TimeGAN (Yoon et al. 2019) asks a small recurrent network, which takes minutes and depends on its
seed; here random convolutions take its place (ROCKET, Dempster et al. 2020, arXiv:1910.13051), which are both
sharper and the same each time. Series of several lengths are looked at up to their own ends.
"""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from genwright.data.codec import Array
from genwright.data.series.field import SeriesField
from genwright.errors import DataError
from genwright.evaluation.evidence import Evidence, Sample
from genwright.evaluation.metric import Comparison, MeanScore, OfPairs, Statistic
from genwright.evaluation.metrics.twosample import Classifiers, ClassifierTwoSample

__all__ = [
    "Autocorrelation",
    "CrossCorrelation",
    "Discriminative",
    "MeanScaledError",
    "Predictive",
    "SeriesSpectrum",
    "Tails",
    "autocorrelations",
    "correlations",
    "measured",
]

KERNELS, TURNS = 64, 3
LAGS = 24
"""At most, and half of a window."""
BACK = 5
"""Steps that the next one is predicted from."""
QUANTILES = (0.5, 0.9, 0.95, 0.99)


def measured(sample: Sample) -> Array:
    """The numbers of series `(n, T, C)`; NaN behind their ends, and where none is known."""
    series = sample.view("series")
    names = (
        [name for name, values in series[0].channels.items() if values.dtype.kind == "f"]
        if series
        else []
    )
    made = np.full((len(series), max(map(len, series), default=0), len(names)), np.nan)
    for row, one in zip(made, series, strict=True):
        for i, name in enumerate(names):
            row[: len(one), i] = one.channels[name]
    return made


def _numbers(sample: Sample, name: str) -> Array:
    """The same. Raises `DataError` where there are none."""
    found = measured(sample)
    if not found.shape[2] or not np.isfinite(found).any():
        raise DataError(f"{name} reads numbers, and these series have states alone", code="no-numbers")
    return found


# -- told apart, and learnt from -----------------------------------------------------------------


class Discriminative(ClassifierTwoSample):
    """How often a linear classifier of random convolutions is right about new series: the discriminative score of
    TimeGAN is that less a half. Each kernel gives its greatest answer and the share of those above 0."""

    name = "discriminative"
    reads = "series"
    sees = ("ladder", "independence")
    how = "0.5: a classifier of series cannot tell generated from real; 1: it always can"

    def numbers(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array]:
        test, fake = (_numbers(sample, self.name) for sample in (evidence.test, evidence.fake))
        low, high = np.nanmin(test, axis=(0, 1)), np.nanmax(test, axis=(0, 1))
        scaled = [(x - low) / np.maximum(high - low, 1e-12) for x in (test, fake)]
        seed = int(rng.integers(2**31))
        a, b = (_convolved(x, np.random.default_rng(seed)) for x in scaled)
        return a, b

    def count(self, evidence: Evidence, rng: np.random.Generator) -> tuple[float, int]:
        """The mean of a few classifiers, each of other kernels and examples: what one owes to chance falls out."""
        found = [super(Discriminative, self).count(evidence, rng) for _ in range(TURNS)]
        n = min(asked for _, asked in found)
        return n * float(np.mean([hits / asked for hits, asked in found])), n

    def classifiers(self, rng: np.random.Generator) -> Classifiers:
        return super().classifiers(rng)[:1]


def _convolved(x: Array, rng: np.random.Generator) -> Array:
    """`(n, T, C)` to the features of random kernels `(n, 2 KERNELS + 2 C)`, and the mean and length of each series."""
    n, size, channels = x.shape
    there = np.isfinite(x)
    filled = np.where(there, x, 0.0)
    centred = np.where(there, x - np.nanmean(np.where(there, x, 0.0), axis=(0, 1)), 0.0)
    features = [filled.sum(1), there.sum(1) / size]
    for _ in range(KERNELS):
        length = int(rng.choice([3, 5, 7]))
        length = min(length, size)
        weights = rng.normal(size=(length, channels)) * (rng.random(channels) < 0.7)
        weights -= weights.mean(0)
        most = max(1, (size - 1) // max(1, length - 1))
        dilation = int(2 ** rng.uniform(0, np.log2(most)))
        reach = (length - 1) * dilation
        out = np.zeros((n, size - reach))
        for i in range(length):
            out += centred[:, i * dilation : i * dilation + size - reach] @ weights[i]
        bias = float(np.abs(out).mean()) * rng.uniform(-1, 1)
        features += [out.max(1)[:, None], (out > bias).mean(1)[:, None]]
    return np.concatenate([f.reshape(n, -1) for f in features], axis=1)


class Predictive(MeanScore):
    """The error of predicting the next step of real series from five before it, learnt from generated ones, as a share
    of the error where as many real ones were learnt from (Esteban et al. 2017; TimeGAN's predictive score). Linear
    regression in units of the training series' standard deviations."""

    name = "predictive"
    group = "usefulness"
    better = "near"
    ideal = 1.0
    fault = "above"
    reads = "series"
    sees = ("order", "ladder", "independence")
    how = "1: what is learnt from generated series predicts real ones as well as what is learnt from real ones"

    def fits(self, evidence: Evidence) -> bool:
        return evidence.space.grid != () and evidence.space.grid[0] > 2

    def scores(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        train, test, fake = (
            _numbers(s, self.name) for s in (evidence.train, evidence.test, evidence.fake)
        )
        scale = np.maximum(np.nanstd(train, axis=(0, 1)), 1e-12)
        n = min(len(train), len(fake))
        weights = [_regression(_sorted(x)[: max(n, 1)] / scale) for x in (fake, train)]
        mine, real = (_errors(test / scale, w) for w in weights)
        return np.asarray(mine / max(float(real.mean()), 1e-12))


def _sorted(x: Array) -> Array:
    """In an order that their content decides."""
    return x[np.lexsort(np.nan_to_num(x[:, : min(4, x.shape[1])]).reshape(len(x), -1).T)]


def _lagged(x: Array) -> tuple[Array, Array]:
    """What each step is predicted from `(n, steps, back C + 1)`, and it itself `(n, steps, C)`."""
    n, size, _ = x.shape
    back = min(BACK, size - 1)
    before = np.concatenate([x[:, back - 1 - i : size - 1 - i] for i in range(back)], axis=2)
    return np.concatenate([before, np.ones((n, size - back, 1))], axis=2), x[:, back:]


def _regression(x: Array) -> Array:
    before, after = _lagged(x)
    a, b = before.reshape(-1, before.shape[2]), after.reshape(-1, after.shape[2])
    whole = np.isfinite(a).all(1) & np.isfinite(b).all(1)
    a, b = a[whole], b[whole]
    if not len(a):
        raise DataError("predictive: no run of steps is known from end to end", code="no-numbers")
    ridge = 1e-6 * len(a) * np.eye(a.shape[1])
    return np.asarray(np.linalg.solve(a.T @ a + ridge, a.T @ b))


def _errors(x: Array, weights: Array) -> Array:
    """The mean absolute error of each series `(n,)`."""
    before, after = _lagged(x)
    off = np.abs(np.einsum("ntk,kc->ntc", np.nan_to_num(before), weights) - after)
    off[~np.isfinite(before).all(2)] = np.nan
    count = np.isfinite(off).sum((1, 2))
    return np.asarray(np.nansum(off, axis=(1, 2)) / np.maximum(count, 1))


# -- how they move -------------------------------------------------------------------------------


class _Moments(Statistic):
    """The mean difference of some numbers of two sets of series."""

    group = "fidelity"
    better = "lower"
    ideal = 0.0
    reads = "series"

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> tuple[Array, Array, Comparison]:
        test, fake = (_numbers(sample, self.name) for sample in (evidence.test, evidence.fake))
        size = max(test.shape[1], fake.shape[1])
        test, fake = (_to_length(x, size) for x in (test, fake))

        def compare(test: Array, fake: Array, rng: np.random.Generator) -> float:
            a, b = self.numbers(test, test), self.numbers(fake, test)
            return float(np.abs(a - b).mean())

        return test, fake, compare

    @abstractmethod
    def numbers(self, x: Array, real: Array) -> Array:
        """Of series `(n, T, C)`, in units of the real ones where there is a unit."""


def _to_length(x: Array, size: int) -> Array:
    return np.pad(x, ((0, 0), (0, size - x.shape[1]), (0, 0)), constant_values=np.nan)


def _standard(x: Array) -> Array:
    """Zero mean and unit variance by channel; 0 where nothing is known."""
    mean, std = np.nanmean(x, axis=(0, 1)), np.nanstd(x, axis=(0, 1))
    return np.asarray((x - mean) / np.maximum(std, 1e-12))


def correlations(x: Array) -> Array:
    """Of each pair of channels, over all steps of all series `(C (C + 1) / 2,)`."""
    z = _standard(x).reshape(-1, x.shape[2])
    there = np.isfinite(z)
    z = np.where(there, z, 0.0)
    both = there.T.astype(float) @ there.astype(float)
    whole = (z.T @ z) / np.maximum(both, 1.0)
    return np.asarray(whole[np.tril_indices(x.shape[2])])


def autocorrelations(x: Array) -> Array:
    """Of each channel at each lag, over all series `(lags, C)`."""
    z = _standard(x)
    lags = range(1, 1 + max(1, min(LAGS, x.shape[1] // 2)))
    return np.stack([np.nan_to_num(np.nanmean(z[:, :-lag] * z[:, lag:], axis=(0, 1))) for lag in lags])


class CrossCorrelation(_Moments):
    """The mean absolute difference of the correlations of all pairs of channels (Liao et al. 2020; the correlational
    score of Diffusion-TS is their sum over a tenth)."""

    name = "cross_correlation"
    sees = ("independence",)
    how = "By how much correlations of channels are off on average; 0: as in real series."

    def fits(self, evidence: Evidence) -> bool:
        return evidence.space.real_channels > 1

    def numbers(self, x: Array, real: Array) -> Array:
        return correlations(x)


class Autocorrelation(_Moments):
    """The mean absolute difference of the autocorrelations of all channels, up to half of a window and 24 steps."""

    name = "autocorrelation"
    sees = ("order", "ladder", "independence")
    how = "By how much a step's correlation with later ones is off on average; 0: as in real series."

    def numbers(self, x: Array, real: Array) -> Array:
        return autocorrelations(x)


class Tails(_Moments):
    """The mean difference of the logarithms of how large steps are at their 50, 90, 95 and 99 % quantiles: whether
    quiet times are as quiet and shocks as large as real ones."""

    name = "tails"
    sees = ("ladder", "independence")
    how = "0: large and small steps are as large as real ones; 0.7: they are twice or half as large."

    def numbers(self, x: Array, real: Array) -> Array:
        steps, usual = np.abs(np.diff(x, axis=1)), np.nanstd(np.diff(real, axis=1), axis=(0, 1))
        found = np.nanquantile(steps, QUANTILES, axis=(0, 1)) / np.maximum(usual, 1e-12)
        return np.asarray(np.log(np.maximum(found, 1e-3)))


class SeriesSpectrum(_Moments):
    """The mean difference of the logarithms of the power of each frequency, of windows less their means."""

    name = "series_spectrum"
    sees = ("order", "ladder", "independence")
    how = "0: slow and fast movements are as strong as in real series; 0.7: twice or half as strong."

    def numbers(self, x: Array, real: Array) -> Array:
        power, floor = _power(x), 1e-6 * _power(real).mean(0)
        return np.asarray(np.log(power + floor))


def _power(x: Array) -> Array:
    """Of each frequency but 0 `(frequencies, C)`."""
    centred = np.nan_to_num(x - np.nanmean(x, axis=1, keepdims=True))
    return np.asarray((np.abs(np.fft.rfft(centred, axis=1)) ** 2).mean(0)[1:]) + 1e-12


# -- forecasts -----------------------------------------------------------------------------------


class MeanScaledError(OfPairs):
    """The mean absolute scaled error (Hyndman and Koehler 2006): how far the median of several answers is from what
    came, in units of how far the values of a season before were off on average in training, channel by channel."""

    name = "mase"
    better = "lower"
    ideal = 0.0
    reads = "series"
    how = "Error of a forecast in units of the training error of repeating the season before; 0: exact."

    def fits(self, evidence: Evidence) -> bool:
        pairs = evidence.pairs
        return (
            pairs is not None and pairs.draws is not None and isinstance(pairs.true.field, SeriesField)
        )

    def rows(self, evidence: Evidence, rng: np.random.Generator) -> Array:
        pairs = evidence.pairs
        assert pairs is not None
        if pairs.draws is None or not isinstance(pairs.true.field, SeriesField):
            raise DataError("mase: there are no several answers to one question", code="no-draws")
        field, m = pairs.true.field, pairs.draws.shape[1]
        true, train = field.numbers(pairs.true.x[:m]), field.numbers(evidence.train.x)
        made = np.median(field.numbers(pairs.draws), axis=0)
        asked = pairs.unknown[:m][:, field.measured].transpose(0, 2, 1) & np.isfinite(true)
        back = min(field.period, train.shape[1] - 1)
        scale = np.nanmean(np.abs(train[:, back:] - train[:, :-back]), axis=(0, 1))
        off = np.abs(np.nan_to_num(made) - np.nan_to_num(true)) / np.maximum(scale, 1e-12)
        return np.column_stack([(off * asked).sum((1, 2)), asked.sum((1, 2))])
