"""A pointer that copies symbols of what is given."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible
from genwright.families.autoregressive import Autoregressive
from genwright.families.lexicon import model_1
from genwright.registry import build
from genwright.space import CondSpec, Space, Symbol


def of(space: Space, *, copied: bool, drop: float = 0.1) -> Autoregressive:
    torch.manual_seed(0)
    nets = build("nets", "auto", {}, "xs", where="net")
    return Autoregressive(space, {"given": CondSpec(space, drop, whole=True, copied=copied)}, nets)


def test_what_is_said_and_what_is_copied_are_one_distribution() -> None:
    space = Space((3,), (Symbol(4),))
    family = of(space, copied=True).eval()
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.4)
    every = torch.tensor(list(itertools.product(range(4), repeat=3)))[:, None]
    given = {"given": torch.tensor([[[1, 3, 3]]])}
    for cond in (given, {}):
        same = {name: one.expand(len(every), -1, -1) for name, one in cond.items()}
        with torch.no_grad():
            p = family.log_prob(Batch(every, same)).exp()
        assert p.sum().item() == pytest.approx(1.0, abs=1e-4)
        many = {name: one.expand(6000, -1, -1) for name, one in cond.items()}
        drawn = family.sample(6000, many, seed=0, chunk=6000)
        share = (drawn == every.view(1, -1, 3)).all(2).float().mean(0)
        torch.testing.assert_close(share, p, rtol=0, atol=0.02)


def names(n: int, low: int, high: int, seed: int) -> Tensor:
    """Words of 2 to 6 symbols."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.randint(low, high, (n, 1, 7), generator=rng)
    return x * (torch.arange(7) < torch.randint(2, 7, (n, 1, 1), generator=rng))


@pytest.mark.parametrize("copied", [True, False])
def test_symbols_that_never_came_in_training_are_copied(copied: bool) -> None:
    space = Space((7,), (Symbol(60, pad=0),))
    family = of(space, copied=copied, drop=0.0)
    optimizer = torch.optim.AdamW(family.parameters(), 6e-3)
    for step in range(60):
        x = names(64, 1, 30, seed=step)
        loss = family.loss(Batch(x, {"given": x}, space.valid(x)), "fit")["nll"]
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    new = names(100, 30, 60, seed=1000)
    made = family.eval().sample(100, {"given": new}, seed=0, temperature=0.0)
    right = (made == new).all(2).float().mean().item()
    assert right > 0.3 if copied else right == 0.0


def test_symbols_of_another_vocabulary_are_refused() -> None:
    other = {"given": CondSpec(Space((5,), (Symbol(9),)), whole=True, copied=True)}
    with pytest.raises(Incompatible, match="other symbols"):
        Autoregressive(Space((5,), (Symbol(8),)), other, build("nets", "auto", {}, "xs", where="net"))


def test_a_lexicon_is_learnt_from_pairs() -> None:
    """Each symbol of one side becomes another of the other side, in another order and with one more in between."""
    rng = torch.Generator().manual_seed(0)
    source = torch.randint(1, 20, (500, 6), generator=rng)
    order = torch.stack([torch.randperm(6, generator=rng) for _ in range(500)])
    target = torch.cat([(source + 20).gather(1, order), torch.full((500, 1), 45)], dim=1)
    source[:100, 4:] = -1  # shorter texts
    table = model_1(source, target, 50)
    assert table.sum(1).tolist() == pytest.approx([1.0] * 50)
    assert table[1:20].argmax(1).tolist() == list(range(21, 40))
    assert float(table[1:20].amax(1).min()) > 0.8
    assert table[46:].argmax(1).tolist() == list(range(46, 50)), "what was never met stands for itself"


def test_what_is_given_is_translated_before_a_network_learns() -> None:
    space = Space((7,), (Symbol(60, pad=0),))
    family = of(space, copied=True, drop=0.0)
    x = names(500, 1, 30, seed=0)
    moved = torch.where(x > 0, x + 30, x)
    few = Batch(moved, {"given": x}, space.valid(moved))
    before = family.loss(few, "fit")["nll"].item()
    family.prepare(few)
    assert family.loss(few, "fit")["nll"].item() < before - 0.5
    # A run of before there were lexicons goes on copying.
    state = {name: one for name, one in family.state_dict().items() if "pointer.becomes" not in name}
    del state["pointer.share"]
    old = of(space, copied=True, drop=0.0)
    old.load_state_dict(state)
    assert old.loss(few, "fit")["nll"].item() == pytest.approx(before)
