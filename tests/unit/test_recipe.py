"""A recipe: read, overridden, written out, and refused with the place and the way out."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest

from genwright.errors import RecipeError
from genwright.recipe import PLUGINS, DataOptions, Plugin, Recipe, TrainOptions, make_recipe
from snippets import ROOT


def recipe_of(toml: str) -> Recipe:
    return Recipe.of(tomllib.loads(toml))


def test_everything_has_a_default() -> None:
    recipe = recipe_of("")
    assert recipe == Recipe()
    assert (recipe.size, recipe.seed, recipe.task.name) == ("auto", 0, "auto")


def test_sections_become_options() -> None:
    recipe = recipe_of(
        """
        size = "m"
        seed = 7
        family = {name = "vae", beta = 4}
        [data]
        path = "photos"
        label = ["a", "b"]
        [train]
        minutes = 2
        batch_size = 6
        accumulate = 3
        """
    )
    assert recipe.family == Plugin("vae", {"beta": 4})
    assert recipe.data == DataOptions(path="photos", label=["a", "b"])
    assert recipe.train == TrainOptions(minutes=2.0, batch_size=6, accumulate=3)
    assert isinstance(recipe.train.minutes, float)
    assert (recipe.size, recipe.seed) == ("m", 7)


@pytest.mark.parametrize("label", [None, "", "x", ["x", "y"], []])
def test_a_recipe_written_out_is_the_same_recipe(label: Any) -> None:
    recipe = Recipe(
        DataOptions(path="x.csv", label=label, group="g"),
        family=Plugin("vae", {"beta": 0.5}),
        train=TrainOptions(minutes=1.5, lr=1e-3),
        size="l",
        seed=3,
    )
    assert Recipe.of(recipe.toml()) == recipe


@pytest.mark.parametrize("file", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda f: f.stem)
def test_the_recipes_that_ship_are_read(file: Path) -> None:
    assert Recipe.of(Recipe.read(file).toml()) == Recipe.read(file)


# -- overriding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "place", "value"),
    [
        ("seed=3", "seed", 3),
        ("size=xs", "size", "xs"),
        ("train.lr=1e-3", "train.lr", 1e-3),
        ("train.steps = 5", "train.steps", 5),
        ("data.path=my file.csv", "data.path", "my file.csv"),
        ('data.path="quoted.csv"', "data.path", "quoted.csv"),
        ("data.path=a=b", "data.path", "a=b"),
        ("data.path=2024", "data.path", "2024"),
        ("data.label=y", "data.label", "y"),
        ("data.label=", "data.label", ""),
        ('data.label=["y", "z"]', "data.label", ["y", "z"]),
        ("family=gan", "family.name", "gan"),
        ("family.name=gan", "family.name", "gan"),
        ("codec.size=[8, 16]", "codec.options", {"size": [8, 16]}),
        ("family.learned=true", "family.options", {"learned": True}),
        ("codec.types.age=integer", "codec.options", {"types": {"age": "integer"}}),
    ],
)
def test_a_setting_changes_one_value(setting: str, place: str, value: Any) -> None:
    found: Any = Recipe().override([setting])
    for name in place.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


def test_a_later_setting_wins_and_the_rest_stays() -> None:
    recipe = recipe_of('seed = 9\n[family]\nname = "vae"\nbeta = 2')
    changed = recipe.override(["family.beta=3", "family.beta=4"])
    assert changed.family == Plugin("vae", {"beta": 4})
    assert changed.seed == 9
    assert recipe.family.options == {"beta": 2}  # as it was


def test_another_plug_in_takes_none_of_the_options() -> None:
    recipe = recipe_of('[family]\nname = "vae"\nbeta = 2').override(["family=gan"])
    assert recipe.family == Plugin("gan")


@pytest.mark.parametrize(
    ("setting", "words", "code"),
    [
        ("family", "NAME=VALUE", "not-a-pair"),
        ("=3", "NAME=VALUE", "not-a-pair"),
        ("seed.x=3", "'seed' is a single value", "unknown-option"),
        ("train.checks.x=3", "'checks' is a single value", "unknown-option"),
        ("famly.beta=4", "did you mean 'family'", "unknown-option"),
        ("steps=4", "did you mean 'train.steps'", "unknown-option"),
        ("path=x", "did you mean 'data.path'", "unknown-option"),
        ("train.stpes=4", "did you mean 'steps'", "unknown-option"),
        ("seed=1.5", "seed cannot be 1.5: wanted a whole number", "wrong-type"),
        ("seed=-1", "seed cannot be -1: wanted a whole number, 0 or more", "out-of-range"),
        ("seed=9223372036854775808", "below", "out-of-range"),
        ("train=3", "train must be a section", "wrong-type"),
        ("train.steps=true", "train.steps cannot be True", "wrong-type"),
    ],
)
def test_a_setting_that_cannot_be(setting: str, words: str, code: str) -> None:
    with pytest.raises(RecipeError, match=words.replace(".", r"\.")) as error:
        Recipe().override([setting])
    assert error.value.code == code


# -- bounds ----------------------------------------------------------------------------------------


BOUNDS = [
    ("steps", 1, 0),
    ("minutes", 0.1, 0),
    ("batch_size", 1, 0),
    ("threads", 1, 0),
    ("accumulate", 1, 0),
    ("lr", 1e-9, 0),
    ("weight_decay", 0, -0.1),
    ("warmup", 0, 1),
    ("ema", 0, 0.25),
    ("clip", 0.1, 0),
    ("checks", 0, -1),
    ("save_minutes", 0.1, 0),
    ("log_every", 1, 0),
    ("samples", 0, -1),
    ("cover", 0, -1),
    ("judge", 0, -1),
    ("judge_examples", 1, 0),
]


@pytest.mark.parametrize(("name", "good", "bad"), BOUNDS)
def test_bounds_of_training(name: str, good: float, bad: float) -> None:
    assert getattr(Recipe().override([f"train.{name}={good}"]).train, name) == good
    with pytest.raises(RecipeError) as error:
        Recipe().override([f"train.{name}={bad}"])
    assert error.value.code == "out-of-range"
    assert str(error.value).startswith(f"train.{name} cannot be {bad}: ")


def test_every_number_of_training_has_a_bound() -> None:
    hints = get_type_hints(TrainOptions).items()
    numbers = {name for name, hint in hints if {int, float} & {hint, *get_args(hint)}}
    assert numbers == {name for name, _, _ in BOUNDS}


def test_a_batch_is_made_of_equal_parts() -> None:
    TrainOptions(batch_size=8, accumulate=2)
    TrainOptions(accumulate=3)  # of a batch that the family chooses
    with pytest.raises(RecipeError, match=r"batch_size=7 .* multiple of 2") as error:
        TrainOptions(batch_size=7, accumulate=2)
    assert error.value.code == "uneven-batch"


def test_options_that_need_others_or_exclude_them() -> None:
    with pytest.raises(RecipeError, match="say how often to judge") as error:
        TrainOptions(keep="judge")
    assert error.value.code == "missing-option"
    with pytest.raises(RecipeError, match="--steps or --minutes, not both") as error:
        make_recipe("x", steps=3, minutes=1)
    assert error.value.code == "contradicting-options"


@pytest.mark.parametrize(("val", "test"), [(-0.1, 0), (0, -0.1), (1, 0), (0.5, 0.5), (2, 0)])
def test_something_is_left_to_train_on(val: float, test: float) -> None:
    with pytest.raises(RecipeError, match=r"data\.val=.* below 1") as error:
        DataOptions(val=val, test=test)
    assert error.value.code == "nothing-to-train-on"


# -- files -----------------------------------------------------------------------------------------


def test_a_file_may_begin_with_a_mark(tmp_path: Path) -> None:
    file = tmp_path / "r.toml"
    file.write_text("seed = 4", encoding="utf-8-sig")
    assert Recipe.read(file).seed == 4


@pytest.mark.parametrize(
    ("content", "words", "code"),
    [
        (b"seed = = 4", "not valid TOML.*line 1", "invalid-toml"),
        ("seed = 4".encode("utf-16"), "UTF-8", "invalid-toml"),
        (b"[train]\nsteps = 'x'", r"train\.steps cannot be 'x'", "wrong-type"),
        (b"[trian]\nsteps = 3", "'trian'; did you mean 'train'", "unknown-option"),
        *((f"{name} = 3".encode(), f"{name} must be a section", "wrong-type") for name in PLUGINS),
    ],
)
def test_what_is_wrong_with_a_file_names_it(
    tmp_path: Path, content: bytes, words: str, code: str
) -> None:
    file = tmp_path / "r.toml"
    file.write_bytes(content)
    with pytest.raises(RecipeError, match=rf"r\.toml.*{words}") as error:
        Recipe.read(file)
    assert error.value.code == code


def test_no_file_and_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no recipe at") as error:
        Recipe.read(tmp_path / "r.toml")
    assert error.value.code == "no-file"
    with pytest.raises(RecipeError, match="cannot be read") as error:
        Recipe.read(tmp_path)
    assert error.value.code == "unreadable"
