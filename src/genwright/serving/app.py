"""The application: all routes in one table, behind one access control."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Match, Route

from genwright.errors import GenwrightError
from genwright.model import Model
from genwright.serving import openapi
from genwright.serving.access import AccessControl
from genwright.serving.body import Body
from genwright.serving.counters import Counters
from genwright.serving.engine import Engine
from genwright.serving.limits import Limits
from genwright.serving.openai_routes import OpenAI
from genwright.serving.page import asset, page
from genwright.serving.refusal import HttpRefusal, refusal_of
from genwright.serving.requests import Asker
from genwright.serving.served import Catalogue

__all__ = ["Server", "make_server"]

Handler = Callable[[Request], Awaitable[Response]]
SAMPLE = ("run", "n", "seed", "given", "options", "stream", "previews", "format")
APPLY = ("run", "text", "data", "name", "given", "seed", "options", "previews")
EDIT = ("run", "seeds", "steps", "previews")


@dataclass
class Server:
    """An application with the engine that it asks."""

    app: AccessControl
    engine: Engine
    routes: Sequence[Route]
    catalogue: Catalogue


class Api:
    """The routes of this project's own."""

    def __init__(self, asker: Asker, counters: Counters, limits: Limits) -> None:
        self.asker, self.counters, self.limits = asker, counters, limits

    async def healthz(self, request: Request) -> Response:
        """Whether it takes requests. Asks no thread that samples."""
        draining = self.asker.engine.draining
        return JSONResponse({"status": "draining" if draining else "ok"}, 503 if draining else 200)

    async def counted(self, request: Request) -> Response:
        return PlainTextResponse(self.counters.text(), media_type="text/plain; version=0.0.4")

    async def page(self, request: Request) -> Response:
        return HTMLResponse(page(self.asker.catalogue, self.limits))

    async def asset(self, request: Request) -> Response:
        found = asset(request.path_params["name"])
        if found is None:
            raise HttpRefusal("there is no such file", code="no-such-route", status=404)
        return Response(found.content, media_type=found.media_type)

    async def openapi(self, request: Request) -> Response:
        return JSONResponse(openapi.document(self.limits))

    async def reference(self, request: Request) -> Response:
        return HTMLResponse(openapi.reference(self.limits))

    async def runs(self, request: Request) -> Response:
        return JSONResponse({"runs": [run.card() for run in self.asker.catalogue.runs.values()]})

    async def run(self, request: Request) -> Response:
        return JSONResponse(self.asker.catalogue[request.path_params["run"]].card())

    async def sample(self, request: Request) -> Response:
        body = await self._body(request, SAMPLE)
        if body.switch("stream") and body.get("format") == "zip":
            raise HttpRefusal(
                "a ZIP is not streamed: leave stream or format out", code="contradicting-options"
            )
        work = await self.asker.sample_of(body)
        head = {"run": work.run.name, "seed": work.seed, "n": work.n}
        if body.switch("stream"):
            return self.asker.streaming(request, work, head)
        return await self.asker.answer(request, work, head)

    async def apply(self, request: Request) -> Response:
        work = self.asker.apply_of(await self._body(request, APPLY))
        return await self.asker.answer(request, work, {"run": work.run.name, "seed": work.seed})

    async def edit(self, request: Request) -> Response:
        work = self.asker.edit_of(await self._body(request, EDIT))
        return await self.asker.answer(request, work, {"run": work.run.name, "seeds": list(work.seeds)})

    async def _body(self, request: Request, known: Sequence[str]) -> Body:
        return Body(await request.body(), self.limits.depth, known)


def make_server(
    models: Sequence[tuple[Path, Model]],
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
) -> Server:
    """The application for some models. The engine's threads begin with `with server.engine`."""
    limits, counters = limits or Limits(), Counters()
    catalogue, engine = Catalogue.of(models), Engine(limits, counters, threads)
    counters.gauges |= {"waiting": lambda: engine.waiting, "busy": lambda: engine.busy}
    asker = Asker(catalogue, engine, limits)
    routes = _routes(Api(asker, counters, limits), OpenAI(asker, limits))
    inner = Starlette(routes=routes, exception_handlers=_handlers())
    inner.router.redirect_slashes = False
    access = AccessControl(
        inner,
        host=host,
        token=token,
        limits=limits,
        counters=counters,
        uploads=frozenset({"/v1/apply"}),
        route=lambda path: _template(routes, path),
    )
    return Server(access, engine, routes, catalogue)


def _routes(api: Api, openai: OpenAI) -> list[Route]:
    return [
        Route("/healthz", api.healthz, methods=["GET"]),
        Route("/metrics", api.counted, methods=["GET"]),
        Route("/", api.page, methods=["GET"]),
        Route("/static/{name}", api.asset, methods=["GET"]),
        Route("/api", api.reference, methods=["GET"]),
        Route("/openapi.json", api.openapi, methods=["GET"]),
        Route("/v1/runs", api.runs, methods=["GET"]),
        Route("/v1/runs/{run}", api.run, methods=["GET"]),
        Route("/v1/sample", api.sample, methods=["POST"]),
        Route("/v1/apply", api.apply, methods=["POST"]),
        Route("/v1/edit", api.edit, methods=["POST"]),
        Route("/v1/models", openai.models, methods=["GET"]),
        Route("/v1/models/{model}", openai.model, methods=["GET"]),
        Route("/v1/completions", openai.completions, methods=["POST"]),
        Route("/v1/chat/completions", openai.chats, methods=["POST"]),
        Route("/v1/images/generations", openai.pictures, methods=["POST"]),
        Route("/v1/audio/speech", openai.speech, methods=["POST"]),
    ]


def _template(routes: Sequence[Route], path: str) -> str | None:
    """The route that a path belongs to, by its own name."""
    scope = {"type": "http", "path": path, "method": "GET", "headers": []}
    return next((route.path for route in routes if route.matches(scope)[0] is not Match.NONE), None)


def _handlers() -> dict[Any, Any]:
    """Every error as a refusal in one form."""

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
