"""What was worked out is kept: several metrics, and all contenders, ask the same of the same examples."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from hashlib import blake2b
from threading import Lock
from typing import Any, TypeVar

import numpy as np

from genwright.data.codec import Array

__all__ = ["Memo", "array_digest", "keep", "once"]

KEPT = 512
"""Answers kept: those about the halves of some sets."""

Answer = TypeVar("Answer")


class Memo(OrderedDict[tuple[object, ...], "Future[Any]"]):
    """Answers by what was asked; of too many, those go that were asked for longest ago. Of several threads
    that ask the same, one works it out and the others wait for it."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self.most = most
        self.lock = Lock()

    def keep(self, key: tuple[object, ...], make: Callable[[], Answer]) -> Answer:
        """What is kept there, made if need be. What it raises is not kept."""
        with self.lock:
            asked: Future[Answer] | None = self.get(key)
            answer: Future[Answer] = asked or Future()
            self[key] = answer
            self.move_to_end(key)
            while len(self) > self.most:
                self.popitem(last=False)
        if asked is None:
            try:
                answer.set_result(make())
            except BaseException as error:
                with self.lock:
                    self.pop(key, None)
                answer.set_exception(error)
        return answer.result()


answers = Memo(KEPT)


def once(make: Callable[..., Answer], *asked: Array | int | bool) -> Answer:
    """`make(*asked)`, or what that was before. Arrays are known by a digest of their content, so that equal
    questions are one question wherever they come from."""
    return answers.keep(_key(make, asked), lambda: make(*asked))


def keep(answer: Answer, make: Callable[..., Answer], *asked: Array | int | bool) -> None:
    """What `once(make, *asked)` will give, where it was come by at less cost."""
    answers.keep(_key(make, asked), lambda: answer)


def _key(make: Callable[..., Any], asked: Sequence[Array | int | bool]) -> tuple[object, ...]:
    return (
        make.__module__,
        make.__qualname__,
        *(array_digest(one) if isinstance(one, np.ndarray) else one for one in asked),
    )


def array_digest(rows: Array) -> bytes:
    """Of shape, type and content."""
    content = blake2b(f"{rows.shape} {rows.dtype}".encode(), digest_size=16)
    content.update(np.ascontiguousarray(rows).data)
    return content.digest()
