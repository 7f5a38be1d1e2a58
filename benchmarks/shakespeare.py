"""Tiny Shakespeare against nanoGPT, side by side.

    python benchmarks/shakespeare.py TEXT NANOGPT [--seed 0]

TEXT is tiny Shakespeare (karpathy/char-rnn, 1,115,394 characters, plain); NANOGPT a checkout of
karpathy/nanoGPT. nanoGPT is run with its setting for a CPU (README: 4 layers, 128 wide, context 64, batch
12, 2,000 steps) on the same split, first 90 % to train on, last 10 % held out. Then this project's recipe
runs for the same time, and for a third of it. nanoGPT's time is that of its whole command, and so is ours.
Each loss is in nats a character on the held-out text; ours over windows side by side, nanoGPT's over 200
random batches of 12.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from _report import say

RECIPE = Path(__file__).parent.parent / "recipes" / "shakespeare-char.toml"
FLAGS = [
    "--device=cpu",
    "--compile=False",
    "--eval_iters=20",
    "--log_interval=100",
    "--block_size=64",
    "--batch_size=12",
    "--n_layer=4",
    "--n_head=4",
    "--n_embd=128",
    "--max_iters=2000",
    "--lr_decay_iters=2000",
    "--dropout=0.0",
]


def nanogpt(source: Path, text: str, folder: Path) -> tuple[float, float]:
    """Its best held-out loss and its seconds."""
    shutil.copytree(source, folder, ignore=shutil.ignore_patterns(".git", "assets"))
    data = folder / "data" / "shakespeare_char"
    data.mkdir(parents=True, exist_ok=True)
    symbols = sorted(set(text))
    ids = np.array([symbols.index(c) for c in text], dtype=np.uint16)
    cut = int(len(text) * 0.9)
    ids[:cut].tofile(data / "train.bin")
    ids[cut:].tofile(data / "val.bin")
    # nanoGPT asks for its vocabulary as a pickle: these bytes are {"vocab_size": n}, protocol 0.
    (data / "meta.pkl").write_bytes(b"(dVvocab_size\nI%d\ns." % len(symbols))
    began = time.perf_counter()
    said = subprocess.run(
        [sys.executable, "train.py", "config/train_shakespeare_char.py", *FLAGS],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    seconds = time.perf_counter() - began
    return min(float(v) for v in re.findall(r"val loss ([\d.]+)", said)), seconds


def ours(text: Path, minutes: float, seed: int, run: Path) -> tuple[float, float, int]:
    """The held-out loss of the recipe after about so many minutes, the seconds of the whole command,
    and the steps it made."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "genwright", "train", str(RECIPE), "--seed", str(seed)]
    command += ["--minutes", str(minutes), "--out", str(run), "--set", f"data.path={text}"]
    command += [
        "--size",
        "s",
        "--set",
        "codec.length=64",
        "--set",
        "train.batch_size=32",
    ]  # nanoGPT's own
    subprocess.run(command, check=True, capture_output=True)
    seconds = time.perf_counter() - began
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return min(r["val_loss"] for r in records if "val_loss" in r), seconds, records[-1]["step"]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("text", type=Path)
    options.add_argument("nanogpt", type=Path)
    options.add_argument("--seed", type=int, default=0)
    args = options.parse_args()
    text = args.text.read_text(encoding="utf-8")
    start_up = 6 / 60  # minutes that a command spends before and after its training
    with tempfile.TemporaryDirectory() as folder:
        loss, seconds = nanogpt(args.nanogpt, text, Path(folder) / "nanogpt")
        for name, share in (("same time", 1.0), ("a third", 1 / 3)):
            minutes = max(seconds * share / 60 - start_up, 0.05)
            found, took, steps = ours(args.text, minutes, args.seed, Path(folder) / name)
            say(
                benchmark="shakespeare",
                budget=name,
                seed=args.seed,
                val=round(found, 4),
                seconds=round(took, 1),
                steps=steps,
                nanogpt_val=loss,
                nanogpt_seconds=round(seconds, 1),
                time_ratio=round(took / seconds, 3),
            )


if __name__ == "__main__":
    main()
