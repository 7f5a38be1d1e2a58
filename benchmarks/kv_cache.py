"""Sampling 256 tokens with and without the cache of keys and values: the same tokens, how much sooner?

python benchmarks/kv_cache.py [--n 8] [--length 256]
"""

from __future__ import annotations

import argparse

import torch

from _report import interleaved, say
from genwright.families.autoregressive import Autoregressive
from genwright.nets.auto import Auto
from genwright.space import Space, Symbol


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--n", type=int, default=8)
    options.add_argument("--length", type=int, default=256)
    args = options.parse_args()
    torch.manual_seed(0)
    family = Autoregressive(Space((args.length,), (Symbol(82),)), {}, Auto("s"))
    torch.nn.init.normal_(family.head, std=0.2)  # untrained, but not indifferent

    def made(cache: bool) -> torch.Tensor:
        return family.sample(args.n, seed=1, cache=cache)

    same = torch.equal(made(True), made(False))
    seconds = interleaved(3, cached=lambda: made(True), plain=lambda: made(False))
    say(
        benchmark="kv_cache",
        n=args.n,
        length=args.length,
        same_tokens=same,
        seconds_cached=round(seconds["cached"], 3),
        seconds_plain=round(seconds["plain"], 3),
        times_faster=round(seconds["plain"] / seconds["cached"], 2),
    )


if __name__ == "__main__":
    main()
