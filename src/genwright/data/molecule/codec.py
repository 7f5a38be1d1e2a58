"""Molecules: SMILES a line, a column of SMILES in a table, or SDF; with properties beside them."""

from __future__ import annotations

import csv
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar

from genwright.data.cells import as_text
from genwright.data.codec import (
    AS_READ,
    Codec,
    OneFile,
    Preview,
    ReadOptions,
    Rejected,
    Rows,
    Source,
    Values,
    write_once,
)
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.labels import lacking
from genwright.data.molecule.chemistry import LONGEST, canonical, drawing, sdf
from genwright.data.molecule.field import MoleculeField
from genwright.data.molecule.notation import Notation
from genwright.data.packed import BROKEN, open_unpacked, suffix, with_packed
from genwright.data.table import readers
from genwright.data.table.frames import raw
from genwright.errors import DataError, suggest

__all__ = ["MoleculeCodec"]

CHUNK = 4096
LINES, TABLES, SDF = (
    with_packed(".smi", ".smiles"),
    with_packed(".csv", ".tsv", ".jsonl"),
    (".sdf", ".sd", ".mol"),
)
ENOUGH, MOST_BAD = 20, 0.2
"""Entries from which on it counts how many are no molecules, and the share of them that is left out at most."""
LINE = 1 << 20
"""Bytes of a line that are read at a time."""
NAMED = ("smiles", "canonical_smiles", "isomeric_smiles", "smi")
"""Columns that hold SMILES by their name."""
ATOMS, STRUCTURE = frozenset("CcNnOo"), frozenset("()=[]#123456789")
"""Characters of atoms and of how they are bound: nearly every SMILES has one of each."""
PROBE, SURE = 50, 0.9
"""Lines of a table that are looked at, and the share of them that has to be molecules."""
SHEET = "molecules.png"
WRITTEN = (".png", ".csv")
"""To look at, and to be read back."""
SHOWN = 24


