"""What is shown while it is made: rows cell by cell, and texts whose symbols come in any order."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from serving_client import client_of

from commands import TINY, done, text
from genwright.data.text.field import TextField
from genwright.families.anyorder import AnyOrder
from genwright.families.autoregressive import Autoregressive
from genwright.families.drafts import Draft, watching
from genwright.nets.auto import Auto
from genwright.serving import work
from genwright.serving.app import make_server
from genwright.space import Space, Symbol


@pytest.fixture(autouse=True)
def _every_draft(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "BETWEEN", 0.0)
    monkeypatch.setattr(work, "SHARE", 0)
    monkeypatch.setattr("genwright.serving.channel.HELD", 10**6)


def streamed(client: Any, **body: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The drafts of a stream, and the examples that it ends with."""
    answer = client.post("/v1/sample", json=body | {"stream": True})
    parts = [part.split("\ndata: ") for part in answer.text.strip().split("\n\n")]
    found = [(name.removeprefix("event: "), json.loads(data)) for name, data in parts]
    assert found[-1][0] == "done", found[-1]
    drafts = [data for name, data in found if name == "draft"]
    return drafts, [one for name, data in found if name == "examples" for one in data["examples"]]


@pytest.mark.parametrize("n", [3, 20])
def test_cells_of_rows_come_one_by_one_and_stay(served, n):
    drafts, made = streamed(served.client, run="rows", n=n, seed=4, previews=True)
    assert drafts
    for draft in drafts:
        rows, there = draft["rows"], sum(map(len, draft["rows"]))
        assert len(draft["html"]) == 1
        assert ("…" in draft["html"][0]) == (there < 2 * len(rows))
        for cells, whole in zip(rows, made[draft["first"] :], strict=False):
            assert cells.items() <= whole["row"].items()
    assert 0 < sum(map(len, drafts[0]["rows"])) < 2 * len(drafts[0]["rows"])


def test_symbols_of_a_text_come_in_any_order_and_stay(tmp_path):
    from genwright import api

    text(tmp_path / "fox.txt")
    settings = ("--family", "masked", "--set", "codec.length=16")
    done("train", tmp_path / "fox.txt", *settings, "--out", tmp_path / "masked", *TINY)
    server = make_server([(tmp_path / "masked", api.load(tmp_path / "masked"))], threads=1)
    with server.engine:
        drafts, made = streamed(client_of(server), n=2, seed=4, options={"temperature": 0})
    assert len(drafts) > 8
    for draft in drafts:
        for so_far, one in zip(draft["texts"], made, strict=True):
            assert all(a in ("_", b) for a, b in zip(so_far, one["text"], strict=True))
    (length,) = server.catalogue["masked"].made.space.grid
    assert [text.count("_") for text in drafts[0]["texts"]] == [length - 1] * 2


def test_a_text_ends_where_its_end_is_made():
    field = TextField(layout="documents", length=6)
    field.fit(["abc"] * 9)
    field.settle()
    a, b = field.prompt("ab")
    x = np.array([[[a, 0, b, 0, 0, 0]], [[a, b, 0, 0, 0, 0]], [[0] * 6]])
    hidden = np.array([[[0, 1, 0, 0, 1, 1]], [[0, 0, 1, 1, 0, 0]], [[1] * 6]], bool)
    assert field.in_progress([], x, hidden) == ["a_b", "ab__", "______"]


@pytest.mark.parametrize("kind", [Autoregressive, AnyOrder])
def test_symbols_that_are_not_made_are_hidden_and_none_is_out_of_bounds(kind):
    space = Space((), (Symbol(3), Symbol(5), Symbol(2)))
    family = kind(space, {}, Auto("xs")).eval()
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []

    def look(draft: Draft) -> None:
        assert draft.hidden is not None
        seen.append((draft.examples(), draft.hidden()))

    with watching(look):
        made = family.sample(4, seed=1)
    assert [int(hidden[0].sum()) for _, hidden in seen] == [2, 1, 0]
    for x, hidden in seen:
        space.check(x, "a draft")
        assert torch.equal(x[:4][~hidden[:4]], made[~hidden[:4]])
