"""Schedules, solvers and guidance against cases whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families import density
from genwright.families.base import Family
from genwright.families.capabilities import Generative
from genwright.families.density import log_change
from genwright.families.diffusion import SCHEDULES, Diffusion
from genwright.families.guidance import guide, guided
from genwright.families.meanflow import change
from genwright.families.schedules import DDPM, EDM, FlowMatching, Schedule
from genwright.families.solvers import SOLVERS, Denoise
from genwright.nets.auto import Auto
from genwright.registry import build, names, resolve
from genwright.space import CondSpec, Real, Space, Symbol

MEAN, STD = 0.7, 0.3
MADE = {
    "flow": FlowMatching(),
    "edm": EDM(),
    "ddpm": DDPM(),
    "ddpm-linear": DDPM("linear", "epsilon"),
}


def sampler_options(family: str) -> list[str]:
    kind: type[Family] = resolve("families", family)
    return kind.sampler_options() if issubclass(kind, Generative) else []


every_schedule = pytest.mark.parametrize("schedule", MADE.values(), ids=MADE)


def best_estimate(schedule: Schedule) -> Denoise:
    """E[x | x_t] for x ~ N(MEAN, STD^2): what a perfect network would say."""

    def denoise(x: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        gain = alpha * STD**2 / (alpha**2 * STD**2 + sigma**2)
        return MEAN + gain * (x - alpha * MEAN)

    return denoise


def solved(schedule: Schedule, solver: str, steps: int, n: int = 4000) -> tuple[Tensor, Tensor]:
    """Examples `(n, 1)` after `steps`, and the noise they began with."""
    times, rng = (
        schedule.timesteps(steps, torch.device("cpu")).double(),
        torch.Generator().manual_seed(0),
    )
    noise = schedule.sigma(times[0]) * torch.randn(n, 1, generator=rng, dtype=torch.double)
    made = SOLVERS[solver](schedule, rng).solve(best_estimate(schedule), noise, times)
    return made, noise


@every_schedule
@pytest.mark.parametrize("solver", SOLVERS)
def test_a_perfect_denoiser_gives_the_data(schedule: Schedule, solver: str) -> None:
    x, _ = solved(schedule, solver, 64 if solver in ("heun", "dpm") else 400, 20_000)
    assert abs(x.mean() - MEAN) < 0.01
    assert abs(x.std() - STD) < 0.01
    assert abs(((x - x.mean()) / x.std()).pow(4).mean() - 3) < 0.15


@every_schedule
@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("heun", 2), ("dpm", 2)])
def test_an_ode_solver_has_its_order(schedule: Schedule, solver: str, order: int) -> None:
    """Against the flow's closed form: all of the ODE's walk for a normal law is a shift and a stretch."""
    error = []
    for steps in (256, 1024):
        made, noise = solved(schedule, solver, steps, 500)
        first = schedule.timesteps(steps, torch.device("cpu"))[0].double()
        alpha, sigma = schedule.alpha(first), schedule.sigma(first)
        exact = MEAN + STD * (noise - alpha * MEAN) / (alpha**2 * STD**2 + sigma**2).sqrt()
        error.append((made - exact).abs().max().item())
    assert order - 0.4 < math.log(error[0] / error[1], 4) < order + 0.7, error


@every_schedule
def test_the_right_answer_costs_nothing_and_gives_the_clean_example(schedule: Schedule) -> None:
    clean, noise = torch.randn(6, 3), torch.randn(6, 3)
    t = schedule.sample_t(torch.linspace(0.05, 0.95, 6)).view(-1, 1)
    x = schedule.alpha(t) * clean + schedule.sigma(t) * noise
    if isinstance(schedule, EDM):
        total = t.square() + schedule.data_std**2
        answer = (clean - schedule.data_std**2 / total * x) / (t * schedule.data_std / total.sqrt())
    elif isinstance(schedule, DDPM):
        answer = schedule.alpha(t) * noise - schedule.sigma(t) * clean
        answer = answer if schedule.prediction == "v" else noise
    else:
        answer = noise - clean
    torch.testing.assert_close(schedule.denoised(answer, x, t), clean, rtol=1e-3, atol=1e-3)
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
        assert abs(schedule.precondition(x, t)[0].std() - 1) < 0.03
        assert abs(schedule.loss(torch.zeros(n, 1), x, noise, clean, t).mean() - 1) < 0.05


def test_a_ddpm_is_trained_at_the_levels_of_its_betas() -> None:
    level = torch.tensor([1, 250, 1000])
    products = {
        "linear": torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.double), 0),
        "cosine": (((torch.arange(1, 1001) / 1000 + 0.008) / 1.008) * math.pi / 2).cos().square(),
    }
    for betas, product in products.items():
        schedule = DDPM(betas)  # type: ignore[arg-type]
        t = schedule.sample_t((level - 0.5) / 1000)
        alpha = schedule.alpha(t)
        torch.testing.assert_close(alpha, product[level - 1].sqrt().float(), rtol=0.02, atol=7e-3)
        torch.testing.assert_close(alpha.square() + schedule.sigma(t).square(), torch.ones(3))


@pytest.mark.parametrize("option", [{"betas": "linear"}, {"prediction": "epsilon"}])
def test_options_of_a_ddpm_are_for_it_alone(option: dict[str, str]) -> None:
    with pytest.raises(RecipeError, match="is edm: leave it out"):
        Diffusion(Space((), (Real(2),)), {}, Auto("xs"), **option)  # type: ignore[arg-type]
    Diffusion(Space((), (Real(2),)), {}, Auto("xs"), schedule="ddpm", **option)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name", [f for f in names("families") if "guidance_scale" in sampler_options(f)]
)
def test_guidance_where_there_is_no_condition_is_refused(name: str) -> None:
    """For every family with that knob."""
    space, label = Space((), (Symbol(3),)), {"label": Space((), (Symbol(2),))}
    free = build("families", name, {}, space, {}, Auto("xs"), where="family")
    with pytest.raises(Incompatible, match="trained without any"):
        free.sample(2, guidance_scale=2.0)
    free.sample(2, guidance_scale=1.0)
    told = build("families", name, {}, space, label, Auto("xs"), where="family")
    with pytest.raises(Incompatible, match="none of 'label' is given"):
        told.sample(2, guidance_scale=2.0)
    told.sample(2, {"label": torch.zeros(2, 1, dtype=torch.long)}, guidance_scale=2.0)


# -- jumps -----------------------------------------------------------------------------------------


def mean_velocity(x: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """Over the span from t - h to t, for x ~ N(MEAN, STD^2) and flow matching; in closed form."""

    def spread(t: Tensor) -> Tensor:
        return ((1 - t) ** 2 * STD**2 + t**2).sqrt()

    back = torch.where(h > 0, h, 1e-3)  # a span of 0 is a limit
    r = t - back
    before = (1 - r) * MEAN + spread(r) / spread(t) * (x - (1 - t) * MEAN)
    return (x - before) / back


def test_the_change_of_a_mean_velocity_makes_it_the_velocity() -> None:
    rng = torch.Generator().manual_seed(0)
    x, t, h = (torch.rand(200, 1, generator=rng, dtype=torch.double) for _ in range(3))
    t, h = 0.3 + 0.6 * t, 0.05 + 0.2 * h
    velocity = FlowMatching().velocity(x, best_estimate(FlowMatching())(x, t), t)
    found = mean_velocity(x, t, h) + h * change(mean_velocity, x, t, h)
    torch.testing.assert_close(found, velocity, rtol=0, atol=2e-3)


@pytest.mark.parametrize("steps", [1, 2, 4])
def test_right_jumps_give_the_data_in_any_number_of_steps(steps: int) -> None:
    def denoise(x: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
        assert s is not None
        return x - t * mean_velocity(x, t, t - s)

    times = FlowMatching().timesteps(steps, torch.device("cpu")).double()
    noise = torch.randn(5000, 1, generator=torch.Generator().manual_seed(0), dtype=torch.double)
    torch.testing.assert_close(
        SOLVERS["euler"](FlowMatching()).solve(denoise, noise, times), MEAN + STD * noise
    )


@pytest.mark.parametrize("grid", [(), pytest.param((4, 4), marks=pytest.mark.journey)])
def test_a_model_that_jumps_needs_one_step(grid: tuple[int, ...]) -> None:
    """Trained for a moment on two points that depend on a label, told in bfloat16 as on a grid by default."""
    torch.manual_seed(0)
    space = Space(grid, (Real(2),))
    family = Diffusion(space, {"label": Space((), (Symbol(2),))}, Auto("xs"), objective="meanflow")
    label = torch.arange(128)[:, None] % 2
    x = (label.float() - 0.5).view(-1, 1, *[1] * len(grid)) + 0.1 * torch.randn(128, 2, *grid)
    batch = Batch(x, {"label": label})
    family.prepare(batch)
    optimizer = torch.optim.Adam(family.parameters(), lr=1e-3)
    for _ in range(150):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bool(grid)):
            loss = family.loss(batch, "fit")["jump"]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(family.parameters(), 1.0)  # as the trainer does
        optimizer.step()
    for steps in (1, 2, 4, 16):
        made = family.sample(128, {"label": label}, steps=steps).flatten(1).mean(1)
        effect = made[1::2].mean() - made[::2].mean()
        assert 0.5 < effect < 1.5, f"{steps} steps: {effect:.2f} where the data have 1"
    far = family.sample(128, {"label": label}, steps=1, guidance_scale=3.0).flatten(1).mean(1)
    assert far[1::2].mean() - far[::2].mean() > 1.1 * effect


def test_jumps_are_along_the_lines_of_flow_matching() -> None:
    row = Space((), (Real(2),))
    assert isinstance(Diffusion(row, {}, Auto("xs"), objective="meanflow").schedule, FlowMatching)
    for schedule in ("edm", "ddpm"):
        with pytest.raises(RecipeError, match="leave the schedule out"):
            Diffusion(row, {}, Auto("xs"), objective="meanflow", schedule=schedule)  # type: ignore[arg-type]


def test_times_run_from_noise_to_data() -> None:
    for kind in SCHEDULES.values():
        for steps in (1, 2, 7):
            times = kind().timesteps(steps, torch.device("cpu"))
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
    normal = family._normal(x, Cond.none(x))
    spread = family.schedule.data_std
    torch.testing.assert_close(normal[:, :2].std(0), torch.full((2,), spread), rtol=0.01, atol=0)
    torch.testing.assert_close(normal.mean(0), torch.zeros(6), rtol=0, atol=0.01)
    torch.testing.assert_close(space.draw(family._plain(normal, Cond.none(x))), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("levels", [256, None])
def test_levels_are_learnt_as_they_are_judged_and_drawn_as_levels(
    levels: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    level = torch.randint(0, 256, (200, 1, 3))
    x = level / 255 * 2 - 1
    family = Diffusion(Space((3,), (Real(1, bounded=True),)), {}, Auto("xs"), levels=levels)
    family.prepare(Batch(x))
    made = (family.sample(8, steps=2) + 1) / 2 * 255
    assert bool(((made - made.round()).abs() < 1e-3).all()) == (levels is not None)
    seen, normal = [], family._normal
    monkeypatch.setattr(family, "_normal", lambda x, cond: seen.append(x) or normal(x, cond))
    family.loss(Batch(x), "fit")
    assert torch.equal(seen[0], x) == (levels is None)
    if levels:
        assert torch.equal(((seen[0] + 1) / 2 * 256).floor().long(), level)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_likelihood_of_a_normal_law_is_known(schedule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the best answer there is in place of the network's: summed number by number, and by probes, which
    are exact where the field does not mix the numbers."""
    monkeypatch.setattr(density, "FEW", 4)
    shift, stretch = torch.linspace(-1, 2, 10), torch.linspace(0.2, 3, 10)
    x = shift + stretch * torch.randn(2000, 10, generator=torch.Generator().manual_seed(0))
    check_normal(Diffusion(Space((), (Real(3),)), {}, Auto("xs"), schedule=schedule), x[:, :3])  # type: ignore[arg-type]
    grid = Space((5,), (Real(2),))
    check_normal(Diffusion(grid, {}, Auto("xs"), schedule=schedule), x.view(-1, 2, 5))  # type: ignore[arg-type]


