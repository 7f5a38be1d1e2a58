"""The report: every figure with its company, on a page that nothing can break out of."""

from __future__ import annotations

import errno
import io
import json
import math
import re
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from genwright.data.codec import Preview
from genwright.errors import RunError
from genwright.evaluation.metric import Measurement
from genwright.evaluation.results import Claim, EvaluationReport, Gallery, MetricResult
from genwright.report import charts, evaluation_page
from genwright.storage import durable

EVIL = "<script>alert(\"1\")</script> & 'q' \u202eevil\u2069 שלום 🎲 \udcff"


def measurement(value: float, half: float, n: int = 1000) -> Measurement:
    return Measurement(value, value - half, value + half, n)


def picture() -> bytes:
    out = io.BytesIO()
    noise = np.random.default_rng(0).integers(0, 255, (32, 128), dtype=np.uint8)
    Image.fromarray(noise).save(out, format="PNG")
    return out.getvalue()


FD = MetricResult(
    "fd",
    "fidelity",
    "lower",
    "Distance between two bells of features; 0 only for a copy of the held-out examples.",
    True,
    measurement(2.4137, 0.21),
    real_baseline=measurement(0.8812, 0.093),
    train_copy=measurement(0.86, 0.09),
    baselines={
        "marginals": measurement(14.2, 0.7),
        "gaussian": measurement(5.1, 0.3),
        "noise": measurement(912.0, 9),
    },
    skill=0.6368,
)
COVERAGE = MetricResult(
    "coverage",
    "diversity",
    "higher",
    "Share of real examples with a generated one among their neighbours.",
    True,
    measurement(0.912, 0.018),
    real_baseline=measurement(0.967, 0.011),
    train_copy=measurement(0.96, 0.012),
    baselines={"marginals": measurement(0.41, 0.03), "noise": measurement(0.0, 0.002)},
    skill=0.9012,
)
KID = MetricResult(
    "kid",
    "fidelity",
    "lower",
    "Unbiased, so real against real may fall below 0.",
    False,
    measurement(-0.00031, 0.00042),
    real_baseline=measurement(-0.00008, 0.00035, 500),
    train_copy=measurement(-0.0001, 0.0003),
    baselines={"noise": measurement(0.31, 0.004)},
)
TINY = MetricResult(
    "density_gap",
    "diversity",
    "near",
    "Best where real examples are.",
    True,
    measurement(1.234e-9, 2.1e-11),
    real_baseline=measurement(1.1e-9, 1e-11),
    baselines={"below": measurement(5e-10, 1e-11), "close": measurement(1.4e-9, 1e-11)},
    skill=-3.5,
)
HUGE = MetricResult("bits", "likelihood", "lower", "Bits per example.", True, measurement(4.2e8, 3e6))
AUTH = MetricResult(
    "authenticity",
    "novelty",
    "near",
    "Share that is farther from training than training from itself.",
    True,
    measurement(0.68, 0.029),
    real_baseline=measurement(0.705, 0.028),
    train_copy=measurement(0.0, 0.0),
    baselines={"noise": measurement(1.0, 0.0)},
)
REFUSED = MetricResult(
    "mauve",
    "usefulness",
    "higher",
    "Overlap of two texts.",
    False,
    None,
    refused="mauve needs 1000 examples of each, there are 200",
)
VALID = MetricResult(
    "valid",
    "validity",
    "higher",
    "Share that keeps to the rules.",
    True,
    Measurement(1.0, 0.9962, 1, 12345),
)
DEMO = EvaluationReport(
    title="digits-diffusion against 1,000 held-out digits",
    claims=(
        Claim("supported", "Does it beat trivial generators?", "fd 2.41, the best baseline 5.1."),
        Claim("not supported", "Does it look real?", "fd 2.41 [2.20, 2.62] is above the floor 0.88."),
        Claim("inconclusive", "Did it copy?", "authenticity 0.68 [0.65, 0.71], the floor 0.705."),
    ),
    facts={
        "data": "digits.npz, sha256 4f0c9f3a0d7be1",
        "sizes": {"train": 12000, "held": 1000, "spare": 500},
        "seed": 20240101,
        "versions": ["genwright 0.1", "torch 2.13"],
        "weak features": True,
        "command": "genwright judge runs/digits --seed 20240101 --out report",
    },
    results=(VALID, FD, COVERAGE, KID, TINY, HUGE, AUTH, REFUSED),
    galleries=(
        Gallery(
            "Nearest to training",
            "The generated examples that lie closest to one they were trained on, worst first.",
            (("generated", Preview("png", png=picture())), ("training", Preview("png", png=picture()))),
        ),
        Gallery(
            "A table",
            "Rows as they were drawn.",
            (("rows", Preview("rows", rows=(("age", "city"), ("41", "Köln"), ("−3", "תל אביב")))),),
        ),
        Gallery(
            "Texts", "Drawn at random.", (("a text", Preview("text", text="To be,\nor <not> to be")),)
        ),
    ),
    not_measured=("Whether an attacker can tell who was in the training data.",),
)
BARE = EvaluationReport("nothing", (), {}, ())


