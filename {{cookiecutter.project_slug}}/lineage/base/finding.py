"""What a check of `lineage doctor` answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """The answer of one check. `fix` is a command, empty where nothing needs a fix."""

    check: str
    state: Literal["right", "wrong", "unknown"]
    text: str
    fix: str = ""
