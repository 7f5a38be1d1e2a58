"""Names and options: found, checked against their types, refused with the nearest one."""

from __future__ import annotations

from importlib.metadata import EntryPoint
from typing import Annotated, Any, Literal

import annotated_types
import pytest

from genwright import registry
from genwright.errors import RecipeError, closest_name, suggest
from genwright.registry import KINDS, build, check, coerce, names, options, resolve

EVERY = [(kind, name) for kind, table in KINDS.items() for name in table]


class Thing:
    """A plug-in."""

    def __init__(self, first: int = 0, *, size: int = 1, mode: Literal["a", "b"] = "a") -> None:
        self.first, self.size, self.mode = first, size, mode


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_name_stands_for_a_class_with_a_sentence(kind: str, name: str) -> None:
    found = resolve(kind, name)
    assert (found.__doc__ or "").strip()
    for option in options(found).values():
        assert option.default is not option.empty, f"{kind} {name}: {option.name} has no default"


@pytest.mark.parametrize(("kind", "name"), EVERY)
def test_every_default_is_of_its_own_type(kind: str, name: str) -> None:
    """So that a recipe with all defaults written out can be read again."""
    defaults = {key: option.default for key, option in options(resolve(kind, name)).items()}
    assert coerce(resolve(kind, name), defaults, where=kind) == defaults


@pytest.mark.parametrize("kind", KINDS)
def test_an_unknown_name_is_refused_with_the_nearest(kind: str) -> None:
    first = min(names(kind))
    with pytest.raises(RecipeError, match=f"did you mean '{first}'") as error:
        resolve(kind, first + "x")
    assert error.value.code == "unknown-name"
    with pytest.raises(RecipeError, match=f"among the {kind}; known: .*{first}"):
        resolve(kind, "???")


def test_options_are_the_keywords() -> None:
    assert list(options(Thing)) == ["size", "mode"]


# -- installed packages ----------------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Other packages offer these families."""

    def install(**offered: str) -> None:
        points = [EntryPoint(name, value, "genwright.families") for name, value in offered.items()]
        monkeypatch.setattr(registry, "entry_points", lambda group: points)
        registry._table.cache_clear()

    yield install
    registry._table.cache_clear()


def test_a_package_can_offer_a_plug_in(installed: Any) -> None:
    installed(mine=f"{__name__}:Thing")
    assert names("families")[-1] == "mine"
    assert resolve("families", "mine").__name__ == "Thing"
    made = build("families", "mine", {"size": "3", "mode": "b"}, 7, where="family")
    assert (made.first, made.size, made.mode) == (7, 3, "b")


def test_two_packages_with_one_name_clash(installed: Any) -> None:
    installed(vae="other:VAE")
    with pytest.raises(
        RecipeError, match=r"two packages offer families 'vae'.*other:VAE.*uninstall"
    ) as error:
        names("families")
    assert error.value.code == "name-clash"


# -- checking --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hint", "given", "found"),
    [
        (int, 3, 3),
        (int, "3", 3),
        (int, 3.0, 3),
        (float, 3, 3.0),
        (float, "1e-3", 1e-3),
        (bool, True, True),
        (bool, "true", True),
        (str, "x", "x"),
        (str, 2024, "2024"),
        (int | None, None, None),
        (int | None, 4, 4),
        (Literal["a", "b"], "b", "b"),
        (Literal["auto", 8, 16], 8, 8),
        (tuple[int, int], [1, 2], (1, 2)),
        (list[str] | str | None, ["x"], ["x"]),
        (list[str] | str | None, "x,y", "x,y"),
        (list[str] | None, "x, y", ["x", "y"]),
        (list[int], "1,2", [1, 2]),
        (dict[str, str], {"a": "b"}, {"a": "b"}),
        (Annotated[int, annotated_types.Ge(1)], 1, 1),
    ],
)
def test_a_value_is_brought_to_its_type(hint: Any, given: Any, found: Any) -> None:
    value = check({"x": given}, {"x": hint}, where="")["x"]
    assert value == found
    assert type(value) is type(found)


@pytest.mark.parametrize(
    ("hint", "given", "words", "code"),
    [
        (int, "x", "wanted a whole number", "wrong-type"),
        (int, 1.5, "wanted a whole number", "wrong-type"),
        (int, True, "wanted a whole number", "wrong-type"),
        (int | None, "x", "wanted a whole number", "wrong-type"),
        (float, "x", "wanted a finite number", "wrong-type"),
        (float, float("nan"), "wanted a finite number", "out-of-range"),
        (float, float("inf"), "wanted a finite number", "out-of-range"),
        (float, False, "wanted a finite number", "wrong-type"),
        (bool, "maybe", "wanted true or false", "wrong-type"),
        (str, ["x"], "wanted a text", "wrong-type"),
        (str, True, "wanted a text", "wrong-type"),
        (Literal["a", "b"], "c", "wanted one of a, b", "unknown-choice"),
        (Literal["auto", 8, 16], 9, "wanted one of auto, 8, 16", "unknown-choice"),
        (tuple[int, int], [1], r"wanted \[a whole number, a whole number\]", "wrong-type"),
        (tuple[str, ...], "x", "wanted a list, each a text", "wrong-type"),
        (
            int | tuple[int, int] | None,
            "x",
            r"a whole number or \[a whole number, a whole number\]",
            "wrong-type",
        ),
        (dict[str, float], 3, "names, each with a finite number", "wrong-type"),
        (int | None, [1], "wanted a whole number", "wrong-type"),
        (Literal["auto"] | int, "x", "wanted one of auto or a whole number", "wrong-type"),
        (Annotated[float, annotated_types.Gt(0)] | None, -1, "above 0", "out-of-range"),
        (float, 1e39, "no larger than 1e\\+38", "out-of-range"),
        (Annotated[int, annotated_types.Ge(1)], 0, "wanted a whole number, 1 or more$", "out-of-range"),
    ],
)
def test_a_value_of_another_type_is_refused_in_words(
    hint: Any, given: Any, words: str, code: str
) -> None:
    with pytest.raises(RecipeError, match=rf"family\.x cannot be .*{words}") as error:
        check({"x": given}, {"x": hint}, where="family")
    assert error.value.code == code


def test_an_unknown_option_is_refused_with_the_nearest() -> None:
    with pytest.raises(RecipeError, match=r"unknown option net\.sise; did you mean 'size'") as error:
        coerce(Thing, {"sise": 1}, where="net")
    assert error.value.code == "unknown-option"
    with pytest.raises(RecipeError, match="none is known"):
        check({"x": 1}, {}, where="task")


# -- the nearest name ------------------------------------------------------------------------------


def test_the_closest_name_cares_for_no_case() -> None:
    assert closest_name("Age", ["age", "wage"]) == "age"
    assert closest_name("age", ["AGE", "other"]) == "AGE"
    assert closest_name("?", ["age"]) is None
    assert closest_name("age", []) is None


def test_suggest_lists_what_is_known_but_not_endlessly() -> None:
    assert suggest("?", []) == "none is known"
    assert suggest("?", ["b", "a"]) == "known: a, b"
    many = suggest("?", [f"column{i:04d}" for i in range(1000)])
    assert len(many) < 300
    assert "1,000 in all" in many
