"""Molecules by the command line: compounds of the National Cancer Institute, which RDKit brings with it, are looked at,
learnt with a property, asked for and judged."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from commands import call, done, refused

pytestmark = pytest.mark.journey


def test_compounds_are_learnt_asked_for_and_judged(tmp_path: Path) -> None:
    from rdkit import Chem, RDConfig
    from rdkit.Chem.Crippen import MolLogP

    lines = (Path(RDConfig.RDDataDir) / "NCI/first_5K.smi").read_text().splitlines()[:800]
    file = tmp_path / "nci.csv"
    with file.open("w", newline="") as stream:
        rows = csv.writer(stream)
        rows.writerow(["compound", "logp"])
        for line in lines:
            molecule = Chem.MolFromSmiles(line.split()[0])
            rows.writerow([line.split()[0], "" if molecule is None else round(MolLogP(molecule), 2)])
    seen = done("look", file).out
    assert "molecules" in seen
    assert "logp" in seen

    run = tmp_path / "run"
    done("train", file, "--label", "logp", "--size", "xs", "--steps", "200", "--out", run)
    said = call(
        "sample", run, "-n", "10", "--given", "logp=2", "--drop", "invalid", "--out", tmp_path / "made"
    )
    assert said.code in (0, 3)  # all ten, or fewer after ten rounds
    assert "dropped" in said.out
    with (tmp_path / "made/molecules.csv").open() as stream:
        made = [row["smiles"] for row in csv.DictReader(stream)]
    assert 1 <= len(made) <= 10
    assert all(Chem.MolFromSmiles(one) is not None for one in made)
    assert (tmp_path / "made/molecules.png").stat().st_size > 1000
    done(
        "sample",
        run,
        "-n",
        "4",
        "--set",
        "prompt=c1ccccc1",
        "--given",
        "logp=2",
        "--out",
        tmp_path / "kept",
    )
    with (tmp_path / "kept/molecules.csv").open() as stream:
        kept = [Chem.MolFromSmiles(row["smiles"]) for row in csv.DictReader(stream)]
    ring = Chem.MolFromSmiles("c1ccccc1")
    assert all(one.HasSubstructMatch(ring) for one in kept if one is not None)
    refused("sample", run, "-n", "2", "--given", "logp=900", words=("logp", "900"))
    said = done("judge", run, "-n", "300").out
    for metric in ("valid_molecules", "new_molecules", "internal_diversity"):
        assert metric in said
