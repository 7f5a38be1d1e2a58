"""Every family heeds every kind of condition, place by place.

A condition that is accepted proves nothing: it may be lost on its way. So each cell is trained for a moment
on data that are a known function of their condition, and what it makes must be far nearer to what the right
condition asks for than to what another example's does.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import GenwrightError
from genwright.families.base import Family
from genwright.families.capabilities import Generative
from genwright.families.translator import Translator
from genwright.nets.cond import Conditioner
from genwright.recipe import TrainOptions
from genwright.registry import build, names, resolve
from genwright.space import CondSpec, Real, Space, Symbol
from genwright.training.monitor.checks import LOOKS, SURE
from genwright.training.monitor.heeding import Heeding
from genwright.training.monitor.monitor import Monitor
from genwright.training.optim import PhaseOptimizer

N = 512
LIT = 0.5
"""What is lit is at this, and the rest at its negative."""


@dataclass(frozen=True)
class World:
    """Conditions of one kind, and what they ask for.

    cond  the condition's spec
    grid  of x
    """

    cond: CondSpec
    grid: tuple[int, ...]

    def draw(self, kind: str, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        """Stored conditions, and what each asks of x: `LIT` or its negative `(N, channels, *grid)`."""
        if kind == "label":
            label = torch.randint(0, 4, (N, 1), generator=rng)
            return label, LIT * (2 * torch.cat([label // 2, label % 2], dim=1) - 1)
        if kind == "vector":
            signs = 2.0 * torch.randint(0, 2, (N, 2), generator=rng) - 1
            return signs, LIT * signs
        if kind in ("aligned", "coarser"):
            blocks = 2.0 * torch.randint(0, 2, (N, 1, 3, 3), generator=rng) - 1
            if kind == "coarser":
                return blocks, LIT * F.interpolate(blocks, self.grid)
            # Each block is as the one below and to the right of it says.
            moved = F.pad(blocks[:, :, 1:, 1:], (0, 1, 0, 1), value=-1.0)
            return F.interpolate(blocks, self.grid), LIT * F.interpolate(moved, self.grid)
        # One place of the condition differs from the others, which no bag of them tells.
        places = self.cond.space.positions
        at = torch.randint(0, places, (N,), generator=rng)
        sign = F.one_hot(at, places)
        asked = sign.view(N, 1, -1, *[1] * (len(self.grid) - 1)).expand(N, 1, *self.grid)
        return sign.view(N, *self.cond.space.shape), LIT * (2.0 * asked - 1)


WORLDS = {
    "label": World(CondSpec(Space((), (Symbol(4),))), ()),
    "vector": World(CondSpec(Space((), (Real(2),))), ()),
    "aligned": World(CondSpec(Space((6, 6), (Real(1, True),)), drop=0.0, align=True), (6, 6)),
    "coarser": World(CondSpec(Space((3, 3), (Real(1, True),)), align=True), (6, 6)),
    "text": World(CondSpec(Space((4,), (Symbol(3),))), (4, 4)),
    "picture": World(CondSpec(Space((2, 2), (Symbol(2),))), (4,)),
}


@dataclass(frozen=True)
class Setup:
    """How a family is trained for a moment."""

    family: str
    steps: int = 100
    lr: float | None = None
    net: str = "auto"
    options: dict[str, Any] = field(default_factory=dict)
    sampler: dict[str, Any] = field(default_factory=dict)


SETUPS = {
    "vae": Setup("vae", 90, lr=3e-3, options={"latent": 4}),
    "vqvae": Setup("vqvae", 70, options={"codes": 16, "dim": 8}),
    "gan": Setup("gan", 100, lr=4e-3),
    "autoregressive": Setup("autoregressive", 50),
    "anyorder": Setup("anyorder", 90),
    "masked": Setup("masked", 110, sampler={"steps": 8}),
    "diffusion": Setup("diffusion", 100, lr=4e-3, sampler={"steps": 8}),
    "flow": Setup("flow", 80, lr=5e-3, options={"steps": 2}),
    "energy": Setup("energy", 120, lr=5e-3, sampler={"steps": 16}),
    "energy of a row": Setup("energy", 250, lr=5e-3),
    "vae of a grid": Setup("vae", 60, lr=3e-3, options={"latent": 2, "factor": 2}),
    "vae by resnet": Setup("vae", 60, lr=3e-3, net="resnet", options={"latent": 4}),
    "vae by dcgan": Setup("vae", 60, lr=3e-3, net="dcgan", options={"latent": 4}),
    "vae by mlp": Setup("vae", 60, lr=3e-3, net="mlp", options={"latent": 4}),
    "vae by transformer": Setup("vae", 50, lr=5e-3, net="transformer", options={"latent": 4}),
    "wavenet": Setup("autoregressive", 60, net="wavenet"),
    "pixelcnn": Setup("autoregressive", 60, net="pixelcnn"),
    "autoregressive flow": Setup("flow", 80, lr=6e-3, options={"steps": 2, "order": "autoregressive"}),
}
UNPAIRED = [name for name in names("families") if issubclass(resolve("families", name), Translator)]
GENERATING = [
    name
    for name in names("families")
    if issubclass(resolve("families", name), Generative) and name not in UNPAIRED
]
CELLS = [
    (name if (name, WORLDS[kind].grid) != ("energy", ()) else "energy of a row", kind)
    for name in GENERATING
    for kind in WORLDS
] + [
    ("vae of a grid", "coarser"),
    ("vae by resnet", "aligned"),
    ("vae by dcgan", "coarser"),
    ("vae by mlp", "aligned"),
    ("vae by transformer", "aligned"),
    ("vae by transformer", "text"),
    ("wavenet", "aligned"),
    ("wavenet", "text"),
    ("pixelcnn", "aligned"),
    ("pixelcnn", "text"),
    ("autoregressive flow", "aligned"),
]


def test_every_family_is_asked() -> None:
    assert set(GENERATING) <= set(SETUPS)


@functools.cache
def trained(name: str, kind: str) -> Cell:
    return Cell(name, kind)


class Cell:
    """A family that has been trained for a moment in a world."""

    def __init__(self, name: str, kind: str) -> None:
        self.setup, world = SETUPS[name], WORLDS[kind]
        # What a single place says is found later than what is said everywhere.
        self.steps = (2 if kind in ("text", "picture") else 1) * self.setup.steps
        rng = torch.Generator().manual_seed(0)
        self.cond, asked = world.draw(kind, rng)
        self.symbols = "real" not in resolve("families", self.setup.family).accepts
        channels = asked.shape[1]
        noisy = asked + 0.1 * torch.randn(asked.shape, generator=rng)
        self.x = (noisy > 0).long() if self.symbols else noisy
        self.asked = asked
        span: tuple[Real | Symbol, ...] = (Real(channels, bounded=True),)
        if self.symbols:
            span = (Symbol(2),) * channels
        torch.manual_seed(0)
        self.family: Family = build(
            "families",
            self.setup.family,
            self.setup.options,
            Space(world.grid, span),
            {"given": world.cond},
            build("nets", self.setup.net, {}, "xs", where="net"),
            where="family",
        ).train()
        self.family.prepare(Batch(self.x[:256], {"given": self.cond[:256]}))
        self.train()

    def train(self) -> None:
        family, steps = self.family, self.steps
        options = TrainOptions(lr=self.setup.lr)
        optimizers = {phase.name: PhaseOptimizer(family, phase, options) for phase in family.phases}
        for step in range(steps):
            family.clock.step, family.clock.progress = step, step / steps
            for phase in (one for one in family.phases for _ in range(one.repeats)):
                index = torch.randint(0, N, (32,))
                terms = family.loss(Batch(self.x[index], {"given": self.cond[index]}), phase.name)
                family.zero_grad()
                torch.stack(list(terms.values())).sum().backward()
                optimizers[phase.name].step(1 - step / steps)

    def errors(self) -> tuple[float, float]:
        """Mean squared distance of what is made to what its condition asks for, and to what that of the next
        example does."""
        made = self.family.sample(128, {"given": self.cond[:128]}, seed=1, **self.setup.sampler)
        shown = LIT * (2 * made - 1) if self.symbols else made
        asked = self.asked[:129]
        right = (shown - asked[:128]).square().mean()
        other = (shown - asked[1:]).square().mean()
        return float(right), float(other)


QUICK = frozenset({"label"})
"""Kinds of condition on which the law is asked of every family each time; all others are for `make journey`."""
READERS = frozenset(product(("autoregressive", "diffusion"), ("text", "aligned")))
"""Families of which it is asked each time for these too, which take longest to read."""


def over(which: list[tuple[str, str]]) -> list[Any]:
    asked = {*GENERATING, "energy of a row"}
    quick = [(kind in QUICK and name in asked) or (name, kind) in READERS for name, kind in which]
    marks = [[] if one else [pytest.mark.journey] for one in quick]
    return [pytest.param(*one, marks=mark) for one, mark in zip(which, marks, strict=True)]


@pytest.mark.parametrize(("name", "kind"), over(CELLS))
def test_law_samples_are_what_their_own_condition_asks_for(name: str, kind: str) -> None:
    right, other = trained(name, kind).errors()
    assert right < 0.5 * other, f"{right:.3f} from its own condition, {other:.3f} from another's"


@pytest.mark.parametrize(("name", "kind"), over(CELLS))
def test_law_the_guard_sees_whether_a_condition_is_heeded(
    name: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Far above the bound where it is heeded, and 0 of a family whose conditioners are cut."""
    cell = trained(name, kind)
    heeding = Heeding(Batch(cell.x[:256], {"given": cell.cond[:256]}))
    scores = [heeding(cell.family, turn)["given"] for turn in range(3)]
    assert sum(scores) / 3**0.5 > 2 * SURE, scores
    assert min(scores) > SURE, scores
    forward = Conditioner.forward
    monkeypatch.setattr(Conditioner, "forward", lambda self, given, *rest: forward(self, {}, *rest))
    assert heeding(cell.family, 0) == {"given": 0.0}


