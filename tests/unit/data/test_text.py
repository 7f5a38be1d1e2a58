"""The text codec: what it reads, how it splits, what it refuses, and that nothing is lost."""

import gzip
import json
import random
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.data.codec import Chunk, ReadOptions, Source
from genwright.data.dataset import make_codec
from genwright.data.text import files
from genwright.data.text.codec import SEPARATOR, TextCodec
from genwright.errors import DataError, GenwrightError, RecipeError
from genwright.space import Space, Symbol

WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat;",
    "and,\nthen",
    "it's",
    "Grün",
    "你好",
    "👩‍👧",
    "end.\n\n",
    "x\r\n",
]


def prose(n: int, seed: int = 0) -> str:
    """n characters of words, some of them not ASCII."""
    words = random.Random(seed).choices(WORDS, k=n)
    return " ".join(words)[:n]


def source(path: Path) -> Source:
    files = tuple(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else (path,)
    return Source(path, files, "text", path.name)


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def read(codec: TextCodec, path: Path, **how) -> list[Chunk]:
    return list(codec.read(source(path), ReadOptions(**how)))


def texts(chunks: list[Chunk]) -> list[str]:
    return [text for chunk in chunks for text in chunk.examples]


def train(chunks: list[Chunk]) -> list[Chunk]:
    return [chunk for chunk in chunks if chunk.parts == ["train"]]


def documents(*examples: str, **given) -> Chunk:
    return Chunk(list(examples), [str(i) for i in range(len(examples))], given=given)


# -- a single file: a stream, split by position ------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.txt.gz"])
@pytest.mark.parametrize(("val", "test"), [(0.1, 0.0), (0.1, 0.1), (0.15, 0.05), (0.0, 0.0)])
def test_a_file_is_split_where_nanogpt_splits(tmp_path, monkeypatch, name, val, test):
    monkeypatch.setattr(files, "BLOCK", 1000)
    text = prose(10_000)
    chunks = read(TextCodec(), put(tmp_path / name, text), val=val, test=test)
    parts = {"train": "", "val": "", "test": ""}
    for chunk in chunks:
        assert len(chunk) == len(chunk.examples) == len(chunk.parts) == 1
        parts[chunk.parts[0]] += chunk.examples[0]
    n = len(text)
    first, second = n * round(100 - 100 * (val + test)) // 100, n * round(100 - 100 * test) // 100
    assert parts == {"train": text[:first], "val": text[first:second], "test": text[second:]}
    assert len(chunks) >= 10


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_pieces_have_the_ids_of_the_whole(tmp_path, monkeypatch, unit):
    path = put(tmp_path / "a.txt", prose(20_000))
    whole = read(TextCodec(), path, val=0, test=0)
    monkeypatch.setattr(files, "BLOCK", 500)
    pieces = read(TextCodec(), path, val=0, test=0)
    assert len(whole) == 1
    assert len(pieces) > 30
    codec = TextCodec(unit=unit, vocab=300)
    codec.fit(pieces)
    assert codec.layout == "stream"
    ids = codec.encode(texts(whole))
    assert ids.ndim == 1
    assert np.array_equal(np.concatenate([codec.encode(chunk.examples) for chunk in pieces]), ids)
    assert np.array_equal(codec.encode(texts(pieces)), ids)
    assert codec.decode(ids[None, None], {}) == texts(whole)
    assert 0 not in ids, "a single document has no end inside"


def test_a_repeated_passage_is_no_duplicate_document(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 10)
    chunks = read(TextCodec(), put(tmp_path / "a.txt", "the same \n" * 50), val=0, test=0)
    keys = [key for chunk in chunks for key in chunk.keys]
    assert len(set(texts(chunks))) < len(keys) == len(set(keys))


def test_the_window_of_a_stream_is_one_longer_than_the_context(tmp_path):
    codec = TextCodec(length=64)
    codec.fit(read(codec, put(tmp_path / "a.txt", prose(5000)), val=0, test=0))
    assert codec.space == Space((65,), (Symbol(codec.alphabet.size, pad=None),))
    assert codec.expand(codec.encode(["the"])).dtype == np.int64


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 1 << 17)

    def peak(size: int) -> int:
        path = put(tmp_path / f"{size}.txt", prose(100_000) * (size // 100_000))

        class Walk:
            def __iter__(self):
                return codec.read(source(path), ReadOptions(val=0, test=0))

        codec = TextCodec(unit="char")
        tracemalloc.start()
        codec.fit(Walk())
        assert sum(len(codec.encode(chunk.examples)) for chunk in Walk()) == size
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    small = peak(800_000)
    assert peak(8_000_000) < small + 500_000


# -- many documents ----------------------------------------------------------------------------


def test_documents_are_ended_filled_up_and_cut():
    codec = TextCodec(length=6)
    codec.fit([documents(*["abcabc"] * 19, "abcabcabc")])
    assert codec.layout == "examples"
    assert codec.space == Space((6,), (Symbol(1 + 16 + 3, pad=0),))
    ids = codec.encode(["ab", "abcabc", "abcabcabc", "abé"])
    a, b, c = 17, 18, 19
    assert ids.shape == (4, 1, 6)
    assert ids[0, 0].tolist() == [a, b, 0, 0, 0, 0]
    assert ids[1, 0].tolist() == ids[2, 0].tolist() == [a, b, c, a, b, c]
    assert codec.decode(ids, {}) == ["ab", "abcabc", "abcabc", "abé"]
    assert any("1 of 20 documents are longer than 6 ids" in warning for warning in codec.warnings())


def test_documents_that_are_all_short_make_the_space_short():
    codec = TextCodec(length=100)
    codec.fit([documents(*["anna", "bo"] * 4)])
    assert codec.space.grid == (5,)
    assert codec.encode(["anna"])[0, 0, 4] == 0, "there is room for the end of the longest"
    assert not any("cut" in warning for warning in codec.warnings())


@pytest.mark.parametrize(
    ("chunk", "option", "layout"),
    [
        (documents(*["short"] * 8), "auto", "examples"),
        (documents(*["short"] * 7), "auto", "stream"),
        (documents(*["short"] * 19, "long" * 9), "auto", "examples"),
        (documents(*["short"] * 18, "long" * 9), "auto", "stream"),
        (documents(*["long" * 9] * 3, label=["a", "b", "a"]), "auto", "examples"),
        (documents(*["short"] * 8), "stream", "stream"),
        (documents("one", "two"), "documents", "examples"),
    ],
)
def test_layout(chunk, option, layout):
    codec = TextCodec(length=8, layout=option)
    codec.fit([chunk])
    assert codec.layout == layout


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2, max_size=7))
def test_documents_of_a_stream_come_back(examples):
    examples = [text.replace("␞", "") for text in examples]
    codec = TextCodec(length=1, unit="char", layout="stream")
    codec.fit([documents("abc", "def")])
    ids = codec.encode(examples)
    assert np.count_nonzero(ids == 0) == len(examples)
    (text,) = codec.decode(ids[None, None], {})
    assert text.split(SEPARATOR) == [*examples, ""]
    apart = [codec.encode([example]) for example in examples]
    assert np.array_equal(np.concatenate(apart), ids)


