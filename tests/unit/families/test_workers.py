"""Pieces of work side by side: in order, in one thread each, ended together."""

from __future__ import annotations

import threading

import pytest
import torch

from genwright.families.autoregressive import Autoregressive
from genwright.families.workers import side_by_side
from genwright.nets.transformer import TransformerNets
from genwright.space import Space, Symbol

CPU = torch.device("cpu")


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("three_threads")
def test_as_many_at_a_time_as_there_are_threads_each_with_one():
    together = threading.Barrier(3, timeout=10)  # passed only by three at a time

    def make(piece: int) -> tuple[int, int, bool]:
        if piece < 3:
            together.wait()
        return piece, torch.get_num_threads(), torch.is_grad_enabled()

    assert list(side_by_side(make, range(7), CPU)) == [(i, 1, False) for i in range(7)]
    assert torch.get_num_threads() == 3


@pytest.mark.usefixtures("three_threads")
def test_what_goes_wrong_ends_all_and_none_is_begun_that_nobody_waits_for():
    begun = []

    def make(piece: int) -> int:
        begun.append(piece)
        return 1 // (piece - 2)

    with pytest.raises(ZeroDivisionError):
        list(side_by_side(make, range(1000), CPU))
    assert len(begun) < 10
    assert torch.get_num_threads() == 3


def test_chunks_side_by_side_are_those_one_after_the_other():
    torch.manual_seed(0)
    family = Autoregressive(Space((5,), (Symbol(4), Symbol(3))), {}, TransformerNets("xs"))
    torch.nn.init.normal_(family.head)
    made = []
    for threads in (1, 3):
        before = torch.get_num_threads()
        torch.set_num_threads(threads)
        made.append(family.sample(50, seed=1, chunk=8))
        torch.set_num_threads(before)
    assert torch.equal(*made)
    assert torch.equal(made[0][:16], family.sample(16, seed=1, chunk=8))
    assert not torch.equal(made[0], family.sample(50, seed=2, chunk=8))
