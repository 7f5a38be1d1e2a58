"""Paired data by the conventions that people have: what is read, refused, written, and trained on."""

from __future__ import annotations

import csv
import json
import time
import wave
from base64 import b64decode
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import genwright
from commands import call
from genwright.api import make_recipe
from genwright.data.audio.codec import AudioCodec
from genwright.data.audio.field import ClipField
from genwright.data.codec import Codec, Preview, ReadOptions, Rows
from genwright.data.columns.field import ColumnField
from genwright.data.dataset import Dataset, wanted_fields
from genwright.data.image.codec import ImageCodec
from genwright.data.image.field import ImageField
from genwright.data.image.ops import pixels
from genwright.data.labels import goes_with
from genwright.data.preview import as_html
from genwright.data.sidecar import looks_like_text
from genwright.data.source import find
from genwright.data.text.codec import TextCodec
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.experiment import Experiment, open_data
from genwright.serving.results import as_examples

N = 30
COLOURS = ("red", "green", "blue")


# -- small sources ---------------------------------------------------------------------------------


def shade(i: int, side: int = 8) -> np.ndarray:
    """A picture `(side, side, 3)` that no other number has."""
    picture = np.full((side, side, 3), i, np.uint8)
    picture[0, 0] = (255 - i, i, 3)
    return picture


def put(path: Path, content: Any) -> Path:
    """A picture, a sound of one pitch, or a text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, np.ndarray) and content.ndim == 1:
        with wave.open(str(path), "wb") as file:
            file.setparams((1, 2, 1000, 0, "NONE", ""))
            file.writeframes((content * 20_000).astype("<i2").tobytes())
    elif isinstance(content, np.ndarray):
        Image.fromarray(content).save(path)
    else:
        path.write_text(content, encoding="utf-8")
    return path


def tone(i: int, samples: int = 64) -> np.ndarray:
    return np.sin(np.arange(samples) * (0.1 + 0.05 * i))


def lines(path: Path, rows: list[dict[str, Any]]) -> Path:
    return put(path, "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def table(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as .csv, .jsonl or .parquet."""
    if path.suffix == ".jsonl":
        return lines(path, rows)
    if path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as parquet

        parquet.write_table(pa.Table.from_pylist(rows), path)
        return path
    with path.open("w", encoding="utf-8", newline="") as stream:
        out = csv.DictWriter(stream, rows[0])
        out.writeheader()
        out.writerows(rows)
    return path


def twins(root: Path, first: str = "source", second: str = "target", n: int = N) -> Path:
    for i in range(n):
        put(root / first / f"{i}.png", shade(i))
        put(root / second / f"{i}.png", shade(255 - i))
    return root


def captioned(root: Path, n: int = N, suffix: str = ".txt") -> Path:
    for i in range(n):
        put(root / f"{i}.png", shade(i))
        put(root / f"{i}{suffix}", f"number {i}, {COLOURS[i % 3]}\n")
    return root


def opened(path: Path, **choices: Any) -> Dataset:
    return open_data(make_recipe(path, **choices))[1]


def examples(dataset: Dataset) -> list[dict[str, Any]]:
    """All examples of a data set, raw by field, decoded from what is cached."""
    found: list[dict[str, Any]] = []
    for split in dataset.splits.values():
        arrays = split.gather(np.arange(len(split)))
        raw = {
            name: dataset.fields[name].decode(dataset.fields[name].expand(compact).numpy())
            for name, compact in arrays.items()
        }
        found += [dict(zip(raw, row, strict=True)) for row in zip(*raw.values(), strict=True)]
    return found


def number(picture: Any) -> int:
    """Which `shade` it is."""
    return int(pixels(picture)[-1, -1, 0])


def fault(path: Path, **choices: Any) -> str:
    with pytest.raises(DataError) as error:
        opened(path, **choices)
    return error.value.code


def reasons(dataset: Dataset) -> dict[str, tuple[str, bool]]:
    return {bad.name: (bad.reason, bad.orphan) for bad in dataset.stats.bad}


def kinds(dataset: Dataset) -> dict[str, type]:
    return {name: type(field) for name, field in dataset.fields.items()}


def read(codec: Codec, path: Path, *given: str, name: str = "auto") -> Rows:
    """All rows of a source with some fields, joined."""
    source = find(path, name)
    options = ReadOptions(given)
    fields = wanted_fields(codec, source, options)
    whole = Rows({one: [] for one in fields}, [])
    for rows in codec.read(source, fields, options):
        for one, values in rows.values.items():
            whole.values[one] += values
        whole.keys += rows.keys
        whole.names += rows.names
        whole.rejected += rows.rejected
    return whole


TINY = {
    "size": "xs",
    "steps": 3,
    "settings": ["train.checks=1", "train.samples=2", "train.batch_size=4"],
}


def trained(path: Path, *settings: str, **choices: Any) -> genwright.Model:
    how = TINY | {"settings": [*TINY["settings"], *settings]}
    return genwright.train(path, out=Path(f"run-{path.name}"), **how, **choices)


# -- sidecars --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet", "labels.csv"])
def test_a_sidecar_of_captions_and_labels(tmp_path, name):
    rows = [
        {
            "file_name": f"sub/{i}.png",
            "caption": f"{COLOURS[i % 3]}, {i}",
            "kind": COLOURS[i % 3],
            "n": i,
        }
        for i in range(N)
    ]
    for i in range(N):
        put(tmp_path / "sub" / f"{i}.png", shade(i))
    table(tmp_path / name, rows)
    codec, source = ImageCodec(), find(tmp_path)
    assert codec.labels(source) == ["caption", "kind", "n", "label"], "a folder says something too"
    dataset = opened(tmp_path, given=["kind", "n", "caption"])
    assert kinds(dataset) == {
        "image": ImageField,
        "kind": ColumnField,
        "n": ColumnField,
        "caption": TextField,
    }
    found = examples(dataset)
    assert len(found) == N
    for example in found:
        i = number(example["image"])
        assert example["caption"] == f"{COLOURS[i % 3]}, {i}"
        assert example["kind"] == COLOURS[i % 3]
        assert round(float(example["n"])) == i


def test_the_sidecar_wins_over_a_caption_and_a_folder(tmp_path):
    for i in range(N):
        put(tmp_path / "there" / f"{i}.png", shade(i))
        put(tmp_path / "there" / f"{i}.txt", "of the file")
    table(
        tmp_path / "metadata.csv",
        [{"file_name": f"there/{i}.png", "caption": f"of row {i}", "label": "here"} for i in range(N)],
    )
    rows = read(ImageCodec(), tmp_path, "caption", "label")
    assert rows.values["caption"] == [f"of row {number(one)}" for one in rows.values["image"]]
    assert set(rows.values["label"]) == {"here"}


def test_a_sidecar_in_each_folder(tmp_path):
    for i in range(N):
        part = ("train", "test")[i % 2]
        put(tmp_path / part / "deep" / f"{i}.png", shade(i))
        put(tmp_path / f"{i}.png", shade(100 + i))
    for j, part in enumerate(["train", "test"]):
        rows = [
            {"file_name": f"deep/{i}.png", "caption": f"number {i}", part: i} for i in range(j, N, 2)
        ]
        table(tmp_path / part / "metadata.csv", rows)
    codec, source = ImageCodec(), find(tmp_path)
    assert source.codec == "image"
    assert codec.labels(source) == ["caption", "test", "train", "label"]
    assert {path.name for path in codec.companions(source)} == {"metadata.csv"}
    rows = read(codec, tmp_path, "caption", "label")
    assert len(rows) == N
    for picture, caption, label in zip(*rows.values.values(), strict=True):
        i = number(picture)
        assert (caption, label) == (f"number {i}", ("train", "test")[i % 2])
    assert {(bad.name, bad.reason) for bad in rows.rejected} == {
        (f"{i}.png", "it has no 'caption'") for i in range(N)
    }
    only = read(codec, tmp_path, "train")
    assert len(only) == N // 2
    assert ("test/deep/1.png", "it has no 'train'") in {(b.name, b.reason) for b in only.rejected}


