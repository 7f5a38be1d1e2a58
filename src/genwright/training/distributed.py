"""The only file that knows there may be a second device.

One process for each device, started by torchrun. No wrapper around the model: alternating phases and
gradients of gradients do not go through one. Gradients are averaged after the backward passes.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from genwright.errors import RecipeError
from genwright.families.base import Family
from genwright.process import is_main, local_rank, world_size

__all__ = [
    "SharedBuffers",
    "average_grads",
    "broadcast",
    "device",
    "gather",
    "group",
    "is_main",
    "rank",
    "wait",
    "world",
]


def world() -> int:
    """How many processes train together."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    return dist.get_rank() if dist.is_initialized() else 0


def device(name: str = "auto") -> torch.device:
    """A device by its name; "auto" is this process's own GPU under torchrun, else the first there is.
    Raises `RecipeError` for one that is not there."""
    if name == "auto":
        return _local_device()
    try:
        found = torch.device(name)
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError):  # torch built without it asserts
        there = " and ".join(dict.fromkeys((str(_local_device()), "cpu")))
        raise RecipeError(
            f"there is no device {name!r} here: take {there}, or auto", code="unknown-device"
        ) from None
    return found


def _local_device() -> torch.device:
    if torch.cuda.is_available():
        return torch.device("cuda", local_rank())
    if torch.backends.mps.is_available():
        return torch.device("mps")
    return torch.device("cpu")


@contextmanager
def group() -> Iterator[None]:
    """Join the others, if torchrun started this process as one of several."""
    if world_size() == 1 or dist.is_initialized():
        yield
        return
    # It binds the group of its import time as default arguments: imported later, as optimisers do, it
    # keeps the group alive into the interpreter's end, where gloo's threads abort the process.
    importlib.import_module("torch.distributed.nn")
    if torch.cuda.is_available():
        torch.cuda.set_device(_local_device())
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield
    finally:
        dist.destroy_process_group()


@torch.no_grad()
def average_grads(parameters: Iterable[nn.Parameter]) -> None:
    """Replace each gradient by its mean over all processes, in one message."""
    if world() == 1:
        return
    parameters = list(parameters)
    # A parameter that this process did not touch still takes part: the others may have.
    grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in parameters]
    flat = torch.cat([g.flatten().float() for g in grads])
    dist.all_reduce(flat)
    flat /= world()
    at = 0
    for parameter, grad in zip(parameters, grads, strict=True):
        parameter.grad = flat[at : at + grad.numel()].view_as(grad).to(grad.dtype)
        at += grad.numel()


class SharedBuffers:
    """Buffers of which each process finds a part in its own examples: statistics of batches, and those that
    the family calls `shared`; beside them what its `exchange` brings."""

    def __init__(self, family: Family) -> None:
        self.family = family
        kept = ("running_mean", "running_var")  # by what normalises over a batch
        found = {n: "mean" for n, _ in family.named_buffers() if n.rpartition(".")[2] in kept}
        self._how = {**found, **family.shared}

    @torch.no_grad()
    def average(self) -> None:
        """Make them one on all processes, after a step."""
        if world() == 1:
            return
        self.family.exchange(gather)
        for name, how in self._how.items():
            buffer = self.family.get_buffer(name)
            if how == "mean":
                dist.all_reduce(buffer)
                buffer /= world()
            else:
                dist.broadcast(buffer, src=0)


def mean(values: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each scalar averaged over all processes."""
    if world() == 1 or not values:
        return values
    flat = torch.stack([v.detach().float() for v in values.values()])
    dist.all_reduce(flat)
    return dict(zip(values, flat / world(), strict=True))


@torch.no_grad()
def broadcast(module: nn.Module) -> None:
    """Give every process the first one's weights and buffers."""
    if world() == 1:
        return
    for tensor in (*module.parameters(), *module.buffers()):
        dist.broadcast(tensor.data, src=0)


def gather(tensor: Tensor) -> list[Tensor]:
    """Every process's tensor, in the order of ranks; all of one shape."""
    sent = tensor.detach().contiguous()
    sent = sent.byte() if tensor.dtype == torch.bool else sent
    got = [torch.empty_like(sent) for _ in range(world())]
    dist.all_gather(got, sent)
    return [one.to(tensor.dtype) for one in got]


def agree(flag: bool, device: torch.device) -> bool:
    """Whether any process says so."""
    if world() == 1:
        return flag
    said = torch.tensor(float(flag), device=device)
    dist.all_reduce(said, dist.ReduceOp.MAX)
    return bool(said.item())


def first_says(value: float, device: torch.device) -> float:
    """The first process's value, on all: clocks differ, and all must take the same turns."""
    if world() == 1:
        return value
    said = torch.tensor(
        value, device=device, dtype=torch.float64 if device.type != "mps" else torch.float32
    )
    dist.broadcast(said, src=0)
    return float(said.item())


def wait() -> None:
    """Until all processes are here."""
    if world() > 1:
        dist.barrier()
