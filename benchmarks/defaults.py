"""Do the defaults hold on data that they were not tuned on? Short trainings with every option left alone.

    python benchmarks/defaults.py DATA [DATA ...] [--families gan vae ...] [--sizes xs s m] [--seeds 3]
        [--steps 60] [--batch N] [--set codec.size=64]

One line for each training: what the guard said, whether it was given up, and the held-out loss where there is
one; at the end the share of all that went without an alarm. `DATA` is a path, or PATH@SIZE for pictures that are
to be brought to one size.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import genwright
from _report import say
from genwright.errors import GenwrightError, Incompatible

FAMILIES = ("gan", "vae", "vqvae", "diffusion", "flow")


def training(data: str, family: str, size: str, seed: int, args: argparse.Namespace) -> dict[str, Any]:
    """The alarms of one training."""
    path, _, side = data.partition("@")
    settings = ["train.samples=0", "train.checks=2", *args.set]
    settings += [f"codec.size={side}"] if side else []
    settings += [f"train.batch_size={args.batch}"] if args.batch else []
    began, gave_up, words = time.process_time(), False, ""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "run"
        try:
            genwright.train(
                path, family=family, size=size, steps=args.steps, seed=seed, out=out, settings=settings
            )
        except Incompatible as error:
            return {"refused": str(error)}
        except GenwrightError as error:
            gave_up, words = True, str(error)
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    alarms = [f"{line['guard']} at {line['step']}" for line in lines if "guard" in line]
    heldout = [line["val_loss"] for line in lines if "val_loss" in line]
    return {
        "alarms": alarms,
        "gave_up": gave_up,
        "words": words,
        "heldout": heldout[-1:],
        "seconds": round(time.process_time() - began, 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--families", nargs="+", default=FAMILIES)
    parser.add_argument("--sizes", nargs="+", default=("xs", "s", "m"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--batch", type=int)
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    quiet = total = 0
    for size in args.sizes:
        for data in args.data:
            for family in args.families:
                for seed in range(args.seeds):
                    found = training(data, family, size, seed, args)
                    print(
                        json.dumps(
                            {"data": Path(data).name, "family": family, "size": size, "seed": seed}
                            | found
                        ),
                        flush=True,
                    )
                    if "refused" not in found:
                        total += 1
                        quiet += not (found["alarms"] or found["gave_up"])
    say(without_alarm=quiet, of=total, share=round(quiet / max(1, total), 3))


if __name__ == "__main__":
    main()
