"""The verb `edit`; see `cli.py`, which takes it in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.console import say
from genwright.cli.parse import Mark
from genwright.errors import memory

__all__ = ["edit"]


def edit(
    run: Annotated[Path, typer.Argument(help="A run folder")],
    between: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="The way from one example to another")
    ] = None,
    attribute: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="More and more of a label or column's value")
    ] = None,
    directions: Annotated[
        int | None, typer.Option(help="So many directions in which examples change most")
    ] = None,
    on: Annotated[
        list[str] | None, typer.Option(metavar="EXAMPLE", help="What to change; repeatable")
    ] = None,
    strength: Annotated[float, typer.Option(help="How far to go")] = 2.0,
    steps: Annotated[int, typer.Option(help="Of each way, its ends among them")] = 9,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes")] = 0,
    out: Annotated[Path | None, typer.Option(help="Folder; default RUN/edits/WAY")] = None,
    mark: Mark = True,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """Change examples in the model's latent space. An example is its number among the held-out ones, a file,
    or seed:N."""
    from genwright import api

    way = "between" if between else "attribute" if attribute else "directions"
    folder = api.empty_folder(out) if out is not None else api.free_folder(run / "edits" / way)
    with memory("take fewer --steps"):
        made = api.edit(
            run,
            between=between,
            attribute=attribute,
            directions=directions,
            on=on or (),
            strength=strength,
            steps=steps,
            seed=seed,
            device=device,
        )
    files = made.write(folder, mark=mark)
    say(f"Made {len(made.given['edit']):,} in {folder}; see {files[0]}")
