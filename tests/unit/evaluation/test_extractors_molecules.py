"""Where the package with ChemNet's weights is not installed, the network runs with other weights of the same
shapes."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from genwright.data.codec import Array
from genwright.data.text.field import TextField
from genwright.errors import DataError
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import extractor_for
from genwright.evaluation.extractors.molecules import LENGTH, SYMBOLS, ChemNetExtractor, one_hot
from genwright.evaluation.metrics.distances import frechet
from genwright.space import Space, Symbol

FILE = "fcd_torch/ChemNet_v0.13_pretrained.pt"
needs_chemnet = pytest.mark.skipif(find_spec("fcd_torch") is None, reason="needs the package fcd-torch")
SIZES: list[dict[str, tuple[int, ...]]] = [
    {"weight": (32, 35, 4)},
    {"weight": (32, 32, 4)},
    *(
        {
            "weight_ih_l0": (4 * h, width),
            "weight_hh_l0": (4 * h, h),
            "bias_ih_l0": (4 * h,),
            "bias_hh_l0": (4 * h,),
        }
        for width, h in ((32, 128), (128, 512))
    ),
]


def molecules(n: int, seed: int = 0) -> list[str]:
    """SMILES that are right, by a grammar: chains and rings with branches."""
    rng = np.random.default_rng(seed)

    def chain(depth: int) -> str:
        made = ""
        for _ in range(rng.integers(1, 5)):
            made += rng.choice(["C", "C", "C", "N", "O", "S", "c1ccccc1", "C1CCNCC1", "c1ccncc1"])
            if depth and rng.random() < 0.5:
                made += (
                    f"({rng.choice(['', '='])}{rng.choice(['O', 'N'])})" if rng.random() < 0.3 else ""
                )
                made += f"C({chain(depth - 1)})"
        return made

    return [chain(2) + rng.choice(["", "F", "Cl", "Br", "C#N", "C(=O)O"]) for _ in range(n)]


def corrupted(smiles: list[str], share: float, seed: int = 1) -> list[str]:
    """Symbols are exchanged for others: what comes out is seldom a molecule."""
    rng = np.random.default_rng(seed)
    others = list("CNOFPSI#()+-12345678=[]@cnos")
    return ["".join(rng.choice(others) if rng.random() < share else s for s in one) for one in smiles]


def stored(texts: list[str]) -> tuple[Space, Array, Any]:
    """Texts by number: a space, examples of it and what decodes them."""
    x = np.arange(len(texts))[:, None, None]
    return Space((1,), (Symbol(len(texts)),)), x, lambda x: [texts[i] for i in x[:, 0, 0]]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package, with code that must not be run and weights of our own."""
    rng = torch.Generator().manual_seed(0)
    layers = [
        {name: 0.1 * torch.randn(size, generator=rng) for name, size in sizes.items()} for sizes in SIZES
    ]
    (tmp_path / "fcd_torch").mkdir()
    (tmp_path / "fcd_torch/__init__.py").write_text("raise SystemExit")
    save(layers, tmp_path / FILE)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path / "cache"))
    return tmp_path


def save(layers: list[dict[str, Tensor]], file: Path) -> None:
    kinds = ["Conv1d", "Conv1d", "LSTM", "LSTM"]
    torch.save([[kind, [weights, {}, {}]] for kind, weights in zip(kinds, layers, strict=True)], file)


# -- what it reads ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("smiles", "symbols"),
    [
        ("CCl", "C Cl ."),
        ("c1cc(Br)ccc1", "c 1 c c ( Br ) c c c 1 ."),
        (" [Si](C)\n", "[ Si ] ( C ) ."),
        ("[nH]", "[ n H ] ."),
        ("[Li]C/C=C%12", "[ X ] C X C = C X 1 2 ."),
        ("CCO.[Na+]", "C C O ."),
        ("", "."),
        (".C", "."),
        ("C" * 400, "C " * 349 + "."),
    ],
)
def test_smiles_become_symbols(smiles: str, symbols: str) -> None:
    found = one_hot(smiles)
    assert found.shape == (LENGTH, len(SYMBOLS)) == (350, 35)
    number = found.argmax(1)[: int(found.sum())]
    assert [SYMBOLS[i] for i in number] == symbols.split()
    assert float(found[: len(number)].sum(1).min()) == 1
    assert float(found[len(number) :].abs().sum()) == 0


# -- the network -----------------------------------------------------------------------------------


def plain(texts: list[str], file: Path) -> Array:
    """ChemNet step by step, in double precision."""
    read = torch.load(file, weights_only=True)
    layers = [{k: v.double().numpy() for k, v in weights.items()} for _, (weights, *_) in read]
    found = []
    for text in texts:
        h = one_hot(text).double().numpy() / 35  # (350, 35)
        for layer, (before, behind) in zip(layers, ((1, 1), (1, 2)), strict=False):
            h = np.pad(h, ((before, behind), (0, 0)))
            seen = [
                np.einsum("oik,ki->o", layer["weight"], h[i : i + 4]) for i in range(0, len(h) - 3, 2)
            ]
            h = np.array(seen)
            h = 1.0507009873554805 * np.where(h > 0, h, 1.6732632423543772 * (np.exp(h) - 1))
        for layer in layers[2:]:
            state = cell = np.zeros(layer["weight_hh_l0"].shape[1])
            states = []
            for x in h[::-1]:
                gates = layer["weight_ih_l0"] @ x + layer["bias_ih_l0"]
                gates += layer["weight_hh_l0"] @ state + layer["bias_hh_l0"]
                i, f, g, o = np.split(gates, 4)
                cell = cell / (1 + np.exp(-f)) + np.tanh(g) / (1 + np.exp(-i))
                state = np.tanh(cell) / (1 + np.exp(-o))
                states.append(state)
            h = np.array(states)
        found.append(h[-1])
    return np.array(found)


