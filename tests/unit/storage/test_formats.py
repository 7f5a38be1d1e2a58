"""Runs of older formats load, sample and go on.

`tests/data/runs/format-1` was trained by the code of commit be7f755, and `expected.json` beside it says what
that code made of it: samples of the last weights, and the losses of the last step where training was not cut.
"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from genwright import api
from genwright.errors import RunError
from genwright.storage import durable, manifest, run
from genwright.storage.manifest import FORMAT, seal
from genwright.storage.run import Run
from genwright.storage.tensors import header, pack, unpack
from snippets import ROOT

OLD = ROOT / "tests/data/runs/format-1"
EXPECTED: dict[str, Any] = json.loads((OLD / "expected.json").read_text(encoding="utf-8"))
every_run = pytest.mark.parametrize("name", EXPECTED)


@pytest.fixture(autouse=True)
def _there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy, beside its data."""
    shutil.copytree(OLD, tmp_path / "old")
    monkeypatch.chdir(tmp_path / "old")


@every_run
def test_a_run_of_format_1_makes_what_it_made(name: str) -> None:
    assert Run.open(name).begun_format == 1
    made = api.load(name, which="last", device="cpu").sample(3, EXPECTED[name]["given"], seed=1).examples
    for one, then in zip(rows(made), EXPECTED[name]["samples"], strict=True):
        assert numbers(one) == pytest.approx(numbers(then), abs=1.01 if name == "digits-vae" else 0.03)
    assert not np.array_equal(rows(made)[0], rows(made)[2])  # by what is given


def rows(made: Any) -> list[Any]:
    return made.values.tolist() if hasattr(made, "values") else [one.tolist() for one in made]


def numbers(value: Any) -> list[float]:
    """Those in an example, in order."""
    if isinstance(value, list):
        return [number for one in value for number in numbers(one)]
    try:
        return [float(value)]
    except ValueError:
        return []  # a class


@every_run
def test_a_run_of_format_1_goes_on_as_it_would_have(name: str) -> None:
    api.train(resume=name)
    found = Run.open(name)
    assert found.step == 44
    last = {
        key: value for record in found.metrics() if record["step"] == 44 for key, value in record.items()
    }
    for term, value in EXPECTED[name]["losses"].items():
        assert last[term] == pytest.approx(value, rel=1e-4, abs=1e-5), term
    assert not found.alarms()
    raw = json.loads((Path(name) / "MANIFEST.json").read_text())
    assert (raw["format"], found.begun_format) == (FORMAT, 1)
    for which in ("last", *(["best"] if found.best else [])):
        assert len(api.load(name, which=which).sample(2).examples) == 2


def test_the_best_weights_of_format_1_are_read_beside_newer_ones() -> None:
    """Each file of weights says its own format."""
    one = Run.open("digits-vae")
    with one.lock():
        meta = one.training_state()[1]
        one.save(41, {"first.stepped": torch.ones(1)}, {}, meta)
    again = Run.open("digits-vae")
    assert again.best == 22
    assert "first.stepped" in again.weights("last")  # of today, as it is
    assert again.weights("best").keys() == one.weights("best").keys()


def test_weights_and_what_is_kept_of_them_take_the_names_of_today(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = "tell.project.a/stepped b.stepped"  # a person's own name of a condition may hold anything but a dot
    with monkeypatch.context() as patch:
        for module in (manifest, run):
            patch.setattr(module, "FORMAT", 1)
        begun = Run.create(
            tmp_path / "run", recipe={}, plan="", codec={}, bridge={"b.stepped": torch.ones(1)}
        )
        with begun.lock():
            state = {f"family/{old}": torch.ones(1), f"optimizer/stepped/{old}/stepped": torch.ones(1)}
            begun.save(1, {old: torch.zeros(1)}, state, {})
    raw = json.loads((begun.path / "MANIFEST.json").read_text())
    del raw["begun"]  # as it was
    (begun.path / "MANIFEST.json").write_text(json.dumps(seal(raw)))
    found = Run.open(begun.path)
    (weight,) = found.weights()
    assert weight.endswith(".is_discrete")
    assert "a/stepped b" in weight
    assert found.training_state()[0].keys() == {
        f"family/{weight}",
        f"optimizer/stepped/{weight}/stepped",
    }
    assert found.bridge_tensors.keys() == {"b.is_discrete"}


def test_a_file_of_no_format_is_refused_even_where_the_manifest_vouches_for_it() -> None:
    name = "model/000040.safetensors"
    file = Path("wine-gan") / name
    data = file.read_bytes()
    assert header(data)["format"] == "genwright/1"
    file.write_bytes(b"".join(pack(unpack(data), {"format": "genwright/one"})))
    raw = json.loads(Path("wine-gan/MANIFEST.json").read_text())
    raw["files"][name] = vars(durable.digest(file))
    Path("wine-gan/MANIFEST.json").write_text(json.dumps(seal(raw)))
    with pytest.raises(RunError, match=f"{name} in wine-gan is damaged") as error:
        Run.open("wine-gan").weights()
    assert error.value.code == "damaged-run"
