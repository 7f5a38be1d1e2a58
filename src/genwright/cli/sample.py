"""What `sample` does beside reading its options: samples written as they come, and what was dropped on one line."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from genwright.cli.console import making, say
from genwright.cli.signals import stoppable_making
from genwright.errors import RecipeError, RunError

if TYPE_CHECKING:
    from genwright.finishing.finish import Finish
    from genwright.model import Model, Samples

__all__ = ["Destination", "destination", "for_applied", "refuse_file", "write"]

FILES = (".csv", ".tsv", ".txt", ".jsonl", ".parquet", ".xlsx", ".json", ".png", ".jpg", ".wav", ".mid")
"""Suffixes that no folder has."""


@dataclass(frozen=True)
class Destination:
    """Where samples go.

    folder  that they are written to
    form    one of the codec's `forms` (None: as the input was)
    file    in the folder, the one that they all go to (None: the folder is theirs)
    """

    folder: Path
    form: str | None
    file: Path | None = None

    def of(self, model: Model, *, beside: bool) -> Destination:
        """The same for what a model makes. Raises `RecipeError` where its data is not written so, and `RunError` where
        a file is there already.

        beside  what it was made from is written too
        """
        codec, fields = model.pipeline.codec, model.pipeline.fields
        forms = codec.forms
        if self.form is not None and self.form not in forms:
            raise RecipeError(
                f"{model.pipeline.kind} data is written as it was read"
                + (f", or with --format {' or '.join(forms)}" if forms else ": leave --format out")
                + f", got {self.form!r}",
                code="no-such-format",
            )
        if self.file is None:
            return self
        end = self.file.suffix.lower()
        known = {} if beside else {suffix: codec.one_file(fields, suffix) for suffix in FILES}
        one = known.get(end)
        if one is None:
            others = " or ".join(suffix for suffix, form in known.items() if form)
            raise RecipeError(
                f"{codec.plural} cannot be written as {self.file.name}: name a folder with --out"
                + (f", or a file that ends in {others}" if others else ""),
                code="no-such-format",
            )
        if self.form not in (None, end.removeprefix(".")):
            raise RecipeError(
                f"--format {self.form} and --out {self.file.name} are two formats: leave one out",
                code="contradicting-options",
            )
        for taken in filter(Path.exists, map(self.file.with_suffix, one.suffixes)):
            raise RunError(f"{taken} exists: choose another with --out", code="file-exists")
        return replace(self, form=one.form)


def destination(out: Path | None, own: Path, form: str | None) -> Destination:
    """The folder or file that a person named, or else the run's own folder. Raises `RunError` where a folder is not
    empty."""
    from genwright import api

    if out is None:
        return Destination(api.free_folder(own), form)
    if _is_file(out):
        return Destination(out.parent, form, out)
    return Destination(api.empty_folder(out), form)


def for_applied(out: Path | None, own: Path, files: Sequence[Path], *, rows: bool) -> tuple[Path, str]:
    """The folder that a person named, or else the run's own, and the name, without its suffix, of the file in it: of
    one table with its gaps filled. Raises `RecipeError` where a file was named and several are made, or one of another
    kind, and `RunError` where it is there already.

    rows  whether a table is made of each file
    """
    if out is None:
        from genwright import api

        return api.free_folder(own), ""
    if not _is_file(out):
        return out, ""
    if not rows or len(files) != 1 or files[0].suffix.lower() != out.suffix.lower():
        raise _no_file(out, "a file for each that it is given")
    if out.exists():
        raise RunError(f"{out} exists: choose another with --out", code="file-exists")
    return out.parent, out.stem


def refuse_file(out: Path | None, what: str) -> None:
    """Raise `RecipeError` where a file was named and `what` is written."""
    if out is not None and _is_file(out):
        raise _no_file(out, what)


def _is_file(out: Path) -> bool:
    return out.suffix.lower() in FILES and not out.is_dir()


def _no_file(out: Path, what: str) -> RecipeError:
    return RecipeError(
        f"--out {out} names a file, and what is written here is {what}: name a folder, such as {out.with_suffix('')}",
        code="no-such-format",
    )


def write(
    parts: Generator[Samples, None, None],
    n: int,
    to: Destination,
    *,
    mark: bool,
    finish: Finish | None,
) -> None:
    """Write samples as they are made, and say what was done. Exits with 3 where fewer than `n` passed, and as
    stopped where it was."""
    from genwright.data.provenance import mark_folder
    from genwright.writing import SampleWriter

    notes, provenance, made = list[str](), None, 0
    with (
        stoppable_making() as end,
        SampleWriter(
            to.folder, n, mark=mark, form=to.form, name=to.file.stem if to.file else ""
        ) as files,
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
        mark_folder(chosen, to.folder, [file.name for file in files.files] if to.file else ["."])
    for note in notes:
        say(note, error=True)
    fewer = f" of {n:,}" if made < n else ""
    where = to.file or f"{to.folder}; see {files.files[0]}"
    say(f"Made {made:,}{fewer} in {where}")
    if finish is not None and finish.steps:
        say(finish.counts.sentence())
    if fewer:
        raise typer.Exit(3 if end.got is None else 128 + end.got)
