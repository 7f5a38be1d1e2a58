"""Every test has a folder of its own to stand in, and prepared data goes to one that is thrown away."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))  # `snippets.py` and `commands.py` are shared


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What shares work stays in one process where tests run in several: those of a file, and within a
    contract those of one family or metric."""
    for item in items:
        group = [str(item.path)]
        if isinstance(item, pytest.Function) and item.path.parent.name == "contract":
            given = item.callspec.params if hasattr(item, "callspec") else {}
            group += [str(given[key]) for key in ("family", "name") if key in given]
        item.add_marker(pytest.mark.xdist_group(" ".join(group)))


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GENWRIGHT_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No `runs/` lands in the repository."""
    monkeypatch.chdir(tmp_path)
