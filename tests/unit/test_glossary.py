"""The words of the code: those of the field, one name for one thing, and none that was retired.

`docs/glossary.md` says what the words mean. A word here is a part of an identifier: `_held_rows` has the
words `held` and `rows`. Texts and comments are free.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache

import pytest

from snippets import ROOT

PACKAGE = ROOT / "src/genwright"
FILES = {file.relative_to(PACKAGE).as_posix(): file for file in sorted(PACKAGE.rglob("*.py"))}

EVERYWHERE = ("",)
RETIRED: dict[tuple[str, ...], dict[str, str]] = {
    EVERYWHERE: {
        "told untold": "cond, uncond",
        "knob knobs dials": "sampler_options",
        "law laws": "distribution, probs",
        "lens lenses trunk": "feature extractor, backbone",
        "spread": "std, scale",
        "copycat copycats": "train_copy",
        "vital vitals pulse pulses anatomy": "diagnostic, StepStats, ParameterGroups",
        "ill alarm alarms heals": "TrainingDiverged, Issue, recoverable",
        "leash leashed calm haste rush gentleness": "adaptive_clip_norm, is_stable, update_ratio, lr_scale",
        "job jobs bench": "Experiment, ReferenceData",
        "foretell foretells foretelling checkup checkups": "heldout_log_likelihood, in_training",
        "alphabet alphabets album albums census": "Tokenizer, ImageFiles, ImageStats",
        "survey surveys tally tallies": "DatasetStats, ReservoirCounter",
        "panel contest battery": "runner, ranking, validation",
        "judgement judgements finding findings": "EvaluationReport, Claim",
        "reread bring": "write_and_reload, fit_to",
    },
    ("bridges/", "families/", "model.py", "nets/", "training/"): {
        "tell tells": "conditioner",
    },
    ("families/", "nets/"): {
        "gone dropped": "drop_mask",
    },
    ("bridges/", "families/"): {
        "compress": "to_latent",
    },
    ("families/schedules.py", "families/solvers.py", "families/diffusion.py"): {
        "shown clean slope": "precondition, denoised, velocity",
    },
    ("evaluation/",): {
        "held spare": "test, reference",
        "floor floors": "real_baseline",
        "line lines": "result, results",
        "bench case cases": "ReferenceData, EvaluationInput",
    },
    ("data/columns/",): {
        "held atom atoms": "stats, point_masses",
        "usual stray strays": "fallback, text_values",
        "spelling style": "missing_token, format",
    },
    ("training/",): {
        "usual": "RobustStats",
        "sign signs": "value",
        "feed": "BatchStream",
    },
}
"""Where a word is retired, and what to write there."""

CLASSES = {
    *(
        "Told",
        "Reading",
        "Spread",
        "Levels",
        "Dials",
        "Vital",
        "Pulse",
        "Anatomy",
        "Usual",
        "Guard",
        "Ill",
    ),
    *(
        "Alarm",
        "Feed",
        "Job",
        "Bench",
        "Case",
        "Stage",
        "Alphabet",
        "Characters",
        "Album",
        "Census",
        "Survey",
    ),
    *(
        "Bad",
        "Tally",
        "Held",
        "Scores",
        "Numbers",
        "Dates",
        "Finding",
        "Line",
        "Judgement",
        "Stored",
        "Form",
    ),
}
"""Names of classes, to the letter."""
METHODS = {"code_dim", "normal_codes"}
"""Other names, to the letter."""
MODULES = {
    *("album", "alphabet", "anatomy", "assembly", "battery", "bounds", "census", "checkup", "choosing"),
    *(
        "contest",
        "editing",
        "feed",
        "fitting",
        "foretelling",
        "gather",
        "guard",
        "judging",
        "kinds",
        "leash",
    ),
    *(
        "lens",
        "levels",
        "panel",
        "probing",
        "replay",
        "scores",
        "sentences",
        "showing",
        "spelling",
        "spread",
    ),
    *("stages", "stopping", "survey", "tally", "terminal", "translating", "typed", "usual"),
}
"""Names of files and folders."""

STAYS = {
    ("lens", "cli"): "the old name of the option --features still works",
    ("law", "testing"): "what a contract holds its subjects to; no distribution",
    ("laws", "testing"): "what a contract holds its subjects to; no distribution",
    ("cases", "evaluation"): "a method of the pipeline: held-out examples as requests, with the truth",
}
"""What may stay, and why."""

STANDING: dict[str, str] = {
    "alarm": "evaluation",
    "alarms": "comparing evaluation report storage worker",
    "alphabet": "data",
    "bench": "evaluation",
    "bring": "families",
    "case": "evaluation",
    "checkup": "api",
    "clean": "families",
    "floor": "evaluation",
    "held": "evaluation",
    "job": "api experiment",
    "judgement": "evaluation",
    "judgements": "evaluation",
    "lens": "evaluation",
    "lines": "evaluation",
    "spare": "evaluation",
    "spread": "bridges evaluation",
    "survey": "data",
    "tally": "data",
    "told": "bridges evaluation",
}
"""Words that still stand, and in which rooms; to be struck out as they go, a test says which can be."""

STANDING_MODULES: set[str] = set()
"""Files that still stand."""

_VERB = "a verb of the command line, and the function that it calls"
_LATER = "still to be named apart"
DOUBLE: dict[str, str] = {
    **dict.fromkeys(
        (
            "apply",
            "augment",
            "compare",
            "edit",
            "judge",
            "look",
            "plan",
            "probe",
            "sample",
            "serve",
            "train",
            "translate",
        ),
        _VERB,
    ),
    **dict.fromkeys(("cut", "digest", "load", "rank", "suffix", "write"), _LATER),
}
"""Public names that two modules define, and why."""

AWAITED: set[str] = set()
"""Names of the glossary that are not in the code yet."""


def words(name: str) -> set[str]:
    """`_heldRows_of` is held, rows, of."""
    return {part.lower() for part in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)}


def names_in(text: str) -> set[str]:
    """The identifiers of a module, without keywords of the language."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    return {token.string for token in tokens if token.type == tokenize.NAME}


