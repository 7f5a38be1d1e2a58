"""One sound: opened in place, cut anywhere at any rate, written."""

import io
import re
import struct
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile
from scipy.signal import resample_poly

from genwright.data.audio.files import length_at, opened, resampled, sounded
from genwright.errors import GenwrightError

BEST = {"u1": 1 / 128, "<i2": 1e-4, "<i4": 1e-7, "<f4": 1e-7, "<f8": 1e-7}


def wave(n: int = 1000, rate: int = 8000, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    times = np.arange(n) / rate
    return 0.4 * np.sin(2 * np.pi * 440 * times) + 0.1 * rng.uniform(-1, 1, n)


def coded(x: np.ndarray, code: str) -> np.ndarray:
    """As a WAV file has them."""
    if code.startswith("<f"):
        return x.astype(code)
    if code == "u1":
        return np.rint(x * 127 + 128).astype(code)
    return np.rint(x * np.iinfo(code).max).astype(code)


def parts(*chunks: tuple[bytes, bytes], size: int | None = None) -> bytes:
    body = b"".join(
        name
        + struct.pack("<I", len(data) if size is None or name != b"data" else size)
        + data
        + b"\0" * (len(data) % 2)
        for name, data in chunks
    )
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WAVE" + body


def told(tag: int, channels: int, rate: int, width: int, more: bytes = b"") -> bytes:
    step = channels * width
    return struct.pack("<HHIIHH", tag, channels, rate, rate * step, step, 8 * width) + more


def all_of(path: Path) -> np.ndarray:
    with opened(path) as sound:
        return sound.read(0, sound.frames)


def reason(path: Path) -> str:
    with pytest.raises(ValueError) as said, opened(path):  # noqa: PT011 - the words are looked at
        pass
    return str(said.value)


# -- opening ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", BEST)
@pytest.mark.parametrize("channels", [1, 2])
def test_a_wav_of_any_coding_is_read(tmp_path, code, channels):
    x = np.stack([wave(seed=i) for i in range(channels)], axis=1)
    wavfile.write(tmp_path / "a.wav", 8000, coded(x, code))
    with opened(tmp_path / "a.wav") as sound:
        assert (sound.rate, sound.frames, sound.channels) == (8000, 1000, channels)
        found = sound.read(0, 1000)
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, x.mean(1), atol=BEST[code])
        assert sound.read(400, 700).tobytes() == found[400:700].tobytes()


def test_24_bits_are_as_scipy_reads_them(tmp_path):
    x = np.array([0, 1, -1, 2**23 - 1, -(2**23), 123456, -654321])
    data = b"".join(int(v).to_bytes(3, "little", signed=True) for v in x)
    (tmp_path / "a.wav").write_bytes(parts((b"fmt ", told(1, 1, 8000, 3)), (b"data", data)))
    assert (wavfile.read(tmp_path / "a.wav")[1] >> 8).tolist() == x.tolist()
    np.testing.assert_array_equal(all_of(tmp_path / "a.wav"), (x / 2**23).astype(np.float32))


def test_other_parts_odd_lengths_and_pipes_are_no_trouble(tmp_path):
    data = coded(wave(5), "<i2").tobytes()
    extensible = told(0xFFFE, 1, 8000, 2, struct.pack("<HHIH", 22, 16, 4, 1) + b"\0" * 14)
    chunks = ((b"LIST", b"abc"), (b"fmt ", extensible), (b"cue ", b""), (b"data", data))
    (tmp_path / "a.wav").write_bytes(parts(*chunks))
    (tmp_path / "b.wav").write_bytes(parts(*chunks, size=0xFFFFFFFF))
    for name in ("a.wav", "b.wav"):
        np.testing.assert_allclose(all_of(tmp_path / name), wave(5), atol=1e-4)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "the file is empty"),
        (b"ID3 not a wav at all", "not a WAV file"),
        (b"RIFF\0\0\0\0WAVE", "ends before its samples"),
        (parts((b"data", b"\0\0")), "does not say how"),
        (parts((b"fmt ", told(1, 1, 8000, 2)), (b"data", b"")), "no sound in it"),
        (
            parts((b"fmt ", told(7, 1, 8000, 1)), (b"data", b"\0\0")),
            "format 7 of 8 bits.*save it as PCM",
        ),
        (parts((b"fmt ", told(1, 0, 8000, 2)), (b"data", b"\0\0")), "coded in a way"),
        (parts((b"fmt ", told(1, 1, 0, 2)), (b"data", b"\0\0")), "declares 0 samples a second"),
        (parts((b"fmt ", told(1, 1, 8000, 2)), (b"data", b"\0\0"), size=99), "2 of 99 bytes of sound"),
    ],
)
def test_what_is_no_sound_is_told(tmp_path, data, words):
    (tmp_path / "a.wav").write_bytes(data)
    said = reason(tmp_path / "a.wav")
    assert re.search(words, said), said