def check_normal(family: Diffusion, x: Tensor) -> None:
    """Each number of `x` is normal and stands alone."""
    family.prepare(Batch(x))
    normal, schedule = family._normal(x, Cond.none(x)), family.schedule
    mean, variance = normal.mean(0), normal.var(0)

    def clean(answer: Tensor, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        return mean + alpha * variance / (alpha**2 * variance + sigma**2) * (x - alpha * mean)

    schedule.denoised = clean  # type: ignore[method-assign]
    law = torch.distributions.Normal(x.mean(0), x.std(0))
    want = law.log_prob(x[:64]).flatten(1).sum(1)
    torch.testing.assert_close(family.log_prob(Batch(x[:64])), want, rtol=0, atol=0.03)


def test_the_probes_of_a_divergence_are_right_on_average_and_the_exact_one_exactly() -> None:
    matrix = torch.randn(20, 20, generator=torch.Generator().manual_seed(0))
    for n, tolerance in ((5, 1e-4), (20, 0.8)):
        some = matrix[:n, :n]
        x, times = torch.zeros(1000, n), torch.linspace(0, 1, 3)
        moved, change = log_change(lambda x, t, some=some: x @ some.T + t, x, times)
        assert change.mean() == pytest.approx(some.trace().item(), abs=tolerance)
        again = log_change(lambda x, t, some=some: x @ some.T + t, x, times)
        assert torch.equal(change, again[1])
        assert torch.equal(moved, again[0])


def test_symbols_have_no_likelihood() -> None:
    family = Diffusion(Space((), (Real(1), Symbol(3))), {}, Auto("xs"))
    assert family.likelihood is None
    with pytest.raises(Unsupported, match="of numbers alone"):
        family.log_prob(Batch(torch.zeros(2, 2)))


@pytest.mark.journey
def test_what_a_linear_map_leaves_of_numbers_is_noised() -> None:
    """It is normal with a deviation of .1 however large what is given is, and a model that has learnt nothing
    scatters by it about the right place."""
    torch.manual_seed(0)
    space, given = Space((6, 6), (Real(2),)), Space((6, 6), (Real(2),))
    cond = {"given": CondSpec(given, drop=0.0, align=True)}
    seen = 5 * torch.randn(300, 2, 6, 6)
    batch = Batch(3 * seen + 1 + 0.1 * torch.randn_like(seen), {"given": seen})
    family = Diffusion(space, cond, Auto("xs"), residual=True).eval()
    family.prepare(batch)
    read = family.conditioner(batch.cond, len(seen), seen)
    normal = family._normal(batch.x, read)
    assert normal.std() == pytest.approx(1, abs=0.05)
    torch.testing.assert_close(family._plain(normal, read), batch.x, rtol=1e-4, atol=1e-4)
    made = family.sample(300, batch.cond, steps=4)
    assert (made - 3 * seen - 1).std() < 0.3
    rebuilt = family.decode(family.encode(batch), batch.cond)
    torch.testing.assert_close(rebuilt, batch.x, rtol=0, atol=0.05)


@pytest.mark.parametrize(("drop", "align"), [(0.1, True), (0.0, False)])
def test_a_residual_is_of_what_is_always_given_place_by_place(drop: float, align: bool) -> None:
    space = Space((6, 6), (Real(2),))
    cond = {"given": CondSpec(space, drop=drop, align=align)}
    with pytest.raises(RecipeError, match="always given place by place"):
        Diffusion(space, cond, Auto("xs"), residual=True)