def same_as_plain(file: Path) -> None:
    texts = [*molecules(2), "", "C" * 400, "what is no molecule"]
    space, x, raw = stored(texts)
    with torch.no_grad():
        found = ChemNetExtractor.backbone(space, raw)(torch.as_tensor(x))
    assert found.shape == (len(texts), 512)
    np.testing.assert_allclose(found.numpy(), plain(texts, file), rtol=0, atol=1e-5)
    assert float(found.std(0).max()) > 0.01


def test_chemnet_is_read_as_step_by_step(package: Path) -> None:
    same_as_plain(package / FILE)


@pytest.mark.usefixtures("package")
def test_features_depend_on_the_molecule_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChemNetExtractor, "piece", 4)
    texts = molecules(9)
    field = TextField(length=120, layout="documents")
    field.fit(texts)
    field.settle()
    x, raw = field.tensor(texts).numpy(), field.decode
    extractor = extractor_for(x, field.space, kind="chemnet", raw=raw)
    whole = extractor(x)
    order = np.random.default_rng(0).permutation(len(x))
    np.testing.assert_allclose(extractor(x[order]), whole[order], rtol=0, atol=1e-12)
    np.testing.assert_allclose(extractor(x[:1]), whole[:1], rtol=0, atol=1e-12)
    monkeypatch.setattr(FeatureExtractor, "fit", None)  # it is taken from the cache
    again = extractor_for(x, field.space, kind="chemnet", raw=raw)
    assert (again.name, again(x).tobytes()) == (extractor.name, whole.tobytes())


@pytest.mark.usefixtures("package")
def test_what_is_no_molecule_is_refused() -> None:
    space, x, raw = stored(["CCO\nCC", "two words", "CCN", "a b"])
    with pytest.raises(DataError, match=r"SMILES of one molecule.*hold blanks: 'CCO\\nCC'.*\.jsonl"):
        extractor_for(x, space, kind="chemnet", raw=raw)
    with pytest.raises(
        DataError, match="the chemnet feature extractor reads texts, and these examples are none: 7"
    ):
        extractor_for(x, space, kind="chemnet", raw=lambda x: [7] * len(x))
    with pytest.raises(DataError, match="give it `raw`"):
        ChemNetExtractor.fit(x, space)


@pytest.mark.parametrize("what", ["text", "few", "shape", "code"])
def test_another_file_is_refused(package: Path, what: str) -> None:
    file = package / FILE
    layers = [{name: torch.zeros(size) for name, size in sizes.items()} for sizes in SIZES]
    if what == "text":
        file.write_text("weights")
    elif what == "few":
        torch.save([["Conv1d", [layers[0], {}, {}]]], file)
    elif what == "shape":
        save([{"weight": torch.zeros(32, 34, 4)}, *layers[1:]], file)
    else:
        torch.save([["Conv1d", [Trap(package / "sprung"), {}, {}]]], file)
    space, _, raw = stored(["C", "N"])
    with pytest.raises(DataError, match=f"{re.escape(str(file))} does not hold the layers of ChemNet"):
        ChemNetExtractor.backbone(space, raw)
    assert not (package / "sprung").exists()


class Trap:
    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


# -- the true weights ------------------------------------------------------------------------------


@needs_chemnet
def test_the_true_weights_are_read_as_step_by_step() -> None:
    same_as_plain(ChemNetExtractor.file())


@needs_chemnet
def test_the_numbers_are_those_of_fcd_torch() -> None:
    space, x, raw = stored(["CC(=O)Oc1ccccc1C(=O)O", "CN1C=NC2=C1C(=O)N(C(=O)N2C)C"])
    with torch.no_grad():
        found = ChemNetExtractor.backbone(space, raw)(torch.as_tensor(x)).double().numpy()
    # `fcd_torch.FCD(canonize=False).get_predictions` of release 1.0.7.
    first = [0.04829353, 0.0035419, 0.06922269, 0.06948717, -0.19316632]
    np.testing.assert_allclose(found[0, :5], first, rtol=0, atol=1e-6)
    assert found.mean(1) == pytest.approx([0.00324275, -0.0095188], abs=1e-6)
    assert found.std(1) == pytest.approx([0.25577816, 0.26645517], abs=1e-6)


@needs_chemnet
def test_molecules_that_are_more_corrupted_are_farther() -> None:
    n = 150
    ladder = [corrupted(molecules(n, seed=9), share) for share in (0.0, 0.1, 0.4)]
    space, x, raw = stored([*molecules(n), *(one for made in ladder for one in made)])
    features = ChemNetExtractor.fit(x[:n], space, raw=raw)(x)
    difference_error = [frechet(features[:n], features[i : i + n]) for i in range(n, len(x), n)]
    assert difference_error == sorted(difference_error)
    assert difference_error[1] > 1.5 * difference_error[0]
    assert difference_error[2] > 4 * difference_error[0]
