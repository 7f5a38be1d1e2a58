"""The page of a run: its parts, what is drawn of a training, and that nothing in it runs but its own script."""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from html import unescape
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from genwright.data.codec import Preview, Sounded
from genwright.data.preview import as_html, as_json, from_json
from genwright.families.flow import Flow
from genwright.families.vae import VAE
from genwright.report import run_page
from genwright.report.curves import HEIGHT, POINTS, WIDTH, Chart, charts
from genwright.report.run_page import Command
from genwright.storage.run import Run

EVIL = "</pre><script>alert('1')</script> {{ 7*7 }} & \udcff"
KINDS = [
    Preview("png", png=b"\x89PNG", text="a caption"),
    Preview("rows", rows=(("x", EVIL), ("1", "2"))),
    Preview("text", text=EVIL),
    Preview("sounds", sounds=(Sounded(b"RIFF", b"\x89PNG"),), text=EVIL),
]
Records = Sequence[Mapping[str, Any]]


def a_run(folder: Path, records: Records = (), family: str = "vae", plan: str = "data  x\n") -> Run:
    run = Run.create(folder, recipe={"family": {"name": family}}, plan=plan, codec={})
    with run.lock():
        for record in records:
            run.log(record)
    return run


def losses(*steps: int, value: float = 1.0) -> list[dict[str, Any]]:
    return [{"step": step, "loss/kl": value, "loss/reconstruction": value} for step in steps]


def page_of(run: Run, shown: Preview | None = None, frames: Sequence[int] = ()) -> str:
    for step in frames:
        run.samples_dir(step)
        run_page.keep_samples(run, step, Preview("text", text=f"made at {step}"))
    command = Command("make more", f"genwright sample '{EVIL}'")
    return run_page.finish(run, shown, {EVIL: EVIL}, [command]).read_text(encoding="utf-8")


# -- the parts -------------------------------------------------------------------------------------


def test_each_part_is_there_and_can_be_gone_to(tmp_path: Path) -> None:
    text = page_of(a_run(tmp_path / "run", losses(1, 2)), KINDS[2], [10, 20, 30])
    parts = re.findall(r'<section id="(\w+)"', text)
    assert parts == ["verdict", "samples", "course", "training", "guard", "next", "plan"]
    assert re.findall(r'href="#(\w+)"', text) == parts
    assert re.findall(r'data-step="(\d+)"', text) == ["10", "20", "30"]
    (slider,) = re.findall(r'<input[^>]*type="range"[^>]*>', text)
    assert 'min="0" max="2" value="2"' in slider
    assert [f"made at {step}" in text for step in (10, 20, 30)] == [True] * 3
    assert "Not judged yet" in text


def test_one_step_alone_needs_no_slider(tmp_path: Path) -> None:
    text = page_of(a_run(tmp_path / "run"), KINDS[2], [10])
    assert "<input" not in text
    assert 'id="course"' not in text


def test_tables_scroll_in_a_box_of_their_own(tmp_path: Path) -> None:
    alarm = {"step": 1, "guard": "spike", "words": "w", "did": "told"}
    text = page_of(a_run(tmp_path / "run", [*losses(1), alarm]), KINDS[1])
    tables = re.findall(r"(.{0,120})<table(?! class=\"card\")", text, re.S)
    assert len(tables) == 2
    assert all('<div class="scroll" tabindex="0"' in before for before in tables)


@pytest.mark.parametrize("shown", KINDS, ids=[one.kind for one in KINDS])
def test_what_a_stranger_wrote_is_text(tmp_path: Path, shown: Preview) -> None:
    alarm = {"step": 2, "guard": EVIL, "words": EVIL, "did": EVIL}
    run = a_run(tmp_path / "<b>{{ 1 }}", [*losses(1), alarm], plan=f"data  {EVIL}\n")
    (run.path / "judge").mkdir()
    claim = {"outcome": "supported", "question": EVIL, "because": EVIL}
    report = {"findings": [claim], "facts": {"step": None}}
    (run.path / "judge" / "report.json").write_text(json.dumps(report), encoding="utf-8")
    text = page_of(run, shown)
    script = re.findall(r"<script>(.*?)</script>", text, re.S)
    assert len(script) == text.count("<script") == 1
    assert "alert" not in script[0]
    assert "<b>{{" not in text
    assert text.count("{{ 7*7 }}") >= 9
    assert "<title>&lt;b&gt;{{ 1 }}</title>" in text


