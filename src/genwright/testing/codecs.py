"""What every codec promises: reading is pure, what is written can be read, and damage stays where it is.

The fields that it reads are held to the contract of fields, with the values that it read.
"""

from __future__ import annotations

import shutil
import tracemalloc
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cached_property
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from genwright.data.codec import Codec, Preview, ReadOptions, Rows, Source
from genwright.data.dataset import make_codec, wanted_fields
from genwright.data.field import Field, Values
from genwright.data.provenance import Provenance, mark_files
from genwright.data.source import find
from genwright.testing.contract import Contract, demand, registered, same
from genwright.testing.fields import FIELD, FittedField, alike, stored

__all__ = ["CODEC", "CodecCase", "check_codec", "spoil"]

WHOLE = ReadOptions(val=0.0, test=0.0)
JUNK = b"\x00\xff\xfe junk"
GROWTH = 1.5
"""Peak memory over ten times the data, at most, in parts of that over the data once."""

MakeSource = Callable[[Path, int], Path]


class CodecCase:
    """A codec, and sources for it.

    make_source  writes a source of `n` examples into an empty folder and returns its path
    few, many    examples of a small source; examples that fill a chunk, for the law about memory
    damage       spoils one example of a source in its files
    """

    def __init__(
        self,
        name: str,
        make_source: MakeSource,
        folder: Path,
        *,
        few: int = 24,
        many: int = 600,
        damage: Callable[[Source], None] | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        self.name, self.make_source, self.folder = name, make_source, folder
        self.few, self.many, self.damage = few, many, damage or spoil
        self.codec: Codec = make_codec(name, options or {})
        self._numbers = count()

    def fresh(self) -> Path:
        """An empty folder."""
        folder = self.folder / f"{next(self._numbers):03d}"
        folder.mkdir()
        return folder

    def made(self, n: int) -> Source:
        return find(self.make_source(self.fresh(), n), self.name)

    @cached_property
    def source(self) -> Source:
        return self.made(self.few)

    @cached_property
    def beside(self) -> tuple[str, ...]:
        """Names of the fields beside the main one."""
        return tuple(self.codec.labels(self.source))

    def options(self, *given: str) -> ReadOptions:
        return replace(WHOLE, given=given)

    def drafts(self, *given: str) -> dict[str, Field]:
        """Fields that are not fitted yet."""
        return wanted_fields(self.codec, self.source, self.options(*given))

    def read(self, source: Source, fields: dict[str, Field] | None = None) -> Iterator[Rows]:
        fields = fields or self.drafts()
        return self.codec.read(source, fields, self.options(*list(fields)[1:]))

    def values(self, rows: list[Rows], fields: dict[str, Field]) -> dict[str, Values]:
        """All values by field."""
        some = [one for one in rows if len(one)]
        demand(bool(some), f"nothing could be read: {[one.rejected for one in rows]}")
        return {name: field.join([one.values[name] for one in some]) for name, field in fields.items()}

    @cached_property
    def fields(self) -> dict[str, FittedField]:
        """The main field and those beside it, fitted on the source."""
        drafts = self.drafts(*self.beside)
        values = self.values(list(self.read(self.source, drafts)), drafts)

        def again(name: str) -> Callable[[], Field]:
            return lambda: self.drafts(*self.beside)[name]

        return {name: FittedField(again(name), values[name]) for name in drafts}

    @cached_property
    def main(self) -> FittedField:
        """The main field with nothing given, fitted on the source."""
        drafts = self.drafts()
        (name,) = drafts
        values = self.values(list(self.read(self.source)), drafts)[name]
        return FittedField(lambda: self.drafts()[name], values)

    @property
    def main_name(self) -> str:
        return next(iter(self.drafts()))


def spoil(source: Source) -> None:
    """Overwrite the last of several files with bytes that mean nothing, or the last line of one."""
    *others, last = source.files
    if others:
        last.write_bytes(JUNK)
        return
    lines = last.read_bytes().splitlines(keepends=True)
    last.write_bytes(b"".join([*lines[:-1], b"junk\n"]))


def keys_of(rows: list[Rows]) -> Counter[str]:
    return Counter(key for one in rows for key in one.keys)


CODEC: Contract[CodecCase] = Contract("codec")


@CODEC.law
def its_files_are_found(case: CodecCase) -> None:
    """It is surer of its own files than any other codec, and not sure at all of no files."""
    source, found = case.source, find(case.source.root)
    demand(found.codec == case.name, f"its source was taken for {found.codec} data")
    demand(found.files == source.files, "auto finds other files than its name does")
    sure = type(case.codec).sniff(source.files)
    demand(0 < sure <= 1, f"it says {sure} of its own files, and wanted is above 0 and up to 1")
    demand(type(case.codec).sniff([]) == 0, "it is sure of no files at all")


@CODEC.law
def fields_are_declared(case: CodecCase) -> None:
    """The main field comes first, and each field is of a type that it declares, so that a run can restore it."""
    fields = case.codec.fields(case.source)
    demand(next(iter(fields)) == case.main_name, "the first field is not the main one")
    for name, field in fields.items():
        declared = type(field) in case.codec.field_types
        demand(declared, f"{name!r} is a {type(field).__name__}, which field_types does not name")
    demand(list(fields)[1:] == list(case.beside), "`labels` names others than `fields` gives")


@CODEC.law
def rows_agree(case: CodecCase) -> None:
    """Of every example there is one value for each field, one key, and one name, group and part if any."""
    drafts = case.drafts(*case.beside)
    total = 0
    for rows in case.read(case.source, drafts):
        n, total = len(rows.keys), total + len(rows.keys)
        demand(
            set(rows.values) == set(drafts),
            f"fields {set(drafts)} were asked for, not {set(rows.values)}",
        )
        sizes = {name: len(values) for name, values in rows.values.items()}
        demand(set(sizes.values()) <= {n}, f"{n} keys and {sizes} values")
        for what, some in (
            ("names", rows.names or None),
            ("groups", rows.groups),
            ("parts", rows.parts),
        ):
            demand(some is None or len(some) == n, f"{n} keys and {len(some or ())} {what}")
    demand(total > 0, "the source has no example")


@CODEC.law
def reading_is_pure(case: CodecCase) -> None:
    """Reading twice gives the same, whatever else is read before, after or meanwhile; nothing is kept."""
    before = repr(sorted(vars(case.codec).items()))
    drafts = case.drafts(*case.beside)
    first = list(case.read(case.source, drafts))
    other = case.made(case.few + 7)
    case.codec.fields(other)
    meanwhile = case.read(other, wanted_fields(case.codec, other, WHOLE))
    again = []
    for rows in case.read(case.source, drafts):
        again.append(rows)
        next(meanwhile, None)
    demand(len(first) == len(again), f"{len(first)} chunks became {len(again)}")
    for a, b in zip(first, again, strict=True):
        for what, one in vars(a).items():
            demand(same(one, getattr(b, what)), f"the {what} of a second reading differ")
    demand(repr(sorted(vars(case.codec).items())) == before, "it keeps something of what it read")


@CODEC.law
def keys_are_of_content(case: CodecCase) -> None:
    """The same files in another folder have the same keys."""
    folder = case.fresh() / "elsewhere"
    root = case.source.root
    if root.is_dir():
        shutil.copytree(root, folder)
    else:
        folder.mkdir()
        folder = Path(shutil.copy(root, folder))
    moved = find(folder, case.name)
    here, there = (keys_of(list(case.read(source))) for source in (case.source, moved))
    demand(here == there, f"{(here - there).total()} keys changed with the folder")


@CODEC.law
def fields_keep_their_contract(case: CodecCase) -> None:
    """Each field that it reads keeps the laws of fields."""
    FIELD.check(case.main, case.main_name, case.main.field.contract_exceptions)
    for name, one in case.fields.items():
        FIELD.check(one, name, one.field.contract_exceptions)


@CODEC.law
def its_fields_are_restored(case: CodecCase) -> None:
    """A field is restored by the codec from its state and its kind."""
    for name, one in case.fields.items():
        other = case.codec.restored({"field": one.field.kind, **one.field.state()})
        demand(type(other) is type(one.field), f"{name!r} is restored as a {type(other).__name__}")
        demand(other.space == one.field.space, f"{name!r} is restored with another space")


@CODEC.law
def what_is_written_is_a_source(case: CodecCase) -> None:
    """What it writes is found again as its own, with the same examples, once it is marked as synthetic too."""
    field, name = case.main.field, case.main_name
    x = stored(field, case.main.values)
    values, folder = field.decode(x.numpy()), case.fresh() / "made"
    files = case.codec.write({name: values}, {name: field}, folder)
    demand(bool(files) and all(file.is_file() for file in files), f"not all is there of {files}")
    demand(all(file.is_relative_to(folder) for file in files), "it writes outside the folder")
    mark_files(files, Provenance("some-run", 10, 1), folder)
    found = find(folder)
    demand(found.codec == case.name, f"what it wrote is taken for {found.codec} data")
    back = case.values(list(case.read(found, {name: field})), {name: field})[name]
    demand(len(back) == len(values), f"{len(values)} examples were written and {len(back)} read")
    if field.stream:
        demand(same(list(back), list(values)), "other values were read than written")
    else:
        alike(field, x, stored(field, back), "written and read again")


@CODEC.law
def what_is_beside_comes_back(case: CodecCase) -> None:
    """Fields beside the main one come back from their tensors, and from the files that it writes."""
    main = case.main_name
    field = case.fields[main].field
    given: dict[str, Field] = {}
    values: dict[str, Values] = {}
    parts = list(field.parts)[::2]
    for name, one in case.fields.items():
        if name == main or (name in field.parts and name not in parts):
            continue
        given[name], values[name] = one.field, one.field.decode(stored(one.field, one.values).numpy())
        if (
            one.field.space.grid
        ):  # what it keeps of a picture or a long text is its own contract's matter
            continue
        pairs = list(zip(map(str, one.values), map(str, values[name]), strict=True))
        differ = [pair for pair in pairs if pair[0] != pair[1]]
        demand(not differ, f"{name!r}: {differ[:1]}, one of {len(differ)}, came back as another value")
    if not given or field.stream:
        return
    made = field.without(given)
    x = made.expand(field.encode(case.fields[main].values))
    fields, folder = {main: made, **given}, case.fresh() / "made"
    values = {main: made.decode(x.numpy(), values), **values}
    mark_files(case.codec.write(values, fields, folder), Provenance("some-run", 10, 1), folder)
    source = find(folder, case.name)
    missing = set(given) - set(case.codec.labels(source))
    demand(not missing, f"{missing} is not in what was written")
    back = case.values(list(case.read(source, fields)), fields)
    for name, kind in fields.items():
        alike(kind, stored(kind, values[name]), stored(kind, back[name]), f"{name!r} written and read")


@CODEC.law
def damage_stays_where_it_is(case: CodecCase) -> None:
    """What is damaged is rejected with a reason, and all else is read as before."""
    source, drafts = case.made(case.few), case.drafts(*case.beside)
    before = list(case.read(source, drafts))
    alone = replace(source, files=source.files[-1:])
    lost = keys_of(list(case.read(alone, drafts))).total() if len(source.files) > 1 else 0
    case.damage(source)
    after = list(case.read(source, drafts))
    rejected = [one for rows in after for one in rows.rejected]
    new = len(rejected) - sum(len(rows.rejected) for rows in before)
    demand(new > 0, "what was damaged is not among the rejected")
    demand(all(one.name and one.reason for one in rejected), "a rejected one has no name or no reason")
    gone, added = keys_of(before) - keys_of(after), keys_of(after) - keys_of(before)
    demand(not added, f"{added.total()} examples that were not there before")
    allowed = max(1, lost)
    demand(0 < gone.total() <= allowed, f"{gone.total()} examples are gone, {allowed} were damaged")


@CODEC.law
def memory_is_flat(case: CodecCase) -> None:
    """Reading and encoding ten times the data takes no more memory at a time."""
    field, name = case.main.field, case.main_name

    def walk(source: Source) -> None:
        for rows in case.read(source, {name: field}):
            if len(rows):
                field.encode(rows.values[name])

    def peak(source: Source) -> int:
        walk(source)  # what is imported, and what a path keeps of what it was asked for, is no reading
        tracemalloc.start()
        try:
            walk(source)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    a, b = peak(case.made(case.many)), peak(case.made(10 * case.many))
    demand(b < GROWTH * a, f"the peak grew from {a:,} to {b:,} bytes")


@CODEC.law
def examples_can_be_looked_at(case: CodecCase) -> None:
    """A preview of examples shows something."""
    field, name = case.main.field, case.main_name
    values = field.decode(stored(field, case.main.values).numpy())
    shown = case.codec.preview({name: values}, {name: field})
    demand(isinstance(shown, Preview), f"a preview is a Preview, not a {type(shown).__name__}")
    demand(bool(shown.png or shown.rows or shown.text or shown.sounds), "the preview shows nothing")


def check_codec(
    codec: str | type[Codec],
    make_source: MakeSource,
    *,
    few: int = 24,
    many: int = 600,
    damage: Callable[[Source], None] | None = None,
    options: dict[str, Any] | None = None,
) -> None:
    """Hold a codec to the contract of `Codec`.

    codec        its registered name, or its class
    make_source  writes a source of `n` examples into an empty folder and returns its path; the same each time,
                 and with all that can stand beside an example
    few          examples of the small sources
    many         examples that fill a chunk: memory is measured over these and ten times as many
    damage       spoils one example of a source in its files (None: the last file, or the last line of one)
    options      of the codec
    Raises `AssertionError` with the law that is broken.
    """
    with registered("codecs", codec) as name, TemporaryDirectory() as folder:
        case = CodecCase(
            name, make_source, Path(folder), few=few, many=many, damage=damage, options=options
        )
        CODEC.check(case, name, case.codec.contract_exceptions)