class MoleculeCodec(Codec):
    """SMILES of files to molecules in canonical SMILES, and back; the properties beside them are labels.

    A .smi holds a SMILES a line, and behind it perhaps a name; a table has a column of them; of an SDF the structures
    are read without their coordinates. What RDKit cannot read is left out and named.

    column     of a table: which one holds the SMILES (None: one of that name, or one that holds nothing else)
    notation   smiles: atoms and bonds of a SMILES; selfies: each row of symbols is a molecule
    randomise  whether a molecule is written from another atom on each time that it is shown (None: where there are
               fewer than 10,000)
    """

    reads: ClassVar[tuple[str, ...]] = (*LINES, *TABLES, ".parquet", *SDF)
    main: ClassVar[str] = "molecule"
    field_types = (MoleculeField, ColumnField)
    default_family: ClassVar[str] = "autoregressive"
    plural = "molecules"
    sheet = SHEET

    def __init__(
        self,
        *,
        column: str | None = None,
        notation: Notation = "smiles",
        randomise: bool | None = None,
    ) -> None:
        self.column, self.notation, self.randomise = column, notation, randomise

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        """Surer than of a table where one column of it holds SMILES and is called so, or holds nothing else."""
        if not super().sniff(files):
            return 0.0
        first = {suffix(file): file for file in reversed(cls.own(files))}
        return min(_sure(file) for file in first.values())

    @classmethod
    def because(cls, files: Sequence[Path]) -> str:
        file = next(iter(cls.own(files)), None)
        if file is None or suffix(file) in (*LINES, *SDF):
            return super().because(files)
        column = _smiles_column(file)
        return f"column {column!r} holds SMILES, which RDKit reads" if column else super().because(files)

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        found: dict[str, Field] = {self.main: MoleculeField(self.notation, self.randomise)}
        for file in source.files[:1]:
            for name in self._properties(file):
                found[name] = ColumnField(name)
        return found

    def _properties(self, file: Path) -> list[str]:
        """What stands beside the structures of a file."""
        if suffix(file) in LINES:
            return []
        if suffix(file) in SDF:
            first = (one for one in islice(sdf(file), PROBE) if not isinstance(one, str))
            return list(dict.fromkeys(name for _, values in first for name in values))
        column, names = self._column(file)
        return [name for name in names if name not in (column, self.main)]

    def _column(self, file: Path) -> tuple[str, Sequence[str]]:
        """The column of SMILES in a table, and all. Raises `DataError` where there is none."""
        names = readers.inspect(file).columns
        if self.column is not None:
            if self.column not in names:
                raise DataError(
                    f"{file.name} has no column {self.column!r}; {suggest(self.column, names)}",
                    code="no-such-column",
                )
            return self.column, names
        found = _smiles_column(file)
        if found is None:
            raise DataError(
                f"{file.name} has no column of SMILES: codec.column names it, of {', '.join(names)}",
                code="no-such-column",
            )
        return found, names

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 4,096 canonical SMILES; of what a model made also those that are none, as they stand."""
        others = [name for name in fields if name != self.main]
        wanted = list(dict.fromkeys([*others, *([options.group] if options.group else [])]))

        def empty() -> Rows:
            return Rows({name: [] for name in fields}, [], groups=[] if options.group else None)

        rows, total, bad, first = empty(), 0, 0, ""
        for file in source.files:
            for number, found in enumerate(self._entries(file)):
                if number % options.every:
                    continue
                where = f"{file.name} entry {number + 1}"
                if len(rows) + len(rows.rejected) >= CHUNK:
                    yield rows
                    rows = empty()
                total += 1
                if isinstance(found, Rejected):
                    bad, first = bad + 1, first or f"{found.name}: {found.reason}"
                    rows.rejected.append(found)
                    continue
                written, values = found
                smiles = canonical(written) or (written if options.made else None)
                missing = lacking(values, wanted)
                if smiles is None or missing is not None:
                    reason = _no_molecule(written) if smiles is None else f"it has no {missing!r}"
                    if smiles is None:
                        bad, first = bad + 1, first or f"{where}: {reason}"
                    rows.rejected.append(Rejected(where, reason))
                    continue
                for name in fields:
                    rows.values[name].append(smiles if name == self.main else values[name])
                rows.keys.append(blake2b(smiles.encode(), digest_size=16).hexdigest())
                rows.names.append(f"{file.stem.partition('.')[0]}-{number}")
                if rows.groups is not None:
                    rows.groups.append(str(values[str(options.group)]))
        if total >= ENOUGH and bad > MOST_BAD * total:
            raise DataError(
                f"{bad:,} of {total:,} entries in {source.root} are no molecules, and at most a fifth is left "
                f"out; the first is {first}; mend them, or name the column with "
                f"--set codec.column=NAME",
                code="too-many-no-molecules",
            )
        if len(rows) or rows.rejected:
            yield rows

    def _entries(self, file: Path) -> Iterator[tuple[str, Mapping[str, Any]] | Rejected]:
        """SMILES as they are written, with what stands beside them, or why there is none."""
        if suffix(file) in (*SDF, *LINES):
            entries = self._of_sdf(file) if suffix(file) in SDF else self._of_lines(file)
            yield next(entries, Rejected(file.name, "there is no molecule in it"))
            yield from entries
            return
        column, _ = self._column(file)
        for frame, bad in readers.rows(file, readers.inspect(file), []):
            columns = {str(name): raw(frame[name]) for name in frame.columns}
            for row in zip(*columns.values(), strict=True):
                values = dict(zip(columns, row, strict=True))
                yield str(values.pop(column) or ""), values
            yield from bad

    def _of_sdf(self, file: Path) -> Iterator[tuple[str, Mapping[str, Any]] | Rejected]:
        for number, found in enumerate(sdf(file), 1):
            yield Rejected(f"{file.name} entry {number}", found) if isinstance(found, str) else found

    def _of_lines(self, file: Path) -> Iterator[tuple[str, Mapping[str, Any]] | Rejected]:
        try:
            with open_unpacked(file) as stream:
                while line := stream.readline(LINE):
                    if line.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
                        yield Rejected(file.name, "it is UTF-16, and UTF-8 is read: save it as that")
                        return
                    text = line.decode("utf-8-sig", "replace").split()
                    if text and text[0].lower() not in NAMED:
                        yield text[0], {}
        except BROKEN as error:
            yield Rejected(file.name, f"damaged or cut short: {error}")

    def count(self, source: Source) -> int:
        return sum(
            max(1, file.stat().st_size // 2000) if suffix(file) in SDF else readers.row_count(file)
            for file in source.files
        )

    def enough(self, source: Source) -> int:
        return 4000

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`molecules.png` and `molecules.csv`, with a column `smiles`, which this codec reads back."""
        if not any(map(len, values.values())):
            return []
        return write_once(self.appender(fields, folder), values)

    def one_file(self, fields: Mapping[str, Field], suffix: str) -> OneFile | None:
        return OneFile(None, WRITTEN) if suffix == ".csv" else None

    def appender(
        self, fields: Mapping[str, Field], folder: Path, form: str | None = None, name: str = ""
    ) -> _Appended:
        return _Appended(self, fields, folder, name or self.plural)

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """A grid of structures, and their SMILES below it."""
        shown = list(islice(values.get(self.main, []), SHOWN))
        if not shown:
            return Preview("text")
        return Preview("png", png=drawing(shown, columns), text="\n".join(shown))


