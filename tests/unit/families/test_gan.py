"""A GAN's losses, penalties and options against their formulas, and each loss on a space small enough to
be learnt in a moment."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from safetensors.torch import load, save
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families.adversary import LOSSES, Criticism, interpolate, off_one, slope
from genwright.families.base import Family
from genwright.families.diffaugment import Augment
from genwright.families.gan import GAN
from genwright.nets.auto import Auto
from genwright.nets.conv import ConvNets
from genwright.nets.dcgan import DCGANNets
from genwright.nets.resnet import ResNetNets
from genwright.nets.roles import Nets
from genwright.nets.transformer import TransformerNets
from genwright.planning import weigh
from genwright.recipe import TrainOptions
from genwright.registry import build
from genwright.space import Real, Space, Symbol
from genwright.training.ema import EMA
from genwright.training.optim import PhaseOptimizer

PLANE = Space((), (Real(2),))
SPACE = Space((), (Real(3), Symbol(4)))
PICTURE = Space((8, 8), (Real(1, bounded=True),))
LABEL = {"label": Space((), (Symbol(2),))}
every_loss = pytest.mark.parametrize("loss", LOSSES)


def gan(space: Space = PLANE, cond: Any = None, nets: Nets | None = None, **options: Any) -> GAN:
    torch.manual_seed(0)
    return GAN(space, cond or {}, nets or Auto("xs"), **options)


def two_clouds(n: int = 1000) -> tuple[Tensor, Tensor]:
    """Points about (1, -1) under label 1 and about (-1, 1) under label 0."""
    rng = torch.Generator().manual_seed(0)
    label = torch.randint(0, 2, (n, 1), generator=rng)
    centre = (2 * label - 1) * torch.tensor([1.0, -1.0])
    return centre + 0.2 * torch.randn(n, 2, generator=rng), label


def train(family: GAN, x: Tensor, label: Tensor | None, steps: int, lr: float = 2e-3) -> None:
    torch.manual_seed(0)
    optimizers = [(p, PhaseOptimizer(family, p, TrainOptions(lr=lr))) for p in family.phases]
    for step in range(steps):
        family.clock.step, family.clock.progress = step, step / steps
        for phase, optimizer in optimizers:
            for _ in range(phase.repeats):
                index = torch.randint(0, len(x), (64,))
                given = {} if label is None else {"label": label[index]}
                family.zero_grad()
                torch.stack(
                    list(family.loss(Batch(x[index], given), phase.name).values())
                ).sum().backward()
                optimizer.step(1 - step / steps)


def layers(net: nn.Module) -> list[nn.Module]:
    return [m for m in net.modules() if isinstance(m, nn.Linear | nn.Conv2d)]


class Linear(nn.Module):
    """A critic whose gradient is known."""

    weight = torch.tensor([1.0, 2.0, -2.0])

    def forward(self, x: Tensor, cond: object) -> Tensor:
        return x @ self.weight[: x.shape[1], None]


# -- losses ----------------------------------------------------------------------------------------


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


@pytest.mark.parametrize(
    ("loss", "critic", "generator"),
    [
        ("vanilla", -math.log(1 / (1 + math.exp(-2))) - math.log(1 - 1 / (1 + math.exp(1))), None),
        ("nonsaturating", softplus(-2) + softplus(-1), -math.log(1 / (1 + math.exp(1)))),
        ("lsgan", 0.5 * (1 + 1), 0.5 * 4),
        ("hinge", 0.0 + 0.0, 1.0),
        ("wgan", -3.0, 1.0),
        ("wgan-gp", -3.0, 1.0),
        ("relativistic", softplus(-3), softplus(3)),
    ],
)
def test_losses_by_hand(loss: str, critic: float, generator: float | None) -> None:
    """D(real) = 2 and D(fake) = -1."""
    real, fake = torch.tensor([2.0]), torch.tensor([-1.0])
    if generator is None:  # log(1 - D(fake)), which the generator makes small
        generator = math.log(1 - 1 / (1 + math.exp(1)))
    assert LOSSES[loss].critic(real, fake).item() == pytest.approx(critic)
    assert LOSSES[loss].generator(real, fake).item() == pytest.approx(generator)


def test_hinge_looks_at_what_is_not_yet_apart() -> None:
    real, fake = torch.tensor([0.5, 3.0]), torch.tensor([-3.0, 0.5])
    assert LOSSES["hinge"].critic(real, fake).tolist() == pytest.approx([0.5, 1.5])


@every_loss
def test_law_a_critic_pulls_apart_and_a_generator_pulls_up(loss: str) -> None:
    real = torch.tensor([0.3, -0.2], requires_grad=True)
    fake = torch.tensor([0.1, -0.4], requires_grad=True)
    on_real, on_fake = torch.autograd.grad(LOSSES[loss].critic(real, fake).sum(), (real, fake))
    if loss != "lsgan":  # which wants a fake at 0, from both sides
        assert (on_fake > 0).all()
    assert (on_real < 0).all()
    (pull,) = torch.autograd.grad(LOSSES[loss].generator(real, fake).sum(), fake)
    assert (pull < 0).all()


@pytest.mark.parametrize(
    "loss",
    [
        pytest.param(one, marks=[] if one in ("relativistic", "wgan-gp") else pytest.mark.journey)
        for one in LOSSES
    ],
)
def test_law_samples_depend_on_the_label_whatever_the_loss(loss: str) -> None:
    x, label = two_clouds()
    family = gan(PLANE, LABEL, loss=loss, latent=4)
    steps, lr = {"lsgan": (300, 1e-3), "wgan": (75, 2e-3), "wgan-gp": (160, 2e-3)}.get(loss, (150, 2e-3))
    train(family, x, label, steps, lr)
    asked = torch.arange(400)[:, None] % 2
    made = family.sample(400, {"label": asked}, seed=0)
    centre = torch.stack([made[asked[:, 0] == k].mean(0) for k in (0, 1)])
    want = torch.tensor([[-1.0, 1.0], [1.0, -1.0]])
    assert (centre.sign() == want).all()
    moved = ((centre[1] - centre[0]) / (want[1] - want[0])).mean()
    assert 0.5 < moved < 1.5


def test_critic_steps_are_the_losss_own_unless_said() -> None:
    assert [gan(loss=loss).phases[0].repeats for loss in ("wgan", "wgan-gp", "hinge")] == [5, 5, 1]
    assert gan(loss="wgan", critic_steps=2).phases[0].repeats == 2
    assert GAN.phases[0].repeats == 1  # one GAN's phases are not another's


def test_doubt_is_that_of_the_surest_critic() -> None:
    scores = torch.zeros(2)
    critics = [Criticism({"critic": torch.tensor(term)}, scores, scores) for term in (0.7, 0.2, 0.9)]
    assert gan().adversary.doubt(*critics)["doubt"].item() == pytest.approx(0.2)
    assert gan(loss="wgan").adversary.doubt(*critics) == {}  # its loss has no least


# -- penalties -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("penalty", "start", "end"),
    [("r1r2", 0.5 * 2 * (9 + 9), 1.8), ("r1", 0.5 * 2 * 9, 0.9), ("gp", 2 * (3 - 1) ** 2, 8.0)],
)
def test_penalties_of_a_linear_critic(penalty: Any, start: float, end: float) -> None:
    family = gan(Space((), (Real(3),)), gamma=2.0, penalty=penalty)
    family.critic = Linear()  # type: ignore[assignment]
    batch = Batch(torch.randn(16, 3))
    assert family.loss(batch, "critic")["penalty"].item() == pytest.approx(start)
    family.clock.progress = 1.0
    assert family.loss(batch, "critic")["penalty"].item() == pytest.approx(end)


@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        ("relativistic", "r1r2"),
        ("nonsaturating", "r1r2"),
        ("vanilla", "none"),
        ("lsgan", "none"),
        ("hinge", "none"),
        ("wgan", "none"),
        ("wgan-gp", "gp"),
    ],
)
def test_auto_is_the_papers_penalty(loss: str, penalty: str) -> None:
    family = gan(loss=loss)
    assert family.adversary.penalty == penalty
    assert ("penalty" in family.loss(Batch(torch.randn(8, 2)), "critic")) == (penalty != "none")
    assert "penalty" in gan(loss=loss, penalty="r1").loss(Batch(torch.randn(8, 2)), "critic")


def test_parts_of_the_penalties() -> None:
    x = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 0.0], [0.0, 1.0]], requires_grad=True)
    norms = slope((x**2).sum(1) / 2, x)  # whose gradient is x
    torch.testing.assert_close(norms, torch.tensor([5.0, 9.0, 0.0, 1.0]))
    packed = slope((x**2).sum(1).view(2, 2).sum(1) / 2, x, pack=2)
    torch.testing.assert_close(packed, torch.tensor([14.0, 1.0]))
    torch.testing.assert_close(
        off_one(norms.detach())[1:], torch.tensor([4.0, 1.0, 0.0]), atol=1e-5, rtol=0
    )
    real, fake = torch.zeros(1000, 2), torch.tensor([[1.0, 2.0]]).expand(1000, 2)
    middle = interpolate(real, fake)
    torch.testing.assert_close(middle[:, 1], 2 * middle[:, 0])  # on the line
    assert middle[:, 0].min() >= 0
    assert middle[:, 0].max() <= 1
    assert middle[:, 0].mean().item() == pytest.approx(0.5, abs=0.05)


def test_a_gan_learns_through_attention() -> None:
    """Its penalty is differentiated twice, also by a net of Transformers."""
    family = gan(Space((4,), (Real(2),)), nets=TransformerNets("xs"))
    family.loss(Batch(torch.randn(8, 2, 4)), "critic")["penalty"].backward()
    grads = [p.grad for name, p in family.critic.named_parameters() if ".q." in name]
    assert len(grads) == 2
    assert all(grad is not None and grad.isfinite().all() for grad in grads)


# -- the critic ------------------------------------------------------------------------------------


def test_clipping_bounds_every_weight_after_each_step() -> None:
    family = gan(loss="wgan", weight_clip=0.02)
    train(family, two_clouds()[0], None, 3, lr=0.05)  # the last loss is the generator's
    top = [p.abs().max().item() for p in family.critic.parameters()]
    assert max(top) == pytest.approx(0.02)
    assert max(p.abs().max().item() for p in family.generator.parameters()) > 0.02


@pytest.mark.parametrize("nets", [ResNetNets("xs"), ConvNets("xs")], ids=["resnet", "conv"])
def test_spectral_norm_bounds_every_layer(nets: Nets) -> None:
    family = gan(PICTURE, LABEL, nets=nets, spectral_norm=True, loss="hinge")
    x = torch.rand(64, 1, 8, 8) * 2 - 1
    train(family, x, torch.zeros(64, 1).long(), 40, lr=1e-3)
    found = layers(family.critic)
    for layer in found:
        top = torch.linalg.matrix_norm(layer.weight.flatten(1), ord=2).item()  # type: ignore[union-attr]
        assert top == pytest.approx(1, abs=0.15)
    free = gan(PICTURE, LABEL, nets=nets, loss="hinge")
    assert len(found) == len(layers(free.critic)) > 4
    assert not any("parametrizations" in name for name in free.state_dict())


def test_spectral_norm_is_saved_followed_and_precise() -> None:
    family = gan(SPACE, spectral_norm=True)
    ema = EMA(family, 0.05)
    x = torch.cat([torch.randn(64, 3), torch.randint(0, 4, (64, 1))], 1)
    train(family, x, None, 3)
    ema.update(3)
    state = load(save({name: t.contiguous() for name, t in family.state_dict().items()}))
    again = gan(SPACE, spectral_norm=True)
    again.load_state_dict(state)
    torch.manual_seed(1)
    one = family.loss(Batch(x), "critic")["critic"]
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):  # its power iteration stays in fp32
        assert torch.equal(one, again.loss(Batch(x), "critic")["critic"])
    for name, buffer in ema.family.named_buffers():
        assert torch.isfinite(buffer).all(), name


def test_what_is_normalised_over_a_batch_judges_real_and_made_ones_apart() -> None:
    """Or their mixture would tell each of them what the others are."""
    family = gan(PICTURE, nets=DCGANNets("xs", depth=2)).train()
    real, fake = torch.rand(16, 1, 8, 8), -torch.rand(16, 1, 8, 8)
    told = family._critic_cond(Batch(real), {})
    found = family._judge_all(torch.cat([real, fake]), told, 2)
    for part, scores in zip((real, fake), found.chunk(2), strict=True):
        torch.testing.assert_close(scores, family._judge_all(part, told, 1))
    assert not torch.allclose(found, family.critic(torch.cat([real, fake]), told), atol=1e-3)


@pytest.mark.parametrize("penalty", [pytest.param("none", marks=pytest.mark.journey), "r1r2"])
def test_law_dcgan_learns_what_is_asked_for(penalty: Any) -> None:
    """Which half of a picture is bright, at the paper's loss."""
    label = torch.arange(256)[:, None] % 2
    bright = (torch.arange(8) < 4).float() * 2 - 1
    x = (2 * label[:, :, None, None] - 1) * bright * torch.rand(256, 1, 8, 8)
    family = gan(PICTURE, LABEL, DCGANNets("xs"), loss="nonsaturating", penalty=penalty)
    train(family, x, label, 150)
    made = family.sample(256, {"label": label}, seed=1)
    left, right = made[..., :4].mean((1, 2, 3)), made[..., 4:].mean((1, 2, 3))
    assert ((left > right) == (label[:, 0] == 1)).float().mean() > 0.95
    assert made.std() > 0.3 * x.std()