def test_the_nearest_sidecar_rules_a_file(tmp_path):
    for name in ("near/0", "near/1", "far/0", "far/1"):
        put(tmp_path / f"{name}.png", shade(len(name)))
    outer = [{"file_name": f"{name}.png", "kind": "outer"} for name in ("near/0", "near/1", "far/0")]
    table(tmp_path / "metadata.csv", outer)
    table(
        tmp_path / "near/labels.csv", [{"file": "0.png", "kind": "inner"}, {"file": "2.png", "kind": ""}]
    )
    rows = read(ImageCodec(), tmp_path, "kind")
    assert dict(zip(rows.names, rows.values["kind"], strict=True)) == {
        "near/0": "inner",
        "far/0": "outer",
    }
    assert {bad.name: bad.reason for bad in rows.rejected} == {
        "near/2.png": "near/labels.csv names it, but there is no such file",
        "near/1.png": "near/labels.csv has no row for it",
        "far/1.png": "metadata.csv has no row for it",
    }


def test_further_files_of_sidecars_in_two_folders(tmp_path):
    for part in "ab":
        rows = []
        for i in range(ord(part), ord(part) + 3):
            put(tmp_path / part / "x" / f"{i}.png", shade(i))
            put(tmp_path / part / "y" / f"{i}.png", shade(255 - i))
            rows.append({"input_file_name": f"x/{i}.png", "output_file_name": f"y/{i}.png"})
        table(tmp_path / part / "metadata.jsonl", rows)
    assert ImageCodec().labels(find(tmp_path)) == ["output", "label"]
    rows = read(ImageCodec(), tmp_path, "output", "label")
    assert [255 - number(one) for one in rows.values["output"]] == list(
        map(number, rows.values["input"])
    )
    assert rows.values["label"] == ["a"] * 3 + ["b"] * 3
    lines(tmp_path / "b/metadata.jsonl", [{"input_file_name": "../a/x/97.png"}])
    with pytest.raises(DataError, match=r"b/metadata\.jsonl, line 1 names '\.\./a/x/97\.png'"):
        opened(tmp_path)


@pytest.mark.parametrize(
    "row", [{"input_file_name": "0.png"}, {"file_name": "0.png", "kind_file_name": "0.png"}]
)
def test_sidecars_that_contradict_each_other(tmp_path, row):
    for part in "ab":
        put(tmp_path / part / "0.png", shade(1))
    lines(tmp_path / "a/metadata.jsonl", [{"file_name": "0.png", "kind": 3}])
    lines(tmp_path / "b/metadata.jsonl", [row])
    assert fault(tmp_path) == "sidecars-differ"


def test_a_changed_sidecar_in_a_folder_is_read_again(tmp_path):
    for i in range(N):
        put(tmp_path / "train" / f"{i}.png", shade(i))
    rows = [{"file_name": f"{i}.png", "kind": COLOURS[i % 3]} for i in range(N)]
    table(tmp_path / "train/metadata.jsonl", rows)
    before = opened(tmp_path, given=["kind"])
    table(tmp_path / "train/metadata.jsonl", [row | {"kind": "new"} for row in rows])
    after = opened(tmp_path, given=["kind"])
    assert before.key != after.key
    assert {one["kind"] for one in examples(after)} == {"new"}


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([f"a picture of {i} dogs" for i in range(N)], True),
        ([f"a picture of {i % 3} dogs" for i in range(N)], False),
        ([f"id-{i}" for i in range(N)], False),
        ([f"2024-01-{i:02} 10:{i:02}" for i in range(N)], False),
        (["a picture of a dog"], False),
        (list(range(N)), False),
    ],
)
def test_what_hardly_repeats_and_holds_words_is_a_text(tmp_path, values, text):
    assert looks_like_text(values) == text
    for i in range(len(values)):
        put(tmp_path / f"{i}.png", shade(i))
    table(tmp_path / "metadata.csv", [{"file_name": f"{i}.png", "odd": v} for i, v in enumerate(values)])
    field = ImageCodec().fields(find(tmp_path))["odd"]
    assert type(field) is (TextField if text else ColumnField)


def test_a_row_without_a_text_is_half_a_pair_only_where_texts_are_wanted(tmp_path):
    captioned_rows = [{"file_name": f"{i}.png", "text": f"words {i}" if i else " "} for i in range(N)]
    for i in range(N):
        put(tmp_path / f"{i}.png", shade(i))
    table(tmp_path / "metadata.csv", [*captioned_rows, {"file_name": "gone.png", "text": "x"}])
    plain = opened(tmp_path)
    assert sum(plain.stats.counts.values()) == N
    assert [bad.orphan for bad in plain.stats.bad] == [False]
    told = opened(tmp_path, given=["text"])
    assert sum(told.stats.counts.values()) == N - 1
    assert reasons(told) == {
        "0.png": ("it has no 'text'", True),
        "gone.png": ("metadata.csv names it, but there is no such file", True),
    }


@pytest.mark.parametrize("given", ["/etc/x.png", "../x.png", "sub/../../x.png", "C:\\x.png", "\\x.png"])
@pytest.mark.parametrize("column", ["file_name", "target_file_name"])
def test_a_file_outside_the_folder_is_refused(tmp_path, given, column):
    put(tmp_path / "x.png", shade(1))
    root = tmp_path / "data"
    for i in range(4):
        put(root / f"{i}.png", shade(i))
    rows = [{"file_name": f"{i}.png", "target_file_name": f"{i}.png"} for i in range(4)]
    table(root / "metadata.jsonl", [*rows[:-1], rows[-1] | {column: given}])
    with pytest.raises(DataError, match=r"metadata\.jsonl, line 4 names .* outside") as error:
        opened(root)
    assert error.value.code == "file-outside-folder"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("metadata.csv", "name,kind\n0.png,a\n", "no-file-column"),
        ("metadata.jsonl", '{"kind": "a"}\n', "no-file-column"),
        ("metadata.csv", "file_name,kind,kind\n0.png,a,b\n", "same-name-twice"),
        ("metadata.csv", "file_name,target,target_file_name\n0.png,a,0.png\n", "same-name-twice"),
        ("metadata.parquet", "no parquet", "unreadable-sidecar"),
    ],
)
def test_a_sidecar_that_cannot_be_used(tmp_path, name, content, code):
    put(tmp_path / "0.png", shade(0))
    put(tmp_path / "1.png", shade(1))
    put(tmp_path / name, content)
    assert fault(tmp_path) == code


def test_broken_lines_of_a_sidecar_are_named(tmp_path):
    for i in range(3):
        put(tmp_path / f"{i}.png", shade(i))
    good = "".join(f'{{"file_name": "{i}.png", "kind": {i}}}\n' for i in range(2))
    put(tmp_path / "metadata.jsonl", good + '{"file\n"a text"\n{"kind": 3}\n{"file_name": "1.png"}\n')
    rows = read(ImageCodec(), tmp_path, "kind")
    assert rows.values["kind"] == [0, 1]
    found = {bad.name: bad.reason for bad in rows.rejected}
    assert found.pop("metadata.jsonl, line 3").startswith("it is not JSON: ")
    assert found == {
        "metadata.jsonl, line 4": 'it is not an object like {"file_name": "..."}',
        "metadata.jsonl, line 5": "it names no file",
        "metadata.jsonl, line 6": "it names '1.png' a second time",
        "2.png": "metadata.jsonl has no row for it",
    }


# -- further files ---------------------------------------------------------------------------------


def test_further_files_of_a_row(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / "masks" / f"{N - i}.png", shade(255 - i))
        rows.append({"file_name": f"{i}.png", "mask_file_name": f"masks/{N - i}.png"})
    table(tmp_path / "metadata.csv", rows)
    assert ImageCodec().labels(find(tmp_path)) == ["mask"], "a folder of further files is no label"
    assert sum(opened(tmp_path).stats.counts.values()) == N, "those are no examples of their own"
    dataset = opened(tmp_path, make="mask", given=["image"])
    assert kinds(dataset) == {"image": ImageField, "mask": ImageField}
    assert {field.frame for field in dataset.fields.values()} == {"image"}
    pairs = {number(one["image"]): number(one["mask"]) for one in examples(dataset)}
    assert pairs == {i: 255 - i for i in range(N)}


