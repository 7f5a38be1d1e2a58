"""Ordered symbols share what is smooth along their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from genwright.batch import Batch
from genwright.bridges.base import Quantize
from genwright.families.autoregressive import Autoregressive
from genwright.families.base import Family
from genwright.families.masked import Masked
from genwright.families.ordinal import OrdinalTable, SmoothRows
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Span, Symbol


def added(spans: Sequence[Span], width: int, extra: int = 0) -> torch.Tensor:
    """What is smooth of a table whose rows spread by a half."""
    torch.manual_seed(0)
    symbols = sum(span.k for span in spans if isinstance(span, Symbol))
    table = OrdinalTable(symbols + extra, width, spans, std=0.5)
    return (table() - table.weight).detach()


def test_neighbours_are_alike_and_other_rows_are_left_alone() -> None:
    spans = (Symbol(5), Symbol(64, ordered=True), Symbol(2, ordered=True), Symbol(9, ordered=True))
    rows = added(spans, 400, extra=3)
    assert len(rows) == 83
    assert not rows[:5].any()
    assert not rows[69:71].any()  # of two symbols there is nothing between
    assert not rows[80:].any()
    near = torch.cosine_similarity(rows[25], rows[26], dim=0)
    assert near > 0.9
    assert torch.cosine_similarity(rows[25], rows[45], dim=0) < near - 0.3
    assert torch.cosine_similarity(rows[74], rows[75], dim=0) > 0.1
    assert abs(torch.cosine_similarity(rows[30], rows[75], dim=0)) < 0.3


def test_the_smooth_part_starts_with_the_spread_of_the_rows() -> None:
    spans = (Symbol(200, ordered=True), Symbol(7, ordered=True))
    assert float(added(spans, 64).std()) == pytest.approx(0.5, rel=0.1)
    zeros = torch.zeros(207, 64)
    assert not SmoothRows(spans, 64)(zeros).any()


def test_a_table_without_order_is_its_rows() -> None:
    table = OrdinalTable(5, 4, (Symbol(5),), std=0.5)
    assert [name for name, _ in table.named_parameters()] == ["weight"]
    assert table() is table.weight


def test_bins_of_numbers_are_ordered_and_stay_so_on_disk() -> None:
    space, bridge = Space((), (Real(1), Symbol(3))), Quantize(bins=16)
    bridge.fit(space, torch.randn(200, 2))
    assert [span.ordered for span in bridge.target.spans if isinstance(span, Symbol)] == [True, False]
    assert Space.restore(bridge.target.state()) == bridge.target


def test_a_space_of_an_older_run_has_no_order_and_its_weights_the_names_they_had() -> None:
    space = Space.restore({"grid": [], "spans": [{"symbol": 4, "pad": None}] * 2})
    assert space.spans == (Symbol(4), Symbol(4))
    names = set(Autoregressive(space, {}, Auto("xs")).state_dict())
    assert {"head", "embeds.0.weight"} <= names
    assert not [name for name in names if "smooth" in name]


@pytest.mark.parametrize("kind", [Autoregressive, Masked])
def test_what_few_examples_show_of_some_bins_is_learnt_for_those_between(kind: type[Any]) -> None:
    """The second number is 1 where the first is large; the bins with an odd number are never shown."""

    def wrong(ordered: bool) -> float:
        torch.manual_seed(0)
        space = Space((), (Symbol(40, ordered=ordered), Symbol(2)))
        family: Family = kind(space, {}, Auto("xs"))
        x = torch.arange(0, 40, 2).repeat(8)
        x = torch.stack([x, (x >= 20).long()], 1)
        optimizer = torch.optim.Adam(family.parameters(), lr=5e-3)
        for _ in range(60):
            optimizer.zero_grad()
            sum(family.loss(Batch(x), "fit").values()).backward()  # type: ignore[union-attr]
            optimizer.step()
        odd = torch.arange(1, 40, 2)
        said = torch.stack(
            [
                family.log_prob(Batch(torch.stack([odd, torch.full_like(odd, y)], 1)))  # type: ignore[operator]
                for y in (0, 1)
            ]
        )
        return float((said.argmax(0) != (odd >= 20)).float().mean())

    assert wrong(ordered=True) <= 0.1
    assert wrong(ordered=False) >= 0.2
