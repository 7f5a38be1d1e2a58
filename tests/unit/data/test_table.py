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

from genwright import look
from genwright.data.codec import ReadOptions, Source
from genwright.data.dataset import prepare, wanted_fields
from genwright.data.table import frames, readers
from genwright.data.table.codec import TableCodec
from genwright.data.table.field import RowField
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


def read(codec, *files, **how):
    found, options = source(*files), ReadOptions(**how)
    return list(codec.read(found, wanted_fields(codec, found, options), options))


def frame(chunks):
    return pd.concat([chunk.values["row"] for chunk in chunks], ignore_index=True)


def notes(chunks):
    return list(dict.fromkeys(note for chunk in chunks for note in chunk.notes))


def fitted(*files, given=(), **options):
    """A codec, what it read, and its field fitted on that, less what is given."""
    codec = TableCodec(**options)
    row, chunks = codec.fields(source(*files))["row"], read(codec, *files, given=given)
    for chunk in chunks:
        row.fit(chunk.values["row"])
    row.settle()
    return codec, row.without(given), chunks


def there_and_back(row, chunks):
    return row.decode(row.tensor(frame(chunks)).numpy())


def write(codec, row, examples, folder, **given):
    [written] = codec.write({"row": examples} | given, {"row": row}, folder)
    return written


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
    codec, row, chunks = fitted(file)
    assert frame(chunks).to_numpy().tolist() == people()
    assert list(frame(chunks).columns) == NAMES
    result = there_and_back(row, chunks)
    assert list(result.columns) == NAMES
    assert (result.dtypes == frame(chunks).dtypes).all()
    same = [name for name in NAMES if name != "id"]
    assert result[same].equals(frame(chunks)[same])
    assert not set(result["id"]) & set(frame(chunks)["id"])
    written = write(codec, row, result, tmp_path / "out")
    assert written.name == ("samples.tsv" if name == "t.tsv" else "samples.csv")
    a, b = (pd.read_csv(f, sep=delimiter) for f in (file, written))
    assert (a.dtypes == b.dtypes).all()
    assert b[same].equals(a[same])


def test_the_space_has_the_spans_of_all_columns_in_their_order(table):
    _, row, chunks = fitted(table)
    kinds = {name: fact["kind"] for name, fact in row.facts()["columns"].items()}
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
    assert row.space.grid == ()
    assert row.space.spans == age + town + income + member + joined + children + note
    x = row.encode(frame(chunks))
    assert x.dtype == np.float32
    expanded = row.expand(x)
    row.space.check(expanded)
    assert row.space.embed(expanded).shape == (300, row.space.width)
    assert row.facts()["rows"] == 300


def test_all_symbols_are_kept_as_integers(tmp_path):
    file = save(tmp_path / "t.csv", [["a", str(k % 3)] for k in range(60)] + [["b", "1"]], ["x", "y"])
    _, row, chunks = fitted(file)
    assert row.space.kind == "symbol"
    x = row.encode(frame(chunks))
    assert x.dtype == np.int32
    expanded = row.expand(x)
    row.space.check(expanded)
    assert row.decode(expanded.numpy()).equals(frame(chunks))


def test_the_codec_is_registered(table):
    codec = build("codecs", "table", {"max_categories": "7"}, where="codec")
    assert codec.max_categories == 7
    assert codec.default_family == "autoregressive"
    assert codec.labels(source(table)) == NAMES
    assert {".csv", ".csv.gz", ".parquet", ".jsonl.gz"} <= set(codec.reads)


def test_state_is_all_there_is(table):
    _, row, chunks = fitted(table)
    again = RowField()
    again.restore(json.loads(json.dumps(row.state())))
    x = row.encode(frame(chunks))
    assert again.encode(frame(chunks)).tobytes() == x.tobytes()
    assert again.decode(x).equals(row.decode(x))
    assert again.space == row.space
    assert again.facts() == row.facts()
    assert again.warnings() == row.warnings()
    assert json.dumps(again.state()) == json.dumps(row.state())


def test_a_field_does_not_learn_from_what_its_codec_reads(table, tmp_path):
    codec, row, _ = fitted(table)
    before = json.dumps(row.state())
    other = save(tmp_path / "other.tsv", people(5), delimiter="\t", encoding="latin-1")
    x = row.encode(frame(read(codec, other)))
    assert json.dumps(row.state()) == before
    assert write(codec, row, row.decode(x), tmp_path).name == "samples.csv"


