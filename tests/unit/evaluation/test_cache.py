from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Event

import numpy as np
import pytest

from genwright.data.codec import Array
from genwright.evaluation import cache
from genwright.evaluation.cache import Memo, once

asked: list[int] = []


def total(rows: Array, k: int) -> float:
    asked.append(k)
    return k * float(rows.sum())


def test_equal_questions_are_answered_once() -> None:
    asked.clear()
    rows = np.random.default_rng(0).normal(size=(7, 3))
    assert once(total, rows, 2) == once(total, rows.copy(), 2) == 2 * rows.sum()
    assert asked == [2]
    once(total, rows, 3)
    assert asked == [2, 3]
    # Another shape, another type and another value are other questions.
    for other in (rows.reshape(3, 7), rows.astype(np.float32), rows + 1e-9):
        once(total, other, 2)
    assert asked == [2, 3, 2, 2, 2]


def test_only_so_many_answers_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "answers", Memo(2))
    asked.clear()
    rows = np.ones((2, 2))
    for k in (11, 12, 11, 13, 11, 12):
        once(total, rows, k)
    assert asked == [11, 12, 13, 12]
    assert len(cache.answers) == 2


def test_threads_that_ask_the_same_wait_for_one_answer() -> None:
    kept, begun, go = Memo(4), Event(), Event()

    def slow() -> object:
        begun.set()
        assert go.wait(10)
        return object()

    with ThreadPoolExecutor(3) as pool:
        first = pool.submit(kept.keep, ("slow",), slow)
        assert begun.wait(10)
        others = [pool.submit(kept.keep, ("slow",), object) for _ in range(2)]
        go.set()
        assert {id(one.result(10)) for one in others} == {id(first.result(10))}


def test_what_is_raised_is_raised_again_and_not_kept() -> None:
    kept = Memo(4)
    with pytest.raises(ZeroDivisionError):
        kept.keep(("k",), lambda: 1 // 0)
    assert len(kept) == 0
    assert kept.keep(("k",), lambda: 2) == 2
