"""Labels, captions, column names, prompts and file names that are markup are text wherever they are shown."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import jinja2
import pytest

from genwright.data import preview
from genwright.data.codec import Preview, Sounded
from genwright.evaluation.results import Claim, EvaluationReport, Gallery, MetricResult
from genwright.report import evaluation_page, leaderboard_page, run_page
from genwright.storage.run import Run
from markup import PAYLOADS, stays_text


def previews(text: str) -> str:
    """Column names, cells, texts, captions."""
    kinds = [
        Preview("png", png=b"\x89PNG", text=text),
        Preview("rows", rows=((text, "y"), ("1", text))),
        Preview("text", text=text),
        Preview("sounds", sounds=(Sounded(b"RIFF", b"\x89PNG"),), text=text),
    ]
    return "".join(preview.as_html(one, text) for one in kinds)


def a_report(text: str) -> EvaluationReport:
    refused = MetricResult("mauve", "usefulness", "higher", text, True, None, refused=text)
    gallery = Gallery(text, text, ((text, Preview("rows", rows=((text,), (text,)))),))
    claim = Claim("supported", text, text)
    facts = {"data": text, text: text}
    return EvaluationReport(text, (claim,), facts, (refused,), (gallery,), (text,))


def report_page(text: str) -> str:
    return evaluation_page.html(a_report(text))


def comparison_page(text: str) -> str:
    """Names of runs and folders, causes, what the guard said."""
    names = ("name", "family", "cause", "size", "guard")
    row: dict[str, Any] = dict.fromkeys(names, text) | {"rank": 1, "tied": [text], "best": True}
    run = text.encode(errors="replace").decode()
    row |= {"run": run, "outcome": "trained", "steps": 1, "metrics": {}}
    return leaderboard_page._html([row], {}, {text: text}, Path("compared"))


def training_page(text: str) -> str:
    """What the plan and the facts of a run say, and its samples."""
    with TemporaryDirectory() as folder:
        plan = f"data  {text}\n".encode(errors="replace").decode()
        run = Run.create(Path(folder) / "run", recipe={"family": {"name": "vae"}}, plan=plan, codec={})
        shown = Preview("rows", rows=((text,), (text,)))
        return run_page.finish(run, shown, {"fact": text}, []).read_text(encoding="utf-8")


def served_page(text: str) -> str:
    """The frame of the page of `genwright serve`: the names of its runs."""
    pytest.importorskip("starlette", reason="genwright[serve] is not installed")
    from genwright.serving.limits import Limits
    from genwright.serving.page import page

    catalogue: Any = SimpleNamespace(runs=[text])
    return page(catalogue, Limits())


PAGES: list[Callable[[str], str]] = [previews, report_page, comparison_page, training_page, served_page]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
@pytest.mark.parametrize("payload", PAYLOADS, ids=range(len(PAYLOADS)))
def test_markup_stays_text(page, payload):
    stays_text(page, payload)


def test_there_are_fifty_of_them():
    assert len({*PAYLOADS}) >= 50


@pytest.fixture
def unescaped(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The mutant: templates escape nothing."""
    begin = jinja2.Environment.__init__

    def begins(self: Any, *args: Any, **options: Any) -> None:
        begin(self, *args, **options | {"autoescape": False})

    kept = [
        preview.templates,
        *(module._environment for module in (evaluation_page, leaderboard_page, run_page)),
    ]
    if (serving := sys.modules.get("genwright.serving.page")) is not None:
        kept.append(serving.environment)
    with monkeypatch.context() as patch:
        patch.setattr(jinja2.Environment, "__init__", begins)
        for one in kept:
            one.cache_clear()
        yield
    for one in kept:
        one.cache_clear()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.__name__)
def test_a_page_that_escapes_nothing_is_caught(page, unescaped):
    for payload in ("<script>alert(1)</script>", "<b>"):
        with pytest.raises(AssertionError):
            stays_text(page, payload)
