"""Sounds: files to clips of one rate and length, and back."""
