"""Access control: the one place through which each request goes before any route sees it.

Everything is refused unless it is allowed here: without the token no route answers but `/healthz`, whatever routes
there are. A request for another host is refused (DNS rebinding), and one from another origin (CSRF); there is no CORS.
A body arrives whole, in time and within its cap, before a route is called. The log has no contents, no queries and no
headers.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import ipaddress
import json
import logging
import socket
import time
from collections.abc import Callable, MutableMapping
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from genwright.serving.counters import Counters
from genwright.serving.limits import Limits
from genwright.serving.refusal import Refusal

__all__ = ["AccessControl", "is_loopback"]

log = logging.getLogger("genwright.access")
OPEN = frozenset({"/healthz"})
"""Routes without the token: they say nothing of any run."""
POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; media-src 'self' data: blob:; style-src 'self' 'unsafe-inline'; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Scripts come from this server alone. Styles may stand in an element, as previews have them."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}
METHODS = ("GET", "HEAD", "POST")
LET_GO = 4
"""Times its cap that of a body is read and let go, so that who still sends it gets to read the refusal."""


class AccessControl:
    """Wraps an application.

    host    that the server listens on
    token   without which nothing is answered (None: none is wanted)
    uploads routes whose body may hold a file
    route   the template of a path for the log, such as `/v1/runs/{run}`; None for a path that there is not
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        host: str,
        token: str | None,
        limits: Limits,
        counters: Counters,
        uploads: frozenset[str],
        route: Callable[[str], str | None],
    ) -> None:
        self.app, self.host, self.token = app, host, token
        self.limits, self.counters, self.uploads, self.route = limits, counters, uploads, route
        self.names = {"localhost", host.lower()}
        if not is_loopback(host):
            self.names.add(socket.gethostname().lower())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket: none is served
            await send({"type": "websocket.close", "code": 1008})
            return
        began, status = time.monotonic(), 500

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _harden(message)
            await send(message)

        try:
            await self._pass(scope, receive, answer)
        finally:
            self._note(scope, status, time.monotonic() - began)

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            headers = self._headers(scope)
            self.check_host(headers.get("host", ""))
            self.check_origin(headers, scope["method"])
            self.check_token(scope["path"], headers.get("authorization", ""))
            self.check_method(scope["method"])
            body = b""
            if scope["method"] == "POST":
                self.check_type(headers.get("content-type", ""))
                body = await self._body(scope, headers, receive)
        except Refusal as refusal:
            await refused(refusal, send)
            return
        await self.app(scope, _replayed(body, receive), send)

    # -- what is checked -----------------------------------------------------------------------

    def _headers(self, scope: Scope) -> dict[str, str]:
        size = sum(len(name) + len(value) for name, value in scope["headers"])
        if size + len(scope["path"]) + len(scope.get("query_string", b"")) > self.limits.header:
            raise Refusal("the headers are too large", code="headers-too-large", status=431)
        found: dict[str, str] = {}
        for name, value in scope["headers"]:
            key = name.decode("latin-1").lower()
            if key in found and key in (
                "host",
                "origin",
                "authorization",
                "content-length",
                "content-type",
            ):
                raise Refusal(f"the header {key} is given twice", code="header-twice")
            found[key] = value.decode("latin-1")
        return found

    def check_host(self, host: str) -> None:
        """Another name for this address may be one that somebody made to reach it from a browser."""
        name = _name_of(host)
        if name in self.names or _is_address(name, self.host):
            return
        raise Refusal(
            "this server goes by another name than the request says", code="wrong-host", status=403
        )

    def check_origin(self, headers: MutableMapping[str, str], method: str) -> None:
        """A page of another origin may ask for nothing."""
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {
            f"{scheme}://{headers.get('host', '').lower()}" for scheme in ("http", "https")
        }:
            raise Refusal("a page of another origin may not ask here", code="wrong-origin", status=403)
        if method == "POST" and headers.get("sec-fetch-site", "same-origin") not in (
            "same-origin",
            "none",
        ):
            raise Refusal("a page of another origin may not ask here", code="wrong-origin", status=403)

    def check_token(self, path: str, authorization: str) -> None:
        """As a bearer, or as the password of a browser's own dialog."""
        if self.token is None or path in OPEN:
            return
        kind, _, value = authorization.partition(" ")
        given = value.strip()
        if kind.lower() == "basic":
            try:
                given = base64.b64decode(given, validate=True).decode().partition(":")[2]
            except (binascii.Error, UnicodeDecodeError):
                given = ""
        elif kind.lower() != "bearer":
            given = ""
        if not hmac.compare_digest(given.encode(), self.token.encode()):
            raise Refusal(
                "this server wants its token: Authorization: Bearer TOKEN", code="no-token", status=401
            )

    def check_method(self, method: str) -> None:
        if method not in METHODS:
            raise Refusal(f"{method[:16]} is not served", code="no-such-method", status=405)

    def check_type(self, kind: str) -> None:
        """No form of another page can send this without being asked first."""
        if kind.partition(";")[0].strip().lower() != "application/json":
            raise Refusal(
                "a body is JSON: send Content-Type: application/json", code="not-json", status=415
            )

    async def _body(self, scope: Scope, headers: MutableMapping[str, str], receive: Receive) -> bytes:
        """The whole body. Raises `Refusal` for one that is too large or too slow."""
        most = self.limits.upload if scope["path"] in self.uploads else self.limits.body
        named = headers.get("content-length", "0")
        if not named.isascii() or not named.isdigit() or len(named) > 12 or int(named) > LET_GO * most:
            raise _too_large(most)
        chunks, size = list[bytes](), 0
        try:
            async with asyncio.timeout(self.limits.receive):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise Refusal("the body did not arrive", code="no-body")
                    some = message.get("body", b"")
                    size += len(some)
                    if size <= most:
                        chunks.append(some)
                    else:
                        chunks.clear()
                    more = message.get("more_body", False)
                    if size > LET_GO * most or (size > most and not more):
                        raise _too_large(most)
                    if not more:
                        return b"".join(chunks)
        except TimeoutError:
            raise Refusal("the body arrives too slowly", code="too-slow", status=408) from None

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        """One line without anything that a person sent: the route's own name stands for the path."""
        route = self.route(scope["path"]) or "-"
        method = scope["method"] if scope["method"] in METHODS else "-"
        client = (scope.get("client") or ("-", 0))[0]
        log.info("%s %s %s %d %.0f ms", client, method, route, status, 1000 * seconds)
        self.counters.add("requests_total", labels={"route": route, "status": str(status)})
        self.counters.add("request_seconds_total", seconds, labels={"route": route})


