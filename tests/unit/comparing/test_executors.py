"""Where trainings run changes nothing; a process that is lost is begun again."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from genwright.comparing import executors
from genwright.comparing.executors import InProcess, Processes, executor_for
from genwright.errors import GenwrightError


@pytest.fixture(autouse=True)
def echo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "WORKER", "echo_worker")
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


@pytest.fixture
def two() -> Iterator[Processes]:
    pool = Processes(2)
    yield pool
    pool.close()


def task(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "limit": 60.0, **more}


def said(found: Iterator[tuple[object, dict[str, object]]]) -> dict[object, object]:
    return {one["name"]: answer.get("said", answer.get("error")) for one, answer in found}  # type: ignore[index]


def test_several_processes_answer_what_one_does(two: Processes) -> None:
    tasks = [task(str(i)) for i in range(5)]
    assert said(two.run(tasks)) == said(InProcess().run(tasks)) == {str(i): str(i) for i in range(5)}


def test_two_work_at_a_time_and_stay(two: Processes) -> None:
    list(two.run([task("warm", sleeps=0.3), task("up", sleeps=0.3)]))
    began = time.monotonic()
    found = [answer["process"] for _, answer in two.run([task(str(i), sleeps=0.5) for i in range(4)])]
    assert time.monotonic() - began < 1.7  # one alone takes 2.0
    assert len(set(found)) == 2


def test_a_process_that_was_lost_is_begun_again(two: Processes, tmp_path: Path) -> None:
    assert said(two.run([task("a", dies_once=str(tmp_path / "once"))])) == {"a": "a"}
    answers = said(two.run([task("b", dies=True), task("c")]))
    assert answers["c"] == "c"
    assert answers["b"]["code"] == "worker-lost"  # type: ignore[index]
    assert "signal 9" in answers["b"]["words"]  # type: ignore[index]


def test_a_process_that_hangs_is_ended(two: Processes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executors, "IDLE", 1.0)
    answers = said(two.run([task("a", hangs=True) | {"limit": 0.3}]))
    assert answers["a"]["code"] == "worker-lost"  # type: ignore[index]


def test_what_cannot_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    def code(**how: object) -> str:
        with pytest.raises(GenwrightError) as error:
            executor_for(**how)  # type: ignore[arg-type]
        return error.value.code

    assert code(workers=0) == "out-of-range"
    assert code(workers=2, ray="auto") == "contradicting-options"
    monkeypatch.setitem(sys.modules, "ray", None)
    assert code(ray="auto") == "missing-extra"
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert code() == "under-torchrun"


def test_a_cluster_that_is_not_there_is_said_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", ModuleType("ray"))  # which would try for minutes
    with pytest.raises(GenwrightError, match=r"no Ray cluster answers at '127\.0\.0\.1:1'") as error:
        executor_for(ray="127.0.0.1:1")
    assert error.value.code == "no-cluster"
    assert "refused" in str(error.value)
