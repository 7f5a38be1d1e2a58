from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from genwright.data.codec import Array
from genwright.errors import DataError, GenwrightError
from genwright.evaluation.extractors import base, learned
from genwright.evaluation.extractors.base import FeatureExtractor
from genwright.evaluation.extractors.learned import (
    ClassifierExtractor,
    ContrastiveExtractor,
    PcaExtractor,
    extractor_for,
)
from genwright.families.contrastive import HIDE, Views, fold, nt_xent, patches
from genwright.space import Real, Space, Symbol

SPACES = {
    "picture": Space((8, 8), (Real(3, bounded=True),)),
    "row": Space((), (Real(1), Symbol(5), Real(1), Symbol(3))),
    "text": Space((20,), (Symbol(300, pad=0),)),
    "level": Space((5, 30), (Symbol(6),)),
    "series": Space((21,), (Real(2),)),
    "film": Space((3, 9, 10), (Real(1, bounded=True),)),
    "thread": Space((1, 12), (Symbol(4),)),
    "mixed": Space((6,), (Real(2), Symbol(4))),
}
LEARNT: list[type[FeatureExtractor]] = [PcaExtractor, ContrastiveExtractor, ClassifierExtractor]


@pytest.fixture
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 6)
    monkeypatch.setattr(learned, "BATCH", 16)