def spoilt() -> EvaluationReport:
    """A stranger's text in every place that can hold one."""
    result = replace(FD, metric=EVIL, how=EVIL, baselines={EVIL: measurement(3, 1)})
    rows = Preview("rows", rows=((EVIL,), (EVIL,)))
    shown = tuple((EVIL, p) for p in (rows, Preview("text", text=EVIL), Preview("png", png=b"\x89")))
    return EvaluationReport(
        EVIL,
        (Claim("supported", EVIL, EVIL),),
        {EVIL: {EVIL: [EVIL]}},
        (result, replace(REFUSED, refused=EVIL)),
        (Gallery(EVIL, EVIL, shown),),
        (EVIL,),
    )


VOID = {"meta", "img", "link", "br", "input", "hr"}


class Page(HTMLParser):
    """Elements, their attributes and text; fails where a tag is left open or closed twice."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.text = ""
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
        self.text += data if self.open and self.open[-1] != "style" else ""

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attrs for name, attrs in self.seen if name == tag]


# -- the page --------------------------------------------------------------------------------------


@pytest.mark.parametrize("judgement", [DEMO, BARE, spoilt()], ids=["demo", "bare", "spoilt"])
def test_the_page_is_whole_and_reaches_for_nothing(judgement: EvaluationReport) -> None:
    text = evaluation_page.html(judgement)
    page = Page(text)
    assert {tag for tag, _ in page.seen}.isdisjoint(
        {"script", "link", "iframe", "object", "form", "base"}
    )
    for _, attrs in page.seen:
        assert not [name for name in attrs if name.startswith("on") or name == "style"]
        for name in ("src", "href"):
            assert attrs.get(name, "#").startswith(("#", "data:image/png;base64,"))
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in page.all("meta")[1]["content"]


def test_the_page_is_the_same_bytes_again() -> None:
    assert evaluation_page.html(DEMO).encode() == evaluation_page.html(replace(DEMO)).encode()


def test_a_strangers_text_stays_text() -> None:
    page = Page(evaluation_page.html(spoilt()))
    assert "<script" not in evaluation_page.html(spoilt())
    # Title twice, finding twice, the table's row, the galleries, the card, what is missing.
    assert page.text.count(EVIL) >= 20
    assert EVIL in [image["alt"] for image in page.all("img")]
    assert EVIL in [region.get("aria-label") for region in page.all("div")]


def test_text_that_runs_the_other_way_is_kept_in_its_element() -> None:
    """Every element that holds a stranger's text says so: U+202E must not turn what follows it."""
    for found in re.finditer(r"<(\w+)([^>]*)>[^<]*&lt;script", evaluation_page.html(spoilt())):
        if found[1] not in ("title", "style"):
            assert 'dir="auto"' in found[2], found[0]


def test_every_number_is_on_the_page_with_its_interval() -> None:
    text = Page(evaluation_page.html(DEMO)).text
    for wanted in ("2.41", "[2.20, 2.62]", "0.881", "[0.788, 0.974]", "912.0", "n\u202f=\u202f1,000"):
        assert wanted.replace(",000", "\u202f000") in text
    assert "−0.00031" in text
    assert "[−0.00073, 0.00011]" in text
    assert "1.234\u202f×\u202f10⁻⁹" in text
    assert "4.200\u202f×\u202f10⁸" in text
    assert "−3.50" in text
    assert "n\u202f=\u202f500" in text
    assert "n\u202f=\u202f12\u202f345" in text
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b|e-0\d", text)


