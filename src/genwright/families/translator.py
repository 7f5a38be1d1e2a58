"""What families have in common that translate between domains without pairs.

Each training example comes with its own domain alone. A sample is made of a source, an example of any
domain, and the domain to bring it to.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from genwright.batch import Batch
from genwright.errors import Incompatible, RecipeError, Unsupported
from genwright.families.adversary import Adversary
from genwright.families.capabilities import Generative
from genwright.nets.roles import Nets
from genwright.options import NonNegative
from genwright.space import CondSpec, Space, Symbol, cond_specs

__all__ = ["Rival", "Translator", "reconstruction_loss"]


class Translator(Generative):
    """A family that brings a source to a domain.

    domains  how many there are
    """

    domain_options: ClassVar[frozenset[str]] = frozenset()
    """Options that are the number of a domain; a person may name it instead."""

    def __init__(self, space: Space, cond: Mapping[str, CondSpec | Space], nets: Nets) -> None:
        """Raises `Incompatible` unless a source and the domain to bring it to are what is given."""
        specs = cond_specs(cond)
        if "source" in specs:  # each place is made of the source's
            specs["source"] = replace(specs["source"], drop=0.0, align=True)
        super().__init__(space, specs, nets)
        domain = specs["domain"].space.spans[0] if "domain" in specs else None
        if set(cond) != {"source", "domain"} or not isinstance(domain, Symbol):
            raise Incompatible(
                f"{self.name} learns to translate between domains, so it is given a source and a domain, not "
                f"{', '.join(cond) or 'nothing'}: leave task.name at auto, or choose another family",
                code="wrong-conditions",
            )
        self.domains = domain.k

    @property
    def lanes(self) -> int:
        """1: what is made of a source is worked out place by place, where another row gives other last digits."""
        return 1

    @property
    def targets(self) -> list[int]:
        """The domains that it can bring a source to."""
        return list(range(self.domains))

    @property
    def origins(self) -> list[int]:
        """The domains that a source is meant to be of."""
        return list(range(self.domains))

    def check_given(self, given: Mapping[str, Tensor]) -> None:
        for name, what in (("source", "the examples to translate"), ("domain", "a domain for each")):
            if name not in given:
                raise Unsupported(
                    f"{self.name} makes nothing out of nothing: give {what} as {name!r}",
                    code="condition-missing",
                )

    def _asked(self, cond: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Stored sources, and the domains `(B,)` to bring them to."""
        domain = cond["domain"].flatten()
        if wrong := sorted(set(domain.tolist()) - set(self.targets)):
            raise Unsupported(
                f"this {self.name} does not translate to domain number {wrong[0]}; it does to "
                f"{', '.join(map(str, self.targets))}",
                code="unknown-domain",
            )
        return cond["source"], domain

    def _by_domain(self, batch: Batch) -> list[Tensor]:
        """The stored examples of each domain; of every one as many. Raises `RecipeError` if one has none."""
        domain = batch.cond["domain"].flatten()
        parts = [batch.x[domain == number] for number in range(self.domains)]
        least = min(map(len, parts))
        if not least:
            raise RecipeError(
                f"a batch of {len(batch)} examples lacks one of the {self.domains} domains: choose a larger "
                f"train.batch_size",
                code="batch-too-small",
            )
        return [part[:least] for part in parts]


class Rival(Translator):
    """One that is trained against critics: its answer is drawn as that of a generator."""

    adversarial = True
    adversary: Adversary

    @abstractmethod
    def answer(self, source: Tensor, domain: Tensor) -> Tensor:
        """The network's answer for embedded sources `(B, width, *grid)` brought to domains `(B,)`."""

    def fake(self, out: Tensor) -> Tensor:
        """An answer in the embedded form, within bounds and differentiable."""
        return self.space.squash(self.adversary.relax(out))

    def _sample(
        self,
        n: int,
        given: dict[str, Tensor],
        rng: torch.Generator,
        *,
        temperature: NonNegative = 1.0,
    ) -> Tensor:
        """temperature: of the draw of symbols; numbers follow from the source alone."""
        source, domain = self._asked(given)
        out = self.answer(self.space.embed(source), domain)
        return self.space.draw(self.space.squash(out), temperature, rng)


def reconstruction_loss(space: Space, out: Tensor, x: Tensor) -> Tensor:
    """How far a network's answer is from stored examples, a scalar: the absolute difference of numbers and
    the cross entropy of symbols, on average over what an example holds."""
    total, out = torch.zeros((), device=out.device), space.squash(out).float()
    for slot in space.slots():
        part, truth = out[:, slot.width], x[:, slot.stored]
        if isinstance(slot.span, Symbol):
            total = total + F.cross_entropy(part, truth.squeeze(1).long())
        else:
            total = total + slot.span.n * (part - truth.float()).abs().mean()
    return total / space.stored
