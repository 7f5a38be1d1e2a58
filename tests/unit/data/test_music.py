"""Music: rolls, MIDI and ABC; three spellings; keys and intervals; sound; and files that went wrong."""

from __future__ import annotations

import io
import json
import struct
import sys
import wave
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import savemat

from genwright.data.codec import ReadOptions, Rows
from genwright.data.dataset import make_codec
from genwright.data.music import files
from genwright.data.music.codec import MusicCodec
from genwright.data.music.field import MusicField, MusicForm
from genwright.data.music.files import of_midi, read_pieces, to_npz
from genwright.data.music.forms import REST, Roll, Tokens, Voices, as_words, bars
from genwright.data.music.midi import to_midi
from genwright.data.music.piece import Piece
from genwright.data.music.sound import RATE, pictured, played
from genwright.data.music.theory import estimated_key, out_of_key, parallels, top_down
from genwright.data.source import find
from genwright.errors import DataError, GenwrightError, RecipeError

SCALE = (60, 62, 64, 65, 67, 69, 71, 72)


def melody(by: int = 0, **known: Any) -> Piece:
    return Piece.of([[2 * i, 2, pitch + by, 0] for i, pitch in enumerate(SCALE)], **known)


def chorale(seed: int, length: int = 24) -> np.ndarray:
    rng = np.random.default_rng(seed)
    roll = np.zeros((length, 88), np.uint8)
    for voice in range(4):
        roll[np.arange(length), 15 + 9 * voice + rng.integers(0, 8, length)] = 1
    return roll


def chorales(folder: Path, n: int = 12) -> Path:
    folder.mkdir(exist_ok=True, parents=True)
    for i in range(n):
        np.savez(folder / f"{i:02d}.npz", roll=chorale(i, 20 + i))
    return folder


def read(
    path: Path, *names: str, options: ReadOptions | None = None, **settings: Any
) -> tuple[Rows, MusicField]:
    codec, source = make_codec("music", settings), find(path, "music")
    options = options or ReadOptions(given=names)
    every = codec.fields(source, options)
    main = next(iter(every))
    chunks = list(codec.read(source, {name: every[name] for name in (main, *names)}, options))
    assert len(chunks) == 1
    field = every[main]
    assert isinstance(field, MusicField)
    return chunks[0], field


def only(path: Path, **settings: Any) -> Piece:
    (found,) = read(path, **settings)[0].values["music"]
    assert isinstance(found, Piece)
    return found


# -- pieces ----------------------------------------------------------------------------------------

NOTES = st.lists(
    st.tuples(st.integers(0, 60), st.integers(1, 12), st.integers(24, 100), st.integers(0, 3)),
    min_size=1,
    max_size=30,
)


def unique(rows: list[tuple[int, int, int, int]]) -> list[list[int]]:
    """Without two notes of one voice and pitch that overlap, which MIDI cannot say."""
    kept: list[list[int]] = []
    for row in sorted(map(list, rows)):
        if all(row[2:] != other[2:] or row[0] >= other[0] + other[1] for other in kept):
            kept.append(row)
    return kept


@given(NOTES)
@settings(max_examples=40, deadline=None)
def test_what_is_written_as_midi_is_read_again(rows: list[tuple[int, int, int, int]]) -> None:
    made = Piece.of(unique(rows), metre=(3, 4), tempo=90.0, key="Eb major", drums=frozenset({2}))
    back = of_midi(to_midi(made), made.steps)
    assert isinstance(back, Piece)
    assert back.notes.tolist() == made.notes.tolist()
    assert (back.metre, back.key, round(back.tempo)) == ((3, 4), "Eb major", 90)
    assert back.drums <= {2}


