"""Closed unless opened: each rule with the mutant that it is caught by.

A rule is a check that raises unless it holds. `test_a_rule_holds` runs it against the server as it is, and
`test_a_rule_catches_its_mutant` against a server that breaks it.
"""

from __future__ import annotations

import base64
import contextlib
import json
import logging
import socket
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

import jinja2
from serving_client import client_of, on_a_port
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from commands import refused as refused_line
from genwright.data import preview
from genwright.errors import GenwrightError
from genwright.serving import access, assets, served, token
from genwright.serving import server as serving
from genwright.serving.app import Server, make_server
from genwright.serving.body import Body
from genwright.serving.limits import Limits
from markup import PAYLOADS, stays_text

TOKEN = "t0ken-0123456789abcdef"
AUTH = {"authorization": f"Bearer {TOKEN}"}
SECRET = "swordfish-in-a-prompt"


@pytest.fixture(scope="module")
def closed(models: list[Any]) -> Iterator[Server]:
    """A server that asks for a token."""
    made = make_server(models, token=TOKEN, threads=1)
    with made.engine:
        yield made


def rejected(answer: Any, status: int) -> None:
    assert answer.status_code == status, (answer.status_code, answer.text[:200])
    assert set(answer.json()["error"]) == {"code", "message", "type", "param"}


# -- the rules -------------------------------------------------------------------------------------


def every_route_wants_the_token(one: Server) -> None:
    client = client_of(one)
    for route in one.routes:
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
            path = route.path.replace("{", "").replace("}", "")
            for headers in (
                {},
                {"authorization": "Bearer wrong"},
                {"authorization": "Basic Ong="},
                {"cookie": TOKEN},
            ):
                answer = client.request(method, path, headers=headers, params={"token": TOKEN})
                if path == "/healthz" and method in ("GET", "HEAD"):
                    assert answer.status_code == 200
                elif path == "/healthz":
                    assert answer.status_code in (405, 415)
                else:
                    assert answer.status_code == 401, (method, path, answer.status_code)
                    assert answer.headers["www-authenticate"].startswith("Basic")
    assert client.get("/nowhere").status_code == 401


def the_token_opens(one: Server) -> None:
    client = client_of(one)
    for headers in (AUTH, {"authorization": "Basic " + base64.b64encode(f":{TOKEN}".encode()).decode()}):
        assert client.get("/v1/runs", headers=headers).status_code == 200


def another_host_is_refused(one: Server) -> None:
    client = client_of(one)
    for host in (
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example:8000",
        "",
        "10.0.0.1",
        "a@localhost",
    ):
        rejected(client.get("/v1/runs", headers=AUTH | {"host": host}), 403)
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "LOCALHOST:8000"):
        assert client.get("/v1/runs", headers=AUTH | {"host": host}).status_code == 200


def another_origin_is_refused(one: Server) -> None:
    client = client_of(one)
    for headers in (
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://127.0.0.1:9000"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
    ):
        rejected(client.post("/v1/sample", headers=AUTH | headers, json={"run": "fox"}), 403)
    own = {"origin": "http://127.0.0.1:8000", "sec-fetch-site": "same-origin"}
    answer = client.post("/v1/sample", headers=AUTH | own, json={"run": "fox"})
    assert answer.status_code == 200
    assert not {name for name in answer.headers if name.startswith("access-control")}


def a_form_of_another_page_is_refused(one: Server) -> None:
    for kind in (
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "",
    ):
        answer = client_of(one).post(
            "/v1/sample", headers=AUTH | {"content-type": kind}, content=b'{"run": "fox"}'
        )
        rejected(answer, 415)


def large_bodies_are_refused(one: Server) -> None:
    client, headers = client_of(one), AUTH | {"content-type": "application/json"}
    rejected(client.post("/v1/sample", headers=headers, content=b" " * (2**20 + 1)), 413)
    rejected(client.post("/v1/apply", headers=headers, content=b" " * (2**23 + 1)), 413)
    rejected(client.post("/v1/sample", headers=headers, content=(b" " * 2**16 for _ in range(17))), 413)
    assert (
        client.post("/v1/sample", headers=headers, content=b'{"run":"fox"}'.ljust(2**20)).status_code
        == 200
    )