def test_decoding_and_fitting_are_deterministic(tmp_path):
    file = save(tmp_path / "t.csv", [[f"c{k % 150}", str(k * k)] for k in range(600)], ["c", "n"])
    _, row, chunks = fitted(file, max_categories=20)
    x = row.encode(frame(chunks))
    assert row.decode(x).equals(row.decode(x))
    assert fitted(file, max_categories=20)[1].state() == row.state()


def test_fit_learns_from_the_chunks_alone(table):
    codec = TableCodec()
    row, chunks = codec.fields(source(table))["row"], read(codec, table)
    [chunk] = chunks
    row.fit(chunk.take({"row": row}, range(100)).values["row"])
    row.settle()
    ages = [int(values[1]) for values in people()[:100]]
    facts = row.facts()
    assert facts["rows"] == 100
    assert (facts["columns"]["age"]["min"], facts["columns"]["age"]["max"]) == (
        str(min(ages)),
        str(max(ages)),
    )
    # The other rows are encoded without a crash, and their numbers stay within what was learnt.
    decoded = there_and_back(row, chunks)
    assert decoded["age"].astype(int).max() == max(ages)
    assert decoded["town"].equals(frame(chunks)["town"])


def test_unseen_values_are_encoded(table, tmp_path):
    _, row, _ = fitted(table, max_categories=2)
    odd = [["x", "1e9", "Rome", "-inf", "maybe", "soon", "", "zzz", "Mars"]]
    x = row.encode(frame(read(TableCodec(), save(tmp_path / "odd.csv", odd))))
    assert np.isfinite(x).all()
    row.space.embed(row.expand(x))
    decoded = row.decode(x).iloc[0].to_dict()
    ages = [int(r[1]) for r in people()]
    assert decoded["age"] == str(max(ages))
    assert decoded["income"] == ""
    assert decoded["planet"] == "Earth"


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
    chunks = read(TableCodec(), file)
    assert list(frame(chunks).columns) == NAMES
    assert frame(chunks)["town"].tolist() == [row[2] for row in people()]
    assert any("t.csv is not UTF-8" in w for w in notes(chunks)) == (encoding == "latin-1")
    dataset = prepare(source(file), TableCodec(), {}, ReadOptions())
    assert any("t.csv is not UTF-8" in w for w in dataset.stats.warnings) == (encoding == "latin-1")


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
    [whole] = read(TableCodec(), table)
    codec, row, [chunk] = fitted(table, given=("age", "member"))
    assert chunk.values["row"].equals(whole.values["row"])
    assert chunk.values["age"] == [values[1] for values in people()]
    assert chunk.keys == whole.keys
    assert list(row.columns) == [n for n in NAMES if n not in ("age", "member")]
    assert row.without(("age",)).space == row.space, "it is left out once"
    some = chunk.values["row"][:3]
    x = row.tensor(some)
    row.space.check(x)
    result = row.decode(x.numpy(), {"age": [30, "31", "32"], "member": ["no", "yes", "no"]})
    assert list(result.columns) == NAMES
    assert result["age"].tolist() == ["30", "31", "32"]
    assert result["member"].tolist() == ["no", "yes", "no"]
    same = ["town", "income", "joined", "children", "note", "planet"]
    assert result[same].equals(some[same])
    assert row.decode(x.numpy())["age"].tolist() == ["", "", ""]
    # What was made may lack what was given: it is put back before it is written.
    lacking = result.drop(columns=["age", "member"])
    written = write(codec, row, lacking, tmp_path, member=["no", "yes", "no"], age=[1, 2, 3])
    again = pd.read_csv(written)
    assert list(again.columns) == NAMES
    assert again["age"].tolist() == [1, 2, 3]


def test_what_is_left_is_read_from_the_arrays_of_all_columns(table):
    _, whole, chunks = fitted(table)
    compact = whole.encode(frame(chunks))
    row = whole.without(("income", "town")).without(("note",))
    kept = [n for n in NAMES if n not in ("income", "town", "note")]
    assert list(row.columns) == kept
    assert torch.equal(row.expand(compact), row.tensor(frame(chunks)))
    decoded = row.decode(row.expand(compact).numpy())
    assert decoded[kept].equals(whole.decode(whole.expand(compact).numpy())[kept])


