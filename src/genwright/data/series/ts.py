"""Files of the archive of time series (.ts, sktime and timeseriesclassification.com): a series a line.

A head of lines with @ says how many dimensions there are and which labels; behind @data each line holds the
dimensions between colons, their values between commas, and the label last. Nothing says when a value was measured.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from genwright.data.codec import Array, Rejected
from genwright.data.series.series import Series
from genwright.errors import DataError

__all__ = ["LABEL", "TsHead", "head_of_ts", "read_ts", "write_ts"]

LABEL = "label"
MISSING = ("?", "nan", "")
LONGEST = 2**20
"""Values of a line at most."""
HEAD = 1000
"""Lines within which @data stands."""


@dataclass(frozen=True)
class TsHead:
    """What the head of a file says.

    name      of the problem
    labels    of the classes; none: the series have no label
    dimensions  channels of a series
    """

    name: str = "series"
    labels: tuple[str, ...] = ()
    labelled: bool = False
    dimensions: int = 1

    @property
    def channels(self) -> tuple[str, ...]:
        return tuple(f"dim_{i}" for i in range(self.dimensions))


def head_of_ts(file: Path) -> TsHead:
    """Raises `DataError` for a file that is none, and for one whose values have time stamps of their own."""
    said, first = dict[str, str](), ""
    for line in _lines(file, HEAD):
        word, _, rest = line.partition(" ")
        if line.startswith("@"):
            said[word[1:].lower()] = rest.strip()
        elif "data" in said:
            first = line
            break
    if "data" not in said:
        raise DataError(
            f"{file.name} has no line @data, behind which a .ts file has its series: it may be cut short, or be "
            f"another kind of file",
            code="damaged-file",
        )
    if said.get("timestamps", "false").lower() == "true":
        raise DataError(
            f"{file.name} gives each value a time stamp of its own (@timeStamps true), which is not read: save it as "
            f"CSV with a column of times",
            code="stamped-values",
        )
    words = said.get("classlabel", said.get("targetlabel", "false")).split()
    labelled = bool(words) and words[0].lower() == "true"
    if not first:
        raise DataError(f"{file.name} has no series behind @data", code="no-rows")
    many = len(first.split(":")) - labelled
    if many < 1:
        raise DataError(
            f"{file.name}: its first series has a label and no dimension, where values stand between commas and "
            f"dimensions between colons",
            code="damaged-file",
        )
    return TsHead(said.get("problemname", "series"), tuple(words[1:]), labelled, many)


def read_ts(file: Path, head: TsHead) -> Iterator[tuple[Series, str] | Rejected]:
    """Each series with its label ("": none), or why it is none."""
    data, number = False, 0
    for line in _lines(file):
        if line.startswith("@"):
            data = data or line.lower().startswith("@data")
            continue
        if not data:
            continue
        number += 1
        where = f"{file.name} series {number}"
        try:
            yield _series(line, head, f"{number}")
        except ValueError as error:
            yield Rejected(where, str(error))


def _series(line: str, head: TsHead, name: str) -> tuple[Series, str]:
    parts = line.split(":")
    label = parts.pop().strip() if head.labelled else ""
    if len(parts) != head.dimensions:
        raise ValueError(f"it has {len(parts)} dimensions, and the first series {head.dimensions}")
    channels = {one: _values(part) for one, part in zip(head.channels, parts, strict=True)}
    lengths = {len(values) for values in channels.values()}
    if len(lengths) > 1:
        raise ValueError(f"its dimensions have several lengths: {', '.join(map(str, sorted(lengths)))}")
    return Series(channels, np.arange(lengths.pop(), dtype=np.float64), name), label


def _values(text: str) -> Array:
    words = text.split(",")
    if len(words) > LONGEST:
        raise ValueError(f"it has {len(words):,} values, and up to {LONGEST:,} are read")
    try:
        found = [math.nan if word.strip().lower() in MISSING else float(word) for word in words]
    except ValueError:
        odd = next(word for word in words if not _is_number(word))
        raise ValueError(f"{odd.strip()[:40]!r} is no number") from None
    values = np.array(found, np.float64)
    if np.isinf(values).any():
        raise ValueError("it holds an infinite value")
    return values


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return word.strip().lower() in MISSING
    return True


def _lines(file: Path, most: int | None = None) -> Iterator[str]:
    """Without comments and empty ones. Raises `DataError` for what is no text."""
    try:
        with file.open(encoding="utf-8-sig") as stream:
            for number, line in enumerate(stream):
                if most is not None and number >= most:
                    return
                if "\0" in line:
                    raise DataError(f"{file.name} is binary: it holds zero bytes", code="binary-file")
                if (text := line.strip()) and not text.startswith(("#", "%")):
                    yield text
    except UnicodeDecodeError:
        raise DataError(
            f"{file.name} is no text in UTF-8: save it as that", code="wrong-encoding"
        ) from None
    except OSError as error:
        raise DataError(
            f"{file.name} cannot be read: {error.strerror or error}", code="damaged-file"
        ) from None


def write_ts(file: Path, texts: Sequence[Sequence[Sequence[str]]], labels: Sequence[str] | None) -> None:
    """Series as texts of their values, by dimension; and the label of each, if there are any."""
    lengths = {len(one[0]) for one in texts}
    dimensions = len(texts[0]) if texts else 1
    known = " ".join(sorted({*labels})) if labels is not None else ""
    head = [
        "@problemName series",
        "@timeStamps false",
        f"@missing {'true' if any('?' in part for one in texts for part in one) else 'false'}",
        f"@univariate {'true' if dimensions == 1 else 'false'}",
        f"@dimensions {dimensions}",
        f"@equalLength {'true' if len(lengths) == 1 else 'false'}",
        f"@classLabel {f'true {known}' if labels is not None else 'false'}",
        "@data",
    ]
    with file.open("w", encoding="utf-8", newline="\n") as stream:
        stream.write("\n".join(head) + "\n")
        for i, one in enumerate(texts):
            parts = [",".join(part) for part in one]
            parts += [labels[i]] if labels is not None else []
            stream.write(":".join(parts) + "\n")
