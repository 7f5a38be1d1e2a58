"""The report: every figure with its company, on a page that nothing can break out of, and on any terminal."""

from __future__ import annotations

import errno
import io
import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from genwright.cli import console
from genwright.data.codec import Preview, Sounded
from genwright.errors import RunError
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import Claim, EvaluationReport, Gallery, MetricResult
from genwright.report import evaluation_page
from genwright.report.figures import WIDTH, formatted, strip, typeset
from genwright.report.summary import Summary
from genwright.storage import durable


def about(value: float, half: float, n: int = 1000) -> Measurement:
    return Measurement(value, value - half, value + half, n)


FD = MetricResult(
    metric="fd",
    group="fidelity",
    better="lower",
    how="Distance between two bells of features.",
    validated=True,
    model=about(2.4137, 0.21),
    real_baseline=about(0.8812, 0.093),
    train_copy=about(0.86, 0.09),
    baselines={"marginals": about(14.2, 0.7), "gaussian": about(5.1, 0.3), "noise": about(912.0, 9)},
    skill=0.6368,
)
KID = replace(
    FD,
    metric="kid",
    validated=False,
    model=about(-0.00031, 0.00042),
    real_baseline=about(-0.00008, 0.00035, 500),
    train_copy=about(-0.0001, 0.0003),
    baselines={"noise": about(0.31, 0.004)},
    skill=None,
)
TINY = MetricResult(
    "density_gap",
    "diversity",
    "near",
    "Best where real examples are.",
    True,
    about(1.234e-9, 2.1e-11),
    real_baseline=about(1.1e-9, 1e-11),
    baselines={"below": about(5e-10, 1e-11), "close": about(1.4e-9, 1e-11)},
    skill=-3.5,
)
HUGE = MetricResult("bits", "likelihood", "lower", "Bits per example.", True, about(4.2e8, 3e6))
HEEDED = MetricResult("heeded", "condition", "higher", "0: ignored.", True, about(0.912, 0.018))
REFUSED = MetricResult(
    "mauve", "usefulness", "higher", "Overlap.", False, None, refused="mauve needs 1000 examples of each"
)
DEMO = EvaluationReport(
    title="digits-diffusion against 1,000 held-out digits",
    claims=(
        Claim("supported", "Does it beat trivial generators?", "fd 2.41, the best baseline 5.1."),
        Claim("not supported", "Does it look real?", "fd 2.41 [2.20, 2.62] is above the floor 0.88."),
        Claim("inconclusive", "Did it copy?", "nearest_share 0.51, the floor 0.50."),
    ),
    facts={"seed": 20240101, "weak features": True, "sizes": {"train": 5}, "nothing": None},
    results=(REFUSED, FD, KID, TINY, HUGE, HEEDED),
    galleries=(
        Gallery("Nearest", "Worst first.", (("generated", Preview("png", png=b"\x89PNG")),)),
        Gallery(
            "Rows", "As drawn.", (("rows", Preview("rows", rows=(("age", "city"), ("41", "Köln")))),)
        ),
        Gallery("Texts", "At random.", (("a text", Preview("text", text="To be,\nor <not> to be")),)),
        Gallery(
            "Sounds", "At random.", (("a sound", Preview("sounds", sounds=(Sounded(b"RIFF", b"P"),))),)
        ),
    ),
    not_measured=("Whether an attacker can tell who was in the training data.",),
)
BARE = EvaluationReport("nothing", (), {}, ())
VOID = {"meta", "img", "br"}
SVG = {"path", "circle", "rect", "polyline"}


