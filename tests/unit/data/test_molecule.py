"""Molecules: SMILES in lines, tables and SDF; two notations; what RDKit cannot read is named."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genwright.data.codec import Rejected, Rows
from genwright.data.dataset import make_codec
from genwright.data.molecule.chemistry import canonical, descriptor, randomised, scaffold
from genwright.data.molecule.codec import MoleculeCodec
from genwright.data.molecule.field import MoleculeField
from genwright.data.molecule.notation import AtomTokenizer, symbols
from genwright.data.source import find
from genwright.errors import DataError, GenwrightError

SMILES = [
    "CCO",
    "c1ccccc1",
    "CC(=O)O",
    "C[C@H](N)C(=O)O",
    "ClCCBr",
    "[O-][N+](=O)c1ccccc1",
    "C1CC1",
    "CC#N",
]


def read(path: Path, *given: str, **options: Any) -> tuple[list[str], list[Rejected], list[Rows]]:
    codec = make_codec("molecule", options)
    source = find(path, "molecule")
    every = codec.fields(source)
    chunks = list(codec.read(source, {name: every[name] for name in ("molecule", *given)}))
    values = [smiles for rows in chunks for smiles in rows.values["molecule"]]
    return values, [one for rows in chunks for one in rows.rejected], chunks


def fitted(smiles: list[str] = SMILES, **options: Any) -> MoleculeField:
    field = MoleculeField(**options)
    field.fit([str(canonical(one)) for one in smiles])
    field.settle()
    return field


# -- files -----------------------------------------------------------------------------------------


def test_lines_tables_and_sdf_give_the_same_molecules(tmp_path: Path) -> None:
    from rdkit import Chem

    (tmp_path / "a.smi").write_text("".join(f"{one} name{i}\n" for i, one in enumerate(SMILES)))
    with gzip.open(tmp_path / "b.csv.gz", "wt") as stream:
        stream.write("SMILES,logp\n" + "".join(f"{one},{i}\n" for i, one in enumerate(SMILES)))
    lines = [json.dumps({"structure": one, "logp": i}) for i, one in enumerate(SMILES)]
    (tmp_path / "c.jsonl").write_text("\n".join(lines))
    with Chem.SDWriter(str(tmp_path / "d.sdf")) as out:
        for i, one in enumerate(SMILES):
            molecule = Chem.MolFromSmiles(one)
            molecule.SetProp("logp", str(i))
            out.write(molecule)
    wanted = [canonical(one) for one in SMILES]
    assert read(tmp_path / "a.smi")[0] == wanted
    for name, options in (("b.csv.gz", {}), ("c.jsonl", {"column": "structure"}), ("d.sdf", {})):
        values, rejected, chunks = read(tmp_path / name, "logp", **options)
        assert (values, rejected) == (wanted, []), name
        assert [str(value) for value in chunks[0].values["logp"]] == list("01234567"), name


def test_what_is_no_molecule_is_named_and_the_others_are_read(tmp_path: Path) -> None:
    bad = ["C(", "c1cc", "C[Xx]C", "", "CN(C)(C)(C)C", "ethanol"]
    rows = [["smiles", "logp"], *([one, 1] for one in [*SMILES, *bad]), ["CCC", ""]]
    with (tmp_path / "some.csv").open("w", newline="") as stream:
        csv.writer(stream).writerows(rows)
    values, rejected, _ = read(tmp_path / "some.csv", "logp")
    assert len(values) == len(SMILES)
    assert len(rejected) == len(bad) + 1
    assert rejected[0].name == "some.csv entry 9"
    assert rejected[0].reason == "'C(' is no molecule that RDKit can read"
    assert rejected[-1].reason == "it has no 'logp'"


SDF = """
     RDKit          2D

  3  2  0  0  0  0  0  0  0  0999 V2000
    0.0000    0.0000    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
    1.2990    0.7500    0.0000 C   0  0  0  0  0  0  0  0  0  0  0  0
    2.5981   -0.0000    0.0000 O   0  0  0  0  0  0  0  0  0  0  0  0
  1  2  1  0
  2  3  1  0