def test_the_groups_are_in_order_and_hold_their_own() -> None:
    text = evaluation_page.html(DEMO)
    heads = re.findall(r'scope="rowgroup" colspan="9"><b>(\w+)</b>', text)
    assert heads == ["fidelity", "diversity", "novelty", "likelihood", "usefulness", "validity"]
    fidelity = text[text.index("<b>fidelity") : text.index("<b>diversity")]
    assert re.findall(r'scope="row"><b dir="auto">(\w+)', fidelity) == ["fd", "kid"]


def test_what_is_missing_is_said() -> None:
    text = evaluation_page.html(DEMO)
    row = text[text.index(">mauve<") :].split("</tr>")[0]
    assert "not measured: mauve needs 1000 examples" in row
    assert "✗ unvalidated" in row
    assert row.count(">not measured</span>") == 4  # strip, floor, copycat, baselines
    assert row.count(">not defined</span>") == 1
    assert text.count("✗ unvalidated") == 2
    last = text[text.index('id="missing"') :]
    assert "mauve needs 1000" in last
    assert "who was in the training data" in last


def test_an_outcome_is_a_mark_and_a_word_and_not_a_colour_alone() -> None:
    text = evaluation_page.html(DEMO)
    for mark, word in (("✓", "supported"), ("✗", "not supported"), ("?", "inconclusive")):
        item = text[text.index(f'<li class="{word.replace(" ", "-")}"') :].split("</li>")[0]
        assert f">{mark}</span>" in item
        assert f">{word}</span>" in item


def test_the_page_can_be_heard() -> None:
    page = Page(evaluation_page.html(DEMO))
    assert all(th.get("scope") in ("col", "row", "rowgroup") for th in page.all("th"))
    assert all(image["alt"] for image in page.all("img"))
    assert len(page.all("figcaption")) == len(page.all("figure")) == 4
    strips = [svg for svg in page.all("svg") if svg.get("class") == "strip"]
    assert len(strips) == 7
    assert "fd: model 2.41, floor 0.881, copycat 0.860, marginals 14.20" in strips[0]["aria-label"]
    targets = {attrs["id"] for _, attrs in page.seen if "id" in attrs}
    assert {link["href"][1:] for link in page.all("a")} <= targets
    assert page.all("html")[0]["lang"] == "en"


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_text_stands_out_from_its_ground(theme: str) -> None:
    """WCAG 2.1, 1.4.3: a contrast of 4.5 for text."""
    light, dark = charts.STYLE.split("@media (prefers-color-scheme: dark)")
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


@pytest.mark.parametrize(
    "make",
    [evaluation_page.html, evaluation_page.summary, lambda j: json.dumps(evaluation_page.to_json(j))],
)
def test_words_that_promise_too_much_are_never_used(make: Callable[[EvaluationReport], str]) -> None:
    said = (make(DEMO) + make(BARE)).lower()
    assert "anonym" not in said
    assert "privat" not in said


# -- strips ----------------------------------------------------------------------------------------


def places(result: MetricResult) -> dict[str, list[float]]:
    """Horizontal places of the marks in a strip, by class."""
    root = ElementTree.fromstring(charts.strip(result))
    found: dict[str, list[float]] = {}
    for element in root.iter():
        at = element.get("cx") or element.get("x") or element.get("d", "M")[1:].split(",")[0]
        if element.get("class") and at:
            found.setdefault(element.get("class", ""), []).append(float(at))
        if element.get("class") == "bar":
            found["bar"].append(float(element.get("d", "").split("H")[1]))
    return found


