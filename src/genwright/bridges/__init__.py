"""Bridges between the space of the data and a space that a family takes, both ways."""
