"""One optimiser for each phase, and the rate at each step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from genwright.families.base import Family, Phase
from genwright.recipe import TrainOptions
from genwright.training.muon import Muon

__all__ = ["PhaseOptimizer", "frozen", "hidden_matrices", "lr_factor", "phase_parameters", "rate"]


def phase_parameters(family: Family, phase: Phase) -> dict[str, nn.Parameter]:
    """The parameters that a phase trains, by name, in a fixed order."""
    wanted = tuple(f"{name}." if name else "" for name in phase.trains)
    return {
        name: parameter
        for name, parameter in family.named_parameters()
        if parameter.requires_grad and (name.startswith(wanted) or name in phase.trains)
    }


def hidden_matrices(family: Family) -> set[str]:
    """Names of the weights that Muon is made for: the matrices within a stack of blocks, not those
    that read the input, the condition or write the answer (Jordan et al. 2024)."""
    return {
        f"{name}.weight"
        for name, module in family.named_modules()
        if isinstance(module, nn.Linear) and ".blocks." in name and ".film." not in f"{name}."
    }


class PhaseOptimizer:
    """AdamW, with Muon for the hidden matrices where the phase or the recipe asks for it."""

    def __init__(self, family: Family, phase: Phase, options: TrainOptions) -> None:
        self.parameters = phase_parameters(family, phase)
        # One number tunes all: what it is to the first phase's rate, the others' rates are to their own.
        scale = options.lr / family.phases[0].lr if options.lr else 1.0
        decay = phase.weight_decay if options.weight_decay is None else options.weight_decay
        kind = phase.optimizer if options.optimizer == "auto" else options.optimizer
        matrices = hidden_matrices(family) if kind == "muon" else set()
        muon = [p for name, p in self.parameters.items() if name in matrices]
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        for name, p in self.parameters.items():
            if name not in matrices:
                # Biases, gains and vectors are not decayed.
                key = (phase.lr * scale * lr_factor(p, phase.fan_in), decay if p.ndim > 1 else 0.0)
                groups.setdefault(key, []).append(p)
        self.engines: list[torch.optim.Optimizer] = []
        if groups:
            fused = family.device.type in ("cpu", "cuda")
            all_groups = [
                {"params": ps, "lr": lr, "weight_decay": wd} for (lr, wd), ps in groups.items()
            ]
            self.engines.append(torch.optim.AdamW(all_groups, betas=phase.betas, eps=1e-10, fused=fused))
        if muon:
            lr = phase.muon_lr * scale
            self.engines.append(Muon(muon, lr=lr, momentum=phase.betas[0], weight_decay=decay))
        self.rates = [group["lr"] for engine in self.engines for group in engine.param_groups]

    def step(self, factor: float) -> None:
        """One step at `factor` times the rate, then forget the gradients."""
        groups = (group for engine in self.engines for group in engine.param_groups)
        for group, lr in zip(groups, self.rates, strict=True):
            group["lr"] = lr * factor
        for engine in self.engines:
            engine.step()
            engine.zero_grad(set_to_none=True)

    # -- for an exact resume -------------------------------------------------------------------

    def state(self) -> dict[str, Tensor]:
        """Every tensor the engines keep, by `parameter/key`."""
        names: dict[Tensor, str] = {parameter: name for name, parameter in self.parameters.items()}
        return {
            f"{names[parameter]}/{key}": value
            for engine in self.engines
            for parameter, kept in engine.state.items()
            for key, value in kept.items()
        }

    def restore(self, state: dict[str, Tensor]) -> None:
        owner = {
            parameter: engine
            for engine in self.engines
            for group in engine.param_groups
            for parameter in group["params"]
        }
        for key, value in state.items():
            name, _, what = key.rpartition("/")
            parameter = self.parameters[name]
            # A step counter stays where its engine wants it, beside the parameter or on the CPU.
            kept = (
                value.clone()
                if what == "step" and parameter.device.type == "cpu"
                else value.to(parameter.device)
            )
            owner[parameter].state[parameter][what] = kept


def lr_factor(p: nn.Parameter, fan_in: float) -> float:
    """Of the rate, the share for a weight `(n_out, n_in, ...)`: 1 up to a fan-in, then in inverse proportion."""
    return 1.0 if p.ndim < 2 else min(1.0, fan_in / max(1, p[0].numel()))


@contextmanager
def frozen(parameters: list[nn.Parameter]) -> Iterator[None]:
    """No gradients for these."""
    for p in parameters:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in parameters:
            p.requires_grad_(True)


def rate(progress: float, options: TrainOptions) -> float:
    """The share of the full rate at `progress` from 0 to 1."""
    if progress < options.warmup:
        return max(progress / options.warmup, 1e-3)
    left = (1 - progress) / (1 - options.warmup)
    if options.decay == "cosine":
        return 0.5 * (1 - math.cos(math.pi * max(left, 0.0)))
    return max(left, 0.0) if options.decay == "linear" else 1.0
