"""A codec reads and writes the files of one modality: files to rows of raw fields, and back.

It knows the layout of files and nothing of tensors. What it learns lies in the fields; a codec itself holds its
options and nothing more, so that reading is pure: the same source and fields give the same rows.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

from genwright.data.containers import Examples, ObjectForm, forms
from genwright.data.field import Array, Field, Values
from genwright.data.packed import PACKED, suffix
from genwright.errors import RunError, Unsupported

__all__ = [
    "AS_READ",
    "Appender",
    "Array",
    "Codec",
    "OneFile",
    "Place",
    "Preview",
    "ReadOptions",
    "Rejected",
    "Rows",
    "Sounded",
    "Source",
    "SplitName",
    "Values",
    "beginning",
    "write_once",
]

SplitName = Literal["train", "val", "test"]
NAMED = 5
"""Files that a sentence names, of those that are passed over."""


@dataclass(frozen=True)
class Rejected:
    """A file or row that could not be used, and why.

    orphan  it is one side of a pair whose other side is missing
    """

    name: str
    reason: str
    orphan: bool = False


@dataclass(frozen=True)
class Source:
    """Files of one modality: what `data/source.py` found under a path.

    `root` is the path a person named; `files` are in a fixed order; `name` is a short word for it. `rejected` is what
    was not even looked at, `aside` are files of other kinds that lie between them, and `notes` say of those that
    a person may have meant what to do with them.
    """

    root: Path
    files: tuple[Path, ...]
    codec: str
    name: str
    rejected: tuple[Rejected, ...] = ()
    aside: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()

    def passed_over(self) -> list[str]:
        """One sentence of the files of other kinds, or none."""
        if not self.aside:
            return []
        n, names = len(self.aside), ", ".join(file.name for file in self.aside[:NAMED])
        which = "1 file that is" if n == 1 else f"{n:,} files that are"
        return [
            f"passed over {which} no {self.codec} data in {self.root}: {names}{', ...' * (n > NAMED)}"
        ]


@dataclass(frozen=True)
class ReadOptions:
    """How the split is made, and which fields are read beside the main one.

    `given`: names of further fields. `group`: a label or column whose equal values never cross the split.
    `val`, `test`: shares. `every`: of so many files, pictures or rows one is read, for a sample of them.
    `whole`: in all their detail, since a large one is not brought to one size. `most`: positions that one may have
    (None: what the codec takes for no attack). `made`: they are what a model made, and what is no example stands as
    it is, to be judged as none.
    """

    given: tuple[str, ...] = ()
    group: str | None = None
    val: float = 0.1
    test: float = 0.1
    every: int = 1
    whole: bool = False
    most: int | None = None
    made: bool = False


AS_READ = ReadOptions()


@dataclass(frozen=True)
class Place:
    """Where in its file an example lies that was cut from it, as shares of it."""

    begin: float
    end: float

    @property
    def whole(self) -> bool:
        return self.begin == 0 and self.end == 1

    def part(self, reading: ReadOptions) -> SplitName | None:
        """The part of the split by position; None: it lies across two."""
        first, second = round(1 - reading.val - reading.test, 9), round(1 - reading.test, 9)
        parts: list[tuple[SplitName, float, float]] = [
            ("train", 0.0, first),
            ("val", first, second),
            ("test", second, 1.0),
        ]
        return next((part for part, low, high in parts if low <= self.begin and self.end <= high), None)


def beginning(name: str) -> str:
    """What is said where a sample could not be from all over a file."""
    return f"of {name} only the beginning was looked at: what stands further down may be of another kind"


@dataclass
class Rows:
    """Some examples in raw form, in the order of the source.

    values      by field, n raw values each
    keys        n digests of content; equal content has an equal key, whatever its file is called
    names       n names that a person knows an example by: its file (empty: they have none)
    groups      n values of the group column, or of what else has to stay on one side of the split: the file
                that clips are cut from (None: each example is for itself)
    parts       n parts where the source itself decides the split (None: split by hash)
    rejected    what could not be read on the way
    notes       what is odd about the files, a sentence each
    """

    values: dict[str, Values]
    keys: list[str]
    names: list[str] = field(default_factory=list)
    groups: list[str] | None = None
    parts: list[SplitName] | None = None
    rejected: list[Rejected] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def take(self, fields: Mapping[str, Field], index: Sequence[int]) -> Rows:
        """The examples at `index`, without what was rejected."""
        return Rows(
            {name: fields[name].take(values, index) for name, values in self.values.items()},
            [self.keys[i] for i in index],
            [self.names[i] for i in index] if self.names else [],
            None if self.groups is None else [self.groups[i] for i in index],
            parts=None if self.parts is None else [self.parts[i] for i in index],
        )


class Sounded(NamedTuple):
    """A WAV file, and a PNG of its wave."""

    wav: bytes
    png: bytes


@dataclass(frozen=True)
class Preview:
    """Examples to look at: a PNG sheet, the head of a table (names first), text, or sounds.

    text  of a sheet and of sounds: what is written beside them, a line each
    """

    kind: Literal["png", "rows", "text", "sounds"]
    png: bytes = b""
    rows: tuple[tuple[str, ...], ...] = ()
    text: str = ""
    sounds: tuple[Sounded, ...] = ()


class Appender(Protocol):
    """Writes examples behind each other into files, which are whole after each `add` or, where their format does
    not allow that, after `close`."""

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        """The files, the one that shows them all first."""

    def close(self) -> None: ...


@dataclass(frozen=True)
class OneFile:
    """How many examples are written as one file.

    form      one of the codec's `forms` (None: as the input was)
    suffixes  of that file and those that come with it
    """

    form: str | None
    suffixes: tuple[str, ...]


def write_once(out: Appender, values: Mapping[str, Values]) -> list[Path]:
    """All that an appender gets, which is closed whatever comes of it."""
    try:
        return out.add(values)
    finally:
        out.close()


class Codec(ABC):
    """Files of one modality. Subclasses declare their options as keyword-only constructor arguments with JSON
    values, and keep nothing else."""

    reads: ClassVar[tuple[str, ...]]
    """Suffixes, lower case, with the dot."""
    main: ClassVar[str]
    """The field that is made unless another is asked for."""
    field_types: ClassVar[tuple[type[Field], ...]]
    """Of the fields that it reads."""
    default_family: ClassVar[str]
    """The family to train when none is named."""
    later: ClassVar[frozenset[str]] = frozenset()
    """Options that older versions did not have: at their default they do not name the data."""
    dial: ClassVar[str] = ""
    """The option that makes an example smaller, as a person would type it."""
    context: ClassVar[str] = ""
    """The option that says how much of a stream an example is."""
    plural: ClassVar[str] = "examples"
    """What a person calls several examples."""
    sheet: ClassVar[str] = ""
    """The file in which `write` shows all examples at once: beside others it is none itself."""
    forms: ClassVar[tuple[str, ...]] = ()
    """Formats in which it can write, whatever the input was."""
    rewrites: ClassVar[bool] = False
    """Whether a file holds many examples that are filled in in their places (`rewriter`)."""
    contract_exceptions: ClassVar[frozenset[str]] = frozenset()
    """Laws of `genwright.testing.check_codec` that it does not keep."""

    # -- which files ---------------------------------------------------------------------------

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """How sure it is that all these files together are a source of it, 0 (not at all) to 1.

        By default 0.5 where all are `own` or go with those by their names; one that looks into the files may be
        surer, or say 0.
        """
        own = cls.own(files)
        others = set(files) - set(own)
        return 0.5 if own and all(cls.accompanies(file, own) for file in others) else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """Those of some files that hold examples, by their suffixes."""
        read = [file for file in files if cls.ending(file) in cls.reads]
        return [file for file in read if not cls.accompanies(file, read)]

    @classmethod
    def ending(cls, file: Path) -> str:
        """What in the name of a file says of which kind it is, as `reads` has it: by default the suffix."""
        return suffix(file)

    @classmethod
    def suffixes(cls) -> str:
        """What it reads, as a sentence says it: without the packed forms."""
        return " ".join(one for one in cls.reads if not one.endswith((*PACKED, ".tgz", ".tbz2", ".txz")))

    @classmethod
    def accompanies(cls, file: Path, own: Sequence[Path]) -> bool:
        """Whether a file is no example and only goes with those: it shows them, or says what they are."""
        return file.name == cls.sheet != "" and any(
            other.parent == file.parent and other != file for other in own
        )

    @classmethod
    def because(cls, files: Sequence[Path]) -> str:
        """Why these files are a source of it, as a person is told: by default their suffixes alone."""
        kinds = list(dict.fromkeys(cls.ending(file) for file in cls.own(files)))
        return f"{', '.join(kinds)} is what it reads, and nothing else claims it" if kinds else ""

    # -- in ------------------------------------------------------------------------------------

    @abstractmethod
    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        """All fields that could be read, not fitted yet, the main one first; without reading every example.

        options  which of them are wanted beside the main one
        """

    def restored(self, state: Mapping[str, Any]) -> Field:
        """The field whose state with its kind this is. Raises `RunError` for a kind that it does not read."""
        kinds = {kind.kind: kind for kind in self.field_types}
        if state["field"] not in kinds:
            raise RunError(
                f"the run holds a field of kind {state['field']!r}, and this version of its codec reads "
                f"{', '.join(kinds)}: update genwright or the package that the codec is of",
                code="unknown-field-kind",
            )
        field = kinds[state["field"]]()
        field.restore({name: value for name, value in state.items() if name != "field"})
        return field

    def labels(self, source: Source) -> list[str]:
        """Names of the fields beside the main one."""
        return list(self.fields(source))[1:]

    def default_labels(self, source: Source) -> list[str]:
        """Those that become conditions without being asked for."""
        return []

    def default_given(self, source: Source) -> list[str]:
        """What the main field is the answer to, and is made from unless a person says otherwise."""
        return []

    @abstractmethod
    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """All examples with these fields, chunk by chunk, always in the same order.

        Raises `DataError` for what spoils the whole source; what spoils one example goes to `Rows.rejected`.
        """

    def companions(self, source: Source, options: ReadOptions = AS_READ) -> list[Path]:
        """Files beside those of the source that say something of them: a table of labels, captions. With the
        files they name the data."""
        return []

    def stamp(self, source: Source, *, exact: bool) -> bytes:
        """What names the content of a source that is in no file; where it has not to be `exact`, something that
        is likely to change with it."""
        return b""

    def count(self, source: Source) -> int:
        """About how many examples there are, without reading them."""
        return len(source.files)

    def wholes(self, source: Source) -> int:
        """The same of what is read whole (`ReadOptions.whole`), and not in windows or tiles."""
        return self.count(source)

    def enough(self, source: Source) -> int:
        """How many examples are read in about a second; of more than that, half as many are a sample."""
        return 500

    def units(self, source: Source, total: int) -> int:
        """How many there are of what a sample takes each so many-th: files, or the examples in a single one.

        total  about how many examples there are
        """
        return min(total, len(source.files)) if len(source.files) > 1 else total

    # -- from memory ---------------------------------------------------------------------------

    @classmethod
    def form_of(cls, value: Any, rate: int | None = None) -> ObjectForm | None:
        """The form of an object in memory that is a file's worth of its own: a picture, a sound. None: it is none.

        rate  samples a second of a waveform that does not say its own
        """
        return None

    @classmethod
    def takes(cls, examples: Examples) -> float:
        """How sure it is of examples in memory, as `sniff` is of files: by default where one holds such an object."""
        return 0.9 if forms(examples, cls.form_of) else 0.0

    @classmethod
    def keep(cls, examples: Examples, folder: Path) -> tuple[Path, dict[str, ObjectForm]]:
        """Write examples in memory as one file that it reads; the same give the same bytes. And the forms of fields.

        Raises `DataError` for what spoils an example.
        """
        raise Unsupported(f"{cls.__name__} reads files alone, none from memory", code="not-from-memory")

    def as_given(self, value: Any, form: ObjectForm) -> Any:
        """A raw value as an object of a form that `form_of` found."""
        return value

    def returned(
        self, values: Mapping[str, Values], forms: Mapping[str, ObjectForm]
    ) -> dict[str, Sequence[Any]]:
        """Raw values by field, or by column of a table, as objects of the forms that `keep` found."""
        return {
            name: [self.as_given(one, forms[name]) for one in some] if name in forms else list(some)
            for name, some in values.items()
        }

    # -- out -----------------------------------------------------------------------------------

    @abstractmethod
    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """Files a person can open, and one that shows them all, which comes first in the list.

        columns  examples in a row of what shows them all, where their order says something (None: as it fits)
        """

    def rewriter(self, file: Path, folder: Path, name: str) -> Appender | None:
        """Who writes a file of many examples again, whose cells were filled, by a name without its suffix; what is
        not filled stays as it is to the byte. None where a file is an example."""
        return None

    def one_file(self, fields: Mapping[str, Field], suffix: str) -> OneFile | None:
        """How examples that come some at a time become one file that ends in `suffix`; None where they do not."""
        return None

    def appender(
        self, fields: Mapping[str, Field], folder: Path, form: str | None = None, name: str = ""
    ) -> Appender | None:
        """Who writes examples that come some at a time; None where each is a file of its own.

        form  one of `forms` (None: as the input was)
        name  of the file without its suffix (empty: the codec's own)
        """
        return None

    @abstractmethod
    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """A look at some examples."""

    def beside(
        self, sources: Values, values: Mapping[str, Values], fields: Mapping[str, Field]
    ) -> Preview:
        """A look at some examples and what they were made from, where that can be shown together."""
        return self.preview(values, fields)
