"""Turn an example of one domain into one of another, learnt without pairs.

A domain is the value of the one label: the folder of a picture, a column of a table. A family is shown
examples and the domain of each, and no example of one domain says what it would be in another. When it is
asked for something, it is given a `source` and the `domain` to bring it to.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch

from genwright.batch import Batch
from genwright.errors import Incompatible
from genwright.space import Space, Symbol
from genwright.tasks.base import Task

__all__ = ["Unpaired"]


class Unpaired(Task):
    """x is the whole example, and the one label its domain; what is given is an example of another one."""

    paired = False

    def spec(self, space: Space, given: Mapping[str, Space]) -> tuple[Space, dict[str, Space]]:
        """Raises `Incompatible` unless one label tells two or more domains apart."""
        if not given:
            raise Incompatible(
                "unpaired translation needs one label that tells the domain of each example, and no label "
                "is given: put the examples of each domain in its own folder, or name a column (--label NAME)"
            )
        if len(given) > 1:
            raise Incompatible(
                f"unpaired translation needs one label that tells the domain of each example, and "
                f"{len(given)} are given ({', '.join(given)}): choose one (--label {next(iter(given))})"
            )
        ((name, domain),) = given.items()
        if domain.grid or len(domain.spans) != 1 or not isinstance(domain.spans[0], Symbol):
            raise Incompatible(
                f"the label {name!r} is measured, and unpaired translation needs one that names the domain "
                f"of each example: choose a label of a few values (--label NAME)"
            )
        if domain.spans[0].k < 2:
            raise Incompatible(
                f"translation is between domains, and all training examples are of one domain by their label "
                f"{name!r}: add examples of another domain; if it is there but has few, "
                f"--set data.val=0 --set data.test=0 holds none of them out"
            )
        return space, {"source": space, "domain": domain}

    def view(self, batch: Batch, rng: torch.Generator) -> Batch:
        """Examples with their own domains, and without any source."""
        (domain,) = batch.cond.values()
        return Batch(batch.x, {"domain": domain}, batch.mask)
