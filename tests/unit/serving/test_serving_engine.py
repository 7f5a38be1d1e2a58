"""The engine: requests made at once, a queue with an end, askers that go away."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from serving_client import client_of, on_a_port

from genwright.families.drafts import Draft, reached
from genwright.serving.app import make_server
from genwright.serving.counters import Counters
from genwright.serving.engine import Engine, Work
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal


class Waits(Work):
    """Work that takes steps until it is let go."""

    def __init__(self, key: object = None, *, seconds: float = 30, lanes: int = 4) -> None:
        super().__init__(seconds)
        self.key, self.lanes = key, lanes
        self.go, self.begun, self.done = threading.Event(), threading.Event(), threading.Event()
        self.error: BaseException | None = None
        self.beside = 0

    def perform(self) -> None:
        self.begun.set()
        for step in range(10**6):
            reached(Draft(step, 10**6, lambda: None))
            if self.go.wait(0.005):
                break
        self.done.set()

    def perform_together(self, others: Any) -> None:
        for one in (self, *others):
            one.beside = len(others)
            one.done.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.done.set()


@pytest.fixture
def engine():
    limits = Limits(waiting=6, window=0.05)
    with Engine(limits, Counters(), threads=1) as made:
        yield made


def busy(engine: Engine) -> Waits:
    """What keeps the only thread of an engine busy."""
    work = Waits()
    engine.submit(work)
    assert work.begun.wait(10)
    return work


def test_those_of_one_key_are_made_at_once_as_far_as_there_are_lanes(engine):
    first = busy(engine)
    works = [Waits("a") for _ in range(5)]
    for work in works:
        engine.submit(work)
    first.go.set()
    works[-1].go.set()
    assert all(work.done.wait(10) for work in works)
    assert [work.beside for work in works] == [3, 3, 3, 3, 0]


def test_one_waits_a_moment_for_others(engine):
    one, other = Waits("a"), Waits("a", lanes=2)
    one.lanes = 2
    engine.submit(one)
    time.sleep(0.01)
    engine.submit(other)
    assert one.done.wait(10)
    assert one.beside == other.beside == 1


def test_a_full_queue_refuses_and_says_when_to_come_again(engine):
    first = busy(engine)
    for _ in range(6):
        work = Waits()
        work.go.set()
        engine.submit(work)
    with pytest.raises(HttpRefusal, match="wait already") as refusal:
        engine.submit(Waits())
    assert (refusal.value.status, refusal.value.retry_after) == (503, 1)
    first.go.set()


def test_who_goes_away_frees_the_place_at_the_next_step(engine):
    first, waiting, last = busy(engine), Waits(), Waits()
    engine.submit(waiting)
    engine.submit(last)
    engine.cancel(waiting)
    assert engine.waiting == 1
    engine.cancel(first)  # which is being made, and is never let go
    assert last.begun.wait(5)
    assert not waiting.begun.is_set()
    last.go.set()


def test_what_takes_too_long_is_ended(engine):
    work = Waits(seconds=0.05)
    engine.submit(work)
    assert work.done.wait(5)
    assert isinstance(work.error, HttpRefusal)
    assert work.error.status == 504


def test_what_fails_for_one_of_several_fails_for_it_alone(engine):
    class Fails(Waits):
        def perform_together(self, others: Any) -> None:
            raise ValueError("one of them")

        def perform(self) -> None:
            if self.beside < 0:
                raise KeyError("this one")
            self.done.set()

    first, works = busy(engine), [Fails("a"), Fails("a")]
    works[1].beside = -1
    for work in works:
        engine.submit(work)
    first.go.set()
    assert all(work.done.wait(5) for work in works)
    assert works[0].error is None
    assert isinstance(works[1].error, KeyError)


# -- through HTTP ----------------------------------------------------------------------------------


def test_many_askers_at_once_get_what_each_gets_alone(served):
    asked = [{"run": "faces-run", "n": 1 + i % 2, "seed": i, "options": {"steps": 4}} for i in range(8)]
    alone = [served.sample(**one).json()["examples"] for one in asked]
    counters = served.server.engine.counters
    before = counters.value("batches_total")
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda one: served.sample(**one).json()["examples"], asked))
    assert together == alone
    assert counters.value("batches_total") - before < 8


def test_overload_is_refused_with_503_and_nothing_else(models):
    server = make_server(models, limits=Limits(waiting=2), threads=1)
    with server.engine:
        client = client_of(server)
        body = {"run": "faces-run", "n": 20, "options": {"steps": 30}}
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: client.post("/v1/sample", json=body), range(8)))
    statuses = [answer.status_code for answer in answers]
    assert set(statuses) == {200, 503}
    assert all(answer.headers["retry-after"] == "1" for answer in answers if answer.status_code == 503)


def test_a_client_that_goes_away_ends_its_sampling(models):
    import socket

    with on_a_port(models) as (address, server):
        host, port = address.removeprefix("http://").split(":")
        body = b'{"run": "faces-run", "n": 64, "options": {"steps": 1000}, "stream": true}'
        head = f"POST /v1/sample HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/json\r\n"
        with socket.create_connection((host, int(port))) as sock:
            sock.sendall(head.encode() + f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
            assert b"200 OK" in sock.recv(4096)
            assert server.engine.busy == 1
        until = time.monotonic() + 5
        while server.engine.busy and time.monotonic() < until:
            time.sleep(0.01)
        assert server.engine.busy == 0
        assert server.engine.counters.value("abandoned_total") == 1


def test_what_was_accepted_is_answered_before_the_end(models):
    import httpx2

    with on_a_port(models) as (address, server), ThreadPoolExecutor(1) as pool:
        body = {"run": "faces-run", "n": 8, "options": {"steps": 60}}
        answer = pool.submit(httpx2.post, f"{address}/v1/sample", json=body, timeout=30)
        until = time.monotonic() + 5
        while not server.engine.busy and time.monotonic() < until:
            time.sleep(0.005)
        server.engine.draining = True
        assert httpx2.get(f"{address}/healthz").status_code == 503
        late = httpx2.post(f"{address}/v1/sample", json=body)
        assert (late.status_code, late.json()["error"]["code"]) == (503, "draining")
        assert answer.result().status_code == 200
