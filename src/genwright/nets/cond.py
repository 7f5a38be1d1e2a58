"""Encoders of named conditions.

One rule decides where a condition enters: on the same grid as x it joins as channels, if the role
reads channels; otherwise as tokens, if it has a grid and the role reads tokens; otherwise in the
vector. In training each condition is dropped now and then, so that the network also learns to go
without: that is what makes guidance possible for every family.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from genwright.batch import Cond
from genwright.nets.roles import CondShape, Grid, Nets, Role
from genwright.space import Space

__all__ = ["Conditioner"]


class Conditioner(nn.Module):
    """The conditions of one network, by name.

    spaces  what each condition is made of
    grid    the grid of x
    role    of the network that reads them
    drop    probability that an example is shown without its conditions in training
    extra   a vector is wanted even where no condition needs it (a time is added to it)
    """

    def __init__(
        self,
        spaces: Mapping[str, Space],
        grid: Grid,
        nets: Nets,
        role: Role,
        *,
        drop: float = 0.1,
        extra: bool = False,
    ) -> None:
        super().__init__()
        self.spaces, self.drop, self.dim = dict(spaces), drop, nets.dim
        slots = nets.slots(role, grid)
        self.where: dict[str, str] = {
            name: "grid"
            if grid and space.grid == grid and "grid" in slots
            else "tokens"
            if space.grid and "tokens" in slots
            else "vector"
            for name, space in spaces.items()
        }
        self.project = nn.ModuleDict()
        self.null = nn.ParameterDict()
        for name, space in spaces.items():
            if self.where[name] == "grid":
                continue
            if self.where[name] == "tokens":
                self.project[name] = nn.Linear(space.width, self.dim)
                self.null[name] = nn.Parameter(0.02 * torch.randn(space.positions, self.dim))
            else:
                self.project[name] = (
                    nets.encode(space.grid, space.width, self.dim, CondShape())
                    if space.grid
                    else nn.Linear(space.width, self.dim)
                )
                self.null[name] = nn.Parameter(0.02 * torch.randn(self.dim))
        tokens = "tokens" in self.where.values()
        vector = extra or tokens or "vector" in self.where.values()
        self.shape = CondShape(
            vector=self.dim if vector else 0,
            tokens=tokens,
            # One more channel for each aligned condition says whether it is given at all.
            grid=sum(spaces[name].width + 1 for name, slot in self.where.items() if slot == "grid"),
        )

    def forward(
        self,
        given: Mapping[str, Tensor],
        n: int,
        like: Tensor,
        drop_mask: Mapping[str, Tensor] | None = None,
    ) -> Cond:
        """The encoded conditions of `n` examples; a name missing from `given` counts as dropped.

        drop_mask  which examples go without each condition `(n,)`, by name (None: as `draw_drop_mask` has it
        in training)
        """
        drop_mask = self.draw_drop_mask(n, like) if drop_mask is None else drop_mask
        vector = like.new_zeros(n, self.shape.vector, dtype=torch.float32)
        tokens, masks, grids = [], [], []
        for name, space in self.spaces.items():
            out = drop_mask[name]
            if name not in given:
                out = torch.ones_like(out)
                stored = torch.zeros(n, *space.shape, dtype=space.dtype, device=like.device)
            else:
                stored = given[name]
            x = space.embed(stored)
            if self.where[name] == "grid":
                keep = (~out).view(n, 1, *[1] * len(space.grid)).to(x.dtype)
                grids += [x * keep, keep.expand(n, 1, *space.grid)]
            elif self.where[name] == "tokens":
                h = self.project[name](x.flatten(2).transpose(1, 2))
                tokens.append(torch.where(out[:, None, None], self.null[name].to(h.dtype), h))
                valid = space.valid(stored)
                masks.append(
                    torch.ones(n, space.positions, dtype=torch.bool, device=like.device)
                    if valid is None
                    else valid | out[:, None]
                )
            else:
                h = self.project[name](x, _NOTHING) if space.grid else self.project[name](x)
                vector = vector + torch.where(out[:, None], self.null[name].to(h.dtype), h)
        return Cond(
            vector,
            torch.cat(tokens, dim=1) if tokens else None,
            torch.cat(masks, dim=1) if masks else None,
            torch.cat(grids, dim=1) if grids else None,
        )

    def draw_drop_mask(self, n: int, like: Tensor) -> dict[str, Tensor]:
        """Draws which of `n` examples go without each condition, by name `(n,)`: in training some go
        without any, and where there are several some go without one. Networks that judge and make
        the same examples must share the draw."""
        drop = self.drop if self.training else 0.0

        def some() -> Tensor:
            if not (drop and self.spaces):
                return torch.zeros(n, dtype=torch.bool, device=like.device)
            return torch.rand(n, device=like.device) < drop

        every = some()
        return {name: every | some() if len(self.spaces) > 1 else every for name in self.spaces}


_NOTHING = Cond(torch.zeros(1, 0))
"""No condition."""
