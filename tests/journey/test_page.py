"""The page of `genwright serve` in a real browser: open, fill in, press, see, download."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from commands import (
    TALKS,
    TINY,
    classes,
    dialogues,
    done,
    levels,
    molecules,
    sounds,
    table,
    text,
)

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
SHOWN = {
    "faces": "img", "rows": "tbody tr", "fox": "pre", "beeps": "audio", "sharp": "img", "maps": "img",
    "rings": "img", "gaps": "pre",
}  # fmt: skip
"""What of each run's examples is seen."""
RUNS = [*SHOWN, "talks", "evil"]
EVIL = '<img class=evil src=x onerror="window.ran = true">'

pytestmark = pytest.mark.journey


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with a run of each modality, one of them of files."""
    pytest.importorskip("starlette", reason="genwright[serve] is not installed")
    folder = tmp_path_factory.mktemp("page")
    classes(folder / "classes")
    table(folder / "rows.csv")
    text(folder / "fox.txt")
    sounds(folder / "sounds", 12)
    levels(folder / "levels")
    molecules(folder / "rings.smi")
    dialogues(folder / "talks.jsonl")
    marked = [(i / 7, EVIL if i % 2 else f"{EVIL} again") for i in range(60)]
    table(folder / "evil.csv", marked, head=f"x,{EVIL}")
    data = {
        "faces": "classes",
        "rows": "rows.csv",
        "fox": "fox.txt",
        "beeps": "sounds",
        "sharp": "classes",
        "maps": "levels",
        "rings": "rings.smi",
        "gaps": "fox.txt",
        "talks": "talks.jsonl",
        "evil": "evil.csv",
    }
    more = {
        "faces": ("--family", "vae"),
        "rows": ("--family", "masked"),
        "sharp": ("--task", "restore", "--family", "vae"),
        "fox": ("--set", "codec.length=32"),
        "maps": ("--set", "codec.name=level"),
        "gaps": ("--set", "codec.length=32", "--family", "masked"),
        "talks": TALKS,
    }
    for name, source in data.items():
        done("train", folder / source, *more.get(name, ()), "--out", folder / name, *TINY)
    command = [sys.executable, "-m", "genwright", "serve", *data, "--port", "0"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    found = re.search(r"http://\S+/(?= )", process.stdout.readline())
    assert found is not None
    yield found.group()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=40) == 0
    process.stdout.close()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("there is no chromium, or no chromedriver")
    from selenium.webdriver.chrome.options import Options
    from selenium.webdriver.chrome.service import Service

    downloads = tmp_path_factory.mktemp("downloads")
    options = Options()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    opened = webdriver.Chrome(options=options, service=Service(DRIVER))
    opened.downloads = downloads
    opened.set_window_size(1200, 1500)
    yield opened
    opened.quit()


def until(found: Callable[[], Any], seconds: float = 60) -> Any:
    """What is found, as soon as it is there."""
    end = time.monotonic() + seconds
    while not (there := found()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return there


def opened_panel(browser: Any, address: str, run: str) -> Any:
    browser.get_log("browser")  # which forgets what others have asked for
    browser.get(address)
    place = RUNS.index(run)
    return until(lambda: [*browser.find_elements("css selector", ".run")][place : place + 1])[0]


def press(panel: Any) -> str:
    """Make, and what is said at the end."""
    panel.find_element("css selector", "button.go").click()
    status = panel.find_element("css selector", ".status")
    until(lambda: status.text.startswith("Made") or "bad" in status.get_attribute("class"))
    return str(status.text)


def photographed(node: Any, name: str) -> None:
    """To be looked at, where a folder for it is named."""
    if folder := os.environ.get("SCREENSHOTS"):
        node.screenshot(str(Path(folder) / f"{name}.png"))


def file_of(browser: Any, ending: str) -> Path:
    return until(lambda: [*browser.downloads.glob(f"*{ending}")], 20)[0]


@pytest.mark.parametrize("run", SHOWN)
def test_a_person_makes_some_and_takes_them_home(browser, address, run):
    panel = opened_panel(browser, address, run)
    assert panel.find_element("css selector", "h2").text == run
    seed = panel.find_element("css selector", ".seed input")
    seed.clear()
    seed.send_keys("7")
    said = press(panel)
    assert said.startswith("Made"), said
    assert len(panel.find_elements("css selector", f".made {SHOWN[run]}")) >= 4
    assert "--seed 7" in panel.find_element("css selector", ".command code").text
    photographed(panel, run)
    panel.find_element("css selector", ".after button").click()
    archive = file_of(browser, f"{run}-seed-7.zip")
    time.sleep(0.3)
    assert zipfile.ZipFile(archive).testzip() is None
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE"] == []


def test_what_is_given_is_heeded_and_what_is_wrong_is_said(browser, address):
    panel = opened_panel(browser, address, "faces")
    (menu,) = panel.find_elements("css selector", "form > .fields select")
    menu.send_keys("b")
    press(panel)
    captions = {
        one.text.split("\n")[0] for one in panel.find_elements("css selector", ".made figcaption")
    }
    assert captions == {"label b"}
    panel.find_element("css selector", ".made figcaption button").click()
    assert file_of(browser, "faces-1.png").read_bytes()[:4] == b"\x89PNG"
    panel = opened_panel(browser, address, "rows")
    panel.find_element("css selector", "fieldset input").send_keys("no number")
    assert "no number" in press(panel)


def test_a_file_is_given(browser, address, tmp_path):
    from PIL import Image

    Image.new("L", (4, 4), 99).save(tmp_path / "mine.png")
    panel = opened_panel(browser, address, "sharp")
    panel.find_element("css selector", ".drop input").send_keys(str(tmp_path / "mine.png"))
    until(lambda: panel.find_elements("css selector", "details .made img"))
    assert "Made" in panel.find_elements("css selector", ".status")[-1].text or panel.find_elements(
        "css selector", "details .made button"
    )


def test_a_slider_goes_between_two_codes(browser, address):
    panel = opened_panel(browser, address, "faces")
    browser.execute_script(
        "arguments[0].querySelectorAll('details').forEach((one) => { one.open = true; })", panel
    )
    ask = next(
        one for one in panel.find_elements("css selector", "button") if one.text == "Make the way"
    )
    ask.click()
    first = until(lambda: [*panel.find_elements("css selector", "details .made img")])[0].get_attribute(
        "src"
    )
    slider = panel.find_elements("css selector", "input[type=range]")[-1]
    slider.send_keys("\ue014" * 8)  # arrow right
    last = panel.find_element("css selector", "details .made img").get_attribute("src")
    assert first != last


@pytest.mark.parametrize("width", [400, 1200])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_page_fits_and_can_be_used_by_keyboard(browser, address, width, theme):
    size = {"width": width, "height": 1500, "deviceScaleFactor": 1, "mobile": width < 600}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    features = [{"name": "prefers-color-scheme", "value": theme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    try:
        panel = opened_panel(browser, address, "faces")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        dark = (
            browser.execute_script("return getComputedStyle(document.body).backgroundColor")
            == "rgb(21, 24, 28)"
        )
        assert dark == (theme == "dark")
        unnamed = browser.execute_script(
            "return [...document.querySelectorAll('input, select, textarea, button')].filter((one) => !("
            "one.labels?.length || one.getAttribute('aria-label') || one.textContent.trim())).length"
        )
        assert unnamed == 0
        panel.find_element("css selector", ".seed input").send_keys("\ue007")  # Enter
        status = panel.find_element("css selector", ".status")
        until(lambda: status.text.startswith("Made"))
        photographed(browser.find_element("css selector", "body"), f"page-{width}-{theme}")
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_person_talks(browser, address):
    panel = opened_panel(browser, address, "talks")
    words, status = (panel.find_element("css selector", one) for one in ("textarea", ".status"))
    words.send_keys("how is <b>3</b>?\ue007")  # Enter
    until(lambda: status.text.startswith("Answered"))
    seed = panel.find_element("css selector", ".seed input")
    seed.clear()
    seed.send_keys("5")
    words.send_keys("and 4?")
    panel.find_element("css selector", "button.go").click()
    until(lambda: len(panel.find_elements("css selector", ".turns .model small")) == 2)
    until(lambda: status.text.startswith("Answered"))
    turns = [one.text for one in panel.find_elements("css selector", ".turns .words")]
    assert turns[::2] == ["how is <b>3</b>?", "and 4?"]
    assert [one.text for one in panel.find_elements("css selector", ".turns .model small")] == [
        "seed 0",
        "seed 5",
    ]
    assert "--seed 5" in panel.find_element("css selector", ".command code").text
    photographed(panel, "talks")
    another = next(
        one for one in panel.find_elements("css selector", "button") if one.text == "Another answer"
    )
    another.click()
    until(lambda: panel.find_elements("css selector", ".turns .model small")[-1].text == "seed 6")
    until(lambda: status.text.startswith("Answered"))
    panel.find_element("css selector", ".after button").click()
    (line,) = file_of(browser, "talks-dialogue.jsonl").read_text().splitlines()
    said = json.loads(line)["messages"]
    assert [one["role"] for one in said] == ["user", "assistant"] * 2
    assert said[0]["content"] == "how is <b>3</b>?"
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE"] == []


def test_markup_of_the_data_is_text(browser, address):
    panel = opened_panel(browser, address, "evil")
    assert press(panel).startswith("Made")
    assert any(EVIL in one.text for one in panel.find_elements("css selector", ".made td"))
    assert any(EVIL in one.text for one in panel.find_elements("css selector", "label"))
    assert panel.find_elements("css selector", ".evil, [onerror]") == []
    assert browser.execute_script("return window.ran") is None
    assert [one for one in browser.get_log("browser") if one["level"] == "SEVERE"] == []
