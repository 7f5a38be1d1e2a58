"""Style transfer: what is seen in one example, painted as those of another domain are.

With features phi_l (`nets.perceptual`) and the Gram matrix G_l = phi_l phi_l^T / positions (Gatys et al.
2016, arXiv:1508.06576, eq. 3 to 7), for an example y made of x for the style s:

    content    |phi_c(y) - phi_c(x)|^2 / the variance of phi_c
    style      mean over l of |G_l(y) - G_l(s)|^2 / |G_l(s)|^2, G_l(s) the mean over the domain's examples
    variation  |differences of neighbours of y|

A network learns to make y in one go (Johnson et al. 2016, arXiv:1603.08155), conditioned on the style as in
Dumoulin et al. 2017 (arXiv:1610.07629); or, with `method=optimise`, y itself is changed step by step (Gatys
et al.). Both begin at x: an answer is added to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

from genwright.batch import Batch, Cond, by_channel
from genwright.errors import RecipeError
from genwright.families.base import Phase
from genwright.families.translator import Translator
from genwright.nets.perceptual import perceptual
from genwright.nets.roles import CondShape, Nets
from genwright.options import Count, Natural, NonNegative, Positive
from genwright.space import CondSpec, Space

__all__ = ["Style"]


class Style(Translator):
    """A network that paints examples in the style of another domain."""

    accepts = frozenset({"real"})
    bridges = ()  # Gram matrices of one-hot symbols say too little: a text kept half of its own distribution
    least_axes = 1
    domain_options = frozenset({"content"})
    batch_size = 16
    phases: tuple[Phase, ...] = (Phase("fit", ("network", "conditioner"), lr=1e-3),)

    def __init__(
        self,
        space: Space,
        cond: Mapping[str, CondSpec | Space],
        nets: Nets,
        *,
        content: Natural | None = None,
        features: Literal["random", "imagenet"] = "random",
        content_weight: NonNegative = 1.0,
        style_weight: NonNegative = 10.0,
        variation_weight: NonNegative = 0.1,
    ) -> None:
        """content: the domain whose examples are painted in the style of the others, by name, or by number in
        the order of their names (None: the one with more than twice as many different examples as any other;
        where none has, every domain in the style of every other).  features: what likeness is taken in;
        imagenet needs the extra `features`.  content_weight: of what is seen.  style_weight: of how it is
        painted.  variation_weight: of what differs between neighbours."""
        super().__init__(space, cond, nets)
        if content is not None and content >= self.domains:
            raise RecipeError(
                f"family.content={content} is no domain: they are numbered from 0 to {self.domains - 1}",
                code="unknown-domain",
            )
        self.weights = (content_weight, style_weight, variation_weight)
        self.fixed = content is not None
        self.conditioner = nn.Embedding(self.domains, nets.dim)
        self.network = nets.map(space.grid, space.width, space.width, CondShape(vector=nets.dim))
        self.features = perceptual(features, space)
        with torch.no_grad():
            widths = [len(phi[0]) for phi in self.features(torch.zeros(1, space.width, *space.grid))]
        self.levels, self.seen_at = len(widths), max(0, len(widths) - 2)
        for level, width in enumerate(widths):
            self.register_buffer(f"gram{level}", torch.zeros(self.domains, width, width))
        self.register_buffer("variance", torch.ones(()))
        self.register_buffer("content", torch.tensor(-1 if content is None else content))
        self.register_buffer("bounded", space.real_mask(bounded=True), persistent=False)

    variance: Tensor
    content: Tensor
    bounded: Tensor

    @property
    def origins(self) -> list[int]:
        content = int(self.content)
        return list(range(self.domains)) if content < 0 else [content]

    @property
    def targets(self) -> list[int]:
        content = int(self.content)
        return [domain for domain in range(self.domains) if domain != content]

    # -- training ------------------------------------------------------------------------------

    @torch.no_grad()
    def prepare(self, batch: Batch) -> None:
        """Which domain is painted, how the others are, and how much features vary."""
        parts = self._by_domain(batch)
        if not self.fixed:
            counts = torch.tensor([len(torch.unique(part, dim=0)) for part in parts])
            most, second = counts.sort(descending=True).values[:2].tolist()
            self.content.fill_(int(counts.argmax()) if most > 2 * second else -1)
        for domain, part in enumerate(parts):
            for level in range(self.levels):
                self.get_buffer(f"gram{level}")[domain] = 0
            for some in torch.split(part, 32):
                for level, phi in enumerate(self._look(self.space.embed(some))):
                    share = len(some) / len(part)
                    self.get_buffer(f"gram{level}")[domain] += share * gram(phi).mean(0)
        seen = torch.cat([parts[domain][:32] for domain in self.origins])
        phi = self._look(self.space.embed(seen))[self.seen_at]
        self.variance.fill_(phi.var(0).mean().clamp_min(1e-6) if len(phi) > 1 else 1.0)

    def loss(self, batch: Batch, phase: str) -> dict[str, Tensor]:
        self.refuse_mask(batch)
        x, target = self._painted(batch)
        if not len(x):
            raise RecipeError(
                f"a batch of {len(batch)} examples holds none of the domain to paint: choose a larger "
                f"train.batch_size",
                code="batch-too-small",
            )
        source = self.space.embed(x)
        terms = self._terms(self._begun(source, self.answer(source, target)), source, target)
        return {name: term.mean() for name, term in terms.items()}

    def heldout(self, batch: Batch) -> tuple[Tensor, Tensor]:
        x, target = self._painted(batch)
        if not len(x):
            return self.variance.new_zeros(()), self.variance.new_zeros(())
        source = self.space.embed(x)
        terms = self._terms(self._begun(source, self.answer(source, target)), source, target)
        return torch.stack(list(terms.values())).sum(), self.variance.new_tensor(float(len(x)))

    def _painted(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The examples of a batch that are painted, and in the style of which other domain each is."""
        domain = batch.cond["domain"].flatten()
        fit = torch.isin(domain, torch.tensor(self.origins, device=domain.device))
        own, targets = domain[fit], torch.tensor(self.targets, device=domain.device)
        allowed = (own[:, None] != targets).float()
        return batch.x[fit], targets[torch.multinomial(allowed, 1).flatten()] if len(own) else own

    def _terms(self, y: Tensor, x: Tensor, target: Tensor) -> dict[str, Tensor]:
        """The weighted parts of the loss `(B,)` for embedded examples."""
        painted = self._look(y)
        with torch.no_grad():
            seen = self._look(x)[self.seen_at]
        content = (painted[self.seen_at] - seen).square().flatten(1).mean(1) / self.variance
        style = torch.zeros_like(content)
        for level, phi in enumerate(painted):
            wanted = self.get_buffer(f"gram{level}")[target]
            off = (gram(phi) - wanted).square().sum((1, 2))
            style = style + off / wanted.square().sum((1, 2)).clamp_min(1e-12) / self.levels
        variation = torch.zeros_like(content)
        for axis, size in enumerate(y.shape[2:], 2):
            if size > 1:
                variation = variation + y.diff(dim=axis).abs().flatten(1).mean(1)
        weighted = zip(self.weights, (content, style, variation), strict=True)
        names = ("content", "style", "variation")
        return {name: weight * term for name, (weight, term) in zip(names, weighted, strict=True)}

    def _look(self, x: Tensor) -> list[Tensor]:
        """Features in fp32: a Gram matrix adds up the rounding of all positions."""
        with torch.autocast(x.device.type, enabled=False):
            found: list[Tensor] = self.features(x.float())
        return found

    # -- sampling ------------------------------------------------------------------------------

    def answer(self, source: Tensor, domain: Tensor) -> Tensor:
        return self.network(source, Cond(self.conditioner(domain)))

    def _begun(self, source: Tensor, change: Tensor) -> Tensor:
        """An embedded source changed by an answer of the network; what is bounded, within its bounds."""
        bounded = by_channel(self.bounded, source)
        free = torch.where(bounded, source.clamp(-0.98, 0.98).atanh(), source)
        return self.space.squash(free + change.float())

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        method: Literal["network", "optimise"] = "network",
        steps: Count = 200,
        rate: Positive = 0.05,
    ) -> Tensor:
        """method: one pass of the network, or `steps` of Adam on the example itself, at `rate`."""
        stored, domain = self._asked(given)
        source = self.space.embed(stored)
        if method == "network":
            return self.space.draw(self._begun(source, self.answer(source, domain)))
        with torch.enable_grad():
            change = torch.zeros_like(source, requires_grad=True)
            optimiser = torch.optim.Adam([change], lr=rate)
            for _ in range(steps):
                terms = self._terms(self._begun(source, change), source, domain)
                (change.grad,) = torch.autograd.grad(torch.stack(list(terms.values())).sum(), change)
                optimiser.step()
        return self.space.draw(self._begun(source, change.detach()))


def gram(phi: Tensor) -> Tensor:
    """`(B, C, *grid)` to the products of all pairs of channels, on average over the grid `(B, C, C)`."""
    flat = phi.flatten(2)
    return flat @ flat.transpose(1, 2) / flat.shape[2]