@pytest.mark.parametrize("condition", ["channel", "projection"])
def test_a_packed_critic_sees_several_examples_with_their_labels(condition: Any) -> None:
    family = gan(SPACE, LABEL, pack=3, condition=condition)
    x = torch.cat([torch.randn(10, 3), torch.randint(0, 4, (10, 1))], 1)
    label = torch.randint(0, 2, (10, 1))
    whole = family._whole(Batch(x, {"label": label}))
    assert len(whole) == 9
    drop_mask = {"label": torch.zeros(9, dtype=torch.bool)}
    for p in family.parameters():  # also where a net starts at zero
        nn.init.normal_(p, std=0.2)

    def scores(x: Tensor, label: Tensor) -> Tensor:
        told = family._critic_cond(Batch(x, {"label": label}), drop_mask)
        return family._judge(family.space.embed(x), told)

    before = scores(whole.x, whole.cond["label"])
    assert before.shape == (3,)
    for i in range(3, 6):  # each of the second pack, and its label, is seen by that pack alone
        other, relabelled = whole.x.clone(), whole.cond["label"].clone()
        other[i, :3] += 1.0
        relabelled[i] = 1 - relabelled[i]
        for after in (scores(other, whole.cond["label"]), scores(whole.x, relabelled)):
            assert (before != after).tolist() == [False, True, False]
    assert set(family.loss(Batch(x, {"label": label}), "critic")) == {"critic", "penalty"}
    with pytest.raises(RecipeError, match=r"pack=3 needs batches of 3 .* got 2"):
        family.loss(Batch(x[:2], {"label": label[:2]}), "critic")


