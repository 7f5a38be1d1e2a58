"""Pictures that are given, read by a network that was trained elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import genwright
from genwright.batch import Batch
from genwright.errors import GenwrightError, Incompatible
from genwright.families.autoregressive import Autoregressive
from genwright.families.vae import VAE
from genwright.nets import efficientnet
from genwright.nets.auto import Auto
from genwright.nets.cond import Conditioner
from genwright.nets.perceptual import ImageNetMap
from genwright.space import CondSpec, Real, Space, Symbol

COLOUR = Space((24, 32), (Real(3, bounded=True),))
TEXT = Space((5,), (Symbol(4),))


class Small(nn.Module):
    """As EfficientNet is built, with few channels and one block of each resolution."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self._conv_stem = nn.Conv2d(3, 4, 3, 2, padding=1)
            self._bn0, self._swish = nn.BatchNorm2d(4), nn.ReLU6()
            self._blocks = nn.ModuleList(nn.Conv2d(4, 4, 3, 2, padding=1) for _ in range(4))
            self._conv_head, self._bn1 = nn.Conv2d(4, 1280, 1), nn.BatchNorm2d(1280)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tmp_path / "weights.pth"
    weights.write_bytes(b"")
    monkeypatch.setattr(efficientnet, "file", lambda what: weights)
    monkeypatch.setattr(efficientnet, "efficientnet", lambda data: Small())


def nets(**options: Any) -> Auto:
    return Auto("xs", image_encoder="imagenet", **options)


def test_it_is_frozen_and_reads_a_picture_at_the_size_that_it_knows(small: None) -> None:
    look = ImageNetMap(COLOUR).train()
    assert not list(look.parameters())
    assert not any(module.training for module in look.modules())
    before = {name: value.clone() for name, value in look.state_dict().items()}
    assert look(torch.rand(2, 3, 24, 32) * 2 - 1).shape == (2, 1280, 4, 6)  # 128 x 171 by 32
    assert all(torch.equal(value, before[name]) for name, value in look.state_dict().items())
    # A huge one is made smaller, a long one is no longer than it may be.
    assert ImageNetMap(Space((900, 900), COLOUR.spans)).grid == (256, 256)
    assert ImageNetMap(Space((10, 1000), COLOUR.spans)).grid == (3, 256)


@pytest.mark.parametrize("slots", [None, frozenset()])
def test_pictures_become_tokens_or_a_vector_and_others_are_read_as_before(
    small: None, slots: frozenset[str] | None
) -> None:
    cond = {"picture": COLOUR, "text": TEXT}
    conditioner = Conditioner(cond, TEXT.grid, nets(), "causal", slots=slots).eval()
    given = {"picture": torch.rand(3, 3, 24, 32) * 2 - 1, "text": torch.randint(0, 4, (3, 1, 5))}
    read = conditioner(given, 3, torch.zeros(3, 1))
    assert read.vector.shape == (3, 32)
    if slots is None:
        assert read.tokens is not None
        assert read.tokens.shape == (3, 4 * 6 + 5, 32)
    other = conditioner(given | {"picture": given["picture"].flip(0)}, 3, torch.zeros(3, 1))
    assert torch.allclose(other.vector[1], read.vector[1], atol=1e-5)  # what it stays the same for
    assert not torch.allclose(other.vector[0], read.vector[0], atol=1e-5)


@pytest.mark.parametrize("cond", [{}, {"text": TEXT}, {"low": CondSpec(COLOUR, align=True)}])
def test_where_no_picture_is_read_it_is_refused(small: None, cond: dict[str, CondSpec | Space]) -> None:
    with pytest.raises(Incompatible, match="image_encoder=imagenet reads a picture that is given"):
        VAE(COLOUR, cond, nets())


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ImportError(name=name)

    monkeypatch.setattr("genwright.nets.efficientnet.import_module", missing)
    with pytest.raises(
        GenwrightError, match=r"net\.image_encoder=imagenet needs.*genwright\[features\]"
    ):
        Autoregressive(TEXT, {"picture": COLOUR}, nets())


def test_what_is_read_is_learnt_from(small: None) -> None:
    """Dark and bright pictures with words of their own: only who looks can tell them."""
    torch.manual_seed(0)
    model = Autoregressive(TEXT, {"picture": CondSpec(COLOUR, drop=0.0)}, nets())
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def drawn(n: int) -> tuple[Tensor, Tensor]:
        bright = torch.arange(n) % 2
        noise = 0.1 * torch.randn(n, 3, 24, 32)
        return (noise + (bright - 0.5)[:, None, None, None]).clamp(-1, 1), bright[:, None, None].expand(
            n, 1, 5
        )

    for _ in range(30):
        pictures, words = drawn(8)
        loss = model.loss(Batch(words, {"picture": pictures}), "fit")["nll"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pictures, words = drawn(6)
    made = model.eval().sample(6, {"picture": pictures}, seed=1)
    share = (made == words).float().mean()
    assert share > 0.9


def test_a_run_holds_the_weights_that_it_was_trained_with(
    small: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (24, 16, 16, 3), dtype=np.uint8)
    names = np.array(["dark", "bright"])[(images.mean((1, 2, 3)) > 127).astype(int)]
    np.savez(tmp_path / "data.npz", images=images, labels=names)
    model = genwright.train(
        tmp_path / "data.npz",
        make="labels",
        given="image",
        family="autoregressive",
        size="xs",
        steps=3,
        out=tmp_path / "run",
        settings=["net.image_encoder=imagenet", "train.samples=0"],
    )
    made = model.sample(4, given={"image": [images[0]] * 4}, seed=3)

    def others(data: bytes) -> Small:
        net = Small()
        nn.init.constant_(net._conv_stem.weight, 7.0)
        return net

    monkeypatch.setattr(efficientnet, "efficientnet", others)  # the package has changed
    again = genwright.load(tmp_path / "run").sample(4, given={"image": [images[0]] * 4}, seed=3)
    assert list(made.examples) == list(again.examples)
