"""The only road between files and tensors, both ways: codec, fields, task and bridge. It holds no weights.

    files -> codec.read -> rows of raw fields -> field.encode -> cache -> field.expand -> task.view -> bridge
    made  -> bridge.inverse -> task.finish -> field.decode -> rows -> codec.write -> files

The task sees examples before the bridge and finishes samples after it, so that what is pasted is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genwright.batch import Batch
from genwright.bridges.base import Bridge
from genwright.data.codec import Codec, ReadOptions, Rows, Values
from genwright.data.columns.field import ColumnField
from genwright.data.dataset import Split
from genwright.data.field import Array, Field
from genwright.data.loader import evenly
from genwright.data.member import ARCHIVES
from genwright.data.source import find
from genwright.errors import DataError, RecipeError, Unsupported, suggest
from genwright.grammar import Grammar
from genwright.space import CondSpec, Space
from genwright.tasks.base import Example, Given, Infills, Request, Task, TaskSpec

__all__ = ["Asked", "Pipeline"]


@dataclass
class Asked:
    """A request as a person made it, and as a family takes it.

    values   the raw values of what is given, by ask, `n` each
    given    the same as stored tensors
    request  for the family
    length   positions asked for of a stream (None: all)
    notes    what is odd about what is given, a sentence each
    gaps     the raw values with gaps that a person gave, `n` of them
    first    examples that were made before these: what has to differ in all of them does
    imputed  whether what comes out as missing is made again
    beside   fields that nobody gave and that are drawn from examples: they are shown beside what is made of them
    """

    values: dict[str, Values]
    given: Given
    request: Request
    length: int | None = None
    notes: list[str] = dataclass_field(default_factory=list)
    gaps: Values | None = None
    first: int = 0
    imputed: bool = False
    beside: tuple[str, ...] = ()


RARE = 10
"""Training examples of what is asked for, below which a model has learnt little of it."""
COMBINATIONS = 20
"""Different requests that are looked up in the training examples."""


def seldom(words: Sequence[str], count: int, total: int) -> str:
    """The caution about what training has hardly seen."""
    seen = "was seen" if len(words) == 1 else "were seen together"
    return f"{' and '.join(words)} {seen} in {count:,} of {total:,} examples: expect poor ones"


class Pipeline:
    """Codec, fields, task and bridge of one model.

    kind       the registered name of the codec
    fields     fitted, by name; the one that is made is without what is given
    frequency  how often each symbol of a scalar field came in training, by its index
    """

    def __init__(
        self,
        kind: str,
        codec: Codec,
        fields: Mapping[str, Field],
        task: Task,
        bridge: Bridge,
        frequency: Mapping[str, Mapping[str, int]],
        *,
        infills: Infills = "no",
    ) -> None:
        self.kind, self.codec, self.task, self.bridge = kind, codec, task, bridge
        made = fields[task.make]
        self.fields = dict(fields) | {task.make: made.without(task.given)}
        self.frequency = {name: dict(counts) for name, counts in frequency.items()}
        task.cell_of = self.fields[task.make].cell_of
        self.spec: TaskSpec = task.spec(self.spaces, infills=infills)

    @property
    def spaces(self) -> dict[str, Space]:
        return {name: field.space for name, field in self.fields.items()}

    @property
    def made(self) -> Field:
        """The field that is made."""
        return self.fields[self.spec.make]

    @property
    def preferred(self) -> tuple[str, ...]:
        """Bridges that what is made is learnt better through. None where a part of it may be given, or lies beside it
        place by place: a bridge may lead to other places."""
        placed = any(cond.align for cond in self.spec.conds.values())
        partial = any(ask.partial for ask in self.spec.asks.values())
        return () if placed or partial else self.made.bridges

    @property
    def scalars(self) -> dict[str, ColumnField]:
        """The asks that are categories, numbers or dates, by name."""
        found = {name: self.fields[ask.field] for name, ask in self.spec.asks.items()}
        return {name: field for name, field in found.items() if isinstance(field, ColumnField)}

    def family_spaces(self) -> tuple[Space, dict[str, CondSpec]]:
        """What the family makes and is told: after the bridge."""
        conds = dict(self.spec.conds)
        for name in self.spec.bridged:
            conds[name] = replace(conds[name], space=self.bridge.target)
        return self.bridge.target, conds

    # -- from files ----------------------------------------------------------------------------

    def read(
        self, paths: Sequence[Path], wanted: Sequence[str], most: int | None = None
    ) -> Iterator[Rows]:
        """The rows of files that a person names, with these fields. Raises `DataError` for other files.

        most  positions that an example may have (None: as many as the codec takes for no attack)
        """
        for path in paths:
            suffixes = {*(suffix.lower() for suffix in path.suffixes), self.codec.ending(path)}
            if path.is_file() and not suffixes & {*self.codec.reads, *ARCHIVES}:
                # What stands beside the main files in training: the caption of a picture.
                if name := next((n for n in wanted if self.fields[n].suffix in suffixes), None):
                    yield Rows({name: [self.fields[name].load(path)]}, [path.name], [path.stem])
                    continue
                raise DataError(
                    f"{path} is no {self.kind} data: this model reads {self.codec.suffixes()}",
                    code="wrong-kind-of-file",
                )
            source = find(path, self.kind)
            there = self.codec.fields(source)
            main = next(iter(there))
            # What such files are by themselves stands for a field of their kind: a picture for a source.
            named = {
                name: name if name in there else main
                for name in wanted
                if name in there or isinstance(self.fields[name], type(there[main]))
            }
            fields = {own: self.fields[name] for name, own in named.items()}
            notes = source.passed_over()
            for rows in self.codec.read(
                source, fields, ReadOptions(val=0.0, test=0.0, whole=True, most=most)
            ):
                rows.values = {name: rows.values[own] for name, own in named.items()}
                rows.notes, notes = [*notes, *rows.notes], []
                yield rows

    # -- in training ---------------------------------------------------------------------------

    def read_from(self, cached: Mapping[str, Field]) -> None:
        """Take examples from the cache of a data set with these fields, all their parts among them."""
        for name, field in self.fields.items():
            if name in cached:
                field.read_from(cached[name])

    @property
    def used(self) -> list[str]:
        """The fields that the task looks at."""
        return list(dict.fromkeys([self.spec.make, *(ask.field for ask in self.spec.asks.values())]))

    def example(
        self, split: Split, numbers: Array, device: torch.device, rng: torch.Generator | None = None
    ) -> dict[str, Tensor]:
        """Stored tensors by field, of the examples with these numbers; varied with `rng`, if there is one."""
        compact = split.gather(numbers, self.used)
        stored = {name: self.fields[name].expand(array).to(device) for name, array in compact.items()}
        if rng is None:
            return stored
        begun: dict[str, Tensor] = {}
        for name, x in stored.items():
            frame = self.fields[name].frame or name
            if frame in begun:  # fields of one frame draw the same numbers, and so move together
                rng.set_state(begun[frame])
            else:
                begun[frame] = rng.get_state()
            stored[name] = self.fields[name].augment(x, rng)
        return stored

    def batch(
        self,
        split: Split,
        numbers: Array,
        device: torch.device,
        rng: torch.Generator,
        *,
        augment: bool = False,
    ) -> Batch:
        """The examples with these numbers as the family is to see them."""
        example = self.example(split, numbers, device, rng if augment else None)
        return self.seen(example, rng, self.counted(split, len(numbers), device))

    def seen(self, example: Example, rng: torch.Generator, mask: Tensor | None = None) -> Batch:
        """Stored examples as the family is to see them: the view of the task, through the bridge."""
        batch = self.task.view(example, rng)
        if mask is None:
            mask = batch.mask if batch.mask is not None else self.made.space.valid(batch.x)
        kept = (
            self.bridge.target.grid == self.bridge.source.grid
        )  # a mask goes with the places it was made for
        return Batch(self.bridge.forward(batch.x), self._through(batch.cond), mask if kept else None)

    def counted(self, split: Split, n: int, device: torch.device) -> Tensor | None:
        """Which places count in windows of a stream that lie side by side: the first symbol of each has nothing
        before it, and the window before has already scored it."""
        if not split.window or split.part == "train":
            return None
        mask = torch.ones(n, split.window, dtype=torch.bool, device=device)
        mask[:, 0] = False
        return mask

    def _through(self, cond: Mapping[str, Tensor]) -> dict[str, Tensor]:
        bridged = self.spec.bridged
        return {name: self.bridge.forward(one) if name in bridged else one for name, one in cond.items()}

    def batches(
        self, split: Split, size: int, most: int | None, device: torch.device, rng: torch.Generator
    ) -> Iterator[Batch]:
        """The split in a fixed order, at most `most` examples spread evenly over it."""
        numbers = evenly(len(split), most)
        for start in range(0, len(numbers), size):
            yield self.batch(split, numbers[start : start + size], device, rng)

    def stored(self, split: Split, numbers: Array) -> Tensor:
        """Stored examples of what is made, with these numbers."""
        return self.made.expand(split.gather(numbers, [self.spec.make])[self.spec.make])

    # -- on request ----------------------------------------------------------------------------

    def cases(self, split: Split, numbers: Array, rng: torch.Generator) -> tuple[Asked, Tensor]:
        """The request that a person would have made for each of some examples, and the truth."""
        example = self.example(split, numbers, torch.device("cpu"))
        asked = self.request(len(numbers), {}, rng, self.task.ask(example, rng))
        return asked, example[self.spec.make]

    def raw(self, given: Given) -> dict[str, Values]:
        """Raw values of what is given, by ask."""
        found = {}
        for name, one in given.items():
            x = one[0] if isinstance(one, tuple) else one
            found[name] = self.asker(name).decode(x.cpu().numpy())
        return found

    def given_as(self, cond: Mapping[str, Tensor]) -> Asked:
        """Stored conditions under their own names as something that was asked for."""
        given: Given = {name: one for name, one in cond.items() if name in self.spec.asks}
        return Asked(self.raw(given), given, Request(dict(cond)))

    def asker(self, name: str) -> Field:
        """The field that encodes what is given under a name."""
        ask = self.spec.asks[name]
        field = self.fields[ask.field]
        return field if field.space == ask.space else field.at(ask.space)

    def request(
        self,
        n: int,
        given: Mapping[str, Any],
        rng: torch.Generator,
        stored: Given | None = None,
    ) -> Asked:
        """What a person gives, for `n` examples: one value, or `n`, by name.

        stored  what else is given, as stored tensors already
        Raises `RecipeError` for a name that is not asked for, `DataError` for a value that is not known.
        """
        found: dict[str, Tensor | tuple[Tensor, Tensor]] = dict(stored or {})
        values: dict[str, Values] = self.raw(found)
        length, notes = None, list[str]()
        for name, value in given.items():
            if name not in self.spec.asks:
                if name == self.spec.make:
                    raise RecipeError(
                        f"{name!r} is what this model makes, so that it cannot be given: leave it out",
                        code="answer-given",
                    )
                raise RecipeError(self._unknown(name), code="no-such-condition")
            field, some = self.asker(name), self.each(name, value, n)
            notes += self.cautions(name, some)
            if self.spec.asks[name].partial:
                x, known, length = field.partial(some)
                found[name] = x, known
            else:
                found[name], some = field.given(some)
            values[name] = some
        for name, ask in self.spec.asks.items():
            if name not in found and ask.missing == "refuse":
                raise RecipeError(
                    f"this model makes {self.spec.make!r} from {name!r}: give it (--given {name}=...)",
                    code="not-given",
                )
        request = self.task.request(n, found, rng)
        gaps = next((values[name] for name in given if self.spec.asks[name].partial), None)
        return Asked(values, found, self._bridged(request), length, notes, gaps)

    def chosen(self, asked: Asked, index: Sequence[int]) -> Asked:
        """What was asked for some of the examples."""
        places = torch.as_tensor(list(index))
        given: Given = {
            name: (one[0][places], one[1][places]) if isinstance(one, tuple) else one[places]
            for name, one in asked.given.items()
        }
        return replace(
            asked,
            values={name: self.asker(name).take(some, index) for name, some in asked.values.items()},
            given=given,
            request=asked.request.rows(places),
            gaps=None if asked.gaps is None else self.made.take(asked.gaps, index),
        )

    def continued(self, asked: Asked, x: Tensor, known: Tensor) -> Asked:
        """The same where more of what is made is known by now."""
        given: Given = {**asked.given, self.spec.make: (x, known)}
        request = self.task.request(len(x), given, torch.Generator())
        return replace(asked, given=given, request=self._bridged(request))

    def cautions(self, name: str, values: Values) -> list[str]:
        """What is odd about the values of an ask, a sentence each."""
        found = self.asker(name).cautions(values, partial=self.spec.asks[name].partial)
        return [f"the {name} {caution}" for caution in found]

    def rare(self, name: str, values: Values) -> list[str]:
        """Of a given category, the values that training saw less often than `RARE`, a sentence each."""
        ask = self.spec.asks[name]
        counts, field = self.frequency.get(ask.field), self.fields[ask.field]
        if not counts or not isinstance(field, ColumnField):
            return []
        seen = [
            (value, counts.get(str(int(field.column.exactly(value)[0])), 0))
            for value in list(dict.fromkeys(values))[:COMBINATIONS]
        ]
        total = sum(counts.values())
        return [seldom([f"{name}={value}"], count, total) for value, count in seen if count < RARE]

    def rare_together(self, asked: Asked, names: Sequence[str], split: Split) -> list[str]:
        """Of what is given under these names, the combinations of categories that the training split holds less
        often than `RARE`, a sentence each."""
        arrays = [split.arrays[self.spec.asks[name].field] for name in names]
        fields = [self.asker(name) for name in names]
        rows = zip(*(asked.values[name] for name in names), strict=True)
        found = []
        for row in list({repr(row): row for row in rows}.values())[:COMBINATIONS]:
            words, same = list[str](), np.ones(len(split), bool)
            for field, compact, value in zip(fields, arrays, row, strict=True):
                more, matches = field.matching(compact, value)
                words, same = words + more, same & matches
            if words and (count := int(same.sum())) < RARE:
                found.append(seldom(words, count, len(split)))
        return found

    def each(self, name: str, value: Any, n: int) -> Values:
        """`n` raw values of one, or of `n`."""
        field = self.fields[self.spec.asks[name].field]
        scalar = isinstance(field, ColumnField)
        many = isinstance(value, list | tuple) or (scalar and isinstance(value, np.ndarray))
        if not many:
            return [field.parse(value)] * n
        if len(value) != n:
            raise RecipeError(
                f"{n} samples need one value or {n} of {name!r}, got {len(value)}",
                code="wrong-number-given",
            )
        return [field.parse(one) for one in value]

    def _unknown(self, name: str) -> str:
        known = list(self.spec.asks)
        way_out = suggest(name, known) if known else "train one with --label"
        return f"this model was trained without the condition {name!r}; {way_out}"

    def _bridged(self, request: Request) -> Request:
        if request.known is not None and self.bridge.target.shape != self.bridge.source.shape:
            raise Unsupported(
                f"the bridge {self.bridge.name!r} changes how many numbers an example has, so that a part of one "
                f"cannot be given: train with --set bridge.name=quantize",
                code="bridge-changes-shape",
            )
        return Request(self._through(request.cond), request.known, request.keep)

    # -- back to raw values --------------------------------------------------------------------

    def finished(self, made: Tensor, asked: Asked, rng: torch.Generator, behind: int = 0) -> Tensor:
        """What a family made as stored examples of the field: through the bridge, with what is known in it.

        behind  how many examples of the same request come before them
        """
        some = asked.request.rows(slice(behind, behind + len(made)))
        stored = self.task.finish(self.bridge.inverse(made, rng), some)
        return stored[..., : asked.length or stored.shape[-1]]

    def decoded(self, stored: Tensor, asked: Asked, behind: int = 0) -> dict[str, Values]:
        """Stored examples as raw values by field, with the scalar fields that were given and what was drawn.

        behind  how many examples of the same request come before them
        """
        some = range(behind, behind + len(stored))
        parts = {
            name: field.take(asked.values[name], some)
            for name, field in self.scalars.items()
            if name in asked.values
        }
        made = self.made.decode_behind(asked.first + behind, stored.cpu().numpy(), parts)
        if asked.gaps is not None:
            made = self.made.kept(made, self.made.take(asked.gaps, some))
        beside = {name: self.asker(name).take(asked.values[name], some) for name in asked.beside}
        return {self.spec.make: made} | parts | beside

    @property
    def grammar(self) -> Grammar | None:
        """What the symbols that the family makes have to keep to; a bridge makes others of them."""
        return self.made.grammar if self.bridge.target == self.bridge.source else None

    # -- kept ----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """All that was learnt from the data, as JSON: no example is in it."""
        return {
            "fields": {
                name: {"field": field.kind, **field.state()} for name, field in self.fields.items()
            },
            "frequency": self.frequency,
        }
