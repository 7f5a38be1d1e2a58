"""Who speaks, where there are several: the command line and the training agree before they meet."""

from __future__ import annotations

import pytest

from genwright.cli.signals import Stop
from genwright.process import is_main
from genwright.training import distributed


@pytest.mark.parametrize(
    ("environment", "main"),
    [
        ({}, True),
        ({"RANK": "0", "WORLD_SIZE": "2"}, True),
        ({"RANK": "1", "WORLD_SIZE": "2"}, False),
        ({"RANK": "3"}, True),  # of something else than torchrun: it is alone
    ],
)
def test_the_first_or_the_only_one_is_the_main_one(
    environment: dict[str, str], main: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_main() == distributed.is_main() == main
    assert Stop().training != main  # the first alone is told of the beginning