# -- units, facts, state -----------------------------------------------------------------------

CHINESE = "".join(map(chr, range(0x4E00, 0x4E00 + 513))) * 2


def test_auto_takes_characters_for_a_small_alphabet_and_bpe_for_a_large_one(monkeypatch):
    small, large = TextCodec(length=1), TextCodec(length=1)
    small.fit([documents(CHINESE[:512], CHINESE[:512])])
    large.fit([documents(CHINESE, CHINESE)])
    assert (small.facts()["unit"], large.facts()["unit"]) == ("char", "bpe")

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    large.fit([documents(CHINESE, CHINESE)])
    assert large.facts()["unit"] == "char"
    assert any("pip install 'genwright[text]'" in warning for warning in large.warnings())
    with pytest.raises(GenwrightError, match="needs the library 'tokenizers'"):
        TextCodec(unit="bpe", length=4).fit([documents(CHINESE)])


@pytest.mark.parametrize("unit", ["char", "bpe"])
@pytest.mark.parametrize("layout", ["stream", "documents"])
def test_state_through_json(unit, layout):
    codec = TextCodec(length=20, unit=unit, vocab=300, layout=layout)
    codec.fit([documents(*[prose(50, seed) for seed in range(9)])])
    again = TextCodec()
    again.restore(json.loads(json.dumps(codec.state())))
    assert again.layout == codec.layout
    assert again.space == codec.space
    assert again.facts() == codec.facts()
    assert again.warnings() == codec.warnings()
    ids = codec.encode([prose(30, 99), "ж"])
    assert np.array_equal(again.encode([prose(30, 99), "ж"]), ids)
    x = ids if ids.ndim == 3 else ids[None, None]
    assert again.decode(x, {}) == codec.decode(x, {})
    assert again.state() == codec.state()


def test_a_single_file_stays_one_after_restore(tmp_path):
    codec = TextCodec(length=8)
    codec.fit(read(codec, put(tmp_path / "a.txt", prose(500)), val=0, test=0))
    again = TextCodec()
    again.restore(codec.state())
    assert len(again.encode(["the", "cat"])) == 6


def test_the_alphabet_is_of_the_training_split_alone(tmp_path):
    codec = TextCodec(length=8)
    chunks = read(codec, put(tmp_path / "a.txt", "ab" * 50 + "好" * 20))
    codec.fit(train(chunks))
    assert codec.alphabet.size == 1 + 16 + 2
    assert codec.decode(codec.encode(["a好"])[None, None], {}) == ["a好"]


