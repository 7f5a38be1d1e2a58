"""Music as a field: pieces written as symbols in one of three forms (`forms.py`)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genwright.data.field import Array, Field, Partial, Unit, Values
from genwright.data.music.files import MIDI, ROLLS, SCORES, read_pieces, to_npz
from genwright.data.music.forms import END, REST, Roll, Symbols, Tokens, Voices
from genwright.data.music.midi import to_midi
from genwright.data.music.piece import PITCH, SIZE, VOICE, Part, Piece
from genwright.data.packed import suffix
from genwright.errors import DataError, Unsupported
from genwright.grammar import Grammar
from genwright.space import Space

__all__ = ["QUARTERS", "FormName", "MusicField", "MusicForm"]

FormName = Literal["tokens", "voices", "roll"]
QUARTERS = 8
"""Of the longest note that has a symbol of its own."""
FEW = 100
"""Pieces below which a warning says so."""


@dataclass
class _Seen:
    """What was met in pieces."""

    pieces: int = 0
    notes: int = 0
    steps: int = 0
    cut: int = 0
    low: int = 128
    high: int = -1
    longest: int = 1
    bar: int = 1
    voices: int = 1
    metres: Counter[tuple[int, int]] = field(default_factory=Counter)
    tempi: Counter[float] = field(default_factory=Counter)
    drums: set[int] = field(default_factory=set)
    instruments: set[int] = field(default_factory=set)
    basses: set[int] = field(default_factory=set)

    def add(self, piece: Piece) -> None:
        rows, pitched = piece.notes, piece.pitched
        if len(pitched):
            self.low = min(self.low, int(pitched[:, PITCH].min()))
            self.high = max(self.high, int(pitched[:, PITCH].max()))
            self.longest = max(self.longest, int(pitched[:, SIZE].max()))
        self.pieces, self.notes, self.steps = (
            self.pieces + 1,
            self.notes + len(rows),
            self.steps + piece.length,
        )
        self.bar = max(self.bar, piece.bar)
        self.voices = max(self.voices, int(rows[:, VOICE].max(initial=0)) + 1)
        self.metres[piece.metre] += 1
        self.tempi[round(piece.tempo, 3)] += 1
        here = {*rows[:, VOICE].tolist()}  # a part of a piece has not all of its voices
        self.drums |= piece.drums & here
        self.basses |= piece.basses & here
        self.instruments |= {*rows[np.isin(rows[:, VOICE], sorted(piece.drums)), PITCH].tolist()}


@dataclass(frozen=True)
class MusicForm:
    """How pieces are read, written as symbols and written to files.

    form       voices, roll or tokens
    length     positions of an example
    voices     of the form voices, and of tokens
    own        each voice of a piece is one (else what sounds is sorted)
    steps      to a quarter note
    roll_steps rows of a piano roll to a quarter note
    transpose  semitones by which a piece is moved in training, at most, either way
    part       what of a piece counts
    rolls      whether files are piano rolls
    """

    form: FormName = "voices"
    length: int = 1
    voices: int = 1
    own: bool = False
    steps: int = 4
    roll_steps: int = 1
    transpose: int = 0
    part: Part = "all"
    rolls: bool = False

    @property
    def clock(self) -> int:
        """Steps to a quarter note of what is made."""
        return self.roll_steps if self.rolls else self.steps


class MusicField(Field):
    """Pieces to symbols `(channels, positions)`, and back; pitches, voices and lengths are those of the training split.

    form  chosen before pieces are read
    """

    kind = "music"
    views = frozenset({"music"})

    def __init__(self, form: MusicForm | None = None) -> None:
        self.form = form or MusicForm()
        self._seen = _Seen()
        self._known: dict[str, Any] = {}
        self._facts: dict[str, Any] = {}
        self._warnings: list[str] = []

    @property
    def suffix(self) -> str:  # type: ignore[override]  # as the form says
        return ".npz" if self.form.rolls else ".mid"

    # -- learning ------------------------------------------------------------------------------

    def fit(self, values: Values) -> None:
        for piece in values:
            self._seen.add(piece)
            self._seen.cut += self.form.form != "tokens" and piece.length > self.form.length

    def settle(self) -> None:
        seen, form = self._seen, self.form
        self._seen = _Seen()
        if not seen.notes:
            raise DataError(
                "there is no music to learn from: add pieces, or mend those found unusable",
                code="no-examples",
            )
        low, high = (seen.low, seen.high) if seen.high >= 0 else (60, 60)
        by = form.transpose
        metres = sorted(seen.metres, key=lambda one: (-seen.metres[one], one))
        tempo = min(seen.tempi, key=lambda one: (-seen.tempi[one], one))
        self._known = {
            "low": max(0, low - by),
            "high": min(127, high + by),
            "longest": min(seen.longest, QUARTERS * form.clock),
            "bar": seen.bar,
            "metres": [list(metre) for metre in metres],
            "tempo": tempo,
            "drums": sorted(seen.drums),
            "instruments": sorted(seen.instruments),
            "basses": sorted(seen.basses - seen.drums),
            "voices": seen.voices,
        }
        self._facts = {
            "pieces": seen.pieces,
            "notes": seen.notes,
            "form": form.form,
            "length": form.length,
            "voices": form.voices if form.form == "voices" else seen.voices,
            "lowest": low,
            "highest": high,
            "metres": {f"{beats}/{unit}": seen.metres[beats, unit] for beats, unit in metres},
            "seconds": round(seen.steps / seen.pieces / form.clock * 60 / tempo, 1),
            "transposed": by,
        }
        self._warnings = []
        if seen.cut:
            self._warnings.append(
                f"{seen.cut:,} of {seen.pieces:,} pieces have more than {form.length} steps and are cut there"
            )
        if seen.pieces < FEW:
            self._warnings.append(
                f"{seen.pieces} pieces are few to learn from: a model will soon know them by heart"
            )

    @cached_property
    def symbols(self) -> Symbols:
        known, form = self._known, self.form
        assert known, "settle or restore comes first"
        if form.form == "roll":
            return Roll(form.length)
        if form.form == "voices":
            return Voices(form.length, form.voices, known["low"], known["high"], form.own)
        return Tokens(
            form.length,
            known["voices"],
            known["low"],
            known["high"],
            known["longest"],
            known["bar"],
            tuple((beats, unit) for beats, unit in known["metres"]),
            tuple(known["drums"]),
            tuple(known["instruments"]),
        )

    @property
    def space(self) -> Space:
        return self.symbols.space

    @property
    def grammar(self) -> Grammar | None:
        return self.symbols.grammar()

    # -- to tensors and back -------------------------------------------------------------------

    def encode(self, values: Values) -> Array:
        """`(n, channels, positions)` uint8 or uint16; what is longer than an example is cut. Raises `DataError` for
        what training has not seen."""
        k = max(span.width for span in self.space.spans)
        out = np.empty((len(values), *self.space.shape), np.uint8 if k <= 256 else np.uint16)
        for row, piece in zip(out, values, strict=True):
            if not self.symbols.holds(piece):
                raise DataError(self._strange(piece), code="unknown-note")
            row[:] = self.symbols.encode(piece)
        return out

    def _strange(self, piece: Piece) -> str:
        known = self._known
        if not len(piece):
            return "the piece has no note: give one that has"
        rows = piece.notes
        return (
            f"the piece has pitches from {rows[:, PITCH].min()} to {rows[:, PITCH].max()} in "
            f"{rows[:, VOICE].max() + 1} voices and bars of {piece.metre[0]}/{piece.metre[1]}; training has seen "
            f"pitches from {known['low']} to {known['high']} in {known['voices']} voices"
            f"{' and drums' * bool(known['drums'])}: transpose it, or leave voices out"
        )

    def known(self, values: Values) -> list[bool]:
        return [self.symbols.holds(piece) for piece in values]

    def decode(self, x: Array, parts: Mapping[str, Values] | None = None) -> list[Piece]:
        beats, unit = self._known["metres"][0]
        made = []
        for one in np.asarray(x):
            piece = self.symbols.decode(np.asarray(one, np.int64), self.form.clock)
            metre = piece.metre if self.form.form == "tokens" else (beats, unit)
            tempo, basses = self._known["tempo"], frozenset(self._known["basses"])
            made.append(replace(piece, metre=metre, tempo=tempo, basses=basses))
        return made

    def augment(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Each piece transposed by as many semitones as are drawn for it. Fields of one frame draw the same."""
        by = self.form.transpose
        if not by:
            return x
        drawn = torch.randint(-by, by + 1, (len(x),), generator=rng, device=rng.device)
        return self.symbols.moved(x, drawn.to(x.device))

    def per(self, x: Array, *, independent: bool) -> Unit:
        """Nats a frame, by the protocol of the model: `ordered_notes`, each of a frame given those before it (RNN-NADE,
        Boulanger-Lewandowski et al. 2012), or `independent_keys` given the frames before. Of tokens nats a note.

        The end of a piece is paid for, too."""
        if self.form.form == "tokens":
            notes = [len(piece) for piece in self.decode(x)]
            return Unit("nats_per_note", "surprise at a note of an unseen piece", np.maximum(1.0, notes))
        ended = x[:, 0] == (1 if self.form.form == "roll" else END)  # (n, T)
        frames = np.where(ended.any(1), ended.argmax(1), x.shape[-1])
        name, how = "ordered_notes", "each note given those of its frame before it, protocol of RNN-NADE"
        if independent:
            name, how = (
                "independent_keys",
                "its keys independent given the frames before, protocol of RNN and TCN",
            )
        return Unit(
            f"nats_per_frame_{name}",
            f"surprise at a frame of unseen music, {how}",
            np.maximum(1.0, frames),
        )

    # -- gaps ----------------------------------------------------------------------------------

    def partial(self, values: Values) -> Partial:
        """Pieces of which a part is silent. A voice that never sounds is to be made, and so is a bar in which none
        does; where there is neither, what comes behind the end."""
        if self.form.form != "voices":
            raise Unsupported(
                f"voices and bars can be filled in where each voice is a row, and this model writes {self.form.form}: "
                f"train with codec.form=voices",
                code="no-gaps",
            )
        x = self.tensor(values)
        masks = []
        for one, piece in zip(x, values, strict=True):
            sounds = one > REST  # (V, T)
            bars = sounds.any(0).split(piece.bar)
            empty = torch.cat([torch.full_like(bar, not bool(bar.any())) for bar in bars])
            ended = (one == END).all(0)
            unknown = (~sounds.any(1)[:, None] | empty) & ~ended
            masks.append(~unknown if bool(unknown.any()) else (~ended).expand_as(one))
            if not bool((~masks[-1]).any()):
                raise DataError(
                    "the piece is as long as an example and sounds in every bar and voice, so that nothing is to be "
                    "made: leave a voice or a bar silent, or end it sooner",
                    code="no-gaps-given",
                )
        return Partial(x, torch.stack(masks))

    def prompt(self, value: Any) -> list[int]:
        """A piece to go on from."""
        if self.form.form != "tokens":
            return super().prompt(value)
        ids = self.tensor([self.parse(value)])[0, 0]
        return [int(i) for i in ids if i != END]

    # -- raw values ----------------------------------------------------------------------------

    def parse(self, given: Any) -> Piece:
        """A piece, a roll `(T, 88)`, or a file of one. Raises `DataError` for what is none."""
        if isinstance(given, Piece):
            return given.part(self.form.part)
        if isinstance(given, np.ndarray) and given.ndim == 2:
            return Piece.of_roll(given > 0, self.form.clock, 0 if given.shape[1] == 128 else 21)
        if not isinstance(given, str | Path):
            raise DataError(
                f"a piece is a path or a roll (T, 88), not {type(given).__name__}", code="not-music"
            )
        return self.load(Path(given).expanduser())

    def load(self, path: Path) -> Piece:
        if suffix(path) not in (*ROLLS, *SCORES):
            raise DataError(
                f"{path} is no music: wanted {' '.join((*SCORES, *ROLLS))}", code="not-music"
            )
        try:
            found = next(read_pieces(path, self.form.clock, self.form.clock)).piece
        except (OSError, ValueError) as error:
            raise DataError(f"{path} holds no music: {error}", code="not-music") from None
        if isinstance(found, str):
            raise DataError(f"{path} holds no music: {found}", code="not-music")
        return found.part(self.form.part)

    def save(self, value: Piece, path: Path) -> None:
        """As a MIDI file, or as a piano roll with a MIDI file beside it."""
        if suffix(path) == ".npz":
            to_npz(value, path)
            path = path.with_suffix(MIDI[0])
        path.write_bytes(to_midi(value))

    def grid_of(self, value: Piece) -> tuple[int, ...]:
        return self.space.grid if self.form.form == "tokens" else (value.length,)

    # -- what it knows -------------------------------------------------------------------------

    def facts(self) -> dict[str, Any]:
        return dict(self._facts)

    def warnings(self) -> list[str]:
        return list(self._warnings)

    def state(self) -> dict[str, Any]:
        return {
            "form": asdict(self.form),
            "known": self._known,
            "facts": self._facts,
            "warnings": self._warnings,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        self.form = MusicForm(**state["form"])
        self._known = dict(state["known"])
        self._facts, self._warnings = dict(state["facts"]), list(state["warnings"])
        self.__dict__.pop("symbols", None)
