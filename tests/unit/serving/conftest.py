"""Three tiny runs, and a server for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from serving_client import EVIL, Served, client_of

from commands import TINY, classes, done, table, text


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
        table(folder / "rows.csv", rows, head="x,<script>alert(2)</script>")
        done("train", folder / "faces", "--family", "diffusion", "--out", "faces-run", *TINY)
        done("train", "fox.txt", "--set", "codec.length=16", "--out", "fox", *TINY)
        done("train", folder / "rows.csv", "--family", "masked", "--out", "rows", *TINY)
    return [(folder / name, api.load(folder / name)) for name in ("faces-run", "fox", "rows")]


@pytest.fixture(scope="module")
def served(models: list[Any]) -> Iterator[Served]:
    from genwright.serving.app import make_server

    server = make_server(models, threads=2)
    with server.engine:
        yield Served(server, client_of(server), models[0][0].parent)
