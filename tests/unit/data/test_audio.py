"""Sounds: the codec from files to rows and back, the field from clips to tensors and back."""

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from scipy.io import wavfile

from commands import TINY, done, refused
from genwright.data.audio.clips import Clip
from genwright.data.audio.codec import AudioCodec
from genwright.data.audio.field import ClipField
from genwright.data.codec import ReadOptions, Rows, Source
from genwright.data.dataset import Dataset, prepare, wanted_fields
from genwright.data.preview import as_html
from genwright.data.source import find
from genwright.errors import DataError, RecipeError
from genwright.registry import build
from genwright.space import Real, Space


def noise(n: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-20000, 20000, n, dtype=np.int16)


def sounds(root: Path, count: int = 30, *, n: int = 64, rate: int = 4000, first: int = 0) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for i in range(first, first + count):
        wavfile.write(root / f"{i:03d}.wav", rate, noise(n, i))
    return root


AS_ONE = ReadOptions(val=0, test=0)


def read(where: Source, wanted: ReadOptions = AS_ONE, **options: object) -> list[Rows]:
    codec = build("codecs", "audio", options, where="codec")
    return list(codec.read(where, wanted_fields(codec, where, wanted), wanted))


def chunks(root: Path, reading: ReadOptions = AS_ONE, **options: object) -> list[Rows]:
    return read(find(root), reading, **options)


def beside(rows: Rows) -> dict[str, list]:
    """What stands beside the clips."""
    return {name: values for name, values in rows.values.items() if name != "audio"}


def clips(root: Path, **options: object) -> list[Clip]:
    return [clip for rows in chunks(root, **options) for clip in rows.values["audio"]]


def bad(root: Path, **options: object) -> dict[str, str]:
    return {one.name: one.reason for rows in chunks(root, **options) for one in rows.rejected}


def fitted(root: Path, **options: object) -> ClipField:
    source = find(root)
    codec = build("codecs", "audio", options, where="codec")
    field = codec.fields(source)["audio"]
    for rows in codec.read(source, {"audio": field}, AS_ONE):
        field.fit(rows.values["audio"])
    field.settle()
    return field


def prepared(source: Source, options: dict, wanted: ReadOptions) -> Dataset:
    return prepare(source, build("codecs", "audio", options, where="codec"), options, wanted)


def write(field: ClipField, found: list, given: dict, folder: Path) -> list[Path]:
    return AudioCodec().write({"audio": found, **given}, {"audio": field}, folder)


# -- cutting ---------------------------------------------------------------------------------------


def test_files_of_one_length_are_a_clip_each(tmp_path):
    sounds(tmp_path, 3, n=50)
    found = clips(tmp_path)
    assert [clip.samples.tolist() for clip in found] == [noise(50, i).tolist() for i in range(3)]
    assert {clip.rate for clip in found} == {4000}


@pytest.mark.parametrize(
    ("n", "options", "wanted"),
    [
        (40, {}, [0]),
        (16, {}, [0]),
        (64, {}, [0, 32]),
        (79, {}, [0, 32]),
        (80, {}, [0, 32, 64]),
        (64, {"stride": 0.002}, [0, 8, 16, 24, 32]),
        (70, {"stride": 0.01}, [0, 40]),
    ],
)
def test_a_longer_file_is_cut_into_clips(tmp_path, n, options, wanted):
    wavfile.write(tmp_path / "a.wav", 4000, noise(n))
    whole = np.concatenate([noise(n), np.zeros(64, np.int16)])
    found = clips(tmp_path, seconds=0.008, **options)
    assert [c.samples.tolist() for c in found] == [whole[at : at + 32].tolist() for at in wanted]
    assert [clip.heard for clip in found] == [min(32, n - at) for at in wanted]


def test_rate_and_length_are_chosen(tmp_path):
    sounds(tmp_path / "a", 3, n=100, rate=4000)
    assert fitted(tmp_path / "a").space == Space((100,), (Real(1, bounded=True),))
    sounds(tmp_path / "b", 2, n=100)
    sounds(tmp_path / "b", 1, n=40, first=7)
    assert fitted(tmp_path / "b").space.grid == (96,)
    sounds(tmp_path / "c", 1, n=44100, rate=44100)
    facts = fitted(tmp_path / "c").facts()
    assert (facts["rate"], facts["samples"]) == (16000, 16000)
    sounds(tmp_path / "d", 1, n=40000, rate=6000)
    assert fitted(tmp_path / "d").space.grid == (16384,)
    assert fitted(tmp_path / "d", rate=3000, seconds=0.5).space.grid == (1500,)
    with pytest.raises(
        RecipeError, match=r"has 6,000,000 samples at 6,000 a second, and at most 1,048,576"
    ):
        chunks(tmp_path / "d", seconds=1000.0)
    for nonsense in ({"rate": 3}, {"seconds": 0}, {"stride": -1}):
        with pytest.raises(RecipeError, match="codec"):
            chunks(tmp_path / "d", **nonsense)


