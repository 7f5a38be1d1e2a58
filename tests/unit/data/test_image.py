"""Pictures: the codec from files to rows and back, the field from pictures to tensors and back."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genwright.data.codec import ReadOptions, Rows, Source
from genwright.data.dataset import wanted_fields
from genwright.data.image.codec import ImageCodec
from genwright.data.image.field import ImageField
from genwright.data.image.ops import Picture
from genwright.errors import DataError, RecipeError
from genwright.registry import build
from genwright.space import Real, Space


def noise(
    n: int, height: int, width: int, channels: int = 1, dtype: type = np.uint8
) -> list[np.ndarray]:
    shape = (n, height, width, channels) if channels > 1 else (n, height, width)
    return list(np.random.default_rng(n).integers(0, np.iinfo(dtype).max + 1, shape, dtype))


NOWHERE = Source(Path("nowhere"), (), "image", "none")


def source(root: Path) -> Source:
    files = (
        [root] if root.is_file() else sorted(p for p in root.rglob("*") if p.suffix in ImageCodec.reads)
    )
    return Source(root, tuple(files), "image", root.stem)


def fitted(pictures: list, **options: object) -> ImageField:
    codec = build("codecs", "image", options, where="codec")
    field = codec.fields(NOWHERE)["image"]
    field.fit(pictures)
    field.settle()
    return field


def read(
    where: Source, given: tuple[str, ...] = (), group: str | None = None, **options: object
) -> list[Rows]:
    """All rows of a source with these fields, chunk by chunk."""
    codec, wanted = ImageCodec(**options), ReadOptions(given=given, group=group)
    return list(codec.read(where, wanted_fields(codec, where, wanted), wanted))


def write(field: ImageField, pictures: list, labels: dict, folder: Path) -> list[Path]:
    return ImageCodec().write({"image": pictures, **labels}, {"image": field}, folder)


def folder(root: Path, n: int = 3) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    for i, array in enumerate(noise(n, 4, 5)):
        Image.fromarray(array).save(root / f"{i}.png")
    return root


# -- reading -----------------------------------------------------------------------------------


def test_reading_goes_in_chunks_and_bad_ones_are_told(tmp_path):
    images = np.stack(noise(600, 4, 5))
    np.savez(tmp_path / "a.npz", images=images, digit=np.arange(600), who=np.arange(600) // 10)
    (tmp_path / "b.npz").write_text("words")
    chunks = read(source(tmp_path), given=("digit",), group="who")
    assert [len(c) for c in chunks] == [256, 256, 88]
    assert [d for c in chunks for d in c.values["digit"]] == list(range(600))
    groups = [g for c in chunks for g in c.groups or ()]
    assert groups == [str(i // 10) for i in range(600)]
    assert [b.name for c in chunks for b in c.rejected] == ["b.npz"]
    again = read(source(tmp_path))
    assert [c.keys for c in again] == [c.keys for c in chunks]
    assert len({k for c in chunks for k in c.keys}) == 600
    assert list(again[0].values) == ["image"]
    assert again[0].groups is None
    assert ImageField().take(chunks[0].values["image"], [3, 1])[0] is chunks[0].values["image"][3]


def test_large_pictures_make_small_chunks(tmp_path, monkeypatch):
    monkeypatch.setattr("genwright.data.image.codec.CHUNK_BYTES", 2 * 30 * 30 * 3)
    for i in range(6):
        Image.new("RGB", (30, 30), (1, 2, 3)).save(tmp_path / f"{i}.png")
    assert [len(c) for c in read(source(tmp_path))] == [2, 2, 2]


def test_only_bad_files_still_tell_why(tmp_path):
    (tmp_path / "a.png").write_text("words")
    (only,) = read(source(tmp_path), group=None)
    assert len(only) == 0
    assert only.rejected[0].name == "a.png"
    with pytest.raises(DataError, match="no picture to learn from"):
        fitted(only.values["image"])


def test_an_unknown_label_is_an_error_at_once(tmp_path):
    folder(tmp_path / "cat")
    assert ImageCodec().labels(source(tmp_path)) == ["label"]
    with pytest.raises(DataError, match=r"no label or field 'labe1'; did you mean 'label'\?"):
        wanted_fields(ImageCodec(), source(tmp_path), ReadOptions(given=("labe1",)))
    with pytest.raises(DataError, match="no label or field 'who'"):
        wanted_fields(ImageCodec(), source(tmp_path), ReadOptions(group="who"))
    with pytest.raises(DataError, match=r"make class folders, or add a labels\.csv"):
        wanted_fields(ImageCodec(), source(tmp_path / "cat"), ReadOptions(given=("label",)))


@pytest.mark.parametrize("names", [("low", "high"), ("before", "after")])
def test_folders_that_may_well_be_classes_are_classes_unless_both_are_asked_for(tmp_path, names):
    for name in names:
        folder(tmp_path / name)
    assert ImageCodec().default_labels(source(tmp_path)) == ["label"]
    (rows,) = read(source(tmp_path), given=("label",))
    assert rows.values["label"] == sorted(3 * names)
    assert ImageCodec().fields(source(tmp_path), ReadOptions(given=names)).keys() == {*names}


# -- fitting -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sizes", "wanted"),
    [
        ([(8, 8)] * 3, (8, 8)),
        ([(20, 64)] * 3, (20, 64)),
        ([(1, 1)] * 3, (1, 1)),
        ([(65, 65)] * 3, (64, 64)),
        ([(300, 400), (500, 200), (50, 50)], (64, 64)),
        ([(30, 40), (21, 100), (50, 22)], (16, 16)),
        ([(5, 9), (7, 6)], (5, 5)),
    ],
)
def test_the_data_decide_the_size(sizes, wanted):
    field = fitted([np.zeros(size, np.uint8) for size in sizes])
    assert field.space == Space(wanted, (Real(1, bounded=True),))
    facts = field.facts()
    assert (facts["height"], facts["width"]) == wanted
    assert ("median" in facts["size_from"]) == (len(set(sizes)) > 1 or max(sizes[0]) > 64)


def test_a_size_that_is_asked_for_is_kept():
    assert fitted(noise(2, 8, 8), size=16).space.grid == (16, 16)
    assert fitted(noise(2, 8, 8), size=[4, 6]).space.grid == (4, 6)
    for size in (0, 1025, (8, 0)):
        with pytest.raises(RecipeError, match="size is 1 to 1024"):
            ImageCodec(size=size)


def rgba(alpha: int) -> np.ndarray:
    return np.concatenate([*noise(1, 4, 4, 3), np.full((4, 4, 1), alpha, np.uint8)], axis=2)


@pytest.mark.parametrize(
    ("pictures", "options", "wanted"),
    [
        (noise(3, 4, 4), {}, 1),
        (noise(3, 4, 4) + noise(1, 4, 4, 3), {}, 3),
        ([rgba(9), rgba(8), rgba(7), *noise(1, 4, 4, 3)], {}, 4),
        ([rgba(9), *noise(1, 4, 4, 3)], {}, 3),
        (noise(3, 4, 4, 2) + noise(4, 4, 4), {}, 1),
        (noise(3, 4, 4, 2) + noise(4, 4, 4), {"background": [255, 0, 0]}, 3),
        (noise(3, 4, 4), {"background": [255, 0, 0]}, 1),
        (noise(3, 4, 6), {"background": [255, 0, 0], "size": 4, "crop": "fit"}, 3),
        (noise(3, 4, 4, 3), {"channels": "grey"}, 1),
        (noise(3, 4, 4), {"channels": "rgba"}, 4),
    ],
)
def test_the_data_decide_the_channels(pictures, options, wanted):
    field = fitted(pictures, **options)
    assert field.space.stored == wanted
    assert field.encode(pictures).shape == (len(pictures), wanted, *field.space.grid)
    assert field.facts()["channels"] == {1: "grey", 3: "rgb", 4: "rgba"}[wanted]


def test_the_data_decide_the_depth(tmp_path):
    deep, flat, colour = noise(3, 4, 4, 1, np.uint16), noise(3, 4, 4), noise(3, 4, 4, 3)
    assert fitted(deep + flat[:2]).encode(flat).dtype == np.uint16
    assert fitted(deep[:2] + flat).encode(deep).dtype == np.uint8
    assert fitted(deep + colour[:1]).encode(deep).dtype == np.uint8
    assert fitted(deep, depth=8).encode(deep).dtype == np.uint8
    assert fitted(flat, depth=16).encode(flat).dtype == np.uint16
    assert fitted(colour, depth=16, channels="grey").encode(flat).dtype == np.uint16
    np.savez(tmp_path / "float.npz", images=np.stack(deep) / 65535)
    (rows,) = read(source(tmp_path / "float.npz"), depth=16)
    found = rows.values["image"]
    assert np.array_equal(fitted(found).encode(found)[:, 0], deep)
    with pytest.raises(RecipeError, match="depth=16 is for grey"):
        fitted(colour, depth=16)
    with pytest.raises(RecipeError, match="depth=16 is for grey"):
        ImageCodec(depth=16, channels="rgb")


def test_facts_and_warnings_tell_what_was_found(tmp_path):
    field = fitted(noise(5, 8, 8))
    assert field.warnings() == []
    pictures = [Picture(p[..., None], *p.shape, "PNG") for p in noise(2, 100, 20)]
    pictures += [Picture(p, 90, 90, "GIF", animated=True) for p in noise(1, 90, 90, 3)]
    field = fitted(pictures, size=64)
    facts = field.facts()
    assert facts["formats"] == {"GIF": 1, "PNG": 2}
    assert facts["sizes"] == {
        "different": 2,
        "smallest": [100, 20],
        "median": [100, 20],
        "largest": [90, 90],
    }
    assert facts["kinds"] == {"grey": 2, "colour": 1, "animated": 1}
    assert facts["enlarged"] == 2
    assert fitted(noise(5, 8, 8)).facts()["sizes"] == {"all": [8, 8]}
    enlarged, sizes, animated = field.warnings()
    assert "2 of 3 pictures are smaller than 64 x 64 and are enlarged" in enlarged
    assert "from 20 to 100 pixels" in sizes
    assert "1 pictures are animated: only the first frame" in animated
    assert fitted(pictures, size=64, crop="fit").facts()["enlarged"] == 0
    dark = [p // 16 for p in noise(2, 4, 4, 1, np.uint16)]
    assert "of 65535, so everything is dark" in fitted(dark).warnings()[0]
    assert "2 pictures have 16 bits and are brought to 8" in fitted(dark, depth=8).warnings()[0]


def test_options_are_checked():
    for options in (
        {"crop": "none"},
        {"channels": "cmyk"},
        {"depth": 12},
        {"size": "big"},
        {"augment": ["x"]},
    ):
        with pytest.raises(RecipeError, match=f"codec.{next(iter(options))} cannot be"):
            build("codecs", "image", options, where="codec")
    with pytest.raises(RecipeError, match="background is three numbers"):
        ImageCodec(background=(0, 0, 256))


# -- tensors and back --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pictures", "options"),
    [
        (list(np.arange(256, dtype=np.uint8).reshape(1, 16, 16)), {}),
        (list(np.arange(65536, dtype=np.uint16).reshape(16, 64, 64)), {}),
        (noise(4, 5, 7, 3), {}),
        (noise(4, 5, 7, 4), {}),
    ],
)
def test_every_value_comes_back_exactly(pictures, options):
    field = fitted(pictures, **options)
    compact = field.encode(pictures)
    x = field.expand(compact).numpy()
    assert x.dtype == np.float32
    assert (x.min(), x.max()) == (-1, 1)
    field.space.check(torch.from_numpy(x))
    back = field.decode(x)
    assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(pictures, back, strict=True))
    assert np.array_equal(field.encode(back), compact)


def test_expand_says_what_it_promises_and_decode_clips():
    field = fitted(noise(2, 2, 2))
    assert field.expand(np.array([[[[0, 51, 255]]]], np.uint8)).ravel().tolist() == pytest.approx(
        [-1, -0.6, 1]
    )
    assert field.decode(np.array([[[[-3.0, -0.999, 0.0, 7.0]]]], np.float32))[0].tolist() == [
        [0, 0, 128, 255]
    ]
    assert field.encode([]).shape == (0, 1, 2, 2)


def test_the_state_is_json_and_complete():
    pictures = [*noise(2, 9, 12, 4), *noise(1, 30, 30, 3)]
    field = fitted(pictures, size=(6, 7), crop="fit", background=[9, 8, 7], channels="rgb")
    text = json.dumps(field.state(), allow_nan=False)
    other = ImageField()
    other.restore(json.loads(text))
    assert np.array_equal(other.encode(pictures), field.encode(pictures))
    assert (other.space, other.facts(), other.warnings()) == (
        field.space,
        field.facts(),
        field.warnings(),
    )
    assert json.dumps(other.state()) == text


def test_nothing_is_varied_unless_asked_for():
    x = torch.rand(8, 1, 8, 8) * 2 - 1
    rng = torch.Generator().manual_seed(0)
    assert torch.equal(fitted(noise(2, 8, 8)).augment(x, rng), x)
    assert torch.equal(fitted(noise(2, 8, 8), augment={"flip": 1.0}).augment(x, rng), x.flip(-1))
    turned = fitted(noise(2, 8, 8), augment=["rotate", "shift"])
    assert not torch.equal(turned.augment(x, rng), x)
    assert turned.state() == fitted(noise(2, 8, 8)).state()  # the cache does not depend on it


# -- files -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pictures",
    [noise(12, 6, 5), noise(12, 6, 5, 1, np.uint16), noise(12, 6, 5, 3), noise(12, 6, 5, 4)],
)
def test_what_is_written_reads_back_with_its_labels(tmp_path, pictures):
    labels = {"kind": [f'a "{i}", é' for i in range(12)], "number": list(range(12))}
    field = fitted(pictures)
    made = field.decode(field.expand(field.encode(pictures)).numpy())
    files = write(field, made, labels, tmp_path / "out")
    assert [f.name for f in files] == ["sheet.png", *(f"{i:05d}.png" for i in range(12)), "labels.csv"]
    assert sorted(files) == sorted((tmp_path / "out").iterdir())
    with Image.open(files[1]) as first:
        assert first.size == (5, 6)
    assert ImageCodec().labels(source(tmp_path / "out")) == ["kind", "number"]
    (again,) = read(source(tmp_path / "out"), given=("kind", "number"))
    assert not again.rejected
    found = again.values.pop("image")
    assert again.values == {"kind": labels["kind"], "number": [str(i) for i in range(12)]}
    assert np.array_equal(fitted(found).encode(found), field.encode(pictures))


def test_without_labels_there_is_no_table(tmp_path):
    field = fitted(noise(2, 8, 8))
    files = write(field, noise(2, 8, 8), {}, tmp_path)
    assert [f.name for f in files] == ["sheet.png", "00000.png", "00001.png"]
    assert write(field, [], {}, tmp_path / "none") == []
    with pytest.raises(ValueError, match="shorter"):
        write(field, noise(2, 8, 8), {"a": [1]}, tmp_path)


def test_a_written_table_is_plain_csv(tmp_path):
    write(fitted(noise(2, 8, 8)), noise(2, 8, 8), {"a": ["x", "y"]}, tmp_path)
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as stream:
        assert list(csv.reader(stream)) == [["file", "a"], ["00000.png", "x"], ["00001.png", "y"]]


def test_the_preview_is_the_sheet(tmp_path):
    field = fitted(noise(4, 8, 8))
    preview = ImageCodec().preview({"image": noise(4, 8, 8)}, {})
    assert preview.kind == "png"
    assert preview.png == write(field, noise(4, 8, 8), {}, tmp_path)[0].read_bytes()
    with Image.open(io.BytesIO(preview.png)) as image:
        assert image.size == (2 * 66 + 2, 2 * 66 + 2)


def test_from_a_folder_of_many_kinds_to_one_space(tmp_path):
    folder(tmp_path / "grey")
    (tmp_path / "colour").mkdir()
    Image.fromarray(noise(1, 60, 90, 3)[0]).save(tmp_path / "colour" / "a.jpg")
    Image.fromarray(noise(1, 50, 40, 4)[0]).save(tmp_path / "colour" / "b.webp")
    (tmp_path / "colour" / "c.png").write_bytes(b"\x89PNG")
    chunks = read(source(tmp_path), given=("label",))
    field = fitted([one for rows in chunks for one in rows.values["image"]], size=8)
    x = field.expand(field.encode(chunks[0].values["image"])).numpy()
    assert field.space == Space((8, 8), (Real(3, bounded=True),))
    field.space.check(torch.from_numpy(x))
    assert chunks[0].values["label"] == ["colour", "colour", "grey", "grey", "grey"]
    assert [b.name for b in chunks[0].rejected] == ["colour/c.png"]