def test_marks_stand_in_the_order_of_their_values() -> None:
    at = places(FD)
    marginals, gaussian, noise = at["base"]
    low, high = at["bar"]
    (model,), (real_baseline,), (train_copy,) = at["model"], at["floor"], at["copy"]
    assert train_copy <= real_baseline < low < model < high < gaussian < marginals < noise
    assert model - real_baseline > 30  # one wild baseline does not press the others together
    assert "stroke-dasharray" in charts.strip(FD)
    assert "← better" in charts.strip(FD)
    assert "better →" in charts.strip(COVERAGE)


def test_an_ordinary_scale_is_straight() -> None:
    result = replace(COVERAGE, baselines={"half": measurement(0.5, 0), "none": measurement(0.0, 0)})
    at = places(result)
    half, none = at["base"]
    share = (at["model"][0] - none) / (half - none)
    assert share == pytest.approx(0.912 / 0.5, rel=0.01)
    assert "stroke-dasharray" not in charts.strip(result)


@pytest.mark.parametrize(
    "result",
    [
        *DEMO.results[:-1],
        replace(HUGE, model=measurement(0.0, 0.0)),
        replace(
            HUGE,
            model=Measurement(1.0, -math.inf, math.inf, 9),
            real_baseline=Measurement(2, math.nan, 3, 9),
        ),
        replace(FD, model=None, real_baseline=None),
        replace(
            FD,
            baselines={
                "a": measurement(1e300, 1),
                "b": measurement(-1e308, 1),
                "c": measurement(5e-324, 0),
            },
        ),
        replace(FD, model=measurement(0, 0), real_baseline=None, train_copy=measurement(0, 0)),
    ],
    ids=lambda result: result.metric,
)
def test_every_mark_is_on_the_strip(result: MetricResult) -> None:
    assert all(
        6 <= x <= 234 for name, xs in places(result).items() for x in xs if name not in ("mid", "end")
    )


def test_without_a_reading_there_is_no_strip() -> None:
    assert charts.strip(REFUSED) == ""
    assert charts.strip(replace(HUGE, model=Measurement(math.nan, 0, 1, 5))) == ""


# -- numbers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (measurement(2.41372, 0.2104), "2.41 [2.20, 2.62]"),
        (measurement(0.5, 0.00123), "0.5000 [0.4988, 0.5012]"),
        (measurement(-0.004, 0.01), "-0.004 [-0.014, 0.006]"),
        (measurement(12345.6, 210.0), "12,350 [12,140, 12,560]"),
        (measurement(-0.001, 0.5), "0.00 [-0.50, 0.50]"),
        (measurement(0.1, 500), "0 [-500, 500]"),
        (measurement(1234.5, 1e-9), "1,234.5 [1,234.5, 1,234.5]"),
        (Measurement(1.0, 0.9962, 1.0, 99), "1.0000 [0.9962, 1.0000]"),
        (measurement(0.0, 0.0), "0.000 [0.000, 0.000]"),
        (measurement(123456, 0.0), "123,456 [123,456, 123,456]"),
        (measurement(2.5e-7, 1e-8), "2.50e-07 [2.40e-07, 2.60e-07]"),
        (measurement(0.0, 1e-9), "0 [-1.0e-09, 1.0e-09]"),
        (measurement(-4.2e11, 1e10), "-4.20e+11 [-4.30e+11, -4.10e+11]"),
        (Measurement(3.0, -math.inf, math.nan, 4), "3.000 [-inf, ?]"),
    ],
)
def test_a_number_has_the_digits_its_interval_leaves(given: Measurement, said: str) -> None:
    value, low, high = charts.figures(given)
    assert f"{value} [{low}, {high}]" == said


@pytest.mark.parametrize(
    ("plain", "set_"),
    [
        ("-1.5", "−1.5"),
        ("12,345.6", "12\u202f345.6"),
        ("-2.50e-07", "−2.50\u202f×\u202f10⁻⁷"),
        ("4.2e+120", "4.2\u202f×\u202f10¹²⁰"),
        ("-inf", "−∞"),
    ],
)
def test_typesetting(plain: str, set_: str) -> None:
    assert charts.typeset(plain) == set_


# -- JSON ------------------------------------------------------------------------------------------

