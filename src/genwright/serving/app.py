"""The routes that need a model, with the engine that they ask; and the whole server in one process."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from genwright.model import Model
from genwright.serving import openapi
from genwright.serving.assets import Asset
from genwright.serving.body import Body
from genwright.serving.counters import Counters
from genwright.serving.engine import Engine
from genwright.serving.front import NEEDS_MODEL, Front, errors_as_refusals
from genwright.serving.limits import Limits
from genwright.serving.openai_routes import OpenAI
from genwright.serving.page import page
from genwright.serving.refusal import HttpRefusal
from genwright.serving.requests import Asker
from genwright.serving.served import Catalogue

__all__ = ["ModelRoutes", "Server", "make_server"]

Handler = Callable[[Request], Awaitable[Response]]
SAMPLE = ("run", "n", "seed", "given", "options", "stream", "previews", "format")
APPLY = ("run", "text", "data", "name", "given", "seed", "options", "previews")
EDIT = ("run", "seeds", "steps", "previews")


class Api:
    """The routes of this project's own."""

    def __init__(self, asker: Asker, limits: Limits) -> None:
        self.asker, self.limits = asker, limits

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


class ModelRoutes:
    """What is behind the front: the handlers of `NEEDS_MODEL`, and the pages, which say what is served.

    The engine's threads begin with `with routes.engine`.
    """

    def __init__(
        self,
        models: Sequence[tuple[Path, Model]],
        limits: Limits,
        counters: Counters,
        threads: int | None = None,
    ) -> None:
        self.catalogue, self.engine = Catalogue.of(models), Engine(limits, counters, threads)
        asker = Asker(self.catalogue, self.engine, limits)
        api, openai = Api(asker, limits), OpenAI(asker, limits)
        self.handlers: Mapping[str, Handler] = {
            "/v1/runs": api.runs,
            "/v1/runs/{run}": api.run,
            "/v1/sample": api.sample,
            "/v1/apply": api.apply,
            "/v1/edit": api.edit,
            "/v1/models": openai.models,
            "/v1/models/{model}": openai.model,
            "/v1/completions": openai.completions,
            "/v1/chat/completions": openai.chats,
            "/v1/images/generations": openai.pictures,
            "/v1/audio/speech": openai.speech,
        }
        self.pages = {
            "/": Asset(page(self.catalogue, limits).encode(), "text/html"),
            "/api": Asset(openapi.reference(limits).encode(), "text/html"),
            "/openapi.json": Asset(json.dumps(openapi.document(limits)).encode(), "application/json"),
        }

    def app(self) -> ASGIApp:
        """The routes by themselves: for a front in another process, which has let in what comes here."""
        routes = [Route(path, self.handlers[path], methods=[how]) for path, how in NEEDS_MODEL.items()]
        made = Starlette(routes=routes, exception_handlers=errors_as_refusals())
        made.router.redirect_slashes = False
        return made


@dataclass
class Server:
    """All of it in one process."""

    front: Front
    engine: Engine
    catalogue: Catalogue

    @property
    def app(self) -> ASGIApp:
        return self.front.app

    @property
    def routes(self) -> list[Route]:
        return self.front.routes


def make_server(
    models: Sequence[tuple[Path, Model]],
    *,
    host: str = "127.0.0.1",
    token: str | None = None,
    limits: Limits | None = None,
    threads: int | None = None,
) -> Server:
    """The front with the models right behind it, in this process: for tests, and for a server within a program."""
    limits, counters = limits or Limits(), Counters()
    behind = ModelRoutes(models, limits, counters, threads)
    engine = behind.engine
    counters.gauges |= {"waiting": lambda: engine.waiting, "busy": lambda: engine.busy}
    front = Front(
        engine,
        behind.pages.__getitem__,
        behind.handlers.__getitem__,
        host=host,
        token=token,
        limits=limits,
        counters=counters,
    )
    return Server(front, engine, behind.catalogue)