@given(NOTES)
@settings(max_examples=40, deadline=None)
def test_three_spellings_say_the_same_notes(rows: list[tuple[int, int, int, int]]) -> None:
    piece = Piece.of(unique(rows), metre=(3, 4))
    tokens = Tokens(400, 4, 0, 127, 12, 16, ((3, 4), (4, 4)))
    assert tokens.decode(tokens.encode(piece), 4).notes.tolist() == piece.notes.tolist()
    roll = Roll(piece.length + 1)
    sounds = roll.decode(roll.encode(piece), 4)
    assert np.array_equal(sounds.roll(), piece.roll())
    voices = Voices(piece.length + 1, 30, 0, 127, own=False)
    assert voices.decode(voices.encode(piece), 4) == sounds
    alone = piece.part("melody")
    own = Voices(alone.length + 1, 4, 0, 127, own=True)
    assert own.decode(own.encode(alone), 4).notes.tolist() == alone.notes.tolist()


@given(st.integers(-11, 11), st.integers(0, 50))
@settings(max_examples=30, deadline=None)
def test_a_transposition_moves_every_note(by: int, seed: int) -> None:
    piece = Piece.of_roll(chorale(seed), 1)
    moved = Piece.of(piece.notes + np.array([0, 0, by, 0]), piece.length, steps=1)
    one = torch.tensor([by])
    for spelling in (
        Voices(30, 4, 0, 127, own=False),
        Roll(30),
        Tokens(900, 1, 0, 127, 8, 4, ((4, 4),)),
    ):
        x = torch.from_numpy(spelling.encode(piece))[None]
        assert (
            spelling.decode(spelling.moved(x, one)[0].numpy(), 1).roll().tolist()
            == moved.roll().tolist()
        )


def test_what_leaves_the_keyboard_is_folded_back() -> None:
    roll = Roll(3)
    x = torch.from_numpy(roll.encode(Piece.of([[0, 2, 107, 0], [0, 2, 22, 0]], steps=1)))[None]
    for by, wanted in ((5, {27, 100}), (-5, {29, 102})):
        made = roll.decode(roll.moved(x, torch.tensor([by]))[0].numpy(), 1)
        assert set(made.notes[:, 2].tolist()) == wanted


def test_parts_of_a_piece() -> None:
    rows = [[0, 4, 60, 0], [0, 4, 72, 1], [4, 4, 74, 1], [2, 2, 76, 0], [0, 8, 40, 2], [4, 1, 38, 3]]
    piece = Piece.of(rows, drums=frozenset({3}))
    assert piece.part("melody").notes[:, :3].tolist() == [[0, 2, 72], [2, 2, 76], [4, 4, 74]]
    assert piece.part("bass").notes[:, :3].tolist() == [[0, 8, 40]]
    assert piece.part("drums").notes[:, 2].tolist() == [38]
    named = Piece.of(rows, basses=frozenset({0}))
    assert named.part("bass").notes[:, 2].tolist() == [60, 76]


def test_a_long_piece_is_cut_at_its_bars() -> None:
    piece = Piece.of([[4 * i, 4, 60 + i % 9, 0] for i in range(64)])
    cuts = bars(piece, 16, 60)
    assert cuts[0][0] == 0
    assert cuts[-1][1] == piece.length
    for begin, end in cuts:
        assert begin % piece.bar == 0
        assert sum(1 for _ in as_words(piece.window(begin, end), 16)) < 60
    assert sum(len(piece.window(*cut)) for cut in cuts) == 64


# -- harmony ---------------------------------------------------------------------------------------


def test_keys_are_found_and_what_lies_outside_is_counted() -> None:
    assert estimated_key(melody()) == "C major"
    assert estimated_key(melody(3)) == "Eb major"
    minor = Piece.of([[i, 1, 69 + up, 0] for i, up in enumerate((0, 2, 3, 5, 7, 8, 11, 12, 0, 7, 3, 0))])
    assert estimated_key(minor) == "A minor"
    assert estimated_key(Piece.of([[0, 1, 36, 0]], drums=frozenset({0}))) == "C major"
    strange = Piece.of([*melody().notes.tolist(), [16, 4, 61, 0]])
    assert out_of_key(strange, "C major") == (4, 20)
    assert out_of_key(melody()) == (0, 16)