def test_without_a_plain_column_the_first_is_the_main_field(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / f"a{i}.png", shade(i))
        put(tmp_path / f"b{i}.png", shade(255 - i, side=16))
        rows.append({"input_file_name": f"a{i}.png", "target_file_name": f"b{i}.png"})
    table(tmp_path / "metadata.jsonl", rows)
    dataset = opened(tmp_path, make="target", given=["input"])
    assert dataset.main == "input"
    assert [field.space.grid for field in dataset.fields.values()] == [(8, 8), (16, 16)]
    pairs = {number(one["input"]): number(one["target"]) for one in examples(dataset)}
    assert pairs == {i: 255 - i for i in range(N)}


def test_a_further_file_that_is_missing(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / "t" / f"{i}.png", shade(255 - i))
        rows.append({"file_name": f"{i}.png", "target_file_name": f"t/{i}.png"})
    rows[3]["target_file_name"] = ""
    (tmp_path / "t/4.png").unlink()
    table(tmp_path / "metadata.csv", rows)
    dataset = opened(tmp_path, make="target", given=["image"])
    assert reasons(dataset) == {
        "3.png": ("its target is not there", True),
        "t/3.png": ("metadata.csv has no row for it", True),
        "4.png": ("its target t/4.png is not there", True),
    }
    for i in range(5, 9):
        (tmp_path / f"t/{i}.png").unlink()
    assert fault(tmp_path, make="target", given=["image"]) == "pairs-incomplete"


def test_pictures_of_one_example_are_varied_together(tmp_path):
    for i in range(N):
        half = shade(200 + i)
        half[:, :4] = 0
        put(tmp_path / "data" / "image" / f"{i}.png", half)
        put(tmp_path / "data" / "mask" / f"{i}.png", half // 2)
    model = trained(
        tmp_path / "data",
        'codec.augment=["shift", "flip"]',
        family="diffusion",
        make="mask",
        given=["image"],
    )
    import torch

    rng = torch.Generator().manual_seed(0)
    batch = model.pipeline.batch(
        model.dataset.splits["train"], np.arange(8), torch.device("cpu"), rng, augment=True
    )
    black = [(one < -0.9).all(1) for one in (batch.x, batch.cond["image"])]
    assert len({tuple(one.flatten().tolist()) for one in black[0]}) > 1, "they are varied"
    assert torch.equal(*black)


@pytest.mark.parametrize("name", ["metadata.jsonl", "metadata.parquet"])
@pytest.mark.parametrize("main", ["", "first_"])
def test_lists_of_files(tmp_path, name, main):
    rows = []
    for i in range(N):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / "t" / f"{i}.png", shade(255 - i))
        rows.append({f"{main}file_names": [f"{i}.png"], "target_file_names": [f"t/{i}.png"]})
    path = table(tmp_path / name, rows)
    found = read(ImageCodec(), tmp_path, "target")
    assert list(found.values) == ["first" if main else "image", "target"]
    pairs = zip(*(map(number, some) for some in found.values.values()), strict=True)
    assert sorted(pairs) == [(i, 255 - i) for i in range(N)]
    rows[7]["target_file_names"] = []
    table(path, rows)
    (bad,) = read(ImageCodec(), tmp_path, "target").rejected[:1]
    assert (bad.name, bad.reason, bad.orphan) == ("7.png", "its target is not there", True)
    rows[5]["target_file_names"] = ["t/5.png", "t/6.png"]
    table(path, rows)
    where = f"{name}, {'line' if name.endswith('l') else 'row'} 6"
    with pytest.raises(DataError, match=f"^{where} has 2 files in 'target_file_names'") as error:
        opened(tmp_path)
    assert error.value.code == "list-of-files"


def fill50k(root: Path, name: str = "prompt.json", n: int = N, **more: Any) -> Path:
    twins(root, n=n)
    rows = [
        {"source": f"source/{i}.png", "target": f"target/{i}.png", "prompt": f"circle {i}"} | more
        for i in range(n)
    ]
    lines(root / name, rows)
    return root


@pytest.mark.parametrize("name", ["prompt.json", "train.jsonl", "metadata.jsonl"])
def test_values_that_are_paths_of_files(tmp_path, name):
    source = find(fill50k(tmp_path, name, shape="round"))
    assert source.codec == "image"
    fields = ImageCodec().fields(source)
    assert {name: type(field) for name, field in fields.items()} == {
        "source": ImageField,
        "target": ImageField,
        "prompt": TextField,
        "shape": ColumnField,
    }
    dataset = opened(tmp_path, make="target", given=["source", "prompt"])
    found = {number(one["source"]): (number(one["target"]), one["prompt"]) for one in examples(dataset)}
    assert found == {i: (255 - i, f"circle {i}") for i in range(N)}


def test_a_further_picture_that_a_line_names(tmp_path):
    rows = []
    for i in range(4):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / "edges" / f"{i}.png", shade(255 - i))
        rows.append({"image": f"{i}.png", "conditioning_image": f"edges/{i}.png", "text": f"{i}"})
    lines(tmp_path / "metadata.jsonl", rows)
    found = read(ImageCodec(), tmp_path, "conditioning_image", "text")
    assert list(map(number, found.values["image"])) == [0, 1, 2, 3]
    assert list(map(number, found.values["conditioning_image"])) == [255, 254, 253, 252]


def test_paths_of_files_that_are_missing_or_outside(tmp_path):
    fill50k(tmp_path)
    (tmp_path / "source/3.png").unlink()
    (tmp_path / "target/4.png").unlink()
    rejected = read(ImageCodec(), tmp_path, "target", "prompt").rejected
    assert {bad.name: (bad.reason, bad.orphan) for bad in rejected} == {
        "source/3.png": ("prompt.json names it, but there is no such file", True),
        "source/4.png": ("its target target/4.png is not there", True),
    }
    with (tmp_path / "prompt.json").open("a") as more:
        more.write('{"source": "source/../../x.png", "target": "target/5.png"}\n')
    assert fault(tmp_path) == "file-outside-folder"


@pytest.mark.parametrize(
    "content",
    [
        '{"a": {"b": 3}}',
        '{"images": ["source/0.png"]}',
        "[" + "0," * 50_000 + "0]",
        "not JSON",
        "\xff",
        '{"source": "elsewhere/0.png"}\n',
    ],
)
def test_json_that_names_no_files_is_passed_over(tmp_path, content):
    twins(tmp_path, n=4)
    (tmp_path / "notes.json").write_bytes(content.encode("latin-1"))
    assert list(ImageCodec().fields(find(tmp_path))) == ["source", "target"]
    (tmp_path / "notes.json").rename(tmp_path / "notes.jsonl")
    assert fault(tmp_path) == "mixed-kinds"


def test_json_of_each_picture_is_no_table(tmp_path):
    for i in range(4):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / f"{i}.json", json.dumps({"filename": f"{i}.png", "likes": i}))
    assert list(ImageCodec().fields(find(tmp_path))) == ["image"]
    assert len(read(ImageCodec(), tmp_path)) == 4


def test_a_long_line_of_a_sidecar_is_no_fault(tmp_path):
    put(tmp_path / "0.png", shade(0))
    put(tmp_path / "1.png", shade(1))
    long = ",".join(f"{name}.png," + "word " * 20_000 + f",{'x' * 99_999}" for name in "0")
    put(tmp_path / "metadata.csv", f"file_name,text,note\n{long}\n1.png,short,note\n")
    assert len(read(ImageCodec(), tmp_path, "text")) == 2


# -- captions --------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".txt", ".caption"])
def test_captions_of_the_same_stem(tmp_path, suffix):
    captioned(tmp_path / "sub", suffix=suffix)
    put(tmp_path / "sub" / "readme.txt", "not a caption")
    put(tmp_path / "sub" / "lonely.png", shade(99))
    put(tmp_path / "sub" / f"forgotten{suffix}", "of nothing")
    put(tmp_path / "sub" / "blank.png", shade(98))
    put(tmp_path / "sub" / f"blank{suffix}", " \n")
    dataset = opened(tmp_path, make="caption", given=["image"])
    assert kinds(dataset) == {"image": ImageField, "caption": TextField}
    assert ImageCodec().labels(dataset.source) == ["caption", "label"]
    found = {number(one["image"]): one["caption"] for one in examples(dataset)}
    assert found == {i: f"number {i}, {COLOURS[i % 3]}" for i in range(N)}
    assert reasons(dataset) == {
        "sub/lonely.png": ("it has no 'caption'", True),
        "sub/blank.png": ("it has no 'caption'", True),
        f"sub/forgotten{suffix}": ("there is no image of this name", True),
    }


