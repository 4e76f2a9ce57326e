"""Which status a package has by the decisions in Git: the version that has the alias is approved, and no other one.

So whoever takes the latest approved package takes the one that was decided on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from ..base.errors import MirrorError
from ..proof.case import Evidence
from ..proof.decisions import Line
from ..settings.params import Settings

Status = Literal["Approved", "Rejected", "PendingManualApproval"]


@dataclass(frozen=True)
class Approval:
    """A status, why, and the file in Git that says so with its SHA-256; both empty where nobody has decided."""

    status: Status
    text: str
    decision: str = ""
    sha256: str = ""

    @property
    def metadata(self) -> dict[str, str]:
        """As a package keeps it, to tell later what was set from here and what by others."""
        given = {"decision": self.decision, "decision_sha256": self.sha256} if self.decision else {}
        return {"approval": self.status, **given}


def line_of(evidence: Evidence, settings: Settings, alias: str) -> Line:
    """The decisions that approve. Raises MirrorError where they, or the alias in MLflow, are not as they should be."""
    if alias not in settings.promotion.aliases:
        raise MirrorError(
            f"compute.sagemaker.registry.alias is {alias}, which is not among promotion.aliases "
            f"({', '.join(settings.promotion.aliases)}): nobody can decide on it."
        )
    evidence.history.require_complete()
    line = evidence.decisions.line(settings.tracking.model_name, alias)
    if wrong := [*line.faults, *line.elsewhere]:
        raise MirrorError(f"who is {alias} is in doubt: {wrong[0]}. `lineage history {alias}` lists the decisions.")
    return line


def approval_of(line: Line, number: str, identity: str) -> Approval:
    """What is decided about a version of this number and model identity."""
    about = [each for each in line.of(number) if identity in _identities(each.version, each.document.before)]
    if not about:
        return Approval("PendingManualApproval", "nobody has decided about it")
    last = about[-1]
    given = (last.path, last.sha256)
    if line.now is not None and (line.now.number, line.now.identity) == (number, identity):
        path, sha256 = (line.last.path, line.last.sha256) if line.last else given
        return Approval("Approved", f"{line.alias} by {path}", path, sha256)
    if last.document.kind == "demote":
        return Approval("Rejected", f"not {line.alias} any more by {last.path}: {last.document.reason}", *given)
    follower = last.version.number if last.version else "none"
    return Approval("PendingManualApproval", f"{line.alias} is version {follower} since {last.path}", *given)


def _identities(*versions: object) -> set[str]:
    return {str(getattr(version, "identity", "")) for version in versions if version is not None}
