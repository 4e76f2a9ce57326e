"""Scores of so few subjects that they would be somebody's own: a report stays for years, and has none of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ...base.yaml12 import parse_mapping
from ...dvc.dvcfile import PARAMS_FILE
from ..diff.difference import Difference
from ..diff.scores import measured
from ..diff.sides import Side
from ..paired import LEAST_GROUPS

# counts beside a score, in files of metrics and tables of plots; there are no more subjects than records
COUNTS = ("subjects", "records")


@dataclass(frozen=True)
class Few:
    """How many subjects a score needs."""

    least: int

    @classmethod
    def of(cls, side: Side) -> Few:
        """`evaluate.min_subjects` of a side; where a project has no such setting, what the comparison of two needs."""
        evaluate = parse_mapping(side.read(PARAMS_FILE)).get("evaluate")
        least = evaluate.get("min_subjects") if isinstance(evaluate, dict) else None
        return cls(least if type(least) is int else LEAST_GROUPS)

    def is_in(self, row: dict[str, Any], prefix: str = "") -> bool:
        """Whether values that belong together are of too few: by the count among them, if there is one."""
        for name in COUNTS:
            try:
                return float(row[f"{prefix}{name}"]) < self.least
            except (KeyError, TypeError, ValueError):
                continue
        return False

    def without(self, found: Difference) -> tuple[dict[str, Any], int]:
        """The document of a difference without such scores, and how many were left out."""
        sections = found.document["sections"]
        metrics = sections["metrics"]
        known = [measured(side) for side in (found.a, found.b)]
        kept = {
            key: values
            for key, values in metrics["measured"].items()
            if not any(self.is_in(each, f"{key.rpartition('.')[0]}.") for each in known)
        }
        paired, count = metrics["paired"], len(metrics["measured"]) - len(kept)
        if paired is not None:
            scores = [paired["classes"], *paired["slices"].values()]
            count += sum(self.is_in(each) for values in scores for each in values.values())
            slices = {name: self._large(values) for name, values in paired["slices"].items()}
            paired = {**paired, "classes": self._large(paired["classes"]), "slices": slices}
        reduced = {**metrics, "measured": kept, "paired": paired}
        return {**found.document, "sections": {**sections, "metrics": reduced}}, count

    def _large(self, values: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {value: each for value, each in values.items() if not self.is_in(each)}
