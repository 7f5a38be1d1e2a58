"""The small choices that were made by measuring: each against the obvious way, in turns.

    python benchmarks/kernels.py

muon       ours, over stacks of matrices, against torch.optim.Muon, matrix by matrix
attention  on a CPU in fp32 against bfloat16, forward and backward
norm       layer_norm against rms_norm, forward and backward
keys       which lie along the positions against one behind the other, read by one position's queries
continuing  products of one position of a Transformer block in bfloat16 against fp32, by width and examples
precision  a small Transformer step under bfloat16 autocast against fp32; a small U-Net likewise
"""

from __future__ import annotations

import itertools
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from _report import interleaved, say
from genwright.batch import Batch
from genwright.families.autoregressive import Autoregressive
from genwright.families.base import Family
from genwright.families.diffusion import Diffusion
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Symbol
from genwright.training.muon import Muon


def muon() -> None:
    shapes = [(128, 128)] * 16 + [(512, 128)] * 4 + [(128, 512)] * 4
    parameters = [nn.Parameter(torch.randn(shape)) for shape in shapes]
    for p in parameters:
        p.grad = torch.randn_like(p)
    stacked, single = Muon(parameters), torch.optim.Muon(parameters, lr=0.02)
    found = interleaved(20, ours=stacked.step, torchs=single.step)
    say(benchmark="muon", matrices=len(shapes), times_faster=round(found["torchs"] / found["ours"], 2))


def attention() -> None:
    def run(dtype: torch.dtype) -> None:
        q = torch.randn(12, 4, 64, 32, dtype=dtype, requires_grad=True)
        F.scaled_dot_product_attention(q, q, q, is_causal=True).sum().backward()

    found = interleaved(20, fp32=lambda: run(torch.float32), bf16=lambda: run(torch.bfloat16))
    say(benchmark="attention", fp32_times_faster=round(found["bf16"] / found["fp32"], 2))


def norm() -> None:
    x = torch.randn(768, 128, requires_grad=True)

    def run(which: str) -> None:
        y: Tensor = F.layer_norm(x, (128,)) if which == "layer" else F.rms_norm(x, (128,))
        y.sum().backward()

    found = interleaved(50, layer=lambda: run("layer"), rms=lambda: run("rms"))
    say(benchmark="norm", layer_times_faster=round(found["rms"] / found["layer"], 2))


def keys() -> None:
    """Of four queries, read by each of 64 texts at a step, where room for 257 positions is kept."""
    queries, first = torch.randn(64, 4, 32), torch.randn(64, 257, 32)
    along = first.transpose(1, 2).contiguous().transpose(1, 2)

    def read(keys: Tensor) -> None:
        torch.bmm(queries, keys[:, :192].transpose(1, 2))

    found = interleaved(50, first=lambda: read(first), along=lambda: read(along))
    say(benchmark="keys", along_times_faster=round(found["first"] / found["along"], 2))


def continuing() -> None:
    for width, examples in itertools.product((32, 128, 384), (1, 64, 256)):
        shapes = ((examples, width), (width, 4 * width), (4 * width, width))
        exact = [torch.randn(*shape) for shape in shapes]
        half = [one.bfloat16() for one in exact]

        def run(tensors: list[Tensor]) -> None:
            x, wide, back = tensors
            for _ in range(20):
                torch.addmm(x, torch.mm(x, wide), back)

        found = interleaved(20, bf16=partial(run, half), fp32=partial(run, exact))
        say(
            benchmark=f"continuing {examples} of {width}",
            bf16_times_faster=round(found["fp32"] / found["bf16"], 2),
        )


def precision() -> None:
    text, picture = Space((65,), (Symbol(82),)), Space((32, 32), (Real(3, bounded=True),))
    cases: dict[str, tuple[Family, Batch]] = {
        "transformer": (Autoregressive(text, {}, Auto("s")), Batch(torch.randint(0, 82, (12, 1, 65)))),
        "unet": (Diffusion(picture, {}, Auto("s")), Batch(torch.rand(16, 3, 32, 32))),
    }
    for name, (family, batch) in cases.items():

        def run(on: bool, family: Family = family, batch: Batch = batch) -> None:
            with torch.autocast("cpu", torch.bfloat16, enabled=on):
                loss = torch.stack(list(family.loss(batch, "fit").values())).sum()
            loss.backward()

        found = interleaved(10, bf16=lambda run=run: run(True), fp32=lambda run=run: run(False))
        say(benchmark=f"precision {name}", bf16_times_faster=round(found["fp32"] / found["bf16"], 2))


if __name__ == "__main__":
    torch.manual_seed(0)
    muon()
    attention()
    norm()
    keys()
    continuing()
    precision()
