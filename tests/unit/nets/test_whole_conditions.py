"""Conditions that are read place by place, without what only fills them up."""

from __future__ import annotations

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families.autoregressive import Autoregressive
from genwright.nets.auto import Auto
from genwright.space import CondSpec, Space, Symbol

LONG = Space((200,), (Symbol(9, pad=0),))


def family(drop: float = 0.1) -> Autoregressive:
    torch.manual_seed(0)
    made = Autoregressive(LONG, {"given": CondSpec(LONG, drop, whole=True)}, Auto("xs")).eval()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return made


def texts(*sizes: int) -> Tensor:
    x = torch.randint(1, 9, (len(sizes), 1, 200), generator=torch.Generator().manual_seed(0))
    return x * (torch.arange(200) < torch.tensor(sizes)[:, None, None])


def test_what_stands_beside_an_example_in_a_batch_changes_nothing() -> None:
    model, x, given = family(), texts(20, 150, 3), texts(5, 180, 40)
    valid = LONG.valid(x)
    assert valid is not None
    with torch.no_grad():
        together = model.log_prob(Batch(x, {"given": given}, valid))
        alone = [
            model.log_prob(Batch(x[i : i + 1], {"given": given[i : i + 1]}, valid[i : i + 1]))
            for i in range(3)
        ]
        without = [model.log_prob(Batch(x[i : i + 1], {}, valid[i : i + 1])) for i in range(3)]
        torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-3)
        torch.testing.assert_close(
            model.log_prob(Batch(x, {}, valid)), torch.cat(without), rtol=0, atol=1e-3
        )


def test_each_place_counts_and_what_lies_behind_the_end_does_not() -> None:
    model, x, given = family(), texts(20), texts(150)
    valid = LONG.valid(x)
    with torch.no_grad():
        before = model.log_prob(Batch(x, {"given": given}, valid))
        other, behind = given.clone(), given.clone()
        other[0, 0, 131] = given[0, 0, 131] % 8 + 1
        behind[0, 0, 160:] = 5
        assert model.log_prob(Batch(x, {"given": other}, valid)) != before
        assert model.log_prob(Batch(x, {"given": behind}, valid)) == before


def test_work_ends_where_the_longest_example_does() -> None:
    model, seen = family(), list[int]()
    model.net.register_forward_pre_hook(lambda net, args: seen.append(args[0].shape[1]))
    encoder = model.conditioner.project["given"].net
    encoder.register_forward_pre_hook(lambda net, args: seen.append(args[0].shape[2]))  # type: ignore[operator, union-attr]
    x, given = texts(20, 7), texts(5, 33)
    model.loss(Batch(x, {"given": given}, LONG.valid(x)), "fit")
    assert seen == [34, 21]  # each with the end, which has to be read and made