TWINS = frozenset({"vqvae", "anyorder", "masked"})
"""Families that read a label as others do, and take longest to ask."""


def alarms(cell: Cell) -> list[str]:
    """What a training says of a family over a few looks late in it."""
    unseen, seen = (
        Heeding(Batch(cell.x[part], {"given": cell.cond[part]})) for part in (slice(256), slice(256, N))
    )
    monitor, said = Monitor(), list[str]()
    for turn in range(2 * LOOKS):
        found, by_heart = unseen(cell.family, turn), functools.partial(seen, cell.family, turn)
        said += [issue.cause for issue in monitor.check_heeding(1000, 0.9, found, by_heart)]
    return said


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.journey] if name in TWINS else [])
        for name, kind in CELLS
        if kind == "label"
    ],
)
def test_law_the_alarm_is_of_a_family_that_ignores_its_condition_alone(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """None where it is heeded. One where nothing is read, and one where all examples read conditions of others: what
    these cost differs from pair to pair, and is nothing on average."""
    cell, forward = trained(name, "label"), Conditioner.forward
    assert alarms(cell) == []

    def of_others(self: Conditioner, given: dict[str, Tensor], *rest: Any) -> Any:
        return forward(self, {name: one[torch.randperm(len(one))] for name, one in given.items()}, *rest)

    for plant in (lambda self, given, *rest: forward(self, {}, *rest), of_others):
        with monkeypatch.context() as patch:
            patch.setattr(Conditioner, "forward", plant)
            assert alarms(cell) == ["ignored condition"]


# -- how they are given ------------------------------------------------------------------------------

PICTURE = Space((6, 6), (Real(1, bounded=True),))
LABEL = Space((), (Symbol(3),))


def made(name: str, space: Space, cond: dict[str, CondSpec | Space], **options: Any) -> Family:
    torch.manual_seed(0)
    nets = build("nets", "auto", {}, "xs", where="net")
    return build("families", name, options, space, cond, nets, where="family")  # type: ignore[no-any-return]


def restless(family: Family) -> Family:
    """With weights that are far from indifferent."""
    for p in family.parameters():
        torch.nn.init.normal_(p, std=0.2)
    return family.eval()


def test_the_order_of_conditions_means_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    low = torch.rand(4, 1, 3, 3, generator=rng)
    given = {"b": low, "a": -low, "label": torch.arange(4)[:, None] % 3}
    spec = CondSpec(Space((3, 3), (Real(1),)), align=True)
    cond: dict[str, CondSpec | Space] = {"b": spec, "label": LABEL, "a": spec}
    one, two = made("diffusion", PICTURE, cond), made("diffusion", PICTURE, dict(reversed(cond.items())))
    two.load_state_dict(restless(one).state_dict())
    again = dict(reversed(given.items()))
    assert torch.equal(one.sample(4, given, steps=2), two.eval().sample(4, again, steps=2))


@pytest.mark.parametrize("name", ["vae", "diffusion", "energy", "autoregressive", "masked"])
def test_guidance_keeps_what_is_never_left_out(name: str) -> None:
    """At a scale of 0 the answer is that of the unguided pass: deaf to the label, not to the picture."""
    symbols = "real" not in resolve("families", name).accepts
    space = Space((4, 4), (Symbol(2),)) if symbols else Space((4, 4), (Real(1, bounded=True),))
    low = CondSpec(Space((2, 2), (Real(1),)), drop=0.0, align=True)
    options = (
        {"prior": "normal"} if name == "vae" else {}
    )  # a learned one depends on the label by itself
    family = restless(made(name, space, {"label": LABEL, "low": low}, **options))
    few = {} if name in ("vae", "autoregressive") else {"steps": 2}
    label, other = torch.zeros(8, 1, dtype=torch.long), torch.ones(8, 1, dtype=torch.long)
    up, down = torch.ones(8, 1, 2, 2), -torch.ones(8, 1, 2, 2)

    def sample(label: Tensor, low: Tensor, scale: float) -> Tensor:
        return family.sample(8, {"label": label, "low": low}, guidance_scale=scale, **few)

    assert torch.equal(sample(label, up, 0.0), sample(other, up, 0.0))
    assert not torch.equal(sample(label, up, 0.0), sample(label, down, 0.0))
    assert not torch.equal(sample(label, up, 1.0), sample(other, up, 1.0))


def test_there_must_be_something_to_guide_by_and_what_is_never_left_out_must_be_there() -> None:
    low = CondSpec(Space((3, 3), (Real(1),)), drop=0.0, align=True)
    family = made("vae", PICTURE, {"label": LABEL, "low": low})
    with pytest.raises(GenwrightError) as error:
        family.sample(2, {"low": torch.zeros(2, 1, 3, 3)}, guidance_scale=2.0)
    assert error.value.code == "no-guidance"
    with pytest.raises(
        GenwrightError, match=r"never trained without 'low': give it \(--given low="
    ) as error:
        family.sample(2, {"label": torch.zeros(2, 1, dtype=torch.long)})
    assert error.value.code == "condition-missing"


def test_what_is_never_left_out_is_never_dropped() -> None:
    low = CondSpec(Space((3, 3), (Real(1),)), drop=0.0, align=True)
    often = CondSpec(LABEL, drop=0.5)
    conditioner = made("diffusion", PICTURE, {"label": often, "low": low}).train().conditioner
    masks = conditioner.draw_drop_mask(400, torch.zeros(1))  # type: ignore[operator]
    assert abs(masks["label"].float().mean() - 0.5) < 0.1
    assert not masks["low"].any()


@pytest.mark.parametrize("space", [Space((8,), (Real(1),)), Space((2, 2, 2), (Real(1),))])
def test_what_has_other_axes_cannot_be_aligned(space: Space) -> None:
    with pytest.raises(GenwrightError, match="'other' is said to be aligned") as error:
        made("vae", PICTURE, {"other": CondSpec(space, align=True)})
    assert error.value.code == "cannot-align"


@pytest.mark.parametrize("name", UNPAIRED)
def test_a_translator_refuses_other_conditions(name: str) -> None:
    with pytest.raises(GenwrightError, match="it is given a source and a domain") as error:
        made(name, PICTURE, {"label": LABEL})
    assert error.value.code == "wrong-conditions"


# -- what is learnt of an example -------------------------------------------------------------------


@pytest.mark.parametrize("name", ["gan", "flow", "cyclegan", "stargan", "style"])
def test_what_cannot_leave_out_a_part_of_an_example_says_so(name: str) -> None:
    cond: dict[str, CondSpec | Space] = {}
    given: dict[str, Tensor] = {}
    if name in UNPAIRED:
        cond = {"source": PICTURE, "domain": Space((), (Symbol(2),))}
        given = {"domain": torch.tensor([[0], [1], [0], [1]])}
    family = made(name, PICTURE, cond)
    x = torch.rand(4, 1, 6, 6)
    family.prepare(Batch(x, given))
    mask = torch.ones(4, 6, 6, dtype=torch.bool)
    family.loss(Batch(x, given, mask), family.phases[0].name)
    mask[0, 0, 0] = False
    with pytest.raises(GenwrightError, match="learns whole examples") as error:
        family.loss(Batch(x, given, mask), family.phases[0].name)
    assert error.value.code == "mask-not-supported"


def test_pads_are_no_part_that_is_left_out() -> None:
    text = Space((6,), (Symbol(4, pad=0),))
    x = torch.tensor([[[1, 2, 0, 0, 0, 0]], [[1, 2, 3, 1, 2, 3]]])
    family = made("gan", text, {})
    assert family.loss_mask(Batch(x, mask=text.valid(x))) is None
    family.loss(Batch(x, mask=text.valid(x)), "critic")


def test_masked_learns_where_the_mask_is_true_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all symbols hidden, one that does not count could be any; pads behind an end are learnt."""
    text = Space((6,), (Symbol(4, pad=0),))
    family = restless(made("masked", text, {}))
    monkeypatch.setattr(family, "_some", lambda n: torch.ones(n, 6, dtype=torch.bool))
    x = torch.tensor([[[1, 2, 3, 0, 0, 0]]])
    other, padded = x.clone(), x.clone()
    other[..., 1], padded[..., 5] = 3, 1
    mask = torch.ones(1, 6, dtype=torch.bool)
    mask[:, 1] = False

    def nll(x: Tensor, mask: Tensor | None) -> float:
        return float(family.loss(Batch(x, mask=mask), "fit")["nll"].detach())

    assert nll(x, None) != nll(other, None)
    assert nll(x, mask) == nll(other, mask) != nll(x, None)
    assert nll(x, text.valid(x)) == nll(x, None) != nll(padded, text.valid(x))
    (nats, symbols), (some, fewer) = (family.heldout(Batch(x, mask=m)) for m in (None, mask))
    assert (int(symbols), int(fewer)) == (
        4,
        5,
    )  # of a text its pads do not count; else what the mask says
    assert some < nats
    assert bool(family.log_prob(Batch(x, mask=mask)) > family.log_prob(Batch(x)))
