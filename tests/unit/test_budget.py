"""What time decides: large enough for the time, and never so large that there are few steps."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from genwright import api, budget
from genwright.experiment import Experiment
from genwright.nets.roles import Size
from genwright.recipe import make_recipe
from genwright.training import threads
from genwright.training.cost import Cost

SLOWER: dict[Size, float] = {"xs": 1.0, "s": 4.0, "m": 20.0, "l": 100.0}


def chosen(seconds: float, each: float, **named: Any) -> budget.Choice:
    """On a machine that takes `each` seconds for an example with the smallest nets."""

    def price(size: Size, batch: int) -> Cost:
        return Cost(each * SLOWER[size] * batch, batch * 1000)

    return budget.choose(seconds, price, **{"most": 128, **named})


def test_more_time_is_for_more_of_everything() -> None:
    order: list[Size] = ["xs", "s", "m"]
    found = [chosen(60 * minutes, 1e-3) for minutes in (0.1, 1, 5, 20, 120, 1000)]
    assert [one.batch for one in found if one.size == "s"] == sorted(
        one.batch for one in found if one.size == "s"
    )
    sizes = [order.index(one.size) for one in found]
    assert sizes == sorted(sizes)
    assert {0, 1, 2} == set(sizes)


@pytest.mark.parametrize("seconds", [60.0, 300.0, 1200.0])
@pytest.mark.parametrize("each", [1e-5, 1e-3, 1e-2])
def test_steps_are_some_hundreds_before_anything_else_grows(seconds: float, each: float) -> None:
    choice = chosen(seconds, each)
    assert choice.steps * choice.cost.seconds == pytest.approx(seconds, rel=0.02)
    if choice.batch > budget.SMALLEST:
        assert choice.steps >= 0.5 * budget.STEPS_PER_EXAMPLE * choice.batch


def test_what_is_named_stays() -> None:
    assert chosen(60.0, 1.0, size="m").size == "m"
    choice = chosen(60.0, 1e-6, batch=12)
    assert choice.batch == 12
    assert chosen(1.0, 1.0, least=64).batch == 64
    assert chosen(1e6, 1e-6, most=8).batch == 8


def test_memory_bounds_both() -> None:
    assert chosen(1e5, 1e-6).size == "m"
    small = chosen(1e5, 1e-6, free=4 * 32_000)
    assert (small.size, small.batch) == ("xs", 32)


def test_little_data_is_for_small_nets() -> None:
    assert [chosen(1e5, 1e-6, numbers=n).size for n in (480, 92_000, 5_000_000)] == ["xs", "s", "m"]
    assert chosen(1e5, 1e-6, numbers=480, size="m").size == "m"


def test_an_example_of_few_numbers_teaches_less() -> None:
    assert [chosen(60.0, 1e-3, in_each=n).size for n in (15, 300, 1_000)] == ["xs", "s", "s"]
    assert chosen(1200.0, 1e-3, in_each=15).size == "s"


def test_an_example_that_teaches_less_is_for_small_nets() -> None:
    whole, third = (chosen(60.0, 2e-3, teaches=teaches) for teaches in (1.0, 1 / 3))
    assert (whole.size, third.size) == ("s", "xs")


def test_of_a_busy_core_less_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 0.05 < threads.share_of_a_core() <= 1
    times = iter([0.0, 0.05])
    monkeypatch.setattr(threads.time, "thread_time", lambda: next(times))
    assert threads.share_of_a_core() < 0.4


def test_a_context_is_shortened_where_time_is_short() -> None:
    assert chosen(60.0, 0.1, shortens=True).context == 0.25
    assert chosen(60.0, 0.1).context == 1
    assert chosen(6000.0, 1e-3, shortens=True).context == 1


def test_little_data_is_not_read_for_ever() -> None:
    assert budget.enough(100_000, 64, 64) == budget.LEAST
    assert budget.enough(100_000, 64, 6_400) == 100 * budget.PASSES
    assert budget.enough(50, 64, 6_400) == 50


# -- of a training ---------------------------------------------------------------------------------


def test_a_length_is_said_and_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And can be repeated by what was kept."""
    monkeypatch.setattr(budget, "MINUTES", 1e-4)
    first = api.train("digits", family="vae", out=tmp_path / "first")
    assert "longer with --minutes 60, or later by --resume" in first.run.plan
    train = first.recipe.train
    assert first.run.step == train.steps
    assert first.recipe.size in first.run.plan
    assert train.threads is not None
    kept = json.loads((tmp_path / "first" / "recipe.json").read_text())
    assert kept["train"]["batch_size"] == train.batch_size
    settings = [f"train.batch_size={train.batch_size}", f"train.threads={train.threads}"]
    again = api.train(
        "digits",
        family="vae",
        size=first.recipe.size,
        steps=train.steps,
        out=tmp_path / "again",
        settings=settings,
    )
    assert all(
        (a == b).all() for a, b in zip(first.family.parameters(), again.family.parameters(), strict=True)
    )


def test_steps_that_are_counted_leave_the_rest_alone() -> None:
    job = Experiment.of(make_recipe("digits", family="vae", steps=3))
    assert (job.recipe.size, job.recipe.train.batch_size, job.why) == ("s", None, "")


def test_a_short_training_reads_short_windows(tmp_path: Path) -> None:
    path = tmp_path / "long.txt"
    path.write_text("and so it goes, from one thing to the next; " * 400)
    job = Experiment.of(make_recipe(path, minutes=1e-3))
    assert job.recipe.codec.options["length"] == 64
    assert job.dataset.fields["text"].space.grid == (65,)
    named = Experiment.of(make_recipe(path, minutes=1e-3, settings=["codec.length=32"]))
    assert named.recipe.codec.options["length"] == 32
    assert named.recipe.train.batch_size == budget.SMALLEST
