"""Variational autoencoder (Kingma & Welling 2014, arXiv:1312.6114).

    -log p(x) <= E_q(z|x)[-log p(x|z)] + KL(q(z|x) || p(z))

with a weight on the second term (beta-VAE, Higgins et al. 2017), a warm-up of that weight, free bits
(Kingma et al. 2016, arXiv:1606.04934) and a learned decoder variance (`learned_scale.py`), without which
the balance of the two terms hangs on the scale of the data. With several draws it is trained on the tighter
bound of an importance-weighted autoencoder (Burda et al. 2016, arXiv:1509.00519, eq. 8). What prior and
posterior may be besides Gaussians stands in `latents.py`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Le
from torch import Tensor, nn

from genwright.batch import Batch
from genwright.errors import RecipeError
from genwright.families.base import Diagnostic, Phase, summed
from genwright.families.capabilities import Autoencoder, DensityEstimator, LatentVariable
from genwright.families.guidance import guided, guided_conds
from genwright.families.latents import Draw, Latents, Mixture, hardened, softened
from genwright.families.learned_scale import LearnedScale
from genwright.families.perceptual_loss import FeatureKind, PerceptualLoss
from genwright.nets.cond import Conditioner
from genwright.nets.roles import Nets, coarser
from genwright.options import Count, NonNegative
from genwright.space import CondSpec, Real, Space

__all__ = ["VAE"]

DRAWS = 64
"""Of the posterior, for one likelihood."""
PSEUDO = 2**18
"""Numbers of all pseudo-inputs together, about, where examples are large."""
ACTIVE = 0.01
"""Nats that a dimension of the code tells, at least, if it is used."""


class VAE(DensityEstimator, LatentVariable, Autoencoder):
    """Encoder, latent code, decoder."""

    accepts = frozenset({"real", "symbol", "mixed"})
    loss_units = ("nats an example", "nats an example")
    likelihood = "bound"
    quick = True
    phases = (Phase("fit", lr=1e-3, fan_in=2304),)
    diagnostics: tuple[Diagnostic, ...] = (
        Diagnostic(
            value_name="kl",
            cause="KL collapse",
            words="the code tells {value:.2g} nats of an example, and told about {median:.3g} before",
            remedy="a smaller family.beta, or family.free_bits=0.1",
            below=0.01,
            relative=True,
            min_median=0.1,
            steps=3,
        ),
        Diagnostic(
            value_name="active",
            cause="KL collapse",
            words="no dimension of the code depends on the example any more: the code is not used",
            remedy="a smaller family.beta, or family.free_bits=0.1",
            below=0.5,
            steps=50,
            after=0.3,
            recoverable=False,
        ),
    )

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        latent: Count = 32,
        factor: Literal[0, 2, 4, 8, 16] = 0,
        levels: Annotated[int, Ge(1), Le(8)] = 1,
        prior: Literal["normal", "vamp"] | None = None,
        components: Count | None = None,
        posterior: Literal["normal", "flow"] = "normal",
        flow_steps: Count = 4,
        draws: Count = 1,
        beta: NonNegative = 1.0,
        kl_warmup: Annotated[float, Ge(0), Le(1)] = 0.2,
        free_bits: NonNegative = 0.0,
        decoder_variance: bool = True,
        perceptual: NonNegative = 0.0,
        perceptual_features: FeatureKind = "auto",
    ) -> None:
        """latent: dimensions of the code.  factor: keep the code on a grid so many times coarser, `latent`
        numbers at each place of it (0: one vector for the whole example).  levels: of a ladder of codes, each
        with half the numbers of the one below.  prior: a Gaussian, or the mean posterior of learned
        pseudo-inputs (VampPrior), which a code of many nats fills better (None: vamp for a grid of numbers
        whose code is one vector and its posterior no flow).  components: pseudo-inputs of that prior (None:
        100, of large examples fewer, but at least 10).  posterior: a Gaussian, or one sent through a flow.
        flow_steps: of that flow.  draws: of the posterior for one training example; above 1 the bound of an
        importance-weighted autoencoder is trained.  beta: weight of the KL term.  kl_warmup: share of
        training over which that weight grows from 0.  free_bits: nats of each latent dimension that cost
        nothing.  decoder_variance: learn the scale of real channels (else it is 1).  perceptual: weight of a
        loss in features beside the one number by number, on a grid of numbers: sharper, at a little cost of the
        squared error.  perceptual_features: what it is taken in (auto: imagenet for pictures where the extra
        `features` is installed, else random)."""
        super().__init__(space, cond, nets)
        if any(spec.drop == 0 for spec in self.cond.values()):
            # What is always given may tell all that there is: a code that adds nothing is then no collapse.
            self.diagnostics = ()
        if draws > 1 and free_bits:
            raise RecipeError(
                f"family.free_bits={free_bits:g} needs the KL term by itself, and family.draws={draws} "
                f"trains one bound of all: set one of the two back",
                code="contradicting-options",
            )
        if prior == "vamp" and posterior == "flow":
            raise RecipeError(
                "family.prior=vamp is a mixture of posteriors whose density must be known everywhere, and "
                "that of family.posterior=flow is known at its own draws alone: choose one of the two",
                code="contradicting-options",
            )
        if prior is None:
            one = bool(space.grid) and not factor  # a vector for a whole grid
            prior = "vamp" if one and space.kind == "real" and posterior == "normal" else "normal"
        self.latent, self.beta, self.kl_warmup, self.free_bits = latent, beta, kl_warmup, free_bits
        self.draws = draws
        grid = coarser(space.grid, factor) if factor else ()
        self.latents = Latents(latent, grid, levels, flow_steps if posterior == "flow" else 0, nets)
        wide, channels = self.latents.features, self.latents.channels
        self.encoder_conditioner = Conditioner(self.cond, space.grid, nets, "encode")
        self.decoder_conditioner = Conditioner(self.cond, space.grid, nets, "decode")
        reads, says = self.encoder_conditioner.shape, self.decoder_conditioner.shape
        self.encoder = nets.encode(space.grid, grid, space.width, wide, reads)
        self.decoder = nets.decode(grid, space.grid, channels, space.width, says)
        self.learned_scale = LearnedScale(space, learn=decoder_variance)
        self.perceptual = PerceptualLoss(space, perceptual, perceptual_features)
        self.pseudo: nn.Parameter | None = None
        self.prior_conditioner: Conditioner | None = None
        parts = components or _affordable(space)
        if prior == "vamp":
            self.pseudo = nn.Parameter(torch.randn(parts, space.width, *space.grid))
        if prior == "vamp" and cond:  # else the code would carry the condition, and the prior ignore it
            self.prior_conditioner = Conditioner(self.cond, (), nets, "decode", slots=frozenset())
            self.shares = nn.Linear(self.prior_conditioner.shape.vector, parts)
        self.register_buffer("free", self.latents.parts(prior == "vamp"), persistent=False)
        self.latent_dim = channels * math.prod(grid)
        self.gaussian_prior = prior == "normal" and levels == 1
        if not cond:  # the condition would be missing from the code
            self.code = Space(grid, (Real(channels),))

    free: Tensor
    """Dimensions that each part of the KL stands for."""

    # -- the bound -----------------------------------------------------------------------------

    def _features(self, batch: Batch, drop_mask: Mapping[str, Tensor] | None = None) -> Tensor:
        """The encoder's answer for each example: the parameters of q(z|x), or what they are made of."""
        cond = self.encoder_conditioner(batch.cond, len(batch), batch.x, drop_mask)
        return self.encoder(self.space.embed(batch.x), cond).float()

    def _mixture(
        self,
        cond: Mapping[str, Tensor],
        n: int,
        like: Tensor,
        drop_mask: Mapping[str, Tensor] | None = None,
    ) -> Mixture | None:
        """The prior of `n` examples, where it is one."""
        if self.pseudo is None:
            return None
        uncond = self.encoder_conditioner({}, len(self.pseudo), self.pseudo)
        parts = self.encoder(softened(self.space, self.pseudo), uncond).float()
        shares = parts.new_zeros(1, len(parts))
        if self.prior_conditioner is not None:
            shares = self.shares(self.prior_conditioner(cond, n, like, drop_mask).vector).float()
        return Mixture(self.latents.components(parts), shares.log_softmax(1))

    def _terms(self, batch: Batch, draws: int = 1) -> tuple[Tensor, Draw, Tensor]:
        """Reconstruction `(draws * B,)` in nats, the codes, one draw of all examples after the other, and what the
        decoder makes of them."""
        drop_mask = self.decoder_conditioner.draw_drop_mask(len(batch), batch.x)
        features = self._features(batch, drop_mask)
        cond = self.decoder_conditioner(batch.cond, len(batch), batch.x, drop_mask)
        mixture = self._mixture(batch.cond, len(batch), batch.x, drop_mask)
        x, mask = batch.x, batch.mask
        if draws > 1:
            features, x = _repeat(features, draws), _repeat(x, draws)
            cond = cond.map(lambda t: _repeat(t, draws))
            mask = None if mask is None else _repeat(mask, draws)
            if mixture is not None and len(mixture.shares) > 1:
                mixture.shares = _repeat(mixture.shares, draws)
        drawn = self.latents.draw(features, mixture)
        out = self.decoder(drawn.z, cond)
        return self.learned_scale.nll(out, x, mask), drawn, out

    # -- training ------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        """The pseudo-inputs start as examples, a flow as the identity."""
        if self.pseudo is not None:
            some = torch.arange(len(self.pseudo), device=batch.x.device) % len(batch)
            self.pseudo.copy_(hardened(self.space, batch.x[some]))
        self.latents.begin(self._features(batch))
        if self.decoder_conditioner.shape.grid and self.space.kind == "real":
            cond = self.decoder_conditioner(batch.cond, len(batch), batch.x)
            self.decoder.begin(cond, self.space.embed(batch.x))

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        rec, drawn, out = self._terms(batch, self.draws)
        warm = min(1.0, self.clock.progress / self.kl_warmup) if self.kl_warmup else 1.0
        kl = drawn.kl.mean(0)
        nats = kl.detach()
        self.diagnostic_values |= {"kl": nats.sum(), "active": (nats > ACTIVE).sum()}
        if self.draws > 1:
            weights = (self.beta * warm * drawn.log_ratio - rec).view(self.draws, -1)
            return {"bound": math.log(self.draws) - weights.logsumexp(0).mean()} | self._perceived(
                out, batch
            )
        # An estimate may be below 0 by chance: it counts as it is where nothing is free.
        if self.free_bits:
            kl = torch.maximum(kl, self.free_bits * self.free)
        terms = {"reconstruction": rec.mean(), "kl": self.beta * warm * kl.sum()}
        return terms | self._perceived(out, batch)

    def _perceived(self, out: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The perceptual loss, in the place of nats: for each number of an example."""
        if not self.perceptual:
            return {}
        n = len(out) // len(batch)
        x, mask = _repeat(self.space.embed(batch.x), n), batch.mask
        far = self.perceptual(out, x, None if mask is None else _repeat(mask, n))
        return {"perceptual": self.space.width * self.space.positions * far.mean()}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The negative of the bound that is trained, in nats, whatever the weights in training."""
        rec, drawn, _ = self._terms(batch, self.draws)
        if self.draws == 1:
            return summed(rec + drawn.kl.sum(1))
        weights = (drawn.log_ratio - rec).view(self.draws, -1)
        return summed(math.log(self.draws) - weights.logsumexp(0))

    def log_prob(self, batch: Batch) -> Tensor:
        """log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x) for K draws of the posterior: a lower bound, the tighter
        the more draws (IWAE, eq. 8)."""
        features = self._features(batch)
        mixture = self._mixture(batch.cond, len(batch), batch.x)
        cond = self.decoder_conditioner(batch.cond, len(batch), batch.x)
        weights = []
        for _ in range(DRAWS):
            drawn = self.latents.draw(features, mixture)
            out = self.decoder(drawn.z, cond)
            weights.append(drawn.log_ratio - self.learned_scale.nll(out, batch.x, batch.mask))
        return torch.stack(weights).logsumexp(0) - math.log(DRAWS)

    # -- codes and samples ---------------------------------------------------------------------

    def encode(self, batch: Batch) -> Tensor:
        return self.latents.draw(self._features(batch), None, mean=True).z.flatten(1)

    def decode(self, codes: Tensor, cond: Mapping[str, Tensor]) -> Tensor:
        z = codes.view(len(codes), -1, *self.latents.grid)
        return self.space.draw(self.decoder(z, self.decoder_conditioner(cond, len(codes), codes)))

    def sample_prior(self, n: int, cond: dict[str, Tensor], rng: torch.Generator) -> Tensor:
        return self._prior(n, cond, rng).flatten(1)

    def _prior(
        self, n: int, cond: dict[str, Tensor], rng: torch.Generator, temperature: float = 1.0
    ) -> Tensor:
        """Codes of `n` examples `(n, C, *grid)`, drawn from the prior."""
        mixture = self._mixture(cond, n, next(self.parameters()))
        return self.latents.sample(n, mixture, rng, temperature)

    def to_latent(self, batch: Batch) -> Tensor:
        """The mean of the posterior."""
        return self.latents.draw(self._features(batch), None, mean=True).z

    def from_latent(self, code: Tensor, rng: torch.Generator) -> Tensor:
        out = self.decoder(code, self.decoder_conditioner({}, len(code), code))
        return self.learned_scale.draw(out, 1.0, rng)

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
        guidance_scale: float = 1.0,
        noise: bool | None = None,
    ) -> Tensor:
        """temperature: scale of the latent and of the draws.  guidance_scale: above 1 exaggerates
        the condition.  noise: add the decoder's noise to real channels (None: where they are
        unbounded; in a picture that noise is misfit rather than content)."""
        z = self._prior(n, given, rng, temperature)
        cond, uncond = guided_conds(self.decoder_conditioner, given, n, z, guidance_scale)
        out = guided(lambda c: self.decoder(z, c), cond, uncond, guidance_scale)
        return self.learned_scale.draw(out, temperature, rng, noise)


def _affordable(space: Space) -> int:
    """Pseudo-inputs, which are encoded in each step beside the batch."""
    return max(10, min(100, PSEUDO // (space.width * space.positions)))


def _repeat(t: Tensor, times: int) -> Tensor:
    return t.repeat(times, *[1] * (t.ndim - 1))