class Page(HTMLParser):
    """Elements, their attributes and text; fails where a tag is left open or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.texts: list[tuple[tuple[str, dict[str, str]], str]] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] != "style":
            self.texts.append((self.seen[-1], data))

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.texts)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.seen if name == tag]


# -- whatever it is made of ------------------------------------------------------------------------

EVIL = "<script>alert(\"1\")</script> {{ 7*7 }} & 'q' \u202eevil\u2069 שלום 🎲 \udcff"
texts = st.one_of(
    st.just(EVIL), st.text(min_size=1, max_size=8), st.sampled_from(["<b", "'>", "]]>", "--"])
)
numbers = st.floats(allow_nan=True, allow_infinity=True)
measurements = st.builds(Measurement, st.floats(-1e300, 1e300), numbers, numbers, st.integers(1, 10**6))
results = st.builds(
    MetricResult,
    metric=texts,
    group=st.sampled_from(["fidelity", "diversity", "condition", "novelty", "validity"]),
    better=st.sampled_from(["lower", "higher", "near"]),
    how=texts,
    validated=st.booleans(),
    model=st.none() | measurements,
    real_baseline=st.none() | measurements,
    train_copy=st.none() | measurements,
    baselines=st.dictionaries(texts, measurements, max_size=3),
    skill=st.none() | st.floats(-10, 1),
    refused=texts,
    validation=texts,
)
previews = st.one_of(
    st.builds(Preview, kind=st.just("text"), text=texts),
    st.builds(Preview, kind=st.just("png"), png=st.binary(max_size=3)),
    st.builds(
        lambda rows: Preview("rows", rows=tuple(map(tuple, rows))),
        st.lists(st.lists(texts, min_size=2, max_size=2), max_size=2),
    ),
)
reports = st.builds(
    EvaluationReport,
    title=texts,
    claims=st.lists(
        st.builds(Claim, st.sampled_from(["supported", "not supported", "inconclusive"]), texts, texts),
        max_size=2,
    ).map(tuple),
    facts=st.dictionaries(texts, texts | st.lists(texts, max_size=2), max_size=2),
    results=st.lists(results, max_size=3).map(tuple),
    galleries=st.lists(
        st.builds(Gallery, texts, texts, st.lists(st.tuples(texts, previews), max_size=2).map(tuple)),
        max_size=2,
    ).map(tuple),
    not_measured=st.lists(texts, max_size=2).map(tuple),
)
ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "h3", "nav", "a", "main"),
    *(
        "section",
        "ul",
        "li",
        "span",
        "div",
        "p",
        "b",
        "small",
        "table",
        "caption",
        "thead",
        "tbody",
        "tr",
    ),
    *("th", "td", "figure", "figcaption", "img", "pre", "audio", "br", "svg", "text", *SVG),
}


@settings(max_examples=60, deadline=None)
@given(report=reports)
def test_nothing_escapes_and_every_figure_appears(report: EvaluationReport) -> None:
    made = evaluation_page.html(report)
    page = Page(made)
    assert {tag for tag, _ in page.seen} <= ALLOWED
    for tag, attrs in page.seen:
        assert not [name for name in attrs if name.startswith("on") or (name == "style" and tag == "td")]
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(
                ("#", "data:image/png;base64,", "data:audio/wav;base64,")
            )
    whole = page.text.replace("\r", "\n")
    for one in report.results:
        for found in (one.model, one.real_baseline, one.train_copy, *one.baselines.values()):
            if found is not None:
                value, low, high = map(typeset, formatted(found))
                assert all(part in whole for part in (value, f"[{low},", f"{high}]"))
    for text in (report.title, *(claim.because for claim in report.claims), *report.not_measured):
        assert text.replace("\r\n", "\n").replace("\r", "\n") in whole
    # U+202E in a text must not turn what follows it.
    for (tag, attrs), text in page.texts:
        assert (
            "\u202e" not in text
            or tag in ("title", "b", "small", "br")
            or attrs.get("dir") == "auto"
            or (tag == "p" and attrs.get("class") == "name")
        )
    assert made == evaluation_page.html(replace(report))
    twin = evaluation_page.to_json(report)
    assert json.loads(json.dumps(twin, allow_nan=False)) == twin


def test_a_strangers_template_is_not_run() -> None:
    page = Page(evaluation_page.html(replace(DEMO, title="{{ 7*7 }} {% raw %}")))
    assert "{{ 7*7 }} {% raw %}" in page.text
    assert "49" not in Page(evaluation_page.html(replace(BARE, title="{{ 7*7 }}"))).text


# -- the page --------------------------------------------------------------------------------------


def test_the_page_says_what_is_missing_and_an_outcome_by_more_than_a_colour() -> None:
    text = evaluation_page.html(DEMO)
    row = text[text.index(">mauve<") :].split("</tr>")[0]
    assert "not measured: mauve needs 1000 examples" in row
    assert row.count(">not measured</span>") == 4  # strip, floor, copycat, baselines
    assert row.count(">not defined</span>") == 1
    assert text.count("✗ unvalidated") == 2
    last = text[text.index('id="missing"') :]
    assert "mauve needs 1000" in last
    assert "who was in the training data" in last
    for mark, word in (("✓", "supported"), ("✗", "not supported"), ("?", "inconclusive")):
        item = text[text.index(f'<li class="{word.replace(" ", "-")}"') :].split("</li>")[0]
        assert f">{mark}</span>" in item
        assert f">{word}</span>" in item
    heads = re.findall(r'scope="rowgroup" colspan="9"><b>(\w+)</b>', text)
    assert heads == ["fidelity", "diversity", "condition", "likelihood", "usefulness"]


def test_the_page_can_be_heard_and_reaches_for_nothing() -> None:
    page = Page(evaluation_page.html(DEMO))
    assert all(th.get("scope") in ("col", "row", "rowgroup") for th in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("figcaption")) == len(page.all("figure")) == 4
    strips = [svg for svg in page.all("svg") if svg.get("class") == "strip"]
    assert len(strips) == 5
    assert "fd: model 2.41, floor 0.881, copycat 0.860, marginals 14.20" in strips[0]["aria-label"]
    targets = {attrs["id"] for _, attrs in page.seen if "id" in attrs}
    assert {link["href"][1:] for link in page.all("a")} == targets & {
        *("verdict", "figures", "examples", "card", "missing")
    }
    policy = page.all("meta")[1]["content"]
    assert "default-src 'none'" in policy
    assert "media-src data:" in policy  # or no sound of a gallery is heard
    assert "seed20240101weak featuresyessizestrain 5nothingnone" in page.text.replace("\n", "")
    assert "url(" not in evaluation_page.html(DEMO)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 for text."""
    style = Path(evaluation_page.__file__).with_name("templates").joinpath("style.css").read_text()
    light, dark = style.split("@media (prefers-color-scheme: dark)")
    source = light if theme == "light" else dark[: dark.index("} }")]
    colours = dict(re.findall(r"--(\w+): #([0-9a-f]{6})", source))

    def luminance(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for ink in ("ink", "quiet", "good", "bad", "open", "model", "copy"):
        for ground in ("paper", "tint"):
            pair = sorted((luminance(colours[ink]), luminance(colours[ground])))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5, (ink, ground)


# -- strips and numbers ----------------------------------------------------------------------------


def test_marks_stand_in_the_order_of_their_values() -> None:
    found = strip(FD)
    assert found is not None
    assert found.model is not None
    assert found.real_baseline is not None
    assert found.train_copy is not None
    marginals, gaussian, noise = (one.x for one in found.baselines)
    assert found.model.low is not None
    assert found.model.high is not None
    places = [
        found.real_baseline.x,
        found.model.low,
        found.model.x,
        found.model.high,
        gaussian,
        marginals,
    ]
    assert places == sorted(set(places))
    assert found.train_copy.x <= found.real_baseline.x
    assert noise > marginals
    assert found.compressed  # one wild baseline does not press the others together
    assert found.model.x - found.real_baseline.x > 30
    straight = strip(replace(HEEDED, baselines={"half": about(0.5, 0), "none": about(0.0, 0)}))
    assert straight is not None
    assert straight.model is not None
    assert not straight.compressed
    half, none = (one.x for one in straight.baselines)
    assert (straight.model.x - none) / (half - none) == pytest.approx(0.912 / 0.5, rel=0.01)


@given(result=results)
def test_every_mark_is_on_the_strip(result: MetricResult) -> None:
    found = strip(result)
    if found is None:
        company = (result.model, result.real_baseline, result.train_copy, *result.baselines.values())
        assert not any(company)
        return
    for one in (found.model, found.real_baseline, found.train_copy, *found.baselines):
        if one is not None:
            assert all(6 <= x <= WIDTH - 6 for x in (one.x, one.low, one.high) if x is not None)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (about(2.41372, 0.2104), "2.41 [2.20, 2.62]"),
        (about(0.5, 0.00123), "0.5000 [0.4988, 0.5012]"),
        (about(-0.004, 0.01), "-0.004 [-0.014, 0.006]"),
        (about(12345.6, 210.0), "12,350 [12,140, 12,560]"),
        (about(-0.001, 0.5), "0.00 [-0.50, 0.50]"),
        (about(0.1, 500), "0 [-500, 500]"),
        (about(1234.5, 1e-9), "1,234.5 [1,234.5, 1,234.5]"),
        (about(0.0, 0.0), "0.000 [0.000, 0.000]"),
        (about(123456, 0.0), "123,456 [123,456, 123,456]"),
        (about(2.5e-7, 1e-8), "2.50e-07 [2.40e-07, 2.60e-07]"),
        (about(-4.2e11, 1e10), "-4.20e+11 [-4.30e+11, -4.10e+11]"),
        (Measurement(3.0, -math.inf, math.nan, 4), "3.000 [-inf, ?]"),
    ],
)
def test_a_number_has_the_digits_its_interval_leaves(given: Measurement, said: str) -> None:
    value, low, high = formatted(given)
    assert f"{value} [{low}, {high}]" == said


