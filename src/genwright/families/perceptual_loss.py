"""A perceptual loss: how far two examples are from each other in features, and not number by number.

    d(x, y) = mean over levels l, and over their places, of |phi_l(x) / |phi_l(x)| - phi_l(y) / |phi_l(y)||^2

with the features phi_l of `nets.perceptual`, each place of them at unit length (Zhang et al. 2018,
arXiv:1801.03924, eq. 1 with equal weights). What a squared error blurs, since it is not known where it lies, costs
here.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from genwright.errors import GenwrightError, RecipeError
from genwright.nets.perceptual import perceptual
from genwright.space import Space

__all__ = ["FeatureKind", "PerceptualLoss"]

FeatureKind = Literal["auto", "imagenet", "random"]
"""Of features: auto is imagenet for pictures where its weights are installed, else random."""


class PerceptualLoss:
    """Of embedded examples of a space of numbers on a grid. It has no weights that are trained, and none that are kept
    with a run: sampling does without them.

    weight  of the loss; 0 is none
    Raises `RecipeError` where there is a weight, and an example is no numbers on a grid.
    """

    def __init__(self, space: Space, weight: float, kind: FeatureKind) -> None:
        self.space, self.weight, self.kind = space, weight, kind
        if weight and (space.kind != "real" or not 1 <= len(space.grid) <= 3):
            raise RecipeError(
                f"family.perceptual={weight:g} is for numbers on a grid, and an example is {space}: leave it out",
                code="features-do-not-fit",
            )
        self._features: nn.Module | None = None

    def __bool__(self) -> bool:
        return self.weight > 0

    def __call__(self, made: Tensor, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """The weighted loss of each example `(B,)`, for the family's answer and the truth `(B, width, *grid)`.

        mask  which positions count `(B, *grid)`: the others are taken from the truth
        """
        x = x.float()
        made = made.float()
        if mask is not None:
            made = torch.where(mask[:, None], made, x)
        features = self._of(x.device)
        with torch.autocast(x.device.type, enabled=False):
            with torch.no_grad():
                true = [_unit(level) for level in features(x)]
            far = [
                (_unit(level) - t).square().sum(1).flatten(1).mean(1)
                for level, t in zip(features(made), true, strict=True)
            ]
        return self.weight * torch.stack(far).mean(0)

    def _of(self, device: torch.device) -> nn.Module:
        if self._features is None:
            self._features = self._built()
        return self._features.to(device)

    def _built(self) -> nn.Module:
        if self.kind == "auto":
            try:
                return perceptual("imagenet", self.space)
            except GenwrightError:  # not installed, or no pictures
                return perceptual("random", self.space)
        return perceptual(self.kind, self.space)


def _unit(x: Tensor) -> Tensor:
    """Features `(B, C, *grid)` of unit length at each place."""
    return x / (x.square().sum(1, keepdim=True) + 1e-10).sqrt()
