"""What is made goes through steps: what is dropped is made again, what is best is kept, and it is said."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

import genwright
from commands import TINY, call, done, pictures, refused, table
from genwright.errors import Incompatible, RecipeError, RunError
from genwright.families.vae import VAE
from genwright.finishing.finish import ROUNDS, Finish
from genwright.finishing.steps import Copies


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`rows`: a table where `top` is never below `low` and `kind` says what `sort` is; `faces`: pictures."""
    folder = tmp_path_factory.mktemp("finishing")
    rng = np.random.default_rng(0)
    low, more = rng.normal(size=600).round(3), rng.exponential(size=600).round(3)
    kinds = rng.integers(0, 3, 600)
    rows = [(a, round(a + b, 3), "abc"[k], "xyy"[k]) for a, b, k in zip(low, more, kinds, strict=True)]
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        table(folder / "rows.csv", rows, head="low,top,kind,sort")
        pictures(folder / "faces", 60)
        train = ("--family", "vae", "--label", "")
        done("train", "rows.csv", *train, "--out", "rows", *TINY)
        done("train", "faces", *train, "--out", "faces-run", *TINY)
        done("train", "faces", "--family", "gan", "--label", "", "--out", "gan", *TINY)
        for how, out in (("super-resolution", "larger"), ("inpaint", "hole")):
            task = ("--task", "restore", "--set", f"task.how={how}")
            done("train", "faces", *task, *train, "--out", out, *TINY)
        yield folder


