"""What every registered family promises on every kind of space, natively or through its bridge.

Shapes and seeds are not enough: a sampler whose symbols were all the same would pass them. So each cell
is trained for a moment on data whose law depends on a label, and its samples must depend on it likewise.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pytest
import torch
from cases import SPACES
from torch import Tensor

from genwright.batch import Batch
from genwright.families.autoregressive import Autoregressive
from genwright.families.base import Family
from genwright.families.capabilities import (
    Autoencoder,
    DensityEstimator,
    Encoder,
    Generative,
    Infilling,
    LatentVariable,
)
from genwright.families.translator import Translator
from genwright.families.vae import VAE
from genwright.families.vqvae import VQVAE
from genwright.nets.auto import Auto
from genwright.planning import weigh
from genwright.recipe import TrainOptions
from genwright.registry import build, names, resolve
from genwright.space import Real, Space, Symbol
from genwright.testing import check_family
from genwright.testing.families import FAMILY, LAWS, Cell, Variant
from genwright.training.optim import PhaseOptimizer

STEPS = {
    "gan": 150,
    "flow": 60,
    "cyclegan": 40,
    "stargan": 60,
    "style": 60,
    "energy": 90,
    "vqvae": 100,
    "meanflow": 160,
    "maf": 40,
    "persistent": 150,
    "pixelcnn": 25,
    "wavenet": 40,
}
OPTIONS = {
    "gan": TrainOptions(lr=2e-3),
    "flow": TrainOptions(lr=1e-2),
    "cyclegan": TrainOptions(lr=3e-3),
    "stargan": TrainOptions(lr=3e-3),
    "style": TrainOptions(lr=1e-2),
    "wgan_gp": TrainOptions(lr=2e-3),
    "maf": TrainOptions(lr=1e-2),
    "persistent": TrainOptions(lr=4e-3),
}  # a moment is short: make larger steps
SETTINGS = {
    "flow": {"steps": 2},
    "style": {"content_weight": 0.1},
}  # of the family itself, where its default is more than a moment
KNOBS = {
    "masked": {"steps": 12},
    "persistent": {"steps": 50},
}  # of the sampler, where its defaults take long


@dataclass(frozen=True)
class On:
    """A family by other options or with another net: as good as another family, but on few spaces."""

    family: str
    spaces: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    net: str = "auto"


VARIANTS = {
    "vamp": On("vae", ("row",), {"prior": "vamp"}),
    "plain vae": On("vae", ("colour-image", "latent"), {"prior": "normal"}),
    "meanflow": On("diffusion", ("row", "mixed-series"), {"objective": "meanflow"}),
    "wgan_gp": On("gan", ("row", "latent"), {"loss": "wgan-gp", "pack": 2, "critic_steps": 3}),
    "maf": On("flow", ("row", "mixed-series"), {"transform": "affine", "order": "autoregressive"}),
    "persistent": On("energy", ("row",), {"objective": "contrastive", "chain": 8, "buffer": 512}),
    "pixelcnn": On("autoregressive", ("level", "colour-image"), net="pixelcnn"),
    "wavenet": On("autoregressive", ("text", "row"), net="wavenet"),
}
assert VARIANTS.keys().isdisjoint(names("families"))


def variant(name: str) -> On:
    """A registered family is the first of its variants."""
    return VARIANTS.get(name, On(name, tuple(SPACES), SETTINGS.get(name, {})))


EVERY = [
    (name, space)
    for name in (*names("families"), *VARIANTS)
    for space in variant(name).spaces
    if weigh(variant(name).family, SPACES[space]).outcome != "refused"
]


def offering(capability: type[Family]) -> list[tuple[str, str]]:
    """The cells of those families that offer this."""
    return [
        (name, space)
        for name, space in EVERY
        if issubclass(resolve("families", variant(name).family), capability)
    ]


CELLS, UNPAIRED = offering(Generative), offering(Translator)
CODES = [cell for cell in EVERY if cell not in CELLS]
LARGE = frozenset({"level", "colour-image", "mixed-series", "video"})
"""Spaces that take long: all their cells are for `make journey`, but one of each."""
ONE_OF_EACH = {
    *(("masked", "level"), ("flow", "colour-image"), ("vae", "mixed-series"), ("diffusion", "video")),
    *(("pixelcnn", "level"), ("stargan", "mixed-series")),
}
LONG = {
    *(("cyclegan", "text"), ("stargan", "text"), ("stargan", "grey-image"), ("style", "grey-image")),
    *(("anyorder", "grey-image"), ("masked", "grey-image"), ("autoregressive", "grey-image")),
    *(("flow", "text"), ("gan", "text"), ("vqvae", "text"), ("energy", "text")),
    *(("gan", "grey-image"), ("cyclegan", "grey-image"), ("vqvae", "grey-image")),
    *(
        ("diffusion", "text"),
        ("masked", "latent"),
        ("anyorder", "latent"),
        ("wgan_gp", "latent"),
        ("vqvae", "latent"),
        ("energy", "grey-image"),
    ),
}
"""Others that do, of families that are held to the laws on other spaces as well."""


def cell_of(family: str, space: str, *rest: str) -> Any:
    """A cell as a parameter: those that take long are for the journey."""
    long = (space in LARGE and (family, space) not in ONE_OF_EACH) or (family, space) in LONG
    return pytest.param(family, space, *rest, marks=[pytest.mark.journey] if long else [])


def over(which: list[tuple[str, str]]) -> pytest.MarkDecorator:
    """A test of these cells."""
    return pytest.mark.parametrize(("family", "space"), [cell_of(*one) for one in which])


every_cell, cells, code_cells, unpaired_cells = map(over, (EVERY, CELLS, CODES, UNPAIRED))


@cache
def cell(name: str, space: str) -> Cell:
    one, train = variant(name), OPTIONS.get(name, TrainOptions())
    made = Variant(one.family, one.settings, one.net, STEPS.get(name, 80), train, KNOBS.get(name, {}))
    return Cell(made, SPACES[space])


def hold(law: str, family: str, space: str) -> None:
    FAMILY.hold(law, cell(family, space), f"{family} on {space}")


@every_cell
def test_loss_is_finite_and_falls(family: str, space: str) -> None:
    hold("loss-is-finite-and-falls", family, space)


@every_cell
def test_gradient_reaches_every_parameter(family: str, space: str) -> None:
    hold("gradient-reaches-every-parameter", family, space)


@cells
def test_samples_are_of_the_space(family: str, space: str) -> None:
    hold("samples-are-of-the-space", family, space)


@cells
def test_same_seed_same_bytes(family: str, space: str) -> None:
    hold("same-seed-same-bytes", family, space)


@cells
def test_saved_and_loaded_it_gives_the_same_bytes(family: str, space: str) -> None:
    hold("saved-and-loaded-it-gives-the-same-bytes", family, space)


@cells
def test_rows_of_a_batch_do_not_see_each_other(family: str, space: str) -> None:
    hold("rows-of-a-batch-do-not-see-each-other", family, space)


@cells
def test_requests_made_together_are_as_made_alone(family: str, space: str) -> None:
    hold("requests-made-together-are-as-made-alone", family, space)


@cells
def test_law_samples_depend_on_the_label_as_the_data_do(family: str, space: str) -> None:
    hold("samples-depend-on-the-label-as-the-data-do", family, space)


@unpaired_cells
def test_law_each_translation_is_of_its_own_source(family: str, space: str) -> None:
    hold("each-translation-is-of-its-own-source", family, space)


@unpaired_cells
def test_a_translation_needs_a_source_and_a_domain(family: str, space: str) -> None:
    hold("a-translation-needs-a-source-and-a-domain", family, space)


@pytest.mark.parametrize(
    ("family", "space", "law"),  # the family first: what shares its cells stays in one process
    [
        cell_of(*cell, law)
        for capability in (Infilling, DensityEstimator, Encoder, LatentVariable, Autoencoder)
        for cell in offering(capability)
        for law in LAWS[capability]
    ],
)
def test_what_a_family_offers_it_does(family: str, space: str, law: str) -> None:
    hold(law, family, space)


@code_cells
def test_law_codes_tell_the_label_apart(family: str, space: str) -> None:
    hold("codes-tell-the-label-apart", family, space)


# -- likelihoods -----------------------------------------------------------------------------------


def everything(family: str) -> tuple[DensityEstimator, Tensor, float]:
    """A family over a space so small that all of it can be asked about: its points, and the volume of
    each."""
    if "symbol" in resolve("families", family).accepts:
        symbols = Space((), (Symbol(3), Symbol(2)))
        made: DensityEstimator = build("families", family, {}, symbols, {}, Auto("xs"), where="family")
        if made.likelihood is not None:
            return made, torch.cartesian_prod(torch.arange(3), torch.arange(2)), 1.0
    line = torch.linspace(-5, 5, 101)
    plane = Space((), (Real(2),))
    made = build("families", family, {}, plane, {}, Auto("xs"), where="family")
    return made, torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


DENSITIES = [f for f in names("families") if issubclass(resolve("families", f), DensityEstimator)]


@pytest.mark.parametrize(
    "family",
    # That of a diffusion takes an ODE at each point, and that of a VQ-VAE is the next to take long.
    [
        pytest.param(f, marks=[pytest.mark.journey] if f in ("diffusion", "vqvae") else [])
        for f in DENSITIES
    ],
)
def test_a_likelihood_adds_up_to_one(family: str) -> None:
    """Trained for a moment, so that it is of some shape; a bound adds up to less."""
    torch.manual_seed(0)
    made, points, volume = everything(family)
    inner = torch.nonzero(points.float().square().sum(1) < 3).flatten()
    x = points[inner[torch.randint(0, len(inner), (512,))]]
    if x.is_floating_point():  # on the lattice that is summed over there would be more than between
        x = x + volume**0.5 * (torch.rand_like(x) - 0.5)
    made.prepare(Batch(x))
    optimizers = [(phase, PhaseOptimizer(made, phase, TrainOptions())) for phase in made.phases]
    made.clock.progress = 1.0  # past any warm-up
    for _ in range(100):
        for phase, optimizer in optimizers:
            made.zero_grad()
            torch.stack(list(made.loss(Batch(x), phase.name).values())).sum().backward()
            optimizer.step(1.0)
    with torch.no_grad():
        p = made.eval().log_prob(Batch(points)).double().exp()
    assert p.shape == (len(points),)
    total = float(p.sum() * volume)
    exact = resolve("families", family).likelihood == "exact"
    assert total == pytest.approx(1, abs=0.01) if exact else 0.6 < total < 1.02
    assert p.max() > 1.3 * p.mean()


# -- the contract itself ---------------------------------------------------------------------------


class Deaf(VAE):
    """Samples as if another label had been given."""

    def _sample(self, n: int, cond: Any, rng: torch.Generator) -> Tensor:
        return super()._sample(n, {name: torch.zeros_like(x) for name, x in cond.items()}, rng)


class Sociable(VAE):
    """Centres its samples over the batch."""

    def _sample(self, n: int, cond: Any, rng: torch.Generator) -> Tensor:
        made = super()._sample(n, cond, rng)
        return made + 0.1 * (made - made.mean(0))


class Restless(VAE):
    """Draws from no seed."""

    def _sample(self, n: int, cond: Any, rng: torch.Generator) -> Tensor:
        return super()._sample(n, cond, torch.Generator().manual_seed(int(torch.randint(2**31, ()))))


class Idle(VAE):
    """Learns nothing."""

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        return {name: 0.0 * term for name, term in super().loss(batch, phase).items()}


class Indifferent(VAE):
    """Finds every example as likely as any."""

    def log_prob(self, batch: Batch) -> Tensor:
        return torch.zeros(len(batch))


class Relative(VAE):
    """Says an example by what it is beside the others."""

    def encode(self, batch: Batch) -> Tensor:
        codes = super().encode(batch)
        return codes - codes.mean(0)


class Wavering(VAE):
    """Makes another example of a code each time."""

    def decode(self, codes: Tensor, cond: Any) -> Tensor:
        return super().decode(codes + torch.randn_like(codes), cond)


class Coarse(VQVAE):
    """Leads codes back to a single number."""

    def from_latent(self, code: Tensor, rng: torch.Generator) -> Tensor:
        return super().from_latent(code, rng).mean(1, keepdim=True)


class Forgetful(Autoregressive):
    """Makes whole examples, whatever is known of them."""

    def _sample(self, n: int, given: Any, rng: torch.Generator, partial: Any = None) -> Tensor:
        return super()._sample(n, given, rng)


@pytest.mark.parametrize(
    ("spoilt", "space", "law"),
    [
        (Deaf, "latent", "samples-depend-on-the-label-as-the-data-do"),
        (Sociable, "latent", "rows-of-a-batch-do-not-see-each-other"),
        (Restless, "latent", "same-seed-same-bytes"),
        (Idle, "latent", "loss-is-finite-and-falls"),
        (Indifferent, "latent", "an-example-is-likelier-under-its-own-label"),
        (Relative, "latent", "codes-depend-on-the-example-alone-and-are-kept"),
        (Wavering, "latent", "codes-of-the-prior-are-decoded-to-examples"),
        (Coarse, "latent", "examples-become-codes-and-codes-examples"),
        (Forgetful, "binned-row", "what-is-known-is-kept"),
    ],
)
def test_a_spoilt_family_breaks_the_law(spoilt: type[Family], space: str, law: str) -> None:
    with pytest.raises(
        AssertionError, match=f"family {spoilt.__name__.lower()} on {space} breaks the law '{law}'"
    ):
        check_family(spoilt, spaces={space: SPACES[space]}, steps=100)


def test_a_family_of_ones_own_is_checked() -> None:
    check_family(Autoregressive, spaces={"text": SPACES["text"]})
    with pytest.raises(AssertionError, match="refuses every space"):
        check_family("style", spaces={"row": SPACES["row"]})
