"""From a path, or a built-in name, to files of one modality.

Nothing is fetched or extracted; the registered codecs say how sure they are of the files (`Codec.sniff`),
and the surest one is taken. Hidden files are passed over, links to folders are not followed. An archive is the
folder that was packed into it, and may be one in a longer path: `photos.zip/train`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

from genwright.data.arrow import ARROW
from genwright.data.cache import MEMORY, cache_home, kept_file
from genwright.data.codec import Codec, Source
from genwright.data.hub import PREFIX, fetched
from genwright.data.member import Member, contents, is_archive
from genwright.data.packed import suffix
from genwright.data.provenance import BESIDE
from genwright.data.shards import is_shard
from genwright.data.table.sql import Address, placed
from genwright.errors import MANY, DataError, closest_name
from genwright.registry import names, resolve

__all__ = ["BUILTIN", "find"]

BUILTIN = {
    "digits": "1,797 handwritten digits, 8 x 8, grey, with `label` (UCI, shipped by scikit-learn)"
}
NEARLY_ALL = 0.9
"""Of the files in a folder: what so many are is its kind, and the others lie beside it."""
ASIDE = ("readme", "license", "licence", "copying", "manifest.json")
"""Beginnings of names of what lies beside data of any kind."""


def find(path: str | Path, codec: str = "auto") -> Source:
    """The files under `path` and the codec that reads them.

    Raises `DataError`: no such path, an empty folder, no usable file, a mix of modalities.
    """
    if str(path) in BUILTIN and not Path(path).exists():
        return Source(_digits(), (_digits(),), "image", str(path))
    if str(path).startswith(f"{MEMORY}:"):
        return _from_memory(str(path), codec)
    if (database := placed(str(path))) is not None:
        if isinstance(database, Address):
            return Source(
                database, (database,), "table", re.sub(r"\W.*", "", database.name) or "database"
            )
        path, codec = database, "table"
    if str(path).startswith(PREFIX) and not Path(path).exists():
        return _fetched(str(path), codec)
    root = _placed(Path(path).expanduser())
    if not str(path):
        raise DataError(
            "no data was named: give a file, a folder or a built-in name (digits), "
            "or set data.path in the recipe",
            code="no-data-named",
        )
    if not root.exists():
        raise DataError(f"there is no file or folder at {root}; {_nearest(root)}", code="no-such-path")
    name = root.name.split(".")[0] or root.resolve().name
    if isinstance(root, Member) and root.is_dir():
        return _packed(root, codec, name)
    if root.is_file():
        if codec == "auto" and not (codec := _surest([root])):
            way = _OBJECTS if suffix(root) == ".json" else _WAYS.get(suffix(root))
            raise DataError(
                f"{root} is of no kind that is read here: {way or _readable()}", code="no-usable-files"
            )
        return Source(root, (root,), codec, name)
    if not root.is_dir():
        raise DataError(f"{root} is neither a file nor a folder: name one of these", code="no-such-path")
    return _folder(root, codec, name)


_WAYS = {
    suffix: way
    for way, suffixes in (
        (
            "load it with what wrote it, and hand its arrays to genwright.train",
            ".pt .pth .pkl .pickle .joblib .safetensors .h5 .hdf5 .mat .rds",
        ),
        ("save its text as .txt", ".pdf .docx .doc .odt .rtf .epub .html .htm"),
        ("save its frames as pictures, or its sound as .wav", ".mp4 .mov .avi .mkv .webm"),
        ("save it as .wav", ".m4a .aac .opus .wma .amr .aiff .aif .caf .ape"),
        ("export it as .csv", ".dta .sav .sas7bdat .xpt .feather .orc .avro .xml"),
        ("save it as .png", ".tif .tiff .psd .heic .svg .dcm .nii .cr2"),
    )
    for suffix in suffixes.split()
}
"""The way out for files of other kinds, by their names alone: none of them is opened."""


_OBJECTS = "write its examples as a list of objects, [{...}, {...}], or one a line into a .jsonl"
"""For a .json by itself; beside other files it often says something about them."""


def _placed(path: Path) -> Path:
    """The same path, through an archive if it is or leads into one."""
    through = Member(path)
    if path.exists():
        packed = path.is_file() and is_archive(path) and suffix(path) != ARROW
        return through if packed and not is_shard(path) else path
    return through if through.leads_into_archive else path


def _fetched(address: str, codec: str) -> Source:
    files, name = fetched(address)
    chosen = codec if codec != "auto" else _surest(files)
    if not chosen:
        raise DataError(
            f"{address} is of no kind that is read here: {_readable()}", code="no-usable-files"
        )
    return Source(Path(os.path.commonpath([file.parent for file in files])), tuple(files), chosen, name)


def _packed(root: Member, codec: str, name: str) -> Source:
    """The files in an archive, below the folder that all of them lie in, which says nothing."""
    own = _examples(_walk(root)) or [root]
    top = Path(os.path.commonpath([file.parent for file in own])) if own != [root] else root
    found = _folder(Member(top), codec, name)
    return replace(found, rejected=contents(root.archive).rejected)


def _from_memory(path: str, codec: str) -> Source:
    """What was given from memory before."""
    file = kept_file(path)
    if not file.is_file():
        raise DataError(
            f"the examples that were given from memory lie no longer in the cache ({file}): give them again, by "
            f"train(data, resume=RUN), load(RUN, data=data) or look(data)",
            code="no-longer-kept",
        )
    return Source(file, (file,), codec if codec != "auto" else _surest([file]), file.stem)


def _folder(root: Path, codec: str, name: str) -> Source:
    if (root / "MANIFEST.json").is_file():
        raise DataError(
            f"{root} is a run and no data: go on with it by --resume {root}, "
            f"or name the data (a folder of its samples may be that)",
            code="run-is-no-data",
        )
    files = _walk(root)
    if not files:
        raise DataError(
            f"the folder {root} is empty: put the files to learn from in it", code="empty-folder"
        )
    chosen = codec if codec != "auto" else _of_folder(root, files)
    reads: type[Codec] = resolve("codecs", chosen)
    usable = reads.own(files if codec != "auto" else _examples(files))
    if not usable:
        raise DataError(
            f"none of the {len(files)} files in {root} is {reads.suffixes()}: "
            f"leave codec.name away, or name other data",
            code="no-usable-files",
        )
    own = {*usable}
    aside = [f for f in _examples(files) if f not in own and not reads.accompanies(f, usable)]
    return Source(root, tuple(usable), chosen, name, aside=tuple(aside), notes=_unread(aside))


def _unread(files: Sequence[Path]) -> tuple[str, ...]:
    """Of files with data that nothing here reads, a sentence for each way out."""
    found: dict[str, list[str]] = {}
    for file in files:
        if way := _WAYS.get(suffix(file)):
            found.setdefault(way, []).append(file.name)
    return tuple(
        f"{names[0]} is not read{f' ({len(names):,} such files)' if len(names) > 1 else ''}: {way}"
        for way, names in found.items()
    )


def _of_folder(root: Path, files: Sequence[Path]) -> str:
    """The codec that is surest of the files in a folder. Raises `DataError` where none reads all that any does."""
    examples = _examples(files)
    if codec := _surest(examples):
        return codec
    own = {file for name in names("codecs") for file in resolve("codecs", name).own(examples)}
    usable = [file for file in examples if file in own]
    if not usable:
        raise DataError(
            f"none of the {len(files)} files in {root} can be used: {'; '.join(_unread(files)) or _readable()}",
            code="no-usable-files",
        )
    if codec := _surest(usable):
        return codec
    counts = Counter(_surest([file]) for file in usable)
    kind, most = counts.most_common(1)[0]
    if kind and most >= NEARLY_ALL * len(usable):
        return kind
    mix = " and ".join(f"{count} {kind or 'unknown'}" for kind, count in counts.most_common())
    raise DataError(
        f"{root} holds a mix of {mix} files: name a folder of one kind, "
        f"or choose one with --set codec.name={counts.most_common()[0][0]}",
        code="mixed-kinds",
    )


def _examples(files: Sequence[Path]) -> list[Path]:
    """Without what lies beside data of any kind."""
    return [file for file in files if not file.name.lower().startswith(ASIDE)]


def _surest(files: Sequence[Path]) -> str:
    """The codec that is surest that it reads all these files; the first of several; "" where none is sure at
    all."""
    sure = {name: resolve("codecs", name).sniff(files) for name in names("codecs")}
    found = max(sure, key=sure.__getitem__)
    return found if sure[found] > 0 else ""


def _nearest(missing: Path) -> str:
    """What may have been meant: a neighbour, or data that is built in."""
    while not missing.parent.is_dir():
        missing = missing.parent
    folder = missing.parent
    seen = isinstance(folder, Member) or os.access(folder, os.R_OK)
    neighbours = [other.name for other in folder.iterdir()] if seen else []
    known = [*neighbours, *(BUILTIN if folder == Path() else ())]
    near = closest_name(missing.name, known, least=0.8)  # a suffix alone makes much alike
    if near is None and isinstance(folder, Member):
        return f"there is {', '.join(sorted(neighbours)[:MANY])} in it"
    if near is None:
        return f"name a file, a folder, or what is built in ({', '.join(BUILTIN)})"
    return f"did you mean {near if near in BUILTIN else folder / near}?"


def _walk(root: Path) -> Sequence[Path]:
    """All files below `root`, in a fixed order, without hidden ones and what says that others are synthetic."""
    if isinstance(root, Member):
        return [file for file in root.members if file.name != BESIDE]
    found = []
    for folder, folders, files in os.walk(root, onerror=_unreadable):
        folders[:] = sorted(d for d in folders if not d.startswith((".", "__MACOSX")))
        found += [Path(folder) / f for f in sorted(files) if not f.startswith(".") and f != BESIDE]
    return found


def _unreadable(error: OSError) -> None:
    raise DataError(f"the folder {error.filename} cannot be read: {error.strerror}", code="unreadable")


def _readable() -> str:
    kinds = "; ".join(f"{name} reads {resolve('codecs', name).suffixes()}" for name in names("codecs"))
    return f"{kinds}; all that in a .zip or .tar too, if it is named by itself"


def _digits() -> Path:
    """scikit-learn's digits as a file like any other."""
    path = cache_home() / "builtin" / "digits.npz"
    if not path.exists():
        import numpy as np

        package = find_spec("sklearn")  # to import it takes seconds
        if package is None or package.origin is None:
            raise ModuleNotFoundError("scikit-learn")
        file = Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
        table = np.loadtxt(file, delimiter=",")
        images = np.rint(table[:, :-1].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{os.getpid()}.npz")
        np.savez_compressed(partial, images=images, label=table[:, -1].astype(np.int64))
        partial.replace(path)
    return path
