"""What follows a decision once it is made, such as a registry elsewhere. What comes of that is no part of the decision.

Floors above this one put themselves into FOLLOW_UPS (lineage/cli.py does), since decisions know nothing of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Result:
    """What became of one follow-up."""

    text: str
    is_done: bool
    fix: str = ""  # what to do where it is not


# of the project, the registered model, the alias; None: not concerned
FollowUp = Callable[[Path, str, str], Result | None]
FOLLOW_UPS: list[FollowUp] = []


def follow_up(root: Path, model: str, alias: str) -> list[Result]:
    """Runs all of them."""
    return [result for each in FOLLOW_UPS if (result := each(root, model, alias)) is not None]