@pytest.mark.parametrize("options", [{"pack": 2}, {"condition": "projection"}], ids=str)
def test_law_samples_depend_on_the_label_however_the_critic_is_told(options: dict[str, Any]) -> None:
    x, label = two_clouds()
    family = gan(PLANE, LABEL, latent=4, **options)
    train(family, x, label, 150)
    asked = torch.arange(400)[:, None] % 2
    made = family.sample(400, {"label": asked}, seed=0)
    moved = (made[asked[:, 0] == 1].mean(0) - made[asked[:, 0] == 0].mean(0)) / torch.tensor([2.0, -2.0])
    assert 0.5 < moved.mean() < 1.5


def test_a_projection_is_the_plain_score_and_an_inner_product() -> None:
    family = gan(PLANE, LABEL, condition="projection")
    x = torch.randn(6, 2)
    told = family._critic_cond(
        Batch(x, {"label": torch.tensor([[0], [1]] * 3)}), {"label": torch.zeros(6, dtype=torch.bool)}
    )
    critic: Any = family.critic
    h = nn.functional.leaky_relu(critic.features(x, told), 0.2)
    want = h @ critic.plain.weight[0] + (h * (told.vector @ critic.embed.weight.T)).sum(1)
    torch.testing.assert_close(family._judge(x, told), want)
    assert (
        gan(condition="projection").loss(Batch(x), "critic")["critic"].isfinite()
    )  # nothing to project


