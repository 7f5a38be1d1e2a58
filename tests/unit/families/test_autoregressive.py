"""Exact probabilities, and sampling with all its dials."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.batch import Batch
from genwright.errors import Incompatible, Unsupported
from genwright.families.autoregressive import Autoregressive, Spans
from genwright.planning import weigh
from genwright.registry import build
from genwright.space import Space, Symbol

LABEL = {"label": Space((), (Symbol(2),))}


def lively(
    space: Space, cond: dict[str, Space] | None = None, net: str = "auto", spans: Spans = "ordered"
) -> Autoregressive:
    """Untrained but far from indifferent."""
    torch.manual_seed(0)
    nets = build("nets", net, {}, "xs", where="net")
    family = Autoregressive(space, cond or {}, nets, spans=spans).eval()
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return family


@pytest.mark.parametrize(
    ("net", "space", "spans"),
    [
        ("transformer", Space((), (Symbol(3), Symbol(2), Symbol(4))), "ordered"),
        ("transformer", Space((2, 2), (Symbol(3),)), "ordered"),
        ("transformer", Space((2,), (Symbol(3), Symbol(2))), "independent"),
        ("transformer", Space((2, 1), (Symbol(3), Symbol(2))), "independent"),
        ("wavenet", Space((), (Symbol(3), Symbol(2), Symbol(4))), "ordered"),
        ("wavenet", Space((4,), (Symbol(3),)), "ordered"),
        ("pixelcnn", Space((2, 2), (Symbol(3),)), "ordered"),
        ("pixelcnn", Space((1, 2), (Symbol(3), Symbol(2))), "ordered"),
    ],
    ids=str,
)
def test_probabilities_of_all_examples_sum_to_one(net: str, space: Space, spans: Spans) -> None:
    family = lively(space, net=net, spans=spans)
    sizes = [s.k for _ in range(space.positions) for s in space.spans]  # type: ignore[union-attr]
    ids = torch.tensor(list(itertools.product(*map(range, sizes))))
    every = ids.view(len(ids), -1, space.stored).transpose(1, 2).reshape(-1, *space.shape)
    with torch.no_grad():
        p = family.log_prob(Batch(every)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-4)
    assert p.max() / p.min() > 5
    drawn = family.sample(6000, seed=0, chunk=6000)
    place = (drawn.reshape(6000, 1, -1) == every.reshape(1, len(every), -1)).all(2).float()
    share = place.mean(0)
    torch.testing.assert_close(share, p, rtol=0, atol=0.02)


@pytest.mark.parametrize("guidance", [1.0, 2.5])
def test_the_cache_changes_no_token(guidance: float) -> None:
    family = lively(Space((20,), (Symbol(9),)), LABEL)
    given = {"label": torch.arange(6)[:, None] % 2}
    for length in (None, 53):  # also beyond the window, where it is read anew from half-way
        sampler_options = {"guidance_scale": guidance, "length": length}
        cached, plain = (
            family.sample(6, given, seed=1, cache=c, **sampler_options) for c in (True, False)
        )
        assert torch.equal(cached, plain)
        assert cached.shape == (6, 1, length or 20)


@pytest.mark.parametrize(
    ("net", "space"),
    [
        ("wavenet", Space((20,), (Symbol(9),))),
        ("wavenet", Space((5, 4), (Symbol(9),))),
        ("pixelcnn", Space((5, 4), (Symbol(9),))),
        ("pixelcnn", Space((4, 3), (Symbol(4), Symbol(3), Symbol(5)))),
    ],
    ids=str,
)
@pytest.mark.parametrize("aligned", [False, True])
def test_convolutions_continue_as_they_would_begin_anew(net: str, space: Space, aligned: bool) -> None:
    """The cache changes no token, with a condition in the vector or beside the symbols."""
    cond = {"low": Space(space.grid, (Symbol(2),))} if aligned else LABEL
    family = lively(space, cond, net)
    torch.manual_seed(1)
    given = {name: torch.randint(0, 2, (6, *s.shape)) for name, s in cond.items()}
    sampler_options = {"guidance_scale": 1.5}
    cached, plain = (family.sample(6, given, seed=1, cache=c, **sampler_options) for c in (True, False))
    assert torch.equal(cached, plain)
    others = {name: 1 - value for name, value in given.items()}
    assert not torch.equal(cached, family.sample(6, others, seed=1, **sampler_options))


def test_a_net_that_cannot_serve_says_so() -> None:
    with pytest.raises(Unsupported, match=r"'pixelcnn' reads a grid of two axes .* this has one axis"):
        lively(Space((12,), (Symbol(3),)), net="pixelcnn")
    with pytest.raises(Unsupported, match=r"'mlp' offers .* needs 'causal'"):
        lively(Space((12,), (Symbol(3),)), net="mlp")


def test_a_prefix_is_kept_and_matters() -> None:
    family = lively(Space((10,), (Symbol(5),)))
    one = family.sample(4, seed=0, prefix=[1, 2, 3])
    assert (one[:, 0, :3] == torch.tensor([1, 2, 3])).all()
    other = family.sample(4, seed=0, prefix=[4, 4, 4])
    assert not torch.equal(one[:, :, 3:], other[:, :, 3:])
    with pytest.raises(Incompatible, match="from 0 to 4"):
        family.sample(1, prefix=[5])


def test_what_ends_stays_ended() -> None:
    family = lively(Space((30,), (Symbol(3, pad=0),)))
    made = family.sample(50, seed=0)
    after = (made == 0).cumsum(2) > 0
    assert (made[after] == 0).all()
    assert after.any()


def test_only_a_text_goes_beyond_its_window() -> None:
    with pytest.raises(Incompatible, match="only a text"):
        lively(Space((2, 2), (Symbol(3),))).sample(1, length=9)


def test_in_bfloat16_it_is_the_same_distribution() -> None:
    space = Space((), (Symbol(5), Symbol(4), Symbol(3)))
    family = lively(space, LABEL, "transformer")
    given = {"label": torch.arange(6000)[:, None] % 2}
    exact = family.sample(6000, given, seed=1, chunk=6000)
    family.half_precision = True
    made = family.sample(6000, given, seed=1, chunk=6000)
    assert 0.9 < (made == exact).float().mean() < 1  # by the same numbers, rounded


def test_where_nothing_is_gained_by_bfloat16_it_is_exact() -> None:
    """Of a long text few are made at once, and one or many come out the same."""
    family = lively(Space((300,), (Symbol(5),)), net="transformer")
    exact = family.sample(3, seed=1)
    family.half_precision = True
    torch.testing.assert_close(family.sample(3, seed=1), exact, rtol=0, atol=0)


# -- spans drawn at once ---------------------------------------------------------------------------

ROLL = Space((12,), (Symbol(2, pad=1), *[Symbol(3)] * 4))


def test_spans_drawn_at_once_see_the_positions_before_and_none_beside_them() -> None:
    family = lively(ROLL, spans="independent")
    assert family.within == "independent"
    x = torch.randint(3, (1, 5, 12), generator=torch.Generator().manual_seed(0))
    x[:, 0] = 0
    other = x.clone()
    other[0, 2, 7] = (x[0, 2, 7] + 1) % 3
    with torch.no_grad():
        heads = family._heads()
        family._heads = lambda: (*heads[:2], 0 * heads[2], *heads[3:])  # type: ignore[method-assign]
        nats = [family._nats(Batch(one))[0] for one in (x, other)]
    apart = (nats[0] - nats[1]).abs()
    assert apart[:8].max() == 0  # at its own position nothing else moves
    assert apart[8:].min() > 0
    assert lively(ROLL).within == "joint"


def test_where_an_example_ends_what_was_drawn_with_that_costs_nothing() -> None:
    family = lively(ROLL, spans="independent")
    x = torch.zeros(1, 5, 12, dtype=torch.long)
    x[:, 0, 7:] = 1
    other = x.clone()
    other[:, 1:, 7] = 2
    mask = ROLL.valid(x)
    with torch.no_grad():
        one, two = (family.log_prob(Batch(some, {}, mask)) for some in (x, other))
    assert torch.equal(one, two)


def test_a_sequence_of_too_many_symbols_is_drawn_a_position_at_once() -> None:
    long = Space((100,), (Symbol(2),) * 50)
    assert weigh("autoregressive", long).outcome == "native"
    assert lively(long, spans="auto").within == "independent"
    assert lively(ROLL, spans="auto").within == "joint"
    assert weigh("autoregressive", Space((100, 1), (Symbol(2),) * 50)).outcome != "native"
    assert weigh("masked", long).outcome != "native"


def test_spans_drawn_at_once_come_alike_from_the_cache_and_keep_a_beginning() -> None:
    family = lively(ROLL, spans="independent")
    fast, plain = (family.sample(5, seed=1, cache=cache) for cache in (True, False))
    assert torch.equal(fast, plain)
    known = torch.zeros(5, 5, 12, dtype=torch.bool)
    known[..., :6] = True
    x = torch.randint(2, (5, 5, 12), generator=torch.Generator().manual_seed(2))
    assert torch.equal(family.infill(x, known, seed=0)[..., :6], x[..., :6])
    known[:, :3, 6] = True
    with pytest.raises(Incompatible, match="gap"):
        family.infill(x, known)
    with pytest.raises(Incompatible, match="at once"):
        family.sample(2, beams=2)