def test_captions_that_nobody_wants_cost_nothing(tmp_path):
    captioned(tmp_path, n=4)
    for i in range(4, N):
        put(tmp_path / f"{i}.png", shade(i))
    dataset = opened(tmp_path)
    assert sum(dataset.stats.counts.values()) == N
    assert not dataset.stats.bad
    assert fault(tmp_path, given=["caption"]) == "pairs-incomplete"


def test_a_changed_caption_is_read_again(tmp_path):
    captioned(tmp_path)
    how: dict[str, Any] = {"given": ["caption"]}
    before = opened(tmp_path, **how)
    put(tmp_path / "3.txt", "another")
    after = opened(tmp_path, **how)
    assert before.key != after.key
    assert {number(one["image"]): one["caption"] for one in examples(after)}[3] == "another"


def test_a_caption_of_two_pictures(tmp_path):
    captioned(tmp_path)
    put(tmp_path / "3.jpg", shade(77))
    assert fault(tmp_path, given=["caption"]) == "two-files-one-stem"
    opened(tmp_path)  # without it, both are pictures


def test_pictures_and_captions_are_a_source_of_pictures(tmp_path):
    captioned(tmp_path, n=3)
    files = sorted(tmp_path.iterdir())
    assert ImageCodec.sniff(files) == 0.5
    assert ImageCodec.own(files) == [file for file in files if file.suffix == ".png"]
    assert ImageCodec.sniff([*files, put(tmp_path / "a.csv", "x")]) == 0
    assert ImageCodec.sniff([*files, put(tmp_path / "metadata.csv", "x")]) == 0.5
    assert ImageCodec.sniff([*files, put(tmp_path / "else" / "a.txt", "x")]) == 0, "no caption is there"
    assert AudioCodec.sniff(files) == 0
    assert (
        goes_with([put(tmp_path / "sounds/0.txt", "x")], [put(tmp_path / "sounds/1.wav", tone(1))])
        == set()
    )


def test_many_captions_are_told_apart_at_once():
    files = [Path(f"many/{i}{suffix}") for i in range(10_000) for suffix in (".png", ".txt")]
    began = time.monotonic()
    assert ImageCodec.sniff(files) == 0.5
    assert time.monotonic() - began < 10, "it took 50 s when each was looked for among all"


# -- twin folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("first", "second"), [("source", "target"), ("LR", "HR"), ("images", "masks")])
def test_twin_folders_are_paired_by_stem(tmp_path, first, second):
    twins(tmp_path, first, second)
    put(tmp_path / first / "deep/0.png", shade(100))
    put(tmp_path / second / "deep/0.jpg", shade(200))
    put(tmp_path / first / "only.png", shade(101))
    put(tmp_path / second / "lonely.png", shade(102))
    dataset = opened(tmp_path, make=second, given=[first])
    assert kinds(dataset) == {first: ImageField, second: ImageField}
    assert dataset.main == first
    pairs = {number(one[first]): number(one[second]) for one in examples(dataset)}
    assert {a: b for a, b in pairs.items() if a < N} == {i: 255 - i for i in range(N)}
    assert pairs[100] == pytest.approx(200, abs=15)
    assert reasons(dataset) == {
        f"{first}/only.png": (f"there is no file of this name in {second}", True),
        f"{second}/lonely.png": (f"there is no file of this name in {first}", True),
    }


def test_any_two_folders_are_twins_when_both_are_named(tmp_path):
    twins(tmp_path, "day", "night")
    for i in range(5):
        put(tmp_path / "else" / f"{i}.png", shade(40 + i))
    assert kinds(opened(tmp_path)) == {"image": ImageField, "label": ColumnField}
    dataset = opened(tmp_path, make="night", given=["day"])
    pairs = {number(one["day"]): number(one["night"]) for one in examples(dataset)}
    assert pairs == {i: 255 - i for i in range(N)}


def test_a_known_pair_of_names_without_a_common_stem_is_two_classes(tmp_path):
    for i in range(N):
        put(tmp_path / "input" / f"a{i}.png", shade(i))
        put(tmp_path / "output" / f"b{i}.png", shade(255 - i))
    assert kinds(opened(tmp_path)) == {"image": ImageField, "label": ColumnField}
    assert fault(tmp_path, make="output", given=["input"]) == "too-few-examples"


def test_twins_that_do_not_fit(tmp_path):
    twins(tmp_path)
    put(tmp_path / "target/3.jpg", shade(3))
    assert fault(tmp_path, make="target", given=["source"]) == "two-files-one-stem"
    (tmp_path / "target/3.jpg").unlink()
    for i in range(5):
        (tmp_path / f"target/{i}.png").unlink()
    assert fault(tmp_path, make="target", given=["source"]) == "pairs-incomplete"


# -- sounds ----------------------------------------------------------------------------------------


def test_transcribed_sounds(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / f"{i}.wav", tone(i))
        rows.append({"file_name": f"{i}.wav", "transcription": f"word {i}"})
    table(tmp_path / "metadata.csv", rows)
    dataset = opened(tmp_path, make="transcription", given=["audio"])
    assert kinds(dataset) == {"audio": ClipField, "transcription": TextField}
    tones = {
        tuple(sample.samples): i for i, sample in enumerate(read(AudioCodec(), tmp_path).values["audio"])
    }
    names = read(AudioCodec(), tmp_path).names
    for one in examples(dataset):
        assert one["transcription"] == f"word {names[tones[tuple(one['audio'].samples)]]}"


def ljspeech(root: Path, *columns: str, folder: str = "wavs") -> Path:
    """Clips, and a table of what is said in them, written with `{i}` in each column."""
    for i in range(N):
        put(root / folder / f"LJ-{i}.wav", tone(i))
    body = [f"LJ-{i}|" + "|".join(columns).format(i=i) for i in range(N)]
    put(root / "metadata.csv", "\n".join(body) + "\n")
    return root


@pytest.mark.parametrize("folder", ["wavs", ""])
@pytest.mark.parametrize(
    "columns", [('"Dr. {i}, he said,"no',), ('"Dr. {i}, he said,"no', "doctor {i}")]
)
def test_ljspeech(tmp_path, folder, columns):
    source = find(ljspeech(tmp_path, *columns, folder=folder))
    names = ["text", "normalized_text"][: len(columns)]
    assert source.codec == "audio"
    fields = AudioCodec().fields(source)
    assert {name: type(field) for name, field in fields.items()} == {
        "audio": ClipField,
        **dict.fromkeys(names, TextField),
    }, "the folder wavs is no label"
    assert AudioCodec().default_labels(source) == []
    rows = read(AudioCodec(), tmp_path, *names)
    assert len(rows) == N
    for i, name in enumerate(rows.names):
        number = name.split("-")[1]
        heard = (tone(int(number)) * 20_000).astype(np.int16)
        assert np.array_equal(rows.values["audio"][i].samples, heard)
        for column, form in zip(names, columns, strict=True):
            assert rows.values[column][i] == form.format(i=number)
    dataset = opened(tmp_path, make=names[-1], given=["audio"])
    assert {one[names[-1]] for one in examples(dataset)} == {columns[-1].format(i=i) for i in range(N)}


def test_ljspeech_whose_sides_are_missing(tmp_path):
    ljspeech(tmp_path, "word {i}", "word {i}")
    (tmp_path / "wavs/LJ-3.wav").rename(tmp_path / "wavs/LJ-99.wav")
    said = (tmp_path / "metadata.csv").read_text().splitlines()
    said[4:7] = "LJ-4|one|two|three", "LJ-5|word 5| ", "|word|word"
    put(tmp_path / "metadata.csv", "\n".join([*said, "LJ-0|again|again"]))
    rejected = read(AudioCodec(), tmp_path, "normalized_text").rejected
    assert {bad.name: (bad.reason, bad.orphan) for bad in rejected} == {
        "wavs/LJ-3.wav": ("metadata.csv names it, but there is no such file", True),
        "metadata.csv, line 5": ("it has 4 fields, the first line 3", False),
        "metadata.csv, line 7": ("it names no file", False),
        f"metadata.csv, line {N + 1}": ("it names 'wavs/LJ-0.wav' a second time", False),
        "wavs/LJ-4.wav": ("metadata.csv has no row for it", True),
        "wavs/LJ-5.wav": ("it has no 'normalized_text'", True),
        "wavs/LJ-6.wav": ("metadata.csv has no row for it", True),
        "wavs/LJ-99.wav": ("metadata.csv has no row for it", True),
    }


