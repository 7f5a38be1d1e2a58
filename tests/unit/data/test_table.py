"""Tables of every form there and back; what is read, refused, and written."""

import csv
import gzip
import json
import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from genwright.data.codec import Chunk, ReadOptions, Source
from genwright.data.table import frames, readers
from genwright.data.table.codec import TableCodec
from genwright.errors import DataError, GenwrightError, RecipeError
from genwright.registry import build
from genwright.space import Real, Symbol

NAMES = ["id", "age", "town", "income", "member", "joined", "children", "note", "planet"]


def people(n=300, seed=0):
    """Rows of text with every kind of column."""
    draw = random.Random(seed)
    return [
        [
            str(k + 1),
            str(draw.randint(18, 90)),
            draw.choice(["Ulm", "Bad Urach", " Köln", "x,y"]),
            "" if draw.random() < 0.1 else f"{draw.lognormvariate(10, 1):.2f}",
            draw.choice(["yes", "no"]),
            str(date(2020, 1, 1) + timedelta(days=draw.randint(0, 900))),
            "0" if draw.random() < 0.7 else str(draw.randint(1, 60)),
            draw.choice(["NA", "a", "b"]),
            "Earth",
        ]
        for k in range(n)
    ]


def save(file, rows, names=NAMES, delimiter=",", encoding="utf-8", gap=""):
    open_ = gzip.open if file.suffix == ".gz" else open
    with open_(file, "wt", encoding=encoding, newline="") as stream:
        writer = csv.writer(stream, delimiter=delimiter)
        writer.writerow(names)
        writer.writerows([[gap + value for value in row] for row in rows])
    return file


def source(*files):
    return Source(files[0], tuple(files), "table", files[0].name)


def read(codec, *files, **reading):
    return list(codec.read(source(*files), ReadOptions(**reading)))


def frame(chunks):
    return pd.concat([chunk.examples for chunk in chunks], ignore_index=True)


def fitted(*files, given=(), **options):
    codec = TableCodec(**options)
    chunks = read(codec, *files, given=given)
    codec.fit(chunks)
    return codec, chunks


def there_and_back(codec, chunks):
    examples = frame(chunks)
    return codec.decode(codec.encode(examples), {})


@pytest.fixture
def table(tmp_path):
    return save(tmp_path / "people.csv", people())


# -- there and back ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["t.csv", "t.tsv", "t.csv.gz", "T.CSV"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_text_comes_back_as_it_was(tmp_path, name, delimiter):
    if name == "t.tsv":
        delimiter = "\t"
    file = save(tmp_path / name, people(), delimiter=delimiter)
    codec, chunks = fitted(file)
    assert frame(chunks).to_numpy().tolist() == people()
    assert list(frame(chunks).columns) == NAMES
    result = there_and_back(codec, chunks)
    assert list(result.columns) == NAMES
    assert (result.dtypes == frame(chunks).dtypes).all()
    same = [name for name in NAMES if name != "id"]
    assert result[same].equals(frame(chunks)[same])
    assert not set(result["id"]) & set(frame(chunks)["id"])
    [written] = codec.write(result, {}, tmp_path / "out")
    assert written.name == ("samples.tsv" if name == "t.tsv" else "samples.csv")
    a, b = (pd.read_csv(f, sep=delimiter) for f in (file, written))
    assert (a.dtypes == b.dtypes).all()
    assert b[same].equals(a[same])


def test_the_space_has_the_spans_of_all_columns_in_their_order(table):
    codec, chunks = fitted(table)
    kinds = {name: fact["kind"] for name, fact in codec.facts()["columns"].items()}
    assert kinds == {
        "id": "identifier",
        "age": "integer",
        "town": "categorical",
        "income": "continuous",
        "member": "boolean",
        "joined": "datetime",
        "children": "integer",
        "note": "categorical",
        "planet": "constant",
    }
    age, town, income, member, joined, children, note = (
        (Real(1),), (Symbol(4),), (Symbol(2), Real(1)), (Symbol(2),), (Real(1),),
        (Symbol(2), Real(1)), (Symbol(3),),
    )  # fmt: skip
    assert codec.space.grid == ()
    assert codec.space.spans == age + town + income + member + joined + children + note
    x = codec.encode(frame(chunks))
    assert x.dtype == np.float32
    expanded = torch.from_numpy(codec.expand(x))
    codec.space.check(expanded)
    assert codec.space.embed(expanded).shape == (300, codec.space.width)
    assert codec.facts()["rows"] == 300


