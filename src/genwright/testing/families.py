"""What every family promises on every kind of space, natively or through its bridge.

Shapes and seeds are not enough: a sampler whose symbols were all the same would pass them. So each family is
trained for a moment on data whose distribution depends on a label, and its samples must depend on it likewise.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from safetensors.torch import load, save
from torch import Tensor

from genwright.batch import Batch
from genwright.bridges.base import Bridge
from genwright.errors import Unsupported
from genwright.families.base import Family
from genwright.families.capabilities import (
    Autoencoder,
    DensityEstimator,
    Encoder,
    Generative,
    Infilling,
    LatentVariable,
    generative,
)
from genwright.families.translator import Translator
from genwright.planning import choose_bridge, weigh
from genwright.recipe import TrainOptions
from genwright.registry import build, resolve
from genwright.space import Space
from genwright.testing.contract import Contract, demand, registered, stored_in
from genwright.testing.spaces import LABEL, SPACES, data, effect
from genwright.training.optim import PhaseOptimizer

__all__ = ["FAMILY", "LAWS", "Cell", "Variant", "check_family"]

BATCH = 64
QUICK = ("row", "text", "grey-image")
"""Spaces that a family is tried on unless others are named."""


@dataclass(frozen=True)
class Variant:
    """A family by its options and with a net, and what a moment of training is for it.

    family           its registered name
    settings, net    options of the family, and the net it asks for networks
    steps, train     of the training: larger steps, since a moment is short
    sampler_options  where the sampler's defaults take long
    """

    family: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    net: str = "auto"
    steps: int = 80
    train: TrainOptions = field(default_factory=TrainOptions)
    sampler_options: Mapping[str, Any] = field(default_factory=dict)


class Cell:
    """One variant of a family on one space, trained for a moment."""

    def __init__(self, variant: Variant, space: Space) -> None:
        self.variant, self.space = variant, space
        self.sampler_options = dict(variant.sampler_options)
        self.unpaired = issubclass(resolve("families", variant.family), Translator)
        x, self.label = data(space)
        verdict, bridge = choose_bridge(variant.family, space, bridge="auto")
        if verdict.bridge == "quantize":  # few bins: the contract is about the code
            options = {"bins": 16}
            _, bridge = choose_bridge(variant.family, space, bridge="quantize", options=options)
        self.bridge: Bridge = bridge
        self.bridge.fit(space, x)
        self.x = self.bridge.forward(x)
        self.family = self.make(seed=0)
        self.family.prepare(self.batch(torch.arange(256)))
        self.seen: set[str] = set()
        self.losses: list[float] = []
        self.heldout = [self.measure()]
        self.fit()
        self.heldout.append(self.measure())

    def make(self, seed: int) -> Family:
        """Another one, not trained."""
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

    def sample(self, label: Tensor, seed: int, family: Family | None = None) -> Tensor:
        """A sample for each label."""
        family = generative(family or self.family)
        return family.sample(len(label), self.given(label), seed=seed, **self.sampler_options)

    def measure(self) -> float:
        """The held-out loss; where there is none, how far samples are from data."""
        if self.family.adversarial:
            return self.energy(self.family, self.bridge.inverse(self.x))
        torch.manual_seed(7)
        with torch.no_grad():
            total, count = self.family.eval().heldout(self.batch(torch.arange(len(self.x))))
        self.family.train()
        return float(total / count)

    def energy(self, family: Family, x: Tensor) -> float:
        """Squared energy distance of 256 samples to data, which falls as a sampler learns."""
        fake = self.bridge.inverse(self.sample(self.label[:256], 3, family))
        a, b = fake.float().flatten(1), x[256:512].float().flatten(1)
        return float(2 * torch.cdist(a, b).mean() - torch.cdist(a, a).mean() - torch.cdist(b, b).mean())

    def fit(self) -> None:
        family, options = self.family.train(), self.variant.train
        optimizers = {phase.name: PhaseOptimizer(family, phase, options) for phase in family.phases}
        torch.manual_seed(0)
        for step in range(self.variant.steps):
            family.clock.step, family.clock.progress = step, step / self.variant.steps
            for phase in (one for one in family.phases for _ in range(one.repeats)):
                terms = family.loss(self.batch(torch.randint(0, len(self.x), (BATCH,))), phase.name)
                demand(all(term.ndim == 0 for term in terms.values()), "a term of the loss is no scalar")
                total = torch.stack(list(terms.values())).sum()
                self.losses.append(float(total.detach()))
                family.zero_grad()
                total.backward()  # type: ignore[no-untyped-call]
                for name, p in optimizers[phase.name].parameters.items():
                    if name not in self.seen and p.grad is not None and bool(p.grad.abs().sum() > 0):
                        self.seen.add(name)
                optimizers[phase.name].step(1.0)

    def restored(self) -> Family:
        """Another one with the same weights, by way of a file."""
        again = self.make(seed=99)
        again.load_state_dict(
            load(save({k: v.contiguous() for k, v in self.family.state_dict().items()}))
        )
        return again


FAMILY: Contract[Cell] = Contract("family")
LAWS: dict[type[Any], tuple[str, ...]] = {
    Generative: (
        "samples-are-of-the-space",
        "same-seed-same-bytes",
        "saved-and-loaded-it-gives-the-same-bytes",
        "rows-of-a-batch-do-not-see-each-other",
        "requests-made-together-are-as-made-alone",
        "samples-depend-on-the-label-as-the-data-do",
    ),
    Translator: (
        "each-translation-is-of-its-own-source",
        "a-translation-needs-a-source-and-a-domain",
    ),
    Infilling: ("what-is-known-is-kept",),
    DensityEstimator: ("an-example-is-likelier-under-its-own-label",),
    Encoder: ("codes-depend-on-the-example-alone-and-are-kept",),
    LatentVariable: ("codes-of-the-prior-are-decoded-to-examples",),
    Autoencoder: ("examples-become-codes-and-codes-examples",),
}
"""What a family promises beside by what it can do."""
CODES_ALONE = "codes-tell-the-label-apart"
"""Of an encoder that makes no examples, to which no label is given."""


def near(a: Tensor, b: Tensor, sentence: str) -> None:
    demand(torch.allclose(a.float(), b.float(), rtol=1e-4, atol=1e-4), sentence)


@FAMILY.law
def loss_is_finite_and_falls(c: Cell) -> None:
    """The loss stays finite, and what is held out is better after a moment of training."""
    demand(all(torch.isfinite(torch.tensor(c.losses))), "a loss was not finite")
    before, after = c.heldout
    demand(after < before, f"held out it was {before:.4g} and is {after:.4g}")


@FAMILY.law
def gradient_reaches_every_parameter(c: Cell) -> None:
    """Every parameter was moved by the loss of some phase."""
    names = {name for name, _ in c.family.named_parameters()}
    demand(names == c.seen, f"no gradient came to {sorted(names - c.seen)[:3]}")


@FAMILY.law
def samples_are_of_the_space(c: Cell) -> None:
    """Samples are stored examples of the space, before and after the bridge."""
    made = c.sample(c.label[:5], 0)
    c.bridge.target.check(made, "a sample")
    demand(bool(torch.isfinite(made.float()).all()), "a sample is not finite")
    back = c.bridge.inverse(made, torch.Generator().manual_seed(0))
    c.space.check(back, "a sample")
    for slot in c.space.slots():
        top = getattr(slot.span, "k", None)
        if top is not None:
            inside = back[:, slot.stored].min() >= 0 and back[:, slot.stored].max() < top
            demand(bool(inside), f"a symbol is none of the {top}")


@FAMILY.law
def same_seed_same_bytes(c: Cell) -> None:
    """The same seed gives the same bytes, and another one others."""
    label = c.label[:32]
    one, two = (c.sample(label, 5) for _ in range(2))
    demand(torch.equal(one, two), "the same seed gave other bytes")
    # What is made of a source may follow from it alone.
    certain = c.unpaired and c.bridge.target.kind == "real"
    demand(torch.equal(one, c.sample(label, 6)) == certain, "the seed changes nothing")


@FAMILY.law
def saved_and_loaded_it_gives_the_same_bytes(c: Cell) -> None:
    """With its weights from a file, another one gives the same bytes."""
    label = c.label[:32]
    same = torch.equal(c.sample(label, 5, c.restored()), c.sample(label, 5))
    demand(same, "its weights are not all that it needs")


@FAMILY.law
def rows_of_a_batch_do_not_see_each_other(c: Cell) -> None:
    """What is given for one sample changes no other."""
    label = c.label[:16].clone()
    one = c.sample(label, 5)
    label[3] = 1 - label[3]
    two = c.sample(label, 5)
    others = torch.arange(16) != 3
    near(one[others], two[others], "the label of one changed others")


@FAMILY.law
def requests_made_together_are_as_made_alone(c: Cell) -> None:
    """Small requests that are made at once give the bytes that each gives alone."""
    family = generative(c.family.eval())
    if family.lanes < 3:
        return
    wanted = [
        (n, c.given(c.label[n : 2 * n]), seed) for n, seed in ((1, 3), (family.lanes - 2, 4), (1, 5))
    ]
    options = c.sampler_options
    together = family.together(wanted, **options)
    for made, (n, given, seed) in zip(together, wanted, strict=True):
        alone = family.sample(n, given, seed=seed, **options)
        demand(
            torch.equal(made, alone), f"beside others, {n} of seed {seed} are not what they are alone"
        )


@FAMILY.law
def samples_depend_on_the_label_as_the_data_do(c: Cell) -> None:
    """The label moves samples as far as it moves the data."""
    label = torch.arange(400)[:, None] % 2
    made = c.bridge.inverse(c.sample(label, 1), torch.Generator().manual_seed(0))
    want = effect(c.bridge.inverse(c.x, torch.Generator().manual_seed(0)), c.label)
    share = (effect(made, label) / want).mean().item()
    demand(0.5 < share < 1.5, f"the label moves samples {share:.2f} times as far as the data")


@FAMILY.law
def each_translation_is_of_its_own_source(c: Cell) -> None:
    """Other sources give other translations."""
    given, family = c.given(torch.arange(100)[:, None] % 2), generative(c.family)
    certain: dict[str, Any] = {"temperature": 0.0} if "temperature" in family.sampler_options() else {}
    made = family.sample(100, given, seed=1, **certain)
    different = len(torch.unique(given["source"], dim=0))
    demand(different > 50, f"only {different} of 100 sources differ")
    found = len(torch.unique(made, dim=0))
    demand(found > 2, f"100 sources came to {found} translations")  # deaf to its source it makes 2


@FAMILY.law
def a_translation_needs_a_source_and_a_domain(c: Cell) -> None:
    """Without one of the two it is refused in a sentence that names it."""
    given, family = c.given(c.label[:4]), generative(c.family)
    for name in given:
        try:
            family.sample(4, {other: x for other, x in given.items() if other != name})
        except Unsupported as error:
            demand(repr(name) in str(error), f"without {name!r}: {error}")
            continue
        raise AssertionError(f"it was done without {name!r}")


@FAMILY.law
def what_is_known_is_kept(c: Cell) -> None:
    """Of an example of which a part is known, the rest is made: what comes after the first half, or between."""
    family, x = c.family.eval(), c.x[:16]
    assert isinstance(family, Infilling)
    place = torch.arange(x[0].numel()).view(-1, x.shape[1]).T.reshape(x.shape[1:])
    known = place < x[0].numel() // 2 if family.infills == "prefix" else place % 2 == 0
    known = known.expand_as(x)
    made = family.infill(x, known, c.given(c.label[:16]), seed=0, **c.sampler_options)
    c.bridge.target.check(made, "what is made")
    demand(torch.equal(made[known], x[known]), "what is known was changed")
    demand(not torch.equal(made, x), "the rest is the example itself")


@FAMILY.law
def an_example_is_likelier_under_its_own_label(c: Cell) -> None:
    """Each example has a finite log-likelihood, on average larger with its own label than with another."""
    family, batch = c.family.eval(), c.batch(torch.arange(32))
    assert isinstance(family, DensityEstimator)
    if family.likelihood is None:
        return
    other = Batch(batch.x, {name: 1 - label for name, label in batch.cond.items()})
    torch.manual_seed(0)
    with torch.no_grad():
        own, others = family.log_prob(batch), family.log_prob(other)
    demand(own.shape == (32,), f"32 examples have log-likelihoods of the shape {tuple(own.shape)}")
    demand(bool(torch.isfinite(own).all()), "a log-likelihood is not finite")
    demand(bool(own.mean() > others.mean()), "under another label they are as likely")


@FAMILY.law
def codes_of_the_prior_are_decoded_to_examples(c: Cell) -> None:
    """What the prior draws are codes, and each is decoded to the same example every time."""
    family, given = c.family.eval(), c.given(c.label[:5])
    assert isinstance(family, LatentVariable)
    with torch.no_grad():
        codes = family.sample_prior(5, given, torch.Generator().manual_seed(0))
        made, again = (family.decode(codes, given) for _ in range(2))
    demand(codes.shape == (5, family.latent_dim), f"5 codes have the shape {tuple(codes.shape)}")
    stored_in(c.bridge.target, made, "what a code is decoded to")
    demand(torch.equal(made, again), "the same codes are decoded to others")


@FAMILY.law
def examples_become_codes_and_codes_examples(c: Cell) -> None:
    """Codes are stored examples of `code`, the same ones for the same examples, and lead back to the space."""
    family, batch = c.family.eval(), Batch(c.x[:8])
    assert isinstance(family, Autoencoder)
    if family.code is None:
        return
    with torch.no_grad():
        code, again = (family.to_latent(batch) for _ in range(2))
        made = family.from_latent(code, torch.Generator().manual_seed(0))
    stored_in(family.code, code, "a code")
    demand(torch.equal(code, again), "the same examples have other codes")
    stored_in(c.bridge.target, made, "what a code leads back to")


@FAMILY.law
def codes_depend_on_the_example_alone_and_are_kept(c: Cell) -> None:
    """The code of an example follows from it alone, and is the same with the weights from a file."""
    x, made, again = c.x[:32], c.family.eval(), c.restored().eval()
    assert isinstance(made, Encoder)
    assert isinstance(again, Encoder)
    with torch.no_grad():
        code = made.encode(Batch(x))
        demand(code.dtype == torch.float32, f"a code is of {code.dtype}")
        demand(bool(torch.isfinite(code).all()), "a code is not finite")
        demand(torch.equal(again.encode(Batch(x)), code), "its weights are not all that it needs")
        near(made.encode(Batch(x[5:6])), code[5:6], "one by one the codes are others")
    demand(len(torch.unique(code, dim=0)) > 1, "all examples have the same code")


@FAMILY.law
def codes_tell_the_label_apart(c: Cell) -> None:
    """A linear probe reads the label of unseen examples off their codes, though no label was given."""
    family = c.family.eval()
    assert isinstance(family, Encoder)
    with torch.no_grad():
        code = family.encode(Batch(c.x)).double()
    demand(len(torch.unique(code[:32], dim=0)) > 16, "most examples have the same code")
    code = torch.cat([(code - code.mean(0)) / (code.std(0) + 1e-6), torch.ones(len(code), 1)], dim=1)
    seen, unseen = torch.arange(0, 384), torch.arange(384, 512)
    want = 2.0 * c.label[:, 0].double() - 1
    square = code[seen].T @ code[seen] + 10 * torch.eye(code.shape[1])
    weights = torch.linalg.solve(square, code[seen].T @ want[seen])
    right = ((code[unseen] @ weights > 0) == (want[unseen] > 0)).double().mean().item()
    demand(right > 0.85, f"the probe is right {right:.0%} of the time")


def of_kind(kind: type[Family]) -> set[str]:
    """The laws that say something of a family: those of all, and of what it can do."""
    others = {law for can, laws in LAWS.items() if not issubclass(kind, can) for law in laws}
    if issubclass(kind, Generative):
        others.add(CODES_ALONE)
    return FAMILY.laws.keys() - others


def check_family(
    family: str | type[Family],
    *,
    spaces: Mapping[str, Space] | None = None,
    settings: Mapping[str, Any] | None = None,
    net: str = "auto",
    steps: int = 80,
    train: TrainOptions | None = None,
    sampler_options: Mapping[str, Any] | None = None,
) -> None:
    """Hold a family to the contract of `Family`, on each of the spaces that it takes, as they are or by a bridge.

    family           its registered name, or its class
    spaces           by name (None: a row, a text and a grey picture)
    settings, net    options of the family, and the net it asks for networks
    steps, train     of a training of a moment
    sampler_options  where the sampler's defaults take long
    Raises `AssertionError` with the law that is broken.
    """
    with registered("families", family) as name:
        kind: type[Family] = resolve("families", name)
        variant = Variant(
            name, settings or {}, net, steps, train or TrainOptions(), sampler_options or {}
        )
        held = 0
        for called, space in (spaces or {one: SPACES[one] for one in QUICK}).items():
            if weigh(name, space).outcome == "refused":
                continue
            held += 1
            cell = Cell(variant, space)
            wanted = of_kind(kind)
            for one in FAMILY.names(kind.contract_exceptions):
                if one in wanted:
                    FAMILY.hold(one, cell, f"{name} on {called}")
        demand(held > 0, f"the family {name} refuses every space that it was tried on")
