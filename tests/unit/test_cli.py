"""The command line: what is typed, what is said, what is left behind.

Going on with runs and sampling from them is in `test_cli_runs.py`, bad data in `test_bad_data.py`.
"""

from __future__ import annotations

import json
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

import genwright
from commands import TINY, call, done, refused, table, train
from genwright.cli import console
from genwright.registry import KINDS

# -- the front door --------------------------------------------------------------------------------


def test_version() -> None:
    assert done("--version").out == f"genwright {genwright.__version__}\n"
    assert done("--debug", "--version").out == f"genwright {genwright.__version__}\n"


@pytest.mark.parametrize("args", [(), ("--help",), ("-h",)])
def test_help_names_every_verb_and_completion(args: tuple[str, ...]) -> None:
    said = done(*args).out
    for word in ("look", "plan", "train", "sample", "list", "--debug", "--version"):
        assert word in said
    assert "--install-completion" in said
    assert "--show-completion" in said


@pytest.mark.parametrize("verb", ["look", "plan", "train", "sample", "list"])
def test_every_verb_has_help(verb: str) -> None:
    assert "Usage" in done(verb, "--help").out


def test_completion_completes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_GENWRIGHT_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", "genwright trai")
    monkeypatch.setenv("COMP_CWORD", "1")
    assert call().out.split() == ["train"]


def test_list_says_all_that_is_registered(room: Path) -> None:
    done(*train())
    said = done("list").out
    found = json.loads(done("list", "--json").out)
    for kind, entries in KINDS.items():
        assert list(found[kind]) == list(entries)
        assert all(f"  {name} " in said for name in entries)
    assert "digits" in found["data"]
    assert list(found["runs"]) == ["runs/rows-vae"]
    assert "runs/rows-vae" in said


# -- what is typed wrong ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("trian", "x"), ["trian", "'train'"]),
        (("--verison",), ["--verison", "--version"]),
        (("train", "x", "--stepz", "3"), ["--stepz", "did you mean '--steps'"]),
        (("sample", "x", "--temprature", "1"), ["--temprature", "did you mean '--temperature'"]),
        (("look", "x", "--nothing-like-it"), ["--nothing-like-it", "known:", "--json", "--label"]),
        (("train", "x", "--steps"), ["--steps", "argument"]),
        (("train", "x", "--steps", "many"), ["--steps", "integer", "train --help"]),
        (("sample", "x", "-n", "many"), ["-n", "integer"]),
        (("train", "x", "y"), ["y"]),
        (("look",), ["argument"]),
    ],
)
def test_usage_is_one_sentence_with_the_nearest_name(args: tuple[str, ...], words: list[str]) -> None:
    refused(*args, words=words, code=2)


