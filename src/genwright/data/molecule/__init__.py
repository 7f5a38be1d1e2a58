"""Molecules: SMILES in lines and tables, and SDF."""
