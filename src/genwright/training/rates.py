"""How fast this machine is: what a call, a byte and a floating point operation of each kind take.

Measured once, on small products and convolutions.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genwright.training.operations import Key, Kind, OperationCounter, Work
from genwright.training.timing import clock

__all__ = ["measure_again", "seconds"]

IN_A_STEP = 1.25
"""Times as long as by itself and at its fastest, which is how it is measured, an operation takes among others."""


def seconds(work: Mapping[Key, float]) -> float:
    """Calls and plain operations take their time; a product as long as what is slower, to multiply or to read and
    write (the roofline model, Williams et al. 2009)."""
    longest: dict[tuple[Kind, torch.dtype], float] = {}
    calls = 0.0
    for (kind, unit, dtype), amount in work.items():
        taken = amount * _rate(kind, unit, dtype) if amount else 0.0
        if unit == "calls":
            calls += taken
            continue
        longest[kind, dtype] = max(taken, longest.get((kind, dtype), 0.0))
    return IN_A_STEP * (calls + sum(longest.values()))


class Timed(NamedTuple):
    """Something to be done, and its work."""

    seconds: float
    work: Work


def measure_again() -> None:
    """Forget the rates: the machine may have become another one."""
    for rate in (_plain_call, _call, _move, _plain, _of):
        rate.cache_clear()


def _rate(kind: Kind, unit: str, dtype: torch.dtype) -> float:
    """Seconds of one unit of work."""
    if unit == "calls":
        return _plain_call() if kind in ("move", "plain") else _call()
    if kind == "move":
        return _move()
    if kind == "plain":
        return _plain()
    return _of(kind, unit, dtype if dtype == torch.bfloat16 else torch.float32)


@cache
def _plain_call() -> float:
    """A call that does next to nothing, or makes a view of something, forward and backward."""
    x = torch.zeros(4, 8, requires_grad=True)

    def run() -> Tensor:
        y = x
        for _ in range(20):
            y = y[:, :8] * x + y
        return y

    timed = _measured(run)
    return timed.seconds / sum(timed.work[kind, "calls", torch.float32] for kind in ("move", "plain"))


@cache
def _call() -> float:
    """The same of a layer of a network."""
    layers = [layer for _ in range(12) for layer in (nn.Linear(8, 8), nn.LayerNorm(8), nn.SiLU())]
    net, x = nn.Sequential(*layers), torch.zeros(4, 8)
    timed = _measured(lambda: net(x))
    others = sum(n for (kind, unit, _), n in timed.work.items() if unit == "calls" and kind != "product")
    return max(
        _plain_call(),
        (timed.seconds - others * _plain_call()) / timed.work["product", "calls", torch.float32],
    )


@cache
def _move() -> float:
    """A byte read or written by an operation that hardly computes."""
    x = torch.zeros(1 << 12, 128, requires_grad=True)
    timed = _measured(lambda: (x + x)[:, 1:] * 2.0)
    return _beyond_calls(timed) / timed.work["move", "bytes", torch.float32]


@cache
def _plain() -> float:
    """The same of any other operation on each number."""
    x = torch.zeros(1 << 13, 128, requires_grad=True)
    timed = _measured(lambda: F.silu(F.layer_norm(x, (128,)) * 2.0) + x)
    moved = _move() * timed.work["move", "bytes", torch.float32]
    return max(_move(), (_beyond_calls(timed) - moved) / timed.work["plain", "bytes", torch.float32])


@cache
def _of(kind: Kind, unit: str, dtype: torch.dtype) -> float:
    """A floating point operation of a kind where there are many on each number, or a byte where there are few."""
    timed = _measured(_WORK[kind](*_SIZES[kind, unit], dtype))
    return _beyond_plain(timed) / timed.work[kind, unit, dtype]


def _beyond_calls(timed: Timed) -> float:
    """Seconds that were not spent on calls as such."""
    calls = sum(n * _rate(*key) for key, n in timed.work.items() if key[1] == "calls")
    return max(timed.seconds / 10, timed.seconds - calls)


def _beyond_plain(timed: Timed) -> float:
    """Seconds that were spent neither on calls nor on plain operations."""
    plain = sum(
        n * _rate(*key)
        for key, n in timed.work.items()
        if key[0] in ("move", "plain") and key[1] == "bytes"
    )
    return max(timed.seconds / 4, _beyond_calls(timed) - plain)


def _product(rows: int, wide: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    x, weight = (torch.zeros(n, wide, dtype=dtype, requires_grad=True) for n in (rows, wide))
    return lambda: x @ weight


def _convolved(n: int, channels: int, side: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    x = torch.zeros(n, channels, side, side, dtype=dtype, requires_grad=True)
    weight = torch.zeros(channels, channels, 3, 3, dtype=dtype, requires_grad=True)
    return lambda: F.conv2d(x, weight, padding=1)


def _attended(n: int, length: int, dtype: torch.dtype) -> Callable[[], Tensor]:
    x = torch.zeros(n, 4, length, 32, dtype=dtype, requires_grad=True)
    return lambda: F.scaled_dot_product_attention(x, x, x)


_WORK: dict[Kind, Callable[..., Callable[[], Tensor]]] = {
    "product": _product,
    "convolution": _convolved,
    "attention": _attended,
}
_SIZES: dict[tuple[Kind, str], tuple[int, ...]] = {
    ("product", "flops"): (256, 512),
    ("product", "bytes"): (4096, 64),
    ("convolution", "flops"): (4, 64, 16),
    ("convolution", "bytes"): (32, 32, 8),
    ("attention", "flops"): (1, 256),
    ("attention", "bytes"): (32, 16),
}


def _measured(run: Callable[[], Tensor], repeats: int = 4) -> Timed:
    """The fastest of a few passes forward and backward, after one to warm up."""

    def both() -> None:
        torch.autograd.backward(
            run().square().sum()
        )  # whose gradient lies in memory as those of a loss do

    times, here = list[float](), torch.device("cpu")
    for _ in range(1 + repeats):
        began = clock(here)
        both()
        times.append(clock(here) - began)
    with OperationCounter() as counter:
        both()
    return Timed(min(times[1:]), counter.work)
