"""OpenAI's routes, where they fit: models, completions of a text, chats, pictures, speech. Their clients work
unchanged.

Where a request names no seed one is drawn; the header `x-genwright-seed` says which, and so does every answer that
has room for it. An option that is not served is refused, not passed over.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from genwright.data.text.turns import ANSWERS
from genwright.serving.body import Body
from genwright.serving.channel import Event
from genwright.serving.limits import Limits
from genwright.serving.refusal import HttpRefusal
from genwright.serving.requests import SEED, Asker
from genwright.serving.served import ServedRun
from genwright.serving.work import SampleWork, Wanted

__all__ = ["OpenAI"]

WORDS = ("text", "turns")
"""Kinds of what is given in words."""
TOKENS = 16
"""Of a completion that does not say how many: OpenAI's default."""
COMPLETION = (
    *("model", "prompt", "max_tokens", "temperature", "top_p", "n", "seed", "stream", "stop", "user"),
    *(
        "echo",
        "stream_options",
        "frequency_penalty",
        "presence_penalty",
        "best_of",
        "logprobs",
        "suffix",
    ),
    "logit_bias",
)
CHAT = (
    *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "seed"),
    *("stream", "stop", "user", "stream_options", "frequency_penalty", "presence_penalty", "logprobs"),
    *("logit_bias", "response_format", "tools", "store"),
)
PICTURES = (
    *("model", "prompt", "n", "size", "response_format", "seed", "user", "quality", "style"),
    *("background", "moderation", "output_format", "output_compression", "partial_images", "stream"),
)
SPEECH = ("model", "input", "voice", "response_format", "speed", "seed", "instructions", "stream_format")
NEUTRAL: dict[str, Collection[Any]] = {
    "echo": (False,),
    "frequency_penalty": (0, 0.0),
    "presence_penalty": (0, 0.0),
    "best_of": (1,),
    "logprobs": (),
    "suffix": ("",),
    "logit_bias": ({},),
    "stream_options": ({}, {"include_usage": False}, {"include_usage": True}),
    "response_format": ("b64_json", "wav"),
    "output_format": ("png",),
    "speed": (1, 1.0),
    "stream_format": ("audio",),
}
"""Values of what is not served that change nothing."""
OF_CHAT: dict[str, Collection[Any]] = {
    "logprobs": (False,),
    "response_format": ({"type": "text"},),
    "tools": ([],),
    "store": (False,),
}
"""The same of a chat, where it has others."""
Choice = dict[str, Any]


