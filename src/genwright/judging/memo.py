"""What was worked out is kept: several metrics, and all contenders, ask the same of the same examples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from hashlib import blake2b
from typing import Any, TypeVar

import numpy as np

from genwright.data.codec import Array

__all__ = ["once"]

KEPT = 512
"""Answers kept: those about the halves of some sets."""

Answer = TypeVar("Answer")
_answers: OrderedDict[tuple[object, ...], Any] = OrderedDict()


def once(make: Callable[..., Answer], *asked: Array | int | bool) -> Answer:
    """`make(*asked)`, or what that was before. Arrays are known by a digest of their content, so that equal
    questions are one question wherever they come from."""
    key = (
        make.__module__,
        make.__qualname__,
        *(_digest(one) if isinstance(one, np.ndarray) else one for one in asked),
    )
    if key not in _answers:
        _answers[key] = make(*asked)
        while len(_answers) > KEPT:
            _answers.popitem(last=False)
    _answers.move_to_end(key)
    found: Answer = _answers[key]
    return found


def _digest(rows: Array) -> bytes:
    content = blake2b(f"{rows.shape} {rows.dtype}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(rows).data)
    return content.digest()
