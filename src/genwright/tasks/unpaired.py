"""Turn an example of one domain into one of another, learnt without pairs.

A domain is the value of the one label: the folder of a picture, a column of a table. A family is shown
examples and the domain of each, and no example of one domain says what it would be in another. When it is
asked for something, it is given a `source` and the domain to bring it to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch

from genwright.batch import Batch
from genwright.errors import DataError, Incompatible
from genwright.space import CondSpec, Space, Symbol
from genwright.tasks.base import Ask, Example, Given, Infills, Request, Task, TaskSpec

__all__ = ["Unpaired", "sources_of_others"]


class Unpaired(Task):
    """x is the whole example, and the one label its domain; what is given is an example of another one."""

    paired = False
    contract_exceptions = frozenset({"view-is-what-is-asked"})

    def spec(self, fields: Mapping[str, Space], *, infills: Infills = "no") -> TaskSpec:
        """Raises `Incompatible` unless one label tells two or more domains apart."""
        given = self.others(fields)
        if not given:
            raise Incompatible(
                "unpaired translation needs one label that tells the domain of each example, and no label "
                "is given: put the examples of each domain in its own folder, or name a column (--label NAME)",
                code="no-domains",
            )
        if len(given) > 1:
            raise Incompatible(
                f"unpaired translation needs one label that tells the domain of each example, and "
                f"{len(given)} are given ({', '.join(given)}): choose one (--label {next(iter(given))})",
                code="no-domains",
            )
        ((name, domain),) = given.items()
        if domain.grid or len(domain.spans) != 1 or not isinstance(domain.spans[0], Symbol):
            raise Incompatible(
                f"the label {name!r} is measured, and unpaired translation needs one that names the domain "
                f"of each example: choose a label of a few values (--label NAME)",
                code="no-domains",
            )
        if domain.spans[0].k < 2:
            raise Incompatible(
                f"translation is between domains, and all training examples are of one domain by their label "
                f"{name!r}: add examples of another domain; if it is there but has few, "
                f"--set data.val=0 --set data.test=0 holds none of them out",
                code="no-domains",
            )
        space = fields[self.make]
        return TaskSpec(
            self.make,
            space,
            conds={"source": CondSpec(space, align=True), "domain": CondSpec(domain)},
            asks={
                name: Ask(name, domain, missing="draw"),
                "source": Ask(self.make, space, missing="draw"),
            },
            bridged=frozenset({"source"}),
        )

    def ask(self, example: Example, rng: torch.Generator) -> Given:
        """The example itself, and the domain of another one of the batch."""
        (name,) = self.given
        domain = example[name]
        order = torch.randperm(len(domain), generator=rng, device=rng.device).to(domain.device)
        return {"source": example[self.make], name: domain[order]}

    def request(self, n: int, given: Given, rng: torch.Generator) -> Request:
        (name,) = self.given
        there = {"source": given.get("source"), "domain": given.get(name)}
        return Request({cond: one for cond, one in there.items() if isinstance(one, torch.Tensor)})

    def view(self, example: Example, rng: torch.Generator) -> Batch:
        """Examples with their own domains, and without any source."""
        (name,) = self.given
        return Batch(example[self.make], {"domain": example[name]})


def sources_of_others(
    own: Sequence[np.ndarray], domains: np.ndarray, origins: Sequence[int], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Which example of which split to translate for each of `domains` `(n,)`: one of the `origins` that is of
    another domain. None comes twice before all came once; an earlier split is taken where it has one.

    own   the domain of each example, for each split
    Returns splits and numbers `(n,)` each. Raises `DataError` where there is none.
    """
    rng = np.random.default_rng([seed, 7])
    splits, numbers = np.zeros(len(domains), np.int64), np.zeros(len(domains), np.int64)
    for domain in np.unique(domains).tolist():
        places = np.flatnonzero(domains == domain)
        for split, theirs in enumerate(own):
            fit = np.flatnonzero(np.isin(theirs, origins) & (theirs != domain))
            if len(fit):
                turns = [rng.permutation(fit) for _ in range(-(-len(places) // len(fit)))]
                splits[places], numbers[places] = split, np.concatenate(turns)[: len(places)]
                break
        else:
            raise DataError(
                "the data holds no example of another domain to translate: name files", code="no-sources"
            )
    return splits, numbers