class OpenAI:
    def __init__(self, asker: Asker, limits: Limits) -> None:
        self.asker, self.limits = asker, limits
        self.created = int(time.time())

    # -- models --------------------------------------------------------------------------------

    async def models(self, request: Request) -> Response:
        data = [self._model(run) for run in self.asker.catalogue.runs.values()]
        return JSONResponse({"object": "list", "data": data})

    async def model(self, request: Request) -> Response:
        return JSONResponse(self._model(self.asker.catalogue[request.path_params["model"]]))

    def _model(self, run: ServedRun) -> dict[str, Any]:
        return {"id": run.name, "object": "model", "created": self.created, "owned_by": "genwright"}

    # -- texts ---------------------------------------------------------------------------------

    async def completions(self, request: Request) -> Response:
        body = await self._body(request, COMPLETION)
        run = self._making(body, "text", "/v1/completions")
        prompt = _prompt(body.get("prompt", ""), self.limits)
        most = body.whole("max_tokens", TOKENS, 1, self.limits.option)
        named = ("temperature", "top_p")
        options: dict[str, Any] = {name: body.get(name) for name in named if name in body.values}
        ids = len(run.made.prompt(prompt)) if prompt else 0
        source = next((one for one in run.controls.values() if one.kind in WORDS), None)
        given: dict[str, Any] = {}
        if source is not None:
            given, ids = {source.name: prompt}, 0
        elif prompt:
            given = {"prompt": prompt}
        if run.made.stream and "length" in run.options:
            options["length"] = ids + most
        work = await self._sample(body, run, given, options, stream=body.switch("stream"))
        own = prompt if source is None else ""
        text = _Text(run, own, ids, most, _stops(body.get("stop")), COMPLETED)
        return await self._texts(request, work, text, body)

    async def chats(self, request: Request) -> Response:
        body = await self._body(request, CHAT, NEUTRAL | OF_CHAT)
        run = self._making(body, "text", "/v1/chat/completions")
        source = run.dialogue
        if source is None:
            raise HttpRefusal(
                f"{run.name} was trained on no dialogues: /v1/completions goes on from a text",
                code="no-dialogue",
            )
        messages = body.get("messages")
        if not isinstance(messages, list) or not messages or not all(map(_is_text, messages)):
            raise HttpRefusal(
                'messages are turns of text such as {"role": "user", "content": "Hello"}',
                code="wrong-type",
            )
        most = body.whole("max_tokens", self.limits.option, 1, self.limits.option)
        most = body.whole("max_completion_tokens", most, 1, self.limits.option)
        named = ("temperature", "top_p")
        options = {name: body.get(name) for name in named if name in body.values}
        work = await self._sample(body, run, {source: messages}, options, stream=body.switch("stream"))
        ids = len(run.pipeline.fields[source].prompt(work.asked.values[source][0]))
        text = _Text(run, "", ids, most, _stops(body.get("stop")), CHATTED)
        return await self._texts(request, work, text, body)

    async def _texts(self, request: Request, work: SampleWork, text: _Text, body: Body) -> Response:
        """Texts in the form of a route: all at once, or as a stream."""
        if body.switch("stream"):
            return self._streamed_text(request, work, text, usage=_wants_usage(body))
        made, _ = await self.asker.gathered(request, work)
        ends = [text.finished(one["text"]) for one in _examples(made)]
        choices = [text.form.whole(i, *end) for i, end in enumerate(ends)]
        head = self._head(work, text.form.name)
        usage = text.usage([words for words, _ in ends])
        return JSONResponse(head | {"choices": choices, "usage": usage}, headers=_seed(work))

    def _streamed_text(
        self, request: Request, work: SampleWork, text: _Text, *, usage: bool
    ) -> Response:
        """Each piece of each text as soon as it is final."""
        form = text.form
        head = self._head(work, form.piece_name)

        def line(choices: list[Choice], **more: Any) -> str:
            return f"data: {json.dumps(head | {'choices': choices} | more)}\n\n"

        def piece(index: int, words: str, reason: str | None) -> str:
            return line([form.piece(index, words, reason)])

        async def lines(coming: AsyncIterator[Event]) -> AsyncIterator[str]:
            sent: dict[int, str] = {}
            written: list[str] = []
            for i in range(work.n if form.opens else 0):
                yield line([form.opening(i)])
            async for event in coming:
                if event.name == "draft" and "texts" in event.data:
                    for i, whole in enumerate(event.data["texts"], event.data["first"]):
                        words, before = text.so_far(whole), sent.get(i, "")
                        if words.startswith(before) and len(words) > len(before):
                            sent[i] = words
                            yield piece(i, words[len(before) :], None)
                elif event.name == "examples":
                    self.asker.count(work, [event])
                    for i, one in enumerate(event.data["examples"], event.data["first"]):
                        words, reason = text.finished(one["text"])
                        written.append(words)
                        yield piece(i, words[len(sent.get(i, "")) :], reason)
            if usage:
                yield line([], usage=text.usage(written))
            yield "data: [DONE]\n\n"

        return self.asker.streamed(
            request, work, lines, lambda refusal: f"data: {json.dumps(refusal.json())}\n\n"
        )

    # -- pictures and sounds -------------------------------------------------------------------

    async def pictures(self, request: Request) -> Response:
        body = await self._body(request, PICTURES)
        run = self._making(body, "pixels", "/v1/images/generations")
        self._check_size(body.get("size", "auto"), run)
        prompt = body.text("prompt", "", self.limits.characters)
        work = await self._sample(body, run, self._given(run, prompt), {}, stream=False)
        made, _ = await self.asker.gathered(request, work)
        data = [{"b64_json": one["data"]} for one in _examples(made)]
        return JSONResponse({"created": int(time.time()), "data": data}, headers=_seed(work))

    async def speech(self, request: Request) -> Response:
        body = await self._body(request, SPEECH)
        run = self._making(body, "waveform", "/v1/audio/speech")
        source = next((one for one in run.controls.values() if one.kind in WORDS), None)
        if source is None:
            raise HttpRefusal(
                f"{run.name} makes sounds, and of no text: /v1/sample makes some", code="does-not-speak"
            )
        words = body.text("input", "", self.limits.characters)
        if not words:
            raise HttpRefusal("input is the text to speak", code="no-input")
        work = await self._sample(body, run, {source.name: words}, {}, stream=False, n=1)
        made, _ = await self.asker.gathered(request, work)
        (one,) = _examples(made)
        return Response(base64.b64decode(one["data"]), media_type=one["media_type"], headers=_seed(work))

    def _given(self, run: ServedRun, prompt: str) -> dict[str, Any]:
        """A prompt as what the run can be given: a text, or the value of its one label. Empty: nothing."""
        if not prompt:
            return {}
        controls = [one for one in run.controls.values() if one.kind in (*WORDS, "menu")]
        source = next((one for one in controls if one.kind in WORDS), None)
        if source is None and len(controls) != 1:
            raise HttpRefusal(
                f"{run.name} is given no text: send an empty prompt, or ask /v1/sample",
                code="takes-no-prompt",
            )
        return {(source or controls[0]).name: prompt}

    def _check_size(self, size: Any, run: ServedRun) -> None:
        grid = run.made.space.grid
        own = "x".join(map(str, reversed(grid)))
        if size not in ("auto", own):
            raise HttpRefusal(
                f"{run.name} makes pictures of {own}, got size {str(size)[:32]!r}", code="wrong-size"
            )

    # -- of all --------------------------------------------------------------------------------

    async def _body(
        self,
        request: Request,
        known: Collection[str],
        without_effect: Mapping[str, Collection[Any]] = NEUTRAL,
    ) -> Body:
        body = Body(await request.body(), self.limits.depth, known)
        for name, neutral in without_effect.items():
            value = body.values.get(name)
            if value is not None and not any(value is one or value == one for one in neutral):
                raise HttpRefusal(
                    f"{name}={str(value)[:32]} is not served: leave it out", code="not-served"
                )
        if body.get("stream", False) is not False and "prompt" in known and "size" in known:
            raise HttpRefusal(
                "pictures are not streamed here: /v1/sample streams them", code="not-served"
            )
        return body

    def _making(self, body: Body, view: str, route: str) -> ServedRun:
        run = self.asker.catalogue.only(body.get("model"))
        if view not in run.made.views:
            raise HttpRefusal(
                f"{run.name} makes {run.pipeline.spec.make!r}, which is not for {route}: /v1/sample makes it",
                code="wrong-route",
            )
        return run

    async def _sample(
        self, body: Body, run: ServedRun, given: Any, options: Any, *, stream: bool, n: int | None = None
    ) -> SampleWork:
        many = body.whole("n", 1, 1, self.limits.n) if n is None else n
        seed = body.whole("seed", secrets.randbelow(2**31), 0, SEED - 1)
        return await self.asker.sample(
            run, n=many, seed=seed, given=given, options=options, wanted=Wanted(drafts=stream)
        )

    def _head(self, work: SampleWork, kind: str) -> dict[str, Any]:
        return {
            "id": f"cmpl-{work.seed}-{time.monotonic_ns()}",
            "object": kind,
            "created": int(time.time()),
            "model": work.run.name,
            "system_fingerprint": f"step-{work.run.model.step}",
        }


