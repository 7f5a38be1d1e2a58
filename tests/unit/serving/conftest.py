"""Three tiny runs, and a server for them."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from commands import TINY, classes, done, table, text

EVIL = '<img src=x onerror="alert(1)">'


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    """Pictures with a label, a text, and a table whose names and values are markup."""
    pytest.importorskip("starlette", reason="genwright[serve] is not installed")
    from genwright import api

    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        classes(folder / "faces")
        text(folder / "fox.txt")
        rows = [(i / 7, EVIL if i % 2 else "<b>b</b>") for i in range(80)]
        table(folder / "rows.csv", rows, head=f"x,<script>alert(2)</script>")
        done("train", folder / "faces", "--family", "diffusion", "--out", "faces-run", *TINY)
        done("train", "fox.txt", "--set", "codec.length=16", "--out", "fox", *TINY)
        done("train", folder / "rows.csv", "--family", "masked", "--out", "rows", *TINY)
    return [(folder / name, api.load(folder / name)) for name in ("faces-run", "fox", "rows")]


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

    return TestClient(server.app, base_url="http://127.0.0.1:8000", raise_server_exceptions=False, **options)


@pytest.fixture(scope="module")
def served(models: list[Any]) -> Iterator[Served]:
    from genwright.serving.app import build

    server = build(models, threads=2)
    with server.engine:
        yield Served(server, client_of(server), models[0][0].parent)


@contextmanager
def on_a_port(models: list[Any], limits: Any = None, **options: Any) -> Iterator[tuple[str, Any]]:
    """The address of a server on a real port, in a thread of its own, and the server."""
    from genwright.serving import server as serving
    from genwright.serving.app import build
    from genwright.serving.limits import Limits

    limits = limits or Limits()
    built = build(models, limits=limits, threads=1, **options)
    with serving.listen("127.0.0.1", 0) as sock, built.engine:
        running = serving._Ending(built, limits)
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
