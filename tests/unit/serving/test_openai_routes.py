"""OpenAI's routes, asked by OpenAI's own client where it is installed, and by hand."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from serving_client import client_of, on_a_port

from commands import TINY, done, sounds
from genwright.serving.app import make_server


def post(served: Any, path: str, **body: Any) -> Any:
    return served.client.post(f"/v1/{path}", json=body)


def sampled(served: Any, **body: Any) -> list[Any]:
    return list(served.sample(**body).json()["examples"])


def test_models_are_runs(served):
    found = served.client.get("/v1/models").json()
    assert [one["id"] for one in found["data"]] == ["faces-run", "fox", "rows"]
    assert served.client.get("/v1/models/fox").json() == found["data"][1]
    assert served.client.get("/v1/models/foxes").status_code == 404


def test_a_completion_is_what_follows_the_prompt(served):
    answer = post(
        served, "completions", model="fox", prompt="the ", max_tokens=20, n=2, seed=4, temperature=0.8
    )
    found = answer.json()
    asked = {"run": "fox", "n": 2, "seed": 4, "given": {"prompt": "the "}}
    whole = [one["text"] for one in sampled(served, **asked, options={"length": 24, "temperature": 0.8})]
    assert ["the " + one["text"] for one in found["choices"]] == whole
    assert [one["finish_reason"] for one in found["choices"]] == ["length"] * 2
    assert found["usage"]["prompt_tokens"] == 4
    assert answer.headers["x-genwright-seed"] == "4"
    stop = whole[0][8]
    (cut,) = post(
        served,
        "completions",
        model="fox",
        prompt="the ",
        max_tokens=20,
        seed=4,
        stop=stop,
        temperature=0.8,
    ).json()["choices"]
    (alone,) = sampled(
        served, run="fox", seed=4, given={"prompt": "the "}, options={"length": 24, "temperature": 0.8}
    )
    assert cut["text"] == alone["text"][4:].partition(stop)[0]
    assert cut["finish_reason"] == ("stop" if stop in alone["text"][4:] else "length")


def test_a_streamed_completion_is_the_same_in_pieces(served):
    asked = {"model": "fox", "prompt": "the ", "max_tokens": 60, "n": 2, "seed": 4}
    lines = post(served, "completions", **asked, stream=True).text.strip().split("\n\n")
    assert lines.pop() == "data: [DONE]"
    pieces = [json.loads(line.removeprefix("data: "))["choices"][0] for line in lines]
    whole = post(served, "completions", **asked).json()["choices"]
    for one in whole:
        own = [piece for piece in pieces if piece["index"] == one["index"]]
        assert "".join(piece["text"] for piece in own) == one["text"]
        assert own[-1]["finish_reason"] == "length"


def test_a_seed_is_drawn_where_none_is_named_and_said(served):
    answers = [post(served, "completions", model="fox", prompt="the ") for _ in range(2)]
    first, second = (int(answer.headers["x-genwright-seed"]) for answer in answers)
    assert first != second
    again = post(served, "completions", model="fox", prompt="the ", seed=first)
    assert again.json()["choices"] == answers[0].json()["choices"]


def test_pictures_come_in_base64(served):
    found = post(
        served, "images/generations", model="faces-run", prompt="b", n=2, seed=3, size="8x8"
    ).json()
    made = sampled(served, run="faces-run", n=2, seed=3, given={"label": "b"})
    assert [one["b64_json"] for one in found["data"]] == [one["data"] for one in made]
    free = post(served, "images/generations", model="faces-run", prompt="", seed=3).json()
    assert free["data"][0]["b64_json"] == sampled(served, run="faces-run", seed=3)[0]["data"]


REFUSED = {
    "url": (
        "images/generations",
        {"model": "faces-run", "prompt": "a", "response_format": "url"},
        "not-served",
    ),
    "size": (
        "images/generations",
        {"model": "faces-run", "prompt": "a", "size": "1024x1024"},
        "wrong-size",
    ),
    "value": ("images/generations", {"model": "faces-run", "prompt": "a cat"}, "no-such-value"),
    "kind": ("images/generations", {"model": "fox", "prompt": ""}, "wrong-route"),
    "text": ("completions", {"model": "faces-run", "prompt": ""}, "wrong-route"),
    "logprobs": ("completions", {"model": "fox", "logprobs": 3}, "not-served"),
    "penalty": ("completions", {"model": "fox", "presence_penalty": 0.5}, "not-served"),
    "many": ("completions", {"model": "fox", "prompt": ["a", "b"]}, "wrong-type"),
    "long": ("completions", {"model": "fox", "max_tokens": 5000}, "out-of-range"),
    "speech": ("audio/speech", {"model": "fox", "input": "hello", "voice": "x"}, "wrong-route"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_not_served_is_refused_and_not_passed_over(served, name):
    path, body, code = REFUSED[name]
    answer = post(served, path, **body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, code), answer.text


def test_a_run_of_texts_and_sounds_speaks(tmp_path):
    from genwright import api

    sounds(tmp_path / "said", 12)
    for i in range(12):
        (tmp_path / f"said/{i:03d}.txt").write_text(f"number {i}")
    done(
        "train",
        tmp_path / "said",
        "--make",
        "audio",
        "--given",
        "caption",
        "--family",
        "vae",
        "--out",
        "speaks",
        *TINY,
    )
    server = make_server([(tmp_path / "speaks", api.load("speaks"))], threads=1)
    with server.engine:
        answer = client_of(server).post(
            "/v1/audio/speech", json={"model": "speaks", "input": "number 3", "voice": "any", "seed": 1}
        )
    assert answer.headers["content-type"] == "audio/wav", answer.text
    assert answer.content[:4] == b"RIFF"


def test_the_client_of_openai_works_unchanged(models, monkeypatch):
    openai = pytest.importorskip("openai", reason="the package openai is not installed")
    with on_a_port(models, token="t0ken-0123456789abcdef") as (address, _):
        client = openai.OpenAI(base_url=f"{address}/v1", api_key="t0ken-0123456789abcdef", max_retries=0)
        assert [one.id for one in client.models.list()] == ["faces-run", "fox", "rows"]
        whole = client.completions.create(model="fox", prompt="the ", max_tokens=20, seed=2)
        parts = client.completions.create(model="fox", prompt="the ", max_tokens=20, seed=2, stream=True)
        assert "".join(part.choices[0].text for part in parts) == whole.choices[0].text
        pictures = client.images.generate(model="faces-run", prompt="a", n=2)
        assert base64.b64decode(pictures.data[0].b64_json)[:4] == b"\x89PNG"
        with pytest.raises(openai.NotFoundError, match="faces-run"):
            client.images.generate(model="faces", prompt="a")
        with pytest.raises(openai.BadRequestError) as error:
            client.completions.create(model="fox", prompt="a", logprobs=1)
        assert error.value.code == "not-served"
        other = openai.OpenAI(base_url=f"{address}/v1", api_key="wrong", max_retries=0)
        with pytest.raises(openai.AuthenticationError):
            other.models.list()
