"""How data turns to noise: `x_t = alpha(t) x + sigma(t) e`, for data of a given standard deviation.

A schedule says which times are trained on and sampled at, what the network is shown and asked for,
and how its answer becomes an estimate of the clean example. DDPM, EDM and flow matching differ in
nothing else, so that any solver serves them all.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar, Literal

import torch
from torch import Tensor

__all__ = ["DDPM", "EDM", "FlowMatching", "Schedule"]


class Schedule(ABC):
    """`x_t = alpha(t) x + sigma(t) e`."""

    data_std: ClassVar[float]
    """The standard deviation to which data is brought."""

    @abstractmethod
    def alpha(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def sigma(self, t: Tensor) -> Tensor: ...

    @abstractmethod
    def velocity(self, x: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        """dx/dt of the probability-flow ODE at `x`, given the estimate of the clean example."""

    @abstractmethod
    def sample_t(self, u: Tensor) -> Tensor:
        """Times to train on, from uniform numbers in (0, 1)."""

    @abstractmethod
    def timesteps(self, steps: int, device: torch.device) -> Tensor:
        """`steps + 1` times to sample at, from noise to data."""

    @abstractmethod
    def ode_times(self, steps: int, device: torch.device) -> Tensor:
        """`steps + 1` times from data (nearly: what is less noisy was hardly trained on) to noise, dense
        where little noise changes much."""

    @abstractmethod
    def precondition(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        """What the network sees: its input, and the number `(B,)` that stands for the time."""

    @abstractmethod
    def denoised(self, answer: Tensor, x: Tensor, t: Tensor) -> Tensor:
        """The estimate of the clean example in the network's answer."""

    @abstractmethod
    def loss(self, answer: Tensor, x: Tensor, noise: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        """Squared error of the answer, weighted as the method has it; the shape of `x`."""


class DDPM(Schedule):
    """Ho et al. 2020 (arXiv:2006.11239) in the variance-preserving form alpha^2 + sigma^2 = 1. Time is the
    angle between them as a share of its last value, so that x_t moves at an even pace; the betas say
    which of the angles are trained on, one for each of their `levels`.

    linear  betas from 1e-4 to 0.02: alpha^2 = exp(-0.1 l - 9.95 l^2) at level l of (0, 1]  (Song et al.
            2021, arXiv:2011.13456, eq. 33)
    cosine  alpha = cos(b + c l) / cos(b)  (Nichol & Dhariwal 2021, arXiv:2102.09672, eq. 17). Their betas
            are clipped at the end; here c is such that it ends where the linear ones do.

    The network answers with the noise, or with v = alpha e - sigma x (Salimans & Ho 2022,
    arXiv:2202.00512), which tells the clean example even where nearly all is noise.
    """

    data_std = 1.0
    levels = 1000
    low, high = 0.1, 20.0  # the linear betas, times their number
    last = math.acos(math.exp(-0.25 * (low + high)))
    begin = 0.008 / 1.008 * math.pi / 2
    first = 0.004  # about the least noisy level

    def __init__(
        self, betas: Literal["cosine", "linear"] = "cosine", prediction: Literal["v", "epsilon"] = "v"
    ) -> None:
        self.betas, self.prediction = betas, prediction

    def alpha(self, t: Tensor) -> Tensor:
        return (self.last * t).cos()

    def sigma(self, t: Tensor) -> Tensor:
        return (self.last * t).sin()

    def velocity(self, x: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        noise = (x - self.alpha(t) * clean) / self.sigma(t)
        return self.last * (self.alpha(t) * noise - self.sigma(t) * clean)

    def sample_t(self, u: Tensor) -> Tensor:
        level = (u.double() * self.levels).ceil() / self.levels
        if self.betas == "linear":
            log_square = -self.low * level - 0.5 * (self.high - self.low) * level.square()
            alpha = (0.5 * log_square).exp()
        else:
            end = math.acos(math.cos(self.last) * math.cos(self.begin))
            alpha = (self.begin + (end - self.begin) * level).cos() / math.cos(self.begin)
        return (alpha.acos() / self.last).to(u.dtype)

    def timesteps(self, steps: int, device: torch.device) -> Tensor:
        return torch.linspace(1, 0, steps + 1, device=device)

    def ode_times(self, steps: int, device: torch.device) -> Tensor:
        return _ramp(self.first, 1, 3, steps, device)

    def precondition(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x, t.flatten()

    def denoised(self, answer: Tensor, x: Tensor, t: Tensor) -> Tensor:
        alpha, sigma = self.alpha(t), self.sigma(t)
        return alpha * x - sigma * answer if self.prediction == "v" else (x - sigma * answer) / alpha

    def loss(self, answer: Tensor, x: Tensor, noise: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        if self.prediction == "epsilon":
            return (answer - noise).square()
        return (answer - self.alpha(t) * noise + self.sigma(t) * clean).square()


class FlowMatching(Schedule):
    """Flow matching along straight lines (Lipman et al. 2023, arXiv:2210.02747; Liu et al. 2022,
    arXiv:2209.03003): alpha = 1 - t, sigma = t, and the network answers with the velocity e - x.
    Times are logit-normal (Esser et al. 2024, arXiv:2403.03206)."""

    data_std = 1.0

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def velocity(self, x: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return (x - clean) / t

    def sample_t(self, u: Tensor) -> Tensor:
        return torch.sigmoid(torch.special.ndtri(u.double()).float()).clamp(1e-4, 1 - 1e-4)

    def timesteps(self, steps: int, device: torch.device) -> Tensor:
        return torch.linspace(1, 0, steps + 1, device=device)

    def ode_times(self, steps: int, device: torch.device) -> Tensor:
        return _ramp(1e-3, 1, 3, steps, device)

    def precondition(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x, t.flatten()

    def denoised(self, answer: Tensor, x: Tensor, t: Tensor) -> Tensor:
        return x - t * answer

    def loss(self, answer: Tensor, x: Tensor, noise: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return (answer - (noise - clean)).square()


class EDM(Schedule):
    """Karras et al. 2022 (arXiv:2206.00364): alpha = 1, sigma = t; the network is preconditioned so
    that its input, target and loss have unit size at every noise level (section 5, table 1)."""

    data_std = 0.5
    mean, std = -1.2, 1.2  # of log sigma in training
    lowest, highest, rho = 0.002, 80.0, 7.0

    def alpha(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)

    def sigma(self, t: Tensor) -> Tensor:
        return t

    def velocity(self, x: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        return (x - clean) / t

    def sample_t(self, u: Tensor) -> Tensor:
        return (self.mean + self.std * torch.special.ndtri(u.double()).float()).exp()

    def timesteps(self, steps: int, device: torch.device) -> Tensor:
        """Equation 5, and a last step to 0."""
        if steps == 1:
            return torch.tensor([self.highest, 0.0], device=device)
        ramp = _ramp(self.highest, self.lowest, self.rho, steps - 1, device)
        return torch.cat([ramp, ramp.new_zeros(1)])

    def ode_times(self, steps: int, device: torch.device) -> Tensor:
        return _ramp(self.lowest, self.highest, self.rho, steps, device)

    def precondition(self, x: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
        return x / (t.square() + self.data_std**2).sqrt(), t.flatten().log() / 4

    def denoised(self, answer: Tensor, x: Tensor, t: Tensor) -> Tensor:
        total = t.square() + self.data_std**2
        return self.data_std**2 / total * x + t * self.data_std / total.sqrt() * answer

    def loss(self, answer: Tensor, x: Tensor, noise: Tensor, clean: Tensor, t: Tensor) -> Tensor:
        weight = (t.square() + self.data_std**2) / (t * self.data_std).square()
        return weight * (self.denoised(answer, x, t) - clean).square()


def _ramp(begin: float, end: float, rho: float, steps: int, device: torch.device) -> Tensor:
    """`steps + 1` numbers whose roots of order `rho` lie evenly (Karras et al. 2022, eq. 5)."""
    low, high = begin ** (1 / rho), end ** (1 / rho)
    return torch.linspace(low, high, steps + 1, device=device) ** rho
