"""What `sample` does beside reading its options: samples written as they come, and what was dropped on one line."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from genwright.cli.console import making, say
from genwright.cli.signals import stoppable_making

if TYPE_CHECKING:
    from genwright.finishing.finish import Finish
    from genwright.model import Samples

__all__ = ["write"]


def write(
    parts: Generator[Samples, None, None],
    n: int,
    folder: Path,
    *,
    mark: bool,
    form: str | None,
    finish: Finish | None,
) -> None:
    """Write samples as they are made, and say what was done. Exits with 3 where fewer than `n` passed, and as
    stopped where it was."""
    from genwright.data.provenance import mark_folder
    from genwright.writing import SampleWriter

    notes, provenance, made = list[str](), None, 0
    with (
        stoppable_making() as end,
        SampleWriter(folder, n, mark=mark, form=form) as files,
        making(n) as report,
        closing(parts),
    ):
        for part in parts:
            files.add(part)
            made, notes, provenance = made + len(part), part.notes, part.provenance
            report(made)
            if end.got is not None:
                break
    if finish is not None and mark and (chosen := finish.provenance(provenance)) is not None:
        mark_folder(chosen, folder)
    for note in notes:
        say(note, error=True)
    fewer = f" of {n:,}" if made < n else ""
    say(f"Made {made:,}{fewer} in {folder}; see {files.files[0]}")
    if finish is not None and finish.steps:
        say(finish.counts.sentence())
    if fewer:
        raise typer.Exit(3 if end.got is None else 128 + end.got)
