"""Objectives and their samplers. They know spaces, roles and phases, nothing else."""
