"""From a path, or a built-in name, to files of one modality.

Nothing is fetched, extracted or guessed beyond the suffix and the first line of a file; hidden files
are passed over, links to folders are not followed.
"""

from __future__ import annotations

import gzip
import json
import os
from collections import Counter
from pathlib import Path

from genwright.data.cache import cache_home
from genwright.data.codec import Codec, Source
from genwright.data.labels import SIDECARS
from genwright.errors import DataError, closest_name
from genwright.registry import names, resolve

__all__ = ["BUILTIN", "find"]

BUILTIN = {
    "digits": "1,797 handwritten digits, 8 x 8, grey, with `label` (UCI, shipped by scikit-learn)"
}
ASIDE = ("readme", "license", "licence", "copying", "manifest.json", "sheet.png", "sounds.html")


def find(path: str | Path, codec: str = "auto") -> Source:
    """The files under `path` and the codec that reads them.

    Raises `DataError`: no such path, an empty folder, no usable file, a mix of modalities.
    """
    if str(path) in BUILTIN and not Path(path).exists():
        return Source(_digits(), (_digits(),), "image", str(path))
    root = Path(path).expanduser()
    if not str(path):
        raise DataError(
            "no data was named: give a file, a folder or a built-in name (digits), "
            "or set data.path in the recipe"
        )
    if not root.exists():
        raise DataError(f"there is no file or folder at {root}; {_nearest(root)}")
    name = root.name.split(".")[0] or root.resolve().name
    if root.is_file():
        fits = _fitting(root)
        if codec == "auto" and not fits:
            raise DataError(f"{root} is of no kind that is read here: {_readable()}")
        return Source(root, (root,), fits[0] if codec == "auto" else codec, name)
    if not root.is_dir():
        raise DataError(f"{root} is neither a file nor a folder: name one of these")
    return _folder(root, codec, name)


def _folder(root: Path, codec: str, name: str) -> Source:
    if (root / "MANIFEST.json").is_file():
        raise DataError(
            f"{root} is a run and no data: go on with it by --resume {root}, "
            f"or name the data (a folder of its samples may be that)"
        )
    files = _walk(root)
    if not files:
        raise DataError(f"the folder {root} is empty: put the files to learn from in it")
    if codec != "auto":
        reads: type[Codec] = resolve("codecs", codec)
        usable = [f for f in files if _suffix(f) in reads.reads and f.name not in SIDECARS]
        if not usable:
            raise DataError(
                f"none of the {len(files)} files in {root} is {' '.join(reads.reads)}: "
                f"leave codec.name away, or name other data"
            )
        return Source(root, tuple(usable), codec, name)
    kinds: dict[Path, str] = {}
    for file in files:
        fits = _fitting(file)
        if fits and not file.name.lower().startswith(ASIDE):
            kinds[file] = fits[0]
    counts = Counter(kinds.values())
    if {"image", "audio"} & counts.keys():  # a table beside pictures or sounds may say what they are
        for file in list(kinds):
            if file.name in SIDECARS and file.parent == root:
                del kinds[file]
        counts = Counter(kinds.values())
    if not counts:
        raise DataError(f"none of the {len(files)} files in {root} can be used: {_readable()}")
    if len(counts) > 1:
        mix = " and ".join(f"{count} {kind}" for kind, count in counts.most_common())
        raise DataError(
            f"{root} holds a mix of {mix} files: name a folder of one kind, "
            f"or choose one with --set codec.name={counts.most_common()[0][0]}"
        )
    return Source(root, tuple(kinds), next(iter(counts)), name)


def _nearest(missing: Path) -> str:
    """What may have been meant: a neighbour, or data that is built in."""
    while not missing.parent.is_dir():
        missing = missing.parent
    folder = missing.parent
    neighbours = os.listdir(folder) if os.access(folder, os.R_OK) else []
    known = [*neighbours, *(BUILTIN if folder == Path() else ())]
    near = closest_name(missing.name, known, least=0.8)  # a suffix alone makes much alike
    if near is None:
        return f"name a file, a folder, or what is built in ({', '.join(BUILTIN)})"
    return f"did you mean {near if near in BUILTIN else folder / near}?"


def _walk(root: Path) -> list[Path]:
    """All files below `root`, in a fixed order, without hidden ones."""
    found = []
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "__MACOSX")))
        found += [Path(folder) / f for f in sorted(files) if not f.startswith(".")]
    return found


def _unreadable(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}")


def _suffix(file: Path) -> str:
    """Lower case; `.csv.gz` counts as one."""
    tail = [s.lower() for s in file.suffixes[-2:]]
    return "".join(tail) if tail and tail[-1] == ".gz" else tail[-1] if tail else ""


def _fitting(file: Path) -> list[str]:
    """The codecs that read such a file, the likeliest first."""
    fits = [name for name in names("codecs") if _suffix(file) in resolve("codecs", name).reads]
    if len(fits) > 1 and ".jsonl" in _suffix(file) and _holds_text(file):
        fits.sort(key=lambda name: name != "text")
    return fits


def _holds_text(file: Path) -> bool:
    """Whether the first record of a JSON lines file is a text with at most some labels beside it."""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as stream:
            record = json.loads(stream.readline(1 << 20))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and isinstance(record.get("text"), str)


def _readable() -> str:
    return "; ".join(
        f"{name} reads {' '.join(resolve('codecs', name).reads)}" for name in names("codecs")
    )


def _digits() -> Path:
    """scikit-learn's digits as a file like any other."""
    path = cache_home() / "builtin" / "digits.npz"
    if not path.exists():
        import numpy as np
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}.npz")
        np.savez_compressed(partial, images=images, label=digits.target.astype(np.int64))
        partial.replace(path)
    return path
