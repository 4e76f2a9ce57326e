"""What a decision looks like, for people and for programs."""

from __future__ import annotations

import json

from rich.markup import escape

from ..base.printable import printable
from ..base.terminal import print_answer
from .promote import Outcome

COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def show_outcome(outcome: Outcome, *, as_json: bool) -> None:
    """The answer in the first line, then each gate; last, what to do now."""
    if as_json:
        print_answer(json.dumps(_document(outcome), indent=2, ensure_ascii=False))
        return
    from rich.console import Console

    console = Console(highlight=False, soft_wrap=True)
    console.print(f"[bold]{escape(outcome.verdict)}[/]  {escape(outcome.text)}")
    accepted = {name: each.reason for each in outcome.accepted for name in each.gates}
    width = max(map(len, outcome.answers), default=0)
    for name, answer in outcome.answers.items():
        colour = COLOURS[answer.state]
        line = f"  [{colour}]{answer.state:<12}[/]  [bold]{name:<{width}}[/]  {escape(answer.text)}"
        console.print(line)
        if answer.more and answer.state != "PASS":
            console.print(f"  {'':<12}  {'':<{width}}  {escape(answer.more)}")
        if name in accepted:
            console.print(f"  {'':<12}  {'':<{width}}  accepted: {escape(accepted[name])}")
    for note in outcome.notes:
        console.print(f"  {escape(note)}")
    if outcome.decision is not None:
        console.print(f"decided in {escape(outcome.decision.path)}, commit {outcome.decision.commit[:12]}.")
    for each in outcome.follow_ups:
        console.print(f"{'updated' if each.is_done else '[red]not updated[/]'}: {escape(printable(each.text))}")
        if each.fix:
            console.print(f"[bold]now:[/] {escape(printable(each.fix))}")
    if outcome.fix:
        console.print(f"[bold]now:[/] {escape(outcome.fix)}")


def _document(outcome: Outcome) -> dict[str, object]:
    decision = outcome.decision
    return {
        "what": outcome.title,
        "alias": outcome.alias,
        "verdict": outcome.verdict,
        "text": outcome.text,
        "gates": {name: {**answer.__dict__} for name, answer in outcome.answers.items()},
        "accepted": [each.model_dump() for each in outcome.accepted],
        "decision": decision and {"path": decision.path, "sha256": decision.sha256, "commit": decision.commit},
        "notes": outcome.notes,
        "fix": outcome.fix,
        "follow_ups": [{**each.__dict__} for each in outcome.follow_ups],
    }
