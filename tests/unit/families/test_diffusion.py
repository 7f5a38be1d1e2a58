"""Schedules, solvers and guidance against cases whose answer is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.families.diffusion import SCHEDULES, Diffusion
from genwright.families.guidance import guide, guided
from genwright.families.schedules import EDM, Schedule
from genwright.families.solvers import SOLVERS
from genwright.nets.roles import Auto
from genwright.space import Real, Space, Symbol

MEAN, STD = 0.7, 0.3


def best_estimate(schedule: Schedule) -> object:
    """E[x | x_t] for x ~ N(MEAN, STD^2): what a perfect network would say."""

    def denoise(x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        return MEAN + gain * (x - alpha * MEAN)

    return denoise


def solved(schedule: Schedule, solver: str, steps: int) -> Tensor:
    times = schedule.times(steps, torch.device("cpu"))
    noise = torch.randn(4000, 1, generator=torch.Generator().manual_seed(0))
    return SOLVERS[solver](schedule).solve(
        best_estimate(schedule), schedule.sigma(times[0]) * noise, times
    )  # type: ignore[arg-type]


@pytest.mark.parametrize("schedule", [kind() for kind in SCHEDULES.values()], ids=SCHEDULES)
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_perfect_denoiser_gives_the_data(schedule: Schedule, solver: str) -> None:
    x = solved(schedule, solver, 64)
    assert abs(x.mean() - MEAN) < 0.02
    assert abs(x.std() - STD) < 0.02


@pytest.mark.parametrize("schedule", [kind() for kind in SCHEDULES.values()], ids=SCHEDULES)
def test_second_order_beats_first(schedule: Schedule) -> None:
    exact = solved(schedule, "heun", 512)
    error = {name: (solved(schedule, name, 32) - exact).abs().mean().item() for name in SOLVERS}
    assert error["heun"] < 0.3 * error["euler"]
    assert error["dpm"] < 0.3 * error["euler"]


@pytest.mark.parametrize("schedule", [kind() for kind in SCHEDULES.values()], ids=SCHEDULES)
def test_the_right_answer_costs_nothing_and_gives_the_clean_example(schedule: Schedule) -> None:
    clean, noise = torch.randn(6, 3), torch.randn(6, 3)
    t = schedule.draw(torch.linspace(0.05, 0.95, 6)).view(-1, 1)
    x = schedule.alpha(t) * clean + schedule.sigma(t) * noise
    if isinstance(schedule, EDM):
        total = t.square() + schedule.data_std**2
        answer = (clean - schedule.data_std**2 / total * x) / (t * schedule.data_std / total.sqrt())
    else:
        answer = noise - clean
    torch.testing.assert_close(schedule.clean(answer, x, t), clean, rtol=1e-3, atol=1e-3)
    assert schedule.loss(answer, x, noise, clean, t).max() < 1e-3
    assert (schedule.loss(answer + 1, x, noise, clean, t) > 0.5).all()


def test_edm_shows_and_asks_for_unit_size() -> None:
    """Karras et al. 2022, appendix B.6: input and loss of an indifferent network are of size 1."""
    schedule, n = EDM(), 20_000
    torch.manual_seed(0)
    clean, noise = schedule.data_std * torch.randn(n, 1), torch.randn(n, 1)
    for sigma in (0.01, 0.5, 20.0):
        t = torch.full((n, 1), sigma)
        x = clean + t * noise
        assert abs(schedule.shown(x, t)[0].std() - 1) < 0.03
        assert abs(schedule.loss(torch.zeros(n, 1), x, noise, clean, t).mean() - 1) < 0.05


def test_times_run_from_noise_to_data() -> None:
    for kind in SCHEDULES.values():
        for steps in (1, 2, 7):
            times = kind().times(steps, torch.device("cpu"))
            assert len(times) == steps + 1
            assert times[-1] == 0
            assert (times[:-1] > times[1:]).all()


def test_guidance_exaggerates_what_the_condition_changes() -> None:
    told, untold = torch.tensor([2.0]), torch.tensor([1.0])
    assert guide(told, untold, 3.0) == 4.0
    calls: list[Cond] = []

    def answer(c: Cond) -> Tensor:
        calls.append(c)
        return c.vector

    a, b = Cond(told), Cond(untold)
    assert guided(answer, a, b, 1.0) == 2.0
    assert len(calls) == 1, "a scale of 1 needs no second pass"
    assert guided(answer, a, b, 3.0) == 4.0
    assert guided(answer, a, None, 3.0) == 2.0


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_prepare_brings_data_to_the_schedules_spread(schedule: str) -> None:
    torch.manual_seed(0)
    space = Space((), (Real(2), Symbol(4)))
    x = torch.cat([torch.randn(500, 2) * torch.tensor([0.1, 3.0]) + 5, torch.randint(0, 4, (500, 1))], 1)
    family = Diffusion(space, {}, Auto("xs"), schedule=schedule)  # type: ignore[arg-type]
    family.prepare(Batch(x))
    normal = family._normal(x)
    spread = family.schedule.data_std
    torch.testing.assert_close(normal[:, :2].std(0), torch.full((2,), spread), rtol=0.01, atol=0)
    torch.testing.assert_close(normal.mean(0), torch.zeros(6), rtol=0, atol=0.01)
    torch.testing.assert_close(space.draw(family._plain(normal)), x, rtol=1e-4, atol=1e-4)
