"""How much of the data samples cover: the judge's own figure, quickly."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.evaluation.metrics.manifold import Coverage
from genwright.evaluation.neighbours import balls
from genwright.families.base import Family
from genwright.nets.auto import Auto
from genwright.registry import build
from genwright.space import Real, Space, Symbol
from genwright.training.monitor.coverage import Cover, affordable, coverage

SPACE = Space((), (Real(2),))


def said(*made: Tensor, space: Space = SPACE) -> Any:
    return Said(*made, space=space)


def modes(n: int, seed: int, of: int = 8) -> Tensor:
    rng = torch.Generator().manual_seed(seed)
    angle = 2 * torch.pi * torch.randint(0, of, (n,), generator=rng) / 8
    at = torch.stack([angle.cos(), angle.sin()], dim=1)
    return at + 0.05 * torch.randn(n, 2, generator=rng)


class Said(torch.nn.Module):
    """Stands for a family whose samples are known."""

    def __init__(self, *made: Tensor, space: Space = SPACE) -> None:
        super().__init__()
        self.made, self.space = made, space

    def sample(self, n: int, cond: dict[str, Tensor], seed: int) -> Tensor:
        return self.made[seed][:n]


def test_it_is_the_judges_coverage() -> None:
    for seed in range(5):
        real, fake = modes(200, seed), modes(150, seed + 9, of=4)
        fake[:20] = real[:20]  # copies lie on the edge of no ball, and within all
        found = balls(real.double().numpy(), fake.double().numpy(), 5)
        assert coverage(real.double(), fake.double()) == Coverage().score(found)


@pytest.mark.parametrize("of", [8, 4, 1])
def test_a_share_of_the_modes_covers_as_much(of: int) -> None:
    family = said(modes(256, 1, of=of), modes(256, 2, of=of))
    cover = Cover(family, Batch(modes(512, 0)))
    assert cover.real_baseline > 0.9
    for turn in range(2):
        assert cover(family, turn) == pytest.approx(of / 8, abs=0.12)


def test_many_numbers_are_seen_along_a_few_axes() -> None:
    """Noise off the axes, such as a sampler leaves, does not count."""
    space = Space((20, 20), (Real(1),))
    rng = np.random.default_rng(0)
    axes = rng.normal(size=(2, 400))

    def wide(x: Tensor, noise: float) -> Tensor:
        flat = x.numpy() @ axes + noise * rng.normal(size=(len(x), 400))
        return torch.from_numpy(flat).float().view(-1, 1, 20, 20)

    family = said(wide(modes(256, 1), 0.1), wide(modes(256, 2, of=2), 0.1), space=space)
    cover = Cover(family, Batch(wide(modes(512, 0), 0.02)))
    assert cover(family, 0) > 0.8
    assert cover(family, 1) < 0.35


def test_samples_that_are_not_finite_cover_nothing() -> None:
    family = said(torch.full((256, 2), torch.nan))
    assert Cover(family, Batch(modes(512, 0)))(family) == 0


def made(name: str, space: Space, **options: str) -> Family:
    family: Family = build("families", name, options, space, {}, Auto("xs"), where="family")
    return family


def test_where_samples_take_many_steps_fewer_are_drawn() -> None:
    def batch(n: int, *_: object) -> Batch:
        return Batch(modes(n, 0))

    loader = SimpleNamespace(n=1000, place=7)
    stream: Any = SimpleNamespace(loader=loader, next=batch)
    for name, n in (("vae", 256), ("diffusion", 96)):
        cover = Cover.of(made(name, SPACE), stream, seed=0)
        assert cover is not None
        assert cover.n == n
    assert loader.place == 7
    loader.n = 50  # too few to say anything
    assert Cover.of(made("vae", SPACE), stream, seed=0) is None


def test_what_costs_too_much_is_not_drawn() -> None:
    assert affordable(made("gan", SPACE)) == 1
    assert affordable(made("flow", SPACE)) == 1
    assert affordable(made("flow", SPACE, order="autoregressive")) == 5  # a pass for each number
    assert affordable(made("diffusion", SPACE)) == 5
    assert affordable(made("autoregressive", Space((256,), (Symbol(50),)))) == 0
