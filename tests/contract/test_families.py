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
from cases import LABEL, SPACES, data, effect
from safetensors.torch import load, save
from torch import Tensor

from genwright.batch import Batch
from genwright.bridges.base import Bridge
from genwright.errors import Unsupported
from genwright.families.base import Family
from genwright.nets.auto import Auto
from genwright.planning import choose_bridge, weigh
from genwright.recipe import TrainOptions
from genwright.registry import build, names, resolve
from genwright.space import Real, Space, Symbol
from genwright.training.optim import PhaseOptimizer

STEPS = {
    "gan": 150,
    "flow": 60,
    "cyclegan": 40,
    "stargan": 60,
    "style": 60,
    "energy": 90,
    "vqvae": 100,
    "meanflow": 100,
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
class Variant:
    """A family by other options or with another net: as good as another family, but on few spaces."""

    family: str
    spaces: tuple[str, ...]
    settings: dict[str, Any] = field(default_factory=dict)
    net: str = "auto"


VARIANTS = {
    "vamp": Variant("vae", ("row",), {"prior": "vamp"}),
    "plain vae": Variant("vae", ("colour-image", "latent"), {"prior": "normal"}),
    "meanflow": Variant("diffusion", ("row", "mixed-series"), {"objective": "meanflow"}),
    "wgan_gp": Variant("gan", ("row", "latent"), {"loss": "wgan-gp", "pack": 2, "critic_steps": 3}),
    "maf": Variant("flow", ("row", "mixed-series"), {"transform": "affine", "order": "autoregressive"}),
    "persistent": Variant("energy", ("row",), {"objective": "contrastive", "chain": 8, "buffer": 512}),
    "pixelcnn": Variant("autoregressive", ("level", "colour-image"), net="pixelcnn"),
    "wavenet": Variant("autoregressive", ("text", "row"), net="wavenet"),
}
assert VARIANTS.keys().isdisjoint(names("families"))


def variant(name: str) -> Variant:
    """A registered family is the first of its variants."""
    return VARIANTS.get(name, Variant(name, tuple(SPACES), SETTINGS.get(name, {})))


EVERY = [
    (name, space)
    for name in (*names("families"), *VARIANTS)
    for space in variant(name).spaces
    if weigh(variant(name).family, SPACES[space]).outcome != "refused"
]
CELLS = [(name, space) for name, space in EVERY if resolve("families", variant(name).family).generates]
CODES = [cell for cell in EVERY if cell not in CELLS]
UNPAIRED = [(name, space) for name, space in CELLS if resolve("families", variant(name).family).unpaired]
every_cell = pytest.mark.parametrize(("family", "space"), EVERY)
cells = pytest.mark.parametrize(("family", "space"), CELLS)
code_cells = pytest.mark.parametrize(("family", "space"), CODES)
unpaired_cells = pytest.mark.parametrize(("family", "space"), UNPAIRED)


class Cell:
    """One family, or a variant of it, on one space, trained for a moment."""

    def __init__(self, name: str, space: str) -> None:
        self.name, self.variant, self.space = name, variant(name), SPACES[space]
        family = self.variant.family
        self.sampler_options: dict[str, int] = KNOBS.get(name, {})
        self.unpaired = resolve("families", family).unpaired
        x, self.label = data(self.space)
        verdict, self.bridge = choose_bridge(family, self.space, bridge="auto")
        if verdict.bridge == "quantize":  # few bins: the contract is about the code
            self.bridge: Bridge = choose_bridge(
                family, self.space, bridge="quantize", options={"bins": 16}
            )[1]
        self.bridge.fit(self.space, x)
        self.x = self.bridge.forward(x)
        self.family = self.make(seed=0)
        self.family.prepare(self.batch(torch.arange(256)))
        self.seen: set[str] = set()
        self.losses: list[float] = []
        self.heldout = [self.measure()]
        self.train()
        self.heldout.append(self.measure())

    def make(self, seed: int) -> Family:
        torch.manual_seed(seed)
        family: Family = build(
            "families",
            self.variant.family,
            self.variant.settings,
            self.bridge.target,
            self.cond,
            build("nets", self.variant.net, {}, "xs", where="net"),
            where="family",
        )
        return family

    @property
    def cond(self) -> dict[str, Space]:
        """A label; or, where there are no pairs, a source and the domain that it is brought to."""
        if not self.unpaired:
            return LABEL
        return {"source": self.bridge.target, "domain": LABEL["label"]}

    def batch(self, index: Tensor) -> Batch:
        name = "domain" if self.unpaired else "label"
        return Batch(self.x[index], {name: self.label[index]})

    def given(self, label: Tensor) -> dict[str, Tensor]:
        """A label for each sample, or a domain and a source of the other one."""
        if not self.unpaired:
            return {"label": label}
        source = torch.empty(len(label), *self.x.shape[1:], dtype=self.x.dtype)
        for value in (0, 1):
            others, rows = self.x[(self.label != value).flatten()], (label == value).flatten()
            source[rows] = others[torch.nonzero(rows).flatten() % len(others)]
        return {"source": source, "domain": label}

    def measure(self) -> float:
        if not self.family.has_heldout:
            return self.energy(self.family, self.bridge.inverse(self.x))
        torch.manual_seed(7)
        with torch.no_grad():
            total, count = self.family.eval().heldout(self.batch(torch.arange(len(self.x))))
        self.family.train()
        return float(total / count)

    def energy(self, family: Family, x: Tensor) -> float:
        """Squared energy distance of 256 samples to data, which falls as a sampler learns."""
        fake = self.bridge.inverse(
            family.sample(256, self.given(self.label[:256]), seed=3, **self.sampler_options)
        )
        a, b = fake.float().flatten(1), x[256:512].float().flatten(1)
        return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())

    def train(self) -> None:
        family, options = self.family.train(), OPTIONS.get(self.name, TrainOptions())
        optimizers = {phase.name: PhaseOptimizer(family, phase, options) for phase in family.phases}
        steps = STEPS.get(self.name, 80)
        torch.manual_seed(0)
        for step in range(steps):
            family.clock.step, family.clock.progress = step, step / steps
            for phase in (one for one in family.phases for _ in range(one.repeats)):
                terms = family.loss(self.batch(torch.randint(0, len(self.x), (64,))), phase.name)
                assert all(term.ndim == 0 for term in terms.values())
                total = torch.stack(list(terms.values())).sum()
                self.losses.append(float(total.detach()))
                family.zero_grad()
                total.backward()
                for name, p in optimizers[phase.name].parameters.items():
                    if p.grad is not None and bool(p.grad.abs().sum() > 0):
                        self.seen.add(name)
                optimizers[phase.name].step(1.0)


