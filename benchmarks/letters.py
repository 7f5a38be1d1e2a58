"""Spoken letters of the alphabet: text from speech, and speech from text.

    python benchmarks/letters.py hear STAMPS --steps 1500
    python benchmarks/letters.py say STAMPS --steps 3000

STAMPS is the folder `usr/share/tuxpaint/stamps` of the Debian package `tuxpaint-stamps-default` (GPL-2): in nine
languages a person says "the letter b" for each letter, up to four times. Of every language and letter with several
takes one is held out. Of the others several are made by another speed, loudness and beginning, since there are few.
`cer` is beside the best constant answer and answers to other sounds. What is said is recognised by the nearest training
take by its spectrum, of which speed is taken out, as real held-out takes are.
"""

from __future__ import annotations

import argparse
import hashlib
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

import genwright
from _report import say
from genwright.evaluation.metrics.wording import edit_distance
from pairs import share

Array = np.ndarray
LANGUAGES = ("bg", "ca", "el", "es", "fr", "lt", "ro", "ru", "en_GB")
RATE, LENGTH = 4000, 4096
COPIES = 4


def takes(stamps: Path) -> Iterator[tuple[str, str, list[Path]]]:
    """Of each language and letter its text and the recordings that differ."""
    found: dict[tuple[str, str], list[Path]] = defaultdict(list)
    for path in sorted((stamps / "symbols/alphabets/english").rglob("*.ogg")):
        language = next((x for x in LANGUAGES if path.stem.endswith("_" + x)), None)
        if language is not None:
            found[language, path.stem[0].lower()].append(path)
    for (language, letter), paths in found.items():
        unlike = {hashlib.md5(path.read_bytes()).hexdigest(): path for path in paths}
        yield f"{language[:2]} {letter}", language, list(unlike.values())


