"""The same figures by packages that others keep."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from genwright.data.codec import Array
from genwright.evaluation.metrics.distances import Frechet, frechet, kid
from genwright.evaluation.metrics.manifold import Coverage, Density, Precision, Recall
from genwright.testing.examples import evidence


class Plain(nn.Module):
    """Features as they are: torchmetrics asks for a network that makes them of pictures."""

    num_features = 6
    normalize = False

    def forward(self, x: Tensor) -> Tensor:
        return x


def pair(shift: float) -> tuple[Array, Array]:
    rng = np.random.default_rng(0)
    mixed = rng.normal(size=(6, 6))
    return rng.normal(size=(400, 6)) @ mixed, rng.normal(shift, 1.3, size=(400, 6)) @ mixed


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_frechet_is_torchmetrics(shift: float) -> None:
    from torchmetrics.image.fid import _compute_fid

    a, b = pair(shift)
    moments = [(torch.from_numpy(x.mean(0)), torch.from_numpy(np.cov(x, rowvar=False))) for x in (a, b)]
    theirs = float(_compute_fid(*moments[0], *moments[1]))
    assert frechet(a, b) == pytest.approx(theirs, rel=1e-5)
    assert Frechet().read(evidence(a, b)).value == pytest.approx(theirs, rel=1e-5)


@pytest.mark.filterwarnings("ignore:Metric `Kernel Inception Distance` will save")
@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_kid_is_torchmetrics_over_all_pairs(shift: float) -> None:
    from torchmetrics.image.kid import KernelInceptionDistance, poly_mmd

    a, b = pair(shift)
    first, second = torch.from_numpy(a), torch.from_numpy(b)
    assert kid(a, b) == pytest.approx(float(poly_mmd(first, second)), rel=1e-5)
    metric = KernelInceptionDistance(feature=Plain(), subsets=1, subset_size=400).set_dtype(
        torch.float64
    )
    metric.update(first, real=True)
    metric.update(second, real=False)
    assert kid(a, b) == pytest.approx(float(metric.compute()[0]), rel=1e-5)


@pytest.mark.parametrize("shift", [0.0, 0.4])
def test_balls_are_prdc(shift: float) -> None:
    from prdc import compute_prdc

    a, b = pair(shift)
    theirs = compute_prdc(a, b, nearest_k=5)
    ours = {m.name: m.read(evidence(a, b)).value for m in (Precision(), Recall(), Density(), Coverage())}
    assert ours == pytest.approx({name: float(value) for name, value in theirs.items()}, abs=1e-5)
