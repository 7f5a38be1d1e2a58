"""What every space promises, whatever its grid and spans."""

from __future__ import annotations

import itertools
import json
import math

import pytest
import torch
from cases import SPACES, data

from genwright.errors import Incompatible
from genwright.space import Real, Space, Symbol

spaces = pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)


@spaces
def test_sizes_agree_with_the_tensors(space: Space) -> None:
    x, _ = data(space, 4)
    space.check(x)
    assert space.embed(x).shape == (4, space.width, *space.grid)
    assert space.embed(x).dtype == torch.float32
    assert (x.dtype == torch.long) == (space.kind == "symbol")


@spaces
def test_masks_say_what_stands_at_each_channel(space: Space) -> None:
    stored, embedded = space.real_mask(), space.real_mask(embedded=True)
    assert (len(stored), len(embedded)) == (space.stored, space.width)
    bounded = []
    for slot in space.slots():
        real = isinstance(slot.span, Real)
        assert set(stored[slot.stored].tolist() + embedded[slot.width].tolist()) == {real}
        bounded.append(isinstance(slot.span, Real) and slot.span.bounded)
        assert set(space.real_mask(bounded=True)[slot.stored].tolist()) == {bounded[-1]}
        assert set(space.real_mask(bounded=True, embedded=True)[slot.width].tolist()) == {bounded[-1]}
    assert int(stored.sum()) == int(embedded.sum()) == space.real_channels
    assert space.bounded == all(bounded)


@spaces
def test_a_sure_answer_draws_what_it_says(space: Space) -> None:
    x, _ = data(space, 16)
    sure = space.embed(x)
    for slot in space.slots():
        if isinstance(slot.span, Symbol):
            sure[:, slot.width] *= 50.0
    torch.testing.assert_close(space.draw(sure), x, rtol=0, atol=1e-6)
    torch.testing.assert_close(
        space.draw(sure, 1.0, torch.Generator().manual_seed(0)), x, rtol=0, atol=1e-6
    )


@spaces
def test_nll_is_least_at_the_truth_and_follows_the_mask(space: Space) -> None:
    x, _ = data(space, 8)
    other, _ = data(space, 8, seed=1)
    right, wrong = space.nll(space.embed(x), x), space.nll(space.embed(other), x)
    assert right.shape == (8,)
    assert (right <= wrong + 1e-5).all()
    assert right.mean() < wrong.mean()
    mask = torch.zeros(8, *space.grid, dtype=torch.bool)
    assert torch.equal(space.nll(space.embed(other), x, mask), torch.zeros(8))
    whole = space.nll(space.embed(other), x, ~mask)
    torch.testing.assert_close(whole, space.nll(space.embed(other), x))


@spaces
def test_relax_is_a_fake_that_passes_gradients(space: Space) -> None:
    torch.manual_seed(0)
    out = torch.randn(64, space.width, *space.grid, requires_grad=True)
    fake = space.relax(out, tau=0.7)
    assert fake.shape == out.shape
    for slot in space.slots():
        part = fake[:, slot.width].detach()
        if isinstance(slot.span, Symbol):
            assert torch.allclose(part.sum(1), torch.ones_like(part.sum(1)), atol=1e-5)
            assert part.max(1).values.min() > 0.999, "going forward a fake symbol must be one-hot"
        elif slot.span.bounded:
            assert part.abs().max() > 1, "nothing holds a generator back"
            assert space.squash(fake)[:, slot.width].abs().max() <= 1
    (fake * torch.randn_like(fake)).sum().backward()
    assert out.grad is not None
    # Every channel of every example is reached.
    assert (out.grad.flatten(2).abs().sum(2) if space.grid else out.grad.abs()).min() > 0


@spaces
def test_state_is_json_and_comes_back(space: Space) -> None:
    assert Space.restore(json.loads(json.dumps(space.state()))) == space


@spaces
def test_check_refuses_what_is_not_of_the_space(space: Space) -> None:
    x, _ = data(space, 3)
    with pytest.raises(Incompatible, match="the batch has shape"):
        space.check(x[:, :0])
    with pytest.raises(Incompatible, match="dtype"):
        space.check(x.float() if space.kind == "symbol" else x.long())


