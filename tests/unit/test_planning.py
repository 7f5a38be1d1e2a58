"""Native, bridged or refused: the verdict, its reason and the ways out."""

from __future__ import annotations

import pytest

from genwright.errors import Incompatible, RecipeError
from genwright.families.translator import Translator
from genwright.planning import choose_bridge, choose_task, make_bridge, verdicts, weigh
from genwright.registry import names, resolve
from genwright.space import Real, Space, Symbol

PICTURE = Space((8, 8), (Real(1, bounded=True),))
LARGE = Space((64, 64), (Real(3, bounded=True),))
TEXT = Space((64,), (Symbol(80),))
PIECES = Space((64,), (Symbol(4096),))
ROW = Space((), (Real(1), Symbol(5)))
SPACES = {"picture": PICTURE, "large": LARGE, "text": TEXT, "pieces": PIECES, "row": ROW}


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("family", names("families"))
def test_a_verdict_is_what_the_family_declares(family: str, space: Space) -> None:
    verdict = weigh(family, space)
    kind = resolve("families", family)
    numbers = space.stored * space.positions
    fits = (
        space.kind in kind.accepts
        and len(space.grid) >= kind.least_axes
        and (kind.max_positions is None or numbers <= kind.max_positions)
        and (kind.max_width is None or max(span.width for span in space.spans) <= kind.max_width)
    )
    assert (verdict.outcome == "native") == fits
    assert (verdict.outcome == "native") == (verdict.outcome != "refused" and verdict.bridge == "none")
    if verdict.outcome != "native":
        assert verdict.reason


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_every_family_has_one_verdict(space: Space) -> None:
    assert [verdict.family for verdict in verdicts(space)] == names("families")


def test_a_bridge_is_named_with_what_it_makes() -> None:
    verdict = weigh("autoregressive", PICTURE)
    assert (verdict.outcome, verdict.bridge) == ("bridged", "quantize")
    assert "from 8 x 8 numbers to 8 x 8 symbols out of 256" in str(verdict)


def test_what_is_too_long_is_told_the_dial() -> None:
    verdict = weigh("autoregressive", LARGE, dial="codec.size=32")
    assert verdict.outcome == "refused"
    assert "at most 4,096" in verdict.reason
    assert "12,288" in verdict.reason
    assert verdict.ways[0] == "--set codec.size=32"
    assert "--family diffusion" in verdict.ways
    assert "--family cyclegan" not in verdict.ways  # which learns without pairs


def test_a_dial_is_no_way_out_of_another_trouble() -> None:
    verdict = weigh("vae", PIECES, dial="codec.length=64")
    assert verdict.outcome == "refused"
    assert "4,096" in verdict.reason
    assert verdict.ways == ["--family autoregressive", "--family anyorder", "--family masked"]


def test_a_bridge_that_was_asked_for_can_be_left_away() -> None:
    verdict = weigh("autoregressive", PICTURE, bridge="none", dial="codec.size=32")
    assert verdict.outcome == "refused"
    assert verdict.ways[0] == "--set bridge.name=auto"
    assert "--set codec.size=32" not in verdict.ways
    # Where nothing helps, it is no way out either.
    assert "--set bridge.name=auto" not in weigh("autoregressive", LARGE, bridge="none").ways


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
@pytest.mark.parametrize("family", names("families"))
def test_every_family_that_is_named_as_a_way_out_is_one(family: str, space: Space) -> None:
    for way in weigh(family, space).ways:
        assert way.startswith("--family ")
        assert weigh(way.removeprefix("--family "), space).outcome == "native"


def test_a_refusal_is_raised_with_the_ways_out() -> None:
    with pytest.raises(Incompatible, match=r"at most 4,096.*--set codec\.size=32; or --family") as error:
        choose_bridge("autoregressive", LARGE, dial="codec.size=32")
    assert error.value.code == "family-refused"


@pytest.mark.parametrize("family", names("families"))
def test_a_task_is_chosen_for_the_family_and_no_other_is_taken(family: str) -> None:
    unpaired = issubclass(resolve("families", family), Translator)
    right, wrong = ("unpaired", "generate") if unpaired else ("generate", "unpaired")
    assert choose_task(family, "auto") == choose_task(family, right) == right
    with pytest.raises(
        Incompatible, match=rf"{family} learns from.*: leave task.name at auto, or"
    ) as error:
        choose_task(family, wrong)
    assert error.value.code == "task-mismatch"


def test_a_bridge_comes_with_its_options() -> None:
    verdict, bridge = choose_bridge("autoregressive", PICTURE, bridge="quantize", options={"bins": 16})
    assert "symbols out of 16" in verdict.reason
    assert bridge.plan(PICTURE).spans == (Symbol(16, ordered=True),)


def test_options_want_the_name_of_their_bridge() -> None:
    with pytest.raises(RecipeError, match=r"\(bins\) need its name") as error:
        choose_bridge("autoregressive", PICTURE, options={"bins": 16})
    assert error.value.code == "missing-option"
    with pytest.raises(RecipeError) as error:
        weigh("vae", PICTURE, bridge="quantise")
    assert error.value.code == "unknown-name"
    with pytest.raises(RecipeError) as error:
        make_bridge("quantize", {"bin": 3})
    assert error.value.code == "unknown-option"
