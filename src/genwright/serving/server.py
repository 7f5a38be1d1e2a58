"""The server: an address, a token, uvicorn, and an end that loses no request that was accepted."""

from __future__ import annotations

import asyncio
import signal
import socket
from asyncio import Transport
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

from genwright.errors import GenwrightError, missing_extra

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise missing_extra("genwright serve", error.name or "uvicorn", "serve") from None

from genwright.serving.access import is_loopback
from genwright.serving.counters import Counters
from genwright.serving.forwarding import Forwarder
from genwright.serving.front import Front
from genwright.serving.limits import Limits
from genwright.serving.model_process import ModelProcess
from genwright.serving.token import read_token

__all__ = ["listen", "run_server"]

CONNECTIONS = 512
"""That wait to be accepted."""


def run_server(
    runs: Sequence[Path],
    host: str,
    port: int,
    token_file: Path | None,
    *,
    device: str = "auto",
    ready: Callable[[str], None] | None = None,
    limits: Limits | None = None,
) -> None:
    """Serve runs until the process is asked to end; then what was accepted is made, and no more is taken.

    ready  is told of the address, once there is one
    Raises `GenwrightError` for another host than this machine without a token, a port that is in use, and runs that
    cannot be loaded.
    """
    check_open(host, None if token_file is None else "")
    token = read_token(token_file) if token_file is not None else None
    limits, counters = limits or Limits(), Counters()
    with listen(host, port) as listening, ModelProcess(runs, device, limits, counters) as process:
        forwarder = Forwarder(process, limits)
        counters.gauges |= {"waiting": lambda: process.waiting, "busy": lambda: forwarder.busy}
        front = Front(
            process,
            lambda path: process.pages[path],
            lambda path: forwarder,
            host=host,
            token=token,
            limits=limits,
            counters=counters,
        )
        if ready is not None:
            shown = f"[{host}]" if ":" in host else host
            ready(f"http://{shown}:{listening.getsockname()[1]}/")
        EndingServer(front, limits).run(sockets=[listening])


def check_open(host: str, token: str | None) -> None:
    """Raise `GenwrightError` where others could reach a server that asks for no token."""
    if token is None and not is_loopback(host):
        raise GenwrightError(
            f"--host {host} lets other machines in, and there is no token: name a file that holds one "
            f"(--token-file F, made by: umask 077; openssl rand -hex 32 > F), or leave --host out",
            code="open-without-token",
        )


def listen(host: str, port: int) -> socket.socket:
    """A socket on an address. Raises `GenwrightError` for one that cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
        sock.listen(CONNECTIONS)
    except OSError as error:
        sock.close()
        why = (
            "is in use"
            if error.errno in (98, 48, 10048)
            else (error.strerror or "cannot be had").lower()
        )
        raise GenwrightError(
            f"port {port} of {host} {why}: choose another with --port, 0 for any that is free",
            code="port-in-use",
        ) from None
    return sock


class EndingServer(uvicorn.Server):
    """A server that, asked to end, says so at /healthz and finishes what was accepted."""

    def __init__(self, front: Front, limits: Limits) -> None:
        self.behind = front.behind
        config = uvicorn.Config(
            front.app,
            http=_protocol(limits),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=False,
            proxy_headers=False,
            h11_max_incomplete_event_size=limits.header,
            timeout_keep_alive=20,
            timeout_graceful_shutdown=int(limits.drain),
        )
        super().__init__(config)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if self.behind.draining and sig == signal.SIGINT:
            self.force_exit = True
        self.behind.draining = True
        self.should_exit = True


def _protocol(limits: Limits) -> type[asyncio.Protocol]:
    class Impatient(H11Protocol):
        """A connection that is closed where no request arrives in time: many slow ones do no harm."""

        def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            self.before: Any = None
            self.patience = self.loop.call_later(limits.receive, self._look)

        def _look(self) -> None:
            """Close it where nothing is answered, and no request has come since the last look."""
            cycle: Any = self.cycle
            if (cycle is None or cycle.response_complete) and cycle is self.before:
                self.transport.close()
                return
            self.before = cycle
            self.patience = self.loop.call_later(limits.receive, self._look)

        def connection_lost(self, exc: Exception | None) -> None:
            self.patience.cancel()
            super().connection_lost(exc)

    return Impatient
