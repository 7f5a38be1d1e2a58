"""Writes `docs/errors.md`: every error code in the source, where it is raised, and what it says."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

SOURCE = Path(__file__).parent.parent / "src"

HEAD = """\
# Error codes

Written by `docs/make_errors.py` from the source; a test keeps it up to date. Every error that a person can
mend is a `GenwrightError` with a `code` that stays the same, while its sentence may change. `--debug` shows
the code, and where `--json` was asked for, an error is `{"error": CODE, "message": SENTENCE}`. An error that
has no more exact code has that of its class. The command line adds four of its own: `usage` (an option that
it does not have), `file` (the system refused a file), `stopped` (by Ctrl-C) and `internal` (a bug).

| code | error | raised in | for example |
|---|---|---|---|
"""


@dataclass(frozen=True)
class Raised:
    """One place where an error with a code is made; `sentence` has … for what is filled in."""

    code: str
    error: str
    module: str
    sentence: str


@cache
def raised(source: Path = SOURCE) -> list[Raised]:
    """Every literal `code=` of a call, and every class that has a `code`, in the order of the files."""
    return [found for file in sorted(source.rglob("*.py")) for found in _in(file, source)]


def _in(file: Path, source: Path) -> Iterator[Raised]:
    module = ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__")
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ClassDef):
            for line in node.body:
                if isinstance(line, ast.AnnAssign | ast.Assign) and _names(line) == ["code"]:
                    words = (ast.get_docstring(node) or "").split("\n\n")[0]
                    for code in _literals(line.value):
                        yield Raised(code, node.name, module, words)
        elif isinstance(node, ast.Call):
            for keyword in node.keywords:
                if keyword.arg == "code":
                    sentence = _sentence(node.args[0]) if node.args else ""
                    for code in _literals(keyword.value):
                        yield Raised(code, ast.unparse(node.func), module, sentence)


def _names(line: ast.AnnAssign | ast.Assign) -> list[str]:
    targets = [line.target] if isinstance(line, ast.AnnAssign) else line.targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _literals(value: ast.expr | None) -> list[str]:
    """The texts that a value can be: itself, or either side of a choice."""
    if isinstance(value, ast.Constant) and isinstance(value.value, str):
        return [value.value]
    if isinstance(value, ast.IfExp):
        return _literals(value.body) + _literals(value.orelse)
    return []


def _sentence(message: ast.expr) -> str:
    """A message with … for each value that is filled in."""
    if isinstance(message, ast.Constant):
        return str(message.value)
    if isinstance(message, ast.JoinedStr):
        return "".join(map(_sentence, message.values))
    if isinstance(message, ast.BinOp):
        return _sentence(message.left) + _sentence(message.right)
    return "…"


def render() -> str:
    by_code: defaultdict[str, list[Raised]] = defaultdict(list)
    for found in raised():
        by_code[found.code].append(found)
    lines = []
    for code, places in sorted(by_code.items()):
        errors, modules = (
            ", ".join(dict.fromkeys(f"`{name.removeprefix('genwright.')}`" for name in names))
            for names in ([p.error for p in places], [p.module for p in places])
        )
        words = " ".join(places[0].sentence.split()).replace("|", "\\|")
        lines.append(f"| `{code}` | {errors} | {modules} | {words} |")
    return HEAD + "\n".join(lines) + "\n"


if __name__ == "__main__":
    Path(__file__).with_name("errors.md").write_text(render(), encoding="utf-8")
