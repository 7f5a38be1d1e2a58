"""What each augmentation may and may not do."""

import pytest
import torch

from genwright.errors import RecipeError
from genwright.variations import box, crop, flip, from_places, rotate, scale, shift, strengths, vary

ALL = {"flip": flip, "shift": shift, "rotate": rotate, "crop": crop, "scale": scale}
USUAL = strengths(tuple(ALL))


def rng(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def batch(n: int = 16, channels: int = 3, height: int = 9, width: int = 12) -> torch.Tensor:
    return torch.rand(n, channels, height, width, generator=rng(7)) * 2 - 1


@pytest.mark.parametrize("name", ALL)
def test_strength_zero_changes_nothing(name):
    x, before = batch(), rng().get_state()
    assert torch.equal(vary(x, same := rng(), {name: 0.0}), x)
    assert torch.equal(same.get_state(), before)  # nor what is drawn for the others


@pytest.mark.parametrize("name", ALL)
def test_a_batch_keeps_its_shape_range_and_itself(name):
    x = batch()
    before = x.clone()
    y = ALL[name](x, rng(), USUAL[name])
    assert y.shape == x.shape
    assert y.dtype == x.dtype
    assert y.min() >= x.min()
    assert y.max() <= x.max()
    assert torch.equal(x, before)
    assert not torch.equal(y, x)
    assert ALL[name](x.half(), rng(), USUAL[name]).dtype == torch.float16


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides(name):
    x = batch()
    first = ALL[name](x, rng(1), USUAL[name])
    assert torch.equal(first, ALL[name](x, rng(1), USUAL[name]))
    assert not torch.equal(first, ALL[name](x, rng(2), USUAL[name]))


@pytest.mark.parametrize("name", ALL)
def test_each_example_is_varied_on_its_own(name):
    x = batch(1).expand(32, -1, -1, -1)
    y = ALL[name](x, rng(), USUAL[name])
    kinds = len({tuple(example.flatten().tolist()) for example in y})
    assert kinds == 2 if name == "flip" else kinds > 5


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (2, 3)])
def test_the_smallest_pictures_work(name, shape):
    assert ALL[name](batch(4, 1, *shape), rng(), USUAL[name]).isfinite().all()


@pytest.mark.parametrize("name", ALL)
def test_a_volume_and_a_line(name):
    """What rises along the first axis alone still does; a mirror image and a turn leave that axis alone."""
    x = torch.linspace(-1, 1, 5).view(5, 1, 1).expand(40, 2, 5, 6, 7)
    y = ALL[name](x, rng(), USUAL[name])
    torch.testing.assert_close(y, y.mean((3, 4), keepdim=True).expand_as(y))
    assert torch.allclose(y, x, atol=1e-6) == (name in ("flip", "rotate"))
    if name in ("flip", "shift"):
        line = torch.arange(12.0).expand(40, 1, 12)
        assert set(ALL[name](line, rng(), USUAL[name]).flatten().tolist()) <= set(range(12))


def test_what_stands_outside():
    x = torch.tensor([1.0, 2.0, 3.0]).expand(1, 1, 3)
    places = torch.arange(-4, 6)[None]
    seen = {
        how: from_places(x, 0, places[:, :3] + 1, how)[0, 0].tolist()
        for how in ("mirror", "edge", "zero")
    }
    assert seen == {"mirror": [3, 2, 1], "edge": [1, 1, 1], "zero": [0, 0, 0]}


def test_a_box_has_sides_between_two_shares():
    torch.manual_seed(0)
    x = torch.zeros(500, 3, 16, 9)
    inside = box(x, 0.25, 0.5)
    assert inside.shape == (500, 1, 16, 9)
    down, across = inside.any(3).sum(2)[:, 0], inside.any(2).sum(2)[:, 0]
    assert torch.equal(inside.sum((1, 2, 3)), down * across)  # no hole in it
    assert (int(down.max()), int(across.max())) == (8, 5)
    within = inside & ~inside[:, :, :1].any(3, keepdim=True) & ~inside[:, :, -1:].any(3, keepdim=True)
    assert int(within.any(3).sum(2)[within.flatten(1).any(1)].min()) >= 4


@pytest.mark.parametrize("name", ["rotate", "crop", "scale"])
def test_an_even_picture_stays_even(name):
    for value in (-0.9, 0.7, 1.0):
        x = torch.full((64, 2, 10, 7), value)
        assert torch.equal(ALL[name](x, rng(), USUAL[name]), x)  # not even a rounding beyond the range


