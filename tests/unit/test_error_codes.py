"""Error codes are kebab-case, documented, and given wherever an error is made."""

from __future__ import annotations

import ast
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from genwright import errors
from genwright.errors import GenwrightError
from snippets import ROOT

PACKAGE = ROOT / "src/genwright"
PAGE: dict[str, Any] = runpy.run_path(str(ROOT / "docs/make_errors.py"))
KEBAB = re.compile(r"[a-z0-9]+(-[a-z0-9]+){0,3}")
CLASSES = {
    name
    for name, thing in vars(errors).items()
    if isinstance(thing, type) and issubclass(thing, GenwrightError)
}

WITHOUT: set[str] = set()
"""Rooms where some errors still have the code of their class alone; a test says which can be struck out."""


def made(file: Path) -> Iterator[tuple[int, bool]]:
    """The line of each error that a file makes, and whether it has a code."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CLASSES:
            yield node.lineno, any(keyword.arg == "code" for keyword in node.keywords)


def room(file: Path) -> str:
    """`data/columns` is a room of its own."""
    parts = file.relative_to(PACKAGE).with_suffix("").parts
    return "data.columns" if parts[:2] == ("data", "columns") else parts[0]


def test_every_code_is_kebab_case() -> None:
    codes = {found.code for found in PAGE["raised"]()}
    assert {"unknown-option", "out-of-range", "memory", "recipe"} <= codes
    assert not [code for code in codes if not KEBAB.fullmatch(code)]


@pytest.mark.parametrize("code", ["Unknown", "unknown_option", "two words", "a-", "a-b-c-d-e", ""])
def test_what_is_not_kebab_case(code: str) -> None:
    assert not KEBAB.fullmatch(code)


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / "docs/errors.md").read_text(encoding="utf-8")
    assert written == PAGE["render"](), "run: python docs/make_errors.py"
    listed = re.findall(r"^\| `([^`]+)` \|", written, re.M)
    assert listed == sorted({found.code for found in PAGE["raised"]()})


def test_the_page_finds_every_way_to_give_a_code(tmp_path: Path) -> None:
    """A keyword, either side of a choice, the code of a class; what is filled in is a …"""
    (tmp_path / "some.py").write_text(
        'class Odd(DataError):\n    """It is odd.\n\n    Very."""\n\n    code = "odd"\n\n'
        'raise RunError(f"no {x} here" + tail, code="a" if x else "b" if y else "c")\n'
        "raise RunError(f'{path}: {error}', code=error.code)\n"
    )
    found = [(one.code, one.error, one.module, one.sentence) for one in PAGE["raised"](tmp_path)]
    assert found == [
        ("odd", "Odd", "some", "It is odd."),
        *((code, "RunError", "some", "no … here…") for code in "abc"),
    ]


def test_every_error_has_a_code_of_its_own() -> None:
    bare = [
        (room(file), f"{file.relative_to(ROOT)}:{line}")
        for file in sorted(PACKAGE.rglob("*.py"))
        for line, coded in made(file)
        if not coded
    ]
    wrong = [place for there, place in bare if there not in WITHOUT]
    assert not wrong, "give these a code=:\n" + "\n".join(wrong)
    done = WITHOUT - {there for there, _ in bare}
    assert not done, f"these rooms are done, strike them out of WITHOUT: {sorted(done)}"


def test_a_class_has_a_code_and_an_error_may_have_a_more_exact_one() -> None:
    assert GenwrightError("x").code == "error"
    assert errors.DataError("x").code == "data"
    error = errors.DataError("x", code="no-labels")
    assert (error.code, errors.DataError.code, str(error)) == ("no-labels", "data", "x")
