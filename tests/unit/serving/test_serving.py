"""What is served: the bytes of the command line, as they are made, and what a request may hold."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from typing import Any

import pytest

pytest.importorskip("starlette", reason="genwright[serve] is not installed")

from commands import call
from genwright.errors import missing_extra


def examples(answer: Any) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return list(answer.json()["examples"])


def refused(answer: Any, code: str, status: int = 400) -> str:
    """The sentence of a refusal with this code."""
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return str(answer.json()["error"]["message"])


def events(answer: Any) -> list[tuple[str, dict[str, Any]]]:
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    parts = [part.split("\ndata: ") for part in answer.text.strip().split("\n\n")]
    return [(name.removeprefix("event: "), json.loads(data)) for name, data in parts]


# -- the bytes of the command line -----------------------------------------------------------------


def of_command_line(served, run: str, *options: object) -> dict[str, bytes]:
    folder = served.folder / f"out-{run}-{abs(hash(options))}"
    if not folder.exists():
        said = call("sample", served.folder / run, "--out", folder, *options)
        assert said.code == 0, said
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*")}


@pytest.mark.parametrize("n", [1, 3, 20])
def test_pictures_are_those_of_the_command_line(served, n):
    files = of_command_line(served, "faces-run", "-n", n, "--seed", 7, "--given", "label=b")
    made = examples(served.sample(run="faces-run", n=n, seed=7, given={"label": "b"}))
    assert [base64.b64decode(one["data"]) for one in made] == [files[f"{i:05d}.png"] for i in range(n)]
    assert {one["given"]["label"] for one in made} == {"b"}


def test_texts_are_those_of_the_command_line(served):
    files = of_command_line(
        served, "fox", "-n", 2, "--seed", 5, "--set", "prompt=the ", "--set", "length=30"
    )
    made = examples(
        served.sample(run="fox", n=2, seed=5, given={"prompt": "the "}, options={"length": 30})
    )
    lines = files["samples.jsonl"].decode().splitlines()
    assert [one["text"] for one in made] == [json.loads(line)["text"] for line in lines]


@pytest.mark.parametrize("run", ["faces-run", "fox", "rows"])
def test_a_zip_holds_the_files_of_the_command_line(served, run):
    files = of_command_line(served, run, "-n", 2, "--seed", 3)
    answer = served.sample(run=run, n=2, seed=3, format="zip")
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as zipped:
        assert {name: zipped.read(name) for name in zipped.namelist()} == files
    assert answer.content == served.sample(run=run, n=2, seed=3, format="zip").content


def test_rows_are_given_with_what_is_known(served):
    (row,) = examples(served.sample(run="rows", given={"row": {"x": "1.0"}}))
    assert row["row"]["x"] in ("1.0", 1.0)


def test_a_file_is_applied_as_on_the_command_line(served, tmp_path):
    (tmp_path / "gaps.csv").write_text("x,<script>alert(2)</script>\n1.0,\n,<b>b</b>\n")
    said = call(
        "apply", served.folder / "rows", tmp_path / "gaps.csv", "--seed", 4, "--out", tmp_path / "out"
    )
    assert said.code == 0, said
    data = base64.b64encode((tmp_path / "gaps.csv").read_bytes()).decode()
    answer = served.client.post(
        "/v1/apply", json={"run": "rows", "data": data, "name": "../gaps.csv", "seed": 4}
    )
    (one,) = examples(answer)
    assert base64.b64decode(one["data"]) == (tmp_path / "out/gaps.csv").read_bytes()
    assert one["name"] == "input.csv"


def test_a_file_that_cannot_be_read_is_refused_without_a_word_of_where_it_lay(served):
    asked = {"run": "rows", "name": "x.parquet", "data": base64.b64encode(b"no table").decode()}
    answer = served.client.post("/v1/apply", json=asked)
    assert 400 <= answer.status_code < 500
    assert "/" not in answer.json()["error"]["message"].replace("genwright/", "")


def test_a_way_between_two_codes(served):
    answer = served.client.post("/v1/edit", json={"run": "faces-run", "seeds": [1, 2], "steps": 3})
    assert len(examples(answer)) == 3
    refused(served.client.post("/v1/edit", json={"run": "fox", "seeds": [1, 2]}), "no-latents")


# -- as they are made ------------------------------------------------------------------------------


def test_a_stream_ends_with_what_is_made_at_once(served):
    asked = {"run": "faces-run", "n": 3, "seed": 9, "options": {"steps": 40}}
    found = events(served.sample(**asked, stream=True, previews=True))
    assert [name for name, _ in found if name != "draft"] == ["start", "examples", "done"]
    drafts = [data for name, data in found if name == "draft"]
    assert all(len(data["html"]) == 3 and data["steps"] == 40 for data in drafts)
    (made,) = (data for name, data in found if name == "examples")
    assert made["examples"] == examples(served.sample(**asked))
    assert all(html.startswith("<img") for html in made["html"])


def test_more_than_a_chunk_comes_in_parts(served):
    found = events(served.sample(run="fox", n=5, options={"chunk": 2}, stream=True))
    assert [data["first"] for name, data in found if name == "examples"] == [0, 2, 4]


# -- what is there ---------------------------------------------------------------------------------


def test_a_run_says_what_may_be_asked(served):
    runs = {run["id"]: run for run in served.client.get("/v1/runs").json()["runs"]}
    assert list(runs) == ["faces-run", "fox", "rows"]
    faces = runs["faces-run"]
    assert faces == served.client.get("/v1/runs/faces-run").json()
    assert [(one["name"], one["kind"], one["values"]) for one in faces["fields"]] == [
        ("label", "menu", ["a", "b"])
    ]
    options = {one["name"]: one for one in faces["options"]}
    assert options["solver"]["choices"] == ["euler", "heun", "dpm", "ancestral", "sde"]
    assert (options["steps"]["kind"], options["temperature"]["most"]) == ("whole", 2.0)
    assert options["guidance_scale"]["words"] == "above 1 exaggerates the condition."
    assert {one["kind"] for one in runs["fox"]["fields"]} == {"infill", "prompt"}
    assert runs["rows"]["fields"][0]["columns"][0] == "x"
    assert runs["rows"]["verdict"] is None


def test_the_verdict_of_the_judge_is_shown(served, models):
    folder = served.folder / "fox/judge"
    folder.mkdir()
    claim = {"outcome": "supported", "question": "Is it good?", "because": "it is"}
    (folder / "report.json").write_text(
        json.dumps({"findings": [claim], "not_measured": ["mauve"], "facts": {}})
    )
    card = served.client.get("/v1/runs/fox").json()
    assert (card["verdict"], card["limits"]) == ([claim], ["mauve"])


REFUSED = {
    "unknown-run": ({"run": "facesrun"}, "run-not-served", "faces-run", 404),
    "unknown-field": ({"run": "fox", "m": 4}, "unknown-field", "takes no 'm'", 400),
    "unknown-condition": (
        {"run": "faces-run", "given": {"lable": "a"}},
        "no-such-condition",
        "label",
        400,
    ),
    "unknown-value": ({"run": "faces-run", "given": {"label": "c"}}, "no-such-value", "'c'", 400),
    "unknown-option": ({"run": "faces-run", "options": {"stepps": 4}}, "unknown-option", "steps", 400),
    "unknown-choice": (
        {"run": "faces-run", "options": {"solver": "rk4"}},
        "unknown-choice",
        "euler",
        400,
    ),
    "unknown-column": ({"run": "rows", "given": {"row": {"xx": 1}}}, "no-such-column", "x", 400),
    "hidden-option": ({"run": "fox", "options": {"prefix": [1]}}, "unknown-option", "prefix", 400),
    "no-prompt": ({"run": "faces-run", "given": {"prompt": "a"}}, "no-such-condition", "prompt", 400),
    "zip-stream": ({"run": "fox", "format": "zip", "stream": True}, "contradicting-options", "ZIP", 400),
    "no-run": ({}, "run-not-served", "fox", 404),
    "out-of-range": ({"run": "fox", "options": {"top_p": 0}}, "out-of-range", "top_p", 400),
    "too-many-values": (
        {"run": "faces-run", "n": 2, "given": {"label": ["a"]}},
        "wrong-number-given",
        "2",
        400,
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_asked_is_refused_with_a_code_and_the_nearest(served, name):
    body, code, word, status = REFUSED[name]
    assert word in refused(served.client.post("/v1/sample", json=body), code, status)


def test_an_error_nobody_foresaw_says_nothing_of_itself(served, monkeypatch):
    def broken(*_: object) -> None:
        raise ValueError("a secret of somebody")

    monkeypatch.setattr(type(served.server.catalogue["fox"].model), "parts", broken)
    monkeypatch.setattr(type(served.server.catalogue["fox"].model), "together", broken)
    answer = served.sample(run="fox", n=1)
    assert "secret" not in answer.text
    refused(answer, "internal", 500)


def test_an_extra_that_is_missing_is_said_and_is_not_the_askers_fault(served, monkeypatch):
    def lacks(*_: object) -> None:
        raise missing_extra("reading molecules", "rdkit", "molecules")

    for name in ("parts", "together"):
        monkeypatch.setattr(type(served.server.catalogue["fox"].model), name, lacks)
    assert "genwright[molecules]" in refused(served.sample(run="fox", n=1), "missing-extra", 501)


def test_the_document_names_every_route(served):
    document = served.client.get("/openapi.json").json()
    there = {
        (route.path, method.lower())
        for route in served.server.routes
        for method in route.methods - {"HEAD"}
    }
    assert {(path, verb) for path, verbs in document["paths"].items() for verb in verbs} == there
    known = document["paths"]["/v1/sample"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ]
    from genwright.serving.app import APPLY, EDIT, SAMPLE

    for path, names in (("sample", SAMPLE), ("apply", APPLY), ("edit", EDIT)):
        known = document["paths"][f"/v1/{path}"]["post"]["requestBody"]["content"]["application/json"][
            "schema"
        ]
        assert set(known["properties"]) == set(names)
    assert "POST /v1/sample" in served.client.get("/api").text


def test_the_page_and_its_files_are_there(served):
    page = served.client.get("/")
    assert page.status_code == 200
    for name in ("page.js", "page.css", "icon.svg"):
        assert f"/static/{name}" in page.text
        assert served.client.get(f"/static/{name}").content
    assert "http://" not in page.text
    assert "https://" not in page.text


def test_counters_count(served):
    before = served.server.engine.counters.value("examples_total", run="fox")
    served.sample(run="fox", n=3)
    text = served.client.get("/metrics").text
    assert f'genwright_examples_total{{run="fox"}} {before + 3:g}' in text
    assert 'genwright_requests_total{route="/v1/sample",status="200"}' in text
    assert "genwright_waiting 0" in text
