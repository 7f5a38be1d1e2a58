"""Every error that a person can cause, as a tree:

    GenwrightError
    ├── DataError       the files: missing, empty, unreadable, of mixed kinds
    ├── RecipeError     the options: unknown, of a wrong type, contradicting
    ├── Incompatible    this family, this data and this task do not fit, and no bridge helps
    ├── Unsupported     this object does not offer what was asked of it
    └── RunError        the run folder: locked, damaged, from a newer format, the disk full

Each message names what was given, what was wanted and the way out, and each error has a stable `code`
(`unknown-option`, `no-labels`) for programs and tests, so that a sentence may change. The command line prints
the sentence alone; `--debug` adds the code and the traceback. An `assert` is kept for our own invariants.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches

__all__ = [
    "DataError",
    "GenwrightError",
    "Incompatible",
    "RecipeError",
    "RunError",
    "Unsupported",
    "closest_name",
    "memory",
    "missing_extra",
    "suggest",
]

MANY = 20
"""Names that a sentence lists at most."""


class GenwrightError(Exception):
    """What a person can mend; the message says how.

    code  what is wrong, in words that stay the same: those of the class unless more exact ones are given
    """

    code: str = "error"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class DataError(GenwrightError):
    """The data cannot be used as it is."""

    code = "data"


class RecipeError(GenwrightError):
    """An option is unknown, of a wrong type, or contradicts another."""

    code = "recipe"


class Incompatible(GenwrightError):
    """Family, data and task do not fit, natively or by a bridge."""

    code = "incompatible"


class Unsupported(GenwrightError):
    """The object has no such capability."""

    code = "unsupported"


class RunError(GenwrightError):
    """The run folder cannot be read or written."""

    code = "run"


@contextmanager
def memory(way_out: str) -> Iterator[None]:
    """Say which dial to turn where memory runs out."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        words = str(error)
        if isinstance(error, MemoryError) or "out of memory" in words or "allocate memory" in words:
            raise GenwrightError(f"memory ran out: {way_out}", code="memory") from error
        raise


def closest_name(name: str, known: Iterable[str], least: float = 0.6) -> str | None:
    """The known name that is most like this one, if one is at `least` so alike."""
    folded = {other.casefold(): other for other in known}
    near = get_close_matches(name.casefold(), folded, n=1, cutoff=least)
    return folded[near[0]] if near else None


def suggest(name: str, known: Iterable[str]) -> str:
    """The tail of a sentence about an unknown name: the nearest known one, or all of them."""
    known = sorted(known)
    if (near := closest_name(name, known)) is not None:
        return f"did you mean {near!r}?"
    if not known:
        return "none is known"
    more = f", ... ({len(known):,} in all)" if len(known) > MANY else ""
    return f"known: {', '.join(known[:MANY])}{more}"


def missing_extra(what: str, module: str, extra: str) -> GenwrightError:
    """The sentence for an optional library that is not installed."""
    return GenwrightError(
        f"{what} needs the library {module!r}, which is not installed: pip install 'genwright[{extra}]'",
        code="missing-extra",
    )
