"""Objects in memory become files that a codec reads, and what is read becomes such objects again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import genwright
from genwright.data.audio.files import to_wav
from genwright.data.cache import cache_home
from genwright.data.dataset import make_codec
from genwright.data.memory import HandedBack, keep_object
from genwright.errors import DataError, GenwrightError, RecipeError
from genwright.experiment import open_data
from genwright.recipe import DataOptions, Plugin, Recipe

N = 30
RNG = np.random.default_rng(0)
PICTURES = RNG.integers(0, 256, (N, 6, 8, 3), dtype=np.uint8)
GREY = PICTURES[..., 0]
KINDS = ["ab", "cd", "efg"]
NUMBERS = np.arange(N) % 3
WORDS = [KINDS[i] for i in NUMBERS]
TEXTS = [f"{a} {b} Öl" for a, b in zip(WORDS, RNG.permutation(N).tolist(), strict=True)]
WAVES = [np.round(8000 * np.sin(np.arange(400) * f / 40)).astype(np.int16) for f in range(1, N + 1)]


def handed_back(data: Any, label: Any = None, rate: int | None = None) -> Any:
    """What is cached of all examples, in the form that they were given in."""
    kept = keep_object(data, label, rate)
    options = DataOptions(path=kept.path, label=kept.label, val=0.0, test=0.0)
    _, dataset = open_data(Recipe(data=options, codec=Plugin(kept.codec)))
    split = dataset.splits["train"]
    found = split.gather(np.arange(len(split)))
    values = {name: one.decode(one.expand(found[name]).numpy()) for name, one in dataset.fields.items()}
    return HandedBack(kept.form, dataset.codec).all(values)


def same(a: Any, b: Any) -> bool:
    """Of one type, dtype and content, to the last part."""
    if type(a) is not type(b):
        return False
    if isinstance(a, np.ndarray):
        return a.dtype == b.dtype and np.array_equal(a, b)
    if isinstance(a, torch.Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, Image.Image):
        return a.mode == b.mode and np.array_equal(np.asarray(a), np.asarray(b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[name], b[name]) for name in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    return a == b


class Items(torch.utils.data.Dataset):  # type: ignore[type-arg]
    """A map-style data set, of which each item is made when it is asked for."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> Any:
        return self.items[i]


TENSORS = [torch.from_numpy(one).permute(2, 0, 1) for one in PICTURES]
PILLOW = [Image.fromarray(one) for one in PICTURES]
DICTS = [{"image": a, "label": b} for a, b in zip(PILLOW, WORDS, strict=True)]
SOUNDS = [
    {"audio": {"array": a, "sampling_rate": 8000}, "label": b} for a, b in zip(WAVES, WORDS, strict=True)
]

EXACT: dict[str, tuple[Any, ...]] = {
    "pictures": (PICTURES,),
    "grey": (GREY, NUMBERS),
    "planes": (PICTURES.transpose(0, 3, 1, 2), WORDS),
    "alpha": (np.concatenate([PICTURES, np.full_like(GREY, 255)[..., None]], axis=3),),
    "grey in colours": (np.repeat(GREY[..., None], 3, axis=3),),
    "deep": (GREY.astype(np.uint16) * 200 + 5,),
    "floats": (GREY / np.float32(255), {"who": NUMBERS, "mood": WORDS}),
    "list of floats": ([one / np.float32(255) for one in GREY],),
    "deep colours": (PICTURES.astype(np.uint16) * 257,),
    "black and white": (GREY > 127,),
    "tensor": (torch.stack(TENSORS), torch.from_numpy(NUMBERS)),
    "halves": ((torch.stack(TENSORS) > 127).to(torch.bfloat16),),
    "list of arrays": (list(PICTURES),),
    "pillow": (PILLOW, NUMBERS),
    "pillow of several sizes": ([one.resize((8, 6)) for one in PILLOW],),
    "texts": (TEXTS,),
    "texts and labels": (TEXTS, NUMBERS),
    "array of texts": (np.array(TEXTS, dtype=object), WORDS),
    "dicts of texts": ([{"text": a, "kind": b} for a, b in zip(TEXTS, WORDS, strict=True)], ["kind"]),
    "columns": ({"x": NUMBERS, "kind": WORDS, "z": torch.from_numpy(NUMBERS)},),
    "rows": (np.stack([NUMBERS, NUMBERS[::-1]], 1).astype(np.int16), WORDS),
    "one column": (torch.from_numpy(NUMBERS),),
    "rows as dicts": ([{"x": int(a), "kind": b} for a, b in zip(NUMBERS, WORDS, strict=True)], "kind"),
    "waveforms": (WAVES, NUMBERS, 8000),
    "array of waveforms": (np.stack(WAVES), None, 8000),
    "floats with their rate": ([(one / np.float32(2**15), 4000) for one in WAVES],),
    "sounds as dicts": (SOUNDS,),
    "two channels": ([np.stack([one, one]) for one in WAVES], None, 8000),
    "data set": (Items([(a, b) for a, b in zip(TENSORS, NUMBERS.tolist(), strict=True)]),),
    "data set of dicts": (Items(DICTS),),
    "data set of vectors": (
        torch.utils.data.TensorDataset(torch.from_numpy(np.eye(3)[NUMBERS]), torch.from_numpy(NUMBERS)),
    ),
}