def test_parallel_fifths_and_octaves_are_counted() -> None:
    fifths = np.array([[67, 60], [69, 62], [69, 62], [67, 62]])
    assert parallels(fifths) == (1, 1)
    assert parallels(np.array([[72, 60], [74, 62]])) == (1, 1)
    assert parallels(np.array([[67, 60], [60, 65]])) == (0, 1)
    assert parallels(np.array([[67, 60], [-1, 62]])) == (0, 0)
    assert top_down(Piece.of([[0, 1, 60, 0], [0, 2, 64, 0]]), 3).tolist() == [[64, 60, -1], [64, -1, -1]]


# -- files -----------------------------------------------------------------------------------------


def test_the_cells_of_a_matlab_file_are_split_as_they_say(tmp_path: Path) -> None:
    cells = {}
    for name, n in (("traindata", 5), ("validdata", 2), ("testdata", 3)):
        cells[name] = np.empty((1, n), object)
        for i in range(n):
            cells[name][0, i] = chorale(i + 7 * n, 16 + i)
    savemat(tmp_path / "a.mat", cells)
    rows, field = read(tmp_path / "a.mat")
    assert rows.parts == ["train"] * 5 + ["val"] * 2 + ["test"] * 3
    assert rows.groups is None
    assert (field.form.form, field.form.voices, field.form.length) == ("voices", 4, 21)
    assert np.array_equal(rows.values["music"][0].roll()[:, 21:109], chorale(35, 16))


def test_rolls_need_no_symusic_and_notes_say_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "symusic", None)
    files._symusic.cache_clear()
    try:
        rows, _ = read(chorales(tmp_path / "rolls"))
        assert len(rows) == 12
        (tmp_path / "a.mid").write_bytes(to_midi(melody()))
        with pytest.raises(GenwrightError, match=r"pip install 'genwright\[music\]'") as caught:
            read(tmp_path / "a.mid")
        assert caught.value.code == "missing-extra"
    finally:
        files._symusic.cache_clear()


TUNES = """X:1
T: One
C: Anon
M: 3/4
L: 1/8
K: G
G2 A2 B2 | c2 d2 e2 |

X:1
T: Two
C: Trad
M: 6/8
L: 1/8
K: Dm
DEF GAB | d6 |
"""


def test_a_file_of_tunes_gives_each_with_its_key_metre_and_composer(tmp_path: Path) -> None:
    (tmp_path / "a.abc").write_text(TUNES)
    rows, field = read(tmp_path / "a.abc", "key", "metre", "composer")
    assert rows.values["key"] == ["G major", "D minor"]
    assert rows.values["metre"] == ["3/4", "6/8"]
    assert rows.values["composer"] == ["Anon", "Trad"]
    assert rows.values["music"][0].notes[:, 2].tolist() == [67, 69, 71, 72, 74, 76]
    assert field.form.form == "tokens"
    assert field.form.transpose == 0
    with pytest.raises(RecipeError, match="moved to another key") as caught:
        read(tmp_path / "a.abc", "key", transpose=3)
    assert caught.value.code == "contradicting-options"


def mid(track: bytes, *, ticks: int = 96, head: bytes = b"") -> bytes:
    body = track + b"\x00\xff\x2f\x00"
    begin = head or struct.pack(">4sIHHH", b"MThd", 6, 0, 1, ticks)
    return begin + struct.pack(">4sI", b"MTrk", len(body)) + body


