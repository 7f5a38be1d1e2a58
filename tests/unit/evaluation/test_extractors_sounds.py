"""Where the package with Silero's weights is not installed, the network runs with other weights of the same
shapes."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from genwright.data.audio.clips import Clip
from genwright.data.audio.files import resampled
from genwright.data.codec import Array
from genwright.errors import DataError
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.extractors.sounds import SileroExtractor
from genwright.evaluation.metrics.distances import frechet
from genwright.space import Real, Space

FILE = "silero_vad/data/silero_vad_16k.safetensors"
needs_silero = pytest.mark.skipif(find_spec("silero_vad") is None, reason="needs the package silero-vad")
SIZES: dict[str, tuple[int, ...]] = {
    "stft_conv.weight": (258, 1, 256),
    "conv1.weight": (128, 129, 3),
    "conv2.weight": (64, 128, 3),
    "conv3.weight": (64, 64, 3),
    "conv4.weight": (128, 64, 3),
    "final_conv.weight": (1, 128, 1),
    "lstm_cell.weight_ih": (512, 128),
    "lstm_cell.weight_hh": (512, 128),
    "lstm_cell.bias_ih": (512,),
    "lstm_cell.bias_hh": (512,),
    **{f"conv{i}.bias": (size,) for i, size in ((1, 128), (2, 64), (3, 64), (4, 128))},
    "final_conv.bias": (1,),
}


def sounds(n: int, length: int = 1500, seed: int = 0) -> Array:
    """Samples `(n, T)`: tones of some pitch that come and go, with some noise."""
    rng = np.random.default_rng(seed)
    times = np.arange(length) / 16_000
    pitch, beat = rng.uniform(100, 3000, (n, 1)), rng.uniform(3, 40, (n, 1))
    tone = np.sin(2 * np.pi * pitch * times) * np.sin(np.pi * beat * times) ** 2
    return 0.5 * tone + 0.02 * rng.standard_normal((n, length))


def stored(waves: Array, rate: int = 16_000) -> tuple[Space, Array, Any]:
    """A space, stored examples, and what decodes them to clips."""
    x = np.float32(waves)[:, None]

    def raw(x: Array) -> list[Clip]:
        return [Clip(np.int16(np.rint(one * 2**15).clip(-(2**15), 2**15 - 1)), rate) for one in x[:, 0]]

    return Space((waves.shape[1],), (Real(1, bounded=True),)), x, raw


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, with code that must not be run and weights of our own."""
    rng = torch.Generator().manual_seed(0)
    weights = {
        name: torch.randn(size, generator=rng) * (2 / max(1, torch.Size(size[1:]).numel())) ** 0.5
        for name, size in SIZES.items()
    }
    (tmp_path / FILE).parent.mkdir(parents=True)
    (tmp_path / "silero_vad/__init__.py").write_text("raise SystemExit")
    save_file(weights, tmp_path / FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path


# -- the network -----------------------------------------------------------------------------------


def plain(waves: Array, file: Path) -> Array:
    """Frame by frame, in double precision: `(n, 258)`."""
    w = {name: t.double().numpy() for name, t in load_file(file).items()}

    def convolved(h: Array, name: str, stride: int) -> Array:
        weight, h = w[f"{name}.weight"], np.pad(h, ((0, 0), (1, 1)))
        starts = range(0, h.shape[1] - 2, stride)
        out = np.stack([np.einsum("oik,ik->o", weight, h[:, i : i + 3]) for i in starts], axis=1)
        return np.maximum(out + w[f"{name}.bias"][:, None], 0)

    def gate(x: Array) -> Array:
        return 1 / (1 + np.exp(-x))

    found = []
    for wave in waves:
        wave = np.concatenate([np.zeros(64), wave, np.zeros(-len(wave) % 512)])
        state = cell = np.zeros(128)
        seen = []
        for at in range(64, len(wave), 512):
            x = wave[at - 64 : at + 512]
            x = np.concatenate([x, x[-65:-1][::-1]])
            basis = w["stft_conv.weight"][:, 0]
            h = np.stack([basis @ x[i : i + 256] for i in range(0, len(x) - 255, 128)], axis=1)
            h = np.hypot(h[:129], h[129:])
            for i, stride in ((1, 1), (2, 2), (3, 2), (4, 1)):
                h = convolved(h, f"conv{i}", stride)
            assert h.shape == (128, 1)
            gates = w["lstm_cell.weight_ih"] @ h[:, 0] + w["lstm_cell.bias_ih"]
            gates += w["lstm_cell.weight_hh"] @ state + w["lstm_cell.bias_hh"]
            i, f, g, o = np.split(gates, 4)
            cell = gate(f) * cell + gate(i) * np.tanh(g)
            state = gate(o) * np.tanh(cell)
            speech = w["final_conv.weight"][0, :, 0] @ np.maximum(state, 0) + w["final_conv.bias"]
            seen.append(np.concatenate([state, gate(speech)]))
        found.append(np.concatenate([np.mean(seen, axis=0), np.std(seen, axis=0)]))
    return np.array(found)


def same_as_plain(file: Path) -> None:
    waves = np.rint(sounds(3) * 2**15) / 2**15
    space, x, raw = stored(waves)
    backbone = SileroExtractor.backbone(space, raw)
    with torch.no_grad():
        found = backbone(torch.as_tensor(x)).numpy()
    wanted = plain(waves, file)
    assert found.shape == wanted.shape == (3, 258)
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    assert found.std(0).max() > 1e-3


def test_silero_is_read_as_frame_by_frame(package: Path) -> None:
    same_as_plain(package / FILE)


@pytest.mark.usefixtures("package")
def test_features_depend_on_the_sound_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SileroExtractor, "piece", 4)
    space, x, raw = stored(sounds(9))
    extractor = extractor_for(x, space, kind="silero", raw=raw)
    whole = extractor(x)
    order = np.random.default_rng(0).permutation(9)
    np.testing.assert_allclose(extractor(x[order]), whole[order], rtol=0, atol=1e-9)
    np.testing.assert_allclose(extractor(x[:1]), whole[:1], rtol=0, atol=1e-9)
    monkeypatch.setattr(FeatureExtractor, "fit", None)  # it is taken from the cache
    again = extractor_for(x, space, kind="silero", raw=raw)
    assert (again.name, again(x).tobytes()) == (extractor.name, whole.tobytes())


