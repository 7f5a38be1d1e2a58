"""Classifier-free guidance (Ho & Salimans 2022, arXiv:2207.12598, equation 6).

One network answers twice, with and without the condition; the difference is exaggerated. A scale of 1 is
the conditional answer alone, 0 the unconditional one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import Tensor

from genwright.batch import Cond
from genwright.nets.cond import Conditioner

__all__ = ["guide", "guided", "guided_conds"]


def guide(cond: Tensor, uncond: Tensor, guidance_scale: float) -> Tensor:
    """`uncond + guidance_scale * (cond - uncond)`."""
    return uncond + guidance_scale * (cond - uncond)


def guided_conds(
    conditioner: Conditioner, given: Mapping[str, Tensor], n: int, like: Tensor, guidance_scale: float
) -> tuple[Cond, Cond | None]:
    """What the two passes read. The one without keeps what a request always has; it is None where it would
    not matter."""
    cond = conditioner(given, n, like)
    if not given or guidance_scale == 1.0:
        return cond, None
    kept = {name: value for name, value in given.items() if not conditioner.cond[name].drop}
    return cond, conditioner(kept, n, like)


def guided(
    answer: Callable[[Cond], Tensor], cond: Cond, uncond: Cond | None, guidance_scale: float
) -> Tensor:
    """The guided answer of one network; the second pass is made only where it matters."""
    if uncond is None or guidance_scale == 1.0:
        return answer(cond)
    return guide(answer(cond), answer(uncond), guidance_scale)
