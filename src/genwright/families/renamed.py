"""Weights of older runs under the names of today.

The parts of a weight's name are submodules, and some of them were renamed: `tell.project.label.weight` is
`conditioner.project.label.weight` now. What stands behind `project` or `null` is a person's name for a
condition, and stays.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

__all__ = ["RENAMED", "upgrade"]

RENAMED = {
    "tell": "conditioner",
    "tell_encoder": "encoder_conditioner",
    "tell_decoder": "decoder_conditioner",
    "tell_prior": "prior_conditioner",
    "tell_generator": "generator_conditioner",
    "tell_critic": "critic_conditioner",
    "spread": "learned_scale",
    "stepped": "is_discrete",
    "untold": "drop_mask",
}
"""Parts of names of weights and buffers, as they were and as they are."""


def upgrade(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those of an older run under the names of today; new names pass as they are."""
    return {_renamed(name): tensor for name, tensor in tensors.items()}


def _renamed(name: str) -> str:
    parts = name.split(".")
    return ".".join(
        part if before in ("project", "null") else RENAMED.get(part, part)
        for before, part in zip(["", *parts], parts, strict=False)
    )