@pytest.mark.parametrize(
    ("args", "status", "code"),
    [
        (("look", "nowhere.csv", "--set", "train.stpes=4"), 1, "unknown-option"),
        (("plan", "nowhere.csv", "--size", "xxl"), 1, "unknown-choice"),
        (("look", "--lable", "x"), 2, "usage"),
    ],
)
def test_an_error_is_json_too_where_json_was_asked_for(
    args: tuple[str, ...], status: int, code: str
) -> None:
    said = call(*args, "--json")
    assert said.code == status
    found = json.loads(said.out)
    assert found["error"] == code
    assert said.err == f"genwright: {found['message']}\n"
    assert call(*args).out == ""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("family.bta=4", ["family.bta", "did you mean 'beta'"]),
        ("famly.beta=4", ["'famly'", "did you mean 'family'"]),
        ("codec.max_categorys=4", ["codec.max_categorys", "'max_categories'"]),
        ("net.wdth=3", ["net.wdth", "'width'"]),
        ("train.stpes=3", ["train.stpes", "'steps'"]),
        ("data.pth=x", ["data.pth", "'path'"]),
        ("task.x=1", ["task.x", "known: given, make"]),
        ("steps=3", ["'steps'", "'train.steps'"]),
        ("bridge.bins=3", ["bins", "bridge.name=quantize"]),
        ("bridge=quantise", ["'quantise'", "'quantize'"]),
        ("codec=tabel", ["'tabel'", "'table'"]),
        ("net=mpl", ["'mpl'", "'mlp'"]),
        ("task=generat", ["'generat'", "'generate'"]),
        ("family=vea", ["'vea'", "'vae'"]),
        ("family.beta=x", ["family.beta", "'x'", "number"]),
        ("family.beta=nan", ["family.beta", "nan", "finite"]),
        ("train.steps=x", ["train.steps", "'x'", "whole number"]),
        ("train.steps=2.5", ["train.steps", "2.5", "whole number"]),
        ("train.steps=true", ["train.steps", "True", "whole number"]),
        ("train.steps=-3", ["train.steps", "1 or more", "-3"]),
        ("train.lr=0", ["train.lr", "above 0"]),
        ("train.lr=1e300", ["train.lr", "above 0, no larger than 1e+38"]),
        ("train.ema=1", ["train.ema", "0.25", "1"]),
        ("train.optimizer=sgd", ["train.optimizer", "'sgd'", "auto, adamw, muon"]),
        ("size=xxl", ["size", "'xxl'", "xs, s, m, l"]),
        ("seed=-1", ["seed", "0 or more", "-1"]),
        ("seed.x=3", ["'seed.x'", "single value"]),
        ("train=3", ["train", "section", "3"]),
        ("data.val=2", ["data.val=2", "below 1"]),
        ("data.label=w", ["'w'", "x, y, z"]),
        ("data.group=w", ["'w'", "x, y, z"]),
        ("nonsense", ["NAME=VALUE", "'nonsense'"]),
        ("=3", ["NAME=VALUE"]),
    ],
)
def test_a_wrong_setting_says_what_was_wanted_and_leaves_no_run(
    room: Path, setting: str, words: list[str]
) -> None:
    refused(*train("--set", setting), words=words)
    assert not Path("runs").exists()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--steps", "0"), ["train.steps", "1 or more", "0"]),
        (("--steps", "-5"), ["train.steps", "1 or more", "-5"]),
        (("--minutes", "1"), ["--steps", "--minutes", "not both"]),
        (("--seed", "-1"), ["seed", "0 or more"]),
        (("--size", "huge"), ["size", "'huge'", "xs"]),
        (("--family", "dffusion"), ["'dffusion'", "'diffusion'"]),
        (("--label", "Y"), ["'Y'", "did you mean 'y'"]),
        (
            ("--family", "contrastive", "--set", "train.batch_size=1"),
            ["sees 1 examples", "contrastive needs 2 or more together", "train.batch_size"],
        ),
        (("--family", "gan", "--set", "family.pack=99"), ["gan needs 99 or more together"]),
        (
            ("--set", "train.batch_size=7", "--set", "train.accumulate=2"),
            ["batch_size=7", "accumulate=2", "multiple of 2"],
        ),
        (("--resume", "row"), ["--resume row", "leave the data"]),
    ],
)
def test_a_wrong_option_of_train_leaves_no_run(
    room: Path, more: tuple[str, ...], words: list[str]
) -> None:
    refused(*train(*more), words=words)
    assert not Path("runs").exists()


def test_train_wants_data_or_a_run() -> None:
    refused("train", words=["name the data", "--resume"])
    refused("train", "", words=["no data", "digits", "data.path"])


def test_a_number_is_a_text_where_a_text_is_wanted(room: Path) -> None:
    Path("2024").mkdir()
    table(Path("2024/rows.csv"))
    done("train", "rows.csv", "--family", "vae", *TINY, "--set", "data.path=2024")


# -- looking ---------------------------------------------------------------------------------------