@cache
def cell(name: str, space: str) -> Cell:
    return Cell(name, space)


@every_cell
def test_loss_is_finite_and_falls(family: str, space: str) -> None:
    c = cell(family, space)
    assert all(torch.isfinite(torch.tensor(c.losses)))
    before, after = c.heldout
    assert after < before


@every_cell
def test_gradient_reaches_every_parameter(family: str, space: str) -> None:
    c = cell(family, space)
    assert {name for name, _ in c.family.named_parameters()} == c.seen


@cells
def test_samples_are_of_the_space(family: str, space: str) -> None:
    c = cell(family, space)
    made = c.family.sample(5, c.given(c.label[:5]), seed=0, **c.sampler_options)
    c.bridge.target.check(made, "a sample")
    assert torch.isfinite(made.float()).all()
    back = c.bridge.inverse(made, torch.Generator().manual_seed(0))
    c.space.check(back, "a sample")
    for slot in c.space.slots():
        top = getattr(slot.span, "k", None)
        if top is not None:
            assert back[:, slot.stored].min() >= 0
            assert back[:, slot.stored].max() < top


@cells
def test_same_seed_same_bytes(family: str, space: str) -> None:
    c = cell(family, space)
    given = c.given(c.label[:32])
    one, two = (c.family.sample(32, given, seed=5, **c.sampler_options) for _ in range(2))
    assert torch.equal(one, two)
    # What is made of a source may follow from it alone.
    certain = c.unpaired and c.bridge.target.kind == "real"
    assert torch.equal(one, c.family.sample(32, given, seed=6, **c.sampler_options)) == certain


@cells
def test_saved_and_loaded_it_gives_the_same_bytes(family: str, space: str) -> None:
    c = cell(family, space)
    given = c.given(c.label[:32])
    again = c.make(seed=99)
    again.load_state_dict(load(save({k: v.contiguous() for k, v in c.family.state_dict().items()})))
    assert torch.equal(
        again.sample(32, given, seed=5, **c.sampler_options),
        c.family.sample(32, given, seed=5, **c.sampler_options),
    )


