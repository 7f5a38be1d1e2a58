"""The bound, the sampler's law, what is known stays known."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families import masked
from genwright.families.autoregressive import Autoregressive
from genwright.families.masked import Masked
from genwright.nets.auto import Auto
from genwright.nets.conv import ConvNets
from genwright.recipe import TrainOptions
from genwright.space import Space, Symbol
from genwright.training.optim import PhaseOptimizer

SMALL = {
    "row": Space((), (Symbol(3), Symbol(2), Symbol(2))),
    "text": Space((3,), (Symbol(2),)),
    "level": Space((2, 1), (Symbol(2), Symbol(3))),
}
small = pytest.mark.parametrize("space", SMALL.values(), ids=SMALL)


def lively(space: Space, cond: dict[str, Space] | None = None, **options: float) -> Masked:
    """Untrained but far from indifferent."""
    torch.manual_seed(0)
    family = Masked(space, cond or {}, Auto("xs"), **options).eval()  # type: ignore[arg-type]
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return family


def everything(family: Masked) -> Tensor:
    """All examples of a small space, stored."""
    sizes = [k for _ in range(family.space.positions) for k in family.sizes]
    every = torch.tensor(list(itertools.product(*map(range, sizes))))
    return family._stored(every, family.space.grid)


@torch.no_grad()
def law(family: Masked, x: Tensor) -> Tensor:
    """What one symbol at a time in random order comes to: the mean over all orders of the product."""
    ids = family._flat(x)
    cond = family.conditioner({}, len(ids), x)
    orders = list(itertools.permutations(range(family.length)))
    total = torch.zeros(len(x))
    for order in orders:
        nats = torch.zeros(len(x))
        for i, place in enumerate(order):
            hidden = torch.zeros_like(ids, dtype=torch.bool)
            hidden[:, list(order[i:])] = True
            nats = nats + family._nats(ids, hidden, cond)[:, place]
        total = total + (-nats).exp() / len(orders)
    return total


@small
def test_samples_follow_the_law_and_the_bound_lies_below_it(space: Space) -> None:
    family = lively(space)
    x = everything(family)
    p = law(family, x)
    assert p.sum().item() == pytest.approx(1.0, abs=1e-4)
    assert p.max() > 2 * p.min()
    drawn = family.sample(8000, seed=0, chunk=8000)
    share = (drawn.reshape(8000, 1, -1) == x.reshape(1, len(x), -1)).all(2).float().mean(0)
    torch.testing.assert_close(share, p, rtol=0, atol=0.02)
    with torch.no_grad():
        bound = family.log_prob(Batch(x))
    assert (bound <= p.log() + 1e-5).all()
    assert (bound < p.log() - 1e-4).any(), "orders disagree here, so that the bound is not tight"
    assert 0.5 < bound.exp().sum() < 1


@small
def test_draws_and_the_loss_agree_with_the_exact_bound(
    space: Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    family = lively(space)
    x = everything(family)
    torch.manual_seed(0)
    with torch.no_grad():
        exact = family.log_prob(Batch(x))
        monkeypatch.setattr(masked, "DRAWS", 6)  # too few to take each set
        drawn = torch.stack([family.log_prob(Batch(x)) for _ in range(200)])
        losses = torch.stack([family.loss(Batch(x), "fit")["nll"] for _ in range(200)])
        held = torch.stack([torch.stack(family.heldout(Batch(x))) for _ in range(200)])
    per_symbol = -exact.mean() / family.length
    assert (held[:, 1] == len(x) * family.length).all()
    for found, want in ((drawn, exact), (losses, per_symbol), (held[:, 0] / held[:, 1], per_symbol)):
        error = found.std(0) / math.sqrt(len(found))
        assert (found.mean(0) - want).abs().lt(4 * error + 1e-5).all()


def test_what_is_hidden_is_not_seen_and_the_counts_are_even() -> None:
    family = lively(Space((2, 3), (Symbol(4), Symbol(3))))
    ids = torch.stack([torch.arange(12) % 3, torch.arange(12) % 2])
    hidden = torch.zeros(2, 12, dtype=torch.bool)
    hidden[:, [2, 5]] = True
    nothing = family.conditioner({}, 2, ids)
    with torch.no_grad():
        before = family._read(ids, hidden, nothing)
        ids[:, 2] = 1 - ids[:, 2].clamp_max(1)
        assert torch.equal(family._read(ids, hidden, nothing), before)
        ids[:, 3] = 2 - ids[:, 3]
        assert not torch.allclose(family._read(ids, hidden, nothing), before, atol=1e-3)
    counts = torch.bincount(family._some(1200).sum(1), minlength=13)
    assert counts[0] == 0
    assert (counts[1:] - 100).abs().max() <= 1
    assert (family._some(1200).float().mean(0) - 6.5 / 12).abs().max() < 0.06


def test_berts_rate_hides_that_share_and_spoils_as_bert_does() -> None:
    family = lively(Space((40,), (Symbol(1000),)), rate=0.15)
    asked = family._some(500)
    assert (asked.sum(1) == 6).all()
    ids = torch.randint(0, 1000, (500, 40))
    seen, hidden = family._spoilt(ids, asked)
    assert not (hidden & ~asked).any()
    assert torch.equal(seen[~asked], ids[~asked])
    shares = [hidden, asked & ~hidden & (seen != ids), asked & ~hidden & (seen == ids)]
    found = [float(part.sum() / asked.sum()) for part in shares]
    assert found == pytest.approx([0.8, 0.1, 0.1], abs=0.03)
    assert torch.isfinite(family.loss(Batch(ids[:4, None]), "fit")["nll"])


# -- the sampler -----------------------------------------------------------------------------------


def test_steps_are_passes_of_the_network() -> None:
    family = lively(Space((10,), (Symbol(4),)))
    passes: list[int] = []
    family.net.register_forward_hook(lambda *_: passes.append(1))
    for order in ("random", "confidence"):
        for steps, want in ((1, 1), (4, 4), (10, 10), (99, 10)):
            passes.clear()
            family.sample(3, seed=0, steps=steps, order=order)
            assert len(passes) == want


def test_the_surest_comes_first_and_a_cold_one_always_says_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    family = lively(Space((12,), (Symbol(5),)))
    cold = {"temperature": 0.0, "order": "confidence", "order_temperature": 0.0}
    made = family.sample(20, seed=0, **cold)
    assert torch.equal(made, made[:1].expand_as(made))
    assert len(family.sample(20, seed=0, **(cold | {"order_temperature": 4.5})).unique(dim=0)) > 1
    # The first symbol told is that of the place where the network is surest.
    ids, hidden = torch.zeros(1, 12).long(), torch.ones(1, 12, dtype=torch.bool)
    with torch.no_grad():
        h = family._read(ids, hidden, family.conditioner({}, 1, ids))
    sure = F.linear(h, family._heads()[0]).log_softmax(-1).max(-1).values[0]
    first = int(sure.argmax())
    seen: list[Tensor] = []
    read = family._read
    monkeypatch.setattr(family, "_read", lambda *given: seen.append(given[1]) or read(*given))
    family.sample(1, seed=0, steps=12, **cold)
    assert torch.nonzero(~seen[1][0].flatten()).flatten().tolist() == [first]


def test_known_parts_are_kept_and_the_gaps_follow_them() -> None:
    family = lively(SMALL["row"])
    x = torch.tensor([[2, 1, 0]]).repeat(6000, 1)
    known = torch.tensor([[True, False, True]]).expand_as(x)
    made = family.infill(x, known, seed=0, chunk=6000)
    assert torch.equal(made[known], x[known])
    both = torch.tensor([[2, 0, 0], [2, 1, 0]])
    with torch.no_grad():
        nats = family._nats(both, ~known[:2], family.conditioner({}, 2, both))[:, 1]
    assert (made[:, 1] == 1).float().mean().item() == pytest.approx(float((-nats[1]).exp()), abs=0.02)
    assert torch.equal(family.infill(x[:4], torch.ones_like(x[:4]).bool()), x[:4])
    # Each example has gaps of its own, and what stands in a gap does not matter.
    mixed = torch.rand(50, 3, generator=torch.Generator().manual_seed(0)) < 0.5
    spoilt = torch.where(mixed, x[:50], torch.full_like(x[:50], -7))
    again = family.infill(spoilt, mixed, seed=1)
    assert torch.equal(again[mixed], x[:50][mixed])
    assert torch.equal(again, family.infill(x[:50], mixed, seed=1))
    alone = family.infill(x[:1], mixed[:1], seed=1)
    assert alone.shape == (1, 3)


def test_what_ends_stays_ended_but_not_before_what_is_known() -> None:
    family = lively(Space((9,), (Symbol(3, pad=0),)))
    made = family.sample(60, seed=0)
    ended = (made == 0).cumsum(2) > 0
    assert (made[ended] == 0).all()
    assert ended.any()
    x = torch.zeros(60, 1, 9).long()
    known = torch.zeros_like(x).bool()
    x[..., 5], known[..., 5] = 2, True
    filled = family.infill(x, known, seed=0)
    assert (filled[..., :5] != 0).all()
    assert (filled[..., 5] == 2).all()
    assert (filled[..., 6:] == 0).any()


def test_features_tell_the_classes_apart() -> None:
    """Trained without labels; a class is a favoured half of the alphabet."""
    torch.manual_seed(0)
    label = torch.arange(256) % 2
    x = torch.where(torch.rand(256, 1, 12) < 0.85, 0, 1) ^ label[:, None, None]
    x = 2 * x + torch.randint(0, 2, x.shape)
    family = Masked(Space((12,), (Symbol(4),)), {}, Auto("xs"))
    optimizer = PhaseOptimizer(family, family.phases[0], TrainOptions())
    for _ in range(60):
        family.zero_grad()
        family.loss(Batch(x[torch.randint(0, 128, (64,))]), "fit")["nll"].backward()
        optimizer.step(1.0)
    with torch.no_grad():
        code = family.eval().encode(Batch(x))
    assert code.shape == (256, 32)
    centres = torch.stack([code[:128][label[:128] == c].mean(0) for c in (0, 1)])
    found = torch.cdist(code[128:], centres).argmin(1)
    assert (found == label[128:]).float().mean() > 0.9
    padded = lively(Space((4,), (Symbol(3, pad=0),)))
    assert padded.encode(Batch(torch.tensor([[[1, 0, 0, 0]], [[1, 2, 2, 1]]]))).isfinite().all()


# -- what cannot be --------------------------------------------------------------------------------


def test_autoregressive_keeps_a_beginning_and_says_why_nothing_else() -> None:
    torch.manual_seed(0)
    family = Autoregressive(SMALL["row"], {}, Auto("xs")).eval()
    torch.nn.init.normal_(family.head)
    x = torch.tensor([[2, 1, 0]]).repeat(500, 1)
    first = torch.tensor([[True, True, False]]).expand_as(x)
    made = family.infill(x, first, seed=0)
    assert torch.equal(made[:, :2], x[:, :2])
    assert len(made.unique(dim=0)) == 2
    for gap in ([False, True, True], [True, False, True]):
        with pytest.raises(Incompatible, match=r"what comes first.*--family masked"):
            family.infill(x, torch.tensor([gap]).expand_as(x))
    text = Autoregressive(Space((6,), (Symbol(3, pad=0),)), {}, Auto("xs")).eval()
    ended = torch.tensor([[[1, 2, 0, 1, 1, 1]]])
    known = torch.tensor([[[True, True, True, False, False, False]]])
    assert text.infill(ended, known).tolist() == [[[1, 2, 0, 0, 0, 0]]]


def test_bad_gaps_and_knobs_are_sentences() -> None:
    family = lively(SMALL["row"])
    x = torch.zeros(2, 3).long()
    with pytest.raises(Incompatible, match="a mask of true and false"):
        family.infill(x, torch.zeros(2, 2).bool())
    with pytest.raises(Incompatible, match="a mask of true and false"):
        family.infill(x, torch.zeros(2, 3))
    with pytest.raises(Incompatible, match="what is given has shape"):
        family.infill(x.float(), torch.ones(2, 3).bool())
    with pytest.raises(Incompatible, match="none of the 2, numbered from 0 to 1"):
        family.infill(x + 2, torch.ones(2, 3).bool())
    for knob, value in (("steps", 0), ("order", "sideways"), ("order_temperature", -1), ("top_p", 0)):
        with pytest.raises(RecipeError, match=rf"sample\.{knob} cannot be"):
            family.sample(1, **{knob: value})
    with pytest.raises(Unsupported, match=r"'conv' offers .* needs 'map'"):
        Masked(Space((4, 4), (Symbol(3),)), {}, ConvNets("xs"))
    assert math.isfinite(float(lively(Space((1,), (Symbol(1),))).sample(1).sum()))