def test_all_symbols_are_kept_as_integers(tmp_path):
    file = save(tmp_path / "t.csv", [["a", str(k % 3)] for k in range(60)] + [["b", "1"]], ["x", "y"])
    codec, chunks = fitted(file)
    assert codec.space.kind == "symbol"
    x = codec.encode(frame(chunks))
    assert x.dtype == np.int32
    expanded = torch.from_numpy(codec.expand(x))
    codec.space.check(expanded)
    assert codec.decode(expanded.numpy(), {}).equals(frame(chunks))


def test_the_codec_is_registered(table):
    codec = build("codecs", "table", {"max_categories": "7"}, where="codec")
    assert codec.max_categories == 7
    assert codec.default_family == "autoregressive"
    assert codec.labels(source(table)) == NAMES
    assert {".csv", ".csv.gz", ".parquet", ".jsonl.gz"} <= set(codec.reads)


def test_state_is_all_there_is(table):
    codec, chunks = fitted(table)
    again = TableCodec()
    again.restore(json.loads(json.dumps(codec.state())))
    x = codec.encode(frame(chunks))
    assert again.encode(frame(chunks)).tobytes() == x.tobytes()
    assert again.decode(x, {}).equals(codec.decode(x, {}))
    assert again.space == codec.space
    assert again.facts() == codec.facts()
    assert again.warnings() == codec.warnings()
    assert json.dumps(again.state()) == json.dumps(codec.state())


def test_a_restored_codec_does_not_learn_from_what_it_reads(table, tmp_path):
    codec, _ = fitted(table)
    before = json.dumps(codec.state())
    other = save(tmp_path / "other.tsv", people(5), delimiter="\t", encoding="latin-1")
    x = codec.encode(frame(read(codec, other)))
    assert json.dumps(codec.state()) == before
    assert codec.write(codec.decode(x, {}), {}, tmp_path)[0].name == "samples.csv"


def test_decoding_and_fitting_are_deterministic(tmp_path):
    file = save(tmp_path / "t.csv", [[f"c{k % 150}", str(k * k)] for k in range(600)], ["c", "n"])
    codec, chunks = fitted(file, max_categories=20)
    x = codec.encode(frame(chunks))
    assert codec.decode(x, {}).equals(codec.decode(x, {}))
    assert fitted(file, max_categories=20)[0].state() == codec.state()


def test_fit_learns_from_the_chunks_alone(table):
    codec = TableCodec()
    chunks = read(codec, table)
    part = [Chunk(codec.take(c.examples, range(0, 100)), c.keys[:100]) for c in chunks]
    codec.fit(part)
    ages = [int(row[1]) for row in people()[:100]]
    facts = codec.facts()
    assert facts["rows"] == 100
    assert (facts["columns"]["age"]["min"], facts["columns"]["age"]["max"]) == (
        str(min(ages)),
        str(max(ages)),
    )
    # The other rows are encoded without a crash, and their numbers stay within what was learnt.
    decoded = there_and_back(codec, chunks)
    assert decoded["age"].astype(int).max() == max(ages)
    assert decoded["town"].equals(frame(chunks)["town"])


def test_unseen_values_are_encoded(table, tmp_path):
    codec, _ = fitted(table, max_categories=2)
    odd = [["x", "1e9", "Rome", "-inf", "maybe", "soon", "", "zzz", "Mars"]]
    x = codec.encode(frame(read(TableCodec(), save(tmp_path / "odd.csv", odd))))
    assert np.isfinite(x).all()
    codec.space.embed(torch.from_numpy(x))
    row = codec.decode(x, {}).iloc[0].to_dict()
    ages = [int(r[1]) for r in people()]
    assert row["age"] == str(max(ages))
    assert row["income"] == ""
    assert row["planet"] == "Earth"


