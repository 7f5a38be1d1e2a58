"""The operations of a piece of code, counted and, where they are large, not done.

A product, a convolution, attention or an element-wise operation on much gives whatever stands in memory in the right
shape, so that it costs neither time nor memory.
"""

from __future__ import annotations

import math
import weakref
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

__all__ = ["Key", "Kind", "OperationCounter", "Unfilled", "Work"]

aten = torch.ops.aten
Kind = Literal["move", "plain", "product", "convolution", "attention"]
Key = tuple[Kind, str, torch.dtype]
Work = Counter[Key]
"""How much of each kind is done, by unit ("calls", "flops" or "bytes") and type of the numbers."""

LARGE = 1 << 13
"""Numbers of a result from which it is left out."""
TINY = 1 << 8
"""Numbers up to which a call costs what it costs, however many they are."""


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

    def _add(self, key: Key, total: int, growing: int) -> None:
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
        kwargs = kwargs or {}
        if func == aten.randn.default:
            return torch.ops.aten.zeros.default(*args, **kwargs)  # in memory that nobody has touched yet
        if func._overloadpacket not in (aten.uniform_, aten.normal_):
            return func(*args, **kwargs)
        return args[0] if args[0].numel() >= LARGE else args[0].zero_()


class Operation(NamedTuple):
    """What is known of one: its kind, what a call of it counts as, how to count its flops, the shape of its result
    where that is known without it, whether it is a view of its argument, and whether it changes each number by
    itself."""

    func: Any
    kind: Kind
    call: Key
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
    **dict.fromkeys((aten.cumsum, aten.flip, aten.roll, aten.scatter_add), _as_first),
    **dict.fromkeys((aten.index_put, aten.index_add), _as_first),
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
