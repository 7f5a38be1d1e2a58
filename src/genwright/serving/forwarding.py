"""From the front to the process that holds the models, and back: a request as HTTP on a socket of this machine.

As many as `Limits.waiting` are in its hands at a time; one more is refused here, which costs it nothing. Who goes away
takes the connection with them, from which it knows.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import h11
from starlette.types import Receive, Scope, Send

from genwright.serving.limits import Limits
from genwright.serving.model_process import ModelProcess
from genwright.serving.refusal import HttpRefusal, check_room

__all__ = ["Forwarder"]

CHUNK = 2**16
"""Bytes of an answer that are handed on at once."""
OWN = frozenset({b"connection", b"transfer-encoding", b"keep-alive", b"date", b"server"})
"""Headers of the way and not of the answer."""
Event = h11.Response | h11.Data


class Forwarder:
    """An application that has every request answered by a process.

    busy  requests that are in its hands
    """

    def __init__(self, process: ModelProcess, limits: Limits) -> None:
        self.process, self.limits = process, limits
        self.busy = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Raises `HttpRefusal` where it is not accepted, or the process ends before it has begun to answer."""
        socket = self._taken()
        self.busy += 1
        try:
            await self._answer(socket, scope, receive, send)
        finally:
            self.busy -= 1

    def _taken(self) -> str:
        """The socket for a request, if there is room."""
        socket, draining = self.process.socket, self.process.draining
        if not draining and socket is None:
            raise _lost()
        check_room(draining, self.busy, self.limits.waiting)
        assert socket is not None
        return socket

    async def _answer(self, socket: str, scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive()).get("body", b"")  # which is whole: access control has waited for it
        try:
            reader, writer = await asyncio.open_unix_connection(socket)
        except OSError:
            raise _lost() from None
        gone = asyncio.create_task(_closed_by(receive, writer))
        begun = streams = False
        try:
            wire = h11.Connection(h11.CLIENT)
            writer.write(_written(wire, scope, body))
            async for event in _events(wire, reader):
                if isinstance(event, h11.Response):
                    headers = [(name, value) for name, value in event.headers if name not in OWN]
                    streams = (b"content-type", b"text/event-stream; charset=utf-8") in headers
                    await send(
                        {
                            "type": "http.response.start",
                            "status": event.status_code,
                            "headers": headers,
                        }
                    )
                    begun = True
                else:
                    await send(
                        {"type": "http.response.body", "body": bytes(event.data), "more_body": True}
                    )
            await send({"type": "http.response.body", "body": b""})
        except (OSError, h11.ProtocolError):
            if gone.done():  # nobody is left to be told
                return
            if not begun:
                raise _lost() from None
            if streams:
                await send({"type": "http.response.body", "body": _lost_line()})
            # Of any other answer too little has come, which the asker sees by its length.
        finally:
            gone.cancel()
            writer.transport.abort()


async def _closed_by(receive: Receive, writer: asyncio.StreamWriter) -> None:
    """Close the connection where the asker goes away."""
    while (await receive())["type"] != "http.disconnect":
        pass
    writer.transport.abort()


def _written(wire: h11.Connection, scope: Scope, body: bytes) -> bytes:
    """The request. Of its headers none is handed on: access control has read them."""
    headers = [("host", "models"), ("connection", "close"), ("content-length", str(len(body)))]
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    request = h11.Request(method=method, target=scope["raw_path"], headers=headers)
    parts: list[Any] = [request, *([h11.Data(data=body)] if body else ()), h11.EndOfMessage()]
    return b"".join(wire.send(part) or b"" for part in parts)


async def _events(wire: h11.Connection, reader: asyncio.StreamReader) -> AsyncIterator[Event]:
    """An answer in its parts. Raises `h11.RemoteProtocolError` where it ends before its end."""
    while True:
        event = wire.next_event()
        if event is h11.NEED_DATA:
            wire.receive_data(await reader.read(CHUNK))
        elif isinstance(event, h11.Response | h11.Data):
            yield event
        elif isinstance(event, h11.EndOfMessage):
            return
        elif isinstance(event, h11.ConnectionClosed):
            raise h11.RemoteProtocolError("it ended before it answered")


def _lost() -> HttpRefusal:
    return HttpRefusal(
        "the process that holds the models has ended, and is begun again: try again in a few seconds",
        code="models-lost",
        status=503,
        retry_after=5,
    )


def _lost_line() -> bytes:
    """In a stream, for this project's own readers and those of OpenAI."""
    refusal = _lost().json()
    return f"event: error\ndata: {json.dumps(refusal | refusal['error'])}\n\n".encode()
