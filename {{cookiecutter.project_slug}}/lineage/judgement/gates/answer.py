"""What one gate answers: what Git keeps of it, and what only the person at the keyboard is shown."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...base.printable import printable
from ...proof.decision import LONGEST_TEXT, Gate, State


@dataclass(frozen=True)
class Answer:
    """`text` and `figures` are kept for ever, in Git: no id of a record or of a subject may be in them."""

    state: State
    text: str
    figures: dict[str, Any] = field(default_factory=dict)
    more: str = ""  # for the person at the keyboard alone: it may name records
    fix: str = ""  # what to do now

    def of(self, gate: str) -> Gate:
        """As the decision keeps it."""
        text = printable(" ".join(self.text.split()))
        kept = text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 4]} ..."
        return Gate(name=gate, state=self.state, text=kept, figures=self.figures)


def worst(states: list[State]) -> State:
    """FAIL before INCONCLUSIVE before PASS; of none at all, nothing is known."""
    order: tuple[State, ...] = ("PASS", "INCONCLUSIVE", "FAIL")
    return max(states, key=order.index, default="INCONCLUSIVE")
