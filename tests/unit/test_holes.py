"""What stands in a hole before anything is made of it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from genwright import train
from genwright.space import Real, Space
from genwright.tasks.complete import Complete, continued
from genwright.tasks.restore import Restore


@pytest.mark.parametrize("grid", [(24,), (24, 20), (8, 8, 8)])
def test_what_is_known_stays_and_a_slope_goes_on_through_a_hole(grid: tuple[int, ...]) -> None:
    slope = torch.linspace(-1, 1, grid[0]).view(1, 1, -1, *[1] * (len(grid) - 1)).expand(2, 3, *grid)
    known = torch.ones_like(slope, dtype=torch.bool)
    known[(slice(None), slice(None), *[slice(3, 6)] * len(grid))] = False
    found = continued(torch.where(known, slope, 9.0), known)
    assert torch.equal(found[known], slope[known])
    assert float((found - slope)[~known].abs().max()) < 0.1
    assert torch.equal(continued(torch.where(known, slope, torch.nan), known), found)
    assert torch.equal(continued(slope, torch.zeros_like(known)), torch.zeros_like(slope))


@pytest.mark.parametrize("grid", [(24,), (24, 20), (8, 8, 8)])
def test_a_slope_at_the_edge_of_a_hole_goes_on_bending_in_it(grid: tuple[int, ...]) -> None:
    line = torch.linspace(-1, 1, grid[0]).view(1, 1, -1, *[1] * (len(grid) - 1))
    bow = line.square().expand(2, 3, *grid)
    known = torch.ones_like(bow, dtype=torch.bool)
    known[(slice(None), slice(None), *[slice(3, 6)] * len(grid))] = False
    error = {fill: (continued(bow, known, fill) - bow).abs() for fill in ("smooth", "slope")}
    assert not error["slope"][known].any()
    assert error["slope"].max() < 0.1 * error["smooth"].max()


@pytest.mark.parametrize("fill", ["smooth", "slope", "nothing", None])
def test_a_family_is_given_a_hole_with_that_in_it(fill: str | None) -> None:
    task = Restore(make="image", how="inpaint", fill=fill)  # type: ignore[arg-type]
    task.spec({"image": Space((8, 8), (Real(1, bounded=True),))})
    x, rng = torch.full((4, 1, 8, 8), 0.5), torch.Generator().manual_seed(0)
    given = task.ask({"image": x}, rng)["image"]
    (part,) = task.request(4, {"image": given}, rng).cond.values()
    hole = part[:, 1:] == 0
    some = hole & ~hole.flatten(1).all(1)[:, None, None, None]  # of which something is known
    assert bool(some.any())
    assert torch.allclose(part[:, :1][some], torch.tensor(0.5 if fill in ("smooth", "slope") else 0.0))


def test_the_numbers_of_a_cell_are_hidden_together(tmp_path: Path) -> None:
    """A cell of a table is there or not, however many numbers it is stored as."""
    rows = [f"{i * i % 97},{100 + i % 90}/{40 + i % 37},{'' if i % 5 else i / 7:.2}" for i in range(200)]
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c", *rows]) + "\n")
    settings = ["task.name=complete", "train.samples=0"]
    model = train(
        tmp_path / "rows.csv", family="vae", size="xs", steps=1, out=tmp_path / "run", settings=settings
    )
    task, field = model.pipeline.task, model.pipeline.made
    assert isinstance(task, Complete)
    assert len(set(field.cell_of)) == 3 < len(field.cell_of)
    x = torch.zeros(300, field.space.stored)
    _, known = task.ask({"row": x}, torch.Generator().manual_seed(0))["row"]
    by_cell = [known[:, [c == cell for c in field.cell_of]] for cell in range(3)]
    assert all(bool((some.all(1) | ~some.any(1)).all()) for some in by_cell)
    # And one apart from the other.
    assert 0.4 < float((by_cell[0][:, 0] == by_cell[1][:, 0]).float().mean()) < 0.9