def test_a_table_with_bars_that_names_no_clip_is_none_of_ljspeech(tmp_path):
    ljspeech(tmp_path, "word {i}")
    put(tmp_path / "metadata.csv", "".join(f"other-{i}|word {i}\n" for i in range(N)))
    assert fault(tmp_path) == "no-file-column"


def test_two_sounds_are_cut_at_the_same_places(tmp_path):
    for i in range(N):
        put(tmp_path / "input" / f"{i}.wav", tone(i, 150))
        put(tmp_path / "output" / f"{i}.wav", tone(i, 150) / 2)
    put(tmp_path / "output/7.wav", tone(7, 60) / 2)
    codec = AudioCodec(seconds=0.05)
    rows = read(codec, tmp_path, "output")
    assert rows.names[:4] == ["input/0-0", "input/0-1", "input/0-2", "input/1-0"]
    for one, other in zip(rows.values["input"], rows.values["output"], strict=True):
        assert np.abs(one.samples / 2 - other.samples).max() <= 1
    assert len(rows) == 3 * N - 2
    ended = [bad for bad in rows.rejected if bad.orphan]
    assert [bad.name for bad in ended] == ["input/7-1", "input/7-2"]
    fields = codec.fields(find(tmp_path))
    assert {field.frame for field in fields.values()} == {"audio"}


def test_captions_of_sounds(tmp_path):
    for i in range(N):
        put(tmp_path / f"{i}.wav", tone(i))
        put(tmp_path / f"{i}.txt", f"tone {i}")
    rows = read(AudioCodec(), tmp_path, "caption")
    assert rows.values["caption"] == [f"tone {name}" for name in rows.names]


# -- texts -----------------------------------------------------------------------------------------


def questions(n: int = N) -> list[tuple[str, str]]:
    return [(f"how much is {i} and {i}?", f"it is {2 * i}") for i in range(n)]


def test_answers_are_made_from_their_questions_unless_a_person_says_otherwise(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"prompt": q, "completion": a} for q, a in questions()])
    for choices, name, given in (
        ({}, "pair", ["prompt"]),
        ({"task": "generate"}, "generate", []),
        ({"make": "prompt"}, "pair", []),
    ):
        recipe, dataset = open_data(make_recipe(path, **choices))
        assert (recipe.task.name, recipe.task.options["given"]) == (name, given)
        assert ("prompt" in dataset.fields) == bool(given or "make" in choices)
    one = lines(tmp_path / "b.jsonl", [{"text": q, "summary": a} for q, a in questions()])
    assert open_data(make_recipe(one))[0].task.options["given"] == []


def asked_and_answered(path: Path) -> None:
    dataset = opened(path, given=["prompt"])
    assert kinds(dataset) == {"completion": TextField, "prompt": TextField}
    assert all(not field.stream for field in dataset.fields.values())
    assert (
        dataset.fields["prompt"].state()["alphabet"] != dataset.fields["completion"].state()["alphabet"]
    )
    found = {one["prompt"]: one["completion"] for one in examples(dataset)}
    assert found.keys() == {f"user: {question}" for question, _ in questions()} or (
        found.keys() == {question for question, _ in questions()}
    )
    assert all(answer in found.values() for _, answer in questions())
    for prompt, completion in found.items():
        i = int(prompt.split(" and ")[1].rstrip("?"))
        assert completion == f"it is {2 * i}"


@pytest.mark.parametrize(
    "line",
    [
        lambda q, a: {"prompt": q, "completion": a, "id": 3},
        lambda q, a: {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]},
        lambda q, a: {"conversations": [{"from": "human", "value": q}, {"from": "gpt", "value": a}]},
        lambda q, a: {
            "prompt": [{"role": "user", "content": [{"type": "text", "text": q}]}],
            "completion": [{"role": "assistant", "content": a}],
        },
        lambda q, a: {"instruction": q, "input": "", "output": a},
        lambda q, a: {"instruction": q, "context": None, "response": a, "category": "qa"},
    ],
    ids=["strings", "messages", "conversations", "turns", "alpaca", "dolly"],
)
def test_prompts_and_completions(tmp_path, line):
    path = lines(tmp_path / "a.jsonl", [line(*pair) for pair in questions()])
    assert TextCodec.sniff([path]) == 0.7
    asked_and_answered(path)


def test_what_an_instruction_is_about_stands_behind_it(tmp_path):
    line = {"instruction": "Sum up.", "input": "Rain all day.", "output": "Wet.", "topic": "weather"}
    path = lines(tmp_path / "a.jsonl", N * [line])
    (one, *_) = examples(opened(path, given=["prompt"]))
    assert (one["prompt"], one["completion"]) == ("Sum up.\n\nRain all day.", "Wet.")
    assert opened(path, given=["topic"]).fields["topic"]
    by_name = opened(path, settings=["codec.field=instruction"])
    assert examples(by_name)[0]["text"] == "Sum up."


def test_an_answer_is_made_and_its_question_given(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"question": q, "answer": a} for q, a in questions()])
    assert TextCodec.sniff([path]) == 0.7
    recipe, dataset = open_data(make_recipe(path))
    assert recipe.task.options["given"] == ["question"]
    assert dataset.fields.keys() == {"answer", "question"}


TALK = [
    *(("system", "be short"), ("user", "one?"), ("assistant", "1"), ("user", "two?")),
    *(("assistant", "2"), ("user", "thanks")),
]


def spoken_turns(*turns: tuple[str, str]) -> list[dict[str, str]]:
    return [{"role": role, "content": text} for role, text in turns]


def test_each_answer_is_a_completion_of_all_before_it(tmp_path):
    whole = [{"messages": spoken_turns(*TALK), "topic": "sums"}]
    mute = [{"messages": [{"role": "user", "content": "hello?"}]}]
    odd = [{"messages": [{"role": "user", "text": "hello?"}]}]
    first = [{"messages": spoken_turns(("assistant", "unasked"))}]
    greeted = [{"messages": spoken_turns(("assistant", "hi"), ("user", "three?"), ("assistant", "3"))}]
    path = lines(tmp_path / "a.jsonl", [*whole, *mute, *odd, *first, *greeted])
    rows = read(TextCodec(), path, "prompt")
    assert rows.values == {
        "completion": ["1", "2", "3"],
        "prompt": [
            "system: be short\nuser: one?",
            "system: be short\nuser: one?\nassistant: 1\nuser: two?",
            "assistant: hi\nuser: three?",
        ],
    }
    assert {bad.name: bad.reason for bad in rows.rejected} == {
        "a.jsonl line 2": "has no turn of the assistant",
        "a.jsonl line 3": 'has a turn that is not like {"role": "user", "content": "..."}',
        "a.jsonl line 4": "has no text in 'prompt'",
    }
    assert len({*rows.names}) == 3
    assert read(TextCodec(), path).values == {"completion": ["1", "2", "unasked", "3"]}


def test_turns_of_a_prompt_are_only_read(tmp_path):
    row = {"prompt": spoken_turns(*TALK[:4]), "completion": spoken_turns(TALK[4])}
    rows = read(TextCodec(), lines(tmp_path / "a.jsonl", [row]), "prompt")
    assert rows.values["completion"] == ["2"]


def test_answers_of_one_conversation_are_on_one_side_of_the_split(tmp_path):
    talks = [
        [
            turn
            for k in range(4)
            for turn in (("user", f"{i} and {k}?"), ("assistant", f"answer {i}-{k}"))
        ]
        for i in range(60)
    ]
    path = lines(tmp_path / "a.jsonl", [{"messages": spoken_turns(*talk)} for talk in talks])
    dataset = opened(path, given=["prompt"])
    sides: dict[str, set[str]] = {}
    for part, split in dataset.splits.items():
        field = dataset.fields["completion"]
        arrays = split.gather(np.arange(len(split)))["completion"]
        for answer in field.decode(field.expand(arrays).numpy()):
            sides.setdefault(answer.split("-")[0], set()).add(part)
    assert sum(dataset.stats.counts.values()) == 4 * 60
    assert all(dataset.stats.counts.values())
    assert len(sides) == 60
    assert all(len(parts) == 1 for parts in sides.values())


