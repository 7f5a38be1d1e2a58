"""Real tunes by the command line: looked at, learnt, made, gone on with, and a melody that is given a bass."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from genwright.data.music.codec import MusicCodec
from genwright.data.music.files import of_midi, read_pieces
from genwright.data.music.midi import to_midi
from genwright.data.music.piece import Piece

pytestmark = pytest.mark.journey

TUNES = """X:1
T: Frere Jacques
M: 4/4
L: 1/4
K: C
C D E C | C D E C | E F G2 | E F G2 | G/A/G/F/ E C | G/A/G/F/ E C | C G, C2 | C G, C2 |

X:2
T: Ode to Joy
M: 4/4
L: 1/4
K: C
E E F G | G F E D | C C D E | E>D D2 | E E F G | G F E D | C C D E | D>C C2 |

X:3
T: Ah vous dirai-je, maman
M: 4/4
L: 1/4
K: C
C C G G | A A G2 | F F E E | D D C2 | G G F F | E E D2 | G G F F | E E D2 |

X:4
T: Au clair de la lune
M: 4/4
L: 1/4
K: C
C C C D | E2 D2 | C E D D | C4 | C C C D | E2 D2 | C E D D | C4 |

X:5
T: Greensleeves
M: 6/8
L: 1/8
K: Am
A2 | c2 d e>f e | d2 B G>A B | c2 A A>^G A | B2 ^G E2 A |
"""


def run(folder: Path, *words: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "genwright", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_tunes_are_learnt_and_gone_on_with(tmp_path: Path) -> None:
    tunes = tmp_path / "tunes"
    tunes.mkdir()
    (tmp_path / "some.abc").write_text(TUNES)
    for found in read_pieces(tmp_path / "some.abc", 4, 1):
        assert isinstance(found.piece, Piece)
        for by in range(-3, 4):
            rows = found.piece.notes.copy()
            rows[:, 2] += by
            bass = rows[rows[:, 0] % 8 == 0].copy()
            bass[:, 1], bass[:, 2], bass[:, 3] = 8, bass[:, 2] - 24, 1
            piece = Piece.of(
                [*rows.tolist(), *bass.tolist()], metre=found.piece.metre, basses=frozenset({1})
            )
            (tunes / f"{found.name.replace(' ', '-')}{by:+d}.mid").write_bytes(to_midi(piece))
    assert MusicCodec.sniff(sorted(tunes.iterdir())) > 0.5

    seen = run(tmp_path, "look", "tunes")
    assert "35 pieces" in seen
    assert "key, metre, melody, bass" in seen

    small = ("--size", "xs", "--steps", "20", "--set", "train.batch_size=8")
    run(tmp_path, "train", "tunes", *small, "--out", "tokens")
    run(tmp_path, "sample", "tokens", "-n", "3", "--out", "made")
    made = sorted(path.name for path in (tmp_path / "made").iterdir())
    assert {"music.html", *(f"0000{i}.{end}" for i in range(3) for end in ("mid", "wav"))} <= {*made}
    pieces = [of_midi((tmp_path / f"made/0000{i}.mid").read_bytes(), 4) for i in range(3)]
    assert any(isinstance(piece, Piece) for piece in pieces)

    run(tmp_path, "train", "tunes", "--make", "bass", "--given", "melody", *small, "--out", "basses")
    (tmp_path / "tune.mid").write_bytes(to_midi(next(read_pieces(tmp_path / "some.abc", 4, 1)).piece))
    run(tmp_path, "sample", "basses", "-n", "2", "--given", "melody=tune.mid", "--out", "lower")
    low = of_midi(next(iter(sorted((tmp_path / "lower").glob("*.mid")))).read_bytes(), 4)
    assert isinstance(low, Piece)
    assert low.notes[:, 2].max() < 60


def test_a_bass_is_made_to_drums_and_judged(tmp_path: Path) -> None:
    grooves = tmp_path / "grooves"
    grooves.mkdir()
    for i in range(40):
        kicks = [4 * at + (i >> at % 4 & 1) for at in range(16)]
        notes = [[at, 1, 36, 0] for at in kicks] + [[at, 1, 33 + i % 12, 1] for at in kicks]
        piece = Piece.of(notes, drums=frozenset({0}), basses=frozenset({1}))
        (grooves / f"{i:02d}.mid").write_bytes(to_midi(piece))
    assert "key, metre, bass, drums" in run(tmp_path, "look", "grooves")
    small = ("--size", "xs", "--steps", "20", "--set", "train.batch_size=8", "--set", "data.test=0.5")
    run(tmp_path, "train", "grooves", "--make", "bass", "--given", "drums", *small, "--out", "basses")
    run(tmp_path, "apply", "basses", "grooves/07.mid", "--out", "lower")
    made = of_midi((tmp_path / "lower/07.mid").read_bytes(), 4)
    assert isinstance(made, Piece)
    assert not made.drums
    assert "retrieval_rank" in run(tmp_path, "judge", "basses")  # drums themselves are no bass
