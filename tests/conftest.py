"""Every test has a folder of its own to stand in, and prepared data goes to one that is thrown away."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `snippets.py` and `commands.py` are shared


def group(nodeid: str) -> str:
    """What shares work stays in one process where tests run in several: those of a file, and within a
    contract those of one family, metric or net, which is the first thing in the brackets."""
    file, _, rest = nodeid.partition("::")
    if "contract" not in file.split("/"):
        return file
    return f"{file} {rest.partition('[')[2].partition('-')[0].rstrip(']')}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """By the groups above: a marker `xdist_group` is lost on pytest from 9.2 on, with no word said."""
    from xdist.scheduler import LoadScopeScheduling

    class Groups(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return group(nodeid)

    return Groups(config, log) if config.getvalue("dist") == "loadscope" else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, Any, Any]:
    """What is collected stays to the end: to look for garbage among it took a third of the collection, and
    would take .3 s of each full search while tests run."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.collect()
        gc.freeze()
        gc.enable()


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What reaches the disk no test can see: those of power cuts keep account of the calls themselves. A training
    waits for the disk some thirty times, longer than it works; processes that tests start still do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", os.fstat)  # which refuses what is not open, as the real one does
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `runs/` lands in the repository."""
    monkeypatch.chdir(tmp_path)