NUMBER = (int, float)
READING = {"value": (*NUMBER, None), "low": (*NUMBER, None), "high": (*NUMBER, None), "n": (int,)}
METRIC = {
    "metric": (str,),
    "group": (str,),
    "better": (str,),
    "how": (str,),
    "validated": (bool,),
    "battery": (str,),
    "model": (dict, None),
    "refused": (str,),
    "floor": (dict, None),
    "copycat": (dict, None),
    "baselines": (dict,),
    "best_baseline": (str, None),
    "skill": (*NUMBER, None),
}
TOP = {
    "schema": (int,),
    "title": (str,),
    "findings": (list,),
    "metrics": (list,),
    "galleries": (list,),
    "facts": (dict,),
    "not_measured": (list,),
}


def conforms(value: dict[str, Any], shape: dict[str, tuple[Any, ...]]) -> None:
    assert value.keys() == shape.keys()
    for name, kinds in shape.items():
        inner = value[name]
        assert (None in kinds) if inner is None else isinstance(inner, tuple(k for k in kinds if k)), (
            name
        )


def validated(twin: dict[str, Any]) -> None:
    """The schema in the docstring of `to_json`."""
    conforms(twin, TOP)
    assert twin["schema"] == 1
    for finding in twin["findings"]:
        conforms(finding, {"outcome": (str,), "question": (str,), "because": (str,)})
        assert finding["outcome"] in ("supported", "not supported", "inconclusive")
    for metric in twin["metrics"]:
        conforms(metric, METRIC)
        found = [metric["model"], metric["floor"], metric["copycat"], *metric["baselines"].values()]
        for one in found:
            if one is not None:
                conforms(one, READING)
        assert metric["model"] or metric["refused"]
        assert metric["best_baseline"] is None or metric["best_baseline"] in metric["baselines"]
    for gallery in twin["galleries"]:
        conforms(gallery, {"title": (str,), "note": (str,), "examples": (list,)})
        for example in gallery["examples"]:
            conforms(example, {"caption": (str,), "kind": (str,)})
    assert all(isinstance(sentence, str) for sentence in twin["not_measured"])


def strict(name: str) -> float:
    raise AssertionError(f"{name} is not JSON")