def large_headers_are_refused(one: Server) -> None:
    rejected(client_of(one).get("/v1/runs", headers=AUTH | {"x": "y" * 2**14}), 431)


def deep_bodies_are_refused(one: Server) -> None:
    for deep in (33, 100_000):
        answer = client_of(one).post(
            "/v1/sample",
            headers=AUTH | {"content-type": "application/json"},
            content=b'{"given":' * 1 + b"[" * deep + b"]" * deep + b"}",
        )
        rejected(answer, 400)
        assert answer.json()["error"]["code"] == "too-deep"


def numbers_beyond_their_caps_are_refused(one: Server) -> None:
    client, headers = client_of(one), AUTH | {"content-type": "application/json"}
    wrong = [
        "0",
        "-1",
        "1e308",
        "NaN",
        "Infinity",
        str(2**63),
        "9" * 400,
        '"4"',
        "[4]",
        "true",
        "{}",
        "3.5",
    ]
    for field, most, others in (("n", 64, wrong), ("seed", 2**63 - 1, wrong[1:])):
        for text in [*others, str(most + 1)]:
            rejected(
                client.post("/v1/sample", headers=headers, content=f'{{"run":"fox","{field}":{text}}}'),
                400,
            )
    for run, option, most in (
        ("faces-run", "steps", 1000),
        ("fox", "length", 4096),
        ("fox", "temperature", 1e38),
    ):
        for text in [
            one for one in wrong if (one, option) not in {("0", "temperature"), ("3.5", "temperature")}
        ] + [str(most * 10)]:
            body = f'{{"run":"{run}","options":{{"{option}":{text}}}}}'
            rejected(client.post("/v1/sample", headers=headers, content=body), 400)
    long = json.dumps({"run": "fox", "given": {"prompt": "x" * 8193}})
    rejected(client.post("/v1/sample", headers=headers, content=long), 400)


def no_path_is_taken_from_a_request(one: Server) -> None:
    client = client_of(one)
    opened: list[str] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "open" and isinstance(args[0], str):
            opened.append(args[0])

    watching = True
    sys.addaudithook(watch)
    try:
        for name in PATHS:
            for route in () if name in (".", "..") else ("/v1/runs/", "/static/", "/v1/models/", "/"):
                answer = client.get(route + name, headers=AUTH)
                assert answer.status_code in (400, 404), (route, name, answer.status_code)
                assert b"root:" not in answer.content
            for body in ({"run": name}, {"run": "faces-run", "given": {"label": name}}):
                rejected_any(client.post("/v1/sample", headers=AUTH, json=body))
            for body in (
                {"run": "rows", "name": name, "data": "eA=="},
                {"run": "faces-run", "name": name, "data": "eA=="},
            ):
                rejected_any(client.post("/v1/apply", headers=AUTH, json=body))
    finally:
        watching = False
    strange = [path for path in opened if "passwd" in path or ".." in path or "shadow" in path]
    assert not strange


def rejected_any(answer: Any) -> None:
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.text[:200])


PATHS = [
    "../../../../etc/passwd", "..%2f..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/etc/passwd", "..%252f..%252fetc%252fpasswd",
    "....//....//etc/passwd", "..\\..\\etc\\passwd", "..%5c..%5cetc%5cpasswd", "/etc/passwd", "%2fetc%2fpasswd",
    "file:///etc/passwd", "C:\\Windows\\win.ini", "\\\\host\\share\\passwd", "%00/etc/passwd", "page.js%00.html",
    "..%c0%afetc/passwd", "．．/etc/passwd", "..∕..∕etc∕passwd", "fox/../../passwd", "fox%2f..%2fmodel", ".", "..",
    "~root/.ssh/id_rsa", "/proc/self/environ", "http://127.0.0.1:1/passwd", "x" * 4000, "fox.", "FOX", "fox ", "+", "*",
]  # fmt: skip