def test_a_condition_read_by_place_is_packed_and_projected_as_a_vector() -> None:
    cond = {"caption": Space((5,), (Symbol(9),))}
    for options in ({}, {"pack": 2}, {"condition": "projection"}):
        torch.manual_seed(0)
        nets: Nets = build("nets", "transformer", {}, "xs", where="net")
        family = GAN(PICTURE, cond, nets, **options)
        assert family.critic_conditioner.where == {"caption": "vector" if options else "tokens"}
        batch = Batch(torch.rand(4, *PICTURE.shape), {"caption": torch.randint(0, 9, (4, 1, 5))})
        for p in family.parameters():
            torch.nn.init.normal_(p, std=0.1)
        family.loss(batch, "critic")["critic"].backward()
        encoder = family.critic_conditioner.project["caption"]
        assert all(p.grad is not None and bool(p.grad.any()) for p in encoder.parameters())


# -- augmentation ----------------------------------------------------------------------------------


def test_p_rises_while_the_critic_overfits_and_falls_otherwise() -> None:
    augment = Augment(PLANE, adapts=True, target=0.6, ramp=1000)
    sure, unsure = torch.ones(50), torch.tensor([1.0, 1.0, -1.0, 1.0, -1.0] * 10)  # means 1 and 0.2
    for _ in range(4):
        augment.follow(sure)
    assert augment.p.item() == pytest.approx(0.2)
    augment.follow(unsure)
    assert augment.p.item() == pytest.approx(0.15)
    for _ in range(30):
        augment.follow(unsure)
    assert augment.p.item() == 0.0
    for _ in range(30):
        augment.follow(sure)
    assert augment.p.item() == 1.0


