"""A tiny run of each modality, made once in each process that runs tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from commands import TINY, classes, done, table, text


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, and a run of each modality: `row`, `image` and `text`; a test gets a copy, `room`."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table(folder / "rows.csv")
        classes(folder / "faces")
        text(folder / "fox.txt")
        done("train", "rows.csv", "--family", "vae", "--label", "y", "--out", "row", *TINY)
        done("train", "faces", "--family", "vae", "--out", "image", *TINY)
        done("train", "fox.txt", "--set", "codec.length=16", "--out", "text", *TINY)
    return folder


@pytest.fixture
def room(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to spoil."""
    folder = tmp_path / "room"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder
