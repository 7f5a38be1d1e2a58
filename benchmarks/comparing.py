"""Whether a comparison of families can be believed.

    python benchmarks/comparing.py budget DATA [--minutes 10] [--families A,B] [--label L] [--set ...]
    python benchmarks/comparing.py order DATA [--trainings 7] [--seeds 3] [--times 10] [--family vae] [--steps 400]
    python benchmarks/comparing.py workers DATA [--minutes 2] [--families A,B] [--ray local]
    python benchmarks/comparing.py copies DATA

budget   `genwright compare DATA`, killed once in the middle (SIGKILL) and gone on with: how many minutes of work it
         was in all, what each training took beside what it was planned with, and whether a comparison of the
         same that is not cut has the same table (`--whole`), seconds left out
order    one family trained 1 x, 1/4 and 1/20 as long, `--trainings` of each with another seed each time, and once more
         as many of full length. Of these, `--times` times, one is drawn for each contender, and `--seeds` as
         `genwright compare --seeds` has it: how often no shorter one is before a longer and the longest is before the
         shortest (`right`), how often all three are in order (`strict`), and how often two of full length are tied
workers  the same comparison by one process, two, and a Ray cluster of two cores: whether the tables are equal, number
         for number, and the seconds that went by
copies   a run whose samples are its training examples, between two honest ones: whether it is disqualified
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import genwright
from _report import say
from genwright.comparing.leaderboard import TRAINED, Contender, leaderboard, pooled
from genwright.comparing.runs import leaderboards
from genwright.evaluation import inputs
from genwright.report import evaluation_page


def command(args: argparse.Namespace, out: Path, *more: str) -> list[str]:
    words = [sys.executable, "-m", "genwright", "compare", args.data, "--minutes", str(args.minutes)]
    words += ["--families", args.families] if args.families else []
    words += ["--label", args.label] if args.label is not None else []
    for setting in args.set:
        words += ["--set", setting]
    return [*words, "--out", str(out), *more]


def untimed(out: Path) -> list[dict[str, Any]]:
    rows = json.loads((out / "leaderboard.json").read_text())
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]


def budget(args: argparse.Namespace, folder: Path) -> None:
    cut, whole = folder / "cut", folder / "whole"
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command(args, cut), stdout=subprocess.DEVNULL)
    while process.poll() is None and work_of(cut) < 30 * args.minutes:
        time.sleep(1)
    process.send_signal(signal.SIGKILL)
    process.wait()
    subprocess.run(command(args, cut, "--resume"), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    rows = json.loads((cut / "leaderboard.json").read_text())
    plan = json.loads((cut / "ledger.json").read_text())["plan"]["bracket"]
    share = {
        row["name"]: row["seconds_to_train"] / plan["seconds"]
        for row in rows
        if row["outcome"] == TRAINED
    }
    figures: dict[str, Any] = {
        "work": round((after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) / 60, 3),
        "minutes": args.minutes,
        "wall": round((time.monotonic() - began) / 60, 2),
        "work_over_planned": {name: round(one, 3) for name, one in share.items()},
        "rungs": plan["places"],
        "rows": {
            row["name"]: [row["rank"], row["outcome"]] for row in rows if row["run"] or row["cause"]
        },
    }
    if args.whole:
        subprocess.run(command(args, whole), check=True, stdout=subprocess.DEVNULL)
        figures["equal"] = untimed(cut) == untimed(whole)
    say(what="budget", data=args.data, **figures)


def work_of(out: Path) -> float:
    try:
        entries = json.loads((out / "ledger.json").read_text())
    except (OSError, ValueError):
        return 0.0
    return sum(one["work"] for one in entries.values() if isinstance(one, dict) and "work" in one)


def order(args: argparse.Namespace, folder: Path) -> None:
    """What is there in `--out` is not trained again."""
    lengths = {"whole": args.steps, "quarter": args.steps // 4, "twentieth": max(1, args.steps // 20)}
    reports: dict[str, list[inputs.EvaluationReport]] = {name: [] for name in (*lengths, "again")}
    for number in range(args.trainings):
        for name, found in reports.items():
            place = folder / str(number) / name
            if not (place / "judge" / "report.json").exists():
                genwright.train(
                    args.data,
                    family=args.family,
                    steps=lengths.get(name, args.steps),
                    size="xs",
                    seed=100 * number + (name == "again"),
                    label=args.label,
                    out=place,
                    settings=["train.checks=2", "train.samples=0", *args.set],
                )
                evaluation_page.write(genwright.judge(place), place / "judge")
            found.append(evaluation_page.read(place / "judge" / "report.json"))
    for seeds in (1, args.seeds):
        say(what="order", data=args.data, family=args.family, steps=args.steps, trainings=args.trainings,
            seeds=seeds, times=args.times, **ordered(reports, seeds, args.times))  # fmt: skip


def ordered(reports: dict[str, list[inputs.EvaluationReport]], seeds: int, times: int) -> dict[str, int]:
    """How often the order is that of the lengths, and how often two of one length are tied, each time with so many
    trainings of each drawn from those that there are."""
    counts = {"right": 0, "strict": 0, "tied": 0}
    for number in range(times):
        rng = np.random.default_rng([seeds, number])
        chosen = {
            name: [some[i] for i in rng.choice(len(some), seeds, replace=False)]
            for name, some in reports.items()
        }
        pair = ranks_of({name: chosen[name] for name in ("whole", "again")})
        whole, quarter, twentieth = ranks_of(
            {n: chosen[n] for n in ("whole", "quarter", "twentieth")}
        ).values()
        counts["right"] += whole <= quarter <= twentieth and whole < twentieth
        counts["strict"] += whole < quarter < twentieth
        counts["tied"] += pair["whole"] == pair["again"]
    return counts


def ranks_of(contenders: dict[str, list[inputs.EvaluationReport]]) -> dict[str, int]:
    table = leaderboard(
        [(Contender(name, "", TRAINED), pooled(name, found)) for name, found in contenders.items()],
        (),
        None,
    )
    ranks = {row.name: row.rank or 0 for row in table.rows}
    return {name: ranks[name] for name in contenders}


def workers(args: argparse.Namespace, folder: Path) -> None:
    ways = {"one": [], "two": ["--workers", "2"]} | ({"ray": ["--ray", args.ray]} if args.ray else {})
    seconds: dict[str, float] = {}
    for name, more in {"first": [], **ways}.items():  # the first measures the prices for all
        began = time.monotonic()
        subprocess.run(command(args, folder / name, *more), check=True, stdout=subprocess.DEVNULL)
        seconds[name] = time.monotonic() - began
    tables = {name: untimed(folder / name) for name in seconds}
    say(
        what="workers",
        data=args.data,
        seconds={name: round(one, 1) for name, one in seconds.items()},
        two_over_one=round(seconds["one"] / seconds["two"], 2),
        equal={name: table == tables["one"] for name, table in tables.items()},
    )


def copies(args: argparse.Namespace, folder: Path) -> None:
    """The samples of one run are put in place of by its training examples, before the judge."""
    rows = []
    for seed, name in enumerate(("honest", "copies", "other")):
        made = genwright.train(
            args.data, family=args.family, steps=args.steps, size="xs", seed=seed, out=folder / name,
            settings=["train.checks=2", "train.samples=0", *args.set],
        )  # fmt: skip
        if name == "copies":
            case = inputs.of_train_copy(made.recipe, made.dataset, 2000, 0)
            report = inputs.judged(case, name, 0)
            report.facts["step"] = made.step
        else:
            report = genwright.judge(made.run.path)
        evaluation_page.write(report, made.run.path / "judge")
    for table in leaderboards(folder).values():
        rows += [(row.name, row.rank, row.outcome, row.cause) for row in table.rows if row.run]
    say(what="copies", data=args.data, rows=rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=["budget", "order", "workers", "copies"])
    parser.add_argument("data")
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--families")
    parser.add_argument("--family", default="vae")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--trainings", type=int, default=7)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--label")
    parser.add_argument("--ray")
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--set", action="append", default=[])
    parser.add_argument("--out")
    args = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(args.out or scratch)
        {"budget": budget, "order": order, "workers": workers, "copies": copies}[args.what](args, folder)


if __name__ == "__main__":
    main()
