"""The bridge of waveforms: sounds come back by what is heard, and nothing else leads through it."""

from __future__ import annotations

import math
import wave
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import genwright
from genwright.bridges.spectrogram import Spectrogram, mel_bands
from genwright.errors import Incompatible
from genwright.experiment import Experiment, open_data
from genwright.recipe import make_recipe
from genwright.space import Real, Space, Symbol
from genwright.weighing import Weighing

LENGTH = 512
WAVES = Space((LENGTH,), (Real(1, bounded=True),))


def tones(n: int, seed: int = 0) -> Tensor:
    """One tone each, from 8 to 120 periods an example, which rises and fades `(n, 1, LENGTH)`."""
    rng = torch.Generator().manual_seed(seed)
    periods = 8 + 112 * torch.rand(n, 1, 1, generator=rng)
    at = torch.arange(LENGTH) / LENGTH
    return 0.8 * torch.sin(2 * math.pi * periods * at) * torch.sin(math.pi * at).sqrt()


def fitted(x: Tensor, space: Space = WAVES, iterations: int = 16) -> Spectrogram:
    bridge = Spectrogram(iterations=iterations)
    bridge.fit(space, x)
    return bridge


def loudest(x: Tensor) -> Tensor:
    """Periods of the loudest frequency of each example."""
    return torch.fft.rfft(x[:, 0]).abs().argmax(1)


def test_tones_come_back_at_their_pitch_and_loudness() -> None:
    x = tones(40)
    bridge = fitted(x)
    y = bridge.forward(x)
    assert bridge.target == Space((16, 32), (Real(1),))
    assert abs(float(y.mean())) < 1e-4
    assert abs(float(y.std()) - 1) < 0.05
    again = bridge.inverse(y)
    assert float((loudest(again) - loudest(x)).abs().float().quantile(0.9)) <= LENGTH / 64  # a bin
    power = again.square().mean((1, 2)) / x.square().mean((1, 2))
    assert 0.5 < float(power.median()) < 1.5
    apart = (bridge.forward(again) - y).abs().mean((1, 2, 3))
    others = (y.roll(1, 0) - y).abs().mean((1, 2, 3))
    assert float(apart.median()) < float(others.median()) / 4


def test_more_iterations_come_nearer() -> None:
    """By the spectral convergence, the error of magnitudes as a share of them."""
    x = tones(8)
    off = []
    for bridge in (fitted(x, iterations=1), fitted(x, iterations=30)):
        wanted, found = (next(bridge._mel(one)) for one in (x, bridge.inverse(bridge.forward(x))))
        off.append(float((found - wanted).norm() / wanted.norm()))
    assert off[1] < off[0] / 2
    assert off[1] < 0.15


def test_an_example_does_not_depend_on_those_beside_it() -> None:
    x = tones(6)
    bridge = fitted(x)
    y = bridge.forward(x)
    all_of_them = bridge.inverse(y, torch.Generator().manual_seed(3))
    some = bridge.inverse(y[:2], torch.Generator().manual_seed(3))
    torch.testing.assert_close(all_of_them[:2], some, rtol=0, atol=1e-4)


@pytest.mark.parametrize("far", [-1e9, 30.0, 1e9])
def test_what_lies_far_outside_is_still_a_sound(far: float) -> None:
    bridge = fitted(tones(6))
    y = torch.full((2, 1, *bridge.target.grid), far)
    x = bridge.inverse(y)
    WAVES.check(x)
    assert float(x.abs().max()) <= 1


def test_silence_stays_silent() -> None:
    bridge = fitted(torch.zeros(4, 1, LENGTH))
    assert float(bridge.inverse(bridge.forward(torch.zeros(4, 1, LENGTH))).abs().max()) < 1e-6


def test_two_channels_are_two_sounds() -> None:
    x = torch.cat([tones(8), 0.2 * tones(8, 1)], dim=1)
    bridge = fitted(x, Space((LENGTH,), (Real(2),)))
    y = bridge.forward(x)
    assert y.shape == (8, 2, *bridge.target.grid)
    power = bridge.inverse(y).square().mean((0, 2))
    assert 8 < float(power[0] / power[1]) < 50


