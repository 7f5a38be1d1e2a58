"""The way from a thread that samples to the request that waits for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from genwright.serving.refusal import refusal_of

__all__ = ["Channel", "Event"]

HELD = 4
"""Events that wait for a slow reader before drafts are left out."""


@dataclass(frozen=True)
class Event:
    """Something that a request is told: `draft`, `examples`, `done` or `error`.

    data   JSON values
    files  bytes of an answer that is a file
    """

    name: str
    data: dict[str, Any] = field(default_factory=dict)
    files: bytes = b""


class Channel:
    """Events in order, put in by any thread and taken out in the event loop. After `done` or `error` none comes."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._queue: asyncio.Queue[Event] = asyncio.Queue()
        self._closed = False

    def put(self, event: Event) -> None:
        if self._closed or (event.name == "draft" and self._queue.qsize() >= HELD):
            return
        self._closed = event.name in ("done", "error")
        self._loop.call_soon_threadsafe(self._queue.put_nowait, event)

    def fail(self, error: BaseException) -> None:
        refusal = refusal_of(error)
        self.put(Event("error", {"refusal": refusal}))

    async def events(self) -> AsyncIterator[Event]:
        """All of them up to the last. Raises the `HttpRefusal` of an error."""
        while True:
            event = await self._queue.get()
            if event.name == "error":
                raise event.data["refusal"]
            yield event
            if event.name == "done":
                return
