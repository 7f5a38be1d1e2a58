"""Levels of games: three forms of files, windows, legends, searches, pictures, and files that went wrong."""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from genwright.data.codec import ReadOptions, Rows
from genwright.data.dataset import make_codec
from genwright.data.level.codec import LevelCodec
from genwright.data.level.field import LevelField, LevelForm
from genwright.data.level.files import Level, read_levels, to_bytes
from genwright.data.level.legend import Legend
from genwright.data.level.play import Platform, Runner, Sokoban, guess_game
from genwright.data.source import find
from genwright.errors import DataError, RecipeError

SOLID = frozenset("X")
LEGEND = {"tiles": {"X": ["solid"], "-": ["passable", "empty"], "o": ["coin"]}}
RUNNER = Runner(*map(frozenset, ("bB", "b", "#", "-", "G", "M")))


def level(text: str) -> Level:
    return Level.of(text.strip("\n").split("\n"))


def platforms(folder: Path, n: int = 12, width: int = 20) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir(exist_ok=True, parents=True)
    (folder / "legend.json").write_text(json.dumps(LEGEND))
    for i in range(n):
        tiles = np.full((6, width), "-")
        tiles[-1] = "X"
        at = int(rng.integers(2, width - 4))
        tiles[-1, at : at + 2] = "-"
        tiles[2, at] = "o"
        (folder / f"{i:02d}.txt").write_text("\n".join(map("".join, tiles.tolist())) + "\n")
    return folder


def read(
    path: Path, options: ReadOptions | None = None, **settings: Any
) -> tuple[list[Rows], LevelField]:
    codec = make_codec("level", settings)
    source = find(path, "level")
    fields = codec.fields(source)
    field = fields["level"]
    assert isinstance(field, LevelField)
    return list(codec.read(source, {"level": field}, options or ReadOptions())), field


# -- files -----------------------------------------------------------------------------------------


def tmx(body: str, encoding: str = 'encoding="csv"') -> str:
    return (
        '<?xml version="1.0"?><map width="3" height="2"><tileset firstgid="1" source="a.tsx"/>'
        f'<layer width="3" height="2"><data {encoding}>{body}</data></layer></map>'
    )


