"""Domains without pairs: chosen, refused, trained on and translated between, as a person would."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import genwright
from commands import TINY, classes, done, pictures, refused, table
from genwright import api
from genwright.data.codec import ReadOptions
from genwright.data.dataset import make_codec, prepare
from genwright.data.loader import Loader, strata
from genwright.data.source import find
from genwright.errors import Incompatible
from genwright.space import CondSpec, Real, Space, Symbol
from genwright.tasks.unpaired import Unpaired

CYCLE = ("--family", "cyclegan", *TINY)
ROW, KIND = Space((), (Real(2),)), Space((), (Symbol(2),))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures of two domains, and a run on them."""
    folder = tmp_path_factory.mktemp("translate")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        classes(folder / "faces")
        done("train", "faces", "--out", "run", *CYCLE)
        table(folder / "rows.csv")
        done("train", "rows.csv", "--family", "vae", "--out", "vae", *TINY)
        yield folder


@pytest.fixture(autouse=True)
def _there(trained: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(trained)


# -- the task --------------------------------------------------------------------------------------


def test_a_batch_is_seen_with_its_domains_and_no_source() -> None:
    task = Unpaired(make="row", given=["style"])
    spec = task.spec({"row": ROW, "style": KIND})
    assert (spec.make, spec.space) == ("row", ROW)
    assert spec.conds == {"source": CondSpec(ROW, align=True), "domain": CondSpec(KIND)}
    x, domain = torch.randn(4, 2), torch.tensor([[0], [1], [1], [0]])
    seen = task.view({"row": x, "style": domain}, torch.Generator())
    assert seen.x is x
    assert list(seen.cond) == ["domain"]
    assert seen.cond["domain"] is domain


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, r"no label is given.*folder"),
        ({"a": KIND, "b": KIND}, r"2 are given \(a, b\).*--label a"),
        ({"age": ROW}, r"'age' is measured"),
        ({"age": Space((), (Symbol(2), Real(1)))}, r"'age' is measured"),
        ({"one": Space((), (Symbol(1),))}, r"of one domain by their label 'one'.*another"),
    ],
)
def test_what_tells_no_domains_apart_is_refused(given: dict[str, Space], words: str) -> None:
    with pytest.raises(Incompatible, match=words) as error:
        Unpaired(make="row", given=list(given)).spec({"row": ROW} | given)
    assert error.value.code == "no-domains"


# -- batches ---------------------------------------------------------------------------------------


def test_a_rare_domain_comes_as_often_as_another(tmp_path: Path) -> None:
    pictures(tmp_path / "few/rare", 3)
    pictures(tmp_path / "few/usual", 40, first=3)
    options = ReadOptions(("label",), val=0.0, test=0.0)
    dataset = prepare(find(tmp_path / "few"), make_codec("image", {}), {}, options)
    split = dataset.splits["train"]
    domains = np.asarray(split.arrays["label"])[:, 0]
    sorts = strata(domains)
    assert list(map(len, sorts)) == [3, 40]
    n = len(split)
    loader = Loader(n, 0, strata=sorts)
    seen = np.concatenate([loader.next(16) for _ in range(5)])
    assert split.gather(seen)["label"].flatten().tolist() == [0, 1] * 40
    assert len(set(seen[1::2])) == 40  # all before any comes again
    assert np.bincount(seen[0::2])[sorts[0]].tolist() in ([13, 13, 14], [13, 14, 13], [14, 13, 13])
    # Two devices take turns, and the place is the whole state.
    two = [Loader(n, 0, rank=rank, world=2, strata=sorts) for rank in range(2)]
    both = np.concatenate([one.next(8) for one in two])
    again = Loader(n, 0, strata=sorts)
    assert np.array_equal(both, again.next(16))
    later = Loader(n, 0, strata=sorts)
    later.place = 64
    assert np.array_equal(later.next(16), seen[64:])


# -- before training -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("faces", "--label", ""), ["no label is given"]),
        (("faces", "--label", "colour"), ["'colour'", "known: label"]),
        (("faces", "--set", "task=generate"), ["'generate'", "pairs", "task.name at auto"]),
        (("faces", "--set", "train.batch_size=1"), ["1 examples", "2 domains", "train.batch_size"]),
        (("digits", "--label", "label"), ["2 domains", "are 10", "--family stargan"]),
        (("rows.csv", "--label", "x"), ["'x' is measured"]),
        (("rows.csv", "--label", "y", "--label", "z"), ["2 are given"]),
    ],
)
def test_what_cannot_be_translated_is_refused_before_training(
    more: tuple[str, ...], words: list[str]
) -> None:
    refused("train", *more, *CYCLE, "--out", "never", words=words)
    assert not Path("never").exists()


