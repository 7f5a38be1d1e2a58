"""Golden results: thirteen tiny trainings, one of each family, which a tidying of the code must not change.

`golden.json` keeps for each the losses of every step and the held-out ones, a SHA-256 of them, and one of
what the model makes: the data files of eight samples (pictures by their pixels, so that the version of the
PNG encoder does not matter), or codes of eight examples where a family makes none.

Bits are the same only on one kind of machine with the same libraries. So a *fingerprint* is kept too: a
SHA-256 of what torch computes here in one thread, with the versions of torch and numpy. Where it is that of
`golden.json`, losses and samples must be the same to the last bit. Elsewhere the losses of the first three
steps must agree within rtol=1e-3 and atol=1e-4, and something must be made. The texts are out of the manual
of Python, which changes with its version: where it is another one, their losses are not compared.

A change that is meant to change results writes the file anew, and says why in its message:

    python tests/golden/test_golden.py
"""

from __future__ import annotations

import csv
import hashlib
import json
import math
import os
import struct
import tempfile
import wave
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.datasets import load_digits, load_wine

import genwright

KEPT = Path(__file__).with_name("golden.json")
STEPS = 12
FIRST, RTOL, ATOL = 3, 1e-3, 1e-4
"""Steps that must agree on another machine, and how nearly."""

# -- data ------------------------------------------------------------------------------------------


def digits(folder: Path) -> str:
    """The built-in pictures."""
    return "digits"