def test_a_long_sound_is_not_loaded(tmp_path):
    wavfile.write(tmp_path / "a.wav", 44100, np.zeros((60 * 44100, 2), np.int16))
    tracemalloc.start()
    with opened(tmp_path / "a.wav") as sound:
        for at in range(0, 80_000, 8000):
            sound.piece(8000, at, 800)
        most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < 2_000_000  # of 10.6 MB


def test_without_the_library_it_is_named(tmp_path, monkeypatch):
    (tmp_path / "a.flac").write_bytes(b"fLaC")
    monkeypatch.setitem(sys.modules, "soundfile", None)
    with (
        pytest.raises(GenwrightError, match=r"\.flac files.*'soundfile'.*genwright\[audio\]"),
        opened(tmp_path / "a.flac"),
    ):
        pass


@pytest.mark.parametrize("suffix", ["flac", "ogg", "mp3"])
def test_other_files_by_the_library(tmp_path, suffix):
    soundfile = pytest.importorskip("soundfile")
    x = np.stack([wave(4000), wave(4000)], axis=1)
    file = tmp_path / f"a.{suffix}"
    soundfile.write(file, x, 8000)
    with opened(file) as sound:
        assert (sound.rate, sound.channels) == (8000, 2)
        assert abs(sound.frames - 4000) < 2400  # an mp3 is filled up
        whole = sound.read(0, sound.frames)
        np.testing.assert_allclose(sound.read(1000, 1200), whole[1000:1200], atol=1e-3)
        if suffix == "flac":
            np.testing.assert_allclose(whole, x.mean(1), atol=1e-4)
    file.write_bytes(b"words")
    assert "damaged, or no sound" in reason(file)


# -- another rate ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("old", "new"), [(8000, 8000), (8000, 16000), (44100, 16000), (11025, 8000)])
def test_a_piece_is_that_of_the_whole_sound_resampled(tmp_path, old, new):
    x = wave(6000, old)
    wavfile.write(tmp_path / "a.wav", old, x)
    up, down = new // np.gcd(old, new), old // np.gcd(old, new)
    whole = resample_poly(x.astype(np.float32), up, down) if up != down else x
    assert len(whole) == length_at(6000, old, new)
    np.testing.assert_allclose(resampled(x, old, new), whole, atol=1e-6)
    with opened(tmp_path / "a.wav") as sound:
        assert sound.length(new) == len(whole)
        for start in (0, 1, 777, len(whole) - 300, len(whole) - 1):
            found = sound.piece(new, start, 500)
            np.testing.assert_allclose(found, whole[start : start + 500], atol=1e-6)


def test_a_tone_stays_itself_and_one_too_high_goes():
    times = np.arange(16000) / 16000
    low, high = (np.sin(2 * np.pi * tone * times) for tone in (500, 6000))
    found = resampled(low + high, 16000, 8000)[100:-100]
    np.testing.assert_allclose(found, low[::2][100:-100], atol=2e-3)


# -- to hear and to see ----------------------------------------------------------------------------


def test_what_is_written_is_a_wav_and_a_picture():
    x = coded(wave(100), "<i2")
    wav, png = sounded(x, 8000)
    rate, found = wavfile.read(io.BytesIO(wav))
    assert (rate, found.tolist()) == (8000, x.tolist())
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.height == 64
        ink = np.asarray(picture) < 128
    assert ink.any(0).all()
    # A louder wave is a higher one.
    with Image.open(io.BytesIO(sounded(x // 10, 8000).png)) as picture:
        assert (np.asarray(picture) < 128).any(1).sum() < ink.any(1).sum() / 2