def markup_stays_text(one: Server) -> None:
    client = client_of(one)
    for body in (
        {"run": "rows", "n": 6, "previews": True},
        {"run": "fox", "n": 1, "previews": True, "given": {"prompt": "the "}},
    ):
        for html in client.post("/v1/sample", headers=AUTH, json=body).json()["html"]:
            assert "<script" not in html
            assert "<img src=x" not in html
            assert "<b>b" not in html
    table = client.post(
        "/v1/sample", headers=AUTH, json={"run": "rows", "n": 6, "previews": True}
    ).json()["html"][0]
    assert "&lt;script&gt;" in table
    assert "<script>alert" not in client.get("/", headers=AUTH).text
    for name in PAYLOADS:  # what is refused is JSON, and no browser may take it for more
        stays_text(_as_shown, name)
        asked = json.dumps({"run": name})  # in ASCII, which can say half of a pair
        headers = AUTH | {"content-type": "application/json"}
        answer = client.post("/v1/sample", headers=headers, content=asked)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/json"


def _as_shown(text: str) -> str:
    rows = preview.Preview("rows", rows=((text,), (text,)))
    return preview.as_html(rows, text) + preview.as_html(preview.Preview("text", text=text), text)


def every_answer_is_hardened(one: Server) -> None:
    client = client_of(one)
    answers = [
        client.get(path, headers=AUTH)
        for path in ("/", "/v1/runs", "/static/page.js", "/nowhere", "/healthz")
    ]
    answers += [client.get("/v1/runs"), client.post("/v1/sample", headers=AUTH, json={"run": "no"})]
    for answer in answers:
        policy = answer.headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "script-src" not in policy
        assert "unsafe-eval" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        assert "server" not in answer.headers


def the_log_has_no_contents(one: Server) -> None:
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    handler, root = Keep(), logging.getLogger()
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    logging.getLogger("genwright.access").setLevel(logging.INFO)
    try:
        client = client_of(one)
        client.post(
            "/v1/sample",
            headers=AUTH,
            params={"q": SECRET},
            json={"run": "fox", "given": {"prompt": SECRET}},
        )
        client.get(f"/v1/runs/{SECRET}", headers=AUTH)
        client.get(f"/{SECRET}", headers={"authorization": SECRET})
    finally:
        root.removeHandler(handler)
        root.setLevel(before)
    access = [line for line in lines if "ms" in line]
    assert any("POST /v1/sample" in line for line in access)
    assert any("/v1/runs/{run} 404" in line for line in access)
    ours = [line for line in lines if not line.startswith("HTTP Request")]  # that is the client
    assert not [line for line in ours if SECRET in line or TOKEN in line]


def no_url_is_fetched(one: Server) -> None:
    calls: list[Any] = []

    def watch(event: str, args: tuple[Any, ...]) -> None:
        if watching and event == "socket.connect":
            calls.append(args)

    watching = True
    sys.addaudithook(watch)
    try:
        client = client_of(one)
        for body in (
            {"run": "http://127.0.0.1:1/"},
            {"run": "faces-run", "given": {"label": "http://127.0.0.1:1/"}},
            {"run": "fox", "given": {"prompt": "http://127.0.0.1:1/"}},
        ):
            client.post("/v1/sample", headers=AUTH, json=body)
        client.post(
            "/v1/apply",
            headers=AUTH,
            json={"run": "rows", "name": "http://127.0.0.1:1/x.csv", "data": "eA=="},
        )
    finally:
        watching = False
    assert calls == []


Rule = Callable[[Server], None]
RULES: list[Rule] = [
    every_route_wants_the_token, the_token_opens, another_host_is_refused, another_origin_is_refused,
    a_form_of_another_page_is_refused, large_bodies_are_refused, large_headers_are_refused, deep_bodies_are_refused,
    numbers_beyond_their_caps_are_refused, no_path_is_taken_from_a_request, markup_stays_text,
    every_answer_is_hardened, the_log_has_no_contents, no_url_is_fetched,
]  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_a_rule_holds(closed, rule):
    rule(closed)


# -- their mutants ---------------------------------------------------------------------------------


def nothing(*_: object, **__: object) -> None: ...