def test_symbol_probabilities_sum_to_one() -> None:
    space = Space((2,), (Symbol(3),))
    torch.manual_seed(0)
    out = torch.randn(1, 3, 2)
    every = torch.tensor(list(itertools.product(range(3), repeat=2)))[:, None]
    nats = space.nll(out.expand(9, -1, -1), every)
    assert math.isclose((-nats).exp().sum().item(), 1.0, abs_tol=1e-5)


def test_a_real_density_integrates_to_one_at_every_scale() -> None:
    space = Space((), (Real(1),))
    x = torch.linspace(-30, 30, 60001)[:, None]
    for log_scale in (-1.0, 0.0, 1.0):
        nats = space.nll(torch.full_like(x, 0.3), x, log_scale=torch.tensor([log_scale]))
        assert math.isclose((-nats).exp().sum().item() * 0.001, 1.0, abs_tol=1e-3)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
def test_draws_follow_the_softmax(temperature: float) -> None:
    space = Space((), (Symbol(4),))
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    rng = torch.Generator().manual_seed(0)
    drawn = space.draw(logits.expand(40_000, 4), temperature, rng)
    share = torch.bincount(drawn[:, 0], minlength=4) / 40_000
    torch.testing.assert_close(share, (logits / temperature).softmax(0), rtol=0, atol=0.01)


def test_relaxed_draws_follow_the_softmax() -> None:
    space = Space((), (Symbol(4),))
    logits = torch.tensor([0.0, 1.0, 2.0, -1.0])
    torch.manual_seed(0)
    share = space.relax(logits.expand(40_000, 4), 0.7).mean(0)
    torch.testing.assert_close(share, logits.softmax(0), rtol=0, atol=0.01)


def test_real_noise_has_the_learned_spread_and_only_where_it_is_known() -> None:
    space = Space((), (Real(2),))
    out, rng = torch.zeros(20_000, 2), torch.Generator().manual_seed(0)
    drawn = space.draw(out, 1.0, rng, torch.tensor([0.0, -1.0]))
    torch.testing.assert_close(drawn.std(0), torch.tensor([1.0, math.exp(-1)]), rtol=0.03, atol=0)
    assert torch.equal(space.draw(out, 1.0, rng), out)


def test_valid_ends_with_the_first_pad() -> None:
    space = Space((5,), (Symbol(4, pad=0),))
    valid = space.valid(torch.tensor([[[1, 2, 0, 0, 0]], [[1, 2, 3, 1, 2]], [[0, 0, 0, 0, 0]]]))
    assert valid is not None
    assert valid.tolist() == [[1, 1, 1, 0, 0], [1, 1, 1, 1, 1], [1, 0, 0, 0, 0]]
    assert Space((5,), (Symbol(4),)).valid(torch.zeros(1, 1, 5).long()) is None


@pytest.mark.parametrize(
    ("grid", "spans"),
    [((), ()), ((0,), (Real(),)), ((2, 2, 2, 2), (Real(),)), ((), (Symbol(0),)), ((), (Real(0),))],
)
def test_impossible_spaces_are_refused(grid: tuple[int, ...], spans: tuple[Real | Symbol, ...]) -> None:
    with pytest.raises(Incompatible):
        Space(grid, spans)


@pytest.mark.parametrize(
    ("space", "said"),
    [
        (Space((28, 28), (Real(1),)), "28 x 28 numbers"),
        (Space((28, 28), (Real(3),)), "28 x 28 of 3 numbers"),
        (Space((4, 4), (Symbol(256),) * 3), "4 x 4 of 3 symbols out of 256"),
        (Space((512,), (Symbol(90, pad=0),)), "up to 512 symbols out of 90"),
        (Space((257,), (Symbol(1_085),)), "257 symbols out of 1,085"),
        (Space((), (Real(1), Real(1), Symbol(2))), "one row of 2 numbers, 1 symbol out of 2"),
        (Space((), (Symbol(2), Symbol(3), Symbol(4))), "one row of 3 symbols"),
    ],
    ids=str,
)
def test_a_space_in_words(space: Space, said: str) -> None:
    assert str(space) == said