# -- reading -------------------------------------------------------------------------------------


def test_blanks_behind_delimiters_are_no_part_of_the_values(tmp_path):
    file = tmp_path / "adult.csv"
    file.write_text(
        "age,work,sex\n" + "".join(f"{k}, State-gov, {'FM'[k % 2]}\n" for k in range(20, 90))
    )
    chunks = read(TableCodec(), file)
    assert frame(chunks).equals(pd.read_csv(file, skipinitialspace=True, dtype=str))
    file.write_text("age, work, sex\n1, a, b\n2, c, d\n")
    assert TableCodec().labels(source(file)) == ["age", "work", "sex"]
    file.write_text('age,work\n1, a\n2,b\n3," c"\n')  # one blank is a value's own
    assert frame(read(TableCodec(), file))["work"].tolist() == [" a", "b", " c"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_encodings(tmp_path, encoding):
    file = save(tmp_path / "t.csv", people(), encoding=encoding)
    codec, chunks = fitted(file)
    assert list(frame(chunks).columns) == NAMES
    assert frame(chunks)["town"].tolist() == [row[2] for row in people()]
    assert any("t.csv is not UTF-8" in w for w in codec.warnings()) == (encoding == "latin-1")


def test_quotes_line_breaks_and_blank_lines(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text('a,b\n"1,5","x\ny"\n\n2,"say ""hi"""\r\n')
    assert frame(read(TableCodec(), file)).to_numpy().tolist() == [["1,5", "x\ny"], ["2", 'say "hi"']]


def test_a_column_without_a_name_gets_that_of_pandas(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(",a\n0,5\n1,6\n")
    assert TableCodec().labels(source(file)) == list(pd.read_csv(file).columns) == ["Unnamed: 0", "a"]


def test_keys_are_of_content_alone(tmp_path, table):
    same = save(tmp_path / "same.tsv.gz", [*people(), people()[0]], delimiter="\t")
    a, b = read(TableCodec(), table), read(TableCodec(), same)
    assert a[0].keys == b[0].keys[:-1]
    assert b[0].keys[-1] == b[0].keys[0]
    assert len(set(a[0].keys)) == 300
    split, joined = tmp_path / "split.csv", tmp_path / "joined.csv"
    save(split, [["a", "b,c"]], ["x", "y"])
    save(joined, [["a,b", "c"]], ["x", "y"])
    assert read(TableCodec(), split)[0].keys != read(TableCodec(), joined)[0].keys


def test_what_is_given_leaves_the_example_but_not_the_key(table, tmp_path):
    whole = read(TableCodec(), table)
    codec, chunks = fitted(table, given=("age", "member"))
    assert list(chunks[0].examples.columns) == [n for n in NAMES if n not in ("age", "member")]
    assert chunks[0].given["age"] == [row[1] for row in people()]
    assert chunks[0].keys == whole[0].keys
    x = codec.encode(chunks[0].examples[:3])
    result = codec.decode(x, {"age": [30, "31", "32"], "member": ["no", "yes", "no"]})
    assert list(result.columns) == NAMES
    assert result["age"].tolist() == ["30", "31", "32"]
    assert result["member"].tolist() == ["no", "yes", "no"]
    # Real examples lack what was given: it is put back before they are written.
    [written] = codec.write(chunks[0].examples[:2], {"member": ["no", "yes"], "age": [1, 2]}, tmp_path)
    again = pd.read_csv(written)
    assert list(again.columns) == NAMES
    assert again["age"].tolist() == [1, 2]


def test_groups_are_the_values_of_their_column(table):
    [chunk] = read(TableCodec(), table, group="town")
    assert chunk.groups == [row[2] for row in people()]
    assert "town" in chunk.examples.columns


@pytest.mark.parametrize("reading", [{"given": ("agee",)}, {"group": "agee"}])
def test_an_unknown_column_is_named_with_the_nearest(table, reading):
    with pytest.raises(DataError, match=r"people.csv has no column 'agee'; did you mean 'age'\?"):
        read(TableCodec(), table, **reading)


def test_several_files_are_one_table(tmp_path):
    a = save(tmp_path / "a.csv", people(40))
    b = save(tmp_path / "b.csv.gz", [row[::-1] for row in people(30)], NAMES[::-1], delimiter=";")
    chunks = read(TableCodec(), a, b)
    assert frame(chunks).to_numpy().tolist() == people(40) + people(30)
    c = save(tmp_path / "c.csv", [[*row[:-1], "1"] for row in people(9)], [*NAMES[:-1], "moon"])
    with pytest.raises(
        DataError, match=r"c.csv does not have .* a.csv \(it lacks 'planet' and adds 'moon'\)"
    ):
        read(TableCodec(), a, b, c)


def test_chunks_are_of_bounded_size_and_make_no_difference(tmp_path, monkeypatch):
    file = save(tmp_path / "t.csv", people())
    whole, _ = fitted(file, fit_rows=120)
    monkeypatch.setattr(readers, "ROWS", 64)
    codec, chunks = fitted(file, fit_rows=120)
    assert [len(chunk) for chunk in chunks] == [64, 64, 64, 64, 44]
    assert frame(chunks).to_numpy().tolist() == people()
    assert codec.state() == whole.state()


def test_a_sample_is_enough_for_numbers_and_all_rows_count_for_categories(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "ROWS", 100)
    rows = [[str(k * k), "rare" if k == 777 else "often"] for k in range(1000)]
    codec, chunks = fitted(save(tmp_path / "t.csv", rows, ["n", "c"]), fit_rows=50)
    facts = codec.facts()
    assert facts["rows"] == 1000
    assert facts["columns"]["c"]["distinct"] == 2
    assert there_and_back(codec, chunks)["c"].tolist() == [row[1] for row in rows]


def test_columns_too_varied_to_be_counted_are_learnt_from_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.data.table.codec.DISTINCT", 30)
    rows = [[str((k * 7919) % 10_007)] for k in range(400)]
    codec, chunks = fitted(save(tmp_path / "t.csv", rows, ["n"]), fit_rows=100)
    assert codec.facts()["columns"]["n"]["distinct"] == 100
    assert there_and_back(codec, chunks)["n"].astype(int).between(0, 10_007).all()


# -- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("t.csv", b"", "t.csv is empty"),
        ("t.csv", b"\n\n", "t.csv is empty"),
        ("t.csv", b"a,b\n", "t.csv has a header but no rows"),
        ("t.csv", b"a,b,a\n1,2,3\n", "t.csv has several columns named 'a'"),
        ("t.csv", b"a,b\n1,\x002\n", "t.csv is binary: it holds NUL bytes"),
        ("t.tsv", b"a,b\n1,2\n", "t.tsv has a single column 'a,b': .* by ',' and not by '\\\\t'"),
        ("t.csv.gz", b"a,b\n1,2\n", "t.csv.gz cannot be read"),
        ("t.csv.gz", gzip.compress(b"a,b\n" + b"1,2\n" * 999, mtime=0)[:-12], "t.csv.gz cannot be read"),
        ("t.csv", b"a,b\n1,2\n1,2,3\n4\n1,2\n5,6,7\n8,9,0", r"4 of 6 .*line 3 has 3 values"),
        ("t.csv", b'a,b\n1,2\n"3,4\n' + b"5,6\n" * 50, r"51 of 52 .*line 3 .* quote were never closed"),
        ("t.csv", b'a,b\n1,"' + b"x" * 200_000, "line 2: a value is longer than 131,072 characters"),
        ("t.jsonl", b"", "t.jsonl is empty"),
        ("t.jsonl", b'{"a": 1}\n{"a": [1]}\n', "t.jsonl line 2: column 'a' holds a list"),
        ("t.jsonl", b'[\n{"a": 1},\n{"a": 2}\n]\n', r"one flat JSON object a line"),
        ("t.parquet", b"PAR1 not", "t.parquet is no Parquet file"),
        ("t.parquet", b"", "t.parquet is empty"),
    ],
)  # fmt: skip
def test_a_spoilt_file_is_named_with_what_is_wrong(tmp_path, name, content, sentence):
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(DataError, match=sentence):
        read(TableCodec(), file)


def test_a_wrong_delimiter_is_refused_with_the_way_out(tmp_path):
    file = save(tmp_path / "t.csv", people(), delimiter=";")
    with pytest.raises(DataError, match=r"by ';' and not by ','; set codec\.delimiter"):
        read(TableCodec(delimiter=","), file)
    assert len(read(TableCodec(delimiter=";"), file)[0]) == 300


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"gone\.csv cannot be read"):
        read(TableCodec(), tmp_path / "gone.csv")


