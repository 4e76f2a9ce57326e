"""Gate weights: what the version started from is known, so that it is known whose records are in it."""

from __future__ import annotations

from ...audit.ancestors import Ancestors
from ...audit.holdings import Holdings
from ...audit.trained import use_of_version
from ...contract import Role
from ...proof.case import ModelCase
from .answer import Answer


def weights(case: ModelCase) -> Answer:
    """INCONCLUSIVE where training started from weights of which this project does not hold the data."""
    assert case.version is not None
    started = case.document.get("pretrained")
    if started is None and case.recorded.read(Role.PRETRAINED) is None:
        text = f"dvc.lock of {case.commit[:12]} names no weights that it started from"
        return Answer("PASS", text, {"started": None})
    sha256 = str((started or {}).get("sha256"))
    use = use_of_version(case.version)
    Ancestors(Holdings(case.evidence)).add_to(use, {"pretrained_sha256": sha256})
    figures = {"started": sha256, "datasets": sorted(use.datasets)}
    if use.unknown or not use.datasets:
        text = f"it started from weights whose data are unknown here (SHA-256 {sha256[:12]}...)"
        return Answer("INCONCLUSIVE", text, figures, more="; ".join(use.unknown))
    made_from = ", ".join(sorted(use.datasets))
    return Answer("PASS", f"it started from a model of this project, made from {made_from}", figures)
