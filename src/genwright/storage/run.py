"""The run folder: all that a training leaves, and all that going on, sampling and judging need.

    runs/photos-vae/
      recipe.json  plan.txt  codec/state.json     written once, when the run begins
      codec/bridge.safetensors                    too, where the bridge has tensors to keep
      model/000500.safetensors                    the last weights, and those of the best step
      state/000500.safetensors  000500.json       what only training needs: optimiser, RNG, place
      metrics.jsonl                               one line a record, only ever added to
      calibration.json                            how far the answers of these weights are to be trusted, once known
      samples/000500/                             for people to look at; not in the manifest
      MANIFEST.json                               which of all this is true

The manifest is the commit point. A save writes new files under names that carry the step, so that
the former state stays whole; then it replaces the manifest in one step; then it deletes what the
manifest names no more. Killed anywhere, the run is that of the step before or of the step after.
Everything is JSON, text or safetensors: a run folder from a stranger holds data and no code.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from filelock import FileLock, Timeout

from genwright.errors import RunError
from genwright.storage import durable
from genwright.storage.manifest import (
    BRIDGE,
    CALIBRATION,
    CODEC,
    FIXED,
    FORMAT,
    MANIFEST,
    METRICS,
    OURS,
    PLAN,
    RECIPE,
    WAYS_OUT,
    Manifest,
    compare,
    encode,
    model_file,
    numbers,
    reading,
    state_files,
    versions,
    words,
)
from genwright.storage.tensors import header, non_finite, pack, required_bytes, unpack

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["FORMAT", "Run", "required_bytes"]

FOLDERS = ("codec", "model", "state", "samples")
LOCK, HOLDER = ".lock", ".lock.holder"


class Run:
    """A run folder. Reading needs no lock; `log`, `save` and `rewind` work inside `lock()` only."""

    def __init__(self, path: Path, manifest: Manifest) -> None:
        self.path = path
        self._manifest = manifest
        self._held = False

    @classmethod
    def create(
        cls,
        path: Path | str,
        *,
        recipe: Mapping[str, Any],
        plan: str,
        codec: Mapping[str, Any],
        bridge: Mapping[str, Tensor] | None = None,
    ) -> Run:
        """Begin a run in a new or empty folder. `recipe` and `codec` are plain JSON without NaN; `bridge` are
        the tensors that the bridge needs."""
        path = Path(path)
        contents: dict[str, tuple[bytes | memoryview, ...]] = {
            RECIPE: (encode(recipe),),
            PLAN: (plan.encode("utf-8", "backslashreplace"),),
            CODEC: (encode(codec),),
            METRICS: (b"",),
        }
        if bridge:
            contents[BRIDGE] = pack(bridge, {"format": f"genwright/{FORMAT}"})
        with _explained(path, sum(len(part) for parts in contents.values() for part in parts)):
            _refuse_occupied(path)
            durable.io.mkdir(path)
            with _locked(path):
                _refuse_occupied(path)  # another training may have been quicker
                for folder in FOLDERS:
                    durable.io.mkdir(path / folder)
                files = {name: durable.write(path / name, *data) for name, data in contents.items()}
                manifest = Manifest(0, None, files, files.pop(METRICS), versions())
                manifest.write(path)
                with suppress(PermissionError):  # where we may not read the parent, the folder is old
                    durable.io.fsync_dir(path.absolute().parent)
        return cls(path, manifest)

    @classmethod
    def open(cls, path: Path | str) -> Run:
        """Open a run and verify every file of it. A training may go on in it meanwhile."""
        path = Path(path)
        while True:
            manifest = Manifest.read(path)
            try:
                manifest.verify(path)
            except RunError:
                if Manifest.read(path) == manifest:
                    raise
                continue  # a training has saved while we looked: look again
            return cls(path, manifest)

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the folder for one training, and bring it to the state of its last save.

        The system itself frees the lock of a killed process. What was opened may be older than what
        another training has saved since; so the manifest is read again, and then `rewind` is done.
        """
        with _locked(self.path):
            if Manifest.read(self.path) != self._manifest:
                self._manifest = Run.open(self.path)._manifest
            self._held = True
            try:
                self.rewind()
                yield
            finally:
                self._held = False

    # --- reading ---

    @property
    def step(self) -> int:
        """The step of the last save; 0 before the first."""
        return self._manifest.step

    @property
    def best(self) -> int | None:
        """The step whose weights are kept as the best, if any was called so."""
        return self._manifest.best

    @property
    def begun_format(self) -> int:
        """The format of what was written when the run began: recipe, plan and codec state."""
        return self._manifest.begun

    @property
    def versions(self) -> dict[str, str]:
        """What the last save was made with; a resume with other versions may differ in the last bits."""
        return dict(self._manifest.versions)

    @property
    def recipe(self) -> dict[str, Any]:
        return self._json(RECIPE)

    @property
    def codec(self) -> dict[str, Any]:
        return self._json(CODEC)

    @property
    def bridge_tensors(self) -> dict[str, Tensor]:
        return self._tensors(BRIDGE) if BRIDGE in self._manifest.files else {}

    @property
    def plan(self) -> str:
        return self._read(PLAN).decode("utf-8")

    @property
    def calibration(self) -> dict[str, Any]:
        """What `calibrate` has kept; empty where it has not."""
        return self._json(CALIBRATION) if CALIBRATION in self._manifest.files else {}

    def weights(
        self, which: Literal["last", "best"] | int = "last", device: str | torch.device = "cpu"
    ) -> dict[str, Tensor]:
        """The weights of the last step, of the best, or of a step that is one of these."""
        step = self.step if which == "last" else self.best if which == "best" else which
        if not step or step not in (self.step, self.best):
            kept = [
                f"{step} ({name})" for name, step in (("last", self.step), ("best", self.best)) if step
            ]
            raise RunError(
                f"{self.path} keeps no weights called {which!r}; "
                f"it keeps {' and '.join(kept) or 'none yet: train it first'}",
                code="no-weights",
            )
        return {name: tensor.to(device) for name, tensor in self._tensors(model_file(step)).items()}

    def training_state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """What the last save was given as `state` and `meta`; the tensors are on the CPU."""
        if not self.step:
            raise RunError(
                f"{self.path} has no saved state to go on from; train it from its start",
                code="no-weights",
            )
        tensors, meta = state_files(self.step)
        return self._tensors(tensors), self._json(meta)

    def metrics(self) -> list[dict[str, Any]]:
        """The records so far, also those since the last save, with NaN and infinity as floats again."""
        with reading(self.path, METRICS):
            data = (self.path / METRICS).read_bytes()
        records: list[dict[str, Any]] = []
        place = 0
        for line in data.splitlines(keepends=True):
            place += len(line)
            try:
                if not line.endswith(b"\n"):
                    raise ValueError("a line without its end")
                records.append(numbers(json.loads(line)))
            except (ValueError, RecursionError) as error:
                if place > self._manifest.metrics.size:
                    break  # a line that is being written, or what a power cut has left of one
                raise _damaged(METRICS, self.path, error) from error
        return records

    def alarms(self) -> list[dict[str, Any]]:
        """The records of what the guard saw."""
        return [record for record in self.metrics() if "guard" in record]

    def samples_dir(self, step: int) -> Path:
        """The folder for samples of a step, made if need be."""
        folder = self.path / "samples" / f"{step:06d}"
        with _explained(self.path):
            durable.io.mkdir(folder)
        return folder

    # --- writing, inside `lock()` ---

    def log(self, record: Mapping[str, Any]) -> None:
        """Add one line to the metrics. A float that JSON has not becomes "nan", "inf" or "-inf"."""
        assert self._held, "Run.log outside Run.lock"
        line = json.dumps(words(record), allow_nan=False).encode() + b"\n"
        with _explained(self.path, len(line)):
            durable.append(self.path / METRICS, line)

    def save(
        self,
        step: int,
        weights: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
        meta: Mapping[str, Any],
        *,
        best: bool = False,
    ) -> None:
        """Make `step` the last step of the run, and with `best` the best one too.

        Tensors may be on any device; `meta` is plain JSON without NaN. When this returns, the save is
        on the disk and has been read back. When it raises, the former state stands.
        """
        assert self._held, "Run.save outside Run.lock"
        if step <= self.step:
            raise RunError(
                f"{self.path} has step {self.step} already, and step {step} was to be saved; "
                f"a save must be of a later step",
                code="step-order",
            )
        if bad := non_finite(weights) or non_finite(state):
            raise RunError(
                f"step {step} is not saved in {self.path}: {bad!r} holds NaN or infinity; "
                f"the former save stands, go on from it with a lower learning rate",
                code="not-finite",
            )
        about = {"format": f"genwright/{FORMAT}", "step": str(step)}
        made_by = {"recipe": json.dumps(self.recipe), "codec": self._manifest.files[CODEC].sha256}
        rest = encode(meta)
        model, (tensors, beside) = model_file(step), state_files(step)
        kept = step if best else self.best
        fixed = {*FIXED, BRIDGE} & self._manifest.files.keys()
        lasting = {*fixed, *([model_file(kept)] if kept else [])} - {model}
        files = {name: self._manifest.files[name] for name in lasting}
        with _explained(self.path, required_bytes(weights, state) + len(rest)):
            try:
                files[model] = durable.write(self.path / model, *pack(weights, about | made_by))
                files[tensors] = durable.write(self.path / tensors, *pack(state, about))
                files[beside] = durable.write(self.path / beside, rest)
                durable.flush(self.path / METRICS)
                log = durable.digest(self.path / METRICS)
                begun, files = self._manifest.begun, dict(sorted(files.items()))
                manifest = Manifest(step, kept, files, log, versions(), begun)
                manifest.write(self.path)
                self._manifest = manifest
            except BaseException:
                self._withdraw(step)
                raise
        self._sweep()

    def calibrate(self, calibration: Mapping[str, Any]) -> None:
        """Keep, until the next save, what was learnt about the weights that are kept: plain JSON without NaN."""
        assert self._held, "Run.calibrate outside Run.lock"
        data = encode(calibration)
        with _explained(self.path, len(data)):
            files = self._manifest.files | {CALIBRATION: durable.write(self.path / CALIBRATION, data)}
            manifest = replace(self._manifest, files=dict(sorted(files.items())))
            manifest.write(self.path)
            self._manifest = manifest

    def rewind(self) -> None:
        """Forget what came after the last save: metrics, samples of later steps, unfinished files."""
        assert self._held, "Run.rewind outside Run.lock"
        with _explained(self.path):
            # A save that was killed may have left this out, and nothing may be deleted before it.
            durable.io.fsync_dir(self.path)
            durable.cut(self.path / METRICS, self._manifest.metrics.size)
            self._sweep()
            for folder in _inside(self.path / "samples"):
                if re.fullmatch(r"\d{6,}", folder.name) and int(folder.name) > self.step:
                    shutil.rmtree(folder, ignore_errors=True)

    def preflight(self, save_bytes: int) -> None:
        """Refuse to begin where the disk cannot hold what saves of this size (`required_bytes`) need.

        At its fullest the folder holds the former save, the new one and the weights of the best step.
        """
        held = sum(entry.size for name, entry in self._manifest.files.items() if OURS.fullmatch(name))
        needed = int(2.5 * save_bytes) - held
        with _explained(self.path):
            free = durable.io.free(self.path)
        if free < needed:
            raise RunError(
                f"the disk of {self.path} has too little room for its saves: "
                f"{durable.readable(needed)} needed, {durable.readable(free)} free; "
                f"make room there, or choose another disk with --out",
                code="disk-full",
            )

    # --- inside ---

    def _withdraw(self, step: int) -> None:
        """After a failed save. The manifest in the folder decides: where it is the new one already,
        and only its way to the disk is in doubt, both the old files and the new ones must stay."""
        with suppress(RunError):
            self._manifest = Manifest.read(self.path)
            if self.step != step:
                self._sweep()

    def _sweep(self) -> None:
        """Delete our own files that the manifest does not name; one that resists waits for next time."""
        with suppress(OSError):
            folders = (self.path, *(self.path / name for name in FOLDERS))
            for file in [file for folder in folders for file in _inside(folder)]:
                name = file.relative_to(self.path).as_posix()
                if OURS.fullmatch(name) and name not in self._manifest.files:
                    with suppress(OSError):
                        durable.io.unlink(file)

    def _read(self, name: str) -> bytes:
        """The bytes of a file of the manifest: what is used is what was verified."""
        wanted = self._manifest.files[name]
        with reading(self.path, name), (self.path / name).open("rb") as file:
            data = file.read(wanted.size + 1)
        compare(self.path, name, wanted, durable.digest_of(data))
        return data

    def _json(self, name: str) -> dict[str, Any]:
        data = self._read(name)
        try:
            value = json.loads(data)
            if not isinstance(value, dict):
                raise ValueError("it is no JSON object")
        except (ValueError, RecursionError) as error:
            raise _damaged(name, self.path, error) from error
        return value

    def _tensors(self, name: str) -> dict[str, Tensor]:
        data = self._read(name)
        try:
            return _upgraded(unpack(data), header(data).get("format", ""))
        except ValueError as error:
            raise _damaged(name, self.path, error) from error