def test_a_few_ragged_rows_are_passed_over_and_named(tmp_path):
    file = save(tmp_path / "t.csv", people())
    lines = file.read_text().splitlines()
    lines[16] += ",more"
    lines[40] = "1,2"
    file.write_text("\n".join(lines))
    [chunk] = read(TableCodec(), file)
    assert len(chunk) == 298
    assert [(bad.name, bad.reason) for bad in chunk.bad] == [
        ("t.csv line 17", "has 10 values where the header has 9"),
        ("t.csv line 41", "has 2 values where the header has 9"),
    ]


def test_more_than_one_in_a_hundred_ragged_rows_is_too_many(tmp_path):
    def spoilt(count):
        file = save(tmp_path / "t.csv", people(1000 - count))
        with file.open("a") as stream:
            stream.write("only,two\n" * count)
        return file

    assert len(read(TableCodec(), spoilt(10))[0]) == 990
    with pytest.raises(DataError, match=r"11 of 1,000 rows .*line 991 .*codec.delimiter"):
        read(TableCodec(), spoilt(11))


def test_a_header_of_numbers_is_said(tmp_path):
    codec, _ = fitted(
        save(tmp_path / "t.csv", [[str(k * k), str(k % 3)] for k in range(50)], ["7", "3"])
    )
    assert "the header of t.csv is all numbers" in codec.warnings()[0]


