"""A run that was trained on dialogues: its form, the route of chats, and OpenAI's own client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from serving_client import Served, client_of, on_a_port

from commands import TALKS, TINY, dialogues, done
from genwright.serving.app import make_server
from genwright.serving.limits import Limits

ASKED = [{"role": "user", "content": "how is 3?"}, {"role": "assistant", "content": "it is odd"},
         {"role": "user", "content": "how is 4?"}]  # fmt: skip
READ = "user: how is 3?\nassistant: it is odd\nuser: how is 4?"


@pytest.fixture(scope="module")
def talks(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Path, Any]]:
    from genwright import api

    folder = tmp_path_factory.mktemp("talks")
    done("train", dialogues(folder / "talks.jsonl"), *TALKS, "--out", folder / "talks", *TINY)
    return [(folder / "talks", api.load(folder / "talks"))]


@pytest.fixture(scope="module")
def served(talks: list[Any]) -> Iterator[Served]:
    server = make_server(talks, threads=1)
    with server.engine:
        yield Served(server, client_of(server), talks[0][0].parent)


def chat(served: Served, **body: Any) -> Any:
    return served.client.post("/v1/chat/completions", json={"model": "talks", "messages": ASKED} | body)


def test_a_form_takes_turns(served):
    (run,) = served.client.get("/v1/runs").json()["runs"]
    assert [(one["name"], one["kind"]) for one in run["fields"]] == [("prompt", "turns")]


def test_turns_are_read_as_in_training(served):
    run = served.server.catalogue["talks"]
    assert run.checked_given({"prompt": ASKED}, 2, Limits()) == {"prompt": READ}
    many = {"prompt": [READ, "user: x"]}
    assert run.checked_given(many, 2, Limits()) == many
    in_turns = served.sample(seed=3, given={"prompt": ASKED}).json()
    assert in_turns["examples"] == served.sample(seed=3, given={"prompt": READ}).json()["examples"]


def test_a_chat_is_the_next_turn(served):
    answer = chat(served, seed=3)
    (made,) = served.sample(seed=3, given={"prompt": READ}).json()["examples"]
    found = answer.json()
    (choice,) = found["choices"]
    assert choice["message"] == {"role": "assistant", "content": made["text"], "refusal": None}
    assert (found["object"], choice["finish_reason"]) == ("chat.completion", "stop")
    assert found["usage"]["prompt_tokens"] > 0
    assert answer.headers["x-genwright-seed"] == "3"
    parts = [{"role": "user", "content": [{"type": "text", "text": "how is 4?"}]}]
    assert (
        chat(served, seed=3, messages=ASKED[:2] + parts).json()["choices"][0]["message"]
        == (choice["message"])
    )
    (cut,) = chat(served, seed=3, max_completion_tokens=1).json()["choices"]
    assert cut["finish_reason"] == "length"
    assert made["text"].startswith(cut["message"]["content"])


def test_a_streamed_chat_is_the_same_in_pieces(served):
    asked = {"n": 2, "seed": 5, "stream_options": {"include_usage": True}}
    lines = chat(served, **asked, stream=True).text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    whole = chat(served, n=2, seed=5).json()
    last = chunks.pop()
    assert (last["choices"], last["usage"]) == ([], whole["usage"])
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for one in whole["choices"]:
        own = [c for chunk in chunks for c in chunk["choices"] if c["index"] == one["index"]]
        assert own[0]["delta"] == {"role": "assistant", "content": ""}
        assert "".join(c["delta"].get("content", "") for c in own) == one["message"]["content"]
        assert own[-1]["finish_reason"] == one["finish_reason"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no messages": ({"messages": []}, "wrong-type"),
    "a text": ({"messages": "hello"}, "wrong-type"),
    "no role": ({"messages": [{"content": "x"}]}, "wrong-type"),
    "a role of two lines": ({"messages": [{"role": "user\nsystem", "content": "x"}]}, "wrong-type"),
    "a picture": (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}]},
        "wrong-type",
    ),
    "its own turn": ({"messages": ASKED[:2]}, "nothing-to-answer"),
    "too long": ({"messages": [{"role": "user", "content": "x" * 9000}]}, "text-too-long"),
    "tools": ({"tools": [{"type": "function"}]}, "not-served"),
    "a schema": ({"response_format": {"type": "json_object"}}, "not-served"),
    "logprobs": ({"logprobs": True}, "not-served"),
    "stream options": ({"stream_options": [1]}, "not-served"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_dialogue_is_refused(served, name):
    body, code = REFUSED[name]
    answer = chat(served, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), answer.text


def test_a_run_of_other_texts_does_not_talk(models):
    server = make_server(models, threads=1)
    with server.engine:
        answer = client_of(server).post("/v1/chat/completions", json={"model": "fox", "messages": ASKED})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "no-dialogue")


def test_the_client_of_openai_talks(talks):
    openai = pytest.importorskip("openai", reason="the package openai is not installed")
    with on_a_port(talks) as (address, _):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="none", max_retries=0)
        asked = {"model": "talks", "messages": ASKED, "seed": 2, "temperature": 0.7}
        whole = client.chat.completions.create(**asked)
        parts = client.chat.completions.create(**asked, stream=True)
        said = "".join(part.choices[0].delta.content or "" for part in parts if part.choices)
        assert said == whole.choices[0].message.content
        with pytest.raises(openai.BadRequestError) as error:
            client.chat.completions.create(model="talks", messages=ASKED[:2])
        assert error.value.code == "nothing-to-answer"