def test_only_its_own_script_may_run_and_nothing_is_fetched(tmp_path: Path) -> None:
    text = page_of(a_run(tmp_path / "run", losses(1)), KINDS[0], [1, 2])
    (policy,) = re.findall(r'Content-Security-Policy" content="([^"]*)"', text)
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.S)
    digest = b64encode(sha256(script.encode()).digest()).decode()
    assert unescape(policy).endswith(f"; script-src 'sha256-{digest}'")
    assert "default-src 'none'" in policy
    assert all(source.startswith("data:") for source in re.findall(r'src="([^"]*)"', text))
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize("shown", KINDS, ids=[one.kind for one in KINDS])
def test_what_is_shown_is_kept_as_json(shown: Preview) -> None:
    assert from_json(json.loads(json.dumps(as_json(shown)))) == shown


def test_of_many_steps_some_are_shown_with_the_first_and_the_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shown() -> list[str]:
        return re.findall(r'data-step="(\d+)"', run_page.write_page(run).read_text(encoding="utf-8"))

    run = a_run(tmp_path / "run")
    page_of(run, None, range(1, 41))
    assert (len(shown()), shown()[0], shown()[-1]) == (12, "1", "40")
    size = (run.path / "page" / "000040.json").stat().st_size
    monkeypatch.setattr(run_page, "FRAMES_BYTES", 3 * size)
    assert shown() == ["1", "20", "40"]
    # Samples of a way that training came back from are gone, and are not shown.
    (run.path / "samples" / "000040").rmdir()
    assert shown()[-1] == "39"


# -- the verdict -----------------------------------------------------------------------------------


def test_a_verdict_comes_onto_the_page_and_says_which_step_it_is_of(tmp_path: Path) -> None:
    run = a_run(tmp_path / "run")
    run_page.refresh(run.path)
    assert not (run.path / "index.html").exists()  # nothing is known of it yet
    page_of(run)
    (run.path / "judge").mkdir()
    claim = {"outcome": "not supported", "question": "Is it good?", "because": "It is not."}
    report = {"findings": [claim], "facts": {"step": 500}}
    (run.path / "judge" / "report.json").write_text(json.dumps(report))
    run_page.refresh(run.path)
    text = (run.path / "index.html").read_text()
    item = text[text.index('<li class="not-supported"') :].split("</li>")[0]
    assert "Is it good?" in item
    assert 'href="judge/report.html"' in text
    assert "It judged step 500; the run is at step 0 by now" in text


def test_what_has_no_shape_is_written_out() -> None:
    page = as_html(Preview("text", text="naïve 雨\u200d\n\ufffd\a\ud800"), "a text")
    assert "naïve 雨\u200d\n\\ufffd\\x07\\ud800" in page
    rows = as_html(Preview("rows", rows=(("a",), ("\ufffd",))), "rows")
    assert "\\ufffd" in rows
    assert "\ufffd" not in rows


# -- the curves ------------------------------------------------------------------------------------


def points(text: str) -> list[tuple[float, float]]:
    return [(float(x), float(y)) for x, y in (pair.split(",") for pair in text.split())]


def test_held_out_stands_beside_training_where_both_are_of_one_unit() -> None:
    records = [{"step": s, "loss/a": 2.0, "loss/b": 1.0, "val_loss": 4.0} for s in (1, 50, 100)]
    first, *terms = charts(records, VAE.loss_units, best=50)
    assert (first.title, first.unit) == ("Loss", "nats an example")
    assert [(line.name, line.last) for line in first.lines] == [("in training", "3"), ("held out", "4")]
    assert first.kept == points(first.lines[1].points)[1]
    assert [one.title for one in terms] == ["Term of the loss: a", "Term of the loss: b"]
    for family, phases in ((Flow, 1), (VAE, 2)):  # nats of a number and of an example; another phase
        titles = [one.title for one in charts(records, family.loss_units, phases)]
        assert titles[0] == "Held-out loss"
        assert "Loss" not in titles
    assert [one.title for one in charts(losses(1, 2), phases=2)] == [
        "Term of the loss: kl",
        "Term of the loss: reconstruction",
    ]