def _upgraded(tensors: dict[str, Tensor], made_as: str) -> dict[str, Tensor]:
    """The tensors of a file under the names of today. Raises `ValueError` for a format that is none."""
    if int(made_as.removeprefix("genwright/")) == FORMAT:
        return tensors
    from genwright.families.renamed import upgrade

    split = {key: _weight_in(key) for key in tensors}
    names = {name: tensors[key] for key, (_, name, _) in split.items()}
    today = dict(zip(names, upgrade(names), strict=True))
    return {
        f"{before}{today[name]}{behind}": tensors[key] for key, (before, name, behind) in split.items()
    }


def _weight_in(key: str) -> tuple[str, str, str]:
    """The name of a weight, and what stands before and behind it in the state of a training:
    `family/NAME` is the weight itself, `optimizer/PHASE/NAME/KEY` what is kept of it."""
    room, slash, rest = key.partition("/")
    if slash and room == "family":
        return "family/", rest, ""
    if slash and room == "optimizer":
        phase, _, rest = rest.partition("/")
        name, _, kept = rest.rpartition("/")
        return f"optimizer/{phase}/", name, f"/{kept}"
    return "", key, ""


def _inside(folder: Path) -> list[Path]:
    """What may be deleted in a folder of the run: nothing where it is a link to somewhere else."""
    return sorted(folder.iterdir()) if folder.is_dir() and not folder.is_symlink() else []