def test_typesetting() -> None:
    plain = ("-1.5", "12,345.6", "-2.50e-07", "4.2e+120", "-inf")
    assert [*map(typeset, plain)] == [
        *("−1.5", "12\u202f345.6", "−2.50\u202f×\u202f10⁻⁷", "4.2\u202f×\u202f10¹²⁰", "−∞")
    ]


# -- JSON and files --------------------------------------------------------------------------------


def test_the_twin_has_the_keys_that_people_script_against() -> None:
    twin = evaluation_page.to_json(DEMO)
    assert [*twin] == [*("schema", "title", "findings", "metrics", "galleries", "facts", "not_measured")]
    assert [*twin["findings"][0]] == ["outcome", "question", "because"]
    assert [*twin["metrics"][0]] == [
        *(
            "metric",
            "group",
            "better",
            "fault",
            "equal",
            "how",
            "validated",
            "battery",
            "model",
            "refused",
            "floor",
        ),
        *("copycat", "baselines", "best_baseline", "skill", "lead"),
    ]
    metrics = {metric["metric"]: metric for metric in twin["metrics"]}
    assert metrics["fd"]["model"] == {
        "value": 2.4137,
        "low": 2.4137 - 0.21,
        "high": 2.4137 + 0.21,
        "n": 1000,
    }
    assert metrics["fd"]["skill"] == 0.6368  # nothing is rounded
    assert metrics["mauve"]["model"] is None
    best = {name: metric["best_baseline"] for name, metric in metrics.items()}
    assert (best["fd"], best["density_gap"], best["bits"]) == ("gaussian", "close", None)
    assert replace(TINY, real_baseline=None).best is None
    facts = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": Path("x") / "y",
        3: (True, None),
        "d": math.nan,
    }
    assert evaluation_page.to_json(replace(DEMO, facts=facts))["facts"] == {  # type: ignore[arg-type]
        **{"a": 0.5, "b": [0, 1], "c": str(Path("x/y")), "3": [True, None], "d": None}
    }


