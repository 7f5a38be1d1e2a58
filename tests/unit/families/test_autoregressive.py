"""Exact probabilities, and sampling with all its dials."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.batch import Batch
from genwright.errors import Incompatible, Unsupported
from genwright.families.autoregressive import Autoregressive
from genwright.registry import build
from genwright.space import Space, Symbol

LABEL = {"label": Space((), (Symbol(2),))}


def lively(space: Space, cond: dict[str, Space] | None = None, net: str = "auto") -> Autoregressive:
    """Untrained but far from indifferent."""
    torch.manual_seed(0)
    nets = build("nets", net, {}, "xs", where="net")
    family = Autoregressive(space, cond or {}, nets).eval()
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return family


@pytest.mark.parametrize(
    ("net", "space"),
    [
        ("transformer", Space((), (Symbol(3), Symbol(2), Symbol(4)))),
        ("transformer", Space((2, 2), (Symbol(3),))),
        ("wavenet", Space((), (Symbol(3), Symbol(2), Symbol(4)))),
        ("wavenet", Space((4,), (Symbol(3),))),
        ("pixelcnn", Space((2, 2), (Symbol(3),))),
        ("pixelcnn", Space((1, 2), (Symbol(3), Symbol(2)))),
    ],
    ids=str,
)
def test_probabilities_of_all_examples_sum_to_one(net: str, space: Space) -> None:
    family = lively(space, net=net)
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