def test_nothing_to_model_is_refused(tmp_path):
    file = save(tmp_path / "t.csv", [[str(k), "x", ""] for k in range(50)], ["id", "c", "e"])
    sentence = "no column to model .*'id' is identifier, 'c' is constant, 'e' is constant"
    with pytest.raises(DataError, match=sentence):
        fitted(file)
    with pytest.raises(DataError, match="all columns are given"):
        fitted(file, given=("id", "c", "e"))
    assert fitted(file, types={"id": "integer"})[0].space.spans == (Real(1),)
    with pytest.raises(DataError, match="the training split has no rows"):
        TableCodec().fit([])


def test_warnings_tell_what_is_odd(tmp_path):
    draw = random.Random(0)
    rows = [
        [str(k), "x", "", f"c{draw.randrange(30)}", draw.choice(["inf", "1.5", str(k / 7)])]
        for k in range(200)
    ]
    codec, _ = fitted(
        save(tmp_path / "t.csv", rows, ["id", "one", "none", "many", "wild"]), max_categories=9
    )
    warnings = " | ".join(codec.warnings())
    for part in (
        "column 'id' looks like an identifier",
        "column 'one' holds 'x' in every row",
        "column 'none' is empty in every row",
        "column 'many' has 30 different values: the 9 commonest are kept",
        "infinite values; they count as missing",
    ):
        assert part in warnings


def test_encoding_another_table_is_refused(table, tmp_path):
    codec, _ = fitted(table)
    other = save(
        tmp_path / "o.csv", [row[:8] for row in people(9)], [n.replace("age", "ages") for n in NAMES[:8]]
    )
    with pytest.raises(DataError, match=r"no column 'age', .* did you mean 'ages'"):
        codec.encode(frame(read(TableCodec(), other)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (
            {"types": {"age": "number"}},
            "codec.types.age cannot be 'number'; known: boolean, categorical",
        ),
        ({"delimiter": "::"}, "codec.delimiter is one character or 'tab', got '::'"),
    ],
)
def test_options_are_checked(options, sentence):
    with pytest.raises(RecipeError, match=sentence):
        TableCodec(**options)