def test_what_is_written_is_both_or_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page, twin = evaluation_page.write(replace(DEMO, title=EVIL), tmp_path / "new" / "folder")
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert json.loads(twin.read_text(encoding="utf-8"))["title"] == EVIL
    before = {file: file.read_bytes() for file in page.parent.iterdir()}

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.io, "write", full)
    with pytest.raises(RunError, match=r"the disk of .* is full"):
        evaluation_page.write(BARE, page.parent)
    assert {file: file.read_bytes() for file in page.parent.iterdir()} == before
    with pytest.raises(RunError, match="choose another folder"):
        evaluation_page.write(BARE, page)


# -- the terminal ----------------------------------------------------------------------------------


def screen(report: EvaluationReport, width: int) -> str:
    with (terminal := Console(width=width, highlight=False, markup=False)).capture() as captured:
        terminal.print(Summary(report))
    return captured.get()


MANY = replace(
    DEMO,
    title="長い題" * 60,
    results=tuple(replace(FD, metric=f"metric_with_a_rather_long_name_{i}") for i in range(50)),
    claims=DEMO.claims * 5,
    not_measured=tuple(f"{i} 長い文" * 30 for i in range(30)),
)


@settings(max_examples=30, deadline=None)
@given(
    report=reports | st.sampled_from([DEMO, BARE, MANY]), width=st.sampled_from([24, 50, 80, 100, 200])
)
def test_no_line_is_wider_than_the_terminal_and_none_is_a_control(
    report: EvaluationReport, width: int
) -> None:
    from rich.cells import cell_len

    for line in screen(report, width).splitlines():
        assert cell_len(line) <= width
        assert line.isprintable()


