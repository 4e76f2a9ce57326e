"""The workshop, for all tests of sources."""

from __future__ import annotations

from stages import workshop

__all__ = ["workshop"]