def some(space: Space, n: int = 40, seed: int = 0) -> Array:
    """Random stored examples."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-1, 1, (n, *space.shape))
    for slot in space.slots():
        if isinstance(slot.span, Symbol):
            x[:, slot.stored] = rng.integers(slot.span.k, size=(n, 1, *space.grid))
    return x.astype(np.int64 if space.kind == "symbol" else np.float32)


def toys(n: int, seed: int) -> tuple[Array, list[str]]:
    """Pictures of three classes whose pixels are on average all alike: strokes of three directions,
    anywhere, strong or weak, with noise."""
    rng = np.random.default_rng(seed)
    which = rng.integers(3, size=n)
    down, across = np.mgrid[:8, :8]
    along = np.stack([down, across, down + across])[which]
    phase, strength = rng.uniform(0, 2 * np.pi, n), rng.uniform(0.2, 0.6, n)
    waves = strength[:, None, None] * np.sin(along * 1.6 + phase[:, None, None])
    x = np.clip(waves + 0.25 * rng.standard_normal(waves.shape), -1, 1)
    return x[:, None].astype(np.float32), [f"class {i}" for i in which]


TOYS = Space((8, 8), (Real(1, bounded=True),))


def probe(extractor: FeatureExtractor, train: tuple[Array, Any], test: tuple[Array, Any]) -> float:
    """The accuracy of a linear classifier of the features."""
    from sklearn.linear_model import LogisticRegression

    seen, unseen = extractor(train[0]), extractor(test[0])
    spread = seen.std()
    linear = LogisticRegression(max_iter=1000).fit(seen / spread, train[1])
    return float(linear.score(unseen / spread, test[1]))


# -- the contract ----------------------------------------------------------------------------------


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("kind", LEARNT)
@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_features_depend_on_the_example_alone(kind: type[FeatureExtractor], space: Space) -> None:
    extractor = kind.fit(some(space), space, ["a", "b"] * 20)
    x = some(space, 300, seed=1)
    whole = extractor(x)
    assert whole.shape == (300, extractor.dim)
    assert whole.dtype == np.float64
    assert 1 < extractor.dim <= 64
    assert np.isfinite(whole).all()
    order = np.random.default_rng(0).permutation(300)
    np.testing.assert_allclose(extractor(x[order]), whole[order], rtol=0, atol=1e-9)
    difference_error = np.concatenate([extractor(x[:1]), extractor(x[1:8]), extractor(x[8:])])
    np.testing.assert_allclose(difference_error, whole, rtol=0, atol=1e-9)
    assert (whole.std(0) > 0).all()


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("kind", LEARNT)
def test_training_features_are_centred_and_turned_onto_axes(kind: type[FeatureExtractor]) -> None:
    space = SPACES["picture"]
    x = some(space, 200)
    found = kind.fit(x, space, ["a", "b"] * 100)(x)
    covariance = np.cov(found.T)
    spread = np.diag(covariance)
    np.testing.assert_allclose(found.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(covariance - np.diag(spread), 0, atol=1e-4 * spread[0])
    assert (np.diff(spread) <= 1e-9).all()  # largest first, and not whitened
    assert spread[0] > 2 * spread[-1]


@pytest.mark.usefixtures("brief")
@pytest.mark.parametrize("kind", LEARNT)
def test_the_same_seed_makes_the_same_lens_and_leaves_the_generator(
    kind: type[FeatureExtractor],
) -> None:
    space = SPACES["mixed"]
    x, labels = some(space), ["a", "b"] * 20
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = kind.fit(x, space, labels, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = kind.fit(x, space, labels, seed=1)
    assert (again.name, again(x).tobytes()) == (first.name, first(x).tobytes())
    assert first.name.startswith(f"{kind.kind}-")
    assert len(first.name) == len(kind.kind) + 7
    assert kind.fit(some(space, seed=2), space, labels, seed=1).name != first.name
    if kind is not PcaExtractor:
        assert kind.fit(x, space, labels, seed=2).name != first.name


def test_another_space_is_another_lens() -> None:
    x = some(SPACES["picture"])
    wide = Space((8, 8), (Real(3),))
    assert PcaExtractor.fit(x, wide).name != PcaExtractor.fit(x, SPACES["picture"]).name


def test_what_no_lens_can_be_fitted_on_is_refused() -> None:
    space = SPACES["row"]
    with pytest.raises(DataError, match="at least 2 training examples, got 1"):
        PcaExtractor.fit(some(space, 1), space)
    x = some(space)
    x[3, 0] = np.nan
    with pytest.raises(DataError) as refused:
        PcaExtractor.fit(x, space)
    assert refused.value.code == "not-finite"
    with pytest.raises(DataError, match="40 examples and 3 labels"):
        ClassifierExtractor.fit(some(space), space, ["a", "b", "a"])
    with pytest.raises(DataError, match="needs labels"):
        ClassifierExtractor.fit(some(space), space)
    for labels in (["a"] * 40, list(range(40))):
        with pytest.raises(DataError, match=f"40 examples have {len(set(labels))}"):
            ClassifierExtractor.fit(some(space), space, labels)
    with pytest.raises(GenwrightError, match="this space wants"):
        PcaExtractor.fit(some(space), space)(some(SPACES["picture"]))


def test_examples_that_are_all_alike_have_one_feature() -> None:
    space = SPACES["series"]
    extractor = PcaExtractor.fit(np.ones((5, *space.shape), np.float32), space)
    assert extractor.dim == 1
    assert not extractor(np.ones((3, *space.shape), np.float32)).any()


# -- pca -------------------------------------------------------------------------------------------


def test_a_symbol_weighs_like_a_number() -> None:
    space = Space((), (Real(1), Symbol(7)))
    rng = np.random.default_rng(0)
    number, symbol = 30 * rng.standard_normal(4000), rng.integers(7, size=4000)
    x = np.stack([number, symbol], 1).astype(np.float32)
    extractor = PcaExtractor.fit(x, space)
    other = x.copy()
    other[:, 0] = number[0]
    assert extractor.dim == 7  # 1 + 7 - 1, for the one-hot numbers add up to 1
    of_symbol = extractor(other).var(0).sum()
    other = x.copy()
    other[:, 1] = symbol[0]
    of_number = extractor(other).var(0).sum()
    assert of_number == pytest.approx(1, rel=1e-6)
    assert of_symbol == pytest.approx(1, rel=1e-6)


def test_a_corner_that_hardly_changes_counts_little() -> None:
    x = np.random.default_rng(0).uniform(-1, 1, (500, 1, 8, 8)).astype(np.float32)
    x[:, :, 0, 0] *= 1e-3
    extractor = PcaExtractor.fit(x, TOYS)
    assert extractor(x).var(0).sum() == pytest.approx(64, rel=1e-6)  # 1 for each number
    corner, middle = x[:1].copy(), x[:1].copy()
    corner[..., 0, 0] += 1
    middle[..., 4, 4] += 1
    moved = [np.linalg.norm(extractor(y) - extractor(x[:1])) for y in (corner, middle)]
    assert moved[0] == pytest.approx(moved[1], rel=0.05)


def test_pca_of_a_long_text_is_of_counts_over_stretches() -> None:
    space = Space((64,), (Symbol(500),))
    backbone = PcaExtractor.backbone(space)
    x = some(space, 3)
    flat = backbone(torch.as_tensor(x)).view(3, 500, 8)
    for i in range(3):
        for cell in range(8):
            counts = np.bincount(x[i, 0, 8 * cell : 8 * cell + 8], minlength=500)
            np.testing.assert_allclose(flat[i, :, cell], counts / 8)


@pytest.mark.parametrize("name", ["picture", "row", "level", "mixed"])
def test_pca_of_a_small_space_is_of_its_embedded_form(name: str) -> None:
    space = SPACES[name]
    x = torch.as_tensor(some(space))
    assert torch.equal(PcaExtractor.backbone(space)(x).float(), space.embed(x).flatten(1))


# -- the parts of an encoder -----------------------------------------------------------------------


def test_nt_xent_is_what_the_paper_writes() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.standard_normal((2, 5, 3))
    z = np.concatenate([first, second])
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    losses = []
    for i in range(10):
        alike = np.exp(z @ z[i] / 0.3)
        losses.append(-np.log(alike[(i + 5) % 10] / (alike.sum() - alike[i])))
    given = nt_xent(torch.as_tensor(first), torch.as_tensor(second), temperature=0.3)
    assert float(given) == pytest.approx(np.mean(losses), rel=1e-12)


def test_folding_loses_nothing() -> None:
    x = torch.arange(2 * 3 * 6 * 7.0).view(2, 3, 6, 7) + 1
    folded = fold(x, (2, 4))
    assert folded.shape == (2, 24, 3, 2)
    assert torch.equal(folded[folded > 0].sort().values, x.flatten())
    # Channels of one cell are the numbers of one patch.
    cell = F.pad(x, (0, 1))[0, :, 2:4, 4:8].flatten().sort().values
    assert torch.equal(folded[0, :, 1, 1].sort().values, cell)


@pytest.mark.parametrize(
    ("grid", "patch", "coarse"),
    [((28, 28), (2, 2), (14, 14)), ((8, 8), (1, 1), (8, 8)), ((1000,), (4,), (250,)), ((), (), ())],
)
def test_an_encoder_looks_at_no_more_than_256_patches(
    grid: tuple[int, ...], patch: tuple[int, ...], coarse: tuple[int, ...]
) -> None:
    assert patches(grid) == (patch, coarse)


@pytest.mark.parametrize("name", SPACES)
def test_a_view_is_another_example_of_the_same_space(name: str) -> None:
    space = SPACES[name]
    x = torch.as_tensor(some(space, 200))
    kept = x.clone()
    torch.manual_seed(0)
    view = Views(space)(x)
    assert torch.equal(x, kept)
    assert (view.shape, view.dtype) == (x.shape, x.dtype)
    changed = (view != x).flatten(1).any(1).float().mean()
    assert changed > (0.6 if name == "row" else 0.9)
    hidden = 0.0
    for slot in space.slots():
        if isinstance(slot.span, Symbol):
            part = view[:, slot.stored]
            assert part.max() < slot.span.k
            assert set(part[part < 0].tolist()) <= {HIDE}
            hidden = float((part < 0).float().mean())
    assert not hidden if not space.grid or space.kind == "real" else 0.05 < hidden < 0.5


def test_a_row_is_corrupted_from_the_marginals() -> None:
    space = SPACES["row"]
    x = torch.as_tensor(some(space, 2000))
    torch.manual_seed(0)
    view = Views(space)(x)
    assert float((view[:, 0] != x[:, 0]).float().mean()) == pytest.approx(0.3, abs=0.04)
    for channel in range(4):
        assert set(view[:, channel].tolist()) <= set(x[:, channel].tolist())


def test_nothing_is_mirrored() -> None:
    space = Space((40,), (Real(1),))
    x = torch.linspace(-1, 1, 40).expand(50, 1, 40)
    torch.manual_seed(0)
    window = Views(space)._window(x)
    assert (window.diff(dim=2) >= 0).all()
    assert ((window - x).abs() < 0.7).all()


def test_what_costs_much_is_seen_in_smaller_steps_and_then_in_fewer() -> None:
    cheap, dear, dearest = (learned._length(work, 5_000) for work in (1e6, 1e8, 1e9))
    assert cheap == (learned.STEPS, learned.BATCH)
    assert dear == (learned.STEPS, int(learned.WORK / 1e8 / learned.STEPS))
    assert dearest == (round(learned.WORK / 1e9 / learned.SMALLEST), learned.SMALLEST)
    assert learned._length(1e6, 20) == (learned.STEPS, 20)


def test_the_work_of_a_long_example_is_known_and_draws_nothing() -> None:
    state, found = torch.get_rng_state(), []
    for length in (64, 256):
        space = Space((length,), (Symbol(60),))
        backbone, views = ContrastiveExtractor.backbone(space), Views(space)
        head = learned.projection(learned.HIDDEN, learned.DIM)
        x = torch.zeros(2, 1, length, dtype=torch.long)
        torch.set_rng_state(state)

        def loss(index: torch.Tensor) -> torch.Tensor:
            return learned.contrast(backbone, head, views, x[index])  # noqa: B023

        nets = torch.nn.ModuleList([backbone, head])
        found.append(learned._operations(nets, loss))
        assert torch.equal(torch.get_rng_state(), state)
        assert all(p.grad is None for p in nets.parameters())
    assert 2 * found[0] < found[1] < 4.5 * found[0]


# -- what they are good for ------------------------------------------------------------------------


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "STEPS", 60)
    monkeypatch.setattr(learned, "BATCH", 64)


def untrained(x: Array) -> FeatureExtractor:
    """A feature extractor with the weights that a network begins with."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(learned, "RATE", 1e-12)
        patch.setattr(learned, "STEPS", 1)
        return ContrastiveExtractor.fit(x, TOYS)


