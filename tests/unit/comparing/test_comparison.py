"""A whole comparison, small: what stands in its table, and that it goes on after a kill as if it had not been cut."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genwright
from commands import call, refused
from genwright.comparing import comparison
from genwright.comparing.bracket import Bracket, Price, RefusedFamily, plan_bracket
from genwright.comparing.ledger import Ledger
from genwright.errors import GenwrightError
from genwright.recipe import Recipe

FAMILIES = ["vae", "gan", "flow", "contrastive"]
HOW: dict[str, Any] = {"families": FAMILIES, "minutes": 1.0, "n": 60, "size": "xs"}


def rows(path: Path) -> Path:
    rng = np.random.default_rng(0)
    x = rng.normal(size=600)
    lines = [f"{a:.4f},{2 * a + b:.4f}" for a, b in zip(x, 0.3 * rng.normal(size=600), strict=True)]
    path.write_text("\n".join(["x,y", *lines]) + "\n")
    return path


def bracket(prices: dict[str, Price], seconds: float, seeds: int, *, chooses: bool) -> Bracket:
    """Three begin, one is too slow, and one of two comes to its end."""
    assert set(prices) == {"vae", "gan", "flow"}
    return Bracket(
        {"vae": 8, "gan": 8}, [0.5, 1.0], [2, 1], seeds, 1.0, [RefusedFamily("flow", "too slow")]
    )


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(comparison, "plan_bracket", bracket)
        patch.setattr(comparison, "price", lambda *_: Price(0.01, 1, 1, 1))
        rows(folder / "rows.csv")
        genwright.compare("rows.csv", out="out", **HOW)
        yield folder


@pytest.fixture
def room(done: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(done, tmp_path / "room")
    monkeypatch.chdir(tmp_path / "room")
    return tmp_path / "room"


def table(folder: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((folder / "leaderboard.json").read_text())
    return found


def untimed(folder: Path) -> list[dict[str, Any]]:
    return [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in table(folder)]


def test_every_contender_has_a_row(done: Path) -> None:
    found = {row["name"]: row for row in table(done / "out")}
    outcomes = {name: found[name]["outcome"] for name in FAMILIES}
    assert sorted(outcomes.values()) == ["refused", "refused", "stopped early", "trained"]
    best = next(row for row in found.values() if row["best"])
    assert (best["rank"], best["outcome"]) == (1, "trained")
    assert (done / "out" / best["run"] / "MANIFEST.json").exists()
    assert "makes no examples" in found["contrastive"]["cause"]
    assert found["flow"]["cause"] == "too slow"
    assert {"floor", "copycat", "marginals", "mix", "copula"} <= found.keys()
    for name in ("vae", "gan"):
        row = found[name]
        assert row["seconds_to_train"] > 0
        assert row["seconds_per_1000"] > 0
        assert row["megabytes"] > 0
        assert row["guard"] == "nothing"
        assert {"fd", "recall", "exact_copies"} <= row["metrics"].keys()
        assert set(row["metrics"]["fd"]) == {"value", "low", "high", "n"}
    assert found["copycat"]["metrics"]["exact_copies"]["value"] == 1.0


def test_who_is_cut_has_half_of_the_steps(done: Path) -> None:
    steps = {row["outcome"]: row["steps"] for row in table(done / "out") if row["run"]}
    assert steps == {"trained": 8, "stopped early": 4}


def test_the_page_has_it_all(done: Path) -> None:
    page = (done / "out/index.html").read_text()
    for words in ("vae", "contrastive", "copycat", "refused", "Samples, side by side", "stopped at 50%"):
        assert words in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "").replace("http://www.w3.org", "")


def test_gone_on_with_at_its_end_it_is_the_same_bytes(room: Path) -> None:
    files = [room / "out" / name for name in ("leaderboard.json", "index.html")]
    before = [file.read_bytes() for file in files]
    for file in files:
        file.unlink()
    genwright.compare("rows.csv", out="out", resume=True, **HOW)
    after = [file.read_bytes() for file in files]
    assert after[0] == before[0]
    # What reading the data took is counted again.
    assert len(after[1]) == pytest.approx(len(before[1]), abs=8)


def test_killed_on_its_way_it_goes_on(room: Path) -> None:
    before = untimed(room / "out")
    path = room / "out/ledger.json"
    entries = json.loads(path.read_text())
    winner = next(row["name"] for row in before if row["best"])
    for name in (f"{winner}/0/1", f"{winner}/0/1/judged"):
        del entries[name]
    path.write_text(json.dumps(entries))
    shutil.rmtree(room / "out/runs" / winner / "judge")
    genwright.compare("rows.csv", out="out", resume=True, **HOW)
    assert untimed(room / "out") == before


def test_a_run_that_changed_is_refused(room: Path) -> None:
    run = next(row["run"] for row in table(room / "out") if row["best"])
    genwright.train(resume=room / "out" / run, steps=10)
    with pytest.raises(GenwrightError, match="has changed since it was trained") as error:
        genwright.compare("rows.csv", out="out", resume=True, **HOW)
    assert error.value.code == "run-changed"


def test_a_second_one_in_the_same_folder_is_refused(room: Path) -> None:
    refused("compare", "rows.csv", "--out", "out", words=["--resume"])
    refused("compare", "rows.csv", "--out", "out", "--resume", words=["goes on as it began", "minutes"])


def test_what_cannot_be_compared(room: Path) -> None:
    def code(data: str = "rows.csv", **how: Any) -> str:
        with pytest.raises(GenwrightError) as error:
            genwright.compare(data, out="new", **how)
        return error.value.code

    assert code("none.csv") == "no-such-path"
    assert code(minutes=0) == "out-of-range"
    assert code(seeds=0) == "out-of-range"
    assert code(families=["vea"]) == "unknown-name"
    assert code(steps=5) == "contradicting-options"
    assert code(families=["contrastive"]) == "no-family-fits"
    assert not (room / "new").exists()


def test_too_short_a_time_is_said_after_the_first_price(
    room: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    priced: list[object] = []

    def price(recipe: Recipe, *_: object) -> Price:
        priced.append(recipe.family.name)
        return Price(1.0, 1.0, 1.0, 1.0)

    monkeypatch.setattr(comparison, "price", price)
    monkeypatch.setattr(comparison, "plan_bracket", plan_bracket)
    with pytest.raises(GenwrightError, match=r"minutes more would be enough for one") as error:
        genwright.compare("rows.csv", out="short", minutes=0.001, families=["vae", "gan", "flow"])
    assert error.value.code == "budget-too-short"
    assert priced == ["vae"]


def test_a_family_that_breaks_keeps_its_row(room: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def run(self, tasks: Any) -> Iterator[Any]:
            for task in tasks:
                code = "overtime" if task["name"].startswith("vae") else "internal"
                yield task, {"error": {"code": code, "words": "it broke"}, "work": 0.1}

    one = comparison.Comparison(genwright.api.make_recipe("rows.csv", size="xs"), 1.0, FAMILIES, 1, 60)
    ledger = Ledger.begin(room / "broken", one.about)
    for name in ("examples", "company", "plan"):
        ledger.write(name, json.loads((room / "out/ledger.json").read_text())[name])
    shutil.copytree(room / "out/company", room / "broken/company")
    found = one.run(ledger, Broken())  # type: ignore[arg-type]
    outcomes = {row.name: row.outcome for row in found.rows}
    assert (outcomes["vae"], outcomes["gan"]) == ("timed out", "failed")
    assert found.best is None
    assert "none is the best" in (room / "broken/index.html").read_text()


def test_a_leaderboard_of_runs_that_are_there(room: Path) -> None:
    said = call("list", "--runs", "out", "--json")
    found = {row["name"]: row for row in json.loads(said.out)}
    assert {"runs/vae", "runs/gan", "floor", "copycat"} <= found.keys()
    assert {found["runs/vae"]["rank"], found["runs/gan"]["rank"]} <= {1, 2}
    (room / "out/runs/vae/judge/report.json").unlink()
    found = {row["name"]: row for row in json.loads(call("list", "--runs", "out", "--json").out)}
    assert found["runs/vae"]["outcome"] == "not judged"
    refused("list", "--runs", "none", words=["holds no runs"])
