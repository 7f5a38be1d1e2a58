"""The verb `serve`; see `cli/main.py`, which takes it in."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated

import typer

from genwright.cli.console import say

__all__ = ["serve"]


def serve(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, served side by side")
    ],
    host: Annotated[
        str, typer.Option(help="Another than this machine needs --token-file")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 for any that is free")] = 8000,
    token_file: Annotated[
        Path | None, typer.Option(metavar="F", help="A file of mode 0600 with a token to be asked for")
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps")] = "auto",
) -> None:
    """A web page and an HTTP API for runs, on this machine alone unless you open it."""
    # And not `api`, with which torch would be loaded in this process, too.
    from genwright.serving.server import run_server

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")

    def ready(address: str) -> None:
        say(
            f"Serving {', '.join(run.name for run in runs)} at {address} (API: {address}api); Ctrl-C ends"
        )

    run_server(runs, host, port, token_file, device=device, ready=ready)