def test_a_restored_field_reads_the_arrays_of_the_whole_one(table):
    """As a run does that goes on, or that is judged: it holds the columns it makes, the cache holds all."""
    _, whole, chunks = fitted(table)
    compact = whole.encode(frame(chunks))
    row = whole.without(("age", "note"))
    again = RowField()
    again.restore(json.loads(json.dumps(row.state())))
    again.read_from(whole)
    assert torch.equal(again.expand(compact), row.expand(compact))
    assert again.decode(again.tensor(frame(chunks)).numpy()).equals(there_and_back(row, chunks))


def test_a_column_that_is_given_is_not_warned_of_as_one_that_is_made(tmp_path):
    draw = random.Random(0)
    rows = [[str(k), f"c{draw.randrange(30)}", str(draw.random())] for k in range(300)]
    file = save(tmp_path / "t.csv", rows, ["id", "many", "x"])

    def warned(*given):
        options = {"max_categories": 9}
        codec = TableCodec(**options)
        return " ".join(prepare(source(file), codec, options, ReadOptions(given)).stats.warnings)

    assert "column 'many' has 30 different values: the 9 commonest are kept" in warned()
    assert "column 'many'" not in warned("many")
    assert "column 'id' looks like an identifier" in warned("many")


def test_groups_are_the_values_of_their_column(table):
    [chunk] = read(TableCodec(), table, group="town")
    assert chunk.groups == [row[2] for row in people()]
    assert "town" in chunk.values["row"].columns


@pytest.mark.parametrize("reading", [{"given": ("agee",)}, {"group": "agee"}])
def test_an_unknown_column_is_named_with_the_nearest(table, reading):
    with pytest.raises(
        DataError, match=r"people.csv has no label or field 'agee'; did you mean 'age'\?"
    ) as error:
        read(TableCodec(), table, **reading)
    assert error.value.code == "no-such-field"


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
    _, whole, _ = fitted(file, fit_rows=120)
    monkeypatch.setattr(readers, "ROWS", 64)
    _, row, chunks = fitted(file, fit_rows=120)
    assert [len(chunk) for chunk in chunks] == [64, 64, 64, 64, 44]
    assert frame(chunks).to_numpy().tolist() == people()
    assert row.state() == whole.state()


def test_a_sample_is_enough_for_numbers_and_all_rows_count_for_categories(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "ROWS", 100)
    rows = [[str(k * k), "rare" if k == 777 else "often"] for k in range(1000)]
    _, row, chunks = fitted(save(tmp_path / "t.csv", rows, ["n", "c"]), fit_rows=50)
    facts = row.facts()
    assert facts["rows"] == 1000
    assert facts["columns"]["c"]["distinct"] == 2
    assert there_and_back(row, chunks)["c"].tolist() == [values[1] for values in rows]