def test_types_of_unknown_columns_are_refused(table):
    with pytest.raises(RecipeError, match="no column 'aeg'; did you mean 'age'"):
        fitted(table, types={"aeg": "integer"})


def test_types_can_be_asked_for(table):
    codec, _ = fitted(table, types={"age": "categorical", "id": "integer"})
    kinds = {name: fact["kind"] for name, fact in codec.facts()["columns"].items()}
    assert (kinds["age"], kinds["id"]) == ("categorical", "integer")


def test_without_pandas_the_way_to_it_is_named(table, monkeypatch):
    def missing(name):
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(frames, "import_module", missing)
    with pytest.raises(
        GenwrightError, match=r"reading tables needs the library 'pandas', .*genwright\[table\]"
    ):
        read(TableCodec(), table)


# -- JSON and Parquet ----------------------------------------------------------------------------

TYPED = [
    {
        "n": k % 40 - 20,
        "x": None if k % 5 == 0 else k / 4,
        "flag": k % 3 == 0,
        "word": ["ä", "b", None][k % 3],
        "gap": None if k % 2 else k % 7,
    }
    for k in range(120)
]


@pytest.mark.parametrize("name", ["t.jsonl", "t.jsonl.gz"])
def test_json_lines_come_back_as_they_were(tmp_path, name):
    text = "".join(json.dumps({k: v for k, v in row.items() if v is not None}) + "\n" for row in TYPED)
    file = tmp_path / name
    file.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
    codec, chunks = fitted(file)
    assert set(codec.labels(source(file))) == set(TYPED[0])
    result = there_and_back(codec, chunks)
    [written] = codec.write(result, {}, tmp_path / "out")
    assert written.name == "samples.jsonl"
    rows = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    assert rows == TYPED
    assert {type(row["n"]) for row in rows} == {int}
    assert {type(row["flag"]) for row in rows} == {bool}


def test_a_few_bad_lines_of_json_are_passed_over(tmp_path):
    file = tmp_path / "t.jsonl"
    lines = [json.dumps(row) for row in TYPED]
    lines[3], lines[5] = "{oops", "[1]"
    file.write_text("\n".join(lines))
    [chunk] = read(TableCodec(), file)
    assert len(chunk) == 118
    assert [(bad.name, bad.reason) for bad in chunk.bad] == [
        ("t.jsonl line 4", "is no JSON"),
        ("t.jsonl line 6", "is no JSON object"),
    ]


def test_late_keys_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "ROWS", 10)
    file = tmp_path / "t.jsonl"
    file.write_text(
        "\n".join(json.dumps({"a": k % 3, **({"late": 1} if k > 50 else {})}) for k in range(60))
    )
    codec, chunks = fitted(file)
    assert list(frame(chunks).columns) == ["a"]
    assert any("'late' came only after" in w for w in codec.warnings())


def parquet(file):
    """A table of every type that a table can have."""
    start = datetime(2024, 1, 5, 10, 30, 1)
    zoned = start.replace(tzinfo=UTC)
    n = range(120)
    columns = {
        "i": pa.array([None if k % 9 == 0 else (k * 37) % 101 for k in n], pa.int32()),
        "u": pa.array([k % 5 for k in n], pa.uint8()),
        "f": pa.array([(k * k) / 8 for k in n], pa.float32()),
        "d": pa.array([None if k % 7 == 0 else (k * k) / 8 for k in n], pa.float64()),
        "b": pa.array([k % 2 == 0 for k in n]),
        "s": pa.array([["x", "y ", None][k % 3] for k in n], pa.large_string()),
        "c": pa.array([["p", "q"][k % 2] for k in n]).dictionary_encode(),
        "day": pa.array([date(2024, 1, 1) + timedelta(days=k * k % 97) for k in n]),
        "t": pa.array([start + timedelta(seconds=k * k) for k in n], pa.timestamp("ns")),
        "z": pa.array([zoned + timedelta(hours=k * k) for k in n], pa.timestamp("us", "UTC")),
        "m": pa.array([Decimal(k * k) / 4 for k in n], pa.decimal128(9, 2)),
        "e": pa.nulls(120),
    }  # fmt: skip
    pq.write_table(pa.table(columns), file)
    return file