@pytest.mark.usefixtures("short")
def test_contrastive_features_tell_classes_that_it_was_never_told() -> None:
    train, test = toys(400, 0), toys(300, 9)
    extractor = ContrastiveExtractor.fit(train[0], TOYS)
    found = probe(extractor, train, test)
    assert found > 0.9
    assert found > probe(untrained(train[0]), train, test) + 0.08
    assert found > probe(PcaExtractor.fit(train[0], TOYS), train, test) + 0.4
    shuffled = np.random.default_rng(0).permutation(train[1])
    assert probe(extractor, (train[0], shuffled), test) < 0.5


@pytest.mark.usefixtures("short")
def test_classifier_features_tell_the_labels() -> None:
    train, test = toys(400, 0), toys(300, 9)
    assert probe(ClassifierExtractor.fit(train[0], TOYS, train[1]), train, test) > 0.97
    wrong = np.random.default_rng(0).permutation(train[1]).tolist()
    assert probe(ClassifierExtractor.fit(train[0], TOYS, wrong), train, test) < 0.9


@pytest.mark.journey
@pytest.mark.parametrize("seed", [0, 1])
def test_the_nearest_digit_by_contrastive_features_is_the_same_digit(seed: int) -> None:
    from sklearn.datasets import load_digits
    from sklearn.neighbors import KNeighborsClassifier

    digits = load_digits()
    x = (digits.images[:, None] / 8 - 1).astype(np.float32)
    order = np.random.default_rng(seed + 5).permutation(len(x))
    train, test = order[:1200], order[1200:]
    moved = np.roll(x[test], 1, axis=2) * np.float32(0.8) + np.float32(0.1)

    def same(extractor: FeatureExtractor, pictures: Array) -> float:
        nearest_neighbours = KNeighborsClassifier(1).fit(extractor(x[train]), digits.target[train])
        return float(nearest_neighbours.score(extractor(pictures), digits.target[test]))

    extractor = ContrastiveExtractor.fit(x[train], TOYS)
    assert same(extractor, x[test]) >= 0.97
    # Plain pixels do as well, until a digit is moved by a pixel and fades.
    assert same(extractor, moved) > same(untrained(x[train]), moved) + 0.04


