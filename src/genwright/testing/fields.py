"""What every field promises: values come back, its state is JSON, and it does not matter how they were cut."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from genwright.data.field import Field, Values
from genwright.errors import DataError
from genwright.space import Symbol
from genwright.testing.contract import Contract, demand, same, stored_in

__all__ = ["FIELD", "FittedField", "alike", "check_field", "stored"]

NEAR = 1e-4
"""How far numbers may be off that went through files or through raw values."""


class FittedField:
    """A field, and the values it was fitted on.

    make  gives it again, not fitted yet
    """

    def __init__(self, make: Callable[[], Field], values: Values) -> None:
        self.make, self.values = make, values
        self.field = self.fitted([values])

    def fitted(self, chunks: list[Values]) -> Field:
        field = self.make()
        for chunk in chunks:
            field.fit(chunk)
        field.settle()
        return field

    def taken(self, *index: int) -> Values:
        return self.field.take(self.values, index)


def stored(field: Field, values: Values) -> Tensor:
    """Stored examples: of each value, or the windows of a stream side by side."""
    compact = field.encode(values)
    if field.stream:
        (window,) = field.space.grid
        whole = len(compact) // window
        compact = compact[: whole * window].reshape(whole, 1, window)
    return field.expand(compact)


def alike(field: Field, a: Tensor, b: Tensor, why: str) -> None:
    """Raise `AssertionError` unless stored examples have equal symbols and nearly equal numbers."""
    demand(a.shape == b.shape, f"{why}: {tuple(a.shape)} became {tuple(b.shape)}")
    for slot in field.space.slots():
        away = (a[:, slot.stored].double() - b[:, slot.stored].double()).abs()
        most = 0.0 if isinstance(slot.span, Symbol) else NEAR
        off = float(away.max()) if away.numel() else 0.0
        demand(off <= most, f"{why}: a stored number is off by {off:.3g}, and {most:g} is allowed")


FIELD: Contract[FittedField] = Contract("field")


@FIELD.law
def examples_are_of_its_space(case: FittedField) -> None:
    """What it encodes and expands are stored examples of its space."""
    x = stored(case.field, case.values)
    stored_in(case.field.space, x, "what was expanded")
    right = len(x) > 0 if case.field.stream else len(x) == len(case.values)
    demand(right, f"{len(case.values)} values gave {len(x)} examples")


@FIELD.law
def round_trip(case: FittedField) -> None:
    """Decoding and encoding again changes nothing that encoding kept."""
    field = case.field
    values = case.values
    if field.stream:  # a window across two documents is no text of one
        values = case.taken(max(range(len(values)), key=lambda i: len(field.encode(case.taken(i)))))
    x = stored(field, values)
    demand(len(x) > 0, "every value is shorter than a window, so that nothing can be said")
    once = field.decode(x.numpy())
    demand(len(once) == len(x), f"{len(x)} examples were decoded to {len(once)} values")
    if field.stream:  # the text of a window ends in a document's end when it is encoded by itself
        again = torch.cat([stored(field, [one])[:1] for one in once])
    else:
        again = stored(field, once)
    alike(field, x, again, "encoded again")
    demand(same(field.decode(again.numpy()), once), "what was decoded twice differs from once")


@FIELD.law
def state_is_json(case: FittedField) -> None:
    """Restored from its state as JSON, it encodes and decodes to the same bytes."""
    field = case.field
    other = type(field)()
    other.restore(json.loads(json.dumps(field.state(), allow_nan=False)))
    demand(other.space == field.space, f"its space was {field.space} and is {other.space}")
    demand(other.stream == field.stream, "it became a stream, or is none any more")
    demand(json.dumps(other.state()) == json.dumps(field.state()), "its state is another")
    compact, again = field.encode(case.values), other.encode(case.values)
    demand(same(np.asarray(compact), np.asarray(again)), "it encodes to other bytes")
    x = stored(field, case.values).numpy()
    demand(same(field.decode(x), other.decode(x)), "it decodes to other values")


@FIELD.law
def chunks_do_not_matter(case: FittedField) -> None:
    """Fitted chunk by chunk, it learns what it learns from all values at once."""
    n = len(case.values)
    parts = [case.taken(*some) for some in np.array_split(np.arange(n), 3) if len(some)]
    demand(
        json.dumps(case.fitted(parts).state()) == json.dumps(case.field.state()),
        "from three chunks it learns something else",
    )


@FIELD.law
def values_by_themselves(case: FittedField) -> None:
    """A value is encoded to the same whatever stands beside it; the values of a stream one after the other."""
    field, n = case.field, len(case.values)
    alone = np.concatenate([field.encode(case.taken(i)) for i in range(n)])
    demand(same(alone, field.encode(case.values)), "one by one they are encoded to something else")


@FIELD.law
def take_and_join(case: FittedField) -> None:
    """Values that were taken apart are the same when they are joined."""
    n = len(case.values)
    back = case.field.join([case.taken(*range(n // 2)), case.taken(*range(n // 2, n))])
    demand(same(back, case.field.join([case.values])), "what was joined differs")


@FIELD.law
def what_it_learnt_is_known(case: FittedField) -> None:
    """Every value that it was fitted on is known."""
    known = case.field.known(case.values)
    demand(len(known) == len(case.values), f"{len(case.values)} values, {len(known)} answers")
    demand(all(known), f"{known.count(False)} values are not known")


@FIELD.law
def without_a_part(case: FittedField) -> None:
    """Less one of its parts it makes examples of its smaller space from the same cached arrays."""
    compact = case.field.encode(case.values)
    for part in list(case.field.parts):
        try:
            less = case.field.without([part])
        except DataError:  # nothing would be left
            continue
        stored_in(less.space, less.expand(compact), f"an example without {part!r}")
        demand(less.space.stored <= case.field.space.stored, f"it is larger without {part!r}")


@FIELD.law
def variation_keeps_the_space(case: FittedField) -> None:
    """Varied training examples are of its space still, and the same generator varies them alike."""
    x = stored(case.field, case.values)
    one, two = (case.field.augment(x.clone(), torch.Generator().manual_seed(3)) for _ in range(2))
    stored_in(case.field.space, one, "a varied example")
    demand(torch.equal(one, two), "the same generator varies them otherwise")


@FIELD.law
def facts_are_json(case: FittedField) -> None:
    """What it found is JSON, and what looks wrong are sentences."""
    facts: Mapping[str, object] = case.field.facts()
    demand(json.loads(json.dumps(facts, allow_nan=False)) is not None, "its facts are nothing")
    demand(
        all(isinstance(one, str) and one for one in case.field.warnings()), "a warning is no sentence"
    )


def check_field(make: Callable[[], Field], values: Values) -> None:
    """Hold a field to the contract of `Field`.

    make    gives a field that is not fitted yet, each time a new one
    values  raw values to fit it on, a dozen or more
    Raises `AssertionError` with the law that is broken.
    """
    case = FittedField(make, values)
    kind = type(case.field)
    FIELD.check(case, kind.__name__, kind.contract_exceptions)
