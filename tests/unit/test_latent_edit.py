"""Edits of examples by a run: what they change, where they begin and end, and what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch import Tensor

from commands import done, refused
from genwright import api
from genwright.analysis.latent_edit import LatentEditor
from genwright.errors import DataError, GenwrightError, RecipeError, Unsupported

SETTINGS = ["train.batch_size=32", "train.checks=1", "train.samples=1"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dark ones and bright ones, with stripes of any strength."""
    rng = np.random.default_rng(0)
    label = np.arange(300) % 2
    images = rng.integers(0, 20, (300, 6, 6)) + 100 * label[:, None, None] + 40
    images[:, ::2] += rng.integers(0, 60, 300)[:, None, None]
    path = tmp_path_factory.mktemp("data") / "pictures.npz"
    np.savez(path, images=images.astype(np.uint8), label=label)
    return path


def run_of(data: Path, family: str, label: str = "", steps: int = 120, more: Sequence[str] = ()) -> Path:
    out = data.parent / "-".join([family, label, data.stem, *more])
    settings = [*SETTINGS, *more]
    api.train(
        data, family=family, size="xs", steps=steps, seed=1, out=out, label=label, settings=settings
    )
    return out


@pytest.fixture(scope="module")
def vae(pictures: Path) -> Path:
    return run_of(pictures, "vae")


@pytest.fixture(scope="module")
def gan(pictures: Path) -> Path:
    return run_of(pictures, "gan", "label", steps=2)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rng = np.random.default_rng(0)
    kind = rng.integers(0, 2, 400)
    frame = pd.DataFrame(
        {"size": 3 * kind + rng.normal(size=400), "kind": np.where(kind, "big", "small")}
    )
    path = tmp_path_factory.mktemp("rows") / "rows.csv"
    frame.to_csv(path, index=False)
    return run_of(path, "vae")


