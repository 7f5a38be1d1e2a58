"""What a call, a byte and an operation take here."""

from __future__ import annotations

import torch

from genwright.training import rates


def test_the_rates_are_of_this_machine() -> None:
    rates.measure_again()
    for kind in ("product", "convolution", "attention"):
        for unit in ("flops", "bytes"):
            assert 0 < rates._rate(kind, unit, torch.float32) < 1e-6  # type: ignore[arg-type]
    assert 0 < rates._plain_call() <= rates._call() < 1e-2
