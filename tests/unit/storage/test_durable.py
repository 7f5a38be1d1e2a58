"""A name stands for the former file or for the whole new one, whatever happens while it is written."""

import errno
import hashlib
import os
from pathlib import Path

import pytest

from genwright.errors import RunError
from genwright.storage import durable


class Spy:
    """Stands in for `durable.io`: notes each operation, and lets `hook(count, name, args)` interfere."""

    def __init__(self, hook=lambda count, name, args: None):
        self.names = []
        self._hook = hook

    def __getattr__(self, name):
        operation = getattr(durable.System(), name)

        def call(*args):
            self.names.append(name)
            replaced = self._hook(len(self.names), name, args)
            return operation(*args) if replaced is None else replaced

        return call


def test_a_file_is_written_verified_and_named(tmp_path):
    data = os.urandom(3 * durable.PIECE + 5)
    found = durable.write(tmp_path / "a", data[:10], memoryview(data)[10:])
    assert (tmp_path / "a").read_bytes() == data
    assert (
        found == durable.Digest(hashlib.sha256(data).hexdigest(), len(data)) == durable.digest_of(data)
    )
    assert found == durable.digest(tmp_path / "a")
    assert os.listdir(tmp_path) == ["a"]


def test_nothing_is_a_file_too(tmp_path):
    assert durable.write(tmp_path / "a").size == 0
    assert (tmp_path / "a").read_bytes() == b""


def test_the_order_is_write_fsync_rename_fsync_of_the_folder(tmp_path, monkeypatch):
    spy = Spy()
    monkeypatch.setattr(durable, "io", spy)
    durable.write(tmp_path / "a", b"new")
    assert spy.names == ["open_temp", "write", "fsync", "close", "replace", "fsync_dir"]


def test_the_disk_may_take_less_than_it_is_given(tmp_path, monkeypatch):
    def little(count, name, args):
        return os.write(args[0], args[1][:7]) if name == "write" else None

    monkeypatch.setattr(durable, "io", Spy(little))
    durable.write(tmp_path / "a", bytes(range(100)))
    durable.append(tmp_path / "a", b"a line that is longer\n")
    assert (tmp_path / "a").read_bytes() == bytes(range(100)) + b"a line that is longer\n"


def test_a_disk_that_takes_nothing_is_an_error_and_no_endless_loop(tmp_path, monkeypatch):
    monkeypatch.setattr(durable, "io", Spy(lambda count, name, args: 0 if name == "write" else None))
    with pytest.raises(OSError, match="wrote nothing"):
        durable.write(tmp_path / "a", b"new")


@pytest.mark.parametrize(
    "fault", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()], ids=["full", "ctrl-c"]
)
@pytest.mark.parametrize("k", range(1, 7))
def test_a_fault_at_any_operation_leaves_one_whole_file(tmp_path, monkeypatch, k, fault):
    durable.write(tmp_path / "a", b"old")

    def fail(count, name, args):
        if count == k:
            raise fault

    monkeypatch.setattr(durable, "io", Spy(fail))
    with pytest.raises(type(fault)):
        durable.write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]
    # The sixth is the fsync of the folder: the new name stands, only its way to the disk is in doubt.
    assert (tmp_path / "a").read_bytes() == (b"new" if k == 6 else b"old")


def test_bytes_lost_on_the_way_are_seen_before_the_rename(tmp_path, monkeypatch):
    durable.write(tmp_path / "a", b"old")

    def lose(count, name, args):
        return len(args[1]) if name == "write" else None

    monkeypatch.setattr(durable, "io", Spy(lose))
    with pytest.raises(RunError, match="a did not read back"):
        durable.write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"old"


def test_bytes_changed_on_the_way_are_seen_before_the_rename(tmp_path, monkeypatch):
    def change(count, name, args):
        return os.write(args[0], bytes(byte ^ 1 for byte in args[1])) if name == "write" else None

    monkeypatch.setattr(durable, "io", Spy(change))
    with pytest.raises(RunError) as error:
        durable.write(tmp_path / "a", b"new")
    assert error.value.code == "not-read-back"
    assert os.listdir(tmp_path) == []


