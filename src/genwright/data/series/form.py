"""How series are cut and written: what a codec settles before they are read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genwright.data.columns.numbers import NumberFormat
from genwright.data.series.clock import TimeFormat, TimeStep
from genwright.data.table.frames import TableFormat

__all__ = ["SeriesForm"]


@dataclass(frozen=True)
class SeriesForm:
    """How series are cut and written.

    length   steps of a window
    stride   steps from the beginning of a window to that of the next
    horizon  steps at its end that are to be forecast; 0: none
    whole    whether each series is one example, filled up to `length`
    names    of the channels: numbers, then states
    formats  how the numbers are written
    gaps     what becomes of steps without a value: they are learnt as `unknown`, drawn as a line, or passed over
    scaling  auto, series, window or differences
    """

    length: int
    stride: int = 1
    horizon: int = 0
    whole: bool = False
    gaps: str = "unknown"
    scaling: str = "auto"
    numbers: tuple[str, ...] = ()
    states: tuple[str, ...] = ()
    formats: Mapping[str, NumberFormat] = field(default_factory=dict)
    time: str = "time"
    group: str = ""
    clock: TimeFormat = field(default_factory=TimeFormat)
    step: TimeStep = field(default_factory=TimeStep)
    even: bool = True
    table: TableFormat | None = None

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.numbers, *self.states)

    @property
    def context(self) -> int:
        """Steps that are known where the rest is forecast."""
        return self.length - self.horizon if self.horizon else self.length

    def json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in _PLAIN}
        return plain | {
            "formats": {name: asdict(form) for name, form in self.formats.items()},
            "clock": self.clock.json(),
            "step": asdict(self.step),
            "table": None if self.table is None else asdict(self.table),
        }

    @classmethod
    def of(cls, known: Mapping[str, Any]) -> SeriesForm:
        """As `json` gave it."""
        made = {name: known[name] for name in _PLAIN}
        made |= {name: tuple(known[name]) for name in ("numbers", "states")}
        return cls(
            **made,
            formats={name: NumberFormat(**form) for name, form in known["formats"].items()},
            clock=TimeFormat.of(known["clock"]),
            step=TimeStep(**known["step"]),
            table=None if known["table"] is None else TableFormat.restore(known["table"]),
        )


_PLAIN = (
    *("length", "stride", "horizon", "whole", "gaps", "scaling", "numbers", "states", "time", "group"),
    "even",
)