def test_a_paired_family_takes_no_unpaired_task() -> None:
    args = ("--family", "vae", "--set", "task=unpaired", "--out", "never")
    refused("train", "faces", *args, *TINY, words=["vae learns from pairs", "--family cyclegan"])
    assert not Path("never").exists()


def test_one_domain_is_refused(tmp_path: Path) -> None:
    pictures(tmp_path / "faces/only", 30)
    refused("train", tmp_path / "faces", *CYCLE, words=["of one domain", "another domain"])


# -- translating -----------------------------------------------------------------------------------


def test_files_are_translated_in_their_order_with_one_sheet(tmp_path: Path) -> None:
    out = tmp_path / "out"
    said = done("translate", "run", "faces/a/003.png", "faces/a", "--to", "b", "--out", out)
    assert "Made 16 in" in said.out
    made = sorted(path.name for path in out.glob("0*.png"))
    assert len(made) == 16
    with Image.open(out / "sheet.png") as sheet, Image.open(out / "00000.png") as one:
        assert one.size == (8, 8)
        assert sheet.height > sheet.width / 2
    first, again = (np.asarray(Image.open(out / name)) for name in ("00000.png", "00004.png"))
    assert np.array_equal(first, again)  # the same file came twice
    assert set((out / "labels.csv").read_text().split()[1:]) == {f"{name},b" for name in made}


def test_without_files_held_out_ones_of_the_other_domain_are(tmp_path: Path) -> None:
    done("translate", "run", "--to", "a", "-n", "3", "--out", tmp_path / "out")
    made = genwright.translate("run", to="a", n=3)
    assert made.given == {"label": ["a"] * 3}
    originals = {Path(f"faces/b/{i:03d}.png"): i for i in range(15, 30)}
    known = [np.asarray(Image.open(path)).tolist() for path in originals]
    assert all(source.tolist() in known for source in made.sources)
    assert "translate run --to a" in done("train", "--resume", "run", "--steps", "4").out


def test_sampling_translates_held_out_ones_to_every_domain() -> None:
    made = api.load("run").sample(10, seed=1)
    assert sorted(set(made.given["label"])) == ["a", "b"]
    assert len(made.sources) == 10
    assert set(api.load("run").sample(4, {"label": "b"}).given["label"]) == {"b"}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("run",), ["name the domain", "a or b"]),
        (("run", "--to", "c"), ["'c'", "known: a, b"]),
        (("run", "nowhere", "--to", "a"), ["nowhere"]),
        (("run", "rows.csv", "--to", "a"), ["rows.csv is no image data", ".png"]),
        (("run", "--to", "a", "--set", "stps=3"), ["stps"]),
        (("vae", "--to", "a"), ["vae makes new examples", "--family cyclegan"]),
        (("faces", "--to", "a"), ["faces", "not a run"]),
        (("run", "--to", "a", "-n", "0"), ["1 or more"]),
    ],
)
def test_a_translation_that_cannot_be_is_refused(args: tuple[str, ...], words: list[str]) -> None:
    refused("translate", *args, words=words)


def test_a_broken_picture_among_others_is_left_out(tmp_path: Path) -> None:
    folder = pictures(tmp_path / "mixed", 2)
    (folder / "broken.png").write_bytes(b"no picture")
    made = genwright.translate("run", folder, "a")
    assert len(made) == 2
    assert "broken.png" in made.notes[0]
    refused(
        "translate",
        "run",
        folder / "broken.png",
        "--to",
        "a",
        words=["nothing to read in", "broken.png: not a picture"],
    )


def test_a_table_is_translated_too(tmp_path: Path) -> None:
    rows = [(round(0.1 * i, 2), i % 3, "ab"[i % 2]) for i in range(120)]
    table(tmp_path / "two.csv", rows, head="x,z,kind")
    done("train", tmp_path / "two.csv", "--label", "kind", "--out", tmp_path / "run", *CYCLE)
    made = genwright.translate(tmp_path / "run", tmp_path / "two.csv", "b")
    assert list(made.examples["kind"]) == ["b"] * 120
    assert list(made.examples.columns) == ["x", "z", "kind"]


def test_the_domain_to_paint_is_named_as_a_domain_is(tmp_path: Path) -> None:
    words = ("faces", "--family", "style", *TINY, "--out", tmp_path / "run", "--set")
    refused("train", *words, "family.content=c", words=["content=c is no domain", "known: a, b"])
    refused("train", *words, "family.content=2", words=["numbered from 0 to 1"])
    assert not (tmp_path / "run").exists()
    done("train", *words, "family.content=b")
    assert genwright.load(tmp_path / "run").domains == ["a"]
