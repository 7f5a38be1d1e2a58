"""Data sets of the Hugging Face Hub, `hf:OWNER/NAME[:split]`, and of folders that its library knows, `hf:FOLDER`.

The library fetches them, and says in which files of Arrow they lie; those are read like any other files.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from genwright.data.arrow import trust
from genwright.errors import DataError, missing_extra, suggest

__all__ = ["PREFIX", "fetched"]

PREFIX = "hf:"
USUAL = "train"
"""The split that is taken unless another is named: genwright holds out a part of it by itself."""


def fetched(address: str) -> tuple[list[Path], str]:
    """The files of Arrow of a data set, and its name. Raises `DataError` where there is none such."""
    path, split = address.removeprefix(PREFIX), ""
    if not Path(path).expanduser().exists() and ":" in path:
        path, _, split = path.rpartition(":")
    folder = Path(path).expanduser()
    if (folder / "state.json").is_file() or (folder / "dataset_dict.json").is_file():
        found = _saved(folder, split)
    else:
        if folder.is_dir():
            trust(folder)
        found = _loaded(str(folder) if folder.exists() else path, split)
    return found, folder.resolve().name


def _saved(folder: Path, split: str) -> list[Path]:
    """Of what `save_to_disk` wrote, which the library is not needed for."""
    try:
        if (folder / "dataset_dict.json").is_file():
            splits = json.loads((folder / "dataset_dict.json").read_text())["splits"]
            folder = folder / _chosen(str(folder), {name: name for name in splits}, split)
        elif split:
            raise DataError(f"{folder} has no splits: name it without :{split}", code="no-such-split")
        files = json.loads((folder / "state.json").read_text())["_data_files"]
        return [folder / Path(one["filename"]).name for one in files]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(
            f"{folder} is no whole data set that `save_to_disk` wrote ({error}): save it anew",
            code="damaged-file",
        ) from None


def _loaded(path: str, split: str) -> list[Path]:
    """Of what the library reads or fetches."""
    os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    try:
        import datasets
    except ImportError:
        raise missing_extra(f"reading {PREFIX}{path}", "datasets", "hf") from None
    trust(Path(datasets.config.HF_CACHE_HOME))
    try:
        found: Mapping[str, Any] = datasets.load_dataset(path)
    except ConnectionError as error:
        raise DataError(
            f"{PREFIX}{path} cannot be fetched, since the Hub is not reached ({_said(error)}): try again with a "
            f"network, or name a folder that `save_to_disk` wrote",
            code="no-network",
        ) from None
    except Exception as error:  # of whatever reads that kind of data
        raise DataError(
            f"{PREFIX}{path} is no data set that can be loaded: {_said(error)}", code="no-such-dataset"
        ) from None
    chosen = _chosen(PREFIX + path, found, split)
    return [Path(one["filename"]) for one in chosen.cache_files]


def _chosen(where: str, splits: Mapping[str, Any], split: str) -> Any:
    """A split by its name. Raises `DataError` for one that is not there."""
    names: Sequence[str] = list(splits)
    wanted = split or (USUAL if USUAL in names else names[0])
    if wanted not in names:
        raise DataError(f"{where} has no split {split!r}; {suggest(split, names)}", code="no-such-split")
    return splits[wanted]


def _said(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
