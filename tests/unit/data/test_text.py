"""The text codec and its field: what is read, how it is split, what is refused, and that nothing is lost."""

import gzip
import json
import random
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.data.codec import ReadOptions, Rows, Source
from genwright.data.dataset import make_codec, wanted_fields
from genwright.data.text import field, files
from genwright.data.text.codec import SEPARATOR, TextCodec
from genwright.data.text.field import TextField
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


def read(codec: TextCodec, path: Path, **how) -> list[Rows]:
    files, options = source(path), ReadOptions(**how)
    return list(codec.read(files, wanted_fields(codec, files, options), options))


def texts(chunks: list[Rows]) -> list[str]:
    return [text for chunk in chunks for text in chunk.values["text"]]


def train(chunks: list[Rows]) -> list[Rows]:
    return [chunk for chunk in chunks if chunk.parts == ["train"]]


def fit(text: TextField, chunks: list[Rows]) -> TextField:
    for chunk in chunks:
        text.fit(chunk.values["text"])
    text.settle()
    return text


def learnt(codec: TextCodec, path: Path, part: str | None = None) -> TextField:
    """The field that a codec makes of a file, fitted on all of it or on the training split."""
    how = {} if part else {"val": 0, "test": 0}
    chunks = read(codec, path, **how)
    return fit(codec.fields(source(path))["text"], train(chunks) if part else chunks)


def fitted(*documents: str, **options) -> TextField:
    text = TextField(**options)
    text.fit(list(documents))
    text.settle()
    return text


# -- a single file: a stream, split by position ------------------------------------------------


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.txt.gz"])
@pytest.mark.parametrize(("val", "test"), [(0.1, 0.0), (0.1, 0.1), (0.15, 0.05), (0.0, 0.0)])
def test_a_file_is_split_where_nanogpt_splits(tmp_path, monkeypatch, name, val, test):
    monkeypatch.setattr(files, "BLOCK", 1000)
    text = prose(10_000)
    chunks = read(TextCodec(), put(tmp_path / name, text), val=val, test=test)
    parts = {"train": "", "val": "", "test": ""}
    for chunk in chunks:
        assert len(chunk) == len(chunk.values["text"]) == len(chunk.parts) == 1
        parts[chunk.parts[0]] += chunk.values["text"][0]
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
    text = fit(TextCodec(unit=unit, vocab=300).fields(source(path))["text"], pieces)
    assert text.stream
    ids = text.encode(texts(whole))
    assert ids.ndim == 1
    assert np.array_equal(np.concatenate([text.encode(chunk.values["text"]) for chunk in pieces]), ids)
    assert np.array_equal(text.encode(texts(pieces)), ids)
    assert text.decode(ids[None, None]) == texts(whole)
    assert 0 not in ids, "a single document has no end inside"


def test_a_repeated_passage_is_no_duplicate_document(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "BLOCK", 10)
    chunks = read(TextCodec(), put(tmp_path / "a.txt", "the same \n" * 50), val=0, test=0)
    keys = [key for chunk in chunks for key in chunk.keys]
    assert len(set(texts(chunks))) < len(keys) == len(set(keys))


def test_the_window_of_a_stream_is_one_longer_than_the_context(tmp_path):
    text = learnt(TextCodec(length=64), put(tmp_path / "a.txt", prose(5000)))
    assert text.space == Space((65,), (Symbol(text.tokenizer.size, pad=None),))
    assert text.tensor(["the"]).dtype == torch.int64


