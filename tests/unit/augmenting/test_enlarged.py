"""A training set in the data's own form: what is real and what is synthetic, and nothing that is wrong."""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genwright
from commands import call, done, pictures, refused
from genwright.augmenting.enlarged import Enlargement
from genwright.augmenting.selection import Selection
from genwright.augmenting.trial import REPEATS
from genwright.errors import GenwrightError

QUICK = ("train.checks=1", "train.samples=0", "data.test=0.3")


def rows(path: Path, n: int = 400) -> Path:
    """Two numbers that tell a class, one of which is three times as frequent."""
    rng = np.random.default_rng(0)
    rare = rng.random(n) < 0.25
    x = rng.normal(size=(n, 2)) + 4 * rare[:, None]
    lines = [f"{a:.4f},{b:.4f},{'rare' if r else 'usual'}" for (a, b), r in zip(x, rare, strict=True)]
    path.write_text("\n".join(["x,y,kind", *lines]) + "\n")
    return path


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("augmented")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        rows(folder / "rows.csv")
        rows(folder / "other.csv", 300)
        how: dict[str, Any] = {"family": "vae", "size": "xs", "steps": 150, "settings": QUICK}
        genwright.train("rows.csv", label="kind", out="run", **how)
        genwright.train("rows.csv", out="plain", **how | {"steps": 3})
        done("augment", "rows.csv", "--with", "run", "--balance", "kind", "--out", "balanced")
        yield folder


@pytest.fixture(autouse=True)
def here(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(room)


def written(folder: Path) -> list[dict[str, str]]:
    with (folder / "samples.csv").open(newline="") as stream:
        return [*csv.DictReader(stream)]


def test_the_classes_are_equally_large(room: Path) -> None:
    found = written(room / "balanced")
    assert list(found[0]) == ["x", "y", "kind", "synthetic"]
    kinds = Counter(row["kind"] for row in found)
    assert kinds["rare"] == kinds["usual"]
    made = [row for row in found if row["synthetic"] == "1"]
    assert {row["kind"] for row in made} == {"rare"}


def test_the_real_ones_are_those_that_it_was_trained_on(room: Path) -> None:
    lines = set((room / "rows.csv").read_text().splitlines())
    found = written(room / "balanced")
    real = [",".join([row["x"], row["y"], row["kind"]]) for row in found if row["synthetic"] == "0"]
    assert set(real) <= lines
    assert len(real) == genwright.load("run").dataset.stats.counts["train"]
    made = [",".join([row["x"], row["y"], row["kind"]]) for row in found if row["synthetic"] == "1"]
    assert not set(made) & lines


def test_what_it_is_worth_is_said(room: Path) -> None:
    found = json.loads((room / "balanced/augmentation.json").read_text())
    assert found["outcome"] in ("helps", "has no effect", "hurts")
    assert [one["name"] for one in found["effects"]] == ["synthetic examples", "repetition", "SMOTE"]
    (draws,) = {len(one["gains"]) for one in found["effects"]}
    assert 5 * REPEATS <= draws <= 20 * REPEATS
    assert found["kept"]["rare"] == found["asked"]["rare"]
    assert "synthetic" in json.loads((room / "balanced/synthetic.json").read_text())["."]


@pytest.mark.journey
def test_the_same_seed_gives_the_same_bytes(room: Path, tmp_path: Path) -> None:
    done("augment", "rows.csv", "--with", "run", "--balance", "kind", "--out", tmp_path / "again")
    for name in ("samples.csv", "augmentation.json"):
        assert (tmp_path / "again" / name).read_bytes() == (room / "balanced" / name).read_bytes()


def test_what_looks_like_another_class_is_dropped() -> None:
    work = Enlargement(genwright.load("run"), None, 0)
    selection = Selection(work.model, work.real, work.predictor, 0)
    values = {"row": work.model.sample(4, {"kind": "rare"}, seed=0).values["row"].copy()}
    values["row"].loc[0, ["x", "y"]] = "-1.0"
    values["row"].loc[[1, 2, 3], ["x", "y"]] = "4.0"
    made = work.model.samples({**values, "kind": ["rare"] * 4})
    assert selection._of_its_class(made, "rare") == [1, 2, 3]


def test_pictures_come_with_their_labels_and_are_marked(room: Path, tmp_path: Path) -> None:
    pictures(tmp_path / "faces/a", 45)
    pictures(tmp_path / "faces/b", 45, first=45)
    how: dict[str, Any] = {"family": "vae", "size": "xs", "steps": 3}
    settings = [*QUICK, "data.test=0.5", "data.val=0.1"]
    run = tmp_path / "run"
    genwright.train(tmp_path / "faces", out=run, settings=settings, **how)
    work = Enlargement(genwright.load(run), None, 0)
    found = work.make({"a": 2, "b": 1}, seeds=2, most=2)
    files = work.write(found, tmp_path / "out")
    with (tmp_path / "out/labels.csv").open(newline="") as stream:
        table = [*csv.DictReader(stream)]
    assert Counter(row["synthetic"] for row in table)["1"] == sum(found.selected.kept.values())
    assert len([file for file in files if file.stem.isdigit()]) == len(table)
    assert [one.name for one in found.effects] == ["synthetic examples", "plain augmentation", "SMOTE"]
    last = (tmp_path / "out" / table[-1]["file"]).read_bytes()
    first = (tmp_path / "out" / table[0]["file"]).read_bytes()
    assert b"genwright" in last
    assert b"genwright" not in first


def test_what_cannot_be_done(tmp_path: Path) -> None:
    def code(data: str = "rows.csv", run: str = "run", **how: Any) -> str:
        with pytest.raises(GenwrightError) as error:
            genwright.augment(data, run, out=tmp_path / "out", **how)
        return error.value.code

    assert code(factor=2.0, balance="kind") == "contradicting-options"
    assert code(factor=1.0) == "out-of-range"
    assert code(factor=float("nan")) == "out-of-range"
    assert code(factor=1e9) == "out-of-range"
    assert code(factor=1.0001) == "nothing-to-add"
    assert code(data="other.csv") == "data-changed"
    assert code(run="none") == "no-run"
    assert code(run="plain") == "no-labels"
    assert code(balance="colour") in ("no-labels", "no-such-column")
    assert code(balance="x") == "no-classes"
    assert not (tmp_path / "out").exists()
    refused("augment", "rows.csv", "--with", "run", "--out", "balanced", words=["no empty folder"])
    refused(
        "augment",
        "rows.csv",
        "--with",
        "run",
        "--out",
        "more.csv",
        words=["names a file", "such as more"],
    )
    assert call("augment", "rows.csv").code == 2
