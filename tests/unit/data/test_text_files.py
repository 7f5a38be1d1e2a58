"""Files of text to documents: labels, encodings, and a sentence for all that cannot be read."""

import gzip
import json
from pathlib import Path

import pytest

from genwright.data.codec import ReadOptions, Rows, Source
from genwright.data.dataset import prepare, wanted_fields
from genwright.data.text.codec import TextCodec
from genwright.errors import DataError


def source(path: Path) -> Source:
    files = tuple(sorted(p for p in path.rglob("*") if p.is_file())) if path.is_dir() else (path,)
    return Source(path, files, "text", path.name)


def put(path: Path, content: str | bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data = content.encode() if isinstance(content, str) else content
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def jsonl(path: Path, rows: list) -> Path:
    return put(path, "".join(json.dumps(row) + "\n" for row in rows))


def read(codec: TextCodec, path: Path, **how) -> list[Rows]:
    files, options = source(path), ReadOptions(**how)
    return list(codec.read(files, wanted_fields(codec, files, options), options))


def texts(chunks: list[Rows]) -> list[str]:
    return [text for chunk in chunks for text in chunk.values["text"]]


def rejected(chunks: list[Rows]) -> list[tuple[str, str]]:
    return [(bad.name, bad.reason) for chunk in chunks for bad in chunk.rejected]


def test_a_folder_has_a_document_a_file_and_its_first_folder_as_label(tmp_path):
    put(tmp_path / "poem/1.txt", "roses\r\n")
    put(tmp_path / "poem/deep/2.md", "violets")
    put(tmp_path / "song/3.txt.gz", "la la")
    put(tmp_path / "4.txt", "nowhere")
    codec = TextCodec()
    assert codec.labels(source(tmp_path)) == ["label"]
    (plain,) = read(codec, tmp_path)
    assert plain.values == {"text": ["nowhere", "roses\r\n", "violets", "la la"]}
    assert plain.parts is None
    assert plain.groups is None
    (labelled,) = read(codec, tmp_path, given=("label",), group="label")
    assert labelled.values == {
        "text": ["roses\r\n", "violets", "la la"],
        "label": ["poem", "poem", "song"],
    }
    assert labelled.groups == ["poem", "poem", "song"]
    assert rejected([labelled]) == [("4.txt", "has no value for label")]


def test_lines_of_json_with_labels(tmp_path):
    rows = [{"text": f"t{i}", "kind": "ab"[i % 2], "year": 1900 + i, "tags": []} for i in range(5)]
    path = jsonl(tmp_path / "a.jsonl", rows)
    codec = TextCodec()
    assert codec.labels(source(path)) == ["kind", "year"]
    (chunk,) = read(codec, path, given=("year",), group="kind")
    assert chunk.values == {
        "text": [row["text"] for row in rows],
        "year": [1900, 1901, 1902, 1903, 1904],
    }
    assert chunk.groups == ["a", "b", "a", "b", "a"]
    assert chunk.parts is None


def test_equal_documents_have_equal_keys(tmp_path):
    put(tmp_path / "1.txt", "one")
    put(tmp_path / "2.txt", "two")
    put(tmp_path / "3.md", b"\xef\xbb\xbfone")
    (chunk,) = read(TextCodec(), tmp_path)
    assert texts([chunk]) == ["one", "two", "one"]
    assert chunk.keys[0] == chunk.keys[2] != chunk.keys[1]


def test_many_documents_come_in_chunks(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"text": f"number {i}"} for i in range(5000)])
    chunks = read(TextCodec(), path)
    assert [len(chunk) for chunk in chunks] == [4096, 904]
    assert texts(chunks) == [f"number {i}" for i in range(5000)]


@pytest.mark.parametrize("content", ["", " \n\t"])
def test_an_empty_file(tmp_path, content):
    with pytest.raises(DataError, match=r"a\.txt is empty"):
        read(TextCodec(), put(tmp_path / "a.txt", content))


def test_empty_files(tmp_path):
    put(tmp_path / "a.txt", "")
    put(tmp_path / "b.txt", "\n")
    with pytest.raises(DataError, match=r"every text in .* is empty"):
        read(TextCodec(), tmp_path)
    put(tmp_path / "c.txt", "c")
    chunks = read(TextCodec(), tmp_path)
    assert texts(chunks) == ["c"]
    assert rejected(chunks) == [("a.txt", "is empty"), ("b.txt", "is empty")]


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("nul.txt", b"MZ\0\0text", "is binary: it holds NUL bytes (UTF-16? set codec.encoding)"),
        ("noise.txt", bytes(range(1, 256)) * 9, "is binary, or in an encoding that codec.encoding"),
        ("odd.txt", "\ufeffab".encode("utf-16-le") + b"c", "is not utf-16 throughout"),
        ("nul.jsonl", b"\x93NUMPY\0\0\0", "is binary: it holds NUL bytes"),
    ],
)
def test_a_file_that_is_no_text(tmp_path, name, content, reason):
    for path in (tmp_path, put(tmp_path / name, content)):
        chunks = read(TextCodec(), path)
        assert [(len(chunk), chunk.parts) for chunk in chunks] == [(0, None)]
        (bad,) = rejected(chunks)
        assert bad[0] == name
        assert bad[1].startswith(reason)


