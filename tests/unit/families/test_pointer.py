"""A pointer that copies symbols of what is given."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible
from genwright.families.autoregressive import Autoregressive
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
