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
    for a grid, a Transformer for symbols: what is causal, and what fills gaps."""

    def _pick(self, role: Role, grid: Grid) -> Nets:

        architecture: type[Nets] = (
            TransformerNets
            if role in ("causal", "fill")
            else MLPNets
            if not grid
            else UNetNets
            if role == "map"
            else ConvNets
        )
        return architecture(
            self.size, width=self.width or None, depth=self.depth or None, dropout=self.dropout
        )

    def slots(self, role: Role, grid: Grid) -> frozenset[str]:
        return self._pick(role, grid).slots(role, grid)

    def map(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("map", grid).map(grid, n_in, n_out, cond_shape)

    def fill(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("fill", grid).fill(grid, n_in, n_out, cond_shape)

    def encode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("encode", grid).encode(grid, n_in, n_out, cond_shape)

    def decode(self, grid: Grid, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("decode", grid).decode(grid, n_in, n_out, cond_shape)

    def score(self, grid: Grid, n_in: int, cond_shape: CondShape) -> Net:
        return self._pick("score", grid).score(grid, n_in, cond_shape)

    def shrink(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("shrink", grid).shrink(grid, factor, n_in, n_out, cond_shape)

    def grow(self, grid: Grid, factor: int, n_in: int, n_out: int, cond_shape: CondShape) -> Net:
        return self._pick("grow", grid).grow(grid, factor, n_in, n_out, cond_shape)

    def causal(
        self, length: int, cond_shape: CondShape, *, grid: Grid = (), channels: int = 1
    ) -> Causal:
        return self._pick("causal", grid).causal(length, cond_shape, grid=grid, channels=channels)