NOTE = b"\x00\x90\x3c\x40\x60\x80\x3c\x00"
PICKLED = io.BytesIO()
np.savez(PICKLED, roll=np.array([{"a": 1}, None], object))
NAMELESS = io.BytesIO()
np.savez(NAMELESS, picture=np.zeros((5, 5)))
SILENT = io.BytesIO()
np.savez(SILENT, roll=np.zeros((9, 88), np.uint8))
BROKEN = {
    "empty.mid": (b"", "the file is empty"),
    "text.mid": (b"Dear all, how are you?", "does not begin with MThd"),
    "cut.mid": (mid(NOTE)[:-9], "damaged"),
    "absurd.mid": (mid(NOTE)[:18] + b"\xff\xff\xff\xff" + NOTE, "damaged"),
    "silent.mid": (mid(b""), "there is no note in it"),
    "still.mid": (mid(b"\x00\xff\x51\x03\x00\x00\x00" + NOTE), "its tempo is"),
    "timeless.mid": (mid(NOTE, ticks=0), "ticks"),
    "endless.mid": (mid(b"\x00\x90\x3c\x40\xff\xff\xff\x7f\x80\x3c\x00", ticks=1), "declares 1 notes"),
    "cut.npz": (SILENT.getvalue()[:60], "damaged"),
    "pickle.npz": (PICKLED.getvalue(), "Python objects"),
    "silent.npz": (SILENT.getvalue(), "silence"),
    "text.mat": (b"no MATLAB here, but a text that is long enough for a head" * 9, "damaged"),
    "none.abc": (b"just words\n", "there is no tune in it"),
    "zero.abc": (b"X:1\n\0\n", "zero bytes"),
    "bad.abc": (b"X:1\nT:a\n", "abc2midi makes nothing of it"),
    "a;$(rm -rf b).mid": (b"MThd", "damaged"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    content, reason = BROKEN[name]
    for i in range(3):
        if name.endswith((".npz", ".mat")):
            np.savez(tmp_path / f"{i}.npz", roll=chorale(i))
        else:
            (tmp_path / f"{i}.mid").write_bytes(to_midi(melody(i)))
    (tmp_path / name).write_bytes(content)
    codec = make_codec("music", {})
    source = find(tmp_path, "music")
    if (
        tmp_path / name not in source.files
    ):  # what holds no rolls is another kind of file, and is passed over
        assert name in " ".join(source.passed_over())
        with pytest.raises(ValueError, match=reason):
            list(read_pieces(tmp_path / name, 4, 1))
        return
    (rows,) = codec.read(source, {"music": codec.fields(source)["music"]})
    (rejected,) = rows.rejected
    assert rejected.name.startswith(name)
    assert reason in rejected.reason
    assert len(rows) == 3


def test_other_arrays_are_not_taken_for_music(tmp_path: Path) -> None:
    np.savez(tmp_path / "images.npz", images=np.zeros((9, 8, 8), np.uint8))
    assert find(tmp_path).codec == "image"
    assert MusicCodec.sniff([tmp_path / "images.npz"]) == 0


# -- windows, labels and what is written -----------------------------------------------------------


def test_windows_of_a_piece_stay_together_and_a_single_one_is_cut_by_position(tmp_path: Path) -> None:
    for i in range(2):
        np.savez(tmp_path / f"{i}.npz", roll=chorale(i, 64))
    rows, field = read(tmp_path, length=16)
    assert [len(piece.roll()) for piece in rows.values["music"]] == [16] * 8
    assert rows.groups is not None
    assert len(set(rows.groups)) == 2
    assert field.form.length == 16
    one, _ = read(tmp_path / "0.npz", length=8, options=ReadOptions(val=0.25, test=0.25))
    assert [(one.parts or []).count(part) for part in ("train", "val", "test")] == [4, 2, 2]


def test_a_melody_goes_with_its_piece_and_both_are_moved_together(tmp_path: Path) -> None:
    rows, field = read(chorales(tmp_path), "melody", "metre", transpose=4)
    assert rows.values["metre"] == ["4/4"] * 12
    tune, whole = rows.values["melody"][0], rows.values["music"][0]
    assert np.array_equal(top_down(whole, 1), top_down(tune, 1))
    codec, source = make_codec("music", {"transpose": 4}), find(tmp_path)
    line = codec.fields(source)["melody"]
    assert isinstance(line, MusicField)
    for one, values in ((field, rows.values["music"]), (line, rows.values["melody"])):
        one.fit(values)
        one.settle()
    assert (field.frame, line.frame) == ("music", "music")
    assert (line.form.part, line.form.voices) == ("melody", 1)
    drawn = [
        one.augment(one.tensor(values), torch.Generator().manual_seed(1)).numpy()
        for one, values in ((field, rows.values["music"]), (line, rows.values["melody"]))
    ]
    for a, b, before in zip(
        field.decode(drawn[0]), line.decode(drawn[1]), rows.values["music"], strict=True
    ):
        assert np.array_equal(top_down(a, 1), top_down(b, 1))
        assert len({*(top_down(a, 4) - top_down(before, 4)).ravel().tolist()}) == 1


def fitted(pieces: list[Piece], **form: Any) -> MusicField:
    field = MusicField(MusicForm(**form))
    field.fit(pieces)
    field.settle()
    return field


def test_a_part_knows_only_the_voices_that_sound_in_it() -> None:
    notes = [[at, 1, 36, 0] for at in range(8)] + [[at, 1, 40, 1] for at in range(8)]
    groove = Piece.of(notes, drums=frozenset({0}), basses=frozenset({1}))
    for name, drums, basses in (("bass", [], [1]), ("drums", [0], []), ("all", [0], [1])):
        known = fitted([groove.part(name)] * 4, form="tokens", part=name).state()["known"]
        assert (known["drums"], known["basses"]) == (drums, basses)


def test_what_is_silent_is_to_be_made() -> None:
    whole = Piece.of_roll(chorale(0), 1)
    field = fitted([whole], form="voices", length=30, voices=4, rolls=True)
    part = field.partial([whole.part("melody")])
    assert part.known[0, 0].all()
    assert not part.known[0, 1:, :24].any()
    assert part.known[0, :, 24:].all()
    empty = whole.notes[(whole.notes[:, 0] + whole.notes[:, 1] <= 8) | (whole.notes[:, 0] >= 12)]
    part = field.partial([Piece.of(empty, 24, steps=1)])
    assert part.known[0].all(0).tolist() == [not 8 <= at < 12 for at in range(30)]
    part = field.partial([whole])
    assert part.known[0].all(0).tolist() == [at < 24 for at in range(30)]
    full = fitted([whole], form="voices", length=24, voices=4, rolls=True)
    with pytest.raises(DataError, match="nothing is to be made") as caught:
        full.partial([whole])
    assert caught.value.code == "no-gaps-given"


def test_what_training_has_not_seen_is_refused_by_a_sentence() -> None:
    field = fitted([melody()], form="tokens", length=64)
    high = melody(40)
    assert field.known([melody(), high]) == [True, False]
    with pytest.raises(DataError, match=r"pitches from 100 to 112 .* from 60 to 72") as caught:
        field.tensor([high])
    assert caught.value.code == "unknown-note"
    with pytest.raises(DataError, match="no music"):
        field.parse("a.png")
    with pytest.raises(DataError, match="no music to learn from"):
        fitted([])
    assert field.prompt(melody())[:3] == [field.tensor([melody()])[0, 0, i].item() for i in range(3)]


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_whatever_the_grammar_allows_is_read_back(seed: int) -> None:
    field = fitted([melody(), melody(1, metre=(3, 4))], form="tokens", length=40)
    grammar, rng = field.grammar, np.random.default_rng(seed)
    assert grammar is not None
    state, ids = torch.zeros(1, dtype=torch.long), []
    for left in reversed(range(40)):
        ids.append(int(rng.choice(np.flatnonzero(grammar.allowed(state, left)[0].numpy()))))
        state = grammar.after(state, torch.tensor([ids[-1]]))
    (piece,) = field.decode(np.array(ids)[None, None])
    words = [field.symbols.words[i] for i in ids[: ids.index(0) if 0 in ids else 40]]
    assert len({*map(tuple, piece.notes.tolist())}) <= sum(word.startswith("pitch") for word in words)
    again = replace(field.symbols, length=400)
    assert again.decode(again.encode(piece), 4) == piece


def test_the_likelihood_is_counted_in_frames_and_names_its_protocol() -> None:
    pieces = [Piece.of_roll(chorale(i, 10 + i), 1) for i in range(3)]
    for form in ("voices", "roll"):
        field = fitted(pieces, form=form, length=20, voices=4, rolls=True)
        unit = field.per(field.tensor(pieces).numpy(), independent=form == "roll")
        assert unit.counts.tolist() == [10, 11, 12]
        assert unit.name == f"nats_per_frame_{'independent_keys' if form == 'roll' else 'ordered_notes'}"
    tokens = fitted([melody()], form="tokens", length=64)
    assert tokens.per(tokens.tensor([melody()]).numpy(), independent=False).counts.tolist() == [8]


def test_what_is_made_can_be_heard_and_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    piece = Piece.of([[0, 4, 69, 0], [4, 4, 69, 0], [0, 1, 36, 1]], drums=frozenset({1}), tempo=120.0)
    with wave.open(io.BytesIO(played(piece))) as sound:
        heard = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").astype(float)
        assert sound.getframerate() == RATE
    later = heard[RATE // 4 : RATE // 4 + 4096] * np.hanning(4096)
    assert abs(np.abs(np.fft.rfft(later)).argmax() * RATE / 4096 - 440) < RATE / 4096
    assert played(piece) == played(piece)
    with Image.open(io.BytesIO(pictured(piece))) as picture:
        assert len({*picture.convert("RGB").get_flattened_data()}) >= 4
    monkeypatch.setattr("genwright.data.music.sound.which", lambda name: None)
    with pytest.raises(GenwrightError, match="fluidsynth, which is not there") as caught:
        played(piece, fluidsynth=True)
    assert caught.value.code == "no-fluidsynth"


def test_a_folder_of_what_was_made_has_a_page_scores_rolls_and_sounds(tmp_path: Path) -> None:
    pieces = [Piece.of_roll(chorale(i), 1) for i in range(2)]
    field = fitted(pieces, form="voices", length=30, voices=4, rolls=True)
    codec = make_codec("music", {})
    written = codec.write(
        {"music": pieces, "key": ["C major", "D minor"]}, {"music": field}, tmp_path / "out"
    )
    names = sorted(file.name for file in written)
    assert names == sorted(
        [
            "music.html",
            "labels.csv",
            *(f"0000{i}{end}" for i in range(2) for end in (".mid", ".npz", ".wav")),
        ]
    )
    assert written[0].name == "music.html"
    assert 'src="00000.wav"' in written[0].read_text()
    rows, _ = read(tmp_path / "out", "key")
    assert rows.values["music"] == pieces
    assert rows.values["key"] == ["C major", "D minor"]
    shown = codec.preview({"music": pieces}, {"music": field})
    assert (shown.kind, len(shown.sounds)) == ("sounds", 2)
    to_npz(pieces[0], tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == (tmp_path / "out" / "00000.npz").read_bytes()


def test_its_state_is_json() -> None:
    field = fitted([melody(i) for i in range(5)], form="tokens", length=64, transpose=5)
    again = MusicField()
    again.restore(json.loads(json.dumps(field.state())))
    assert again.space == field.space
    assert again.decode(field.encode([melody()])) == [melody()]
    assert REST == 1


def test_a_bass_beside_drums_alone_is_a_field(tmp_path: Path) -> None:
    rows = [[at, 1, 36, 0] for at in range(0, 16, 4)] + [[at, 2, 33, 1] for at in range(0, 16, 4)]
    piece = Piece.of(rows, drums=frozenset({0}), basses=frozenset({1}))
    (tmp_path / "a.mid").write_bytes(to_midi(piece))
    fields = make_codec("music", {}).fields(find(tmp_path))
    assert {"bass", "drums"} <= fields.keys()
    assert "melody" not in fields
