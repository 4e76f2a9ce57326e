"""The workshop, for all tests of bad input."""

from __future__ import annotations

from stages import workshop

__all__ = ["workshop"]
