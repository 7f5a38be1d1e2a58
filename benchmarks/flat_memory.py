"""Memory while data is prepared and a training begins, for some data and for ten times as much.

    python benchmarks/flat_memory.py [--rows 100000]

Peak resident memory of a whole process each (VmHWM: what `getrusage` tells begins at its parent's), with the
pages of the cache on disk that happen to be mapped: made-up tables, texts and pictures (of 28 x 28, as .npz).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from _report import say

SCRIPT = """
import re, sys
from pathlib import Path
from genwright.api import make_recipe
from genwright.experiment import Experiment
experiment = Experiment.of(make_recipe(sys.argv[1], size="xs"))
stream = experiment.stream()
for _ in range(50):
    stream.next(64, experiment.model.family.device, 0)
print(int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024)
"""


def table(path: Path, rows: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("w") as stream:
        stream.write("a,b,c,d\n")
        for start in range(0, rows, 10_000):
            n = min(10_000, rows - start)
            a, b, c = rng.normal(size=n), rng.integers(0, 1000, n), rng.integers(0, 5, n)
            for x, y, z in zip(a, b, c, strict=True):
                stream.write(f"{x:.4f},{y},k{z},{x * y:.3f}\n")


def text(path: Path, rows: int) -> None:
    words = [w.strip(".,") for w in (__doc__ or "").split()]
    rng = np.random.default_rng(0)
    with path.open("w") as stream:
        for _ in range(rows // 10):
            stream.write(" ".join(rng.choice(words, 40)) + "\n")


def pictures(path: Path, rows: int) -> None:
    images = np.random.default_rng(0).integers(0, 255, (rows // 2, 28, 28), dtype=np.uint8)
    np.savez(path, images=images)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rows", type=int, default=100_000)
    args = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for name, make in (("table.csv", table), ("text.txt", text), ("pictures.npz", pictures)):
            peak = []
            for times in (1, 10):
                path = Path(folder) / f"{times}-{name}"
                make(path, args.rows * times)
                said = subprocess.run(
                    [sys.executable, "-c", SCRIPT, str(path)],
                    env=os.environ | {"GENWRIGHT_CACHE": f"{folder}/cache"},
                    capture_output=True,
                    text=True,
                    check=True,
                ).stdout
                peak.append(float(said.strip().splitlines()[-1]))
            say(
                benchmark="flat_memory",
                data=name,
                rows=args.rows,
                peak_mib=round(peak[0]),
                peak_mib_of_ten_times_the_data=round(peak[1]),
            )


if __name__ == "__main__":
    main()
