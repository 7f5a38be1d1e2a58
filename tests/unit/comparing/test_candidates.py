"""Families with several settings side by side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import genwright
from commands import refused
from genwright.comparing import comparison
from genwright.comparing.bracket import Bracket, Price
from genwright.comparing.candidates import Candidate, candidates
from genwright.errors import RecipeError


def test_each_family_takes_part_with_each_setting() -> None:
    assert candidates(["vae", "gan"], []) == [Candidate("vae", "vae"), Candidate("gan", "gan")]
    found = candidates(["vae", "gan"], ["train.lr=0.001, 0.01", "size=xs,s"])
    assert len(found) == 8
    assert found[0] == Candidate("vae-lr-0.001-size-xs", "vae", ("train.lr=0.001", "size=xs"))
    assert len({one.name for one in found}) == 8
    assert candidates(["vae"], ["net.x=a/../b,c"])[0].name == "vae-x-a-..-b"


@pytest.mark.parametrize(
    ("varied", "code"),
    [
        (["train.lr=0.1"], "not-a-pair"),
        (["train.lr"], "not-a-pair"),
        (["train.lr=0.1,0.1"], "not-a-pair"),
        (["data.path=a,b"], "cannot-vary"),
        (["codec.length=8,16"], "cannot-vary"),
        (["train.steps=8,16"], "cannot-vary"),
        ([f"net.width={','.join(map(str, range(65)))}"], "too-many-candidates"),
    ],
)
def test_what_cannot_be_varied_is_refused(varied: list[str], code: str) -> None:
    with pytest.raises(RecipeError) as error:
        candidates(["vae"], varied)
    assert error.value.code == code


def test_settings_have_rows_and_the_worse_is_left_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[dict[str, Price]] = []

    def bracket(prices: dict[str, Price], *_: Any, **__: Any) -> Bracket:
        seen.append(prices)
        return Bracket(dict.fromkeys(prices, 4), [0.5, 1.0], [2, 1], 1, 1.0, [])

    monkeypatch.setattr(comparison, "plan_bracket", bracket)
    far = {"vae-lr-0.0000001": 2.0, "vae-lr-0.005": 1.0}
    monkeypatch.setattr(comparison.Judge, "choose", lambda self, run: far[run.name])
    monkeypatch.setattr(comparison, "price", lambda *_: Price(0.01, 1, 1, 1))
    x = np.random.default_rng(0).normal(size=400) + 5
    Path("rows.csv").write_text("\n".join(["x,y", *(f"{a:.3f},{a * a:.3f}" for a in x)]) + "\n")
    vary = ["train.lr=0.0000001,0.005"]
    genwright.compare("rows.csv", families=["vae"], minutes=1.0, n=60, size="xs", vary=vary, out="out")
    assert [*seen[0]] == ["vae-lr-0.0000001", "vae-lr-0.005"]
    rows = {row["name"]: row for row in json.loads(Path("out/leaderboard.json").read_text())}
    kept, left = rows["vae-lr-0.005"], rows["vae-lr-0.0000001"]
    assert (kept["outcome"], left["outcome"]) == ("trained", "stopped early")
    assert (kept["family"], kept["settings"]) == ("vae", ["train.lr=0.005"])
    recipe = json.loads(Path("out", kept["run"], "recipe.json").read_text())
    assert recipe["train"]["lr"] == 0.005
    refused("compare", "rows.csv", "--vary", "data.path=a,b", words=["data.path", "--vary"])
