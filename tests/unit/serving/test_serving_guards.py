"""What a server bears, who may start one, and what it writes: each rule with the mutant that it is caught by.

Those of its access control are in `test_serving_access.py`.
"""

from __future__ import annotations

import csv
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from genwright.data import labels
from genwright.data.image.field import ImageField
from genwright.data.text.field import TextField
from genwright.errors import GenwrightError
from genwright.families.drafts import Draft, reached
from genwright.serving import server, token
from genwright.serving.counters import Counters
from genwright.serving.engine import Engine, Work
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal


class Steps(Work):
    """Work of many steps, which ends when it is let go."""

    def __init__(self, seconds: float = 30.0) -> None:
        super().__init__(seconds)
        self.begun, self.go, self.ended = threading.Event(), threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def perform(self) -> None:
        self.begun.set()
        for step in range(400):
            reached(Draft(step, 400, lambda: None))
            if self.go.wait(0.005):
                break
        self.ended.set()

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.ended.set()


# -- the rules -------------------------------------------------------------------------------------


def a_full_queue_refuses(folder: Path) -> None:
    with Engine(Limits(waiting=1), Counters(), threads=1) as one:
        first, second = Steps(), Steps()
        one.submit(first)
        assert first.begun.wait(10)
        one.submit(second)
        with pytest.raises(HttpRefusal) as refusal:
            one.submit(Steps())
        assert (refusal.value.status, refusal.value.retry_after) == (503, 1)
        for work in (first, second):
            work.go.set()


def nothing_is_taken_while_the_server_ends(folder: Path) -> None:
    with Engine(Limits(), Counters(), threads=1) as one:
        accepted = Steps()
        one.submit(accepted)
        one.draining = True
        with pytest.raises(HttpRefusal) as refusal:
            one.submit(Steps())
        assert refusal.value.status == 503
        accepted.go.set()
        assert accepted.ended.wait(10)
        assert accepted.error is None


def who_goes_away_frees_the_place(folder: Path) -> None:
    with Engine(Limits(), Counters(), threads=1) as one:
        first, second = Steps(), Steps()
        one.submit(first)
        assert first.begun.wait(10)
        one.submit(second)
        one.cancel(second)
        assert one.waiting == 0
        one.cancel(first)
        last = Steps()
        one.submit(last)
        assert last.begun.wait(1)
        last.go.set()


def what_takes_too_long_is_ended(folder: Path) -> None:
    with Engine(Limits(), Counters(), threads=1) as one:
        work = Steps(seconds=0.05)
        one.submit(work)
        assert work.ended.wait(1)
        assert isinstance(work.error, HttpRefusal)
        assert work.error.status == 504


def sampling_leaves_the_event_loop_alone(folder: Path) -> None:
    with Engine(Limits(), Counters(), threads=1) as one:
        work, began = Steps(), time.monotonic()
        one.submit(work)
        assert time.monotonic() - began < 0.5
        work.go.set()


def a_token_is_for_its_owner(folder: Path) -> None:
    file = folder / "token"
    file.write_text("t0ken-0123456789abcdef\n")
    file.chmod(0o640)
    with pytest.raises(GenwrightError, match="chmod 600"):
        token.read_token(file)


def an_open_host_wants_a_token(folder: Path) -> None:
    for host in ("0.0.0.0", "::", "192.168.1.2"):
        with pytest.raises(GenwrightError, match="no token"):
            server.check_open(host, None)


def a_text_that_is_made_is_no_formula(folder: Path) -> None:
    picture = np.zeros((2, 2, 1), np.uint8)
    values = {"image": [picture], "caption": ["=HYPERLINK(0)"]}
    fields = {"image": ImageField(), "caption": TextField()}
    *_, table = labels.write_beside(values, fields, folder, ImageField, "image")
    with table.open(newline="") as stream:
        assert all(not cell.startswith("=") for row in csv.reader(stream) for cell in row)


Rule = Callable[[Path], None]


# -- their mutants ---------------------------------------------------------------------------------


def nothing(*_: object) -> None: ...


def a_queue_without_end(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "check_room", nothing)


def none_is_let_go(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "cancel", nothing)


def no_end_of_time(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Work, "over", property(lambda self: self.cancelled))


def sampled_where_it_is_asked(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Engine, "submit", lambda self, work: work.perform())


def any_mode(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(token.os, "name", "another")


def every_host_is_loopback(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(server, "is_loopback", lambda host: True)


def cells_as_they_are(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(labels, "as_text", lambda value: value)


MUTANTS: dict[Rule, Callable[[pytest.MonkeyPatch], None]] = {
    a_full_queue_refuses: a_queue_without_end,
    nothing_is_taken_while_the_server_ends: a_queue_without_end,
    who_goes_away_frees_the_place: none_is_let_go,
    what_takes_too_long_is_ended: no_end_of_time,
    sampling_leaves_the_event_loop_alone: sampled_where_it_is_asked,
    a_token_is_for_its_owner: any_mode,
    an_open_host_wants_a_token: every_host_is_loopback,
    a_text_that_is_made_is_no_formula: cells_as_they_are,
}


@pytest.mark.parametrize("rule", MUTANTS, ids=lambda rule: rule.__name__)
def test_a_rule_holds(rule, tmp_path):
    rule(tmp_path)


@pytest.mark.parametrize("rule", MUTANTS, ids=lambda rule: rule.__name__)
def test_a_rule_catches_its_mutant(rule, tmp_path, monkeypatch):
    MUTANTS[rule](monkeypatch)
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        rule(tmp_path)
