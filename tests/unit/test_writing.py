"""Samples to files as they come: the same as all at once, in flat memory, whole whenever it ends."""

from __future__ import annotations

import csv
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

import genwright
from commands import call, done, pictures, refused
from genwright import writing
from genwright.writing import SampleWriter

SMALL = {"size": "xs", "steps": 2, "settings": ["train.checks=1", "train.samples=2"]}


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on a table with an identifier, a number, a category."""
    folder = tmp_path_factory.mktemp("people")
    with (folder / "people.csv").open("w", newline="") as file:
        out = csv.writer(file)
        out.writerow(["id", "height", "kind"])
        out.writerows([f"P{i:05d}", 150 + i % 37, "abc"[i % 3]] for i in range(300))
    genwright.train(folder / "people.csv", family="autoregressive", out=folder / "run", **SMALL)
    return folder / "run"


def test_parts_are_the_whole(people: Path, tmp_path: Path) -> None:
    model = genwright.load(people, device="cpu")
    whole = model.sample(70, seed=1, chunk=16)
    assert whole.examples["id"].is_unique
    whole.write(tmp_path / "whole")
    with SampleWriter(tmp_path / "parts", 70) as out:
        sizes = [out.add(part) or len(part) for part in model.stream(70, seed=1, chunk=16)]
    assert sizes == [16, 16, 16, 16, 6]
    for name in ("samples.csv", "synthetic.json"):
        assert (tmp_path / "parts" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    begun = model.sample(32, seed=1, chunk=16).examples
    assert begun.equals(whole.examples.iloc[:32])


def test_the_number_of_threads_changes_no_byte(people: Path) -> None:
    model, before = genwright.load(people, device="cpu"), torch.get_num_threads()
    made = []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        made.append(model.sample(100, seed=1, chunk=16).examples)
    torch.set_num_threads(before)
    assert made[0].equals(made[1])


def test_what_is_made_when_it_is_stopped_stays(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = SampleWriter.add

    def add(self: SampleWriter, samples: genwright.model.Samples) -> None:
        if self.written == 32:
            signal.raise_signal(signal.SIGINT)
        plain(self, samples)

    monkeypatch.setattr(SampleWriter, "add", add)
    before = signal.getsignal(signal.SIGINT)
    for form in ("csv", "parquet"):
        out = tmp_path / form
        asked = ("-n", "500", "--set", "chunk=16", "--format", form)
        said = call("sample", people, *asked, "--out", out)
        assert said.code == 130
        assert "Made 48 of 500" in said.out
        read = pd.read_csv if form == "csv" else pd.read_parquet
        assert len(read(out / f"samples.{form}")) == 48
    assert signal.getsignal(signal.SIGINT) is before


def test_a_table_in_another_format(people: Path, tmp_path: Path) -> None:
    for form in ("csv", "parquet"):
        done("sample", people, "-n", "20", "--format", form, "--out", tmp_path / form)
    text, typed = (
        pd.read_csv(tmp_path / "csv/samples.csv"),
        pd.read_parquet(tmp_path / "parquet/samples.parquet"),
    )
    assert typed["height"].dtype == np.int64
    assert text["height"].tolist() == typed["height"].tolist()
    assert text["kind"].tolist() == typed["kind"].tolist()
    refused(
        "sample", people, "--format", "xls", "--out", tmp_path / "x", words=["csv or parquet", "'xls'"]
    )


def test_many_pictures_go_to_folders_of_some(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "PART", 16)
    genwright.train(pictures(tmp_path / "in", 30), family="vae", out=tmp_path / "run", **SMALL)
    done("sample", tmp_path / "run", "-n", "40", "--set", "chunk=8", "--out", tmp_path / "out")
    found = {p.name: len([*p.glob("0*.png")]) for p in sorted((tmp_path / "out").iterdir())}
    assert found == {"from-0000000": 16, "from-0000016": 16, "from-0000032": 8}
    done("sample", tmp_path / "run", "-n", "16", "--set", "chunk=8", "--out", tmp_path / "few")
    assert len([*(tmp_path / "few").glob("0*.png")]) == 16