def test_look_and_plan_say_the_same_to_people_and_machines(room: Path) -> None:
    said = done("look", "faces", "--size", "xs").out
    found = json.loads(done("look", "faces", "--size", "xs", "--json").out)
    assert found["codec"] == "image"
    assert sum(found["counts"].values()) == 30
    assert found["labels"]["label"].keys() == {"a", "b"}
    assert {verdict["family"] for verdict in found["families"]} == set(KINDS["families"])
    assert "30 pictures" in said
    assert all(name in said for name in ("a (", "b (", "label", "native", "bridged by quantize"))

    verdicts = json.loads(done("plan", "faces", "--size", "xs", "--family", "vae", "--json").out)
    assert [(v["family"], v["outcome"]) for v in verdicts] == [("vae", "native")]
    assert verdicts[0]["seconds_per_step"] > 0
    assert not Path("runs").exists()


def test_plan_of_a_refused_family_names_ways_out_and_fails(room: Path) -> None:
    said = call("plan", "faces", "--size", "xs", "--family", "autoregressive", "--set", "bridge=none")
    assert said.code == 1
    assert "refused" in said.out
    assert "try --set bridge.name=auto" in said.out
    assert "codec.size" not in said.out  # which makes pictures smaller, and that is not the trouble


# -- training --------------------------------------------------------------------------------------


def test_training_says_its_plan_and_what_to_do_next(room: Path) -> None:
    said = done(*train()).out
    for word in ("69 to train on", "vae: native", "3 steps", "training into runs/rows-vae", "(100%)"):
        assert word in said
    assert "genwright sample runs/rows-vae" in said
    assert "\x1b" not in said  # no terminal, no colours
    assert Path("runs/rows-vae/index.html").is_file()


def test_the_same_command_twice_makes_two_runs(room: Path) -> None:
    done(*train())
    assert "runs/rows-vae-2" in done(*train()).out
    assert done("sample", "runs/rows-vae-2", "-n", "2").code == 0


def test_out_is_never_overwritten(room: Path) -> None:
    before = {path: path.read_bytes() for path in Path("row").rglob("*") if path.is_file()}
    refused(*train("--out", "row"), words=["row", "not empty", "--out", "--resume row"])
    refused(*train("--out", "fox.txt"), words=["fox.txt", "file", "--out"])
    refused(*train("--out", "fox.txt/below"), words=["fox.txt/below", "not a directory"])
    assert before == {path: path.read_bytes() for path in before}
    Path("new").mkdir()
    done(*train("--out", "new"))


def test_a_path_with_a_space_is_quoted_in_what_is_told_to_type(room: Path) -> None:
    assert "genwright sample 'my run' -n" in done(*train("--out", "my run")).out


def test_a_terminal_sees_a_bar(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = StringIO()
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(
        console, "_console", lambda: Console(file=screen, force_terminal=True, width=120)
    )
    done(*train("--steps", "5"))
    assert "100%" in screen.getvalue()
    assert "reconstruction" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()  # NO_COLOR: the cursor moves, and nothing is coloured


def test_labels_can_be_left_out(room: Path) -> None:
    assert "given    label" in done("train", "faces", "--family", "vae", *TINY).out
    assert "given    nothing" in done("train", "faces", "--family", "vae", "--label", "", *TINY).out
    refused("sample", "runs/faces-vae-2", "--given", "label=a", words=["'label'", "without"])


def test_an_option_takes_one_value_and_says_so() -> None:
    refused(
        "train",
        "x.csv",
        "--set",
        "train.lr=1",
        "train.samples=0",
        words=["train.samples=0 stands alone", "--set anew"],
        code=2,
    )
    refused(
        "sample",
        "run",
        "--given",
        "a=1",
        "b=2 3",
        words=["b=2 3 stands alone: write --given anew before each"],
        code=2,
    )
    refused("train", "x.csv", "y.csv", words=["unexpected extra argument(s) (y.csv)"], code=2)
