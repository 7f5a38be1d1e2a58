"""Runs behind a page and an HTTP API: closed unless opened, and the same bytes as the command line."""
