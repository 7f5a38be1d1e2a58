"""As many threads as the machine has cores free, and as many as before when all is done."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from genwright import api
from genwright.storage.run import Run
from genwright.training import threads
from genwright.training.threads import Threads, fitting
from genwright.training.trainer import Progress

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def two() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def machine(monkeypatch: pytest.MonkeyPatch, **speeds: list[float]) -> dict[str, list[float]]:
    """One on which so many threads (`_1`, `_2`) do so many operations, from try to try; the last stays."""

    def speed(n: int) -> float:
        torch.set_num_threads(n)
        of = speeds[f"_{n}"]
        return of.pop(0) if len(of) > 1 else of[0]

    monkeypatch.setattr(threads, "_speed", speed)
    return speeds


@pytest.mark.parametrize(
    ("speeds", "most", "found"),
    [
        ({"_1": [100.0], "_2": [160.0]}, 2, 2),
        ({"_1": [100.0], "_2": [60.0]}, 2, 2),
        ({"_1": [100.0], "_2": [1.0]}, 2, 1),
        ({"_1": [100.0], "_2": [90.0, 90.0, 1.0]}, 2, 1),  # a window in which all ran
        ({"_1": [100.0], "_8": [1.0], "_4": [2.0], "_2": [150.0]}, 8, 2),
    ],
)
def test_as_many_as_do_not_wait_for_each_other(
    speeds: dict[str, list[float]], most: int, found: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, **speeds)
    assert fitting(most) == found


def test_a_number_is_really_tried() -> None:
    for n in (2, 1):
        assert threads._speed(n) > 0
        assert torch.get_num_threads() == n


def test_it_follows_the_machine_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(threads.time, "monotonic", lambda: clock[0])
    speeds = machine(monkeypatch, _1=[100.0], _2=[1.0])
    seen = []
    with Threads(CPU, chooses=True) as own:
        for second in range(200):
            clock[0] = float(second)
            own.look()
            seen.append(torch.get_num_threads())
            if second == 70:
                assert "goes on with 1" in own.words
                speeds["_2"] = [150.0]
        assert not own.words
    # Looks at 0, 20 and 60 found it busy, that at 140 did not.
    assert seen == [1] * 140 + [2] * 60
    assert torch.get_num_threads() == 2


def test_where_steps_are_counted_it_only_tells(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, _1=[100.0], _2=[1.0])
    with Threads(CPU, chooses=False) as own:
        assert torch.get_num_threads() == 2
        assert "OMP_NUM_THREADS=1 in the environment" in own.words


def test_one_thread_and_other_devices_ask_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    with Threads(torch.device("meta"), chooses=True) as own:
        assert not own.words
        assert torch.get_num_threads() == 2
    torch.set_num_threads(1)
    with Threads(CPU, chooses=True) as own:
        assert not own.words


@pytest.mark.parametrize("timed", [True, False])
def test_a_training_by_time_gives_way_and_one_by_steps_says_so(
    timed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(monkeypatch, _1=[100.0], _2=[1.0])
    images = np.random.default_rng(0).integers(0, 255, (40, 6, 6)).astype(np.uint8)
    np.savez(tmp_path / "tiny.npz", images=images)
    seen: list[tuple[int, str]] = []

    def report(progress: Progress) -> None:
        seen.append((torch.get_num_threads(), progress.busy))

    bound = {"minutes": 0.005} if timed else {"steps": 2}
    api.train(
        tmp_path / "tiny.npz", family="vae", size="xs", out=tmp_path / "run", report=report, **bound
    )
    assert {n for n, _ in seen} == {1 if timed else 2}
    assert all("other programs want the cores" in busy for _, busy in seen)
    assert torch.get_num_threads() == 2
    log = [record["threads"] for record in Run.open(tmp_path / "run").metrics() if "threads" in record]
    assert set(log) == {1 if timed else 2}
