"""The models in a process of their own: what is answered is the same, and the front outlives them."""

from __future__ import annotations

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

import httpx2

from genwright.serving.counters import Counters
from genwright.serving.front import NEEDS_MODEL
from genwright.serving.limits import Limits

TOKEN = "t0ken-0123456789abcdef"
LONG = {"run": "faces-run", "n": 64, "options": {"steps": 1000}}
"""What is not done before the test is."""


@dataclass
class Started:
    """`genwright serve` as a person starts it."""

    client: Any
    process: subprocess.Popen[str]

    @property
    def models(self) -> int:
        """The process that holds the models."""
        pid = self.process.pid
        tasks = Path(f"/proc/{pid}/task").iterdir()
        children = [child for task in tasks for child in (task / "children").read_text().split()]
        (found,) = children
        return int(found)

    def health(self) -> str:
        return str(self.client.get("/healthz").json()["status"])

    def gauge(self, name: str) -> float:
        text = self.client.get("/metrics").text
        return float(re.search(rf"^genwright_{name} (\S+)$", text, re.M).group(1))  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def started(models: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    if not Path("/proc/self/task").exists():
        pytest.skip("processes are looked up in /proc")
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    runs = [str(path) for path, _ in models]
    process = subprocess.Popen(
        [sys.executable, "-m", "genwright", "serve", *runs, "--port", "0", "--token-file", str(token)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert process.stdout is not None
    address = re.search(r"http://\S+/(?= )", process.stdout.readline())
    assert address is not None
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx2.Client(base_url=address.group(), headers=headers, timeout=30) as client:
        yield Started(client, process)
    process.kill()
    process.wait()
    process.stdout.close()


def until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def test_it_answers_as_the_same_models_do_in_this_process(started, served):
    for body in (
        {"run": "faces-run", "n": 3, "seed": 7, "given": {"label": "b"}},
        {"run": "fox", "n": 2, "seed": 5, "given": {"prompt": "the "}},
        {"run": "rows", "n": 2, "format": "zip"},
        {"run": "facesrun"},
        {"run": "faces-run", "given": {"label": "c"}},
    ):
        one, other = started.client.post("/v1/sample", json=body), served.sample(**body)
        assert (one.status_code, one.content) == (other.status_code, other.content)
    for path in (
        "/",
        "/api",
        "/openapi.json",
        "/static/page.js",
        "/v1/runs",
        "/v1/runs/fox",
        "/v1/models/no",
    ):
        one, other = started.client.get(path), served.client.get(path)
        assert (one.status_code, one.content) == (other.status_code, other.content), path
        assert one.headers["content-type"] == other.headers["content-type"]
    until(lambda: 'genwright_examples_total{run="fox"} 2\n' in started.client.get("/metrics").text)


def test_none_of_its_routes_is_reached_without_the_token(started):
    for path, method in NEEDS_MODEL.items():
        path = path.replace("{", "").replace("}", "")
        answer = httpx2.request(method, str(started.client.base_url).rstrip("/") + path)
        assert answer.status_code == 401, path


def test_what_it_makes_comes_as_it_is_made(started):
    body = {"run": "faces-run", "n": 3, "options": {"steps": 200}, "stream": True, "previews": True}
    with started.client.stream("POST", "/v1/sample", json=body) as answer:
        arrived = [
            (line.removeprefix("event: "), time.monotonic())
            for line in answer.iter_lines()
            if line.startswith("event: ")
        ]
    names = [name for name, _ in arrived]
    assert names[0] == "start"
    assert "draft" in names
    assert names[-2:] == ["examples", "done"]
    assert arrived[-1][1] - arrived[0][1] > 0.05


def test_who_goes_away_frees_the_place(started):
    address = started.client.base_url
    body = json.dumps(LONG | {"stream": True}).encode()
    head = (
        f"POST /v1/sample HTTP/1.1\r\nHost: {address.host}:{address.port}\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {TOKEN}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((address.host, address.port)) as sock:
        sock.sendall(head.encode() + body)
        assert b"200 OK" in sock.recv(4096)
        assert started.gauge("busy") == 1
    until(lambda: started.gauge("busy") == 0, 5)
    # The sampler is free, too: the next one is made while the first would have taken long.
    assert started.client.post("/v1/sample", json={"run": "fox"}, timeout=10).status_code == 200


def test_the_front_outlives_it_and_says_so(started):
    with ThreadPoolExecutor(2) as pool:
        whole = pool.submit(started.client.post, "/v1/sample", json=LONG)
        stream = pool.submit(started.client.post, "/v1/sample", json=LONG | {"stream": True})
        until(lambda: started.gauge("busy") == 2)
        time.sleep(0.1)
        os.kill(started.models, signal.SIGKILL)
        answer, streamed = whole.result(), stream.result()
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "models-lost")
    assert answer.headers["retry-after"] == "5"
    name, data = streamed.text.strip().split("\n\n")[-1].split("\ndata: ")
    assert (name, json.loads(data)["code"]) == ("event: error", "models-lost")
    assert started.health() == "loading"
    assert started.client.get("/").status_code == 200
    assert (
        started.client.post("/v1/sample", json={"run": "fox"}).json()["error"]["code"] == "models-lost"
    )
    until(lambda: started.health() == "ok")
    assert started.client.post("/v1/sample", json={"run": "fox"}).status_code == 200


def test_asked_to_end_it_makes_what_was_accepted(started):
    body = {"run": "faces-run", "n": 20, "options": {"steps": 60}}
    models = started.models
    with ThreadPoolExecutor(1) as pool:
        answer = pool.submit(started.client.post, "/v1/sample", json=body)
        until(lambda: started.gauge("busy") == 1)
        os.kill(models, signal.SIGTERM)  # as one who ends all processes of a service does
        started.process.send_signal(signal.SIGTERM)
        made = answer.result().json()["examples"]
    assert all(base64.b64decode(one["data"]) for one in made)
    assert len(made) == 20
    assert started.process.wait(timeout=30) == 0
    assert not Path(f"/proc/{models}").exists()


def test_limits_and_counters_go_from_process_to_process():
    limits = Limits(waiting=3, options={"steps": 7})
    assert Limits.of(json.loads(json.dumps(limits.json()))) == limits
    counters = Counters()
    counters.add("examples_total", 2, {"run": "a"})
    assert counters.taken() == [("examples_total", {"run": "a"}, 2)]
    assert counters.taken() == []