def test_codes_that_are_not_normal_are_joined_by_a_straight_line(
    vae: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor = LatentEditor(api.load(vae))
    seen: list[Tensor] = []

    def decode(codes: Tensor, cond: dict[str, Tensor]) -> Tensor:
        seen.append(codes)
        return plain(codes, cond)

    plain = editor.family.decode
    monkeypatch.setattr(editor.family, "decode", decode)
    assert not editor.family.gaussian_prior  # a VampPrior, on a grid
    editor.between("0", "seed:3", 5)
    first, *_, last = seen[0]
    torch.testing.assert_close(
        seen[0], torch.lerp(first, last, torch.linspace(0, 1, 5)[:, None]), atol=1e-5, rtol=0
    )


def brightness(made: Any) -> list[float]:
    return [float(np.mean(picture)) for picture in made.examples]


def test_a_way_begins_and_ends_with_the_reconstructions(vae: Path, tmp_path: Path) -> None:
    made = api.edit(vae, between=("0", "5"), steps=4)
    assert made.given["edit"] == ["0 to 5: 0", "0 to 5: 0.333", "0 to 5: 0.667", "0 to 5: 1"]
    for name, end in (("0", 0), ("5", -1)):
        alone = api.edit(vae, between=(name, name), steps=1).examples[0]
        assert np.abs(made.examples[end].astype(int) - alone).max() <= 1
    back = api.edit(vae, between=("5", "0"), steps=4)
    for one, other in zip(made.examples, back.examples[::-1], strict=True):
        assert np.abs(one.astype(int) - other).max() <= 1
    with Image.open(made.write(tmp_path)[0]) as sheet:
        assert sheet.width > 3 * sheet.height  # one row


def test_a_reconstruction_is_like_the_example(vae: Path, pictures: Path, tmp_path: Path) -> None:
    images = np.load(pictures)["images"]
    files = [tmp_path / f"{i}.png" for i in range(2)]
    for file, image in zip(files, images[:2], strict=True):
        Image.fromarray(image).save(file)
    made = api.edit(vae, between=(str(files[0]), str(files[1])), steps=3).examples
    for one, image in ((made[0], images[0]), (made[-1], images[1])):
        assert np.abs(one.astype(float) - image).mean() < 25


def test_more_of_an_attribute_is_more_of_it(vae: Path) -> None:
    for value, sign in ((1, 1), (0, -1)):
        made = api.edit(vae, attribute=f"label={value}", on=["0", "1"], strength=1, steps=3)
        rows = np.reshape(brightness(made), (2, 3))
        assert (sign * np.diff(rows) > 5).all()


def test_the_first_direction_is_what_differs_most(vae: Path) -> None:
    made = api.edit(vae, directions=2, strength=1, steps=3)
    first, second = np.reshape(brightness(made), (2, 3))
    assert abs(first[2] - first[0]) > 40
    assert abs(first[2] - first[0]) > abs(second[2] - second[0])


@pytest.mark.parametrize("how", [{"between": ("seed:1", "3")}, {"directions": 2}])
def test_same_seed_same_bytes(vae: Path, how: dict[str, Any]) -> None:
    one, two = (api.edit(vae, **how, seed=3).examples for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(one, two, strict=True))


def test_a_table_is_edited_too(rows: Path, tmp_path: Path) -> None:
    made = api.edit(rows, between=("0", "1"), steps=5)
    frame = pd.read_csv(made.write(tmp_path)[0])
    assert list(frame.columns) == ["size", "kind", "edit"]
    assert len(frame) == 5
    # The column is a part of the example here.
    for value, sign in (("big", 1), ("small", -1)):
        several = [str(i) for i in range(8)]
        grown = api.edit(rows, attribute=f"kind={value}", on=several, strength=1, steps=3).examples
        first, _, last = grown["size"].to_numpy(float).reshape(8, 3).mean(axis=0)
        assert sign * (last - first) > 0.5


def test_a_gan_is_edited_by_codes_that_are_drawn(gan: Path) -> None:
    made = api.edit(gan, between=("seed:1", "seed:2"), steps=3)
    assert len(made.given["label"]) == len(made.examples) == 3
    assert len(api.edit(gan, directions=2, steps=3).examples) == 6
    with pytest.raises(Unsupported, match="seed:1") as error:
        api.edit(gan, between=("0", "1"))
    assert error.value.code == "no-encoder"
    with pytest.raises(RecipeError, match="sample --given label=1") as refused:  # it is given
        api.edit(gan, attribute="label=1")
    assert refused.value.code == "attribute-is-condition"


@pytest.mark.parametrize(
    ("how", "error", "words", "code"),
    [
        ({}, RecipeError, "one of --between", "contradicting-options"),
        (
            {"between": ("0", "1"), "directions": 2},
            RecipeError,
            "one of --between",
            "contradicting-options",
        ),
        ({"between": ("0", "4000")}, DataError, "numbered from 0 to", "no-such-example"),
        ({"between": ("0", "seed:x")}, RecipeError, "seed:N", "no-such-example"),
        ({"between": ("0", "nothing.png")}, DataError, "nothing.png", None),
        ({"attribute": "label"}, RecipeError, "NAME=VALUE", "not-a-pair"),
        ({"attribute": "labl=1"}, DataError, "did you mean 'label'", "no-such-field"),
        ({"attribute": "label=7"}, DataError, "no example has label=7", "no-such-value"),
        ({"directions": 0}, RecipeError, "edit.directions", "out-of-range"),
        ({"directions": 10**6}, RecipeError, "no more than .* directions", "too-many-directions"),
        ({"directions": 1, "steps": 0}, RecipeError, "edit.steps", "out-of-range"),
    ],
)
def test_what_cannot_be_is_said(
    vae: Path, how: dict[str, Any], error: type[GenwrightError], words: str, code: str | None
) -> None:
    with pytest.raises(error, match=words) as found:
        api.edit(vae, **how)
    assert code in (None, found.value.code)


def test_on_the_command_line(vae: Path, pictures: Path) -> None:
    said = done("edit", vae, "--between", "0", "seed:4", "--steps", "3")
    assert "Made 3 in" in said.out
    assert (vae / "edits/between/sheet.png").exists()
    refused("edit", vae, "--directions", "1", "--out", vae, words=["no empty folder"])
    run = run_of(pictures, "energy", steps=1)
    refused("edit", run, "--directions", "1", words=["no latent codes", "vae, gan, flow and diffusion"])
