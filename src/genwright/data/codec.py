"""A codec turns the raw files of one modality into tensors and back.

It is the only thing that knows the modality. It reads examples in chunks, so that memory stays
flat; learns what it needs (a size, an alphabet, the types of columns) from the training split
alone; encodes to the stored form of its `Space`; decodes; and writes files a person can open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.errors import Unsupported
from genwright.space import Space

__all__ = [
    "Array",
    "Chunk",
    "Codec",
    "Gaps",
    "Preview",
    "ReadOptions",
    "Rejected",
    "Sounded",
    "Source",
    "SplitName",
]

Array = NDArray[Any]
SplitName = Literal["train", "val", "test"]


@dataclass(frozen=True)
class Source:
    """Files of one modality: what `data/source.py` found under a path.

    `root` is the path a person named; `files` are in a fixed order; `name` is a short word for it.
    """

    root: Path
    files: tuple[Path, ...]
    codec: str
    name: str


@dataclass(frozen=True)
class ReadOptions:
    """What to read beside the examples, and how the split is made.

    `given`: names of the labels or columns that become conditions and leave the example itself.
    `group`: a label or column whose equal values never cross the split. `val`, `test`: shares.
    """

    given: tuple[str, ...] = ()
    group: str | None = None
    val: float = 0.1
    test: float = 0.1


@dataclass(frozen=True)
class Rejected:
    """A file or row that could not be used, and why."""

    name: str
    reason: str


@dataclass
class Chunk:
    """Some examples in their raw form, in the order of the source.

    examples    n raw examples: a list, or whatever the codec's `take` understands
    keys        n digests of content; equal content has an equal key, whatever its file is called
    given       the conditions asked for, by name, n raw values each
    groups      n values of the group column, or of what else has to stay on one side of the split: the file
                that clips are cut from (None: each example is for itself)
    parts       n parts where the source itself decides the split (None: split by hash)
    bad         what could not be read on the way
    """

    examples: Any
    keys: list[str]
    given: dict[str, list[Any]] = field(default_factory=dict)
    groups: list[str] | None = None
    parts: list[SplitName] | None = None
    bad: list[Rejected] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)


class Sounded(NamedTuple):
    """A WAV file, and a PNG of its wave."""

    wav: bytes
    png: bytes


@dataclass(frozen=True)
class Preview:
    """Examples to look at: a PNG sheet, the head of a table (names first), text, or sounds."""

    kind: Literal["png", "rows", "text", "sounds"]
    png: bytes = b""
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    sounds: tuple[Sounded, ...] = ()


class Gaps(NamedTuple):
    """A stored example of which a part is known: `x` and `known`, true where it is, `(1, stored, *grid)`
    each. `wanted`: of a stream, how many places were asked for (None: all of the example)."""

    x: Array
    known: Array
    wanted: int | None = None


class Codec(ABC):
    """Raw files of one modality, to tensors and back.

    Subclasses declare their options as keyword-only constructor arguments with JSON values.
    `fit` or `restore` comes before `space`, `encode` and `decode`.
    """

    reads: ClassVar[tuple[str, ...]]
    """Suffixes, lower case, with the dot."""
    default_family: ClassVar[str]
    """The family to train when none is named."""

    dial: ClassVar[str] = ""
    """The option that makes an example smaller, as a person would type it."""

    layout: Literal["examples", "stream"] = "examples"
    """`stream`: `encode` gives one long row of tokens, and an example is a window of it."""

    row: int | None = None
    """Examples in a row of what shows them all, where their order says something (None: as it fits)."""

    # -- in ------------------------------------------------------------------------------------

    @abstractmethod
    def labels(self, source: Source) -> list[str]:
        """Names that could be given as conditions, found without reading every example."""

    def default_labels(self, source: Source) -> list[str]:
        """Those that become conditions without being asked for."""
        return []

    @abstractmethod
    def read(self, source: Source, reading: ReadOptions) -> Iterator[Chunk]:
        """All examples, chunk by chunk, always in the same order.

        Raises `DataError` for what spoils the whole source (an unknown label column); what spoils
        one example goes to `Chunk.bad`.
        """

    def take(self, examples: Any, index: Sequence[int]) -> Any:
        """The raw examples at `index`."""
        return [examples[i] for i in index]

    @abstractmethod
    def fit(self, chunks: Iterable[Chunk]) -> None:
        """Learn from the training split. `chunks` can be walked more than once."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """Known after `fit` or `restore`."""

    @abstractmethod
    def encode(self, examples: Any) -> Array:
        """To the compact form that is cached: `(n, stored, *grid)`, or `(tokens,)` for a stream."""

    def expand(self, compact: Array) -> Array:
        """From the cached form to the values of the space, in its dtype."""
        wanted = np.int64 if self.space.dtype == torch.long else np.float32
        return compact.astype(wanted)

    def prompt(self, text: str) -> Array:
        """The tokens `(n,)` of the beginning of an example, to go on from."""
        raise Unsupported(f"a prompt is for a text, and this model makes {self.space}")

    def gaps(self, template: Any) -> Gaps:
        """An example of which a part is given, as a person writes it. Raises `DataError` for what cannot
        be one, `Unsupported` where nothing can be."""
        raise Unsupported(
            f"gaps can be filled in a text or a row of a table, and this model makes {self.space}"
        )

    def augment(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Vary a training batch `(B, stored, *grid)` without changing its meaning."""
        return x

    # -- out -----------------------------------------------------------------------------------

    @abstractmethod
    def decode(self, x: Array, given: Mapping[str, Sequence[Any]]) -> Any:
        """Stored examples `(n, stored, *grid)`, and the conditions they were made for, to raw form."""

    @abstractmethod
    def write(self, examples: Any, given: Mapping[str, Sequence[Any]], folder: Path) -> list[Path]:
        """Files a person can open, and one that shows them all, which comes first in the list."""

    @abstractmethod
    def preview(self, examples: Any) -> Preview:
        """A look at some examples."""

    def beside(self, sources: Any, examples: Any) -> Preview:
        """A look at some examples and what they were made from, where that can be shown together."""
        return self.preview(examples)

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What `fit` found, for people and machines: sizes, types, ranges. JSON values."""
        return {}

    def warnings(self) -> list[str]:
        """What looks wrong with the data, a sentence each."""
        return []

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything that `fit` learnt, as JSON."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
