"""Trainings on the machines of a Ray cluster.

Ray only says where. A run folder goes to the machine that trains and comes home with the answer, so that nothing has
to be on a disk that all share but the data. What Ray loses with a machine is begun again on another.
"""

from __future__ import annotations

import io
import logging
import shutil
import socket
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from genwright.comparing.executors import WORKER, Answer, Executor, Task
from genwright.errors import RecipeError, missing_extra
from genwright.storage import durable

__all__ = ["Cluster"]

RETRIES = 2
"""Of a training whose machine was lost."""
CONNECTING = 10.0
"""Seconds in which a cluster has to take a connection."""


class Cluster(Executor):
    """The cluster at an address: "auto" for the one that this machine belongs to, "local" for one that is started
    here and ended afterwards. Raises `RecipeError` where there is none."""

    def __init__(self, address: str) -> None:
        try:
            import ray
        except ImportError:
            raise missing_extra("--ray", "ray", "cluster") from None
        self.ray = ray
        try:
            _reach(address)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
        except Exception as error:
            raise RecipeError(
                f"no Ray cluster answers at {address!r} ({_short(error)}): start one (ray start --head), name its "
                f"address, or leave --ray out",
                code="no-cluster",
            ) from error
        self.remote = ray.remote(num_cpus=1, max_retries=RETRIES)(_perform)

    def run(self, tasks: Sequence[Task]) -> Iterator[tuple[Task, Answer]]:
        return self._answers(
            {self.remote.remote(dict(task), _packed(Path(task["run"]))): task for task in tasks}
        )

    def _answers(self, asked: dict[Any, Task]) -> Iterator[tuple[Task, Answer]]:
        while asked:
            (done, *_), _ = self.ray.wait(list(asked), num_returns=1)
            task = asked.pop(done)
            try:
                answer, packed = self.ray.get(done)
            except Exception as error:
                words = f"Ray lost it {RETRIES + 1} times ({_short(error)})"
                yield task, {"error": {"code": "worker-lost", "words": words}, "work": 0.0}
                continue
            if packed:
                _unpack(packed, Path(task["run"]))
            yield task, answer

    def close(self) -> None:
        self.ray.shutdown()


def _reach(address: str) -> None:
    """Raise `OSError` where nobody listens at host:port, which Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if "/" not in address and host and port.isdigit():
        socket.create_connection((host.strip("[]"), int(port)), CONNECTING).close()


def _perform(task: dict[str, Any], packed: bytes) -> tuple[Answer, bytes]:
    """On a machine of the cluster: train in a folder there, and send the run home."""
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder) / Path(task["run"]).name
        if packed:
            _unpack(packed, run)
        answer: Answer = import_module(WORKER).perform(task | {"run": str(run)})
        return answer, _packed(run)


def _packed(run: Path) -> bytes:
    """A run folder in a tar archive; empty where there is none."""
    if not run.is_dir():
        return b""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(run, arcname=".")
    return packed.getvalue()


def _unpack(packed: bytes, run: Path) -> None:
    """A run folder out of an archive, in the place of one that is there."""
    fresh = run.with_name(run.name + durable.TEMPORARY)
    shutil.rmtree(fresh, ignore_errors=True)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        archive.extractall(fresh, filter="data")
    shutil.rmtree(run, ignore_errors=True)
    fresh.rename(run)


def _short(error: Exception) -> str:
    """The first line of an error."""
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