def open_route(patch: pytest.MonkeyPatch, one: Server) -> None:
    """Auth is skipped on one route."""
    patch.setattr(access, "OPEN", frozenset({"/healthz", "/v1/models"}))


def any_token(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access.hmac, "compare_digest", lambda given, token: given != b"")


def no_token_opens(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access.hmac, "compare_digest", lambda given, token: False)


def any_host(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access.AccessControl, "check_host", nothing)


def any_origin(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access.AccessControl, "check_origin", nothing)


def any_type(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access.AccessControl, "check_type", nothing)


def any_body(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(one.app, "limits", Limits(body=2**40, upload=2**40))


def any_header(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(one.app, "limits", Limits(header=2**30))


def any_depth(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr("genwright.serving.body._check_depth", nothing)


def any_number(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(
        Body, "whole", lambda self, name, default, least, most: min(1, int(self.get(name, default)))
    )


def any_option(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(served.ServedRun, "checked_options", lambda self, given, limits: {})


def joined_path(patch: pytest.MonkeyPatch, one: Server) -> None:
    def joined(name: str) -> assets.Asset:
        with contextlib.suppress(ValueError, OSError):
            return assets.Asset(Path("/nowhere/static", name).read_bytes(), "text/plain")
        return assets.Asset(b"", "text/plain")

    patch.setattr("genwright.serving.front.asset", joined)


def escape_off(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(preview.templates(), "autoescape", False)
    patch.setattr(jinja2.runtime, "escape", str)
    patch.setattr(
        preview, "_macro", lambda name, shown, caption: "".join(map(str, [*shown.rows, shown.text]))
    )


def soft_headers(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(access, "HEADERS", {})


def talkative_log(patch: pytest.MonkeyPatch, one: Server) -> None:
    patch.setattr(one.app, "route", lambda path: path)


def fetches(patch: pytest.MonkeyPatch, one: Server) -> None:
    def fetch(self: Any, name: Any) -> Any:
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", 1), timeout=0.1)
        return next(iter(self.runs.values()))

    patch.setattr(served.Catalogue, "only", fetch)


MUTANTS: dict[Callable[..., None], Rule] = {
    open_route: every_route_wants_the_token,
    any_token: every_route_wants_the_token,
    no_token_opens: the_token_opens,
    any_host: another_host_is_refused,
    any_origin: another_origin_is_refused,
    any_type: a_form_of_another_page_is_refused,
    any_body: large_bodies_are_refused,
    any_header: large_headers_are_refused,
    any_depth: deep_bodies_are_refused,
    any_number: numbers_beyond_their_caps_are_refused,
    any_option: numbers_beyond_their_caps_are_refused,
    joined_path: no_path_is_taken_from_a_request,
    escape_off: markup_stays_text,
    soft_headers: every_answer_is_hardened,
    talkative_log: the_log_has_no_contents,
    fetches: no_url_is_fetched,
}


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_rule_catches_its_mutant(closed, monkeypatch, mutant):
    mutant(monkeypatch, closed)
    with pytest.raises((AssertionError, KeyError)):
        MUTANTS[mutant](closed)


def test_every_rule_has_a_mutant():
    assert {*MUTANTS.values()} == {*RULES}


def test_a_route_that_is_added_is_closed_too(models):
    one = make_server(models, token=TOKEN)
    added = Route("/v1/new", lambda request: PlainTextResponse("open"), methods=["GET"])
    one.app.app.router.routes.append(added)
    one.routes.append(added)
    every_route_wants_the_token(one)
    assert client_of(one).get("/v1/new", headers=AUTH).text == "open"


# -- the token and the address ---------------------------------------------------------------------


def token_file(folder: Path, text: str = TOKEN, mode: int = 0o600) -> Path:
    file = folder / "token"
    file.write_text(text + "\n")
    file.chmod(mode)
    return file


def test_the_token_is_for_its_owner_alone(tmp_path):
    assert token.read_token(token_file(tmp_path)) == TOKEN
    for mode in (0o640, 0o604, 0o660, 0o601):
        with pytest.raises(GenwrightError, match="chmod 600") as error:
            token.read_token(token_file(tmp_path, mode=mode))
        assert error.value.code == "token-not-private"
        assert TOKEN not in str(error.value)
    for text in ("short", "has blanks in it, many", "ünïcödé-0123456789", ""):
        with pytest.raises(GenwrightError) as error:
            token.read_token(token_file(tmp_path, text))
        assert error.value.code == "token-too-weak"
    with pytest.raises(GenwrightError, match="cannot be read"):
        token.read_token(tmp_path / "none")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.2", "example.org", ""])
def test_another_host_refuses_to_start_without_a_token(host):
    with pytest.raises(GenwrightError, match="no token") as error:
        serving.check_open(host, None)
    assert error.value.code == "open-without-token"
    serving.check_open(host, TOKEN)
    for own in ("127.0.0.1", "127.0.0.2", "localhost", "::1"):
        serving.check_open(own, None)


def test_an_open_host_is_reached_by_address_and_not_by_name(models):
    one = make_server(models, host="0.0.0.0", token=TOKEN)
    client = client_of(one)
    assert client.get("/v1/runs", headers=AUTH | {"host": "192.168.1.2:8000"}).status_code == 200
    assert client.get("/v1/runs", headers=AUTH | {"host": "evil.example"}).status_code == 403


def test_the_command_line_refuses(models):
    run, *_ = (path for path, _ in models)
    refused_line("serve", run, "--host", "0.0.0.0", words=["--host 0.0.0.0", "--token-file"])
    with serving.listen("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        refused_line("serve", run, "--port", port, words=[f"port {port}", "in use", "--port"])
    refused_line("serve", run, run, words=["faces-run", "rename"])
    refused_line("serve", run.parent / "nothing", words=["nothing"])
    weak = token_file(run.parent, mode=0o644)
    refused_line("serve", run, "--token-file", weak, words=["0644", "chmod 600"])


def test_a_missing_extra_is_one_sentence(monkeypatch, models):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "genwright.serving.server")
    refused_line("serve", models[0][0], words=["uvicorn", "genwright[serve]"])


# -- connections -----------------------------------------------------------------------------------


def test_what_arrives_too_slowly_is_ended(models):
    with on_a_port(models, Limits(receive=0.3)) as (address, _):
        host, port = address.removeprefix("http://").split(":")

        def answer(text: bytes) -> bytes:
            with socket.create_connection((host, int(port)), timeout=5) as sock:
                sock.sendall(text)
                return sock.recv(4096)

        head = f"POST /v1/sample HTTP/1.1\r\nHost: {host}:{port}\r\n".encode()
        kind = b"Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
        began = time.monotonic()
        assert answer(head) == b""  # never asked anything
        assert b" 408 " in answer(head + kind)
        assert time.monotonic() - began < 3


HOSTILE = [
    b"\x00" * 100, b"GET / HTTP/9.9\r\n\r\n", b"GET /\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    b"POST /v1/sample HTTP/1.1\r\nHost: {host}\r\nContent-Length: -1\r\n\r\n",
    b"POST /v1/sample HTTP/1.1\r\nHost: {host}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: {host}\r\nX: " + b"y" * 20000 + b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n",
    b"CONNECT evil.example:80 HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET http://evil.example/ HTTP/1.1\r\nHost: {host}\r\n\r\n",
    b"GET /%ff%fe HTTP/1.1\r\nHost: {host}\r\n\r\n", b"TRACE / HTTP/1.1\r\nHost: {host}\r\n\r\n",
]  # fmt: skip


def test_what_is_no_request_is_answered_with_4xx(models):
    with on_a_port(models) as (address, server):
        host = address.removeprefix("http://")
        name, port = host.split(":")
        for text in HOSTILE:
            with socket.create_connection((name, int(port)), timeout=5) as sock:
                sock.sendall(text.replace(b"{host}", host.encode()))
                head = sock.recv(4096)
            status = head.split(b" ")[1] if head else b"closed"
            assert status.startswith(b"4"), (text[:60], head[:80])
        assert client_of(server).get("/healthz").status_code == 200
