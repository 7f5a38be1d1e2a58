"""Diffusion: learn to undo noise, then walk from noise to data.

One family for DDPM, EDM and flow matching, which are schedules, and for every kind of space: symbols are
noised as one-hot vectors and read back as the likeliest (as in Chen et al. 2023, arXiv:2208.04202).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Ge
from torch import Tensor

from genwright.batch import Batch, Cond, by_example
from genwright.errors import RecipeError, Unsupported
from genwright.families.base import Phase, summed
from genwright.families.capabilities import DensityEstimator, Encoder, LatentVariable, LikelihoodKind
from genwright.families.density import carried, log_change
from genwright.families.dequantize import Dequantizer
from genwright.families.drafts import Draft, reached
from genwright.families.guidance import guided, guided_conds
from genwright.families.meanflow import JUMPS, change
from genwright.families.noise import Waves, example_mean, stratified
from genwright.families.perceptual_loss import FeatureKind, PerceptualLoss
from genwright.families.schedules import DDPM, EDM, FlowMatching, Schedule
from genwright.families.solvers import SOLVERS
from genwright.families.standardize import Scaling
from genwright.nets.blocks import Straight, TimeEmbedding
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets
from genwright.options import Count, Natural, NonNegative
from genwright.space import CondSpec, Space

__all__ = ["Diffusion"]

SCHEDULES: dict[str, type[Schedule]] = {"flow": FlowMatching, "edm": EDM, "ddpm": DDPM}
WALK = {"row": 40, "grid": 20}
"""Steps from an example to noise, for its likelihood."""


class Diffusion(DensityEstimator, LatentVariable, Encoder):
    """A network that removes noise, and a solver that uses it."""

    accepts = frozenset({"real", "symbol", "mixed"})
    teaches = 1 / 10  # one of many amounts of noise
    loss_units = ("weighted squared error", "weighted squared error")
    likelihood: LikelihoodKind | None = "exact"
    phases = (Phase("fit", lr=2e-3, betas=(0.9, 0.99), fan_in=576),)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        schedule: Literal["flow", "edm", "ddpm"] | None = None,
        betas: Literal["cosine", "linear"] | None = None,
        prediction: Literal["v", "epsilon"] | None = None,
        waves: Natural | None = None,
        objective: Literal["denoise", "meanflow"] = "denoise",
        levels: Annotated[int, Ge(2)] | None = None,
        perceptual: NonNegative = 0.0,
        perceptual_features: FeatureKind = "auto",
        residual: bool = False,
    ) -> None:
        """schedule: flow matching, EDM or DDPM (None: edm for a row, whose density may be far narrower than
        its standard deviation, else flow).  betas: how the noise of ddpm grows (None: cosine).
        prediction: what its network answers with, v or the noise (None: v).  waves: lengths of the sines and
        cosines that the network sees of each number beside the number itself (None: 4 for a row whose
        objective is to denoise, else 0).  objective: to remove noise (denoise), or to jump over a span of
        it (meanflow), which makes examples in 1 to 4 steps.  levels: that numbers in [-1, 1] have (256 for
        pixels). Those on levels are then spread over their shares of the range, as they are where a
        likelihood is judged, and samples settle on levels (None: all are learnt as they are).  perceptual: weight
        of a loss in features of the denoised estimate, on a grid of numbers, the less the more noise there is.
        perceptual_features: what it is taken in (auto: imagenet for pictures where the extra `features` is
        installed, else random).  residual: learn what a linear map of what is always given place by place leaves of
        numbers (as Whang et al. 2022, arXiv:2112.02475, learn what a regression leaves)."""
        super().__init__(space, cond, nets)
        self.jumps = objective == "meanflow"
        if self.jumps and schedule not in (None, "flow"):
            raise RecipeError(
                f"family.objective=meanflow jumps along the lines of flow matching, which family.schedule="
                f"{schedule} has not: leave the schedule out",
                code="contradicting-options",
            )
        plain = "flow" if space.grid or self.jumps else "edm"
        self.schedule = _schedule(schedule or plain, betas, prediction)
        self.latent_dim = space.width * space.positions
        self.conditioner = Conditioner(self.cond, space.grid, nets, "map", extra=True)
        # What is differentiated by time must not swing with it (Lu & Song 2024, arXiv:2410.11081, section 4).
        slow = (-2, 1) if self.jumps else (-2, 6)
        self.time = TimeEmbedding(nets.dim, octaves=slow)
        self.span = TimeEmbedding(nets.dim, octaves=slow) if self.jumps else None
        few = 0 if space.grid or self.jumps else 4
        self.waves = Waves(space, few if waves is None else waves, base=3.0)
        self.net = nets.map(space.grid, self.waves.width, space.width, self.conditioner.shape)
        if space.kind != "real":  # a density of one-hot vectors says nothing of their symbols
            self.likelihood = None
        # A likelihood takes some hundred passes of the network, over as many places as there are.
        numbers = space.stored * space.positions
        self.likelihood_examples = max(8, min(128, 25_000 // numbers)) if space.grid else 512
        self.scaling, self.levels = Scaling(space), Dequantizer(space, levels)
        self.straight = self._straight() if residual else None
        self.perceptual = PerceptualLoss(space, perceptual, perceptual_features)
        if self.perceptual and self.jumps:
            raise RecipeError(
                "family.perceptual looks at a denoised estimate, which family.objective=meanflow has not: leave one "
                "of the two out",
                code="contradicting-options",
            )

    def _straight(self) -> Straight:
        always = [spec for spec in self.cond.values() if spec.align and not spec.drop]
        if not always or self.space.kind != "real" or not self.conditioner.shape.grid:
            raise RecipeError(
                f"family.residual takes from numbers what is always given place by place, and of {self.space} "
                f"nothing is: leave it out, or choose task.name=restore",
                code="contradicting-options",
            )
        return Straight(len(self.space.grid), self.space.width, self.conditioner.shape).requires_grad_(
            False
        )

    def prepare(self, batch: Batch) -> None:
        self.levels.fit(batch.x)
        if self.straight is None:
            self.scaling.fit(batch.x)
            return
        cond = self.conditioner(batch.cond, len(batch), batch.x)
        self.straight.begin(cond, batch.x)
        self.scaling.fit(batch.x - self._start(cond))

    def _start(self, cond: Cond) -> Tensor | float:
        """What is taken from stored examples before they are noised."""
        if self.straight is None:
            return 0.0
        with torch.autocast(self.device.type, enabled=False):
            out: Tensor = self.straight(torch.zeros((), device=self.device), cond)
        return out

    def _normal(self, x: Tensor, cond: Cond) -> Tensor:
        """Stored examples at the standard deviation that the schedule wants."""
        return self.scaling.normal(x - self._start(cond)) * self.schedule.data_std

    def _plain(self, x: Tensor, cond: Cond) -> Tensor:
        return self.scaling.plain(x / self.schedule.data_std) + self._start(cond)

    def _answer(self, x: Tensor, t: Tensor, cond: Cond, span: Tensor | None = None) -> Tensor:
        """The network's answer at time `t` `(B, 1, ...)`; one that jumps reads how far (None: not at
        all)."""
        seen, number = self.schedule.precondition(x, t)
        if self.span is not None:
            far = torch.zeros_like(t) if span is None else span
            cond = cond.plus(self.span(far.flatten()))
        return self.net(self.waves(seen), cond.plus(self.time(number))).float()

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        errors, far = self._errors(batch)
        terms = {"jump" if self.jumps else "denoise": errors.mean()}
        return terms if far is None else terms | {"perceptual": far.mean()}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Mean weighted squared error per number, at the training's times."""
        return summed(self._errors(batch)[0])

    def _errors(self, batch: Batch) -> tuple[Tensor, Tensor | None]:
        """Weighted squared error of each example `(B,)`, a mean over its numbers; and in training the perceptual
        loss, where there is one."""
        n, plain = len(batch), self.levels.dequantize(batch.x)
        t = self._times(plain)
        noise = torch.randn(n, self.space.width, *self.space.grid, device=plain.device)
        span = torch.zeros_like(t)
        k = round(JUMPS * n) if self.jumps else 0  # these go a span back from the later of two times
        if k:
            other = self._times(plain)[:k]
            span[:k] = (t[:k] - other).abs()
            t[:k] = torch.maximum(t[:k], other)
        cond = self.conditioner(batch.cond, n, batch.x)
        clean = self._normal(plain, cond)
        x = self.schedule.alpha(t) * clean + self.schedule.sigma(t) * noise
        answer = self._answer(x, t, cond, span)
        if k:
            some = cond.rows(slice(k))
            moved = change(lambda x, t, h: self._answer(x, t, some, h), x[:k], t[:k], span[:k])
            answer = torch.cat([answer[:k] + span[:k] * moved, answer[k:]])
        errors = example_mean(self.schedule.loss(answer, x, noise, clean, t), batch.mask)
        if not (self.perceptual and self.training):
            return errors, None
        estimate = self._plain(self.schedule.denoised(answer, x, t), cond)
        signal, variance = self.schedule.alpha(t).square(), self.schedule.sigma(t).square()
        share = (
            signal / (signal + variance)
        ).flatten()  # where all is noise, a mean is the right answer
        return errors, share * self.perceptual(estimate, batch.x, batch.mask)

    def _times(self, x: Tensor) -> Tensor:
        """Times to train on `(B, 1, ...)`, one for each of `x`."""
        u = stratified(len(x), x.device).clamp(1e-6, 1 - 1e-6)
        return by_example(self.schedule.sample_t(u), x)

    # -- likelihood ----------------------------------------------------------------------------

    def log_prob(self, batch: Batch) -> Tensor:
        """Log-density of each stored example in nats `(B,)`, along the probability-flow ODE; see `density`.
        All positions of an example count, whatever its mask. Raises `Unsupported` where there are symbols.
        """
        if self.likelihood is None:
            raise Unsupported(
                f"{self.name} has a likelihood of numbers alone, and this is {self.space}",
                code="no-likelihood",
            )
        schedule = self.schedule
        with torch.autocast(batch.x.device.type, enabled=False):
            cond = self.conditioner(batch.cond, len(batch), batch.x)
            times = self._path()
            noise, change = log_change(self._velocity(cond), self._normal(batch.x, cond), times)
        sigma = schedule.sigma(times[-1])
        z = noise.flatten(1).double() / sigma
        normal = -0.5 * z.square().sum(1) - z.shape[1] * (sigma.log() + 0.5 * math.log(2 * math.pi))
        scale = self.space.positions * (schedule.data_std / self.scaling.std).log().sum()
        return (normal + change + scale).float()

    def _path(self) -> Tensor:
        return self.schedule.ode_times(WALK["grid" if self.space.grid else "row"], self.device)

    def _velocity(self, cond: Cond) -> Callable[[Tensor, Tensor], Tensor]:
        """dx/dt of examples along the probability-flow ODE."""
        schedule = self.schedule

        def velocity(x: Tensor, t: Tensor) -> Tensor:
            at = by_example(t.expand(len(x)), x)
            return schedule.velocity(x, schedule.denoised(self._answer(x, at, cond), x, at), at)

        return velocity

    # -- codes ---------------------------------------------------------------------------------

    def encode(self, batch: Batch) -> Tensor:
        """The noise that the probability-flow ODE comes from, `(B, width * positions)`: standard normal if
        the model is true (Song et al. 2021, arXiv:2011.13456, section 4.3)."""
        with torch.autocast(batch.x.device.type, enabled=False):
            cond = self.conditioner(batch.cond, len(batch), batch.x)
            times = self._path()
            noise = carried(self._velocity(cond), self._normal(batch.x, cond), times)
        return (noise / self.schedule.sigma(times[-1])).flatten(1)

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        with torch.autocast(codes.device.type, enabled=False):
            read = self.conditioner(cond, len(codes), codes)
            times = self._path().flip(0)
            noise = codes.view(-1, self.space.width, *self.space.grid) * self.schedule.sigma(times[0])
            x = carried(self._velocity(read), noise, times)
        return self.levels.quantize(self.space.draw(self._plain(x, read)))

    # -- sampling ------------------------------------------------------------------------------

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        steps: Count | None = None,
        solver: Literal["euler", "heun", "dpm", "ancestral", "sde"] | None = None,
        guidance_scale: float = 1.0,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """steps: of the solver (None: 4 for a model that jumps, else 32; 8 are often enough with `dpm`).
        solver: euler, heun and dpm follow an ODE; ancestral and sde add fresh noise, and want more steps;
        euler jumps where the model can (None: euler there, else dpm).  guidance_scale: above 1 exaggerates
        the condition.  temperature: scale of the noise."""
        schedule = self.schedule
        shape = (n, self.space.width, *self.space.grid)
        noise = torch.randn(shape, generator=rng, device=self.device)
        cond, uncond = guided_conds(self.conditioner, given, n, noise, guidance_scale)
        start = self._start(cond) / self.scaling.scale
        low, high = ((bound - start) * schedule.data_std for bound in self.scaling.bounds())

        estimate = noise

        def denoise(x: Tensor, t: Tensor, s: Tensor | None = None) -> Tensor:
            nonlocal estimate
            at = by_example(t.expand(n), x)
            span = None if s is None else at - s
            answer = guided(lambda c: self._answer(x, at, c, span), cond, uncond, guidance_scale)
            clean = schedule.denoised(answer, x, at)
            estimate = torch.minimum(torch.maximum(clean, low), high)
            if self.jumps and s is not None and s > 0:
                return clean  # where the line through both ends of the jump would come to
            return estimate

        def example(x: Tensor) -> Tensor:
            return self.levels.quantize(self.space.draw(self._plain(x, cond)))

        def after(number: int) -> None:
            reached(Draft(number, len(times) - 1, lambda: example(estimate)))

        times = schedule.timesteps(steps or (4 if self.jumps else 32), self.device)
        walk = SOLVERS[solver or ("euler" if self.jumps else "dpm")](schedule, rng, temperature)
        return example(walk.solve(denoise, temperature * schedule.sigma(times[0]) * noise, times, after))


def _schedule(
    name: str, betas: Literal["cosine", "linear"] | None, prediction: Literal["v", "epsilon"] | None
) -> Schedule:
    if name == "ddpm":
        return DDPM(betas or "cosine", prediction or "v")
    for option, value in (("betas", betas), ("prediction", prediction)):
        if value is not None:
            raise RecipeError(
                f"family.{option}={value} says how a ddpm is made, and family.schedule is {name}: leave it "
                f"out, or set family.schedule=ddpm",
                code="contradicting-options",
            )
    return SCHEDULES[name]()
