"""Is what a training of some minutes chooses by itself as good as what a search by hand finds?

    python benchmarks/search.py DATA [DATA ...] [--minutes 1 5] [--family NAME] [--seed 0] [--set ...]

For each data set and time: the training with size and batch as the rule has them (`budget.py`), and others with half
and twice the examples of a step, and with nets one size smaller and larger. One line each with the held-out loss (the
least of the training's checks) and its distance from the best of all, as a share of that. Minutes are those of the
processor, in one thread: another program beside it, or a pause, takes nothing from a training. A likelihood of numbers
has no zero, so that shares are of losses of symbols and of diffusions alone.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any
from unittest import mock

import torch

import genwright
from _report import say

SIZES = ("xs", "s", "m")


def trained(data: str, minutes: float, args: argparse.Namespace, **choice: Any) -> dict[str, Any]:
    """One training: what it was, and its least held-out loss."""
    settings = [*args.set, "train.samples=0", "train.threads=1", "data.test=0"]
    if choice.get("batch"):
        settings.append(f"train.batch_size={choice['batch']}")
    with tempfile.TemporaryDirectory() as folder, mock.patch("time.monotonic", time.process_time):
        out = Path(folder) / "run"
        model = genwright.train(
            data,
            family=args.family,
            minutes=minutes,
            seed=args.seed,
            size=choice.get("size"),
            out=out,
            settings=settings,
        )
        lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    recipe = model.recipe
    return {
        "family": recipe.family.name,
        "size": recipe.size,
        "batch": recipe.train.batch_size,
        "steps": model.run.step,
        "heldout": min(line["val_loss"] for line in lines if "val_loss" in line),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("data", nargs="+")
    parser.add_argument("--minutes", type=float, nargs="+", default=[1.0])
    parser.add_argument("--family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", nargs="*", default=[])
    args = parser.parse_args()
    torch.set_num_threads(1)
    for data in args.data:
        for minutes in args.minutes:
            own = trained(data, minutes, args)
            place = SIZES.index(own["size"])
            others: list[dict[str, Any]] = [
                {"size": own["size"], "batch": max(1, own["batch"] // 2)},
                {"size": own["size"], "batch": 2 * own["batch"]},
                *(
                    {"size": size}
                    for size in SIZES[max(0, place - 1) : place + 2]
                    if size != own["size"]
                ),
            ]
            found = [own]
            said = {"data": Path(data).name, "minutes": minutes}
            print(json.dumps(said | own | {"by": "the rule"}), flush=True)
            for choice in others:
                found.append(trained(data, minutes, args, **choice))
                print(json.dumps(said | found[-1] | {"by": "hand"}), flush=True)
            best = min(one["heldout"] for one in found)
            say(
                benchmark="search",
                data=Path(data).name,
                minutes=minutes,
                **own,
                best=round(best, 4),
                behind=round((own["heldout"] - best) / abs(best), 4),
            )


if __name__ == "__main__":
    main()
