"""Whether a version may serve: its chain is proved, and all whose records it has learnt from may be used today."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from ..dvc.dvcfile import PARAMS_FILE
from ..judgement.accept import ALL, Accept, accepted_by, require_reason
from ..judgement.gates.answer import Answer, worst
from ..judgement.gates.consent import consent
from ..judgement.gates.verified import verified
from ..judgement.judge import ask, version_named
from ..proof.case import Evidence, ModelCase
from ..proof.decision import State
from ..settings import load_settings
from ..settings.params import Settings


@dataclass(frozen=True)
class Permission:
    """What the gates `verified` and `consent` say of a version, and what a person has accepted."""

    case: ModelCase
    settings: Settings
    answers: dict[str, Answer]
    reason: str  # with which the gates in `accepted` were let through although they are INCONCLUSIVE
    accepted: list[str]
    notes: list[str]

    @property
    def state(self) -> State:
        """PASS if it may serve. A FAIL is let through by no reason."""
        return worst([each.state for name, each in self.answers.items() if name not in self.accepted] or ["PASS"])

    @property
    def open(self) -> dict[str, Answer]:
        """The answers that stand against it."""
        left = {name: each for name, each in self.answers.items() if name not in self.accepted}
        return {name: each for name, each in left.items() if each.state == self.state != "PASS"}

    @property
    def fix(self) -> str:
        """What to do now."""
        return next((answer.fix for answer in self.open.values() if answer.fix), "")


def ask_permission(evidence: Evidence, what: str, reason: str | None) -> Permission:
    """Asks the gates about the one version that `what` names.

    Raises LineageError if it names none or several, PromotionError if the reason is none that can be kept.
    """
    reason = None if reason is None else require_reason(reason, "--accept")
    settings = load_settings(evidence.root / PARAMS_FILE)
    case = version_named(evidence, what)
    answers = ask({"verified": partial(verified, case), "consent": partial(consent, case, settings)})
    accept = [Accept(ALL, reason)] if reason else []
    accepted, notes = accepted_by(accept, answers)
    if any(answer.state == "FAIL" for answer in answers.values()) and reason:
        notes.append("a FAIL is let through by no reason.")
    gates = [gate for each in accepted for gate in each.gates]
    return Permission(case, settings, answers, reason if reason and gates else "", gates, notes)
