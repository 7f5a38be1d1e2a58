"""Variations of a batch that keep its meaning, drawn anew for each example, on a grid of any rank.

A codec offers them by name, for training examples `(B, C, *grid)`:

    flip    mirrored along the last axis     strength: how likely, 0 to 1
    shift   moved by whole positions         strength: the furthest, as a share of the side, 0 to 1
    rotate  turned about the centre          strength: the largest angle in degrees, 0 to 180
    crop    a part enlarged to the whole     strength: the largest share of each side cut off, below 1
    scale   grown or shrunk about the centre strength: the largest change, 0.1 for 1 / 1.1 to 1.1

What comes in from outside the grid is the mirrored inside. None is on unless asked for: a mirrored
"b" is a "d", and a 6 turned far enough is a 9. Each is a pure function of the batch, the generator (None:
torch's own) and the strength, above 0; no value leaves the range of the batch. The last three are bilinear, so
that they need two axes or three; the turn is in the plane of the last two.

The critics of a GAN and the views of a contrastive encoder are varied by the same functions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import by_axis, by_example
from genwright.errors import RecipeError, suggest

__all__ = [
    "Augmentation",
    "box",
    "crop",
    "flip",
    "from_places",
    "rotate",
    "scale",
    "shift",
    "strengths",
    "uniform",
    "vary",
]

Augmentation = Literal["flip", "shift", "rotate", "crop", "scale"]
Outside = Literal["mirror", "edge", "zero"]
"""What stands outside the grid: the mirrored inside, what stands nearest, or 0."""
Rng = torch.Generator | None


# -- drawn for each example ------------------------------------------------------------------------


def uniform(x: Tensor, rng: Rng = None, low: float = 0.0) -> Tensor:
    """One number from [low, 1) for each example `(B,)`, drawn where the generator lives."""
    drawn = torch.rand(len(x), generator=rng, device=x.device if rng is None else rng.device)
    return low + (1 - low) * drawn.to(x.device)


def from_places(x: Tensor, axis: int, places: Tensor, outside: Outside) -> Tensor:
    """What stands at the `places` `(B, size)` of an axis of the grid, at each of its positions."""
    size = x.shape[axis + 2]
    if outside == "mirror":
        places = places % (2 * size)
        places = torch.where(places < size, places, 2 * size - 1 - places)
    inside = places.clamp(0, size - 1)
    found = x.gather(axis + 2, by_axis(inside, axis, x).expand_as(x))
    return found * by_axis(inside == places, axis, x) if outside == "zero" else found


def box(x: Tensor, smallest: float, largest: float) -> Tensor:
    """Where a box lies in each example `(B, 1, *grid)`: anywhere, so that an edge may cut it, each side a share
    of its axis that is drawn from `smallest` to `largest` (DeVries and Taylor 2017, arXiv:1708.04552)."""
    inside = torch.ones(len(x), 1, *x.shape[2:], dtype=torch.bool, device=x.device)
    for axis, size in enumerate(x.shape[2:]):
        middle, side = size * uniform(x), size * (smallest + (largest - smallest) * uniform(x))
        place = torch.arange(size, device=x.device) + 0.5
        inside &= by_axis((place - middle[:, None]).abs() < side[:, None] / 2, axis, x)
    return inside


# -- by name ---------------------------------------------------------------------------------------


def flip(x: Tensor, rng: Rng, strength: float) -> Tensor:
    """Each example mirrored along the last axis with probability `strength`."""
    return torch.where(by_example(uniform(x, rng) < strength, x), x.flip(-1), x)


def shift(x: Tensor, rng: Rng, strength: float, outside: Outside = "mirror") -> Tensor:
    """Each example moved along each axis by up to `strength` of it, at least one position, unblurred."""
    for axis, size in enumerate(x.shape[2:]):
        furthest = min(size - 1, max(1, round(strength * size)))
        choices = 2 * furthest + 1
        by = (uniform(x, rng) * choices).long().clamp_max(choices - 1) - furthest
        x = from_places(x, axis, torch.arange(size, device=x.device) - by[:, None], outside)
    return x


def rotate(x: Tensor, rng: Rng, strength: float) -> Tensor:
    """Each example turned about its centre by up to `strength` degrees either way."""
    angle = math.radians(strength) * uniform(x, rng, -1)
    height, width = x.shape[-2:]
    theta = _still(x)
    theta[:, 0, 0] = theta[:, 1, 1] = angle.cos()
    # A grid runs from -1 to 1 each way: its sides enter, or a turn would shear a picture not square.
    theta[:, 0, 1] = -angle.sin() * (height / width)
    theta[:, 1, 0] = angle.sin() * (width / height)
    return _warp(x, theta)


def crop(x: Tensor, rng: Rng, strength: float) -> Tensor:
    """A window with up to `strength` of each side cut off, anywhere in the example, made the whole."""
    size = 1 - strength * uniform(x, rng)
    theta = _still(x) * size[:, None, None]
    for axis in range(x.ndim - 2):
        theta[:, axis, -1] = (1 - size) * uniform(x, rng, -1)
    return _warp(x, theta)


def scale(x: Tensor, rng: Rng, strength: float) -> Tensor:
    """Each example grown or shrunk about its centre by a factor of up to `1 + strength`."""
    size = (math.log1p(strength) * uniform(x, rng, -1)).exp()
    return _warp(x, _still(x) * size[:, None, None])


# Name: the function, the strength if none is given, the largest that makes sense. In order of use:
# what moves whole positions comes before what has to blur them.
_TABLE: dict[str, tuple[Callable[[Tensor, Rng, float], Tensor], float, float]] = {
    "flip": (flip, 0.5, 1.0),
    "shift": (shift, 0.1, 1.0),
    "rotate": (rotate, 10.0, 180.0),
    "crop": (crop, 0.2, 0.95),
    "scale": (scale, 0.1, 4.0),
}


def strengths(asked: Iterable[str] | Mapping[str, float]) -> dict[str, float]:
    """Names with their usual strengths, or names and strengths, checked; in order of use."""
    for name in asked:
        if name not in _TABLE:
            raise RecipeError(
                f"there is no augmentation {name!r}; {suggest(name, _TABLE)}", code="unknown-choice"
            )
    given = asked if isinstance(asked, Mapping) else {name: _TABLE[name][1] for name in asked}
    for name, strength in given.items():
        if not 0 <= strength <= _TABLE[name][2]:
            raise RecipeError(
                f"the strength of {name!r} is 0 to {_TABLE[name][2]:g}, not {strength}",
                code="out-of-range",
            )
    return {name: float(given[name]) for name in _TABLE if name in given}


def vary(x: Tensor, rng: Rng, chosen: Mapping[str, float]) -> Tensor:
    """A batch with all chosen augmentations, on its own device, in its own dtype; one of strength 0 changes
    nothing."""
    for name, (function, _, _) in _TABLE.items():
        if chosen.get(name):
            x = function(x, rng, chosen[name])
    return x


def _still(x: Tensor) -> Tensor:
    """Affine maps `(B, rank, rank + 1)` that change nothing; the last axis of the grid comes first."""
    rank = x.ndim - 2
    return torch.eye(rank, rank + 1, device=x.device).repeat(len(x), 1, 1)


def _warp(x: Tensor, theta: Tensor) -> Tensor:
    """Each example seen through its affine map, bilinear."""
    values = x.float()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    seen = F.grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    # A bilinear mean lies between its four values, but for the rounding.
    return seen.clamp(values.min(), values.max()).to(x.dtype)