@pytest.mark.parametrize("kind", EXACT)
def test_what_was_given_comes_back(kind: str) -> None:
    data, label, rate = (*EXACT[kind], None, None)[:3]
    found = handed_back(data, label, rate)
    wanted = [data[i] for i in range(len(data))] if isinstance(data, torch.utils.data.Dataset) else data
    if kind == "data set of vectors":
        wanted = [(x, y.item()) for x, y in wanted]
    elif kind == "data set of dicts":
        wanted = [{"image": one["image"], "label": one["label"]} for one in wanted]
    beside = label is WORDS or isinstance(label, np.ndarray | torch.Tensor | dict)
    assert same(found, (wanted, label) if beside else wanted)


def frame() -> Any:
    pandas = pytest.importorskip("pandas")
    days = pandas.date_range("2024-01-01", periods=N, unit="ns")
    return pandas.DataFrame(
        {
            3: NUMBERS.astype(np.int8),
            "kind": pandas.Categorical(WORDS, categories=[*KINDS, "never"], ordered=True),
            "word": pandas.Series(WORDS, dtype=object),
            "weight": np.where(NUMBERS == 1, np.nan, NUMBERS / 2).astype(np.float32),
            "whole": pandas.array([None if i == 2 else i for i in NUMBERS], dtype="Int64"),
            "yes": NUMBERS > 1,
            "day": days,
            "there": days.tz_localize("Europe/Berlin"),
            "month": days.to_period("M"),
            "seldom": pandas.arrays.SparseArray((NUMBERS == 1).astype(np.int64)),
        }
    )


def test_a_frame_comes_back_with_its_dtypes() -> None:
    given = frame()
    found = handed_back(given)
    assert list(found) == list(given)
    assert found.dtypes.equals(given.dtypes)
    exact = [3, "kind", "word", "yes", "whole"]
    assert found[exact].equals(given[exact])
    rows, labels = handed_back(given, label=given[3].rename("other"))
    assert rows.dtypes.equals(given.dtypes)
    assert labels.dtype == np.int8


def test_lists_in_a_column_come_back_as_lists() -> None:
    pandas = pytest.importorskip("pandas")
    arrow = pytest.importorskip("pyarrow")
    lists = [["a", "b"][: k % 3] for k in range(60)]
    given = {"tags": lists, "n": [k % 7 for k in range(60)]}
    assert handed_back(pandas.DataFrame(given))["tags"].tolist() == lists
    assert handed_back(given)["tags"] == lists
    assert [one["tags"] for one in handed_back([{"tags": one, "n": 1.5} for one in lists])] == lists
    assert handed_back(arrow.table(given)).to_pydict() == given


def test_intervals_come_back_as_texts() -> None:
    pandas = pytest.importorskip("pandas")
    bins = pandas.cut(NUMBERS.astype(float), 3)
    given = pandas.DataFrame({"bin": bins, "span": pandas.arrays.IntervalArray(bins)})
    found = handed_back(given)
    assert found["bin"].tolist() == [str(one) for one in bins]
    assert found["span"].tolist() == [str(one) for one in bins]


def test_rows_may_lack_what_later_ones_have() -> None:
    found = handed_back([{"x": 1.5, "kind": "a"}, {"x": 2.5}] * 9 + [{"kind": "b", "late": 3}] * 300)
    assert found[1] == {"x": 2.5, "kind": None, "late": None}
    assert found[-1] == {"x": None, "kind": "b", "late": 3}


def test_colours_that_a_model_made_of_grey_pictures_stay() -> None:
    kept = keep_object([Image.fromarray(one) for one in GREY])
    codec = make_codec(kept.codec, {})
    (one,) = HandedBack(kept.form, codec).one("image", [PICTURES[0]])
    assert one.mode == "RGB"
    assert HandedBack(keep_object(GREY).form, codec).one("image", [PICTURES[0]]).shape == (1, 6, 8, 3)