def test_columns_too_varied_to_be_counted_are_learnt_from_the_sample(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.data.table.field.DISTINCT", 30)
    rows = [[str((k * 7919) % 10_007)] for k in range(400)]
    _, row, chunks = fitted(save(tmp_path / "t.csv", rows, ["n"]), fit_rows=100)
    assert row.facts()["columns"]["n"]["distinct"] == 100
    assert there_and_back(row, chunks)["n"].astype(int).between(0, 10_007).all()


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
        ("t.jsonl", b'{"a": 1, "b": [{"c": 1}]}\n' * 3, r"'b' is of type list of objects.*--set codec\.drop=b"),
        ("t.jsonl", b'[\n{"a": 1},\n{"a": 2}\n]\n', r"one JSON object a line"),
        ("t.jsonl", b'[1]\n[2]\n', r"t.jsonl holds no row \(t.jsonl line 1 is no JSON object\)"),
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
    assert [(bad.name, bad.reason) for bad in chunk.rejected] == [
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


def test_a_first_line_of_numbers_is_a_row_unless_a_person_says_so(tmp_path):
    rows = [[str(k * k), str(k % 3)] for k in range(50)]
    file = save(tmp_path / "t.csv", rows, ["7", "3"])
    chunks = read(TableCodec(), file)
    assert "t.csv seems to have no header, since its first line (7, 3, ...)" in notes(chunks)[0]
    assert len(frame(chunks)) == 51
    assert list(frame(read(TableCodec(header=1), file)).columns) == ["7", "3"]


def rows_below(*above, n=60):
    return "".join(f"{line}\n" for line in (*above, *(f"{'abc'[k % 3]};{k * k}" for k in range(n))))


@pytest.mark.parametrize(
    ("text", "names", "note"),
    [
        (rows_below("sep=;", "name;age"), ["name", "age"], "the first line says what separates"),
        (rows_below('"sep=;"', "name;age"), ["name", "age"], "the first line says what separates"),
        (
            rows_below("Sales of 2024", "", "name;age"),
            ["name", "age"],
            "line 3 is taken for the first of the",
        ),
        (
            rows_below("Sales, of 2024;", "name;age"),
            ["name", "age"],
            "line 2 is taken for the first of the",
        ),
        (rows_below("b;7"), ["column_1", "column_2"], "no header, since its first line (b, 7, ...)"),
        (rows_below("name;2020"), ["name", "2020"], None),
        (rows_below("0;1"), ["0", "1"], None),
        (rows_below(";age"), ["Unnamed: 0", "age"], None),
    ],
)
def test_the_header_is_found_and_said(tmp_path, text, names, note):
    file = tmp_path / "t.csv"
    file.write_text(text)
    chunks = read(TableCodec(), file)
    assert list(frame(chunks).columns) == names
    assert len(frame(chunks)) == 60 + (names[0] == "column_1")
    assert [note in some for some in notes(chunks)] == ([True] if note else [])


def test_a_line_that_a_person_names_is_the_header(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(rows_below("name;age", "more;names"))
    codec = build("codecs", "table", {"header": "2"}, where="codec")
    assert codec.labels(source(file)) == ["more", "names"]
    assert len(read(codec, file)[0]) == 60
    none = build("codecs", "table", {"header": "0"}, where="codec")
    assert codec.later == {"header", "sheet", "encoding", "table", "query", "drop"}
    assert len(read(none, file)[0]) == 62
    file.write_text(rows_below("title", "name;age") + "only one\n")
    [chunk] = read(TableCodec(), file)
    assert [bad.name for bad in chunk.rejected] == ["t.csv line 63"]


def test_a_table_without_a_header_is_written_without_one(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text(rows_below())
    codec, row, chunks = fitted(file)
    again = RowField()
    again.restore(json.loads(json.dumps(row.state())))
    written = write(codec, again, there_and_back(row, chunks), tmp_path / "out")
    assert written.read_text() == file.read_text()


def test_windows_letters_are_read_as_such(tmp_path):
    file = tmp_path / "t.csv"
    file.write_bytes("name,n\n“Müller”,1\n5 €,2\n".encode("cp1252"))
    chunks = read(TableCodec(), file)
    assert frame(chunks)["name"].tolist() == ["“Müller”", "5 €"]
    assert "was read as cp1252" in notes(chunks)[0]
    file.write_bytes(b"name,n\nM\xfcller\x81,1\n")
    assert "was read as latin-1" in notes(read(TableCodec(), file))[0]


def test_an_encoding_that_is_stated(tmp_path):
    text = "miasto,n\n" + "".join(f"Łódź {i},{i}\n" for i in range(9))
    for encoding in ("cp1250", "iso8859-2", "utf-16-le", "UTF8"):
        file = tmp_path / "t.csv"
        file.write_bytes(text.encode(encoding))
        chunks = read(TableCodec(encoding=encoding), file)
        assert frame(chunks)["miasto"].tolist()[3] == "Łódź 3"
        assert notes(chunks) == []
    file.write_bytes("n,m\nŁź,1\n".encode("cp1250"))
    with pytest.raises(DataError, match=r"t\.csv is not ascii, as codec\.encoding says"):
        read(TableCodec(encoding="ascii"), file)
    with pytest.raises(RecipeError, match=r"codec\.encoding cannot be 'cp9999'"):
        TableCodec(encoding="cp9999")


def test_blanks_that_tell_values_apart_stay(tmp_path):
    file = tmp_path / "t.csv"
    file.write_text("n,word,other\n" + "".join(f"{k},{' ' * (k % 2)}a, x\n" for k in range(60)))
    _, row, chunks = fitted(file, types={"n": "integer"})
    assert set(frame(chunks)["word"]) == {"a", " a"}
    assert there_and_back(row, chunks).equals(frame(chunks))


def test_a_bad_value_is_named_with_its_row_in_the_file(tmp_path):
    days = [[str(date(2022, 1, 1) + timedelta(days=k)), str(k * k)] for k in range(400)]
    days[217][0] = "2022-02-31"
    file = save(tmp_path / "t.csv", days, ["day", "n"])
    dataset = prepare(source(file), TableCodec(), {}, ReadOptions(val=0.1, test=0.1))
    assert any("('2022-02-31' in row 218)" in warning for warning in dataset.stats.warnings)
    assert dataset.fields["row"].columns["day"].kind == "datetime"


def test_texts_alone_are_told_how_to_be_read(tmp_path):
    said = [f"It was a day like any other, and {k} birds sang in the trees" for k in range(50)]
    file = save(tmp_path / "t.csv", [[str(k), said[k], said[-k]] for k in range(50)], ["id", "a", "b"])
    with pytest.raises(DataError, match=r"--set codec\.name=text --set codec\.field=b"):
        fitted(file)


def test_nothing_to_model_is_refused(tmp_path):
    file = save(tmp_path / "t.csv", [[str(k), "x", ""] for k in range(50)], ["id", "c", "e"])
    sentence = "no column to model .*'id' is identifier, 'c' is constant, 'e' is constant"
    with pytest.raises(DataError, match=sentence) as error:
        fitted(file)
    assert error.value.code == "nothing-to-make"
    _, row, _ = fitted(file, types={"id": "integer"})
    assert row.space.spans == (Real(1),)
    with pytest.raises(DataError, match="'c' is constant, 'e' is constant"):
        row.without(("id",))
    with pytest.raises(DataError, match="all columns are given") as error:
        row.without(("id", "c", "e"))
    assert error.value.code == "nothing-to-make"
    with pytest.raises(DataError, match="the training split has no rows") as error:
        RowField().settle()
    assert error.value.code == "no-examples"


def test_warnings_tell_what_is_odd(tmp_path):
    draw = random.Random(0)
    rows = [
        [str(k), "x", "", f"c{draw.randrange(30)}", draw.choice(["inf", "1.5", str(k / 7)])]
        for k in range(200)
    ]
    file = save(tmp_path / "t.csv", rows, ["id", "one", "none", "many", "wild"])
    warnings = " | ".join(fitted(file, max_categories=9)[1].warnings())
    for part in (
        "column 'id' looks like an identifier",
        "column 'one' holds 'x' in every row",
        "column 'none' is empty in every row",
        "column 'many' has 30 different values: the 9 commonest are kept",
        "infinite values; each is kept as a symbol of its own",
    ):
        assert part in warnings


def test_encoding_another_table_is_refused(table, tmp_path):
    _, row, _ = fitted(table)
    names = [n.replace("age", "ages") for n in NAMES[:8]]
    other = save(tmp_path / "o.csv", [values[:8] for values in people(9)], names)
    with pytest.raises(DataError, match=r"no column 'age', .* did you mean 'ages'"):
        row.encode(frame(read(TableCodec(), other)))


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


def test_columns_that_are_dropped_are_neither_learnt_nor_made_but_can_be_given(table, tmp_path):
    codec, row, chunks = fitted(table, drop=["id", "note"], given=("note",))
    assert codec.labels(source(table)) == [name for name in NAMES if name not in ("id", "note")]
    assert list(there_and_back(row, chunks).columns) == codec.labels(source(table))
    assert len(chunks[0].values["note"]) == 300
    options = {"drop": ["id", "town"]}
    data = prepare(source(table), TableCodec(**options), options, ReadOptions(group="town"))
    assert "town" not in data.fields["row"].form.columns
    made = save(tmp_path / "made.csv", [values[1:7] for values in people()], NAMES[1:7])
    assert codec.fields(source(made), ReadOptions(made=True))["row"].form.columns == tuple(NAMES[1:7])
    assert codec.labels(source(made)) == NAMES[1:7]


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        (["aeg"], r"codec\.drop: there is no column 'aeg'; did you mean 'age'"),
        (NAMES, r"codec\.drop leaves no column"),
    ],
)
def test_a_drop_that_cannot_be_is_refused(table, names, sentence):
    with pytest.raises(RecipeError, match=sentence):
        TableCodec(drop=names).fields(source(table))


def test_a_column_of_records_is_refused_unless_it_is_dropped(tmp_path):
    file = tmp_path / "t.parquet"
    columns = {"tags": [[{"a": 1}], [{"a": 2}, {"a": 3}]] * 60, "n": [i % 7 for i in range(120)]}
    pq.write_table(pa.table(columns), file)
    with pytest.raises(DataError, match=r"'tags' is of type list<.*--set codec\.drop=tags"):
        fitted(file)
    _, row, chunks = fitted(file, drop=["tags"])
    assert there_and_back(row, chunks)["n"].tolist() == columns["n"]


def test_types_can_be_asked_for(table):
    _, row, _ = fitted(table, types={"age": "categorical", "id": "integer"})
    kinds = {name: fact["kind"] for name, fact in row.facts()["columns"].items()}
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
    codec, row, chunks = fitted(file)
    assert set(codec.labels(source(file))) == set(TYPED[0])
    written = write(codec, row, there_and_back(row, chunks), tmp_path / "out")
    assert written.name == "samples.jsonl"
    rows = [json.loads(line) for line in written.read_text(encoding="utf-8").splitlines()]
    assert rows == TYPED
    assert {type(row["n"]) for row in rows} == {int}
    assert {type(row["flag"]) for row in rows} == {bool}


NESTED = [
    {
        "user": {"age": 20 + k * k % 50, "home": {"city": ["Bern", "Oslo"][k % 2]}},
        "tags": [tag for i, tag in enumerate(["a", "b", 'c"d']) if k >> i & 1],
        "vector": [k % 11, (k * k) % 101 / 4],
        "seen": None if k % 5 else [k % 3],
    }
    for k in range(120)
]


def test_objects_and_lists_within_a_line_come_back_as_they_were(tmp_path):
    file = tmp_path / "t.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in NESTED))
    codec, row, chunks = fitted(file)
    assert codec.labels(source(file)) == ["user.age", "user.home.city", "tags", "vector", "seen"]
    assert row.columns["user.age"].kind == "integer"
    assert row.columns["tags"].kind == "tags"
    assert row.columns["vector"].kind == "composite"
    written = write(codec, row, there_and_back(row, chunks), tmp_path / "out")
    assert [json.loads(line) for line in written.read_text().splitlines()] == NESTED


def test_an_object_that_is_missing_is_missing_in_all_its_columns(tmp_path):
    file = tmp_path / "t.jsonl"
    rows = [{"user": {"age": k % 40}} if k % 4 else {"user": None} for k in range(120)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    codec, row, chunks = fitted(file)
    assert codec.labels(source(file)) == ["user.age"]
    back = there_and_back(row, chunks)["user.age"].tolist()
    assert [None if value != value else value for value in back] == [
        k % 40 if k % 4 else None for k in range(120)
    ]


def test_lists_of_parquet_are_tags_and_come_back_as_lists(tmp_path):
    file = tmp_path / "t.parquet"
    columns = {"tags": [row["tags"] for row in NESTED], "n": [k % 7 for k in range(120)]}
    columns["sizes"] = [None if k % 9 == 0 else [k % 5, k % 3 + 1] for k in range(120)]
    pq.write_table(pa.table(columns), file)
    codec, row, chunks = fitted(file)
    assert row.columns["tags"].kind == "tags"
    written = write(codec, row, there_and_back(row, chunks), tmp_path / "out")
    assert pq.read_table(written).to_pydict() == columns
    assert pq.read_schema(written).types == pq.read_schema(file).types


def test_a_few_bad_lines_of_json_are_passed_over(tmp_path):
    file = tmp_path / "t.jsonl"
    lines = [json.dumps(row) for row in TYPED]
    lines[3], lines[5] = "{oops", "[1]"
    file.write_text("\n".join(lines))
    [chunk] = read(TableCodec(), file)
    assert len(chunk) == 118
    assert [(bad.name, bad.reason) for bad in chunk.rejected] == [
        ("t.jsonl line 4", "is no JSON"),
        ("t.jsonl line 6", "is no JSON object"),
    ]


def test_late_keys_are_left_out_and_said(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "ROWS", 10)
    file = tmp_path / "t.jsonl"
    file.write_text(
        "\n".join(json.dumps({"a": k % 3, **({"late": 1} if k > 50 else {})}) for k in range(60))
    )
    chunks = read(TableCodec(), file)
    assert list(frame(chunks).columns) == ["a"]
    assert any("'late' came only after" in w for w in notes(chunks))


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
    _, row, chunks = fitted(file)
    result = there_and_back(row, chunks)
    assert (result.dtypes == frame(chunks).dtypes).all()
    again = RowField()
    again.restore(json.loads(json.dumps(row.state())))
    written = write(TableCodec(), again, result, tmp_path / "out")
    assert written.name == "samples.parquet"
    was, is_ = pq.read_table(file), pq.read_table(written)
    assert is_.schema.equals(was.schema)
    assert is_.to_pylist() == was.to_pylist()
    assert (pd.read_parquet(file).dtypes == pd.read_parquet(written).dtypes).all()


def test_parquet_conditions_take_what_a_person_types(tmp_path):
    _, row, chunks = fitted(parquet(tmp_path / "t.parquet"), given=("u", "day", "c"))
    assert chunks[0].values["u"][:3] == [0, 1, 2]
    x = row.tensor(frame(chunks)[:2]).numpy()
    result = row.decode(x, {"u": ["3", 4], "day": ["2024-02-01", date(2024, 2, 2)], "c": ["p", None]})
    assert result["u"].tolist() == [3, 4]
    assert result["day"].tolist() == [date(2024, 2, 1), date(2024, 2, 2)]
    assert (result.dtypes[["u", "f"]] == pd.Series({"u": "uint8[pyarrow]", "f": "float[pyarrow]"})).all()


def test_parquet_keeps_times_and_durations(tmp_path):
    seconds = [k * k % 86_400 for k in range(300, 420)]
    columns = {
        "time": pa.array(
            [(datetime.min + timedelta(seconds=s)).time() for s in seconds], pa.time64("us")
        ),
        "gone": pa.array(
            [None if s % 7 == 0 else timedelta(seconds=s) for s in seconds], pa.duration("ns")
        ),
    }
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    codec, row, chunks = fitted(tmp_path / "t.parquet")
    written = write(codec, row, there_and_back(row, chunks), tmp_path / "out")
    assert pq.read_table(written).equals(pq.read_table(tmp_path / "t.parquet"))


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint8(), pa.int64()])
@pytest.mark.parametrize("repeats", [1, 4])
def test_identifiers_of_a_typed_file_can_be_made(tmp_path, kind, repeats):
    first, n = (0, 100) if kind != pa.int64() else (2**60, 900)
    ids = [first + k * 7919 % n for k in range(n * repeats)]
    table = pa.table({"id": pa.array(ids, kind), "word": ["a", "b"] * (n * repeats // 2)})
    pq.write_table(table, tmp_path / "t.parquet")
    codec, row, chunks = fitted(tmp_path / "t.parquet")
    x = row.encode(frame(chunks))
    noise = np.random.default_rng(0).normal(size=(4 * len(x), x.shape[1])).astype(np.float32) * 60
    written = pq.read_table(write(codec, row, row.decode(noise), tmp_path / "out"))
    assert written.schema.field("id").type == kind
    if repeats > 1:
        assert set(written["id"].to_pylist()) <= set(ids)


def test_what_the_file_cannot_hold_is_refused_before_training(tmp_path, monkeypatch):
    """Whatever a column would write: here one that is broken on purpose."""
    pq.write_table(
        pa.table({"n": pa.array([k * k % 97 for k in range(99)], pa.int8())}), tmp_path / "t.parquet"
    )
    monkeypatch.setattr(
        "genwright.data.columns.types.Numeric.decode",
        lambda self, x, rng: [1000 + k for k in range(len(x))],
    )
    with pytest.raises(DataError, match="column 'n': a value cannot be written as int8") as error:
        fitted(tmp_path / "t.parquet")
    assert error.value.code == "type-too-narrow"


def test_the_index_of_pandas_is_no_column(tmp_path):
    file = tmp_path / "t.parquet"
    pd.DataFrame({"a": [1.5, 2.5, 4.0]}, index=[7, 8, 9]).to_parquet(file)
    assert TableCodec().labels(source(file)) == ["a"]
    assert list(frame(read(TableCodec(), file)).columns) == ["a"]


def test_types_that_no_table_has_are_refused(tmp_path):
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"ok": [1, 2], "tags": [[["a"]], [["b"]]]}), file)
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
    codec, row, chunks = fitted(table)
    preview = codec.preview({"row": frame(chunks)}, {"row": row})
    assert preview.kind == "rows"
    assert preview.rows[0] == tuple(NAMES)
    assert preview.rows[1:] == tuple(map(tuple, people()[:12]))
    gaps = pd.DataFrame({"a": [1, None], "b": [None, "x"]}, dtype=object)
    typed = codec.preview({"row": gaps}, {"row": row})
    assert typed.rows == (("a", "b"), ("1", ""), ("", "x"))


def test_what_a_network_makes_is_decoded_whatever_it_is(table):
    _, row, _ = fitted(table)
    x = np.random.default_rng(0).normal(size=(200, row.space.stored)).astype(np.float32) * 100
    x[0] = np.nan
    x[1] = np.inf
    result = row.decode(x)
    assert set(result["town"]) <= {values[2] for values in people()}
    assert set(result["member"]) == {"yes", "no"}
    pd.to_datetime(result["joined"], format="%Y-%m-%d")
    numbers = [float(values[3]) for values in people() if values[3]]
    made = [float(v) for v in result["income"] if v]
    assert min(numbers) <= min(made)
    assert max(made) <= max(numbers)


def test_no_rows_are_decoded_to_no_rows(table):
    _, row, _ = fitted(table)
    result = row.decode(np.zeros((0, row.space.stored), dtype=np.float32))
    assert list(result.columns) == NAMES
    assert len(result) == 0


# -- blanks between values -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{town:<12}{size:>6}  {day}", "two or more blanks"),
        ("{town}   {size}   {day}", "two or more blanks"),
        ('"{town}" {size} {day}', "by blanks"),
    ],
)
def test_values_between_blanks_are_found_said_and_written_so(tmp_path, line, said):
    cells = [
        (("New York", "Ulm")[k % 2], f"{k * 7 % 50 + 100}", f"2024-01-{k % 28 + 1:02d}")
        for k in range(60)
    ]
    lines = [
        line.format(town=town, size=size, day=day)
        for town, size, day in [("town", "size", "day"), *cells]
    ]
    file = tmp_path / "some.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    form = readers.inspect(file)
    assert form.columns == ("town", "size", "day")
    assert any(said in note for note in form.notes)
    ((frame, bad),) = readers.rows(file, form, [])
    assert not bad
    assert [*frame.itertuples(index=False, name=None)] == cells
    again = readers.write(frame, form, tmp_path / "made")
    assert readers.inspect(again).delimiter == form.delimiter
    ((back, _),) = readers.rows(again, form, [])
    assert back.equals(frame)
    assert len(readers.inspect(file, ",").columns) == 1


