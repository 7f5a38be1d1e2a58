"""Langevin dynamics on energies whose law is known; what the energy says; chains that are kept."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError
from genwright.families.energy import Energy
from genwright.families.langevin import Langevin
from genwright.families.replay_buffer import Replay
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

LINE, LABEL = Space((), (Real(1),)), {"label": Space((), (Symbol(2),))}


def walk(adjusted: bool, temperature: float, size: float = 1.5) -> Tensor:
    """Where 4,000 chains end on E = x^2 / 2."""
    rng = torch.Generator().manual_seed(0)
    chains = Langevin(lambda x: 0.5 * x.square().sum(1), rng, temperature, adjusted)
    return chains.run(torch.zeros(4000, 1), 1.0, 40, size)[0]


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_adjusted_steps_follow_the_law_whatever_their_size(temperature: float) -> None:
    assert walk(True, temperature).var() == pytest.approx(temperature, rel=0.08)
    # Plain steps of this size do not: their variance is 1 / (1 - a/4), with a = size^2.
    assert walk(False, temperature).var() == pytest.approx(temperature / (1 - 2.25 / 4), rel=0.1)


def test_at_temperature_zero_chains_go_to_the_bottom() -> None:
    assert walk(True, 0.0, 0.5).abs().max() < 1e-3


def family(space: Space = LINE, cond: dict[str, Space] | None = None, **options: Any) -> Energy:
    torch.manual_seed(0)
    return Energy(space, cond or {}, Auto("xs"), **options)


def fit(made: Energy, batch: Callable[[], Batch], steps: int) -> Energy:
    optimizer = PhaseOptimizer(made, made.phases[0], TrainOptions(lr=4e-3))
    for step in range(steps):
        made.zero_grad()
        torch.stack(list(made.loss(batch(), "fit").values())).sum().backward()
        optimizer.step(1 - step / steps)
    return made.eval()


@pytest.mark.parametrize("temperature", [1.0, 0.25])
def test_without_a_network_it_is_the_gaussian_of_the_data(temperature: float) -> None:
    made = family()
    for p in made.net.parameters():
        torch.nn.init.zeros_(p)
    made.prepare(Batch(3 + 2 * torch.randn(2000, 1)))
    drawn = made.sample(4000, seed=0, steps=24, temperature=temperature, chunk=4000)
    assert drawn.mean() == pytest.approx(3, abs=0.15)
    assert drawn.std() == pytest.approx(2 * temperature**0.5, rel=0.05)


def test_differences_of_energies_are_those_of_log_densities() -> None:
    made = family(Space((), (Real(2),)), sigma_min=0.1, sigma_max=1.0)
    x = torch.randn(4000, 2) @ torch.tensor([[1.0, 0.8], [0.0, 0.6]])  # of unit spread
    made.prepare(Batch(x))
    fit(made, lambda: Batch(x[torch.randint(0, 4000, (256,))]), 150)
    points = torch.tensor([[0.0, 0.0], [1.4, 1.4], [1.4, -1.4]])
    with torch.no_grad():
        found = made.energy(Batch(points), sigma=0.5)
    inverse = (x.T.cov() + 0.25 * torch.eye(2)).inverse()
    want = 0.5 * ((points @ inverse) * points).sum(1)  # 0, about 1 along the data and 4.4 across
    torch.testing.assert_close(found[1:] - found[0], want[1:], rtol=0.25, atol=0.2)


def labelled(n: int) -> tuple[Tensor, Tensor]:
    label = torch.randint(0, 2, (n, 1))
    return torch.cat([label * 2 - 1 + 0.3 * torch.randn(n, 1), torch.randn(n, 1)], 1), label


@pytest.mark.journey
def test_contrastive_learns_the_data_and_the_label() -> None:
    made = family(Space((), (Real(2),)), LABEL, objective="contrastive", chain=8, buffer=512)
    assert made.adversarial
    x, label = labelled(1000)
    made.prepare(Batch(x, {"label": label}))

    def batch() -> Batch:
        index = torch.randint(0, 1000, (128,))
        return Batch(x[index], {"label": label[index]})

    fit(made, batch, 150)
    given = torch.arange(400)[:, None] % 2
    drawn = made.sample(400, {"label": given}, seed=0, steps=50)
    one, other = (drawn[given[:, 0] == i, 0] for i in (1, 0))
    assert one.mean() - other.mean() == pytest.approx(2, abs=0.5)
    assert one.std() < 0.7
    open_ = made.sample(400, seed=0, steps=50)[:, 0]
    assert open_.std() == pytest.approx(1.04, abs=0.25)


# -- the buffer ------------------------------------------------------------------------------------


def replay(seed: int = 0) -> Replay:
    torch.manual_seed(seed)
    made = Replay(16, LINE, LABEL)
    made.fill({"label": torch.tensor([[0], [1]])})
    return made


def test_chains_come_back_with_their_conditions() -> None:
    made, before = replay(), replay()
    drop_mask = {"label": torch.arange(8) < 4}
    taken = made.draw(8, {"label": torch.ones(8, 1).long()}, drop_mask, 0.5, 1.0)
    assert len(taken.index.unique()) == 8
    new = (taken.x != before.x[taken.index]).flatten()
    assert 0 < new.sum() < 8
    assert taken.cond["label"][new].eq(1).all()
    assert torch.equal(taken.drop_mask["label"], new & drop_mask["label"])
    taken.x = taken.x + 10
    made.put(taken)
    moved = (made.x > 5).flatten()
    assert set(moved.nonzero().flatten().tolist()) == set(taken.index.tolist())
    assert torch.equal(made.drop_mask[taken.index, 0], taken.drop_mask["label"])
    assert torch.equal(made.x[~moved], before.x[~moved])


def test_more_examples_than_chains_use_them_all() -> None:
    taken = replay().draw(40, {"label": torch.ones(40, 1).long()}, {"label": torch.zeros(40) > 0}, 0, 1)
    assert sorted(taken.index.tolist()) == list(range(16))


def test_samples_begin_from_chains_under_the_same_condition() -> None:
    made = replay()
    made.x.copy_(made.get_buffer("given_label"))
    made.drop_mask[::4] = True  # these are told nothing, so they walk elsewhere
    made.x[::4] = -1
    rng = torch.Generator().manual_seed(0)
    label = torch.arange(50)[:, None] % 2
    assert torch.equal(made.near(50, {"label": label}, rng), label.float())
    assert made.near(50, {}, rng).unique().tolist() == [-1, 0, 1]


def test_processes_bring_their_chains_together() -> None:
    both = [replay(), replay()]
    for seed, made in enumerate(both):
        torch.manual_seed(10 + seed)
        taken = made.draw(6, {"label": torch.ones(6, 1).long()}, {"label": torch.ones(6) > 0}, 0.5, 1.0)
        taken.x = taken.x + 10 * (seed + 1)
        made.put(taken)
    sent: list[list[Tensor]] = [[], []]
    places = [torch.cat(list(made._latest)) for made in both]
    for made, mine, out in zip(both, places, sent, strict=True):
        out += [mine, *(buffer[mine] for buffer in made.buffers())]
    for made in both:
        turn = iter(zip(*sent, strict=True))
        made.exchange(lambda _, turn=turn: list(next(turn)))  # type: ignore[misc]
        made.exchange(lambda _: pytest.fail("there is nothing new"))
    for one, other in zip(both[0].buffers(), both[1].buffers(), strict=True):
        assert torch.equal(one, other)
    assert both[0].x[places[1]].gt(15).all()


# -- words -----------------------------------------------------------------------------------------


def test_what_cannot_be_is_said() -> None:
    with pytest.raises(RecipeError, match=r"family\.sigma_max must be above"):
        family(sigma_max=0.01)
    with pytest.raises(Incompatible, match="guidance_scale=2"):
        family().sample(2, guidance_scale=2.0)