# -- how sure it is ------------------------------------------------------------------------------


@pytest.mark.usefixtures("brief")
def test_a_lens_that_sees_little_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learned, "FEW", 50)
    extractor = {name: ContrastiveExtractor.fit(some(space), space) for name, space in SPACES.items()}
    assert extractor["level"].caution(50) == ""
    assert "from 49 examples, under 50" in extractor["level"].caution(49)
    assert "--features efficientnet or --features inception" in extractor["picture"].caution(49)
    assert "--features minilm" in extractor["text"].caution(49)
    assert "--features pca" in extractor["row"].caution(49)
    for name, space in SPACES.items():
        said = PcaExtractor.fit(some(space), space).caution(10**6)
        assert ("--features contrastive" in said) == bool(space.grid), name
        assert ("--features minilm" in said) == (name == "text")
    labelled = ClassifierExtractor.fit(some(TOYS), TOYS, ["a", "b"] * 20)
    assert labelled.caution(2) == ""


# -- kept between runs -----------------------------------------------------------------------------


@pytest.fixture
def fits(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, brief: None) -> list[str]:
    """The kinds that were fitted, in order."""
    monkeypatch.setenv("GENWRIGHT_CACHE", str(tmp_path))
    met: list[str] = []
    whole = FeatureExtractor.fit.__func__  # type: ignore[attr-defined]

    def fit(cls: type[FeatureExtractor], *given: Any) -> FeatureExtractor:
        met.append(cls.kind)
        found: FeatureExtractor = whole(cls, *given)
        return found

    monkeypatch.setattr(FeatureExtractor, "fit", classmethod(fit))
    return met


