"""Spaces and toy data of the contracts, under the name that these tests know them by."""

from __future__ import annotations

from genwright.testing.spaces import LABEL, SPACES, data, effect

__all__ = ["LABEL", "SPACES", "data", "effect"]
