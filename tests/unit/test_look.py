"""`look`: what there is at once, a sample of much, and each family with what it costs."""

from __future__ import annotations

import gc
import json
import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import numpy as np
import pandas
import pytest
from rich.console import Console

from commands import call, classes, done, pictures, table
from genwright import api, experiment, weighing
from genwright.cli import console, looking
from genwright.data.image.codec import ImageCodec
from genwright.data.table import codec as tables
from genwright.data.text import codec as texts
from genwright.experiment import open_data
from genwright.recipe import TrainOptions
from genwright.registry import names
from genwright.training import cost, rates
from genwright.training.cost import Cost
from genwright.training.operations import OperationCounter
from genwright.training.step import TrainStep


@pytest.fixture
def faces(tmp_path: Path) -> Path:
    return classes(tmp_path / "faces")


# -- families --------------------------------------------------------------------------------------


def test_every_family_that_fits_has_an_estimate_and_none_takes_a_step(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def left_out(n: int = 1, *, computes: bool = False) -> OperationCounter:
        assert not computes
        return OperationCounter(n)

    monkeypatch.setattr(TrainStep, "__call__", None)
    monkeypatch.setattr(cost, "OperationCounter", left_out)
    told: list[str] = []
    found = api.look(
        faces,
        size="xs",
        found=lambda seen: told.append(seen.name),
        report=lambda v: told.append(v.family),
    )
    assert told == ["faces", *(verdict.family for verdict in found.families)]
    assert sorted(told[1:]) == sorted(names("families"))
    assert told[1] == "diffusion"  # the recommended one
    assert [v.family for v in found.families if v.outcome == "refused"] == []
    for verdict in found.families:
        assert verdict.seconds_per_step is not None
        assert verdict.bytes_per_step is not None
        assert verdict.seconds_per_step > 0
        assert verdict.bytes_per_step > 0


def test_of_many_alike_columns_some_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    frame = pandas.DataFrame(rng.normal(size=(40, 300)).round(3)).add_prefix("c")
    frame["sort"] = [*"abcd"] * 10
    frame.to_csv(tmp_path / "wide.csv", index=False)
    recipe, dataset = open_data(api.make_recipe(tmp_path / "wide.csv", family="vae", size="xs"))
    some = experiment.Untrained(recipe, dataset)
    assert some.plain.model.pipeline.made.space.stored == 1 + 300 // (300 // experiment.ALIKE)
    monkeypatch.setattr(experiment, "ALIKE", 300)
    whole = experiment.Untrained(recipe, dataset)
    assert whole.plain.model.pipeline.made.space.stored == 301
    assert some.cost().seconds == pytest.approx(whole.cost().seconds, rel=0.1)


def test_of_a_stack_of_like_steps_two_are_counted(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, dataset = open_data(api.make_recipe(faces, family="flow", size="xs"))
    some = experiment.Untrained(recipe, dataset)
    assert some.plain.recipe.family.options["steps"] == 1
    # At rates that do not change from one moment to the next.
    each = {"calls": 1e-5, "bytes": 1e-10, "flops": 1e-11}
    monkeypatch.setattr(rates, "_rate", lambda kind, unit, dtype: each[unit])
    told = some.cost()
    monkeypatch.setattr(experiment, "_shallow", lambda recipe, dataset: None)
    whole = experiment.Untrained(recipe, dataset)
    assert whole.plain.recipe.family.options["steps"] == 6
    assert told.seconds == pytest.approx(whole.cost().seconds, rel=0.02)
    assert told.bytes == pytest.approx(whole.cost().bytes, rel=0.02)


def test_nothing_is_collected_while_a_command_looks(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collects = list[bool]()

    def looked(data: object, **choices: object) -> None:
        collects.append(gc.isenabled())
        raise RuntimeError("enough")

    monkeypatch.setattr(api, "look", looked)
    assert call("look", faces).code == 1
    assert collects == [False]
    assert gc.isenabled()


def test_what_is_refused_comes_last(tmp_path: Path) -> None:
    outcomes = [v.outcome == "refused" for v in api.plan(table(tmp_path / "rows.csv"), size="xs")]
    assert any(outcomes)
    assert outcomes == sorted(outcomes)


def test_what_a_family_refuses_by_its_options_is_a_row_too(tmp_path: Path) -> None:
    words = ["ab", "cd ef", "gh ij kl", "mn"]
    pairs = [{"prompt": words[i % 4], "completion": words[i % 3] + str(i)} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    found = api.look(tmp_path / "pairs.jsonl", given=["prompt"], size="xs")
    (flow,) = [verdict for verdict in found.families if verdict.family == "flow"]
    assert flow.outcome == "refused"
    assert "cannot leave out a part" in flow.reason
    assert found.advice is not None


def test_a_way_out_of_a_refusal_is_taken_here(tmp_path: Path) -> None:
    rows = table(tmp_path / "rows.csv")
    for verdicts in (api.plan(rows, size="xs"), api.plan(rows, size="xs", family="style")):
        (style,) = [verdict for verdict in verdicts if verdict.family == "style"]
        assert style.outcome == "refused"
        assert style.ways == []  # the others that learn without pairs want a label
    style = api.plan(rows, size="xs", family="style", label="y")[0]
    assert style.ways == ["--family stargan"]


@pytest.mark.parametrize(
    ("settings", "cost", "why"),
    [
        (["train.steps=2000"], Cost(2.5, 10**6), "a step takes 2.5 s"),
        ([], Cost(9.0, 10**6), "a step takes 9.0 s, so that 10 min are for few of them"),
        ([], Cost(0.1, 10**9), "wants 1.0 of the 2.0 GB"),
    ],
)
def test_too_large_is_said_with_the_ways_out(
    faces: Path, monkeypatch: pytest.MonkeyPatch, settings: list[str], cost: Cost, why: str
) -> None:
    monkeypatch.setattr(experiment.Untrained, "cost", lambda self, batch=None: cost)
    monkeypatch.setattr(weighing, "free_memory", lambda: 2e9)
    monkeypatch.setattr(weighing, "own_share", lambda: 1.0)
    (verdict,) = api.plan(faces, family="autoregressive", settings=settings)
    assert why in verdict.too_large
    assert verdict.outcome == "bridged"
    assert verdict.size == ("s" if settings else "xs")  # which is what time would have
    assert ("--size xs" in verdict.ways) == bool(settings)
    assert not any("codec.size" in way for way in verdict.ways)  # 8 x 8 is smaller than that
    assert any("bridge.bins" in way for way in verdict.ways)
    words = [word for setting in settings for word in ("--set", setting)]
    said = done("plan", faces, "--family", "autoregressive", *words).out
    assert f"too large here: {verdict.too_large}" in said
    assert all(f"try {way}" in said for way in verdict.ways)


def test_where_time_decides_a_step_is_of_as_many_examples_as_it_allows(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(self: experiment.Untrained, batch: int | None = None) -> Cost:
        return Cost(0.1 * (batch or 128), 10**6)

    monkeypatch.setattr(experiment.Untrained, "cost", cost)
    monkeypatch.setattr(weighing, "own_share", lambda: 1.0)
    (verdict,) = api.plan(faces, family="vae", settings=["train.minutes=10"])
    assert verdict.seconds_per_step == pytest.approx(0.8)  # 8 of the 128 that the family takes
    assert verdict.too_large == ""


def test_a_plan_of_minutes_is_what_train_would_do_in_them(
    faces: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(self: experiment.Untrained, batch: int | None = None) -> Cost:
        return Cost(0.01 * (batch or 128), 10**6)

    monkeypatch.setattr(experiment.Untrained, "cost", cost)
    monkeypatch.setattr(weighing, "own_share", lambda: 1.0)
    monkeypatch.setattr(experiment, "own_share", lambda: 1.0)
    (verdict,) = api.plan(faces, family="vae", minutes=0.5)
    begun: list[str] = []
    model = api.train(
        faces,
        family="vae",
        minutes=0.5,
        out=tmp_path / "run",
        begun=lambda run, _: begun.append(run.plan),
        stop=lambda: True,
    )
    assert verdict.batch_size == model.recipe.train.batch_size == 8
    assert verdict.size == model.recipe.size == "xs"
    assert verdict.steps == 375  # 30 s of 0.08 s each
    assert "0.5 min of 8 examples" in begun[0]
    said = done("plan", faces, "--family", "vae", "--minutes", "0.5").out
    assert "0.5 min" in said
    assert re.search(r"vae +native +xs +8 +80 ms +375 steps", said)


# -- what would be worth making --------------------------------------------------------------------


def test_the_command_trains_what_is_recommended(faces: Path) -> None:
    advice = api.look(faces, size="xs", label="label", settings=["train.steps=7"]).advice
    assert advice is not None
    assert (advice.family, advice.task, advice.size, advice.steps) == ("diffusion", "generate", "xs", 7)
    words = f"genwright train {faces} --size xs --label label --set train.steps=7 --family diffusion"
    assert sorted(advice.command.split()) == sorted(words.split())
    assert advice.seconds > 0
    assert advice.caution.startswith("23 pictures to train on are few")


def test_a_smaller_size_is_recommended_where_the_one_asked_for_is_too_large(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cost(self: experiment.Untrained, batch: int | None = None) -> Cost:
        recipe = self.plain.recipe
        small = recipe.size == "xs" or recipe.family.name == "vae"
        return Cost(0.1 if small else 10.0, 10**6)

    monkeypatch.setattr(experiment.Untrained, "cost", cost)
    advice = api.look(faces, settings=["train.steps=7"]).advice
    assert advice is not None
    assert (advice.family, advice.size) == ("diffusion", "xs")
    assert "--size xs" in advice.command


def test_a_length_that_is_open_follows_from_the_time(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiment.Untrained, "cost", lambda self, batch=None: Cost(0.5, 10**6))
    monkeypatch.setattr(experiment, "share_of_a_core", lambda: 1.0)
    advice = api.look(faces, label="label").advice
    assert advice is not None
    assert advice.command == f"genwright train {faces} --label label --family diffusion"
    assert (advice.steps, advice.seconds) == (1_000, 500.0)  # of little data less than ten minutes


def test_what_cannot_be_good_in_the_time_is_not_called_good(capsys: pytest.CaptureFixture[str]) -> None:
    advice = weighing.Advice("vae", "generate", "xs", 81, 600.0, "genwright train sounds")
    looking.show_advice(advice)
    looking.show_advice(replace(advice, steps=2_000))
    few, enough = capsys.readouterr().out.split("worth making")[1:]
    assert "about 10 min make 81 steps, too few to be good: --minutes 60" in few
    assert "good after about 10 min (2,000 steps)" in enough


def test_nothing_is_recommended_that_memory_does_not_hold(
    faces: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "free_memory", lambda: 1.0)
    assert api.look(faces, size="xs").advice is None
    assert "nothing can be made of this here" in done("look", faces, "--size", "xs").out


# -- a sample --------------------------------------------------------------------------------------


def test_of_many_rows_a_sample_is_looked_at_and_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ENOUGH", 600)
    path = table(tmp_path / "rows.csv", ((i, "abc"[i % 3], i % 9) for i in range(2_000)))
    found = api.look(path, size="xs")
    assert sum(found.counts.values()) == 100
    assert 1_900 <= found.total <= 2_100
    assert found.facts["rows"] == found.counts["train"]
    said = done("look", path, "--size", "xs").out
    assert f"a sample of 100 of about {found.total:,} rows was looked at" in said
    assert "no example fell" not in said
    # What is trained on is all of it.
    counts = open_data(api.make_recipe(path))[1].stats.counts
    assert sum(counts.values()) == 2_000


@pytest.mark.parametrize("name", ["rows.csv", "rows.jsonl", "rows.parquet", "rows.csv.gz"])
def test_a_sample_of_rows_is_from_all_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(tables, "ENOUGH", 600)
    path, frame = tmp_path / name, pandas.DataFrame({"a": np.arange(3_000) + 0.5, "b": "x y"})
    if ".csv" in name:
        frame.to_csv(path, index=False)
    elif "jsonl" in name:
        frame.to_json(path, orient="records", lines=True)
    else:
        frame.to_parquet(path, index=False, row_group_size=100)
    found = open_data(api.make_recipe(path), sampled=True)[1]
    column = found.fields["row"].columns["a"]  # type: ignore[attr-defined]
    assert float(column.about["max"]) > 2_500
    assert float(column.about["min"]) < 100
    assert "only the beginning" not in " ".join(found.stats.warnings)
    assert 80 <= sum(found.stats.counts.values()) <= 150
    assert found.stats.bad_count == 0


def test_rows_of_several_lines_are_read_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tables, "ENOUGH", 600)
    path = table(tmp_path / "rows.csv", ((i, '"a\nb"', i % 9) for i in range(2_000)))
    stats = open_data(api.make_recipe(path), sampled=True)[1].stats
    assert "only the beginning was looked at" in " ".join(stats.warnings)
    assert stats.bad_count == 0


def test_few_rows_are_all_looked_at(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv")
    found = api.look(path, size="xs")
    assert found.total == sum(found.counts.values()) == 80
    assert "sample" not in done("look", path, "--size", "xs").out
    assert found.counts == open_data(api.make_recipe(path))[1].stats.counts


def test_a_sample_of_pictures_is_from_all_over(faces: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageCodec, "enough", lambda self, source: 20)
    stats = open_data(api.make_recipe(faces), sampled=True)[1].stats
    assert sum(stats.counts.values()) == 10
    assert stats.total == 30
    assert len(stats.labels["label"]) == 2  # both classes, though the first one has enough


def test_a_sample_of_pairs_keeps_them_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageCodec, "enough", lambda self, source: 12)
    for side in ("input", "target"):
        pictures(tmp_path / "pairs" / side, 30)
    recipe = api.make_recipe(tmp_path / "pairs", given="input", make="target")
    stats = open_data(recipe, sampled=True)[1].stats
    assert 6 <= sum(stats.counts.values()) <= 12
    assert stats.bad_count == 0


def test_a_sample_of_a_long_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.txt"
    path.write_text("the quick brown fox jumps over the lazy dog. " * 60_000)
    monkeypatch.setattr(texts, "ENOUGH", 1 << 21)
    dataset = open_data(api.make_recipe(path), sampled=True)[1]
    whole = 45 * 60_000 / 256  # windows side by side
    assert sum(dataset.stats.counts.values()) < 0.8 * whole
    assert dataset.stats.total == pytest.approx(whole, rel=0.2)
    assert dataset.unit == "windows"
    assert dataset.fields["text"].facts()["characters"] < 2_500_000


# -- in words --------------------------------------------------------------------------------------


def test_figures_are_as_people_write_them(tmp_path: Path) -> None:
    path = table(tmp_path / "rows.csv", ((i * 1.5, "ab"[i % 4 == 0], i % 3) for i in range(1_200)))
    said = done("look", path, "--size", "xs", "--set", "train.steps=2000").out
    assert "1,200 rows" in said
    assert "b 25%" in said or "b 24%" in said or "b 26%" in said
    assert "[" not in said.split("family")[0]  # no list of Python
    assert "2,000 steps" in said


@pytest.mark.parametrize("width", [40, 60, 100])
def test_a_narrow_terminal_wraps_and_cuts_nothing_off(
    faces: Path, monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    screen = StringIO()
    monkeypatch.setattr(
        console,
        "_console",
        lambda width=width: Console(file=screen, force_terminal=True, width=width, no_color=True),
    )
    found = api.plan(faces, family="vae", size="xs")[0]
    with looking.weighing(TrainOptions(steps=2_000)) as told:
        told(replace(found, seconds_per_step=7654.0, bytes_per_step=12_300_000_000))
    shown = " ".join(screen.getvalue().split())
    for word in (
        "family",
        "how it fits",
        "2,000 steps",
        "memory",
        "vae",
        "native",
        "7,654 s",
        "12.3 GB",
    ):
        assert word in shown
    assert "weighing families" in shown


def test_a_pipe_gets_whole_lines_alone(faces: Path) -> None:
    said = done("look", faces, "--size", "xs").out
    assert "weighing families" not in said
    assert "\x1b" not in said
    # What a bridge does stands once, however many families need it.
    lines = said.splitlines()
    assert sum("  by quantize  " in line for line in lines) > 2
    assert sum(line.startswith("bridged by quantize: from ") for line in lines) == 1
    assert sum("symbols out of 256" in line for line in lines) == 1


def test_json_has_all_of_it(faces: Path) -> None:
    found = json.loads(done("look", faces, "--size", "xs", "--json").out)
    assert found["advice"]["command"].startswith("genwright train ")
    assert found["total"] == 30
    assert found["unit"] == "pictures"
    assert {"name", "codec", "space", "counts", "facts", "labels", "warnings"} <= found.keys()
    keys = {"family", "outcome", "bridge", "reason", "ways", "seconds_per_step", "too_large"}
    assert all(keys <= verdict.keys() for verdict in found["families"])


def test_a_warning_about_two_fields_stands_once_and_names_them(tmp_path: Path) -> None:
    words = ["ab", "cd ef", "gh ij kl", "mn"]
    pairs = [{"prompt": words[i % 4], "completion": words[i % 4]} for i in range(60)]
    (tmp_path / "pairs.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in pairs))
    _, dataset = open_data(
        api.make_recipe(tmp_path / "pairs.jsonl", given=["prompt"], make="completion")
    )
    few = [warning for warning in dataset.stats.warnings if "ids to learn from" in warning]
    assert len(few) == 1
    names, _, sentence = few[0].partition(": ")
    assert set(names.split(" and ")) == {"prompt", "completion"}
    assert sentence.startswith("only ")