@pytest.mark.usefixtures("package")
def test_sounds_of_another_rate_are_brought_to_its_own() -> None:
    slow = sounds(2, 800)
    fast = resampled(np.rint(slow * 2**15) / 2**15, 8000, 16_000)
    with torch.no_grad():
        found = [
            SileroExtractor.backbone(space, raw)(torch.as_tensor(x)).numpy()
            for space, x, raw in (stored(slow, 8000), stored(fast, 16_000), stored(slow, 16_000))
        ]
    np.testing.assert_allclose(found[0], found[1], rtol=0, atol=2e-3)
    assert np.abs(found[0] - found[2]).max() > 0.1


@pytest.mark.usefixtures("package")
def test_the_same_numbers_at_another_rate_are_another_lens() -> None:
    names = set()
    for rate in (8000, 16_000):
        space, x, raw = stored(sounds(3, 600), rate)
        names.add(extractor_for(x, space, kind="silero", raw=raw).name)
    assert len(names) == 2


@pytest.mark.usefixtures("package")
def test_what_is_no_sound_is_refused() -> None:
    space, x, _ = stored(sounds(2, 600))
    with pytest.raises(DataError, match="hears sounds, and these examples are none: 7"):
        SileroExtractor.fit(x, space, raw=lambda x: [7] * len(x))
    with pytest.raises(DataError, match="give it `raw`"):
        SileroExtractor.fit(x, space)


@pytest.mark.parametrize("what", ["text", "missing", "shape"])
def test_another_file_is_refused(package: Path, what: str) -> None:
    weights: dict[str, Tensor] = {name: torch.zeros(size) for name, size in SIZES.items()}
    if what == "text":
        (package / FILE).write_text("weights")
    else:
        name = "conv2.bias"
        weights |= {name: torch.zeros(3)}
        save_file({k: v for k, v in weights.items() if what == "shape" or k != name}, package / FILE)
    space, _, raw = stored(sounds(2, 600))
    with pytest.raises(DataError, match=f"{re.escape(str(package / FILE))} does not hold the layers"):
        SileroExtractor.backbone(space, raw)


# -- the true weights ------------------------------------------------------------------------------


@needs_silero
def test_the_true_weights_are_read_as_frame_by_frame() -> None:
    same_as_plain(SileroExtractor.file())


@needs_silero
def test_sounds_of_a_kind_are_near() -> None:
    rng, times = np.random.default_rng(0), np.arange(4000) / 8000
    pitch = rng.uniform(0.97, 1.03, (20, 1)) * 2 * np.pi * times

    def gated(rate: float) -> Array:
        beat = np.sin(2 * np.pi * rate * times + rng.uniform(0, 6, (20, 1)))
        return 0.15 * rng.standard_normal((20, 4000)) * beat.clip(0, 1)

    kinds = [0.3 * np.sin(300 * pitch), 0.3 * np.sin(500 * pitch)]
    kinds += [kinds[0] + 0.2 * np.sin(900 * pitch), 0.1 * rng.standard_normal((20, 4000)), gated(4)]
    waves = np.concatenate(kinds) + 0.005 * rng.standard_normal((100, 4000))
    space, x, raw = stored(waves, 8000)
    found = SileroExtractor.fit(x, space, raw=raw)(x)
    distance = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(100)
    assert (distance.argmin(1) // 20 == np.arange(100) // 20).mean() > 0.95


@needs_silero
def test_sounds_with_more_noise_are_farther() -> None:
    n, rng = 150, np.random.default_rng(0)
    more = sounds(n, seed=5)
    noised = [more + level * rng.standard_normal(more.shape) for level in (0.0, 0.05, 0.2)]
    space, x, raw = stored(np.concatenate([sounds(n), *noised]))
    found = SileroExtractor.fit(x[:n], space, raw=raw)(x)
    difference_error = [frechet(found[:n], found[i : i + n]) for i in range(n, len(x), n)]
    assert difference_error == sorted(difference_error)
    assert difference_error[1] > 1.5 * difference_error[0]
    assert difference_error[2] > 4 * difference_error[0]
