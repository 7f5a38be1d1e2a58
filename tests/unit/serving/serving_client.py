"""Asking a server in this process, or one on a port."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EVIL = '<img src=x onerror="alert(1)">'
"""What runs in a browser, unless it is escaped."""


@dataclass
class Served:
    """A server that answers in this process, and the runs behind it."""

    server: Any
    client: Any
    folder: Path

    def sample(self, **body: Any) -> Any:
        return self.client.post("/v1/sample", json=body)


def client_of(server: Any, **options: Any) -> Any:
    from starlette.testclient import TestClient

    return TestClient(
        server.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False, **options
    )


@contextmanager
def on_a_port(models: list[Any], limits: Any = None, **options: Any) -> Iterator[tuple[str, Any]]:
    """The address of a server on a real port, in a thread of its own, and the server."""
    from genwright.serving import server as serving
    from genwright.serving.app import make_server
    from genwright.serving.limits import Limits

    limits = limits or Limits()
    built = make_server(models, limits=limits, threads=1, **options)
    with serving.listen("127.0.0.1", 0) as sock, built.engine:
        running = serving.EndingServer(built.front, limits)
        running.capture_signals = threading.Lock  # a thread may not; a lock is a context too
        thread = threading.Thread(target=running.run, kwargs={"sockets": [sock]})
        thread.start()
        until = time.monotonic() + 10
        while not running.started and time.monotonic() < until:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}", built
        finally:
            running.should_exit = True
            thread.join(timeout=10)