def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch):
    """Beyond the texts that are kept to learn from, which are some at most."""
    monkeypatch.setattr(files, "BLOCK", 1 << 17)
    monkeypatch.setattr(field, "LEARN", 1 << 17)

    def peak(size: int) -> int:
        found = source(put(tmp_path / f"{size}.txt", prose(100_000) * (size // 100_000)))
        codec = TextCodec(unit="char")
        fields = codec.fields(found)

        def walk() -> Iterator[list[str]]:
            for chunk in codec.read(found, fields, ReadOptions(val=0, test=0)):
                yield chunk.values["text"]

        tracemalloc.start()
        for some in walk():
            fields["text"].fit(some)
        fields["text"].settle()
        assert sum(len(fields["text"].encode(some)) for some in walk()) == size
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return top

    small = peak(800_000)
    assert peak(8_000_000) < small + 500_000


# -- many documents ----------------------------------------------------------------------------


def test_documents_are_ended_filled_up_and_cut():
    text = fitted(*["abcabc"] * 19, "abcabcabc", length=6)
    assert not text.stream
    assert text.space == Space((6,), (Symbol(1 + 16 + 3, pad=0),))
    ids = text.encode(["ab", "abcabc", "abcabcabc", "abé"])
    a, b, c = 17, 18, 19
    assert ids.shape == (4, 1, 6)
    assert ids[0, 0].tolist() == [a, b, 0, 0, 0, 0]
    assert ids[1, 0].tolist() == ids[2, 0].tolist() == [a, b, c, a, b, c]
    assert text.decode(ids) == ["ab", "abcabc", "abcabc", "abé"]
    assert any("1 of 20 documents are longer than 6 ids" in warning for warning in text.warnings())


def test_documents_that_are_all_short_make_the_space_short():
    text = fitted(*["anna", "bo"] * 4, length=100)
    assert text.space.grid == (5,)
    assert text.encode(["anna"])[0, 0, 4] == 0, "there is room for the end of the longest"
    assert not any("cut" in warning for warning in text.warnings())


@pytest.mark.parametrize(
    ("documents", "labelled", "option", "stream"),
    [
        (["short"] * 8, False, "auto", False),
        (["short"] * 7, False, "auto", True),
        (["short"] * 19 + ["long" * 9], False, "auto", False),
        (["short"] * 18 + ["long" * 9], False, "auto", True),
        (["long" * 9] * 3, True, "auto", False),
        (["short"] * 8, False, "stream", True),
        (["one", "two"], False, "documents", False),
    ],
)
def test_layout(tmp_path, documents, labelled, option, stream):
    rows = [{"text": text, "label": "ab"[i % 2]} for i, text in enumerate(documents)]
    path = put(tmp_path / "a.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    codec = TextCodec(length=8, layout=option)
    given = ("label",) if labelled else ()
    text = codec.fields(source(path), ReadOptions(given))["text"]
    assert fit(text, read(codec, path, given=given)).stream == stream


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=("Cs",)), min_size=1), min_size=2, max_size=7))
def test_documents_of_a_stream_come_back(examples):
    examples = [text.replace("␞", "") for text in examples]
    texts = fitted("abc", "def", length=1, tokenizer="char", layout="stream")
    ids = texts.encode(examples)
    assert np.count_nonzero(ids == 0) == len(examples)
    (text,) = texts.decode(ids[None, None])
    assert text.split(SEPARATOR) == [*examples, ""]
    apart = [texts.encode([example]) for example in examples]
    assert np.array_equal(np.concatenate(apart), ids)


# -- units, facts, state -----------------------------------------------------------------------

CHINESE = "".join(map(chr, range(0x4E00, 0x4E00 + 513))) * 2


def test_auto_takes_characters_for_a_small_alphabet_and_bpe_for_a_large_one(monkeypatch):
    small = fitted(CHINESE[:512], CHINESE[:512], length=1)
    large = fitted(CHINESE, CHINESE, length=1)
    assert (small.facts()["unit"], large.facts()["unit"]) == ("char", "bpe")

    monkeypatch.setitem(sys.modules, "tokenizers", None)
    large = fitted(CHINESE, CHINESE, length=1)
    assert large.facts()["unit"] == "char"
    assert any("pip install 'genwright[text]'" in warning for warning in large.warnings())
    with pytest.raises(GenwrightError, match="needs the library 'tokenizers'"):
        fitted(CHINESE, tokenizer="bpe", length=4)


@pytest.mark.parametrize("unit", ["char", "bpe"])
@pytest.mark.parametrize("layout", ["stream", "documents"])
def test_state_through_json(unit, layout):
    text = fitted(
        *[prose(50, seed) for seed in range(9)], length=20, tokenizer=unit, vocab=300, layout=layout
    )
    again = TextField()
    again.restore(json.loads(json.dumps(text.state())))
    assert again.stream == text.stream
    assert again.space == text.space
    assert again.facts() == text.facts()
    assert again.warnings() == text.warnings()
    ids = text.encode([prose(30, 99), "ж"])
    assert np.array_equal(again.encode([prose(30, 99), "ж"]), ids)
    x = ids if ids.ndim == 3 else ids[None, None]
    assert again.decode(x) == text.decode(x)
    assert again.state() == text.state()


def test_a_single_file_stays_one_after_restore(tmp_path):
    text = learnt(TextCodec(length=8), put(tmp_path / "a.txt", prose(500)))
    again = TextField()
    again.restore(text.state())
    assert len(again.encode(["the", "cat"])) == 6


