"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, equation 6).

One network answers twice, with and without the condition; the difference is exaggerated. A scale of 1 is
the conditional answer alone, 0 the unconditional one.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from genwright.batch import Cond

__all__ = ["guide", "guided"]


def guide(cond: Tensor, uncond: Tensor, guidance_scale: float) -> Tensor:
    """`uncond + guidance_scale * (cond - uncond)`."""
    return uncond + guidance_scale * (cond - uncond)


def guided(
    answer: Callable[[Cond], Tensor], cond: Cond, uncond: Cond | None, guidance_scale: float
) -> Tensor:
    """The guided answer of one network; the second pass is made only where it matters."""
    if uncond is None or guidance_scale == 1.0:
        return answer(cond)
    return guide(answer(cond), answer(uncond), guidance_scale)
