"""The manifest of a run folder: which of its files are true, and what each of them must be.

It names every file that a run needs, with size and hash, and the length of the log that belongs to
the last save; it carries a hash of itself. It may be damaged, or made by a stranger; so only the
names, types and bounds that a save writes are let through, and no name leads out of the folder.
"""

from __future__ import annotations

import json
import math
import platform
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from genwright.errors import RunError
from genwright.storage import durable
from genwright.storage.durable import Digest

__all__ = [
    "BRIDGE",
    "CALIBRATION",
    "CODEC",
    "FIXED",
    "FORMAT",
    "MANIFEST",
    "METRICS",
    "OURS",
    "PLAN",
    "RECIPE",
    "WAYS_OUT",
    "Manifest",
    "compare",
    "encode",
    "model_file",
    "numbers",
    "reading",
    "seal",
    "state_files",
    "versions",
    "words",
]

FORMAT = 2
"""Of what is written; all from 1 on are read. In 2 networks and buffers of families have other names.

A run that goes on is of the newest format, and what it wrote when it began is of an older one: so the
manifest says which (`begun`), and every file of tensors says its own."""
CAP = 1 << 20

MANIFEST, METRICS = "MANIFEST.json", "metrics.jsonl"
RECIPE, PLAN, CODEC = FIXED = ("recipe.json", "plan.txt", "codec/state.json")
BRIDGE = "codec/bridge.safetensors"
"""As fixed as those, where a bridge has tensors to keep."""
CALIBRATION = "calibration.json"
"""Of the weights that are kept, where there is one; the next save ends it."""

# The only files that are ever deleted: saves, by their names, and our own temporary files.
OURS = re.compile(
    r"(?:MANIFEST\.json|recipe\.json|plan\.txt|codec/state\.json|codec/bridge\.safetensors|metrics\.jsonl)\.tmp"
    r"|calibration\.json(?:\.tmp)?|model/\d{6,}\.safetensors(?:\.tmp)?|state/\d{6,}\.(?:safetensors|json)(?:\.tmp)?"
)
WAYS_OUT = "restore it from a copy, or train anew in another folder with --out"


def model_file(step: int) -> str:
    return f"model/{step:06d}.safetensors"


def state_files(step: int) -> tuple[str, str]:
    """The tensors, and the JSON beside them."""
    return f"state/{step:06d}.safetensors", f"state/{step:06d}.json"


@dataclass(frozen=True)
class Manifest:
    """The last step (0: none yet), the best one, and what every file must be.

    `metrics` is the beginning of the log that the last save has seen; more may follow it. `begun` is the
    format that recipe, plan and codec state were written in.
    """

    step: int
    best: int | None
    files: dict[str, Digest]
    metrics: Digest
    versions: dict[str, str]
    begun: int = FORMAT

    @classmethod
    def read(cls, folder: Path) -> Manifest:
        """The manifest as it stands in the folder. Raises `RunError` where there is no sound one."""
        file = folder / MANIFEST
        with reading(folder, MANIFEST):
            if not file.is_file():
                raise RunError(
                    f"{folder} is not a run: it has no {MANIFEST}; name a folder that train has made",
                    code="no-run",
                )
            with file.open("rb") as opened:
                data = opened.read(CAP + 1)
        try:
            if len(data) > CAP:
                raise ValueError("it is too large")
            return cls._parse(folder, json.loads(data))
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise RunError(
                f"{MANIFEST} in {folder} is damaged ({error}); {WAYS_OUT}", code="damaged-run"
            ) from error

    @classmethod
    def _parse(cls, folder: Path, raw: Any) -> Manifest:
        if not _counts(raw["format"]):
            raise ValueError("its format is no number")
        if raw["format"] > FORMAT:
            raise RunError(
                f"{folder} has format {raw['format']}, and this genwright reads up to {FORMAT}; "
                f"update it with: pip install -U genwright",
                code="newer-format",
            )
        if raw != seal(raw):
            raise ValueError("its own hash differs")
        step, best = raw["step"], raw["best"]
        if not _counts(step) or not (best is None or (_counts(best) and 1 <= best <= step)):
            raise ValueError("its steps make no sense")
        files = {name: _parse_digest(entry) for name, entry in raw["files"].items()}
        named = {*FIXED, *((model_file(step), *state_files(step)) if step else ())}
        if files.keys() - {BRIDGE, CALIBRATION} != named | ({model_file(best)} if best else set()):
            raise ValueError("it does not list the files of a run")
        made_with = {str(name): str(value) for name, value in raw["versions"].items()}
        begun = raw["begun"] if raw["format"] > 1 else 1
        if not _counts(begun) or not 1 <= begun <= raw["format"]:
            raise ValueError("the format that it was begun with makes no sense")
        return cls(step, best, files, _parse_digest(raw["metrics"]), made_with, begun)

    def write(self, folder: Path) -> None:
        durable.write(folder / MANIFEST, encode(seal({"format": FORMAT, **asdict(self)})))

    def verify(self, folder: Path) -> None:
        """Every file must be what was saved. Raises `RunError` naming the first that is not."""
        for name, wanted in self.files.items():
            with reading(folder, name):
                compare(folder, name, wanted, durable.digest(folder / name, wanted.size + 1))
        with reading(folder, METRICS):
            compare(folder, METRICS, self.metrics, durable.digest(folder / METRICS, self.metrics.size))


