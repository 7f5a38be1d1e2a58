"""Seconds become steps: all candidates get the same, and what is planned fits into the time."""

from __future__ import annotations

from itertools import product

import pytest

from genwright.comparing.bracket import LEAST_STEPS, Bracket, Price, plan_bracket
from genwright.errors import RecipeError


def prices(n: int, step: float = 0.01) -> dict[str, Price]:
    return {f"f{i}": Price(step * (1 + i), 1.0, 2.0, 0.5) for i in range(n)}


def planned(found: Bracket, costs: dict[str, Price], seeds: int) -> float:
    """Seconds of everything, where those that cost most come furthest."""
    by_cost = sorted(found.steps, key=lambda name: -costs[name].step)
    total, before = sum(costs[name].judging for name in found.steps), 0.0
    for i, (end, places) in enumerate(zip(found.rungs, found.places, strict=True)):
        last = i == len(found.rungs) - 1
        for name in by_cost[:places]:
            price = costs[name]
            total += price.begin + (end - before) * found.steps[name] * price.step
            total += 0 if last else price.choosing
            if last:
                total += (seeds - 1) * (price.begin + price.judging + found.steps[name] * price.step)
        before = end
    return total


@pytest.mark.parametrize(("n", "seconds", "seeds"), [*product((1, 2, 5, 8), (120, 600, 3000), (1, 3))])
def test_what_is_planned_fits_and_little_is_left(n: int, seconds: float, seeds: int) -> None:
    costs = prices(n)
    found = plan_bracket(costs, seconds, seeds)
    kept = {name: costs[name] for name in found.steps}
    total = planned(found, kept, seeds)
    assert total <= seconds + 1e-6
    assert total > 0.8 * seconds


def test_all_get_the_same_seconds() -> None:
    costs = prices(4)
    found = plan_bracket(costs, 1000)
    worked = [steps * costs[name].step for name, steps in found.steps.items()]
    assert min(worked) > found.seconds - 0.05
    assert max(worked) <= found.seconds


def test_where_there_is_time_all_come_to_the_end() -> None:
    assert plan_bracket(prices(4), 1000).rungs == [1.0]


def test_where_there_is_little_the_better_half_goes_on() -> None:
    found = plan_bracket(prices(8), 250)
    assert found.places == [8, 4, 2]
    assert found.rungs == [pytest.approx(1 / 7), pytest.approx(3 / 7), 1.0]
    assert found.until("f0", 2) == found.steps["f0"]
    assert plan_bracket(prices(8), 250, chooses=False).places == [8]


def test_who_is_too_slow_is_refused_with_what_would_be_enough() -> None:
    costs = {"quick": Price(0.01, 1, 1, 1), "slow": Price(5.0, 1, 1, 1)}
    found = plan_bracket(costs, 100)
    assert list(found.steps) == ["quick"]
    (refused,) = found.refused
    assert refused.family == "slow"
    assert "minutes more would be enough" in refused.cause


def test_what_is_said_to_be_enough_is_enough() -> None:
    costs = {"quick": Price(0.01, 1, 1, 1), "slow": Price(5.0, 1, 1, 1)}
    (refused,) = plan_bracket(costs, 100).refused
    more = float(refused.cause.split("; ")[1].split()[0])
    assert plan_bracket(costs, 100 + 60 * more).refused == []


def test_no_time_at_all_is_an_error_with_the_way_out() -> None:
    with pytest.raises(RecipeError, match="minutes more would be enough") as error:
        plan_bracket(prices(3), 1.0)
    assert error.value.code == "budget-too-short"
    more = float(str(error.value).split("about ")[1].split()[0])
    assert plan_bracket(prices(3), 1.0 + 60 * more).steps
    with pytest.raises(RecipeError, match="no candidate"):
        plan_bracket({}, 100.0)


def test_a_training_has_a_least_of_steps() -> None:
    found = plan_bracket(prices(8, step=0.2), 300)
    assert all(found.until(name, 0) >= LEAST_STEPS - 1 for name in found.steps)
