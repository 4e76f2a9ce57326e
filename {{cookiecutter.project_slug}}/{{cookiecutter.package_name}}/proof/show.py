"""Answers for people and for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from .link import Linked
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


def show_linked(done: Linked) -> None:
    """Prints what `lineage link` did."""
    print(f"{done.looked_at} runs and versions looked at; {len(done.linked)} linked now.")
    for name in done.linked:
        print(f"  linked: {name}")
    for name in done.lost:
        print(f"  the commit of {name} is gone, and no other commit holds it.")
    if done.pending:
        print(f"{len(done.pending)} pending: no commit holds their data or result yet (`git add -A && git commit`).")
    if done.without_result:
        print(f"{done.without_result} runs failed, were killed or are going on: they left no result to link.")
