"""The routes as an OpenAPI document, and as a page to read."""

from __future__ import annotations

from typing import Any

from genwright import __version__
from genwright.serving.limits import Limits
from genwright.serving.page import environment

__all__ = ["document", "reference"]

Schema = dict[str, Any]


def document(limits: Limits) -> dict[str, Any]:
    """OpenAPI 3.1."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "genwright serve",
            "version": __version__,
            "description": "Runs behind an HTTP API. A refusal is an object, error, with a code that stays the same.",
        },
        "security": [{}, {"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Refusal": _REFUSAL},
        },
        "paths": _gets() | _posts(limits),
    }


def reference(limits: Limits) -> str:
    """The same for people."""
    return environment().get_template("api.html.j2").render(document=document(limits))


_REFUSAL: Schema = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {name: {"type": "string"} for name in ("code", "message", "type")},
        }
    },
}


_TURN: Schema = {
    "type": "object",
    "properties": {"role": {"type": "string"}, "content": {"type": ["string", "array"]}},
    "required": ["role", "content"],
}


def _gets() -> dict[str, Any]:
    of_run = [{"name": "run", "in": "path", "required": True, "schema": {"type": "string"}}]
    of_model = [{"name": "model", "in": "path", "required": True, "schema": {"type": "string"}}]
    of_file = [{"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}]
    return {
        "/healthz": _get("Whether it takes requests; the one route without the token"),
        "/metrics": _get("Counters, as Prometheus reads them", "text/plain"),
        "/": _get("The page", "text/html"),
        "/static/{name}": _get("A file of the page", "text/plain", of_file),
        "/api": _get("This document as a page", "text/html"),
        "/openapi.json": _get("This document"),
        "/v1/runs": _get(
            "Each run: what it makes, what may be given, its sampler's options, the verdict"
        ),
        "/v1/runs/{run}": _get("One of them", parameters=of_run),
        "/v1/models": _get("The runs as OpenAI lists models"),
        "/v1/models/{model}": _get("One of them", parameters=of_model),
    }


def _posts(limits: Limits) -> dict[str, Any]:
    run = {"type": "string", "description": "its name; may be left out where one run is served"}
    seed = {"type": "integer", "minimum": 0, "maximum": 2**63 - 1}
    n = {"type": "integer", "minimum": 1, "maximum": limits.n}
    text: Schema = {"type": "string", "maxLength": limits.characters}
    given = {"type": "object", "description": "a value by name, as /v1/runs lists them; or n values"}
    options = {"type": "object", "description": "of the sampler, as /v1/runs lists them"}
    switch = {"type": "boolean", "default": False}
    seeded = {"seed": seed | {"default": 0}, "given": given, "options": options}
    return {
        "/v1/sample": _post(
            "New examples: the bytes of genwright sample -n N --seed S",
            {"run": run, "n": n | {"default": 1}, **seeded, "stream": switch, "previews": switch}
            | {"format": {"enum": ["json", "zip"], "default": "json"}},
            stream=True,
        ),
        "/v1/apply": _post(
            f"What a run makes of a file or a text: genwright apply. A body of {limits.upload:,} bytes at most",
            {"run": run, "text": text, "data": {"type": "string", "contentEncoding": "base64"}}
            | {"name": {"type": "string", "maxLength": 256}, **seeded, "previews": switch},
        ),
        "/v1/edit": _post(
            "Examples on the way from the latent code of one seed to that of another",
            {"run": run, "seeds": {"type": "array", "items": seed, "minItems": 2, "maxItems": 2}}
            | {
                "steps": {"type": "integer", "minimum": 2, "maximum": 16, "default": 9},
                "previews": switch,
            },
        ),
        "/v1/completions": _post(
            "A text, as OpenAI's clients ask for it",
            {"model": run, "prompt": text, "max_tokens": {"type": "integer", "default": 16}, "n": n}
            | {"temperature": {"type": "number"}, "top_p": {"type": "number"}, "seed": seed}
            | {"stop": {"type": ["string", "array"]}, "stream": switch},
            stream=True,
        ),
        "/v1/chat/completions": _post(
            "The next turn of a dialogue, as OpenAI's clients ask for it, of a run that was trained on dialogues",
            {"model": run, "messages": {"type": "array", "items": _TURN, "minItems": 1}, "n": n}
            | {"max_tokens": {"type": "integer"}, "max_completion_tokens": {"type": "integer"}}
            | {"temperature": {"type": "number"}, "top_p": {"type": "number"}, "seed": seed}
            | {"stop": {"type": ["string", "array"]}, "stream": switch},
            stream=True,
        ),
        "/v1/images/generations": _post(
            "Pictures in base64, as OpenAI's clients ask for them; the prompt is a text or the label",
            {"model": run, "prompt": text, "n": n, "size": {"type": "string"}, "seed": seed},
        ),
        "/v1/audio/speech": _post(
            "A text as a sound, of a run that was trained to make sounds of texts",
            {"model": run, "input": text, "voice": {"type": "string"}, "seed": seed},
            media="audio/wav",
        ),
    }


def _get(
    words: str, media: str = "application/json", parameters: list[Schema] | None = None
) -> dict[str, Any]:
    answers = {"200": {"description": "OK", "content": {media: {}}}} | _REFUSALS
    return {"get": {"summary": words, "parameters": parameters or [], "responses": answers}}


def _post(
    words: str, properties: dict[str, Any], *, stream: bool = False, media: str = "application/json"
) -> dict[str, Any]:
    content: dict[str, Any] = {media: {}} | ({"text/event-stream": {}} if stream else {})
    schema = {"type": "object", "properties": properties, "additionalProperties": False}
    body = {"required": True, "content": {"application/json": {"schema": schema}}}
    answers = {"200": {"description": "OK", "content": content}} | _REFUSALS
    return {"post": {"summary": words, "requestBody": body, "responses": answers}}


_REFUSALS = {
    status: {
        "description": words,
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Refusal"}}},
    }
    for status, words in {
        "400": "What was asked cannot be done: code and message say why",
        "401": "The token is missing or wrong",
        "403": "Another host or origin",
        "404": "No such run or route",
        "413": "The body is too large",
        "501": "A library that the run needs is not installed",
        "503": "Too many requests wait, or the models are being loaded: Retry-After says when to come again",
        "504": "It took too long",
    }.items()
}
