"""Flows against what must hold of any: there and back, the volume, and a density that adds up to one."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.families.flow import Flow, squeeze, unsqueeze
from genwright.families.transforms import ActNorm, Affine, Elementwise, Mix, Spline
from genwright.nets.auto import Auto
from genwright.recipe import TrainOptions
from genwright.registry import coerce
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer, rate

SPACES = {
    "one": Space((), (Real(1),)),
    "plane": Space((), (Real(2),)),
    "odd-row": Space((), (Real(2), Real(3, bounded=True))),
    "point": Space((1,), (Real(1),)),
    "odd-line": Space((7,), (Real(1),)),
    "series": Space((6,), (Real(2),)),
    "odd-picture": Space((3, 5), (Real(1, bounded=True),)),
    "picture": Space((8, 8), (Real(1, bounded=True),)),
    "film": Space((3, 4, 2), (Real(1),)),
}
KINDS = [(t, o) for t in ("affine", "spline") for o in ("coupling", "autoregressive")]
LABEL = Space((), (Symbol(2),))
spaces = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
kinds = pytest.mark.parametrize(("transform", "order"), KINDS)
NOTHING = Cond(torch.zeros(1, 0))


def told(space: Space) -> dict[str, Space]:
    """A label, and on a grid also something that is aligned with it."""
    aligned = {"sketch": Space(space.grid, (Real(1),))} if space.grid else {}
    return {"label": LABEL, **aligned}


def batch(space: Space, n: int, seed: int = 0) -> Batch:
    rng = torch.Generator().manual_seed(seed)
    x = torch.randn(n, *space.shape, generator=rng)
    for slot in space.slots():
        if isinstance(slot.span, Real) and slot.span.bounded:
            x[:, slot.stored] = x[:, slot.stored].div(2).tanh()
    cond = {"label": torch.randint(0, 2, (n, 1), generator=rng)}
    if space.grid:
        cond["sketch"] = torch.randn(n, 1, *space.grid, generator=rng)
    return Batch(x, cond)


def flow(space: Space, **options: object) -> Flow:
    """Prepared, and then shaken, so that no part of it is the identity any more."""
    torch.manual_seed(0)
    made = Flow(space, told(space), Auto("xs"), **{"steps": 3, "bins": 6, **options})
    made.prepare(batch(space, 64))
    with torch.no_grad():
        for name, parameter in made.named_parameters():
            if name.endswith(".gain"):
                parameter.fill_(1)
            parameter += 0.05 * torch.randn_like(parameter)
    return made.eval()


# -- laws --------------------------------------------------------------------------------------------


@kinds
@spaces
@torch.no_grad()
def test_there_and_back(space: Space, transform: str, order: str) -> None:
    made, given = flow(space, transform=transform, order=order), batch(space, 16, seed=1)
    cond = made.conditioner(given.cond, 16, given.x)
    z, log_det = made._forward(given.x, cond)
    assert z.shape == (16, math.prod(space.shape))
    assert torch.equal(z, made.encode(given))
    torch.testing.assert_close(made._inverse(z, cond), given.x, rtol=1e-4, atol=1e-4)
    assert (z - given.x.flatten(1)).abs().mean() > 0.01
    normal = -0.5 * (z.square() + math.log(2 * math.pi)).sum(1)
    torch.testing.assert_close(made.log_prob(given), normal + log_det)
    if made.unbound.bounded.any():  # float32 is too coarse near the ends of the range
        return
    # And the other way round: the whole line is reached.
    z = torch.randn(16, z.shape[1])
    again = made._forward(made._inverse(z, cond), cond)[0]
    torch.testing.assert_close(again, z, rtol=1e-3, atol=1e-3)


@kinds
@pytest.mark.parametrize("space", [s for k, s in SPACES.items() if k != "picture"])
def test_the_volume_is_that_of_the_jacobian(space: Space, transform: str, order: str) -> None:
    made, given = flow(space, transform=transform, order=order), batch(space, 2, seed=2)
    for i in range(2):
        cond = made.conditioner(
            {name: value[i : i + 1] for name, value in given.cond.items()}, 1, given.x
        )

        def latent(one: Tensor, cond: Cond = cond) -> Tensor:
            return made._forward(one.view(1, *space.shape), cond)[0].flatten()

        jacobian = torch.autograd.functional.jacobian(latent, given.x[i].flatten())
        log_det = made._forward(given.x[i : i + 1], cond)[1]
        torch.testing.assert_close(log_det[0], jacobian.slogdet().logabsdet, rtol=1e-3, atol=1e-3)


@kinds
@pytest.mark.parametrize("bounded", [False, True])
@torch.no_grad()
def test_the_density_adds_up_to_one_and_samples_are_drawn_from_it(
    transform: str, order: str, bounded: bool
) -> None:
    made = flow(Space((), (Real(2, bounded),)), transform=transform, order=order)
    end, cells, n = 1.0 if bounded else 8.0, 160, 3000
    line = (torch.arange(cells) + 0.5) / cells * 2 * end - end
    x = torch.cartesian_prod(line, line)
    p = made.log_prob(Batch(x, {"label": torch.ones(len(x), 1, dtype=torch.long)})).double().exp()
    p = p.view(cells, cells) * (2 * end / cells) ** 2
    assert float(p.sum()) == pytest.approx(1, abs=0.01)
    assert p.max() > 2 * p.mean()

    made_x = made.sample(n, {"label": torch.ones(n, 1, dtype=torch.long)}, seed=1, chunk=n)
    place = ((made_x + end) / (2 * end) * cells).long().clamp(0, cells - 1)
    counts = torch.zeros(cells, cells, dtype=torch.double)
    counts.index_put_(tuple(place.T), torch.ones(n, dtype=torch.double), accumulate=True)
    want, found = _blocks(p), _blocks(counts / n)
    assert (want > 0.02).sum() >= 4
    error = (want * (1 - want) / n).sqrt() + 1e-3
    assert ((found - want).abs() < 4.5 * error).all()


def _blocks(table: Tensor) -> Tensor:
    """Sums over eight by eight blocks."""
    side = len(table) // 8
    return table.view(8, side, 8, side).sum((1, 3)).flatten()


def trained(space: Space, x: Tensor, label: Tensor, rounds: int, **given: object) -> Flow:
    torch.manual_seed(0)
    made = Flow(space, {"label": LABEL}, Auto("xs"), **given)  # type: ignore[arg-type]
    made.prepare(Batch(x, {"label": label}))
    options = TrainOptions()
    optimizer = PhaseOptimizer(made, made.phases[0], options)
    for step in range(rounds):
        index = torch.randint(0, len(x), (128,))
        made.loss(Batch(x[index], {"label": label[index]}), "fit")["nll"].backward()
        optimizer.step(rate(step / rounds, options))
    return made.eval()


@pytest.mark.parametrize(
    ("transform", "order"),
    [KINDS[0], *(pytest.param(*one, marks=pytest.mark.journey) for one in KINDS[1:])],
)
def test_a_law_that_depends_on_a_label_is_learnt(transform: str, order: str) -> None:
    """Normal, with mean and correlation by the label: the entropy is known, and so are the samples."""
    rng = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (4000, 1), generator=rng)
    x = torch.randn(4000, 2, generator=rng)
    x[:, 1] = 0.6 * x[:, 1] + 0.8 * x[:, 0] * (2 * label[:, 0] - 1)
    x = x + 4.0 * label
    made = trained(SPACES["plane"], x, label, 200, transform=transform, order=order, steps=3)
    with torch.no_grad():
        total, count = made.heldout(Batch(x, {"label": label}))
    entropy = math.log(2 * math.pi * math.e) + math.log(0.6)
    assert float(total / count) == pytest.approx(entropy, abs=0.12)
    ask = torch.arange(1000)[:, None] % 2
    fake = made.sample(1000, {"label": ask}, seed=0)
    for value, mean, tie in ((0, 0.0, -0.8), (1, 4.0, 0.8)):
        some = fake[ask[:, 0] == value] - mean
        assert some.median(0).values.tolist() == pytest.approx([0, 0], abs=0.25)
        left = (some[:, 1] - tie * some[:, 0]).abs() / 0.6
        assert float(left.quantile(0.9)) == pytest.approx(1.645, abs=0.3)
    # Left open it is a bit of both, since some were trained without the label.
    free = made.sample(1000, seed=0).mean(1)
    assert 0.2 < float((free > 2).float().mean()) < 0.8


# -- parts -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [Affine(), Spline(2), Spline(8)], ids=["affine", "2 bins", "8 bins"])
def test_a_function_of_one_number(kind: Elementwise) -> None:
    torch.manual_seed(0)
    x = 3 * torch.randn(2000)
    same, log_slope = kind.forward(x, torch.zeros(2000, kind.params))
    torch.testing.assert_close(same, x, rtol=1e-4, atol=1e-4)
    assert log_slope.abs().max() < 1e-3
    raw = torch.randn(kind.params).expand(2000, -1)
    x = x.sort().values.requires_grad_()
    y, log_slope = kind.forward(x, raw)
    assert (y.diff() > 0).all()
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope.log(), log_slope, rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(kind.inverse(y, raw), x, rtol=1e-4, atol=1e-4)


def test_a_spline_is_that_of_zuko() -> None:
    transforms = pytest.importorskip("zuko.transforms")
    torch.manual_seed(0)
    bins, n = 8, 500
    raw, x = torch.randn(n, 3 * bins - 1, dtype=torch.double), 4 * torch.randn(n, dtype=torch.double)
    kind = Spline(bins)
    wide, high, steep = raw.split([bins, bins, bins - 1], dim=-1)
    edges = [kind._edges(part) for part in (wide, high)]
    slopes = torch.ones(n, bins + 1, dtype=torch.double)
    slopes[:, 1:-1] = 1e-3 + torch.nn.functional.softplus(steep + math.log(math.expm1(1 - 1e-3)))
    other = transforms.MonotonicRQSTransform(*(e.diff() for e in edges), slopes[:, 1:-1].log())
    # Its constructor has bounds of its own on widths and slopes; the pieces themselves are compared.
    other.horizontal, other.vertical, other.derivatives = *edges, slopes
    y, log_slope = kind.forward(x, raw)
    torch.testing.assert_close(y, other(x))
    torch.testing.assert_close(log_slope, other.log_abs_det_jacobian(x, y))
    torch.testing.assert_close(kind.inverse(y, raw), other.inv(y))


@pytest.mark.parametrize("shape", [(4,), (4, 6), (4, 3, 5)])
def test_the_first_batch_comes_out_of_actnorm_with_unit_spread(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = 5 + 3 * torch.randn(200, *shape)
    x[:, 1] = 7.0  # constant
    norm = ActNorm(4)
    y = norm.prepare(x, NOTHING).movedim(1, 0).flatten(1)
    torch.testing.assert_close(y.mean(1), torch.zeros(4), rtol=0, atol=1e-3)
    torch.testing.assert_close(y.std(1, correction=0)[[0, 2, 3]], torch.ones(3), rtol=0, atol=1e-3)
    assert torch.isfinite(norm(x, NOTHING)[1]).all()


def test_prepare_sets_every_actnorm_by_what_comes_to_it() -> None:
    space = SPACES["picture"]
    torch.manual_seed(0)
    made, given = Flow(space, {}, Auto("xs")), batch(space, 256)
    made.prepare(Batch(given.x))
    norms = [m for m in made.modules() if isinstance(m, ActNorm)]
    assert len(norms) == 2 * 6
    for norm in norms:
        norm.register_forward_hook(spread)
    made.encode(Batch(given.x))


def spread(module: object, given: object, found: tuple[Tensor, Tensor]) -> None:
    y = found[0].movedim(1, 0).flatten(1)
    assert y.mean(1).abs().max() < 0.05
    assert (y.std(1) - 1).abs().max() < 0.05


def test_a_mix_is_a_matrix_of_volume_one() -> None:
    torch.manual_seed(0)
    mix = Mix(torch.tensor([2, 0, 1]))
    x = torch.randn(5, 3)
    assert torch.equal(mix(x, NOTHING)[0], x[:, [2, 0, 1]])
    assert mix.lu is not None
    torch.nn.init.normal_(mix.lu)
    matrix = mix(torch.eye(3), NOTHING)[0]
    torch.testing.assert_close(matrix.det().abs(), torch.tensor(1.0))
    assert (matrix.abs() > 1e-3).sum() > 5
    torch.testing.assert_close(mix.inverse(mix(x, NOTHING)[0], NOTHING), x, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("grid", "by"), [((), ()), ((6,), (2,)), ((4, 3), (2, 1)), ((3, 4, 2), (1, 2, 2))]
)
def test_squeezing_keeps_every_number_and_its_place(grid: tuple[int, ...], by: tuple[int, ...]) -> None:
    x = torch.arange(2 * 3 * math.prod(grid)).view(2, 3, *grid)
    y = squeeze(x, by)
    assert y.shape == (2, 3 * math.prod(by), *(size // f for size, f in zip(grid, by, strict=True)))
    assert torch.equal(unsqueeze(y, by), x)
    if grid:  # the corners of the first cell are the channels of the first position
        cell = x[0, 0][tuple(slice(f) for f in by)].flatten()
        assert torch.equal(y[0, : len(cell)].reshape(len(cell), -1)[:, 0], cell)


@pytest.mark.parametrize(
    ("grid", "scales"),
    [
        ((), [()]),
        ((7,), [(7,)]),
        ((8, 8), [(4, 4), (2, 2)]),
        ((3, 6, 5), [(3, 3, 5)]),
        ((12,), [(6,), (3,)]),
    ],
)
def test_a_grid_is_halved_as_far_as_it_goes(
    grid: tuple[int, ...], scales: list[tuple[int, ...]]
) -> None:
    made = Flow(Space(grid, (Real(1),)), {}, Auto("xs"), steps=1)
    assert [found for _, found in made.shapes] == scales


# -- behaviour ---------------------------------------------------------------------------------------


@kinds
def test_outliers_are_unlikely_and_nothing_worse(transform: str, order: str) -> None:
    made = flow(SPACES["plane"], transform=transform, order=order, steps=6).train()
    x = torch.tensor([[0.1, 0.2], [1000.0, 0.0], [-1000.0, 1000.0]])
    given = Batch(x, {"label": torch.zeros(3, 1, dtype=torch.long)})
    log_p = made.log_prob(given)
    assert torch.isfinite(log_p).all()
    assert (log_p[1:] < -1e4).all()
    made.loss(given, "fit")["nll"].backward()
    assert all(torch.isfinite(p.grad).all() for p in made.parameters() if p.grad is not None)


@kinds
@torch.no_grad()
def test_half_precision_stays_within_the_networks(transform: str, order: str) -> None:
    space = SPACES["series"]
    made, given = flow(space, transform=transform, order=order), batch(space, 64)
    plain = made.log_prob(given)
    with torch.autocast("cpu", torch.bfloat16):
        half = made.log_prob(given)
        cond = made.conditioner(given.cond, 64, given.x)
        z, log_det = made._forward(given.x, cond)
    assert (half.dtype, z.dtype, log_det.dtype) == (torch.float32,) * 3
    assert 0 < (half - plain).abs().max() < 0.05 * plain.abs().mean()


def test_bounded_samples_stay_in_range_and_its_ends_are_finite() -> None:
    space = SPACES["odd-picture"]
    made = flow(space)
    x = made.sample(200, seed=0, temperature=5.0)
    assert x.abs().max() <= 1
    ends = torch.ones(2, *space.shape)
    ends[1] = -1
    assert torch.isfinite(made.log_prob(Batch(ends))).all()


def test_levels_are_spread_over_their_shares_and_other_numbers_are_not() -> None:
    space = Space((2,), (Real(1, True), Real(1, True), Real(1)))
    torch.manual_seed(0)
    x = torch.rand(500, 3, 2) * 2 - 1
    level = torch.randint(0, 256, (500, 2))
    x[:, 0] = level / 255 * 2 - 1
    x[:, 2] = level.float()
    made = Flow(space, {}, Auto("xs"))
    made.prepare(Batch(x))
    assert made.levels.is_discrete.tolist() == [True, False, False]
    seen = made.levels.dequantize(x)
    assert torch.equal(((seen[:, 0] + 1) / 2 * 256).floor().long(), level)
    assert ((seen[:, 0] + 1) / 2 * 256 % 1).std() == pytest.approx(12**-0.5, abs=0.02)
    assert torch.equal(seen[:, 1:], x[:, 1:])
    torch.testing.assert_close(made.levels.quantize(seen), x)
    torch.manual_seed(0)
    asis = Flow(space, {}, Auto("xs"), levels=None)
    asis.prepare(Batch(x))
    assert torch.equal(asis.levels.dequantize(x), x)


def test_temperature_is_the_spread_and_seed_the_draw() -> None:
    made = flow(SPACES["plane"])
    cold, warm = (made.sample(500, seed=0, temperature=t) for t in (0.0, 1.0))
    assert cold.std(0).max() < 1e-5
    assert warm.std(0).min() > 0.1
    assert torch.equal(warm, made.sample(500, seed=0))


def test_every_option_is_taken() -> None:
    given = {"steps": "2", "bins": "4", "scales": "1", "mix": "false", "levels": None, "noise": "0.1"}
    options = coerce(Flow, given, where="family")
    torch.manual_seed(0)
    made = Flow(SPACES["picture"], {}, Auto("xs"), **options)
    assert len(made.chains) == 1
    assert not any(name.endswith(".lu") for name, _ in made.named_parameters())
    x = batch(SPACES["plane"], 8)
    noisy = Flow(SPACES["plane"], {}, Auto("xs"), noise=1.0)
    noisy.prepare(Batch(x.x))
    assert noisy.loss(Batch(x.x), "fit")["nll"] != noisy.loss(Batch(x.x), "fit")["nll"]
