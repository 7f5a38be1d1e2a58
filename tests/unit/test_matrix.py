"""The table in the docs is what the code says."""

from __future__ import annotations

import re
import runpy

from genwright.registry import names
from snippets import ROOT


def test_matrix_is_up_to_date_and_has_no_open_cell() -> None:
    page = runpy.run_path(str(ROOT / "docs/make_matrix.py"))["render"]()
    written = (ROOT / "docs/matrix.md").read_text(encoding="utf-8")
    assert written == page, "run: python docs/make_matrix.py"

    taken, offered, conditioned = (table(part) for part in page.split("\n## "))
    assert len(taken) >= 12
    assert len(offered) == 7
    assert len(conditioned) >= 12
    way = "vector|tokens|grid"
    reasons = re.findall(r"^(\d+)\. \S", page, re.M)
    for cell in (cell for row in taken for cell in row):
        assert re.fullmatch(r"native|bridged: \w+|refused \(\d+\)", cell)
    for cell in (cell for row in offered for cell in row):
        assert re.fullmatch("yes|no|any|prefix|exact|bound", cell)
    for cell in (cell for row in conditioned for cell in row):
        assert re.fullmatch(rf"({way})( and ({way}))*|not read|refused \(\d+\)", cell)
    named = re.findall(r"refused \((\d+)\)", page)
    assert sorted(set(named), key=int) == reasons


def table(page: str) -> list[list[str]]:
    """The cells of each row but its first, of one for each family."""
    head, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    assert head[1:] == names("families")
    assert all(len(row) == len(head) for row in rows)
    return [row[1:] for row in rows]
