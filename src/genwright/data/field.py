"""A field: one named component of an example, from raw values to tensors and back.

    image  "image"    pictures                      (H, W)   Real(3, bounded)
    text   "caption"  texts                         (T,)     Symbol(k, pad)
    table  "row"      rows of a table               ()       the spans of all columns
    any    "label"    a category, a number, a date  ()       Symbol(k) or Real(1)

A field learns from the training split alone (`fit` chunk by chunk, then `settle`), encodes raw values to the
compact form that is cached, expands that to the stored form of its `Space`, and decodes. Its state is JSON. A
codec reads and writes files; a task says which field is made and which are given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genwright.data.constraint import Constraint
from genwright.errors import Unsupported
from genwright.grammar import Grammar
from genwright.space import Space

__all__ = ["Array", "Blocks", "Field", "Partial", "Rule", "Unit", "Values"]

Array = NDArray[Any]
Values = Any
"""Raw values of one field, one for each example: a list, or what the field's `take` understands (a frame)."""


Rule = Callable[[Array, Array, int], Array]
"""What answers without a model: stored `x` and which of it is known `(n, stored, *grid)`, and k, to k answers
`(k, n, stored, *grid)`, the middle one of which is its own."""


class Partial(NamedTuple):
    """Values of which a part is known: `x` and `known`, `(n, stored, *grid)` each, `known` true where it is.

    length  of a stream, how many positions were asked for (None: the whole example)
    """

    x: Tensor
    known: Tensor
    length: int | None = None


class Blocks(NamedTuple):
    """Examples that share content, as windows of one series do where they overlap.

    number  of the block that each is in `(n,)`: examples of two blocks share as little as may be
    share   of all of them: so many that shared nothing would say as much
    """

    number: Array
    share: float


class Unit(NamedTuple):
    """What likelihoods of examples are counted by.

    name    of the figure: nats_per_frame
    how     what it says, in words
    counts  how many there are in each example `(n,)`
    """

    name: str
    how: str
    counts: Array


