"""Latent interpolation, attribute vectors and principal directions: the maths alone.

Codes `(B, dim)` are latent vectors that a family's `decode` reads.
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["attribute_vector", "interpolate_codes", "principal_directions", "slerp"]


def slerp(a: Tensor, b: Tensor, t: Tensor) -> Tensor:
    """Spherical linear interpolation from `a` to `b` `(dim,)` at `t` `(n,)` in [0, 1], gives `(n, dim)`:
    along the great circle (Shoemake 1985), with the length interpolated linearly.

    Codes of many normal numbers all lie at about one distance from 0, and a straight line leaves it: what
    is decoded half-way would be like no example (White 2016, arXiv:1609.04468, section 2.1).
    """
    one, other = a.norm(), b.norm()
    cosine = (a @ b / (one * other).clamp_min(1e-12)).clamp(-1, 1)
    angle = cosine.acos()
    if min(one, other) < 1e-6 or not 1e-4 < angle < torch.pi - 1e-3:  # no circle, or any
        return torch.lerp(a, b, t[:, None])
    turned = ((1 - t) * angle).sin()[:, None] * a / one + (t * angle).sin()[:, None] * b / other
    return turned / angle.sin() * torch.lerp(one, other, t)[:, None]


def interpolate_codes(a: Tensor, b: Tensor, steps: int, *, normal: bool = True) -> tuple[Tensor, Tensor]:
    """Latent interpolation: `steps` codes `(steps, dim)` from `a` to `b` `(dim,)`, both included, and their
    places `(steps,)` in [0, 1]. Spherical where the prior is a standard normal, else linear."""
    t = torch.linspace(0, 1, steps, device=a.device)
    way = slerp(a, b, t) if normal else torch.lerp(a, b, t[:, None])
    way[0], way[-1] = a, b
    return way, t


def attribute_vector(codes: Tensor, has: Tensor) -> Tensor:
    """The attribute vector `(dim,)`: the mean code of the examples that have an attribute minus that of those
    that lack it; `has` `(B,)` says which do (Larsen et al. 2016, arXiv:1512.09300, section 5.1.1)."""
    return codes[has].mean(0) - codes[~has].mean(0)


def principal_directions(codes: Tensor, made: Tensor, number: int) -> Tensor:
    """Principal latent directions `(number, dim)`, the most important first; fewer where there are no more.

    Principal components of the decoded examples `made` `(B, features)` of the codes `(B, dim)`, and the
    regression of the codes on them (GANSpace, Haerkoenen et al. 2020, arXiv:2004.02546, section 3.2, with
    the output in place of a layer).
    A whole step changes a component by about one standard deviation.
    """
    made = (made - made.mean(0)).double()
    centred = (codes - codes.mean(0)).double()
    u, s, _ = torch.linalg.svd(made, full_matrices=False)
    real = int((s > 1e-6 * s[0].clamp_min(1e-12)).sum())
    u = u[:, : min(number, real, codes.shape[1])]
    found = u.T @ centred / (len(codes) - 1) ** 0.5  # slopes for components of unit spread
    # The sign of a component is a convention: its largest number is positive.
    largest = found.abs().argmax(1, keepdim=True)
    return (found * found.gather(1, largest).sign()).to(codes.dtype)
