"""The architecture that fits each role and grid, where none is named."""

from __future__ import annotations

from genwright.nets.conv import ConvNets
from genwright.nets.mlp import MLPNets
from genwright.nets.roles import Causal, CondShape, Grid, Net, Nets, Role
from genwright.nets.transformer import TransformerNets
from genwright.nets.unet import UNetNets

__all__ = ["Auto"]


class Auto(Nets):
    """The fitting architecture for each role and grid: an MLP for a row, convolutions and a U-Net
    for a grid, a Transformer for symbols: what is causal, and what maps them."""

    def _pick(self, role: Role, grid: Grid, symbols: bool = False) -> Nets:
        """grid: of an example."""
        architecture: type[Nets] = (
            TransformerNets
            if role == "causal" or symbols
            else MLPNets
            if not grid
            else UNetNets
            if role == "map"
            else ConvNets
        )
        return self.in_size(architecture)

    def slots(self, role: Role, grid: Grid, *, symbols: bool = False) -> frozenset[str]:
        return self._pick(role, grid, symbols).slots(role, grid)

    def map(
        self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape, *, symbols: bool = False
    ) -> Net:
        return self._pick("map", grid, symbols).map(grid, n_in, n_out, cond_shape)

    def encode(
        self,
        from_grid: Grid,
        to_grid: Grid,
        n_in: int,
        n_out: int,
        cond_shape: CondShape,
        *,
        score: bool = False,
    ) -> Net:
        nets = self._pick("encode", from_grid)
        return nets.encode(from_grid, to_grid, n_in, n_out, cond_shape, score=score)

    def decode(
        self, from_grid: Grid, to_grid: Grid, n_in: int, n_out: int, cond_shape: CondShape
    ) -> Net:
        return self._pick("decode", to_grid).decode(from_grid, to_grid, n_in, n_out, cond_shape)

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        return self._pick("causal", grid).causal(length, cond_shape, grid=grid, channels=channels)
