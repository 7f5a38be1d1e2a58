"""How a family is run: in which precision, over held-out examples, and what was not finite."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.families.base import Family

__all__ = ["autocast", "heldout_loss", "in_bfloat16", "multiplies_bfloat16", "not_finite"]


def autocast(family: Family, precision: str) -> torch.autocast:
    """Within it matrix products are in bfloat16, or in fp32."""
    on = in_bfloat16(family, precision)
    return torch.autocast(family.device.type, torch.bfloat16, enabled=on)


def in_bfloat16(family: Family, precision: str) -> bool:
    """bfloat16 for matrix products, if asked for or known to help: on a GPU that has it, and on a CPU
    with bfloat16 instructions for everything but the MLP of a row (`benchmarks/kernels.py`)."""
    if precision != "auto":
        return precision == "bf16"
    small = family.device.type == "cpu" and not family.space.grid and not family.large_products
    return not small and multiplies_bfloat16(family.device)


def multiplies_bfloat16(device: torch.device) -> bool:
    """Whether a device has instructions for products in bfloat16: where it has none they take many times as long."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


@torch.no_grad()
def heldout_loss(family: Family, batches: Iterable[Batch], precision: torch.autocast) -> float:
    """The mean over examples."""
    total = count = 0.0
    was_training = family.training
    family.eval()
    for batch in batches:
        with precision:
            one, n = family.heldout(batch)
        total, count = total + float(one), count + float(n)
    family.train(was_training)
    return total / max(count, 1.0)


def not_finite(terms: Mapping[str, Tensor], batch: Batch) -> str:
    """What is not: the batch itself, or the first term of a loss that is not; empty where all are."""
    if not bool(torch.isfinite(batch.x.float()).all()):
        return "the batch of examples"
    return next((f"the loss term {n!r}" for n, t in terms.items() if not bool(torch.isfinite(t))), "")
