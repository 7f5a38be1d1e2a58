"""Texts: files to tokens, and back."""