def test_clips_of_a_file_stay_on_one_side(tmp_path):
    sounds(tmp_path, 40, n=160)
    source = find(tmp_path)
    dataset = prepared(source, {"seconds": 0.008}, ReadOptions(val=0.3, test=0.3))
    counts = dataset.stats.counts
    assert sum(counts.values()) == 200
    assert min(counts.values()) > 20
    for split in dataset.splits.values():
        x = split.gather(np.arange(len(split)))["audio"]
        found = {tuple(one) for one in x[:, 0].astype(int).tolist()}
        for i in range(40):
            own = {tuple(part) for part in noise(160, i).reshape(5, 32).tolist()}
            assert own <= found or not own & found


def test_a_single_file_is_split_by_position(tmp_path):
    sounds(tmp_path, 1, n=3200)
    dataset = prepared(find(tmp_path), {"seconds": 0.008}, ReadOptions(val=0.11, test=0.2))
    # 0.69 of 3,200 samples end within a clip, and 0.8 of them between two.
    assert dataset.stats.counts == {"train": 69, "val": 11, "test": 20}
    dataset = prepared(find(tmp_path), {"seconds": 0.008}, ReadOptions(val=0.105, test=0.2))
    assert dataset.stats.counts == {"train": 69, "val": 10, "test": 20}
    x = dataset.splits["test"].gather(np.arange(20))["audio"]
    np.testing.assert_array_equal(x.ravel(), noise(3200)[-640:])


# -- what is wrong with them -----------------------------------------------------------------------


def test_what_cannot_be_used_is_told(tmp_path):
    sounds(tmp_path, 2)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("words")
    wavfile.write(tmp_path / "silent.wav", 4000, np.zeros(64, np.int16))
    wavfile.write(tmp_path / "level.wav", 4000, np.full(64, 999, np.int16))
    wavfile.write(tmp_path / "nan.wav", 4000, np.array([0.1, np.nan] * 32, np.float32))
    wavfile.write(tmp_path / "huge.wav", 4000, np.array([1e4, -1e4] * 32, np.float32))
    long = np.concatenate([noise(64), np.zeros(64, np.int16), noise(64)])
    wavfile.write(tmp_path / "pause.wav", 4000, long)
    assert bad(tmp_path, seconds=0.016) == {
        "empty.wav": "the file is empty",
        "text.wav": "not a WAV file, whatever its name says",
        "silent.wav": "silence: nothing can be heard in it",
        "level.wav": "silence: nothing can be heard in it",
        "nan.wav": "it holds values that are not finite",
        "huge.wav": "its values go up to 10000: scale them to -1 to 1",
        "pause.wav at 0.02 s": "silence: nothing can be heard in it",
    }
    assert len(clips(tmp_path, seconds=0.016)) == 4


def test_only_bad_files_still_tell_why(tmp_path):
    (tmp_path / "a.wav").write_text("words")
    assert bad(tmp_path) == {"a.wav": "not a WAV file, whatever its name says"}
    with pytest.raises(DataError, match="no sound to learn from"):
        fitted(tmp_path)
    refused("look", str(tmp_path), words=["no usable example", "not a WAV file"])
    sounds(tmp_path, 1)
    (tmp_path / "a.wav").unlink()
    with pytest.raises(DataError, match="holds 1 usable example; training needs at least 2"):
        prepared(find(tmp_path), {}, ReadOptions())


def test_warnings_say_what_is_lost(tmp_path):
    sounds(tmp_path / "a", 4, n=8000, rate=32000)
    sounds(tmp_path / "a", 1, n=200, rate=4000, first=9)
    wavfile.write(tmp_path / "a/loud.wav", 32000, 1.5 * np.sin(np.arange(8000.0)).astype(np.float32))
    said = " ".join(fitted(tmp_path / "a").warnings())
    assert "5 of 6 clips have more than 16,000 samples a second" in said
    assert "1 of 6 clips have fewer than 16,000" in said
    assert "1 of 6 clips are shorter than 0.25 seconds" in said
    assert "1 of 6 clips are louder than 1" in said
    assert not fitted(sounds(tmp_path / "b", 4)).warnings()


# -- labels ----------------------------------------------------------------------------------------


