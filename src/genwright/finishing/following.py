"""What a further run makes of made examples: a super-resolver of the pictures of a generator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from genwright.applying import Application
from genwright.data.codec import Rejected
from genwright.errors import Incompatible, Unsupported
from genwright.model import Model, Samples

__all__ = ["Following"]


class Following:
    """A model that is applied to what another one makes. Labels of the same name go along; what it is given besides is
    drawn, as in `sample`.

    first   makes examples
    second  makes something of them
    options of its sampler
    Raises `Unsupported` where it makes nothing of examples or needs more than there is, `Incompatible` where its
    examples are of another kind or shape.
    """

    def __init__(
        self, first: Model, second: Model, seed: int, options: Mapping[str, Any] | None = None
    ) -> None:
        self.second = second
        self.application = Application(second, seed=seed, options=dict(options or {}))
        self._check_kind(first)
        spec, name = second.pipeline.spec, self.application.name
        for other, ask in spec.asks.items():
            if other != name and ask.missing == "refuse" and other not in first.pipeline.scalars:
                raise Unsupported(
                    f"--then {second.run.path} needs {other!r} too, which {first.run.path} does not have: choose a "
                    f"run that makes {spec.make!r} from {name!r} alone",
                    code="then-needs-more",
                )

    def _check_kind(self, first: Model) -> None:
        """Raise `Incompatible` where the one makes something else than the other is applied to."""
        made, taken, ask = first.pipeline.made, self.application.field, self.application.ask
        if made.kind != taken.kind:
            raise Incompatible(
                f"--then {self.second.run.path} is applied to the kind {taken.kind!r}, and {first.run.path} makes "
                f"{made.kind!r}: choose a run of the same kind of data",
                code="then-other-kind",
            )
        if ask.partial and made.kind != "row":
            raise Unsupported(
                f"--then {self.second.run.path} fills gaps, and what {first.run.path} makes has none: choose a run "
                f"that makes something of whole examples",
                code="then-fills-gaps",
            )
        lacks = sorted({*taken.parts} - {*made.parts})
        if made.kind == "row" and lacks and not ask.partial:
            raise Incompatible(
                f"--then {self.second.run.path} was trained on rows with {', '.join(map(repr, lacks))}, which "
                f"{first.run.path} does not make: choose a run of the same table",
                code="then-other-shape",
            )
        sized = made.space.kind == "real" and bool(made.space.grid)
        if not sized or self.second.pipeline.spec.local or made.space == ask.space:
            return
        raise Incompatible(
            f"--then {self.second.run.path} makes something of {ask.space}, and {first.run.path} makes "
            f"{made.space}: train one of the two at the size of the other",
            code="then-other-shape",
        )

    def of(self, samples: Samples, place: int) -> Iterator[Samples]:
        """What is made of some examples.

        place  of the first among all, which the seed goes by
        """
        scalars = self.second.pipeline.scalars
        labels = {
            name: values
            for name, values in samples.values.items()
            if name in scalars and name != samples.make and all(scalars[name].usable(values))
        }
        left = list[str]()
        for made in self.application.of_made(samples.values[samples.make], labels, place):
            if isinstance(made, Rejected):
                left.append(f"left out: example {made.name}: {made.reason}")
                continue
            source = samples.provenance
            provenance = made.provenance and replace(made.provenance, source=source)
            notes = [*samples.notes, *made.notes, *left]
            yield replace(made, names=[], provenance=provenance, notes=notes)
