"""Levels of games: grids of tiles in text, CSV and Tiled's formats."""