def clip(path: Path, speed: float = 1.0, loud: float = 0.9, begin: int = 0) -> Array:
    """At `RATE`, `LENGTH` samples long."""
    x, rate = soundfile.read(path, dtype="float64", always_2d=True)
    x = x.mean(1)
    n = max(1, round(len(x) * RATE / rate / speed))
    spectrum = np.fft.rfft(x)  # resampled by its spectrum
    y = np.fft.irfft(spectrum[: n // 2 + 1], n) * n / len(x)
    heard = np.flatnonzero(np.abs(y) > 0.02 * np.abs(y).max())
    y = y[max(0, heard[0] - 100) : heard[-1] + 100]
    out = np.zeros(LENGTH)
    y = y[: LENGTH - begin]
    out[begin : begin + len(y)] = y * loud / max(np.abs(y).max(), 1e-6)
    return out


def prepared(stamps: Path, folder: Path, seed: int) -> tuple[Path, dict[str, Array], dict[str, Array]]:
    """A folder to learn from; the held-out clips and the learnt ones, by text."""
    out, rng = folder / "letters", np.random.default_rng(seed)
    out.mkdir()
    held, learnt = dict[str, Array](), dict[str, list[Array]]()
    for text, _, paths in takes(stamps):
        if len(paths) > 1:
            held[text] = clip(paths.pop())
        learnt[text] = [clip(path) for path in paths]
        for i, path in enumerate(paths):
            for j in range(COPIES):
                how = (rng.uniform(0.9, 1.1), rng.uniform(0.5, 0.95), int(rng.integers(0, 300)))
                x = clip(path) if j == 0 else clip(path, *how)
                stem = f"{text.replace(' ', '-')}-{i}-{j}"
                soundfile.write(out / f"{stem}.wav", x, RATE, subtype="PCM_16")
                (out / f"{stem}.txt").write_text(text)
    return out, held, learnt


def spectrum(x: Array) -> Array:
    """Logarithmic energies in bands, on 24 places of equal length of what is heard, without their mean."""
    heard = np.flatnonzero(np.abs(x) > 0.03 * max(np.abs(x).max(), 1e-6))
    x = x[heard[0] : heard[-1] + 1] if len(heard) else x
    x = np.pad(x, (0, max(0, 512 - len(x))))
    starts = np.linspace(0, len(x) - 256, 24).astype(int)
    energy = np.stack([np.abs(np.fft.rfft(x[s : s + 256] * np.hanning(256))) ** 2 for s in starts])
    bands = np.stack([part.sum(1) for part in np.array_split(energy, 24, axis=1)], axis=1)
    logs = np.log(bands + 1e-4 * bands.max() + 1e-9)
    return (logs - logs.mean()).ravel()


def named(clips: list[Array], learnt: dict[str, list[Array]]) -> list[str]:
    """The text of the nearest learnt take."""
    texts = [text for text, some in learnt.items() for _ in some]
    known = np.stack([spectrum(x) for some in learnt.values() for x in some])
    return [texts[int(((known - spectrum(x)) ** 2).sum(1).argmin())] for x in clips]


def rate(made: list[str], truth: list[str]) -> float:
    """The character error rate."""
    a, b = ([np.array([ord(c) for c in text], np.int64) for text in texts] for texts in (made, truth))
    return round(float(edit_distance(a, b).sum()) / sum(map(len, truth)), 3)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("what", choices=["hear", "say"])
    options.add_argument("stamps", type=Path)
    options.add_argument("--family")
    options.add_argument("--size", default="xs")
    options.add_argument("--steps", type=int, default=1500)
    options.add_argument("--guidance", type=float, default=2.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--set", nargs="*", default=[])
    args = options.parse_args()
    hear = args.what == "hear"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path, held, learnt = prepared(args.stamps, folder, args.seed)
        began = time.process_time()
        model = genwright.train(
            path,
            family=args.family or ("autoregressive" if hear else "diffusion"),
            make="caption" if hear else "audio",
            given="audio" if hear else "caption",
            label="",
            size=args.size,
            steps=args.steps,
            seed=args.seed,
            settings=[
                f"codec.rate={RATE}",
                f"codec.seconds={LENGTH / RATE}",
                "data.test=0.02",
                *args.set,
            ],
            out=folder / "run",
        )
        found: dict[str, Any] = {
            "cpu_minutes": round((time.process_time() - began) / 60, 1),
            "steps": model.run.step,
            "n": len(held),
        }
        texts, clips = list(held), list(held.values())
        shifted = [
            next(other for other in [*texts[i:], *texts[:i]] if other[-1] != text[-1])
            for i, text in enumerate(texts)
        ]
        if hear:
            given = folder / "held"
            given.mkdir()
            for i, x in enumerate(clips):
                soundfile.write(given / f"{i:04d}.wav", x, RATE, subtype="PCM_16")
            made = model.apply(sorted(given.glob("*.wav")), seed=args.seed, temperature=0.0).examples
            constant = min(rate([one] * len(texts), texts) for one in learnt)
            found["cer"] = {
                "model": rate(made, texts),
                "constant": constant,
                "other": rate(made, shifted),
            }
            found["letter right"] = share([t[-1:] for t in made], [t[-1:] for t in texts])
            found["language right"] = share([t[:2] for t in made], [t[:2] for t in texts])
        else:
            some = model.sample(
                len(texts), {"caption": texts}, seed=args.seed, guidance_scale=args.guidance
            )
            said = [np.asarray(one.samples) / 32768 for one in some.examples]
            for what, names in (("model", named(said, learnt)), ("real", named(clips, learnt))):
                found[what] = {
                    "text": share(names, texts),
                    "letter": share([t[-1] for t in names], [t[-1] for t in texts]),
                    "language": share([t[:2] for t in names], [t[:2] for t in texts]),
                    "other": share([t[-1] for t in names], [t[-1] for t in shifted]),
                }
        say(benchmark="letters", what=args.what, **found)


if __name__ == "__main__":
    main()