def test_a_table_of_arrow_comes_back_with_its_types() -> None:
    arrow = pytest.importorskip("pyarrow")
    given = arrow.table(
        {"x": arrow.array(NUMBERS, arrow.uint8()), "kind": arrow.array(WORDS).dictionary_encode()}
    )
    found = handed_back(given, label="kind")
    assert found.schema == given.schema
    assert found.to_pylist() == given.to_pylist()


def test_a_frame_of_polars_comes_back_with_its_types() -> None:
    polars = pytest.importorskip("polars")
    given = polars.DataFrame(
        {
            "x": NUMBERS.astype(np.int16),
            "kind": polars.Series(WORDS, dtype=polars.Categorical),
            "known": polars.Series(WORDS, dtype=polars.Enum([*KINDS, "never"])),
        }
    )
    found = handed_back(given, label="kind")
    assert found.schema == given.schema
    assert found.equals(given)


def test_a_data_set_of_hugging_face_comes_back_with_its_features() -> None:
    hub = pytest.importorskip("datasets")
    kinds = hub.ClassLabel(names=KINDS)
    pictures = hub.Dataset.from_dict(
        {"img": PILLOW, "kind": NUMBERS.tolist()},
        features=hub.Features({"img": hub.Image(), "kind": kinds}),
    )
    found = handed_back(pictures, label="kind")
    assert found.features == pictures.features
    assert same([np.asarray(one) for one in found["img"]], list(PICTURES))
    assert found["kind"] == pictures["kind"]
    sounds = hub.Dataset.from_dict(
        {"audio": [{"bytes": to_wav(one, 8000), "path": None} for one in WAVES], "kind": WORDS}
    ).cast_column("audio", hub.Audio())
    assert handed_back(sounds).features["audio"] == sounds.features["audio"]


def test_the_same_content_is_kept_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    first = keep_object(PICTURES, NUMBERS)
    written = first.file.stat().st_mtime_ns
    again = keep_object(PICTURES.copy(), NUMBERS.tolist())
    assert (again.path, again.file.stat().st_mtime_ns) == (first.path, written)
    assert keep_object(PICTURES, NUMBERS[::-1]).path != first.path
    assert len(list((tmp_path / "memory").iterdir())) == 2
    assert first.path.startswith("memory:")


def test_a_frame_of_texts_is_read_as_its_file_would_be() -> None:
    pandas = pytest.importorskip("pandas")
    pairs = pandas.DataFrame({"source": TEXTS, "target": TEXTS[::-1]})
    assert keep_object(pairs).codec == "text"
    assert keep_object(pairs.assign(n=NUMBERS)).codec == "table"
    assert (
        keep_object(
            [{"prompt": a, "completion": b} for a, b in zip(TEXTS, TEXTS[::-1], strict=True)]
        ).codec
        == "text"
    )
    assert keep_object(["\n".join(TEXTS)]).path.endswith("/text.txt")


class Endless(torch.utils.data.IterableDataset):  # type: ignore[type-arg]
    def __iter__(self) -> Iterator[int]:
        yield 1


def _with_nan() -> np.ndarray:
    found = GREY / 255
    found[3, 0, 0] = np.nan
    return found


