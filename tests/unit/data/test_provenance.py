"""Generated files say that they are synthetic, to readers of other make too, and hold what they held."""

from __future__ import annotations

import json
import tracemalloc
import wave
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from commands import done
from genwright.data.audio.files import opened, to_wav
from genwright.data.provenance import Provenance, mark_files
from genwright.data.source import find
from genwright.errors import DataError, RunError

MADE = Provenance("Gesichter-größer", 500, 7)


def test_pillow_reads_the_mark_of_a_picture_and_the_same_pixels(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    mark_files([tmp_path / "a.png"], MADE, tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as picture:
        picture.load()  # which checks the sums of all chunks
        assert json.loads(picture.text["Comment"]) == MADE.entry()
        assert (np.asarray(picture) == pixels).all()


@pytest.mark.parametrize("run", ["a", "ab"])
def test_a_reader_of_sounds_reads_the_mark_and_the_same_samples(tmp_path: Path, run: str) -> None:
    file, made = tmp_path / "a.wav", Provenance(run, 1, 0)  # of an even and an odd length
    samples = np.arange(-50, 51, dtype=np.int16)
    file.write_bytes(to_wav(samples, 8000))
    mark_files([file], made, tmp_path)
    soundfile = pytest.importorskip("soundfile")
    with soundfile.SoundFile(file) as sound:
        assert json.loads(sound.comment) == made.entry()
        assert (sound.read(dtype="int16") == samples).all()
    with wave.open(str(file)) as plain:
        assert plain.readframes(1000) == samples.astype("<i2").tobytes()
    with opened(file) as own:
        assert own.frames == len(samples)


def test_what_has_no_room_for_a_mark_has_one_beside_it(tmp_path: Path) -> None:
    for name in ("a.csv", "b.txt"):
        (tmp_path / name).write_text("x\n1\n")
    other = Provenance("other", 1, 1)
    mark_files([tmp_path / "a.csv"], MADE, tmp_path)
    mark_files([tmp_path / "b.txt"], other, tmp_path)
    assert json.loads((tmp_path / "synthetic.json").read_text()) == {
        "a.csv": MADE.entry(),
        "b.txt": other.entry(),
    }
    assert (tmp_path / "a.csv").read_text() == "x\n1\n"


@pytest.mark.parametrize("text", ["no JSON", "[1]"])
def test_a_file_of_that_name_is_not_overwritten(tmp_path: Path, text: str) -> None:
    (tmp_path / "synthetic.json").write_text(text)
    with pytest.raises(RunError) as refused:
        mark_files([tmp_path / "a.csv"], MADE, tmp_path)
    assert refused.value.code == "file-exists"
    assert (tmp_path / "synthetic.json").read_text() == text


def test_every_verb_marks_what_it_makes_unless_it_is_told_not_to(room: Path) -> None:
    done("sample", "row", "-n", "3", "--seed", "7", "--out", "a")
    said = json.loads(Path("a/synthetic.json").read_text())
    assert said == {"samples.csv": Provenance("row", 3, 7).entry()}
    done("sample", "image", "-n", "2", "--seed", "5", "--out", "b")
    for name in ("00000.png", "sheet.png"):
        with Image.open(Path("b") / name) as picture:
            assert json.loads(picture.info["Comment"]) == Provenance("image", 3, 5).entry()
    # What a training draws on its way is marked by the step.
    drawn = json.loads(Path("row/samples/000003/synthetic.json").read_text())
    assert drawn == {"samples.csv": Provenance("row", 3, 0).entry()}
    done("edit", "row", "--between", "0", "1", "--out", "c", "--no-mark")
    done("sample", "row", "-n", "3", "--seed", "7", "--out", "d", "--no-mark")
    done("sample", "image", "-n", "2", "--seed", "5", "--out", "e", "--no-mark")
    assert not [*Path("c").glob("*.json"), *Path("d").glob("*.json")]
    with Image.open("e/00000.png") as picture:
        assert picture.info == {}
    assert Path("a/samples.csv").read_bytes() == Path("d/samples.csv").read_bytes()


def test_the_same_seed_gives_the_same_bytes_with_marks(room: Path) -> None:
    for run in ("row", "image"):
        for out in ("one", "two"):
            done("sample", run, "-n", "3", "--seed", "7", "--out", f"{run}-{out}")
        files = sorted(Path(f"{run}-one").iterdir())
        assert files
        for file in files:
            assert file.read_bytes() == (Path(f"{run}-two") / file.name).read_bytes()


def test_a_marked_folder_is_the_source_that_it_was(room: Path) -> None:
    done("sample", "row", "-n", "3", "--out", "made")
    assert (Path("made") / "synthetic.json").is_file()
    for codec in ("auto", "table"):
        assert [file.name for file in find("made", codec).files] == ["samples.csv"]


def test_what_says_that_others_are_synthetic_is_no_data(tmp_path: Path) -> None:
    (tmp_path / "synthetic.json").write_text("{}")
    with pytest.raises(DataError) as refused:
        find(tmp_path)
    assert refused.value.code == "empty-folder"


def test_a_large_picture_is_not_held_whole(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2500, 3000), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png", compress_level=0)
    size = (tmp_path / "a.png").stat().st_size
    tracemalloc.start()
    mark_files([tmp_path / "a.png"], MADE, tmp_path)
    held = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < size / 2
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]
    with Image.open(tmp_path / "a.png") as picture:
        assert (np.asarray(picture) == pixels).all()