@pytest.fixture
def there(runs: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(runs)
    return runs


Memorise = Callable[..., list[int]]


@pytest.fixture
def memorise(monkeypatch: pytest.MonkeyPatch) -> Memorise:
    """What makes the family of a run give training examples back: at some places of the first call and, with
    `always`, at all places of the others. It returns how many each call is for."""
    own = VAE._sample

    def remember(run: str, places: slice, *, always: bool = False) -> list[int]:
        model, calls = genwright.load(run), list[int]()
        stored = model.pipeline.stored(model.dataset.splits["train"], np.arange(16))
        known = model.bridge.forward(stored)

        def sample(self: VAE, n: int, given: Any, rng: torch.Generator, **how: Any) -> torch.Tensor:
            made = own(self, n, given, rng, **how)
            calls.append(n)
            if always or len(calls) == 1:
                some = places if len(calls) == 1 else slice(None)
                made[some] = known[: len(made[some])]
            return made

        monkeypatch.setattr(VAE, "_sample", sample)
        monkeypatch.setattr(VAE, "lanes", 1)  # a few examples are not made among others
        return calls

    return remember


def frame(run: str, n: int, **how: Any) -> pd.DataFrame:
    found = genwright.sample(run, n, **how).examples
    assert isinstance(found, pd.DataFrame)
    return found


def test_rows_that_break_a_rule_are_made_again_and_counted(there: Path) -> None:
    plain = genwright.load("rows").sample(64, seed=1).examples
    wrong = plain["low"].astype(float) > plain["top"].astype(float)
    wrong |= plain["kind"].map(dict(zip("abc", "xyy", strict=True))) != plain["sort"]
    assert 0 < wrong.sum() < 64  # else nothing is shown
    samples = genwright.sample("rows", 64, seed=1, drop=["invalid"])
    made = samples.examples
    assert (made["low"].astype(float) <= made["top"].astype(float)).all()
    assert (made["kind"].map(dict(zip("abc", "xyy", strict=True))) == made["sort"]).all()
    assert samples.provenance is not None
    counts = samples.provenance.finish
    assert counts is not None
    assert (counts["asked"], counts["made"]) == (64, len(made))
    assert counts["drawn"] >= counts["made"] + counts["dropped"]["invalid"]["count"] - (64 - len(made))
    assert counts["dropped"]["invalid"]["count"] == counts["drawn"] - len(made)
    assert counts["rounds"] > 1
    if len(made) == 64:  # what passed at once stands where it stood
        kept = np.flatnonzero(~wrong)
        assert made.iloc[kept].astype(str).equals(plain.iloc[kept].astype(str))


def test_the_same_seed_gives_the_same_bytes(there: Path) -> None:
    one, two = (frame("rows", 20, seed=3, drop=["invalid", "copies"], best_of=2) for _ in range(2))
    assert one.equals(two)


def test_copies_of_training_pictures_are_made_again(there: Path, memorise: Memorise) -> None:
    calls = memorise("faces-run", slice(None, None, 2))
    samples = genwright.sample("faces-run", 8, seed=0, drop=["copies"])
    assert calls[0] == 8
    assert calls[1] == 4
    train = genwright.load("faces-run").dataset.splits["train"]
    model = genwright.load("faces-run")
    known = {
        np.asarray(one).tobytes()
        for one in model.pipeline.made.decode(
            model.pipeline.stored(train, np.arange(len(train))).numpy()
        )
    }
    assert not [one for one in samples.examples if np.asarray(one).tobytes() in known]
    assert len(samples) == 8
    assert samples.provenance is not None
    assert samples.provenance.finish is not None
    assert samples.provenance.finish["dropped"]["copies"] == {"count": 4, "example": "equal to one"}
    assert any("only equal ones were dropped" in note for note in samples.notes)


def test_near_copies_are_told_by_the_judges_own_test(there: Path) -> None:
    model = genwright.load("rows")
    (step,) = Finish(model, ["copies"], n=40).steps
    assert isinstance(step, Copies)
    assert step.note == ""
    step.known = frozenset()  # so that nearness alone tells
    asked = model.asked(40, {}, 0, {})
    for part, dropped in (("train", 40), ("test", 0)):
        x = model.pipeline.stored(model.dataset.splits[part], np.arange(40)).numpy()
        reasons = step({model.pipeline.spec.make: model.pipeline.made.decode(x)}, asked).reasons
        assert [*reasons.values()] == ["far nearer to one than unseen ones are"] * dropped


def test_the_command_line_says_it_on_a_line_and_beside_the_files(
    there: Path, memorise: Memorise
) -> None:
    said = done("sample", "rows", "-n", "3", "--drop", "copies, invalid", "--seed", "4", "--out", "made")
    first, second = said.out.splitlines()
    assert first.startswith("Made 3 in made")
    beside = json.loads(Path("made/synthetic.json").read_text())
    counts = beside["."]["finish"]
    assert (counts["asked"], counts["made"]) == (3, 3)
    dropped = {name: one["count"] for name, one in counts["dropped"].items()}
    assert dropped["invalid"] > 0
    words = (
        f"drew {counts['drawn']}, dropped {dropped['copies']} as copies, {dropped['invalid']} as invalid"
    )
    assert second.startswith(f"{words} (one: ")
    assert second.endswith(f"in {counts['rounds']} rounds")
    assert beside["samples.csv"]["run"] == "rows"
    memorise("faces-run", slice(0, 1))
    drop = ("-n", "3", "--drop", "copies")
    call("sample", "faces-run", *drop, "--out", "pictured")
    assert json.loads(Path("pictured/synthetic.json").read_text())["."]["finish"]["drawn"] == 4
    call("sample", "faces-run", *drop, "--no-mark", "--out", "unmarked")
    assert not Path("unmarked/synthetic.json").exists()


def test_it_is_said_where_fewer_pass(there: Path, memorise: Memorise) -> None:
    calls = memorise("faces-run", slice(1, None), always=True)
    said = call("sample", "faces-run", "-n", "4", "--drop", "copies", "--out", "fewer")
    assert said.code == 3, said
    assert calls == [4] + [3] * (ROUNDS - 1)
    assert said.out.startswith("Made 1 of 4 in fewer")
    assert "drew 31, dropped 30 as copies (one: equal to one), in 10 rounds" in said.out
    assert len([*Path("fewer").glob("0*.png")]) == 1


def test_where_none_passes_nothing_is_written(there: Path, memorise: Memorise) -> None:
    calls = memorise("faces-run", slice(None), always=True)
    words = ["none of 4 passed", "dropped 40 as copies", "train longer, or drop less"]
    refused("sample", "faces-run", "-n", "4", "--drop", "copies", "--out", "none", words=words)
    assert calls == [4] * ROUNDS
    assert not Path("none").exists()


def test_what_cannot_be_done_is_refused_before_anything_is_made(
    there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["'copy' is nothing that can be dropped", "copies"]
    refused("sample", "rows", "--drop", "copy", "--out", "no", words=words)
    refused("sample", "rows", "--best-of", "0", "--out", "no", words=["--best-of must be 1 or more"])
    with pytest.raises(RecipeError, match="best_of"):
        genwright.sample("rows", 2, best_of=0)
    for run in ("rows", "gan"):
        shutil.copytree(run, tmp_path / run)
    monkeypatch.chdir(tmp_path)
    words = ["compared with the training data, which cannot be used", "leave that step out"]
    refused("sample", "rows", "--drop", "copies", "--out", "no", words=words)
    words = ["nothing can rank", "gan has no likelihood", "leave --best-of out"]
    refused("sample", "gan", "--best-of", "2", "--out", "no", words=words)
    with pytest.raises(RunError) as error:
        genwright.sample("rows", 2, drop=["invalid"])
    assert error.value.code == "no-training-data"
    assert not Path("no").exists()


# -- the best of several ---------------------------------------------------------------------------


@pytest.mark.parametrize(("run", "by"), [("rows", "likelihood"), ("gan", "nearness to real examples")])
def test_the_best_of_several_is_better_by_what_ranks(there: Path, run: str, by: str) -> None:
    model = genwright.load(run)
    finish = Finish(model, best_of=4, n=12, seed=5)
    (rank,) = finish.steps
    assert rank.name == by
    asked = model.asked(12, {}, 5, {})
    plain, best = model.sample(12, seed=5), finish.sample()
    before, after = (rank(samples.values, asked).scores for samples in (plain, best))
    assert (after >= before - 1e-6).all()  # the plain one is among the four of each place
    assert after.mean() > before.mean()
    assert finish.counts.drawn == 48
    assert finish.counts.sentence().endswith(f"kept the best of 4 by {by}, in 1 round")


def test_a_copy_is_no_nearer_to_real_examples_for_what_it_copies(there: Path) -> None:
    model = genwright.load("gan")
    rank = Finish(model, best_of=2, n=4).steps[0]
    train = model.dataset.splits["train"]
    real = model.pipeline.made.decode(model.pipeline.stored(train, np.arange(4)).numpy())
    score = rank({model.pipeline.spec.make: real}, model.asked(4, {}, 0, {})).scores
    assert (score < 0).all()  # and not 0, the distance to itself


# -- what another run makes of it ------------------------------------------------------------------


def test_another_run_makes_something_of_what_is_kept(there: Path) -> None:
    plain = genwright.load("gan").sample(3, seed=2)
    larger = genwright.sample("gan", 3, then="larger", seed=2)
    assert [np.asarray(one).shape for one in larger.examples] == [(16, 16)] * 3
    assert larger.sources is not None
    for source, one in zip(larger.sources, plain.examples, strict=True):
        assert np.array_equal(np.asarray(source), np.asarray(one))
    assert larger.provenance is not None
    entry = larger.provenance.entry()
    assert (entry["run"], entry["source"]["run"]) == ("larger", "gan")
    again = genwright.sample("gan", 3, then="larger", seed=2)
    pairs = zip(larger.examples, again.examples, strict=True)
    assert all(np.array_equal(one, two) for one, two in pairs)


def test_both_runs_are_named_beside_the_files(there: Path) -> None:
    how = ("--drop", "invalid", "--then", "larger", "--out", "enlarged")
    said = done("sample", "gan", "-n", "3", *how)
    assert "drew 3, dropped 0 as invalid, in 1 round" in said.out
    beside = json.loads(Path("enlarged/synthetic.json").read_text())["."]
    assert (beside["run"], beside["source"]["run"]) == ("larger", "gan")
    assert beside["finish"]["made"] == 3
    assert len([*Path("enlarged").glob("0*.png")]) == 3


def test_a_run_that_cannot_follow_is_refused_before_anything_is_made(there: Path) -> None:
    def no(run: str, then: str, *words: str) -> None:
        refused("sample", run, "--then", then, "--out", "no", words=words)

    no("gan", "rows", "makes 'row' from nothing that a file holds")
    no("rows", "larger", "is applied to the kind 'image'", "rows makes 'row'", "same kind of data")
    no("gan", "hole", "fills gaps", "has none")
    assert not Path("no").exists()


def test_a_run_of_whole_pictures_takes_those_of_its_own_size_alone(there: Path) -> None:
    first, second = genwright.load("gan"), genwright.load("larger")
    second.pipeline.spec = replace(second.pipeline.spec, local=False)
    with pytest.raises(
        Incompatible, match=r"of 4 x 4 .* makes 8 x 8 .* at the size of the other"
    ) as error:
        Finish(first, then=second)
    assert error.value.code == "then-other-shape"


@pytest.mark.parametrize("run", ["hole", "larger"])
def test_what_is_made_again_is_made_for_the_same_request(
    there: Path, memorise: Memorise, run: str
) -> None:
    model, grid = genwright.load(run), np.random.default_rng(0).integers(0, 256, (6, 8, 8, 2), np.uint8)
    grid[..., 1], grid[:, :4, :, 1] = 255, 0  # above all is to be made
    holes = {model.applied()[0]: list(grid)} if run == "hole" else {}
    plain = model.sample(6, holes, seed=1)
    memorise(run, slice(None, None, 2))
    finish = Finish(genwright.load(run), ["copies", "invalid"], 2, n=6, seed=1)
    made = finish.sample(holes)
    assert len(made) == 6
    assert finish.counts.drawn >= 12
    asked = model.asked(6, dict(holes), 1, {})
    x = model.pipeline.made.tensor(made.examples)
    (given,) = asked.given.values()
    assert isinstance(given, tuple) == (run == "hole")
    assert (plain.sources is not None) == (run == "larger")
    if isinstance(given, tuple):
        assert torch.equal(x[given[1]], given[0][given[1]])
    if plain.sources is not None:
        assert made.sources is not None
        assert all(np.array_equal(a, b) for a, b in zip(plain.sources, made.sources, strict=True))
