"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, equation 6).

One network answers twice, told and untold; what the condition changes is exaggerated. A scale of 1 is
the told answer alone, 0 the untold.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from genwright.batch import Cond

__all__ = ["guide", "guided"]


def guide(told: Tensor, untold: Tensor, guidance_scale: float) -> Tensor:
    """`untold + guidance_scale * (told - untold)`."""
    return untold + guidance_scale * (told - untold)


def guided(
    answer: Callable[[Cond], Tensor], told: Cond, untold: Cond | None, guidance_scale: float
) -> Tensor:
    """The guided answer of one network; the second pass is made only where it matters."""
    if untold is None or guidance_scale == 1.0:
        return answer(told)
    return guide(answer(told), answer(untold), guidance_scale)
