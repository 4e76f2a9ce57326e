"""Gate drift: whether the data of the version are still like those of the present champion."""

from __future__ import annotations

from ...proof.case import ModelCase
from ...proof.decision import Version
from ...settings.promotion import Drift
from .answer import Answer


def drift(case: ModelCase, champion: Version | None, asked: Drift) -> Answer:
    """PASS only where both rest on the same dataset version, or there is no champion; else a person has to look."""
    if champion is None:
        return Answer("PASS", "no version is there whose data could be compared", {"champion": None})
    figures = {"champion": champion.dataset, "version": case.dataset}
    if champion.dataset == case.dataset:
        return Answer("PASS", "both rest on the same dataset version", figures)
    text = "they rest on different dataset versions, which nothing here compares"
    return Answer("INCONCLUSIVE", text, figures, fix=f"lineage diff {champion.commit[:12]} {case.commit[:12]}")