@pytest.mark.parametrize("damage", [lambda data: data[:-20], lambda data: b"no gzip at all"])
def test_a_damaged_archive(tmp_path, damage):
    path = tmp_path / "a.txt.gz"
    path.write_bytes(damage(gzip.compress(b"words of a text\n" * 500)))
    ((name, reason),) = rejected(read(TextCodec(), path))
    assert name == "a.txt.gz"
    assert reason.startswith("cannot be read: ")


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings_are_found(tmp_path, encoding):
    text = "Grüße aus Zürich, à bientôt\n" * 300
    chunks = read(TextCodec(), put(tmp_path / "a.txt", text.encode(encoding)), val=0, test=0)
    assert "".join(texts(chunks)) == text
    told = "1 files are not UTF-8 and were read as cp1252: a.txt"
    notes = {note for chunk in chunks for note in chunk.notes}
    assert [note.partition(";")[0] for note in notes] == [told] * (encoding == "latin-1")
    if encoding == "latin-1":  # stated, it is nothing to warn of
        stated = read(TextCodec(encoding="latin-1"), tmp_path / "a.txt", val=0, test=0)
        assert "".join(texts(stated)) == text
        assert not any(chunk.notes for chunk in stated)


def test_what_was_read_in_an_old_encoding_is_told_of_the_data_set(tmp_path):
    for i in range(30):
        put(tmp_path / f"{i:02}.txt", f"Grüße Nummer {i} aus Zürich".encode("latin-1"))
    put(tmp_path / "30.txt", "schöne Grüße")
    put(tmp_path / "31.txt", "Привет из далёкого города, где идёт снег".encode("cp1251"))
    codec = TextCodec(length=16)
    dataset = prepare(source(tmp_path), codec, {"length": 16}, ReadOptions())
    told = [warning for warning in dataset.stats.warnings if "UTF-8" in warning]
    assert told[0].startswith(
        "30 files are not UTF-8 and were read as cp1252: 00.txt, 01.txt, 02.txt, ...;"
    )
    assert told[1].startswith("1 files are not UTF-8 and were read as cp1251: 31.txt;")


def test_a_stated_encoding_is_taken_at_its_word(tmp_path):
    path = put(tmp_path / "a.txt", "“Привет”".encode("cp1251"))
    assert "".join(texts(read(TextCodec(encoding="cp1251"), path))) == "“Привет”"
    half = put(tmp_path / "b.txt", b"a +2D0- b")
    assert texts(read(TextCodec(encoding="utf-7"), half, val=0, test=0)) == ["a \ufffd b"]
    marked = put(tmp_path / "c.txt", b"\xef\xbb\xbfabc")
    assert texts(read(TextCodec(encoding="utf-8"), marked, val=0, test=0)) == ["abc"]
    ((_, reason),) = rejected(read(TextCodec(encoding="utf-8"), path))
    assert reason == "is not utf-8 throughout; codec.encoding should name what it is"


def test_broken_lines_are_named(tmp_path):
    lines = [
        b'{"text": "good", "kind": "a"}',
        b"",
        b'{"text": "torn',
        b'["text"]',
        b'{"txt": "other field"}',
        b'{"text": 5}',
        b'{"text": "not utf-8: \xff"}',
        b'{"text": "no label"}',
        b'{"text": " ", "kind": "a"}',
        b"[" * 100_000,
        b'{"text": "\\ud83d half of a pair", "kind": "b"}',
    ]
    path = put(tmp_path / "file.jsonl", b"\r\n".join(lines))
    chunks = read(TextCodec(), path, given=("kind",))
    assert texts(chunks) == ["good", "\ufffd half of a pair"]
    found = dict(rejected(chunks))
    starts = {
        3: "is not JSON: Unterminated string",
        4: 'is not an object like {"text": "..."}',
        5: "has no text in the field 'text'",
        6: "has no text in the field 'text'",
        7: "is not utf-8",
        8: "has no value for kind",
        9: "is empty",
        10: "is not JSON: ",
    }
    assert list(found) == [f"file.jsonl line {i}" for i in starts]
    for i, start in starts.items():
        assert found[f"file.jsonl line {i}"].startswith(start)


def test_no_line_has_the_field(tmp_path):
    path = jsonl(tmp_path / "a.jsonl", [{"texts": "a"}, {"texts": "b", "id": 1}])
    with pytest.raises(DataError, match=r"no line of .*a\.jsonl has the field 'text'.*mean 'texts'\?"):
        read(TextCodec(), path)
    assert texts(read(TextCodec(field="texts"), path)) == ["a", "b"]


@pytest.mark.parametrize("how", [{"given": ("kinds",)}, {"group": "kinds"}])
def test_an_unknown_label(tmp_path, how):
    path = jsonl(tmp_path / "a.jsonl", [{"text": "a", "kind": "x"}])
    with pytest.raises(DataError, match="has no label or field 'kinds'; did you mean 'kind'") as error:
        read(TextCodec(), path, **how)
    assert error.value.code == "no-such-field"
    with pytest.raises(DataError, match=r"b\.txt has no label or field 'kinds'; ") as error:
        read(TextCodec(), put(tmp_path / "b.txt", "text"), **how)
    assert error.value.code == "no-such-field"