def _damaged(name: str, folder: Path, error: Exception) -> RunError:
    return RunError(f"{name} in {folder} is damaged ({error}); {WAYS_OUT}", code="damaged-run")


def _refuse_occupied(path: Path) -> None:
    """A run begins in a new folder, an empty one, or one where a killed `create` has left its pieces."""
    if not path.exists():
        return
    if not path.is_dir():
        raise RunError(
            f"{path} is a file, and a run needs a folder of its own; choose another with --out",
            code="folder-occupied",
        )
    names = {entry.name.removesuffix(durable.TEMPORARY) for entry in path.iterdir()}
    pieces = {LOCK, HOLDER, *FOLDERS, RECIPE, PLAN, METRICS, MANIFEST}
    begun = LOCK in names and names <= pieces and not (path / MANIFEST).exists()
    saved = any(any((path / folder).glob("*")) for folder in ("model", "state", "samples"))
    if names and (not begun or saved):
        raise RunError(
            f"{path} exists and is not empty; choose another folder with --out OTHER, "
            f"or go on with the run in it: --resume {path}",
            code="folder-occupied",
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of the folder, and say in a file beside it who does."""
    lock, holder = FileLock(path / LOCK), path / HOLDER
    with _explained(path):
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = "another process"
            with suppress(OSError, ValueError, KeyError, TypeError):
                found = json.loads(holder.read_text(encoding="utf-8"))
                who = f"process {found['pid']} on {found['host']}"
            raise RunError(
                f"{path} is in use: {who} trains there; wait for it, or choose another folder with --out",
                code="run-locked",
            ) from None
    try:
        with _explained(path):
            holder.unlink(missing_ok=True)
            with holder.open(
                "x", encoding="utf-8"
            ) as file:  # "x" follows no link that was planted there
                json.dump({"pid": os.getpid(), "host": socket.gethostname()}, file)
        yield
    finally:
        with suppress(OSError):
            holder.unlink()
        lock.release()


@contextmanager
def _explained(path: Path, needed: int = 0) -> Iterator[None]:
    """Turn the system's refusal to write into a sentence."""
    try:
        yield
    except OSError as error:
        raise durable.explain(error, path, needed) from error
