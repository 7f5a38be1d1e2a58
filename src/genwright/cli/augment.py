"""The verb `augment`; see `main.py`, which takes it in."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.console import say
from genwright.cli.parse import AsJson, Data, Mark
from genwright.cli.sample import refuse_file
from genwright.errors import memory

__all__ = ["augment"]


def augment(
    data: Data,
    run: Annotated[Path, typer.Option("--with", metavar="RUN", help="A run that was trained on it")],
    factor: Annotated[
        float | None, typer.Option(help="How many times as large it will be; default 2")
    ] = None,
    balance: Annotated[
        str | None, typer.Option(metavar="LABEL", help="Instead: make its classes equally large")
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same examples")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default augmented/DATA")] = None,
    mark: Mark = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
    as_json: AsJson = False,
) -> None:
    """A training set enlarged or balanced with a model's examples, and whether that helps, beside plain means."""
    from genwright import api

    refuse_file(out, "a training set, the real and the synthetic examples")
    with memory("enlarge it by a smaller --factor"):
        found = api.augment(
            data, run, factor=factor, balance=balance, out=out, seed=seed, mark=mark, device=device
        )
    if as_json:
        say(json.dumps(found.json(), ensure_ascii=False, indent=2))
        return
    kept = found.selected
    dropped = ", ".join(f"{count:,} {reason}" for reason, count in kept.dropped.items() if count)
    say(
        f"Wrote {found.real:,} real training examples and {sum(kept.kept.values()):,} synthetic ones to "
        f"{found.folder}" + (f"; dropped {dropped}" if dropped else "")
    )
    for note in kept.notes:
        say(note, error=True)
    say("The held-out examples are not among them, so that you can test on those.")
    for effect in found.effects:
        say(effect.sentence())
    say(f"Verdict: {found.verdict}")