@cells
def test_rows_of_a_batch_do_not_see_each_other(family: str, space: str) -> None:
    c = cell(family, space)
    label = c.label[:16].clone()
    one = c.family.sample(16, c.given(label), seed=5, **c.sampler_options)
    label[3] = 1 - label[3]
    two = c.family.sample(16, c.given(label), seed=5, **c.sampler_options)
    others = torch.arange(16) != 3
    torch.testing.assert_close(one[others], two[others], rtol=1e-4, atol=1e-4)


@cells
def test_law_samples_depend_on_the_label_as_the_data_do(family: str, space: str) -> None:
    c = cell(family, space)
    label = torch.arange(400)[:, None] % 2
    made = c.bridge.inverse(
        c.family.sample(400, c.given(label), seed=1, **c.sampler_options),
        torch.Generator().manual_seed(0),
    )
    want = effect(c.bridge.inverse(c.x, torch.Generator().manual_seed(0)), c.label)
    share = (effect(made, label) / want).mean().item()
    assert 0.5 < share < 1.5, f"the label moves samples {share:.2f} times as far as the data"


@unpaired_cells
def test_law_each_translation_is_of_its_own_source(family: str, space: str) -> None:
    c = cell(family, space)
    given = c.given(torch.arange(100)[:, None] % 2)
    assert len(torch.unique(given["source"], dim=0)) > 50
    certain = {"temperature": 0.0} if "temperature" in c.family.sampler_options() else {}
    made = c.family.sample(100, given, seed=1, **certain)
    assert len(torch.unique(made, dim=0)) > 2  # a translator deaf to its source makes 2


@unpaired_cells
def test_a_translation_needs_a_source_and_a_domain(family: str, space: str) -> None:
    c = cell(family, space)
    given = c.given(c.label[:4])
    for name in given:
        with pytest.raises(Unsupported, match=f"'{name}'"):
            c.family.sample(4, {name_: x for name_, x in given.items() if name_ != name})


# -- codes alone ------------------------------------------------------------------------------------


@code_cells
def test_codes_depend_on_the_example_alone_and_are_kept(family: str, space: str) -> None:
    c = cell(family, space)
    x, made = c.x[:32], c.family.eval()
    again = c.make(seed=99).eval()
    again.load_state_dict(load(save({k: v.contiguous() for k, v in c.family.state_dict().items()})))
    with torch.no_grad():
        code = made.encode(Batch(x))
        assert code.dtype == torch.float32
        assert torch.isfinite(code).all()
        assert torch.equal(again.encode(Batch(x)), code)
        torch.testing.assert_close(made.encode(Batch(x[5:6])), code[5:6], rtol=1e-4, atol=1e-4)
    assert len(code.unique(dim=0)) > 16


@code_cells
def test_what_makes_no_examples_says_so(family: str, space: str) -> None:
    with pytest.raises(Unsupported, match=r"makes no examples: genwright probe .*--family vae"):
        cell(family, space).family.sample(3, seed=0)


@code_cells
def test_law_codes_tell_the_label_apart(family: str, space: str) -> None:
    """By a linear probe of unseen examples; it was never told."""
    c = cell(family, space)
    with torch.no_grad():
        code = c.family.eval().encode(Batch(c.x)).double()
    code = torch.cat([(code - code.mean(0)) / (code.std(0) + 1e-6), torch.ones(len(code), 1)], dim=1)
    seen, unseen = torch.arange(0, 384), torch.arange(384, 512)
    want = 2.0 * c.label[:, 0].double() - 1
    square = code[seen].T @ code[seen] + 10 * torch.eye(code.shape[1])
    weights = torch.linalg.solve(square, code[seen].T @ want[seen])
    right = ((code[unseen] @ weights > 0) == (want[unseen] > 0)).double().mean().item()
    assert right > 0.85


# -- likelihoods -----------------------------------------------------------------------------------


def everything(family: str) -> tuple[Family, Tensor, float]:
    """A family over a space so small that all of it can be asked about: its points, and the volume of
    each."""
    if "symbol" in resolve("families", family).accepts:
        symbols = Space((), (Symbol(3), Symbol(2)))
        made: Family = build("families", family, {}, symbols, {}, Auto("xs"), where="family")
        if made.likelihood != "none":
            return made, torch.cartesian_prod(torch.arange(3), torch.arange(2)), 1.0
    line = torch.linspace(-5, 5, 101)
    plane = Space((), (Real(2),))
    made = build("families", family, {}, plane, {}, Auto("xs"), where="family")
    return made, torch.cartesian_prod(line, line), float(line[1] - line[0]) ** 2


@pytest.mark.parametrize(
    "family", [f for f in names("families") if resolve("families", f).likelihood != "none"]
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
