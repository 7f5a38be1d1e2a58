"""Models of the codes of a trained run: the same data, a folder that stands alone, an exact resume."""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from genwright import api
from genwright.bridges.latent import VQ, Latent
from genwright.errors import GenwrightError, Incompatible, RecipeError, RunError, Unsupported
from genwright.registry import build
from genwright.space import Real, Symbol
from genwright.storage.run import Run
from genwright.training.trainer import Progress

QUICK = ["train.batch_size=8", "train.checks=2", "train.samples=2", "train.log_every=1"]


def pictures(path: Path, seed: int, side: int = 6) -> Path:
    rng = np.random.default_rng(seed)
    label = np.arange(40) % 2
    images = rng.integers(0, 100, (40, side, side)) + 100 * label[:, None, None]
    np.savez(path, images=images.astype(np.uint8), label=label)
    return path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pictures(tmp_path_factory.mktemp("data") / "tiny.npz", 0)


@pytest.fixture(scope="module")
def firsts(data: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A first run of each kind. The vqvae was told the labels: its codes do not hang on them."""
    folder = tmp_path_factory.mktemp("firsts")
    common = {"size": "xs", "steps": 6}
    api.train(
        data,
        family="vae",
        label="",
        out=folder / "latent",
        settings=[*QUICK, "family.factor=2", "family.latent=3"],
        **common,
    )
    codes = [*QUICK, "family.codes=8"]
    api.train(data, family="vqvae", label="label", out=folder / "vq", settings=codes, **common)
    return {"latent": folder / "latent", "vq": folder / "vq"}


SECOND = {"latent": "diffusion", "vq": "autoregressive"}
both = pytest.mark.parametrize("name", ["latent", "vq"])


def over(name: str, run: Path) -> list[str]:
    return [*QUICK, f"bridge.name={name}", f"bridge.run={run}"]


@both
def test_a_run_over_a_run_stands_alone(
    name: str, data: Path, firsts: dict[str, Path], tmp_path: Path
) -> None:
    first = tmp_path / "first"
    shutil.copytree(firsts[name], first)
    model = api.train(
        data,
        family=SECOND[name],
        label="label",
        size="xs",
        steps=4,
        out=tmp_path / "second",
        settings=over(name, first),
    )
    space = model.family.space
    assert space.grid == (3, 3)
    assert space.spans == ((Real(3),) if name == "latent" else (Symbol(8),))
    given = {"label": [0, 1, 0, 1]}
    made = model.sample(4, given, seed=1).examples
    assert np.asarray(made[0]).shape[:2] == (6, 6)
    shutil.rmtree(first)  # what is gone cannot be needed
    again = api.load(tmp_path / "second")
    assert "codec/bridge.safetensors" in again.run._manifest.files
    for one, other in zip(made, again.sample(4, given, seed=1).examples, strict=True):
        assert np.array_equal(np.asarray(one), np.asarray(other))
    api.train(resume=tmp_path / "second", steps=6)
    assert Run.open(tmp_path / "second").step == 6
    with pytest.raises(Unsupported):
        again.sample(1, prompt="x")
    damaged = tmp_path / "second" / "codec" / "bridge.safetensors"
    damaged.write_bytes(damaged.read_bytes()[:-1])
    with pytest.raises(RunError, match=r"bridge\.safetensors .* is damaged"):
        api.load(tmp_path / "second")


class Killed(Exception):
    """Stands for a kill."""


@both
def test_resumed_equals_unbroken(name: str, data: Path, firsts: dict[str, Path], tmp_path: Path) -> None:
    def train(out: Path, **more: object) -> None:
        api.train(
            data,
            family=SECOND[name],
            size="xs",
            steps=6,
            out=out,
            settings=over(name, firsts[name]),
            **more,
        )

    def report(p: Progress) -> None:
        if p.step == 5:
            raise Killed

    train(tmp_path / "whole")
    with suppress(Killed):
        train(tmp_path / "cut", report=report)
    api.train(resume=tmp_path / "cut")
    for file in ("model/000006.safetensors", "state/000006.safetensors", "metrics.jsonl"):
        assert (tmp_path / "whole" / file).read_bytes() == (tmp_path / "cut" / file).read_bytes()


def test_codes_are_at_zero_mean_and_unit_spread(data: Path, firsts: dict[str, Path]) -> None:
    bridge = Latent(run=str(firsts["latent"]))
    source = api.load(firsts["latent"]).family.space
    x = torch.rand(300, *source.shape) * 2 - 1
    bridge.fit(source, x)
    y = bridge.forward(x)
    bridge.target.check(y)
    flat = y.movedim(1, 0).flatten(1)
    wide = bridge.std > 0.011  # the others are left as small as they are
    torch.testing.assert_close(flat.mean(1), torch.zeros(3), atol=1e-3, rtol=0)
    torch.testing.assert_close(flat.std(1)[wide], torch.ones(int(wide.sum())), atol=1e-2, rtol=0)
    family = api.load(firsts["latent"], device="cpu").family
    from genwright.batch import Batch

    with torch.no_grad():
        wanted = family.from_latent(family.to_latent(Batch(x)), torch.Generator().manual_seed(0))
    torch.testing.assert_close(
        bridge.inverse(y, torch.Generator().manual_seed(0)), wanted, atol=1e-4, rtol=0
    )


@both
def test_other_data_is_refused_before_training_starts(
    name: str, data: Path, firsts: dict[str, Path], tmp_path: Path
) -> None:
    other = pictures(tmp_path / "other.npz", 1)
    large = pictures(tmp_path / "large.npz", 0, side=8)
    cases = {other: "trained on other data than .*other.npz: on .*tiny.npz", large: "8 x 8"}
    for path, words in cases.items():
        with pytest.raises(Incompatible, match=words):
            api.train(path, family=SECOND[name], out=tmp_path / "x", settings=over(name, firsts[name]))
    split = [*over(name, firsts[name]), "data.val=0.2"]
    with pytest.raises(Incompatible, match=r"tiny\.npz: on the same at another time"):
        api.train(data, family=SECOND[name], out=tmp_path / "x", settings=split)
    assert not (tmp_path / "x").exists()


def test_what_is_no_first_run_is_said(data: Path, firsts: dict[str, Path], tmp_path: Path) -> None:
    def refused(settings: list[str], family: str = "diffusion") -> str:
        with pytest.raises(GenwrightError) as caught:
            api.train(data, family=family, out=tmp_path / "x", settings=settings)
        assert not (tmp_path / "x").exists()
        return str(caught.value)

    assert "--set bridge.run=runs/NAME" in refused(["bridge.name=latent"])
    assert "is not a run" in refused(over("latent", tmp_path / "nothing"))
    assert "--set bridge.name=vq" in refused(over("latent", firsts["vq"]))
    assert "--set bridge.name=latent" in refused(over("vq", firsts["latent"]), "autoregressive")
    told = tmp_path / "told"
    api.train(data, family="vae", label="label", size="xs", steps=2, out=told, settings=QUICK)
    assert 'it was told label: train it with --label ""' in refused(over("latent", told))
    api.train(
        data, family="diffusion", label="", size="xs", steps=2, out=told.with_name("d"), settings=QUICK
    )
    assert "diffusion has no codes" in refused(over("latent", told.with_name("d")))


def test_a_bridge_without_a_run_says_so() -> None:
    with pytest.raises(RecipeError, match=r"unknown option bridge\.rum; did you mean 'run'"):
        build("bridges", "vq", {"rum": "x"}, where="bridge")
    assert VQ(run="x").run == "x"