BAD: dict[str, tuple[Any, Any, str, str]] = {
    "nothing": ([], None, "no-examples", "the list is empty"),
    "no rows": (GREY[:0], None, "no-examples", "is empty"),
    "a text among pictures": ([*PILLOW, "a"], None, "mixed-types", "item 30 is a str"),
    "a picture among texts": ([*TEXTS, PILLOW[0]], None, "mixed-types", "item 30 is a PIL.Image.Image"),
    "a number among dicts": ([*DICTS, 3], None, "mixed-types", "item 30 is a int"),
    "objects": (np.array([object()] * N), None, "object-array", "holds a object"),
    "objects in rows": (np.array([[object()] * 2] * N), None, "object-array", "array of object"),
    "two types in a column": ({"x": [1, "a"] * N}, None, "mixed-types", "the column 'x'"),
    "not a number": (_with_nan(), None, "unusable-example", "example 3 .* not all finite"),
    "on another scale": (GREY * 1.0, None, "unusable-example", "outside 0 to 1"),
    "negative": (-GREY.astype(int), None, "unusable-example", "no pixels"),
    "too few labels": (GREY, NUMBERS[1:], "lengths-differ", "30 of 'the data', 29 of 'label'"),
    "too few in a column": ({"a": [1, 2], "b": [1]}, None, "lengths-differ", "2 of 'a', 1 of 'b'"),
    "a column and a label": ({"label": NUMBERS}, NUMBERS, "same-name-twice", "has a field 'label'"),
    "a stream": (Endless(), None, "not-a-sequence", "give a list"),
    "a generator": ((i for i in range(9)), None, "not-a-sequence", "a generator"),
    "one number": (np.array(3), None, "unknown-data", "without axes"),
    "an unknown object": (object(), None, "unknown-data", "the type object .* a table of pandas"),
    "a number": (3, None, "unknown-data", "the type int"),
    "a text as a column": ({"a": "abc"}, None, "unknown-data", "'a' is a single str"),
    "single numbers": ([1.0] * N, None, "unknown-data", "each float"),
    "five axes": (np.zeros((N, 2, 2, 7, 7)), None, "unknown-data", "of no kind"),
    "sounds without a rate": ([WAVES[0], WAVES[0][:9]], None, "mixed-types", "rate="),
    "three values": ([(1, 2, 3)] * N, None, "unnamed-values", "3 values"),
    "a list as a label": (
        [{"image": PILLOW[0], "z": [1]}] * N,
        None,
        "unusable-example",
        "'z' is a list",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_no_data_is_refused_in_a_sentence(kind: str) -> None:
    data, label, code, words = BAD[kind]
    with pytest.raises(DataError, match=words) as error:
        keep_object(data, label)
    assert error.value.code == code


def test_a_sound_that_is_not_finite_is_refused() -> None:
    with pytest.raises(DataError, match=r"example 1 .* not all finite") as error:
        keep_object([WAVES[0] / 2**15, np.full(400, np.nan)], rate=8000)
    assert error.value.code == "unusable-example"


def test_labels_and_rates_are_not_given_beside_files() -> None:
    for choice in ({"label": NUMBERS}, {"rate": 8000}):
        with pytest.raises(RecipeError, match="files say their own") as error:
            genwright.look("digits", **choice)
        assert error.value.code == "not-of-files"


def test_a_model_of_what_is_in_memory_goes_on_and_is_judged(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    pandas = pytest.importorskip("pandas")
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    given = pandas.DataFrame({"x": np.arange(90) / 8, "kind": WORDS * 3})
    model = genwright.train(given, label="kind", family="vae", size="xs", steps=2)
    run = model.run.path
    assert run.name == "rows-vae"
    made = model.sample(40, {"kind": "cd"})
    assert made.examples.dtypes.equals(given.dtypes)
    assert made.given["kind"].tolist() == ["cd"] * 40
    assert made.data().equals(made.examples)
    verdict = genwright.judge(fake=made.data(), real=given, label="kind", wanted=["columns"])
    assert [result.metric for result in verdict.results] == ["columns"]

    elsewhere = shutil.copy(keep_object(given).file, "rows.parquet")
    shutil.rmtree(cache_home())
    assert len(genwright.load(run, data=elsewhere).dataset.splits["train"]) > 0
    assert genwright.load(run).sample(2, {"kind": "ab"}).data().shape == (2, 2)
    with pytest.raises(DataError, match=r"give them again, by train\(data, resume=RUN\)") as gone:
        genwright.train(resume=run, steps=3)
    assert gone.value.code == "no-longer-kept"
    with pytest.raises(GenwrightError) as other:
        genwright.train(given[1:], resume=run, steps=3)
    assert other.value.code == "data-changed"
    assert len(genwright.load(run, data=given).dataset.splits["train"]) > 0
    assert genwright.train(given, resume=run, steps=3).run.step == 3


def test_what_a_model_is_applied_to_decides_what_comes_back() -> None:
    settings = ["task.how=super-resolution", "task.factor=2"]
    model = genwright.train(
        GREY[:, :4, :4],
        task="restore",
        settings=settings,
        family="vae",
        size="xs",
        steps=1,
        out="sharper",
    )
    run = model.run.path
    assert genwright.apply(run, GREY[:3, :2, :2]).examples.shape == (3, 4, 4)
    (one,) = genwright.apply(run, [Image.fromarray(GREY[0, :2, :2])]).examples
    assert (one.mode, one.size) == ("L", (4, 4))
    with pytest.raises(DataError) as error:
        genwright.apply(run, ["no.png"])
    assert error.value.code == "no-such-path"
