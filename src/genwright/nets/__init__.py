"""Networks by role. They know grids and widths, nothing else."""
