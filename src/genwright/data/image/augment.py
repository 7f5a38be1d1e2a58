"""Variations of a training batch that keep its meaning, drawn anew for each example.

    flip    mirrored left to right           strength: how likely, 0 to 1
    shift   moved by whole pixels            strength: the furthest, as a share of the side, 0 to 1
    rotate  turned about the centre          strength: the largest angle in degrees, 0 to 180
    crop    a part enlarged to the whole     strength: the largest share of each side cut off, below 1
    scale   grown or shrunk about the centre strength: the largest change, 0.1 for 1 / 1.1 to 1.1

What comes in from outside the grid is the mirrored inside. None is on unless asked for: a mirrored
"b" is a "d", and a 6 turned far enough is a 9. Each is a pure function of a batch `(B, C, H, W)`, the
generator and the strength; strength 0 changes nothing, and no value leaves the range of the batch.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.errors import RecipeError, suggest

__all__ = ["Augmentation", "crop", "flip", "rotate", "scale", "shift", "strengths", "vary"]

Augmentation = Literal["flip", "shift", "rotate", "crop", "scale"]


def flip(x: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Each example mirrored left to right with probability `strength`."""
    if strength == 0:
        return x
    chosen = _uniform(x, rng)[:, None, None, None] < strength
    return torch.where(chosen, x.flip(-1), x)


def shift(x: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Each example moved by up to `strength` of its height and width, at least one pixel, unblurred."""
    if strength == 0:
        return x
    rows, columns = (_moved(x, rng, size, strength) for size in x.shape[2:])
    example = torch.arange(len(x), device=x.device)[:, None, None]
    # Advanced indices around a slice put its axis last: (B, H, W, C).
    return x[example, :, rows[:, :, None], columns[:, None, :]].movedim(-1, 1)


def rotate(x: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Each example turned about its centre by up to `strength` degrees either way."""
    if strength == 0:
        return x
    angle = math.radians(strength) * (2 * _uniform(x, rng) - 1)
    height, width = x.shape[2:]
    zero = torch.zeros_like(angle)
    # A grid runs from -1 to 1 each way: its sides enter, or a turn would shear a picture not square.
    across = torch.stack([angle.cos(), -angle.sin() * (height / width), zero], dim=1)
    down = torch.stack([angle.sin() * (width / height), angle.cos(), zero], dim=1)
    return _warp(x, torch.stack([across, down], dim=1))


def crop(x: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """A window with up to `strength` of each side cut off, anywhere in the example, made the whole."""
    if strength == 0:
        return x
    size = 1 - strength * _uniform(x, rng)
    right, down = ((1 - size) * (2 * _uniform(x, rng) - 1) for _ in range(2))
    return _warp(x, _zoom(size, right, down))


def scale(x: Tensor, rng: torch.Generator, strength: float) -> Tensor:
    """Each example grown or shrunk about its centre by a factor of up to `1 + strength`."""
    if strength == 0:
        return x
    size = (math.log1p(strength) * (2 * _uniform(x, rng) - 1)).exp()
    zero = torch.zeros_like(size)
    return _warp(x, _zoom(size, zero, zero))


# Name: the function, the strength if none is given, the largest that makes sense. In order of use:
# what moves whole pixels comes before what has to blur them.
_TABLE: dict[str, tuple[Callable[[Tensor, torch.Generator, float], Tensor], float, float]] = {
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


def vary(x: Tensor, rng: torch.Generator, chosen: Mapping[str, float]) -> Tensor:
    """A batch `(B, C, H, W)` with all chosen augmentations, on its own device, in its own dtype."""
    for name, (function, _, _) in _TABLE.items():
        if name in chosen:
            x = function(x, rng, chosen[name])
    return x


def _uniform(x: Tensor, rng: torch.Generator) -> Tensor:
    """One draw from [0, 1) for each example, drawn where the generator lives."""
    return torch.rand(len(x), generator=rng, device=rng.device).to(x.device)


def _moved(x: Tensor, rng: torch.Generator, size: int, strength: float) -> Tensor:
    """Where each example looks along one axis `(B, size)` after a move of up to `strength * size`."""
    furthest = max(1, round(strength * size))
    by = (_uniform(x, rng) * (2 * furthest + 1)).long() - furthest
    place = (torch.arange(size, device=x.device) - by[:, None]) % (2 * size)
    return torch.where(place < size, place, 2 * size - 1 - place)


def _zoom(size: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """Affine maps `(B, 2, 3)` that look at a window of relative `size` around `(right, down)`."""
    zero = torch.zeros_like(size)
    return torch.stack([torch.stack([size, zero, right], 1), torch.stack([zero, size, down], 1)], 1)


def _warp(x: Tensor, theta: Tensor) -> Tensor:
    """Each example seen through its affine map `theta` `(B, 2, 3)`, bilinear."""
    values = x.float()
    grid = F.affine_grid(theta, list(x.shape), align_corners=False)
    seen = F.grid_sample(values, grid, padding_mode="reflection", align_corners=False)
    # A bilinear mean lies between its four values, but for the rounding.
    return seen.clamp(values.min(), values.max()).to(x.dtype)
