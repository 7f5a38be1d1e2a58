"""What went wrong on the command line, as one sentence and a code."""

from __future__ import annotations

import re
from typing import Any

import typer

from genwright.errors import GenwrightError, suggest

__all__ = ["SMALLER", "UsageError", "code_of", "sentence", "usage"]

UsageError: type[Any] = typer.BadParameter.__bases__[0]
"""Of an option that does not exist or has no such value."""

SMALLER = (
    "use smaller steps (--set train.batch_size=16), split them (--set train.accumulate=4), or a "
    "smaller model (--size xs)"
)


def sentence(error: Exception) -> str:
    if isinstance(error, GenwrightError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'a file'}: {error.strerror.lower()}"
    return (
        f"this should not have happened: {type(error).__name__}: {error}; "
        f"the same command with --debug shows where, for a report"
    )


def code_of(error: Exception) -> str:
    """The stable code of an error: its own, `file` for one of the system's, `internal` for a bug of ours."""
    if isinstance(error, GenwrightError):
        return error.code
    return "file" if isinstance(error, OSError) and error.strerror else "internal"


def usage(error: Any) -> str:
    """A sentence about an option, with the nearest known one where it is unknown."""
    command = error.ctx.command_path if error.ctx is not None else "genwright"
    if "possibilities" in vars(error) and error.ctx is not None:
        known = [name for parameter in error.ctx.command.params for name in parameter.opts]
        options = [name for name in known if name.startswith("-")]
        return f"there is no option {error.option_name}; {suggest(error.option_name, options)}"
    words = error.format_message().rstrip(".")
    if extra := re.search(r"extra argument\(s\) \((\S+?=.*)\)", words):
        option = "--set" if "." in extra[1].partition("=")[0] else "--given"
        return f"{extra[1]} stands alone: write {option} anew before each NAME=VALUE"
    return f"{words[0].lower()}{words[1:]}; {command} --help tells more"
