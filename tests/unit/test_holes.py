"""What stands in a hole before anything is made of it."""

from __future__ import annotations

import pytest
import torch

from genwright.space import Real, Space
from genwright.tasks.complete import continued
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