def test_the_critics_own_trust_moves_p() -> None:
    """A critic that tells far fakes from a few reals by heart, and one that cannot tell at all."""
    far = gan(Space((), (Real(3),)), augment="auto", augment_ramp=640)
    far.critic = Linear()  # type: ignore[assignment]
    far.loss(Batch(torch.full((64, 3), 1.0) * torch.tensor([50.0, 50.0, -50.0])), "critic")
    assert far.augment is not None
    assert far.augment.p.item() == pytest.approx(0.1)
    far.loss(Batch(torch.full((64, 3), 1.0) * torch.tensor([-50.0, -50.0, 50.0])), "critic")
    assert far.augment.p.item() == 0.0
    assert far.eval().loss(Batch(torch.full((64, 3), 50.0) * Linear.weight), "critic")
    assert far.augment.p.item() == 0.0
    # Its place is kept with the weights.
    far.augment.p.fill_(0.3)
    again = gan(Space((), (Real(3),)), augment="auto")
    again.critic = Linear()  # type: ignore[assignment]
    again.load_state_dict(load(save({k: v.contiguous() for k, v in far.state_dict().items()})))
    assert again.augment is not None
    assert again.augment.p.item() == pytest.approx(0.3)


def test_a_critic_sees_real_and_fake_examples_changed() -> None:
    family, x = gan(PICTURE, augment="always"), torch.full((4, 1, 8, 8), 0.25)
    seen: list[Tensor] = []
    family.critic.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        fake = family._fake(Batch(x), {})
    family._fake = lambda batch, drop_mask: fake  # type: ignore[method-assign]
    family.loss(Batch(x), "critic")
    family.loss(Batch(x), "generator")
    real_fake, on_fake, on_real = seen
    for shown, plain in ((real_fake[:4], x), (real_fake[4:], fake), (on_fake, fake), (on_real, x)):
        assert shown.shape == plain.shape
        assert ((shown - plain).flatten(1).abs().amax(1) > 1e-3).all()


@pytest.mark.parametrize(
    "space",
    [
        PICTURE,
        Space((6, 9), (Real(3, bounded=True),)),
        Space((16,), (Real(2),)),
        Space((3, 6, 5), (Real(1, bounded=True),)),
        PLANE,
        SPACE,
    ],
    ids=str,
)
def test_augmentation_is_none_at_0_some_between_and_differentiable(space: Space) -> None:
    torch.manual_seed(0)
    augment = Augment(space, adapts=False, target=0.6, ramp=1)
    x = torch.rand(200, space.width, *space.grid) * 2 - 1
    augment.p.fill_(0.0)
    assert torch.equal(augment(x), x)
    augment.p.fill_(0.3)
    changed = (augment(x) != x).flatten(1).any(1).float().mean().item()
    kinds = 4 if augment.bounded else 2 if space.grid else 1
    assert 0.2 < changed < 1 - 0.7**kinds + 0.1
    augment.p.fill_(1.0)
    x.requires_grad_()
    out = augment(x)
    assert out.shape == x.shape
    (out * torch.randn_like(out)).sum().backward()
    assert x.grad is not None
    reached = x.grad.flatten(1).abs().sum(1) > 0
    assert reached.float().mean() > 0.9
    for slot in space.slots():
        if isinstance(slot.span, Symbol):
            assert torch.equal(out[:, slot.width], x[:, slot.width])