def test_flip_mirrors_and_twice_is_none():
    x = batch()
    once = flip(x, rng(), 1)
    assert torch.equal(once, x.flip(-1))
    assert torch.equal(flip(once, rng(), 1), x)
    share = (
        (flip(batch(4000, 1, 2, 2), rng(), 0.25) != batch(4000, 1, 2, 2))
        .flatten(1)
        .any(1)
        .float()
        .mean()
    )
    assert 0.22 < share < 0.28


def test_shift_moves_by_whole_pixels_no_further_than_said():
    x = torch.zeros(500, 1, 20, 10)
    x[:, :, 10, 5] = 1
    y = shift(x, rng(), 0.2)
    places = y[:, 0].nonzero()
    assert len(places) == 500
    assert (y[:, 0].flatten(1).sum(1) == 1).all()
    assert set((places[:, 1] - 10).tolist()) == set(range(-4, 5))
    assert set((places[:, 2] - 5).tolist()) == {-2, -1, 0, 1, 2}
    assert not torch.equal(shift(x, rng(), 0.01), x)  # what is asked for is never nothing


def test_shift_fills_up_with_the_mirror_image():
    x = torch.arange(6.0).expand(50, 1, 1, 6)
    seen = {tuple(row.tolist()) for row in shift(x, rng(), 0.34)[:, 0, 0]}
    assert (1, 0, 0, 1, 2, 3) in seen
    assert (2, 3, 4, 5, 5, 4) in seen


def test_rotate_turns_without_shearing():
    # A bar along the width of a wide picture, turned, keeps its distance from the centre.
    x = torch.zeros(200, 1, 21, 41)
    x[:, :, 10, 34] = 1
    y = rotate(x, rng(), 40)
    ys, xs = torch.meshgrid(torch.arange(21.0) - 10, torch.arange(41.0) - 20, indexing="ij")
    mass = y[:, 0].flatten(1).sum(1)
    up, across = ((y[:, 0] * grid).flatten(1).sum(1) / mass for grid in (ys, xs))
    assert torch.allclose((up**2 + across**2).sqrt(), torch.tensor(14.0), atol=0.5)
    angle = torch.rad2deg(torch.atan2(up, across))
    assert angle.min() < -30
    assert angle.max() > 30
    assert angle.abs().max() < 42


def test_crop_enlarges_a_part():
    ramp = torch.linspace(-1, 1, 40).expand(300, 1, 4, 40)
    y = crop(ramp, rng(), 0.5)[:, 0, 0]
    span = y[:, -1] - y[:, 0]
    assert 0.95 < span.min() < 1.1
    assert 1.8 < span.max() <= 2
    # Cut off at one side or the other, not always about the centre.
    assert y[:, 0].max() > -0.2
    assert (y[:, 0] < -0.99).any()
    for axis in (2, 3):  # nor along one axis alone
        tilted = torch.linspace(-1, 1, 9).view([9 if i == axis else 1 for i in range(4)])
        middle = crop(tilted.expand(300, 1, 9, 9), rng(), 0.5).mean((1, 2, 3))
        assert middle.min() < -0.3 < 0.3 < middle.max()


def test_scale_goes_both_ways_about_the_centre():
    x = torch.zeros(300, 1, 33, 33)
    x[:, :, 11:22, 11:22] = 1
    area = scale(x, rng(), 0.5)[:, 0].flatten(1).sum(1) / 121
    assert 0.40 < area.min() < 0.55
    assert 1.9 < area.max() < 2.3
    middle = scale(x, rng(), 0.5)[:, 0, 16, 16]
    assert torch.allclose(middle, torch.tensor(1.0))


def test_names_get_their_usual_strengths_in_a_fixed_order():
    assert strengths(()) == {}
    assert strengths(("rotate", "flip")) == {"flip": 0.5, "rotate": 10.0}
    assert strengths({"rotate": 3}) == {"rotate": 3.0}
    assert list(strengths({"scale": 0.1, "flip": 1})) == ["flip", "scale"]
    with pytest.raises(RecipeError, match=r"'flap'; did you mean 'flip'"):
        strengths(["flap"])
    for wrong in ({"flip": 1.5}, {"rotate": -1}, {"crop": 1}, {"scale": float("nan")}):
        with pytest.raises(RecipeError, match="the strength of"):
            strengths(wrong)


def test_vary_applies_what_was_chosen_and_nothing_else():
    x = batch()
    assert torch.equal(vary(x, rng(), {}), x)
    assert torch.equal(vary(x, rng(), {"flip": 1.0}), x.flip(-1))
    both = vary(x, rng(), {"rotate": 5.0, "flip": 1.0})
    assert torch.equal(both, vary(x, rng(), {"flip": 1.0, "rotate": 5.0}))
    assert not torch.equal(both, x.flip(-1))
