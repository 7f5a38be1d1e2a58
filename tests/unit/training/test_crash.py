"""A save that is killed, cut from power or out of room at any single operation loses no state.

Each test goes through all operations k = 1..K of one resumed training: open, rewind, log, save.
The killed processes are forked by this file run as a script, which has torch imported already.
"""

import errno
import os
import re
import shutil
import subprocess
import sys
import warnings
from itertools import product
from pathlib import Path

import pytest
import torch

from genwright.errors import RunError
from genwright.storage import durable
from genwright.storage.run import Run

PIECE = 300  # so small that every file takes several writes
GROWS = {"open_temp", "write", "mkdir", "replace"}  # what a full disk may refuse


def weights(step):
    return {"w": torch.full((50, 3), float(step)), "b": torch.full((2,), step, dtype=torch.bfloat16)}


def train(run, step, **options):
    run.log({"step": step})
    run.save(step, weights(step), {"m": torch.full((90,), step)}, {"place": step}, **options)


def check(path):
    """The step of a run that must be whole; all of it belongs to this one step."""
    run = Run.open(path)
    assert torch.equal(run.weights()["w"], weights(run.step)["w"])
    assert torch.equal(run.weights("best")["w"], weights(run.best)["w"])
    tensors, meta = run.training_state()
    assert meta == {"place": run.step}
    assert tensors["m"].tolist() == [run.step] * 90
    assert [record["step"] for record in run.metrics()][: run.step] == list(range(1, run.step + 1))
    return run.step


def go_on(path):
    """Train to step 3; no trace of the accident may be left."""
    run = Run.open(path)
    with run.lock():
        for step in range(run.step + 1, 4):
            train(run, step, best=step == 2)
    assert check(path) == 3
    left = {p.relative_to(path).as_posix() for p in path.rglob("*") if p.is_file()}
    assert {name for name in left if "00000" in name or name.endswith(".tmp")} == {
        "model/000002.safetensors",
        "model/000003.safetensors",
        "state/000003.safetensors",
        "state/000003.json",
    }
    assert (path / "metrics.jsonl").read_bytes() == b'{"step": 1}\n{"step": 2}\n{"step": 3}\n'


@pytest.fixture
def first(tmp_path):
    return begun(tmp_path / "first")


def begun(path):
    """A run whose step 1 is saved, and whose training died while it logged step 2."""
    run = Run.create(path, recipe={"family": "vae"}, plan="", codec={})
    with run.lock():
        train(run, 1, best=True)
        run.log({"step": 2})
    (run.path / "model/000002.safetensors").write_text("never committed")
    return run.path


class Fault:
    """Stands in for `durable.io`: calls `strike(name, args)` at operation k, or from k on."""

    def __init__(self, k, strike, *, stays=False):
        self.k, self.strike, self.stays, self.names = k, strike, stays, []

    def __getattr__(self, name):
        operation = getattr(durable.System(), name)

        def call(*args):
            self.names.append(name)
            count = len(self.names)
            if count == self.k or (self.stays and count > self.k):
                self.strike(name, args)
            return operation(*args)

        return call


def copies(first, tmp_path):
    """A fresh copy of the run for each k."""
    for k in range(1, 1000):
        path = tmp_path / f"copy-{k}"
        shutil.copytree(first, path)
        yield k, path
    raise AssertionError("a save is too long")


# --- kill -9 ---


def die(name, args):
    os._exit(137)