def test_labels_come_from_folders_and_a_table(tmp_path):
    sounds(tmp_path / "x/cat", 2)
    sounds(tmp_path / "x/dog", 2, first=2)
    source = find(tmp_path / "x")
    codec = AudioCodec()
    assert codec.labels(source) == codec.default_labels(source) == ["label"]
    (chunk,) = read(source, ReadOptions(given=("label",), val=0, test=0))
    assert beside(chunk) == {"label": ["cat", "cat", "dog", "dog"]}
    sounds(tmp_path / "y", 2)
    (tmp_path / "y/labels.csv").write_text("file,who\n000.wav,a\n")
    source = find(tmp_path / "y")
    assert (source.codec, codec.default_labels(source)) == ("audio", [])
    chunk, *_ = read(source, ReadOptions(given=("who",)))
    assert beside(chunk) == {"who": ["a"]}
    assert [one.reason for one in chunk.rejected] == ["labels.csv has no row for it"]
    with pytest.raises(DataError, match="no label or field 'wh'; did you mean 'who'"):
        read(source, ReadOptions(given=("wh",)))


# -- to tensors and back ---------------------------------------------------------------------------


def test_the_way_there_and_back_is_exact(tmp_path):
    field = fitted(sounds(tmp_path, 3))
    found = clips(tmp_path)
    x = field.expand(field.encode(found)).numpy()
    assert (x.shape, x.dtype) == ((3, 1, 64), np.float32)
    assert -1 <= x.min() < x.max() < 1
    back = field.decode(x)
    assert [c.samples.tolist() for c in back] == [c.samples.tolist() for c in found]
    wild = field.decode(np.array([[[2.0, -2.0, np.nan, 0.5]]]))[0]
    assert wild.samples.tolist() == [32767, -32768, 0, 16384]
    again = ClipField()
    again.restore(field.state())
    assert (again.space, again.facts(), again.form) == (field.space, field.facts(), field.form)
    # What is read later is brought to the form that was learnt.
    sounds(tmp_path / "other", 1, n=300, rate=8000)
    (chunk,) = AudioCodec().read(find(tmp_path / "other"), {"audio": again}, AS_ONE)
    assert [(clip.rate, len(clip.samples)) for clip in chunk.values["audio"]] == [(4000, 64), (4000, 64)]


def test_what_is_written_is_a_labelled_source(tmp_path):
    field = fitted(sounds(tmp_path / "in", 3))
    found = clips(tmp_path / "in")
    given = {"label": ["a<b", "c", "c"]}
    page, *files = write(field, found, given, tmp_path / "out")
    assert [file.name for file in files] == ["00000.wav", "00001.wav", "00002.wav", "labels.csv"]
    assert page.read_text().count('<audio controls preload="none"') == 3
    assert 'src="00002.wav"' in page.read_text()
    source = find(tmp_path / "out")
    (chunk,) = read(source, ReadOptions(given=("label",), val=0, test=0))
    assert beside(chunk) == given
    assert [c.samples.tolist() for c in chunk.values["audio"]] == [c.samples.tolist() for c in found]
    assert write(field, [], {}, tmp_path / "none") == []


def test_a_preview_can_be_heard(tmp_path):
    sounds(tmp_path, 30)
    shown = AudioCodec().preview({"audio": clips(tmp_path)}, {})
    assert len(shown.sounds) == 24
    rate, first = wavfile.read(io.BytesIO(shown.sounds[0].wav))
    assert (rate, first.tolist()) == (4000, noise(64, 0).tolist())
    page = as_html(shown, 'say "x"')
    assert page.count("<audio") == 24
    assert "data:audio/wav;base64," in page
    assert "&#34;x&#34;, 24" in page


# -- the whole way ---------------------------------------------------------------------------------


def test_from_files_to_files_by_the_command_line(tmp_path):
    for label, tone in (("low", 200), ("high", 900)):
        (tmp_path / "tones" / label).mkdir(parents=True)
        for i in range(30):
            wave = np.sin(2 * np.pi * (tone + i) * np.arange(64) / 4000 + i)
            wavfile.write(tmp_path / f"tones/{label}/{i}.wav", 4000, (wave * 9000).astype(np.int16))
    done("train", "tones", "--family", "vae", "--out", "run", *TINY)
    assert "<audio controls" in Path("run/index.html").read_text()
    done("sample", "run", "-n", "12", "--out", "made")
    with Path("made/labels.csv").open() as file:
        assert {row["label"] for row in csv.DictReader(file)} == {"low", "high"}
    rate, wave = wavfile.read("made/00000.wav")
    assert (rate, wave.shape, wave.dtype) == (4000, (64,), np.int16)
    asked = ("--features", "pca", "--metric", "kid", "--metric", "exact_copies", "--out", "judged")
    done("judge", "--fake", "made", "--real", "tones", *asked)
    assert "<audio controls" in Path("judged/report.html").read_text()
