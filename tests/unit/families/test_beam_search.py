"""Beam search beside all there is, and beside greedy decoding."""

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

TEXT = Space((4,), (Symbol(3, pad=0),))
GIVEN = {"given": CondSpec(Space((5,), (Symbol(3, pad=0),)), whole=True)}


def lively(space: Space, net: str = "auto", seed: int = 0) -> Autoregressive:
    """Untrained but far from indifferent, and with something given."""
    torch.manual_seed(seed)
    cond = GIVEN if net == "auto" else {"given": Space((), (Symbol(3),))}
    family = Autoregressive(space, cond, build("nets", net, {}, "xs", where="net")).eval()
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return family


def sources(n: int) -> dict[str, Tensor]:
    x = torch.randint(1, 3, (n, 1, 5), generator=torch.Generator().manual_seed(0))
    return {"given": x * (torch.arange(5) < 2 + torch.arange(n)[:, None, None] % 4)}


def scores(family: Autoregressive, x: Tensor, given: dict[str, Tensor], penalty: float) -> Tensor:
    valid = family.space.valid(x)
    assert valid is not None
    with torch.no_grad():
        return family.log_prob(Batch(x, given, valid)) / ((5 + valid.sum(1)) / 6) ** penalty


@pytest.mark.parametrize("penalty", [0.0, 0.6, 2.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_wide_enough_it_finds_the_best_of_all(penalty: float, seed: int) -> None:
    family, n = lively(TEXT, seed=seed), 3
    every = torch.tensor(list(itertools.product(range(3), repeat=4)))[:, None]
    every = every[
        [bool((row.cumprod(0) == (row > 0)).all()) for row in every[:, 0]]
    ]  # nothing behind an end
    given = sources(n)
    found = family.sample(n, given, seed=0, beams=64, length_penalty=penalty)
    for i in range(n):
        same = {"given": given["given"][i : i + 1].expand(len(every), -1, -1)}
        best = every[int(scores(family, every, same, penalty).argmax())]
        assert torch.equal(found[i], best)


@pytest.mark.parametrize("net", ["auto", "wavenet", "pixelcnn"])
def test_one_beam_is_greedy_decoding(net: str) -> None:
    space = Space((3, 4), (Symbol(5),)) if net == "pixelcnn" else Space((12,), (Symbol(5, pad=0),))
    family = lively(space, net)
    given = sources(6) if net == "auto" else {"given": torch.arange(6)[:, None] % 3}
    greedy = family.sample(6, given, seed=0, temperature=0.0)
    assert torch.equal(family.sample(6, given, seed=1, beams=1), greedy)
    assert torch.equal(
        family.sample(6, given, seed=2, beams=3, cache=False), family.sample(6, given, seed=3, beams=3)
    )


def test_more_beams_find_likelier_ones_whatever_is_made_beside_them() -> None:
    family, given = lively(Space((12,), (Symbol(9, pad=0),))), sources(8)
    likely = [
        scores(
            family, family.sample(8, given, seed=0, beams=beams, length_penalty=0.0), given, 0.0
        ).sum()
        for beams in (1, 4, 16)
    ]
    assert likely == sorted(likely)
    assert likely[0] < likely[-1]
    alone = family.sample(1, {"given": given["given"][:1]}, seed=0, beams=4)
    assert torch.equal(family.sample(8, given, seed=0, beams=4)[:1], alone)


def test_it_goes_on_from_a_beginning_and_with_guidance() -> None:
    family, given = lively(Space((12,), (Symbol(9),))), sources(2)
    made = family.sample(2, given, seed=0, beams=3, prefix=[7, 2], guidance_scale=2.0)
    assert made[:, 0, :2].tolist() == [[7, 2], [7, 2]]


def test_a_search_draws_nothing() -> None:
    with pytest.raises(Incompatible, match="draws nothing"):
        lively(TEXT).sample(1, seed=0, beams=2, top_k=5)
