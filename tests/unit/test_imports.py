"""The shape of the house: imports go down, nothing heavy at the door, nothing unsafe inside."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import genwright
from snippets import ROOT

PACKAGE = ROOT / "src/genwright"
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def tree_of(file: Path) -> ast.Module:
    """A file of the package, parsed once: on demand, since each process that runs tests imports this file."""
    return ast.parse(file.read_text(encoding="utf-8"))


DOWN = {
    "root": set(),
    "errors": set(),
    "address": {"errors"},
    "options": set(),
    "process": set(),
    "batch": set(),
    "registry": {"errors"},
    "space": {"errors"},
    "word_vectors": {"errors"},
    "grammar": set(),
    "variations": {"batch", "errors"},
    "storage": {"families", "errors"},  # to give weights of older runs the names of today
    "recipe": {"address", "options", "registry", "errors"},
    "planning": {"families", "registry", "errors"},
    "nets": {"options", "space", "word_vectors", "batch", "errors"},
    "families": {"nets", "variations", "options", "registry", "grammar", "space", "batch", "errors"},
    "tiling": set(),
    "tasks": {"options", "space", "batch", "errors"},
    "bridges": {"space", "errors"},
    "data": {
        *("address", "variations", "options", "grammar", "space", "word_vectors", "registry", "errors"),
    },
    "pipeline": {"data", "tasks", "bridges", "grammar", "space", "batch", "errors"},
    "training": {
        *("pipeline", "storage", "families", "data", "recipe", "batch", "process", "errors"),
    },
    "tiled": {"pipeline", "tiling", "families", "data", "tasks", "space"},
    "applying": {"pipeline", "tiled", "families", "data", "tasks", "errors"},
    "model": {
        *(
            "applying",
            "training",
            "pipeline",
            "storage",
            "families",
            "nets",
            "data",
            "tasks",
            "planning",
        ),
        *("recipe", "registry", "space", "errors"),
    },
    "writing": {"model", "data"},
    "calibrating": {"model"},
    # A second model on the codes of a first one: the one bridge that opens a run.
    "bridges.latent": {
        *("model", "storage", "families", "bridges", "registry", "space", "batch", "errors"),
    },
    "experiment": {
        *("bridges.latent", "bridges", "model", "pipeline", "training", "storage", "families", "data"),
        *("budget", "nets", "planning", "recipe", "registry", "space", "errors"),
    },
    "evaluation": {
        *("experiment", "model", "pipeline", "families", "nets", "data", "storage", "recipe"),
        *("registry", "options", "space", "batch", "errors"),
    },
    "finishing": {
        *("evaluation", "model", "applying", "pipeline", "families", "data", "registry", "options"),
        *("batch", "errors"),
    },
    "analysis": {
        *("evaluation", "experiment", "model", "families", "data", "registry", "options", "space"),
        *("batch", "errors"),
    },
    "report": {"evaluation", "storage", "data", "errors"},
    "testing": {
        *("evaluation", "training", "families", "tasks", "bridges", "data", "planning", "recipe"),
        *("registry", "batch", "space", "errors"),
    },
    "serving": {
        *(
            "analysis",
            "applying",
            "writing",
            "model",
            "pipeline",
            "families",
            "data",
            "tasks",
            "registry",
        ),
        *("options", "errors", "root"),
    },
    "budget": {"nets", "training"},
    "weighing": {
        "nets",
        "budget",
        "experiment",
        "training",
        "data",
        "planning",
        "recipe",
        "registry",
        "errors",
    },
    "augmenting": {
        *("finishing", "evaluation", "model", "variations", "storage", "data", "errors"),
    },
    "comparing": {
        *("report", "evaluation", "experiment", "planning", "model", "training", "families", "storage"),
        *("data", "recipe", "registry", "process", "errors"),
    },
    # It trains what `comparing` asks for, which finds it by name.
    "worker": {"api", "training", "storage", "recipe", "errors"},
    # It loads and answers what `serving` asks for, which finds it by name.
    "serving_worker": {"api", "serving", "errors"},
    "api": {
        "calibrating",
        *("finishing", "serving", "augmenting", "comparing"),
        *("report", "analysis", "evaluation", "weighing", "experiment", "training", "model"),
        *("families", "planning", "storage", "recipe", "registry", "options", "address", "data"),
        "errors",
    },
    "cli": {
        *(
            "api",
            "applying",
            "budget",
            "comparing",
            "finishing",
            "serving",
            "writing",
            "report",
            "evaluation",
            "data",
            "registry",
            "process",
            "errors",
        ),
        "root",
    },
    "__main__": {"cli"},
}
"""What each room may import. A room is a file or a folder of the package; `root` its `__init__.py`."""


def room(module: str) -> str:
    """`genwright.data.text.codec` belongs to `data`."""
    if module == "genwright.bridges.latent":
        return "bridges.latent"
    return module.split(".")[1] if "." in module else "root"


def module_of(file: Path) -> str:
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def live(tree: ast.AST, *, later: bool = True) -> Iterator[ast.AST]:
    """All nodes but those that only a type checker sees, and unless `later` those inside functions."""
    waiting = [tree]
    while waiting:
        for child in ast.iter_child_nodes(waiting.pop()):
            if not later and isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
                continue
            if isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING":
                waiting.extend(child.orelse)
                continue
            yield child
            waiting.append(child)


def imports(tree: ast.AST, *, later: bool = True) -> set[str]:
    """Full names of the modules of the package that are imported, at the top or `later`."""
    found = set()
    for node in live(tree, later=later):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute here"
            base = node.module or ""
            path = PACKAGE.parent.joinpath(*base.split("."))
            for alias in node.names:
                inner = path / alias.name
                is_module = inner.with_suffix(".py").is_file() or inner.is_dir()
                found.add(f"{base}.{alias.name}" if is_module else base)
    return {name for name in found if name.split(".")[0] == "genwright"}


def arrows() -> list[tuple[str, str, str]]:
    """Each import of the package: from which room, of which room, and in which file."""
    return sorted(
        {
            (room(module_of(file)), room(target), file.relative_to(ROOT).as_posix())
            for file in FILES
            for target in imports(tree_of(file))
        }
    )


def test_rooms_are_without_cycles() -> None:
    TopologicalSorter(DOWN).prepare()  # raises CycleError
    assert set().union(*DOWN.values()) <= DOWN.keys()


def test_every_room_is_known() -> None:
    assert {room(module_of(file)) for file in FILES} == DOWN.keys()


def test_imports_go_down() -> None:
    wrong = [
        f"{file}: {here} may not import {there}"
        for here, there, file in arrows()
        if here != there and there not in DOWN.get(here, set())
    ]
    assert not wrong, "\n".join(wrong)


def test_any_module_may_be_the_first_that_is_imported() -> None:
    """Within a room too: where two modules import each other at the top, the first to be asked for fails."""
    graph = {module_of(file): imports(tree_of(file), later=False) for file in FILES}
    TopologicalSorter(graph).prepare()


# -- the door --------------------------------------------------------------------------------------


@pytest.mark.parametrize("door", ["genwright", "genwright.cli.main"])
def test_nothing_heavy_is_loaded_at_the_door(door: str) -> None:
    heavy = ("torch", "numpy", "pandas", "sklearn", "PIL", "pydantic", "rich")
    program = f"import sys, {door}; print(*[m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_surface_is_this_list() -> None:
    assert genwright.__all__ == [
        "Look",
        "Model",
        "Recipe",
        "Space",
        "__version__",
        "apply",
        "augment",
        "compare",
        "edit",
        "judge",
        "load",
        "look",
        "plan",
        "probe",
        "sample",
        "serve",
        "train",
        "translate",
    ]
    assert dir(genwright) == sorted(genwright.__all__)
    for name in genwright.__all__:
        assert getattr(genwright, name) is not None


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'tran'"):
        _ = genwright.tran


# -- what must not be there ------------------------------------------------------------------------

UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}
UNSAFE_CALLS = {"eval", "exec", "torch.save", "np.save", "numpy.save"}


def unsafe(file: Path) -> Iterator[str]:
    """What a file does that could run what it reads."""
    name_of_file = file.relative_to(ROOT)
    for node in ast.walk(tree_of(file)):
        if not isinstance(node, ast.Import | ast.ImportFrom | ast.Call):
            continue
        where = f"{name_of_file}:{node.lineno}"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            if {name.split(".")[0] for name in names} & UNSAFE_MODULES:
                yield f"{where} imports {names}"
        else:
            called = ast.unparse(node.func)
            given = {k.arg: ast.unparse(k.value) for k in node.keywords}
            if called in UNSAFE_CALLS or given.get("allow_pickle") not in (None, "False"):
                yield f"{where} calls {called}"
            if called == "torch.load" and given.get("weights_only") != "True":
                yield f"{where} loads more than weights"


def test_nothing_is_pickled_or_executed() -> None:
    assert [found for file in FILES for found in unsafe(file)] == []


LONGEST = 60
"""Lines of a function, at most, with its docstring: what fits a screen."""


def test_functions_fit_a_screen_and_files_are_named_for_something() -> None:
    named = {"utils", "util", "helpers", "misc", "common"}
    assert [file for file in FILES if file.stem in named] == []
    long = [
        f"{file.relative_to(ROOT)}:{node.lineno} {node.name} has {lines} lines"
        for file in FILES
        for node in ast.walk(tree_of(file))
        if isinstance(node, ast.FunctionDef)
        and (lines := (node.end_lineno or 0) - node.body[0].lineno + 1) > LONGEST
    ]
    assert not long, "give a part of it a name of its own:\n" + "\n".join(long)


def test_a_verb_says_what_it_does_in_some_lines() -> None:
    verbs = {name for name in genwright.__all__ if name.islower() and name[0] != "_"}
    lines = {
        node.name: (node.end_lineno or 0) - node.body[1].lineno + 1
        for node in tree_of(PACKAGE / "api.py").body
        if isinstance(node, ast.FunctionDef) and node.name in verbs
    }
    assert lines.keys() == verbs
    assert max(lines.values()) < 25, lines


def test_no_file_names_a_registry_or_a_machine() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    if listed.returncode:
        pytest.skip("not a checkout")
    hosts = ("pypi", "pythonhosted", "npmjs", "anaconda", "download.pytorch", "artifactory", "mirrors")
    patterns = [
        r"(?<![\w.])/(?:work|root|tmp/env)(?![\w-])",
        rf"\b(?:{'|'.join(map(re.escape, hosts))})\b[\w.-]*\.(?:org|com|net|cn|io)\b",
        r"--(?:extra-)?index-url",
    ]
    found = []
    for name in listed.stdout.splitlines():
        file = ROOT / name
        if file == Path(__file__) or not file.is_file():
            continue
        try:
            text = file.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        found += [f"{name}: {m.group()}" for p in patterns for m in re.finditer(p, text)]
    assert not found, "\n".join(found)
