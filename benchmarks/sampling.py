"""Rows in a second: `genwright sample` end to end and without imports, alone and beside a busy program; this
code and another version of it, in turns; TabularARGN beside them.

    python benchmarks/sampling.py rows RUN [-n 26000] [--busy] [--rounds 3]
    python benchmarks/sampling.py versus RUN --other SRC [-n 64] [--rounds 5]
    python benchmarks/sampling.py argn TABLE.csv --python VENV/bin/python [-n 26000] [--minutes 1] [--busy]

RUN is what `genwright train TABLE.csv --minutes 1` made. --other is the `src` folder of another version. The
Python of --python has `pip install mostlyai-engine` (Apache 2.0) and pandas. --busy keeps one core busy beside.
Seconds are medians; `cpu` is what all threads together computed, which other programs change less.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from _report import say

MAKE = """
import json, sys, time
import genwright
model = genwright.load(sys.argv[1], device="cpu")
began, before = time.perf_counter(), time.process_time()
made = model.sample(int(sys.argv[2]), seed=int(sys.argv[3]))
print(json.dumps([time.perf_counter() - began, time.process_time() - before]))
"""
LEARN = """
import json, sys, time
from pathlib import Path
import pandas as pd
from mostlyai import engine
table, n, minutes, folder = pd.read_csv(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), Path(sys.argv[4])
engine.split(tgt_data=table, workspace_dir=folder, model_type="TABULAR")
engine.analyze(workspace_dir=folder)
engine.encode(workspace_dir=folder)
engine.train(workspace_dir=folder, max_training_time=minutes)
"""
"""TabularARGN on a table, in a Python that has it."""
ARGN = f"""{LEARN}
found = []
for _ in range(int(sys.argv[5])):
    began, before = time.perf_counter(), time.process_time()
    engine.generate(workspace_dir=folder, sample_size=n)
    found.append([time.perf_counter() - began, time.process_time() - before])
print(json.dumps(found))
"""


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("what", choices=["rows", "versus", "argn"])
    options.add_argument("source", type=Path)
    options.add_argument("-n", type=int, default=0)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--minutes", type=float, default=1.0)
    options.add_argument("--other", type=Path)
    options.add_argument("--python", type=Path)
    options.add_argument("--busy", action="store_true")
    args = options.parse_args()
    n = args.n or (64 if args.what == "versus" else 26_000)
    with busy_program(args.busy):
        found = {"rows": rows, "versus": versus, "argn": argn}[args.what](args, n)
    say(benchmark=f"sampling_{args.what}", n=n, busy=args.busy, **found)


def rows(args: argparse.Namespace, n: int) -> dict[str, float]:
    """End to end, files and all; and what of it is sampling."""
    whole, alone = [], []
    for seed in range(args.rounds):
        with tempfile.TemporaryDirectory() as folder:
            command = [sys.executable, "-m", "genwright", "sample", str(args.source), "-n", str(n)]
            whole.append(timed([*command, "--seed", str(seed), "--out", f"{folder}/out"]))
        alone.append(made_by(None, args.source, n, seed))
    return medians("whole", whole) | medians("alone", alone)


def versus(args: argparse.Namespace, n: int) -> dict[str, float]:
    """One after the other, in turns."""
    here, there = [], []
    for seed in range(args.rounds):
        here.append(made_by(None, args.source, n, seed))
        there.append(made_by(args.other, args.source, n, seed))
    found = medians("here", here) | medians("other", there)
    ratio = {k: round(found[f"{k}_other"] / found[f"{k}_here"], 2) for k in ("seconds", "cpu")}
    return found | {f"times_faster_{name}": value for name, value in ratio.items()}


def argn(args: argparse.Namespace, n: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        command = [str(args.python), "-c", ARGN, str(args.source), str(n), str(args.minutes), folder]
        said = subprocess.run([*command, str(args.rounds)], capture_output=True, text=True, check=True)
    return medians("alone", json.loads(said.stdout.splitlines()[-1]))


def made_by(src: Path | None, run: Path, n: int, seed: int) -> list[float]:
    """Seconds and CPU seconds of one sampling, without imports, by the code in `src` (None: this one)."""
    environment = os.environ | ({"PYTHONPATH": str(src)} if src else {})
    command = [sys.executable, "-c", MAKE, str(run), str(n), str(seed)]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    found: list[float] = json.loads(said.stdout.splitlines()[-1])
    return found


def timed(command: list[str]) -> list[float]:
    """Seconds and CPU seconds of a command."""
    before, began = os.times(), os.times().elapsed
    subprocess.run(command, capture_output=True, check=True)
    after = os.times()
    spent = after.children_user + after.children_system
    return [after.elapsed - began, spent - before.children_user - before.children_system]


def medians(name: str, found: list[list[float]]) -> dict[str, float]:
    seconds, cpu = zip(*found, strict=True)
    return {
        f"seconds_{name}": round(statistics.median(seconds), 2),
        f"cpu_{name}": round(statistics.median(cpu), 2),
    }


@contextmanager
def busy_program(wanted: bool) -> Iterator[None]:
    """Within it another program has a core to itself, as far as it can get."""
    if not wanted:
        yield
        return
    other = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        yield
    finally:
        other.kill()
        other.wait()


if __name__ == "__main__":
    main()