def test_the_three_forms_hold_the_same_tiles(tmp_path: Path) -> None:
    wanted = [["1", "2", "2"], ["0", "1", "3"]]
    packed = base64.b64encode(gzip.compress(np.array([1, 2, 2, 0, 1, 3], "<u4").tobytes())).decode()
    layer = {"type": "tilelayer", "width": 3, "height": 2, "data": [1, 2, 2, 0, 1, 3]}
    hidden = layer | {"data": [9] * 6, "visible": False}
    files: dict[str, str] = {
        "a.txt": "122\n013\n",
        "a.csv": "1,2,2\n0,1,3\n",
        "a.tmj": json.dumps({"layers": [{"type": "group", "layers": [layer]}, hidden]}),
        "a.tmx": tmx("1,2,2,\n0,1,3"),
        "b.tmx": tmx(packed, 'encoding="base64" compression="gzip"'),
        "c.tmx": tmx("".join(f'<tile gid="{gid}"/>' for gid in (1, 2, 2, 0, 1, 3)), ""),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        (found,) = read_levels(tmp_path / name)
        assert isinstance(found, Level), name
        assert found.tiles.tolist() == wanted, name


@given(
    st.lists(st.lists(st.sampled_from(["0", "1", "7"]), min_size=4, max_size=4), min_size=1, max_size=5),
    st.sampled_from(["text", "csv", "tiled"]),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_is_written_is_read_again(tmp_path: Path, rows: list[list[str]], form: Any) -> None:
    made = Level.of(rows)
    file = tmp_path / {"text": "a.txt", "csv": "a.csv", "tiled": "a.tmj"}[form]
    file.write_bytes(to_bytes(made, form))
    assert list(read_levels(file)) == [made]


def test_a_collection_holds_several_and_short_rows_of_sokoban_end_in_blanks(tmp_path: Path) -> None:
    (tmp_path / "some.xsb").write_text("; first one\n####\n#@.#\n#$\n####\n\n####\n#@ #\n####\n")
    first, second = read_levels(tmp_path / "some.xsb")
    assert isinstance(first, Level)
    assert first.text() == "####\n#@.#\n#$  \n####"
    assert isinstance(second, Level)
    assert second.grid == (3, 4)


BROKEN = {
    "empty.txt": (b"", "the file is empty"),
    "blank.txt": (b"\n\n\n", "no tile"),
    "uneven.txt": (b"XXX\nXX\nXXX\n", "uneven: row 1 has 3 tiles and row 2 has 2"),
    "binary.txt": (b"\x00\x01\x02\n", "zero bytes"),
    "latin.txt": ("Xö\nöX".encode("latin-1"), "no text in UTF-8"),
    "cut.tmj": (b'{"layers": [', "no JSON"),
    "other.json": (b'{"layers": 3}', "no map of Tiled"),
    "short.tmj": (
        b'{"layers": [{"type": "tilelayer", "width": 9, "height": 9, "data": [1]}]}',
        "holds 1 tiles",
    ),
    "huge.tmj": (
        b'{"layers": [{"type": "tilelayer", "width": 1000000, "height": 1000000, "data": []}]}',
        "declares",
    ),
    "bomb.tmx": (b'<!DOCTYPE a [<!ENTITY b "c">]><map>&b;</map>', "document type"),
    "html.tmx": (b"<html></html>", "no map of Tiled"),
    "zstd.tmx": (
        tmx("KLUv", 'encoding="base64" compression="zstd"').encode(),
        "packed by zstd",
    ),
    "noise.tmx": (tmx("!!", 'encoding="base64"').encode(), "cannot be read"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_is_named_and_the_others_are_read(tmp_path: Path, name: str) -> None:
    platforms(tmp_path, 4)
    content, reason = BROKEN[name]
    (tmp_path / name).write_bytes(content)
    chunks, _ = read(tmp_path, height=6, width=20)
    (rejected,) = [one for rows in chunks for one in rows.rejected]
    assert rejected.name == name
    assert reason in rejected.reason
    assert sum(map(len, chunks)) == 4


# -- windows ---------------------------------------------------------------------------------------


def test_windows_of_a_level_stay_on_one_side_and_a_single_level_is_cut_by_position(
    tmp_path: Path,
) -> None:
    folder = platforms(tmp_path / "many", 3)
    chunks, field = read(folder, height=6, width=8, stride=4)
    assert field.form.width == 8
    rows = chunks[0]
    assert len(rows) == 3 * 4
    assert rows.groups is not None
    assert len(set(rows.groups)) == 3
    chunks, _ = read(folder / "00.txt", ReadOptions(val=0.25, test=0.25), width=4, stride=1)
    parts = [part for rows in chunks for part in rows.parts or []]
    assert [parts.count(part) for part in ("train", "val", "test")] == [7, 2, 2]


def test_a_higher_level_is_cut_from_the_bottom(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("aaa\nbbb\nccc\nddd\neee\n")
    (tmp_path / "b.txt").write_text("fff\nggg\n")
    chunks, _ = read(tmp_path, height=2, width=3)
    assert [one.text() for one in chunks[0].values["level"]] == ["ddd\neee", "bbb\nccc", "fff\nggg"]


def test_levels_are_told_from_texts_and_tables(tmp_path: Path) -> None:
    folder = platforms(tmp_path / "levels")
    assert find(folder).codec == "level"
    (folder / "legend.json").unlink()
    assert find(folder).codec == "level"
    texts = tmp_path / "texts"
    texts.mkdir()
    rng = np.random.default_rng(0)
    for i in range(4):  # lines of one length, as poems and sequences have them
        lines = ["".join(rng.choice(list("acgt"), 60)) for _ in range(8)]
        (texts / f"{i}.txt").write_text("\n".join(lines))
    assert find(texts).codec == "text"
    tables = tmp_path / "tables"
    tables.mkdir()
    for i in range(2):
        np.savetxt(tables / f"{i}.csv", rng.integers(0, 2, (30, 5)), fmt="%d", delimiter=",")
    assert LevelCodec.sniff(sorted(tables.iterdir())) == 0


# -- the field -------------------------------------------------------------------------------------


def fitted(*levels: Level, legend: Legend | None = None) -> LevelField:
    height, width = levels[0].grid
    made = LevelField(LevelForm(height, width, legend=legend or Legend()))
    made.fit(list(levels))
    made.settle()
    return made


def test_a_tile_never_seen_is_refused_by_name_and_gaps_are_marked() -> None:
    field = fitted(level("--X\nXXX"))
    assert field.tiles == ("X", "-")
    assert field.gap == "?"
    with pytest.raises(DataError, match=r"tile 'Q' in row 1, column 2 .* known: -, X") as caught:
        field.given([level("-QX\nXXX")])
    assert caught.value.code == "unknown-tile"
    with pytest.raises(DataError, match=r"has 1 x 3 tiles, and this model makes 2 x 3"):
        field.tensor([level("XXX")])
    part = field.partial([level("-?X\nX?X")])
    assert part.known[0, 0].tolist() == [[True, False, True], [True, False, True]]
    assert torch.equal(part.x[0, 0, :, 0], torch.tensor([1, 0]))
    for text in ("--X\nXXX", "???\n???"):
        with pytest.raises(DataError, match="to be made"):
            field.partial([level(text)])


def test_a_mask_is_a_picture_with_a_pixel_a_tile(tmp_path: Path) -> None:
    field = fitted(level("--X\nXXX"))
    Image.fromarray(np.array([[0, 255, 0], [0, 0, 255]], np.uint8)).save(tmp_path / "mask.png")
    assert field.masked(level("--X\nXXX"), tmp_path / "mask.png").text() == "-?X\nXX?"
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(tmp_path / "mask.png")
    with pytest.raises(DataError, match="5 x 5 and its level 3 x 2"):
        field.masked(level("--X\nXXX"), tmp_path / "mask.png")


def test_one_tile_alone_is_nothing_to_learn() -> None:
    with pytest.raises(DataError, match="the one tile 'X'"):
        fitted(level("XX\nXX"))


def test_pictures_take_the_colours_and_images_of_the_legend(tmp_path: Path) -> None:
    Image.new("RGB", (16, 16), (1, 2, 3)).save(tmp_path / "x.png")
    legend = Legend.of(
        {"tiles": {}, "colours": {"-": "#0a0b0c"}, "images": {"X": "x.png"}}, "legend", tmp_path
    )
    field = fitted(level("-X\nXX"), legend=legend)
    shown = make_codec("level", {}).preview({"level": [level("-X\nXX")]}, {"level": field})
    (tmp_path / "sheet.png").write_bytes(shown.png)
    colours = {colour for _, colour in Image.open(tmp_path / "sheet.png").getcolors() or ()}
    assert {(1, 2, 3), (10, 11, 12)} <= colours
    assert shown.text == "-X\nXX"


def test_a_damaged_legend_is_named(tmp_path: Path) -> None:
    folder = platforms(tmp_path)
    (folder / "legend.json").write_text('{"tiles": ["X"]}')
    with pytest.raises(DataError, match=r"legend\.json is no legend of tiles") as caught:
        read(folder)
    assert caught.value.code == "bad-legend"


def test_tile_sets_of_tiled_come_with_what_is_made(tmp_path: Path) -> None:
    for i in range(3):
        (tmp_path / f"{i}.tmx").write_text(tmp_path.name and tmx(f"1,2,2,{i},1,3"))
    codec, source = make_codec("level", {}), find(tmp_path)
    assert source.codec == "level"
    fields = codec.fields(source)
    (rows,) = codec.read(source, fields)
    codec.write({"level": rows.values["level"][:1]}, fields, tmp_path / "out")
    (file,) = (tmp_path / "out").glob("*.tmj")
    assert json.loads(file.read_text())["tilesets"] == [{"firstgid": 1, "source": "a.tsx"}]


# -- searches --------------------------------------------------------------------------------------


def test_a_platform_level_is_passed_where_a_jump_reaches() -> None:
    game = Platform(SOLID, ends=2)
    gap = "------------\n" * 4 + "XX{}XX"
    assert game.playable(level(gap.format("--------")))
    assert not game.playable(level("------------------\n" * 4 + "XX--------------XX"))
    wall = ["--X--"] * 4 + ["XXXXX"]
    assert game.playable(level("\n".join(["-----", *wall])))  # four high
    high = level("\n".join(["-----", *wall[:1], *wall]))
    assert not game.playable(high)
    assert game.missed(high)
    assert {x for _, x in game.missed(high)} >= {2, 3, 4}
    assert not game.playable(level("-----\n-----"))  # nowhere to stand


def test_a_runner_climbs_hangs_falls_and_digs() -> None:
    assert RUNNER.playable(level("...G\n..#b\nM.#.\nbbbb"))
    assert not RUNNER.playable(level("...G\n...b\nM...\nbbbb"))
    assert RUNNER.playable(level("M---G\nb....\nBBBBB"))
    assert RUNNER.playable(level("M..\nbbb\n.G.\nBBB"))  # through a brick
    assert not RUNNER.playable(level("M..\nBBB\n.G.\nBBB"))  # not through rock
    assert RUNNER.missed(level("M..\nBBB\n.G.\nBBB")) == [(2, 1)]
    assert not RUNNER.playable(level("..G\nBBB"))  # nobody begins


def test_sokoban_is_solved_within_a_budget() -> None:
    easy = level("#####\n#@$.#\n#####")
    assert Sokoban().playable(easy)
    assert not Sokoban().playable(level("#####\n#$@.#\n#####"))  # a box in a corner
    assert not Sokoban().playable(level("#####\n#@ .#\n#####"))  # a goal without a box
    twice = level("#######\n#     #\n# $$@ #\n#..   #\n#     #\n#######")
    assert Sokoban().playable(twice)
    assert not Sokoban(budget=2).playable(twice)


def test_the_kind_of_game_is_guessed_from_what_the_tiles_are() -> None:
    assert guess_game(frozenset("#@$. "), Legend()) == "sokoban"
    assert guess_game(frozenset("X-"), Legend.of(LEGEND, "a")) == "platform"
    tags = {"#": ("ladder",), "G": ("gold",), "b": ("solid",)}
    assert guess_game(frozenset("#Gb"), Legend(tags)) == "runner"
    assert guess_game(frozenset("ab"), Legend()) is None


# -- constraints -----------------------------------------------------------------------------------


def test_a_constraint_names_the_places_that_break_it() -> None:
    legend = Legend({"b": ("solid", "diggable"), "#": ("ladder",), "G": ("gold",), "M": ("spawn",)})
    bad, good = level("....\n.G..\nBBBB\nM...\nbbbb"), level("...G\n..#b\nM.#.\nbbbb\nbbbb")
    field = LevelField(LevelForm(5, 4, legend=legend))
    field.fit([bad, good])
    field.settle()
    for words in ("playable", "spawn == 1", "M <= 1", "gold >= 1"):
        assert not field.constraint(words).broken([good]).any(), words
    wrong = field.constraint("playable").broken([bad])
    assert wrong.shape == (1, 1, 5, 4)
    assert wrong[0, 0, 0, 0]
    assert not wrong[0, 0, 4].any()
    many = level("MMGG\nGGGG\nbbbb\nbbbb\nbbbb")
    wrong = field.constraint("spawn == 1").broken([many])[0, 0]
    assert wrong.sum() == 1
    assert many.tiles[wrong].tolist() == ["M"]
    none = level("GGGG\nGGGG\nbbbb\nbbbb\nbbbb")
    assert field.constraint("spawn == 1").broken([none]).any()
    for words, code in (("fun", "not-a-constraint"), ("silver > 2", "no-such-tile")):
        with pytest.raises(RecipeError) as caught:
            field.constraint(words)
        assert caught.value.code == code


def test_a_file_of_sokoban_is_a_level_by_its_name_and_is_written_under_it(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for i in range(3):  # noise, in which nothing hangs together
        rows = ["".join(rng.choice(list("# .$@"), 7)).rstrip() + "#" for _ in range(7)]
        (tmp_path / f"{i}.xsb").write_text("\n".join(rows) + "\n")
    assert find(tmp_path).codec == "level"
    (tmp_path / "0.xsb").rename(tmp_path / "0.txt")
    assert LevelCodec.sniff([tmp_path / "0.txt"]) == 0
    codec, source = make_codec("level", {}), find(tmp_path / "1.xsb")
    field = codec.fields(source)["level"]
    assert field.suffix == ".xsb"
