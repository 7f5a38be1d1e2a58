"""The front: every route behind one access control. What needs no model is answered here, and at once.

Who answers the rest is behind it: in a process of its own (`model_process.py`), so that a sampler, which holds Python's
lock even while another program has its core, keeps nobody from `/healthz`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Route

from genwright.errors import GenwrightError
from genwright.serving.access import AccessControl
from genwright.serving.assets import Asset, asset
from genwright.serving.counters import Counters
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal, refusal_of

__all__ = ["NEEDS_MODEL", "PAGES", "Behind", "Front", "errors_as_refusals"]

PAGES = ("/", "/api", "/openapi.json")
"""Of which there is one text for as long as the server runs."""
NEEDS_MODEL = {
    "/v1/runs": "GET",
    "/v1/runs/{run}": "GET",
    "/v1/sample": "POST",
    "/v1/apply": "POST",
    "/v1/edit": "POST",
    "/v1/models": "GET",
    "/v1/models/{model}": "GET",
    "/v1/completions": "POST",
    "/v1/chat/completions": "POST",
    "/v1/images/generations": "POST",
    "/v1/audio/speech": "POST",
}
"""The method of each route that is answered behind the front."""
UPLOADS = frozenset({"/v1/apply"})


class Behind(Protocol):
    """Who answers what needs a model.

    draining  set where the server is to end: no more is taken
    ready     whether there are models
    """

    draining: bool

    @property
    def ready(self) -> bool: ...


class Front:
    """An application.

    behind   whose state `/healthz` tells
    pages    that of a path among `PAGES`
    needing  what answers each route of `NEEDS_MODEL`
    token    without which nothing is answered but `/healthz` (None: none is wanted)
    """

    def __init__(
        self,
        behind: Behind,
        pages: Callable[[str], Asset],
        needing: Callable[[str], Any],
        *,
        host: str,
        token: str | None,
        limits: Limits,
        counters: Counters,
    ) -> None:
        self.behind, self.pages, self.counters = behind, pages, counters
        self.routes = [
            Route("/healthz", self._healthz, methods=["GET"]),
            Route("/metrics", self._metrics, methods=["GET"]),
            Route("/static/{name}", self._static, methods=["GET"]),
            *(Route(path, self._page, methods=["GET"]) for path in PAGES),
            *(Route(path, needing(path), methods=[method]) for path, method in NEEDS_MODEL.items()),
        ]
        inner = Starlette(routes=self.routes, exception_handlers=errors_as_refusals())
        inner.router.redirect_slashes = False
        self.app = AccessControl(
            inner,
            host=host,
            token=token,
            limits=limits,
            counters=counters,
            uploads=UPLOADS,
            route=lambda path: _template(self.routes, path),
        )

    async def _healthz(self, request: Request) -> Response:
        """Whether it takes requests. Asks nobody who samples."""
        well = self.behind.ready and not self.behind.draining
        status = "ok" if well else "draining" if self.behind.draining else "loading"
        return JSONResponse({"status": status}, 200 if well else 503)

    async def _metrics(self, request: Request) -> Response:
        return PlainTextResponse(self.counters.text(), media_type="text/plain; version=0.0.4")

    async def _static(self, request: Request) -> Response:
        return _answer_with(asset(request.path_params["name"]))

    async def _page(self, request: Request) -> Response:
        return _answer_with(self.pages(request.scope["route"].path))


def _answer_with(found: Asset | None) -> Response:
    if found is None:
        raise HttpRefusal("there is no such file", code="no-such-route", status=404)
    return Response(found.content, media_type=found.media_type)


def _template(routes: Sequence[Route], path: str) -> str | None:
    """The route that a path belongs to, by its own name."""
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    return next((route.path for route in routes if route.matches(scope)[0] is not Match.NONE), None)


def errors_as_refusals() -> dict[Any, Any]:
    """Handlers that answer every error in one form."""

    def handler(
        status: int, code: str, words: str
    ) -> Callable[[Request, Exception], Awaitable[Response]]:
        async def handle(request: Request, error: Exception) -> Response:
            return _answer(HttpRefusal(words, code=code, status=status))

        return handle

    async def failed(request: Request, error: Exception) -> Response:
        return _answer(refusal_of(error))

    return {
        404: handler(404, "no-such-route", "there is no such route: /openapi.json lists them"),
        405: handler(405, "no-such-method", "this route is not served by that method"),
        GenwrightError: failed,
        Exception: failed,
    }


def _answer(refusal: HttpRefusal) -> Response:
    headers = {} if refusal.retry_after is None else {"retry-after": str(refusal.retry_after)}
    return JSONResponse(refusal.json(), refusal.status, headers)