def test_other_texts_and_labels_of_a_line(tmp_path):
    long = "a long sentence about the number {}, which nobody else would write"
    rows = [
        {"text": f"t {i}", "summary": f"s{i}", "notes": long.format(i), "kind": "ab"[i % 2], "n": i}
        | {"id": f"x{i}", "source": "web"}
        for i in range(N)
    ]
    codec, source = TextCodec(), find(lines(tmp_path / "a.jsonl", rows))
    found = {name: type(field) for name, field in codec.fields(source).items()}
    assert found == {
        **{"text": TextField, "summary": TextField, "notes": TextField},
        **{"kind": ColumnField, "n": ColumnField, "id": ColumnField, "source": ColumnField},
    }
    assert codec.default_labels(source) == []


@pytest.mark.parametrize(
    ("keys", "main"),
    [
        (("source", "target"), "target"),
        (("question", "answer"), "answer"),
        (("target", "source", "completion"), "completion"),
        (("summary", "text"), "text"),
    ],
)
def test_the_main_text(tmp_path, keys, main):
    rows = [{key: f"{key} {i}" for key in keys} for i in range(N)]
    path = lines(tmp_path / "a.jsonl", rows)
    assert TextCodec.sniff([path]) == 0.7
    codec, source = TextCodec(), find(path)
    assert next(iter(codec.fields(source))) == main
    assert all(isinstance(field, TextField) for field in codec.fields(source).values())
    chosen = TextCodec(field=keys[0])
    assert next(iter(chosen.fields(source))) == "text", "what is asked for is the text"
    assert read(chosen, path).values["text"][3] == f"{keys[0]} 3"


def test_equal_answers_to_different_questions_are_no_duplicates(tmp_path):
    rows = [{"prompt": f"is {i} even?", "completion": ["yes", "no"][i % 2]} for i in range(2 * N)]
    dataset = opened(lines(tmp_path / "a.jsonl", rows), given=["prompt"])
    assert dataset.stats.duplicates == 0
    assert dataset.stats.counts["val"]
    assert dataset.stats.counts["test"]
    trained_on = dataset.splits["train"].gather(np.arange(len(dataset.splits["train"])), ["completion"])
    assert len(np.unique(trained_on["completion"], axis=0)) == 2


def test_half_a_pair_of_texts(tmp_path):
    rows = [{"prompt": q, "completion": a} for q, a in questions()]
    rows[1]["prompt"], rows[2] = " ", {"completion": "alone"}
    path = lines(tmp_path / "a.jsonl", rows)
    dataset = opened(path, given=["prompt"])
    assert reasons(dataset) == {
        "a.jsonl line 2": ("has no text in 'prompt'", True),
        "a.jsonl line 3": ("has no value for prompt", True),
    }
    for row in rows[3:8]:
        row["prompt"] = ""
    assert fault(lines(path, rows), given=["prompt"]) == "pairs-incomplete"


SENTENCES = [(f"the house number {i}", f"la casa número {i}") for i in range(N)]


@pytest.mark.parametrize("head", ["", "en\tes\n", "source\ttarget\n", "English\tSpanish\n"])
@pytest.mark.parametrize("suffix", [".tsv", ".csv"])
def test_two_columns_of_texts(tmp_path, head, suffix):
    comma = "\t" if suffix == ".tsv" else ","
    body = "".join(f"{a}\t{b}\n" for a, b in SENTENCES)
    path = put(tmp_path / f"a{suffix}", (head + body).replace("\t", comma))
    first, second = head.split() or ["source", "target"]
    assert TextCodec.sniff([path]) == 0.7
    assert find(path).codec == "text"
    dataset = opened(path, given=[first, second])
    assert kinds(dataset).keys() == {first, second}
    assert {(one[first], one[second]) for one in examples(dataset)} == set(SENTENCES)


def test_quotes_that_nothing_closes_are_letters(tmp_path):
    body = "".join(f'the "{i}" of\t5" and {i}\n' for i in range(N))
    rows = read(TextCodec(), put(tmp_path / "a.tsv", body), "source", name="text")
    assert rows.values["source"] == [f'the "{i}" of' for i in range(N)]
    quoted = "".join(f'"a ""b"", c {i}";"d;{i}"\n' for i in range(N))
    rows = read(TextCodec(), put(tmp_path / "b.csv", quoted), "source", name="text")
    assert rows.values["source"] == [f'a "b", c {i}' for i in range(N)]
    assert rows.values["target"] == [f"d;{i}" for i in range(N)]


@pytest.mark.parametrize(
    "content",
    [
        "a,b,c\n" + "one two,three four,five six\n" * N,
        "text,label\n" + "".join(f"some words {i},{'ab'[i % 2]}\n" for i in range(N)),
        "".join(f"{i},{i + 1}\n" for i in range(N)),
        "one two,three four\n" * N,
        "a single column\n" * N,
        "",
    ],
    ids=["three", "label", "numbers", "repeated", "one", "empty"],
)
def test_other_tables_are_no_texts(tmp_path, content):
    path = put(tmp_path / "a.csv", content)
    assert TextCodec.sniff([path]) == 0
    assert find(path).codec == "table"


def test_a_table_with_lines_that_do_not_fit(tmp_path):
    body = "".join(f"{a}\t{b}\n" for a, b in SENTENCES) + "alone\none\ttwo\tthree\n\nfour\t \n"
    rows = read(TextCodec(), put(tmp_path / "a.tsv", body), "source", name="text")
    assert len(rows) == N
    assert {bad.name: (bad.reason, bad.orphan) for bad in rows.rejected} == {
        f"a.tsv line {N + 1}": ("has 1 columns, and there are 2", False),
        f"a.tsv line {N + 2}": ("has 3 columns, and there are 2", False),
        f"a.tsv line {N + 4}": ("has no text in 'target'", True),
    }
    wide = put(tmp_path / "wide.csv", "one word,two words,three words\n" * 3)
    with pytest.raises(DataError, match="has 3 columns and no line that names them") as error:
        read(TextCodec(), wide, name="text")
    assert error.value.code == "no-header"


def moses(root: Path, *pairs: tuple[str, str], stem: str = "train") -> Path:
    for i, language in enumerate(("en", "es")):
        put(root / f"{stem}.{language}", "".join(pair[i] + "\n" for pair in pairs))
    return root


def test_the_same_lines_in_two_languages(tmp_path):
    moses(tmp_path, *SENTENCES, ("", "sin par"), ("", ""))
    moses(tmp_path, *[(f"more {a}", f"más {b}") for a, b in SENTENCES], stem="dev.tok")
    put(tmp_path / "README.md", "where they are from")
    assert find(tmp_path).codec == "text"
    dataset = opened(tmp_path, make="es", given=["en"])
    assert kinds(dataset) == {"en": TextField, "es": TextField}
    pairs = {(one["en"], one["es"]) for one in examples(dataset)}
    assert pairs == {*SENTENCES, *((f"more {a}", f"más {b}") for a, b in SENTENCES)}
    assert reasons(dataset) == {
        f"train line {N + 1}": ("has no text in 'en'", True),
        f"train line {N + 2}": ("is empty", False),
    }


def test_line_counts_that_differ(tmp_path):
    moses(tmp_path, *SENTENCES)
    with (tmp_path / "train.es").open("a") as more:
        more.write("una más\n")
    with pytest.raises(DataError, match=r"train\.en has 30 lines and train\.es has 31") as error:
        opened(tmp_path, make="es", given=["en"])
    assert error.value.code == "line-counts-differ"


def test_a_language_without_its_other(tmp_path):
    moses(tmp_path, *SENTENCES)
    put(tmp_path / "dev.en", "alone\n")
    dataset = opened(tmp_path, make="es", given=["en"])
    assert reasons(dataset) == {"dev.en": ("there is no file in es beside it", True)}


