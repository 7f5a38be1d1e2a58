"""From the body of a request to work for the engine, and from its events to an answer."""

from __future__ import annotations

import asyncio
import base64
import binascii
import json
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from typing import Any

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse

from genwright.serving.body import Body
from genwright.serving.channel import Channel, Event
from genwright.serving.engine import Engine, Work
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal
from genwright.serving.served import Catalogue, ServedRun
from genwright.serving.work import ApplyWork, EditWork, SampleWork, Wanted

__all__ = ["SEED", "Asker"]

SEED = 2**63
"""Seeds are below it."""
FILE_NAME = 256
"""Characters of a file's name, at most."""


class Asker:
    """Checks requests, hands them to the engine, and waits for what comes of them."""

    def __init__(self, catalogue: Catalogue, engine: Engine, limits: Limits) -> None:
        self.catalogue, self.engine, self.limits = catalogue, engine, limits
        self._one = ThreadPoolExecutor(1, "asker")

    # -- work of each kind ---------------------------------------------------------------------

    async def sample(
        self, run: ServedRun, *, n: int, seed: int, given: Any, options: Any, wanted: Wanted
    ) -> SampleWork:
        """New examples. Raises `HttpRefusal` for what cannot be asked, before anything is made."""
        self.engine.check_room()
        checked = run.checked_given(given, n, self.limits)
        sampler = run.checked_options(options, self.limits)
        # What is drawn for a request takes a moment: not in the event loop, and one after the other.
        asked = await asyncio.get_running_loop().run_in_executor(
            self._one, lambda: run.model.asked(n, checked, seed, sampler)
        )
        return SampleWork(
            run,
            Channel(),
            self.limits.seconds,
            n=n,
            asked=asked,
            seed=seed,
            options=sampler,
            wanted=wanted,
        )

    def sample_of(self, body: Body) -> Any:
        """That of `/v1/sample`."""
        run = self.catalogue.only(body.get("run"))
        return self.sample(
            run,
            n=body.whole("n", 1, 1, self.limits.n),
            seed=body.whole("seed", 0, 0, SEED - 1),
            given=body.get("given", {}),
            options=body.get("options", {}),
            wanted=Wanted(
                body.switch("stream"),
                body.switch("previews"),
                body.choice("format", ("json", "zip")) == "zip",
            ),
        )

    def apply_of(self, body: Body) -> ApplyWork:
        """That of `/v1/apply`."""
        self.engine.check_room()
        run = self.catalogue.only(body.get("run"))
        if run.applies is None:
            raise HttpRefusal(
                f"{run.name} makes nothing of files: /v1/sample makes new examples",
                code="nothing-to-apply",
            )
        text, data = body.get("text"), body.get("data")
        if (text is None) == (data is None):
            raise HttpRefusal("give a text, or data (base64) with a name: one of both", code="no-file")
        name = ""
        if text is not None:
            content = body.text("text", "", self.limits.characters).encode()
        else:
            name = body.text("name", "", FILE_NAME)
            if not name:
                raise HttpRefusal("data needs a name, whose ending says what it is", code="no-name")
            content = _decoded(data)
        return ApplyWork(
            run,
            Channel(),
            self.limits.seconds,
            content=content,
            name=name,
            given=run.checked_given(body.get("given", {}), 1, self.limits),
            seed=body.whole("seed", 0, 0, SEED - 1),
            options=run.checked_options(body.get("options", {}), self.limits),
            wanted=Wanted(previews=body.switch("previews")),
        )

    def edit_of(self, body: Body) -> EditWork:
        """That of `/v1/edit`."""
        self.engine.check_room()
        run = self.catalogue.only(body.get("run"))
        if not run.has_latents:
            raise HttpRefusal(f"{run.name} has no latent codes to go between", code="no-latents")
        seeds = body.get("seeds")
        if not (
            isinstance(seeds, list)
            and len(seeds) == 2
            and all(
                isinstance(one, int) and not isinstance(one, bool) and 0 <= one < SEED for one in seeds
            )
        ):
            raise HttpRefusal("seeds are two whole numbers, such as [1, 2]", code="wrong-type")
        steps = body.whole("steps", 9, 2, 16)
        wanted = Wanted(previews=body.switch("previews"))
        return EditWork(
            run, Channel(), self.limits.seconds, seeds=(seeds[0], seeds[1]), steps=steps, wanted=wanted
        )

    # -- waiting for it ------------------------------------------------------------------------

    @asynccontextmanager
    async def _waiting(self, request: Request, work: Any) -> AsyncIterator[AsyncIterator[Event]]:
        """The events of work that was accepted; it is cancelled where the asker goes away."""
        gone = asyncio.create_task(self._gone(request, work))
        try:
            yield work.channel.events()
        finally:
            gone.cancel()
            self.engine.cancel(work)

    async def _gone(self, request: Request, work: Work) -> None:
        with suppress(asyncio.CancelledError):
            while (await request.receive())["type"] != "http.disconnect":
                pass
            self.engine.counters.add("abandoned_total")
            self.engine.cancel(work)
            work.fail(HttpRefusal("the asker went away", code="abandoned", status=499))

    async def gathered(self, request: Request, work: Any) -> tuple[list[Event], Event]:
        """All examples that are made, and the last event."""
        self.engine.submit(work)
        async with self._waiting(request, work) as coming:
            events = [event async for event in coming]
        made = [event for event in events if event.name == "examples"]
        self.count(work, made)
        return made, events[-1]

    def count(self, work: Any, made: list[Event]) -> None:
        many = sum(len(event.data["examples"]) for event in made)
        self.engine.counters.add("examples_total", many, {"run": work.run.name})

    async def answer(self, request: Request, work: Any, head: dict[str, Any]) -> Response:
        """JSON of all at once."""
        made, last = await self.gathered(request, work)
        if last.files:
            return Response(last.files, media_type="application/zip")
        found: dict[str, Any] = head | {
            "examples": [one for event in made for one in event.data["examples"]],
            "notes": last.data["notes"],
        }
        if any("html" in event.data for event in made):
            found["html"] = [one for event in made for one in event.data["html"]]
        return await to_thread.run_sync(lambda: JSONResponse(found))

    def streaming(self, request: Request, work: Any, head: dict[str, Any]) -> Response:
        """Server-sent events, as examples are made. Raises `HttpRefusal` where the work is not accepted."""

        async def lines(coming: AsyncIterator[Event]) -> AsyncIterator[str]:
            yield _line("start", head)
            async for event in coming:
                if event.name == "examples":
                    self.count(work, [event])
                yield _line(event.name, event.data)

        return self.streamed(
            request, work, lines, lambda refusal: _line("error", refusal.json()["error"])
        )

    def streamed(
        self,
        request: Request,
        work: Any,
        lines: Callable[[AsyncIterator[Event]], AsyncIterator[str]],
        failed: Callable[[HttpRefusal], str],
    ) -> Response:
        """An answer that goes on until the work is done, or its asker has gone.

        lines   of the answer, from the events
        failed  the line for what went wrong when the answer had begun
        """
        self.engine.submit(work)

        async def sent() -> AsyncIterator[str]:
            async with self._waiting(request, work) as coming:
                try:
                    async for line in lines(coming):
                        yield line
                except HttpRefusal as refusal:
                    yield failed(refusal)

        return StreamingResponse(
            sent(), media_type="text/event-stream", headers={"x-accel-buffering": "no"}
        )


def _line(name: str, data: dict[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"


def _decoded(data: Any) -> bytes:
    try:
        if isinstance(data, str) and data:
            return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        pass
    raise HttpRefusal("data is the file in base64", code="not-base64")
