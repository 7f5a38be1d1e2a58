"""The command line: what is typed, what is said, what is left behind. See also `test_bad_data.py`."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
import torch
from filelock import FileLock
from rich.console import Console

import genwright
from commands import TINY, call, classes, done, refused, table, text
from genwright import terminal
from genwright.data.table import TableCodec
from genwright.families.vae import VAE
from genwright.registry import KINDS


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder with data, and a run of each modality: `row`, `image` and `text`."""
    folder = tmp_path_factory.mktemp("made")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table(folder / "rows.csv")
        classes(folder / "faces")
        text(folder / "fox.txt")
        done("train", "rows.csv", "--family", "vae", "--label", "y", "--out", "row", *TINY)
        done("train", "faces", "--family", "vae", "--out", "image", *TINY)
        done("train", "fox.txt", "--set", "codec.length=16", "--out", "text", *TINY)
        yield folder


@pytest.fixture
def room(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, to spoil."""
    folder = tmp_path / "room"
    shutil.copytree(made, folder)
    monkeypatch.chdir(folder)
    return folder


def train(*more: object) -> tuple[object, ...]:
    return ("train", "rows.csv", "--family", "vae", *TINY, *more)


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
    monkeypatch.setenv("COMP_WORDS", "genwright tr")
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
    ("setting", "words"),
    [
        ("family.bta=4", ["family.bta", "did you mean 'beta'"]),
        ("famly.beta=4", ["'famly'", "did you mean 'family'"]),
        ("codec.max_categorys=4", ["codec.max_categorys", "'max_categories'"]),
        ("net.wdth=3", ["net.wdth", "'width'"]),
        ("train.stpes=3", ["train.stpes", "'steps'"]),
        ("data.pth=x", ["data.pth", "'path'"]),
        ("task.x=1", ["task.x", "none is known"]),
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
        ("train.ema=1", ["train.ema", "0.25", "1.0"]),
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
    assert "30 examples" in said
    assert all(name in said for name in ("a (", "b (", "label", "vae: native", "bridged by quantize"))

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
        terminal, "_console", lambda: Console(file=screen, force_terminal=True, width=120)
    )
    done(*train("--steps", "5"))
    assert "100%" in screen.getvalue()
    assert "reconstruction" in screen.getvalue()
    assert "\x1b[3" not in screen.getvalue()  # NO_COLOR: the cursor moves, and nothing is coloured


def test_labels_can_be_left_out(room: Path) -> None:
    assert "given    label" in done("train", "faces", "--family", "vae", *TINY).out
    assert "given    nothing" in done("train", "faces", "--family", "vae", "--label", "", *TINY).out
    refused("sample", "runs/faces-vae-2", "--given", "label=a", words=["'label'", "without"])


# -- going on --------------------------------------------------------------------------------------


def test_resume_goes_on_and_says_when_there_is_nothing_to_do(room: Path) -> None:
    assert "come to its end" in done("train", "--resume", "row").out
    assert "from step 3" in done("train", "--resume", "row", "--steps", "5").out
    assert Path("row/model/000005.safetensors").is_file()


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--family", "gan"), ["as it began", "--family"]),
        (("--seed", "3"), ["as it began", "--seed"]),
        (("--label", "x"), ["as it began", "--label"]),
        (("--set", "family.beta=3"), ["as it began", "family.beta"]),
        (("--set", "train.stpes=3"), ["train.stpes", "'steps'"]),
        (("--out", "other"), ["leave the data and --out away"]),
    ],
)
def test_a_run_goes_on_as_it_began(room: Path, more: tuple[str, ...], words: list[str]) -> None:
    refused("train", "--resume", "row", *more, words=words)


@pytest.mark.parametrize("verb", [("sample",), ("train", "--resume")])
@pytest.mark.parametrize("place", ["nowhere", "faces", "rows.csv", "."])
def test_what_is_no_run(room: Path, verb: tuple[str, ...], place: str) -> None:
    refused(*verb, place, words=[place, "not a run"])


def test_a_run_is_no_data(room: Path) -> None:
    refused("look", "row", words=["row is a run", "--resume row"])


def test_data_that_changed_is_refused(room: Path) -> None:
    before = Path("row/MANIFEST.json").read_bytes()
    with Path("rows.csv").open("a") as file:
        file.write("1,a,3\n")
    refused("train", "--resume", "row", "--steps", "9", words=["rows.csv", "changed", "new run"])
    Path("rows.csv").unlink()
    refused("train", "--resume", "row", "--steps", "9", words=["rows.csv", "no file"])
    assert Path("row/MANIFEST.json").read_bytes() == before
    done("sample", "row", "-n", "2")  # which needs no data


SAVED = ["MANIFEST.json", "recipe.json", "plan.txt", "codec/state.json", "metrics.jsonl"]
SAVED += ["model/000003.safetensors", "state/000003.safetensors", "state/000003.json"]


@pytest.mark.parametrize("name", SAVED)
def test_a_changed_byte_is_found(room: Path, name: str) -> None:
    file = Path("row") / name
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    refused("sample", "row", words=[name, "damaged", "copy"])
    refused("train", "--resume", "row", words=[name, "damaged"])
    file.unlink()
    refused("sample", "row", words=[name])


def test_a_newer_format_is_refused(room: Path) -> None:
    manifest = json.loads(Path("row/MANIFEST.json").read_text())
    Path("row/MANIFEST.json").write_text(json.dumps(manifest | {"format": 99}))
    refused("sample", "row", words=["format 99", "pip install -U"])


def test_two_trainings_in_one_folder(room: Path) -> None:
    with FileLock("row/.lock"):
        refused("train", "--resume", "row", "--steps", "9", words=["row", "in use", "wait"])
        done("sample", "row", "-n", "2")
    done("train", "--resume", "row", "--steps", "9")


# -- stopping --------------------------------------------------------------------------------------


def _signal_in_step(monkeypatch: pytest.MonkeyPatch, number: int, which: int) -> None:
    """Send a signal to this process in the middle of step `number`."""
    plain, steps = VAE.loss, iter(range(1, 1000))

    def loss(self: VAE, *args: object) -> object:
        if next(steps) == number:
            signal.raise_signal(which)
        return plain(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(VAE, "loss", loss)


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_says_how_to_go_on(
    room: Path, monkeypatch: pytest.MonkeyPatch, which: int, code: int
) -> None:
    before = signal.getsignal(which)
    done(*train("--steps", "6", "--out", "whole"))
    with monkeypatch.context() as patch:
        _signal_in_step(patch, 4, which)
        said = call(*train("--steps", "6", "--out", "cut"))
    assert said.code == code
    assert "step 4" in said.out
    assert "genwright train --resume cut" in said.out
    assert signal.getsignal(which) is before
    done("train", "--resume", "cut")
    for name in ("model/000006.safetensors", "state/000006.safetensors"):
        assert (Path("cut") / name).read_bytes() == (Path("whole") / name).read_bytes()


def test_a_signal_before_the_training_ends_at_once_and_leaves_nothing(
    room: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", "fresh")
    monkeypatch.setattr(TableCodec, "fit", lambda *_: signal.raise_signal(signal.SIGINT))
    assert call(*train()).code == 130
    assert "before the training began" in capfd.readouterr().err
    assert not Path("runs").exists()
    assert [path for path in Path("fresh/data").iterdir() if path.is_dir()] == []


def test_ctrl_c_in_a_process_of_its_own(room: Path) -> None:
    command = [sys.executable, "-m", "genwright"]
    args = ["train", "rows.csv", "--family", "vae", "--size", "xs", "--steps", "1000000", "--out", "cut"]
    process = subprocess.Popen(
        [*command, *args], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    log, deadline = Path("cut/metrics.jsonl"), time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.stat().st_size):
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, (out, err)
    assert "Traceback" not in err
    assert "genwright train --resume cut" in out
    step = max(int(file.stem) for file in Path("cut/model").iterdir())
    assert "from step" in done("train", "--resume", "cut", "--steps", step + 2).out
    assert Path(f"cut/model/{step + 2:06d}.safetensors").is_file()


# -- memory, and what nobody thought of ------------------------------------------------------------

EXHAUSTED = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
]


def _raising(error: BaseException) -> object:
    def fail(*args: object, **more: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize("error", EXHAUSTED, ids=["cuda", "python", "cpu"])
def test_out_of_memory_names_the_dial(
    room: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    monkeypatch.setattr(VAE, "_sample", _raising(error))
    refused("sample", "row", words=["memory", "chunk="])
    monkeypatch.setattr(VAE, "loss", _raising(error))
    dials = ["memory", "train.batch_size=", "train.accumulate=", "--size xs"]
    refused(*train("--out", "new"), words=dials)
    refused("look", "rows.csv", words=dials)
    monkeypatch.undo()


def test_a_mistake_of_ours_is_one_sentence_too(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(VAE, "loss", _raising(ZeroDivisionError("a bug")))
    said = call(*train())
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert all(word in said.err for word in ("ZeroDivisionError", "a bug", "--debug"))


@pytest.mark.parametrize("place", ["first", "last"])
def test_debug_shows_where(room: Path, place: str) -> None:
    args = ["sample", "nowhere"]
    with pytest.raises(genwright.errors.RunError, match="not a run"):
        call(*(["--debug", *args] if place == "first" else [*args, "--debug"]))


def test_a_system_that_says_no_is_a_sentence(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", _raising(PermissionError(13, "Permission denied", "closed")))
    refused("sample", "row", "--out", "closed", words=["closed", "permission denied"])


# -- sampling --------------------------------------------------------------------------------------


def test_sample_writes_what_was_asked(room: Path) -> None:
    assert "Made 3 in image/samples/seed-7" in done("sample", "image", "-n", "3", "--seed", "7").out
    files = sorted(path.name for path in Path("image/samples/seed-7").iterdir())
    assert files == ["00000.png", "00001.png", "00002.png", "labels.csv", "sheet.png"]
    done("sample", "row", "-n", "5", "--given", "y=b", "--out", "rows")
    head, *rows = Path("rows/samples.csv").read_text().splitlines()
    assert head == "x,y,z"
    assert [row.split(",")[1] for row in rows] == ["b"] * 5
    done("sample", "text", "-n", "2", "--set", "prompt=5", "--out", "texts")
    assert len(Path("texts/samples.jsonl").read_text().splitlines()) == 2


def test_samples_never_overwrite(room: Path) -> None:
    done("sample", "row", "-n", "9")
    assert "row/samples/seed-0-2" in done("sample", "row", "-n", "2").out
    assert len(Path("row/samples/seed-0/samples.csv").read_text().splitlines()) == 10
    before = sorted(Path("faces").rglob("*"))
    refused("sample", "image", "--out", "faces", words=["faces", "no empty folder", "--out"])
    refused("sample", "image", "--out", "fox.txt", words=["fox.txt", "--out"])
    assert sorted(Path("faces").rglob("*")) == before
    Path("new").mkdir()
    done("sample", "image", "-n", "2", "--out", "new")


@pytest.mark.parametrize(
    ("run", "more", "words"),
    [
        ("image", ("-n", "0"), ["-n", "1 or more", "0"]),
        ("image", ("-n", "-3"), ["-n", "1 or more", "-3"]),
        ("image", ("--seed", "-1"), ["--seed", "0 or more", "-1"]),
        ("image", ("--seed", str(2**80)), ["--seed"]),
        ("image", ("--temperature", "-1"), ["--temperature", "0 or more", "-1"]),
        ("image", ("--temperature", "nan"), ["--temperature", "nan"]),
        ("image", ("--guidance", "nan"), ["guidance", "nan", "finite"]),
        ("image", ("--given", "lable=a"), ["'lable'", "did you mean 'label'"]),
        ("image", ("--given", "label=c"), ["'c'", "'label'", "a, b"]),
        ("image", ("--given", "label="), ["''", "'label'", "a, b"]),
        ("image", ("--given", "label"), ["NAME=VALUE", "'label'"]),
        ("row", ("--given", "y=B3"), ["'B3'", "'y'", "'b'"]),
        ("text", ("--given", "label=a"), ["'label'", "without"]),
        ("image", ("--set", "temprature=1"), ["vae", "'temprature'", "'temperature'"]),
        ("image", ("--set", "steps=4"), ["vae", "'steps'", "known:"]),
        ("image", ("--set", "temperature=hot"), ["temperature", "'hot'", "number"]),
        ("image", ("--set", "seed=1"), ["'seed'"]),
        ("image", ("--set", "cond=1"), ["'cond'"]),
        ("image", ("--set", "prompt=hello"), ["vae", "prompt", "autoregressive"]),
        ("text", ("--set", "top_k=x"), ["top_k", "'x'", "whole number"]),
    ],
)
def test_a_wrong_wish_of_sample_makes_nothing(
    room: Path, run: str, more: tuple[str, ...], words: list[str]
) -> None:
    refused("sample", run, *more, "--out", "made", words=words)
    assert not Path("made").exists()


def test_a_prompt_is_for_texts(room: Path) -> None:
    done("train", "faces", "--family", "autoregressive", "--label", "", "--out", "pixels", *TINY)
    refused("sample", "pixels", "--set", "prompt=hello", words=["prompt", "text"])
