"""Checks on known truths that anything registered must pass: for the package's own tests and for plug-ins."""

from __future__ import annotations

from genwright.testing.metrics import check_metric

__all__ = ["check_metric"]