@pytest.mark.parametrize("names", ["a.en", "a.en b.es", "a.en a.es a.de", "a.en a.py", "a.txt a.es"])
def test_what_is_no_text_in_two_languages(tmp_path, names):
    files = [put(tmp_path / name, "some words\n") for name in names.split()]
    assert TextCodec.sniff(files) < 0.7


# -- out -------------------------------------------------------------------------------------------


def written(codec: Codec, path: Path, folder: Path, *given: str) -> tuple[Rows, Rows]:
    """Rows of a source, and those of what was written of them."""
    source, options = find(path), ReadOptions(given)
    fields = wanted_fields(codec, source, options)
    rows = read(codec, path, *given)
    for one, field in fields.items():
        field.fit(rows.values[one])
        field.settle()
    values = {
        one: fields[one].decode(fields[one].tensor(some).numpy()) for one, some in rows.values.items()
    }
    codec.write(values, fields, folder)
    return rows, read(codec, folder, *given)


def test_written_pictures_are_the_same_source_again(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / "in" / f"{i}.png", shade(i))
        put(tmp_path / "in" / f"t{i}.png", shade(255 - i))
        rows.append(
            {"file_name": f"{i}.png", "target_file_name": f"t{i}.png", "caption": f'"{i}",\nred'}
        )
        rows[-1]["kind"] = COLOURS[i % 3]
    table(tmp_path / "in/metadata.csv", rows)
    out = tmp_path / "out"
    before, after = written(ImageCodec(), tmp_path / "in", out, "target", "caption", "kind")
    assert {file.name for file in out.iterdir()} >= {"sheet.png", "00000.png", "00000.target.png"}
    assert (out / "metadata.csv").read_text().startswith("file_name,target_file_name,caption,kind\n")
    for name in ("image", "target"):
        assert list(map(number, after.values[name])) == list(map(number, before.values[name]))
    for name in ("caption", "kind"):
        assert after.values[name] == before.values[name]
    codec = ImageCodec()
    assert {name: type(field) for name, field in codec.fields(find(out)).items()} == {
        name: type(field) for name, field in codec.fields(find(tmp_path / "in")).items()
    }


def test_written_twins_keep_their_names(tmp_path):
    twins(tmp_path / "in")
    before, after = written(ImageCodec(), tmp_path / "in", tmp_path / "out", "target")
    assert list(after.values) == ["source", "target"]
    for name in after.values:
        assert list(map(number, after.values[name])) == list(map(number, before.values[name]))


def test_captions_alone_are_text_files(tmp_path):
    field = TextField(layout="documents")
    field.fit(["a red one", "a blue one"])
    field.settle()
    codec, values = ImageCodec(), {"caption": ["a red one", "a blue one"]}
    files = codec.write(values, {"caption": field}, tmp_path / "out")
    assert [file.name for file in files] == ["00000.txt", "00001.txt"]
    assert files[1].read_text() == "a blue one"
    assert codec.preview(values, {"caption": field}) == Preview(
        "text", text="1. a red one\n2. a blue one"
    )


def test_written_sounds_and_texts_are_the_same_sources_again(tmp_path):
    rows = []
    for i in range(N):
        put(tmp_path / "in" / f"{i}.wav", tone(i))
        put(tmp_path / "in" / f"n{i}.wav", tone(i) / 3)
        rows.append({"audio_file_name": f"{i}.wav", "noisy_file_name": f"n{i}.wav", "text": f"tone {i}"})
    table(tmp_path / "in/metadata.csv", rows)
    before, after = written(AudioCodec(), tmp_path / "in", tmp_path / "out", "noisy", "text")
    assert list(after.values) == ["audio", "noisy", "text"]
    assert after.values["text"] == before.values["text"]
    for name in ("audio", "noisy"):
        for one, other in zip(after.values[name], before.values[name], strict=True):
            assert np.array_equal(one.samples, other.samples)
    path = lines(tmp_path / "a.jsonl", [{"prompt": q, "completion": a, "n": 1} for q, a in questions()])
    fields = TextCodec().fields(find(path))
    rows_of_text = read(TextCodec(), path, "prompt", "n")
    files = TextCodec().write(rows_of_text.values, fields, tmp_path / "texts")
    again = read(TextCodec(), files[1], "prompt", "n")
    assert again.values == rows_of_text.values
    assert "[prompt] how much is 3 and 3?" in files[0].read_text()


def test_a_preview_shows_what_is_beside_the_pictures(tmp_path):
    rows = []
    for i in range(4):
        put(tmp_path / f"{i}.png", shade(i))
        put(tmp_path / f"t{i}.png", shade(255 - i))
        rows.append({"file_name": f"{i}.png", "target_file_name": f"t{i}.png", "caption": f"<b>{i}</b>"})
    table(tmp_path / "metadata.csv", rows)
    codec = ImageCodec()
    values = read(codec, tmp_path, "target", "caption").values
    shown = codec.preview(values, codec.fields(find(tmp_path)), columns=4)
    assert shown.kind == "png"
    assert shown.text.splitlines()[2] == "3. <b>2</b>"
    alone = codec.preview({"image": values["image"]}, {}, columns=4)
    sizes = [Image.open(BytesIO(one.png)).size for one in (shown, alone)]
    tall = [high / wide for wide, high in sizes]
    assert tall[0] > 1.5 * tall[1], "each picture stands above what goes with it"
    page = as_html(shown, "four")
    assert "&lt;b&gt;2" in page
    assert "<b>" not in page


# -- trained and asked -----------------------------------------------------------------------------


def sidecar_pair(root: Path) -> tuple[Path, str, str]:
    rows = []
    for i in range(N):
        put(root / f"{i}.png", shade(i))
        put(root / "t" / f"{i}.png", shade(255 - i))
        rows.append({"input_file_name": f"{i}.png", "target_file_name": f"t/{i}.png"})
    table(root / "metadata.jsonl", rows)
    return root, "input", "target"


def sidecar_text(root: Path) -> tuple[Path, str, str]:
    for i in range(N):
        put(root / f"{i}.png", shade(i))
    table(root / "metadata.csv", [{"file_name": f"{i}.png", "text": f"number {i}"} for i in range(N)])
    return root, "image", "text"


def spoken(root: Path) -> tuple[Path, str, str]:
    for i in range(N):
        put(root / f"{i}.wav", tone(i))
        put(root / f"{i}.txt", f"tone {i}")
    return root, "audio", "caption"


def cleaned(root: Path) -> tuple[Path, str, str]:
    for i in range(N):
        put(root / "input" / f"{i}.wav", tone(i))
        put(root / "output" / f"{i}.wav", tone(i) / 2)
    return root, "input", "output"


def translated(root: Path) -> tuple[Path, str, str]:
    return (
        put(root.with_suffix(".tsv"), "".join(f"{a}\t{b}\n" for a, b in SENTENCES)),
        "source",
        "target",
    )


def talked(root: Path) -> tuple[Path, str, str]:
    rows = [
        {"messages": [{"role": "user", "content": q}, {"role": "assistant", "content": a}]}
        for q, a in questions()
    ]
    return lines(root.with_suffix(".jsonl"), rows), "prompt", "completion"


def two_languages(root: Path) -> tuple[Path, str, str]:
    return moses(root, *SENTENCES), "en", "es"


@pytest.mark.parametrize(
    "make", [sidecar_pair, sidecar_text, spoken, cleaned, translated, talked, two_languages]
)
def test_every_convention_is_trained_on_and_written_again(tmp_path, make):
    path, given, made = make(tmp_path / "data")
    model = trained(path, make=made, given=[given])
    assert model.pipeline.spec.make == made
    assert list(model.pipeline.spec.asks) == [given]
    samples = model.sample(3, seed=1)
    assert len(samples) == 3
    files = samples.write(tmp_path / "out")
    assert all(file.is_file() for file in files)
    # What nobody gave is drawn from examples, and stands beside what was made of it.
    assert set(samples.values) == {made, given}
    assert len(samples.values[given]) == 3
    assert any(f"the {given} beside what was made is real" in n for n in samples.notes)
    assert len(model.apply([path], seed=1)) == N
    aligned = isinstance(model.pipeline.made, ImageField | ClipField)
    assert model.recipe.task.options["align"] == ([given] if aligned else [])


