"""Reasons with which a person lets gates pass that are INCONCLUSIVE: `--accept 'drift: a new scanner, agreed on'`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..base.errors import PromotionError
from ..base.printable import printable
from ..proof.decision import LONGEST_REASON, Accepted
from .gates.answer import Answer

ALL = "all"


@dataclass(frozen=True)
class Accept:
    """One `--accept`: for a gate, or for `all`."""

    gate: str
    reason: str


def parse_accept(text: str, gates: Sequence[str]) -> Accept:
    """Reads `GATE: REASON`. Raises PromotionError if there is no such gate, or no reason."""
    gate, colon, reason = (part.strip() for part in text.partition(":"))
    if not colon or gate not in (*gates, ALL) or not reason:
        raise PromotionError(
            f"--accept {text[:200]!r} is not of the form 'GATE: REASON', where GATE is {', '.join(gates)} or {ALL}."
        )
    return Accept(gate, require_reason(reason, "--accept"))


def require_reason(text: str, option: str) -> str:
    """A reason as a decision keeps it, without blanks around it. Raises PromotionError if none could keep it."""
    reason = text.strip()
    if not reason:
        raise PromotionError(f"a reason is needed: {option} 'wrong on images of site B'.")
    if len(reason) > LONGEST_REASON:
        raise PromotionError(
            f"the reason of {option} has {len(reason)} characters, and a decision keeps {LONGEST_REASON}. Shorten it, "
            "or say where more is written."
        )
    if printable(reason) != reason:
        raise PromotionError(
            f"the reason of {option} has line breaks, control characters or marks of direction, which others would not "
            f"see as you do. Write it in one line, without them: {printable(reason)[:200]}"
        )
    return reason


def accepted_by(accept: Sequence[Accept], answers: Mapping[str, Answer]) -> tuple[list[Accepted], list[str]]:
    """Which INCONCLUSIVE gates each reason lets pass; and what a person should know of the others.

    A gate that is named counts by its own reason, and not by that for all. Nothing lets a FAIL pass.
    """
    named = {each.gate for each in accept}
    unknown = {name for name, answer in answers.items() if answer.state == "INCONCLUSIVE"}
    found, notes = [], []
    for each in accept:
        gates = sorted(unknown - named if each.gate == ALL else unknown & {each.gate})
        if gates:
            found.append(Accepted(gates=gates, reason=each.reason))
        elif (answer := answers.get(each.gate)) is not None and answer.state == "FAIL":
            notes.append(f"{each.gate} is a FAIL, which no reason lets pass.")
        else:
            notes.append(f"--accept for {each.gate} was not needed and is not recorded.")
    return found, notes
