"""What can be trained can be sampled: every family and task on a tiny world of each modality, before any step."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from genwright.data.audio.files import to_wav
from genwright.errors import GenwrightError
from genwright.experiment import Experiment
from genwright.model import Model
from genwright.recipe import make_recipe
from genwright.registry import names
from genwright.testing.worlds import WORLDS

N = 40


def pictures(folder: Path) -> Path:
    """With a class, and a number of each."""
    raw = WORLDS["pixels"].draw(N, 0)[:, 0]
    for i, x in enumerate(raw):
        Image.fromarray(((x + 1) * 127.5).astype(np.uint8)).save(folder / f"{i}.png")
    lines = [f"{i}.png,{'ab'[i % 2]},{i / 7:.2f}" for i in range(N)]
    (folder / "labels.csv").write_text("\n".join(["file,kind,weight", *lines]) + "\n")
    return folder


def sounds(folder: Path) -> Path:
    for i, x in enumerate(WORLDS["waveform"].draw(N, 0)[:, 0]):
        (folder / "ab"[i % 2]).mkdir(exist_ok=True)
        (folder / "ab"[i % 2] / f"{i}.wav").write_bytes(to_wav((20_000 * x).astype(np.int16), 8000))
    return folder


def texts(folder: Path) -> Path:
    """With what each is about, in few words and as a kind."""
    made = [text[:11] for text in WORLDS["text"].draw(N, 0)]
    frame = pd.DataFrame(
        {"prompt": [text[:3] for text in made], "completion": made, "kind": ["a", "b"] * 20}
    )
    frame.to_json(folder / "some.jsonl", orient="records", lines=True)
    return folder / "some.jsonl"


def rows(folder: Path) -> Path:
    WORLDS["row"].draw(N, 0).to_csv(folder / "rows.csv", index=False)
    return folder / "rows.csv"


def odd(folder: Path) -> Path:
    """Columns as people write them."""
    days = pd.date_range("2024-01-29", periods=2 * N)
    numbers = np.random.default_rng(0).permutation(90_000)[: 2 * N] + 10_000
    k = np.arange(2 * N)
    columns: dict[str, Any] = {
        "impossible": ["2024-02-31" if i == 3 else f"{day:%Y-%m-%d}" for i, day in enumerate(days)],
        "compact": [f"{day:%Y%m%d}" for day in days],
        "clock": [f"{i % 24:02d}:{7 * i % 60:02d}:{11 * i % 60:02d}" for i in k],
        "sentinel": ["0001-01-01" if i % 9 == 0 else f"{day:%Y-%m-%d}" for i, day in enumerate(days)],
        "mixed": [f"{day:%Y-%m-%d}" if i % 3 else f"{day:%Y-%m-%d %H:%M}" for i, day in enumerate(days)],
        "phone": [f"+49 1{n}" for n in numbers],
        "delta": [f"{i % 7 - 3:+d}" for i in k],
        "price": [f"${n:,}.50" for n in numbers],
        "missing": [("", "None", "a", "b")[i % 4] for i in k],
        "zip": [f"{n:05d}" for n in numbers],
        "lasts": [f"PT{i % 5}H{i % 60}M" for i in k],
    }
    pd.DataFrame(columns).to_csv(folder / "odd.csv", index=False)
    return folder / "odd.csv"


MAKE: dict[str, tuple[Callable[[Path], Path], tuple[str, ...]]] = {
    "pictures": (pictures, ("kind", "weight", "")),
    "sounds": (sounds, ("label",)),
    "texts": (texts, ("kind", "prompt")),
    "rows": (rows, ("town", "rent", "")),
    "odd": (odd, ("impossible", "delta", "missing", "sentinel")),
}
TASKS = {"auto": (), "complete": (), "restore": ("task.factor=2",), "pair": ("task.drop=0",)}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    return cache(lambda name: MAKE[name][0](tmp_path_factory.mktemp(name)))


QUICK = {
    *(("rows", family) for family in ("autoregressive", "cyclegan", "gan")),
    *(("odd", "vae"), ("odd", "masked")),
}
SLOW = pytest.mark.journey
CELLS = [
    pytest.param(family, name, marks=() if (name, family) in QUICK else SLOW, id=f"{family}-{name}")
    for family in names("families")
    for name in MAKE
]


@pytest.mark.parametrize(("family", "name"), CELLS)
def test_what_can_be_trained_can_be_sampled(
    family: str, name: str, world: Callable[[str], Path], tmp_path: Path
) -> None:
    for task, settings in TASKS.items():
        for label in MAKE[name][1]:
            small = () if name != "texts" else ("codec.length=12",)
            choices = {"label": label, "task": task, "family": family, "size": "xs"}
            try:
                recipe = make_recipe(str(world(name)), settings=[*settings, *small], **choices)
                model: Model = Experiment.of(recipe).model
            except GenwrightError:
                continue
            if model.generates:
                few = {"steps": 1} if "steps" in model.sampler_options() else {}
                made = model.sample(2, **few)
                made.write(tmp_path / f"{task}-{label}")
                assert len(made) == 2