class _Form:
    """How a route shows a text, and a piece of one.

    name, piece_name  of the objects that hold them
    opens             whether a stream begins with who speaks
    """

    name = piece_name = "text_completion"
    opens = False

    def whole(self, index: int, words: str, reason: str | None) -> Choice:
        return {"index": index, "text": words, "finish_reason": reason, "logprobs": None}

    def piece(self, index: int, words: str, reason: str | None) -> Choice:
        return self.whole(index, words, reason)

    def opening(self, index: int) -> Choice:
        return self.piece(index, "", None)


class _ChatForm(_Form):
    name, piece_name = "chat.completion", "chat.completion.chunk"
    opens = True

    def whole(self, index: int, words: str, reason: str | None) -> Choice:
        message = {"role": ANSWERS, "content": words, "refusal": None}
        return {"index": index, "message": message, "finish_reason": reason, "logprobs": None}

    def piece(self, index: int, words: str, reason: str | None) -> Choice:
        delta = {"content": words} if words else {}
        return {"index": index, "delta": delta, "finish_reason": reason, "logprobs": None}

    def opening(self, index: int) -> Choice:
        return self.piece(index, "", None) | {"delta": {"role": ANSWERS, "content": ""}}


COMPLETED, CHATTED = _Form(), _ChatForm()