def test_the_alphabet_is_of_the_training_split_alone(tmp_path):
    text = learnt(TextCodec(length=8), put(tmp_path / "a.txt", "ab" * 50 + "好" * 20), "train")
    assert text.tokenizer.size == 1 + 16 + 2
    assert text.decode(text.encode(["a好"])[None, None]) == ["a好"]


def test_facts_count_tokens_characters_and_bytes():
    facts = fitted("aé好👍" * 10, "abc", length=4, layout="stream").facts()
    assert (facts["tokens"], facts["characters"], facts["bytes"]) == (43, 43, 10 * (1 + 2 + 3 + 4) + 3)
    assert facts["tokens_per_byte"] == 43 / 103
    assert (facts["documents"], facts["vocabulary"]) == (2, 17 + 6)
    json.dumps(facts)


def test_warnings_of_a_healthy_text_are_none(tmp_path):
    assert learnt(TextCodec(), put(tmp_path / "a.txt", prose(60_000))).warnings() == []
    found = " ".join(fitted(prose(400), "qz#%" + prose(300), "ö").warnings())
    assert "too rarely to learn: '#' '%'" in found
    assert "ids to learn from" in found


def test_a_prompt_is_ids_without_an_end():
    text = fitted(*["abc"] * 8, length=8)
    prompt = text.prompt("cab")
    assert prompt == [19, 17, 18]
    assert {type(symbol) for symbol in prompt} == {int}
    assert text.prompt("") == []


def test_decode_goes_on_beyond_the_window():
    text = fitted(*["abcdefgh"] * 8, length=8, layout="stream")
    assert text.decode(np.array([[text.prompt("abc" * 50)]])) == ["abc" * 50]
    text = fitted("abc", "abc", length=4, layout="documents")
    ids = [*text.prompt("ab" * 9), 0, *text.prompt("c")]
    assert text.decode(np.array([[ids]])) == ["ab" * 9]


# -- out ---------------------------------------------------------------------------------------


def test_what_is_written_reads_back(tmp_path):
    examples = ["one\r\ntwo\n", "你好 👩‍👧\u2028", '"quoted" \\ \x01\x00', "a\nb " * 400]
    given = {"label": ["x", "y", "x", "好"], "year": list(np.arange(4))}
    codec = TextCodec()
    shown, lines = codec.write({"text": examples} | given, {}, tmp_path / "new" / "folder")
    assert (shown.name, lines.name) == ("samples.txt", "samples.jsonl")
    for i, text in enumerate(examples, 1):
        label = f"──── {i} label={given['label'][i - 1]} year={i - 1} ─"
        assert label in shown.read_text("utf-8")
        assert text.encode() in shown.read_bytes()
    assert "你好" in lines.read_text("utf-8")
    (chunk,) = read(codec, lines, given=("label", "year"))
    assert chunk.values == {"text": examples, "label": given["label"], "year": [0, 1, 2, 3]}


def test_writing_uses_the_field_that_reading_does(tmp_path):
    codec = TextCodec(field="body")
    _, lines = codec.write({"text": ["hello", "there"], "kind": ["a", "b"]}, {}, tmp_path)
    assert json.loads(lines.read_text().splitlines()[0]) == {"body": "hello", "kind": "a"}
    assert texts(read(codec, lines)) == ["hello", "there"]


def test_a_label_that_is_called_text_is_not_taken_for_the_text(tmp_path):
    path = put(tmp_path / "a.jsonl", '{"text": "a", "body": "hello", "kind": 1}\n' * 2)
    codec = TextCodec(field="body")
    assert [chunk.values for chunk in read(codec, path)] == [{"text": ["hello", "hello"]}]
    assert codec.labels(source(path)) == ["kind"]
    assert isinstance(codec.fields(source(path))["text"], TextField)


def test_preview_shows_the_beginning_of_a_few():
    preview = TextCodec().preview({"text": ["a" * 10_000, "second", *["more"] * 9]}, {})
    assert preview.kind == "text"
    assert preview.text.startswith("a" * 600 + " ...\n──")
    assert "second" in preview.text
    assert len(preview.text) < 1200


# -- what is wrong with the data ---------------------------------------------------------------


def test_a_text_shorter_than_a_window(tmp_path):
    path = put(tmp_path / "a.txt", prose(64))
    with pytest.raises(
        DataError, match=r"64 ids long and one window takes 65; .*codec\.length below 64"
    ) as error:
        learnt(TextCodec(length=64), path)
    assert error.value.code == "text-too-short"
    learnt(TextCodec(length=63), path)


def test_no_text_to_train_on():
    with pytest.raises(DataError, match="the training split has no text") as error:
        TextField().settle()
    assert error.value.code == "no-examples"


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