@cache
def names_by_path() -> dict[str, set[str]]:
    """The identifiers of each module: read on demand, since each process that runs tests imports this file."""
    return {path: names_in(file.read_text(encoding="utf-8")) for path, file in FILES.items()}


@cache
def known() -> frozenset[str]:
    """All identifiers of the package."""
    return frozenset().union(*names_by_path().values())


def room(path: str) -> str:
    return path.split("/")[0].removesuffix(".py")


def retired(path: str) -> dict[str, str]:
    """The words that are retired in a file, and what to write instead."""
    return {
        word: instead
        for places, entries in RETIRED.items()
        if path.startswith(places)
        for many, instead in entries.items()
        for word in many.split()
    }


def standing(path: str, names: set[str]) -> Iterator[tuple[str, str]]:
    """Retired words and classes in a file, and what to write instead."""
    instead = retired(path)
    for name in sorted(names):
        if name in CLASSES | METHODS:
            yield name, "see DESIGN"
        for word in sorted(words(name) & instead.keys()):
            yield word, instead[word]


# -- retired words ---------------------------------------------------------------------------------


def test_a_name_is_cut_into_words() -> None:
    assert words("_heldRows_of") == {"held", "rows", "of"}
    assert words("KNOBS") == {"knobs"}
    assert words("VAELoss2") == {"vae", "loss", "2"}
    assert words("has_heldout") == {"has", "heldout"}


def test_a_retired_word_is_seen() -> None:
    names = names_in("class Told:\n    untold = tell_generator(usual)  # a lens\n")
    assert [word for word, _ in standing("nets/x.py", names)] == ["Told", "told", "tell", "untold"]
    assert [word for word, _ in standing("training/x.py", {"_usual_norm", "KNOBS"})] == [
        "knobs",
        "usual",
    ]
    assert not [*standing("data/audio/x.py", {"usual", "held", "tell", "line"})]


def test_no_retired_word_comes_back() -> None:
    found = {
        (word, room(path)): (path, instead)
        for path, names in names_by_path().items()
        for word, instead in standing(path, names)
        if (word, room(path)) not in STAYS
    }
    new = [
        f"{path}: {word} is retired, write {instead}"
        for (word, where), (path, instead) in found.items()
        if where not in STANDING.get(word, "").split()
    ]
    assert not new, "\n".join(sorted(new))
    gone = [
        f"{word} in {where}"
        for word, rooms in STANDING.items()
        for where in rooms.split()
        if (word, where) not in found
    ]
    assert not gone, f"these are gone, strike them out of STANDING: {', '.join(sorted(gone))}"


def test_no_retired_module_comes_back() -> None:
    parts = {part for path in FILES for part in path.removesuffix(".py").split("/")}
    back = parts & MODULES - STANDING_MODULES
    assert not back, f"retired names of modules: {sorted(back)}"
    gone = STANDING_MODULES - parts
    assert not gone, f"these are gone, strike them out of STANDING_MODULES: {sorted(gone)}"


# -- one name, one thing ---------------------------------------------------------------------------


def defined() -> dict[str, list[str]]:
    """The public top-level classes and functions, and the modules that define them."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for path, file in FILES.items():
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
                found[node.name].append(path)
    return found


def test_no_public_name_means_two_things() -> None:
    twice = {name: paths for name, paths in defined().items() if len(paths) > 1}
    new = [f"{name}: {', '.join(paths)}" for name, paths in twice.items() if name not in DOUBLE]
    assert not new, "name one of them otherwise:\n" + "\n".join(sorted(new))
    single = sorted(DOUBLE.keys() - twice.keys())
    assert not single, f"these mean one thing now, strike them out of DOUBLE: {single}"


# -- the glossary ----------------------------------------------------------------------------------

LINES = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs/glossary.md").read_text(encoding="utf-8").splitlines()
    if line.startswith("| ") and not line.startswith("| term")
]


def test_the_glossary_has_a_line_for_each_term_in_order() -> None:
    terms = [term for term, _, _ in LINES]
    assert len(terms) > 60
    assert terms == sorted(set(terms), key=str.casefold)
    assert all(code and meaning and not meaning.endswith(".") for _, code, meaning in LINES)


@pytest.mark.parametrize(("term", "code", "meaning"), LINES, ids=[term for term, _, _ in LINES])
def test_a_term_is_in_the_code_and_not_retired(term: str, code: str, meaning: str) -> None:
    always = {word for many in RETIRED[EVERYWHERE] for word in many.split()}
    assert not always & {*re.findall(r"\w+", term.lower()), *(w for n in code.split() for w in words(n))}
    names = set(re.findall(r"\w+", code))
    there = known() | {part for path in FILES for part in re.split(r"[/.]", path)}
    assert names <= there | AWAITED, f"{term}: not in the code: {names - there}"


def test_names_that_were_awaited_have_come() -> None:
    assert not AWAITED & known(), f"strike them out of AWAITED: {sorted(AWAITED & known())}"
