"""Whom a decision is told once it is made. What comes of that is no part of the decision.

Floors above this one put themselves into TELL (lineage/cli.py does), since decisions know nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Told:
    """What one of them did with it."""

    text: str
    is_done: bool
    fix: str = ""  # what to do where it is not


Tell = Callable[[Path, str, str], Told | None]  # the project, the registered model, the alias; None: not concerned
TELL: list[Tell] = []


def tell(root: Path, model: str, alias: str) -> list[Told]:
    """Tells everybody."""
    return [told for each in TELL if (told := each(root, model, alias)) is not None]