@pytest.mark.parametrize("judgement", [DEMO, BARE, spoilt()], ids=["demo", "bare", "spoilt"])
def test_the_written_twin_follows_its_schema(judgement: EvaluationReport, tmp_path: Path) -> None:
    page, twin = evaluation_page.write(judgement, tmp_path / "new" / "folder")
    assert sorted(p.name for p in (tmp_path / "new" / "folder").iterdir()) == [
        "report.html",
        "report.json",
    ]
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    read = json.loads(twin.read_text(encoding="utf-8"), parse_constant=strict)
    validated(read)
    assert read == evaluation_page.to_json(judgement)
    ordered = json.dumps(read, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    assert twin.read_bytes() == ordered.encode(errors="backslashreplace")


def test_no_figure_is_rounded() -> None:
    metrics = {metric["metric"]: metric for metric in evaluation_page.to_json(DEMO)["metrics"]}
    assert metrics["fd"]["model"] == {
        "value": 2.4137,
        "low": 2.4137 - 0.21,
        "high": 2.4137 + 0.21,
        "n": 1000,
    }
    assert metrics["fd"]["skill"] == 0.6368
    assert metrics["kid"]["validated"] is False
    assert metrics["mauve"]["model"] is None


def test_the_best_baseline_is_the_hardest_to_beat() -> None:
    best = {
        metric["metric"]: metric["best_baseline"] for metric in evaluation_page.to_json(DEMO)["metrics"]
    }
    assert best["fd"] == "gaussian"
    assert best["coverage"] == "marginals"
    assert best["density_gap"] == "close"  # nearest to the floor
    assert best["bits"] is None
    assert replace(TINY, real_baseline=None).best is None


def test_facts_become_json() -> None:
    facts = {
        "a": np.float32(0.5),
        "b": np.arange(2),
        "c": Path("x") / "y",
        3: (True, None),
        "d": math.nan,
    }
    found = evaluation_page.to_json(replace(DEMO, facts=facts))["facts"]  # type: ignore[arg-type]
    assert found == {"a": 0.5, "b": [0, 1], "c": str(Path("x/y")), "3": [True, None], "d": None}
    text = Page(
        evaluation_page.html(replace(DEMO, facts={"on": True, "sizes": {"train": 5}, "x": None}))
    ).text
    assert "onyessizestrain 5xnone" in text


# -- files -----------------------------------------------------------------------------------------


def test_a_failed_write_leaves_the_former_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation_page.write(BARE, tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}

    def full(fd: int, data: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable.io, "write", full)
    with pytest.raises(RunError, match=r"the disk of .* is full"):
        evaluation_page.write(DEMO, tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="choose another folder"):
        evaluation_page.write(BARE, tmp_path / "file")


# -- the terminal ----------------------------------------------------------------------------------


def many() -> EvaluationReport:
    """More of everything than a screen holds."""
    results = tuple(replace(FD, metric=f"metric_with_a_rather_long_name_{i}") for i in range(50))
    claims = tuple(replace(f, because=f.because * 20) for f in DEMO.claims) * 5
    return replace(
        DEMO,
        title="長い題" * 60,
        results=(*results, *DEMO.results),
        claims=claims,
        not_measured=tuple(f"{i} 長い文" * 30 for i in range(30)),
    )


def columns(result: str) -> int:
    return len(result) + sum(c >= "\u2e80" for c in result)


@pytest.mark.parametrize(
    "judgement", [DEMO, BARE, many(), spoilt()], ids=["demo", "bare", "many", "spoilt"]
)
def test_the_summary_fits_a_screen(judgement: EvaluationReport) -> None:
    results = evaluation_page.summary(judgement).split("\n")
    assert len(results) <= 40
    assert max(map(columns, results)) <= 100
    assert all(result.isprintable() for result in results)
    assert results[0]


def test_the_summary_in_full() -> None:
    assert evaluation_page.summary(DEMO) == SCREEN


SCREEN = """\
digits-diffusion against 1,000 held-out digits

+ supported      Does it beat trivial generators? fd 2.41, the best baseline 5.1.
- not supported  Does it look real? fd 2.41 [2.20, 2.62] is above the floor 0.88.
? inconclusive   Did it copy? authenticity 0.68 [0.65, 0.71], the floor 0.705.

 metric       model [95 % interval]            floor     copycat  best baseline   skill
 fd           2.41 [2.20, 2.62]                0.881     0.860    5.10 gaussian   0.64
*kid          -0.00031 [-0.00073, 0.00011]     -0.00008  -0.00010 0.3100 noise    -
 coverage     0.912 [0.894, 0.930]             0.967     0.960    0.410 marginals 0.90
 density_gap  1.234e-09 [1.213e-09, 1.255e-09] 1.100e-09 -        1.400e-09 close -3.50
 authenticity 0.680 [0.651, 0.709]             0.705     0.000    1.000 noise     -
 bits         4.200e+08 [4.170e+08, 4.230e+08] -         -        -               -
*mauve        not measured                     -         -        -               -
 valid        1.0000 [0.9962, 1.0000]          -         -        -               -
* unvalidated: the metric fails on cases whose answer is known

not measured
  mauve needs 1000 examples of each, there are 200
  Whether an attacker can tell who was in the training data."""


def test_a_crowded_summary_says_what_it_leaves_out() -> None:
    text = evaluation_page.summary(many())
    assert "... and 10 more findings" in text
    assert re.search(r"\.\.\. and \d+ more metrics", text)
    assert "... and 26 more in the report" in text
    assert len(text.split("\n")) == 40


def test_in_a_narrow_place_names_give_way_and_figures_do_not() -> None:
    wide = measurement(-1.23456e-300, 1e-305)
    company = {"a baseline with a long name": wide}
    name = "a_metric_with_quite_a_long_name"
    result = replace(
        FD,
        metric=name,
        validated=False,
        model=wide,
        real_baseline=wide,
        train_copy=wide,
        baselines=company,
    )
    text = evaluation_page.summary(replace(DEMO, results=(result,)))
    row = next(result for result in text.split("\n") if result.startswith("*a_metric"))
    assert row.count("-1.235e-300") == 6
    assert len(row) <= 100