@pytest.mark.parametrize("kind", ["pca", "contrastive", "classifier"])
def test_a_kept_lens_is_the_same_to_the_byte(fits: list[str], tmp_path: Path, kind: Any) -> None:
    space = SPACES["mixed"]
    x, labels = some(space), ["a", "b"] * 20
    first = extractor_for(x, space, labels, kind, key="k")
    again = extractor_for(x, space, labels, kind, key="k")
    assert fits == [kind]
    assert (again.name, again(x).tobytes()) == (first.name, first(x).tobytes())
    names = {path.name for path in (tmp_path / "extractors" / "k").glob("*/*")}
    assert names == {"lens.json", "lens.safetensors"}


@pytest.mark.parametrize("spoil", ["byte", "cut", "json", "gone"])
def test_a_spoilt_lens_is_fitted_again(fits: list[str], tmp_path: Path, spoil: str) -> None:
    space = SPACES["picture"]
    x = some(space)
    first = extractor_for(x, space)
    (kept,) = tmp_path.glob("extractors/*/*/lens.safetensors")
    data = bytearray(kept.read_bytes())
    if spoil == "byte":
        data[-5] ^= 1
        kept.write_bytes(data)
    elif spoil == "cut":
        kept.write_bytes(data[:-8])
    elif spoil == "json":
        kept.with_name("lens.json").write_text("[]")
    else:
        kept.unlink()
    again = extractor_for(x, space)
    assert fits == ["contrastive"] * 2
    assert (again.name, again(x).tobytes()) == (first.name, first(x).tobytes())
    extractor_for(x, space)
    assert len(fits) == 2


def test_what_was_fitted_on_something_else_is_never_taken(fits: list[str]) -> None:
    space = SPACES["row"]
    x, labels = some(space), ["a", "b"] * 20
    extractor_for(x, space)
    extractor_for(x, space, labels)  # which a PCA does not read
    assert fits == ["pca"]
    extractor_for(some(space, seed=1), space)
    extractor_for(x, space, seed=1)
    extractor_for(x, space, key="other")
    assert fits == ["pca"] * 4
    extractor_for(x, space, labels, "classifier")
    extractor_for(x, space, labels[::-1], "classifier")
    assert fits == ["pca"] * 4 + ["classifier"] * 2


def test_a_change_of_format_fits_again(fits: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    x = some(SPACES["row"])
    first = extractor_for(x, SPACES["row"])
    newer = base.FORMAT + 1
    for module in (learned, base):
        monkeypatch.setattr(module, "FORMAT", newer)
    assert extractor_for(x, SPACES["row"]).name != first.name
    assert fits == ["pca"] * 2


def test_at_most_so_many_examples_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "MOST", 10)
    x, labels = base.chosen(np.arange(30)[:, None], [str(i) for i in range(30)], seed=0)
    assert len(x) == 10
    assert labels == [str(i) for i in x[:, 0]]
    assert (np.diff(x[:, 0]) > 0).all()
