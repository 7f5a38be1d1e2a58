"""Latent-space editing with a trained model: interpolation, attribute vectors, latent traversals.

The maths stand in `latent_ops.py`; here examples become codes, and codes examples again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genwright.analysis.latent_ops import attribute_vector, interpolate_codes, principal_directions
from genwright.batch import Batch
from genwright.data.codec import AS_READ, Rejected, Rows
from genwright.data.dataset import Split
from genwright.data.field import Array, Field, Values
from genwright.data.loader import evenly
from genwright.errors import DataError, RecipeError, Unsupported, suggest
from genwright.families.capabilities import Encoder, LatentVariable
from genwright.model import Model, Samples
from genwright.options import Count, Natural
from genwright.registry import check

__all__ = ["LatentEditor", "edit_examples"]

MOST = 512
"""Codes that directions are found from; of each side, for an attribute."""
AT_ONCE = 256


def edit_examples(
    model: Model,
    *,
    between: tuple[str, str] | None = None,
    attribute: str | None = None,
    directions: int | None = None,
    on: Sequence[str] = (),
    strength: float = 2.0,
    steps: int = 9,
    seed: int = 0,
) -> Samples:
    """Edit examples in the latent space of a model, by one of `between`, `attribute` and `directions`.

    between     two examples to interpolate between
    attribute   `name=value` of the data's labels or columns: along the attribute vector, more and more of it
    directions  latent traversals along so many principal directions, to both sides
    on          the examples to change (none: the first that is held out)
    strength    how far to go: differences of means for an attribute, standard deviations for a direction
    steps       of each way, its ends among them
    Raises `Unsupported` for a family without latent codes; `DataError`, `RecipeError`.
    """
    check(
        {"steps": steps, "seed": seed, "strength": strength, "directions": directions},
        {"steps": Count, "seed": Natural, "strength": float, "directions": Count | None},
        where="edit",
    )
    asked = [between is not None, attribute is not None, directions is not None]
    if sum(asked) != 1 or (between is not None and on):
        raise RecipeError(
            "an edit is one of --between A B, --attribute NAME=VALUE and --directions N; --on EXAMPLE "
            "belongs to the last two",
            code="contradicting-options",
        )
    editor = LatentEditor(model, seed)
    if between is not None:
        return editor.between(*between, steps)
    examples = editor.examples(on)
    if attribute is not None:
        return editor.attribute(attribute, examples, strength, steps)
    assert directions is not None
    return editor.directions(directions, examples, strength, steps)


@dataclass
class LatentPoint:
    """A latent code `(dim,)` and its conditions, in stored form, under the name that a person gave it."""

    name: str
    code: Tensor
    cond: dict[str, Tensor]


class LatentEditor:
    """Latent-space editor of one model. Raises `Unsupported` for a family without latent codes.

    An example is named by its number in the held-out part of the run's data, by a file of the same kind, or
    by `seed:N`, a code drawn from the prior.
    """

    def __init__(self, model: Model, seed: int = 0) -> None:
        family = model.family
        if not isinstance(family, LatentVariable):
            raise Unsupported(
                f"this {family.name} has no latent codes to edit: vae, gan, flow and diffusion "
                f"have; genwright sample makes new examples",
                code="no-latents",
            )
        self.model, self.family, self.seed = model, family, seed
        self.pipeline, self.dataset = model.pipeline, model.dataset

    # -- the edits -----------------------------------------------------------------------------

    def between(self, one: str, other: str, steps: int) -> Samples:
        """Interpolate between two examples. A condition that both have changes half-way where it is a symbol,
        else with the code."""
        a, b = self.point(one), self.point(other)
        codes, t = interpolate_codes(a.code, b.code, steps, normal=self.family.gaussian_prior)
        cond = {}
        for name in a.cond.keys() & b.cond.keys():
            first, last = a.cond[name], b.cond[name]
            along = t.view(-1, *[1] * first.ndim)
            whole = not first.is_floating_point()
            cond[name] = (
                torch.where(along < 0.5, first, last) if whole else torch.lerp(first, last, along)
            )
        return self._decoded(
            codes, cond, [f"{one} to {other}: {place:.3g}" for place in t.tolist()], steps
        )

    def attribute(self, wanted: str, examples: Sequence[str], strength: float, steps: int) -> Samples:
        """Move examples along the attribute vector of `name=value`, from their own place to `strength` times
        its length."""
        name, equals, value = wanted.partition("=")
        if not equals:
            raise RecipeError(
                f"--attribute wants NAME=VALUE, such as smiling=yes, got {wanted!r}", code="not-a-pair"
            )
        if name in self.pipeline.scalars:
            raise RecipeError(
                f"{name!r} was given in training, so that codes do not tell it: make examples with "
                f'genwright sample --given {wanted}, or train a model without it (--label "")',
                code="attribute-is-condition",
            )
        step = attribute_vector(*self._labelled(name, value))
        points = [self.point(one) for one in examples]
        return self._along(points, [(wanted, step)], torch.linspace(0, strength, steps))

    def directions(self, number: int, examples: Sequence[str], strength: float, steps: int) -> Samples:
        """Latent traversals along the first `number` principal directions, from -`strength` to `strength`."""
        codes, cond = self._many()
        made = torch.cat([self.family.space.embed(x).flatten(1) for x in self._made(codes, cond)])
        found = principal_directions(codes, made, number)
        if not len(found):
            raise Unsupported(
                f"all codes are decoded to the same, so that no direction changes anything: train "
                f"{self.model.run.path} for longer (genwright train --resume)",
                code="constant-decoder",
            )
        if len(found) < number:
            raise RecipeError(
                f"--directions {number}: {self.model.run.path} has no more than {len(found)} directions "
                f"that can be told apart: ask for so many at most",
                code="too-many-directions",
            )
        named = [(f"direction {i}", step) for i, step in enumerate(found, 1)]
        points = [self.point(one) for one in examples]
        return self._along(points, named, torch.linspace(-strength, strength, steps))

    def _along(self, points: list[LatentPoint], ways: list[tuple[str, Tensor]], far: Tensor) -> Samples:
        """Each point along each way, a row for each."""
        codes, names, conds = [], [], []
        far = far.to(self.family.device)
        for word, step in ways:
            for point in points:
                codes.append(point.code + far[:, None] * step)
                names += [f"{point.name}, {word}: {place:+.3g}" for place in far.tolist()]
                conds.append({n: v.expand(len(far), *v.shape) for n, v in point.cond.items()})
        shared = set.intersection(*(set(cond) for cond in conds))
        cond = {n: torch.cat([one[n] for one in conds]) for n in self.pipeline.scalars if n in shared}
        return self._decoded(torch.cat(codes), cond, names, len(far))

    # -- examples and codes --------------------------------------------------------------------

    def examples(self, named: Sequence[str]) -> list[str]:
        """Those that were named; else the first that is held out, or a code where nothing can be encoded."""
        return list(named) or (["0"] if self._encodes else [f"seed:{self.seed}"])

    @property
    def _encodes(self) -> bool:
        return isinstance(self.family, Encoder)

    def point(self, name: str) -> LatentPoint:
        """The example that a person means. Raises `DataError`, `RecipeError` or `Unsupported`."""
        word, colon, number = name.partition(":")
        if word == "seed" and colon:
            return self._drawn(name, _whole(number, name))
        if name.isdecimal() and not Path(name).exists():
            split, at = self.dataset.heldout(), _whole(name, name)
            if at >= len(split):
                raise DataError(
                    f"there is no held-out example {at}: they are numbered from 0 to {len(split) - 1:,}",
                    code="no-such-example",
                )
            batch = self._batch(split, np.array([at]))
        else:
            batch = self._read(Path(name))
        return LatentPoint(name, self._codes(batch)[0], {n: v[0] for n, v in batch.cond.items()})

    def _rng(self) -> torch.Generator:
        return torch.Generator(self.family.device).manual_seed(self.seed)

    def _batch(self, split: Split, numbers: Array) -> Batch:
        """Examples of a split as the family sees them."""
        return self.pipeline.batch(split, numbers, self.family.device, self._rng())

    def _drawn(self, name: str, seed: int) -> LatentPoint:
        """A code drawn from the prior, under the conditions of some held-out example."""
        rng = torch.Generator(self.family.device).manual_seed(seed)
        split = self.dataset.heldout()
        cond = self._batch(split, np.array([seed % len(split)])).cond
        with torch.no_grad():
            code = self.family.sample_prior(1, cond, rng)[0]
        return LatentPoint(name, code, {n: v[0] for n, v in cond.items()})

    def _many(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Codes of held-out examples, or codes drawn where nothing can be encoded, and their conditions."""
        split = self.dataset.heldout()
        numbers = evenly(len(split), MOST)
        parts = [numbers[i : i + AT_ONCE] for i in range(0, len(numbers), AT_ONCE)]
        batches = [self._batch(split, part) for part in parts]
        cond = {n: torch.cat([batch.cond[n] for batch in batches]) for n in self.pipeline.scalars}
        if self._encodes:
            return torch.cat([self._codes(batch) for batch in batches]), cond
        n = sum(map(len, batches))
        rng = torch.Generator(self.family.device).manual_seed(self.seed)
        with torch.no_grad():
            return self.family.sample_prior(n, cond, rng), cond

    def _read(self, path: Path) -> Batch:
        """The first example of a file of the same kind as the run's data."""
        bad: list[Rejected] = []
        for rows in self.pipeline.read([path], self.pipeline.used):
            if len(rows):
                return self._encoded(rows, [0])
            bad += rows.rejected
        reason = f": {bad[0].reason}" if bad else ""
        raise DataError(f"{path} holds no example that can be read{reason}", code="nothing-to-read")

    def _labelled(self, name: str, value: str) -> tuple[Tensor, Tensor]:
        """Codes of examples that have an attribute and of such that lack it, and which have it.

        Raises `DataError` where nothing has it or everything does."""
        dataset = self.dataset
        there = dataset.codec.fields(dataset.source)
        known = [other for other in there if other != dataset.main]
        if name not in known:
            way = suggest(name, known) if known else "the data have no labels"
            raise DataError(
                f"there is no label or column {name!r} in the data; {way}", code="no-such-field"
            )
        fields = {one: self.pipeline.fields[one] for one in self.pipeline.used} | {name: there[name]}
        codes: dict[bool, list[Tensor]] = {True: [], False: []}
        seen: set[str] = set()
        for rows in dataset.codec.read(dataset.source, fields, AS_READ):
            values = [str(one) for one in rows.values[name]]
            seen.update(values[: 10 * MOST])
            for side, found in codes.items():
                index = [i for i, one in enumerate(values) if (one == value) == side]
                index = index[: MOST - sum(map(len, found))]
                if index:
                    found.append(self._codes(self._encoded(rows, index)))
            if all(sum(map(len, found)) >= MOST for found in codes.values()):
                break
        if not codes[True]:
            raise DataError(
                f"no example has {name}={value}; {suggest(value, seen)}", code="no-such-value"
            )
        if not codes[False]:
            raise DataError(
                f"every example has {name}={value}, so that nothing shows the difference",
                code="one-value",
            )
        have, lack = (torch.cat(codes[side]) for side in (True, False))
        has = torch.arange(len(have) + len(lack), device=have.device) < len(have)
        return torch.cat([have, lack]), has

    def _encoded(self, rows: Rows, index: list[int]) -> Batch:
        """Some raw examples as the family sees them."""
        example = {}
        for name in self.pipeline.used:
            if name in rows.values:
                field = self.pipeline.fields[name]
                example[name] = _stored(field, field.take(rows.values[name], index)).to(
                    self.family.device
                )
        return self.pipeline.seen(example, self._rng())

    @torch.no_grad()
    def _codes(self, seen: Batch) -> Tensor:
        if not isinstance(self.family, Encoder):
            raise Unsupported(
                f"{self.family.name} cannot find the code of an example: name codes to draw, "
                f"such as seed:1 and seed:2",
                code="no-encoder",
            )
        return self.family.encode(seen).float()

    # -- back ----------------------------------------------------------------------------------

    @torch.no_grad()
    def _made(self, codes: Tensor, cond: dict[str, Tensor]) -> Iterator[Tensor]:
        for start in range(0, len(codes), AT_ONCE):
            part = slice(start, start + AT_ONCE)
            yield self.family.decode(codes[part], {name: value[part] for name, value in cond.items()})

    def _decoded(self, codes: Tensor, cond: dict[str, Tensor], names: list[str], row: int) -> Samples:
        """Raw examples, with a word for each on what it is."""
        x = torch.cat(list(self._made(codes, cond)))
        rng = torch.Generator(x.device).manual_seed(self.seed)
        asked = self.pipeline.given_as(cond)
        values = self.pipeline.decoded(self.pipeline.finished(x, asked, rng), asked)
        make, codec, fields = self.pipeline.spec.make, self.pipeline.codec, self.pipeline.fields
        samples = Samples(values | {"edit": names}, make, codec, fields, columns=row)
        samples.provenance = self.model.provenance(self.seed)
        samples.memory = self.model.recipe.data.memory
        return samples


def _stored(field: Field, values: Values) -> Tensor:
    """Raw values to stored examples; of a text that is longer than a window, its beginning."""
    if not field.stream:
        return field.tensor(values)
    compact, (length,) = field.encode(values), field.space.grid
    if len(compact) < length:
        raise DataError(
            f"the text has {len(compact)} symbols, and an example has {length}", code="text-too-short"
        )
    return field.expand(compact[:length][None, None])


def _whole(text: str, name: str) -> int:
    if not text.isdecimal():
        raise RecipeError(
            f"{name!r} is no example: wanted its number, a file, or seed:N", code="no-such-example"
        )
    return int(text)
