"""Levels by the command line: small warehouses of Sokoban are looked at, learnt, made so that they can be solved, and
judged."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from commands import call, done, refused
from genwright.data.level.files import Level, read_levels
from genwright.data.level.legend import Legend
from genwright.data.level.play import game_of

pytestmark = pytest.mark.journey


def warehouses(folder: Path, count: int) -> Path:
    """Rooms of 7 x 7 with a wall in the middle, and a box in one line with its goal."""
    folder.mkdir()
    rng = random.Random(0)
    for i in range(count):
        room = [list("#######"), *(list("#     #") for _ in range(5)), list("#######")]
        room[3][rng.choice((2, 3, 4))] = "#"
        row = rng.choice((1, 5))
        at = rng.choice((3, 4))
        for y, x in rng.sample([(y, x) for y in (2, 4) for x in range(1, 6)], 3):
            room[y][x] = "#"
        room[row][at], room[row][at + 1], room[row][at - 1] = "$", ".", "@"
        (folder / f"{i:03d}.xsb").write_text("\n".join(map("".join, room)) + "\n")
    return folder


def test_warehouses_are_learnt_solved_repaired_and_judged(tmp_path: Path) -> None:
    rooms = warehouses(tmp_path / "rooms", 150)
    seen = done("look", rooms).out
    assert "levels" in seen
    run, game = tmp_path / "run", game_of("sokoban", Legend())
    done("train", rooms, "--family", "masked", "--size", "xs", "--steps", "100", "--out", run)
    said = call(
        "sample",
        run,
        "-n",
        "4",
        "--require",
        "playable",
        "--require",
        "@ == 1",
        "--set",
        "steps=8",
        "--out",
        tmp_path / "made",
    )
    assert said.code in (0, 3), said
    levels = [one for file in sorted((tmp_path / "made").glob("*.xsb")) for one in read_levels(file)]
    assert len(levels) >= 1
    for one in levels:
        assert isinstance(one, Level)
        assert one.text().count("@") == 1
        assert game.playable(one)
    refused("sample", run, "-n", "2", "--require", "dragons == 1", words=("dragons",))
    said = done("judge", run, "-n", "40").out
    assert "playable" in said
    assert "tile_patterns" in said
