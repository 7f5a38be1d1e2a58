"""Fashion-MNIST and how pictures of it are judged, for the benchmarks that learn from it."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Any

import numpy as np

import genwright

SHOWN = ("fd", "fd_inf", "kid", "precision", "recall", "density", "coverage")


def prepared(folder: Path, out: Path) -> tuple[Path, Path]:
    """Files in `out` with the 60,000 to learn from and the 10,000 to judge by, of the four IDX files (Xiao et
    al. 2017, arXiv:1708.07747; Debian package dataset-fashion-mnist)."""
    out.mkdir(parents=True, exist_ok=True)
    train, held = out / "train.npz", out / "held.npz"
    np.savez(train, images=_images(folder, "train"))
    np.savez(held, images=_images(folder, "t10k"))
    return train, held


def _images(folder: Path, name: str) -> np.ndarray:
    """`(n, 28, 28)` uint8 from an IDX file."""
    with gzip.open(folder / f"{name}-images-idx3-ubyte.gz") as file:
        return np.frombuffer(file.read(), dtype=np.uint8, offset=16).reshape(-1, 28, 28)


def kept(samples: genwright.model.Samples, path: Path) -> Path:
    """Pictures in a file that the judge reads."""
    made = np.stack([np.asarray(one).reshape(28, 28) for one in samples.examples])
    np.savez(path, images=made.astype(np.uint8))
    return path


def judged(made: Path, train: Path, held: Path, n: int, seed: int) -> dict[str, Any]:
    """`[value, low, high]` of each metric that is shown, and their floors; in the features of a contrastive
    network that has learnt from `train`, n of each."""
    found = genwright.judge(
        fake=made, real=train, holdout=held, n=n, seed=seed, features="contrastive", wanted=SHOWN
    )
    figures: dict[str, Any] = {
        one.metric: [round(v, 5) for v in (one.model.value, one.model.low, one.model.high)]
        for one in found.results
        if one.model is not None
    }
    floors = {
        one.metric: round(one.real_baseline.value, 5)
        for one in found.results
        if one.real_baseline is not None
    }
    return figures | {"floors": floors}
