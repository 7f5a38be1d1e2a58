"""Where tests run in several processes, what shares work stays in one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from snippets import ROOT

CELLS = """
import os
from pathlib import Path

import pytest

@pytest.mark.parametrize("law", range(4))
@pytest.mark.parametrize(("family", "space"), [("gan", "row"), ("vae", "row"), ("vae", "text")])
def test_cell(family, space, law):
    Path({folder!r}, f"{{family}}-{{os.getpid()}}").touch()
"""


def test_what_shares_a_family_runs_in_one_process(tmp_path: Path) -> None:
    """A scheduler that is not asked, or by a mark that is lost, says nothing and trains all twice."""
    (tmp_path / "contract").mkdir()
    (tmp_path / "done").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
    (tmp_path / "contract" / "test_cells.py").write_text(CELLS.format(folder=str(tmp_path / "done")))
    lines = (ROOT / "Makefile").read_text().splitlines()
    both = [line.partition(" -m ")[2] for line in lines if "-n auto" in line]
    make, slow = (one.replace(" -m journey", "") for one in both)
    assert make == slow
    command = [sys.executable, "-m", *make.replace("auto", "2").split(), str(tmp_path)]
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(command, cwd=tmp_path, env=alone, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    ran = sorted(mark.name.partition("-")[0] for mark in (tmp_path / "done").iterdir())
    assert ran == ["gan", "vae"]
