"""Any-order autoregression is exact: for whatever is known, what is drawn is what the likelihood says."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families.anyorder import AnyOrder, known_first
from genwright.registry import build
from genwright.space import Space, Symbol

TEXT, ROW = Space((4,), (Symbol(3),)), Space((), (Symbol(3), Symbol(4), Symbol(2)))


def family(space: Space) -> AnyOrder:
    torch.manual_seed(0)
    made = AnyOrder(space, {}, build("nets", "auto", {}, "xs", where="net")).eval()
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.4)
    return made


def every(space: Space) -> Tensor:
    sizes = [span.k for span in space.spans if isinstance(span, Symbol)] * space.positions
    found = torch.tensor(list(itertools.product(*map(range, sizes))))
    return found.view(len(found), *space.shape)


@pytest.mark.parametrize("space", [TEXT, ROW], ids=["text", "row"])
def test_likelihoods_sum_to_one_and_samples_follow_them(space: Space) -> None:
    one, x = family(space), every(space)
    with torch.no_grad():
        p = one.log_prob(Batch(x, {})).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-4)
    made = one.sample(8000, seed=0, chunk=8000)
    share = (made[:, None] == x[None]).flatten(2).all(2).float().mean(0)
    torch.testing.assert_close(share, p, rtol=0, atol=0.02)


@pytest.mark.parametrize("seen", [(0, 2), (3,), (1, 2, 3)])
def test_gaps_are_drawn_as_likely_as_they_are_said_to_be(seen: tuple[int, ...]) -> None:
    one, x = family(TEXT), every(TEXT)
    known = torch.zeros(1, 1, 4, dtype=torch.bool)
    known[..., list(seen)] = True
    given = torch.tensor([[[2, 0, 1, 2]]])
    fit = x[((x == given) | ~known).flatten(1).all(1)]
    with torch.no_grad():
        p = one.log_prob_of_gaps(Batch(fit, {}), known.expand(len(fit), -1, -1)).exp()
    assert p.sum().item() == pytest.approx(1.0, abs=1e-4)
    many, where = (t.expand(8000, -1, -1) for t in (given, known))
    made = one.infill(many, where, seed=0, chunk=8000)
    share = (made[:, None] == fit[None]).flatten(2).all(2).float().mean(0)
    torch.testing.assert_close(share, p, rtol=0, atol=0.02)
    plain, cached = (one.infill(many[:64], where[:64], seed=3, cache=cache) for cache in (False, True))
    assert torch.equal(plain, cached)


def test_what_is_known_comes_first_and_that_behind_the_gap_before_that_in_front() -> None:
    known = torch.tensor([[True, True, False, False, True, True], [False] * 6, [False, True] * 3])
    assert known_first(known).tolist() == [
        [4, 5, 0, 1, 2, 3],
        [0, 1, 2, 3, 4, 5],
        [1, 3, 5, 0, 2, 4],
    ]


def test_examples_with_other_gaps_can_be_filled_together() -> None:
    one = family(ROW)
    torch.manual_seed(1)
    x = every(ROW)[torch.randint(24, (200,))]
    known = torch.rand(200, 3) < 0.5
    made = one.infill(x, known, seed=0)
    assert torch.equal(made[known], x[known])
    alone = torch.cat([one.infill(x[i : i + 1], known[i : i + 1], seed=0) for i in range(1)])
    assert torch.equal(alone[0], made[0]), "an example does not depend on the others"


def test_a_text_does_not_end_before_what_is_known() -> None:
    space = Space((6,), (Symbol(3, pad=0),))
    one = family(space)
    x = torch.tensor([[[0, 0, 0, 1, 0, 0]]]).expand(300, -1, -1)
    known = torch.tensor([[[False, False, False, True, False, False]]]).expand(300, -1, -1)
    made = one.infill(x, known, seed=0)[:, 0]
    assert bool((made[:, :3] != 0).all())
    ended = (made[:, 4] == 0) & (made[:, 5] != 0)
    assert not bool(ended.any()), "and once it has, nothing comes"
    assert bool((made[:, 4] == 0).any())
    assert bool((made[:, 4] != 0).any())


@pytest.mark.parametrize(("place", "is_read"), [(15, True), (16, True), (17, True), (18, False)])
def test_a_gap_knows_at_once_what_it_has_to_lead_to(place: int, is_read: bool) -> None:
    """Before attention has learnt anything, a place reads the first symbols behind its gap, however long that is."""
    space, x = Space((20,), (Symbol(9),)), torch.arange(20)[None, None] % 9
    torch.manual_seed(0)
    one = AnyOrder(space, {}, build("nets", "auto", {}, "xs", where="net")).eval()
    torch.nn.init.normal_(one.head, std=0.4)
    known = torch.ones(1, 20, dtype=torch.bool)
    known[:, 5:15] = False
    other = x.clone()
    other[..., place] = (x[..., place] + 1) % 9
    with torch.no_grad():
        nats, changed = (one._nats(Batch(t, {}), known)[0, 5] for t in (x, other))
    assert bool(nats != changed) is is_read


def test_a_run_from_before_that_is_what_it_was() -> None:
    space, x = Space((12,), (Symbol(9),)), torch.randint(0, 9, (4, 1, 12))
    old = family(space)
    weights = {name: t for name, t in old.state_dict().items() if not name.startswith("beyond.")}
    new = family(space)
    new.load_state_dict(weights)
    for p in old.beyond.parameters():
        torch.nn.init.zeros_(p)
    with torch.no_grad():
        assert torch.equal(old.log_prob(Batch(x, {})), new.log_prob(Batch(x, {})))
