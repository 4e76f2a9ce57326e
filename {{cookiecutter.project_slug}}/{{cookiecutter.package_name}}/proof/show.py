"""Answers for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from .verify import Verdict

COLOURS = {"PASS": "green", "FAIL": "red", "INCONCLUSIVE": "yellow"}


def show_verdicts(verdicts: list[Verdict], scope: str, *, as_json: bool) -> None:
    """Prints what `lineage verify` found; `scope` says which models it looked for."""
    if as_json:
        documents = [{"model": verdict.model, "state": verdict.state, **asdict(verdict)} for verdict in verdicts]
        print(json.dumps({"scope": scope, "models": documents}, indent=2, ensure_ascii=False))
        return
    from rich.console import Console
    from rich.markup import escape

    console = Console(highlight=False, soft_wrap=True)
    for verdict in verdicts:
        console.print(f"[bold]{escape(verdict.model)}[/]  {_coloured(verdict.state)}")
        width = max(len(link.name) for link in verdict.links)
        for link in verdict.links:
            console.print(f"  {_coloured(link.state, 12)}  [bold]{link.name:<{width}}[/]  {escape(link.text)}")
    passed = sum(verdict.state == "PASS" for verdict in verdicts)
    console.print(f"{passed} of {len(verdicts)} models proved ({escape(scope)}).")


def _coloured(state: str, width: int = 0) -> str:
    return f"[{COLOURS[state]}]{state:<{width}}[/]"
