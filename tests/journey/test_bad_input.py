"""What only a process of its own can show: signals, terminals, pipes, locks."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands import TINY, table

pytestmark = pytest.mark.journey
GENWRIGHT = [sys.executable, "-m", "genwright"]
LONG = ["train", "rows.csv", "--family", "vae", "--size", "xs", "--steps", "1000000", "--out", "long"]
PATIENCE = 300
"""Seconds to wait for what takes a few where nothing else runs."""
BEGUN: list[subprocess.Popen[str]] = []


def run(*args: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*GENWRIGHT, *args], env=os.environ | env, capture_output=True, text=True, timeout=PATIENCE
    )


def begun(*args: str) -> subprocess.Popen[str]:
    """A long training that has made some steps."""
    process = subprocess.Popen(
        [*GENWRIGHT, *(args or LONG)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    BEGUN.append(process)
    log, deadline = Path("long/metrics.jsonl"), time.monotonic() + PATIENCE
    while not (log.exists() and log.stat().st_size):
        assert time.monotonic() < deadline, "it never began"
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    return process


def on_a_terminal(*args: str, **env: str) -> tuple[int, str]:
    """Exit status and all that a person sees."""
    main, side = pty.openpty()
    process = subprocess.Popen(
        [*GENWRIGHT, *args], env=os.environ | {"TERM": "xterm-256color"} | env, stdout=side, stderr=side
    )
    os.close(side)
    seen = b""
    try:
        while block := os.read(main, 1 << 16):
            seen += block
    except OSError:  # how Linux says that the other side is closed
        pass
    os.close(main)
    return process.wait(timeout=PATIENCE), seen.decode()


@pytest.fixture(autouse=True)
def rows(_elsewhere: None) -> Iterator[None]:
    """Rows to train on; and no training outlives its test, however that ends."""
    table(Path("rows.csv"))
    yield
    while BEGUN:
        with BEGUN.pop() as process:
            process.kill()


@pytest.mark.parametrize(("which", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_and_the_run_goes_on(which: int, code: int) -> None:
    process = begun()
    process.send_signal(which)
    out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Traceback" in err) == (code, False)
    assert "once more stops at once" in err
    assert "genwright train --resume long" in out
    (step,) = (int(file.stem) for file in Path("long/model").iterdir())
    done = run("train", "--resume", "long", "--steps", str(step + 5))
    assert (done.returncode, done.stderr) == (0, "")
    assert f"from step {step:,}" in done.stdout
    assert run("sample", "long", "-n", "3").returncode == 0


def test_a_second_signal_ends_it_at_once_and_the_last_save_stands() -> None:
    first = begun()
    first.send_signal(signal.SIGINT)
    first.communicate(timeout=PATIENCE)
    process = begun("train", "--resume", "long")
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, "Traceback" in err) == (130, False)
    assert run("sample", "long", "-n", "3").returncode == 0


def test_a_killed_training_goes_on_from_its_last_save() -> None:
    process = begun(*LONG, "--set", "train.save_minutes=0.01")
    deadline = time.monotonic() + PATIENCE
    while not any(Path("long/model").glob("*.safetensors")):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.kill()
    process.communicate(timeout=PATIENCE)
    (step, *_) = (int(file.stem) for file in Path("long/model").glob("*.safetensors"))
    done = run("train", "--resume", "long", "--steps", str(step + 1))
    assert (done.returncode, done.stderr) == (0, "")


def test_two_trainings_in_one_folder() -> None:
    process = begun()
    try:
        for args in (["train", "--resume", "long"], LONG):
            done = run(*args)
            assert done.returncode == 1
            assert done.stderr.count("\n") == 1
            assert "in use" in done.stderr or "not empty" in done.stderr
        assert f"process {process.pid}" in run("train", "--resume", "long").stderr
    finally:
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130, err


def test_a_terminal_sees_a_bar_and_a_pipe_does_not() -> None:
    args = ["train", "rows.csv", "--family", "vae", *TINY]
    code, seen = on_a_terminal(*args)
    assert code == 0
    assert "━" in seen
    assert "\x1b[3" in seen  # colours
    assert "69 to train on" in seen
    assert "Trained: runs/rows-vae" in seen

    code, seen = on_a_terminal(*args, NO_COLOR="1")
    assert code == 0
    assert "100%" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen)

    done = run(*args)
    assert (done.returncode, done.stderr) == (0, "")
    assert "\x1b" not in done.stdout
    assert "(100%)" in done.stdout


def test_a_mistake_on_a_terminal_is_a_sentence() -> None:
    code, seen = on_a_terminal("train", "rows.csv", "--family", "vea")
    assert code == 1
    assert seen.strip() == "genwright: there is no 'vea' among the families; did you mean 'vae'?"


def test_debug_shows_where() -> None:
    done = run("--debug", "look", "nowhere")
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "DataError" in done.stderr
    assert "Traceback" not in run("look", "nowhere").stderr


def test_who_reads_our_output_may_leave() -> None:
    done = subprocess.run(
        f"{' '.join(GENWRIGHT)} list --json | head -n 1", shell=True, capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_for_a_shell(shell: str) -> None:
    env = {"_GENWRIGHT_COMPLETE": f"source_{shell}"}
    done = run(**env)
    assert done.returncode == 0
    assert "genwright" in done.stdout
    assert "_GENWRIGHT_COMPLETE" in done.stdout