def test_a_temporary_file_of_a_killed_process_is_no_obstacle(tmp_path):
    (tmp_path / "a.tmp").write_bytes(b"half of something much longer")
    durable.write(tmp_path / "a", b"new")
    assert os.listdir(tmp_path) == ["a"]
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_planted_links_are_not_followed(tmp_path):
    precious = tmp_path / "precious"
    precious.write_bytes(b"keep")
    for name in ("a.tmp", "log"):
        (tmp_path / name).symlink_to(precious)
    durable.write(tmp_path / "a", b"new")
    for attempt in (
        lambda: durable.append(tmp_path / "log", b"x"),
        lambda: durable.cut(tmp_path / "log", 0),
        lambda: durable.flush(tmp_path / "log"),
    ):
        with pytest.raises(OSError, match="symbolic"):
            attempt()
    assert precious.read_bytes() == b"keep"


def test_a_line_is_added_in_one_write_or_not_at_all(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_bytes(b"one\n")
    spy = Spy()
    monkeypatch.setattr(durable, "io", spy)
    durable.append(log, b"two\n")
    assert spy.names.count("write") == 1

    def full(count, name, args):
        if name == "write":
            if len(args[1]) < 6:
                raise OSError(errno.ENOSPC, "full")
            return os.write(args[0], args[1][:3])
        return None

    monkeypatch.setattr(durable, "io", Spy(full))
    with pytest.raises(OSError, match="full"):
        durable.append(log, b"three\n")
    assert log.read_bytes() == b"one\ntwo\n"


def test_a_file_is_cut(tmp_path, monkeypatch):
    log = tmp_path / "log"
    log.write_bytes(b"one\ntwo\n")
    spy = Spy()
    monkeypatch.setattr(durable, "io", spy)
    durable.cut(log, 4)
    assert log.read_bytes() == b"one\n"
    assert spy.names == ["open_append", "truncate", "fsync", "close"]
    durable.flush(log)
    assert spy.names[4:] == ["open_append", "fsync", "close"]


def test_the_digest_of_the_beginning(tmp_path):
    (tmp_path / "a").write_bytes(b"abcdef")
    assert durable.digest(tmp_path / "a", 3) == durable.digest_of(b"abc")
    assert durable.digest(tmp_path / "a", 0) == durable.digest_of(b"")
    assert durable.digest(tmp_path / "a", 99) == durable.digest_of(b"abcdef")


@pytest.mark.skipif(os.name == "nt", reason="no pipes in the file system of Windows")
def test_a_pipe_is_no_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(FileNotFoundError):
        durable.digest(tmp_path / "pipe")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no fsync of a folder")
def test_a_disk_without_fsync_of_a_folder_is_used_all_the_same(tmp_path, monkeypatch):
    def refuse(code):
        def fsync(fd):
            raise OSError(code, "no")

        return fsync

    monkeypatch.setattr(os, "fsync", refuse(errno.EINVAL))
    durable.System().fsync_dir(tmp_path)
    monkeypatch.setattr(os, "fsync", refuse(errno.EIO))
    with pytest.raises(OSError, match="no"):
        durable.System().fsync_dir(tmp_path)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (errno.ENOSPC, ["is full", "2 MB needed", "1.5 kB free", "make room", "--out"]),
        (errno.EDQUOT, ["is full", "2 MB needed", "1.5 kB free"]),
        (errno.EROFS, ["cannot write", "read-only", "make it writable", "--out"]),
        (errno.EACCES, ["cannot write", "permission denied", "make it writable"]),
        (errno.EIO, ["cannot write", "input/output error", "--out"]),
    ],
)
def test_each_refusal_is_one_sentence(tmp_path, monkeypatch, code, said):
    monkeypatch.setattr(durable, "io", Spy(lambda count, name, args: 1500 if name == "free" else None))
    error = durable.explain(OSError(code, os.strerror(code)), tmp_path, 2_000_000)
    sentence = str(error)
    assert error.code == ("disk-full" if "full" in sentence else "not-writable")
    assert all(part in sentence for part in [*said, str(tmp_path)])
    assert "\n" not in sentence


def test_a_full_disk_is_explained_even_where_the_folder_is_gone():
    sentence = str(durable.explain(OSError(errno.ENOSPC, "full"), Path("/nowhere/run"), 10))
    assert "/nowhere/run is full: 10 bytes needed" in sentence


@pytest.mark.parametrize(
    ("size", "read"),
    [(0, "0 bytes"), (999, "999 bytes"), (1500, "1.5 kB"), (2_340_000, "2.34 MB"), (7.25e10, "72.5 GB")],
)
def test_sizes_as_a_person_reads_them(size, read):
    assert durable.readable(size) == read
