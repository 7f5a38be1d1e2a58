"""Latent-space editing with a trained model: interpolation, attribute vectors, latent traversals.

The maths stand in `latent_ops.py`; here examples become codes, and codes examples again.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genwright.analysis.latent_ops import attribute_vector, interpolate, principal_directions
from genwright.batch import Batch
from genwright.data.codec import Chunk, ReadOptions, Rejected, Source
from genwright.data.dataset import Dataset, Split
from genwright.data.loader import in_order, taken
from genwright.data.source import find
from genwright.errors import DataError, RecipeError, Unsupported, suggest
from genwright.experiment import open_data
from genwright.families.base import Family
from genwright.model import Model, Samples
from genwright.options import Count, Natural
from genwright.registry import check
from genwright.space import Symbol

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
        self.model, self.family, self.seed = model, model.family, seed
        if not self.family.latent_dim:
            raise Unsupported(
                f"this {self.family.name} has no latent codes to edit: vae, gan, flow and diffusion "
                f"have; genwright sample makes new examples",
                code="no-latents",
            )
        self.source, self.dataset = _opened(model)

    # -- the edits -----------------------------------------------------------------------------

    def between(self, one: str, other: str, steps: int) -> Samples:
        """Interpolate between two examples. A condition that both have changes half-way where it is a symbol,
        else with the code."""
        a, b = self.point(one), self.point(other)
        codes, t = interpolate(a.code, b.code, steps, normal=self.family.gaussian_prior)
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
        if name in self.model.given:
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
        cond = {n: torch.cat([one[n] for one in conds]) for n in self.model.given if n in shared}
        return self._decoded(torch.cat(codes), cond, names, len(far))

    # -- examples and codes --------------------------------------------------------------------

    def examples(self, named: Sequence[str]) -> list[str]:
        """Those that were named; else the first that is held out, or a code where nothing can be encoded."""
        return list(named) or (["0"] if self._encodes else [f"seed:{self.seed}"])

    @property
    def _encodes(self) -> bool:
        return type(self.family).encode is not Family.encode

    def point(self, name: str) -> LatentPoint:
        """The example that a person means. Raises `DataError`, `RecipeError` or `Unsupported`."""
        word, colon, number = name.partition(":")
        if word == "seed" and colon:
            return self._drawn(name, _whole(number, name))
        if name.isdecimal() and not Path(name).exists():
            split, at = self._held(), _whole(name, name)
            if at >= len(split):
                raise DataError(
                    f"there is no held-out example {at}: they are numbered from 0 to {len(split) - 1:,}",
                    code="no-such-example",
                )
            batch = taken(split, np.array([at]))
        else:
            batch = self._read(Path(name))
        return LatentPoint(
            name, self._codes(batch)[0], {n: v[0] for n, v in self._seen(batch).cond.items()}
        )

    def _held(self) -> Split:
        """The test split; where nothing was held out, the training split."""
        splits = self.dataset.splits
        return next((splits[part] for part in ("test", "val") if len(splits[part])), splits["train"])

    def _drawn(self, name: str, seed: int) -> LatentPoint:
        """A code drawn from the prior, under the conditions of some held-out example."""
        rng = torch.Generator(self.family.device).manual_seed(seed)
        split = self._held()
        cond = self._seen(taken(split, np.array([seed % len(split)]))).cond
        with torch.no_grad():
            code = self.family.codes(1, cond, rng)[0]
        return LatentPoint(name, code, {n: v[0] for n, v in cond.items()})

    def _many(self) -> tuple[Tensor, dict[str, Tensor]]:
        """Codes of held-out examples, or codes drawn where nothing can be encoded, and their conditions."""
        batches = [self._seen(batch) for batch in in_order(self._held(), AT_ONCE, MOST)]
        cond = {n: torch.cat([batch.cond[n] for batch in batches]) for n in self.model.given}
        if self._encodes:
            return torch.cat([self._codes_of(batch) for batch in batches]), cond
        n = sum(map(len, batches))
        rng = torch.Generator(self.family.device).manual_seed(self.seed)
        with torch.no_grad():
            return self.family.codes(n, cond, rng), cond

    def _read(self, path: Path) -> Batch:
        """The first example of a file of the same kind as the run's data."""
        codec = self.model.codec
        source = find(path, self.model.recipe.codec.name)
        known = codec.labels(source)
        reading = ReadOptions(tuple(name for name in self.model.given if name in known))
        bad: list[Rejected] = []
        for chunk in codec.read(source, reading):
            if len(chunk):
                return self._batch(chunk, [0])
            bad += chunk.bad
        reason = f": {bad[0].reason}" if bad else ""
        raise DataError(f"{path} holds no example that can be read{reason}", code="nothing-to-read")

    def _labelled(self, name: str, value: str) -> tuple[Tensor, Tensor]:
        """Codes of examples that have an attribute and of such that lack it, and which have it.

        Raises `DataError` where nothing has it or everything does."""
        codec, given = self.model.codec, tuple(self.model.given)
        known = codec.labels(self.source)
        if name not in known:
            way = suggest(name, known) if known else "the data have no labels"
            raise DataError(
                f"there is no label or column {name!r} in the data; {way}", code="no-such-field"
            )
        # What is asked for may be a part of the example, as a column is: so the data are read side by side.
        sides = (codec.read(self.source, ReadOptions(one)) for one in (given, (*given, name)))
        codes: dict[bool, list[Tensor]] = {True: [], False: []}
        seen: set[str] = set()
        for chunk, named in zip(*sides, strict=True):
            values = [str(one) for one in named.given[name]]
            seen.update(values[: 10 * MOST])
            for side, found in codes.items():
                index = [i for i, one in enumerate(values) if (one == value) == side]
                index = index[: MOST - sum(map(len, found))]
                if index:
                    found.append(self._codes(self._batch(chunk, index)))
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

    def _batch(self, chunk: Chunk, index: list[int]) -> Batch:
        """Some of a chunk's raw examples as a loader gives them."""
        codec = self.model.codec
        compact = codec.encode(codec.take(chunk.examples, index))
        if codec.layout == "stream":
            (length,) = codec.space.grid
            if len(compact) < length:
                raise DataError(
                    f"the text has {len(compact)} symbols, and an example has {length}",
                    code="text-too-short",
                )
            compact = compact[:length][None, None]
        x = torch.from_numpy(np.ascontiguousarray(codec.expand(compact)))
        cond = {}
        for name, values in chunk.given.items():
            column = self.model.given.get(name)
            if column is not None:
                stored = torch.from_numpy(
                    np.ascontiguousarray(column.encode([values[i] for i in index]))
                )
                symbols = all(isinstance(span, Symbol) for span in column.spans)
                cond[name] = stored.long() if symbols else stored.float()
        return Batch(x, cond, codec.space.valid(x))

    def _seen(self, batch: Batch) -> Batch:
        """As the family sees it."""
        batch = batch.to(self.family.device)
        rng = torch.Generator(self.family.device).manual_seed(self.seed)
        through = Batch(self.model.bridge.forward(batch.x), batch.cond, batch.mask)
        return self.model.task.view(through, rng)

    def _codes(self, batch: Batch) -> Tensor:
        return self._codes_of(self._seen(batch))

    @torch.no_grad()
    def _codes_of(self, seen: Batch) -> Tensor:
        if not self._encodes:
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
        rng = np.random.default_rng(0)
        values = {
            name: self.model.given[name].decode(value.float().cpu().numpy(), rng)
            for name, value in cond.items()
        }
        x = torch.cat(list(self._made(codes, cond)))
        samples = self.model.decode(x, values, cond, self.seed)
        samples.codec = copy.copy(samples.codec)
        samples.codec.row = row
        samples.given = samples.given | {"edit": names}
        return samples


def _opened(model: Model) -> tuple[Source, Dataset]:
    """The run's data. Raises `DataError` where they have changed."""
    _, source, dataset = open_data(model.recipe)
    if dataset.key != model.run.codec["data"]:
        raise DataError(
            f"the data at {model.recipe.data.path} have changed since {model.run.path} was trained: put them "
            f"back as they were",
            code="data-changed",
        )
    return source, dataset


def _whole(text: str, name: str) -> int:
    if not text.isdecimal():
        raise RecipeError(
            f"{name!r} is no example: wanted its number, a file, or seed:N", code="no-such-example"
        )
    return int(text)
