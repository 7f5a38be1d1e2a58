"""Nine spaces of every kind and rank, and toy data on them whose distribution depends on a label."""

from __future__ import annotations

import torch
from torch import Tensor

from genwright.space import Real, Space, Symbol

__all__ = ["LABEL", "SPACES", "data", "effect"]

SPACES = {
    "row": Space((), (Real(), Symbol(5), Real(), Symbol(3))),
    "binned-row": Space((), (Symbol(8), Symbol(8), Symbol(4))),
    "text": Space((12,), (Symbol(10),)),
    "level": Space((6, 7), (Symbol(5),)),
    "grey-image": Space((8, 8), (Real(1, bounded=True),)),
    "colour-image": Space((6, 6), (Real(3, bounded=True),)),
    "mixed-series": Space((9,), (Real(2), Symbol(4))),
    "video": Space((2, 5, 3), (Real(1, bounded=True),)),
    "latent": Space((), (Real(16),)),
}
LABEL = {"label": Space((), (Symbol(2),))}


def data(space: Space, n: int = 512, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Stored examples and labels `(n, 1)`. With label 1 reals lie around 0.5 and symbols in the upper
    half of their alphabet, nine times in ten; with label 0 the other way round."""
    rng = torch.Generator().manual_seed(seed)
    label = torch.randint(0, 2, (n, 1), generator=rng)
    parts = []
    for slot in space.slots():
        shape = (n, slot.span.stored, *space.grid)
        up = label.view(n, *[1] * (len(shape) - 1))
        if isinstance(slot.span, Real):
            value = (up - 0.5) + 0.15 * torch.randn(shape, generator=rng)
            parts.append(value.clamp(-1, 1) if slot.span.bounded else value)
            continue
        half = slot.span.k // 2
        low = torch.randint(0, half, shape, generator=rng)
        high = torch.randint(half, slot.span.k, shape, generator=rng)
        agrees = torch.rand(shape, generator=rng) < 0.9
        parts.append(torch.where(agrees == (up == 1), high, low).float())
    return torch.cat(parts, dim=1).to(space.dtype), label


def effect(x: Tensor, label: Tensor) -> Tensor:
    """How much each stored channel's mean differs between the labels `(stored,)`."""
    flat = x.float().movedim(1, 0).flatten(2) if x.ndim > 2 else x.float().movedim(1, 0)[:, :, None]
    one = (label == 1).flatten()
    return flat[:, one].mean((1, 2)) - flat[:, ~one].mean((1, 2))
