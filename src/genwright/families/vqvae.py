"""Vector-quantised autoencoder (van den Oord et al. 2017, arXiv:1711.00937).

An encoder turns an example into vectors on a coarser grid, each is rounded to the nearest of a codebook, and
a decoder makes the example again from the rounded ones:

    -log p(x | code) + commitment * sum |h - sg(code)|^2                          (equation 3)

The gradient passes the rounding as if it were not there. The codebook follows by moving averages, and codes
that die are put back into use (`codebook.py`). Conditions are read by the prior alone: a small
autoregressive model over the codes, trained beside the autoencoder in a phase of its own, is the prior. So
the codes of an example hang on nothing but the example, and another model can be trained on them in the
prior's place, through the bridge `vq`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Annotated, Literal

import torch
from annotated_types import Ge, Lt
from torch import Tensor

from genwright.batch import Batch, Cond
from genwright.errors import Incompatible
from genwright.families.autoregressive import Autoregressive
from genwright.families.base import Diagnostic, Phase, summed
from genwright.families.capabilities import Autoencoder, DensityEstimator, Generative
from genwright.families.codebook import Codebook
from genwright.families.drafts import drafts_through
from genwright.families.learned_scale import LearnedScale
from genwright.families.perceptual_loss import FeatureKind, PerceptualLoss
from genwright.nets.roles import CondShape, Nets, coarser
from genwright.options import Count, NonNegative, Portion
from genwright.space import CondSpec, Space, Symbol

__all__ = ["VQVAE"]

SETTLED = 0.75
"""Share of the training after which codes are left alone, so that the prior learns a language that stays."""


class VQVAE(Generative, DensityEstimator, Autoencoder):
    """Encoder, codebook, decoder, and a prior over the codes."""

    accepts = frozenset({"real", "symbol", "mixed"})
    likelihood = "bound"
    large_products = True
    phases = (
        Phase("fit", trains=("encoder", "decoder", "learned_scale"), lr=1e-3, fan_in=2304),
        # Faster than alone, since it runs after codes that change their meaning.
        replace(Autoregressive.phases[0], name="prior", trains=("prior",), lr=1.2e-2, muon_lr=0.05),
    )
    diagnostics = (
        Diagnostic(
            "codes_used",
            "dead codebook",
            "only {value:.0%} of the codes stand for anything",
            "--set family.repair=true, or fewer codes (--set family.codes=64)",
            below=0.1,
            steps=20,
            after=0.1,
            recoverable=False,
        ),
        Diagnostic(
            "variety",
            "dead codebook",
            "a batch takes {value:.2g} codes, and took about {median:.3g} before",
            "--set family.repair=true, or a larger family.commitment",
            below=0.1,
            relative=True,
            min_median=4.0,
            steps=3,
        ),
    )
    shared = MappingProxyType({f"codebook.{name}": how for name, how in Codebook.shared.items()})

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        codes: Annotated[int, Ge(2)] = 256,
        dim: Count = 16,
        factor: Literal[1, 2, 4, 8, 16] | None = None,
        slots: Count | None = None,
        commitment: NonNegative = 0.25,
        decay: Annotated[float, Ge(0), Lt(1)] = 0.99,
        repair: bool = True,
        decoder_variance: bool = True,
        perceptual: NonNegative = 0.0,
        perceptual_features: FeatureKind = "auto",
    ) -> None:
        """codes: vectors in the codebook.  dim: numbers in each.  factor: how much coarser the grid of the
        codes is (None: 4 where the grid is 16 or longer, else 2).  slots: codes at each place of that grid
        (None: 1, and 4 for a row).  commitment: weight of the pull of an encoding to its code.  decay: of the
        moving averages that the codes are.  repair: put dead codes back into use.  decoder_variance: learn
        the scale of real channels (else it is 1).  perceptual: weight of a loss in features beside the one number
        by number, on a grid of numbers.  perceptual_features: what it is taken in (auto: imagenet for pictures
        where the extra `features` is installed, else random)."""
        super().__init__(space, cond, nets)
        factor = factor or (4 if max(space.grid, default=0) >= 16 else 2)
        self.slots = slots or (1 if space.grid else 4)
        self.code: Space = Space(coarser(space.grid, factor), (Symbol(codes),) * self.slots)
        length = self.code.positions * self.slots
        most = Autoregressive.max_positions
        if length > most:
            raise Incompatible(
                f"{space} takes {length:,} codes, and the prior over them reads at most {most:,}: make them "
                f"fewer with --set family.factor={2 * factor}",
                code="too-many-codes",
            )
        self.dim, self.commitment, self.mends = dim, commitment, repair
        wide = self.slots * dim
        self.encoder = nets.encode(space.grid, self.code.grid, space.width, wide, CondShape())
        self.decoder = nets.decode(self.code.grid, space.grid, wide, space.width, CondShape())
        self.codebook = Codebook(codes, dim, decay)
        self.prior = Autoregressive(self.code, self.cond, nets)
        self.learned_scale = LearnedScale(space, learn=decoder_variance)
        self.perceptual = PerceptualLoss(space, perceptual, perceptual_features)
        self._mended = -1

    # -- codes and back ------------------------------------------------------------------------

    def _encodings(self, x: Tensor) -> Tensor:
        """`(B, P, slots, dim)`."""
        h = self.encoder(self.space.embed(x), Cond.none(x)).float()
        return h.view(len(x), self.slots, self.dim, -1).permute(0, 3, 1, 2)

    def _channels(self, h: Tensor) -> Tensor:
        """The inverse layout: what the decoder reads `(B, slots * dim, *coarse)`."""
        return h.permute(0, 2, 3, 1).reshape(len(h), self.slots * self.dim, *self.code.grid)

    def _stored(self, index: Tensor) -> Tensor:
        """`(B, P, slots)` to stored codes `(B, slots, *coarse)`."""
        return index.transpose(1, 2).reshape(len(index), self.slots, *self.code.grid)

    def _decode(self, code: Tensor) -> Tensor:
        """From stored codes the decoder's answer `(B, width, *grid)`."""
        index = code.reshape(len(code), self.slots, -1).transpose(1, 2)
        return self.decoder(self._channels(self.codebook.vectors()[index]), Cond.none(code))

    def to_latent(self, batch: Batch) -> Tensor:
        h = self._encodings(batch.x)
        return self._stored(self.codebook.nearest(h.reshape(-1, self.dim)).view(h.shape[:3]))

    def from_latent(self, code: Tensor, rng: torch.Generator) -> Tensor:
        return self.learned_scale.draw(self._decode(code), 1.0, rng)

    def encode(self, batch: Batch) -> Tensor:
        """The vectors of an example's codes, one after the other."""
        index = self.to_latent(batch).reshape(len(batch), self.slots, -1).transpose(1, 2)
        return self.codebook.vectors()[index].flatten(1)

    # -- training ------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        self.codebook.begin(self._encodings(batch.x).reshape(-1, self.dim))

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        self.diagnostic_values |= {
            "codes_used": self.codebook.used(),
            "perplexity": self.codebook.perplexity(),
        }
        if phase == "prior":
            with torch.no_grad():
                code = self.to_latent(batch)
            return {"prior": self.prior.loss(Batch(code, batch.cond), "fit")["nll"]}
        if self.training and self.mends and self._mended != self.clock.step:
            # Once a step: within one the devices know of their own examples only.
            self._mended = self.clock.step
            if self.clock.progress < SETTLED:
                self.codebook.repair()
        h = self._encodings(batch.x)
        flat = h.reshape(-1, self.dim)
        index = self.codebook.nearest(flat)
        code = self.codebook.vectors()[index].view_as(h)
        self.diagnostic_values["variety"] = self.codebook.variety(index)
        if self.training:
            self.codebook.follow(flat.detach(), index, self.clock.step)
        # The codes going forward, the encodings going back.
        out = self.decoder(self._channels(h + (code - h).detach()), Cond.none(batch.x))
        rec = self.learned_scale.nll(out, batch.x, batch.mask).mean()
        away = (h - code).square().flatten(1).sum(1).mean()
        terms = {"reconstruction": rec, "commitment": self.commitment * away}
        if self.perceptual:
            far = self.perceptual(out, self.space.embed(batch.x), batch.mask).mean()
            terms["perceptual"] = self.space.width * self.space.positions * far
        return terms

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The negative of `log_prob`, in nats."""
        return summed(-self.log_prob(batch))

    def log_prob(self, batch: Batch) -> Tensor:
        """log p(code) + log p(x | code) at the example's own code: one term of the sum over all codes that
        p(x) is, so a lower bound."""
        code = self.to_latent(batch)
        rec = self.learned_scale.nll(self._decode(code), batch.x, batch.mask)
        return self.prior.log_prob(Batch(code, batch.cond)) - rec

    # -- sampling ------------------------------------------------------------------------------

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
        top_k: Count | None = None,
        top_p: Portion | None = None,
        guidance_scale: float = 1.0,
        noise: bool | None = None,
    ) -> Tensor:
        """temperature: of the prior's softmax and of the draws.  top_k: only the k likeliest codes.
        top_p: only the likeliest codes that together hold this probability.  guidance_scale: above 1
        exaggerates the condition.  noise: add the decoder's noise to real channels (None: where they
        are unbounded; in a picture that noise is misfit rather than content)."""
        self.prior.half_precision = self.half_precision

        def likeliest(code: Tensor) -> Tensor:
            rng = torch.Generator(self.device)  # of its own: a draft takes no number from the sample
            return self.learned_scale.draw(self._decode(code), 0.0, rng, False)

        with drafts_through(likeliest):
            code = self.prior._sample(
                n,
                given,
                rng,
                temperature=temperature,
                top_k=top_k,
                top_p=top_p,
                guidance_scale=guidance_scale,
            )
        return self.learned_scale.draw(self._decode(code), temperature, rng, noise)
