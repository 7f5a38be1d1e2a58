"""What every architecture promises for each role it offers, on grids of every rank it takes."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from cases import LABEL, data, effect
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.errors import Unsupported
from genwright.families.autoregressive import Autoregressive
from genwright.nets.blocks import conv, halvings
from genwright.nets.cond import Conditioner, TokenEncoder
from genwright.nets.roles import Causal, CondShape, Net, Nets, Role, coarser
from genwright.recipe import TrainOptions
from genwright.registry import build, names
from genwright.space import CondSpec, Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

GRIDS = [(), (9,), (6, 7), (2, 5, 6)]
SHAPED: dict[str, Role] = {
    "map": "map",
    "map symbols": "map",
    "encode": "encode",
    "encode coarser": "encode",
    "score": "encode",
    "decode": "decode",
    "decode coarser": "decode",
}
"""Roles, with a hint or not, to a vector or a coarser grid."""
GRIDLESS = {"mlp", "resnet", "auto"}
"""They take a row, too."""
VECTORS = {"dcgan", "transformer"}
"""They encode to a vector and decode from one, and know no coarser grid."""
cases = pytest.mark.parametrize(
    ("net", "role", "grid"),
    [
        (net, role, grid)
        for net, role, grid in itertools.product(names("nets"), SHAPED, GRIDS)
        if grid or role != "map symbols"  # these are laid out on a grid
    ],
)


def cond_of(nets: Nets, role: str, grid: tuple[int, ...], n: int) -> tuple[CondShape, Cond]:
    """All that the role can read, and some of it."""
    slots = nets.slots(SHAPED[role], grid, symbols=role == "map symbols")
    cond_shape = CondShape(nets.dim, "tokens" in slots and bool(grid), 2 if "grid" in slots else 0)
    cond = Cond(
        torch.randn(n, nets.dim, requires_grad=True),
        torch.randn(n, 4, nets.dim, requires_grad=True) if cond_shape.tokens else None,
        torch.tensor([[True, True, True, False]]).repeat(n, 1) if cond_shape.tokens else None,
        torch.randn(n, 2, *grid, requires_grad=True) if cond_shape.grid else None,
    )
    return cond_shape, cond


@cases
def test_shapes_gradients_and_independence(net: str, role: str, grid: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    nets: Nets = build("nets", net, {}, "xs", where="net")
    offered = SHAPED[role] in nets.reads or net == "auto"
    far = role.endswith("coarser") and grid and net in VECTORS
    if not offered or far or (not grid and net not in GRIDLESS):
        with pytest.raises(Unsupported, match=net) as error:
            make(nets, role, grid, cond_of(nets, role, grid, 3)[0])
        assert error.value.code == ("role-not-offered" if grid or not offered else "net-needs-grid")
        return
    cond_shape, cond = cond_of(nets, role, grid, 3)
    module, x, shape = make(nets, role, grid, cond_shape)
    for p in module.parameters():  # also where a net starts at zero
        torch.nn.init.normal_(p, std=0.1)
    out = module(x, cond)
    assert out.shape == shape
    (out * torch.randn_like(out)).sum().backward()
    unreached = [name for name, p in module.named_parameters() if not reached(p)]
    assert not unreached
    for given in (cond.vector, cond.tokens, cond.grid):
        assert given is None or reached(given)
    module.eval()
    with torch.no_grad():
        before = module(x, cond)
        x[1] += 1.0
        after = module(x, cond)
    others = [0, 2]
    torch.testing.assert_close(before[others], after[others], rtol=1e-4, atol=1e-5)
    assert not torch.allclose(before[1], after[1], atol=1e-5)
    if cond.tokens is not None:
        with torch.no_grad():
            masked = Cond(cond.vector, cond.tokens.clone(), cond.tokens_mask, cond.grid)
            masked.tokens[:, 3] += 5.0  # type: ignore[index]
            torch.testing.assert_close(module(x, masked), after, rtol=1e-4, atol=1e-5)


def reached(t: Tensor) -> bool:
    return t.grad is not None and bool(t.grad.abs().sum() > 0)


def make(
    nets: Nets, role: str, grid: tuple[int, ...], cond_shape: CondShape
) -> tuple[torch.nn.Module, Tensor, tuple[int, ...]]:
    x, small = torch.randn(3, 3, *grid), coarser(grid, 4)
    if SHAPED[role] == "map":
        net = nets.map(grid, 3, 5, cond_shape, symbols=role == "map symbols")
        return net, x, (3, 5, *grid)
    if role == "score":
        return nets.encode(grid, (), 3, 1, cond_shape, score=True), x, (3, 1)
    there = small if role.endswith("coarser") else ()
    if SHAPED[role] == "encode":
        return nets.encode(grid, there, 3, 7, cond_shape), x, (3, 7, *there)
    return nets.decode(there, grid, 6, 5, cond_shape), torch.randn(3, 6, *there), (3, 5, *grid)


def test_dcgan_is_that_of_its_paper() -> None:
    """Section 3, and figure 1 the other way round."""
    nets: Nets = build("nets", "dcgan", {}, "l", where="net")
    for net, widths in (
        (nets.encode((64, 64), (), 3, 1, CondShape(), score=True), [3, 128, 256, 512, 1024]),
        (nets.decode((), (64, 64), 100, 3, CondShape()), [1024, 512, 256, 128, 3]),
    ):
        convs = [m for m in net.modules() if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))]
        assert [convs[0].in_channels, *(m.out_channels for m in convs)] == widths
        assert all(m.stride == (2, 2) for m in convs)
        norms = [m.num_features for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d)]
        assert norms == (widths[2:] if widths[0] == 3 else widths[:-1])
        spread = torch.cat([m.weight.flatten() for m in convs]).std().item()
        assert spread == pytest.approx(0.02, rel=0.01)


@pytest.mark.parametrize("grid", [(2,), (2, 2), (7, 12), (3, 5, 1)])
@pytest.mark.parametrize("depth", [1, 3])
def test_dcgan_takes_any_grid_and_sees_others_only_while_it_learns(
    grid: tuple[int, ...], depth: int
) -> None:
    torch.manual_seed(0)
    nets: Nets = build("nets", "dcgan", {"depth": depth}, "xs", where="net")
    for role in ("score", "encode", "decode"):
        cond_shape, cond = cond_of(nets, role, grid, 3)
        net, x, shape = make(nets, role, grid, cond_shape)
        for p in net.parameters():
            torch.nn.init.normal_(p, std=0.2)
        assert net(x, cond).shape == shape
        other = x.clone()
        other[1] += 1.0
        with torch.no_grad():
            for learns in (True, False):
                net.train(learns)
                same = torch.equal(net(x, cond)[0], net(other, cond)[0])
                crowd = any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in net.modules())
                assert same == (not learns or not crowd)
        assert crowd or (depth == 1 and role != "decode")


def test_dcgan_needs_two_places() -> None:
    with pytest.raises(Unsupported, match=r"a single one: use net\.name=conv"):
        build("nets", "dcgan", {}, "xs", where="net").encode((1, 1), (), 3, 1, CondShape())


def test_a_code_keeps_its_place() -> None:
    """What lies at one corner changes the codes near it and leaves those far away alone."""
    torch.manual_seed(0)
    assert [coarser((28, 9), factor) for factor in (1, 2, 4, 8)] == [(28, 9), (14, 5), (7, 3), (4, 2)]
    for name in ("conv", "resnet"):
        nets: Nets = build("nets", name, {"width": 8, "depth": 1}, "xs", where="net")
        there = nets.encode((64,), (16,), 1, 2, CondShape())
        back = nets.decode((16,), (64,), 2, 1, CondShape())
        for p in (*there.parameters(), *back.parameters()):
            torch.nn.init.normal_(p, std=0.3)
        x, nothing = torch.zeros(1, 1, 64), Cond(torch.zeros(1, 0))
        other = x.clone()
        other[..., 0] = 1.0
        moved = (there(x, nothing) - there(other, nothing)).abs().sum(1)[0]
        assert moved[0] > 1e-3
        assert moved[8:].max() == 0
        z, other = torch.zeros(1, 2, 16), torch.zeros(1, 2, 16)
        other[..., 0] = 1.0
        moved = (back(z, nothing) - back(other, nothing)).abs()[0, 0]
        assert moved[0] > 1e-4
        assert moved[32:].max() == 0


CAUSAL = {  # net, grid, channels at each position, whether it reads tokens
    "transformer": ("transformer", (12,), 1, False),
    "transformer-tokens": ("transformer", (12,), 1, True),
    "wavenet": ("wavenet", (12,), 1, False),
    "wavenet-row": ("wavenet", (), 12, False),
    "pixelcnn": ("pixelcnn", (3, 4), 1, False),
    "pixelcnn-colour": ("pixelcnn", (3, 2), 2, False),
    "pixelcnn-column": ("pixelcnn", (12, 1), 1, False),
}


def causal(
    name: str, grid: tuple[int, ...], channels: int, tokens: bool, **options: int
) -> tuple[Causal, Cond]:
    """A net over 12 places that is far from indifferent, and what it is told."""
    torch.manual_seed(0)
    nets: Nets = build("nets", name, options, "xs", where="net")
    net = nets.causal(12, CondShape(nets.dim, tokens), grid=grid, channels=channels).eval()
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.2)
    vector = torch.randn(2, nets.dim, requires_grad=True)
    return net, Cond(vector, torch.randn(2, 3, nets.dim) if tokens else None)


@pytest.mark.parametrize("case", CAUSAL.values(), ids=CAUSAL)
def test_causal_sees_no_future_and_its_cache_changes_nothing(
    case: tuple[str, tuple[int, ...], int, bool],
) -> None:
    net, cond = causal(*case)
    h = torch.randn(2, 12, net.width)
    with torch.no_grad():
        whole = net(h, cond)
        for place in range(12):
            later = h.clone()
            later[:, place] += torch.randn(2, net.width)
            changed = net(later, cond)
            assert torch.equal(changed[:, :place], whole[:, :place])
            assert not torch.allclose(changed[:, place], whole[:, place], atol=1e-3)
        ways = itertools.product((12, 100), ((0, 4, 5, 9, 12), (0, 12), tuple(range(13))))
        for room, cuts in ways:  # where there is room for many places, another layout is faster
            cache = net.cache(2, room, h)
            pieces = [net(h[:, a:b], cond, cache) for a, b in itertools.pairwise(cuts)]
            assert cache.length == 12
            torch.testing.assert_close(torch.cat(pieces, dim=1), whole, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("case", CAUSAL.values(), ids=CAUSAL)
def test_causal_reaches_parameters_conditions_and_one_row_alone(
    case: tuple[str, tuple[int, ...], int, bool],
) -> None:
    net, cond = causal(*case)
    h = torch.randn(2, 12, net.width)
    out = net(h, cond)
    (out * torch.randn_like(out)).sum().backward()
    assert not [name for name, p in net.named_parameters() if not reached(p)]
    assert reached(cond.vector)
    with torch.no_grad():
        h[1] += 1.0
        again = net(h, cond)
    torch.testing.assert_close(again[0], out[0].detach(), rtol=1e-4, atol=1e-5)


def seen(net: Causal, cond: Cond, place: int, length: int) -> list[int]:
    """The places whose input moves the answer at `place`."""
    h = torch.randn(2, length, net.width, requires_grad=True)
    (out,) = torch.autograd.grad(net(h, cond)[:, place].square().sum(), h)
    return torch.nonzero(out.abs().sum((0, 2))).flatten().tolist()


def test_a_wavenet_sees_as_far_as_it_says() -> None:
    net, cond = causal("wavenet", (), 12, False, depth=2, taps=3)
    assert net.reach == 6  # two taps back of 1, two of 2
    assert seen(net, cond, 10, 12) == list(range(4, 11))
    whole, cond = causal("wavenet", (), 12, False)
    assert seen(whole, cond, 11, 12) == list(range(12)), "four doublings cover twelve places"


@pytest.mark.parametrize("channels", [1, 3])
def test_a_pixelcnn_has_no_blind_spot_and_sees_as_far_as_it_says(channels: int) -> None:
    """What is before a place and near is seen, also to its upper right; what is far is not."""
    nets: Nets = build("nets", "pixelcnn", {"depth": 2, "cycle": 1}, "xs", where="net")
    rows, columns = 6, 9
    length = rows * columns * channels
    net = nets.causal(length, CondShape(), grid=(rows, columns), channels=channels)
    for p in net.parameters():
        torch.nn.init.normal_(p, std=0.3)
    cond = Cond(torch.zeros(2, 0))
    size = columns * channels
    row, column = 4, 4
    place = row * size + column * channels
    found = set(seen(net, cond, place, length))
    assert max(found) == place
    # An input tells of the symbol before it, so that symbol j is seen through input j + 1 at the latest.
    symbols = {j - 1 for j in found} - {-1}
    above = {(j // size, j % size // channels) for j in symbols if j < row * size}
    near = {(r, c) for r in (1, 2, 3) for c in range(column - 2, column + 3)}
    assert near <= above, "two layers see three rows up and two columns to each side"
    assert not any(r < 1 for r, _ in above)
    left = [j for j in symbols if j >= row * size]
    assert left == list(range(place - len(left), place))
    assert len(left) >= 2 * channels


@pytest.mark.parametrize("grid", [(), (12,), (2, 2, 3)])
def test_a_pixelcnn_needs_two_axes(grid: tuple[int, ...]) -> None:
    nets: Nets = build("nets", "pixelcnn", {}, "xs", where="net")
    for ask in (nets.slots, lambda role, grid: nets.causal(12, CondShape(), grid=grid)):
        with pytest.raises(Unsupported, match=r"two axes.*net\.name=transformer or net\.name=wavenet"):
            ask("causal", grid)


@pytest.mark.parametrize(
    ("net", "space"),
    [
        ("wavenet", Space((12,), (Symbol(10),))),
        ("wavenet", Space((6, 7), (Symbol(5),))),
        ("pixelcnn", Space((6, 7), (Symbol(5),))),
        ("pixelcnn", Space((4, 4), (Symbol(4), Symbol(4), Symbol(4)))),
    ],
    ids=str,
)
def test_law_convolutions_learn_the_label(net: str, space: Space) -> None:
    """As the contract has it for every family: samples depend on the label as the data do."""
    x, label = data(space)
    torch.manual_seed(0)
    family = Autoregressive(space, LABEL, build("nets", net, {}, "xs", where="net")).train()
    optimizer = PhaseOptimizer(family, family.phases[0], TrainOptions())
    for _ in range(60):
        index = torch.randint(0, len(x), (64,))
        family.zero_grad()
        family.loss(Batch(x[index], {"label": label[index]}), "fit")["nll"].backward()
        optimizer.step(1.0)
    asked = torch.arange(300)[:, None] % 2
    share = effect(family.sample(300, {"label": asked}, seed=1), asked) / effect(x, label)
    assert 0.7 < share.mean() < 1.3


def test_auto_maps_symbols_with_a_transformer() -> None:
    nets: Nets = build("nets", "auto", {}, "xs", where="net")
    transformer: Nets = build("nets", "transformer", {}, "xs", where="net")
    for grid in ((5,), (3, 4)):
        assert type(nets.map(grid, 3, 5, CondShape(), symbols=True)) is type(
            transformer.map(grid, 3, 5, CondShape())
        )
    assert nets.slots("map", (), symbols=True) == {"grid", "tokens"} != nets.slots("map", ())


def test_a_score_has_no_constant() -> None:
    for name in ("mlp", "conv", "dcgan", "resnet", "transformer"):
        nets: Nets = build("nets", name, {}, "xs", where="net")
        for score in (True, False):
            net = nets.encode((6, 7), (), 3, 1, CondShape(), score=score)
            assert (net.last.bias is None) == score  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("fine", "coarse", "between"),
    [
        ((28, 9), (7, 3), [(14, 5)]),
        ((64, 3), (16, 3), None),
        ((9,), (9,), []),
        ((9,), (4,), None),
        ((9,), (), [(5,), (3,)]),
    ],
)
def test_a_coarser_grid_is_reached_by_halves(
    fine: tuple[int, ...], coarse: tuple[int, ...], between: list[tuple[int, ...]] | None
) -> None:
    if between is None:
        with pytest.raises(AssertionError, match="by a power of two"):
            halvings(fine, coarse)
        return
    assert halvings(fine, coarse) == [fine, *between, *([coarse] if coarse not in ((), fine) else [])]


def test_conditions_enter_where_the_rule_says() -> None:
    nets: Nets = build("nets", "auto", {}, "xs", where="net")
    spaces = {
        "label": Space((), (Symbol(3),)),
        "low": CondSpec(Space((4, 4), (Real(1, bounded=True),)), align=True),
        "same": Space((8, 8), (Real(1, bounded=True),)),
        "caption": Space((5,), (Symbol(9, pad=0),)),
    }
    on_map = Conditioner(spaces, (8, 8), nets, "map")
    assert on_map.where == {"caption": "tokens", "label": "vector", "low": "grid", "same": "tokens"}
    on_decode = Conditioner(spaces, (8, 8), nets, "decode")
    assert on_decode.where == {"caption": "vector", "label": "vector", "low": "grid", "same": "vector"}
    on_row = Conditioner(spaces, (), nets, "map")
    assert set(on_row.where.values()) == {"vector"}
    assert Conditioner({}, (8, 8), nets, "map").shape == CondShape()


def test_dropped_conditions_are_unseen_and_only_in_training() -> None:
    torch.manual_seed(0)
    nets: Nets = build("nets", "auto", {}, "xs", where="net")
    conditioner = Conditioner({"label": CondSpec(Space((), (Symbol(3),)), drop=0.5)}, (), nets, "map")
    label, like = torch.tensor([[0], [1], [2], [2]]), torch.zeros(4, 1)
    every = conditioner({"label": label}, 4, like, {"label": torch.ones(4, dtype=torch.bool)}).vector
    assert torch.equal(every, conditioner.eval()({}, 4, like).vector)
    assert torch.equal(
        conditioner({"label": label}, 4, like).vector[2],
        conditioner({"label": label}, 4, like).vector[3],
    )
    share = (
        torch.stack([conditioner.train().draw_drop_mask(100, like)["label"] for _ in range(50)])
        .float()
        .mean()
    )
    assert abs(share - 0.5) < 0.05
    assert not conditioner.eval().draw_drop_mask(100, like)["label"].any()


@pytest.mark.parametrize("grid", [(40,), (12, 14), (7, 6, 8)])
def test_a_decoder_begins_with_what_a_linear_filter_of_the_condition_finds(
    grid: tuple[int, ...],
) -> None:
    torch.manual_seed(0)
    rank = len(grid)
    net = build("nets", "conv", {}, "xs", where="net").decode((), grid, 4, 2, CondShape(grid=3))
    given = Cond(torch.zeros(64, 0), grid=torch.randn(64, 3, *grid))
    filtered = conv(rank, 3, 2, kernel=3)
    answer = filtered(given.grid).detach() + 5
    before = (net(torch.randn(64, 4), given) - answer).square().mean()
    net.begin(given, answer)
    after = (net(torch.randn(64, 4), given) - answer).square().mean()
    assert before > 20
    assert after < 1e-3  # whatever the code


@pytest.mark.parametrize(("name", "role"), [("unet", "map"), ("conv", "decode")])
def test_what_older_runs_have_kept_is_a_network_without_a_straight_way(name: str, role: Role) -> None:
    nets: Nets = build("nets", name, {}, "xs", where="net")

    def built() -> Net:
        if role == "map":
            return nets.map((8, 8), 1, 2, CondShape(grid=3))
        return nets.decode((), (8, 8), 4, 2, CondShape(grid=3))

    torch.manual_seed(0)
    old, new = built(), built()
    kept = {key: value for key, value in old.state_dict().items() if not key.startswith("straight.")}
    assert len(kept) < len(old.state_dict())
    given = Cond(torch.zeros(5, 0), grid=torch.randn(5, 3, 8, 8))
    x = torch.randn(5, 1, 8, 8) if role == "map" else torch.randn(5, 4)
    new.load_state_dict(kept)
    assert torch.equal(old(x, given), new(x, given))
    with pytest.raises(RuntimeError, match="Missing key"):
        new.load_state_dict({key: value for key, value in kept.items() if not key.startswith("last.")})


def test_a_long_row_is_known_by_its_frequencies_whatever_their_phase() -> None:
    torch.manual_seed(0)
    nets: Nets = build("nets", "transformer", {}, "xs", where="net")
    row = Space((1000,), (Real(1, bounded=True),))
    conditioner = Conditioner({"row": row}, (5,), nets, "causal").eval()
    encoder = conditioner.project["row"]
    assert isinstance(encoder, TokenEncoder)
    assert encoder.frames is not None

    def tone(turns: float, phase: float) -> Tensor:
        return torch.sin(2 * math.pi * turns * torch.arange(1000.0) / 1000 + phase)[None, None]

    def seen(x: Tensor) -> Tensor:
        assert isinstance(encoder, TokenEncoder)
        assert encoder.frames is not None
        return encoder.frames(x, encoder.places)[..., 4:-4]

    low, later, high = seen(tone(100, 0)), seen(tone(100, 1)), seen(tone(150, 0))
    assert low.shape == (1, nets.dim, encoder.places - 8)
    assert (low - later).norm() < 0.1 * (low - high).norm()
    # An encoder of an older run, which has no such part, answers as it did.
    old = {key: value for key, value in encoder.state_dict().items() if not key.startswith("frames.")}
    again = Conditioner({"row": row}, (5,), nets, "causal").project["row"]
    again.load_state_dict(old)
    assert isinstance(again, TokenEncoder)
    assert again.frames is not None
    assert not seen_parts(again).any()


def seen_parts(encoder: TokenEncoder) -> Tensor:
    assert encoder.frames is not None
    return encoder.frames(torch.randn(2, 1, 1000), encoder.places)