def seal(raw: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the hash of all else in it, so that no byte of a run goes unwatched."""
    content = {name: value for name, value in raw.items() if name != "sha256"}
    return {**content, "sha256": durable.digest_of(encode(content)).sha256}


def compare(folder: Path, name: str, wanted: Digest, found: Digest) -> None:
    if found == wanted:
        return
    change = (
        "is shorter"
        if found.size < wanted.size
        else "is longer"
        if found.size > wanted.size
        else "differs"
    )
    raise RunError(
        f"{name} in {folder} is damaged: it {change} from what was saved; {WAYS_OUT}", code="damaged-run"
    )


@contextmanager
def reading(folder: Path, name: str) -> Iterator[None]:
    """Turn the system's refusal to read a file into a sentence."""
    try:
        yield
    except FileNotFoundError as error:
        raise RunError(f"{name} is missing in {folder}; {WAYS_OUT}", code="damaged-run") from error
    except OSError as error:
        raise RunError(
            f"{name} in {folder} cannot be read ({durable.reason(error)}); {WAYS_OUT}",
            code="not-readable",
        ) from error


@cache
def _installed() -> tuple[tuple[str, str], ...]:
    packages = tuple((name, version(name)) for name in ("genwright", "torch", "numpy", "safetensors"))
    return (
        *packages,
        ("python", platform.python_version()),
        ("system", f"{sys.platform}-{platform.machine()}"),
    )


def versions() -> dict[str, str]:
    """What a save is made with, for a warning where a resume meets something else."""
    return dict(_installed())


def encode(value: Mapping[str, Any]) -> bytes:
    """JSON in ASCII, so that any name (also one that is no UTF-8) is held; NaN raises `ValueError`."""
    return json.dumps(value, allow_nan=False, indent=1).encode() + b"\n"


def words(value: Any) -> Any:
    """The same with "nan", "inf" and "-inf" for the floats that JSON does not have."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    if isinstance(value, Mapping):
        return {key: words(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [words(item) for item in value]
    return value


def numbers(value: Any) -> Any:
    """The inverse of `words`."""
    if value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items()}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def _counts(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _parse_digest(raw: Any) -> Digest:
    digest = Digest(raw["sha256"], raw["size"])
    if not _counts(digest.size) or not re.fullmatch("[0-9a-f]{64}", digest.sha256):
        raise ValueError("a size or hash in it makes no sense")
    return digest