def test_what_is_measured_of_samples_is_drawn_and_what_is_no_number_is_not() -> None:
    records = [{"step": 1, "coverage": 0.5, "judge/kid": math.nan, "sign/kl": 1.0}]
    records += [{"step": 2, "coverage": math.inf, "judge/kid": 0.2, "rate": 1.0}]
    assert [(one.title, one.lines[0].last) for one in charts(records)] == [
        ("Coverage", "0.5"),
        ("kid of samples", "0.2"),
    ]
    assert charts([]) == []


def numbers(ticks: Any) -> list[float]:
    """As a printer sets them, read."""
    return [float(tick.text.replace("\u202f", "").replace("−", "-")) for tick in ticks]


@pytest.mark.parametrize(
    ("low", "high"), [(0.0, 1.0), (13.2, 69.0), (-1200.5, -3.0), (1e-4, 3e-4), (5.0, 5.0), (0.0, 1e7)]
)
def test_axes_have_round_numbers_around_all_that_is_drawn(low: float, high: float) -> None:
    records = [{"step": step, "loss/a": value} for step, value in ((1, high), (999, low), (1000, high))]
    (chart,) = charts(records)
    up, across = numbers(chart.up), numbers(chart.across)
    assert up[0] <= low <= high <= up[-1]
    assert 2 <= len(up) <= 7
    assert across[0] == 0
    assert across[-1] <= 1000
    assert len({round(b - a, 9) for a, b in pairwise(up)}) == 1
    for x, y in points(chart.lines[0].points):
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT
        at = [abs(tick.at - y) for tick in chart.up]
        assert min(at) <= abs(chart.up[1].at - chart.up[0].at)


def test_a_wild_beginning_does_not_press_the_rest_flat() -> None:
    records = [{"step": s, "loss/a": 1e6 if s == 1 else 1.0 + s % 2} for s in range(1, 101)]
    assert numbers(charts(records)[0].up)[-1] <= 3


def test_ways_that_training_came_back_from_are_drawn_apart(tmp_path: Path) -> None:
    alarm = {"step": 40, "guard": "spike", "words": "the loss rose", "did": "back to step 20"}
    records = [*losses(10, 20, 30, 40), alarm, *losses(30, 40, 50)]
    chart = charts(records, VAE.loss_units)[0]
    line = chart.lines[0]
    assert [x for x, _ in points(line.points)] == sorted(x for x, _ in points(line.points))
    assert len(points(line.points)) == 5
    (left,) = line.left
    assert len(points(left)) == 3  # from step 20, where it came back to
    (mark,) = chart.marks
    assert mark.number == 1
    assert mark.x == points(left)[-1][0]
    text = page_of(a_run(tmp_path / "run", records))
    assert text.count('class="alarm"') == len(charts(records, VAE.loss_units))
    assert text.count('class="left curve-0"') == len(charts(records, VAE.loss_units))
    assert "<title>step 40: the loss rose</title>" in text


def test_a_long_log_is_drawn_by_means_with_both_ends() -> None:
    records = losses(*range(1, 10_001))
    (line,) = charts(records, VAE.loss_units)[0].lines
    drawn = points(line.points)
    assert len(drawn) == POINTS
    assert drawn[-1][0] == WIDTH - 10


def test_of_many_alarms_the_first_are_numbered() -> None:
    alarms = [{"step": s, "guard": "spike", "words": "w"} for s in range(1, 31)]
    chart: Chart = charts([*losses(100), *alarms])[0]
    assert [mark.number for mark in chart.marks] == [*range(1, 13), *[0] * 18]