@dataclass(frozen=True)
class _Text:
    """What of a text that a run made is the completion: behind the prompt, up to so many tokens or a stop.

    ids   tokens of the prompt
    form  in which the route shows it
    """

    run: ServedRun
    prompt: str
    ids: int
    most: int
    stops: tuple[str, ...]
    form: _Form

    def usage(self, texts: Sequence[str]) -> dict[str, int]:
        written = sum(map(self.tokens, texts))
        return {
            "prompt_tokens": self.ids,
            "completion_tokens": written,
            "total_tokens": self.ids + written,
        }

    def tokens(self, words: str) -> int:
        return len(self.run.made.prompt(words)) if words else 0

    def finished(self, whole: str) -> tuple[str, str]:
        """The completion, and why it ended."""
        words = whole.removeprefix(self.prompt)
        places = [at for stop in self.stops if (at := words.find(stop)) >= 0]
        if places:
            return words[: min(places)], "stop"
        if self.run.made.stream or self.tokens(words) <= self.most:
            return words, "length" if self.run.made.stream else "stop"
        while self.tokens(words) > self.most:
            words = words[:-1]
        return words, "length"

    def so_far(self, whole: str) -> str:
        """As much of it as will not change: no half of a character, nothing that may become a stop."""
        if not whole.startswith(self.prompt):
            return ""
        words = whole.removeprefix(self.prompt).rstrip("\ufffd")
        words, reason = self.finished(words)
        if self.stops and reason != "stop":
            words = words[: max(0, len(words) - max(map(len, self.stops)) + 1)]
        return words


def _prompt(value: Any, limits: Limits) -> str:
    if isinstance(value, list) and len(value) == 1:
        (value,) = value
    if not isinstance(value, str):
        raise HttpRefusal("prompt is one text", code="wrong-type")
    if len(value) > limits.characters:
        raise HttpRefusal(f"prompt is {limits.characters:,} characters at most", code="text-too-long")
    return value


def _is_text(message: Any) -> bool:
    """Whether a message of a chat is text alone, perhaps in parts."""
    content = message.get("content") if isinstance(message, Mapping) else None
    if not isinstance(content, list):
        return isinstance(content, str)
    return all(
        isinstance(part, Mapping) and part.get("type") == "text" and isinstance(part.get("text"), str)
        for part in content
    )


def _wants_usage(body: Body) -> bool:
    return bool(body.get("stream_options", {}).get("include_usage"))


def _stops(value: Any) -> tuple[str, ...]:
    found = [value] if isinstance(value, str) else [] if value is None else value
    if (
        not isinstance(found, list)
        or len(found) > 4
        or not all(isinstance(one, str) and one for one in found)
    ):
        raise HttpRefusal("stop is a text, or a list of four at most", code="wrong-type")
    return tuple(found)


def _examples(made: list[Event]) -> list[dict[str, Any]]:
    return [one for event in made for one in event.data["examples"]]


def _seed(work: SampleWork) -> dict[str, str]:
    return {"x-genwright-seed": str(work.seed)}
