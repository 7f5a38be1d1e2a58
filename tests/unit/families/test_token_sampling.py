"""The dials of a sampler, against laws that are known."""

from __future__ import annotations

import itertools

import pytest
import torch

from genwright.errors import RecipeError
from genwright.families.autoregressive import Autoregressive
from genwright.families.token_sampling import TokenSampler, inverse_cdf_sample
from genwright.nets.auto import Auto
from genwright.space import Space, Symbol

P = torch.tensor([0.05, 0.4, 0.1, 0.25, 0.2])


def law(**sampler: float) -> list[float]:
    """What is left of `P`, to 4 digits."""
    return [round(v, 4) for v in TokenSampler(**sampler).probs(P.log()).tolist()]  # type: ignore[arg-type]


def test_each_dial_by_hand() -> None:
    assert law() == [0.05, 0.4, 0.1, 0.25, 0.2]
    half = P.square() / P.square().sum()  # temperature .5 squares a law
    torch.testing.assert_close(TokenSampler(temperature=0.5).probs(P.log()), half)
    assert law(temperature=0.0) == [0, 1, 0, 0, 0]
    assert law(top_k=2) == [0, 0.6154, 0, 0.3846, 0]
    assert law(top_k=99) == law()
    assert law(top_p=0.6) == [0, 0.6154, 0, 0.3846, 0]  # .4 is too little, .65 is enough
    assert law(top_p=0.4) == [0, 1, 0, 0, 0]
    assert law(top_p=0.66) == [0, 0.4706, 0, 0.2941, 0.2353]
    assert law(top_p=1.0) == law()
    assert law(min_p=0.49) == [0, 0.4706, 0, 0.2941, 0.2353]  # .2 is half of .4
    assert law(min_p=0.51) == [0, 0.6154, 0, 0.3846, 0]
    assert law(min_p=1.0) == [0, 1, 0, 0, 0]


def test_dials_act_one_after_the_other() -> None:
    # A high temperature makes the law flat, and then the others cut less (arXiv:2407.01082, 3).
    assert law(temperature=4.0, min_p=0.5)[0] > 0
    # Of .4 .25 .2 the share of the first two is .76, of the whole .65.
    assert law(top_k=3, top_p=0.7) == [0, 0.6154, 0, 0.3846, 0]
    assert law(top_p=0.9, min_p=0.6) == [0, 0.6154, 0, 0.3846, 0]


def test_equal_logits_are_cut_to_k_all_the_same() -> None:
    flat = torch.zeros(3, 6)
    assert (TokenSampler(top_k=2).probs(flat) > 0).sum(1).tolist() == [2, 2, 2]
    assert (TokenSampler(top_p=0.5).probs(flat) > 0).sum(1).tolist() == [3, 3, 3]
    assert (TokenSampler(min_p=1.0).probs(flat) > 0).all()


@pytest.mark.parametrize("temperature", [0.0, 1e-40, 1e-6, 0.7, 1.0, 1e30])
def test_every_combination_leaves_a_law(temperature: float) -> None:
    torch.manual_seed(0)
    logits = torch.cat([40 * torch.randn(4, 9), torch.zeros(1, 9), torch.full((1, 9), -torch.inf)])
    logits[-1, 4] = 1e4
    for k, p, m in itertools.product((None, 1, 3, 9, 50), (None, 1e-6, 0.5, 1.0), (None, 1e-6, 0.3, 1)):
        found = TokenSampler(temperature, k, p, m).probs(logits)
        torch.testing.assert_close(found.sum(1), torch.ones(6))
        assert (found >= 0).all()
        assert (found.gather(1, logits.argmax(1, keepdim=True)) > 0).all()
        assert k is None or ((found > 0).sum(1) <= k).all()


def test_choosing_follows_the_law_and_leaves_out_what_is_cut() -> None:
    rng = torch.Generator().manual_seed(0)
    p = TokenSampler(top_k=3).probs(P.log())
    drawn = inverse_cdf_sample(p.expand(40_000, 5), torch.rand(40_000, generator=rng))
    torch.testing.assert_close(torch.bincount(drawn, minlength=5) / 40_000, p, rtol=0, atol=0.01)
    # At both ends of the line too.
    edge = torch.tensor([0.0, 1 - 2**-24])
    assert inverse_cdf_sample(torch.tensor([[0.0, 0.5, 0.5, 0.0]] * 2), edge).tolist() == [1, 2]
    sure = torch.tensor([0.0, 0.0, 1.0, 0.0])
    assert (inverse_cdf_sample(sure.expand(1000, 4), torch.rand(1000, generator=rng)) == 2).all()


@pytest.mark.parametrize(
    ("knob", "value", "words"),
    [
        ("temperature", -0.5, "0 or more"),
        ("temperature", float("nan"), "finite"),
        ("top_k", 0, "1 or more"),
        ("top_k", 2.5, "whole number"),
        ("top_p", 0, "above 0"),
        ("top_p", 1.5, "1 or less"),
        ("min_p", -0.1, "above 0"),
        ("min_p", 2, "1 or less"),
        ("min_p", "much", "finite number"),
    ],
)
def test_a_dial_out_of_range_is_a_sentence(knob: str, value: object, words: str) -> None:
    family = Autoregressive(Space((3,), (Symbol(4),)), {}, Auto("xs"))
    with pytest.raises(RecipeError, match=rf"sample\.{knob} cannot be .*{words}"):
        family.sample(1, **{knob: value})
