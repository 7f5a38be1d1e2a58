"""What the pages tell people to type exists; what is quick is run. The rest is run by the journey."""

from __future__ import annotations

import ast
import inspect
import re
import shlex
import tomllib
from dataclasses import fields
from pathlib import Path

import pytest
import typer

import genwright
from genwright.api import make_recipe
from genwright.cli.main import app
from genwright.families.capabilities import Generative
from genwright.recipe import PLUGINS, Recipe, TrainOptions
from genwright.registry import names, options, resolve
from snippets import PAGES, ROOT, Snippet, blocks, headings, snippets

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"
ALL = [
    pytest.param(snippet, id=f"{page.stem}-{i}")
    for page in PAGES
    if page != CHINESE
    for i, snippet in enumerate(snippets(page))
]


def _options(kind: str, name: str) -> list[str]:
    return list(options(resolve(kind, name)))


def _knobs(family: str) -> list[str]:
    kind = resolve("families", family)
    return kind.sampler_options() if issubclass(kind, Generative) else []


@pytest.mark.parametrize("snippet", ALL)
def test_what_is_told_to_type_is_understood(snippet: Snippet) -> None:
    if snippet.language == "python":
        _understood(snippet.text)
        return
    words = shlex.split(snippet.text)
    if words[0] == "genwright":
        _parsed(words[1:])
    elif words[0] == "python":
        assert words[1] == "-c" or (ROOT / words[1]).is_file()
    elif words[0] == "make":
        assert re.search(rf"^{words[1]}:", (ROOT / "Makefile").read_text(), re.M)
    elif words[0] == "pip":
        known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        assert set(re.findall(r"[\w-]+", "".join(re.findall(r"\[(.*?)\]", snippet.text)))) <= set(known)
    else:
        assert (ROOT / words[0]).is_file()


def _parsed(words: list[str]) -> None:
    """The verb, its options and the settings exist and have values of their types; nothing is run."""
    name, *rest = words
    verb = typer.main.get_command(app).commands[name]
    with verb.make_context(name, rest) as context:
        given = context.params
    if given.get("family"):
        assert given["family"] in names("families")
    if name == "sample":
        return  # its settings are knobs of a sampler
    settings = given.get("settings") or []
    Recipe().override(settings)
    for setting in settings:
        section, _, option = setting.partition("=")[0].partition(".")
        if section in PLUGINS and option and option != "name":
            kind = {"family": "families"}.get(section, f"{section}s")
            assert any(option in options(resolve(kind, one)) for one in names(kind)), setting


def _understood(program: str) -> None:
    """It compiles, and what it asks of genwright is there with such arguments."""
    tree = ast.parse(program)
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        name = ast.unparse(call.func)
        if not name.startswith("genwright."):
            continue
        function = getattr(genwright, name.removeprefix("genwright."))
        keywords = {keyword.arg: None for keyword in call.keywords if keyword.arg}
        inspect.signature(function).bind(*call.args, **keywords)
        if name in ("genwright.look", "genwright.plan", "genwright.train"):
            known = {*inspect.signature(function).parameters, *inspect.signature(make_recipe).parameters}
            assert keywords.keys() <= known


@pytest.mark.parametrize("snippet", [s for s in ALL if not (s.values[0].slow or s.values[0].installs)])
def test_what_is_quick_runs(snippet: Snippet, tmp_path: Path) -> None:
    if snippet.language == "python":
        snippet.run_here()
    else:
        snippet.run(tmp_path)


TOLD = {
    "families": [o for n in names("families") for o in (*_options("families", n), *_knobs(n))],
    "data": [option for name in names("codecs") for option in _options("codecs", name)],
    "training": [field.name for field in fields(TrainOptions)],
    "planning": [o for name in names("bridges") for o in (name, *_options("bridges", name))],
    "nets": names("nets"),
    "command-line": ["look", "plan", "train", "sample", "edit", "list"],
}


@pytest.mark.parametrize("page", TOLD)
def test_pages_name_every_option(page: str) -> None:
    text = " ".join(re.findall(r"`([^`\n]+)`", (ROOT / f"docs/{page}.md").read_text(encoding="utf-8")))
    assert [name for name in TOLD[page] if not re.search(rf"\b{name}\b", text)] == []


def test_defaults_of_training_are_those_of_the_code() -> None:
    told = dict(
        re.findall(r"^\| `(\w+)` \| `?(.*?)`? \|", (ROOT / "docs/training.md").read_text(), re.M)
    )
    known = {f.name: str(f.default) for f in fields(TrainOptions) if f.default is not None}
    assert {name: told.get(name) for name in known} == known


def test_both_readmes_tell_the_same() -> None:
    assert blocks(README) == blocks(CHINESE)
    assert headings(README) == headings(CHINESE)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)", text):
        if not target.startswith("http") and target != "docs/demo.png":
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


@pytest.mark.parametrize("path", sorted(ROOT.glob("recipes/*.toml")), ids=lambda path: path.stem)
def test_recipes_are_read(path: Path) -> None:
    Recipe.read(path)
