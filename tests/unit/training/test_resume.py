"""A training that was cut goes on bit for bit as if it had not been."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from genwright import api
from genwright.registry import names, resolve
from genwright.storage.run import Run
from genwright.training.trainer import Progress

STEPS = 12
OPTIONS = {
    # The KL warm-up and the weight average are still ramping where the runs are cut.
    "vae": ["family.kl_warmup=0.9", "train.accumulate=2"],
    "vqvae": ["train.accumulate=2", "family.codes=16"],
    "gan": [
        *("train.accumulate=2", "family.spectral_norm=true"),
        *("family.augment=auto", "family.augment_ramp=100"),
    ],
    "autoregressive": [],
    "diffusion": ["train.precision=bf16"],
    "flow": ["family.steps=2"],
    "cyclegan": ["family.pool=4"],
    # Langevin chains of 200 steps for samples that nothing here looks at would take longest of all.
    "energy": [
        *("family.objective=contrastive", "family.chain=3", "family.buffer=64"),
        "train.samples=0",
    ],
}


class Killed(Exception):
    """Stands for a kill: nothing of the training runs after it."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 small pictures with labels: an epoch is over after 4 steps of 8."""
    rng = np.random.default_rng(0)
    label = np.arange(40) % 2
    images = rng.integers(0, 100, (40, 6, 6)) + 100 * label[:, None, None]
    path = tmp_path_factory.mktemp("data") / "tiny.npz"
    np.savez(path, images=images.astype(np.uint8), label=label)
    return path


def settings(family: str) -> list[str]:
    symbols = resolve("families", family).accepts == {"symbol"}
    return [
        "train.batch_size=8",
        "train.log_every=1",
        "train.checks=4",
        "train.samples=2",
        *OPTIONS.get(family, []),
        *(["bridge.name=quantize", "bridge.bins=8"] if symbols else ["bridge.name=none"]),
    ]


def files(run: Path) -> dict[str, bytes]:
    found = [*run.glob("model/*"), *run.glob("state/*.safetensors"), run / "metrics.jsonl"]
    return {str(f.relative_to(run)): f.read_bytes() for f in found}


def train(data: Path, family: str, out: Path) -> None:
    api.train(data, family=family, size="xs", steps=STEPS, seed=3, out=out, settings=settings(family))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], dict[str, bytes]]:
    """What a training of a family that nothing cuts leaves."""

    @cache
    def left(family: str) -> dict[str, bytes]:
        run = tmp_path_factory.mktemp("whole") / family
        train(data, family, run)
        return files(run)

    return left


KILLED = ("vae", "gan", "autoregressive", "energy")
"""Families whose state differs most are killed, the others stopped: the other way of each is for `make journey`."""
TWINS = ("anyorder", "masked", "stargan")
"""Families whose state is of the same kinds as that of another: both ways are."""
CUTS = [
    pytest.param(
        name,
        cut,
        marks=[pytest.mark.journey] if name in TWINS or (cut == 7) != (name in KILLED) else [],
    )
    for name in names("families")
    for cut in (5, 7)
]


@pytest.mark.parametrize(("family", "cut"), CUTS)  # by a stop after step 5, by a kill after step 7
def test_resumed_equals_unbroken(
    family: str, cut: int, data: Path, whole: Callable[[str], dict[str, bytes]], tmp_path: Path
) -> None:
    seen: list[int] = []

    def report(p: Progress) -> None:
        seen.append(p.step)
        if cut == 7 and p.step == cut:
            raise Killed

    with suppress(Killed):
        api.train(
            data,
            family=family,
            size="xs",
            steps=STEPS,
            seed=3,
            out=tmp_path / "cut",
            settings=settings(family),
            report=report,
            stop=lambda: cut == 5 and seen[-1] == cut,
        )
    middle = Run.open(tmp_path / "cut")
    # The stop saves where it is; the kill falls back to the check after step 6.
    assert middle.step == (5 if cut == 5 else 6)
    assert seen[-1] == cut
    api.train(resume=tmp_path / "cut")
    unbroken, resumed = whole(family), files(tmp_path / "cut")
    assert unbroken.keys() == resumed.keys()
    for name in unbroken:
        assert unbroken[name] == resumed[name], f"{name} differs after the resume"


def test_same_seed_same_bytes_and_another_seed_others(data: Path, tmp_path: Path) -> None:
    for out, seed in (("one", 3), ("two", 3), ("other", 4)):
        api.train(
            data,
            family="vae",
            size="xs",
            steps=4,
            seed=seed,
            out=tmp_path / out,
            settings=settings("vae"),
        )
    one, two, other = (files(tmp_path / out) for out in ("one", "two", "other"))
    assert one == two
    assert one["metrics.jsonl"] != other["metrics.jsonl"]


def test_a_finished_run_resumes_to_itself_and_can_be_made_longer(data: Path, tmp_path: Path) -> None:
    train(data, "vae", tmp_path / "run")
    before = files(tmp_path / "run")
    assert api.train(resume=tmp_path / "run").finished
    assert files(tmp_path / "run") == before
    longer = api.train(resume=tmp_path / "run", steps=STEPS + 4)
    assert longer.run.step == STEPS + 4