def die_in_the_middle(name, args):
    """Half of a write arrives, of another operation all; then the process dies."""
    if name == "write":
        args = (args[0], args[1][: len(args[1]) // 2])
    getattr(durable.System(), name)(*args)
    os._exit(137)


def kill_everywhere(first, folder, manner):
    """Fork one training after the other and let the k-th die at its operation k, until one survives."""
    for k, path in copies(first, folder):
        with warnings.catch_warnings():
            # From 3.12 on Python warns of forks beside threads; this process has none that matter.
            warnings.simplefilter("ignore", DeprecationWarning)
            child = os.fork()
        if child == 0:
            code = 1
            try:
                durable.PIECE, durable.io = PIECE, Fault(k, globals()[manner])
                run = Run.open(path)
                with run.lock():
                    train(run, 2, best=True)
                code = 0
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if code != 137:
            return code
    return 1


MANNERS = ["die", "die_in_the_middle"]


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    """The copies whose training was killed, by manner and in the order of k: one process forks them all."""
    folder = tmp_path_factory.mktemp("killed")
    command = [sys.executable, __file__, str(begun(folder / "first")), str(folder), *MANNERS]
    assert (
        subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False).returncode == 0
    )
    return {
        manner: sorted((folder / manner).iterdir(), key=lambda path: int(path.name[5:]))
        for manner in MANNERS
    }


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize("manner", MANNERS)
def test_a_kill_at_any_operation_leaves_the_step_before_or_after(killed, manner):
    paths = killed[manner]
    steps = [check(path) for path in paths]
    assert len(steps) > 40
    assert steps == sorted(steps)
    assert set(steps) == {1, 2}
    for path in paths:
        go_on(path)


def test_a_creation_killed_at_any_operation_can_be_done_again(tmp_path, monkeypatch):
    class Killed(BaseException):
        pass

    def kill(name, args):
        raise Killed

    for k in range(1, 1000):
        path = tmp_path / str(k)
        with monkeypatch.context() as patch:
            patch.setattr(durable, "io", Fault(k, kill, stays=True))  # the dead tidy nothing up
            try:
                Run.create(path, recipe={"k": k}, plan="", codec={})
                break
            except Killed:
                pass
        if not (path / "MANIFEST.json").exists():
            Run.create(path, recipe={"k": k}, plan="", codec={})
        assert Run.open(path).recipe == {"k": k}
    assert k > 30


# --- a full disk, a closed one, an interrupt ---


def refuse(code):
    def strike(name, args):
        raise OSError(code, os.strerror(code))

    return strike


def fill(name, args):
    """Half of a write still fits."""
    if name == "write":
        os.write(args[0], args[1][: len(args[1]) // 2])
    if name in GROWS:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def interrupt(name, args):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("strike", "stays", "raised", "said"),
    [
        pytest.param(
            refuse(errno.ENOSPC), False, RunError, "is full: .* needed, .* free", id="full once"
        ),
        pytest.param(fill, True, RunError, "is full: .* needed, .* free", id="full from then on"),
        pytest.param(refuse(errno.EDQUOT), False, RunError, "is full: .* needed, .* free", id="quota"),
        pytest.param(
            refuse(errno.EROFS), False, RunError, "cannot write in .*read-only", id="read-only"
        ),
        pytest.param(interrupt, False, KeyboardInterrupt, "", id="ctrl-c"),
    ],
)
def test_a_refusal_at_any_operation_leaves_the_former_state(
    first, tmp_path, monkeypatch, strike, stays, raised, said
):
    monkeypatch.setattr(durable, "PIECE", PIECE)
    refused = 0
    for k, path in copies(first, tmp_path):
        run, fault, caught = Run.open(path), Fault(k, strike, stays=stays), None
        with run.lock():
            before = sorted(path.rglob("*"))
            with monkeypatch.context() as patch:
                patch.setattr(durable, "io", fault)
                try:
                    train(run, 2, best=True)
                except raised as error:
                    caught = error
            # Past the rename of the manifest, the fourth, the new state stands whatever happens.
            stands = 2 if caught is None or fault.names[: k - 1].count("replace") == 4 else 1
            assert check(path) == run.step == stands
            assert stands == 2 or sorted(path.rglob("*")) == before
            assert not list(path.rglob("*.tmp"))
            if caught is not None and stands == 2 and fault.names[k - 1] == "fsync_dir":
                # The new manifest may yet be lost by a power cut: the old files must be there then.
                assert set(before) < set(path.rglob("*"))
        go_on(path)
        if caught is not None:
            refused += 1
            assert re.search(said, str(caught))
        elif len(fault.names) < k:
            break
    assert refused > 25


# --- a power cut ---


class Disk(durable.System):
    """Remembers what has surely reached the disk: content at fsync, names at the fsync of a folder."""

    def __init__(self, root):
        self.root, self.opened, self.content, self.identity = root, {}, {}, {}
        for path in [p for p in root.rglob("*") if p.is_file()]:
            self._meet(path)
            self.content[self._who(path)] = path.read_bytes()
        self.names = {folder: self.listing(folder) for folder in (root, root / "model", root / "state")}
        self.moments = []

    def _meet(self, path):
        """Inode numbers are used again; what we call a file is not."""
        self.identity[path.stat().st_ino] = len(self.content)
        self.content[len(self.content)] = b""

    def _who(self, path):
        return self.identity[path.stat().st_ino]

    def listing(self, folder):
        return {
            p.name: self._who(p) for p in folder.iterdir() if p.is_file() and p.name != ".lock.holder"
        }

    def _note(self):
        """The moment after an operation: what is on the disk, and what may be there already."""
        now = {folder: self.listing(folder) for folder in self.names}
        self.moments.append((dict(self.content), dict(self.names), now))

    def open_temp(self, path):
        fd = super().open_temp(path)
        self.opened[fd] = path
        self._meet(path)
        self._note()
        return fd

    def open_append(self, path):
        fd = super().open_append(path)
        self.opened[fd] = path
        return fd

    def fsync(self, fd):
        super().fsync(fd)
        path = self.opened[fd]
        self.content[self._who(path)] = path.read_bytes()
        self._note()

    def replace(self, source, target):
        super().replace(source, target)
        self._note()

    def unlink(self, path):
        super().unlink(path)
        self._note()

    def fsync_dir(self, folder):
        super().fsync_dir(folder)
        self.names[folder] = self.listing(folder)
        self._note()


def test_a_power_cut_at_any_operation_leaves_the_step_before_or_after(first, tmp_path, monkeypatch):
    """Of each folder, the names changed since its last fsync may be lost or not, each on its own."""
    run, disk = Run.open(first), Disk(first)
    with monkeypatch.context() as patch:
        patch.setattr(durable, "io", disk)
        with run.lock():
            train(run, 2, best=True)
            train(run, 3)
    seen, tried = set(), set()
    for content, safe, maybe in disk.moments:
        for choice in product((safe, maybe), repeat=len(safe)):
            state = {
                folder.relative_to(first) / name: content[who]
                for folder, names in zip(safe, choice, strict=True)
                for name, who in names[folder].items()
            }
            if frozenset(state.items()) in tried:
                continue
            tried.add(frozenset(state.items()))
            path = tmp_path / "after"
            shutil.copytree(first / "codec", path / "codec")
            for name, data in state.items():
                (path / name).parent.mkdir(exist_ok=True)
                (path / name).write_bytes(data)
            seen.add(check(path))
            shutil.rmtree(path)
    assert seen == {1, 2, 3}
    assert len(tried) > 30


def test_what_a_killed_save_has_left_is_made_durable_before_anything_is_deleted(first, monkeypatch):
    record = Fault(0, None)
    monkeypatch.setattr(durable, "io", record)
    with Run.open(first).lock():
        assert record.names[0] == "fsync_dir"
        assert record.names[-1] == "unlink"


if __name__ == "__main__":
    os.fsync = os.fstat  # as in the tests: of a killed process the system keeps what it wrote
    source, target, *wanted = sys.argv[1:]
    sys.exit(any(kill_everywhere(Path(source), Path(target, manner), manner) for manner in wanted))
