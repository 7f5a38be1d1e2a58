"""What one request may ask for at most. All of it is checked before anything is made or kept."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

__all__ = ["Limits"]


@dataclass(frozen=True)
class Limits:
    """Caps of a server.

    body, upload      bytes of a body, and of one that holds a file
    header            bytes of all headers together
    depth             of JSON within JSON
    n                 examples of a request
    options           of whole-number sampler options, by name; `option` of all others
    number            of all other numbers, such as a temperature
    characters        of a text that is given
    waiting           requests that wait or, in the hands of another process, are made; one more is refused with 503
    window            seconds that a small request waits for others to be made with
    seconds           from the arrival of a request to its end, else 504
    receive           seconds in which a request has to arrive whole
    drain             seconds that the server goes on after it was asked to end
    """

    body: int = 2**20
    upload: int = 8 * 2**20
    header: int = 16 * 2**10
    depth: int = 32
    n: int = 64
    options: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType({"steps": 1000, "corrections": 16, "chunk": 256})
    )
    option: int = 4096
    number: float = 1000.0
    characters: int = 8192
    waiting: int = 64
    window: float = 0.01
    seconds: float = 60.0
    receive: float = 10.0
    drain: float = 30.0

    def json(self) -> dict[str, Any]:
        """For a process that is to keep to the same."""
        return vars(self) | {"options": dict(self.options)}

    @classmethod
    def of(cls, json: Mapping[str, Any]) -> Limits:
        return cls(**{**json, "options": MappingProxyType(json["options"])})
