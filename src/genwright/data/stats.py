"""What was met on the way through the data, and what of it a person should be told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from genwright.data.codec import Rejected

__all__ = ["DatasetStats"]

NAMED = 100
"""Bad files and rows that are named; the others are counted."""


@dataclass
class DatasetStats:
    """Of all splits.

    total       about how many examples there are, where these are a sample of them; else 0
    counts      examples by split; of a stream, how many windows it would fill side by side
    duplicates  examples that are copies of another
    labels      of each condition of symbols, how often each came in training, by its index
    """

    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(("train", "val", "test"), 0))
    duplicates: int = 0
    bad: list[Rejected] = field(default_factory=list)
    bad_count: int = 0
    labels: dict[str, dict[str, int]] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    total: int = 0

    def spoilt(self, bad: Sequence[Rejected]) -> None:
        """What could not be used."""
        self.bad += bad[: max(0, NAMED - len(self.bad))]
        self.bad_count += len(bad)

    def warn(self) -> None:
        """Add what the counts themselves say to the warnings."""
        for name, counts in self.labels.items():
            if counts and max(counts.values()) > 10 * min(counts.values()):
                self.warnings.append(
                    f"the classes of {name!r} are unbalanced: the rarest has {min(counts.values())} "
                    f"examples, the commonest {max(counts.values())}"
                )
        if self.bad:
            first = f"{self.bad[0].name}: {self.bad[0].reason}"
            self.warnings.append(f"{self.bad_count:,} could not be used, the first is {first}")

    def state(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def restore(cls, state: Mapping[str, Any]) -> DatasetStats:
        return cls(**{**state, "bad": [Rejected(**bad) for bad in state["bad"]]})
