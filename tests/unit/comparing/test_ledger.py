"""What a comparison has done is on the disk at once, and it goes on as it began or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from genwright.comparing.ledger import Ledger
from genwright.errors import RunError
from genwright.storage import durable

ABOUT = {"data": "d", "minutes": 2.0, "families": None}


def code(call: object) -> str:
    with pytest.raises(RunError) as error:
        call()  # type: ignore[operator]
    return error.value.code


def test_what_was_written_is_there_after_a_kill(tmp_path: Path) -> None:
    ledger = Ledger.begin(tmp_path / "out", ABOUT)
    ledger.write("vae/0/0", {"work": 2.5, "step": 3})
    again = Ledger.resume(tmp_path / "out", ABOUT)
    assert again.read("vae/0/0") == {"work": 2.5, "step": 3}
    assert again.read("gan/0/0") is None
    assert again.seconds == 2.5


def test_a_write_that_fails_leaves_the_former_entries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = Ledger.begin(tmp_path, ABOUT)
    ledger.write("a", 1)

    def full(*_: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr(durable.io, "write", full)
    assert code(lambda: ledger.write("b", 2)) == "disk-full"
    assert Ledger.resume(tmp_path, ABOUT).read("b") is None
    assert Ledger.resume(tmp_path, ABOUT).read("a") == 1


def test_a_second_one_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    Ledger.begin(tmp_path, ABOUT)
    assert code(lambda: Ledger.begin(tmp_path, ABOUT)) == "folder-occupied"
    other = tmp_path / "other"
    other.write_text("a file")
    assert code(lambda: Ledger.begin(other, ABOUT)) == "folder-occupied"


def test_it_goes_on_as_it_began(tmp_path: Path) -> None:
    Ledger.begin(tmp_path, ABOUT)
    assert code(lambda: Ledger.resume(tmp_path, ABOUT | {"minutes": 3.0})) == "resume-changes"
    assert code(lambda: Ledger.resume(tmp_path, ABOUT | {"data": "other"})) == "data-changed"
    assert code(lambda: Ledger.resume(tmp_path / "none", ABOUT)) == "no-comparison"
    (tmp_path / "ledger.json").write_text("[1")
    assert code(lambda: Ledger.resume(tmp_path, ABOUT)) == "damaged-comparison"
    (tmp_path / "ledger.json").write_text("[]")
    assert code(lambda: Ledger.resume(tmp_path, ABOUT)) == "damaged-comparison"


def test_one_process_at_a_time(tmp_path: Path) -> None:
    ledger = Ledger.begin(tmp_path, ABOUT)
    with ledger.lock():
        other = Ledger.resume(tmp_path, ABOUT)

        def twice() -> None:
            with other.lock():
                pass

        assert code(twice) == "run-locked"
