"""Lanes: small requests made at once, each example as it is made alone.

A product of few rows is summed in another order than one of many, so that the last digits of an example hang on how
many are made beside it. Therefore a few examples are always made in one number of rows, the lanes: those that are
not wanted repeat the first one, or are what somebody else asked for at the same time. Each request draws from a
generator of its own, and so gets the numbers that it would get alone (`benchmarks/serving.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from genwright.errors import Unsupported

__all__ = ["Part", "in_lanes"]

FACTORIES = (torch.rand, torch.randn)
"""Draws whose size is their argument; of all others a tensor is."""


@dataclass(frozen=True)
class Part:
    """What one request wants of examples that are made at once.

    cond   stored conditions, `n` rows each
    known  stored examples and which of their numbers are known, of a family that infills
    """

    n: int
    rng: torch.Generator
    cond: Mapping[str, Tensor] = field(default_factory=dict)
    known: tuple[Tensor, Tensor] | None = None


def in_lanes(make: Callable[..., Tensor], parts: Sequence[Part], lanes: int) -> list[Tensor]:
    """What `make(n, cond, rng, *known)` gives for each part, made at once in `lanes` rows or more.

    Raises `Unsupported` where several parts cannot be made at once, since a draw is not one by example.
    """
    wanted = sum(part.n for part in parts)
    total, alone = max(wanted, lanes), parts[0]
    if len(parts) == 1 and total == wanted:
        return [make(wanted, dict(alone.cond), alone.rng, *([alone.known] if alone.known else []))]
    rows = torch.arange(total)
    rows[wanted:] = 0
    cond = {name: torch.cat([part.cond[name] for part in parts])[rows] for name in alone.cond}
    both = [part.known for part in parts if part.known is not None]
    known = [tuple(torch.cat(some)[rows] for some in zip(*both, strict=True))] if both else []
    with _Draws(parts, total) as draws:
        made = make(total, cond, draws.rng, *known)
    return list(torch.split(made[:wanted], [part.n for part in parts]))


class _Draws(TorchFunctionMode):
    """Within it, each draw from `rng` has the numbers of every part's own generator in the rows of that part, and
    those of the first row in the rest."""

    def __init__(self, parts: Sequence[Part], total: int) -> None:
        super().__init__()
        self.parts, self.total = parts, total
        first = parts[0].rng
        self.rng = first if len(parts) == 1 else torch.Generator(first.device)

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if kwargs is None:
            return func(*args)
        if "generator" not in kwargs or kwargs["generator"] is not self.rng:
            return func(*args, **kwargs)
        return self._drawn(func, list(args), dict(kwargs))

    def _drawn(self, func: Any, args: list[Any], kwargs: dict[str, Any]) -> Any:
        sized = func in FACTORIES
        if sized:
            args = [tuple(args) if isinstance(args[0], int) else tuple(args[0])]
        whole = args[0] if sized else args[0].shape if isinstance(args[0], Tensor) else ()
        if not whole or whole[0] != self.total:
            if len(self.parts) == 1:  # the same for all rows
                return func(*args, **kwargs)
            raise Unsupported(
                f"{func.__name__} does not draw by example, so that several requests cannot be made at once",
                code="not-by-example",
            )
        start, drawn = 0, list[Tensor]()
        for part in self.parts:
            some = (part.n, *whole[1:]) if sized else args[0][start : start + part.n]
            drawn.append(func(some, *args[1:], **kwargs | {"generator": part.rng}))
            start += part.n
        if not sized and drawn[0].data_ptr() == args[0].data_ptr():  # drawn in place
            args[0][start:] = args[0][:1]
            return args[0]
        rest = (
            [drawn[0][:1].expand(self.total - start, *drawn[0].shape[1:])] if start < self.total else []
        )
        return torch.cat([*drawn, *rest])
