"""Tensors as a safetensors file: the same tensors are always the same bytes, and no code is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

from genwright.errors import RunError

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["header", "non_finite", "pack", "required_bytes", "unpack"]

HEADER_CAP = 8 << 20


def pack(tensors: Mapping[str, Tensor], about: Mapping[str, str]) -> tuple[bytes | memoryview, ...]:
    """The parts of the file, in order. Tensors may be on any device.

    Tied tensors are written once for each name, since the format shares no memory.
    """
    from safetensors.torch import save

    plain: dict[str, Tensor] = {}
    seen: set[int] = set()
    for name, tensor in tensors.items():
        here = tensor.detach().to("cpu").contiguous()
        storage = here.untyped_storage().data_ptr()
        plain[name] = here.clone() if storage in seen else here
        seen.add(storage)
    data = memoryview(save(plain))
    end = 8 + int.from_bytes(data[:8], "little")
    # The library writes its metadata in random order, so we add it: equal saves are equal bytes.
    header = json.dumps({"__metadata__": dict(about), **json.loads(bytes(data[8:end]))}).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > HEADER_CAP:
        raise RunError(
            f"{len(tensors)} tensors are too many for one file: their list takes {len(header)} bytes, "
            f"and at most {HEADER_CAP} are read again; use a smaller --size",
            code="too-many-tensors",
        )
    return len(header).to_bytes(8, "little"), header, data[end:]


def unpack(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file, on the CPU. Raises `ValueError` for what `pack` would not have written."""
    from safetensors import SafetensorError
    from safetensors.torch import load

    if int.from_bytes(data[:8], "little") > HEADER_CAP:
        raise ValueError("its header is too large")
    try:
        return load(data)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def header(data: bytes) -> dict[str, str]:
    """What the file says of itself, of one that `unpack` has read: the `about` of `pack`."""
    parsed = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    return dict(parsed.get("__metadata__", {}))


def non_finite(tensors: Mapping[str, Tensor]) -> str | None:
    """The name of the first tensor that holds NaN or infinity, if one does."""
    import torch

    for name, tensor in tensors.items():
        if tensor.is_floating_point() or tensor.is_complex():
            # Not every float of 8 bits knows isfinite.
            known = tensor if tensor.element_size() > 1 else tensor.float()
            if not bool(torch.isfinite(known).all()):
                return name
    return None


def required_bytes(*groups: Mapping[str, Tensor]) -> int:
    """About how many bytes one save of these tensors takes on the disk."""
    return (1 << 16) + sum(t.numel() * t.element_size() for group in groups for t in group.values())