M  END
$$$$
"""
BROKEN = {
    "cut.csv.gz": gzip.compress(b"smiles\nCCO\n" * 500)[:-20],
    "empty.csv": b"",
    "head.csv": b"smiles,logp\n",
    "other.csv": b"age,city\n3,Ulm\n",
    "zeros.sdf": b"\0" * 100,
    "text.sdf": b"Dear all,\nhow are you?\n$$$$\n",
    "empty.smi": b"",
    "blank.smi": b"\n\n\n",
    "zeros.smi": b"CCO\n\0\0\0\n",
    "wide.smi": "CCO\nCCN\n".encode("utf-16"),
    "page.smi": b"<html><body>404</body></html>\n" * 3,
    "long.smi": b"C" * 200_000 + b"\n",
    "rings.smi": b"C1" * 5_000 + b"\n",
    "cut.sdf": SDF[: len(SDF) // 2].encode(),
    "counts.sdf": SDF.replace("  3  2  0", "999999999").encode(),
    "cut.jsonl": b'{"smiles": "CCO"}\n{"smiles": "CC',
    "a;$(rm -rf b).smi": b"<&>\n",
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_ends_in_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BROKEN[name])
    assert name in complaint(tmp_path / name)


def test_a_line_that_nobody_could_draw_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "long.smi").write_text("CCO Äthanol\n" + "C" * 200_000 + "\n", encoding="latin-1")
    values, rejected, _ = read(tmp_path / "long.smi")
    assert values == ["CCO"]
    assert rejected[0].reason == "it has 200,000 characters, and a SMILES of at most 5,000 is read"


def test_a_fifth_that_is_no_molecule_is_left_out_and_not_more(tmp_path: Path) -> None:
    for bad, told in ((20, False), (21, True)):
        lines = [f"{'C' * (i + 1)}O" for i in range(100 - bad)] + ["C("] * bad
        (tmp_path / f"{bad}.smi").write_text("\n".join(lines))
        if told:
            with pytest.raises(DataError) as raised:
                read(tmp_path / f"{bad}.smi")
            assert raised.value.code == "too-many-no-molecules"
            assert "21 of 100" in str(raised.value)
            assert "21.smi entry 80: 'C(' is no molecule" in str(raised.value)
        else:
            assert len(read(tmp_path / f"{bad}.smi")[0]) == 80


def complaint(path: Path) -> str:
    """What is said of a file: of the whole, or of what is in it."""
    try:
        _, rejected, _ = read(path)
    except GenwrightError as error:
        return str(error)
    return rejected[-1].name


def test_tables_of_smiles_are_told_from_others_and_it_is_said_why(tmp_path: Path) -> None:
    ring = [f"{'C' * i}c1ccc(O)cc1" for i in range(1, 20)]
    table, plain, words = (tmp_path / name for name in ("a.csv", "b.csv", "c.csv"))
    table.write_text("id,thing\n" + "".join(f"{i},{one}\n" for i, one in enumerate(ring)))
    plain.write_text("id,age\n" + "".join(f"{i},{i % 7}\n" for i in range(20)))
    words.write_text("id,name\n" + "".join(f"{i},{'CON'[i % 3] * 5}\n" for i in range(20)))
    assert find(table).codec == "molecule"
    assert find(plain).codec == find(words).codec == "table"
    assert MoleculeCodec.sniff([plain]) == 0
    with pytest.raises(DataError, match=r"no column of SMILES: codec\.column names it, of id, age"):
        read(plain)


# -- symbols ---------------------------------------------------------------------------------------


def test_atoms_bonds_and_rings_are_symbols_of_their_own() -> None:
    found = symbols("C[C@@H](Cl)c1ccc%12Br1", "smiles")
    assert found == ["C", "[C@@H]", "(", "Cl", ")", "c", "1", "c", "c", "c", "%12", "Br", "1"]


@given(st.lists(st.sampled_from(["C", "N", "O", "Cl", "c1ccccc1", "C(=O)", "[nH]", "%"]), max_size=12))
@settings(max_examples=60, deadline=None)
def test_symbols_put_together_are_the_text(parts: list[str]) -> None:
    text = "".join(parts)
    assert "".join(symbols(text, "smiles")) == text
    tokenizer = AtomTokenizer(sorted(set(symbols(text, "smiles"))), "smiles")
    assert tokenizer.decode(np.array([*tokenizer.encode(text), 0, 0])) == text


@pytest.mark.parametrize("notation", ["smiles", "selfies"])
def test_there_and_back_is_the_same_molecule(notation: Any) -> None:
    field = fitted(notation=notation)
    values = [str(canonical(one)) for one in SMILES]
    compact = field.encode(values)
    assert compact.dtype == np.uint16
    assert field.decode(compact) == values
    again = MoleculeField()
    again.restore(json.loads(json.dumps(field.state())))
    assert again.decode(compact) == values
    assert again.space == field.space


def test_every_row_of_selfies_is_a_molecule() -> None:
    field = fitted(notation="selfies")
    rng = np.random.default_rng(0)
    x = rng.integers(1, len(field.tokenizer), (40, 1, field.space.grid[0]))
    assert all(canonical(one) is not None or one == "" for one in field.decode(x))


def test_an_atom_never_seen_is_named() -> None:
    field = fitted(randomise=False)
    assert field.known(["CCO", "C[S@](=O)CC", "CI"]) == [True, False, False]
    with pytest.raises(DataError, match=r"'CI' holds 'I', which training has not seen") as caught:
        field.encode(["CI"])
    assert caught.value.code == "unknown-atom"
    with pytest.raises(DataError, match="no molecule"):
        field.encode(["C(("])


def test_a_molecule_is_shown_in_other_writings_and_stays_the_same() -> None:
    field = fitted()
    x = field.tensor([str(canonical(one)) for one in SMILES])
    rows = [field.augment(x, torch.Generator().manual_seed(seed)) for seed in range(5)]
    assert any(not torch.equal(rows[0], other) for other in rows[1:])
    assert torch.equal(rows[0], field.augment(x, torch.Generator().manual_seed(0)))
    for one in rows:
        assert field.decode(one.numpy()) == field.decode(x.numpy())
    still = fitted(randomise=False)
    x = still.tensor(["CCO"])
    assert torch.equal(still.augment(x, torch.Generator().manual_seed(1)), x)


def test_a_fragment_is_kept_and_what_grows_on_it_is_to_be_made() -> None:
    field = fitted()
    part = field.partial(["c1ccccc1___"])
    assert part.known[0, 0, :8].all()
    assert not part.known[0, 0, 8:11].any()
    assert part.known[0, 0, 11:].all()
    with pytest.raises(DataError, match="with a _ for each"):
        field.partial(["CCO"])


# -- chemistry -------------------------------------------------------------------------------------


def test_what_follows_from_a_structure() -> None:
    assert canonical("OCC") == canonical("CCO") == "CCO"
    assert canonical("") is canonical(" CCO") is canonical("C\0") is None
    assert scaffold("CCc1ccccc1") == "c1ccccc1"
    assert descriptor("CCO", "atoms") == 3
    assert descriptor("CCO", "weight") == pytest.approx(46.07, abs=0.01)
    assert {canonical(randomised("CC(=O)Nc1ccc(O)cc1", seed)) for seed in range(9)} == {
        "CC(=O)Nc1ccc(O)cc1"
    }


def test_what_is_written_is_read_again_and_shown(tmp_path: Path) -> None:
    codec, field = make_codec("molecule", {}), fitted()
    files = codec.write(
        {"molecule": ["CCO", "C(("], "logp": [1.5, 2.0]}, {"molecule": field}, tmp_path / "out"
    )
    assert files[0].read_bytes().startswith(b"\x89PNG")
    assert files[1].read_text() == "smiles,logp\nCCO,1.5\nC((,2.0\n"
    values, rejected, _ = read(tmp_path / "out", "logp")
    assert (values, len(rejected)) == (["CCO"], 1)


def test_what_a_model_made_is_judged_as_it_stands(tmp_path: Path) -> None:
    import genwright

    real = [
        f"{'C' * i}{end}c1ccc({atom})cc1"
        for i in range(1, 13)
        for end in ("", "O", "N")
        for atom in "CNO"
    ]
    made = [
        "CC(",
        "C1CC",
        "C[SH](=O)CC",
        *real[:3],
    ] * 5  # a third is none, and a sixth has an atom never seen
    (tmp_path / "real.smi").write_text("\n".join(real[30:]))
    (tmp_path / "later.smi").write_text("\n".join(real[:30]))
    (tmp_path / "made.csv").write_text("smiles\n" + "\n".join(made))
    report = genwright.judge(
        fake=tmp_path / "made.csv",
        real=tmp_path / "real.smi",
        holdout=tmp_path / "later.smi",
        wanted=["valid_molecules"],
        features="pca",
    )
    (valid,) = [one for one in report.results if one.metric == "valid_molecules"]
    assert valid.model is not None
    assert valid.model.value == sum(canonical(one) is not None for one in made) / len(made)
    assert valid.model.n == len(made)
    field = fitted()
    ids = field.tensor_of_made(["CC(", "C[SH]C", "x"]).numpy()[:, 0]
    assert [field.tokenizer.decode(row) for row in ids] == ["CC(", "CC", ""]
