"""How long a training step takes here and what memory it wants: counted, and not run.

A few examples go through loss and gradient, whose operations are counted. What is large in them is left out: a
product, a convolution, attention or an element-wise operation gives whatever stands in memory in the right shape,
so that it costs neither time nor memory. How many examples they are is a prime number that hardly any weight is
a multiple of: whatever is, grows with the batch. Rates of this machine, measured once on small products and
convolutions, turn counts into seconds: a call costs some time whatever it does, and a number that is read or
written and one that is multiplied cost theirs.
"""

from __future__ import annotations

import math
import os
import re
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from genwright.batch import Batch
from genwright.errors import GenwrightError
from genwright.families.base import Family
from genwright.recipe import TrainOptions
from genwright.training.optim import frozen, phase_parameters
from genwright.training.precision import autocast
from genwright.training.timing import clock

__all__ = ["FEW", "Cost", "OperationCounter", "Unfilled", "cost", "free_memory", "measure_again"]

aten = torch.ops.aten
Kind = Literal["move", "plain", "product", "convolution", "attention"]
Work = Counter[tuple[Kind, str, torch.dtype]]
"""How much of each kind is done, by unit ("calls", "flops" or "bytes") and type of the numbers."""

FEW = 11
"""Examples that are counted."""
LARGE = 1 << 13
"""Numbers of a result from which it is left out."""
TINY = 1 << 8
"""Numbers up to which a call costs what it costs, however many they are."""
WEIGHTS = 5
"""Copies of the weights: their gradient, two moments of AdamW and the moving average beside themselves."""
UPDATE = 12
"""How often a step touches each parameter beside loss and gradient: norms, AdamW, the average of weights."""


@dataclass(frozen=True)
class Cost:
    """Of one training step: seconds here, and bytes at its peak, with the weights and what goes with them."""

    seconds: float
    bytes: int


# -- counting --------------------------------------------------------------------------------------


class OperationCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it operations are counted and large ones are left out.

    n         examples of the batch
    computes  whether large ones are done nevertheless
    work      what was done, or would have been
    growing   what of that grows with the batch
    peak      bytes of all results that grow with it and were held at a time
    """

    def __init__(self, n: int = 1, *, computes: bool = False) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.n, self.computes = n, computes
        self.growing: Work = Counter()
        self.work: Work = Counter()
        self.held = self.peak = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # the other answer loads the compiler, which takes seconds

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        about = _about(func)
        self.work[about.call] += 1
        if about.is_view or (about.pointwise and _is_tiny(args)):
            return func(*args, **kwargs)
        out = None if self.computes else _left_out(about, args, kwargs)
        if out is None:
            out = func(*args, **kwargs)
        self._count(about, args, kwargs, out)
        return out

    def _count(self, about: Operation, args: Sequence[Any], kwargs: Mapping[str, Any], out: Any) -> None:
        made = _tensors((out,))
        if not made:
            return
        total = growing = 0
        for t in made:
            total += (size := t.nbytes)
            if t.numel() % self.n == 0:
                growing += size
                if size >= LARGE:
                    self.held += size
                    weakref.finalize(t.untyped_storage(), self._drop, size)
        self.peak = max(self.peak, self.held)
        for t in _tensors(args):
            total += (size := t.nbytes)
            if t.numel() % self.n == 0:
                growing += size
        self._add((about.kind, "bytes", made[0].dtype), total, growing)
        if about.flops is not None:
            flops = about.flops(*map(_shape, args), out_shape=_shape(out))
            self._add((about.kind, "flops", made[0].dtype), flops, 0 if flops % self.n else flops)

    def _add(self, key: tuple[Kind, str, torch.dtype], total: int, growing: int) -> None:
        self.work[key] += total
        self.growing[key] += growing

    def _drop(self, size: int) -> None:
        self.held -= size


class Unfilled(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Within it no weight is drawn: whatever stands in memory, or zeros where that is little."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func._overloadpacket not in (aten.uniform_, aten.normal_):
            return func(*args, **(kwargs or {}))
        return args[0] if args[0].numel() >= LARGE else args[0].zero_()


class Operation(NamedTuple):
    """What is known of one: its kind, what a call of it counts as, how to count its flops, the shape of its result
    where that is known without it, whether it is a view of its argument, and whether it changes each number by
    itself."""

    func: Any
    kind: Kind
    call: tuple[Kind, str, torch.dtype]
    flops: Callable[..., int] | None
    shape: Callable[..., Any] | None
    is_view: bool
    pointwise: bool


@cache
def _about(func: Any) -> Operation:
    op = func._overloadpacket
    pointwise = torch.Tag.pointwise in func.tags and not func._schema.is_mutable
    # Torch's own are wrapped in what looks for shapes everywhere, which takes longer than the formula.
    flops = _FLOPS.get(op) or getattr(flop_registry.get(op), "__wrapped__", None)
    kind = _KINDS.get(op, "plain")
    return Operation(
        func, kind, (kind, "calls", torch.float32), flops, _SHAPES.get(op), func.is_view, pointwise
    )


_ATTENTION = aten._scaled_dot_product_flash_attention_for_cpu
_ATTENTION_BACKWARD = aten._scaled_dot_product_flash_attention_for_cpu_backward
_KINDS: dict[Any, Kind] = {
    **dict.fromkeys((aten.mm, aten.addmm, aten.bmm, aten.baddbmm), "product"),
    **dict.fromkeys((aten.convolution, aten.convolution_backward), "convolution"),
    **dict.fromkeys((_ATTENTION, _ATTENTION_BACKWARD), "attention"),
    **dict.fromkeys((aten.add, aten.add_, aten.sub, aten.mul, aten.mul_, aten.neg, aten.copy_), "move"),
    **dict.fromkeys((aten.slice_backward, aten.select_backward, aten.fill_, aten.zero_), "move"),
    **dict.fromkeys((aten.cat, aten.stack, aten.clone, aten.new_zeros), "move"),
}


def _is_tiny(args: Sequence[Any]) -> bool:
    return not any(isinstance(one, Tensor) and one.numel() >= TINY for one in args)


def _tensors(found: Sequence[Any]) -> list[Tensor]:
    there = list[Tensor]()
    for one in found:
        if isinstance(one, Tensor):
            there.append(one)
        elif isinstance(one, list | tuple):
            there += _tensors(one)
    return there


def _shape(value: Any) -> Any:
    """Of tensors that shape; all else as it is."""
    if isinstance(value, Tensor):
        return value.shape
    return [*map(_shape, value)] if isinstance(value, list | tuple) else value


def _left_out(about: Operation, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
    """Whatever stands in memory, in the place of a large result; None where it has to be computed."""
    if about.shape is not None:
        return about.shape(*args, **kwargs)
    if not about.pointwise:
        return None
    there = [a for a in args if isinstance(a, Tensor)]
    if max((t.numel() for t in there), default=0) < LARGE:
        return None
    # One number tells the type of the others.
    one = about.func(
        *(a.as_strided([1] * a.ndim, [1] * a.ndim) if isinstance(a, Tensor) else a for a in args),
        **kwargs,
    )
    # A symbol may be an index, which has to be a true one; and an answer has to be.
    if not isinstance(one, Tensor) or not one.is_floating_point():
        return None
    whole = np.broadcast_shapes(*(t.shape for t in there))  # that of torch loads sympy
    like = next((t for t in there if t.shape == whole), None)
    if like is None:
        return one.new_empty(whole)
    form = kwargs.get("memory_format") or torch.preserve_format
    return torch.empty_like(like, dtype=one.dtype, memory_format=form)


def _mm(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(a.shape[0], b.shape[1])


def _addmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return _mm(a, b)


def _bmm(a: Tensor, b: Tensor) -> Tensor:
    return a.new_empty(*a.shape[:2], b.shape[2])


def _baddbmm(bias: Tensor, a: Tensor, b: Tensor, **_: Any) -> Tensor:
    return _bmm(a, b)


def _as_first(x: Tensor, *_: Any, **__: Any) -> Tensor | None:
    return torch.empty_like(x) if x.is_floating_point() else None


def _as_second(grad: Tensor, x: Tensor, *_: Any) -> Tensor:
    return torch.empty_like(x)


def _itself(x: Tensor, *_: Any) -> Tensor | None:
    """Of what changes its argument."""
    return x if x.is_floating_point() and x.numel() >= LARGE else None


def _of_size(
    x: Tensor, size: Sequence[int], *, dtype: torch.dtype | None = None, **_: Any
) -> Tensor | None:
    dtype = dtype or x.dtype
    return (
        x.new_empty(size, dtype=dtype) if dtype.is_floating_point and math.prod(size) >= LARGE else None
    )


def _summed(x: Tensor, axes: Sequence[int] | None = None, keep: bool = False, **_: Any) -> Tensor | None:
    if not axes or x.numel() < LARGE or not x.is_floating_point():
        return None
    gone = {axis % x.ndim for axis in axes}
    return x.new_empty([1 if i in gone else n for i, n in enumerate(x.shape) if keep or i not in gone])


def _pooled(x: Tensor, size: Sequence[int], *_: Any) -> Tensor:
    return x.new_empty(*x.shape[: x.ndim - len(size)], *size)


def _unpooled(grad: Tensor, size: Sequence[int], before: Sequence[int], *_: Any) -> Tensor:
    return grad.new_empty(before)


def _copy(x: Tensor, *, dtype: torch.dtype | None = None, **_: Any) -> Tensor | None:
    dtype = dtype or x.dtype
    return (
        torch.empty_like(x, dtype=dtype) if dtype.is_floating_point and x.is_floating_point() else None
    )


def _joined(parts: Sequence[Tensor], axis: int = 0) -> Tensor | None:
    first = parts[0]
    if len({(t.ndim, t.dtype) for t in parts}) > 1 or not first.is_floating_point():
        return None
    shape = list(first.shape)
    shape[axis] = sum(t.shape[axis] for t in parts)
    return first.new_empty(shape)


def _stacked(parts: Sequence[Tensor], axis: int = 0) -> Tensor | None:
    return _joined([part.unsqueeze(axis) for part in parts], axis)


def _padded(x: Tensor, pads: Sequence[int], *_: Any) -> Tensor | None:
    shape = list(x.shape)
    for i, n in enumerate(pads):
        shape[-1 - i // 2] += n
    return x.new_empty(shape) if x.is_floating_point() else None


def _group_norm(
    x: Tensor, weight: Any, bias: Any, n: int, channels: int, places: int, groups: int, *_: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), x.new_empty(n, groups), x.new_empty(n, groups)


def _group_norm_backward(
    grad: Tensor, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | None, *rest: Any
) -> tuple[Tensor | None, ...]:
    wanted = rest[-1]
    of_weight = weight if weight is not None else mean
    return tuple(
        torch.empty_like(t) if there else None
        for t, there in zip((x, of_weight, of_weight), wanted, strict=True)
    )


def _layer_norm(x: Tensor, shape: Sequence[int], *_: Any) -> tuple[Tensor, Tensor, Tensor]:
    last = len(shape)
    of_rows = x.shape[: x.ndim - last] + (1,) * last
    return torch.empty_like(x), x.new_empty(of_rows), x.new_empty(of_rows)


def _layer_norm_backward(
    grad: Tensor,
    x: Tensor,
    shape: Sequence[int],
    mean: Tensor,
    rstd: Tensor,
    weight: Tensor | None,
    bias: Tensor | None,
    wanted: Sequence[bool],
) -> tuple[Tensor | None, ...]:
    return tuple(
        torch.empty_like(t) if there and t is not None else None
        for t, there in zip((x, weight, bias), wanted, strict=True)
    )


def _embedding(weight: Tensor, ids: Tensor, *_: Any) -> Tensor:
    return weight.new_empty(*ids.shape, weight.shape[1])


def _embedding_backward(grad: Tensor, ids: Tensor, n: int, *_: Any) -> Tensor:
    return grad.new_empty(n, grad.shape[-1])


def _part_backward(grad: Tensor, shape: Sequence[int], *_: Any) -> Tensor:
    return grad.new_empty(shape)


def _convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    *_: Any,
) -> Tensor | None:
    if transposed:
        return None
    axes = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=False)
    grid = [(n + 2 * pad - far * (k - 1) - 1) // step + 1 for n, k, step, pad, far in axes]
    return x.new_empty(len(x), len(weight), *grid)


def _convolution_backward(
    grad: Tensor, x: Tensor, weight: Tensor, *rest: Any
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    of_x, of_weight, of_bias = rest[-1]
    return (
        torch.empty_like(x) if of_x else None,
        torch.empty_like(weight) if of_weight else None,
        x.new_empty(grad.shape[1]) if of_bias else None,
    )


def _attention(query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
    return torch.empty_like(query), query.new_empty(query.shape[:-1], dtype=torch.float32)


def _attention_backward(
    grad: Tensor, query: Tensor, key: Tensor, value: Tensor, *_: Any, **__: Any
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)


def _attention_flops(query: torch.Size, key: torch.Size, *_: Any, **__: Any) -> int:
    return 4 * query.numel() * key[-2]


def _attention_backward_flops(grad: Any, query: torch.Size, key: torch.Size, *_: Any, **__: Any) -> int:
    return 10 * query.numel() * key[-2]


_FLOPS: dict[Any, Callable[..., int]] = {
    _ATTENTION: _attention_flops,
    _ATTENTION_BACKWARD: _attention_backward_flops,
}
"""Those that torch does not know how to count."""
_SHAPES: dict[Any, Callable[..., Any]] = {
    aten.mm: _mm,
    aten.addmm: _addmm,
    aten.bmm: _bmm,
    aten.baddbmm: _baddbmm,
    aten.convolution: _convolution,
    aten.convolution_backward: _convolution_backward,
    aten.native_group_norm: _group_norm,
    aten.native_group_norm_backward: _group_norm_backward,
    aten.native_layer_norm: _layer_norm,
    aten.native_layer_norm_backward: _layer_norm_backward,
    aten.embedding: _embedding,
    aten.embedding_dense_backward: _embedding_backward,
    **dict.fromkeys(
        (aten.leaky_relu_backward, aten.softplus_backward, aten._softmax, aten._log_softmax), _as_first
    ),
    **dict.fromkeys((aten._softmax_backward_data, aten._log_softmax_backward_data), _as_first),
    **dict.fromkeys((aten.cumsum, aten.flip, aten.roll, aten.scatter_add, aten.index_put), _as_first),
    **dict.fromkeys(
        (aten.upsample_nearest1d, aten.upsample_nearest2d, aten.upsample_nearest3d), _pooled
    ),
    aten.upsample_nearest1d_backward: _unpooled,
    aten.upsample_nearest2d_backward: _unpooled,
    aten.upsample_nearest3d_backward: _unpooled,
    aten._adaptive_avg_pool2d: _pooled,
    aten._adaptive_avg_pool2d_backward: _as_second,
    aten.avg_pool2d_backward: _as_second,
    **dict.fromkeys((aten.fill_, aten.zero_, aten.add_, aten.sub_, aten.mul_, aten.div_), _itself),
    aten.new_zeros: _of_size,
    aten.sum: _summed,
    aten.mean: _summed,
    aten._to_copy: _copy,
    aten.cat: _joined,
    aten.stack: _stacked,
    aten.constant_pad_nd: _padded,
    aten.slice_backward: _part_backward,
    aten.select_backward: _part_backward,
    _ATTENTION: _attention,
    _ATTENTION_BACKWARD: _attention_backward,
}


def cost(family: Family, few: Batch, size: int, options: TrainOptions) -> Cost:
    """Of a step on `size` examples. The family is used up.

    few  a batch of some examples, `FEW` unless that is too few
    """
    with torch.random.fork_rng(devices=[]):
        with OperationCounter():
            family.prepare(few)
        counted = _counted(family, few, options)
    parts = options.accumulate
    times = size / parts / len(few)
    work = {key: n + (times - 1) * counted.growing[key] for key, n in counted.work.items()}
    kept = WEIGHTS * sum(p.numel() * p.element_size() for p in family.parameters())
    return Cost(parts * _seconds(work) + _update_seconds(family), kept + int(times * counted.peak))


def _counted(family: Family, batch: Batch, options: TrainOptions) -> OperationCounter:
    """The work of loss and gradient in all phases. A family that cannot go on with what was left out computes
    all of it."""
    try:
        return _passed(family, batch, options, OperationCounter(len(batch)))
    except GenwrightError:
        raise
    except Exception:
        return _passed(family, batch, options, OperationCounter(len(batch), computes=True))


def _passed(
    family: Family, batch: Batch, options: TrainOptions, counter: OperationCounter
) -> OperationCounter:
    precision = autocast(family, options.precision)
    for phase in family.phases:
        mine = phase_parameters(family, phase)
        others = [p for name, p in family.named_parameters() if name not in mine]
        for _ in range(phase.repeats):
            with frozen(others), counter:
                with precision:
                    terms = family.loss(batch, phase.name)
                torch.autograd.backward(torch.stack(list(terms.values())).sum())
            for p in mine.values():
                p.grad = None
    return counter


# -- memory ---------------------------------------------------------------------------------------


def free_memory() -> float:
    """Bytes of memory that are free on this machine; infinite where that cannot be known."""
    with suppress(OSError):
        if found := re.search(r"MemAvailable:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii")):
            return 1024.0 * int(found[1])
    with suppress(AttributeError, OSError, ValueError):  # of what there is at all, about half
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2
    return float("inf")


# -- rates -----------------------------------------------------------------------------------------


def _seconds(work: Mapping[tuple[Kind, str, torch.dtype], float]) -> float:
    """Calls and plain operations take their time; a product as long as what is slower, to multiply or to read and
    write (the roofline model, Williams et al. 2009)."""
    longest: dict[tuple[Kind, torch.dtype], float] = {}
    calls = 0.0
    for (kind, unit, dtype), amount in work.items():
        seconds = amount * _rate(kind, unit, dtype) if amount else 0.0
        if unit == "calls":
            calls += seconds
            continue
        longest[kind, dtype] = max(seconds, longest.get((kind, dtype), 0.0))
    return calls + sum(longest.values())


def _update_seconds(family: Family) -> float:
    """Of what a step does to the parameters, in all its phases."""
    seconds = 0.0
    for phase in family.phases:
        sizes = [p.numel() for p in phase_parameters(family, phase).values()]
        calls = UPDATE * len(sizes) * _plain_call()
        seconds += phase.repeats * (
            calls + UPDATE * 4 * sum(sizes) * _rate("plain", "bytes", torch.float32)
        )
    return seconds


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
    ("product", "flops"): (512, 512),
    ("product", "bytes"): (4096, 64),
    ("convolution", "flops"): (8, 64, 16),
    ("convolution", "bytes"): (32, 32, 8),
    ("attention", "flops"): (2, 256),
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
