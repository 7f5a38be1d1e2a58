"""A series: what was measured, step by step, and when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import blake2b

import numpy as np

from genwright.data.field import Array

__all__ = ["Series"]


@dataclass(frozen=True, eq=False)
class Series:
    """`T` steps of some channels.

    channels  by name `(T,)`: numbers float64, NaN where one is not known; or states as texts, "" where not known
    times     `(T,)` float64: seconds since 1970, or numbers of steps where there are no dates
    name      what it is called among others; "" where it is the only one
    """

    channels: Mapping[str, Array] = field(repr=False)
    times: Array = field(repr=False)
    name: str = ""

    def __len__(self) -> int:
        return len(self.times)

    @property
    def digest(self) -> str:
        """Of the channels: equal values have an equal digest, whenever they were measured."""
        found = blake2b(digest_size=16)
        for name, values in self.channels.items():
            found.update(name.encode("utf-8", "surrogatepass"))
            held = values if values.dtype.kind == "f" else "\0".join(values.tolist()).encode()
            found.update(np.ascontiguousarray(held).tobytes() if isinstance(held, np.ndarray) else held)
        return found.hexdigest()

    @property
    def unknown(self) -> Array:
        """At which steps nothing is known `(T,)`."""
        missing = [gaps(values) for values in self.channels.values()]
        return np.logical_and.reduce(missing) if missing else np.zeros(len(self), bool)

    @property
    def gaps(self) -> Array:
        """At which steps something is not known `(T,)`."""
        missing = [gaps(values) for values in self.channels.values()]
        return np.logical_or.reduce(missing) if missing else np.zeros(len(self), bool)

    def part(self, begin: int, end: int) -> Series:
        """The steps from `begin` to `end`."""
        channels = {name: values[begin:end] for name, values in self.channels.items()}
        return Series(channels, self.times[begin:end], self.name)


def gaps(values: Array) -> Array:
    """Where a channel `(T,)` holds nothing."""
    return np.asarray(np.isnan(values) if values.dtype.kind == "f" else values == "")
