"""What fits in the time there is: the size of the nets, the examples of a step, the context and the steps.

The time is enough for so many examples, E. A step takes about sqrt(E / 60) of them, so that there are 60 times
as many steps as examples in a step: some hundreds at least before anything else grows. Nets grow where E is
large, and the context of a stream shrinks where it is small. What a person names stays as it is named.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from genwright.nets.roles import Size
    from genwright.training.cost import Cost

__all__ = ["MEMORY", "MINUTES", "Choice", "choose", "enough"]

MINUTES = 10.0
"""Of a training of which nothing is said."""
STEPS_PER_EXAMPLE = 60
"""Steps of a training for each example of a step."""
SMALLEST = 8
"""Examples of a step, unless the family takes fewer or has to have more."""
WORTH: dict[Size, int] = {"xs": 0, "s": 3_000, "m": 400_000}
"""Examples that the time has to be enough for before nets of this size are worth it."""
WHOLE, FEWER = 400, 1.25
"""Numbers in an example; one of fewer counts for less in this, by so high a power of its share, since it teaches less:
rows of 15 columns are worth nets of size s from some three minutes on, and windows of 257 characters from one on."""
LEARNABLE: dict[Size, int] = {"xs": 0, "s": 10_000, "m": 1_000_000}
"""Numbers in all training examples together, below which nets of this size learn them by heart."""
SHORT = 6_400
"""Examples below which the context of a stream is halved, and halved again."""
PASSES, LEAST = 200, 1_000
"""Over the training examples that are enough, and steps that are not too many of however little data."""
MEMORY = 0.25
"""Of what is free, that a step may take."""


@dataclass(frozen=True)
class Choice:
    """Of a training.

    context  the share of the context that is read, where the data is a stream
    cost     of a step
    steps    that the time is enough for
    """

    size: Size
    batch: int
    context: float
    cost: Cost
    steps: int


def choose(
    seconds: float,
    price: Callable[[Size, int], Cost],
    *,
    most: int,
    least: int = 1,
    size: Size | None = None,
    batch: int | None = None,
    shortens: bool = False,
    in_each: float = math.inf,
    teaches: float = 1.0,
    numbers: float = math.inf,
    free: float = math.inf,
) -> Choice:
    """What to train with for `seconds`.

    price   of a step with nets of a size on so many examples
    most    examples of a step, those of the family
    least   examples that a step has to have
    size, batch  where they are named
    shortens  whether examples are windows of a stream, whose length is open
    in_each  numbers in an example
    teaches  how much an example teaches the family in a step
    numbers  in all training examples together
    free    bytes of memory
    """
    sizes: list[Size] = ["xs", "s", "m"]
    tried = [size] if size else [one for one in sizes if numbers >= LEARNABLE[one]]
    found, priced = None, batch or most

    def worth(one: Size, examples: float) -> bool:
        return teaches * examples * min(1.0, in_each / WHOLE) ** FEWER >= WORTH[one]

    for one in tried:
        cost = price(one, priced)
        examples = priced * seconds / cost.seconds
        if found is not None and (not worth(one, examples) or cost.bytes > MEMORY * free):
            break
        found = one, examples, cost
        if one != tried[-1] and not worth(tried[tried.index(one) + 1], examples):
            break  # the next size is slower still
    assert found is not None
    chosen, examples, cost = found
    context = 1.0
    while shortens and context > 0.25 and examples < SHORT:
        context, examples = context / 2, examples * 2
    batch = batch or _batch(examples, cost, most, least, free)
    if batch != priced:
        cost = price(chosen, batch)
    cost = replace(cost, seconds=cost.seconds * context)
    return Choice(chosen, batch, context, cost, max(1, int(seconds / cost.seconds)))


def _batch(examples: float, cost: Cost, most: int, least: int, free: float) -> int:
    """A power of two times what the family takes at most."""
    wanted = math.sqrt(examples / STEPS_PER_EXAMPLE)
    wanted = min(wanted, most * MEMORY * free / max(1, cost.bytes))
    batch = most
    while batch > 1.4 * wanted and batch % 2 == 0 and batch // 2 >= max(least, min(SMALLEST, most)):
        batch //= 2
    return batch


def enough(steps: int, batch: int, examples: int) -> int:
    """Steps, or fewer where the data is so little that these go over it often enough."""
    return min(steps, max(LEAST, math.ceil(PASSES * examples / batch)))