@pytest.mark.parametrize(
    "lines",
    [["full name", *["Ada Byron", "Alan Turing"] * 30], ["text", *["so it  goes", "a  b c", "x"] * 9]],
)
def test_a_text_with_blanks_is_one_column(tmp_path, lines):
    file = tmp_path / "some.csv"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    assert readers.inspect(file).columns == (lines[0],)


def test_columns_of_a_frame_are_put_together_by_place() -> None:
    """Whatever their frame calls its rows; a text that is missing is empty."""
    form = frames.TableFormat(".csv", ("a", "b", "c"))
    some = pd.Series(["x", None, "z"], index=[7, 8, 9], dtype="str")
    frame = frames.assemble(
        {"a": some, "b": [1, None, "t"], "c": pd.Series([1.5, 2, 3], index=[0, 5, 6])}, form
    )
    assert frame["a"].tolist() == ["x", "", "z"]
    assert frame["b"].tolist() == ["1", "", "t"]
    assert frame["c"].tolist() == ["1.5", "2.0", "3.0"]


def test_rows_of_one_patient_are_said_to_belong_together_unless_somebody_said_so(tmp_path):
    rows = [f"P{i % 60:03d},{i % 7},{i * 37 % 101 / 4}" for i in range(300)]
    path = tmp_path / "visits.csv"
    path.write_text("\n".join(["patient,kind,x", *rows]) + "\n")
    said = [w for w in look(path).warnings if "data.group" in w]
    assert len(said) == 1
    assert "several rows hold the same 'patient'" in said[0]
    assert "--set data.group=patient keeps them on one side of the split" in said[0]
    assert not [w for w in look(path, settings=["data.group=patient"]).warnings if "data.group" in w]
    path.write_text("\n".join(["drug,kind,x", *rows]) + "\n")
    assert not [w for w in look(path).warnings if "data.group" in w]
    path.write_text("\n".join(["patient_id,kind,x", *rows[:60]]) + "\n")  # each once
    assert not [w for w in look(path).warnings if "data.group" in w]
