"""The mark of a folder in which `lineage reproduce` makes a model again: nothing is logged or registered from there.

A mark in the folder, and no environment variable: a variable would reach every pipeline that is started below it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MARK = Path(".dvc") / "tmp" / "reproduction.json"


@dataclass(frozen=True)
class Reproduction:
    """What holds in such a folder."""

    consent: Path | None  # the snapshot of then, which stands for the registry of today
    machine: dict[str, Any]  # what the record of the training says of the machine of then

    @classmethod
    def of(cls, root: Path) -> Reproduction | None:
        """That of the project at `root`; None if its folder was not made by `lineage reproduce`."""
        try:
            marked = json.loads((root / MARK).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        return cls(Path(marked["consent"]) if marked["consent"] else None, marked.get("machine") or {})

    def mark(self, root: Path) -> None:
        """Marks the project at `root`."""
        path = root / MARK
        path.parent.mkdir(parents=True, exist_ok=True)
        marked = {"consent": str(self.consent) if self.consent else None, "machine": self.machine}
        path.write_text(json.dumps(marked), encoding="utf-8")