def is_loopback(host: str) -> bool:
    """Whether nobody but this machine reaches an address."""
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


async def refused(refusal: Refusal, send: Send) -> None:
    """Answer with a refusal."""
    body = json.dumps(refusal.json()).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if refusal.retry_after is not None:
        headers.append((b"retry-after", str(refusal.retry_after).encode()))
    if refusal.status == 401:
        headers.append((b"www-authenticate", b'Basic realm="genwright", charset="UTF-8"'))
    if refusal.status in (408, 413, 431):  # what is left of the body is not read
        headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": refusal.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _replayed(body: bytes, receive: Receive) -> Receive:
    """The body that arrived, once; then whatever comes: that the asker has gone."""
    given = False

    async def again() -> Message:
        nonlocal given
        if not given:
            given = True
            return {"type": "http.request", "body": body, "more_body": False}
        return await receive()

    return again


def _harden(message: MutableMapping[str, Any]) -> None:
    headers = list(message.get("headers", []))
    there = {name.lower() for name, _ in headers}
    for name, value in HEADERS.items():
        if name.encode() not in there:
            headers.append((name.encode(), value.encode()))
    message["headers"] = headers


def _name_of(host: str) -> str:
    """A host without its port."""
    if host.startswith("["):
        return host.partition("]")[0].strip("[]").lower()
    return host.partition(":")[0].lower()


def _is_address(name: str, host: str) -> bool:
    """Whether a name is an address in digits that the server may be reached by: no DNS led to it."""
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    return address.is_loopback if is_loopback(host) else True


def _too_large(most: int) -> Refusal:
    return Refusal(f"the body is larger than {most:,} bytes", code="body-too-large", status=413)