def pictures(folder: Path) -> Path:
    """Small pictures in colour, in two class folders: bars and rings."""
    y, x = np.mgrid[:8, :8]
    for i in range(40):
        bars = (x * (1 + i % 3) + y * (i % 4) + i) % 8 * 32
        rings = ((2 * x - 7) ** 2 + (2 * y - 7) ** 2 + 9 * i) % 98 * 2
        for name, grey in (("bars", bars), ("rings", rings)):
            colours = np.stack([grey, 255 - grey, (grey + 6 * i) % 256], axis=-1).astype(np.uint8)
            (folder / "shapes" / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(colours).save(folder / "shapes" / name / f"{i:02d}.png")
    return folder / "shapes"


def table(folder: Path) -> Path:
    """Four numbers and the kind of each wine."""
    wine, columns = load_wine(), [0, 1, 9, 12]
    with (folder / "wine.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow([*(wine.feature_names[column] for column in columns), "target"])
        for row, kind in zip(wine.data.tolist(), wine.target.tolist(), strict=True):
            out.writerow([*(row[column] for column in columns), f"kind{kind}"])
    return folder / "wine.csv"


def manual() -> str:
    """Some of Python's manual, ASCII alone."""
    return "\n".join(topics[name] for name in ("for", "if", "while")).encode("ascii", "ignore").decode()


def text(folder: Path) -> Path:
    """One stream of characters."""
    (folder / "manual.txt").write_text(manual(), encoding="utf-8")
    return folder / "manual.txt"


def documents(folder: Path) -> Path:
    """Three words each, with whether they are long as the label."""
    words = manual().split()
    lines = [" ".join(words[i : i + 3])[:20] for i in range(0, 360, 3)]
    rows = [{"text": line, "kind": "long" if len(line) > 14 else "short"} for line in lines]
    (folder / "words.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    return folder / "words.jsonl"


def sounds(folder: Path) -> Path:
    """Sines of 64 samples, each of a frequency and a phase of its own."""
    (folder / "sines").mkdir()
    for i in range(40):
        turn = [math.sin(2 * math.pi * (t * (2 + i % 5) / 64 + i / 40)) for t in range(64)]
        with wave.open(str(folder / "sines" / f"{i:02d}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(4000)
            file.writeframes(struct.pack("<64h", *(round(16000 * value) for value in turn)))
    return folder / "sines"


# -- recipes ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Recipe:
    """A training as a person would type it.

    data      writes the data and says where it is
    label     names of labels, "" for none, or None for those that the data brings
    settings  beside those that all have
    asks      knobs of the sampler, for each time that eight samples are made
    """

    data: Callable[[Path], str | Path]
    settings: tuple[str, ...] = ()
    label: str | None = None
    asks: tuple[dict[str, Any], ...] = ({},)


# The name of each is its family.
RECIPES = {
    "vae": Recipe(table, ("train.accumulate=2", "family.latent=8"), label="target"),
    "vqvae": Recipe(sounds, ("family.codes=16",)),
    "gan": Recipe(digits, ('codec.augment=["shift"]',), label="label", asks=({"truncation": 1.5},)),
    "autoregressive": Recipe(
        text, ("codec.length=24",), asks=({}, {"prompt": "The ", "top_k": 10, "temperature": 0.8})
    ),
    "anyorder": Recipe(
        documents, ("codec.length=24",), label="kind", asks=({}, {"infill": "the ____ of"})
    ),
    "masked": Recipe(
        documents, ("codec.length=24",), label="kind", asks=({"steps": 8}, {"infill": "the ____ of"})
    ),
    "diffusion": Recipe(
        digits, ("family.schedule=edm",), label="label", asks=({"guidance_scale": 2.0},)
    ),
    "flow": Recipe(table, ("bridge.name=dequantize", "family.steps=3"), label=""),
    "cyclegan": Recipe(pictures, ("codec.augment={flip=0.5, rotate=20}",)),
    "energy": Recipe(digits, ("train.ema=0.1",), label="", asks=({"steps": 10},)),
    "stargan": Recipe(table, label="target"),
    "style": Recipe(pictures, ("family.content=bars",)),
    "contrastive": Recipe(digits, label=""),
}
COMMON = (
    "train.batch_size=8",
    "train.log_every=1",
    "train.checks=2",
    "train.samples=2",
    "train.device=cpu",
    "train.precision=fp32",  # "auto" asks the machine
)


@dataclass(frozen=True)
class Found:
    """What a training came to.

    losses   of each record: the step, and the terms by name
    samples  SHA-256 of what the model made
    """

    losses: list[tuple[int, dict[str, float]]]
    samples: str

    @property
    def digest(self) -> str:
        """Of the exact values alone: a term may be called something else."""
        values = [list(terms.values()) for _, terms in self.losses]
        return hashlib.sha256(repr(values).encode()).hexdigest()

    def json(self) -> dict[str, Any]:
        return {"losses": self.losses, "digest": self.digest, "samples": self.samples}


def trained(family: str, folder: Path) -> Found:
    """Train, load, sample."""
    recipe = RECIPES[family]
    model = genwright.train(
        recipe.data(folder),
        family=family,
        label=recipe.label,
        size="xs",
        seed=3,
        steps=STEPS,
        settings=[*COMMON, *recipe.settings],
        out=folder / "run",
    )
    model = genwright.load(model.run.path, device="cpu")
    if family == "contrastive":
        made = [codes(model)]
    else:
        made = [
            part
            for i, knobs in enumerate(recipe.asks)
            for part in written(model.sample(8, seed=1, **knobs), folder / f"made{i}")
        ]
    assert made
    assert all(made)
    return Found(losses(model.run.path), hashlib.sha256(b"".join(made)).hexdigest())


def losses(run: Path) -> list[tuple[int, dict[str, float]]]:
    """The terms of each step and the held-out losses, in the order of the log; nothing of time."""
    found = []
    for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        terms = {
            name: float(value)
            for name, value in record.items()
            if name.startswith("loss/") or name == "val_loss"
        }
        if terms:
            found.append((record["step"], terms))
    return found


def written(samples: Any, folder: Path) -> list[bytes]:
    """The data files of samples, in the order of their names, without what says which run made them."""
    samples.write(folder, mark=False)
    found = []
    for path in sorted(folder.iterdir()):
        if path.suffix == ".png" and path.name != "sheet.png":
            with Image.open(path) as picture:
                found.append(f"{picture.mode} {picture.size} ".encode() + picture.tobytes())
        elif path.suffix in (".csv", ".jsonl", ".wav"):
            found.append(path.read_bytes())
    return found


def codes(model: Any) -> bytes:
    """The codes of the first eight digits. No verb gives these: this alone reaches below the functions."""
    from genwright.batch import Batch

    x = torch.from_numpy(load_digits().images[:8, None]).float() / 8 - 1
    with torch.no_grad():
        return model.family.encode(Batch(x)).numpy().tobytes()


# -- machines --------------------------------------------------------------------------------------


def fingerprint() -> str:
    """Of the machine and its libraries: what torch computes, in one thread."""
    rng = torch.Generator().manual_seed(0)
    results = []
    for n in (3, 32, 200):  # kernels differ by size
        a, b = torch.randn(2, n, n, generator=rng)
        x, kernel = torch.randn(2, 4, n, n, generator=rng), torch.randn(8, 4, 3, 3, generator=rng)
        results += [a, a @ b, torch.conv2d(x, kernel, padding=1)]
        results += [a.exp(), a.tanh(), a.softmax(1), a.sum(0)]
    state = hashlib.sha256(f"{torch.__version__} {np.__version__}".encode())
    for result in results:
        state.update(result.numpy().tobytes())
    return state.hexdigest()


def manual_digest() -> str:
    return hashlib.sha256(manual().encode()).hexdigest()


# -- tests -----------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """The number of threads changes the last bits."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("family", RECIPES)
def test_results_are_as_they_were(family: str, tmp_path: Path) -> None:
    golden = json.loads(KEPT.read_text(encoding="utf-8"))
    kept = golden["recipes"][family]
    before = [(step, terms) for step, terms in kept["losses"]]
    found = trained(family, tmp_path)
    same_data = golden["manual"] == manual_digest() or RECIPES[family].data not in (text, documents)
    if same_data and golden["fingerprint"] == fingerprint():
        differ = [(now, then) for now, then in zip(found.losses, before, strict=False) if now != then]
        assert found.digest == kept["digest"], f"losses differ, first: {differ[:1]}"
        assert found.samples == kept["samples"], "the losses are the same, and what is made differs"
    elif same_data:
        assert values(found.losses) == pytest.approx(values(before), rel=RTOL, abs=ATOL)


def values(losses: list[tuple[int, dict[str, float]]]) -> list[float]:
    """Of the first steps, in order."""
    return [value for step, terms in losses if step <= FIRST for value in terms.values()]


def test_every_family_is_here() -> None:
    from commands import (
        done,
    )  # here, for where this file is run as a program nothing puts it on the path

    assert set(RECIPES) == set(json.loads(done("list", "--json").out)["families"])


# -- writing ---------------------------------------------------------------------------------------


def write() -> None:
    """Train all, and write `golden.json` anew: a line for each step."""
    torch.set_num_threads(1)
    lines = []
    for family in RECIPES:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["GENWRIGHT_CACHE"] = str(Path(folder) / "cache")
            found = trained(family, Path(folder)).json()
        rows = ",\n".join(f"    {json.dumps(row)}" for row in found.pop("losses"))
        rest = ",\n".join(f"   {json.dumps(name)}: {json.dumps(value)}" for name, value in found.items())
        lines.append(f'  "{family}": {{\n   "losses": [\n{rows}\n   ],\n{rest}\n  }}')
    head = f' "fingerprint": "{fingerprint()}",\n "manual": "{manual_digest()}",\n'
    body = ",\n".join(lines)
    KEPT.write_text(f'{{\n{head} "recipes": {{\n{body}\n }}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    write()
