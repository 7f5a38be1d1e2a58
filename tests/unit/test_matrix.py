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

    head, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| ")
    ]
    assert head[1:] == names("families")
    assert len(rows) >= 12
    reasons = re.findall(r"^(\d+)\. \S", page, re.M)
    cells = [cell for row in rows for cell in row[1:]]
    assert len(cells) == len(rows) * len(names("families"))
    for cell in cells:
        assert re.fullmatch(r"native|bridged: \w+|refused \(\d+\)", cell)
    assert re.findall(r"refused \((\d+)\)", " ".join(cells)) == reasons