class _Appended:
    """A table of SMILES and what was given, and a picture of the first ones."""

    def __init__(
        self, codec: MoleculeCodec, fields: Mapping[str, Field], folder: Path, name: str
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.codec, self.fields, self.started = codec, fields, False
        self.files = [folder / f"{name}{suffix}" for suffix in WRITTEN]
        self._stream = self.files[1].open("w", encoding="utf-8", newline="")
        self._lines = csv.writer(self._stream)

    def add(self, values: Mapping[str, Values]) -> list[Path]:
        named = {NAMED[0] if name == self.codec.main else name: some for name, some in values.items()}
        if not self.started:
            self.started = True
            self._lines.writerow(named)
            self.files[0].write_bytes(self.codec.preview(values, self.fields).png)
        named[NAMED[0]] = list(map(as_text, named[NAMED[0]]))
        self._lines.writerows(zip(*named.values(), strict=True))
        self._stream.flush()
        return self.files

    def close(self) -> None:
        self._stream.close()


# -- is it SMILES? ---------------------------------------------------------------------------------


def _sure(file: Path) -> float:
    if suffix(file) in (*LINES, *SDF):
        return 0.9
    try:
        found = _smiles_column(file)
    except (*BROKEN, DataError, UnicodeError):
        return 0.0
    if found is None:
        return 0.0
    return 0.9 if found.lower() in NAMED else 0.75


def _smiles_column(file: Path) -> str | None:
    """The column of a table that holds SMILES: one of that name, or the first in which nearly all is read by RDKit,
    and which is not only letters, as words and names are."""
    form = readers.inspect(file)
    named = next((name for name in form.columns if name.lower() in NAMED), None)
    if named is not None:
        return named
    rows = readers.head(file, form, PROBE)
    for name in form.columns:
        cells = [str(row[name]) for row in rows if row.get(name) not in (None, "")]
        long = [cell for cell in cells if len(cell) > 4 and not ATOMS.isdisjoint(cell)]
        plain = [cell for cell in long if not STRUCTURE.isdisjoint(cell)]
        if cells and len(plain) >= SURE * len(cells) and _molecules(plain) >= SURE * len(plain):
            return str(name)
    return None


def _molecules(cells: Sequence[str]) -> int:
    from importlib.util import find_spec

    return sum(canonical(cell) is not None for cell in cells) if find_spec("rdkit") is not None else 0


def _no_molecule(written: str) -> str:
    if len(written) > LONGEST:
        return f"it has {len(written):,} characters, and a SMILES of at most {LONGEST:,} is read"
    return f"{written[:60]!r} is no molecule that RDKit can read"
