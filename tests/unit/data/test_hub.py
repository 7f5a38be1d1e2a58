"""Data sets in the format of `datasets`: features become fields. Nothing here asks for a network."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_shards import png, shade, tone, wav

from genwright.data import arrow
from genwright.data.codec import ReadOptions, Rows
from genwright.data.dataset import make_codec, wanted_fields
from genwright.data.image.ops import pixels
from genwright.data.source import find
from genwright.errors import DataError, GenwrightError
from genwright.experiment import open_data
from genwright.recipe import make_recipe

datasets = pytest.importorskip("datasets")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")

N = 30


@pytest.fixture(autouse=True)
def _alone(tmp_path, monkeypatch):
    """The library's own cache in a folder of its own, and no network."""
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "hf")
    monkeypatch.setattr(datasets.config, "HF_CACHE_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(arrow, "_folders", set())
    datasets.disable_progress_bars()


def pictures(n: int = N) -> Any:
    features = datasets.Features(
        {
            "image": datasets.Image(),
            "label": datasets.ClassLabel(names=["cat", "dog"]),
            "caption": datasets.Value("string"),
            "n": datasets.Value("int32"),
        }
    )
    columns = {
        "image": [{"bytes": png(i), "path": None} for i in range(n)],
        "label": [i % 2 for i in range(n)],
        "caption": [f"the number {i} of many" for i in range(n)],
        "n": list(range(n)),
    }
    return datasets.Dataset.from_dict(columns, features=features)


def written(folder: Path, columns: dict[str, Any], features: Any) -> None:
    """As the library writes it, which wants a library for sounds to do so, and puts files into the table."""
    pyarrow = pytest.importorskip("pyarrow")
    folder.mkdir()
    table = pyarrow.Table.from_pydict(columns, schema=features.arrow_schema)
    with pyarrow.ipc.new_stream(folder / "data-00000-of-00001.arrow", table.schema) as out:
        out.write_table(table)


def read(address: str) -> tuple[Rows, dict[str, Any]]:
    """All rows with all fields."""
    source = find(address)
    codec = make_codec(source.codec, {})
    options = ReadOptions(() if source.codec == "table" else tuple(codec.labels(source)))
    fields = wanted_fields(codec, source, options)
    whole = Rows({one: [] for one in fields}, [])
    for rows in codec.read(source, fields, options):
        for one, values in rows.values.items():
            whole.values[one] = [
                *whole.values[one],
                *(values.values.tolist() if hasattr(values, "iloc") else values),
            ]
        whole.keys += rows.keys
        whole.rejected += rows.rejected
    return whole, {name: type(field).__name__ for name, field in fields.items()}


@pytest.mark.parametrize("shards", [1, 2])
def test_pictures_classes_texts_and_numbers(tmp_path, shards):
    pictures().save_to_disk(tmp_path / "saved", num_shards=shards)
    rows, kinds = read(f"hf:{tmp_path / 'saved'}")
    assert kinds == {
        "image": "ImageField",
        "label": "ColumnField",
        "n": "ColumnField",
        "caption": "TextField",
    }
    assert not rows.rejected
    assert len(rows) == N
    for i in range(N):
        assert np.array_equal(rows.values["image"][i].pixels, shade(i))
        assert [rows.values[name][i] for name in ("label", "caption", "n")] == [
            ["cat", "dog"][i % 2],
            f"the number {i} of many",
            i,
        ]
    same, _ = read(str(tmp_path / "saved"))
    assert same.keys == rows.keys, "the folder by itself is the same"


def test_splits(tmp_path):
    whole = datasets.DatasetDict({"train": pictures(), "test": pictures(7)})
    whole.save_to_disk(tmp_path / "saved")
    assert len(read(f"hf:{tmp_path / 'saved'}")[0]) == N
    assert len(read(f"hf:{tmp_path / 'saved'}:test")[0]) == 7
    with pytest.raises(DataError, match="has no split 'tset'; did you mean 'test'") as error:
        find(f"hf:{tmp_path / 'saved'}:tset")
    assert error.value.code == "no-such-split"


def test_sounds(tmp_path):
    features = datasets.Features(
        {"audio": datasets.Audio(), "word": datasets.ClassLabel(names=["up", "down"])}
    )
    columns = {"audio": [{"bytes": wav(i), "path": f"{i}.wav"} for i in range(6)], "word": [0, 1] * 3}
    written(tmp_path / "saved", columns, features)
    rows, kinds = read(str(tmp_path / "saved"))
    assert kinds == {"audio": "ClipField", "word": "ColumnField"}
    assert np.array_equal(rows.values["audio"][3].samples, tone(3))
    assert rows.values["word"] == ["up", "down"] * 3


def test_texts_and_tables(tmp_path):
    texts = {"text": [f"a text with the number {i} in it" for i in range(N)], "label": [0, 1] * (N // 2)}
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=["a", "b"])}
    )
    datasets.Dataset.from_dict(texts, features=features).save_to_disk(tmp_path / "texts")
    rows, kinds = read(f"hf:{tmp_path / 'texts'}")
    assert kinds == {"text": "TextField", "label": "ColumnField"}
    assert rows.values["text"] == texts["text"]
    assert rows.values["label"][:2] == ["a", "b"]
    table = {"x": [i / 4 for i in range(N)], "kind": [i % 2 if i else -1 for i in range(N)]}
    features = datasets.Features(
        {"x": datasets.Value("float32"), "kind": datasets.ClassLabel(names=["a", "b"])}
    )
    datasets.Dataset.from_dict(table, features=features).save_to_disk(tmp_path / "table")
    source = find(f"hf:{tmp_path / 'table'}")
    codec = make_codec("table", {})
    assert (source.codec, codec.count(source), codec.labels(source)) == ("table", N, ["x", "kind"])
    (found,) = codec.read(source, codec.fields(source))
    assert found.values["row"]["kind"].tolist()[1:4] == ["b", "a", "b"]
    assert found.values["row"]["kind"].isna().tolist()[:2] == [True, False]
    dataset = open_data(make_recipe(f"hf:{tmp_path / 'table'}"))[1]
    assert sum(dataset.stats.counts.values()) == N