def test_moves_and_boxes_are_what_they_say() -> None:
    torch.manual_seed(0)
    augment = Augment(Space((16,), (Real(1),)), adapts=False, target=0.6, ramp=1)
    x = torch.arange(1.0, 17.0).expand(300, 1, 16)
    for row in augment(x)[:, 0]:
        left = row.nonzero()[:, 0]
        moves = {int(row[i]) - 1 - i for i in left.tolist()}
        assert len(moves) == 1
        assert moves <= {-2, -1, 0, 1, 2}  # an eighth of 16
        assert len(left) >= 16 - 2 - 8  # what comes in is 0, and so is a half
    whole = Augment(Space((1, 16), (Real(1),)), adapts=False, target=0.6, ramp=1)
    assert (whole(x[:, None, :]).flatten(1) != 0).any(
        1
    ).float().mean() > 0.4  # an axis of 1 does not move
    alone = Augment(PICTURE, adapts=False, target=0.6, ramp=1, moves=False)
    picture = torch.rand(50, 1, 8, 8)
    straight = alone(picture).flatten(1)
    order = picture.flatten(1).argsort(1)
    assert (straight.gather(1, order).diff(dim=1) >= -1e-6).all()  # brighter, flatter, in place


@pytest.mark.parametrize(
    "space",
    [Space((12,), (Symbol(5),)), Space((), (Symbol(4),)), Space((9,), (Real(2), Symbol(4)))],
    ids=str,
)
def test_symbols_are_not_augmented(space: Space) -> None:
    with pytest.raises(Incompatible, match=r"keep the meaning of .*family\.augment=none"):
        gan(space, augment="always")
    gan(space)


# -- sampling and the rest -------------------------------------------------------------------------


def test_truncation_and_temperature_bound_the_noise() -> None:
    family = gan(PLANE, latent=3, bits=4)
    seen: list[Tensor] = []
    family.generator.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    family.sample(2000, seed=0, chunk=2000)
    family.sample(2000, seed=0, chunk=2000, truncation=0.5)
    family.sample(2000, seed=0, chunk=2000, temperature=0.0)
    plain, cut, cold = seen
    assert plain[:, :3].std().item() == pytest.approx(1, abs=0.05)
    assert plain[:, :3].abs().max() > 2.5
    assert 0.45 < cut[:, :3].abs().max().item() <= 0.5
    assert not cold[:, :3].any()
    for z in seen:
        assert set(z[:, 3:].unique().tolist()) == {-1.0, 1.0}
        assert z[:, 3:].mean().abs() < 0.05
    with pytest.raises(RecipeError, match="above 0"):
        family.sample(1, truncation=0)


def test_the_noise_fits_the_space() -> None:
    shapes = {name: (gan(s).latent, gan(s).bits) for name, s in (("plane", PLANE), ("picture", PICTURE))}
    assert shapes == {"plane": (8, 8), "picture": (64, 0)}
    assert (gan(latent=5, bits=0).latent, gan(latent=5, bits=0).bits) == (5, 0)
    assert gan(PICTURE).adversary.gamma == 1.0
    assert gan(PLANE).adversary.gamma == pytest.approx(0.1)
    assert gan(loss="wgan-gp").adversary.gamma == 10.0


@pytest.mark.parametrize("loss", ["relativistic", "nonsaturating"])
def test_a_gan_finds_the_mean_of_a_cloud(loss: str) -> None:
    data = 0.3 * torch.randn(1000, 2, generator=torch.Generator().manual_seed(0)) + torch.tensor(
        [2.0, -1.0]
    )
    family = gan(loss=loss)
    train(family, data, None, 150)
    torch.testing.assert_close(family.sample(500).mean(0), data.mean(0), rtol=0, atol=0.3)


def test_a_gan_has_no_held_out_loss() -> None:
    with pytest.raises(Unsupported, match="gan has no held-out loss") as error:
        gan().heldout(Batch(torch.randn(4, 2)))
    assert error.value.code == "no-heldout"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"loss": "wgangp"}, "wgan-gp"),
        ({"pack": 0}, "1 or more"),
        ({"augment_target": 1.5}, "1 or less"),
        ({"weight_clip": 0}, "above 0"),
        ({"packs": 2}, "did you mean 'pack'"),
    ],
    ids=str,
)
def test_options_are_bounded(options: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        build("families", "gan", options, PLANE, {}, Auto("xs"), where="family")


def test_a_vocabulary_too_wide_for_a_dense_critic_is_refused_with_the_way_out() -> None:
    verdict = weigh("gan", Space((64,), (Symbol(5000),)))
    assert verdict.outcome == "refused"
    assert (
        "at most 1,024 kinds of symbol or channels at one position, and this has 5,000" in verdict.reason
    )
    assert "--family autoregressive" in verdict.ways


def test_a_gan_is_a_family() -> None:
    assert issubclass(GAN, Family)
    assert set(GAN.sampler_options()) == {"temperature", "truncation"}
