"""A family small enough to look into, and two processes that train together."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

from genwright.families.base import Family
from genwright.nets.auto import Auto
from genwright.space import Real, Space, Symbol

ENDS = """
import hashlib, os, sys
from genwright import api
from genwright.training import distributed
from genwright.training.hooks import Record

def digest(family):
    tensors = [*family.parameters(), *family.buffers()]
    weights = b"".join(t.detach().numpy().tobytes() for t in tensors)
    return hashlib.sha256(weights).hexdigest()

record, seen = Record.after_step, []
def spy(self, trainer, terms):
    record(self, trainer, terms)
    seen.append(trainer.step)
    if trainer.done:
        rollbacks = trainer.monitor.rollbacks
        said = [distributed.rank(), distributed.world(), rollbacks, digest(trainer.family), *seen]
        print("END", *said, flush=True)
Record.after_step = spy
"""
"""At the end each says its rank, the world, rollbacks, a digest of weights and buffers, and all steps."""


def tiny(kind: type[Family]) -> Family:
    return kind(Space((), (Real(2), Symbol(3))), {"label": Space((), (Symbol(2),))}, Auto("xs"))


def two_processes(script: str, *args: object) -> list[list[str]]:
    """What each of two processes that run this says at its end (`ENDS`), by rank."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = str(s.getsockname()[1])
    command = [sys.executable, "-c", ENDS + script, *map(str, args)]
    common = os.environ | {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": port,
        "OMP_NUM_THREADS": "1",
    }
    both = [
        subprocess.Popen(
            command,
            env=common | {"RANK": str(r), "LOCAL_RANK": str(r)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for r in range(2)
    ]
    try:
        said = [p.communicate(timeout=300)[0] for p in both]
    finally:
        for p in both:
            p.kill()
    assert [p.returncode for p in both] == [0, 0]
    ends = sorted(
        line.split()[1:] for out in said for line in out.splitlines() if line.startswith("END")
    )
    assert [end[:2] for end in ends] == [["0", "2"], ["1", "2"]]
    return ends