def test_parquet_keeps_types_and_values(tmp_path):
    file = parquet(tmp_path / "t.parquet")
    codec, chunks = fitted(file)
    result = there_and_back(codec, chunks)
    assert (result.dtypes == frame(chunks).dtypes).all()
    again = TableCodec()
    again.restore(json.loads(json.dumps(codec.state())))
    [written] = again.write(result, {}, tmp_path / "out")
    assert written.name == "samples.parquet"
    was, is_ = pq.read_table(file), pq.read_table(written)
    assert is_.schema.equals(was.schema)
    assert is_.to_pylist() == was.to_pylist()
    assert (pd.read_parquet(file).dtypes == pd.read_parquet(written).dtypes).all()


def test_parquet_conditions_take_what_a_person_types(tmp_path):
    codec, chunks = fitted(parquet(tmp_path / "t.parquet"), given=("u", "day", "c"))
    assert chunks[0].given["u"][:3] == [0, 1, 2]
    x = codec.encode(frame(chunks)[:2])
    result = codec.decode(x, {"u": ["3", 4], "day": ["2024-02-01", date(2024, 2, 2)], "c": ["p", None]})
    assert result["u"].tolist() == [3, 4]
    assert result["day"].tolist() == [date(2024, 2, 1), date(2024, 2, 2)]
    assert (result.dtypes[["u", "f"]] == pd.Series({"u": "uint8[pyarrow]", "f": "float[pyarrow]"})).all()


def test_the_index_of_pandas_is_no_column(tmp_path):
    file = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.5, 2.5, 4.0]}, index=[7, 8, 9]).to_parquet(file)
    assert TableCodec().labels(source(file)) == ["a"]
    assert list(frame(read(TableCodec(), file)).columns) == ["a"]


def test_types_that_no_table_has_are_refused(tmp_path):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"ok": [1, 2], "tags": [["a"], ["b"]]}), file)
    with pytest.raises(
        DataError, match=r"t\.parquet: column 'tags' is of type list<.*>, which cannot be modelled"
    ):
        read(TableCodec(), file)


def test_files_of_two_forms_are_refused(tmp_path, table):
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(dict(zip(NAMES, row, strict=True))) + "\n" for row in people(9)))
    with pytest.raises(DataError, match=r"t\.jsonl is not of one form with people\.csv"):
        read(TableCodec(), table, file)


# -- out -----------------------------------------------------------------------------------------


def test_preview_is_the_head_of_the_table(table):
    codec, chunks = fitted(table)
    preview = codec.preview(frame(chunks))
    assert preview.kind == "rows"
    assert preview.rows[0] == tuple(NAMES)
    assert preview.rows[1:] == tuple(map(tuple, people()[:12]))
    typed = TableCodec().preview(pd.DataFrame({"a": [1, None], "b": [None, "x"]}, dtype=object))
    assert typed.rows == (("a", "b"), ("1", ""), ("", "x"))


def test_what_a_network_makes_is_decoded_whatever_it_is(table):
    codec, _ = fitted(table)
    x = np.random.default_rng(0).normal(size=(200, codec.space.stored)).astype(np.float32) * 100
    x[0] = np.nan
    x[1] = np.inf
    result = codec.decode(x, {})
    assert set(result["town"]) <= {row[2] for row in people()}
    assert set(result["member"]) == {"yes", "no"}
    pd.to_datetime(result["joined"], format="%Y-%m-%d")
    numbers = [float(row[3]) for row in people() if row[3]]
    made = [float(v) for v in result["income"] if v]
    assert min(numbers) <= min(made)
    assert max(made) <= max(numbers)


def test_no_rows_are_decoded_to_no_rows(table):
    codec, _ = fitted(table)
    result = codec.decode(np.zeros((0, codec.space.stored), dtype=np.float32), {})
    assert list(result.columns) == NAMES
    assert len(result) == 0
