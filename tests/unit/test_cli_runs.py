"""Runs on the command line: going on, stopping, running out of memory, sampling."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock

import genwright
from commands import TINY, call, done, refused, train
from genwright.data.table.field import RowField
from genwright.families.vae import VAE

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


def test_a_run_that_is_given_a_column_goes_on_with_the_columns_it_makes(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache holds all columns, the run knows those that it makes: `y` stands between them."""
    given = ("--label", "y", "--steps", "6")
    done(*train(*given, "--out", "whole"))
    with monkeypatch.context() as patch:
        _signal_in_step(patch, 4, signal.SIGINT)
        call(*train(*given, "--out", "cut"))
    done("train", "--resume", "cut")
    for name in ("model/000006.safetensors", "state/000006.safetensors"):
        assert (Path("cut") / name).read_bytes() == (Path("whole") / name).read_bytes()
    model = genwright.load("cut")
    split, whole = model.dataset.splits["train"], model.dataset.fields["row"]
    numbers = np.arange(len(split))
    found = model.pipeline.made.decode(model.pipeline.stored(split, numbers).numpy())
    real = whole.decode(whole.expand(split.gather(numbers)["row"]).numpy())
    assert found[["x", "z"]].equals(real[["x", "z"]])


def test_a_signal_before_the_training_ends_at_once_and_leaves_nothing(
    room: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENWRIGHT_CACHE", "fresh")
    monkeypatch.setattr(RowField, "fit", lambda *_: signal.raise_signal(signal.SIGINT))
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
    sampler = ["memory", "train.batch_size=", "train.accumulate=", "--size xs"]
    refused(*train("--out", "new"), words=sampler)
    refused("look", "rows.csv", words=sampler)
    monkeypatch.undo()


def test_a_model_that_is_too_large_names_its_sizes(room: Path) -> None:
    refused(*train("--set", "family.latent=1000000000000"), words=["memory", "--size xs", "family.*"])


def test_a_mistake_of_ours_is_one_sentence_too(
    room: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(VAE, "loss", _raising(ZeroDivisionError("a bug\n\n  in lines\n")))
    said = call(*train())
    assert said.code == 1
    assert said.err.count("\n") == 1
    assert all(word in said.err for word in ("ZeroDivisionError", "a bug in lines", "--debug"))


@pytest.mark.parametrize("place", ["first", "last"])
def test_debug_shows_where(room: Path, place: str) -> None:
    args = ["sample", "nowhere"]
    with pytest.raises(genwright.errors.RunError, match="not a run") as error:
        call(*(["--debug", *args] if place == "first" else [*args, "--debug"]))
    assert f"code: {error.value.code}" in "".join(traceback.format_exception(error.value))


def test_a_system_that_says_no_is_a_sentence(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Path, "mkdir", _raising(PermissionError(13, "Permission denied", "closed")))
    refused("sample", "row", "--out", "closed", words=["closed", "permission denied"])


# -- sampling --------------------------------------------------------------------------------------


def test_sample_writes_what_was_asked(room: Path) -> None:
    assert "Made 3 in image/samples/seed-7" in done("sample", "image", "-n", "3", "--seed", "7").out
    files = sorted(path.name for path in Path("image/samples/seed-7").iterdir())
    assert files == ["00000.png", "00001.png", "00002.png", "labels.csv", "sheet.png", "synthetic.json"]
    done("sample", "row", "-n", "5", "--given", "y=b", "--out", "rows")
    head, *rows = Path("rows/samples.csv").read_text().splitlines()
    assert head == "x,y,z"
    assert [row.split(",")[1] for row in rows] == ["b"] * 5
    said = call("sample", "text", "-n", "2", "--set", "prompt=5", "--out", "texts")
    assert (said.code, said.err) == (0, "the prompt holds characters that training has not seen: '5'\n")
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


def test_rows_and_texts_go_to_the_file_that_is_named(room: Path) -> None:
    assert done("sample", "row", "-n", "3", "--out", "deep/more.csv").out == "Made 3 in deep/more.csv\n"
    assert len(Path("deep/more.csv").read_text().splitlines()) == 4
    done("sample", "row", "-n", "2", "--out", "deep/more.parquet")
    assert pd.read_parquet("deep/more.parquet").shape == (2, 3)
    done("sample", "text", "-n", "2", "--out", "deep/poems.jsonl")
    made = ["more.csv", "more.parquet", "poems.jsonl", "poems.txt", "synthetic.json"]
    assert sorted(path.name for path in Path("deep").iterdir()) == made
    assert sorted(json.loads(Path("deep/synthetic.json").read_text())) == made[:-1]
    done("sample", "row", "-n", "3", "--out", "apart")
    assert Path("apart/samples.csv").read_bytes() == Path("deep/more.csv").read_bytes()
    done("sample", "row", "-n", "2", "--drop", "invalid", "--out", "deep/chosen.csv")
    assert "finish" in json.loads(Path("deep/synthetic.json").read_text())["chosen.csv"]


@pytest.mark.parametrize(
    ("run", "more", "words"),
    [
        ("row", ("--out", "table.csv"), ["table.csv exists", "--out"]),
        ("text", ("--out", "made.csv"), ["documents", "made.csv", "folder", ".txt or .jsonl"]),
        ("image", ("--out", "made.png"), ["pictures", "made.png", "folder"]),
        ("row", ("--out", "made.jsonl"), ["rows", "made.jsonl", ".csv or .parquet"]),
        ("row", ("--out", "made.csv", "--format", "parquet"), ["parquet", "made.csv", "two formats"]),
    ],
)
def test_a_file_that_cannot_be_made_is_a_sentence(
    room: Path, run: str, more: tuple[str, ...], words: list[str]
) -> None:
    Path("table.csv").write_text("mine")
    refused("sample", run, *more, words=words)
    assert Path("table.csv").read_text() == "mine"
    assert not list(Path().glob("made*"))


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


# -- nothing is begun before all is known to be right -------------------------------------------------

WRONG = {
    "device": (train("--set", "train.device=cuda:99"), ["cuda:99", "cpu"]),
    "device name": (train("--set", "train.device=cup"), ["cup", "cpu"]),
    "accumulate": (train("--set", "train.accumulate=3"), ["128", "3"]),
    "latent": (train("--set", "family.latent=-1"), ["family.latent", "1 or more"]),
    "beta": (train("--family", "vae", "--set", "family.beta=-1"), ["family.beta", "0 or more"]),
    "width": (train("--set", "net.width=-1"), ["net.width", "1 or more"]),
    "dropout": (train("--set", "net.dropout=2"), ["net.dropout", "0 or more and below 1"]),
    "bins": (
        train("--family", "autoregressive", "--set", "bridge.name=quantize", "--set", "bridge.bins=1"),
        ["bridge.bins", "2 or more"],
    ),
    "sample --device": (("sample", "row", "--device", "cuda:99"), ["cuda:99", "cpu"]),
    "chunk": (("sample", "row", "--set", "chunk=0"), ["chunk", "1 or more"]),
    "temperature": (("sample", "row", "--set", "temperature=-1"), ["temperature", "0 or more"]),
    "top_p": (("sample", "text", "--set", "top_p=-1"), ["top_p", "above 0 and 1 or less"]),
    "length": (("sample", "text", "--set", "length=-3"), ["length", "1 or more"]),
    "long prompt": (("sample", "text", "--set", "prompt=" + "the " * 9), ["prompt", "17", "length"]),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_number_begins_nothing(room: Path, case: str) -> None:
    args, words = WRONG[case]
    refused(*args, words=words)
    assert not Path("runs").exists()
