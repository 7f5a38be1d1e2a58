"""Everything that the README tells people to type, in order, in one folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from snippets import ROOT, snippets


@pytest.mark.journey
def test_readme_runs_as_it_is_written(tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    for snippet in snippets(ROOT / "README.md"):
        if not snippet.installs:
            snippet.run(tmp_path)

    pictures = sorted((tmp_path / "threes").glob("*.png"))
    assert [picture.name for picture in pictures] == [*(f"{i:05d}.png" for i in range(20)), "sheet.png"]
    rows = (tmp_path / "runs/wine-autoregressive/samples/seed-0/samples.csv").read_text().splitlines()
    assert len(rows) == 101
    assert rows[0].endswith(",target")
    assert all(row.endswith(",2") for row in rows[1:])
    text = (tmp_path / "runs/manual-autoregressive/samples/seed-0/samples.txt").read_text()
    assert text.count("The import statement") >= 3
    assert (tmp_path / "threes-vae/sheet.png").is_file()
    assert (tmp_path / "runs/first/model/000150.safetensors").is_file()