class Field(ABC):
    """One component of an example. `fit` and `settle`, or `restore`, come before `space`, `encode`, `decode`."""

    kind: ClassVar[str]
    """What it is called in the state of a run."""
    frame: str | None = None
    """Fields of one frame (an image and its mask) are cropped, shifted and flipped together."""
    stream: bool = False
    """Whether `encode` gives one long row of symbols `(tokens,)`, of which an example is a window."""
    levels: int | None = None
    """Of numbers in [-1, 1]: how many levels they lie on, as pixels do (None: on none that are known)."""
    views: ClassVar[frozenset[str]] = frozenset()
    """What metrics may read of its examples: "pixels", "text", "row", "waveform", "level", "music"."""
    suffix: ClassVar[str] = ""
    """Of the file that `save` writes."""
    derived: ClassVar[bool] = False
    """Whether its raw values are those of the field in whose frame it lies, of which it reads something else."""
    judged_raw: ClassVar[bool] = False
    """Whether what stands in files is judged, and not what can be stored of it."""
    bridges: ClassVar[tuple[str, ...]] = ()
    """Changes of its examples that most families learn better through, the best first."""
    draws: int = 1
    """How many answers are made to what a person gives, where nobody says."""

    @property
    def cell_of(self) -> Sequence[int]:
        """Of a row: the cell that each of its stored numbers belongs to (none: each is one)."""
        return ()

    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_field` that it does not keep."""

    # -- learning ------------------------------------------------------------------------------

    @abstractmethod
    def fit(self, values: Values) -> None:
        """Look at some training values; called once for each chunk."""

    def settle(self) -> None:  # noqa: B027 - a field need not learn
        """End of the training values: decide. Raises `DataError` where there is nothing to learn from."""

    @property
    @abstractmethod
    def space(self) -> Space:
        """Grid and spans of an example."""

    @property
    def vocabulary(self) -> str | None:
        """What its symbols are, by content: fields of one vocabulary are spelled alike, and may copy each other."""
        return None

    # -- to tensors and back -------------------------------------------------------------------

    @abstractmethod
    def encode(self, values: Values) -> Array:
        """Raw values to the compact form that is cached: `(n, ...)`, or `(tokens,)` of a stream."""

    def expand(self, compact: Array) -> Tensor:
        """From the compact form to stored examples `(n, stored, *grid)`, in the dtype of the space."""
        wanted = np.int64 if self.space.dtype == torch.long else np.float32
        return torch.from_numpy(np.ascontiguousarray(compact.astype(wanted)))

    def tensor(self, values: Values) -> Tensor:
        """Raw values to stored examples `(n, stored, *grid)`."""
        return self.expand(self.encode(values))

    def tensor_of_made(self, values: Values) -> Tensor:
        """The same of what a model made (`ReadOptions.made`), of which some may be no example."""
        return self.tensor(values)

    def given(self, values: Values) -> tuple[Tensor, Values]:
        """What a person gives: stored examples, and the raw values as files of the field hold them. Raises
        `DataError` for what training has not seen, where `tensor` would take the nearest."""
        return self.tensor(values), values

    @abstractmethod
    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> Values:
        """Stored examples `(n, stored, *grid)` to raw values.

        parts  values of components that were not made since they were given (`without`), by name
        """

    def decode_behind(self, behind: int, x: Array, parts: Mapping[str, Values] | None = None) -> Values:
        """The same of examples that come behind `behind` others: what has to differ in all of them does."""
        return self.decode(x, parts)

    @property
    def grammar(self) -> Grammar | None:
        """What the symbols of an example have to keep to, so that they can be read back (None: any can)."""
        return None

    def known(self, values: Values) -> list[bool]:
        """Which values can be encoded: a category that training has not seen cannot."""
        return [True] * len(values)

    def augment(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """A training batch `(B, stored, *grid)` varied without a change of its meaning."""
        return x

    def partial(self, values: Values) -> Partial:
        """Values with gaps. Raises `DataError` for what cannot be one, `Unsupported` where nothing can."""
        raise Unsupported(
            f"gaps can be filled in a picture, a text or a row of a table, and this model makes {self.space}",
            code="no-gaps",
        )

    def gapped(self, values: Values) -> tuple[Partial, list[str]]:
        """Values of files with gaps, and what of them counts as unknown though it is there, a sentence each. Raises
        as `partial` does."""
        return self.partial(values), []

    def unfilled(self, x: Tensor) -> Tensor:
        """Where stored `x` `(n, stored, *grid)` says that something is missing, of the same shape."""
        return torch.zeros_like(x, dtype=torch.bool)

    def masked(self, value: Any, mask: Path) -> Any:
        """A value whose gaps are where another file says so. Raises `DataError` for a file that cannot."""
        raise Unsupported(
            f"a mask is for pictures, and this model makes {self.space}: leave --mask out",
            code="no-mask",
        )

    def check_gaps(self, value: Any) -> None:  # noqa: B027 - most fields find out where they encode
        """Raise `DataError` for a value of any size of which all is known, or nothing."""

    def part(self, value: Any, place: tuple[slice, ...]) -> Partial:
        """One part of a value of any size, on its own grid, as stored `(1, stored, *grid of the part)`; all of it
        may be known."""
        raise Unsupported(f"an example of {self.space} cannot be cut into parts", code="fixed-grid")

    def whole(self, parts: Iterable[Any], size: int) -> Any:
        """The value whose parts along the first axis of its grid these are, one behind the other, each taken as it
        comes; a smaller one where they end before.

        size  positions along that axis
        """
        raise Unsupported(f"an example of {self.space} is not put together of parts", code="fixed-grid")

    def prompt(self, value: Any) -> list[int]:
        """The symbols of the beginning of an example, to go on from."""
        raise Unsupported(f"a prompt is for a text, and this model makes {self.space}", code="no-prompt")

    def at(self, space: Space) -> Field:
        """The same field, fitted alike, on another grid or with other spans: a picture at a lower resolution.
        Raises `Unsupported`."""
        raise Unsupported(f"an example of {self.space} cannot be brought to {space}", code="fixed-grid")

    def grid_of(self, value: Any) -> tuple[int, ...]:
        """The grid that a raw value has by itself, which may be another than that of the space."""
        return self.space.grid

    def blocks(self, values: Values) -> Blocks | None:
        """Real examples in blocks, where some share content: what is learnt from one part of them is to be asked about
        another. None: each stands for itself."""
        return None

    def per(self, x: Array, *, independent: bool) -> Unit | None:
        """What the likelihood of stored examples `(n, stored, *grid)` is counted by, in nats (None: by the example).

        independent  of a model to which what stands at one position is independent of the rest there
        """
        return None

    # -- its parts -----------------------------------------------------------------------------

    @property
    def parts(self) -> Collection[str]:
        """Names of components that are fields of their own too: the columns of a row."""
        return ()

    def without(self, names: Collection[str]) -> Field:
        """The field less some of its parts, since these are given; it takes the same cached arrays."""
        return self

    def alike(self) -> list[list[str]]:
        """Its parts by what stands for them: a family does the same with all in one list."""
        return []

    def read_from(self, cached: Field) -> None:  # noqa: B027 - most fields are cached as they are
        """Expand the compact arrays of `cached` from now on: the same field with all its parts."""

    def in_progress(self, values: Values, x: Array, hidden: Array) -> Values:
        """Examples while they are made, to look at: with gaps for what is hidden yet.

        values  what all of `x` `(n, stored, *grid)` decodes to
        hidden  which numbers of `x` are not made yet, in its form
        """
        return values

    @property
    def in_turns(self) -> bool:
        """Whether a value is a dialogue, of which somebody else said the last turn."""
        return False

    # -- raw values ----------------------------------------------------------------------------

    def take(self, values: Values, index: Sequence[int]) -> Values:
        """The values at `index`."""
        return [values[i] for i in index]

    def join(self, chunks: Sequence[Values]) -> Values:
        """Several chunks of values as one."""
        return [value for values in chunks for value in values]

    def parse(self, given: Any) -> Any:
        """The raw value of what a person typed or handed over: a path of a picture, a text, a number."""
        return given

    def save(self, value: Any, path: Path) -> None:
        """One value as a file that a person can open."""
        raise Unsupported(f"a value of {self.space} is no file of its own", code="no-file")

    def file_bytes(self, value: Any) -> bytes:
        """What `save` writes, for what is sent and not kept."""
        with TemporaryDirectory(prefix="genwright-") as folder:
            file = Path(folder, f"0{self.suffix}")
            self.save(value, file)
            return file.read_bytes()

    def load(self, path: Path) -> Any:
        """The raw value that a file of the kind that `save` writes holds. Raises `DataError` for another one."""
        return self.parse(path)

    def cautions(self, values: Values, *, partial: bool = False) -> list[str]:
        """What is odd about values that a person gives, with gaps where they are `partial`, in words that follow
        their name: `holds characters that training has not seen`."""
        return []

    def constraint(self, words: str) -> Constraint:
        """A rule that a person states. Raises `RecipeError` for what is none, `Unsupported` where there are none."""
        raise Unsupported(
            f"a constraint is for the columns of a table, and this model makes {self.space}: leave --require out",
            code="no-constraints",
        )

    def mended(self, values: Values, made: Values, places: Array) -> Values:
        """Raw values with what was made in some of their places `(n, stored, *grid)`, and the rest to the letter."""
        return made

    def kept(self, made: Values, given: Values) -> Values:
        """What was made of values with gaps, with what was known of these to the letter."""
        return made

    def pooled(self, draws: Iterable[Values], given: Values = ()) -> Values | None:
        """Several answers to each question as one, such as a middle and an interval; None: each is for itself. Where
        `draws` is more than 1 this is what a person gets, else where it is asked for.

        draws  values of one length each, taken as they come
        given  what a model was asked to complete, where the answers are its own: they are calibrated then, and what
               of it is known stays to the letter
        """
        return None

    def calibrate(self, draws: Array, true: Array, of: int) -> Mapping[str, Any]:
        """Learn from stored answers of a model `(k, n, stored, *grid)` to n held-out questions, a sample `of` so many,
        and what is right `(n, stored, *grid)`, how far such answers are to be trusted; as JSON, for `recall`. Empty:
        there is nothing to be learnt."""
        return {}

    def calibrated(self, draws: Array) -> Array:
        """Stored answers `(k, n, stored, *grid)` of the model as `calibrate` has learnt to trust them."""
        return draws

    def recall(self, calibration: Mapping[str, Any]) -> None:  # noqa: B027 (most have nothing to take back)
        """Take back what `calibrate` has given."""

    def rules(self) -> Mapping[str, Rule]:
        """What answers without a model, by name, where a part of an example is known: a model is held against it, and
        it may answer in its place."""
        return {}

    @property
    def answers(self) -> Array | None:
        """Which of the stored channels `(stored,)` are answers; the others follow from what is known. None: all."""
        return None

    def matching(self, compact: Array, value: Any) -> tuple[list[str], NDArray[np.bool_]]:
        """Of what a person gives, the parts that can be counted, in words, and which cached examples `(n,)` have
        all of them: categories, and not what lies between others."""
        return [], np.ones(len(compact), bool)

    def changed(self, values: Values, path: str) -> list[str]:
        """What `encode` changes of values in files, a sentence each."""
        return []

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        """What was found, for people and machines: sizes, types, ranges. JSON values."""
        return {}

    def warnings(self) -> list[str]:
        """What looks wrong with the data, a sentence each."""
        return []

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """Everything learnt, as JSON."""

    @abstractmethod
    def restore(self, state: Mapping[str, Any]) -> None:
        """Take back what `state` gave."""