def test_a_folder_that_the_library_reads(tmp_path):
    for i in range(8):
        file = tmp_path / "photos" / ("cat" if i % 2 else "dog") / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(i))
    rows, kinds = read(f"hf:{tmp_path / 'photos'}")
    assert kinds == {"image": "ImageField", "label": "ColumnField"}
    found = {int(pixels(p)[-1, -1, 0]): label for p, label in zip(*rows.values.values(), strict=True)}
    assert found == {i: "cat" if i % 2 else "dog" for i in range(8)}
    (tmp_path / "rows").mkdir()
    (tmp_path / "rows/train.csv").write_text("a,b\n" + "1,x\n2,y\n" * 9)
    assert find(f"hf:{tmp_path / 'rows'}:train").codec == "table"
    with pytest.raises(DataError, match="has no split 'test'; known: train"):
        find(f"hf:{tmp_path / 'rows'}:test")


def test_files_outside_of_the_folder_are_not_opened(tmp_path):
    """A table may come from anyone."""
    (tmp_path / "secret.png").write_bytes(png(9))
    paths = [
        {"bytes": None, "path": str(tmp_path / "secret.png")},
        *({"bytes": png(i), "path": None} for i in range(3)),
    ]
    features = datasets.Features({"image": datasets.Image()})
    written(tmp_path / "saved", {"image": paths}, features)
    rows, _ = read(str(tmp_path / "saved"))
    assert len(rows) == 3
    assert "which is not in the folder of the data" in rows.rejected[0].reason


def test_the_content_names_the_data(tmp_path):
    pictures().save_to_disk(tmp_path / "a")
    first = open_data(make_recipe(f"hf:{tmp_path / 'a'}"))[1]
    assert list(first.fields) == ["image", "label"]
    pictures(N - 1).save_to_disk(tmp_path / "b")
    assert open_data(make_recipe(f"hf:{tmp_path / 'b'}"))[1].key != first.key


def test_what_cannot_be_loaded(tmp_path, monkeypatch):
    with pytest.raises(DataError, match="hf:nobody/nothing cannot be fetched") as error:
        find("hf:nobody/nothing:train")
    assert error.value.code == "no-network"
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="is no data set that can be loaded") as error:
        find(f"hf:{tmp_path / 'empty'}")
    assert error.value.code == "no-such-dataset"
    pictures(3).save_to_disk(tmp_path / "saved")
    with pytest.raises(DataError, match="has no splits"):
        find(f"hf:{tmp_path / 'saved'}:train")
    (file,) = (tmp_path / "saved").glob("*.arrow")
    file.write_bytes(file.read_bytes()[:300])
    with pytest.raises(DataError, match="cannot be read as a table of Arrow") as error:
        find(f"hf:{tmp_path / 'saved'}")
    (tmp_path / "saved/state.json").write_text(json.dumps({}))
    with pytest.raises(DataError, match="no whole data set that `save_to_disk` wrote"):
        find(f"hf:{tmp_path / 'saved'}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(GenwrightError, match=r"pip install 'genwright\[hf\]'"):
        find("hf:nobody/nothing")