@pytest.mark.parametrize(
    "space",
    [
        Space((), (Real(4),)),
        Space((255,), (Real(1),)),
        Space((28, 28), (Real(1),)),
        Space((300,), (Symbol(5),)),
    ],
    ids=str,
)
def test_only_waveforms_have_one(space: Space) -> None:
    with pytest.raises(Incompatible, match=r"leave bridge\.name=spectrogram out"):
        Spectrogram().plan(space)


def test_frames_fit_into_an_example() -> None:
    with pytest.raises(Incompatible, match=r"lower bridge\.hop to 128 or less"):
        Spectrogram(hop=129).plan(WAVES)


@pytest.mark.parametrize(("bands", "bins"), [(4, 9), (16, 33), (64, 129), (64, 513), (512, 1025)])
def test_each_band_holds_some_frequencies_and_none_is_counted_twice(bands: int, bins: int) -> None:
    held = mel_bands(bands, bins)
    assert float(held.sum(1).min()) > 0.5
    assert float(held.sum(0).max()) < 1 + 1e-5
    middle = held.argmax(1)
    assert bool((middle[1:] > middle[:-1]).all())


def folder_of_tones(path: Path) -> Path:
    path.mkdir()
    for i, one in enumerate(tones(20)):
        with wave.open(str(path / f"{i}.wav"), "wb") as file:
            file.setparams((1, 2, 4000, 0, "NONE", ""))
            file.writeframes((one[0].numpy() * 32_000).astype("<i2").tobytes())
    return path


@pytest.mark.parametrize("task", ["complete", "restore"])
def test_what_lies_beside_samples_is_refused_before_training(tmp_path: Path, task: str) -> None:
    with pytest.raises(Incompatible, match=r"leave bridge\.name=spectrogram out"):
        genwright.train(
            folder_of_tones(tmp_path / "tones"),
            family="diffusion",
            task=task,
            steps=2,
            out=tmp_path / "run",
            settings=["bridge.name=spectrogram"],
        )


def test_a_folder_of_sounds_is_learnt_and_made(tmp_path: Path) -> None:
    model = genwright.train(
        folder_of_tones(tmp_path / "tones"),
        family="diffusion",
        size="xs",
        steps=2,
        out=tmp_path / "run",
        settings=["bridge.name=spectrogram", "bridge.iterations=2", "train.samples=0"],
    )
    first, again = (
        model.sample(2, seed=1, steps=2).examples for model in (model, genwright.load(tmp_path / "run"))
    )
    assert [len(clip.samples) for clip in first] == [LENGTH, LENGTH]
    assert all(np.array_equal(a.samples, b.samples) for a, b in zip(first, again, strict=True))


@pytest.mark.parametrize(
    ("family", "task", "bridge"),
    [
        ("diffusion", "auto", "spectrogram"),
        ("vae", "generate", "spectrogram"),
        ("diffusion", "complete", "none"),
        ("vae", "restore", "none"),
        ("autoregressive", "auto", "quantize"),  # of which a part may be given
    ],
)
def test_sounds_are_learnt_as_spectrograms_unless_samples_are_given(
    tmp_path: Path, family: str, task: str, bridge: str
) -> None:
    recipe = make_recipe(folder_of_tones(tmp_path / "tones"), family=family, task=task, size="xs")
    recipe, dataset = open_data(recipe)
    assert Experiment.on(recipe, dataset).recipe.bridge.name == bridge
    (verdict,) = Weighing(recipe, dataset).each()
    assert verdict.bridge == bridge
    assert verdict.seconds_per_step


def test_a_person_may_ask_for_waveforms(tmp_path: Path) -> None:
    recipe = make_recipe(
        folder_of_tones(tmp_path / "tones"), family="diffusion", settings=["bridge.name=none"]
    )
    assert Experiment.on(*open_data(recipe)).recipe.bridge.name == "none"


def test_families_that_are_weighed_share_a_bridge_that_is_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = list[Space]()
    fit = Spectrogram.fit

    def counted(self: Spectrogram, source: Space, x: Tensor) -> None:
        fits.append(source)
        fit(self, source, x)

    monkeypatch.setattr(Spectrogram, "fit", counted)
    recipe, dataset = open_data(make_recipe(folder_of_tones(tmp_path / "tones"), size="xs"))
    found = {verdict.family: verdict.bridge for verdict in Weighing(recipe, dataset).each()}
    assert [found[name] for name in ("diffusion", "vae", "gan")] == ["spectrogram"] * 3
    assert len(fits) == 1
