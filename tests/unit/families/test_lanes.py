"""Several requests at once: each draws its own numbers, and each is what it is alone."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from genwright.errors import Unsupported
from genwright.families.drafts import Draft, drafts_through, reached, watching
from genwright.families.lanes import LaneRequest, in_lanes

DRAWS = {
    "randn": lambda n, rng: torch.randn(n, 3, generator=rng),
    "rand-of-a-shape": lambda n, rng: torch.rand((n, 20), generator=rng),
    "normal": lambda n, rng: torch.empty(n, 3).normal_(generator=rng),
    "exponential": lambda n, rng: torch.empty(n, 40).exponential_(generator=rng),
    "truncated": lambda n, rng: nn.init.trunc_normal_(torch.empty(n, 4), generator=rng),
    "multinomial": lambda n, rng: torch.multinomial(torch.full((n, 5), 0.2), 1, generator=rng),
    "of-channels": lambda n, rng: torch.empty(n, 4, 2)[:, 1:3].normal_(generator=rng),
}


def part(n: int, seed: int, cond: torch.Tensor | None = None) -> LaneRequest:
    return LaneRequest(n, torch.Generator().manual_seed(seed), {} if cond is None else {"label": cond})


@pytest.mark.parametrize("name", DRAWS)
def test_each_draws_what_it_draws_alone(name):
    def make(n, cond, rng):
        return torch.cat([DRAWS[name](n, rng), DRAWS[name](n, rng)], dim=1)

    together = in_lanes(make, [part(2, 5), part(1, 6), part(3, 7)], 8)
    for made, (n, seed) in zip(together, ((2, 5), (1, 6), (3, 7)), strict=True):
        alone = make(n, {}, torch.Generator().manual_seed(seed))
        assert torch.equal(made, alone)
        (lane,) = in_lanes(make, [part(n, seed)], 8)
        assert torch.equal(lane, alone)


def test_what_is_made_always_has_as_many_rows():
    rows = []

    def make(n, cond, rng):
        rows.append(n)
        assert len(cond["label"]) == n
        return cond["label"] * 10 + torch.rand(n, 1, generator=rng)

    label = torch.arange(3.0)[:, None]
    one, two = in_lanes(make, [part(1, 1, label[:1]), part(2, 2, label[1:])], 4)
    assert (one // 10).tolist() == [[0]]
    assert (two // 10).tolist() == [[1], [2]]
    in_lanes(make, [part(3, 1, label)], 2)
    assert rows == [4, 3]


def test_rows_that_nobody_wants_repeat_the_first():
    seen = []

    def make(n, cond, rng):
        seen.append(torch.rand(n, 2, generator=rng))
        return seen[-1]

    in_lanes(make, [part(2, 1)], 4)
    assert torch.equal(seen[0][2:], seen[0][:1].expand(2, -1))


def test_a_draw_that_is_not_by_example_cannot_be_shared():
    def make(n, cond, rng):
        return torch.rand(3, generator=rng).expand(n, 3)

    (alone,) = in_lanes(make, [part(1, 4)], 8)
    assert torch.equal(alone[0], torch.rand(3, generator=torch.Generator().manual_seed(4)))
    with pytest.raises(Unsupported, match="not draw by example"):
        in_lanes(make, [part(1, 4), part(1, 5)], 8)


def test_drafts_are_shown_to_whoever_watches():
    seen = []
    reached(Draft(1, 2, lambda: torch.ones(1)))  # nobody does
    with watching(seen.append):
        reached(Draft(1, 2, lambda: torch.ones(1), places=3))
        with drafts_through(lambda x: x + 1):
            reached(Draft(2, 2, lambda: torch.ones(1)))
    assert [(draft.step, draft.places, draft.examples().item()) for draft in seen] == [
        (1, 3, 1),
        (2, None, 2),
    ]