def test_the_summary_in_full() -> None:
    said = [line.rstrip() for line in screen(DEMO, 100).splitlines()]
    assert said == SCREEN.splitlines()


SCREEN = """\
digits-diffusion against 1,000 held-out digits

+ supported      Does it beat trivial generators? fd 2.41, the best baseline 5.1.
- not supported  Does it look real? fd 2.41 [2.20, 2.62] is above the floor 0.88.
? inconclusive   Did it copy? nearest_share 0.51, the floor 0.50.

metric      model [95 % interval]            floor     copycat  best baseline   skill
fd          2.41 [2.20, 2.62]                0.881     0.860    5.10 gaussian   0.64
*kid        -0.00031 [-0.00073, 0.00011]     -0.00008  -0.00010 0.3100 noise    -
density_gap 1.234e-09 [1.213e-09, 1.255e-09] 1.100e-09 -        1.400e-09 close -3.50
heeded      0.912 [0.894, 0.930]             -         -        -               -
bits        4.200e+08 [4.170e+08, 4.230e+08] -         -        -               -
*mauve      not measured                     -         -        -               -
* unvalidated: the metric fails on cases whose answer is known, or was not checked

not measured
 mauve needs 1000 examples of each
 Whether an attacker can tell who was in the training data."""


def test_in_a_narrow_place_names_and_columns_give_way_and_figures_do_not() -> None:
    long = replace(FD, metric="a_metric_with_quite_a_long_name", baselines={"b" * 40: about(9.5, 1)})
    for width in (60, 80, 100):
        said = screen(replace(DEMO, results=(long,)), width).splitlines()
        row = next(line for line in said if line.startswith("a_metric"))
        assert "2.41 [2.20, 2.62]" in row
        assert "0.881" in row
    assert "copycat" not in screen(DEMO, 80)
    everything = screen(DEMO, 20)  # too narrow for an interval in one line: it is broken, not cut
    for part in ("-0.00031", "[-0.00073,", "0.00011]"):
        assert part in everything


def test_a_crowded_summary_says_what_it_leaves_out() -> None:
    said = screen(MANY, 100)
    assert "... and 7 more findings in the report" in said
    assert "... and 24 more metrics in the report" in said
    assert "... and 24 more in the report" in said


def test_a_report_without_findings_says_where_the_reasons_stand() -> None:
    none = replace(DEMO, claims=())
    assert "nothing could be concluded: what was not measured stands below" in screen(none, 100)
    assert "nothing could be concluded" not in screen(DEMO, 100)
    assert "the report says what was not measured, and why" in Page(evaluation_page.html(none)).text


def test_in_a_pipe_every_line_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "word " * 300
    console.show_report(replace(DEMO, claims=(Claim("supported", "Is it?", long.strip()),), title=EVIL))
    lines = capsys.readouterr().out.splitlines()
    assert f"+ supported  Is it? {long.strip()}" in lines
    assert any(line.startswith("density_gap") and "1.400e-09 close" in line for line in lines)
    assert not any(line.endswith(" ") for line in lines)
    assert "\x1b" not in "".join(lines)


def test_on_a_terminal_lines_are_as_wide_as_it(monkeypatch: pytest.MonkeyPatch) -> None:
    out = io.StringIO()
    terminal = Console(file=out, force_terminal=True, width=60, highlight=False, markup=False)
    monkeypatch.setattr(console, "_console", lambda width=None: terminal)
    console.show_report(DEMO)
    assert "\x1b[32m+ supported" in out.getvalue()  # colours where there are some
    plain = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert max(map(len, plain.splitlines())) <= 60


@pytest.mark.parametrize("report", [DEMO, BARE], ids=["demo", "bare"])
def test_words_that_promise_too_much_are_never_used(report: EvaluationReport) -> None:
    said = (
        evaluation_page.html(report) + screen(report, 100) + json.dumps(evaluation_page.to_json(report))
    )
    assert not re.search("anonym|privat", said.lower())