def test_facts_count_tokens_characters_and_bytes():
    codec = TextCodec(length=4, layout="stream")
    codec.fit([documents("aé好👍" * 10, "abc")])
    facts = codec.facts()
    assert (facts["tokens"], facts["characters"], facts["bytes"]) == (43, 43, 10 * (1 + 2 + 3 + 4) + 3)
    assert facts["tokens_per_byte"] == 43 / 103
    assert (facts["documents"], facts["vocabulary"]) == (2, 17 + 6)
    json.dumps(facts)


def test_warnings_of_a_healthy_text_are_none(tmp_path):
    codec = TextCodec()
    codec.fit(read(codec, put(tmp_path / "a.txt", prose(60_000)), val=0, test=0))
    assert codec.warnings() == []
    codec.fit([documents(prose(400), "qz#%" + prose(300), "ö")])
    found = " ".join(codec.warnings())
    assert "too rarely to learn: '#' '%'" in found
    assert "ids to learn from" in found


def test_a_prompt_is_ids_without_an_end():
    codec = TextCodec(length=8)
    codec.fit([documents(*["abc"] * 8)])
    prompt = codec.prompt("cab")
    assert prompt.dtype == np.int64
    assert prompt.tolist() == [19, 17, 18]
    assert codec.prompt("").shape == (0,)


def test_decode_goes_on_beyond_the_window():
    codec = TextCodec(length=8, layout="stream")
    codec.fit([documents(*["abcdefgh"] * 8)])
    assert codec.decode(codec.prompt("abc" * 50)[None, None], {}) == ["abc" * 50]
    codec = TextCodec(length=4, layout="documents")
    codec.fit([documents("abc", "abc")])
    ids = np.concatenate([codec.prompt("ab" * 9), [0], codec.prompt("c")])
    assert codec.decode(ids[None, None], {}) == ["ab" * 9]


# -- out ---------------------------------------------------------------------------------------


def test_what_is_written_reads_back(tmp_path):
    examples = ["one\r\ntwo\n", "你好 👩‍👧\u2028", '"quoted" \\ \x01\x00', "a\nb " * 400]
    given = {"label": ["x", "y", "x", "好"], "year": list(np.arange(4))}
    codec = TextCodec()
    shown, lines = codec.write(examples, given, tmp_path / "new" / "folder")
    assert (shown.name, lines.name) == ("samples.txt", "samples.jsonl")
    for i, text in enumerate(examples, 1):
        label = f"──── {i} label={given['label'][i - 1]} year={i - 1} ─"
        assert label in shown.read_text("utf-8")
        assert text.encode() in shown.read_bytes()
    assert "你好" in lines.read_text("utf-8")
    (chunk,) = read(codec, lines, given=("label", "year"))
    assert chunk.examples == examples
    assert chunk.given == {"label": given["label"], "year": [0, 1, 2, 3]}


def test_writing_uses_the_field_that_reading_does(tmp_path):
    codec = TextCodec(field="body")
    _, lines = codec.write(["hello", "there"], {"text": ["a", "b"]}, tmp_path)
    assert texts(read(codec, lines)) == ["hello", "there"]


def test_preview_shows_the_beginning_of_a_few():
    preview = TextCodec().preview(["a" * 10_000, "second", *["more"] * 9])
    assert preview.kind == "text"
    assert preview.text.startswith("a" * 600 + " ...\n──")
    assert "second" in preview.text
    assert len(preview.text) < 1200


# -- what is wrong with the data ---------------------------------------------------------------


def test_a_text_shorter_than_a_window(tmp_path):
    codec = TextCodec(length=64)
    chunks = read(codec, put(tmp_path / "a.txt", prose(64)), val=0, test=0)
    with pytest.raises(
        DataError, match=r"64 ids long and one window takes 65; .*codec\.length below 64"
    ):
        codec.fit(chunks)
    TextCodec(length=63).fit(chunks)


def test_no_text_to_train_on():
    with pytest.raises(DataError, match="the training split has no text"):
        TextCodec().fit([])


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"length": 0}, r"codec\.length cannot be 0: .* 1 or more"),
        ({"vocab": 256}, r"codec\.vocab cannot be 256: .* 257 or more"),
        ({"encoding": "utf-9"}, r"codec\.encoding cannot be 'utf-9'"),
        ({"encoding": "base64"}, r"codec\.encoding cannot be 'base64'"),
    ],
)
def test_impossible_options(options, sentence):
    with pytest.raises(RecipeError, match=sentence):
        make_codec("text", options)


def test_contradictions(tmp_path):
    path = put(tmp_path / "x" / "a.txt", "text")
    with pytest.raises(RecipeError, match=r"is one document; codec\.layout=documents wants a folder"):
        read(TextCodec(layout="documents"), path)
    with pytest.raises(
        RecipeError, match="a window of a stream has no label of its own, so label cannot"
    ):
        read(TextCodec(layout="stream"), tmp_path, given=("label",))