def test_a_caption_for_each_picture(tmp_path):
    captioned(tmp_path / "data")
    model = trained(tmp_path / "data", make="caption", given=["image"])
    assert model.dataset.main == "image"
    assert model.pipeline.spec.make == "caption"
    mine = [put(tmp_path / "mine" / name, shade(i)) for i, name in enumerate(["a.png", "b/a.v2.png"])]
    made = model.apply([tmp_path / "mine"], seed=1)
    assert made.names == ["a", "b/a.v2"]
    files = made.save(tmp_path / "out")
    assert files == [tmp_path / "out/a.txt", tmp_path / "out/b/a.v2.txt"]
    assert [file.read_text() for file in files] == list(made.examples)
    both = model.apply([mine[0], put(tmp_path / "other/a.png", shade(3))], seed=1)
    assert [file.name for file in both.save(tmp_path / "two")] == ["a.txt", "a-2.txt"]
    sampled = model.sample(3, {"image": str(mine[0])}, seed=2)
    assert [file.name for file in sampled.write(tmp_path / "sampled")] == [
        f"0000{i}.txt" for i in range(3)
    ]


@pytest.mark.parametrize(
    ("make_data", "make", "given", "real"),
    [
        (captioned, "caption", "image", {"00000.png", "00001.png"}),
        (captioned, "image", "caption", set()),
        (twins, "target", "source", {"00000.png", "00001.png"}),
    ],
)
def test_what_is_real_beside_samples_is_not_called_synthetic(tmp_path, make_data, make, given, real):
    make_data(tmp_path / "data")
    model = trained(tmp_path / "data", make=make, given=[given])
    model.sample(2, seed=1).write(tmp_path / "out")
    pictures = [*(tmp_path / "out").glob("*.png")]
    assert {file.name for file in pictures if b"synthetic" not in file.read_bytes()} == real
    said = json.loads((tmp_path / "out/synthetic.json").read_text())
    assert said["metadata.csv"]["real"] == [given]
    answers = json.loads(json.dumps(as_examples(model.sample(2, seed=1))))  # as the server has them
    assert [[*one["given"]] for one in answers] == [[given]] * 2
    if real:
        assert b"synthetic" not in b64decode(answers[0]["given"][given]["data"])


def test_texts_of_their_own_are_given_to_a_model_of_pictures(tmp_path):
    captioned(tmp_path / "data")
    model = trained(tmp_path / "data", make="image", given=["caption"])
    said = (tmp_path / "data").glob("**/*.txt")
    known = model.pipeline.fields["caption"].load(next(said))
    mine = [put(tmp_path / "mine" / name, f"{known}\n") for name in ("a.txt", "b.txt")]
    made = model.apply(mine, seed=1)
    assert made.names == ["a", "b"]
    assert made.notes == []
    again = model.sample(2, {"caption": known}, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(made.examples, again.examples, strict=True))
    (tmp_path / "mine/c.txt").write_bytes(b"\xff\xfe\xff")
    for file, code in (("c.txt", "unreadable-file"), ("d.csv", "wrong-kind-of-file")):
        put(tmp_path / "mine/d.csv", "a,b")
        with pytest.raises(DataError) as error:
            model.apply([tmp_path / "mine" / file])
        assert error.value.code == code


def test_pictures_stand_for_the_given_side_of_a_pair(tmp_path):
    twins(tmp_path / "data")
    model = trained(tmp_path / "data", make="target", given=["source"])
    assert model.recipe.task.options["align"] == ["source"]
    put(tmp_path / "mine/x.png", shade(9))
    made = model.apply([tmp_path / "mine"])
    assert made.names == ["x"]
    assert np.asarray(made.examples[0]).shape == (8, 8, 3)
    held = model.apply([tmp_path / "data"])
    assert held.names[:2] == ["source/0", "source/1"]


def test_a_text_stands_for_the_prompt(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"prompt": q, "completion": a} for q, a in questions()])
    model = trained(path, make="completion", given=["prompt"])
    put(tmp_path / "mine/one.txt", "how much is 3 and 3?")
    put(tmp_path / "mine/two.txt", "¿cuánto es?")
    made = model.apply([tmp_path / "mine"])
    assert made.names == ["one", "two"]
    assert made.notes == ["the prompt holds characters that training has not seen: 'e' 't' '¿' 'á'"]
    assert model.apply([tmp_path / "mine/one.txt"]).notes == []
    several = model.apply([path])
    assert several.names[:2] == ["a-0", "a-1"]


# -- characters that are new -----------------------------------------------------------------------


@pytest.mark.parametrize("unit", ["char", "bpe"])
def test_characters_that_training_has_not_seen(unit):
    field = TextField(tokenizer=unit, vocab=300, layout="documents")
    field.fit(["some words", "and some more"])
    field.settle()
    again = TextField()
    again.restore(json.loads(json.dumps(field.state())))
    for one in (field, again):
        assert one.unseen(["some more words"]) == ""
        assert one.unseen(["zum süßen", "Wort"]) == "Wtuzßü"
        assert one.cautions(["some"]) == []
        caution, *_ = one.cautions(["süß"])
        assert caution == "holds characters that training has not seen: 'ß' 'ü'"


def test_new_characters_are_noted(tmp_path):
    captioned(tmp_path / "data")
    model = trained(tmp_path / "data", family="diffusion", make="image", given=["caption"])
    note = "the caption holds characters that training has not seen: 'x' 'é'"
    assert model.sample(2, {"caption": "number 3, red"}).notes == []
    assert model.sample(2, {"caption": "éxé"}).notes == [note]
    said = call("sample", str(model.run.path), "-n", "1", "--given", "caption=éxé", "--out", "made")
    assert said.code == 0
    assert note in said.err


def test_a_new_character_of_a_prompt_is_noted(tmp_path):
    put(tmp_path / "a.txt", "to be or not to be, that is the question. " * 60)
    model = trained(tmp_path / "a.txt", "codec.length=16")
    assert model.sample(1, prompt="to be").notes == []
    assert model.sample(1, prompt="tö").notes == [
        "the prompt holds characters that training has not seen: 'ö'"
    ]


@pytest.mark.parametrize(
    ("make", "given", "family"),
    [("caption", "image", "autoregressive"), ("image", "caption", "diffusion")],
)
def test_a_family_that_takes_what_is_made_as_it_is(tmp_path, make, given, family):
    captioned(tmp_path / "data")
    recipe = make_recipe(tmp_path / "data", make=make, given=given, size="xs")
    assert Experiment.of(recipe).recipe.family.name == family


def test_dates_in_words_and_as_numbers_are_two_texts(tmp_path):
    rows = [f"{day} March {1900 + day}\t{1900 + day}-03-{day:02}" for day in range(1, 29)]
    put(tmp_path / "days.tsv", "\n".join(["source\ttarget", *rows]))
    edges = [f"{i}\t{i + 1}" for i in range(40)]
    put(tmp_path / "edges.tsv", "\n".join(["source\ttarget", *edges]))
    assert [find(tmp_path / name).codec for name in ("days.tsv", "edges.tsv")] == ["text", "table"]


def test_the_main_field_is_known_by_name_too(tmp_path):
    captioned(tmp_path / "data")
    with pytest.raises(DataError, match="no label or field 'imag'; did you mean 'image'") as error:
        trained(tmp_path / "data", make="caption", given=["imag"])
    assert error.value.code == "no-such-field"


def test_of_a_long_prompt_the_end_is_kept():
    field = TextField(length=8, tokenizer="char", layout="documents", keeps="end")
    field.fit(["abcdefghijkl", "ab"])
    field.settle()
    assert field.decode(field.tensor(["abcdefghijkl", "ab"]).numpy()) == ["efghijkl", "ab"]
    assert "1 of 2 documents are longer than 8 ids, of which the end is kept" in field.warnings()[0]
    again = TextField()
    again.restore(field.state())
    assert again.decode(again.tensor(["abcdefghijkl"]).numpy()) == ["efghijkl"]


def test_a_prompt_is_such_a_field(tmp_path):
    path = lines(tmp_path / "a.jsonl", [{"prompt": q, "completion": a} for q, a in questions()])
    fields = TextCodec().fields(find(path))
    assert {name: field.keeps for name, field in fields.items()} == {
        "prompt": "end",
        "completion": "start",
    }
