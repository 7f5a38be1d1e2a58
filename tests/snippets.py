"""Code blocks of Markdown pages, and running them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])


@dataclass(frozen=True)
class Snippet:
    """One command of a `sh` block, or a whole `python` block."""

    language: str
    text: str

    @property
    def slow(self) -> bool:
        """Whether it trains, measures a step, or wants a run that something else has trained."""
        if self.language == "python":
            return re.search(r"genwright\.(look|plan|train|load)\(", self.text) is not None
        return self.text.startswith(("genwright", "python")) and self.text != "genwright list"

    @property
    def installs(self) -> bool:
        """Whether it sets up a machine, which no test does."""
        return self.text.startswith(("pip ", "make ", "git ", ".ci/"))

    def run_here(self) -> None:
        """A Python block as a program of this process: two seconds less, which the import of torch takes."""
        exec(compile(self.text, "<snippet>", "exec"), {"__name__": "__main__"})

    def run(self, folder: Path) -> str:
        """What it prints in a process of its own, in `folder`; fails with all it said."""
        env = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "GENWRIGHT_CACHE": str(folder / "cache"),
        }
        command = [sys.executable, "-c", self.text] if self.language == "python" else self.text
        done = subprocess.run(
            command,
            shell=self.language == "sh",
            cwd=folder,
            env=env,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{self.text}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def blocks(page: Path) -> list[tuple[str, str]]:
    """Every fenced block: its language and its text."""
    return re.findall(r"^```(\w*)\n(.*?)^```$", page.read_text(encoding="utf-8"), re.M | re.S)


def headings(page: Path) -> list[int]:
    """The level of each heading."""
    text = re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return [len(marks) for marks in re.findall(r"^(#+) ", text, re.M)]


def snippets(page: Path) -> list[Snippet]:
    """Commands and programs of a page, in order."""
    found = []
    for language, text in blocks(page):
        if language == "sh":
            found += [Snippet("sh", line) for line in text.splitlines() if line]
        elif language == "python":
            found.append(Snippet("python", text))
    return found
