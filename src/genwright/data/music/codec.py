"""Music: files of notes and of piano rolls, with or without labels, cut into windows where they are long.

How one file is read is `files.py`'s, how a piece is written as symbols `forms.py`'s, where labels are found
`data/labels.py`'s.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from html import escape
from itertools import islice
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from genwright.data.codec import (
    AS_READ,
    Place,
    Preview,
    ReadOptions,
    Rejected,
    Rows,
    Sounded,
    Source,
    SplitName,
    Values,
)
from genwright.data.columns.field import ColumnField
from genwright.data.field import Field
from genwright.data.labels import (
    FileCodec,
    FileRow,
    Folders,
    file_fields,
    goes_with,
    lacking,
    write_beside,
)
from genwright.data.music.field import QUARTERS, MusicField, MusicForm
from genwright.data.music.files import MIDI, ROLLS, SCORES, Found, holds_rolls, read_pieces
from genwright.data.music.forms import as_words, bars, sorted_voices
from genwright.data.music.piece import ONSET, PARTS, SIZE, VOICE, Part, Piece
from genwright.data.music.sound import RATE, heard_and_seen, pictured, played
from genwright.data.music.theory import key_of
from genwright.data.packed import suffix
from genwright.data.preview import sound_as_html
from genwright.data.text.field import TextField
from genwright.data.text.tokenizer import Unit
from genwright.errors import RecipeError

__all__ = ["MusicCodec"]

CHUNK = 1024
PAGE = "music.html"
SHOWN, SHOWN_BYTES = 24, 2**22
"""Pieces of a preview at most, and what their sounds may come to."""
PROBED, PROBED_PIECES = 64, 512
"""Files and pieces that are looked into to choose a form."""
FEW_VOICES, MOST_VOICES = 8, 16
"""Rolls with so many keys at a time are voices, and so many there may be."""
LONG, LONG_TOKENS = 256, 512
"""Steps, and tokens, of an example at most where it is not said."""
LONGEST = 2**14
MOVED = 5
"""Semitones either way, which with the piece as it is are eleven keys."""
ONE_KEY = 0.6
"""Of pieces in one key, above which they are taken to have been brought to it."""
DERIVED = ("key", "metre", "composer")


class MusicCodec(FileCodec):
    """Files of music to pieces as symbols, and back; labels beside them, and what follows from a piece: its `key` and
    `metre`, its `melody`, `bass` and `drums`.

    A piece that is longer than an example gives several, cut at bars, which stay on one side of the split; a single
    piece is split by position. Of arrays called train..., valid... and test... the split is as they say.

    form        voices: at each step what each of a few voices does; roll: which of 88 keys sound; tokens: notes with
                their lengths, one behind the other. auto: tokens of notes, voices of rolls of at most eight keys at a
                time, else roll
    length      steps, or tokens, of an example. None: those of the longest piece, at most 256 steps or 512 tokens
    steps       to a quarter note, of MIDI and ABC
    roll_steps  rows of a piano roll to a quarter note
    transpose   semitones up to which a piece is moved up or down each time that it is shown. None: 5; none where the
                key is given, or most pieces stand in one
    sound       what is heard: strings of our own, or fluidsynth with a sound font of the machine
    text_unit   of texts beside them, as `codec.unit` of a text: auto, char, bpe or words
    """

    reads: ClassVar[tuple[str, ...]] = (*SCORES, *ROLLS)
    main: ClassVar[str] = "music"
    field_types = (MusicField, ColumnField, TextField)
    later = frozenset({"text_unit"})
    default_family: ClassVar[str] = "autoregressive"
    dial = "codec.length=32"
    plural = "pieces"
    sheet = PAGE

    def __init__(
        self,
        *,
        form: Literal["auto", "tokens", "voices", "roll"] = "auto",
        length: Annotated[int, Ge(2), Le(LONGEST)] | None = None,
        steps: Annotated[int, Ge(1), Le(48)] = 4,
        roll_steps: Annotated[int, Ge(1), Le(48)] = 1,
        transpose: Annotated[int, Ge(0), Le(11)] | None = None,
        sound: Literal["strings", "fluidsynth"] = "strings",
        text_unit: Unit = "auto",
    ) -> None:
        self._text = partial(TextField, layout="documents", tokenizer=text_unit)
        self._form, self._length, self._steps, self._roll_steps = form, length, steps, roll_steps
        self._transpose, self._sound = transpose, sound

    @classmethod
    def sniff(cls, files: Sequence[Path]) -> float:
        own = cls.own(files)
        rest = {*files} - {*own} - goes_with(files, own)
        return 0.8 if own and all(cls.accompanies(file, own) for file in rest) else 0.0

    @classmethod
    def own(cls, files: Sequence[Path]) -> list[Path]:
        """Scores, and archives of piano rolls; of a roll and its MIDI file the roll."""
        rolls = [file for file in files if suffix(file) in ROLLS and holds_rolls(file)]
        twins = {(file.parent, file.stem) for file in rolls}
        scores = [
            file for file in files if suffix(file) in SCORES and (file.parent, file.stem) not in twins
        ]
        kept = {*rolls, *scores}
        return [file for file in files if file in kept]

    @classmethod
    def accompanies(cls, file: Path, own: Sequence[Path]) -> bool:
        heard = suffix(file) in (".wav", *MIDI) and file not in own
        beside = heard and any((file.parent, file.stem) == (one.parent, one.stem) for one in own)
        return beside or super().accompanies(file, own)

    # -- in ------------------------------------------------------------------------------------

    def fields(self, source: Source, options: ReadOptions = AS_READ) -> dict[str, Field]:
        layout = self._layout(source, options)
        form, pieces = self._choose(source, options)
        found: dict[str, Field] = {layout.main: _music(form)}
        for name in layout.names():
            if name in layout.texts:
                found[name] = self._text()
            else:
                found[name] = _part(form, name) if name in layout.further else ColumnField(name)
        for name in _derived(pieces):
            if name not in found:
                found[name] = ColumnField(name) if name in DERIVED else _part(form, name)
        return found

    def labels(self, source: Source) -> list[str]:
        return list(self.fields(source))[1:]

    def _layout(self, source: Source, options: ReadOptions = AS_READ) -> Folders:
        return Folders(source.root, source.files, self.main, options.given)

    def count(self, source: Source) -> int:
        return len(source.files) if len(source.files) > PROBED else sum(map(_pieces_in, source.files))

    def read(
        self, source: Source, fields: Mapping[str, Field], options: ReadOptions = AS_READ
    ) -> Iterator[Rows]:
        """Chunks of up to 1,024 `Piece`s."""
        form = next((one.form for one in fields.values() if isinstance(one, MusicField)), None)
        form = form or self._choose(source, options)[0]
        split = _split(source, form)

        def empty() -> Rows:
            return Rows({name: [] for name in fields}, [], groups=[] if split == "hash" else None)

        rows = empty()
        for one in self._examples(source, fields, form, options):
            if isinstance(one, Rejected):
                rows.rejected.append(one)
                continue
            part = one.place.part(options) if split == "place" else one.part
            if split == "place" and part is None and not one.place.whole:
                continue
            if len(rows) == CHUNK:
                yield rows
                rows = empty()
            for name in fields:
                rows.values[name].append(one.values[name])
            rows.keys.append(one.key)
            rows.names.append(one.name)
            if rows.groups is not None:
                rows.groups.append(one.group)
            elif part is not None:
                rows.parts = [*(rows.parts or []), part]
        if len(rows) or rows.rejected:
            yield rows

    def _examples(
        self, source: Source, fields: Mapping[str, Field], form: MusicForm, options: ReadOptions
    ) -> Iterator[_Example | Rejected]:
        layout = self._layout(source, options)
        wanted = [
            name
            for name in (*fields, *([options.group] if options.group else []))
            if name != layout.main
        ]
        beside = [name for name in wanted if name in layout.names()]
        yield from layout.read(beside)
        files, pieces = layout.files, 1
        if len(files) > 1:
            files = files[:: options.every]
        else:
            pieces = options.every
        for path in files:
            row = layout.of(path, beside)
            if isinstance(row, Rejected):
                yield row
            elif row is not None:
                for found in islice(_pieces(row, form), None, None, pieces):
                    for one in _windows(found, row, layout.main, fields, wanted, form):
                        yield (
                            one
                            if isinstance(one, Rejected) or not options.group
                            else replace(one, group=str(one.values[options.group]))
                        )

    def _choose(self, source: Source, options: ReadOptions) -> tuple[MusicForm, list[Piece]]:
        """From pieces of all over the source. Windows are cut before the split is made, so that all count; of what they
        hold only how many voices there are does."""
        rolls = suffix(source.files[0]) in ROLLS
        form = MusicForm("voices", 1, 1, False, self._steps, self._roll_steps, rolls=rolls)
        probed = source.files[:: -(-len(source.files) // PROBED)]
        pieces: list[Piece] = []
        for file in probed:
            found = (one.piece for one in _read(file, form))
            pieces += islice((one for one in found if isinstance(one, Piece)), PROBED_PIECES)
        own = not rolls and all(map(_separate, pieces))
        voices = max((int(piece.notes[:, VOICE].max()) + 1 for piece in pieces), default=1) if own else 0
        voices = voices or max(1, sorted_voices(pieces))
        name = self._form
        if name == "auto":
            name = "tokens" if not rolls else "voices" if voices <= FEW_VOICES else "roll"
        if name == "voices" and voices > MOST_VOICES:
            raise RecipeError(
                f"up to {voices} notes sound at a time, and voices are at most {MOST_VOICES}: set codec.form to "
                f"roll or tokens",
                code="too-many-voices",
            )
        return replace(
            form,
            form=name,
            length=self._length or _length(name, pieces),
            voices=voices,
            own=own,
            transpose=self._moved(pieces, options),
        ), pieces

    def _moved(self, pieces: Sequence[Piece], options: ReadOptions) -> int:
        """Raises `RecipeError` where pieces are to be moved and their keys are to be given."""
        keyed = "key" in options.given
        if keyed and self._transpose:
            raise RecipeError(
                "a piece that is moved to another key has no longer the key that is given with it: leave "
                "codec.transpose away, or key out of --given",
                code="contradicting-options",
            )
        tonics = [key_of(piece).split(" ")[0] for piece in pieces]
        most = max((tonics.count(one) for one in {*tonics}), default=0)
        alike = len(tonics) > 1 and most > ONE_KEY * len(tonics)
        return (0 if keyed or alike else MOVED) if self._transpose is None else self._transpose

    # -- out -----------------------------------------------------------------------------------

    def write(
        self,
        values: Mapping[str, Values],
        fields: Mapping[str, Field],
        folder: Path,
        *,
        columns: int | None = None,
    ) -> list[Path]:
        """`music.html` to see and hear the pieces, a MIDI file for each (and its piano roll where rolls were read), the
        sounds of the first ones, and a table if anything is beside them. The folder is a source with the same fields
        again."""
        if not any(map(len, values.values())):
            return []
        folder.mkdir(parents=True, exist_ok=True)
        files = write_beside(values, fields, folder, MusicField, self.main)
        names = file_fields(values, fields, MusicField, self.main)
        if not names:
            return files
        pieces = [piece for name in names for piece in values[name]]
        rolls = [file for file in files if suffix(file) in ROLLS]
        scores = [file.with_suffix(MIDI[0]) for file in rolls] or files[: len(pieces)]
        n = len(pieces) // len(names)
        order = [i + n * j for i in range(n) for j in range(len(names))][
            :SHOWN
        ]  # what goes together side by side
        sounds, shown = [], ""
        for i in order:
            sounds.append(scores[i].with_suffix(".wav"))
            sounds[-1].write_bytes(played(pieces[i], fluidsynth=self._sound == "fluidsynth"))
            shown += sound_as_html(pictured(pieces[i]), sounds[-1].name, scores[i].name)
        page = folder / PAGE
        page.write_text(_page(folder.name, shown, len(pieces) - len(order)), encoding="utf-8")
        return [page, *files, *(scores if rolls else ()), *sounds]

    def preview(
        self, values: Mapping[str, Values], fields: Mapping[str, Field], *, columns: int | None = None
    ) -> Preview:
        """The piano rolls of pieces, with what plays them."""
        names = file_fields(values, fields, MusicField, self.main)
        rows = list(islice(zip(*(values[name] for name in names), strict=True), SHOWN)) if names else []
        shown, size = list[Sounded](), 0
        for piece in (piece for row in rows for piece in row):
            size += int(2 * RATE * piece.seconds)
            if shown and size > SHOWN_BYTES:
                break
            shown.append(heard_and_seen(piece, fluidsynth=self._sound == "fluidsynth"))
        return Preview("sounds", sounds=tuple(shown)) if shown else Preview("text")


def _page(title: str, shown: str, more: int) -> str:
    rest = f"<p>and {more:,} more</p>" if more > 0 else ""
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(title)}</title>{shown}{rest}</html>\n"
    )


# -- fields ----------------------------------------------------------------------------------------


def _music(form: MusicForm) -> MusicField:
    field = MusicField(form)
    field.frame = "music"  # all are transposed together
    return field


def _part(form: MusicForm, name: str) -> MusicField:
    """The field of a part of a piece, by its name; of another piece that goes with it all of that."""
    part: Part = next((one for one in PARTS if one == name), "all")
    return _music(
        replace(
            form, part=part, voices=1 if part in ("melody", "bass") and not form.own else form.voices
        )
    )


def _derived(pieces: Sequence[Piece]) -> Iterator[str]:
    """Names of what follows from pieces such as these."""
    yield from ("key", "metre")
    if pieces and all("composer" in piece.named for piece in pieces):
        yield "composer"
    if any(sorted_voices([piece]) > 1 for piece in pieces[:PROBED]):
        yield from ("melody", "bass")
    elif any(piece.basses for piece in pieces):  # beside drums alone
        yield "bass"
    if any(piece.drums for piece in pieces):
        yield "drums"


def _value(name: str, piece: Piece) -> str:
    """Of `DERIVED`; empty where a piece does not say."""
    if name == "key":
        return key_of(piece)
    return "{}/{}".format(*piece.metre) if name == "metre" else piece.named.get(name, "")


# -- pieces ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Example:
    """A window of a piece with what goes with it: its `key`, a name, what keeps the windows of one piece together, and
    where it lies."""

    values: dict[str, Any]
    key: str
    name: str
    group: str
    place: Place
    part: SplitName | None


def _read(file: Path, form: MusicForm) -> Iterator[Found]:
    """The pieces of a file; none of one that cannot be read, which is told of where it is read for good."""
    try:
        yield from read_pieces(file, form.steps, form.roll_steps)
    except (OSError, ValueError):
        return


def _pieces(row: FileRow, form: MusicForm) -> Iterator[Found]:
    """The pieces of a file, or one that says why there is none."""
    try:
        yield from read_pieces(row.path, form.steps, form.roll_steps)
    except ValueError as error:
        yield Found(str(error))
    except OSError as error:
        yield Found(f"cannot be opened: {error.strerror or error}")


def _windows(
    found: Found,
    row: FileRow,
    main: str,
    fields: Mapping[str, Field],
    wanted: Sequence[str],
    form: MusicForm,
) -> Iterator[_Example | Rejected]:
    """The windows of a piece with the values of all fields; or why there is none."""
    name = f"{row.name}, {found.name}" if found.name else row.name
    stem = f"{row.stem}-{found.name}" if found.name else row.stem
    if isinstance(found.piece, str):
        yield Rejected(name, found.piece)
        return
    whole: dict[str, Piece] = {main: found.piece}
    values: dict[str, Any] = dict(row.values)
    for other in wanted:
        if other in row.files:
            piece = next(_pieces(replace(row, path=row.files[other]), form)).piece
            if isinstance(piece, str):
                yield Rejected(name, f"its {other}: {piece}", orphan=True)
                return
            whole[other] = piece
        elif other in PARTS and other not in values:
            whole[other] = found.piece
        elif other in DERIVED and other not in values:
            values[other] = _value(other, found.piece)
    if (missing := lacking({**values, **whole}, wanted)) is not None:
        yield Rejected(name, f"it has no {missing!r}")
        return
    cuts = _cuts(found.piece, form)
    for number, (begin, end) in enumerate(cuts):
        cut = {
            other: _window(piece, begin, end, form).part(_part_of(fields.get(other)))
            for other, piece in whole.items()
        }
        empty = next((other for other, piece in cut.items() if not len(piece)), None)
        where = name if len(cuts) == 1 else f"{name}, from step {begin}"
        if empty is not None:
            yield Rejected(
                where, "silence: there is no note in it" if empty == main else f"it has no {empty}"
            )
            continue
        length = max(1, found.piece.length)
        yield _Example(
            values | cut,
            cut[main].digest,
            stem if len(cuts) == 1 else f"{stem}-{number}",
            found.piece.digest,
            Place(begin / length, end / length),
            found.part,
        )


def _part_of(field: Field | None) -> Part:
    return field.form.part if isinstance(field, MusicField) else "all"


def _window(piece: Piece, begin: int, end: int, form: MusicForm) -> Piece:
    if (begin, end) == (0, piece.length):
        return piece
    return piece.window(begin, end) if form.form == "tokens" else piece.sounding(begin, end)


def _cuts(piece: Piece, form: MusicForm) -> list[tuple[int, int]]:
    """Where the windows of a piece begin and end. Of its last one a quarter has to be there."""
    if form.form == "tokens":
        return bars(piece, QUARTERS * form.clock, form.length)
    stride = max(form.length // piece.bar * piece.bar, min(form.length, piece.bar))
    found = [(at, min(at + form.length, piece.length)) for at in range(0, piece.length, stride)]
    return [one for one in found if one[0] == 0 or 4 * (one[1] - one[0]) >= form.length]


def _split(source: Source, form: MusicForm) -> Literal["hash", "place", "named"]:
    """How examples are parted: by a hash, by their place in the only piece, or as the names in the only file say."""
    if len(source.files) > 1:
        return "hash"
    found = list(islice(_read(source.files[0], form), 2))
    if len(found) == 1:
        return "place"
    if suffix(source.files[0]) in ROLLS and all(one.part for one in _read(source.files[0], form)):
        return "named"
    return "hash"


def _separate(piece: Piece) -> bool:
    """Whether no voice has two notes at a time, and none are drums."""
    if piece.drums:
        return False
    rows = piece.notes[np.lexsort((piece.notes[:, ONSET], piece.notes[:, VOICE]))]
    same = rows[1:, VOICE] == rows[:-1, VOICE]
    return not bool((same & (rows[1:, ONSET] < rows[:-1, ONSET] + rows[:-1, SIZE])).any())


def _length(form: str, pieces: Sequence[Piece]) -> int:
    """Positions that hold the longest piece and its end."""
    if form == "tokens":
        most = max(
            (sum(1 for _ in as_words(piece, QUARTERS * piece.steps)) for piece in pieces), default=1
        )
        return max(8, min(LONG_TOKENS, most + 1))
    return min(LONG, max((piece.length for piece in pieces), default=1) + 1)


def _pieces_in(file: Path) -> int:
    """About how many pieces a file holds."""
    try:
        if suffix(file) == ".abc":
            return max(1, file.read_bytes().count(b"\nX:"))
        return sum(1 for _ in read_pieces(file, 1, 1)) if suffix(file) in ROLLS else 1
    except (OSError, ValueError):
        return 1
